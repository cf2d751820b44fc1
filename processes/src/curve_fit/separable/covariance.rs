//! The covariance of linear and shape parameters together, from what is orthogonalised at the
//! minimum.

use super::{Buffers, State};
use crate::least_squares::{Bounds, NormalEquations, cholesky, forward};

impl Buffers {
    /// Variances of the linear and of the shape parameters for residuals of variance 1, from the
    /// whole covariance (ΦᵀΦ … of both kinds together). 0 for what is held at a bound, NaN for what
    /// the spectrum doesn't determine.
    pub fn variances(
        &mut self,
        equations: &NormalEquations,
        shape: &[f64],
        bounds: Bounds<'_>,
        variances: &mut Vec<f64>,
    ) {
        let (count, shapes) = (self.linear.len(), shape.len());
        let is_held = |at: usize| bounds.holds(at, shape[at], equations.descent[at]);
        let free: Vec<usize> =
            (0..shapes).filter(|&at| equations.element(at, at) > 0.0 && !is_held(at)).collect();
        let scales: Vec<f64> =
            free.iter().map(|&at| equations.element(at, at).sqrt().recip()).collect();
        self.factor.clear();
        for (&row, scale) in free.iter().zip(&scales) {
            let line = free.iter().zip(&scales);
            self.factor.extend(
                line.map(|(&column, other)| equations.element(row, column) * scale * other),
            );
        }
        let is_determined = cholesky(&mut self.factor, free.len());
        variances.clear();
        variances.resize(count + shapes, f64::NAN);
        for at in 0..shapes {
            if is_held(at) {
                variances[count + at] = 0.0;
            }
        }
        for (number, &at) in free.iter().enumerate() {
            self.line.clear();
            self.line.resize(free.len(), 0.0);
            self.line[number] = scales[number];
            forward(&self.factor, free.len(), &mut self.line);
            if is_determined {
                variances[count + at] = self.line.iter().map(|value| value * value).sum();
            }
        }
        for (at, variance) in variances[..count].iter_mut().enumerate() {
            *variance = match self.state[at] {
                State::Held => 0.0,
                State::Dependent => f64::NAN,
                State::Free if is_determined => {
                    self.linear_variance(at, count, shapes, &free, &scales)
                }
                State::Free => f64::NAN,
            };
        }
    }

    /// With w the row of R⁻¹ for this parameter: |w|² + |L⁻¹·S·w·…|², S being Qᵀ times the
    /// derivatives.
    fn linear_variance(
        &mut self,
        at: usize,
        count: usize,
        shapes: usize,
        free: &[usize],
        scales: &[f64],
    ) -> f64 {
        // Row `at` of R⁻¹, as R is upper triangular: w·R = e.
        let is_free = |at: &usize| self.state[*at] == State::Free;
        let row = &mut self.solution;
        row.fill(0.0);
        for column in (at..count).filter(is_free) {
            let known: f64 =
                (at..column).filter(is_free).map(|k| row[k] * self.r[k * count + column]).sum();
            let unit = if column == at { 1.0 } else { 0.0 };
            row[column] = (unit - known) / self.r[column * count + column];
        }
        self.line.clear();
        for (&shape, scale) in free.iter().zip(scales) {
            let along = |k: usize| row[k] * self.projected[k * shapes + shape];
            let along: f64 = (at..count).filter(is_free).map(along).sum();
            self.line.push(along * scale);
        }
        let alone: f64 = row.iter().map(|value| value * value).sum();
        forward(&self.factor, free.len(), &mut self.line);
        alone + self.line.iter().map(|value| value * value).sum::<f64>()
    }
}
