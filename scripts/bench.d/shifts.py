"""The part `shifts`: how far frames of the part `frames` are shifted against one of them, to a hundredth of a point,
beside scikit-image's `phase_cross_correlation`, which HyperSpy maps over them lazily.

One of 16 × 16 frames, since scikit-image takes long.
"""

import h5py
from frames import POSITIONS, Frames

SIDE = 16


class Shifts(Frames):
    def measure(self):
        file = self.bench.folder / "shifts.h5"
        with h5py.File(self.folder / "contiguous.h5") as opened, h5py.File(file, "w") as made:
            made["contiguous"] = opened["data"][:SIDE, :SIDE]
            made["reference"] = opened["data"][0, 0]
            chunks = (1, 1, *made["reference"].shape)
            made.create_dataset("chunks", data=made["contiguous"], chunks=chunks, compression="gzip", shuffle=True)
        for stored in ("contiguous", "chunks"):
            ratios, off = [], []
            for _ in range(self.bench.repeat):
                options = ("--dataset", stored, *POSITIONS, "-p", "reference=/reference")
                ours = self.bench.run("phase-correlation", file, self.bench.cores, *options)
                given = (file, stored, str(self.bench.cores), ours["file"], ours["group"])
                theirs = self.bench.peers("scikit-image-shifts", *given)
                ratios.append(theirs["seconds"] / ours["seconds"])
                off.append(theirs["off"])
            self.bench.line(f"shifts, {stored}: times as fast as scikit-image through HyperSpy", ratios, least=10)
            self.bench.line(f"shifts, {stored}: difference from scikit-image's", off, "points", most=0.011)
