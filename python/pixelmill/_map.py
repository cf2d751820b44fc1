"""A function or a process of one's own over all positions."""

import copy
import functools
import inspect
import json
import math
import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import _arguments, _encode, _gpu, _identity, _pixelmill, _pool, _worker
from ._axis import Axis
from ._errors import FunctionError, UsageError, check_choice
from ._process import MARK, Process, ResultsDatasets, source_info
from ._results import Results

if TYPE_CHECKING:
    from ._scan import Scan

_TRIALS = 16
_ENOUGH = 3
_PLACE = 64
"""Bytes that it takes to know where a neighbour is."""
_ELEMENTS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
_ELEMENTS += ["float32", "float64", "complex64", "complex128"]
_EDGES = ("reflect", "nearest", "missing")
_WORKERS = ("auto", "processes", "threads")
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

Answer = tuple[list[bytes], list[tuple[int, str]]]
"""The results of some spectra, dataset by dataset, and why some have none."""
Compute = Callable[[NDArray[Any], dict[str, NDArray[Any]]], Answer]
Try = Callable[[NDArray[Any], dict[str, NDArray[Any]], bool], _worker.Attempt]


WAY_OUT = "; with version=… you say yourself when it is another function"


@dataclass(frozen=True)
class Options:
    """How something is called, and what is said of its results."""

    name: str | None = None
    version: int | str | None = None
    batch: bool = False
    output_dtype: Any = None
    output_shape: Any = None
    names: Any = None
    units: Any = None
    neighbours: int | Sequence[int] | None = None
    edges: str = "reflect"
    workers: str = "auto"
    backend: str = "numpy"


@dataclass(frozen=True)
class Dataset:
    """A results dataset."""

    column: _worker.Column
    """What its values are, as who computes them has to know."""
    name: str
    quantity: str
    units: str
    axes: tuple[Axis, ...] | None = None
    """Its own axes, if they were named."""


class Mapping:
    """A function with its arguments, or a process, over a scan."""

    def __init__(
        self,
        scan: "Scan",
        subject: Any,
        options: Options,
        arguments: dict[str, Any],
        given: dict[str, bool],
    ) -> None:
        self._scan = scan
        # Whether it is the dataset that was opened.
        scan._read_runs([])
        self._process = subject if isinstance(subject, Process) else None
        self._subject = subject if self._process is None else type(subject)
        self.options = options
        if not isinstance(options.version, int | str | None):
            raise UsageError(f"version={options.version!r}: it has to be a number or a text", "Argument")
        if not isinstance(options.batch, bool):
            raise UsageError(f"batch={options.batch!r}: it has to be True or False", "Argument")
        self.name = str(options.name or _name_of(subject))
        check_name(self.name, "name")
        self._is_batch = options.batch if self._process is None else self._process._has("unit_computation")
        self._window = self._reach()
        has_neighbours = self._window is not None
        self._takes_xp = _arguments.check(self._called(), self.name, arguments, given, has_neighbours=has_neighbours)
        self._arguments = _arguments.Arguments(scan, arguments)
        self._gpus: list[int] = []
        on = ""
        if options.backend != "numpy":
            if options.workers == "threads":
                raise UsageError(f'backend="{options.backend}" computes in processes of its own', "Argument")
            version, self._gpus = _gpu.found(options.backend)
            on = f"{options.backend} {version}"
        self._identity, self._code = self._identified(options.version, on)

    def _called(self) -> Callable[..., Any]:
        if self._process is None:
            if not callable(self._subject):
                raise UsageError(f"a function is needed, not {type(self._subject).__name__}", "Argument")
            called: Callable[..., Any] = self._subject
            return called
        if not self._is_batch and not self._process._has("map_function"):
            raise FunctionError(
                f"`{self._subject.__name__}` has neither `map_function`, for one spectrum, nor `unit_computation`, for "
                "many at once; it needs one of them",
                "Incomplete",
                {"process": self._subject.__name__},
            )
        return self._process.unit_computation if self._is_batch else self._process.map_function

    def _reach(self) -> tuple[int, ...] | None:
        """How far neighbours reach on each axis of the scan."""
        given, axes = self.options.neighbours, len(self._scan._scan_shape)
        check_choice("edges", self.options.edges, _EDGES)
        if given is None:
            return None
        several = isinstance(given, Sequence | np.ndarray)
        reach: tuple[Any, ...] = tuple(given) if several else (given,) * axes  # type: ignore[arg-type]
        if len(reach) != axes or not all(isinstance(one, int | np.integer) and one >= 0 for one in reach):
            raise UsageError(
                f"neighbours={given!r}: it has to be a number of steps for each of the {axes} axes of the scan",
                "Argument",
            )
        if self.options.edges == "missing" and self._scan.dtype.kind not in "fc":
            raise UsageError(
                f'edges="missing": those beyond the edges are NaN, which {self._scan.dtype} hasn\'t; "reflect" and '
                '"nearest" have others stand for them',
                "Argument",
            )
        steps = tuple(map(int, reach))
        spectrum = math.prod(self._scan._each_shape) * self._scan.dtype.itemsize
        needed = math.prod(2 * one + 1 for one in steps) * max(spectrum, _PLACE)
        if needed > (budget := _pixelmill.Source.memory(None)):
            raise UsageError(
                f"neighbours={given!r}: those of one position take {needed:,} bytes, and the memory budget is "
                f"{budget:,}",
                "TooLittleMemory",
                {"needed": needed, "memory": budget},
            )
        return steps

    def _identified(self, version: Any, on: str) -> tuple[dict[str, Any], str | None]:
        """All that the results depend on, the source and the inputs aside, and how a worker knows the function."""
        told: dict[str, Any] = {}
        code = None
        # A class has a version as processes have it, beside its text.
        if version is None or self._process is not None:
            try:
                text, packages = _identity.of_text(self._subject)
                code = _identity.of_code(self._subject)
            except _identity.Unhashable as unhashable:
                if version is None:
                    raise unrecognised(self.name, unhashable, WAY_OUT) from None
            else:
                told |= by_text(text, packages)
        if version is not None:
            told["python_version"] = f"{type(version).__name__} {version}"
        parameters = self._state(hashed=True)
        try:
            exact = self._arguments.exact()
            state = {name: _identity.of_value(value, f"`{name}`") for name, value in parameters.items()}
        except _identity.Unhashable as unhashable:
            raise unrecognised(self.name, unhashable) from None
        told["python_arguments"] = json.dumps(exact, sort_keys=True)
        if self._process is not None:
            told["python_parameters"] = json.dumps(state, sort_keys=True)
        how = {"batch": self._is_batch or None, "backend": on or None, "window": self._window}
        told |= {f"python_{name}": str(value) for name, value in how.items() if value is not None}
        shown = parameters | self._arguments.constants
        return {name: value for name, value in shown.items() if is_shown(name, value)} | told, code

    def _state(self, hashed: bool = False) -> dict[str, Any]:
        """The parameters of a process."""
        state = {} if self._process is None else vars(self._process)
        return {name: value for name, value in state.items() if not hashed or name != "workers"}

    def _way(self) -> dict[str, Any]:
        """How it is called, for `_worker.Called`."""
        way: dict[str, Any] = {
            "batch": self._is_batch,
            "backend": self.options.backend,
            "xp": self._takes_xp,
            "window": tuple(2 * steps + 1 for steps in self._window or ()),
        }
        if self._process is not None:
            way |= {"state": self._state(), "source": source_info(self._scan, self._scan._each_shape)}
        return way

    def tasks(self) -> list[_pool.Task]:
        """It as worker processes get it, one for each GPU."""
        import cloudpickle

        ways = [self._way() | {"device": number} for number in range(len(self._gpus))] or [self._way()]
        version = self._identity.get("python_version", "")
        try:
            subject = cloudpickle.dumps(self._subject)
            given = [cloudpickle.dumps((self._arguments.constants, way)) for way in ways]
        except Exception as error:
            raise FunctionError(f"`{self.name}` can't be handed to worker processes: {error}") from None
        return [_pool.Task(subject, one, self._code, version, way.get("device")) for one, way in zip(given, ways)]

    @property
    def in_threads(self) -> bool:
        """Whether it is computed on the engine's threads."""
        return in_threads(self.options.workers, self._subject) and not self._gpus

    def datasets(self, attempt: Try) -> list[Dataset]:
        """What the results are: as they are declared, or as some positions that are tried give them."""
        declared = self._of_process()
        if declared:
            return declared
        options = self.options
        dtypes, shapes = _by_key(options.output_dtype), _by_key(options.output_shape, is_shape=True)
        if dtypes is not None and shapes is not None:
            found = {key: (shapes.get(key, ()), _element(of)) for key, of in dtypes.items()}
        else:
            found = self._tried(attempt)
        for key in [*(shapes or {}), *(dtypes or {})]:
            self._check_key(key, found)
        for key, shape in (shapes or {}).items():
            found[key] = (shape, found[key][1])
        casting = "safe" if dtypes is None else "same_kind"
        for key, of in (dtypes or {}).items():
            found[key] = (found[key][0], _element(of))
        names, units = self._told("names", options.names, found), self._told("units", options.units, found)
        datasets = []
        for key, (shape, element) in found.items():
            name = names.get(key) or self._default_name(key, list(found))
            datasets.append(Dataset((key, shape, element, casting), name, name, units.get(key, "")))
        if len({dataset.name for dataset in datasets}) < len(datasets):
            raise UsageError(f"names={options.names!r}: two results would be called alike", "Argument")
        for dataset in datasets:
            check_name(dataset.name, "names" if dataset.column[0] in names else "output")
        return datasets

    def _no_output(self, key: str, found: Iterable[str]) -> FunctionError:
        has = ", ".join(found) or "one, which has no name"
        return FunctionError(f"`{self.name}` has no output `{key or 'without a name'}`; its outputs: {has}")

    def _of_process(self) -> list[Dataset]:
        """The datasets that a process declares."""
        if self._process is None or not self._process._has("create_results_datasets"):
            return []
        results = ResultsDatasets()
        self._process.create_results_datasets(source_info(self._scan, self._scan._each_shape), results)
        if not results._declared:
            raise FunctionError(
                f"`create_results_datasets` of `{self._subject.__name__}` declares none; `results.main(name, …)` does",
                "Incomplete",
                {"process": self._subject.__name__},
            )
        for one in results._declared:
            check_name(one.name, "name")
        return [
            Dataset(
                (one.name, tuple(map(len, one.axes)), _element(one.dtype), "same_kind"),
                one.name,
                one.quantity,
                one.units,
                one.axes,
            )
            for one in results._declared
        ]

    def _check_key(self, key: str, found: dict[str, Any]) -> None:
        if key not in found:
            raise self._no_output(key, found)

    def _told(self, option: str, given: Any, found: dict[str, Any]) -> dict[str, str]:
        """What is said of each output, by its key."""
        if given is None:
            return {}
        if isinstance(given, dict):
            told = {str(key): value for key, value in given.items()}
        else:
            several = [given] if isinstance(given, str) else list(given)
            if len(several) != len(found):
                raise UsageError(
                    f"{option}={given!r}: `{self.name}` has {len(found)} outputs, so that many are needed", "Argument"
                )
            told = dict(zip(found, several))
        for key, value in told.items():
            self._check_key(key, found)
            if not isinstance(value, str) or option == "names" and not value:
                raise UsageError(f"{option}={given!r}: {value!r} can't be one of them", "Argument")
        return told

    def _default_name(self, key: str, keys: list[str]) -> str:
        if key == "":
            return self.name
        is_tuple = keys == [str(at) for at in range(len(keys))]
        return f"{self.name}_{key}" if is_tuple else key

    def _tried(self, attempt: Try) -> dict[str, tuple[tuple[int, ...], str]]:
        found: dict[str, tuple[tuple[int, ...], str]] = {}
        succeeded, reasons, is_changed = 0, [], False
        for position in _spread(math.prod(self._scan._scan_shape)):
            looked = self._looked(attempt, (position, []), 0)
            if looked.failure is not None:
                reasons.append(looked.failure)
                continue
            is_changed |= looked.is_changed
            for key, value in looked.outputs.items():
                element = _worker.element_of(value)
                before = found.setdefault(key, (value.shape, element))
                if before[0] != value.shape:
                    raise FunctionError(
                        f"`{self.name}` returned the shape {value.shape} at position {position}, and {before[0]} "
                        "before; all positions have to have results of one shape, for no file here can hold another "
                        "length at each: fill them up to one length, with NaN behind their ends"
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
        if is_changed:
            _identity.warn(
                f"`{self.name}` changes what it uses outside of itself, so that results may depend on the order of its "
                "calls"
            )
        return found

    def _looked(
        self, attempt: Try, position: tuple[int | None, list[int]], spectrum: int, model: bool = False
    ) -> "Looked":
        """What becomes of a position, by its number or its steps, that the engine reads."""
        looked = Looked()
        given: list[tuple[NDArray[Any], dict[str, NDArray[Any]]]] = []

        def read(spectra: NDArray[Any], varying: dict[str, NDArray[Any]]) -> Answer:
            given.append(_worker.part(spectra, varying, slice(spectrum, spectrum + 1)))
            return [], []

        declared = self.declared([], 1)
        looked.told = json.loads(
            _pixelmill.test_map(self._scan._with(cores=1), declared, self.handed(read), *position, spectrum)
        )
        looked.failure = looked.told["failure"]
        # Here, where Ctrl-C is heard.
        for own in given:
            try:
                looked.outputs, looked.model, looked.is_changed = attempt(*own, model)
            except RuntimeError as error:
                looked.failure = str(error)
        return looked

    def look(self, steps: list[int], spectrum: int) -> tuple["Looked", dict[str, NDArray[Any]]]:
        """What becomes of a position, and its results by the names of their datasets."""
        attempt = self.attempt()
        looked = self._looked(attempt, (None, steps), spectrum, model=True)
        if looked.failure is not None:
            return looked, {}
        of_process = self._of_process()
        outputs = looked.outputs
        if of_process:
            columns = [dataset.column for dataset in of_process]
            by_order = list(outputs) == [str(at) for at in range(len(outputs))] or list(outputs) == [""]
            try:
                values = _worker._ordered(tuple(outputs.values()) if by_order else outputs, columns)
                values = [_worker._fitting(*one) for one in zip(values, *zip(*(column[1:] for column in columns)))]
            except (TypeError, ValueError) as error:
                looked.failure = _worker.last_line(error)
                return looked, {}
            return looked, {one.name: value.astype(one.column[2]) for one, value in zip(of_process, values)}
        names = self._told("names", self.options.names, outputs)
        return looked, {names.get(key) or self._default_name(key, list(outputs)): of for key, of in outputs.items()}

    def declared(self, datasets: list[Dataset], most_per_unit: int | None) -> str:
        """All of it, for the engine."""
        options = self.options
        says = {name: getattr(options, name) for name in ("output_dtype", "output_shape", "names", "units")}
        says = {name: str(value) for name, value in says.items() if value is not None}
        around = None if self._window is None else {"reach": self._window, "edges": options.edges}
        return _encode.dumps(
            {
                "name": self.name,
                "parameters": self._identity | says,
                "element": self._scan.dtype.name,
                "columns": [_column(dataset) for dataset in datasets],
                "opened": self._arguments.opened(),
                "neighbours": around,
                "memory_per_position": self._memory(),
                "most_per_unit": most_per_unit,
            }
        )

    def _memory(self) -> int:
        if self._process is None:
            return 0
        given: Any = self._process.memory_per_position(source_info(self._scan, self._scan._each_shape))
        if not isinstance(given, int | float | np.integer | np.floating) or not 0 <= given < 1 << 63:
            name = self._subject.__name__
            raise FunctionError(f"`memory_per_position` of `{name}` gives {given!r}, no number of bytes")
        return int(given)

    def most_per_unit(self, datasets: list[Dataset]) -> int | None:
        """Most positions of a batch, where a GPU has to hold them."""
        if not self._gpus:
            return None
        spectrum = math.prod(self._scan._spectrum_shape) * self._scan.dtype.itemsize
        columns = [dataset.column for dataset in datasets]
        results = sum(math.prod(shape) * np.dtype(element).itemsize for _, shape, element, _ in columns)
        around = math.prod(2 * steps + 1 for steps in self._window or ())
        return _gpu.most_per_unit(self._gpus, spectrum * (1 + around) + results + self._memory())

    def handed(self, compute: Compute) -> Callable[[list[int], Any, list[bytes], bytes | None], Answer]:
        """What the engine calls for some spectra."""
        shape, dtype = self._scan._each_shape, self._scan.dtype

        def call(positions: list[int], spectra: Any, inputs: list[bytes], around: bytes | None) -> Answer:
            varying = self._arguments.varying(positions, inputs)
            if around is not None:
                varying[_worker.AROUND] = np.frombuffer(around, np.int32).reshape(len(positions), -1)
            values = np.asarray(spectra).view(dtype)
            return compute(values.reshape(values.size // max(math.prod(shape), 1), *shape), varying)

        return call

    def attempt(self) -> Try:
        """What tries a position."""
        return self._attempt_here if self.in_threads else _pool.InProcesses(*self._for_pool([])).attempt

    def _for_pool(self, columns: list[_worker.Column]) -> tuple[list[_pool.Task], list[_worker.Column], bool]:
        return self.tasks(), columns, bool(self._gpus)

    def computing(self, datasets: list[Dataset]) -> "_pool.InProcesses | _pool.InThreads":
        """What computes."""
        columns = [dataset.column for dataset in datasets]
        if self.in_threads:
            return _pool.InThreads(self._here, columns)
        return _pool.InProcesses(*self._for_pool(columns))

    @functools.cached_property
    def _here(self) -> _worker.Called:
        way = self._way()
        if "state" in way:
            way["state"] = {name: apart(_arguments.as_handed_over(value)) for name, value in way["state"].items()}
        try:
            return _worker.Called(self._subject, self._arguments.constants, way)
        except RuntimeError as error:
            raise FunctionError(f"`{self.name}`: {error}") from None

    def _attempt_here(
        self, spectra: NDArray[Any], varying: dict[str, NDArray[Any]], with_model: bool
    ) -> _worker.Attempt:
        called = self._here

        def is_changed() -> bool:
            return self._code is not None and _identity.of_code(self._subject) != self._code

        try:
            return _worker.attempt(called, spectra, varying, with_model, is_changed)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise RuntimeError(_worker.last_line(error)) from None


class Looked:
    """What became of a position that was tried."""

    def __init__(self) -> None:
        self.told: dict[str, Any] = {}
        self.outputs: dict[str, NDArray[Any]] = {}
        self.model: dict[str, NDArray[Any]] = {}
        self.is_changed = False
        self.failure: str | None = None


def of_function(
    scan: "Scan", function: Any, own: dict[str, Any], arguments: dict[str, Any], defaults: dict[str, Any]
) -> Mapping:
    """A function over a scan, with the options of `Scan.map`, and those that it has itself."""
    inner = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    options = Options(**getattr(inner, MARK, {}))
    known = Options.__dataclass_fields__
    options = replace(options, **{name: own[name] for name in known if own.get(name) is not None})
    given = {option: own[option] is not default for option, default in defaults.items()}
    return Mapping(scan, function, options, arguments, given)


def of_process(
    scan: "Scan", process: Process, arguments: dict[str, Any], own: dict[str, Any], defaults: dict[str, Any]
) -> Mapping:
    """A process of one's own over a scan."""
    process._check_names()
    of_class = {name: getattr(process, name) for name in ("version", "neighbours", "edges", "workers", "backend")}
    options = Options(name=process.name or type(process).__name__, **of_class)
    given = {option: own[option] is not default for option, default in defaults.items()}
    return Mapping(scan, process, options, arguments, given)


def run(scan: "Scan", mapping: Mapping, options: str, watch: Callable[[str], object] | None) -> Results:
    """Computes a mapping."""
    datasets = mapping.datasets(mapping.attempt())
    _check_size(mapping.name, datasets, json.loads(options).get("memory"))
    computing = mapping.computing(datasets)
    declared = mapping.declared(datasets, mapping.most_per_unit(datasets))
    return Results(_pixelmill.map(options, declared, mapping.handed(computing.compute), computing.abandon, watch))


def apart(value: Any) -> Any:
    """A parameter as threads have it, so that nobody else's is changed there, nor one that another thread uses."""
    if isinstance(value, np.ndarray):
        value = value.view()
        value.flags.writeable = False
    elif isinstance(value, list | dict | set | bytearray):
        try:
            return copy.deepcopy(value)
        except Exception:
            return value
    return value


def _check_size(name: str, datasets: list[Dataset], memory: str | None) -> None:
    """Looks whether the results of a position can be held at all."""
    columns = [dataset.column for dataset in datasets]
    size = sum(math.prod(shape) * np.dtype(element).itemsize for _, shape, element, _ in columns)
    budget = _pixelmill.Source.memory(memory)
    if size > budget:
        raise UsageError(
            f"the results of `{name}` for one position are {size:,} bytes, and the memory budget is {budget:,}",
            "TooLittleMemory",
            {"needed": size, "memory": budget},
        )


def _column(dataset: Dataset) -> dict[str, Any]:
    _, shape, element, _ = dataset.column
    axes = dataset.axes and [
        {"name": axis.name, "units": axis.units, "values": np.asarray(axis.values, float)} for axis in dataset.axes
    ]
    own = {"name": dataset.name, "quantity": dataset.quantity, "units": dataset.units}
    return own | {"shape": shape, "element": element, "axes": axes or None}


def in_threads(workers: Any, subject: Any) -> bool:
    """Whether something is computed on the engine's threads."""
    check_choice("workers", workers, _WORKERS)
    return bool(workers == "threads" or workers == "auto" and _frees_the_lock(subject))


def _frees_the_lock(subject: Any) -> bool:
    """Whether a function is known to let Python's lock go while it computes."""
    while isinstance(subject, functools.partial):
        subject = subject.func
    if isinstance(getattr(subject, "py_func", None), type(_frees_the_lock)):
        return bool(getattr(subject, "targetoptions", {}).get("nogil"))
    return isinstance(subject, np.ufunc)


def _name_of(function: Any) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__name__", None)
    if not name or name == "<lambda>":
        raise UsageError("a function without a name needs one: name=…", "Argument")
    return str(name)


def by_text(text: Any, packages: dict[str, str]) -> dict[str, str]:
    """What a function is by its text, for whoever looks for its results."""
    told = ", ".join(f"{name} {packages[name]}" for name in sorted(packages))
    return {"python_function": json.dumps(text, sort_keys=True), "python_packages": told}


def unrecognised(name: str, reason: Exception, way_out: str = "") -> FunctionError:
    """That nobody could tell later whether results are those of this function."""
    message = f"results of `{name}` couldn't be recognised later: {reason}{way_out}"
    return FunctionError(message, "Unhashable", {"function": name, "reason": str(reason)})


def check_name(name: str, what: str) -> None:
    """Looks whether results can be called so."""
    if name in _DATASETS:
        raise UsageError(f"{what}={name!r}: results have something else of that name", "Argument", {"name": name})
    if name in (".", "..") or not name.isprintable() or "/" in name:
        raise UsageError(f"{what}={name!r}: no results can be called so in a file", "Argument", {"name": name})


def is_shown(name: str, value: Any) -> bool:
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
