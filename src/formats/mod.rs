//! The formats that are known, each with what it reads and what it writes, and which of them a dataset is in.
//!
//! `described` is what all but h5USID say of an array, `arrays` how results are written where they keep the axes of
//! the scan, `create` makes a results group in the format of its source.

mod arrays;
mod create;
mod described;
mod emd;
mod expression;
pub(crate) mod h5usid;
pub(crate) mod hspy;
pub(crate) mod nexus;
mod nsid;
mod plain;

use std::path::Path;

pub(crate) use create::{Blueprint, Form, Identification, create};
#[cfg(test)]
pub(crate) use described::samples;
pub(crate) use described::{Axis, Described, Role};

use crate::storage::container::{Dataset, Group};
use pixelmill_core::error::Result;

/// A way of saying in HDF5 what a dataset is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Universal Spectroscopic and Imaging Data, of pyUSID.
    H5usid,
    /// N-dimensional Spectroscopic and Imaging Data, of pyNSID and sidpy.
    Nsid,
    /// HyperSpy's own.
    Hspy,
    /// Electron Microscopy Dataset: of NCEM, of py4DSTEM, or of Velox.
    Emd,
    /// An NXdata group of NeXus.
    Nexus,
    /// An array in HDF5, with or without dimension scales.
    Plain,
}

impl Format {
    /// As people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::H5usid => "h5USID",
            Self::Nsid => "NSID",
            Self::Hspy => "HyperSpy",
            Self::Emd => "EMD",
            Self::Nexus => "NeXus",
            Self::Plain => "plain HDF5",
        }
    }

    /// Path of the group that results of the dataset at `path` belong to, and what they are named after.
    pub(crate) fn folder_and_name(self, path: &str) -> (&str, &str) {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        match self {
            // Its datasets are all called `data`; the group around it has the title.
            Self::Hspy if !folder.is_empty() => ("", folder.rsplit('/').next().unwrap_or(name)),
            // pyNSID can't read a dataset that has groups with datasets beside it.
            Self::Nsid => (folder.rsplit_once('/').map_or("", |(above, _)| above), name),
            _ => (folder, name),
        }
    }

    /// Whether results have to go to a file of their own: of HyperSpy's, a second experiment would change what
    /// loading the file gives.
    pub(crate) fn wants_results_apart(self) -> bool {
        self == Self::Hspy
    }
}

/// Whether a dataset at this path of a file is in a format.
type Recognise = fn(&Group, &str, &Dataset) -> bool;

/// The format of a dataset; plain if no other knows it.
pub(crate) fn recognise(file: &Group, path: &str, dataset: &Dataset) -> Format {
    match at_place(file, path, dataset) {
        Format::Plain => at_home(file, dataset, at_place).unwrap_or(Format::Plain),
        known => known,
    }
}

/// Asks at the place in its own file that a dataset has which a link to another file has led to: what is
/// around the link may say nothing of it.
fn at_home<T>(
    file: &Group,
    dataset: &Dataset,
    ask: impl FnOnce(&Group, &str, &Dataset) -> T,
) -> Option<T> {
    let (home, root) = (dataset.id()?, file.id()?);
    if home.is_beside(&root) {
        return None;
    }
    Some(ask(&dataset.root().ok()?, &dataset.name(), dataset))
}

/// The format of a dataset, of which what is around this path in the file may tell.
fn at_place(file: &Group, path: &str, dataset: &Dataset) -> Format {
    if h5usid::read::is_main(dataset) {
        return Format::H5usid;
    }
    let others: [(Format, Recognise); 4] = [
        (Format::Nsid, nsid::read::looks),
        (Format::Hspy, hspy::read::looks),
        (Format::Emd, emd::looks),
        (Format::Nexus, nexus::looks),
    ];
    let found = others.into_iter().find(|(_, looks)| looks(file, path, dataset));
    found.map_or(Format::Plain, |(format, _)| format)
}

/// The groups of a file that have a results dataset by a second name, and that name.
pub(crate) fn second_names(file: &Group, dataset: &Dataset) -> Vec<(Group, String)> {
    hspy::write::second_names(file, dataset)
}

/// What a file in this format says of a dataset; h5USID's matrix is taken as a plain array.
///
/// # Errors
/// What is broken, in one line.
pub(crate) fn described(
    format: Format,
    file: &Group,
    path: &str,
    dataset: &Dataset,
) -> Result<Described, String> {
    let describe =
        |file: &Group, path: &str, dataset: &Dataset| described_at(format, file, path, dataset);
    if at_place(file, path, dataset) != format
        && let Some(described) = at_home(file, dataset, describe)
    {
        return described;
    }
    describe(file, path, dataset)
}

fn described_at(
    format: Format,
    file: &Group,
    path: &str,
    dataset: &Dataset,
) -> Result<Described, String> {
    match format {
        Format::Nsid => nsid::read::describe(file, path, dataset),
        Format::Hspy => hspy::read::describe(file, path, dataset),
        Format::Emd => emd::describe(file, path, dataset),
        Format::Nexus => nexus::describe(file, path, dataset),
        Format::H5usid | Format::Plain => plain::describe(file, path, dataset),
    }
}

/// Lengths of the axes of a results dataset: those of the scan, then its own. h5USID's tables tell them of a matrix;
/// who reads a single value per position can't tell its one step there from an axis.
///
/// # Errors
/// If its tables are broken.
pub(crate) fn results_shape(file: &Path, path: &str, dataset: &Dataset) -> Result<Vec<usize>> {
    if !h5usid::read::is_main(dataset) {
        return Ok(dataset.shape());
    }
    let (info, grid, ..) = h5usid::read::read(file, path, dataset)?;
    let scan = if grid.is_full() { grid.shape() } else { vec![grid.rows()] };
    let own = info.spectrum_shape(1);
    Ok(if own == [1] { scan } else { [scan, own].concat() })
}

/// Whether an array that no format knows may be somebody's data: numbers, along two axes at least.
pub(crate) fn may_be_main(path: &str, dataset: &Dataset) -> bool {
    dataset.ndim() >= 2
        && dataset.size() > 0
        && !h5usid::read::is_ancillary(path)
        && plain::looks(dataset)
}
