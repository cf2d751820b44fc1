"""Puts `Process` in the place of pyUSID's."""

import sys
from typing import Any

from pyUSID.processing import comp_utils, process

from ._parallel import parallel_compute
from ._process import Process


def install() -> None:
    """Has all classes on pyUSID's ``Process`` run on :class:`Process`, imported already or not.

    ``parallel_compute`` of pyUSID and sidpy is replaced with it. It holds for this Python process.
    """
    replaced: dict[int, Any] = {}
    for old, new in ((process.Process, Process), (comp_utils.parallel_compute, parallel_compute), *_of_sidpy()):
        if old is not new:
            replaced[id(old)] = new
            _REPLACED.append(old)
    for module in list(sys.modules.values()):
        names = vars(module) if module is not None and hasattr(module, "__dict__") else {}
        for name, value in list(names.items()):
            if id(value) in replaced and not str(getattr(module, "__name__", "")).startswith("pixelmill"):
                setattr(module, name, replaced[id(value)])
    for old in _REPLACED:
        children: list[Any] = old.__subclasses__() if isinstance(old, type) else []
        for child in children:
            child.__bases__ = tuple(Process if base is old else base for base in child.__bases__)


# What was replaced, kept so that no other object gets its identity.
_REPLACED: list[Any] = []


def _of_sidpy() -> list[tuple[Any, Any]]:
    """sidpy had a copy of the function until 0.12.0."""
    try:
        from sidpy.proc import comp_utils as of_sidpy
    except ImportError:
        return []
    return [(of_sidpy.parallel_compute, parallel_compute)]
