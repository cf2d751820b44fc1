"""What a command left: everything is checked after it, and the groups that it made become known."""

import os
import re

from program import Wrong
from world import Group

BUSY = re.compile(r"is being computed on|is open|was changed by another program just before")
TOO_LITTLE = re.compile(r"of memory are too little")
# Rings drawn by chance on a frame that has no room for them.
UNFIT = re.compile(r"detector number \d+ of \d+ has no point of the spectrum in it")
STOPPED = (130, 143)


class Settling:
    """Needs `world`, `program` and `counts` of a sequence."""

    def is_mended(self, computation):
        path = computation.given.get("mended_by")
        return bool(path) and os.path.exists(path)

    def look_at_all(self):
        """All results groups as they are."""
        found = {}
        for name in sorted({name for name, _ in self.world.groups}):
            found.update({(name, path): snapshot for path, snapshot in self.world.snapshots(name).items()})
        return found

    def settle(self, before, runs, may_be_busy=False, may_fail=None):
        """Checks everything after commands, and learns of the groups that they made; returns those that were told."""
        world = self.world
        runs = [part for command, ended in runs for part in command.parts(ended)]
        was_killed = any(ended.code < 0 for _, ended in runs)
        reusable = [self.reusable(before, command) for command, _ in runs]
        self.finish_commits()
        world.check_user()
        now = {}
        for name in sorted({name for name, _ in world.groups} | {world.target(command.computation) for command, _ in runs}):
            if world.is_there(name):
                now.update({(name, path): snapshot for path, snapshot in world.snapshots(name).items()})
        lost = set(before) - set(now)
        if lost:
            raise Wrong(f"{sorted(lost)} are gone")
        made = self.learn(before, now, runs)
        identities = [identity for identity, _, _ in reusable]
        for key, snapshot in now.items():
            self.check_one(before, key, snapshot, list(zip(runs, identities)))
        told = []
        for (command, ended), usable in zip(runs, reusable):
            path = self.check_answer(now, command, ended, usable, made, may_be_busy, may_fail)
            if path:
                told.append((world.target(command.computation), path))
        if not was_killed:
            world.check_litter()
        return told

    def finish_commits(self):
        """What a kill in the midst of a change left is finished by any command that looks at the file."""
        world = self.world
        for name in world.files():
            # What a kill leaves of an output file that was just being created.
            if not world.is_there(name):
                continue
            try:
                with world.open(name):
                    pass
                opens = True
            except OSError:
                opens = False
            if not world.has_journal(name):
                if not opens and not name.endswith(".new"):
                    raise Wrong(f"h5py can't open {name}")
                continue
            self.counts.finished += 1
            self.counts.refused += not opens
            ended = self.program.run(["info", world.folder / name, "--json"])
            if ended.code != 0 or world.has_journal(name):
                raise Wrong(f"{ended.command} doesn't finish a commit that was cut short: {ended.err}")

    def reusable(self, before, command):
        """Groups that have to be gone on with, or None where nobody can say."""
        world = self.world
        name, identity = world.target(command.computation), world.identity(command.computation)
        known = {key: group for key, group in world.groups.items() if key[0] == name and key in before}
        sure = {key for key, group in known.items() if group.is_surely_of(identity)}
        vague = {key for key, group in known.items() if group.is_of(identity)} - sure
        return identity, sure, vague

    def learn(self, before, now, runs):
        world, made = self.world, []
        for key in sorted(set(now) - set(before)):
            name, path = key
            fitting = [
                (command.computation, ended)
                for command, ended in runs
                if world.target(command.computation) == name
                and (command.computation.tool, command.computation.scan.path) == (now[key].tool, now[key].source)
            ]
            if not fitting:
                raise Wrong(f"{name}:{path} was made by nobody")
            told = [computation for computation, ended in fitting if f'"group":"{path}"' in ended.out]
            computation = (told or [computation for computation, _ in fitting])[0]
            group = Group(computation, world.identity(computation), world.wanted(computation))
            group.mended = self.is_mended(computation)
            if computation.fed_by is not None:
                group.vague = "what it was made from may lie in another group by now"
            world.groups[key] = group
            made.append(key)
        if len(made) > len(runs):
            raise Wrong(f"{made} are more groups than commands")
        return made

    def check_one(self, before, key, snapshot, runs):
        world, group = self.world, self.world.groups[key]
        name, _ = key
        owners = [
            (command, ended)
            for (command, ended), identity in runs
            if world.target(command.computation) == name and group.is_of(identity)
        ]
        earlier = before.get(key)
        if not owners:
            if earlier is not None:
                world.check_unchanged(name, earlier, snapshot)
            return
        for command, _ in owners:
            group.mended = group.mended or self.is_mended(command.computation)
        if group.damaged:
            return
        if group.alternative is not None and not self.fits(group, key, snapshot):
            group.settle(group.alternative[0])
        world.check_group(name, snapshot, group)
        if earlier is not None and earlier.status is not None and snapshot.status is not None and not group.vague:
            kept = earlier.status == 1
            if group.wanted.folded is not None and not group.wanted.is_whole(earlier.status):
                # What isn't in a fold's checkpoint yet is folded again.
                kept &= False if group.stopped is None else group.stopped
            if any(command.retry for command, _ in owners) and earlier.failed is not None:
                kept &= earlier.failed == 0
            if not (snapshot.status[kept] == 1).all():
                raise Wrong(f"{name}:{snapshot.path}: marks were lost")

    def check_answer(self, now, command, ended, usable, made, may_be_busy, may_fail):
        world = self.world
        identity, sure, vague = usable
        if ended.code < 0:
            return None
        if may_fail and re.search(may_fail, ended.err):
            return None
        if ended.code == 1 and may_be_busy and BUSY.search(ended.err):
            return None
        if ended.code == 2 and TOO_LITTLE.search(ended.err) or ended.code == 1 and UNFIT.search(ended.err):
            return None
        if ended.code in STOPPED:
            told = ended.json() if ended.out.strip() else {}
            if "group" in told:
                key = self.check_state(now, command, told, identity)
                world.groups[key].stopped = now[key].status == 1
            return None
        if ended.code not in (0, 3):
            raise Wrong(f"{ended.command} ended with {ended.code}: {ended.err}")
        told = ended.json()
        key = self.check_state(now, command, told, identity, alone=not may_be_busy)
        group, snapshot = world.groups[key], now[key]
        if group.damaged:
            return told["group"]
        if not (snapshot.status[command.mask] == 1).all():
            raise Wrong(f"{ended.command} ended with {ended.code}, but not all positions are computed")
        if snapshot.has_checkpoint and not may_be_busy and group.wanted.is_whole(snapshot.status):
            raise Wrong(f"{ended.command} left what a fold is resumed from in {key}")
        failures = {entry["position"]: entry["message"] for entry in told["failed"]}
        stale = may_be_busy and set(failures) < set(snapshot.failures())
        if not stale and failures != snapshot.failures() or (ended.code == 3) != bool(failures):
            raise Wrong(f"{ended.command} ended with {ended.code} and told {failures}, not {snapshot.failures()}")
        if command.retry and self.is_mended(command.computation) and any(command.mask[at] for at in failures):
            raise Wrong(f"{ended.command} left failures that can be computed now: {failures}")
        if not may_be_busy and not command.override and key in made and sure:
            raise Wrong(f"{ended.command} made {key}, though {sorted(sure)} are there")
        if command.resume and told["group"] != command.resume:
            raise Wrong(f"{ended.command} went on with {told['group']}")
        if command.override and key not in made:
            raise Wrong(f"{ended.command} made no new group")
        return told["group"]

    def check_state(self, now, command, told, identity, alone=True):
        """The group that was told is the right one, and says itself how far it is."""
        world = self.world
        key = (world.target(command.computation), told["group"])
        if key not in now:
            raise Wrong(f"{told['group']} isn't there, only {sorted(now)}")
        group, snapshot = world.groups[key], now[key]
        if not group.is_of(identity):
            raise Wrong(f"{key} was taken for results of {command.computation.given}, but they are of something else")
        group.settle(identity)
        # Of two at a time one may have no chance to mend it, and leaves it to the next.
        group.scrambled = group.scrambled and not alone
        if not group.damaged:
            if not group.scrambled:
                world.check_last_pixel(f"{key[0]}:{key[1]}", snapshot, exactly=True)
            done = int((snapshot.status == 1).sum())
            if told["completed"] > done or (alone and told["completed"] < done):
                raise Wrong(f"{told['completed']} positions were told, not {done}")
        return key

    def settle_changed(self, before, command, ended, old, wanted_old):
        """Results of the data before or after; or none, where the run has seen both."""
        world, computation = self.world, command.computation
        now = {}
        name = world.target(computation)
        if world.is_there(name):
            now = {(name, path): snapshot for path, snapshot in world.snapshots(name).items()}
        new = world.identity(computation)
        wanted_new = world.wanted(computation)
        for key, snapshot in now.items():
            known = world.groups.get(key)
            if known is None:
                known = world.groups[key] = Group(computation, new, wanted_new)
                known.mended = self.is_mended(computation)
                is_of_new = self.fits(known, key, snapshot)
                known.identity, known.wanted = old, wanted_old
                if ended.code in (0, 3) and not self.fits(known, key, snapshot):
                    known.identity, known.wanted = new, wanted_new
                elif ended.code in (0, 3) and is_of_new:
                    known.alternative = (new, wanted_new)
            elif not (known.is_of(old) or known.is_of(new)):
                continue
            earlier = before.get(key)
            is_taken_back = (snapshot.status == (0 if earlier is None else earlier.status)).all()
            # Nothing is left of a fold then.
            is_taken_back |= computation.is_fold and not snapshot.status.any()
            if ended.code == 1 and not is_taken_back:
                if not known.vague and not command.retry:
                    raise Wrong(f"{ended.command} saw its data change, but its marks in {key} are there")
            if ended.code == 1:
                known.vague = known.vague or "the data changed while it was computed"
                known.mixed = True
            elif not known.damaged:
                world.check_group(name, snapshot, known)
        if ended.code not in (0, 1, 3) and not (ended.code == 2 and TOO_LITTLE.search(ended.err)):
            raise Wrong(f"{ended.command} ended with {ended.code}: {ended.err}")
        world.check_user()

    def fits(self, group, key, snapshot):
        try:
            self.world.check_group(key[0], snapshot, group)
        except Wrong:
            return False
        return True
