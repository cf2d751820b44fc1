"""What a function, or what a class computes with, is called with beside spectra."""

import difflib
import inspect
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import _identity
from ._errors import UsageError
from ._results import ResultsArray

if TYPE_CHECKING:
    from ._scan import Scan


class Arguments:
    """Constants, and what varies with the position: arrays here, and datasets that are read beside the scan."""

    def __init__(self, scan: "Scan", arguments: dict[str, Any]) -> None:
        self._scan = scan
        self.constants: dict[str, Any] = {}
        self._arrays: dict[str, NDArray[Any]] = {}
        self._inputs: dict[str, tuple[str, tuple[int, ...], Any]] = {}
        for argument, value in arguments.items():
            self._sort(argument, value)

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
                self.constants[argument] = as_handed_over(array)
                return
            if array.dtype.kind not in "biufcSUO":
                raise UsageError(
                    f"{argument}: an array that varies with the position holds numbers or texts, not {array.dtype}",
                    "Argument",
                )
            self._arrays[argument] = array.reshape(math.prod(scan_shape), *array.shape[len(scan_shape) :])
        else:
            self.constants[argument] = as_handed_over(value)

    def exact(self) -> dict[str, Any]:
        """All of them as JSON in which different values are different; the engine knows datasets by their order."""
        exact = {name: _identity.of_value(value, f"`{name}`") for name, value in self.constants.items()}
        exact |= {name: ["varies", *_identity.of_value(value, name)] for name, value in self._arrays.items()}
        return exact | {name: ["input", number] for number, name in enumerate(self._inputs)}

    def opened(self) -> dict[str, Any]:
        """What the datasets were like when they were opened, for the engine."""
        scan = self._scan
        return {
            "positions": math.prod(scan._scan_shape),
            "scan": [len(axis) for axis in scan.position_axes],
            "spectrum": scan._each_shape,
            "inputs": [
                {"path": path, "element": value.dtype.name, "values": math.prod(own)}
                for path, own, value in self._inputs.values()
            ],
            "array_bytes": sum(array[:1].nbytes for array in self._arrays.values()),
        }

    def varying(self, positions: Sequence[int], inputs: Sequence[bytes]) -> dict[str, NDArray[Any]]:
        """What varies, at some positions, for which the engine has read the datasets."""
        varying = {name: np.ascontiguousarray(array[positions]) for name, array in self._arrays.items()}
        for (name, (_, own, value)), given in zip(self._inputs.items(), inputs):
            varying[name] = np.frombuffer(given, value.dtype).reshape(len(positions), *own)
        return varying


def as_handed_over(value: Any) -> Any:
    """Arrays in the order in which other processes get them, since in another they are added up in another."""
    if type(value) in (np.ndarray, np.memmap):
        return value if value.flags.f_contiguous else np.ascontiguousarray(value)
    if type(value) in (list, tuple):
        return type(value)(as_handed_over(one) for one in value)
    if type(value) is dict:
        return {name: as_handed_over(one) for name, one in value.items()}
    return value


def check(
    function: Callable[..., Any],
    name: str,
    arguments: dict[str, Any],
    options: dict[str, bool],
    leading: int = 1,
    has_neighbours: bool | None = None,
) -> bool:
    """Looks whether the function can be called so, and no option that is given may be meant for it.

    So many arguments lead, which aren't given by name. It says whether the function asks for the module of arrays, as
    `xp`; what `has_neighbours` isn't told of gets neither these nor that.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return False
    known = list(signature.parameters)[leading:]
    takes_xp = "xp" in known and has_neighbours is not None
    ours = {"xp": None} if takes_xp else {}
    if has_neighbours:
        ours["neighbours"] = None
    if has_neighbours is False and "neighbours" in known and "neighbours" not in arguments:
        raise UsageError(
            f"`{name}` has an argument `neighbours`, and nothing says how far these reach, as neighbours=1 does",
            "Argument",
            {"argument": "neighbours"},
        )
    for option in set(known) & set(options) - set(ours):
        if options[option] or signature.parameters[option].default is inspect.Parameter.empty:
            raise UsageError(
                f"`{name}` has an argument `{option}`, which is an option here; wrap it in a function that calls it "
                "otherwise",
                "Argument",
                {"argument": option},
            )
    takes_all = any(one.kind is one.VAR_KEYWORD for one in signature.parameters.values())
    known = [one for one in known if one not in ours]
    for wrong in [one for one in arguments if one in ours or one not in known and not takes_all]:
        near = difflib.get_close_matches(wrong, known, 1)
        meant = f" (did you mean `{near[0]}`?)" if near else ""
        has = f"it has: {', '.join(known)}" if known else "it has none but the spectrum"
        facts = {"name": wrong, "nearest": near[0] if near else None, "known": known}
        raise UsageError(f"`{name}` has no argument `{wrong}`{meant}; {has}", "Argument", facts)
    try:
        signature.bind(*[None] * leading, **ours, **arguments)
    except TypeError as error:
        raise UsageError(f"`{name}` can't be called so: {error}", "Argument", {"known": known}) from None
    return takes_xp
