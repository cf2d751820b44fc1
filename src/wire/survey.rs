//! A picture of a scan that becomes finer while somebody looks at it. No command answers with it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Picture;
use crate::engine::shown;

/// What each position of a scan has, or has inside of a detector, as far as it has been read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Survey {
    /// The picture so far.
    pub picture: Picture,
    /// How many positions have been read.
    pub seen: u64,
    /// How many there are.
    pub positions: u64,
    /// Whether all have been read, so that the picture stays as it is.
    pub is_complete: bool,
}

impl From<&shown::Survey> for Survey {
    fn from(survey: &shown::Survey) -> Self {
        let (seen, positions) = survey.seen();
        let picture = Picture::from(&survey.picture());
        Self { picture, seen, positions, is_complete: survey.is_complete() }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::super::tests::printed;
    use super::*;
    use crate::engine::shown::{Detector, Wanted};

    #[test]
    fn a_survey_says_how_much_of_it_has_been_read() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/two_peaks_3x4.h5");
        let wanted = Wanted { file, path: None, field: None, positions_axes: None, pixel: None };
        let mut survey = shown::Survey::begin(&wanted, &Detector::All).unwrap();
        let none = Survey::from(&survey);
        let nulls = vec![None; 12];
        assert_eq!((none.seen, none.positions, none.is_complete), (0, 12, false));
        assert_eq!((&none.picture.values, none.picture.limits.is_none()), (&nulls, true));
        assert!(!survey.go_on(Duration::from_secs(60)).unwrap());
        let all = Survey::from(&survey);
        let line = printed(&all);
        assert!(line.starts_with(r#"{"picture":{"dataset":"/"#), "{line}");
        assert!(line.ends_with(r#","seen":12,"positions":12,"is_complete":true}"#), "{line}");
        assert!(all.picture.values.iter().all(Option::is_some));
    }
}
