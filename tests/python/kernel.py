"""What the kernel of `tests/kernel.rs` has to give."""

import h5py
import numpy as np

from answer import answer


def means(path, group, source):
    """Whether the means are right, and which positions failed."""
    with h5py.File(path) as file:
        found = file[group]["Mean"][:, 0]
        means = np.array([sum(row.real.astype(float)) / row.size for row in file[source]])
        failed = np.flatnonzero(file[group]["failed_positions"][()])
    means[999::1000] = np.nan
    return [bool(np.array_equal(found, means, equal_nan=True)), failed.tolist()]


def main():
    answer(globals())


if __name__ == "__main__":
    main()
