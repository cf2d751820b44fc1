//! The answer of `status`, and results groups as `info` has them too.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::failed::{FailedPosition, Failures, listed};
use crate::engine::CorrectionPaths;
use crate::engine::inspect::GroupOverview;

/// The results groups of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// The file, as it was named.
    pub file: String,
    /// Its results groups, or those that were asked for.
    pub groups: Vec<Group>,
}

/// A results group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its path.
    pub group: String,
    /// The process, or tool of another program, that it holds results of.
    pub process: String,
    /// The dataset that it was computed from, with its file if that is another one.
    pub source: String,
    /// The file that this is in now; null if it isn't there any more.
    pub source_file: Option<String>,
    /// The field of its source's records that was computed on; left out if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The steps of each axis of a position's values that were computed with, as a crop is
    /// written; left out if neither these nor the axes of a spectrum were chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop: Option<String>,
    /// The axes that spectra run along; left out with the crop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub along: Option<Vec<String>>,
    /// What was done to all spectra before; left out if nothing was.
    #[serde(default, skip_serializing_if = "Corrections::is_nothing")]
    pub corrections: Corrections,
    /// Whether the user let values be rounded that otherwise weren't; left out if not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_rounding: bool,
    /// The parameters as they were used.
    pub parameters: Map<String, Value>,
    /// Hash of everything that the results depend on; empty for those of another program.
    pub parameter_hash: String,
    /// When it was created, as `YYYY_MM_DD-HH_MM_SS`.
    pub created: String,
    /// Who computed last: host, process and beginning.
    pub last_run: String,
    /// Positions of the scan; 0 if nothing tells.
    pub positions: u64,
    /// Positions that are completed; null if nothing tells.
    pub completed: Option<u64>,
    /// What is missing of its results; null if nothing is.
    pub missing: Option<String>,
    /// Whether it took results of others that weren't all there, and nobody has compared yet
    /// whether what it took is what is there now; left out if not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_provisional: bool,
    /// The first failed positions, up to 10,000.
    pub failed: Vec<FailedPosition>,
    /// How many positions have failed, and why.
    pub failures: Failures,
    /// So many of the first positions are completed, as was last written.
    pub last_pixel: Option<i64>,
    /// So many of the first positions are completed, as the status dataset has it; null if nothing
    /// tells.
    pub prefix: Option<u64>,
}

/// What was done to all spectra before they were computed with, as it was named.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Corrections {
    /// What was taken off.
    pub dark: Option<String>,
    /// What they were multiplied with.
    pub gain: Option<String>,
    /// Where values were replaced.
    pub dead_pixels: Option<String>,
}

impl Corrections {
    fn is_nothing(&self) -> bool {
        self == &Self::default()
    }
}

impl From<&CorrectionPaths> for Corrections {
    fn from(paths: &CorrectionPaths) -> Self {
        let CorrectionPaths { dark, gain, dead_pixels } = paths.clone();
        Self { dark, gain, dead_pixels }
    }
}

impl Status {
    /// The results groups that were found in a file.
    pub fn of(file: &Path, groups: &[GroupOverview]) -> Self {
        Self {
            file: file.to_string_lossy().into_owned(),
            groups: groups.iter().map(Group::from).collect(),
        }
    }
}

impl From<&GroupOverview> for Group {
    fn from(group: &GroupOverview) -> Self {
        let source_file = group.source_file.as_ref();
        Self {
            group: group.path.clone(),
            process: group.process.clone(),
            source: group.source.clone(),
            source_file: source_file.map(|file| file.to_string_lossy().into_owned()),
            field: group.field.clone(),
            crop: group.part.as_ref().map(|part| part.crop.clone()),
            along: group.part.as_ref().map(|part| part.along.clone()),
            corrections: (&group.corrections).into(),
            allow_rounding: group.allow_rounding,
            parameters: group.parameters.clone(),
            parameter_hash: group.parameter_hash.clone(),
            created: group.created.clone(),
            last_run: group.last_run.clone(),
            positions: group.positions,
            completed: group.completed,
            missing: group.missing.clone(),
            is_provisional: group.is_provisional,
            failed: listed(&group.failed),
            failures: (&group.failed).into(),
            last_pixel: group.last_pixel,
            prefix: group.prefix,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::super::tests::printed;
    use super::*;
    use crate::engine::FailedPositions;

    /// A group that says little.
    pub fn group() -> GroupOverview {
        let parameters = json!({"width_min": 20.0, "seed": 3, "filter": null});
        GroupOverview {
            path: "/d-Sum_000".to_owned(),
            process: "Sum".to_owned(),
            source: "/d".to_owned(),
            recorded_source_file: None,
            source_file: None,
            field: None,
            part: None,
            corrections: CorrectionPaths::default(),
            allow_rounding: false,
            parameters: parameters.as_object().unwrap().clone(),
            parameter_hash: "5a".to_owned(),
            created: "2026_01_02-03_04_05".to_owned(),
            last_run: String::new(),
            positions: 0,
            completed: None,
            missing: Some("First".to_owned()),
            is_provisional: false,
            failed: FailedPositions::default(),
            last_pixel: Some(-1),
            prefix: None,
        }
    }

    #[test]
    fn a_group_of_which_nothing_tells_is_null_there() {
        assert_eq!(
            printed(&Status::of(Path::new("a.h5"), &[group()])),
            r#"{"file":"a.h5","groups":[{"group":"/d-Sum_000","process":"Sum","source":"/d","source_file":null,"parameters":{"width_min":20.0,"seed":3,"filter":null},"parameter_hash":"5a","created":"2026_01_02-03_04_05","last_run":"","positions":0,"completed":null,"missing":"First","failed":[],"failures":{"positions":0,"reasons":[]},"last_pixel":-1,"prefix":null}]}"#
        );
    }
}
