"""Scans that every process has to cope with, and what came of them, for `tests/contract.rs`."""

import hashlib

import h5py
import numpy as np

from answer import answer


BIAS = 8 * np.sin(2 * np.pi * np.arange(120) / 120)


def loops(bias):
    """256 noisy loops that open by and by."""
    shift = np.where(np.roll(bias, -1) < bias, -1, 1) * np.linspace(1, 3, 256)[:, None]
    noise = np.random.default_rng(0).standard_normal((256, len(bias)))
    return (np.tanh((bias - shift) / 2) + 0.05 * noise).astype("float32")


def currents(bias):
    """256 noisy currents in nA of conductances of some nS."""
    noise = np.random.default_rng(0).standard_normal((256, len(bias)))
    return (np.linspace(2, 5, 256)[:, None] * bias + 0.02 * noise).astype("float32")


def make(path, kind, strange):
    """Cuts the sample to 256 positions of an element type, with strange spectra if `strange` says so."""
    with h5py.File(path, "r+") as file:
        old = file["Measurement_000/Channel_000/Raw_Data"]
        if kind == "frames":
            data = np.abs(old[:256, : 9 * 13]).astype("float32")
        elif kind in ("loops", "currents"):
            data = loops(BIAS) if kind == "loops" else currents(BIAS)
        else:
            data = old[:256] if kind == "complex64" else np.abs(old[:256]).astype(kind)
        if strange == "strange":
            data[0], data[1], data[2] = np.nan, 0, data[2][0]
        attributes = dict(old.attrs)
        del file["Measurement_000/Channel_000/Raw_Data"]
        new = file["Measurement_000/Channel_000"].create_dataset("Raw_Data", data=data)
        for name, value in attributes.items():
            new.attrs[name] = value
        for name in ("Position_Indices", "Position_Values"):
            table = file["Measurement_000/Channel_000"][name]
            kept, labels = table[:256], dict(table.attrs)
            del file["Measurement_000/Channel_000"][name]
            table = file["Measurement_000/Channel_000"].create_dataset(name, data=kept)
            for key, value in labels.items():
                table.attrs[key] = value
            new.attrs[name] = table.ref
        if kind == "currents":
            new.attrs["units"] = "nA"
        if kind in ("frames", "loops", "currents"):
            steps = np.indices((9, 13)).reshape(2, -1)
            axes = (steps, steps, ["Y", "X"], ["px", "px"])
            if kind != "frames":
                axes = (np.arange(len(BIAS))[None], BIAS[None], ["Bias"], ["V"])
            indices, values, labels, units = axes
            for name, type_, of in (("Indices", "u4", indices), ("Values", "f4", values)):
                name = f"Spectroscopic_{name}"
                del file["Measurement_000/Channel_000"][name]
                table = file["Measurement_000/Channel_000"].create_dataset(name, data=of.astype(type_))
                table.attrs["labels"], table.attrs["units"] = labels, units
                new.attrs[name] = table.ref
        file["template"] = [0.0, 1, 3, 4, 3, 1, 0]  # for what finds one


def results(path, group):
    """Digest and number of values that are no numbers of each results dataset."""
    with h5py.File(path, "r") as file:
        group, found = file[group], {}
        for name in group:
            data = group[name][()]
            if "quantity" in group[name].attrs:
                parts = [data[field] for field in data.dtype.names] if data.dtype.names else [data]
                bad = sum(int((~np.isfinite(part)).sum()) for part in parts if part.dtype.kind in "fc")
                found[name] = [hashlib.sha256(data.tobytes()).hexdigest(), bad]
    return found


def main():
    answer(globals())


if __name__ == "__main__":
    main()
