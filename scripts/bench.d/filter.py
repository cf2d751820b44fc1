"""The part `filter`: `signal-filter` beside a bare loop that reads, transforms, transforms back and writes.

Results are as large as the source. The bare loop's target is there with its full size already, as ours is
once the results group is made; where our run syncs what it writes, so does the loop, once at its end.
"""

import json
import subprocess

import h5py

RAW_DATA = "/Measurement_000/Channel_000/Raw_Data"
MEBIBYTES = 1024
MEMORY = 64  # MiB
LOW_PASS = ("-p", "sample_rate=1e5", "-p", "low_pass=2e4")
FILTERS = {
    "low-pass": LOW_PASS,
    "low-pass and noise threshold": (*LOW_PASS, "-p", "noise_threshold=1e-4"),
}


class Filter:
    def __init__(self, bench):
        self.bench = bench
        self.file = bench.real(MEBIBYTES)
        self.target = bench.folder / "bare_filtered"
        with h5py.File(self.file) as opened:
            raw = opened[RAW_DATA]
            self.offset, self.shape, self.bytes = raw.id.get_offset(), raw.shape, raw.nbytes

    def measure(self):
        for cores in sorted({1, self.bench.cores}):
            for name, options in FILTERS.items():
                self.beside_bare(name, options, cores, name == "low-pass")
        for name, options in FILTERS.items():
            peaks = [self.bench.peak_memory("signal-filter", self.file, f"{MEMORY}M", *options) for _ in range(2)]
            what = f"peak memory of signal-filter at --memory {MEMORY}M, {name}"
            self.bench.line(what, peaks, "MiB", most=MEMORY + 64)
        self.target.unlink(missing_ok=True)

    def beside_bare(self, name, options, cores, with_speed):
        self.bare(cores)
        taken = [self.turn(options, cores) for _ in range(2 * self.bench.repeat)]
        speeds, bare, ratios, synced, whole = map(list, zip(*taken))
        named = f"{name}, {cores} core{'s' if cores > 1 else ''}"
        if with_speed:
            self.bench.line(f"a bare loop of transforms, {cores} core{'s' if cores > 1 else ''}", bare, "GB/s")
        self.bench.line(f"signal-filter, {named}", speeds, "GB/s")
        self.bench.line(f"its speed over the bare loop's, {named}", ratios, least=0.6)
        self.bench.line(f"the same, both synced to the disk, {named}", synced)
        self.bench.line(f"the same, whole program, {named}", whole)

    def turn(self, options, cores):
        bare = self.bare(cores)
        ours = self.bench.run("signal-filter", self.file, cores, *options, "--durability", "process")
        bare_synced = self.bare(cores, "sync")
        synced = self.bench.run("signal-filter", self.file, cores, *options)
        speed = [self.bytes / seconds / 1e9 for seconds in (ours["seconds"], bare)]
        return *speed, bare / ours["seconds"], bare_synced / synced["seconds"], bare_synced / synced["wall"]

    def bare(self, cores, *more):
        """Seconds of the faster precision of the transforms, which is the single one."""
        spectra, points = self.shape
        block = max(1, (1 << 20) // (4 * points))
        numbers = (self.offset, spectra, points, self.target, cores, block)
        command = [self.bench.bare_filter, self.file, *map(str, numbers), *more]
        return json.loads(subprocess.check_output(command))["seconds"]
