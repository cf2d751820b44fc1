"""Scans to be folded, and what NumPy makes of them, for `tests/folds.rs`."""

import hashlib
import json

import h5py
import numpy as np

from answer import answer

# Scan and spectrum: lengths that no unit, tile or chunk divides.
SHAPE = (37, 23, 19, 31)


def data(kind, seed=1):
    random = np.random.default_rng(seed)
    values = random.normal(1000, 300, SHAPE) * np.exp(random.normal(0, 3, SHAPE[2:]))
    if np.dtype(kind).kind in "iu":
        info = np.iinfo(kind)
        low, high = max(info.min, -(2**40)), min(info.max, 2**40)
        return np.clip(values, low, high).astype(kind)
    if np.dtype(kind).kind == "f":
        values[random.random(SHAPE) < 1e-4] = np.nan
        values[:, :, 3, 4] = np.nan
        values = np.clip(values, -60000, 60000) if kind == "f2" else values
    if np.dtype(kind).kind == "c":
        values = values * np.exp(1j * random.normal(0, 1, SHAPE))
    return values.astype(kind)


def write(path, kind, layout):
    """Writes a scan of an element type, contiguous or in chunks."""
    chunks = {"contiguous": None, "frames": (1, 1, *SHAPE[2:]), "blocks": (5, 6, 7, 8), "ragged": (37, 4, 19, 5)}
    order = {"contiguous": "<", "frames": "<", "blocks": ">", "ragged": "<"}[layout]
    packed = {} if layout == "contiguous" else {"compression": "gzip", "compression_opts": 1}
    with h5py.File(path, "w") as file:
        values = data(kind)
        file.create_dataset("data", data=values.astype(values.dtype.newbyteorder(order)), chunks=chunks[layout], **packed)


def many(path, positions, points, sign="any"):
    """Writes so many positions that a run takes a while, without negative values if `sign` says so."""
    random = np.random.default_rng(7)
    with h5py.File(path, "w") as file:
        data = file.create_dataset("data", (int(positions), int(points)), "f4", chunks=(64, int(points)), compression="lzf")
        for first in range(0, int(positions), 4096):
            some = min(4096, int(positions) - first)
            values = random.normal(0, 1, (some, int(points))).round(1)
            data[first : first + some] = values if sign == "any" else np.abs(values)


def results(path, group=None):
    """A hash of all results, and how they are."""
    with h5py.File(path) as file:
        names = [name for name in file if isinstance(file[name], h5py.Group)]
        found = file[group or names[-1]]
        hashed, left = hashlib.sha256(), []
        for name in found:
            if "quantity" in found[name].attrs and not found[name].is_scale:
                hashed.update(found[name][()].tobytes())
                left.append(name)
        return {
            "groups": len(names),
            "datasets": left,
            "hash": hashed.hexdigest(),
            "marked": int(found["completed_positions"][()].sum()),
            "last_pixel": int(found.attrs["last_pixel"]),
            "has_checkpoint": "fold_checkpoint" in found,
            "file_bytes": file.id.get_filesize(),
        }


def known(group):
    """What a group says last of the data that it was computed from; how often it was said depends on its runs."""
    said = [json.loads(line.split(b" ", 1)[1]) for line in group["data_digest"][()].tolist() if line]
    last = max(said, key=lambda line: line["number"])
    return [last[name] for name in ("positions", "sum_of_positions", "digest")]


def same(path, other):
    """Which datasets of one file aren't, to the byte, those of the same computation in another, and how many are."""
    differing, count = [], 0
    with h5py.File(path) as one, h5py.File(other) as two:
        groups = {group.attrs["parameter_hash"]: group for group in two.values() if isinstance(group, h5py.Group)}
        for name, found in one.items():
            if not isinstance(found, h5py.Group):
                continue
            expected = groups.get(found.attrs["parameter_hash"], {})
            if set(found) != set(expected):
                differing.append(name)
                continue
            if known(found) != known(expected):
                differing.append(f"{name}/data_digest")
            for dataset in set(found) - {"data_digest"}:
                count += 1
                if found[dataset][()].tobytes() != expected[dataset][()].tobytes():
                    differing.append(f"{name}/{dataset}")
    return {"differing": differing, "same": count - len(differing)}


def compare(path, group, kind, options):
    """How far results are from NumPy's, relative to the largest of each; null where no number is one there either."""
    options = json.loads(options)
    values = data(kind).reshape(-1, *SHAPE[2:])
    if "crop" in options:
        (a, b), (c, d) = options["crop"]
        values = values[:, a:b, c:d]
    if "dark" in options:
        values = values.astype(float) - np.arange(SHAPE[2] * SHAPE[3]).reshape(SHAPE[2:])
    if "positions" in options:
        values = values[options["positions"][0] : options["positions"][1]]
    if options.get("of") == "spectra":
        values = values.reshape(len(values), -1).T
    exact = values if values.dtype.kind in "iu" else values.astype(float)
    skip = options.get("skip_nan", False)
    which = (lambda name: getattr(np, "nan" + name)) if skip else (lambda name: getattr(np, name))
    wide = np.longdouble
    expected = {
        "Sum": which("sum")(exact.astype(object) if exact.dtype.kind in "iu" else exact.astype(wide), axis=0).astype(wide),
        "Mean": which("mean")(exact.astype(wide), axis=0),
        "Variance": which("var")(exact.astype(wide), axis=0),
        "Std": which("std")(exact.astype(wide), axis=0),
        "Min": which("min")(exact, axis=0),
        "Max": which("max")(exact, axis=0),
        "Count": (~np.isnan(exact.astype(float))).sum(axis=0),
    }
    for name in ("Arg_Min", "Arg_Max"):
        fill = np.inf if name == "Arg_Min" else -np.inf
        filled = np.where(np.isnan(exact.astype(float)), fill, exact) if skip else exact
        expected[name] = getattr(np, name.lower().replace("_", ""))(filled, axis=0)
        if skip:
            expected[name] = np.where(expected["Count"] == 0, -1, expected[name])
        else:
            expected[name] = expected[name] + options.get("positions", [0])[0]
    found = {}
    with h5py.File(path) as file:
        for name, there in expected.items():
            here = file[group][name][()].astype(wide)
            here = here.reshape(there.shape) if options.get("of") == "spectra" else here
            there = there.astype(wide)
            same_nan = (np.isnan(here) == np.isnan(there)).all()
            apart = 0.0
            if not np.isnan(there).all():
                apart = float(np.nanmax(np.abs(here - there)) / (np.nanmax(np.abs(there)) or 1))
            found[name] = apart if same_nan and here.shape == there.shape else None
    return found


def rebinned(path, group, kind, options):
    """In what bins aren't those of NumPy."""
    options = json.loads(options)
    values = data(kind)
    exact = values.astype("f8")
    for axis, by in zip((2, 3), options["by"]):
        bins = exact.shape[axis] // by
        kept = np.take(exact, range(bins * by), axis=axis)
        exact = kept.reshape(*kept.shape[:axis], bins, by, *kept.shape[axis + 1 :]).sum(axis + 1)
    expected = exact / np.prod(options["by"]) if options["mean"] else exact
    kinds = {"u1": "u2", "i2": "i4"}
    dtype = np.dtype(kinds.get(kind, kind) if options["dtype"] == "grow" else options["dtype"])
    with h5py.File(path) as file:
        found = file[group]["Rebinned"]
        wrong = [] if found.dtype == dtype else [str(found.dtype)]
        if found.shape != expected.shape:
            return wrong + [list(found.shape)]
        missing = np.isnan(expected)
        if (np.isnan(found[()]) != missing).any():
            return wrong + ["NaN"]
        apart = np.abs(found[()].astype("f8") - expected)[~missing].max() / np.abs(expected[~missing]).max()
        # Of integers nothing, of floats what rounding a few sums leaves, or to single precision.
        most = 1e-7 if dtype == "f4" else 1e-15 if kind == "f4" or options["mean"] else 0
        ends = [found.dims[axis][0][-1] for axis in (2, 3)]
        middles = [(shape - 0.5) * by - 0.5 for shape, by in zip(expected.shape[2:], options["by"])]
        return wrong + ([float(apart)] if not apart <= most else []) + ([ends] if ends != middles else [])


def picked(path, group, kind, options):
    """In what picked spectra aren't those of NumPy."""
    options = json.loads(options)
    values = data(kind).reshape(-1, *SHAPE[2:])
    if kind == "f2":
        values = values.astype("f4")
    if options.get("dark"):
        dark = np.arange(SHAPE[2] * SHAPE[3]).reshape(SHAPE[2:])
        values = values.astype("c16" if values.dtype.kind == "c" else "f8") - dark
    chosen = np.array(options["positions"])
    expected, steps = values[chosen], np.stack(np.divmod(chosen, SHAPE[1]), axis=1).astype("f8")
    for lost in options.get("lost", []):
        expected[chosen == lost] = np.nan if expected.dtype.kind in "fc" else 0
        steps[chosen == lost] = np.nan
    with h5py.File(path) as file:
        found = file[group]
        seen = {"Spectra": expected, "Positions": chosen.astype("u8"), "Coordinates": steps}
        wrong = [name for name, of in seen.items() if found[name].dtype != of.dtype or not np.array_equal(found[name][()], of, equal_nan=of.dtype.kind in "fc")]
        axis = found["Spectra"].dims[0][0]
        return wrong + ([] if np.array_equal(axis[()], chosen) else ["axis"])


def longest_integers(path):
    with h5py.File(path, "w") as file:
        file["data"] = np.arange(2**63 - 60, 2**63, dtype="i8").reshape(6, 10)


def longest_are_picked(path, group):
    with h5py.File(path) as file:
        return bool(np.array_equal(file[group]["Spectra"][()], np.arange(2**63 - 60, 2**63, dtype="i8").reshape(6, 10)[[1, 4]]))


def damage(path):
    """Makes one chunk of the scan unreadable: the second on each axis, if there is one."""
    with h5py.File(path, "r+") as file:
        axes = zip(file["data"].shape, file["data"].chunks)
        place = tuple(chunk if chunk < length else 0 for length, chunk in axes)
        file["data"].id.write_direct_chunk(place, b"nothing that could be inflated")


def spoil_checkpoint(path, which):
    """Overwrites one slot of the checkpoint, or both, or says that it is another version's."""
    with h5py.File(path, "r+") as file:
        found = [file[name] for name in file if name.startswith("data-")][-1]["fold_checkpoint"]
        bytes_ = found[()]
        half = len(bytes_) // 2
        if which in ("first", "both"):
            bytes_[1024:1040] ^= 255
        if which in ("second", "both"):
            bytes_[half + 1024 : half + 1040] ^= 255
        found[...] = bytes_


def begun(path):
    """In which pass the newest slot of a checkpoint is, and how many units of that are in; nothing if there is none, or
    nobody can say since a run is just changing the file."""
    try:
        file = h5py.File(path)
    except BlockingIOError:
        return None
    with file:
        groups = [file[name] for name in file if name.startswith("data-")]
        if not groups or "fold_checkpoint" not in groups[-1]:
            return None
        bytes_ = groups[-1]["fold_checkpoint"][()]
    slots = []
    for half in np.split(bytes_, 2):
        line = half[:1024].tobytes().split(b"\0")[0]
        if line:
            slots.append(json.loads(line.split(b" ", 1)[1]))
    newest = max(slots, key=lambda slot: slot["generation"], default=None)
    return newest and [newest["pass"]["number"], newest["units"]]


def plain(path, positions, points, chunk):
    """Writes data as they are, contiguous or in chunks of so many positions."""
    random = np.random.default_rng(7)
    values = random.normal(0, 1, (int(positions), int(points))).astype("f4")
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=values, chunks=(int(chunk), int(points)) if int(chunk) else None)


def first_byte(path):
    with h5py.File(path) as file:
        data = file["data"].id
        return data.get_offset() if file["data"].chunks is None else data.get_chunk_info(0).byte_offset


def no_number(path, position):
    with h5py.File(path, "r+") as file:
        file["data"][int(position), 3] = np.nan


def is_missing(path, name):
    with h5py.File(path) as file:
        return bool(np.isnan(file[next(iter(file))][name][()]).all())


def spoil_result(path, name):
    with h5py.File(path, "r+") as file:
        group = [file[name] for name in file if name.startswith("data-")][-1]
        values = group[name][()]
        values.flat[0] += 1
        group[name][...] = values


def but(path, position):
    """A hash of all results, of those per position without one of them."""
    hashed = hashlib.sha256()
    with h5py.File(path) as file:
        group = [file[name] for name in file if name.startswith("data-")][-1]
        for name, found in sorted(group.items()):
            if "quantity" not in found.attrs or found.is_scale:
                continue
            values = found[()]
            per_position = values.shape[0] == group["completed_positions"].shape[0]
            hashed.update((np.delete(values, int(position), axis=0) if per_position else values).tobytes())
    return hashed.hexdigest()


def dark(path):
    np.save(path, np.arange(SHAPE[2] * SHAPE[3], dtype=float).reshape(SHAPE[2:]))


def all_but(path, position):
    """What is folded, and the results of all positions but one."""
    with h5py.File(path) as file:
        group = file[next(iter(file))]
        rows = group["Rows"][()].reshape(-1)
        rows[int(position)] = 0
        names = [name for name in group if name.startswith(("Gathered", "Order"))]
        return [[name, group[name][()].astype(str).tolist()] for name in names] + rows.tolist()


def counts(path):
    with h5py.File(path) as file:
        return np.unique(file[next(iter(file))]["Count"][()]).tolist()


def spoil_results(path, group):
    with h5py.File(path, "r+") as file:
        file[group]["Gathered"][3, 4] += 2**20
        file[group]["Rows"][2, 5] += 2**20


def masks():
    random = np.random.default_rng(3)
    return (random.normal(size=(3, *SHAPE[2:])) + 1j * random.normal(size=(3, *SHAPE[2:]))).astype(np.complex64)


def shifts():
    return np.random.default_rng(4).integers(-9, 10, (*SHAPE[:2], 2)).astype(float)


def detectors(masks_path, shifts_path):
    np.save(masks_path, masks())
    np.save(shifts_path, shifts())


def wrong_masks(path):
    np.save(path, np.ones((3, *SHAPE[2:][::-1])))


def weights(options):
    """What the process makes of its parameters, made in another way."""
    given = dict(option.split("=") for option in options)
    if "masks" in given:
        return masks()
    number = lambda name, default: float(given.get(name, default))
    rows, columns = SHAPE[2:]
    y, x = np.indices((rows, columns))
    y, x = y - number("center_y", (rows - 1) / 2), x - number("center_x", (columns - 1) / 2)
    r, inner, outer = np.hypot(y, x), number("radius_inner", 0), number("radius", 0)
    inside = lambda inner, outer: (r <= outer) & ((r > inner) | (inner == 0))
    count = int(given.get("count", 12))
    match given["shape"]:
        case "disk":
            return [inside(0, outer)]
        case "ring":
            return [inside(inner, outer)]
        case "rings":
            edges = [inner + (outer - inner) * ring / count for ring in range(count + 1)]
            return [inside(*pair) for pair in zip(edges, edges[1:])]
        case "sectors":
            turn = (np.arctan2(y, x) % (2 * np.pi)) / (2 * np.pi)
            return [inside(inner, outer) & (np.floor(turn * count) == sector) for sector in range(count)]
        case "rectangle":
            return [(abs(y) <= number("height", 0) / 2) & (abs(x) <= number("width", 0) / 2)]


def detected(path, group, kind, options):
    """How far the intensities are from NumPy's, relative to the largest; null where they aren't numbers together."""
    options = json.loads(options)
    moves = any(option.startswith("shifts") for option in options)
    all_weights = np.array([np.asarray(mask) for mask in weights(options)])
    frames, moved = data(kind).reshape(-1, *SHAPE[2:]).astype(float), shifts().reshape(-1, 2).astype(int)
    expected = np.zeros((len(frames), len(all_weights)), complex if all_weights.dtype.kind == "c" else float)
    for position, frame in enumerate(frames):
        for number, mask in enumerate(all_weights):
            if moves:
                down, right = moved[position]
                y, x = np.nonzero(mask)
                y, x = y + down, x + right
                there = (y >= 0) & (y < SHAPE[2]) & (x >= 0) & (x < SHAPE[3])
                expected[position, number] = frame[y[there], x[there]].sum()
            else:
                expected[position, number] = (frame * mask)[mask != 0].sum(dtype=complex if mask.dtype.kind == "c" else float)
    with h5py.File(path) as file:
        found = file[group]["Intensity"][()].reshape(expected.shape)
    if (np.isnan(found) != np.isnan(expected)).any():
        return None
    if np.isnan(expected).all():
        return 0.0
    return float(np.nanmax(abs(found - expected)) / np.nanmax(abs(expected)))


def profiles(path, group, kind, options):
    """How far radial profiles are from means by NumPy; null where other bins have no points."""
    given = {name: float(value) for name, value in (option.split("=") for option in json.loads(options)) if name != "centers"}
    frames, (rows, columns) = data(kind).reshape(-1, *SHAPE[2:]).astype(float), SHAPE[2:]
    moves = any(option.startswith("centers") for option in json.loads(options))
    bins, radius = int(given.get("bins", np.ceil(given["radius"]))), given["radius"]
    expected = np.full((len(frames), bins), np.nan)
    for position, frame in enumerate(frames):
        middle = shifts().reshape(-1, 2)[position] if moves else ((rows - 1) / 2, (columns - 1) / 2)
        y, x = np.indices((rows, columns))
        y, x = y - given.get("center_y", middle[0]), x - given.get("center_x", middle[1])
        turn = np.deg2rad(given.get("angle", 0))
        long, short = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        which = np.floor(np.sqrt(long**2 + (short * given.get("ellipticity", 1)) ** 2) / (radius / bins)).astype(int)
        for number in range(bins):
            if (which == number).any():
                expected[position, number] = frame[which == number].mean()
    with h5py.File(path) as file:
        found = file[group]["Profile"][()].reshape(expected.shape)
    same = (np.isnan(found) == np.isnan(expected)).all()
    return float(np.nanmax(abs(found - expected)) / np.nanmax(abs(expected))) if same else None


def histogram_is_right(path, group, kind, of, bins, low, high):
    values = data(kind).reshape(-1, SHAPE[2] * SHAPE[3])
    count = lambda some: np.histogram(some[~np.isnan(some)], int(bins), (float(low), float(high)))[0]
    values = values.astype(float)
    match of:
        case "scan":
            expected = count(values)
        case "point":
            expected = np.array([count(column) for column in values.T])
        case "position":
            expected = np.array([count(row) for row in values])
    outside = [(values < float(low)).sum(), (values > float(high)).sum(), np.isnan(values).sum()]
    with h5py.File(path) as file:
        found = file[group]["Counts"][()].reshape(expected.shape)
        return bool((found == expected).all() and (file[group]["Outside"][()] == outside).all())


def histogram_between_quantiles(path, group, kind, of, asked, most):
    """Whether counts are NumPy's between the edges that are told, and these are where they may be."""
    asked, most = json.loads(asked), float(most)
    values = data(kind).reshape(-1, SHAPE[2] * SHAPE[3]).astype("f8")
    together = {"scan": values.reshape(1, -1), "point": values.T, "position": values}[of]
    with h5py.File(path) as file:
        found = {name: file[group][name][()] for name in ("Counts", "Edges", "Outside", "Relative_Error")}
    if found["Relative_Error"][0] != most:
        return f"error {found['Relative_Error']}"
    all_counts, all_edges = found["Counts"].reshape(len(together), -1), found["Edges"].reshape(len(together), -1)
    bins, outside = all_counts.shape[1], np.zeros(3, int)
    for row, counts, edges in zip(together, all_counts, all_edges, strict=True):
        outside[2] += np.isnan(row).sum()
        row = row[~np.isnan(row)]
        if len(row) == 0:
            if counts.any() or not np.isnan(edges).all():
                return "of none"
            continue
        outside += [(row < edges[0]).sum(), (row > edges[-1]).sum(), 0]
        if most == 0:
            expected = np.histogram(row, bins, np.quantile(row, asked))
            if not np.array_equal(edges, expected[1]):
                return "edges"
        else:
            expected = np.histogram(row, edges)
            low, high = np.quantile(row, asked[0], method="lower"), np.quantile(row, asked[1], method="higher")
            ideal = np.linspace(edges[0], edges[-1], len(edges))
            near = [(low - edges[0]) / (abs(low) or 1), (edges[-1] - high) / (abs(high) or 1)]
            off = abs(edges - ideal) / np.where(ideal == 0, 1, abs(ideal))
            if not (0 <= min(near) and max(near) <= most and off.max() <= most * (1 + 1e-9)):
                return f"{near} {off.max()}"
            if asked == [0, 1] and not (edges[0] == row.min() and edges[-1] == row.max()):
                return "extremes"
        if not np.array_equal(counts, expected[0]):
            return "counts"
    return True if np.array_equal(outside, found["Outside"]) else f"outside {outside} {found['Outside']}"


def strange_numbers(path):
    """Rows and columns: of one value, of none, with infinite ones, and of which only one is finite."""
    rows = np.full((6, 6), 7.25)
    rows[1] = np.nan
    rows[2, ::2] = [np.inf, -np.inf, np.inf]
    rows[3, 1:] = np.inf
    rows[4] = -1e9
    rows[5] = [-0.0, 0.0, 1e300, -1e300, 1e-300, 3]
    with h5py.File(path, "w") as file:
        file["data"] = rows


def strange_histograms(path, results, group, of):
    """Rows or columns whose histograms aren't NumPy's between the edges that are told, or whose edges don't have all finite values."""
    with h5py.File(path) as file, h5py.File(results) as other:
        values = file["data"][()] if of == "position" else file["data"][()].T
        all_counts, all_edges, outside = (other[group][name][()] for name in ("Counts", "Edges", "Outside"))
        wrong = [] if outside.tolist() == [(values == -np.inf).sum(), (values == np.inf).sum(), np.isnan(values).sum()] else ["Outside"]
    for number, (row, counts, edges) in enumerate(zip(values, all_counts.reshape(6, -1), all_edges.reshape(6, -1), strict=True)):
        row = row[np.isfinite(row)]
        if len(row) == 0:
            if counts.any() or not np.isnan(edges).all():
                wrong.append(number)
        elif not (np.array_equal(counts, np.histogram(row, edges)[0]) and edges[0] <= row.min() and edges[-1] >= row.max()):
            wrong.append(number)
        elif row.min() == row.max() and edges[[0, -1]].tolist() != [row[0] - max(0.5, 1e-9 * abs(row[0])), row[0] + max(0.5, 1e-9 * abs(row[0]))]:
            wrong.append(number)
    return wrong


def quantiles_are_right(path, group, kind, of, asked, exact):
    """Whether quantiles are NumPy's, or lie between values that are within the error of those that NumPy's lie between."""
    asked, values = json.loads(asked), data(kind).reshape(-1, SHAPE[2] * SHAPE[3])
    together = {"scan": values.reshape(1, -1), "point": values.T, "position": values}[of].astype("f8")
    with h5py.File(path) as file:
        found = file[group]
        quantiles = found["Quantiles"][()].reshape(-1, len(asked))
        error = float(found["Relative_Error"][0])
        counts = found["Count"][()].ravel()
        if not (found["Left_Out"][0] == np.isnan(values.astype("f8")).sum() and np.array_equal(found["Quantiles"].dims[-1 + found["Quantiles"].ndim][0][()], asked)):
            return "Left_Out"
    if (error == 0) != (exact == "true"):
        return f"error {error}"
    for row, quantile, count in zip(together, quantiles, counts, strict=True):
        row = row[~np.isnan(row)]
        if count != len(row):
            return "Count"
        if len(row) == 0:
            if not np.isnan(quantile).all():
                return "of none"
        elif error == 0:
            if not np.array_equal(quantile, np.quantile(row, asked)):
                return "other than NumPy's"
        else:
            low, high = (np.quantile(row, asked, method=method) for method in ("lower", "higher"))
            part = error * (1 + 1e-12)
            if not ((quantile >= low - part * abs(low)) & (quantile <= high + part * abs(high))).all():
                return "too far off"
            shares = part * np.maximum(abs(low), abs(high))
            if not (abs(quantile - np.quantile(row, asked)) <= shares).all():
                return "too far off between"
            if not (quantile[0] == row.min() and quantile[-1] == row.max()):
                return "not between the smallest and the largest"
    return True


def many_integers(path, kind):
    random = np.random.default_rng(5)
    with h5py.File(path, "w") as file:
        file["data"] = np.clip(random.normal(0, 60, (5000, 700)), np.iinfo(kind).min, np.iinfo(kind).max).astype(kind)


def quantiles_of_many(path, results, group):
    """Whether they are NumPy's, over the scan or over the positions."""
    with h5py.File(path) as file, h5py.File(results) as other:
        found = other[group]["Quantiles"]
        values = file["data"][()].astype("f8")
        asked = found.dims[found.ndim - 1][0][()]
        return bool(np.array_equal(found[()], np.quantile(values, asked, axis=0 if found.ndim == 2 else None).T))


def missing(path, group, name):
    with h5py.File(path) as file:
        return np.isnan(file[group][name][()]).ravel().tolist()


def log_sums(path, group, kind):
    frames = data(kind).reshape(-1, *SHAPE[2:]).astype(float)
    expected = np.log(frames - frames.min(axis=(1, 2), keepdims=True) + 1).sum(axis=0)
    with h5py.File(path) as file:
        return float(abs(file[group]["Log_Sum"][()] - expected).max() / expected.max())


def frames(path, count):
    random = np.random.default_rng(11)
    with h5py.File(path, "w") as file:
        data = file.create_dataset("data", (int(count), 40, 40), "u2", chunks=(16, 40, 40), compression="gzip")
        data[:] = random.poisson(random.uniform(1, 9, (40, 40)), (int(count), 40, 40))


def scan_of_frames(path, rows, columns):
    random = np.random.default_rng(12)
    with h5py.File(path, "w") as file:
        shape = (int(rows), int(columns), 40, 40)
        data = file.create_dataset("data", shape, "u2", chunks=(2, 10, 40, 40), compression="gzip")
        data[:] = random.poisson(random.uniform(1, 9, (40, 40)), shape)


def derived(path):
    """In what divergence and curl, and where they are valid, aren't those of the positions that are in, and of how many they are valid."""
    with h5py.File(path) as file:
        group = next(group for group in file.values() if isinstance(group, h5py.Group))
        read = lambda name: group[name][()]
        is_in = (read("completed_positions") != 0) & (read("failed_positions") == 0)
        is_in = is_in.reshape(read("Shift_Y").shape)
        y, x = (np.where(is_in, read(name), np.nan) for name in ("Shift_Y", "Shift_X"))
        (y_down, y_right), (x_down, x_right) = np.gradient(y), np.gradient(x)
        expected = {"Divergence": y_down + x_right, "Curl": y_right - x_down}
        valid = np.isfinite([y, x, *expected.values()]).all(0)
        expected = {name: np.where(valid, values, np.nan) for name, values in expected.items()}
        expected |= {"Valid": valid.astype("u1"), "Field_Y": y, "Field_X": x}
        wrong = [name for name, there in expected.items() if not np.allclose(read(name), there, rtol=1e-12, atol=1e-12, equal_nan=True)]
        return {"wrong": wrong, "valid": int(valid.sum()), "in": int(is_in.sum())}


def same_values(one, other):
    """Whether two datasets, each behind its file, have the same bits."""
    found = []
    for file, dataset in (place.split(":", 1) for place in (one, other)):
        with h5py.File(file) as opened:
            found.append(opened[dataset][()].tobytes())
    return found[0] == found[1]


def change_bytes(path, dataset):
    """Another first value, whoever has the file."""
    with h5py.File(path, locking=False) as file:
        offset = file[dataset].id.get_offset()
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(np.float64(12345).tobytes())


def change_result(path, dataset):
    """Another first value."""
    with h5py.File(path, "r+") as file:
        file[dataset][0] += 1


def cancelling(path):
    """Units of 1024 spectra, of which the first three add up to what rounding leaves."""
    random = np.random.default_rng(1)
    one, two = random.normal(size=(2, 1024, 100))
    three = -random.permutation(one + two)
    with h5py.File(path, "w") as file:
        file["data"] = np.concatenate([one, two, three, one])


def bad_shifts(path):
    some = shifts().reshape(-1, 2)
    some[76, 1], some[207, 0] = np.nan, np.inf
    np.save(path, some)


def large_integers(path):
    with h5py.File(path, "w") as file:
        file["data"] = np.full((40000, 60), 2**53 - 1, "i8")


def intensities(path):
    """The intensity of each position in all detectors together."""
    with h5py.File(path) as file:
        found = file[next(iter(file))]["Intensity"][()]
        return found.reshape(*SHAPE[:2], -1).sum(axis=2).ravel().tolist()


def regressed(path):
    """How far the field is from the shifts less the plane that NumPy fits to them."""
    with h5py.File(path) as file:
        group = file[next(iter(file))]
        shifts = [group[name][()] for name in ("Shift_Y", "Shift_X")]
        valid = np.isfinite(shifts[0])
        terms = np.stack([np.ones(SHAPE[:2]), *np.indices(SHAPE[:2])], axis=-1)[valid]
        apart = 0.0
        for shift, name in zip(shifts, ("Field_Y", "Field_X")):
            fitted = terms @ np.linalg.lstsq(terms, shift[valid], rcond=None)[0]
            apart = max(apart, abs(group[name][()][valid] - (shift[valid] - fitted)).max())
        return float(apart)


def largest_is_right(path, dataset, group):
    with h5py.File(path) as file:
        amplitude = np.abs(file[dataset][()])
        largest = np.abs(file[group]["Largest"][()] - amplitude.max(axis=0)).max() <= 1e-6 * amplitude.max()
        energy = (amplitude.astype(float) ** 2).sum()
        return bool(largest and abs(file[group]["Energy"][0] - energy) <= 1e-6 * energy)


def main():
    answer(globals())


if __name__ == "__main__":
    main()
