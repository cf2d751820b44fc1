"""Scans of frames, and what LiberTEM, scikit-image and NumPy make of them, for `tests/frame_maps.rs`.

Each comparison answers how far results are from each reference, relative to the largest of it. LiberTEM computes in
single precision.
"""

import json
import logging
import warnings

import h5py
import numpy as np

from answer import answer
from waves_and_shifts import hologram

# Scan and frame: lengths that no unit, tile or chunk divides.
SHAPES = {"even": (9, 7, 34, 46), "odd": (9, 7, 33, 45), "sample": (2, 3, 25, 33)}
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


def sample(path):
    """Few patterns and few holograms, the sideband of which is at [5, 8]."""
    rng = np.random.default_rng(4)
    patterns = data("u2", "sample")
    height, width = patterns.shape[2:]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    holograms = np.empty(patterns.shape)
    for at in np.ndindex(*patterns.shape[:2]):
        bump = np.exp(-((y - 0.1 * at[0]) ** 2 + (x + 0.2 * at[1]) ** 2) / 0.2)
        holograms[at] = hologram((height, width), (5, 8), 2 * bump, 1 - 0.3 * bump, rng)
    with h5py.File(path, "w") as file:
        file["patterns"], file["template"] = patterns, patterns[0, 0, 2:11, 12:24]
        file["reference"] = patterns.mean((0, 1)).astype("u2")
        file["holograms"] = holograms.astype("u2")


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


def radial_fourier(scan, path, group, kind, parity, options):
    options = json.loads(options)
    frames = data(kind, parity).astype(float)
    y, x = places(frames.shape, options)
    radius, angle = np.hypot(y, x), np.arctan2(y, x)
    bins, inner, outer = options["bins"], options["radius_inner"], options["radius"]
    orders = np.arange(options["max_order"] + 1)
    edges = np.linspace(inner, outer, bins + 1)
    expected = []
    for low, high in zip(edges, edges[1:]):
        rising = np.inf if low == 0 else radius - low
        weight = np.clip(np.minimum(rising, high - radius) + 0.5, 0, 1)
        waves = weight * np.exp(1j * orders[:, None, None] * angle)
        waves[1:, radius == 0] = 0
        expected.append(np.einsum("myx,abyx->abm", waves, frames))
    expected = np.stack(expected, axis=2)
    context, ours = dataset(scan)
    where = {"cy": -y[0, 0], "cx": -x[0, 0], "ri": inner, "ro": outer}
    analysis = context.create_radial_fourier_analysis(dataset=ours, **where, n_bins=bins, max_order=int(orders[-1]))
    theirs = np.moveaxis(context.run(analysis).raw_results, (0, 1), (2, 3)).copy()
    # There the point at the centre has the direction 0.
    theirs[:, :, 0, 1:] -= frames[..., radius == 0].sum(-1)[..., None] * (inner < 0.5)
    found, dominant = results(path, group, "Coefficients", "Dominant_Order")
    wrong = int((dominant != np.abs(expected[..., 1:]).argmax(-1) + 1).sum()) if len(orders) > 1 else 0
    return {"libertem": apart(found, theirs), "numpy": apart(found, expected), "wrong": wrong}


def crystallinity(scan, path, group, kind, parity, options):
    from libertem.udf.crystallinity import CrystallinityUDF

    options = json.loads(options)
    frames = data(kind, parity).astype(float)
    height, width = frames.shape[2:]
    y, x = places(frames.shape, options)
    masked = options.get("mask_radius")
    if masked is not None:
        frames[..., np.hypot(y, x) <= masked] = 0
    v, u = np.fft.fftfreq(height, 1 / height)[:, None], np.fft.fftfreq(width, 1 / width)
    ring = (np.hypot(v, u) > options["radius_inner"]) & (np.hypot(v, u) <= options["radius"])
    amplitude = np.abs(np.fft.fft2(frames))
    counted = ring & ((u >= 0) | (2 * u == -width)) if options["half"] else ring
    power = (amplitude**2 * ring).sum((2, 3)) / (amplitude.astype(float) ** 2).sum((2, 3), where=(v != 0) | (u != 0))
    found, fraction = results(path, group, "Crystallinity", "Power_Fraction")
    told = {"numpy": max(apart(found, (amplitude * counted).sum((2, 3))), apart(fraction, power))}
    context, ours = dataset(scan)
    center = None if masked is None else (-y[0, 0], -x[0, 0])
    udf = CrystallinityUDF(rad_in=options["radius_inner"], rad_out=options["radius"], real_center=center, real_rad=masked)
    told["libertem"] = apart(found, context.run_udf(dataset=ours, udf=udf)["intensity"].data)
    return told


def template(path, kind):
    """A part of a frame, or of the row of one."""
    frame = data("f4")[4, 3]
    np.save(path, frame[10:24, 14:29] if kind == "frame" else frame[17, 14:29])


def cross_correlation(path, group, kind, parity, of):
    from skimage.feature import match_template

    frames = data(kind, parity).astype(float)
    patch = data("f4")[4, 3][10:24, 14:29].astype(float)
    if of == "spectrum":
        return spectra(path, group, frames, data("f4")[4, 3][17, 14:29].astype(float))
    found, row, column = results(path, group, "Correlation", "Row", "Column")
    height, most = np.empty(frames.shape[:2]), 0
    for at in np.ndindex(*frames.shape[:2]):
        gamma = match_template(frames[at], patch)
        height[at] = gamma.max()
        top = np.unravel_index(gamma.argmax(), gamma.shape)
        place = [step + top_of(gamma, top, axis) for axis, step in enumerate(top)]
        middle = [(length - 1) / 2 for length in patch.shape]
        most = max(most, abs(row[at] - place[0] - middle[0]), abs(column[at] - place[1] - middle[1]))
    return {"correlation": apart(found, height), "places": float(most)}


def spectra(path, group, frames, patch):
    """Rows of frames, by the formula."""
    found, point, place = results(path, group, "Correlation", "Point", "Place")
    windows = np.lib.stride_tricks.sliding_window_view(frames, len(patch), axis=3)
    own = windows - windows.mean(-1, keepdims=True)
    other = patch - patch.mean()
    norm = np.sqrt((own**2).sum(-1) * (other**2).sum())
    # What is constant under the template is like nothing.
    gamma = np.where(norm > 1e-9, (own * other).sum(-1) / np.where(norm > 1e-9, norm, 1), 0)
    tops = gamma.argmax(-1)
    places = np.empty(tops.shape)
    for at in np.ndindex(*tops.shape):
        places[at] = tops[at] + top_of(gamma[at], (tops[at],), 0) + (len(patch) - 1) / 2
    told = max(float(np.abs(point - places).max()), float(np.abs(place - places).max()))
    return {"correlation": apart(found, gamma.max(-1)), "places": told}


def top_of(gamma, top, axis):
    """How far the top of a parabola is from the largest value, along an axis."""
    if not 0 < top[axis] < gamma.shape[axis] - 1:
        return 0.0
    step = np.eye(len(top), dtype=int)[axis]
    before, own, behind = (gamma[tuple(np.array(top) + way * step)] for way in (-1, 0, 1))
    return float(np.clip(0.5 * (before - behind) / (before - 2 * own + behind), -0.5, 0.5))


def main():
    answer(globals())


if __name__ == "__main__":
    main()
