"""What is other where an MPI launcher has started several processes, each of which runs the same script."""

import atexit
import functools
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType

from . import _pixelmill

_BEFORE_OTHERS_SPEAK = 2.0


def begin(rank: int) -> None:
    """Gets ready for an end in order: of all ranks, whatever ends the script."""
    atexit.register(_pixelmill.leave)
    sys.excepthook = functools.partial(_unhandled, rank, sys.excepthook)
    # What launchers and batch systems send to all ranks, so that they end.
    if threading.current_thread() is threading.main_thread():
        for asks_to_stop in (signal.SIGTERM, signal.SIGUSR1):
            if signal.getsignal(asks_to_stop) is signal.SIG_DFL:
                signal.signal(asks_to_stop, signal.default_int_handler)


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
        time.sleep(_BEFORE_OTHERS_SPEAK)
    show(kind, error, traceback)
    if not is_known_to_all:
        sys.stdout.flush()
        sys.stderr.flush()
        _pixelmill.abort(1)
