"""Axes that are corrected, for `tests/formats.rs`."""

import h5py

from answer import answer


def double_scale(path, number):
    """Doubles the scale of an axis."""
    with h5py.File(path, "r+") as file:
        file["Experiments/scan/axis-" + number].attrs["scale"] *= 2


def main():
    answer(globals())


if __name__ == "__main__":
    main()
