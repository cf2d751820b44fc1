"""Files that link to others, for `tests/linked.rs`."""

import h5py
import numpy as np

from answer import answer


def sums(*paths):
    """The only results dataset of the sums in each of these files."""
    found = []
    for path in paths:
        with h5py.File(path) as file:
            groups = [file[name] for name in file if name.endswith("-Sum_000")]
            found.append(groups[0]["Sum"][...].ravel().tolist())
    return found


def external(folder):
    """A master file whose datasets are in another."""
    with h5py.File(folder + "/data.h5", "w") as file:
        file["scan"] = np.arange(30.0).reshape(6, 5)
        file["half"] = np.array([1, 1, 0, 0, 0, 1], "u1")
    with h5py.File(folder + "/master.h5", "w") as file:
        file["padding"] = np.full(3000, 7.0)
        file["entry/data"] = h5py.ExternalLink("data.h5", "/scan")
        file["entry/half"] = h5py.ExternalLink("data.h5", "/half")


def change(path):
    """Changes a value of the scan."""
    with h5py.File(path, "r+") as file:
        file["scan"][0, 0] = 100


def link_beside(path):
    """Links to a scan and to its results, beside a scan of its own."""
    with h5py.File(path, "r+") as file:
        file["scan"] = h5py.ExternalLink("data.h5", "/scan")
        file["own"] = file["scan"][...]
        file["earlier"] = h5py.ExternalLink("data.h5", "/scan-Sum_000")


def other_tables(path, dataset):
    """A link to the scan, and tables with the same paths that say something else."""
    with h5py.File(path, "w") as file:
        file["raw"] = h5py.ExternalLink("scan.h5", dataset)
        group = file.create_group(dataset.rsplit("/", 1)[0])
        for name in ("Position_Indices", "Position_Values"):
            group[name] = np.zeros((4096, 2), "f4")


def same_tables(path, group, scan_path, source):
    """Whether the results have the positions of the scan's own tables."""
    with h5py.File(path) as file, h5py.File(scan_path) as scan:
        group, raw = file[group], scan[source]
        main = [group[name] for name in group if "Position_Values" in group[name].attrs][0]
        tables = ("Position_Indices", "Position_Values")
        return [
            bool(np.array_equal(file[main.attrs[name]][...], scan[raw.attrs[name]][...])) for name in tables
        ]


def formats(folder):
    """A NeXus group around data of another file, and a link into a HyperSpy signal."""
    with h5py.File(folder + "/data.h5", "w") as file:
        file["counts"] = np.ones((4, 3))
        group = file.create_group("Experiments/scan")
        group.create_group("metadata")
        group["data"] = np.ones((4, 5))
        for number, (name, navigate, size) in enumerate((("X", True, 4), ("E", False, 5))):
            axis = group.create_group(f"axis-{number}")
            axis.attrs.update(name=name, navigate=navigate, size=size, scale=2.0, offset=1.0)
    with h5py.File(folder + "/master.h5", "w") as file:
        group = file.create_group("entry/plot")
        group.attrs.update(NX_class="NXdata", signal="counts", axes=["y", "e"])
        group["counts"] = h5py.ExternalLink("data.h5", "/counts")
        group["y"], group["e"] = np.arange(4) * 0.5, np.arange(3) * 10.0
        file["signal"] = h5py.ExternalLink("data.h5", "/Experiments/scan/data")


def axis(path):
    """The axis of the sums."""
    with h5py.File(path) as file:
        return file["signal-Sum_000/Sum"].dims[0][0][...].tolist()


def many(folder):
    """A virtual dataset over 300 files."""
    layout = h5py.VirtualLayout((300, 4), "f8")
    for number in range(300):
        with h5py.File(f"{folder}/{number}.h5", "w") as file:
            file["d"] = np.full((1, 4), float(number))
        layout[number : number + 1] = h5py.VirtualSource(f"{number}.h5", "d", (1, 4))
    with h5py.File(folder + "/all.h5", "w") as file:
        file.create_virtual_dataset("v", layout, fillvalue=-1)


def main():
    answer(globals())


if __name__ == "__main__":
    main()
