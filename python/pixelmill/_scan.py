"""A scan in a file."""

import json
import math
import operator
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import _encode, _pixelmill
from ._axis import Axis
from ._errors import FileError, PositionError, UsageError
from ._process import Process
from ._progress import Progress
from ._reduction import Reduction
from ._results import Results

if TYPE_CHECKING:
    from . import _fold, _map

_Path = str | os.PathLike[str]
_Step = int | slice
# What may be asked of any run; which positions it is of is told in other words.
_ASKED = (
    *("cores", "memory", "override", "resume", "retry_failed", "checkpoint", "durability", "cache", "check_data"),
    "compress",
)


@dataclass(frozen=True)
class Trial:
    """What a process makes of one position."""

    position: int
    """Its number."""
    at: tuple[int, ...]
    """Its steps on the axes of the scan."""
    failure: str | None
    """Why it has no result, if it has none."""
    values: dict[str, NDArray[Any]] = field(repr=False)
    """The values of each results dataset, or of each field of its records."""
    axis: Axis | None
    """The axis of the spectrum."""
    data: NDArray[Any] | None = field(repr=False)
    """The spectrum that was computed with."""
    model: dict[str, NDArray[Any]] = field(repr=False)
    """The curves that the result says the spectrum is, by their names."""

    def plot(self, ax: Any = None) -> Any:
        """Draws the spectrum with the model, by Matplotlib, into `ax` or a new figure; gives what it has drawn into.

        Of complex numbers the amplitude is drawn, in a new figure the phase too.
        """
        from . import _plots

        return _plots.plot_trial(self, ax)


def open(
    path: _Path,
    dataset: str | None = None,
    positions_axes: Sequence[int] | None = None,
    crop: str | Sequence[_Step] | None = None,
    along: str | Sequence[str] | None = None,
    field: str | None = None,
    dark: _Path | None = None,
    gain: _Path | None = None,
    dead_pixels: str | None = None,
    allow_rounding: bool = False,
    output: _Path | None = None,
) -> "Scan":
    """Opens a scan in an HDF5 file.

    Options are called as on the command line:

    dataset: path of the main dataset; may be left out if the file has only one.
    positions_axes: which axes of the dataset are positions, slowest first; `()` for a single measurement.
    crop: only a part of each position's values: steps, or text such as `"6.2keV:6.9keV"`.
    along: the axes that a spectrum runs along; the others number the spectra of a position.
    field: the field to compute on, of a dataset of records.
    dark, gain: a spectrum to take off every spectrum, and one to multiply it with after that.
    dead_pixels: values to replace by those beside them: the path of a mask, or steps as in `"3,5;12,40"`.
    allow_rounding: let values become the nearest ones of the numbers that a process computes with.
    output: another file for the results.
    """
    given = {
        "file": os.path.abspath(path),
        "dataset": dataset,
        "positions_axes": _listed(positions_axes),
        "crop": _written(crop),
        "along": [along] if isinstance(along, str) else _listed(along) or None,
        "field": field,
        "dark": dark,
        "gain": gain,
        "dead_pixels": dead_pixels,
        "allow_rounding": allow_rounding or None,
        "output": output,
    }
    return Scan({name: value for name, value in given.items() if value is not None})


class Scan:
    """A scan: positions, with a spectrum (or an image, a curve …) at each. `pixelmill.open` opens one.

    The file is open only while something is read or computed.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self._source = _pixelmill.Source(_encode.dumps(options))
        told = json.loads(self._source.description())
        self.file: str = options["file"]
        """The file that it is in."""
        self.dataset: str = told["dataset"]
        """Path of its dataset there."""
        self.quantity: str = told["quantity"]
        """What was measured; empty if the file doesn't tell."""
        self.units: str = told["units"]
        """Units of that."""
        self.dtype: np.dtype[Any] = np.dtype(told["element_type"])
        """Type of the values that are read."""
        self.position_axes: tuple[Axis, ...] = _axes(told["position_axes"])
        """The axes of the scan, slowest first."""
        self.spectral_axes: tuple[Axis, ...] = _axes(told["spectral_axes"])
        """The axes of what was measured at each position, slowest first."""
        self._scan_shape = tuple(told["scan_shape"])
        self._spectrum_shape = tuple(told["spectrum_shape"])
        # The axes that a spectrum runs along are the last ones.
        self._each_shape = self._spectrum_shape[-len(options.get("along") or self._spectrum_shape) :]

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of all axes: those of the scan, then those of a position's values.

        A scan that is no full grid is one axis of positions.
        """
        return self._scan_shape + self._spectrum_shape

    def __len__(self) -> int:
        return int(self._scan_shape[0])

    def __getitem__(self, steps: int | tuple[int, ...]) -> NDArray[Any]:
        """The values of one position, read-only; slices are for `region`."""
        given = steps if isinstance(steps, tuple) else (steps,)
        if any(isinstance(step, slice) for step in given):
            raise TypeError("`scan[…]` is one position; several are `scan.region(…)`")
        return self.region(*self._steps(given))

    def region(self, *steps: _Step) -> NDArray[Any]:
        """The values of some positions, read-only, by a step or a slice of each axis of the scan.

        Axes that aren't given are taken as a whole.
        """
        values = self._region(steps)
        values.flags.writeable = False
        return values

    def _region(self, steps: Sequence[_Step]) -> NDArray[Any]:
        if len(steps) > len(self._scan_shape):
            raise self._no_such(steps)
        kept: list[int] = []
        ranges: list[range] = []
        for length, step in zip(self._scan_shape, [*steps, *[slice(None)] * (len(self._scan_shape) - len(steps))]):
            if isinstance(step, slice):
                ranges.append(range(*step.indices(length)))
                kept.append(len(ranges[-1]))
                continue
            at = operator.index(step)
            if not -length <= at < length:
                raise self._no_such(steps)
            ranges.append(range(at % length, at % length + 1))
        forwards = [taken if taken.step > 0 else taken[::-1] for taken in ranges]
        values = self._read(forwards)
        turned = tuple(slice(None, None, 1 if taken.step > 0 else -1) for taken in ranges)
        return values[turned].reshape(*kept, *self._spectrum_shape)

    def iter_blocks(self, memory: int | str | None = None) -> Iterator[tuple[tuple[slice, ...], NDArray[Any]]]:
        """All positions, block by block: the slices of the scan's axes that a block is of, and its values, read-only.

        No block takes more than half of `memory`, such as `"500M"`, by default a quarter of what is available. Blocks
        follow the chunks of the file where memory is enough for these.
        """
        budget = _pixelmill.Source.memory(None if memory is None else str(memory)) // 2
        lengths = self._block_lengths(budget)
        starts = (range(0, all_, own) for all_, own in zip(self._scan_shape, lengths))
        for first in product(*starts):
            ends = (min(at + own, all_) for at, own, all_ in zip(first, lengths, self._scan_shape))
            slices = tuple(slice(at, end) for at, end in zip(first, ends))
            yield slices, self.region(*slices)

    def run(
        self,
        process: str | Process | Reduction,
        *,
        cores: int | str | None = None,
        memory: int | str | None = None,
        positions: Any = None,
        override: bool = False,
        resume: str | None = None,
        retry_failed: bool = False,
        checkpoint: float | None = None,
        durability: str | None = None,
        cache: str | None = None,
        check_data: bool = False,
        compress: str | None = None,
        progress: bool = True,
        parameters: Mapping[str, Any] | None = None,
        **named: Any,
    ) -> Results:
        """Computes every position with a process and gives the results.

        What was computed before with the same parameters on the same data is given at once; a run that was stopped or
        killed is resumed. Ctrl-C stops it in order, and the same call goes on.

        process: its name; `pixelmill.list_processes()` tells them, and their parameters, which are keyword arguments.
            Or one of one's own, a `pixelmill.Process`, or a reduction, as for `reduce`; keyword arguments then are
            those of its methods.
        parameters: those that are called as an option is, such as `positions` of `rebin`; any other may be there too.
        cores: how many to use, or `"all"`; by default all but two, all but one of four or fewer.
        memory: the budget, such as `"4G"`; by default a quarter of what is available.
        positions: only some, the others stay pending: a mask or numbers, slices of the scan's axes, or text as on the
            command line, such as `"random:100"`.
        override: compute anew, whatever results there are.
        resume: the results group to go on with, instead of the newest partial one.
        retry_failed: compute positions again that failed in earlier runs.
        checkpoint: seconds between two updates of `last_pixel`.
        durability: what marked positions survive: a power cut (`"node"`) or only the end of the process (`"process"`).
        cache: what the system's cache of files keeps: `"keep"` what it thinks fit, `"drop"` nothing.
        check_data: compare all data before results are reused or resumed.
        compress: `"gzip"` or `"zstd"` compresses the results once all are there.
        progress: show how far it is, on standard error or in the notebook.
        """
        own = locals()
        options = self._asked(own)
        watch = Progress() if progress else None
        if isinstance(process, Process):
            from . import _map

            return _map.run(self, self._mapped(process, parameters, named, own), options, watch)
        if isinstance(process, Reduction):
            from . import _fold

            return _fold.run(self._folded(process, parameters, named, own), "auto", options, watch)
        if not isinstance(process, str):
            raise _no_process(process)
        return Results(_pixelmill.run(options, process, _parameters(parameters, named), watch))

    def map(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        version: int | str | None = None,
        output_dtype: Any = None,
        output_shape: Any = None,
        names: Any = None,
        units: Any = None,
        batch: bool | None = None,
        neighbours: int | Sequence[int] | None = None,
        edges: str | None = None,
        workers: str | None = None,
        backend: str | None = None,
        cores: int | str | None = None,
        memory: int | str | None = None,
        positions: Any = None,
        override: bool = False,
        resume: str | None = None,
        retry_failed: bool = False,
        checkpoint: float | None = None,
        durability: str | None = None,
        cache: str | None = None,
        check_data: bool = False,
        compress: str | None = None,
        progress: bool = True,
        **arguments: Any,
    ) -> Results:
        """Computes every position with a function of one spectrum and gives the results.

        The function gets the values of a position as a read-only array, and the other keyword arguments: those with the
        shape of the scan (an array, results, another scan) by position, all others as they are. It returns a number, an
        array, or several of them as a tuple, a dictionary or a dataclass; of the same shape everywhere. Where it raises
        an exception, the position fails with the last line of the traceback, and the others are computed.

        Results are given at once that were computed before by the same function with the same arguments from the same
        data. The function is recognised by its text (comments and blank lines don't count), by the text and the values
        of what it uses outside of itself, and by the versions of the packages that it calls. What can't be told so is an
        error. Of a file, the environment or the clock there is a warning: what is in there isn't looked at.

        Ctrl-C waits for the spectra in hand, and once more ends them, except in compiled code on threads. The budget
        counts what is handed over; what an idle interpreter takes, some 40 MB for each worker process, and what the
        function itself takes come on top. Worker processes are kept for the next call of the same function.

        name: what the results are called; by default as the function.
        version: says which function it is, in place of its text.
        output_dtype, output_shape: types and shapes of the results, with tuples' in a list and dictionaries' in one; by
            default some positions tell that are tried.
        names, units: of the results, in the order of the outputs or by their keys.
        batch: the function gets many spectra at once, as an array whose first axis tells them apart, and so have its
            results. How many varies: a result must not depend on the others. Where it raises an exception, they are
            tried in ever smaller batches, so that only those fail which it fails with alone.
        neighbours: how many steps to both sides on each axis of the scan the function gets as `neighbours`, an array
            with these axes, the position itself in the middle, then those of a spectrum.
        edges: what stands for neighbours beyond the edges: `"reflect"`, `"nearest"` or `"missing"`, which is NaN.
        workers: `"processes"` calls the function in processes of their own, one for each core, which may die of a
            position; `"threads"` in this one, which is good for functions that release Python's lock. By default
            `"auto"`: threads for what is known to release it, Numba's `nogil` and NumPy's ufuncs.
        backend: `"cupy"` hands CuPy's arrays over, in one process for each GPU; a function that has an argument `xp`
            gets the module of the arrays there, which by default is NumPy.

        All others are as for `run`. `pixelmill.process` gives a function other defaults for those up to here.
        """
        own = locals()
        # Python's modules for the text of functions take their time, and not everybody needs them.
        from . import _map

        mapping = _map.of_function(self, function, own, arguments, MAP_OPTIONS)
        options = self._asked(own)
        watch = Progress() if progress else None
        return _map.run(self, mapping, options, watch)

    def reduce(
        self,
        reduction: Reduction,
        *,
        workers: str = "auto",
        cores: int | str | None = None,
        memory: int | str | None = None,
        positions: Any = None,
        override: bool = False,
        resume: str | None = None,
        retry_failed: bool = False,
        checkpoint: float | None = None,
        durability: str | None = None,
        cache: str | None = None,
        check_data: bool = False,
        compress: str | None = None,
        progress: bool = True,
        **arguments: Any,
    ) -> Results:
        """Folds all spectra with a reduction, an object of a class below `pixelmill.Reduction`, and gives the results.

        The other keyword arguments go to the method that folds: those with the shape of the scan (an array, results,
        another scan) by position, all others as they are.

        They have the same bits whatever the number of workers, and however often the computation was interrupted. They
        are given at once if the same was computed before: the class is recognised as the function of `map` is, with its
        attributes and arguments.

        workers: `"processes"` folds in processes of their own, one for each core; `"threads"` in this one, which is
            good for what releases Python's lock. By default `"auto"`: nothing is known to release it here, so processes.

        All others are as for `run`; `positions` folds only some.
        """
        own = locals()
        from . import _fold

        folding = self._folded(reduction, None, arguments, own)
        options = self._asked(own)
        return _fold.run(folding, workers, options, Progress() if progress else None)

    def test(
        self,
        process: str | Process | Reduction | Callable[..., Any],
        at: int | Sequence[int],
        spectrum: int = 0,
        parameters: Mapping[str, Any] | None = None,
        **named: Any,
    ) -> Trial:
        """Computes one position with a process and writes nothing.

        process, parameters: as for `run`; also a function, as for `map`, with its arguments. A reduction folds the
            position by itself, and what is made at the end of results per position isn't there; whether it makes a
            difference in which order units are merged is looked at too.
        at: steps on the axes of the scan, slowest first.
        spectrum: which one is told of, if there are several at a position.
        """
        several: list[Any] = list(at) if isinstance(at, Sequence | np.ndarray) else [at]
        if not all(isinstance(step, int | np.integer) for step in several):
            raise UsageError(f"at={at!r}: it has to be a step on each axis of the scan", "Argument")
        steps = list(map(int, several))
        if any(step < 0 for step in steps):
            raise self._no_such(steps)
        if not isinstance(spectrum, int | np.integer) or spectrum < 0:
            raise UsageError(f"spectrum={spectrum!r}: it has to be a number from 0 on", "Argument")
        if isinstance(process, Reduction):
            from . import _fold

            folding = self._folded(process, parameters, named, {})
            told, results = _results_of(*_fold.look(folding, steps, spectrum))
            _check_spectrum(spectrum, told)
            return _trial(told, told["failure"], folding.results_of_one(results, spectrum), {})
        if not isinstance(process, str):
            return self._tried(self._mapped(process, parameters, named, {}), steps, spectrum)
        given = _parameters(parameters, named)
        told, results = _results_of(*_pixelmill.test(self._with(), process, given, steps, spectrum))
        model = told["spectrum"] and told["spectrum"]["model"]
        curves = {curve["name"]: _values(curve["values"]) for curve in model["curves"]} if model else {}
        _check_spectrum(spectrum, told)
        return _trial(told, told["failure"], results, curves)

    def _mapped(
        self, process: Any, parameters: Mapping[str, Any] | None, named: dict[str, Any], own: dict[str, Any]
    ) -> "_map.Mapping":
        """A function or a process of one's own, with its arguments."""
        from . import _map

        if isinstance(process, type):
            raise _no_process(process)
        if not isinstance(process, Process):
            return _map.of_function(self, process, own, {**(parameters or {}), **named}, {})
        _check_own_parameters(process, parameters)
        return _map.of_process(self, process, named, own, RUN_OPTIONS if own else {})

    def _folded(
        self, reduction: Any, parameters: Mapping[str, Any] | None, named: dict[str, Any], own: dict[str, Any]
    ) -> "_fold.Folding":
        """A reduction of one's own, with its arguments."""
        from . import _fold

        if isinstance(reduction, Reduction):
            _check_own_parameters(reduction, parameters)
        defaults = REDUCE_OPTIONS if own else {}
        given = {option: own.get(option, default) is not default for option, default in defaults.items()}
        return _fold.Folding(self, reduction, named, given)

    def _tried(self, mapping: "_map.Mapping", steps: list[int], spectrum: int) -> Trial:
        looked, values = mapping.look(steps, spectrum)
        _check_spectrum(spectrum, looked.told)
        return _trial(looked.told, looked.failure, values, looked.model)

    def to_dask(self, block: int | str | None = None) -> Any:
        """A dask array of all values, whose blocks are read when they are computed, in parallel.

        Its axes are those of `shape`. A block has all values of its positions, so many that it takes about `block`,
        such as `"64M"` (by default 16 MiB, and up to 128 MiB for a scan of more than 16 GiB). It ends where chunks of
        the file end, so that none is decoded for several blocks, unless its positions are no part of the grid or their
        values take more than 512 MiB. A slice reads only the positions that it takes. To other processes the array is
        handed by the names of file and dataset, and its name stays the same as long as the file does.
        """
        from . import _neighbours

        return _neighbours.to_dask(self, block)

    def to_hyperspy(self, block: int | str | None = None) -> Any:
        """A lazy signal of HyperSpy on `to_dask(block)`, with axes and quantity; with the title and type of its files.

        An axis with even steps has scale and offset, one with others its values. Steps are counted on an axis whose
        values go to and fro, which HyperSpy can't have.
        """
        from . import _neighbours

        return _neighbours.to_hyperspy(self, block)

    def to_xarray(self, block: int | str | None = None) -> Any:
        """A `DataArray` of xarray on `to_dask(block)`, with coordinates, units and quantity."""
        from . import _neighbours

        return _neighbours.to_xarray(self, block)

    def to_sidpy(self, block: int | str | None = None) -> Any:
        """A `Dataset` of sidpy on `to_dask(block)`, with dimensions, units, quantity, and the type of data."""
        from . import _neighbours

        return _neighbours.to_sidpy(self, block)

    def __reduce__(self) -> tuple[Any, ...]:
        from . import _neighbours

        return _neighbours.opened, (_encode.dumps(self._options), self.shape, self.dtype.str)

    def __dask_tokenize__(self) -> Any:
        from . import _neighbours

        return _neighbours.token(self) or uuid.uuid4().hex

    def _changed(self) -> FileError:
        message = f"`{self.dataset}` of {self.file} has another shape or type than when it was opened; open it anew"
        return FileError(message, "JustChanged", {"path": self.file})

    def __repr__(self) -> str:
        headline, values, storage, results = self._told()
        lines = [f"<{headline}>", values]
        lines += ["  positions", *(f"    {axis}" for axis in self.position_axes)]
        lines += ["  at each", *(f"    {axis}" for axis in self.spectral_axes)]
        return "\n".join([*lines, *storage, *results])

    def _repr_html_(self) -> str:
        from . import _html

        return _html.of_scan(self)

    def _told(self) -> tuple[str, str, list[str], list[str]]:
        """What it is, what its values are, how they are stored, and the results that there are."""
        told = json.loads(_pixelmill.info(self.file))
        of = self._stored(told)
        units = f" [{self.units}]" if self.units else ""
        shape = " × ".join(map(str, self.shape))
        results = [line for group in told["groups"] for line in _state(group)]
        values = f"  {self.quantity or 'values'}{units}, {self.dtype}, {shape}"
        return f"Scan {self.file}:{self.dataset}", values, _storage(of) if of else [], results

    def _stored(self, told: dict[str, Any] | None = None) -> dict[str, Any]:
        """What the file says of the dataset; nothing if it isn't among those that it tells of."""
        datasets = (told or json.loads(_pixelmill.info(self.file)))["datasets"]
        return next((one for one in datasets if one["path"] == self.dataset), {})

    def _asked(self, own: dict[str, Any]) -> str:
        """What the arguments of a method ask of a run."""
        options = {name: own[name] for name in _ASKED}
        return self._with(positions=self._selected(own["positions"]), **options)

    def _with(self, **options: Any) -> str:
        given = {name: value for name, value in options.items() if value is not None}
        given |= {name: str(given[name]) for name in ("cores", "memory") if name in given}
        return _encode.dumps(self._options | given)

    def _steps(self, steps: tuple[int, ...]) -> tuple[int, ...]:
        if len(steps) != len(self._scan_shape):
            raise self._no_such(steps)
        return steps

    def _no_such(self, steps: Sequence[Any]) -> PositionError:
        axes = ", ".join(f"{axis.name} 0:{len(axis)}" for axis in self.position_axes)
        positions = math.prod(self._scan_shape)
        asked = ", ".join(map(str, steps))
        message = f"there is no such position: {asked}; the scan has the positions 0:{positions}, on the axes {axes}"
        return PositionError(message, "NoSuchPosition", {"positions": positions, "axes": axes})

    def _read(self, ranges: list[range]) -> NDArray[Any]:
        numbers = np.zeros(1, np.int64)
        for taken, length in zip(ranges, self._scan_shape):
            numbers = (numbers[:, None] * length + np.arange(taken.start, taken.stop, taken.step)).ravel()
        ends = np.flatnonzero(np.diff(numbers) != 1) + 1
        runs = [(int(run[0]), int(run[-1]) + 1) for run in np.split(numbers, ends) if len(run)]
        shape = (*map(len, ranges), *self._spectrum_shape)
        return self._read_runs(runs).reshape(shape)

    def _read_runs(self, runs: list[tuple[int, int]]) -> NDArray[Any]:
        """The values of runs of consecutive positions, one behind the other."""
        values = self._source.read(runs)
        if values is None:
            raise self._changed()
        return np.frombuffer(values, self.dtype)

    def _block_lengths(self, budget: int, most: int = 0) -> list[int]:
        """Lengths of blocks of so many bytes, along the chunks where these take no more, or no more than `most`."""
        position = math.prod(self._spectrum_shape) * self.dtype.itemsize
        chunks = self._chunk_lengths()
        lengths = chunks if math.prod(chunks) * position <= max(budget, most) else [1] * len(chunks)
        for axis in reversed(range(len(lengths))):
            others = math.prod(lengths[:axis] + lengths[axis + 1 :]) * position
            room = max(budget // max(others, 1), 1)
            if room >= self._scan_shape[axis]:
                lengths[axis] = self._scan_shape[axis]
                continue
            lengths[axis] = max(room // lengths[axis], 1) * lengths[axis]
            break
        return lengths

    def _stored_position_axes(self) -> list[int]:
        """Which axes of its dataset are positions."""
        return list(self._options.get("positions_axes", self._stored().get("position_axes") or []))

    def _chunk_lengths(self) -> list[int]:
        of, axes = self._stored(), self._stored_position_axes()
        if not of.get("chunks"):
            return [1] * len(self._scan_shape)
        shape = of["chunks"]["shape"]
        if len(axes) == 1 < len(self._scan_shape):
            return _of_rows(shape[axes[0]], self._scan_shape)
        if len(axes) != len(self._scan_shape):
            return [1] * len(self._scan_shape)
        return [min(shape[axis], length) for axis, length in zip(axes, self._scan_shape)]

    def _selected(self, positions: Any) -> str | None:
        if positions is None or isinstance(positions, str):
            return positions
        if isinstance(positions, slice):
            return _written_step(positions)
        if isinstance(positions, tuple) and any(isinstance(step, slice) for step in positions):
            return ",".join(_written_step(step) for step in positions)
        numbers = np.asarray(positions)
        if not numbers.size:
            raise UsageError("positions: none are chosen", "Selection", {"reason": "none are chosen"})
        if numbers.dtype == bool:
            if numbers.shape != self._scan_shape:
                raise UsageError(
                    f"positions: a mask has to have the shape of the scan, {self._scan_shape}, not {numbers.shape}",
                    "Selection",
                    {"reason": "a mask of another shape"},
                )
            return self._selected(np.flatnonzero(numbers))
        if numbers.dtype.kind not in "iu":
            raise UsageError(f"positions: numbers, a mask or slices are needed, not {numbers.dtype}", "Selection")
        return "[" + ",".join(map(str, numbers.ravel().tolist())) + "]"


MAP_OPTIONS: dict[str, Any] = Scan.map.__kwdefaults__ or {}
"""The options of `Scan.map` with their defaults."""
RUN_OPTIONS: dict[str, Any] = Scan.run.__kwdefaults__ or {}
"""Those of `Scan.run`."""
REDUCE_OPTIONS: dict[str, Any] = Scan.reduce.__kwdefaults__ or {}
"""Those of `Scan.reduce`."""


def _trial(
    told: dict[str, Any], failure: str | None, values: dict[str, NDArray[Any]], model: dict[str, NDArray[Any]]
) -> Trial:
    seen = told["spectrum"]
    return Trial(
        position=told["position"],
        at=tuple(told["at"]),
        failure=failure,
        values=values,
        axis=seen and Axis(seen["axis"]["name"], seen["axis"]["units"], _numbers(seen["axis"]["values"])),
        data=seen and _values(seen["data"]),
        model=model,
    )


def _results_of(json_text: str, parts: list[bytes]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """What is told of a position, with its results, whose numbers in there are rounded."""
    told = json.loads(json_text)
    results = {}
    for one, part in zip(told["results"], parts):
        values = np.frombuffer(part, one["element_type"])
        results[one["name"]] = values.astype("float32" if values.dtype == "float16" else values.dtype)
    return told, results


def _check_own_parameters(process: Process | Reduction, parameters: Mapping[str, Any] | None) -> None:
    """Looks whether parameters are meant for a process or a reduction of one's own, which has them itself."""
    if parameters:
        name = type(process).__name__
        raise UsageError(f"parameters of `{name}` are given to itself, as in {name}(…)", "Parameter")


def _check_spectrum(number: int, told: dict[str, Any]) -> None:
    if number and not told["spectrum"] and not told["failure"]:
        raise UsageError(f"spectrum={number}: the position hasn't got so many", "Argument")


def _no_process(given: Any) -> UsageError:
    name = getattr(given, "__name__", type(given).__name__)
    if isinstance(given, type) and issubclass(given, Process | Reduction):
        way = f"give one of this class, {name}(…)"
    else:
        way = "give its name, or a process of your own; functions are for `map`"
    return UsageError(f"`{name}` is no process: {way}", "Argument")


def _of_rows(count: int, shape: Sequence[int]) -> list[int]:
    """The part of a grid that so many rows of a table of its positions are; single positions if they are no such part."""
    lengths: list[int] = []
    for length in reversed(shape):
        own = min(count, length)
        if count % own or length % own:
            return [1] * len(shape)
        lengths.insert(0, own)
        count //= own
    return lengths


def _axes(told: list[dict[str, Any]]) -> tuple[Axis, ...]:
    return tuple(Axis(one["name"], one["units"], _numbers(one["values"]), one["binned"]) for one in told)


def _parameters(parameters: Mapping[str, Any] | None, named: dict[str, Any]) -> str:
    """All parameters of a process, for the engine."""
    given = dict(parameters or {})
    for name in given.keys() & named.keys():
        raise UsageError(f"the parameter `{name}` is given twice", "Parameter")
    return _encode.dumps(given | named)


def _listed(values: Any) -> Any:
    """A sequence as a list; whatever else is given the engine refuses in words."""
    return list(values) if isinstance(values, Iterable) and not isinstance(values, str) else values


def _written(crop: str | Sequence[_Step] | None) -> str | None:
    if crop is None or isinstance(crop, str):
        return crop
    try:
        return ",".join(_written_step(step) for step in crop)
    except TypeError:
        raise UsageError(f"crop={crop!r}: it has to be a text, or steps and slices in a list", "Argument") from None


def _written_step(step: _Step) -> str:
    if not isinstance(step, slice):
        return str(operator.index(step))
    ends = ":".join("" if end is None else str(operator.index(end)) for end in (step.start, step.stop))
    return ends if step.step is None else f"{ends}:{operator.index(step.step)}"


def _numbers(values: list[float | None]) -> NDArray[Any]:
    return np.array([math.nan if value is None else value for value in values], np.float64)


def _values(told: list[float | None] | dict[str, list[float | None]]) -> NDArray[Any]:
    if isinstance(told, dict):
        return np.asarray(_numbers(told["real"]) + 1j * _numbers(told["imaginary"]))
    return _numbers(told)


def _storage(of: dict[str, Any]) -> list[str]:
    ways = {
        "raw": "directly",
        "transposed": "directly, and turned round",
        "chunks": "directly, chunk by chunk on all workers",
        "parts": "directly, from the parts that it is put together from",
        "library": f"through the HDF5 library ({of['read_because']})",
        "not at all": f"not at all: {of['read_because']}",
    }
    lines = []
    if of["chunks"]:
        shape = " × ".join(map(str, of["chunks"]["shape"]))
        filters = ", ".join(of["chunks"]["filters"]) or "no filters"
        lines.append(f"  {of['chunks']['count']:,} chunks of {shape}, {filters}")
    return [*lines, f"  is read {ways[of['read']]}"]


def _state(group: dict[str, Any]) -> list[str]:
    completed, positions = group["completed"], group["positions"]
    if completed is None or not positions:
        state = "nothing tells how much of it is computed"
    else:
        word = "complete" if completed == positions else "partial"
        if group["missing"]:
            word = f"broken ({group['missing']})"
        state = f"{word}, {completed:,} of {positions:,} positions"
    failed = group["failures"]["positions"]
    return [
        f"  results {group['group']}",
        f"    {group['process']}: {state}" + (f", {failed:,} failed" if failed else ""),
    ]
