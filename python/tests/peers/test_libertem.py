"""Scans as data sets of LiberTEM: UDFs give what NumPy does, whatever executor, chunks and region."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import libertem.api as lt
import numpy as np
import pixelmill as pm
import pixelmill.libertem
import pytest
from conftest import rewritten, values_of
from libertem.io.corrections import CorrectionSet
from libertem.udf import UDF
from libertem.udf.raw import PickUDF
from libertem.udf.sum import SumUDF
from libertem.udf.sumsigudf import SumSigUDF
from test_dask import LAYOUTS, SHAPE, written


class Whole(UDF):
    """The largest value of each frame, found for a whole partition at once."""

    def get_result_buffers(self) -> dict[str, Any]:
        return {"largest": self.buffer(kind="nav", dtype=np.float64)}

    def process_partition(self, partition: Any) -> None:
        self.results.largest[:] = np.abs(partition).reshape(len(partition), -1).max(axis=1)


@pytest.fixture(scope="module")
def inline() -> Iterator[Any]:
    with lt.Context.make_with("inline") as context:
        yield context


@pytest.mark.parametrize("layout", LAYOUTS)
def test_sums_picks_and_partitions_are_those_of_numpy(inline: Any, tmp_path: Path, layout: str) -> None:
    written(tmp_path / "scan.h5", ">i4", **LAYOUTS[layout])
    expected = values_of(tmp_path / "scan.h5", "frames").astype(float)
    roi = np.random.default_rng(0).random(SHAPE[:2]) < 0.3
    for partitions in [None, 1, 4, 100]:
        data = pixelmill.libertem.load(
            tmp_path / "scan.h5", "frames", positions_axes=(0, 1), num_partitions=partitions
        )
        assert tuple(data.shape) == SHAPE
        total, sums, largest, picked = inline.run_udf(dataset=data, udf=[SumUDF(), SumSigUDF(), Whole(), PickUDF()])
        assert np.allclose(total["intensity"].data, expected.sum((0, 1)))
        assert np.allclose(sums["intensity"].data, expected.sum((2, 3)))
        assert np.array_equal(largest["largest"].data, np.abs(expected).max((2, 3)))
        assert np.array_equal(picked["intensity"].raw_data, expected.reshape(-1, 10, 12))
        largest = inline.run_udf(dataset=data, udf=Whole(), roi=roi)["largest"].raw_data
        assert np.array_equal(largest, np.abs(expected).max((2, 3))[roi])
        total, sums, picked = inline.run_udf(dataset=data, udf=[SumUDF(), SumSigUDF(), PickUDF()], roi=roi)
        assert np.allclose(total["intensity"].data, expected[roi].sum(0))
        assert np.allclose(sums["intensity"].raw_data, expected.sum((2, 3))[roi])
        assert np.array_equal(picked["intensity"].raw_data, expected[roi])
        nothing = inline.run_udf(dataset=data, udf=SumUDF(), roi=np.zeros(SHAPE[:2], bool))
        assert not nothing["intensity"].data.any()


@pytest.mark.parametrize("executor", ["threads", "dask", "pipelined"])
def test_every_executor_reads_it(frames: Path, executor: str) -> None:
    expected = values_of(frames, "frames")
    with lt.Context.make_with(executor, cpus=2) as context:
        data = pixelmill.libertem.load(frames, "frames", positions_axes=(0, 1), crop="2:8,:")
        total = context.run_udf(dataset=data, udf=SumUDF())
        assert np.allclose(total["intensity"].data, expected[:, :, 2:8].sum((0, 1)))
        loaded = context.load(
            pixelmill.libertem.ScanDataSet, path=frames, dataset="frames", positions_axes=(0, 1), num_partitions=3
        )
        sums = context.run_udf(dataset=loaded, udf=SumSigUDF())
        assert np.allclose(sums["intensity"].data, expected.sum((2, 3)))


def test_partitions_cut_no_chunk(frames: Path) -> None:
    data = pixelmill.libertem.load(frames, "frames", positions_axes=(0, 1), num_partitions=100)
    starts = [(part.slice.origin[0], part.slice.shape[0]) for part in data.get_partitions()]
    assert starts == [(0, 16), (16, 16), (32, 16)]
    with h5py.File(frames, "r+") as file:
        file.create_dataset("rows", data=file["frames"][()], chunks=(1, 3, 10, 12))
    rows = pixelmill.libertem.load(frames, "rows", positions_axes=(0, 1), num_partitions=100)
    assert [part.slice.origin[0] for part in rows.get_partitions()][:5] == [0, 3, 6, 8, 11]


def test_dark_and_gain_of_either_and_dead_pixels(inline: Any, frames: Path) -> None:
    expected = values_of(frames, "frames").astype(float)
    dark = values_of(frames, "dark")
    ours = pixelmill.libertem.load(frames, "frames", positions_axes=(0, 1), dark="/dark")
    total = inline.run_udf(dataset=ours, udf=SumUDF())["intensity"].data
    assert np.allclose(total, (expected - dark).sum((0, 1)))
    plain = pixelmill.libertem.load(frames, "frames", positions_axes=(0, 1))
    dead = np.zeros((10, 12), bool)
    dead[4, 5] = True
    theirs = CorrectionSet(dark=dark, gain=np.full((10, 12), 2.0), excluded_pixels=dead)
    total = inline.run_udf(dataset=plain, udf=SumUDF(), corrections=theirs)["intensity"].data
    wanted = 2 * (expected - dark).sum((0, 1))
    wanted[4, 5] = (wanted[3:6, 4:7].sum() - wanted[4, 5]) / 8
    assert np.allclose(total, wanted, rtol=1e-5)


def test_spectra_and_complex_numbers(inline: Any, line_scan: Path) -> None:
    data = pixelmill.libertem.load(line_scan)
    expected = values_of(line_scan, "/Measurement_000/Channel_000/Raw_Data").reshape(64, 64, 119)
    sums = inline.run_udf(dataset=data, udf=SumSigUDF())["intensity"].data
    assert np.allclose(sums, expected.sum(2))
    assert {"name": "dtype", "value": "complex64"} in data.diagnostics
    rewritten(line_scan, 4000)
    partial = pixelmill.libertem.load(line_scan, num_partitions=7)
    roi = np.zeros(4000, bool)
    roi[3990:] = True
    sums = inline.run_udf(dataset=partial, udf=[SumSigUDF(), Whole()], roi=roi)[0]["intensity"].raw_data
    assert np.allclose(sums, expected.reshape(-1, 119)[3990:4000].sum(1))


def test_what_is_wrong_is_said_in_words(frames: Path) -> None:
    with pytest.raises(pm.DatasetError, match="name them, slowest first"):
        pixelmill.libertem.load(frames, "frames")
    with pytest.raises(pm.UsageError, match="isn't opened"):
        pixelmill.libertem.ScanDataSet(frames).shape
    with pytest.raises(pm.UsageError, match="I/O backends"):
        pixelmill.libertem.ScanDataSet(frames, io_backend="mmap")  # type: ignore[arg-type]
