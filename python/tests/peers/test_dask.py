"""Scans as dask's arrays: the values are those that h5py reads, by whatever blocks, threads or processes."""

import os
import pickle
from pathlib import Path
from typing import Any

import dask.array as da
import h5py
import numpy as np
import pixelmill as pm
import pytest
from conftest import rewritten, values_of
from dask.base import tokenize

SHAPE = (6, 8, 10, 12)
LAYOUTS: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "whole frames": {"chunks": (2, 3, 10, 12), "compression": "gzip", "shuffle": True},
    "parts of frames": {"chunks": (4, 5, 6, 7), "compression": "lzf"},
    "single frames": {"chunks": (1, 1, 10, 12), "fletcher32": True},
}


def written(path: Path, dtype: str, **stored: Any) -> Any:
    """A scan of numbers of a type, which is opened."""
    values = np.random.default_rng(1).normal(0, 100, SHAPE)
    if np.dtype(dtype).kind == "c":
        values = values + 1j * values[::-1]
    elif np.dtype(dtype).kind == "f":
        values[2, 3, 4:] = np.nan
    with h5py.File(path, "w") as file:
        file.create_dataset("frames", data=values.astype(dtype), **stored)
    return pm.open(path, "frames", (0, 1))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["uint16", ">i4", "float32", ">f8", "complex64"])
def test_values_are_those_in_the_file(tmp_path: Path, layout: str, dtype: str) -> None:
    scan = written(tmp_path / "scan.h5", dtype.replace("uint16", "int16"), **LAYOUTS[layout])
    expected = values_of(tmp_path / "scan.h5", "frames")
    for block in [None, 7000, 200]:
        array = scan.to_dask(block)
        assert (array.shape, array.dtype) == (SHAPE, scan.dtype)
        found = array.compute()
        assert np.array_equal(found, expected, equal_nan=True) and found.flags.writeable
        for key in [np.s_[3], np.s_[-1, 5], np.s_[1:5:2, ::-3, 2:7], np.s_[..., 4], np.s_[2, :, 3, ::5], np.s_[4:4]]:
            assert np.array_equal(array[key].compute(), expected[key], equal_nan=True), key
        assert np.array_equal(array[[1, 4]][:, :, [7, 2]].compute(), expected[[1, 4]][:, :, [7, 2]], equal_nan=True)


def test_blocks_end_where_chunks_do(frames: Path) -> None:
    scan = pm.open(frames, "frames", (0, 1))
    assert scan.to_dask().numblocks == (1, 1, 1, 1)
    assert scan.to_dask("2K").chunks == ((2, 2, 2), (3, 3, 2), (10,), (12,))
    # A chunk is larger than the block that is asked for, and is still not decoded twice.
    assert scan.to_dask(1).chunks == ((2, 2, 2), (3, 3, 2), (10,), (12,))
    assert scan.to_dask(5000).chunks == ((2, 2, 2), (8,), (10,), (12,))


def test_crops_corrections_and_other_orders_are_in_the_blocks(frames: Path) -> None:
    expected = values_of(frames, "frames")
    cropped = pm.open(frames, "frames", (0, 1), crop="2:8,::2", dark="/dark").to_dask("1K")
    dark = values_of(frames, "dark")
    wanted = (expected - dark)[:, :, 2:8, ::2]
    assert cropped.dtype == np.float32 and np.allclose(cropped.compute(), wanted, rtol=1e-6)
    turned = pm.open(frames, "frames", (1, 0)).to_dask(1).compute()
    assert np.array_equal(turned, expected.transpose(1, 0, 2, 3))


def test_positions_may_be_any_axes_of_a_contiguous_dataset(tmp_path: Path) -> None:
    written(tmp_path / "scan.h5", "float32")
    expected = values_of(tmp_path / "scan.h5", "frames")
    for axes in [(3,), (2, 0), (1, 3, 2)]:
        rest = [axis for axis in range(4) if axis not in axes]
        scan = pm.open(tmp_path / "scan.h5", "frames", axes)
        assert np.array_equal(scan.to_dask(200).compute(), expected.transpose(*axes, *rest), equal_nan=True)


def test_processes_and_pickles_read_the_same(frames: Path) -> None:
    scan = pm.open(frames, "frames", (0, 1), crop="2:8,::2")
    expected = values_of(frames, "frames")[:, :, 2:8, ::2]
    assert np.array_equal(scan.to_dask(1).sum((2, 3)).compute(scheduler="processes"), expected.sum((2, 3)))
    again = pickle.loads(pickle.dumps(scan))
    assert np.array_equal(again[4, 5], expected[4, 5])
    assert np.array_equal(pickle.loads(pickle.dumps(scan.to_dask())).compute(), expected)


def test_names_tell_files_and_what_is_taken_of_them(frames: Path) -> None:
    def name(**options: Any) -> str:
        return str(pm.open(frames, "frames", **{"positions_axes": (0, 1), **options}).to_dask().name)

    same = name()
    assert name() == same and name(output=frames.with_name("else.h5")) == same
    others = {name(crop=":5,:"), name(positions_axes=(1, 0)), name(dark="/dark"), same}
    assert len(others) == 4
    scan = pm.open(frames, "frames", (0, 1))
    assert tokenize(scan) == tokenize(pm.open(frames, "frames", (0, 1))) and scan.to_dask(1).name != same
    (frames.parent / "at 10:30").mkdir()
    for place, options in [("at 10:30/dark.h5", {}), ("output.h5", {"output": frames.with_name("output.h5")})]:
        dark = frames.parent / place
        with h5py.File(dark, "w") as file:
            file["other"] = values_of(frames, "dark")
        asked = {"dark": "/other" if options else f"{dark}:/other", **options}
        before = name(**asked)
        assert before == name(**asked)
        os.utime(dark, (1, 1))
        assert before != name(**asked)
    os.utime(frames, (1, 1))
    assert name() != same
    with h5py.File(frames.with_name("virtual.h5"), "w") as file:
        layout = h5py.VirtualLayout(SHAPE, np.uint16)
        layout[...] = h5py.VirtualSource(frames, "frames", SHAPE)
        file.create_virtual_dataset("frames", layout)
    # Of what lies in other files nobody knows whether it has changed.
    virtual = pm.open(frames.with_name("virtual.h5"), "frames", (0, 1))
    assert virtual.to_dask().name != virtual.to_dask().name and tokenize(virtual) != tokenize(virtual)
    assert np.array_equal(virtual.to_dask(1).compute(), values_of(frames, "frames"))


def test_another_dataset_in_its_place_is_an_error(frames: Path) -> None:
    scan = pm.open(frames, "frames", (0, 1))
    array = scan.to_dask(1)
    # The same number of bytes.
    with h5py.File(frames, "r+") as file:
        values = file["frames"][()]
        del file["frames"]
        file["frames"] = values.transpose(1, 0, 2, 3)
    with pytest.raises(pm.FileError, match="has another shape or type than when it was opened"):
        array.compute()
    with pytest.raises(pm.FileError):
        scan[0, 0]
    with pytest.raises(pm.FileError):
        pickle.loads(pickle.dumps(scan))


def test_rows_of_tables_are_parts_of_the_grid(line_scan: Path) -> None:
    for rows, lengths in [(128, (2, 64)), (16, (1, 16)), (100, (1, 1))]:
        rewritten(line_scan, 4096, (rows, 50))
        scan = pm.open(line_scan)
        assert tuple(scan.to_dask(1).chunksize[:2]) == lengths
        assert np.array_equal(scan.to_dask("100K").compute(), values_of(line_scan, scan.dataset).reshape(64, 64, 119))


def test_single_spectra_and_scans_that_are_no_grid(tmp_path: Path, line_scan: Path) -> None:
    complex_scan = pm.open(line_scan)
    expected = values_of(line_scan, complex_scan.dataset).reshape(64, 64, 119)
    array = complex_scan.to_dask("100K")
    assert array.numblocks[0] > 10 and np.array_equal(da.absolute(array).max().compute(), np.abs(expected).max())
    rewritten(line_scan, 4000)
    partial = pm.open(line_scan)
    assert np.array_equal(partial.to_dask("10K").compute(), expected.reshape(-1, 119)[:4000])
    assert partial.to_xarray().dims == ("position", "Frequency")
    with h5py.File(tmp_path / "one.h5", "w") as file:
        file["spectrum"] = np.arange(7.0)
    alone = pm.open(tmp_path / "one.h5", "spectrum", ())
    assert np.array_equal(alone.to_dask().compute(), np.arange(7.0)[None])
