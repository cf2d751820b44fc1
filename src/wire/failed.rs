//! Failed positions, the same in every answer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine;

/// A position that has no result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FailedPosition {
    /// Its number.
    pub position: u64,
    /// Why it failed.
    pub message: String,
}

/// How many positions have failed, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Failures {
    /// How many there are.
    pub positions: u64,
    /// Why, in the order of the messages.
    pub reasons: Vec<Reason>,
}

/// One reason for which positions have failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// The reason.
    pub message: String,
    /// How many have failed for it.
    pub positions: u64,
}

/// The first of them.
pub(super) fn listed(failed: &engine::FailedPositions) -> Vec<FailedPosition> {
    let listed = failed.listed.iter().cloned();
    listed.map(|(position, message)| FailedPosition { position, message }).collect()
}

impl From<&engine::FailedPositions> for Failures {
    fn from(failed: &engine::FailedPositions) -> Self {
        let reasons = failed.reasons.iter().cloned();
        Self {
            positions: failed.count,
            reasons: reasons.map(|(message, positions)| Reason { message, positions }).collect(),
        }
    }
}
