//! The answer of `run --dry-run`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::info::ReadBy;
use crate::engine::{self, Beginning};
use crate::plan::Reads;

/// What a run would do; nothing was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rehearsal {
    /// The process.
    pub process: String,
    /// The dataset that it would compute.
    pub dataset: String,
    /// The file that results would be in.
    pub file: String,
    /// What it would begin from.
    pub begins: Begins,
    /// The results group that it would reuse or go on with; null for a new one.
    pub group: Option<String>,
    /// Earlier results of the process that it would not use, each with the reason.
    pub unused: Vec<String>,
    /// All positions of the scan.
    pub positions: u64,
    /// Positions that would be computed.
    pub pending: u64,
    /// Threads that would compute them.
    pub workers: usize,
    /// Most positions that one of them takes at a time.
    pub unit_positions: u64,
    /// Bytes of memory in use at the same time, at most.
    pub memory: u64,
    /// How the data would be read.
    pub read: ReadBy,
    /// How often each chunk would be decoded, at least; once unless memory is too little.
    pub decoded_times: u64,
    /// Whether some would be decoded more often than that: memory is too little for all those that
    /// neighbours lie in.
    pub some_decoded_again: bool,
    /// Bytes that the file would grow by for results.
    pub output_bytes: u64,
    /// How long it would take alone, writing aside.
    pub estimated_seconds: f64,
    /// The processes that would be computed in the same pass over the data; left out if there are
    /// none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub together_with: Vec<String>,
}

/// What a run of several computations would do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rehearsals {
    /// Each of them, in the order in which they were asked for.
    pub computations: Vec<Rehearsal>,
}

/// What a run begins from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Begins {
    /// Complete results: nothing is computed.
    Complete,
    /// Partial results.
    Partial,
    /// Nothing: a new results group.
    New,
}

impl From<&engine::Rehearsal> for Rehearsal {
    fn from(rehearsal: &engine::Rehearsal) -> Self {
        let (begins, group) = match &rehearsal.beginning {
            Beginning::Complete(group) => (Begins::Complete, Some(group.clone())),
            Beginning::Partial(group) => (Begins::Partial, Some(group.clone())),
            Beginning::New => (Begins::New, None),
        };
        Self {
            process: rehearsal.process.clone(),
            dataset: rehearsal.dataset.clone(),
            file: rehearsal.file.to_string_lossy().into_owned(),
            begins,
            group,
            unused: rehearsal.unused.clone(),
            positions: rehearsal.positions,
            pending: rehearsal.pending,
            workers: rehearsal.workers,
            unit_positions: rehearsal.unit,
            memory: rehearsal.memory,
            read: (&rehearsal.reading).into(),
            decoded_times: match rehearsal.decodes {
                Reads::Times(times) => times,
                Reads::SomeAgain => 1,
            },
            some_decoded_again: rehearsal.decodes == Reads::SomeAgain,
            output_bytes: rehearsal.output_bytes,
            estimated_seconds: rehearsal.estimate.as_secs_f64(),
            together_with: rehearsal.together_with.clone(),
        }
    }
}
