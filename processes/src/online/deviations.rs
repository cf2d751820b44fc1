//! How far values are from what is fitted to them, without their signs, counted in bins: what noise
//! is estimated by, which outliers don't change.

/// Bins: four for each power of two.
pub const BINS: usize = 1 << 13;
/// Bits of a number below those that tell its bin.
const BELOW: u32 = 50;
/// Values of a spectrum of which one is counted: which one depends on the position.
const EACH: u64 = 7;
/// How many standard deviations the median of noise is, without its sign.
const MEDIAN: f64 = 0.674_489_750_196_081_7;

/// Counts some of the values of a spectrum at a position.
pub fn count(bins: &mut [u64], position: u64, (row, fitted): (&[f64], &[f64])) {
    let first = (position % EACH) as usize;
    // Of short spectra all positions have one.
    let first = first % row.len().max(1);
    let pairs = row.iter().zip(fitted).skip(first).step_by(EACH as usize);
    for (value, fitted) in pairs {
        bins[((value - fitted).abs().to_bits() >> BELOW) as usize] += 1;
    }
}

/// The standard deviation of noise that has been counted; 0 of nothing.
pub fn deviation(bins: &[u64]) -> f64 {
    let half = bins.iter().sum::<u64>() as f64 / 2.0;
    let mut below = 0.0;
    for (bin, count) in bins.iter().enumerate().filter(|(_, count)| **count > 0) {
        let count = *count as f64;
        if below + count >= half {
            let edge = |bin: usize| f64::from_bits((bin as u64) << BELOW);
            let (from, to) = (edge(bin), edge(bin + 1).min(f64::MAX));
            // What is exactly 0 has no width.
            let within = if bin == 0 { 0.0 } else { (half - below) / count };
            return ((from + within * (to - from)) / MEDIAN).min(f64::MAX);
        }
        below += count;
    }
    0.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Chance;

    #[test]
    fn outliers_make_no_noise() {
        let mut chance = Chance::new(3);
        let (mut bins, nothing) = (vec![0; BINS], [0.0; 60]);
        for position in 0..2000 {
            let mut row: Vec<f64> = (0..60)
                .map(|_| (0..12).map(|_| chance.part()).sum::<f64>() - 6.0)
                .map(|noise| 0.02 * noise)
                .collect();
            row[(position % 60) as usize] = 1e9;
            count(&mut bins, position, (&row, &nothing));
        }
        let found = deviation(&bins);
        assert!((found / 0.02 - 1.0).abs() < 0.05, "{found}");
    }

    #[test]
    fn what_is_exact_has_no_noise() {
        let mut bins = vec![0; BINS];
        assert_eq!(deviation(&bins), 0.0);
        count(&mut bins, 12, (&[5.0, 6.0], &[5.0, 6.0]));
        assert_eq!((bins[0], deviation(&bins)), (1, 0.0));
        count(&mut bins, 0, (&[f64::MAX; 30], &[0.0; 30]));
        assert!(deviation(&bins).is_finite());
    }
}
