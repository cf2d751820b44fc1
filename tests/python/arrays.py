"""Files for `tests/arrays.rs`."""

import h5py
import numpy as np

from answer import answer


def usid(path, rows):
    """An h5USID scan of so many positions of 2 × 3, with spectra on the axes 2 × 3 × 4; fastest axis first."""
    with h5py.File(path, "w") as file:
        group = file.create_group("Measurement_000")
        data = np.arange(int(rows) * 24, dtype="f4").reshape(int(rows), 24)
        made = group.create_dataset("Raw_Data", data=data)
        made.attrs.update({"quantity": "Current", "units": "nA"})
        table(group, "Position", (2, 3), ["Y", "X"], lambda steps: steps.T[: int(rows)])
        table(group, "Spectroscopic", (2, 3, 4), ["Cycle", "Field", "Bias"], lambda steps: steps)


def plain(path, raw, *lengths):
    """The numbers in `raw` as an array."""
    with h5py.File(path, "w") as file:
        file["frames"] = np.fromfile(raw, "f4").reshape([int(length) for length in lengths])


def table(group, name, lengths, labels, turned):
    steps = turned(np.indices(lengths).reshape(len(lengths), -1)[::-1])
    for kind, dtype in (("Indices", "u4"), ("Values", "f4")):
        made = group.create_dataset(f"{name}_{kind}", data=steps.astype(dtype))
        made.attrs["labels"], made.attrs["units"] = labels[::-1], ["nm"] * len(labels)
        group["Raw_Data"].attrs[f"{name}_{kind}"] = made.ref


def main():
    answer(globals())


if __name__ == "__main__":
    main()
