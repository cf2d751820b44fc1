//! Which steps of an axis have the values that a user says.
//!
//! A file's values are rounded, to single precision often enough, and so are a user's: what differs
//! by a hundredth of a step is the same. A part of the value itself would tell nothing, since that
//! may be 0, or large where steps are small. Where an axis turns back, or stands, nothing is taken
//! that could mean several things.

use std::ops::Range;

use pixelmill_core::dimension::Dimension;

/// How far a value may be from that of a step and still be it, as a part of the step.
const SAME: f64 = 0.01;

/// The same where there is no other step, as a part of the value: what single precision rounds.
const SAME_ALONE: f64 = 1e-6;

/// The values of an axis.
struct Steps {
    values: Vec<f64>,
    /// How far from each the next other value beside it is, on the nearer side; infinite if there
    /// is none.
    apart: Vec<f64>,
}

/// The step with a value: the nearest, of two the first. Where the axis turns back or stands, the
/// only one that has the value.
///
/// # Errors
/// If there is none, or several could be meant.
pub(super) fn with_value(axis: &Dimension, value: f64) -> Result<u64, String> {
    let steps = Steps::known(axis)?;
    let outside = || {
        let value = format!("{value} {}", axis.units);
        format!("{} is outside of {}", value.trim_end(), extent(axis))
    };
    if steps.goes_one_way(|one, other| one < other) {
        return steps.nearest(value).map(|step| step as u64).ok_or_else(outside);
    }
    let is_there = |at: &usize| steps.is_near(*at, (steps.values[*at] - value).abs());
    match (0..steps.values.len()).filter(is_there).collect::<Vec<_>>()[..] {
        [one] => Ok(one as u64),
        [] if steps.is_beyond(value) => Err(outside()),
        [] => Err(format!(
            "`{}` doesn't go one way, and no step of it is at {value}; say which step",
            axis.name
        )),
        _ => Err(format!("`{}` is there more than once; say which step", axis.name)),
    }
}

/// The steps with values from one to the other, whichever is the larger; without one, from or to
/// the end of the axis.
///
/// # Errors
/// If they don't follow each other, or nobody can tell which values are towards an end.
pub(super) fn within(
    axis: &Dimension,
    from: Option<f64>,
    to: Option<f64>,
) -> Result<Range<u64>, String> {
    let steps = Steps::known(axis)?;
    if (from.is_none() || to.is_none()) && !steps.goes_one_way(|one, other| one <= other) {
        let name = &axis.name;
        return Err(format!("`{name}` doesn't go one way; say two values, or which steps"));
    }
    let rises = steps.values.last() >= steps.values.first();
    let least = if rises { f64::NEG_INFINITY } else { f64::INFINITY };
    let (one, other) = (from.unwrap_or(least), to.unwrap_or(-least));
    let (low, high) = (one.min(other), one.max(other));
    let is_in = |at: &usize| {
        let value = steps.values[*at];
        steps.is_near(*at, low - value) && steps.is_near(*at, value - high)
    };
    let inside: Vec<usize> = (0..steps.values.len()).filter(is_in).collect();
    let (Some(first), Some(last)) = (inside.first(), inside.last()) else {
        return Ok(0..0);
    };
    if last - first + 1 != inside.len() {
        return Err(format!("`{}` goes there more than once; say which steps", axis.name));
    }
    Ok(*first as u64..*last as u64 + 1)
}

/// Whether these are the values of some steps of an axis, but for rounding.
pub(super) fn are_those_of(
    axis: &Dimension,
    mut values: impl Iterator<Item = (usize, f64)>,
) -> bool {
    let steps = Steps::of(axis);
    values.all(|(at, value)| {
        let own = steps.values[at];
        value.to_bits() == own.to_bits() || steps.is_near(at, (value - own).abs())
    })
}

/// `Energy (1024 steps), from 0 to 20 keV`.
pub(super) fn extent(axis: &Dimension) -> String {
    let ends = axis.values.first().zip(axis.values.last());
    let ends = ends.map(|(first, last)| format!(", from {first} to {last} {}", axis.units));
    format!("{}{}", listed(std::slice::from_ref(axis)), ends.unwrap_or_default().trim_end())
}

impl Steps {
    fn of(axis: &Dimension) -> Self {
        let values = axis.values.to_vec();
        let mut apart = vec![f64::INFINITY; values.len()];
        let pairs: Vec<(usize, usize)> = (1..values.len()).map(|at| (at - 1, at)).collect();
        let turned = pairs.iter().rev().map(|(one, other)| (*other, *one));
        nearest_other(&values, pairs.iter().copied(), &mut apart);
        nearest_other(&values, turned, &mut apart);
        Self { values, apart }
    }

    /// Those of an axis all of whose values are numbers.
    fn known(axis: &Dimension) -> Result<Self, String> {
        match axis.values.iter().enumerate().find(|(_, value)| !value.is_finite()) {
            Some((at, value)) => {
                let name = &axis.name;
                Err(format!("`{name}` is at {value} at step {at}, so its steps have to be said"))
            }
            None => Ok(Self::of(axis)),
        }
    }

    /// Whether something so far from the value of a step is still at it.
    fn is_near(&self, at: usize, away: f64) -> bool {
        let apart = self.apart[at];
        let alone = SAME_ALONE * self.values[at].abs();
        away <= if apart.is_finite() { SAME * apart } else { alone }
    }

    fn goes_one_way(&self, is_after: impl Fn(f64, f64) -> bool) -> bool {
        let pairs = || self.values.windows(2);
        pairs().all(|pair| is_after(pair[0], pair[1]))
            || pairs().all(|pair| is_after(pair[1], pair[0]))
    }

    fn is_beyond(&self, value: f64) -> bool {
        self.values.iter().all(|at| *at < value) || self.values.iter().all(|at| *at > value)
    }

    /// The step nearest to a value that is at most half a step beyond the first or last.
    fn nearest(&self, value: f64) -> Option<usize> {
        let away = |at: &usize| (self.values[*at] - value).abs();
        let all = 0..self.values.len();
        let nearest = all.min_by(|one, other| away(one).total_cmp(&away(other)))?;
        let away = away(&nearest);
        // A step is as wide as it is far to the next.
        let half = Some(0.5 * self.apart[nearest]).filter(|half| half.is_finite());
        let is_there = !self.is_beyond(value) || self.is_near(nearest, away - half.unwrap_or(0.0));
        is_there.then_some(nearest)
    }
}

/// Notes how far from each value the next other one is, before it in the order of `pairs`.
fn nearest_other(values: &[f64], pairs: impl Iterator<Item = (usize, usize)>, apart: &mut [f64]) {
    let mut last = f64::INFINITY;
    for (before, at) in pairs {
        if values[before] != values[at] {
            last = (values[before] - values[at]).abs();
        }
        apart[at] = apart[at].min(last);
    }
}

/// `Frequency (256 steps), Bias (16 steps)`.
pub(crate) fn listed(axes: &[Dimension]) -> String {
    let one = |axis: &Dimension| format!("`{}` ({} steps)", axis.name, axis.len());
    axes.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Crop;

    /// The steps of an axis in V with these values that a part of it keeps.
    fn steps(values: &[f64], text: &str) -> Result<Vec<u64>, String> {
        let axis = Dimension::new("Bias", "V", values.to_vec());
        let crop: Crop = text.parse()?;
        let kept = crop.kept(&[axis], &[]).map_err(|error| error.to_string())?;
        Ok((0..kept[0].count).map(|number| kept[0].start + number * kept[0].step).collect())
    }

    #[test]
    fn a_value_at_a_bound_is_in_however_it_is_rounded_and_no_other() {
        // As NumPy counts them: -2.2e-16 instead of 0.
        let about_zero: Vec<f64> =
            (0..21).map(|step| -1.0 + f64::from(step) * (-0.9 + 1.0)).collect();
        assert_ne!(about_zero[10], 0.0);
        for text in ["0.0:0.5", "0mV:500mV", "0.5:0.0"] {
            assert_eq!(steps(&about_zero, text), Ok((10..=15).collect()), "{text}");
        }
        assert_eq!(steps(&about_zero, "-0.5:0.0"), Ok((5..=10).collect()));
        assert_eq!(steps(&about_zero, "0.002:0.498"), Ok((11..=14).collect()));
        assert_eq!(steps(&about_zero, "0.0"), Ok(vec![10]));
        // Steps that are small beside the values, and in single precision.
        let far: Vec<f64> = (0..20).map(|step| f64::from(1486.6 + step as f32 * 0.05)).collect();
        assert_ne!(far[4], 1486.8);
        assert_eq!(steps(&far, "1486.8:1487.0"), Ok((4..=8).collect()));
        assert_eq!(steps(&far, "1486.802:1486.998"), Ok((5..=7).collect()));
        let tiny: Vec<f64> = (0..5).map(|step| 1e9 + f64::from(step) * 1e-3).collect();
        assert_eq!(steps(&tiny, "1000000000.001:1000000000.003"), Ok(vec![1, 2, 3]));
        // Each step is as wide as it is there.
        let uneven = [0.0, 1e-6, 2e-6, 1.0, 2.0, 1000.0];
        assert_eq!(steps(&uneven, "1.5e-6:1.995"), Ok(vec![2, 3, 4]));
        assert_eq!(steps(&uneven, "1.001e-6:1.98"), Ok(vec![1, 2, 3]));
        assert_eq!(steps(&uneven, "5e-9:2.02"), Ok(vec![0, 1, 2, 3, 4]));
        assert_eq!(steps(&[5.0], "5.0000001:6.0"), Ok(vec![0]));
    }

    #[test]
    fn a_falling_axis_begins_at_its_largest_value() {
        let falling: Vec<f64> = (0..7).map(|step| 0.3 - 0.1 * f64::from(step)).collect();
        assert_ne!(falling[3], 0.0);
        for (text, expected) in [
            ("0.0:", 3..=6),
            (":0.0", 0..=3),
            ("0.1:-0.1", 2..=4),
            ("-0.1:0.1", 2..=4),
            ("0.21V", 1..=1),
            ("100mV:6", 2..=5),
            ("1:-0.1", 1..=4),
        ] {
            assert_eq!(steps(&falling, text), Ok(expected.collect()), "{text}");
        }
    }

    #[test]
    fn a_single_value_is_on_the_axis() {
        let even: Vec<f64> = (0..21).map(f64::from).collect();
        for (text, expected) in [
            ("20.5", Some(20)),
            ("-0.5", Some(0)),
            ("7.4", Some(7)),
            ("20.6", None),
            ("-0.6", None),
            ("99V", None),
            ("1e300kV", None),
        ] {
            let found = steps(&even, text);
            assert_eq!(found.clone().ok(), expected.map(|step| vec![step]), "{text}");
            let told = "is outside of `Bias` (21 steps), from 0 to 20 V";
            assert!(found.err().is_none_or(|reason| reason.contains(told)), "{text}");
        }
        let falling = [3.0, 1.0, 0.0];
        assert_eq!(steps(&falling, "3.9"), Ok(vec![0]));
        assert!(steps(&falling, "4.1").is_err() && steps(&falling, "-0.6").is_err());
        assert_eq!(steps(&[5.0], "5.0"), Ok(vec![0]));
        assert!(steps(&[5.0], "5.1").is_err());
    }

    #[test]
    fn where_an_axis_turns_back_or_has_no_number_nothing_is_guessed() {
        let cycle = [0.0, 1.0, 2.0, 1.0, 0.0, -1.0, -0.5];
        let stands = [0.0, 0.0, 1.0, 1.0, 2.0];
        let (first, last) = ([f64::NAN, 1.0, 2.0], [0.0, 1.0, f64::NAN]);
        let middle = [0.0, f64::NAN, 2.0];
        let endless = [0.0, 1.0, f64::INFINITY];
        for (values, text, told) in [
            (&cycle[..], "1.0:", "`Bias` doesn't go one way; say two values"),
            (&cycle, ":1.0", "doesn't go one way"),
            (&cycle, "1.0:5", "doesn't go one way"),
            (&cycle, "0.5:1.5", "more than once"),
            (&cycle, "1.0", "more than once"),
            (&cycle, "1.9", "no step of it is at 1.9"),
            (&cycle, "2.6", "is outside of"),
            (&stands, "1.0", "more than once"),
            (&first, "1.0:", "`Bias` is at NaN at step 0"),
            (&last, "1.0:", "`Bias` is at NaN at step 2"),
            (&middle, "2.0", "`Bias` is at NaN at step 1"),
            (&endless, ":1.0", "`Bias` is at inf at step 2"),
        ] {
            let found = steps(values, text).unwrap_err();
            assert!(found.contains(told), "{text}: {found}");
        }
        assert_eq!(steps(&cycle, "1.5:9.0"), Ok(vec![2]));
        assert_eq!(steps(&cycle, "0.5:9.0"), Ok(vec![1, 2, 3]));
        assert_eq!(steps(&cycle, "2.0"), Ok(vec![2]));
        assert_eq!(steps(&stands, "0.995:"), Ok(vec![2, 3, 4]));
        assert_eq!(steps(&last, "1:3"), Ok(vec![1, 2]));
    }
}
