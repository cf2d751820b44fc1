//! Results groups: how they are recognised and what they say, as pyUSID writes them.
//!
//! `create` makes them, in the form of h5USID (`usid`) or with axes (`axes`), and `adopt` makes those of
//! other programs ready; `places` tells where their bytes lie; `compress` compresses them when they are
//! complete. Who may be reused is `identity`'s business, what is computed the engine's. Everything
//! here runs inside a transaction or on a file open for reading.

mod adopt;
mod axes;
mod compress;
mod create;
mod places;
mod replace;
mod usid;

use std::path::PathBuf;

use hdf5::Group;
use serde_json::{Map, Value};

pub(crate) use adopt::adopt;
pub use compress::Compression;
pub(crate) use compress::{Compressor, EncodedChunk, Workspace, is_compressed};
pub(crate) use create::{AxesFormat, Blueprint, Form, Identification, create};
pub(crate) use places::{Place, Places, places};
pub(crate) use replace::obstacle;

use super::attributes;
use super::datatype::column_type;
use super::text;
use super::walk::{Identity, Visited, walk};
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

/// Two lines, written in turns: what the digest of the data of all marked positions is. What they say is the
/// engine's business.
pub(crate) const DIGEST: &str = "data_digest";

/// Bytes of one line of `DIGEST`.
pub(crate) const DIGEST_BYTES: usize = 512;
/// Lines of `DIGEST`.
pub(crate) const DIGEST_LINES: usize = 2;

/// Bytes of one line of `MESSAGES`.
pub(crate) const MESSAGE_BYTES: usize = 200;
/// Lines of `MESSAGES`, line 0 included.
pub(crate) const MESSAGE_LINES: usize = 256;

/// Attributes that describe a group and are not parameters, by whoever wrote it.
const BOOKKEEPING: [&str; 17] = [
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
    /// Whether it has a status dataset.
    pub has_status: bool,
}

impl Provenance {
    /// The dataset that it was computed from, with its file if that is another one; nothing if it doesn't
    /// say.
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
    group.attr("tool").is_ok()
        && (group.attr("source_000").is_ok() || group.attr("source_dataset_path").is_ok())
}

/// All results groups of a file, in the order of their paths.
pub(crate) fn results_groups(file: &hdf5::File) -> Vec<Provenance> {
    let mut found = Vec::new();
    let root = Identity::of(file, ".");
    let is_here = |group: &Group| match (&root, Identity::of(group, ".")) {
        (Some(root), Some(group)) => group.is_beside(root),
        _ => true,
    };
    walk(file, &mut |path, visited| {
        if let Visited::Group(group) = visited
            && is_results_group(&group)
        {
            let linked_file = (!is_here(&group)).then(|| group.filename().into());
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
        has_status: group.link_exists(STATUS),
    }
}

/// Path of the dataset that `source_000` refers to: of several the one that it was opened by, since
/// only there a signal of NeXus has its axes.
fn source_dataset(group: &Group) -> Option<String> {
    let found = attributes::referenced_dataset(group, "source_000")?;
    let opened_by = attributes::string(group, "source_dataset_path");
    let same = |path: &String| {
        let there = Identity::of(group, path);
        there.is_some() && there == Identity::of(&found, ".")
    };
    Some(opened_by.filter(same).unwrap_or_else(|| text::name(&found)))
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

/// One results dataset as it is in the file.
#[derive(Clone, Debug)]
pub(crate) struct Column<'a> {
    pub layout: &'a ColumnLayout,
    pub shape: Vec<usize>,
    /// How many axes of `shape`, the first ones, are positions.
    pub positions_axes: usize,
    /// The axes of what one position has, slowest first; none for a single value.
    pub axes: Vec<Dimension>,
}

/// Whether an existing group can take these results: every dataset there, with the right shape and
/// type. The error says what is different.
pub(crate) fn fits(group: &Group, columns: &[Column<'_>]) -> Result<(), String> {
    for column in columns {
        let name = &column.layout.name;
        let found = group.dataset(name).map_err(|_| format!("it has no dataset `{name}`"))?;
        if found.shape() != column.shape {
            return Err(format!("its `{name}` has the shape {:?}", found.shape()));
        }
        let same_type = column_type(column.layout)
            .and_then(|ours| Ok(ours == found.dtype()?))
            .map_err(|error| error.to_string())?;
        if !same_type {
            return Err(format!("its `{name}` has another element type"));
        }
    }
    Ok(())
}

/// Texts of the failure messages, by line.
pub(crate) fn messages(group: &Group) -> Vec<String> {
    lines(group, MESSAGES, MESSAGE_BYTES)
}

/// The lines that tell the digest of the data.
pub(crate) fn digest_lines(group: &Group) -> Vec<String> {
    lines(group, DIGEST, DIGEST_BYTES)
}

/// The texts of a dataset with so many bytes for each; none if it is another one.
fn lines(group: &Group, name: &str, line_bytes: usize) -> Vec<String> {
    let Ok(dataset) = group.dataset(name) else {
        return Vec::new();
    };
    let mut bytes = vec![0; dataset.size() * line_bytes];
    if dataset.dtype().map_or(0, |datatype| datatype.size()) != line_bytes
        || super::library::read_rows(&dataset, 0, &mut bytes).is_err()
    {
        return Vec::new();
    }
    bytes.chunks_exact(line_bytes).map(text::of_fixed_length).collect()
}
