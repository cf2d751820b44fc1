//! One branch of a loop: how far the polarisation has switched at each voltage, and the derivatives
//! of that.
//!
//! y(V) = (g·erf((V − a)/g) + b)/(b + b′) goes from 0 far below the coercive voltage a to 1 far
//! above it. Below a the width g is b, above it b′, and it goes over from one to the other as the
//! error function does, within some thousandths of a volt: g = b + (b′ − b)·(erf(1000·(V − a)) +
//! 1)/2.

use std::f64::consts::FRAC_2_SQRT_PI;

use multiversion::multiversion;

use crate::curve_fit::arrays::exp;

/// How steeply one width goes over into the other, per volt.
const STEEPNESS: f64 = 1000.0;

/// At this distance from the coercive voltage one width has gone over into the other.
const GONE_OVER: f64 = SATURATED / STEEPNESS;

/// From here on the error function is ±1 to the last digit.
const SATURATED: f64 = 6.0;

/// Coefficients of p, from the constant on.
const COMPLEMENT: [f64; 18] = [
    0.3036713764373404,
    -0.3477368290338971,
    0.20597984467284183,
    -0.09621600075397997,
    0.03503103261256183,
    -0.009543468657846613,
    0.0017358663944552395,
    -0.00012320717745487896,
    -3.00702657105179e-05,
    8.099417453143384e-06,
    2.283886993068817e-07,
    -3.227956912603932e-07,
    5.9441616684340694e-09,
    1.3508383241353444e-08,
    -2.8178002581978824e-10,
    -6.36629168871617e-10,
    -2.3004264326889666e-12,
    2.9932204629404694e-11,
];

/// Parameters of a branch: a, b, b′.
pub(super) type Shape = [f64; 3];

/// y and its derivatives by a, b and b′ at all voltages of a branch.
///
/// Almost none of them is so near to the coercive voltage that the widths go over into each other
/// there. So the others are computed as if they did so at once, several at a time.
pub(super) fn fill(voltages: &[f64], shape: Shape, levels: &mut [f64], by: [&mut [f64]; 3]) {
    let [by_coercive, by_below, by_above] = by;
    fill_apart(voltages, shape, levels, by_coercive, by_below, by_above);
    for (at, voltage) in voltages.iter().enumerate() {
        if (voltage - shape[0]).abs() < GONE_OVER {
            (levels[at], [by_coercive[at], by_below[at], by_above[at]]) = switched(*voltage, shape);
        }
    }
}

/// The same where no voltage is near to the coercive one.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2", "x86_64+avx2"))]
fn fill_apart(
    voltages: &[f64],
    [coercive, below, above]: Shape,
    levels: &mut [f64],
    by_coercive: &mut [f64],
    by_below: &mut [f64],
    by_above: &mut [f64],
) {
    let scale = (below + above).recip();
    let (to_below, to_above) = (below.recip(), above.recip());
    let derivatives = by_coercive.iter_mut().zip(by_below).zip(by_above);
    for ((voltage, level), ((by_coercive, by_below), by_above)) in
        voltages.iter().zip(levels).zip(derivatives)
    {
        let distance = voltage - coercive;
        let is_above = distance > 0.0;
        let width = if is_above { above } else { below };
        let place = distance * if is_above { to_above } else { to_below };
        let (erf, bell) = erf(place);
        let by_width = erf - place * bell;
        let value = (width * erf + below) * scale;
        *level = value;
        *by_coercive = -bell * scale;
        *by_below = (if is_above { 0.0 } else { by_width } + 1.0 - value) * scale;
        *by_above = (if is_above { by_width } else { 0.0 } - value) * scale;
    }
}

/// y and its derivatives by a, b and b′ at a voltage.
fn switched(voltage: f64, [coercive, below, above]: Shape) -> (f64, [f64; 3]) {
    let distance = voltage - coercive;
    let (step, slope) = transition(distance);
    let width = below + (above - below) * step;
    let scale = (below + above).recip();
    let place = distance / width;
    let (erf, bell) = erf(place);
    let value = (width * erf + below) * scale;
    let by_width = erf - place * bell;
    let by_coercive = -(bell + by_width * (above - below) * slope) * scale;
    let by_below = (by_width * (1.0 - step) + 1.0 - value) * scale;
    let by_above = (by_width * step - value) * scale;
    (value, [by_coercive, by_below, by_above])
}

/// y alone.
pub(super) fn level(voltage: f64, [coercive, below, above]: Shape) -> f64 {
    let distance = voltage - coercive;
    let width = below + (above - below) * transition(distance).0;
    (width * erf(distance / width).0 + below) * (below + above).recip()
}

/// (erf(1000·x) + 1)/2 and its derivative.
fn transition(distance: f64) -> (f64, f64) {
    let (erf, bell) = erf(STEEPNESS * distance);
    (0.5 * (erf + 1.0), 0.5 * STEEPNESS * bell)
}

/// The error function to within 1e-15, and its derivative, without a branch.
///
/// 1 − e^{−x²}·p((13·x − 21)/(6·x + 21)), p being the polynomial nearest to e^{x²}·erfc(x) from 0
/// to 6 in the least squares at 4001 points of Chebyshev.
#[inline(always)]
fn erf(place: f64) -> (f64, f64) {
    let size = place.abs();
    let size = if size < SATURATED { size } else { SATURATED };
    let at = (13.0 * size - 21.0) / (6.0 * size + 21.0);
    let square = at * at;
    let (mut even, mut odd) = (0.0, 0.0);
    for [factor, next] in COMPLEMENT.as_chunks().0.iter().rev() {
        even = even * square + factor;
        odd = odd * square + next;
    }
    let bell = exp(-size * size);
    let value = (1.0 - bell * (even + at * odd)).copysign(place);
    (value, if size < SATURATED { FRAC_2_SQRT_PI * bell } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_goes_from_0_to_1_and_is_continuous_at_the_coercive_voltage() {
        for shape in [[1.5, 0.3, 2.0], [-2.0, 1e-3, 1e-3], [0.0, 100.0, 0.5]] {
            assert_eq!(level(-1e4, shape), 0.0);
            assert!((level(1e4, shape) - 1.0).abs() < 1e-15);
            let at = shape[1] / (shape[1] + shape[2]);
            assert!((level(shape[0], shape) - at).abs() < 1e-15);
            let mut last = 0.0;
            for step in -4000..4000 {
                let next = level(f64::from(step) * 5e-3, shape);
                assert!(next >= last, "{shape:?}");
                last = next;
            }
        }
    }

    #[test]
    fn the_error_function_is_that_of_the_library() {
        for step in -80_000..80_000 {
            let place = f64::from(step) * 1e-4;
            let (found, bell) = erf(place);
            assert!((found - libm::erf(place)).abs() < 1.2e-15, "{place}");
            assert!((bell - FRAC_2_SQRT_PI * libm::exp(-place * place)).abs() < 1e-15, "{place}");
        }
    }

    #[test]
    fn many_voltages_at_once_give_what_each_gives_alone() {
        let voltages: Vec<f64> = (-2000..2000).map(|at| f64::from(at) * 0.0011).collect();
        for shape in [[0.3, 0.3, 2.0], [-0.7, 1.0, 1.0], [0.0, 1e-3, 0.05], [1.0, 40.0, 2e-3]] {
            let mut found = [(); 4].map(|()| vec![0.0; voltages.len()]);
            let [levels, a, b, c] = &mut found;
            fill(&voltages, shape, levels, [a, b, c]);
            for (at, voltage) in voltages.iter().enumerate() {
                let (expected, slopes) = switched(*voltage, shape);
                assert!((found[0][at] - expected).abs() < 1e-14, "{shape:?} {voltage}");
                assert_eq!(level(*voltage, shape), expected);
                for part in 0..3 {
                    let off = (found[1 + part][at] - slopes[part]).abs();
                    assert!(off < 1e-11 * (1.0 + slopes[part].abs()), "{shape:?} {voltage} {part}");
                }
            }
        }
    }

    #[test]
    fn values_are_those_of_bglibs_function() {
        // `loop_fit_function` of BGlib 0.0.6 with a0 = 0, a1 = 1, a4 = 0.
        for (voltage, shape, expected) in [
            (0.1004, [1.5, 0.3, 2.0], 5.443906195400023e-12),
            (1.4991, [1.5, 0.3, 2.0], 0.12999324346831104),
            (1.7, [1.5, 0.3, 2.0], 0.22822862262459556),
            (-3.0, [-0.7, 1.0, 1.0], 0.0005715882986783161),
            (1.7, [-0.7, 1.0, 1.0], 0.9996557430516775),
            (-3.0, [0.2, 40.0, 0.05], 0.9087858917942391),
            (0.1996, [0.2, 40.0, 0.05], 0.9987402908447738),
            (0.2013, [0.2, 40.0, 0.05], 0.9987881870780471),
            (0.1004, [0.1, 0.002, 0.009], 0.22280552661569375),
            (1.4991, [0.1, 0.002, 0.009], 1.0),
        ] {
            let found = level(voltage, shape);
            assert!((found - expected).abs() < 1e-14, "{voltage} {shape:?}: {found} {expected}");
            assert_eq!(switched(voltage, shape).0, found);
        }
    }

    #[test]
    fn derivatives_are_those_of_the_level() {
        let shapes = [[1.5, 0.3, 2.0], [-0.7, 1.0, 1.0], [0.2, 40.0, 0.05], [0.1, 2e-3, 9e-3]];
        for shape in shapes {
            for voltage in [-8.0, -1.0, -0.701, 0.0, 0.1004, 0.1996, 0.2013, 1.4991, 1.7, 6.0] {
                let (_, derivatives) = switched(voltage, shape);
                for parameter in 0..3 {
                    let beside = |step: f64| {
                        let mut shape = shape;
                        shape[parameter] += step;
                        level(voltage, shape)
                    };
                    let step = 1e-6;
                    let expected = (beside(step) - beside(-step)) / (2.0 * step);
                    let found = derivatives[parameter];
                    let close = (found - expected).abs() <= 2e-6 * (1.0 + expected.abs());
                    assert!(close, "{shape:?} {voltage} {parameter}: {found} {expected}");
                }
            }
        }
    }
}
