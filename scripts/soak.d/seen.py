"""What a computation sees of each spectrum: all of it, or a part, or without a dark spectrum."""

import hashlib
import math

import numpy as np
import reductions

# Whose results NumPy gives for any row of numbers, or that are compared with a run that sees the same.
PROCESSES = ("sum", "slow", "digest", "uneven", "trouble", "batched", "weighted", *reductions.TOOLS)


class Seen:
    def __init__(self, crop=None, dark=None):
        self.crop = crop  # a slice for each of a spectrum's axes
        self.dark = dark  # a file with its values, of the shape of a whole spectrum

    @property
    def is_all(self):
        return self.crop is None and self.dark is None

    def rows(self, scan):
        rows = scan.rows()
        if self.is_all:
            return rows
        spectra = rows.reshape(len(rows), *lengths(scan))
        if self.dark is not None:
            spectra = spectra.astype("c16" if scan.is_complex else "f8") - self.dark[1]
        if self.crop is not None:
            spectra = spectra[(slice(None), *self.crop)]
        return np.ascontiguousarray(spectra.reshape(len(rows), -1))

    def shape(self, scan):
        """Lengths of a spectrum's axes."""
        whole = lengths(scan)
        return whole if self.crop is None else [len(range(length)[part]) for part, length in zip(self.crop, whole)]

    def crop_text(self):
        return ",".join(f"{part.start}:{part.stop}:{part.step}" for part in self.crop)

    def options(self):
        told = []
        if self.crop is not None:
            told += ["--crop", self.crop_text()]
        if self.dark is not None:
            told += ["--dark", str(self.dark[0])]
        return told

    def told(self):
        """What has to be the same for results to be the same."""
        dark = self.dark and (str(self.dark[0]), hashlib.sha256(self.dark[1].tobytes()).hexdigest())
        return repr((self.crop, dark))


def lengths(scan):
    return [len(axis.values) for axis in scan.spectrum_axes()]


def random_seen(rng, scan, process, base):
    """Another one than all for some; darks lie in the folder `base`."""
    seen, shape = Seen(), lengths(scan)
    if process not in PROCESSES or scan.points < 2 or math.prod(shape) != scan.points:
        return seen
    if rng.random() < 0.25 and process not in reductions.FRAMES:
        parts = []
        for length in shape:
            first = int(rng.integers(length))
            last = int(rng.integers(first, length)) + 1
            parts.append(slice(first, last, int(rng.integers(1, 4)) if last - first > 1 else 1))
        kept = [len(range(length)[part]) for part, length in zip(parts, shape)]
        # All of it is no part.
        if math.prod(kept) < scan.points:
            parts = [part if count > 1 else slice(part.start, part.start + 1, 1) for part, count in zip(parts, kept)]
            seen.crop = tuple(parts)
    if rng.random() < 0.25:
        number = int(rng.integers(2))
        values = np.random.default_rng((number, *shape)).integers(0, 40, shape) / 4
        file = base / f"dark {number} {'x'.join(map(str, shape))}.npy"
        np.save(file, values)
        seen.dark = file, values
    return seen
