"""Writes small HDF5 datasets of every layout, filter and element type there is, and checks results on them.

    layouts.py write FOLDER         writes the files; prints what is in them as a JSON list
    layouts.py check FOLDER RUNS    compares results, bit by bit; prints a JSON list of what is wrong

The properties are combined so that every pair of values that go together occurs in some dataset; see
`combinations`. RUNS is a JSON file with a list of objects: `number` of the dataset in the list of `write`,
`file` and `path` of a dataset of results, and `process`, which is Sum or Digest. What is expected is computed
from what HDF5 itself reads, in the order in which pixelmill adds.
"""

import itertools
import json
import random
import sys
import zlib
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
from digest import digests, gathered, in_order
from h5py import h5d, h5p, h5s, h5t, h5z

# The shapes have many divisors, so that some chunks fit; the axes have different lengths where they can.
SHAPES = {2: (12, 30), 3: (6, 4, 28), 4: (4, 6, 8, 9), 5: (3, 4, 2, 6, 5)}

# Which axes are positions, slowest first; the others are the spectrum.
ORDERS = {
    "leading": {2: (0,), 3: (0, 1), 4: (0, 1), 5: (0, 1, 2)},
    "trailing": {2: (1,), 3: (2,), 4: (2, 3), 5: (3, 4)},
    "interleaved": {3: (0, 2), 4: (0, 2), 5: (1, 3)},
    "permuted": {3: (1, 0), 4: (1, 0), 5: (2, 0, 1)},
    "interleaved and permuted": {3: (2, 0), 4: (3, 1), 5: (4, 0, 2)},
}

UNCHUNKED = ("contiguous", "compact", "external", "virtual")
CHUNKED = (
    "frames", "rows", "blocks", "ragged blocks", "small blocks", "one chunk", "beyond the edges", "early",
    "one axis extended", "all axes extended", "shrunk", "missing chunks", "missing chunks with a fill value",
)  # fmt: skip

# Filters by family; the members of one take turns.
PLAIN = {"none": [{}]}
FILTERS = PLAIN | {
    "gzip": [{"compression": "gzip", "compression_opts": level} for level in (4, 1, 9)],
    "shuffle": [{"shuffle": True}],
    "shuffle, gzip": [{"compression": "gzip", "shuffle": True}],
    "fletcher32": [{"fletcher32": True}, {"fletcher32": True, "compression": "gzip"}],
    "shuffle, gzip, fletcher32": [{"compression": "gzip", "shuffle": True, "fletcher32": True}],
    "lzf": [{"compression": "lzf"}, {"compression": "lzf", "shuffle": True}],
    "szip": [{"compression": "szip", "compression_opts": how} for how in (("nn", 8), ("ec", 16), ("nn", 32))],
    "scaleoffset": [{"scaleoffset": digits} for digits in (0, 9, 3)],
    "nbit": [{"nbit": "three quarters"}, {"nbit": "all"}],
    "blosc": [
        dict(hdf5plugin.Blosc(cname=name, clevel=level, shuffle=shuffle))
        for name, level, shuffle in (("lz4", 5, 1), ("blosclz", 9, 1), ("zstd", 3, 2), ("zlib", 4, 0), ("lz4hc", 5, 2), ("lz4", 5, 0))
    ],
    "blosc2": [
        dict(hdf5plugin.Blosc2(cname=name, clevel=5, filters=filters))
        for name, filters in (("lz4", 1), ("blosclz", 2), ("zstd", 1), ("zlib", 0), ("lz4hc", 1))
    ],
    "zstd": [dict(hdf5plugin.Zstd(clevel=3)), {**hdf5plugin.Zstd(), "shuffle": True}],
    "lz4": [dict(hdf5plugin.LZ4()), dict(hdf5plugin.LZ4(nbytes=256))],
    "bitshuffle": [dict(hdf5plugin.Bitshuffle(cname=name)) for name in ("none", "lz4", "zstd")],
    "shuffle, gzip, skipped at times": [{"compression": "gzip", "shuffle": True, "skip": True}],
}

TYPES = ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8", "c8", "c16", "?", "f2")
# h5py's truth values and halves of a float: to be computed right, or to be refused.
MAYBE_REFUSED = ("?", "f2")

# Elements that aren't numbers by themselves, by what they are called here: made for a byte order, and the field that
# is computed on.
COMPOSED = {
    "rgb": (lambda order: [("R", "u1"), ("G", "u1"), ("B", "u1")], "G"),
    "record": (lambda order: [("valid", "?"), ("value", order + "f4"), ("count", order + "i2")], "value"),
    "complex field": (lambda order: [("time", order + "f8"), ("value", order + "c8"), ("name", "S3")], "value"),
    "boolean field": (lambda order: [("time", order + "f8"), ("valid", "?")], "valid"),
    "record with text": (lambda order: [("name", h5py.string_dtype()), ("value", order + "u2")], "value"),
    "enumeration": (lambda order: h5py.enum_dtype({"LOW": -48, "NULL": 0, "HIGH": 48}, order + "i2"), None),
}

VERSIONS = {"earliest": "earliest", "1.10": ("v110", "v110"), "latest": "latest"}

PROPERTIES = {
    "layout": UNCHUNKED + CHUNKED,
    "filter": tuple(FILTERS),
    "type": TYPES,
    "endian": ("<", ">"),
    "version": tuple(VERSIONS),
    "axes": tuple(SHAPES),
    "order": tuple(ORDERS),
}


def goes_together(chosen):
    """Whether there can be a dataset with these properties; any of them may be left out."""
    layout, filter, kind = (chosen.get(name) for name in ("layout", "filter", "type"))
    if "axes" in chosen and chosen["axes"] not in ORDERS.get(chosen.get("order"), SHAPES):
        return False
    if filter not in (None, "none") and layout in UNCHUNKED + ("early",):
        return False
    if kind in ("i1", "u1", "?") and chosen.get("endian") == ">":
        return False
    if filter == "scaleoffset" and kind in ("c8", "c16", "?", "f2"):
        return False
    if filter == "szip" and kind in ("c8", "c16", "?", "f2"):
        return False
    return not (filter == "nbit" and kind in ("c8", "c16", "?", "f2"))


def combinations():
    """Rows of properties in which all pairs occur, few rows by greed; the same ones every time."""
    rng = random.Random(1)
    names = list(PROPERTIES)
    missing = {
        pair
        for one, other in itertools.combinations(names, 2)
        for pair in itertools.product([(one, value) for value in PROPERTIES[one]], [(other, value) for value in PROPERTIES[other]])
        if goes_together(dict(pair))
    }
    rows = []
    while missing:
        candidates = [row for row in (completed(min(missing, key=str), rng) for _ in range(40)) if row]
        best = max(candidates, key=lambda row: len(missing & pairs(row)))
        missing -= pairs(best)
        rows.append(best)
    return rows


def pairs(row):
    return set(itertools.combinations([(name, row[name]) for name in PROPERTIES], 2))


def completed(pair, rng):
    """A whole row with this pair in it, or None if chance led to one that can't be."""
    row = dict(pair)
    for name in rng.sample(list(PROPERTIES), len(PROPERTIES)):
        if name not in row:
            fitting = [value for value in PROPERTIES[name] if goes_together({**row, name: value})]
            if not fitting:
                return None
            row[name] = rng.choice(fitting)
    return row


def values(shape, dtype, seed=0):
    """Numbers without any order, small enough for sums to be exact: integers, or eighths; records of them."""
    if dtype.names:
        records = np.empty(shape, dtype)
        for number, name in enumerate(dtype.names):
            records[name] = values(shape, dtype[name], seed + number)
        return records
    places = np.arange(np.prod(shape, dtype=int), dtype=np.uint64) + np.uint64(seed * 7919 + 1)
    numbers = scrambled(places) % 97
    # Stretches of one value, so that no filter is left out because it doesn't help.
    numbers[scrambled(places // np.uint64(16)) % 3 == 0] = 48
    numbers = numbers.reshape(shape)
    if dtype.kind == "b":
        return numbers % 2 == 1
    if dtype.kind == "O":
        return np.array([b"x" * (number % 9) for number in numbers.flat], object).reshape(shape)
    if dtype.kind == "i":
        numbers = numbers - 48
    if dtype.kind == "f":
        return ((numbers - 48) / 8).astype(dtype)
    if dtype.kind == "c":
        return ((numbers - 48) / 8 + 1j * (numbers % 11)).astype(dtype)
    return numbers.astype(dtype)


def fill_of(dtype, number):
    """A fill value: this number, or as many of them as a record has fields."""
    if dtype.names:
        return np.array(tuple(fill_of(dtype[name], number) for name in dtype.names), dtype)[()]
    return b"" if dtype.kind == "O" else np.array(number).astype(dtype)[()]


def scrambled(places):
    return ((places * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40)).astype(np.int64)


def chunk_shape(layout, shape, positions):
    """The chunks that a layout has."""
    axes = range(len(shape))
    if layout == "frames":
        return tuple(1 if axis in positions else shape[axis] for axis in axes)
    if layout == "rows":
        return tuple(1 if axis in positions[:-1] else shape[axis] for axis in axes)
    if layout in ("blocks", "early"):
        return tuple(max(part for part in range(1, shape[axis]) if shape[axis] % part == 0) for axis in axes)
    if layout == "small blocks":
        return tuple(min(shape[axis], (2, 3, 4, 5, 2)[axis]) for axis in axes)
    if layout == "one chunk":
        return shape
    if layout == "beyond the edges":
        return tuple(length + 3 for length in shape)
    return tuple(length // 2 + 1 for length in shape)


class Writer:
    """The files of the folder that are open, and what is in them."""

    def __init__(self, folder):
        self.folder = folder
        self.files = {}
        self.turns = {family: itertools.cycle(members) for family, members in FILTERS.items()}
        self.listed = []

    def file(self, version):
        if version not in self.files:
            self.files[version] = h5py.File(self.folder / f"{version}.h5", "w", libver=VERSIONS[version])
        return self.files[version]

    def add(self, row, shape=None):
        number = len(self.listed)
        file, path = self.file(row["version"]), f"group_{number % 7}/data_{number:03}"
        positions = ORDERS[row["order"]][row["axes"]]
        shape = shape or SHAPES[row["axes"]]
        made, field = COMPOSED.get(row["type"], (lambda order: order + row["type"], None))
        data = values(shape, np.dtype(made(row["endian"])), number)
        filter = dict(next(self.turns[row["filter"]]))
        if "scaleoffset" in filter:
            if data.dtype.kind == "f":
                data = np.round(data)  # what this filter keeps of a fraction depends on the digits
            elif filter["scaleoffset"] == 3:
                filter["scaleoffset"] = 7  # bits, not digits
        chunks = None
        if row["layout"] in UNCHUNKED:
            dataset = self.unchunked(file, path, row["layout"], data)
        else:
            chunks = chunk_shape(row["layout"], shape, positions)
            if filter.get("compression") == "szip":
                how, pixels = filter["compression_opts"]
                filter["compression_opts"] = (how, min(pixels, int(np.prod(chunks)) // 2 * 2))
            dataset = chunked(file, path, row["layout"], data, chunks, filter)
        self.listed.append({
            **row,
            "number": number,
            "file": f"{row['version']}.h5",
            "path": f"/{path}",
            "shape": shape,
            "dtype": str(data.dtype) if data.dtype.names else data.dtype.str,
            "field": field,
            "positions_axes": positions,
            "filters": {name: list(value) if isinstance(value, tuple) else value for name, value in filter.items()},
            "chunk_shape": chunks,
            "chunks": dataset.id.get_num_chunks() if chunks else None,
            "maybe_refused": row["type"] in MAYBE_REFUSED,
            **excerpt([length for axis, length in enumerate(shape) if axis not in positions], number),
        })  # fmt: skip

    def unchunked(self, file, path, layout, data):
        if layout == "contiguous":
            return file.create_dataset(path, data=data)
        if layout == "external":
            # Two pieces, in two files.
            name, half = path.replace("/", "_"), data.nbytes // 3
            pieces = [(self.folder / f"{name}.{part}", 0, size) for part, size in ((0, half), (1, data.nbytes - half))]
            dataset = file.create_dataset(path, data.shape, data.dtype, external=[(str(name), *rest) for name, *rest in pieces])
        elif layout == "virtual":
            source = file.create_dataset(f"{path}_source", data=data, chunks=True)
            mapped = h5py.VirtualLayout(data.shape, data.dtype)
            # The last index of the first axis is mapped to nothing.
            mapped[: data.shape[0] - 1] = h5py.VirtualSource(source)[: data.shape[0] - 1]
            return file.create_virtual_dataset(path, mapped, fillvalue=fill_of(data.dtype, 1))
        else:
            settings = h5p.create(h5p.DATASET_CREATE)
            settings.set_layout(h5d.COMPACT)
            dataset = low_level(file, path, h5t.py_create(data.dtype, logical=True), data.shape, settings)
        dataset[...] = data
        return dataset


def low_level(file, path, kind, shape, settings, largest=None):
    links = h5p.create(h5p.LINK_CREATE)
    links.set_create_intermediate_group(True)
    space = h5s.create_simple(shape, largest)
    return h5py.Dataset(h5d.create(file.id, path.encode(), kind, space, settings, lcpl=links))


def chunked(file, path, layout, data, chunks, filter):
    skip = filter.pop("skip", False)
    first, largest, fill = data.shape, None, None
    if layout == "beyond the edges":
        largest = (None,) * data.ndim
    elif layout == "one axis extended":
        first, largest = (1, *data.shape[1:]), (None, *data.shape[1:])
    elif layout == "all axes extended":
        first, largest = tuple(-(-length // 2) for length in data.shape), (None,) * data.ndim
    elif layout == "shrunk":
        first = largest = tuple(length + 5 for length in data.shape)
    elif layout == "missing chunks with a fill value":
        fill = fill_of(data.dtype, 1 if data.dtype.kind == "b" else 7)
    if "nbit" in filter:
        dataset = nbit(file, path, data.dtype, first, largest, chunks, fill, filter["nbit"])
    elif layout == "early":
        settings = h5p.create(h5p.DATASET_CREATE)
        settings.set_chunk(chunks)
        settings.set_alloc_time(h5d.ALLOC_TIME_EARLY)
        dataset = low_level(file, path, h5t.py_create(data.dtype, logical=True), first, settings)
    else:
        dataset = file.create_dataset(path, first, data.dtype, maxshape=largest, chunks=chunks, fillvalue=fill, **filter)
    if skip:
        dataset.resize(data.shape)
        skip_filters(dataset, layout, data)
    else:
        fill_chunks(dataset, layout, data, first)
    return dataset


def nbit(file, path, dtype, shape, largest, chunks, fill, bits):
    """Integers of which three quarters of the bits count, or all; h5py has no word for it."""
    kind = h5t.py_create(dtype)
    if bits == "three quarters" and dtype.kind in "iu" and dtype.itemsize > 1:
        kind = kind.copy()
        kind.set_precision(dtype.itemsize * 6)
    settings = h5p.create(h5p.DATASET_CREATE)
    settings.set_chunk(chunks)
    settings.set_filter(h5z.FILTER_NBIT, h5z.FLAG_MANDATORY, ())
    if fill is not None:
        settings.set_fill_value(np.array(fill))
    unlimited = largest and tuple(h5s.UNLIMITED if length is None else length for length in largest)
    return low_level(file, path, kind, shape, settings, unlimited)


def fill_chunks(dataset, layout, data, first):
    """Writes the values the way the layout came about."""
    if layout.startswith("missing"):
        for _, _, inside in chunks_of(dataset, layout):
            dataset[inside] = data[inside]
        return
    if layout == "shrunk":
        dataset[...] = values(first, data.dtype, 99)
        dataset.resize(data.shape)
    elif first != data.shape:
        inside = tuple(slice(length) for length in first)
        dataset[...] = data[inside]
        dataset.resize(data.shape)
    dataset[...] = data


def chunks_of(dataset, layout):
    """The number, the first index and the part of the dataset of every chunk that isn't to be missing."""
    places = itertools.product(*(range(0, length, step) for length, step in zip(dataset.shape, dataset.chunks)))
    for number, place in enumerate(places):
        if not layout.startswith("missing") or number % 3 != 1:
            ends = (min(start + step, length) for start, step, length in zip(place, dataset.chunks, dataset.shape))
            yield number, place, tuple(map(slice, place, ends))


def skip_filters(dataset, layout, data):
    """Stores each chunk with other filters left out, as a filter that doesn't help may be.

    None may have been stored before: where the size stays, HDF5 keeps what it noted of the old one's filters.
    """
    for number, place, inside in chunks_of(dataset, layout):
        whole = np.zeros(dataset.chunks, data.dtype)
        part = data[inside]
        whole[tuple(map(slice, part.shape))] = part
        raw, mask = whole.tobytes(), number % 4  # bit 0 leaves the shuffling out, bit 1 gzip
        if not mask & 1:
            raw = np.frombuffer(raw, np.uint8).reshape(-1, data.itemsize).T.tobytes()
        if not mask & 2:
            raw = zlib.compress(raw)
        dataset.id.write_direct_chunk(place, raw, mask)


# Bigger ones, for which a small memory is too small to hold all of it.
BIG = [
    {"layout": layout, "filter": filter, "type": kind, "endian": "<", "version": version, "axes": 4, "order": order}
    for layout, filter, kind, version, order in (
        ("frames", "shuffle, gzip", "u2", "earliest", "leading"),
        ("ragged blocks", "shuffle, gzip", "u2", "latest", "leading"),
        ("ragged blocks", "lzf", "u2", "1.10", "leading"),
        ("rows", "blosc", "f4", "earliest", "leading"),
        ("blocks", "bitshuffle", "u2", "latest", "trailing"),
        ("frames", "gzip", "u2", "1.10", "interleaved"),
        ("contiguous", "none", "u2", "earliest", "trailing"),
        ("contiguous", "none", "f4", "latest", "permuted"),
    )
]


def composed():
    """Each layout with each kind of composed elements; everything else takes turns."""
    filters = itertools.cycle(name for name in FILTERS if name not in ("none", "szip", "scaleoffset", "nbit"))
    orders, versions, endians = map(itertools.cycle, (ORDERS, VERSIONS, "<>>"))
    for layout, kind in itertools.product(UNCHUNKED + CHUNKED, COMPOSED):
        has_text = kind == "record with text"
        # Elsewhere text of variable length can't be, or h5py can't write it.
        if has_text and layout not in ("contiguous", "frames", "blocks", "beyond the edges", "early"):
            continue
        filter = "none" if has_text or layout in UNCHUNKED + ("early",) else next(filters)
        yield {"layout": layout, "filter": filter, "type": kind, "endian": next(endians), "version": next(versions), "axes": 4, "order": next(orders)}


def write(folder):
    writer = Writer(folder)
    for row in itertools.chain(combinations(), composed()):
        writer.add(row)
    for row in BIG:
        writer.add(row, (16, 15, 40, 33))
    for file in writer.files.values():
        file.close()
    return writer.listed


def excerpt(lengths, seed):
    """A crop of spectral axes, as text and as slices, and those of them that a spectrum runs along."""
    rng = np.random.default_rng(seed)
    kept = []
    for length in lengths:
        start = int(rng.integers(length))
        stop, step = int(rng.integers(start + 1, length + 1)), int(rng.integers(1, 4))
        is_single = len(lengths) > 1 and rng.random() < 0.2
        ranges = [(0, length, 1), (start, stop, 1), (start, stop, step)]
        kept.append((start,) if is_single else ranges[rng.integers(len(ranges))])
    left = [axis for axis, part in enumerate(kept) if len(part) > 1]
    along = rng.permutation(left)[: rng.integers(1, len(left) + 1)].tolist() if left else []
    return {"crop": ",".join(":".join(map(str, part)) for part in kept), "kept": kept, "along": along}


def cut_out(data, first, listed):
    """The part that `excerpt` says of the axes from `first` on, as positions × spectra × values."""
    index = tuple(part[0] if len(part) == 1 else slice(*part) for part in listed["kept"])
    data = data[(slice(None),) * first + index]
    left = [axis for axis, part in enumerate(listed["kept"]) if len(part) > 1]
    along = [first + left.index(axis) for axis in listed["along"]]
    others = [axis for axis in range(first, data.ndim) if axis not in along]
    positions = int(np.prod(data.shape[:first]))
    data = data.transpose(*range(first), *others, *along)
    length = int(np.prod(data.shape[data.ndim - len(along) :]))
    return data.reshape(positions, -1, length)


def spectra(file, listed, is_cut=False):
    """The values as rows of spectra, positions in their order; the remaining axes in the file's."""
    with h5py.File(file) as opened:
        data = opened[listed["path"]][()]
    data = data[listed["field"]] if listed["field"] else data
    positions = listed["positions_axes"]
    rest = [axis for axis in range(data.ndim) if axis not in positions]
    count = int(np.prod([data.shape[axis] for axis in positions]))
    data = data.transpose(*positions, *rest)
    if is_cut:
        data = cut_out(data, len(positions), listed)
        return data.reshape(-1, data.shape[-1])
    return data.reshape(count, -1)


def sums(spectra):
    """Eight sums side by side, added up from the left, then what is left over."""
    spectra = spectra.astype(float)
    whole = spectra.shape[1] // 8 * 8
    side_by_side = np.zeros((len(spectra), 8))
    for first in range(0, whole, 8):
        side_by_side += spectra[:, first : first + 8]
    return in_order(np.concatenate([side_by_side, spectra[:, whole:]], axis=1))


def surrounded(spectra, scan):
    """The digests around each position, each times its place in the window; beyond the edges as in a mirror."""
    mirrored = np.pad(digests(spectra).reshape(scan), 1, mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(mirrored, (3,) * len(scan)).reshape(len(spectra), -1)
    return windows @ np.arange(1.0, windows.shape[1] + 1)


EXPECTED = {"Sum": sums, "Digest": digests, "Gathered": lambda values: gathered(values)[0], "Gathered rows": lambda values: gathered(values)[1]}


def check(folder, runs, listed):
    wrong, cache = [], {}
    for run in runs:
        which = (run["number"], run["process"], run["is_cut"])
        if which not in cache:
            dataset = listed[run["number"]]
            values = spectra(folder / dataset["file"], dataset, run["is_cut"])
            scan = [dataset["shape"][axis] for axis in dataset["positions_axes"]]
            cache[which] = surrounded(values, scan) if run["process"] == "Surrounded" else EXPECTED[run["process"]](values)
        with h5py.File(run["file"]) as opened:
            found = opened[run["path"]][()].astype(float).reshape(-1)
        expected = cache[which]
        if found.shape != expected.shape:
            wrong.append({**run, "wrong": f"{found.size} results for {expected.size} spectra"})
        elif (differ := found.view(np.uint64) != expected.view(np.uint64)).any():
            first = int(differ.argmax())
            told = f"{differ.sum()} of {differ.size} differ; position {first} has {found[first]}, not {expected[first]}"
            wrong.append({**run, "wrong": told})
    return wrong


def main():
    command, folder = sys.argv[1], Path(sys.argv[2])
    listing = folder / "layouts.json"
    if command == "write":
        told = write(folder)
        listing.write_text(json.dumps(told))
    else:
        told = check(folder, json.loads(Path(sys.argv[3]).read_text()), json.loads(listing.read_text()))
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
