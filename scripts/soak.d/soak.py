"""Random files, commands, edits and kills, for as long as is asked for; `scripts/soak` sets up and calls it.

The same seed gives the same sequences: files, commands, edits, and the system calls at which runs are killed. What
is wrong first ends the soak: its folder is kept, and `--only` does that sequence alone.
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

from computation import Copies
from program import Program, Wrong, say
from sequence import Counts, Sequence


class Job:
    """What one process of the soak does: one sequence after the other."""

    def __init__(self, options, shim, base):
        self.options, self.shim, self.base = options, shim, base
        self.counts = Counts()
        self.lines = []
        base.mkdir()
        self.program = Program(options.program, shim, base, self.note)
        self.copies = Copies(options.program, base)

    def note(self, ended):
        self.lines.append(f"  {ended.code}: {' '.join(ended.command)}")

    def play(self, number):
        """What is wrong with this sequence, if anything is."""
        folder = self.base / str(number)
        folder.mkdir()
        self.lines = []
        self.copies.known.clear()
        try:
            Sequence(self.options.seed, number, self.program, self.copies, folder, self.counts, self.lines.append).play()
        except Wrong as wrong:
            return f"{wrong}", self.lines, folder
        except Exception:
            return traceback.format_exc(), self.lines, folder
        shutil.rmtree(folder)
        return None


def work(options, shim, base, following, results, end):
    job = Job(options, shim, base)
    while time.monotonic() < end and not (options.sequences and following.value >= options.sequences):
        with following.get_lock():
            number = following.value
            following.value += 1
        wrong = job.play(number)
        if wrong:
            results.put((number, wrong))
            if not options.go_on:
                break
    results.put((None, job.counts))


def main():
    options = command_line()
    folder = Path(tempfile.mkdtemp(prefix="soak-", dir=options.folder))
    shim = folder / "kill_at_call.so"
    source = Path(__file__).with_name("kill_at_call.c")
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", shim, source, "-ldl"], check=True)
    say(f"seed {options.seed}, {options.jobs} jobs, {options.seconds} s, in {folder}")
    begun = time.monotonic()
    if options.only is not None:
        job = Job(options, shim, folder / "job")
        wrong = job.play(options.only)
        found = [(options.only, wrong)] if wrong else []
        print("\n".join(job.lines))
        counts = job.counts
    else:
        found, counts = play_all(options, shim, folder, begun + options.seconds)
    for number, (what, lines, kept) in found:
        tell(options, number, what, lines, kept)
    told = ", ".join(f"{getattr(counts, name):,} {name}" for name in Counts.NAMES)
    say(f"{told} in {time.monotonic() - begun:.0f} s with seed {options.seed}; {len(found) or 'nothing'} wrong")
    if not found:
        shutil.rmtree(folder)
    sys.exit(bool(found))


def play_all(options, shim, folder, end):
    following, results = multiprocessing.Value("q", options.first), multiprocessing.Queue()
    jobs = [
        multiprocessing.Process(target=work, args=(options, shim, folder / f"job{job}", following, results, end))
        for job in range(options.jobs)
    ]
    for job in jobs:
        job.start()
    found, counts, running = [], Counts(), len(jobs)
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


def tell(options, number, what, lines, folder):
    say(f"WRONG in sequence {number} of seed {options.seed}: {what}")
    for line in lines:
        print(f"    {line}", file=sys.stderr)
    say(f"its files are in {folder}; again by: scripts/soak --seed {options.seed} --only {number}")


def command_line():
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("seconds", nargs="?", type=float, default=600, help="for how long [default: 600]")
    parser.add_argument("--seed", type=int, default=int(time.strftime("%Y%m%d")), help="[default: the day's date]")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="sequences at a time [default: all cores]")
    parser.add_argument("--first", type=int, default=0, help="number of the first sequence [default: 0]")
    parser.add_argument("--sequences", type=int, help="end with this number")
    parser.add_argument("--only", type=int, help="only the sequence of this number")
    parser.add_argument("--go-on", action="store_true", help="after something wrong as well")
    parser.add_argument("--folder", type=Path, help="where files go [default: the system's temporary folder]")
    parser.add_argument("--program", type=Path, required=True, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
