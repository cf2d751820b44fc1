"""The part `cold`: sums of data that the system's cache has nothing of, beside plain readers of several
depths (`dd`, and threads that only read and add) and beside the bare loop over the same chunks; of a file of twice
the memory too, by a control group that has so much.
"""

import contextlib
import json
import mmap
import os
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np

from frames import HYPERSPY_DATASET, Frames, write_chunks

RAW_DATA = "/Measurement_000/Channel_000/Raw_Data"
THREADS = (1, 2, 4, 8)
BLOCKS = (128 << 10, 1 << 20, 4 << 20)
LEAST = 0.9
# Where control groups of memory are, by how this program's own is listed, and what their limit is called.
GROUPS = {"memory": ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), "": ("/sys/fs/cgroup", "memory.max")}


class Cold(Frames):
    def measure(self):
        self.rows()
        self.chunks()

    def rows(self):
        file = self.bench.real(2048)
        with h5py.File(file) as opened:
            offset, size = opened[RAW_DATA].id.get_offset(), opened[RAW_DATA].nbytes
        plain = {"dd": lambda: dd(file)}
        for threads in THREADS:
            for block in BLOCKS:
                command = (self.bench.bare_sum, file, *map(str, (offset, size, threads, block)))
                plain[f"{threads} threads, {block >> 10} KiB"] = lambda command=command: seconds_of(command)
        best = min(plain, key=lambda name: min(cold(file, plain[name]) for _ in range(2)))
        self.beside_plain("contiguous", file, size, (best, plain[best]))
        self.beside_plain("contiguous, --cache drop", file, size, (best, plain[best]), "--cache", "drop")
        with memory_of(size // 2) as is_held:
            if is_held:
                self.beside_plain("contiguous, twice the memory", file, size, (best, plain[best]), memory=size // 2)
            else:
                print("  cold: no control group of memory can be made here; twice the memory is left out", file=sys.stderr)

    def beside_plain(self, what, file, size, plain, *more, memory=None):
        named, read = plain
        ours, theirs = self.turns(
            lambda: cold(file, lambda: self.bench.run("sum", file, self.bench.cores, *more)["seconds"], memory),
            lambda: cold(file, read, memory),
        )
        self.beside(what, size, ours, f"the best plain reader ({named})", theirs)

    def chunks(self):
        file, listing = self.folder / "frames.hspy", self.folder / "frames.hspy.chunks"
        write_chunks(file, HYPERSPY_DATASET, listing)
        bare = {threads: (self.bench.bare_frames, file, listing, str(threads)) for threads in THREADS}
        best = min(bare, key=lambda threads: min(cold(file, lambda: seconds_of(bare[threads])) for _ in range(2)))
        ours, theirs = self.turns(
            lambda: cold(file, lambda: self.run("frames.hspy")["seconds"]),
            lambda: cold(file, lambda: seconds_of(bare[best])),
        )
        self.beside(".hspy, gzip", self.bytes, ours, f"the bare loop on {best} threads", theirs)

    def beside(self, what, size, ours, named, theirs):
        line = self.bench.line
        line(f"cold: sum, {what}", [size / seconds / 1e9 for seconds in ours], "GB/s")
        line(f"cold: {named}, {what}", [size / seconds / 1e9 for seconds in theirs], "GB/s")
        ratios = [its / our for our, its in zip(ours, theirs)]
        line(f"cold: speed over that, {what}", ratios, least=LEAST)


@contextlib.contextmanager
def memory_of(size):
    """Lets this program and those that it starts have so much memory, their cache included, if that can be."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers not in GROUPS:
            continue
        folder, limit = GROUPS[controllers]
        own = Path(f"{folder}{path}")
        group = own / f"pixelmill-bench-{os.getpid()}"
        try:
            group.mkdir()
            (group / limit).write_text(str(size))
            (group / "cgroup.procs").write_text(str(os.getpid()))
        except OSError:
            with contextlib.suppress(OSError):
                group.rmdir()
            continue
        try:
            yield True
        finally:
            (own / "cgroup.procs").write_text(str(os.getpid()))
            group.rmdir()
        return
    yield False


def cold(file, measure, memory=None):
    """What `measure` gives when nothing of the file is in the cache."""
    with open(file, "rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    # Twice as much as goes into the cache: it is taken from what has become free last, more or less.
    use_free_memory(memory or 2 * os.path.getsize(file))
    return measure()


def use_free_memory(most):
    """Uses free memory once. A virtual machine may give its host back what has been free for some seconds, and
    to get that again takes several times as long as the disk does: who reads into the cache would be measured by
    how long ago somebody else has ended.
    """
    lines = Path("/proc/meminfo").read_text().splitlines()
    free = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemFree:"))
    with mmap.mmap(-1, int(min(free, most) * 0.9)) as memory:
        memory.madvise(mmap.MADV_HUGEPAGE)
        np.frombuffer(memory, "u1")[:: mmap.PAGESIZE].fill(1)


def dd(file):
    begun = time.perf_counter()
    subprocess.run(["dd", f"if={file}", "of=/dev/null", "bs=1M", "status=none"], check=True)
    return time.perf_counter() - begun


def seconds_of(command):
    return json.loads(subprocess.check_output(command))["seconds"]
