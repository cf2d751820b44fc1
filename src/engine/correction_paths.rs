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

    /// Whether one of them is called so.
    pub(super) fn names(&self, named: &str) -> bool {
        let Self { dark, gain, dead_pixels } = self;
        [dark, gain, dead_pixels].into_iter().any(|name| name.as_deref() == Some(named))
    }

    /// What is dead, for people.
    pub(crate) fn dead_pixels_shortened(&self) -> String {
        self.dead_pixels.as_deref().map(shortened).unwrap_or_default()
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

/// Letters that a list of dead pixels is told with at most.
const MOST: usize = 60;

/// A list as it is told: of a long one the beginning, and how long it is.
pub(super) fn shortened(text: &str) -> String {
    let count = text.chars().count();
    if count <= MOST {
        return text.to_owned();
    }
    let begin: String = text.chars().take(MOST).collect();
    let end = begin.rfind([';', ',']).unwrap_or(begin.len());
    format!("{} … ({count} letters)", &begin[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_told_by_its_beginning() {
        let list: Vec<String> = (0..20_000).map(|at| format!("{at},7")).collect();
        let told = shortened(&list.join(";"));
        assert!(told.starts_with("0,7;1,7;2,7;") && told.ends_with(" letters)"), "{told}");
        assert!(told.chars().count() < 80, "{told}");
        assert_eq!(shortened("3,5;12,40"), "3,5;12,40");
    }
}
