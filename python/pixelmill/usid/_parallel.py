"""A function mapped over the rows of an array, in worker processes, as pyUSID maps one with joblib."""

import copy
import pickle
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _pixelmill, _pool, _worker
from .._errors import FunctionError
from ._errors import WrongType
from ._record import fill_with_nan

_PIECE_SECONDS = 0.05
_GROWTH = 4
# What is done sooner isn't worth starting one more process.
_WORTH_SECONDS = 0.5

Failure = tuple[str, Exception]
"""Why there is no result: in a line, and as the exception."""


class NothingComputed(Exception):
    """All rows failed; nobody knows what a result looks like."""

    def __init__(self, failed: dict[int, Failure]) -> None:
        super().__init__(failed[0][0])
        self.failed = failed


class Failures:
    """Takes note of the rows that fail, instead of raising what the first of them raises."""

    def __init__(self) -> None:
        self.rows = 0
        self.failed: dict[int, Failure] = {}

    def positions(self, count: int) -> dict[int, Failure]:
        """The failures by position, where several rows may be those of one, one behind the other."""
        if not self.failed:
            return {}
        each, rest = divmod(self.rows, count)
        if rest or not each:
            raise next(iter(self.failed.values()))[1]
        return {row // each: failure for row, failure in reversed(self.failed.items())}


_LISTENING = threading.local()


@contextmanager
def noting_failures() -> Iterator[Failures]:
    """Within it, `parallel_compute` in this thread takes note of rows that fail."""
    failures = Failures()
    before = getattr(_LISTENING, "failures", None)
    _LISTENING.failures = failures
    try:
        yield failures
    finally:
        _LISTENING.failures = before


def parallel_compute(
    data: NDArray[Any],
    func: Callable[..., Any],
    cores: int | None = None,
    lengthy_computation: bool = False,
    func_args: list[Any] | tuple[Any, ...] | None = None,
    func_kwargs: dict[str, Any] | None = None,
    verbose: bool = False,
    joblib_backend: str | None = "multiprocessing",
) -> list[Any]:
    """What a function returns for each row of an array, in the rows' order.

    It is called like pyUSID's ``parallel_compute``; ``lengthy_computation``, ``verbose`` and ``joblib_backend`` change
    nothing here. The rows are computed in processes that are kept for the next call, as many as are worth starting. One
    that dies costs only the row that it dies of, after one more try of that row alone. A row that fails raises its
    exception, or, while a :class:`Process` computes, is told to it: the others go on, and its place in the list has
    what looks like another row's result, filled with NaN. What a function draws at random depends on its row's values
    only, so that results are the same however rows are shared out.
    """
    if not callable(func):
        raise WrongType("Function argument is not callable")
    if not isinstance(data, np.ndarray):
        raise WrongType("data must be a numpy array")
    if func_args is not None and not isinstance(func_args, list | tuple):
        raise WrongType("Arguments to the mapped function should be specified as a list")
    if func_kwargs is not None and not isinstance(func_kwargs, dict):
        raise WrongType("Keyword arguments to the mapped function should be specified via a dictionary")
    if cores is not None and not isinstance(cores, int | np.integer):
        raise WrongType("cores should be an integer")
    constants = {"args": tuple(func_args or ()), "kwargs": dict(func_kwargs or {})}
    usable, _, _ = _pixelmill.machine()
    count = max(1, min(abs(cores or usable), usable, len(data)))
    try:
        task = _task(func, constants)
    except FunctionError as error:
        print(f"{error}; it is computed in this process, on one core")
        results, failed = _here(data, func, constants)
    else:
        results, failed = _Mapping(data, task, count).run()
    return _told(results, failed)


def nothing_like(value: Any) -> Any:
    """A value of the same make that says that there is none: NaN, 0 for integers."""
    if isinstance(value, np.ndarray | np.generic):
        array = np.zeros_like(value)
        fill_with_nan(array)
        return array if isinstance(value, np.ndarray) else array[()]
    if isinstance(value, bool | int | str | bytes):
        return type(value)()
    if isinstance(value, float | complex):
        return type(value)(np.nan)
    if isinstance(value, dict):
        emptied = copy.copy(value)
        emptied.update({key: nothing_like(one) for key, one in value.items()})
        return emptied
    if type(value) in (list, tuple):
        return type(value)(nothing_like(one) for one in value)
    return value


def _told(results: list[Any], failed: dict[int, Failure]) -> list[Any]:
    """The results, with something in the places of those that failed, if somebody hears of these."""
    failures: Failures | None = getattr(_LISTENING, "failures", None)
    if failures is None:
        for _, error in failed.values():
            raise error
        return results
    if failures.rows not in (0, len(results)) and (failed or failures.failed):
        # Nobody knows which positions these are.
        raise next(iter((failures.failed | failed).values()))[1]
    failures.rows = len(results)
    failures.failed |= failed
    if not failed:
        return results
    if len(failed) == len(results):
        raise NothingComputed(failed)
    template = next(result for row, result in enumerate(results) if row not in failed)
    return [nothing_like(template) if row in failed else result for row, result in enumerate(results)]


def _task(func: Callable[..., Any], constants: dict[str, Any]) -> _pool.Task:
    """A function as processes get it, which one has loaded."""
    import cloudpickle

    try:
        task = _pool.Task(cloudpickle.dumps(func), cloudpickle.dumps((constants, None)), None, "pixelmill.usid")
    except Exception as error:
        raise FunctionError(f"{func} can't be handed to worker processes: {error}") from None
    _pool.POOL.give_back(_pool.POOL.take(task))
    return task


def _here(
    data: NDArray[Any], func: Callable[..., Any], constants: dict[str, Any]
) -> tuple[list[Any], dict[int, Failure]]:
    results: list[Any] = []
    failed: dict[int, Failure] = {}
    for row, values in enumerate(data):
        try:
            with seeded(values):
                results.append(func(values.copy(), *constants["args"], **constants["kwargs"]))
        except Exception as error:
            results.append(None)
            failed[row] = (_worker.last_line(error), error)
    return results, failed


@contextmanager
def seeded(values: NDArray[Any]) -> Iterator[None]:
    """Within it, what is drawn at random depends on some values only."""
    states = random.getstate(), np.random.get_state()
    _worker.seed(values)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


class _Mapping:
    """Rows that are computed by some processes."""

    def __init__(self, data: NDArray[Any], task: _pool.Task, cores: int) -> None:
        self._dtype, self._shape = data.dtype, data.shape[1:]
        # Whatever they are, rows are bytes to what hands them over.
        rows = np.ascontiguousarray(data).reshape(len(data), -1)
        self._rows = rows.view(np.uint8).reshape(len(data), -1)
        self._task = task
        self._cores = cores
        self._results: list[Any] = [None] * len(data)
        self._failed: dict[int, Failure] = {}
        self._lock = threading.Lock()
        self._next = 0
        self._seconds_each: float | None = None
        self._busy: set[_pool.Worker] = set()
        self._broken: BaseException | None = None

    def run(self) -> tuple[list[Any], dict[int, Failure]]:
        """The results, and why there are none of some rows."""
        threads: list[threading.Thread] = []
        try:
            while True:
                if len(threads) < self._cores and self._wants_more(len(threads)):
                    threads.append(threading.Thread(target=self._work, daemon=True))
                    threads[-1].start()
                for thread in threads:
                    thread.join(0.01)
                if not any(thread.is_alive() for thread in threads):
                    break
        except BaseException as error:
            self._end(error)
            for thread in threads:
                thread.join()
            raise
        if self._broken is not None:
            raise self._broken
        return self._results, dict(sorted(self._failed.items()))

    def _wants_more(self, have: int) -> bool:
        """Whether one more process shortens what is left by more than it takes to start it."""
        if have == 0:
            return True
        left = len(self._rows) - self._next
        return self._seconds_each is not None and left * self._seconds_each / have > _WORTH_SECONDS

    def _end(self, why: BaseException) -> None:
        with self._lock:
            self._broken = self._broken or why
            for worker in self._busy:
                worker.kill()

    def _work(self) -> None:
        length = 1
        try:
            while (piece := self._piece(length)) is not None:
                self._seconds_each = max(self._compute(piece), 1e-6) / len(piece)
                fitting = int(_PIECE_SECONDS / self._seconds_each)
                length = max(1, min(fitting, len(piece) * _GROWTH))
        except BaseException as error:
            self._end(error)

    def _piece(self, length: int) -> range | None:
        with self._lock:
            if self._broken is not None or self._next >= len(self._rows):
                return None
            left = len(self._rows) - self._next
            start = self._next
            self._next += max(1, min(length, left // self._cores))
            return range(start, self._next)

    def _compute(self, rows: range) -> float:
        """Computes some rows; the seconds that they took, without those of starting a process."""
        try:
            return self._once(rows)
        except _pool.Died:
            self._stop_if_ended()
        seconds = 0.0
        for row in rows:
            try:
                seconds += self._once(range(row, row + 1))
            except _pool.Died as died:
                self._stop_if_ended()
                self._failed[row] = (str(died), FunctionError(str(died)))
        return seconds

    def _stop_if_ended(self) -> None:
        if self._broken is not None:
            raise self._broken

    def _once(self, rows: range) -> float:
        worker = _pool.POOL.take(self._task)
        begin = time.monotonic()
        with self._lock:
            self._busy.add(worker)
        try:
            layout, _ = worker.hand_over(self._rows[rows.start : rows.stop], {}, [])
            answers = worker.ask("map", layout, self._dtype, self._shape)
        except BaseException:
            worker.end()
            raise
        finally:
            with self._lock:
                self._busy.discard(worker)
        _pool.POOL.give_back(worker)
        for row, (succeeded, answer) in zip(rows, answers):
            if succeeded:
                self._results[row] = pickle.loads(answer)
            else:
                self._failed[row] = (answer[0], _raised(*answer))
        return time.monotonic() - begin


def _raised(line: str, told: bytes | None) -> Exception:
    """The exception as it was raised, if it can be had."""
    try:
        error = pickle.loads(told) if told is not None else None
    except Exception:
        error = None
    return error if isinstance(error, Exception) else FunctionError(line)
