"""Kills in the midst of runs over larger scans, for `scripts/soak --kills N`: each history is gone on with to its end.

A run of it has other cores, memory and checkpoint intervals than the one before. After each kill everything is looked
at as after any command of the soak, and at the end there is, to the byte, what an undisturbed run leaves.
"""

import shutil
import signal

import h5py
import numpy as np
from commands import Command, Pass
from computation import PROCESSES
from edits import some
from layouts import Axis, Scan, write
from seen import Seen
from settling import Settling
from world import Computation, World

# What is killed; a pass where there are several.
TARGETS = (
    ("spectrum-statistics",),
    ("histogram",),
    ("log-sum",),
    ("statistics", "masks", "center-of-mass", "sum"),
)
# A scan of frames, in ten to twenty units, none of them a power of two.
SHAPE = (75, 64, 32, 32)
STORAGE = {
    "contiguous": {},
    "frames": {"chunks": (1, 16, 32, 32), "compression": "lzf"},
    "blocks": {"chunks": (16, 16, 16, 16), "compression": "gzip", "compression_opts": 1},
}
PARAMETERS = {
    "spectrum-statistics": ({}, {"compute": "count,sum,mean,variance,std,min,max,arg_min,arg_max"}),
    "histogram": tuple(
        {"bins": 32, "range_min": 0, "range_max": 1024, "of": of} for of in ("scan", "point", "position")
    ),
    "statistics": ({}, {"compute": "sum,std,arg_max"}),
    "masks": ({"shape": "disk", "radius": 9.3}, {"shape": "rings", "count": 4, "radius": 5.2}),
    "center-of-mass": ({"radius": 12.3}, {"radius": 15.3, "regression": "linear"}),
}
# What is counted; `midway` are kills of runs that had marked positions, but not all.
COUNTED = ("histories", "runs", "kills", "midway", "finished", "refused")
# Microseconds that each call waits first that changes a file.
DELAYS = (0, 200, 1000)


def name_of(target):
    return ",".join(target)


class Scans:
    """The scans that are computed on, each written once and then copied."""

    def __init__(self, seed, folder):
        self.folder = folder
        folder.mkdir()
        self.known = {}
        self.seed = seed

    def get(self, layout, dtype):
        key = f"{layout} {dtype}.h5"
        if key not in self.known:
            rng = np.random.default_rng([self.seed, list(STORAGE).index(layout), np.dtype(dtype).itemsize])
            values = np.clip(rng.normal(300, 90, SHAPE) * np.exp(rng.normal(0, 0.3, SHAPE[2:])), 0, 4000)
            axes = [Axis(name, "", np.arange(float(length))) for name, length in zip(("Y", "X", "V", "U"), SHAPE)]
            scan = Scan("plain", "scan.h5", "/scan/values", values.astype(dtype), axes, [0, 1])
            scan.units, scan.is_large, scan.is_exact = "", True, False
            scan.storage = STORAGE[layout]
            with h5py.File(self.folder / key, "w") as file:
                write(file, scan, self.folder)
            self.known[key] = scan
        return self.known[key], self.folder / key


class History(Settling):
    """One file, and a computation or a pass over it, which is killed and begun again."""

    # What the last run that came to its end took, by its delay: seconds and calls that change a file.
    took = {}

    def __init__(self, target, number, job, base, counts):
        self.target, self.program, self.counts = target, job.program, counts
        self.world = World(base / "files", job.copies)
        self.rng = np.random.default_rng([job.options.seed, TARGETS.index(target), number])
        self.scans, self.log = job.scans, job.lines.append

    def play(self):
        rng, world = self.rng, self.world
        scan, file = self.scans.get(some(rng, STORAGE), some(rng, ["u2", "f4"]))
        world.folder.mkdir()
        shutil.copy(file, world.folder / scan.file)
        world.scans.append(scan)
        if rng.random() < 0.7:
            world.outputs[scan.file, scan.path] = "results.h5"
        world.check_user()
        command = self.command(scan)
        for _ in range(int(rng.integers(1, 6))):
            if not self.kill(command):
                break
        else:
            self.finish(command)
        self.counts.histories += 1

    def command(self, scan):
        """All positions, so that nothing is left to be computed at the end."""
        members = []
        for process in self.target:
            tool, defaults = PROCESSES[process]
            given = some(self.rng, PARAMETERS.get(process, ({},)))
            computation = Computation(process, tool, given, {**defaults, **given}, scan, None, Seen())
            members.append(Command(computation, np.ones(scan.count, bool), None, False, False))
        return members[0] if len(members) == 1 else Pass(members, [])

    def ask(self, command):
        """Other cores, memory and intervals each time; returns how long calls wait."""
        rng = self.rng
        command.more = ["--cores", some(rng, ["1", "2", "4"]), "--memory", some(rng, ["32M", "256M", "1G"])]
        command.more += ["--checkpoint", some(rng, ["0.001", "0.01", "0.1", "1", "10"])]
        return some(rng, DELAYS)

    def kill(self, command):
        """Whether it was killed before it was done."""
        rng, delay = self.rng, self.ask(command)
        before, arguments = self.look_at_all(), command.arguments(self.world)
        marked = {key: snapshot.status.mean() for key, snapshot in before.items()}
        # A run that goes on is done sooner, but for its beginning and end.
        ahead = 0.3 + 0.7 * (1 - min(marked.values(), default=0))
        seconds, calls = (ahead * whole for whole in self.took.get(delay, (0.5, 100)))
        if rng.random() < 0.5:
            after = seconds * rng.random()
            self.log(f"to be killed after {after:.6f} s, with a delay of {delay} us")
            ended = self.program.signal_after(arguments, after, signal.SIGKILL, delay=delay)
        else:
            number, how = 1 + int(calls * rng.random()), some(rng, ["before", "torn", "after"])
            self.log(f"to be killed at call {number} ({how}), with a delay of {delay} us")
            ended = self.program.kill_at_call(arguments, number, how, delay=delay)
        self.settle(before, [(command, ended)])
        self.counts.runs += 1
        self.counts.kills += ended.was_killed
        now = {key: snapshot.status.mean() for key, snapshot in self.look_at_all().items()}
        has_marked = any(part != marked.get(key, 0) for key, part in now.items())
        self.counts.midway += ended.was_killed and has_marked and any(part < 1 for part in now.values())
        return ended.was_killed

    def finish(self, command):
        delay = self.ask(command)
        before = self.look_at_all()
        ended = self.program.run_counted(command.arguments(self.world), delay=delay)
        self.settle(before, [(command, ended)])
        self.counts.runs += 1
        self.took[delay] = ended.seconds, max(1, ended.calls)
