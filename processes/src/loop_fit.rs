//! Piezoresponse hysteresis loops: the nine parameters of Jesse, Lee & Kalinin (2006, Rev. Sci.
//! Instrum. 77, 073702), in the form and with the names of BGlib (`loop_fit_function` of
//! `be_loop.py`).
//!
//! A loop is f(V) = a₀ + a₁·y(V) + a₄·V, and y goes from 0 to 1 with the width b₀ below and b₁
//! above the coercive voltage a₂ while the voltage falls, b₂ below and b₃ above a₃ while it rises;
//! `branch` has its formula. a₀ and a₁ are in the units of the data, a₄ in these per volt, all
//! others in volts. `start` finds where to begin, `search` the least squares within bounds.
//!
//! Shapes: a row of N·S values is N loops along the fastest axis, the voltage in the order in which
//! it was set, of S values; each gives a record in `Guess`, `Fit`, `Standard_Errors` and
//! `Fit_Loop_Parameters`, (P, N) each. R² is 1 − Σ(y − f)²/Σ(y − ȳ)². Standard errors are those of
//! noise that is equal and independent at all voltages, estimated from the residuals with 9 fewer
//! degrees of freedom than values, from the covariance of all parameters together: 0 for one that a
//! bound holds, NaN for one that the loop doesn't determine, as the widths of a loop that switches
//! between two voltages. Loop parameters are BGlib's (`calc_switching_coef_vec`), voltages in
//! volts.
//!
//! Against BGlib 0.0.6: its class `BELoopFitter` doesn't fit. It takes the derivatives of 1 − R² by
//! complex steps through an absolute value, so all are 0, and its `Fit` is its `Guess`, with 1 − R²
//! under the name of R². Its function `fit_loop` does fit, and ends where `loop-fit` does or above
//! it. Its bounds of ±1000 for a₀ and a₁ and ±0.1 for a₄ hold in whatever units the data are; here
//! these have none. It takes the loop to begin at 0 V upwards, and calls branches of a loop that
//! doesn't by each other's names; here branches are told apart by where the voltage goes.
//!
//! A loop with a value that isn't finite fails, and so does one with the same value throughout.
//! What is saturated is fitted as it is. A straight line has the height 0, and errors that are NaN.

mod axis;
mod branch;
mod search;
mod start;
mod switching;

use pixelmill_core::Results;
use pixelmill_core::process::{
    Failure, Model, Process, Record, SourceInfo, Spectrum, SpectrumAxes,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::least_squares::{
    Bounds, Limits, Minimum, NormalEquations, Problem as _, SolverState, minimise,
};
use axis::Axis;
use search::{Found, LoopResiduals, SHAPES, Shapes};
use start::Table;
use switching::Switching;

/// Names of the parameters in records.
const FIELDS: [&str; 9] = ["a_0", "a_1", "a_2", "a_3", "a_4", "b_0", "b_1", "b_2", "b_3"];
const R2: &str = "R2 Criterion";

/// A residual of this share of the values is rounding.
const ROUNDING: f64 = 1e-13;
const TOLERANCE: f64 = 1e-11;

/// How loops are fitted.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Parameters {
    /// Least width of a branch that is fitted.
    #[schemars(range(min = 1e-6, max = 1e6), extend("unit" = "V"))]
    pub width_min: f64,
    /// Greatest width of a branch that is fitted.
    #[schemars(range(min = 1e-6, max = 1e6), extend("unit" = "V"))]
    pub width_max: f64,
    /// How far outside the range of the voltage a coercive voltage may be, in ranges.
    #[schemars(range(min = 0.0, max = 1000.0), extend("unit" = "ranges"))]
    pub margin: f64,
    /// How many searches are made, of which the best counts: from the geometry of the loop, and
    /// from the best places of a table, the same for each loop.
    #[schemars(range(min = 1, max = 1000))]
    pub starts: usize,
    /// The most evaluations of the loop in one search; one that ends there hasn't converged.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_evaluations: usize,
    /// Which share of the polarisation has switched at a nucleation bias.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub nucleation_threshold: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            width_min: 1e-3,
            width_max: 100.0,
            margin: 1.0,
            starts: 8,
            max_evaluations: 200,
            nucleation_threshold: 0.03,
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

/// What is found of one loop.
pub struct Output {
    guess: [f64; 9],
    guess_r2: f64,
    fit: [f64; 9],
    fit_r2: f64,
    errors: [f64; 9],
    switching: Switching,
    converged: bool,
}

/// The process `Loop_Fit`.
pub struct LoopFit;

/// What all loops share.
pub struct Task {
    axis: Axis,
    lower: Shapes,
    upper: Shapes,
    table: Table,
    starts: usize,
    max_evaluations: usize,
    nucleation_threshold: f64,
}

/// Buffers of one worker.
#[derive(Default)]
pub struct Scratch {
    values: Vec<f64>,
    ordered: Vec<f64>,
    starts: Vec<Shapes>,
    start: start::Buffers,
    search: search::Buffers,
    solver: SolverState,
    equations: NormalEquations,
}

impl Process for LoopFit {
    const NAME: &'static str = "Loop_Fit";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str =
        "the nine parameters of a hysteresis loop fitted to each real loop of piezoresponse";

    type Parameters = Parameters;
    type Input = f64;
    type Output = Output;
    type Task = Task;
    type Scratch = Scratch;

    fn prepare(parameters: &Parameters, source: &SourceInfo) -> Result<Task, Failure> {
        source.spectra_along_axis()?;
        let along = source.axis(0);
        if along.units.trim() != "V" {
            return Err(Failure::new(format!(
                "its spectra run along `{}` in `{}`, which has to be a voltage in V",
                along.name, along.units
            )));
        }
        Task::new(parameters, &along.values.as_slice())
    }

    fn create_results_datasets(
        _parameters: &Parameters,
        _source: &SourceInfo,
        results: &mut Results<Output>,
    ) {
        parameters_of_loops(results, "Guess", |output| &output.guess)
            .field(R2, |output| output.guess_r2);
        parameters_of_loops(results, "Fit", |output| &output.fit).field(R2, |output| output.fit_r2);
        parameters_of_loops(results, "Standard_Errors", |output| &output.errors);
        let mut record = results.main("Fit_Loop_Parameters", "Metrics", "compound").record();
        for (at, name) in switching::NAMES.iter().enumerate() {
            record = record.field(*name, move |output: &Output| output.switching[at]);
        }
        results
            .main("Converged", "Converged", "")
            .scalar(|output: &Output| u8::from(output.converged));
    }

    fn map_function(
        task: &Task,
        spectrum: Spectrum<'_, f64>,
        scratch: &mut Scratch,
    ) -> Result<Output, Failure> {
        let scale = task.take(&spectrum, scratch)?;
        let guess = start::from_geometry(&task.axis, &scratch.values, &mut scratch.start);
        let (found, minimum) = task.search(guess.shapes, scratch);
        let held = task.held(&found.shapes, scratch);
        let Scratch { ordered, search, .. } = scratch;
        let mut problem = LoopResiduals { axis: &task.axis, work: search };
        let variances = problem.variances(&found, held);
        let noise = minimum.sum / (ordered.len() - FIELDS.len()) as f64;
        let mean = ordered.iter().sum::<f64>() / ordered.len() as f64;
        let spread: f64 = ordered.iter().map(|value| (value - mean).powi(2)).sum();
        let r2 = |sum: f64| 1.0 - sum / spread;
        let fit = scaled(&found, scale);
        let output = Output {
            guess: scaled(&guess, scale),
            guess_r2: r2(guess.residual(&task.axis, ordered, search)),
            fit,
            fit_r2: r2(found.residual(&task.axis, ordered, search)),
            errors: errors(variances.map(|variance| (noise * variance).sqrt()), scale),
            switching: switching::of(&fit, task.nucleation_threshold),
            converged: minimum.converged,
        };
        if output.fit.iter().chain(&output.guess).all(|value| value.is_finite()) {
            Ok(output)
        } else {
            Err(Failure::new("the loop leaves the fit open"))
        }
    }

    fn model(task: &Task, _spectrum: Spectrum<'_, f64>, output: &Output) -> Model {
        let curve = |parameters: &[f64; 9]| {
            let [base, height, falling, rising, slope, b0, b1, b2, b3] = *parameters;
            let shapes = [falling, b0, b1, rising, b2, b3];
            let found = Found { base, height, slope, shapes };
            task.axis.reorder(&found.values(&task.axis))
        };
        Model::new().curve("fit", curve(&output.fit)).part("guess", curve(&output.guess))
    }

    fn spectrum_axes(_parameters: &Parameters) -> SpectrumAxes {
        SpectrumAxes::One
    }

    fn extra_memory_per_position(_parameters: &Parameters, source: &SourceInfo) -> usize {
        start::MEMORY + 24 * source.axis(0).len() * size_of::<f64>()
    }
}

impl Task {
    fn new(parameters: &Parameters, voltages: &[f64]) -> Result<Self, Failure> {
        let axis = Axis::new(voltages)?;
        let outside = parameters.margin * (axis.extent.1 - axis.extent.0);
        let both = |coercive: f64, width: f64| [coercive, width, width, coercive, width, width];
        let lower = both(axis.extent.0 - outside, parameters.width_min);
        let upper = both(axis.extent.1 + outside, parameters.width_max);
        Ok(Self {
            table: Table::new(&axis, Bounds { lower: &lower, upper: &upper }),
            axis,
            lower,
            upper,
            starts: parameters.starts,
            max_evaluations: parameters.max_evaluations,
            nucleation_threshold: parameters.nucleation_threshold,
        })
    }

    /// Takes over a loop, divided by its largest value, so that no square over- or underflows;
    /// tells what it was divided by.
    fn take(&self, spectrum: &[f64], scratch: &mut Scratch) -> Result<f64, Failure> {
        let Scratch { values, ordered, .. } = scratch;
        // The greatest of a number and NaN is the number.
        if !spectrum.iter().all(|value| value.is_finite()) {
            return Err(Failure::new("the loop has values that are not finite"));
        }
        let (least, most) =
            spectrum.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, m), value| {
                (l.min(*value), m.max(*value))
            });
        let scale = most.max(-least);
        if most - least <= 1e-14 * scale {
            return Err(Failure::new("all values of the loop are the same"));
        }
        values.clear();
        values.extend(spectrum.iter().map(|value| value / scale));
        self.axis.order(values, ordered);
        Ok(scale)
    }

    /// The best of the searches, and its loop.
    fn search(&self, guess: Shapes, scratch: &mut Scratch) -> (Found, Minimum) {
        let Scratch { ordered, starts, start, search, solver, .. } = scratch;
        let mut problem = LoopResiduals { axis: &self.axis, work: search };
        problem.begin(ordered);
        let size: f64 = ordered.iter().map(|value| value * value).sum();
        let limits = Limits {
            evaluations: self.max_evaluations,
            tolerance: TOLERANCE,
            floor: ROUNDING * ROUNDING * size,
        };
        starts.clear();
        starts.push(guess);
        self.table.best(&self.axis, &problem.work.target, self.starts - 1, start, starts);
        let mut best: Option<(Shapes, Minimum)> = None;
        for from in starts {
            let mut shapes = *from;
            let found = minimise(&mut problem, &mut shapes, self.bounds(), limits, solver);
            if best.is_none_or(|(_, minimum)| found.sum < minimum.sum) {
                best = Some((shapes, found));
            }
        }
        let (shapes, minimum) = best.expect("there is a start");
        (problem.found(ordered, shapes), minimum)
    }

    /// Which shapes a bound holds.
    fn held(&self, shapes: &Shapes, scratch: &mut Scratch) -> [bool; SHAPES] {
        let Scratch { search, equations, .. } = scratch;
        let mut problem = LoopResiduals { axis: &self.axis, work: search };
        problem.linearise(shapes, equations);
        let bounds = self.bounds();
        std::array::from_fn(|at| bounds.holds(at, shapes[at], equations.descent[at]))
    }

    fn bounds(&self) -> Bounds<'_> {
        Bounds { lower: &self.lower, upper: &self.upper }
    }
}

/// The parameters of a loop in the order of records, in the units of the data.
fn scaled(found: &Found, scale: f64) -> [f64; 9] {
    let [falling, b0, b1, rising, b2, b3] = found.shapes;
    let [base, height, slope] = [found.base, found.height, found.slope].map(|part| part * scale);
    [base, height, falling, rising, slope, b0, b1, b2, b3]
}

/// Standard errors in the order of records, in the units of the data.
fn errors(
    [base, height, slope, falling, b0, b1, rising, b2, b3]: [f64; 9],
    scale: f64,
) -> [f64; 9] {
    let [base, height, slope] = [base, height, slope].map(|part| part * scale);
    [base, height, falling, rising, slope, b0, b1, b2, b3]
}

/// A results dataset of the parameters of loops.
fn parameters_of_loops<'r>(
    results: &'r mut Results<Output>,
    name: &str,
    of: fn(&Output) -> &[f64; 9],
) -> Record<'r, Output> {
    let mut record = results.main(name, "Metrics", "compound").record();
    for (at, field) in FIELDS.iter().enumerate() {
        record = record.field(*field, move |output| of(output)[at]);
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From 0 V up to 8, down to −8, and back.
    fn voltages() -> Vec<f64> {
        let place = |at: i32| f64::from((at + 16) % 64);
        (0..64)
            .map(place)
            .map(|at| if at < 32.0 { at / 2.0 - 8.0 } else { 24.0 - at / 2.0 })
            .collect()
    }

    fn values(parameters: &[f64; 9], noise: impl Fn(f64) -> f64) -> Vec<f64> {
        let axis = Axis::new(&voltages()).unwrap();
        let [base, height, falling, rising, slope, b0, b1, b2, b3] = *parameters;
        let found = Found { base, height, slope, shapes: [falling, b0, b1, rising, b2, b3] };
        let values = axis.reorder(&found.values(&axis)).into_iter().enumerate();
        values.map(|(at, value)| value + noise(at as f64)).collect()
    }

    fn fit(values: &[f64], scratch: &mut Scratch) -> Result<Output, String> {
        let task = Task::new(&Parameters::default(), &voltages()).unwrap();
        let shape = [values.len()];
        let spectrum = Spectrum::new(values, &shape);
        LoopFit::map_function(&task, spectrum, scratch).map_err(|failure| failure.to_string())
    }

    const TRUE: [f64; 9] = [-1.1, 2.1, -2.2, 1.7, 0.02, 0.8, 1.6, 2.1, 0.6];

    #[test]
    fn a_loop_without_noise_is_found_exactly() {
        let mut scratch = Scratch::default();
        for size in [1.0, 1e-140, 1e140, -3.0] {
            let loops = values(&TRUE, |_| 0.0).into_iter().map(|value| value * size);
            let output = fit(&loops.collect::<Vec<_>>(), &mut scratch).unwrap();
            assert!(output.converged && output.fit_r2 > 1.0 - 1e-14);
            for (at, (found, expected)) in output.fit.iter().zip(TRUE).enumerate() {
                let expected = if [0, 1, 4].contains(&at) { expected * size } else { expected };
                assert!(
                    (found - expected).abs() <= 1e-6 * expected.abs(),
                    "{at} {found} {expected}"
                );
            }
        }
    }

    #[test]
    fn standard_errors_are_those_of_the_covariance_of_all_parameters() {
        let noise = |at: f64| 0.03 * (7.0 * at * at).sin();
        let output = fit(&values(&TRUE, noise), &mut Scratch::default()).unwrap();
        let mut jacobian = nalgebra::DMatrix::zeros(64, 9);
        for parameter in 0..9 {
            let beside = |step: f64| {
                let mut parameters = output.fit;
                parameters[parameter] += step;
                nalgebra::DVector::from_vec(values(&parameters, |_| 0.0))
            };
            jacobian.set_column(parameter, &((beside(1e-6) - beside(-1e-6)) / 2e-6));
        }
        let data = values(&TRUE, noise);
        let fitted = values(&output.fit, |_| 0.0);
        let sum: f64 = data.iter().zip(&fitted).map(|(y, f)| (y - f).powi(2)).sum();
        let covariance = (jacobian.transpose() * jacobian).try_inverse().unwrap() * (sum / 55.0);
        for (at, error) in output.errors.iter().enumerate() {
            let expected = covariance[(at, at)].sqrt();
            assert!((error - expected).abs() < 1e-4 * expected, "{at}: {error} {expected}");
        }
    }

    #[test]
    fn loops_turn_either_way_round_and_upside_down() {
        let mut scratch = Scratch::default();
        for (height, falling, rising) in [(2.0, 2.5, -1.0), (-2.0, -1.0, 2.5), (-2.0, 2.5, -1.0)] {
            let mut parameters = TRUE;
            (parameters[1], parameters[2], parameters[3]) = (height, falling, rising);
            let output = fit(&values(&parameters, |_| 0.0), &mut scratch).unwrap();
            for (found, expected) in output.fit.iter().zip(parameters) {
                assert!((found - expected).abs() <= 1e-5 * expected.abs(), "{found} {expected}");
            }
        }
    }

    #[test]
    fn what_is_no_loop_has_a_reason_or_finite_parameters() {
        let mut scratch = Scratch::default();
        let usual = values(&TRUE, |at| 0.1 * (at * at).cos());
        let with = |value: f64| {
            let mut values = usual.clone();
            values[9] = value;
            values
        };
        for (values, reason) in [
            (with(f64::NAN), "not finite"),
            (with(f64::INFINITY), "not finite"),
            (vec![0.0; 64], "the same"),
            (vec![7.3; 64], "the same"),
        ] {
            assert!(fit(&values, &mut scratch).err().unwrap().contains(reason), "{reason}");
        }
        let line: Vec<f64> = voltages().iter().map(|voltage| 3.0 - 0.2 * voltage).collect();
        let output = fit(&line, &mut scratch).unwrap();
        assert!((output.fit[4] + 0.2).abs() < 1e-9 && output.fit_r2 > 1.0 - 1e-12);
        let saturated: Vec<f64> = usual.iter().map(|value| value.clamp(-0.5, 0.5)).collect();
        let alternating = (0..64).map(|at| f64::from(at % 2)).collect();
        let spike = (0..64).map(|at| f64::from(u8::from(at == 20))).collect();
        for values in [saturated, alternating, spike, with(1e9)] {
            let output = fit(&values, &mut scratch).unwrap();
            assert!(output.fit.iter().all(|value| value.is_finite()));
            assert!((0.0..=1.0 + 1e-12).contains(&output.fit_r2), "{}", output.fit_r2);
            assert!(output.fit_r2 >= output.guess_r2 - 1e-12);
        }
    }

    #[test]
    fn what_a_loop_leaves_open_has_no_error() {
        let sharp = [-1.0, 2.0, -2.25, 1.75, 0.0, 0.01, 0.01, 0.01, 0.01];
        let loops = values(&sharp, |at| 0.01 * (at * at).cos());
        let output = fit(&loops, &mut Scratch::default()).unwrap();
        assert!(output.errors[..2].iter().chain([&output.errors[4]]).all(|error| *error > 0.0));
        assert!(output.fit[2] > -2.5 && output.fit[2] < -2.0, "{:?}", output.fit);
        assert!(output.fit[3] > 1.5 && output.fit[3] < 2.0, "{:?}", output.fit);
    }

    #[test]
    fn a_used_scratch_changes_no_bit() {
        let mut scratch = Scratch::default();
        fit(&values(&TRUE, |_| 0.0), &mut scratch).unwrap();
        let loops = values(&TRUE, |at| 0.1 * (at * at).cos());
        let found = [fit(&loops, &mut scratch), fit(&loops, &mut Scratch::default())];
        let [used, fresh] = found.map(|output| output.unwrap());
        assert_eq!((used.fit, used.errors, used.guess), (fresh.fit, fresh.errors, fresh.guess));
    }
}
