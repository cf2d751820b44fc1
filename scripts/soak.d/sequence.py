"""One sequence: a folder of files, and what is done to them; after each step everything is checked."""

import copy
import os
import shutil
import signal
import time

import numpy as np
import reductions
from commands import Commands, Pass, Plan
from edits import edit, some
from files import Files
from program import Wrong
from settling import STOPPED, Settling
from world import World

STEPS = {
    "run": 5, "kill_at_calls": 6, "kill_at_instants": 2, "kill_once": 2, "full_disk": 1, "stop": 2, "two": 1,
    "reader": 0.05, "watch": 0.5, "change": 0.7, "adopt": 0.7, "unheard": 0.4, "refused": 0.3, "edit": 7, "look": 3,
}


# What is counted; `finished` are commits that a kill had cut short, `refused` those that h5py couldn't open.
COUNTED = (
    "sequences", "commands", "folds", "passes", "plans", "kills", "stops", "edits", "finished", "refused",
)


class Sequence(Settling):
    def __init__(self, seed, number, program, copies, base, counts, log):
        self.seed, self.number, self.program = seed, number, program
        self.base, self.counts, self.log = base, counts, log
        self.world = World(base / "files", copies)
        self.files = Files(self.world)
        self.commands = Commands(self.world, self.files, base)

    def rng(self, step):
        return np.random.default_rng([self.seed, self.number, step])

    def play(self):
        rng = self.rng(0)
        self.world.folder.mkdir()
        self.files.make_files(rng)
        self.world.check_user()
        names, weights = list(STEPS), np.array(list(STEPS.values()), float)
        for step in range(1, 2 + int(rng.integers(3, 8))):
            rng = self.rng(step)
            # Something has to be there before it can be edited or looked at.
            name = "run" if step == 1 and rng.random() < 0.4 else names[rng.choice(len(names), p=weights / weights.sum())]
            self.log(f"step {step}: {name}")
            getattr(self, f"do_{name}")(rng)
        self.counts.sequences += 1

    def command(self, rng, compress=True):
        """One computation or several."""
        command = self.commands.any(rng, compress)
        self.counts.folds += any(member.computation.is_fold for member in command.members)
        self.counts.passes += isinstance(command, Pass)
        self.counts.plans += isinstance(command, Plan)
        return command

    # Steps

    def do_run(self, rng):
        command = self.command(rng)
        self.mend(rng, command)
        before = self.look_at_all()
        ended = self.program.run(command.arguments(self.world), **self.delay(rng))
        self.counts.commands += 1
        self.settle(before, [(command, ended)])

    def do_kill_at_calls(self, rng):
        """The same command is killed at one call after the other, until it is done."""
        command = self.command(rng)
        self.mend(rng, command)
        delay = self.delay(rng)

        def kill(undisturbed):
            number = 1 + int(rng.integers(max(1, undisturbed.calls)))
            how = some(rng, ["before", "torn", "after"])
            return self.program.kill_at_call(command.arguments(self.world), number, how, **delay)

        self.kill_until_done(rng, command, delay, kill)

    def do_kill_at_instants(self, rng):
        command = self.command(rng)
        self.mend(rng, command)
        delay = self.delay(rng)

        def kill(undisturbed):
            seconds = undisturbed.seconds * rng.random()
            return self.program.signal_after(command.arguments(self.world), seconds, signal.SIGKILL, **delay)

        self.kill_until_done(rng, command, delay, kill)

    def do_kill_once(self, rng):
        """Whatever comes next finds what that left."""
        command = self.command(rng)
        self.mend(rng, command)
        before = self.look_at_all()
        number, how = 1 + int(rng.integers(150)), some(rng, ["before", "torn", "after"])
        ended = self.program.kill_at_call(command.arguments(self.world), number, how, **self.delay(rng))
        self.counts.commands += 1
        self.counts.kills += ended.was_killed
        self.settle(before, [(command, ended)])

    def kill_until_done(self, rng, command, delay, kill):
        """After all kills there is what an undisturbed run leaves, which comes first, in the same place."""
        world = self.world
        backup = self.base / "backup"
        kept_groups = {key: copy.copy(group) for key, group in world.groups.items()}
        shutil.copytree(world.folder, backup, symlinks=True)
        before = self.look_at_all()
        undisturbed = self.program.run_counted(command.arguments(world), **delay)
        self.counts.commands += 1
        told = self.settle(before, [(command, undisturbed)])
        # Anew in any case is a group more for each kill that comes late enough.
        kept = [] if command.override else told
        wanted = {(name, path): world.snapshots(name)[path].content() for name, path in kept}
        shutil.rmtree(world.folder)
        backup.rename(world.folder)
        world.groups = kept_groups
        if undisturbed.code not in (0, 3):
            return
        for _ in range(int(rng.integers(1, 9))):
            before = self.look_at_all()
            ended = kill(undisturbed)
            self.counts.commands += 1
            self.counts.kills += ended.was_killed
            self.settle(before, [(command, ended)])
            if not ended.was_killed:
                break
        else:
            before = self.look_at_all()
            ended = self.program.run(command.arguments(world), **delay)
            self.counts.commands += 1
            self.settle(before, [(command, ended)])
        for (name, path), content in wanted.items():
            found = world.snapshots(name).get(path)
            if found is None or found.content() != content:
                parts = [part for part, value in content.items() if not found or found.content().get(part) != value]
                raise Wrong(f"{name}:{path}: after the kills {parts} are not what an undisturbed run leaves")

    def do_stop(self, rng):
        command = self.command(rng)
        self.mend(rng, command)
        before = self.look_at_all()
        arguments, delay = command.arguments(self.world), self.delay(rng)
        if rng.random() < 0.3:
            ended = self.program.run([*arguments, "--stop-after", f"{rng.integers(1, 30)}ms"], **delay)
        else:
            number = some(rng, [signal.SIGINT, signal.SIGTERM])
            ended = self.program.signal_after(arguments, 0.04 * rng.random(), number, **delay)
        self.counts.commands += 1
        self.counts.stops += ended.code in STOPPED
        self.settle(before, [(command, ended)])

    def do_two(self, rng):
        """Two commands at once, often on the same file."""
        commands = [self.command(rng) for _ in range(2)]
        if rng.random() < 0.3:
            commands[1] = commands[0]
        before = self.look_at_all()
        started = [self.program.start(command.arguments(self.world), **self.delay(rng)) for command in commands]
        ended = [self.program.finish(process) for process in started]
        self.counts.commands += 2
        self.settle(before, list(zip(commands, ended)), may_be_busy=True)

    def do_reader(self, rng):
        """Somebody has the file open in h5py meanwhile."""
        command = self.commands.command(rng)
        before = self.look_at_all()
        name = self.world.target(command.computation)
        if not self.world.is_there(name):
            return
        with self.world.open(name):
            ended = self.program.run(command.arguments(self.world))
        self.counts.commands += 1
        self.settle(before, [(command, ended)], may_be_busy=True)

    def do_full_disk(self, rng):
        """From some call on nothing can be written any more; the next run goes on."""
        command = self.command(rng, compress=False)
        before = self.look_at_all()
        arguments = command.arguments(self.world)
        ended = self.program.run(arguments, full_at=1 + int(rng.integers(60)))
        self.counts.commands += 1
        self.settle(before, [(command, ended)], may_fail="the disk is full|No space left|last_pixel is not up to date")
        before = self.look_at_all()
        ended = self.program.run(arguments)
        self.counts.commands += 1
        self.settle(before, [(command, ended)])

    def do_watch(self, rng):
        """A notebook looks into the file again and again while it is computed."""
        world = self.world
        command = self.commands.command(rng)
        computation = command.computation
        before, wanted = self.look_at_all(), world.wanted(computation)
        name = world.target(computation)
        process = self.program.start(command.arguments(world), delay=200)
        while process.poll() is None:
            self.peek(before, name, computation, wanted)
        self.counts.commands += 1
        self.settle(before, [(command, self.program.finish(process))], may_be_busy=True)

    def peek(self, before, name, computation, wanted):
        """What is marked is right at any instant; a file in the midst of a change may refuse."""
        world = self.world
        try:
            found = world.snapshots(name)
        except (OSError, KeyError, RuntimeError):
            return
        for path, snapshot in found.items():
            if (name, path) in before or snapshot.tool != computation.tool or computation.process == "trouble":
                continue
            for column, right in wanted.columns.items():
                values = snapshot.columns.get(column)
                if values is None or snapshot.status is None:
                    continue
                # Of a fold all is right at once, or nothing is yet.
                marked = snapshot.status == 1 if wanted.folded is None else slice(None)
                if wanted.folded is not None and not wanted.is_whole(snapshot.status):
                    continue
                if not wanted.same(values.reshape(right.shape)[marked], right[marked]).all():
                    raise Wrong(f"{name}:{path}/{column} had wrong values at marked positions while it was computed")

    def do_change(self, rng):
        """The data change while they are computed: all marks of the run are taken back, or it was before or after."""
        world = self.world
        command = self.commands.command(rng, compress=False)
        scan = command.computation.scan
        with world.open(scan.file) as file:
            place = None if scan.kind in ("virtual", "linked") else file[scan.path].id.get_offset()
            if place is None or file.userblock_size or scan.table is not None and not scan.storage == {}:
                return
        old, before = world.identity(command.computation), self.look_at_all()
        wanted_old = world.wanted(command.computation)
        process = self.program.start(command.arguments(world), delay=int(some(rng, [20, 100, 300])))
        time.sleep(0.04 * rng.random())
        at = tuple(int(rng.integers(length)) for length in scan.data.shape)
        scan.data[at] = scan.data[at] + 1 if scan.data[at].real < 99 else scan.data[at] - 1
        offset = place + int(np.ravel_multi_index(at, scan.data.shape)) * scan.data.itemsize
        with open(world.folder / scan.file, "r+b") as file:
            file.seek(offset)
            file.write(np.array(scan.data[at], scan.data.dtype).tobytes())
        ended = self.program.finish(process)
        self.counts.commands += 1
        self.settle_changed(before, command, ended, old, wanted_old)

    def do_adopt(self, rng):
        """A group without our hash, as pyUSID makes it, is gone on with, if its parameters say all; from then on it has one."""
        world = self.world
        usable = [
            key for key, group in world.groups.items()
            if group.is_surely_of(world.identity(group.computation)) and not (group.damaged or group.mixed)
            and world.target(group.computation) == group.computation.scan.file and group.computation.scan.kind == "usid"
            # What another program says of its own results is left as it is.
            and not group.scrambled
            # The model of a fit is no parameter that other programs could have written, and no other folds.
            and group.computation.process != "curve-fit" and not group.computation.is_reduction
        ]
        chosen = some(rng, sorted(usable))
        if chosen is None:
            return
        name, path = chosen
        with world.open(name, "r+") as file:
            attributes = file[path].attrs
            for told in ("parameter_hash", "parameters", "process_version", "pixelmill_version", "source_fingerprint"):
                attributes.pop(told, None)
        self.log(f"took the hash of {name}:{path}")
        group = world.groups[chosen]
        if not group.computation.seen.is_all or group.computation.auxiliary:
            # Other programs record nothing of that, so it may be of anything.
            group.identity = None
        command = self.commands.command(rng, world.groups[chosen].computation, compress=False)
        before = self.look_at_all()
        ended = self.program.run(command.arguments(world))
        self.counts.commands += 1
        self.settle(before, [(command, ended)])
        # Whatever took another group leaves this one as it is: it can't know of changes then.
        if ended.code not in (0, 3) or ended.json()["group"] != path:
            world.groups[chosen].damaged = True

    def do_unheard(self, rng):
        """Nobody can read what is said: that ends no run, but an answer that can't be given is an error."""
        command = self.command(rng)
        before = self.look_at_all()
        arguments = command.arguments(self.world)
        with open("/dev/full", "wb") as full:
            if rng.random() < 0.5:
                ended = self.program.run(arguments, err=full)
                if ended.code != 2:  # nobody hears why it was refused
                    self.settle(before, [(command, ended)])
            else:
                ended = self.program.run(arguments, out=full)
                if ended.code in (0, 3):
                    raise Wrong(f"{ended.command} ended with {ended.code}, though its answer was lost")
                self.settle(before, [(command, ended)], may_fail="^")
        self.counts.commands += 1

    def do_refused(self, rng):
        """The file itself by another name is no place for results, and a group of something else nothing to go on with."""
        world = self.world
        command = self.commands.command(rng, compress=False)
        computation = command.computation
        arguments = command.arguments(world)
        others = [
            path for (name, path), group in sorted(world.groups.items())
            if name == world.target(computation) and group.computation.tool != computation.tool
        ]
        if others and rng.random() < 0.5:
            if command.resume or command.override:
                return
            arguments += ["--resume", some(rng, others)]
            self.refuse(arguments)
        elif computation.scan.kind != "linked":
            other = world.folder / "other name.h5"
            (os.symlink if rng.random() < 0.5 else os.link)(world.folder / computation.scan.file, other)
            if "--output" in arguments:
                arguments[arguments.index("--output") + 1] = other
            else:
                arguments += ["--output", other]
            self.refuse(arguments)
            other.unlink()

    def refuse(self, arguments):
        files = self.bytes()
        ended = self.program.run(arguments)
        self.counts.commands += 1
        if ended.code not in (1, 2) or files != self.bytes():
            raise Wrong(f"{ended.command} ended with {ended.code}, and was to be refused: {ended.err}")

    def do_edit(self, rng):
        told = edit(rng, self.world)
        if told:
            self.log(told)
            self.counts.edits += 1
            self.look_at_all()

    def do_look(self, rng):
        LOOKS = {"info": self.look_info, "status": self.look_info, "verify": self.look_verify, "test": self.look_test}
        name = some(rng, LOOKS)
        files = self.bytes()
        files = LOOKS[name](rng, name) or files
        self.counts.commands += 1
        if files != self.bytes():
            raise Wrong(f"{name} changed a file")

    def look_info(self, rng, name):
        world = self.world
        file = some(rng, sorted({scan.file for scan in world.scans} | {name for name, _ in world.groups}))
        ended = self.program.run([name, world.folder / file, "--json"])
        if ended.code != 0:
            raise Wrong(f"{ended.command} ended with {ended.code}: {ended.err}")
        told = {entry["group"]: entry for entry in ended.json()["groups"]}
        found = world.snapshots(file)
        if set(told) != set(found):
            raise Wrong(f"{name} lists {sorted(told)}, but {sorted(found)} are in {file}")
        for path, snapshot in found.items():
            group = world.groups[file, path]
            if group.damaged or group.vague:
                continue
            if told[path]["completed"] != int((snapshot.status == 1).sum()):
                raise Wrong(f"{name} says that {told[path]['completed']} positions of {file}:{path} are computed")
            failures = {entry["position"]: entry["message"] for entry in told[path]["failed"]}
            if failures != snapshot.failures():
                raise Wrong(f"{name} lists other failures of {file}:{path}: {failures}")

    def look_verify(self, rng, _):
        world = self.world
        chosen = some(rng, sorted(key for key, group in world.groups.items() if not group.damaged))
        if chosen is None:
            return
        name, path = chosen
        group = world.groups[chosen]
        snapshot = world.snapshots(name)[path]
        ended = self.program.run(["verify", world.folder / name, path, "--json"])
        same = group.is_of(world.identity(group.computation))
        if ended.code == 0 and not same and not group.vague:
            raise Wrong(f"{ended.command} found nothing wrong with results of other data: {ended.err}")
        sure = group.is_surely_of(world.identity(group.computation)) and not group.mended and (snapshot.status == 1).any()
        # Of a fold there is nothing to compare before it is done.
        sure &= group.wanted.folded is None or group.wanted.is_whole(snapshot.status)
        if sure and (ended.code != 0 or ended.json()["different"]):
            raise Wrong(f"{ended.command} ended with {ended.code}, but the results are right: {ended.out} {ended.err}")

    def look_test(self, rng, _):
        command = self.commands.command(rng)
        computation = command.computation
        position = int(rng.integers(computation.scan.count))
        arguments = ["test", *command.arguments(self.world)[1:-len(command.more)], "--pixel", str(position)]
        if "--output" in arguments:
            at = arguments.index("--output")
            del arguments[at : at + 2]
        # What the command was given has been written meanwhile.
        files = self.bytes()
        ended = self.program.run(arguments)
        # Where it shows in what order it was merged, that makes a difference.
        fails = position in self.world.wanted(computation).failing or computation.process in reductions.GATHERED
        if ended.code != 0 and not fails:
            raise Wrong(f"{ended.command} ended with {ended.code}: {ended.err}")
        return files

    def mend(self, rng, command):
        """What made positions fail is mended, now and then, or broken again."""
        for member in command.members:
            path = member.computation.given.get("mended_by")
            if path and rng.random() < 0.3:
                with open(path, "w"):
                    pass

    def delay(self, rng):
        return {"delay": int(some(rng, [20, 100, 300]))} if rng.random() < 0.3 else {}

    def bytes(self):
        return {name: (self.world.folder / name).read_bytes() for name in self.world.files()}
