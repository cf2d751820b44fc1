"""The part `components`: singular values and clusters of a scan beside HyperSpy, within a budget of 256 MiB.

The cube has 128 × 128 spectra of 2,048 values in single precision: twenty spectra in falling amounts, and noise.
"""

import h5py
import numpy as np

SIDE, POINTS, COMPONENTS, CLUSTERS = 128, 2048, 20, 8
MEMORY = 256


class Components:
    def __init__(self, bench):
        self.bench = bench

    def measure(self):
        file = self.cube()
        self.beside(file, "svd", "hyperspy-svd", ("-p", f"components={COMPONENTS}"), 5)
        self.beside(file, "kmeans", "sklearn-kmeans", ("-p", f"clusters={CLUSTERS}"), 10)
        for process in ("orpca", "ornmf"):
            self.beside(file, process, "hyperspy-online", ("-p", f"components={COMPONENTS}"), 5, process.upper())

    def beside(self, file, process, peer, options, least, *more):
        cores = self.bench.cores
        given = (*options, "--positions-axes", "0,1", "--memory", f"{MEMORY}M")
        times, off = [], []
        for _ in range(self.bench.repeat):
            ours = self.bench.run(process, file, cores, *given)
            theirs = self.bench.peers(peer, file, str(cores), ours["file"], ours["group"], *more)
            times.append(theirs["seconds"] / ours["wall"])
            off.append(theirs["off"])
        what = f"{process}, {CLUSTERS} clusters" if process == "kmeans" else f"{process}, {COMPONENTS} components"
        told, most = {
            "svd": ("explained variance beside the exact one", 1e-4),
            "kmeans": ("inertia beside theirs", 1.0 + 1e-6),
        }.get(process, ("distance from the data beside theirs", 1.0))
        self.bench.line(f"{what}: times as fast as HyperSpy", times, least=least)
        self.bench.line(f"{what}: {told}", off, most=most)
        peak = self.bench.peak_memory(process, file, f"{MEMORY}M", *given[:-2])
        self.bench.line(f"{what}: peak memory at --memory {MEMORY}M", [peak], "MiB", most=MEMORY)

    def cube(self):
        file = self.bench.folder / "cube.h5"
        if not file.exists():
            random = np.random.default_rng(1)
            spectra = np.abs(random.normal(size=(COMPONENTS, POINTS)))
            amounts = np.abs(random.normal(size=(SIDE * SIDE, COMPONENTS))) * np.logspace(1, 0, COMPONENTS)
            values = amounts @ spectra + random.normal(size=(SIDE * SIDE, POINTS))
            with h5py.File(file, "w") as opened:
                opened["data"] = values.astype("f4").reshape(SIDE, SIDE, POINTS)
        return file
