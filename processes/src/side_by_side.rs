//! Sums of several values side by side, as fast as the processor's wide registers let them be.

/// Sums side by side, whose number is fixed: the same bits on every machine.
pub const LANES: usize = 8;

/// The sum of what is made of each value.
#[inline]
pub fn sum_of(values: &[f64], of: impl Fn(f64) -> f64) -> f64 {
    let (blocks, rest) = values.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for block in blocks {
        for (sum, value) in sums.iter_mut().zip(block) {
            *sum += of(*value);
        }
    }
    sums.iter().sum::<f64>() + rest.iter().map(|value| of(*value)).sum::<f64>()
}
