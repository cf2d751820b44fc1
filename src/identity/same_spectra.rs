//! Whether results are of the very spectra that are computed on now, for inputs that have to be.
//!
//! It is the data, what is seen of them and what is done to all spectra alike that has to be the
//! same. What the axes are called, which values they have and in which units doesn't change a
//! spectrum, nor does the name of the dataset.

use pixelmill_core::canonical::canonical;
use serde::Serialize;
use serde_json::{Value, json};

use super::difference::between;
use super::{CorrectionsIdentity, Identity, SourceIdentity};
use crate::source::Source;

/// What decides which spectra a process sees.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SpectraIdentity {
    field: Option<String>,
    source: SourceIdentity,
    corrections: Option<CorrectionsIdentity>,
    source_fingerprint: String,
    /// Whether corrections are known yet.
    #[serde(skip)]
    is_corrected: bool,
}

/// What of a source makes no difference to its spectra.
const WITHOUT_EFFECT: [&str; 7] = [
    "dataset",
    "quantity",
    "units",
    "spectra_per_position",
    "position_dimensions",
    "position_steps",
    "spectroscopic_dimensions",
];
/// The corrections that are arrays.
const ARRAYS: [&str; 3] = ["dark", "gain", "dead_mask"];

impl SpectraIdentity {
    /// Those of a source with this fingerprint, before anything is known of corrections.
    pub fn uncorrected(source: &Source, source_fingerprint: String) -> Self {
        let (field, source) = (source.field.clone(), SourceIdentity::of(source, 1));
        Self { field, source, corrections: None, source_fingerprint, is_corrected: false }
    }

    /// What differs first, in words, from the spectra of results that recorded themselves as
    /// `stored`; none if nothing does, as far as it is known.
    pub fn unlike(&self, stored: &str) -> Option<String> {
        // As it is written, since the same number may be kept in different ways.
        let ours = canonical(serde_json::to_value(self).unwrap_or_default());
        let ours: Value = serde_json::from_str(&ours).unwrap_or_default();
        let mut stored: Value = serde_json::from_str(stored).unwrap_or_default();
        let mut theirs = json!({});
        for name in ["field", "source", "corrections", "source_fingerprint"] {
            theirs[name] = stored[name].take();
        }
        if let Value::Object(source) = &mut theirs["source"] {
            WITHOUT_EFFECT.iter().for_each(|name| {
                source.insert((*name).to_owned(), ours["source"][name].clone());
            });
        }
        for name in ARRAYS {
            let dataset = ours["corrections"][name]["dataset"].clone();
            if let Some(Value::Object(array)) = theirs["corrections"].get_mut(name)
                && !dataset.is_null()
            {
                array.insert("dataset".to_owned(), dataset);
            }
        }
        if !self.is_corrected {
            theirs["corrections"] = Value::Null;
        }
        if self.source_fingerprint.is_empty() {
            theirs["source_fingerprint"] = ours["source_fingerprint"].clone();
        }
        let ordered = serde_json::to_value(self).unwrap_or_default();
        between(&theirs, &ours, &ordered).map(|difference| difference.text)
    }
}

impl Identity {
    /// The spectra that it is computed from.
    pub fn spectra(&self) -> SpectraIdentity {
        SpectraIdentity {
            field: self.field.clone(),
            source: self.source.clone(),
            corrections: self.corrections.clone(),
            source_fingerprint: self.source_fingerprint.clone(),
            is_corrected: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::identity;
    use super::super::{ConstantIdentity, SelectionIdentity};
    use super::*;
    use pixelmill_core::element::{ElementType, StoredType};
    use pixelmill_core::inputs::ConstantArray;
    use pixelmill_core::positions::Positions;

    fn dark(path: &str, values: [f32; 2]) -> Option<CorrectionsIdentity> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
        let stored = StoredType { element: ElementType::Float32, swapped: false };
        let array = ConstantArray::new(path, vec![2], (&bytes, stored), ElementType::Float32);
        Some(CorrectionsIdentity::of([Some(ConstantIdentity::of(&array)), None, None], None))
    }

    #[test]
    fn what_changes_a_spectrum_is_told_and_nothing_else() {
        let base = identity(json!({"components": 3}));
        let unlike =
            |theirs: &Identity, ours: &Identity| ours.spectra().unlike(&theirs.canonical_json());
        assert_eq!(unlike(&base, &base), None);
        let mut three = Positions::default();
        three.insert(0..3);
        let three = &three;
        let harmless: [&dyn Fn(&mut Identity); 7] = [
            &|of| of.process.push('x'),
            &|of| of.parameters = json!({"components": 1u64 << 60}),
            &|of| of.source.units.push('m'),
            &|of| of.source.dataset.push('x'),
            &|of| of.source.position_dimensions.reverse(),
            &|of| of.source.spectra_per_position = 2,
            &|of| of.selection = Some(SelectionIdentity::told(6, three)),
        ];
        for change in harmless {
            let mut other = base.clone();
            change(&mut other);
            assert_eq!((unlike(&base, &other), unlike(&other, &base)), (None, None), "{other:?}");
        }
        let data = "the data of `/Measurement_000/Channel_000/Raw_Data`: not the same";
        type Change<'a> = &'a dyn Fn(&mut Identity);
        let telling: [(Change<'_>, &str); 5] = [
            (&|of| of.source_fingerprint.push('x'), ": \"ab\" there, \"abx\" here"),
            (&|of| of.source_fingerprint = "0".repeat(32), data),
            (
                &|of| of.field = Some("R".into()),
                "the field that is computed on: none there, \"R\" here",
            ),
            (
                &|of| of.corrections = dark("/dark", [1.0, 2.0]),
                "the corrections: none there, dark \"/dark\" here",
            ),
            (&|of| of.source.positions = 7, "positions"),
        ];
        for (change, told) in telling {
            let mut other = base.clone();
            change(&mut other);
            let found = unlike(&base, &other).unwrap();
            assert!(found.contains(told), "{found}");
        }
    }

    #[test]
    fn a_correction_counts_by_its_values_and_only_once_it_is_known() {
        let with = |corrections| Identity { corrections, ..identity(json!({})) };
        let base = with(dark("/dark", [1.0, 2.0]));
        let stored = base.canonical_json();
        assert_eq!(with(dark("/again", [1.0, 2.0])).spectra().unlike(&stored), None);
        let told = with(dark("/dark", [1.0, 3.0])).spectra().unlike(&stored).unwrap();
        assert_eq!(told, "the values of the dark \"/dark\": not the same");
        let mut unknown = with(None).spectra();
        assert_eq!(
            unknown.unlike(&stored).unwrap(),
            "the corrections: dark \"/dark\" there, none here"
        );
        unknown.is_corrected = false;
        assert_eq!(unknown.unlike(&stored), None);
        unknown.source_fingerprint.clear();
        assert_eq!(unknown.unlike(&stored), None);
    }
}
