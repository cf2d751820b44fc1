"""What a mapped function is called with, and what its results are called."""

import functools
from pathlib import Path

import h5py
import numpy as np
import pixelmill as pm
import pytest


def test_arguments_of_other_kinds_are_refused_and_none_stands_for_the_function(frames: Path) -> None:
    scan = pm.open(frames, "frames", (0, 1))
    for wrong in [np.ma.masked_equal(np.arange(12), 3), np.ma.masked_equal(np.arange(48).reshape(6, 8), 3)]:
        with pytest.raises(pm.FunctionError, match="`by` is a MaskedArray"):
            scan.map(lambda frame, by: frame.sum() * by.sum(), name="by", by=wrong, progress=False)

    def total(frame, python_function):
        return frame.sum()

    def most(frame, python_function):
        return frame.max()

    first = scan.map(total, name="called", python_function="same", workers="threads", progress=False)
    second = scan.map(most, name="called", python_function="same", workers="threads", progress=False)
    assert second.group != first.group
    partly = functools.partial(total, python_function=2)
    assert scan.map(partly, workers="threads", progress=False).group not in (first.group, second.group)


@pytest.mark.parametrize("axes", [(1, 0), (0, 2), (2, 1)])
def test_a_scan_whose_positions_lie_elsewhere_is_not_taken_for_one_in_step(
    tmp_path: Path, axes: tuple[int, int]
) -> None:
    path = tmp_path / "square.h5"
    with h5py.File(path, "w") as file:
        file["values"] = np.arange(64.0).reshape(4, 4, 4)

    def difference(frame, other):
        return frame - other

    scan, turned = pm.open(path, "values", (0, 1)), pm.open(path, "values", axes)
    with pytest.raises(pm.UsageError, match=r"its positions on the first axes of its dataset, slowest first, not on"):
        scan.map(difference, other=turned, progress=False)
    of_turned = turned.map(difference, other=scan, workers="threads", progress=False)["difference"]
    steps = [(one, other) for one in range(4) for other in range(4)]
    assert all(np.array_equal(of_turned[at], turned[at] - scan[at]) for at in steps)


@pytest.mark.parametrize("name", ["a/b", ".", "a\nb", "a\0", "\ud800", "completed_positions", "failure_messages"])
def test_results_have_names_that_the_file_can_hold(frames: Path, name: str) -> None:
    scan = pm.open(frames, "frames", (0, 1))
    before = frames.read_bytes()
    with pytest.raises(pm.UsageError, match="^name="):
        scan.map(np.sum, name=name, version=1, progress=False)
    with pytest.raises(pm.UsageError, match="^output="):
        scan.map(lambda frame: {name: frame.sum()}, name="named", workers="threads", progress=False)
    assert frames.read_bytes() == before


def test_several_outputs_have_several_names(frames: Path) -> None:
    scan = pm.open(frames, "frames", (0, 1))
    for returned, reason in [({1: 2, "1": 3}, "several outputs of one name: 1, 1"), ((), "it returned nothing")]:
        with pytest.raises(pm.FunctionError, match=reason):
            scan.map(lambda frame, returned: returned, name="of", returned=returned, workers="threads", progress=False)


@pytest.mark.parametrize("name", ["timestamp", "platform", "parameters", "last_pixel"])
def test_arguments_may_be_called_as_what_results_tell_of_themselves(frames: Path, name: str) -> None:
    scan = pm.open(frames, "frames", (0, 1))

    def scaled(frame, **factor):
        return frame.sum() * factor[name]

    for factor in (2, 3):
        results = scan.map(scaled, workers="threads", progress=False, **{name: factor})
        assert results["scaled"][2, 3] == scan[2, 3].sum() * factor
