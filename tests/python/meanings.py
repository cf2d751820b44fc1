"""Files that mean one thing and might be taken for another, and what came of them, for `tests/meaning.rs`."""

import h5py
import numpy as np
from h5py import h5d, h5s, h5t

from answer import answer


def values(path, dataset):
    """All values of a dataset of numbers; NaN as null."""
    with h5py.File(path) as f:
        return [float(v) if v == v else None for v in f[dataset][...].ravel()]


def notes(path, group):
    """What is noted of the source."""
    with h5py.File(path) as f:
        return str(f[group].attrs["source_notes"])


def axis(path):
    """The axis of the sums at position 22, and its units."""
    with h5py.File(path) as f:
        s = f["d-Sum_000/Sum"].dims[0][0]
        return [float(s[22]), s.attrs["units"]]


def units(path):
    """The units of the sums."""
    with h5py.File(path) as f:
        return f["d-Sum_000/Sum"].attrs["units"]


def numbers(folder):
    """Numbers of every type."""
    data = np.arange(12).reshape(3, 4) - 4
    for name, kind in (
        ("i8", "<i8"),
        ("big", ">i8"),
        ("u8", "<u8"),
        ("half", "<f2"),
        ("half_big", ">f2"),
        ("i1", "i1"),
    ):
        with h5py.File(f"{folder}/{name}.h5", "w") as file:
            file["d"] = np.abs(data).astype(kind) if name == "u8" else data.astype(kind)
            file.create_dataset("chunked", data=file["d"][...], chunks=(2, 3), compression="gzip")

    def odd(name, kind, write):
        with h5py.File(f"{folder}/{name}.h5", "w") as file:
            made = h5d.create(file.id, b"d", kind, h5s.create_simple((3, 4)))
            made.write(h5s.ALL, h5s.ALL, write)
            h5d.create(file.id, b"chunked", kind, h5s.create_simple((3, 4)))
            h5py.Dataset(h5d.open(file.id, b"chunked")).id.write(h5s.ALL, h5s.ALL, write)

    for name, base, size in (
        ("i24", h5t.STD_I32LE, 3),
        ("i24_big", h5t.STD_I32BE, 3),
        ("i40", h5t.STD_I64LE, 5),
    ):
        kind = base.copy()
        kind.set_precision(8 * size)
        kind.set_size(size)
        odd(name, kind, data.astype("i8"))
    bfloat = h5t.IEEE_F32LE.copy()
    bfloat.set_fields(15, 7, 8, 0, 7)
    bfloat.set_size(2)
    bfloat.set_ebias(127)
    odd("bfloat", bfloat, data.astype("f4"))
    other = h5t.IEEE_F32LE.copy()
    other.set_fields(31, 25, 6, 0, 25)
    other.set_ebias(31)
    odd("other_float", other, data.astype("f4"))


def long_integers(folder):
    """Integers that `f64` doesn't have."""
    data = np.full((3, 4), 2**53, "i8")
    data[1, 2] += 1
    with h5py.File(f"{folder}/long.h5", "w") as file:
        file["d"] = data
    with h5py.File(f"{folder}/unsigned.h5", "w") as file:
        file["d"] = np.full((2, 3), 2**64 - 1, "u8")


def no_numbers(folder):
    """What can't be computed with."""
    two = np.dtype([("rate", "f4"), ("intensity", "f4")])
    kinds = {
        "long_double": np.ones((3, 4), "g"),
        "record": np.zeros((3, 4), two),
        "capitals": np.zeros((3, 4), [("R", "f8"), ("I", "f8")]),
        "text": np.array([[b"a", b"b"]], "S1"),
        "scalar": np.float64(3),
        "empty": np.zeros((0, 4)),
        "array": np.zeros((3, 4), ("f4", (3,))),
    }
    for name, data in kinds.items():
        with h5py.File(f"{folder}/{name}.h5", "w") as file:
            if name == "array":
                file.create_dataset("d", (3, 4), h5py.h5t.py_create(np.dtype(("f4", (3,)))))
            else:
                file["d"] = data
    with h5py.File(f"{folder}/enum.h5", "w") as file:
        file.create_dataset("d", (3, 4), h5py.enum_dtype({"off": 0, "on": 1}, "u1"))


def complex_numbers(folder):
    """Complex numbers by their names."""
    for number, names in enumerate(("r i", "re im", "Re Im", "real imag", "REAL IMAGINARY")):
        one, other = names.split()
        rows = np.full((3, 4), 2 + 1j, ">c8").view([(one, ">f4"), (other, ">f4")])
        with h5py.File(f"{folder}/{number}.h5", "w") as file:
            file["d"] = rows if number else rows.view(">c8")
    with h5py.File(f"{folder}/5.h5", "w") as file:
        if hasattr(h5t, "COMPLEX_IEEE_F32LE"):
            made = h5d.create(file.id, b"d", h5t.COMPLEX_IEEE_F32LE, h5s.create_simple((3, 4)))
            made.write(h5s.ALL, h5s.ALL, np.full((3, 4), 2 + 1j, "c8"), mtype=h5t.COMPLEX_IEEE_F32LE)
        else:
            file["d"] = np.full((3, 4), 2 + 1j, "c8")


def old_text(folder):
    """Texts that aren't UTF-8."""

    def text(item, name, value, fixed):
        kind = h5py.string_dtype("ascii", 20 if fixed else None)
        array = value if isinstance(value, bytes) else np.array(value, object)
        item.attrs.create(
            name, array if not fixed or isinstance(value, bytes) else np.array(value, "S20"), dtype=kind
        )

    for fixed in (False, True):
        with h5py.File(f"{folder}/{fixed}.h5", "w") as file:
            group = file.create_group("Measurement_000/Channel_000")
            main = group.create_dataset("Raw_Data", data=np.ones((6, 8)))
            text(main, "quantity", b"Gr\xf6\xdfe", fixed)
            text(main, "units", b"\xb5A", fixed)
            tables = {
                "Position": np.array([[i // 3, i % 3] for i in range(6)]),
                "Spectroscopic": np.arange(8)[None],
            }
            for what, table in tables.items():
                labels = [b"X", b"H\xf6he"] if what == "Position" else [b"\xb0C"]
                for kind, dtype in (("Indices", "u4"), ("Values", "f4")):
                    made = group.create_dataset(f"{what}_{kind}", data=table.astype(dtype))
                    text(made, "labels", labels, fixed)
                    text(made, "units", [b"\xb5m"] * len(labels), fixed)
                    main.attrs[f"{what}_{kind}"] = made.ref


def old_names(folder):
    """Names that aren't UTF-8."""
    with h5py.File(f"{folder}/names.h5", "w") as file:
        file["d"] = np.ones((3, 4))
        file.create_group(b"Gr\xf6\xdfe")[b"\xb5"] = np.ones((3, 4))
        file.id.links.create_soft(b"\xe4", b"/d")
        h5py.h5a.create(file["d"].id, b"\xb5", h5py.h5t.NATIVE_INT32, h5py.h5s.create(h5py.h5s.SCALAR))
        record = h5py.h5t.create(h5py.h5t.COMPOUND, 8)
        record.insert(b"\xb5", 0, h5py.h5t.IEEE_F32LE)
        record.insert(b"\xe4", 4, h5py.h5t.IEEE_F32LE)
        h5py.h5d.create(file.id, b"record", record, h5py.h5s.create_simple((3, 4)))


def long_units(folder):
    """An attribute that takes megabytes."""
    with h5py.File(f"{folder}/claims.h5", "w", libver="latest") as file:
        data = file.create_dataset("d", data=np.ones((3, 4)))
        data.attrs.create("units", np.array([b"x" * 3000000], "S3000000"))


def other_lengths(folder):
    """Axes that are longer or shorter than their data."""
    with h5py.File(f"{folder}/nexus.h5", "w") as file:
        group = file.create_group("entry/data")
        group.attrs.update({"NX_class": "NXdata", "signal": "I", "axes": ["y", "E"]})
        data = group.create_dataset("I", data=np.ones((23, 5)), maxshape=(None, 5), chunks=(4, 5))
        data.attrs["interpretation"] = "spectrum"
        group["y"], group["E"] = np.arange(30.0) * 2, np.arange(5.0)
    for name, length in (("longer", 30), ("shorter", 7)):
        with h5py.File(f"{folder}/{name}.h5", "w") as file:
            data = file.create_dataset("d", data=np.ones((23, 5)))
            file["y"] = np.arange(float(length)) * 2
            file["y"].attrs["units"] = "um"
            file["y"].make_scale("y")
            data.dims[0].attach_scale(file["y"])
    with h5py.File(f"{folder}/usid.h5", "w") as file:
        main = file.create_dataset("Raw_Data", data=np.ones((23, 5)))
        main.attrs.update(quantity="I", units="A")
        for what, table in (("Position", np.arange(30)[:, None]), ("Spectroscopic", np.arange(6)[None])):
            for kind, dtype in (("Indices", "u4"), ("Values", "f4")):
                made = file.create_dataset(f"{what}_{kind}", data=table.astype(dtype))
                made.attrs.update(labels=[what], units=["um"])
                main.attrs[f"{what}_{kind}"] = made.ref


def packed(folder):
    """Numbers that stand for others."""
    with h5py.File(f"{folder}/packed.h5", "w") as file:
        file["d"] = np.ones((3, 4), "i2")
        file["d"].attrs.update(units="K", scale_factor=0.01, add_offset=273.15, _FillValue=np.int16(-999))


def one_axis(folder):
    """An array of one axis."""
    with h5py.File(f"{folder}/one.h5", "w") as file:
        file["d"] = np.arange(5.0)


def other_containers(folder):
    """HDF4, and files of several parts."""
    with open(f"{folder}/old.hdf", "wb") as file:
        file.write(b"\x0e\x03\x13\x01" + bytes(100))
    for driver, name in (("family", "part%05d.h5"), ("split", "split")):
        options = {"memb_size": 1 << 16} if driver == "family" else {}
        with h5py.File(f"{folder}/{name}", "w", driver=driver, **options) as file:
            file["d"] = np.ones((64, 512))


def texts(path, dataset):
    """Units of a results dataset, and the labels of its positions."""
    with h5py.File(path) as file:
        found = file[dataset]
        labels = file[found.attrs["Position_Indices"]].attrs["labels"]
        return [found.attrs["units"], labels.tolist()]


def main():
    answer(globals())


if __name__ == "__main__":
    main()
