//! Peaks of spectra by continuous wavelet transform, as pyUSID's tutorial finds them.
//!
//! `find_peaks_cwt` of SciPy 1.13 on the magnitude of each spectrum: ridge lines of the transform
//! with Ricker wavelets (`ridge_lines`; Du, Kibbe & Lin 2006, Bioinformatics 22, 2059). Of several
//! peaks the one nearest to the centre counts, the lower one if two are equally near; without any
//! peak the centre itself does. Shapes: a spectrum (S) gives a response and a position, (P, 1)
//! each.
//!
//! A row with several axes holds a spectrum along the fastest one for each step of the others (F),
//! and gives (P, F). Frames, whose two fastest axes have the same units or only tell places, are
//! refused.

mod ridge_lines;

use num_complex::Complex64;
use pixelmill_core::process::{Failure, Model, Process, SourceInfo, Spectrum, SpectrumAxes};
use pixelmill_core::{ElementType, Results};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use ridge_lines::RidgeFinder;

/// How peaks are searched for; names and defaults are those of SciPy and of pyUSID's tutorial.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Parameters {
    /// Narrowest wavelet.
    #[schemars(range(min = 0.1, max = 1e6), extend("unit" = "points"))]
    pub width_min: f64,
    /// Widest wavelet.
    #[schemars(range(min = 0.1, max = 1e6), extend("unit" = "points"))]
    pub width_max: f64,
    /// Number of widths, evenly spaced from the narrowest to the widest.
    #[schemars(range(min = 1, max = 10_000))]
    pub num_steps: usize,
    /// Least ratio of a peak to the noise floor around it.
    #[schemars(range(min = 0.0))]
    pub min_snr: f64,
    /// Percentile of the narrowest transform that is taken for the noise floor.
    #[schemars(range(min = 0.0, max = 100.0), extend("unit" = "%"))]
    pub noise_percentile: f64,
    /// Widths that a ridge line may pass over without a maximum; the narrowest width, rounded
    /// up, if none.
    #[schemars(range(min = 0.0))]
    pub gap_threshold: Option<f64>,
    /// Points over which the noise floor is taken; a twentieth of the spectrum if none.
    #[schemars(range(min = 1), extend("unit" = "points"))]
    pub window_size: Option<usize>,
    /// Least number of maxima on a ridge line; a quarter of the number of widths if none.
    #[schemars(range(min = 0.0))]
    pub min_length: Option<f64>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            width_min: 20.0,
            width_max: 60.0,
            num_steps: 30,
            min_snr: 1.0,
            noise_percentile: 10.0,
            gap_threshold: None,
            window_size: None,
            min_length: None,
        }
    }
}

impl pixelmill_core::process::Parameters for Parameters {
    fn check(&self) -> Result<(), Failure> {
        if self.width_min > self.width_max {
            return Err(Failure::new(format!(
                "`width_min` is {}, but has to be at most `width_max`, which is {}",
                self.width_min, self.width_max
            )));
        }
        Ok(())
    }
}

/// The peak of one spectrum.
pub struct Output {
    response: f32,
    position: f64,
}

/// The process `Peak_Finding`.
pub struct PeakFinding;

/// What all spectra share.
pub struct Task {
    finder: RidgeFinder,
    axis: Vec<f64>,
    /// Whether the file holds single precision, so that magnitudes are rounded as NumPy's are.
    single: bool,
}

/// Buffers of one worker.
#[derive(Default)]
pub struct Scratch {
    magnitude: Vec<f64>,
    search: ridge_lines::Scratch,
}

impl Process for PeakFinding {
    const NAME: &'static str = "Peak_Finding";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "the peak nearest to the centre of each spectrum's magnitude, \
                                   by continuous wavelet transform";

    type Parameters = Parameters;
    type Input = Complex64;
    type Output = Output;
    type Task = Task;
    type Scratch = Scratch;

    fn prepare(parameters: &Parameters, source: &SourceInfo) -> Result<Task, Failure> {
        source.spectra_along_axis()?;
        let axis = source.axis(0);
        Ok(Task {
            finder: RidgeFinder::new(parameters, axis.len()),
            axis: axis.values.to_vec(),
            single: matches!(source.element, ElementType::Float32 | ElementType::Complex64),
        })
    }

    fn create_results_datasets(
        _parameters: &Parameters,
        source: &SourceInfo,
        results: &mut Results<Output>,
    ) {
        let axis = source.axis(0);
        results
            .main("Peak_Response", &source.quantity, &source.units)
            .scalar(|output: &Output| output.response);
        results
            .main("Peak_Position", axis.name, axis.units)
            .scalar(|output: &Output| output.position);
    }

    fn map_function(
        task: &Task,
        spectrum: Spectrum<'_, Complex64>,
        scratch: &mut Scratch,
    ) -> Result<Output, Failure> {
        let magnitude = if task.single { single_magnitude } else { double_magnitude };
        scratch.magnitude.clear();
        scratch.magnitude.extend(spectrum.iter().map(|value| magnitude(*value)));
        if !scratch.magnitude.iter().all(|value| value.is_finite()) {
            return Err(Failure::new("the spectrum has values that are not finite"));
        }
        let peaks = task.finder.peaks(&scratch.magnitude, &mut scratch.search);
        let peak = nearest_to_centre(peaks, spectrum.len());
        Ok(Output { response: scratch.magnitude[peak] as f32, position: task.axis[peak] })
    }

    fn spectrum_axes(_parameters: &Parameters) -> SpectrumAxes {
        SpectrumAxes::One
    }

    fn model(_task: &Task, _spectrum: Spectrum<'_, Complex64>, output: &Output) -> Model {
        Model::new().mark("peak", output.position, f64::from(output.response))
    }
}

/// The peak nearest to the centre, the first of equally near ones; the centre without any.
fn nearest_to_centre(peaks: &[usize], length: usize) -> usize {
    let centre = length / 2;
    peaks.iter().copied().min_by_key(|peak| peak.abs_diff(centre)).unwrap_or(centre)
}

/// |z| in single precision, in the steps of NumPy's vectorised `abs(complex64)`, so that results
/// agree with those of Python to the bit: max·√(1 + (min/max)²), with one rounding under the root.
fn single_magnitude(value: Complex64) -> f64 {
    let (real, imaginary) = (value.re.abs() as f32, value.im.abs() as f32);
    if !(real + imaginary > 0.0 && (real + imaginary).is_finite()) {
        return f64::from(real + imaginary);
    }
    let (large, small) = (real.max(imaginary), real.min(imaginary));
    let ratio = f64::from(small / large);
    f64::from(large * ((ratio * ratio + 1.0) as f32).sqrt())
}

fn double_magnitude(value: Complex64) -> f64 {
    value.re.hypot(value.im)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_peak_is_chosen() {
        assert_eq!(nearest_to_centre(&[], 119), 59);
        assert_eq!(nearest_to_centre(&[3, 70, 118], 119), 70);
        assert_eq!(nearest_to_centre(&[58, 60], 119), 58);
    }

    /// Values of `numpy.abs(numpy.complex64(…))`, NumPy 1.26.
    #[test]
    fn magnitudes_are_numpys() {
        for ((real, imaginary), expected) in [
            ((3.0, 4.0), 5.0f32),
            ((0.0, 0.0), 0.0),
            ((1e-3, -2.5e-4), 0.001_030_776_4),
            ((1e-30, 1e-30), 1.414_213_6e-30),
        ] {
            let magnitude = single_magnitude(Complex64::new(real, imaginary));
            assert_eq!(magnitude as f32, expected);
        }
        assert!(single_magnitude(Complex64::new(f64::NAN, 1.0)).is_nan());
        assert!(single_magnitude(Complex64::new(f64::INFINITY, 1.0)).is_infinite());
        assert_eq!(double_magnitude(Complex64::new(3.0, 4.0)), 5.0);
    }
}
