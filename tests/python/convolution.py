"""Simulated losses of electrons through plasmons, and HyperSpy's fits of convolved models (venv peers).

    convolution.py make FOLDER    writes core and low losses as .hspy; HyperSpy's fits, and the true values
    convolution.py exact RESULTS GROUP CORE LOW    the largest difference of χ² from numpy.convolve's, relative
    convolution.py moved LOW ATTRIBUTE VALUE       changes the axis of a low loss
    convolution.py bare LOW FILE CORE      the same values without an axis, and steps of 1 for the core loss
"""

import json
import sys

import h5py
import hyperspy.api as hs
import numpy as np
from hyperspy.models.model1d import Model1D
from scipy.special import erf

SHAPE, CHANNELS, LENGTH = (3, 4), 512, 300
FIRST, STEP, BEGIN = 380.0, 0.5, -10.0
NAMES = ["A", "centre", "sigma", "A_edge", "origin", "sigma_edge", "A_law", "r"]
TRUE = np.array([30.0, 450, 3, 8, 420, 2, 4e9, 2.2])
VARY = np.array([5.0, 4, 0.5, 1, 3, 0.2, 5e8, 0.02])


class Convolved(Model1D):
    """A model as exSpy's of EELS is: HyperSpy has the sums, and leaves to it which spectrum and axis they are of."""

    def __init__(self, signal, low):
        super().__init__(signal)
        self._convolved, self._signal_to_convolve = True, low
        axis = low.axes_manager[-1]
        count = self.axis.size + axis.size - 1
        before = axis.size - axis.value2index(0) - 1
        self._convolution_axis = self.axis.offset + self.axis.scale * (np.arange(count) - before)

    @property
    def convolved(self):
        return self._convolved


def own(x, A, centre, sigma, A_edge, origin, sigma_edge):
    peak = A / (sigma * np.sqrt(2 * np.pi)) * np.exp(-((x - centre) ** 2) / (2 * sigma**2))
    return peak + A_edge / 2 * erf((x - origin) / (sigma_edge * np.sqrt(2)))


def model(free, low):
    """What is measured of these parameters through a low-loss spectrum."""
    zero = round(-BEGIN / STEP)
    extended = FIRST + STEP * (np.arange(CHANNELS + LENGTH - 1) - (LENGTH - zero - 1))
    x = FIRST + STEP * np.arange(CHANNELS)
    return np.convolve(low, own(extended, *free[:6]), "valid") + free[6] * x ** -free[7]


def low_losses():
    """A zero-loss peak and two plasmons, of another thickness at each position."""
    energy = BEGIN + STEP * np.arange(LENGTH)
    thickness = np.linspace(0.2, 1.2, 12)[:, None]
    plasmon = lambda place, width: width / np.pi / ((energy - place) ** 2 + width**2) * (energy > 0)
    peak = np.exp(-((energy / 0.7) ** 2))
    return 100 * np.exp(-thickness) * (peak + thickness * plasmon(15, 2) + thickness**2 / 2 * plasmon(30, 4))


def saved(data, path, title, first):
    navigate = [{"name": name, "size": size, "navigate": True} for name, size in zip("yx", data.shape[:-1], strict=False)]
    axis = {"name": "Energy loss", "units": "eV", "size": data.shape[-1], "offset": first, "scale": STEP, "navigate": False}
    signal = hs.signals.Signal1D(data, axes=[*navigate, axis])
    signal.metadata.General.title = title
    signal.save(path, overwrite=True)
    return signal


def make(folder):
    hs.preferences.General.show_progressbar = False
    lows, told = low_losses(), {}
    rng = np.random.default_rng(5)
    truths = TRUE + VARY * rng.uniform(-1, 1, (12, len(TRUE)))
    saved(lows[5], f"{folder}/alone.hspy", "low", BEGIN)
    saved(lows.reshape(*SHAPE, -1), f"{folder}/each.hspy", "low", BEGIN)
    np.save(f"{folder}/alone.npy", lows[5])
    broken = lows.copy()
    broken[3], broken[5, 40], broken[7] = 0, np.nan, -broken[7]
    saved(broken.reshape(*SHAPE, -1), f"{folder}/broken.hspy", "low", BEGIN)
    for kind, used in (("alone", np.tile(lows[5], (12, 1))), ("each", lows)):
        clean = np.array([model(free, low) for free, low in zip(truths, used, strict=True)])
        noisy = (clean + 0.5 * rng.standard_normal(clean.shape)).reshape(*SHAPE, -1)
        core = saved(noisy, f"{folder}/core_{kind}.hspy", "core", FIRST)
        low = saved(used.reshape(*SHAPE, -1), f"{folder}/used_{kind}.hspy", "low", BEGIN)
        told[kind] = fitted(core, low, truths)
    return told | {"true": dict(zip(NAMES, truths.T.tolist(), strict=True))}


def fitted(core, low, truths):
    lib = hs.model.components1D
    whole = Convolved(core, low)
    peak, edge, law = lib.Gaussian(), lib.Erf(), lib.PowerLaw()
    whole.extend([peak, edge, law])
    parameters = [peak.A, peak.centre, peak.sigma, edge.A, edge.origin, edge.sigma, law.A, law.r]
    values, errors = [], []
    for number, truth in enumerate(truths):
        core.axes_manager.indices = np.unravel_index(number, SHAPE)[::-1]
        for parameter, value in zip(parameters, truth, strict=True):
            parameter.value = value
        whole.fit(optimizer="lm", xtol=1e-14, ftol=1e-14)
        values.append([parameter.value for parameter in parameters])
        errors.append([parameter.std for parameter in parameters])
    return {name: [*both] for name, *both in zip(NAMES, np.array(values).T.tolist(), np.array(errors).T.tolist(), strict=True)}


def exact(results, group, core, low):
    """Each spectrum less its model at the values that were found: its squares beside the χ² that were written."""
    with h5py.File(results) as found, h5py.File(core) as measured, h5py.File(low) as lows:
        records = [found[f"{group}/{name}"][()] for name in ("Gaussian", "Erf", "Power_Law")]
        chi = np.ravel(found[f"{group}/Chi_Square"])
        spectra = measured["Experiments/core/data"][()].reshape(12, -1)
        low = lows["Experiments/low/data"][()].reshape(-1, LENGTH)
    worst = 0.0
    for number in range(12):
        values = [record.ravel()[number] for record in records]
        free = [*values[0].tolist(), *values[1].tolist(), *values[2].tolist()[:2]]
        residuals = spectra[number] - model(free, low[number % len(low)])
        worst = max(worst, abs(residuals @ residuals / chi[number] - 1))
    return {"worst": worst}


def moved(file, attribute, value):
    with h5py.File(file, "r+") as opened:
        opened["Experiments/low/axis-0"].attrs[attribute] = float(value)
    return {}


def bare(low, file, core):
    with h5py.File(low) as opened, h5py.File(file, "w") as made, h5py.File(core, "r+") as counted:
        made["low"] = opened["Experiments/low/data"][()]
        counted["Experiments/core/axis-2"].attrs["scale"] = 1.0
    return {}


def main():
    command = {"make": make, "exact": exact, "moved": moved, "bare": bare}[sys.argv[1]]
    print(json.dumps(command(*sys.argv[2:]), default=float))


if __name__ == "__main__":
    main()
