//! How many mini-batches a scan is divided into, for what learns while it goes over them.

use pixelmill_core::process::SourceInfo;

/// Mini-batches at most: passes over all of them, as often as anybody asks for, can be counted.
const MOST: u64 = 1 << 15;
/// Spectra and bytes of a unit at least.
const UNIT: (u64, u64) = (128, 1 << 20);

/// So many that each has `batch` spectra at least, or `usual` if nothing is said. A mini-batch is
/// a whole number of units, so that there are no more.
pub fn count(source: &SourceInfo, batch: Option<u64>, usual: u64) -> u32 {
    let wanted = batch.map_or(usual, |batch| source.positions.div_ceil(batch).min(MOST));
    let bytes = source.positions * (source.spectral_points * source.element.size()) as u64;
    let units = (source.positions / UNIT.0).min(bytes / UNIT.1);
    wanted.min(units).max(1) as u32
}
