"""Scans of oscillations with noise, and pycroscopy's SignalFilter as it is described in processing/fft.py and
processing/signal_filter.py, to hold the process FFT_Filtering against. Each command prints one JSON object.

    signal_filter.py make FILE OPTIONS          writes a scan, see `make`
    signal_filter.py compare FILE GROUP FILTERS [mended]    how far results are from pycroscopy's
    signal_filter.py noise FILE GROUP RAW       what the filtered data keep of the noise, and the floors
    signal_filter.py golden FILE GROUP GOLDEN [update]      how far results are from those kept in a file
"""

import json
import sys

import h5py
import numpy as np

RAW_DATA = "/Measurement_000/Channel_000/Raw_Data"


def make(file, options):
    """Rows of white noise with the standard deviation `noise`, and a sine for each of `tones`, [Hz, amplitude].

    Options, all optional: rows, points, rate, unit and its `per_second`, kind, noise, tones, scale, seed.
    """
    given = {"rows": 12, "points": 1000, "rate": 1e5, "unit": "s", "per_second": 1, "kind": "f8", "noise": 1.0}
    given |= {"tones": [], "scale": 1.0, "seed": 0} | json.loads(options)
    rows, points, rate = given["rows"], given["points"], given["rate"]
    rng = np.random.default_rng(given["seed"])
    time = np.arange(points) / rate
    signal = sum((a * np.sin(2 * np.pi * f * time + 0.3) for f, a in given["tones"]), np.zeros(points))
    with h5py.File(file, "w") as opened:
        group = opened.create_group("Measurement_000/Channel_000")
        raw = group.create_dataset("Raw_Data", (rows, points), given["kind"])
        raw.attrs.update(quantity="Deflection", units="V")
        for row in range(rows):
            values = (signal + given["noise"] * rng.standard_normal(points)) * given["scale"]
            raw[row] = np.rint(values) if np.dtype(given["kind"]).kind in "iu" else values
        tables = {
            "Position": (np.arange(rows)[:, None], np.arange(rows)[:, None], "X", "um"),
            "Spectroscopic": (np.arange(points)[None], time[None] * given["per_second"], "Time", given["unit"]),
        }
        for prefix, (indices, values, label, unit) in tables.items():
            for suffix, kind, data in (("Indices", "u4", indices), ("Values", "f4", values)):
                table = group.create_dataset(f"{prefix}_{suffix}", data=data.astype(kind))
                table.attrs.update(labels=np.array([label.encode()]), units=np.array([unit.encode()]))
                raw.attrs[f"{prefix}_{suffix}"] = table.ref
    return {"positions": rows}


# pycroscopy's filters: values for the frequencies after `fftshift`, the centre at `cent`.


def low_pass(points, cent, rate, cutoff, roll_off=0.05):
    edge, last = round(points * (roll_off * cutoff / rate)), round(points * (cutoff / rate))
    erf = np.vectorize(__import__("math").erf, otypes=[float])
    smooth = 0.5 * (1 + erf(np.linspace(-2.5, 2.5, edge)))
    values = np.zeros(points, np.float32)
    values[cent - last : cent - last + edge] = smooth
    values[cent - last + edge : cent + last - edge + 1] = 1
    values[cent + last - edge + 1 : cent + last + 1] = 1 - smooth
    return values


def harmonics(points, cent, rate, first, width, number):
    half = round(cent * width / rate)
    at = [round(points * (n * first / rate)) for n in range(1, number + 1)]
    values = np.ones(points, np.int16)
    values[max(cent - at[0] + half + 1, 0) : min(points, cent + at[0] - half)] = 0
    values[: cent - at[-1] - half] = 0
    values[cent + at[-1] + half + 1 :] = 0
    for one, next_one in zip(at, at[1:]):
        values[cent - next_one + half + 1 : cent - one - half] = 0
        values[cent + one + half + 1 : cent + next_one - half] = 0
    return values


def noise_band(points, cent, rate, frequencies, widths):
    values = np.ones(points, np.int16)
    for frequency, width in zip(frequencies, widths):
        at, half = round(points * (frequency / rate)), round(cent * width / rate)
        values[cent - at - half : cent - at + half + 1] = 0
        values[cent + at - half : cent + at + half + 1] = 0
    return values


def noise_floor(amplitudes, tolerance):
    """Stops at changes below 0.01, whatever the units of the data."""
    kept, count = amplitudes.copy(), amplitudes.size
    previous = np.sqrt((kept**2).sum() / (2 * count))
    threshold = np.sqrt(2 * previous**2 * -np.log(tolerance))
    change, estimates = 1, 1
    while change > 1e-2 and estimates < 50:
        kept[kept > threshold] = 0
        now = np.sqrt((kept**2).sum() / (2 * count))
        change, previous, estimates = abs(now - previous), now, estimates + 1
        threshold = np.sqrt(2 * now**2 * -np.log(tolerance))
    return threshold


def reference(rows, rate, filters, mended):
    """Filtered data, condensed data, noise floors, composite filter; `mended`: the centre is at 0 Hz."""
    points = rows.shape[1]
    cent = points // 2 if mended else round(0.5 * points)
    kinds = {"low_pass": low_pass, "harmonics": harmonics, "noise_band": noise_band}
    composite = np.float32(1) * np.ones(points, np.float32)
    for name, settings in filters.items():
        if name in kinds:
            composite *= kinds[name](points, cent, rate, *settings)
    spectra = np.fft.fftshift(np.fft.fft(rows, axis=1), axes=1)
    floors = None
    if filters.get("noise_threshold") is not None:
        floors = np.array([noise_floor(abs(row), filters["noise_threshold"]) for row in spectra])
    spectra = spectra * composite
    if floors is not None:
        spectra[abs(spectra) < floors[:, None]] = 1e-16
    passing = np.flatnonzero(composite > 0)
    condensed = spectra[:, passing[len(passing) // 2 :]]
    filtered = np.fft.ifft(np.fft.ifftshift(spectra, axes=1), axis=1).real
    return filtered, condensed, floors, composite


def compare(file, group, filters, mended=""):
    filters = json.loads(filters)
    with h5py.File(file) as opened:
        rows, found = opened[RAW_DATA][()].astype(float), opened[group]
        filtered, condensed, floors, composite = reference(rows, filters["rate"], filters, mended == "mended")
        told = {"kind": str(found["Filtered_Data"].dtype), "composite": None, "condensed": None, "floors": None}
        told["filtered"] = float(abs(found["Filtered_Data"][()] - filtered).max() / abs(filtered).max())
        if "Composite_Filter" in found:
            told["composite"] = float(abs(found["Composite_Filter"][()] - composite).max())
            told["frequencies"] = found["Composite_Filter"].dims[0][0][()].tolist()[:: len(composite) // 2]
        if "Condensed_Data" in found:
            # Half the sample rate is among pycroscopy's negative frequencies, which it leaves out.
            condensed_here = found["Condensed_Data"][:, : condensed.shape[1]]
            told["condensed"] = float(abs(condensed_here - condensed).max() / abs(condensed).max())
            told["condensed_kind"] = str(found["Condensed_Data"].dtype)
        if floors is not None:
            told["floors"] = float(abs(found["Noise_Floors"][:, 0] / floors - 1).max())
    return told


def noise(file, group, raw):
    """Mean and spread of the squared noise floors over N times the variance; share of the bins that pass."""
    with h5py.File(file) as opened:
        filtered, floors = opened[group]["Filtered_Data"][()], opened[group]["Noise_Floors"][:, 0]
        points = filtered.shape[1]
        squared = floors**2 / points
        amplitudes = abs(np.fft.rfft(filtered, axis=1))[:, 1 : (points + 1) // 2]
    return {
        "squared_floor": float(squared.mean()),
        "spread": float(squared.std()),
        "passing": float((amplitudes > floors.min() / 2).mean()),
        "bins": amplitudes.size,
    }


def golden(file, group, kept, update=""):
    with h5py.File(file) as opened:
        found = {name: opened[group][name][()] for name in opened[group] if "quantity" in opened[group][name].attrs}
        found.pop("Frequency", None)
    if update == "update":
        with h5py.File(kept, "w") as opened:
            for name, data in found.items():
                opened[name] = data
    with h5py.File(kept) as opened:
        if sorted(opened) != sorted(found):
            return {"datasets": sorted(found), "kept": sorted(opened)}
        far = {name: abs(found[name] - opened[name][()]).max() / abs(opened[name][()]).max() for name in found}
        same = all(found[name].dtype == opened[name].dtype for name in found)
    return {"far": {name: float(value) for name, value in far.items()}, "same_kinds": same}


COMMANDS = {"make": make, "compare": compare, "noise": noise, "golden": golden}

if __name__ == "__main__":
    print(json.dumps(COMMANDS[sys.argv[1]](*sys.argv[2:])))
