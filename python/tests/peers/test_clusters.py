"""Clusters as HyperSpy's learning_results: beside those of its own cluster_analysis, through a file that it writes."""

from pathlib import Path
from typing import Any

import dask.array as da
import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pixelmill as pm
import pixelmill.hyperspy
import pytest
from test_decomposition import spoil

take = pixelmill.hyperspy.take_clusters
SHAPES = [((5, 6), (40,)), ((30,), (40,)), ((5, 6), (5, 8)), ((5, 3, 2), (40,))]


def made(
    path: Path, shape: tuple[int, ...] = (5, 6), frame: tuple[int, ...] = (40,), dtype: Any = np.float64
) -> Any:
    """A file with spectra round three others, 15, 10 and 5 times."""
    rng = np.random.default_rng(5)
    spectra = rng.uniform(20, 200, (3, 40))[rng.permutation(np.repeat([0, 1, 2], [15, 10, 5]))]
    data = (spectra + rng.uniform(0, 5, spectra.shape)).astype(dtype).reshape(shape + frame)
    signal = hs.signals.BaseSignal(data).transpose(signal_axes=len(frame))
    signal.save(path, overwrite=True)
    return signal


def computed(path: Path, process: str = "kmeans", **parameters: Any) -> pm.Results:
    count = "components" if process == "gaussian-mixture" else "clusters"
    return pm.open(path).run(process, progress=False, **{count: 3, **parameters})


def matched(own: Any, signal: Any) -> list[int]:
    """Which of HyperSpy's clusters is each of ours."""
    theirs, ours = own.learning_results.cluster_labels, signal.learning_results.cluster_labels
    same = (theirs[None] == ours[:, None]).all(2)
    assert (same.sum(1) == 1).all(), "the clusters are others"
    return list(same.argmax(1))


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
@pytest.mark.parametrize(("shape", "frame"), SHAPES)
def test_a_saved_signal_has_the_clusters_of_hyperspy(
    tmp_path: Path, shape: tuple[int, ...], frame: tuple[int, ...], dtype: Any
) -> None:
    path, saved = tmp_path / "scan.hspy", tmp_path / "saved.hspy"
    signal, own = made(path, shape, frame, dtype), made(tmp_path / "own.hspy", shape, frame, dtype)
    take(signal, computed(path))
    signal.save(saved)
    loaded = hs.load(saved)
    own.cluster_analysis("signal", algorithm="kmeans", n_clusters=3, n_init=10, random_state=1)
    order = matched(own, loaded)
    for name, theirs in vars(own.learning_results).items():
        ours = getattr(loaded.learning_results, name)
        if isinstance(theirs, np.ndarray):
            assert np.allclose(ours, theirs[order], rtol=1e-5), name
        else:
            assert ours == theirs, name
    for kind in ("mean", "sum", "centroid"):
        theirs = own.get_cluster_signals(kind).data[order]
        assert np.allclose(loaded.get_cluster_signals(kind).data, theirs, rtol=1e-5)
    assert np.allclose(loaded.get_cluster_distances().data, own.get_cluster_distances().data[order], rtol=1e-5)


def test_clusters_have_the_numbers_of_the_results_and_are_drawn(tmp_path: Path) -> None:
    path, saved = tmp_path / "scan.hspy", tmp_path / "saved.hspy"
    signal = made(path)
    results = computed(path)
    take(signal, results)
    signal.save(saved)
    loaded = hs.load(saved)
    assert np.array_equal(loaded.get_cluster_labels(merged=True).data, results["Labels"])
    assert np.array_equal(loaded.get_cluster_labels().data.sum((1, 2)), results["Count"])
    distances = loaded.get_cluster_distances().data
    assert np.allclose(distances.min(0), results["Distance"])
    assert np.array_equal(distances.argmin(0), results["Labels"])
    loaded.plot_cluster_labels(with_centers=True)
    loaded.plot_cluster_distances()
    loaded.plot_cluster_signals()
    loaded.plot_cluster_results()
    plt.close("all")
    loaded.export_cluster_results(folder=str(tmp_path))
    exported = hs.load(tmp_path / "cluster_center-1.hspy").data
    assert np.array_equal(exported, results["Mean_Response"][1])


@pytest.mark.parametrize("chunks", [(2, 4, 7), (5, 6, 40), (1, 1, 40)])
def test_a_lazy_signal_has_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunks: tuple[int, ...]
) -> None:
    path, saved = tmp_path / "scan.hspy", tmp_path / "saved.hspy"
    signal, results = made(path), computed(path)
    lazy = hs.load(path, lazy=True)
    lazy.data = lazy.data.rechunk(chunks)
    take(signal, results)
    monkeypatch.setattr(pixelmill.hyperspy, "_TOGETHER", 3 * 40)
    take(lazy, results)
    assert isinstance(lazy.data, da.Array)
    lazy.save(saved)
    learnt = hs.load(saved).learning_results
    for name, value in vars(signal.learning_results).items():
        same = np.allclose if isinstance(value, np.ndarray) else np.equal
        assert same(getattr(learnt, name), value), name


def test_a_signal_whose_array_begins_with_the_spectrum_has_the_same(tmp_path: Path) -> None:
    path = tmp_path / "scan.hspy"
    signal, results = made(path), computed(path)
    turned = hs.signals.BaseSignal(np.moveaxis(signal.data, -1, 0).copy(), axes=[{"size": n} for n in (40, 5, 6)])
    for axis, navigate in zip(turned.axes_manager._axes, (False, True, True)):
        axis.navigate = navigate
    assert turned.axes_manager.navigation_indices_in_array == (2, 1)
    take(signal, results)
    take(turned, results)
    for name in ("cluster_sum_signals", "cluster_distances", "cluster_centroid_signals"):
        assert np.allclose(getattr(turned.learning_results, name), getattr(signal.learning_results, name)), name


def test_complex_spectra_and_mini_batches(tmp_path: Path) -> None:
    path = tmp_path / "scan.hspy"
    signal = made(path)
    signal = hs.signals.ComplexSignal1D(signal.data * np.exp(1j * np.arange(40)))
    signal.save(path, overwrite=True)
    results = computed(path, batch=15)
    take(signal, results)
    learnt, flat = signal.learning_results, signal.data.reshape(30, 40)
    assert learnt.cluster_algorithm == "minibatchkmeans"
    assert np.allclose(learnt.cluster_sum_signals, learnt.cluster_labels @ flat)
    assert np.allclose(learnt.cluster_distances.min(0), np.asarray(results["Distance"]).ravel())


def test_a_mixture_has_its_most_probable_components(tmp_path: Path) -> None:
    path, saved = tmp_path / "scan.hspy", tmp_path / "saved.hspy"
    signal = made(path)
    results = computed(path, "gaussian-mixture", covariance="spherical")
    take(signal, results)
    signal.save(saved)
    loaded, means, flat = hs.load(saved), np.asarray(results["Mean_Response"]), signal.data.reshape(30, 40)
    learnt, labels = loaded.learning_results, np.asarray(results["Labels"])
    assert learnt.cluster_algorithm == "gaussian-mixture" and learnt.number_of_clusters == 3
    assert np.array_equal(loaded.get_cluster_labels(merged=True).data, labels)
    distances = np.linalg.norm(flat - means[:, None], axis=2)
    assert np.allclose(loaded.get_cluster_distances().data.reshape(3, 30), distances)
    assert np.array_equal(loaded.get_cluster_signals("centroid").data, flat[distances.argmin(1)])
    mean = [signal.data[labels == number].mean(0) for number in range(3)]
    assert np.allclose(loaded.get_cluster_signals().data, mean)


def test_a_cluster_may_be_empty(tmp_path: Path) -> None:
    path = tmp_path / "scan.hspy"
    signal = hs.signals.Signal1D(np.full((5, 6, 40), 3.0))
    signal.save(path)
    take(signal, computed(path))
    learnt = signal.learning_results
    assert list(learnt.cluster_labels.sum(1)) == [30, 0, 0] and learnt.number_of_clusters == 3
    assert np.array_equal(learnt.cluster_sum_signals, np.outer([90, 0, 0], np.ones(40)))


def test_what_does_not_belong_there_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "scan.hspy"
    signal = made(path)
    results = computed(path)
    before = signal.learning_results
    with pytest.raises(pm.UsageError, match="has results of Sum; those of K_Means or Gaussian_Mixture are taken"):
        take(signal, pm.open(path).run("sum", progress=False))
    with pytest.raises(pm.UsageError, match="positions of the signal are \\(5, 5\\), those of the results \\(5, 6\\)"):
        take(signal.inav[:5], results)
    with pytest.raises(pm.UsageError, match="points of the signal are \\(39,\\), those of the results \\(40,\\)"):
        take(signal.isig[:39], results)
    other = signal.deepcopy()
    other.data[1, 2, 3] += 30
    with pytest.raises(pm.UsageError, match="values aren't those that .* is of: position 8 is .* from its centre"):
        take(other, results)
    spoiled = tmp_path / "spoiled.hspy"
    made(spoiled)
    spoil(spoiled)
    with pytest.raises(pm.UsageError, match="1 positions of .* failed, and have no labels; position 8"):
        take(signal, computed(spoiled))
    assert signal.learning_results is before and before.cluster_labels is None


def test_clusters_are_lost_only_if_that_is_said_and_nothing_else_is(tmp_path: Path) -> None:
    path = tmp_path / "scan.hspy"
    signal = made(path)
    results = computed(path)
    signal.decomposition(print_info=False, output_dimension=3)
    take(signal, results)
    before = signal.learning_results
    assert before.factors.shape == (40, 3) and before.explained_variance is not None
    with pytest.raises(pm.UsageError, match="has clusters already; say replace=True to lose them"):
        take(signal, computed(path, clusters=2))
    assert signal.learning_results is before
    take(signal, computed(path, clusters=2), replace=True)
    assert signal.learning_results.number_of_clusters == 2 and signal.learning_results.factors is before.factors
