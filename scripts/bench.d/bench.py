"""Measures what pixelmill promises and prints one table; `scripts/bench` sets up and calls it.

Whatever is compared runs side by side, in turns, several times; the table has the least, the median and
the most. Files are in the page cache unless a line says otherwise.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
from bglib import Bglib
from cold import Cold
from components import Components
from curve import Curve
from denoise import Denoise
from excerpt import Excerpt
from filter import Filter
from folds import Folds
from frames import Frames
from many import Many
from maps import Maps
from python import Python
from ranks import Ranks
from shifts import Shifts
from sho import Sho
from spectra import Spectra
from view import View

ROOT = Path(__file__).resolve().parents[2]
RAW_DATA = "/Measurement_000/Channel_000/Raw_Data"
PEERS = "peers"  # the virtual environment of LiberTEM and HyperSpy
MIB = 1 << 20


class Bench:
    def __init__(self, options, folder):
        self.options = options
        self.folder = folder
        self.repeat = options.repeat
        self.program = options.programs.resolve() / "pixelmill"
        self.package = options.programs.resolve() / "python"  # what `import pixelmill` finds
        self.bare_sum = options.programs.resolve() / "examples" / "bare_sum"
        self.bare_frames = options.programs.resolve() / "examples" / "bare_frames"
        self.bare_filter = options.programs.resolve() / "examples" / "bare_filter"
        self.cores = len(os.sched_getaffinity(0))
        self.lines = []

    def line(self, what, values, unit="", least=None, most=None):
        """One line of the table; the median counts against the bar."""
        values = sorted(values)
        middle = statistics.median(values)
        measured = f"{number(middle)} {unit}".strip()
        if len(values) > 1:
            measured += f"  ({number(values[0])} … {number(values[-1])})"
        bar, verdict = "", ""
        if least is not None:
            bar, verdict = f"≥ {number(least)}", "ok" if middle >= least else "SHORT"
        if most is not None:
            bar, verdict = f"≤ {number(most)}", "ok" if middle <= most else "SHORT"
        self.lines.append((what, measured, bar, verdict))
        print(f"  {what}: {measured} {verdict}", file=sys.stderr)

    def run(self, process, file, cores, *more):
        """A whole run into a new file: its report, the wall time and the most memory of the program."""
        target = self.folder / "results.h5"
        target.unlink(missing_ok=True)
        command = [self.program, "run", process, file, "--output", target, "--cores", str(cores), "--json", *more]
        begun = time.perf_counter()
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wall = time.perf_counter() - begun
        if done.returncode != 0:
            sys.exit(f"bench: {command} failed: {done.stderr}")
        told = json.loads(done.stdout)
        # Several in one pass have the same report.
        told = told.get("computations", [told])[-1]
        return {**told["report"], "wall": wall, "group": told["group"], "file": target}

    def peer(self, venv, *arguments):
        python = ROOT / ".venv" / venv / "bin" / "python"
        command = [python, ROOT / "scripts" / "bench.d" / "peers.py", *arguments]
        environment = os.environ | {"PYTHONPATH": str(self.package)}
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        if done.returncode != 0:
            sys.exit(f"bench: {command} failed:\n{done.stderr}")
        return json.loads(done.stdout)

    def peers(self, *arguments):
        return self.peer(PEERS, *arguments)

    def peak_memory(self, process, file, memory, *more):
        """The most memory, in MiB, that the system saw a run use."""
        measure = (
            "import os, sys, resource, subprocess\n"
            "subprocess.run(sys.argv[1:], check=True, stdout=2, stderr=subprocess.DEVNULL)\n"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        )
        target = self.folder / "results.h5"
        target.unlink(missing_ok=True)
        command = [self.program, "run", process, file, "--output", target, "--cores", str(self.cores)]
        command = [sys.executable, "-c", measure, *command, "--memory", memory, *more]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        return int(done.stdout) / 1024

    # The parts

    def peaks(self):
        small, large = self.scan(64), self.scan(128)
        for cores in sorted({1, self.cores}):
            ratios, ours, theirs = [], [], []
            for _ in range(self.repeat):
                copy = self.folder / "pyusid.h5"
                shutil.copy(small, copy)
                peer = self.peer("tests", "pyusid", copy, str(cores))
                run = self.run("peak-finding", small, cores)
                theirs.append(peer["positions"] / peer["seconds"])
                ours.append(run["positions"] / run["wall"])
                ratios.append(ours[-1] / theirs[-1])
            named = cores_named(cores)
            self.line(f"peak-finding, whole program, {named}", ours, "positions/s")
            self.line(f"pyUSID's tutorial class, compute() alone, {named}", theirs, "positions/s")
            self.line(f"times as fast as pyUSID, {named}", ratios, least=40)
        self.scaling("peak-finding", large)

    def scaling(self, process, file, *more):
        if self.cores < 2:
            return
        ratios = []
        for _ in range(2 * self.repeat):
            one, two = (self.run(process, file, cores, *more)["seconds"] for cores in (1, 2))
            ratios.append(one / two)
        self.line(f"{process}: times as fast on 2 cores as on 1", ratios, least=1.9)

    def overhead(self):
        file = self.scan(128)
        for cores in sorted({1, self.cores}):
            runs = [self.run("peak-finding", file, cores) for _ in range(2 * self.repeat)]
            share = [100 * (1 - run["compute_seconds"] / (run["seconds"] * run["workers"])) for run in runs]
            whole = [100 * (1 - run["compute_seconds"] / (run["wall"] * run["workers"])) for run in runs]
            named = cores_named(cores)
            self.line(f"engine's overhead for peak-finding, {named}", share, "%", most=5)
            self.line(f"the same, opening and closing of the file included, {named}", whole, "%")

    def equality(self):
        file = self.scan(128)
        run = self.run("peak-finding", file, self.cores)
        found = self.peer("tests", "scipy", file, run["file"], run["group"])
        self.line("positions with SciPy's index", [100 * found["same_index"] / found["positions"]], "%", least=100)
        self.line("response beside SciPy's, at most", [found["max_ulp"]], "ulp", most=1)

    def sum(self):
        file = self.real(2048)
        for cores in sorted({1, self.cores}):
            size, bare = self.bare_sum_of(file, cores)
            ratios, whole, speed = [], [], []
            for _ in range(2 * self.repeat):
                seconds = bare()
                run = self.run("sum", file, cores)
                ratios.append(run["seconds"] / seconds)
                whole.append(run["wall"] / seconds)
                speed.append(size / run["seconds"] / 1e9)
            named = cores_named(cores)
            self.line(f"sum of f32, {named}", speed, "GB/s")
            self.line(f"its time over that of a bare loop, {named}", ratios, most=1.5)
            self.line(f"the same, whole program, {named}", whole)
        self.scaling("sum", file)
        for peer in ("libertem", "hyperspy"):
            seconds = [self.peers(peer, file, str(self.cores))["seconds"] for _ in range(self.repeat)]
            self.line(f"the same sum by {peer}, {cores_named(self.cores)}", [size / s / 1e9 for s in seconds], "GB/s")

    def bare_sum_of(self, file, cores):
        """Bytes of the data of such a file, and what measures a bare loop over them, by the best of some blocks."""
        with h5py.File(file) as opened:
            offset, size = opened[RAW_DATA].id.get_offset(), opened[RAW_DATA].nbytes

        def seconds(block):
            command = [self.bare_sum, file, *map(str, (offset, size, cores, block))]
            return json.loads(subprocess.check_output(command))["seconds"]

        best = min((256 << 10, MIB, 4 * MIB), key=seconds)
        return size, lambda: seconds(best)

    def frames(self):
        Frames(self).measure()

    def folds(self):
        Folds(self).measure()

    def crop(self):
        Excerpt(self).crop()

    def corrections(self):
        Excerpt(self).corrections()

    def cold(self):
        Cold(self).measure()

    def denoise(self):
        Denoise(self).measure()

    def ranks(self):
        Ranks(self).measure()

    def python(self):
        Python(self).measure()

    def maps(self):
        Maps(self).measure()

    def view(self):
        View(self).measure()
    def bglib(self):
        Bglib(self).measure()
    def shifts(self):
        Shifts(self).measure()

    def sho(self):
        Sho(self).measure()

    def curve(self):
        Curve(self, write).measure()

    def components(self):
        Components(self).measure()

    def spectra(self):
        Spectra(self, write).measure()

    def filter(self):
        Filter(self).measure()

    def many(self):
        Many(self, self.options.positions).measure()

    def memory(self):
        for file, kind in ((self.real(2048), "contiguous"), (self.real(1280, "gzip"), "chunked, gzip")):
            peaks = [self.peak_memory("sum", file, "64M") for _ in range(2)]
            self.line(f"peak memory of sum at --memory 64M, source at least 20 times that, {kind}", peaks, "MiB", most=128)

    def info(self):
        file = self.folder / "million.h5"
        if not file.exists():
            write(file, 1000, 1000, lambda count: np.zeros((count, 4), np.float32), 4)
        ours, theirs = [], []
        for _ in range(self.repeat):
            begun = time.perf_counter()
            subprocess.run([self.program, "info", file], check=True, stderr=subprocess.DEVNULL)
            ours.append(time.perf_counter() - begun)
            theirs.append(self.peer("tests", "open", file)["seconds"])
        self.line("info on a file with a million positions", ours, "s", most=0.5)
        self.line("pyUSID opening the same dataset", theirs, "s")

    # Files

    def scan(self, side):
        file = self.folder / f"scan_{side}.h5"
        if not file.exists():
            make = [sys.executable, ROOT / "scripts" / "make-sample", file]
            subprocess.run([*make, "--rows", str(side), "--columns", str(side)], check=True)
        return file

    def real(self, mebibytes, compression=None):
        """A scan of 1024 f32 values at each position."""
        file = self.folder / f"real_{mebibytes}_{compression}.h5"
        if not file.exists():
            random = np.random.default_rng(0)
            block = random.integers(0, 256, (4096, 1024)).astype(np.float32)
            write(file, mebibytes * MIB // 4096 // 256, 256, lambda count: block[:count], 1024, compression)
        return file


def write(file, rows, columns, spectra, points, compression=None):
    """An h5USID file, written by and by."""
    positions = rows * columns
    with h5py.File(file, "w") as opened:
        group = opened.create_group("Measurement_000/Channel_000")
        settings = {"compression": compression, "compression_opts": 1, "chunks": (256, 256)} if compression else {}
        raw = group.create_dataset("Raw_Data", (positions, points), np.float32, **settings)
        raw.attrs.update(quantity="Intensity", units="counts")
        steps = np.stack(np.divmod(np.arange(positions), columns), axis=1)
        tables = {"Position": (steps, ["Y", "X"]), "Spectroscopic": (np.arange(points)[None], ["Energy"])}
        for prefix, (indices, labels) in tables.items():
            for suffix, kind in (("Indices", np.uint32), ("Values", np.float32)):
                table = group.create_dataset(f"{prefix}_{suffix}", data=indices.astype(kind))
                table.attrs.update(labels=np.array(labels, "S"), units=np.array(["um"] * len(labels), "S"))
                raw.attrs[f"{prefix}_{suffix}"] = table.ref
        for first in range(0, positions, 4096):
            count = min(4096, positions - first)
            raw[first : first + count] = spectra(count)


def cores_named(cores):
    return f"{cores} core" if cores == 1 else f"{cores} cores"


def number(value):
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def table(lines):
    lines = [("what", "measured: median (least … most)", "bar", ""), *lines]
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def main():
    parts = ["peaks", "overhead", "equality", "sum", "frames", "ranks", "sho", "curve", "filter", "memory"]
    parts += ["many", "info", "crop", "corrections", "denoise", "cold", "folds", "python", "maps", "view"]
    parts += ["bglib", "spectra", "shifts", "components"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(parts)}; all if none is given")
    parser.add_argument("--programs", type=Path, required=True, help="folder of the built programs")
    parser.add_argument("--repeat", type=int, default=3, help="how often each comparison is made")
    parser.add_argument("--positions", type=int, default=100_000_000, help="how many the part `many` has")
    parser.add_argument("--keep", type=Path, help="a folder for the files, kept for the next time")
    options = parser.parse_args()
    unknown = set(options.parts) - set(parts)
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are: {', '.join(parts)}")
    with tempfile.TemporaryDirectory(prefix="pixelmill-bench-") as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        bench = Bench(options, folder)
        for part in options.parts or parts:
            getattr(bench, part)()
    table(bench.lines)
    sys.exit(any(line[3] == "SHORT" for line in bench.lines))


if __name__ == "__main__":
    main()
