"""Holds an HDF5 file open, with HDF5's lock on, until standard input ends.

    hold.py FILE reader|writer

Prints "ready" when the file is open. A writer has the file open for reading and writing.
"""

import argparse
import sys

import h5py


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("role", choices=["reader", "writer"])
    options = parser.parse_args()
    try:
        file = h5py.File(options.file, "r" if options.role == "reader" else "r+", locking=True)
    except OSError as error:
        sys.exit(f"hold.py: {error}")
    with file:
        print("ready", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
