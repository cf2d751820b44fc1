//! What an N-dimensional format says of a dataset: what is measured, and what each axis is.
//!
//! `nsid`, `hspy`, `emd`, `nexus` and `plain` each read one format into this one form. How the axes
//! become positions × spectrum isn't decided here: a file that doesn't say leaves it to whoever
//! asks.

use std::cmp::Ordering;

use crate::storage::attributes;
use crate::storage::container::{AsObject, Class, Dataset};
use pixelmill_core::axis_values::AxisValues;
use pixelmill_core::dimension::Dimension;

/// What a file says of an N-dimensional dataset.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Described {
    /// What is measured; empty if the file doesn't say.
    pub quantity: String,
    /// In which units; empty if the file doesn't say.
    pub units: String,
    /// One per axis of the dataset, in the file's order.
    pub axes: Vec<Axis>,
    /// What isn't taken as the file has it, in words for people; axes have notes of their own.
    pub notes: Vec<String>,
}

/// One axis of a dataset.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Axis {
    /// With exactly as many values as the dataset is long along it.
    pub dimension: Dimension,
    pub role: Role,
    /// Why its values aren't those that the file has.
    pub note: Option<String>,
    /// Whether its values only count its steps, since the file has none that can be taken.
    pub is_counted: bool,
}

/// Whether an axis numbers positions or the points of a spectrum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    Position,
    Spectrum,
    /// The file doesn't say.
    Unknown,
}

impl Axis {
    /// An axis without a name is called by its number.
    pub fn new(
        number: usize,
        name: &str,
        units: &str,
        values: impl Into<AxisValues>,
        role: Role,
    ) -> Self {
        let name = if name.is_empty() { format!("axis {number}") } else { name.to_owned() };
        let dimension = Dimension::new(name, units, values);
        Self { dimension, role, note: None, is_counted: false }
    }

    /// An axis that is `length` long and that the file has no values for: its steps are counted.
    pub fn without_values(number: usize, name: &str, length: usize, role: Role) -> Self {
        let axis = Self::new(number, name, "", AxisValues::counted(length), role);
        Self { is_counted: true, ..axis }
    }

    /// An axis with even steps, as `what` tells them. Where these are no numbers they are counted.
    pub fn stepped(
        number: usize,
        name: &str,
        units: &str,
        (what, first, step): (&str, f64, f64),
        length: usize,
        role: Role,
    ) -> Self {
        match steps(first, step, length) {
            Ok(values) => Self::new(number, name, units, values, role),
            Err(why) => Self::counted(number, name, length, role, format!("its `{what}` {why}")),
        }
    }

    /// An axis that is `length` long, with the values that `list` has. Where those can't be taken,
    /// its steps are counted, which the units of the file don't fit, and a note says why.
    ///
    /// # Errors
    /// If the list can't be read.
    pub fn listed(
        number: usize,
        name: &str,
        units: &str,
        list: &Dataset,
        length: usize,
        role: Role,
    ) -> Result<Self, String> {
        let what = list.name();
        let found = if list.size() > length && list.ndim() != 1 {
            // A list along several axes isn't one's of which there is less.
            None
        } else {
            numbers(list, length)?
        };
        Ok(match found {
            Some(values) => {
                Self::fitted(number, name, units, values, (&what, list.size()), length, role)
            }
            None => {
                Self::counted(number, name, length, role, format!("its `{what}` {}", held(list)))
            }
        })
    }

    /// An axis that is `length` long, from values of which the file tells `found`: of more the
    /// first are taken, even steps go on, and of a list with fewer the steps are counted.
    pub fn fitted(
        number: usize,
        name: &str,
        units: &str,
        values: AxisValues,
        (what, found): (&str, usize),
        length: usize,
        role: Role,
    ) -> Self {
        let known = wrong_length(what, found, length);
        let Some(fitted) = values.of_length(length) else {
            return Self::counted(number, name, length, role, known);
        };
        let note = match found.cmp(&length) {
            Ordering::Equal => None,
            Ordering::Greater => Some(format!("{known}; the first {length} are taken")),
            Ordering::Less => Some(format!("{known}; they go on in even steps")),
        };
        Self { note, ..Self::new(number, name, units, fitted, role) }
    }

    /// An axis whose steps are counted, since the file's values can't be taken.
    pub fn counted(number: usize, name: &str, length: usize, role: Role, why: String) -> Self {
        let note = Some(format!("{why}; its steps are counted instead"));
        Self { note, ..Self::without_values(number, name, length, role) }
    }
}

/// What a list of values is that no values can be taken from.
fn held(list: &Dataset) -> &'static str {
    match list.class() {
        Class::FixedText | Class::VariableText => "holds text",
        Class::Float | Class::Integer { .. } => "has values along several axes",
        _ => "holds no real numbers",
    }
}

/// 0, 1, 2 …: the values of an axis that has none of its own.
pub(crate) fn counted(length: usize) -> AxisValues {
    AxisValues::counted(length)
}

/// The values of an axis with even steps.
///
/// # Errors
/// If they are no numbers, as what follows the name of what tells them.
pub(crate) fn steps(first: f64, step: f64, length: usize) -> Result<AxisValues, String> {
    let values = AxisValues::even(first, step, length);
    let is_finite = step.is_finite()
        && [values.first(), values.last()].iter().flatten().all(|value| value.is_finite());
    is_finite
        .then_some(values)
        .ok_or_else(|| format!("begins at {first} and steps by {step}, which makes no numbers"))
}

/// The values of an axis that a dataset holds, `most` of them if it is a list; `Ok(None)` if it
/// holds no real numbers. What is packed as netCDF does it is unpacked.
///
/// # Errors
/// If they can't be read.
pub(crate) fn numbers(dataset: &Dataset, most: usize) -> Result<Option<AxisValues>, String> {
    if !matches!(dataset.class(), Class::Float | Class::Integer { .. }) {
        return Ok(None);
    }
    let mut part = dataset.whole();
    if dataset.ndim() == 1 && dataset.size() > most {
        part.set_range(0, &(0..most as u64));
    }
    let values = dataset
        .numbers(&part)
        .map_err(|_| format!("its `{}` can't be read as numbers", dataset.name()))?;
    let packing = Packing::of(dataset);
    Ok(Some(values.into_iter().map(|value| packing.unpacked(value)).collect()))
}

/// How netCDF's conventions (CF) say that stored numbers stand for others.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Packing {
    scale: Option<f64>,
    offset: Option<f64>,
    /// Values that stand for nothing.
    nothing: Vec<(&'static str, f64)>,
}

impl Packing {
    /// What a dataset says of its numbers.
    pub fn of(dataset: &Dataset) -> Self {
        let number = |name| attributes::number(dataset, name);
        let nothing = ["_FillValue", "missing_value"];
        let known = nothing.into_iter().filter_map(|name| Some((name, number(name)?)));
        // What isn't a number leaves none.
        let told = |name| dataset.has_attribute(name).then(|| number(name).unwrap_or(f64::NAN));
        Self {
            scale: told("scale_factor").filter(|scale| *scale != 1.0),
            offset: told("add_offset").filter(|offset| *offset != 0.0),
            // That nothing is NaN says nothing that numbers don't.
            nothing: known.filter(|(_, value)| !value.is_nan()).collect(),
        }
    }

    /// The number that a stored one stands for.
    fn unpacked(&self, value: f64) -> f64 {
        if self.nothing.iter().any(|(_, nothing)| *nothing == value) {
            return f64::NAN;
        }
        if self.scale.is_none() && self.offset.is_none() {
            return value;
        }
        value * self.scale.unwrap_or(1.0) + self.offset.unwrap_or(0.0)
    }

    /// Why the numbers as they are stored haven't the units that the file tells; none if they have.
    pub fn note(&self) -> Option<String> {
        let pairs = [("scale_factor", self.scale), ("add_offset", self.offset)];
        let told = pairs.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let told: Vec<String> = told
            .chain(self.nothing.clone())
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        (!told.is_empty()).then(|| {
            format!(
                "its numbers are packed ({}); they are taken as they are stored, without units",
                told.join(", ")
            )
        })
    }
}

pub(crate) fn wrong_length(name: &str, found: usize, length: usize) -> String {
    let plural = if found == 1 { "value" } else { "values" };
    format!("its `{name}` has {found} {plural} for an axis of {length}")
}

/// The first of these attributes that holds a text other than the empty one.
pub(crate) fn text(of: &(impl AsObject + ?Sized), names: &[&str]) -> Option<String> {
    names.iter().filter_map(|name| attributes::string(of, name)).find(|text| !text.is_empty())
}

/// A path cut before its last name: `/a/b/c` is `/a/b` and `c`.
pub(crate) fn parent_and_name(path: &str) -> (&str, &str) {
    let path = path.trim_end_matches('/');
    match path.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some((parent, name)) => (parent, name),
        None => ("/", path),
    }
}

/// `Intensity (Counts)` is a quantity and its units.
pub(crate) fn quantity_and_units(text: &str) -> (String, String) {
    let text = text.trim();
    let split = text.strip_suffix(')').and_then(|rest| rest.rsplit_once(" ("));
    let (quantity, units) = split.unwrap_or((text, ""));
    (quantity.trim().to_owned(), units.trim().to_owned())
}

#[cfg(test)]
pub(crate) mod samples {
    use crate::storage::attributes;
    use crate::storage::container::{AsObject, Dataset, Elements, Group, Storing};
    use crate::storage::memory::Memory;
    use pixelmill_core::element::ElementType;

    /// A container for one test.
    pub(crate) struct Sample {
        pub file: Group,
        pub memory: Memory,
    }

    impl Sample {
        pub fn new() -> Self {
            let memory = Memory::new();
            Self { file: memory.root().clone(), memory }
        }
    }

    /// A dataset of numbers.
    pub(crate) fn dataset(
        group: &Group,
        name: &str,
        element: ElementType,
        shape: &[usize],
    ) -> Dataset {
        let elements = Elements::Number(element);
        group.create_dataset(name, &elements, shape, Storing::Late).unwrap()
    }

    /// A dataset of zeros.
    pub(crate) fn zeros(group: &Group, name: &str, shape: &[usize]) -> Dataset {
        dataset(group, name, ElementType::Float32, shape)
    }

    /// A dataset of one axis' values, with attributes.
    pub(crate) fn axis(
        group: &Group,
        name: &str,
        values: &[f64],
        texts: &[(&str, &str)],
    ) -> Dataset {
        let axis = dataset(group, name, ElementType::Float64, &[values.len()]);
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
        axis.write_rows(0, &bytes).unwrap();
        write_texts(&axis, texts);
        axis
    }

    pub(crate) fn write_texts(of: &impl AsObject, texts: &[(&str, &str)]) {
        for (name, text) in texts {
            attributes::write_string(of, name, text).unwrap();
        }
    }

    pub(crate) fn write_number(of: &impl AsObject, name: &str, number: f64) {
        attributes::write_number(of, name, number).unwrap();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_with_units_is_split_and_one_without_is_not() {
        for (text, quantity, units) in [
            ("Intensity (Counts)", "Intensity", "Counts"),
            ("Intensity", "Intensity", ""),
            ("Current density (A/m^2)", "Current density", "A/m^2"),
            ("f(x)", "f(x)", ""),
            ("", "", ""),
        ] {
            assert_eq!(quantity_and_units(text), (quantity.into(), units.into()), "{text}");
        }
    }

    #[test]
    fn a_path_is_cut_before_its_last_name() {
        for (path, parent, name) in
            [("/a/b/c", "/a/b", "c"), ("/a", "/", "a"), ("/a/b/", "/a", "b"), ("a", "/", "a")]
        {
            assert_eq!(parent_and_name(path), (parent, name), "{path}");
        }
    }
}
