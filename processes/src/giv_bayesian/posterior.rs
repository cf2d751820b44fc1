//! One sweep of the voltage: the posterior of conductance and capacitance.
//!
//! The current is i = A·s + noise. s has the conductance at M voltages, evenly from −v to v, v
//! being the highest of the sweep, and the capacitance. A row of A multiplies the two voltages
//! beside that of a value with it, in shares as a straight line between them has, and the
//! capacitance with what its current is per unit. The prior of the conductance is Gaussian with the
//! inverse covariance (1 + Δ³)/σ², Δ being the second difference over the square of the step, with
//! free ends. Then the posterior is Gaussian with the inverse covariance AᵀA/γ² + P and the same
//! for all currents: it is factored once, and a current is two products and two substitutions.

use pixelmill_core::process::Failure;

use crate::curve_fit::arrays::{add_scaled, dot};
use crate::least_squares::{cholesky, forward};

/// Mean of the conductance before anything is measured, in nS.
const PRIOR_MEAN: f64 = 3.0;

/// What is known of currents and conductances before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prior {
    /// Deviation of the noise of the current.
    pub noise: f64,
    /// Deviation of the conductance.
    pub conductance: f64,
    /// Deviation of the capacitance.
    pub capacitance: f64,
}

/// A sweep of the voltage upwards.
pub(super) struct Sweep {
    /// For each value of the current the first of its two voltages, and the factors of both.
    rows: Vec<(usize, [f64; 2])>,
    /// The current of a unit of capacitance at each value.
    charging: Vec<f64>,
    /// The voltages at which the conductance is found.
    pub voltages: Vec<f64>,
    /// Variances of the conductance at these, and of the capacitance at last.
    pub variances: Vec<f64>,
    /// P·m₀.
    prior: Vec<f64>,
    /// 1/γ².
    weight: f64,
    /// Square roots of the diagonal of the inverse covariance.
    scales: Vec<f64>,
    /// Its factor L over these, row by row, and the factor's mirror image.
    factor: Vec<f64>,
    mirrored: Vec<f64>,
}

impl Sweep {
    /// The sweep of voltages that rise, with the current of a unit of capacitance at each.
    ///
    /// # Errors
    /// If the inverse covariance can't be factored.
    pub fn new(
        bias: &[f64],
        charging: Vec<f64>,
        steps: usize,
        prior: Prior,
    ) -> Result<Self, Failure> {
        let highest = bias.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let step = 2.0 * highest / (steps as f64 - 1.0);
        let voltages: Vec<f64> = (0..steps).map(|at| at as f64 * step - highest).collect();
        let rows = bias.iter().map(|&voltage| {
            let place = ((voltage + highest) / step).floor().clamp(0.0, steps as f64 - 2.0);
            let first = place as usize;
            let share = (voltage - voltages[first]) / step;
            (first, [voltage * (1.0 - share), voltage * share])
        });
        let size = steps + 1;
        let mut sweep = Self {
            rows: rows.collect(),
            charging,
            voltages,
            variances: Vec::new(),
            prior: Vec::new(),
            weight: prior.noise.powi(-2),
            scales: Vec::new(),
            factor: Vec::new(),
            mirrored: Vec::new(),
        };
        let mut inverse = inverse_prior(steps, step, prior);
        sweep.prior = inverse
            .chunks_exact(size)
            .map(|row| PRIOR_MEAN * row[..steps].iter().sum::<f64>())
            .collect();
        sweep.add_data(&mut inverse);
        sweep.factor(inverse)?;
        Ok(sweep)
    }

    /// Adds AᵀA/γ².
    fn add_data(&self, inverse: &mut [f64]) {
        let size = self.voltages.len() + 1;
        for ((first, factors), charging) in self.rows.iter().zip(&self.charging) {
            let columns = [(*first, factors[0]), (first + 1, factors[1]), (size - 1, *charging)];
            for (row, left) in columns {
                for (column, right) in columns {
                    inverse[row * size + column] += self.weight * left * right;
                }
            }
        }
    }

    fn factor(&mut self, mut inverse: Vec<f64>) -> Result<(), Failure> {
        let size = self.voltages.len() + 1;
        self.scales = (0..size).map(|at| inverse[at * size + at].sqrt()).collect();
        for row in 0..size {
            for column in 0..size {
                inverse[row * size + column] /= self.scales[row] * self.scales[column];
            }
        }
        if !cholesky(&mut inverse, size) {
            return Err(Failure::new(
                "the posterior can't be told from rounding with so many voltages and such a \
                 prior; take fewer `num_x_steps` or a smaller `sigma`",
            ));
        }
        self.mirrored = vec![0.0; size * size];
        for row in 0..size {
            for column in 0..=row {
                self.mirrored[column * size + row] = inverse[row * size + column];
            }
        }
        let mut column = vec![0.0; size];
        for at in 0..size {
            column.fill(0.0);
            column[at] = self.scales[at].recip();
            forward(&inverse, size, &mut column);
            self.variances.push(dot(&column, &column));
        }
        self.factor = inverse;
        Ok(())
    }

    /// The posterior means for a current: conductances, and the capacitance at last.
    pub fn means(&self, current: &[f64], means: &mut Vec<f64>) {
        let size = self.voltages.len() + 1;
        means.clear();
        means.extend_from_slice(&self.prior);
        for ((first, factors), current) in self.rows.iter().zip(current) {
            means[*first] += self.weight * factors[0] * current;
            means[first + 1] += self.weight * factors[1] * current;
        }
        means[size - 1] += self.weight * dot(&self.charging, current);
        means.iter_mut().zip(&self.scales).for_each(|(value, scale)| *value /= scale);
        for row in 0..size {
            let line = &self.factor[row * size..][..=row];
            means[row] = (means[row] - dot(&line[..row], &means[..row])) / line[row];
        }
        for row in (0..size).rev() {
            let line = &self.mirrored[row * size..][..size];
            means[row] = (means[row] - dot(&line[row + 1..], &means[row + 1..])) / line[row];
        }
        means.iter_mut().zip(&self.scales).for_each(|(value, scale)| *value /= scale);
    }

    /// The current that some means say.
    pub fn current(&self, means: &[f64], current: &mut Vec<f64>) {
        current.clear();
        let [conductances @ .., capacitance] = means else { return };
        current.extend(self.rows.iter().map(|(first, factors)| {
            factors[0] * conductances[*first] + factors[1] * conductances[first + 1]
        }));
        add_scaled(current, *capacitance, &self.charging);
    }
}

/// The inverse covariance of the prior.
fn inverse_prior(steps: usize, step: f64, prior: Prior) -> Vec<f64> {
    let size = steps + 1;
    let weight = prior.conductance.powi(-2);
    let mut inverse = vec![0.0; size * size];
    let mut column = vec![0.0; steps];
    for at in 0..steps {
        column.fill(0.0);
        column[at] = 1.0;
        for _ in 0..3 {
            column = second_differences(&column, step);
        }
        column[at] += 1.0;
        for (row, value) in column.iter().enumerate() {
            inverse[row * size + at] = weight * value;
        }
    }
    inverse[size * size - 1] = prior.capacitance.powi(-2);
    inverse
}

/// Δ of some values: their second differences, the first at both ends, over the squared step, with
/// the sign turned.
fn second_differences(values: &[f64], step: f64) -> Vec<f64> {
    let at = |index: usize| values.get(index).copied();
    let difference = |index: usize| {
        let own = values[index];
        let before = index.checked_sub(1).and_then(at).map_or(0.0, |before| own - before);
        let after = at(index + 1).map_or(0.0, |after| own - after);
        (before + after) / (step * step)
    };
    (0..values.len()).map(difference).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::{DMatrix, DVector};

    const PRIOR: Prior = Prior { noise: 0.03, conductance: 10.0, capacitance: 1.0 };
    const STEPS: usize = 11;

    fn bias() -> Vec<f64> {
        (0..24).map(|at| -4.0 * libm::cos(std::f64::consts::PI * f64::from(at) / 23.0)).collect()
    }

    fn sweep() -> Sweep {
        let charging = bias().iter().map(|voltage| 3.0 - voltage * voltage / 6.0).collect();
        Sweep::new(&bias(), charging, STEPS, PRIOR).unwrap()
    }

    /// A and the inverse covariance of the prior, as they are defined.
    fn dense(sweep: &Sweep) -> (DMatrix<f64>, DMatrix<f64>) {
        let mut a = DMatrix::zeros(24, STEPS + 1);
        for (row, voltage) in bias().iter().enumerate() {
            for column in 0..STEPS {
                let distance = (voltage - sweep.voltages[column]).abs() / 0.8;
                a[(row, column)] = voltage * (1.0 - distance).max(0.0);
            }
            a[(row, STEPS)] = sweep.charging[row];
        }
        let mut second = DMatrix::zeros(STEPS, STEPS);
        for at in 0..STEPS {
            second[(at, at)] = if at == 0 || at == STEPS - 1 { 1.0 } else { 2.0 };
            if at > 0 {
                (second[(at, at - 1)], second[(at - 1, at)]) = (-1.0, -1.0);
            }
        }
        second /= 0.64;
        let mut prior = DMatrix::zeros(STEPS + 1, STEPS + 1);
        let smooth = (DMatrix::identity(STEPS, STEPS) + second.pow(3)) / 100.0;
        prior.view_mut((0, 0), (STEPS, STEPS)).copy_from(&smooth);
        prior[(STEPS, STEPS)] = 1.0;
        (a, prior)
    }

    #[test]
    fn the_posterior_is_that_of_bayes_theorem() {
        let sweep = sweep();
        let (a, prior) = dense(&sweep);
        let current = DVector::from_fn(24, |at, _| (at as f64 * 0.7).sin() * 5.0 + 1.0);
        let weight = 0.03_f64.powi(-2);
        let covariance = (a.transpose() * &a * weight + &prior).try_inverse().unwrap();
        let mut mean = DVector::from_element(STEPS + 1, 3.0);
        mean[STEPS] = 0.0;
        let expected = &covariance * (a.transpose() * &current * weight + prior * mean);
        let (mut means, mut rebuilt) = (Vec::new(), Vec::new());
        sweep.means(current.as_slice(), &mut means);
        for at in 0..=STEPS {
            assert!((means[at] - expected[at]).abs() < 1e-8 * expected.amax(), "{at}: {means:?}");
            let off = (sweep.variances[at] - covariance[(at, at)]).abs();
            assert!(off < 1e-8 * covariance[(at, at)], "{at}");
        }
        sweep.current(&means, &mut rebuilt);
        let expected = a * expected;
        assert!((DVector::from_vec(rebuilt) - &expected).amax() < 1e-8 * expected.amax());
    }

    #[test]
    fn ohms_law_and_a_capacitance_are_found() {
        let sweep = sweep();
        let current: Vec<f64> = bias()
            .iter()
            .zip(&sweep.charging)
            .map(|(voltage, unit)| 3.0 * voltage + 0.2 * unit)
            .collect();
        let (mut means, mut rebuilt) = (Vec::new(), Vec::new());
        sweep.means(&current, &mut means);
        assert!(means[..STEPS].iter().all(|conductance| (conductance - 3.0).abs() < 1e-4));
        assert!((means[STEPS] - 0.2).abs() < 1e-4, "{means:?}");
        sweep.current(&means, &mut rebuilt);
        assert!(rebuilt.iter().zip(&current).all(|(found, given)| (found - given).abs() < 1e-3));
    }

    #[test]
    fn what_rounding_leaves_nothing_of_is_refused() {
        // Of millivolts the third power of the second differences is 1e20 times what else is known.
        let bias: Vec<f64> = bias().iter().map(|voltage| 1e-3 * voltage).collect();
        let refused = Sweep::new(&bias, vec![1.0; 24], STEPS, PRIOR).err().unwrap();
        assert!(refused.to_string().contains("num_x_steps"));
    }
}
