"""Scans whose spectra are in clusters, and what NumPy and scikit-learn make of them, for `tests/clusters.rs`."""

import h5py
import numpy as np

from answer import answer

SCAN, POINTS, CLUSTERS = (37, 23), 24, 5
POSITIONS = SCAN[0] * SCAN[1]


def complex_spectra(kind):
    """Clusters that differ in their imaginary parts alone."""
    random = np.random.default_rng(8)
    centers = 3 + 1j * random.integers(0, 30, (CLUSTERS, POINTS))
    noise = random.normal(0, 1, (2, POSITIONS, POINTS))
    return (centers[random.integers(CLUSTERS, size=POSITIONS)] + noise[0] + 1j * noise[1]).astype(kind)


def write(path, values, layout):
    values = values.reshape(*SCAN, -1)
    if layout == "frames":
        values = values.reshape(*SCAN, 4, -1)
    packed = {"compression": "gzip", "chunks": (5, 6, 7)} if layout == "gzip" else {}
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=values, **packed)


def mixture(points, positions=POSITIONS, apart=6.0, seed=4):
    """Spectra of three normal distributions, which of these each is of, and their weights, means and covariances."""
    random = np.random.default_rng(seed)
    weights = np.array([0.5, 0.3, 0.2])
    means = random.normal(0, apart / np.sqrt(2 * points), (3, points)) + 20
    roots = random.normal(0, 0.5 / np.sqrt(points), (3, points, points)) + 0.8 * np.eye(points)
    labels = random.choice(3, positions, p=weights)
    values = means[labels] + np.einsum("npq,nq->np", roots[labels], random.normal(0, 1, (positions, points)))
    return values, labels, weights, means, roots @ roots.transpose(0, 2, 1)


def write_mixture(path, kind, layout, points="24"):
    values = mixture(int(points))[0]
    write(path, (values * 100).round().astype(kind) if np.dtype(kind).kind in "iu" else values.astype(kind), layout)


def write_complex(path, kind, layout):
    write(path, complex_spectra(kind), layout)


def scan(path, name="data"):
    with h5py.File(path) as file:
        values = file[name][()]
    return values.reshape(POSITIONS, -1)


def stacked(values):
    """Spectra as pycroscopy hands complex ones to scikit-learn."""
    return np.hstack([values.real, values.imag]) if np.iscomplexobj(values) else values


def clusters(path, source, output, name):
    """Whether clusters are those of their own centres, and how good they are beside scikit-learn's."""
    from sklearn.cluster import KMeans

    values = scan(path, source)
    with h5py.File(output) as file:
        group = file[name]
        labels, distance, counts, centers = (
            group[part][()] for part in ("Labels", "Distance", "Count", "Mean_Response")
        )
        axes, inertia = list(group["Mean_Response"].attrs["DIMENSION_LABELS"]), group["Inertia"][()].item()
    labels, kind = labels.ravel(), centers.dtype
    means = np.array([values[labels == label].mean(axis=0) for label in range(len(centers))])
    shape, centers = centers.shape, centers.reshape(len(centers), -1)
    apart = np.linalg.norm(values[:, None].astype("c16") - centers, axis=2)
    theirs = KMeans(len(centers), tol=0, n_init=5, random_state=1).fit(stacked(values)).inertia_
    scale = np.abs(values).max()
    return {
        "kind": str(kind),
        "shape": shape,
        "axes": axes,
        "labels": bool((apart.argmin(axis=1) == labels).all()),
        "counts": counts.tolist() == np.bincount(labels, minlength=len(centers)).tolist(),
        "centers": bool(np.abs(means - centers).max() < 1e-6 * scale),
        "distances": bool(np.abs(apart.min(axis=1) - distance.ravel()).max() < 1e-6 * scale),
        "inertia": inertia,
        "theirs": float(theirs),
    }


def spoil_imaginary(path):
    with h5py.File(path, "r+") as file:
        file["data"][3, 4, 7] = complex(1, np.inf)


if __name__ == "__main__":
    answer(globals())
