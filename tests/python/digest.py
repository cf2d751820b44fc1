"""What the trial process `digest` and the trial reduction `gathered` give, computed by NumPy."""

import numpy as np


def digests(spectra):
    """Each value counts by its place in the spectrum, its parts differently."""
    place = np.arange(1.0, spectra.shape[1] + 1)
    spectra = spectra.astype(complex)
    return in_order(place * spectra.real + place * place * spectra.imag)


def in_order(terms):
    total = np.zeros(len(terms))
    for column in terms.T:
        total = total + column
    return total


def gathered(spectra):
    """A hash of each point over all positions, and of each position over all points."""
    spectra = spectra.astype(complex)
    parts = [np.ascontiguousarray(part).view(np.uint64) for part in (spectra.real, spectra.imag)]
    positions, points = (np.arange(count, dtype=np.uint64) for count in spectra.shape)
    one, two = np.uint64(1), np.uint64(2)
    values = parts[0] * np.uint64(3) + parts[1] * np.uint64(5)
    own = values * (two * positions + one)[:, None]
    sums = own.sum(axis=0, dtype=np.uint64), (own * (two * points + one)).sum(axis=1, dtype=np.uint64)
    return [(total >> np.uint64(12)).astype(float) for total in sums]
