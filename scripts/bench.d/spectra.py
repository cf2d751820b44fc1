"""The part `spectra`: maps over spectra and frames beside HyperSpy's functions, or its `map` where it has none, and beside
NumPy's and SciPy's over all spectra at once in memory. Ours are whole programs that write their results; theirs write nothing.
"""

import h5py
import numpy as np
from frames import POSITIONS

SIDE, CHANNELS = 128, 1024
# How many times as fast as HyperSpy and as NumPy it has to be; none where no bar was set yet.
MAPS = {
    "moments": ((), 20, 10),
    "maximum": ((), None, None),
    "integral": (("-p", "windows=[200,800]", "-p", "background=linear", "-p", "before=[10,100]", "-p", "after=[900,1000]"), None, None),
    "smooth": ((), None, None),
    "derivative": ((), None, None),
    "fft": (("-p", "output=complex"), None, None),
    "fft-mask": (("--dataset", "data", *POSITIONS, "-p", "radius=0.2"), None, None),
}


class Spectra:
    def __init__(self, bench, write):
        self.bench = bench
        self.spectra, self.frames = bench.folder / "spectra.h5", bench.folder / "small_frames.h5"
        random = np.random.default_rng(0)
        if not self.spectra.exists():
            values = lambda count: random.integers(1, 256, (count, CHANNELS)).astype(np.float32)
            write(self.spectra, SIDE, SIDE, values, CHANNELS)
        if not self.frames.exists():
            with h5py.File(self.frames, "w") as opened:
                opened["data"] = random.integers(0, 256, (32, 32, 128, 128)).astype(np.float32)

    def measure(self):
        for process, (options, hyperspy, numpy) in MAPS.items():
            file = self.frames if process == "fft-mask" else self.spectra
            for cores in sorted({1, self.bench.cores}):
                self.beside(process, file, (cores, options), {"HyperSpy": hyperspy, "NumPy": numpy})

    def beside(self, process, file, given, bars):
        cores, options = given
        named = f"{process}, {cores} core{'s' if cores > 1 else ''}"
        ours, theirs = [], {peer: [] for peer in bars}
        for _ in range(self.bench.repeat):
            ours.append(self.bench.run(process, file, cores, "--durability", "process", *options)["wall"])
            for peer, seconds in theirs.items():
                seconds.append(self.bench.peers("spectra", file, str(cores), process, peer.lower())["seconds"])
        self.bench.line(f"{named}, whole program", ours, "s")
        for peer, seconds in theirs.items():
            ratios = [its / our for its, our in zip(seconds, ours, strict=True)]
            self.bench.line(f"{named}: times as fast as {peer}", ratios, least=bars[peer])
