//! Loops over the channels of a spectrum, compiled a second time for processors with AVX2.
//!
//! Sums have a fixed order of additions and nothing is fused, so that results have the same bits on
//! every machine. For the same reason, and because a loop over it fills wide registers, there is an
//! exponential function of our own: over 256 channels it takes a fifth of the system's.

use multiversion::multiversion;

/// Σ aᵢ·bᵢ.
#[multiversion(targets("x86_64+avx2"))]
pub fn dot(left: &[f64], right: &[f64]) -> f64 {
    // Sixteen sums keep the adders busy; their number is fixed.
    let (blocks, rest) = left.as_chunks::<16>();
    let (others, other_rest) = right.as_chunks::<16>();
    let mut sums = [0.0; 16];
    for (block, other) in blocks.iter().zip(others) {
        for lane in 0..16 {
            sums[lane] += block[lane] * other[lane];
        }
    }
    let rest: f64 = rest.iter().zip(other_rest).map(|(l, r)| l * r).sum();
    sums.iter().sum::<f64>() + rest
}

/// aᵢ ← aᵢ + factor·bᵢ.
#[multiversion(targets("x86_64+avx2"))]
pub fn add_scaled(target: &mut [f64], factor: f64, source: &[f64]) {
    for (target, source) in target.iter_mut().zip(source) {
        *target += factor * source;
    }
}

/// aᵢ ← factor·aᵢ.
#[multiversion(targets("x86_64+avx2"))]
pub fn scale(target: &mut [f64], factor: f64) {
    for target in target {
        *target *= factor;
    }
}

/// aᵢ ← factor·bᵢ.
#[multiversion(targets("x86_64+avx2"))]
pub fn set_scaled(target: &mut [f64], factor: f64, source: &[f64]) {
    for (target, source) in target.iter_mut().zip(source) {
        *target = factor * source;
    }
}

/// aᵢ ← bᵢ·cᵢ.
#[multiversion(targets("x86_64+avx2"))]
pub fn set_product(target: &mut [f64], left: &[f64], right: &[f64]) {
    for ((target, left), right) in target.iter_mut().zip(left).zip(right) {
        *target = left * right;
    }
}

/// The largest magnitude; none if a value isn't finite.
#[multiversion(targets("x86_64+avx2"))]
pub fn largest(values: &[f64]) -> Option<f64> {
    // Without a branch, and 0 times what isn't finite is no number.
    let (mut largest, mut wrong) = ([0.0_f64; 16], [0.0; 16]);
    let (blocks, rest) = values.as_chunks::<16>();
    for block in blocks {
        for lane in 0..16 {
            let value = block[lane].abs();
            largest[lane] = if value > largest[lane] { value } else { largest[lane] };
            wrong[lane] += value * 0.0;
        }
    }
    let is_finite = wrong.iter().sum::<f64>() == 0.0 && rest.iter().all(|value| value.is_finite());
    let all = largest.iter().chain(rest);
    is_finite.then(|| all.fold(0.0, |largest: f64, value| largest.max(value.abs())))
}

/// eˣ to within 2 units in the last place, without a branch; x is held within ±700.
///
/// x = k·ln 2 + r with |r| ≤ ln 2 / 2; eʳ by its Taylor series to the 13th power, whose rest is
/// below 5e-18; 2ᵏ by the bits of the exponent. After W. J. Cody & W. Waite, Software Manual for
/// the Elementary Functions (1980).
#[inline(always)]
pub fn exp(x: f64) -> f64 {
    exponential::<false>(x)
}

/// The same with fused operations, for loops that are compiled for processors that have them.
#[inline(always)]
pub fn exp_fused(x: f64) -> f64 {
    exponential::<true>(x)
}

/// a·b + c.
#[inline(always)]
fn multiply_add<const FUSED: bool>(a: f64, b: f64, c: f64) -> f64 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

#[inline(always)]
fn exponential<const FUSED: bool>(x: f64) -> f64 {
    /// 1.5·2⁵² rounds what is added to it to an integer; with the bias of the exponent.
    const ROUND: f64 = 6_755_399_441_055_744.0 + 1023.0;
    // ln 2 in two parts; k times the first has no rounding.
    const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    // A comparison with NaN is false, and NaN stays.
    let x = if x > 700.0 { 700.0 } else { x };
    let x = if x < -700.0 { -700.0 } else { x };
    let shifted = multiply_add::<FUSED>(x, std::f64::consts::LOG2_E, ROUND);
    let k = shifted - ROUND;
    let r = multiply_add::<FUSED>(-k, LN_2_LOW, multiply_add::<FUSED>(-k, LN_2_HIGH, x));
    // Even and odd powers apart: two short chains of operations instead of a long one.
    let square = r * r;
    let (mut even, mut odd) = (1.0 / 479_001_600.0, 1.0 / 6_227_020_800.0);
    for (even_factorial, odd_factorial) in [
        (3_628_800.0, 39_916_800.0),
        (40_320.0, 362_880.0),
        (720.0, 5_040.0),
        (24.0, 120.0),
        (2.0, 6.0),
        (1.0, 1.0),
    ] {
        even = multiply_add::<FUSED>(even, square, 1.0 / even_factorial);
        odd = multiply_add::<FUSED>(odd, square, 1.0 / odd_factorial);
    }
    multiply_add::<FUSED>(r, odd, even) * f64::from_bits(shifted.to_bits() << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_that_of_the_library() {
        let mut worst = 0.0_f64;
        for step in -700_000..700_000 {
            let x = f64::from(step) * 1e-3 + 1e-7;
            let expected = libm::exp(x);
            worst = worst.max(((exp(x) - expected) / expected).abs());
            // Where nothing is fused by the processor, it takes long.
            if step % 16 == 0 {
                worst = worst.max(((exp_fused(x) - expected) / expected).abs());
            }
        }
        assert!(worst < 2.0 * f64::EPSILON, "{worst:e}");
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-1e9), exp(-700.0));
        assert!(exp(f64::NAN).is_nan());
    }

    #[test]
    fn loops_keep_to_their_formula_at_every_length() {
        for length in 0..40_usize {
            let left: Vec<f64> = (0..length).map(|at| at as f64 - 3.0).collect();
            let right: Vec<f64> = (0..length).map(|at| (at * at) as f64).collect();
            let sum: f64 = left.iter().zip(&right).map(|(l, r)| l * r).sum();
            assert_eq!(dot(&left, &right), sum);
            let mut target = left.clone();
            add_scaled(&mut target, 2.0, &right);
            assert!((0..length).all(|at| target[at] == left[at] + 2.0 * right[at]));
            scale(&mut target, 0.5);
            assert!((0..length).all(|at| target[at] == left[at] / 2.0 + right[at]));
            set_scaled(&mut target, -1.0, &left);
            assert!((0..length).all(|at| target[at] == -left[at]));
            let wanted = left.iter().copied().fold(0.0, |most: f64, value| most.max(value.abs()));
            assert_eq!(largest(&left), Some(wanted));
            for (at, wrong) in (0..length).zip([f64::NAN, f64::INFINITY, -f64::INFINITY].repeat(14))
            {
                let mut values = left.clone();
                values[at] = wrong;
                assert_eq!(largest(&values), None);
            }
            set_product(&mut target, &left, &right);
            assert!((0..length).all(|at| target[at] == left[at] * right[at]));
        }
    }
}
