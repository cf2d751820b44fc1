"""Scans to be drawn, for `tests/plot.rs`."""

import h5py
import numpy as np

from answer import answer


def noiseless(path, dataset):
    """Makes the first spectrum an oscillator without noise."""
    with h5py.File(path, "r+") as file:
        w = file["Measurement_000/Channel_000/Spectroscopic_Values"][0].astype(float)
        w0, q = 331e3, 40
        file[dataset][0] = 3e-5 * np.exp(0.4j) * w0**2 / (w**2 - 1j * w * w0 / q - w0**2)


def slow_axis(path, dataset):
    """Gives the spectra a second, slower axis."""
    with h5py.File(path, "r+") as file:
        channel = file["Measurement_000/Channel_000"]
        for name in ("Spectroscopic_Indices", "Spectroscopic_Values"):
            fast, old = np.tile(np.arange(17), 7), channel[name]
            slow, attributes = np.repeat(np.arange(7), 17), dict(old.attrs)
            table = np.array([fast, slow])
            if name.endswith("Values"):
                table = np.array([3e5 + 1e3 * fast, 0.5 * slow])
            dtype = old.dtype
            del channel[name]
            new = channel.create_dataset(name, data=table.astype(dtype))
            for key in attributes:
                new.attrs[key] = attributes[key]
            new.attrs["labels"] = np.array([b"Frequency", b"Bias"])
            new.attrs["units"] = np.array([b"Hz", b"V"])
            file[dataset].attrs[name] = new.ref


def main():
    answer(globals())


if __name__ == "__main__":
    main()
