"""Makes h5USID files as they are found in the field, each with one peculiarity, by plain h5py.

    untidy.py VARIANT FILE       writes the file; the dataset, its shape and its digest come as JSON
    untidy.py --list             the names of all variants, as JSON

The values are the same in every variant: small whole numbers, exact in each element type.
The variants whose names begin with "broken-" can't be understood and must be refused.
"""

import argparse
import hashlib
import json
import os
import signal
import sys

import h5py
import numpy as np

GROUP = "Measurement_000/Channel_000"
DATASET = f"/{GROUP}/Raw_Data"
ANCILLARY = ("Position_Indices", "Position_Values", "Spectroscopic_Indices", "Spectroscopic_Values")

VARIABLE_UTF8 = h5py.string_dtype("utf-8")
VARIABLE_ASCII = h5py.string_dtype("ascii")

# What a variant changes of the tidy file; every other key keeps the value it has here.
TIDY = {
    "file": {},  # arguments of h5py.File
    "storage": {},  # arguments of create_dataset for the main dataset
    "dtype": "<f4",
    "indices": "<u4",
    "scalar": VARIABLE_UTF8,  # type of quantity and units of the main dataset
    "listed": "S",  # type of labels and units of the ancillary datasets, as pyUSID writes them
    "one_element": False,  # quantity and units as arrays of one string
    "split_units": False,  # units of the ancillary datasets as one string per character
    "units": "um",
    "before": None,  # called with the file before anything is in it
    "after": None,  # called with the file and the main dataset
    "kill": False,  # the writer is killed before it closes the file
}


def leave_holes(file, _=None):
    """Free space in the middle of the file, left by deleted datasets."""
    for number in range(8):
        file[f"deleted_{number}"] = np.arange(4000)
    file.flush()
    for number in range(0, 8, 2):
        del file[f"deleted_{number}"]


def many_attributes(_, main):
    for item in (main, main.parent):
        for number in range(40):
            item.attrs[f"setting_{number:03}"] = f"value {number} of the instrument's log"


def many_siblings(_, main):
    for number in range(60):
        main.parent.create_group(f"Neighbour_{number:03}")


def without_reference(_, main):
    del main.attrs["Spectroscopic_Values"]


def dangling_reference(_, main):
    del main.parent["Position_Values"]


def short_ancillary(_, main):
    replace_position_values(main, lambda values: values[:-1])


def without_labels(file, main):
    for name in ANCILLARY[:2]:
        del file[main.attrs[name]].attrs["labels"]


def replace_position_values(main, change):
    group = main.parent
    values, attributes = group["Position_Values"][()], dict(group["Position_Values"].attrs)
    del group["Position_Values"]
    group["Position_Values"] = change(values)
    group["Position_Values"].attrs.update(attributes)
    main.attrs["Position_Values"] = group["Position_Values"].ref


VARIANTS = {
    "tidy": {},
    "variable-utf8": {"listed": VARIABLE_UTF8, "units": "µm"},
    "variable-ascii": {"scalar": VARIABLE_ASCII, "listed": VARIABLE_ASCII},
    "fixed-utf8": {"scalar": h5py.string_dtype("utf-8", 24), "listed": h5py.string_dtype("utf-8", 24), "units": "µm"},
    "fixed-ascii": {"scalar": h5py.string_dtype("ascii", 24), "listed": h5py.string_dtype("ascii", 24)},
    "u2-indices": {"indices": "<u2"},
    "i8-indices": {"indices": "<i8"},
    "one-element-strings": {"one_element": True},
    "split-units": {"split_units": True},
    "chunked": {"storage": {"chunks": (3, 7)}},
    "chunked-gzip": {"storage": {"chunks": (3, 7), "compression": "gzip", "shuffle": True}},
    "big-endian": {"dtype": ">f4", "indices": ">u4"},
    "f64": {"dtype": "<f8"},
    "i16": {"dtype": "<i2"},
    "u8": {"dtype": "<u1"},
    "c64": {"dtype": "<c8"},
    "superblock-0": {"file": {"libver": ("earliest", "v108")}},
    "superblock-2": {"file": {"libver": ("v108", "v108")}},
    "superblock-3": {"file": {"libver": ("v110", "v110")}},
    "latest": {"file": {"libver": "latest"}},
    "user-block": {"file": {"userblock_size": 1024}},
    "user-block-latest": {"file": {"userblock_size": 512, "libver": ("v110", "v110")}},
    "paged": {"file": {"fs_strategy": "page", "fs_page_size": 4096}},
    "paged-persistent": {"file": {"fs_strategy": "page", "fs_page_size": 4096, "fs_persist": True}, "before": leave_holes},
    "persistent-free-space": {"file": {"fs_strategy": "fsm", "fs_persist": True}, "before": leave_holes},
    "holes": {"before": leave_holes},
    "dense-attributes": {"file": {"libver": ("v108", "v110")}, "after": many_attributes},
    "many-attributes": {"after": many_attributes},
    "old-groups": {"file": {"libver": ("earliest", "v108")}, "after": many_siblings},
    "new-groups": {"file": {"libver": ("v108", "v110")}, "after": many_siblings},
    "creation-order": {"file": {"track_order": True}, "after": many_siblings},
    "left-flagged": {"file": {"libver": ("v110", "v110")}, "kill": True},
    "broken-no-reference": {"after": without_reference},
    "broken-dangling-reference": {"after": dangling_reference},
    "broken-short-ancillary": {"after": short_ancillary},
    "broken-no-labels": {"after": without_labels},
}


def write(path, variant, rows, columns, bins):
    """Writes the whole file as the variant says."""
    positions = rows * columns
    row, column = np.divmod(np.arange(positions), columns)
    scan = np.stack([row, column], axis=1)
    spectrum = np.arange(bins)[None]
    with h5py.File(path, "w", **variant["file"]) as file:
        if variant["before"]:
            variant["before"](file)
        group = file.create_group(GROUP, track_order=variant["file"].get("track_order"))
        main = group.create_dataset("Raw_Data", data=whole_numbers(positions, bins, variant["dtype"]), **variant["storage"])
        for name, text in (("quantity", "Current"), ("units", "nA")):
            shape = (1,) if variant["one_element"] else ()
            main.attrs.create(name, encoded([text] if shape else text, variant["scalar"]), shape, variant["scalar"])
        ancillary(group, "Position", scan, scan * 0.5, ["Y", "X"], [variant["units"]] * 2, variant)
        ancillary(group, "Spectroscopic", spectrum, spectrum * 10.0 + 300, ["Bias"], ["mV"], variant)
        for name in ANCILLARY:
            main.attrs[name] = group[name].ref
        if variant["after"]:
            variant["after"](file, main)
        if variant["kill"]:
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)


def whole_numbers(positions, bins, dtype):
    return (np.arange(positions * bins).reshape(positions, bins) * 7 % 101).astype(dtype)


def ancillary(group, prefix, indices, values, labels, units, variant):
    if variant["split_units"]:
        units = list("".join(units))[: len(labels)] if prefix == "Position" else list(units[0])
    for name, data, dtype in (("Indices", indices, variant["indices"]), ("Values", values, "<f4")):
        item = group.create_dataset(f"{prefix}_{name}", data=data.astype(dtype))
        for attribute, texts in (("labels", labels), ("units", units)):
            listed = variant["listed"]
            if listed == "S":
                item.attrs[attribute] = np.array(texts, "S")
            else:
                item.attrs.create(attribute, encoded(texts, listed), dtype=listed)


def encoded(texts, dtype):
    """h5py wants bytes for fixed-length strings, and text for those of variable length."""
    if h5py.check_string_dtype(dtype).length is None:
        return np.array(texts, object)
    return np.char.encode(np.array(texts), "utf-8").astype(dtype)


def write_and_die(path, variant, *shape):
    """Writes in a child process that is killed before it closes the file, and proves that the flag is left."""
    child = os.fork()
    if child == 0:
        write(path, variant, *shape)
        os._exit(1)
    _, status = os.waitpid(child, 0)
    expect(os.WIFSIGNALED(status), "the writer was not killed")
    try:
        h5py.File(path, "r").close()
    except OSError:
        return
    expect(False, f"{path} opens although its writer was killed")


def digest(values):
    native = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("=")))
    return hashlib.sha256(native.tobytes()).hexdigest()


def expect(condition, message):
    if not condition:
        sys.exit(f"untidy.py: {message}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="print the names of all variants")
    parser.add_argument("variant", nargs="?", choices=VARIANTS)
    parser.add_argument("file", nargs="?")
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--cols", type=int, default=5)
    parser.add_argument("--bins", type=int, default=11)
    options = parser.parse_args()
    if options.list:
        print(json.dumps(list(VARIANTS)))
        return
    if options.file is None:
        parser.error("a variant and a file are needed")
    variant = TIDY | VARIANTS[options.variant]
    shape = (options.rows, options.cols, options.bins)
    (write_and_die if variant["kill"] else write)(options.file, variant, *shape)
    values = whole_numbers(options.rows * options.cols, options.bins, variant["dtype"])
    told = {"dataset": DATASET, "shape": values.shape, "dtype": values.dtype.str, "sha256": digest(values)}
    json.dump(told, sys.stdout)
    print()


if __name__ == "__main__":
    main()
