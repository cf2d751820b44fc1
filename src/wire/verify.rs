//! The answer of `verify`.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::Verification;

/// Completed positions, computed again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// Path of the results group.
    pub group: String,
    /// Completed positions of it.
    pub completed: u64,
    /// How many of them were computed again.
    pub checked: u64,
    /// Those that gave something else.
    pub different: Vec<Difference>,
    /// Whether the data of all completed positions are those that they were computed from; null if
    /// nothing tells.
    pub same_data: Option<bool>,
    /// What is not as it was when the results were computed; null if nothing is.
    pub changed: Option<String>,
    /// Whether the group records what its data were, so that a change shows. Other programs'
    /// groups don't.
    pub source_recorded: bool,
    /// The file that was computed from.
    pub source_file: String,
}

/// Results in the file that are not, bit by bit, what was computed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// Whose results they are; null of what all positions are folded into.
    pub position: Option<u64>,
    /// The results dataset, of a position the first.
    pub dataset: String,
}

impl Verify {
    /// What a verification from this source has found.
    pub fn of(verified: &Verification, source_file: &Path) -> Self {
        let different = verified.different.iter().cloned();
        Self {
            group: verified.group.clone(),
            completed: verified.completed,
            checked: verified.checked,
            different: different
                .map(|(position, dataset)| Difference { position, dataset })
                .collect(),
            same_data: verified.same_data,
            changed: verified.changed.clone(),
            source_recorded: verified.is_recorded,
            source_file: source_file.to_string_lossy().into_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::printed;
    use super::*;

    #[test]
    fn differences_are_listed() {
        let verified = Verification {
            group: "/d-Sum_000".to_owned(),
            changed: None,
            is_recorded: true,
            completed: 9,
            checked: 2,
            same_data: Some(false),
            different: vec![(Some(3), "Sum".to_owned())],
        };
        assert_eq!(
            printed(&Verify::of(&verified, Path::new("a.h5"))),
            r#"{"group":"/d-Sum_000","completed":9,"checked":2,"different":[{"position":3,"dataset":"Sum"}],"same_data":false,"changed":null,"source_recorded":true,"source_file":"a.h5"}"#
        );
    }
}
