"""What results have to be, computed from the same numbers by NumPy, or for the fits by a run over a plain copy.

`expected` gives all columns of a process, a row per position, and the text of each position that has to fail. What is
folded tile by tile has the bits that a run over a fresh copy gives, which NumPy has looked at.
"""

import copy
import hashlib
import json
import shutil
import subprocess

import h5py
import numpy as np
import reductions
from layouts import WRITERS, Axis, Scan
from program import Wrong

PANIC = "the computation panicked: panic on purpose"
OTHER_FAILURES = "another failure (there are more kinds of failures than lines to list them)"
# What a dataset of each kind of numbers holds where nothing was computed; 0 if it is another kind.
MISSING = {"f": np.nan, "c": complex(np.nan, np.nan)}
MAXIMUM = np.dtype([("Value [V]", "f4"), ("Index", "u2")])

# Names in results groups; parameters with their defaults.
PROCESSES = {
    "sum": ("Sum", {}),
    "slow": ("Slow", {"pause": 1000}),
    "uneven": ("Uneven", {"rounds": 40, "dear_from": 0.0, "dear_part": 0.05, "dear_factor": 50}),
    "trouble": ("Trouble", {"fail_every": 7, "panic_every": 11, "own_messages": False, "mended_by": None}),
    "rich": ("Rich", {"spectra": 0, "offset": None, "reversed": False}),
    "batched": ("Batched", {"fail": False, "panic": False}),
    "weighted": ("Weighted", {"weights": []}),
    "digest": ("Digest", {}),
    "peak-finding": ("Peak_Finding", {}),
    "curve-fit": ("Curve_Fit", {}),
    "signal-filter": ("FFT_Filtering", {}),
    **{process: (tool, defaults) for process, (tool, defaults, _) in reductions.TOOLS.items()},
}
# Computed by the program itself, over a plain copy of the spectra.
COPIED = ("peak-finding", "curve-fit", "signal-filter")
COLUMNS = {
    "Sum": ("Sum",),
    "Slow": ("Slow_Sum",),
    "Uneven": ("Uneven",),
    "Trouble": ("First", "Count"),
    "Rich": ("Mean", "Maximum", "Reversed"),
    "Batched": ("Sum",),
    "Weighted": ("Sum",),
    "Digest": ("Digest",),
    "Peak_Finding": ("Peak_Response", "Peak_Position"),
    "Curve_Fit": (
        "Gaussian", "Gaussian_Standard_Errors", "Offset", "Offset_Standard_Errors", "Chi_Square", "Converged",
    ),
    "FFT_Filtering": ("Filtered_Data",),
    **{tool: results for tool, _, results in reductions.TOOLS.values()},
}
TAKES_COMPLEX = ("slow", "uneven", "trouble", "digest", "peak-finding", *reductions.GATHERED)
# What is done soon with many positions, too.
TAKES_LARGE = ("sum", "batched", "weighted", "digest", *reductions.TOOLS)
# Whose results depend on the values of the spectrum's axis.
USES_AXIS = ("peak-finding", "curve-fit")


class Expected:
    def __init__(self, columns, failing=None, folded=None, same=None):
        self.columns = columns
        self.failing = failing or {}
        self.same = same or equal  # which elements are the right ones
        self.folded = folded  # of a fold the positions that are in it: its columns are right once all of them are

    def is_whole(self, status):
        """Whether by these marks all is there that a fold needs."""
        return bool((status[self.folded] == 1).all())

    def missing(self, name):
        dtype = self.columns[name].dtype
        if dtype.names:
            blank = np.zeros((), dtype)
            for field in dtype.names:
                blank[field] = MISSING.get(dtype[field].kind, 0)
            return blank
        return np.array(MISSING.get(dtype.kind, 0), dtype)


def equal(found, right):
    """Elements that are the same, NaN for NaN."""
    if found.dtype.names:
        return np.logical_and.reduce([equal(found[name], right[name]) for name in found.dtype.names])
    same = found == right
    return same | np.isnan(found) & np.isnan(right) if found.dtype.kind in "fc" else same


def octets(values):
    values = np.ascontiguousarray(values)
    return values.view(np.uint8).reshape(*values.shape, values.dtype.itemsize)


def same_bytes(found, right):
    return (octets(found) == octets(right)).all(axis=-1)


def expected(process, parameters, scan, rows, offset=None):
    values = rows.real.astype("f8")
    if process in ("sum", "batched"):
        return Expected({"Sum": values.sum(axis=1)[:, None]})
    if process == "slow":
        return Expected({"Slow_Sum": values.sum(axis=1)[:, None]})
    if process == "digest":
        at = np.arange(1.0, rows.shape[1] + 1)
        return Expected({"Digest": (at * values + at * at * rows.imag.astype("f8")).sum(axis=1)[:, None]})
    if process == "weighted":
        weights = np.array(parameters["weights"], "f8")[: rows.shape[1]]
        return Expected({"Sum": (values[:, : len(weights)] * weights).sum(axis=1)[:, None]})
    return OTHERS[process](parameters, scan, values, offset)


def uneven(parameters, _, values, __):
    count = len(values)
    rounds = np.full(count, parameters["rounds"])
    first = int(count * parameters["dear_from"])
    rounds[first : int(count * (parameters["dear_from"] + parameters["dear_part"]))] *= parameters["dear_factor"]
    squares, sums = values * values, np.zeros(count)
    for done in range(rounds.max(initial=0)):
        going = rounds > done
        sums[going] *= 0.5
        for column in squares.T:
            sums[going] += column[going]
    return Expected({"Uneven": sums[:, None]})


def trouble(parameters, _, values, __):
    failing = {}
    for position in range(len(values)):
        if parameters["panic_every"] and position % parameters["panic_every"] == 1:
            failing[position] = PANIC
        elif parameters["fail_every"] and position % parameters["fail_every"] == 0:
            own = f"no value at position {position}"
            failing[position] = own if parameters["own_messages"] else "no value"
    count = np.full((len(values), 1), values.shape[1], "i4")
    return Expected({"First": values[:, :1].copy(), "Count": count}, failing)


def rich(parameters, _, values, offset):
    count = len(values)
    spectra = max(1, parameters["spectra"])
    cut = values.astype("f4").reshape(count, spectra, -1)
    mean = cut.astype("f8").sum(axis=2) / cut.shape[2] + (0.0 if offset is None else offset[:, :1])
    maximum = np.zeros((count, spectra), MAXIMUM)
    maximum["Index"] = cut.argmax(axis=2)
    maximum["Value [V]"] = cut.max(axis=2)
    columns = {"Mean": mean, "Maximum": maximum}
    if parameters["reversed"]:
        columns["Reversed"] = cut[:, :, ::-1].reshape(count, -1)
    return Expected(columns)


OTHERS = {"uneven": uneven, "trouble": trouble, "rich": rich}


class Copies:
    """Runs of what NumPy doesn't compute here, over a contiguous copy of the spectra in a file of their own."""

    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self.known = {}

    def expected(self, process, parameters, scan, rows):
        axes = scan.spectrum_axes()
        key = hashlib.sha256(rows.tobytes())
        key.update(repr((process, parameters, rows.shape, rows.dtype.str, scan.units, [axis.told() for axis in axes])).encode())
        key = key.hexdigest()
        if key not in self.known:
            self.known[key] = self.run(process, parameters, scan, rows)
        return self.known[key]

    def run(self, process, parameters, scan, rows):
        path = self.folder / "copy.h5"
        path.unlink(missing_ok=True)
        table = np.arange(len(rows))[:, None]
        axes = [Axis("X", "um", np.arange(float(len(rows))))], scan.spectrum_axes()
        plain = Scan("usid", path.name, "/copy", rows, axes, [0], table)
        plain.units = scan.units
        with h5py.File(path, "w") as file:
            WRITERS["usid"](file, plain, self.folder)
        command = [self.program, "run", process, path, "--json", "--cores", "1"]
        for name, value in parameters.items():
            command += ["-p", f"{name}={value}"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode not in (0, 3):
            raise AssertionError(f"{command} ended with {done.returncode}: {done.stderr}")
        told = json.loads(done.stdout)
        with h5py.File(path) as file:
            group = file[told["group"]]
            columns = {name: group[name][()].reshape(len(rows), -1) for name in COLUMNS[PROCESSES[process][0]]}
        return Expected(columns, {entry["position"]: entry["message"] for entry in told["failed"]})

    def fresh(self, computation):
        """A run over a fresh copy of the scan, in a layout that is cut alike."""
        key = computation.told()
        if key not in self.known:
            self.known[key] = self.run_fresh(computation)
        return self.known[key]

    def run_fresh(self, computation):
        process, scan, seen = computation.process, computation.scan, computation.seen
        folder = self.folder / "fresh"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        fresh = copy.copy(scan)
        fresh.parts = []
        with h5py.File(folder / scan.file, "w") as file:
            WRITERS[scan.kind](file, fresh, folder)
        given = dict(computation.given)
        if computation.fed_by is not None:
            given["shifts"] = folder / "shifts.npy"
            np.save(given["shifts"], self.fresh(computation.fed_by).columns["Shifts"])
        command = [self.program, "run", process, folder / scan.file, "--json", *fresh.options(False), *seen.options()]
        command += ["--output", folder / "results.h5", "--cores", "3", "--memory", "1G"]
        for name, value in given.items():
            command += ["-p", f"{name}={value}"]
        if computation.selected is not None:
            np.save(folder / "selected.npy", computation.selected)
            command += ["--positions", folder / "selected.npy"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode not in (0, 3):
            raise AssertionError(f"{command} ended with {done.returncode}: {done.stderr}")
        told = json.loads(done.stdout)
        with h5py.File(told["file"]) as file:
            group = file[told["group"]]
            columns = {name: group[name][()] for name in COLUMNS[computation.tool] if name in group}
        failing = {entry["position"]: entry["message"] for entry in told["failed"]}
        folded = computation.selected if computation.selected is not None else np.ones(scan.count, bool)
        if process in reductions.NUMPY and computation.fed_by is None:
            self.check_by_numpy(computation, folded, columns, failing)
        if computation.is_fold:
            return Expected(columns, failing, folded, same_bytes)
        rows = {name: values.reshape(scan.count, -1) for name, values in columns.items()}
        return Expected(rows, failing, same=same_bytes)

    def check_by_numpy(self, computation, folded, columns, failing):
        rows = computation.seen.rows(computation.scan)
        rows = rows.astype("c16" if computation.scan.is_complex else "f8")
        spectra = rows.reshape(len(rows), *computation.seen.shape(computation.scan))
        folded = folded.copy()
        folded[list(failing)] = False
        wrong = reductions.check(computation.process, computation.settled, spectra, folded, columns)
        if wrong:
            raise Wrong(f"{computation.process} with {computation.given} over a fresh copy: {wrong}")
