"""The part `curve`: fits of one Gaussian over 256 channels, on one core, beside MINPACK through SciPy and HyperSpy's
`multifit`, and whether all find the same.

Each of the three takes its start values from the spectra: SciPy from the highest channel and the sum of the spectrum, HyperSpy
from its `estimate_parameters`. SciPy's functions with NumPy are as fast as they can be had: `leastsq` with the
analytic Jacobian beside the usual `curve_fit`.
"""

import h5py
import numpy as np

POSITIONS, CHANNELS = 128 * 128, 256
GAUSSIAN = ("-p", "components=gaussian")


FRAMES, SIDE = 2000, 64


class Curve:
    def __init__(self, bench, write):
        self.bench = bench
        self.file = bench.folder / "gaussians.h5"
        if not self.file.exists():
            write(self.file, 128, 128, Gaussians(), CHANNELS)
        self.frames = bench.folder / "spots.h5"
        if not self.frames.exists():
            with h5py.File(self.frames, "w") as opened:
                opened["data"] = spots()

    def measure(self):
        self.spectra()
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

    def spectra(self):
        ours, peers = [], {"scipy-leastsq": [], "scipy-curve-fit": [], "hyperspy-multifit": []}
        found = {}
        for _ in range(self.bench.repeat):
            run = self.bench.run("curve-fit", self.file, 1, *GAUSSIAN)
            ours.append(1e6 * run["compute_seconds"] / run["positions"])
            for name, times in peers.items():
                venv = "peers" if name.startswith("hyperspy") else "tests"
                found[name] = self.bench.peer(venv, name, self.file, run["file"], run["group"])
                times.append(1e6 * found[name]["seconds"] / found[name]["positions"])
        self.bench.line("curve-fit of a Gaussian, 256 channels, one core", ours, "us per spectrum")
        bars = {"scipy-leastsq": 8, "scipy-curve-fit": 8, "hyperspy-multifit": 100}
        for name, times in peers.items():
            self.bench.line(f"the same by {name}", times, "us per spectrum")
            ratios = [theirs / own for theirs, own in zip(times, ours, strict=True)]
            self.bench.line(f"times as fast as {name}", ratios, least=bars[name])
            self.bench.line(f"difference from {name}, at most", [found[name]["difference"]], "standard errors", most=1e-3)
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


class Gaussians:
    """Spectra with a peak each, some 100 times the noise, wherever it likes."""

    def __init__(self):
        self.random = np.random.default_rng(5)

    def __call__(self, count):
        area, place, width = (self.random.uniform(*edges, (count, 1)) for edges in ((1500, 6000), (60, 200), (6, 16)))
        u = (np.arange(CHANNELS) - place) / width
        noise = self.random.normal(0, 1.5, (count, CHANNELS))
        return area / (width * np.sqrt(2 * np.pi)) * np.exp(-(u**2) / 2) + noise
