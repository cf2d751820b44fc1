"""Scans and results for `tests/cli.rs`."""

import h5py
import numpy as np

from answer import answer


def two_spectra(path, kind):
    """A scan of two peaks at each position, in one of the KINDS of files that name two axes of a row."""
    x = np.arange(120.0)
    first, second = (np.exp(-0.5 * ((x - c) / 6.0) ** 2) for c in (40.0, 90.0))
    rows = np.tile(np.concatenate([first, 3.0 * second]), (12, 1))
    points = np.array([list(range(120)) * 2, [0] * 120 + [1] * 120])
    with h5py.File(path, "w") as file:
        if kind.startswith("usid"):
            main = file.create_dataset("d", data=rows)
            main.attrs["quantity"], main.attrs["units"] = "Deflection", "V"
            if kind == "usid-irregular":
                points[1, 7] = 1
            units = ["1/nm", "1/nm"] if kind == "usid-frames" else ["Hz", "V"]
            for name, table, labels, units in (
                ("Position", np.array([[i % 4, i // 4] for i in range(12)]), ["X", "Y"], ["um", "um"]),
                ("Spectroscopic", points, ["Frequency", "DC_Offset"], units),
            ):
                for part, values in (("Indices", table.astype("u4")), ("Values", (table * 0.5).astype("f4"))):
                    made = file.create_dataset(f"{name}_{part}", data=values)
                    made.attrs["labels"], made.attrs["units"] = np.array(labels, "S"), np.array(units, "S")
                    main.attrs[f"{name}_{part}"] = made.ref
        else:
            main = file.create_dataset("d", data=rows.reshape(3, 4, 2, 120))
            named = {
                "axes": (("bias", "V"), ("energy", "eV")),
                "frames": (("qy", ""), ("qx", "")),
                "array": (),
            }
            for axis, (name, units) in enumerate(named[kind], 2):
                scale = file.create_dataset(name, data=np.arange(main.shape[axis]) * 0.5)
                scale.attrs["units"] = units
                scale.make_scale(name)
                main.dims[axis].attach_scale(scale)


def peaks(path, group):
    """Places and heights of the peaks, by position."""
    with h5py.File(path) as file:
        group = file[group]
        return [group[n][()].reshape(12, -1).tolist() for n in ("Peak_Position", "Peak_Response")]


def main():
    answer(globals())


if __name__ == "__main__":
    main()
