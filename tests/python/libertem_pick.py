"""Compares picked spectra with LiberTEM's.

    libertem_pick.py SCAN RESULTS GROUP POSITIONS    prints whether all values are the same, as JSON
"""

import json
import logging
import sys
import warnings

import h5py
import libertem.api as libertem
import numpy as np
from libertem.udf.raw import PickUDF


def main():
    scan, results, group, positions = sys.argv[1:]
    warnings.simplefilter("ignore")
    logging.disable()
    context = libertem.Context.make_with("inline")
    dataset = context.load("hdf5", path=scan, ds_path="/data")
    roi = np.zeros(dataset.shape.nav, bool)
    roi.flat[json.loads(positions)] = True
    expected = context.run_udf(dataset=dataset, udf=PickUDF(), roi=roi)["intensity"].data
    with h5py.File(results) as file:
        found = file[group]["Spectra"][()]
    json.dump(bool(found.dtype == expected.dtype and np.array_equal(found, expected)), sys.stdout)


if __name__ == "__main__":
    main()
