"""A file that begins with something else, for `tests/user_block.rs`."""

import h5py
import numpy as np

from answer import answer


def make(path):
    """Datasets in all ways of storing behind a user block; their sums."""
    data = np.arange(4 * 5 * 30).reshape(4, 5, 30).astype("u2")
    with h5py.File(path, "w", userblock_size=1024, libver="earliest") as file:
        file.create_dataset("contiguous", data=data)
        file.create_dataset("plain", data=data, chunks=(2, 3, 10))
        file.create_dataset("gzip", data=data, chunks=(2, 3, 10), compression="gzip")
    return data.sum(axis=2).ravel().tolist()


def sums(path, group):
    """The sums of a results group."""
    with h5py.File(path) as file:
        return file[group + "/Sum"][()].ravel().tolist()


def main():
    answer(globals())


if __name__ == "__main__":
    main()
