//! The h5USID format: a two-dimensional main dataset with four references to ancillary datasets.
//!
//! Accepts what real files have (see the file contract in the README) and says exactly what it
//! can't understand.

use std::ops::Range;
use std::path::Path;

use super::super::format::Tabled;
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

/// Whether a dataset has two dimensions and all four references; `read` tells what may still be
/// wrong.
pub(super) fn is_main(dataset: &Dataset) -> bool {
    dataset.ndim() == 2 && references(dataset) == REFERENCES.len()
}

/// Whether a dataset has some of the references, so that somebody meant it to be a main dataset.
pub(super) fn is_almost_main(dataset: &Dataset) -> bool {
    dataset.ndim() == 2 && references(dataset) > 0
}

/// Whether a dataset has the name of an ancillary one.
pub(super) fn is_ancillary(path: &str) -> bool {
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
pub(super) fn read(file: &Path, path: &str, dataset: &Dataset) -> Result<Tabled> {
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
    let mut spectroscopic =
        spectroscopic_table(&columns, &column_values, *points, split).map_err(broken)?;
    let own_values = spectroscopic.take_own_values().filter(|_| spectroscopic.is_full());
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
        is_corrected: false,
        quantity: attributes::string(dataset, "quantity").unwrap_or_default(),
        units: attributes::string(dataset, "units").unwrap_or_default(),
        position_dimensions: grid.dimensions.clone(),
        spectroscopic_dimensions,
        auxiliary: Vec::new(),
        constants: Vec::new(),
        selected: None,
    };
    let tables = PositionTables { indices: rows.name(), values: row_values.name() };
    Ok(Tabled { info, grid, tables, own_values, notes })
}

/// What is to be said of a table that is longer than the data, as a scan leaves it that was
/// stopped.
fn longer((table, along, length): (&Dataset, usize, usize)) -> Option<String> {
    let found = *table.shape().get(along)?;
    (found > length).then(|| {
        let what = ["rows", "columns"][along];
        let name = table.name();
        format!("its `{name}` has {found} {what} instead of {length}; the first {length} are taken")
    })
}

/// The axes of a row. A single one has a value at each point, whatever its indices say; points that
/// are no full grid of several axes lie along none, which is said.
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
    let at_once = indices.rows_at_once().max(values.rows_at_once());
    PositionGrid::new(labels, (rows, at_once), |range| {
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
    let values_of = |range: Range<usize>| -> Vec<f64> {
        range.flat_map(|at| column(&all_values, at, points)).collect()
    };
    let mut grid = PositionGrid::new(labels, (points, points), |range| {
        Ok::<_, String>(TableRows {
            indices: range.clone().flat_map(|at| column(&all_indices, at, points)).collect(),
            values: values_of(range),
        })
    })?;
    grid.keep_own_values(points, |range| Ok::<_, String>(values_of(range)))?;
    Ok(grid)
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

/// Whether the units of a table are one text for all its axes, split into its letters, as the
/// software of some instruments writes them. Of a table with as many axes as letters (`u`, `m` for
/// X and Y) only the source's other table can tell.
fn has_split_units(table: &Dataset, axes_along: usize) -> bool {
    let axes = table.shape().get(axes_along).copied().unwrap_or(0);
    attributes::strings(table, "units").is_some_and(|letters| {
        letters.len() > 1 && letters.len() != axes && letters.iter().all(|text| is_one_letter(text))
    })
}

fn is_one_letter(text: &str) -> bool {
    text.chars().count() == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::samples::{Sample, dataset};
    use pixelmill_core::element::ElementType::{Float32, UInt32};

    /// A main dataset of two times three positions and four points.
    fn main_dataset(sample: &Sample) -> Dataset {
        let data = dataset(&sample.file, "data", Float32, &[6, 4]);
        for (table, element, shape, names) in [
            ("Position_Indices", UInt32, [6, 2], &["X", "Y"][..]),
            ("Position_Values", Float32, [6, 2], &["X", "Y"]),
            ("Spectroscopic_Indices", UInt32, [1, 4], &["Bias"]),
            ("Spectroscopic_Values", Float32, [1, 4], &["Bias"]),
        ] {
            let created = dataset(&sample.file, table, element, &shape);
            let steps: Vec<u32> = match shape {
                [6, 2] => (0..6).flat_map(|row| [row % 3, row / 3]).collect(),
                _ => (0..4).collect(),
            };
            let bytes: Vec<u8> = match element {
                UInt32 => steps.iter().flat_map(|step| step.to_ne_bytes()).collect(),
                _ => steps.iter().flat_map(|step| (*step as f32 * 0.5).to_ne_bytes()).collect(),
            };
            created.write_rows(0, &bytes).unwrap();
            attributes::write_strings(&created, "labels", names).unwrap();
            attributes::write_strings(&created, "units", &vec!["um"; names.len()]).unwrap();
            attributes::write_reference(&data, table, &format!("/{table}")).unwrap();
        }
        data
    }

    fn told(data: &Dataset) -> Result<Tabled> {
        read(Path::new("file"), "/data", data)
    }

    #[test]
    fn tables_tell_the_axes_of_positions_and_points() {
        let sample = Sample::new();
        let data = main_dataset(&sample);
        assert!(is_main(&data));
        let Tabled { info, grid, tables, notes, own_values } = told(&data).unwrap();
        assert_eq!(own_values, None);
        assert_eq!((info.positions, info.spectral_points, notes.len()), (6, 4, 0));
        assert_eq!((grid.shape(), grid.is_full()), (vec![2, 3], true));
        let names: Vec<&str> = grid.dimensions.iter().map(|axis| axis.name.as_str()).collect();
        assert_eq!(names, ["Y", "X"]);
        assert_eq!(grid.dimensions[1].values.to_vec(), [0.0, 0.5, 1.0]);
        let bias = &info.spectroscopic_dimensions[0];
        assert_eq!((bias.units.as_str(), bias.values.to_vec()), ("um", vec![0.0, 0.5, 1.0, 1.5]));
        assert_eq!(tables.indices, "/Position_Indices");
    }

    #[test]
    fn a_table_that_cannot_be_read_is_named_and_nothing_is_guessed() {
        for table in REFERENCES {
            let sample = Sample::new();
            let data = main_dataset(&sample);
            sample.memory.fail(&format!("read /{table}"));
            let refused = told(&data).map(|_| ()).unwrap_err().to_string();
            let expected = format!("its `/{table}` can't be read as numbers");
            assert!(refused.contains(&expected), "{refused}");
        }
    }

    #[test]
    fn a_reference_that_cannot_be_followed_is_named() {
        let sample = Sample::new();
        let data = main_dataset(&sample);
        sample.memory.fail("attribute Spectroscopic_Values of /data");
        let refused = told(&data).map(|_| ()).unwrap_err().to_string();
        let expected = "its attribute `Spectroscopic_Values` doesn't refer to a dataset";
        assert!(refused.contains(expected), "{refused}");
        data.remove_attribute("Position_Values").unwrap();
        assert!(!is_main(&data) && is_almost_main(&data));
    }
}
