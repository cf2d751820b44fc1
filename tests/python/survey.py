"""Scans that are surveyed, for `tests/survey.rs`."""

import h5py
import numpy as np

from answer import answer


def add(path, position, by):
    """Adds to one value of a position of a scan of frames."""
    with h5py.File(path, "r+") as file:
        data = file["data"]
        data[(*np.unravel_index(int(position), data.shape[:2]), 1, 2)] += int(by)


def large(path):
    """A scan of more positions than a picture has pixels, in chunks that no pixel ends with."""
    values = np.random.default_rng(5).normal(10, 1, (1000, 150, 7)).astype("f4")
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=values, chunks=(32, 11, 7), compression="gzip", compression_opts=1)


def mean(path, point):
    """Of one point in the first pixel of such a scan, added up in order."""
    with h5py.File(path) as file:
        first, second, third = file["data"][:3, 0, int(point)].astype(float)
    return float((first + second + third) / 3)


def value(path, point):
    """Of the first position."""
    with h5py.File(path) as file:
        return float(file["data"][0, 0].ravel()[int(point)])


def damaged(path, layout):
    """A scan of 15 spectra with one damaged chunk: of its own, or of one of the files that it is put together from."""
    values = np.random.default_rng(6).normal(10, 1, (15, 40)).astype("f4")
    packed = {"compression": "gzip"}
    if layout == "virtual":
        parts = [f"{path}.{number}" for number in range(3)]
        whole = h5py.VirtualLayout(values.shape, values.dtype)
        for number, part in enumerate(parts):
            with h5py.File(part, "w") as file:
                data = file.create_dataset("data", data=values[5 * number :][:5], chunks=(2, 40), **packed)
                whole[5 * number : 5 * number + 5] = h5py.VirtualSource(data)
        with h5py.File(path, "w") as file:
            file.create_virtual_dataset("data", whole)
        path = parts[1]
    else:
        with h5py.File(path, "w") as file:
            file.create_dataset("data", data=values, chunks=(4, 40), **packed)
    with h5py.File(path) as file:
        chunk = file["data"].id.get_chunk_info(0)
    with open(path, "r+b") as file:
        file.seek(chunk.byte_offset + chunk.size // 2)
        file.write(bytes(16))


if __name__ == "__main__":
    answer(globals())
