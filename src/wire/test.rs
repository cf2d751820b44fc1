//! The answer of `test`.

use num_complex::Complex64;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{all_finite, finite};
use crate::engine::{Probe, ProbeSpectrum, ProbeValue};
use pixelmill_core::dimension::Dimension;
use pixelmill_core::model;

/// One position, computed without a trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Test {
    /// Its number.
    pub position: u64,
    /// Its steps on the axes of the scan, the slowest first.
    pub at: Vec<u32>,
    /// Why it has no result; null if it has one.
    pub failure: Option<String>,
    /// The values of every results dataset.
    pub results: Vec<ResultValues>,
    /// What was measured there, and what the result says of it; null if the data can't be read.
    pub spectrum: Option<Spectrum>,
}

/// The values of a results dataset, or of one field of its records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResultValues {
    /// Name of the dataset, with that of the field.
    pub name: String,
    /// What it holds.
    pub quantity: String,
    /// Units of the values.
    pub units: String,
    /// Element type in the file.
    pub element_type: String,
    /// The values, real parts before imaginary ones.
    pub values: Vec<Option<f64>>,
}

/// One of the spectra of a position.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spectrum {
    /// Which of them, from 0.
    pub number: usize,
    /// Its steps on the axes that tell the spectra of a position apart, the slowest first.
    pub at: Vec<u32>,
    /// The axis along it.
    pub axis: SpectrumAxis,
    /// The axes of one that is a frame, that of its rows and that of its columns; left out if it
    /// is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<[SpectrumAxis; 2]>,
    /// What was measured.
    pub quantity: String,
    /// Units of the data.
    pub units: String,
    /// The values that were computed with.
    pub data: Values,
    /// What the result says that they are; null if it can't say.
    pub model: Option<Model>,
    /// Why it can't; null if it can.
    pub model_missing: Option<String>,
}

/// The axis along a spectrum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpectrumAxis {
    /// Its label.
    pub name: String,
    /// Units of its values.
    pub units: String,
    /// A value for each point of the spectrum.
    pub values: Vec<Option<f64>>,
}

/// Real or complex values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, deny_unknown_fields)]
pub enum Values {
    /// Real values; over complex data, magnitudes.
    Real(Vec<Option<f64>>),
    /// Complex values, both parts of each.
    Complex {
        /// Real parts.
        real: Vec<Option<f64>>,
        /// Imaginary parts.
        imaginary: Vec<Option<f64>>,
    },
}

/// Curves over a spectrum and marks on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The curves.
    pub curves: Vec<Curve>,
    /// The marks.
    pub marks: Vec<Mark>,
    /// Places in a frame; left out if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<Place>,
    /// Parts of a frame; left out if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outlines: Vec<Outline>,
}

/// A place in a frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// What it is.
    pub name: String,
    /// In points, counted from the middle of the first row.
    pub row: Option<f64>,
    /// In points, counted from the middle of the first column.
    pub column: Option<f64>,
}

/// A part of a frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outline {
    /// What it is.
    pub name: String,
    /// Stretches of the frame's points, row by row, that are inside: the first of each, and the
    /// first behind it.
    pub inside: Vec<[usize; 2]>,
}

/// A line over the data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Curve {
    /// What it is.
    pub name: String,
    /// Whether it is a part of another one.
    pub is_part: bool,
    /// A value for each point of the spectrum; null where there is nothing to say.
    pub values: Values,
}

/// A place on the axis of the spectrum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// What it is.
    pub name: String,
    /// Where it is, in the units of the axis.
    pub at: Option<f64>,
    /// How high, in the units of the data; of complex data, that of the magnitude.
    pub height: Option<f64>,
}

impl Test {
    /// A probe with one of its spectra; without, if it has none of that number.
    pub fn of(probe: &Probe, number: usize) -> Self {
        let spectrum = probe.spectra.get(number);
        Self {
            position: probe.position,
            at: steps(&probe.place),
            failure: probe.failure.clone(),
            results: probe.values.iter().map(ResultValues::from).collect(),
            spectrum: spectrum.map(|spectrum| Spectrum::of(probe, number, spectrum)),
        }
    }
}

pub(super) fn steps(place: &[(Dimension, u32)]) -> Vec<u32> {
    place.iter().map(|(_, step)| *step).collect()
}

impl From<&ProbeValue> for ResultValues {
    fn from(value: &ProbeValue) -> Self {
        Self {
            name: value.name.clone(),
            quantity: value.quantity.clone(),
            units: value.units.clone(),
            element_type: value.element.to_string(),
            values: all_finite(value.numbers.iter().copied()),
        }
    }
}

impl Spectrum {
    fn of(probe: &Probe, number: usize, spectrum: &ProbeSpectrum) -> Self {
        Self {
            number,
            at: steps(&spectrum.place),
            axis: (&probe.axis).into(),
            frame: probe.frame.as_ref().map(|(rows, columns)| [rows.into(), columns.into()]),
            quantity: probe.quantity.clone(),
            units: probe.units.clone(),
            data: (&spectrum.data).into(),
            model: spectrum.model.as_ref().ok().map(Model::from),
            model_missing: spectrum.model.as_ref().err().map(ToString::to_string),
        }
    }
}

impl From<&Dimension> for SpectrumAxis {
    fn from(axis: &Dimension) -> Self {
        Self {
            name: axis.name.clone(),
            units: axis.units.clone(),
            values: all_finite(axis.values.iter()),
        }
    }
}

impl From<&model::Values> for Values {
    fn from(values: &model::Values) -> Self {
        match values {
            model::Values::Real(values) => Self::Real(all_finite(values.iter().copied())),
            model::Values::Complex(values) => {
                let part = |part: fn(&Complex64) -> f64| all_finite(values.iter().map(part));
                Self::Complex { real: part(|value| value.re), imaginary: part(|value| value.im) }
            }
        }
    }
}

impl From<&model::Model> for Model {
    fn from(model: &model::Model) -> Self {
        let curve = |curve: &model::Curve| Curve {
            name: curve.name.clone(),
            is_part: curve.is_part,
            values: (&curve.values).into(),
        };
        let mark = |mark: &model::Mark| Mark {
            name: mark.name.clone(),
            at: finite(mark.at),
            height: finite(mark.height),
        };
        Self {
            curves: model.curves.iter().map(curve).collect(),
            marks: model.marks.iter().map(mark).collect(),
            places: model.places.iter().map(Place::from).collect(),
            outlines: model.outlines.iter().map(Outline::from).collect(),
        }
    }
}

impl From<&model::Place> for Place {
    fn from(place: &model::Place) -> Self {
        Self { name: place.name.clone(), row: finite(place.row), column: finite(place.column) }
    }
}

impl From<&model::Outline> for Outline {
    fn from(outline: &model::Outline) -> Self {
        let mut inside: Vec<[usize; 2]> = Vec::new();
        let points = outline.inside.iter().enumerate().filter(|(_, is_in)| **is_in);
        for (point, _) in points {
            match inside.last_mut() {
                Some([_, end]) if *end == point => *end += 1,
                _ => inside.push([point, point + 1]),
            }
        }
        Self { name: outline.name.clone(), inside }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::printed;
    use super::*;
    use pixelmill_core::element::ElementType;
    use pixelmill_core::failure::Failure;

    fn probe(data: model::Values, model: Result<model::Model, Failure>) -> Probe {
        Probe {
            position: 7,
            place: vec![(Dimension::new("Y", "um", vec![0.0, 0.5]), 1)],
            values: vec![ProbeValue {
                name: "Fit · A".to_owned(),
                quantity: "Fit".to_owned(),
                units: "V".to_owned(),
                numbers: vec![1.0, f64::NAN],
                bytes: Vec::new(),
                element: ElementType::Float32,
            }],
            failure: None,
            axis: Dimension::new("t", "s", vec![0.0, 0.1]),
            frame: None,
            quantity: "I".to_owned(),
            units: "A".to_owned(),
            spectra: vec![ProbeSpectrum { place: Vec::new(), data, model }],
        }
    }

    #[test]
    fn what_is_missing_is_null() {
        let model =
            model::Model::new().part("peak", [1.0, f64::NAN]).mark("top", 0.1, f64::INFINITY);
        let probe = probe(model::Values::Real(vec![f64::NAN, 2.0]), Ok(model));
        assert_eq!(
            printed(&Test::of(&probe, 0)),
            r#"{"position":7,"at":[1],"failure":null,"results":[{"name":"Fit · A","quantity":"Fit","units":"V","element_type":"float32","values":[1.0,null]}],"spectrum":{"number":0,"at":[],"axis":{"name":"t","units":"s","values":[0.0,0.1]},"quantity":"I","units":"A","data":[null,2.0],"model":{"curves":[{"name":"peak","is_part":true,"values":[1.0,null]}],"marks":[{"name":"top","at":0.1,"height":null}]},"model_missing":null}}"#
        );
        let unread = Probe { spectra: Vec::new(), failure: Some("torn".to_owned()), ..probe };
        let line = printed(&Test::of(&unread, 0));
        assert!(line.contains(r#""failure":"torn""#) && line.ends_with(r#""spectrum":null}"#));
    }

    #[test]
    fn a_frame_has_places_and_outlines() {
        let model = model::Model::new()
            .place("centre", (0.5, f64::NAN))
            .outline("detector", vec![true, true, false, true]);
        let data = model::Values::Real(vec![1.0; 4]);
        let axis = |name: &str| Dimension::new(name, "", vec![0.0, 1.0]);
        let probe = Probe { frame: Some((axis("Y"), axis("X"))), ..probe(data, Ok(model)) };
        let line = printed(&Test::of(&probe, 0));
        let frame = r#""frame":[{"name":"Y","units":"","values":[0.0,1.0]},{"name":"X","units":"","values":[0.0,1.0]}]"#;
        let said = r#""places":[{"name":"centre","row":0.5,"column":null}],"outlines":[{"name":"detector","inside":[[0,2],[3,4]]}]"#;
        assert!(line.contains(frame) && line.contains(said), "{line}");
    }

    #[test]
    fn complex_values_are_two_lists() {
        let data =
            model::Values::Complex(vec![Complex64::new(1.0, -2.5), Complex64::new(f64::NAN, 0.0)]);
        let line = printed(&Test::of(&probe(data, Err(Failure::new("no idea"))), 0));
        let parts = r#""data":{"real":[1.0,null],"imaginary":[-2.5,0.0]},"model":null,"model_missing":"no idea"}}"#;
        assert!(line.ends_with(parts), "{line}");
    }
}
