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


def write_learned(path):
    """So many spectra that they make several mini-batches."""
    random = np.random.default_rng(9)
    centers = random.normal(20, 0.6, (CLUSTERS, 300))
    values = centers[random.integers(CLUSTERS, size=12_000)] + random.normal(0, 4, (12_000, 300))
    with h5py.File(path, "w") as file:
        file["data"] = values.astype("f4").reshape(120, 100, 300)


def learned(path, output, name):
    """Clusters learned from mini-batches beside their own centres, and beside scikit-learn's: how good both are."""
    from sklearn.cluster import KMeans, MiniBatchKMeans

    with h5py.File(path) as file:
        values = file["data"][()].reshape(12_000, -1).astype("f8")
    with h5py.File(output) as file:
        group = file[name]
        labels, distance, counts, centers, inertia, epochs = (
            group[part][()].ravel() if part in ("Labels", "Distance") else group[part][()]
            for part in ("Labels", "Distance", "Count", "Mean_Response", "Inertia", "Iterations")
        )
    apart = np.linalg.norm(values[:, None] - centers, axis=2)
    settings = {"n_init": 3, "random_state": 1}
    return {
        "labels": bool((apart.argmin(axis=1) == labels).all()),
        "counts": counts.tolist() == np.bincount(labels, minlength=len(centers)).tolist(),
        "distances": bool(np.abs(apart.min(axis=1) - distance).max() < 1e-9 * distance.max()),
        "inertia": bool(abs(inertia.item() / (distance**2).sum() - 1) < 1e-12),
        "epochs": epochs.item(),
        "ours": inertia.item(),
        "of_all": KMeans(len(centers), **settings).fit(values).inertia_,
        "theirs": MiniBatchKMeans(len(centers), batch_size=1000, **settings).fit(values).inertia_,
    }


def spoil_imaginary(path):
    with h5py.File(path, "r+") as file:
        file["data"][3, 4, 7] = complex(1, np.inf)


def mixture_of(group):
    """The mixture that a group holds, as scikit-learn has one."""
    from sklearn.mixture import GaussianMixture
    from sklearn.mixture._gaussian_mixture import _compute_precision_cholesky

    kind = {"full": "full", "tied": "tied", "diag": "diag", "spherical": "spherical"}[group.attrs["covariance"]]
    weights, means, covariances = (group[name][()] for name in ("Weights", "Mean_Response", "Covariances"))
    model = GaussianMixture(len(weights), covariance_type=kind)
    model.weights_, model.means_ = weights, means.reshape(len(weights), -1)
    model.covariances_ = covariances.reshape(len(weights), -1) if kind == "diag" else covariances
    model.precisions_cholesky_ = _compute_precision_cholesky(model.covariances_, kind)
    return kind, model


def mixtures(path, output, name, source="data"):
    """How far what is said of a mixture is from what scikit-learn says of it, and how good it is beside theirs."""
    from sklearn.mixture import GaussianMixture

    values = scan(path, source).astype("f8")
    with h5py.File(output) as file:
        group = file[name]
        kind, model = mixture_of(group)
        labels, likelihood = group["Labels"][()].ravel(), group["Log_Likelihood"][()].ravel()
        probabilities = group["Probabilities"][()].reshape(len(values), -1)
        mean, bic, aic = (group[name][()].item() for name in ("Mean_Log_Likelihood", "BIC", "AIC"))
        axes, iterations = list(group["Covariances"].attrs["DIMENSION_LABELS"]), group["Iterations"][()].item()
        change = group["Change"][()].item()
        added = group.attrs["regularization"] * values.var(axis=0).mean()
        tolerance = group.attrs["tolerance"]
    theirs = max(
        GaussianMixture(model.n_components, covariance_type=kind, tol=tol, reg_covar=added, max_iter=1000, random_state=1)
        .fit(values)
        .score(values)
        for tol in (1e-3, tolerance)
    )
    expected = model.score_samples(values)
    # One step of theirs from there.
    step = GaussianMixture(
        model.n_components, covariance_type=kind, tol=0, max_iter=1, reg_covar=added,
        weights_init=model.weights_, means_init=model.means_, precisions_init=precisions(model, kind),
    )  # fmt: skip
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        step.fit(values)
    return {
        "axes": axes,
        "likelihood": float(np.abs(likelihood - expected).max() / np.abs(expected).max()),
        "probabilities": float(np.abs(probabilities - model.predict_proba(values)).max()),
        "labels": bool((labels == probabilities.argmax(axis=1)).all()),
        "mean": float(abs(mean / likelihood.mean() - 1)),
        "bic": float(abs(bic / model.bic(values) - 1)),
        "aic": float(abs(aic / model.aic(values) - 1)),
        "rest": float(np.abs(step.means_ - model.means_).max() / np.sqrt(values.var(axis=0).mean())),
        "iterations": iterations,
        "change": change,
        "ours": mean,
        "theirs": float(theirs),
    }


def precisions(model, kind):
    if kind in ("full", "tied"):
        return np.linalg.inv(model.covariances_)
    return 1 / model.covariances_


def truth(path, output, name, points, positions):
    """How far a mixture is from the one that a scan was made of, and how many positions have its labels."""
    _, labels, weights, means, covariances = mixture(int(points), int(positions))
    with h5py.File(output) as file:
        group = file[name]
        found, their_means = group["Weights"][()], group["Mean_Response"][()]
        their_covariances, own = group["Covariances"][()], group["Labels"][()].ravel()
    order = [int(np.linalg.norm(their_means - mean, axis=1).argmin()) for mean in means]
    return {
        "order": sorted(order),
        "weights": float(np.abs(found[order] - weights).max()),
        "means": float(np.abs(their_means[order] - means).max()),
        "covariances": float(np.abs(their_covariances[order] - covariances).max()),
        "labels": float((np.array(order)[labels] == own).mean()),
    }


def write_many(path, points, positions):
    with h5py.File(path, "w") as file:
        file["data"] = mixture(int(points), int(positions))[0]


def write_alike(path, kind):
    """Spectra that are all equal, or a point that is constant, or just three different spectra."""
    random = np.random.default_rng(2)
    values = random.normal(5, 1, (POSITIONS, 6))
    if kind == "equal":
        values = np.repeat(values[:1], POSITIONS, axis=0)
    elif kind == "constant":
        values[:, 2] = 0.1
    elif kind == "few":
        values = values[random.integers(3, size=POSITIONS)]
    else:
        values[77, 3] = np.nan
    write(path, values, "contiguous")


def read(output, name):
    """All that a group holds but what is per position."""
    with h5py.File(output) as file:
        group = file[name]
        kept = [dataset for dataset in group if "quantity" in group[dataset].attrs and len(group[dataset].shape) < 3]
        found = {dataset: group[dataset][()].ravel().tolist() for dataset in kept if group[dataset].size < 500}
        positions = [group[dataset][()] for dataset in ("Labels", "Probabilities", "Log_Likelihood")]
        found["finite"] = all(bool(np.isfinite(values).all()) for values in positions)
        return found


def kept(path, name):
    """All that a group holds, but what is a small difference of large numbers, with as many digits as do not depend
    on the order of sums."""
    with h5py.File(path) as file:
        results = [dataset for dataset in file[name].values() if "quantity" in dataset.attrs and not dataset.is_scale]
        results = [dataset for dataset in results if not dataset.name.endswith("/Change")]
        return {
            dataset.name.rsplit("/")[-1]: [float(f"{value:.9g}") for value in dataset[()].ravel().tolist()]
            for dataset in results
        }


if __name__ == "__main__":
    answer(globals())
