"""The part `python`: the Python package beside its neighbours, on the compressed file of the part `frames`.

`scripts/bench` builds the package into a folder that is added to the peers' own.
"""

from frames import EXECUTORS, HYPERSPY_DATASET, Frames

FILE = "frames.hspy"
# What dask reads at once from h5py: as it chooses, and as the chunks lie.
H5PY_CHUNKS = ("auto", "2,64,256,256")


class Python(Frames):
    def measure(self):
        self.dask()
        self.libertem_sum()

    def dask(self):
        chunks = min(H5PY_CHUNKS, key=self.dask_over_h5py)
        ours, theirs = self.turns(
            lambda: self.seconds("pixelmill-dask"),
            lambda: self.dask_over_h5py(chunks),
        )
        self.beside(f"scan.to_dask().sum((2, 3)), {FILE}", ours, f"dask over h5py ({chunks})", theirs, least=5)

    def dask_over_h5py(self, chunks):
        return self.seconds("dask-sum", HYPERSPY_DATASET, chunks)

    def libertem_sum(self):
        """Each with the executor that is the fastest for it."""
        ours, theirs = self.turns(
            *(
                lambda command=command, given=given, best=best: self.seconds(command, *given, best)
                for command, given in (("pixelmill-libertem", ()), ("libertem-sum", (HYPERSPY_DATASET,)))
                for best in [min(EXECUTORS, key=lambda executor: self.seconds(command, *given, executor))]
            )
        )
        self.beside(f"LiberTEM's SumUDF through our DataSet, {FILE}", ours, "its own HDF5 reader", theirs, least=3)

    def seconds(self, command, *more):
        return self.bench.peers(command, self.folder / FILE, str(self.bench.cores), *more)["seconds"]

    def beside(self, what, ours, peer, theirs, least):
        self.bench.line(what, ours, "s")
        self.bench.line(f"the same by {peer}", theirs, "s")
        self.bench.line(f"times as fast as {peer}", [its / our for our, its in zip(ours, theirs)], least=least)
