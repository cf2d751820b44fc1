"""The part `ranks`: the same work on several MPI ranks, on threads, and divided in advance.

All of it by one program, built with MPI; what is compared runs in turns.
"""

import json
import os
import subprocess

# Open MPI refuses root otherwise, and more ranks than it counts cores.
ENVIRONMENT = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
MPIRUN = ("mpirun", "--oversubscribe", "--bind-to", "none")
SIDE = 192
# The positions that take fifty times as long, where they lie.
DEAR = {"at the beginning": "0.0", "in the middle": "0.5", "at the end": "0.95"}


class Ranks:
    def __init__(self, bench):
        self.bench = bench
        self.program = bench.options.programs.resolve() / "examples" / "trial-mpi"
        self.scan = bench.scan(SIDE)
        self.positions = SIDE * SIDE

    def measure(self):
        self.scaling()
        for where, first in DEAR.items():
            self.uneven(where, first)

    def scaling(self):
        """Two ranks, one rank, and one rank with two threads, at a peak search."""
        times, beside_threads = [], []
        for _ in range(2 * self.bench.repeat):
            one, two, threads = (self.run(ranks, "peak-finding", "--cores", cores)["seconds"]
                                 for ranks, cores in ((1, "1"), (2, "1"), (1, "2")))
            times.append(one / two)
            beside_threads.append(100 * (two / threads - 1))
        self.bench.line("peak-finding: times as fast on 2 ranks as on 1", times, least=1.9)
        self.bench.line("the same: longer than on 2 threads of one rank", beside_threads, "%", most=5)

    def uneven(self, where, first):
        """5 % of the positions, side by side, take fifty times as long."""
        dear = ("-p", f"dear_from={first}")
        ours, static = [], []
        for _ in range(self.bench.repeat):
            report = self.run(2, "uneven", "--cores", "1", *dear)
            ours.append(100 * report["imbalance"])
            static.append(100 * self.divided(dear))
        what = f"uneven work, dear {where}: the first of 2 ranks is done before the last"
        self.bench.line(what, ours, "%", most=5)
        self.bench.line("the same, positions divided in advance", static, "%")

    def run(self, ranks, process, *more):
        done = subprocess.run(self.command(ranks, process, "results.h5", *more), env=ENVIRONMENT,
                              check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        return json.loads(done.stdout)["report"]

    def divided(self, more):
        """Two runs at a time, each on one half: how much earlier the first is done."""
        half = self.positions // 2
        halves = (f"0:{half}", f"{half}:{self.positions}")
        runs = [
            subprocess.Popen(
                self.command(1, "uneven", f"half_{number}.h5", "--cores", "1", "--positions", part, *more),
                env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )
            for number, part in enumerate(halves)
        ]
        first, last = sorted(json.loads(run.communicate()[0])["report"]["seconds"] for run in runs)
        return (last - first) / last

    def command(self, ranks, process, target, *more):
        target = self.bench.folder / target
        target.unlink(missing_ok=True)
        return [*MPIRUN, "-n", str(ranks), self.program, "run", process, self.scan, "--output", target, "--json", *more]
