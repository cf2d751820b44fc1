"""Scans whose spectra are computed part by part, for `tests/parts.rs`."""

import json

import h5py
import numpy as np

from answer import answer

LAYOUTS = {
    "contiguous": ((7, 9, 40, 100), None),
    "blocks": ((7, 9, 40, 100), (3, 4, 16, 30)),
    "frames": ((7, 9, 40, 100), (1, 2, 40, 100)),
    # So long that spectra are read part by part.
    "long": ((6, 7, 300, 400), None),
}
FAILS, PANICS, IS_TWICE = 10, 20, 30


def data(layout):
    shape, _ = LAYOUTS[layout]
    values = np.random.default_rng(5).integers(1, 1000, shape, "i4")
    spectra = values.reshape(-1, shape[2] * shape[3])
    spectra[FAILS, 1700] = -1
    spectra[PANICS, 3000] = -2
    spectra[IS_TWICE, [3, -3]] = -3
    return values


def write(path, layout):
    with h5py.File(path, "w") as file:
        file.create_dataset("frames", data=data(layout), chunks=LAYOUTS[layout][1])


def compare(layout, results, group, failed):
    """Whether counts and ranges are those of NumPy, and missing where positions have failed."""
    values, failed = data(layout), json.loads(failed)
    spectra = values.reshape(*values.shape[:2], -1)
    ranges = np.stack([spectra.min(axis=-1), spectra.max(axis=-1)], axis=-1).astype(float)
    counts = np.full(spectra.shape[:2], spectra.shape[-1])
    ranges.reshape(-1, 2)[failed], counts.reshape(-1)[failed] = np.nan, 0
    with h5py.File(results) as file:
        same = [np.array_equal(file[group]["Count"][()], counts)]
        same.append(np.array_equal(file[group]["Range"][()], ranges, equal_nan=True))
    return all(same)


def counts(results, group):
    """The shape of the counts, and which there are."""
    with h5py.File(results) as file:
        found = file[group]["Count"]
        return found.shape, sorted(set(found[()].ravel().tolist()))


def dark(layout, path):
    """Something to take away that is nothing."""
    np.save(path, np.zeros(LAYOUTS[layout][0][2:], "f4"))


if __name__ == "__main__":
    answer(globals())
