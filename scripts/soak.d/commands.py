"""Random commands: which process over which scan, and everything that may be asked of a run."""

import numpy as np
from computation import COPIED, PROCESSES, TAKES_COMPLEX
from edits import some
from seen import random_seen
from world import Computation


class Command:
    """A run as it is typed."""

    def __init__(self, computation, more, mask, retry, override, resume=None):
        self.computation, self.more, self.mask = computation, more, mask
        self.retry, self.override, self.resume = retry, override, resume
        self.folder = None  # another name of the folder, if it is called by that

    def arguments(self, world):
        computation = self.computation
        scan = computation.scan
        folder = self.folder or world.folder
        given = ["run", computation.process, folder / scan.file, "--json"]
        given += scan.options(len(world.scans) > 1 or scan.kind != "usid" and bool(world.kept))
        for name, value in computation.given.items():
            given += ["-p", f"{name}={spelled(value)}"]
        given += computation.seen.options()
        output = world.outputs.get((scan.file, scan.path))
        if output:
            given += ["--output", folder / output]
        return given + self.more


def spelled(value):
    if isinstance(value, bool):
        return str(value).lower()
    return value


class Commands:
    """Makes commands for a world; `base` is a folder that never moves."""

    def __init__(self, world, files, base):
        self.world, self.files, self.base = world, files, base

    def computation(self, rng):
        world = self.world
        scan = some(rng, world.scans)
        earlier = [group.computation for group in world.groups.values() if group.computation.scan is scan]
        if earlier and rng.random() < 0.6:
            return some(rng, earlier)
        processes = [name for name in PROCESSES if not scan.is_complex or name in TAKES_COMPLEX]
        if len(scan.spectrum_axes()) > 1 or scan.points < 8:
            processes = [name for name in processes if name not in COPIED]
        process = some(rng, processes)
        given, auxiliary = {}, None
        if process == "slow":
            given = {"pause": int(rng.integers(10, 300))}
        elif process == "uneven":
            given = {"rounds": int(rng.integers(1, 5)), "dear_factor": int(rng.integers(1, 6)), "dear_part": 0.25}
        elif process == "trouble":
            given = {"fail_every": int(rng.integers(0, 9)), "panic_every": int(some(rng, [0, 2, 5, 11]))}
            given["own_messages"] = bool(rng.random() < 0.5)
            if rng.random() < 0.5:
                given["mended_by"] = str(self.base / f"mended {rng.integers(2)}")
        elif process == "rich":
            given = {"spectra": int(some(rng, [n for n in range(1, 5) if scan.points % n == 0])),
                     "reversed": bool(rng.random() < 0.5)}
            if rng.random() < 0.4 and scan.kind in ("usid", "plain"):
                auxiliary = given["offset"] = self.files.input_of(rng, scan)
        elif process == "weighted":
            given = {"weights": [float(weight) for weight in rng.integers(0, 9, int(rng.integers(1, 4)))]}
        elif process == "peak-finding":
            given = {"width_min": 1.0, "width_max": 4.0, "num_steps": int(rng.integers(2, 5))}
        elif process == "curve-fit":
            given = {"components": "gaussian+offset", "max_evaluations": int(rng.integers(20, 60))}
        elif process == "signal-filter":
            given = {"sample_rate": 100.0, "low_pass": float(rng.integers(20, 45))}
        tool, defaults = PROCESSES[process]
        seen = random_seen(rng, scan, process, self.base)
        return Computation(process, tool, given, {**defaults, **given}, scan, auxiliary, seen)

    def command(self, rng, computation=None, compress=True):
        computation = computation or self.computation(rng)
        scan = computation.scan
        more = ["--cores", str(rng.integers(1, 3)), "--checkpoint", some(rng, ["0.001", "0.002", "0.01", "10"])]
        if rng.random() < 0.6:
            more += ["--memory", some(rng, ["4K", "16K", "64K", "1M"])]
        if rng.random() < 0.3:
            more += ["--durability", "process"]
        mask = np.ones(scan.count, bool)
        if rng.random() < 0.3:
            mask, selection = self.selection(rng, scan)
            more += ["--positions", selection]
        retry = computation.process == "trouble" and rng.random() < 0.4
        if retry:
            more.append("--retry-failed")
        override = bool(rng.random() < 0.1)
        if override:
            more.append("--override")
        resume = None
        usable = [
            path for (name, path), group in self.world.groups.items()
            if name == self.world.target(computation) and not group.damaged
            and group.is_surely_of(self.world.identity(computation))
        ]
        if usable and not override and rng.random() < 0.2:
            resume = some(rng, sorted(usable))
            short = resume.rsplit("/", 1)[1]
            unique = sum(path.endswith(f"/{short}") for name, path in self.world.groups) == 1
            more += ["--resume", short if unique and rng.random() < 0.5 else resume]
        if compress and rng.random() < 0.1:
            more += ["--compress", "gzip"]
        command = Command(computation, more, mask, retry, override, resume)
        if rng.random() < 0.15:
            command.folder = self.other_name()
        return command

    def other_name(self):
        """A symbolic link to the folder."""
        link = self.base / "other name"
        link.unlink(missing_ok=True)
        link.symlink_to(self.world.folder)
        return link

    def selection(self, rng, scan):
        grid, steps = scan.grid(), scan.steps()
        chosen = rng.random()
        if chosen < 0.4:
            first, last = sorted(int(at) for at in rng.integers(0, scan.count + 1, 2))
            if first == last:
                first, last = 0, scan.count
            mask = np.zeros(scan.count, bool)
            mask[first:last] = True
            return mask, f"{first}:{last}"
        if chosen < 0.7 and scan.table is None and len(grid) > 1:
            bounds = []
            mask = np.ones(scan.count, bool)
            for at, length in enumerate(grid):
                first = int(rng.integers(length))
                last = int(rng.integers(first, length)) + 1
                bounds.append(f"{first}:{last}")
                mask &= (steps[:, at] >= first) & (steps[:, at] < last)
            return mask, ",".join(bounds)
        key, mask = self.files.mask_of(rng, scan)
        return mask, key
