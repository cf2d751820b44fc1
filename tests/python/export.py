"""Files for `export`, and whether what it has written is what h5py reads.

    export.py write FILE
    export.py check FILE FOLDER
    export.py parts FOLDER
    export.py foreign FILE LAST
"""

import csv
import json
import math
import os
import sys
from pathlib import Path

import h5py
import numpy as np
import tifffile

ARRAYS = {
    "frames": ">f4",
    "spectra": "<f8",
    "map": "<i2",
    "bytes": "u1",
    "waves": "<c8",
    "half": "<f2",
    "flags": "?",
    "records": [("n", "<u2"), ("Wert µ", "<f8"), ("z", "<c16")],
    "line": "<f4",
    "long": "<i8",
}
SHAPES = {"frames": (6, 5, 8, 7), "spectra": (6, 5, 24), "line": (30,)}


def values(name, random):
    shape, dtype = SHAPES.get(name, (6, 5)), np.dtype(ARRAYS[name])
    if dtype.names:
        array = np.zeros(shape, dtype)
        for field in dtype.names:
            array[field] = random.normal(size=shape) * 1000 if field != "n" else random.integers(0, 9, shape)
        return array
    if dtype.kind in "iu":
        bounds = np.iinfo(dtype)
        return random.integers(bounds.min, bounds.max, shape, dtype.newbyteorder("="), True).astype(dtype)
    if dtype.kind == "b":
        return random.integers(0, 2, shape).astype(bool)
    array = random.normal(size=shape) * 10.0 ** random.integers(-30, 30, shape)
    if dtype.kind == "c":
        array = array + 1j * random.normal(size=shape)
    if dtype == np.dtype("f2"):
        array = random.normal(size=shape)
    array = array.astype(dtype)
    if dtype.kind == "f":
        array.flat[:3] = math.nan, math.inf, -0.0
    return array


def write(path):
    random = np.random.default_rng(5)
    with h5py.File(path, "w") as file:
        for name in ARRAYS:
            chunks = (4, 2, 8, 3) if name == "frames" else None
            file.create_dataset(name, data=values(name, random), chunks=chunks, compression="gzip" if chunks else None)
        file["text"] = np.array([b"a", b"b"])
        scan = file.create_group("Experiments/scan")
        file.attrs.update(file_format="HyperSpy", file_format_version="3.3")
        scan["data"] = random.normal(size=(6, 5, 24)).astype("f4")
        for number, (axis, length) in enumerate(zip("yxE", (6, 5, 24))):
            described = scan.create_group(f"axis-{number}")
            described.attrs.update(name=axis, units="µm" if number < 2 else 'e"V, x', size=length, navigate=number < 2)
            described.attrs.update(offset=0.5 * number, scale=0.25, _type="UniformDataAxis", is_binned=False)
        for name in ("original_metadata", "metadata/General", "metadata/Signal"):
            scan.create_group(name)
    return sorted(ARRAYS)


def same(one, other):
    """Bit by bit, but for the bits of NaN."""
    nan = np.isnan(one) & np.isnan(other) if one.dtype.kind in "fc" else np.zeros(one.shape, bool)
    equal = (one == other) & (np.signbit(one) == np.signbit(other)) if one.dtype.kind == "f" else one == other
    return bool(one.shape == other.shape and (nan | equal).all())


def table(path):
    with open(path, newline="") as file:
        text = file.read()
    assert text.count("\r\n") == text.count("\n") and text.endswith("\r\n")
    head, *lines = csv.reader(text.splitlines())
    return head, np.array([[float(cell or "nan") for cell in line] for line in lines])


def columns(array):
    """The values as a table has them, one after the other."""
    if array.dtype.names:
        return np.concatenate([columns(array[name].reshape(-1, 1)) for name in array.dtype.names], 1)
    flat = array.reshape(-1, 1)
    return np.concatenate([flat.real, flat.imag], 1) if array.dtype.kind == "c" else flat


def check(path, folder):
    folder, told = Path(folder), {}
    with h5py.File(path) as file:
        for name in ARRAYS:
            stored = file[name][()]
            array = np.load(folder / f"{name}.npy")
            wanted = stored.astype("f4") if name == "half" else stored
            names = stored.dtype.names
            assert array.dtype == wanted.dtype.newbyteorder("=") and array.flags.c_contiguous, name
            fields = [(array[field], wanted[field]) for field in names] if names else [(array, wanted)]
            assert all(same(one, other) for one, other in fields), name
            head, rows = table(folder / f"{name}.csv")
            lines = 30
            assert len(rows) == lines and len(head) == rows.shape[1], name
            own = columns(wanted).reshape(lines, -1)
            is_single = stored.dtype.kind == "f" and stored.itemsize < 8 or stored.dtype == np.dtype("c8")
            found = rows[:, -own.shape[1] :].astype("f4" if is_single else "f8")
            if name != "long":
                assert same(found, own.astype(found.dtype)), name
        images = {name: tifffile.imread(folder / f"{name}.tif") for name in ("frames", "spectra", "map", "bytes", "waves")}
        spectra = np.moveaxis(file["spectra"][()], 2, 0)
        with np.errstate(over="ignore"):
            assert same(images["spectra"], spectra.astype("f4"))
        assert same(images["frames"].reshape(6, 5, 8, 7), file["frames"][()].astype("f4"))
        assert all(same(images[name], file[name][()]) for name in ("map", "bytes"))
        waves = file["waves"][()]
        assert same(images["waves"][0], waves.real) and same(images["waves"][1], waves.imag)
        with tifffile.TiffFile(folder / "scan.tif") as scan:
            assert same(scan.asarray(), np.moveaxis(file["Experiments/scan/data"][()], 2, 0))
            page, told["imagej"] = scan.pages[0], dict(scan.imagej_metadata)
            told["is_imagej"] = scan.is_imagej
            told["resolution"] = [page.tags[tag].value[0] / page.tags[tag].value[1] for tag in ("XResolution", "YResolution")]
        told["head"], rows = table(folder / "scan.csv")
        told["first"] = rows[1, :2].tolist()
        assert same(rows[:, 2:].astype("f4"), file["Experiments/scan/data"][()].reshape(30, 24))
        with open(folder / "long.csv", newline="") as lines:
            exact = [int(line[-1]) for line in list(csv.reader(lines))[1:]]
        assert exact == file["long"][()].reshape(-1).tolist()
    return told


def arrays(*paths):
    """What arrays of NumPy's hold, NaN as nothing."""
    def one(value):
        if isinstance(value, tuple):
            return [one(field) for field in value]
        return None if isinstance(value, float) and math.isnan(value) else value

    def plain(array):
        return [one(value) for value in array.reshape(-1).tolist()]

    return [{"dtype": str(array.dtype), "shape": array.shape, "values": plain(array)} for array in map(np.load, paths)]


def parts(folder):
    """Writes files whose data lie in others that have names of what `export` writes."""
    folder = Path(folder)
    values = np.arange(12.0).reshape(3, 4)
    for name in ("own.npy", "part.tif"):
        with h5py.File(folder / name, "w") as file:
            file["data"] = values
    os.symlink("own.npy", folder / "soft.npy")
    os.link(folder / "own.npy", folder / "hard.npy")
    values.tofile(folder / "raw.csv")
    with h5py.File(folder / "master.h5", "w") as file:
        file["plain"] = values
        file["link"] = h5py.ExternalLink("part.tif", "data")
        file.create_dataset("raw", values.shape, "f8", external=[(str(folder / "raw.csv"), 0, values.nbytes)])
        layout = h5py.VirtualLayout(values.shape, "f8")
        layout[:] = h5py.VirtualSource("part.tif", "data", values.shape)
        file.create_virtual_dataset("virtual", layout)


def foreign(path, last):
    """Writes the results of another program, which tells how many of the 12 positions are done."""
    with h5py.File(path, "w") as file:
        grid = np.array([[number % 4, number // 4] for number in range(12)])

        def table(group, name, data, labels):
            group[name] = data
            group[name].attrs["labels"] = group[name].attrs["units"] = np.array(labels, "S")
            return group[name]

        def main(group, name, data, tables):
            group[name] = data
            group[name].attrs["quantity"], group[name].attrs["units"] = "Height", "V"
            for table in tables:
                group[name].attrs[table.name.rsplit("/")[-1]] = table.ref
            return group[name]

        positions = [table(file, f"Position_{name}", grid.astype(dtype), ["X", "Y"]) for name, dtype in (("Indices", "u4"), ("Values", "f4"))]
        spectra = [table(file, f"Spectroscopic_{name}", np.arange(5, dtype=dtype)[None], ["V"]) for name, dtype in (("Indices", "u4"), ("Values", "f4"))]
        source = main(file, "Raw_Data", np.ones((12, 5)), positions + spectra)
        group = file.create_group("Raw_Data-Other_000")
        group.attrs["tool"], group.attrs["source_000"], group.attrs["last_pixel"] = "Other", source.ref, int(last)
        one = [table(group, f"Spectroscopic_{name}", np.zeros((1, 1), dtype), ["a"]) for name, dtype in (("Indices", "u4"), ("Values", "f4"))]
        main(group, "Result", np.arange(1.0, 13)[:, None], positions + one)
        main(group, "Other", np.arange(7.0), [])


def main():
    function, *given = sys.argv[1:]
    functions = {"write": write, "check": check, "arrays": arrays, "parts": parts, "foreign": foreign}
    print(json.dumps(functions[function](*given)))


if __name__ == "__main__":
    main()
