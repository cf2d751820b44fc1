"""Files that others change meanwhile, and declarations that can't be kept."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pixelmill as pm
import pytest
from conftest import values_of


def replaced(path: Path, values: Any) -> None:
    path.unlink()
    with h5py.File(path, "w") as file:
        file["frames"] = values


def total(frame):
    return frame.sum()


def test_a_dataset_of_another_shape_or_type_is_no_longer_read_as_the_old(frames: Path) -> None:
    scan = pm.open(frames, "frames", (0, 1))
    values = values_of(frames, "frames")
    # As many bytes, which would be taken for other numbers; other positions; other frames.
    for others in (values.astype(np.float16).view(np.int16), values.reshape(8, 6, 10, 12), values[..., :4]):
        replaced(frames, others)
        for look in (lambda: scan[0, 0], scan.region, lambda: scan.map(total, workers="threads", progress=False)):
            with pytest.raises(pm.FileError, match="another shape or type than when it was opened; open it anew"):
                look()
        assert np.array_equal(pm.open(frames, "frames", (0, 1))[5, 5], others[5, 5])
    replaced(frames, values + 1)
    assert np.array_equal(scan[2, 3], values[2, 3] + 1)


def test_results_that_are_gone_are_said_to_be(frames: Path) -> None:
    results = pm.open(frames, "frames", (0, 1)).map(total, workers="threads", progress=False)
    with h5py.File(frames, "r+") as file:
        del file[results.group]["total"]
        file[results.group]["total"] = np.arange(6)
    for change in ("replaced", "deleted"):
        with pytest.raises(pm.ResultsError, match="/frames-total_000/total isn't there any more, or was changed"):
            results["total"][2, 3]
        with h5py.File(frames, "r+") as file:
            file.pop(results.group) if change == "replaced" else None


def test_results_that_no_memory_holds_are_refused(frames: Path) -> None:
    scan = pm.open(frames, "frames", (0, 1))
    with pytest.raises(pm.UsageError, match="for one position are 8,000,000,000,000 bytes") as met:
        scan.map(total, output_dtype="f8", output_shape=(10**6, 10**6), progress=False)
    assert met.value.kind == "TooLittleMemory"
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"output_dtype": "x"}, "output_dtype='x': data type 'x' not understood"),
        ({"output_dtype": "longdouble"}, "output_dtype='longdouble': results are integers"),
        ({"output_dtype": "f8", "output_shape": (2, -1)}, "has to be a length, or several"),
        ({"output_dtype": "f8", "output_shape": 2.5}, "has to be a length, or several"),
        ({"positions": []}, "positions: none are chosen"),
        ({"positions": np.zeros((6, 8), bool)}, "positions: none are chosen"),
    ]
    for options, reason in wrong:
        with pytest.raises(pm.UsageError, match=reason.replace("(", r"\(")):
            scan.map(total, workers="threads", progress=False, **options)
    with pytest.raises(pm.FunctionError, match="has no output `a`; its outputs: one, which has no name"):
        scan.map(total, workers="threads", output_dtype={"a": "f8"}, progress=False)
