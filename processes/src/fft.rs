//! The Fourier transform of each spectrum, real or complex.
//!
//! Of the N values yₙ along the axis, with a window function w: Fₖ = Σ wₙ·(yₙ − ȳ)·e^(−2πi·kn/N) at
//! the frequencies fₖ = k/(N·Δ), Δ being the step of the axis, as `numpy.fft` has it; ȳ is the mean
//! of the spectrum if `detrend=constant`, else 0. The phase counts from the lowest place of the
//! axis. Of real spectra there are the frequencies from 0 to half the sampling rate, of complex
//! ones those from −1/2Δ on, negative ones first (`numpy.fft.rfft`, and `fftshift` of `fft`).
//!
//! Window functions, as `scipy.signal.get_window` has them, with period N: with φ = 2πn/N, `hann`
//! ½ − ½ cos φ, `hamming` 0.54 − 0.46 cos φ, `blackman` 0.42 − 0.5 cos φ + 0.08 cos 2φ, and
//! `flattop`, which tells the heights of peaks whatever their frequency, with the five terms of
//! SciPy (F. J. Harris 1978, Proc. IEEE 66, 51; G. D'Antona & A. Ferrero, *Digital Signal
//! Processing for Measurement Systems*, 2006). HyperSpy's `apodization` has the symmetric ones, of
//! period N − 1.
//!
//! Results (`output`), in the units of the source's values U and on the axis `Frequency`, in Hz,
//! kHz, MHz or GHz of an axis in s, ms, us or ns, else per unit of the axis:
//!
//! - `complex`: `Fourier_Transform`, F.
//! - `amplitude`: `Amplitude` |F| and `Phase`, from −π to π.
//! - `power`: `Power` |F|².
//!
//! `scaling=none` leaves them so. With `spectrum` F is over Σ w, and of real spectra the amplitude
//! of all frequencies but 0 and half the sampling rate is doubled, so that a sine has its own
//! amplitude (and as power half of its square, as `scipy.signal.periodogram` has it). With
//! `density`, of power alone, |F|² is over the sampling rate and Σ w², and doubled likewise: U² per
//! unit of frequency, whose integral is the mean square.
//!
//! A row with several axes holds a spectrum along the fastest one for each step of the others. The
//! axis has to be evenly spaced. Results are in single precision if the source's values fit that
//! (float32, complex64, integers of up to 16 bits), else in double; all is computed in double. The
//! last bits depend on the processor's instructions, since the transforms of `rustfft` do.
//!
//! A spectrum with a value that isn't finite, or too large to be transformed, fails. Constant and
//! empty ones have a result: all is at frequency 0, and the phases elsewhere are those of rounding,
//! or 0. Saturated ones have harmonics.

mod window;

use std::sync::Arc;

use num_complex::{Complex32, Complex64};
use pixelmill_core::process::{
    Dimension, Failure, Model, Outputs, Process, SourceInfo, Spectrum, SpectrumAxes, Unit,
};
use pixelmill_core::{ElementType, Results};
use realfft::num_traits::Zero;
use realfft::{RealFftPlanner, RealToComplex};
use rustfft::{Fft as Transform, FftPlanner};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::as_source::is_single;
use crate::choices::one_of;
use crate::{spectral_axis, transforms};
pub use window::Window;

/// What is transformed, and what is made of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Parameters {
    /// What is written: complex numbers, amplitudes and phases, or power.
    pub output: Kind,
    /// What the values are multiplied by: nothing (none), or a function that goes down to both
    /// ends, against what leaks from strong frequencies to others.
    pub window: Window,
    /// What is taken off the values before: nothing, or their mean (constant).
    pub detrend: Detrend,
    /// What the transform is divided by: nothing; so that a sine has its amplitude (spectrum); or
    /// so that power is per unit of frequency (density, for output=power).
    pub scaling: Scaling,
}

/// What is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Complex numbers.
    Complex,
    /// Amplitudes and phases.
    #[default]
    Amplitude,
    /// Squares of amplitudes.
    Power,
}

one_of!(Kind: "complex", "amplitude", "power");

/// What is taken off the values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Detrend {
    /// Nothing.
    #[default]
    None,
    /// Their mean.
    Constant,
}

one_of!(Detrend: "none", "constant");

/// What the transform is divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scaling {
    /// Nothing.
    #[default]
    None,
    /// The sum of the window function.
    Spectrum,
    /// The sum of its squares, and the sampling rate.
    Density,
}

one_of!(Scaling: "none", "spectrum", "density");

impl pixelmill_core::process::Parameters for Parameters {
    fn check(&self) -> Result<(), Failure> {
        if self.scaling == Scaling::Density && self.output != Kind::Power {
            return Err(Failure::new("scaling=density is for output=power"));
        }
        Ok(())
    }
}

/// The transform of one spectrum; what isn't written, or not in this precision, is empty.
#[derive(Default)]
pub struct Output {
    complex: Pair<Complex64, Complex32>,
    /// Amplitudes or power.
    size: Pair<f64, f32>,
    phase: Pair<f64, f32>,
}

/// Numbers in double, or in single precision.
#[derive(Default)]
struct Pair<D, S> {
    double: Vec<D>,
    single: Vec<S>,
}

/// The process `FFT`.
pub struct Fft;

/// What all spectra share.
pub struct Task {
    forward: Forward,
    /// Nothing if all are 1.
    window: Vec<f64>,
    /// What each frequency is multiplied by.
    factors: Vec<f64>,
    kind: Kind,
    detrend: Detrend,
    /// Whether the axis falls, and the spectrum is turned round.
    falls: bool,
    is_single: bool,
}

/// The transform, of real or of complex spectra.
enum Forward {
    Real(Arc<dyn RealToComplex<f64>>),
    Complex(Arc<dyn Transform<f64>>),
}

/// Memory of a worker.
#[derive(Default)]
pub struct Scratch {
    real: Vec<f64>,
    bins: Vec<Complex64>,
    transform: Vec<Complex64>,
    output: Output,
}

impl Process for Fft {
    const NAME: &'static str = "FFT";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "the Fourier transform of each real or complex spectrum: \
                                   complex, amplitude and phase, or power";

    type Parameters = Parameters;
    type Input = Complex64;
    type Output = Output;
    type Task = Task;
    type Scratch = Scratch;

    fn prepare(parameters: &Parameters, source: &SourceInfo) -> Result<Task, Failure> {
        source.spectra_along_axis()?;
        let axis = source.axis(0);
        let told = |reason| Failure::new(format!("{reason}, and frequencies are of even steps"));
        let step = spectral_axis::step(&axis).map_err(told)?;
        let points = axis.len();
        let is_complex = is_complex(source);
        let forward = match is_complex {
            true => Forward::Complex(FftPlanner::new().plan_fft_forward(points)),
            false => Forward::Real(RealFftPlanner::new().plan_fft_forward(points)),
        };
        let window = parameters.window.values(points);
        Ok(Task {
            factors: factors(parameters, is_complex, &window, step),
            window: if parameters.window == Window::None { Vec::new() } else { window },
            forward,
            kind: parameters.output,
            detrend: parameters.detrend,
            falls: step < 0.0,
            is_single: has_single_results(source),
        })
    }

    fn create_results_datasets(
        parameters: &Parameters,
        source: &SourceInfo,
        results: &mut Results<Output>,
    ) {
        let axis = vec![frequencies(source)];
        let (quantity, units) = (&source.quantity, &source.units);
        let is_single = has_single_results(source);
        match (parameters.output, is_single) {
            (Kind::Complex, true) => results
                .main("Fourier_Transform", "Fourier coefficient", units)
                .spectrum(axis, |output: &Output| &output.complex.single),
            (Kind::Complex, false) => results
                .main("Fourier_Transform", "Fourier coefficient", units)
                .spectrum(axis, |output: &Output| &output.complex.double),
            (kind, is_single) => {
                let (name, quantity, units) = match kind {
                    Kind::Power => {
                        ("Power", "Power", power_units(parameters.scaling, units, &axis[0]))
                    }
                    _ => ("Amplitude", quantity.as_str(), units.clone()),
                };
                let size = results.main(name, quantity, units);
                match is_single {
                    true => size.spectrum(axis.clone(), |output: &Output| &output.size.single),
                    false => size.spectrum(axis.clone(), |output: &Output| &output.size.double),
                }
                if kind == Kind::Power {
                    return;
                }
                let phase = results.main("Phase", "Phase", "rad");
                match is_single {
                    true => phase.spectrum(axis, |output: &Output| &output.phase.single),
                    false => phase.spectrum(axis, |output: &Output| &output.phase.double),
                }
            }
        }
    }

    fn map_function(
        task: &Task,
        spectrum: Spectrum<'_, Complex64>,
        scratch: &mut Scratch,
    ) -> Result<Output, Failure> {
        task.transform(&spectrum, scratch)?;
        Ok(std::mem::take(&mut scratch.output))
    }

    /// What is transformed, if that isn't the spectrum itself.
    fn model(task: &Task, spectrum: Spectrum<'_, Complex64>, _output: &Output) -> Model {
        if task.window.is_empty() {
            return Model::new();
        }
        let mean = task.mean(&spectrum);
        let windowed =
            spectrum.iter().zip(&task.window).map(|(value, weight)| (value - mean) * weight);
        match task.forward {
            Forward::Real(_) => {
                Model::new().curve("windowed", windowed.map(|value| value.re).collect::<Vec<_>>())
            }
            Forward::Complex(_) => Model::new().curve("windowed", windowed.collect::<Vec<_>>()),
        }
    }

    fn spectrum_axes(_parameters: &Parameters) -> SpectrumAxes {
        SpectrumAxes::One
    }

    /// The buffers of a worker, and the tables of the transform.
    fn extra_memory_per_position(_parameters: &Parameters, source: &SourceInfo) -> usize {
        let points = source.axis(0).len();
        let numbers = 3 * size_of::<Complex64>() + 3 * size_of::<f64>();
        points * numbers + transforms::bytes(points)
    }

    /// Not spectrum by spectrum through `map_function`, so that no results are allocated for each.
    fn unit_computation(
        task: &Task,
        unit: &mut Unit<'_, Complex64>,
        scratch: &mut Scratch,
        outputs: &mut Outputs<'_, Output>,
    ) -> Result<(), Failure> {
        for index in 0..unit.len() {
            let transformed = task.transform(&unit.spectrum(index), scratch);
            outputs.set_from(index, transformed.map(|()| &scratch.output));
        }
        Ok(())
    }
}

impl Task {
    /// What is taken off all values.
    fn mean(&self, spectrum: &[Complex64]) -> Complex64 {
        match self.detrend {
            Detrend::None => Complex64::zero(),
            Detrend::Constant => spectrum.iter().sum::<Complex64>() / spectrum.len() as f64,
        }
    }

    /// Transforms a spectrum into the output of the scratch.
    ///
    /// # Errors
    /// If it has no transform that is finite.
    fn transform(&self, spectrum: &[Complex64], scratch: &mut Scratch) -> Result<(), Failure> {
        let Scratch { real, bins, transform, output } = scratch;
        let mean = self.mean(spectrum);
        let unfit = |error: realfft::FftError| Failure::new(error.to_string());
        match &self.forward {
            Forward::Real(forward) => {
                real.clear();
                real.extend(spectrum.iter().map(|value| value.re - mean.re));
                self.prepare_values(real);
                bins.resize(forward.complex_len(), Complex64::zero());
                transform.resize(forward.get_scratch_len(), Complex64::zero());
                forward.process_with_scratch(real, bins, transform).map_err(unfit)?;
            }
            Forward::Complex(forward) => {
                bins.clear();
                bins.extend(spectrum.iter().map(|value| value - mean));
                self.prepare_values(bins);
                transform.resize(forward.get_inplace_scratch_len(), Complex64::zero());
                forward.process_with_scratch(bins, transform);
                // Negative frequencies first.
                bins.rotate_left(spectrum.len().div_ceil(2));
            }
        }
        if self.put(bins, output) { Ok(()) } else { Err(transforms::unusable()) }
    }

    /// From the lowest place on, and through the window.
    fn prepare_values<T: Copy + std::ops::Mul<f64, Output = T>>(&self, values: &mut [T]) {
        if self.falls {
            values.reverse();
        }
        for (value, weight) in values.iter_mut().zip(&self.window) {
            *value = *value * *weight;
        }
    }

    /// Puts the transform into the output; returns whether all of it is finite.
    fn put(&self, bins: &[Complex64], output: &mut Output) -> bool {
        let scaled = || bins.iter().zip(&self.factors);
        match self.kind {
            Kind::Complex => {
                let values = scaled().map(|(bin, factor)| bin * factor);
                let single = |value: Complex64| Complex32::new(value.re as f32, value.im as f32);
                output.complex.fill(self.is_single, values, single);
                output.complex.double.iter().all(|value| value.is_finite())
                    && output.complex.single.iter().all(|value| value.is_finite())
            }
            Kind::Amplitude => {
                let sizes = scaled().map(|(bin, factor)| bin.re.hypot(bin.im) * factor);
                let phases = bins.iter().map(|bin| libm::atan2(bin.im, bin.re));
                output.phase.fill(self.is_single, phases, |value| value as f32);
                output.fill_size(self.is_single, sizes)
            }
            Kind::Power => {
                let power =
                    scaled().map(|(bin, factor)| (bin.re * bin.re + bin.im * bin.im) * factor);
                output.fill_size(self.is_single, power)
            }
        }
    }
}

impl Output {
    fn fill_size(&mut self, is_single: bool, values: impl Iterator<Item = f64>) -> bool {
        self.size.fill(is_single, values, |value| value as f32);
        self.size.double.iter().all(|value| value.is_finite())
            && self.size.single.iter().all(|value| value.is_finite())
    }
}

impl<D, S> Pair<D, S> {
    fn fill(&mut self, is_single: bool, values: impl Iterator<Item = D>, single: impl Fn(D) -> S) {
        self.double.clear();
        self.single.clear();
        match is_single {
            true => self.single.extend(values.map(single)),
            false => self.double.extend(values),
        }
    }
}

fn is_complex(source: &SourceInfo) -> bool {
    matches!(source.element, ElementType::Complex64 | ElementType::Complex128)
}

/// Whether results are in single precision.
fn has_single_results(source: &SourceInfo) -> bool {
    is_single(source) || source.element == ElementType::Complex64
}

/// What each frequency is multiplied by.
fn factors(parameters: &Parameters, is_complex: bool, window: &[f64], step: f64) -> Vec<f64> {
    let points = window.len();
    let is_power = parameters.output == Kind::Power;
    let sum: f64 = window.iter().sum();
    let all = match parameters.scaling {
        Scaling::None => 1.0,
        Scaling::Spectrum if is_power => 1.0 / (sum * sum),
        Scaling::Spectrum => 1.0 / sum,
        Scaling::Density => step.abs() / window.iter().map(|weight| weight * weight).sum::<f64>(),
    };
    if is_complex {
        return vec![all; points];
    }
    let factor = |bin: usize| {
        let is_alone = bin == 0 || 2 * bin == points;
        if is_alone || parameters.scaling == Scaling::None { all } else { 2.0 * all }
    };
    (0..points / 2 + 1).map(factor).collect()
}

/// The axis of the results.
fn frequencies(source: &SourceInfo) -> Dimension {
    let axis = source.axis(0);
    // `prepare` has refused what has none.
    let step = spectral_axis::step(&axis).unwrap_or(1.0).abs();
    let points = axis.len();
    let bins = match is_complex(source) {
        true => -((points / 2) as i64)..points.div_ceil(2) as i64,
        false => 0..(points / 2) as i64 + 1,
    };
    let values = bins.map(|bin| bin as f64 / (points as f64 * step));
    Dimension::new("Frequency", transforms::reciprocal(&axis.units), values.collect::<Vec<_>>())
}

/// The units of power.
fn power_units(scaling: Scaling, units: &str, axis: &Dimension) -> String {
    let squared = if units.is_empty() { String::new() } else { format!("({units})^2") };
    match (scaling, axis.units.as_str()) {
        (Scaling::Density, units) if !units.is_empty() => format!("{squared}/({units})"),
        _ => squared,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spectral_axis::tests::{axis, source};
    use pixelmill_core::process::Parameters as _;
    use proptest::prelude::*;
    use std::f64::consts::TAU;

    fn of(
        parameters: &Parameters,
        source: &SourceInfo,
        values: &[Complex64],
    ) -> Result<Output, String> {
        let told = |failure: Failure| failure.to_string();
        let task = Fft::prepare(parameters, source).map_err(told)?;
        let shape = [values.len()];
        let spectrum = Spectrum::new(values, &shape);
        Fft::map_function(&task, spectrum, &mut Scratch::default()).map_err(told)
    }

    /// Spectra of time in ms, with 10 values in each.
    fn times(count: usize) -> SourceInfo {
        let axis = axis((0..count).map(|at| 5.0 + 0.1 * at as f64));
        source(Dimension { units: "ms".to_owned(), ..axis })
    }

    fn complex(mut source: SourceInfo) -> SourceInfo {
        source.element = ElementType::Complex128;
        source
    }

    fn real(values: impl IntoIterator<Item = f64>) -> Vec<Complex64> {
        values.into_iter().map(|value| Complex64::new(value, 0.0)).collect()
    }

    fn output(output: Kind) -> Parameters {
        Parameters { output, ..Parameters::default() }
    }

    /// The sum that a transform is.
    fn sum(values: &[Complex64], bin: i64) -> Complex64 {
        let turn = |at: usize| -TAU * (bin * at as i64) as f64 / values.len() as f64;
        let terms = values.iter().enumerate();
        terms.map(|(at, value)| value * Complex64::from_polar(1.0, turn(at))).sum()
    }

    proptest! {
        #[test]
        fn a_transform_is_its_sum_at_the_frequencies_of_its_axis(
            parts in prop::collection::vec((-1e3f64..1e3, -1e3f64..1e3), 2..40),
            is_complex: bool,
        ) {
            let values: Vec<Complex64> = parts
                .iter()
                .map(|(re, im)| Complex64::new(*re, if is_complex { *im } else { 0.0 }))
                .collect();
            let count = values.len();
            let source = if is_complex { complex(times(count)) } else { times(count) };
            let found = of(&output(Kind::Complex), &source, &values).unwrap().complex.double;
            let frequencies = frequencies(&source);
            prop_assert_eq!(frequencies.units.as_str(), "kHz");
            prop_assert_eq!(frequencies.len(), found.len());
            for (frequency, found) in frequencies.values.iter().zip(&found) {
                let bin = frequency * count as f64 * 0.1;
                prop_assert!((bin - bin.round()).abs() < 1e-9);
                let expected = sum(&values, bin.round() as i64);
                prop_assert!((found - expected).norm() < 1e-8 * count as f64, "{} {}", found, expected);
            }
            let parts = of(&Parameters::default(), &source, &values).unwrap();
            let power = of(&output(Kind::Power), &source, &values).unwrap().size.double;
            for (at, found) in found.iter().enumerate() {
                let (size, phase) = (parts.size.double[at], parts.phase.double[at]);
                prop_assert!((Complex64::from_polar(size, phase) - found).norm() < 1e-8);
                prop_assert!((power[at] - found.norm_sqr()).abs() <= 1e-9 * found.norm_sqr().max(1.0));
            }
        }
    }

    #[test]
    fn a_sine_has_its_amplitude_through_any_window_and_its_mean_square_as_power() {
        let count = 200;
        let sine = |at: usize| 4.0 + 3.0 * (TAU * 20.0 * at as f64 / count as f64 + 0.5).cos();
        let values = real((0..count).map(sine));
        for window in
            [Window::None, Window::Hann, Window::Hamming, Window::Blackman, Window::Flattop]
        {
            let given = Parameters { window, scaling: Scaling::Spectrum, ..Parameters::default() };
            let found = of(&given, &times(count), &values).unwrap();
            let (size, phase) = (&found.size.double, found.phase.double[20]);
            assert!((size[20] - 3.0).abs() < 1e-8 && (phase - 0.5).abs() < 1e-8, "{window:?}");
            assert!((size[0] - 4.0).abs() < 1e-8, "{window:?}");
            let density = Parameters {
                window,
                output: Kind::Power,
                scaling: Scaling::Density,
                detrend: Detrend::Constant,
            };
            let power = of(&density, &times(count), &values).unwrap().size.double;
            let all: f64 = power.iter().sum::<f64>() * (1.0 / (0.1 * count as f64));
            assert!((all - 4.5).abs() < 1e-8, "{window:?}: {all}");
            assert!(power[0] < 1e-20 || window != Window::None);
        }
    }

    #[test]
    fn phases_of_a_falling_axis_count_from_its_lowest_place() {
        let rising = times(32);
        let mut falling = rising.clone();
        let back: Vec<f64> = rising.axis(0).values.iter().rev().collect();
        falling.spectroscopic_dimensions[0].values = back.into();
        let values = real((0..32).map(|at| f64::from(at * at % 13)));
        let turned: Vec<Complex64> = values.iter().rev().copied().collect();
        let one = of(&output(Kind::Complex), &rising, &values).unwrap().complex.double;
        let other = of(&output(Kind::Complex), &falling, &turned).unwrap().complex.double;
        assert_eq!(one, other);
        assert_eq!(frequencies(&rising), frequencies(&falling));
    }

    /// `scipy.signal.get_window(…, 8)`, SciPy 1.13.
    #[test]
    fn windows_are_those_of_scipy() {
        for (window, expected) in [
            (Window::Hann, [0.0, 0.146_446_609_406_726_24, 0.5, 0.853_553_390_593_273_8, 1.0]),
            (Window::Hamming, [0.08, 0.214_730_880_654_188_13, 0.54, 0.865_269_119_345_811_9, 1.0]),
            (Window::Blackman, [0.0, 0.066_446_609_406_726_24, 0.34, 0.773_553_390_593_273_8, 1.0]),
            (
                Window::Flattop,
                [
                    -0.000_421_051_000_000_018_6,
                    -0.026_872_193_286_334_664,
                    -0.054_736_839_999_999_99,
                    0.444_135_357_286_334_6,
                    1.000_000_003,
                ],
            ),
        ] {
            let found = window.values(8);
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-15, "{window:?}: {found} {expected}");
            }
            assert!((found[7] - found[1]).abs() < 1e-15);
        }
    }

    #[test]
    fn strange_spectra_have_a_transform_or_fail() {
        let all = Parameters::default();
        for value in [0.0, 3.0, 65535.0] {
            let found = of(&all, &times(30), &real([value; 30])).unwrap();
            assert!((found.size.double[0] - 30.0 * value).abs() < 1e-9);
            assert!(found.size.double[1..].iter().all(|size| size.abs() < 1e-9));
            assert!(found.phase.double.iter().all(|phase| phase.is_finite()));
        }
        for strange in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.7e308] {
            for kind in [Kind::Complex, Kind::Amplitude, Kind::Power] {
                for detrend in [Detrend::None, Detrend::Constant] {
                    let mut values = real([1.0; 30]);
                    (values[3].re, values[4].re) = (strange, strange);
                    let given = Parameters { detrend, ..output(kind) };
                    let failed = of(&given, &times(30), &values).err().unwrap();
                    assert!(failed.contains("not finite"), "{kind:?} {strange}: {failed}");
                }
            }
        }
    }

    #[test]
    fn units_are_of_frequencies_and_power() {
        for (units, expected) in [
            ("s", "Hz"),
            ("ms", "kHz"),
            ("us", "MHz"),
            ("ns", "GHz"),
            ("nm", "1/nm"),
            ("", ""),
            ("1/nm", "1/(1/nm)"),
        ] {
            assert_eq!(transforms::reciprocal(units), expected);
        }
        let axis = Dimension::new("Frequency", "kHz", vec![0.0]);
        assert_eq!(power_units(Scaling::Density, "V", &axis), "(V)^2/(kHz)");
        assert_eq!(power_units(Scaling::None, "V", &axis), "(V)^2");
    }

    #[test]
    fn what_has_no_frequencies_is_refused() {
        let uneven = source(axis([0.0, 1.0, 3.0]));
        let told = of(&Parameters::default(), &uneven, &real([1.0; 3])).err().unwrap();
        assert!(told.contains("isn't evenly spaced"), "{told}");
        let one = source(axis([0.0]));
        let told = of(&Parameters::default(), &one, &real([1.0])).err().unwrap();
        assert!(told.contains("single value"), "{told}");
        let density = Parameters { scaling: Scaling::Density, ..Parameters::default() };
        assert!(density.check().unwrap_err().to_string().contains("output=power"));
    }
}
