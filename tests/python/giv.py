"""Simulated currents over a period of the voltage, and what is inferred of them looked at, for `tests/giv.rs`.

    giv.py make  FILE             writes the sample of data/ anew
    giv.py bglib FILE TABLE       writes what BGlib's function makes of it (venv bglib)

The other functions are for the tests alone.
"""

import h5py
import numpy as np

from answer import answer

RAW_DATA = "Measurement_000/Channel_000/Raw_Data"
FREQUENCY, STEPS, R_EXTRA = 200.0, 50, 110.0


def bias(points):
    return 5 * np.sin(2 * np.pi * np.arange(points) / points)


def currents(random, voltage, count, noise=0.02):
    """Currents in nA of conductances of some nS that rise with the voltage, and capacitances of some pF; and these."""
    conductance, growth, capacitance = random.uniform([0.2, 0.0, 0.02], [3.0, 0.03, 0.2], (count, 3)).T[..., None]
    slope = (np.roll(voltage, -1) - voltage) * len(voltage) * FREQUENCY
    rate = R_EXTRA * 2 * len(voltage) / (len(voltage) - 2)
    clean = voltage * (conductance + growth * voltage**2) + capacitance * (slope + rate * voltage) * 1e-3
    return clean + noise * random.standard_normal(clean.shape), conductance, growth, capacitance


def write(path, values, units, points, cycles=1, **storage):
    import loop_fit

    axes = [("Bias", "V", bias(points))]
    if cycles > 1:
        axes.insert(0, ("Cycle", "", np.arange(cycles)))
    loop_fit.write(path, values, axes, (2, len(values) // 2), **storage)
    with h5py.File(path, "r+") as file:
        file[RAW_DATA].attrs.update(quantity="Current", units=units)


def make(path):
    values = currents(np.random.default_rng(2), bias(64), 4)[0]
    write(path, values.astype("f4"), "nA", 64)
    return {}


def bglib(path, table):
    """Conductance, resistance and its variance of the forward sweep and of the reverse one, both capacitances as BGlib
    has them, and the reconstructed current in the order of the measurement, for each position a line."""
    from BGlib.gmode.analysis.utils.giv_utils import do_bayesian_inference

    np.random.seed(0)
    with h5py.File(path) as file:
        rows = file[RAW_DATA][()].astype(float)
        voltage = file["Measurement_000/Channel_000/Spectroscopic_Values"][0].astype(float)
    half, quarter = len(voltage) // 2, len(voltage) // 4
    turned = np.roll(voltage, -quarter)
    lines = []
    for row in np.roll(rows, -quarter, axis=1):
        parts = []
        for sign, part in ((1, slice(half, None)), (-1, slice(half))):
            given = (sign * row[part], sign * turned[part], FREQUENCY)
            parts.append(do_bayesian_inference(*given, num_x_steps=STEPS // 2, r_extra=R_EXTRA, num_samples=1e5))
        joined = [np.hstack([part["m"][:-1] for part in parts]), np.hstack([part["mR"] for part in parts])]
        joined += [np.hstack([np.diag(part["vR"]) for part in parts]), [part["cValue"] for part in parts]]
        joined += [np.roll(np.hstack([-parts[1]["Irec"], parts[0]["Irec"]]), quarter)]
        lines.append(np.hstack(joined))
    np.savetxt(table, lines, fmt="%.17g", delimiter=",")
    return {}


def results(path, group):
    with h5py.File(path) as file:
        names = ("Conductance", "Resistance", "R_variance", "Reconstructed_Current", "Corrected_Current")
        found = {name: file[group][name][()] for name in names}
        record = file[group]["Capacitance"][()].ravel()
        found["Capacitance"] = np.array([record["Forward"], record["Reverse"]])
        found["Conductance_Variance"] = file[group]["Conductance_Variance"][()].ravel()
        return found


def compare(path, group, table):
    """The largest differences from BGlib's numbers: relative, and of the resistance in units of what 1e5 samples leave."""
    found, theirs = results(path, group), np.loadtxt(table, delimiter=",")
    with h5py.File(path) as file:
        rows = file[RAW_DATA][()].astype(float)
    points = rows.shape[1]
    g, mean, variance, double, current = np.split(theirs, np.cumsum([STEPS, STEPS, STEPS, 2]), axis=1)
    capacitance = 1e3 * double * (points / 2 - 1) / points
    told = np.isfinite(found["Resistance"])
    sampled = (found["Resistance"] - mean)[told] / np.sqrt(found["R_variance"][told] / 1e5)
    slope = (np.roll(bias(points), -1) - bias(points)) * points * FREQUENCY
    charging = slope + R_EXTRA * 2 * points / (points - 2) * bias(points)
    corrected = rows - 1e-3 * capacitance.mean(axis=1, keepdims=True) * charging
    share = g**2 / found["Conductance_Variance"]
    return {
        "conductance": float(abs(found["Conductance"] / g - 1).max()),
        "capacitance": float(abs(found["Capacitance"].T / capacitance - 1).max()),
        "reconstructed": float(abs(found["Reconstructed_Current"] - current).max() / abs(current).max()),
        "corrected": float(abs(found["Corrected_Current"] - corrected).max() / abs(corrected).max()),
        "sampled": float(abs(sampled).max()),
        "variance": float(abs(found["R_variance"] / variance - 1)[share > 400].max()),
        "told": float(told.mean()),
        "as_stated": bool(np.array_equal(told, share >= 25)),
    }


def simulate(path, kind, units, cycles, storage):
    """400 spectra in numbers of a kind."""
    cycles = int(cycles)
    values = currents(np.random.default_rng(4), bias(256), 400)[0]
    values *= {"nA": 1, "pA": 1e3, "A": 1e-9, "V": 1e-2}[units]
    if kind[0] in "iu":
        values = np.round(values)
    options = {"chunks": (7, 100), "compression": "gzip"} if storage == "gzip" else {}
    write(path, values.reshape(400 // cycles, -1).astype(kind), units, 256, cycles, **options)
    return {}


def truth(path, group):
    """How far what is inferred is from what was simulated: conductances in standard deviations where these are told,
    capacitances in pF, and currents in those of the noise."""
    found = results(path, group)
    rows, conductance, growth, capacitance = currents(np.random.default_rng(4), bias(256), 400)
    voltage = np.linspace(-5, 5, 125)
    voltage = np.hstack([voltage, -voltage])
    expected = conductance + growth * voltage**2
    off = (found["Conductance"].reshape(400, -1) - expected) / np.sqrt(found["Conductance_Variance"])
    told = found["Conductance_Variance"] < 0.01
    resistance = found["Resistance"].reshape(400, -1)
    ratio = (resistance * expected)[:, told & (abs(voltage) > 2)]
    return {
        "spread": float(off[:, told].std()),
        "told": float(told.mean()),
        "capacitance": float(abs(found["Capacitance"] - capacitance.T).max()),
        "resistance": float(abs(np.nanmedian(ratio) - 1)),
        "noise": float((found["Reconstructed_Current"].reshape(400, -1) - rows).std() / 0.02),
    }


def strange(path):
    rows, *_ = currents(np.random.default_rng(4), bias(64), 1)
    kinds = {
        "nan": np.where(np.arange(64) == 9, np.nan, rows[0]),
        "infinite": np.where(np.arange(64) == 9, np.inf, rows[0]),
        "empty": 0 * rows[0],
        "constant": 0 * rows[0] + 3,
        "saturated": np.clip(rows[0], -1, 1),
        "huge": rows[0] * 1e300,
    }
    write(path, np.array(list(kinds.values())), "nA", 64)
    return list(kinds)


def finite(path, group):
    """Whether each position has currents, and how many resistances."""
    found = results(path, group)
    currents = np.isfinite(found["Corrected_Current"]).all(axis=1)
    return [[bool(of), int(told)] for of, told in zip(currents, np.isfinite(found["Resistance"]).sum(axis=1))]


def main():
    answer(globals())


if __name__ == "__main__":
    main()
