//! The NSID format: an N-dimensional dataset whose axes are dimension scales that say what they
//! are.
//!
//! Reads what pyNSID and sidpy write, of all their versions. As sidpy does when it folds a dataset
//! into positions × spectrum, it takes spatial axes for positions and all others that are told for
//! the spectrum.

use super::super::described::{Axis, Described, Packing, Role, parent_and_name, text};
use crate::storage::container::{AsObject, Dataset, Group};
use crate::storage::{attributes, scales};

/// Attributes that every version of pyNSID gives a main dataset, and nobody else all of them.
const MAIN: [&str; 5] = ["quantity", "units", "data_type", "modality", "source"];

/// sidpy's numbers of the types below, for files that hold these instead of the names.
const TYPES: [(i64, &str); 7] = [
    (-1, "UNKNOWN"),
    (1, "SPATIAL"),
    (2, "RECIPROCAL"),
    (3, "SPECTRAL"),
    (4, "TEMPORAL"),
    (5, "CHANNEL"),
    (6, "POINT_CLOUD"),
];

/// Whether a dataset is an NSID main dataset.
pub(super) fn looks(dataset: &Dataset) -> bool {
    dataset.has_attribute("DIMENSION_LIST") && MAIN.iter().all(|name| dataset.has_attribute(name))
}

/// Reads what a main dataset says of itself.
///
/// # Errors
/// If an axis has a scale that can't be read.
pub(super) fn describe(file: &Group, path: &str, dataset: &Dataset) -> Result<Described, String> {
    let (parent, _) = parent_and_name(path);
    let labels = scales::labels(dataset);
    let attached = dataset.scales();
    let shape = dataset.shape();
    let each = labels.iter().zip(attached).zip(&shape).enumerate();
    let packed = Packing::of(dataset).note();
    Ok(Described {
        quantity: told(dataset, "quantity").unwrap_or_default(),
        units: told(dataset, "units").filter(|_| packed.is_none()).unwrap_or_default(),
        axes: each
            .map(|(number, ((label, attached), length))| {
                axis(number, label, scale(file, parent, label, attached), *length)
            })
            .collect::<Result<_, _>>()?,
        notes: packed.into_iter().collect(),
    })
}

/// The scale of an axis: of several attached ones the last, as sidpy takes it. Where copying a file
/// has lost the references, the dataset beside the main one that has the label's name.
fn scale(file: &Group, parent: &str, label: &str, mut attached: Vec<Dataset>) -> Option<Dataset> {
    attached.pop().or_else(|| {
        let named = file.dataset(&format!("{parent}/{label}")).ok()?;
        (!label.is_empty() && named.ndim() == 1).then_some(named)
    })
}

fn axis(number: usize, label: &str, scale: Option<Dataset>, length: usize) -> Result<Axis, String> {
    let Some(scale) = scale else {
        return Ok(Axis::without_values(number, label, length, Role::Unknown));
    };
    let path = scale.name();
    let own_name = text(&scale, &["name"]);
    let name = match &own_name {
        Some(name) => name,
        None if label.is_empty() => parent_and_name(&path).1,
        None => label,
    };
    let units = told(&scale, "units").unwrap_or_default();
    Axis::listed(number, name, &units, &scale, length, role(&scale))
}

/// A text other than the one that sidpy writes where nobody has told any.
fn told(of: &(impl AsObject + ?Sized), name: &str) -> Option<String> {
    text(of, &[name]).filter(|text| text != "generic")
}

/// The role by `dimension_type`, written as `SPATIAL`, `spatial`, `DimensionType.SPATIAL` or 1.
fn role(scale: &Dataset) -> Role {
    let named = attributes::string(scale, "dimension_type").or_else(|| {
        let number = attributes::integer(scale, "dimension_type")?;
        TYPES.iter().find(|(known, _)| *known == number).map(|(_, name)| (*name).to_owned())
    });
    let named = named.unwrap_or_default().to_ascii_uppercase();
    match named.rsplit('.').next().unwrap_or_default() {
        "SPATIAL" | "POINT_CLOUD" => Role::Position,
        "SPECTRAL" | "RECIPROCAL" | "TEMPORAL" | "CHANNEL" | "FRAME" | "TIME" | "STACK" => {
            Role::Spectrum
        }
        _ => Role::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::described::counted;
    use crate::formats::described::samples::{self, Sample, write_texts, zeros};
    use crate::storage::file::{ReadFile, open_read};

    fn main_dataset(sample: &Sample, shape: &[usize]) -> Dataset {
        let data = zeros(&sample.file, "data", shape);
        let texts = MAIN.map(|name| (name, if name == "units" { "nA" } else { "Current" }));
        write_texts(&data, &texts);
        data
    }

    fn attach(data: &Dataset, number: usize, scale: &Dataset) {
        scale.make_scale("scale").unwrap();
        data.attach(number, scale).unwrap();
    }

    #[test]
    fn scales_tell_names_units_values_and_roles() {
        let sample = Sample::new();
        let data = main_dataset(&sample, &[2, 2, 3, 2]);
        let kinds = ["SPATIAL", "DimensionType.SPATIAL", "spectral"];
        for (number, kind) in kinds.into_iter().enumerate() {
            let values = counted(data.shape()[number]);
            let texts = [("name", kind), ("units", "m"), ("dimension_type", kind)];
            let scale =
                samples::axis(&sample.file, &format!("a{number}"), &values.as_slice(), &texts);
            attach(&data, number, &scale);
        }
        let scale = samples::axis(&sample.file, "time", &[0.5, 1.5], &[]);
        attributes::write_integer(&scale, "dimension_type", 4).unwrap();
        attach(&data, 3, &scale);
        assert!(looks(&data));
        let described = describe(&sample.file, "/data", &data).unwrap();
        assert_eq!((described.quantity.as_str(), described.units.as_str()), ("Current", "nA"));
        let expected = [
            Axis::new(0, kinds[0], "m", counted(2), Role::Position),
            Axis::new(1, kinds[1], "m", counted(2), Role::Position),
            Axis::new(2, kinds[2], "m", counted(3), Role::Spectrum),
            Axis::new(3, "time", "", vec![0.5, 1.5], Role::Spectrum),
        ];
        assert_eq!(described.axes, expected);
    }

    #[test]
    fn an_axis_without_a_scale_or_a_type_is_counted_and_unknown() {
        let sample = Sample::new();
        let data = main_dataset(&sample, &[2, 3]);
        attach(&data, 1, &samples::axis(&sample.file, "x", &[1.0, 2.0, 3.0], &[]));
        scales::write_labels(&data, &["", "X"]).unwrap();
        let expected = [
            Axis::without_values(0, "", 2, Role::Unknown),
            Axis::new(1, "X", "", vec![1.0, 2.0, 3.0], Role::Unknown),
        ];
        assert_eq!(describe(&sample.file, "/data", &data).unwrap().axes, expected);
    }

    #[test]
    fn what_sidpy_calls_generic_is_nothing_told() {
        let sample = Sample::new();
        let data = zeros(&sample.file, "data", &[2]);
        write_texts(&data, &MAIN.map(|name| (name, "generic")));
        let texts = [("quantity", "generic"), ("units", "generic")];
        attach(&data, 0, &samples::axis(&sample.file, "x", &[1.0, 2.0], &texts));
        let described = describe(&sample.file, "/data", &data).unwrap();
        assert!(described.quantity.is_empty() && described.units.is_empty());
        assert!(described.axes[0].dimension.units.is_empty());
    }

    #[test]
    fn a_scale_that_is_only_named_by_its_label_is_found() {
        let sample = Sample::new();
        let data = main_dataset(&sample, &[2]);
        scales::write_labels(&data, &["x"]).unwrap();
        let texts = [("units", "nm"), ("dimension_type", "spatial")];
        samples::axis(&sample.file, "x", &[1.0, 2.0], &texts);
        let expected = [Axis::new(0, "x", "nm", vec![1.0, 2.0], Role::Position)];
        assert_eq!(describe(&sample.file, "/data", &data).unwrap().axes, expected);
    }

    #[test]
    fn a_shorter_scale_is_left_out() {
        let sample = Sample::new();
        let data = main_dataset(&sample, &[2]);
        attach(&data, 0, &samples::axis(&sample.file, "x", &[1.0], &[]));
        let axis = &describe(&sample.file, "/data", &data).unwrap().axes[0];
        let told = "its `/x` has 1 value for an axis of 2; its steps are counted instead";
        assert_eq!((axis.note.as_deref(), &axis.dimension.values), (Some(told), &counted(2)));
    }

    /// A measured file, where the folder of these is beside the project's.
    fn real_file(name: &str) -> Option<ReadFile> {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let file = root.join("../shared/data").join(name);
        file.exists().then(|| open_read(&file).unwrap())
    }

    #[test]
    fn measured_files_of_two_versions_are_understood() {
        for (name, path, quantity, expected) in [
            (
                "bfo_iv_final.hf5",
                "/Measurement_000/Channel_000/IV_BFO/IV_BFO",
                ("log J", "$A/m^2$"),
                [("x", "m", 50), ("y", "m", 50), ("$\\sqrt E$", "$(V/m)^{0.5}$", 53)],
            ),
            (
                "pyNSID_EELS_SI_6x52x1024.hf5",
                "/Measurement_000/Channel_000/05_EELS Spectrum Image_3layers (dark ref corrected)",
                ("intensity", "counts"),
                [("x", "nm", 6), ("y", "nm", 52), ("energy_scale", "eV", 1024)],
            ),
        ] {
            let Some(file) = real_file(name) else { continue };
            let data = file.dataset(path).unwrap();
            assert!(looks(&data), "{name}");
            let described = describe(&file, path, &data).unwrap();
            assert_eq!((described.quantity.as_str(), described.units.as_str()), quantity);
            let found = described.axes.iter().map(|axis| {
                let dimension = &axis.dimension;
                (dimension.name.as_str(), dimension.units.as_str(), dimension.len())
            });
            assert_eq!(found.collect::<Vec<_>>(), expected, "{name}");
            let roles = described.axes.iter().map(|axis| axis.role);
            let expected = [Role::Position, Role::Position, Role::Spectrum];
            assert_eq!(roles.collect::<Vec<_>>(), expected, "{name}");
            let energies = &described.axes[2].dimension.values;
            assert!(energies.as_slice().windows(2).all(|pair| pair[0] != pair[1]), "{name}");
        }
    }

    #[test]
    fn a_plain_dataset_with_scales_is_not_nsid() {
        let sample = Sample::new();
        let data = zeros(&sample.file, "data", &[2]);
        assert!(!looks(&data));
        attach(&data, 0, &samples::axis(&sample.file, "x", &counted(2).as_slice(), &[]));
        assert!(!looks(&data));
    }
}
