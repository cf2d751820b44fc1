"""Files for `tests/ranks.rs`."""

import h5py
import numpy as np

from answer import answer


def may_write(path):
    """Whether nobody has the file open."""
    try:
        h5py.File(path, "r+").close()
    except BlockingIOError:
        return False
    return True


def few_positions(path):
    """A scan of three positions."""
    with h5py.File(path, "w") as file:
        file["data"] = np.ones((3, 8))


def pad(path):
    """Makes the file 40 MiB longer."""
    with h5py.File(path, "r+") as file:
        file["padding"] = np.zeros(40 << 20, dtype="u1")


def change_a_value(path):
    """Measures something else at one point."""
    with h5py.File(path, "r+") as file:
        file["Measurement_000/Channel_000/Raw_Data"][7, 3] += 1


def units(path, count):
    """Writes so many units of folds: a mebibyte each."""
    random = np.random.default_rng(3)
    with h5py.File(path, "w") as file:
        data = file.create_dataset("data", (128 * int(count), 1024), "f8")
        for unit in range(int(count)):
            data[128 * unit : 128 * (unit + 1)] = random.normal(0, 1, (128, 1024)).round(1)


def main():
    answer(globals())


if __name__ == "__main__":
    main()
