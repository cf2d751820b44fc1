//! What folds whole spectra with something as long as they are, some spectra at a time.

use pixelmill_core::ndarray::ArrayView2;
use pixelmill_core::process::{Failure, SourceInfo};
use pixelmill_core::reduction::Whole;

use crate::products::dot;

/// Spectra that are taken together: so few that they stay in the processor's cache.
pub const TOGETHER: usize = 32;
/// Points of spectra of which a unit is taken together. Units of longer ones take much memory.
const LONG: usize = 1 << 14;

/// How much of a spectrum is taken at a time: of short ones a whole unit, so that what is as long
/// as they are is fetched once for several of them.
pub fn at_a_time(source: &SourceInfo) -> Whole {
    if source.spectral_points > LONG { Whole::Spectrum } else { Whole::Partition }
}

/// The rows of a view whose values lie side by side, as those of tiles do.
pub fn rows<'v>(values: &'v ArrayView2<'_, f64>) -> Vec<&'v [f64]> {
    values.rows().into_iter().filter_map(|row| row.to_slice()).collect()
}

/// The sum of the squares of a spectrum's values.
///
/// # Errors
/// Which of them is no number, or that they are too large to be squared.
pub fn square(spectrum: &[f64]) -> Result<f64, Failure> {
    let square = dot(spectrum, spectrum);
    if square.is_finite() {
        return Ok(square);
    }
    Err(match spectrum.iter().position(|value| !value.is_finite()) {
        Some(at) => Failure::new(format!("value {at} of the spectrum is {}", spectrum[at])),
        None => Failure::new("the squares of its values are larger than any number"),
    })
}
