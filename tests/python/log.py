"""Files for `tests/log.rs`."""

import h5py
import numpy as np

from answer import answer


def ways(path):
    """Datasets that are read in different ways."""
    with h5py.File(path, "w") as file:
        values = np.ones((6, 5, 4))
        file.create_dataset("chunked", data=values, chunks=(2, 5, 2), compression="gzip")
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((6, 4))
        h5py.h5d.create(file.id, b"compact", h5py.h5t.IEEE_F64LE, space, creation)


def main():
    answer(globals())


if __name__ == "__main__":
    main()
