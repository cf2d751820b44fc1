"""Sources that change, for `tests/provenance.rs`."""

import h5py
from h5py import h5d, h5p, h5s, h5t

from answer import answer


def double(path, dataset):
    """Doubles one row of the data."""
    with h5py.File(path, "r+") as file:
        file[dataset][3] *= 2


def sparse(path):
    """4 GiB of data that take no room on the disk."""
    how = h5p.create(h5p.DATASET_CREATE)
    how.set_alloc_time(h5d.ALLOC_TIME_EARLY)
    how.set_fill_time(h5d.FILL_TIME_NEVER)
    space = h5s.create_simple((4100, 1 << 17))
    with h5py.File(path, "w") as file:
        h5d.create(file.id, b"d", h5t.IEEE_F64LE, space, how)


def change(path):
    """Changes one value."""
    with h5py.File(path, "r+") as file:
        file["d"][1001, 77] = 1


def parameters(path, group):
    """The recorded identity."""
    with h5py.File(path) as file:
        return file[group].attrs["parameters"]


def main():
    answer(globals())


if __name__ == "__main__":
    main()
