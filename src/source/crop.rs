//! Which part of each position's values is computed with, as a user says it: `64:192,64:192`,
//! `6.2keV:6.9keV`, `Frequency=310kHz:340kHz`, `128,:`.
//!
//! Whole numbers count steps, as NumPy does, the end left out; numbers with a point or with units
//! are values of the axis, both ends in. A single one takes the axis away.

use std::fmt;
use std::str::FromStr;

use super::axis_steps::{extent, listed, with_value, within};
use super::unit::converted;
use pixelmill_core::dimension::Dimension;
use pixelmill_core::error::Error;
use pixelmill_core::parameters::nearest;

/// A part of the axes of a spectrum.
#[derive(Clone, Debug, PartialEq)]
pub struct Crop(Vec<(Option<String>, Part)>);

/// A part of one axis.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    Single(Bound),
    Range { start: Option<Bound>, end: Option<Bound>, step: u64 },
}

#[derive(Clone, Debug, PartialEq)]
enum Bound {
    /// A step; a negative one is counted from the end.
    Step(i64),
    /// A value in units, or, without any, in those of the axis.
    Value { number: f64, units: String },
}

/// Steps of an axis that are kept: every `step`-th of them, `count` from `start` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub start: u64,
    pub step: u64,
    pub count: u64,
    /// Whether the axis falls away, since a single step of it was asked for.
    pub is_single: bool,
}

impl Kept {
    /// All steps of an axis.
    pub fn all(length: usize) -> Self {
        Self { start: 0, step: 1, count: length as u64, is_single: false }
    }

    /// The single step, or start, end and step.
    pub fn told(&self) -> Vec<u64> {
        if self.is_single { vec![self.start] } else { vec![self.start, self.end(), self.step] }
    }

    /// The first step that isn't needed.
    pub fn end(&self) -> u64 {
        self.start + (self.count - 1) * self.step + 1
    }
}

impl Crop {
    /// The very steps that are kept of each axis: a single one, or start, end and step.
    pub(crate) fn of_steps(axes: &[Vec<u64>]) -> Option<Self> {
        let step = |step: u64| i64::try_from(step).ok().map(Bound::Step);
        let part = |axis: &Vec<u64>| match axis[..] {
            [single] => Some((None, Part::Single(step(single)?))),
            [start, end, apart] if apart > 0 => {
                let (start, end) = (Some(step(start)?), Some(step(end)?));
                Some((None, Part::Range { start, end, step: apart }))
            }
            _ => None,
        };
        axes.iter().map(part).collect::<Option<_>>().map(Self)
    }

    /// What is kept of axes. Of those that are `uneven` each step has several values.
    ///
    /// # Errors
    /// If it is outside of them, or nothing, or can't be understood.
    pub(crate) fn kept(&self, axes: &[Dimension], uneven: &[usize]) -> Result<Vec<Kept>, Error> {
        let refused = |reason| Error::Axes { asked: format!("the crop `{self}`"), reason };
        let mut kept: Vec<Kept> = axes.iter().map(|axis| Kept::all(axis.len())).collect();
        let is_named = self.0.iter().any(|(name, _)| name.is_some());
        if !is_named && self.0.len() != axes.len() {
            let (parts, names) = (self.0.len(), listed(axes));
            return Err(refused(format!("{parts} parts for the axes of a spectrum: {names}")));
        }
        let mut seen = vec![false; axes.len()];
        for (number, (name, part)) in self.0.iter().enumerate() {
            let at = match name {
                Some(name) => place(name, axes).map_err(refused)?,
                None if is_named => {
                    return Err(refused("either all of its parts have names or none".to_owned()));
                }
                None => number,
            };
            if std::mem::replace(&mut seen[at], true) {
                return Err(refused(format!("`{}` is named twice", axes[at].name)));
            }
            if part.has_values() && uneven.contains(&at) {
                return Err(refused(format!(
                    "the values of `{}` aren't the same for all steps of the other axes; say \
                     which steps",
                    axes[at].name
                )));
            }
            kept[at] = part.kept(&axes[at]).map_err(refused)?;
        }
        Ok(kept)
    }
}

/// The axis of a name.
///
/// # Errors
/// If there is none, or several.
pub(crate) fn place(name: &str, axes: &[Dimension]) -> Result<usize, String> {
    let named: Vec<usize> = (0..axes.len()).filter(|at| axes[*at].name == name).collect();
    match (named[..].first(), named.len()) {
        (Some(at), 1) => Ok(*at),
        (Some(_), _) => Err(format!("several axes are called `{name}`: {}", listed(axes))),
        (None, _) => match name.parse::<usize>() {
            Ok(number) if number < axes.len() => Ok(number),
            _ => {
                let nearest = nearest(name, axes.iter().map(|axis| &*axis.name));
                let meant = nearest.map(|name| format!(" (did you mean `{name}`?)"));
                let meant = meant.unwrap_or_default();
                Err(format!("there is no axis `{name}`{meant}; the axes: {}", listed(axes)))
            }
        },
    }
}

impl Part {
    /// Whether it says values of the axis.
    fn has_values(&self) -> bool {
        let is_value = |bound: &Bound| matches!(bound, Bound::Value { .. });
        match self {
            Self::Single(bound) => is_value(bound),
            Self::Range { start, end, .. } => start.iter().chain(end).any(is_value),
        }
    }

    fn kept(&self, axis: &Dimension) -> Result<Kept, String> {
        let length = axis.len() as u64;
        let outside =
            |step: &Bound| format!("{step} is outside of {}", listed(std::slice::from_ref(axis)));
        let at = |bound: &Bound, step: i64, most: u64| {
            let step = if step < 0 { step + length as i64 } else { step };
            u64::try_from(step).ok().filter(|step| *step <= most).ok_or_else(|| outside(bound))
        };
        match self {
            Self::Single(bound) => {
                let start = match bound {
                    Bound::Step(step) => at(bound, *step, length.saturating_sub(1))?,
                    Bound::Value { number, units } => {
                        with_value(axis, in_units(*number, units, axis)?)?
                    }
                };
                Ok(Kept { start, step: 1, count: 1, is_single: true })
            }
            Self::Range { start, end, step } => {
                let mut range = 0..length;
                if let Some(Bound::Step(step)) = start {
                    range.start = at(start.as_ref().expect("it is there"), *step, length)?;
                }
                if let Some(Bound::Step(step)) = end {
                    range.end = at(end.as_ref().expect("it is there"), *step, length)?;
                }
                let value = |bound: &Option<Bound>| match bound {
                    Some(Bound::Value { number, units }) => {
                        in_units(*number, units, axis).map(Some)
                    }
                    _ => Ok(None),
                };
                let (from, to) = (value(start)?, value(end)?);
                if from.is_some() || to.is_some() {
                    let within = within(axis, from, to)?;
                    range = range.start.max(within.start)..range.end.min(within.end);
                }
                if range.is_empty() {
                    return Err(format!("{self} keeps nothing of {}", extent(axis)));
                }
                let count = (range.end - range.start).div_ceil(*step);
                // Behind the only one there is none that a step could lead to.
                let step = if count == 1 { 1 } else { *step };
                Ok(Kept { start: range.start, step, count, is_single: false })
            }
        }
    }
}

/// A value with its units in those of an axis.
fn in_units(number: f64, units: &str, axis: &Dimension) -> Result<f64, String> {
    let own = axis.units.trim();
    if units.is_empty() {
        return Ok(number);
    }
    converted(number, units, own).ok_or_else(|| match own {
        "" => format!("`{}` has no units, so it can't have a value in {units}", axis.name),
        _ => format!("`{}` is in {own}, not in {units}", axis.name),
    })
}

impl FromStr for Crop {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let part = |text: &str| {
            let (name, part) = match text.rsplit_once('=') {
                Some((name, part)) => (Some(name.trim().to_owned()), part),
                None => (None, text),
            };
            Ok((name, part.parse()?))
        };
        text.split(',').map(part).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bound = |text: &str| match text.trim() {
            "" => Ok(None),
            text => text.parse::<Bound>().map(Some),
        };
        match text.split(':').collect::<Vec<_>>()[..] {
            [single] => {
                let there = bound(single)?;
                there.map(Self::Single).ok_or_else(|| "a part of it is empty".to_owned())
            }
            [start, end] => Ok(Self::Range { start: bound(start)?, end: bound(end)?, step: 1 }),
            [start, end, step] => {
                let step: u64 = step
                    .trim()
                    .parse()
                    .ok()
                    .filter(|step| *step > 0)
                    .ok_or_else(|| format!("`{step}` is no number of steps, from 1 on"))?;
                Ok(Self::Range { start: bound(start)?, end: bound(end)?, step })
            }
            _ => Err(format!("`{text}` is no START:END or START:END:STEP")),
        }
    }
}

impl FromStr for Bound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            let step = text.parse().map(Self::Step);
            return step.map_err(|_| format!("step {text} is outside of every axis"));
        }
        let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]).rev();
        let mut numbers = ends.filter_map(|at| Some((text[..at].parse::<f64>().ok()?, at)));
        match numbers.next() {
            Some((number, at)) if number.is_finite() => {
                Ok(Self::Value { number, units: text[at..].trim().to_owned() })
            }
            _ => Err(format!("`{text}` is neither a step nor a value with units")),
        }
    }
}

impl fmt::Display for Crop {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (name, part)) in self.0.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(formatter, "{comma}")?;
            if let Some(name) = name {
                write!(formatter, "{name}=")?;
            }
            write!(formatter, "{part}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bound: &Option<Bound>| bound.as_ref().map(Bound::to_string).unwrap_or_default();
        match self {
            Self::Single(bound) => write!(formatter, "{bound}"),
            Self::Range { start, end, step: 1 } => {
                write!(formatter, "{}:{}", text(start), text(end))
            }
            Self::Range { start, end, step } => {
                write!(formatter, "{}:{}:{step}", text(start), text(end))
            }
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(step) => write!(formatter, "{step}"),
            Self::Value { number, units } if units.is_empty() => write!(formatter, "{number:?}"),
            Self::Value { number, units } => write!(formatter, "{number}{units}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pixelmill_core::axis_values::AxisValues;

    fn axes() -> Vec<Dimension> {
        let energy = AxisValues::even(0.0, 0.01, 1024);
        vec![
            Dimension::new("Energy", "keV", energy),
            Dimension::new("Bias", "V", vec![0.0, 1.0, 2.0, 1.0, 0.0]),
        ]
    }

    fn kept(text: &str) -> Result<Vec<(u64, u64, u64)>, String> {
        let crop: Crop = text.parse()?;
        assert_eq!(crop.to_string(), text);
        let kept = crop.kept(&axes(), &[]).map_err(|error| error.to_string())?;
        Ok(kept.iter().map(|kept| (kept.start, kept.step, kept.count)).collect())
    }

    #[test]
    fn steps_count_as_in_numpy_and_values_have_units() {
        for (text, expected) in [
            ("64:192,:", [(64, 1, 128), (0, 1, 5)]),
            (":,1:5:2", [(0, 1, 1024), (1, 2, 2)]),
            ("-24:,-1", [(1000, 1, 24), (4, 1, 1)]),
            ("Energy=6.2keV:6.9keV", [(620, 1, 71), (0, 1, 5)]),
            ("Energy=6200eV:6900eV", [(620, 1, 71), (0, 1, 5)]),
            ("Energy=6.9:6.2", [(620, 1, 71), (0, 1, 5)]),
            ("Energy=10.2:", [(1020, 1, 4), (0, 1, 5)]),
            ("Energy=:0.035", [(0, 1, 4), (0, 1, 5)]),
            ("Energy=1.2345keV", [(123, 1, 1), (0, 1, 5)]),
            ("Bias=1500mV:9V", [(0, 1, 1024), (2, 1, 1)]),
            ("Bias=2.0", [(0, 1, 1024), (2, 1, 1)]),
        ] {
            assert_eq!(kept(text), Ok(expected.to_vec()), "{text}");
        }
    }

    #[test]
    fn a_single_step_that_is_left_is_no_step_apart() {
        let kept = |steps: usize, text: &str| {
            let axis = Dimension::new("Bias", "V", AxisValues::counted(steps));
            text.parse::<Crop>().unwrap().kept(&[axis], &[]).unwrap()
        };
        let of = |start, step, count| [Kept { start, step, count, is_single: false }];
        for (text, expected) in [
            ("::2", of(0, 2, 2)),
            ("0:3:3", of(0, 1, 1)),
            ("1:3:18446744073709551615", of(1, 1, 1)),
            ("::4611686018427387904", of(0, 1, 1)),
        ] {
            assert_eq!(kept(3, text), expected, "{text}");
        }
        assert_eq!(kept(1, "::2"), [Kept::all(1)]);
        assert_eq!(kept(1, "::18446744073709551615"), [Kept::all(1)]);
        for damaged in [vec![0, 3, 0], vec![u64::MAX], vec![0, u64::MAX, 1], vec![], vec![1, 2]] {
            assert_eq!(Crop::of_steps(&[damaged]), None);
        }
    }

    #[test]
    fn what_cant_be_kept_is_told() {
        for (text, told) in [
            ("0:2000,:", "2000 is outside of `Energy` (1024 steps)"),
            ("64:192", "1 parts for the axes"),
            ("Enrgy=0:3", "did you mean `Energy`?"),
            ("Energy=6Hz:7Hz", "`Energy` is in keV, not in Hz"),
            ("Energy=20.0:30.0", "keeps nothing of `Energy` (1024 steps), from 0 to 10.23 keV"),
            ("5:5,:", "keeps nothing"),
            ("Bias=0.5V:1.5V", "more than once"),
            ("Energy=5min:", "`Energy` is in keV, not in min"),
            ("Bias=1,Bias=2", "named twice"),
            ("Bias=1,:", "either all"),
        ] {
            let found = kept(text).unwrap_err();
            assert!(found.contains(told), "{text}: {found}");
        }
        let beyond = ["0:99999999999999999999", "-99999999999999999999:"];
        for text in ["", "1:2:0", "a:b", "1:2:3:4", "nan:1.0"].into_iter().chain(beyond) {
            assert!(text.parse::<Crop>().is_err(), "{text}");
        }
    }
}
