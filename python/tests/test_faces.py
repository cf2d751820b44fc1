"""Scans and results as notebooks show them, and what needs packages that needn't be there."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pixelmill as pm
import pytest
from conftest import rewritten, values_of


def test_scans_and_results_are_tables_in_a_notebook(line_scan: Path) -> None:
    scan = pm.open(line_scan)
    results = scan.run("peak-finding", positions=slice(0, 40), progress=False)
    told = scan._repr_html_()
    for part in ["<td style='text-align: left'>Frequency</td>", "300000 … 370000 Hz", "Deflection [V], complex64"]:
        assert part in told, told
    assert "is read directly" in told and "Peak_Finding: partial, 40 of 4,096 positions" in told
    told = results._repr_html_()
    for part in ["Peak_Finding: 40 of 4,096 positions", ">Peak_Position</td>", ">64 × 64</td>", ">float32</td>"]:
        assert part in told, told


def test_names_cannot_break_a_notebook(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["<script>"] = np.zeros((2, 3))
    told = pm.open(tmp_path / "a.h5", "<script>", (0,))._repr_html_()
    assert "<script>" not in told and "&lt;script&gt;" in told


def test_axes_of_results_are_those_in_the_file(line_scan: Path, frames: Path) -> None:
    response = pm.open(line_scan).run("peak-finding", positions="0:64", progress=False)["Peak_Response"]
    assert [(axis.name, axis.units, len(axis)) for axis in response.axes] == [("Y", "um", 64), ("X", "um", 64)]
    assert response.axes[1].values[-1] == 10
    rewritten(line_scan, 4000)
    response = pm.open(line_scan).run("peak-finding", positions="0:64", progress=False)["Peak_Response"]
    assert [(axis.name, len(axis)) for axis in response.axes] == [("position", 4000)]
    scan = pm.open(frames, "frames", (0, 1))
    assert [axis.name for axis in scan.run("statistics", progress=False)["Mean"].axes] == ["axis 2", "axis 3"]
    smaller = scan.run("rebin", parameters={"positions": 2}, progress=False)["Rebinned"]
    assert [len(axis) for axis in smaller.axes] == list(smaller.shape)
    dataset = smaller.h5py()
    assert dataset.shape == smaller.shape
    dataset.file.close()


def test_images_have_rows_and_columns(line_scan: Path, frames: Path) -> None:
    expected = values_of(frames, "frames")
    scan = pm.open(frames, "frames", (0, 1))
    assert np.array_equal(scan.run("sum", progress=False)["Sum"].image(), expected.sum((2, 3)))
    pairs = scan.map(lambda frame: frame.sum(1), name="rows", progress=False)["rows"]
    assert np.array_equal(pairs.image(4), expected.sum(3)[:, :, 4])
    with pytest.raises(pm.UsageError, match=r"is 6 × 8 × 10; choose steps of the last axes, as in \.image\(0\)"):
        pairs.image()
    row = pm.open(frames, "frames", (0, 1), crop="0,:").run("statistics", progress=False)["Mean"]
    assert row.image().shape == (1, 12)
    size = pm.open(line_scan).map(lambda spectrum: spectrum[3], name="third", progress=False)["third"]
    raw = values_of(line_scan, "/Measurement_000/Channel_000/Raw_Data")[:, 3]
    assert np.array_equal(size.image(), np.abs(raw).reshape(64, 64))
    fit = pm.open(line_scan).run("sho-fit", positions="0:64", progress=False)["Fit"]
    with pytest.raises(pm.UsageError, match="holds records; choose a field"):
        fit.image()
    assert fit[fit.dtype.names[0]].image().shape == (64, 64)


@pytest.mark.parametrize(
    ("package", "call"),
    [
        ("dask", "scan.to_dask()"),
        ("dask", "scan.to_xarray()"),
        ("dask", "scan.to_sidpy()"),
        ("hyperspy", "scan.to_hyperspy()"),
        ("matplotlib", "scan.test('peak-finding', (1, 1)).plot()"),
        ("libertem", "__import__('pixelmill.libertem')"),
    ],
)
def test_what_is_not_there_is_named(line_scan: Path, package: str, call: str) -> None:
    script = f"""
import sys
sys.modules[{package!r}] = None
import pixelmill as pm
scan = pm.open({str(line_scan)!r})
try:
    {call}
except pm.MissingPackageError as error:
    assert isinstance(error, ImportError) and error.package == {package!r}
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert f"needs the package `{package}`" in ran.stdout and f"`pip install {package}`" in ran.stdout, ran
