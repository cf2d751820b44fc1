"""Decompositions as HyperSpy's learning_results: beside NumPy's and HyperSpy's own, through a file that HyperSpy has written."""

from pathlib import Path
from typing import Any

import h5py
import hyperspy.api as hs
import numpy as np
import pixelmill as pm
import pixelmill.hyperspy
import pytest


def made(path: Path, poisson: bool = False) -> Any:
    rng = np.random.default_rng(3)
    shapes = rng.random((3, 40)) + 0.1
    weights = rng.random((30, 3)) * [[9, 4, 2]]
    values = weights @ shapes
    data = rng.poisson(20 * values).astype(float) if poisson else values + 0.001 * rng.standard_normal(values.shape)
    signal = hs.signals.Signal1D(data.reshape(5, 6, 40))
    signal.save(path)
    return signal


def computed(path: Path, process: str = "svd", **parameters: Any) -> pm.Results:
    return pm.open(path).run(process, components=3, progress=False, **parameters)


def spoil(path: Path) -> None:
    """Position 8 fails then."""
    with h5py.File(path, "r+") as file:
        next(iter(file["Experiments"].values()))["data"][1, 2, 3] = np.nan


def kept_as_theirs(signal: Any, own: Any) -> None:
    """Whether a signal has learnt what HyperSpy leaves: arrays of the same shapes, and else the same."""
    for name, theirs in vars(own.learning_results).items():
        ours = getattr(signal.learning_results, name)
        if isinstance(theirs, np.ndarray):
            assert ours.shape == theirs.shape and ours.dtype == theirs.dtype, name
        else:
            assert ours == theirs, name


@pytest.mark.parametrize("poisson", [False, True])
def test_a_saved_signal_has_the_decomposition_that_numpy_says(tmp_path: Path, poisson: bool) -> None:
    path, saved = tmp_path / "scan.hspy", tmp_path / "saved.hspy"
    made(path, poisson)
    before = path.read_bytes()
    signal = hs.load(path)
    pixelmill.hyperspy.take_decomposition(signal, computed(path, poisson=poisson))
    signal.save(saved)
    assert path.read_bytes() == before, "the source isn't written into"
    loaded = hs.load(saved)
    learnt, data = loaded.learning_results, loaded.data.reshape(30, 40)
    scale = np.outer(np.sqrt(data.sum(1)), np.sqrt(data.sum(0))) if poisson else np.ones_like(data)
    u, s, v = np.linalg.svd(data / scale, full_matrices=False)
    assert np.allclose(learnt.explained_variance, s[:3] ** 2 / 30, rtol=1e-4)
    assert np.allclose(learnt.explained_variance_ratio, s[:3] ** 2 / (s**2).sum(), rtol=1e-4)
    assert learnt.decomposition_algorithm == "SVD" and learnt.output_dimension == 3 and learnt.mean is None
    assert learnt.poissonian_noise_normalized == poisson and learnt.factors.shape == (40, 3)
    for count in (1, 3):
        expected = (u[:, :count] * s[:count]) @ v[:count] * scale
        model = loaded.get_decomposition_model(count).data.reshape(30, 40)
        assert np.allclose(model, expected, atol=1e-3 * np.abs(expected).max())
    assert loaded.get_decomposition_factors().data.shape == (3, 40)
    assert loaded.get_decomposition_loadings().data.shape == (3, 5, 6)
    assert loaded.plot_explained_variance_ratio() is not None
    # HyperSpy's own, up to signs.
    own = hs.load(path)
    own.decomposition(normalize_poissonian_noise=poisson, output_dimension=3, print_info=False)
    theirs = own.get_decomposition_model(3).data.reshape(30, 40)
    assert np.allclose(model, theirs, atol=1e-3 * np.abs(theirs).max())


def test_pca_has_the_mean_spectrum(tmp_path: Path) -> None:
    path, saved = tmp_path / "scan.hspy", tmp_path / "saved.hspy"
    signal = made(path)
    pixelmill.hyperspy.take_decomposition(signal, computed(path, "pca"))
    signal.save(saved)
    learnt, data = hs.load(saved).learning_results, signal.data.reshape(30, 40)
    assert learnt.centre == "navigation" and np.allclose(learnt.mean, data.mean(0)[None])
    model = learnt.loadings @ learnt.factors.T + learnt.mean
    assert np.allclose(model, data, atol=0.02)


# How HyperSpy is told to come nearest to the data, and how far its model may then be from ours: it goes through the
# data once, with channels as samples.
_ROBUST = {"lambda1": 1e-6, "lambda2": 100, "method": "CF", "training_samples": 40}
THEIRS: dict[str, tuple[dict[str, Any], float]] = {
    "nmf": ({"max_iter": 20_000, "tol": 1e-8}, 1e-3),
    "orpca": ({"project": True, **_ROBUST}, 1e-4),
    "ornmf": ({"project": True, "method": "RobustPGD", "random_state": 1}, 0.05),
}


@pytest.mark.parametrize(("process", "poisson"), [("nmf", False), ("nmf", True), ("orpca", False), ("ornmf", False)])
def test_factorisations_are_kept_as_hyperspy_keeps_its_own(tmp_path: Path, process: str, poisson: bool) -> None:
    path, saved = tmp_path / "scan.hspy", tmp_path / "saved.hspy"
    signal = made(path, poisson)
    results = computed(path, process, **({"poisson": True} if poisson else {}))
    pixelmill.hyperspy.take_decomposition(signal, results)
    signal.save(saved)
    loaded, own = hs.load(saved), hs.load(path)
    settings, tolerance = THEIRS[process]
    own.decomposition(poisson, process.upper(), 3, print_info=False, **settings)
    kept_as_theirs(loaded, own)
    loadings, components = np.asarray(results["Loadings"]), np.asarray(results["Components"])
    assert np.array_equal(loaded.get_decomposition_loadings().data, np.moveaxis(loadings, -1, 0))
    assert np.array_equal(loaded.get_decomposition_factors().data, components)
    for count in (1, 3):
        model = loaded.get_decomposition_model(count).data
        assert np.allclose(model, loadings[..., :count] @ components[:count])
    theirs, data = own.get_decomposition_model().data, own.data
    scale = np.sqrt(np.outer(data.sum(2), data.sum((0, 1)))).reshape(data.shape) if poisson else np.ones(data.shape)

    def differ(one: Any, other: Any) -> float:
        return float(np.linalg.norm((one - other) / scale) / np.linalg.norm(data / scale))

    assert differ(model, theirs) < tolerance and differ(model, data) < 1.0001 * differ(theirs, data)


@pytest.mark.parametrize("shape", [(30,), (5, 6), (5, 3, 2)])
@pytest.mark.parametrize("frame", [(40,), (5, 8)])
def test_other_shapes_are_kept_as_hyperspy_keeps_them(
    tmp_path: Path, shape: tuple[int, ...], frame: tuple[int, ...]
) -> None:
    path = tmp_path / "scan.hspy"
    signal = hs.signals.BaseSignal(made(path).data.reshape(shape + frame)).transpose(signal_axes=len(frame))
    signal.save(path, overwrite=True)
    pixelmill.hyperspy.take_decomposition(signal, computed(path, "nmf"))
    own = hs.load(path)
    own.decomposition(algorithm="NMF", output_dimension=3, print_info=False)
    kept_as_theirs(signal, own)
    assert signal.get_decomposition_factors().data.shape == (3, *frame)
    assert np.allclose(signal.get_decomposition_model().data, signal.data, atol=0.02)


def test_clusters_outlive_another_decomposition(tmp_path: Path) -> None:
    path = tmp_path / "scan.hspy"
    signal = made(path)
    signal.decomposition(output_dimension=3, print_info=False)
    signal.blind_source_separation(2, print_info=False)
    signal.cluster_analysis("signal", n_clusters=2)
    clusters = signal.get_cluster_labels(merged=True).data
    pixelmill.hyperspy.take_decomposition(signal, computed(path, "nmf"), replace=True)
    assert np.array_equal(signal.get_cluster_labels(merged=True).data, clusters)
    assert signal.learning_results.bss_factors is None and signal.learning_results.explained_variance is None


def test_what_does_not_belong_there_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "scan.hspy"
    signal = made(path)
    results = computed(path)
    take = pixelmill.hyperspy.take_decomposition
    with pytest.raises(pm.UsageError, match="points of the signal are \\(39,\\), those of the results \\(40,\\)"):
        take(signal.isig[:39], results)
    with pytest.raises(pm.UsageError, match="Sum; those of SVD, PCA, NMF, ORPCA or ORNMF are taken"):
        take(signal, pm.open(path).run("sum", progress=False))
    spoiled = tmp_path / "spoiled.hspy"
    made(spoiled)
    spoil(spoiled)
    with pytest.raises(pm.UsageError, match="1 positions of .* failed, and have no loadings; position 8"):
        take(signal, computed(spoiled))
    take(signal, results)
    before = signal.learning_results
    with pytest.raises(pm.UsageError, match="replace=True"):
        take(signal, results)
    assert signal.learning_results is before
    take(signal, results, replace=True)
    assert signal.learning_results is not before
