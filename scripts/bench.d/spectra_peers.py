"""Maps over spectra and frames as NumPy, SciPy and HyperSpy have them, for the part `spectra`: data are read by h5py, and
all of them are computed at once in memory, or by HyperSpy's `map`, spectrum by spectrum on threads."""

import time

RAW_DATA = "/Measurement_000/Channel_000/Raw_Data"


def numpy_maps():
    """Vectorised over all spectra, with the functions that are fastest."""
    import numpy as np
    import scipy.fft
    from scipy.integrate import trapezoid
    from scipy.signal import savgol_filter

    def moments(y, _):
        x = np.arange(y.shape[1], dtype=float)
        y = y.astype(float)
        area = y.sum(1)
        centre = (y @ x) / area
        apart = x - centre[:, None]
        second, third, fourth = (np.einsum("ij,ij->i", y, apart**power) / area for power in (2, 3, 4))
        return area, centre, np.sqrt(second), third / second**1.5, fourth / second**2 - 3

    def maximum(y, _):
        return y.max(1), y.argmax(1)

    def integral(y, _):
        y = y.astype(float)
        first, last = y[:, 10:101].mean(1), y[:, 900:1001].mean(1)
        slope = (last - first) / 895
        above = y[:, 200:801] - (first[:, None] + slope[:, None] * (np.arange(200, 801) - 55))
        return trapezoid(above, axis=1)

    def through_mask(frames, cores):
        y, x = np.meshgrid(*(scipy.fft.fftfreq(length) for length in frames.shape[-2:]), indexing="ij")
        mask = (np.hypot(y, x) <= 0.2)[:, : frames.shape[-1] // 2 + 1]
        return scipy.fft.irfft2(scipy.fft.rfft2(frames, workers=cores) * mask, frames.shape[-2:], workers=cores)

    return {
        "moments": moments,
        "maximum": maximum,
        "integral": integral,
        "smooth": lambda y, _: savgol_filter(y, 11, 2),
        "derivative": lambda y, _: savgol_filter(y, 11, 2, deriv=1),
        "fft": lambda y, cores: scipy.fft.rfft(y, workers=cores),
        "fft-mask": through_mask,
    }


def hyperspy_maps():
    """HyperSpy's own functions where there are any, else one spectrum's mapped over all."""
    import numpy as np

    def moments(signal):
        x = np.arange(signal.data.shape[-1], dtype=float)

        def of(y):
            area = y.sum()
            centre = np.average(x, weights=y)
            second, third, fourth = (np.average((x - centre) ** power, weights=y) for power in (2, 3, 4))
            return np.array([area, centre, np.sqrt(second), third / second**1.5, fourth / second**2 - 3])

        return signal.map(of, inplace=False)

    def through_mask(signal):
        y, x = np.meshgrid(*(np.fft.fftfreq(length) for length in signal.data.shape[-2:]), indexing="ij")
        mask = (np.hypot(y, x) <= 0.2)[:, : signal.data.shape[-1] // 2 + 1]
        return signal.map(lambda frame: np.fft.irfft2(np.fft.rfft2(frame) * mask, frame.shape), inplace=False)

    def integral(signal):
        return signal.remove_background((10.0, 100.0), "Offset", fast=True).isig[200:801].integrate1D(-1)

    return {
        "moments": moments,
        "maximum": lambda signal: (signal.max(-1), signal.valuemax(-1)),
        "integral": integral,
        "smooth": lambda signal: signal.smooth_savitzky_golay(2, 11),
        "derivative": lambda signal: signal.smooth_savitzky_golay(2, 11, 1),
        "fft": lambda signal: signal.fft(),
        "fft-mask": through_mask,
    }


def spectra(file, cores, what, by):
    import dask
    import h5py

    is_frames = what == "fft-mask"
    path = "data" if is_frames else RAW_DATA
    if by == "numpy":
        compute = numpy_maps()[what]
        begun = time.perf_counter()
        with h5py.File(file) as opened:
            compute(opened[path][()], int(cores))
        return {"seconds": time.perf_counter() - begun}
    import hyperspy.api as hs

    hs.preferences.General.show_progressbar = False
    compute = hyperspy_maps()[what]
    with dask.config.set(scheduler="threads", num_workers=int(cores)), h5py.File(file) as opened:
        begun = time.perf_counter()
        signal = (hs.signals.Signal2D if is_frames else hs.signals.Signal1D)(opened[path][()])
        compute(signal)
        return {"seconds": time.perf_counter() - begun}
