//! HyperSpy's own format `.hspy`: experiments with `data`, a group per axis of it, and metadata.

mod read;
mod write;

use super::described::Described;
use super::format::{NewResults, Rules};
use crate::storage::container::{Dataset, Group};
use crate::storage::refused::Refused;
use crate::storage::results_group::Column;

/// HyperSpy's own.
pub(super) struct Hspy;

impl Rules for Hspy {
    fn name(&self) -> &'static str {
        "HyperSpy"
    }

    fn looks(&self, file: &Group, path: &str, dataset: &Dataset) -> bool {
        read::looks(file, path, dataset)
    }

    fn describe(&self, file: &Group, path: &str, dataset: &Dataset) -> Result<Described, String> {
        read::describe(file, path, dataset)
    }

    fn is_part(&self, path: &str) -> bool {
        read::is_metadata(path)
    }

    // Its datasets are all called `data`; the group around it has the title.
    fn folder_and_name<'p>(&self, path: &'p str) -> (&'p str, &'p str) {
        match path.rsplit_once('/') {
            Some((folder, name)) if !folder.is_empty() => {
                ("", folder.rsplit('/').next().unwrap_or(name))
            }
            Some(parts) => parts,
            None => ("", path),
        }
    }

    // A second experiment would change what loading the file gives.
    fn wants_results_apart(&self) -> bool {
        true
    }

    // HyperSpy loads only chunked data lazily.
    fn chunk(&self, column: &Column<'_>) -> Option<Vec<usize>> {
        Some(write::chunk(column))
    }

    fn describe_results(&self, results: &NewResults<'_>) -> Result<(), Refused> {
        write::create_experiment(results)
    }

    fn belonging(&self, file: &Group, group: &Group, dataset: &str) -> Option<String> {
        write::experiment(file, group, dataset)
    }

    fn second_names(&self, file: &Group, dataset: &Dataset) -> Vec<(Group, String)> {
        write::second_names(file, dataset)
    }
}
