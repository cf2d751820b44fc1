"""Opens HDF5 files as any user would and reads all that is in them, for one path per line of standard input.

    open_file.py

Answers each path with one line of JSON: the results groups, with the places of their datasets in the file and
`last_pixel`, or {"error": ...}. HDF5's own lock is taken, as a notebook does.
"""

import json
import sys

import h5py


def look(path):
    groups = {}

    def visit(name, item):
        for attribute in item.attrs:
            item.attrs[attribute]
        if isinstance(item, h5py.Dataset):
            item[()]
        elif "tool" in item.attrs:
            groups["/" + name] = describe(item)

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return {"groups": groups}


def describe(group):
    datasets = {}
    for name, item in group.items():
        datasets[name] = {
            "offset": item.id.get_offset(),
            "bytes": item.id.get_storage_size(),
            "result": "quantity" in item.attrs,
        }
    return {"last_pixel": int(group.attrs.get("last_pixel", -1)), "datasets": datasets}


def main():
    for line in sys.stdin:
        try:
            answer = look(line.rstrip("\n"))
        except Exception as error:  # whatever it is, the test has to hear of it
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
