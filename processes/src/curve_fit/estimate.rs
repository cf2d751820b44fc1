//! Where the search starts: estimated from each spectrum by itself, so that no result depends on
//! the order of pixels.
//!
//! Peaks and steps are found one after the other, each as the window that stands out most from the
//! noise, over widths that double: a peak by its mean less that of the flanks to both sides (the
//! top-hat filter, which no constant and no slope passes), a step by the means to its two sides.
//! What is found is subtracted before the next search. Peaks go to the components in the order of
//! the axis. Exponentials and power laws follow from means over parts of the axis. Linear
//! parameters need no start.

mod features;
mod spots;

use crate::least_squares;

use super::arrays::{add_scaled, exp};
use super::components::Kind;
use features::{Crowd, Feature, Signs, best_peak, best_step, mean, refine, step_at, sum_up};
pub use spots::Frame;

use super::model::{Extent, Model, Part, Scatter, Value};

/// Memory that a worker keeps.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    /// Values from which what was found is subtracted.
    rest: Vec<f64>,
    /// Sums of the values before each channel.
    sums: Vec<f64>,
    shape: Vec<f64>,
    peaks: Vec<Feature>,
    steps: Vec<Feature>,
    search: least_squares::SolverState,
    spots: spots::Scratch,
}

/// What the estimate is made from.
pub struct Estimator<'a> {
    /// The model.
    pub model: &'a Model,
    /// Places of the channels.
    pub x: &'a [f64],
    /// What the axis says.
    pub extent: Extent,
    /// The frame, if it is none of spectra.
    pub frame: Option<&'a Frame>,
}

impl Estimator<'_> {
    /// Start values of the free shape parameters.
    pub fn estimate(&self, values: &[f64], scratch: &mut Scratch, starts: &mut Vec<f64>) {
        // NaN stands for what isn't known yet.
        starts.clear();
        starts.extend(self.model.shape.iter().map(|free| free.start.unwrap_or(f64::NAN)));
        if starts.iter().all(|start| !start.is_nan()) {
            return;
        }
        if let Some(frame) = self.frame {
            self.spots(frame, values, &mut scratch.spots, starts);
        } else {
            scratch.rest.clear();
            scratch.rest.extend_from_slice(values);
            sum_up(&scratch.rest, &mut scratch.sums);
            self.backgrounds(scratch, starts);
            self.features(scratch, starts);
        }
        for (start, free) in starts.iter_mut().zip(&self.model.shape) {
            if start.is_nan() {
                *start = if free.scatter == Scatter::Amount { 0.5 } else { self.middle() };
            }
            *start = start.max(free.lower).min(free.upper);
        }
    }

    /// The start number `number` (from 1) besides the estimate, the same for each spectrum.
    pub fn scattered(&self, number: usize, estimate: &[f64], starts: &mut Vec<f64>) {
        starts.clear();
        for (at, (start, free)) in estimate.iter().zip(&self.model.shape).enumerate() {
            let share = van_der_corput(number, at);
            let start = match free.scatter {
                Scatter::Place => {
                    self.extent.least + share * (self.extent.most - self.extent.least)
                }
                Scatter::Across => {
                    let across = self.frame.map_or(self.extent, |frame| frame.extent);
                    across.least + share * (across.most - across.least)
                }
                Scatter::Factor => start * exp(3.0 * (share - 0.5)),
                Scatter::Amount => start + 2.0 * share - 1.0,
            };
            starts.push(start.max(free.lower).min(free.upper));
        }
    }

    fn middle(&self) -> f64 {
        0.5 * (self.extent.least + self.extent.most)
    }

    /// Exponentials and power laws, from the whole spectrum; the last one is subtracted.
    fn backgrounds(&self, scratch: &mut Scratch, starts: &mut [f64]) {
        let mut before = 0;
        for part in &self.model.parts {
            match part.kind {
                Kind::Exponential => {
                    // Several exponentials start with different decays.
                    let tau = self.decay(&scratch.sums) / 3.0_f64.powi(before);
                    learn(&part.shape[0], tau, starts);
                    before += 1;
                }
                Kind::PowerLaw => {
                    let origin = part.shape[1].of(starts);
                    learn(&part.shape[0], self.exponent(&scratch.sums, origin), starts);
                }
                _ => continue,
            }
            if before < 2 {
                self.subtract_background(part, scratch, starts);
            }
        }
        sum_up(&scratch.rest, &mut scratch.sums);
    }

    fn subtract_background(&self, part: &Part, scratch: &mut Scratch, starts: &[f64]) {
        let shape = part.shape_values(starts);
        let place = |x: f64| match part.kind {
            Kind::Exponential => -x / shape[0],
            _ if x > shape[1] => -shape[0] * libm::log(x - shape[1]),
            _ => f64::NEG_INFINITY,
        };
        let (first, last) = (place(self.x[0]), place(self.x[self.x.len() - 1]));
        let top = first.max(last);
        scratch.shape.clear();
        scratch.shape.extend(self.x.iter().map(|x| exp(place(*x) - top)));
        // Its height and an offset from the two halves.
        let middle = self.x.len() / 2;
        let mut sums = Vec::new();
        sum_up(&scratch.shape, &mut sums);
        let halves = |sums: &[f64]| mean(sums, 0, middle) - mean(sums, middle, self.x.len());
        let height = halves(&scratch.sums) / halves(&sums);
        if height.is_finite() {
            add_scaled(&mut scratch.rest, -height, &scratch.shape);
        }
    }

    /// The decay of an exponential: from thirds of the axis if there is an offset, whose
    /// differences don't have it, else from halves.
    fn decay(&self, sums: &[f64]) -> f64 {
        let length = self.x.len();
        let has_offset = self
            .model
            .parts
            .iter()
            .any(|part| matches!(part.kind, Kind::Offset | Kind::Polynomial));
        let parts = if has_offset { 3 } else { 2 };
        let size = (length / parts).max(1);
        let part =
            |at: usize| mean(sums, (at * size).min(length - 1), ((at + 1) * size).min(length));
        let ratio =
            if has_offset { (part(1) - part(2)) / (part(0) - part(1)) } else { part(1) / part(0) };
        let distance = self.x[size.min(length - 1)] - self.x[0];
        let tau = -distance / libm::log(ratio);
        let span = self.extent.most - self.extent.least;
        // Not finite if this is no decay. No exponential may leave the range of numbers.
        let slowest =
            (self.extent.most.abs().max(self.extent.least.abs()) / 300.0).max(span / 100.0);
        if tau.is_finite() && ratio > 0.0 {
            tau.abs().max(slowest).min(100.0 * span).copysign(tau)
        } else {
            0.3 * span
        }
    }

    /// The exponent of a power law from the means of two halves of the logarithmic axis.
    fn exponent(&self, sums: &[f64], origin: f64) -> f64 {
        let positive = |at: usize| self.x[at] - origin > 0.0;
        let Some(first) = (0..self.x.len()).find(|&at| positive(at)) else {
            return 2.0;
        };
        let last = self.x.len() - 1;
        let place = |at: usize| libm::log((self.x[at] - origin).max(f64::MIN_POSITIVE));
        let middle = 0.5 * (place(first) + place(last));
        let split = (first..last).find(|&at| (place(at) - middle) * (place(last) - middle) >= 0.0);
        let split = split.unwrap_or(last).clamp(first + 1, last.max(first + 1));
        let fall = mean(sums, first, split.min(last)) / mean(sums, split.min(last), last + 1);
        let distance = 0.5 * (place(last) - place(first));
        let r = libm::log(fall) / distance;
        if r.is_finite() { r.clamp(-10.0, 10.0) } else { 2.0 }
    }

    /// Peaks and steps: first those whose place is known, then the most prominent ones.
    fn features(&self, scratch: &mut Scratch, starts: &mut [f64]) {
        for part in self.placed_parts() {
            if !part.shape[0].of(starts).is_nan() {
                let found = self.measure(part, scratch, starts);
                subtract(found, part.kind == Kind::Erf, scratch);
            }
        }
        self.search(scratch, starts);
        let (mut peaks, mut steps) = (scratch.peaks.iter(), scratch.steps.iter());
        for part in self.placed_parts() {
            let found = match part.kind {
                _ if !self.is_open(part, starts) => None,
                Kind::Erf => steps.next(),
                _ => peaks.next(),
            };
            if let Some(found) = found {
                learn(&part.shape[0], self.at(found.place), starts);
                learn(&part.shape[1], found.width * self.spacing(found.place), starts);
            }
        }
        for part in self.placed_parts() {
            if part.shape[1].of(starts).is_nan() {
                self.measure(part, scratch, starts);
            }
        }
    }

    /// Whether the place of a peak or a step has to be found, not following from another's.
    fn is_open(&self, part: &Part, starts: &[f64]) -> bool {
        part.owns_place && part.shape[0].of(starts).is_nan()
    }

    /// Finds as many peaks and steps as have no place yet, in the order of the axis.
    fn search(&self, scratch: &mut Scratch, starts: &[f64]) {
        scratch.peaks.clear();
        scratch.steps.clear();
        let (mut open, mut signs) = ([0, 0], [Signs { up: false, down: false }; 2]);
        for part in self.placed_parts().filter(|part| self.is_open(part, starts)) {
            let which = usize::from(part.kind == Kind::Erf);
            let (own, all) = (self.signs(part), signs[which]);
            open[which] += 1;
            signs[which] = Signs { up: all.up || own.up, down: all.down || own.down };
        }
        let crowd = self.crowd();
        while scratch.peaks.len() < open[0] || scratch.steps.len() < open[1] {
            let peak = (scratch.peaks.len() < open[0])
                .then(|| best_peak(&scratch.sums, &scratch.rest, signs[0], crowd, None));
            let step = (scratch.steps.len() < open[1]).then(|| best_step(&scratch.sums, signs[1]));
            let (found, is_step) = match (peak, step) {
                (Some(peak), step) if step.is_none_or(|step| step.score <= peak.score) => {
                    (peak, false)
                }
                (_, Some(step)) => (step, true),
                _ => return,
            };
            let found = if is_step || crowd.is_alone {
                found
            } else {
                refine(&scratch.rest, found, &mut scratch.search)
            };
            if is_step { &mut scratch.steps } else { &mut scratch.peaks }.push(found);
            // A single one needn't be subtracted.
            if !crowd.is_alone {
                subtract(found, is_step, scratch);
            }
        }
        for found in [&mut scratch.peaks, &mut scratch.steps] {
            found.sort_by(|a, b| self.at(a.place).total_cmp(&self.at(b.place)));
        }
    }

    /// The peak or step of a component whose place is known; its width is learnt.
    fn measure(&self, part: &Part, scratch: &Scratch, starts: &mut [f64]) -> Feature {
        let place = part.shape[0].of(starts);
        let channel = self.channel(place);
        let (sums, rest, crowd) = (&scratch.sums, &scratch.rest, self.crowd());
        let found = if part.kind == Kind::Erf {
            step_at(sums, channel)
        } else {
            best_peak(sums, rest, self.signs(part), crowd, Some(channel))
        };
        if !place.is_nan() {
            learn(&part.shape[1], found.width * self.spacing(found.place), starts);
        }
        found
    }

    fn crowd(&self) -> Crowd {
        let is_line = |part: &Part| match part.kind {
            Kind::Polynomial => part.linear.len() <= 2,
            kind => !matches!(kind, Kind::Exponential | Kind::PowerLaw | Kind::Formula),
        };
        let features = self.placed_parts().count();
        Crowd { features, is_alone: features == 1 && self.model.parts.iter().all(is_line) }
    }

    fn placed_parts(&self) -> impl Iterator<Item = &Part> {
        self.model.parts.iter().filter(|part| part.kind.is_peak() || part.kind == Kind::Erf)
    }

    fn signs(&self, part: &Part) -> Signs {
        match part.linear[0] {
            Value { free: Some(at), factor, .. } => {
                let free = &self.model.linear[at];
                let (least, most) = (free.lower * factor, free.upper * factor);
                Signs { up: least.max(most) > 0.0, down: least.min(most) < 0.0 }
            }
            constant => Signs { up: constant.shift >= 0.0, down: constant.shift < 0.0 },
        }
    }

    /// The place on the axis of a channel, or between two.
    fn at(&self, channel: f64) -> f64 {
        let last = self.x.len() - 1;
        let whole = (channel.max(0.0) as usize).min(last.saturating_sub(1));
        let share = channel - whole as f64;
        self.x[whole] + share * (self.x[(whole + 1).min(last)] - self.x[whole])
    }

    fn spacing(&self, channel: f64) -> f64 {
        let last = self.x.len() - 1;
        let at = (channel.max(0.0) as usize).min(last);
        let (before, after) = (at.saturating_sub(1), (at + 1).min(last));
        ((self.x[after] - self.x[before]) / (after - before).max(1) as f64).abs()
    }

    /// The channel nearest to a place.
    fn channel(&self, place: f64) -> usize {
        let distance = |at: &usize| (self.x[*at] - place).abs();
        (0..self.x.len()).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(0)
    }
}

/// Takes a value for a parameter, if it depends on a free one of which nothing is known.
fn learn(parameter: &Value, value: f64, starts: &mut [f64]) {
    if let Some(at) = parameter.free
        && starts[at].is_nan()
    {
        starts[at] = (value - parameter.shift) / parameter.factor;
    }
}

fn subtract(feature: Feature, is_step: bool, scratch: &mut Scratch) {
    for (at, value) in scratch.rest.iter_mut().enumerate() {
        let u = (at as f64 - feature.place) / feature.width;
        *value -= feature.height
            * if is_step {
                0.5 * libm::erf(u * std::f64::consts::FRAC_1_SQRT_2)
            } else {
                exp(-0.5 * u * u)
            };
    }
    sum_up(&scratch.rest, &mut scratch.sums);
}

/// Number `index` of an even sequence between 0 and 1, another one for each parameter.
fn van_der_corput(index: usize, parameter: usize) -> f64 {
    const BASES: [usize; 8] = [2, 3, 5, 7, 11, 13, 17, 19];
    let base = BASES[parameter % BASES.len()];
    let (mut rest, mut unit, mut value) = (index, 1.0, 0.0);
    while rest > 0 {
        unit /= base as f64;
        value += unit * (rest % base) as f64;
        rest /= base;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve_fit::components::{Channels, fill};
    use crate::curve_fit::description::Components;
    use serde_json::{Value as Json, json};

    /// The start values of a model's free shape parameters on a spectrum over 0 to 20.
    fn estimate(components: Json, spectrum: impl Fn(f64) -> f64) -> Vec<f64> {
        let components: Components = serde_json::from_value(components).unwrap();
        let x: Vec<f64> = (0..201).map(|at| f64::from(at) * 0.1).collect();
        let extent = Extent { least: 0.0, most: 20.0, channel: 0.1 };
        let model = Model::new(&components, extent).unwrap();
        let values: Vec<f64> = x.iter().map(|x| spectrum(*x)).collect();
        let mut starts = Vec::new();
        let estimator = Estimator { model: &model, x: &x, extent, frame: None };
        estimator.estimate(&values, &mut Scratch::default(), &mut starts);
        starts
    }

    fn value(kind: Kind, shape: [f64; 3], x: f64) -> f64 {
        let mut columns = vec![0.0; 1 + kind.shape().len()];
        fill(kind, Channels { x: &[x], y: &[], weights: &[1.0] }, &shape, &mut columns);
        columns[0]
    }

    fn assert_near(found: &[f64], expected: &[f64], share: f64) {
        assert_eq!(found.len(), expected.len());
        for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
            let far = (found / expected - 1.0).abs();
            assert!(far < share, "{at}: {found} instead of {expected}");
        }
    }

    #[test]
    fn peaks_and_dips_are_found_on_any_line() {
        for height in [1.0, -1.0] {
            for (centre, sigma) in [(10.0, 1.0), (4.0, 0.2), (15.0, 0.5), (9.0, 2.5)] {
                let spectrum = |x: f64| {
                    let noise = 0.003 * (171.0 * x).sin();
                    height * value(Kind::Gaussian, [centre, sigma, 0.0], x) + 7.0 - 0.3 * x + noise
                };
                let found = estimate(json!("gaussian+polynomial1"), spectrum);
                assert_near(&found, &[centre, sigma], 0.5);
                assert!((found[0] - centre).abs() < 0.5 * sigma, "{found:?}");
            }
        }
    }

    #[test]
    fn several_peaks_go_to_components_in_the_order_of_the_axis() {
        let spectrum = |x: f64| {
            3.0 * value(Kind::Gaussian, [14.0, 0.5, 0.0], x)
                + 2.0 * value(Kind::Lorentzian, [5.0, 0.4, 0.0], x)
                + 1.5 * value(Kind::Gaussian, [9.0, 0.7, 0.0], x)
        };
        let found = estimate(json!("lorentzian+gaussian+gaussian"), spectrum);
        assert_near(&found, &[5.0, 0.4, 9.0, 0.7, 14.0, 0.5], 0.6);
        let known = json!([
            {"type": "gaussian", "name": "a", "centre": {"tied": "b.centre", "shift": -5}},
            {"type": "gaussian", "name": "b", "centre": 14},
            "lorentzian",
        ]);
        let found = estimate(known, spectrum);
        assert_near(&found, &[0.7, 14.0, 0.5, 5.0, 0.4], 0.6);
    }

    #[test]
    fn steps_and_backgrounds_are_found() {
        for sign in [1.0, -1.0] {
            let step = |x| sign * value(Kind::Erf, [12.0, 0.6, 0.0], x) + 4.0;
            assert_near(&estimate(json!("erf+offset"), step), &[12.0, 0.6], 0.5);
        }
        let decay = |x: f64| 5.0 * (-x / 3.0).exp();
        assert_near(&estimate(json!("exponential"), decay), &[3.0], 0.4);
        assert_near(&estimate(json!("exponential+offset"), |x| decay(x) + 9.0), &[3.0], 0.1);
        let growth = |x: f64| (x / 6.0).exp() + 2.0;
        assert_near(&estimate(json!("exponential+offset"), growth), &[-6.0], 0.1);
        let fall = |x: f64| (x + 5.0).powf(-2.5);
        let law = json!([{"type": "power_law", "origin": {"fixed": -5}}]);
        assert_near(&estimate(law, fall), &[2.5], 0.2);
        let both = |x| decay(x) + 2.0 * value(Kind::Gaussian, [11.0, 0.5, 0.0], x);
        assert_near(&estimate(json!("exponential+gaussian"), both), &[3.0, 11.0, 0.5], 1.0);
    }

    #[test]
    fn every_spectrum_has_finite_starts_within_the_bounds() {
        let all = json!([
            {"type": "gaussian", "centre": {"min": 3, "max": 4}}, "lorentzian", "pseudo_voigt", "erf",
            "exponential", "exponential", "power_law", "polynomial3",
        ]);
        for (name, spectrum) in [
            ("zero", (|_| 0.0) as fn(f64) -> f64),
            ("constant", |_| 5.0),
            ("line", |x| x),
            ("one channel", |x| if x == 7.0 { 1e9 } else { 0.0 }),
            ("negative", |x| -x * x),
            ("saturated", |x| if x > 5.0 { 65535.0 } else { 0.0 }),
            ("last channel", |x| if x >= 20.0 { 1.0 } else { 0.0 }),
        ] {
            let starts = estimate(all.clone(), spectrum);
            assert!(starts.iter().all(|start| start.is_finite()), "{name}: {starts:?}");
            assert!((3.0..=4.0).contains(&starts[0]), "{name}: {starts:?}");
        }
    }

    #[test]
    fn other_starts_spread_over_the_axis() {
        let seen: Vec<f64> = (1..9).map(|index| van_der_corput(index, 0)).collect();
        assert_eq!(seen, [0.5, 0.25, 0.75, 0.125, 0.625, 0.375, 0.875, 0.0625]);
        assert_ne!(van_der_corput(1, 1), 0.5);
    }
}
