"""The part `components`: singular values, clusters and factors of a scan beside HyperSpy, within a budget of 256 MiB,
and mixtures beside scikit-learn.

The cube has 128 × 128 spectra of 2,048 values in single precision: twenty spectra in falling amounts, and noise; `nmf` has
the same without their signs.
"""

import h5py
import numpy as np

SIDE, POINTS, COMPONENTS, CLUSTERS = 128, 2048, 20, 8
# Of loadings, as mixtures with full covariances are found.
LOADINGS, STEPS = 16, 20
MEMORY = 256


class Components:
    def __init__(self, bench):
        self.bench = bench

    def measure(self):
        file = self.cube()
        self.beside(file, "svd", "hyperspy-svd", ("-p", f"components={COMPONENTS}"), 5)
        self.beside(file, "kmeans", "sklearn-kmeans", ("-p", f"clusters={CLUSTERS}"), 10)
        self.filter(file)
        self.beside(self.cube(is_positive=True), "nmf", "hyperspy-nmf", ("-p", f"components={COMPONENTS}"), 1)
        for process in ("orpca", "ornmf"):
            scan = self.cube(is_positive=process == "ornmf")
            self.beside(scan, process, "hyperspy-online", ("-p", f"components={COMPONENTS}"), 5, process.upper())
        self.mixtures()

    def filter(self, file):
        """Spectra from ten components, of results in memory on HyperSpy's side and in the file on ours."""
        given, kept = ("--positions-axes", "0,1"), COMPONENTS // 2
        found = self.bench.run("svd", file, self.bench.cores, "-p", f"components={COMPONENTS}", *given)
        results = found["file"].rename(self.bench.folder / "decomposed.h5")
        given += ("-p", f"decomposition={results}:{found['group']}", "-p", f"components={kept}")
        times, off = [], []
        for _ in range(self.bench.repeat):
            ours = self.bench.run("svd-filter", file, self.bench.cores, *given)
            theirs = self.bench.peers(
                "hyperspy-model", file, str(self.bench.cores), ours["file"], ours["group"], results, found["group"]
            )
            times.append(theirs["seconds"] / ours["wall"])
            off.append(theirs["off"])
        self.bench.line(f"svd-filter, {kept} components: times as fast as HyperSpy", times, least=1)
        self.bench.line(f"svd-filter, {kept} components: apart from it", off, most=1e-5)

    def mixtures(self):
        """As many steps on both sides, from each side's own beginning."""
        file, cores = self.loadings(), self.bench.cores
        for covariance in ("full", "diag"):
            given = ("-p", f"components={CLUSTERS}", "-p", f"covariance={covariance}")
            given += ("-p", "tolerance=0", "-p", f"iterations={STEPS}", "--positions-axes", "0,1")
            times, apart = [], []
            for _ in range(self.bench.repeat):
                ours = self.bench.run("gaussian-mixture", file, cores, *given)
                told = (file, str(cores), ours["file"], ours["group"], str(CLUSTERS), covariance, str(STEPS))
                theirs = self.bench.peers("sklearn-mixture", *told)
                times.append(theirs["seconds"] / ours["wall"])
                apart.append(theirs["apart"])
            what = f"gaussian-mixture, {CLUSTERS} {covariance} covariances of {LOADINGS} values"
            self.bench.line(f"{what}: times as fast as scikit-learn", times, least=1)
            self.bench.line(f"{what}: more likely by, as a part of the mean log-likelihood", apart, least=-1e-6)

    def loadings(self):
        file = self.bench.folder / "loadings.h5"
        if not file.exists():
            random = np.random.default_rng(2)
            centers = random.normal(0, 3, (CLUSTERS, LOADINGS))
            roots = random.normal(0, 0.3, (CLUSTERS, LOADINGS, LOADINGS)) + np.eye(LOADINGS)
            labels = random.integers(CLUSTERS, size=(4 * SIDE) ** 2)
            noise = random.normal(size=(len(labels), LOADINGS))
            values = centers[labels] + np.einsum("npq,nq->np", roots[labels], noise)
            with h5py.File(file, "w") as opened:
                opened["data"] = values.reshape(4 * SIDE, 4 * SIDE, LOADINGS)
        return file

    def beside(self, file, process, peer, options, least, *more):
        cores = self.bench.cores
        given = (*options, "--positions-axes", "0,1", "--memory", f"{MEMORY}M")
        times, off = [], []
        # HyperSpy takes minutes to learn online.
        for _ in range(1 if more else self.bench.repeat):
            ours = self.bench.run(process, file, cores, *given)
            theirs = self.bench.peers(peer, file, str(cores), ours["file"], ours["group"], *more)
            times.append(theirs["seconds"] / ours["wall"])
            off.append(theirs["off"])
        what, told, most = {
            "svd": (f"svd, {COMPONENTS} components", "explained variance beside the exact one", 1e-4),
            "kmeans": (f"kmeans, {CLUSTERS} clusters", "inertia beside theirs", 1.0 + 1e-6),
            "nmf": (f"nmf, {COMPONENTS} components", "error beside theirs", 1.0 + 1e-3),
            "orpca": (f"orpca, {COMPONENTS} components", "distance from the data beside theirs", 1.0),
            "ornmf": (f"ornmf, {COMPONENTS} components", "distance from the data beside theirs", 1.0),
        }[process]
        self.bench.line(f"{what}: times as fast as HyperSpy", times, least=least)
        self.bench.line(f"{what}: {told}", off, most=most)
        peak = self.bench.peak_memory(process, file, f"{MEMORY}M", *given[:-2])
        self.bench.line(f"{what}: peak memory at --memory {MEMORY}M", [peak], "MiB", most=MEMORY)

    def cube(self, is_positive=False):
        file = self.bench.folder / ("positive.h5" if is_positive else "cube.h5")
        if not file.exists():
            random = np.random.default_rng(1)
            spectra = np.abs(random.normal(size=(COMPONENTS, POINTS)))
            amounts = np.abs(random.normal(size=(SIDE * SIDE, COMPONENTS))) * np.logspace(1, 0, COMPONENTS)
            values = amounts @ spectra + random.normal(size=(SIDE * SIDE, POINTS))
            values = np.abs(values) if is_positive else values
            with h5py.File(file, "w") as opened:
                opened["data"] = values.astype("f4").reshape(SIDE, SIDE, POINTS)
        return file
