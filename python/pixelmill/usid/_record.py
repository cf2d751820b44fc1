"""What is kept of a computation in its results group: which positions are done, from which data, and which failed."""

import json
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from .. import _pixelmill
from . import _computation, _durable, _groups
from ._computation import DOCUMENT, HASH

MESSAGE_BYTES = 200
MESSAGE_LINES = 256
_OTHERS = "another failure (there are more kinds of failures than lines to list them)"
_BATCH = "positions_per_batch"


def runs(positions: np.ndarray[Any, Any]) -> Iterator[tuple[slice, slice]]:
    """Positions, which ascend, as slices: of the positions, and of their places in the array."""
    ends = np.flatnonzero(np.diff(positions) != 1) + 1
    for start, end in zip([0, *ends], [*ends, len(positions)]):
        if end > start:
            yield slice(int(positions[start]), int(positions[end - 1]) + 1), slice(int(start), int(end))


def rows_of(dataset: h5py.Dataset, positions: np.ndarray[Any, Any]) -> Any:
    """Rows of a dataset, as an array of their own."""
    parts = [dataset[own] for own, _ in runs(positions)]
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty((0, *dataset.shape[1:]), dataset.dtype), *parts])


class Record:
    """What is kept of one computation in a results group, of which there may be several.

    What it writes at creation has all its bytes then, so that what comes later goes to fixed places.
    """

    def __init__(self, group: h5py.Group, status_name: str, positions: int, document: str) -> None:
        """Creates what is missing of it; what there is of pyUSID's is left as it is, so that pyUSID goes on with it."""
        self.group = group
        self._names = (status_name, _groups.digests_name(status_name), _groups.failed_name(status_name))
        self._messages = "failure_messages" + self._names[2].removeprefix("failed_positions")
        is_ours = status_name in group and DOCUMENT in group[status_name].attrs
        is_new = status_name not in group and "last_pixel" not in group.attrs
        others = [name for name in group if isinstance(group[name], h5py.Dataset) and DOCUMENT in group[name].attrs]
        self.status = self._status(positions, bool(others))
        _durable.place(self.status)
        if is_new or is_ours or not self.status[()].any():
            self._create(self._names[1], (positions,), np.uint64)
            self._create_failures(positions)
        results = [name for name in _groups.results_in(group, status_name, positions)]
        for name in results:
            _durable.place(group[name])
        self.results = [group[name] for name in results]
        self._describe(document, results)
        if "last_pixel" not in group.attrs:
            group.attrs["last_pixel"] = np.int64(0)

    def _status(self, positions: int, has_others: bool) -> h5py.Dataset:
        found = (
            None
            if has_others and self._names[0] not in self.group
            else _groups.status_of(self.group, self._names[0], positions)
        )
        if self._names[0] in self.group:
            if found is None:
                raise ValueError(
                    f"Status dataset: {self.group[self._names[0]]} was not of the expected shape or datatype"
                )
            return self.group[self._names[0]]
        status = self._create(self._names[0], (positions,), np.uint8)
        if found is not None:
            status[:] = found
        return status

    def _create(self, name: str, shape: tuple[int, ...], dtype: Any) -> h5py.Dataset:
        if name not in self.group:
            self.group.create_dataset(name, shape, dtype)
        return self.group[name]

    def _create_failures(self, positions: int) -> None:
        self._create(self._names[2], (positions,), np.uint8)
        self._create(self._messages, (MESSAGE_LINES,), f"S{MESSAGE_BYTES}")

    def _describe(self, document: str, results: list[str]) -> None:
        told = {
            DOCUMENT: document,
            HASH: _computation.hash_of(document) if document else "",
            _groups.RESULTS: json.dumps(results),
        }
        if others := DOCUMENT not in self.status.attrs and _groups.based_on(self.group, self._names[0]):
            told[_groups.BASED_ON] = json.dumps(others)
        for name, text in told.items():
            if name not in self.status.attrs:
                self.status.attrs[name] = text
        if HASH not in self.group.attrs:
            self.group.attrs[HASH] = told[HASH]
            self.group.attrs["pixelmill_version"] = _pixelmill.__version__

    def batch(self, length: int) -> int:
        """The positions that are computed together wherever a run begins: so many, or as many as once before."""
        if _BATCH not in self.status.attrs:
            self.status.attrs[_BATCH] = np.int64(length)
        return int(self.status.attrs[_BATCH])

    def note(self, positions: np.ndarray[Any, Any], digests: np.ndarray[Any, Any], failed: dict[int, str]) -> None:
        """Writes from which data some positions are computed, and NaN for those that failed, with the reasons."""
        if self._names[1] in self.group:
            dataset = self.group[self._names[1]]
            for own, at in runs(positions):
                dataset[own] = digests[at]
        if failed:
            self._note_failed(failed)

    def _note_failed(self, failed: dict[int, str]) -> None:
        if self._names[2] not in self.group:
            with _durable.changing(self.group.file):
                self._create_failures(len(self.status))
        lines, texts = self.group[self._names[2]], self.group[self._messages]
        known = [text.decode(errors="replace") for text in texts[()]]
        for position, reason in sorted(failed.items()):
            for dataset in self.results:
                nothing = np.zeros(dataset.shape[1:], dataset.dtype)
                fill_with_nan(nothing)
                dataset[position] = nothing
            text = reason.encode()[: MESSAGE_BYTES - 1].decode(errors="ignore")
            if text not in known:
                free = next((line for line in range(1, MESSAGE_LINES - 1) if not known[line]), MESSAGE_LINES - 1)
                known[free] = text if free < MESSAGE_LINES - 1 else _OTHERS
                texts[free] = known[free].encode()
                text = known[free]
            lines[position] = known.index(text)

    def mark(self, positions: np.ndarray[Any, Any]) -> None:
        """Says that some positions are done, whose results are on the disk."""
        for own, _ in runs(positions):
            self.status[own] = 1
        self.status.flush()

    def failed(self) -> int:
        """How many of the positions that are done failed."""
        if self._names[2] not in self.group:
            return 0
        return int(np.count_nonzero((self.group[self._names[2]][()] != 0) & (self.status[()] != 0)))

    def settle(self) -> None:
        """Brings `last_pixel` up to date, the length of what is done from the first position on, in its place."""
        status = self.status[()]
        last = int(np.argmin(status)) if (status == 0).any() else len(status)
        try:
            self.group.attrs.modify("last_pixel", np.int64(last))
        finally:
            _durable.commit(self.group.file)


def fill_with_nan(array: np.ndarray[Any, Any]) -> None:
    """Puts NaN where an array can hold it."""
    for name in array.dtype.names or ():
        fill_with_nan(array[name])
    if array.dtype.kind in "fc":
        array[...] = np.nan
