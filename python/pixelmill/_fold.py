"""A reduction over all positions."""

import contextlib
import copy
import hashlib
import json
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import _arguments, _encode, _identity, _map, _pixelmill, _pool
from ._errors import FunctionError, UsageError
from ._pool import Died, Worker
from ._process import source_info
from ._reduction import Buffer, Buffers, Changed, Reduction
from ._results import Results
from ._worker import CHANGES, last_line

if TYPE_CHECKING:
    from ._scan import Scan

_Failed = list[tuple[int, str]]
_Answer = tuple[list[bytes], _Failed, str | None]
_Arrays = list[NDArray[Any]]
_Varying = dict[str, NDArray[Any]]
_What = tuple[str, list[int], list[tuple[int, int]], tuple[int, ...]]
"""What is to be done, the positions in hand, the stretches of points, and the lengths of a spectrum's axes."""
_Done = tuple[_Arrays, _Failed, str | None]
_Does = Callable[[NDArray[Any], _Arrays, _Arrays, _Varying, _What], _Done]

_WAYS = {
    "partition": Reduction.process_partition,
    "spectrum": Reduction.process_spectrum,
    "tile": Reduction.process_tile,
}


class Folding:
    """A reduction with its arguments, over a scan."""

    def __init__(
        self, scan: "Scan", reduction: Reduction, arguments: dict[str, Any], given: dict[str, bool]
    ) -> None:
        if not isinstance(reduction, Reduction):
            raise UsageError(f"a reduction is needed, not {type(reduction).__name__}", "Argument")
        self.scan = scan
        self._of = type(reduction)
        self.name = reduction.name or self._of.__name__
        _map.check_name(self.name, "name")
        own = [way for way, default in _WAYS.items() if getattr(self._of, f"process_{way}") is not default]
        if len(own) != 1:
            found = " and ".join(f"`process_{way}`" for way in own) or "none"
            raise self._wrong(
                f"it needs one of `process_partition`, `process_spectrum` and `process_tile`, and has {found}"
            )
        self.whole = own[0]
        _arguments.check(getattr(reduction, f"process_{self.whole}"), self.name, arguments, given, leading=2)
        self._arguments = _arguments.Arguments(scan, arguments)
        self._spectra = math.prod(scan._spectrum_shape) // max(math.prod(scan._each_shape), 1)
        parameters = dict(vars(reduction))
        told, self._code = self._identified(reduction.version)
        exact = self._exact(parameters)
        told["python_parameters"] = json.dumps(exact, sort_keys=True)
        if arguments:
            told["python_arguments"] = json.dumps(self._exact_arguments(), sort_keys=True)
        constants = parameters | self._arguments.constants
        shown = {name: value for name, value in constants.items() if _map.is_shown(name, value)}
        self._identity = shown | told
        prepared = copy.copy(reduction)
        declared = Buffers()
        try:
            prepared.prepare(source_info(scan, scan._each_shape), declared)
        except UsageError:
            raise
        except Exception as error:
            raise self._wrong(f"its `prepare` failed: {last_line(error)}") from error
        self.buffers = list(declared.values())
        self._check_buffers()
        if self._exact(parameters) != exact:
            raise self._wrong("its `prepare` changes what is in an attribute; let it set that to something new")
        self._state = dict(vars(prepared))
        self._identity["python_prepared"] = self._prepared(parameters)
        self._state = {name: _arguments.as_handed_over(value) for name, value in self._state.items()}
        self._tried: set[str] = set()

    def _identified(self, version: Any) -> tuple[dict[str, str], str | None]:
        """What the class is for whoever looks for its results, and how a worker process knows it."""
        if version is not None:
            return {"python_version": f"{type(version).__name__} {version}"}, None
        try:
            return _map.by_text(*_identity.of_text(self._of)), _identity.of_code(self._of)
        except _identity.Unhashable as unhashable:
            raise _map.unrecognised(self.name, unhashable, _map.WAY_OUT) from None

    def _exact(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Attributes as JSON in which different values are different."""
        try:
            return {name: _identity.of_value(value, f"`{name}`") for name, value in parameters.items()}
        except _identity.Unhashable as unhashable:
            raise _map.unrecognised(self.name, unhashable) from None

    def _exact_arguments(self) -> dict[str, Any]:
        try:
            return self._arguments.exact()
        except _identity.Unhashable as unhashable:
            raise _map.unrecognised(self.name, unhashable) from None

    def _prepared(self, parameters: dict[str, Any]) -> str:
        """What `prepare` has made: buffers, and attributes as far as their values can be told.

        It is no other thing each time unless it depends on what isn't seen, such as a file or the clock.
        """
        made: dict[str, Any] = {}
        for name, value in self._state.items():
            if name not in parameters or value is not parameters[name]:
                with contextlib.suppress(_identity.Unhashable):
                    made[name] = _identity.of_value(value, f"`{name}`")
        told = [list(map(str, self.buffers)), made]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    def _wrong(self, reason: str) -> FunctionError:
        return FunctionError(f"`{self.name}` can't fold: {reason}", "Reduction", {"function": self.name})

    def _check_buffers(self) -> None:
        if not self.buffers:
            raise self._wrong("its `prepare` declares no buffer")
        for buffer in self.buffers:
            _map.check_name(buffer.name, "buffer")
        if all(buffer.role == "private" for buffer in self.buffers):
            raise self._wrong("all its buffers are private, so that there would be no results")
        if self._overrides("merge"):
            return
        for buffer in self.buffers:
            if buffer.is_folded and buffer.neutral != 0:
                raise self._wrong(
                    f"`{buffer.name}` begins with {buffer.neutral}, and what is folded is summed unless it has a "
                    "`merge`"
                )

    def _overrides(self, method: str) -> bool:
        return getattr(self._of, method) is not getattr(Reduction, method)

    def declared(self) -> str:
        """All of it, for the engine."""
        begins = self._overrides("preprocess") or any(buffer.neutral != 0 for buffer in self.buffers)
        return _encode.dumps(
            {
                "name": self.name,
                "parameters": self._identity,
                "element": self.scan.dtype.name,
                "whole": self.whole,
                "spectra": self._spectra,
                "opened": self._arguments.opened(),
                "buffers": [
                    {
                        "name": buffer.name,
                        "kind": buffer.kind,
                        "role": buffer.role.replace(" ", "_"),
                        "element": buffer.dtype.name,
                        "shape": buffer.shape,
                        "quantity": buffer.quantity,
                        "units": buffer.units,
                        "valid_in": buffer.valid_in,
                    }
                    for buffer in self.buffers
                ],
                "begins": begins,
                "ends": self._overrides("postprocess"),
                "finishes": self._overrides("finish"),
            }
        )

    def task(self) -> _pool.Task:
        """The class as worker processes get it, with the attributes and the constants."""
        import cloudpickle

        try:
            payload = cloudpickle.dumps(self._of)
            given = cloudpickle.dumps(((self._state, self._arguments.constants), None))
        except Exception as error:
            raise FunctionError(f"`{self.name}` can't be handed to worker processes: {error}") from None
        return _pool.Task(payload, given, self._code, self._identity.get("python_version", ""))

    def step(self, values: NDArray[Any], own: _Arrays, others: _Arrays, varying: _Varying, what: _What) -> _Done:
        """Does a step in this process."""
        arrays = [array.copy() for array in own]
        # Other threads have the same attributes and constants.
        state = {name: _map.apart(value) for name, value in self._state.items()}
        constants = {name: _map.apart(value) for name, value in self._arguments.constants.items()}
        try:
            failed, lost = self._of._step((state, constants), values, self.buffers, arrays, others, varying, what)
        except Changed as changed:
            raise self._wrong(str(changed)) from None
        if what[0] not in self._tried and self._code is not None and _identity.of_code(self._of) != self._code:
            raise self._wrong(CHANGES)
        self._tried.add(what[0])
        return arrays, failed, lost

    def handed(self, does: _Does) -> Callable[..., _Answer]:
        """What the engine calls for a step."""

        def call(
            step: str,
            positions: list[int],
            values: bytes,
            runs: list[tuple[int, int]],
            own: list[bytes],
            others: list[bytes] | None,
            inputs: list[bytes],
        ) -> _Answer:
            what = (step, positions, runs, self.scan._each_shape)
            points = sum(length for _, length in runs)
            if len(values) != len(positions) * points * self.scan.dtype.itemsize:
                # Each position has more spectra by now, or fewer.
                raise self.scan._changed()
            arrays, merged = self._arrays(own), self._arrays(others or [])
            if step == "preprocess":
                arrays = [np.full_like(array, buffer.neutral) for array, buffer in zip(arrays, self.buffers)]
                if not self._overrides("preprocess"):
                    return [array.tobytes() for array in arrays], [], None
            if step == "merge" and not self._overrides("merge"):
                arrays = [array.copy() for array in arrays]
                failed, lost = Reduction._step(({}, {}), np.empty(0), self.buffers, arrays, merged, {}, what)
            else:
                varying = self._arguments.varying(positions, inputs) if step in _WAYS else {}
                arrays, failed, lost = does(np.frombuffer(values, self.scan.dtype), arrays, merged, varying, what)
            if step == "preprocess" and lost is not None:
                raise self._wrong(f"its `preprocess` failed: {lost}")
            return [array.tobytes() for array in arrays], failed, lost

        return call

    def _arrays(self, parts: list[bytes]) -> _Arrays:
        return [np.frombuffer(part, buffer.dtype) for part, buffer in zip(parts, self.buffers)]

    def results_of_one(self, told: dict[str, NDArray[Any]], spectrum: int) -> dict[str, NDArray[Any]]:
        """What the engine says that one position is folded into, with what is there of a spectrum of it."""
        leading = {"position": (self._spectra,), "point": self.scan._each_shape, "single": ()}
        buffers = {buffer.name: buffer for buffer in self.buffers}
        found = {}
        for name, array in told.items():
            buffer = buffers[name]
            array = array.reshape((*leading[buffer.kind], *buffer.shape))
            found[name] = array[min(spectrum, self._spectra - 1)] if buffer.kind == "position" else array
        return found

    def of_one(self, own: _Arrays, index: int, positions: int) -> _Arrays:
        """What the buffers have of one of the positions in hand, and all else that they have."""
        return [
            array.reshape(positions, -1)[index] if buffer.kind == "position" and array.size else array
            for array, buffer in zip(own, self.buffers)
        ]

    def computing(self, workers: str) -> "InProcesses | InThreads":
        """What folds."""
        return InThreads(self) if _map.in_threads(workers, self._of) else InProcesses(self)

    def died(self, step: str, died: Died) -> FunctionError:
        """That a process died of a step that isn't about any position."""
        return self._wrong(f"in `{step}`, {died}")


class InThreads(_pool.Threads):
    """Folds on the engine's threads."""

    def __init__(self, folding: Folding) -> None:
        super().__init__()
        self._folding = folding

    def fold(self, values: NDArray[Any], own: _Arrays, others: _Arrays, varying: _Varying, what: _What) -> _Done:
        """Does a step."""
        return self.leaving(lambda: self._folding.step(values, own, others, varying, what))


class InProcesses(_pool.InProcesses):
    """Folds in worker processes."""

    def __init__(self, folding: Folding) -> None:
        super().__init__([folding.task()], [])
        self._folding = folding

    def fold(self, values: NDArray[Any], own: _Arrays, others: _Arrays, varying: _Varying, what: _What) -> _Done:
        """Does a step; where a process dies of it, each spectrum is tried alone to find those that it dies of."""
        try:
            return self._step(values, own, others, varying, what)
        except Died:
            self.go_on()
        step, positions, runs, spectrum_shape = what
        failed: _Failed = []
        if step in _WAYS:
            each = values.reshape(len(positions), -1)
            for index, position in enumerate(positions):
                try:
                    of_one = self._folding.of_one(own, index, len(positions))
                    inputs = {name: array[index : index + 1] for name, array in varying.items()}
                    self._step(each[index], of_one, [], inputs, (step, [position], runs, spectrum_shape))
                except Died as died:
                    self.go_on()
                    failed.append((index, str(died)))
        if failed:
            return own, failed, None
        # Whoever ended the process may not do so again.
        try:
            return self._step(values, own, others, varying, what)
        except Died as died:
            self.go_on()
            if step in _WAYS:
                return own, [], str(died)
            raise self._folding.died(step, died) from None

    def _step(self, values: NDArray[Any], own: _Arrays, others: _Arrays, varying: _Varying, what: _What) -> _Done:
        buffers: list[Buffer] = self._folding.buffers
        # No argument begins with a blank.
        given = varying | {f" own {at}": array for at, array in enumerate(own)}
        given |= {f" other {at}": array for at, array in enumerate(others)}

        def once(worker: Worker) -> _Done:
            layout, starts = worker.hand_over(values, given, [array.nbytes for array in own])
            failed, lost = worker.ask("fold", layout, starts, buffers, what)
            taken = [worker.taken(start, array.nbytes) for start, array in zip(starts, own)]
            return [np.frombuffer(part, array.dtype) for part, array in zip(taken, own)], failed, lost

        return self.using(once)


def run(folding: Folding, workers: str, options: str, watch: Callable[[str], object] | None) -> Results:
    """Folds a scan."""
    computing = folding.computing(workers)
    handed = folding.handed(computing.fold)
    return Results(_pixelmill.fold(options, folding.declared(), handed, computing.abandon, watch))


def look(folding: Folding, steps: list[int], spectrum: int) -> tuple[str, list[bytes]]:
    """What the engine says of one position, which is folded by itself."""
    computing = folding.computing("auto")
    return _pixelmill.test_fold(
        folding.scan._with(cores=1),
        folding.declared(),
        folding.handed(computing.fold),
        computing.abandon,
        steps,
        spectrum,
    )
