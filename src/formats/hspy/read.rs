//! HyperSpy's format `.hspy`: a group with `data`, a group `axis-N` per axis of it, and metadata.
//!
//! Reads files of all versions of the format, as HyperSpy's own reader does. Ragged datasets, which
//! have another length at every position, are refused.

use super::super::described::{
    Axis, Described, Role, counted, numbers, parent_and_name, quantity_and_units, steps,
};
use super::super::expression::{Formula, Names};
use crate::storage::attributes;
use crate::storage::container::{Dataset, Group};
use pixelmill_core::axis_values::AxisValues;

/// What HyperSpy writes where there is nothing.
const NOTHING: [&str; 4] = ["_None_", "None", "<undefined>", "undefined"];

/// Whether a dataset is the data of a signal.
pub(super) fn looks(file: &Group, path: &str, dataset: &Dataset) -> bool {
    let (parent, name) = parent_and_name(path);
    name == "data"
        && dataset.ndim() > 0
        && file.group(parent).is_ok_and(|signal| {
            axis_group(&signal, 0, dataset.ndim()).is_some() && metadata(&signal).is_some()
        })
}

/// Reads what a signal says of its data.
///
/// # Errors
/// If it is ragged, or an axis is missing or can't be evaluated.
pub(super) fn describe(file: &Group, path: &str, dataset: &Dataset) -> Result<Described, String> {
    let (parent, _) = parent_and_name(path);
    let signal = file.group(parent).map_err(|_| format!("there is no group `{parent}`"))?;
    if signal.link_exists("ragged_shapes") || signal.link_exists("_ragged_shapes_data") {
        return Err("it is ragged: it has another length at every position".to_owned());
    }
    let shape = dataset.shape();
    let mut axes = shape
        .iter()
        .enumerate()
        .map(|(number, length)| {
            let group = axis_group(&signal, number, shape.len())
                .ok_or_else(|| format!("its group `{parent}` has no `axis-{number}`"))?;
            axis(&group, number, *length)
        })
        .collect::<Result<Vec<_>, String>>()?;
    if axes.iter().all(|axis| axis.role == Role::Unknown) {
        assign_roles(&mut axes, &signal);
    }
    // Before HyperSpy 1.7 it was said of the signal, which means all axes of a spectrum.
    if let Some(binned) = truth_of_signal(&signal, "binned") {
        let spectrum = axes.iter_mut().filter(|axis| axis.role == Role::Spectrum);
        spectrum.for_each(|axis| axis.dimension.binned = binned);
    }
    let (quantity, units) = quantity_and_units(&of_signal(&signal, "quantity").unwrap_or_default());
    Ok(Described { quantity, units, axes, notes: Vec::new() })
}

/// The group of an axis: `axis-N`, or in the oldest files the N-th of a list.
fn axis_group(signal: &Group, number: usize, axes: usize) -> Option<Group> {
    if let Ok(group) = signal.group(&format!("axis-{number}")) {
        return Some(group);
    }
    let list = signal.group(&format!("_list_{axes}_axes")).ok()?;
    let mut names = list.member_names().ok()?;
    names.sort();
    list.group(names.get(number)?).ok()
}

fn metadata(signal: &Group) -> Option<Group> {
    signal.group("metadata").or_else(|_| signal.group("mapped_parameters")).ok()
}

/// Whether a signal lies in another one's metadata, as the variance of its noise does.
pub(super) fn is_metadata(path: &str) -> bool {
    let inner = |name| ["metadata", "original_metadata", "mapped_parameters"].contains(&name);
    path.split('/').any(inner)
}

fn axis(group: &Group, number: usize, length: usize) -> Result<Axis, String> {
    let name = text(group, "name").unwrap_or_default();
    let role = match attributes::truth(group, "navigate") {
        Some(true) => Role::Position,
        Some(false) => Role::Spectrum,
        None => Role::Unknown,
    };
    let units = text(group, "units").unwrap_or_default();
    let what = group.name();
    let mut axis = match group.dataset("axis") {
        Ok(list) => Axis::listed(number, &name, &units, &list, length, role)?,
        Err(_) => match values(group, length, MOST_DEPTH) {
            Ok(values) => {
                let size =
                    attributes::integer(group, "size").and_then(|size| usize::try_from(size).ok());
                // A list has as many values as it has.
                let size = size.filter(|_| values.as_even().is_some()).unwrap_or(values.len());
                Axis::fitted(number, &name, &units, values, (&what, size), length, role)
            }
            Err(Valueless::Refused(why)) => return Err(why),
            Err(Valueless::Steps(why)) => {
                Axis::counted(number, &name, length, role, format!("its `{what}` {why}"))
            }
        },
    };
    axis.dimension.binned = attributes::truth(group, "is_binned").unwrap_or(false);
    Ok(axis)
}

/// Axes by an expression of another axis, one within the other.
const MOST_DEPTH: usize = 4;

/// As much of a formula as a line of a message has room for.
fn cited(expression: &str) -> String {
    const LETTERS: usize = 80;
    match expression.char_indices().nth(LETTERS) {
        Some((end, _)) => format!("{}…", &expression[..end]),
        None => expression.to_owned(),
    }
}

/// Why an axis has no values.
enum Valueless {
    /// Nothing is to be made of it.
    Refused(String),
    /// What its steps are isn't numbers, as what follows its name.
    Steps(String),
}

/// The values that the group of an axis tells. Even steps are as many as the data are long.
fn values(group: &Group, length: usize, depth: usize) -> Result<AxisValues, Valueless> {
    let refused = |why: String| Err(Valueless::Refused(why));
    if let Some(expression) = attributes::string(group, "expression") {
        return evaluated(group, &expression, length, depth).or_else(|reason| {
            let (what, expression) = (group.name(), cited(&expression));
            refused(format!(
                "its `{what}` is given by `{expression}`, which can't be evaluated: {reason}"
            ))
        });
    }
    if let Ok(list) = group.dataset("axis") {
        return match numbers(&list, length) {
            Ok(Some(values)) => Ok(values),
            Ok(None) => refused(format!("its `{}` holds no numbers", list.name())),
            Err(why) => refused(why),
        };
    }
    if group.link_exists("axis") {
        return refused(format!("its `{}/axis` can't be read", group.name()));
    }
    // A short list of numbers may be an attribute.
    if group.has_attribute("axis") {
        let list = attributes::numbers(group, "axis");
        let none = || Valueless::Steps("has an `axis` that is no list of numbers".to_owned());
        return list.map(Into::into).ok_or_else(none);
    }
    let number = |name: &str, otherwise: f64| match group.has_attribute(name) {
        true => attributes::number(group, name).unwrap_or(f64::NAN),
        false => otherwise,
    };
    steps(number("offset", 0.0), number("scale", 1.0), length).map_err(Valueless::Steps)
}

/// The values of an expression, at each value of the axis `x` that is in the group, or of a count.
/// Its other names are attributes. What isn't finite is NaN, as in HyperSpy.
fn evaluated(
    group: &Group,
    expression: &str,
    length: usize,
    depth: usize,
) -> Result<AxisValues, String> {
    let depth = depth.checked_sub(1).ok_or("it is an expression of an expression of another")?;
    let formula = Formula::new(expression)?;
    let x = match group.group("x") {
        Ok(inner) => values(&inner, length, depth).map_err(|valueless| match valueless {
            Valueless::Refused(why) => why,
            Valueless::Steps(why) => format!("its `x` {why}"),
        })?,
        Err(_) if group.link_exists("x") => return Err("its `x` can't be read".to_owned()),
        Err(_) => counted(length),
    };
    let names = group.attribute_names().into_iter();
    let mut names: Names =
        names.filter_map(|name| Some((name.clone(), finite(group, &name)?))).collect();
    let value = |x: f64| {
        names.insert("x".to_owned(), x);
        formula.value(&names).map(|value| if value.is_finite() { value } else { f64::NAN })
    };
    x.iter().map(value).collect::<Result<AxisValues, String>>()
}

fn finite(group: &Group, name: &str) -> Option<f64> {
    attributes::number(group, name).filter(|number| number.is_finite())
}

/// The roles in old files, whose axes don't say: the signal is the last axis or the last two.
fn assign_roles(axes: &mut [Axis], signal: &Group) {
    let dimensions = match of_signal(signal, "record_by").as_deref() {
        Some("spectrum") => 1,
        Some("image") => 2,
        _ => return,
    };
    let positions = axes.len().saturating_sub(dimensions);
    for (number, axis) in axes.iter_mut().enumerate() {
        axis.role = if number < positions { Role::Position } else { Role::Spectrum };
    }
}

/// An entry of the metadata about the signal, which the oldest files have at the top.
fn of_signal(signal: &Group, name: &str) -> Option<String> {
    let metadata = metadata(signal)?;
    let inner = metadata.group("Signal").ok();
    inner.and_then(|inner| text(&inner, name)).or_else(|| text(&metadata, name))
}

/// A truth value of the metadata about the signal.
fn truth_of_signal(signal: &Group, name: &str) -> Option<bool> {
    let metadata = metadata(signal)?;
    let inner = metadata.group("Signal").ok();
    let own = inner.and_then(|inner| attributes::truth(&inner, name));
    own.or_else(|| attributes::truth(&metadata, name))
}

/// A text that isn't one of those for nothing. Python's way to write bytes as a text is undone.
fn text(group: &Group, name: &str) -> Option<String> {
    let text = attributes::string(group, name)?;
    let bytes = text.strip_prefix("b'").and_then(|rest| rest.strip_suffix('\''));
    let text = bytes.unwrap_or(&text).trim();
    (!text.is_empty() && !NOTHING.contains(&text)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::described::samples::{self, Sample, write_number, write_texts, zeros};
    use crate::storage::container::{Attribute, Content};

    /// A signal with one group per axis, which `navigate` if told so.
    fn signal(sample: &Sample, shape: &[usize], navigate: &[Option<bool>]) -> (Group, Dataset) {
        let group = sample.file.create_group("Experiments/title").unwrap();
        group.create_group("metadata/Signal").unwrap();
        for (number, length) in shape.iter().enumerate() {
            let axis = group.create_group(&format!("axis-{number}")).unwrap();
            write_texts(&axis, &[("name", ["y", "x", "E"][number]), ("units", "nm")]);
            write_number(&axis, "offset", 10.0);
            write_number(&axis, "scale", 0.5);
            attributes::write_integer(&axis, "size", *length as i64).unwrap();
            if let Some(navigate) = navigate[number] {
                attributes::write_truth(&axis, "navigate", navigate).unwrap();
            }
        }
        let data = zeros(&group, "data", shape);
        (group, data)
    }

    const PATH: &str = "/Experiments/title/data";

    #[test]
    fn axes_tell_names_units_values_and_roles() {
        let sample = Sample::new();
        let navigate = [Some(true), Some(true), Some(false)];
        let (group, data) = signal(&sample, &[2, 3, 4], &navigate);
        let inner = group.group("metadata/Signal").unwrap();
        write_texts(&inner, &[("quantity", "Intensity (Counts)")]);
        assert!(looks(&sample.file, PATH, &data));
        assert!(!looks(&sample.file, "/other/data", &data));
        let described = describe(&sample.file, PATH, &data).unwrap();
        assert_eq!(
            (described.quantity.as_str(), described.units.as_str()),
            ("Intensity", "Counts")
        );
        let expected = [
            Axis::new(0, "y", "nm", vec![10.0, 10.5], Role::Position),
            Axis::new(1, "x", "nm", vec![10.0, 10.5, 11.0], Role::Position),
            Axis::new(2, "E", "nm", vec![10.0, 10.5, 11.0, 11.5], Role::Spectrum),
        ];
        assert_eq!(described.axes, expected);
    }

    #[test]
    fn where_axes_do_not_tell_the_metadata_may() {
        use Role::{Position, Spectrum, Unknown};
        for (record_by, expected) in [
            ("spectrum", [Position, Position, Spectrum]),
            ("image", [Position, Spectrum, Spectrum]),
            ("", [Unknown; 3]),
        ] {
            let sample = Sample::new();
            let (group, data) = signal(&sample, &[2, 3, 4], &[None; 3]);
            write_texts(&group.group("metadata/Signal").unwrap(), &[("record_by", record_by)]);
            let axes = describe(&sample.file, PATH, &data).unwrap().axes;
            let roles: Vec<_> = axes.iter().map(|axis| axis.role).collect();
            assert_eq!(roles, expected, "{record_by}");
        }
    }

    #[test]
    fn nothing_is_no_name() {
        let sample = Sample::new();
        let (group, data) = signal(&sample, &[2, 3], &[Some(true), Some(false)]);
        for (number, nothing) in ["_None_", "b'<undefined>'"].into_iter().enumerate() {
            let axis = group.group(&format!("axis-{number}")).unwrap();
            ["name", "units"].iter().for_each(|name| axis.remove_attribute(name).unwrap());
            write_texts(&axis, &[("name", nothing), ("units", nothing)]);
        }
        let described = describe(&sample.file, PATH, &data).unwrap();
        let names = described.axes.iter().map(|axis| axis.dimension.name.as_str());
        assert_eq!(names.collect::<Vec<_>>(), ["axis 0", "axis 1"]);
        assert!(described.axes.iter().all(|axis| axis.dimension.units.is_empty()));
        assert!(described.quantity.is_empty() && described.units.is_empty());
    }

    #[test]
    fn listed_values_are_taken_and_those_of_an_expression_evaluated() {
        let sample = Sample::new();
        let (group, data) = signal(&sample, &[2, 3], &[Some(true), Some(false)]);
        samples::axis(&group.group("axis-0").unwrap(), "axis", &[1.0, 4.0], &[]);
        let axis = group.group("axis-1").unwrap();
        write_texts(&axis, &[("expression", "a / x + b")]);
        for (name, number) in [("a", 10.0), ("b", 0.5)] {
            write_number(&axis, name, number);
        }
        let x = axis.create_group("x").unwrap();
        for (name, number) in [("offset", 0.0), ("scale", 2.0)] {
            write_number(&x, name, number);
        }
        let axes = describe(&sample.file, PATH, &data).unwrap().axes;
        assert_eq!(axes[0], Axis::new(0, "y", "nm", vec![1.0, 4.0], Role::Position));
        let values = axes[1].dimension.values.to_vec();
        assert!(values[0].is_nan(), "a pole has no value");
        assert_eq!((values[1], values[2]), (5.5, 3.0));
        assert_eq!((axes[1].dimension.units.as_str(), &axes[1].note), ("nm", &None));
        axis.remove_attribute("b").unwrap();
        let told = describe(&sample.file, PATH, &data).unwrap_err();
        assert!(told.contains("`a / x + b`, which can't be evaluated") && told.contains("`b`"));
    }

    #[test]
    fn binned_axes_are_told_by_themselves_or_by_old_metadata() {
        let binned = |sample: &Sample, data: &Dataset| {
            let axes = describe(&sample.file, PATH, data).unwrap().axes;
            axes.iter().map(|axis| axis.dimension.binned).collect::<Vec<_>>()
        };
        let truth = |group: &Group, name: &str| {
            attributes::write_truth(group, name, true).unwrap();
        };
        let sample = Sample::new();
        let (group, data) = signal(&sample, &[2, 3], &[Some(true), Some(false)]);
        assert_eq!(binned(&sample, &data), [false, false]);
        truth(&group.group("axis-1").unwrap(), "is_binned");
        assert_eq!(binned(&sample, &data), [false, true]);
        for (folder, record_by) in [("metadata/Signal", ""), ("metadata", "spectrum")] {
            let sample = Sample::new();
            let roles = if record_by.is_empty() { [Some(true), Some(false)] } else { [None; 2] };
            let (group, data) = signal(&sample, &[2, 3], &roles);
            let metadata = group.group(folder).unwrap();
            truth(&metadata, "binned");
            write_texts(&metadata, &[("record_by", record_by)]);
            assert_eq!(binned(&sample, &data), [false, true], "{folder}");
        }
    }

    #[test]
    fn what_is_broken_is_refused_by_name() {
        let sample = Sample::new();
        let (group, data) = signal(&sample, &[2, 3], &[None, None]);
        let axis = group.group("axis-1").unwrap();
        attributes::put_integer(&axis, "size", 4).unwrap();
        let told = describe(&sample.file, PATH, &data).unwrap().axes[1].note.clone();
        let expected =
            "its `/Experiments/title/axis-1` has 4 values for an axis of 3; the first 3 are taken";
        assert_eq!(told.as_deref(), Some(expected));
        group.unlink("axis-1").unwrap();
        let told = describe(&sample.file, PATH, &data).unwrap_err();
        assert_eq!(told, "its group `/Experiments/title` has no `axis-1`");
        group.create_group("_ragged_shapes_data").unwrap();
        assert!(describe(&sample.file, PATH, &data).unwrap_err().contains("ragged"));
    }

    #[test]
    fn steps_that_are_no_numbers_are_counted_with_a_note() {
        for (name, number) in
            [("offset", f64::NAN), ("scale", f64::NAN), ("scale", f64::INFINITY), ("scale", 1e308)]
        {
            let sample = Sample::new();
            let (group, data) = signal(&sample, &[2, 3], &[Some(true), Some(false)]);
            let inner = group.group("axis-1").unwrap();
            inner.remove_attribute(name).unwrap();
            write_number(&inner, name, number);
            let axis = &describe(&sample.file, PATH, &data).unwrap().axes[1];
            assert!(axis.is_counted, "{name} {number}");
            assert_eq!((axis.dimension.units.as_str(), axis.role), ("", Role::Spectrum));
            let told = axis.note.clone().unwrap();
            let begins = "its `/Experiments/title/axis-1` begins at ";
            let ends = "makes no numbers; its steps are counted instead";
            assert!(told.starts_with(begins) && told.ends_with(ends), "{told}");
        }
        let sample = Sample::new();
        let (group, data) = signal(&sample, &[2, 3], &[Some(true), Some(false)]);
        let inner = group.group("axis-1").unwrap();
        inner.remove_attribute("offset").unwrap();
        write_texts(&inner, &[("offset", "ten")]);
        assert!(describe(&sample.file, PATH, &data).unwrap().axes[1].is_counted);
        write_texts(&inner, &[("expression", "2 * x")]);
        let x = inner.create_group("x").unwrap();
        write_number(&x, "scale", f64::NAN);
        let told = describe(&sample.file, PATH, &data).unwrap_err();
        assert!(told.ends_with("its `x` begins at 0 and steps by NaN, which makes no numbers"));
    }

    #[test]
    fn a_list_that_is_an_attribute_keeps_what_is_no_number() {
        let sample = Sample::new();
        let (group, data) = signal(&sample, &[2, 3], &[Some(true), Some(false)]);
        let inner = group.group("axis-1").unwrap();
        let list = vec![1.0, f64::NAN, 4.0];
        inner.create_attribute("axis", &Attribute::list(Content::Numbers(list))).unwrap();
        let values = describe(&sample.file, PATH, &data).unwrap().axes[1].dimension.values.to_vec();
        assert!(values[0] == 1.0 && values[1].is_nan() && values[2] == 4.0, "{values:?}");
        inner.remove_attribute("axis").unwrap();
        write_texts(&inner, &[("axis", "1, 2, 4")]);
        let note = describe(&sample.file, PATH, &data).unwrap().axes[1].note.clone();
        let told = "its `/Experiments/title/axis-1` has an `axis` that is no list of numbers; its \
                    steps are counted instead";
        assert_eq!(note.as_deref(), Some(told));
    }

    #[test]
    fn a_list_that_cannot_be_opened_is_not_counted() {
        let sample = Sample::new();
        let (group, data) = signal(&sample, &[2, 3], &[Some(true), Some(false)]);
        samples::axis(&group.group("axis-1").unwrap(), "axis", &[1.0, 4.0, 9.0], &[]);
        sample.memory.fail("open /Experiments/title/axis-1/axis");
        let told = describe(&sample.file, PATH, &data).unwrap_err();
        assert_eq!(told, "its `/Experiments/title/axis-1/axis` can't be read");
    }

    #[test]
    fn the_oldest_files_list_their_axes() {
        let sample = Sample::new();
        let group = sample.file.create_group("Experiments/title").unwrap();
        write_texts(
            &group.create_group("mapped_parameters").unwrap(),
            &[("record_by", "spectrum")],
        );
        for number in 0..2 {
            let axis = group.create_group(&format!("_list_2_axes/_{number}")).unwrap();
            write_texts(&axis, &[("name", ["x", "E"][number])]);
        }
        let data = zeros(&group, "data", &[2, 3]);
        assert!(looks(&sample.file, PATH, &data));
        let expected = [
            Axis::new(0, "x", "", counted(2), Role::Position),
            Axis::new(1, "E", "", counted(3), Role::Spectrum),
        ];
        assert_eq!(describe(&sample.file, PATH, &data).unwrap().axes, expected);
    }
    #[test]
    fn an_axis_that_cannot_be_read_has_no_role_and_a_missing_one_is_named() {
        let sample = Sample::new();
        let (_, data) = signal(&sample, &[2, 3], &[Some(true), Some(false)]);
        sample.memory.fail("attribute navigate of /Experiments/title/axis-1");
        let axes = describe(&sample.file, PATH, &data).unwrap().axes;
        assert_eq!((axes[0].role, axes[1].role), (Role::Position, Role::Unknown));
        sample.memory.fail("open /Experiments/title/axis-1");
        let told = describe(&sample.file, PATH, &data).unwrap_err();
        assert_eq!(told, "its group `/Experiments/title` has no `axis-1`");
    }
}
