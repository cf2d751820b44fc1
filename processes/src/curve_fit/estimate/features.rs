//! What stands out in a spectrum: peaks and steps, as windows whose mean differs from that of their
//! neighbours by more than noise does. All places and widths are in channels; sums before each
//! channel make a window's mean two look-ups.

use crate::curve_fit::arrays::exp;
use crate::curve_fit::components::NORM;
use crate::least_squares::{Bounds, Limits, NormalEquations, Problem, SolverState, minimise};

/// Something found in a spectrum, in channels.
#[derive(Clone, Copy, Debug)]
pub struct Feature {
    /// Its centre.
    pub place: f64,
    /// Its standard deviation.
    pub width: f64,
    /// Its height, of a step from one side to the other.
    pub height: f64,
    /// By how much it stands out from noise of variance 1.
    pub score: f64,
}

/// What there may be beside what is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    /// How many peaks and steps there are.
    pub features: usize,
    /// Whether there is only one, on a line.
    pub is_alone: bool,
}

/// Which signs a search looks for.
#[derive(Clone, Copy, Debug)]
pub struct Signs {
    /// Peaks and rising steps.
    pub up: bool,
    /// Dips and falling steps.
    pub down: bool,
}

/// Sums of the values before each channel, and of all.
pub fn sum_up(values: &[f64], sums: &mut Vec<f64>) {
    sums.clear();
    sums.push(0.0);
    let mut sum = 0.0;
    for value in values {
        sum += value;
        sums.push(sum);
    }
}

/// The mean of the channels from `first` up to and without `end`.
pub fn mean(sums: &[f64], first: usize, end: usize) -> f64 {
    (sums[end] - sums[first]) / (end - first) as f64
}

/// Widths of windows that are tried: 1, 2, 4 … as long as so many of them and their flanks fit
/// beside each other.
fn windows(length: usize, features: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(1), |window| Some(window * 2))
        .take_while(move |window| *window == 1 || 2 * window * features <= length)
}

/// The mean of a window less that of its flanks, which together are as wide as the window, over
/// its standard deviation for noise of variance 1.
struct TopHat {
    window: usize,
    flank: usize,
    inner: f64,
    outer: f64,
}

impl TopHat {
    fn new(window: usize) -> Self {
        let flank = (window / 2).max(1);
        let (inner, outer) = ((window as f64).recip(), 0.5 / flank as f64);
        let norm = (inner + outer).sqrt().recip();
        Self { window, flank, inner: inner * norm, outer: outer * norm }
    }

    /// By how much the window from `first` on stands out; none if it or its flanks aren't whole.
    #[inline(always)]
    fn score(&self, sums: &[f64], first: usize) -> Option<f64> {
        let end = first + self.window;
        let before = sums.get(first.checked_sub(self.flank)?)?;
        let after = sums.get(end + self.flank)?;
        let (left, right) = (sums[first], sums[end]);
        Some((right - left) * self.inner - ((left - before) + (after - right)) * self.outer)
    }
}

/// The peak, or the dip, that stands out most, anywhere or around one channel. Of two neighbouring
/// peaks a window over both scores about as much as one over each, so unless there is only one the
/// narrowest of the good windows counts that is well above the noise.
pub fn best_peak(
    sums: &[f64],
    values: &[f64],
    signs: Signs,
    crowd: Crowd,
    channel: Option<usize>,
) -> Feature {
    let mut scales = [Scale::default(); MOST_WINDOWS];
    let mut count = 0;
    for (window, scale) in windows(values.len(), crowd.features).zip(&mut scales) {
        scale.fill(sums, window, channel);
        count += 1;
    }
    let scales = &scales[..count];
    let is_dip = signs.down && (!signs.up || is_dip(scales, crowd));
    let of_sign = |at: usize| if is_dip { scales[at].down } else { scales[at].up };
    let most = (0..count).map(|at| of_sign(at).0).fold(0.0, f64::max);
    let least =
        if crowd.is_alone { most } else { most.min((GOOD * most).max(CLEAR * noise(values))) };
    let good = (0..count).find(|at| most > 0.0 && of_sign(*at).0 >= least);
    let Some(narrowest) = good else {
        return nothing(values.len(), channel);
    };
    // The next window over the same peak holds more of it.
    let middle = |at: usize| of_sign(at).1 + (1 << at) / 2;
    let is_better = |next: usize| {
        of_sign(next).0 >= HOLDS_MORE * of_sign(narrowest).0
            && middle(next).abs_diff(middle(narrowest)) <= (1 << narrowest) / 2
    };
    let at = narrowest + usize::from(narrowest + 1 < count && is_better(narrowest + 1));
    let found = measure(sums, values, of_sign(at).1, 1 << at);
    let place = channel.map_or(found.place, |channel| channel as f64);
    Feature { score: most, place, ..found }
}

/// More windows than there are lengths of arrays.
const MOST_WINDOWS: usize = 64;
/// A peak scores 0.64 of its best in a window half as wide as the best one.
const GOOD: f64 = 0.7;
/// By how much the score of the next window is better if it holds more of a single peak.
const HOLDS_MORE: f64 = 1.1;

/// Standard deviations above which a window isn't taken for noise, of which one in some thousand
/// windows reaches half of that.
const CLEAR: f64 = 6.0;

/// The standard deviation of the noise, from the differences of neighbouring channels.
fn noise(values: &[f64]) -> f64 {
    let differences = values.windows(2).map(|pair| (pair[1] - pair[0]).powi(2));
    (differences.sum::<f64>() / (2.0 * values.len() as f64)).sqrt()
}

/// The best scores of windows of one width, and where they begin.
#[derive(Clone, Copy, Debug, Default)]
struct Scale {
    up: (f64, usize),
    down: (f64, usize),
}

impl Scale {
    fn fill(&mut self, sums: &[f64], window: usize, channel: Option<usize>) {
        let hat = TopHat::new(window);
        let (begin, step) = match channel {
            Some(channel) => (channel.saturating_sub(window / 2), sums.len()),
            None => (hat.flank, (window / 4).max(1)),
        };
        let places = (begin..).step_by(step);
        let scores = places.map_while(|first| Some((hat.score(sums, first)?, first)));
        for (score, first) in scores {
            if score > self.up.0 {
                self.up = (score, first);
            }
            if -score > self.down.0 {
                self.down = (-score, first);
            }
        }
    }
}

/// Whether what stands out most is a dip. The gap between two peaks stands out as they do, but not
/// in narrower windows.
fn is_dip(scales: &[Scale], crowd: Crowd) -> bool {
    let score = |scale: &Scale| scale.up.0.max(scale.down.0);
    let best = (0..scales.len()).max_by(|a, b| score(&scales[*a]).total_cmp(&score(&scales[*b])));
    best.is_some_and(|at| {
        let scale = scales[if crowd.is_alone { at } else { at.saturating_sub(1) }];
        scale.down.0 > scale.up.0
    })
}

/// What is assumed where nothing stands out.
fn nothing(length: usize, channel: Option<usize>) -> Feature {
    let place = channel.map_or(0.5 * (length as f64 - 1.0), |channel| channel as f64);
    Feature { place, width: length as f64 / 8.0, height: 0.0, score: 0.0 }
}

/// A peak in a window that is about four standard deviations wide: its centre of mass above a line
/// through the flanks, and its width as that of a Gaussian of the same area and height.
fn measure(sums: &[f64], values: &[f64], first: usize, window: usize) -> Feature {
    let flank = (window / 2).max(1);
    let (left, right) =
        (mean(sums, first - flank, first), mean(sums, first + window, first + window + flank));
    let half = 0.5 * (window as f64 - 1.0);
    let slope = (right - left) / (window + flank) as f64;
    let (mut area, mut moment) = (0.0, 0.0);
    for (at, value) in values[first..first + window].iter().enumerate() {
        let from = at as f64 - half;
        let above = value - 0.5 * (left + right) - slope * from;
        area += above;
        moment += above * from;
    }
    let inner = (window / 4).max(1);
    let begin = first + (window - inner) / 2;
    let top = mean(sums, begin, begin + inner) - 0.5 * (left + right);
    let usual = window as f64 / 4.0;
    let width = area / top * NORM;
    let width = if width.is_finite() { width.clamp(0.5 * usual, 2.0 * usual) } else { usual };
    let shift = if area == 0.0 { 0.0 } else { (moment / area).clamp(-half, half) };
    let place = first as f64 + half + shift;
    Feature { place, width, height: area / width * NORM, score: 0.0 }
}

/// A Gaussian on a constant, fitted to the channels around a peak: near enough to the peak that
/// what is left of it when this is subtracted doesn't stand out.
pub fn refine(values: &[f64], peak: Feature, state: &mut SolverState) -> Feature {
    let reach = 3.0 * peak.width;
    let first = (peak.place - reach).max(0.0) as usize;
    let end = ((peak.place + reach) as usize + 1).min(values.len());
    let mut local = Around { values: &values[first..end], first };
    let mut parameters = [peak.height, peak.place, peak.width, local.values[0]];
    let (place, width, all) = (peak.place, peak.width, f64::INFINITY);
    let bounds = Bounds {
        lower: &[-all, place - width, 0.5 * width, -all],
        upper: &[all, place + width, 2.0 * width, all],
    };
    let limits = Limits { evaluations: 8, tolerance: 1e-2, floor: 0.0 };
    if !minimise(&mut local, &mut parameters, bounds, limits, state).sum.is_finite() {
        return peak;
    }
    let [height, place, width, _] = parameters;
    Feature { height, place, width, ..peak }
}

/// Some channels and the Gaussian around which they lie, of height, place, width and offset.
struct Around<'a> {
    values: &'a [f64],
    first: usize,
}

impl Problem for Around<'_> {
    fn linearise(&mut self, parameters: &[f64], equations: &mut NormalEquations) -> f64 {
        let [height, place, width, offset] =
            [parameters[0], parameters[1], parameters[2], parameters[3]];
        let (mut sum, mut matrix, mut descent) = (0.0, [[0.0; 4]; 4], [0.0; 4]);
        for (at, value) in self.values.iter().enumerate() {
            let u = ((self.first + at) as f64 - place) / width;
            let bell = exp(-0.5 * u * u);
            let residual = value - height * bell - offset;
            let slope = height * bell * u / width;
            let line = [bell, slope, slope * u, 1.0];
            sum += residual * residual;
            for row in 0..4 {
                descent[row] += line[row] * residual;
                for column in 0..=row {
                    matrix[row][column] += line[row] * line[column];
                }
            }
        }
        equations.begin(4);
        equations.descent.copy_from_slice(&descent);
        for (row, line) in matrix.iter().enumerate() {
            for (column, value) in line[..=row].iter().enumerate() {
                equations.set(row, column, *value);
            }
        }
        sum
    }
}

/// The step that stands out most.
pub fn best_step(sums: &[f64], signs: Signs) -> Feature {
    let length = sums.len() - 1;
    // Narrow windows would take the flank of a peak for a step.
    let narrowest = (length / 8).max(1);
    let mut best = (0.0, length / 2);
    for window in windows(length, 1).filter(|window| *window >= narrowest) {
        for at in (window..length.saturating_sub(window) + 1).step_by((window / 8).max(1)) {
            let score = step_score(sums, at, window, signs);
            if score > best.0 {
                best = (score, at);
            }
        }
    }
    // To the channel, which wide windows aren't tried at.
    let around = best.1.saturating_sub(narrowest).max(narrowest)
        ..=(best.1 + narrowest).min(length - narrowest);
    let mut exact = (0.0, best.1);
    for at in around {
        let score = step_score(sums, at, narrowest, signs);
        if score > exact.0 {
            exact = (score, at);
        }
    }
    Feature { score: best.0, ..step_at(sums, exact.1) }
}

/// By how much the means to the two sides of a channel differ, for noise of variance 1.
fn step_score(sums: &[f64], at: usize, window: usize, signs: Signs) -> f64 {
    let rise = mean(sums, at, at + window) - mean(sums, at - window, at);
    let score = rise * (0.5 * window as f64).sqrt();
    match signs {
        Signs { up: true, down: true } => score.abs(),
        Signs { down: true, .. } => -score,
        _ => score,
    }
}

/// A step before a channel: its height from the widest windows to its two sides, and its width from
/// the narrowest from which on they see half of it.
pub fn step_at(sums: &[f64], at: usize) -> Feature {
    let length = sums.len() - 1;
    let at = at.clamp(1, length.saturating_sub(1).max(1));
    let widest = at.min(length - at).max(1);
    let rise =
        |window: usize| mean(sums, at, (at + window).min(length)) - mean(sums, at - window, at);
    let height = if length > at { rise(widest) } else { 0.0 };
    // From the wide ones down: noise may reach half of the height in a narrow one.
    let below = (1..widest).rev().find(|window| rise(*window) / height < 0.5);
    let half = below.map_or(1, |window| window + 1);
    Feature { place: at as f64 - 0.5, width: half as f64 / 1.5, height, score: 0.0 }
}
