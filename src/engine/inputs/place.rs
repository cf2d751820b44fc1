//! Where inputs were found: told to who asks, and recorded in the results, so that they are found
//! again wherever the command is started from.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::identity::recorded_ways;
use crate::storage::attributes;
use crate::storage::container::Group;
use crate::storage::file_state::FileId;
use crate::storage::results_group::INPUTS;
use pixelmill_core::error::Error;

/// How an input is refused: by its dataset, with the reason.
pub(crate) type Refusal<'r> = &'r dyn Fn(&str, String) -> Error;

/// Where an input was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputPlace {
    /// What it was called.
    pub named: String,
    /// The file that it lies in.
    pub lies_in: LiesIn,
    /// Path of the dataset there; empty of an array of NumPy's, which is the whole file.
    pub dataset: String,
}

/// The file that an input lies in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LiesIn {
    /// That of the source.
    Source,
    /// The one that results go to.
    Results,
    /// Another one.
    File {
        /// Its whole path.
        path: String,
        /// The way to it from the file that results go to.
        relative: String,
    },
}

impl InputPlace {
    /// Whether what it is called doesn't say where it is, or not from everywhere, or not for ever:
    /// the source's file is looked into first.
    fn is_to_be_recorded(&self) -> bool {
        !matches!(self.lies_in, LiesIn::Source)
            || self.dataset.trim_matches('/') != self.named.trim_matches('/')
    }

    /// The files in which it may lie if that is another one, the likeliest first; `results` is the
    /// file that the record is in.
    pub(crate) fn files(&self, results: &Path) -> Vec<PathBuf> {
        match &self.lies_in {
            LiesIn::File { path, relative } => recorded_ways(Some(relative), Some(path), results),
            LiesIn::Source | LiesIn::Results => Vec::new(),
        }
    }
}

/// Where an input of this name was found; of several of one name they are in the order in which
/// they were asked for, and so many were `before` it.
pub(super) fn place_of<'p>(
    recorded: &'p [InputPlace],
    named: &str,
    before: usize,
) -> Option<&'p InputPlace> {
    let mut of_name = recorded.iter().filter(|place| place.named == named);
    let last = of_name.clone().next_back();
    of_name.nth(before).or(last)
}

/// Whether the input that a group has recorded lies in the very file that is used now, as far as
/// that can be told.
fn is_where(recorded: &InputPlace, now: &InputPlace, results: &Path) -> bool {
    let LiesIn::File { path, .. } = &now.lies_in else { return true };
    let Ok(used) = FileId::at(Path::new(path)) else { return false };
    let mut files = recorded.files(results).into_iter();
    files.any(|file| FileId::at(&file).is_ok_and(|id| id == used))
}

/// Whether all inputs that a group in the file `results` has recorded are where it says. If not,
/// only the data tell that they are the same.
pub(crate) fn are_where_recorded(group: &Group, places: &[InputPlace], results: &Path) -> bool {
    recorded(group).iter().all(|recorded| {
        let mut now = places.iter().filter(|place| place.named == recorded.named);
        now.any(|now| is_where(recorded, now, results))
    })
}

/// What is recorded of some inputs; nothing of those that are where they are called.
pub(crate) fn told(places: &[InputPlace]) -> Option<String> {
    let recorded: Vec<_> = places.iter().filter(|place| place.is_to_be_recorded()).collect();
    if recorded.is_empty() { None } else { serde_json::to_string(&recorded).ok() }
}

/// What a results group has recorded of its inputs.
pub(crate) fn recorded(group: &Group) -> Vec<InputPlace> {
    let text = attributes::string(group, INPUTS);
    text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_where_it_is_called_is_not_recorded() {
        let place = |named: &str, lies_in: LiesIn, dataset: &str| InputPlace {
            named: named.to_owned(),
            lies_in,
            dataset: dataset.to_owned(),
        };
        let file = LiesIn::File { path: "/a/b.h5".to_owned(), relative: "../b.h5".to_owned() };
        let plain = [
            place("/a/offset", LiesIn::Source, "/a/offset"),
            place("offset", LiesIn::Source, "/offset"),
        ];
        assert_eq!(told(&plain), None);
        let others = [
            place("b.h5:/offset", file.clone(), "/offset"),
            place("/offset", LiesIn::Results, "/offset"),
            place("SHO_Fit", LiesIn::Results, "/Raw-SHO_Fit_000/Fit"),
        ];
        let text = told(&[plain.as_slice(), &others].concat()).unwrap();
        let read: Vec<InputPlace> = serde_json::from_str(&text).unwrap();
        assert_eq!(read, others);
        let files = others[0].files(Path::new("/out/results.h5"));
        assert_eq!(files[1], PathBuf::from("/a/b.h5"));
        assert!(files[0].ends_with("../b.h5") && files.len() == 2, "{files:?}");
    }

    #[test]
    fn inputs_of_one_name_are_told_apart_by_their_order() {
        let place = |named: &str, dataset: &str| InputPlace {
            named: named.to_owned(),
            lies_in: LiesIn::Results,
            dataset: dataset.to_owned(),
        };
        let recorded = [
            place("SVD", "/a-SVD_001/U"),
            place("PCA", "/a-PCA_000/U"),
            place("SVD", "/a-SVD_000/U"),
        ];
        let found =
            |named, before| place_of(&recorded, named, before).map(|place| place.dataset.as_str());
        assert_eq!(found("SVD", 0), Some("/a-SVD_001/U"));
        assert_eq!(found("SVD", 1), Some("/a-SVD_000/U"));
        assert_eq!(found("SVD", 2), Some("/a-SVD_000/U"));
        assert_eq!((found("PCA", 0), found("NMF", 0)), (Some("/a-PCA_000/U"), None));
    }

    #[test]
    fn an_input_is_where_it_was_recorded_if_that_leads_to_the_very_file() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let results = at("out.h5");
        std::fs::write(at("a.h5"), "data").unwrap();
        std::fs::write(at("b.h5"), "data").unwrap();
        let place = |path: &str, relative: &str| InputPlace {
            named: "a.h5:/offset".to_owned(),
            lies_in: LiesIn::File {
                path: at(path).display().to_string(),
                relative: relative.to_owned(),
            },
            dataset: "/offset".to_owned(),
        };
        assert!(is_where(&place("gone.h5", "a.h5"), &place("a.h5", "a.h5"), &results));
        assert!(is_where(&place("a.h5", "../gone.h5"), &place("a.h5", "a.h5"), &results));
        assert!(!is_where(&place("a.h5", "a.h5"), &place("b.h5", "b.h5"), &results));
        let own = InputPlace { lies_in: LiesIn::Source, ..place("a.h5", "a.h5") };
        assert!(is_where(&own, &own, &results));
    }
}
