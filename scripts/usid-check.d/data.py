"""Simulated data for each class."""

import h5py
import numpy as np
import pyUSID
from pyUSID import Dimension

MAIN = "Measurement_000/Channel_000/Raw_Data"
SIGNAL_RATE = 1e5


def make(name: str, path: str) -> None:
    """A file with what a class computes on."""
    values, quantity, grid, axis, attributes = _MAKERS[name](np.random.default_rng(0))
    positions = [Dimension("Y", "m", np.arange(grid[0])), Dimension("X", "m", np.arange(grid[1]))]
    with h5py.File(path, "w") as file:
        group = file.create_group("Measurement_000/Channel_000")
        main = pyUSID.hdf_utils.write_main_dataset(group, values, "Raw_Data", quantity, "V", positions, axis)
        for attribute, value in attributes.items():
            main.attrs[attribute] = value


def signal(rng):
    time = np.arange(2048) / SIGNAL_RATE
    wave = np.sin(2 * np.pi * 5e3 * time) + 0.5 * np.sin(2 * np.pi * 1.5e4 * time)
    noisy = wave + rng.normal(size=(2000, time.size))
    return noisy.astype(np.float32), "Deflection", (50, 40), Dimension("Time", "s", time), {}


def giv(rng):
    phase = 2 * np.pi * np.arange(256) / 256
    bias = 5 * np.sin(phase)
    current = bias / 4 + 0.3 * np.cos(phase) + 0.02 * rng.normal(size=(96, 256))
    return current, "Current", (8, 12), Dimension("Bias", "V", bias), {}


def sho(rng):
    frequency = np.linspace(300e3, 370e3, 119)
    low, high = np.array([325e3, 1e-4, 80, -3]), np.array([345e3, 1e-3, 200, 3])
    centre, size, quality, phase = rng.uniform(low, high, (2000, 4)).T[..., None]
    response = size * np.exp(1j * phase) * centre**2
    response = response / (frequency**2 - 1j * frequency * centre / quality - centre**2)
    noise = rng.normal(size=(*response.shape, 2)) @ [1, 1j]
    response += 0.01 * np.abs(response).max(axis=1, keepdims=True) * noise
    return response.astype(np.complex64), "Deflection", (50, 40), Dimension("Frequency", "Hz", frequency), {}


def loop(rng):
    from BGlib.be.analysis.be_sho_fitter import sho32
    from BGlib.be.analysis.utils.be_loop import loop_fit_function

    up = np.linspace(-8, 8, 32, endpoint=False)
    bias = np.roll(np.concatenate([up, -up]), -16)
    fits = np.zeros((60, 64), sho32)
    for row in fits:
        spread = rng.uniform(0.7, 1.3, 4) * [-3e-4, 6e-4, 2, -2]
        values = loop_fit_function(bias, [*spread, 2e-6, 0.3, 0.4, 0.3, 0.4]) + 1e-5 * rng.normal(size=64)
        row["Amplitude [V]"], row["Phase [rad]"] = np.abs(values), np.where(values > 0, 0, np.pi)
        row["Frequency [Hz]"], row["Quality Factor"], row["R2 Criterion"] = 335e3, 100, 0.9
    return fits, "SHO", (6, 10), Dimension("DC_Offset", "V", bias), {}


def ffta(rng):
    rate, points, drive, trigger = 1e7, 10000, 277261.0, 4e-4
    time = np.arange(points) / rate
    rows = np.empty((120, points))
    for row in rows:
        decay, shift = rng.uniform(3e-5, 3e-4), rng.uniform(100, 300)
        frequency = drive - np.where(time > trigger, shift * (1 - np.exp(-(time - trigger) / decay)), 0)
        row[:] = 1e-7 * np.sin(2 * np.pi * np.cumsum(frequency) / rate) + 1e-10 * rng.normal(size=points)
    attributes = {
        "num_rows": 12, "num_cols": 10, "pnts_per_avg": points, "FastScanSize": 1e-6, "SlowScanSize": 1e-6,
        "total_time": points / rate, "sampling_rate": rate, "trigger": trigger, "drive_freq": drive, "roi": 3e-4,
        "n_taps": 499, "bandpass_filter": 1, "filter_bandwidth": 5000.0, "window": "blackman", "wavelet_analysis": 0,
    }  # fmt: skip
    return rows, "Deflection", (12, 10), Dimension("Time", "s", time), attributes


_MAKERS = {one.__name__: one for one in (signal, giv, sho, loop, ffta)}
NAMES = list(_MAKERS)
