//! What of each position's values is summed.

use std::fmt::{self, Display, Formatter};
use std::ops::Range;
use std::str::FromStr;

use pixelmill_core::detector::{Detector as Frame, is_between, is_in_rectangle};
use pixelmill_core::error::{Error, Result};
use pixelmill_core::positions::runs;
use pixelmill_core::source_info::SourceInfo;

/// What of each position's values is summed. Places and radii are in points of the frame, from the
/// middle of its first point; the points of a disk, a ring and a rectangle are those that the
/// process `masks` takes for the same centre, radii, height and width.
///
/// As text: `all`, `window:FIRST,LAST`, `disk:ROW,COLUMN,RADIUS`, `ring:ROW,COLUMN,INNER,OUTER`,
/// `rectangle:TOP,LEFT,BOTTOM,RIGHT`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Detector {
    /// All of them.
    All,
    /// Neighbouring points of a spectrum.
    Window {
        /// The first point, counted from 0.
        first: u64,
        /// The last one, which is one of them.
        last: u64,
    },
    /// The points of a frame whose middle isn't further away from a place than the radius.
    Disk {
        /// Row of the place.
        row: f64,
        /// Its column.
        column: f64,
        /// The radius.
        radius: f64,
    },
    /// Those that are also further away than another radius.
    Ring {
        /// Row of the centre.
        row: f64,
        /// Its column.
        column: f64,
        /// The radius that they are further away than; if it is 0, the centre is among them.
        inner: f64,
        /// The radius that they aren't further away than.
        outer: f64,
    },
    /// Those whose middle lies between these rows and columns, or on one of them.
    Rectangle {
        /// The first row.
        top: f64,
        /// The first column.
        left: f64,
        /// The last row.
        bottom: f64,
        /// The last column.
        right: f64,
    },
}

impl FromStr for Detector {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refused = |reason: String| Error::Argument { argument: text.to_owned(), reason };
        let (shape, given) = text.split_once(':').unwrap_or((text, ""));
        let names: &[&str] = match shape {
            "all" => &[],
            "window" => &["FIRST", "LAST"],
            "disk" => &["ROW", "COLUMN", "RADIUS"],
            "ring" => &["ROW", "COLUMN", "INNER", "OUTER"],
            "rectangle" => &["TOP", "LEFT", "BOTTOM", "RIGHT"],
            _ => {
                let known = "all, window, disk, ring, rectangle";
                return Err(refused(format!("there is no detector `{shape}`; there are: {known}")));
            }
        };
        let words: Vec<&str> = given.split(',').filter(|_| text.contains(':')).collect();
        if words.len() != names.len() {
            let form =
                if names.is_empty() { String::new() } else { format!(":{}", names.join(",")) };
            return Err(refused(format!("it has to be {shape}{form}")));
        }
        let numbers = words.iter().map(|word| {
            let number = word.trim().parse().ok().filter(|number: &f64| number.is_finite());
            number.ok_or_else(|| refused(format!("`{word}` is no number")))
        });
        let numbers = numbers.collect::<Result<Vec<f64>>>()?;
        let point = |at: usize| {
            let point = words[at].trim().parse();
            point.map_err(|_| refused(format!("`{}` is no number of a point", words[at])))
        };
        let detector = match (shape, numbers.as_slice()) {
            ("window", _) => Self::Window { first: point(0)?, last: point(1)? },
            (_, [row, column, radius]) => {
                Self::Disk { row: *row, column: *column, radius: *radius }
            }
            ("ring", [row, column, inner, outer]) => {
                Self::Ring { row: *row, column: *column, inner: *inner, outer: *outer }
            }
            (_, [top, left, bottom, right]) => {
                Self::Rectangle { top: *top, left: *left, bottom: *bottom, right: *right }
            }
            _ => Self::All,
        };
        match detector.turned_round() {
            Some(reason) => Err(refused(reason.to_owned())),
            None => Ok(detector),
        }
    }
}

impl Display for Detector {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => write!(out, "all"),
            Self::Window { first, last } => write!(out, "window:{first},{last}"),
            Self::Disk { row, column, radius } => write!(out, "disk:{row},{column},{radius}"),
            Self::Ring { row, column, inner, outer } => {
                write!(out, "ring:{row},{column},{inner},{outer}")
            }
            Self::Rectangle { top, left, bottom, right } => {
                write!(out, "rectangle:{top},{left},{bottom},{right}")
            }
        }
    }
}

impl Detector {
    /// Why nothing at all can be in it.
    fn turned_round(&self) -> Option<&'static str> {
        match self {
            Self::All => None,
            Self::Window { first, last } => {
                (last < first).then_some("the last point is before the first")
            }
            Self::Disk { radius, .. } => (*radius < 0.0).then_some("its radius is less than 0"),
            Self::Ring { inner, outer, .. } => match (*inner < 0.0, outer < inner) {
                (true, _) => Some("its inner radius is less than 0"),
                (_, true) => Some("its outer radius is less than the inner one"),
                _ => None,
            },
            Self::Rectangle { top, left, bottom, right } => match (bottom < top, right < left) {
                (true, _) => Some("its bottom is above its top"),
                (_, true) => Some("its right side is left of its left one"),
                _ => None,
            },
        }
    }

    /// What is summed, in words, where all would be that along some axes.
    pub(super) fn said(&self, along: &str) -> String {
        match self {
            Self::All => format!("sum over {along}"),
            Self::Window { first, last } => format!("sum over points {first} to {last}"),
            Self::Disk { row, column, radius } => {
                format!("sum in the disk of radius {radius} around {row}, {column}")
            }
            Self::Ring { row, column, inner, outer } => {
                format!("sum in the ring of radii {inner} to {outer} around {row}, {column}")
            }
            Self::Rectangle { top, left, bottom, right } => {
                format!("sum in the rectangle from {top}, {left} to {bottom}, {right}")
            }
        }
    }

    /// The points of each position's values that are inside.
    ///
    /// # Errors
    /// If the values have no such points.
    pub(super) fn inside(&self, info: &SourceInfo) -> Result<Inside> {
        let refused = |reason: String| {
            let argument = self.to_string();
            Err(Error::Argument { argument, reason: format!("`{}`: {reason}", info.path) })
        };
        if let Some(reason) = self.turned_round() {
            return refused(reason.to_owned());
        }
        let points = info.spectral_points as u64;
        let inside = match *self {
            Self::All => std::iter::once(0..points).collect(),
            Self::Window { first, last } => {
                if last >= points {
                    return refused(format!("its spectra have {points} points, from 0 on"));
                }
                std::iter::once(first..last + 1).collect()
            }
            Self::Disk { row, column, .. } | Self::Ring { row, column, .. } => {
                let frame = match Frame::of(info, (Some(row), Some(column))) {
                    Ok(frame) => frame,
                    Err(reason) => return refused(reason.to_string()),
                };
                let radii = match *self {
                    Self::Ring { inner, outer, .. } => (inner, outer),
                    Self::Disk { radius, .. } => (0.0, radius),
                    _ => (0.0, 0.0),
                };
                runs_of(frame.radii().map(|radius| is_between(radius, radii)))
            }
            Self::Rectangle { top, left, bottom, right } => {
                // The same points, and nothing to be rounded.
                let [top, left] = [top, left].map(f64::ceil);
                let [bottom, right] = [bottom, right].map(f64::floor);
                let centre = (f64::midpoint(top, bottom), f64::midpoint(left, right));
                let frame = match Frame::of(info, (Some(centre.0), Some(centre.1))) {
                    Ok(frame) => frame,
                    Err(reason) => return refused(reason.to_string()),
                };
                let size = (bottom - top, right - left);
                runs_of(frame.places().map(|place| is_in_rectangle(place, size)))
            }
        };
        if inside.is_empty() {
            return refused("no point of its frames lies inside".to_owned());
        }
        Ok(Inside(inside))
    }
}

/// The runs of points that are inside.
fn runs_of(are_inside: impl Iterator<Item = bool>) -> Vec<Range<u64>> {
    let marks: Vec<u8> = are_inside.map(u8::from).collect();
    runs::of_marks(0, &marks).collect()
}

/// The points of each position's values that are summed: ascending runs, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Inside(Vec<Range<u64>>);

impl Inside {
    /// Which of the points are inside that some stretches have, counted along these.
    pub fn of(&self, stretches: &[Range<u64>]) -> Vec<Range<usize>> {
        let mut inside: Vec<Range<usize>> = Vec::new();
        let mut before = 0;
        for stretch in stretches {
            for run in runs::within(&self.0, stretch) {
                let begin = before + (run.start - stretch.start) as usize;
                let end = begin + (run.end - run.start) as usize;
                match inside.last_mut() {
                    Some(last) if last.end == begin => last.end = end,
                    _ => inside.push(begin..end),
                }
            }
            before += (stretch.end - stretch.start) as usize;
        }
        inside
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detector_is_read_as_it_is_written() {
        for text in ["all", "window:3,17", "disk:1.5,2,0", "ring:-1,2,3,4.25", "rectangle:0,1,2,3"]
        {
            assert_eq!(text.parse::<Detector>().unwrap().to_string(), text);
        }
        for (text, told) in [
            ("", "there is no detector ``"),
            ("square:1,2,3", "there is no detector `square`; there are: all, window, disk"),
            ("all:", "it has to be all"),
            ("disk:1,2", "it has to be disk:ROW,COLUMN,RADIUS"),
            ("disk", "it has to be disk:ROW,COLUMN,RADIUS"),
            ("ring:1,2,3", "it has to be ring:ROW,COLUMN,INNER,OUTER"),
            ("disk:1,two,3", "`two` is no number"),
            ("disk:1,2,inf", "`inf` is no number"),
            ("disk:1,2,-3", "its radius is less than 0"),
            ("ring:1,2,-1,4", "its inner radius is less than 0"),
            ("ring:1,2,5,4", "its outer radius is less than the inner one"),
            ("rectangle:5,0,4,9", "its bottom is above its top"),
            ("rectangle:0,9,4,5", "its right side is left of its left one"),
            ("window:1.5,2", "`1.5` is no number of a point"),
            ("window:-1,2", "`-1` is no number of a point"),
            ("window:5,2", "the last point is before the first"),
        ] {
            let refused = text.parse::<Detector>().unwrap_err().to_string();
            assert!(refused.contains(told) && refused.starts_with(text), "{refused}");
        }
    }

    #[test]
    fn points_are_counted_along_the_stretches_that_there_are() {
        let inside = Inside(vec![2..5, 8..9, 20..30]);
        assert_eq!(inside.of(std::slice::from_ref(&(0..40))), [2..5, 8..9, 20..30]);
        assert_eq!(inside.of(&[4..5, 8..10, 25..27]), [0..2, 3..5]);
        assert!(inside.of(&[9..20, 30..31]).is_empty());
    }
}
