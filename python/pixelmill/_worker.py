"""A function over spectra: called here, or as the program of a worker process, for which this file stands by itself."""

import copy
import dataclasses
import fcntl
import functools
import importlib
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
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Column = tuple[str, tuple[int, ...], str, str]
"""The key of an output, its shape, its element type, and how values may become that."""

AROUND = " around"
"""Where, among what varies with the position, stands which spectra are whose: its own, and those around it."""

_LENGTH = struct.Struct("<Q")
_LONGEST = 1000
_SHORT = {"bool": "uint8", "float16": "float32"}


class Called:
    """What is called for spectra: a function, or what a process has for that.

    `way` tells how: `batch` for many spectra at once, `backend` the module of the arrays, `xp` whether the function
    asks for that, `window` the lengths of what lies around a position, `device` which GPU, and of a process its
    `state` and its `source`.
    """

    def __init__(self, subject: Any, constants: dict[str, Any], way: dict[str, Any]) -> None:
        self._is_batch: bool = way["batch"]
        self._window: tuple[int, ...] = way["window"]
        self._xp = importlib.import_module(way["backend"])
        self._is_here = way["backend"] == "numpy"
        if "device" in way:
            self._xp.cuda.Device(way["device"]).use()
        self._process: Any = None
        if "state" in way:
            self._process = subject._ready(way["state"], way["source"], self._xp)
        call = subject if self._process is None else self._process._call()
        given = {name: self._there(value) for name, value in constants.items()}
        self._call = functools.partial(call, **given, **({"xp": self._xp} if way["xp"] else {}))
        self.hears_ctrl_c = True

    def compute(
        self,
        columns: list[Column],
        spectra: NDArray[Any],
        varying: dict[str, NDArray[Any]],
        results: list[NDArray[Any]],
    ) -> list[tuple[int, str]]:
        """Puts the results for some spectra into arrays, one for each output; tells why some have none."""
        if self._is_batch:
            return self._whole(columns, spectra, varying, results, 0)
        failed = []
        for index, arguments in enumerate(self._each(spectra, varying)):
            try:
                output = _ordered(self._output(arguments), columns)
                for value, (_, shape, element, casting), into in zip(output, columns, results):
                    into[index] = _fitting(self._back(value), shape, element, casting)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                failed.append((index, last_line(error)))
        return failed

    def outputs(self, spectra: NDArray[Any], varying: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """What is returned for the first spectrum, by the keys of the outputs."""
        keys, values = _parts(self._first(spectra, varying))
        outputs = dict(zip(keys, map(self._back, values)))
        if self._is_batch:
            # With one number of spectra another axis might have that length by chance.
            self._check_first_axis(outputs, 2)
            keys, values = _parts(self._first(spectra, varying, 3))
            self._check_first_axis(dict(zip(keys, map(self._back, values))), 3)
            outputs = {key: value[0] for key, value in outputs.items()}
        for key, value in outputs.items():
            _check_type(value, key)
        return outputs

    def model(self, spectra: NDArray[Any], varying: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The curves that a process has for what it returns for the first spectrum."""
        if self._process is None:
            return {}
        output = self._first(spectra, varying)
        if self._is_batch:
            output = _first_of(output)
        own = next(self._each(spectra, varying))[0]
        curves = self._process.model(own, output)
        return {str(name): self._back(values) for name, values in curves.items()}

    def _check_first_axis(self, outputs: dict[str, NDArray[Any]], length: int) -> None:
        for key, value in outputs.items():
            if value.shape[:1] != (length,):
                raise ValueError(f"it returned {_shaped(value, key)} for {length} spectra; {_FIRST}")

    def _first(self, spectra: NDArray[Any], varying: dict[str, NDArray[Any]], times: int = 2) -> Any:
        """What is returned for the first spectrum, of which a batch is made."""
        if not self._is_batch:
            return self._output(next(self._each(spectra, varying)))
        spectra, varying = part(spectra, varying, slice(0, 1))
        varying = {name: np.repeat(values, times, axis=0) for name, values in varying.items()}
        return self._output(self._many(spectra if AROUND in varying else np.repeat(spectra, times, axis=0), varying))

    def _output(self, arguments: tuple[Any, dict[str, Any]]) -> Any:
        try:
            return self._call(arguments[0], **arguments[1])
        except KeyboardInterrupt:
            if self.hears_ctrl_c:
                raise
            raise RuntimeError("it raised KeyboardInterrupt") from None

    def _each(self, spectra: NDArray[Any], varying: dict[str, NDArray[Any]]) -> Iterator[tuple[Any, dict[str, Any]]]:
        """What it is called with for each spectrum."""
        own = {name: self._there(values) for name, values in varying.items() if name != AROUND}
        spectra, around = self._there(spectra), varying.get(AROUND)
        for index in range(count(spectra, varying)):
            given = {name: values[index] for name, values in own.items()}
            if around is None:
                yield spectra[index], given
                continue
            given["neighbours"] = self._around(spectra, around[index, 1:])
            yield spectra[int(around[index, 0])], given

    def _many(self, spectra: NDArray[Any], varying: dict[str, NDArray[Any]]) -> tuple[Any, dict[str, Any]]:
        """What it is called with for all of them."""
        given = {name: self._there(values) for name, values in varying.items() if name != AROUND}
        around = varying.get(AROUND)
        if around is None:
            return self._there(spectra), given
        spectra = self._there(spectra)
        given["neighbours"] = self._around(spectra, around[:, 1:])
        return spectra[self._there(around[:, 0])], given

    def _around(self, spectra: Any, places: NDArray[Any]) -> Any:
        found = spectra[self._there(places)]
        if (places < 0).any():
            found[self._there(places < 0)] = np.nan
        return found.reshape(*places.shape[:-1], *self._window, *spectra.shape[1:])

    def _whole(
        self,
        columns: list[Column],
        spectra: NDArray[Any],
        varying: dict[str, NDArray[Any]],
        results: list[NDArray[Any]],
        first: int,
    ) -> list[tuple[int, str]]:
        """All at once; in halves where that fails, so that only those have no result which it fails with alone."""
        length = count(spectra, varying)
        try:
            output = _ordered(self._output(self._many(spectra, varying)), columns)
            for value, (_, shape, element, casting), into in zip(output, columns, results):
                into[first : first + length] = _fitting(self._back(value), (length, *shape), element, casting)
            return []
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if length == 1:
                return [(first, last_line(error))]
        # What is left of the exception holds memory no more.
        middle = length // 2
        failed = []
        for own in (slice(0, middle), slice(middle, length)):
            failed += self._whole(columns, *part(spectra, varying, own), results, first + own.start)
        return failed

    def _there(self, value: Any) -> Any:
        """An array where the computation wants it."""
        if not isinstance(value, np.ndarray):
            return value
        if not self._is_here:
            return self._xp.asarray(value)
        # Others have the same array.
        seen = value.view()
        seen.flags.writeable = False
        return seen

    def contents(self) -> bytes:
        """What is in the constants that could be changed, as far as that can be told."""
        constants = self._call.keywords.values()
        return _pickled([one for one in constants if isinstance(one, list | dict | set | bytearray)])

    def kept(self) -> dict[str, bytes]:
        """What a process has itself, as far as that can be told."""
        own = {} if self._process is None else vars(self._process)
        return {name: _pickled(value) for name, value in own.items() if name not in ("source", "xp")}

    def _back(self, value: Any) -> NDArray[Any]:
        """An array as NumPy has it."""
        if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
            raise TypeError("it returned masked values; fill them with what they shall be")
        found: NDArray[Any] = np.asarray(value if self._is_here else self._xp.asnumpy(value))
        return found


def _pickled(value: Any) -> bytes:
    try:
        return pickle.dumps(value)
    except Exception:
        return b""


_FIRST = "the first axis has to be that of the spectra"


def count(spectra: NDArray[Any], varying: dict[str, NDArray[Any]]) -> int:
    """How many spectra are to be computed."""
    return len(varying.get(AROUND, spectra))


def part(
    spectra: NDArray[Any], varying: dict[str, NDArray[Any]], own: slice
) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
    """Some of them."""
    own_spectra = spectra if AROUND in varying else spectra[own]
    return own_spectra, {name: values[own] for name, values in varying.items()}


def element_of(array: NDArray[Any]) -> str:
    """The element type that values are stored as."""
    return _SHORT.get(array.dtype.name, array.dtype.name)


def _check_type(array: NDArray[Any], key: str) -> None:
    if array.dtype.kind not in "biufc" or array.dtype.itemsize > (16 if array.dtype.kind == "c" else 8):
        named = f" as `{key}`" if key else ""
        raise TypeError(f"it returned {array.dtype}{named}, which is neither a number nor an array of numbers")


def _shaped(array: NDArray[Any], key: str) -> str:
    return f"the shape {array.shape}" + (f" as `{key}`" if key else "")


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


def _parts(output: Any) -> tuple[list[str], list[Any]]:
    """Outputs and their keys; that of a single one is empty."""
    if isinstance(output, dict | tuple) and not output:
        raise TypeError("it returned nothing")
    if isinstance(output, dict):
        keys = [str(key) for key in output]
        if len(set(keys)) < len(keys):
            raise ValueError(f"it returned several outputs of one name: {', '.join(keys)}")
        return keys, list(output.values())
    if isinstance(output, tuple):
        return list(getattr(output, "_fields", None) or map(str, range(len(output)))), list(output)
    if dataclasses.is_dataclass(output) and not isinstance(output, type):
        fields = [field.name for field in dataclasses.fields(output)]
        return fields, [getattr(output, name) for name in fields]
    return [""], [output]


def _first_of(output: Any) -> Any:
    """What was returned for the first of many spectra, as what it is."""
    if isinstance(output, dict):
        return {key: values[0] for key, values in output.items()}
    if isinstance(output, tuple):
        firsts = [values[0] for values in output]
        return type(output)(*firsts) if hasattr(output, "_fields") else tuple(firsts)
    if dataclasses.is_dataclass(output) and not isinstance(output, type):
        first = copy.copy(output)
        for field in dataclasses.fields(output):
            object.__setattr__(first, field.name, getattr(output, field.name)[0])
        return first
    return output[0]


def _ordered(output: Any, columns: list[Column]) -> list[Any]:
    """Outputs in the order of the columns: by their keys, or where they have none as they follow each other."""
    keys, values = _parts(output)
    if len(keys) != len(columns):
        raise ValueError(f"it returned {len(keys)} outputs, and {len(columns)} were expected")
    if isinstance(output, tuple) and not hasattr(output, "_fields") or keys == [""]:
        return values
    by_key = dict(zip(keys, values))
    for key, *_ in columns:
        if key not in by_key:
            raise ValueError(f"it returned no `{key}`, which was expected, but {', '.join(by_key)}")
    return [by_key[key] for key, *_ in columns]


def _fitting(value: NDArray[Any], shape: tuple[int, ...], element: str, casting: str) -> NDArray[Any]:
    if value.shape != shape:
        raise ValueError(f"it returned the shape {value.shape}, and {shape} was expected")
    if not np.can_cast(value.dtype, element, casting):  # type: ignore[arg-type]
        if casting == "same_kind" and value.dtype.kind in "iu" and element.strip("0123456789") in ("int", "uint"):
            # Python's own integers have a sign.
            became = value.astype(element)
            if ((became.astype(value.dtype) == value) & ((became < 0) == (value < 0))).all():
                return became
        raise TypeError(f"it returned {value.dtype}, which can't become {element}; tell by output_dtype what is meant")
    return value


Attempt = tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]], bool]
"""The outputs for a spectrum, the curves of a model, and whether something that is used was changed meanwhile."""


def attempt(
    called: Called,
    spectra: NDArray[Any],
    varying: dict[str, NDArray[Any]],
    with_model: bool,
    is_changed: Callable[[], bool],
) -> Attempt:
    """Tries the first of some spectra."""
    before, kept = called.contents(), called.kept()
    outputs = called.outputs(spectra, varying)
    if called.contents() != before:
        raise TypeError("it changed an argument that all positions share; let it work on a copy")
    return outputs, called.model(spectra, varying) if with_model else {}, is_changed() or called.kept() != kept


class _Worker:
    """What a worker process has."""

    def __init__(self, memory: int) -> None:
        self._memory_file = memory
        self._memory: mmap.mmap | None = None
        self._to_read: mmap.mmap | None = None
        self._subject: Any = None
        self._code: str | None = None
        self._constants: Any = None
        self._called: Called | None = None
        self._tried: set[str] = set()

    def load(self, path: list[str], folder: str, payload: bytes, code: str | None) -> None:
        """Takes the function, and looks whether it is the one that was meant."""
        sys.path[:] = path
        os.chdir(folder)
        self._subject, self._code = pickle.loads(payload), code
        if self._is_changed():
            raise RuntimeError("what it imports is other code here than in your session; load its modules again")

    def give(self, payload: bytes) -> None:
        """Takes the constants that the function is called with, and how it is called for spectra, if it is."""
        self._constants, way = pickle.loads(payload)
        self._tried.clear()
        if way is not None:
            self._called = Called(self._subject, self._constants, way)
            self._called.hears_ctrl_c = False

    def devices(self, backend: str) -> tuple[str, list[int]]:
        """The version of a module for GPUs, and the free memory of each."""
        try:
            xp = importlib.import_module(backend)
        except ImportError as error:
            raise RuntimeError(f"it can't be imported ({error})") from None
        free = []
        for number in range(xp.cuda.runtime.getDeviceCount()):
            with xp.cuda.Device(number):
                free.append(int(xp.cuda.runtime.memGetInfo()[0]))
        return str(xp.__version__), free

    def attempt(self, layout: Any, with_model: bool) -> Attempt:
        """What the function returns for the first spectrum."""
        assert self._called is not None
        return attempt(self._called, *self._given(layout), with_model, self._is_changed)

    def _is_changed(self) -> bool:
        """Whether the function, or something that it uses, isn't what was meant."""
        return self._code is not None and _identity().of_code(self._subject) != self._code

    def compute(self, layout: Any, columns: list[Column], starts: list[int]) -> list[tuple[int, str]]:
        """Computes the spectra that are in the shared memory, and puts the results there."""
        spectra, varying = self._given(layout)
        length = count(spectra, varying)
        shapes = [(element, (length, *shape)) for _, shape, element, _ in columns]
        results = [_placed(self._memory, (start, *own)) for start, own in zip(starts, shapes)]
        assert self._called is not None
        return self._called.compute(columns, spectra, varying, results)

    def map(self, layout: Any, dtype: np.dtype[Any], shape: tuple[int, ...]) -> list[tuple[bool, Any]]:
        """What the function returns for each row, whatever that is, or why it returns nothing, and the exception."""
        rows, _ = self._given(layout)
        return [self._returned(row.copy().view(dtype).reshape(shape)) for row in rows]

    def _returned(self, row: NDArray[Any]) -> tuple[bool, Any]:
        # Results are the same whichever process computes a row, after whichever other.
        seed(row)
        try:
            output = self._subject(row, *self._constants["args"], **self._constants["kwargs"])
            return True, pickle.dumps(output)
        except BaseException as error:
            try:
                told = pickle.dumps(error)
            except Exception:
                told = None
            return False, (last_line(error), told)

    def fold(self, layout: Any, starts: list[int], buffers: Any, what: Any) -> Any:
        """Does a step of a reduction, whose buffers are in the shared memory."""
        values, given = self._given(layout)
        own = [given.pop(f" own {at}") for at in range(len(buffers))]
        others = [given.pop(f" other {at}") for at in range(len(buffers)) if f" other {at}" in given]
        arrays = [_placed(self._memory, (start, array.dtype.str, array.shape)) for start, array in zip(starts, own)]
        for array, before in zip(arrays, own):
            array[...] = before
        told = self._subject._step(self._constants, values, buffers, arrays, others, given, what)
        if what[0] not in self._tried and self._is_changed():
            raise RuntimeError(CHANGES)
        self._tried.add(what[0])
        return told

    def _given(self, layout: Any) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
        size, spectra, varying = layout
        if self._memory is None or len(self._memory) < size:
            self._memory = mmap.mmap(self._memory_file, size)
            self._to_read = mmap.mmap(self._memory_file, size, access=mmap.ACCESS_READ)
        given = {name: _placed(self._to_read, of) for name, of in {"": spectra, **varying}.items()}
        return given.pop(""), given


CHANGES = (
    "it changes what it uses outside of itself, so that results depend on the order of its calls; with a `version` you "
    "say yourself that they don't"
)


def _placed(memory: mmap.mmap | None, place: tuple[int, str, tuple[int, ...]]) -> NDArray[Any]:
    offset, element, shape = place
    count = int(np.prod(shape))
    return np.frombuffer(memory or b"", element, count, offset).reshape(shape)


@functools.cache
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
