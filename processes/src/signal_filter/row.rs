//! Filtering one row: there, through the filters and the noise threshold, and back.
//!
//! Nothing is allocated once the buffers have their size, and nothing of one row is seen by the
//! next.

use std::sync::Arc;

use num_complex::{Complex32, Complex64};
use pixelmill_core::process::Failure;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use super::Output;
use super::noise::squared_floor;
use crate::transforms::{self, unusable};

/// What all rows share.
pub struct RowFilter {
    pub(super) forward: Arc<dyn RealToComplex<f64>>,
    pub(super) inverse: Arc<dyn ComplexToReal<f64>>,
    /// The gain of each bin; none if all pass.
    pub(super) gains: Option<Vec<f32>>,
    /// The bins of the condensed data; empty if these aren't written.
    pub(super) condensed: Vec<usize>,
    /// −ln of the noise threshold.
    pub(super) noise: Option<f64>,
    pub(super) writes_filtered: bool,
    /// Whether results are in single precision.
    pub(super) single: bool,
}

/// Buffers of one worker.
#[derive(Default)]
pub struct Scratch {
    spectrum: Vec<Complex64>,
    /// Squared amplitudes of the bins, for the noise threshold.
    power: Vec<f64>,
    transform: Vec<Complex64>,
    pub(super) output: Output,
}

impl RowFilter {
    /// A filter for rows of so many points that lets all pass and writes nothing.
    pub(super) fn new(points: usize) -> Self {
        let mut planner = RealFftPlanner::new();
        Self {
            forward: planner.plan_fft_forward(points),
            inverse: planner.plan_fft_inverse(points),
            gains: None,
            condensed: Vec::new(),
            noise: None,
            writes_filtered: false,
            single: false,
        }
    }

    /// Filters the row in the scratch's output.
    ///
    /// # Errors
    /// If values aren't finite, or too large.
    pub(super) fn apply(&self, scratch: &mut Scratch) -> Result<(), Failure> {
        let Scratch { spectrum, power, transform, output } = scratch;
        spectrum.resize(self.forward.complex_len(), Complex64::default());
        transform.resize(self.transform_scratch(), Complex64::default());
        let unfit = |error: realfft::FftError| Failure::new(error.to_string());
        self.forward
            .process_with_scratch(&mut output.signal, spectrum, transform)
            .map_err(unfit)?;
        // The sum of all values isn't finite if one of them isn't.
        if !spectrum[0].re.is_finite() {
            return Err(unusable());
        }
        output.noise_floor = self.threshold(spectrum, power)?;
        let mut is_finite = self.condense(spectrum, output);
        if self.writes_filtered {
            self.inverse
                .process_with_scratch(spectrum, &mut output.signal, transform)
                .map_err(unfit)?;
            is_finite &= self.normalise(output);
        }
        if is_finite { Ok(()) } else { Err(unusable()) }
    }

    /// Applies the filters, and the noise threshold if there is one; returns the noise floor.
    fn threshold(&self, spectrum: &mut [Complex64], power: &mut Vec<f64>) -> Result<f64, Failure> {
        let Some(log) = self.noise else {
            self.gains.iter().for_each(|gains| attenuate(spectrum, gains));
            return Ok(0.0);
        };
        power.resize(spectrum.len(), 0.0);
        squares(spectrum, power);
        let floor = squared_floor(power, self.forward.len(), log);
        if !floor.is_finite() {
            return Err(unusable());
        }
        if let Some(gains) = &self.gains {
            attenuate(spectrum, gains);
        }
        silence(spectrum, floor);
        Ok(floor.sqrt())
    }

    /// Copies what the condensed data are made of; returns whether all of it is finite.
    fn condense(&self, spectrum: &[Complex64], output: &mut Output) -> bool {
        let kept = self.condensed.iter().map(|bin| spectrum[*bin]);
        if self.single {
            output.condensed_single.clear();
            let single = kept.map(|value| Complex32::new(value.re as f32, value.im as f32));
            output.condensed_single.extend(single);
            output.condensed_single.iter().all(|value| value.is_finite())
        } else {
            output.condensed.clear();
            output.condensed.extend(kept);
            output.condensed.iter().all(|value| value.is_finite())
        }
    }

    /// Divides the transformed row by its length; returns whether all of it is finite.
    fn normalise(&self, output: &mut Output) -> bool {
        let factor = 1.0 / output.signal.len() as f64;
        if self.single {
            output.signal_single.resize(output.signal.len(), 0.0);
            scale_single(&output.signal, factor, &mut output.signal_single)
        } else {
            scale(&mut output.signal, factor)
        }
    }

    fn transform_scratch(&self) -> usize {
        self.forward.get_scratch_len().max(self.inverse.get_scratch_len())
    }
}

/// Bytes that filtering rows of so many points takes in all: the buffers of a worker and the
/// tables.
pub(super) fn bytes(points: usize, writes_condensed: bool) -> usize {
    let bins = points / 2 + 1;
    let row = points * (size_of::<f64>() + size_of::<f32>());
    let spectrum = bins * (size_of::<Complex64>() + size_of::<f64>() + size_of::<f32>());
    let condensed = bins * (size_of::<Complex64>() + size_of::<usize>());
    let inner = if points.is_multiple_of(2) { points / 2 } else { points };
    row + spectrum + transforms::bytes(inner) + if writes_condensed { condensed } else { 0 }
}

/// Returns whether all is finite, as the next.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn scale(signal: &mut [f64], factor: f64) -> bool {
    let mut is_finite = true;
    for value in signal {
        *value *= factor;
        is_finite &= value.is_finite();
    }
    is_finite
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn scale_single(signal: &[f64], factor: f64, single: &mut [f32]) -> bool {
    let mut is_finite = true;
    for (single, value) in single.iter_mut().zip(signal) {
        *single = (value * factor) as f32;
        is_finite &= single.is_finite();
    }
    is_finite
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn squares(spectrum: &[Complex64], power: &mut [f64]) {
    for (power, value) in power.iter_mut().zip(spectrum) {
        *power = value.re * value.re + value.im * value.im;
    }
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn attenuate(spectrum: &mut [Complex64], gains: &[f32]) {
    for (value, gain) in spectrum.iter_mut().zip(gains) {
        *value *= f64::from(*gain);
    }
}

/// Makes bins 0 whose squared amplitude is below that of the noise.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn silence(spectrum: &mut [Complex64], floor: f64) {
    for value in spectrum {
        let power = value.re * value.re + value.im * value.im;
        *value = if power < floor { Complex64::default() } else { *value };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(points: usize) -> RowFilter {
        RowFilter {
            noise: Some(4.0),
            gains: Some((0..points / 2 + 1).map(|bin| (bin % 3) as f32).collect()),
            condensed: (0..points / 2 + 1).filter(|bin| bin % 3 > 0).collect(),
            writes_filtered: true,
            ..RowFilter::new(points)
        }
    }

    fn applied(filter: &RowFilter, row: &[f64], scratch: &mut Scratch) -> Result<(), Failure> {
        scratch.output.signal.clear();
        scratch.output.signal.extend_from_slice(row);
        filter.apply(scratch)
    }

    fn row(points: usize, seed: usize) -> Vec<f64> {
        (0..points).map(|at| ((at * at + seed * at) % 17) as f64 - 8.0).collect()
    }

    #[test]
    fn a_row_does_not_depend_on_the_one_before() {
        for points in [2, 3, 60, 61, 256] {
            let filter = filter(points);
            let mut used = Scratch::default();
            let before = [row(points, 1), vec![f64::NAN; points], vec![1e308; points]];
            for other in before {
                let _ = applied(&filter, &other, &mut used);
                let mut fresh = Scratch::default();
                applied(&filter, &row(points, 5), &mut used).unwrap();
                applied(&filter, &row(points, 5), &mut fresh).unwrap();
                assert_eq!(used.output.signal, fresh.output.signal);
                assert_eq!(used.output.condensed, fresh.output.condensed);
                assert_eq!(used.output.noise_floor, fresh.output.noise_floor);
            }
        }
    }

    #[test]
    fn a_filter_that_lets_all_pass_gives_the_row_back() {
        for points in [2, 3, 60, 61, 997] {
            let filter = RowFilter { writes_filtered: true, ..RowFilter::new(points) };
            let mut scratch = Scratch::default();
            applied(&filter, &row(points, 5), &mut scratch).unwrap();
            let pairs = scratch.output.signal.iter().zip(row(points, 5));
            assert!(pairs.clone().all(|(found, given)| (found - given).abs() < 1e-13));
        }
    }

    /// Each of them in a sum is seen, wherever it is, and also what overflows at one frequency
    /// only.
    #[test]
    fn what_cant_be_transformed_fails() {
        let filter = filter(60);
        for strange in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for at in 0..60 {
                let mut given = row(60, 5);
                given[at] = strange;
                assert_eq!(applied(&filter, &given, &mut Scratch::default()), Err(unusable()));
            }
        }
        let alternating: Vec<f64> =
            (0..60).map(|at| if at % 2 == 0 { 1e308 } else { -1e308 }).collect();
        for noise in [None, Some(4.0)] {
            let filter = RowFilter { noise, ..self::filter(60) };
            let failed = applied(&filter, &alternating, &mut Scratch::default());
            assert_eq!(failed, Err(unusable()), "{noise:?}");
        }
    }
}
