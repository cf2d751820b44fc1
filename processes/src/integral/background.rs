//! The background below a spectrum, as its side windows have it.

use std::ops::Range;

use pixelmill_core::process::{Dimension, Failure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{channels, trapezoids, widths};
use crate::choices::one_of;
use crate::spectral_axis;

/// What is taken off the values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Background {
    /// Nothing.
    #[default]
    None,
    /// The mean level of the side windows.
    Constant,
    /// A line through the mean levels of both.
    Linear,
    /// A power law through the one before.
    PowerLaw,
}

one_of!(Background: "none", "constant", "linear", "power_law");

impl Background {
    /// Checks that there are the side windows that it takes.
    ///
    /// # Errors
    /// Which it takes.
    pub(super) fn check(self, before: bool, after: bool) -> Result<(), Failure> {
        let (is_right, told) = match self {
            Self::None => (!before && !after, "`before` and `after` need a `background` to be for"),
            Self::Constant => {
                (before || after, "background=constant takes `before`, `after`, or both")
            }
            Self::Linear => (before && after, "background=linear takes both `before` and `after`"),
            Self::PowerLaw => {
                (before && !after, "background=power_law takes `before`, and no `after`")
            }
        };
        if is_right { Ok(()) } else { Err(Failure::new(told)) }
    }
}

/// A line.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Line {
    /// Where the level is.
    place: f64,
    /// The level there.
    level: f64,
    /// How much it rises for each unit of the axis.
    slope: f64,
}

impl Line {
    /// Its value at a place of the axis.
    #[inline(always)]
    pub(super) fn at(self, at: f64) -> f64 {
        self.level + self.slope * (at - self.place)
    }

    fn flat(level: f64) -> Self {
        Self { place: 0.0, level, slope: 0.0 }
    }
}

/// The background of a spectrum.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Course {
    /// None is wanted.
    #[default]
    None,
    /// A line.
    Line(Line),
    /// A power law.
    Power {
        /// The level in the middle of the side window.
        level: f64,
        /// Its exponent r.
        exponent: f64,
    },
    /// No power law goes through the side window.
    Unknown,
}

impl Course {
    /// Whether one is wanted.
    pub(super) fn is_any(&self) -> bool {
        *self != Self::None
    }

    /// Whether it is known, or there is none.
    pub(super) fn is_known(&self) -> bool {
        *self != Self::Unknown
    }

    /// Whether it comes of values that aren't finite.
    pub(super) fn is_unusable(&self) -> bool {
        match self {
            Self::Line(line) => !(line.level.is_finite() && line.slope.is_finite()),
            Self::Power { level, .. } => !level.is_finite(),
            Self::None | Self::Unknown => false,
        }
    }

    /// Its value at a place of the axis; of a power law, at the logarithm of that over the middle
    /// of the side window.
    #[inline(always)]
    pub(super) fn at(&self, at: f64) -> f64 {
        match *self {
            Self::None => 0.0,
            Self::Line(line) => line.at(at),
            Self::Power { level, exponent } => level * libm::exp(-exponent * at),
            Self::Unknown => f64::NAN,
        }
    }
}

/// A side window, with the mean of its places.
pub(super) struct Side {
    channels: Range<usize>,
    place: f64,
}

/// A half of a side window: its channels, what each counts, and the logarithms of their places
/// over that of the middle of the window.
pub(super) struct Half {
    channels: Range<usize>,
    weights: Vec<f64>,
    logs: Vec<f64>,
}

/// The side windows, as the background takes them.
pub(super) enum Sides {
    /// No background.
    None,
    /// The mean of all of these is the level.
    Constant(Vec<Side>),
    /// The line goes through the means of these.
    Linear([Side; 2]),
    /// Both halves of one, the one at lower places first, and where its middle is.
    PowerLaw { halves: [Half; 2], middle: f64 },
}

impl Sides {
    /// The side windows on this axis.
    ///
    /// # Errors
    /// If the axis has no such windows, or no such background.
    pub(super) fn new(
        background: Background,
        axis: &Dimension,
        (before, after): (Option<[f64; 2]>, Option<[f64; 2]>),
    ) -> Result<Self, Failure> {
        if background != Background::None && axis.binned && spectral_axis::step(axis).is_err() {
            return Err(Failure::new(format!(
                "the axis `{}` is binned and its steps are uneven: what a background is there \
                 can't be told",
                axis.name
            )));
        }
        let side = |[from, to]: [f64; 2]| -> Result<Side, Failure> {
            let channels = channels(axis, (Some(from), Some(to)), 1)?;
            let places = &axis.values.as_slice()[channels.clone()];
            let place = places.iter().sum::<f64>() / places.len() as f64;
            Ok(Side { channels, place })
        };
        let sides = before.into_iter().chain(after);
        match background {
            Background::None => Ok(Self::None),
            Background::Constant => Ok(Self::Constant(sides.map(side).collect::<Result<_, _>>()?)),
            Background::Linear => {
                let (before, after) = before.zip(after).unwrap_or_default();
                let (before, after) = (side(before)?, side(after)?);
                if before.place >= after.place {
                    return Err(Failure::new("`before` has to lie before `after` on the axis"));
                }
                Ok(Self::Linear([before, after]))
            }
            Background::PowerLaw => Self::power_law(axis, before.unwrap_or_default()),
        }
    }

    fn power_law(axis: &Dimension, [from, to]: [f64; 2]) -> Result<Self, Failure> {
        if axis.values.iter().any(|value| value.is_nan() || value <= 0.0) {
            return Err(Failure::new(format!(
                "a power law takes an axis above 0, which `{}` isn't",
                axis.name
            )));
        }
        let window = channels(axis, (Some(from), Some(to)), 3)?;
        let steps = &widths(&axis.values)[window.clone()];
        if !(steps.iter().all(|step| *step > 0.0) || steps.iter().all(|step| *step < 0.0)) {
            return Err(Failure::new("a power law takes an axis that rises or falls throughout"));
        }
        let values = axis.values.as_slice();
        // Counted from the lowest place, whichever end that is.
        let falls = steps[0] < 0.0;
        let at = (window.start + window.end - usize::from(!falls)) / 2;
        let middle = values[at];
        let half = |channels: Range<usize>| Half {
            weights: trapezoids(&values[channels.clone()]),
            logs: values[channels.clone()].iter().map(|x| libm::log(x / middle)).collect(),
            channels,
        };
        let (one, other) = (half(window.start..at + 1), half(at..window.end));
        let halves = if falls { [other, one] } else { [one, other] };
        Ok(Self::PowerLaw { halves, middle })
    }

    /// The places of an axis as the [`Course`] takes them.
    pub(super) fn places(&self, axis: &Dimension) -> Vec<f64> {
        match self {
            Self::PowerLaw { middle, .. } => {
                axis.values.iter().map(|x| libm::log(x / middle)).collect()
            }
            _ => axis.values.to_vec(),
        }
    }

    /// Whether a channel is in one of them.
    pub(super) fn has(&self, at: usize) -> bool {
        match self {
            Self::None => false,
            Self::Constant(sides) => sides.iter().any(|side| side.channels.contains(&at)),
            Self::Linear(sides) => sides.iter().any(|side| side.channels.contains(&at)),
            Self::PowerLaw { halves, .. } => halves.iter().any(|half| half.channels.contains(&at)),
        }
    }

    /// The background of a spectrum; what isn't finite in the side windows isn't in it.
    pub(super) fn course(&self, spectrum: &[f64]) -> Course {
        let sum = |side: &Side| spectrum[side.channels.clone()].iter().sum::<f64>();
        match self {
            Self::None => Course::None,
            Self::Constant(sides) => {
                let count: usize = sides.iter().map(|side| side.channels.len()).sum();
                let level = sides.iter().map(sum).sum::<f64>() / count as f64;
                Course::Line(Line::flat(level))
            }
            Self::Linear([before, after]) => {
                let [level, other] =
                    [before, after].map(|side| sum(side) / side.channels.len() as f64);
                let slope = (other - level) / (after.place - before.place);
                Course::Line(Line { place: before.place, level, slope })
            }
            Self::PowerLaw { halves, .. } => power_law(halves, spectrum),
        }
    }
}

/// Steps of Newton's method at most. The logarithm of the ratio of two areas is almost straight in
/// r: three or four are enough.
const MOST_STEPS: usize = 20;

/// The power law that has the areas of both halves.
fn power_law(halves: &[Half; 2], spectrum: &[f64]) -> Course {
    let area = |half: &Half| -> f64 {
        let values = &spectrum[half.channels.clone()];
        values.iter().zip(&half.weights).map(|(value, weight)| value * weight).sum()
    };
    let areas = [area(&halves[0]), area(&halves[1])];
    if !areas.iter().all(|area| area.is_finite()) {
        return Course::Line(Line::flat(f64::NAN));
    }
    if areas == [0.0; 2] {
        return Course::Line(Line::flat(0.0));
    }
    if !areas.iter().all(|area| *area > 0.0) {
        return Course::Unknown;
    }
    let wanted = libm::log(areas[0] / areas[1]);
    let mut exponent = 0.0;
    for _ in 0..MOST_STEPS {
        let [(one, one_log), (other, other_log)] = [0, 1].map(|at| halves[at].of(exponent));
        // d ln Σ w·x^(−r) / dr is minus the mean of ln x.
        let step = (wanted - libm::log(one / other)) / (other_log - one_log);
        exponent += step;
        if step.is_nan() || step.abs() <= 1e-14 * (1.0 + exponent.abs()) {
            break;
        }
    }
    let level = (areas[0] + areas[1]) / (halves[0].of(exponent).0 + halves[1].of(exponent).0);
    if level.is_finite() { Course::Power { level, exponent } } else { Course::Unknown }
}

impl Half {
    /// The area of a power law of level 1 in the middle of the window, and the mean of the
    /// logarithm of the place in it.
    fn of(&self, exponent: f64) -> (f64, f64) {
        let (mut area, mut with_log) = (0.0, 0.0);
        for (log, weight) in self.logs.iter().zip(&self.weights) {
            let part = weight * libm::exp(-exponent * log);
            area += part;
            with_log += part * log;
        }
        (area, with_log / area)
    }
}
