"""What is other where an MPI launcher has started several processes, each of which runs the same script."""

import atexit
import contextlib
import functools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType

from . import _pixelmill
from ._errors import Error

_BEFORE_OTHERS_SPEAK = 2.0
_EACH = 0.2
# Tells processes that a rank starts that they are none, though they have all that the launcher has told it.
_RANK = "PIXELMILL_RANK_PROCESS"


def watch() -> None:
    """Gets ready for a script that ends before it computes anything, while other ranks do."""
    if not _pixelmill.HAS_MPI or not _pixelmill.are_several():
        return
    process = os.getpid()
    if os.environ.setdefault(_RANK, str(process)) == str(process):
        atexit.register(_leave_unseen, process)


def begin(rank: int) -> None:
    """Gets ready for an end in order: of all ranks, whatever ends the script."""
    global _has_begun
    _has_begun = True
    atexit.register(_leave, os.getpid())
    sys.excepthook = functools.partial(_unhandled, rank, sys.excepthook)
    # What launchers and batch systems send to all ranks, so that they end.
    if threading.current_thread() is threading.main_thread():
        for asks_to_stop in (signal.SIGTERM, signal.SIGUSR1):
            if signal.getsignal(asks_to_stop) is signal.SIG_DFL:
                signal.signal(asks_to_stop, signal.default_int_handler)


_has_begun = False


def _leave_unseen(process: int) -> None:
    """Has others know that the script ends here, though it has never computed anything."""
    # After an exception the launcher ends the others.
    if _has_begun or os.getpid() != process or hasattr(sys, "last_type"):
        return
    # MPI may be somebody else's here, or not to be had.
    with contextlib.suppress(Error):
        _flush()
        _pixelmill.join()
        _pixelmill.leave()


def _leave(process: int) -> None:
    """Tells the others that the script ends here, and waits for them."""
    if os.getpid() != process:
        # One that was forked is no rank.
        return
    # Others that miss this one end it.
    _flush()
    _pixelmill.leave()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        # It may be closed, or nobody there who reads it.
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()


def _unhandled(
    rank: int,
    show: Callable[[type[BaseException], BaseException, TracebackType | None], object],
    kind: type[BaseException],
    error: BaseException,
    traceback: TracebackType | None,
) -> None:
    """Shows what has ended the script.

    What all ranks know of, since it ended a computation, the first one shows. Whatever else happens to one of them ends
    all, which would wait for it.
    """
    is_known_to_all = getattr(error, "_ended_all_ranks", False)
    if is_known_to_all and rank > 0:
        return
    if rank > 0:
        # What is wrong with the script happens everywhere, and is said once: then others end this one.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        time.sleep(_BEFORE_OTHERS_SPEAK + _EACH * min(rank, 20))
    show(kind, error, traceback)
    if not is_known_to_all:
        _flush()
        _pixelmill.abort(1)
