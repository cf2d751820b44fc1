//! The fit of one spectrum: its values and weights, searches from one or more starts, fits again
//! with the variances of counts, and the numbers that come out.

use pixelmill_core::process::{AxisValues, Dimension, Failure, Spectrum};

use super::arrays;
use super::components::{Channels, MOST_SHAPE};
use super::convolution::{self, Convolution, Kernel, Zero};
use super::estimate::{Estimator, Frame};
use super::formula;
use super::model::{Extent, Model, Part};
use super::separable::{self, Layout, Separable, Spot};
use super::turned::turned;
use super::{Output, Parameters, Scratch, Task, Weights};
use crate::least_squares::{self, Bounds, Limits, Minimum, Problem};
use crate::spectral_axis::widths;

/// The least variance of a channel's counts: what a model says below it can't be told apart.
const LEAST_VARIANCE: f64 = 0.1;
/// Fits with new weights; each brings the last change down some ten times.
const REWEIGHTINGS: usize = 20;
/// The change of a parameter, in standard errors, that isn't worth another fit.
const SETTLED: f64 = 1e-4;
/// A residual of this share of the values is rounding.
const ROUNDING: f64 = 1e-13;
const TOLERANCE: f64 = 1e-11;

impl Task {
    /// Prepares a fit over an axis.
    ///
    /// # Errors
    /// If the parameters make no sense on this axis.
    pub fn new(parameters: &Parameters, axis: &[f64]) -> Result<Self, Failure> {
        let min = parameters.range_min.unwrap_or(f64::NEG_INFINITY);
        let max = parameters.range_max.unwrap_or(f64::INFINITY);
        let channels = weighted(parameters, axis.len(), |at| (min..=max).contains(&axis[at]))?;
        let x: Vec<f64> = channels.iter().map(|&at| axis[at]).collect();
        let extent = extent(&x)?;
        let model = Model::new(&parameters.components, extent)?;
        Self::of(parameters, model, (x, channels), extent)
    }

    /// Prepares a fit over frames with these places across and along their rows.
    ///
    /// # Errors
    /// If the parameters make no sense there.
    pub fn over(parameters: &Parameters, y: &[f64], x: &[f64]) -> Result<Self, Failure> {
        let points = weighted(parameters, x.len() * y.len(), |_| true)?;
        let (along, across) = (extent(x)?, extent(y)?);
        let model = Model::over(&parameters.components, [along, across])?;
        let places: Vec<f64> = points.iter().map(|at| x[at % x.len()]).collect();
        let task = Self::of(parameters, model, (places, points.clone()), along)?;
        let across_rows = points.iter().map(|at| y[at / x.len()]).collect();
        let frame = Frame::new(points, y, x, across);
        let spot = Spot::of(&task.model, &task.layout, &frame);
        Ok(Self { y: across_rows, frame: Some(frame), spot, ..task })
    }

    fn of(
        parameters: &Parameters,
        model: Model,
        (x, channels): (Vec<f64>, Vec<usize>),
        extent: Extent,
    ) -> Result<Self, Failure> {
        let weights = parameters.channel_weights.as_deref();
        let weight = |at: usize| weights.map_or(1.0, |weights| weights[at]);
        if parameters.starts == 1 {
            check_starts(&model, &x, |_| true)?;
        }
        if x.len() <= model.free() {
            return Err(Failure::new(format!(
                "{} channels are in the range, too few for {} free parameters",
                x.len(),
                model.free()
            )));
        }
        Ok(Self {
            layout: Layout::new(&model, x.len()),
            lower: model.shape.iter().map(|free| free.lower).collect(),
            upper: model.shape.iter().map(|free| free.upper).collect(),
            weights: channels.iter().map(|&at| weight(at).sqrt()).collect(),
            turned: turned(&model),
            model,
            names: parameters.components.0.iter().map(|part| part.name.clone()).collect(),
            extent,
            channels,
            x,
            y: Vec::new(),
            frame: None,
            spot: None,
            widths: None,
            convolution: None,
            kernel: None,
            kind: parameters.weights,
            starts: parameters.starts,
            max_evaluations: parameters.max_evaluations,
        })
    }

    /// The same fit over a binned axis: the model is multiplied by the widths of the channels.
    ///
    /// # Errors
    /// If a fitted channel has no width.
    pub fn binned(mut self, axis: &AxisValues) -> Result<Self, Failure> {
        let all = widths(axis);
        let widths: Vec<f64> = self.channels.iter().map(|&at| all[at]).collect();
        if !widths.iter().all(|width| width.is_finite() && *width != 0.0) {
            return Err(Failure::new(
                "the axis is binned, but not all of its channels have a width",
            ));
        }
        self.widths = Some(widths);
        Ok(self)
    }

    /// The same fit with components convolved with spectra that are `length` long, and with `alone`
    /// if that is the one for all positions.
    ///
    /// # Errors
    /// If that makes no sense on this axis.
    pub fn convolved_with(
        mut self,
        axis: &Dimension,
        parameters: &Parameters,
        (length, zero): (usize, &Zero<'_>),
        alone: Option<&[f64]>,
    ) -> Result<Self, Failure> {
        let is_normalised = parameters.low_loss_normalised.unwrap_or(false);
        let convolution = Convolution::new(axis, &self.channels, (length, zero), is_normalised)?;
        if self.starts == 1 {
            check_starts(&self.model, convolution.places(), |part| part.is_convolved)?;
        }
        if let Some(alone) = alone {
            let mut kernel = Kernel::default();
            convolution.take(alone, &mut kernel, &mut convolution::Buffers::default())?;
            self.kernel = Some(kernel);
        }
        self.convolution = Some(convolution);
        Ok(self)
    }

    /// Takes the low-loss spectrum of a position, if each has its own.
    ///
    /// # Errors
    /// If nothing can be convolved with it.
    pub fn take_kernel(
        &self,
        spectrum: &Spectrum<'_, f64>,
        kernel: &mut Kernel,
        memory: &mut convolution::Buffers,
    ) -> Result<(), Failure> {
        match &self.convolution {
            Some(convolution) if self.kernel.is_none() => {
                convolution.take(spectrum.auxiliary.values(0)?, kernel, memory)
            }
            _ => Ok(()),
        }
    }

    /// What components are convolved with: one spectrum for all, or the one in `kernel`.
    fn convolved<'a>(&'a self, kernel: &'a Kernel) -> Option<(&'a Convolution, &'a Kernel)> {
        Some((self.convolution.as_ref()?, self.kernel.as_ref().unwrap_or(kernel)))
    }

    /// What there is per unit of a binned axis; the values themselves of any other.
    pub fn density<'a>(&self, values: &'a [f64], buffer: &'a mut Vec<f64>) -> &'a [f64] {
        let Some(widths) = &self.widths else {
            return values;
        };
        buffer.clear();
        buffer.extend(values.iter().zip(widths).map(|(value, width)| value / width));
        buffer
    }

    /// Takes a spectrum's values and weights into the scratch.
    ///
    /// # Errors
    /// If they can't be fitted.
    pub fn take_values(&self, spectrum: &[f64], scratch: &mut Scratch) -> Result<(), Failure> {
        let Scratch { values, separable, .. } = scratch;
        values.clear();
        if self.channels.len() == spectrum.len() {
            values.extend_from_slice(spectrum);
        } else {
            values.extend(self.channels.iter().map(|&at| spectrum[at]));
        }
        let Some(largest) = arrays::largest(values) else {
            return Err(Failure::new("the spectrum has values that are not finite"));
        };
        if largest > 1e150 || (largest > 0.0 && largest < 1e-150) {
            return Err(Failure::new("the squares of the values leave the range of numbers"));
        }
        if self.kind == Weights::Poisson && values.iter().any(|value| *value < 0.0) {
            return Err(Failure::new("Poisson weights need counts, but some values are negative"));
        }
        separable.weights.clear();
        match self.kind {
            Weights::Poisson => {
                separable.weights.extend(values.iter().map(|count| count.max(1.0).sqrt().recip()));
            }
            _ => separable.weights.extend_from_slice(&self.weights),
        }
        Ok(())
    }

    /// The best of the searches; its shape parameters are left in the scratch.
    ///
    /// # Errors
    /// If the model isn't finite at any start.
    pub fn search(
        &self,
        estimator: &Estimator<'_>,
        scratch: &mut Scratch,
    ) -> Result<Minimum, Failure> {
        scratch.shape.clear();
        scratch.shape.extend_from_slice(&scratch.estimated);
        let mut shape = std::mem::take(&mut scratch.shape);
        let mut best = self.minimise(&mut shape, scratch);
        for number in 1..self.starts {
            let mut tried = std::mem::take(&mut scratch.tried);
            estimator.scattered(number, &scratch.estimated, &mut tried);
            let found = self.minimise(&mut tried, scratch);
            if found.sum < best.sum || !best.sum.is_finite() {
                best = found;
                shape.copy_from_slice(&tried);
            } else {
                best.is_last = false;
            }
            scratch.tried = tried;
        }
        scratch.shape = shape;
        if best.sum.is_finite() {
            Ok(best)
        } else {
            Err(Failure::new("the model isn't finite where the fit starts; give start values"))
        }
    }

    fn minimise(&self, shape: &mut [f64], scratch: &mut Scratch) -> Minimum {
        let mut problem = self.problem(&scratch.kernel, &mut scratch.separable);
        problem.begin(&scratch.values);
        let limits = Limits {
            evaluations: self.max_evaluations,
            tolerance: TOLERANCE,
            floor: ROUNDING * ROUNDING * problem.size(),
        };
        least_squares::minimise(&mut problem, shape, self.bounds(), limits, &mut scratch.search)
    }

    fn problem<'a>(
        &'a self,
        kernel: &'a Kernel,
        work: &'a mut separable::Buffers,
    ) -> Separable<'a> {
        Separable {
            model: &self.model,
            layout: &self.layout,
            x: &self.x,
            y: &self.y,
            widths: self.widths.as_deref(),
            convolved: self.convolved(kernel),
            spot: self.spot.as_ref(),
            work,
        }
    }

    fn bounds(&self) -> Bounds<'_> {
        Bounds { lower: &self.lower, upper: &self.upper }
    }

    /// Fits again with the variances that the model says, until nothing changes any more.
    pub fn reweight(&self, mut minimum: Minimum, scratch: &mut Scratch) -> Minimum {
        for _ in 0..REWEIGHTINGS {
            self.settle(&minimum, scratch);
            scratch.last.clear();
            scratch.last.extend_from_slice(&scratch.separable.linear);
            scratch.last.extend_from_slice(&scratch.shape);
            let mut problem = self.problem(&scratch.kernel, &mut scratch.separable);
            problem.weigh(&scratch.values, LEAST_VARIANCE);
            let mut shape = std::mem::take(&mut scratch.shape);
            minimum = self.minimise(&mut shape, scratch);
            scratch.shape = shape;
            self.settle(&minimum, scratch);
            let now = scratch.separable.linear.iter().chain(&scratch.shape);
            let mut changes = now.zip(&scratch.last).zip(&scratch.variances);
            if changes.all(|((now, last), variance)| {
                variance.is_nan() || (now - last).abs() <= SETTLED * variance.sqrt()
            }) {
                return minimum;
            }
        }
        Minimum { converged: false, ..minimum }
    }

    /// Tells what was found by other angles, if these are nearer to where they started.
    pub fn turn(&self, minimum: &mut Minimum, scratch: &mut Scratch) {
        for ellipse in &self.turned {
            let is_another = ellipse.turn(&mut scratch.shape, self.bounds());
            minimum.is_last &= !is_another;
        }
    }

    /// Takes the variances at the minimum; the residuals are evaluated there if they were last
    /// evaluated elsewhere.
    fn settle(&self, minimum: &Minimum, scratch: &mut Scratch) {
        let Scratch { separable, search, shape, equations, variances, kernel, .. } = scratch;
        let equations = if minimum.is_last {
            search.equations()
        } else {
            self.problem(kernel, separable).linearise(shape, equations);
            equations
        };
        separable.variances(equations, shape, self.bounds(), variances);
    }

    /// The numbers of a minimum.
    ///
    /// # Errors
    /// If they aren't finite.
    pub fn output(&self, minimum: Minimum, scratch: &mut Scratch) -> Result<Output, Failure> {
        self.settle(&minimum, scratch);
        let freedom = (self.x.len() - self.model.free()) as f64;
        let noise = if self.kind == Weights::None { minimum.sum / freedom } else { 1.0 };
        let Scratch { separable, shape, variances, .. } = scratch;
        let (of_linear, of_shape) = variances.split_at(separable.linear.len());
        let parameters = || {
            self.model.parts.iter().flat_map(|part| {
                let linear = part.linear.iter().map(|value| (value, &separable.linear, of_linear));
                linear.chain(part.shape.iter().map(|value| (value, &*shape, of_shape)))
            })
        };
        let values = parameters().map(|(value, free, _)| value.of(free));
        let errors = parameters().map(|(value, _, variances)| match value.free {
            Some(at) => value.factor.abs() * (variances[at] * noise).sqrt(),
            None => 0.0,
        });
        let numbers: Vec<f64> = values.chain(errors).collect();
        if !numbers[..numbers.len() / 2].iter().all(|value| value.is_finite()) {
            return Err(Failure::new("the fit left the range of numbers"));
        }
        Ok(Output { numbers, chi_square: minimum.sum, converged: minimum.converged })
    }
}

impl Task {
    /// What each component gives at the fitted channels of a spectrum; NaN at others.
    pub fn curves(&self, output: &Output, spectrum: &Spectrum<'_, f64>) -> Vec<Vec<f64>> {
        let weights = self.widths.clone().unwrap_or_else(|| vec![1.0; self.x.len()]);
        let channels = Channels { x: &self.x, y: &self.y, weights: &weights };
        let mut numbers = output.numbers.as_slice();
        let (mut columns, mut registers) = (Vec::new(), formula::Registers::default());
        let (mut kernel, mut memory) = (Kernel::default(), convolution::Buffers::default());
        // One that can't be taken has no output.
        let taken = self.take_kernel(spectrum, &mut kernel, &mut memory);
        let convolved = self.convolved(&kernel).filter(|_| taken.is_ok());
        let curve = |part: &Part| {
            let (linear, rest) = numbers.split_at(part.linear.len());
            let (shape, rest) = rest.split_at(part.shape.len());
            numbers = rest;
            let mut places = [0.0; MOST_SHAPE];
            places[..shape.len()].copy_from_slice(shape);
            columns.clear();
            columns.resize(part.columns() * self.x.len(), 0.0);
            match convolved {
                Some((convolution, kernel)) if part.is_convolved => {
                    let memory = (&mut memory, &mut registers);
                    convolution.fill(part, &places, (kernel, &weights), &mut columns, memory);
                }
                _ => part.fill(channels, &places, &mut columns, &mut registers),
            }
            // A function that no parameter multiplies is the last one.
            let factors = linear.iter().copied().chain(std::iter::once(1.0));
            let factors: Vec<f64> = factors.take(part.functions().count()).collect();
            let mut curve = vec![f64::NAN; spectrum.len()];
            for (number, &at) in self.channels.iter().enumerate() {
                let functions = columns[number..].iter().step_by(self.x.len());
                curve[at] = factors.iter().zip(functions).map(|(factor, f)| factor * f).sum();
            }
            curve
        };
        self.model.parts.iter().map(curve).collect()
    }
}

/// The channels of a range that have weight.
///
/// # Errors
/// If there are more or fewer weights than channels.
fn weighted(
    parameters: &Parameters,
    count: usize,
    is_in_range: impl Fn(usize) -> bool,
) -> Result<Vec<usize>, Failure> {
    let weights = parameters.channel_weights.as_deref();
    if weights.is_some_and(|weights| weights.len() != count) {
        return Err(Failure::new(format!(
            "`channel_weights` has {} weights, but a spectrum has {count} channels",
            weights.map_or(0, <[f64]>::len),
        )));
    }
    let has_weight = |at: usize| weights.is_none_or(|weights| weights[at] > 0.0);
    Ok((0..count).filter(|at| is_in_range(*at) && has_weight(*at)).collect())
}

/// Where formulae begin is the same for all spectra, unless they follow an estimate.
///
/// # Errors
/// If one has no finite value there.
fn check_starts(model: &Model, x: &[f64], is_meant: impl Fn(&Part) -> bool) -> Result<(), Failure> {
    let starts: Vec<f64> = model
        .shape
        .iter()
        .map(|free| free.start.map_or(f64::NAN, |start| start.max(free.lower).min(free.upper)))
        .collect();
    let weights = vec![1.0; x.len()];
    for part in model.parts.iter().filter(|part| is_meant(part)) {
        let Some(formula) = &part.formula else { continue };
        let shape = part.shape_values(&starts);
        if shape.iter().any(|value| value.is_nan()) {
            continue;
        }
        let mut columns = vec![0.0; part.columns() * x.len()];
        let channels = Channels { x, y: &[], weights: &weights };
        part.fill(channels, &shape, &mut columns, &mut formula::Registers::default());
        let functions = &columns[..part.functions().count() * x.len()];
        if let Some(wrong) = functions.iter().position(|value| !value.is_finite()) {
            let told: Vec<String> = formula
                .shape()
                .zip(shape)
                .map(|(name, value)| format!("{name} = {value}"))
                .collect();
            return Err(Failure::new(format!(
                "the formula `{formula}` has no finite value at x = {} where the search \
                 starts{}{}; give other start values, or another `range_min` and `range_max`",
                x[wrong % x.len()],
                if told.is_empty() { "" } else { ", with " },
                told.join(", ")
            )));
        }
    }
    Ok(())
}

/// What an axis says; in whatever order its values are.
fn extent(x: &[f64]) -> Result<Extent, Failure> {
    let least = x.iter().copied().fold(f64::INFINITY, f64::min);
    let most = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let distances = x.windows(2).map(|pair| (pair[1] - pair[0]).abs());
    let channel = distances.filter(|distance| *distance > 0.0).fold(f64::INFINITY, f64::min);
    if x.iter().all(|place| place.is_finite()) && channel.is_finite() {
        Ok(Extent { least, most, channel })
    } else if x.len() < 2 {
        Err(Failure::new(
            "fewer than two channels are in the range; look at `range_min`, `range_max` and the \
             weights",
        ))
    } else {
        Err(Failure::new("the axis of the spectra has no finite, different values"))
    }
}
