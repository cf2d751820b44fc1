//! The least squares of a spectrum: Levenberg–Marquardt over the resonance and the loss 1/Q.
//!
//! For each pair of them the best complex amplitude is known exactly (variable projection; Golub &
//! Pereyra 1973, SIAM J. Numer. Anal. 10, 413, in Kaufman's form, 1975, BIT 15, 49), so the search
//! has two dimensions, not four, and needs no start for amplitude and phase. The minimum is that of
//! all four.

use num_complex::Complex64;

use super::response::{Band, Denominator, Signal, Sums};

/// Steps that are shorter than this part of the resonance's half width, and of the loss, end the
/// search: far below what noise leaves open, far above rounding.
const TOLERANCE: f64 = 1e-9;

/// Differences of the sum of squares below this part of Σ|y|² are rounding.
const ROUNDING: f64 = 16.0 * f64::EPSILON;

/// Damping at the beginning, its least, and what it is multiplied with after a good and a bad step.
const DAMPING: (f64, f64, [f64; 2]) = (1e-3, 1e-15, [0.1, 8.0]);

/// Within what is searched: resonance, in units of the band's reference, and loss, 1/Q.
#[derive(Clone, Debug)]
pub(super) struct SearchRange {
    pub least: [f64; 2],
    pub most: [f64; 2],
}

impl SearchRange {
    /// The nearest place within the bounds.
    pub fn clamp(&self, place: [f64; 2]) -> [f64; 2] {
        [0, 1].map(|at| place[at].clamp(self.least[at], self.most[at]))
    }
}

/// The least squares for one pair of resonance and loss.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trial {
    /// Resonance and loss.
    pub at: [f64; 2],
    /// N, the best numerator.
    pub factor: Complex64,
    /// Σ|y|² − Σ|y − N·h|².
    explained: f64,
    /// Jᵀr: how the sum of squares falls.
    slope: [f64; 2],
    /// JᵀJ without what the factor takes up: (resonance, resonance), (resonance, loss), (loss,
    /// loss).
    curvature: [f64; 3],
    sums: Sums,
}

/// Variances of the parameters, each for noise of variance 1.
pub(super) struct Variances {
    pub resonance: f64,
    pub loss: f64,
    /// Of the amplitude, relative to it.
    pub amplitude: f64,
    /// Of the phase.
    pub phase: f64,
}

impl Trial {
    pub fn new(band: &Band, signal: &Signal, at: [f64; 2]) -> Self {
        let [resonance, loss] = at;
        let sums = band.sums(signal, Denominator::new(resonance, loss));
        let factor = sums.h_y / sums.h_h;
        let power = factor.norm_sqr();
        // By k and γ first.
        let slope = [
            (factor.conj() * (sums.hh_y - factor * sums.h_hh.conj())).re,
            (factor.conj() * (sums.xhh_y - factor * sums.h_xhh.conj())).im,
        ];
        let curvature = [
            power * (sums.hh_hh - sums.h_hh.norm_sqr() / sums.h_h),
            power * (sums.h_hh.conj() * sums.h_xhh).im / sums.h_h,
            power * (sums.xhh_xhh - sums.h_xhh.norm_sqr() / sums.h_h),
        ];
        // ∂k/∂x₀ = 2x₀, ∂γ/∂x₀ = 1/Q, ∂γ/∂(1/Q) = x₀.
        let twice = 2.0 * resonance;
        Self {
            at,
            factor,
            explained: sums.h_y.norm_sqr() / sums.h_h,
            slope: [twice * slope[0] + loss * slope[1], resonance * slope[1]],
            curvature: [
                twice * twice * curvature[0]
                    + 2.0 * twice * loss * curvature[1]
                    + loss * loss * curvature[2],
                resonance * (twice * curvature[1] + loss * curvature[2]),
                resonance * resonance * curvature[2],
            ],
            sums,
        }
    }

    /// The damped step from here, and whether each parameter may move; a parameter at a bound that
    /// would leave it stays.
    fn step(&self, damping: f64, bounds: &SearchRange) -> [f64; 2] {
        let free = [0, 1].map(|at| {
            let blocked = if self.slope[at] > 0.0 { bounds.most[at] } else { bounds.least[at] };
            self.at[at] != blocked && self.slope[at] != 0.0
        });
        let [a, b, c] = self.curvature;
        let (a, c) = (a * (1.0 + damping), c * (1.0 + damping));
        let determinant = a * c - b * b;
        let step = match free {
            [true, true] if determinant > 0.0 => [
                (c * self.slope[0] - b * self.slope[1]) / determinant,
                (a * self.slope[1] - b * self.slope[0]) / determinant,
            ],
            [first, second] => [
                if first { self.slope[0] / a } else { 0.0 },
                if second { self.slope[1] / c } else { 0.0 },
            ],
        };
        step.map(|length| if length.is_finite() { length } else { 0.0 })
    }

    /// What noise of variance 1 in each quadrature makes of the parameters, to first order.
    pub fn variances(&self) -> Variances {
        let [a, b, c] = self.curvature;
        let determinant = a * c - b * b;
        let covariance = [c / determinant, -b / determinant, a / determinant];
        let [resonance, loss] = self.at;
        // ln(A·e^{iφ}) = ln N − ln k, and N follows the shape as −(Σh̄·h²·δk + i·Σx·h̄·h²·δγ)/Σ|h|².
        let by_square = -(self.sums.h_hh / self.sums.h_h + 1.0 / (resonance * resonance));
        let by_damping = -Complex64::i() * self.sums.h_xhh / self.sums.h_h;
        let by_resonance = by_square * 2.0 * resonance + by_damping * loss;
        let by_loss = by_damping * resonance;
        let own = 1.0 / (self.sums.h_h * self.factor.norm_sqr());
        let carried = |by_resonance: f64, by_loss: f64| {
            own + by_resonance * by_resonance * covariance[0]
                + 2.0 * by_resonance * by_loss * covariance[1]
                + by_loss * by_loss * covariance[2]
        };
        Variances {
            resonance: covariance[0],
            loss: covariance[2],
            amplitude: carried(by_resonance.re, by_loss.re),
            phase: carried(by_resonance.im, by_loss.im),
        }
    }
}

/// The nearest minimum from `start` on; `None` if it isn't reached after so many steps.
pub(super) fn minimum(
    band: &Band,
    signal: &Signal,
    bounds: &SearchRange,
    start: [f64; 2],
    most_steps: usize,
) -> Option<Trial> {
    let mut here = Trial::new(band, signal, bounds.clamp(start));
    let (mut damping, least, [good, bad]) = DAMPING;
    for _ in 0..most_steps {
        let step = here.step(damping, bounds);
        let [resonance, loss] = here.at;
        let there = bounds.clamp([resonance + step[0], loss + step[1]]);
        let moved = [(there[0] - resonance) / (resonance * loss), (there[1] - loss) / loss];
        if moved.iter().all(|part| part.abs() <= TOLERANCE) {
            return Some(here);
        }
        let there = Trial::new(band, signal, there);
        if there.explained >= here.explained - ROUNDING * signal.power {
            here = there;
            damping = (damping * good).max(least);
        } else {
            damping *= bad;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: SearchRange = SearchRange { least: [0.9, 1e-4], most: [1.1, 1.0] };

    /// An oscillator with something that isn't one on top.
    fn spectrum() -> (Band, Signal) {
        let frequencies: Vec<f64> = (0..61).map(|at| 300.0 + f64::from(at)).collect();
        let band = Band::new(&frequencies);
        let oscillator = crate::sho_fit::Oscillator {
            amplitude: 2.0,
            frequency: 326.3,
            quality: 31.0,
            phase: 0.8,
        };
        let values: Vec<Complex64> = frequencies
            .iter()
            .map(|at| oscillator.response(*at) + Complex64::from_polar(3.0, at * at))
            .collect();
        let mut signal = Signal::default();
        assert!(signal.take(&values));
        (band, signal)
    }

    #[test]
    fn the_slope_is_that_of_the_sum_of_squares() {
        let (band, signal) = spectrum();
        let at = [1.01, 0.05];
        let slope = Trial::new(&band, &signal, at).slope;
        for parameter in 0..2 {
            let explained = |step: f64| {
                let mut beside = at;
                beside[parameter] += step;
                Trial::new(&band, &signal, beside).explained
            };
            let expected = (explained(1e-6) - explained(-1e-6)) / 4e-6;
            let found = slope[parameter];
            assert!((found - expected).abs() <= 1e-6 * expected.abs(), "{found} {expected}");
        }
    }

    #[test]
    fn the_search_ends_where_there_is_no_slope() {
        let (band, signal) = spectrum();
        let found = minimum(&band, &signal, &BOUNDS, [0.95, 0.5], 100).unwrap();
        let [a, _, c] = found.curvature;
        assert!(found.slope[0].abs() < 1e-7 * (a * signal.power).sqrt(), "{found:?}");
        assert!(found.slope[1].abs() < 1e-7 * (c * signal.power).sqrt(), "{found:?}");
        assert!((found.at[0] * band.reference - 326.3).abs() < 1.0, "{found:?}");
        assert!(minimum(&band, &signal, &BOUNDS, [0.95, 0.5], 2).is_none(), "steps are counted");
    }

    #[test]
    fn at_a_bound_the_other_parameter_is_at_its_best() {
        let (band, signal) = spectrum();
        let bounds = SearchRange { most: [0.98, 1.0], ..BOUNDS };
        let found = minimum(&band, &signal, &bounds, [0.95, 0.5], 100).unwrap();
        assert_eq!(found.at[0], 0.98);
        assert!(found.slope[0] > 0.0, "beyond the bound is better");
        assert!(found.slope[1].abs() < 1e-7 * (found.curvature[2] * signal.power).sqrt());
    }
}
