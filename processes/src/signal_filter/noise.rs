//! The noise floor of a spectrum: the amplitude that bins of mere noise exceed by chance only.
//!
//! The estimate of pycroscopy's `get_noise_floor`. The amplitudes of white noise follow a Rayleigh
//! distribution: a share τ of them is above √(−ln τ · ⟨|F|²⟩). Bins above that floor are taken for
//! signal, and the mean of |F|² is taken again without them (over all N bins still, as pycroscopy
//! does), until no further bin is above.

/// As many estimates as pycroscopy makes at most.
const ESTIMATES: usize = 50;

/// The square of the noise floor. `power` are the squared amplitudes of the bins from 0 to half the
/// sample rate of a transform of `points` values; `log` is −ln τ.
pub(super) fn squared_floor(power: &[f64], points: usize, log: f64) -> f64 {
    let mean = |most: f64| below(power, points, most) / points as f64;
    let mut floor = log * mean(f64::INFINITY);
    for _ in 1..ESTIMATES {
        let next = log * mean(floor);
        if next >= floor {
            break;
        }
        floor = next;
    }
    floor
}

/// The sum over the bins of all frequencies, also the negative ones, that don't exceed `most`.
fn below(power: &[f64], points: usize, most: f64) -> f64 {
    let paired = power.len() - usize::from(points.is_multiple_of(2));
    let alone = power[..1].iter().chain(&power[paired..]);
    let alone: f64 = alone.filter(|power| **power <= most).sum();
    alone + 2.0 * sum_below(&power[1..paired], most)
}

/// Eight sums side by side, their number fixed, as those of the process `Sum`.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn sum_below(power: &[f64], most: f64) -> f64 {
    let kept = |power: f64| if power <= most { power } else { 0.0 };
    let (eights, rest) = power.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for eight in eights {
        for (sum, power) in sums.iter_mut().zip(eight) {
            *sum += kept(*power);
        }
    }
    sums.into_iter().chain(rest.iter().map(|power| kept(*power))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frequency_counts_once() {
        // Of 6 points: 0, ±1, ±2 and 3; of 7: 0, ±1, ±2, ±3.
        let power = [1.0, 10.0, 100.0, 1000.0];
        assert_eq!(below(&power, 6, f64::INFINITY), 1221.0);
        assert_eq!(below(&power, 7, f64::INFINITY), 2221.0);
        assert_eq!(below(&power, 6, 500.0), 221.0);
        assert_eq!(below(&power, 6, 10.0), 21.0);
        assert_eq!(below(&[2.0, 3.0], 2, 9.0), 5.0);
    }

    #[test]
    fn bins_that_stand_out_dont_raise_the_floor() {
        let mut power = vec![1.0; 1001];
        let quiet = squared_floor(&power, 2000, 4.0);
        assert_eq!(quiet, 4.0);
        power[100] = 1e9;
        power[200] = 1e5;
        let with_peaks = squared_floor(&power, 2000, 4.0);
        assert_eq!(with_peaks, 4.0 * 1996.0 / 2000.0);
    }

    #[test]
    fn nothing_and_constants_have_a_floor() {
        assert_eq!(squared_floor(&[0.0; 5], 8, 4.0), 0.0);
        assert_eq!(squared_floor(&[64.0, 0.0, 0.0, 0.0, 0.0], 8, 4.0), 0.0);
    }
}
