"""Compares what classes compute on pyUSID's Process and on ours, and kills ours: called by `scripts/usid-check`."""

import argparse
import fcntl
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import data
import h5py
import numpy as np

HERE = Path(__file__).parent
# What only pixelmill keeps beside results.
OURS = ("digests_of_", "failed_", "failure_messages")


def started(base: str, name: str, path: Path) -> subprocess.Popen:
    """A process that has begun to compute."""
    begun, begins = os.pipe()
    command = [sys.executable, "-B", HERE / "classes.py", base, name, path, str(begins)]
    with path.with_suffix(".log").open("a") as log:
        options = {"stdout": log, "stderr": subprocess.STDOUT, "start_new_session": True, "pass_fds": [begins]}
        process = subprocess.Popen(command, **options)
    os.close(begins)
    os.read(begun, 1)
    os.close(begun)
    return process


def ended(process: subprocess.Popen, path: Path) -> None:
    if process.wait() != 0:
        sys.exit(path.with_suffix(".log").read_text())


def values(path: Path) -> dict[str, np.ndarray]:
    """All datasets of a file."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, of: found.update({name: of[()]}) if isinstance(of, h5py.Dataset) else None)
    return found


def other(one: dict[str, np.ndarray], two: dict[str, np.ndarray]) -> list[str]:
    """The datasets in which two files differ."""
    both = set(one) & set(two)
    return sorted((set(one) ^ set(two)) | {name for name in both if one[name].tobytes() != two[name].tobytes()})


def without_ours(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: value for name, value in found.items() if not name.split("/")[-1].startswith(OURS)}


def look(path: Path, whole: dict[str, np.ndarray]) -> list[int]:
    """How many positions are done by each status dataset that there is, after a look at all results of these."""
    counts = []
    with open(path) as locked:
        # What was being flushed still is; then the lock is gone.
        fcntl.flock(locked, fcntl.LOCK_SH)
    with h5py.File(path) as file:
        for name in [name for name in whole if name.split("/")[-1].startswith("completed_") and name in file]:
            status = file[name]
            done = status[()] != 0
            counts.append(int(done.sum()))
            for own in json.loads(status.attrs["results"]):
                place = f"{status.parent.name}/{own}".strip("/")
                if place in whole and file[place][()][done].tobytes() != whole[place][done].tobytes():
                    sys.exit(f"{path}: {place} is wrong where {name} says that it is done")
    return counts


def kill(name: str, source: Path, whole: dict[str, np.ndarray], seconds: float, kills: int, draw: random.Random) -> str:
    """Kills runs until so many were, going on with each until it is done."""
    path = source.with_name(f"{name}.killed.h5")
    partial = done = 0
    while done < kills:
        shutil.copy(source, path)
        while True:
            process = started("pixelmill", name, path)
            try:
                process.wait(draw.uniform(0, seconds) if done < kills and draw.random() < 0.75 else None)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                done += 1
                partial += any(0 < count for count in look(path, whole))
                continue
            ended(process, path)
            break
        if differing := other(values(path), whole):
            sys.exit(f"{path}: after kills these are other: {differing}")
    return f"{done} kills, {partial} of them with positions done"


def check(name: str, folder: Path, kills: int, draw: random.Random) -> None:
    source, theirs, ours = (folder / f"{name}{kind}.h5" for kind in ("", ".pyusid", ".pixelmill"))
    data.make(name, str(source))
    seconds = []
    for base, path in (("pyUSID", theirs), ("pixelmill", ours)):
        shutil.copy(source, path)
        process, begin = started(base, name, path), time.monotonic()
        ended(process, path)
        seconds.append(time.monotonic() - begin)
    if differing := other(values(theirs), without_ours(values(ours))):
        sys.exit(f"{name}: not pyUSID's numbers: {differing}; the files are {theirs} and {ours}")
    print(f"{name}: the bytes of pyUSID; {seconds[0]:.1f} s, and {seconds[1]:.1f} s on pixelmill", flush=True)
    if kills:
        print(
            f"{name}: {kill(name, source, values(ours), seconds[1], kills, draw)}; the same bytes in the end",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("names", nargs="*", default=data.NAMES)
    given = parser.parse_args()
    print(f"seed {given.seed}")
    folder = Path(tempfile.mkdtemp(prefix="usid-check-"))
    for name in given.names:
        check(name, folder, given.kills, random.Random(f"{given.seed} {name}"))
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
