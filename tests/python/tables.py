"""Tables of positions, for `tests/untidy.rs`."""

import h5py

from answer import answer


def positions(path, dataset):
    """The tables of positions that a dataset refers to."""
    with h5py.File(path) as file:
        names = ["Position_Indices", "Position_Values"]
        return [file[file[dataset].attrs[name]][()].tolist() for name in names]


def main():
    answer(globals())


if __name__ == "__main__":
    main()
