"""Datasets beside the sample, for `tests/stop.rs`."""

import h5py
import numpy as np

from answer import answer


def magnitudes(path, dataset):
    """Adds the magnitudes of the spectra as a main dataset of real numbers."""
    with h5py.File(path, "r+") as file:
        old = file[dataset]
        new = file.create_dataset("Magnitudes/Raw_Data", data=np.abs(old[()]))
        for name, value in old.attrs.items():
            new.attrs[name] = value


def mask(path):
    """A mask of every fifth position."""
    with h5py.File(path, "r+") as file:
        file["chosen"] = np.arange(4096).reshape(64, 64) % 5 == 0


def main():
    answer(globals())


if __name__ == "__main__":
    main()
