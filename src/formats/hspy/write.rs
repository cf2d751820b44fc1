//! Results as HyperSpy loads them.

use super::super::format::NewResults;
use crate::storage::container::{Dataset, Elements, Group, Storing, is_same};
use crate::storage::refused::Refused;
use crate::storage::results_group::{CHUNK_BYTES, Column};
use crate::storage::{attributes, scales};
use pixelmill_core::axis_values::AxisValues;
use pixelmill_core::dimension::Dimension;
use pixelmill_core::element::ElementType;

/// An experiment of HyperSpy whose `data` are the results dataset itself, by a second name.
pub(super) fn create_experiment(results: &NewResults<'_>) -> Result<(), Refused> {
    let &NewResults { file, group, column, axes, .. } = results;
    if !file.has_attribute("file_format") {
        attributes::write_string(file, "file_format", "HyperSpy")?;
        attributes::write_string(file, "file_format_version", "3.3")?;
    }
    let experiments = match file.group("Experiments") {
        Ok(group) => group,
        Err(_) => file.create_group("Experiments")?,
    };
    let own = group.name();
    let title = title(group, &column.layout.name);
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

/// What the experiment of a results dataset is called.
fn title(group: &Group, dataset: &str) -> String {
    format!("{} {dataset}", group.name().trim_start_matches('/').replace('/', "_"))
}

/// Path of the experiment that was made of a results dataset, if it is there.
pub(super) fn experiment(file: &Group, group: &Group, dataset: &str) -> Option<String> {
    let path = format!("/Experiments/{}", title(group, dataset));
    let data = file.dataset(&format!("{path}/data")).ok()?;
    is_same(&data, &group.dataset(dataset).ok()?).then_some(path)
}

/// Whole steps of the first axis, so many that they make a chunk of a good size.
pub(super) fn chunk(column: &Column<'_>) -> Vec<usize> {
    let mut chunk = column.shape.clone();
    let step = chunk.iter().skip(1).product::<usize>() * column.layout.value_bytes();
    if let Some(first) = chunk.first_mut() {
        *first = (CHUNK_BYTES / step.max(1)).clamp(1, *first);
    }
    chunk
}

/// The experiments whose data are this dataset, and what they call it.
pub(super) fn second_names(file: &Group, dataset: &Dataset) -> Vec<(Group, String)> {
    let Ok(experiments) = file.group("Experiments") else { return Vec::new() };
    let names = experiments.member_names().unwrap_or_default().into_iter();
    let all = names.filter_map(|name| experiments.group(&name).ok());
    let is_of_dataset =
        |experiment: &Group| experiment.dataset("data").is_ok_and(|data| is_same(&data, dataset));
    all.filter(is_of_dataset).map(|experiment| (experiment, "data".to_owned())).collect()
}

/// An axis as HyperSpy keeps it: by offset and scale where its steps are even, else value by value.
fn describe_axis(group: &Group, axis: &Dimension, is_position: bool) -> Result<(), Refused> {
    attributes::write_string(group, "name", &axis.name)?;
    attributes::write_string(group, "units", &axis.units)?;
    attributes::write_integer(group, "size", axis.len() as i64)?;
    for (name, truth) in [("navigate", is_position), ("is_binned", axis.binned)] {
        attributes::write_truth(group, name, truth)?;
    }
    let number = |name: &str, value: f64| attributes::write_number(group, name, value);
    match even_step(&axis.values) {
        Some(step) => {
            attributes::write_string(group, "_type", "UniformDataAxis")?;
            number("offset", axis.values.first().unwrap_or(0.0))?;
            number("scale", step)
        }
        None => {
            attributes::write_string(group, "_type", "DataAxis")?;
            let floats = Elements::Number(ElementType::Float64);
            let values = group.create_dataset("axis", &floats, &[axis.len()], Storing::Late)?;
            scales::write_values(&values, &axis.values)
        }
    }
}

/// The step of values that are evenly spaced, to a millionth of it.
fn even_step(values: &AxisValues) -> Option<f64> {
    let (Some(first), Some(last), 2..) = (values.first(), values.last(), values.len()) else {
        // One that is no number is read as it is from a list.
        return values.iter().all(f64::is_finite).then_some(1.0);
    };
    let step = (last - first) / (values.len() - 1) as f64;
    let even = values
        .iter()
        .enumerate()
        .all(|(at, value)| (value - (first + step * at as f64)).abs() <= 1e-6 * step.abs());
    (even && step != 0.0).then_some(step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::memory::Memory;

    #[test]
    fn links_that_lead_nowhere_hide_no_second_name() {
        let memory = Memory::new();
        let root = memory.root();
        let floats = Elements::Number(ElementType::Float32);
        let results = root.create_dataset("results", &floats, &[2], Storing::Late).unwrap();
        for name in ["a", "c", "d"] {
            root.create_group(&format!("Experiments/{name}")).unwrap();
        }
        memory.link_soft("/nowhere", "/Experiments/b");
        for name in ["c", "d"] {
            let experiment = root.group(&format!("Experiments/{name}")).unwrap();
            experiment.link_hard("/results", "data").unwrap();
        }
        memory.fail("open /Experiments/a");
        let found = second_names(root, &results);
        let found: Vec<_> = found.iter().map(|(group, name)| (group.name(), name)).collect();
        let data = "data".to_owned();
        assert_eq!(
            found,
            [("/Experiments/c".to_owned(), &data), ("/Experiments/d".to_owned(), &data)]
        );
    }

    #[test]
    fn even_steps_are_told_from_others() {
        assert_eq!(even_step(&vec![1.0, 1.5, 2.0].into()), Some(0.5));
        assert_eq!(even_step(&vec![7.0].into()), Some(1.0));
        assert_eq!(even_step(&vec![f64::NAN].into()), None);
        assert_eq!(even_step(&vec![1.0, f64::NAN, 3.0].into()), None);
        assert_eq!(even_step(&vec![1.0, 2.0, 4.0].into()), None);
        assert_eq!(even_step(&vec![1.0, 1.0, 1.0].into()), None);
    }
}
