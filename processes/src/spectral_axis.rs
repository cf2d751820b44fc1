//! The axis along which spectra run: the channels of a range of it, their widths, its step if these
//! are even, and units that it is a part of.

use std::ops::Range;

use pixelmill_core::process::{AxisValues, Dimension, Failure};

/// The largest deviation of a channel from its place, in channels, that counts as evenly spaced.
const JITTER: f64 = 1e-3;

/// Checks the ends of a range that are given, named so.
///
/// # Errors
/// If it ends before it begins.
pub(crate) fn check_range(
    (from, to): (Option<f64>, Option<f64>),
    (from_name, to_name): (&str, &str),
) -> Result<(), Failure> {
    match (from, to) {
        (Some(from), Some(to)) if from >= to => Err(Failure::new(format!(
            "`{from_name}` is {from}, but has to be below `{to_name}`, which is {to}"
        ))),
        _ => Ok(()),
    }
}

/// The channels whose places on the axis are in a range, ends included; all that there are on a
/// side without an end.
///
/// # Errors
/// If these are fewer than `least`, or don't follow each other, or the axis isn't finite.
pub(crate) fn channels(
    axis: &Dimension,
    (from, to): (Option<f64>, Option<f64>),
    least: usize,
) -> Result<Range<usize>, Failure> {
    let name = &axis.name;
    let range = from.unwrap_or(f64::NEG_INFINITY)..=to.unwrap_or(f64::INFINITY);
    if let Some(at) = axis.values.iter().position(|value| !value.is_finite()) {
        return Err(Failure::new(format!("the axis `{name}` has no number at channel {at}")));
    }
    let inside = || axis.values.iter().enumerate().filter(|(_, value)| range.contains(value));
    let ends = inside().next().zip(inside().next_back());
    let found = ends.map_or(0..0, |((first, _), (last, _))| first..last + 1);
    let count = inside().count();
    if count < found.len() {
        return Err(Failure::new(format!(
            "the axis `{name}` comes back to the range {}, so its channels there are no spectrum",
            told(range.start(), range.end())
        )));
    }
    if count < least {
        let ends = [axis.values.first(), axis.values.last()].map(Option::unwrap_or_default);
        return Err(Failure::new(format!(
            "{count} channels are in the range {} of the axis `{name}`, which goes from {} to {}; \
             it takes at least {least}",
            told(range.start(), range.end()),
            ends[0],
            ends[1]
        )));
    }
    Ok(found)
}

fn told(from: &f64, to: &f64) -> String {
    match (from.is_finite(), to.is_finite()) {
        (true, true) => format!("from {from} to {to}"),
        (true, false) => format!("from {from} on"),
        (false, true) => format!("up to {to}"),
        (false, false) => "of all".to_owned(),
    }
}

/// The widths of the channels as HyperSpy has them: the step, or the differences between the
/// neighbours to both sides.
pub(crate) fn widths(axis: &AxisValues) -> Vec<f64> {
    if let Some((_, step)) = axis.as_even() {
        return vec![step; axis.len()];
    }
    let (values, last) = (axis.as_slice(), axis.len().saturating_sub(1));
    let width = |at: usize| {
        let (before, after) = (at.saturating_sub(1), (at + 1).min(last));
        (values[after] - values[before]) / (after - before) as f64
    };
    (0..axis.len()).map(width).collect()
}

/// The step of an evenly spaced axis, negative if it falls.
///
/// # Errors
/// Why it has none, as what follows "because".
pub(crate) fn step(axis: &Dimension) -> Result<f64, String> {
    let (Some(first), Some(last), 2..) = (axis.values.first(), axis.values.last(), axis.len())
    else {
        return Err(format!("the axis `{}` has a single value", axis.name));
    };
    let step = (last - first) / (axis.len() - 1) as f64;
    // Files keep the values of axes in single precision.
    let rounding = first.abs().max(last.abs()) * f64::from(f32::EPSILON);
    let off = (step.abs() * JITTER).max(rounding);
    let is_even = |(at, value): (usize, f64)| (value - (first + step * at as f64)).abs() <= off;
    if step.abs() > 0.0 && axis.values.iter().enumerate().all(is_even) {
        return Ok(step);
    }
    Err(format!("the axis `{}` isn't evenly spaced", axis.name))
}

/// Units of values, times those of an axis to a power.
pub(crate) fn units(values: &str, axis: &str, power: i64) -> String {
    match (power, axis) {
        (0, _) | (_, "") => values.to_owned(),
        (1, axis) => format!("{values} {axis}").trim().to_owned(),
        (-1, axis) => format!("{values}/{axis}"),
        (power, axis) => format!("{values}/{axis}^{}", -power),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use pixelmill_core::ElementType;
    use pixelmill_core::process::SourceInfo;

    /// A source of counts whose spectra have this axis.
    pub(crate) fn source(axis: Dimension) -> SourceInfo {
        SourceInfo {
            path: String::new(),
            positions: 1,
            spectral_points: axis.len(),
            element: ElementType::Float64,
            is_corrected: false,
            quantity: "Intensity".to_owned(),
            units: "counts".to_owned(),
            position_dimensions: Vec::new(),
            spectroscopic_dimensions: vec![axis],
            auxiliary: Vec::new(),
            constants: Vec::new(),
            selected: None,
        }
    }

    /// An axis of energies with these values.
    pub(crate) fn axis(values: impl IntoIterator<Item = f64>) -> Dimension {
        Dimension::new("Energy", "eV", values.into_iter().collect::<Vec<_>>())
    }

    #[test]
    fn a_range_is_of_channels_that_follow_each_other() {
        let rising = axis([0.0, 1.0, 2.0, 4.0]);
        let falling = axis([4.0, 2.0, 1.0, 0.0]);
        assert_eq!(channels(&rising, (None, None), 4), Ok(0..4));
        assert_eq!(channels(&rising, (Some(1.0), Some(2.0)), 2), Ok(1..3));
        assert_eq!(channels(&falling, (Some(1.5), None), 1), Ok(0..2));
        let refused =
            |axis: &Dimension, range, least| channels(axis, range, least).unwrap_err().to_string();
        let few = refused(&rising, (Some(2.5), Some(3.5)), 1);
        assert!(few.starts_with("0 channels are in the range from 2.5 to 3.5"), "{few}");
        assert!(few.contains("from 0 to 4"), "{few}");
        let loops = axis([0.0, 1.0, 2.0, 1.0, 0.0]);
        assert!(refused(&loops, (None, Some(1.0)), 1).contains("comes back"));
        assert_eq!(channels(&loops, (None, None), 1), Ok(0..5));
        assert_eq!(channels(&loops, (Some(1.0), None), 1), Ok(1..4));
        assert!(refused(&axis([0.0, f64::NAN]), (None, None), 1).contains("channel 1"));
    }

    #[test]
    fn a_step_is_of_even_axes_alone() {
        assert_eq!(step(&axis([0.0, 0.5, 1.0])), Ok(0.5));
        assert_eq!(step(&axis([1.0, 0.0, -1.0])), Ok(-1.0));
        for uneven in [vec![0.0, 1.0, 3.0], vec![1.0, 1.0, 1.0], vec![0.0, f64::NAN, 2.0]] {
            assert!(step(&axis(uneven)).unwrap_err().contains("evenly"));
        }
        assert!(step(&axis([0.0])).unwrap_err().contains("single value"));
    }

    #[test]
    fn widths_are_steps_or_halves_of_both_neighbours() {
        assert_eq!(widths(&AxisValues::even(5.0, -0.5, 3)), [-0.5; 3]);
        assert_eq!(widths(&vec![0.0, 1.0, 3.0, 7.0].into()), [1.0, 1.5, 3.0, 4.0]);
    }
}
