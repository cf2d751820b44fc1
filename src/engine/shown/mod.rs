//! What there is to see in a file: datasets and results as what they are, in as many numbers as a
//! picture has room for.
//!
//! `find` tells what is meant by a name, `pages` which positions become which pixel of a map,
//! `gather` reads them, `states` tells which of them have no value and why, `limits` which values
//! colours should tell apart. A `survey` is a picture that becomes finer while somebody looks: of
//! what is inside of a `detector`, read by `cells` in an `order` of its own, of a file that is
//! `kept` open only meanwhile. A `viewer` shows one position after the other, of what is `closed`
//! in between. How that is drawn is the business of the faces: nothing here knows
//! colours or lines. All of it takes little memory, whatever the size of the scan, and works on a
//! file that a run is writing.

mod cells;
mod closed;
mod detector;
mod field;
mod find;
mod gather;
mod heading;
mod kept;
mod laid;
mod limits;
mod order;
mod overview;
mod pages;
mod states;
mod survey;
mod values;
mod viewer;

use std::f64::consts::TAU;
use std::path::PathBuf;

use super::Pixel;
pub use detector::Detector;
use laid::{Laid, laid};
pub use limits::{Limits, PERCENTILES};
pub use pages::Ruler;
pub use states::State;
pub use survey::Survey;
pub use values::Values;
pub use viewer::Viewer;

use crate::storage::file::open_read;
use pixelmill_core::dimension::Dimension;
use pixelmill_core::error::Result;
use pixelmill_core::model;

/// What to show.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// The HDF5 file.
    pub file: PathBuf,
    /// A dataset or a results group in it, or the end of the path of one; the only main dataset if
    /// left out.
    pub path: Option<String>,
    /// Of records, the only field that is shown; all if left out.
    pub field: Option<String>,
    /// The axes that are positions, slowest first; may be left out if the file tells.
    pub positions_axes: Option<Vec<usize>>,
    /// A position of which to show all that was measured there.
    pub pixel: Option<Pixel>,
}

/// What there is to see of a dataset or of a results group.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The path of the dataset or of the group.
    pub path: String,
    /// Side by side.
    pub pictures: Vec<Picture>,
    /// What can't be drawn, with the reason.
    pub left_out: Vec<(String, String)>,
    /// What else there is to show in the file.
    pub others: Vec<String>,
}

/// One picture of a dataset, or of a part of it.
#[derive(Clone, Debug)]
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
    /// What was done to get them, and what is missing, in words for people.
    pub notes: Vec<String>,
    /// How they lie.
    pub layout: Layout,
    /// The position that the first of them is of, if they are of positions of the scan, in their
    /// order.
    pub first_position: Option<u64>,
    /// The values.
    pub values: Values,
}

/// What of complex values is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// They are real.
    Value,
    /// Their magnitude.
    Amplitude,
    /// Their phase in radians, from −π to π.
    Phase,
}

/// How the values of a picture lie.
#[derive(Clone, Debug, PartialEq)]
pub enum Layout {
    /// Row by row, the first at the top.
    Image {
        /// From top to bottom.
        rows: Ruler,
        /// From left to right.
        columns: Ruler,
        /// Whether both tell places, so that a step of one is as long as one of the other.
        to_scale: bool,
    },
    /// Along one axis.
    Curve(Ruler),
    /// At places of their own.
    Points {
        /// Of each value, downwards.
        rows: Places,
        /// To the right.
        columns: Places,
        /// As of an image.
        to_scale: bool,
    },
    /// It is a single one.
    Number,
}

/// Where values lie on an axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Places {
    /// Name of the axis.
    pub name: String,
    /// Its units.
    pub units: String,
    /// The place of each value.
    pub values: Vec<f64>,
}

impl Picture {
    /// The picture of a frame, or of what a result says that it is; of complex values also that of
    /// their phases.
    pub(crate) fn of_frame(
        title: &str,
        (quantity, units): (&str, &str),
        axes: &(Dimension, Dimension),
        data: &model::Values,
    ) -> Vec<Self> {
        let axes = [axes.0.clone(), axes.1.clone()];
        let picture = |part: Part, numbers: &[f64]| {
            let Laid { layout, values, notes, .. } = laid(&axes, numbers);
            let values = if part == Part::Phase { values.as_phases(TAU) } else { values };
            Self {
                dataset: String::new(),
                title: title.to_owned(),
                quantity: quantity.to_owned(),
                units: units.to_owned(),
                part,
                notes,
                layout,
                first_position: None,
                values,
            }
        };
        match data {
            model::Values::Real(values) => vec![picture(Part::Value, values)],
            model::Values::Complex(values) => {
                let amplitudes: Vec<f64> = values.iter().map(|value| value.norm()).collect();
                let phases: Vec<f64> = values.iter().map(|value| value.arg()).collect();
                vec![picture(Part::Amplitude, &amplitudes), picture(Part::Phase, &phases)]
            }
        }
    }
}

/// What there is to see of what is wanted.
///
/// # Errors
/// If there is no such thing, or nothing to see of it.
pub fn show(wanted: &Wanted) -> Result<Shown> {
    let file = open_read(&wanted.file)?;
    find::shown(&file, wanted).map(|(shown, _)| shown)
}
