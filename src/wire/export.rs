//! The answer of `export`.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::Exported;

/// A dataset that was written to a file of another kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// Path of the dataset.
    pub exported: String,
    /// The file that was written.
    pub output: String,
    /// Lengths of its axes, those of the scan first.
    pub shape: Vec<usize>,
    /// How many axes of the scan there are among these.
    pub scan_axes: usize,
    /// Its values, or the fields of its records.
    pub fields: Vec<ExportedField>,
    /// Bytes of the file.
    pub bytes: u64,
    /// Positions that have no result.
    pub missing: u64,
    /// What isn't in the file as the dataset has it.
    pub notes: Vec<String>,
}

/// What a dataset has of each of its elements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportedField {
    /// The field's name; null if these are plain values.
    pub name: Option<String>,
    /// Its element type.
    pub element_type: String,
}

impl Export {
    /// What was written to a file.
    pub fn of(exported: &Exported, output: &Path) -> Self {
        let fields = exported.fields.iter().cloned();
        Self {
            exported: exported.dataset.clone(),
            output: output.to_string_lossy().into_owned(),
            shape: exported.shape.clone(),
            scan_axes: exported.scan_axes,
            fields: fields
                .map(|(name, element_type)| ExportedField { name, element_type })
                .collect(),
            bytes: exported.bytes,
            missing: exported.missing,
            notes: exported.notes.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::printed;
    use super::*;

    #[test]
    fn what_was_written_says_what_it_is() {
        let exported = Exported {
            dataset: "/d".to_owned(),
            shape: vec![2, 3],
            scan_axes: 2,
            fields: vec![(None, "float32".to_owned())],
            bytes: 152,
            missing: 1,
            notes: vec!["1 position has no result".to_owned()],
        };
        assert_eq!(
            printed(&Export::of(&exported, Path::new("d.npy"))),
            r#"{"exported":"/d","output":"d.npy","shape":[2,3],"scan_axes":2,"fields":[{"name":null,"element_type":"float32"}],"bytes":152,"missing":1,"notes":["1 position has no result"]}"#
        );
    }
}
