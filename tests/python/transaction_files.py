"""Makes the files that the transaction tests change, and says what a folder of files shows.

    transaction_files.py make FOLDER    one file for each kind of HDF5 file
    transaction_files.py show FOLDER    for each file one line of JSON: what h5py and h5dump see in it

"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np

EARLIEST = ("earliest", "v108")
V108 = ("v108", "v108")
V110 = ("v110", "v110")

# What h5py.File is opened with, and what is special inside.
KINDS = {
    "superblock_0": (dict(libver=EARLIEST), []),
    "superblock_2": (dict(libver=V108), []),
    "superblock_3": (dict(libver=V110), []),
    "latest": (dict(libver="latest"), ["attributes"]),
    "user_block_512": (dict(libver=EARLIEST, userblock_size=512), []),
    "user_block_2048": (dict(libver=V110, userblock_size=2048), []),
    "dense_attributes": (dict(libver=V110), ["attributes"]),
    "many_attributes_old": (dict(libver=EARLIEST), ["attributes"]),
    "many_links_old": (dict(libver=EARLIEST), ["links"]),
    "many_links_new": (dict(libver=V110), ["links"]),
    "tracked_order": (dict(libver=V110, track_order=True), ["links", "attributes"]),
    "paged": (dict(libver=V110, fs_strategy="page"), ["deleted"]),
    "paged_persistent": (dict(libver=V110, fs_strategy="page", fs_persist=True), ["deleted"]),
    "free_space": (dict(libver=V110, fs_strategy="fsm", fs_persist=True), ["deleted"]),
    "free_space_old": (dict(libver=("earliest", "v110"), fs_strategy="fsm", fs_persist=True), ["deleted"]),
    "aggregate": (dict(libver=("earliest", "v110"), fs_strategy="aggregate"), ["deleted"]),
    "trailing_bytes": (dict(libver=EARLIEST), []),
    "stale_journal": (dict(libver=V110), []),
    "left_open": (dict(libver=V110), []),
}


def fill(file, specials):
    channel = file.create_group("Measurement_000/Channel_000", track_order="links" in specials or None)
    main = channel.create_dataset("Raw_Data", data=np.arange(20 * 16, dtype="c8").reshape(20, 16))
    main.attrs["quantity"], main.attrs["units"] = "Amplitude", "V"
    for name, shape in [("Position_Indices", (20, 2)), ("Spectroscopic_Indices", (1, 16))]:
        ancillary = channel.create_dataset(name, data=np.zeros(shape, "u4"))
        ancillary.attrs["labels"] = ["X", "Y"]
        main.attrs[name] = ancillary.ref
    channel.create_dataset("chunked", data=np.random.rand(64, 64), chunks=(16, 16), compression="gzip")
    if "links" in specials:
        for index in range(60):
            channel[f"extra_{index:02}"] = np.float32(index)
    if "attributes" in specials:
        for index in range(20):
            channel.attrs[f"note_{index:02}"] = f"größe {index}"
    if "deleted" in specials:
        for index in range(6):
            channel.create_dataset(f"deleted_{index}", data=np.ones(600 + 50 * index))
        channel["kept"] = 1.0
        file.flush()
        for index in range(5):
            del channel[f"deleted_{index}"]


def make(folder):
    for kind, (options, specials) in KINDS.items():
        path = folder / f"{kind}.h5"
        if kind == "left_open":
            if os.fork() == 0:
                file = h5py.File(path, "w", **options)
                fill(file, specials)
                file.flush()
                os._exit(0)
            os.wait()
        else:
            with h5py.File(path, "w", **options) as file:
                fill(file, specials)
        if kind == "trailing_bytes":
            with open(path, "ab") as file:
                file.write(np.random.bytes(5000))


def canonical(value):
    if isinstance(value, h5py.h5r.Reference):
        return ["reference", bool(value)]
    if isinstance(value, np.ndarray) and value.dtype.kind == "O":
        return [canonical(item) for item in value.ravel()]
    if isinstance(value, (np.ndarray, np.generic)):
        return [str(value.dtype), list(value.shape), value.tobytes().hex()]
    return repr(value)


def walk(path):
    seen = []
    with h5py.File(path, "r") as file:

        def visit(name, thing):
            attributes = sorted((key, canonical(value)) for key, value in thing.attrs.items())
            for value in thing.attrs.values():
                if isinstance(value, h5py.h5r.Reference):
                    attributes.append(file[value].name)
            data = canonical(thing[()]) if isinstance(thing, h5py.Dataset) else sorted(thing)
            seen.append([name, attributes, data])

        visit("/", file)
        file.visititems(visit)
    return hashlib.sha256(json.dumps(seen).encode()).hexdigest()


def dump(path):
    result = subprocess.run(["h5dump", path], capture_output=True)
    if result.returncode:
        return "error: " + result.stderr.decode(errors="replace").strip()[:300]
    return hashlib.sha256(result.stdout.split(b"\n", 1)[1]).hexdigest()


def show(folder):
    paths = sorted(folder.glob("*.h5"))
    with ThreadPoolExecutor(2) as pool:
        dumps = pool.map(dump, paths) if shutil.which("h5dump") else [None] * len(paths)
        for path, dumped in zip(paths, dumps):
            try:
                walked = walk(path)
            except Exception as error:
                walked = f"error: {error}"
            print(json.dumps({"name": path.stem, "h5py": walked, "h5dump": dumped}))


if __name__ == "__main__":
    {"make": make, "show": show}[sys.argv[1]](Path(sys.argv[2]))
