//! Results groups: how they are recognised, created and brought up to date, as pyUSID writes them.
//!
//! Who may be reused is `identity`'s business, what is computed the engine's. Everything here runs
//! inside a transaction or on a file open for reading.

use std::collections::BTreeMap;

use hdf5::types::{FloatSize, IntSize, TypeDescriptor};
use hdf5::{Dataset, Datatype, Group};
use serde_json::{Map, Value};

use super::attributes;
use super::datatype::column_type;
use super::library::create_filled;
use super::walk::{Visited, walk};
use crate::process::Dimension;
use crate::results::ColumnLayout;

/// The status dataset: one byte per position, 1 when its results are on disk.
pub(crate) const STATUS: &str = "completed_positions";
/// One byte per position: 0, or the line of `MESSAGES` that says why it failed.
pub(crate) const FAILED: &str = "failed_positions";
/// Reasons for failures, one per line; line 0 is empty.
pub(crate) const MESSAGES: &str = "failure_messages";
/// Length of the contiguous completed prefix, for older readers.
pub(crate) const LAST_PIXEL: &str = "last_pixel";
/// Host, process id and beginning of the run that computes, or computed last.
pub(crate) const LAST_RUN: &str = "last_run";

/// Bytes of one line of `MESSAGES`.
pub(crate) const MESSAGE_BYTES: usize = 200;
/// Lines of `MESSAGES`, line 0 included.
pub(crate) const MESSAGE_LINES: usize = 256;

/// Attributes that describe a group and are not parameters, by whoever wrote it.
const BOOKKEEPING: [&str; 14] = [
    "machine_id",
    "timestamp",
    "platform",
    "tool",
    "num_source_dsets",
    "pyUSID_version",
    "sidpy_version",
    "source_file_path",
    "source_dataset_path",
    "parameters",
    "parameter_hash",
    "process_version",
    "pixelmill_version",
    "source_fingerprint",
];

/// What a results group says of itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Provenance {
    pub path: String,
    /// The NNN of its name.
    pub number: u32,
    pub tool: String,
    /// The dataset that `source_000` refers to.
    pub source_dataset: Option<String>,
    pub source_file_path: Option<String>,
    pub source_dataset_path: Option<String>,
    pub parameter_hash: Option<String>,
    /// Its parameters as attributes; without those that were `null`.
    pub parameters: Map<String, Value>,
    pub timestamp: String,
    pub last_run: String,
    pub last_pixel: Option<i64>,
    /// Whether it has a status dataset.
    pub has_status: bool,
}

/// Whether a group holds results of a tool.
pub(crate) fn is_results_group(group: &Group) -> bool {
    group.attr("tool").is_ok()
        && (group.attr("source_000").is_ok() || group.attr("source_dataset_path").is_ok())
}

/// All results groups of a file, in the order of their paths.
pub(crate) fn results_groups(file: &hdf5::File) -> Vec<Provenance> {
    let mut found = Vec::new();
    walk(file, &mut |path, visited| {
        if let Visited::Group(group) = visited
            && is_results_group(&group)
        {
            found.push(provenance(&group, path));
        }
    });
    found
}

/// Reads what a results group says of itself.
pub(crate) fn provenance(group: &Group, path: &str) -> Provenance {
    let text = |name| attributes::string(group, name);
    Provenance {
        path: path.to_owned(),
        number: path.rsplit('_').next().and_then(|digits| digits.parse().ok()).unwrap_or(0),
        tool: text("tool").unwrap_or_default(),
        source_dataset: attributes::referenced_dataset(group, "source_000").map(|d| d.name()),
        source_file_path: text("source_file_path"),
        source_dataset_path: text("source_dataset_path"),
        parameter_hash: text("parameter_hash"),
        parameters: parameters(group),
        timestamp: text("timestamp").unwrap_or_default(),
        last_run: text(LAST_RUN).unwrap_or_default(),
        last_pixel: attributes::integer(group, LAST_PIXEL),
        has_status: group.link_exists(STATUS),
    }
}

fn parameters(group: &Group) -> Map<String, Value> {
    let names = group.attr_names().unwrap_or_default();
    names
        .into_iter()
        .filter(|name| !is_bookkeeping(name))
        .map(|name| {
            // What can't be read as a parameter must not be overlooked either.
            let value = attributes::json(group, &name).unwrap_or_else(|| Value::from("unreadable"));
            (name, value)
        })
        .collect()
}

fn is_bookkeeping(name: &str) -> bool {
    BOOKKEEPING.contains(&name)
        || [LAST_PIXEL, LAST_RUN].contains(&name)
        || name.strip_prefix("source_").is_some_and(|rest| rest.parse::<u32>().is_ok())
}

/// The status of each position, from the status dataset or else from `last_pixel`; `None` if
/// the group has neither, or its status can't be that of `positions` positions.
pub(crate) fn status(group: &Group, positions: u64) -> Option<Vec<u8>> {
    if let Ok(dataset) = group.dataset(STATUS) {
        let mut status = dataset.read_raw::<u8>().ok()?;
        status.iter_mut().for_each(|status| *status = u8::from(*status != 0));
        return (status.len() as u64 == positions).then_some(status);
    }
    let done = u64::try_from(attributes::integer(group, LAST_PIXEL)?).ok()?;
    (done <= positions).then(|| (0..positions).map(|position| u8::from(position < done)).collect())
}

/// Paths of the datasets that describe the positions, which results share with their source.
#[derive(Clone, Debug)]
pub(crate) struct PositionTables {
    pub indices: String,
    pub values: String,
}

/// Everything that a new results group is made from.
pub(crate) struct Blueprint<'a> {
    /// Path of the group that it goes into.
    pub parent: &'a str,
    /// `<Dataset>-<Process>`, without its number.
    pub stem: String,
    pub positions: u64,
    pub spectra_per_position: usize,
    pub columns: Vec<&'a ColumnLayout>,
    /// Axes that number the spectra of one position, slowest first; empty for a single one.
    pub repeats: Vec<Dimension>,
    /// Texts about the run that every group has.
    pub texts: Vec<(&'static str, String)>,
    pub process_version: u32,
    pub parameters: &'a Map<String, Value>,
    pub source: BlueprintSource<'a>,
}

/// Where the positions and the source of a new results group are.
pub(crate) enum BlueprintSource<'a> {
    /// In the same file.
    Here { dataset: &'a str, tables: &'a PositionTables },
    /// In another file, from which the ancillary datasets are copied.
    Elsewhere { file: &'a hdf5::File, tables: &'a PositionTables },
}

/// Creates a results group, all its datasets with their bytes in place; returns its path.
///
/// # Errors
/// Those of HDF5.
pub(crate) fn create(file: &hdf5::File, blueprint: &Blueprint<'_>) -> hdf5::Result<String> {
    let parent = file.group(blueprint.parent)?;
    let name = format!("{}_{:03}", blueprint.stem, next_number(&parent, &blueprint.stem)?);
    let group = parent.create_group(&name)?;
    write_provenance(&group, blueprint)?;
    let positions = position_datasets(file, &group, &blueprint.source)?;
    create_columns(&group, blueprint, &positions)?;
    create_markers(&group, blueprint.positions)?;
    Ok(group.name())
}

/// One more than the highest number that groups of this name have.
fn next_number(parent: &Group, stem: &str) -> hdf5::Result<u32> {
    let numbers = parent
        .member_names()?
        .into_iter()
        .filter_map(|name| name.strip_prefix(stem)?.strip_prefix('_')?.parse::<u32>().ok());
    Ok(numbers.max().map_or(0, |highest| highest + 1))
}

fn write_provenance(group: &Group, blueprint: &Blueprint<'_>) -> hdf5::Result<()> {
    for (name, text) in &blueprint.texts {
        attributes::write_string(group, name, text)?;
    }
    attributes::write_integer(group, "process_version", blueprint.process_version.into())?;
    attributes::write_integer(group, "num_source_dsets", 1)?;
    if let BlueprintSource::Here { dataset, .. } = blueprint.source {
        attributes::write_reference(group, "source_000", dataset)?;
    }
    for (name, value) in blueprint.parameters {
        attributes::write_json(group, name, value)?;
    }
    Ok(())
}

/// Paths of the position datasets that results refer to.
fn position_datasets(
    file: &hdf5::File,
    group: &Group,
    source: &BlueprintSource<'_>,
) -> hdf5::Result<[String; 2]> {
    match source {
        BlueprintSource::Here { tables, .. } => Ok([tables.indices.clone(), tables.values.clone()]),
        BlueprintSource::Elsewhere { file: from, tables } => {
            let names = ["Position_Indices", "Position_Values"];
            for (path, name) in [&tables.indices, &tables.values].iter().zip(names) {
                copy_table(&from.dataset(path)?, group, name)?;
            }
            debug_assert!(file.is_valid());
            Ok(names.map(|name| format!("{}/{name}", group.name())))
        }
    }
}

/// Copies an ancillary dataset with its labels and units, and nothing that refers elsewhere.
fn copy_table(from: &Dataset, group: &Group, name: &str) -> hdf5::Result<()> {
    let shape = from.shape();
    let to = match from.dtype()?.to_descriptor()? {
        TypeDescriptor::Float(_) => {
            let values = from.read_raw::<f64>()?;
            let copy = dataset(group, name, TypeDescriptor::Float(FloatSize::U8), &shape)?;
            copy.write_raw(&values)?;
            copy
        }
        _ => {
            let values = from.read_raw::<u32>()?;
            let copy = dataset(group, name, TypeDescriptor::Unsigned(IntSize::U4), &shape)?;
            copy.write_raw(&values)?;
            copy
        }
    };
    for attribute in ["labels", "units"] {
        if let Some(texts) = attributes::strings(from, attribute) {
            attributes::write_strings(&to, attribute, &texts)?;
        }
    }
    Ok(())
}

fn dataset(
    group: &Group,
    name: &str,
    descriptor: TypeDescriptor,
    shape: &[usize],
) -> hdf5::Result<Dataset> {
    group.new_dataset_builder().empty_as(&descriptor).shape(shape).create(name)
}

fn create_columns(
    group: &Group,
    blueprint: &Blueprint<'_>,
    positions: &[String; 2],
) -> hdf5::Result<()> {
    let mut tables: BTreeMap<String, [String; 2]> = BTreeMap::new();
    for column in &blueprint.columns {
        let mut axes = blueprint.repeats.clone();
        axes.extend(column.dimensions.iter().cloned());
        if axes.is_empty() {
            axes.push(Dimension::new(column.quantity.clone(), column.units.clone(), vec![0.0]));
        }
        let key = format!("{axes:?}");
        if !tables.contains_key(&key) {
            let prefix =
                if tables.is_empty() { String::new() } else { format!("{}_", column.name) };
            tables.insert(key.clone(), spectroscopic_datasets(group, &prefix, &axes)?);
        }
        let spectroscopic = &tables[&key];
        let values = column.missing.len() / column.value_bytes() * blueprint.spectra_per_position;
        let created = create_filled(
            group,
            &column.name,
            &column_type(column)?,
            &[blueprint.positions as usize, values],
            &column.missing[..column.value_bytes()],
        )?;
        attributes::write_string(&created, "quantity", &column.quantity)?;
        attributes::write_string(&created, "units", &column.units)?;
        attributes::write_reference(&created, "Position_Indices", &positions[0])?;
        attributes::write_reference(&created, "Position_Values", &positions[1])?;
        attributes::write_reference(&created, "Spectroscopic_Indices", &spectroscopic[0])?;
        attributes::write_reference(&created, "Spectroscopic_Values", &spectroscopic[1])?;
    }
    Ok(())
}

/// Writes the two tables of the spectroscopic axes, slowest first; returns their paths.
fn spectroscopic_datasets(
    group: &Group,
    prefix: &str,
    axes: &[Dimension],
) -> hdf5::Result<[String; 2]> {
    let points: usize = axes.iter().map(Dimension::len).product();
    let (mut indices, mut values) = (Vec::new(), Vec::new());
    let mut stride = points;
    for axis in axes {
        stride /= axis.len().max(1);
        let steps = (0..points).map(|point| point / stride % axis.len());
        indices.extend(steps.clone().map(|step| step as u32));
        values.extend(steps.map(|step| axis.values[step] as f32));
    }
    let names: Vec<_> = axes.iter().map(|axis| axis.name.as_str()).collect();
    let units: Vec<_> = axes.iter().map(|axis| axis.units.as_str()).collect();
    let shape = [axes.len(), points];
    let table = |kind: &str, descriptor: TypeDescriptor| -> hdf5::Result<Dataset> {
        let created = dataset(group, &format!("{prefix}Spectroscopic_{kind}"), descriptor, &shape)?;
        attributes::write_strings(&created, "labels", &names)?;
        attributes::write_strings(&created, "units", &units)?;
        Ok(created)
    };
    let index_table = table("Indices", TypeDescriptor::Unsigned(IntSize::U4))?;
    index_table.write_raw(&indices)?;
    let value_table = table("Values", TypeDescriptor::Float(FloatSize::U4))?;
    value_table.write_raw(&values)?;
    Ok([index_table.name(), value_table.name()])
}

/// Creates what a run keeps its state in, as far as the group doesn't have it.
fn create_markers(group: &Group, positions: u64) -> hdf5::Result<()> {
    let byte = Datatype::from_type::<u8>()?;
    let line = Datatype::from_descriptor(&TypeDescriptor::FixedUnicode(MESSAGE_BYTES))?;
    let shape = [positions as usize];
    for name in [STATUS, FAILED] {
        if !group.link_exists(name) {
            create_filled(group, name, &byte, &shape, &[0])?;
        }
    }
    if !group.link_exists(MESSAGES) {
        create_filled(group, MESSAGES, &line, &[MESSAGE_LINES], &[0; MESSAGE_BYTES])?;
    }
    if group.attr(LAST_PIXEL).is_err() {
        attributes::write_integer(group, LAST_PIXEL, 0)?;
    }
    attributes::put_short_text(group, LAST_RUN, "")
}

/// Gives a group that another program began what our runs need: a status dataset with the
/// given state, markers, and results datasets whose bytes have their place in the file.
///
/// # Errors
/// Those of HDF5.
pub(crate) fn adopt(
    file: &hdf5::File,
    path: &str,
    columns: &[&ColumnLayout],
    status: &[u8],
) -> hdf5::Result<()> {
    let group = file.group(path)?;
    create_markers(&group, status.len() as u64)?;
    for name in columns.iter().map(|column| column.name.as_str()).chain([STATUS]) {
        place(&group, name)?;
    }
    group.dataset(STATUS)?.write_raw(status)
}

/// Replaces a dataset that is chunked, or has no bytes yet, by a contiguous one with the same
/// values and attributes.
fn place(group: &Group, name: &str) -> hdf5::Result<()> {
    let old = group.dataset(name)?;
    if old.offset().is_some() {
        return Ok(());
    }
    let datatype = old.dtype()?;
    let shape = old.shape();
    let rows = shape.first().copied().unwrap_or(0);
    let row_values = shape.iter().skip(1).product::<usize>();
    let row_bytes = row_values * datatype.size();
    let temporary = format!("{name}_being_placed");
    let new = create_filled(group, &temporary, &datatype, &shape, &vec![0; datatype.size()])?;
    let step = (1 << 20) / row_bytes.max(1) + 1;
    for first in (0..rows).step_by(step) {
        let mut bytes = vec![0; step.min(rows - first) * row_bytes];
        super::library::read_rows(&old, first as u64, &mut bytes)?;
        super::library::write_rows(&new, first as u64, &bytes)?;
    }
    super::library::copy_attributes(&old, &new)?;
    group.unlink(name)?;
    group.relink(&temporary, name)
}

/// Whether an existing group can take these results: every dataset there, with the right shape and
/// type. The error says what is different.
pub(crate) fn fits(
    group: &Group,
    columns: &[&ColumnLayout],
    positions: u64,
    spectra_per_position: usize,
) -> Result<(), String> {
    for column in columns {
        let name = &column.name;
        let found = group.dataset(name).map_err(|_| format!("it has no dataset `{name}`"))?;
        let values = column.missing.len() / column.value_bytes() * spectra_per_position;
        if found.shape() != [positions as usize, values] {
            return Err(format!("its `{name}` has the shape {:?}", found.shape()));
        }
        let same_type = column_type(column)
            .and_then(|ours| Ok(ours == found.dtype()?))
            .map_err(|error| error.to_string())?;
        if !same_type {
            return Err(format!("its `{name}` has another element type"));
        }
    }
    Ok(())
}

/// Where the bytes of a group's datasets lie in the file.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// One per results dataset.
    pub columns: Vec<u64>,
    pub status: u64,
    pub failed: u64,
    pub messages: u64,
}

/// Asks HDF5 where the datasets of a group lie.
///
/// # Errors
/// If one isn't there or has no fixed place.
pub(crate) fn places(group: &Group, columns: &[&ColumnLayout]) -> hdf5::Result<Places> {
    let offset = |name: &str| {
        group.dataset(name)?.offset().ok_or_else(|| {
            hdf5::Error::from(format!("`{name}` has no fixed place in the file").as_str())
        })
    };
    Ok(Places {
        columns: columns.iter().map(|column| offset(&column.name)).collect::<Result<_, _>>()?,
        status: offset(STATUS)?,
        failed: offset(FAILED)?,
        messages: offset(MESSAGES)?,
    })
}

/// Texts of the failure messages, by line.
pub(crate) fn messages(group: &Group) -> Vec<String> {
    let Ok(dataset) = group.dataset(MESSAGES) else {
        return Vec::new();
    };
    let mut bytes = vec![0; dataset.size() * MESSAGE_BYTES];
    if dataset.dtype().map_or(0, |datatype| datatype.size()) != MESSAGE_BYTES
        || super::library::read_rows(&dataset, 0, &mut bytes).is_err()
    {
        return Vec::new();
    }
    bytes.chunks_exact(MESSAGE_BYTES).map(attributes::fixed_text).collect()
}
