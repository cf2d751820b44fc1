"""Processes of one's own: a class with the names that processes have in Rust, and functions with their defaults.

Worker processes use it, so it knows neither files nor the engine.
"""

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np
from numpy.typing import DTypeLike

from ._axis import Axis
from ._errors import FunctionError, UsageError

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_: Any) -> Any:
        """What tells type checkers that fields are arguments."""
        return lambda of: of


_Function = TypeVar("_Function", bound=Callable[..., Any])

MARK = "__pixelmill__"
"""Where a function has its defaults."""
_GIVEN = ("source", "task", "xp")
"""What a process that computes is given."""


@dataclasses.dataclass(frozen=True)
class SourceInfo:
    """What a process is told about the scan that it computes."""

    quantity: str
    """What was measured; empty if the file doesn't tell."""
    units: str
    """Units of that."""
    dtype: np.dtype[Any]
    """Type of the values."""
    position_axes: tuple[Axis, ...]
    """The axes of the scan, slowest first."""
    spectral_axes: tuple[Axis, ...]
    """The axes of a spectrum, slowest first."""
    scan_shape: tuple[int, ...]
    """Lengths of the axes of the scan."""
    spectrum_shape: tuple[int, ...]
    """Lengths of the axes of a spectrum."""

    def axis(self, index: int = 0) -> Axis:
        """An axis of a spectrum, counted from the fastest: `axis(0)` is that of values side by side."""
        return self.spectral_axes[-1 - index]


@dataclasses.dataclass(frozen=True)
class ResultsDataset:
    """A results dataset as it was declared."""

    name: str
    quantity: str
    units: str
    dtype: DTypeLike
    axes: tuple[Axis, ...]


class ResultsDatasets:
    """The results datasets of a process, in the order of its outputs."""

    def __init__(self) -> None:
        self._declared: list[ResultsDataset] = []

    def main(
        self,
        name: str,
        quantity: str = "",
        units: str = "",
        dtype: DTypeLike = np.float64,
        axes: "Axis | int | Sequence[Axis | int]" = (),
    ) -> None:
        """Declares one: its name, the quantity that it holds and its units, type, and own axes, slowest first.

        An axis is an `Axis`, such as `source.axis(0)`, or a length, whose steps are counted. Without axes there is one
        number for each spectrum.
        """
        if not isinstance(name, str) or not name:
            raise FunctionError(f"a results dataset can't be called {name!r}", "Results", {"name": str(name)})
        if not isinstance(quantity, str) or not isinstance(units, str):
            raise FunctionError(
                f"`{name}`: quantity and units are texts, not {quantity!r} and {units!r}", "Results", {"name": name}
            )
        if any(name == other.name for other in self._declared):
            raise FunctionError(f"two results datasets are called `{name}`", "Results", {"name": name})
        given = axes if isinstance(axes, Sequence) else [axes]
        own = tuple(_axis(axis, name, number) for number, axis in enumerate(given))
        self._declared.append(ResultsDataset(name, quantity or name, units, dtype, own))


def _axis(axis: Any, name: str, number: int) -> Axis:
    if isinstance(axis, Axis):
        values = np.asarray(axis.values)
        if values.ndim == 1 and values.dtype.kind in "biuf" and np.isfinite(values).all():
            return axis
        raise FunctionError(
            f"`{name}`: the values of its axis `{axis.name}` have to be finite numbers in a row",
            "Results",
            {"name": name},
        )
    if isinstance(axis, int | np.integer) and axis > 0:
        return Axis(f"{name} axis {number}", "", np.arange(axis, dtype=float))
    raise FunctionError(f"`{name}`: {axis!r} is neither an axis nor a length", "Results", {"name": name})


@dataclass_transform(kw_only_default=True)
class Process:
    """A computation of one's own, with the names that processes have in Rust::

        class Above(pm.Process):
            threshold: float = 3.0

            def create_results_datasets(self, source, results):
                results.main("Above", "Number of values", dtype="u4")

            def map_function(self, spectrum):
                return (spectrum > self.threshold).sum()

        scan.run(Above(threshold=5))

    Needed is `map_function`, or `unit_computation` for what is faster on many spectra at once; all else has a default.
    Parameters are annotated fields, or whatever an `__init__` sets: all attributes of the instance. Methods get it as
    it was when the run began, in processes of their own, with `self.source`, what `prepare` has returned as
    `self.task`, and the module that arrays are of (NumPy, or CuPy on a GPU) as `self.xp`.

    Keyword arguments of `scan.run` beside the options go to the methods that compute, by position if they have the
    shape of the scan (an array, results, another scan), else as they are.
    """

    name = ""
    """What it is called; by default as the class."""
    version: "int | str | None" = None
    """Another version is another computation, as another text is; needed where the text can't be told."""
    workers = "auto"
    """Where it is computed: as for `Scan.map`."""
    backend = "numpy"
    """`"cupy"` hands CuPy's arrays over, on a GPU."""
    neighbours: "int | tuple[int, ...] | None" = None
    """How many steps to both sides on each axis of the scan `map_function` gets as `neighbours`: an array with these
    axes, the position itself in the middle, then those of a spectrum."""
    edges = "reflect"
    """What stands for neighbours beyond the edges: `"reflect"`, `"nearest"` or `"missing"`, which is NaN."""

    # What the instance that computes has.
    source: SourceInfo
    task: Any
    xp: Any

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        own = cls.__mro__[: cls.__mro__.index(Process)]
        is_written = any("__init__" in vars(base) and "__dataclass_fields__" not in vars(base) for base in own)
        annotated = inspect.get_annotations(cls)
        if is_written:
            return
        for name in vars(cls).keys() & getattr(cls, "__dataclass_fields__", {}).keys() - annotated.keys():
            if not hasattr(vars(cls)[name], "__get__"):
                raise FunctionError(
                    f"`{cls.__name__}.{name}` is a parameter of the class that it is based on, and gets another default "
                    f"if it is annotated here too, as in `{name}: {type(vars(cls)[name]).__name__} = …`",
                    "Parameter",
                    {"name": name},
                )
        if annotated:
            dataclasses.dataclass(kw_only=True, eq=False)(cls)

    def create_results_datasets(self, source: SourceInfo, results: ResultsDatasets) -> None:
        """Declares the results; without it they are named and shaped as some positions that are tried tell.

        Outputs are a dictionary or a dataclass with these names, or else in this order.
        """

    def prepare(self, source: SourceInfo) -> Any:
        """Prepares what all spectra share, once in each worker; the others have it as `self.task`."""

    def preprocess(self, spectrum: Any) -> Any:
        """What `map_function` gets in place of a spectrum, or `unit_computation` of many."""
        return spectrum

    # The inputs are arguments with names of their own, so that any others are right for type checkers.
    def map_function(self, *spectrum: Any, **inputs: Any) -> Any:
        """Computes one spectrum; the result may depend on nothing but the arguments and the parameters."""
        raise NotImplementedError

    def unit_computation(self, *spectra: Any, **inputs: Any) -> Any:
        """Computes many spectra at once, first axis; so have all outputs to have it.

        How many there are varies: a result must not depend on the others.
        """
        raise NotImplementedError

    def postprocess(self, output: Any) -> Any:
        """What is stored of what `map_function` or `unit_computation` returns."""
        return output

    def model(self, spectrum: Any, output: Any) -> Mapping[str, Any]:
        """The curves, by their names, that an output says the spectrum is: for `Scan.test`."""
        return {}

    def memory_per_position(self, source: SourceInfo) -> int:
        """Bytes that a position takes besides its spectrum and its results."""
        return 0

    def _check_names(self) -> None:
        """Looks whether nothing of its own is called as what a process has."""
        cls = type(self)
        own = cls.__mro__[: cls.__mro__.index(Process)]
        if any(vars(base).get("__slots__") for base in own):
            raise FunctionError(
                f"`{cls.__name__}` has `__slots__`, in which parameters aren't looked for", "Parameter", {"name": ""}
            )
        for name in {*vars(self), *(name for base in own for name in vars(base))}:
            is_hook = not name.startswith("__") and callable(getattr(Process, name, None))
            if name in _GIVEN or is_hook and (name in vars(self) or not callable(getattr(cls, name))):
                raise FunctionError(
                    f"`{cls.__name__}` has something of its own called `{name}`, which in each process is something "
                    "else; call it otherwise",
                    "Parameter",
                    {"name": name},
                )

    @classmethod
    def _has(cls, method: str) -> bool:
        """Whether it has a method of its own."""
        return getattr(cls, method) is not getattr(Process, method)

    @classmethod
    def _ready(cls, state: dict[str, Any], source: SourceInfo, xp: Any) -> "Process":
        """One that computes."""
        made = cls.__new__(cls)
        vars(made).update(state)
        made.source, made.xp = source, xp
        try:
            made.task = made.prepare(source)
        except Exception as error:
            raise RuntimeError(f"`prepare` failed with {type(error).__name__}: {error}") from error
        return made

    def _call(self) -> Callable[..., Any]:
        """What is called for spectra."""
        compute = self.unit_computation if self._has("unit_computation") else self.map_function
        if not self._has("preprocess") and not self._has("postprocess"):
            return compute
        return lambda spectra, **inputs: self.postprocess(compute(self.preprocess(spectra), **inputs))


@overload
def process(function: _Function) -> _Function: ...
@overload
def process(
    *,
    name: str | None = None,
    version: int | str | None = None,
    batch: bool | None = None,
    output_dtype: Any = None,
    output_shape: Any = None,
    names: Any = None,
    units: Any = None,
    neighbours: int | Sequence[int] | None = None,
    edges: str | None = None,
    workers: str | None = None,
    backend: str | None = None,
) -> Callable[[_Function], _Function]: ...
def process(
    function: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    version: int | str | None = None,
    batch: bool | None = None,
    output_dtype: Any = None,
    output_shape: Any = None,
    names: Any = None,
    units: Any = None,
    neighbours: int | Sequence[int] | None = None,
    edges: str | None = None,
    workers: str | None = None,
    backend: str | None = None,
) -> Any:
    """Gives a function defaults for the options of `Scan.map`, which tells of each; it stays a function as it is::

        @pm.process(batch=True)
        def total(spectra):
            return spectra.sum(axis=1)

        scan.map(total)
    """
    given = {option: value for option, value in locals().items() if value is not None and option != "function"}

    def marked(of: _Function) -> _Function:
        if not callable(of) or isinstance(of, type):
            raise UsageError("`process` decorates functions; a class has `pixelmill.Process` as its base", "Argument")
        try:
            setattr(of, MARK, given)
        except AttributeError:
            raise UsageError(
                f"{type(of).__name__} has no room for options; give them to `scan.map`", "Argument"
            ) from None
        return of

    return marked if function is None else marked(function)


def source_info(scan: Any, spectrum_shape: tuple[int, ...]) -> SourceInfo:
    """What a process is told about a scan, with spectra along the last axes."""
    axes: tuple[Axis, ...] = scan.spectral_axes
    lengths = tuple(map(len, axes[len(axes) - len(spectrum_shape) :]))
    if lengths != spectrum_shape:
        axes = tuple(Axis("Point", "", np.arange(length, dtype=float)) for length in spectrum_shape)
    return SourceInfo(
        quantity=scan.quantity,
        units=scan.units,
        dtype=scan.dtype,
        position_axes=scan.position_axes,
        spectral_axes=axes[len(axes) - len(spectrum_shape) :],
        scan_shape=scan._scan_shape,
        spectrum_shape=spectrum_shape,
    )
