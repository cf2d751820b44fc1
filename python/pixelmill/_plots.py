"""Pictures of results and trials, by Matplotlib."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ._errors import UsageError
from ._neighbours import records
from ._optional import needed

if TYPE_CHECKING:
    from ._axis import Axis
    from ._results import ResultsArray
    from ._scan import Trial

_ROBUST = (2.0, 98.0)


def chosen(array: "ResultsArray", steps: Sequence[int]) -> tuple[NDArray[Any], list["Axis"], str]:
    """Values at some steps of the last axes, without axes of one step, the axes that are left, and what they are."""
    if not array._is_plain:
        raise records(array)
    if len(steps) > array.ndim:
        raise UsageError(f"`{array.name}` has {array.ndim} axes, which are fewer than the steps {steps}", "Argument")
    left = array.ndim - len(steps)
    axes, lengths = array.axes[:left], array.shape[:left]
    key: tuple[Any, ...] = (..., *steps)
    values: NDArray[Any] = np.asarray(array)[key]
    _, what, units = array._meaning()
    if values.dtype.kind == "c":
        values, what = np.abs(values), f"|{what}|"
    kept = [axis for axis, length in zip(axes, lengths) if length != 1]
    return values.reshape([len(axis) for axis in kept]), kept, what + (f" [{units}]" if units else "")


def image(array: "ResultsArray", steps: Sequence[int]) -> NDArray[Any]:
    values, axes, _ = chosen(array, steps)
    if len(axes) > 2:
        raise _too_many(array, axes, "image")
    return values.reshape((1,) * (2 - len(axes)) + values.shape)


def _too_many(array: "ResultsArray", axes: Sequence["Axis"], method: str) -> UsageError:
    shape = " × ".join(map(str, array.shape))
    steps = ", ".join(["0"] * (len(axes) - 2))
    return UsageError(f"`{array.name}` is {shape}; choose steps of the last axes, as in .{method}({steps})", "Argument")


def plot(array: "ResultsArray", steps: Sequence[int], ax: Any, percentiles: tuple[float, float] | None) -> Any:
    values, axes, what = chosen(array, steps)
    if len(axes) > 2:
        raise _too_many(array, axes, "plot")
    ax = _axes(ax)
    if len(axes) == 2:
        drawn = _map(ax, values, axes, _limits(values, percentiles))
        ax.figure.colorbar(drawn, ax=ax, label=what)
    else:
        ax.plot(axes[0].values if axes else [0], values.reshape(-1), "." if not axes else "-")
        ax.set_xlabel(_label(axes[0]) if axes else "")
        ax.set_ylabel(what)
    ax.set_title(array.name if array._field is None else f"{array.name}: {array._meaning()[0]}")
    return ax


def _axes(ax: Any) -> Any:
    return needed("matplotlib.pyplot", "plot").subplots()[1] if ax is None else ax


def _label(axis: "Axis") -> str:
    return axis.name + (f" [{axis.units}]" if axis.units else "")


def _limits(values: NDArray[Any], percentiles: tuple[float, float] | None) -> tuple[float | None, float | None]:
    """The values that the colours end at: a few bright or dark positions don't decide them."""
    finite = values[np.isfinite(values)]
    if percentiles is None or not finite.size:
        return None, None
    low, high = np.percentile(finite, percentiles)
    return (float(low), float(high)) if low < high else (None, None)


def _map(
    ax: Any, values: NDArray[Any], axes: Sequence["Axis"], limits: tuple[float | None, float | None]
) -> Any:
    """A map whose pixels lie at the values of its axes, rows downwards."""
    rows, columns = (_ordered(axis) for axis in axes)
    same = axes[0].units == axes[1].units
    ax.set_aspect("equal" if same else "auto")
    drawn = ax.pcolormesh(columns, rows, values, shading="nearest", vmin=limits[0], vmax=limits[1], rasterized=True)
    if rows[0] < rows[-1]:
        ax.invert_yaxis()
    ax.set_ylabel(_label(axes[0]))
    ax.set_xlabel(_label(axes[1]))
    return drawn


def _ordered(axis: "Axis") -> NDArray[np.float64]:
    """The values of an axis; the numbers of its steps if they go to and fro."""
    steps = np.diff(axis.values)
    is_ordered = (steps > 0).all() or (steps < 0).all()
    return axis.values if is_ordered else np.arange(len(axis.values), dtype=float)


def plot_trial(trial: "Trial", ax: Any) -> Any:
    if trial.data is None or trial.axis is None:
        raise UsageError("this process doesn't tell a spectrum that could be drawn", "Argument")
    curves = [("data", trial.data, "."), *((name, values, "-") for name, values in trial.model.items())]
    if any(np.iscomplexobj(values) for _, values, _ in curves) and ax is None:
        _, both = needed("matplotlib.pyplot", "plot").subplots(2, 1, sharex=True)
        parts: list[tuple[Any, Any, str]] = [(both[0], np.abs, "amplitude"), (both[1], np.angle, "phase [rad]")]
    else:
        both = _axes(ax)
        is_complex = any(np.iscomplexobj(values) for _, values, _ in curves)
        parts = [(both, np.abs if is_complex else np.asarray, "amplitude" if is_complex else "")]
    for one, part, label in parts:
        for name, values, style in curves:
            one.plot(trial.axis.values, part(values), style, label=name)
        one.set_ylabel(label)
    first, last = parts[0][0], parts[-1][0]
    last.set_xlabel(_label(trial.axis))
    first.legend()
    failed = f", failed: {trial.failure}" if trial.failure else ""
    first.set_title(f"position {trial.at}{failed}")
    return both
