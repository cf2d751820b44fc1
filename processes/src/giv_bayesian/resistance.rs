//! The resistance that a Gaussian conductance has.
//!
//! 1/s of a Gaussian s has no mean, since s may be 0. Where its mean m is so many deviations d away
//! from 0 that this doesn't happen, mean and variance are those of their asymptotic series in
//! ε² = d²/m²: E(1/s) = Σ (2k − 1)!!·ε²ᵏ/m, E(1/s²) = Σ (2k + 1)!!·ε²ᵏ/m².

/// Deviations from 0 below which a conductance isn't told from it.
pub(super) const TOLD: f64 = 5.0;

/// Terms of the series, whose rest is smallest there at `TOLD`: below 1e-5 of the mean, and 1 % of
/// the variance.
const TERMS: usize = 11;

/// Coefficients of E(1/s)·m, and of (E(1/s²) − E(1/s)²)·m²/ε².
const SERIES: ([f64; TERMS], [f64; TERMS]) = series();

const fn series() -> ([f64; TERMS], [f64; TERMS]) {
    // (2k − 1)!!
    let mut odd = [1.0; TERMS + 2];
    let mut k = 1;
    while k < TERMS + 2 {
        odd[k] = odd[k - 1] * (2 * k - 1) as f64;
        k += 1;
    }
    let (mut mean, mut variance) = ([0.0; TERMS], [0.0; TERMS]);
    k = 0;
    while k < TERMS {
        mean[k] = odd[k];
        variance[k] = odd[k + 2];
        let mut j = 0;
        while j <= k + 1 {
            variance[k] -= odd[j] * odd[k + 1 - j];
            j += 1;
        }
        k += 1;
    }
    (mean, variance)
}

/// Mean and variance of the resistance for those of the conductance; NaN where this isn't told from
/// 0.
pub(super) fn of(mean: f64, variance: f64) -> (f64, f64) {
    let share = variance / (mean * mean);
    if share.is_nan() || share > TOLD.powi(-2) {
        return (f64::NAN, f64::NAN);
    }
    let sum = |coefficients: &[f64; TERMS]| {
        coefficients.iter().rev().fold(0.0, |sum, coefficient| sum * share + coefficient)
    };
    (sum(&SERIES.0) / mean, share * sum(&SERIES.1) / (mean * mean))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_variance_are_those_of_the_integral() {
        for (mean, deviation, allowed) in
            [(2.0, 1e-3, 1e-9), (-0.3, 0.01, 1e-9), (1.0, 0.1, 1e-6), (4.0, 0.79, 2e-2)]
        {
            // Over all that is more than a tenth of the mean away from 0.
            let (mut weights, mut first, mut second) = (0.0, 0.0, 0.0);
            for step in -80_000..80_000 {
                let u = f64::from(step) * 1e-4;
                let value: f64 = mean + deviation * u;
                if value / mean > 0.1 {
                    let weight = libm::exp(-0.5 * u * u);
                    weights += weight;
                    first += weight / value;
                    second += weight / value / value;
                }
            }
            let (first, second) = (first / weights, second / weights);
            let (found, variance) = of(mean, deviation * deviation);
            assert!(
                (found - first).abs() < allowed * first.abs(),
                "{mean} {deviation}: {found} {first}"
            );
            let expected = second - first * first;
            let off = (variance - expected).abs() / expected;
            assert!(off < allowed.max(1e-6), "{mean} {deviation}: {variance} {expected}");
        }
    }

    #[test]
    fn what_is_not_told_from_0_has_no_resistance() {
        for (mean, variance) in [(0.0, 0.1), (0.0, 0.0), (1.0, 0.05), (f64::NAN, 1.0)] {
            let (resistance, of_it) = of(mean, variance);
            assert!(resistance.is_nan() && of_it.is_nan(), "{mean} {variance}");
        }
        assert_eq!(of(4.0, 0.0), (0.25, 0.0));
    }
}
