"""The part `bglib`: hysteresis loops fitted, and general-mode currents inverted, on one core, beside BGlib's functions,
and whether these find a better optimum, or other currents, anywhere.

BGlib's class `BELoopFitter` isn't timed: its fit ends at once, where it begins. `fit_loop` is the function that fits.
"""

import sys
from pathlib import Path

import numpy as np

# Behind our own, of which some have the same names.
sys.path.append(str(Path(__file__).parents[2] / "tests" / "python"))

LOOPS, FITTED = 8192, "200"
CURRENTS, INFERRED = 16384, "40"
GIVEN = ("-p", "frequency=200")


class Bglib:
    def __init__(self, bench):
        self.bench = bench

    def measure(self):
        self.loops()
        self.currents()

    def loops(self):
        file = self.bench.folder / "loops.h5"
        if not file.exists():
            self.make_loops(file)
        ours, theirs, ratios = [], [], []
        for _ in range(self.bench.repeat):
            run = self.bench.run("loop-fit", file, 1)
            peer = self.bench.peer("bglib", "loop-fit", file, run["file"], run["group"], FITTED)
            ours.append(1e6 * run["seconds"] / run["positions"])
            theirs.append(1e6 * peer["seconds"] / peer["positions"])
            ratios.append(theirs[-1] / ours[-1])
        self.bench.line("loop-fit of 64 voltages, guess, fit and errors, 1 core", ours, "us/loop")
        self.bench.line("BGlib's generate_guess and fit_loop", theirs, "us/loop")
        self.bench.line("loop-fit: times as fast as BGlib, 1 core", ratios, least=50)
        self.bench.line("loop-fit: loops for which BGlib finds a better optimum", [peer["worse"]], most=0)
        self.bench.line("loop-fit: loops for which BGlib finds a worse one", [peer["better"]])
        self.bench.scaling("loop-fit", file)

    def make_loops(self, file):
        import loop_fit

        random, bias = np.random.default_rng(7), loop_fit.voltages(64)
        clean = loop_fit.loop(bias, *loop_fit.drawn(random, LOOPS))
        values = clean + 0.03 * random.standard_normal(clean.shape)
        loop_fit.write(file, values.astype("f4"), bias, (LOOPS // 64, 64))

    def currents(self):
        file = self.bench.folder / "currents.h5"
        if not file.exists():
            self.make_currents(file)
        ours, theirs, ratios, off, resistance = [], [], [], [], []
        for _ in range(self.bench.repeat):
            run = self.bench.run("giv-bayesian", file, 1, *GIVEN)
            peer = self.bench.peer("bglib", "giv-bayesian", file, run["file"], run["group"], INFERRED)
            ours.append(1e6 * run["seconds"] / run["positions"])
            theirs.append(1e6 * peer["seconds"] / peer["positions"])
            ratios.append(theirs[-1] / ours[-1])
            off.append(peer["off"])
            resistance.append(peer["resistance"])
        self.bench.line("giv-bayesian of 256 values at 250 voltages, 1 core", ours, "us/position")
        self.bench.line("BGlib's bayesian_inference_on_period", theirs, "us/position")
        self.bench.line("giv-bayesian: times as fast as BGlib, 1 core", ratios, least=50)
        self.bench.line("giv-bayesian: relative difference of the reconstructed current", off, most=1e-6)
        self.bench.line("giv-bayesian: relative difference of the resistance from that of 2000 samples, median", resistance)
        self.bench.scaling("giv-bayesian", file, *GIVEN)

    def make_currents(self, file):
        import giv

        values = giv.currents(np.random.default_rng(7), giv.bias(256), CURRENTS)[0]
        giv.write(file, values.astype("f4"), "nA", 256)
