"""Writes files whose data lie in other files, and tells what h5py reads of them.

    linked.py links FOLDER      links to datasets and groups of other files
    linked.py virtual FOLDER    virtual datasets, and raw files outside of HDF5
    linked.py broken FOLDER     the same with something missing
    linked.py deep FOLDER       many groups, one in the other

Prints a list of cases: file, dataset, and either the sums of its rows or texts that a refusal has in it. Where
a file needs settings of the environment to be read, they were made before it was read here.
"""

import json
import os
import subprocess
import sys

import h5py
import numpy as np

ROWS = 12
CASES = []


def read(path, dataset, environment=None):
    """The rows' sums as h5py reads them, by a process of its own: HDF5 looks at its environment once."""
    script = "import sys, json, h5py\nwith h5py.File(sys.argv[1]) as file:\n data = file[sys.argv[2]][...]\n" \
             " print(json.dumps([float(row.astype('f8').sum()) for row in data]))"
    command = [sys.executable, "-c", script, path, dataset]
    output = subprocess.run(command, env={**os.environ, **(environment or {})}, check=True, capture_output=True)
    return json.loads(output.stdout)


def case(path, dataset, expected=None, read_by=None, environment=None):
    sums = read(path, dataset, environment)
    if expected is not None:
        assert np.array_equal(sums, np.asarray(expected, "f8").reshape(ROWS, -1).sum(axis=1)), (path, dataset)
    CASES.append({"file": path, "dataset": dataset, "sums": sums, "read": read_by, "environment": environment or {}})


def refused(path, dataset, *texts, environment=None):
    CASES.append({"file": path, "dataset": dataset, "refused": texts, "environment": environment or {}})


def numbers(seed, shape=(ROWS, 40), kind="f8"):
    return np.random.default_rng(seed).integers(1, 1000, shape).astype(kind)


def store(group, name, data, layout):
    """A dataset in one of the layouts."""
    if layout == "contiguous":
        return group.create_dataset(name, data=data)
    if layout == "chunked":
        return group.create_dataset(name, data=data, chunks=(5, 16))
    if layout == "gzip":
        return group.create_dataset(name, data=data, chunks=(5, 16), compression="gzip", shuffle=True)
    if layout == "compact":
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple(data.shape)
        made = h5py.h5d.create(group.id, name.encode(), h5py.h5t.py_create(data.dtype), space, creation)
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, data)
        return group[name]
    store(group, f"source of {name}", data, "chunked")
    mapped = h5py.VirtualLayout(data.shape, data.dtype)
    mapped[:] = h5py.VirtualSource(".", f"{group.name}/source of {name}".replace("//", "/"), data.shape)
    return group.create_virtual_dataset(name, mapped)


LAYOUTS = ("contiguous", "chunked", "gzip", "virtual", "compact")
READ = {"contiguous": "raw", "chunked": "chunks", "gzip": "chunks", "virtual": "parts", "compact": "library"}


def links(folder):
    data = {layout: numbers(seed) for seed, layout in enumerate(LAYOUTS)}
    os.makedirs(f"{folder}/raw")
    with h5py.File(f"{folder}/raw/data.h5", "w") as file:
        group = file.create_group("scan")
        for layout in LAYOUTS:
            store(group, layout, data[layout], layout)
    with h5py.File(f"{folder}/between.h5", "w") as file:
        file["padding"] = np.full(20000, 3.0)
        for layout in LAYOUTS:
            file[layout] = h5py.ExternalLink("raw/data.h5", f"/scan/{layout}")
    with h5py.File(f"{folder}/master.h5", "w") as file:
        # So that whatever offset is read here has a number of its own.
        file["padding"] = np.full(50000, 7.0)
        file["group"] = h5py.ExternalLink("raw/data.h5", "/scan")
        file["file"] = h5py.ExternalLink("raw/data.h5", "/")
        for layout in LAYOUTS:
            file[f"linked/{layout}"] = h5py.ExternalLink("raw/data.h5", f"/scan/{layout}")
            file[f"chain/{layout}"] = h5py.ExternalLink("between.h5", f"/{layout}")
            file[f"soft/{layout}"] = h5py.SoftLink(f"/linked/{layout}")
    os.makedirs(f"{folder}/elsewhere")
    os.symlink("../master.h5", f"{folder}/elsewhere/link.h5")
    master = f"{folder}/master.h5"
    for layout in LAYOUTS:
        for way in (f"/linked/{layout}", f"/chain/{layout}", f"/soft/{layout}", f"/group/{layout}", f"/file/scan/{layout}"):
            case(master, way, data[layout], READ[layout])
        case(f"{folder}/elsewhere/link.h5", f"/linked/{layout}", data[layout], READ[layout])
    # HDF5's search order: what a prefix leads to beats what lies beside the file.
    os.makedirs(f"{folder}/first/raw")
    other = numbers(99)
    with h5py.File(f"{folder}/first/raw/data.h5", "w") as file:
        file["scan/contiguous"] = other
    prefix = {"HDF5_EXT_PREFIX": f"{folder}/nowhere:{folder}/first"}
    case(master, "/linked/contiguous", other, "raw", prefix)


def mosaic(path, shape, parts, kind="f8", fill=-1, dataset="v"):
    """A virtual dataset of (where, file, name, source's shape, what of it)."""
    layout = h5py.VirtualLayout(shape, kind)
    for where, file, name, source, what in parts:
        layout[where] = h5py.VirtualSource(file, name, source, kind)[what]
    with h5py.File(path, "a") as file:
        file.create_virtual_dataset(dataset, layout, fillvalue=fill)


def virtual(folder):
    every = np.s_[:]
    whole = numbers(1)
    for layout in ("contiguous", "chunked", "gzip", "compact"):
        with h5py.File(f"{folder}/{layout}.h5", "w") as file:
            store(file, "d", whole, layout)
        mosaic(f"{folder}/of_{layout}.h5", whole.shape, [(every, f"{layout}.h5", "d", whole.shape, every)])
        case(f"{folder}/of_{layout}.h5", "v", whole, "library" if layout == "compact" else "parts")

    # Several files, put together along each axis, with chunks that end where parts don't.
    several = [numbers(seed, (3, 40)) for seed in range(4)]
    for number, layout in enumerate(("contiguous", "gzip", "chunked", "gzip")):
        with h5py.File(f"{folder}/part{number}.h5", "w") as file:
            file.create_dataset("d", data=several[number], chunks=None if layout == "contiguous" else (2, 16),
                                compression="gzip" if layout == "gzip" else None)
    rows = [(np.s_[3 * n:3 * n + 3], f"part{n}.h5", "d", (3, 40), every) for n in range(4)]
    mosaic(f"{folder}/rows.h5", whole.shape, rows)
    case(f"{folder}/rows.h5", "v", np.concatenate(several), "parts")
    columns = [(np.s_[:, 40 * n:40 * n + 40], f"part{n}.h5", "d", (3, 40), every) for n in range(4)]
    mosaic(f"{folder}/columns.h5", (3, 160), columns)
    sums = read(f"{folder}/columns.h5", "v")
    CASES.append({"file": f"{folder}/columns.h5", "dataset": "v", "sums": sums, "read": "parts", "environment": {}})
    stack = [(n, f"part{n % 4}.h5", "d", (3, 40), every) for n in range(ROWS)]
    mosaic(f"{folder}/stack.h5", (ROWS, 3, 40), stack)
    case(f"{folder}/stack.h5", "v", np.stack([several[n % 4] for n in range(ROWS)]), "parts")
    spectra = [(np.s_[:, n], "gzip.h5", "d", whole.shape, np.s_[:, 3 * n]) for n in range(10)]
    mosaic(f"{folder}/spectra.h5", (ROWS, 10), spectra)
    case(f"{folder}/spectra.h5", "v", whole[:, 0:30:3], "parts")

    # Parts of parts, over one another, with holes between them.
    over = [
        (np.s_[1:9, 2:30], "gzip.h5", "d", whole.shape, np.s_[4:12, 5:33]),
        (np.s_[4:6, 0:40], "contiguous.h5", "d", whole.shape, np.s_[7:9, :]),
        (np.s_[5:11, 20:25], "chunked.h5", "d", whole.shape, np.s_[0:6, 35:40]),
    ]
    mosaic(f"{folder}/over.h5", whole.shape, over)
    expected = np.full(whole.shape, -1.0)
    expected[1:9, 2:30] = whole[4:12, 5:33]
    expected[4:6] = whole[7:9]
    expected[5:11, 20:25] = whole[0:6, 35:40]
    case(f"{folder}/over.h5", "v", expected, "parts")

    # Every other row, another type, a virtual source, this very file: some of them only HDF5 can put together.
    mosaic(f"{folder}/interleaved.h5", whole.shape, [(np.s_[0::2], "gzip.h5", "d", whole.shape, np.s_[:6]),
                                                     (np.s_[1::2], "contiguous.h5", "d", whole.shape, np.s_[6:])])
    case(f"{folder}/interleaved.h5", "v", None, "library")
    mosaic(f"{folder}/converted.h5", whole.shape, [(every, "contiguous.h5", "d", whole.shape, every)], "f4")
    case(f"{folder}/converted.h5", "v", whole, "library")
    mosaic(f"{folder}/nested.h5", whole.shape, [(every, "rows.h5", "v", whole.shape, every)])
    case(f"{folder}/nested.h5", "v", np.concatenate(several), "library")
    with h5py.File(f"{folder}/own.h5", "w") as file:
        file["d"] = whole
    mosaic(f"{folder}/own.h5", whole.shape, [(every, ".", "d", whole.shape, every)])
    case(f"{folder}/own.h5", "v", whole, "parts")

    # A source may be behind a link.
    with h5py.File(f"{folder}/links.h5", "w") as file:
        file["d"] = h5py.ExternalLink("gzip.h5", "/d")
    mosaic(f"{folder}/of_links.h5", whole.shape, [(every, "links.h5", "d", whole.shape, every)])
    case(f"{folder}/of_links.h5", "v", whole, "parts")

    # Numbered sources, as many as there are.
    layout = h5py.h5s.create_simple((ROWS, 40), (h5py.h5s.UNLIMITED, 40))
    for numbered, read_by in (("part%b.h5", "library"),):
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_layout(h5py.h5d.VIRTUAL)
        creation.set_fill_value(np.array(-1.0))
        target = h5py.h5s.create_simple((3, 40), (h5py.h5s.UNLIMITED, 40))
        target.select_hyperslab((0, 0), (h5py.h5s.UNLIMITED, 1), (3, 1), (3, 40))
        source = h5py.h5s.create_simple((3, 40))
        creation.set_virtual(target, numbered.encode(), b"d", source)
        with h5py.File(f"{folder}/numbered.h5", "w", libver="latest") as file:
            h5py.h5d.create(file.id, b"v", h5py.h5t.IEEE_F64LE, layout, creation)
        case(f"{folder}/numbered.h5", "v", np.concatenate(several), read_by)

    # Where HDF5 looks.
    os.makedirs(f"{folder}/other")
    with h5py.File(f"{folder}/other/only.h5", "w") as file:
        file["d"] = whole
    with h5py.File(f"{folder}/50%_dose.h5", "w") as file:
        file["50%"] = whole
    for name, file, source in (("moved", "/acquisition/2024/gzip.h5", "d"), ("percent", "50%%_dose.h5", "50%%")):
        mosaic(f"{folder}/{name}.h5", whole.shape, [(every, file, source, whole.shape, every)])
        case(f"{folder}/{name}.h5", "v", whole, "parts")
    mosaic(f"{folder}/prefixed.h5", whole.shape, [(every, "only.h5", "d", whole.shape, every)])
    for prefix in (f"{folder}/other", f"/nowhere:{folder}/other", "${ORIGIN}/other"):
        case(f"{folder}/prefixed.h5", "v", whole, "parts", {"HDF5_VDS_PREFIX": prefix})
    os.makedirs(f"{folder}/links")
    os.symlink("../of_gzip.h5", f"{folder}/links/link.h5")
    case(f"{folder}/links/link.h5", "v", whole, "parts")
    os.symlink("../interleaved.h5", f"{folder}/links/interleaved.h5")
    case(f"{folder}/links/interleaved.h5", "v", None, "library")
    with h5py.File(f"{folder}/links/master.h5", "w") as file:
        file["v"] = h5py.ExternalLink("../rows.h5", "/v")
        file["w"] = h5py.ExternalLink("../interleaved.h5", "/v")
    case(f"{folder}/links/master.h5", "v", np.concatenate(several), "parts")
    case(f"{folder}/links/master.h5", "w", None, "library")

    # Raw files outside of HDF5.
    whole.tofile(f"{folder}/other/raw.bin")
    external(f"{folder}/external.h5", [("raw.bin", 0, whole.nbytes)], whole)
    case(f"{folder}/external.h5", "e", whole, "library", {"HDF5_EXTFILE_PREFIX": "${ORIGIN}/other"})
    case(f"{folder}/external.h5", "e", whole, "library", {"HDF5_EXTFILE_PREFIX": f"{folder}/other"})


def external(path, files, data):
    with h5py.File(path, "w") as file:
        file.create_dataset("e", data.shape, data.dtype, external=files)


def broken(folder):
    every = np.s_[:]
    data = numbers(1)
    with h5py.File(f"{folder}/source.h5", "w") as file:
        file["d"] = data
        file["short"] = data[:5]
    half = (np.s_[:6], "source.h5", "d", data.shape, np.s_[:6])
    for name, parts, texts in (
        ("no_file", [half, (np.s_[6:], "gone.h5", "d", data.shape, np.s_[6:])], ("gone.h5", "isn't there")),
        ("no_dataset", [half, (np.s_[6:], "source.h5", "renamed", data.shape, np.s_[6:])],
         ("`renamed` of ", "source.h5", "isn't there")),
        ("percent", [(every, "50%%_dose.h5", "d", data.shape, every)], ("50%_dose.h5", "isn't there")),
        ("nested", [(every, "no_file.h5", "v", data.shape, every)], ("no_file.h5", "gone.h5", "isn't there")),
        ("short", [(every, "source.h5", "short", data.shape, every)], ("`short` of source.h5", "its shape is only [5, 40]")),
        ("no_hdf5", [(every, "text.h5", "d", data.shape, every)], ("text.h5", "not an HDF5 file")),
        ("round", [(every, ".", "v", data.shape, every)], ("/v", "too often")),
    ):
        mosaic(f"{folder}/{name}.h5", data.shape, parts)
        refused(f"{folder}/{name}.h5", "v", "is virtual", *texts)
    CASES[-2]["refused"] = ("text.h5", "not an HDF5 file")
    with open(f"{folder}/text.h5", "w") as file:
        file.write("nothing")
    data.tofile(f"{folder}/raw.bin")
    with open(f"{folder}/raw.bin", "ab") as file:
        file.truncate(data.nbytes - 8)
    external(f"{folder}/external.h5", [("raw.bin", 0, data.nbytes)], data)
    beside = {"HDF5_EXTFILE_PREFIX": folder}
    refused(f"{folder}/external.h5", "e", "raw.bin is truncated", str(data.nbytes), environment=beside)
    external(f"{folder}/external_gone.h5", [("raw.bin", 0, 160), ("gone.bin", 0, data.nbytes)], data)
    refused(f"{folder}/external_gone.h5", "e", "is stored in gone.bin", "isn't there", environment=beside)
    with h5py.File(f"{folder}/master.h5", "w") as file:
        file["own"] = data
        file["no_file"] = h5py.ExternalLink("gone.h5", "/x")
        file["no_dataset"] = h5py.ExternalLink("source.h5", "/x")
        file["soft"] = h5py.SoftLink("/x/y")
        file["chain"] = h5py.SoftLink("/no_file")
        file["group"] = h5py.ExternalLink("gone.h5", "/")
    master = f"{folder}/master.h5"
    refused(master, "/no_file", "`/no_file` is a link to `/x` of gone.h5, which isn't there")
    refused(master, "/no_dataset", "`/no_dataset` is a link to `/x` of source.h5, which isn't there, though the file is")
    refused(master, "/soft", "`/soft` is a link to `/x/y`, which isn't there")
    refused(master, "/chain", "`/chain` is a link to `/no_file`, which isn't there")
    refused(master, "/group/data", "`/group` is a link to `/` of gone.h5, which isn't there")


def deep(folder):
    with h5py.File(f"{folder}/deep.h5", "w") as file:
        group = file.id
        for _ in range(30_000):
            group = h5py.h5g.create(group, b"g")
        data = np.arange(ROWS * 3.0).reshape(ROWS, 3)
        h5py.Group(group)["d"] = data
    CASES.append({"depth": 30_000, "sums": data.sum(axis=1).tolist()})


if __name__ == "__main__":
    {"links": links, "virtual": virtual, "broken": broken, "deep": deep}[sys.argv[1]](os.path.realpath(sys.argv[2]))
    print(json.dumps(CASES))
