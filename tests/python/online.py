"""Scans with outliers, and what HyperSpy and SciPy make of them, for `tests/online.rs`."""

import h5py
import numpy as np

from answer import answer

SCAN, POINTS = (20, 50), 60


def parts(kind):
    """Of four spectra the amounts, and these; outliers; and the noise."""
    random = np.random.default_rng(4)
    positions = SCAN[0] * SCAN[1]
    axis = np.arange(POINTS)
    spectra = np.array([np.exp(-((axis - centre) ** 2) / 2 / width**2) for centre, width in ((10, 4), (22, 6), (37, 3), (50, 5))])
    amounts = random.gamma(2, 1, (positions, 4)) * [300, 200, 120, 80] * (random.random((positions, 4)) < 0.7)
    outliers = np.where(random.random((positions, POINTS)) < 0.02, random.uniform(500, 3000, (positions, POINTS)), 0)
    noise = random.normal(0, 1, (positions, POINTS))
    if kind == "clean":
        outliers[:], noise[:] = 0, 0
    if kind == "equal":
        amounts[:], outliers[:], noise[:] = [3, 4, 1, 2], 0, 0
    if kind == "zero":
        amounts[:], outliers[:], noise[:] = 0, 0, 0
    return amounts @ spectra, outliers, noise


def data(kind):
    low, outliers, noise = parts(kind)
    values = np.abs(low + outliers + noise)
    if kind == "negative":
        values = values.round()
        values[77, 5] = -3
        return values.astype("i4")
    return (values.round() if kind == "u2" else values).astype(kind if kind in ("f4", "u2") else "f8")


def write(path, kind, layout):
    values = data(kind).reshape(*SCAN, POINTS)
    if layout == "frames":
        values = values.reshape(*SCAN, 6, 10)
    packed = {"compression": "gzip", "chunks": (5, 6, 13)} if layout == "gzip" else {}
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("data", data=values, **packed)
        dataset.attrs["kind"] = kind


def checked(path, output, name, with_hyperspy):
    with h5py.File(path) as file:
        kind = file["data"].attrs["kind"]
        values = file["data"][()].astype("f8").reshape(SCAN[0] * SCAN[1], -1)
    with h5py.File(output) as file:
        group = file[name]
        found = {name: group[name][()] for name in ("Loadings", "Components", "Outliers", "Residual")}
        variance, ratio = group["Explained_Variance"][()], group["Explained_Variance_Ratio"][()]
        threshold = group["Threshold"][()].item()
    loadings = found["Loadings"].reshape(len(values), -1)
    components = found["Components"].reshape(loadings.shape[1], -1)
    low, outliers, _ = parts(kind)
    fitted = loadings @ components
    apart = values - fitted
    is_outlier = np.abs(apart) > threshold
    is_nmf = "ORNMF" in name
    size = np.linalg.norm(low) or 1
    norms = np.linalg.norm(components, axis=1)
    squares = (loadings**2).mean(axis=0)
    best = best_loadings(values - np.where(is_outlier, apart - threshold * np.sign(apart), 0), components, is_nmf)
    clipped = np.clip(apart, -threshold, threshold)
    scale = np.abs(loadings).max() or 1
    right = [
        np.abs(norms - 1).max() < 1e-9,
        not is_nmf or (components.min() >= 0 and loadings.min() >= 0),
        is_nmf or np.abs(components @ components.T - np.eye(len(components))).max() < 1e-9,
        is_nmf or all(row[np.abs(row).argmax()] > 0 for row in components),
    ]
    energy = (values**2).mean(axis=0).sum()
    return {
        "ours": float(np.linalg.norm(fitted - low) / size),
        "theirs": with_hyperspy == "true" and theirs(values, len(components), is_nmf, low, threshold),
        "outliers_found": float(is_outlier[outliers > 0].mean()) if outliers.any() else None,
        "loadings": float(np.abs(best - loadings).max() / scale),
        "norms": bool(all(right)),
        "order": bool((np.diff(squares) <= 0.05 * squares.max()).all()),
        "variance": bool(np.allclose(variance, squares, rtol=1e-9) and np.allclose(ratio, squares / energy, rtol=1e-9)),
        "residual": bool(np.allclose(found["Residual"].ravel(), np.sqrt((clipped**2).mean(axis=1)), rtol=1e-9, atol=1e-9)),
        "outliers": found["Outliers"].ravel().tolist() == is_outlier.sum(axis=1).tolist(),
        "finite": bool(np.isfinite(loadings).all() and np.isfinite(components).all()),
        "rebuilt": float(np.abs(apart).max() / (np.abs(values).max() or 1)),
    }


def best_loadings(clean, components, is_nmf):
    from scipy.optimize import nnls

    if not is_nmf:
        return clean @ components.T
    return np.array([nnls(components.T, row)[0] for row in clean])


def theirs(values, count, is_nmf, low, threshold):
    """How far HyperSpy's is from what the scan was made of, with the same threshold."""
    from hyperspy.learn._ornmf import ORNMF
    from hyperspy.learn._rpca import ORPCA

    # What it takes for still is an absolute number.
    scale = np.abs(values).max()
    penalty = threshold / scale
    if is_nmf:
        solver = ORNMF(count, lambda1=penalty, random_state=0)
    else:
        solver = ORPCA(count, lambda1=1e-6, lambda2=penalty, random_state=0)
    solver.partial_fit(values / scale, batch_size=32)
    fitted = scale * np.asarray(solver.transform(values / scale)) @ np.asarray(solver.components_)
    return float(np.linalg.norm(fitted - low) / np.linalg.norm(low))


if __name__ == "__main__":
    answer(globals())
