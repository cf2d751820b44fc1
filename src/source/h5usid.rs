//! The h5USID format: a two-dimensional main dataset with four references to ancillary datasets.
//!
//! Accepts what real files have (see the file contract in the README) and says exactly what it can't
//! understand.

use std::path::Path;

use hdf5::Dataset;

use super::grid::{Axis, PositionGrid};
use crate::element::ElementType;
use crate::error::{Error, Result};
use crate::process::{Dimension, SourceInfo};
use crate::storage::attributes;
use crate::storage::datatype::stored_type;

/// Paths of the datasets that describe the positions, which results share with their source.
#[derive(Clone, Debug)]
pub(crate) struct Ancillary {
    pub position_indices: String,
    pub position_values: String,
}

const REFERENCES: [&str; 4] =
    ["Position_Indices", "Position_Values", "Spectroscopic_Indices", "Spectroscopic_Values"];

/// Whether a dataset looks like a main dataset. `read` tells what may still be wrong with it.
pub(crate) fn is_main(dataset: &Dataset) -> bool {
    dataset.ndim() == 2 && REFERENCES.iter().all(|name| dataset.attr(name).is_ok())
}

/// Reads what a main dataset says of itself.
///
/// # Errors
/// If it isn't a main dataset, naming what is missing or broken.
pub(crate) fn read(
    file: &Path,
    path: &str,
    dataset: &Dataset,
) -> Result<(SourceInfo, PositionGrid, Ancillary)> {
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
    let grid = PositionGrid::new(table(&rows, &row_values, *positions, true).map_err(broken)?);
    let spectroscopic =
        PositionGrid::new(table(&columns, &column_values, *points, false).map_err(broken)?);
    let info = SourceInfo {
        path: path.to_owned(),
        positions: *positions as u64,
        spectral_points: *points,
        element: stored_type(dataset).map_or(ElementType::Float64, |stored| stored.element),
        quantity: attributes::string(dataset, "quantity").unwrap_or_default(),
        units: attributes::string(dataset, "units").unwrap_or_default(),
        position_dimensions: grid.dimensions.clone(),
        spectroscopic_dimensions: spectroscopic_axes(spectroscopic),
    };
    let ancillary = Ancillary { position_indices: rows.name(), position_values: row_values.name() };
    Ok((info, grid, ancillary))
}

/// Axes that multiply to the row's length; a row that is no full grid is one axis of points.
fn spectroscopic_axes(grid: PositionGrid) -> Vec<Dimension> {
    if grid.is_full() {
        return grid.dimensions;
    }
    let name = grid.dimensions.iter().map(|d| d.name.as_str()).collect::<Vec<_>>().join("+");
    vec![Dimension::new(name, "", (0..grid.rows()).map(|point| point as f64).collect())]
}

/// Reads a pair of ancillary datasets, positions by rows or spectroscopic points by columns.
fn table(
    indices: &Dataset,
    values: &Dataset,
    length: usize,
    by_rows: bool,
) -> Result<Vec<Axis>, String> {
    let name = indices.name();
    let shape = indices.shape();
    let expected = if by_rows { "rows" } else { "columns" };
    let (along, dimensions) = match (shape.as_slice(), by_rows) {
        ([rows, columns], true) => (*rows, *columns),
        ([rows, columns], false) => (*columns, *rows),
        _ => return Err(format!("its `{name}` has {} dimensions instead of 2", shape.len())),
    };
    if along != length {
        return Err(format!("its `{name}` has {along} {expected} instead of {length}"));
    }
    if values.shape() != shape {
        return Err(format!("its `{}` has another shape than `{name}`", values.name()));
    }
    let read = |what: &Dataset| format!("its `{}` can't be read as numbers", what.name());
    let all_indices = indices.read_raw::<i64>().map_err(|_| read(indices))?;
    let all_values = values.read_raw::<f64>().map_err(|_| read(values))?;
    let labels = labels(indices, "labels", dimensions)
        .or_else(|| labels(values, "labels", dimensions))
        .ok_or_else(|| format!("its `{name}` has no attribute `labels` with {dimensions} names"))?;
    let units = labels_or_empty(values, indices, dimensions);
    let column = |axis: usize, row: usize| {
        if by_rows { row * dimensions + axis } else { axis * along + row }
    };
    Ok((0..dimensions)
        .map(|axis| Axis {
            name: labels[axis].clone(),
            units: units[axis].clone(),
            indices: (0..along).map(|row| all_indices[column(axis, row)]).collect(),
            values: (0..along).map(|row| all_values[column(axis, row)]).collect(),
        })
        .collect())
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

fn labels_or_empty(values: &Dataset, indices: &Dataset, dimensions: usize) -> Vec<String> {
    labels(values, "units", dimensions)
        .or_else(|| labels(indices, "units", dimensions))
        .unwrap_or_else(|| vec![String::new(); dimensions])
}
