"""What the trial process `digest` gives, computed by NumPy."""

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
