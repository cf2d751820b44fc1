"""The part `denoise`: medians and Gaussian means over the neighbouring positions of frames, beside
`scipy.ndimage` in dask's `map_overlap` on as many cores, contiguous and in chunks.

One of 32 × 32 frames of the part `frames`, since SciPy takes long.
"""

import h5py

from frames import POSITIONS, Frames

SIDE = 32
CHUNK = 8
METHODS = {
    "median of 3 × 3": ("median", "3", ("-p", "size=3"), 0.0),
    "Gaussian mean, sigma 1": ("gaussian", "1", ("-p", "method=gaussian", "-p", "sigma=1"), 1e-5),
}


class Denoise(Frames):
    def files(self):
        with h5py.File(self.folder / "contiguous.h5") as opened:
            data = opened["data"][:SIDE, :SIDE]
        with h5py.File(self.bench.folder / "denoise.h5", "w") as opened:
            opened.create_dataset("contiguous", data=data)
            chunks = (CHUNK, CHUNK, 64, 64)
            opened.create_dataset("chunks", data=data, chunks=chunks, compression="gzip", shuffle=True)
        return self.bench.folder / "denoise.h5"

    def measure(self):
        file = self.files()
        for stored in ("contiguous", "chunks"):
            for what, (method, value, options, most) in METHODS.items():
                self.beside_dask(file, stored, (what, method, value, options, most))

    def beside_dask(self, file, stored, how):
        what, method, value, options, most = how
        ratios, off = [], []
        for _ in range(self.bench.repeat):
            ours = self.bench.run("denoise", file, self.bench.cores, "--dataset", stored, *POSITIONS, *options)
            given = (str(self.bench.cores), method, value, ours["file"], ours["group"])
            theirs = self.bench.peers("dask-denoise", file, stored, *given)
            ratios.append(theirs["seconds"] / ours["seconds"])
            off.append(theirs["off"])
        self.bench.line(f"{what}, {stored}: times as fast as SciPy through dask", ratios, least=10)
        self.bench.line(f"{what}, {stored}: relative difference from SciPy", off, most=most)
        if ours["chunks"]:
            times = [ours["chunks_decoded"] / ours["chunks"]]
            self.bench.line(f"{what}: how often each chunk is decoded", times, most=1)
