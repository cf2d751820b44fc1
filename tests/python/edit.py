"""Runs a few statements on an HDF5 file, for what only one test changes or asks.

    edit.py FILE STATEMENTS [GIVEN]...

The file is open as `file`, further arguments are in `given`, `np` and `h5py` are there; what is in `told` in the
end is printed as JSON.
"""

import json
import sys

import h5py
import numpy as np


def main():
    path, statements, *given = sys.argv[1:]
    names = {"given": given, "told": None, "h5py": h5py, "json": json, "np": np, "sys": sys}
    with h5py.File(path, "r+") as names["file"]:
        exec(compile(statements, "statements", "exec"), names)
    print(json.dumps(names["told"]))


if __name__ == "__main__":
    main()
