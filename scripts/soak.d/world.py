"""What the soak knows of its files, and whether they are as it knows them.

The user's own datasets never change; a results group holds, at each marked position, what its own data and
parameters give, and elsewhere that or nothing. What another command than its own leaves of a group is what it was.
"""

import hashlib
import re

import h5py
import numpy as np
import reductions
from computation import COLUMNS, COPIED, OTHER_FAILURES, USES_AXIS, equal, expected, octets, same_bytes
from program import Wrong

STATUS, FAILED, MESSAGES = "completed_positions", "failed_positions", "failure_messages"
# Of a fold that isn't done.
CHECKPOINT = "fold_checkpoint"
# Of more kinds of failures some have no line of their own.
MOST_REASONS = 126
JOURNAL = b"pixelmill jrnl 1"
RESULTS = re.compile(r"-[A-Z][A-Za-z_]*_\d{3}$")


class Snapshot:
    """All that a results group says, as h5py reads it."""

    def __init__(self, group):
        self.path = group.name
        attributes = group.attrs
        self.tool = text(attributes["tool"])
        path = attributes.get("source_dataset_path")
        self.source = group.file[attributes["source_000"]].name if path is None else text(path)
        self.last_pixel = attributes.get("last_pixel")
        there = set(group)
        self.has_checkpoint = CHECKPOINT in there
        read = {name: group[name][()] for name in (STATUS, FAILED, MESSAGES) if name in there}
        self.status, self.failed, self.messages = (read.get(name) for name in (STATUS, FAILED, MESSAGES))
        self.columns = {name: group[name][()] for name in COLUMNS[self.tool] if name in there}

    def prefix(self):
        pending = np.flatnonzero(self.status != 1)
        return int(pending[0]) if len(pending) else len(self.status)

    def reasons(self):
        """Why positions failed, those as well that somebody has unmarked since."""
        if self.failed is None:
            return {}
        lines = [line.decode("utf8", "replace") if isinstance(line, bytes) else str(line) for line in self.messages]
        return {int(at): lines[self.failed[at]] for at in np.flatnonzero(self.failed)}

    def failures(self):
        """Failed positions with their reasons."""
        return {at: reason for at, reason in self.reasons().items() if self.status[at] == 1}

    def content(self):
        """All bytes that are the same whenever the same is computed."""
        parts = {name: values.tobytes() for name, values in self.columns.items()}
        for name, values in ((STATUS, self.status), (FAILED, self.failed), (MESSAGES, self.messages)):
            parts[name] = None if values is None else values.tobytes()
        parts[CHECKPOINT] = self.has_checkpoint
        parts["last_pixel"] = None if self.last_pixel is None else int(np.ravel(self.last_pixel)[0])
        return parts


class Group:
    """A results group as the soak expects it."""

    def __init__(self, computation, identity, wanted):
        self.computation, self.identity, self.wanted = computation, identity, wanted
        self.alternative = None  # what else it may be of, and what it holds then: other data with the same results
        self.vague = None  # why nobody can say whether it is to be reused
        self.damaged = False  # whether somebody spoilt what it says of itself
        self.mixed = False  # whether unmarked positions may hold results of other data
        self.mended = False  # whether what failed may have been computed since
        self.scrambled = False  # whether somebody wrote a wrong last_pixel
        self.stopped = None  # of a fold the marks when it was last stopped in order, which no kill takes back

    def is_of(self, identity):
        """Whether it may be of this."""
        return identity == self.identity or (self.alternative is not None and identity == self.alternative[0])

    def is_surely_of(self, identity):
        return identity == self.identity and self.alternative is None and not self.vague

    def settle(self, identity):
        """It has turned out to be of this."""
        if identity != self.identity:
            self.identity, self.wanted = self.alternative
        self.alternative = None


class Computation:
    """A process with its parameters over one scan."""

    def __init__(self, process, tool, given, settled, scan, auxiliary, seen):
        self.process, self.tool, self.given, self.settled = process, tool, given, settled
        self.scan, self.auxiliary, self.seen = scan, auxiliary, seen
        self.selected, self.selection = None, None  # positions of a fold that aren't all, and how they are typed
        self.fed_by = None  # the computation whose results it takes

    def select(self, selected, selection):
        self.selected, self.selection = selected, selection

    @property
    def is_reduction(self):
        return self.process in reductions.TOOLS

    @property
    def is_fold(self):
        return self.process in reductions.FOLDS

    def told(self):
        """What has to be the same for results to be the same."""
        scan = self.scan
        told = hashlib.sha256()
        told.update(repr((self.tool, sorted(self.settled.items()), self.process)).encode())
        told.update(repr((scan.file, scan.path, scan.data.shape, scan.positions, scan.data.dtype.str)).encode())
        told.update(repr((scan.quantity, scan.units)).encode())
        told.update(self.seen.told().encode())
        told.update(np.ascontiguousarray(scan.data).tobytes())
        if self.process in USES_AXIS:
            told.update(repr([axis.told() for axis in scan.spectrum_axes()]).encode())
        if self.selected is not None:
            told.update(self.selected.tobytes())
        if self.fed_by is not None:
            told.update(self.fed_by.told().encode())
        return told.hexdigest()


def torn(found, right, missing):
    """Which values have some of the right bytes and else those of a missing value."""
    blank = np.broadcast_to(missing, right.shape).astype(right.dtype)
    seen = octets(found.astype(right.dtype))
    return ((seen == octets(right)) | (seen == octets(blank))).all(axis=-1)


class World:
    def __init__(self, folder, copies):
        self.folder, self.copies = folder, copies
        self.scans, self.inputs, self.input_files = [], {}, {}
        self.kept = {}  # the user's own datasets: (file, path) to bytes
        self.groups = {}  # (file, path) to Group
        self.read, self.user_seen = {}, None
        self.outputs = {}  # scan's path and file to the file its results go to, or None

    # What is computed

    def wanted(self, computation):
        if computation.is_reduction or not computation.scan.is_exact:
            return self.copies.fresh(computation)
        rows = computation.seen.rows(computation.scan)
        if computation.process in COPIED:
            return self.copies.expected(computation.process, computation.given, computation.scan, rows)
        offset = self.inputs[computation.auxiliary] if computation.auxiliary else None
        return expected(computation.process, computation.settled, computation.scan, rows, offset)

    def identity(self, computation):
        """What has to be the same for results to be the same, inputs as they are now too."""
        offset = self.inputs[computation.auxiliary].tobytes() if computation.auxiliary else b""
        return computation.told() + hashlib.sha256(offset).hexdigest()

    def target(self, computation):
        """The name of the file that results go to."""
        scan = computation.scan
        output = self.outputs.get((scan.file, scan.path))
        if output:
            return output
        if scan.kind == "hspy":
            stem, extension = scan.file.rsplit(".", 1)
            return f"{stem}-{computation.tool}.{extension}"
        return scan.file

    # What is in the files

    def open(self, name, mode="r"):
        return h5py.File(self.folder / name, mode)

    def files(self):
        return sorted(path.name for path in self.folder.iterdir() if path.is_file())

    def keep(self, name, path):
        with self.open(name) as file:
            self.kept[name, path] = fingerprint(file[path])

    def is_there(self, name):
        """Whether a file has anything in it."""
        path = self.folder / name
        return path.exists() and path.stat().st_size > 0

    def digest(self, name):
        return hashlib.blake2b((self.folder / name).read_bytes()).digest()

    def snapshots(self, name):
        """The results groups of a file; read again only if the file has changed."""
        digest = self.digest(name)
        if self.read.get(name, (None,))[0] != digest:
            names = []
            with self.open(name) as file:
                file.visit(names.append)
                groups = [file[path] for path in names if RESULTS.search(path)]
                found = {group.name: Snapshot(group) for group in groups if isinstance(group, h5py.Group)}
            self.read[name] = digest, found
        return self.read[name][1]

    def has_journal(self, name):
        with open(self.folder / name, "rb") as file:
            file.seek(max(0, (self.folder / name).stat().st_size - len(JOURNAL)))
            return file.read() == JOURNAL

    # Whether that is right

    def check_user(self):
        """The user's data are what they were."""
        # Virtual and linked datasets change with other files.
        files = [self.digest(name) for name in self.files()]
        if files == self.user_seen:
            return
        for name in {name for name, _ in self.kept} | {scan.file for scan in self.scans}:
            with self.open(name) as file:
                for (owner, path), before in self.kept.items():
                    if owner == name and (path not in file or fingerprint(file[path]) != before):
                        raise Wrong(f"{name}:{path}, a dataset of the user's, was changed")
                for scan in self.scans:
                    if scan.file == name and not np.array_equal(file[scan.path][()], scan.data):
                        raise Wrong(f"{name}:{scan.path}: the data were changed")
        self.user_seen = files

    def check_litter(self):
        """Nothing is left behind."""
        for name in self.files():
            if name.endswith(".new") or name.startswith("."):
                raise Wrong(f"{name} was left behind")

    def check_group(self, name, snapshot, group):
        where = f"{name}:{snapshot.path}"
        if group.damaged:
            return
        wanted = group.wanted
        count = group.computation.scan.count
        if snapshot.status is None:
            if group.vague:
                return
            raise Wrong(f"{where} has no {STATUS}")
        if snapshot.status.shape != (count,) or not np.isin(snapshot.status, (0, 1)).all():
            raise Wrong(f"{where}: {STATUS} is {snapshot.status}")
        marked = snapshot.status == 1
        failed = np.zeros(count, bool) if snapshot.failed is None else snapshot.failed != 0
        self.check_failures(where, snapshot, group, marked, failed)
        foreign = set(snapshot.columns) - set(wanted.columns)
        if foreign:
            raise Wrong(f"{where} has datasets {sorted(foreign)}")
        lacking = set(wanted.columns) - set(snapshot.columns)
        if lacking and not group.vague:
            raise Wrong(f"{where} has no datasets {sorted(lacking)}")
        if wanted.folded is None:
            self.check_rows(where, snapshot, group, marked, failed)
        else:
            self.check_fold(where, snapshot, wanted)
        if not group.scrambled:
            self.check_last_pixel(where, snapshot)

    def check_fold(self, where, snapshot, wanted):
        """An answer of all positions is right once they are all in; before that nothing is promised of it."""
        if (snapshot.status[~wanted.folded] == 1).any():
            raise Wrong(f"{where}: positions are marked that were not asked for")
        for column, found in snapshot.columns.items():
            right = wanted.columns[column]
            if (found.dtype, found.size) != (right.dtype, right.size):
                raise Wrong(f"{where}/{column} is {found.dtype} {found.shape}, not {right.dtype} {right.shape}")
            if wanted.is_whole(snapshot.status) and found.tobytes() != right.tobytes():
                at = np.flatnonzero(~same_bytes(found.ravel(), right.ravel()))[:4]
                raise Wrong(f"{where}/{column}: {found.ravel()[at]} for {right.ravel()[at]} at {at}")

    def check_rows(self, where, snapshot, group, marked, failed):
        count, wanted = len(marked), group.wanted
        for column, right in wanted.columns.items():
            if column not in snapshot.columns:
                continue
            found = snapshot.columns[column].reshape(count, -1)
            if found.shape != right.shape or found.dtype != right.dtype:
                raise Wrong(f"{where}/{column} is {found.dtype} {found.shape}, not {right.dtype} {right.shape}")
            good = wanted.same(found, right)
            blank = equal(found, np.broadcast_to(wanted.missing(column), right.shape))
            # A kill may leave a part of a row that isn't marked, cut at the end of a page, in the midst of a record.
            part = (good | blank | torn(found, right, wanted.missing(column)) | group.mixed).all(axis=1)
            fine = np.where(marked & ~failed, good.all(axis=1), np.where(marked, blank.all(axis=1), part))
            if not fine.all():
                at = int(np.flatnonzero(~fine)[0])
                raise Wrong(
                    f"{where}/{column}: {(~fine).sum()} of {count} positions are wrong; the first is {at}, "
                    f"marked {snapshot.status[at]}, failed {int(failed[at])}: {found[at][:4]} for {right[at][:4]}"
                )

    def check_failures(self, where, snapshot, group, marked, failed):
        told = snapshot.reasons()
        kinds = len(set(group.wanted.failing.values()))
        for at, reason in told.items():
            right = group.wanted.failing.get(at)
            if group.mixed and not marked[at]:
                continue
            if right is None or not (reason == right or kinds > MOST_REASONS and reason == OTHER_FAILURES):
                raise Wrong(f"{where}: position {at} failed for {reason!r}, not {right!r}")
        if group.mended:
            return
        silent = [at for at in group.wanted.failing if marked[at] and not failed[at]]
        if silent:
            raise Wrong(f"{where}: positions {silent} had to fail and are marked as computed")

    def check_last_pixel(self, where, snapshot, exactly=False):
        value = snapshot.last_pixel
        if value is None:
            raise Wrong(f"{where} has no last_pixel")
        value, prefix = int(np.ravel(value)[0]), snapshot.prefix()
        if value > prefix or (exactly and value != prefix):
            raise Wrong(f"{where}: last_pixel is {value}, but {prefix} positions are computed without a gap")

    def check_unchanged(self, name, before, now):
        if before.content() != now.content():
            parts = [part for part, value in now.content().items() if before.content().get(part) != value]
            raise Wrong(f"{name}:{now.path}: {parts} were changed by a command that had nothing to do with it")


def fingerprint(item):
    """Numbers, type and attributes of an object of the user's."""
    told = hashlib.sha256(repr((item.dtype.str, item.shape)).encode() + np.ascontiguousarray(item[()]).tobytes())
    for name in sorted(item.attrs):
        value = item.attrs[name]
        told.update(repr((name, value if np.ndim(value) == 0 else np.asarray(value).tolist())).encode())
    return told.hexdigest()


def text(value):
    value = value[0] if isinstance(value, np.ndarray) and value.size == 1 else value
    return value.decode("utf8", "replace") if isinstance(value, bytes) else str(value)
