"""What the peers take: each command prints one JSON object with its seconds, imports not counted.

    peers.py pyusid   FILE CORES    the tutorial class of tests/python/usid.py, all positions (venv tests)
    peers.py scipy    FILE RESULTS GROUP    find_peaks_cwt at every position, compared with results (venv tests)
    peers.py least-squares FILE RESULTS GROUP COUNT WAY    SciPy's oscillator fits of so many spectra from the
                                    guesses in the results, `default` or `fastest` (venv tests)
    peers.py loop-fit FILE RESULTS GROUP COUNT    BGlib's guesses and fits of so many loops, and how many of ours have
                                    a larger sum of squares (venv bglib)
    peers.py giv-bayesian FILE RESULTS GROUP COUNT    BGlib's inference of so many positions, and how far its currents and
                                    the told resistances are from ours (venv bglib)
    peers.py open     FILE          opening a main dataset by pyUSID (venv tests)
    peers.py scipy-gaussian2d FILE RESULTS GROUP      fits of a rotated Gaussian to frames, compared (venv tests)
    peers.py scipy-leastsq|scipy-curve-fit FILE RESULTS GROUP    fits of a Gaussian, compared (venv tests)
    peers.py hyperspy-multifit FILE RESULTS GROUP [ZERO]    the same, convolved with the dataset `low`, in whose channel ZERO
                                    nothing is lost (venv peers)
    peers.py libertem FILE CORES    the sum of each spectrum (venv peers)
    peers.py hyperspy FILE CORES    the same, lazily (venv peers)
    peers.py libertem-fold FILE DATASET CORES EXECUTOR FOLD    the same of a fold: sum, deviation, rings, centres, waves,
                                    fluctuation, crystallinity, or radial-fourier-BINS-ORDER (venv peers)
    peers.py hyperspy-fold FILE CORES FOLD    deviation or centres (venv peers)
    peers.py product  FILE CORES    the f32 matrix product of frames that are in memory and 12 masks (venv peers)
    peers.py frames   FOLDER        writes the files of frames.py that are missing (venv peers)
    peers.py libertem-frames FILE DATASET CORES EXECUTOR    the sum of each frame, the second run
                                    of two; executors: threads, dask, pipelined, inline (venv peers)
    peers.py hyperspy-frames FILE CORES    the same, lazily; a file of its own, or a dataset `data` (venv peers)
    peers.py pixelmill-dask FILE CORES    the sum of each frame by scan.to_dask(), the second run of two (venv peers)
    peers.py dask-sum FILE CORES DATASET CHUNKS    the same over h5py, by chunks as `2,64,256,256` or `auto` (venv peers)
    peers.py pixelmill-libertem FILE CORES EXECUTOR    SumUDF through pixelmill's data set, the second run (venv peers)
    peers.py libertem-sum FILE CORES DATASET EXECUTOR    the same through LiberTEM's own (venv peers)
    peers.py pixelmill-nothing FILE CORES WAY    a function that does nothing, one by one in `processes` or on `threads`,
                                    or of many in `batches`, or a `fold` (venv peers)
    peers.py pixelmill-busy FILE CORES    a function that computes for a millisecond (venv peers)
    peers.py pixelmill-centres FILE CORES WAY [MEMORY]    the centre of mass of each frame, by SciPy in `processes` or by
                                    `numba` on threads, the second run (venv peers)
    peers.py hyperspy-svd FILE CORES RESULTS GROUP    HyperSpy's lazy decomposition into 20 components, and how far our
                                    explained variances are from the exact ones (venv peers)
    peers.py sklearn-kmeans FILE CORES RESULTS GROUP    8 clusters by HyperSpy's cluster analysis, which is scikit-learn's,
                                    and our inertia as a part of theirs (venv peers)
    peers.py hyperspy-online FILE CORES RESULTS GROUP ALGORITHM    HyperSpy's lazy ORPCA or ORNMF of 20 components, and how
                                    far our components and loadings are from the data as a part of how far theirs are
                                    (venv peers)
    peers.py sklearn-mixture FILE CORES RESULTS GROUP COMPONENTS COVARIANCE STEPS    scikit-learn's mixture after so many steps,
                                    and by which part of its mean log-likelihood ours is more likely (venv peers)
    peers.py hyperspy-model FILE CORES RESULTS GROUP SVD GROUP    HyperSpy's model of ten components of a decomposition, and
                                    how far rebuilt spectra are from it, of the largest value (venv peers)
    peers.py hyperspy-nmf FILE CORES RESULTS GROUP    HyperSpy's decomposition into 20 components that aren't negative, which
                                    is scikit-learn's, and our error as a part of theirs (venv peers)
    peers.py hyperspy-centres FILE CORES    the same by SciPy and HyperSpy's lazy map (venv peers)
    peers.py pyusid-centres FILE CORES DATASET    the same by SciPy and what pyUSID's Process has (venv tests)
    peers.py dask-denoise FILE DATASET CORES METHOD VALUE RESULTS GROUP    medians or Gaussian means over the positions
                                    around each, compared with results (venv peers)
    peers.py spectra FILE CORES PROCESS BY    a map over spectra or frames, by `hyperspy`, or by `numpy` and SciPy (venv peers)
    peers.py scikit-image-shifts FILE DATASET CORES RESULTS GROUP    shifts of frames against the dataset `reference` by
                                    scikit-image and HyperSpy's lazy map, compared with results (venv peers)
"""

import contextlib
import json
import sys
import time
import warnings
from pathlib import Path

from spectra_peers import spectra

warnings.filterwarnings("ignore")

RAW_DATA = "/Measurement_000/Channel_000/Raw_Data"
sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "python"))


def pyusid(file, cores):
    import h5py
    import usid

    with h5py.File(file, "r+") as opened:
        process = usid.Peak_Finding(opened[RAW_DATA], dict(usid.Peak_Finding.DEFAULTS))
        process._cores = int(cores)
        begun = time.perf_counter()
        process.compute(override=True, **process.arguments())
        return {"seconds": time.perf_counter() - begun, "positions": opened[RAW_DATA].shape[0]}


def one_peak(spectrum):
    import numpy
    import usid

    settings = {"min_snr": 1.0, "noise_perc": 10.0}
    widths = numpy.linspace(20, 60, 30)
    response, index = usid.Peak_Finding._map_function(spectrum, numpy.arange(len(spectrum)), widths, **settings)
    return float(response), int(index)


def scipy(file, results, group):
    import multiprocessing

    import h5py
    import numpy

    with h5py.File(file) as opened:
        raw = opened[RAW_DATA]
        spectra = raw[:]
        axis = opened[raw.attrs["Spectroscopic_Values"]][0].astype(float)
    with h5py.File(results) as opened:
        response = opened[f"{group}/Peak_Response"][:, 0]
        position = opened[f"{group}/Peak_Position"][:, 0]
    with multiprocessing.Pool() as pool:
        expected = numpy.array(pool.map(one_peak, spectra, chunksize=64))
    beside = numpy.abs(response.view(numpy.int32) - expected[:, 0].astype(numpy.float32).view(numpy.int32))
    same = axis[expected[:, 1].astype(int)] == position
    return {"positions": len(same), "same_index": int(same.sum()), "max_ulp": int(beside.max())}


def least_squares(file, results, group, count, way):
    import os

    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    import h5py
    import numpy
    import scipy.optimize
    import sho

    with h5py.File(file) as opened:
        raw = opened[RAW_DATA]
        spectra = raw[:].astype(complex)
        axis = opened[raw.attrs["Spectroscopic_Values"]][0].astype(float)
    with h5py.File(results) as opened:
        guesses, fits = (sho.numbers(opened[f"{group}/{name}"][:, 0]) for name in ("Guess", "Fit"))
    chosen = numpy.random.default_rng(0).permutation(len(spectra))[: int(count)]
    same, seconds = 0, 0.0
    for at in chosen:
        scales = numpy.array([abs(spectra[at]).max(), axis.mean(), 1, 1])

        def residuals(parameters):
            left = (sho.oscillator(parameters * scales, axis) - spectra[at]) / scales[0]
            return numpy.concatenate([left.real, left.imag])

        def jacobian(parameters):
            return sho.derivatives(parameters * scales, axis) * (scales / scales[0])

        fastest = {"method": "lm", "jac": jacobian, "x_scale": "jac"}
        begun = time.perf_counter()
        found = scipy.optimize.least_squares(
            residuals, guesses[at] / scales, **(fastest if way == "fastest" else {})
        )
        seconds += time.perf_counter() - begun
        ours = numpy.sum(residuals(fits[at] / scales) ** 2)
        same += bool(abs(ours / (2 * found.cost) - 1) < 1e-4)
    return {"seconds": seconds, "spectra": len(chosen), "same": same}


def loop_fits(file, results, group, count):
    import h5py
    import loop_fit
    import numpy
    from BGlib.be.analysis.be_loop_fitter import shift_vdc
    from BGlib.be.analysis.utils.be_loop import fit_loop, generate_guess

    with h5py.File(file) as opened:
        raw = opened[RAW_DATA]
        chosen = numpy.random.default_rng(0).permutation(len(raw))[: int(count)]
        loops, bias = raw[:].astype(float)[chosen], opened[raw.attrs["Spectroscopic_Values"]][0].astype(float)
    with h5py.File(results) as opened:
        fits = opened[f"{group}/Fit"][:, 0][chosen]
    shift, turned = shift_vdc(bias)
    theirs = []
    begun = time.perf_counter()
    for values in loops:
        theirs.append(2 * fit_loop(turned, numpy.roll(values, shift), generate_guess(bias, values))[0].cost)
    seconds = time.perf_counter() - begun
    parameters = [fits[name][:, None] for name in loop_fit.FIELDS]
    ratios = ((loops - loop_fit.loop(bias, *parameters)) ** 2).sum(axis=1) / theirs
    worse, better = int((ratios > 1 + 1e-9).sum()), int((ratios < 1 - 1e-3).sum())
    return {"seconds": seconds, "positions": len(loops), "worse": worse, "better": better}


def giv_bayesian(file, results, group, count):
    import os

    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    import giv
    import h5py
    import numpy
    from BGlib.gmode.analysis.utils.giv_utils import bayesian_inference_on_period

    with h5py.File(file) as opened:
        raw = opened[RAW_DATA]
        rows, bias = raw[: int(count)].astype(float), opened[raw.attrs["Spectroscopic_Values"]][0].astype(float)
    with h5py.File(results) as opened:
        ours = {name: opened[group][name][: int(count)] for name in ("Reconstructed_Current", "Resistance")}
    begun = time.perf_counter()
    theirs = [
        bayesian_inference_on_period(row, bias, giv.FREQUENCY, r_extra=giv.R_EXTRA, num_x_steps=250) for row in rows
    ]
    seconds = time.perf_counter() - begun
    currents, resistances = (numpy.array([one[name] for one in theirs]) for name in ("Irec", "mR"))
    off = float(abs(ours["Reconstructed_Current"] - currents).max() / abs(currents).max())
    told = float(numpy.nanmedian(abs(ours["Resistance"] / resistances - 1)))
    return {"seconds": seconds, "positions": len(rows), "off": off, "resistance": told}


def open_main(file):
    import h5py
    import pyUSID

    begun = time.perf_counter()
    with h5py.File(file) as opened:
        pyUSID.USIDataset(opened[RAW_DATA])
    return {"seconds": time.perf_counter() - begun}


def libertem(file, cores):
    import libertem.api
    from libertem.udf.sumsigudf import SumSigUDF

    with libertem.api.Context.make_with("threads", cpus=int(cores)) as context:
        data = context.load("hdf5", path=file, ds_path=RAW_DATA, sig_dims=1)
        context.run_udf(dataset=data, udf=SumSigUDF())
        begun = time.perf_counter()
        context.run_udf(dataset=data, udf=SumSigUDF())
        return {"seconds": time.perf_counter() - begun}


def hyperspy(file, cores):
    import dask
    import dask.array
    import h5py
    from hyperspy.api import signals

    with h5py.File(file) as opened, dask.config.set(scheduler="threads", num_workers=int(cores)):
        signal = signals.Signal1D(dask.array.from_array(opened[RAW_DATA])).as_lazy()
        begun = time.perf_counter()
        signal.sum(axis="sig").data.compute()
        return {"seconds": time.perf_counter() - begun}


def gaussians(file, results, group, count):
    """Axis, spectra, and what pixelmill found in them: A, centre, sigma with standard errors."""
    import h5py
    import numpy

    with h5py.File(file) as opened:
        raw = opened[RAW_DATA]
        spectra = raw[:count].astype(float)
        axis = opened[raw.attrs["Spectroscopic_Values"]][0].astype(float)
    with h5py.File(results) as opened:
        records = (opened[f"{group}/{name}"][:count, 0] for name in ("Gaussian", "Gaussian_Standard_Errors"))
        found, errors = (numpy.stack([record[field] for field in record.dtype.names], 1) for record in records)
    return axis, spectra, found, errors


def compared(begun, fits, found, errors):
    import numpy

    seconds = time.perf_counter() - begun
    return {
        "seconds": seconds,
        "positions": len(fits),
        "difference": float(numpy.max(numpy.abs(numpy.array(fits) - found) / errors)),
    }


def scipy_gaussians(fit):
    """Fits each spectrum by a function of axis, spectrum and start values."""

    def fits(file, results, group):
        import numpy

        axis, spectra, found, errors = gaussians(file, results, group, 1000)
        begun, fits = time.perf_counter(), []
        for spectrum in spectra:
            highest, area = spectrum.argmax(), spectrum.sum()
            start = numpy.array([area, axis[highest], area / spectrum[highest] / 2.5])
            fits.append(fit(axis, spectrum, start))
        return compared(begun, fits, found, errors)

    return fits


def bell(x, A, centre, sigma):
    import numpy

    return A / (sigma * 2.5066282746310002) * numpy.exp(-0.5 * ((x - centre) / sigma) ** 2)


def leastsq(axis, spectrum, start):
    import numpy
    from scipy.optimize import leastsq

    def jacobian(free):
        A, centre, sigma = free
        u = (axis - centre) / sigma
        shape = numpy.exp(-0.5 * u * u) / (sigma * 2.5066282746310002)
        slope = A / sigma * shape
        return numpy.array([shape, slope * u, slope * (u * u - 1)])

    return leastsq(lambda free: bell(axis, *free) - spectrum, start, Dfun=jacobian, col_deriv=True)[0]


def curve_fit(axis, spectrum, start):
    from scipy.optimize import curve_fit

    return curve_fit(bell, axis, spectrum, start)[0]


def scipy_gaussian2d(file, results, group):
    """Fits of a rotated Gaussian on a constant to frames, each from its moments on, as people write it."""
    import h5py
    import numpy
    from scipy.optimize import curve_fit

    def model(places, A, cx, cy, wide, high, angle, base):
        right, down = places[0] - cx, places[1] - cy
        u = (right * numpy.cos(angle) - down * numpy.sin(angle)) / wide
        v = (right * numpy.sin(angle) + down * numpy.cos(angle)) / high
        return A / (2 * numpy.pi * wide * high) * numpy.exp(-(u**2 + v**2) / 2) + base

    with h5py.File(file) as opened, h5py.File(results) as told:
        frames = opened["data"][:100].astype(float)
        columns = lambda name: [told[group][name][field].ravel()[:100] for field in told[group][name].dtype.names]
        ours = numpy.stack(columns("Gaussian2d") + columns("Offset"), 1)
        errors = numpy.stack(columns("Gaussian2d_Standard_Errors") + columns("Offset_Standard_Errors"), 1)
    y, x = (places.ravel().astype(float) for places in numpy.mgrid[: frames.shape[1], : frames.shape[2]])
    places, worst = numpy.stack([x, y]), 0.0
    begun, found = time.perf_counter(), []
    for frame in frames:
        values = frame.ravel()
        base = numpy.median(values)
        above = values - base
        above[above < 0.3 * above.max()] = 0
        all_of = above.sum()
        cx, cy = (above * x).sum() / all_of, (above * y).sum() / all_of
        wide, high = (numpy.sqrt((above * (axis - at) ** 2).sum() / all_of) for axis, at in ((x, cx), (y, cy)))
        found.append(curve_fit(model, places, values, [all_of, cx, cy, wide, high, 0.1, base])[0])
    seconds = time.perf_counter() - begun
    for theirs, own, error in zip(found, ours, errors, strict=True):
        # The same ellipse, after half a turn, or a quarter with the widths exchanged.
        alike = [theirs.copy()]
        alike[0][3:5] = numpy.abs(alike[0][3:5])
        alike.append(alike[0][[0, 1, 2, 4, 3, 5, 6]] + [0, 0, 0, 0, 0, numpy.pi / 2, 0])
        for turned in alike:
            turned[5] = own[5] + (turned[5] - own[5] + numpy.pi / 2) % numpy.pi - numpy.pi / 2
        worst = max(worst, min(numpy.max(numpy.abs(turned - own) / error) for turned in alike))
    return {"seconds": seconds, "positions": len(frames), "difference": worst}


def hyperspy_multifit(file, results, group, zero=None):
    import h5py
    import hyperspy.api
    import numpy

    hyperspy.api.preferences.General.show_progressbar = False
    axis, spectra, found, errors = gaussians(file, results, group, 400)
    signal = hyperspy.api.signals.Signal1D(spectra.reshape(20, 20, -1))
    if zero is None:
        model = signal.create_model()
    else:
        from convolution import Convolved

        with h5py.File(file) as opened:
            low = hyperspy.api.signals.Signal1D(numpy.tile(opened["low"][()], (20, 20, 1)))
        low.axes_manager[-1].offset = -float(zero)
        model = Convolved(signal, low)
    component = hyperspy.api.model.components1D.Gaussian()
    model.append(component)
    component.estimate_parameters(signal, axis[0], axis[-1], only_current=False)
    begun = time.perf_counter()
    model.multifit()
    maps = (getattr(component, name).map["values"] for name in ("A", "centre", "sigma"))
    return compared(begun, numpy.stack([values.ravel() for values in maps], 1), found, errors)


def frames_files(folder):
    import h5py
    import numpy

    folder = Path(folder)
    data = None
    for name in ("contiguous.h5", "blocks.h5", "frames.hspy", "frames.zspy"):
        file, part = folder / name, folder / f"part_{name}"
        if file.exists():
            continue
        data = diffraction(numpy) if data is None else data
        if file.suffix == ".h5":
            stored = {"chunks": (32,) * 4, "compression": "gzip", "compression_opts": 4, "shuffle": True}
            with h5py.File(part, "w") as opened:
                opened.create_dataset("data", data=data, **(stored if name == "blocks.h5" else {}))
        else:
            from hyperspy.api import signals

            # As it is by default: gzip 4 and shuffled for .hspy.
            signals.Signal2D(data).save(part, overwrite=True)
        part.rename(file)
    return {"seconds": 0}


def diffraction(numpy, side=64, pixels=256):
    """Counts of a scan with a bright disk and two fainter rings, about one in each pixel on average."""
    rng = numpy.random.default_rng(0)
    y, x = numpy.mgrid[:pixels, :pixels] - pixels / 2
    counts = numpy.empty((side, side, pixels, pixels), numpy.uint16)
    for row, column in numpy.ndindex(side, side):
        # The disk wanders a little, as it does over a field in the sample.
        radius = numpy.hypot(y - 3 * numpy.sin(row / 9), x - 3 * numpy.cos(column / 7))
        rings = sum(numpy.exp(-(((radius - ring) / 4) ** 2)) for ring in (60, 95))
        counts[row, column] = rng.poisson(25.0 * (radius < 22) + 1.2 * rings + 0.1)
    return counts


def product(file, cores):
    """By the BLAS of NumPy, the second product of two."""
    import os

    os.environ["OPENBLAS_NUM_THREADS"] = cores
    import h5py
    import numpy

    with h5py.File(file) as opened:
        data = opened["data"]
        frames = data[()].reshape(data.shape[0] * data.shape[1], -1).astype("f4")
    masks = numpy.random.default_rng(0).random((frames.shape[1], 12), "f4")
    frames @ masks
    begun = time.perf_counter()
    frames @ masks
    return {"seconds": time.perf_counter() - begun}


def libertem_frames(file, dataset, cores, executor, dark=None, gain=None):
    import libertem.api
    import numpy
    from libertem.io.corrections.corrset import CorrectionSet
    from libertem.udf.sumsigudf import SumSigUDF

    workers = {} if executor == "inline" else {"cpus": int(cores)}
    corrections = CorrectionSet(dark=numpy.load(dark), gain=numpy.load(gain)) if dark else None
    with libertem.api.Context.make_with(executor, **workers) as context:
        data = context.load("hdf5", path=file, ds_path=dataset, sig_dims=2)
        context.run_udf(dataset=data, udf=SumSigUDF(), corrections=corrections)
        begun = time.perf_counter()
        context.run_udf(dataset=data, udf=SumSigUDF(), corrections=corrections)
        return {"seconds": time.perf_counter() - begun}


def libertem_fold(file, dataset, cores, executor, fold):
    """A fold by LiberTEM's own UDF, the second run."""
    import libertem.api
    import numpy
    from libertem import masks
    from libertem.udf.com import CoMUDF
    from libertem.udf.crystallinity import CrystallinityUDF
    from libertem.udf.FEM import FEMUDF
    from libertem.udf.masks import ApplyMasksUDF
    from libertem.udf.stddev import StdDevUDF
    from libertem.udf.sum import SumUDF

    def rings():
        edges = numpy.linspace(0, 127, 13)
        ring = lambda inner, outer: masks.ring(127.5, 127.5, 256, 256, outer, inner)
        return numpy.stack([ring(inner, outer) for inner, outer in zip(edges, edges[1:])]).astype("f4")

    def waves():
        from libertem_holo.udf import HoloReconstructUDF

        frequencies = numpy.fft.fftfreq(64, 1 / 64)
        distance = numpy.hypot(frequencies[:, None], frequencies)
        aperture = (0.5 * (1 - numpy.tanh(2 * (distance - 20)))).astype("f4")
        given = {"out_shape": (64, 64), "sb_position": (40, 56), "precision": False}
        return HoloReconstructUDF(aperture=aperture, **given)

    udfs = {
        "sum": SumUDF,
        "deviation": StdDevUDF,
        "rings": lambda: ApplyMasksUDF(mask_factories=rings, mask_count=12, mask_dtype="f4", use_sparse=False),
        "centres": CoMUDF,
        "fluctuation": lambda: FEMUDF(center=(127.5, 127.5), rad_in=40, rad_out=80),
        "crystallinity": lambda: CrystallinityUDF(rad_in=10, rad_out=60, real_center=(127.5, 127.5), real_rad=25),
        "waves": waves,
    }

    def run():
        if fold.startswith("radial-fourier"):
            bins, order = map(int, fold.split("-")[2:])
            where = {"cx": 127.5, "cy": 127.5, "ri": 0, "ro": 127}
            analysis = context.create_radial_fourier_analysis(dataset=data, **where, n_bins=bins, max_order=order)
            context.run(analysis)
        else:
            context.run_udf(dataset=data, udf=udfs[fold]())

    workers = {} if executor == "inline" else {"cpus": int(cores)}
    with libertem.api.Context.make_with(executor, **workers) as context:
        data = context.load("hdf5", path=file, ds_path=dataset, sig_dims=2)
        return second_run(run)


def hyperspy_fold(file, cores, fold):
    """The same by HyperSpy: its lazy deviation over the positions, or a function mapped over the frames."""
    import dask
    import hyperspy.api
    import numpy

    def centre(frame):
        total = frame.sum()
        rows, columns = numpy.arange(frame.shape[0]), numpy.arange(frame.shape[1])
        return numpy.array([(frame.sum(1) * rows).sum() / total, (frame.sum(0) * columns).sum() / total])

    with dask.config.set(scheduler="threads", num_workers=int(cores)):
        signal = hyperspy.api.load(file, lazy=True)
        begun = time.perf_counter()
        if fold == "deviation":
            signal.std(axis=signal.axes_manager.navigation_axes).data.compute()
        else:
            signal.map(centre, inplace=False, lazy_output=True).data.compute()
        return {"seconds": time.perf_counter() - begun}


def cube(file, cores):
    """Of a file with a dataset `data`: a lazy signal of it."""
    import dask
    import dask.array
    import h5py
    import hyperspy.api

    dask.config.set(scheduler="threads", num_workers=int(cores))
    data = h5py.File(file)["data"]
    return hyperspy.api.signals.Signal1D(dask.array.from_array(data, chunks=(16, 128, -1))).as_lazy()


def hyperspy_svd(file, cores, results, group):
    import h5py
    import numpy

    signal = cube(file, cores)
    # The fastest that is as exact: its default, "randomized", is off by tens of per cent in small variances.
    begun = time.perf_counter()
    signal.decomposition(algorithm="SVD", svd_solver="incremental", output_dimension=20, print_info=False)
    seconds = time.perf_counter() - begun
    with h5py.File(file) as opened:
        values = opened["data"][()].reshape(-1, opened["data"].shape[-1]).astype("f8")
    exact = numpy.linalg.eigvalsh(values.T @ values)[::-1][:20] / len(values)
    with h5py.File(results) as opened:
        found = opened[group]["Explained_Variance"][()]
    return {"seconds": seconds, "off": float(abs(found / exact - 1).max())}


def hyperspy_online(file, cores, results, group, algorithm):
    import h5py
    import numpy

    signal = cube(file, cores)
    # It begins with no fewer samples than components.
    options = {"training_samples": 20} if algorithm == "ORPCA" else {}
    begun = time.perf_counter()
    signal.decomposition(algorithm=algorithm, output_dimension=20, print_info=False, **options)
    seconds = time.perf_counter() - begun
    with h5py.File(file) as opened:
        values = opened["data"][()].reshape(-1, opened["data"].shape[-1]).astype("f8")
    with h5py.File(results) as opened:
        loadings, components = (opened[group][name][()] for name in ("Loadings", "Components"))
    ours = numpy.linalg.norm(values - loadings.reshape(len(values), -1) @ components)
    found = signal.learning_results
    theirs = numpy.linalg.norm(values - numpy.asarray(found.loadings) @ numpy.asarray(found.factors).T)
    return {"seconds": seconds, "off": float(ours / theirs)}


def sklearn_kmeans(file, cores, results, group):
    import h5py

    signal = cube(file, cores)
    signal.compute(show_progressbar=False)
    begun = time.perf_counter()
    signal.cluster_analysis("signal", n_clusters=8, algorithm="kmeans")
    seconds = time.perf_counter() - begun
    labels = signal.learning_results.cluster_labels
    values = signal.data.reshape(-1, signal.data.shape[-1]).astype("f8")
    theirs = sum(((values[own] - values[own].mean(axis=0)) ** 2).sum() for own in labels.astype(bool) if own.any())
    with h5py.File(results) as opened:
        ours = opened[group]["Inertia"][()].item()
    return {"seconds": seconds, "off": ours / theirs}


def sklearn_mixture(file, cores, results, group, components, covariance, steps):
    import warnings

    import h5py
    import sklearn.mixture
    import threadpoolctl

    warnings.simplefilter("ignore")  # It isn't at rest, which is meant so.
    with h5py.File(file) as opened:
        values = opened["data"][()].reshape(-1, opened["data"].shape[-1])
    begun = time.perf_counter()
    model = sklearn.mixture.GaussianMixture(
        int(components), covariance_type=covariance, tol=0, max_iter=int(steps), random_state=0
    )
    with threadpoolctl.threadpool_limits(int(cores)):
        model.fit(values).predict_proba(values)
    seconds = time.perf_counter() - begun
    theirs = model.score(values)
    with h5py.File(results) as opened:
        ours = opened[group]["Mean_Log_Likelihood"][()].item()
    return {"seconds": seconds, "apart": (ours - theirs) / abs(theirs)}


def hyperspy_model(file, cores, results, group, decomposed, of):
    import h5py

    signal = cube(file, cores)
    signal.compute(show_progressbar=False)
    signal.change_dtype("float64")
    with h5py.File(decomposed) as opened:
        u, s, v = (opened[of][name][()] for name in "USV")
    signal.learning_results.loadings = u.reshape(-1, len(s)) * s
    signal.learning_results.factors = v.reshape(len(s), -1).T
    begun = time.perf_counter()
    model = signal.get_decomposition_model(10).data
    seconds = time.perf_counter() - begun
    with h5py.File(results) as opened:
        found = opened[group]["Rebuilt"][()].reshape(model.shape)
    return {"seconds": seconds, "off": float(abs(found - model).max() / abs(model).max())}


def hyperspy_nmf(file, cores, results, group):
    import h5py
    import numpy

    signal = cube(file, cores)
    signal.compute(show_progressbar=False)
    signal.change_dtype("float64")
    begun = time.perf_counter()
    signal.decomposition(algorithm="NMF", output_dimension=20, print_info=False)
    seconds = time.perf_counter() - begun
    values = signal.data.reshape(-1, signal.data.shape[-1])
    found = signal.learning_results
    theirs = numpy.linalg.norm(values - found.loadings @ found.factors.T) / numpy.linalg.norm(values)
    with h5py.File(results) as opened:
        ours = opened[group]["Relative_Error"][()].item()
    return {"seconds": seconds, "off": ours / theirs}


def h5py_sum(file, start, end):
    """Sums of the square from `start` to `end` of each frame, read chunk by chunk of the scan."""
    import h5py

    square = slice(int(start), int(end))
    with h5py.File(file) as opened:
        data = opened["data"]
        begun = time.perf_counter()
        for place in data.iter_chunks():
            if all(part.start == 0 for part in place[2:]):
                data[(*place[:2], square, square)].sum((2, 3), dtype=float)
        return {"seconds": time.perf_counter() - begun}


def second_run(run):
    """The seconds of the second of two runs: the first one loads what is needed."""
    run()
    begun = time.perf_counter()
    run()
    return {"seconds": time.perf_counter() - begun}


def pixelmill_dask(file, cores):
    import dask
    import pixelmill

    with dask.config.set(scheduler="threads", num_workers=int(cores)):
        return second_run(lambda: pixelmill.open(file).to_dask().sum((2, 3)).compute())


def dask_sum(file, cores, dataset, chunks):
    import dask
    import dask.array
    import h5py

    chunks = chunks if chunks == "auto" else tuple(map(int, chunks.split(",")))
    with h5py.File(file) as opened, dask.config.set(scheduler="threads", num_workers=int(cores)):
        return second_run(lambda: dask.array.from_array(opened[dataset], chunks=chunks).sum((2, 3)).compute())


def pixelmill_libertem(file, cores, executor):
    import libertem.api
    import pixelmill.libertem
    from libertem.udf.sum import SumUDF

    workers = {} if executor == "inline" else {"cpus": int(cores)}
    with libertem.api.Context.make_with(executor, **workers) as context:
        return second_run(lambda: context.run_udf(dataset=pixelmill.libertem.load(file), udf=SumUDF()))


def libertem_sum(file, cores, dataset, executor):
    return libertem_fold(file, dataset, cores, executor, "sum")


def mapped(file, cores, *functions, memory=None, **options):
    """The seconds of the last one of some maps, or folds, into a file of its own."""
    import tempfile

    import pixelmill

    axes = {"positions_axes": (0,)} if file.endswith(".h5") else {}
    with tempfile.TemporaryDirectory(dir=Path(file).parent) as folder:
        scan = pixelmill.open(file, output=Path(folder) / "results.h5", **axes)
        for function in functions:
            fold = isinstance(function, pixelmill.Reduction)
            begun = time.perf_counter()
            (scan.reduce if fold else scan.map)(
                function, cores=cores, memory=memory, progress=False, override=True, **options
            )
    return {"seconds": time.perf_counter() - begun}


def nothing(spectrum):
    return 0.0


def nothing_of_many(spectra):
    return spectra[:, 0]


def pixelmill_nothing(file, cores, way):
    import pixelmill

    class Nothing(pixelmill.Reduction):
        def prepare(self, source, buffers):
            buffers.per_position("Nothing", "f4")

        def process_partition(self, spectra, parts):
            pass

    if way == "fold":
        return mapped(file, cores, Nothing(), Nothing())
    declared = {"output_dtype": "f4", "output_shape": ()}
    if way == "batches":
        return mapped(file, cores, nothing_of_many, nothing_of_many, batch=True, workers="processes", **declared)
    return mapped(file, cores, nothing, nothing, workers=way, **declared)


def busy(spectrum):
    end = time.thread_time() + 1e-3
    while time.thread_time() < end:
        pass
    return 0.0


def pixelmill_busy(file, cores):
    return mapped(file, cores, busy, busy, output_dtype="f8", output_shape=(), workers="processes")


def pixelmill_centres(file, cores, way, memory=None):
    if way == "processes":
        from scipy.ndimage import center_of_mass

        return mapped(file, cores, center_of_mass, center_of_mass, memory=memory, workers="processes")
    import numba

    @numba.njit(nogil=True)
    def centre(frame):
        whole, rows, columns = 0.0, 0.0, 0.0
        for row in range(frame.shape[0]):
            of_row = 0.0
            for column in range(frame.shape[1]):
                of_row += frame[row, column]
                columns += frame[row, column] * column
            whole += of_row
            rows += of_row * row
        return rows / whole, columns / whole

    return mapped(file, cores, centre, centre, memory=memory, workers="threads")


def hyperspy_centres(file, cores):
    import dask
    import hyperspy.api
    import numpy
    from scipy.ndimage import center_of_mass

    def centre(frame):
        return numpy.array(center_of_mass(frame))

    with dask.config.set(scheduler="threads", num_workers=int(cores)):
        signal = hyperspy.api.load(file, lazy=True)
        told = {"inplace": False, "lazy_output": True, "output_signal_size": (2,), "output_dtype": float}
        return second_run(lambda: signal.map(centre, **told).data.compute())


def pyusid_centres(file, cores, dataset):
    """As Process does: some positions are read by h5py, and its function for it has joblib compute them."""
    import functools

    import h5py
    import numpy
    from pyUSID.processing.comp_utils import parallel_compute

    with h5py.File(file) as opened:
        data = opened[dataset]
        begun = time.perf_counter()
        for row in range(0, data.shape[0], 4):
            some = data[row : row + 4].reshape(-1, numpy.prod(data.shape[2:]))
            function = functools.partial(centre_of_row, shape=data.shape[2:])
            parallel_compute(some, function, cores=int(cores), lengthy_computation=False)
        return {"seconds": time.perf_counter() - begun}


def centre_of_row(row, shape):
    from scipy.ndimage import center_of_mass

    return center_of_mass(row.reshape(shape))


def dask_denoise(file, dataset, cores, method, value, results, group):
    """Medians or Gaussian means over neighbouring positions, block by block with an overlap; how far results are off."""
    import dask
    import dask.array
    import h5py
    import numpy
    from scipy import ndimage

    value = float(value)
    if method == "median":
        depth, how = int(value) // 2, lambda block: ndimage.median_filter(block, size=(int(value), int(value), 1, 1))
    else:
        depth = int(4 * value + 0.5)
        how = lambda block: ndimage.gaussian_filter(block.astype("f4"), (value, value, 0, 0))
    with h5py.File(file) as opened, dask.config.set(scheduler="threads", num_workers=int(cores)):
        data = opened[dataset]
        # Of the sizes that were tried the fastest: a quarter of the scan's length, and of the frame's.
        array = dask.array.from_array(data, chunks=(8, 8, 64, 64))
        kind = data.dtype if method == "median" else "f4"
        depths = {0: depth, 1: depth, 2: 0, 3: 0}
        begun = time.perf_counter()
        expected = array.map_overlap(how, depth=depths, boundary="reflect", dtype=kind).compute()
        seconds = time.perf_counter() - begun
    with h5py.File(results) as opened:
        found = opened[group]["Denoised"][()]
    off = numpy.abs(found - expected).max() / numpy.abs(expected).max()
    return {"seconds": seconds, "off": float(off)}


def scikit_image_shifts(file, dataset, cores, results, group):
    import dask
    import dask.array
    import h5py
    import hyperspy.api
    import numpy
    from skimage.registration import phase_cross_correlation

    def shift(frame, reference):
        return -phase_cross_correlation(reference, frame - frame.mean(), upsample_factor=100)[0]

    with h5py.File(file) as opened, dask.config.set(scheduler="threads", num_workers=int(cores)):
        reference = opened["reference"][()].astype(float)
        reference -= reference.mean()
        frames = dask.array.from_array(opened[dataset], chunks=(1, 1, *reference.shape))
        signal = hyperspy.api.signals.Signal2D(frames).as_lazy()
        told = {"inplace": False, "lazy_output": True, "output_signal_size": (2,), "output_dtype": float}
        begun = time.perf_counter()
        expected = signal.map(shift, reference=reference, **told).data.compute()
        seconds = time.perf_counter() - begun
    with h5py.File(results) as opened:
        off = numpy.abs(opened[group]["Shifts"][()] - expected)
    return {"seconds": seconds, "off": float(off.max())}


def hyperspy_frames(file, cores):
    import dask
    import dask.array
    import h5py
    import hyperspy.api

    with contextlib.ExitStack() as stack:
        stack.enter_context(dask.config.set(scheduler="threads", num_workers=int(cores)))
        if file.endswith(".h5"):
            opened = stack.enter_context(h5py.File(file))
            signal = hyperspy.api.signals.Signal2D(dask.array.from_array(opened["data"])).as_lazy()
        else:
            signal = hyperspy.api.load(file, lazy=True)
        begun = time.perf_counter()
        signal.sum(axis="sig").data.compute()
        return {"seconds": time.perf_counter() - begun}


COMMANDS = {
    "pyusid": pyusid,
    "scipy": scipy,
    "least-squares": least_squares,
    "scipy-leastsq": scipy_gaussians(leastsq),
    "scipy-curve-fit": scipy_gaussians(curve_fit),
    "hyperspy-multifit": hyperspy_multifit,
    "loop-fit": loop_fits,
    "giv-bayesian": giv_bayesian,
    "scipy-gaussian2d": scipy_gaussian2d,
    "open": open_main,
    "libertem": libertem,
    "hyperspy": hyperspy,
    "frames": frames_files,
    "product": product,
    "libertem-frames": libertem_frames,
    "libertem-fold": libertem_fold,
    "hyperspy-fold": hyperspy_fold,
    "hyperspy-svd": hyperspy_svd,
    "sklearn-kmeans": sklearn_kmeans,
    "hyperspy-online": hyperspy_online,
    "sklearn-mixture": sklearn_mixture,
    "hyperspy-model": hyperspy_model,
    "hyperspy-nmf": hyperspy_nmf,
    "h5py-sum": h5py_sum,
    "scikit-image-shifts": scikit_image_shifts,
    "hyperspy-frames": hyperspy_frames,
    "pixelmill-dask": pixelmill_dask,
    "dask-sum": dask_sum,
    "pixelmill-libertem": pixelmill_libertem,
    "libertem-sum": libertem_sum,
    "pixelmill-nothing": pixelmill_nothing,
    "pixelmill-busy": pixelmill_busy,
    "pixelmill-centres": pixelmill_centres,
    "hyperspy-centres": hyperspy_centres,
    "pyusid-centres": pyusid_centres,
    "dask-denoise": dask_denoise,
    "spectra": spectra,
}

if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        told = COMMANDS[sys.argv[1]](*sys.argv[2:])
    json.dump(told, sys.stdout)
