"""Random commands: which processes over which scan, and everything that may be asked of a run."""

import json
import math

import numpy as np
import reductions
from computation import COPIED, PROCESSES, TAKES_COMPLEX, TAKES_LARGE
from edits import some
from program import Wrong
from seen import PROCESSES as SEES_PARTS
from seen import random_seen
from settling import STOPPED
from world import Computation


class Command:
    """A run as it is typed."""

    def __init__(self, computation, mask, selection, retry, override):
        self.computation, self.mask, self.selection = computation, mask, selection
        self.retry, self.override = retry, override
        self.more = []
        self.resume = None  # the group that it is to go on with
        self.folder = None  # another name of the folder, if it is called by that

    @property
    def members(self):
        """The same for each computation of it."""
        return [self]

    def parts(self, ended):
        """What it said of each."""
        return [(self, ended)]

    def arguments(self, world):
        computation = self.computation
        given = ["run", computation.process, *source(self, world)]
        for name, value in computation.given.items():
            given += ["-p", f"{name}={spelled(value)}"]
        return given + computation.seen.options() + output(self, world) + self.more


def source(command, world):
    scan = command.computation.scan
    others = len(world.scans) > 1 or scan.kind != "usid" and bool(world.kept)
    return [(command.folder or world.folder) / scan.file, "--json", *scan.options(others)]


def output(command, world):
    scan = command.computation.scan
    name = world.outputs.get((scan.file, scan.path))
    return ["--output", (command.folder or world.folder) / name] if name else []


class Several:
    """A run of several computations."""

    def __init__(self, members, more):
        self.members, self.more = members, more
        self.folder = None

    @property
    def computation(self):
        return self.members[0].computation

    @property
    def override(self):
        return self.members[0].override

    def parts(self, ended):
        told = ended.json() if ended.code in (0, 3) or ended.code in STOPPED and ended.out.strip() else {}
        # A plan of one step is answered as its command would be.
        told = told.get("computations", [told] if "group" in told else [])
        if ended.code in (0, 3) and len(told) != len(self.members):
            raise Wrong(f"{ended.command} tells of {len(told)} computations: {ended.out}")
        if ended.code in (0, 3) and (ended.code == 3) != any(part["failed"] for part in told):
            raise Wrong(f"{ended.command} ended with {ended.code}: {ended.out}")
        if not told:
            return [(member, ended.part(ended.code, None)) for member in self.members]
        codes = [(3 if part["failed"] else 0) if ended.code in (0, 3) else ended.code for part in told]
        return [(member, ended.part(code, part)) for member, code, part in zip(self.members, codes, told)]


class Pass(Several):
    """Computations that see the same, named together."""

    def arguments(self, world):
        given = ["run", ",".join(member.computation.process for member in self.members), *source(self, world)]
        for member in self.members:
            computation = member.computation
            for name, value in computation.given.items():
                given += ["-p", f"{computation.process}.{name}={spelled(value)}"]
        return given + self.computation.seen.options() + output(self, world) + self.more


class Plan(Several):
    """Computations of one file with one output, in a plan, each with options of its own."""

    def __init__(self, members, more, path, names_file):
        super().__init__(members, more)
        self.path, self.names_file = path, names_file

    def arguments(self, world):
        file = (self.folder or world.folder) / self.computation.scan.file
        steps = [self.step(number, world) for number in range(len(self.members))]
        plan = {"file": str(file)} if self.names_file else {}
        if self.path.suffix == ".json":
            self.path.write_text(json.dumps({**plan, "step": steps}))
        else:
            tables = [lines(plan)] + ["[[step]]\n" + lines(step) for step in steps]
            self.path.write_text("\n".join(tables))
        given = ["run"] if self.names_file else ["run", file]
        return [*given, "--plan", self.path, "--json", *output(self, world), *self.more]

    def step(self, number, world):
        member = self.members[number]
        computation, scan = member.computation, member.computation.scan
        parameters = dict(computation.given)
        if computation.fed_by is not None:
            feeding = [other.computation for other in self.members].index(computation.fed_by)
            parameters["shifts"] = f"@step{feeding}/Shifts"
        told = {"process": computation.process, "name": f"step{number}", "dataset": scan.path, "parameters": parameters}
        if not scan.is_named:
            told["positions_axes"] = scan.positions
        if computation.seen.crop is not None:
            told["crop"] = computation.seen.crop_text()
        if computation.seen.dark is not None:
            told["dark"] = str(computation.seen.dark[0])
        if member.selection is not None:
            told["positions"] = member.selection
        return told


def lines(table):
    """A table as TOML."""
    def value(given):
        if isinstance(given, dict):
            return "{ " + ", ".join(f"{name} = {value(inner)}" for name, inner in given.items()) + " }"
        return json.dumps(given)

    return "".join(f"{name} = {value(given)}\n" for name, given in table.items())


def spelled(value):
    if isinstance(value, bool):
        return str(value).lower()
    return value


class Commands:
    """Makes commands for a world; `base` is a folder that never moves."""

    def __init__(self, world, files, base):
        self.world, self.files, self.base = world, files, base
        self.plans = 0

    def any(self, rng, compress=True):
        """One computation, several in a pass, or a plan."""
        chosen = rng.random()
        if chosen < 0.6:
            return self.command(rng, compress=compress)
        return (self.in_a_pass if chosen < 0.85 else self.planned)(rng, compress)

    def computation(self, rng, scan=None):
        scan = scan or some(rng, self.world.scans)
        earlier = self.earlier(scan)
        if earlier and rng.random() < 0.6:
            return some(rng, earlier)
        process = some(rng, self.processes(scan))
        computation = self.new(rng, scan, process, random_seen(rng, scan, process, self.base))
        if computation.is_fold:
            computation.select(*self.selection(rng, scan))
        return computation

    def beside(self, rng, others, selected):
        """One more in a pass: it sees the same of the same positions. None if there is none."""
        scan, seen = others[0].scan, others[0].seen
        taken = {other.process for other in others}
        earlier = [
            computation for computation in self.earlier(scan)
            if computation.process not in taken and computation.seen.told() == seen.told()
            and not (computation.is_fold and computation.selection != selected[1])
        ]
        if earlier and rng.random() < 0.6:
            return some(rng, earlier)
        processes = [name for name in self.processes(scan) if name not in taken]
        if not seen.is_all:
            processes = [name for name in processes if name in SEES_PARTS]
        if seen.crop is not None:
            processes = [name for name in processes if name not in reductions.FRAMES]
        if not processes:
            return None
        computation = self.new(rng, scan, some(rng, processes), seen)
        if computation.is_fold:
            computation.select(*selected)
        return computation

    def earlier(self, scan):
        computations = [group.computation for group in self.world.groups.values()]
        # What takes results of others is typed in plans alone.
        return [computation for computation in computations if computation.scan is scan and computation.fed_by is None]

    def processes(self, scan):
        names = [name for name in PROCESSES if not scan.is_complex or name in TAKES_COMPLEX]
        lengths = [len(axis.values) for axis in scan.spectrum_axes()]
        if len(lengths) > 1 or scan.points < 8:
            names = [name for name in names if name not in COPIED]
        if len(lengths) != 2 or math.prod(lengths) != scan.points or min(lengths) < 3:
            names = [name for name in names if name not in reductions.FRAMES]
        return [name for name in names if name in TAKES_LARGE] if scan.is_large else names

    def new(self, rng, scan, process, seen):
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
        elif process in reductions.TOOLS:
            given = reductions.random_parameters(rng, process, scan)
        tool, defaults = PROCESSES[process]
        return Computation(process, tool, given, {**defaults, **given}, scan, auxiliary, seen)

    def command(self, rng, computation=None, compress=True):
        computation = computation or self.computation(rng)
        more, override, retry = self.asked(rng, [computation], compress)
        command = self.member(computation, self.selection(rng, computation.scan), override, retry)
        if command.selection:
            more += ["--positions", command.selection]
        usable = [
            path for (name, path), group in self.world.groups.items()
            if name == self.world.target(computation) and not group.damaged
            and group.is_surely_of(self.world.identity(computation))
        ]
        if usable and not override and rng.random() < 0.2:
            command.resume = some(rng, sorted(usable))
            short = command.resume.rsplit("/", 1)[1]
            unique = sum(path.endswith(f"/{short}") for name, path in self.world.groups) == 1
            more += ["--resume", short if unique and rng.random() < 0.5 else command.resume]
        command.more = more
        return self.by_other_name(rng, command)

    def in_a_pass(self, rng, compress):
        computations = [self.computation(rng)]
        selected = computations[0].selected, computations[0].selection
        if not computations[0].is_fold:
            selected = self.selection(rng, computations[0].scan)
        for _ in range(int(rng.integers(1, 4))):
            another = self.beside(rng, computations, selected)
            if another:
                computations.append(another)
        more, *how = self.asked(rng, computations, compress)
        if selected[1]:
            more += ["--positions", selected[1]]
        members = [self.member(computation, selected, *how) for computation in computations]
        if len(members) == 1:
            members[0].more = more
            return members[0]
        return self.by_other_name(rng, Pass(members, more))

    def planned(self, rng, compress):
        world = self.world
        computations = [self.computation(rng)]
        first = computations[0].scan
        output = world.outputs.get((first.file, first.path))
        scans = [scan for scan in world.scans if scan.file == first.file
                 and world.outputs.get((scan.file, scan.path)) == output]
        for _ in range(int(rng.integers(1, 4))):
            another = self.computation(rng, some(rng, scans))
            if not any((another.scan, another.tool) == (other.scan, other.tool) for other in computations):
                computations.append(another)
        feeding = [computation for computation in computations if computation.process == "center-of-mass"]
        if feeding and feeding[0].selected is None and not any(other.process == "masks" for other in computations):
            fed = self.new(rng, feeding[0].scan, "masks", random_seen(rng, feeding[0].scan, "masks", self.base))
            fed.fed_by = feeding[0]
            computations.insert(int(rng.integers(computations.index(feeding[0]), len(computations))) + 1, fed)
        more, *how = self.asked(rng, computations, compress)
        members = [
            self.member(computation, self.selection(rng, computation.scan), *how) for computation in computations
        ]
        # Two of them may run at the same time.
        self.plans += 1
        path = self.base / f"plan{self.plans}.{some(rng, ['toml', 'json'])}"
        return self.by_other_name(rng, Plan(members, more, path, bool(rng.random() < 0.5)))

    def member(self, computation, selected, override, retry):
        """A command, or one of several, over these positions if the computation itself isn't of some."""
        if computation.is_fold:
            selected = computation.selected, computation.selection
        mask = np.ones(computation.scan.count, bool) if selected[0] is None else selected[0]
        return Command(computation, mask, selected[1], retry, override)

    def asked(self, rng, computations, compress):
        """Options of a run, and whether it is anew in any case or computes failed positions again."""
        reduced = any(computation.is_reduction for computation in computations)
        cores, memories = ([1, 2, 4], ["1M", "4M", "32M", "256M"]) if reduced else ([1, 2], ["4K", "16K", "64K", "1M"])
        more = ["--cores", str(some(rng, cores)), "--checkpoint", some(rng, ["0.001", "0.002", "0.01", "10"])]
        if rng.random() < 0.6:
            more += ["--memory", some(rng, memories)]
        if rng.random() < 0.3:
            more += ["--durability", "process"]
        retry = any(computation.process == "trouble" for computation in computations) and rng.random() < 0.4
        # All positions of a fold are one answer.
        retry = retry and not any(computation.is_fold for computation in computations)
        if retry:
            more.append("--retry-failed")
        override = bool(rng.random() < 0.1)
        if override:
            more.append("--override")
        if compress and rng.random() < 0.1:
            more += ["--compress", "gzip"]
        return more, override, retry

    def by_other_name(self, rng, command):
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
        """Some positions and how they are typed, or neither."""
        mask, typed = self.some_positions(rng, scan) if rng.random() < 0.3 else (None, None)
        return (None, None) if mask is None or mask.all() else (mask, typed)

    def some_positions(self, rng, scan):
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
