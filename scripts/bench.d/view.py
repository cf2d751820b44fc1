"""The part `view`: the page in the browser. How soon there is a first image of a million positions of which nothing is in
the system's cache, how much memory its server takes, how soon the picture follows the cursor, and what a page that
follows a run costs it.

Clicks and moves are made in Chromium, by `pages.py` in the virtual environment of the page's tests.
"""

import contextlib
import http.client
import json
import shutil
import subprocess
import time
import zlib
from pathlib import Path
from urllib.parse import quote, urlsplit

import h5py
import numpy as np
from cold import cold
from frames import HYPERSPY_DATASET, Frames

SIDE, POINTS = 1000, 1000
DATASET = "/Experiments/scan/data"
SECONDS = 2
MEBIBYTES = 64
MEDIAN, LAST = 50, 150  # milliseconds from cursor to picture
SLOWER = 3  # percent
SETTLED = 11  # seconds


class View:
    def __init__(self, bench):
        self.bench = bench

    def measure(self):
        for per_chunk in (100, 1):
            self.first_image(per_chunk)
        self.latency()
        self.follower()

    def first_image(self, per_chunk):
        """From the start of the program to the first image, and the peak memory once all of it is read."""
        file = self.bench.folder / f"view_{per_chunk}.hspy"
        if not file.exists():
            write(file, per_chunk)
            # What was written just now may be written to again: nothing of it is known from one look to the next.
            time.sleep(SETTLED)
        seconds, peaks, whole = [], [], []
        for _ in range(self.bench.repeat):
            first, all_of_it, peak = cold(file, lambda: self.images(file))
            seconds.append(first)
            whole.append(all_of_it)
            peaks.append(peak)
        named = f"10⁶ positions × 10³ points in 10^{6 if per_chunk == 1 else 4} chunks, from cold"
        self.bench.line(f"first image, {named}", seconds, "s", most=SECONDS)
        self.bench.line(f"whole image, {named}", whole, "s")
        self.bench.line(f"peak memory of the server, {named}", peaks, "MiB", most=MEBIBYTES)

    def images(self, file):
        begun = time.perf_counter()
        with Server(self.bench.program, file) as server:
            server.get("info")
            survey = server.get(f"survey?path={quote(DATASET)}")
            first = time.perf_counter() - begun
            for position in range(0, SIDE * SIDE, 9973):
                server.get(f"show?path={quote(DATASET)}&pixel={position}")
            while not survey["is_complete"]:
                time.sleep(0.1)
                survey = server.get(f"survey?path={quote(DATASET)}")
            return first, time.perf_counter() - begun, server.peak_memory()

    def latency(self):
        file = Frames(self.bench).folder / "frames.hspy"
        with Server(self.bench.program, file) as server:
            times = sorted(json.loads(pages("latency", server.address, HYPERSPY_DATASET)))
            self.bench.line("peak memory of the server, .hspy of 64 × 64 × 256 × 256", [server.peak_memory()], "MiB", most=MEBIBYTES)
        told = f".hspy of 64 × 64 × 256 × 256, {len(times)} moves"
        self.bench.line(f"cursor to picture, {told}", times, "ms", most=MEDIAN)
        self.bench.line(f"the 99th percentile of that, {told}", [float(np.percentile(times, 99))], "ms", most=LAST)

    def follower(self):
        """A run from the page that follows it, beside the same run of the command line."""
        scan = self.bench.scan(128)
        ratios = []
        for _ in range(2 * self.bench.repeat):
            alone, followed = (self.bench.folder / f"{name}.h5" for name in ("alone", "followed"))
            for copy in (alone, followed):
                shutil.copy(scan, copy)
            command = [self.bench.program, "run", "sho-fit", alone, "--json"]
            ran = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)
            with Server(self.bench.program, followed) as server:
                seconds = json.loads(pages("follow", server.address, "sho-fit"))
            ratios.append(100 * (seconds / ran["report"]["seconds"] - 1))
        self.bench.line("sho-fit from a page that follows it: slower than from the command line by", ratios, "%", most=SLOWER)


class Server(contextlib.AbstractContextManager):
    """`pixelmill view FILE`, and questions to it."""

    def __init__(self, program, file):
        command = [program, "view", file, "--json", "--no-browser"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.address = json.loads(self.process.stdout.readline())["address"]
        parts = urlsplit(self.address)
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port)
        self.connection.request("GET", f"/?{parts.query}")
        answer = self.connection.getresponse()
        answer.read()
        self.cookie = answer.getheader("Set-Cookie").split(";")[0]

    def get(self, question):
        self.connection.request("GET", f"/api/{question}", headers={"Cookie": self.cookie})
        answer = self.connection.getresponse()
        told = answer.read()
        if answer.status != 200:
            raise SystemExit(f"bench: {question}: {told.decode()}")
        return json.loads(told)

    def peak_memory(self):
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def pages(*arguments):
    python = Path(__file__).parents[2] / ".venv" / "page" / "bin" / "python"
    return subprocess.check_output([python, Path(__file__).with_name("pages.py"), *arguments])


def write(file, per_chunk):
    """HyperSpy's file of a scan, as compressed chunks of which each is one of a few."""
    side = round(per_chunk**0.5)
    random = np.random.default_rng(0)
    chunks = []
    for number in range(16):
        values = random.poisson(3 + number, (per_chunk, POINTS)).astype("u2")
        chunks.append(zlib.compress(values.tobytes(), 1))
    with h5py.File(file, "w") as opened:
        opened.attrs.update(file_format="HyperSpy", file_format_version="3.1")
        group = opened.create_group(DATASET.rpartition("/")[0])
        shape, chunk = (SIDE, SIDE, POINTS), (side, side, POINTS)
        data = group.create_dataset("data", shape, "u2", chunks=chunk, compression="gzip")
        for number, (name, navigate) in enumerate([("y", True), ("x", True), ("Energy", False)]):
            axis = {"name": name, "size": shape[number], "navigate": navigate, "scale": 1.0, "offset": 0.0, "units": "um"}
            group.create_group(f"axis-{number}").attrs.update(axis)
        for row in range(0, SIDE, side):
            for column in range(0, SIDE, side):
                data.id.write_direct_chunk((row, column, 0), chunks[(7 * column + row) // side % len(chunks)])
