"""Writing to a file that h5py has open, so that a process killed at any instant leaves one that opens.

HDF5 keeps changed metadata (what is where in the file) in memory, and writes it to its places piece by piece when it
is flushed. A process that is killed meanwhile leaves new pieces that refer to old ones, and perhaps a file that nobody
opens. Here

- metadata is changed in one go, at the beginning and the end of a run: nothing of it reaches the file before
  :func:`commit`;
- :func:`commit` has a forked process do the flush, which goes on when this one is killed. When that is done, this
  process flushes too and writes the very same bytes once more, which may be cut off anywhere;
- datasets are created with their full size, every byte with its place, and without compression, which would move
  chunks. Writing results changes no metadata then.

What is left: somebody who kills both processes, or a machine that loses power, in the fraction of a millisecond that a
flush of metadata takes; what a class writes by itself outside of `compute`; and, of files of HDF5's newer formats, a
kill between the second flush and the next line, after which `h5clear -s` has the file open again.
"""

import contextlib
import os
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
from h5py._objects import phil

from ._superblock import clear_flag

_BLOCK_BYTES = 1 << 24
_CHANGING = threading.RLock()


def commit(file: h5py.File) -> None:
    """Brings all that was changed to the disk."""
    number = _number(file)
    if number is None:
        file.flush()
        return
    start = file.userblock_size
    with phil:
        _flush_elsewhere(file, number, start)
        h5py.h5f.flush(file.id)
        clear_flag(number, start)
    os.fsync(number)


def opened(file: h5py.File) -> None:
    """Has a file that was opened for writing be one that opens again after a kill."""
    if (number := _number(file)) is not None:
        clear_flag(number, file.userblock_size)


def _number(file: h5py.File) -> int | None:
    """The system's number of an open file, if it is a plain one."""
    return file.id.get_vfd_handle() if file.driver == "sec2" else None


def _flush_elsewhere(file: h5py.File, number: int, start: int) -> None:
    """Flushes in a process of its own, and waits for it."""
    with warnings.catch_warnings():
        # What other threads hold doesn't matter: the new process only flushes, and h5py's lock is held here.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            process = os.fork()
        except OSError:
            # No memory for one more. What follows flushes here.
            return
    if process == 0:
        status = 1
        try:
            # Whoever kills a group of processes doesn't mean this one.
            os.setsid()
            h5py.h5f.flush(file.id)
            clear_flag(number, start)
            status = 0
        finally:
            os._exit(status)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(process, 0)


@contextlib.contextmanager
def changing(file: h5py.File) -> Iterator[None]:
    """Within it metadata may be changed: it is all in the file, or nothing of it is."""
    # What h5py calls is exchanged meanwhile, by one thread at a time.
    with _CHANGING:
        commit(file)
        with _kept_in_memory(file), _unflushed(file), _placed(file):
            yield
        commit(file)


@contextlib.contextmanager
def _kept_in_memory(file: h5py.File) -> Iterator[None]:
    """Changed metadata isn't written to make room for other."""
    before = file.id.get_mdc_config()
    config = file.id.get_mdc_config()
    config.incr_mode = config.flash_incr_mode = config.decr_mode = 0
    config.evictions_enabled = False
    file.id.set_mdc_config(config)
    try:
        yield
    finally:
        file.id.set_mdc_config(before)


@contextlib.contextmanager
def _unflushed(file: h5py.File) -> Iterator[None]:
    """Calls of `flush` for this file wait for `commit`."""
    flush, name = h5py.File.flush, file.filename

    def later(self: Any) -> None:
        if self.filename != name:
            flush(self)

    h5py.File.flush = later
    try:
        yield
    finally:
        h5py.File.flush = flush


@contextlib.contextmanager
def _placed(file: h5py.File) -> Iterator[None]:
    """Datasets that are created in this file get all their bytes at once, and aren't compressed."""
    create, name = h5py.h5d.create, file.filename

    def placed(loc: Any, path: Any, tid: Any, space: Any, dcpl: Any = None, *others: Any, **named: Any) -> Any:
        if h5py.h5f.get_name(loc) == os.fsencode(name) and _is_fixed(tid, space):
            dcpl = dcpl.copy() if dcpl is not None else h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            if dcpl.get_nfilters():
                dcpl.remove_filter(h5py.h5z.FILTER_ALL)
            if dcpl.get_layout() in (h5py.h5d.CONTIGUOUS, h5py.h5d.CHUNKED):
                dcpl.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
                dcpl.set_fill_time(h5py.h5d.FILL_TIME_ALLOC)
        return create(loc, path, tid, space, dcpl, *others, **named)

    h5py.h5d.create = placed
    try:
        yield
    finally:
        h5py.h5d.create = create


def _is_fixed(tid: Any, space: Any) -> bool:
    """Whether a dataset has a size, which stays, and elements that lie in it."""
    if space.get_simple_extent_type() != h5py.h5s.SIMPLE or not space.get_simple_extent_npoints():
        return False
    if space.get_simple_extent_dims() != space.get_simple_extent_dims(True):
        return False
    return not tid.detect_class(h5py.h5t.VLEN) and not (tid.get_class() == h5py.h5t.STRING and tid.is_variable_str())


def place(dataset: h5py.Dataset) -> None:
    """Gives all bytes of a dataset their places, if some have none, by writing what is read."""
    if dataset.id.get_space_status() == h5py.h5d.SPACE_STATUS_ALLOCATED or not dataset.shape or not dataset.size:
        return
    row = max(1, dataset.dtype.itemsize * int(np.prod(dataset.shape[1:])))
    length = max(1, _BLOCK_BYTES // row)
    for start in range(0, dataset.shape[0], length):
        own = slice(start, min(start + length, dataset.shape[0]))
        dataset[own] = dataset[own]
