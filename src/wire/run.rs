//! The answer of `run`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::failed::{FailedPosition, Failures, listed};
use crate::engine::{self, Computed, InputPlace, LiesIn, Tally};

/// What came of computing every position that was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// How it ended.
    pub outcome: Outcome,
    /// The name of the process.
    pub process: String,
    /// The file that holds the results.
    pub file: String,
    /// Path of the results group in it.
    pub group: String,
    /// Hash of everything that the results depend on; empty for those of another program.
    pub parameter_hash: String,
    /// Whether the group records what its data were, so that a change shows. Other programs'
    /// groups don't.
    pub source_recorded: bool,
    /// Positions whose results are on disk.
    pub completed: u64,
    /// All positions of the scan.
    pub positions: u64,
    /// The first failed positions, up to 10,000.
    pub failed: Vec<FailedPosition>,
    /// How many positions have failed, and why.
    pub failures: Failures,
    /// What the run did; null if nothing had to be computed.
    pub report: Option<Report>,
    /// What compressing the results gave; null if nothing had to be compressed.
    pub compressed: Option<Compressed>,
    /// Which positions were asked for, with the seed of those by chance; left out if all were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection: Option<String>,
    /// Where the inputs were found that were computed with besides the source; left out if there
    /// are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Input>,
}

/// What came of several computations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Runs {
    /// Each of them, in the order in which they were asked for; of those that shared a pass over
    /// the data the report is that of the pass.
    pub computations: Vec<Run>,
}

/// Where an input was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// What it was called.
    pub named: String,
    /// The file that it lies in; null if that is the source's.
    pub file: Option<String>,
    /// Path of the dataset there; null of an array of NumPy's.
    pub dataset: Option<String>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The results were there; nothing was computed.
    Existing,
    /// All that was asked for is computed.
    Finished,
    /// It was stopped before; the same command goes on.
    Stopped,
}

/// What a run did, and where the time went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Positions computed.
    pub positions: u64,
    /// Source bytes read.
    pub bytes: u64,
    /// Threads that computed, on all ranks.
    pub workers: usize,
    /// Batches marked.
    pub batches: u64,
    /// Time in which was computed.
    pub seconds: f64,
    /// Workers' time spent reading, summed.
    pub read_seconds: f64,
    /// Workers' time spent in the process's computation, summed.
    pub compute_seconds: f64,
    /// Workers' time spent writing results, summed.
    pub write_seconds: f64,
    /// Workers' time spent waiting for work, summed.
    pub wait_seconds: f64,
    /// Time that results took to get to the disk and be marked, beside the workers.
    pub mark_seconds: f64,
    /// Chunks of the source that are stored; null if it isn't read chunk by chunk.
    pub chunks: Option<u64>,
    /// Chunks that were decoded.
    pub chunks_decoded: Option<u64>,
    /// How much earlier than the last rank the first was done, as a part of the time of the last.
    pub imbalance: f64,
    /// What each rank did.
    pub ranks: Vec<Rank>,
}

/// What one rank did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rank {
    /// The machine that it ran on.
    pub host: String,
    /// Positions computed.
    pub positions: u64,
    /// Source bytes read.
    pub bytes: u64,
    /// Threads that computed.
    pub workers: usize,
    /// Time until its last worker had nothing more to do.
    pub seconds: f64,
    /// Workers' time spent reading, summed.
    pub read_seconds: f64,
    /// Workers' time spent in the process's computation, summed.
    pub compute_seconds: f64,
    /// Workers' time spent writing results, summed.
    pub write_seconds: f64,
    /// Workers' time spent waiting for work, summed.
    pub wait_seconds: f64,
}

/// What compressing the results gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Compressed {
    /// Bytes that they took in the file.
    pub bytes_before: u64,
    /// Bytes that they take now.
    pub bytes_after: u64,
}

impl From<&Computed> for Run {
    fn from(computed: &Computed) -> Self {
        Self {
            outcome: computed.outcome.into(),
            process: computed.process.clone(),
            file: computed.file.to_string_lossy().into_owned(),
            group: computed.group.clone(),
            parameter_hash: computed.parameter_hash.clone(),
            source_recorded: !computed.parameter_hash.is_empty(),
            completed: computed.completed,
            positions: computed.positions,
            failed: listed(&computed.failed),
            failures: (&computed.failed).into(),
            report: computed.report.as_ref().map(Report::from),
            compressed: computed.compressed.map(Compressed::from),
            selection: computed.selection.clone(),
            inputs: computed.inputs.iter().map(|place| Input::of(place, computed)).collect(),
        }
    }
}

impl Input {
    fn of(place: &InputPlace, computed: &Computed) -> Self {
        Self {
            named: place.named.clone(),
            file: match &place.lies_in {
                LiesIn::Source => None,
                LiesIn::Results => Some(computed.file.to_string_lossy().into_owned()),
                LiesIn::File { path, .. } => Some(path.clone()),
            },
            dataset: Some(place.dataset.clone()).filter(|path| !path.is_empty()),
        }
    }
}

impl From<engine::Outcome> for Outcome {
    fn from(outcome: engine::Outcome) -> Self {
        match outcome {
            engine::Outcome::Existing => Self::Existing,
            engine::Outcome::Finished => Self::Finished,
            engine::Outcome::Stopped => Self::Stopped,
        }
    }
}

impl From<&engine::Report> for Report {
    fn from(report: &engine::Report) -> Self {
        Self {
            positions: report.positions,
            bytes: report.bytes,
            workers: report.workers,
            batches: report.batches,
            seconds: report.elapsed.as_secs_f64(),
            read_seconds: report.read.as_secs_f64(),
            compute_seconds: report.compute.as_secs_f64(),
            write_seconds: report.write.as_secs_f64(),
            wait_seconds: report.wait.as_secs_f64(),
            mark_seconds: report.mark.as_secs_f64(),
            chunks: report.chunks.map(|(_, stored)| stored),
            chunks_decoded: report.chunks.map(|(decoded, _)| decoded),
            imbalance: report.imbalance(),
            ranks: report.ranks.iter().map(Rank::from).collect(),
        }
    }
}

impl From<&Tally> for Rank {
    fn from(rank: &Tally) -> Self {
        Self {
            host: rank.host.clone(),
            positions: rank.positions,
            bytes: rank.bytes,
            workers: rank.workers,
            seconds: rank.elapsed.as_secs_f64(),
            read_seconds: rank.read.as_secs_f64(),
            compute_seconds: rank.compute.as_secs_f64(),
            write_seconds: rank.write.as_secs_f64(),
            wait_seconds: rank.wait.as_secs_f64(),
        }
    }
}

impl From<engine::Compressed> for Compressed {
    fn from(compressed: engine::Compressed) -> Self {
        Self { bytes_before: compressed.before, bytes_after: compressed.after }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::printed;
    use super::*;
    use crate::engine::FailedPositions;

    fn computed(outcome: engine::Outcome) -> Computed {
        Computed {
            process: "Sum".to_owned(),
            file: "scan.h5".into(),
            group: "/d-Sum_000".to_owned(),
            parameter_hash: String::new(),
            outcome,
            completed: 3,
            positions: 4,
            failed: FailedPositions::default(),
            report: None,
            compressed: None,
            selection: None,
            inputs: Vec::new(),
        }
    }

    #[test]
    fn what_was_not_computed_has_no_report() {
        assert_eq!(
            printed(&Run::from(&computed(engine::Outcome::Existing))),
            r#"{"outcome":"existing","process":"Sum","file":"scan.h5","group":"/d-Sum_000","parameter_hash":"","source_recorded":false,"completed":3,"positions":4,"failed":[],"failures":{"positions":0,"reasons":[]},"report":null,"compressed":null}"#
        );
    }

    #[test]
    fn a_report_is_in_seconds() {
        let rank = Tally { host: "a".to_owned(), workers: 2, positions: 3, ..Tally::default() };
        let report = engine::Report {
            positions: 3,
            bytes: 96,
            workers: 2,
            elapsed: Duration::from_millis(1500),
            read: Duration::from_secs(1),
            batches: 1,
            chunks: Some((5, 4)),
            ranks: vec![rank],
            ..engine::Report::default()
        };
        let computed = Computed {
            parameter_hash: "5a".to_owned(),
            failed: FailedPositions {
                count: 1,
                reasons: vec![("no value".to_owned(), 1)],
                listed: vec![(2, "no value".to_owned())],
            },
            report: Some(report),
            compressed: Some(engine::Compressed { before: 10, after: 7 }),
            ..computed(engine::Outcome::Stopped)
        };
        assert_eq!(
            printed(&Run::from(&computed)),
            r#"{"outcome":"stopped","process":"Sum","file":"scan.h5","group":"/d-Sum_000","parameter_hash":"5a","source_recorded":true,"completed":3,"positions":4,"failed":[{"position":2,"message":"no value"}],"failures":{"positions":1,"reasons":[{"message":"no value","positions":1}]},"report":{"positions":3,"bytes":96,"workers":2,"batches":1,"seconds":1.5,"read_seconds":1.0,"compute_seconds":0.0,"write_seconds":0.0,"wait_seconds":0.0,"mark_seconds":0.0,"chunks":4,"chunks_decoded":5,"imbalance":0.0,"ranks":[{"host":"a","positions":3,"bytes":0,"workers":2,"seconds":0.0,"read_seconds":0.0,"compute_seconds":0.0,"write_seconds":0.0,"wait_seconds":0.0}]},"compressed":{"bytes_before":10,"bytes_after":7}}"#
        );
    }
}
