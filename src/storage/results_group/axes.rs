//! Results as arrays with the axes of the scan: with dimension scales, as NSID's main datasets, and as
//! experiments that HyperSpy loads.

use hdf5::{Dataset, Group};

use super::super::{attributes, library, scales, text};
use super::column::{Column, create_column};
use super::compress::CHUNK_BYTES;
use crate::axis_values::AxisValues;
use crate::column_layout::Constant;
use crate::dimension::Dimension;

/// What sidpy writes for a quantity or for units that nobody has told.
const NOT_TOLD: &str = "generic";

/// Whose arrays with axes they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AxesFormat {
    Plain,
    Nsid,
    /// Also as experiments that HyperSpy loads.
    Hspy,
}

/// Creates the results datasets with scales on all their axes.
pub(super) fn create_columns(
    file: &hdf5::File,
    group: &Group,
    columns: &[Column<'_>],
    positions: &[Dimension],
    format: AxesFormat,
) -> hdf5::Result<()> {
    let mut known: Vec<(Dimension, Dataset)> = Vec::new();
    let taken: Vec<&str> = columns.iter().map(|column| column.layout.name.as_str()).collect();
    for column in columns {
        // HyperSpy loads only chunked data lazily.
        let chunk = (format == AxesFormat::Hspy).then(|| chunk(column));
        let created = create_column(group, column, chunk.as_deref())?;
        let axes: Vec<(&Dimension, bool)> = positions
            .iter()
            .map(|axis| (axis, true))
            .chain(column.axes.iter().map(|axis| (axis, false)))
            .collect();
        // pyNSID looks for the scale of an axis under its label.
        let mut labels = Vec::new();
        for (number, (axis, is_position)) in axes.iter().enumerate() {
            let scale = scale(group, &taken, &mut known, axis, format)?;
            if format == AxesFormat::Nsid && scale.attr("dimension_type").is_err() {
                let kind = if *is_position { "SPATIAL" } else { "SPECTRAL" };
                attributes::write_string(&scale, "dimension_type", kind)?;
            }
            scales::attach(&created, number, &scale)?;
            labels.push(name_in_group(&scale));
        }
        scales::write_labels(&created, &labels)?;
        match format {
            AxesFormat::Plain => {}
            // pyNSID reads no records, and stops at a main dataset that it can't read.
            AxesFormat::Nsid if is_record(column) => {}
            AxesFormat::Nsid => describe_for_nsid(&created, column)?,
            AxesFormat::Hspy => create_experiment(file, group, column, &axes)?,
        }
    }
    Ok(())
}

/// Creates a dataset that is the same for all positions, with scales on its axes.
pub(super) fn create_constant(group: &Group, constant: &Constant) -> hdf5::Result<()> {
    let axes = constant.layout.dimensions.clone();
    let shape = axes.iter().map(Dimension::len).collect();
    let column = Column { layout: &constant.layout, shape, positions_axes: 0, axes };
    let created = create_column(group, &column, None)?;
    library::write_rows(&created, 0, &constant.values)?;
    let (mut known, mut labels) = (Vec::new(), Vec::new());
    for (number, axis) in column.axes.iter().enumerate() {
        let scale = scale(group, &[], &mut known, axis, AxesFormat::Plain)?;
        scales::attach(&created, number, &scale)?;
        labels.push(name_in_group(&scale));
    }
    scales::write_labels(&created, &labels)
}

/// Whole steps of the first axis, so many that they make a chunk of a good size.
fn chunk(column: &Column<'_>) -> Vec<usize> {
    let mut chunk = column.shape.clone();
    let step = chunk.iter().skip(1).product::<usize>() * column.layout.value_bytes();
    if let Some(first) = chunk.first_mut() {
        *first = (CHUNK_BYTES / step.max(1)).clamp(1, *first);
    }
    chunk
}

/// The scale of an axis, made when it is wanted first.
fn scale(
    group: &Group,
    taken: &[&str],
    known: &mut Vec<(Dimension, Dataset)>,
    axis: &Dimension,
    format: AxesFormat,
) -> hdf5::Result<Dataset> {
    if let Some((_, scale)) = known.iter().find(|(known, _)| known == axis) {
        return Ok(scale.clone());
    }
    let plain: String =
        axis.name.chars().map(|letter| if letter == '/' { '_' } else { letter }).collect();
    let mut name = if plain.is_empty() || plain == "." { "axis".to_owned() } else { plain };
    while taken.contains(&name.as_str()) || group.link_exists(&name) {
        name.push('_');
    }
    let scale = group.new_dataset::<f64>().shape(axis.len()).create(name.as_str())?;
    write_values(&scale, &axis.values)?;
    scales::make_scale(&scale, &name)?;
    // sidpy takes no axis without units.
    let told = |text: &str| match text {
        "" if format == AxesFormat::Nsid => NOT_TOLD.to_owned(),
        text => text.to_owned(),
    };
    attributes::write_string(&scale, "name", &axis.name)?;
    attributes::write_string(&scale, "quantity", &told(&axis.name))?;
    attributes::write_string(&scale, "units", &told(&axis.units))?;
    known.push((axis.clone(), scale.clone()));
    Ok(scale)
}

fn name_in_group(scale: &Dataset) -> String {
    text::name(scale).rsplit('/').next().unwrap_or_default().to_owned()
}

fn is_record(column: &Column<'_>) -> bool {
    column.layout.fields.iter().any(|field| field.name.is_some())
}

/// What pyNSID asks of a main dataset besides its scales.
fn describe_for_nsid(dataset: &Dataset, column: &Column<'_>) -> hdf5::Result<()> {
    let kind = match (column.positions_axes, column.axes.len()) {
        (2, 0) => "IMAGE",
        (1, 0) => "SPECTRUM",
        (2, 1) => "SPECTRAL_IMAGE",
        (2, 2) => "IMAGE_4D",
        _ => "UNKNOWN",
    };
    attributes::write_string(dataset, "data_type", kind)?;
    attributes::write_string(dataset, "modality", "")?;
    attributes::write_string(dataset, "source", "pixelmill")?;
    attributes::write_string(dataset, "main_data_name", &column.layout.name)?;
    attributes::write_string(dataset, "pyNSID_version", "0.0.7.2")
}

/// An experiment of HyperSpy whose `data` are the results dataset itself, by a second name.
fn create_experiment(
    file: &hdf5::File,
    group: &Group,
    column: &Column<'_>,
    axes: &[(&Dimension, bool)],
) -> hdf5::Result<()> {
    if file.attr("file_format").is_err() {
        attributes::write_string(file, "file_format", "HyperSpy")?;
        attributes::write_string(file, "file_format_version", "3.3")?;
    }
    let experiments = match file.group("Experiments") {
        Ok(group) => group,
        Err(_) => file.create_group("Experiments")?,
    };
    let own = text::name(group);
    let title = format!("{} {}", own.trim_start_matches('/').replace('/', "_"), column.layout.name);
    let experiment = experiments.create_group(&title)?;
    experiment.link_hard(&format!("{own}/{}", column.layout.name), "data")?;
    for (number, (axis, is_position)) in axes.iter().enumerate() {
        describe_axis(&experiment.create_group(&format!("axis-{number}"))?, axis, *is_position)?;
    }
    experiment.create_group("original_metadata")?;
    let metadata = experiment.create_group("metadata")?;
    let general = metadata.create_group("General")?;
    attributes::write_string(&general, "title", &title)?;
    let signal = metadata.create_group("Signal")?;
    attributes::write_string(&signal, "signal_type", "")?;
    let quantity = match column.layout.units.as_str() {
        "" => column.layout.quantity.clone(),
        units => format!("{} ({units})", column.layout.quantity),
    };
    attributes::write_string(&signal, "quantity", &quantity)
}

/// An axis as HyperSpy keeps it: by offset and scale where its steps are even, else value by value.
fn describe_axis(group: &Group, axis: &Dimension, is_position: bool) -> hdf5::Result<()> {
    attributes::write_string(group, "name", &axis.name)?;
    attributes::write_string(group, "units", &axis.units)?;
    attributes::write_integer(group, "size", axis.len() as i64)?;
    for (name, truth) in [("navigate", is_position), ("is_binned", axis.binned)] {
        group.new_attr::<bool>().create(name)?.write_scalar(&truth)?;
    }
    let number =
        |name: &str, value: f64| group.new_attr::<f64>().create(name)?.write_scalar(&value);
    match even_step(&axis.values) {
        Some(step) => {
            attributes::write_string(group, "_type", "UniformDataAxis")?;
            number("offset", axis.values.first().unwrap_or(0.0))?;
            number("scale", step)
        }
        None => {
            attributes::write_string(group, "_type", "DataAxis")?;
            let values = group.new_dataset::<f64>().shape(axis.len()).create("axis")?;
            write_values(&values, &axis.values)
        }
    }
}

/// The step of values that are evenly spaced, to a millionth of it.
fn even_step(values: &AxisValues) -> Option<f64> {
    let (Some(first), Some(last), 2..) = (values.first(), values.last(), values.len()) else {
        return Some(1.0);
    };
    let step = (last - first) / (values.len() - 1) as f64;
    let even = values
        .iter()
        .enumerate()
        .all(|(at, value)| (value - (first + step * at as f64)).abs() <= 1e-6 * step.abs());
    (even && step != 0.0).then_some(step)
}

/// Writes the values of an axis, not all of them at once: it may be as long as the scan.
fn write_values(dataset: &Dataset, values: &AxisValues) -> hdf5::Result<()> {
    const AT_ONCE: usize = 1 << 16;
    let mut left = values.iter();
    for first in (0..values.len()).step_by(AT_ONCE) {
        let bytes: Vec<u8> = left.by_ref().take(AT_ONCE).flat_map(f64::to_ne_bytes).collect();
        library::write_rows(dataset, first as u64, &bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_steps_are_told_from_others() {
        assert_eq!(even_step(&vec![1.0, 1.5, 2.0].into()), Some(0.5));
        assert_eq!(even_step(&vec![7.0].into()), Some(1.0));
        assert_eq!(even_step(&vec![1.0, 2.0, 4.0].into()), None);
        assert_eq!(even_step(&vec![1.0, 1.0, 1.0].into()), None);
    }
}
