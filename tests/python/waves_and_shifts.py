"""Holograms and frames that drift, and what LiberTEM-holo, HyperSpy's holospy, HyperSpy and scikit-image make of them, for
`tests/waves_and_shifts.rs`.

    waves_and_shifts.py check [CALL]...   what each call tells, one after the other; these libraries take long to begin with

Each call is a JSON list: the name of one of the functions below, and what it is given.
"""

import contextlib
import json
import sys
import warnings

warnings.filterwarnings("ignore")

import h5py
import numpy as np

from answer import answer

# Scan and frames, element type, how it is stored, and the sideband of its holograms.
HOLOGRAMS = {
    "counts": ((3, 4), (64, 64), "<u2", {}, (9, 14)),
    "packed": ((2, 5), (96, 96), ">f4", {"chunks": (1, 2, 48, 96), "compression": "gzip", "shuffle": True}, (-20, 25)),
    "double": ((2, 3), (48, 80), "<f8", {}, (11, 20)),
    "signed": ((3, 2), (65, 51), "<i4", {"chunks": (3, 2, 20, 51), "compression": "gzip"}, (12, 60 - 51)),
}


def hologram(shape, position, phase, amplitude, rng):
    """As LiberTEM-holo writes it, with counts of electrons."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    fringes = np.cos(2 * np.pi * (position[0] * y / shape[0] + position[1] * x / shape[1]) - phase)
    return rng.poisson(500 * (1 + amplitude**2 + 1.6 * amplitude * fringes)).astype(float)


def write(path):
    """Writes all of them, each with a reference beside it."""
    rng = np.random.default_rng(16)
    with h5py.File(path, "w") as file:
        for name, (scan, shape, kind, stored, position) in HOLOGRAMS.items():
            y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
            bent = 0.4 * np.sin(2 * y) + 0.3 * x
            frames = np.empty(scan + shape)
            for place in np.ndindex(*scan):
                bump = np.exp(-((y - 0.1 * place[0]) ** 2 + (x + 0.1 * place[1]) ** 2) / 0.1)
                frames[place] = hologram(shape, position, bent + 2 * bump, 1 - 0.3 * bump, rng)
            reference = hologram(shape, position, bent, np.ones(shape), rng)
            file.create_dataset(name, data=frames.astype(kind), **stored)
            file.create_dataset(f"{name}_reference", data=reference.astype(kind))
    return list(HOLOGRAMS)


def spoil(path, name):
    """Makes the first frame constant, and a value of the second one none."""
    with h5py.File(path, "r+") as file:
        file[name][0, 0] = 7
        file[name][0, 1, 3, 4] = np.nan


def check(*calls):
    functions = {"libertem": libertem, "holospy": holospy, "loaded": loaded, "skimage": skimage, "cascade": cascade}
    each = [json.loads(call) for call in calls]
    # They print what they warn of.
    with contextlib.redirect_stdout(sys.stderr):
        return [functions[name](*given) for name, *given in each]


def waves(results, group):
    with h5py.File(results) as file:
        return file[group]["Wave"][()]


def off(found, expected):
    """How far waves are off, as a part of the largest; their type and shape if it isn't the same shape."""
    if found.shape != expected.shape:
        return [str(found.dtype), list(found.shape), list(expected.shape)]
    return [str(found.dtype), float(np.abs(found - expected).max() / np.abs(expected).max())]


def libertem(source, name, results, group, size, smoothness):
    """How far waves are off those of LiberTEM-holo, whose amplitude depends on the shape."""
    import libertem.api
    from libertem_holo.udf import HoloReconstructUDF

    position, found = HOLOGRAMS[name][4], waves(results, group)
    shape, out = HOLOGRAMS[name][1], found.shape[2:]
    k, l = (np.fft.fftfreq(n, 1 / n) / whole for n, whole in zip(out, shape))
    distance, radius = np.hypot(k[:, None], l), size * np.mean(np.divide(1, shape))
    edge = 0.5 * (1 - np.tanh((distance - radius) / (0.5 * smoothness * radius))) if smoothness else distance < radius
    udf = HoloReconstructUDF(out_shape=out, sb_position=position, aperture=edge, precision=found.dtype == "c16")
    with h5py.File(source) as file:
        data = file[name][()]
    # Of integers it makes single precision, whatever it is asked for.
    data = data.astype("f8" if found.dtype == "c16" else "f4")
    with libertem.api.Context.make_with("inline") as context:
        dataset = context.load("memory", data=data, sig_dims=2)
        expected = context.run_udf(dataset=dataset, udf=udf)["wave"].data
    return off(found, expected * np.prod(out) / np.prod(shape))


def signal(data, found):
    from holospy.signals import HologramImage

    return HologramImage(data.astype("f8" if found.dtype == "c16" else "f4"))


def holospy(source, name, results, group, options):
    """The same of HyperSpy's, whose amplitude depends on the shape unless a reference has the same."""
    found = waves(results, group)
    out, shape = found.shape[2:], HOLOGRAMS[name][1]
    with h5py.File(source) as file:
        holograms = signal(file[name][()], found)
        if options.pop("reference"):
            options["reference"] = signal(file[f"{name}_reference"][()], found)
    expected = holograms.reconstruct_phase(output_shape=out, **options).data
    return off(found, expected if "reference" in options else expected * np.prod(out) / np.prod(shape))


def hspy(path):
    """Writes the holograms of `counts` as HyperSpy does, with axes in nm."""
    import hyperspy.api as hs

    rng = np.random.default_rng(3)
    frames = np.stack([hologram((64, 64), (9, 14), 0.1 * k, np.ones((64, 64)), rng) for k in range(6)])
    made = hs.signals.Signal2D(frames.reshape(2, 3, 64, 64).astype("u2"))
    for axis, scale, offset, name in zip(made.axes_manager._axes, (2, 3, 0.25, 0.25), (0, 1, 5, -7), "abyx"):
        axis.scale, axis.offset, axis.name, axis.units = scale, offset, name, "nm"
    made.save(path, overwrite=True)


def loaded(source, results):
    """What isn't said of waves, as HyperSpy loads them, as holospy says it of its own."""
    import hyperspy.api as hs

    holograms, found = hs.load(source), hs.load(results)
    holograms.set_signal_type("hologram")
    size = found.data.shape[2:]
    expected = holograms.reconstruct_phase(sb_position=(9, 14), sb_size=6, sb_smoothness=0.3, output_shape=size)
    wrong = []
    for own, there in zip(found.axes_manager._axes, expected.axes_manager._axes):
        for what in ("name", "units", "size", "scale", "offset", "navigate"):
            if getattr(own, what) != getattr(there, what):
                wrong.append(f"{what}: {getattr(own, what)}, not {getattr(there, what)}")
    expected = expected.data * np.prod(size) / 64**2
    apart = float(np.abs(found.data - expected).max() / np.abs(expected).max())
    return wrong + ([apart] if not apart < 1e-5 else [])


# Scan and frames, element type, and how it is stored.
DRIFTING = {
    "line": ((1, 7), (48, 60), "<u2", {}),
    "blocks": ((3, 5), (41, 50), ">f4", {"chunks": (2, 2, 20, 50), "compression": "gzip", "shuffle": True}),
    "double": ((2, 3), (32, 33), "<f8", {}),
}


def drifting(path):
    """Writes a noisy scene seen through frames that move over it by parts of a point, each dataset with its first frame."""
    from scipy import ndimage

    rng = np.random.default_rng(8)
    with h5py.File(path, "w") as file:
        for name, (scan, shape, kind, stored) in DRIFTING.items():
            scene = ndimage.gaussian_filter(rng.random((3 * shape[0], 3 * shape[1])), 0.8) * 60000
            frames = np.empty(scan + shape)
            at = np.array(shape, float)
            for place in np.ndindex(*scan):
                seen = ndimage.shift(scene, -at, order=3, mode="wrap")[: shape[0], : shape[1]]
                frames[place] = seen + rng.normal(0, 30, shape)
                at += rng.uniform(-2.5, 2.5, 2)
            file.create_dataset(name, data=frames.astype(kind), **stored)
            file.create_dataset(f"{name}_first", data=frames[0, 0].astype(kind))


def shifts(results, group, name):
    with h5py.File(results) as file:
        return [file[group][name][()] for name in ("Shifts", "Peak", "Error")]


def skimage(source, name, results, group, options):
    """How far shifts are off scikit-image's, of frames less their mean, in points, and peaks and errors by themselves."""
    from skimage.registration import phase_cross_correlation

    found, peaks, errors = shifts(results, group, name)
    with h5py.File(source) as file:
        data, first = file[name][()].astype(float), file[f"{name}_first"][()].astype(float)
    window = options.pop("window", False)
    weights = np.outer(np.hanning(first.shape[0]), np.hanning(first.shape[1])) if window else 1
    worst = [0.0, 0.0]
    for place in np.ndindex(*data.shape[:2]):
        own, reference = ((frame - frame.mean()) * weights for frame in (data[place], first))
        moved, error, _ = phase_cross_correlation(reference, own, **options)
        worst[0] = max(worst[0], float(np.abs(found[place] + moved).max()))
        if options["normalization"] is None:
            worst[1] = max(worst[1], float(abs(errors[place] - error)), float(abs(np.hypot(errors, peaks)[place] - 1)))
    return worst


def cascade(source, name, results, group):
    """How far shifts against the frame before, added up along a line, are off HyperSpy's."""
    import hyperspy.api as hs

    found = shifts(results, group, name)[0]
    with h5py.File(source) as file:
        frames = file[name][0].astype(float)
    series = hs.signals.Signal2D(frames - frames.mean((1, 2), keepdims=True))
    how = {"reference": "cascade", "sobel": False, "medfilter": False, "hanning": True, "normalize_corr": False}
    expected = series.estimate_shift2D(show_progressbar=False, **how)
    return float(np.abs(np.cumsum(found[0], 0) - expected).max())


def main():
    answer(globals())


if __name__ == "__main__":
    main()
