"""Results groups: which are there of a dataset, and which hold what is asked for."""

import json
import os
import re
from typing import Any

import h5py
import numpy as np

from . import _computation
from ._computation import DOCUMENT

DEFAULT_STATUS = "completed_positions"
RESULTS = "results"
BASED_ON = "based_on"

# What pyUSID writes of a results group besides its parameters, and what is kept of progress.
_BOOKKEEPING = {
    "machine_id", "timestamp", "platform", "pyUSID_version", "sidpy_version", "tool", "num_source_dsets",
    "source_file_path", "source_dataset_path", "last_pixel",
}  # fmt: skip
_BLOCK_BYTES = 1 << 24


def groups_of(source: h5py.Dataset, tool: str, parent: h5py.Group) -> list[h5py.Group]:
    """The results groups of a process for this very dataset, the newest last."""
    stem = f"{source.name.split('/')[-1]}-{tool}_"
    named = {}
    for name in parent:
        number = name[len(stem) :] if name.startswith(stem) else ""
        if re.fullmatch("[0-9]{3,}", number) and isinstance(group := parent[name], h5py.Group):
            named[int(number)] = group
    return [group for _, group in sorted(named.items()) if _is_of(group, tool) and _is_from(group, source)]


def _is_of(group: h5py.Group, tool: str) -> bool:
    told = group.attrs.get("tool", tool)
    return (told.decode() if isinstance(told, bytes) else told) == tool


def _is_from(group: h5py.Group, source: h5py.Dataset) -> bool:
    """Whether a group says that it has results of this dataset, or lies beside it and says nothing else."""
    if group.file != source.file:
        told = [group.attrs.get(name) for name in ("source_file_path", "source_dataset_path")]
        if any(one is None for one in told):
            return False
        path, name = (one.decode() if isinstance(one, bytes) else str(one) for one in told)
        return bool(os.path.realpath(path) == os.path.realpath(source.file.filename) and name == source.name)
    reference = group.attrs.get("source_000")
    if isinstance(reference, h5py.Reference) and reference:
        return bool(group.file[reference] == source)
    return bool(group.parent == source.parent)


def status_of(group: h5py.Group, name: str, positions: int) -> np.ndarray[Any, Any] | None:
    """Which positions are done; `None` if a group doesn't say it, or what it says can't be."""
    if name in group:
        status = group[name]
        if not isinstance(status, h5py.Dataset) or status.shape != (positions,) or status.dtype != np.uint8:
            print(f"{group.name}: its `{name}` isn't a byte for each position; it is left aside")
            return None
        return np.asarray(status[()])
    last = group.attrs.get("last_pixel")
    if last is None:
        return None
    return (np.arange(positions) < int(last)).astype(np.uint8)


def document_in(group: h5py.Group, status_name: str) -> str | None:
    """What the computation with this status dataset was given, if we recorded it."""
    told = group[status_name].attrs.get(DOCUMENT) if status_name in group else None
    return told.decode() if isinstance(told, bytes) else told


def differs(group: h5py.Group, status_name: str, wanted: str, any_parameters: bool) -> str | None:
    """Why a group isn't of the wanted computation, in words."""
    found, parts = document_in(group, status_name), json.loads(wanted)
    if found is None:
        if any_parameters:
            return None
        return "nobody knows its arguments" if parts["arguments"] else _foreign_differs(group, parts["parameters"])
    if not found:
        return "its parameters couldn't be told exactly"
    told = json.loads(found)
    compared = ("source",) if any_parameters else ("process", "parameters", "arguments", "source", "class")
    other = next((name for name in compared if told.get(name) != parts[name]), None)
    if other is None and not any_parameters and found != wanted:
        other = "computation"
    return None if other is None else f"another {other}"


def _foreign_differs(group: h5py.Group, wanted: dict[str, Any]) -> str | None:
    """Why a group of pyUSID's has other parameters; it has to have all of them, and no others."""
    names = {name for name in group.attrs if name not in _BOOKKEEPING and not re.fullmatch("source_[0-9]{3}", name)}
    if _computation.HASH in names:
        return "another program's computation"
    for name in sorted(names ^ set(wanted)):
        return f"the parameter `{name}` is only in {'the group' if name in names else 'what is asked for'}"
    try:
        found = _computation.of_parameters({name: group.attrs[name] for name in names}, group.file)
    except _computation.Unknown as unknown:
        return str(unknown)
    return next((f"another `{name}`" for name in sorted(names) if found[name] != wanted[name]), None)


def is_incomplete(group: h5py.Group, status_name: str) -> str | None:
    """Why results can't be used, in words: they are gone, or those of an earlier computation here have changed."""
    if document_in(group, status_name) is None:
        return None
    told = group[status_name].attrs
    gone = next((name for name in json.loads(told.get(RESULTS, "[]")) if name not in group), None)
    if gone is not None:
        return f"its results `{gone}` aren't there any more"
    earlier = json.loads(told.get(BASED_ON, "{}"))
    found = based_on(group, status_name)
    changed = next((name for name in earlier if found.get(name) != earlier[name]), None)
    return None if changed is None else f"`{changed}`, which it may be based on, has changed since"


def based_on(group: h5py.Group, status_name: str) -> dict[str, str]:
    """The digests of the results of other computations in a group, as a fit is based on a guess."""
    return {name: _computation.digest_of(group[name]) for name in sorted(_results_of_others(group, status_name))}


def _results_of_others(group: h5py.Group, status_name: str) -> set[str]:
    others: set[str] = set()
    for name in group:
        if name != status_name and isinstance(group[name], h5py.Dataset) and RESULTS in group[name].attrs:
            others |= {other for other in json.loads(group[name].attrs[RESULTS]) if other in group}
    return others


def changed_rows(group: h5py.Group, status_name: str, source: h5py.Dataset, status: np.ndarray[Any, Any]) -> int | None:
    """The first done position whose data aren't those that it was computed from; `None` if there is none."""
    recorded = group.get(digests_name(status_name))
    if not isinstance(recorded, h5py.Dataset) or recorded.shape != status.shape:
        return None
    known = recorded[()]
    length = max(1, _BLOCK_BYTES // max(1, source.dtype.itemsize * source.shape[1]))
    for start in range(0, len(status), length):
        own = slice(start, start + length)
        looked_at = (status[own] != 0) & (known[own] != 0)
        if not looked_at.any():
            continue
        other = np.flatnonzero(looked_at & (_computation.digests(source[own]) != known[own]))
        if len(other):
            return start + int(other[0])
    return None


def digests_name(status_name: str) -> str:
    """The dataset that tells from which data each position was computed."""
    return f"digests_of_{status_name}"


def failed_name(status_name: str) -> str:
    """The dataset that tells which positions failed, and why."""
    return status_name.replace("completed", "failed") if "completed" in status_name else f"failed_{status_name}"


def results_in(group: h5py.Group, status_name: str, positions: int) -> list[str]:
    """The datasets with a row of results for each position, but for those of another computation in the same group."""
    others = _results_of_others(group, status_name)
    names = []
    for name in group:
        dataset = group[name]
        if name in others or not isinstance(dataset, h5py.Dataset) or dataset.shape[:1] != (positions,):
            continue
        is_own = name.startswith(("completed", "failed", "digests_of_")) or name == status_name
        if len(dataset.shape) > 1 and not is_own and not name.endswith(("Indices", "Values")):
            names.append(name)
    return names
