"""The part `many`: so many positions that a byte for each of them counts.

Sums of four values at each position of a file that takes no room on the disk, at every second position by a mask:
memory, speed beside that of a million positions, and how long it takes to look at the file and at its results.
"""

import json
import subprocess
import sys
import time

import h5py
import numpy as np

FEW = 1_000_000
POINTS = 4
MEMORY, MOST = 192, 256  # MiB
READ_AGAIN = 4 << 30  # bytes, as the engine has it
MASK_AT_ONCE = 10_000_000
AXES = ("--dataset", "/data", "--positions-axes", "0")


class Many:
    def __init__(self, bench, positions):
        self.bench = bench
        self.positions = positions

    def measure(self):
        named = f"{self.positions:,} positions"
        ratios, peaks, looks = [], [], {"status": [], "info": [], "reuse": []}
        for _ in range(self.bench.repeat):
            few, _ = self.fresh(FEW)
            many, peak = self.fresh(self.positions)
            ratios.append((self.positions / many) / (FEW / few))
            peaks.append(peak)
            for what, command in (("status", ("status",)), ("info", ("info",)), ("reuse", self.sum())):
                seconds, peak = self.measured(command[0], *command[1:], self.file(self.positions))
                looks[what].append(seconds)
                peaks.append(peak)
        self.bench.line(f"peak memory of sum at --memory {MEMORY}M, {named}", peaks, "MiB", most=MOST)
        self.bench.line(f"speed per byte over that of {FEW:,}, {named}", ratios, least=1 / 3)
        for what, seconds in looks.items():
            # All that was computed with is read again if it isn't too much.
            is_read = what == "reuse" and self.positions // 2 * POINTS * 4 <= READ_AGAIN
            self.bench.line(f"{what}, {named}", seconds, "s", most=None if is_read else 2)

    def sum(self):
        return ("run", "sum", *AXES, "--positions", "/mask", "--memory", f"{MEMORY}M")

    def fresh(self, positions):
        """Seconds and memory of a run over a new file."""
        self.file(positions).unlink(missing_ok=True)
        write(self.file(positions), positions)
        return self.measured(*self.sum(), self.file(positions))

    def file(self, positions):
        return self.bench.folder / f"many_{positions}.h5"

    def measured(self, command, *arguments):
        """Seconds that the program takes, and the most memory that it has at a time, in MiB."""
        measure = (
            "import json, resource, subprocess, sys\n"
            "subprocess.run(sys.argv[1:], check=True, stdout=2, stderr=subprocess.DEVNULL)\n"
            "print(json.dumps(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))"
        )
        whole = [sys.executable, "-c", measure, self.bench.program, command, *arguments]
        begun = time.perf_counter()
        peak = json.loads(subprocess.run(whole, check=True, stdout=subprocess.PIPE).stdout) / 1024
        return time.perf_counter() - begun, peak


def write(path, positions):
    """A dataset that is nothing but a hole, and a mask of every second position."""
    with h5py.File(path, "w") as file:
        settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        settings.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        settings.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space = h5py.h5s.create_simple((positions, POINTS))
        h5py.h5d.create(file.id, b"data", h5py.h5t.IEEE_F32LE, space, settings)
        mask = file.create_dataset("mask", (positions,), bool)
        for first in range(0, positions, MASK_AT_ONCE):
            count = min(MASK_AT_ONCE, positions - first)
            mask[first : first + count] = (np.arange(first, first + count) & 1) == 0
