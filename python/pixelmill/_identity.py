"""What a function's results depend on: its text, what it uses, and the versions of the packages that it calls.

It stands by itself, so that worker processes find out whether they have the function that was meant.
"""

import __future__

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
import os
import random
import site
import struct
import sys
import sysconfig
import time
import types
import warnings
import weakref
from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import Any

import numpy as np


class Unhashable(Exception):
    """What can't be told of a function."""


_PACKAGE_FOLDERS = tuple(
    {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), site.getusersitepackages(), *site.getsitepackages()}
)
_PYTHONS_FOLDERS = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), os.path.dirname(os.__file__)})
_OWN_FOLDER = os.path.join(os.path.dirname(__file__), "")
_FUTURES = functools.reduce(
    int.__or__, (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
)
# What reaches everything by names that are known only when it is called.
_REACHES_ALL = (eval, exec, globals, __import__, importlib.import_module, importlib.reload, sys.modules, sys._getframe)
# What depends on more than its arguments.
_SEES_MORE = (
    *(open, input, os.environ, os.getenv, os.getcwd, time.time, time.time_ns),
    *(np.load, np.loadtxt, np.genfromtxt, np.fromfile, np.memmap),
)
# What every class may have, and what doesn't change what it does.
_USUAL = frozenset(
    """
    __module__ __qualname__ __doc__ __dict__ __weakref__ __annotations__ __annotate_func__ __annotations_cache__
    __static_attributes__ __firstlineno__ __slotnames__ __abstractmethods__ _abc_impl __dataclass_fields__
    __dataclass_params__ __orig_bases__ __parameters__ __type_params__
    """.split()
)
# What Python writes for a class whose fields are declared.
_MADE_OF_FIELDS = frozenset(
    """
    __new__ __init__ __repr__ __eq__ __lt__ __le__ __gt__ __ge__ __hash__ __setattr__ __delattr__ __replace__
    __getstate__ __setstate__ __getnewargs__ _make _replace _asdict
    """.split()
)
_SHARED_GENERATORS = (np.random.RandomState, random.Random)
_FUNCTION_NODES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


_THE_FUNCTION = "the function"
_Leaf = tuple[str, list[tuple[str, ...]]]
"""What a function is by itself, and what it takes of modules that it imports."""


def of_text(function: Callable[..., Any]) -> tuple[Any, dict[str, str]]:
    """What a function is by the texts of all functions that it is made of, and the packages that it calls."""
    return _of(_Walk(_text), function, _THE_FUNCTION)


def of_class(of: type, functions: dict[str, Callable[..., Any]]) -> tuple[Any, dict[str, str]]:
    """The same of a class with functions of its own for some, whose draws at random depend on their data only."""
    return _of(_Walk(_text, is_seeded=True), [of, functions], "the class")


def _of(walk: "_Walk", value: Any, what: str) -> tuple[Any, dict[str, str]]:
    told = walk.whole(value, what)
    # Those that are called by others before these.
    for compiled, own in walk.compiled:
        _compile_anew(compiled, json.dumps(own, sort_keys=True))
    for more in walk.seen_more:
        warn(f"{more} may be another thing at each call, and results are reused all the same")
    return told, walk.packages


def warn(told: str) -> None:
    """Warns, in the line of who calls the package."""
    depth, frame = 1, inspect.currentframe()
    while frame is not None and frame.f_code.co_filename.startswith(_OWN_FOLDER):
        depth, frame = depth + 1, frame.f_back
    warnings.warn(told, stacklevel=depth)


def of_code(function: Callable[..., Any]) -> str:
    """The same by their compiled code, which tells whether another process has the very same function."""
    told = _Walk(_code_digest).whole(function, _THE_FUNCTION)
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def of_value(value: Any, what: str) -> Any:
    """A value as JSON in which different values are different."""
    return _Walk(_text).whole(value, what)


class _Walk:
    """A walk through all that a function uses."""

    def __init__(self, leaf: Callable[[types.FunctionType], _Leaf], is_seeded: bool = False) -> None:
        self._leaf = leaf
        self._is_seeded = is_seeded
        self._seen: dict[int, tuple[int, Any]] = {}
        self.packages: dict[str, str] = {"numpy": np.__version__}
        self.seen_more: dict[str, None] = {}
        self.compiled: list[tuple[Any, Any]] = []

    def whole(self, value: Any, what: str) -> Any:
        """A value that the walk begins with."""
        try:
            return self.value(value, what)
        except RecursionError:
            raise Unhashable(f"{what} has what holds itself, or is too deep") from None

    def value(self, value: Any, what: str) -> Any:
        """A value as JSON."""
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
        if type(value) in (range, slice):
            return [type(value).__name__, *(self.value(one, what) for one in (value.start, value.stop, value.step))]
        if isinstance(value, functools.partial):
            parts = (value.func, value.args, dict(value.keywords))
            return ["partial", *(self.value(part, what) for part in parts)]
        return self._defined(value, what)

    def _defined(self, value: Any, what: str) -> Any:
        """What has a definition somewhere: a function, a class, something of a package."""
        self._look_at(value, what)
        place = _place(value)
        if place is not None and self._package(place[0], what):
            return ["of", *place]
        if isinstance(value, types.ModuleType) and self._package(value.__name__, what):
            return ["module", value.__name__]
        if _is_compiled(value):
            self._package("numba", what)
            told = ["compiled", self.value(_compiler_options(value), what), self._function(value.py_func, what)]
            self.compiled.append((value, told))
            return told
        if isinstance(value, type):
            return self._class(value, what)
        if isinstance(value, types.FunctionType):
            return self._function(value, what)
        raise Unhashable(f"{what} is {_a(type(value).__name__)}, whose value can't be told")

    def _function(self, function: types.FunctionType, what: str) -> Any:
        if id(function) in self._seen:
            return ["again", self._seen[id(function)][0]]
        self._see(function)
        code, name = function.__code__, function.__name__
        gives_none = code.co_flags & (inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR)
        if gives_none and what == _THE_FUNCTION:
            raise Unhashable(f"`{name}` is a generator or a coroutine, which gives no result by itself")
        cells = zip(code.co_freevars, function.__closure__ or ())
        told, taken = self._leaf(function)
        for path in taken:
            self._look_into(path, name)
        return {
            "name": name,
            "code": told,
            "defaults": self.value(function.__defaults__, f"a default of `{name}`"),
            "keyword_defaults": self.value(function.__kwdefaults__, f"a default of `{name}`"),
            "closure": {cell: self._cell(content, f"`{cell}`, which `{name}` uses,") for cell, content in cells},
            "uses": self._uses(code, function.__globals__, name),
            # How it is computed is no part of what it computes; the options that are have been told.
            "attributes": self.value(
                {key: one for key, one in vars(function).items() if key != "__pixelmill__"},
                f"an attribute of `{name}`",
            ),
        }

    def _see(self, value: Any) -> None:
        # It is kept, so that nothing else gets its place in memory meanwhile.
        self._seen[id(value)] = (len(self._seen), value)

    def _cell(self, cell: Any, what: str) -> Any:
        try:
            return self.value(cell.cell_contents, what)
        except ValueError:
            return ["empty"]

    def _uses(self, code: types.CodeType, names: dict[str, Any], name: str) -> dict[str, Any]:
        uses: dict[str, Any] = {}
        for chain in _global_chains(code, name):
            if chain[0] in names:
                self._used(chain, names[chain[0]], name, uses)
            elif hasattr(builtins, chain[0]):
                self._look_at(getattr(builtins, chain[0]), f"`{chain[0]}`, which `{name}` uses,")
            else:
                uses[chain[0]] = ["missing"]
        for module in _imports(code, name):
            if not self._package(module, f"`{module}`, which `{name}` imports,"):
                raise Unhashable(f"`{name}` imports `{module}` when it is called; import it above the function")
        return uses

    def _used(self, chain: tuple[str, ...], value: Any, name: str, uses: dict[str, Any]) -> None:
        for length in range(1, len(chain) + 1):
            path = ".".join(chain[:length])
            what = f"`{path}`, which `{name}` uses,"
            if not isinstance(value, types.ModuleType):
                if path not in uses:
                    uses[path] = self.value(value, what)
                return
            if self._package(value.__name__, what):
                self._look_into((*value.__name__.split("."), *chain[length:]), name)
                return
            if length == len(chain):
                raise Unhashable(f"{what} is a whole module; name what is used of it")
            value = getattr(value, chain[length], None)

    def _class(self, of: type, what: str) -> Any:
        if id(of) in self._seen:
            return ["again", self._seen[id(of)][0]]
        self._see(of)
        fields = dataclasses.fields(of) if "__dataclass_fields__" in vars(of) else ()
        of_fields = {field.name for field in fields}
        made = {name for name, one in vars(of).items() if name in of_fields or self._is_made(of, name, one)}
        own = {name: one for name, one in vars(of).items() if name not in made and name not in _USUAL}
        if self._leaf is _code_digest:
            # A process that was handed a class hasn't got what is the very same in one that it is based on.
            based_on = {name: one for base in reversed(of.__bases__) for name, one in vars(base).items()}
            own = {name: one for name, one in own.items() if name not in based_on or based_on[name] is not one}
        if any(base.__module__.partition(".")[0] == "pixelmill" and "workers" in vars(base) for base in of.__mro__):
            # Where it is computed is no part of what it computes.
            own.pop("workers", None)
        return [
            "class",
            of.__name__,
            self.value(type(of), what),
            [self.value(base, what) for base in of.__bases__ if base is not object],
            {name: self._member(one, f"`{of.__name__}.{name}`") for name, one in sorted(own.items())},
            str(vars(of).get("__dataclass_params__")),
            [self._field(field, f"`{of.__name__}`") for field in fields],
        ]

    def _is_made(self, of: type, name: str, value: Any) -> bool:
        """Whether something of a class was made of its fields, which say it."""
        if name in getattr(of, "_fields", ()):
            return type(value).__name__ == "_tuplegetter"
        function = getattr(value, "__func__", value)
        if name not in _MADE_OF_FIELDS or not isinstance(function, types.FunctionType):
            return False
        if "__dataclass_fields__" not in vars(of) and "_field_defaults" not in vars(of):
            return False
        # Those that a process was handed all have the same file, but their texts have been looked at before.
        is_pythons = function.__globals__.get("__name__") in ("collections", "dataclasses", "reprlib")
        return self._leaf is _code_digest or is_pythons or function.__code__.co_filename == "<string>"

    def _member(self, value: Any, what: str) -> Any:
        if isinstance(value, types.MemberDescriptorType):
            return ["slot"]
        if isinstance(value, staticmethod | classmethod):
            return [type(value).__name__, self.value(value.__func__, what)]
        if type(value) is property:
            return ["property", *(self.value(one, what) for one in (value.fget, value.fset, value.fdel))]
        return self.value(value, what)

    def _field(self, field: "dataclasses.Field[Any]", what: str) -> Any:
        given = {"default": field.default, "factory": field.default_factory}
        # A process that was handed a class has another one of what stands for nothing.
        given = {name: one for name, one in given.items() if not isinstance(one, type(dataclasses.MISSING))}
        flags = (field.init, field.repr, field.hash, field.compare, field.kw_only)
        of = f"`{field.name}` of {what}"
        return [field.name, str(flags), {name: self.value(one, of) for name, one in given.items()}]

    def _look_at(self, value: Any, what: str) -> None:
        """Refuses what makes results depend on more than can be seen here, and notes what may do so."""
        if any(value is one for one in _REACHES_ALL):
            raise Unhashable(f"{what} reaches what only its call tells")
        if isinstance(getattr(value, "__self__", None), _SHARED_GENERATORS) and not self._is_seeded:
            raise Unhashable(
                f"{what} draws from a generator that all calls share, so that results are others each time; make one "
                "in the function, as by numpy.random.default_rng(seed)"
            )
        if any(value is one for one in _SEES_MORE):
            self.seen_more[what] = None

    def _look_into(self, path: tuple[str, ...], name: str) -> None:
        """Looks at what a function takes of a package."""
        value: Any = sys.modules.get(path[0])
        for at, attribute in enumerate(path[1:], 1):
            if not isinstance(value, types.ModuleType):
                break
            value = getattr(value, attribute, sys.modules.get(".".join(path[: at + 1])))
        self._look_at(value, f"`{'.'.join(path)}`, which `{name}` uses,")

    def _package(self, module: str, what: str) -> bool:
        """Whether a module is of Python itself or of a package, whose version is noted then."""
        top = module.split(".")[0]
        if top in ("builtins", "pixelmill") or top in self.packages:
            return True
        if _is_pythons(top):
            self.packages["python"] = f"{sys.version_info.major}.{sys.version_info.minor}"
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
        return ["int", hex(value)]
    if type(value) is float:
        return ["float", struct.pack(">d", value).hex()]
    if type(value) is complex:
        return ["complex", struct.pack(">dd", value.real, value.imag).hex()]
    if type(value) is str:
        return ["str", value]
    if type(value) in (bytes, bytearray):
        return [type(value).__name__, hashlib.sha256(value).hexdigest()]
    if value is Ellipsis:
        return ["is", "..."]
    if isinstance(value, np.dtype) and not value.hasobject:
        return ["dtype", repr(value)]
    if (type(value) in (np.ndarray, np.memmap) or isinstance(value, np.generic)) and not value.dtype.hasobject:
        kind = "scalar" if isinstance(value, np.generic) else "array"
        # In another order it is added up in another order.
        order = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
        digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return [kind, repr(value.dtype), list(value.shape), order, digest]
    return None


def _is_compiled(value: Any) -> bool:
    """Whether it is numba's of a function."""
    return type(value).__module__.startswith("numba.") and isinstance(
        getattr(value, "py_func", None), types.FunctionType
    )


_COMPILED_AS: "weakref.WeakKeyDictionary[Any, str]" = weakref.WeakKeyDictionary()


def _compile_anew(compiled: Any, told: str) -> None:
    """Has numba compile a function again that may have been compiled when what it uses had other values."""
    if _COMPILED_AS.get(compiled) != told and compiled.signatures:
        compiled.recompile()
    _COMPILED_AS[compiled] = told


def _compiler_options(compiled: Any) -> dict[str, Any]:
    # Those signatures that it wasn't called with so far but declared to have.
    declared = [] if getattr(compiled, "_can_compile", True) else sorted(map(str, compiled.signatures))
    return {**compiled.targetoptions, "signatures": declared}


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


def _steps(code: types.CodeType) -> list[dis.Instruction]:
    return [step for step in dis.get_instructions(code) if step.opname not in ("EXTENDED_ARG", "PUSH_NULL")]


def _global_chains(code: types.CodeType, name: str) -> Iterator[tuple[str, ...]]:
    """The global names that code uses, each with the attributes that are taken of it at once."""
    for part in (code, *_all_code(code)):
        steps = _steps(part)
        for at, step in enumerate(steps):
            is_outer = step.opname == "STORE_DEREF" and step.argval in code.co_freevars
            if is_outer or step.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
                what = f"`{step.argval}` of the function around it" if is_outer else f"the global `{step.argval}`"
                raise Unhashable(f"`{name}` changes {what}, so that results depend on the order of calls")
            if step.opname in ("LOAD_ATTR", "LOAD_METHOD") and step.argval == "__globals__":
                raise Unhashable(f"`{name}` uses `__globals__`, which reaches what only its call tells")
            if step.opname not in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"):
                continue
            if step.opname == "LOAD_NAME" and step.argval == "__name__":
                # Every class asks for the module that it is in.
                continue
            attributes = takewhile(lambda after: after.opname in ("LOAD_ATTR", "LOAD_METHOD"), steps[at + 1 :])
            yield step.argval, *(after.argval for after in attributes)


def _imports(code: types.CodeType, name: str) -> Iterator[str]:
    for part in (code, *_all_code(code)):
        steps = _steps(part)
        for at, step in enumerate(steps):
            if step.opname != "IMPORT_NAME":
                continue
            if steps[at - 2].argval != 0:
                raise Unhashable(f"`{name}` imports of its own package when it is called; import it above the function")
            yield step.argval


def _places(top: str) -> list[str]:
    """The file and the folders of a module or package."""
    module = sys.modules.get(top)
    if module is not None:
        places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
    else:
        try:
            spec = importlib.util.find_spec(top)
        except (ImportError, ValueError):
            return []
        places = [spec.origin if spec.has_location else None, *(spec.submodule_search_locations or ())] if spec else []
    return [str(place) for place in places if place]


def _is_in(place: str, folders: tuple[str, ...]) -> bool:
    return any(place.startswith(os.path.join(folder, "")) for folder in folders)


def _is_pythons(top: str) -> bool:
    """Whether a module is Python's own, and no file of the user's that is called as one of these."""
    return top in sys.stdlib_module_names and all(_is_in(place, _PYTHONS_FOLDERS) for place in _places(top))


def _is_installed(top: str) -> bool:
    places = _places(top)
    return bool(places) and all(_is_in(place, _PACKAGE_FOLDERS) for place in places)


def _version(top: str, what: str) -> str:
    version = getattr(sys.modules.get(top), "__version__", None)
    if isinstance(version, str):
        return version
    try:
        return importlib.metadata.version(top)
    except importlib.metadata.PackageNotFoundError:
        raise Unhashable(f"{what} is of the package `{top}`, which doesn't tell its version") from None


def _text(function: types.FunctionType) -> _Leaf:
    """The text of a function without comments and blank lines, if it is that of the code that is loaded."""
    code, name = function.__code__, function.__name__
    try:
        lines, _ = inspect.findsource(code)
        tree = ast.parse("".join(lines))
        compiled = _compiled(tree, code)
    except (OSError, SyntaxError, TypeError):
        raise Unhashable(f"the text of `{name}` can't be found") from None
    nodes = [node for node in ast.walk(tree) if isinstance(node, _FUNCTION_NODES) and _is_at(node, code)]
    if len(nodes) != 1:
        told = f"several functions are defined in the line of `{name}`" if nodes else f"the text of `{name}` is gone"
        raise Unhashable(told)
    if not any(_is_same(code, other) for whole in compiled for other in _all_code(whole)):
        raise Unhashable(f"`{name}` isn't what its file has by now; load it again")
    (node,) = nodes
    if hasattr(function, "__pixelmill__") and not isinstance(node, ast.Lambda):
        node.decorator_list = [one for one in node.decorator_list if not _is_ours(one)]
    return ast.unparse(node), list(_taken_of_imports(node))


def _is_ours(decorator: ast.expr) -> bool:
    """Whether a decorator gives a function options."""
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return getattr(called, "attr", getattr(called, "id", None)) == "process"


def _compiled(tree: ast.Module, code: types.CodeType) -> list[types.CodeType]:
    """The code of a file or cell, and of the statement with the function: notebooks compile each by itself.

    Python makes other code of an attribute if it sees that its module is imported.
    """
    line = code.co_firstlineno
    own = [one for one in tree.body if one.lineno <= line <= (one.end_lineno or line) or _first_line(one) == line]
    flags = code.co_flags & _FUTURES
    parts = [tree, *(ast.Module([one], []) for one in own)]
    return [compile(part, code.co_filename, "exec", flags=flags, dont_inherit=True) for part in parts]


def _taken_of_imports(node: ast.AST) -> Iterator[tuple[str, ...]]:
    """What a function takes of modules that it imports when it is called."""
    imported: dict[str, tuple[str, ...]] = {}
    for one in ast.walk(node):
        if isinstance(one, ast.Import):
            for alias in one.names:
                path = tuple(alias.name.split("."))
                imported[alias.asname or path[0]] = path if alias.asname else path[:1]
        elif isinstance(one, ast.ImportFrom):
            for alias in one.names:
                imported[alias.asname or alias.name] = (*(one.module or "").split("."), alias.name)
    yield from imported.values()
    for one in ast.walk(node):
        names: list[str] = []
        while isinstance(one, ast.Attribute):
            names, one = [one.attr, *names], one.value
        if names and isinstance(one, ast.Name) and one.id in imported:
            yield *imported[one.id], *names


def _is_at(node: ast.AST, code: types.CodeType) -> bool:
    return _first_line(node) == code.co_firstlineno and getattr(node, "name", "<lambda>") == code.co_name


def _first_line(node: ast.AST) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([int(getattr(node, "lineno", 0)), *(one.lineno for one in decorators)])


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


def _code_digest(function: types.FunctionType) -> _Leaf:
    return hashlib.sha256("\n".join(_parts(function.__code__)).encode()).hexdigest(), []
