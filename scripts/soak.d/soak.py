"""Random files, commands, edits and kills, for as long as is asked for; `scripts/soak` sets up and calls it.

The same seed gives the same sequences: files, commands, edits, and the system calls at which runs are killed. What
is wrong first ends the soak: its folder is kept, and `--only` does that sequence alone. `--kills N` computes instead
what is folded tile by tile, over larger scans, until so many kills of each came in the midst of a run.
"""

import argparse
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

import kills
from computation import Copies
from counts import Counts
from program import Program, Wrong, say
from sequence import COUNTED, Sequence


class Job:
    """What one process of the soak does: one sequence after the other, or one history of kills."""

    def __init__(self, options, shim, base):
        self.options, self.base = options, base
        self.lines = []
        base.mkdir()
        self.program = Program(options.program, shim, base, self.note)
        self.copies = Copies(options.program, base)
        self.scans = kills.Scans(options.seed, base / "scans")

    def note(self, ended):
        self.lines.append(f"  {ended.code}: {' '.join(ended.command)}")

    def play(self, number, counts, target=None):
        """What is wrong with this sequence, if anything is."""
        folder = self.base / str(number)
        folder.mkdir()
        self.lines = []
        try:
            if target:
                kills.History(target, number, self, folder, counts).play()
            else:
                self.copies.known.clear()
                Sequence(self.options.seed, number, self.program, self.copies, folder, counts, self.lines.append).play()
        except Wrong as wrong:
            return f"{wrong}", self.lines, folder
        except Exception:
            return traceback.format_exc(), self.lines, folder
        shutil.rmtree(folder)
        return None


class Shared:
    """What all jobs know of each other: which sequence comes next, and how many kills came in the midst of a run."""

    def __init__(self, options, target, end):
        self.options, self.target, self.end = options, target, end
        self.following, self.midway = (multiprocessing.Value("q", first) for first in (options.first, 0))

    @property
    def is_over(self):
        options = self.options
        if self.target:
            return self.midway.value >= options.kills
        return time.monotonic() >= self.end or bool(options.sequences) and self.following.value >= options.sequences

    @property
    def names(self):
        return kills.COUNTED if self.target else COUNTED

    def next(self):
        with self.following.get_lock():
            self.following.value += 1
            return self.following.value - 1


def work(options, shim, base, shared, results):
    job, counts = Job(options, shim, base), Counts(shared.names)
    while not shared.is_over:
        number = shared.next()
        before = getattr(counts, "midway", 0)
        wrong = job.play(number, counts, shared.target)
        with shared.midway.get_lock():
            shared.midway.value += getattr(counts, "midway", 0) - before
        if wrong:
            results.put((number, wrong))
            if not options.go_on:
                break
    results.put((None, counts))


def main():
    options = command_line()
    folder = Path(tempfile.mkdtemp(prefix="soak-", dir=options.folder))
    shim = folder / "kill_at_call.so"
    source = Path(__file__).with_name("kill_at_call.c")
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", shim, source, "-ldl"], check=True)
    for_so_long = f"{options.kills} kills of each" if options.kills else f"{options.seconds} s"
    say(f"seed {options.seed}, {options.jobs} jobs, {for_so_long}, in {folder}")
    found = 0
    for target in kills.TARGETS if options.kills else [None]:
        if target and options.of not in (None, kills.name_of(target)):
            continue
        found += do(options, shim, folder, target)
    if not found:
        shutil.rmtree(folder)
    sys.exit(bool(found))


def do(options, shim, folder, target):
    """How much is wrong with random sequences, or with histories of a `target` that is killed."""
    begun, about = time.monotonic(), kills.name_of(target) if target else ""
    shared = Shared(options, target, begun + options.seconds)
    folder /= about
    folder.mkdir(exist_ok=True)
    if options.only is not None:
        job, counts = Job(options, shim, folder / "job"), Counts(shared.names)
        wrong = job.play(options.only, counts, target)
        found = [(options.only, wrong)] if wrong else []
        print("\n".join(job.lines))
    else:
        found, counts = play_all(options, shim, folder, shared)
    for number, (what, lines, kept) in found:
        tell(options, target, number, what, lines, kept)
    wrong = len(found) or "nothing"
    say(f"{about}{': ' if about else ''}{counts} in {time.monotonic() - begun:.0f} s with seed {options.seed}; {wrong} wrong")
    return len(found)


def play_all(options, shim, folder, shared):
    results = multiprocessing.Queue()
    jobs = [
        multiprocessing.Process(target=work, args=(options, shim, folder / f"job{job}", shared, results))
        for job in range(options.jobs)
    ]
    for job in jobs:
        job.start()
    found, counts, running = [], Counts(shared.names), len(jobs)
    while running:
        number, what = results.get()
        if number is None:
            counts.add(what)
            running -= 1
        else:
            found.append((number, what))
    for job in jobs:
        job.join()
    return found, counts


def tell(options, target, number, what, lines, folder):
    say(f"WRONG in sequence {number} of seed {options.seed}: {what}")
    for line in lines:
        print(f"    {line}", file=sys.stderr)
    again = f"--kills {options.kills} --of {kills.name_of(target)} " if target else ""
    say(f"its files are in {folder}; again by: scripts/soak {again}--seed {options.seed} --only {number}")


def command_line():
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("seconds", nargs="?", type=float, default=600, help="for how long [default: 600]")
    parser.add_argument("--seed", type=int, default=int(time.strftime("%Y%m%d")), help="[default: the day's date]")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="sequences at a time [default: all cores]")
    parser.add_argument("--first", type=int, default=0, help="number of the first sequence [default: 0]")
    parser.add_argument("--sequences", type=int, help="end with this number")
    parser.add_argument("--only", type=int, help="only the sequence of this number")
    parser.add_argument("--go-on", action="store_true", help="after something wrong as well")
    parser.add_argument("--kills", type=int, help="no random sequences, but so many kills of each that come in mid-run")
    parser.add_argument("--of", choices=[kills.name_of(target) for target in kills.TARGETS], help="only of these")
    parser.add_argument("--folder", type=Path, help="where files go [default: the system's temporary folder]")
    parser.add_argument("--program", type=Path, required=True, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
