"""The part `folds`: what is folded of the frames of the part `frames`, and virtual detectors and centres of mass of
them, whole commands beside LiberTEM's best executor and HyperSpy.
"""

from frames import EXECUTORS, HYPERSPY_DATASET, POSITIONS, Frames

FOLDS = {
    "sum": ("statistics", "-p", "compute=sum"),
    "deviation": ("statistics", "-p", "compute=sum,std"),
    "rings": ("masks", "-p", "shape=rings", "-p", "radius=127"),
    "centres": ("center-of-mass",),
}


class Folds(Frames):
    def measure(self):
        for fold in FOLDS:
            self.beside_libertem(fold, "contiguous.h5", "/data", *POSITIONS, least=3)
            self.beside_libertem(fold, "frames.hspy", HYPERSPY_DATASET, least=8)
        for fold in ("deviation", "centres"):
            self.beside_hyperspy(fold)
        self.beside_bare("blocks.h5", "/data", *POSITIONS, least=0.8)
        self.memory()

    def beside_libertem(self, fold, name, dataset, *more, least):
        theirs = {}
        for executor in EXECUTORS:
            theirs[executor] = self.libertem_seconds(fold, name, dataset, executor)
        best = min(theirs, key=theirs.get)
        ours, theirs = self.turns(
            lambda: self.seconds(fold, name, *more),
            lambda: self.libertem_seconds(fold, name, dataset, best),
        )
        self.bench.line(f"{fold}, {name}, whole program", ours, "s")
        self.bench.line(f"the same by LiberTEM ({best})", theirs, "s")
        ratios = [their / our for our, their in zip(ours, theirs)]
        self.bench.line(f"{fold}, {name}: times as fast as LiberTEM", ratios, least=least)

    def beside_hyperspy(self, fold):
        ours, theirs = self.turns(
            lambda: self.seconds(fold, "frames.hspy"),
            lambda: self.bench.peers("hyperspy-fold", self.folder / "frames.hspy", str(self.bench.cores), fold)["seconds"],
        )
        self.bench.line(f"{fold} by HyperSpy, frames.hspy", theirs, "s")
        ratios = [their / our for our, their in zip(ours, theirs)]
        self.bench.line(f"{fold}, frames.hspy: times as fast as HyperSpy", ratios, least=12)

    def memory(self):
        for name, more in (("contiguous.h5", POSITIONS), ("frames.hspy", ()), ("blocks.h5", POSITIONS)):
            process, *options = FOLDS["deviation"]
            peak = self.bench.peak_memory(process, self.folder / name, "64M", *options, *more)
            self.bench.line(f"peak memory of {process} at --memory 64M, {name}", [peak], "MiB", most=64 + 64)

    # Measurements

    def run(self, name, *more):
        """What is compared with the bare loop, which adds as well."""
        process, *options = FOLDS["sum"]
        return self.bench.run(process, self.folder / name, self.bench.cores, *options, *more)

    def seconds(self, fold, name, *more):
        process, *options = FOLDS[fold]
        return self.bench.run(process, self.folder / name, self.bench.cores, *options, *more)["wall"]

    def libertem_seconds(self, fold, name, dataset, executor):
        arguments = ("libertem-fold", self.folder / name, dataset, str(self.bench.cores), executor, fold)
        return self.bench.peers(*arguments)["seconds"]
