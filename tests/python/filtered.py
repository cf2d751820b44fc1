"""What is left after filtering, for `tests/signal_filter.rs`."""

import hashlib

import h5py
import numpy as np

from answer import answer


def residual(path, group):
    """What is left beside the tone."""
    with h5py.File(path) as file:
        filtered = file[group]["Filtered_Data"][()].astype(float)
    tone = 2 * np.sin(2 * np.pi * 2000 * np.arange(filtered.shape[1]) / 1e5 + 0.3)
    difference = filtered - tone
    return {"bias": float(difference.mean(axis=0).std()), "variance": float(difference.var())}


def digests(path, group):
    """Digests of the results."""
    with h5py.File(path) as file:
        group = file[group]
        names = [name for name in group if name.endswith(("Data", "Floors", "Filter"))]
        return {name: hashlib.sha256(group[name][()].tobytes()).hexdigest() for name in names}


def make_strange(path):
    """Makes rows NaN, infinite, too large, constant, and 0."""
    with h5py.File(path, "r+") as file:
        raw = file["/Measurement_000/Channel_000/Raw_Data"]
        raw[0, 7], raw[1, 0], raw[2], raw[3], raw[4] = np.nan, -np.inf, 1e308, 5, 0
        raw[5] = np.clip(raw[5], -0.1, 0.1)


def strange(path, group):
    """What became of these rows."""
    with h5py.File(path) as file:
        found = file[group]["Filtered_Data"][()]
    return {
        "missing": np.flatnonzero(np.isnan(found).all(axis=1)).tolist(),
        "finite": int(np.isfinite(found).all(axis=1).sum()),
        "constant": float(abs(found[3] - 5).max()),
        "zero": float(abs(found[4]).max()),
    }


def main():
    answer(globals())


if __name__ == "__main__":
    main()
