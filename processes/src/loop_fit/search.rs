//! The least squares of a loop: Levenberg–Marquardt over what shapes its branches.
//!
//! The loop is linear in three of its nine parameters. The best straight line is taken out of the
//! data once and for all, out of the levels and their derivatives at each step; what is left of the
//! data is fitted by what is left of the levels, with the best height (variable projection; the
//! derivatives are Kaufman's, 1975, BIT 15, 49). So six parameters are searched for, and the
//! minimum is that of all nine.

use super::axis::Axis;
use super::branch::{Shape, fill, level};
use crate::curve_fit::arrays::{add_scaled, dot, scale, set_scaled};
use crate::least_squares::{NormalEquations, Problem, cholesky, forward};

/// How many parameters shape both branches.
pub(super) const SHAPES: usize = 6;

/// How many parameters a loop has; those of the branches come last here.
const ALL: usize = 9;

/// What is left of levels in which less than this share isn't straight is rounding.
const STRAIGHT: f64 = 1e-12;

/// Parameters of both branches: a, b, b′ of the falling one, then of the rising one.
pub(super) type Shapes = [f64; SHAPES];

/// The loop that a fit found: value at 0 V of its lower line, height, slope, and its shapes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub base: f64,
    pub height: f64,
    pub slope: f64,
    pub shapes: Shapes,
}

/// Memory that a worker keeps.
#[derive(Default)]
pub(super) struct Buffers {
    /// The data without their best straight line.
    pub target: Vec<f64>,
    levels: Vec<f64>,
    derivatives: [Vec<f64>; SHAPES],
    residuals: Vec<f64>,
    columns: [Vec<f64>; ALL],
    factor: Vec<f64>,
    line: Vec<f64>,
}

/// The parameters of one branch.
pub(super) fn branch_of(shapes: &[f64], number: usize) -> Shape {
    let first = 3 * number;
    [shapes[first], shapes[first + 1], shapes[first + 2]]
}

impl Found {
    /// The loop at the voltages of an axis.
    pub fn values(&self, axis: &Axis) -> Vec<f64> {
        let mut values = Vec::new();
        self.fill(axis, &mut values);
        values
    }

    fn fill(&self, axis: &Axis, values: &mut Vec<f64>) {
        values.clear();
        for number in [0, 1] {
            let shape = branch_of(&self.shapes, number);
            values.extend(axis.voltages[axis.branch(number)].iter().map(|voltage| {
                self.base + self.height * level(*voltage, shape) + self.slope * voltage
            }));
        }
    }

    /// Σ(y − f)² over values in the order of the branches.
    pub fn residual(&self, axis: &Axis, values: &[f64], work: &mut Buffers) -> f64 {
        self.fill(axis, &mut work.residuals);
        add_scaled(&mut work.residuals, -1.0, values);
        dot(&work.residuals, &work.residuals)
    }
}

/// The residuals of one loop.
pub(super) struct LoopResiduals<'a> {
    pub axis: &'a Axis,
    pub work: &'a mut Buffers,
}

impl Problem for LoopResiduals<'_> {
    fn linearise(&mut self, shapes: &[f64], equations: &mut NormalEquations) -> f64 {
        self.fill(shapes);
        let Buffers { target, levels, derivatives, residuals, .. } = &mut *self.work;
        let whole = dot(levels, levels);
        self.axis.straighten(levels);
        let bent = dot(levels, levels);
        let is_straight = bent <= STRAIGHT * STRAIGHT * whole;
        let height = if is_straight { 0.0 } else { dot(levels, target) / bent };
        residuals.copy_from_slice(target);
        add_scaled(residuals, -height, levels);
        scale(levels, bent.sqrt().recip());
        let wholes = derivatives.each_mut().map(|column| {
            scale(column, height);
            dot(column, column)
        });
        self.axis.straighten_each(derivatives.each_mut().map(Vec::as_mut_slice));
        equations.begin(SHAPES);
        for (at, whole) in wholes.into_iter().enumerate() {
            let (before, column) = derivatives.split_at_mut(at);
            let column = &mut column[0];
            let share = dot(levels, column);
            add_scaled(column, -share, levels);
            let rest = dot(column, column);
            if is_straight || rest <= STRAIGHT * STRAIGHT * whole {
                column.fill(0.0);
                continue;
            }
            equations.set(at, at, rest);
            equations.descent[at] = dot(column, residuals);
            for (other, earlier) in before.iter().enumerate() {
                equations.set(at, other, dot(earlier, column));
            }
        }
        dot(residuals, residuals)
    }
}

impl LoopResiduals<'_> {
    /// Takes the values of a loop, in the order of the branches.
    pub fn begin(&mut self, values: &[f64]) {
        let Buffers { target, levels, derivatives, residuals, .. } = &mut *self.work;
        target.clear();
        target.extend_from_slice(values);
        self.axis.straighten(target);
        for array in derivatives.iter_mut().chain([levels, residuals]) {
            array.resize(values.len(), 0.0);
        }
    }

    /// The levels of both branches with their derivatives, each of which is zero on the other
    /// branch.
    fn fill(&mut self, shapes: &[f64]) {
        let Buffers { levels, derivatives, .. } = &mut *self.work;
        let (branches, _) = derivatives.as_chunks_mut::<3>();
        for number in [0, 1] {
            let shape = branch_of(shapes, number);
            let other = self.axis.branch(1 - number);
            let branch = self.axis.branch(number);
            let [a, b, c] = branches[number].each_mut().map(|column| {
                column[other.clone()].fill(0.0);
                &mut column[branch.clone()]
            });
            let levels = &mut levels[branch.clone()];
            fill(&self.axis.voltages[branch], shape, levels, [a, b, c]);
        }
    }

    /// The straight line and the height that go best with some shapes.
    pub fn found(&mut self, values: &[f64], shapes: Shapes) -> Found {
        self.fill(&shapes);
        let Buffers { target, levels, residuals, .. } = &mut *self.work;
        let whole = dot(levels, levels);
        residuals.copy_from_slice(levels);
        self.axis.straighten(levels);
        let bent = dot(levels, levels);
        let is_straight = bent <= STRAIGHT * STRAIGHT * whole;
        let height = if is_straight { 0.0 } else { dot(levels, target) / bent };
        levels.copy_from_slice(values);
        add_scaled(levels, -height, residuals);
        let (base, slope) = self.axis.straighten(levels);
        Found { base, height, slope, shapes }
    }

    /// Variances of base, height, slope and shapes for noise of variance 1, from the covariance of
    /// all nine: 0 for a shape that is `held` at a bound, NaN for what the loop doesn't determine.
    /// If what one parameter changes is what others do, then all three of its branch are open, or
    /// of the straight line and the height.
    pub fn variances(&mut self, found: &Found, held: [bool; SHAPES]) -> [f64; ALL] {
        self.fill(&found.shapes);
        let Buffers { levels, derivatives, columns, factor, line, .. } = &mut *self.work;
        for (at, column) in columns.iter_mut().enumerate() {
            column.clear();
            match at {
                0 => column.resize(levels.len(), 1.0),
                1 => column.extend_from_slice(levels),
                2 => column.extend_from_slice(&self.axis.voltages),
                _ => {
                    column.resize(levels.len(), 0.0);
                    set_scaled(column, found.height, &derivatives[at - 3]);
                }
            }
        }
        let lengths = columns.each_ref().map(|column| dot(column, column).sqrt());
        let cosine = |one: usize, other: usize| match one == other {
            true => 1.0,
            false => dot(&columns[one], &columns[other]) / (lengths[one] * lengths[other]),
        };
        let mut variances = [f64::NAN; ALL];
        let mut is_open = [false; 3];
        let (mut free, mut count) = ([0; ALL], 0);
        for at in 0..ALL {
            if at >= 3 && held[at - 3] {
                variances[at] = 0.0;
            } else if lengths[at] > 0.0 {
                free[count] = at;
                if fill_factor(factor, &free[..=count], cosine) {
                    count += 1;
                } else {
                    is_open[at / 3] = true;
                }
            }
        }
        let free = &free[..count];
        fill_factor(factor, free, cosine);
        for (number, &at) in free.iter().enumerate().filter(|(_, at)| !is_open[**at / 3]) {
            line.clear();
            line.resize(count, 0.0);
            line[number] = lengths[at].recip();
            forward(factor, count, line);
            variances[at] = dot(line, line);
        }
        variances
    }
}

/// Factors the matrix of the cosines between some columns; false if one depends on the others.
fn fill_factor(
    factor: &mut Vec<f64>,
    columns: &[usize],
    cosine: impl Fn(usize, usize) -> f64,
) -> bool {
    factor.clear();
    for &row in columns {
        factor.extend(columns.iter().map(|&column| cosine(row, column)));
    }
    cholesky(factor, columns.len())
}
