"""What a computation is given, told exactly, so that it is recognised when it was done before.

It is told by a document, canonical JSON, that lies with the status dataset of each computation, for there may be
several in a results group, as a guess and a fit are:

``parameters``
    The document: the process's name, its class (with the text of all that it uses and isn't in an installed package,
    and the versions of packages), all parameters (with the values of datasets that they refer to), what `compute` was
    called with, and of the source its path, shape, type, quantity and axes. Its values are told apart by a digest of
    each row, in a dataset of their own.
``parameter_hash``
    The document's SHA-256. The results group has that of its first computation under the same name. The engine of
    pixelmill looks there for the hash of what it was given, which is another document with other members (this one
    begins with ``engine``), so that it never takes these results for its own, even where name and parameters are the
    same; and this package takes no group whose status dataset has no document of its own but for what pyUSID wrote.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from .. import _identity

DOCUMENT = "parameters"
HASH = "parameter_hash"

_ANCILLARY = ("Position_Indices", "Position_Values", "Spectroscopic_Indices", "Spectroscopic_Values")
_BLOCK_BYTES = 1 << 24
# What classes keep among their parameters, and isn't one.
_NO_PARAMETERS = ("last_pixel",)


class Unknown(Exception):
    """Something that can't be told exactly."""


def of_parameters(parameters: dict[str, Any] | None, file: h5py.File) -> dict[str, Any]:
    """Parameters as JSON in which different values are different; `None` is one that isn't given, as in a file."""
    told = {str(name): value for name, value in (parameters or {}).items() if value is not None}
    return {name: _of_value(name, value, file) for name, value in told.items() if name not in _NO_PARAMETERS}


def _of_value(name: str, value: Any, file: h5py.File) -> Any:
    if isinstance(value, h5py.RegionReference):
        return ["region", *_of_object(name, value, file), *(_of_region(value, file) if value else [])]
    if isinstance(value, h5py.Reference):
        return ["object", *_of_object(name, value, file)]
    if isinstance(value, bytes | np.bytes_):
        value = value.decode(errors="surrogateescape")
    if isinstance(value, str):
        return ["text", str(value)]
    is_plain = type(value) in (np.ndarray, np.memmap)
    if is_plain or isinstance(value, bool | int | float | complex | list | tuple | np.generic):
        try:
            array = np.asarray(value)
            if not isinstance(value, list | tuple) or _is_kept(value, array.tolist()):
                return _of_array(array)
        except ValueError:
            pass
    try:
        return _identity.of_value(value, f"`{name}`")
    except _identity.Unhashable as unhashable:
        raise Unknown(str(unhashable)) from None


def _is_kept(given: Any, kept: Any) -> bool:
    """Whether an array has the very values of a list, and hasn't made others of them to have one type."""
    if isinstance(kept, list):
        is_several = isinstance(given, list | tuple) or type(given) is np.ndarray
        return is_several and len(given) == len(kept) and all(map(_is_kept, given, kept))
    return bool(given == kept or (given != given and kept != kept))


def _of_object(name: str, value: Any, file: h5py.File) -> list[Any]:
    """What a reference refers to, with its values, which may change later."""
    if not value:
        return [None]
    found = file[value]
    if not isinstance(found, h5py.Dataset):
        raise Unknown(f"`{name}` refers to {found.name}, which is no dataset, so that nobody knows what is used of it")
    if found.dtype.hasobject:
        return [found.name, _of_value(name, found[()], file)]
    return [found.name, _element(found.dtype), list(found.shape or ()), digest_of(found)]


def _of_region(value: Any, file: h5py.File) -> list[Any]:
    region = h5py.h5r.get_region(value, file.id)
    if region.get_select_type() == h5py.h5s.SEL_HYPERSLABS:
        return ["blocks", region.get_select_hyper_blocklist().tolist()]
    if region.get_select_type() == h5py.h5s.SEL_POINTS:
        return ["points", region.get_select_elem_pointlist().tolist()]
    return [int(region.get_select_type())]


def digest_of(dataset: h5py.Dataset) -> str:
    """The digest of a dataset's values, none of which lies elsewhere in the file."""
    digest = hashlib.sha256()
    for rows in _blocks(dataset):
        digest.update(np.ascontiguousarray(rows).tobytes())
    return digest.hexdigest()


def _blocks(dataset: h5py.Dataset) -> Iterator[Any]:
    """The values of a dataset, some rows at a time."""
    if not dataset.shape:
        yield np.asarray([] if dataset.shape is None else dataset[()])
        return
    length = max(1, _BLOCK_BYTES // max(1, dataset.dtype.itemsize * int(np.prod(dataset.shape[1:]))))
    for start in range(0, dataset.shape[0], length):
        yield dataset[start : start + length]


def _element(dtype: np.dtype[Any]) -> str:
    return repr(dtype) if dtype.names else dtype.str


def _of_array(array: np.ndarray[Any, Any]) -> Any:
    """What an attribute keeps of a number, a text or a list of these."""
    if array.dtype.kind in "US":
        return [
            "texts",
            list(array.shape),
            np.char.decode(array).tolist() if array.dtype.kind == "S" else array.tolist(),
        ]
    if array.dtype.kind == "O":
        if all(isinstance(one, str | bytes) for one in array.flat):
            texts = [one.decode() if isinstance(one, bytes) else one for one in array.flat]
            return ["texts", list(array.shape), np.reshape(np.array(texts, object), array.shape).tolist()]
        raise ValueError
    if array.dtype.hasobject:
        raise ValueError
    if array.ndim == 0:
        value = array.item()
        exact = value.hex() if isinstance(value, float) else str(value)
        return [_element(array.dtype), exact]
    digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    return [_element(array.dtype), list(array.shape), digest]


def of_class(process: Any) -> dict[str, Any]:
    """What a class is: its name, and its text with that of all that it uses, but for packages, with their versions.

    Functions that an object has in place of its class's are a part of it.
    """
    of = type(process)
    functions = {name: getattr(process, name) for name in ("_map_function", "_unit_computation")}
    functions = {name: getattr(function, "__func__", function) for name, function in functions.items()}
    try:
        told, packages = _identity.of_class(of, functions)
    except _identity.Unhashable as unhashable:
        raise Unknown(str(unhashable)) from None
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    return {"name": f"{of.__module__}.{of.__qualname__}", "text": digest, "packages": packages}


def of_source(dataset: h5py.Dataset) -> dict[str, Any]:
    """What a main dataset is, but for its values."""
    axes = {}
    for name in _ANCILLARY:
        reference = dataset.attrs.get(name)
        if isinstance(reference, h5py.Reference) and reference:
            axis = dataset.file[reference]
            labels = [_attribute(axis, "labels"), _attribute(axis, "units")]
            axes[name] = [*labels, _of_array(np.atleast_1d(axis[()]))]
    return {
        "path": dataset.name,
        "shape": list(dataset.shape),
        "element": dataset.dtype.descr if dataset.dtype.names else dataset.dtype.str,
        "quantity": _attribute(dataset, "quantity"),
        "units": _attribute(dataset, "units"),
        "axes": axes,
    }


def _attribute(of: h5py.Dataset, name: str) -> Any:
    value = of.attrs.get(name)
    return None if value is None else _of_value(name, value, of.file)


def document(given: dict[str, Any]) -> str:
    """All that a computation is given, as one text."""
    return json.dumps({"engine": "pixelmill.usid 1"} | given, sort_keys=True, separators=(",", ":"))


def hash_of(document: str) -> str:
    """A document's hash."""
    return hashlib.sha256(document.encode()).hexdigest()


def digests(rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A number for each row, which tells whether it is the same later; never 0."""
    lines = np.ascontiguousarray(rows).reshape(len(rows), -1)
    told = b"".join(hashlib.blake2b(line.tobytes(), digest_size=8).digest() for line in lines)
    numbers = np.frombuffer(told, "<u8").copy()
    numbers[numbers == 0] = 1
    return numbers
