"""Data that change, and what is known of them, for `tests/data.rs`."""

import json

import h5py
import numpy as np

from answer import answer


def make(path, chunked):
    """72 MiB of bytes that tell their position."""
    with h5py.File(path, "w") as file:
        chunks = (2, 65536) if chunked == "true" else None
        data = file.create_dataset("data", (1152, 65536), "u1", chunks=chunks)
        data[()] = np.repeat(np.arange(1152).astype("u1"), 65536).reshape(1152, 65536)


def add(path, position, by):
    """Adds to one value of a position."""
    with h5py.File(path, "r+") as file:
        file["data"][int(position), 77] += int(by)


def newest_digest(path):
    """The newest line of the digest of the data."""
    with h5py.File(path) as file:
        found = []
        file.visititems(lambda name, what: found.append(what[()]) if name.endswith("/data_digest") else None)
    lines = [json.loads(line.decode().split(" ", 1)[1]) for line in found[0] if line]
    return max(lines, key=lambda line: line["number"])


def add_offset(path):
    """A dataset beside the source."""
    with h5py.File(path, "r+") as file:
        file["offset"] = np.arange(4096.0)


def offset(path, dataset):
    """Where the bytes of a dataset begin in the file."""
    with h5py.File(path, "r") as file:
        return file[dataset].id.get_offset()


def check_sums(path):
    """Whether what is marked is right, in each of the results groups; how many these are."""
    with h5py.File(path) as file:
        sums = file["data"][()].sum(axis=1, dtype=float)
        groups = [name for name in file if name.startswith("data-Sum")]
        for name in groups:
            done = file[name]["completed_positions"][()] == 1
            assert (file[name]["Sum"][()][done] == sums[done]).all(), name
        return len(groups)


def make_each(*names):
    """Files of 16 MiB, each with a number of its own."""
    for number, name in enumerate(names, 1):
        with h5py.File(name, "w") as file:
            file["data"] = np.full((64, 65536), number, "f4")


def main():
    answer(globals())


if __name__ == "__main__":
    main()
