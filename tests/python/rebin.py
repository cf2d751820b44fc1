"""Scans that are binned, and what HyperSpy makes of them, for `tests/rebin.rs`.

    rebin.py check [CALL]...   what is wrong, one after the other; HyperSpy takes long to begin with

Each call is a JSON list: the name of one of the functions below, what it is given, and the options of the bins.
"""

import json
import warnings

warnings.filterwarnings("ignore")

import h5py
import hyperspy.api as hs
import numpy as np

from answer import answer


def rebinned(data, positions, options):
    """HyperSpy's bins of an array whose first axes are positions: its axes run the other way round."""
    signal = hs.signals.BaseSignal(data.astype("f8")).transpose(signal_axes=data.ndim - positions)
    steps = options["positions"] + options["by"]
    scale = steps[:positions][::-1] + steps[positions:][::-1]
    binned = signal.rebin(scale=scale)
    return binned.data / (np.prod(steps) if options["mean"] else 1)


def check(*calls):
    functions = {"binned": binned, "loaded": loaded}
    each = [json.loads(call) for call in calls]
    return [functions[name](*given) for name, *given in each]


def differences(found, expected, options):
    dtype = np.dtype(options["dtype"])
    wrong = [] if found.dtype == dtype else [str(found.dtype)]
    if found.shape != expected.shape:
        return wrong + [list(found.shape), list(expected.shape)]
    apart = np.abs(found - expected).max() / np.abs(expected).max()
    return wrong + ([float(apart)] if not apart <= {"f": 1e-14, "u": 0, "i": 0}[options["exact"]] else [])


def binned(source, dataset, axes, results, group, options):
    """In what results aren't HyperSpy's bins of a dataset with these axes as positions."""
    with h5py.File(source) as file:
        data = file[dataset][()]
    axes = [int(axis) for axis in axes.split(",")]
    data = data.transpose(axes + [axis for axis in range(data.ndim) if axis not in axes])
    expected = rebinned(data, len(axes), options)
    with h5py.File(results) as file:
        found = file[group]["Rebinned"]
        wrong = differences(found[()], expected, options)
        if found.attrs.get("Position_Values") is None:
            steps = options["positions"] + options["by"]
            middles = [(length - 0.5) * by - 0.5 for length, by in zip(found.shape, steps)]
            ends = [found.dims[axis][0][-1] for axis in range(found.ndim)]
            wrong += [] if ends == middles else [ends]
        return wrong


def loaded(source, results, options):
    """The same of files that HyperSpy itself opens, with all that it says of their axes."""
    signal, found = hs.load(source, reader="HSPY"), hs.load(results, reader="HSPY")
    positions = signal.axes_manager.navigation_dimension
    steps = options["positions"] + options["by"]
    expected = signal.rebin(scale=steps[:positions][::-1] + steps[positions:][::-1])
    wrong = differences(found.data, expected.data / (np.prod(steps) if options["mean"] else 1), options)
    for own, there in zip(found.axes_manager._axes, expected.axes_manager._axes):
        for what in ("name", "units", "size", "navigate"):
            if getattr(own, what) != getattr(there, what):
                wrong.append(f"{what}: {getattr(own, what)}, not {getattr(there, what)}")
        if not np.allclose(own.axis, there.axis, rtol=1e-14):
            wrong.append([own.axis.tolist(), there.axis.tolist()])
    return wrong


def main():
    answer(globals())


if __name__ == "__main__":
    main()
