//! Filtering one row: there, through the filters and the noise threshold, and back.
//!
//! Nothing is allocated once the buffers have their size, and nothing of one row is seen by the next.

use std::sync::Arc;

use num_complex::{Complex32, Complex64};
use pixelmill::process::Failure;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use super::Output;
use super::noise::squared_floor;

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

    /// Filters a row into the scratch's output.
    ///
    /// # Errors
    /// If values aren't finite, or too large.
    pub(super) fn apply(&self, row: &[f64], scratch: &mut Scratch) -> Result<(), Failure> {
        let Scratch { spectrum, power, transform, output } = scratch;
        if !all_finite(row) {
            return Err(Failure::new("the spectrum has values that are not finite"));
        }
        output.signal.clear();
        output.signal.extend_from_slice(row);
        spectrum.resize(self.forward.complex_len(), Complex64::default());
        transform.resize(self.transform_scratch(), Complex64::default());
        let unfit = |error: realfft::FftError| Failure::new(error.to_string());
        self.forward
            .process_with_scratch(&mut output.signal, spectrum, transform)
            .map_err(unfit)?;
        output.noise_floor = self.threshold(spectrum, power)?;
        self.condense(spectrum, output);
        if self.writes_filtered {
            self.inverse
                .process_with_scratch(spectrum, &mut output.signal, transform)
                .map_err(unfit)?;
            normalise(&mut output.signal);
            if self.single {
                output.signal_single.resize(row.len(), 0.0);
                narrow(&output.signal, &mut output.signal_single);
            }
        }
        if self.is_finite(output) { Ok(()) } else { Err(too_large()) }
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
            return Err(too_large());
        }
        if let Some(gains) = &self.gains {
            attenuate(spectrum, gains);
            squares(spectrum, power);
        }
        silence(spectrum, power, floor);
        Ok(floor.sqrt())
    }

    /// Copies what the condensed data are made of.
    fn condense(&self, spectrum: &[Complex64], output: &mut Output) {
        let kept = self.condensed.iter().map(|bin| spectrum[*bin]);
        if self.single {
            output.condensed_single.clear();
            let single = kept.map(|value| Complex32::new(value.re as f32, value.im as f32));
            output.condensed_single.extend(single);
        } else {
            output.condensed.clear();
            output.condensed.extend(kept);
        }
    }

    /// Whether all that is written is finite.
    fn is_finite(&self, output: &Output) -> bool {
        let filtered = match (self.writes_filtered, self.single) {
            (false, _) => true,
            (true, false) => all_finite(&output.signal),
            (true, true) => all_finite_single(&output.signal_single),
        };
        filtered
            && output.condensed.iter().all(|value| value.is_finite())
            && output.condensed_single.iter().all(|value| value.is_finite())
    }

    fn transform_scratch(&self) -> usize {
        self.forward.get_scratch_len().max(self.inverse.get_scratch_len())
    }

    /// Bytes of a worker's buffers, and of the tables that all share.
    pub(super) fn bytes(&self) -> usize {
        let (points, bins) = (self.forward.len(), self.forward.complex_len());
        let row = points * (size_of::<f64>() + size_of::<f32>());
        let spectrum = bins * (size_of::<Complex64>() + size_of::<f64>() + size_of::<f32>());
        let condensed = self.condensed.len() * (size_of::<Complex64>() + size_of::<usize>());
        row + spectrum
            + condensed
            + self.transform_scratch() * size_of::<Complex64>()
            + points * TABLE_BYTES
    }
}

/// Bytes of the tables of both transforms, per point.
const TABLE_BYTES: usize = 64;

fn too_large() -> Failure {
    Failure::new("the spectrum's values are too large to be transformed")
}

/// Whether all values are finite, without a branch per value.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn all_finite(values: &[f64]) -> bool {
    values.iter().fold(true, |all, value| all & value.is_finite())
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn all_finite_single(values: &[f32]) -> bool {
    values.iter().fold(true, |all, value| all & value.is_finite())
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
fn silence(spectrum: &mut [Complex64], power: &[f64], floor: f64) {
    for (value, power) in spectrum.iter_mut().zip(power) {
        *value = if *power < floor { Complex64::default() } else { *value };
    }
}

/// The inverse transform isn't divided by the number of points.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn normalise(signal: &mut [f64]) {
    let factor = 1.0 / signal.len() as f64;
    signal.iter_mut().for_each(|value| *value *= factor);
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn narrow(signal: &[f64], single: &mut [f32]) {
    for (single, value) in single.iter_mut().zip(signal) {
        *single = *value as f32;
    }
}
