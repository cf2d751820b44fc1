"""Results of `svd` and `pca` as HyperSpy keeps its own decompositions.

    import hyperspy.api as hs
    import pixelmill as pm
    import pixelmill.hyperspy

    signal = hs.load("scan.hspy")
    results = pm.open("scan.hspy").run("svd", components=20)
    pixelmill.hyperspy.take_decomposition(signal, results)
    signal.plot_explained_variance_ratio()
    signal.save("decomposed.hspy")

The signal's `learning_results` are then what HyperSpy's `decomposition` would leave there: loadings U·S and factors
V. HyperSpy reads them out of the group of their signal alone, and pixelmill never writes into a signal's own file, nor
copies its data beside the results; so whoever wants both in one file saves the signal, which HyperSpy writes.
"""

from typing import Any

import numpy as np

from ._errors import UsageError
from ._results import Results

_TAKEN = ("SVD", "PCA")


def take_decomposition(signal: Any, results: Results, replace: bool = False) -> None:
    """Makes results of `svd` or `pca` the `learning_results` of a signal of HyperSpy's.

    signal: the signal that they are of; it may be lazy.
    results: what `scan.run("svd")` gave.
    replace: whether a decomposition that the signal already has may go.

    HyperSpy 2.5 makes no `get_decomposition_model` of what differs from a mean spectrum, its own results with
    `centre="navigation"` no more than those of `pca`; take `svd` for that.
    """
    if results.process not in _TAKEN:
        message = f"`{results.group}` has results of {results.process}; those of SVD or PCA are taken"
        raise UsageError(message, "Argument")
    if results.failed_count:
        position, reason = next(iter(results.failed.items()))
        failed = f"{results.failed_count} positions of `{results.group}` failed, and have no loadings"
        message = f"{failed}; position {position}: {reason}"
        raise UsageError(message, "Argument")
    learnt = signal.learning_results
    if not replace and (learnt.factors is not None or learnt.bss_factors is not None):
        raise UsageError("the signal has learning_results already; say replace=True to lose them", "Argument")
    abundances, singular, spectra = (np.asarray(results[name]) for name in ("U", "S", "V"))
    manager = signal.axes_manager
    shapes = {"positions": (manager._navigation_shape_in_array, abundances.shape[:-1])}
    shapes["points"] = (manager._signal_shape_in_array, spectra.shape[1:])
    for what, (own, found) in shapes.items():
        # A single step is none in one and one in the other.
        if [length for length in own if length > 1] != [length for length in found if length > 1]:
            raise UsageError(f"the {what} of the signal are {own}, those of the results {found}", "Argument")
    count = len(singular)
    fresh = type(learnt)()
    fresh.loadings = abundances.reshape(-1, count) * singular
    fresh.factors = spectra.reshape(count, -1).T.copy()
    fresh.explained_variance = np.asarray(results["Explained_Variance"])
    fresh.explained_variance_ratio = np.asarray(results["Explained_Variance_Ratio"])
    # HyperSpy counts from the elbow as well.
    fresh.number_significant_components = int(np.asarray(results["Elbow"]).item()) + 1
    fresh.decomposition_algorithm = "SVD"
    fresh.poissonian_noise_normalized = bool(results.parameters["poisson"])
    fresh.output_dimension = count
    fresh.unfolded = False
    fresh.original_shape = signal.data.shape
    if results.process == "PCA":
        fresh.centre, fresh.mean = "navigation", np.asarray(results["Mean"]).reshape(1, -1)
    signal.learning_results = fresh
