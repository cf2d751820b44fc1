//! What the parameters of a loop say of the material: BGlib's loop parameters.

use std::f64::consts::FRAC_2_SQRT_PI;

/// Names of the fields.
pub(super) const NAMES: [&str; 9] = [
    "V+",
    "V-",
    "Imprint",
    "R+",
    "R-",
    "Switchable Polarization",
    "Work of Switching",
    "Nucleation Bias 1",
    "Nucleation Bias 2",
];

/// The fields in their order.
pub(super) type Switching = [f64; 9];

/// What BGlib writes where there is no nucleation bias.
const NONE: f64 = -1e-10;

/// The loop parameters of a fit. A nucleation bias is where the rising branch has switched by
/// `threshold`, and the falling one by all but that.
pub(super) fn of(fit: &[f64; 9], threshold: f64) -> Switching {
    let [base, height, falling, rising, _, b0, b1, b2, b3] = *fit;
    [
        rising,
        falling,
        (falling + rising) / 2.0,
        base + height,
        base,
        height,
        (rising - falling).abs() * height.abs(),
        nucleation([b2, b3], threshold, rising),
        nucleation([b0, b1], 1.0 - threshold, falling),
    ]
}

/// Where a branch has reached a level: with the width below the coercive voltage, or, where it has
/// none there, with that above.
fn nucleation([below, above]: [f64; 2], level: f64, coercive: f64) -> f64 {
    let place =
        |width: f64| width * inverse_erf((level * (below + above) - below) / width) + coercive;
    [place(below), place(above)].into_iter().find(|place| place.is_finite()).unwrap_or(NONE)
}

/// The inverse of the error function, infinite at ±1 and NaN beyond.
fn inverse_erf(value: f64) -> f64 {
    if value.abs() > 1.0 || value.is_nan() {
        return f64::NAN;
    }
    if value.abs() == 1.0 {
        return value * f64::INFINITY;
    }
    // By bisection of [0, 6] to a tenth, and Newton's steps with Halley's correction from there on.
    let size = value.abs();
    let (mut least, mut most) = (0.0, 6.0);
    while most - least > 0.1 {
        let middle = 0.5 * (least + most);
        if libm::erf(middle) < size { least = middle } else { most = middle }
    }
    let mut place: f64 = 0.5 * (least + most);
    for _ in 0..6 {
        // Of what is near 1 the complement has all the digits.
        let excess =
            if size < 0.5 { libm::erf(place) - size } else { (1.0 - size) - libm::erfc(place) };
        let step = excess / (FRAC_2_SQRT_PI * libm::exp(-place * place));
        place -= step / (1.0 + place * step);
    }
    place.copysign(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inverse_is_that_of_the_error_function() {
        for step in -999..1000 {
            let value = f64::from(step) * 1e-3;
            let off = (libm::erf(inverse_erf(value)) - value).abs();
            assert!(off < 1e-15, "{value}: {off:e}");
        }
        // SciPy's erfinv.
        for (value, expected) in [(1e-9, 8.862269254527582e-10), (1.0 - 1e-12, 5.042031898572696)] {
            let found = inverse_erf(value);
            assert!((found - expected).abs() < 1e-9 * expected, "{value}: {found}");
        }
        assert_eq!(inverse_erf(-1.0), f64::NEG_INFINITY);
        assert!(inverse_erf(1.5).is_nan());
    }

    #[test]
    fn loop_parameters_are_bglibs() {
        // `calc_switching_coef_vec` of BGlib 0.0.6 with a threshold of 0.03.
        let fit = [-1.1, 2.1, -2.2, 1.7, 0.02, 0.8, 1.6, 2.1, 0.6];
        let expected =
            [1.7, -2.2, -0.25, 1.0, -1.1, 2.1, 8.19, -1.3719073526444114, 0.06800762215994949];
        for (found, expected) in of(&fit, 0.03).iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        assert_eq!(of(&fit, 0.0)[7..], [NONE, NONE]);
    }
}
