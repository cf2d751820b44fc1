//! The engine for who has a process at hand.

use std::path::Path;

use pixelmill_core::error::Result;
use pixelmill_core::map_kernel::kernel_of;
use pixelmill_core::process::Process;

use crate::engine::{self, Computed, Observer, Pixel, Probe, Request, Stop, Verification};

/// Computes `P` as `request` says. Of several ranks, all call this with the same arguments; the
/// observer of rank 0 is told of all.
///
/// # Errors
/// Everything that [`Error`](crate::Error) lists. A file that was being computed stays resumable.
pub fn compute<P: Process>(
    parameters: &P::Parameters,
    request: &Request,
    observer: &dyn Observer,
    stop: &Stop,
) -> Result<Computed> {
    engine::compute(&kernel_of::<P>(parameters)?, request, observer, stop)
}

/// Computes one position and writes nothing.
///
/// # Errors
/// If there is no such position, or the source doesn't fit the process.
pub fn test<P: Process>(
    parameters: &P::Parameters,
    request: &Request,
    pixel: &Pixel,
) -> Result<Probe> {
    engine::test(&kernel_of::<P>(parameters)?, request, pixel)
}

/// Computes `sample` random completed positions of the results group `group` of the file `results`
/// again, from the source that `request` names, and compares; all data of completed positions are
/// compared with what they were.
///
/// # Errors
/// If the group or its source can't be read, or is of another process.
pub fn verify<P: Process>(
    parameters: &P::Parameters,
    request: &Request,
    results: &Path,
    group: &str,
    sample: u64,
) -> Result<Verification> {
    engine::verify(&kernel_of::<P>(parameters)?, request, results, group, sample)
}
