"""A function over spectra: called here, or as the program of a worker process, for which this file stands by itself."""

import dataclasses
import fcntl
import importlib.util
import mmap
import os
import pickle
import random
import select
import signal
import struct
import sys
import traceback
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Column = tuple[str, tuple[int, ...], str, str]
"""The key of an output, its shape, its element type, and how values may become that."""

_LENGTH = struct.Struct("<Q")
_LONGEST = 1000
_SHORT = {"bool": "uint8", "float16": "float32"}


def described(output: Any) -> list[tuple[str, tuple[int, ...], str]]:
    """The outputs in what a function returned: key, shape and element type of each."""
    columns = []
    for key, value in _parts(output).items():
        array = _array(value)
        element = _SHORT.get(array.dtype.name, array.dtype.name)
        if array.dtype.kind not in "biufc" or array.dtype.itemsize > (16 if array.dtype.kind == "c" else 8):
            named = f" as `{key}`" if key else ""
            found = f"{type(value).__name__}{named}"
            raise TypeError(f"it returned {found}, which is neither a number nor an array of numbers")
        columns.append((key, array.shape, element))
    return columns


def compute(
    call: Callable[..., Any],
    columns: list[Column],
    spectra: NDArray[Any],
    varying: dict[str, NDArray[Any]],
    results: list[NDArray[Any]],
) -> list[tuple[int, str]]:
    """Puts the results of a function for some spectra into arrays, one for each output; tells why some have none."""
    failed = []
    for index, spectrum in enumerate(spectra):
        try:
            output = _parts(call(spectrum, **{name: values[index] for name, values in varying.items()}))
            if len(output) != len(columns):
                raise ValueError(f"it returned {len(output)} outputs, and {len(columns)} before")
            for (key, shape, element, casting), into in zip(columns, results):
                into[index] = _fitting(output, key, shape, element, casting)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            failed.append((index, last_line(error)))
    return failed


def seed(values: NDArray[Any]) -> None:
    """Has what is drawn at random depend on some values, and on nothing else."""
    number = zlib.crc32(np.ascontiguousarray(values).tobytes())
    random.seed(number)
    np.random.seed(number)


def last_line(error: BaseException) -> str:
    """The last line of a traceback."""
    lines = traceback.format_exception_only(type(error), error)
    told = " ".join(lines[-1].split()) or type(error).__name__
    return told[:_LONGEST].encode(errors="backslashreplace").decode()


def _array(value: Any) -> NDArray[Any]:
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise TypeError("it returned masked values; fill them with what they shall be")
    return np.asarray(value)


def _parts(output: Any) -> dict[str, Any]:
    """Outputs by their keys; that of a single one is empty."""
    if isinstance(output, dict | tuple) and not output:
        raise TypeError("it returned nothing")
    if isinstance(output, dict):
        parts = {str(key): value for key, value in output.items()}
        if len(parts) < len(output):
            raise ValueError(f"it returned several outputs of one name: {', '.join(map(str, output))}")
        return parts
    if isinstance(output, tuple):
        return dict(zip(getattr(output, "_fields", None) or map(str, range(len(output))), output))
    if dataclasses.is_dataclass(output) and not isinstance(output, type):
        return {field.name: getattr(output, field.name) for field in dataclasses.fields(output)}
    return {"": output}


def _fitting(output: dict[str, Any], key: str, shape: tuple[int, ...], element: str, casting: str) -> NDArray[Any]:
    if key not in output:
        raise ValueError(f"it returned no `{key}`, as before")
    value = _array(output[key])
    if value.shape != shape:
        raise ValueError(f"it returned the shape {value.shape}, and {shape} was expected")
    if not np.can_cast(value.dtype, element, casting):  # type: ignore[arg-type]
        raise TypeError(f"it returned {value.dtype}, which can't become {element}; tell by output_dtype what is meant")
    return value


class _Worker:
    """What a worker process has."""

    def __init__(self, memory: int) -> None:
        self._memory_file = memory
        self._memory: mmap.mmap | None = None
        self._to_read: mmap.mmap | None = None
        self._function: Callable[..., Any] = print
        self._constants: dict[str, Any] = {}

    def load(self, path: list[str], folder: str, payload: bytes, code: str | None) -> None:
        """Takes the function, and looks whether it is the one that was meant."""
        sys.path[:] = path
        os.chdir(folder)
        self._function = pickle.loads(payload)
        if code is not None and _identity().of_code(self._function) != code:
            raise RuntimeError("what it imports is other code here than in your session; load its modules again")

    def give(self, payload: bytes) -> None:
        """Takes the constants that the function is called with."""
        self._constants = pickle.loads(payload)

    def call(self, *arguments: Any, **varying: Any) -> Any:
        try:
            return self._function(*arguments, **self._constants, **varying)
        except KeyboardInterrupt:
            # Its own, since nobody's Ctrl-C is heard here.
            raise RuntimeError("it raised KeyboardInterrupt") from None

    def attempt(self, layout: Any) -> list[Any]:
        """What the function returns for the first spectrum."""
        spectra, varying = self._given(layout)
        return described(self.call(spectra[0], **{name: values[0] for name, values in varying.items()}))

    def compute(self, layout: Any, columns: list[Column], starts: list[int]) -> list[tuple[int, str]]:
        """Computes the spectra that are in the shared memory, and puts the results there."""
        spectra, varying = self._given(layout)
        shapes = [(element, (len(spectra), *shape)) for _, shape, element, _ in columns]
        results = [_placed(self._memory, (start, *own)) for start, own in zip(starts, shapes)]
        return compute(self.call, columns, spectra, varying, results)

    def map(self, layout: Any, dtype: np.dtype[Any], shape: tuple[int, ...]) -> list[tuple[bool, Any]]:
        """What the function returns for each row, whatever that is, or why it returns nothing, and the exception."""
        rows, _ = self._given(layout)
        return [self._returned(row.copy().view(dtype).reshape(shape)) for row in rows]

    def _returned(self, row: NDArray[Any]) -> tuple[bool, Any]:
        # Results are the same whichever process computes a row, after whichever other.
        seed(row)
        try:
            output = self._function(row, *self._constants["args"], **self._constants["kwargs"])
            return True, pickle.dumps(output)
        except (Exception, SystemExit) as error:
            try:
                told = pickle.dumps(error)
            except Exception:
                told = None
            return False, (last_line(error), told)

    def _given(self, layout: Any) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
        size, spectra, varying = layout
        if self._memory is None or len(self._memory) < size:
            self._memory = mmap.mmap(self._memory_file, size)
            self._to_read = mmap.mmap(self._memory_file, size, access=mmap.ACCESS_READ)
        given = {name: _placed(self._to_read, of) for name, of in {"": spectra, **varying}.items()}
        return given.pop(""), given


def _placed(memory: mmap.mmap | None, place: tuple[int, str, tuple[int, ...]]) -> NDArray[Any]:
    offset, element, shape = place
    count = int(np.prod(shape))
    return np.frombuffer(memory or b"", element, count, offset).reshape(shape)


def _identity() -> Any:
    spec = importlib.util.spec_from_file_location(
        "_pixelmill_identity", os.path.join(os.path.dirname(__file__), "_identity.py")
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _die_with(life: int) -> None:
    """Has the system end this process when the other end of a pipe is closed, whatever it is doing then."""
    fcntl.fcntl(life, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(life, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(life, fcntl.F_SETFL, fcntl.fcntl(life, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([life], [], [], 0)[0]:
        os._exit(1)


def _keep_to_itself(files: tuple[int, ...]) -> None:
    """Has processes that the function starts not have files open by which others see that this one has ended."""

    def close() -> None:
        for file in files:
            os.close(file)

    for file in files:
        os.set_inheritable(file, False)
    os.register_at_fork(after_in_child=close)


def _read(file: int, length: int) -> bytes:
    parts = []
    while length > 0:
        part = os.read(file, length)
        if not part:
            os._exit(0)
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def main(requests: int, answers: int, life: int, memory: int) -> None:
    """Serves until the other end is closed."""
    # Ctrl-C is for who waits for the results.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with(life)
    _keep_to_itself((requests, answers, life))
    worker = _Worker(memory)
    while True:
        (length,) = _LENGTH.unpack(_read(requests, _LENGTH.size))
        name, arguments = pickle.loads(_read(requests, length))
        try:
            answer = (True, getattr(worker, name)(*arguments))
        except BaseException as error:
            answer = (False, last_line(error))
        told = pickle.dumps(answer)
        told = _LENGTH.pack(len(told)) + told
        while told:
            told = told[os.write(answers, told) :]


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
