//! NSID, of pyNSID and sidpy: an N-dimensional dataset whose axes are dimension scales that say
//! what they are.

mod read;
mod write;

use super::described::Described;
use super::format::{NewResults, Rules};
use crate::storage::container::{Dataset, Group};
use crate::storage::refused::Refused;

/// N-dimensional Spectroscopic and Imaging Data, of pyNSID and sidpy.
pub(super) struct Nsid;

impl Rules for Nsid {
    fn name(&self) -> &'static str {
        "NSID"
    }

    fn looks(&self, _file: &Group, _path: &str, dataset: &Dataset) -> bool {
        read::looks(dataset)
    }

    fn describe(&self, file: &Group, path: &str, dataset: &Dataset) -> Result<Described, String> {
        read::describe(file, path, dataset)
    }

    // pyNSID can't read a dataset that has groups with datasets beside it.
    fn folder_and_name<'p>(&self, path: &'p str) -> (&'p str, &'p str) {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        (folder.rsplit_once('/').map_or("", |(above, _)| above), name)
    }

    fn untold(&self) -> &'static str {
        write::NOT_TOLD
    }

    fn describe_scale(&self, scale: &Dataset, is_position: bool) -> Result<(), Refused> {
        write::describe_scale(scale, is_position)
    }

    fn describe_results(&self, results: &NewResults<'_>) -> Result<(), Refused> {
        write::describe(results.dataset, results.column)
    }
}
