//! What an N-dimensional format says of a dataset: what is measured, and what each axis is.
//!
//! `nsid`, `hspy`, `emd`, `nexus` and `plain` each read one format into this one form. How the axes
//! become positions × spectrum isn't decided here: a file that doesn't say leaves it to whoever asks.

use hdf5::{Dataset, Location};

use crate::process::{AxisValues, Dimension};
use crate::storage::datatype::{Class, class};
use crate::storage::{attributes, text};

/// What a file says of an N-dimensional dataset.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Described {
    /// What is measured; empty if the file doesn't say.
    pub quantity: String,
    /// In which units; empty if the file doesn't say.
    pub units: String,
    /// One per axis of the dataset, in the file's order.
    pub axes: Vec<Axis>,
}

/// One axis of a dataset.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Axis {
    /// With exactly as many values as the dataset is long along it.
    pub dimension: Dimension,
    pub role: Role,
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
        Self { dimension: Dimension::new(name, units, values), role }
    }
}

/// 0, 1, 2 …: the values of an axis that has none of its own.
pub(crate) fn counted(length: usize) -> AxisValues {
    AxisValues::counted(length)
}

/// The values of an axis with even steps.
pub(crate) fn even(first: f64, step: f64, length: usize) -> AxisValues {
    AxisValues::even(first, step, length)
}

/// The values of an axis that a dataset holds, in however many dimensions; `Ok(None)` if it holds no
/// real numbers.
///
/// # Errors
/// If they can't be read.
pub(crate) fn numbers(dataset: &Dataset) -> Result<Option<Vec<f64>>, String> {
    match dataset.dtype().map(|datatype| class(&datatype)) {
        Ok(Class::Float | Class::Integer { .. }) => match dataset.read_raw::<f64>() {
            Ok(values) => Ok(Some(values)),
            Err(_) => Err(format!("its `{}` can't be read as numbers", text::name(dataset))),
        },
        _ => Ok(None),
    }
}

/// The values of an axis that is `length` long, from the dataset that lists them.
///
/// # Errors
/// If it has another length, or can't be read.
pub(crate) fn listed(dataset: &Dataset, length: usize) -> Result<AxisValues, String> {
    let found = dataset.size();
    if found != length {
        return Err(wrong_length(&text::name(dataset), found, length));
    }
    Ok(numbers(dataset)?.map_or_else(|| counted(length), AxisValues::from))
}

pub(crate) fn wrong_length(name: &str, found: usize, length: usize) -> String {
    let plural = if found == 1 { "value" } else { "values" };
    format!("its `{name}` has {found} {plural} for an axis of {length}")
}

/// The first of these attributes that holds a text other than the empty one.
pub(crate) fn text(location: &Location, names: &[&str]) -> Option<String> {
    names.iter().filter_map(|name| attributes::string(location, name)).find(|text| !text.is_empty())
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
pub(super) mod samples {
    use hdf5::{Dataset, File, Group};
    use tempfile::TempDir;

    /// A file for one test, gone with its folder.
    pub(crate) struct Sample {
        pub file: File,
        _folder: TempDir,
    }

    impl Sample {
        pub fn new() -> Self {
            let folder = TempDir::new().unwrap();
            let file = File::create(folder.path().join("sample.h5")).unwrap();
            Self { file, _folder: folder }
        }
    }

    /// A dataset of zeros.
    pub(crate) fn zeros(group: &Group, name: &str, shape: &[usize]) -> Dataset {
        group.new_dataset::<f32>().shape(shape).create(name).unwrap()
    }

    /// A dataset of one axis' values, with attributes.
    pub(crate) fn axis(
        group: &Group,
        name: &str,
        values: &[f64],
        texts: &[(&str, &str)],
    ) -> Dataset {
        let dataset =
            group.new_dataset::<f64>().shape(values.len()).create(name).expect("no such dataset");
        dataset.write_raw(values).unwrap();
        write_texts(&dataset, texts);
        dataset
    }

    pub(crate) fn write_texts(location: &hdf5::Location, texts: &[(&str, &str)]) {
        for (name, text) in texts {
            crate::storage::attributes::write_string(location, name, text).unwrap();
        }
    }

    pub(crate) fn write_number(location: &hdf5::Location, name: &str, number: f64) {
        location.new_attr::<f64>().create(name).unwrap().write_scalar(&number).unwrap();
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
