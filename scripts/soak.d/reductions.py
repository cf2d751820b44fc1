"""What is folded tile by tile, and what NumPy says of it.

A fold makes one answer of all positions, which is right as a whole and only once all are in; the others have results
for each position. Both have the bits that a run over a fresh copy gives, with other cores and memory.
"""

import numpy as np

FOLDS = ("statistics", "histogram", "log-sum", "center-of-mass", "gathered", "gathered-spectra", "gathered-units")
# Of frames only.
FRAMES = ("masks", "center-of-mass", "radial-profile")
GATHERED = ("gathered", "gathered-spectra", "gathered-units")
STATISTICS = {
    "count": "Count", "sum": "Sum", "mean": "Mean", "variance": "Variance", "std": "Std", "min": "Min", "max": "Max",
    "arg_min": "Arg_Min", "arg_max": "Arg_Max",
}
# Names in results groups; parameters with their defaults, the results that there may be.
TOOLS = {
    "statistics": ("Statistics", {"compute": "sum,mean,std,min,max"}, tuple(STATISTICS.values())),
    "spectrum-statistics": (
        "Spectrum_Statistics", {"compute": "sum,mean,std,min,max"}, tuple(STATISTICS.values()),
    ),
    "histogram": ("Histogram", {"bins": 100, "of": "scan"}, ("Counts", "Outside", "Edges", "Relative_Error")),
    "log-sum": ("Log_Sum", {}, ("Log_Sum",)),
    "center-of-mass": (
        "Center_of_Mass",
        {"radius": None, "regression": "none"},
        ("Intensity", "Shift_Y", "Shift_X", "Shifts", "Centers", "Field_Y", "Field_X", "Magnitude", "Divergence",
         "Curl", "Valid", "Regression", "Guess"),
    ),
    "masks": ("Masks", {"shape": "disk", "radius_inner": 0.0}, ("Intensity",)),
    "radial-profile": ("Radial_Profile", {"radius": None}, ("Profile",)),
    "gathered": ("Gathered", {"rounds": 1, "fail_at": None}, ("Gathered", "Order", "Rows")),
    "gathered-spectra": ("Gathered_Spectra", {"rounds": 1, "fail_at": None}, ("Gathered_Spectra", "Order", "Rows")),
    "gathered-units": ("Gathered_Units", {"rounds": 1, "fail_at": None}, ("Gathered_Units", "Order", "Rows")),
}
# How far sums may be from NumPy's, relative to the largest number in them.
NEAR = 1e-12


def random_parameters(rng, process, scan):
    if process in ("statistics", "spectrum-statistics"):
        chosen = [name for name in STATISTICS if rng.random() < 0.5]
        return {"compute": ",".join(chosen)} if chosen else {}
    if process == "histogram":
        # Edges that no rounding moves.
        first = int(rng.integers(0, 50))
        last = first + int(2 ** rng.integers(3, 11))
        of = ("scan", "point", "position")[rng.integers(3)]
        return {"bins": int(2 ** rng.integers(0, 7)), "range_min": first, "range_max": last, "of": of}
    if process == "center-of-mass":
        given = {"radius": 1.3 + float(rng.integers(9))}
        if scan.table is None and rng.random() < 0.3:
            given["regression"] = ("mean", "linear")[rng.integers(2)]
        return given
    if process == "radial-profile":
        return {"radius": 1.3 + float(rng.integers(9)), "bins": int(rng.integers(1, 9))}
    if process == "masks":
        shape = ("disk", "ring", "rings", "rectangle")[rng.integers(4)]
        if shape == "rings":
            # Their edges meet no point: see `inside`.
            count = int(rng.integers(1, 5))
            return {"shape": shape, "count": count, "radius": 1.3 * count}
        if shape == "rectangle":
            return {"shape": shape, "height": 2.2 * int(rng.integers(1, 5)), "width": 2.2 * int(rng.integers(1, 5))}
        inner = {"radius_inner": 1.3} if shape == "ring" else {}
        return {"shape": shape, "radius": 2.3 + float(rng.integers(9)), **inner}
    if process in GATHERED:
        given = {"rounds": int(rng.integers(1, 10 if scan.is_large else 400))}
        # More failures aren't listed one by one.
        if rng.random() < 0.2 and scan.count <= 10_000:
            given["fail_at"] = int(rng.integers(scan.count))
        return given
    return {}


def check(process, given, spectra, folded, found):
    """Says what isn't NumPy's of the `found` results, of spectra of which `folded` are in the answer, or nothing."""
    for name, (right, enough) in NUMPY[process](given, spectra, folded).items():
        if name not in found:
            continue
        values = found[name].astype("f8").ravel()
        right = right.ravel()
        if values.shape != right.shape:
            return f"{name} has {values.shape} values, not {right.shape}"
        apart = ~(np.abs(values - right) <= enough) & ~(np.isnan(values) & np.isnan(right))
        if apart.any():
            at = int(np.flatnonzero(apart)[0])
            return f"{name} has {apart.sum()} wrong values; the first is {values[at]} at {at}, not {right[at]}"
    return None


# Each result with how far from it is near enough.


def near(values, terms):
    """How far a sum of so many of them may be from NumPy's: not at all if it is exact in any order."""
    return 0 if (values * 4 % 1 == 0).all() else NEAR * np.abs(values).max() * terms


def statistics(given, spectra, folded):
    return of_each(spectra[folded].reshape(int(folded.sum()), -1), np.flatnonzero(folded))


def spectrum_statistics(given, spectra, folded):
    values = spectra.reshape(len(spectra), -1).T
    return of_each(values, np.arange(len(values)))


def of_each(values, numbers):
    """Of each column; its rows have these numbers."""
    variance, largest = values.var(axis=0), np.abs(values).max()
    return {
        "Count": (np.full(values.shape[1], float(len(values))), 0),
        "Sum": (values.sum(axis=0), near(values, len(values))),
        "Mean": (values.mean(axis=0), NEAR * largest), "Min": (values.min(axis=0), 0), "Max": (values.max(axis=0), 0),
        "Arg_Min": (numbers[values.argmin(axis=0)].astype("f8"), 0),
        "Arg_Max": (numbers[values.argmax(axis=0)].astype("f8"), 0),
        "Variance": (variance, NEAR * largest**2), "Std": (np.sqrt(variance), NEAR**0.5 * largest),
    }


def histogram(given, spectra, folded):
    values = spectra[folded].reshape(int(folded.sum()), -1)
    first, last = given["range_min"], given["range_max"]
    outside = np.array([(values < first).sum(), (values > last).sum(), 0], "f8")

    def counts(rows):
        return np.array([np.histogram(row, given["bins"], (first, last))[0] for row in rows], "f8")

    if given["of"] == "position":
        right = np.zeros((len(spectra), given["bins"]))
        right[folded] = counts(values)
    else:
        right = counts(values.T if given["of"] == "point" else [values])
    return {"Counts": (right, 0), "Outside": (outside, 0)}


def log_sum(given, spectra, folded):
    values = spectra[folded].reshape(int(folded.sum()), -1)
    sums = np.log(values - values.min(axis=1, keepdims=True) + 1).sum(axis=0)
    return {"Log_Sum": (sums, NEAR * max(1, sums.max()))}


def inside(shape, inner, outer):
    """Points between two circles around the middle, the outer one with its edge, which no radius here meets."""
    y, x = np.indices(shape)
    r = np.hypot(y - (shape[0] - 1) / 2, x - (shape[1] - 1) / 2)
    return (r <= outer) & ((r > inner) | (inner == 0))


def masks(given, spectra, folded):
    shape, inner, outer = spectra.shape[1:], given.get("radius_inner", 0), given.get("radius")
    if given["shape"] == "rings":
        edges = [outer * ring / given["count"] for ring in range(given["count"] + 1)]
        weights = [inside(shape, *pair) for pair in zip(edges, edges[1:])]
    elif given["shape"] == "rectangle":
        y, x = np.indices(shape)
        y, x = abs(y - (shape[0] - 1) / 2), abs(x - (shape[1] - 1) / 2)
        weights = [(y <= given["height"] / 2) & (x <= given["width"] / 2)]
    else:
        weights = [inside(shape, inner, outer)]
    sums = np.stack([spectra[:, mask].sum(axis=1) for mask in weights], axis=1)
    return {"Intensity": (sums, near(spectra, spectra[0].size))}


def center_of_mass(given, spectra, folded):
    mask = inside(spectra.shape[1:], 0, given["radius"])
    y, x = (places[mask] for places in np.indices(spectra.shape[1:]))
    values = np.where(folded[:, None], spectra[:, mask], np.nan)
    total = values.sum(axis=1)
    with np.errstate(invalid="ignore"):
        shifts = [(values * at).sum(axis=1) / total - (length - 1) / 2 for at, length in zip((y, x), spectra.shape[1:])]
    of_shifts = NEAR * max(spectra.shape[1:])
    return {
        "Intensity": (total, near(spectra, spectra[0].size)),
        "Shift_Y": (shifts[0], of_shifts), "Shift_X": (shifts[1], of_shifts),
    }


def gathered(given, spectra, folded):
    """Sums modulo 2^64 into which every value goes with its place, so that none is in twice or missing."""
    values = spectra.reshape(len(spectra), -1)
    parts = [np.ascontiguousarray(part, "f8").view("u8") for part in (values.real, values.imag)]
    own = parts[0] * np.uint64(3) + parts[1] * np.uint64(5)
    own *= (2 * np.arange(len(values), dtype="u8") + 1)[:, None]
    own[~folded] = 0
    rows = (own * (2 * np.arange(values.shape[1], dtype="u8") + 1)).sum(axis=1, dtype="u8")
    shown = own.sum(axis=0, dtype="u8") >> np.uint64(12)
    rows = np.where(folded, (rows >> np.uint64(12)).astype("f8"), np.nan)
    return {**{TOOLS[name][0]: (shown.astype("f8"), 0) for name in GATHERED}, "Rows": (rows, 0)}


def sums(given, spectra, folded):
    values = spectra.reshape(len(spectra), -1)
    return {"Sum": (values.sum(axis=1), near(values, values.shape[1]))}


NUMPY = {
    "sum": sums,
    "statistics": statistics, "spectrum-statistics": spectrum_statistics, "histogram": histogram, "log-sum": log_sum,
    "masks": masks, "center-of-mass": center_of_mass, **dict.fromkeys(GATHERED, gathered),
}
