//! Variable projection: of a model that is linear in some parameters only the others are searched
//! for; the linear ones are solved exactly at each step.
//!
//! With the columns Φ(θ) of the linear parameters c, orthogonalised as Φ = Q·R, the residuals are
//! r = y − Q·Qᵀ·y and c = R⁻¹·Qᵀ·y. The Jacobian is Kaufman's (1975, BIT 15, 49): the derivatives
//! of Φ·c at constant c without their part along Q. Its gradient is exact. Modified Gram–Schmidt
//! with y as the last column is as accurate as Householder's reflections (Björck 1967, BIT 7, 1).
//! Linear parameters beyond their bounds are held there by an active set; Q then spans the others.

mod covariance;
mod spot;

use super::arrays::{add_scaled, dot, scale, set_product, set_scaled};
use super::components::Channels;
use super::convolution::{self, Convolution, Kernel};
use super::formula;
use super::model::{Model, Value};
use crate::least_squares::{NormalEquations, Problem};
pub use spot::Spot;

/// A column of which less than this share is left by those before it depends on them.
const DEPENDENT: f64 = 1e-12;

/// Where a model's columns lie, the same for all spectra.
#[derive(Clone, Debug)]
pub struct Layout {
    length: usize,
    /// First column of each part.
    first: Vec<usize>,
    columns: usize,
    /// For each linear parameter the columns that it multiplies, with factors.
    linear: Vec<Vec<(usize, f64)>>,
    /// For each shape parameter the derivatives by it.
    shape: Vec<Vec<Derivative>>,
    /// Columns whose multiplier isn't zero with all linear parameters at zero.
    constant: Vec<(usize, f64)>,
    lower: Vec<f64>,
    upper: Vec<f64>,
    is_bounded: bool,
}

/// A column with the derivative of a function.
#[derive(Clone, Copy, Debug)]
struct Derivative {
    column: usize,
    /// By how much the component's parameter changes with the free one.
    factor: f64,
    /// What the function is multiplied by.
    multiplier: Value,
}

/// What holds of a linear parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Free,
    /// Held at a bound.
    Held,
    /// Its column depends on those before it.
    Dependent,
}

/// Memory that a worker keeps.
#[derive(Clone, Debug, Default)]
pub struct Buffers {
    /// Square roots of the channels' weights.
    pub weights: Vec<f64>,
    /// The same times the widths of the channels, where these have any.
    model_weights: Vec<f64>,
    /// Values of the linear parameters.
    pub linear: Vec<f64>,
    /// Weighted values of the spectrum.
    values: Vec<f64>,
    columns: Vec<f64>,
    q: Vec<f64>,
    derivatives: Vec<f64>,
    target: Vec<f64>,
    residuals: Vec<f64>,
    spare: Vec<f64>,
    state: Vec<State>,
    /// R, and Qᵀ times the derivatives beside it; rows are linear parameters.
    r: Vec<f64>,
    projected: Vec<f64>,
    solution: Vec<f64>,
    factor: Vec<f64>,
    line: Vec<f64>,
    constants: spot::Constants,
    registers: formula::Registers,
    convolution: convolution::Buffers,
}

impl Layout {
    /// The layout of a model over so many channels.
    pub fn new(model: &Model, length: usize) -> Self {
        let mut layout = Self {
            length,
            first: Vec::new(),
            columns: 0,
            linear: vec![Vec::new(); model.linear.len()],
            shape: vec![Vec::new(); model.shape.len()],
            constant: Vec::new(),
            lower: model.linear.iter().map(|free| free.lower).collect(),
            upper: model.linear.iter().map(|free| free.upper).collect(),
            is_bounded: false,
        };
        layout.is_bounded = layout.lower.iter().chain(&layout.upper).any(|bound| bound.is_finite());
        for part in &model.parts {
            layout.first.push(layout.columns);
            let functions: Vec<Value> = part.functions().collect();
            for (at, value) in functions.iter().enumerate() {
                let column = layout.columns + at;
                if let Some(free) = value.free {
                    layout.linear[free].push((column, value.factor));
                }
                if value.shift != 0.0 {
                    layout.constant.push((column, value.shift));
                }
            }
            for (at, &(function, shape)) in part.derivatives().iter().enumerate() {
                let (column, value) = (layout.columns + functions.len() + at, part.shape[shape]);
                if let Some(free) = value.free {
                    let (factor, multiplier) = (value.factor, functions[function]);
                    layout.shape[free].push(Derivative { column, factor, multiplier });
                }
            }
            layout.columns += part.columns();
        }
        layout
    }
}

/// The residuals of one spectrum.
pub struct Separable<'a> {
    /// The model.
    pub model: &'a Model,
    /// Where its columns lie.
    pub layout: &'a Layout,
    /// Places of the channels, of frames along the rows.
    pub x: &'a [f64],
    /// Places across the rows of frames.
    pub y: &'a [f64],
    /// What the model is multiplied by at each channel, unless that is 1.
    pub widths: Option<&'a [f64]>,
    /// What components are convolved with, if they are.
    pub convolved: Option<(&'a Convolution, &'a Kernel)>,
    /// The model, if it is a single spot.
    pub spot: Option<&'a Spot>,
    /// The memory to work in.
    pub work: &'a mut Buffers,
}

impl Problem for Separable<'_> {
    fn linearise(&mut self, shape: &[f64], equations: &mut NormalEquations) -> f64 {
        if let Some(spot) = self.spot {
            if let Some(sum) = spot.linearise(self, shape, equations) {
                return sum;
            }
            self.fill(&[], true);
        }
        self.fill(shape, false);
        self.work.target.copy_from_slice(&self.work.values);
        for &(column, factor) in &self.layout.constant {
            let source = column_of(&self.work.columns, column, self.layout.length);
            add_scaled(&mut self.work.target, -factor, source);
        }
        self.solve_linear();
        equations.begin(shape.len());
        self.derive(equations);
        dot(&self.work.residuals, &self.work.residuals)
    }
}

impl Separable<'_> {
    /// Takes the values of a spectrum with the weights that are in the workspace.
    pub fn begin(&mut self, values: &[f64]) {
        let (work, layout) = (&mut *self.work, self.layout);
        let (length, linear) = (layout.length, layout.linear.len());
        for array in [&mut work.values, &mut work.target, &mut work.residuals, &mut work.spare] {
            array.resize(length, 0.0);
        }
        set_product(&mut work.values, values, &work.weights);
        if let Some(widths) = self.widths {
            work.model_weights.resize(length, 0.0);
            set_product(&mut work.model_weights, widths, &work.weights);
        }
        work.columns.resize(layout.columns * length, 0.0);
        work.q.resize(linear * length, 0.0);
        work.derivatives.resize(layout.shape.len() * length, 0.0);
        work.state.resize(linear, State::Free);
        work.r.resize(linear * linear, 0.0);
        work.projected.resize(linear * layout.shape.len(), 0.0);
        work.linear.resize(linear, 0.0);
        work.solution.resize(linear, 0.0);
        match self.spot {
            Some(_) => Spot::begin(work),
            None => self.fill(&[], true),
        }
    }

    /// Sets the weights to the inverse of the variance of counts that the model of the last
    /// evaluation says, but at least `least`.
    pub fn weigh(&mut self, values: &[f64], least: f64) {
        let Buffers { weights, residuals, .. } = &mut *self.work;
        for ((weight, residual), value) in weights.iter_mut().zip(residuals).zip(values) {
            let counts = value - *residual / *weight;
            *weight = counts.max(least).sqrt().recip();
        }
    }

    /// The sum of the squares of the weighted values.
    pub fn size(&self) -> f64 {
        dot(&self.work.values, &self.work.values)
    }

    /// Fills the columns of all parts that no free shape parameter changes, or of all others.
    fn fill(&mut self, shape: &[f64], constant: bool) {
        let length = self.layout.length;
        for (part, first) in self.model.parts.iter().zip(&self.layout.first) {
            if part.shape.iter().all(|value| value.free.is_none()) == constant {
                let Buffers { columns, weights, model_weights, registers, convolution, .. } =
                    &mut *self.work;
                let columns = &mut columns[first * length..][..part.columns() * length];
                let weights = if self.widths.is_some() { model_weights } else { weights };
                let values = part.shape_values(shape);
                match self.convolved {
                    Some((convolved, kernel)) if part.is_convolved => {
                        let memory = (convolution, registers);
                        convolved.fill(part, &values, (kernel, weights), columns, memory);
                    }
                    _ => {
                        let channels = Channels { x: self.x, y: self.y, weights };
                        part.fill(channels, &values, columns, registers);
                    }
                }
            }
        }
    }

    /// Leaves the linear parameters at their least squares within the bounds, and the residuals.
    fn solve_linear(&mut self) {
        self.work.state.fill(State::Free);
        self.orthogonalise();
        if !self.layout.is_bounded {
            self.work.linear.copy_from_slice(&self.work.solution);
            return;
        }
        let mut is_outside = false;
        for at in 0..self.work.linear.len() {
            let value =
                self.work.solution[at].max(self.layout.lower[at]).min(self.layout.upper[at]);
            self.work.linear[at] = value;
            if value != self.work.solution[at] {
                self.work.state[at] = State::Held;
                is_outside = true;
            }
        }
        if is_outside {
            self.search_active_set();
        }
    }

    /// From a point within the bounds on: goes to the least squares of the free parameters, as far
    /// as no bound is in the way, holds those that meet one, and lets go what the sum pulls
    /// inwards.
    fn search_active_set(&mut self) {
        let count = self.work.linear.len();
        // Each round lowers the sum, so no set comes twice; the cap is for rounding.
        for _ in 0..10 * count {
            self.orthogonalise();
            if let Some(at) = self.blocking() {
                self.work.state[at] = State::Held;
                continue;
            }
            self.work.linear.copy_from_slice(&self.work.solution);
            match self.pulled_inwards() {
                Some(at) => self.work.state[at] = State::Free,
                None => return,
            }
        }
    }

    /// Moves towards the solution; the parameter that meets its bound first, if one does.
    fn blocking(&mut self) -> Option<usize> {
        let Buffers { linear, solution, state, .. } = &mut *self.work;
        let mut first = (1.0, None);
        for at in 0..linear.len() {
            let (lower, upper) = (self.layout.lower[at], self.layout.upper[at]);
            let bound = solution[at].max(lower).min(upper);
            if state[at] == State::Free && bound != solution[at] {
                let share = (bound - linear[at]) / (solution[at] - linear[at]);
                if share < first.0 {
                    first = (share, Some(at));
                }
            }
        }
        let (share, at) = first;
        let at = at?;
        for (value, solution) in linear.iter_mut().zip(&*solution) {
            *value += share.max(0.0) * (solution - *value);
        }
        let (lower, upper) = (self.layout.lower[at], self.layout.upper[at]);
        linear[at] = if solution[at] < lower { lower } else { upper };
        Some(at)
    }

    /// The held parameter that lowers the sum most if it moves away from its bound.
    fn pulled_inwards(&mut self) -> Option<usize> {
        let size = dot(&self.work.target, &self.work.target);
        let mut most = (1e-10, None);
        for at in 0..self.work.linear.len() {
            if self.work.state[at] != State::Held {
                continue;
            }
            build(&self.layout.linear[at], &self.work.columns, &mut self.work.spare);
            let length = dot(&self.work.spare, &self.work.spare) * size;
            let pull = dot(&self.work.spare, &self.work.residuals) / length.sqrt();
            let at_lower = self.work.linear[at] <= self.layout.lower[at];
            let inwards = if at_lower { pull } else { -pull };
            if inwards > most.0 {
                most = (inwards, Some(at));
            }
        }
        most.1
    }

    /// Orthogonalises the columns of the free linear parameters, and solves for these; the held
    /// ones keep their values.
    fn orthogonalise(&mut self) {
        let (work, length, count) = (&mut *self.work, self.layout.length, self.layout.linear.len());
        work.residuals.copy_from_slice(&work.target);
        for at in 0..count {
            if work.state[at] == State::Held {
                build(&self.layout.linear[at], &work.columns, &mut work.spare);
                add_scaled(&mut work.residuals, -work.linear[at], &work.spare);
                continue;
            }
            let (before, column) = work.q.split_at_mut(at * length);
            let column = &mut column[..length];
            build(&self.layout.linear[at], &work.columns, column);
            let whole = dot(column, column).sqrt();
            for (other, q) in before.chunks_exact(length).enumerate() {
                if work.state[other] == State::Free {
                    let share = dot(q, column);
                    work.r[other * count + at] = share;
                    add_scaled(column, -share, q);
                }
            }
            let rest = dot(column, column).sqrt();
            // What isn't finite goes on into the sum, which then says so.
            let is_dependent = whole.is_finite() && rest <= DEPENDENT * whole;
            work.state[at] = if is_dependent { State::Dependent } else { State::Free };
            scale(column, rest.recip());
            work.r[at * count + at] = rest;
        }
        work.project_residuals(length);
        work.substitute(count);
    }

    /// The normal equations of the shape parameters.
    fn derive(&mut self, equations: &mut NormalEquations) {
        let (work, layout) = (&mut *self.work, self.layout);
        let (length, shapes) = (layout.length, layout.shape.len());
        for (at, terms) in layout.shape.iter().enumerate() {
            let (before, column) = work.derivatives.split_at_mut(at * length);
            let column = &mut column[..length];
            for (number, term) in terms.iter().enumerate() {
                let source = column_of(&work.columns, term.column, length);
                let factor = term.factor * term.multiplier.of(&work.linear);
                add_or_set(number, column, factor, source);
            }
            let whole = dot(column, column);
            for (linear, q) in work.q.chunks_exact(length).enumerate() {
                if work.state[linear] == State::Free {
                    let share = dot(q, column);
                    work.projected[linear * shapes + at] = share;
                    add_scaled(column, -share, q);
                }
            }
            let rest = dot(column, column);
            if rest <= DEPENDENT * DEPENDENT * whole {
                column.fill(0.0);
                continue;
            }
            equations.set(at, at, rest);
            equations.descent[at] = dot(column, &work.residuals);
            for (other, earlier) in before.chunks_exact(length).enumerate() {
                equations.set(at, other, dot(earlier, column));
            }
        }
    }
}

impl Buffers {
    /// Takes from the residuals what lies along the free columns, one after the other.
    fn project_residuals(&mut self, length: usize) {
        for (at, q) in self.q.chunks_exact(length).enumerate() {
            if self.state[at] == State::Free {
                let share = dot(q, &self.residuals);
                self.solution[at] = share;
                add_scaled(&mut self.residuals, -share, q);
            }
        }
    }

    /// R·c = Qᵀ·y, from the last free parameter to the first.
    fn substitute(&mut self, count: usize) {
        for at in (0..count).rev() {
            self.solution[at] = match self.state[at] {
                State::Held => self.linear[at],
                State::Dependent => 0.0,
                State::Free => {
                    let known: f64 = (at + 1..count)
                        .filter(|&later| self.state[later] == State::Free)
                        .map(|later| self.r[at * count + later] * self.solution[later])
                        .sum();
                    (self.solution[at] - known) / self.r[at * count + at]
                }
            };
        }
    }
}

fn column_of(columns: &[f64], number: usize, length: usize) -> &[f64] {
    &columns[number * length..][..length]
}

fn add_or_set(number: usize, target: &mut [f64], factor: f64, source: &[f64]) {
    if number == 0 {
        set_scaled(target, factor, source);
    } else {
        add_scaled(target, factor, source);
    }
}

/// Σ factor · column.
fn build(terms: &[(usize, f64)], columns: &[f64], target: &mut [f64]) {
    for (number, &(column, factor)) in terms.iter().enumerate() {
        let length = target.len();
        add_or_set(number, target, factor, column_of(columns, column, length));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve_fit::convolution::Zero;
    use crate::curve_fit::description::Components;
    use crate::curve_fit::model::Extent;
    use crate::least_squares::Bounds;
    use nalgebra::{DMatrix, DVector};
    use pixelmill_core::process::Dimension;
    use serde_json::{Value, json};

    const LENGTH: usize = 40;

    struct Fixture {
        model: Model,
        layout: Layout,
        x: Vec<f64>,
        values: Vec<f64>,
        convolved: Option<(Convolution, Kernel)>,
        work: Buffers,
    }

    impl Fixture {
        /// Components over a wavy spectrum with uneven weights.
        fn new(components: Value) -> Self {
            let components: Components = serde_json::from_value(components).unwrap();
            let extent = Extent { least: 0.0, most: 3.9, channel: 0.1 };
            let model = Model::new(&components, extent).unwrap();
            let x: Vec<f64> = (0..LENGTH).map(|at| at as f64 * 0.1).collect();
            let values = x.iter().map(|x| 3.0 * (1.3 * x).sin() + (17.0 * x).cos()).collect();
            let weights = (0..LENGTH).map(|at| 1.0 + 0.1 * (at % 5) as f64).collect();
            let work = Buffers { weights, ..Buffers::default() };
            let layout = Layout::new(&model, LENGTH);
            Self { layout, model, x, values, convolved: None, work }
        }

        /// The same convolved with a spectrum of 50 channels, four of them before its zero.
        fn convolved(self) -> Self {
            let channels: Vec<usize> = (0..LENGTH).collect();
            let axis = Dimension::new("E", "eV", self.x.clone());
            let zero = Zero { channel: Some(4), axis: None };
            let convolution = Convolution::new(&axis, &channels, (50, &zero), false).unwrap();
            let spectrum: Vec<f64> =
                (0..50).map(|at| (-(f64::from(at) - 4.0).powi(2) / 9.0).exp()).collect();
            let mut kernel = Kernel::default();
            convolution.take(&spectrum, &mut kernel, &mut Default::default()).unwrap();
            Self { convolved: Some((convolution, kernel)), ..self }
        }

        fn linearise(&mut self, shape: &[f64], equations: &mut NormalEquations) -> f64 {
            let Self { model, layout, x, values, convolved, work } = self;
            let convolved = convolved.as_ref().map(|(convolution, kernel)| (convolution, kernel));
            let (y, widths, spot) = (&[], None, None);
            let mut problem = Separable { model, layout, x, y, widths, convolved, spot, work };
            problem.begin(values);
            problem.linearise(shape, equations)
        }

        /// Columns of the linear parameters, and of derivatives by the shape parameters.
        fn columns(&self) -> (DMatrix<f64>, DMatrix<f64>) {
            let mut linear = DMatrix::zeros(LENGTH, self.model.linear.len());
            let mut shape = DMatrix::zeros(LENGTH, self.model.shape.len());
            let column =
                |at: usize| DVector::from_row_slice(column_of(&self.work.columns, at, LENGTH));
            for (at, terms) in self.layout.linear.iter().enumerate() {
                for (from, factor) in terms {
                    linear.column_mut(at).axpy(*factor, &column(*from), 1.0);
                }
            }
            for (at, terms) in self.layout.shape.iter().enumerate() {
                for term in terms {
                    let multiplier = term.multiplier.of(&self.work.linear);
                    let factor = term.factor * multiplier;
                    shape.column_mut(at).axpy(factor, &column(term.column), 1.0);
                }
            }
            (linear, shape)
        }
    }

    fn tied_model() -> Value {
        json!([
            {"type": "gaussian", "name": "one"},
            {"type": "gaussian", "name": "two", "A": {"tied": "one.A", "factor": -0.5, "shift": 0.3},
                "centre": {"tied": "one.centre", "shift": 1.2}},
            {"type": "lorentzian", "A": {"fixed": 0.7}},
            "polynomial2",
        ])
    }

    const TIED_SHAPE: [f64; 5] = [1.1, 0.4, 0.3, 3.0, 0.5];

    #[test]
    fn descent_is_that_of_the_sum_and_linear_parameters_are_at_their_least() {
        for (components, shape) in [
            (tied_model(), TIED_SHAPE.to_vec()),
            (
                json!([{"type": "gaussian", "A": {"max": 1}}, {"type": "offset", "offset": {"min": 0}}]),
                vec![1.0, 0.5],
            ),
            (json!("pseudo_voigt+exponential"), vec![1.0, 0.5, 0.3, 1.4]),
        ] {
            for is_convolved in [false, true] {
                let mut fixture = Fixture::new(components.clone());
                if is_convolved {
                    fixture = fixture.convolved();
                }
                let mut equations = NormalEquations::default();
                fixture.linearise(&shape, &mut equations);
                let descent = equations.descent.clone();
                for at in 0..shape.len() {
                    let mut moved = |by: f64| {
                        let mut shape = shape.clone();
                        shape[at] += by;
                        fixture.linearise(&shape, &mut equations)
                    };
                    let slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                    let error = (slope + 2.0 * descent[at]).abs();
                    assert!(error < 1e-6 * (1.0 + slope.abs()), "{at}: {slope} {}", descent[at]);
                }
            }
        }
    }

    #[test]
    fn variances_are_those_of_the_whole_covariance() {
        let mut fixture = Fixture::new(tied_model());
        let mut equations = NormalEquations::default();
        fixture.linearise(&TIED_SHAPE, &mut equations);
        let (linear, shape) = fixture.columns();
        let mut all = DMatrix::zeros(LENGTH, linear.ncols() + shape.ncols());
        all.columns_mut(0, linear.ncols()).copy_from(&linear);
        all.columns_mut(linear.ncols(), shape.ncols()).copy_from(&shape);
        let expected = (all.transpose() * &all).try_inverse().unwrap();
        let free = Bounds { lower: &[f64::NEG_INFINITY; 5], upper: &[f64::INFINITY; 5] };
        let mut variances = Vec::new();
        fixture.work.variances(&equations, &TIED_SHAPE, free, &mut variances);
        assert_eq!(variances.len(), 9);
        for (at, variance) in variances.iter().enumerate() {
            let expected = expected[(at, at)];
            assert!((variance / expected - 1.0).abs() < 1e-7, "{at}: {variance} {expected}");
        }
    }

    /// The least sum over all ways to hold parameters at bounds.
    fn exhaustive(columns: &DMatrix<f64>, values: &DVector<f64>, bounds: &[(f64, f64)]) -> f64 {
        let mut least = f64::INFINITY;
        for choice in 0..3_usize.pow(bounds.len() as u32) {
            let held: Vec<usize> =
                (0..bounds.len()).map(|at| choice / 3_usize.pow(at as u32) % 3).collect();
            let mut solution = DVector::zeros(bounds.len());
            let mut target = values.clone();
            for (at, how) in held.iter().enumerate().filter(|(_, how)| **how > 0) {
                solution[at] = if *how == 1 { bounds[at].0 } else { bounds[at].1 };
                target.axpy(-solution[at], &columns.column(at), 1.0);
            }
            let free: Vec<usize> = (0..bounds.len()).filter(|at| held[*at] == 0).collect();
            if !free.is_empty() {
                let part = columns.select_columns(&free);
                let found = part.svd(true, true).solve(&target, 1e-12).unwrap();
                free.iter().zip(found.iter()).for_each(|(at, value)| solution[*at] = *value);
            }
            let inside = |at: usize| (bounds[at].0..=bounds[at].1).contains(&solution[at]);
            if solution.iter().all(|value| value.is_finite()) && (0..bounds.len()).all(inside) {
                least = least.min((values - columns * &solution).norm_squared());
            }
        }
        least
    }

    #[test]
    fn linear_parameters_are_at_the_best_of_all_active_sets() {
        let mut at_bounds = 0;
        for case in 0..60_u32 {
            let bound = |at: u32| f64::from((case * 7 + at * 5) % 13) * 0.3 - 2.0;
            let peaks: Vec<Value> = (0..4)
                .map(|at| {
                    json!({"type": "gaussian", "name": format!("p{at}"), "centre": {"fixed": 0.7 * f64::from(at) + 0.4},
                        "sigma": {"fixed": 0.6}, "A": {"min": bound(at), "max": bound(at) + 0.8}})
                })
                .collect();
            let mut fixture = Fixture::new(Value::Array(peaks));
            let sum = fixture.linearise(&[], &mut NormalEquations::default());
            let (columns, _) = fixture.columns();
            let bounds: Vec<_> = (0..4).map(|at| (bound(at), bound(at) + 0.8)).collect();
            let expected =
                exhaustive(&columns, &DVector::from_row_slice(&fixture.work.values), &bounds);
            assert!((sum / expected - 1.0).abs() < 1e-9, "{case}: {sum} {expected}");
            for (value, (lower, upper)) in fixture.work.linear.iter().zip(&bounds) {
                assert!((lower..=upper).contains(&value));
                at_bounds += usize::from(value == lower || value == upper);
            }
        }
        assert!(at_bounds > 60, "the bounds are in the way: {at_bounds}");
    }

    #[test]
    fn columns_that_say_the_same_are_used_once() {
        let mut fixture = Fixture::new(json!(["offset", "polynomial1"]));
        let mut equations = NormalEquations::default();
        let sum = fixture.linearise(&[], &mut equations);
        let mut alone = Fixture::new(json!("polynomial1"));
        let expected = alone.linearise(&[], &mut equations);
        assert!((sum / expected - 1.0).abs() < 1e-12);
        let mut variances = Vec::new();
        let free = Bounds { lower: &[], upper: &[] };
        fixture.work.variances(&equations, &[], free, &mut variances);
        assert!(variances[1].is_nan(), "what nothing tells has no error: {variances:?}");
        assert_eq!(fixture.work.linear[1], 0.0);
    }
}
