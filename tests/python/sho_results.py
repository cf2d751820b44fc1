"""Fits looked at, for `tests/sho_fit.rs`."""

import h5py
import numpy as np

from answer import answer


def finite(path, group):
    """How many fits are missing, and whether the others are within their bounds."""
    with h5py.File(path) as file:
        found = [file[group][name][:, 0] for name in ("Guess", "Fit", "Standard_Errors")]
    bad = [sum(~np.isfinite(data[field]) for field in data.dtype.names) > 0 for data in found]
    fit = found[1][~bad[1]]
    within = (
        (abs(fit["Frequency [Hz]"] - 335e3) <= 35e3)
        & (fit["Quality Factor"] >= 1)
        & (fit["Quality Factor"] <= 1e4)
    )
    return {
        "missing": [int(b.sum()) for b in bad],
        "within": bool(within.all() and (fit["Amplitude [V]"] > 0).all()),
    }


def differing(path, one, other):
    """The datasets of two results groups that differ in a bit."""
    with h5py.File(path) as file:
        one, other = file[one], file[other]
        names = ("Guess", "Fit", "Standard_Errors")
        return [name for name in names if one[name][()].tobytes() != other[name][()].tobytes()]


def begun(path, first, given):
    """Compares a fit that began from `/good` with that and with the first fit."""
    with h5py.File(path) as file:
        first, given = file[first], file[given]
        fit, errors, own = first["Fit"][()], first["Standard_Errors"][()], first["Guess"][()]
        begun, again, good = given["Guess"][()], given["Fit"][()], file["/good"][()]
    there = np.isfinite(good["Frequency [Hz]"])
    near = lambda a, b: bool(np.allclose(a, b, rtol=1e-6))
    fields = fit.dtype.names[:4]
    return {
        "begun": all(near(begun[f][there], good[f][there]) for f in fields),
        "estimated": all(near(begun[f][~there], own[f][~there]) for f in fields),
        "missing": int((~there).sum()),
        "distance": max(float(abs((again[f] - fit[f]) / errors[f]).max()) for f in fields),
    }


def begun_there(path, dataset, given):
    """Whether a fit began from a dataset of the same file."""
    with h5py.File(path) as file:
        there, begun = file[dataset][()], file[given]["Guess"][()]
    return {"same": all(bool(np.allclose(begun[f], there[f], rtol=1e-6)) for f in there.dtype.names[:4])}


def kept(path, group, kept, mode):
    """Every 65th position, all fields; the largest difference relative to what is kept, phases to 1."""
    with h5py.File(path) as file:
        found = {name: file[group][name][::65, 0] for name in ("Guess", "Fit", "Standard_Errors")}
    header = [f"{name}: {field}" for name, data in found.items() for field in data.dtype.names]
    table = np.array([data[field] for data in found.values() for field in data.dtype.names]).T
    if mode == "update":
        np.savetxt(kept, table, fmt="%.9g", delimiter=",", header=",".join(header), comments="")
    with open(kept) as file:
        assert file.readline().strip() == ",".join(header), "other columns"
        expected = np.loadtxt(file, delimiter=",")
    scale = np.where(["Phase" in name for name in header], 1, abs(expected))
    return {"rows": len(table), "worst": float((abs(table - expected) / scale).max())}


def main():
    answer(globals())


if __name__ == "__main__":
    main()
