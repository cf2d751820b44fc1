"""What a function's results depend on: its text, what it uses, and the versions of the packages that it calls.

It stands by itself, so that worker processes find out whether they have the function that was meant.
"""

import ast
import builtins
import dataclasses
import dis
import functools
import hashlib
import importlib.metadata
import importlib.util
import inspect
import json
import site
import sys
import sysconfig
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np


class Unhashable(Exception):
    """What can't be told of a function."""


_PACKAGE_FOLDERS = tuple(
    {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), site.getusersitepackages(), *site.getsitepackages()}
)
_FUNCTION_NODES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def of_text(function: Callable[..., Any]) -> tuple[Any, dict[str, str]]:
    """What a function is by the texts of all functions that it is made of, and the packages that it calls."""
    walk = _Walk(_text)
    return walk.value(function, "the function"), walk.packages


def of_code(function: Callable[..., Any]) -> str:
    """The same by their compiled code, which tells whether another process has the very same function."""
    told = _Walk(_code_digest).value(function, "the function")
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def of_value(value: Any, what: str) -> Any:
    """A value as JSON in which different values are different."""
    return _Walk(_text).value(value, what)


class _Walk:
    """A walk through all that a function uses."""

    def __init__(self, leaf: Callable[[types.FunctionType], str]) -> None:
        self._leaf = leaf
        self._seen: dict[int, int] = {}
        self.packages: dict[str, str] = {"numpy": np.__version__}

    def value(self, value: Any, what: str) -> Any:
        plain = _plain(value)
        if plain is not None:
            return plain
        if isinstance(value, list | tuple) and type(value) in (list, tuple):
            return [type(value).__name__, *(self.value(one, what) for one in value)]
        if type(value) in (set, frozenset):
            return ["set", *sorted(json.dumps(self.value(one, what)) for one in value)]
        if type(value) is dict:
            pairs = [[self.value(key, what), self.value(one, what)] for key, one in value.items()]
            return ["dict", *pairs]
        if isinstance(value, functools.partial):
            parts = (value.func, value.args, dict(value.keywords))
            return ["partial", *(self.value(part, what) for part in parts)]
        return self._defined(value, what)

    def _defined(self, value: Any, what: str) -> Any:
        """What has a definition somewhere: a function, a class, something of a package."""
        place = _place(value)
        if place is not None and self._package(place[0], what):
            return ["of", *place]
        if isinstance(getattr(value, "py_func", None), types.FunctionType):
            self._package(type(value).__module__, what)
            options = self.value(dict(getattr(value, "targetoptions", {})), what)
            return ["compiled", options, self._function(value.py_func, what)]
        if isinstance(value, type):
            return self._class(value, what)
        if isinstance(value, types.FunctionType):
            return self._function(value, what)
        raise Unhashable(f"{what} is {_a(type(value).__name__)}, whose value can't be told")

    def _function(self, function: types.FunctionType, what: str) -> Any:
        if id(function) in self._seen:
            return ["again", self._seen[id(function)]]
        self._seen[id(function)] = len(self._seen)
        code, name = function.__code__, function.__name__
        if code.co_flags & (inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
            raise Unhashable(f"`{name}` is a generator or a coroutine, which gives no result by itself")
        cells = zip(code.co_freevars, function.__closure__ or ())
        return {
            "name": name,
            "code": self._leaf(function),
            "defaults": self.value(function.__defaults__, f"a default of `{name}`"),
            "keyword_defaults": self.value(function.__kwdefaults__, f"a default of `{name}`"),
            "closure": {cell: self._cell(content, f"`{cell}`, which `{name}` uses,") for cell, content in cells},
            "uses": dict(sorted(self._uses(code, function.__globals__, name))),
        }

    def _cell(self, cell: Any, what: str) -> Any:
        try:
            return self.value(cell.cell_contents, what)
        except ValueError:
            return ["empty"]

    def _uses(self, code: types.CodeType, names: dict[str, Any], name: str) -> Iterator[tuple[str, Any]]:
        for chain in _global_chains(code, name):
            if chain[0] not in names:
                if not hasattr(builtins, chain[0]):
                    yield chain[0], ["missing"]
                continue
            yield from self._used(chain, names[chain[0]], name)
        for module in _imports(code):
            if not self._package(module, f"`{module}`, which `{name}` imports,"):
                raise Unhashable(f"`{name}` imports `{module}` when it is called; import it above the function")

    def _used(self, chain: tuple[str, ...], value: Any, name: str) -> Iterator[tuple[str, Any]]:
        for length in range(1, len(chain) + 1):
            path = ".".join(chain[:length])
            what = f"`{path}`, which `{name}` uses,"
            if not isinstance(value, types.ModuleType):
                yield path, self.value(value, what)
                return
            if self._package(value.__name__, what):
                return
            if length == len(chain):
                raise Unhashable(f"{what} is a whole module; name what is used of it")
            value = getattr(value, chain[length], None)

    def _class(self, of: type, what: str) -> Any:
        if id(of) in self._seen:
            return ["again", self._seen[id(of)]]
        self._seen[id(of)] = len(self._seen)
        if issubclass(of, tuple) and hasattr(of, "_fields"):
            return ["namedtuple", of.__name__, list(of._fields)]
        bases = [self.value(base, what) for base in of.__bases__ if base is not object]
        fields = dataclasses.fields(of) if dataclasses.is_dataclass(of) else ()
        # What a decorator has made has no text of its own; the fields say it.
        made = {name for name, one in vars(of).items() if _is_made(one)} | {field.name for field in fields}
        own = {name: one for name, one in vars(of).items() if name not in made and not _is_usual(name, one)}
        if not all(isinstance(one, types.FunctionType) for one in own.values()):
            raise Unhashable(f"{what} is a class with more than methods and fields")
        told = {name: self._function(one, what) for name, one in sorted(own.items())}
        return ["class", of.__name__, bases, told, [self._field(field, what) for field in fields]]

    def _field(self, field: "dataclasses.Field[Any]", what: str) -> Any:
        given = {"default": field.default, "factory": field.default_factory}
        set_ = {name: self.value(one, what) for name, one in given.items() if one is not dataclasses.MISSING}
        return [field.name, str(field.init), set_]

    def _package(self, module: str, what: str) -> bool:
        """Whether a module is of Python itself or of a package, whose version is noted then."""
        top = module.split(".")[0]
        if top in ("builtins", "pixelmill") or top in sys.stdlib_module_names or top in self.packages:
            return True
        if top == "__main__" or not _is_installed(top):
            return False
        self.packages[top] = _version(top, what)
        return True


def _plain(value: Any) -> Any:
    """A value that is told by itself; `None` if it isn't."""
    if value is None or type(value) is bool:
        return ["is", str(value)]
    if type(value) is int:
        return ["int", str(value)]
    if type(value) is float:
        return ["float", value.hex()]
    if type(value) is complex:
        return ["complex", value.real.hex(), value.imag.hex()]
    if type(value) is str:
        return ["str", value]
    if type(value) in (bytes, bytearray):
        return ["bytes", hashlib.sha256(value).hexdigest()]
    if value is Ellipsis:
        return ["is", "..."]
    if isinstance(value, np.dtype) and not value.hasobject:
        return ["dtype", str(value.descr)]
    if isinstance(value, np.ndarray | np.generic) and not value.dtype.hasobject and type(value).__module__ == "numpy":
        array = np.ascontiguousarray(value)
        return ["array", str(array.dtype.descr), list(np.shape(value)), hashlib.sha256(array.tobytes()).hexdigest()]
    return None


def _is_made(value: Any) -> bool:
    """Whether a method was made by what Python has for that."""
    if not isinstance(value, types.FunctionType):
        return False
    return value.__code__.co_filename == "<string>" or value.__globals__.get("__name__") in ("reprlib", "dataclasses")


def _is_usual(name: str, value: Any) -> bool:
    """Whether every class has such a thing."""
    is_method = isinstance(value, types.FunctionType)
    return not is_method and (name.startswith("__") or isinstance(value, types.MemberDescriptorType))


def _place(value: Any) -> tuple[str, str] | None:
    """The module and the name by which a value is found there."""
    name = str(getattr(value, "__qualname__", None) or getattr(value, "__name__", None))
    for module in _modules_of(value):
        found: Any = sys.modules.get(module)
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is value:
            return module, name
    return None


def _modules_of(value: Any) -> tuple[str, ...]:
    if isinstance(value, np.ufunc):
        return ("numpy", "scipy.special")
    # What a decorator says of a function's module needn't be so.
    is_function = isinstance(value, types.FunctionType)
    return (str(value.__globals__.get("__name__") if is_function else getattr(value, "__module__", None)),)


def _a(name: str) -> str:
    return f"an {name}" if name[:1].lower() in "aeiou" else f"a {name}"


def _global_chains(code: types.CodeType, name: str) -> Iterator[tuple[str, ...]]:
    """The global names that code uses, each with the attributes that are taken of it at once."""
    steps = [step for step in dis.get_instructions(code) if step.opname not in ("EXTENDED_ARG", "PUSH_NULL")]
    for at, step in enumerate(steps):
        if step.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
            raise Unhashable(
                f"`{name}` changes the global `{step.argval}`, so that results depend on the order of calls"
            )
        if step.opname not in ("LOAD_GLOBAL", "LOAD_NAME"):
            continue
        chain = [step.argval]
        for after in steps[at + 1 :]:
            if after.opname not in ("LOAD_ATTR", "LOAD_METHOD"):
                break
            chain.append(after.argval)
        yield tuple(chain)
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _global_chains(inner, name)


def _imports(code: types.CodeType) -> Iterator[str]:
    yield from (step.argval for step in dis.get_instructions(code) if step.opname == "IMPORT_NAME")
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _imports(inner)


def _is_installed(top: str) -> bool:
    module = sys.modules.get(top)
    if module is None:
        try:
            spec = importlib.util.find_spec(top)
        except (ImportError, ValueError):
            return False
        places = [spec.origin, *(spec.submodule_search_locations or ())] if spec else []
    else:
        places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
    return any(str(place).startswith(_PACKAGE_FOLDERS) for place in places if place)


def _version(top: str, what: str) -> str:
    version = getattr(sys.modules.get(top), "__version__", None)
    if isinstance(version, str):
        return version
    try:
        return importlib.metadata.version(top)
    except importlib.metadata.PackageNotFoundError:
        raise Unhashable(f"{what} is of the package `{top}`, which doesn't tell its version") from None


def _text(function: types.FunctionType) -> str:
    """The text of a function without comments and blank lines, if it is that of the code that is loaded."""
    code, name = function.__code__, function.__name__
    try:
        lines, _ = inspect.findsource(code)
        tree = ast.parse("".join(lines))
        compiled = compile(tree, code.co_filename, "exec", dont_inherit=True)
    except (OSError, SyntaxError, TypeError):
        raise Unhashable(f"the text of `{name}` can't be found") from None
    nodes = [node for node in ast.walk(tree) if isinstance(node, _FUNCTION_NODES) and _is_at(node, code)]
    if len(nodes) != 1:
        told = f"several functions are defined in the line of `{name}`" if nodes else f"the text of `{name}` is gone"
        raise Unhashable(told)
    if not any(_is_same(code, other) for other in _all_code(compiled)):
        raise Unhashable(f"`{name}` isn't what its file has by now; load it again")
    return ast.unparse(nodes[0])


def _is_at(node: ast.AST, code: types.CodeType) -> bool:
    decorators = getattr(node, "decorator_list", [])
    first = min([getattr(node, "lineno", 0), *(one.lineno for one in decorators)])
    return first == code.co_firstlineno and getattr(node, "name", "<lambda>") == code.co_name


def _all_code(code: types.CodeType) -> Iterator[types.CodeType]:
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield inner
            yield from _all_code(inner)


def _is_same(one: types.CodeType, other: types.CodeType) -> bool:
    return one.co_firstlineno == other.co_firstlineno and _parts(one) == _parts(other)


def _parts(code: types.CodeType) -> list[str]:
    """What code does, as texts that are the same in every process of the same Python."""
    consts: list[str] = []
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            consts += ["(", *_parts(const), ")"]
        elif isinstance(const, frozenset):
            consts.append(str(sorted(map(repr, const))))
        else:
            consts.append(f"{type(const).__name__} {const!r}")
    names = (code.co_name, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    return [code.co_code.hex(), *map(str, names), *map(str, counts), *consts]


def _code_digest(function: types.FunctionType) -> str:
    return hashlib.sha256("\n".join(_parts(function.__code__)).encode()).hexdigest()
