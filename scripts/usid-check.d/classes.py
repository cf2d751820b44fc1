"""Runs a class on a file: `classes.py pyUSID|pixelmill NAME FILE PIPE`; says on the pipe when it begins to compute."""

import hashlib
import os
import sys
import zlib

import h5py
import numpy as np
from data import MAIN


def seeded(values: np.ndarray) -> None:
    """As `pixelmill.usid` does, so that what is drawn at random is the same."""
    np.random.seed(zlib.crc32(np.ascontiguousarray(values).tobytes()))


class Seeded:
    """A map function that draws the same for the same row."""

    def __init__(self, function):
        self._function = function

    def __call__(self, row, *arguments, **named):
        seeded(row)
        return self._function(row, *arguments, **named)


def begin() -> None:
    os.close(int(sys.argv[4]))


def signal(main, seed):
    from BGlib.gmode.proc.signal_filter import SignalFilter

    process = SignalFilter(main, noise_threshold=1e-4, cores=2)
    begin()
    process.compute()


def giv(main, seed):
    from BGlib.gmode.analysis import giv_bayesian

    if seed:
        giv_bayesian.do_bayesian_inference = Seeded(giv_bayesian.do_bayesian_inference)
    process = giv_bayesian.GIVBayesian(main, 200.0, 7, num_x_steps=50, cores=2)
    begin()
    process.compute()


def sho(main, seed):
    from BGlib.be.analysis.be_sho_fitter import BESHOfitter

    guess_and_fit(BESHOfitter(main, cores=2))


def loop(main, seed):
    from BGlib.be.analysis.be_loop_fitter import BELoopFitter

    if seed:
        compute = BELoopFitter._unit_compute_guess

        def seeded_first(self):
            digests = [hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in self.h5_main[()]]
            seeded(np.frombuffer(b"".join(digests), "<u8"))
            compute(self)

        BELoopFitter._unit_compute_guess = seeded_first
    guess_and_fit(BELoopFitter(main, "BEPSData", "DC modulation mode", "full", cores=2))


def guess_and_fit(fitter):
    begin()
    fitter.set_up_guess()
    fitter.do_guess()
    fitter.set_up_fit()
    fitter.do_fit()


def ffta(main, seed):
    from ffta.hdf_utils.process import FFtrEFM

    process = FFtrEFM(main, cores=2)
    begin()
    process.compute()


if __name__ == "__main__":
    base, name, path = sys.argv[1:4]
    if base == "pixelmill":
        import pixelmill.usid

        pixelmill.usid.install()
    with h5py.File(path, "r+") as file:
        globals()[name](file[MAIN], seed=base == "pyUSID")
