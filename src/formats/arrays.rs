//! Results as arrays with the axes of the scan, as dimension scales; a format may say more of them.

use super::format::{Format, NewResults};
use super::plain::PLAIN;
use crate::storage::container::{Dataset, Elements, Group, Storing};
use crate::storage::refused::Refused;
use crate::storage::results_group::{Column, create_column};
use crate::storage::{attributes, scales};
use pixelmill_core::column_layout::Constant;
use pixelmill_core::dimension::Dimension;
use pixelmill_core::element::ElementType;

/// Creates the results datasets with scales on all their axes.
pub(super) fn create_columns(
    file: &Group,
    group: &Group,
    columns: &[Column<'_>],
    positions: &[Dimension],
    format: Format,
) -> Result<(), Refused> {
    let mut known: Vec<(Dimension, Dataset)> = Vec::new();
    let taken: Vec<&str> = columns.iter().map(|column| column.layout.name.as_str()).collect();
    for column in columns {
        let chunk = format.rules().chunk(column);
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
            format.rules().describe_scale(&scale, *is_position)?;
            created.attach(number, &scale)?;
            labels.push(name_in_group(&scale));
        }
        scales::write_labels(&created, &labels)?;
        let results = NewResults { file, group, dataset: &created, column, axes: &axes };
        format.rules().describe_results(&results)?;
    }
    Ok(())
}

/// Creates a dataset that is the same for all positions, with scales on its axes.
pub(super) fn create_constant(group: &Group, constant: &Constant) -> Result<(), Refused> {
    let axes = constant.layout.dimensions.clone();
    let shape = axes.iter().map(Dimension::len).collect();
    let column = Column { layout: &constant.layout, shape, positions_axes: 0, axes };
    create_without_positions(group, &column, &mut Vec::new())?.write_rows(0, &constant.values)
}

/// Creates datasets that have no axes of positions, each value missing, with scales on their axes.
/// A format may say more of them.
pub(super) fn create_folded(
    file: &Group,
    group: &Group,
    columns: &[Column<'_>],
    format: Format,
) -> Result<(), Refused> {
    let mut known = Vec::new();
    for column in columns {
        let dataset = &create_without_positions(group, column, &mut known)?;
        let axes: Vec<(&Dimension, bool)> = column.axes.iter().map(|axis| (axis, false)).collect();
        // A single value is on no axis.
        if !axes.is_empty() {
            let results = NewResults { file, group, dataset, column, axes: &axes };
            format.rules().describe_results(&results)?;
        }
    }
    Ok(())
}

fn create_without_positions(
    group: &Group,
    column: &Column<'_>,
    known: &mut Vec<(Dimension, Dataset)>,
) -> Result<Dataset, Refused> {
    let created = create_column(group, column, None)?;
    let mut labels = Vec::new();
    for (number, axis) in column.axes.iter().enumerate() {
        let scale = scale(group, &[], known, axis, PLAIN)?;
        created.attach(number, &scale)?;
        labels.push(name_in_group(&scale));
    }
    // A single value has its only step on no axis.
    if !labels.is_empty() {
        scales::write_labels(&created, &labels)?;
    }
    Ok(created)
}

/// The scale of an axis, made when it is wanted first.
fn scale(
    group: &Group,
    taken: &[&str],
    known: &mut Vec<(Dimension, Dataset)>,
    axis: &Dimension,
    format: Format,
) -> Result<Dataset, Refused> {
    if let Some((_, scale)) = known.iter().find(|(known, _)| known == axis) {
        return Ok(scale.clone());
    }
    let plain: String =
        axis.name.chars().map(|letter| if letter == '/' { '_' } else { letter }).collect();
    let mut name = if plain.is_empty() || plain == "." { "axis".to_owned() } else { plain };
    while taken.contains(&name.as_str()) || group.link_exists(&name) {
        name.push('_');
    }
    let floats = Elements::Number(ElementType::Float64);
    let scale = group.create_dataset(&name, &floats, &[axis.len()], Storing::Late)?;
    scales::write_values(&scale, &axis.values)?;
    scale.make_scale(&name)?;
    let told = |text: &str| match text {
        "" => format.rules().untold().to_owned(),
        text => text.to_owned(),
    };
    attributes::write_string(&scale, "name", &axis.name)?;
    attributes::write_string(&scale, "quantity", &told(&axis.name))?;
    attributes::write_string(&scale, "units", &told(&axis.units))?;
    known.push((axis.clone(), scale.clone()));
    Ok(scale)
}

fn name_in_group(scale: &Dataset) -> String {
    scale.name().rsplit('/').next().unwrap_or_default().to_owned()
}
