"""Who calls functions: processes, started when they are needed and kept for the next call of the same function, or
threads."""

import atexit
import contextlib
import ctypes
import mmap
import os
import pickle
import queue
import signal
import struct
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from . import _worker
from ._errors import FunctionError
from ._worker import Attempt, Column

_LENGTH = struct.Struct("<Q")
_T = TypeVar("_T")
_ALIGNED = 64
_STARTS = 3
_PROGRAM = str(Path(__file__).with_name("_worker.py"))
# Whatever computes in parallel by itself would share the cores with all other workers.
_ALONE = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
)


_ENDED = "it was ended at once; the same call goes on with it"


def _aligned(length: int) -> int:
    return -(-length // _ALIGNED) * _ALIGNED


class Died(Exception):
    """A worker process has ended while it computed; the text says how."""


class Task:
    """A function as worker processes get it."""

    def __init__(
        self, function: bytes, constants: bytes, code: str | None, version: str, device: int | None = None
    ) -> None:
        self.function = (list(sys.path), os.getcwd(), function, code)
        """What is loaded."""
        self.key = (self.function, version, device)
        """Processes that have loaded something else aren't used: they may have older modules."""
        self.constants = constants


class Worker:
    """A worker process."""

    def __init__(self, task: Task) -> None:
        if not sys.executable:
            raise FunctionError("this Python doesn't know its own program, so that no worker process can be started")
        requests, self._requests = os.pipe()
        self._answers, answers = os.pipe()
        life, self._life = os.pipe()
        self._memory_file = os.memfd_create("pixelmill")
        self._memory: mmap.mmap | None = None
        theirs = (requests, answers, life)
        # A program that is named would have its folder among those that modules are looked for in.
        start = (
            f"import sys; sys.path[:] = {sys.path!r}; import runpy; runpy.run_path({_PROGRAM!r}, run_name='__main__')"
        )
        flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
        command = [sys.executable, *flags, "-c", start, *map(str, (*theirs, self._memory_file))]
        # Sets of texts have the same order in all of them.
        environment = {"PYTHONHASHSEED": "0", **os.environ, **_ALONE}
        try:
            # Ctrl-C at a terminal is for who waits for the results, from the first moment on.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                pass_fds=(*theirs, self._memory_file),
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            self._close()
            raise FunctionError(f"a worker process can't be started: {error}") from None
        finally:
            for file in theirs:
                os.close(file)
        self.key = task.key
        self.constants = b""
        self._is_loaded = False
        _OPEN.add(self)

    def prepare(self, task: Task) -> None:
        """Has the function loaded, and hands over the constants that it is called with."""
        if not self._is_loaded:
            self.ask("load", *task.function)
            self._is_loaded = True
        if self.constants != task.constants:
            self.ask("give", task.constants)
            self.constants = task.constants

    def ask(self, name: str, *arguments: Any) -> Any:
        """What the worker answers."""
        request = pickle.dumps((name, arguments))
        try:
            self._write(_LENGTH.pack(len(request)) + request)
        except BrokenPipeError:
            raise Died(self._how_it_ended()) from None
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size))
        succeeded, answer = pickle.loads(self._read(length))
        if not succeeded:
            raise RuntimeError(answer)
        return answer

    def hand_over(
        self, spectra: NDArray[Any], varying: dict[str, NDArray[Any]], lengths: list[int]
    ) -> tuple[Any, list[int]]:
        """Puts arrays into the shared memory; tells where they are, and where there is room for so many bytes each."""
        arrays = {"": np.ascontiguousarray(spectra)}
        arrays |= {name: np.ascontiguousarray(values) for name, values in varying.items()}
        *starts, size = accumulate(map(_aligned, [*(array.nbytes for array in arrays.values()), *lengths]), initial=0)
        size = max(size, 1)
        if self._memory is None or len(self._memory) < size:
            os.ftruncate(self._memory_file, size)
            self._memory = mmap.mmap(self._memory_file, size)
        places = {}
        for (name, array), start in zip(arrays.items(), starts):
            places[name] = (start, array.dtype.str, array.shape)
            if array.nbytes:
                self._memory[start : start + array.nbytes] = array.data.cast("B")
        return (len(self._memory), places.pop(""), places), starts[len(arrays) :]

    def taken(self, start: int, length: int) -> bytes:
        """Bytes of the shared memory."""
        return b"" if self._memory is None else self._memory[start : start + length]

    def is_alive(self) -> bool:
        """Whether the process is still there."""
        return self._process.poll() is None

    def kill(self) -> None:
        """Ends the process, whatever it is doing; who waits for its answer notices."""
        self._process.kill()

    def end(self) -> None:
        """Ends the process, and gives back what it took."""
        self.kill()
        self._process.wait()
        _OPEN.discard(self)
        self._close()

    def _close(self) -> None:
        for file in (self._requests, self._answers, self._life, self._memory_file):
            os.close(file)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._requests, view) :]

    def _read(self, length: int) -> bytes:
        parts = []
        while length > 0:
            part = os.read(self._answers, length)
            if not part:
                raise Died(self._how_it_ended())
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    def _how_it_ended(self) -> str:
        status = self._process.wait()
        if status >= 0:
            return f"the worker process ended itself with status {status}"
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
        told = {"SIGSEGV": " (a fault in compiled code)", "SIGKILL": " (out of memory, or by somebody)"}
        return f"the worker process was ended by {name}{told.get(name, '')}"


class Pool:
    """The worker processes of this session."""

    def __init__(self) -> None:
        self._idle: list[Worker] = []
        self._lock = threading.Lock()

    def take(self, task: Task) -> Worker:
        """A process that has loaded the function."""
        for _ in range(_STARTS):
            worker = self._idle_one(task) or Worker(task)
            try:
                worker.prepare(task)
            except RuntimeError as error:
                worker.end()
                raise FunctionError(f"a worker process can't load the function: {error}") from None
            except Died as died:
                # Somebody, or the system where memory is short, may end a process that isn't to blame.
                worker.end()
                how = str(died)
            except BaseException:
                worker.end()
                raise
            else:
                return worker
        raise FunctionError(f"a worker process can't load the function: {how}")

    def _idle_one(self, task: Task) -> Worker | None:
        """One that has nothing to do and is alive; those that have loaded something else are ended."""
        with self._lock:
            idle, self._idle = self._idle, []
            alike = [worker for worker in idle if worker.key[:2] == task.key[:2] and worker.is_alive()]
            found = next((worker for worker in reversed(alike) if worker.key == task.key), None)
            self._idle = [worker for worker in alike if worker is not found]
        for worker in idle:
            if worker not in alike:
                worker.end()
        return found

    def give_back(self, worker: Worker) -> None:
        """Keeps a process for whoever takes it next."""
        with self._lock:
            self._idle.append(worker)

    def end(self) -> None:
        """Ends all that have nothing to do."""
        with self._lock:
            ended, self._idle = self._idle, []
        for worker in ended:
            worker.end()

    def forget(self) -> None:
        """Has none; those of the process that this one was forked from aren't its own."""
        # Another thread may have held the lock.
        self._idle, self._lock = [], threading.Lock()


POOL = Pool()
atexit.register(POOL.end)

_OPEN: "weakref.WeakSet[Worker]" = weakref.WeakSet()
"""All worker processes."""


def _leave_to_parent() -> None:
    """Lets a process that was forked have nothing open by which workers see that their parent has ended."""
    POOL.forget()
    for worker in list(_OPEN):
        worker._close()
    _OPEN.clear()


os.register_at_fork(after_in_child=_leave_to_parent)


class Threads:
    """Computes something on the engine's threads."""

    def __init__(self) -> None:
        self._busy: set[int] = set()
        self._is_abandoned = False

    def abandon(self) -> None:
        """Has all threads that are in Python leave it."""
        self._is_abandoned = True
        for thread in list(self._busy):
            leave = ctypes.pythonapi.PyThreadState_SetAsyncExc
            leave(ctypes.c_ulong(thread), ctypes.py_object(KeyboardInterrupt))

    def leaving(self, use: Callable[[], _T]) -> _T:
        """What somebody computes, unless all have to leave."""
        self._busy.add(threading.get_ident())
        try:
            return use()
        except KeyboardInterrupt:
            raise (KeyboardInterrupt(_ENDED) if self._is_abandoned else KeyboardInterrupt) from None
        finally:
            self._busy.discard(threading.get_ident())


class InThreads(Threads):
    """Computes a function on the engine's threads."""

    def __init__(self, called: _worker.Called, columns: list[Column]) -> None:
        super().__init__()
        self._called = called
        self._columns = columns

    def compute(
        self, spectra: NDArray[Any], varying: dict[str, NDArray[Any]]
    ) -> tuple[list[bytes], list[tuple[int, str]]]:
        """The results of some spectra, and why those that failed did."""
        length = _worker.count(spectra, varying)
        results = [np.zeros((length, *shape), element) for _, shape, element, _ in self._columns]
        failed = self.leaving(lambda: self._called.compute(self._columns, spectra, varying, results))
        return [values.tobytes() for values in results], failed


class InProcesses:
    """Computes in worker processes: as many as ask for one, or one for each device."""

    def __init__(self, tasks: list[Task], columns: list[Column], on_devices: bool = False) -> None:
        self._task = tasks[0]
        self._devices: queue.SimpleQueue[Task] | None = queue.SimpleQueue() if on_devices else None
        if self._devices is not None:
            for task in tasks:
                self._devices.put(task)
        self._columns = columns
        self._bytes = [int(np.prod(shape)) * np.dtype(element).itemsize for _, shape, element, _ in columns]

        self._busy: set[Worker] = set()
        self._is_abandoned = False

    def abandon(self) -> None:
        """Ends all processes that compute, and what they compute."""
        self._is_abandoned = True
        for worker in list(self._busy):
            worker.kill()

    def attempt(self, spectra: NDArray[Any], varying: dict[str, NDArray[Any]], with_model: bool) -> Attempt:
        """What the function returns for the first of some spectra."""
        with self._taken() as worker:
            try:
                layout, _ = worker.hand_over(spectra, varying, [])
                answer: Attempt = worker.ask("attempt", layout, with_model)
            except Died as died:
                worker.end()
                raise RuntimeError(str(died)) from None
            except RuntimeError:
                POOL.give_back(worker)
                raise
            except BaseException:
                # Nobody hears its answer any more.
                worker.end()
                raise
            POOL.give_back(worker)
        return answer

    def compute(
        self, spectra: NDArray[Any], varying: dict[str, NDArray[Any]]
    ) -> tuple[list[bytes], list[tuple[int, str]]]:
        """The results of some spectra, and why those that failed did.

        Where a process dies, each spectrum is tried once more by itself, so that only those fail which it dies of.
        """
        try:
            return self._once(spectra, varying)
        except Died:
            self.go_on()
        results: list[list[bytes]] = [[] for _ in self._columns]
        failed = []
        for index in range(_worker.count(spectra, varying)):
            try:
                one, reasons = self._once(*_worker.part(spectra, varying, slice(index, index + 1)))
            except Died as died:
                self.go_on()
                one, reasons = [bytes(length) for length in self._bytes], [(0, str(died))]
            for column, part in zip(results, one):
                column.append(part)
            failed += [(index, reason) for _, reason in reasons]
        return [b"".join(column) for column in results], failed

    def go_on(self) -> None:
        """Goes on, unless somebody has given all up."""
        if self._is_abandoned:
            raise KeyboardInterrupt(_ENDED)

    def _once(
        self, spectra: NDArray[Any], varying: dict[str, NDArray[Any]]
    ) -> tuple[list[bytes], list[tuple[int, str]]]:
        lengths = [_worker.count(spectra, varying) * length for length in self._bytes]

        def once(worker: Worker) -> tuple[list[bytes], list[tuple[int, str]]]:
            layout, starts = worker.hand_over(spectra, varying, lengths)
            failed = worker.ask("compute", layout, self._columns, starts)
            return [worker.taken(start, length) for start, length in zip(starts, lengths)], failed

        return self.using(once)

    def using(self, use: Callable[[Worker], _T]) -> _T:
        """What somebody has a process do, which is kept unless that goes wrong."""
        with self._taken() as worker:
            self._busy.add(worker)
            try:
                self.go_on()
                answer = use(worker)
            except RuntimeError as error:
                worker.end()
                raise FunctionError(f"a worker process can't compute: {error}") from None
            except BaseException:
                worker.end()
                raise
            finally:
                self._busy.discard(worker)
            POOL.give_back(worker)
        return answer

    @contextlib.contextmanager
    def _taken(self) -> Iterator[Worker]:
        """A worker, that of a device once it is free if there are some."""
        if self._devices is None:
            yield POOL.take(self._task)
            return
        task = self._devices.get()
        try:
            # What waited here may have been given up meanwhile.
            self.go_on()
            yield POOL.take(task)
        finally:
            self._devices.put(task)
