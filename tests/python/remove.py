"""What is in HDF5 files, each opened by h5py as any user would.

    remove.py FILE...

Prints for each file a digest of every object by its path: of all values and attributes, references by what they lead
to; of links by a path, where they lead.
"""

import hashlib
import json
import sys

import h5py
import numpy as np


def told(file, value):
    """A value in words that stay the same wherever it lies in the file."""
    if isinstance(value, (h5py.Reference, h5py.RegionReference)):
        return f"to {file[value].name}" if value else "to nothing"
    if isinstance(value, (np.ndarray, tuple, np.void)) and (isinstance(value, tuple) or value.dtype.hasobject):
        items = value if isinstance(value, tuple) or value.shape else [value.item()]
        return [told(file, item) for item in items]
    if isinstance(value, np.ndarray | np.generic):
        return [str(value.dtype), list(value.shape), value.tobytes().hex()]
    return str(value)


def digest(file, item):
    content = {name: told(file, item.attrs[name]) for name in sorted(item.attrs)}
    if isinstance(item, h5py.Dataset):
        content[""] = told(file, item[()])
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def look(path):
    found = {}
    with h5py.File(path, "r") as file:
        found["/"] = digest(file, file)

        def within(group, way):
            for name in group:
                link = group.get(name, getlink=True)
                if isinstance(link, h5py.HardLink):
                    item = group[name]
                    found[f"{way}/{name}"] = digest(file, item)
                    if isinstance(item, h5py.Group):
                        within(item, f"{way}/{name}")
                else:
                    found[f"{way}/{name}"] = link.path

        within(file, "")
    return found


def main():
    print(json.dumps([look(path) for path in sys.argv[1:]]))


if __name__ == "__main__":
    main()
