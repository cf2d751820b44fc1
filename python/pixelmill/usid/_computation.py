"""What a computation is given, told exactly, so that it is recognised when it was done before.

It is told by a document, canonical JSON, that lies with the status dataset of each computation, for there may be
several in a results group, as a guess and a fit are:

``parameters``
    The document: the process's name, its class (with the text of what isn't in an installed package, the versions of
    packages, and what its map function is), all parameters, what `compute` was called with, and of the source its path,
    shape, type, quantity and axes. Its values are told apart by a digest of each row, in a dataset of their own.
``parameter_hash``
    The document's SHA-256. The results group has that of its first computation under the same name. The engine of
    pixelmill looks there for the hash of what it was given, which is another document with other members (this one
    begins with ``engine``), so that it never takes these results for its own, even where name and parameters are the
    same; and this package takes no group whose status dataset has no document of its own but for what pyUSID wrote.
"""

import ast
import hashlib
import inspect
import json
import textwrap
from typing import Any

import h5py
import numpy as np

from .. import _identity

DOCUMENT = "parameters"
HASH = "parameter_hash"

_ANCILLARY = ("Position_Indices", "Position_Values", "Spectroscopic_Indices", "Spectroscopic_Values")
# What classes keep among their parameters, and isn't one.
_NO_PARAMETERS = ("last_pixel",)


class Unknown(Exception):
    """Something that can't be told exactly."""


def of_parameters(parameters: dict[str, Any] | None, file: h5py.File) -> dict[str, Any]:
    """Parameters as JSON in which different values are different; `None` is one that isn't given, as in a file."""
    told = {str(name): value for name, value in (parameters or {}).items() if value is not None}
    return {name: _of_value(name, value, file) for name, value in told.items() if name not in _NO_PARAMETERS}


def _of_value(name: str, value: Any, file: h5py.File) -> Any:
    if isinstance(value, h5py.Reference):
        return ["object", file[value].name if value else None]
    if isinstance(value, h5py.RegionReference):
        return [
            "region",
            file[value].name if value else None,
            str(h5py.h5r.get_region(value, file.id).get_select_bounds()),
        ]
    if isinstance(value, bytes | np.bytes_):
        value = value.decode(errors="surrogateescape")
    if isinstance(value, str):
        return ["text", str(value)]
    if isinstance(value, bool | int | float | complex | list | tuple | np.ndarray | np.generic):
        try:
            return _of_array(np.asarray(value))
        except ValueError:
            pass
    try:
        return _identity.of_value(value, f"`{name}`")
    except _identity.Unhashable as unhashable:
        raise Unknown(str(unhashable)) from None


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
            return ["texts", list(array.shape), np.reshape(texts, array.shape).tolist()]
        raise ValueError
    if array.ndim == 0:
        value = array.item()
        exact = value.hex() if isinstance(value, float) else str(value)
        return [array.dtype.str, exact]
    return [array.dtype.str, list(array.shape), hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()]


def of_class(of: type, map_function: Any) -> dict[str, Any]:
    """What a class is: its name, the texts of its parts that are no package's, versions, and its map function."""
    walk: dict[str, Any] = {"name": f"{of.__module__}.{of.__qualname__}"}
    texts, packages = {}, {}
    for base in of.__mro__[:-1]:
        top = base.__module__.split(".")[0]
        if top in ("pixelmill", "pyUSID"):
            break
        if top != "__main__" and _identity._is_installed(top):
            packages[top] = _identity._version(top, f"`{top}`")
        else:
            texts[base.__qualname__] = _text_of(base)
    try:
        text, of_map = _identity.of_text(map_function)
        walk["map"] = hashlib.sha256(json.dumps(text, sort_keys=True).encode()).hexdigest()
        packages |= of_map
    except (_identity.Unhashable, AttributeError, TypeError):
        walk["map"] = None
    return walk | {"texts": texts, "packages": packages}


def _text_of(of: type) -> str | None:
    """The digest of a class's text without comments; `None` where it has none."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(of)))
    except (OSError, TypeError, SyntaxError):
        return None
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()


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
