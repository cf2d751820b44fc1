//! h5USID, of pyUSID: two-dimensional main datasets with tables of what their positions and points
//! are.

mod read;
mod write;

use std::path::Path;

use super::described::Described;
use super::format::{Rules, Tabled};
use super::plain;
use crate::storage::attributes;
use crate::storage::container::{Dataset, Group};
use pixelmill_core::error::Result;

pub(super) use write::create_columns;

/// Universal Spectroscopic and Imaging Data, of pyUSID.
pub(super) struct H5usid;

impl Rules for H5usid {
    fn name(&self) -> &'static str {
        "h5USID"
    }

    fn looks(&self, _file: &Group, _path: &str, dataset: &Dataset) -> bool {
        read::is_main(dataset)
    }

    // Its matrix as a plain array.
    fn describe(&self, _file: &Group, path: &str, dataset: &Dataset) -> Result<Described, String> {
        plain::describe(path, dataset)
    }

    fn tabled(&self, file: &Path, path: &str, dataset: &Dataset) -> Option<Result<Tabled>> {
        Some(read::read(file, path, dataset))
    }

    fn position_values(&self, dataset: &Dataset) -> Option<Dataset> {
        attributes::referenced_dataset(dataset, "Position_Values")
    }

    fn is_meant(&self, dataset: &Dataset) -> bool {
        read::is_almost_main(dataset)
    }

    fn is_ancillary(&self, path: &str) -> bool {
        read::is_ancillary(path)
    }
}
