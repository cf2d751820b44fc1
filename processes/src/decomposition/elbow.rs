//! Where a curve that falls has its elbow.

/// Points that are looked at.
const MOST: usize = 20;

/// How many of some ratios come before the point of their logarithm that is farthest below the line
/// from the first to the last, of the first 20: as HyperSpy estimates it.
pub fn elbow(ratios: &[f64]) -> usize {
    let curve: Vec<f64> = ratios
        .iter()
        .take(MOST)
        .take_while(|ratio| **ratio > 0.0)
        .map(|ratio| libm::log(*ratio))
        .collect();
    let (Some(first), Some(last)) = (curve.first(), curve.last()) else { return 0 };
    let step = (last - first) / (curve.len().max(2) - 1) as f64;
    let below = curve.iter().enumerate().map(|(at, value)| first + step * at as f64 - value);
    let most = below.enumerate().fold((0, 0.0), |most, (at, below)| {
        // Of a straight line rounding leaves something.
        if below > most.1 + 1e-9 { (at, below) } else { most }
    });
    most.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_elbow_is_where_noise_begins() {
        let ratios: Vec<f64> = (0..12)
            .map(|at| if at < 4 { 10_f64.powi(-at) } else { 1e-5 - 1e-7 * f64::from(at) })
            .collect();
        assert_eq!(elbow(&ratios), 4);
        assert_eq!(elbow(&[0.5, 0.25, 0.125]), 0, "a straight line has none");
        assert_eq!(elbow(&[]), 0);
        assert_eq!(elbow(&[1.0, 0.0]), 0);
    }
}
