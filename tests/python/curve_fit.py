"""Simulated spectra for fits, and the fits of SciPy and HyperSpy to compare with.

    curve_fit.py make     FILE CASE PARAMS     writes spectra as h5USID, and parameters as JSON
    curve_fit.py scipy    FILE CASE GROUP      results beside those of SciPy from the true values on
    curve_fit.py truth    FILE CASE GROUP      bias and spread of results, against the Cramér–Rao bound
    curve_fit.py hyperspy FILE CASE GROUP      results beside those of HyperSpy's fit (venv peers)
    curve_fit.py binned   FOLDER               signals with binned axes as .hspy, and HyperSpy's fits (venv peers)
    curve_fit.py frames   FILE KIND            writes frames with a spot each, as h5USID of u2 or f4
    curve_fit.py spots    FILE KIND GROUP      results of these beside those of SciPy from them on, and of the truth
    curve_fit.py gaussian2d FILE GROUP         the same beside HyperSpy's Gaussian2D (venv peers)
    curve_fit.py record   FILE DATASET FIELD   a field of a results dataset, and all attributes of its group
    curve_fit.py counts   FILE                 writes the sample of data/ anew
    curve_fit.py results  FILE GROUP           all results as JSON
"""

import json
import sys

import h5py
import numpy as np

RAW_DATA = "/Measurement_000/Channel_000/Raw_Data"


def gaussian(x, A, centre, sigma):
    return A / (sigma * np.sqrt(2 * np.pi)) * np.exp(-((x - centre) ** 2) / (2 * sigma**2))


def lorentzian(x, A, centre, gamma):
    return A / np.pi * gamma / ((x - centre) ** 2 + gamma**2)


def pseudo_voigt(x, A, centre, sigma, fraction):
    return (1 - fraction) * gaussian(x, A, centre, sigma) + fraction * lorentzian(x, A, centre, sigma)


def exponential(x, A, tau):
    return A * np.exp(-x / tau)


def power_law(x, A, r, origin=0.0):
    return A * (x - origin) ** -r


def offset(x, value):
    return np.full_like(x, value)


def polynomial(x, *coefficients):
    return sum(a * x**power for power, a in enumerate(coefficients))


def erf(x, A, origin, sigma):
    from scipy.special import erf

    return A / 2 * erf((x - origin) / (sigma * np.sqrt(2)))


def stretched(x, A, tau, beta, c):
    return A * np.exp(-((x / tau) ** beta)) + c


STRETCHED = "A*exp(-(x/tau)^b)+c"


class Case:
    """A model: parameters of the run, how its parameters follow from the free ones, and their true values.

    `parts` are functions with the slice of all parameters that they take; `all` makes all parameters of
    the free ones. `true` gives free parameters with how much they vary from spectrum to spectrum.
    """

    def __init__(self, x, components, parts, true, noise=None, free=None, **parameters):
        self.x, self.parts, self.noise = np.asarray(x, float), parts, noise
        self.true = np.array([value for value, _ in true])
        self.vary = np.array([spread for _, spread in true])
        self.parameters = {"components": components, **parameters}
        self.free = free or (lambda free: free)

    def model(self, free):
        values, total, first = self.free(np.asarray(free)), 0.0, 0
        for function, count in self.parts:
            total = total + function(self.x, *values[first : first + count])
            first += count
        return total

    def truths(self, count):
        rng = np.random.default_rng(7)
        return self.true + self.vary * rng.uniform(-1, 1, (count, len(self.true)))

    def spectra(self, count):
        rng = np.random.default_rng(8)
        clean = np.array([self.model(free) for free in self.truths(count)])
        if self.parameters.get("weights") == "poisson":
            return rng.poisson(clean).astype(float)
        return clean + self.noise * rng.standard_normal(clean.shape)

    def weights(self):
        given = self.parameters.get("channel_weights")
        weights = np.ones_like(self.x) if given is None else np.array(given)
        least, most = self.parameters.get("range_min", -np.inf), self.parameters.get("range_max", np.inf)
        return weights * (self.x >= least) * (self.x <= most)


CHANNELS = np.arange(256.0)
ENERGY = np.linspace(300.0, 800.0, 251)


def tied(free):
    A, centre, sigma, a0, a1 = free
    return np.array([A, centre, sigma, 0.4 * A, 1.1 * centre + 20, sigma, a0, a1])


def weights():
    given = np.where(CHANNELS < 128, 1.0, 0.25)
    given[100:104] = 0
    return given


PEAK = [(2000, 800), (125, 40), (11, 4)]

CASES = {
    "gaussian": Case(
        CHANNELS, "gaussian+offset", [(gaussian, 3), (offset, 1)], [*PEAK, (30, 20)], noise=3.0
    ),
    "two_gaussians": Case(
        CHANNELS,
        "gaussian+gaussian+polynomial2",
        [(gaussian, 3), (gaussian, 3), (polynomial, 3)],
        [(2000, 500), (80, 15), (9, 2), (1500, 500), (160, 15), (12, 3), (50, 5), (0.2, 0.1), (-0.001, 0.0005)],
        noise=2.0,
    ),
    "tied": Case(
        CHANNELS,
        [
            {
                "type": "gaussian",
                "name": "second",
                "A": {"tied": "first.A", "factor": 0.4},
                "centre": {"tied": "first.centre", "factor": 1.1, "shift": 20},
                "sigma": {"tied": "first.sigma"},
            },
            {"type": "gaussian", "name": "first"},
            "polynomial1",
        ],
        [(gaussian, 3), (gaussian, 3), (polynomial, 2)],
        [(2500, 500), (110, 20), (10, 2), (20, 5), (0.1, 0.05)],
        noise=2.0,
        free=lambda free: tied(free)[[3, 4, 5, 0, 1, 2, 6, 7]],
    ),
    "fixed": Case(
        CHANNELS,
        [{"type": "gaussian", "sigma": {"fixed": 10}}, {"type": "offset", "offset": {"fixed": 25}}],
        [(gaussian, 3), (offset, 1)],
        [(2000, 800), (125, 40)],
        noise=3.0,
        free=lambda free: np.array([*free, 10, 25]),
    ),
    "plain_lorentzian": Case(
        CHANNELS,
        "lorentzian+offset",
        [(lorentzian, 3), (offset, 1)],
        [(3000, 800), (125, 40), (8, 3), (10, 5)],
        noise=2.0,
    ),
    "lorentzian": Case(
        CHANNELS,
        "lorentzian+offset",
        [(lorentzian, 3), (offset, 1)],
        [(3000, 800), (125, 40), (8, 3), (10, 5)],
        noise=2.0,
        weights="given",
        channel_weights=list(weights()),
    ),
    "pseudo_voigt": Case(
        CHANNELS,
        "pseudo_voigt+offset",
        [(pseudo_voigt, 4), (offset, 1)],
        [(20000, 5000), (125, 40), (10, 3), (0.5, 0.2), (10, 5)],
        noise=2.0,
    ),
    "exponential": Case(
        np.linspace(0, 5, 128),
        ["exponential", "offset"],
        [(exponential, 2), (offset, 1)],
        [(100, 50), (0.8, 0.4), (5, 4)],
        noise=1.0,
    ),
    # Its slope at the first channel isn't finite.
    "formula": Case(
        np.linspace(0, 5, 128),
        STRETCHED,
        [(stretched, 4)],
        [(100, 20), (0.8, 0.3), (0.7, 0.15), (5, 4)],
        noise=0.3,
    ),
    "power_law": Case(
        ENERGY,
        "power-law+gaussian",
        [(power_law, 3), (gaussian, 3)],
        [(1e11, 2e10), (3.0, 0.05), (8000, 3000), (532, 15), (9, 2)],
        noise=10.0,
        free=lambda free: np.array([*free[:2], 0, *free[2:]]),
        range_min=350.0,
        range_max=750.0,
    ),
    # What isn't bounded goes to the bound: dips have no negative area, and all peaks are too wide.
    "bounded": Case(
        CHANNELS,
        [
            {"type": "gaussian", "name": "dip", "A": {"min": 0, "max": 50}, "centre": {"start": 60, "min": 50, "max": 70},
             "sigma": {"fixed": 5}},
            {"type": "gaussian", "name": "peak", "centre": {"start": 170}, "sigma": {"min": 2, "max": 8}},
            {"type": "offset", "offset": {"min": 90}},
        ],
        [(gaussian, 3), (gaussian, 3), (offset, 1)],
        [(-300, 100), (60, 2), (2000, 800), (170, 5), (9, 2), (100, 2)],
        noise=2.0,
        free=lambda free: np.array([*free[:2], 5, *free[2:]]),
    ),
    "erf": Case(
        CHANNELS, "erf+offset", [(erf, 3), (offset, 1)], [(50, 20), (128, 60), (6, 4), (80, 20)], noise=2.0
    ),
    "poisson": Case(
        CHANNELS,
        "gaussian+offset",
        [(gaussian, 3), (offset, 1)],
        [(400, 150), (125, 40), (11, 4), (1.0, 0.5)],
        weights="poisson",
    ),
}


def make(file, name, params):
    case = CASES[name]
    count = 400 if name in ("gaussian", "poisson") else 60
    write(file, case.x, case.spectra(count))
    with open(params, "w") as opened:
        json.dump(case.parameters, opened)
    return {"positions": count}


def counts(file):
    """Two peaks of counts on a slope, 3 x 4 pixels."""
    rng = np.random.default_rng(3)
    x = np.arange(128.0)
    clean = [
        gaussian(x, 900 + 100 * at, 40 + at, 5) + gaussian(x, 700 - 20 * at, 85 - at, 8) + 4 + 0.02 * x for at in range(12)
    ]
    write(file, 0.5 * x + 100, rng.poisson(clean).astype("u2"), columns=4)
    return {}


def results(file, group):
    """All values by dataset and field; NaN as null."""
    with h5py.File(file) as opened:
        found = {name: opened[group][name][:, 0] for name in opened[group] if "quantity" in opened[group][name].attrs}
    columns = {
        f"{name} {field}" if field else name: data[field] if field else data
        for name, data in found.items()
        for field in data.dtype.names or [""]
    }
    return {name: [None if x != x else x for x in values.tolist()] for name, values in columns.items()}


def write(file, x, spectra, columns=20, **stored):
    count = len(spectra)
    steps = np.stack(np.divmod(np.arange(count), columns), axis=1)
    with h5py.File(file, "w") as opened:
        group = opened.create_group(RAW_DATA.rpartition("/")[0])
        raw = group.create_dataset("Raw_Data", data=spectra, **stored)
        raw.attrs.update(quantity="Intensity", units="counts")
        channels = np.arange(len(x))[None]
        tables = {
            "Position": (steps, steps, ["Y", "X"], "um"),
            "Spectroscopic": (channels, x[None], ["Energy"], "eV"),
        }
        for prefix, (indices, values, labels, units) in tables.items():
            for suffix, data in (("Indices", indices.astype("u4")), ("Values", values.astype("f8"))):
                table = group.create_dataset(f"{prefix}_{suffix}", data=data)
                table.attrs.update(labels=np.array(labels, "S"), units=np.array([units] * len(labels), "S"))
                raw.attrs[f"{prefix}_{suffix}"] = table.ref


def read(file, group):
    """Values and errors of all parameters in the order of the components, χ² and convergence."""
    with h5py.File(file) as opened:
        found = opened[group]
        spectra = opened[RAW_DATA][()]
        records = {name: found[name][:, 0] for name in found if found[name].dtype.names}
        order = [item["name"] for item in json.loads(found.attrs["parameters"])["parameters"]["components"]]
        title = lambda name: "_".join(word[:1].upper() + word[1:] for word in name.split("_"))
        columns = lambda ending: np.stack(
            [records[title(name) + ending][field] for name in order for field in records[title(name)].dtype.names], 1
        )
        chi, converged = found["Chi_Square"][:, 0], found["Converged"][:, 0]
        return spectra, columns(""), columns("_Standard_Errors"), chi, converged


def scipy(file, name, group):
    """The largest differences from SciPy: of values in its standard errors, of errors and χ² relative."""
    from scipy.optimize import least_squares, minimize

    case = CASES[name]
    spectra, values, errors, chi, converged = read(file, group)
    weights, told = np.sqrt(case.weights()), {"values": 0, "errors": 0, "chi_square": 0, "worse": 0}
    told["not_converged"] = int((converged == 0).sum())
    poisson = case.parameters.get("weights") == "poisson"
    for spectrum, truth, value, error, chi_square in zip(
        spectra, case.truths(len(spectra)), values, errors, chi, strict=True
    ):
        scale = np.abs(truth) + 1e-3
        residuals = lambda u: weights * (spectrum - case.model(u * scale))
        if poisson:
            # The maximum of the likelihood, and χ² with the variances there.
            minus = lambda u: np.sum(case.model(u * scale) - spectrum * np.log(case.model(u * scale)))
            found = minimize(minus, truth / scale, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 8000})
            weights = 1 / np.sqrt(case.model(found.x * scale))
            best = found.x
        else:
            found = least_squares(residuals, truth / scale, method="lm", xtol=1e-14, ftol=1e-14, gtol=1e-14)
            best = found.x
        cost = np.sum(residuals(best) ** 2)
        slopes = np.stack([
            (case.model((best + step) * scale) - case.model((best - step) * scale)) / 2e-5
            for step in 1e-5 * np.eye(len(best))
        ], 1) * weights[:, None]
        covariance = np.linalg.inv(slopes.T @ slopes)
        if case.parameters.get("weights", "none") == "none":
            covariance *= cost / (np.count_nonzero(weights) - len(best))
        follow = np.stack([
            (case.free((best + step) * scale) - case.free((best - step) * scale)) / 2e-5 for step in 1e-5 * np.eye(len(best))
        ], 1)
        expected = np.sqrt(np.maximum(np.diag(follow @ covariance @ follow.T), 0))
        is_free = expected > 0
        difference = np.abs(value - case.free(best * scale))
        told["values"] = max(told["values"], np.max(difference[is_free] / expected[is_free]))
        told["values"] = max(told["values"], np.max(difference[~is_free], initial=0))
        told["errors"] = max(told["errors"], np.max(np.abs(error[is_free] / expected[is_free] - 1)))
        told["errors"] = max(told["errors"], np.max(error[~is_free], initial=0))
        told["chi_square"] = max(told["chi_square"], abs(chi_square / cost - 1))
        told["worse"] = max(told["worse"], chi_square / cost - 1)
    return told


def bounded(file, name, group):
    """The largest excess of χ² over that of SciPy's bounded search from the results on, relative; how many parameters
    lie at bounds, and whether these, and no others, have no error."""
    from scipy.optimize import least_squares

    case = CASES[name]
    spectra, values, errors, chi, converged = read(file, group)
    lower = np.array([0, 50, -np.inf, -np.inf, 2, 90])
    upper = np.array([50, 70, np.inf, np.inf, 8, np.inf])
    is_free = np.array([True, True, False, True, True, True, True])
    worse, at_bounds, agree = 0.0, 0, True
    for spectrum, value, error, chi_square in zip(spectra, values[:, is_free], errors[:, is_free], chi, strict=True):
        assert np.all((lower <= value) & (value <= upper))
        start = np.clip(value, lower + 1e-3, upper - 1e-3)
        found = least_squares(
            lambda free: spectrum - case.model(free), start, bounds=(lower, upper), x_scale=np.abs(start) + 1, xtol=1e-14, ftol=1e-14, gtol=1e-12
        )
        worse = max(worse, chi_square / (2 * found.cost) - 1)
        held = (value == lower) | (value == upper)
        at_bounds += held.sum()
        # A centre without area isn't determined.
        agree &= bool(np.all((error == 0) == held)) and bool(np.all(np.isnan(error[[1]]) == (value[0] == 0)))
    return {"worse": worse, "at_bounds": int(at_bounds), "agree": agree, "not_converged": int((converged == 0).sum())}


def truth(file, name, group):
    """Of the differences from the true values, each over the Cramér–Rao bound of its spectrum: the mean over its
    own standard error, and the spread; and the spread over the standard errors that the fit tells."""
    case = CASES[name]
    spectra, values, errors, _, _ = read(file, group)
    pulls, bounds, own = [], [], []
    for free, value, error in zip(case.truths(len(spectra)), values, errors, strict=True):
        scale = np.abs(free) + 1e-3
        slopes = np.stack([
            (case.model(free + step * scale) - case.model(free - step * scale)) / 2e-5 for step in 1e-5 * np.eye(len(free))
        ], 1) / scale
        clean = case.model(free)
        variance = clean if case.parameters.get("weights") == "poisson" else np.full_like(clean, case.noise**2)
        bound = np.sqrt(np.diag(np.linalg.inv(slopes.T @ (slopes / variance[:, None]))))
        pulls.append((value - free) / bound)
        own.append((value - free) / error)
    pulls, own, count = np.array(pulls), np.array(own), len(spectra)
    return {
        "bias": np.max(np.abs(pulls.mean(0)) * np.sqrt(count)),
        "spread": pulls.std(0).tolist(),
        "own_spread": own.std(0).tolist(),
    }


def hyperspy(*fits):
    """Of each fit, told as file, name and group: the largest difference from HyperSpy's values, in standard errors, and
    relative of errors. All in one program, since it takes long to start."""
    each = iter(fits)
    return {name: difference(file, name, group) for file, name, group in zip(each, each, each, strict=True)}


def difference(file, name, group):
    import hyperspy.api as hs

    hs.preferences.General.show_progressbar = False
    case = CASES[name]
    spectra, values, errors, _, _ = read(file, group)
    count = min(len(spectra), 20)
    signal = hs.signals.Signal1D(spectra[:count])
    signal.axes_manager[-1].offset, signal.axes_manager[-1].scale = case.x[0], case.x[1] - case.x[0]
    lib = hs.model.components1D
    kinds = {
        gaussian: (lib.Gaussian, ["A", "centre", "sigma"]),
        lorentzian: (lib.Lorentzian, ["A", "centre", "gamma"]),
        pseudo_voigt: (lib.SplitVoigt, ["A", "centre", "sigma1", "fraction"]),
        exponential: (lib.Exponential, ["A", "tau"]),
        power_law: (lib.PowerLaw, ["A", "r", "origin"]),
        offset: (lib.Offset, ["offset"]),
        polynomial: (None, None),
        stretched: (lambda: lib.Expression(STRETCHED.replace("^", "**"), "stretched"), ["A", "tau", "b", "c"]),
        erf: (lib.Erf, ["A", "origin", "sigma"]),
    }
    model, parameters = signal.create_model(), []
    start = case.free(case.true)
    for function, size in case.parts:
        if function is polynomial:
            component, names = lib.Polynomial(order=size - 1), [f"a{power}" for power in range(size)]
        else:
            make_one, names = kinds[function]
            component = make_one()
        model.append(component)
        if function is pseudo_voigt:
            component.sigma2.twin = component.sigma1
        parameters += [getattr(component, parameter) for parameter in names]
    for parameter, value in zip(parameters, start, strict=True):
        parameter.value = value
    model.assign_current_values_to_all()
    if "range_min" in case.parameters:
        model.set_signal_range(case.parameters["range_min"], case.parameters["range_max"])
    # Each pixel from the same start; by default each would start from its neighbour.
    worst = {"values": 0.0, "errors": 0.0}
    for index in range(count):
        signal.axes_manager.indices = (index,)
        for parameter, value in zip(parameters, case.free(case.truths(len(spectra))[index]), strict=True):
            parameter.value = value
        model.fit(optimizer="lm", xtol=1e-13, ftol=1e-13)
        for at, parameter in enumerate(parameters):
            if parameter.free:
                worst["values"] = max(worst["values"], abs(parameter.value - values[index, at]) / parameter.std)
                worst["errors"] = max(worst["errors"], abs(errors[index, at] / parameter.std - 1))
            else:
                worst["values"] = max(worst["values"], abs(parameter.value - values[index, at]))
    return worst


def binned(folder):
    """Files by the kind of their axis: what HyperSpy's fit of a Gaussian on an offset finds in each spectrum."""
    import hyperspy.api as hs

    hs.preferences.General.show_progressbar = False
    lib = hs.model.components1D
    kinds = {
        "even": {"offset": -1.0, "scale": 0.05, "size": 200},
        "falling": {"offset": 8.95, "scale": -0.05, "size": 200},
        "listed": {"axis": 9.95 * np.linspace(0, 1, 200) ** 1.5},
        "formula": {"expression": "a * x**2 + b", "a": 0.25, "b": -1.0, "x": {"size": 200, "offset": 0, "scale": 0.03}},
        "old": {"offset": -1.0, "scale": 0.05, "size": 200},
    }
    told = {}
    for kind, described in kinds.items():
        axes = [{"name": "x", "size": 3, "navigate": True}, {"name": "E", "units": "eV", "navigate": False, **described}]
        signal = hs.signals.Signal1D(np.zeros((3, 200)), axes=axes)
        energy = signal.axes_manager[-1]
        widths = energy.scale if energy.is_uniform else np.gradient(energy.axis)
        rng = np.random.default_rng(3)
        for row, place in zip(signal.data, (3.5, 4.0, 4.5), strict=True):
            row[:] = (gaussian(energy.axis, 10, place, 0.5) + 1) * widths + 0.001 * rng.standard_normal(200)
        energy.is_binned = True
        path = f"{folder}/{kind}.hspy"
        signal.save(path, overwrite=True)
        if kind == "old":
            make_old(path)
            signal = hs.load(path)
            assert signal.axes_manager[-1].is_binned
        model = signal.create_model()
        peak, base = lib.Gaussian(A=9 * np.sign(widths if np.ndim(widths) == 0 else 1), centre=4, sigma=0.6), lib.Offset()
        model.extend([peak, base])
        model.multifit(optimizer="lm", xtol=1e-13, ftol=1e-13)
        found = {
            parameter.name: [parameter.map["values"].tolist(), parameter.map["std"].tolist()]
            for parameter in (peak.A, peak.centre, peak.sigma, base.offset)
        }
        told[kind] = {"file": path, "found": found}
    return told


def make_old(path):
    """As HyperSpy 1.6 wrote it: the signal is binned, not its axes."""
    with h5py.File(path, "r+") as file:
        file.attrs["file_format_version"] = "3.0"
        signal = next(iter(file["Experiments"].values()))
        for number in range(2):
            del signal[f"axis-{number}"].attrs["is_binned"]
            signal[f"axis-{number}"].attrs.pop("_type", None)
        signal["metadata/Signal"].attrs["binned"] = True


ROWS, COLUMNS = 32, 40


def spot(kind, x, y, linear, shape):
    if kind == "disk":
        from scipy.special import erfc

        cx, cy, radius, edge = shape
        return linear / 2 * erfc((np.hypot(x - cx, y - cy) - radius) / (edge * np.sqrt(2)))
    cx, cy, wide, high, angle = shape
    u = ((x - cx) * np.cos(angle) - (y - cy) * np.sin(angle)) / wide
    v = ((x - cx) * np.sin(angle) + (y - cy) * np.cos(angle)) / high
    if kind == "gaussian2d":
        return linear / (2 * np.pi * wide * high) * np.exp(-(u**2 + v**2) / 2)
    return linear / (1 + u**2 + v**2)


SPOTS = {
    "gaussian2d": [(40000, 10000), (9, 1.5), (8, 1.5), (2.2, 0.4), (1.2, 0.2), (0.1, 0.5), (100, 20)],
    "lorentzian2d": [(1500, 300), (9, 1.5), (8, 1.5), (2.2, 0.4), (1.2, 0.2), (0.1, 0.5), (100, 20)],
    "disk": [(1000, 300), (9, 1.5), (8, 1.5), (3.5, 1), (0.5, 0.1), (100, 20)],
}


def frame_of(kind, free):
    y, x = np.mgrid[:ROWS, :COLUMNS] * 0.5
    return spot(kind, x, y, free[0], free[1:-1]) + free[-1]


def frame_truths(kind):
    rng = np.random.default_rng(11)
    true, vary = np.array(SPOTS[kind]).T
    return true + vary * rng.uniform(-1, 1, (40, len(true)))


def frames(file, kind):
    """u2 of Gaussians in chunks of gzip, f4 contiguous of all others."""
    rng = np.random.default_rng(12)
    clean = np.array([frame_of(kind, free) for free in frame_truths(kind)])
    noisy = clean + rng.normal(0, 4, clean.shape)
    element = "u2" if kind == "gaussian2d" else "f4"
    write(file, 0.5 * np.arange(COLUMNS), np.round(noisy).astype(element).reshape(40, -1))
    with h5py.File(file, "r+") as opened:
        group = opened[RAW_DATA.rpartition("/")[0]]
        if element == "u2":
            data, attributes = group["Raw_Data"][()], dict(group["Raw_Data"].attrs)
            del group["Raw_Data"]
            group.create_dataset("Raw_Data", data=data, chunks=(7, 640), compression="gzip").attrs.update(attributes)
        slow, fast = np.divmod(np.arange(ROWS * COLUMNS), COLUMNS)
        tables = {"Indices": np.array([fast, slow], "u4"), "Values": np.array([fast, slow]) * 0.5}
        for suffix, values in tables.items():
            del group[f"Spectroscopic_{suffix}"]
            table = group.create_dataset(f"Spectroscopic_{suffix}", data=values)
            table.attrs.update(labels=np.array(["X", "Y"], "S"), units=np.array(["nm", "nm"], "S"))
            group["Raw_Data"].attrs[f"Spectroscopic_{suffix}"] = table.ref
    return {}


def spots(file, kind, group):
    from scipy.optimize import curve_fit

    spectra, values, errors, chi, converged = read(file, group)
    told = {"values": 0.0, "errors": 0.0, "worse": 0.0, "not_converged": int((converged == 0).sum())}
    pulls = []
    for frame, value, error, chi_square, truth in zip(spectra, values, errors, chi, frame_truths(kind), strict=True):
        model = lambda _, *free: frame_of(kind, free).ravel()
        found, covariance = curve_fit(model, None, frame.astype(float), p0=truth, method="lm", xtol=1e-13, ftol=1e-13)
        expected = np.sqrt(np.diag(covariance))
        told["values"] = max(told["values"], np.max(np.abs(value - found) / expected))
        told["errors"] = max(told["errors"], np.max(np.abs(error / expected - 1)))
        cost = np.sum((frame - model(None, *found)) ** 2)
        told["worse"] = max(told["worse"], chi_square / cost - 1)
        pulls.append((value - truth) / error)
    pulls = np.array(pulls)
    return told | {"bias": np.max(np.abs(pulls.mean(0)) * np.sqrt(len(pulls))), "spread": pulls.std(0).tolist()}


def gaussian2d(file, group):
    """The largest difference from HyperSpy's Gaussian2D alone, in standard errors. It isn't rotated: HyperSpy 2.5 puts the
    rotated x into the rotated y as well, so that its volume is cos² of the angle."""
    import hyperspy.api as hs

    hs.preferences.General.show_progressbar = False
    spectra, values, errors, _, _ = read(file, group)
    names = ["A", "centre_x", "centre_y", "sigma_x", "sigma_y"]
    worst = 0.0
    for frame, value, error, truth in list(zip(spectra, values, errors, frame_truths("gaussian2d"), strict=True))[:8]:
        signal = hs.signals.Signal2D(frame.astype(float).reshape(ROWS, COLUMNS))
        for axis in signal.axes_manager.signal_axes:
            axis.scale = 0.5
        model, peak = signal.create_model(), hs.model.components2D.Gaussian2D()
        model.append(peak)
        for name, start in zip(names, truth, strict=False):
            getattr(peak, name).value = start
        model.fit(optimizer="lm", xtol=1e-12, ftol=1e-12)
        found = np.array([getattr(peak, name).value for name in names])
        worst = max(worst, np.max(np.abs(found - value[:5]) / error[:5]))
    return {"values": worst}


def record(file, dataset, field):
    with h5py.File(file) as opened:
        found = opened[dataset]
        fields = [name for name in found.dtype.names if name.split(" ")[0] == field]
        attributes = {name: str(value) for name, value in found.parent.attrs.items()}
        return {"field": fields[0], "values": found[fields[0]].tolist(), "attributes": attributes}


def main():
    commands = (make, scipy, bounded, truth, hyperspy, binned, frames, spots, gaussian2d, record, counts, results)
    told = {command.__name__: command for command in commands}[sys.argv[1]](*sys.argv[2:])
    print(json.dumps(told, default=float))


if __name__ == "__main__":
    main()
