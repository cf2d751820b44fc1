//! Components convolved with a measured low-loss or instrument spectrum, as HyperSpy's EELS models
//! have it.
//!
//! With the values lⱼ of the spectrum, its channel z where its axis is 0, and the step Δ of both
//! axes, a component f becomes
//!
//! g(xᵢ) = Σⱼ lⱼ·f(xᵢ − (j − z)·Δ).
//!
//! f is computed on the axis of the fitted channels extended by the length of the spectrum, so that
//! nothing is missing at its borders: `numpy.convolve(l, f, "valid")`. Derivatives are convolved
//! likewise. Sums are multiplied by no width of a channel and divided by nothing, unless the
//! spectrum is to be of sum 1.
//!
//! Long spectra are convolved by transforms of Fourier, whose rounding is a share of the largest
//! values: where these are so large beside the results that it could be seen, as at the foot of a
//! steep exponential, the products are summed one by one. The last bits of transforms depend on the
//! processor's instructions, as those of `realfft` do.

use std::sync::Arc;

use num_complex::Complex64;
use pixelmill_core::process::{Dimension, Failure};
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use super::arrays::{add_scaled, dot};
use super::components::{Channels, MOST_SHAPE};
use super::formula;
use super::model::Part;
use crate::spectral_axis;

/// Spectra of fewer channels are convolved by sums of products: there they are faster.
const SHORT: usize = 32;
/// By how much the rounding of a transform may be larger, beside the results, than that of a sum.
const LOSS: f64 = 4096.0;
/// Beyond this squares of convolved components may leave the range of numbers.
const LARGEST: f64 = 1e100;
/// What the steps of both axes may differ by over the length of the spectrum, in channels.
const DRIFT: f64 = 0.01;

/// How components are convolved with any spectrum of one axis.
pub struct Convolution {
    /// Of so many channels.
    length: usize,
    is_normalised: bool,
    /// The fitted axis, extended.
    x: Vec<f64>,
    ones: Vec<f64>,
    /// The fitted channels among those from the first to the last of them.
    chosen: Vec<usize>,
    /// How many these are.
    span: usize,
    forward: Arc<dyn RealToComplex<f64>>,
    inverse: Arc<dyn ComplexToReal<f64>>,
}

/// A spectrum, ready to be convolved with.
#[derive(Clone, Debug, Default)]
pub struct Kernel {
    /// From the last channel to the first.
    reversed: Vec<f64>,
    transform: Vec<Complex64>,
    /// The root of the sum of the squares.
    norm: f64,
}

/// Memory that a worker keeps.
#[derive(Clone, Debug, Default)]
pub struct Buffers {
    columns: Vec<f64>,
    real: Vec<f64>,
    complex: Vec<Complex64>,
    inside: Vec<Complex64>,
    sums: Vec<f64>,
}

/// Where the axis of the spectrum begins, as people say it or as its file does.
pub struct Zero<'a> {
    /// The channel that they say.
    pub channel: Option<usize>,
    /// What the file says.
    pub axis: Option<&'a Dimension>,
}

impl Convolution {
    /// Of these channels of an axis with a spectrum that is so long.
    ///
    /// # Errors
    /// If the axes don't belong together.
    pub fn new(
        axis: &Dimension,
        channels: &[usize],
        (length, zero): (usize, &Zero<'_>),
        is_normalised: bool,
    ) -> Result<Self, Failure> {
        let even = |axis| {
            spectral_axis::step(axis)
                .map_err(|reason| Failure::new(format!("nothing can be convolved: {reason}")))
        };
        let step = even(axis)?;
        if let Some(own) = zero.axis {
            check_steps((axis, step), (own, even(own)?))?;
        }
        let zero = zero.of(length)?;
        let (first, last) = match channels {
            [first, .., last] => (*first, *last),
            _ => return Err(Failure::new("fewer than two channels are in the range")),
        };
        let span = last - first + 1;
        let places = span + length - 1;
        // The place of the first channel less what the last of the spectrum has lost.
        let begin = first as f64 - (length - 1) as f64 + zero as f64;
        let origin = axis.values.first().unwrap_or_default();
        let size = transform_size(places);
        let mut planner = RealFftPlanner::new();
        Ok(Self {
            length,
            is_normalised,
            x: (0..places).map(|at| origin + (begin + at as f64) * step).collect(),
            ones: vec![1.0; places],
            chosen: channels.iter().map(|channel| channel - first).collect(),
            span,
            forward: planner.plan_fft_forward(size),
            inverse: planner.plan_fft_inverse(size),
        })
    }

    /// The fitted axis, extended by the length of the spectrum.
    pub fn places(&self) -> &[f64] {
        &self.x
    }

    /// Takes a spectrum in place of that which was in `kernel`.
    ///
    /// # Errors
    /// If nothing can be convolved with it.
    pub fn take(
        &self,
        spectrum: &[f64],
        kernel: &mut Kernel,
        memory: &mut Buffers,
    ) -> Result<(), Failure> {
        if spectrum.len() != self.length {
            let (found, wanted) = (spectrum.len(), self.length);
            let told = format!("the low-loss spectrum has {found} channels instead of {wanted}");
            return Err(Failure::new(told));
        }
        let sum = checked(spectrum)?;
        let factor = if self.is_normalised { sum.recip() } else { 1.0 };
        kernel.reversed.clear();
        kernel.reversed.extend(spectrum.iter().rev().map(|value| value * factor));
        kernel.norm = dot(&kernel.reversed, &kernel.reversed).sqrt();
        if self.length >= SHORT {
            memory.real.clear();
            memory.real.extend(kernel.reversed.iter().rev());
            self.transform(memory);
            std::mem::swap(&mut kernel.transform, &mut memory.complex);
        }
        Ok(())
    }

    /// Fills the columns of a component as [`Part::fill`] does, convolved.
    pub fn fill(
        &self,
        part: &Part,
        shape: &[f64; MOST_SHAPE],
        (kernel, weights): (&Kernel, &[f64]),
        columns: &mut [f64],
        (memory, registers): (&mut Buffers, &mut formula::Registers),
    ) {
        let places = self.x.len();
        let mut extended = std::mem::take(&mut memory.columns);
        extended.resize(part.columns() * places, 0.0);
        let channels = Channels { x: &self.x, y: &[], weights: &self.ones };
        part.fill(channels, shape, &mut extended, registers);
        let each = extended.chunks_exact(places).zip(columns.chunks_exact_mut(weights.len()));
        for (extended, column) in each {
            self.convolve(extended, kernel, memory);
            let chosen = self.chosen.iter().zip(weights);
            for (value, (at, weight)) in column.iter_mut().zip(chosen) {
                *value = weight * memory.sums[*at];
            }
        }
        memory.columns = extended;
    }

    /// Leaves the sums for the channels from the first fitted one to the last.
    fn convolve(&self, values: &[f64], kernel: &Kernel, memory: &mut Buffers) {
        if self.length >= SHORT {
            self.by_transforms(values, kernel, memory);
            let largest = memory.sums.iter().fold(0.0_f64, |most, sum| most.max(sum.abs()));
            if dot(values, values).sqrt() * kernel.norm <= LOSS * largest {
                return;
            }
        }
        memory.sums.clear();
        memory.sums.resize(self.span, 0.0);
        // Of each channel of the spectrum at once, so that the sums lie side by side.
        for (at, value) in kernel.reversed.iter().enumerate() {
            add_scaled(&mut memory.sums, *value, &values[at..][..self.span]);
        }
    }

    fn by_transforms(&self, values: &[f64], kernel: &Kernel, memory: &mut Buffers) {
        memory.real.clear();
        memory.real.extend_from_slice(values);
        self.transform(memory);
        let scale = (self.forward.len() as f64).recip();
        for (value, other) in memory.complex.iter_mut().zip(&kernel.transform) {
            *value = *value * other * scale;
        }
        // Those of real values are real at both ends, but for rounding.
        if let [first, .., last] = memory.complex.as_mut_slice() {
            (first.im, last.im) = (0.0, 0.0);
        }
        memory.inside.resize(self.inverse.get_scratch_len(), Complex64::default());
        let done = self.inverse.process_with_scratch(
            &mut memory.complex,
            &mut memory.real,
            &mut memory.inside,
        );
        done.expect("all lengths are those of the plan");
        memory.sums.clear();
        memory.sums.extend_from_slice(&memory.real[self.length - 1..][..self.span]);
    }

    /// Transforms the real values in the memory, with zeros behind them.
    fn transform(&self, memory: &mut Buffers) {
        memory.real.resize(self.forward.len(), 0.0);
        memory.complex.resize(self.forward.complex_len(), Complex64::default());
        memory.inside.resize(self.forward.get_scratch_len(), Complex64::default());
        let done = self.forward.process_with_scratch(
            &mut memory.real,
            &mut memory.complex,
            &mut memory.inside,
        );
        done.expect("all lengths are those of the plan");
    }
}

impl Zero<'_> {
    /// The channel of zero loss of so many.
    fn of(&self, length: usize) -> Result<usize, Failure> {
        if let Some(channel) = self.channel {
            return if channel < length {
                Ok(channel)
            } else {
                Err(Failure::new(format!(
                    "`low_loss_zero` is {channel}, but the low-loss spectrum has {length} channels"
                )))
            };
        }
        let axis = self.axis.ok_or_else(|| {
            Failure::new(
                "the file has no axis for the low-loss spectrum; say by `low_loss_zero` in which \
                 channel nothing is lost",
            )
        })?;
        let (first, step) = (axis.values.first().unwrap_or_default(), spectral_axis::step(axis));
        let channel = (-first / step.unwrap_or(1.0)).round();
        if (0.0..length as f64).contains(&channel) {
            Ok(channel as usize)
        } else {
            Err(Failure::new(format!(
                "the axis `{}` of the low-loss spectrum goes from {first} to {} and has no zero; \
                 say by `low_loss_zero` in which channel nothing is lost",
                axis.name,
                axis.values.last().unwrap_or_default()
            )))
        }
    }
}

/// Spectra and what they are convolved with have channels that are equally wide, in the same units.
fn check_steps(
    (axis, step): (&Dimension, f64),
    (own, own_step): (&Dimension, f64),
) -> Result<(), Failure> {
    if !axis.units.is_empty() && !own.units.is_empty() && axis.units != own.units {
        return Err(Failure::new(format!(
            "the axis of the spectra is in {}, that of the low-loss spectrum in {}",
            axis.units, own.units
        )));
    }
    // Files keep the values of axes in single precision.
    let rounding = |axis: &Dimension| {
        let most = axis.values.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
        most * f64::from(f32::EPSILON)
    };
    let drift = (step - own_step).abs() * own.len() as f64;
    if drift <= DRIFT * step.abs() + rounding(axis) + rounding(own) {
        return Ok(());
    }
    Err(Failure::new(format!(
        "the channels of the spectra are {step} apart, those of the low-loss spectrum {own_step}; \
         bring both to the same step"
    )))
}

/// The sum of a spectrum that something can be convolved with.
fn checked(spectrum: &[f64]) -> Result<f64, Failure> {
    let refuse = |what: &str| Err(Failure::new(format!("the low-loss spectrum {what}")));
    if !spectrum.iter().all(|value| value.is_finite()) {
        return refuse("has values that are not finite");
    }
    let largest = spectrum.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    if largest == 0.0 {
        return refuse("is zero everywhere");
    }
    if !(LARGEST.recip()..=LARGEST).contains(&largest) {
        return refuse("leaves the range of numbers");
    }
    let sum: f64 = spectrum.iter().sum();
    if sum > 0.0 { Ok(sum) } else { refuse("is negative: the sum of its values is below zero") }
}

/// The least of 2ⁿ and 3·2ⁿ that isn't below the number of values.
fn transform_size(values: usize) -> usize {
    let power = values.next_power_of_two();
    let less = power / 4 * 3;
    if less >= values && less.is_multiple_of(2) { less } else { power.max(2) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(first: f64, step: f64, length: usize) -> Dimension {
        let values: Vec<f64> = (0..length).map(|at| first + step * at as f64).collect();
        Dimension::new("E", "eV", values)
    }

    fn with(length: usize, span: usize) -> Convolution {
        let (own, channels) = (axis(-2.0, 0.5, length), (3..3 + span).collect::<Vec<_>>());
        let zero = Zero { channel: None, axis: Some(&own) };
        Convolution::new(&axis(400.0, 0.5, span + 5), &channels, (length, &zero), false).unwrap()
    }

    /// The largest difference from sums of products, over the largest of them.
    fn off(length: usize, span: usize, value: impl Fn(f64) -> f64) -> f64 {
        let convolution = with(length, span);
        let spectrum: Vec<f64> =
            (0..length).map(|at| 100.0 / (1.0 + (at as f64 - 4.0).powi(2)) + 0.01).collect();
        let (mut kernel, mut memory) = (Kernel::default(), Buffers::default());
        convolution.take(&spectrum, &mut kernel, &mut memory).unwrap();
        let values: Vec<f64> = convolution.x.iter().map(|x| value(*x)).collect();
        convolution.convolve(&values, &kernel, &mut memory);
        let expected: Vec<f64> = (0..span)
            .map(|at| {
                let place = 400.0 + (at + 3) as f64 * 0.5;
                let term = |(j, l): (usize, &f64)| l * value(place - (j as f64 - 4.0) * 0.5);
                spectrum.iter().enumerate().map(term).sum()
            })
            .collect();
        assert_eq!(memory.sums.len(), span);
        let largest = expected.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
        let differences = memory.sums.iter().zip(&expected).map(|(sum, other)| (sum - other).abs());
        differences.fold(0.0, f64::max) / largest
    }

    #[test]
    fn it_is_the_sum_to_rounding_for_all_lengths() {
        for (length, span) in [(9, 2), (31, 40), (32, 2), (33, 100), (700, 512), (1024, 1024)] {
            let peak = |x: f64| (-((x - 410.0) / 6.0).powi(2)).exp();
            assert!(off(length, span, peak) < 1e-13, "{length}, {span}");
            let step = |x: f64| f64::from(u8::from(x >= 401.6));
            assert!(off(length, span, step) < 1e-13, "{length}, {span}");
            let steep = |x: f64| (-(x - 400.0) / 1.5).exp();
            assert!(off(length, span, steep) < 1e-11, "{length}, {span}");
        }
    }

    #[test]
    fn where_transforms_would_lose_digits_products_are_summed() {
        // Nothing of the large values far below the axis comes to it.
        let convolution = with(600, 300);
        let mut spectrum = vec![0.0; 600];
        spectrum[4] = 1.0;
        let (mut kernel, mut memory) = (Kernel::default(), Buffers::default());
        convolution.take(&spectrum, &mut kernel, &mut memory).unwrap();
        let values: Vec<f64> = convolution.x.iter().map(|x| (-(x - 400.0)).exp()).collect();
        convolution.convolve(&values, &kernel, &mut memory);
        for (at, found) in memory.sums.iter().enumerate() {
            let expected = (-((at + 3) as f64 * 0.5)).exp();
            assert!((found / expected - 1.0).abs() < 1e-12, "{at}: {found} {expected}");
        }
    }

    #[test]
    fn sizes_of_transforms_are_even_and_no_less_than_the_values() {
        for values in 1..5000 {
            let size = transform_size(values);
            assert!(size >= values && size.is_multiple_of(2), "{values}: {size}");
            assert!(size < 2 * values.max(2), "{values}: {size}");
        }
    }

    #[test]
    fn axes_that_do_not_belong_together_are_refused_in_words() {
        let spectra = axis(400.0, 0.5, 100);
        let told = |own: Option<&Dimension>, channel, spectra: &Dimension| {
            let zero = Zero { channel, axis: own };
            let all: Vec<usize> = (0..100).collect();
            let made = Convolution::new(spectra, &all, (50, &zero), false);
            made.err().map(|failure| failure.to_string()).unwrap_or_default()
        };
        assert_eq!(told(Some(&axis(-2.0, 0.5, 50)), None, &spectra), "");
        assert_eq!(told(Some(&axis(-2.0, 0.50005, 50)), None, &spectra), "");
        assert_eq!(told(None, Some(49), &spectra), "");
        assert!(told(None, Some(50), &spectra).contains("50 channels"));
        assert!(told(None, None, &spectra).contains("`low_loss_zero`"));
        assert!(told(Some(&axis(-2.0, 0.25, 50)), None, &spectra).contains("0.5 apart"));
        assert!(told(Some(&axis(-2.0, 0.501, 50)), None, &spectra).contains("0.501"));
        assert!(told(Some(&axis(2.0, 0.5, 50)), None, &spectra).contains("no zero"));
        assert!(told(Some(&axis(-50.0, 0.5, 50)), None, &spectra).contains("no zero"));
        let other = Dimension { units: "keV".to_owned(), ..axis(-2.0, 0.5, 50) };
        assert!(told(Some(&other), None, &spectra).contains("keV"));
        let uneven =
            Dimension::new("E", "eV", (0..100).map(|at| f64::from(at * at)).collect::<Vec<_>>());
        assert!(told(None, Some(0), &uneven).contains("evenly spaced"));
    }

    #[test]
    fn spectra_that_nothing_can_be_convolved_with_say_why() {
        let convolution = with(40, 50);
        let told = |spectrum: &[f64]| {
            let taken = convolution.take(spectrum, &mut Kernel::default(), &mut Buffers::default());
            taken.err().map(|failure| failure.to_string()).unwrap_or_default()
        };
        let changed = |at: usize, value: f64| {
            let mut spectrum = vec![1.0; 40];
            spectrum[at] = value;
            spectrum
        };
        assert_eq!(told(&changed(3, -5.0)), "", "a few negative values may be noise");
        assert!(told(&[0.0; 40]).contains("zero everywhere"));
        assert!(told(&[-1.0; 40]).contains("negative"));
        assert!(told(&changed(3, f64::NAN)).contains("not finite"));
        assert!(told(&changed(3, f64::INFINITY)).contains("not finite"));
        assert!(told(&changed(3, 1e200)).contains("range of numbers"));
        assert!(told(&[1.0; 39]).contains("39 channels"));
    }
}
