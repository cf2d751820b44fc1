//! A sum of components fitted to each spectrum, as HyperSpy's `multifit` does it.
//!
//! Least squares of Σ wᵢ·(yᵢ − f(xᵢ))² over the channels, f being a sum of the functions of
//! `components`, which has their formulae. Linear parameters are solved exactly at each step
//! (variable projection, `separable`), the others by Levenberg–Marquardt within bounds
//! (`least_squares`), from start values that are estimated from each spectrum by itself
//! (`estimate`): unlike HyperSpy, which starts each pixel from its neighbour, no result depends on
//! another.
//!
//! Weights: 1 without `weights`; as they are given; or, for counts, the inverse of the variance
//! that the model says, found by fitting again until it doesn't change, which is the maximum of the
//! likelihood of Poisson's distribution (iteratively reweighted least squares: Charnes, Frome & Yu
//! 1976, JASA 71, 169), without the bias that weights from the counts themselves have.
//!
//! Shapes: a row of N·S values along several axes is N spectra along the fastest, of S; each gives
//! for each component a record of its parameters, and one of their standard errors, (P, N) each, in
//! the units of the field's name, χ² and whether the fit converged. Standard errors are from the
//! covariance of all free parameters together; without weights the variance of the noise is taken
//! from χ²/(channels − free parameters), as SciPy's `curve_fit` does, with weights these are taken
//! to be the inverse variances. A fixed parameter and one at its bound have the error 0, one that
//! the spectrum doesn't determine NaN.
//!
//! Components of frames are fitted to the two fastest axes, x along the rows and y across them.
//! Angles are HyperSpy's, in radians; since an ellipse has the same shape after half a turn, and
//! after a quarter if its widths change places, the search starts at the one nearest to 0.
//!
//! Parameters of a formula have no units: nobody knows what it means.
//!
//! Values of a binned axis, as HyperSpy calls it, were summed over the widths of the channels: as
//! HyperSpy does it, the model is multiplied by these, its scale or, of uneven steps, the gradient
//! of the axis. Areas of peaks are then in the units of the values, and heights per unit of the
//! axis.
//!
//! A spectrum with a value in the range that isn't finite fails, and so does one with negative
//! counts under Poisson weights. All others have a finite result: of a constant or empty spectrum
//! peaks have no area. What is saturated is fitted as it is; leave such channels out by a weight
//! of zero. The fit ends after `max_evaluations`, converged or not.

pub(crate) mod arrays;
mod components;
mod description;
mod estimate;
mod fit;
mod formula;
mod model;
mod separable;
mod spots;

use std::borrow::Cow;

use pixelmill_core::Results;
use pixelmill_core::detector::Detector;
use pixelmill_core::process::{
    self, Dimension, Failure, Process, SourceInfo, Spectrum, SpectrumAxes,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

pub use components::Kind;
pub use description::{Component, Components, Known};

use crate::least_squares::{self, NormalEquations};
use estimate::{Estimator, Frame};
use model::{Extent, Model};
use separable::Layout;

/// What is fitted, and how.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Parameters {
    /// What the model is a sum of, as `gaussian+offset`, or a JSON list: gaussian (A, centre,
    /// sigma), lorentzian (A, centre, gamma), pseudo_voigt (A, centre, sigma, fraction),
    /// exponential (A, tau), power_law (A, r, origin), offset (offset), polynomial1 to
    /// polynomial9 (a0, a1, …; plain polynomial is of order 2), erf (A, origin, sigma),
    /// defined as in HyperSpy: A of a peak is its area. In full a component is {"type":
    /// "gaussian", "name": "K", "centre": 6.4, "sigma": {"start": 0.1, "min": 0.05, "max": 1},
    /// "A": {"fixed": 3}}, with "order" for a polynomial; a parameter that follows another one
    /// is {"tied": "K.centre", "factor": 1.1, "shift": 0}. Values are in the units of the axis
    /// and of the data. Start values that aren't given are estimated from each
    /// spectrum; unless bounds are given, widths are from 1/4 channel to 10 times the axis,
    /// centres at most the length of the axis outside of it, fractions from 0 to 1, and the
    /// origin of a power law is fixed at 0. A formula of x, the place on the axis, is a
    /// component too, as A*exp(-x/tau)+c: with + - * / ^, parentheses, exp, log (ln), log10,
    /// log2, sqrt, sin, cos, tan, asin, acos, atan, sinh, cosh, tanh, erf, erfc, abs, pi and e;
    /// every other name is a parameter. In full it is {"formula": "A*exp(-x/tau)+c", "tau":
    /// {"start": 5, "min": 0}}: nobody can estimate what it means, so parameters that it
    /// isn't linear in start at 1 unless they are told otherwise, and have no bounds. Of frames
    /// the components are gaussian2d (A, its volume, centre_x, centre_y, sigma_x, sigma_y,
    /// rotation_angle, as in HyperSpy), lorentzian2d (height, centre_x, centre_y, gamma_x,
    /// gamma_y, rotation_angle), disk (height, centre_x, centre_y, radius, edge), plane (offset,
    /// slope_x, slope_y) and offset.
    pub components: Components,
    /// What the squares of the residuals are multiplied by: 1 (none), the inverse of the variance
    /// of counts (poisson: the maximum of the likelihood, by repeated fits), or
    /// `channel_weights` (given).
    pub weights: Weights,
    /// For weights=given: a list with the weight of each channel of the spectrum, the inverse of
    /// the variance of its noise; 0 leaves it out.
    pub channel_weights: Option<Vec<f64>>,
    /// Where the fitted range of the axis begins, in the units of the axis; with the first channel
    /// if none.
    pub range_min: Option<f64>,
    /// Where the fitted range of the axis ends, in the units of the axis; with the last channel if
    /// none.
    pub range_max: Option<f64>,
    /// How many searches are made from different start values, of which the best counts: the
    /// estimated ones, and others spread over the axis, the same for each spectrum.
    #[schemars(range(min = 1, max = 1000))]
    pub starts: usize,
    /// The most evaluations of the model in one search; one that ends there hasn't converged.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_evaluations: usize,
}

impl Default for Parameters {
    fn default() -> Self {
        let default = |name: &str, kind| Component {
            kind,
            name: name.to_owned(),
            order: 0,
            formula: None,
            parameters: std::collections::BTreeMap::new(),
        };
        let components = vec![default("gaussian", Kind::Gaussian), default("offset", Kind::Offset)];
        Self {
            components: Components(components),
            weights: Weights::None,
            channel_weights: None,
            range_min: None,
            range_max: None,
            starts: 1,
            max_evaluations: 200,
        }
    }
}

impl pixelmill_core::process::Parameters for Parameters {
    fn check(&self) -> Result<(), Failure> {
        // Everything but bounds beyond the usual ones is wrong or right on any axis.
        Model::new(&self.components, Extent { least: 0.0, most: 1.0, channel: 0.1 })?;
        for component in &self.components.0 {
            let name = title(&component.name);
            if TAKEN.contains(&name.as_str()) || name.ends_with(ERRORS) {
                return Err(Failure::new(format!(
                    "a component can't be called `{}`: `{name}` is another result",
                    component.name
                )));
            }
        }
        if (self.weights == Weights::Given) != self.channel_weights.is_some() {
            return Err(Failure::new("`channel_weights` and `weights=given` belong together"));
        }
        let count = self.channel_weights.as_ref().map_or(0, Vec::len);
        if count > MOST_WEIGHTS {
            return Err(Failure::new(format!(
                "`channel_weights` has {count} weights, more than the {MOST_WEIGHTS} that can be \
                 stored with results; leave channels out by `range_min` and `range_max`"
            )));
        }
        let wrong = |weight: &&f64| **weight < 0.0;
        if let Some(weight) = self.channel_weights.iter().flatten().find(wrong) {
            return Err(Failure::new(format!(
                "a weight in `channel_weights` is negative: {weight}"
            )));
        }
        if self.is_of_frames() && (self.range_min.is_some() || self.range_max.is_some()) {
            return Err(Failure::new(
                "`range_min` and `range_max` are of spectra; leave points of frames out by \
                 `--crop` or by weights of 0",
            ));
        }
        match (self.range_min, self.range_max) {
            (Some(min), Some(max)) if min >= max => Err(Failure::new(format!(
                "`range_min` is {min}, but has to be below `range_max`, which is {max}"
            ))),
            _ => Ok(()),
        }
    }
}

/// Where the weights of the channels come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weights {
    /// All are 1.
    None,
    /// The inverse variance of counts.
    Poisson,
    /// From `channel_weights`.
    Given,
}

impl JsonSchema for Weights {
    fn schema_name() -> Cow<'static, str> {
        "Weights".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": ["none", "poisson", "given"] })
    }
}

/// The fit of one spectrum.
pub struct Output {
    /// Values of all parameters of all components, then their standard errors.
    numbers: Vec<f64>,
    chi_square: f64,
    converged: bool,
}

/// An attribute in HDF5 takes 64 KiB.
const MOST_WEIGHTS: usize = 8000;
/// What is added to a component's name for the dataset of its errors.
const ERRORS: &str = "_Standard_Errors";
/// Names of datasets that a results group has besides those of the components.
const TAKEN: [&str; 9] = [
    "Chi_Square",
    "Converged",
    "Position_Indices",
    "Position_Values",
    "Spectroscopic_Indices",
    "Spectroscopic_Values",
    "Completed_Positions",
    "Failed_Positions",
    "Failure_Messages",
];

/// The process `Curve_Fit`.
pub struct CurveFit;

/// What all spectra share.
pub struct Task {
    model: Model,
    /// Names of the components.
    names: Vec<String>,
    layout: Layout,
    extent: Extent,
    /// The channels that are fitted, and their places.
    channels: Vec<usize>,
    x: Vec<f64>,
    /// Of frames the places across their rows.
    y: Vec<f64>,
    frame: Option<Frame>,
    /// Square roots of given weights, or ones.
    weights: Vec<f64>,
    /// Of a binned axis the widths of the channels, which the model is multiplied by.
    widths: Option<Vec<f64>>,
    kind: Weights,
    /// Bounds of the free shape parameters.
    lower: Vec<f64>,
    upper: Vec<f64>,
    starts: usize,
    max_evaluations: usize,
}

/// Buffers of one worker.
#[derive(Default)]
pub struct Scratch {
    values: Vec<f64>,
    densities: Vec<f64>,
    estimate: estimate::Scratch,
    estimated: Vec<f64>,
    tried: Vec<f64>,
    shape: Vec<f64>,
    separable: separable::Buffers,
    search: least_squares::SolverState,
    equations: NormalEquations,
    variances: Vec<f64>,
    last: Vec<f64>,
}

impl Process for CurveFit {
    const NAME: &'static str = "Curve_Fit";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str =
        "a sum of peaks, steps and backgrounds fitted to each real spectrum by least squares";

    type Parameters = Parameters;
    type Input = f64;
    type Output = Output;
    type Task = Task;
    type Scratch = Scratch;

    fn prepare(parameters: &Parameters, source: &SourceInfo) -> Result<Task, Failure> {
        if parameters.is_of_frames() {
            let [y, x] = frame_axes(source)?;
            return Task::over(parameters, &y.values.as_slice(), &x.values.as_slice());
        }
        source.spectra_along_axis()?;
        let axis = source.axis(0);
        let task = Task::new(parameters, &axis.values.as_slice())?;
        if axis.binned { task.binned(&axis.values) } else { Ok(task) }
    }

    fn create_results_datasets(
        parameters: &Parameters,
        source: &SourceInfo,
        results: &mut Results<Output>,
    ) {
        let axis = source.axis(0);
        let frame = parameters.is_of_frames().then(|| frame_axes(source)).and_then(Result::ok);
        let all: usize =
            parameters.components.0.iter().map(|part| part.parameter_names().len()).sum();
        let mut first = 0;
        for component in &parameters.components.0 {
            let shown = component.shown();
            for (ending, offset) in [("", first), (ERRORS, all + first)] {
                let name = format!("{}{ending}", title(&component.name));
                let mut record = results.main(name, "Fit", "").record();
                for (number, parameter) in &shown {
                    let units = match &frame {
                        Some([y, x]) => {
                            let axes = [x.units.as_str(), y.units.as_str()];
                            component.kind.units_in_frame(parameter, &source.units, axes)
                        }
                        None => component.kind.units(parameter, &source.units, &axis),
                    };
                    let at = offset + number;
                    let field = with_units(parameter, &units);
                    record = record.field(field, move |output: &Output| output.numbers[at]);
                }
            }
            first += shown.len();
        }
        results.main("Chi_Square", "Chi square", "").scalar(|output: &Output| output.chi_square);
        results
            .main("Converged", "Converged", "")
            .scalar(|output: &Output| u8::from(output.converged));
    }

    fn map_function(
        task: &Task,
        spectrum: Spectrum<'_, f64>,
        scratch: &mut Scratch,
    ) -> Result<Output, Failure> {
        task.take_values(&spectrum, scratch)?;
        let estimator = task.estimator();
        let density = task.density(&scratch.values, &mut scratch.densities);
        estimator.estimate(density, &mut scratch.estimate, &mut scratch.estimated);
        let mut minimum = task.search(&estimator, scratch)?;
        if task.kind == Weights::Poisson {
            minimum = task.reweight(minimum, scratch);
        }
        task.output(minimum, scratch)
    }

    fn model(task: &Task, spectrum: Spectrum<'_, f64>, output: &Output) -> process::Model {
        let parts = task.curves(output, spectrum.len());
        let sum = |at: usize| parts.iter().map(|part| part[at]).sum();
        let fit: Vec<f64> = (0..spectrum.len()).map(sum).collect();
        let drawn = process::Model::new().curve("fit", fit);
        match parts.len() {
            1 => drawn,
            _ => task
                .names
                .iter()
                .zip(parts)
                .fold(drawn, |drawn, (name, part)| drawn.part(name, part)),
        }
    }

    fn spectrum_axes(parameters: &Parameters) -> SpectrumAxes {
        if parameters.is_of_frames() { SpectrumAxes::Two } else { SpectrumAxes::One }
    }

    /// A worker has columns of its own, whatever the number of positions; this is what a unit of
    /// one needs, and more than enough for others.
    fn extra_memory_per_position(parameters: &Parameters, source: &SourceInfo) -> usize {
        let all = parameters.components.0.iter().map(|part| part.parameter_names().len());
        let columns = 2 * all.sum::<usize>() + 12;
        let points =
            if parameters.is_of_frames() { source.spectral_points } else { source.axis(0).len() };
        columns * points * size_of::<f64>()
    }
}

impl Parameters {
    fn is_of_frames(&self) -> bool {
        self.components.0.iter().any(|component| component.kind.is_of_frames())
    }
}

impl Task {
    fn estimator(&self) -> Estimator<'_> {
        let frame = self.frame.as_ref();
        Estimator { model: &self.model, x: &self.x, extent: self.extent, frame }
    }
}

/// The axes y and x of a source whose spectra are frames.
///
/// # Errors
/// If they are none that can be fitted.
fn frame_axes(source: &SourceInfo) -> Result<[Dimension; 2], Failure> {
    let detector = Detector::of(source, (None, None))?;
    let long = |axis: &&Dimension| axis.len() > 1;
    let axes: Vec<&Dimension> = source.spectroscopic_dimensions.iter().filter(long).collect();
    match axes.as_slice() {
        [y, x] if !y.binned && !x.binned => Ok([(*y).clone(), (*x).clone()]),
        _ => Err(Failure::new(format!(
            "the axes of its frames of {} × {} points are binned; only those that aren't are \
             fitted",
            detector.shape.0, detector.shape.1
        ))),
    }
}

/// `pseudo_voigt_2` as names of datasets are written: `Pseudo_Voigt_2`.
fn title(name: &str) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
        first + letters.as_str()
    };
    name.split('_').map(capital).collect::<Vec<_>>().join("_")
}

fn with_units(name: &str, units: &str) -> String {
    if units.is_empty() { name.to_owned() } else { format!("{name} [{units}]") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pixelmill_core::process::Parameters as _;
    use serde_json::{Value, json};

    fn parameters(given: Value) -> Parameters {
        let mut all = serde_json::to_value(Parameters::default()).unwrap();
        all.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    /// A task over an axis from 0 to 9.9.
    fn task(given: Value) -> Result<Task, String> {
        let axis: Vec<f64> = (0..100).map(|at| f64::from(at) * 0.1).collect();
        Task::new(&parameters(given), &axis).map_err(|failure| failure.to_string())
    }

    fn fit(task: &Task, spectrum: &[f64], scratch: &mut Scratch) -> Result<Output, String> {
        let shape = [spectrum.len()];
        let spectrum = Spectrum::new(spectrum, &shape);
        CurveFit::map_function(task, spectrum, scratch).map_err(|failure| failure.to_string())
    }

    fn spectrum(value: impl Fn(f64) -> f64) -> Vec<f64> {
        (0..100).map(|at| value(f64::from(at) * 0.1)).collect()
    }

    fn peak(x: f64) -> f64 {
        (-(x - 4.0).powi(2) / 0.5).exp() * 10.0 + 2.0 + 0.1 * (37.0 * x).sin()
    }

    /// Spectra that no fit is meant for.
    fn strange() -> Vec<(&'static str, Vec<f64>)> {
        vec![
            ("empty", spectrum(|_| 0.0)),
            ("constant", spectrum(|_| 3.0)),
            ("saturated", spectrum(|x| peak(x).min(6.0))),
            ("saturated everywhere", spectrum(|_| 65535.0)),
            ("one channel", spectrum(|x| if x == 5.0 { 1e6 } else { 0.0 })),
            ("alternating", spectrum(|x| if (x * 10.0).round() % 2.0 == 0.0 { 1.0 } else { 0.0 })),
            ("steep", spectrum(|x| (x * 30.0).exp())),
            ("tiny", spectrum(|x| peak(x) * 1e-120)),
            ("huge", spectrum(|x| peak(x) * 1e120)),
            ("last channel", spectrum(|x| if x > 9.85 { 1.0 } else { 0.0 })),
        ]
    }

    const MODELS: [&str; 7] = [
        "gaussian+offset",
        "lorentzian+lorentzian+polynomial3",
        "pseudo_voigt+exponential",
        "erf+offset",
        "exponential+exponential+offset",
        "power_law+gaussian",
        "A*exp(-(x/tau)^beta)+c",
    ];

    #[test]
    fn strange_spectra_have_finite_values_or_a_reason() {
        let mut scratch = Scratch::default();
        for weights in ["none", "poisson"] {
            for model in MODELS {
                let given = json!({"components": model, "weights": weights, "starts": 3});
                let task = task(given).unwrap();
                for (name, spectrum) in strange() {
                    match fit(&task, &spectrum, &mut scratch) {
                        Ok(output) => {
                            let (values, errors) =
                                output.numbers.split_at(output.numbers.len() / 2);
                            assert!(
                                values.iter().all(|value| value.is_finite()),
                                "{model}, {name}"
                            );
                            assert!(
                                errors.iter().all(|error| error.is_nan() || *error >= 0.0),
                                "{model}, {name}"
                            );
                            assert!(output.chi_square.is_finite(), "{model}, {name}");
                        }
                        Err(reason) => assert!(!reason.is_empty(), "{model}, {name}"),
                    }
                }
            }
        }
    }

    /// The curves that are drawn over a spectrum, with their names.
    fn drawn(task: &Task, spectrum: &[f64], output: &Output) -> Vec<(String, Vec<f64>)> {
        let shape = [spectrum.len()];
        let curves =
            CurveFit::model(task, Spectrum::new(spectrum, &shape), output).curves.into_iter();
        curves
            .map(|curve| match curve.values {
                process::Values::Real(values) => (curve.name, values),
                complex => panic!("{complex:?}"),
            })
            .collect()
    }

    #[test]
    fn what_is_drawn_has_the_residuals_of_the_fit() {
        // No two components of a model can stand for each other: where they can, they may be so
        // large that their sum is rounding.
        for components in [
            "gaussian",
            "lorentzian+polynomial2",
            "pseudo_voigt+erf",
            "gaussian+exponential",
            "gaussian+power_law",
            "gaussian+offset",
            "A*exp(-x/tau)+2-x",
        ] {
            let task = task(json!({"components": components, "range_min": 0.55})).unwrap();
            let values = spectrum(peak);
            let output = fit(&task, &values, &mut Scratch::default()).unwrap();
            let curves = drawn(&task, &values, &output);
            let ((_, fit), parts) = curves.split_first().unwrap();
            assert!(fit[..6].iter().all(|value| value.is_nan()), "they aren't fitted");
            let squares: f64 = (6..100).map(|at| (fit[at] - values[at]).powi(2)).sum();
            assert!((squares / output.chi_square - 1.0).abs() < 1e-9, "{components}: {squares}");
            if parts.is_empty() {
                assert!(["gaussian", "A*exp(-x/tau)+2-x"].contains(&components));
                continue;
            }
            let names: Vec<&str> =
                parts.iter().map(|(name, _)| name.trim_end_matches('2')).collect();
            assert_eq!(names.join("+"), components.trim_end_matches('2'));
            for at in 6..100 {
                let sum: f64 = parts.iter().map(|(_, part)| part[at]).sum();
                assert!((sum - fit[at]).abs() < 1e-9, "{components}, {at}");
            }
        }
    }

    #[test]
    fn a_formula_gives_what_the_component_of_the_same_formula_gives() {
        let decay = spectrum(|x| 4.0 * (-x / 2.0).exp() + 1.0 + 0.01 * (37.0 * x).sin());
        let line = spectrum(|x| 3.0 - 0.2 * x + 0.05 * (23.0 * x).sin());
        for (components, formula, values) in [
            (json!("exponential+offset"), json!("A*exp(-x/tau)+c"), &decay),
            (json!("polynomial2"), json!("a+b*x+c*x^2"), &line),
            (
                json!([{"type": "gaussian", "centre": 3.5, "sigma": 1}, "offset"]),
                json!([{"formula": "A/(s*sqrt(2*pi))*exp(-(x-m)^2/(2*s^2))", "m": 3.5}, "offset"]),
                &spectrum(peak),
            ),
        ] {
            let fitted = |components: Value| {
                let task = task(json!({"components": components})).unwrap();
                let output = fit(&task, values, &mut Scratch::default()).unwrap();
                assert!(output.converged, "{components}");
                (output.chi_square, output.numbers)
            };
            let (expected, mut numbers) = fitted(components);
            let (found, mut own) = fitted(formula);
            assert!((found / expected - 1.0).abs() < 1e-9, "{found} {expected}");
            // Linear parameters come first in one, and in the order of components in the other.
            numbers.sort_by(f64::total_cmp);
            own.sort_by(f64::total_cmp);
            for (found, expected) in own.iter().zip(&numbers) {
                assert!((found - expected).abs() < 1e-4 * expected.abs(), "{own:?} {numbers:?}");
            }
        }
    }

    const ROWS: usize = 24;
    const COLUMNS: usize = 32;

    /// A task over frames with rows 0.5 apart and columns 0.25 apart.
    fn frame_task(given: Value) -> Result<Task, String> {
        let axis = |count: usize, step: f64| (0..count).map(|at| at as f64 * step).collect();
        let (y, x): (Vec<f64>, Vec<f64>) = (axis(ROWS, 0.5), axis(COLUMNS, 0.25));
        let parameters = parameters(given);
        parameters.check().map_err(|failure| failure.to_string())?;
        Task::over(&parameters, &y, &x).map_err(|failure| failure.to_string())
    }

    /// A frame of one component with these shape parameters, and a little noise.
    fn frame(kind: Kind, spots: &[(f64, Vec<f64>)], noise: f64) -> Vec<f64> {
        let points = ROWS * COLUMNS;
        let x: Vec<f64> = (0..points).map(|at| (at % COLUMNS) as f64 * 0.25).collect();
        let y: Vec<f64> = (0..points).map(|at| (at / COLUMNS) as f64 * 0.5).collect();
        let channels = components::Channels { x: &x, y: &y, weights: &vec![1.0; points] };
        let rough = |at: usize| noise * ((at * at * 7919 % 1009) as f64 / 504.5 - 1.0);
        let mut frame: Vec<f64> = (0..points).map(|at| 2.0 + rough(at)).collect();
        for (height, shape) in spots {
            let mut columns = vec![0.0; (1 + shape.len()) * points];
            components::fill(kind, channels, shape, &mut columns);
            frame.iter_mut().zip(&columns).for_each(|(value, f)| *value += height * f);
        }
        frame
    }

    #[test]
    fn spots_in_frames_are_where_they_were_simulated() {
        let ellipse = vec![3.9, 5.2, 0.9, 1.6, 0.5];
        for (kind, height, shape) in [
            (Kind::Gaussian2d, 90.0, ellipse.clone()),
            (Kind::Gaussian2d, -90.0, vec![2.9, 7.2, 1.2, 0.7, -0.5]),
            (Kind::Lorentzian2d, 10.0, ellipse),
            (Kind::Disk, 10.0, vec![4.1, 5.7, 2.2, 0.4]),
        ] {
            let values = frame(kind, &[(height, shape.clone())], 0.01);
            for background in ["offset", "plane"] {
                let components = format!("{}+{background}", kind.name());
                let task = frame_task(json!({"components": components})).unwrap();
                let output = fit(&task, &values, &mut Scratch::default()).unwrap();
                assert!(output.converged, "{components}");
                let expected = [&[height], shape.as_slice(), &[2.0]].concat();
                let errors = &output.numbers[output.numbers.len() / 2..];
                for (at, (found, expected)) in output.numbers.iter().zip(&expected).enumerate() {
                    let difference = (found - expected).abs();
                    let told = format!("{components}, {at}: {found} instead of {expected}");
                    assert!(
                        difference < 5.0 * errors[at] && difference < 0.05 * expected.abs(),
                        "{told}"
                    );
                }
            }
        }
    }

    #[test]
    fn several_spots_are_found_one_after_the_other() {
        let spots = [(50.0, vec![1.9, 3.2, 0.5, 0.6, 0.0]), (30.0, vec![5.9, 8.2, 0.7, 0.5, 0.3])];
        let values = frame(Kind::Gaussian2d, &spots, 0.01);
        let known = json!([
            {"type": "gaussian2d", "name": "b", "centre_x": 6, "centre_y": 8},
            {"type": "gaussian2d", "name": "a"},
            "offset",
        ]);
        for (components, order) in
            [(json!("gaussian2d+gaussian2d+offset"), [0, 6]), (known, [6, 0])]
        {
            let task = frame_task(json!({"components": components})).unwrap();
            let output = fit(&task, &values, &mut Scratch::default()).unwrap();
            assert!(output.converged);
            for (at, (_, shape)) in order.iter().zip(&spots) {
                for (found, expected) in output.numbers[at + 1..].iter().zip(&shape[..4]) {
                    assert!((found / expected - 1.0).abs() < 0.01, "{found} {expected}");
                }
            }
        }
    }

    #[test]
    fn strange_frames_have_finite_values_or_a_reason() {
        let spot = frame(Kind::Gaussian2d, &[(90.0, vec![3.9, 5.2, 0.9, 1.6, 0.5])], 0.01);
        let one =
            |at: usize| (0..ROWS * COLUMNS).map(|point| f64::from(u8::from(point == at))).collect();
        let frames: [(&str, Vec<f64>); 6] = [
            ("empty", vec![0.0; ROWS * COLUMNS]),
            ("constant", vec![7.0; ROWS * COLUMNS]),
            ("saturated", spot.iter().map(|value| value.min(6.0)).collect()),
            ("one point", one(300)),
            ("the corner", one(0)),
            ("huge", spot.iter().map(|value| value * 1e120).collect()),
        ];
        let mut scratch = Scratch::default();
        for components in
            ["gaussian2d+offset", "lorentzian2d+plane", "disk+offset", "gaussian2d+disk"]
        {
            let task = frame_task(json!({"components": components, "starts": 2})).unwrap();
            for (name, values) in &frames {
                match fit(&task, values, &mut scratch) {
                    Ok(output) => {
                        let (values, errors) = output.numbers.split_at(output.numbers.len() / 2);
                        let told = format!("{components}, {name}: {values:?}");
                        assert!(values.iter().all(|value| value.is_finite()), "{told}");
                        assert!(
                            errors.iter().all(|error| error.is_nan() || *error >= 0.0),
                            "{told}"
                        );
                    }
                    Err(reason) => assert!(!reason.is_empty(), "{components}, {name}"),
                }
            }
            let after = fit(&task, &spot, &mut scratch).unwrap();
            let fresh = fit(&task, &spot, &mut Scratch::default()).unwrap();
            let bits = |output: &Output| -> Vec<u64> {
                output.numbers.iter().map(|number| number.to_bits()).collect()
            };
            assert_eq!(bits(&after), bits(&fresh), "{components}");
            let mut broken = spot.clone();
            broken[100] = f64::NAN;
            let reason = fit(&task, &broken, &mut scratch).err().unwrap();
            assert!(reason.contains("not finite"), "{reason}");
        }
    }

    #[test]
    fn frames_and_spectra_have_components_of_their_own() {
        for (given, reason) in [
            (
                json!({"components": "gaussian2d+gaussian"}),
                "`gaussian2d` is a component of frames, and `gaussian` one",
            ),
            (
                json!({"components": "disk+offset", "range_min": 2}),
                "`range_min` and `range_max` are of spectra",
            ),
            (
                json!({"components": "plane", "weights": "given", "channel_weights": [1.0]}),
                "768 channels",
            ),
        ] {
            let message = frame_task(given).err().unwrap();
            assert!(message.contains(reason), "{message}");
        }
    }

    #[test]
    fn a_constant_spectrum_has_a_peak_without_area() {
        let task = task(json!({})).unwrap();
        for constant in [0.0, 3.0, 65535.0] {
            let output = fit(&task, &spectrum(|_| constant), &mut Scratch::default()).unwrap();
            assert!(output.numbers[0].abs() <= 1e-9 * constant, "{}", output.numbers[0]);
            assert!((output.numbers[3] - constant).abs() <= 1e-9 * constant);
            assert!(output.converged && output.chi_square < 1e-9);
        }
    }

    #[test]
    fn what_cannot_be_fitted_says_why() {
        let task = |given| task(given).unwrap();
        let mut scratch = Scratch::default();
        for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut values = spectrum(peak);
            values[70] = wrong;
            let reason = fit(&task(json!({})), &values, &mut scratch).err().unwrap();
            assert!(reason.contains("not finite"), "{reason}");
            let masked = json!({"range_max": 6.9});
            assert!(fit(&task(masked), &values, &mut scratch).is_ok(), "outside of the range");
        }
        let counts = task(json!({"weights": "poisson"}));
        let reason = fit(&counts, &spectrum(|x| peak(x) - 5.0), &mut scratch).err().unwrap();
        assert!(reason.contains("negative"), "{reason}");
        let reason = fit(&task(json!({})), &spectrum(|x| 1e200 * peak(x)), &mut scratch);
        assert!(reason.err().unwrap().contains("range of numbers"));
    }

    #[test]
    fn a_spectrum_before_changes_no_bit() {
        for model in MODELS {
            for weights in ["none", "poisson"] {
                let task =
                    task(json!({"components": model, "weights": weights, "starts": 2})).unwrap();
                let mut used = Scratch::default();
                for (_, spectrum) in strange() {
                    // A failure leaves its traces too.
                    let _ = fit(&task, &spectrum, &mut used).is_ok();
                }
                let after = fit(&task, &spectrum(peak), &mut used).unwrap();
                let fresh = fit(&task, &spectrum(peak), &mut Scratch::default()).unwrap();
                let bits = |output: &Output| -> Vec<u64> {
                    output.numbers.iter().map(|number| number.to_bits()).collect()
                };
                assert_eq!(bits(&after), bits(&fresh), "{model}, {weights}");
            }
        }
    }

    #[test]
    fn more_starts_find_what_one_misses() {
        // The start is at the smaller of two peaks, and the bounds let it go.
        let two = spectrum(|x| {
            (-(x - 2.0).powi(2) / 0.02).exp() + 5.0 * (-(x - 7.5).powi(2) / 0.02).exp()
        });
        let fitted = |starts: usize| {
            let given = json!({"starts": starts, "components": [
                {"type": "gaussian", "centre": 2, "sigma": 0.1}, "offset"]});
            fit(&task(given).unwrap(), &two, &mut Scratch::default()).unwrap()
        };
        assert!((fitted(1).numbers[1] - 2.0).abs() < 0.1);
        assert!((fitted(30).numbers[1] - 7.5).abs() < 0.1);
        // Whichever search was the last one, all numbers are those of the best.
        for starts in 1..=30 {
            let output = fitted(starts);
            let height = if output.numbers[1] < 5.0 { 1.0 } else { 5.0 };
            let area = height * 0.1 * std::f64::consts::TAU.sqrt();
            assert!(
                (output.numbers[0] / area - 1.0).abs() < 0.3,
                "{starts}: {}",
                output.numbers[0]
            );
        }
    }

    #[test]
    fn a_cap_on_evaluations_ends_the_fit_unconverged() {
        let task = task(json!({"max_evaluations": 2})).unwrap();
        let output = fit(&task, &spectrum(peak), &mut Scratch::default()).unwrap();
        assert!(!output.converged);
    }

    #[test]
    fn channels_without_weight_and_beyond_the_range_are_not_seen() {
        let weights: Vec<f64> = (0..100).map(|at| if at % 10 == 3 { 0.0 } else { 4.0 }).collect();
        let given = json!({"weights": "given", "channel_weights": weights, "range_min": 1.0, "range_max": 8.0});
        let task = task(given).unwrap();
        let mut spoiled = spectrum(peak);
        for at in (0..100).filter(|at| at % 10 == 3 || !(10..=80).contains(at)) {
            spoiled[at] = f64::NAN;
        }
        let clean = fit(&task, &spectrum(peak), &mut Scratch::default()).unwrap();
        let other = fit(&task, &spoiled, &mut Scratch::default()).unwrap();
        assert_eq!(clean.numbers, other.numbers);
        assert!((clean.numbers[1] - 4.0).abs() < 0.01);
    }

    #[test]
    fn an_axis_may_fall_or_be_uneven() {
        let falling: Vec<f64> = (0..100).map(|at| 9.9 - f64::from(at) * 0.1).collect();
        let uneven: Vec<f64> = (0..100).map(|at| 9.9 * (f64::from(at) / 99.0).powi(2)).collect();
        for model in ["gaussian+offset", "exponential+offset", "erf+offset", "power_law"] {
            let model = json!([model, {"type": "offset", "name": "zero", "offset": {"fixed": 0}}]);
            let first = model[0].as_str().unwrap().split('+').chain(["zero"]).collect::<Vec<_>>();
            let components: Vec<Value> = first
                .iter()
                .map(|name| if *name == "zero" { model[1].clone() } else { json!(name) })
                .collect();
            let given = parameters(json!({"components": components, "range_min": 0.05}));
            let shape = |x: f64| match first[0] {
                "gaussian" => peak(x),
                "exponential" => 4.0 * (-x / 2.0).exp() + 1.0 + 0.01 * (37.0 * x).sin(),
                "erf" => libm::erf((x - 5.0) / 0.8) + 0.01 * (37.0 * x).sin(),
                _ => 3.0 * (x + 0.001).powf(-1.5),
            };
            let rising: Vec<f64> = falling.iter().rev().copied().collect();
            let on = |axis: &[f64]| {
                let values: Vec<f64> = axis.iter().map(|x| shape(*x)).collect();
                let task = Task::new(&given, axis).unwrap();
                let output = fit(&task, &values, &mut Scratch::default()).unwrap();
                assert!(output.converged, "{first:?}");
                output.numbers
            };
            let expected = on(&rising);
            for (found, expected) in on(&falling).iter().zip(&expected) {
                assert!(
                    (found - expected).abs() <= 1e-4 * expected.abs(),
                    "{first:?}: {found} {expected}"
                );
            }
            let near = |found: f64, expected: f64| (found / expected - 1.0).abs() < 0.05;
            assert!(near(on(&uneven)[1], expected[1]), "{first:?}");
        }
    }

    #[test]
    fn wrong_parameters_are_named() {
        let check = |given: Value| parameters(given).check().unwrap_err().to_string();
        for (given, reason) in [
            (json!({"weights": "given"}), "`channel_weights`"),
            (json!({"channel_weights": [1.0]}), "`weights=given`"),
            (json!({"weights": "given", "channel_weights": [1.0, -2.0]}), "negative: -2"),
            (json!({"weights": "given", "channel_weights": vec![1.0; 8001]}), "8001 weights"),
            (json!({"range_min": 3, "range_max": 3}), "`range_min` is 3"),
            (json!({"components": [{"type": "gaussian", "name": "Chi_square"}]}), "Chi_Square"),
        ] {
            let message = check(given);
            assert!(message.contains(reason), "{message}");
        }
        for (given, reason) in [
            (json!({"weights": "given", "channel_weights": [1.0]}), "1 weights"),
            (json!({"range_min": 50}), "fewer than two channels"),
            (json!({"range_max": 0.35}), "4 channels are in the range, too few for 4"),
            (
                json!({"components": "A*log(x/b-1)"}),
                "`A*log(x/b-1)` has no finite value at x = 0 where the search starts, with b = 1",
            ),
        ] {
            let message = task(given).err().unwrap();
            assert!(message.contains(reason), "{message}");
        }
    }

    #[test]
    fn datasets_are_named_after_components() {
        assert_eq!(title("pseudo_voigt_2"), "Pseudo_Voigt_2");
        assert_eq!(title("K"), "K");
        assert_eq!(with_units("A", ""), "A");
        assert_eq!(with_units("centre", "eV"), "centre [eV]");
    }
}
