"""Scans of frames, and what LiberTEM and NumPy make of them, for `tests/frame_maps.rs`.

Each comparison answers how far results are from each reference, relative to the largest of it. LiberTEM computes in
single precision.
"""

import json
import logging
import warnings

import h5py
import numpy as np

from answer import answer

# Scan and frame: lengths that no unit, tile or chunk divides.
SHAPES = {"even": (9, 7, 34, 46), "odd": (9, 7, 33, 45)}
CHUNKS = {"contiguous": None, "frames": (1, 1, 33, 45), "blocks": (4, 3, 16, 11)}


def data(kind, parity="even"):
    """A disk that wanders, speckles in a ring, and counts of both."""
    rng = np.random.default_rng(11)
    rows, columns, height, width = SHAPES[parity]
    y, x = np.mgrid[:height, :width]
    frames = np.empty(SHAPES[parity])
    for row, column in np.ndindex(rows, columns):
        radius = np.hypot(y - height / 2 - np.sin(row), x - width / 2 - np.cos(column))
        turn = np.arctan2(y - height / 2, x - width / 2)
        speckles = np.exp(-(((radius - 11) / 2) ** 2)) * (1 + np.cos((1 + row % 6) * turn + column))
        frames[row, column] = rng.poisson(200 * (radius < 5) + 20 * speckles + 0.5)
    if np.dtype(kind).kind == "f":
        frames = frames * 0.37 + rng.normal(0, 0.1, frames.shape)
    return frames.astype(kind)


def write(path, kind, layout, parity):
    values = data(kind, parity)
    chunks = CHUNKS[layout] and tuple(min(pair) for pair in zip(CHUNKS[layout], values.shape))
    stored = {"chunks": chunks, "compression": "gzip", "compression_opts": 1, "shuffle": True} if chunks else {}
    order = ">" if layout == "blocks" else "<"
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=values.astype(values.dtype.newbyteorder(order)), **stored)


def dataset(path):
    """LiberTEM, and the scan as its data set."""
    import libertem.api

    warnings.simplefilter("ignore")
    logging.disable()
    context = libertem.api.Context.make_with("inline")
    return context, context.load("hdf5", path=path, ds_path="/data", sig_dims=2)


def apart(found, expected):
    if found.shape != expected.shape or (np.isnan(found) != np.isnan(expected)).any():
        return None
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def results(path, group, *names):
    with h5py.File(path) as file:
        return [file[group][name][()] for name in names]


def places(shape, options):
    height, width = shape[2:]
    y, x = np.mgrid[:height, :width]
    return y - options.get("center_y", (height - 1) / 2), x - options.get("center_x", (width - 1) / 2)


def fluctuation(scan, path, group, kind, parity, options):
    from libertem.udf.FEM import FEMUDF

    options = json.loads(options)
    frames = data(kind, parity).astype(float)
    y, x = places(frames.shape, options)
    inner, outer = options["radius_inner"], options["radius"]
    ring = frames[..., (np.hypot(y, x) > inner) & (np.hypot(y, x) <= outer)]
    context, ours = dataset(scan)
    center = (-y[0, 0], -x[0, 0])  # row and column
    theirs = context.run_udf(dataset=ours, udf=FEMUDF(center=center, rad_in=inner, rad_out=outer))
    mean, variance, std, normalized = results(path, group, "Mean", "Variance", "Std", "Normalized_Variance")
    v = (ring**2).mean(-1) / ring.mean(-1) ** 2 - 1
    exact = [apart(mean, ring.mean(-1)), apart(variance, ring.var(-1)), apart(std, ring.std(-1)), apart(normalized, v)]
    return {"libertem": apart(std, theirs["intensity"].data), "numpy": max(exact)}


def main():
    answer(globals())


if __name__ == "__main__":
    main()
