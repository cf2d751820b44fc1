"""The part `curve`: fits of one Gaussian over 256 channels, on one core, beside MINPACK through SciPy and HyperSpy's
`multifit`, and whether all find the same. The same convolved with a low-loss spectrum, beside a model of HyperSpy's that
is convolved as exSpy's are.

Each of the three takes its start values from the spectra: SciPy from the highest channel and the sum of the spectrum, HyperSpy
from its `estimate_parameters`. SciPy's functions with NumPy are as fast as they can be had: `leastsq` with the
analytic Jacobian beside the usual `curve_fit`.
"""

import h5py
import numpy as np
from scipy.signal import fftconvolve

POSITIONS, CHANNELS = 128 * 128, 256
GAUSSIAN = ("-p", "components=gaussian")


FRAMES, SIDE = 2000, 64
# Channels of a low-loss spectrum, and the one in which nothing is lost.
LENGTH, ZERO = 200, 20


class Curve:
    def __init__(self, bench, write):
        self.bench = bench
        self.file = bench.folder / "gaussians.h5"
        if not self.file.exists():
            write(self.file, 128, 128, Gaussians(), CHANNELS)
        self.convolved_file = bench.folder / "convolved.h5"
        if not self.convolved_file.exists():
            low = low_loss()
            write(self.convolved_file, 128, 128, Gaussians(low), CHANNELS)
            with h5py.File(self.convolved_file, "r+") as opened:
                opened["low"] = low
        self.frames = bench.folder / "spots.h5"
        if not self.frames.exists():
            with h5py.File(self.frames, "w") as opened:
                opened["data"] = spots()

    def measure(self):
        self.spectra()
        self.convolved()
        self.formula()
        self.spots()

    def formula(self):
        """A formula beside the component that it stands for."""
        text = "A*exp(-(x-m)^2/(2*s^2))+c"
        parts = '[{"formula": "%s", "m": 130, "s": 10}]' % text
        own, named = [], []
        for _ in range(self.bench.repeat):
            for times, components in ((own, parts), (named, "gaussian+offset")):
                run = self.bench.run("curve-fit", self.file, 1, "-p", f"components={components}")
                times.append(1e6 * run["compute_seconds"] / run["positions"])
        self.bench.line(f"curve-fit of the formula {text}", own, "us per spectrum")
        self.bench.line("curve-fit of gaussian+offset", named, "us per spectrum")

    def spots(self):
        ours, theirs, ratios, worst = [], [], [], 0.0
        for _ in range(self.bench.repeat):
            components = ("-p", "components=gaussian2d+offset", "--positions-axes", "0")
            run = self.bench.run("curve-fit", self.frames, 1, *components)
            found = self.bench.peer("tests", "scipy-gaussian2d", self.frames, run["file"], run["group"])
            ours.append(1e6 * run["compute_seconds"] / run["positions"])
            theirs.append(1e6 * found["seconds"] / found["positions"])
            ratios.append(theirs[-1] / ours[-1])
            worst = max(worst, found["difference"])
        self.bench.line("curve-fit of a rotated Gaussian on a constant, 64 x 64 points, one core", ours, "us per frame")
        self.bench.line("the same by SciPy's curve_fit", theirs, "us per frame")
        self.bench.line("times as fast as SciPy's curve_fit", ratios, least=50)
        self.bench.line("difference from SciPy's curve_fit, at most", [worst], "standard errors", most=1e-2)

    def convolved(self):
        what = f"curve-fit of a Gaussian through a low loss of {LENGTH} channels, one core"
        low = ("-p", "low_loss=/low", "-p", f"low_loss_zero={ZERO}")
        self.gaussian(what, self.convolved_file, {"hyperspy-multifit": 25}, low, "through a low loss", str(ZERO))

    def gaussian(self, what, file, bars, more=(), how="", *told):
        """Fits of a Gaussian beside those of peers, each with how many times as fast it has to be."""
        ours, peers, found = [], {name: [] for name in bars}, {}
        for _ in range(self.bench.repeat):
            run = self.bench.run("curve-fit", file, 1, *GAUSSIAN, *more)
            ours.append(1e6 * run["compute_seconds"] / run["positions"])
            for name, times in peers.items():
                venv = "peers" if name.startswith("hyperspy") else "tests"
                found[name] = self.bench.peer(venv, name, file, run["file"], run["group"], *told)
                times.append(1e6 * found[name]["seconds"] / found[name]["positions"])
        self.bench.line(what, ours, "us per spectrum")
        for name, times in peers.items():
            by = f"{name} {how}".strip()
            self.bench.line(f"the same by {by}", times, "us per spectrum")
            ratios = [theirs / own for theirs, own in zip(times, ours, strict=True)]
            self.bench.line(f"times as fast as {by}", ratios, least=bars[name])
            self.bench.line(f"difference from {by}, at most", [found[name]["difference"]], "standard errors", most=1e-3)

    def spectra(self):
        bars = {"scipy-leastsq": 8, "scipy-curve-fit": 8, "hyperspy-multifit": 100}
        self.gaussian("curve-fit of a Gaussian, 256 channels, one core", self.file, bars)
        models = ("gaussian+offset", "pseudo_voigt+polynomial1", "lorentzian+offset", "erf+offset")
        for model in models:
            run = self.bench.run("curve-fit", self.file, 1, "-p", f"components={model}")
            self.bench.line(f"curve-fit of {model}", [1e6 * run["compute_seconds"] / run["positions"]], "us per spectrum")


def spots():
    """Frames with a rotated spot each."""
    random = np.random.default_rng(6)
    draw = lambda least, most: random.uniform(least, most, (FRAMES, 1, 1))
    y, x = np.mgrid[:SIDE, :SIDE]
    right, down, angle = x - draw(24, 40), y - draw(24, 40), draw(-0.7, 0.7)
    u = (right * np.cos(angle) - down * np.sin(angle)) / draw(5, 9)
    v = (right * np.sin(angle) + down * np.cos(angle)) / draw(2.5, 4.5)
    frames = draw(30, 120) * np.exp(-(u**2 + v**2) / 2) + 20
    return (frames + random.normal(0, 1, frames.shape)).astype("f4")


def low_loss():
    """Of sum 1: what lost nothing, and plasmons."""
    lost = np.arange(LENGTH) - ZERO
    plasmon = lambda place, width: (lost > 0) * width / ((lost - place) ** 2 + width**2)
    values = np.exp(-((lost / 1.5) ** 2)) + 0.5 * plasmon(30, 4) + 0.1 * plasmon(60, 8)
    return values / values.sum()


class Gaussians:
    """Spectra with a peak each, some 100 times the noise, wherever it likes; through a low loss if there is one."""

    def __init__(self, low=None):
        self.random = np.random.default_rng(5)
        self.low = low

    def __call__(self, count):
        area, place, width = (self.random.uniform(*edges, (count, 1)) for edges in ((1500, 6000), (60, 200), (6, 16)))
        channels = np.arange(CHANNELS) if self.low is None else np.arange(ZERO + 1 - LENGTH, CHANNELS + ZERO)
        u = (channels - place) / width
        noise = self.random.normal(0, 1.5, (count, CHANNELS))
        peaks = area / (width * np.sqrt(2 * np.pi)) * np.exp(-(u**2) / 2)
        return (peaks if self.low is None else fftconvolve(peaks, self.low[None], "valid", axes=1)) + noise
