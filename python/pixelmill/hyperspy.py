"""Results of decompositions and clusterings as HyperSpy keeps its own.

    import hyperspy.api as hs
    import pixelmill as pm
    import pixelmill.hyperspy

    signal, scan = hs.load("scan.hspy"), pm.open("scan.hspy")
    pixelmill.hyperspy.take_decomposition(signal, scan.run("svd", components=20))
    pixelmill.hyperspy.take_clusters(signal, scan.run("kmeans", clusters=5))
    signal.plot_explained_variance_ratio()
    signal.plot_cluster_labels()
    signal.save("decomposed.hspy")

The signal's `learning_results` are then what HyperSpy's `decomposition` and `cluster_analysis` would leave there.
HyperSpy reads them out of the group of their signal alone, and pixelmill never writes into a signal's own file, nor
copies its data beside the results; so whoever wants both in one file saves the signal, which HyperSpy writes.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._errors import UsageError
from ._optional import needed
from ._results import Results


class _Taken(NamedTuple):
    """What results have of each position, what as spectra, and what HyperSpy calls the algorithm."""

    each: str
    spectra: str
    algorithm: str


_DECOMPOSITIONS = {
    "SVD": _Taken("U", "V", "SVD"),
    "PCA": _Taken("U", "V", "SVD"),
    "NMF": _Taken("Loadings", "Components", "NMF"),
    "ORPCA": _Taken("Loadings", "Components", "ORPCA"),
    "ORNMF": _Taken("Loadings", "Components", "ORNMF"),
}
_CLUSTERINGS = {
    "K_Means": _Taken("Labels", "Mean_Response", "kmeans"),
    "Gaussian_Mixture": _Taken("Labels", "Mean_Response", "gaussian-mixture"),
}
# How far distances from centres may be from those in the results: signals may have become single precision.
_NEAR = 1e-6
# How many values are looked at together: what is made of them is to stay in the processor's cache.
_TOGETHER = 1 << 16


def take_decomposition(signal: Any, results: Results, replace: bool = False) -> None:
    """Makes results of `svd`, `pca`, `nmf`, `orpca` or `ornmf` the decomposition of a signal of HyperSpy's.

    signal: the signal that they are of; it may be lazy.
    results: what `scan.run("svd")` gave.
    replace: whether a decomposition that the signal already has may go. Its clusters stay.

    Loadings are U·S of `svd` and `pca`, and `Loadings` of the others; factors are V and `Components`. Explained
    variances are there for `svd` and `pca`, as HyperSpy's `decomposition` has none for the others.

    HyperSpy 2.5 makes no `get_decomposition_model` of what differs from a mean spectrum, its own results with
    `centre="navigation"` no more than those of `pca`; take `svd` for that.
    """
    each, spectra, algorithm = _belonging(signal, results, _DECOMPOSITIONS, axes=1)
    learnt, manager, count = signal.learning_results, signal.axes_manager, len(spectra)
    if not replace and (learnt.factors is not None or learnt.bss_factors is not None):
        raise UsageError("the signal has a decomposition already; say replace=True to lose it", "Argument")
    made = {
        "loadings": each.reshape(-1, count),
        "factors": spectra.reshape(count, -1).T.copy(),
        "decomposition_algorithm": algorithm,
        "poissonian_noise_normalized": bool(results.parameters.get("poisson", False)),
        "output_dimension": count,
        "unfolded": max(manager.navigation_dimension, manager.signal_dimension) > 1,
    }
    if made["unfolded"]:
        made["original_shape"] = signal.data.shape
    if "S" in results:
        made["loadings"] = made["loadings"] * np.asarray(results["S"])
        made["explained_variance"] = np.asarray(results["Explained_Variance"])
        made["explained_variance_ratio"] = np.asarray(results["Explained_Variance_Ratio"])
        # HyperSpy counts from the elbow as well.
        made["number_significant_components"] = int(np.asarray(results["Elbow"]).item()) + 1
    if "Mean" in results:
        made["centre"], made["mean"] = "navigation", np.asarray(results["Mean"]).reshape(1, -1)
    _learn(signal, {name: value for name, value in vars(learnt).items() if "cluster" in name} | made)


def take_clusters(signal: Any, results: Results, replace: bool = False) -> None:
    """Makes results of `kmeans` or `gaussian-mixture` the clusters of a signal of HyperSpy's.

    signal: the signal that they are of, which is gone through once; it may be lazy.
    results: what `scan.run("kmeans")` gave.
    replace: whether clusters that the signal already has may go. Its decomposition stays.

    Clusters have the numbers that they have in `Labels`. `cluster_centroids`, from which `cluster_distances` are, is
    `Mean_Response`; so is `cluster_centers`, which HyperSpy 2.5 needs for `plot_cluster_labels(with_centers=True)` and
    `export_cluster_results`, but doesn't fill itself. The mean of a cluster that nobody is in, which HyperSpy makes of
    its sum, is NaN.
    """
    each, spectra, algorithm = _belonging(signal, results, _CLUSTERINGS, axes=0)
    learnt, count = signal.learning_results, len(spectra)
    if not replace and learnt.cluster_labels is not None:
        raise UsageError("the signal has clusters already; say replace=True to lose them", "Argument")
    labels, centers, data = each.ravel(), spectra.reshape(count, -1), _scan_first(signal)
    sums = np.zeros(centers.shape, np.result_type(centers, data))
    distances = np.empty((count, len(labels)))
    for positions, rows in _rows(data, signal.axes_manager.navigation_dimension):
        for cluster, center in enumerate(centers):
            sums[cluster] += rows[labels[positions] == cluster].sum(0, dtype=sums.dtype)
            distances[cluster, positions] = np.linalg.norm(rows - center, axis=1)
    if "Distance" in results:
        _refuse_other_values(results, distances[labels, np.arange(len(labels))], np.linalg.norm(centers))
    shape = signal.axes_manager._navigation_shape_in_array
    nearest = [np.unravel_index(position, shape) for position in distances.argmin(1)]
    if results.parameters.get("batch"):
        algorithm = "minibatchkmeans"
    made = {
        "cluster_labels": labels == np.arange(count)[:, None],
        "cluster_algorithm": algorithm,
        "number_of_clusters": count,
        "cluster_sum_signals": sums,
        "cluster_centroid_signals": np.stack([np.asarray(data[position]).ravel() for position in nearest]),
        "cluster_distances": distances,
        "cluster_centroids": centers,
        "cluster_centers": centers,
    }
    _learn(signal, vars(learnt) | made)


def _belonging(
    signal: Any, results: Results, taken: Mapping[str, _Taken], axes: int
) -> tuple[NDArray[Any], NDArray[Any], str]:
    """What results that a signal can have are of each position, with `axes` more than the scan, and their spectra."""
    if results.process not in taken:
        *others, last = taken
        message = f"`{results.group}` has results of {results.process}; those of {', '.join(others)} or {last} are taken"
        raise UsageError(message, "Argument")
    names = taken[results.process]
    if results.failed_count:
        position, reason = next(iter(results.failed.items()))
        failed = f"{results.failed_count} positions of `{results.group}` failed, and have no {'loadings' if axes else 'labels'}"
        message = f"{failed}; position {position}: {reason}"
        raise UsageError(message, "Argument")
    each, spectra = np.asarray(results[names.each]), np.asarray(results[names.spectra])
    manager = signal.axes_manager
    shapes = {"positions": (manager._navigation_shape_in_array, each.shape[: each.ndim - axes])}
    shapes["points"] = (manager._signal_shape_in_array, spectra.shape[1:])
    for what, (own, found) in shapes.items():
        # A single step is none in one and one in the other.
        if [length for length in own if length > 1] != [length for length in found if length > 1]:
            raise UsageError(f"the {what} of the signal are {own}, those of the results {found}", "Argument")
    return each, spectra, names.algorithm


def _scan_first(signal: Any) -> Any:
    """A signal's values, axes of the scan first."""
    manager = signal.axes_manager
    return signal.data.transpose(manager.navigation_indices_in_array[::-1] + manager.signal_indices_in_array[::-1])


def _rows(data: Any, axes: int) -> Iterator[tuple[NDArray[np.intp], NDArray[Any]]]:
    """All spectra, few at a time, with the numbers of their positions: each chunk is read once if `data` is lazy."""
    numbers = np.arange(math.prod(data.shape[:axes])).reshape(data.shape[:axes])
    few = max(1, _TOGETHER // math.prod(data.shape[axes:]))
    parts = [()]
    if not isinstance(data, np.ndarray):
        parts = needed("dask.array.core", "take_clusters").slices_from_chunks(data.chunks[:axes])
    for part in parts:
        positions = numbers[part].ravel()
        rows = np.asarray(data[part]).reshape(len(positions), -1)
        for start in range(0, len(rows), few):
            yield positions[start : start + few], rows[start : start + few]


def _refuse_other_values(results: Results, own: NDArray[Any], size: np.floating[Any]) -> None:
    """Refuses a signal whose spectra are elsewhere than those of the results, as seen from their centres."""
    told = np.asarray(results["Distance"]).ravel()
    other = np.flatnonzero(~np.isclose(own, told, rtol=_NEAR, atol=_NEAR * size))
    if len(other):
        at = other[0]
        where = f"position {at} is {own[at]:g} from its centre, {told[at]:g} in the results"
        raise UsageError(f"the signal's values aren't those that `{results.group}` is of: {where}", "Argument")


def _learn(signal: Any, results: dict[str, Any]) -> None:
    fresh = type(signal.learning_results)()
    vars(fresh).update(results)
    signal.learning_results = fresh
