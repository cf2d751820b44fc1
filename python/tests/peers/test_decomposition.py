"""Decompositions as HyperSpy's learning_results: beside NumPy's, through a file that HyperSpy has written."""

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


def test_what_does_not_belong_there_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "scan.hspy"
    signal = made(path)
    results = computed(path)
    take = pixelmill.hyperspy.take_decomposition
    with pytest.raises(pm.UsageError, match="points of the signal are \\(39,\\), those of the results \\(40,\\)"):
        take(signal.isig[:39], results)
    with pytest.raises(pm.UsageError, match="SVD or PCA"):
        take(signal, pm.open(path).run("sum", progress=False))
    spoiled = tmp_path / "spoiled.hspy"
    made(spoiled)
    with h5py.File(spoiled, "r+") as file:
        next(iter(file["Experiments"].values()))["data"][1, 2, 3] = np.nan
    with pytest.raises(pm.UsageError, match="1 positions of .* failed, and have no loadings; position 8"):
        take(signal, computed(spoiled))
    take(signal, results)
    before = signal.learning_results
    with pytest.raises(pm.UsageError, match="replace=True"):
        take(signal, results)
    assert signal.learning_results is before
    take(signal, results, replace=True)
    assert signal.learning_results is not before
