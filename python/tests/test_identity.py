"""What makes a function another one, and what can't be told of one."""

import ast
import importlib
import itertools
import json
import linecache
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pixelmill as pm
import pytest
from pixelmill import _identity

Load = Callable[[str], Any]

COUNTED = "def made(n):\n    def f(x):\n        nonlocal n\n        n += 1\n        return n\n    return f\nf = made(0)"
NAMED = "import typing\nclass P(typing.NamedTuple):\n    k: int = 2\n    def m(self): return self.k * 5\n"
DATACLASS = (
    "import dataclasses\n@dataclasses.dataclass(eq=True)\nclass D:\n"
    "    k: int = dataclasses.field(default=2, compare=True)\n    def m(self): return 5\n"
)
# Each text's function gives something else once the first is replaced by the second.
EDITED = [
    ("K = np.float64(3)\ndef f(x): return isinstance(K, float)", "np.float64(3)", "np.array(3.0)"),
    ("K = np.array([[1.0, 2], [3, 4]], order='C')\ndef f(x): return K.sum()", "'C'", "'F'"),
    ("K = np.dtype(('f8', (2,)))\ndef f(x): return K.base.kind", "'f8'", "'i8'"),
    ("K = np.dtype({'names': 'a', 'formats': ['u1'], 'offsets': [1]})\ndef f(x): return K", "[1]", "[2]"),
    ("K = float('nan')\ndef f(x): return np.copysign(1, K)", "K = float", "K = -float"),
    ("K = 10**5000\ndef f(x): return K % 7", "5000", "5001"),
    ("K = b'a'\ndef f(x): return isinstance(K, bytes)", "b'a'", "bytearray(b'a')"),
    ("K = range(2)\ndef f(x): return sum(K)", "(2)", "(3)"),
    ("def f(x): return f.k\nf.k = 2", "= 2", "= 3"),
    ("def g(x): return x * 2\ndef f(x): return g(x) + g(x)", "* 2", "* 3"),
    ("def g(): yield 2\ndef f(x): return next(g())", "yield 2", "yield 3"),
    ("class A:\n    k = 2\ndef f(x): return A.k", "= 2", "= 3"),
    ("class A:\n    __k__ = 2\ndef f(x): return A.__k__", "= 2", "= 3"),
    ("class A:\n    @staticmethod\n    def m(): return 2\ndef f(x): return A.m()", "return 2", "return 3"),
    ("class A:\n    @property\n    def m(self): return 2\ndef f(x): return A().m", "return 2", "return 3"),
    ("class M(type):\n    k = 2\nclass A(metaclass=M): pass\ndef f(x): return A.k", "= 2", "= 3"),
    (DATACLASS + "def f(x): return D(1) == D(2)", "compare=True", "compare=False"),
    (DATACLASS + "def f(x): return D(1) == D(1)", "eq=True", "eq=False"),
    (DATACLASS + "def f(x): return D().m()", "return 5", "return 6"),
    (NAMED + "def f(x): return P().k", "= 2", "= 3"),
    (NAMED + "def f(x): return P().m()", "* 5", "* 6"),
    ("K = 2\ndef f(x):\n    class A:\n        k = K\n    return A.k", "K = 2", "K = 3"),
    # A file of the user's that is called as one of Python's.
    ("import profile\ndef f(x): return profile.g(x)", "return 2", "return 3"),
    ("def made():\n    import numpy as np\n    def f(x): return np.sum(x) * 2\n    return f\nf = made()", "* 2", "* 3"),
]
if sys.version_info >= (3, 12):
    EDITED.append(("K = 2\ndef f(x):\n    class A:\n        type Z = K\n    return A.Z.__value__", "K = 2", "K = 3"))
REFUSED = [
    ("K = np.asmatrix([[1, 2]])\ndef f(x): return K * x", "`K`, which `f` uses, is a matrix"),
    ("def f(x): return eval('K')", "`eval`, which `f` uses, reaches"),
    ("e = eval\ndef f(x): return e('K')", "`e`, which `f` uses, reaches"),
    ("def f(x): return globals()['K']", "`globals`, which `f` uses, reaches"),
    ("def g(): pass\ndef f(x): return g.__globals__['K']", "`f` uses `__globals__`"),
    ("import sys\ndef f(x): return sys.modules['profile'].K", "`sys.modules`, which `f` uses, reaches"),
    ("def f(x):\n    import importlib\n    return importlib.import_module('profile').K", "importlib.import_module"),
    ("def f(x):\n    from .json import g\n    return g(x)", "imports of its own package"),
    ("import numpy as np\ndef f(x): return np.random.normal()", "`numpy.random.normal`, which `f` uses, draws"),
    ("from random import gauss\ndef f(x): return gauss(0, 1)", "`gauss`, which `f` uses, draws"),
    ("def f(x):\n    import numpy as np\n    return np.random.normal()", "`numpy.random.normal`, which `f` uses"),
    ("def f(x):\n    from numpy import random as r\n    return r.normal()", "`numpy.random.normal`, which `f` uses"),
    (COUNTED, "`f` changes `n` of the function around it"),
    ("class J:\n    def __init__(self, p): self.py_func = p\nj = J(lambda x: x)\ndef f(x): return j.py_func(x)", "is a J"),
    ("K = [2]\nK.append(K)\ndef f(x): return K[0]", "holds itself"),
]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads a module with this text, beside one that is called as one of Python's own."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    numbers = itertools.count()

    def load(text: str) -> Any:
        name = f"of_user_{next(numbers)}"
        (tmp_path / f"{name}.py").write_text("import numpy as np\n" + text)
        for loaded in (name, "profile"):
            monkeypatch.delitem(sys.modules, loaded, raising=False)
        importlib.invalidate_caches()
        linecache.clearcache()
        return importlib.import_module(name)

    (tmp_path / "profile.py").write_text("K = 2\ndef g(x): return 2\n")
    return load


def told(function: Any) -> str:
    return json.dumps(_identity.of_text(function))


@pytest.mark.parametrize(("text", "old", "new"), EDITED)
def test_another_function_is_told_from_it(load: Load, tmp_path: Path, text: str, old: str, new: str) -> None:
    first = load(text).f
    before = told(first), _identity.of_code(first)
    of_other = tmp_path / "profile.py"
    of_other.write_text(of_other.read_text().replace(old, new))
    second = load(text.replace(old, new)).f
    assert (told(second) != before[0], _identity.of_code(second) != before[1]) == (True, True)
    assert told(load(text.replace(old, new)).f) == told(second)


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_what_reaches_further_than_can_be_seen_is_refused(load: Load, text: str, reason: str) -> None:
    with pytest.raises(_identity.Unhashable) as met:
        told(load(text).f)
    assert reason in str(met.value)


def test_a_generator_of_the_functions_own_is_no_reason(load: Load) -> None:
    told(load("import numpy as np\ndef f(x): return np.random.default_rng(1).normal()").f)
    told(load("def f(x):\n    import numpy as np\n    return np.random.RandomState(1).normal()").f)


def test_what_is_told_to_all_cells_is_told_to_the_text_too() -> None:
    """In a notebook, what is imported from the future in one cell holds in all others."""
    text = "def f(x: float): return 2\n"
    linecache.cache["<cell>"] = (len(text), None, [text], "<cell>")
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile("from __future__ import annotations\n" + text, "<other cell>", "exec"), names)
    exec(compile(text, "<cell>", "exec", flags=names["f"].__code__.co_flags & 0x1000000), names)
    assert "def f" in told(names["f"])


def test_statements_of_a_cell_are_compiled_one_by_one() -> None:
    """As notebooks do it; Python makes other code of an attribute if it sees that its module is imported."""
    text = "import numpy.linalg as la\ndef f(x): return la.norm(x)\n"
    linecache.cache["<cell>"] = (len(text), None, text.splitlines(keepends=True), "<cell>")
    names: dict[str, Any] = {"__name__": "__main__"}
    for statement in ast.parse(text).body:
        exec(compile(ast.Module([statement], []), "<cell>", "exec"), names)
    assert "def f" in told(names["f"])
    exec(compile(text, "<cell>", "exec"), names)
    assert "def f" in told(names["f"])


def test_what_may_change_outside_of_a_function_is_warned_of(frames: Path, tmp_path: Path) -> None:
    (tmp_path / "factor").write_text("3")
    path = str(tmp_path / "factor")

    def reading(frame):
        with open(path) as file:
            return float(file.read())

    scan = pm.open(frames, "frames", (0, 1))
    with pytest.warns(UserWarning, match="`open`, which `reading` uses, may be another thing at each call") as warned:
        scan.map(reading, workers="threads", progress=False)
    assert [one.filename for one in warned] == [__file__]


def test_classes_are_the_same_in_worker_processes(frames: Path) -> None:
    scope: dict[str, Any] = {"__name__": "__main__"}
    text = NAMED + DATACLASS + "def f(x): return P(1).m() + D(2).m()\n"
    linecache.cache["<typed>"] = (len(text), None, text.splitlines(keepends=True), "<typed>")
    exec(compile(text, "<typed>", "exec"), scope)
    results = pm.open(frames, "frames", (0, 1)).map(scope["f"], name="of_classes", progress=False)
    assert np.all(results["of_classes"][:] == 10)


def test_what_comes_with_python_has_its_version(load: Load) -> None:
    plain = load("def f(x): return x * 2").f
    others = [
        load(text).f
        for text in (
            "import statistics\ndef f(x): return statistics.mean(x)",
            "from math import fsum\ndef f(x): return fsum(x)",
            "def f(x):\n    import math\n    return math.fsum(x)",
        )
    ]
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert "python" not in _identity.of_text(plain)[1]
    assert [_identity.of_text(one)[1]["python"] for one in others] == [version] * 3
