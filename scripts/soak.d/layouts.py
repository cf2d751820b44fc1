"""Scans of random formats, element types and layouts, and how each is written by h5py alone.

A `Scan` is what the soak knows of a main dataset: its numbers, axes and place. Numbers are small multiples of a
quarter, so that sums are exact and the order of adding doesn't matter; those of large scans are any, if they can be.
"""

import itertools
import math

import h5py
import numpy as np

KINDS = {"usid": 5, "plain": 3, "scales": 2, "hspy": 2, "nsid": 2, "nexus": 2, "virtual": 1, "linked": 1}
REAL = ("u1", "i1", "u2", ">u2", "i2", "u4", "i4", ">i4", "i8", ">i8", "u8", "f2", "f4", ">f4", "f8", ">f8")
COMPLEX = ("c8", "c16", ">c8", ">c16")
FILTERS = (
    {},
    {"compression": "gzip"},
    {"compression": "gzip", "shuffle": True},
    {"compression": "lzf"},
    {"shuffle": True, "fletcher32": True},
)


class Axis:
    def __init__(self, name, units, values):
        self.name, self.units, self.values = name, units, np.asarray(values, float)

    def told(self):
        return self.name, self.units, self.values.tobytes()


class Scan:
    """A main dataset: what is in it, and where."""

    def __init__(self, kind, file, path, data, axes, positions, table=None):
        self.kind, self.file, self.path = kind, file, path
        self.data = data
        self.axes = axes
        self.positions = positions  # axes of the data that are positions, slowest first
        self.table = table  # of h5USID: steps of each position on each axis of the scan
        self.quantity, self.units = "Current", "nA"
        self.storage = {}
        self.is_exact = True  # whether sums are, in any order
        self.is_large = False  # whether it is cut into several units, where it is folded
        self.parts = []  # where a virtual or linked dataset's numbers are: (file, path, first, last)

    @property
    def count(self):
        return int(np.prod([self.data.shape[axis] for axis in self.positions]))

    @property
    def points(self):
        return self.data.size // self.count

    @property
    def spectrum(self):
        return [axis for axis in range(self.data.ndim) if axis not in self.positions]

    @property
    def is_named(self):
        """Whether the file itself says which axes are positions."""
        return self.kind in ("usid", "hspy", "nsid")

    @property
    def is_complex(self):
        return self.data.dtype.kind == "c"

    def grid(self):
        """Lengths of the axes of the scan, slowest first."""
        if self.table is None:
            return [self.data.shape[axis] for axis in self.positions]
        return [len(axis.values) for axis in self.axes[0]]

    def steps(self):
        if self.table is None:
            return np.array(list(itertools.product(*(range(length) for length in self.grid()))))
        return self.table

    def rows(self):
        """One spectrum a row, as a computation sees them."""
        turned = self.data.transpose(self.positions + self.spectrum)
        return np.ascontiguousarray(turned.reshape(self.count, self.points)).astype(self.data.dtype.newbyteorder("="))

    def spectrum_axes(self):
        return self.axes[1] if self.table is not None else [self.axes[axis] for axis in self.spectrum]

    def position_axes(self):
        return self.axes[0] if self.table is not None else [self.axes[axis] for axis in self.positions]

    def options(self, others):
        """What `run` has to be told to find it."""
        told = ["--dataset", self.path] if others or not self.is_named else []
        return told if self.is_named else told + ["--positions-axes", ",".join(map(str, self.positions))]


def numbers(rng, shape, dtype):
    dtype = np.dtype(dtype)
    # Half floats hold quarters only so far.
    most = {1: 100, 2: 400}.get(dtype.itemsize, 4096)
    whole = rng.integers(0, most, shape)
    if dtype.kind == "c":
        return ((whole + 1j * rng.integers(0, most, shape)) / 4).astype(dtype)
    return (whole / 4 if dtype.kind == "f" else whole).astype(dtype)


def random_scan(rng, kind, file, number, dtype=None):
    dtype = dtype or (rng.choice(COMPLEX) if rng.random() < 0.1 else rng.choice(REAL))
    is_large = rng.random() < 0.15
    scan = (usid_scan if kind == "usid" else array_scan)(rng, kind, file, number, dtype, is_large)
    scan.is_large = is_large
    if is_large and scan.data.dtype.kind == "f" and scan.data.dtype.itemsize >= 4:
        scan.data = rng.normal(200, 60, scan.data.shape).astype(scan.data.dtype)
        scan.is_exact = False
    scan.storage = storage(rng, scan)
    return scan


def large_lengths(rng, dtype, positions, spectral):
    """Lengths of so many axes, with which there are some megabytes of the type."""
    frame = [int(rng.integers(11, 24)) for _ in range(spectral)] if spectral > 1 else [int(rng.integers(100, 1000))]
    count = int(rng.integers(2 << 20, 6 << 20)) // (math.prod(frame) * np.dtype(dtype).itemsize)
    fastest = int(rng.integers(5, max(6, math.isqrt(count))))
    return ([count] if positions == 1 else [count // fastest, fastest]) + frame


def usid_scan(rng, kind, file, number, dtype, is_large):
    lengths = [int(rng.integers(1, 24)) for _ in range(rng.integers(1, 3))]
    channels = rng.integers(2, 40)
    if is_large:
        *lengths, channels = large_lengths(rng, dtype, len(lengths), 1)
    table = np.array(list(itertools.product(*(range(length) for length in lengths))))
    if len(table) > 8 and rng.random() < 0.3:
        table = table[np.sort(rng.choice(len(table), int(rng.integers(len(table) // 2, len(table))), replace=False))]
    spectral = [Axis("Frequency", "Hz", 1000.0 + 8.0 * np.arange(channels))]
    if rng.random() < 0.3 and not is_large:
        spectral.insert(0, Axis("Bias", "V", 0.5 * np.arange(rng.integers(2, 5))))
    axes = [Axis(name, "um", 0.25 * np.arange(length)) for name, length in zip("YX"[-len(lengths):], lengths)]
    data = numbers(rng, (len(table), math.prod(len(axis.values) for axis in spectral)), dtype)
    path = f"/Measurement_000/Channel_{number:03}/Raw_Data"
    return Scan(kind, file, path, data, (axes, spectral), [0], table)


def array_scan(rng, kind, file, number, dtype, is_large):
    positions = int(rng.integers(1, 3))
    spectral = int(rng.integers(1, 3)) if kind != "hspy" or rng.random() < 0.3 else 1
    most = {1: 300, 2: 20}[positions]
    lengths = [int(rng.integers(2, most)) for _ in range(positions)]
    lengths += [int(rng.integers(2, {1: 40, 2: 7}[spectral])) for _ in range(spectral)]
    if is_large:
        lengths = large_lengths(rng, dtype, positions, spectral)
    if kind in ("plain", "virtual", "linked"):
        # Nothing tells the values of their axes.
        first, step, units = 0.0, 1.0, ("", "")
    else:
        first, step, units = 3.0, 0.5, ("um", "eV")
    names = ("Y", "X")[-positions:] + ("Energy", "Angle")[:spectral]
    axes = [Axis(name, units[at >= positions], first + step * np.arange(length))
            for at, (name, length) in enumerate(zip(names, lengths))]
    where = list(range(positions))
    if kind in ("plain", "scales", "nexus", "virtual", "linked") and rng.random() < 0.5:
        order = [int(axis) for axis in rng.permutation(len(axes))]
        axes = [axes[axis] for axis in order]
        where = [order.index(axis) for axis in where]
        if rng.random() < 0.3:
            where.reverse()
    data = numbers(rng, [len(axis.values) for axis in axes], dtype)
    path = {
        "hspy": f"/Experiments/scan {number}/data",
        "nsid": f"/Measurement_000/Channel_{number:03}/scan/scan",
        "nexus": f"/entry{number}/data/counts",
    }.get(kind, f"/scan_{number}/values")
    scan = Scan(kind, file, path, data, axes, where)
    if kind in ("plain", "scales", "virtual", "linked"):
        scan.units = ""
    if kind in ("hspy", "nsid") and where != sorted(where):
        raise AssertionError("these formats say themselves which axes come first")
    return scan


def storage(rng, scan):
    """How the numbers lie in the file."""
    shape = scan.data.shape
    chosen = rng.random()
    if scan.kind == "virtual":
        return {}
    if chosen < 0.35:
        return {}
    chunk = tuple(int(rng.integers(1, length + 1)) for length in shape)
    if math.prod(-(-length // part) for length, part in zip(shape, chunk)) > 200:
        chunk = tuple(max(1, length // 2) for length in shape)
    options = dict(FILTERS[rng.integers(len(FILTERS))])
    if options.get("compression") == "lzf" and scan.is_complex:
        options = {}
    return {"chunks": chunk, **options}


# Writing


def write(file, scan, folder):
    """Writes a scan into an open file; `folder` is where others that it needs go."""
    WRITERS[scan.kind](file, scan, folder)


def create(file, scan, path=None):
    return file.create_dataset(path or scan.path, data=scan.data, **scan.storage)


def write_usid(file, scan, _):
    dataset = create(file, scan)
    dataset.attrs["quantity"], dataset.attrs["units"] = scan.quantity, scan.units
    folder = dataset.parent
    positions, spectral = scan.axes
    values = np.stack([axis.values[scan.table[:, at]] for at, axis in enumerate(positions)], axis=1)
    lengths = [len(axis.values) for axis in spectral]
    indices = np.indices(lengths).reshape(len(lengths), -1)
    tables = {
        "Position_Indices": (scan.table.astype("u4"), positions),
        "Position_Values": (values.astype("f4"), positions),
        "Spectroscopic_Indices": (indices.astype("u4"), spectral),
        "Spectroscopic_Values": (
            np.stack([axis.values[indices[at]] for at, axis in enumerate(spectral)]).astype("f4"),
            spectral,
        ),
    }
    for name, (table, axes) in tables.items():
        made = folder.create_dataset(name, data=table)
        made.attrs["labels"] = np.array([axis.name for axis in axes], h5py.string_dtype())
        made.attrs["units"] = np.array([axis.units.encode() for axis in axes])
        dataset.attrs[name] = made.ref


def write_plain(file, scan, _):
    create(file, scan)


def write_scales(file, scan, _):
    attach(file, scan, create(file, scan))


def attach(file, scan, dataset):
    for number, axis in enumerate(scan.axes):
        scale = file.create_dataset(f"{dataset.parent.name}/{axis.name}", data=axis.values)
        scale.attrs["units"] = axis.units
        scale.make_scale(axis.name)
        dataset.dims[number].attach_scale(scale)
        dataset.dims[number].label = axis.name


def write_nsid(file, scan, _):
    dataset = create(file, scan)
    attach(file, scan, dataset)
    for number, axis in enumerate(scan.axes):
        kind = "SPATIAL" if number in scan.positions else "SPECTRAL"
        dataset.dims[number][0].attrs.update(
            name=axis.name, quantity=axis.name, units=axis.units, dimension_type=kind
        )
    dataset.attrs.update(
        quantity=scan.quantity, units=scan.units, data_type="SPECTRAL_IMAGE", modality="IV", source="simulation",
        main_data_name="scan", pyNSID_version="0.0.7.2",
    )


def write_hspy(file, scan, _):
    file.attrs["file_format"], file.attrs["file_format_version"] = "HyperSpy", "3.3"
    dataset = create(file, scan)
    signal = dataset.parent
    for number, axis in enumerate(scan.axes):
        group = signal.create_group(f"axis-{number}")
        group.attrs.update(
            _type="UniformDataAxis", is_binned=False, name=axis.name, navigate=number in scan.positions,
            offset=axis.values[0], scale=float(axis.values[1] - axis.values[0]), size=len(axis.values),
            units=axis.units,
        )
    signal.create_group("original_metadata")
    signal.create_group("metadata/General").attrs["title"] = signal.name.rsplit("/", 1)[1]
    signal.create_group("metadata/Signal").attrs.update(quantity=f"{scan.quantity} ({scan.units})", signal_type="")


def write_nexus(file, scan, _):
    dataset = create(file, scan)
    group = dataset.parent
    group.parent.attrs["NX_class"], group.attrs["NX_class"] = "NXentry", "NXdata"
    group.attrs["signal"] = "counts"
    group.attrs["axes"] = [axis.name for axis in scan.axes]
    dataset.attrs["units"] = scan.units
    for axis in scan.axes:
        group.create_dataset(axis.name, data=axis.values).attrs["units"] = axis.units


def write_virtual(file, scan, folder):
    """The first axis cut in two: one half in a file of its own, the other in this one or in another."""
    length = scan.data.shape[0]
    middle = length // 2 or length
    layout = h5py.VirtualLayout(scan.data.shape, scan.data.dtype)
    for number, (first, last) in enumerate(((0, middle), (middle, length))):
        if first == last:
            continue
        name, path = f"{scan.file.rsplit('.', 1)[0]}-part{number}.h5", f"{scan.path.split('/')[1]}/part{number}"
        with h5py.File(folder / name, "a") as part:
            part.create_dataset(path, data=scan.data[first:last])
        layout[first:last] = h5py.VirtualSource(name, path, (last - first, *scan.data.shape[1:]))
        scan.parts.append((name, path, first, last))
    file.create_virtual_dataset(scan.path, layout)


def write_linked(file, scan, folder):
    name, path = f"{scan.file.rsplit('.', 1)[0]}-linked.h5", f"{scan.path.split('/')[1]}/linked"
    with h5py.File(folder / name, "a") as other:
        create(other, scan, path)
        # Something else where a reader of the wrong file would look.
        other.create_dataset(f"{path}_beside", data=np.full(7, 0x5A, "u1"))
    scan.parts.append((name, path, 0, scan.data.shape[0]))
    file.require_group(scan.path.rsplit("/", 1)[0])
    file[scan.path] = h5py.ExternalLink(name, path)


WRITERS = {
    "usid": write_usid, "plain": write_plain, "scales": write_scales, "hspy": write_hspy, "nsid": write_nsid,
    "nexus": write_nexus, "virtual": write_virtual, "linked": write_linked,
}
