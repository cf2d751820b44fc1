//! Where the fit begins: the closed form from pairs of the brightest points, as BGlib has it
//! (`SHOestimateGuess` of `be_sho.py`), and a coarse search where that doesn't hold.
//!
//! Two values of the response give the four numbers of D·H = −(a + ib) with D = x² + icx − d. Each
//! pair's are weighted with the fourth power of one over its sum of squared residuals.

use num_complex::Complex64;

use super::response::{Band, Denominator, Signal};
use super::search::SearchRange;

/// A closed form is believed if it makes the deviation of the magnitude this many times smaller, as
/// BGlib wants it.
const CONVINCING: f64 = 1.2;

/// Steps of the coarse search: over the band, and over the quality factors.
const COARSE: (usize, usize) = (32, 6);

/// A resonance with its numerator.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guess {
    /// Resonance, in units of the band's reference, and loss.
    pub at: [f64; 2],
    /// N.
    pub factor: Complex64,
}

/// The numbers a, b, c, d of a pair.
type Pair = [f64; 4];

/// The closed form, or else the best of a coarse search.
pub(super) fn estimate(
    band: &Band,
    signal: &Signal,
    bounds: &SearchRange,
    points: usize,
    brightest: &mut Vec<(f64, usize)>,
) -> Guess {
    closed_form(band, signal, points, brightest)
        .filter(|guess| bounds.clamp(guess.at) == guess.at && convinces(band, signal, guess))
        .unwrap_or_else(|| coarse(band, signal, bounds))
}

fn closed_form(
    band: &Band,
    signal: &Signal,
    points: usize,
    brightest: &mut Vec<(f64, usize)>,
) -> Option<Guess> {
    brightest_points(signal, band.length, points, brightest);
    let mut mean = WeightedMean::default();
    for (at, first) in brightest.iter().enumerate() {
        for second in &brightest[at + 1..] {
            let value = |index| (band.point(index), signal.value(index));
            if let Some(pair) = solve(value(first.1), value(second.1)) {
                let (denominator, factor) = model(pair);
                mean.add(pair, band.residual(signal, denominator, factor));
            }
        }
    }
    let (denominator, factor) = model(mean.value()?);
    let resonance = denominator.square.sqrt();
    Some(Guess { at: [resonance, denominator.damping / resonance], factor })
}

/// The brightest points, brightest first, with their squared magnitudes.
fn brightest_points(signal: &Signal, length: usize, points: usize, found: &mut Vec<(f64, usize)>) {
    found.clear();
    for index in 0..length {
        let power = signal.value(index).norm_sqr();
        if found.len() == points && found[points - 1].0 >= power {
            continue;
        }
        found.truncate(points - 1);
        let place = found.partition_point(|(other, _)| *other >= power);
        found.insert(place, (power, index));
    }
}

/// The response through two of its values.
fn solve((x1, y1): (f64, Complex64), (x2, y2): (f64, Complex64)) -> Option<Pair> {
    let (power1, power2) = (y1.norm_sqr(), y2.norm_sqr());
    let product = y1.re * y2.re + y1.im * y2.im;
    let scale = x1 * (power1 - product) + x2 * (power2 - product);
    if scale <= 0.0 {
        return None;
    }
    let span = (x1 * x1 - x2 * x2) / scale;
    let square =
        (x1.powi(3) * power1 - x1 * x2 * (x1 + x2) * product + x2.powi(3) * power2) / scale;
    let pair = [
        span * (x1 * y2.re * power1 - x2 * y1.re * power2),
        span * (x1 * y2.im * power1 - x2 * y1.im * power2),
        span * (y2.re * y1.im - y1.re * y2.im),
        square,
    ];
    (square > 0.0).then_some(pair)
}

fn model([a, b, c, d]: Pair) -> (Denominator, Complex64) {
    (Denominator { square: d, damping: -c }, Complex64::new(-a, -b))
}

/// Σ w·pair and Σ w with w = (least/residual)⁴, where `least` is the least residual so far: the
/// residuals themselves would leave the range of numbers.
#[derive(Default)]
struct WeightedMean {
    sums: Pair,
    weight: f64,
    least: f64,
}

impl WeightedMean {
    fn add(&mut self, pair: Pair, residual: f64) {
        if !residual.is_finite() {
            return;
        }
        // Data without noise leave nothing.
        let residual = residual.max(f64::MIN_POSITIVE);
        if self.weight == 0.0 || residual < self.least {
            let shrink = if self.weight == 0.0 { 0.0 } else { (residual / self.least).powi(4) };
            self.sums = self.sums.map(|sum| sum * shrink);
            self.weight *= shrink;
            self.least = residual;
        }
        let weight = (self.least / residual).powi(4);
        for (sum, value) in self.sums.iter_mut().zip(pair) {
            *sum += weight * value;
        }
        self.weight += weight;
    }

    fn value(&self) -> Option<Pair> {
        (self.weight > 0.0).then(|| self.sums.map(|sum| sum / self.weight))
    }
}

/// Whether the magnitude of what a guess leaves deviates less than that of the spectrum.
fn convinces(band: &Band, signal: &Signal, guess: &Guess) -> bool {
    let [resonance, loss] = guess.at;
    let denominator = Denominator::new(resonance, loss);
    let count = band.length as f64;
    let variance = |squares: f64, magnitudes: f64| squares / count - (magnitudes / count).powi(2);
    let left = variance(
        band.residual(signal, denominator, guess.factor),
        band.magnitudes(signal, denominator, guess.factor),
    );
    let all = variance(signal.power, band.magnitudes(signal, denominator, Complex64::ZERO));
    all >= CONVINCING * CONVINCING * left
}

/// The place of a grid over the bounds that explains most of the spectrum.
fn coarse(band: &Band, signal: &Signal, bounds: &SearchRange) -> Guess {
    let [(low, high), (least, most)] = [0, 1].map(|at| (bounds.least[at], bounds.most[at]));
    // Between peaks as wide as the band and as narrow as two points.
    let width = (band.highest - band.lowest).clamp(least, most);
    let narrow = (2.0 * width / band.length as f64).clamp(least, most);
    let mut best = (f64::NEG_INFINITY, Guess { at: [1.0, width], factor: Complex64::ZERO });
    for step in 0..COARSE.0 {
        let resonance = low + (high - low) * (step as f64 + 0.5) / COARSE.0 as f64;
        for wide in 0..COARSE.1 {
            let share = wide as f64 / (COARSE.1 - 1) as f64;
            let loss = (width * (narrow / width).powf(share)).clamp(least, most);
            let denominator = Denominator::new(resonance, loss);
            let (norm, product) = band.projection(signal, denominator);
            let explained = product.norm_sqr() / norm;
            if explained > best.0 {
                best = (explained, Guess { at: [resonance, loss], factor: product / norm });
            }
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(values: impl Fn(f64) -> Complex64) -> (Band, Signal) {
        let frequencies: Vec<f64> = (0..61).map(|at| 300.0 + f64::from(at)).collect();
        let values: Vec<Complex64> = frequencies.iter().map(|at| values(*at)).collect();
        let mut signal = Signal::default();
        assert!(signal.take(&values));
        (Band::new(&frequencies), signal)
    }

    const BOUNDS: SearchRange = SearchRange { least: [0.9, 1e-4], most: [1.1, 1.0] };

    #[test]
    fn without_noise_the_closed_form_is_exact() {
        let oscillator = crate::sho_fit::Oscillator {
            amplitude: 2e-5,
            frequency: 326.3,
            quality: 31.0,
            phase: -2.8,
        };
        let (band, signal) = taken(|frequency| oscillator.response(frequency));
        let guess = estimate(&band, &signal, &BOUNDS, 5, &mut Vec::new());
        assert!((guess.at[0] * band.reference - 326.3).abs() < 1e-9);
        assert!((1.0 / guess.at[1] - 31.0).abs() < 1e-9);
        assert!((guess.factor.arg() + 2.8).abs() < 1e-9);
        let amplitude = guess.factor.norm() / (guess.at[0] * guess.at[0]) * signal.scale;
        assert!((amplitude - 2e-5).abs() < 1e-14);
    }

    #[test]
    fn where_the_closed_form_fails_the_guess_lies_within_the_bounds() {
        // Turning the wrong way round, and a peak of one point among zeros.
        let spike = |at: f64| Complex64::from(f64::from(u8::from(at == 340.0)));
        let (band, signal) = taken(spike);
        let guess = estimate(&band, &signal, &BOUNDS, 5, &mut Vec::new());
        assert!((guess.at[0] * band.reference - 340.0).abs() < 2.0, "{guess:?}");
        let (band, signal) = taken(|at| Complex64::new(1.0, (at - 330.0) / 3.0).inv());
        let guess = estimate(&band, &signal, &BOUNDS, 5, &mut Vec::new());
        assert_eq!(BOUNDS.clamp(guess.at), guess.at);
    }

    #[test]
    fn the_brightest_points_come_in_their_order() {
        let (_, signal) = taken(|at| Complex64::from((at * 7.0) % 13.0));
        let mut found = Vec::new();
        brightest_points(&signal, 61, 4, &mut found);
        let places: Vec<usize> = found.iter().map(|(_, index)| *index).collect();
        let mut expected: Vec<usize> = (0..61).collect();
        expected
            .sort_by(|a, b| signal.value(*b).norm_sqr().total_cmp(&signal.value(*a).norm_sqr()));
        assert_eq!(places, expected[..4]);
    }
}
