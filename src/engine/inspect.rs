//! What is in a file: main datasets with their axes, results groups with their state.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::correction_paths::CorrectionPaths;
use super::failures::FailedPositions;
use super::named::{named, the_one};
pub use crate::formats::Format;
use crate::formats::PLAIN;
use crate::identity::{is_provisional, recorded_files};
use crate::region;
pub use crate::source::FieldOverview;
use crate::source::{self, Along, Crop, ExcerptIdentity};
use crate::storage::container::{Dataset, Group};
use crate::storage::file::{ReadFile, open_read, open_read_knowing};
use crate::storage::marks::Marks;
use crate::storage::results_group::{self, Provenance, results_groups};
pub use crate::storage::rows::Reading;
use crate::storage::rows::Rows;
pub use crate::storage::{Chunking, KnownTables};
use crate::view::View;
use pixelmill_core::error::{Error, Result};
use pixelmill_core::source_info::SourceInfo;

/// A main dataset.
#[derive(Debug)]
pub struct DatasetOverview {
    /// Its path.
    pub path: String,
    /// The file that it lies in, if that is another one, to which a link leads.
    pub linked_file: Option<PathBuf>,
    /// Its description, or why it can't be used.
    pub content: Result<SourceInfo, Problem>,
    /// Whether its positions are all combinations of the steps of its axes.
    pub full_grid: bool,
    /// The format that it is in.
    pub format: Format,
    /// How its rows are read, or why they can't be.
    pub reading: Result<Reading, Problem>,
    /// Its shape, in the file's order.
    pub shape: Vec<u64>,
    /// Which axes are positions, slowest first; empty if nobody says.
    pub position_axes: Vec<usize>,
    /// Its chunks, if it has any.
    pub chunking: Option<Chunking>,
    /// What isn't taken as the file has it, in words for people.
    pub notes: Vec<String>,
    /// The fields of its elements, if these are records with numbers.
    pub fields: Vec<FieldOverview>,
    /// Bytes of all its elements if these are such records.
    pub record_bytes: Option<u64>,
}

impl DatasetOverview {
    /// Bytes of all its elements, of which its description knows those of a field.
    pub fn bytes(&self, info: &SourceInfo) -> u64 {
        self.record_bytes.unwrap_or_else(|| info.bytes())
    }
}

/// Why a dataset can't be computed on.
#[derive(Debug)]
pub enum Problem {
    /// What an attempt has met.
    Error(Box<Error>),
    /// What it is instead.
    Text(String),
}

impl Problem {
    fn of(error: Error) -> Self {
        Self::Error(Box::new(error))
    }
}

/// A results group.
#[derive(Clone, Debug)]
pub struct GroupOverview {
    /// Its path.
    pub path: String,
    /// The process, or tool, that it holds results of.
    pub process: String,
    /// The dataset that it was computed from, with its file if that is another one.
    pub source: String,
    /// The file that this was in, if that isn't the file of the results.
    pub recorded_source_file: Option<PathBuf>,
    /// The file that it is in now; none if it is neither where the results lead to nor where it
    /// was.
    pub source_file: Option<PathBuf>,
    /// The field of its source's records that was computed on.
    pub field: Option<String>,
    /// The steps of each axis of a position's values that were computed with, and the axes that
    /// spectra run along, if either was chosen.
    pub part: Option<Part>,
    /// What was done to all spectra before.
    pub corrections: CorrectionPaths,
    /// Whether the user let values be rounded, where that made a difference.
    pub allow_rounding: bool,
    /// The parameters as they were used; of other programs' groups as far as they can be read.
    pub parameters: Map<String, Value>,
    /// Our hash; empty for other programs' groups.
    pub parameter_hash: String,
    /// When it was created, as `YYYY_MM_DD-HH_MM_SS`.
    pub created: String,
    /// Who computed last: host, process and beginning.
    pub last_run: String,
    /// Positions in all; 0 if nothing tells.
    pub positions: u64,
    /// Positions that are completed; `None` if nothing tells.
    pub completed: Option<u64>,
    /// What is missing of its results, if anything is.
    pub missing: Option<String>,
    /// Whether it took results of others that weren't all there, and nobody has compared yet
    /// whether what it took is what is there now.
    pub is_provisional: bool,
    /// Failed positions with their reasons.
    pub failed: FailedPositions,
    /// Length of the contiguous completed prefix, as last written.
    pub last_pixel: Option<i64>,
    /// Length of the contiguous completed prefix, as the status dataset has it; `None` if nothing
    /// tells.
    pub prefix: Option<u64>,
}

/// The main datasets of a file, results aside.
///
/// # Errors
/// If the file can't be read.
pub fn datasets(file: &Path) -> Result<Vec<DatasetOverview>> {
    datasets_knowing(file, &Arc::default())
}

/// The same by somebody who knows tables of them, or wants to know them later.
///
/// # Errors
/// As [`datasets`].
pub fn datasets_knowing(file: &Path, known: &Arc<KnownTables>) -> Result<Vec<DatasetOverview>> {
    let file = open_read_knowing(file, known)?;
    let paths = source::shown_datasets(&file);
    Ok(paths.into_iter().map(|path| dataset(&file, path)).collect())
}

/// What is said first of [others] that are results.
pub const RESULTS: &str = source::RESULTS;

/// Datasets of a file without a main dataset, with what they are instead.
///
/// # Errors
/// If the file can't be read.
pub fn others(file: &Path) -> Result<Vec<(String, String)>> {
    let file = open_read(file)?;
    Ok(source::others(&file))
}

fn dataset(file: &ReadFile, path: String) -> DatasetOverview {
    let Ok(found) = file.dataset(&path) else {
        return DatasetOverview {
            path,
            linked_file: None,
            content: Err(Problem::Text("it can't be opened".to_owned())),
            full_grid: false,
            format: PLAIN,
            reading: Err(Problem::Text(String::new())),
            shape: Vec::new(),
            position_axes: Vec::new(),
            chunking: None,
            notes: Vec::new(),
            fields: Vec::new(),
            record_bytes: None,
        };
    };
    let shape = region::lengths(&found.shape());
    let fields = source::fields(&found);
    // Of records that are numbers any tells what all have.
    let first = fields.iter().find(|field| field.is_number).map(|field| field.name.as_str());
    let described = source::values(file, &path, &found, first)
        .and_then(|stored| source::describe(file, &path, &found, stored.element, None));
    // Any view tells how the dataset is stored.
    let view = match &described {
        Ok(described) => described.view.clone(),
        Err(_) => View::new(shape.clone(), vec![0]),
    };
    let rows = match found.stored_type() {
        Err(held) if first.is_none() => Err(Problem::Text(held)),
        _ => Rows::of_field(file.handle(), &found, first, view).map_err(Problem::of),
    };
    let is_linked = rows.as_ref().is_ok_and(|rows| !rows.are_in(&file.raw));
    DatasetOverview {
        format: source::format(file, &path, &found),
        full_grid: described.as_ref().is_ok_and(|described| described.grid.is_full()),
        position_axes: described.as_ref().map_or(Vec::new(), |known| known.view.positions.clone()),
        chunking: rows.as_ref().ok().and_then(Rows::chunking).or_else(|| found.chunking()),
        reading: rows.map(|rows| rows.reading()),
        linked_file: is_linked.then(|| found.file_name()),
        notes: described.as_ref().map_or(Vec::new(), |known| known.notes.clone()),
        record_bytes: first.map(|_| (found.size() * found.element_bytes()) as u64),
        fields: if first.is_some() { fields } else { Vec::new() },
        content: described.map(|described| described.info).map_err(Problem::of),
        shape,
        path,
    }
}

/// The results groups of a file, or those that `wanted` names.
///
/// # Errors
/// If the file can't be read, or has no such group.
pub fn groups(path: &Path, wanted: Option<&str>) -> Result<Vec<GroupOverview>> {
    let file = open_read(path)?;
    let all = results_groups(&file);
    let meant = match wanted {
        Some(wanted) => named(&all, wanted, path)?,
        None => all.iter().collect(),
    };
    meant.into_iter().map(|group| overview(&file, group)).collect()
}

pub(super) fn overview(file: &ReadFile, provenance: &Provenance) -> Result<GroupOverview> {
    let group = file.group(&provenance.path).ok();
    let positions = group.as_ref().map_or(0, |group| positions(group, provenance));
    let (opened, own) = (file.handle(), group.as_ref());
    let status = own.and_then(|group| results_group::status(opened, group, positions).ok());
    let lines = own.and_then(|group| results_group::failed_lines(opened, group).ok().flatten());
    let failed = match (&status, &lines, own) {
        (Some(status), Some(lines), Some(group)) => {
            FailedPositions::read(status, lines, &results_group::messages(group))?
        }
        _ => FailedPositions::default(),
    };
    let summary = status.as_ref().map(Marks::summary).transpose()?;
    Ok(GroupOverview {
        path: provenance.path.clone(),
        process: provenance.tool.clone(),
        source: provenance.source(),
        recorded_source_file: provenance.source_file_path.as_ref().map(PathBuf::from),
        source_file: source_files(provenance, &file.path).into_iter().next(),
        field: field(provenance),
        part: part(provenance),
        corrections: group.as_ref().map(CorrectionPaths::recorded).unwrap_or_default(),
        allow_rounding: allows_rounding(provenance),
        parameters: parameters_of(provenance),
        parameter_hash: provenance.parameter_hash.clone().unwrap_or_default(),
        created: provenance.timestamp.clone(),
        last_run: provenance.last_run.clone(),
        positions,
        completed: summary.map(|summary| summary.count),
        missing: group.as_ref().and_then(results_group::missing),
        is_provisional: provenance.identity.as_deref().is_some_and(is_provisional),
        failed,
        last_pixel: provenance.last_pixel,
        prefix: summary.map(|summary| summary.prefix),
    })
}

/// How many positions a group has; 0 if nothing tells.
pub(crate) fn positions(group: &Group, provenance: &Provenance) -> u64 {
    let rows = |dataset: Dataset| dataset.shape().first().map_or(0, |rows| *rows as u64);
    if let Ok(status) = group.dataset(results_group::STATUS) {
        return rows(status);
    }
    // A link may have led to the group's file.
    let source = provenance.source_dataset.as_ref().zip(group.root().ok());
    let source = source.and_then(|(path, file)| file.dataset(path).ok());
    source.map_or(0, rows)
}

/// The files in which the source may be, of those that the group says and that are there; the
/// likeliest first.
pub(super) fn source_files(group: &Provenance, file: &Path) -> Vec<PathBuf> {
    let file = group.linked_file.as_deref().unwrap_or(file);
    if group.source_dataset.is_some() && group.source_file_path.is_none() {
        return vec![file.to_owned()];
    }
    let recorded = recorded_files(group, file).into_iter();
    let mut found: Vec<PathBuf> = recorded.filter_map(|path| path.canonicalize().ok()).collect();
    found.dedup();
    found
}

/// What is hashed of our groups, as it was recorded.
pub(super) fn identity_of(group: &Provenance) -> Option<Value> {
    serde_json::from_str(group.identity.as_ref()?).ok()
}

/// Ours are recorded whole, others' only as attributes.
pub(crate) fn parameters_of(group: &Provenance) -> Map<String, Value> {
    let own = identity_of(group).and_then(|value| value.get("parameters")?.as_object().cloned());
    own.unwrap_or_else(|| group.parameters.clone())
}

/// The path of the source in its file.
pub(crate) fn source_dataset(group: &Provenance) -> Option<String> {
    match &group.source_file_path {
        Some(_) => group.source_dataset_path.clone(),
        None => group.source_dataset.clone(),
    }
}

/// The axes of the source that were taken as positions.
pub(crate) fn positions_axes(group: &Provenance) -> Option<Vec<usize>> {
    let axes = identity_of(group)?.get("source")?.get("position_axes")?.as_array()?.clone();
    axes.iter().map(|axis| axis.as_u64().map(|axis| axis as usize)).collect()
}

/// The part of each position's values that was computed with, and the axes that spectra run along,
/// where either was chosen.
pub(crate) fn excerpt(group: &Provenance) -> (Option<Crop>, Option<Along>) {
    let told = || -> Option<ExcerptIdentity> {
        serde_json::from_value(identity_of(group)?.get("source")?.get("excerpt")?.clone()).ok()
    };
    told().map_or((None, None), |excerpt| (excerpt.crop(), Some(excerpt.along())))
}

/// The same for people: the axes by their names.
fn part(group: &Provenance) -> Option<Part> {
    let (crop, along) = excerpt(group);
    let axes =
        identity_of(group)?.get("source")?.get("spectroscopic_dimensions")?.as_array()?.clone();
    // Those that spectra run along are the last.
    let others = axes.len().saturating_sub(along.as_ref()?.count());
    let name =
        |axis: &Value| axis.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    Some(Part { crop: crop?.to_string(), along: axes[others..].iter().map(name).collect() })
}

/// What of each position's values was computed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The steps of each axis of the file, as a crop is written.
    pub crop: String,
    /// The axes that spectra run along.
    pub along: Vec<String>,
}

/// The field of its source's records that was computed on.
pub(crate) fn field(group: &Provenance) -> Option<String> {
    identity_of(group)?.get("field")?.as_str().map(str::to_owned)
}

/// Whether the user let values be rounded, where that made a difference.
pub(crate) fn allows_rounding(group: &Provenance) -> bool {
    identity_of(group).is_some_and(|value| value.get("allow_rounding") == Some(&Value::Bool(true)))
}

/// A results group and where it was computed from, for computing it again.
pub struct Computation {
    /// Path of the group.
    pub path: String,
    /// Name of the process.
    pub process: String,
    /// Its parameters.
    pub parameters: Map<String, Value>,
    /// Where its source is, as the way from the results tells.
    pub source_file: PathBuf,
    /// Where it may be as well: results may have been moved to a file that has the name of their
    /// source.
    pub or_else: Option<PathBuf>,
    /// Path of its source there.
    pub source_dataset: String,
    /// The field of its source's records that was computed on.
    pub field: Option<String>,
    /// The axes of the source that were taken as positions.
    pub positions_axes: Option<Vec<usize>>,
    /// The part of each position's values that was computed with, if it isn't all.
    pub crop: Option<Crop>,
    /// The axes that a spectrum runs along, if they were chosen.
    pub along: Option<Along>,
    /// Whether the user let values be rounded.
    pub allow_rounding: bool,
}

/// What was computed in the results group that `wanted` names, from the file `source` if that is
/// given, else from where the group says.
///
/// # Errors
/// If there is no such group, or it doesn't say, or its source isn't there.
pub fn computation(path: &Path, wanted: &str, source: Option<&Path>) -> Result<Computation> {
    let file = open_read(path)?;
    let all = results_groups(&file);
    let group = the_one(&all, wanted, path)?;
    let unusable = |reason: &str| {
        let reason = reason.into();
        Error::CannotVerify { group: group.path.clone(), reason }
    };
    let dataset = source_dataset(group);
    let dataset = dataset.ok_or_else(|| unusable("it doesn't say what it was computed from"))?;
    let mut files = match source {
        Some(given) => vec![given.to_owned()],
        None => source_files(group, path),
    }
    .into_iter();
    let (crop, along) = excerpt(group);
    Ok(Computation {
        path: group.path.clone(),
        process: group.tool.clone(),
        parameters: parameters_of(group),
        source_file: files.next().ok_or_else(|| Error::SourceNotFound {
            group: group.path.clone(),
            places: places(group, path),
        })?,
        or_else: files.next(),
        source_dataset: dataset,
        field: field(group),
        positions_axes: positions_axes(group),
        crop,
        along,
        allow_rounding: allows_rounding(group),
    })
}

/// The places where the source of a group should be.
fn places(group: &Provenance, file: &Path) -> Vec<String> {
    let mut places: Vec<String> =
        recorded_files(group, file).iter().map(|path| path.display().to_string()).collect();
    places.extend(group.source_file_path.clone());
    places.dedup();
    places
}
