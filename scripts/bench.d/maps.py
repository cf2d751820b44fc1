"""The part `maps`: functions and folds that are written in Python, over all positions, beside HyperSpy and pyUSID.

Those two map SciPy's `center_of_mass` over the frames of the part `frames`.
"""

import os
import subprocess
import time
from pathlib import Path

import h5py
import numpy as np
from frames import HYPERSPY_DATASET, MEMORY, Frames

FILE = "frames.hspy"
# Of two files, so that what a run takes anyway doesn't count.
FEW, MANY = 20_000, 220_000
MILLISECONDS = 2_000


class Maps(Frames):
    def measure(self):
        self.overhead()
        self.two_cores()
        self.centres()
        self.memory_of_all()

    def overhead(self):
        """What is spent on a position for which nothing is computed, one worker at work."""
        few, many = (self.spectra(count) for count in (FEW, MANY))
        ways = {
            "batches": ("in batches, in processes", 5),
            "fold": ("a fold, in processes", None),
            "threads": ("one by one on threads", None),
            "processes": ("one by one in processes", 30),
        }
        for way, (told, most) in ways.items():
            seconds = [
                self.seconds("pixelmill-nothing", many, "1", way) - self.seconds("pixelmill-nothing", few, "1", way)
                for _ in range(self.bench.repeat)
            ]
            each = [1e6 * taken / (MANY - FEW) for taken in seconds]
            self.bench.line(f"a function that does nothing, {told}: for each position", each, "µs", most=most)

    def two_cores(self):
        file = self.spectra(MILLISECONDS)
        one, two = self.turns(*(lambda cores=cores: self.seconds("pixelmill-busy", file, cores) for cores in "12"))
        times = [alone / both for alone, both in zip(one, two)]
        self.bench.line("a function of 1 ms: times as fast on 2 cores as on 1", times, least=1.9)

    def centres(self):
        file, cores = self.folder / FILE, str(self.bench.cores)
        ours, compiled, hyperspy, pyusid = self.turns(
            lambda: self.seconds("pixelmill-centres", file, cores, "processes"),
            lambda: self.seconds("pixelmill-centres", file, cores, "numba"),
            lambda: self.seconds("hyperspy-centres", file, cores),
            lambda: self.bench.peer("tests", "pyusid-centres", file, cores, HYPERSPY_DATASET)["seconds"],
        )
        self.bench.line(f"scan.map(center_of_mass), {FILE}", ours, "s")
        self.bench.line("scan.map of the same by numba, on threads", compiled, "s")
        for peer, theirs in {"HyperSpy's lazy map": hyperspy, "pyUSID's with joblib": pyusid}.items():
            self.bench.line(f"the same by {peer}", theirs, "s")
            times = [its / our for our, its in zip(ours, theirs)]
            self.bench.line(f"times as fast as {peer}", times, least=1.5)
            times = [its / our for our, its in zip(compiled, theirs)]
            self.bench.line(f"numba on threads: times as fast as {peer}", times, least=10)

    def memory_of_all(self):
        """What all processes have together, pages that they share counted once."""
        file, cores = self.folder / FILE, str(self.bench.cores)
        idle = peak_of_all([self.python(), "-c", "import numpy, time; time.sleep(1)"])
        most = MEMORY + 64 + self.bench.cores * idle
        script = Path(__file__).with_name("peers.py")
        command = [self.python(), script, "pixelmill-centres", file, cores, "processes", f"{MEMORY}M"]
        peaks = [peak_of_all(command, PYTHONPATH=str(self.bench.package)) for _ in range(2)]
        what = f"peak memory of scan.map(center_of_mass) at memory={MEMORY}M, all processes"
        self.bench.line(what, peaks, "MiB", most=most)

    def python(self):
        return Path(__file__).parents[2] / ".venv" / "peers" / "bin" / "python"

    def spectra(self, count):
        file = self.folder / f"spectra_{count}.h5"
        with h5py.File(file, "w") as opened:
            opened["data"] = np.zeros((count, 8), np.float32)
        return file

    def seconds(self, command, *more):
        return self.bench.peers(command, *more)["seconds"]


def peak_of_all(command, **environment):
    """The most memory, in MiB, that a program and all that it started had at a time."""
    peak = 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ | environment) as run:
        while run.poll() is None:
            peak = max(peak, sum(map(kibibytes, family(run.pid))))
            time.sleep(0.02)
    if run.returncode != 0:
        raise SystemExit(f"bench: {command} failed")
    return peak / 1024


def family(process):
    """A process and those that it started."""
    try:
        tasks = list(Path(f"/proc/{process}/task").iterdir())
        children = [child for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []
    return [process, *(one for child in children for one in family(child))]


def kibibytes(process):
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
