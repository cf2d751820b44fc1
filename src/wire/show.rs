//! The answer of `show`.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{all_finite, finite};
use crate::engine::shown;

/// What there is to see of a dataset or of a results group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Show {
    /// The file, as it was named.
    pub file: String,
    /// Path of the dataset or of the group.
    pub path: String,
    /// What is drawn of it.
    pub pictures: Vec<Picture>,
    /// What can't be drawn.
    pub left_out: Vec<LeftOut>,
    /// What else there is to show in the file.
    pub others: Vec<String>,
}

/// Something that isn't drawn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// Path of the dataset.
    pub path: String,
    /// Why not.
    pub reason: String,
}

/// One picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Picture {
    /// Path of the dataset.
    pub dataset: String,
    /// What of it this is, in short.
    pub title: String,
    /// What its values are.
    pub quantity: String,
    /// Their units.
    pub units: String,
    /// What of complex values they are.
    pub part: Part,
    /// What was done to get them, and what is missing.
    pub notes: Vec<String>,
    /// How they lie.
    pub layout: Layout,
    /// The position of the scan that the first value is of, or that is the first of several that
    /// it is of, if values are of positions, in their order; null if not.
    pub first_position: Option<u64>,
    /// The values, in the order of the layout; null where there is none.
    pub values: Vec<Option<f64>>,
    /// Numbers of the values that nobody has computed yet.
    pub pending: Vec<usize>,
    /// Numbers of the values that can't be computed.
    pub failed: Vec<usize>,
    /// How many positions nobody has computed yet, of those that were looked at.
    pub pending_positions: u64,
    /// How many of them can't be computed.
    pub failed_positions: u64,
    /// At which values colours end; null if there is no value.
    pub limits: Option<Limits>,
}

/// What of complex values is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// They are real.
    Value,
    /// Their magnitude.
    Amplitude,
    /// Their phase in radians, from −π to π.
    Phase,
}

/// How the values of a picture lie.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Layout {
    /// Row by row, the first at the top.
    Image(Image),
    /// Along one axis.
    Curve(PictureAxis),
    /// At places of their own.
    Points(Scatter),
    /// It is a single one.
    Number,
}

/// The axes of an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// From top to bottom.
    pub rows: PictureAxis,
    /// From left to right.
    pub columns: PictureAxis,
    /// Whether a step of one axis is as long as one of the other.
    pub to_scale: bool,
}

/// Where values lie that are on no grid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scatter {
    /// Of each value, downwards.
    pub rows: PicturePlaces,
    /// To the right.
    pub columns: PicturePlaces,
    /// As of an image.
    pub to_scale: bool,
}

/// An axis of a picture, cut into pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PictureAxis {
    /// Its name.
    pub name: String,
    /// Its units.
    pub units: String,
    /// Where each pixel is.
    pub values: Vec<Option<f64>>,
    /// Where pixels begin and end, one more than there are; none if they lie anywhere.
    pub edges: Vec<Option<f64>>,
    /// Steps of the file's axis that a pixel has.
    pub steps: usize,
}

/// The places of values on an axis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PicturePlaces {
    /// Name of the axis.
    pub name: String,
    /// Its units.
    pub units: String,
    /// The place of each value.
    pub values: Vec<Option<f64>>,
}

/// The values at which colours end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// What has the first colour.
    pub low: Option<f64>,
    /// What has the last colour.
    pub high: Option<f64>,
    /// The percentiles that these are; null if they are the least and the largest value.
    pub percentiles: Option<(f64, f64)>,
    /// Whether they are the ends of a turn, which mean the same.
    pub turn: bool,
}

impl Show {
    /// What was found in a file.
    pub fn of(file: &Path, shown: &shown::Shown) -> Self {
        let left_out = |(path, reason): &(String, String)| LeftOut {
            path: path.clone(),
            reason: reason.clone(),
        };
        Self {
            file: file.to_string_lossy().into_owned(),
            path: shown.path.clone(),
            pictures: shown.pictures.iter().map(Picture::from).collect(),
            left_out: shown.left_out.iter().map(left_out).collect(),
            others: shown.others.clone(),
        }
    }
}

impl From<&shown::Picture> for Picture {
    fn from(picture: &shown::Picture) -> Self {
        let values = &picture.values;
        let of = |state: shown::State| {
            let states = values.states.iter().enumerate();
            states.filter(|(_, other)| **other == state).map(|(at, _)| at).collect()
        };
        Self {
            dataset: picture.dataset.clone(),
            title: picture.title.clone(),
            quantity: picture.quantity.clone(),
            units: picture.units.clone(),
            part: picture.part.into(),
            notes: picture.notes.clone(),
            layout: (&picture.layout).into(),
            first_position: picture.first_position,
            values: all_finite(values.numbers.iter().copied()),
            pending: of(shown::State::Pending),
            failed: of(shown::State::Failed),
            pending_positions: values.pending,
            failed_positions: values.failed,
            limits: values.limits.map(Limits::from),
        }
    }
}

impl From<shown::Part> for Part {
    fn from(part: shown::Part) -> Self {
        match part {
            shown::Part::Value => Self::Value,
            shown::Part::Amplitude => Self::Amplitude,
            shown::Part::Phase => Self::Phase,
        }
    }
}

impl From<&shown::Layout> for Layout {
    fn from(layout: &shown::Layout) -> Self {
        match layout {
            shown::Layout::Image { rows, columns, to_scale } => Self::Image(Image {
                rows: rows.into(),
                columns: columns.into(),
                to_scale: *to_scale,
            }),
            shown::Layout::Curve(axis) => Self::Curve(axis.into()),
            shown::Layout::Points { rows, columns, to_scale } => Self::Points(Scatter {
                rows: rows.into(),
                columns: columns.into(),
                to_scale: *to_scale,
            }),
            shown::Layout::Number => Self::Number,
        }
    }
}

impl From<&shown::Ruler> for PictureAxis {
    fn from(ruler: &shown::Ruler) -> Self {
        let shown::Ruler { name, units, values, edges, steps } = ruler.clone();
        Self { name, units, values: all_finite(values), edges: all_finite(edges), steps }
    }
}

impl From<&shown::Places> for PicturePlaces {
    fn from(places: &shown::Places) -> Self {
        let shown::Places { name, units, values } = places.clone();
        Self { name, units, values: all_finite(values) }
    }
}

impl From<shown::Limits> for Limits {
    fn from(limits: shown::Limits) -> Self {
        Self {
            low: finite(limits.low),
            high: finite(limits.high),
            percentiles: limits.are_percentiles.then_some(shown::PERCENTILES),
            turn: limits.are_turn,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::printed;
    use super::*;
    use pixelmill_core::dimension::Dimension;

    #[test]
    fn what_is_missing_is_null_and_told_apart() {
        let mut values = shown::Values::of(vec![1.0, f64::NAN, f64::NAN]);
        values.states[1] = shown::State::Pending;
        values.states[2] = shown::State::Failed;
        (values.pending, values.failed) = (1, 1);
        let ruler = shown::Ruler::new(&Dimension::new("X", "um", vec![0.0, 1.0, 2.0]), 1);
        let picture = shown::Picture {
            dataset: "/g/A".to_owned(),
            title: "A".to_owned(),
            quantity: "Height".to_owned(),
            units: "m".to_owned(),
            part: shown::Part::Value,
            notes: Vec::new(),
            layout: shown::Layout::Curve(ruler),
            first_position: Some(0),
            values,
        };
        let found = shown::Shown {
            path: "/g".to_owned(),
            pictures: vec![picture],
            left_out: vec![("/g/B".to_owned(), "text".to_owned())],
            others: vec!["/d".to_owned()],
        };
        assert_eq!(
            printed(&Show::of(Path::new("a.h5"), &found)),
            r#"{"file":"a.h5","path":"/g","pictures":[{"dataset":"/g/A","title":"A","quantity":"Height","units":"m","part":"value","notes":[],"layout":{"curve":{"name":"X","units":"um","values":[0.0,1.0,2.0],"edges":[-0.5,0.5,1.5,2.5],"steps":1}},"first_position":0,"values":[1.0,null,null],"pending":[1],"failed":[2],"pending_positions":1,"failed_positions":1,"limits":{"low":1.0,"high":1.0,"percentiles":null,"turn":false}}],"left_out":[{"path":"/g/B","reason":"text"}],"others":["/d"]}"#
        );
    }
}
