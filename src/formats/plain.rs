//! Any dataset of numbers, which says nothing of itself but what HDF5's own conventions hold.
//!
//! Axes take their names, units and values from labels and dimension scales, as h5py, h5netcdf and
//! xarray attach them. What an axis is for, no convention says.

use super::described::{Axis, Described, Packing, Role, parent_and_name, text};
use super::format::{Format, Rules};
use crate::storage::container::{Dataset, Group};
use crate::storage::{attributes, scales};

/// How netCDF names the scale of a dimension that has a length and no values.
const WITHOUT_VALUES: &str = "This is a netCDF dimension but not a netCDF variable";

/// An array, with or without dimension scales.
pub(crate) const PLAIN: Format = Format::of(&Plain);

struct Plain;

impl Rules for Plain {
    fn name(&self) -> &'static str {
        "plain HDF5"
    }

    fn looks(&self, _file: &Group, _path: &str, _dataset: &Dataset) -> bool {
        true
    }

    fn describe(&self, _file: &Group, path: &str, dataset: &Dataset) -> Result<Described, String> {
        describe(path, dataset)
    }
}

/// Reads what there is; all roles are unknown.
///
/// # Errors
/// If a scale can't be read.
pub(super) fn describe(path: &str, dataset: &Dataset) -> Result<Described, String> {
    let (_, name) = parent_and_name(path);
    let quantity = text(dataset, &["quantity", "long_name", "standard_name"]);
    let packed = Packing::of(dataset).note();
    let units = text(dataset, &["units"]).filter(|_| packed.is_none());
    Ok(Described {
        quantity: quantity.unwrap_or_else(|| name.to_owned()),
        units: units.unwrap_or_default(),
        axes: axes(dataset)?,
        notes: packed.into_iter().collect(),
    })
}

/// The axes of a dataset by its labels and scales.
fn axes(dataset: &Dataset) -> Result<Vec<Axis>, String> {
    let labels = scales::labels(dataset);
    let scales = dataset.scales();
    let shape = dataset.shape();
    let each = labels.iter().zip(&scales).zip(&shape).enumerate();
    each.map(|(number, ((label, scales), length))| axis(number, label, scales, *length)).collect()
}

fn axis(number: usize, label: &str, scales: &[Dataset], length: usize) -> Result<Axis, String> {
    // Scales of more dimensions than one are coordinates of places, not of steps along the axis.
    let Some(scale) = scales.iter().find(|scale| scale.ndim() == 1) else {
        let axis = Axis::without_values(number, label, length, Role::Unknown);
        let several = scales.first().filter(|scale| scale.ndim() > 1);
        let note = several.map(|scale| {
            let name = scale.name();
            format!("its `{name}` has values along several axes; steps are counted instead")
        });
        return Ok(Axis { note, ..axis });
    };
    let path = scale.name();
    let name = if label.is_empty() { parent_and_name(&path).1 } else { label };
    let units = text(scale, &["units"]).unwrap_or_default();
    let without_values =
        attributes::string(scale, "NAME").is_some_and(|name| name.starts_with(WITHOUT_VALUES));
    if without_values {
        return Ok(Axis::without_values(number, name, length, Role::Unknown));
    }
    Axis::listed(number, name, &units, scale, length, Role::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::described::samples::{Sample, axis, write_number, write_texts, zeros};
    use crate::storage::container::{Elements, Storing};

    #[test]
    fn a_bare_dataset_has_numbered_axes() {
        let sample = Sample::new();
        let data = zeros(&sample.file, "data", &[2, 3]);
        let described = describe("/data", &data).unwrap();
        assert_eq!((described.quantity.as_str(), described.units.as_str()), ("data", ""));
        let axes = [2, 3].into_iter().enumerate();
        let axes: Vec<_> = axes
            .map(|(number, length)| Axis::without_values(number, "", length, Role::Unknown))
            .collect();
        assert_eq!(described.axes, axes);
        assert_eq!(axes[1].dimension.name, "axis 1");
    }

    #[test]
    fn scales_and_labels_name_axes_and_give_their_values() {
        let sample = Sample::new();
        let data = zeros(&sample.file, "data", &[2, 3, 4, 5]);
        write_texts(&data, &[("long_name", "Intensity"), ("units", "counts")]);
        scales::write_labels(&data, &["slow", "", "", ""]).unwrap();
        let y = axis(&sample.file, "y", &[1.5, 2.5], &[("units", "um")]);
        let x = axis(&sample.file, "x", &[3.0, 4.0, 5.0], &[]);
        let energy = axis(&sample.file, "energy", &[0.0; 4], &[]);
        let places = zeros(&sample.file, "places", &[5, 5]);
        let name = format!("{WITHOUT_VALUES}         4");
        for (number, (scale, name)) in
            [(&y, "y"), (&x, "x"), (&energy, name.as_str()), (&places, "p")].iter().enumerate()
        {
            scale.make_scale(name).unwrap();
            data.attach(number, scale).unwrap();
        }
        let described = describe("/data", &data).unwrap();
        assert_eq!(
            (described.quantity.as_str(), described.units.as_str()),
            ("Intensity", "counts")
        );
        let note = "its `/places` has values along several axes; steps are counted instead";
        let expected = [
            Axis::new(0, "slow", "um", vec![1.5, 2.5], Role::Unknown),
            Axis::new(1, "x", "", vec![3.0, 4.0, 5.0], Role::Unknown),
            Axis::without_values(2, "energy", 4, Role::Unknown),
            Axis { note: Some(note.to_owned()), ..Axis::without_values(3, "", 5, Role::Unknown) },
        ];
        assert_eq!(described.axes, expected);
    }

    #[test]
    fn of_a_longer_scale_the_first_values_are_taken_and_a_shorter_one_is_left_out() {
        for (values, told, first) in [
            (&[1.0, 3.0, 9.0][..], "the first 2 are taken", Some(1.0)),
            (&[7.0], "steps are counted instead", Some(0.0)),
        ] {
            let sample = Sample::new();
            let data = zeros(&sample.file, "data", &[2]);
            let scale = axis(&sample.file, "time", values, &[("units", "s")]);
            data.attach(0, &scale).unwrap();
            let axes = describe("/data", &data).unwrap().axes;
            let note = axes[0].note.as_deref().unwrap();
            assert!(note.starts_with("its `/time` has ") && note.ends_with(told), "{note}");
            let dimension = &axes[0].dimension;
            assert_eq!((dimension.len(), dimension.values.first()), (2, first));
            assert_eq!(dimension.units, if values.len() > 2 { "s" } else { "" });
        }
    }

    #[test]
    fn packed_numbers_have_no_units_and_packed_axes_are_unpacked() {
        let sample = Sample::new();
        let data = zeros(&sample.file, "data", &[3]);
        write_texts(&data, &[("units", "K")]);
        write_number(&data, "scale_factor", 1.0);
        write_number(&data, "_FillValue", f64::NAN);
        assert_eq!(describe("/data", &data).unwrap().units, "K");
        write_number(&data, "add_offset", 273.15);
        let scale = axis(&sample.file, "time", &[1.0, -1.0, 3.0], &[("units", "s")]);
        write_number(&scale, "scale_factor", 0.5);
        write_number(&scale, "missing_value", -1.0);
        data.attach(0, &scale).unwrap();
        let described = describe("/data", &data).unwrap();
        assert_eq!(described.units, "");
        assert!(described.notes[0].contains("add_offset 273.15"), "{:?}", described.notes);
        let values = described.axes[0].dimension.values.to_vec();
        assert!(values[0] == 0.5 && values[1].is_nan() && values[2] == 1.5, "{values:?}");
    }

    #[test]
    fn an_axis_of_names_is_counted_and_says_so() {
        let sample = Sample::new();
        let data = zeros(&sample.file, "data", &[2]);
        let text = Elements::Text(4);
        let scale = sample.file.create_dataset("element", &text, &[2], Storing::Late).unwrap();
        write_texts(&scale, &[("units", "none")]);
        data.attach(0, &scale).unwrap();
        let axes = describe("/data", &data).unwrap().axes;
        let told = "its `/element` holds text; its steps are counted instead";
        assert_eq!(axes[0].note.as_deref(), Some(told));
        assert_eq!(axes[0].dimension.units, "");
    }
    #[test]
    fn a_scale_that_is_packed_by_what_is_no_number_has_no_numbers() {
        for packing in ["scale_factor", "add_offset"] {
            let sample = Sample::new();
            let data = zeros(&sample.file, "data", &[2]);
            let scale = axis(&sample.file, "x", &[1.0, 2.0], &[]);
            write_number(&scale, packing, f64::NAN);
            scale.make_scale("x").unwrap();
            data.attach(0, &scale).unwrap();
            let values = describe("/data", &data).unwrap().axes[0].dimension.values.to_vec();
            assert!(values.iter().all(|value| value.is_nan()), "{packing}: {values:?}");
        }
    }

    #[test]
    fn a_scale_that_cannot_be_read_is_named_and_not_counted() {
        let sample = Sample::new();
        let data = zeros(&sample.file, "data", &[2]);
        let scale = axis(&sample.file, "x", &[1.0, 2.0], &[]);
        data.attach(0, &scale).unwrap();
        sample.memory.fail("read /x");
        let told = describe("/data", &data).unwrap_err();
        assert_eq!(told, "its `/x` can't be read as numbers");
    }
}
