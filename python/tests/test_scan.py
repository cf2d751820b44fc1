"""A scan that is looked at: its values are those that h5py reads."""

from pathlib import Path

import h5py
import numpy as np
import pixelmill as pm
import pytest
from conftest import values_of


def test_a_position_is_a_read_only_array_of_the_values_there(frames: Path) -> None:
    scan = pm.open(frames, dataset="frames", positions_axes=(0, 1))
    expected = values_of(frames, "frames")
    assert (scan.shape, len(scan), scan.dtype) == ((6, 8, 10, 12), 6, np.uint16)
    found = scan[4, -1]
    assert np.array_equal(found, expected[4, 7]) and not found.flags.writeable
    with pytest.raises(IndexError, match="no such position"):
        scan[6, 0]
    with pytest.raises(pm.PositionError):
        scan[3]
    for run in [(47, 49), (5, 3), (0, 2**63)]:
        with pytest.raises(pm.PositionError):
            scan._source.read([run])
    with pytest.raises(TypeError, match="region"):
        scan[0:2, 0]  # type: ignore[index]


def test_regions_are_those_of_numpy(frames: Path) -> None:
    scan = pm.open(frames, "frames", (0, 1))
    expected = values_of(frames, "frames")
    assert np.array_equal(scan.region(), expected)
    assert np.array_equal(scan.region(slice(1, 5, 2), slice(None, None, -3)), expected[1:5:2, ::-3])
    assert np.array_equal(scan.region(2, slice(3, 7)), expected[2, 3:7])
    assert np.array_equal(scan.region(slice(4, 4)), expected[4:4])
    turned = pm.open(frames, "frames", (1, 0))
    assert np.array_equal(turned[7, 2], expected[2, 7])


def test_blocks_are_all_of_the_scan_within_memory(frames: Path) -> None:
    scan = pm.open(frames, "frames", (0, 1))
    expected = values_of(frames, "frames")
    for memory, most in [("1M", 1), (14400, 8), (4000, 48)]:
        found = np.zeros_like(expected)
        blocks = list(scan.iter_blocks(memory))
        for where, values in blocks:
            assert values.nbytes <= 1 << 19 if memory == "1M" else values.nbytes <= int(memory) // 2
            found[where] += values
        assert np.array_equal(found, expected) and len(blocks) <= most, (memory, len(blocks))


def test_values_are_cropped_and_corrected_as_on_the_command_line(frames: Path) -> None:
    expected = values_of(frames, "frames")
    cropped = pm.open(frames, "frames", (0, 1), crop=(slice(2, 8), slice(None, None, 2)))
    assert np.array_equal(cropped[1, 2], expected[1, 2, 2:8, ::2])
    assert [len(axis) for axis in cropped.spectral_axes] == [6, 6]
    assert np.array_equal(pm.open(frames, "frames", (0, 1), crop="2:8,::2").region(), cropped.region())
    dark = pm.open(frames, "frames", (0, 1), dark="/dark")
    assert dark.dtype == np.float32
    assert np.allclose(dark[5, 5], expected[5, 5] - values_of(frames, "dark"))
    swapped = frames.with_name("swapped.h5")
    with h5py.File(swapped, "w") as file:
        file["frames"] = expected.astype(">f4")
    assert np.array_equal(pm.open(swapped, positions_axes=(0, 1)).region(), expected)


def test_it_tells_what_it_is(line_scan: Path, frames: Path) -> None:
    scan = pm.open(line_scan)
    scan.run("peak-finding", positions=slice(0, 40), progress=False)
    told = repr(scan)
    for part in ["Deflection [V], complex64, 64 × 64 × 119", "Y: 64 steps, 0 … 10 um", "Frequency: 119 steps"]:
        assert part in told, told
    assert "is read directly" in told and "Peak_Finding: partial, 40 of 4,096 positions" in told, told
    assert "chunks of 2 × 3 × 10 × 12, gzip" in repr(pm.open(frames, "frames", (0, 1)))
    axis = scan.spectral_axes[0]
    assert (axis.name, axis.units, len(axis)) == ("Frequency", "Hz", 119) and axis.values[0] == 300000


def test_what_is_wrong_is_said_as_on_the_command_line(frames: Path, tmp_path: Path) -> None:
    with pytest.raises(pm.DatasetError) as met:
        pm.open(frames, "frames")
    assert "name them, slowest first, as in positions_axes=(0, 1);" in str(met.value)
    assert met.value.kind == "NoPositionsAxes" and met.value.dataset == "/frames"
    with pytest.raises(pm.FileError, match="there is no such file") as missing:
        pm.open(tmp_path / "no.h5")
    assert missing.value.path == str(tmp_path / "no.h5")
    with pytest.raises(AttributeError):
        missing.value.unheard_of
    with pytest.raises(pm.DatasetError, match="has no dataset `/no`"):
        pm.open(frames, "no")
    with pytest.raises(pm.UsageError, match="crop"):
        pm.open(frames, "frames", (0, 1), crop="x=a:b")
