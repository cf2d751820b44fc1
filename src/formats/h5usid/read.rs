//! The h5USID format: a two-dimensional main dataset with four references to ancillary datasets.
//!
//! Accepts what real files have (see the file contract in the README) and says exactly what it can't
//! understand.

use std::ops::Range;
use std::path::Path;

use crate::position_grid::{PositionGrid, TableRows};
use crate::region::Region;
use crate::storage::attributes;
use crate::storage::container::Dataset;
use crate::storage::results_group::PositionTables;
use pixelmill_core::dimension::Dimension;
use pixelmill_core::element::ElementType;
use pixelmill_core::error::{Error, Result};
use pixelmill_core::source_info::SourceInfo;

const REFERENCES: [&str; 4] =
    ["Position_Indices", "Position_Values", "Spectroscopic_Indices", "Spectroscopic_Values"];

/// Whether a dataset has two dimensions and all four references; `read` tells what may still be wrong.
pub(crate) fn is_main(dataset: &Dataset) -> bool {
    dataset.ndim() == 2 && references(dataset) == REFERENCES.len()
}

/// Whether a dataset has some of the references, so that somebody meant it to be a main dataset.
pub(crate) fn is_almost_main(dataset: &Dataset) -> bool {
    dataset.ndim() == 2 && references(dataset) > 0
}

/// Whether a dataset has the name of an ancillary one.
pub(crate) fn is_ancillary(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    REFERENCES.iter().any(|ancillary| name.ends_with(ancillary))
}

fn references(dataset: &Dataset) -> usize {
    REFERENCES.iter().filter(|name| dataset.has_attribute(name)).count()
}

/// Reads what a main dataset says of itself.
///
/// # Errors
/// If it isn't a main dataset, naming what is missing or broken.
pub(crate) fn read(
    file: &Path,
    path: &str,
    dataset: &Dataset,
) -> Result<(SourceInfo, PositionGrid, PositionTables, Vec<String>)> {
    let broken = |reason: String| Error::not_main(file, path, reason);
    let shape = dataset.shape();
    let [positions, points] = shape.as_slice() else {
        return Err(broken(format!("it has {} dimensions instead of 2", shape.len())));
    };
    if *positions == 0 || *points == 0 {
        return Err(broken(format!("it is empty, {positions} × {points}")));
    }
    let ancillary = |name| {
        attributes::referenced_dataset(dataset, name)
            .ok_or_else(|| broken(format!("its attribute `{name}` doesn't refer to a dataset")))
    };
    let [rows, row_values, columns, column_values] = REFERENCES.map(ancillary);
    let (rows, row_values, columns, column_values) = (rows?, row_values?, columns?, column_values?);
    [&rows, &row_values, &columns, &column_values]
        .into_iter()
        .try_for_each(|table| table.check_sources())?;
    let split = has_split_units(&rows, 1) || has_split_units(&columns, 0);
    let grid = positions_table(&rows, &row_values, *positions, split).map_err(broken)?;
    let spectroscopic =
        spectroscopic_table(&columns, &column_values, *points, split).map_err(broken)?;
    let lengths = [(&rows, 0, *positions), (&columns, 1, *points)];
    let mut notes: Vec<String> = lengths.into_iter().filter_map(longer).collect();
    let (spectroscopic_dimensions, note) =
        spectroscopic_axes(spectroscopic, &column_values).map_err(broken)?;
    notes.extend(note);
    let info = SourceInfo {
        path: path.to_owned(),
        positions: *positions as u64,
        spectral_points: *points,
        element: dataset.stored_type().map_or(ElementType::Float64, |stored| stored.element),
        quantity: attributes::string(dataset, "quantity").unwrap_or_default(),
        units: attributes::string(dataset, "units").unwrap_or_default(),
        position_dimensions: grid.dimensions.clone(),
        spectroscopic_dimensions,
        auxiliary: Vec::new(),
    };
    let ancillary = PositionTables { indices: rows.name(), values: row_values.name() };
    Ok((info, grid, ancillary, notes))
}

/// What is to be said of a table that is longer than the data, as a scan leaves it that was stopped.
fn longer((table, along, length): (&Dataset, usize, usize)) -> Option<String> {
    let found = *table.shape().get(along)?;
    (found > length).then(|| {
        let what = ["rows", "columns"][along];
        let name = table.name();
        format!("its `{name}` has {found} {what} instead of {length}; the first {length} are taken")
    })
}

/// The axes of a row. A single one has a value at each point, whatever its indices say; points that are no full
/// grid of several axes lie along none, which is said.
fn spectroscopic_axes(
    grid: PositionGrid,
    values: &Dataset,
) -> Result<(Vec<Dimension>, Option<String>), String> {
    if grid.is_full() {
        return Ok((grid.dimensions, None));
    }
    let points = grid.rows();
    match <[Dimension; 1]>::try_from(grid.dimensions) {
        Err(axes) => {
            let names: Vec<&str> = axes.iter().map(|axis| axis.name.as_str()).collect();
            let note = format!(
                "the points of its rows are no full grid along {}; they are counted instead",
                names.join(" and ")
            );
            Ok((Vec::new(), Some(note)))
        }
        Ok([Dimension { name, units, .. }]) => {
            let read = values.numbers(&values.whole());
            let mut values = read.map_err(|_| unreadable(values))?;
            values.truncate(points);
            Ok((vec![Dimension::new(name, units, values)], None))
        }
    }
}

/// Reads the tables of the positions: a row per position, a column per axis.
fn positions_table(
    indices: &Dataset,
    values: &Dataset,
    rows: usize,
    split_units: bool,
) -> Result<PositionGrid, String> {
    let labels = labels_of(indices, values, (0, rows), split_units)?;
    PositionGrid::new(labels, rows, |range| {
        let part = part(indices, 0, range);
        Ok(TableRows {
            indices: indices.integers(&part).map_err(|_| unreadable(indices))?,
            values: values.numbers(&part).map_err(|_| unreadable(values))?,
        })
    })
}

/// Reads the tables of a row's points: a column per point, a row per axis.
fn spectroscopic_table(
    indices: &Dataset,
    values: &Dataset,
    points: usize,
    split_units: bool,
) -> Result<PositionGrid, String> {
    let labels = labels_of(indices, values, (1, points), split_units)?;
    let part = part(indices, 1, 0..points);
    let all_indices = indices.integers(&part).map_err(|_| unreadable(indices))?;
    let all_values = values.numbers(&part).map_err(|_| unreadable(values))?;
    PositionGrid::new(labels, points, |range| {
        Ok(TableRows {
            indices: range.clone().flat_map(|at| column(&all_indices, at, points)).collect(),
            values: range.flat_map(|at| column(&all_values, at, points)).collect(),
        })
    })
}

/// A column of a table that has so many.
fn column<T: Copy>(table: &[T], at: usize, columns: usize) -> impl Iterator<Item = T> {
    table.iter().skip(at).step_by(columns).copied()
}

/// A range of steps of one axis of a table, and all of the other.
fn part(table: &Dataset, axis: usize, range: Range<usize>) -> Region {
    let mut part = table.whole();
    part.set_range(axis, &(range.start as u64..range.end as u64));
    part
}

fn unreadable(what: &Dataset) -> String {
    format!("its `{}` can't be read as numbers", what.name())
}

/// Name and units of each axis of a pair of tables, which must have the given length in direction
/// `along`; in the other there is a step per axis.
fn labels_of(
    indices: &Dataset,
    values: &Dataset,
    (along, length): (usize, usize),
    split_units: bool,
) -> Result<Vec<(String, String)>, String> {
    let name = indices.name();
    let shape = indices.shape();
    if shape.len() != 2 {
        return Err(format!("its `{name}` has {} dimensions instead of 2", shape.len()));
    }
    let axes = shape[1 - along];
    if axes == 0 {
        return Err(format!("its `{name}` is empty"));
    }
    if shape[along] < length {
        let what = ["rows", "columns"][along];
        return Err(format!("its `{name}` has {} {what} instead of {length}", shape[along]));
    }
    if values.shape() != shape {
        return Err(format!("its `{}` has another shape than `{name}`", values.name()));
    }
    let names = labels(indices, "labels", axes)
        .or_else(|| labels(values, "labels", axes))
        .ok_or_else(|| format!("its `{name}` has no attribute `labels` with {axes} names"))?;
    Ok(names.into_iter().zip(units(values, indices, axes, split_units)).collect())
}

/// One string per dimension. Some files have one dimension's text split into its characters.
fn labels(dataset: &Dataset, name: &str, dimensions: usize) -> Option<Vec<String>> {
    let texts = attributes::strings(dataset, name)?;
    match texts.len() {
        found if found == dimensions => Some(texts),
        _ if dimensions == 1 => Some(vec![texts.concat()]),
        _ => None,
    }
}

/// Units of each axis; empty ones if there are none.
fn units(values: &Dataset, indices: &Dataset, axes: usize, split: bool) -> Vec<String> {
    if split
        && let Some(letters) = attributes::strings(values, "units")
        && letters.iter().all(|text| is_one_letter(text))
    {
        return vec![letters.concat(); axes];
    }
    labels(values, "units", axes)
        .or_else(|| labels(indices, "units", axes))
        .unwrap_or_else(|| vec![String::new(); axes])
}

/// Whether the units of a table are one text for all its axes, split into its letters, as the software
/// of some instruments writes them. Of a table with as many axes as letters (`u`, `m` for X and Y) only
/// the source's other table can tell.
fn has_split_units(table: &Dataset, axes_along: usize) -> bool {
    let axes = table.shape().get(axes_along).copied().unwrap_or(0);
    attributes::strings(table, "units").is_some_and(|letters| {
        letters.len() > 1 && letters.len() != axes && letters.iter().all(|text| is_one_letter(text))
    })
}

fn is_one_letter(text: &str) -> bool {
    text.chars().count() == 1
}
