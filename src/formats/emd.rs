//! EMD files, of which there are three kinds: NCEM's (also written by the older py4DSTEM), those of
//! EMD 1.0 (emdfile, py4DSTEM) and those of the program Velox.
//!
//! Only py4DSTEM's names and classes, and Velox's fixed layout, say which axes are positions.

use serde_json::Value;

use super::described::{Axis, Described, Role, numbers, parent_and_name, text};
use super::format::Rules;
use crate::storage::attributes;
use crate::storage::container::{Dataset, Group};

/// What NCEM's files and those of the older py4DSTEM and of Prismatic call the data of a group.
const DATA: [&str; 5] = ["data", "counted_datacube", "datacube", "diffractionslice", "realslice"];

/// Who wrote a dataset, by the group it is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Axes `dim1`, `dim2` …
    Ncem,
    /// Axes `dim0`, `dim1` …
    Emd1,
    /// Images, rows × columns × frames.
    Velox,
}

/// Electron Microscopy Dataset: of NCEM, of py4DSTEM, or of Velox.
pub(super) struct Emd;

impl Rules for Emd {
    fn name(&self) -> &'static str {
        "EMD"
    }

    fn looks(&self, file: &Group, path: &str, dataset: &Dataset) -> bool {
        looks(file, path, dataset)
    }

    fn describe(&self, file: &Group, path: &str, dataset: &Dataset) -> Result<Described, String> {
        describe(file, path, dataset)
    }
}

/// Whether a dataset is the data of an EMD group.
fn looks(file: &Group, path: &str, dataset: &Dataset) -> bool {
    kind(file, path, dataset).is_some()
}

fn kind(file: &Group, path: &str, dataset: &Dataset) -> Option<Kind> {
    let (parent, name) = parent_and_name(path);
    let group = file.group(parent).ok()?;
    if dataset.ndim() == 3 && is_velox(&group, parent, name) {
        return Some(Kind::Velox);
    }
    if !DATA.contains(&name) || dataset.ndim() == 0 {
        return None;
    }
    match attributes::string(&group, "emd_group_type") {
        Some(kind) => (kind == "array" && name == "data").then_some(Kind::Emd1),
        None => (attributes::integer(&group, "emd_group_type") == Some(1)).then_some(Kind::Ncem),
    }
}

fn is_velox(group: &Group, parent: &str, name: &str) -> bool {
    name == "Data" && parent.starts_with("/Data/Image/") && group.link_exists("Metadata")
}

/// Reads what a group says of its data.
///
/// # Errors
/// If an axis or Velox's metadata can't be read.
fn describe(file: &Group, path: &str, dataset: &Dataset) -> Result<Described, String> {
    let kind = kind(file, path, dataset).ok_or("it isn't in a group of an EMD file")?;
    let (parent, _) = parent_and_name(path);
    let group = file.group(parent).map_err(|_| format!("there is no group `{parent}`"))?;
    let shape = dataset.shape();
    let axes = match kind {
        Kind::Velox => velox_axes(&group, &shape)?,
        Kind::Ncem => dims(&group, &shape, 1)?,
        Kind::Emd1 => dims(&group, &shape, 0)?,
    };
    let mut described = Described {
        quantity: text(dataset, &["quantity", "long_name", "name"]).unwrap_or_default(),
        units: plain_units(&text(dataset, &["units"]).unwrap_or_default()),
        axes,
        notes: Vec::new(),
    };
    if kind != Kind::Velox {
        assign_roles(&mut described.axes, is_data_cube(&group, parent));
    }
    Ok(described)
}

/// Axes from the datasets `dim<first>` and on.
fn dims(group: &Group, shape: &[usize], first: usize) -> Result<Vec<Axis>, String> {
    shape.iter().enumerate().map(|(number, length)| dim(group, number, first, *length)).collect()
}

fn dim(group: &Group, number: usize, first: usize, length: usize) -> Result<Axis, String> {
    let Ok(list) = group.dataset(&format!("dim{}", number + first)) else {
        return Ok(Axis::without_values(number, "", length, Role::Unknown));
    };
    let name = text(&list, &["name"]).unwrap_or_default();
    let units = plain_units(&text(&list, &["units"]).unwrap_or_default());
    // An axis with even steps may have its first two values only.
    if list.size() == 2
        && length > 2
        && let Some(values) = numbers(&list, 2)?
        && let (Some(first), Some(second)) = (values.first(), values.last())
    {
        let what = list.name();
        let steps = (what.as_str(), first, second - first);
        return Ok(Axis::stepped(number, &name, &units, steps, length, Role::Unknown));
    }
    Axis::listed(number, &name, &units, &list, length, Role::Unknown)
}

/// NCEM writes `[n_m]` for nm.
fn plain_units(units: &str) -> String {
    match units.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inside) => inside.replace('_', ""),
        None => units.to_owned(),
    }
}

fn is_data_cube(group: &Group, parent: &str) -> bool {
    attributes::string(group, "python_class").is_some_and(|class| class == "DataCube")
        || parent.contains("/datacubes/")
}

/// py4DSTEM and Prismatic call the scan's axes Rx and Ry, those of diffraction Qx and Qy. Data
/// cubes have them in this order, whatever they are called; what is beside a scan's axes was
/// measured there.
fn assign_roles(axes: &mut [Axis], data_cube: bool) {
    let count = axes.len();
    for (number, axis) in axes.iter_mut().enumerate() {
        let name: String = axis.dimension.name.chars().filter(|letter| *letter != '_').collect();
        axis.role = match name.as_str() {
            "Rx" | "Ry" | "Rz" => Role::Position,
            "Qx" | "Qy" => Role::Spectrum,
            _ if data_cube && count == 4 && number < 2 => Role::Position,
            _ => Role::Unknown,
        };
    }
    if axes.iter().any(|axis| axis.role == Role::Position) {
        let rest = axes.iter_mut().filter(|axis| axis.role == Role::Unknown);
        rest.for_each(|axis| axis.role = Role::Spectrum);
    }
}

/// Rows and columns of an image are positions, its frames what is measured there one after another.
fn velox_axes(group: &Group, shape: &[usize]) -> Result<Vec<Axis>, String> {
    let metadata = velox_metadata(group)?;
    let result = &metadata["BinaryResult"];
    let units = result["PixelUnitX"].as_str().unwrap_or_default();
    let direction = |number, name: &str, size: &str, offset: &str| {
        let step = number_in(&result["PixelSize"][size]);
        let first = number_in(&result["Offset"][offset]).unwrap_or(0.0);
        let (length, role) = (shape[number], Role::Position);
        match step {
            Some(step) => {
                let told = format!("{name} in {}/Metadata", group.name());
                Axis::stepped(number, name, units, (&told, first, step), length, role)
            }
            None => Axis::without_values(number, name, length, role),
        }
    };
    let frames = match number_in(&metadata["Scan"]["FrameTime"]) {
        Some(step) => {
            let told = format!("FrameTime in {}/Metadata", group.name());
            Axis::stepped(2, "Time", "s", (&told, 0.0, step), shape[2], Role::Spectrum)
        }
        None => Axis::without_values(2, "Frame", shape[2], Role::Spectrum),
    };
    Ok(vec![direction(0, "y", "height", "y"), direction(1, "x", "width", "x"), frames])
}

/// The metadata of the first frame: JSON that ends in NUL, one byte per row.
fn velox_metadata(group: &Group) -> Result<Value, String> {
    let broken = |why: &str| format!("its `{}/Metadata` {why}", group.name());
    let dataset = group.dataset("Metadata").map_err(|_| broken("is no dataset"))?;
    let mut column = dataset.whole();
    match dataset.ndim() {
        1 => {}
        2 if dataset.size() > 0 => column.set_range(1, &(0..1)),
        _ => return Err(broken("has no column of bytes")),
    }
    let numbers = dataset.integers(&column).map_err(|_| broken("can't be read as bytes"))?;
    let bytes: Vec<u8> = numbers.into_iter().map(|number| number.clamp(0, 255) as u8).collect();
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    serde_json::from_slice(&bytes[..end]).map_err(|_| broken("isn't JSON"))
}

/// A number, or a text that spells one, as Velox has it; NaN if it is something else.
fn number_in(value: &Value) -> Option<f64> {
    match value {
        Value::Null => None,
        Value::String(text) if text.trim().is_empty() => None,
        Value::String(text) => Some(text.trim().parse().unwrap_or(f64::NAN)),
        value => Some(value.as_f64().unwrap_or(f64::NAN)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::described::samples::{self, Sample, write_texts, zeros};
    use pixelmill_core::axis_values::AxisValues;
    use pixelmill_core::element::ElementType;

    const NCEM: &str = "/data/stack/data";
    const VELOX: &str = "/Data/Image/0123/Data";

    fn ncem(sample: &Sample, shape: &[usize]) -> (Group, Dataset) {
        let group = sample.file.create_group("data/stack").unwrap();
        attributes::write_integer(&group, "emd_group_type", 1).unwrap();
        let data = zeros(&group, "data", shape);
        (group, data)
    }

    fn velox(sample: &Sample, shape: &[usize], metadata: &str) -> Dataset {
        let group = sample.file.create_group("Data/Image/0123").unwrap();
        let stored = samples::dataset(&group, "Metadata", ElementType::UInt8, &[200, 2]);
        let mut bytes = vec![b'?'; 400];
        bytes.iter_mut().step_by(2).for_each(|byte| *byte = 0);
        bytes.iter_mut().step_by(2).zip(metadata.bytes()).for_each(|(to, from)| *to = from);
        stored.write_rows(0, &bytes).unwrap();
        zeros(&group, "Data", shape)
    }

    #[test]
    fn ncem_axes_have_values_or_their_first_two() {
        let sample = Sample::new();
        let (group, data) = ncem(&sample, &[2, 3, 4]);
        assert!(looks(&sample.file, NCEM, &data));
        samples::axis(&group, "dim1", &[5.0, 7.0], &[("name", "angle"), ("units", "[deg]")]);
        samples::axis(&group, "dim2", &[1.0, 1.5], &[("name", "y"), ("units", "[n_m]")]);
        let described = describe(&sample.file, NCEM, &data).unwrap();
        let expected = [
            Axis::new(0, "angle", "deg", vec![5.0, 7.0], Role::Unknown),
            Axis::new(1, "y", "nm", vec![1.0, 1.5, 2.0], Role::Unknown),
            Axis::without_values(2, "", 4, Role::Unknown),
        ];
        assert_eq!(described.axes, expected);
    }

    #[test]
    fn a_data_cube_is_positions_by_diffraction_patterns() {
        let sample = Sample::new();
        let group = sample.file.create_group("session/cube").unwrap();
        write_texts(&group, &[("emd_group_type", "array"), ("python_class", "DataCube")]);
        let data = zeros(&group, "data", &[3, 3, 2, 2]);
        for number in 0..4 {
            let name = ["Rx", "Ry", "Qx", "Qy"][number];
            samples::axis(&group, &format!("dim{number}"), &[0.0, 0.5], &[("name", name)]);
        }
        assert!(looks(&sample.file, "/session/cube/data", &data));
        let axes = describe(&sample.file, "/session/cube/data", &data).unwrap().axes;
        let (scan, pattern) = (vec![0.0, 0.5, 1.0], vec![0.0, 0.5]);
        let expected = [
            Axis::new(0, "Rx", "", scan.clone(), Role::Position),
            Axis::new(1, "Ry", "", scan, Role::Position),
            Axis::new(2, "Qx", "", pattern.clone(), Role::Spectrum),
            Axis::new(3, "Qy", "", pattern, Role::Spectrum),
        ];
        assert_eq!(axes, expected);
        write_texts(
            &sample.file.create_group("session/list").unwrap(),
            &[("emd_group_type", "pointlist")],
        );
        let other = zeros(&sample.file.group("session/list").unwrap(), "data", &[2]);
        assert!(!looks(&sample.file, "/session/list/data", &other));
    }

    #[test]
    fn what_is_beside_the_axes_of_a_scan_is_a_spectrum() {
        let sample = Sample::new();
        let group = sample.file.create_group("data/realslices/detector").unwrap();
        attributes::write_integer(&group, "emd_group_type", 1).unwrap();
        let data = zeros(&group, "realslice", &[2, 2, 3]);
        for (number, name) in ["R_x", "R_y", "bin_outer_angle"].into_iter().enumerate() {
            let values = AxisValues::counted(data.shape()[number]);
            samples::axis(
                &group,
                &format!("dim{}", number + 1),
                &values.as_slice(),
                &[("name", name)],
            );
        }
        let path = "/data/realslices/detector/realslice";
        assert!(looks(&sample.file, path, &data));
        let axes = describe(&sample.file, path, &data).unwrap().axes;
        let roles: Vec<_> = axes.iter().map(|axis| axis.role).collect();
        assert_eq!(roles, [Role::Position, Role::Position, Role::Spectrum]);
    }

    #[test]
    fn a_single_number_is_no_list_of_values() {
        let sample = Sample::new();
        let (group, data) = ncem(&sample, &[3]);
        samples::dataset(&group, "dim1", ElementType::Int64, &[]);
        let axes = describe(&sample.file, NCEM, &data).unwrap().axes;
        let expected = Axis::without_values(0, "", 3, Role::Unknown).dimension;
        assert_eq!(axes[0].dimension, expected);
        assert!(axes[0].note.as_ref().unwrap().contains("1 value for an axis of 3"));
    }

    #[test]
    fn velox_images_have_pixels_and_frames() {
        let sample = Sample::new();
        let metadata = r#"{"BinaryResult": {"PixelSize": {"width": "2", "height": "0.5"},
            "Offset": {"x": "1.5", "y": "0"}, "PixelUnitX": "m"}, "Scan": {"FrameTime": "0.5"}}"#;
        let data = velox(&sample, &[2, 2, 3], metadata);
        assert!(looks(&sample.file, VELOX, &data));
        let expected = [
            Axis::new(0, "y", "m", vec![0.0, 0.5], Role::Position),
            Axis::new(1, "x", "m", vec![1.5, 3.5], Role::Position),
            Axis::new(2, "Time", "s", vec![0.0, 0.5, 1.0], Role::Spectrum),
        ];
        assert_eq!(describe(&sample.file, VELOX, &data).unwrap().axes, expected);
    }

    #[test]
    fn steps_that_are_no_numbers_are_counted_with_a_note() {
        let sample = Sample::new();
        let (group, data) = ncem(&sample, &[4]);
        samples::axis(&group, "dim1", &[1.0, f64::NAN], &[("units", "[n_m]")]);
        let axis = &describe(&sample.file, NCEM, &data).unwrap().axes[0];
        let told = "its `/data/stack/dim1` begins at 1 and steps by NaN, which makes no numbers; \
                    its steps are counted instead";
        assert_eq!((axis.note.as_deref(), axis.dimension.units.as_str()), (Some(told), ""));
        let sample = Sample::new();
        let metadata = r#"{"BinaryResult": {"PixelSize": {"width": "2", "height": "0.5"},
            "Offset": {"x": "nan", "y": "none"}, "PixelUnitX": "m"}, "Scan": {"FrameTime": "inf"}}"#;
        let data = velox(&sample, &[2, 2, 3], metadata);
        let axes = describe(&sample.file, VELOX, &data).unwrap().axes;
        assert!(axes.iter().all(|axis| axis.is_counted && axis.note.is_some()), "{axes:?}");
    }

    #[test]
    fn velox_metadata_may_tell_nothing_but_must_be_json() {
        for (metadata, told) in [("{}", None), ("{", Some("isn't JSON"))] {
            let sample = Sample::new();
            let data = velox(&sample, &[2, 2, 1], metadata);
            let described = describe(&sample.file, VELOX, &data);
            match told {
                None => assert_eq!(described.unwrap().axes[2].dimension.name, "Frame"),
                Some(told) => assert!(described.unwrap_err().contains(told)),
            }
        }
    }

    #[test]
    fn of_a_longer_axis_the_first_values_are_taken() {
        let sample = Sample::new();
        let (group, data) = ncem(&sample, &[2]);
        samples::axis(&group, "dim1", &[4.0, 5.0, 6.0], &[("units", "[n_m]")]);
        let axis = &describe(&sample.file, NCEM, &data).unwrap().axes[0];
        let told = "its `/data/stack/dim1` has 3 values for an axis of 2; the first 2 are taken";
        assert_eq!(axis.note.as_deref(), Some(told));
        assert_eq!(
            (axis.dimension.values.last(), axis.dimension.units.as_str()),
            (Some(5.0), "nm")
        );
    }
}
