//! What a results group was computed from and with, and where that is: as far as it has recorded
//! it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::inputs::{InputPlace, LiesIn, recorded};
use super::inspect::{identity_of, source_dataset, source_files};
use crate::source::normalised;
use crate::storage::file::ReadFile;
use crate::storage::file_state::FileId;
use crate::storage::results_group::Provenance;

/// A dataset, and the file that it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub file: PathBuf,
    pub path: String,
}

impl Taken {
    /// Whether it is in this very file.
    pub fn is_in(&self, file: &ReadFile) -> bool {
        FileId::at(&self.file).is_ok_and(|id| id == file.id())
    }
}

/// The source of a group of a file; none if its file isn't there any more, or nothing tells it.
pub(super) fn source(group: &Provenance, file: &Path) -> Option<Taken> {
    let path = normalised(&source_dataset(group)?);
    Some(Taken { file: source_files(group, file).into_iter().next()?, path })
}

/// What a group was computed with besides its source, as far as its file is there.
pub(super) fn inputs(group: &Provenance, file: &ReadFile) -> Vec<Taken> {
    let Ok(opened) = file.group(&group.path) else { return Vec::new() };
    let source = source(group, &file.path).map(|source| source.file);
    let places = recorded(&opened);
    let taken = |place: &InputPlace| {
        let found = match &place.lies_in {
            LiesIn::Source => source.clone()?,
            LiesIn::Results => file.path.clone(),
            LiesIn::File { .. } => file_of(place, &file.path)?,
        };
        Some(Taken { file: found, path: normalised(&place.dataset) })
    };
    let mut all: Vec<Taken> = places.iter().filter_map(taken).collect();
    if let Some(source) = &source {
        // What simply is where it is called isn't recorded as a place.
        let is_told = |path: &String| {
            places.iter().any(|place| match place.dataset.as_str() {
                // An array of NumPy's is called as its file is.
                "" => Path::new(&place.named).file_name() == Path::new(path).file_name(),
                dataset => dataset == path,
            })
        };
        let hashed = identity_of(group).map(|identity| hashed(&identity)).unwrap_or_default();
        let others = hashed.into_iter().filter(|path| !is_told(path));
        all.extend(others.map(|path| Taken { file: source.clone(), path: normalised(&path) }));
    }
    all
}

/// The file that an input lies in, of those that its group in the file `results` has recorded.
pub(super) fn file_of(place: &InputPlace, results: &Path) -> Option<PathBuf> {
    place.files(results).into_iter().find(|file| file.exists())
}

/// What an identity says that a computation was given.
fn hashed(identity: &Value) -> Vec<String> {
    let listed = |key: &str| identity.get(key).and_then(Value::as_array).cloned();
    let corrections = identity.get("corrections").and_then(Value::as_object);
    let corrections = corrections.map(|of| of.values().cloned().collect::<Vec<_>>());
    let all = [listed("auxiliary_inputs"), listed("constant_inputs"), corrections];
    let dataset = |input: &Value| input.get("dataset")?.as_str().map(str::to_owned);
    all.into_iter().flatten().flatten().filter_map(|input| dataset(&input)).collect()
}
