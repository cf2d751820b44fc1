"""Results, read from the file where they are."""

import functools
import json
import operator
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from . import _pixelmill
from ._errors import MissingResultsError, ResultsError

if TYPE_CHECKING:
    import h5py

    from ._axis import Axis

_READ_AS = {"float16": "float32", "bfloat16": "float32"}


class Results(Mapping[str, "ResultsArray"]):
    """The results of a computation: a mapping from the names of its datasets to arrays.

    Nothing is read before an array is asked for values, and the file is open only while it is read.
    """

    def __init__(self, computed: _pixelmill.Computed) -> None:
        self._computed = computed
        self._run: dict[str, Any] = json.loads(computed.summary())
        place = f"{self._run['file']}:{self._run['group']}"
        self._arrays = {told["name"]: ResultsArray(computed, place, told) for told in json.loads(computed.datasets())}

    @property
    def process(self) -> str:
        """The name of the process."""
        return str(self._run["process"])

    @property
    def file(self) -> str:
        """The file that the results are in."""
        return str(self._run["file"])

    @property
    def group(self) -> str:
        """Path of the results group in the file."""
        return str(self._run["group"])

    @property
    def hash(self) -> str:
        """Hash of everything that the results depend on; empty for those of another program."""
        return str(self._run["parameter_hash"])

    @property
    def outcome(self) -> str:
        """`"finished"`, or `"existing"` if the same had been computed before."""
        return str(self._run["outcome"])

    @property
    def completed(self) -> int:
        """Positions whose results are on disk, failed ones among them."""
        return int(self._run["completed"])

    @property
    def failed(self) -> dict[int, str]:
        """Positions that failed, by their numbers, with their reasons: the first 10,000."""
        return {one["position"]: one["message"] for one in self._run["failed"]}

    @property
    def failed_count(self) -> int:
        """How many positions failed."""
        return int(self._run["failures"]["positions"])

    @property
    def parameters(self) -> dict[str, Any]:
        """All parameters as they were used, defaults included."""
        groups = json.loads(_pixelmill.status(self.file, self.group))["groups"]
        return dict(groups[0]["parameters"])

    @property
    def report(self) -> dict[str, Any] | None:
        """Where the time went, if something was computed."""
        report: dict[str, Any] | None = self._run["report"]
        return report

    def h5py(self) -> "h5py.Group":
        """The results group, opened by h5py for reading. Close its `file` before you compute into it again."""
        import h5py

        return h5py.File(self.file, "r")[self.group]

    def __getitem__(self, name: str) -> "ResultsArray":
        try:
            return self._arrays[name]
        except KeyError:
            known = list(self._arrays)
            message = f"`{self.group}` has no results `{name}`; its results: {', '.join(known)}"
            facts = {"group": self.group, "dataset": name, "known": known}
            raise MissingResultsError(message, "NoSuchResults", facts) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self) -> str:
        headline, *others = self._lines()
        return "\n".join([f"<{headline}>", *(f"  {line}" for line in others)])

    def _repr_html_(self) -> str:
        from . import _html

        return _html.of_results(self)

    def _lines(self) -> list[str]:
        failed = f", {self.failed_count:,} failed" if self.failed_count else ""
        headline = f"{self.process}: {self.completed:,} of {self._run['positions']:,} positions{failed}"
        return [headline, f"{self.file}:{self.group}", *(array._told() for array in self.values())]


class ResultsArray:
    """A results dataset, in the shape of the scan: its axes, slowest first, then the dataset's own.

    It is indexed as NumPy's arrays are, and what is asked for is read then. Positions that aren't computed, or
    failed, are NaN, or 0 for integers. Of records, `array["field"]` is the array of one field.
    """

    def __init__(
        self, computed: _pixelmill.Computed, place: str, told: dict[str, Any], field: str | None = None
    ) -> None:
        self._computed = computed
        self._place = place
        self._dataset = told
        self._field = field
        fields = [
            (name, np.dtype(_READ_AS.get(element, element)))
            for name, element in told["fields"]
            if field in (None, name)
        ]
        self._of_records = told["fields"][0][0] is not None
        self._is_plain = field is not None or not self._of_records
        self.name: str = told["name"]
        """Its name."""
        self.quantity: str = told["quantity"]
        """What it holds."""
        self.units: str = told["units"]
        """Units of its values."""
        self.shape: tuple[int, ...] = tuple(told["shape"])
        """Lengths of its axes."""
        self.dtype: np.dtype[Any] = fields[0][1] if self._is_plain else np.dtype(fields)
        """Type of its values."""

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many values it has."""
        return int(np.prod(self.shape, dtype=np.int64))

    @functools.cached_property
    def axes(self) -> "tuple[Axis, ...]":
        """Its axes: those of the scan, then its own."""
        from . import _scan

        return _scan._axes(json.loads(self._computed.axes(self.name)))

    def image(self, *steps: int) -> NDArray[Any]:
        """The values as an image, as `imshow` takes it: an array of rows and columns; of complex numbers the magnitude.

        Axes with one step count for nothing. If more than two others are left, the steps choose from the last axes:
        `image(3, 4)` of 64 × 64 × 10 × 12 values is 64 × 64. Values along one axis are an image of one row.
        """
        from . import _plots

        return _plots.image(self, steps)

    def plot(self, *steps: int, ax: Any = None, percentiles: tuple[float, float] | None = (2, 98)) -> Any:
        """Draws the values by Matplotlib, along their axes: a map, or a curve if there is only one axis.

        steps: chosen from the last axes, as for `image`.
        ax: what to draw into, by default a new figure.
        percentiles: those of the values at which the colours of a map end; with None they have room for all.

        Gives what it has drawn into.
        """
        from . import _plots

        return _plots.plot(self, steps, ax, percentiles)

    def to_xarray(self) -> Any:
        """The values as a `DataArray` of xarray, with coordinates; records as a `Dataset`."""
        from . import _neighbours

        return _neighbours.results_to_xarray(self)

    def to_sidpy(self) -> Any:
        """The values as a `Dataset` of sidpy, with dimensions; of records choose a field."""
        from . import _neighbours

        return _neighbours.results_to_sidpy(self)

    def h5py(self) -> "h5py.Dataset":
        """The results dataset, opened by h5py for reading. Close its `file` before you compute into it again."""
        import h5py

        told = json.loads(self._computed.summary())
        return h5py.File(told["file"], "r")[f"{told['group']}/{self.name}"]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return self._of_field(key)
        first, *rest = key if isinstance(key, tuple) and key else (key,)
        length = self.shape[0] if self.shape else 1
        if isinstance(first, slice) and self.shape:
            steps = range(*first.indices(length))
            low, high = (min(steps[0], steps[-1]), max(steps[0], steps[-1]) + 1) if steps else (0, 0)
            within = slice(steps[0] - low, None, steps.step) if steps else slice(None)
            return np.array(self._read(low, high)[(within, *rest)])
        if isinstance(first, int | np.integer) and not isinstance(first, bool) and self.shape:
            step = operator.index(first)
            if not -length <= step < length:
                raise IndexError(f"index {step} is out of bounds for axis 0 with size {length}")
            return self._read(step % length, step % length + 1)[(0, *rest)]
        return self._read(0, length)[key]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("the values are in a file, so that an array of them is always a copy")
        return np.array(self[...] if not self.shape else self[:], dtype=dtype)

    def _of_field(self, name: str) -> "ResultsArray":
        if all(name != known for known, _ in self._dataset["fields"]):
            raise KeyError(name)
        return ResultsArray(self._computed, self._place, self._dataset, name)

    def _read(self, start: int, end: int) -> NDArray[Any]:
        shape = (end - start, *self.shape[1:]) if self.shape else ()
        if self._is_plain:
            return self._part(self._field, self.dtype, start, shape)
        records = np.empty(shape, self.dtype)
        for field in self.dtype.names or ():
            records[field] = self._part(field, self.dtype[field], start, shape)
        return records

    def _meaning(self) -> tuple[str, str, str]:
        """What it is called, what it holds, and the units of that; fields of records say so in their names."""
        if self._field is None:
            return self.name, self.quantity or self.name, self.units
        quantity, _, units = self._field.partition(" [")
        return quantity, quantity, units.removesuffix("]")

    def _part(self, field: str | None, dtype: np.dtype[Any], start: int, shape: tuple[int, ...]) -> NDArray[Any]:
        """Some steps of the first axis."""
        end = start + (shape[0] if shape else 1)
        try:
            values = self._computed.part(self.name, field, start, end)
            if self._dataset not in json.loads(self._computed.datasets()):
                raise ValueError
            return np.frombuffer(values, dtype).reshape(shape)
        except (MissingResultsError, ValueError):
            message = f"{self._place}/{self.name} isn't there any more, or was changed by another program"
            raise ResultsError(message, "Results") from None

    def _told(self) -> str:
        units = f" [{self.units}]" if self.units else ""
        shape = " × ".join(map(str, self.shape))
        return f"{self.name}: {self.quantity}{units}, {shape}, {self.dtype}"

    def __repr__(self) -> str:
        return f"<{self._told()}>"
