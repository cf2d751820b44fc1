"""A plain function over all positions."""

import difflib
import functools
import inspect
import json
import math
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import _encode, _identity, _pixelmill, _pool, _worker
from ._errors import FunctionError, UsageError
from ._results import Results, ResultsArray

if TYPE_CHECKING:
    from ._scan import Scan

_TRIALS = 16
_ENOUGH = 3
_ELEMENTS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
_ELEMENTS += ["float32", "float64", "complex64", "complex128"]
# What a results group has of its own: attributes, and datasets.
_ATTRIBUTES = frozenset(
    """
    tool timestamp platform machine_id pixelmill_version process_version parameter_hash parameters source_000
    source_fingerprint num_source_dsets results_datasets folded_datasets last_pixel last_run input_places corrections
    """.split()
)
_DATASETS = frozenset(
    """
    completed_positions failed_positions failure_messages data_digest fold_checkpoint Position_Indices Position_Values
    Spectroscopic_Indices Spectroscopic_Values
    """.split()
)


class Mapping:
    """A function with its arguments, over a scan."""

    def __init__(
        self,
        scan: "Scan",
        function: Callable[..., Any],
        name: str | None,
        version: Any,
        arguments: dict[str, Any],
        options: dict[str, bool],
    ) -> None:
        if not callable(function):
            raise UsageError(f"a function is needed, not {type(function).__name__}", "Argument")
        self._scan = scan
        self._function = function
        self.name = str(name or _name_of(function))
        _check_name(self.name, "name")
        self.constants: dict[str, Any] = {}
        self._arrays: dict[str, NDArray[Any]] = {}
        self._inputs: dict[str, tuple[str, tuple[int, ...], Any]] = {}
        _check_arguments(function, self.name, arguments, options)
        for argument, value in arguments.items():
            self._sort(argument, value)
        self._identity, self._code = self._identified(version)

    def _sort(self, argument: str, value: Any) -> None:
        """A constant, or what varies: arrays by position, and datasets that are read beside the scan."""
        from ._scan import Scan

        scan_shape = self._scan._scan_shape
        if isinstance(value, Scan):
            if value._scan_shape != scan_shape:
                raise UsageError(
                    f"{argument}: it has the positions {value._scan_shape}, and this scan has {scan_shape}", "Argument"
                )
            if set(value._options) - {"file", "dataset", "positions_axes", "output"}:
                raise UsageError(
                    f"{argument}: a scan that varies with the position is taken as it is stored", "Argument"
                )
            axes = value._stored_position_axes()
            if axes != list(range(len(axes))):
                raise UsageError(
                    f"{argument}: a scan that varies with the position has to have its positions on the first axes of "
                    f"its dataset, slowest first, not on {axes}",
                    "Argument",
                )
            path = f"{value.file}:{value.dataset}"
            self._inputs[argument] = (path, value._spectrum_shape, value)
        elif isinstance(value, ResultsArray) and value.shape[: len(scan_shape)] == scan_shape and not value._of_records:
            path = f"{value._place}/{value.name}"
            self._inputs[argument] = (path, value.shape[len(scan_shape) :], value)
        elif isinstance(value, ResultsArray) or type(value) in (np.ndarray, np.memmap):
            array = np.asarray(value)
            if array.shape[: len(scan_shape)] != scan_shape:
                self.constants[argument] = array
                return
            self._arrays[argument] = array.reshape(-1, *array.shape[len(scan_shape) :])
        else:
            self.constants[argument] = value

    def _identified(self, version: Any) -> tuple[dict[str, Any], str | None]:
        """All that the results depend on, the source and the inputs aside, and how a worker knows the function."""
        told: dict[str, Any] = {}
        code = None
        if version is None:
            try:
                text, packages = _identity.of_text(self._function)
                code = _identity.of_code(self._function)
            except _identity.Unhashable as unhashable:
                message = (
                    f"results of `{self.name}` couldn't be recognised later: {unhashable}; with version=… you say "
                    "yourself when it is another function"
                )
                raise FunctionError(message, "Unhashable", {"function": self.name, "reason": str(unhashable)}) from None
            told["python_function"] = json.dumps(text, sort_keys=True)
            told["python_packages"] = ", ".join(f"{name} {packages[name]}" for name in sorted(packages))
        else:
            told["python_version"] = f"{type(version).__name__} {version}"
        try:
            exact = {name: _identity.of_value(value, f"`{name}`") for name, value in self.constants.items()}
            exact |= {name: ["varies", *_identity.of_value(value, name)] for name, value in self._arrays.items()}
        except _identity.Unhashable as unhashable:
            message = f"results of `{self.name}` couldn't be recognised later: {unhashable}"
            raise FunctionError(message, "Unhashable", {"function": self.name, "reason": str(unhashable)}) from None
        # The engine knows them by their order.
        exact |= {name: ["input", number] for number, name in enumerate(self._inputs)}
        told["python_arguments"] = json.dumps(exact, sort_keys=True)
        return {name: value for name, value in self.constants.items() if _is_shown(name, value)} | told, code

    def task(self) -> _pool.Task:
        """The function as worker processes get it."""
        import cloudpickle

        try:
            function, constants = cloudpickle.dumps(self._function), cloudpickle.dumps(self.constants)
        except Exception as error:
            raise FunctionError(f"`{self.name}` can't be handed to worker processes: {error}") from None
        return _pool.Task(function, constants, self._code, self._identity.get("python_version", ""))

    def columns(
        self, dtype: Any, shape: Any, attempt: Callable[[NDArray[Any], dict[str, NDArray[Any]]], Any]
    ) -> list[_worker.Column]:
        """What the results are: as they are declared, or as some positions that are tried give them."""
        dtypes, shapes = _by_key(dtype), _by_key(shape, is_shape=True)
        if dtypes is not None and shapes is not None:
            found = {key: (shapes.get(key, ()), _element(of)) for key, of in dtypes.items()}
        else:
            found = self._tried(attempt)
        for key, declared in (shapes or {}).items():
            if key not in found:
                raise self._no_output(key, found)
            found[key] = (declared, found[key][1])
        casting = "safe" if dtypes is None else "same_kind"
        for key, of in (dtypes or {}).items():
            if key not in found:
                raise self._no_output(key, found)
            found[key] = (found[key][0], _element(of))
        return [(key, own_shape, element, casting) for key, (own_shape, element) in found.items()]

    def _no_output(self, key: str, found: Iterable[str]) -> FunctionError:
        has = ", ".join(found) or "one, which has no name"
        return FunctionError(f"`{self.name}` has no output `{key or 'without a name'}`; its outputs: {has}")

    def _tried(
        self, attempt: Callable[[NDArray[Any], dict[str, NDArray[Any]]], Any]
    ) -> dict[str, tuple[tuple[int, ...], str]]:
        found: dict[str, tuple[tuple[int, ...], str]] = {}
        succeeded, reasons = 0, []
        for position in _spread(math.prod(self._scan._scan_shape)):
            try:
                told = attempt(*self._at(position))
            except RuntimeError as error:
                reasons.append(str(error))
                continue
            for key, shape, element in told:
                before = found.setdefault(key, (tuple(shape), element))
                if before[0] != tuple(shape):
                    raise FunctionError(
                        f"`{self.name}` returned the shape {tuple(shape)} at position {position}, and {before[0]} "
                        "before; all positions have to have results of one shape"
                    )
                found[key] = (before[0], np.result_type(before[1], element).name)
            succeeded += 1
            if succeeded == _ENOUGH:
                break
        if not found:
            raise FunctionError(
                f"`{self.name}` failed at all {len(reasons)} positions that were tried: {reasons[0]}",
                "Failed",
                {"function": self.name, "reason": reasons[0]},
            )
        return found

    def _at(self, position: int) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
        """What the function gets at a position."""
        steps = tuple(int(step) for step in np.unravel_index(position, self._scan._scan_shape))
        varying = {name: array[position] for name, array in self._arrays.items()}
        varying |= {name: np.asarray(value[steps]) for name, (_, _, value) in self._inputs.items()}
        spectra = self._scan[steps].reshape(-1, *self._scan._each_shape)
        return spectra[0], {name: np.asarray(value) for name, value in varying.items()}

    def declared(self, columns: list[_worker.Column], declares: dict[str, Any]) -> str:
        """All of it, for the engine."""
        names = {key: self._column_name(key, columns) for key, *_ in columns}
        for name in names.values():
            _check_name(name, "output")
        return _encode.dumps(
            {
                "name": self.name,
                "parameters": self._identity | {name: str(value) for name, value in declares.items()},
                "element": self._scan.dtype.name,
                "columns": [{"name": names[key], "shape": shape, "element": of} for key, shape, of, _ in columns],
                "inputs": [path for path, _, _ in self._inputs.values()],
            }
        )

    def _column_name(self, key: str, columns: list[_worker.Column]) -> str:
        if key == "":
            return self.name
        is_tuple = [one for one, *_ in columns] == [str(at) for at in range(len(columns))]
        return f"{self.name}_{key}" if is_tuple else key

    def handed(
        self, compute: Callable[[NDArray[Any], dict[str, NDArray[Any]]], tuple[list[bytes], list[tuple[int, str]]]]
    ) -> Callable[[list[int], bytes, list[bytes]], tuple[list[bytes], list[tuple[int, str]]]]:
        """What the engine calls for some spectra."""
        shape, dtype = self._scan._each_shape, self._scan.dtype

        def call(
            positions: list[int], spectra: bytes, inputs: list[bytes]
        ) -> tuple[list[bytes], list[tuple[int, str]]]:
            varying = {name: array[positions] for name, array in self._arrays.items()}
            for (name, (_, own, value)), given in zip(self._inputs.items(), inputs):
                varying[name] = np.frombuffer(given, value.dtype).reshape(len(positions), *own)
            return compute(np.frombuffer(spectra, dtype).reshape(len(positions), *shape), varying)

        return call

    def in_threads(self, columns: list[_worker.Column]) -> _pool.InThreads:
        """The function on the engine's threads."""
        return _pool.InThreads(functools.partial(_call, self._function, self.constants), columns)

    def attempt_here(self, spectrum: NDArray[Any], varying: dict[str, NDArray[Any]]) -> Any:
        """What the function returns for a spectrum, in this process."""
        try:
            return _worker.described(_call(self._function, self.constants, spectrum, **varying))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise RuntimeError(_worker.last_line(error)) from None


def run(
    scan: "Scan",
    mapping: Mapping,
    workers: str,
    output_dtype: Any,
    output_shape: Any,
    options: str,
    watch: Callable[[str], object] | None,
) -> Results:
    """Maps a function over a scan."""
    declares = {"output_dtype": output_dtype, "output_shape": output_shape}
    declares = {name: value for name, value in declares.items() if value is not None}
    if workers == "processes":
        task = mapping.task()
        columns = mapping.columns(output_dtype, output_shape, _pool.InProcesses(task, []).attempt)
        computing: _pool.InProcesses | _pool.InThreads = _pool.InProcesses(task, columns)
    elif workers == "threads":
        columns = mapping.columns(output_dtype, output_shape, mapping.attempt_here)
        computing = mapping.in_threads(columns)
    else:
        raise UsageError(f'workers={workers!r}: it has to be "processes" or "threads"', "Argument")
    _check_size(mapping.name, columns, json.loads(options).get("memory"))
    declared = mapping.declared(columns, declares)
    return Results(_pixelmill.map(options, declared, mapping.handed(computing.compute), computing.abandon, watch))


def _check_size(name: str, columns: list[_worker.Column], memory: str | None) -> None:
    """Looks whether the results of a position can be held at all."""
    size = sum(math.prod(shape) * np.dtype(element).itemsize for _, shape, element, _ in columns)
    budget = _pixelmill.Source.memory(memory)
    if size > budget:
        raise UsageError(
            f"the results of `{name}` for one position are {size:,} bytes, and the memory budget is {budget:,}",
            "TooLittleMemory",
            {"needed": size, "memory": budget},
        )


def _call(function: Callable[..., Any], constants: dict[str, Any], spectrum: NDArray[Any], **varying: Any) -> Any:
    return function(spectrum, **constants, **varying)


def _name_of(function: Callable[..., Any]) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__name__", None)
    if not name or name == "<lambda>":
        raise UsageError("a function without a name needs one: name=…", "Argument")
    return str(name)


def _check_arguments(
    function: Callable[..., Any], name: str, arguments: dict[str, Any], options: dict[str, bool]
) -> None:
    """Looks whether the function can be called so, and no option that is given may be meant for it."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    known = list(signature.parameters)[1:]
    for option in set(known) & set(options):
        if options[option] or signature.parameters[option].default is inspect.Parameter.empty:
            raise UsageError(
                f"`{name}` has an argument `{option}`, which is an option here; wrap it in a function that calls it "
                "otherwise",
                "Argument",
                {"argument": option},
            )
    takes_all = any(one.kind is one.VAR_KEYWORD for one in signature.parameters.values())
    for wrong in [] if takes_all else [one for one in arguments if one not in known]:
        near = difflib.get_close_matches(wrong, known, 1)
        meant = f" (did you mean `{near[0]}`?)" if near else ""
        has = f"it has: {', '.join(known)}" if known else "it has none but the spectrum"
        facts = {"name": wrong, "nearest": near[0] if near else None, "known": known}
        raise UsageError(f"`{name}` has no argument `{wrong}`{meant}; {has}", "Argument", facts)
    try:
        signature.bind(None, **arguments)
    except TypeError as error:
        raise UsageError(f"`{name}` can't be called so: {error}", "Argument", {"known": known}) from None


def _check_name(name: str, what: str) -> None:
    """Looks whether results can be called so."""
    if name in _DATASETS:
        raise UsageError(f"{what}={name!r}: results have something else of that name", "Argument", {"name": name})
    if name in (".", "..") or not name.isprintable() or "/" in name:
        raise UsageError(f"{what}={name!r}: no results can be called so in a file", "Argument", {"name": name})


def _is_shown(name: str, value: Any) -> bool:
    """Whether a constant is told as a parameter of its own, for people; its exact value is told anyway."""
    if name in _ATTRIBUTES:
        return False
    if isinstance(value, float | np.floating):
        return math.isfinite(value)
    return isinstance(value, bool | int | str | np.integer | np.bool_)


def _spread(positions: int) -> Iterable[int]:
    """Some positions: the first, the last, and some between them."""
    first = [0, positions // 2, positions - 1]
    all_ = dict.fromkeys([*first, *(at * positions // _TRIALS for at in range(1, _TRIALS))])
    return list(all_)[:_TRIALS]


def _element(dtype: Any) -> str:
    try:
        name = np.dtype(dtype).name
    except TypeError as error:
        raise UsageError(f"output_dtype={dtype!r}: {error}", "Argument") from None
    element: str = _worker._SHORT.get(name, name)
    if element not in _ELEMENTS:
        raise UsageError(f"output_dtype={dtype!r}: results are integers, floating-point or complex numbers", "Argument")
    return element


def _by_key(declared: Any, is_shape: bool = False) -> dict[str, Any] | None:
    """What is declared of each output: of one, of those of a tuple, or by their names."""
    if declared is None:
        return None
    if isinstance(declared, dict):
        return {str(key): _lengths(value) if is_shape else value for key, value in declared.items()}
    several = isinstance(declared, list) or not is_shape and isinstance(declared, tuple)
    if is_shape and isinstance(declared, Sequence) and any(isinstance(one, Sequence) for one in declared):
        several = True
    if several:
        return {str(at): _lengths(value) if is_shape else value for at, value in enumerate(declared)}
    return {"": _lengths(declared) if is_shape else declared}


def _lengths(shape: int | Sequence[int]) -> tuple[int, ...]:
    try:
        lengths = [operator.index(length) for length in ([shape] if isinstance(shape, int | np.integer) else shape)]
    except TypeError:
        lengths = [-1]
    if min(lengths, default=0) < 0:
        raise UsageError(f"output_shape={shape!r}: it has to be a length, or several", "Argument")
    return tuple(lengths)
