"""Scans whose positions are computed with their neighbours, and what SciPy and NumPy make of them."""

import itertools
import json

import h5py
import numpy as np
from scipy import ndimage

from answer import answer

# Name, positions and spectra, element type, and how it is stored.
DATASETS = {
    "line": ((23,), (31,), "f8", {}),
    "frames": ((9, 11), (6, 7), ">u2", {}),
    "floats": ((9, 11), (40,), "f4", {"chunks": (2, 11, 40)}),
    "blocks": ((13, 12), (9, 10), "<u2", {"chunks": (4, 5, 5, 10), "compression": "gzip", "shuffle": True}),
    "turned": ((7, 10), (33,), "i4", {"axes": (2, 1), "chunks": (8, 3, 4), "compression": "gzip"}),
    "volume": ((4, 5, 6), (17,), "f4", {"chunks": (2, 2, 5, 17), "compression": "gzip"}),
    "fast": ((8, 9), (1500,), "f4", {}),
    "many": ((20, 40), (500,), "<u2", {"chunks": (2, 2, 500), "compression": "gzip"}),
    "long": ((5, 12), (3,), "i8", {}),
}


def values(scan, spectrum, kind, seed):
    rng = np.random.default_rng(seed)
    if np.dtype(kind).kind == "f":
        return rng.normal(0, 100, scan + spectrum).astype(kind)
    return rng.integers(0, 50000, scan + spectrum).astype(kind)


def write(path):
    """Writes all of them; returns the axes that are positions."""
    axes = {}
    with h5py.File(path, "w") as file:
        for seed, (name, (scan, spectrum, kind, stored)) in enumerate(DATASETS.items()):
            data = values(scan, spectrum, kind, seed)
            if name == "long":
                data[2, 6, 1] = 2**53 + 1
            stored = dict(stored)
            positions = stored.pop("axes", tuple(range(len(scan))))
            if positions != tuple(range(len(scan))):
                data = data.transpose()
            file.create_dataset(name, data=data, **stored)
            axes[name] = ",".join(map(str, positions))
    return axes


def read(path, name):
    """Positions in their order, then the spectrum, in double precision."""
    with h5py.File(path) as file:
        data = file[name][()].astype(float)
    return data.transpose() if "axes" in DATASETS[name][3] else data


def window(data, before, behind, pad):
    """All values around each position, on an axis of their own behind the others."""
    scan = len(before)
    padded = np.pad(data, [(b, a) for b, a in zip(before, behind)] + [(0, 0)] * (data.ndim - scan), constant_values=pad)
    parts = []
    for shift in itertools.product(*(range(b + a + 1) for b, a in zip(before, behind))):
        parts.append(padded[tuple(slice(s, s + n) for s, n in zip(shift, data.shape))])
    return np.stack(parts, -1)


def median(data, size, edges):
    scan = len(size)
    if edges != "missing":
        return ndimage.median_filter(data, size=(*size, *[1] * (data.ndim - scan)), mode=edges)
    around = window(data, [s // 2 for s in size], [s - s // 2 - 1 for s in size], np.nan)
    counts = (~np.isnan(around)).sum(-1)
    return np.take_along_axis(np.sort(around, -1), (counts // 2)[..., None], -1)[..., 0]


def gaussian(data, sigma, edges):
    sigma = (*sigma, *[0] * (data.ndim - len(sigma)))
    if edges != "missing":
        return ndimage.gaussian_filter(data, sigma, mode=edges, truncate=4.0)
    zeros = {"mode": "constant", "cval": 0.0, "truncate": 4.0}
    return ndimage.gaussian_filter(data, sigma, **zeros) / ndimage.gaussian_filter(np.ones_like(data), sigma, **zeros)


def denoised(path, name, results, group, method, value, edges):
    """How far the results are off what SciPy gives, in units of the last place."""
    data, scan = read(path, name), len(DATASETS[name][0])
    value = json.loads(value)
    each = value if isinstance(value, list) else [value] * scan
    expected = {"median": median, "gaussian": gaussian}[method](data, each, edges)
    with h5py.File(results) as file:
        found = file[group]["Denoised"][()]
    if found.shape != expected.shape:
        return f"{found.shape}, not {expected.shape}"
    expected = expected.astype(found.dtype)
    largest = np.abs(data).max() if method == "gaussian" else 0
    steps = np.abs(found - expected) / np.spacing(np.maximum(np.abs(expected), largest).astype(found.dtype))
    return float(steps.max())


def correlated(path, name, results, group, size, diagonal):
    """How far the correlations, and the counts of neighbours, are off those of NumPy."""
    data, scan = read(path, name), len(DATASETS[name][0])
    reach = int(size) // 2
    spectra = data.reshape(*data.shape[:scan], -1)
    expected, counts = np.full(spectra.shape[:scan], np.nan), np.zeros(spectra.shape[:scan])
    for place in np.ndindex(*spectra.shape[:scan]):
        found = []
        for offset in itertools.product(range(-reach, reach + 1), repeat=scan):
            there = tuple(np.add(place, offset))
            inside = all(0 <= step < length for step, length in zip(there, spectra.shape))
            if inside and any(offset) and (diagonal == "true" or np.count_nonzero(offset) == 1):
                found.append(np.corrcoef(spectra[place], spectra[there])[0, 1])
        expected[place], counts[place] = np.mean(found), len(found)
    with h5py.File(results) as file:
        own = file[group]
        worst = np.abs(own["Local_Correlation"][()].reshape(expected.shape) - expected).max()
        return [float(worst), int((own["Neighbours"][()].reshape(counts.shape) != counts).sum())]


def damage(path, name, number):
    """Breaks the stored bytes of a chunk; returns the number of each position that needs it, with a reach of 1."""
    scan = DATASETS[name][0]
    with h5py.File(path) as file:
        chunk = file[name].id.get_chunk_info(int(number))
        lengths = file[name].chunks
    with open(path, "r+b") as file:
        file.seek(chunk.byte_offset)
        file.write(b"\xff" * chunk.size)
    begin = chunk.chunk_offset[: len(scan)]
    box = tuple(slice(max(b - 1, 0), b + n + 1) for b, n in zip(begin, lengths))
    return np.arange(np.prod(scan)).reshape(scan)[box].ravel().tolist()


def seen(path, name, options, dark, gain, dead):
    """Writes what a process sees of a dataset with these options into a file of its own."""
    data, scan = read(path, name), len(DATASETS[name][0])
    rng = np.random.default_rng(3)
    shape = data.shape[scan:]
    arrays = {dark: rng.normal(100, 5, shape), gain: rng.normal(1, 0.1, shape)}
    is_dead = np.zeros(shape, bool)
    # The first, the last, and where what is computed at a time ends.
    is_dead.flat[[0, 1024 % is_dead.size, -1]] = True
    arrays[dead] = is_dead
    for file, array in arrays.items():
        np.save(file, array)
    if "--dark" in options:
        data = data - arrays[dark]
    if "--gain" in options:
        data = data * arrays[gain]
    axis = options.split("--along ")[1] if "--along" in options else ""
    if "--dead-pixels" in options:
        good = data.copy()
        along = [int(axis)] if axis else range(len(shape))
        for at in np.argwhere(is_dead):
            beside = []
            for of in along:
                for step in (-1, 1):
                    there = at.copy()
                    there[of] += step
                    if 0 <= there[of] < shape[of] and not is_dead[tuple(there)]:
                        beside.append(data[(..., *there)])
            good[(..., *at)] = sum(beside) / len(beside)
        data = good
    if "--crop" in options:
        data = data[..., 2:8:2, :]
    file = f"{path}.seen.h5"
    with h5py.File(file, "w") as opened:
        opened["seen"] = data
    return {"file": file, "axes": ",".join(map(str, range(scan))), "along": axis}


def same(path, name, one, group, other, other_group):
    """The datasets of two results groups that aren't the same."""
    with h5py.File(one) as first, h5py.File(other) as second:
        results = {"Surrounded", "Denoised", "Local_Correlation", "Neighbours", "Rebinned"} & set(first[group])
        pairs = {name: (first[group][name][()], second[other_group][name][()]) for name in results}
        differ = [name for name, (a, b) in pairs.items() if not np.array_equal(a, b.astype(a.dtype), equal_nan=True)]
        return differ if pairs else ["no results"]


def main():
    answer(globals())


if __name__ == "__main__":
    main()
