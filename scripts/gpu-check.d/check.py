"""Functions and classes over a scan on each GPU that there is: the numbers of NumPy, and how long it takes."""

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import cupy
import h5py
import numpy as np
import pixelmill as pm

SHAPE = (64, 64, 256, 256)


def spectrum_of(frames: Any, xp: Any, weights: Any) -> Any:
    """Compute-bound, and the same on both."""
    return xp.abs(xp.fft.rfft2(frames * weights)).mean(axis=(1, 2))


class Filtered(pm.Process):
    """A class that runs on both: frames without their high frequencies, and what these were."""

    keep: int = 16

    def create_results_datasets(self, source: pm.SourceInfo, results: pm.ResultsDatasets) -> None:
        results.main("Row", "Mean row", source.units, "f4", source.axis(0))
        results.main("Lost", "Share of the energy")

    def prepare(self, source: pm.SourceInfo) -> Any:
        mask = self.xp.zeros((len(source.axis(1)), len(source.axis(0)) // 2 + 1), bool)
        mask[: self.keep, : self.keep] = mask[-self.keep :, : self.keep] = True
        return mask

    def preprocess(self, spectrum: Any) -> Any:
        return spectrum.astype(self.xp.float32)

    def unit_computation(self, spectra: Any, offset: Any) -> Any:
        all_ = self.xp.fft.rfft2(spectra - offset[:, None, None])
        kept = all_ * self.task
        energy = (abs(all_) ** 2).sum(axis=(1, 2)) + 1
        rows = self.xp.fft.irfft2(kept, s=spectra.shape[1:]).mean(axis=1)
        return rows.astype(self.xp.float32), 1 - (abs(kept) ** 2).sum(axis=(1, 2)) / energy


class OnGpu(Filtered):
    """The same there."""

    backend = "cupy"


def around(frame: Any, neighbours: Any, xp: Any) -> Any:
    """One by one, with neighbours."""
    return xp.median(neighbours.reshape(9, -1), axis=0).mean()


def check(what: str, here: pm.Results, there: pm.Results, tolerance: float) -> None:
    """Compares what was computed on both, and tells how long it took."""
    assert not here.failed and not there.failed, (here.failed, there.failed)
    assert here.group != there.group, "one was taken for the other"
    for name in here:
        ours, theirs = here[name][:], there[name][:]
        assert np.allclose(ours, theirs, rtol=tolerance, atol=tolerance), (what, name, abs(ours - theirs).max())
    seconds = [results.report["seconds"] if results.report else 0.0 for results in (here, there)]
    print(f"{what}: the numbers of NumPy; {seconds[0]:.2f} s on the processor, {seconds[1]:.2f} s on the GPU")


def main(folder: Path) -> None:
    path = folder / "scan.h5"
    with h5py.File(path, "w") as file:
        frames = file.create_dataset("frames", SHAPE, np.uint16)
        for row in range(SHAPE[0]):
            frames[row] = np.random.default_rng(row).integers(0, 4096, SHAPE[1:], np.uint16)
    scan = pm.open(path, "frames", (0, 1))
    weights = np.hanning(SHAPE[2])[:, None] * np.hanning(SHAPE[3])
    both = [
        scan.map(spectrum_of, batch=True, weights=weights, backend=backend, progress=False)
        for backend in ("numpy", "cupy")
    ]
    check("a function of many frames", *both, 1e-9)
    offset = np.arange(SHAPE[0] * SHAPE[1], dtype=np.float32).reshape(SHAPE[:2])
    check("a class", *(scan.run(of(), offset=offset, progress=False) for of in (Filtered, OnGpu)), 1e-3)
    trial = scan.test(OnGpu(), at=(1, 2), offset=offset)
    assert trial.failure is None and trial.values["Row"].shape == (SHAPE[3],), trial
    few = {"neighbours": 1, "positions": (slice(0, 8), slice(0, 8)), "progress": False}
    one, other = (scan.map(around, backend=backend, **few)["around"][:8, :8] for backend in ("numpy", "cupy"))
    assert np.allclose(one, other), "with neighbours"
    print("one by one with neighbours: the numbers of NumPy")

    started = time.perf_counter()
    again = scan.run(OnGpu(), offset=offset, progress=False)
    assert again.outcome == "existing"
    print(f"found again in {time.perf_counter() - started:.2f} s")
    # Somebody else has nearly all of the memory.
    free, total = cupy.cuda.runtime.memGetInfo()
    taken = cupy.empty(int(free * 0.9), np.uint8)
    fewer = scan.run(OnGpu(keep=17), offset=offset, progress=False)
    assert not fewer.failed, fewer.failed
    del taken
    print(f"with {total >> 20} MiB nearly full: done in smaller batches")
    print(f"gpu-check: all is well on {cupy.cuda.runtime.getDeviceCount()} GPU(s)")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as made:
        main(Path(made))
