"""Functions that numba compiles."""

from pathlib import Path

import numba
import numpy as np
import pixelmill as pm

FACTOR = 2.0


@numba.njit(nogil=True)
def scaled(frame):
    return frame.sum() * FACTOR


def twice(frame):
    return scaled(frame) * 2


def test_a_compiled_function_is_computed_with_what_it_is_recognised_by(frames: Path) -> None:
    global FACTOR
    scan = pm.open(frames, "frames", (0, 1))
    totals = scan.region().sum((2, 3)).astype(float)
    groups = set()
    try:
        for factor in (2.0, 3.0):
            FACTOR = factor
            results = scan.map(twice, workers="threads", progress=False)
            assert np.array_equal(results["twice"][:], totals * factor * 2), factor
            groups.add(results.group)
            assert scan.map(twice, workers="threads", progress=False).outcome == "existing"
    finally:
        FACTOR = 2.0
    assert len(groups) == 2


def test_the_signatures_of_a_compiled_function_are_part_of_it() -> None:
    from pixelmill import _identity

    def own(x):
        return x

    told = [_identity.of_text(numba.njit(signature)(own)) for signature in ("f4(f4)", "f8(f8)")]
    assert told[0] != told[1]
