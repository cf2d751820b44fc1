"""Scans to be decomposed, and what NumPy, HyperSpy and scikit-learn make of them, for `tests/decomposition.rs`."""

import json

import h5py
import numpy as np

from answer import answer

SCAN, POINTS = (37, 23), 60


def data(kind):
    """Four spectra in amounts that fall, with little noise; or noise alone, or others that are special."""
    random = np.random.default_rng(3)
    positions = SCAN[0] * SCAN[1]
    if kind == "noise":
        return random.normal(0, 1, (positions, POINTS)).astype("f4")
    spectra = np.abs(random.normal(0, 1, (4, POINTS)))
    if kind == "clusters":
        centers = random.integers(0, 400, (6, POINTS))
        return (centers[random.integers(6, size=positions)] + random.integers(0, 40, (positions, POINTS))).astype("u2")
    if kind == "offset":
        # Far from 0, and near each other.
        centers = random.normal(0, 1, (6, POINTS))
        return 1e8 + centers[random.integers(6, size=positions)] + random.normal(0, 0.1, (positions, POINTS))
    if kind in ("tiny", "huge"):
        return np.abs(random.normal(1, 0.3, (positions, POINTS))) * (1e-170 if kind == "tiny" else 1e160)
    if kind == "equal":
        return np.repeat(spectra[:1], positions, axis=0).astype("f8")
    amounts = np.abs(random.normal(0, 1, (positions, 4))) * [500, 200, 60, 25]
    values = amounts @ spectra + random.normal(0, 0.5, (positions, POINTS))
    if kind == "negative":
        values = np.abs(values).round()
        values[77, 5] = -3
        return values.astype("i4")
    return np.abs(values).astype(kind)


def write(path, kind, layout):
    values = data(kind).reshape(*SCAN, POINTS)
    if layout == "frames":
        values = values.reshape(*SCAN, 6, 10)
    packed = {"compression": "gzip", "chunks": (5, 6, 13)} if layout == "gzip" else {}
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=values, **packed)


def scan(path):
    with h5py.File(path) as file:
        values = file["data"][()].astype("f8")
    return values.reshape(SCAN[0] * SCAN[1], -1)


def parts(group):
    u, s, v = (group[name][()] for name in "USV")
    return u.reshape(-1, len(s)), s, v.reshape(len(s), -1)


def apart(path, output, name):
    values = scan(path)
    with h5py.File(output) as file:
        group = file[name]
        u, s, v = parts(group)
        ratio, residual = group["Explained_Variance_Ratio"][()], group["Residual"][()]
        variance, elbow = group["Explained_Variance"][()], int(group["Elbow"][()].item())
        if "Mean" in group:
            values = values - group["Mean"][()].ravel()
    is_scaled = np.abs(np.linalg.norm(v, axis=1) - 1).max() > 1e-6
    signs = np.array([row[np.abs(row).argmax()] > 0 for row in v])
    rows = columns = None
    if is_scaled:
        rows, columns = np.sqrt(values.sum(axis=1)), np.sqrt(values.sum(axis=0))
        values, u, v = values / rows[:, None] / columns, u / rows[:, None], v / columns
        signs = np.array([row[np.abs(row).argmax()] > 0 for row in v])
    exact_u, exact_s, exact_v = np.linalg.svd(values, full_matrices=False)
    count = len(s)
    best = (exact_u[:, :count] * exact_s[:count]) @ exact_v[:count]
    squares = exact_s**2
    nearest = np.abs(squares[:, None] - s**2).min(axis=0)
    exact_ratio = squares / squares.sum()
    return {
        "s": float(np.abs(s / exact_s[:count] - 1).max()),
        "u": float(np.abs(np.abs((u * exact_u[:, :count]).sum(axis=0)) - 1).max()),
        "v": float(np.abs(np.abs((v * exact_v[:count]).sum(axis=1)) - 1).max()),
        "ratio": float(np.abs(ratio / exact_ratio[:count] - 1).max()),
        "orthonormal": float(max(np.abs(u.T @ u - np.eye(count)).max(), np.abs(v @ v.T - np.eye(count)).max())),
        "rebuilt": float(np.abs((u * s) @ v - best).max() / np.abs(values).max()),
        "variance": float(np.abs(variance * len(values) / s**2 - 1).max()),
        "signs": bool(signs.all()),
        "is_within_residual": bool((nearest <= residual * s**2 + 1e-9 * squares[0]).all()),
        "elbow": elbow,
        "expected_elbow": expected_elbow(exact_ratio[:count]),
    }


def expected_elbow(ratio):
    """HyperSpy's estimate, of the points that are given."""
    curve = np.log(ratio[:20])
    line = curve[0] + (curve[-1] - curve[0]) * np.arange(len(curve)) / (len(curve) - 1)
    return int((line - curve).argmax())


def differ(one, other):
    with h5py.File(one) as first, h5py.File(other) as second:
        groups = [file[next(name for name in file if name.startswith("data-"))] for file in (first, second)]
        pairs = [(a, b) for a, b in zip(*map(parts, groups))]
    return {"most": float(max(np.abs(a - b).max() / np.abs(a).max() for a, b in pairs))}


def values(output, name):
    with h5py.File(output) as file:
        group = file[name]
        u, s, v = parts(group)
        beyond = float(np.abs(u[:, 1:]).max())
        return {"S": s.tolist(), "beyond": beyond, "finite": bool(np.isfinite(u).all() and np.isfinite(v).all())}


def rebuilt(path, output, name, rebuilt, kept):
    """How far rebuilt spectra are from these components of results, and from NumPy's of the scan."""
    values, kept = scan(path), json.loads(kept)
    with h5py.File(path) as source, h5py.File(output) as file:
        u, s, v = parts(file[name])
        mean = file[name]["Mean"][()].ravel() if "Mean" in file[name] else 0
        found = file[rebuilt]["Rebuilt"]
        same = found[()].size == source["data"].size and found.shape[-1] in (source["data"].shape[-1], values.shape[1])
        single = source["data"].dtype.itemsize < 8 and source["data"].dtype != "i4"
        as_source = found.dtype == ("f4" if single else "f8")
        found = found[()].reshape(values.shape)
    of_results = mean + (u[:, kept] * s[kept]) @ v[kept]
    rows, columns = np.ones((len(values), 1)), np.ones(values.shape[1])
    if np.abs(np.linalg.norm(v, axis=1) - 1).max() > 1e-6:
        rows, columns = np.sqrt(values.sum(axis=1))[:, None], np.sqrt(values.sum(axis=0))
    exact_u, exact_s, exact_v = np.linalg.svd((values - mean) / rows / columns, full_matrices=False)
    of_numpy = mean + (exact_u[:, kept] * exact_s[kept]) @ exact_v[kept] * rows * columns
    return {
        "of_results": float(np.abs(found - of_results).max() / np.abs(values).max()),
        "of_numpy": float(np.abs(found - of_numpy).max() / np.abs(values).max()),
        "shape": bool(same),
        "type": bool(as_source),
    }


def shorten(path, other, axis):
    with h5py.File(path) as file, h5py.File(other, "w") as shorter:
        values = file["data"][()]
        shorter["data"] = np.delete(values, -1, axis=int(axis))


def change(path):
    with h5py.File(path, "r+") as file:
        file["data"][3, 8] *= 1.5


def put(path, value):
    with h5py.File(path, "r+") as file:
        file["data"][3, 8] = float(value)


def hide(path, output, name):
    with h5py.File(path, "r+") as file, h5py.File(output) as results:
        vectors = results[name]["V"][()].reshape(-1, POINTS)
        added = np.random.default_rng(3).normal(size=POINTS)
        axes = np.linalg.qr(vectors.T)[0]
        file["data"][3, 8] += added - axes @ (axes.T @ added)


def forget(output):
    with h5py.File(output, "r+") as results:
        for group in results.values():
            group.attrs.pop("parameters", None)


def darken(path):
    with h5py.File(path, "r+") as file:
        dark = np.linspace(0, 0.1, POINTS)
        file["dark"], file["dark_again"], file["darker"] = dark, dark, 2 * dark


def write_hspy(path):
    import hyperspy.api as hs

    values = np.random.default_rng(5).poisson(np.abs(data("f8"))).reshape(*SCAN, POINTS).astype("f4")
    signal = hs.signals.Signal1D(values + 1)
    signal.save(path.replace("scan.h5", "scan.hspy"), overwrite=True)
    import os

    os.replace(path.replace("scan.h5", "scan.hspy"), path)


def hyperspy(path, output, name, centre, poisson):
    import os
    import shutil

    import hyperspy.api as hs

    copy = path + ".hspy"
    shutil.copy(path, copy)
    signal = hs.load(copy)
    os.remove(copy)
    signal.change_dtype("float64")
    signal.decomposition(
        poisson == "true", centre=None if centre == "none" else centre, output_dimension=3, print_info=False
    )
    found = signal.learning_results
    with h5py.File(output) as file:
        group = file[name]
        u, s, v = parts(group)
        variance = group["Explained_Variance"][()]
    loadings = u * s
    signs = np.sign((found.factors[:, :3] * v.T).sum(axis=0))
    return {
        "variance": float(np.abs(variance / found.explained_variance[:3] - 1).max()),
        "loadings": float(np.abs(loadings * signs - found.loadings[:, :3]).max() / np.abs(loadings).max()),
        "factors": float(np.abs(v.T * signs - found.factors[:, :3]).max() / np.abs(v).max()),
    }


def hyperspy_model(path, output, name, centre, poisson):
    """How far rebuilt spectra are from HyperSpy's model of two components."""
    import hyperspy.api as hs

    with h5py.File(path) as file:
        place = []
        file.visititems(lambda name, item: place.append(name) if name.endswith("/data") else None)
        values = file[place[0]][()].astype("f8")
    signal = hs.signals.Signal1D(values)
    signal.decomposition(
        poisson == "true", centre=None if centre == "none" else centre, output_dimension=3, print_info=False
    )
    found = signal.learning_results
    if found.mean is None:
        model = signal.get_decomposition_model(2).data
    else:
        # HyperSpy (2.5) takes a mean of channels for one of positions there, and fails.
        rebuilt = found.mean.ravel() + found.loadings[:, :2] @ found.factors[:, :2].T
        model = rebuilt.reshape(values.shape)
    with h5py.File(output) as file:
        found = file[name]["Rebuilt"][()].reshape(model.shape)
    return {"apart": float(np.abs(found - model).max() / np.abs(values).max())}


def clusters(path, output, name):
    from sklearn.cluster import KMeans

    values = scan(path)
    with h5py.File(output) as file:
        group = file[name]
        labels, distance = group["Labels"][()].ravel(), group["Distance"][()].ravel()
        centers = group["Mean_Response"][()]
        counts, inertia = group["Count"][()], group["Inertia"][()].item()
        between, iterations = group["Center_Distances"][()], int(group["Iterations"][()].item())
    centers = centers.reshape(len(centers), -1)
    apart = np.linalg.norm(values[:, None, :] - centers, axis=2)
    means = np.array([values[labels == label].mean(axis=0) for label in range(len(centers))])
    scale = np.abs(values).max()
    theirs = min(KMeans(len(centers), tol=0, random_state=seed).fit(values).inertia_ for seed in range(3))
    return {
        "iterations": iterations,
        "labels": bool((apart.argmin(axis=1) == labels).all()),
        "counts": counts.tolist() == np.bincount(labels, minlength=len(centers)).tolist(),
        "centers": bool(np.abs(means - centers).max() < 1e-9 * scale),
        "distances": bool(np.abs(apart.min(axis=1) - distance).max() < 1e-6 * scale),
        "inertia": bool(abs((apart.min(axis=1) ** 2).sum() / inertia - 1) < 1e-9),
        "center_distances": bool(
            np.abs(np.linalg.norm(centers[:, None] - centers, axis=2) - between).max() < 1e-9 * scale
        ),
        "ours": float(inertia), "theirs": float(theirs),
    }


if __name__ == "__main__":
    answer(globals())
