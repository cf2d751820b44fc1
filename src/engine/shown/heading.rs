//! What pictures are of: the words and units that all of a dataset have.

use std::f64::consts::TAU;

use super::laid::Laid;
use super::limits::Limits;
use super::values::Values;
use super::{Part, Picture};

/// What is shown, and what it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heading {
    /// Path of the dataset.
    pub dataset: String,
    /// What the pictures are of, in short.
    pub title: String,
    pub quantity: String,
    pub units: String,
}

impl Heading {
    /// A picture of it, or of some of it.
    pub fn picture(&self, title: &str, part: Part, notes: Vec<String>, laid: Laid) -> Picture {
        let Laid { layout, first_position, values, notes: more } = laid;
        let values = match (part, self.turn(&values)) {
            (Part::Phase, _) => values.as_phases(TAU),
            (_, Some(turn)) => values.as_phases(turn),
            _ => values,
        };
        Picture {
            dataset: self.dataset.clone(),
            title: title.to_owned(),
            quantity: self.quantity.clone(),
            units: self.units.clone(),
            part,
            notes: [notes, more].concat(),
            layout,
            first_position,
            values,
        }
    }

    /// How much a turn is, if these values are called phases and go round a good part of it; small
    /// ones may be errors of phases.
    fn turn(&self, values: &Values) -> Option<f64> {
        let turn = match self.units.trim().to_lowercase().as_str() {
            "rad" | "radian" | "radians" => TAU,
            "deg" | "degree" | "degrees" | "°" => 360.0,
            _ => return None,
        };
        let goes_round = |limits: &Limits| limits.high - limits.low > turn / 4.0;
        let is_phase = self.quantity.to_lowercase().contains("phase");
        (is_phase && values.limits.as_ref().is_some_and(goes_round)).then_some(turn)
    }

    /// Its title with what of it is shown.
    pub fn titled(&self, more: &[&str]) -> String {
        let more: Vec<&str> = more.iter().copied().filter(|text| !text.is_empty()).collect();
        if more.is_empty() {
            self.title.clone()
        } else {
            format!("{}: {}", self.title, more.join(", "))
        }
    }
}
