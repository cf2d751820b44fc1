//! What the user asks to be corrected, and how results record it.

use serde::{Deserialize, Serialize};

use crate::storage::attributes;
use crate::storage::container::Group;
use crate::storage::results_group::CORRECTIONS;

/// What is to be corrected; each is named as inputs are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorrectionPaths {
    /// A spectrum that is taken off every spectrum.
    pub dark: Option<String>,
    /// A spectrum that every spectrum is multiplied with, after that.
    pub gain: Option<String>,
    /// An array whose values aren't 0 where a pixel is dead, or a list of dead pixels: steps on
    /// each axis, as in `3,5;12,40`, or plain steps of a single axis, as in `3,5,12`.
    pub dead_pixels: Option<String>,
}

impl CorrectionPaths {
    /// Whether nothing is.
    pub(super) fn is_empty(&self) -> bool {
        self == &Self::default()
    }

    /// What results record of it.
    pub(super) fn told(&self) -> Option<String> {
        if self.is_empty() { None } else { serde_json::to_string(self).ok() }
    }

    /// What a results group has recorded.
    pub(super) fn recorded(group: &Group) -> Self {
        let text = attributes::string(group, CORRECTIONS);
        text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
    }
}
