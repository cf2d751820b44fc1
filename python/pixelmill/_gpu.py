"""GPUs: which there are, and how much of a scan one takes at a time."""

from . import _pool
from ._errors import UsageError, check_choice

_SHARE = 0.5
"""What of a device's free memory a batch may take; the rest is for what a function makes of it."""
_COPIES = 3
"""How often a spectrum and its results are there: as they are handed over, in between, and as they are returned."""


def found(backend: str) -> tuple[str, list[int]]:
    """The version of a module for GPUs, and the free memory of each."""
    check_choice("backend", backend, ("numpy", "cupy"))
    # In a process of its own: what a device has for a process that looks at it is given back when that ends.
    worker = _pool.Worker(_pool.Task(b"", b"", None, ""))
    try:
        version, free = worker.ask("devices", backend)
    except (RuntimeError, _pool.Died) as error:
        needs = "it computes on NVIDIA's GPUs, with the package `cupy` of their CUDA version"
        message = f'backend="cupy": {error}; {needs}'
        raise UsageError(message, "Argument", {"argument": "backend", "reason": str(error)}) from None
    finally:
        worker.end()
    if not free:
        raise UsageError('backend="cupy": there is no GPU here', "Argument", {"argument": "backend"})
    return version, free


def most_per_unit(free: list[int], bytes_per_position: int) -> int:
    """How many positions a device takes at a time."""
    return max(int(min(free) * _SHARE) // (_COPIES * max(bytes_per_position, 1)), 1)
