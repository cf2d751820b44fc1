"""What people do to their files between two commands, by h5py and on the disk; the soak's knowledge follows.

Each edit returns what it did, in words, or None if there was nothing to do it to.
"""

import os
import shutil
import subprocess

import h5py
import numpy as np
from layouts import numbers
from world import CHECKPOINT, FAILED, MESSAGES, STATUS


def some(rng, things):
    things = list(things)
    return things[rng.integers(len(things))] if things else None


def some_group(rng, world):
    return some(rng, sorted(world.groups))


def change_data(rng, world):
    """Some numbers of a scan are measured again."""
    scan = some(rng, world.scans)
    for _ in range(rng.integers(1, 4)):
        at = tuple(int(rng.integers(length)) for length in scan.data.shape)
        # Another number for certain, and one that every type holds.
        value = scan.data[at] + 1 if scan.data[at].real < 99 else scan.data[at] - 1
        scan.data[at] = value
        put_value(world, scan, at, value)
    return f"changed numbers of {scan.file}:{scan.path}"


def put_value(world, scan, at, value):
    for name, path, first, last in scan.parts or [(scan.file, scan.path, 0, scan.data.shape[0])]:
        if first <= at[0] < last:
            with world.open(name, "r+") as file:
                file[path][(at[0] - first, *at[1:])] = value


def change_all_data(rng, world):
    scan = some(rng, world.scans)
    scan.data = numbers(rng, scan.data.shape, scan.data.dtype)
    for name, path, first, last in scan.parts or [(scan.file, scan.path, 0, scan.data.shape[0])]:
        with world.open(name, "r+") as file:
            file[path][()] = scan.data[first:last]
    return f"measured {scan.file}:{scan.path} again"


def change_input(rng, world):
    """Numbers of a dataset that a process was given beside the data."""
    path = some(rng, sorted(world.inputs))
    if path is None:
        return None
    values = world.inputs[path].copy()
    values[rng.integers(len(values))] += 1
    world.inputs[path] = values
    with world.open(world.input_files[path], "r+") as file:
        file[path][()] = values
    return f"changed {path}"


def change_axis(rng, world):
    """The spectrum's axis is corrected; of those that results depend on, only where the soak knows how."""
    scan = some(rng, [scan for scan in world.scans if scan.kind in ("usid", "hspy", "scales", "nsid", "nexus")])
    if scan is None:
        return None
    axes = scan.spectrum_axes()
    axis = axes[-1]
    axis.values = axis.values + 32.0
    with world.open(scan.file, "r+") as file:
        dataset = file[scan.path]
        if scan.kind == "usid":
            file[dataset.attrs["Spectroscopic_Values"]][len(axes) - 1] += 32.0
        elif scan.kind == "hspy":
            group = dataset.parent[f"axis-{scan.axes.index(axis)}"]
            group.attrs["offset"] = axis.values[0]
        else:
            dataset.parent[axis.name][()] = axis.values
    for group in world.groups.values():
        if group.computation.scan is scan:
            group.vague = group.vague or "the axis was changed"
    return f"moved the axis {axis.name} of {scan.file}:{scan.path}"


def change_units(rng, world):
    scan = some(rng, [scan for scan in world.scans if scan.kind in ("usid", "nsid", "nexus")])
    if scan is None:
        return None
    scan.units = "pA" if scan.units == "nA" else "nA"
    with world.open(scan.file, "r+") as file:
        file[scan.path].attrs["units"] = scan.units
    return f"changed the units of {scan.file}:{scan.path}"


def retype_attributes(rng, world):
    """Attributes of ours in other spellings of the same."""
    chosen = some_group(rng, world)
    if chosen is None:
        return None
    name, path = chosen
    with world.open(name, "r+") as file:
        attributes = file[path].attrs
        which = some(rng, ["last_run", "tool", "parameter_hash", "last_pixel", "parameters", "timestamp"])
        if which not in attributes:
            return None
        value = attributes[which]
        if which == "last_pixel":
            value = int(np.ravel(value)[0])
            attributes[which] = some(rng, [np.int32(value), np.uint16(value), np.array([value], "i8"), np.int64(value)])
        else:
            value = value.decode() if isinstance(value, bytes) else str(np.ravel(value)[0])
            spellings = [np.bytes_(value.encode() + b" " * 0), value, np.array([value.encode()])]
            del attributes[which]
            attributes[which] = some(rng, spellings)
    return f"wrote {which} of {name}:{path} in another type"


def unmark(rng, world):
    chosen = some_group(rng, world)
    if chosen is None or world.groups[chosen].damaged:
        return None
    name, path = chosen
    with world.open(name, "r+") as file:
        world.groups[chosen].stopped = None
        status = file[path][STATUS][()]
        status[rng.random(len(status)) < rng.random()] = 0
        file[path][STATUS][()] = status
        file[path].attrs["last_pixel"] = np.int64(prefix(status))
    return f"unmarked positions of {name}:{path}"


def prefix(status):
    pending = np.flatnonzero(status != 1)
    return int(pending[0]) if len(pending) else len(status)


def scramble_last_pixel(rng, world):
    chosen = some_group(rng, world)
    if chosen is None:
        return None
    name, path = chosen
    with world.open(name, "r+") as file:
        file[path].attrs["last_pixel"] = np.int64(rng.integers(0, 500))
    world.groups[chosen].scrambled = True
    return f"scrambled last_pixel of {name}:{path}"


def append_dataset(rng, world):
    """More of the user's own data, also beside results."""
    name = some(rng, sorted({name for name, _ in world.kept}))
    chosen = some_group(rng, world)
    parent = "" if chosen is None or chosen[0] != name or rng.random() < 0.5 else chosen[1]
    path = f"{parent}/appended {len(world.kept)}"
    with world.open(name, "r+") as file:
        file.create_dataset(path, data=rng.integers(0, 255, int(rng.integers(1, 3000)), dtype="u1"))
    world.keep(name, path)
    return f"appended {name}:{path}"


def delete_group(rng, world):
    chosen = some_group(rng, world)
    if chosen is None or holds_kept(world, chosen):
        return None
    name, path = chosen
    with world.open(name, "r+") as file:
        forget_experiments(file, path)
        del file[path]
    del world.groups[chosen]
    return f"deleted {name}:{path}"


def forget_experiments(file, path):
    """HyperSpy's second names of the results."""
    stem = path.lstrip("/").replace("/", "_")
    for title in [title for title in file.get("Experiments", {}) if title.startswith(f"{stem} ")]:
        del file["Experiments"][title]


def holds_kept(world, chosen):
    return any(name == chosen[0] and path.startswith(f"{chosen[1]}/") for name, path in world.kept)


def rename_group(rng, world):
    chosen = some_group(rng, world)
    if chosen is None or holds_kept(world, chosen):
        return None
    name, path = chosen
    new = f"{path[: path.rindex('_')]}_{int(rng.integers(100, 999)):03}"
    if (name, new) in world.groups:
        return None
    with world.open(name, "r+") as file:
        file.move(path, new)
    group = world.groups.pop(chosen)
    group.vague = group.vague or "it was renamed"
    world.groups[name, new] = group
    return f"renamed {name}:{path} to {new}"


def repack(rng, world):
    """h5repack, as after --compress; the file is another one then."""
    if not shutil.which("h5repack"):
        return None
    name = some(rng, sorted({scan.file for scan in world.scans} | {name for name, _ in world.groups}))
    if any(scan.kind in ("virtual", "linked") and scan.file == name for scan in world.scans):
        return None
    packed = world.folder / "packed"
    done = subprocess.run(["h5repack", world.folder / name, packed], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    # Versions of h5repack lose references.
    if done.returncode != 0 or attributes_of(packed) != attributes_of(world.folder / name):
        packed.unlink(missing_ok=True)
        return None
    os.replace(packed, world.folder / name)
    for (owner, _), group in world.groups.items():
        if owner == name:
            group.vague = group.vague or "it was repacked"
    return f"repacked {name}"


def attributes_of(path):
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: set(item.attrs)}))
    return found


def copy_back(rng, world):
    """A copy takes the place of a file, as a restored backup."""
    name = some(rng, sorted({scan.file for scan in world.scans} | {name for name, _ in world.groups}))
    copy = world.folder / "copy"
    (shutil.copy2 if rng.random() < 0.5 else shutil.copy)(world.folder / name, copy)
    os.replace(copy, world.folder / name)
    return f"replaced {name} by its copy"


def move_folder(rng, world):
    """Everything goes to another folder."""
    new = world.folder.with_name(f"moved {int(rng.integers(1000))}")
    if new.exists():
        return None
    world.folder.rename(new)
    world.folder = new
    return f"moved the folder to {new.name}"


def delete_column(rng, world):
    chosen = some_group(rng, world)
    if chosen is None:
        return None
    name, path = chosen
    group = world.groups[chosen]
    column = some(rng, sorted(group.wanted.columns))
    with world.open(name, "r+") as file:
        if column not in file[path]:
            return None
        forget_experiments(file, path)
        del file[path][column]
    group.vague = group.vague or "one of its datasets was deleted"
    return f"deleted {name}:{path}/{column}"


def damage_markers(rng, world):
    """What a group keeps its state in gets another type or length."""
    chosen = some_group(rng, world)
    if chosen is None:
        return None
    name, path = chosen
    with world.open(name, "r+") as file:
        group = file[path]
        which = some(rng, [STATUS, FAILED, MESSAGES])
        if which not in group:
            return None
        values = group[which][()]
        del group[which]
        if which == MESSAGES:
            group[which] = values[: rng.integers(1, 4)]
        elif rng.random() < 0.5:
            group[which] = values.astype(some(rng, ["i4", "u2", "i8", "i1"]))
        else:
            group[which] = values[: max(1, len(values) // 2)]
        beside = f"beside {which}"
        while beside in group:
            beside += " and one more"
        group.create_dataset(beside, data=np.full(3000, 0x5A, "u1"))
    world.keep(name, f"{path}/{beside}")
    world.groups[chosen].damaged = True
    world.groups[chosen].vague = "what it keeps its state in was changed"
    return f"gave {name}:{path}/{which} another type or length"


def spoil_checkpoint(rng, world):
    """What a fold would be resumed from, one of two or both, is another one's, or half written."""
    for name, path in sorted(world.groups):
        with world.open(name, "r+") as file:
            if CHECKPOINT not in file[path]:
                continue
            octets = file[path][CHECKPOINT][()]
            half = len(octets) // 2
            for start in some(rng, [(0,), (half,), (0, half)]):
                first, last = np.sort(rng.integers(0, half + 1, 2)) + start
                octets[first:last] ^= np.uint8(rng.integers(1, 256))
            file[path][CHECKPOINT][()] = octets
        world.groups[name, path].stopped = None
        return f"spoilt what {name}:{path} is resumed from"
    return None


EDITS = {
    change_data: 5, change_all_data: 1, change_input: 2, change_axis: 3, change_units: 1, retype_attributes: 3, unmark: 4,
    scramble_last_pixel: 3, append_dataset: 3, delete_group: 2, rename_group: 1, repack: 1, copy_back: 2,
    move_folder: 2, delete_column: 1, damage_markers: 1, spoil_checkpoint: 3,
}


def edit(rng, world):
    weights = np.array(list(EDITS.values()), float)
    chosen = list(EDITS)[rng.choice(len(EDITS), p=weights / weights.sum())]
    return chosen(rng, world)
