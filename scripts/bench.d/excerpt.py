"""The parts `crop` and `corrections`: sums of a quarter of each frame in chunks, and of frames with a dark and a
gain, on the files of the part `frames`.
"""

import numpy as np
from frames import POSITIONS, Frames

PIXELS = 256
CROP = "64:192,64:192"


class Excerpt(Frames):
    def crop(self):
        """A quarter of the chunks is decoded, and not much more than a quarter of the time taken."""
        whole, part, h5py_whole, h5py_part = self.turns(
            lambda: self.run("blocks.h5", *POSITIONS),
            lambda: self.run("blocks.h5", *POSITIONS, "--crop", CROP),
            lambda: self.bench.peers("h5py-sum", self.folder / "blocks.h5", "0", str(PIXELS))["seconds"],
            lambda: self.bench.peers("h5py-sum", self.folder / "blocks.h5", *CROP.split(",")[0].split(":"))["seconds"],
        )
        chunks = part[0]["chunks_decoded"] / whole[0]["chunks_decoded"]
        self.bench.line(f"chunks of 32⁴ that a crop to {CROP} decodes, of all", [chunks], most=0.25)
        ratios = [its["seconds"] / all["seconds"] for its, all in zip(part, whole)]
        self.bench.line("time of that, of the whole", ratios, most=0.35)
        self.bench.line("the same in h5py", [its / all for its, all in zip(h5py_part, h5py_whole)])
        ratios = [theirs / ours["seconds"] for theirs, ours in zip(h5py_part, part)]
        self.bench.line("times as fast as h5py and NumPy, cropped", ratios)
        whole, part = self.turns(
            lambda: self.ours("contiguous.h5", *POSITIONS)[0],
            lambda: self.ours("contiguous.h5", *POSITIONS, "--crop", CROP)[0],
        )
        ratios = [all / its for its, all in zip(part, whole)]
        self.bench.line("time of a cropped sum of contiguous frames, of the whole", ratios)

    def corrections(self):
        """Beside the sum without them, and LiberTEM's."""
        rng = np.random.default_rng(5)
        dark, gain = self.folder / "dark.npy", self.folder / "gain.npy"
        np.save(dark, rng.normal(2, 0.1, (PIXELS, PIXELS)).astype("f4"))
        np.save(gain, rng.uniform(0.9, 1.1, (PIXELS, PIXELS)).astype("f4"))
        arrays = ("--dark", dark, "--gain", gain)
        theirs = self.libertem("contiguous.h5", "/data", str(dark), str(gain))
        plain, corrected, libertem = self.turns(
            lambda: self.ours("contiguous.h5", *POSITIONS)[0],
            lambda: self.ours("contiguous.h5", *POSITIONS, *arrays)[0],
            theirs,
        )
        self.bench.line("sum of frames with a dark and a gain", corrected, "GB/s")
        ratios = [its / without for its, without in zip(corrected, plain)]
        self.bench.line("speed of that over the speed without", ratios, least=0.6)
        self.bench.line("the same by LiberTEM", libertem, "GB/s")
        ratios = [its / their for its, their in zip(corrected, libertem)]
        self.bench.line("times as fast as LiberTEM, with corrections", ratios, least=3)
