"""Spectra of several kinds, and what NumPy, SciPy and HyperSpy make of them, for `tests/spectra_maps.rs`."""

import json

import h5py
import numpy as np

from answer import answer
from curve_fit import RAW_DATA, gaussian, write

COUNT = 60
EVEN = 100 + 0.25 * np.arange(140)
UNEVEN = 100 + 0.2 * np.arange(140) + 0.002 * np.arange(140) ** 2
PARTS = {"chunks": (7, 50), "compression": "gzip", "shuffle": True}

# Element type, axis, and how it is stored.
KINDS = {
    "f8": ("<f8", EVEN, {}),
    "f4": ("<f4", EVEN, PARTS),
    "u2": (">u2", EVEN, {}),
    "i4": ("<i4", EVEN[::-1], {"chunks": (11, 140), "compression": "gzip"}),
    "uneven": ("<f4", UNEVEN, PARTS),
    "falling": ("<u2", UNEVEN[::-1], {}),
    "c16": ("<c16", EVEN, {}),
    "c8": (">c8", EVEN[:-1], PARTS),
}


def spectra(kind, x):
    """Two peaks on a slope, with noise."""
    rng = np.random.default_rng(len(kind))
    places = rng.uniform(110, 128, (COUNT, 2, 1))
    areas, widths = rng.uniform(200, 4000, (COUNT, 2, 1)), rng.uniform(0.8, 3, (COUNT, 2, 1))
    clean = gaussian(x, areas, places, widths).sum(1) + rng.uniform(5, 50, (COUNT, 1)) + 0.2 * (x - 100)
    return clean + rng.normal(0, 2, clean.shape)


def make(file, kind):
    element, x, stored = KINDS[kind]
    data = spectra(kind, x)
    data = np.rint(data).clip(0) if np.dtype(element).kind in "iu" else data
    data = data * np.exp(0.3j * x) if np.dtype(element).kind == "c" else data
    write(file, x, data.astype(element), **stored)


def read(file, group):
    """Parameters, the axis, the spectra in double precision, and the results datasets."""
    with h5py.File(file) as opened:
        found = opened[group]
        parameters = json.loads(found.attrs["parameters"])["parameters"]
        raw = opened[RAW_DATA]
        x = opened[raw.attrs["Spectroscopic_Values"]][0]
        results = {name: found[name][()] for name in found if "quantity" in found[name].attrs}
        results = {name: data[:, 0] if data.shape[1:] == (1,) else data for name, data in results.items()}
        y = raw[()]
        return parameters, x, y.astype(complex if y.dtype.kind == "c" else float), results


def inside(x, window):
    low, high = (-np.inf if window[0] is None else window[0]), (np.inf if window[1] is None else window[1])
    return (low <= x) & (x <= high)


def off(found, expected):
    """The largest difference, relative to the largest number of each dataset; both have none at the same places."""
    told = {}
    for name, values in expected.items():
        values = np.asarray(values)
        same = np.array_equal(np.isnan(found[name]), np.isnan(values))
        scale = max(np.nanmax(np.abs(values)), 1e-300)
        told[name] = float(np.nanmax(np.abs(found[name] - values)) / scale) if same else "none elsewhere"
    return told


def moments(file, group):
    """How far moments are from NumPy's averages with weights."""
    given, x, y, found = read(file, group)
    at = inside(x, (given["from"], given["to"]))
    widths = np.abs(np.gradient(x))[at]
    x, y = x[at], y[:, at].astype(np.longdouble)
    if given["background"] == "minimum":
        y = y - y.min(1, keepdims=True)
    if given["background"] == "linear":
        count = given["end_points"]
        ends = [(x[part].mean(), y[:, part].mean(1)) for part in (slice(count), slice(-count, None))]
        (x0, y0), (x1, y1) = ends
        y = y - (y0[:, None] + ((y1 - y0) / (x1 - x0))[:, None] * (x - x0))
    weights = y * widths
    mean = lambda values: np.average(np.broadcast_to(values, weights.shape), 1, weights)
    centre = mean(x)
    about = lambda power: mean((x - centre[:, None]) ** power)
    width = np.sqrt(about(2))
    expected = {
        "Area": weights.sum(1),
        "Centre": centre,
        "Width": width,
        "Skewness": about(3) / width**3,
        "Excess_Kurtosis": about(4) / width**4 - 3,
    }
    return off(found, expected)


def extreme(file, group):
    """How far extremes and the vertices of their parabolas are from NumPy's; and how many have a parabola."""
    given, x, y, found = read(file, group)
    at, name = inside(x, (given["from"], given["to"])), given["extreme"].capitalize()
    x, y = x[at], y[:, at]
    places = y.argmax(1) if name == "Maximum" else y.argmin(1)
    value, place = np.take_along_axis(y, places[:, None], 1)[:, 0], x[places]
    refined = np.stack([place, value, np.zeros(len(y))])
    for row, (own, spectrum) in enumerate(zip(places, y, strict=True)):
        if 0 < own < len(x) - 1:
            around = slice(own - 1, own + 2)
            a, b, c = np.polyfit(x[around] - x[own], spectrum[around], 2)
            refined[:, row] = x[own] - b / (2 * a), c - b * b / (4 * a), 1
    expected = {name: value, "Place": place, f"Refined_{name}": refined[1], "Refined_Place": refined[0], "Refined": refined[2]}
    return {"off": off(found, expected), "refined": int(found["Refined"].sum())}


def integral(file, group):
    """How far integrals are from those of SciPy's trapezoid, above backgrounds by NumPy and SciPy's brentq."""
    from scipy.integrate import trapezoid

    given, x, y, found = read(file, group)
    if x[-1] < x[0]:
        x, y = x[::-1], y[:, ::-1]
    background = np.stack([below(given, x, spectrum) for spectrum in y])
    windows = given["windows"] or [[None, None]]
    windows = windows if isinstance(windows[0], list) else [windows]
    over = lambda values: np.stack([trapezoid(values[:, at], x[at], axis=1) for at in (inside(x, one) for one in windows)], 1)
    expected = {"Integral": over(y - background)}
    if given["background"] != "none":
        expected["Background"] = over(background)
    found = {name: values.reshape(len(y), -1) for name, values in found.items()}
    return off(found, expected)


def below(given, x, spectrum):
    """The background of one spectrum."""
    from scipy.integrate import trapezoid
    from scipy.optimize import brentq

    sides = [inside(x, side) for side in (given["before"], given["after"]) if side]
    if given["background"] == "none":
        return np.zeros_like(x)
    if given["background"] == "constant":
        return np.full_like(x, np.concatenate([spectrum[side] for side in sides]).mean())
    if given["background"] == "linear":
        (x0, y0), (x1, y1) = [(x[side].mean(), spectrum[side].mean()) for side in sides]
        return y0 + (y1 - y0) / (x1 - x0) * (x - x0)
    side = np.flatnonzero(sides[0])
    middle = (side[0] + side[-1]) // 2
    halves = [np.arange(side[0], middle + 1), np.arange(middle, side[-1] + 1)]
    areas = lambda values: np.array([trapezoid(values[half], x[half]) for half in halves])
    wanted = areas(spectrum)
    law = lambda r: (x / x[middle]) ** -r
    ratio = lambda r: np.divide(*areas(law(r))) / np.divide(*wanted) - 1
    r = brentq(ratio, -400, 400, xtol=1e-13)
    return wanted.sum() / areas(law(r)).sum() * law(r)


def savgol(file, group):
    """How far smoothed spectra or derivatives are from those of SciPy's savgol_filter."""
    from scipy.signal import savgol_filter

    given, x, y, found = read(file, group)
    step = (x[-1] - x[0]) / (len(x) - 1)
    expected = savgol_filter(y, delta=step, **given)
    return off(found, {"Derivative" if "deriv" in given else "Smoothed": expected})


def fft(file, group):
    """How far transforms are from NumPy's, or SciPy's periodogram, and their frequencies."""
    from scipy.signal import get_window, periodogram

    given, x, y, found = read(file, group)
    step = (x[-1] - x[0]) / (len(x) - 1)
    y = y if step > 0 else y[:, ::-1]
    window = get_window("boxcar" if given["window"] == "none" else given["window"], len(x))
    is_complex, trend = np.iscomplexobj(y), given["detrend"]
    shifted = lambda values: np.fft.fftshift(values, -1) if is_complex else values
    transform = lambda values: shifted((np.fft.fft if is_complex else np.fft.rfft)(values, axis=-1))
    expected = transform((y - (y.mean(1, keepdims=True) if trend == "constant" else 0)) * window)
    if given["scaling"] == "spectrum":
        double = 1 if is_complex else np.where((np.arange(expected.shape[1]) * 2) % len(x) == 0, 1, 2)
        expected = expected * double / window.sum()
    if given["output"] == "power":
        expected = abs(expected) ** 2
        if given["scaling"] != "none":
            detrend = "constant" if trend == "constant" else False
            _, expected = periodogram(y, 1 / abs(step), window, detrend=detrend, scaling=given["scaling"])
            expected = shifted(expected)
        told = off(found, {"Power": expected})
    elif given["output"] == "amplitude":
        joined = {"Amplitude": found["Amplitude"], "Phase": found["Amplitude"] * np.exp(1j * found["Phase"])}
        told = off(joined, {"Amplitude": abs(expected), "Phase": expected})
    else:
        told = off(found, {"Fourier_Transform": expected})
    with h5py.File(file) as opened:
        any_of = opened[group][next(iter(found))]
        axis = opened[any_of.attrs["Spectroscopic_Values"]][0]
        frequencies = shifted(np.fft.fftfreq(len(x), abs(step))) if is_complex else np.fft.rfftfreq(len(x), abs(step))
    return told | off({"Frequency": axis}, {"Frequency": frequencies.astype(axis.dtype)})


def kept(file, group):
    """Some of the results: all where there are few numbers for each position, else every 16th of two; NaN as null."""
    _, _, _, found = read(file, group)
    some = lambda values: (values if values.size < 100 else values[::6, ::16]).ravel()
    return {name: [None if x != x else x for x in some(values).tolist()] for name, values in sorted(found.items())}


def frames(file):
    """Frames of several element types, and a mask that isn't symmetric."""
    rng = np.random.default_rng(5)
    y, x = np.indices((18, 25))
    phase = rng.uniform(0, 6, (4, 5, 1, 1))
    data = 100 + 20 * np.cos(0.9 * y + 0.4 * x + phase) + rng.normal(0, 3, (4, 5, 18, 25))
    with h5py.File(file, "w") as opened:
        opened["f8"] = data
        opened.create_dataset("f4", data=data.astype("<f4"), chunks=(2, 2, 7, 25), compression="gzip")
        opened["u2"] = data.astype(">u2")
        opened["mask"] = rng.uniform(0, 1, (18, 25)).astype("f4")


def fft_mask(source, dataset, file, group):
    """How far filtered frames are from NumPy's fft2 and ifft2."""
    with h5py.File(source) as opened:
        data, mask = opened[dataset][()].astype(float), opened["mask"][()].astype(float)
    with h5py.File(file) as opened:
        given = json.loads(opened[group].attrs["parameters"])["parameters"]
        found = {name: opened[group][name][()] for name in ("Filtered", "Mask")}
    if given["mask"] is None:
        y, x = np.meshgrid(*(np.fft.fftshift(np.fft.fftfreq(length)) for length in data.shape[2:]), indexing="ij")
        center = given["center_y"], given["center_x"]
        distance = np.minimum(*(np.hypot(y - sign * center[0], x - sign * center[1]) for sign in (1, -1)))
        mask = ((distance <= given["radius"]) & ((distance > given["radius_inner"]) | (given["radius_inner"] == 0))).astype(float)
    mask = 1 - mask if given["keep"] == "outside" else mask
    filtered = np.fft.ifft2(np.fft.fft2(data) * np.fft.ifftshift(mask)).real
    shapes = {"Filtered": data.shape, "Mask": mask.shape}
    found = {name: values.reshape(shapes[name]) for name, values in found.items()}
    return off(found, {"Filtered": filtered, "Mask": mask.astype("f4")})


def hyperspy(file, *groups):
    """How far results are from HyperSpy's: each group is told by what HyperSpy has for it."""
    import hyperspy.api as hs

    hs.preferences.General.show_progressbar = False
    told = {}
    for group in groups:
        given, x, y, found = read(file, group)
        signal = hs.signals.Signal1D(y)
        axis = signal.axes_manager[-1]
        axis.offset, axis.scale, axis.units = x[0], x[1] - x[0], "eV"
        name = group.rpartition("-")[2].rpartition("_")[0]
        if name == "Maximum":
            expected = {"Maximum": signal.max(-1).data, "Place": signal.valuemax(-1).data}
        elif name == "Integral":
            rest = signal.remove_background(tuple(map(float, given["before"])), "PowerLaw", fast=True)
            expected = {"Integral": np.trapezoid(rest.data[:, inside(x, given["windows"])], dx=axis.scale, axis=1)}
        elif name == "FFT":
            transform = signal.fft(shift=False).data
            expected = {"Fourier_Transform": transform[:, : len(x) // 2 + 1]}
        else:
            order = given.get("deriv", 0)
            signal.smooth_savitzky_golay(given["polyorder"], given["window_length"], order)
            expected = {"Derivative" if order else "Smoothed": signal.data}
        told |= {f"{name} {result}": far for result, far in off(found, expected).items()}
    return told


def edges(file):
    """Ionisation edges of 1000 counts in all on a power law without noise."""
    x = 250 + 0.5 * np.arange(500)
    exponents = np.linspace(2, 4, 12)[:, None]
    law = 1e6 * (x / 250) ** -exponents
    write(file, x, law + np.where((x > 290) & (x <= 340), 20.0, 0), columns=4)


def rest(file, group):
    """How far the integrals of these edges are from what they are, of pixelmill and of HyperSpy, relative."""
    import hyperspy.api as hs

    hs.preferences.General.show_progressbar = False
    given, x, y, found = read(file, group)
    signal = hs.signals.Signal1D(y)
    axis = signal.axes_manager[-1]
    axis.offset, axis.scale = x[0], x[1] - x[0]
    left = signal.remove_background(tuple(map(float, given["before"])), "PowerLaw", fast=True)
    theirs = np.trapezoid(left.data[:, inside(x, given["windows"])], dx=axis.scale, axis=1)
    true = np.trapezoid(np.where((x > 290) & (x <= 340), 20.0, 0)[inside(x, given["windows"])], dx=axis.scale)
    far = lambda integrals: float(np.max(np.abs(integrals / true - 1)))
    return {"pixelmill": far(found["Integral"]), "hyperspy": far(theirs)}


def main():
    answer(globals())


if __name__ == "__main__":
    main()
