//! Area, centre, width, skewness and kurtosis of each spectrum, over its axis.
//!
//! Of the channels of a window, with values yᵢ at the places xᵢ of the axis, a background bᵢ and
//! the widths hᵢ of the channels (the step, or half of the distance of both neighbours), wᵢ = (yᵢ −
//! bᵢ)·hᵢ:
//!
//! - `Area` A = Σ wᵢ, in the units of the values times those of the axis.
//! - `Centre` c = Σ wᵢxᵢ / A and `Width` σ = √(Σ wᵢ(xᵢ − c)² / A), the standard deviation, in the
//!   units of the axis. The full width at half maximum of a Gaussian is 2.3548 σ.
//! - `Skewness` Σ wᵢ(xᵢ − c)³ / (A σ³), and `Excess_Kurtosis` Σ wᵢ(xᵢ − c)⁴ / (A σ⁴) − 3; of a
//!   Gaussian both are 0.
//!
//! These are the moments of a distribution (M. G. Kendall, *The Advanced Theory of Statistics*,
//! vol. 1), as `numpy.average` and LumiSpy's `centroid` have them over an even axis, and with h
//! also over an uneven one. Values of a binned axis, as HyperSpy calls it, were summed over the
//! widths already: for these h is 1, and the area in the units of the values.
//!
//! The background is none, the smallest value, or a line through the means of `end_points` channels
//! at both ends of the window. Shapes: a row of N·S values along several axes is N spectra along
//! the fastest, of S; each gives a number per dataset. All is computed in double precision, moments
//! about the centre in a second pass, so that a narrow peak far from 0 loses no digits.
//!
//! A spectrum with a value in the window that isn't finite fails. Where there is no area above the
//! background, as of an empty or a constant spectrum less its smallest value, there are no moments:
//! all but the area are NaN. Noise below the background counts as it is, with its sign; if it makes
//! Σ wᵢ(xᵢ − c)² negative, there is no width and what follows. What is saturated is taken as it is:
//! it makes peaks wider and their kurtosis less.

use pixelmill_core::Results;
use pixelmill_core::process::{Failure, Model, Process, SourceInfo, Spectrum, SpectrumAxes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::choices::one_of;
use crate::spectral_axis::{self, channels, check_range, widths};

/// Which channels count, and above what.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Parameters {
    /// Where the window begins, in the units of the axis; with the first channel if none.
    pub from: Option<f64>,
    /// Where the window ends, in the units of the axis; with the last channel if none.
    pub to: Option<f64>,
    /// What is taken off the values: nothing, the smallest of the window, or a line between its
    /// ends.
    pub background: Background,
    /// For background=linear: how many channels at each end of the window the line goes through
    /// the mean of.
    #[schemars(range(min = 1, max = 1_000_000), extend("unit" = "points"))]
    pub end_points: usize,
}

/// What is taken off the values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Background {
    /// Nothing.
    #[default]
    None,
    /// The smallest value.
    Minimum,
    /// A line between the ends.
    Linear,
}

one_of!(Background: "none", "minimum", "linear");

impl Default for Parameters {
    fn default() -> Self {
        Self { from: None, to: None, background: Background::None, end_points: 1 }
    }
}

impl pixelmill_core::process::Parameters for Parameters {
    fn check(&self) -> Result<(), Failure> {
        check_range((self.from, self.to), ("from", "to"))
    }
}

/// The moments of one spectrum, and the background that they are above: its value in the middle of
/// the window, and its slope.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    area: f64,
    centre: f64,
    width: f64,
    skewness: f64,
    excess_kurtosis: f64,
    background: Line,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    level: f64,
    slope: f64,
}

/// The process `Moments`.
pub struct Moments;

/// What all spectra share.
pub struct Task {
    first: usize,
    /// The middle of the window, which places are counted from so that few digits are lost.
    middle: f64,
    places: Vec<f64>,
    /// What values are multiplied by.
    widths: Vec<f64>,
    is_binned: bool,
    background: Background,
    end_points: usize,
}

impl Process for Moments {
    const NAME: &'static str = "Moments";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str =
        "area, centre, width, skewness and kurtosis of each real spectrum over its axis";

    type Parameters = Parameters;
    type Input = f64;
    type Output = Output;
    type Task = Task;
    type Scratch = ();

    fn prepare(parameters: &Parameters, source: &SourceInfo) -> Result<Task, Failure> {
        source.spectra_along_axis()?;
        let axis = source.axis(0);
        let least = match parameters.background {
            Background::Linear => 2 * parameters.end_points,
            _ => 1,
        };
        let window = channels(&axis, (parameters.from, parameters.to), least)?;
        let all = widths(&axis.values);
        let is_one_way =
            all.iter().all(|width| *width > 0.0) || all.iter().all(|width| *width < 0.0);
        if !is_one_way && axis.len() > 1 {
            return Err(Failure::new(format!(
                "the axis `{}` neither rises nor falls throughout, so its channels have no width",
                axis.name
            )));
        }
        let width = |at: usize| if axis.binned || axis.len() == 1 { 1.0 } else { all[at].abs() };
        let values = axis.values.as_slice();
        let middle = (values[window.start] + values[window.end - 1]) / 2.0;
        Ok(Task {
            first: window.start,
            middle,
            places: values[window.clone()].iter().map(|value| value - middle).collect(),
            widths: window.map(width).collect(),
            is_binned: axis.binned,
            background: parameters.background,
            end_points: parameters.end_points,
        })
    }

    fn create_results_datasets(
        _parameters: &Parameters,
        source: &SourceInfo,
        results: &mut Results<Output>,
    ) {
        let axis = source.axis(0);
        let area = spectral_axis::units(&source.units, &axis.units, i64::from(!axis.binned));
        results.main("Area", "Area", area).scalar(|output: &Output| output.area);
        results.main("Centre", &axis.name, &axis.units).scalar(|output: &Output| output.centre);
        results.main("Width", "Width", &axis.units).scalar(|output: &Output| output.width);
        results.main("Skewness", "Skewness", "").scalar(|output: &Output| output.skewness);
        results
            .main("Excess_Kurtosis", "Excess kurtosis", "")
            .scalar(|output: &Output| output.excess_kurtosis);
    }

    fn map_function(
        task: &Task,
        spectrum: Spectrum<'_, f64>,
        _scratch: &mut (),
    ) -> Result<Output, Failure> {
        let values = task.window(&spectrum);
        let background = task.line(values);
        let channels = Channels { values, places: &task.places, widths: &task.widths, background };
        let [area, first] = sums(channels);
        if !(area.is_finite() && first.is_finite()) {
            return Err(unusable());
        }
        let none = f64::NAN;
        let (mut width, mut skewness, mut excess_kurtosis) = (none, none, none);
        let centre = if area > 0.0 { first / area } else { none };
        if area > 0.0 {
            let [second, third, fourth] = central_sums(channels, centre);
            if !(second.is_finite() && third.is_finite() && fourth.is_finite()) {
                return Err(unusable());
            }
            let variance = second / area;
            if variance >= 0.0 {
                width = variance.sqrt();
            }
            if variance > 0.0 {
                skewness = third / area / (variance * width);
                excess_kurtosis = fourth / area / (variance * variance) - 3.0;
            }
        }
        let centre = centre + task.middle;
        Ok(Output { area, centre, width, skewness, excess_kurtosis, background })
    }

    fn model(task: &Task, spectrum: Spectrum<'_, f64>, output: &Output) -> Model {
        let window = task.first..task.first + task.places.len();
        let over = |value: &dyn Fn(usize) -> f64| -> Vec<f64> {
            let at = |point: usize| {
                if window.contains(&point) { value(point - task.first) } else { f64::NAN }
            };
            (0..spectrum.len()).map(at).collect()
        };
        let Line { level, slope } = output.background;
        let background = |at: usize| level + slope * task.places[at];
        let mut model = Model::new();
        if output.width > 0.0 {
            let gaussian = |at: usize| {
                let apart = (task.places[at] + task.middle - output.centre) / output.width;
                let height = output.area / (output.width * std::f64::consts::TAU.sqrt());
                let per_channel = if task.is_binned { task.spacing(at) } else { 1.0 };
                background(at) + height * per_channel * (-0.5 * apart * apart).exp()
            };
            let highest = task.nearest(output.centre);
            let [before, behind] = [-1.0, 1.0].map(|side| output.centre + side * output.width);
            model = model.curve("a Gaussian of these moments", over(&gaussian));
            model = model.mark("centre", output.centre, gaussian(highest));
            model = model.mark("centre − width", before, gaussian(task.nearest(before)));
            model = model.mark("centre + width", behind, gaussian(task.nearest(behind)));
        }
        match task.background {
            Background::None => model,
            _ => model.part("background", over(&background)),
        }
    }

    fn spectrum_axes(_parameters: &Parameters) -> SpectrumAxes {
        SpectrumAxes::One
    }
}

impl Task {
    fn window<'a>(&self, spectrum: &'a [f64]) -> &'a [f64] {
        &spectrum[self.first..self.first + self.places.len()]
    }

    /// The background of these values.
    fn line(&self, values: &[f64]) -> Line {
        match self.background {
            Background::None => Line { level: 0.0, slope: 0.0 },
            Background::Minimum => {
                let least = values.iter().copied().fold(f64::INFINITY, f64::min);
                Line { level: least, slope: 0.0 }
            }
            Background::Linear => {
                let (count, last) = (self.end_points, values.len() - self.end_points);
                let mean = |of: &[f64]| of.iter().sum::<f64>() / count as f64;
                let (y0, y1) = (mean(&values[..count]), mean(&values[last..]));
                let (x0, x1) = (mean(&self.places[..count]), mean(&self.places[last..]));
                let slope = (y1 - y0) / (x1 - x0);
                Line { level: y0 - slope * x0, slope }
            }
        }
    }

    /// The channel of the window that is nearest to a place on the axis.
    fn nearest(&self, place: f64) -> usize {
        let apart = |at: &usize| (self.places[*at] + self.middle - place).abs();
        let all = 0..self.places.len();
        all.min_by(|one, other| apart(one).total_cmp(&apart(other))).unwrap_or_default()
    }

    /// The distance of the channels beside one, over two.
    fn spacing(&self, at: usize) -> f64 {
        let (before, behind) = (at.saturating_sub(1), (at + 1).min(self.places.len() - 1));
        let steps = (behind - before).max(1) as f64;
        (self.places[behind] - self.places[before]).abs() / steps
    }
}

/// The channels of a window with what is known of them.
#[derive(Clone, Copy)]
struct Channels<'a> {
    values: &'a [f64],
    places: &'a [f64],
    widths: &'a [f64],
    background: Line,
}

/// Channels that are added side by side. Their number is fixed, so that results have the same bits
/// on every machine.
const LANES: usize = 8;

fn unusable() -> Failure {
    Failure::new("the spectrum has values that are not finite, or too large")
}

/// Σ w and Σ w·x.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn sums<'a>(channels: Channels<'a>) -> [f64; 2] {
    channels.added(|weight, place| [weight, weight * place])
}

/// Σ w·(x − c)², Σ w·(x − c)³ and Σ w·(x − c)⁴.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn central_sums<'a>(channels: Channels<'a>, centre: f64) -> [f64; 3] {
    channels.added(|weight, place| {
        let apart = place - centre;
        let second = weight * apart * apart;
        [second, second * apart, second * apart * apart]
    })
}

impl Channels<'_> {
    /// The sums of what there is of the weight and the place of each channel.
    #[inline(always)]
    fn added<const N: usize>(self, of: impl Fn(f64, f64) -> [f64; N]) -> [f64; N] {
        let Line { level, slope } = self.background;
        let term = |value: f64, place: f64, width: f64| {
            of((value - (level + slope * place)) * width, place)
        };
        let (values, last_values) = self.values.as_chunks::<LANES>();
        let (places, last_places) = self.places.as_chunks::<LANES>();
        let (widths, last_widths) = self.widths.as_chunks::<LANES>();
        let mut lanes = [[0.0; LANES]; N];
        for ((values, places), widths) in values.iter().zip(places).zip(widths) {
            for lane in 0..LANES {
                let terms = term(values[lane], places[lane], widths[lane]);
                for (lanes, term) in lanes.iter_mut().zip(terms) {
                    lanes[lane] += term;
                }
            }
        }
        let mut all = lanes.map(|lanes| lanes.iter().sum::<f64>());
        for ((value, place), width) in last_values.iter().zip(last_places).zip(last_widths) {
            for (sum, term) in all.iter_mut().zip(term(*value, *place, *width)) {
                *sum += term;
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spectral_axis::tests::{axis, source};
    use pixelmill_core::process::{Dimension, Parameters as _};
    use proptest::prelude::*;

    fn even(count: u32) -> Dimension {
        axis((0..count).map(|at| 100.0 + 0.25 * f64::from(at)))
    }

    fn moments(parameters: &Parameters, axis: Dimension, values: &[f64]) -> Result<Output, String> {
        let told = |failure: Failure| failure.to_string();
        let task = Moments::prepare(parameters, &source(axis)).map_err(told)?;
        let shape = [values.len()];
        Moments::map_function(&task, Spectrum::new(values, &shape), &mut ()).map_err(told)
    }

    fn over(axis: &Dimension, value: impl Fn(f64) -> f64) -> Vec<f64> {
        axis.values.iter().map(value).collect()
    }

    fn gaussian(x: f64) -> f64 {
        let apart = (x - 130.0) / 4.0;
        50.0 * (-0.5 * apart * apart).exp() / (4.0 * std::f64::consts::TAU.sqrt())
    }

    fn is_near(found: f64, expected: f64, error: f64) -> bool {
        (found - expected).abs() <= error
    }

    #[test]
    fn a_gaussian_has_its_own_moments() {
        let axis = even(256);
        let found = moments(&Parameters::default(), axis.clone(), &over(&axis, gaussian)).unwrap();
        assert!(is_near(found.area, 50.0, 1e-9), "{found:?}");
        assert!(is_near(found.centre, 130.0, 1e-9) && is_near(found.width, 4.0, 1e-9), "{found:?}");
        assert!(is_near(found.skewness, 0.0, 1e-7), "{found:?}");
        assert!(is_near(found.excess_kurtosis, 0.0, 1e-7), "{found:?}");
    }

    #[test]
    fn an_exponential_decay_is_skewed_by_two() {
        let axis = axis((0..40_000).map(|at| 7.0 + 1e-3 * (f64::from(at) + 0.5)));
        let values = over(&axis, |x| (7.0 - x).exp());
        let found = moments(&Parameters::default(), axis, &values).unwrap();
        assert!(is_near(found.area, 1.0, 1e-6) && is_near(found.centre, 8.0, 1e-6), "{found:?}");
        assert!(is_near(found.width, 1.0, 1e-6) && is_near(found.skewness, 2.0, 1e-5), "{found:?}");
        assert!(is_near(found.excess_kurtosis, 6.0, 1e-4), "{found:?}");
    }

    #[test]
    fn numbers_by_hand() {
        let three = axis([0.0, 1.0, 3.0]);
        // Widths 1, 1.5 and 2: weights 4, 3 and 2.
        let found = moments(&Parameters::default(), three.clone(), &[4.0, 2.0, 1.0]).unwrap();
        assert_eq!((found.area, found.centre), (9.0, 1.0));
        assert!(is_near(found.width, (12.0f64 / 9.0).sqrt(), 1e-15), "{found:?}");
        let binned = Dimension { binned: true, ..three.clone() };
        let found = moments(&Parameters::default(), binned, &[4.0, 2.0, 1.0]).unwrap();
        assert_eq!((found.area, found.centre), (7.0, 5.0 / 7.0));
        let given = Parameters { background: Background::Minimum, ..Parameters::default() };
        let found = moments(&given, three.clone(), &[4.0, 2.0, 1.0]).unwrap();
        assert_eq!(found.area, 4.5);
        assert!(is_near(found.centre, 1.0 / 3.0, 1e-15), "{found:?}");
        // A line from 4 to 1 is just above the value between.
        let given = Parameters { background: Background::Linear, ..Parameters::default() };
        let found = moments(&given, three, &[4.0, 6.0, 1.0]).unwrap();
        assert_eq!((found.area, found.centre, found.width), (4.5, 1.0, 0.0));
        assert!(found.skewness.is_nan() && found.excess_kurtosis.is_nan());
    }

    #[test]
    fn a_peak_on_a_slope_in_a_window_has_its_moments_above_a_line() {
        let axis = even(256);
        let values =
            over(&axis, |x| gaussian(x) + 3.0 + 0.1 * x + if x > 160.0 { 1e6 } else { 0.0 });
        let given = Parameters {
            from: Some(105.0),
            to: Some(155.0),
            background: Background::Linear,
            end_points: 8,
        };
        let found = moments(&given, axis, &values).unwrap();
        assert!(is_near(found.area, 50.0, 1e-5), "{found:?}");
        assert!(is_near(found.centre, 130.0, 1e-6) && is_near(found.width, 4.0, 1e-5), "{found:?}");
    }

    #[test]
    fn a_falling_axis_has_the_same_moments() {
        let rising = even(256);
        let falling = axis(rising.values.iter().rev());
        let skewed = |x: f64| gaussian(x) * (1.0 + (x - 130.0).max(0.0));
        let all = Parameters::default();
        let one = moments(&all, rising.clone(), &over(&rising, skewed)).unwrap();
        let other = moments(&all, falling.clone(), &over(&falling, skewed)).unwrap();
        assert!(one.skewness < -0.1, "{one:?}");
        for (one, other) in [
            (one.area, other.area),
            (one.centre, other.centre),
            (one.width, other.width),
            (one.skewness, other.skewness),
        ] {
            assert!(is_near(one / other, 1.0, 1e-12), "{one} {other}");
        }
    }

    #[test]
    fn strange_spectra_have_moments_none_or_fail() {
        let axis = even(64);
        let all = |background| Parameters { background, ..Parameters::default() };
        let of = |background, values: &[f64]| moments(&all(background), axis.clone(), values);
        let constant = of(Background::None, &[3.0; 64]).unwrap();
        assert!(is_near(constant.centre, 100.0 + 0.25 * 31.5, 1e-12), "{constant:?}");
        assert!(is_near(constant.width, 0.25 * (4095.0f64 / 12.0).sqrt(), 1e-12), "{constant:?}");
        for (background, value) in [
            (Background::None, 0.0),
            (Background::None, -3.0),
            (Background::Minimum, 3.0),
            (Background::Linear, 65535.0),
        ] {
            let none = of(background, &[value; 64]).unwrap();
            assert!(none.centre.is_nan() && none.width.is_nan(), "{none:?}");
            assert!(none.skewness.is_nan() && none.excess_kurtosis.is_nan(), "{none:?}");
        }
        // More below the background at the ends than there is above it in the middle.
        let mut bent = [1.0; 64];
        (bent[0], bent[63]) = (-20.0, -20.0);
        let found = of(Background::None, &bent).unwrap();
        assert!(found.centre.is_finite() && found.width.is_nan(), "{found:?}");
        for strange in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e308] {
            let mut values = [1.0; 64];
            (values[3], values[40]) = (strange, strange);
            for background in [Background::None, Background::Minimum, Background::Linear] {
                assert!(of(background, &values).unwrap_err().contains("not finite"), "{strange}");
            }
        }
    }

    #[test]
    fn what_has_no_moments_is_refused() {
        let loops = axis([0.0, 1.0, 2.0, 1.0, 0.0]);
        let all = Parameters::default();
        let told = moments(&all, loops, &[1.0; 5]).unwrap_err();
        assert!(told.contains("neither rises nor falls"), "{told}");
        let few = Parameters { end_points: 40, background: Background::Linear, ..all.clone() };
        assert!(moments(&few, even(64), &[1.0; 64]).unwrap_err().contains("at least 80"));
        let turned = Parameters { from: Some(2.0), to: Some(1.0), ..all };
        assert!(turned.check().unwrap_err().to_string().contains("`from` is 2"));
    }

    #[test]
    fn areas_have_units_unless_they_are_counts_of_channels() {
        for (binned, units) in [(false, "counts eV"), (true, "counts")] {
            let mut results = Results::default();
            let axis = Dimension { binned, ..even(4) };
            Moments::create_results_datasets(&Parameters::default(), &source(axis), &mut results);
            let told: Vec<_> = results.columns.iter().map(|column| column.units.as_str()).collect();
            assert_eq!(told, [units, "eV", "eV", "", ""]);
        }
    }

    proptest! {
        #[test]
        fn moments_move_and_stretch_with_the_axis(
            values in prop::collection::vec(0.0f64..100.0, 3..60),
            shift in -1e3f64..1e3,
            scale in 0.01f64..100.0,
        ) {
            prop_assume!(values.iter().sum::<f64>() > 1.0);
            let places = || (0..values.len()).map(|at| at as f64 * (1.0 + 0.01 * at as f64));
            let all = Parameters::default();
            let one = moments(&all, axis(places()), &values).unwrap();
            let other =
                moments(&all, axis(places().map(|x| x * scale + shift)), &values).unwrap();
            let extent = scale * values.len() as f64 * 2.0;
            prop_assert!(is_near(other.area / scale, one.area, 1e-9 * one.area));
            let error = 1e-9 * (extent + shift.abs());
            prop_assert!(is_near(other.centre, one.centre * scale + shift, error));
            prop_assert!(is_near(other.width, one.width * scale, error));
        }
    }
}
