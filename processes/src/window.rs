//! Windows of the scan: all positions up to some steps around one.

use std::ops::RangeInclusive;

use pixelmill_core::process::{Edges, Failure, Halo};

/// Positions of a window at most.
const MOST: f64 = 10_000.0;

/// The window with these offsets on each axis of the scan, slowest first.
///
/// # Errors
/// If it has too many positions.
pub(crate) fn window(ranges: &[RangeInclusive<i64>], edges: Edges) -> Result<Halo, Failure> {
    let lengths = ranges.iter().map(|range| (range.end() - range.start()) as f64 + 1.0);
    if lengths.product::<f64>() > MOST {
        return Err(Failure::new(format!("a window of more than {MOST} positions is too large")));
    }
    Ok(Halo::window(ranges, edges))
}

/// Bins of so many steps on each axis of the scan, slowest first.
///
/// # Errors
/// If one has too many positions.
pub(crate) fn bins(steps: &[usize]) -> Result<Halo, Failure> {
    if steps.iter().map(|steps| *steps as f64).product::<f64>() > MOST {
        return Err(Failure::new(format!("a bin of more than {MOST} positions is too large")));
    }
    Ok(Halo::bins(&steps.iter().map(|steps| *steps as u64).collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_bounded_however_many_axes_there_are() {
        let most = window(&[0..=99, 0..=99], Edges::Missing);
        assert_eq!(most.unwrap().offsets().len(), 10_000);
        for ranges in [vec![0..=99, 0..=100], vec![-10..=10; 9], vec![-(1 << 40)..=1 << 40; 3]] {
            assert!(window(&ranges, Edges::Missing).unwrap_err().to_string().contains("10000"));
        }
    }
}
