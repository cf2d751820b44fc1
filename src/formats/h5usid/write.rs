//! Results as main datasets of h5USID: matrices of positions × values with four references each.

use hdf5::types::{FloatSize, H5Type, IntSize, TypeDescriptor};
use hdf5::{Dataset, Group};

use crate::region;
use crate::storage::datatype::{Class, class};
use crate::storage::results_group::{Column, PositionTables, create_column};
use crate::storage::{attributes, text};
use pixelmill_core::dimension::Dimension;

/// Creates the results datasets and what they refer to.
pub(in crate::formats) fn create_columns(
    group: &Group,
    columns: &[Column<'_>],
    tables: &PositionTables,
    copied_from: Option<&Dataset>,
) -> hdf5::Result<()> {
    let positions = match copied_from {
        None => [tables.indices.clone(), tables.values.clone()],
        Some(source) => copied_tables(source, group)?,
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
fn copied_tables(source: &Dataset, group: &Group) -> hdf5::Result<[String; 2]> {
    let names = ["Position_Indices", "Position_Values"];
    for name in names {
        let table = attributes::referenced_dataset(source, name)
            .ok_or_else(|| hdf5::Error::from(format!("the source has no `{name}`")))?;
        copy_table(&table, group, name)?;
    }
    Ok(names.map(|name| format!("{}/{name}", text::name(group))))
}

/// Copies an ancillary dataset with its labels and units, and nothing that refers elsewhere.
fn copy_table(from: &Dataset, group: &Group, name: &str) -> hdf5::Result<()> {
    let shape = from.shape();
    let (float, signed) =
        (TypeDescriptor::Float(FloatSize::U8), TypeDescriptor::Integer(IntSize::U8));
    let to = match class(&from.dtype()?) {
        Class::Float => copied::<f64>(from, dataset(group, name, float, &shape)?)?,
        // As others wrote them: they may be negative, or times.
        Class::Integer { signed: true } => {
            copied::<i64>(from, dataset(group, name, signed, &shape)?)?
        }
        Class::Integer { signed: false } if from.dtype()?.size() > 4 => {
            let unsigned = TypeDescriptor::Unsigned(IntSize::U8);
            copied::<u64>(from, dataset(group, name, unsigned, &shape)?)?
        }
        _ => {
            let unsigned = TypeDescriptor::Unsigned(IntSize::U4);
            copied::<u32>(from, dataset(group, name, unsigned, &shape)?)?
        }
    };
    for attribute in ["labels", "units"] {
        if let Some(texts) = attributes::strings(from, attribute) {
            attributes::write_strings(&to, attribute, &texts)?;
        }
    }
    Ok(())
}

/// Copies a table of numbers, not all of it at once: it has as many rows as the scan has positions.
fn copied<T: H5Type>(from: &Dataset, to: Dataset) -> hdf5::Result<Dataset> {
    const AT_ONCE: usize = 1 << 16;
    let rows = from.shape().first().copied().unwrap_or(0);
    for first in (0..rows).step_by(AT_ONCE) {
        let range = first..rows.min(first + AT_ONCE);
        to.write_slice(&from.read_slice_2d::<T, _>((range.clone(), ..))?, (range, ..))?;
    }
    Ok(to)
}

fn dataset(
    group: &Group,
    name: &str,
    descriptor: TypeDescriptor,
    shape: &[usize],
) -> hdf5::Result<Dataset> {
    group.new_dataset_builder().empty_as(&descriptor).shape(shape).create(name)
}

/// Writes the two tables of the spectroscopic axes, slowest first; returns their paths.
fn spectroscopic_datasets(
    group: &Group,
    prefix: &str,
    axes: &[Dimension],
) -> hdf5::Result<[String; 2]> {
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
    let table = |kind: &str, descriptor: TypeDescriptor| -> hdf5::Result<Dataset> {
        let created = dataset(group, &format!("{prefix}Spectroscopic_{kind}"), descriptor, &shape)?;
        attributes::write_strings(&created, "labels", &names)?;
        attributes::write_strings(&created, "units", &units)?;
        Ok(created)
    };
    let index_table = table("Indices", TypeDescriptor::Unsigned(IntSize::U4))?;
    index_table.write_raw(&indices)?;
    let value_table = table("Values", TypeDescriptor::Float(FloatSize::U4))?;
    value_table.write_raw(&values)?;
    Ok([text::name(&index_table), text::name(&value_table)])
}
