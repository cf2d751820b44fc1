//! NeXus: a group of class `NXdata` whose attributes name its signal and the signal's axes.
//!
//! Reads today's form (attributes of the group) and the older ones (attributes of the signal, or of
//! each axis). Only the signal's `interpretation` says which axes are a spectrum.

use super::described::{Axis, Described, Packing, Role, numbers, parent_and_name, text};
use super::format::Rules;
use crate::storage::attributes;
use crate::storage::container::{AsObject, Dataset, Group};
use pixelmill_core::axis_values::AxisValues;

/// An NXdata group of NeXus.
pub(super) struct Nexus;

impl Rules for Nexus {
    fn name(&self) -> &'static str {
        "NeXus"
    }

    fn looks(&self, file: &Group, path: &str, dataset: &Dataset) -> bool {
        looks(file, path, dataset)
    }

    fn describe(&self, file: &Group, path: &str, dataset: &Dataset) -> Result<Described, String> {
        describe(file, path, dataset)
    }

    fn signals(&self, group: &Group) -> Vec<String> {
        signals(group)
    }
}

/// Whether a dataset is the signal, or one of the signals, of its group.
fn looks(file: &Group, path: &str, dataset: &Dataset) -> bool {
    let (parent, name) = parent_and_name(path);
    dataset.ndim() > 0
        && file.group(parent).is_ok_and(|group| is_data(&group) && is_signal(&group, name, dataset))
}

/// The names of all signals in a group of class `NXdata`; none in any other.
fn signals(group: &Group) -> Vec<String> {
    if !is_data(group) {
        return Vec::new();
    }
    let names = group.member_names().unwrap_or_default();
    let signal =
        |name: &String| group.dataset(name).is_ok_and(|found| is_signal(group, name, &found));
    names.into_iter().filter(signal).collect()
}

fn is_data(group: &Group) -> bool {
    attributes::string(group, "NX_class").is_some_and(|class| class == "NXdata")
}

fn is_signal(group: &Group, name: &str, dataset: &Dataset) -> bool {
    let named = |attribute: &str| {
        attributes::strings(group, attribute)
            .is_some_and(|names| names.iter().any(|signal| signal == name))
    };
    named("signal")
        || named("auxiliary_signals")
        || attributes::number(dataset, "signal").is_some_and(|number| number >= 1.0)
}

/// Reads what a group says of its signal.
///
/// # Errors
/// If an axis can't be read.
fn describe(file: &Group, path: &str, dataset: &Dataset) -> Result<Described, String> {
    let (parent, name) = parent_and_name(path);
    let group = file.group(parent).map_err(|_| format!("there is no group `{parent}`"))?;
    let shape = dataset.shape();
    let names = axis_names(&group, dataset, shape.len());
    let roles = roles(&group, dataset, shape.len());
    let axes = (0..shape.len())
        .map(|number| axis(&group, number, &names[number], shape[number], roles[number]))
        .collect::<Result<_, _>>()?;
    let packed = Packing::of(dataset).note().or_else(|| scaling(&group));
    let units = text(dataset, &["units"]).filter(|_| packed.is_none());
    Ok(Described {
        quantity: text(dataset, &["long_name"]).unwrap_or_else(|| name.to_owned()),
        units: units.unwrap_or_default(),
        axes,
        notes: packed.into_iter().collect(),
    })
}

/// Why the stored numbers haven't the units that the file tells: NeXus' own way to pack them.
fn scaling(group: &Group) -> Option<String> {
    let number = |name: &str| {
        let dataset = group.dataset(name).ok()?;
        dataset.numbers(&dataset.whole()).ok()?.first().copied()
    };
    let (factor, offset) = (number("scaling_factor"), number("offset"));
    let packed = factor.is_some_and(|factor| factor != 1.0) || offset.is_some_and(|at| at != 0.0);
    packed.then(|| {
        let told = [("scaling_factor", factor), ("offset", offset)];
        let told = told.into_iter().filter_map(|(name, value)| Some(format!("{name} {}", value?)));
        format!(
            "its numbers are packed ({}); they are taken as they are stored, without units",
            told.collect::<Vec<_>>().join(", ")
        )
    })
}

/// The name of each axis; empty for one that has none.
fn axis_names(group: &Group, signal: &Dataset, axes: usize) -> Vec<String> {
    let list = name_list(group, "axes").or_else(|| name_list(signal, "axes"));
    let mut names = match list {
        Some(list) => placed(group, list, axes),
        None => numbered(group, axes),
    };
    names.resize(axes, String::new());
    names.iter_mut().filter(|name| *name == ".").for_each(String::clear);
    names
}

/// A list of names: as such, or the older `y:x`, `y,x` and `[y,x]` in one text.
fn name_list(of: &(impl AsObject + ?Sized), name: &str) -> Option<Vec<String>> {
    let list = attributes::strings(of, name)?;
    let [text] = list.as_slice() else {
        return Some(list);
    };
    let names = text.trim_matches(['[', ']']).split([':', ',']);
    Some(names.map(|name| name.trim().to_owned()).collect())
}

/// Names at the axes that `<name>_indices` gives them, those without in the order of the list.
fn placed(group: &Group, list: Vec<String>, axes: usize) -> Vec<String> {
    if list.len() == axes {
        return list;
    }
    let mut names = vec![String::new(); axes];
    let mut rest = Vec::new();
    for name in list {
        let index = attributes::integer(group, &format!("{name}_indices"));
        let index = index.and_then(|index| usize::try_from(index).ok());
        match index.and_then(|index| names.get_mut(index)) {
            Some(place) if place.is_empty() => *place = name,
            _ => rest.push(name),
        }
    }
    let empty = names.iter_mut().filter(|name| name.is_empty());
    empty.zip(rest).for_each(|(place, name)| *place = name);
    names
}

/// The oldest form: each axis says by an attribute of its own which it is, counted from 1.
fn numbered(group: &Group, axes: usize) -> Vec<String> {
    let mut names = vec![String::new(); axes];
    for name in group.member_names().unwrap_or_default() {
        let number = group.dataset(&name).ok().and_then(|axis| attributes::integer(&axis, "axis"));
        let place = number.and_then(|number| usize::try_from(number).ok()?.checked_sub(1));
        if let Some(place) = place.and_then(|place| names.get_mut(place))
            && place.is_empty()
        {
            *place = name;
        }
    }
    names
}

fn axis(
    group: &Group,
    number: usize,
    name: &str,
    length: usize,
    role: Role,
) -> Result<Axis, String> {
    let Ok(list) = group.dataset(name) else {
        let axis = Axis::without_values(number, name, length, role);
        let note = format!("there is no list of values `{name}`; its steps are counted instead");
        return Ok(Axis { note: (!name.is_empty()).then_some(note), ..axis });
    };
    let units = text(&list, &["units"]).unwrap_or_default();
    // The middles between the edges of its steps, one more than those.
    if list.size() == length + 1
        && let Some(edges) = numbers(&list, length + 1)?
    {
        let edges = edges.as_slice();
        let middles = edges.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0);
        return Ok(Axis::new(number, name, &units, middles.collect::<AxisValues>(), role));
    }
    Axis::listed(number, name, &units, &list, length, role)
}

/// The last axes are the spectrum, as many as the `interpretation` says.
fn roles(group: &Group, signal: &Dataset, axes: usize) -> Vec<Role> {
    let interpretation = attributes::string(signal, "interpretation")
        .or_else(|| attributes::string(group, "interpretation"));
    let spectrum = match interpretation.as_deref() {
        Some("scalar" | "scaler") => 0,
        Some("spectrum") => 1,
        Some("image") => 2,
        Some("rgb-image" | "rgba-image" | "hsl-image" | "hsla-image" | "cmyk-image") => 3,
        _ => return vec![Role::Unknown; axes],
    };
    let positions = axes.saturating_sub(spectrum);
    let role = |axis| if axis < positions { Role::Position } else { Role::Spectrum };
    (0..axes).map(role).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::described::samples::{self, Sample, write_texts, zeros};

    const PATH: &str = "/entry/data/counts";

    fn data_group(sample: &Sample, shape: &[usize]) -> (Group, Dataset) {
        let group = sample.file.create_group("entry/data").unwrap();
        write_texts(&group, &[("NX_class", "NXdata")]);
        let data = zeros(&group, "counts", shape);
        (group, data)
    }

    fn names(sample: &Sample, data: &Dataset) -> Vec<String> {
        let described = describe(&sample.file, PATH, data).unwrap();
        described.axes.into_iter().map(|axis| axis.dimension.name).collect()
    }

    #[test]
    fn the_group_names_signal_and_axes() {
        let sample = Sample::new();
        let (group, data) = data_group(&sample, &[2, 3, 4]);
        assert!(!looks(&sample.file, PATH, &data));
        write_texts(&group, &[("signal", "counts")]);
        assert!(looks(&sample.file, PATH, &data));
        attributes::write_strings(&group, "axes", &["y", ".", "energy"]).unwrap();
        write_texts(&data, &[("interpretation", "spectrum"), ("units", "cps")]);
        samples::axis(&group, "y", &[0.0, 2.0, 4.0], &[("units", "mm")]);
        samples::axis(&group, "energy", &[1.0, 2.0, 4.0, 8.0], &[("units", "keV")]);
        let described = describe(&sample.file, PATH, &data).unwrap();
        assert_eq!((described.quantity.as_str(), described.units.as_str()), ("counts", "cps"));
        let expected = [
            // The middles of edges.
            Axis::new(0, "y", "mm", vec![1.0, 3.0], Role::Position),
            Axis::without_values(1, "", 3, Role::Position),
            Axis::new(2, "energy", "keV", vec![1.0, 2.0, 4.0, 8.0], Role::Spectrum),
        ];
        assert_eq!(described.axes, expected);
    }

    #[test]
    fn an_index_below_zero_is_that_of_no_axis() {
        let sample = Sample::new();
        let (group, data) = data_group(&sample, &[2, 3, 4]);
        write_texts(&group, &[("signal", "counts")]);
        attributes::write_strings(&group, "axes", &["energy", "y"]).unwrap();
        attributes::write_integer(&group, "energy_indices", -1).unwrap();
        attributes::write_integer(&group, "y_indices", 0).unwrap();
        samples::axis(&group, "y", &[0.0, 2.0], &[]);
        samples::axis(&group, "energy", &[1.0, 2.0, 4.0], &[]);
        assert_eq!(names(&sample, &data), ["y", "energy", "axis 2"]);
    }

    #[test]
    fn older_forms_name_axes_too() {
        for list in ["y:x", "y,x", "[y,x]", "[ y : x ]"] {
            let sample = Sample::new();
            let (_, data) = data_group(&sample, &[2, 3]);
            attributes::write_integer(&data, "signal", 1).unwrap();
            assert!(looks(&sample.file, PATH, &data), "{list}");
            write_texts(&data, &[("axes", list)]);
            assert_eq!(names(&sample, &data), ["y", "x"], "{list}");
        }
        let sample = Sample::new();
        let (group, data) = data_group(&sample, &[2, 3]);
        write_texts(&data, &[("signal", "1")]);
        assert!(looks(&sample.file, PATH, &data));
        for (name, number) in [("slow", "1"), ("fast", "2")] {
            write_texts(
                &zeros(&group, name, &[number.parse::<usize>().unwrap() + 1]),
                &[("axis", number)],
            );
        }
        assert_eq!(names(&sample, &data), ["slow", "fast"]);
    }

    #[test]
    fn indices_place_the_axes_of_a_short_list() {
        let sample = Sample::new();
        let (group, data) = data_group(&sample, &[2, 3, 4]);
        attributes::write_strings(&group, "axes", &["energy", "y"]).unwrap();
        attributes::write_integer(&group, "energy_indices", 2).unwrap();
        assert_eq!(names(&sample, &data), ["y", "axis 1", "energy"]);
    }

    #[test]
    fn interpretations_tell_roles() {
        use Role::{Position, Spectrum, Unknown};
        for (interpretation, expected) in [
            ("scalar", [Position, Position, Position]),
            ("spectrum", [Position, Position, Spectrum]),
            ("image", [Position, Spectrum, Spectrum]),
            ("rgba-image", [Spectrum, Spectrum, Spectrum]),
            ("vertex", [Unknown; 3]),
            ("", [Unknown; 3]),
        ] {
            let sample = Sample::new();
            let (_, data) = data_group(&sample, &[2, 3, 4]);
            write_texts(&data, &[("interpretation", interpretation)]);
            let axes = describe(&sample.file, PATH, &data).unwrap().axes;
            let roles: Vec<_> = axes.iter().map(|axis| axis.role).collect();
            assert_eq!(roles, expected, "{interpretation}");
        }
    }

    #[test]
    fn of_a_longer_axis_the_first_values_are_taken() {
        let sample = Sample::new();
        let (group, data) = data_group(&sample, &[2, 3]);
        attributes::write_strings(&group, "axes", &["x", "gone"]).unwrap();
        samples::axis(&group, "x", &[3.0, 5.0, 7.0, 9.0, 11.0], &[("units", "mm")]);
        let axes = describe(&sample.file, PATH, &data).unwrap().axes;
        assert_eq!(
            axes[0].dimension,
            Axis::new(0, "x", "mm", vec![3.0, 5.0], Role::Unknown).dimension
        );
        let told = "its `/entry/data/x` has 5 values for an axis of 2; the first 2 are taken";
        assert_eq!(axes[0].note.as_deref(), Some(told));
        let told = "there is no list of values `gone`; its steps are counted instead";
        assert_eq!(axes[1].note.as_deref(), Some(told));
    }

    #[test]
    fn packed_signals_have_no_units() {
        let sample = Sample::new();
        let (group, data) = data_group(&sample, &[2]);
        write_texts(&data, &[("units", "cps")]);
        assert_eq!(describe(&sample.file, PATH, &data).unwrap().units, "cps");
        samples::axis(&group, "scaling_factor", &[0.25], &[]);
        let described = describe(&sample.file, PATH, &data).unwrap();
        assert_eq!(described.units, "");
        assert!(described.notes[0].contains("scaling_factor 0.25"), "{:?}", described.notes);
    }

    #[test]
    fn axes_and_signals_may_be_links() {
        let sample = Sample::new();
        let group = sample.file.create_group("entry/data").unwrap();
        write_texts(&group, &[("NX_class", "NXdata"), ("signal", "counts")]);
        attributes::write_strings(&group, "axes", &["x"]).unwrap();
        let instrument = sample.file.create_group("entry/instrument").unwrap();
        zeros(&instrument, "counts", &[2]);
        samples::axis(&instrument, "x", &[3.0, 5.0], &[]);
        for name in ["counts", "x"] {
            let target = format!("/entry/instrument/{name}");
            sample.memory.link_soft(&target, &format!("/entry/data/{name}"));
        }
        let data = sample.file.dataset(PATH).unwrap();
        assert!(looks(&sample.file, PATH, &data));
        let axes = describe(&sample.file, PATH, &data).unwrap().axes;
        assert_eq!(axes, [Axis::new(0, "x", "", vec![3.0, 5.0], Role::Unknown)]);
    }
}
