"""Simulates band-excitation spectra and judges what sho-fit finds in them.

    sho.py simulate FILE           four settings of an oscillator at each position, with noise
    sho.py bounds FILE GROUP       bias and spread of the fits against the Cramér-Rao bound
    sho.py guesses FILE GROUP      the guesses against the closed form, spectrum by spectrum
    sho.py scipy FILE GROUP COUNT  the fits against least_squares of SciPy, from the same guesses
    sho.py strange FILE            spectra that no oscillator made
    sho.py given FILE GROUP        /good: a changed copy of the fits, partly without numbers; /other: records of
                                   other fields; /few: too few of the right ones

What a test needs to know comes as one JSON object on standard output.
"""

import json
import sys

import h5py
import numpy as np
from scipy.optimize import least_squares

CHANNEL = "/Measurement_000/Channel_000"
RAW_DATA = f"{CHANNEL}/Raw_Data"
FIELDS = ["Amplitude [V]", "Frequency [Hz]", "Quality Factor", "Phase [rad]"]
FREQUENCY = np.linspace(300e3, 370e3, 119).astype(np.float32).astype(float)
POSITIONS = 2000
# Amplitude, resonance, quality, phase, and the response at resonance over the noise in each quadrature.
SETTINGS = [
    (4e-5, 334.9e3, 35.0, 0.3, 30.0),
    (1e-6, 341.3e3, 150.0, -2.8, 20.0),
    (3e-3, 306.0e3, 12.0, 1.9, 50.0),
    (2e-4, 352.0e3, 60.0, -1.1, 8.0),
]


def oscillator(parameters, frequency):
    amplitude, resonance, quality, phase = parameters
    damping = 1j * frequency * resonance / quality
    return amplitude * np.exp(1j * phase) * resonance**2 / (frequency**2 - damping - resonance**2)


def write(path, spectra, frequency=FREQUENCY):
    """Spectra of the shape (positions, settings, frequencies) as an h5USID file."""
    positions, settings, bins = spectra.shape
    slow, fast = np.divmod(np.arange(settings * bins), bins)
    tables = {
        "Position": (np.arange(positions)[:, None], np.arange(positions)[:, None] * 0.5, ["X"], ["um"]),
        "Spectroscopic": (
            np.stack([slow, fast]),
            np.stack([slow * 0.25 - 1, frequency[fast]]),
            ["Bias", "Frequency"],
            ["V", "Hz"],
        ),
    }
    with h5py.File(path, "w") as file:
        raw = file.create_dataset(RAW_DATA, data=spectra.reshape(positions, -1).astype(np.complex64))
        raw.attrs.update(quantity="Deflection", units="V")
        for prefix, (indices, values, labels, units) in tables.items():
            for suffix, data, kind in (("Indices", indices, "u4"), ("Values", values, "f4")):
                table = file.create_dataset(f"{CHANNEL}/{prefix}_{suffix}", data=data.astype(kind))
                table.attrs.update(labels=np.array(labels, "S"), units=np.array(units, "S"))
                raw.attrs[f"{prefix}_{suffix}"] = table.ref


def noise(setting):
    amplitude, _, quality, _, ratio = setting
    return amplitude * quality / ratio


def simulate(path):
    random = np.random.default_rng(7)
    spectra = np.empty((POSITIONS, len(SETTINGS), len(FREQUENCY)), complex)
    for at, setting in enumerate(SETTINGS):
        quadratures = random.standard_normal((2, POSITIONS, len(FREQUENCY))) * noise(setting)
        spectra[:, at] = oscillator(setting[:4], FREQUENCY) + quadratures[0] + 1j * quadratures[1]
    write(path, spectra)
    return {}


def derivatives(parameters, frequency):
    """By amplitude, resonance, quality and phase, real parts before imaginary ones."""
    amplitude, resonance, quality, _ = parameters
    response = oscillator(parameters, frequency)
    denominator = frequency**2 - 1j * frequency * resonance / quality - resonance**2
    columns = [
        response / amplitude,
        response * (2 / resonance + (1j * frequency / quality + 2 * resonance) / denominator),
        -response * 1j * frequency * resonance / quality**2 / denominator,
        1j * response,
    ]
    return np.array([np.concatenate([column.real, column.imag]) for column in columns]).T


def read(path, group):
    with h5py.File(path) as file:
        found = {name: file[group][name][()] for name in ("Guess", "Fit", "Standard_Errors")}
        return file[RAW_DATA][()], found


def numbers(records, fields=FIELDS):
    return np.stack([records[field].astype(float) for field in fields], axis=-1)


def bounds(path, group):
    _, found = read(path, group)
    told = []
    for at, setting in enumerate(SETTINGS):
        jacobian = derivatives(setting[:4], FREQUENCY) / noise(setting)
        bound = np.sqrt(np.diag(np.linalg.inv(jacobian.T @ jacobian)))
        error = numbers(found["Fit"][:, at]) - setting[:4]
        told.append(
            {
                "spread": (error.std(axis=0) / bound).tolist(),
                "bias": (error.mean(axis=0) / bound).tolist(),
                "standard_errors": (numbers(found["Standard_Errors"][:, at]).mean(axis=0) / bound).tolist(),
            }
        )
    return told


def closed_form(spectrum, frequency, points=5):
    """The guess from pairs of the brightest points, and whether it is to be believed."""
    brightest = np.argsort(-abs(spectrum), kind="stable")[:points]
    found, weights = [], []
    for at, one in enumerate(brightest):
        for two in brightest[at + 1 :]:
            w1, w2, h1, h2 = frequency[one], frequency[two], spectrum[one], spectrum[two]
            p1, p2, product = abs(h1) ** 2, abs(h2) ** 2, (h1 * h2.conjugate()).real
            scale = w1 * (p1 - product) + w2 * (p2 - product)
            d = (w1**3 * p1 - w1 * w2 * (w1 + w2) * product + w2**3 * p2) / scale
            if scale <= 0 or d <= 0:
                continue
            numerator = (w1**2 - w2**2) * (w1 * h2 * p1 - w2 * h1 * p2) / scale
            c = (w1**2 - w2**2) * (h2.real * h1.imag - h1.real * h2.imag) / scale
            model = -numerator / (frequency**2 + 1j * frequency * c - d)
            found.append([numerator.real, numerator.imag, c, d])
            weights.append(float(np.sum(abs(model - spectrum) ** 2)))
    if not found:
        return None
    weights = (min(weights) / np.array(weights)) ** 4
    a, b, c, d = weights @ np.array(found) / weights.sum()
    resonance = np.sqrt(d)
    guess = np.array([np.hypot(a, b) / d, resonance, -resonance / c, np.arctan2(-b, -a)])
    left = np.std(abs(spectrum - oscillator(guess, frequency)))
    inside = frequency.min() <= resonance <= frequency.max() and 1 <= guess[2] <= 1e4
    return guess if inside and np.std(abs(spectrum)) >= 1.2 * left else None


def guesses(path, group):
    raw, found = read(path, group)
    raw = raw.reshape(-1, len(FREQUENCY)).astype(complex)
    given = numbers(found["Guess"].ravel())
    told = {"compared": 0, "fallbacks": 0, "worst": 0.0, "r2": 0.0}
    for at in range(0, len(raw), 7):
        spectrum = raw[at]
        spread = np.sum(abs(spectrum - spectrum.mean()) ** 2)
        left = np.sum(abs(spectrum - oscillator(given[at], FREQUENCY)) ** 2)
        told["r2"] = max(told["r2"], abs(1 - left / spread - found["Guess"].ravel()["R2 Criterion"][at]))
        expected = closed_form(spectrum, FREQUENCY)
        if expected is None:
            told["fallbacks"] += 1
            continue
        difference = given[at] / expected - 1
        told["compared"] += 1
        told["worst"] = max(told["worst"], float(abs(difference).max()))
    return told


def minimise(spectrum, frequency, guess, quality=(1.0, 1e4)):
    """SciPy's fit of the complex residuals with the same bounds; the sum of squares comes with it."""
    scale, middle = abs(spectrum).max(), frequency.mean()
    scales = np.array([scale, middle, 1, 1])

    def residuals(parameters):
        left = oscillator(parameters * scales, frequency) / scale - spectrum / scale
        return np.concatenate([left.real, left.imag])

    def jacobian(parameters):
        return derivatives(parameters * scales, frequency) * scales / scale

    low = [0, frequency.min() / middle, quality[0], -np.inf]
    high = [np.inf, frequency.max() / middle, quality[1], np.inf]
    start = np.clip(guess / scales, np.array(low) + [1e-12, 1e-9, 1e-9, 0], np.array(high) - [0, 1e-9, 1e-9, 0])
    settings = {"x_scale": "jac", "xtol": 1e-12, "ftol": 1e-13, "gtol": 1e-13, "max_nfev": 400}
    found = least_squares(residuals, start, jac=jacobian, bounds=(low, high), **settings)
    return found.x * scales, 2 * found.cost, lambda fit: float(np.sum(residuals(fit / scales) ** 2))


def scipy(path, group, count):
    raw, found = read(path, group)
    with h5py.File(path) as file:
        frequency = file[f"{CHANNEL}/Spectroscopic_Values"][-1, : len(FREQUENCY)].astype(float)
    raw = raw.reshape(-1, len(frequency)).astype(complex)
    guess, fit = numbers(found["Guess"].ravel()), numbers(found["Fit"].ravel())
    errors = numbers(found["Standard_Errors"].ravel())
    r2 = found["Fit"].ravel()["R2 Criterion"]
    told = {"worse": [], "better": [], "compared": 0, "distance": 0.0, "errors": 0.0, "r2": 0.0}
    for at in np.random.default_rng(1).permutation(len(raw))[: int(count)]:
        expected, least, squares = minimise(raw[at], frequency, guess[at])
        found_least = squares(fit[at])
        if found_least > least * (1 + 1e-5):
            told["worse"].append(int(at))
        elif found_least < least * (1 - 1e-5):
            told["better"].append(int(at))
        else:
            told["compared"] += 1
            difference = fit[at] - expected
            difference[3] = (difference[3] + np.pi) % (2 * np.pi) - np.pi
            told["distance"] = max(told["distance"], float(abs(difference / errors[at]).max()))
            jacobian = derivatives(expected, frequency)
            scale = np.linalg.norm(jacobian, axis=0)
            covariance = np.linalg.inv((jacobian / scale).T @ (jacobian / scale)) / np.outer(scale, scale)
            left = np.sum(abs(raw[at] - oscillator(expected, frequency)) ** 2)
            theirs = np.sqrt(np.diag(covariance) * left / (2 * len(frequency) - 4))
            told["errors"] = max(told["errors"], float(abs(errors[at] / theirs - 1).max()))
            spread = np.sum(abs(raw[at] - raw[at].mean()) ** 2)
            told["r2"] = max(told["r2"], abs(1 - left / spread - float(r2[at])))
    return told


def strange(path):
    random = np.random.default_rng(3)
    clean = oscillator(SETTINGS[0][:4], FREQUENCY)
    peak = abs(clean).max()
    kinds = {
        "nan": np.where(np.arange(119) == 60, np.nan, clean),
        "infinite": np.where(np.arange(119) == 60, np.inf, clean),
        "zero": 0 * clean,
        "constant": 0 * clean + 1 + 1j,
        "one spike": np.where(np.arange(119) == 60, peak, 0),
        "two levels": np.where(np.arange(119) < 60, peak, -peak) + 0j,
        "saturated": np.clip(clean.real, -peak / 3, peak / 3) + 1j * np.clip(clean.imag, -peak / 3, peak / 3),
        "tiny": clean * 1e-30 / peak,
        "huge": clean * 1e30 / peak,
        "outside": oscillator((1e-5, 420e3, 40, 1.0), FREQUENCY),
        "too broad": oscillator((1e-5, 340e3, 0.2, 1.0), FREQUENCY),
        "too sharp": oscillator((1e-5, 335.3e3, 1e6, 1.0), FREQUENCY),
        "conjugate": clean.conj(),
        "ramp": FREQUENCY * (1 + 2j),
        "alternating": np.where(np.arange(119) % 2, 1, -1) * (1 + 0j),
    }
    for number in range(200):
        kinds[f"noise {number}"] = random.standard_normal(119) + 1j * random.standard_normal(119)
    with np.errstate(all="ignore"):
        write(path, np.array(list(kinds.values()))[:, None, :])
    return list(kinds)


def given(path, group):
    with h5py.File(path, "r+") as file:
        fit = file[group]["Fit"][()]
        fit["Frequency [Hz]"] += 500
        fit["Quality Factor"] *= 1.3
        fit["Frequency [Hz]"][::3] = np.nan
        file["/good"] = fit
        other = np.zeros(fit.shape, [("Amplitude [V]", "f4"), ("Slope", "f4")])
        file["/other"] = other
        file["/few"] = fit[:, :1]
        mixed = np.zeros(fit.shape, [("Amplitude [V]", "f4"), ("Count", "i4")])
        file["/mixed"] = mixed
    return {}


if __name__ == "__main__":
    json.dump(globals()[sys.argv[1]](*sys.argv[2:]), sys.stdout)
