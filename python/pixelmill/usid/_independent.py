"""Whether what a class computes for a position depends on which others are computed with it."""

from typing import Any

# Computations of whole batches that treat each row by itself, by where they are defined.
_KNOWN = {
    "BGlib.be.analysis.be_sho_fitter.BESHOfitter._unit_compute_fit",
    "BGlib.gmode.analysis.giv_bayesian.GIVBayesian._unit_computation",
    "BGlib.gmode.proc.signal_filter.SignalFilter._unit_computation",
    "ffta.hdf_utils.process.FFtrEFM._unit_computation",
    "pixelmill.usid._process.Process._unit_computation",
}


def is_independent(process: Any) -> bool:
    """What the class says of itself, or what is known of its unit computation."""
    if process.positions_are_independent is not None:
        return bool(process.positions_are_independent)
    function = getattr(process._unit_computation, "__func__", process._unit_computation)
    return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', '')}" in _KNOWN
