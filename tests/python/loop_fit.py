"""Simulated hysteresis loops, and fits of them looked at, for `tests/loop_fit.rs`.

    loop_fit.py make  FILE             writes the sample of data/ anew
    loop_fit.py bglib FILE TABLE       writes what BGlib's functions make of its loops (venv bglib)

The other functions are for the tests alone.
"""

import h5py
import numpy as np

from answer import answer

RAW_DATA = "Measurement_000/Channel_000/Raw_Data"
FIELDS = ["a_0", "a_1", "a_2", "a_3", "a_4", "b_0", "b_1", "b_2", "b_3"]


def voltages(points, most=8.0):
    """One cycle from 0 V up, down and back."""
    up = np.linspace(-most, most, points // 2, endpoint=False)
    return np.roll(np.concatenate([up, -up]), -points // 4)


def falling(bias):
    """Where the voltage falls from one point to the next."""
    return np.roll(bias, -1) < bias


def loop(bias, a0, a1, a2, a3, a4, b0, b1, b2, b3):
    """The loop at voltages in the order in which they were set; parameters may be columns."""
    from scipy.special import erf

    def level(a, below, above):
        width = below + (above - below) * (erf(1000 * (bias - a)) + 1) / 2
        return (width * erf((bias - a) / width) + below) / (below + above)

    return a0 + a1 * np.where(falling(bias), level(a2, b0, b1), level(a3, b2, b3)) + a4 * bias


def write(path, values, bias, grid=None, **storage):
    """An h5USID file of one row of values per position."""
    rows, columns = grid or (1, len(values))
    steps = np.stack(np.divmod(np.arange(len(values)), columns), axis=1)
    axes = bias if isinstance(bias, list) else [("DC_Offset", "V", bias)]
    grids = np.meshgrid(*[axis[2] for axis in axes], indexing="ij")
    counts = np.indices([len(axis[2]) for axis in axes]).reshape(len(axes), -1)
    tables = {
        "Position": (steps, steps, ["Y", "X"], ["um", "um"]),
        "Spectroscopic": (counts, [grid.ravel() for grid in grids], [a[0] for a in axes], [a[1] for a in axes]),
    }
    with h5py.File(path, "w") as file:
        group = file.create_group("Measurement_000/Channel_000")
        raw = group.create_dataset("Raw_Data", data=values, **storage)
        raw.attrs.update(quantity="Piezoresponse", units="a.u.")
        for prefix, (indices, values, labels, units) in tables.items():
            for suffix, kind, of in (("Indices", "u4", indices), ("Values", "f4", values)):
                table = group.create_dataset(f"{prefix}_{suffix}", data=np.asarray(of, kind))
                table.attrs.update(labels=np.array(labels, "S"), units=np.array(units, "S"))
                raw.attrs[f"{prefix}_{suffix}"] = table.ref


def drawn(random, count, kind="usual"):
    """True parameters of loops of a kind, as columns."""
    at = lambda least, most: random.uniform(least, most, (count, 1))
    widths = {"usual": (0.3, 2.5), "sharp": (0.02, 0.3), "broad": (2.0, 6.0), "uneven": (0.05, 4.0)}[kind]
    return [at(-1.4, -0.6), at(1.5, 2.5), at(-4, -1), at(1, 4), at(-0.03, 0.03)] + [at(*widths) for _ in range(4)]


KINDS = {"usual": 0.03, "sharp": 0.03, "broad": 0.03, "uneven": 0.05, "noisy": 0.4}


def make(path):
    """12 loops of each kind, 64 voltages."""
    random = np.random.default_rng(11)
    bias = voltages(64)
    rows = []
    for kind, noise in KINDS.items():
        clean = loop(bias, *drawn(random, 12, "usual" if kind == "noisy" else kind))
        rows.append(clean + noise * random.standard_normal(clean.shape))
    write(path, np.concatenate(rows).astype("f4"), bias, (5, 12))
    return {}


def bglib(path, table):
    """Guess, fit and its sum of squares, for each loop a line."""
    from BGlib.be.analysis.be_loop_fitter import shift_vdc
    from BGlib.be.analysis.utils.be_loop import fit_loop, generate_guess

    with h5py.File(path) as file:
        loops = file[RAW_DATA][()].astype(float)
        bias = file["Measurement_000/Channel_000/Spectroscopic_Values"][0].astype(float)
    shift, turned = shift_vdc(bias)
    lines = []
    for values in loops:
        guess = generate_guess(bias, values)
        fit = fit_loop(turned, np.roll(values, shift), guess)[0]
        lines.append([*guess, *fit.x, 2 * fit.cost])
    header = [f"guess {name}" for name in FIELDS] + [f"fit {name}" for name in FIELDS] + ["sum of squares"]
    np.savetxt(table, lines, fmt="%.17g", delimiter=",", header=",".join(header), comments="")
    return {}


def fitted(path, group):
    """Loops and voltages of a file, and the records of its fits, one after the other."""
    with h5py.File(path) as file:
        bias = file["Measurement_000/Channel_000/Spectroscopic_Values"][-1].astype(float)
        records = {name: file[group][name][()].ravel() for name in ("Guess", "Fit", "Standard_Errors")}
        cycle = len(bias) // (len(records["Fit"]) // len(file[RAW_DATA]))
        loops = file[RAW_DATA][()].astype(float).reshape(-1, cycle)
    return loops, bias[:cycle], {name: np.array([of[field] for field in FIELDS]) for name, of in records.items()}


def compare(path, group, table):
    """Guesses and sums of squares beside those of BGlib."""
    loops, bias, records = fitted(path, group)
    theirs = np.loadtxt(table, delimiter=",", skiprows=1).T
    squares = ((loops - loop(bias, *records["Fit"][..., None])) ** 2).sum(axis=1)
    with h5py.File(path) as file:
        r2 = file[group]["Fit"]["R2 Criterion"].ravel()
    ratio = squares / theirs[18]
    spread = ((loops - loops.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    return {
        "loops": len(loops),
        "guess": float(abs(records["Guess"] - theirs[:9]).max()),
        "worst": float(ratio.max()),
        "worse": int((ratio > 1 + 1e-9).sum()),
        "better": int((ratio < 1 - 1e-3).sum()),
        "r2": float(abs(r2 - (1 - squares / spread)).max()),
    }


TRUE = (-1.1, 2.1, -2.2, 1.7, 0.02, 1.8, 1.6, 2.1, 1.4)


def simulate(path, kind, points, cycles, storage):
    """300 noisy loops of the same parameters, as numbers of a kind; several cycles at each position."""
    random, bias = np.random.default_rng(3), voltages(int(points))
    clean = loop(bias, *TRUE)
    values = clean + 0.03 * random.standard_normal((300 // int(cycles), int(cycles), len(bias)))
    if kind[0] in "iu":
        values = np.round(1000 * values)
    axes = [("DC_Offset", "V", bias)]
    if int(cycles) > 1:
        axes.insert(0, ("Cycle", "", np.arange(int(cycles))))
    options = {"chunks": (7, 50), "compression": "gzip"} if storage == "gzip" else {}
    write(path, values.reshape(len(values), -1).astype(kind), axes, **options)
    return {}


def truth(path, group, scale):
    """Mean of the errors of the fits in units of the spread, and the spread in units of the standard errors."""
    _, _, records = fitted(path, group)
    true = np.array(TRUE) * np.where(np.isin(np.arange(9), [0, 1, 4]), float(scale), 1)
    off = records["Fit"] - true[:, None]
    spread = off.std(axis=1)
    stated = np.nanmedian(records["Standard_Errors"], axis=1)
    return {"bias": list(off.mean(axis=1) / spread), "spread": list(spread / stated), "loops": off.shape[1]}


def strange(path):
    """Loops that no fit is meant for; the names of what they are."""
    bias = voltages(64)
    clean = loop(bias, *TRUE)
    at = np.arange(64)
    kinds = {
        "nan": np.where(at == 9, np.nan, clean),
        "infinite": np.where(at == 9, np.inf, clean),
        "empty": 0 * clean,
        "constant": 0 * clean + 3,
        "saturated": np.clip(clean, -0.3, 0.3),
        "straight": 0.1 * bias,
        "alternating": at % 2.0,
        "spike": (at == 20) * 1.0,
        "tiny": clean * 1e-200,
        "huge": clean * 1e200,
    }
    write(path, np.array(list(kinds.values())), bias)
    return list(kinds)


def finite(path, group):
    """Whether all parameters of each loop are numbers, and R² between 0 and 1."""
    _, _, records = fitted(path, group)
    with h5py.File(path) as file:
        r2 = file[group]["Fit"]["R2 Criterion"].ravel()
    return [bool(of) for of in np.isfinite(records["Fit"]).all(axis=0) & (r2 > -1e-9) & (r2 < 1 + 1e-9)]


def main():
    answer(globals())


if __name__ == "__main__":
    main()
