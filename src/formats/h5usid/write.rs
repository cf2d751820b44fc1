//! Results as main datasets of h5USID: matrices of positions × values with four references each.

use bytemuck::cast_slice;

use super::super::create::UsidPositions;
use crate::region;
use crate::storage::attributes;
use crate::storage::container::{Class, Dataset, Elements, Group, Storing};
use crate::storage::refused::Refused;
use crate::storage::results_group::{Column, create_column};
use pixelmill_core::dimension::Dimension;
use pixelmill_core::element::ElementType;

/// Creates the results datasets and what they refer to.
pub(in crate::formats) fn create_columns(
    group: &Group,
    columns: &[Column<'_>],
    positions: &UsidPositions<'_>,
) -> Result<(), Refused> {
    let positions = match positions {
        UsidPositions::Shared(tables) => [tables.indices.clone(), tables.values.clone()],
        UsidPositions::CopiedFrom(source) => copied_tables(source, group)?,
        UsidPositions::Own(axes) => position_datasets(group, axes)?,
    };
    let mut known: Vec<(Vec<Dimension>, [String; 2])> = Vec::new();
    for column in columns {
        let mut axes = column.axes.clone();
        if axes.is_empty() {
            let layout = column.layout;
            axes.push(Dimension::new(layout.quantity.clone(), layout.units.clone(), vec![0.0]));
        }
        let spectroscopic = match known.iter().find(|(known, _)| *known == axes) {
            Some((_, paths)) => paths.clone(),
            None => {
                let first = known.is_empty();
                let prefix = if first { String::new() } else { format!("{}_", column.layout.name) };
                let paths = spectroscopic_datasets(group, &prefix, &axes)?;
                known.push((axes, paths.clone()));
                paths
            }
        };
        let created = create_column(group, column, None)?;
        attributes::write_reference(&created, "Position_Indices", &positions[0])?;
        attributes::write_reference(&created, "Position_Values", &positions[1])?;
        attributes::write_reference(&created, "Spectroscopic_Indices", &spectroscopic[0])?;
        attributes::write_reference(&created, "Spectroscopic_Values", &spectroscopic[1])?;
    }
    Ok(())
}

/// Copies the tables of the positions that a source in another file refers to; returns their paths.
fn copied_tables(source: &Dataset, group: &Group) -> Result<[String; 2], Refused> {
    let names = ["Position_Indices", "Position_Values"];
    for name in names {
        let table = attributes::referenced_dataset(source, name)
            .ok_or_else(|| Refused::from(format!("the source has no `{name}`")))?;
        copy_table(&table, group, name)?;
    }
    Ok(names.map(|name| format!("{}/{name}", group.name())))
}

/// Copies an ancillary dataset with its labels and units, and nothing that refers elsewhere.
fn copy_table(from: &Dataset, group: &Group, name: &str) -> Result<(), Refused> {
    let element = match from.class() {
        Class::Float => ElementType::Float64,
        // As others wrote them: they may be negative, or times.
        Class::Integer { signed: true } => ElementType::Int64,
        Class::Integer { signed: false } if from.element_bytes() > 4 => ElementType::UInt64,
        _ => ElementType::UInt32,
    };
    let to = table(group, name, element, &from.shape())?;
    copy_rows(from, &to, element)?;
    for attribute in ["labels", "units"] {
        if let Some(texts) = attributes::strings(from, attribute) {
            attributes::write_strings(&to, attribute, &texts)?;
        }
    }
    Ok(())
}

/// Copies a table of numbers, not all of it at once: it has as many rows as the scan has positions.
fn copy_rows(from: &Dataset, to: &Dataset, element: ElementType) -> Result<(), Refused> {
    let (rows, at_once) = (from.shape().first().copied().unwrap_or(0), from.rows_at_once());
    for first in (0..rows).step_by(at_once) {
        let mut part = from.whole();
        part.set_range(0, &(first as u64..rows.min(first + at_once) as u64));
        let first = first as u64;
        match element {
            ElementType::Float64 => to.write_rows(first, cast_slice(&from.numbers(&part)?)),
            ElementType::Int64 => to.write_rows(first, cast_slice(&from.integers(&part)?)),
            ElementType::UInt64 => to.write_rows(first, cast_slice(&from.unsigned(&part)?)),
            _ => {
                let narrow = |value| u32::try_from(value).unwrap_or(u32::MAX);
                let values: Vec<u32> = from.unsigned(&part)?.into_iter().map(narrow).collect();
                to.write_rows(first, cast_slice(&values))
            }
        }?;
    }
    Ok(())
}

fn table(
    group: &Group,
    name: &str,
    element: ElementType,
    shape: &[usize],
) -> Result<Dataset, Refused> {
    group.create_dataset(name, &Elements::Number(element), shape, Storing::Late)
}

/// Rows of a table that are written at a time.
const ROWS_AT_A_TIME: usize = 1 << 16;

/// Writes the two tables of the full grid of some axes of positions, slowest first; returns their
/// paths.
fn position_datasets(group: &Group, axes: &[Dimension]) -> Result<[String; 2], Refused> {
    let lengths: Vec<u64> = axes.iter().map(|axis| axis.len() as u64).collect();
    let rows = lengths.iter().product::<u64>() as usize;
    let (strides, shape) = (region::strides(&lengths, 1), [rows, axes.len()]);
    let names: Vec<_> = axes.iter().map(|axis| axis.name.as_str()).collect();
    let units: Vec<_> = axes.iter().map(|axis| axis.units.as_str()).collect();
    let described = |kind: &str, element: ElementType| -> Result<Dataset, Refused> {
        let created = table(group, &format!("Position_{kind}"), element, &shape)?;
        attributes::write_strings(&created, "labels", &names)?;
        attributes::write_strings(&created, "units", &units)?;
        Ok(created)
    };
    let index_table = described("Indices", ElementType::UInt32)?;
    let value_table = described("Values", ElementType::Float32)?;
    for first in (0..rows).step_by(ROWS_AT_A_TIME) {
        let some = first..rows.min(first + ROWS_AT_A_TIME);
        let each = || {
            let axes = || axes.iter().zip(&strides);
            some.clone().flat_map(move |row| {
                axes().map(move |(axis, stride)| (axis, row / stride % axis.len()))
            })
        };
        let indices: Vec<u32> = each().map(|(_, step)| step as u32).collect();
        let value = |(axis, step): (&Dimension, usize)| axis.values.get(step).unwrap_or(f64::NAN);
        let values: Vec<f32> = each().map(|place| value(place) as f32).collect();
        index_table.write_rows(first as u64, cast_slice(&indices))?;
        value_table.write_rows(first as u64, cast_slice(&values))?;
    }
    Ok([index_table.name(), value_table.name()])
}

/// Writes the two tables of the spectroscopic axes, slowest first; returns their paths.
fn spectroscopic_datasets(
    group: &Group,
    prefix: &str,
    axes: &[Dimension],
) -> Result<[String; 2], Refused> {
    let points: usize = axes.iter().map(Dimension::len).product();
    let (mut indices, mut values) = (Vec::new(), Vec::new());
    let lengths: Vec<u64> = axes.iter().map(|axis| axis.len() as u64).collect();
    for (axis, stride) in axes.iter().zip(region::strides(&lengths, 1)) {
        let steps = (0..points).map(|point| point / stride % axis.len());
        indices.extend(steps.clone().map(|step| step as u32));
        values.extend(
            steps.map(|step| axis.values.get(step).expect("a step below the length") as f32),
        );
    }
    let names: Vec<_> = axes.iter().map(|axis| axis.name.as_str()).collect();
    let units: Vec<_> = axes.iter().map(|axis| axis.units.as_str()).collect();
    let shape = [axes.len(), points];
    let table = |kind: &str, element: ElementType| -> Result<Dataset, Refused> {
        let created = table(group, &format!("{prefix}Spectroscopic_{kind}"), element, &shape)?;
        attributes::write_strings(&created, "labels", &names)?;
        attributes::write_strings(&created, "units", &units)?;
        Ok(created)
    };
    let index_table = table("Indices", ElementType::UInt32)?;
    index_table.write_rows(0, cast_slice(&indices))?;
    let value_table = table("Values", ElementType::Float32)?;
    value_table.write_rows(0, cast_slice(&values))?;
    Ok([index_table.name(), value_table.name()])
}
