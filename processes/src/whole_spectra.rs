//! What folds whole spectra with something as long as they are, some spectra at a time.

use num_complex::Complex64;
use pixelmill_core::ndarray::ArrayView2;
use pixelmill_core::process::{Failure, SourceInfo};
use pixelmill_core::reduction::{Tile, Whole};

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
pub fn rows<'v, T>(values: &'v ArrayView2<'_, T>) -> Vec<&'v [T]> {
    values.rows().into_iter().filter_map(|row| row.to_slice()).collect()
}

/// Spectra of a source that may be complex, as real numbers: of a complex one the real and the
/// imaginary part of each value, side by side.
#[derive(Clone, Copy)]
pub struct Reals {
    is_complex: bool,
}

impl Reals {
    /// Those of this source.
    pub fn of(source: &SourceInfo) -> Self {
        Self { is_complex: source.element.is_complex() }
    }

    /// Whether its values have an imaginary part.
    pub fn are_complex(self) -> bool {
        self.is_complex
    }

    /// How many there are in so many values.
    pub fn count(self, values: usize) -> usize {
        if self.is_complex { 2 * values } else { values }
    }

    /// What `fold` makes of the spectra of a unit; `buffer` is for those that don't lie in memory.
    pub fn of_unit<R>(
        self,
        unit: &mut Tile<'_, Complex64>,
        buffer: &mut Vec<f64>,
        fold: impl FnOnce(&[&[f64]]) -> R,
    ) -> R {
        if self.is_complex {
            let values = unit.values();
            let parts = rows(&values).into_iter().map(bytemuck::cast_slice);
            return fold(&parts.collect::<Vec<_>>());
        }
        if let Some(values) = unit.stored_as::<f64>() {
            return fold(&rows(&values));
        }
        unit.convert_to(buffer);
        fold(&buffer.chunks_exact(unit.points()).collect::<Vec<_>>())
    }

    /// The sum of their squares.
    ///
    /// # Errors
    /// As those of [`square`], with the part of a complex value that is none.
    pub fn square(self, spectrum: &[f64]) -> Result<f64, Failure> {
        square(spectrum).map_err(|why| {
            match spectrum.iter().position(|value| !value.is_finite()).filter(|_| self.is_complex) {
                Some(at) => {
                    let part = if at % 2 == 0 { "real" } else { "imaginary" };
                    let (value, of) = (at / 2, spectrum[at]);
                    Failure::new(format!("value {value} of the spectrum has the {part} part {of}"))
                }
                None => why,
            }
        })
    }

    /// Those of one spectrum; `buffer` is for those of real ones.
    pub fn of_spectrum<'s>(self, values: &'s [Complex64], buffer: &'s mut Vec<f64>) -> &'s [f64] {
        if self.is_complex {
            return bytemuck::cast_slice(values);
        }
        buffer.clear();
        buffer.extend(values.iter().map(|value| value.re));
        buffer
    }
}

/// Folds a unit some spectra at a time: `fold` gets these, the number of the first of them, and
/// what it says of those that fail is said of the unit.
pub fn fold_together(
    unit: &mut Tile<'_, f64>,
    mut fold: impl FnMut(&[&[f64]], usize, &mut dyn FnMut(usize, Failure)),
) {
    let mut failed = Vec::new();
    let values = unit.values();
    for (number, rows) in rows(&values).chunks(TOGETHER).enumerate() {
        fold(rows, number * TOGETHER, &mut |index, why| failed.push((index, why)));
    }
    failed.into_iter().for_each(|(index, why)| unit.fail(index, why));
}

/// The sum of the squares of all values of some spectra, of which the first has this number.
/// `fail` is told of those whose squares can't be had; nothing then, since the unit is folded once
/// more without them.
pub fn energy(
    rows: &[&[f64]],
    first: usize,
    square: impl Fn(&[f64]) -> Result<f64, Failure>,
    mut fail: impl FnMut(usize, Failure),
) -> Option<f64> {
    let mut energy = Some(0.0);
    for (index, row) in rows.iter().enumerate() {
        match square(row) {
            Ok(square) => energy = energy.map(|sum| sum + square),
            Err(why) => {
                energy = None;
                fail(first + index, why);
            }
        }
    }
    energy
}

/// Sums of squares that can be summed over all spectra, and squared once more.
const SQUARES: std::ops::Range<f64> = 1e-140..1e140;

/// The sum of the squares of a spectrum's values.
///
/// # Errors
/// Which of them is no number, or that they are too large or too small to be squared.
pub fn square(spectrum: &[f64]) -> Result<f64, Failure> {
    let square = dot(spectrum, spectrum);
    if SQUARES.contains(&square) {
        return Ok(square);
    }
    if let Some(at) = spectrum.iter().position(|value| !value.is_finite()) {
        return Err(Failure::new(format!("value {at} of the spectrum is {}", spectrum[at])));
    }
    if spectrum.iter().all(|value| *value == 0.0) {
        return Ok(0.0);
    }
    let large = if square > 1.0 { "large" } else { "small" };
    let told = format!("its values are too {large} to be squared and summed; take another unit");
    Err(Failure::new(told))
}
