"""The part `frames`: sums of the frames of a scan with an electron microscope, in the files in which such
scans come: contiguous, HyperSpy's own, and in chunks over several positions and a part of each frame.

`peers.py frames` writes the files, 64 × 64 frames of 256 × 256 counts, so that HyperSpy's are its own.
"""

import json
import subprocess

import h5py

POSITIONS = ("--positions-axes", "0,1")
HYPERSPY_DATASET = "/Experiments/__unnamed__/data"
EXECUTORS = ("threads", "dask", "pipelined", "inline")
MEMORY = 256  # MiB


class Frames:
    def __init__(self, bench):
        self.bench = bench
        self.folder = bench.folder / "frames"
        self.folder.mkdir(exist_ok=True)
        bench.peers("frames", self.folder)
        with h5py.File(self.folder / "contiguous.h5") as opened:
            self.bytes = opened["data"].nbytes

    def measure(self):
        self.contiguous()
        self.hyperspy()
        self.blocks()
        self.memory()

    # The files

    def contiguous(self):
        ours, theirs = self.turns(
            lambda: self.ours("contiguous.h5", *POSITIONS),
            self.libertem("contiguous.h5", "/data"),
        )
        self.told("contiguous", ours, least=5)
        self.compared("contiguous", ours, {"LiberTEM": (theirs, 4)})

    def hyperspy(self):
        ours, libertem, hspy, zspy = self.turns(
            lambda: self.ours("frames.hspy"),
            self.libertem("frames.hspy", HYPERSPY_DATASET),
            lambda: self.hyperspy_lazy("frames.hspy"),
            lambda: self.hyperspy_lazy("frames.zspy"),
        )
        peers = {"LiberTEM": (libertem, 8), "HyperSpy, lazy": (hspy, 10), "HyperSpy, lazy, on .zspy": (zspy, 4)}
        self.told(".hspy", ours)
        self.compared(".hspy", ours, peers)
        self.beside_bare("frames.hspy", HYPERSPY_DATASET)

    def blocks(self):
        ours, theirs = self.turns(
            lambda: self.ours("blocks.h5", *POSITIONS),
            lambda: self.hyperspy_lazy("blocks.h5"),
        )
        self.told("chunks of 32⁴", ours)
        self.compared("chunks of 32⁴", ours, {"HyperSpy, lazy": (theirs, 5)})
        self.beside_bare("blocks.h5", "/data", *POSITIONS, least=0.8)
        report = self.run("blocks.h5", *POSITIONS)
        times = report["chunks_decoded"] / report["chunks"]
        self.bench.line("chunks of 32⁴: how often each is decoded", [times], most=1)

    def memory(self):
        for name, more in (("contiguous.h5", POSITIONS), ("frames.hspy", ()), ("blocks.h5", POSITIONS)):
            peaks = [self.bench.peak_memory("sum", self.folder / name, f"{MEMORY}M", *more) for _ in range(2)]
            self.bench.line(f"peak memory of sum at --memory {MEMORY}M, {name}", peaks, "MiB", most=MEMORY + 64)

    # Measurements; speeds are in GB/s of the values as they are without compression

    def turns(self, *measurements):
        """What each measurement gives, one after the other, several times."""
        taken = [[measure() for measure in measurements] for _ in range(self.bench.repeat)]
        return map(list, zip(*taken))

    def speed(self, seconds):
        return self.bytes / seconds / 1e9

    def run(self, name, *more):
        return self.bench.run("sum", self.folder / name, self.bench.cores, *more)

    def ours(self, name, *more):
        report = self.run(name, *more)
        return self.speed(report["seconds"]), self.speed(report["wall"])

    def libertem(self, name, dataset, *arrays):
        """A measurement by the executor that is the fastest; with a dark and a gain if these are given."""

        def measure(executor):
            return self.peer_speed("libertem-frames", name, dataset, str(self.bench.cores), executor, *arrays)

        best = max(EXECUTORS, key=measure)
        return lambda: measure(best)

    def hyperspy_lazy(self, name):
        return self.peer_speed("hyperspy-frames", name, str(self.bench.cores))

    def peer_speed(self, command, name, *more):
        return self.speed(self.bench.peers(command, self.folder / name, *more)["seconds"])

    def told(self, what, ours, least=None):
        self.bench.line(f"sum of frames, {what}", [run for run, _ in ours], "GB/s", least=least)
        self.bench.line(f"the same, whole program, {what}", [whole for _, whole in ours], "GB/s")

    def compared(self, what, ours, peers):
        for peer, (theirs, least) in peers.items():
            self.bench.line(f"the same by {peer}, {what}", theirs, "GB/s")
            ratios = [run / their for (run, _), their in zip(ours, theirs)]
            self.bench.line(f"times as fast as {peer}, {what}", ratios, least=least)

    def beside_bare(self, name, dataset, *more, least=None):
        """The speed over that of a loop which does nothing but read, inflate, unshuffle and add."""
        listing = self.folder / f"{name}.chunks"
        write_chunks(self.folder / name, dataset, listing)
        command = [self.bench.bare_frames, self.folder / name, listing, str(self.bench.cores)]
        bare, ours = self.turns(
            lambda: self.speed(json.loads(subprocess.check_output(command))["seconds"]),
            lambda: self.ours(name, *more)[0],
        )
        self.bench.line(f"a bare loop over the same chunks, {name}", bare, "GB/s")
        ratios = [our / its for our, its in zip(ours, bare)]
        self.bench.line(f"speed over the bare loop's, {name}", ratios, least=least)


def write_chunks(file, dataset, listing):
    """The chunks as `bare_frames` wants them."""
    with h5py.File(file) as opened:
        stored = opened[dataset].id
        lines = [opened[dataset].shape, opened[dataset].chunks]
        chunks = (stored.get_chunk_info(number) for number in range(stored.get_num_chunks()))
        lines += [(*chunk.chunk_offset, chunk.byte_offset, chunk.size) for chunk in chunks]
    listing.write_text("".join(" ".join(map(str, line)) + "\n" for line in lines))
