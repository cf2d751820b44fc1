//! The formats that are known, and which of them a dataset is in.
//!
//! Each has a folder or a file of its own, with what is read of it and what it makes of results:
//! its `Rules`. Who adds one adds that and a line to `FORMATS`. `described` is what all but h5USID
//! say of an array, `arrays` how results are written where they keep the axes of the scan, `create`
//! makes a results group in the format of its source.

mod arrays;
mod create;
mod described;
mod emd;
pub(crate) mod expression;
mod format;
mod h5usid;
mod hspy;
mod nexus;
mod nsid;
mod plain;

use std::path::Path;

pub(crate) use create::{Blueprint, Form, Identification, UsidPositions, create};
#[cfg(test)]
pub(crate) use described::samples;
pub(crate) use described::{Axis, Described, Role};
pub use format::Format;
pub(crate) use format::Tabled;
pub(crate) use plain::PLAIN;

use crate::storage::container::{Class, Dataset, Group};
use crate::storage::file::ReadFile;
use pixelmill_core::dimension::Dimension;
use pixelmill_core::error::Result;

/// All formats, in the order in which a dataset is tried for them. What no other knows is plain.
const FORMATS: [Format; 6] = [
    Format::of(&h5usid::H5usid),
    Format::of(&nsid::Nsid),
    Format::of(&hspy::Hspy),
    Format::of(&emd::Emd),
    Format::of(&nexus::Nexus),
    PLAIN,
];

/// What all formats are called, but the one of arrays that no other knows.
pub(crate) fn names() -> Vec<&'static str> {
    FORMATS.into_iter().filter(|format| *format != PLAIN).map(Format::name).collect()
}

/// The format of a dataset; plain if no other knows it.
pub(crate) fn recognise(file: &Group, path: &str, dataset: &Dataset) -> Format {
    let format = at_place(file, path, dataset);
    let at_home = || at_home(file, dataset, at_place);
    if format == PLAIN { at_home().unwrap_or(PLAIN) } else { format }
}

/// Asks at the place in its own file that a dataset has which a link to another file has led to:
/// what is around the link may say nothing of it.
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
    let found = FORMATS.into_iter().find(|format| format.rules().looks(file, path, dataset));
    found.unwrap_or(PLAIN)
}

/// What a file in this format says of a dataset; one with tables is taken as a plain array.
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
        |file: &Group, path: &str, dataset: &Dataset| format.rules().describe(file, path, dataset);
    if at_place(file, path, dataset) != format
        && let Some(described) = at_home(file, dataset, describe)
    {
        return described;
    }
    describe(file, path, dataset)
}

/// What a dataset in this format says if its positions are listed in tables; or, if `or_meant`, one
/// that no format knows and that somebody meant to be such.
pub(crate) fn tabled(
    format: Format,
    file: &Path,
    (path, dataset): (&str, &Dataset),
    or_meant: bool,
) -> Option<Result<Tabled>> {
    let meant = || FORMATS.into_iter().find(|format| format.rules().is_meant(dataset));
    let format = if format == PLAIN && or_meant { meant()? } else { format };
    format.rules().tabled(file, path, dataset)
}

/// Whether somebody meant a dataset to be in a format that it isn't quite in.
pub(crate) fn is_meant(dataset: &Dataset) -> bool {
    FORMATS.iter().any(|format| format.rules().is_meant(dataset))
}

/// The members of a group that formats say are data, wherever they lie.
pub(crate) fn signals(group: &Group) -> Vec<(Format, String)> {
    let of =
        |format: Format| format.rules().signals(group).into_iter().map(move |name| (format, name));
    FORMATS.into_iter().flat_map(of).collect()
}

/// Paths of what was made of a results dataset of a group elsewhere in its file, and is nothing
/// without it.
pub(crate) fn belongings(file: &Group, group: &Group, dataset: &str) -> Vec<String> {
    FORMATS.iter().filter_map(|format| format.rules().belonging(file, group, dataset)).collect()
}

/// The groups of a file that have a results dataset by a second name, and that name.
pub(crate) fn second_names(file: &Group, dataset: &Dataset) -> Vec<(Group, String)> {
    FORMATS.iter().flat_map(|format| format.rules().second_names(file, dataset)).collect()
}

/// Lengths of the axes of a results dataset: those of the scan, then its own. Tables tell them of a
/// matrix; who reads a single value per position can't tell its one step there from an axis.
///
/// # Errors
/// If its tables are broken.
pub(crate) fn results_shape(file: &ReadFile, path: &str, dataset: &Dataset) -> Result<Vec<usize>> {
    let format = recognise(file, path, dataset);
    let Some(tabled) = tabled(format, &file.path, (path, dataset), false) else {
        return Ok(dataset.shape());
    };
    let Tabled { info, grid, .. } = tabled?;
    let scan = if grid.is_full() { grid.shape() } else { vec![grid.rows()] };
    let own = info.spectrum_shape(1);
    Ok(if own == [1] { scan } else { [scan, own].concat() })
}

/// The axes of a results dataset, as many and as long as [`results_shape`] tells. Steps are counted
/// where the file has no values for them.
///
/// # Errors
/// If its tables are broken.
pub(crate) fn results_axes(
    file: &ReadFile,
    path: &str,
    dataset: &Dataset,
) -> Result<Vec<Dimension>> {
    let format = recognise(file, path, dataset);
    let Some(tabled) = tabled(format, &file.path, (path, dataset), false) else {
        let told = described(format, file, path, dataset).map(|described| described.axes);
        let unnamed = |(number, length): (usize, &usize)| {
            Axis::without_values(number, "", *length, Role::Unknown)
        };
        let axes =
            told.unwrap_or_else(|_| dataset.shape().iter().enumerate().map(unnamed).collect());
        return Ok(axes.into_iter().map(|axis| axis.dimension).collect());
    };
    let Tabled { info, grid, .. } = tabled?;
    let scan = if grid.is_full() {
        info.position_dimensions
    } else {
        vec![Dimension::new("position", "", described::counted(grid.rows()))]
    };
    let own = info.spectroscopic_dimensions;
    let is_single = own.iter().map(Dimension::len).eq([1]);
    Ok(if is_single { scan } else { [scan, own].concat() })
}

/// The fastest axis of a dataset, if its file has one with values of its own.
pub(crate) fn fastest_axis(file: &ReadFile, path: &str, dataset: &Dataset) -> Option<Dimension> {
    let format = recognise(file, path, dataset);
    if let Some(tabled) = tabled(format, &file.path, (path, dataset), false) {
        return tabled.ok()?.info.spectroscopic_dimensions.pop();
    }
    let fastest = described(format, file, path, dataset).ok()?.axes.pop()?;
    (!fastest.is_counted).then_some(fastest.dimension)
}

/// What an array that no format knows may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Likely {
    /// Somebody's data: numbers.
    Data,
    /// The same if there is nothing likelier: integers with names, or records with numbers.
    DataAtMost,
    Nothing,
}

/// What an array is likely that no format knows; data have two axes at least.
pub(crate) fn likely(path: &str, dataset: &Dataset) -> Likely {
    let is_ancillary = || FORMATS.iter().any(|format| format.rules().is_ancillary(path));
    if dataset.ndim() < 2 || dataset.size() == 0 || is_ancillary() {
        return Likely::Nothing;
    }
    let has_numbers = || {
        let fields = dataset.record_fields().unwrap_or_default();
        fields.iter().any(|field| field.stored.is_ok())
    };
    match dataset.stored_type() {
        Ok(_) if dataset.class() == Class::Enumeration => Likely::DataAtMost,
        Ok(_) => Likely::Data,
        Err(_) if has_numbers() => Likely::DataAtMost,
        Err(_) => Likely::Nothing,
    }
}
