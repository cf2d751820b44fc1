"""Compares centres of mass with LiberTEM's.

    libertem_com.py SCAN RESULTS GROUP OPTIONS    prints how far each result is from LiberTEM's, as JSON
"""

import json
import logging
import sys
import warnings

import h5py
import libertem.api as libertem
import numpy as np
from libertem.udf.com import CoMUDF, guess_corrections


def main():
    scan, results, group, options = sys.argv[1:]
    options = json.loads(options)
    warnings.simplefilter("ignore")
    logging.disable()
    parameters = {
        "cy": options["center_y"],
        "cx": options["center_x"],
        "r": options.get("radius", float("inf")),
        "ri": options.get("radius_inner", 0.0),
        "scan_rotation": options.get("scan_rotation", 0),
        "flip_y": options.get("flip_y", False),
        "regression": {"none": -1, "mean": 0, "linear": 1}[options.get("regression", "none")],
    }
    context = libertem.Context.make_with("inline")
    dataset = context.load("hdf5", path=scan, ds_path="/data")
    found = context.run_udf(dataset=dataset, udf=CoMUDF.with_params(**parameters))
    shifts = found["raw_shifts"].data
    guess = guess_corrections(shifts[..., 0], shifts[..., 1])
    expected = {
        "Shift_Y": shifts[..., 0],
        "Shift_X": shifts[..., 1],
        "Field_Y": found["field_y"].data,
        "Field_X": found["field_x"].data,
        "Magnitude": found["magnitude"].data,
        "Divergence": found["divergence"].data,
        "Curl": found["curl"].data,
        "Regression": found["regression"].data,
        "Guess": np.array([guess.scan_rotation, guess.flip_y], float),
    }
    with h5py.File(results) as file:
        here = {name: file[group][name][()] for name in expected}
    json.dump({name: float(np.abs(here[name].ravel() - there.ravel()).max()) for name, there in expected.items()}, sys.stdout)


if __name__ == "__main__":
    main()
