//! The filters of Savitzky and Golay: around each channel a polynomial is fitted by least squares
//! to the channels of a window, and its value, or a derivative, is that of the channel.
//!
//! A. Savitzky & M. J. E. Golay, Anal. Chem. 36 (1964) 1627. The weights are made of Gram's
//! polynomials, which are orthogonal over the channels of a window, by the recursions of P. A.
//! Gorry, Anal. Chem. 62 (1990) 570: without a matrix to invert, they keep their digits where
//! powers of the channels' numbers have none left.

use pixelmill_core::process::{Dimension, Failure, Outputs, SourceInfo, Unit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::as_source::{Values, is_single};
use crate::choices::one_of;
use crate::spectral_axis;

/// What stands for the channels beyond the ends of a spectrum; names are SciPy's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// None: channels near an end have the values of the polynomial through the last whole window.
    #[default]
    Interp,
    /// The channels as in a mirror that stands on the last one.
    Mirror,
    /// The last value.
    Nearest,
    /// A value that is given.
    Constant,
    /// The channels of the other end.
    Wrap,
}

one_of!(Mode: "interp", "mirror", "nearest", "constant", "wrap");

/// The window and the polynomial of a filter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Design {
    /// Channels of the window.
    pub window_length: usize,
    /// Order of the polynomial.
    pub polyorder: usize,
    /// Which derivative; 0 for the value.
    pub deriv: usize,
    /// What stands beyond the ends.
    pub mode: Mode,
    /// The value that is given for this.
    pub cval: f64,
}

impl Design {
    /// # Errors
    /// If there is no such polynomial.
    pub(crate) fn check(self) -> Result<(), Failure> {
        let Self { window_length, polyorder, deriv, .. } = self;
        if window_length.is_multiple_of(2) {
            return Err(Failure::new(format!(
                "`window_length` is {window_length}, but has to be odd, so that the channel is in \
                 the middle"
            )));
        }
        if polyorder >= window_length {
            return Err(Failure::new(format!(
                "`polyorder` is {polyorder}, but has to be below `window_length`, which is \
                 {window_length}"
            )));
        }
        if deriv > polyorder {
            return Err(Failure::new(format!(
                "`deriv` is {deriv}, but has to be at most `polyorder`, which is {polyorder}: \
                 higher derivatives of the polynomial are 0"
            )));
        }
        Ok(())
    }
}

/// What all spectra share.
pub struct Filter {
    /// What each channel of a window counts for the one in the middle.
    middle: Vec<f64>,
    /// The same for those before it, from the first on, and for those behind it; none unless the
    /// mode takes them.
    ends: [Vec<Vec<f64>>; 2],
    mode: Mode,
    cval: f64,
    is_single: bool,
}

/// Memory of a worker.
#[derive(Default)]
pub struct Scratch {
    padded: Vec<f64>,
    filtered: Vec<f64>,
    output: Values,
}

impl Filter {
    /// The filter for the spectra of a source.
    ///
    /// # Errors
    /// If their axis isn't evenly spaced, or too short.
    pub(crate) fn new(design: Design, source: &SourceInfo) -> Result<Self, Failure> {
        source.spectra_along_axis()?;
        let axis = source.axis(0);
        let Design { window_length, deriv, mode, cval, .. } = design;
        if axis.len() < window_length {
            return Err(Failure::new(format!(
                "`window_length` is {window_length}, but spectra have {} channels",
                axis.len()
            )));
        }
        let step = step(&axis)?;
        let half = (window_length / 2) as i64;
        let weights = |at: i64| -> Vec<f64> {
            let weights = weights(half, at, design).into_iter();
            weights.map(|weight| weight / step.powi(deriv as i32)).collect()
        };
        let has_ends = mode == Mode::Interp;
        let ends = [-half..0, 1..half + 1];
        let is_single = has_single_results(design, source);
        Ok(Self {
            middle: weights(0),
            ends: ends.map(|places| places.filter(|_| has_ends).map(weights).collect()),
            mode,
            cval,
            is_single,
        })
    }

    /// Filters a spectrum into the output of the scratch.
    fn apply(&self, spectrum: &[f64], scratch: &mut Scratch) {
        let Scratch { padded, filtered: values, output } = scratch;
        let (half, length) = (self.middle.len() / 2, spectrum.len());
        values.clear();
        values.resize(length, 0.0);
        if self.mode == Mode::Interp {
            let inner = &mut values[half..length - half];
            convolve(&self.middle, spectrum, inner);
            let [begin, end] = &self.ends;
            let window = self.middle.len();
            let ends = [
                (begin, &spectrum[..window], 0),
                (end, &spectrum[length - window..], length - half),
            ];
            for (weights, window, first) in ends {
                for (weights, value) in weights.iter().zip(&mut values[first..]) {
                    *value = weights.iter().zip(window).map(|(weight, value)| weight * value).sum();
                }
            }
        } else {
            self.pad(spectrum, padded);
            convolve(&self.middle, padded, values);
        }
        let most = if self.is_single { f64::from(f32::MAX) } else { f64::MAX };
        let finite = |value: &f64| if value.abs() <= most { *value } else { f64::NAN };
        output.set(self.is_single, values.iter().map(finite));
    }

    /// The spectrum with what stands beyond its ends.
    fn pad(&self, spectrum: &[f64], padded: &mut Vec<f64>) {
        let (half, last) = (self.middle.len() / 2, spectrum.len() - 1);
        // Channels are counted from beyond the end on; a window is no longer than the spectrum.
        let beyond = |apart: usize, end: usize, inwards: &dyn Fn(usize) -> usize| match self.mode {
            Mode::Constant => self.cval,
            Mode::Mirror => spectrum[inwards(apart)],
            Mode::Wrap => spectrum[last - inwards(apart - 1)],
            Mode::Nearest | Mode::Interp => spectrum[end],
        };
        padded.clear();
        padded.extend((1..half + 1).rev().map(|apart| beyond(apart, 0, &|steps| steps)));
        padded.extend_from_slice(spectrum);
        padded.extend((1..half + 1).map(|apart| beyond(apart, last, &|steps| last - steps)));
    }

    /// As [`pixelmill_core::Process::map_function`].
    pub(crate) fn filtered(&self, spectrum: &[f64], scratch: &mut Scratch) -> Values {
        self.apply(spectrum, scratch);
        std::mem::take(&mut scratch.output)
    }

    /// As [`pixelmill_core::Process::unit_computation`], so that no results are allocated for each
    /// spectrum.
    pub(crate) fn filter_unit(
        &self,
        unit: &mut Unit<'_, f64>,
        scratch: &mut Scratch,
        outputs: &mut Outputs<'_, Values>,
    ) {
        for index in 0..unit.len() {
            self.apply(&unit.spectrum(index), scratch);
            outputs.set_from(index, Ok(&scratch.output));
        }
    }
}

fn step(axis: &Dimension) -> Result<f64, Failure> {
    // A spectrum of one channel is its own mean.
    if axis.len() == 1 {
        return Ok(1.0);
    }
    spectral_axis::step(axis).map_err(|reason| {
        Failure::new(format!("{reason}, and the polynomial takes channels with even steps"))
    })
}

/// What a derivative may be larger or smaller than values, for them to have the same precision.
const SCALES: std::ops::RangeInclusive<f64> = 1e-15..=1e15;

/// Whether results are in single precision.
pub(crate) fn has_single_results(design: Design, source: &SourceInfo) -> bool {
    let scale = step(&source.axis(0)).unwrap_or(1.0).abs().powi(design.deriv as i32);
    is_single(source) && SCALES.contains(&scale)
}

/// What each channel of a window counts for the derivative at a place in it, in channels from its
/// middle.
fn weights(half: i64, at: i64, design: Design) -> Vec<f64> {
    let Design { polyorder, deriv, .. } = design;
    let there = gram(half, at, polyorder, deriv);
    let weight = |channel: i64| {
        let (mut factor, mut sum) = (1.0 / (2 * half + 1) as f64, 0.0);
        let polynomials = gram(half, channel, polyorder, 0).into_iter().zip(&there).enumerate();
        for (order, (polynomial, derivative)) in polynomials {
            if order > 0 {
                let order = order as i64;
                factor *= (2 * half - order + 1) as f64 / (2 * half + order + 1) as f64;
            }
            sum += (2 * order + 1) as f64 * factor * polynomial * derivative;
        }
        sum
    };
    (-half..half + 1).map(weight).collect()
}

/// A derivative of Gram's polynomials of all orders up to one, at a channel of a window.
fn gram(half: i64, at: i64, most: usize, deriv: usize) -> Vec<f64> {
    let mut lower: Vec<f64> = Vec::new();
    for derivative in 0..=deriv {
        let mut own: Vec<f64> = Vec::with_capacity(most + 1);
        for order in 0..=most {
            own.push(match order {
                0 if derivative == 0 => 1.0,
                0 => 0.0,
                _ => {
                    let (k, span) = (order as f64, (2 * half) as f64);
                    let scale = k * (span - k + 1.0);
                    let before =
                        lower.get(order - 1).map_or(0.0, |lower| derivative as f64 * lower);
                    let earlier = if order > 1 { own[order - 2] } else { 0.0 };
                    2.0 * (2.0 * k - 1.0) / scale * (at as f64 * own[order - 1] + before)
                        - (k - 1.0) * (span + k) / scale * earlier
                }
            });
        }
        lower = own;
    }
    lower
}

/// Results that are kept in registers.
const FEW: usize = 16;

/// Σ wⱼ·yᵢ₊ⱼ for as many i as there are windows.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn convolve(weights: &[f64], values: &[f64], out: &mut [f64]) {
    let (blocks, rest) = out.as_chunks_mut::<FEW>();
    let whole = blocks.len() * FEW;
    for (block, out) in blocks.iter_mut().enumerate() {
        let mut sums = [0.0; FEW];
        let windows = values[block * FEW..].windows(FEW);
        for (weight, values) in weights.iter().zip(windows) {
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum += weight * value;
            }
        }
        *out = sums;
    }
    for (at, out) in rest.iter_mut().enumerate() {
        *out =
            weights.iter().zip(&values[whole + at..]).map(|(weight, value)| weight * value).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spectral_axis::tests::{axis, source};
    use proptest::prelude::*;

    const DESIGN: Design =
        Design { window_length: 5, polyorder: 2, deriv: 0, mode: Mode::Interp, cval: 0.0 };

    fn filtered(design: Design, places: &[f64], values: &[f64]) -> Vec<f64> {
        let filter = Filter::new(design, &source(axis(places.iter().copied()))).unwrap();
        filter.filtered(values, &mut Scratch::default()).to_vec()
    }

    fn places(count: usize, step: f64) -> Vec<f64> {
        (0..count).map(|at| 3.0 + step * at as f64).collect()
    }

    fn assert_near(found: &[f64], expected: &[f64], most: f64) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() <= most, "{found} {expected}");
        }
    }

    /// Table I of Savitzky and Golay, and the derivatives of Tables III and VI.
    #[test]
    fn weights_are_those_of_the_paper() {
        for (half, order, deriv, expected, norm) in [
            (2, 2, 0, &[-3.0, 12.0, 17.0, 12.0, -3.0][..], 35.0),
            (3, 3, 0, &[-2.0, 3.0, 6.0, 7.0, 6.0, 3.0, -2.0], 21.0),
            (2, 2, 1, &[-2.0, -1.0, 0.0, 1.0, 2.0], 10.0),
            (2, 3, 1, &[1.0, -8.0, 0.0, 8.0, -1.0], 12.0),
            (2, 2, 2, &[2.0, -1.0, -2.0, -1.0, 2.0], 7.0),
        ] {
            let design = Design { polyorder: order, deriv, ..DESIGN };
            let expected: Vec<f64> = expected.iter().map(|weight| weight / norm).collect();
            assert_near(&weights(half, 0, design), &expected, 1e-15);
        }
    }

    #[test]
    fn polynomials_stay_and_have_their_derivatives_at_the_ends_too() {
        let polynomial = |x: f64| 2.0 - x + 0.5 * x * x - 0.1 * x * x * x;
        let slope = |x: f64| -1.0 + x - 0.3 * x * x;
        let bend = |x: f64| 1.0 - 0.6 * x;
        for step in [0.25, -0.5] {
            let x = places(31, step);
            let at = |of: &dyn Fn(f64) -> f64| -> Vec<f64> { x.iter().map(|x| of(*x)).collect() };
            for (deriv, expected) in [(0, at(&polynomial)), (1, at(&slope)), (2, at(&bend))] {
                for (window_length, polyorder) in [(5, 3), (11, 4), (31, 3), (9, 8)] {
                    let design = Design { window_length, polyorder, deriv, ..DESIGN };
                    assert_near(&filtered(design, &x, &at(&polynomial)), &expected, 1e-8);
                }
            }
        }
    }

    #[test]
    fn ends_are_continued_as_scipy_says() {
        // A weight of 1 for the channel two before the one in the middle.
        let spectrum: Vec<f64> = (1..=8).map(f64::from).collect();
        for (mode, before, behind) in [
            (Mode::Mirror, [4.0, 3.0, 2.0], [7.0, 6.0, 5.0]),
            (Mode::Nearest, [1.0; 3], [8.0; 3]),
            (Mode::Constant, [-1.0; 3], [-1.0; 3]),
            (Mode::Wrap, [6.0, 7.0, 8.0], [1.0, 2.0, 3.0]),
        ] {
            let design = Design { window_length: 7, mode, cval: -1.0, ..DESIGN };
            let filter = Filter::new(design, &source(axis(places(8, 1.0)))).unwrap();
            let mut padded = Vec::new();
            filter.pad(&spectrum, &mut padded);
            assert_eq!(padded, [&before[..], &spectrum, &behind].concat(), "{mode:?}");
        }
    }

    #[test]
    fn long_windows_and_high_orders_keep_their_digits() {
        // What a polynomial of this order is made of stays: weights of Σ i^k·w = 0 but for k = 0.
        let design = Design { window_length: 301, polyorder: 9, ..DESIGN };
        let weights = weights(150, 0, design);
        for power in 0..=9 {
            let moment =
                |(at, weight): (usize, &f64)| weight * ((at as f64 - 150.0) / 150.0).powi(power);
            let found: f64 = weights.iter().enumerate().map(moment).sum();
            let expected = if power == 0 { 1.0 } else { 0.0 };
            assert!((found - expected).abs() < 1e-12, "{power}: {found}");
        }
    }

    #[test]
    fn what_is_not_finite_takes_its_window_alone() {
        let mut values: Vec<f64> = (0..40).map(|at| f64::from(at % 7)).collect();
        let whole = filtered(DESIGN, &places(40, 1.0), &values);
        for strange in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            values[20] = strange;
            let found = filtered(DESIGN, &places(40, 1.0), &values);
            for (at, (found, whole)) in found.iter().zip(&whole).enumerate() {
                match (18..=22).contains(&at) {
                    true => assert!(found.is_nan(), "{at}: {found}"),
                    false => assert_eq!(found, whole, "{at}"),
                }
            }
        }
        values[20] = 0.0;
        values[2] = f64::NAN;
        let found = filtered(DESIGN, &places(40, 1.0), &values);
        assert!(found[..5].iter().all(|value| value.is_nan()) && found[5].is_finite());
        for value in [0.0, 65535.0] {
            assert_near(&filtered(DESIGN, &places(40, 1.0), &[value; 40]), &[value; 40], 1e-10);
            let slope = Design { deriv: 1, ..DESIGN };
            assert_near(&filtered(slope, &places(40, 1.0), &[value; 40]), &[0.0; 40], 1e-10);
        }
    }

    #[test]
    fn what_cannot_be_filtered_is_refused() {
        let told = |design: Design| design.check().unwrap_err().to_string();
        assert!(told(Design { window_length: 4, ..DESIGN }).contains("odd"));
        assert!(told(Design { polyorder: 5, ..DESIGN }).contains("below `window_length`"));
        assert!(told(Design { deriv: 3, ..DESIGN }).contains("at most `polyorder`"));
        let refused = |places: &[f64]| {
            let source = source(axis(places.iter().copied()));
            Filter::new(DESIGN, &source).err().unwrap().to_string()
        };
        assert!(refused(&[1.0, 2.0, 3.0, 4.0]).contains("4 channels"));
        let uneven = refused(&[1.0, 2.0, 3.0, 4.0, 6.0]);
        assert!(uneven.contains("`Energy` isn't evenly spaced"), "{uneven}");
    }

    #[test]
    fn steep_derivatives_of_short_numbers_are_in_double_precision() {
        let single = |step: f64, deriv| {
            let mut source = source(axis(places(9, step)));
            source.element = pixelmill_core::ElementType::Float32;
            has_single_results(Design { deriv, ..DESIGN }, &source)
        };
        assert!(single(0.1, 1) && single(1e-9, 0) && single(1e-9, 1));
        assert!(!single(1e-9, 2) && !single(1e10, 2));
    }

    proptest! {
        #[test]
        fn a_filter_is_linear_and_fits_each_window(
            values in prop::collection::vec(-1e3f64..1e3, 15..60),
            half in 1usize..7,
            polyorder in 0usize..5,
        ) {
            prop_assume!(polyorder <= 2 * half);
            let design = Design { window_length: 2 * half + 1, polyorder, ..DESIGN };
            let x = places(values.len(), 1.0);
            let found = filtered(design, &x, &values);
            // What is left of a window has no part of the polynomials in it: filtered again by the
            // polynomial around another channel, its values stay.
            for at in [half, values.len() - 1 - half] {
                let window = &values[at - half..=at + half];
                let fit: Vec<f64> = (-(half as i64)..=half as i64)
                    .map(|to| weights(half as i64, to, design).iter().zip(window).map(|(w, v)| w * v).sum())
                    .collect();
                let rest: Vec<f64> = window.iter().zip(&fit).map(|(v, f)| v - f).collect();
                let again: f64 = weights(half as i64, 0, design).iter().zip(&rest).map(|(w, r)| w * r).sum();
                prop_assert!(again.abs() < 1e-8, "{}", again);
                prop_assert!((found[at] - fit[half]).abs() < 1e-8);
            }
        }
    }
}
