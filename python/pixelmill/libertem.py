"""Scans as data sets of LiberTEM, whose tiles are read in parallel by the engine::

    import libertem.api as lt
    import pixelmill.libertem
    from libertem.udf.sum import SumUDF

    with lt.Context() as ctx:
        scan = pixelmill.libertem.load("scan.h5")
        total = ctx.run_udf(dataset=scan, udf=SumUDF())
"""

import os
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _neighbours, _scan
from ._errors import UsageError
from ._optional import needed

needed("libertem.api", "pixelmill.libertem")

from libertem.common import Shape, Slice  # noqa: E402
from libertem.io.corrections import CorrectionSet  # noqa: E402
from libertem.io.dataset.base import DataSet, DataSetException, DataSetMeta, DataTile, Partition  # noqa: E402
from sparseconverter import NUMPY, for_backend  # noqa: E402

# Bytes that are read at once, and that are handed on at once: so many as stay in a core's caches.
_READ = 16 << 20
_MOST_OF_A_CHUNK = 512 << 20
_TILE = 2 << 20
_PARTITION = 256 << 20


def load(path: str | os.PathLike[str], dataset: str | None = None, **options: Any) -> "ScanDataSet":
    """A scan as a data set for LiberTEM's `run_udf`; the arguments are those of `pixelmill.open`.

    Besides there is num_partitions: into how many parts LiberTEM shares it out, by default as many as have 256 MiB,
    and one for each core at least. `Context.load(pixelmill.libertem.ScanDataSet, path=…)` makes the same.
    """
    return ScanDataSet(path, dataset, **options)._opened()


class ScanDataSet(DataSet):
    """A scan for LiberTEM. Its frames (or spectra) are the values of a position, cropped and corrected as asked."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        dataset: str | None = None,
        num_partitions: int | None = None,
        io_backend: None = None,
        **options: Any,
    ) -> None:
        if io_backend is not None:
            raise UsageError("a scan is read by pixelmill, whatever I/O backends LiberTEM has", "Argument")
        super().__init__()
        self._partitions = num_partitions
        self._cores = len(os.sched_getaffinity(0))
        self._arguments = (os.fspath(path), dataset, options)
        self._scan: _scan.Scan | None = None

    def _opened(self) -> "ScanDataSet":
        path, dataset, options = self._arguments
        scan = _scan.open(path, dataset, **options)
        self._scan = scan
        frames = int(np.prod(scan._scan_shape))
        shape = Shape(scan.shape, sig_dims=len(scan._spectrum_shape))
        self._image_count = self._nav_shape_product = frames
        self._sync_offset_info = self.get_sync_offset_info()
        self._meta = DataSetMeta(shape=shape, array_backends=(NUMPY,), raw_dtype=scan.dtype, image_count=frames)
        self._chunks = scan._block_lengths(1, _MOST_OF_A_CHUNK)
        return self

    def initialize(self, executor: Any) -> "ScanDataSet":
        """Opens it where it is computed."""
        opened: ScanDataSet = executor.run_function(self._opened)
        return opened

    def _there(self) -> "_scan.Scan":
        if self._scan is None:
            raise UsageError("it isn't opened; use pixelmill.libertem.load or Context.load", "Argument")
        return self._scan

    @property
    def dtype(self) -> Any:
        """Type of the values."""
        return self._there().dtype

    @property
    def shape(self) -> Any:
        """Lengths of the axes of the scan, then those of a frame."""
        self._there()
        return self.meta.shape

    @property
    def array_backends(self) -> Sequence[Any]:
        """Tiles are NumPy's arrays."""
        return (NUMPY,)

    def check_valid(self) -> bool:
        """Whether the scan can be read."""
        scan = self._there()
        try:
            scan._read_runs([(0, 1)])
        except Exception as error:
            raise DataSetException(str(error)) from error
        return True

    def get_cache_key(self) -> Any:
        """What it is told from others by."""
        return {"scan": repr(_neighbours.token(self._there()))}

    def get_diagnostics(self) -> list[dict[str, Any]]:
        """What LiberTEM shows of it."""
        scan = self._there()
        stored = {"path": scan.file, "dataset": scan.dataset, "dtype": str(scan.dtype), "chunks": str(self._chunks)}
        return [{"name": name, "value": value} for name, value in stored.items()]

    @classmethod
    def get_supported_io_backends(cls) -> list[str]:
        """It reads by itself."""
        return []

    def get_io_backend(self) -> None:
        """It reads by itself."""
        return None

    def get_base_shape(self, roi: Any) -> tuple[int, ...]:
        """Tiles have whole frames."""
        return (1, *self.shape.sig)

    def need_decode(self, read_dtype: Any, roi: Any, corrections: Any) -> bool:
        """Tiles are copies, which are as large as is good for the cache."""
        return True

    def get_max_io_size(self) -> int:
        """Bytes of a tile."""
        return max(_TILE, int(self.shape.sig.size) * 16)

    def get_num_partitions(self) -> int:
        """Into how many parts it is shared out."""
        if self._partitions is not None:
            return max(1, self._partitions)
        size: int = int(self.shape.size) * np.dtype(self.dtype).itemsize
        cores = max(1, int(self._cores))
        return -(-max(1, size // _PARTITION) // cores) * cores

    def get_partitions(self) -> Iterator["ScanPartition"]:
        """Parts of it, none of which begins or ends within a chunk of the file."""
        scan = self._there()
        cuts = _cuts(scan._scan_shape, self._chunks)
        wanted = np.linspace(0, cuts[-1], self.get_num_partitions() + 1)
        ends = np.unique(cuts[np.searchsorted(cuts, np.floor(wanted))])
        for start, end in zip(ends[:-1].tolist(), ends[1:].tolist()):
            sig = self.shape.sig
            slice_ = Slice(origin=(start, *[0] * sig.dims), shape=Shape((end - start, *sig), sig_dims=sig.dims))
            yield ScanPartition(self.meta, slice_, scan, self._chunks)

    def __repr__(self) -> str:
        return f"<ScanDataSet of {self.dtype} shape={self.shape}>"


def _cuts(shape: Sequence[int], chunks: Sequence[int]) -> NDArray[np.int64]:
    """Numbers of frames before which the scan may be cut without cutting a chunk, and the end."""
    axis = next((axis for axis, chunk in enumerate(chunks) if chunk > 1), len(shape) - 1)
    inner = int(np.prod(shape[axis + 1 :], dtype=np.int64))
    outer = np.arange(int(np.prod(shape[:axis], dtype=np.int64))) * shape[axis] * inner
    starts = np.arange(0, shape[axis], chunks[axis]) * inner
    return np.append((outer[:, None] + starts).ravel(), int(np.prod(shape, dtype=np.int64)))


class ScanPartition(Partition):
    """Consecutive frames of a scan."""

    def __init__(self, meta: Any, partition_slice: Any, scan: "_scan.Scan", chunks: Sequence[int]) -> None:
        super().__init__(meta=meta, partition_slice=partition_slice, io_backend=None, decoder=None)
        self._scan = scan
        self._chunks = chunks
        self._corrections: Any = CorrectionSet()

    def set_corrections(self, corrections: Any) -> None:
        """What is done with tiles before they are handed on."""
        self._corrections = corrections

    def get_locations(self) -> None:
        """It can be read anywhere."""
        return None

    def get_tiles(
        self, tiling_scheme: Any, dest_dtype: Any = "float32", roi: Any = None, array_backend: Any = None
    ) -> Iterator[Any]:
        """The frames, some at a time, along the chunks of the file."""
        scheme = tiling_scheme.adjust_for_partition(self)
        first, count = self.slice.origin[0], self.slice.shape[0]
        kept = np.ones(count, bool) if roi is None else np.asarray(roi).reshape(-1)[first : first + count]
        before = first if roi is None else int(np.count_nonzero(np.asarray(roi).reshape(-1)[:first]))
        places = before + np.cumsum(kept) - 1
        whole = scheme.depth >= count
        # The same memory for all tiles stays in the cache.
        buffer = np.empty((min(scheme.depth, count), *self.meta.shape.sig), dest_dtype)
        for numbers in [np.arange(first, first + count)] if whole else self._blocks():
            numbers = numbers[kept[numbers - first]]
            if not len(numbers):
                continue
            frames = self._frames(numbers)
            for start, end in _runs(places[numbers - first], max(scheme.depth, 1)):
                place = int(places[numbers[start] - first])
                yield from self._tiles(scheme, frames[start:end], place, buffer, array_backend)

    def _tiles(
        self, scheme: Any, frames: NDArray[Any], place: int, buffer: NDArray[Any], array_backend: Any
    ) -> Iterator[Any]:
        sig = self.meta.shape.sig.dims
        for index, part in scheme.slices:
            shape = Shape((len(frames), *part.shape), sig_dims=sig)
            slice_ = Slice(origin=(place, *part.origin), shape=shape)
            values = buffer.reshape(-1)[: shape.size].reshape(tuple(shape))
            values[...] = frames[(slice(None), *part.get(sig_only=True))]
            if self._corrections is not None and self._corrections.have_corrections():
                self._corrections.apply(values, slice_)
            yield DataTile(for_backend(values, array_backend or NUMPY), tile_slice=slice_, scheme_idx=index)

    def _frames(self, numbers: NDArray[np.int64]) -> NDArray[Any]:
        runs = [(int(numbers[start]), int(numbers[end - 1]) + 1) for start, end in _runs(numbers, len(numbers))]
        return self._scan._read_runs(runs).reshape(len(numbers), *self._scan._spectrum_shape)

    def _blocks(self) -> Iterator[NDArray[np.int64]]:
        """Numbers of the frames that are read at once: those of some chunks."""
        shape = self._scan._scan_shape
        first, count = self.slice.origin[0], self.slice.shape[0]
        lengths = self._scan._block_lengths(_READ, _MOST_OF_A_CHUNK)
        for begin in product(*(range(0, all_, own) for all_, own in zip(shape, lengths))):
            end = [min(at + own, all_) for at, own, all_ in zip(begin, lengths, shape)]
            lowest, highest = (int(np.ravel_multi_index(at, shape)) for at in (begin, [at - 1 for at in end]))
            if highest < first or lowest >= first + count:
                continue
            numbers = np.zeros(1, np.int64)
            for low, high, all_ in zip(begin, end, shape):
                numbers = (numbers[:, None] * all_ + np.arange(low, high)).ravel()
            numbers = numbers[(numbers >= first) & (numbers < first + count)]
            if len(numbers):
                yield numbers


def _runs(places: NDArray[np.int64], most: int) -> Iterator[tuple[int, int]]:
    """Where consecutive places begin and end, of which there are not more than so many."""
    ends = np.flatnonzero(np.diff(places) != 1) + 1
    for start, end in zip([0, *ends.tolist()], [*ends.tolist(), len(places)]):
        for at in range(start, end, most):
            yield at, min(at + most, end)
