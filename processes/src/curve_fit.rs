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
//! after a quarter if its widths change places, the search starts at the one nearest to 0, and of
//! the angles that the result has its is the one nearest to 0, or to the start that is given, as
//! far as bounds and what is fixed or tied allow that.
//!
//! Parameters of a formula have no units: nobody knows what it means.
//!
//! Values of a binned axis, as HyperSpy calls it, were summed over the widths of the channels: as
//! HyperSpy does it, the model is multiplied by these, its scale or, of uneven steps, the gradient
//! of the axis. Areas of peaks are then in the units of the values, and heights per unit of the
//! axis.
//!
//! With `low_loss` or `low_losses` components are convolved with a measured spectrum, as in
//! HyperSpy's models of electron energy losses (`convolution` has the formula): all but an offset
//! and a power law, whose `convolved` HyperSpy has false too, unless a component says `convolved`
//! itself. As there, the spectrum is taken as it is, so that areas are those for one count of it;
//! `low_loss_normalised` divides it by its sum. Widths of a binned axis are applied once, after it.
//! A low-loss spectrum that isn't finite, that is zero everywhere or whose sum is negative fails
//! the position, or the run if it is the one for all; single negative values are noise. Start
//! values are estimated from the spectra as they are.
//!
//! A spectrum with a value in the range that isn't finite fails, and so does one with negative
//! counts under Poisson weights. All others have a finite result: of a constant or empty spectrum
//! peaks have no area. What is saturated is fitted as it is; leave such channels out by a weight
//! of zero. The fit ends after `max_evaluations`, converged or not.

pub(crate) mod arrays;
mod components;
mod convolution;
mod description;
mod estimate;
mod fit;
mod formula;
mod model;
mod parameters;
mod separable;
mod spots;
mod turned;

use pixelmill_core::Results;
use pixelmill_core::detector::Detector;
use pixelmill_core::process::{
    self, AuxiliaryInput, ConstantInput, Dimension, Failure, Process, SourceInfo, Spectrum,
    SpectrumAxes,
};

pub use components::Kind;
pub use description::{Component, Components, Known};
pub use parameters::{Parameters, Weights};

use crate::least_squares::{self, NormalEquations};
use convolution::{Convolution, Kernel, Zero};
use estimate::{Estimator, Frame};
use model::{Extent, Model};
use separable::{Layout, Spot};
use turned::Turned;

/// The fit of one spectrum.
pub struct Output {
    /// Values of all parameters of all components, then their standard errors.
    numbers: Vec<f64>,
    chi_square: f64,
    converged: bool,
}

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
    /// The model, if it is a single spot.
    spot: Option<Spot>,
    /// Its ellipses whose angles are free.
    turned: Vec<Turned>,
    /// Square roots of given weights, or ones.
    weights: Vec<f64>,
    /// Of a binned axis the widths of the channels, which the model is multiplied by.
    widths: Option<Vec<f64>>,
    /// How components are convolved, if they are, and the spectrum that they are convolved with if
    /// it is one for all.
    convolution: Option<Convolution>,
    kernel: Option<Kernel>,
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
    /// The low-loss spectrum of the position.
    kernel: Kernel,
    convolution: convolution::Buffers,
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
        let mut task = Task::new(parameters, &axis.values.as_slice())?;
        if axis.binned {
            task = task.binned(&axis.values)?;
        }
        let channel = parameters.low_loss_zero;
        if let Some(array) = source.constants.first() {
            let zero = Zero { channel, axis: array.axis.as_ref() };
            let length = one_axis(&array.path, &array.shape)?;
            return task.convolved_with(&axis, parameters, (length, &zero), Some(array.values()?));
        }
        if let Some(input) = source.auxiliary.first() {
            let zero = Zero { channel, axis: input.axis.as_ref() };
            let length = one_axis(&input.path, &input.shape)?;
            return task.convolved_with(&axis, parameters, (length, &zero), None);
        }
        Ok(task)
    }

    fn constant_inputs(parameters: &Parameters) -> Vec<ConstantInput> {
        let input = |path: &String| ConstantInput::of::<f64>(path).with_axis();
        parameters.low_loss.iter().map(input).collect()
    }

    fn auxiliary_inputs(parameters: &Parameters) -> Vec<AuxiliaryInput> {
        let input = |path: &String| AuxiliaryInput::of::<f64>(path).with_axis();
        parameters.low_losses.iter().map(input).collect()
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
        task.take_kernel(&spectrum, &mut scratch.kernel, &mut scratch.convolution)?;
        let estimator = task.estimator();
        let density = task.density(&scratch.values, &mut scratch.densities);
        estimator.estimate(density, &mut scratch.estimate, &mut scratch.estimated);
        let mut minimum = task.search(&estimator, scratch)?;
        if task.kind == Weights::Poisson {
            minimum = task.reweight(minimum, scratch);
        }
        task.turn(&mut minimum, scratch);
        task.output(minimum, scratch)
    }

    fn model(task: &Task, spectrum: Spectrum<'_, f64>, output: &Output) -> process::Model {
        let parts = task.curves(output, &spectrum);
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
        let constants = source.constants.iter().map(|array| array.shape.iter().product::<usize>());
        let lengths = source.auxiliary.iter().map(|input| input.columns).chain(constants);
        // Columns of a component on the extended axis, and transforms.
        let extended = lengths.map(|length| 24 * (points + length)).sum::<usize>();
        (columns * points + extended) * size_of::<f64>()
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

/// The length of the only axis of more than one step.
///
/// # Errors
/// If there are several.
fn one_axis(path: &str, shape: &[usize]) -> Result<usize, Failure> {
    match shape.iter().filter(|length| **length > 1).count() {
        0 | 1 => Ok(shape.iter().product()),
        _ => Err(Failure::new(format!(
            "`{path}` has the shape {shape:?}, but a low-loss spectrum has one axis; `low_loss` \
             is one spectrum for all positions, `low_losses` has one for each"
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
mod tests;
