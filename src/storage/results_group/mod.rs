//! Results groups: how they are recognised and what they say, as pyUSID writes them.
//!
//! `formats` makes them, each in its own form, and `adopt` makes those of other programs ready;
//! `places` tells where their bytes lie; `compress` compresses them when they are complete,
//! `replace` puts one dataset in another's place, and `removal` deletes whole groups. Who may be
//! reused is `identity`'s business, what is computed the engine's. Everything here runs inside a
//! transaction or on a file open for reading.

mod adopt;
mod column;
mod compress;
mod markers;
mod places;
mod removal;
mod replace;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value};

pub(crate) use adopt::adopt;
pub(crate) use column::{Column, Folded, create_column};
pub use compress::Compression;
pub(crate) use compress::{CHUNK_BYTES, Compressor, EncodedChunk, EncodingBuffers, is_compressed};
pub(crate) use markers::{create_checkpoint, create_markers};
pub(crate) use places::{Places, own_dataset, places};
pub(crate) use removal::{Going, own_paths};
pub(crate) use replace::obstacles;

use super::attributes;
use super::container::{Elements, Group};
use super::marks::Marks;
use super::open_file::OpenFile;
pub(crate) use super::place::Place;
use super::walk::{Visited, walk};
use pixelmill_core::advice::Note;

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

/// Two lines, written in turns: what the digest of the data of all marked positions is. What they
/// say is the engine's business.
pub(crate) const DIGEST: &str = "data_digest";

/// Bytes of one line of `DIGEST`.
pub(crate) const DIGEST_BYTES: usize = 512;
/// Lines of `DIGEST`.
pub(crate) const DIGEST_LINES: usize = 2;
/// What a fold is resumed from: two slots, written in turns. What they hold is the engine's
/// business; there is none once the fold is done.
pub(crate) const CHECKPOINT: &str = "fold_checkpoint";
/// Where inputs of a computation lay that aren't simply where they are called: as JSON. What it
/// says is the engine's business.
pub(crate) const INPUTS: &str = "input_places";
/// What was done to all spectra before they were computed with, as the user has named it: as JSON.
pub(crate) const CORRECTIONS: &str = "corrections";
/// What results datasets a group has, with their shapes: as JSON, for whoever finds some of them
/// missing.
pub(crate) const RESULTS: &str = "results_datasets";
/// The same of those that all positions are folded into.
pub(crate) const FOLDED: &str = "folded_datasets";

/// Bytes of one line of `MESSAGES`.
pub(crate) const MESSAGE_BYTES: usize = 200;
/// Lines of `MESSAGES`, line 0 included.
pub(crate) const MESSAGE_LINES: usize = 256;

/// Attributes that describe a group and are not parameters, by whoever wrote it.
const BOOKKEEPING: [&str; 21] = [
    RESULTS,
    FOLDED,
    INPUTS,
    CORRECTIONS,
    "machine_id",
    "timestamp",
    "platform",
    "tool",
    "num_source_dsets",
    "pyUSID_version",
    "sidpy_version",
    "source_file_path",
    "source_file_relative",
    "source_dataset_path",
    "parameters",
    "parameter_hash",
    "process_version",
    "pixelmill_version",
    "source_fingerprint",
    "source_notes",
    "binned_axes",
];

/// What a results group says of itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Provenance {
    pub path: String,
    /// The file that it lies in, if only a link leads there from the one that was looked through.
    pub linked_file: Option<PathBuf>,
    /// The NNN of its name.
    pub number: u32,
    pub tool: String,
    /// The dataset that `source_000` refers to.
    pub source_dataset: Option<String>,
    pub source_file_path: Option<String>,
    /// The way from the file that the group is in to the source's.
    pub source_file_relative: Option<String>,
    pub source_dataset_path: Option<String>,
    pub parameter_hash: Option<String>,
    /// What that is the hash of: canonical JSON.
    pub identity: Option<String>,
    /// Its parameters as attributes; without those that were `null`.
    pub parameters: Map<String, Value>,
    pub timestamp: String,
    pub last_run: String,
    pub last_pixel: Option<i64>,
}

impl Provenance {
    /// The dataset that it was computed from, with its file if that is another one; nothing if it
    /// doesn't say.
    pub fn source(&self) -> String {
        match (&self.source_file_path, &self.source_dataset_path, &self.source_dataset) {
            (Some(file), Some(dataset), _) => format!("{file}:{dataset}"),
            (_, _, Some(dataset)) => dataset.clone(),
            _ => String::new(),
        }
    }
}

/// Whether a group holds results of a tool.
pub(crate) fn is_results_group(group: &Group) -> bool {
    group.has_attribute("tool")
        && (group.has_attribute("source_000") || group.has_attribute("source_dataset_path"))
}

/// All results groups of a file, in the order of their paths.
pub(crate) fn results_groups(file: &Group) -> Vec<Provenance> {
    let mut found = Vec::new();
    let root = file.id();
    let is_here = |group: &Group| match (&root, group.id()) {
        (Some(root), Some(group)) => group.is_beside(root),
        _ => true,
    };
    walk(file, &mut |path, visited| {
        if let Visited::Group(group) = visited
            && is_results_group(&group)
        {
            let linked_file = (!is_here(&group)).then(|| group.file_name());
            found.push(Provenance { linked_file, ..provenance(&group, path) });
        }
    });
    found
}

/// Reads what a results group says of itself.
pub(crate) fn provenance(group: &Group, path: &str) -> Provenance {
    let text = |name| attributes::string(group, name);
    Provenance {
        path: path.to_owned(),
        linked_file: None,
        number: path.rsplit('_').next().and_then(|digits| digits.parse().ok()).unwrap_or(0),
        tool: text("tool").unwrap_or_default(),
        source_dataset: source_dataset(group),
        source_file_path: text("source_file_path"),
        source_file_relative: text("source_file_relative"),
        source_dataset_path: text("source_dataset_path"),
        parameter_hash: text("parameter_hash"),
        identity: text("parameters"),
        parameters: parameters(group),
        timestamp: text("timestamp").unwrap_or_default(),
        last_run: text(LAST_RUN).unwrap_or_default(),
        last_pixel: attributes::integer(group, LAST_PIXEL),
    }
}

/// Path of the dataset that `source_000` refers to: of several the one that it was opened by, since
/// only there a signal of NeXus has its axes.
fn source_dataset(group: &Group) -> Option<String> {
    let found = attributes::referenced_dataset(group, "source_000")?;
    let opened_by = attributes::string(group, "source_dataset_path");
    let same = |path: &String| {
        let there = group.member(path).map(|(id, _)| id);
        there.is_some() && there == found.id()
    };
    Some(opened_by.filter(same).unwrap_or_else(|| found.name()))
}

fn parameters(group: &Group) -> Map<String, Value> {
    let names = group.attribute_names();
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

/// The status of each position, from the status dataset or else from `last_pixel`; the error says
/// why it can't be that of `positions` positions. The group lies in `file`.
pub(crate) fn status(file: OpenFile<'_>, group: &Group, positions: u64) -> Result<Marks, Note> {
    if let Some(status) = marks(file, group, STATUS)? {
        let found = status.count();
        let told = || format!("its `{STATUS}` has {found} values for {positions} positions");
        return if found == positions { Ok(status) } else { Err(told().into()) };
    }
    let done = attributes::integer(group, LAST_PIXEL).and_then(|done| u64::try_from(done).ok());
    let nothing = "nothing tells which of its positions are computed";
    let done = done.filter(|done| *done <= positions).ok_or(nothing)?;
    Ok(Marks::prefix(done, positions))
}

/// The line of `messages` for each position; `Ok(None)` if nothing lists failed positions. One that
/// is shorter than the scan is completed by zeros.
pub(crate) fn failed_lines(file: OpenFile<'_>, group: &Group) -> Result<Option<Marks>, Note> {
    marks(file, group, FAILED)
}

fn marks(file: OpenFile<'_>, group: &Group, name: &str) -> Result<Option<Marks>, Note> {
    if !group.link_exists(name) {
        return Ok(None);
    }
    let dataset = own_dataset(group, name)?;
    if dataset.size() == 0 {
        return Ok(Some(Marks::prefix(0, 0)));
    }
    let marks = Marks::of(file, &dataset)?;
    marks.map(Some).ok_or_else(|| format!("its `{name}` holds no integers").into())
}

/// Paths of the datasets that describe the positions, which results share with their source.
#[derive(Clone, Debug)]
pub(crate) struct PositionTables {
    pub indices: String,
    pub values: String,
}

/// The shapes of a group's results datasets that have values for each position, as far as it says
/// what it had.
fn shapes(group: &Group) -> Option<BTreeMap<String, Vec<usize>>> {
    listed_in(group, RESULTS)
}

fn listed_in(group: &Group, listing: &str) -> Option<BTreeMap<String, Vec<usize>>> {
    serde_json::from_str(&attributes::string(group, listing)?).ok()
}

/// Whether all positions are folded into a dataset of a group.
pub(crate) fn is_folded(group: &Group, dataset: &str) -> bool {
    listed_in(group, FOLDED).is_some_and(|folded| folded.contains_key(dataset))
}

/// How many positions are to be folded into the results of a group, if it isn't all of them.
pub(crate) fn selected_positions(identity: &str) -> Option<u64> {
    let identity: Value = serde_json::from_str(identity).ok()?;
    identity.get("selection")?.get("positions")?.as_u64()
}

/// Whether a results dataset of a group has values for each position; not known of groups that
/// other programs have made.
pub(crate) fn is_per_position(group: &Group, dataset: &str) -> bool {
    shapes(group).is_some_and(|shapes| shapes.contains_key(dataset))
}

/// The same, where those of other programs all may have.
pub(crate) fn may_be_per_position(group: &Group, dataset: &str) -> bool {
    shapes(group).map_or_else(
        || datasets(group).iter().any(|name| name == dataset),
        |shapes| shapes.contains_key(dataset),
    )
}

/// What is missing of a group's results, as far as it says what it had.
pub(crate) fn missing(group: &Group) -> Option<String> {
    let all = shapes(group)?.into_iter().chain(listed_in(group, FOLDED).unwrap_or_default());
    all.into_iter().find_map(|(name, shape)| match group.dataset(&name) {
        Err(_) => Some(format!("its dataset `{name}` is missing")),
        Ok(found) if found.shape() != shape => Some(format!(
            "its dataset `{name}` has the shape {:?} instead of {shape:?}",
            found.shape()
        )),
        Ok(_) => None,
    })
}

/// Names of a group's results datasets: of all that is in it, these say what they hold, and are no
/// scales of others.
pub(crate) fn datasets(group: &Group) -> Vec<String> {
    let is_results = |name: &String| {
        let found = group.dataset(name);
        found.is_ok_and(|found| found.has_attribute("quantity") && !found.has_attribute("CLASS"))
    };
    group.member_names().unwrap_or_default().into_iter().filter(is_results).collect()
}

/// The text of `RESULTS` for these datasets.
pub(crate) fn listed(columns: &[Column<'_>]) -> String {
    let shapes =
        columns.iter().map(|column| (column.layout.name.as_str(), column.shape.as_slice()));
    serde_json::json!(shapes.collect::<BTreeMap<_, _>>()).to_string()
}

/// Whether an existing group can take these results: every dataset there, with the right shape and
/// type. The error says what is different.
pub(crate) fn fits(group: &Group, columns: &[Column<'_>]) -> Result<(), String> {
    for column in columns {
        let name = &column.layout.name;
        let found = own_dataset(group, name)?;
        if found.shape() != column.shape {
            return Err(format!("its `{name}` has the shape {:?}", found.shape()));
        }
        let elements = Elements::of(column.layout);
        if !found.holds(&elements).map_err(|refused| refused.to_string())? {
            return Err(format!("its `{name}` has another element type"));
        }
    }
    Ok(())
}

/// Texts of the failure messages, by line; as many as there may be lines.
pub(crate) fn messages(group: &Group) -> Vec<String> {
    texts(group, MESSAGES, MESSAGE_LINES)
}

/// The lines that tell the digest of the data.
pub(crate) fn digest_lines(group: &Group) -> Vec<String> {
    texts(group, DIGEST, DIGEST_LINES)
}

/// The first `most` texts of a dataset of the group's own, whatever kind of text it holds.
fn texts(group: &Group, name: &str, most: usize) -> Vec<String> {
    own_dataset(group, name).map_or(Vec::new(), |dataset| dataset.texts(most, LONGEST))
}

/// Bytes of a message, or number of them, at most: of others' datasets more isn't read.
const LONGEST: usize = 4096;
