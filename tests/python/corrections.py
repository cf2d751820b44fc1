"""Frames with a dark, a gain and dead pixels, and what NumPy makes of them."""

from pathlib import Path

import h5py
import numpy as np

from answer import answer
from digest import digests

SHAPE = (4, 5, 16, 24)
DEAD = [(3, 5), (3, 6), (15, 23)]


def arrays():
    rng = np.random.default_rng(8)
    frames = rng.integers(0, 60000, SHAPE).astype(">u2")
    dark, gain = rng.normal(100, 10, SHAPE[2:]).astype("f4"), rng.uniform(0.5, 2, SHAPE[2:])
    mask = np.zeros(SHAPE[2:], bool)
    mask[tuple(np.transpose(DEAD))] = True
    return frames, dark, gain, mask


def write(path):
    frames, dark, gain, mask = arrays()
    folder = Path(path).parent
    with h5py.File(path, "w") as file:
        file.create_dataset("d", data=frames, chunks=(2, 2, 8, 8), compression="gzip", shuffle=True)
        file["dark"], file["gain"] = dark, gain
    with h5py.File(folder / "other.h5", "w") as file:
        file["dark"] = dark
    for name, array in {
        "dark": dark,
        "gain": np.asfortranarray(gain),
        "mask": mask,
        "wide": np.zeros((16, 25)),
        "complex": dark.astype("c8"),
        "all_dead": np.ones(SHAPE[2:], bool),
        "unknown": np.where(mask, np.nan, 0),
        "tenth": np.full(SHAPE[2:], 0.1),
        "long": at_first(2**53 + 1, np.int64),
        "longest": at_first(2**64 - 1, np.uint64),
        "odd": at_first(2**24 + 1, np.int32),
        "huge": at_first(1e300, float),
    }.items():
        np.save(folder / f"{name}.npy", array)


def at_first(value, kind):
    """An array of a spectrum's shape, of which only the first value isn't 0."""
    array = np.zeros(SHAPE[2:], kind)
    array[0, 0] = value
    return array


def firsts(path, results, group):
    """Whether the first values of all spectra, in single precision, are those without a tenth."""
    frames = arrays()[0][:, :, 0, 0].astype("f4")
    with h5py.File(results) as file:
        return bool((file[group]["First"][()].reshape(frames.shape) == frames - np.float32(0.1)).all())


def write_long(path):
    """64-bit integers that double precision hasn't: in each spectrum at 0, 0, in one at 3, 4 too."""
    with h5py.File(path, "r+") as file:
        frames = file["d"][()].astype("u8")
        frames[:, :, 0, 0] = 2**64 - 1
        frames[1, 2, 3, 4] = 2**53 + 1
        file["long"] = frames


def seen(how, position):
    """What `digest` makes of a position."""
    spectra = corrected(how.split(",")).reshape(20, -1)
    return digests(spectra)[int(position)]


def change(path):
    array = np.load(path)
    array[7, 9] += 1
    np.save(path, array)


def corrected(how):
    """All frames as the process `digest`, which computes in double precision, sees them."""
    frames, dark, gain, mask = arrays()
    seen = frames.astype(float)
    if "dark" in how:
        seen = seen - dark.astype(float)
    if "gain" in how:
        seen = seen * gain
    if "dead" in how:
        seen = mended(seen, mask, rows="rows" in how)
    return seen[:, :, 2:15:2, 4:20] if "crop" in how else seen


def mended(frames, mask, rows):
    """With the means of the good values beside dead ones: along rows alone, or columns as well."""
    result = frames.copy()
    for row, column in DEAD:
        places = [] if rows else [(row - 1, column), (row + 1, column)]
        places += [(row, column - 1), (row, column + 1)]
        inside = [(y, x) for y, x in places if y in range(SHAPE[2]) and x in range(SHAPE[3]) and not mask[y, x]]
        total = 0.0
        for y, x in inside:
            total = total + frames[:, :, y, x]
        result[:, :, row, column] = total / len(inside)
    return result


def wrong(path, results, group, how):
    seen = corrected(how.split(","))
    spectra = seen.reshape(-1, seen.shape[-1]) if "rows" in how else seen.reshape(20, -1)
    with h5py.File(results) as file:
        found = file[group]["Digest"][()].reshape(-1)
    return int((found != digests(spectra)).sum()) if found.size == len(spectra) else -1


def main():
    answer(globals())


if __name__ == "__main__":
    main()
