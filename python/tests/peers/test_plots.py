"""What is drawn: the values, along the axes, with units, and with colours that a few extreme values don't decide."""

from collections.abc import Iterator
from pathlib import Path

import matplotlib
import numpy as np
import pixelmill as pm
import pytest
from conftest import values_of

matplotlib.use("agg")
import matplotlib.pyplot as plt  # noqa: E402


@pytest.fixture(autouse=True)
def closes_figures() -> Iterator[None]:
    yield
    plt.close("all")


def test_a_map_lies_at_its_axes(line_scan: Path) -> None:
    response = pm.open(line_scan).run("peak-finding", positions="0:2048", progress=False)["Peak_Response"]
    ax = response.plot()
    (mesh,) = ax.collections
    drawn = np.ma.filled(mesh.get_array(), np.nan)
    assert np.array_equal(drawn, response[:], equal_nan=True) and np.isnan(drawn[32:]).all()
    limits = np.nanpercentile(response[:], (2, 98))
    assert np.allclose(mesh.get_clim(), limits) and limits[1] < np.nanmax(response[:])
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("X [um]", "Y [um]", "Peak_Response")
    assert ax.figure.axes[1].get_ylabel() == "Deflection [V]"
    # Rows go downwards, and the last pixels lie around 10 um.
    assert ax.get_ylim()[0] > ax.get_ylim()[1] and 10 < ax.get_xlim()[1] < 10.2
    full = response.plot(percentiles=None).collections[0]
    assert np.allclose(full.get_clim(), (np.nanmin(response[:]), np.nanmax(response[:])))


def test_curves_choices_and_single_values(frames: Path) -> None:
    expected = values_of(frames, "frames")
    scan = pm.open(frames, "frames", (0, 1))
    rows = scan.map(lambda frame: frame.sum(1), name="rows", progress=False)["rows"]
    _, ax = plt.subplots()
    assert rows.plot(4, ax=ax) is ax
    assert np.array_equal(ax.collections[0].get_array(), expected.sum(3)[:, :, 4])
    with pytest.raises(pm.UsageError, match=r"as in \.plot\(0\)"):
        rows.plot()
    line = pm.open(frames, "frames", (0, 1), crop="0,:").run("statistics", progress=False)["Mean"].plot()
    assert np.allclose(line.lines[0].get_ydata(), expected[:, :, 0].mean((0, 1))) and line.get_xlabel() == "axis 3"


def test_trials_are_drawn_with_their_model(line_scan: Path) -> None:
    trial = pm.open(line_scan).test("sho-fit", at=(10, 20))
    amplitude, phase = trial.plot()
    data, *models = amplitude.lines
    assert np.allclose(data.get_ydata(), np.abs(trial.data)) and len(models) == len(trial.model) > 0
    assert np.allclose(phase.lines[1].get_ydata(), np.angle(next(iter(trial.model.values()))))
    assert phase.get_xlabel() == "Frequency [Hz]" and "(10, 20)" in amplitude.get_title()
    _, ax = plt.subplots()
    assert trial.plot(ax) is ax and ax.get_ylabel() == "amplitude"
    peak = pm.open(line_scan).test("peak-finding", at=(10, 20))
    assert peak.data is not None and peak.plot() is not None
