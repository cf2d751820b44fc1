//! Where the fit begins: the closed form from pairs of the brightest points, as BGlib has it
//! (`SHOestimateGuess` of `be_sho.py`), and a coarse search where that doesn't hold.
//!
//! Two values of the response give the four numbers of D·H = −(a + ib) with D = x² + icx − d. Each pair's
//! are weighted with the fourth power of one over its sum of squared residuals.

use num_complex::Complex64;

use super::response::{Band, Denominator, Signal};
use super::search::Bounds;

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
    bounds: &Bounds,
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
fn coarse(band: &Band, signal: &Signal, bounds: &Bounds) -> Guess {
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
