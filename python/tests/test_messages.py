"""What messages call options: as they are given in Python. All of them are gone over in `src/cli/hints.rs`."""

import inspect
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pixelmill as pm
import pytest


class Total(pm.Reduction):
    def prepare(self, source, buffers):
        buffers.per_point("Total")

    def process_partition(self, spectra, parts):
        parts["Total"] += spectra.sum(axis=0)


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """Datasets that nobody can compute on without telling more."""
    path = tmp_path / "odd.h5"
    values = np.arange(4 * 5 * 6.0).reshape(4, 5, 6)
    with h5py.File(path, "w") as file:
        file["one"], file["two"], file["line"] = values, values, values[0, 0]
        file["records"] = np.zeros((4, 5), [("r", "u1"), ("g", "u1")])
        file["large"] = np.full((4, 5, 6), (1 << 53) + 1)
    return path


def of_frames(path: Path, **options: Any) -> pm.Scan:
    return pm.open(path, "frames", (0, 1), **options)


def with_it_open(path: Path) -> object:
    with h5py.File(path):
        return of_frames(path).run("statistics", progress=False)


def named_twice(path: Path) -> object:
    other = path.with_name("other.h5")
    os.link(path, other)
    return of_frames(path, output=other).run("statistics", progress=False)


# What is done with a file of frames, or of odd datasets, and what is said of options then.
ON_FRAMES: list[tuple[Callable[[Path], object], str]] = [
    (lambda path: of_frames(path).run("statistics", memory="1K", progress=False), "raise memory=…"),
    (lambda path: pm.open(path, "frames"), "as in positions_axes=(0, 1); its axes"),
    (lambda path: pm.open(path, "frames", (7,)), "positions_axes=(7,): `/frames` has the axes"),
    (lambda path: pm.open(path, "frames", (0, 0)), "positions_axes=(0, 0): `/frames` has the axes"),
    (lambda path: of_frames(path, field="x"), "field=x: "),
    (named_twice, "leave output=… out"),
    (with_it_open, "write the results elsewhere with output=…"),
    (lambda path: of_frames(path).run("pick", progress=False), "name them with positions=…"),
    (lambda path: of_frames(path).run("peak-finding", progress=False), "name the axis with along=…, or, if one"),
    (lambda path: of_frames(path).reduce(Total(), retry_failed=True, progress=False), "override=True folds all"),
]
ON_ODD: list[tuple[Callable[[Path], object], str]] = [
    (lambda path: pm.open(path), "name one with dataset=…: "),
    (lambda path: pm.open(path, "line"), "positions_axes=() if it is one measurement, or positions_axes=(0,);"),
    (lambda path: pm.open(path, "records", (0, 1)), "name it with field=…: r"),
    (lambda path: pm.open(path, "records", (0, 1), field="b"), "field=b: "),
]
# All that can be given, as far as it is told of.
OPTIONS = set(inspect.signature(pm.open).parameters) | set(inspect.signature(pm.Scan.run).parameters)


def check(path: Path, done: Callable[[Path], object], told: str) -> None:
    """Looks whether what is said names options as they are called here."""
    with pytest.raises(pm.Error) as met:
        done(path)
    message = str(met.value)
    assert told in message
    assert not re.search(r"(^|[^-\w])--?[a-z]", message), message
    assert set(re.findall(r"(\w+)=", message)) <= OPTIONS, message


@pytest.mark.parametrize(("done", "told"), ON_FRAMES)
def test_messages_name_options_as_they_are_called_in_python(
    frames: Path, done: Callable[[Path], object], told: str
) -> None:
    check(frames, done, told)


@pytest.mark.parametrize(("done", "told"), ON_ODD)
def test_what_is_odd_is_told_so_too(odd: Path, done: Callable[[Path], object], told: str) -> None:
    check(odd, done, told)


@pytest.mark.parametrize(
    ("option", "given", "told"),
    [
        ("durability", "nodes", """'nodes': it has to be "node" or "process" (did you mean "node"?)"""),
        ("durability", True, """True: it has to be "node" or "process\""""),
        ("durability", ["node"], """["node"]: it has to be "node" or "process\""""),
        ("cache", "Dorp", """'Dorp': it has to be "keep" or "drop" (did you mean "drop"?)"""),
        ("compress", "zip", """'zip': it has to be "gzip", "zstd" or "none" (did you mean "gzip"?)"""),
        ("compress", "lossless", """'lossless': it has to be "gzip", "zstd" or "none\""""),
        ("override", "yes", "'yes': it has to be True or False"),
        ("retry_failed", 1, "1: it has to be True or False"),
        ("check_data", "no", "'no': it has to be True or False"),
        ("resume", 3, "3: it has to be a text"),
        ("checkpoint", "soon", "'soon': it has to be a number of seconds"),
        ("checkpoint", 0, "0: it has to be from 0.001 to 1000000"),
        ("memory", "many", "many: it has to be a number with an optional K, M, G or T"),
        ("cores", 0, "0: it has to be a number from 1 on, or `all`"),
    ],
)
def test_what_an_option_has_to_be_is_said(frames: Path, option: str, given: Any, told: str) -> None:
    scan = of_frames(frames)
    runs: list[Callable[..., object]] = [
        lambda **of: scan.run("statistics", **of),
        lambda **of: scan.map(np.sum, version=1, **of),
        lambda **of: scan.reduce(Total(), **of),
    ]
    for run in runs:
        with pytest.raises(pm.UsageError) as met:
            run(progress=False, **{option: given})
        assert str(met.value) == f"{option}={told}" and met.value.argument == f"{option}={told.split(': it has')[0]}"
    results = scan.run("statistics", durability="process", cache="drop", compress="gzip", progress=False)
    assert results.outcome == "finished"


@pytest.mark.parametrize(
    ("option", "given", "told"),
    [
        ("positions_axes", "01", "positions_axes='01': it has to be a list of numbers of axes, from 0 on"),
        ("positions_axes", 0, "positions_axes=0: it has to be a list of numbers of axes, from 0 on"),
        ("along", 3, "along=3: it has to be the name of an axis, or a list of some"),
        ("crop", 3, "crop=3: it has to be a text, or steps and slices in a list"),
        ("crop", ["a"], "crop=['a']: it has to be a text, or steps and slices in a list"),
        ("dataset", 3, "dataset=3: it has to be a text"),
        ("dead_pixels", True, "dead_pixels=True: it has to be a text"),
        ("allow_rounding", "x", "allow_rounding='x': it has to be True or False"),
        ("output", 7, "output=7: it has to be a path"),
    ],
)
def test_what_an_option_of_open_has_to_be_is_said(frames: Path, option: str, given: Any, told: str) -> None:
    with pytest.raises(pm.UsageError) as met:
        pm.open(frames, **{"dataset": "frames", "positions_axes": (0, 1), option: given})
    assert str(met.value) == told


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"workers": "thread"}, """workers='thread': it has to be "auto", "processes" or "threads" (did you mean"""),
        ({"edges": "Nearest", "neighbours": 1}, """edges='Nearest': it has to be "reflect", "nearest" or "missing" """),
        ({"backend": "cuda"}, """backend='cuda': it has to be "numpy" or "cupy\""""),
        ({"backend": 3}, """backend=3: it has to be "numpy" or "cupy\""""),
    ],
)
def test_what_the_options_of_maps_have_to_be_is_said(frames: Path, given: dict[str, Any], told: str) -> None:
    def total(frame: Any, **_: Any) -> Any:
        return frame.sum()

    with pytest.raises(pm.UsageError) as met:
        of_frames(frames).map(total, version=1, progress=False, **given)
    assert str(met.value).startswith(told)
