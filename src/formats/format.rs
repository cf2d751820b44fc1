//! What a format has to say: which datasets are in it, how they are read, and what it makes of
//! results.

use std::fmt;
use std::path::Path;

use super::described::Described;
use crate::position_grid::PositionGrid;
use crate::storage::container::{Dataset, Group};
use crate::storage::refused::Refused;
use crate::storage::results_group::{Column, PositionTables};
use pixelmill_core::dimension::Dimension;
use pixelmill_core::error::Result;
use pixelmill_core::source_info::SourceInfo;

/// A way of saying in a container what a dataset is.
#[derive(Clone, Copy)]
pub struct Format(&'static dyn Rules);

impl Format {
    /// The format with these rules.
    pub(super) const fn of(rules: &'static dyn Rules) -> Self {
        Self(rules)
    }

    /// As people call it.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// Its rules.
    pub(crate) fn rules(self) -> &'static dyn Rules {
        self.0
    }
}

impl PartialEq for Format {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Format {}

impl fmt::Debug for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What a dataset says whose positions are listed in tables.
pub(crate) struct Tabled {
    pub info: SourceInfo,
    pub grid: PositionGrid,
    pub tables: PositionTables,
    /// For each axis of a row the value of every point, if not all points have those of the axes.
    pub own_values: Option<Vec<Vec<f64>>>,
    /// What isn't taken as the file has it, in words for people.
    pub notes: Vec<String>,
}

/// The rules of a format. Only what it is called, what it looks like and how it is read must be
/// told.
pub(crate) trait Rules: Sync {
    /// As people call it.
    fn name(&self) -> &'static str;

    /// Whether a dataset is in it, of which what is around this path in the file may tell.
    fn looks(&self, file: &Group, path: &str, dataset: &Dataset) -> bool;

    /// What the file says of a dataset.
    ///
    /// # Errors
    /// What is broken, in one line.
    fn describe(&self, file: &Group, path: &str, dataset: &Dataset) -> Result<Described, String>;

    /// What a dataset says if its positions are listed in tables, which no other format does.
    fn tabled(&self, _file: &Path, _path: &str, _dataset: &Dataset) -> Option<Result<Tabled>> {
        None
    }

    /// The table of such a dataset with the value of each position on each axis, a row per
    /// position.
    fn position_values(&self, _dataset: &Dataset) -> Option<Dataset> {
        None
    }

    /// Whether somebody meant a dataset to be in it that isn't quite.
    fn is_meant(&self, _dataset: &Dataset) -> bool {
        false
    }

    /// Whether a dataset that is in it only belongs to others, by where it lies.
    fn is_part(&self, _path: &str) -> bool {
        false
    }

    /// Whether a dataset that is in no format has a name of those that belong to its datasets.
    fn is_ancillary(&self, _path: &str) -> bool {
        false
    }

    /// The names of the members of a group that it says are data, wherever they lie: elsewhere
    /// nothing tells their axes.
    fn signals(&self, _group: &Group) -> Vec<String> {
        Vec::new()
    }

    /// Path of the group that results of the dataset at `path` belong to, and what they are named
    /// after.
    fn folder_and_name<'p>(&self, path: &'p str) -> (&'p str, &'p str) {
        path.rsplit_once('/').unwrap_or(("", path))
    }

    /// Whether results have to go to a file of their own.
    fn wants_results_apart(&self) -> bool {
        false
    }

    /// The chunks of a results dataset, if it must have some.
    fn chunk(&self, _column: &Column<'_>) -> Option<Vec<usize>> {
        None
    }

    /// What it says where the file doesn't tell a quantity or units.
    fn untold(&self) -> &'static str {
        ""
    }

    /// Says more of a results dataset's scale.
    ///
    /// # Errors
    /// If it can't be written.
    fn describe_scale(&self, _scale: &Dataset, _is_position: bool) -> Result<(), Refused> {
        Ok(())
    }

    /// Says more of a results dataset, with its axes and whether they are positions.
    ///
    /// # Errors
    /// If it can't be written.
    fn describe_results(&self, _results: &NewResults<'_>) -> Result<(), Refused> {
        Ok(())
    }

    /// Path of what was made of a results dataset elsewhere in its file, and is nothing without it.
    fn belonging(&self, _file: &Group, _group: &Group, _dataset: &str) -> Option<String> {
        None
    }

    /// The groups of a file that have a results dataset by a second name, and that name.
    fn second_names(&self, _file: &Group, _dataset: &Dataset) -> Vec<(Group, String)> {
        Vec::new()
    }
}

/// A results dataset that was just created.
pub(crate) struct NewResults<'a> {
    /// The root of its file.
    pub file: &'a Group,
    /// The results group.
    pub group: &'a Group,
    pub dataset: &'a Dataset,
    pub column: &'a Column<'a>,
    /// Its axes, and whether they are positions.
    pub axes: &'a [(&'a Dimension, bool)],
}
