"""The part `folds`: what is folded of the frames of the part `frames`, and virtual detectors, centres of mass and waves of
them, whole commands beside LiberTEM's best executor and HyperSpy.
"""

from frames import EXECUTORS, HYPERSPY_DATASET, POSITIONS, Frames

FOLDS = {
    "sum": ("statistics", "-p", "compute=sum"),
    "deviation": ("statistics", "-p", "compute=sum,std"),
    "rings": ("masks", "-p", "shape=rings", "-p", "radius=127"),
    "centres": ("center-of-mass",),
    # No fold, but of the same frames; no time depends on what they show.
    "waves": ("holography", "-p", "sb_position=[40,56]", "-p", "sb_size=20", "-p", "out_shape=[64,64]"),
}
# What is computed of each frame by itself, by LiberTEM's analyses.
MAPS = {
    "fluctuation": ("fluctuation", "-p", "radius=80", "-p", "radius_inner=40"),
    "radial-fourier-1-24": ("radial-fourier", "-p", "radius=127", "-p", "bins=1", "-p", "max_order=24"),
    "radial-fourier-5-8": ("radial-fourier", "-p", "radius=127", "-p", "bins=5", "-p", "max_order=8"),
    "radial-fourier-20-12": ("radial-fourier", "-p", "radius=127", "-p", "bins=20", "-p", "max_order=12"),
    "crystallinity": ("crystallinity", "-p", "radius=60", "-p", "radius_inner=10", "-p", "mask_radius=25"),
}


class Folds(Frames):
    def measure(self):
        for fold in FOLDS | MAPS:
            self.beside_libertem(fold, "contiguous.h5", "/data", *POSITIONS, least=3)
            self.beside_libertem(fold, "frames.hspy", HYPERSPY_DATASET, least=8)
        for fold in ("deviation", "centres"):
            self.beside_hyperspy(fold)
        for name, more in (("contiguous.h5", POSITIONS), ("frames.hspy", ())):
            self.together(name, *more)
        self.beside_bare("blocks.h5", "/data", *POSITIONS, least=0.8)
        self.beside_bare_sum()
        self.beside_product()
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

    def together(self, name, *more):
        """What several cost in one pass, beside the dearest of them alone."""
        parts = {"statistics": ("compute=sum,std",), "masks": ("shape=rings", "radius=127"), "center-of-mass": ()}
        options = [f"{process}.{option}" for process, given in parts.items() for option in given]
        typed = [word for option in options for word in ("-p", option)]
        file, cores = self.folder / name, self.bench.cores
        runs = [lambda: self.bench.run(",".join(parts), file, cores, *typed, *more)["wall"]]
        for fold in ("deviation", "rings", "centres"):
            runs.append(lambda fold=fold: self.seconds(fold, name, *more))
        all_of_them, *single = self.turns(*runs)
        self.bench.line(f"deviation, rings and centres in one pass, {name}", all_of_them, "s")
        dearest = [max(times) for times in zip(*single)]
        self.bench.line("times the dearest of them alone", [one / other for one, other in zip(all_of_them, dearest)], most=1.3)
        sums = [sum(times) for times in zip(*single)]
        self.bench.line("times all of them alone", [one / other for one, other in zip(all_of_them, sums)])

    def beside_bare_sum(self):
        """The speed of a sum over positions over that of a loop which only reads and adds."""
        file, (process, *options) = self.bench.real(1024), FOLDS["sum"]
        ours, bare = self.turns(
            lambda: self.bench.run(process, file, self.bench.cores, *options)["seconds"],
            self.bench.bare_sum_of(file, self.bench.cores)[1],
        )
        self.bench.line("sum over positions, f32 spectra", ours, "s")
        self.bench.line("a bare loop that reads and adds", bare, "s")
        ratios = [its / our for our, its in zip(ours, bare)]
        self.bench.line("speed over the bare loop's", ratios, least=0.8)

    def beside_product(self):
        """The speed of detectors, reading included, over that of NumPy's product of frames in memory."""
        process, *options = FOLDS["rings"]
        ours, product = self.turns(
            lambda: self.bench.run(process, self.folder / "contiguous.h5", self.bench.cores, *options, *POSITIONS)["seconds"],
            lambda: self.bench.peers("product", self.folder / "contiguous.h5", str(self.bench.cores))["seconds"],
        )
        self.bench.line("12 rings, contiguous", ours, "s")
        self.bench.line("NumPy's f32 product of frames in memory and 12 masks", product, "s")
        ratios = [its / our for our, its in zip(ours, product)]
        self.bench.line("speed over the product's", ratios, least=0.6)

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
        process, *options = (FOLDS | MAPS)[fold]
        return self.bench.run(process, self.folder / name, self.bench.cores, *options, *more)["wall"]

    def libertem_seconds(self, fold, name, dataset, executor):
        arguments = ("libertem-fold", self.folder / name, dataset, str(self.bench.cores), executor, fold)
        return self.bench.peers(*arguments)["seconds"]
