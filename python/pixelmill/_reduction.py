"""What is written to fold all spectra of a scan into one answer."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ._errors import UsageError, check_choice
from ._process import SourceInfo
from ._worker import _SHORT, _pickled, last_line

_FROZEN = "_is_computing"
_ROLES = ("published", "private", "at end")


@dataclass(frozen=True)
class Buffer:
    """A buffer of a reduction, as it is declared."""

    name: str
    """Its name, which is that of the results dataset."""
    kind: str
    """What it has a value for: `"position"`, `"point"` or `"single"`."""
    dtype: "np.dtype[Any]"
    """Type of its values."""
    shape: tuple[int, ...]
    """Lengths of the axes of each value, if that is an array."""
    quantity: str
    """What it holds."""
    units: str
    """Units of its values."""
    role: str
    """Who sees it: `"published"`, `"private"` or `"at end"`; of a mask `"mask"`."""
    neutral: Any
    """What is in it where nothing is folded."""
    valid_in: str | None = None
    """The mask that says for which positions it is valid, if it has one."""

    @property
    def is_folded(self) -> bool:
        """Whether it is merged with that of other units."""
        return self.kind != "position" and self.role != "at end"


class Buffers(Mapping[str, Buffer]):
    """The buffers of a reduction, which its `prepare` declares.

    Each has a name, which is that of the results dataset, and

    dtype, shape: the type of its values, and the lengths of the axes of each if that is an array.
    quantity, units: what it holds.
    role: `"published"` makes a results dataset of it, `"private"` doesn't; what is `"at end"` is there for `finish`
        only, which makes it, and becomes a results dataset.
    neutral: what is in it where nothing is folded.
    """

    def __init__(self) -> None:
        self._buffers: dict[str, Buffer] = {}

    def per_position(
        self,
        name: str,
        dtype: DTypeLike = "float64",
        shape: int | Iterable[int] = (),
        *,
        quantity: str | None = None,
        units: str = "",
        role: str = "published",
        neutral: Any = 0,
        valid_in: str | None = None,
    ) -> None:
        """Declares a buffer with a value for each position; `valid_in` is the mask of one that is made at the end."""
        if valid_in is not None and role != "at end":
            raise _wrong(f"`{name}` has a mask, but isn't made at the end")
        if valid_in is not None and (valid_in not in self or self[valid_in].role != "mask"):
            raise _wrong(f"`{name}` has the mask `{valid_in}`, which isn't declared before")
        self._declare("position", name, dtype, shape, quantity, units, role, neutral)
        self._buffers[name] = replace(self._buffers[name], valid_in=valid_in)

    def per_point(
        self,
        name: str,
        dtype: DTypeLike = "float64",
        shape: int | Iterable[int] = (),
        *,
        quantity: str | None = None,
        units: str = "",
        role: str = "published",
        neutral: Any = 0,
    ) -> None:
        """Declares a buffer with a value for each point of a spectrum."""
        self._declare("point", name, dtype, shape, quantity, units, role, neutral)

    def single(
        self,
        name: str,
        dtype: DTypeLike = "float64",
        shape: int | Iterable[int] = (),
        *,
        quantity: str | None = None,
        units: str = "",
        role: str = "published",
        neutral: Any = 0,
    ) -> None:
        """Declares a buffer with one value for the whole scan."""
        self._declare("single", name, dtype, shape, quantity, units, role, neutral)

    def mask(self, name: str) -> None:
        """Declares a mask of the positions for which results are valid that are made at the end.

        `finish` gets it with 1 for each position that is in, and 0 for those that failed or aren't there yet. It may
        put 0 where there is no valid result for another reason.
        """
        self._declare("position", name, "uint8", (), "Valid", "", "published", 0)
        self._buffers[name] = replace(self._buffers[name], role="mask")

    def _declare(
        self,
        kind: str,
        name: str,
        dtype: DTypeLike,
        shape: int | Iterable[int],
        quantity: str | None,
        units: str,
        role: str,
        neutral: Any,
    ) -> None:
        of = np.dtype(dtype)
        of = np.dtype(_SHORT.get(of.name, of.name)) if of.kind in "biufc" else of
        if of.kind not in "iufc" or of.itemsize > (16 if of.kind == "c" else 8):
            raise _wrong(
                f"`{name}` can't be of the type {of}: buffers hold integers, floating-point or complex numbers"
            )
        lengths = tuple(map(int, shape)) if isinstance(shape, Iterable) else (int(shape),)
        if any(length < 1 for length in lengths):
            raise _wrong(f"`{name}` can't have the shape {lengths}: each axis has at least one step")
        check_choice(f"`{name}`: role", role, _ROLES)
        if name in self._buffers:
            raise _wrong(f"`{name}` is declared twice")
        try:
            with np.errstate(invalid="ignore"):
                first = np.asarray(neutral).astype(of, casting="same_kind" if np.ndim(neutral) else "unsafe")
            is_held = np.ndim(neutral) == 0 and (first == neutral or neutral != neutral and of.kind in "fc")
        except (TypeError, ValueError, OverflowError):
            is_held = False
        if not is_held:
            raise _wrong(f"`{name}` can't begin with {neutral!r}, which is no {of}")
        if role == "at end" and neutral != 0:
            raise _wrong(f"`{name}` is made at the end and begins with nothing, so that it has no neutral value")
        told = name if quantity is None else quantity
        self._buffers[name] = Buffer(name, kind, of, lengths, told, units, role, neutral)

    def __getitem__(self, name: str) -> Buffer:
        return self._buffers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._buffers)

    def __len__(self) -> int:
        return len(self._buffers)


class Parts(Mapping[str, "NDArray[Any]"]):
    """What there is of the buffers: arrays by their names, which are written into.

    `parts["name"] += …` and `parts["name"][…] = …` work as with any array, and `parts["name"] = …` fills it.
    """

    def __init__(
        self, arrays: dict[str, NDArray[Any]], positions: NDArray[np.uint64], points: NDArray[np.int64] | None = None
    ) -> None:
        self._arrays = arrays
        self.positions = positions
        """Numbers of the positions that are in hand, for each spectrum of them."""
        self.points = points
        """Numbers of the points that a tile is of; `None` where spectra are whole."""

    def __getitem__(self, name: str) -> NDArray[Any]:
        try:
            return self._arrays[name]
        except KeyError:
            raise KeyError(f"there is no buffer `{name}` here; there are: {', '.join(self._arrays)}") from None

    def __setitem__(self, name: str, value: Any) -> None:
        array = self[name]
        if value is not array:
            np.copyto(array, value, casting="same_kind")

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)


class Changed(Exception):
    """A reduction has changed what other steps of it see as well."""


class Reduction:
    """A computation that folds all spectra of a scan into one answer, for `Scan.reduce`.

    A class of one's own has `prepare`, one of `process_partition`, `process_spectrum` and `process_tile`, and `merge`
    if sums aren't what makes one answer of two::

        class Largest(pm.Reduction):
            def prepare(self, source, buffers):
                buffers.per_point("Largest", source.dtype, units=source.units)

            def process_partition(self, spectra, parts):
                np.maximum(parts["Largest"], spectra.max(axis=0), out=parts["Largest"])

            def merge(self, into, other):
                np.maximum(into["Largest"], other["Largest"], out=into["Largest"])

    The scan is cut into units of some positions by its shape and chunks alone. Each is folded by itself, and neighbours
    are merged in a fixed order, so that results have the same bits whatever the number of workers, and however often
    the computation was interrupted. So what is done may depend on nothing but the arguments, and on the attributes that
    it had before: they are its parameters, and neither they nor what is in them can be changed while it computes.

    Keyword arguments of `scan.reduce` beside the options go to the method that folds, by position if they have the
    shape of the scan (an array, results, another scan), with one more axis in front for the spectra as all else there,
    else as they are. Where spectra run `along` some of their axes, each of a position is folded by itself, and results
    per position are so many.
    """

    name: str | None = None
    """What the results are called; by default as the class."""
    version: int | str | None = None
    """Says which computation it is, in place of the text of the class."""

    def prepare(self, source: SourceInfo, buffers: Buffers) -> None:
        """Declares the buffers; may set attributes to what is to be prepared once."""
        raise NotImplementedError("a reduction needs a method `prepare`, which declares its buffers")

    def preprocess(self, parts: Parts) -> None:
        """Begins a unit; buffers hold their neutral values before."""

    # The inputs are arguments with names of their own, so that any others are right for type checkers.
    def process_partition(self, *spectra_and_parts: Any, **inputs: Any) -> None:
        """Folds all spectra of a unit. Buffers per position have one more axis in front, as `spectra` has.

        If it raises, all positions of the unit fail.
        """

    def process_spectrum(self, *spectrum_and_parts: Any, **inputs: Any) -> None:
        """Folds one spectrum; buffers per position have just its own value.

        If it raises, its position fails, and the unit is folded without it.
        """

    def process_tile(self, *tile_and_parts: Any, **inputs: Any) -> None:
        """Folds some points of some spectra: one row for each spectrum, one column for each point.

        Buffers per position have one more axis in front for the rows, those per point for the columns. If it raises,
        all positions of the unit fail.
        """

    def postprocess(self, parts: Parts) -> None:
        """Ends a unit, whose positions are all folded."""

    def merge(self, into: Parts, other: Parts) -> None:
        """Adds what later units were folded into, `other`, to what earlier ones were, `into`; by default it sums."""
        for name, array in into.items():
            _add(name, array, other[name])

    def finish(self, parts: Parts) -> None:
        """Makes the results of what the whole scan was folded into.

        Buffers that are made at the end are there now. If one of these is per position, so are all published ones.
        """

    def __setattr__(self, name: str, value: Any) -> None:
        if _FROZEN in self.__dict__:
            raise AttributeError(
                f"`self.{name}` can't be set while it computes: results may depend on nothing that was computed before"
            )
        super().__setattr__(name, value)

    @classmethod
    def _with(cls, state: dict[str, Any]) -> "Reduction":
        """One with these attributes, which can't be changed."""
        made = cls.__new__(cls)
        made.__dict__.update({name: _read_only(value) for name, value in state.items()})
        made.__dict__[_FROZEN] = True
        return made

    @classmethod
    def _step(
        cls,
        kept: tuple[dict[str, Any], dict[str, Any]],
        values: NDArray[Any],
        buffers: list[Buffer],
        arrays: list[NDArray[Any]],
        others: list[NDArray[Any]],
        varying: dict[str, NDArray[Any]],
        what: tuple[str, list[int], list[tuple[int, int]], tuple[int, ...]],
    ) -> tuple[list[tuple[int, str]], str | None]:
        """Does one step with flat arrays; tells which spectra failed, and why all of them did.

        What is kept are the attributes, and the arguments that are the same for all positions.
        """
        state, constants = kept
        before = _contents(state, constants)
        given = {name: _read_only(value) for name, value in constants.items()}
        inputs = given, {name: _read_only(value) for name, value in varying.items()}
        told = cls._with(state)._done(values, buffers, arrays, others, inputs, what)
        for name, contents in _contents(state, constants).items():
            if contents != before[name]:
                raise Changed(
                    f"it changes what is in `{name}` while it computes: results may depend on nothing that was "
                    "computed before"
                )
        return told

    def _done(
        self,
        values: NDArray[Any],
        buffers: list[Buffer],
        arrays: list[NDArray[Any]],
        others: list[NDArray[Any]],
        inputs: tuple[dict[str, Any], dict[str, NDArray[Any]]],
        what: tuple[str, list[int], list[tuple[int, int]], tuple[int, ...]],
    ) -> tuple[list[tuple[int, str]], str | None]:
        step, positions, runs, spectrum_shape = what
        constants, varying = inputs
        numbers = np.array(positions, np.uint64)
        points = (
            np.concatenate([np.arange(first, first + length) for first, length in runs]) if step == "tile" else None
        )
        of_points = spectrum_shape if points is None else (len(points),)
        parts = Parts(_shaped(buffers, arrays, of_points), numbers, points)
        values = values.reshape(len(positions), *of_points) if len(positions) and values.size else values
        try:
            if step == "spectrum":
                return self._each(values, parts, buffers, inputs), None
            if step == "merge":
                self.merge(parts, Parts(_shaped(buffers, others, of_points), numbers))
            elif step in ("partition", "tile"):
                getattr(self, f"process_{step}")(values, parts, **constants, **varying)
            else:
                getattr(self, step)(parts)
        except (Exception, SystemExit) as error:
            return [], last_line(error)
        return [], None

    def _each(
        self,
        spectra: NDArray[Any],
        parts: Parts,
        buffers: list[Buffer],
        inputs: tuple[dict[str, Any], dict[str, NDArray[Any]]],
    ) -> list[tuple[int, str]]:
        failed = []
        constants, varying = inputs
        of_position = {buffer.name for buffer in buffers if buffer.kind == "position"}
        for index, spectrum in enumerate(spectra):
            arrays = {name: array[index, ...] if name in of_position else array for name, array in parts.items()}
            own_inputs = {name: value[index] for name, value in varying.items()}
            own_parts = Parts(arrays, parts.positions[index : index + 1])
            try:
                self.process_spectrum(spectrum, own_parts, **constants, **own_inputs)
            except (Exception, SystemExit) as error:
                failed.append((index, last_line(error)))
        return failed


def _shaped(buffers: list[Buffer], arrays: list[NDArray[Any]], of_points: tuple[int, ...]) -> dict[str, NDArray[Any]]:
    """The arrays of those buffers that are there."""
    leading: dict[str, tuple[int, ...]] = {"position": (-1,), "point": of_points, "single": ()}
    shapes = [(*leading[buffer.kind], *buffer.shape) for buffer in buffers]
    there = [(buffer.name, array, shape) for buffer, array, shape in zip(buffers, arrays, shapes) if array.size]
    return {name: array.reshape(shape) for name, array, shape in there}


def _add(name: str, into: NDArray[Any], other: NDArray[Any]) -> None:
    summed = into + other
    if summed.dtype.kind == "u":
        overflows = summed < into
    elif summed.dtype.kind == "i":
        overflows = ((into < 0) == (other < 0)) & ((summed < 0) != (into < 0))
    else:
        overflows = np.False_
    if np.any(overflows):
        raise OverflowError(f"the sum in `{name}` is too large for {summed.dtype}")
    into[...] = summed


def _contents(state: dict[str, Any], constants: dict[str, Any]) -> dict[str, bytes]:
    """What is in those attributes and arguments that could be changed, as far as that can be told."""
    named = {f"self.{name}": value for name, value in state.items()} | constants
    return {name: _pickled(value) for name, value in named.items() if not isinstance(value, np.ndarray)}


def _read_only(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    view = value.view()
    view.flags.writeable = False
    return view


def _wrong(message: str) -> UsageError:
    return UsageError(message, "Argument")
