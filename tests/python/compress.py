"""Writes a scan and compares a file whose results were compressed with one whose results were not.

    compress.py write FILE ROWS COLUMNS POINTS [KIND]
                                                 a plain array, with unused room before it and more behind it, in
                                                 one of the KINDS of files
    compress.py compare FILE REFERENCE           whether all results are the same to the bit, and what refers to
                                                 them does so in both files alike

What a test needs to know comes as one JSON object on standard output. A failed expectation ends the program with a
message and exit code 1. With hdf5plugin, if it is there, the filters are read that HDF5 doesn't have itself.
"""

import argparse
import contextlib
import json
import sys

import h5py
import numpy as np

with contextlib.suppress(ImportError):
    import hdf5plugin  # noqa: F401


# How room in the file is allotted, and where the file begins.
KINDS = {
    "earliest": {},
    "latest": {"libver": "latest"},
    "user-block": {"userblock_size": 1024},
    "pages": {"fs_strategy": "page", "fs_page_size": 4096},
    "kept-free-space": {"fs_strategy": "fsm", "fs_persist": True},
}


def write(options):
    shape = (options.rows, options.columns, options.points)
    # Noise in the low bits: some of it can be compressed, not all.
    values = np.random.default_rng(1).integers(0, 4096, shape).astype(np.float32)
    with h5py.File(options.file, "w", **KINDS[options.kind]) as file:
        file["unused"] = np.zeros(50_000)
        file["scan"] = values
        file["more"] = np.arange(1000)
    with h5py.File(options.file, "r+") as file:
        del file["unused"]
    return {"dataset": "/scan"}


def compare(options):
    told = {}
    with h5py.File(options.file, "r") as file, h5py.File(options.reference, "r") as reference:
        expect(names(file) == names(reference), f"{names(file)} instead of {names(reference)}")
        for name in names(file):
            one, other = file[name], reference[name]
            found, wanted = attributes(one), attributes(other)
            for varying in ("timestamp", "last_run"):
                found.pop(varying, None), wanted.pop(varying, None)
            expect(found == wanted, f"{name} has {found} instead of {wanted}")
            if isinstance(one, h5py.Group):
                continue
            expect(one.dtype == other.dtype and one.shape == other.shape, f"{name} has another type or shape")
            # Which of its lines the digest is in depends on how many batches there were, and so on the time.
            if not name.endswith("/data_digest"):
                expect(one[()].tobytes() == other[()].tobytes(), f"{name} has other values")
            expect(scales(one) == scales(other), f"{name} has {scales(one)} instead of {scales(other)}")
            creation = one.id.get_create_plist()
            told[name] = {
                "filters": [creation.get_filter(number)[0] for number in range(creation.get_nfilters())],
                "chunks": one.chunks,
                "links": h5py.h5o.get_info(one.id).rc,
                "result": "quantity" in one.attrs and not one.is_scale and is_of_results(one, name),
            }
    return told


def is_of_results(dataset, name):
    return name.startswith("/Experiments/") or "tool" in dataset.parent.attrs


def names(file):
    """Of everything, by all hard links that there are."""
    found = []

    def visit(group):
        for name, item in group.items():
            found.append(item.name)
            if isinstance(item, h5py.Group):
                visit(item)

    visit(file)
    return found


def attributes(item):
    return {name: plain(item, value) for name, value in item.attrs.items()}


def plain(item, value):
    """References as the names of what they refer to, which has to be there."""
    if isinstance(value, h5py.Reference):
        expect(bool(value), f"{item.name} has an empty reference")
        return item.file[value].name
    if isinstance(value, (np.ndarray, np.void, tuple)) and not isinstance(value, str):
        if getattr(value, "dtype", None) is not None and value.dtype.kind in "fiubSU":
            return value.tolist()
        return [plain(item, part) for part in value]
    return str(value)


def scales(dataset):
    return [[(name, scale.name) for name, scale in dimension.items()] for dimension in dataset.dims]


def expect(condition, message):
    if not condition:
        sys.exit(f"compress.py: {message}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("write")
    command.add_argument("file")
    for length in ("rows", "columns", "points"):
        command.add_argument(length, type=int)
    command.add_argument("kind", choices=KINDS, nargs="?", default="earliest")
    command.set_defaults(action=write)
    command = commands.add_parser("compare")
    command.add_argument("file")
    command.add_argument("reference")
    command.set_defaults(action=compare)
    options = parser.parse_args()
    json.dump(options.action(options), sys.stdout)
    print()


if __name__ == "__main__":
    main()
