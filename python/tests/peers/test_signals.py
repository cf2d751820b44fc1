"""Scans and results as HyperSpy, xarray and sidpy have them."""

from pathlib import Path
from typing import Any

import h5py
import hyperspy.api as hs
import numpy as np
import pixelmill as pm
import pytest
import sidpy
from conftest import values_of


def with_axes(path: Path, second: Any) -> Any:
    """A scan of spectra on dimension scales, of which the second is as it is given and the others are even."""
    axes = [("Y", "nm", 3 + 0.5 * np.arange(4)), ("X", "nm", np.asarray(second, float)), ("T", "K", 6.0 - np.arange(6))]
    values = np.random.default_rng(0).random((4, 5, 6)).astype("f4")
    with h5py.File(path, "w") as file:
        stored = file.create_dataset("spectra", data=values)
        stored.attrs.update(quantity="Current", units="nA")
        for number, (name, units, steps) in enumerate(axes):
            scale = file.create_dataset(name, data=steps)
            scale.make_scale(name)
            scale.attrs["units"] = units
            stored.dims[number].attach_scale(scale)
            stored.dims[number].label = name
    return pm.open(path, "spectra", (0, 1))


def test_hyperspy_has_axes_units_and_lazy_values(tmp_path: Path) -> None:
    scan = with_axes(tmp_path / "scan.h5", [0, 1, 4, 9, 16])
    signal = scan.to_hyperspy()
    assert isinstance(signal, hs.signals.Signal1D) and signal._lazy
    x, y = signal.axes_manager.navigation_axes
    t = signal.axes_manager.signal_axes[0]
    assert (y.name, y.units, y.scale, y.offset, y.size) == ("Y", "nm", 0.5, 3.0, 4)
    assert not x.is_uniform and np.array_equal(x.axis, [0, 1, 4, 9, 16]) and x.units == "nm"
    assert (t.name, t.scale, t.offset) == ("T", -1.0, 6.0)
    assert signal.metadata.Signal.quantity == "Current (nA)" and signal.metadata.General.title == "spectra"
    expected = values_of(tmp_path / "scan.h5", "spectra")
    assert np.array_equal(signal.inav[2, 1].data.compute(), expected[1, 2])
    smoothed = signal.map(lambda spectrum: spectrum.cumsum(), inplace=False, lazy_output=False)
    assert np.allclose(smoothed.data, expected.cumsum(2))
    # Their steps are uneven, though by less than float32 has of so large numbers.
    far = with_axes(tmp_path / "far.h5", 1e6 + np.array([0, 0.1, 0.4, 0.9, 1.6])).to_hyperspy()
    assert not far.axes_manager.navigation_axes[0].is_uniform
    there_and_back = with_axes(tmp_path / "turned.h5", [0, 1, 2, 1, 0]).to_hyperspy()
    x = there_and_back.axes_manager.navigation_axes[0]
    assert (x.name, x.scale, x.offset, x.size) == ("X", 1.0, 0.0, 5)


def test_hyperspy_has_classes_types_and_titles(tmp_path: Path, line_scan: Path, frames: Path) -> None:
    signal = pm.open(line_scan).to_hyperspy()
    assert isinstance(signal, hs.signals.ComplexSignal1D) and signal._lazy
    frequency = signal.axes_manager.signal_axes[0]
    assert frequency.units == "Hz" and frequency.is_uniform and abs(frequency.scale - 70000 / 118) < 1e-3
    assert isinstance(pm.open(frames, "frames", (0, 1)).to_hyperspy(), hs.signals.Signal2D)
    own = hs.signals.Signal1D(np.arange(24.0).reshape(2, 3, 4))
    own.metadata.General.title = "ours"
    own.metadata.Signal.signal_type = "some_type"
    own.axes_manager.signal_axes[0].is_binned = True
    own.axes_manager[0].scale, own.axes_manager[0].units = 0.1, "nm"
    own.save(tmp_path / "own.hspy")
    again = pm.open(tmp_path / "own.hspy").to_hyperspy()
    assert again.metadata.General.title == "ours" and again.metadata.Signal.signal_type == "some_type"
    assert again.axes_manager.signal_axes[0].is_binned and abs(again.axes_manager[0].scale - 0.1) < 1e-12
    assert np.array_equal(again.data.compute(), own.data)


def test_xarray_has_coordinates(tmp_path: Path, line_scan: Path) -> None:
    scan = with_axes(tmp_path / "axes.h5", [0, 1, 4, 9, 16])
    array = scan.to_xarray()
    assert array.dims == ("Y", "X", "T") and array.attrs == {"long_name": "Current", "units": "nA"}
    assert array.name == "spectra" and array.X.attrs["units"] == "nm"
    expected = values_of(tmp_path / "axes.h5", "spectra")
    assert np.array_equal(array.sel(X=9, Y=3.5, T=4).compute(), expected[1, 3, 2])
    means = scan.run("spectrum-statistics", progress=False)["Mean"].to_xarray()
    assert means.dims == ("Y", "X") and np.array_equal(means.X, [0, 1, 4, 9, 16])
    assert np.allclose(means, expected.mean(2))
    folded = scan.run("statistics", progress=False)["Mean"].to_xarray()
    assert folded.dims == ("T",) and np.array_equal(folded["T"], 6.0 - np.arange(6)) and folded["T"].units == "K"
    fit = pm.open(line_scan).run("sho-fit", positions="0:64", progress=False)["Fit"].to_xarray()
    assert list(fit)[0] == "Amplitude [V]" and fit[list(fit)[0]].dims[:2] == ("Y", "X")


def test_sidpy_has_dimensions_and_types(tmp_path: Path, frames: Path) -> None:
    scan = with_axes(tmp_path / "scan.h5", [0, 1, 4, 9, 16])
    data = scan.to_sidpy()
    assert data.data_type == sidpy.DataType.SPECTRAL_IMAGE and (data.quantity, data.units) == ("Current", "nA")
    # An array has a T of its own.
    assert [axis.name for axis in data._axes.values()] == ["Y", "X", "T_"] and data.T.shape == (6, 5, 4)
    assert data.X.units == "nm" and data.X.dimension_type == sidpy.DimensionType.SPATIAL
    expected = values_of(tmp_path / "scan.h5", "spectra")
    assert np.array_equal(np.asarray(data[1:3].compute()), expected[1:3])
    four = pm.open(frames, "frames", (0, 1)).to_sidpy()
    assert four.data_type == sidpy.DataType.IMAGE_4D
    assert four._axes[3].dimension_type == sidpy.DimensionType.RECIPROCAL
    means = scan.run("spectrum-statistics", progress=False)["Mean"].to_sidpy()
    assert means.data_type == sidpy.DataType.IMAGE and np.allclose(np.asarray(means), expected.mean(2))


def test_records_are_for_fields(line_scan: Path) -> None:
    fit = pm.open(line_scan).run("sho-fit", positions="0:64", progress=False)["Fit"]
    with pytest.raises(pm.UsageError, match="holds records; choose a field"):
        fit.to_sidpy()
    assert fit[fit.dtype.names[0]].to_sidpy().shape[:2] == (64, 64)
