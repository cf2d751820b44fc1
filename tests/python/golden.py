"""References for `tests/golden.rs`."""

from functools import partial
from multiprocessing import get_context

import h5py
import numpy as np

from answer import answer
from usid import Peak_Finding


def peaks(path, group):
    """Positions with another peak than `find_peaks_cwt` finds, and by how many floats the responses differ at most."""
    with h5py.File(path) as file:
        group = file[group]
        response, position = group["Peak_Response"][:, 0], group["Peak_Position"][:, 0]
        spectra = file["Measurement_000/Channel_000/Raw_Data"][()]
        axis = file["Measurement_000/Channel_000/Spectroscopic_Values"][0]
    settings = dict(min_snr=1.0, noise_perc=10.0, gap_thresh=None, window_size=None, min_length=None)
    find = partial(Peak_Finding._map_function, axis=axis, widths=np.linspace(20, 60, 30), **settings)
    with get_context("fork").Pool(2) as pool:
        expected = np.array(pool.map(find, spectra, chunksize=64))
    steps = np.abs(response.view("i4") - expected[:, 0].astype("f4").view("i4"))
    return {
        "positions": len(expected),
        "different": np.flatnonzero(position != expected[:, 1]).tolist(),
        "steps": int(steps.max()),
        "centres": int(np.count_nonzero(expected[:, 1] == axis[len(axis) // 2])),
    }


def main():
    answer(globals())


if __name__ == "__main__":
    main()
