"""Scans that are larger than the memory that `tests/memory.rs` gives, and what the system's cache has of them."""

import ctypes
import mmap
import os

import h5py
import numpy as np

from answer import answer


def make(path, positions):
    """A long scan that takes no room on the disk, and a mask."""
    with h5py.File(path, "w") as file:
        count = int(positions)
        list = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        list.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        list.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space = h5py.h5s.create_simple((count, 4))
        h5py.h5d.create(file.id, b"data", h5py.h5t.IEEE_F32LE, space, list)
        file["data"][-3:] = [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]
        file["mask"] = np.arange(count) % 2 == 0


def sums(path):
    """The last sums, the largest of the others, and whether all are done."""
    with h5py.File(path) as file:
        group = file["data-Sum_000"]
        return [
            group["Sum"][-5:].ravel().tolist(),
            float(group["Sum"][:-3].max()),
            int(group["completed_positions"][()].min()),
        ]


def wide(path):
    """A scan of ones in chunks, of odd numbers of positions."""
    with h5py.File(path, "w") as file:
        data = file.create_dataset("data", (512, 1024, 64), "u1", chunks=(15, 33, 64), compression="lzf")
        for first in range(0, 512, 15):
            data[first : first + 15] = 1


def bins(path):
    """The shape of its bins, the least of them and the largest."""
    with h5py.File(path) as file:
        found = file["data-Rebin_000/Rebinned"]
        return [list(found.shape), int(found[()].min()), int(found[()].max())]


def add_offset(path):
    """An auxiliary input that is one chunk."""
    with h5py.File(path, "r+") as file:
        file.create_dataset("offset", data=np.zeros((100000, 40)), chunks=(100000, 40), compression="gzip")


def spectra(path, positions, chunk):
    """Writes so many spectra of a thousand values, contiguous or in chunks of so many of them."""
    values = np.random.default_rng(1).normal(0, 1, (int(positions), 1024)).astype("f4")
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=values, chunks=(int(chunk), 1024) if int(chunk) else None)


def frames(path):
    """A few large frames, with a dark and a mask of dead pixels in double precision."""
    shape = (2000, 2000)
    with h5py.File(path, "w") as file:
        file["data"] = np.ones((2, *shape), "u1")
        file["dark"] = np.full(shape, 0.1)
        mask = np.zeros(shape)
        mask[0, 0] = 1
        file["mask"] = mask


def cached(path):
    """Rows, and the same in chunks, on the disk and in the system's cache."""
    data = np.random.default_rng(0).random((512, 4096), "f4")
    with h5py.File(path, "w") as file:
        file["rows"] = data
        file.create_dataset("chunks", data=data, chunks=(32, 4096), compression="gzip", compression_opts=1)
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        file.read()


def pages(path):
    """How many pages of a file the system's cache has, and how many there are."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE) as bytes:
        count = -(-len(bytes) // mmap.PAGESIZE)
        there = (ctypes.c_ubyte * count)()
        start = ctypes.addressof(ctypes.c_char.from_buffer(bytes))
        if ctypes.CDLL(None, use_errno=True).mincore(ctypes.c_void_p(start), ctypes.c_size_t(len(bytes)), there):
            raise OSError(ctypes.get_errno(), "mincore")
        return [sum(page & 1 for page in there), count]


def long(path):
    """Rows of more than a fingerprint reads all of, at an odd place of a file that the cache has nothing of."""
    with h5py.File(path, "w", userblock_size=512) as file:
        file["rows"] = np.random.default_rng(0).integers(0, 1 << 16, (17_000, 2047), "u2")
    with open(path, "rb") as file:
        os.fsync(file.fileno())
    forget(path)


def forget(path):
    """Lets the system's cache forget a file."""
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def sums_are_right(path, out):
    """Whether all results are the sums of the rows, and of each point."""
    with h5py.File(path) as file, h5py.File(out) as results:
        rows = file["rows"][()]
        of_rows, of_points = results["rows-Sum_000/Sum"][()].ravel(), results["rows-Statistics_000/Sum"][()].ravel()
        return bool((of_rows == rows.sum(1)).all() and (of_points == rows.sum(0)).all())


def main():
    answer(globals())


if __name__ == "__main__":
    main()
