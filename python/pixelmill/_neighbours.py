"""Scans and results as other packages have them: dask, HyperSpy, xarray and sidpy, none of which needs to be there."""

import functools
import json
import math
import os
import re
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import _encode, _pixelmill
from ._errors import UsageError
from ._optional import needed

if TYPE_CHECKING:
    from ._axis import Axis
    from ._results import ResultsArray
    from ._scan import Scan

# Bytes of a block: so few that a core's caches help, and so many that a large scan hasn't too many blocks.
_LEAST, _MOST, _BLOCKS = 16 << 20, 128 << 20, 1024
# Of chunks that are larger than a block, each would be decoded for several blocks.
_MOST_OF_A_CHUNK = 512 << 20
_INPUTS = ("dark", "gain", "dead_pixels")
# Steps of an axis are even if they are so but for the rounding of float32, which h5USID has, and for a hundredth.
_OF_A_STEP = 0.01
_EVEN = 4 * float(np.finfo(np.float32).eps)


class Blocks:
    """The values of a scan as an array that slices can be read of: positions' axes first, then each position's own."""

    def __init__(self, scan: "Scan") -> None:
        self._scan = scan
        self.shape = scan.shape
        self.dtype = scan.dtype
        self.ndim = len(self.shape)

    def __getitem__(self, key: tuple[int | slice, ...]) -> NDArray[Any]:
        of_scan = len(self._scan._scan_shape)
        values = self._scan._region(key[:of_scan])
        own = key[of_scan:]
        if all(step == slice(None) for step in own):
            return values
        return np.ascontiguousarray(values[(..., *own)] if len(own) == self.ndim - of_scan else values)


@functools.lru_cache(maxsize=64)
def opened(options: str, shape: tuple[int, ...], dtype: str) -> "Scan":
    """The scan that a pickled one is; a process that gets many parts of it opens it once."""
    from ._scan import Scan

    scan = Scan(json.loads(options))
    if (scan.shape, scan.dtype.str) != (shape, dtype):
        raise scan._changed()
    return scan


def token(scan: "Scan") -> tuple[Any, ...] | None:
    """What tells the values of a scan from others', as far as files tell that they were changed; None if they don't."""
    of = scan._stored()
    if of.get("linked_file") or of.get("read") not in ("raw", "transposed", "chunks"):
        # The values may be in files of which nothing is known here.
        return None
    options = {name: value for name, value in scan._options.items() if name != "output"}
    inputs = [str(options[name]) for name in _INPUTS if name in options]
    # Where the name of a file ends only the file tells; what isn't in the scan's may be in that of the results.
    files = [part for text in inputs for part in accumulate(re.split("(?=:)", text))]
    if inputs and "output" in scan._options:
        files.append(str(scan._options["output"]))
    found = [os.stat(file) for file in dict.fromkeys([scan.file, *files]) if os.path.exists(file)]
    identity = [(file.st_dev, file.st_ino, file.st_size, file.st_mtime_ns) for file in found]
    return ("pixelmill.Scan", _pixelmill.__version__, scan.dataset, _encode.dumps(options), identity)


def records(results: "ResultsArray") -> UsageError:
    """What is said of records where numbers are needed."""
    fields = ", ".join(results.dtype.names or ())
    message = f"`{results.name}` holds records; choose a field, as in results[name][field]: {fields}"
    return UsageError(message, "Argument")


def to_dask(scan: "Scan", block: int | str | None) -> Any:
    array = needed("dask.array", "to_dask")
    if block is None:
        size = min(max(math.prod(scan.shape) * scan.dtype.itemsize // _BLOCKS, _LEAST), _MOST)
    else:
        size = _pixelmill.Source.memory(str(block))
    lengths = scan._block_lengths(size, _MOST_OF_A_CHUNK)
    own = token(scan)
    name = None if own is None else f"pixelmill-{needed('dask.base', 'to_dask').tokenize(own, lengths)}"
    return array.from_array(
        Blocks(scan),
        chunks=(*lengths, *scan._spectrum_shape),
        # Without a name that is known dask would look at what the array holds.
        name=False if name is None else name,
        lock=False,
        asarray=False,
        fancy=False,
        meta=np.empty((0,) * len(scan.shape), scan.dtype),
    )


def _axis_of_hyperspy(axis: "Axis", length: int, is_position: bool) -> dict[str, Any]:
    """An axis with even steps by its scale, any other by its values; one that goes to and fro by its steps."""
    told: dict[str, Any] = {"name": axis.name, "navigate": is_position, "is_binned": axis.binned}
    values = np.asarray(axis.values, np.float64)
    steps = np.diff(values)
    if length == 1 or _is_even(values):
        scale = (values[-1] - values[0]) / (length - 1) if length > 1 else 1.0
        return {**told, "units": axis.units, "size": length, "scale": scale, "offset": values[0]}
    if (steps > 0).all() or (steps < 0).all():
        return {**told, "units": axis.units, "axis": values}
    return {**told, "size": length}


def _is_even(values: NDArray[np.float64]) -> bool:
    even = np.linspace(values[0], values[-1], len(values))
    step = abs(values[-1] - values[0]) / (len(values) - 1)
    return bool((np.abs(values - even) <= min(_EVEN * np.abs(values).max(), _OF_A_STEP * step)).all()) and step > 0


def to_hyperspy(scan: "Scan", block: int | str | None) -> Any:
    signals = needed("hyperspy.api", "to_hyperspy").signals
    axes = [
        _axis_of_hyperspy(axis, length, number < len(scan._scan_shape))
        for number, (axis, length) in enumerate(zip(all_axes(scan), scan.shape))
    ]
    signal = signals.BaseSignal(to_dask(scan, block), axes=axes).as_lazy()
    metadata = signal.metadata
    title, quantity, units = _meaning(scan)
    if quantity or units:
        metadata.Signal.quantity = f"{quantity} ({units})".removesuffix(" ()").strip()
    own = _metadata(scan)
    metadata.General.title = own.get("title", title)
    # This makes it the class for its numbers and the number of its axes.
    signal.set_signal_type(own.get("signal_type", ""))
    return signal


def _meaning(scan: "Scan") -> tuple[str, str, str]:
    """What a scan is called, what it holds, and in which units."""
    return scan.dataset.rsplit("/", 1)[-1], scan.quantity, scan.units


def _metadata(scan: "Scan") -> dict[str, str]:
    """What HyperSpy's own files say of a signal."""
    h5py = needed("h5py", "to_hyperspy")
    with h5py.File(scan.file, "r") as file:
        around = file[scan.dataset].parent
        places = {"title": "metadata/General", "signal_type": "metadata/Signal"}
        return {
            name: str(around[place].attrs[name])
            for name, place in places.items()
            if place in around and name in around[place].attrs
        }


def to_xarray(scan: "Scan", block: int | str | None) -> Any:
    return _data_array(to_dask(scan, block), all_axes(scan), _meaning(scan))


def results_to_xarray(results: "ResultsArray") -> Any:
    if not results._is_plain:
        of = {name: results_to_xarray(results[name]) for name in results.dtype.names or ()}
        return needed("xarray", "to_xarray").Dataset(of)
    return _data_array(np.asarray(results), results.axes, results._meaning())


def _data_array(values: Any, axes: Sequence["Axis"], told: tuple[str, str, str]) -> Any:
    xarray = needed("xarray", "to_xarray")
    title, quantity, units = told
    names = distinct(axis.name for axis in axes)
    coordinates = {
        name: (name, axis.values, {"units": axis.units} if axis.units else {}) for name, axis in zip(names, axes)
    }
    attributes = {key: value for key, value in (("long_name", quantity), ("units", units)) if value}
    return xarray.DataArray(values, coordinates, names, title, attributes)


def to_sidpy(scan: "Scan", block: int | str | None) -> Any:
    count = len(scan._scan_shape)
    return _dataset(to_dask(scan, block), all_axes(scan), _meaning(scan), count)


def results_to_sidpy(results: "ResultsArray") -> Any:
    if not results._is_plain:
        raise records(results)
    array = needed("dask.array", "to_sidpy").from_array(np.asarray(results))
    return _dataset(array, results.axes, results._meaning(), len(results.axes))


# By the numbers of axes of the scan that have more than one step, and of a position's own.
_DATA_TYPES = {
    (0, 1): "SPECTRUM",
    (0, 2): "IMAGE",
    (1, 0): "LINE_PLOT",
    (1, 1): "SPECTRAL_IMAGE",
    (1, 2): "IMAGE_STACK",
    (2, 0): "IMAGE",
    (2, 1): "SPECTRAL_IMAGE",
    (2, 2): "IMAGE_4D",
}


def _dataset(values: Any, axes: Sequence["Axis"], told: tuple[str, str, str], count: int) -> Any:
    sidpy = needed("sidpy", "to_sidpy")
    title, quantity, units = told
    dataset = sidpy.Dataset.from_array(values, title=title)
    dataset.quantity, dataset.units = quantity or "generic", units or "generic"
    lengths = [len(axis) for axis in axes]
    kind = (sum(length > 1 for length in lengths[:count]), len(axes) - count)
    dataset.data_type = _DATA_TYPES.get(kind, "UNKNOWN")
    own = "RECIPROCAL" if len(axes) - count == 2 else "SPECTRAL"
    # sidpy makes each axis an attribute, and a dataset has others that are needed.
    names = distinct((axis.name for axis in axes), {name for name in dir(dataset) if not name.startswith("dim_")})
    for number, (name, axis) in enumerate(zip(names, axes)):
        kind_of_axis = sidpy.DimensionType["SPATIAL" if number < count else own]
        units_of_axis = axis.units or "generic"
        dimension = sidpy.Dimension(
            axis.values, name=name, quantity=axis.name, units=units_of_axis, dimension_type=kind_of_axis
        )
        dataset.set_dimension(number, dimension)
    return dataset


def all_axes(scan: "Scan") -> list["Axis"]:
    """The axes of a scan, then those of its positions; positions that are no full grid are numbered."""
    from ._axis import Axis

    positions = list(scan.position_axes)
    if tuple(map(len, positions)) != scan._scan_shape:
        positions = [Axis("position", "", np.arange(length, dtype=float)) for length in scan._scan_shape]
    own = list(scan.spectral_axes)
    if tuple(map(len, own)) != scan._spectrum_shape:
        own = [Axis("point", "", np.arange(length, dtype=float)) for length in scan._spectrum_shape]
    return positions + own


def distinct(names: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """Names that differ from each other, and from those that are taken."""
    known = set(taken)
    all_ = []
    for number, name in enumerate(names):
        name = name or f"axis {number}"
        while name in known:
            name += "_"
        known.add(name)
        all_.append(name)
    return all_
