//! The integral of each spectrum over one or several windows of its axis, above a background that
//! is known beside them.
//!
//! `Integral` of a window with the channels 0 … n at the places xᵢ of the axis is ∫ (y − b) dx by
//! the trapezoid rule, Σ (xᵢ₊₁ − xᵢ)·(yᵢ − bᵢ + yᵢ₊₁ − bᵢ₊₁)/2, over even and uneven axes, from low
//! places to high ones also where the axis falls: as `scipy.integrate.trapezoid`, but for that.
//! (HyperSpy's `integrate1D` is by Simpson's rule.) Along an axis that comes back, as a cycle of a
//! voltage does, it is the area that the loop encloses. Values of a binned axis, as HyperSpy calls
//! it, were summed over the widths of the channels: of these it is Σ (yᵢ − bᵢ), as `integrate1D`. A
//! window has at least two channels, and ends at the first and the last that are in it.
//!
//! The background b (`background`, from the side windows `before` and `after`):
//!
//! - `constant`: the mean of all channels of the side windows, of which one is enough.
//! - `linear`: the line through the mean levels of the two, at the means of their places.
//! - `power_law`: A·x^(−r), through the areas of the first and the second half of the side window
//!   `before` (R. F. Egerton, *Electron Energy-Loss Spectroscopy in the Electron Microscope*, 3rd
//!   ed., §4.4.2), which share the channel in the middle. Egerton's r = 2 ln(I₁/I₂) / ln(x₁/x₀),
//!   which HyperSpy's `remove_background` takes, is an approximation: of a power law without noise
//!   it leaves a rest. Here r and A are those that have the two areas, found by Newton's method
//!   from there on.
//!
//! `Background`, if there is one, is its integral over the same windows. Both are in the units of
//! the values times those of the axis; of a binned axis in those of the values. Shapes: a row of
//! N·S values along several axes is N spectra along the fastest, of S; each gives a number for each
//! of the windows, on the axis `Window`, the middles of their ends.
//!
//! A spectrum with a value that isn't finite in one of the windows fails. Constant spectra less a
//! background, and empty ones, have the integral 0, within rounding; saturated ones are taken as
//! they are. Where a half of the side window has no area above 0, no power law goes through it: the
//! integral is NaN, unless all of it is 0, as of counts where there is nothing, when the background
//! is 0.

mod background;

use pixelmill_core::Results;
use pixelmill_core::process::{
    Dimension, Failure, Model, Outputs, Process, SourceInfo, Spectrum, SpectrumAxes, Unit,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

pub use background::Background;
use background::{Course, Line, Sides};

use crate::spectral_axis::{self, channels, check_range, widths};

/// Where it is integrated, and above what.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Parameters {
    /// Where the window begins and ends, in the units of the axis, as [280, 320], or several
    /// windows, as [[280, 320], [530, 570]]; all of the axis if none.
    pub windows: Option<Windows>,
    /// What is taken off the values: nothing, the mean level of the side windows, a line through
    /// the mean levels of both, or a power law through the one before.
    pub background: Background,
    /// The side window before the others, as [240, 275], in the units of the axis.
    pub before: Option<[f64; 2]>,
    /// The side window behind the others.
    pub after: Option<[f64; 2]>,
}

/// Windows of the axis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "it has to be a window as [280, 320], or several as [[280, 320], [530, 570]]"
)]
pub enum Windows {
    /// One.
    One([f64; 2]),
    /// Several.
    Several(Vec<[f64; 2]>),
}

impl JsonSchema for Windows {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Windows".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "array" })
    }
}

/// Windows at most: what is kept for each of them is as large as a spectrum.
const MOST: usize = 1000;

impl Parameters {
    /// All windows; none for all of the axis.
    fn windows(&self) -> &[[f64; 2]] {
        match &self.windows {
            None => &[],
            Some(Windows::One(window)) => std::slice::from_ref(window),
            Some(Windows::Several(windows)) => windows,
        }
    }
}

impl pixelmill_core::process::Parameters for Parameters {
    fn check(&self) -> Result<(), Failure> {
        let windows = self.windows();
        if self.windows.is_some() && !(1..=MOST).contains(&windows.len()) {
            return Err(Failure::new(format!("`windows` have to be from 1 to {MOST}")));
        }
        let sides = [(self.before, "before"), (self.after, "after")];
        let sides = sides.iter().filter_map(|(side, name)| Some((side.as_ref()?, *name)));
        for ([from, to], name) in windows.iter().map(|window| (window, "windows")).chain(sides) {
            let names = (&*format!("{name}[0]"), &*format!("{name}[1]"));
            check_range((Some(*from), Some(*to)), names)?;
        }
        self.background.check(self.before.is_some(), self.after.is_some())
    }
}

/// The integrals of one spectrum.
#[derive(Clone, Debug, Default)]
pub struct Output {
    integrals: Vec<f64>,
    backgrounds: Vec<f64>,
    course: Course,
}

/// The process `Integral`.
pub struct Integral;

/// A window of the axis.
struct Window {
    first: usize,
    /// What the value of each channel counts.
    weights: Vec<f64>,
}

/// What all spectra share.
pub struct Task {
    /// The places of all channels, as the background takes them.
    places: Vec<f64>,
    windows: Vec<Window>,
    sides: Sides,
}

impl Process for Integral {
    const NAME: &'static str = "Integral";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str =
        "the integral of each real spectrum over windows of its axis, above a background";

    type Parameters = Parameters;
    type Input = f64;
    type Output = Output;
    type Task = Task;
    type Scratch = Output;

    fn prepare(parameters: &Parameters, source: &SourceInfo) -> Result<Task, Failure> {
        source.spectra_along_axis()?;
        let axis = source.axis(0);
        let ends = ends(parameters);
        let windows = ends.into_iter().map(|(from, to)| Window::new(&axis, (from, to)));
        let windows = windows.collect::<Result<_, _>>()?;
        let sides = (parameters.before, parameters.after);
        let sides = Sides::new(parameters.background, &axis, sides)?;
        Ok(Task { places: sides.places(&axis), windows, sides })
    }

    fn create_results_datasets(
        parameters: &Parameters,
        source: &SourceInfo,
        results: &mut Results<Output>,
    ) {
        let axis = source.axis(0);
        let units = spectral_axis::units(&source.units, &axis.units, i64::from(!axis.binned));
        let middle = |(from, to): &(Option<f64>, Option<f64>)| {
            let first = axis.values.first().unwrap_or_default();
            let last = axis.values.last().unwrap_or_default();
            (from.unwrap_or(first) + to.unwrap_or(last)) / 2.0
        };
        let middles: Vec<f64> = ends(parameters).iter().map(middle).collect();
        let is_one = middles.len() == 1;
        let windows = || vec![Dimension::new("Window", &axis.units, middles.clone())];
        let integral = results.main("Integral", "Integral", &units);
        match is_one {
            true => integral.scalar(|output: &Output| output.integrals[0]),
            false => integral.spectrum(windows(), |output: &Output| &output.integrals),
        }
        if parameters.background == Background::None {
            return;
        }
        let background = results.main("Background", "Integral of the background", &units);
        match is_one {
            true => background.scalar(|output: &Output| output.backgrounds[0]),
            false => background.spectrum(windows(), |output: &Output| &output.backgrounds),
        }
    }

    fn map_function(
        task: &Task,
        spectrum: Spectrum<'_, f64>,
        output: &mut Output,
    ) -> Result<Output, Failure> {
        task.integrate(&spectrum, output)?;
        Ok(std::mem::take(output))
    }

    fn model(task: &Task, spectrum: Spectrum<'_, f64>, output: &Output) -> Model {
        let within = |at: usize| task.windows.iter().any(|window| window.has(at));
        let integrated = |at: usize| if within(at) { spectrum[at] } else { f64::NAN };
        let model = Model::new();
        let model =
            model.curve("integrated", (0..spectrum.len()).map(integrated).collect::<Vec<_>>());
        if !output.course.is_any() {
            return model;
        }
        let drawn = |at: usize| {
            let is_there = within(at) || task.sides.has(at);
            if is_there { output.course.at(task.places[at]) } else { f64::NAN }
        };
        model.part("background", (0..spectrum.len()).map(drawn).collect::<Vec<_>>())
    }

    fn spectrum_axes(_parameters: &Parameters) -> SpectrumAxes {
        SpectrumAxes::One
    }

    /// Not spectrum by spectrum through `map_function`, so that nothing is allocated for each.
    fn unit_computation(
        task: &Task,
        unit: &mut Unit<'_, f64>,
        output: &mut Output,
        outputs: &mut Outputs<'_, Output>,
    ) -> Result<(), Failure> {
        for index in 0..unit.len() {
            let integrated = task.integrate(&unit.spectrum(index), output);
            outputs.set_from(index, integrated.map(|()| &*output));
        }
        Ok(())
    }
}

/// Where each of the windows begins and ends; none for the ends of the axis.
fn ends(parameters: &Parameters) -> Vec<(Option<f64>, Option<f64>)> {
    if parameters.windows.is_none() {
        return vec![(None, None)];
    }
    parameters.windows().iter().map(|[from, to]| (Some(*from), Some(*to))).collect()
}

impl Window {
    fn new(axis: &Dimension, ends: (Option<f64>, Option<f64>)) -> Result<Self, Failure> {
        let range = channels(axis, ends, 2)?;
        let places = &axis.values.as_slice()[range.clone()];
        let weights = match axis.binned {
            true => vec![1.0; places.len()],
            false => trapezoids(places),
        };
        Ok(Self { first: range.start, weights })
    }

    fn has(&self, at: usize) -> bool {
        (self.first..self.first + self.weights.len()).contains(&at)
    }

    fn of<'a>(&self, values: &'a [f64]) -> &'a [f64] {
        &values[self.first..self.first + self.weights.len()]
    }
}

/// What each value counts in an integral over these places, from low to high ones.
fn trapezoids(places: &[f64]) -> Vec<f64> {
    let last = places.len() - 1;
    let sign = if places[last] < places[0] { -0.5 } else { 0.5 };
    let around = |at: usize| places[(at + 1).min(last)] - places[at.saturating_sub(1)];
    (0..places.len()).map(|at| sign * around(at)).collect()
}

impl Task {
    fn integrate(&self, spectrum: &[f64], output: &mut Output) -> Result<(), Failure> {
        let Output { integrals, backgrounds, course } = output;
        integrals.clear();
        backgrounds.clear();
        *course = self.sides.course(spectrum);
        let unusable = || Failure::new("the spectrum has values that are not finite, or too large");
        if course.is_unusable() {
            return Err(unusable());
        }
        for window in &self.windows {
            let (values, places) = (window.of(spectrum), window.of(&self.places));
            let (above, below) = match course {
                Course::None => above_line(values, &window.weights, places, Line::default()),
                Course::Line(line) => above_line(values, &window.weights, places, *line),
                _ => above_course(values, &window.weights, places, course),
            };
            let is_there = course.is_known() && above.is_finite();
            let is_none =
                *course == Course::Unknown && values.iter().all(|value| value.is_finite());
            if !(is_there || is_none) {
                return Err(unusable());
            }
            integrals.push(above);
            backgrounds.push(below);
        }
        Ok(())
    }
}

/// Σ w·(y − b) and Σ w·b with the background b.
fn above_course(values: &[f64], weights: &[f64], places: &[f64], course: &Course) -> (f64, f64) {
    let (mut above, mut below) = (0.0, 0.0);
    for ((value, weight), place) in values.iter().zip(weights).zip(places) {
        let background = course.at(*place);
        above += weight * (value - background);
        below += weight * background;
    }
    (above, below)
}

/// The same of a line.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn above_line(values: &[f64], weights: &[f64], places: &[f64], line: Line) -> (f64, f64) {
    // Their number is fixed, so that sums have the same bits on every machine.
    let (mut above, mut below) = ([0.0; 8], [0.0; 8]);
    let mut add = |values: &[f64], weights: &[f64], places: &[f64]| {
        let each = values.iter().zip(weights).zip(places).zip(above.iter_mut().zip(&mut below));
        for (((value, weight), place), (above, below)) in each {
            let background = line.at(*place);
            *above += weight * (value - background);
            *below += weight * background;
        }
    };
    let (values, last_values) = values.as_chunks::<8>();
    let (weights, last_weights) = weights.as_chunks::<8>();
    let (places, last_places) = places.as_chunks::<8>();
    for ((values, weights), places) in values.iter().zip(weights).zip(places) {
        add(values, weights, places);
    }
    add(last_values, last_weights, last_places);
    (above.iter().sum(), below.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spectral_axis::tests::{axis, source};
    use pixelmill_core::process::Parameters as _;
    use proptest::prelude::*;

    fn given(text: &str) -> Parameters {
        serde_json::from_str::<serde_json::Map<_, _>>(text)
            .and_then(|given| {
                let mut all = serde_json::to_value(Parameters::default())?;
                all.as_object_mut().unwrap().extend(given);
                serde_json::from_value(all)
            })
            .unwrap()
    }

    fn of(parameters: &str, axis: Dimension, values: &[f64]) -> Result<Output, String> {
        let told = |failure: Failure| failure.to_string();
        let parameters = given(parameters);
        parameters.check().map_err(told)?;
        let task = Integral::prepare(&parameters, &source(axis)).map_err(told)?;
        let shape = [values.len()];
        let spectrum = Spectrum::new(values, &shape);
        Integral::map_function(&task, spectrum, &mut Output::default()).map_err(told)
    }

    fn energies() -> Dimension {
        axis((0..500).map(|at| 250.0 + 0.5 * f64::from(at)))
    }

    fn over(axis: &Dimension, value: impl Fn(f64) -> f64) -> Vec<f64> {
        axis.values.iter().map(value).collect()
    }

    const EDGE: &str =
        r#"{"windows": [[290, 340], [400, 450]], "background": "power_law", "before": [255, 285]}"#;

    #[test]
    fn numbers_by_hand() {
        let places = axis([0.0, 1.0, 3.0, 4.0]);
        let values = [2.0, 4.0, 1.0, 7.0];
        let one = |parameters| of(parameters, places.clone(), &values).unwrap().integrals;
        assert_eq!(one("{}"), [3.0 + 5.0 + 4.0]);
        assert_eq!(one(r#"{"windows": [0.5, 3.0]}"#), [5.0]);
        assert_eq!(one(r#"{"windows": [[0, 1], [1, 4]]}"#), [3.0, 9.0]);
        let constant = of(
            r#"{"windows": [1, 3], "background": "constant", "before": [-1, 0], "after": [4, 5]}"#,
            places.clone(),
            &values,
        );
        let constant = constant.unwrap();
        assert_eq!((&*constant.integrals, &*constant.backgrounds), (&[-4.0][..], &[9.0][..]));
        // From 2 at 0 to 7 at 4.
        let linear = of(
            r#"{"windows": [1, 3], "background": "linear", "before": [-1, 0], "after": [4, 5]}"#,
            places.clone(),
            &values,
        );
        let linear = linear.unwrap();
        assert_eq!((&*linear.integrals, &*linear.backgrounds), (&[-4.0][..], &[9.0][..]));
        let binned = Dimension { binned: true, ..places };
        assert_eq!(of(r#"{"windows": [1, 3]}"#, binned, &values).unwrap().integrals, [5.0]);
    }

    #[test]
    fn an_axis_that_falls_is_integrated_from_low_to_high_and_one_that_comes_back_encloses_an_area()
    {
        let falling = axis([4.0, 3.0, 1.0, 0.0]);
        let found = of("{}", falling, &[7.0, 1.0, 4.0, 2.0]).unwrap();
        assert_eq!(found.integrals, [12.0]);
        let square = of("{}", axis([0.0, 2.0, 2.0, 0.0, 0.0]), &[0.0, 0.0, 3.0, 3.0, 0.0]);
        assert_eq!(square.unwrap().integrals, [-6.0]);
    }

    #[test]
    fn a_power_law_leaves_nothing_and_an_edge_on_it_its_area() {
        for exponent in [0.0, 1.0, 2.7, 5.0, -2.0] {
            let law = |x: f64| 1e9 * (x / 250.0).powf(-exponent);
            let found = of(EDGE, energies(), &over(&energies(), law)).unwrap();
            for (integral, background) in found.integrals.iter().zip(&found.backgrounds) {
                assert!((integral / background).abs() < 1e-12, "{exponent}: {found:?}");
            }
            let edge = |x: f64| law(x) + if (290.0..=340.0).contains(&x) { 3e6 } else { 0.0 };
            let found = of(EDGE, energies(), &over(&energies(), edge)).unwrap();
            assert!((found.integrals[0] / 1.5e8 - 1.0).abs() < 1e-4, "{exponent}: {found:?}");
            assert!((found.integrals[1] / found.backgrounds[1]).abs() < 1e-12, "{found:?}");
        }
    }

    #[test]
    fn the_axis_may_fall_under_a_power_law() {
        let falling = axis(energies().values.iter().rev());
        let found = of(EDGE, falling.clone(), &over(&falling, |x| 1e9 * x.powf(-3.0))).unwrap();
        assert!(found.integrals.iter().zip(&found.backgrounds).all(|(i, b)| (i / b).abs() < 1e-12));
        assert!(found.backgrounds[0] > 0.0);
    }

    #[test]
    fn strange_spectra_have_an_integral_none_or_fail() {
        let nothing = of(EDGE, energies(), &[0.0; 500]).unwrap();
        assert_eq!((&*nothing.integrals, &*nothing.backgrounds), (&[0.0; 2][..], &[0.0; 2][..]));
        let constant = of(EDGE, energies(), &[65535.0; 500]).unwrap();
        assert!(constant.integrals.iter().all(|integral| integral.abs() < 1e-5), "{constant:?}");
        let negative = of(EDGE, energies(), &[-1.0; 500]).unwrap();
        assert!(negative.integrals.iter().chain(&negative.backgrounds).all(|x| x.is_nan()));
        let half = over(&energies(), |x| if x <= 270.0 { 0.0 } else { 1.0 });
        assert!(of(EDGE, energies(), &half).unwrap().integrals[0].is_nan());
        let linear = r#"{"windows": [290, 340], "background": "linear", "before": [255, 285], "after": [350, 360]}"#;
        for parameters in ["{}", EDGE, linear] {
            for strange in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.7e308] {
                for place in [40, 130] {
                    let mut values = [1.0; 500];
                    values[place..place + 3].fill(strange);
                    let failed = of(parameters, energies(), &values).unwrap_err();
                    assert!(failed.contains("not finite"), "{parameters} {strange}: {failed}");
                }
            }
            let mut values = over(&energies(), |x| 1e6 / x);
            values[490] = f64::NAN;
            assert_eq!(of(parameters, energies(), &values).is_err(), parameters == "{}");
        }
    }

    #[test]
    fn what_has_no_integral_is_refused() {
        let refused = |parameters: &str| of(parameters, energies(), &[1.0; 500]).unwrap_err();
        for (parameters, told) in [
            (r#"{"windows": []}"#, "from 1 to 1000"),
            (r#"{"windows": [3, 2]}"#, "`windows[0]` is 3"),
            (r#"{"windows": [300, 300.2]}"#, "1 channels are in the range from 300 to 300.2"),
            (r#"{"before": [1, 2]}"#, "need a `background`"),
            (r#"{"background": "constant"}"#, "takes `before`, `after`, or both"),
            (r#"{"background": "linear", "before": [255, 260]}"#, "both `before` and `after`"),
            (
                r#"{"background": "linear", "before": [300, 310], "after": [255, 260]}"#,
                "has to lie before",
            ),
            (
                r#"{"background": "power_law", "after": [300, 310]}"#,
                "takes `before`, and no `after`",
            ),
            (r#"{"background": "power_law", "before": [255, 255.6]}"#, "at least 3"),
        ] {
            let failed = refused(parameters);
            assert!(failed.contains(told), "{parameters}: {failed}");
        }
        let from_0 = axis((0..500).map(f64::from));
        assert!(of(EDGE, from_0, &[1.0; 500]).unwrap_err().contains("above 0"));
        let uneven =
            axis((0..500).map(|at| 250.0 + 0.3 * f64::from(at) + 0.01 * f64::from(at * at)));
        let binned = Dimension { binned: true, ..uneven };
        assert!(of(EDGE, binned, &[1.0; 500]).unwrap_err().contains("steps are uneven"));
    }

    proptest! {
        #[test]
        fn lines_leave_nothing_above_a_line(
            level in -1e3f64..1e3,
            slope in -10.0f64..10.0,
            steps in prop::collection::vec(0.1f64..3.0, 30..60),
        ) {
            let places: Vec<f64> = steps.iter().scan(0.0, |x, step| { *x += step; Some(*x) }).collect();
            let (count, at) = (places.len(), |at: usize| places[at]);
            let parameters = format!(
                r#"{{"windows": [{}, {}], "background": "linear", "before": [{}, {}], "after": [{}, {}]}}"#,
                at(8), at(18), at(1), at(4), at(count - 6), at(count - 2),
            );
            let values: Vec<f64> = places.iter().map(|x| level + slope * x).collect();
            let found = of(&parameters, axis(places.clone()), &values).unwrap();
            prop_assert!(found.integrals[0].abs() < 1e-9, "{:?}", found);
        }
    }
}
