"""What h5py reads of the scans whose page `tests/view.rs` looks at."""

import h5py
import numpy as np

from answer import answer


def frames(path):
    """Writes a scan of 8 × 12 frames of 10 × 16 points, with axes and units."""
    values = np.random.default_rng(15).poisson(40, (8, 12, 10, 16)).astype("u2")
    with h5py.File(path, "w") as file:
        data = file.create_dataset("scan", data=values, chunks=(2, 3, 10, 16), compression="gzip")
        data.attrs["quantity"], data.attrs["units"] = "Intensity", "counts"
        for axis, name in enumerate(["y", "x", "qy", "qx"]):
            scale = file.create_dataset(name, data=0.5 * np.arange(values.shape[axis]))
            scale.make_scale(name)
            data.dims[axis].label = name
            data.dims[axis].attach_scale(scale)


def records(path):
    """Writes a scan of 400 × 400 positions with four numbers each."""
    kind = np.dtype([(f"field {number}", "f8") for number in range(4)])
    values = np.random.default_rng(15).random((400, 400, 4)).view(kind)[..., 0]
    with h5py.File(path, "w") as file:
        file["records"] = values


def at(path, dataset, position):
    """All values of a position of a dataset with one or two axes of positions; complex ones as two lists."""
    with h5py.File(path) as file:
        data = file[dataset]
        values = data[int(position)] if data.ndim < 4 else data[np.unravel_index(int(position), data.shape[:2])]
    values = values.ravel()
    if np.iscomplexobj(values):
        return [np.abs(values.astype(complex)).tolist(), np.angle(values.astype(complex)).tolist()]
    return values.astype(float).tolist()


def column(path, dataset):
    """The first value of each position, none where that is no number."""
    with h5py.File(path) as file:
        return [None if np.isnan(value) else float(value) for value in file[dataset][:, 0].astype(float)]


def sums(path, dataset, detector):
    """Sums over what each position has, or over a part of it that is written as NumPy's index."""
    with h5py.File(path) as file:
        values = file[dataset][()]
    if np.iscomplexobj(values):
        values = np.abs(values.astype(complex))
    inside = eval(f"np.s_[{detector}]")
    each = values.reshape(-1, *values.shape[2 if values.ndim == 4 else 1 :]).astype(float)
    return [float(one[inside].sum()) for one in each]


def disk(path, dataset, row, column, radius):
    """Sums over a disk of frames."""
    with h5py.File(path) as file:
        values = file[dataset][()].astype(float)
    rows, columns = np.mgrid[: values.shape[2], : values.shape[3]]
    inside = (rows - float(row)) ** 2 + (columns - float(column)) ** 2 <= float(radius) ** 2
    return (values * inside).sum(axis=(2, 3)).ravel().tolist()


if __name__ == "__main__":
    answer(globals())
