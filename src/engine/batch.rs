//! What workers hand to the marker, of this rank or another.

use serde::{Deserialize, Serialize};

use super::failures::Failures;
use crate::source::RowsDigest;
use pixelmill_core::positions::Positions;

/// Positions whose results are written and wait to be marked.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Batch {
    pub positions: Positions,
    pub failures: Failures,
    /// What they were computed from.
    pub digest: RowsDigest,
    /// Whether the results are already where they have to survive.
    pub is_synced: bool,
}
