"""What refers to results, and what another program does to their file, for `tests/compress.rs`."""

import h5py
import numpy as np

from answer import answer


def main_dataset(path, group):
    """The path of the first results dataset."""
    with h5py.File(path) as file:
        return next(d.name for d in file[group].values() if "quantity" in d.attrs)


def fill_free_room(path):
    """What another program puts into the room that is free, and takes away."""
    with h5py.File(path, "r+") as file:
        file["new"] = np.ones(200_000)
        del file["new"]


def reference(kind, path, dataset, what):
    """Adds a reference of a kind to a dataset, if `what` is "add", and tells where it leads and to which values."""
    with h5py.File(path, "r+") as file:
        source = file[dataset]
        notes = file.require_group("notes")
        plain, region = source.ref, source.regionref[3:5]
        record = np.dtype([("n", "i4"), ("to", h5py.ref_dtype)])
        array = np.dtype((record, (2,)))
        if what == "add":
            if kind == "attribute":
                notes.attrs["to"] = plain
            elif kind == "attribute of the root":
                file.attrs.create("to", [plain, h5py.Reference()], dtype=h5py.ref_dtype)
            elif kind == "attribute of a type":
                file["type"] = np.dtype("f4")
                file["type"].attrs["to"] = plain
            elif kind == "dataset":
                # Many, of which the last one counts.
                many = notes.create_dataset(
                    "to", (300_000,), h5py.ref_dtype, chunks=(1000,), compression="gzip"
                )
                many[-1] = plain
            elif kind == "scalar":
                notes.create_dataset("to", data=plain, dtype=h5py.ref_dtype)
            elif kind == "region":
                notes.attrs["to"] = region
            elif kind == "regions":
                notes.create_dataset("to", (3, 2), h5py.regionref_dtype)[2, 1] = region
            elif kind == "record":
                notes.create_dataset("to", (4,), record)[3] = (1, plain)
            elif kind == "records in an array":
                values = np.zeros((2, 2), record)
                values["to"] = h5py.Reference()
                values[1, 1] = (1, plain)
                notes.create_dataset("to", (2,), array)
                notes["to"].id.write(h5py.h5s.ALL, h5py.h5s.ALL, values, h5py.h5t.py_create(array))
            elif kind == "list":
                lists = notes.create_dataset("to", (2,), h5py.vlen_dtype(h5py.ref_dtype))
                lists[1] = np.array([file["/"].ref, plain], dtype=h5py.ref_dtype)
        found = {
            "attribute": lambda: notes.attrs["to"],
            "attribute of the root": lambda: file.attrs["to"][0],
            "attribute of a type": lambda: file["type"].attrs["to"],
            "dataset": lambda: notes["to"][-1],
            "scalar": lambda: notes["to"][()],
            "region": lambda: notes.attrs["to"],
            "regions": lambda: notes["to"][2, 1],
            "record": lambda: notes["to"][3]["to"],
            "records in an array": lambda: notes["to"][1][1]["to"],
            "list": lambda: notes["to"][1][1],
        }[kind]()
        values = file[found][found] if isinstance(found, h5py.RegionReference) else file[found][3:5]
        return [file[found].name, np.asarray(values).ravel().tolist()]


def link(path, group):
    """Adds a second name of a results dataset."""
    with h5py.File(path, "r+") as file:
        file["mine"] = file[group + "/Peak_Position"]


def source(path, group):
    """Where a results group's reference to its source leads."""
    with h5py.File(path) as file:
        return file[file[group].attrs["source_000"]].name


def reads(path):
    """Whether all datasets of a file can be read."""
    with h5py.File(path) as file:
        datasets = []
        file.visititems(lambda _, item: datasets.append(item) if isinstance(item, h5py.Dataset) else None)
        for dataset in datasets:
            dataset[()]
    return True


def main():
    answer(globals())


if __name__ == "__main__":
    main()
