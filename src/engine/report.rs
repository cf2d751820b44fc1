//! What a run tells while it goes on and when it ends.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::plan::Reads;
use crate::storage::marks::Marks;
pub use pixelmill_core::advice::Note;
use pixelmill_core::column_layout::ColumnLayout;
use pixelmill_core::error::{Error, Result};

/// Somebody who watches a run; every method has an empty default.
pub trait Observer: Sync {
    /// The run begins to compute.
    fn begin(&self, _info: &RunInfo) {}
    /// How long it will take, writing aside, by some positions that were tried; nothing is told if
    /// trying any would make it noticeably longer.
    fn estimate(&self, _estimate: Duration) {}
    /// Called several times a second.
    fn progress(&self, _progress: &Progress) {}
    /// Called at each checkpoint of a fold, and at its end.
    fn snapshot(&self, _snapshot: &Snapshot<'_>) {}
    /// Something that the user should know, but that doesn't end the run.
    fn note(&self, _note: &Note) {}
    /// The run has ended, for whatever reason; no progress follows.
    fn end(&self) {}
    /// All ranks are about to be ended by force because of this, since some of them don't end by
    /// themselves.
    fn abandoned(&self, _error: &Error) {}
}

/// Results datasets with their bytes.
type Datasets<'a> = Vec<(&'a ColumnLayout, &'a [u8])>;

/// What is folded by now, and of which positions.
pub struct Snapshot<'a> {
    /// The process that folds.
    pub process: &'a str,
    /// The results datasets that all positions are folded into, with their bytes.
    pub results: Vec<(&'a ColumnLayout, &'a [u8])>,
    /// Those that are made of what is folded for each position of the scan, with the rows of all:
    /// missing where they aren't valid yet.
    pub per_position: Vec<(&'a ColumnLayout, &'a [u8])>,
    status: &'a Marks,
}

impl<'a> Snapshot<'a> {
    pub(crate) fn new(
        process: &'a str,
        (results, per_position): (Datasets<'a>, Datasets<'a>),
        status: &'a Marks,
    ) -> Self {
        Self { process, results, per_position, status }
    }

    /// Fills `is_in` with 1 for each position from `first` on that is in, and 0 for the others.
    ///
    /// # Errors
    /// If the file can't be read.
    pub fn read_mask(&self, first: u64, is_in: &mut [u8]) -> Result<()> {
        self.status.read(first, is_in)
    }
}

/// Nobody watches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet;

impl Observer for Quiet {}

/// What is about to be computed.
#[derive(Clone, Debug)]
pub struct RunInfo {
    /// Name of the process.
    pub process: String,
    /// Path of the main dataset.
    pub dataset: String,
    /// The file that results go to.
    pub file: PathBuf,
    /// Path of the results group.
    pub group: String,
    /// Whether the group existed and is being completed.
    pub resumed: bool,
    /// Which pass over all positions begins, counted from 1, and how many there are at most, of
    /// what takes several.
    pub pass: Option<(u32, u32)>,
    /// All positions of the scan.
    pub positions: u64,
    /// Positions that this run computes.
    pub pending: u64,
    /// Values per spectrum and spectra per position.
    pub spectrum: (usize, usize),
    /// Threads that compute, on all ranks.
    pub workers: usize,
    /// Processes that compute together.
    pub ranks: usize,
    /// Nodes that the ranks are on.
    pub nodes: usize,
    /// Bytes of memory that are planned for, on each rank.
    pub memory: u64,
    /// How often each chunk of the source is read.
    pub reads: Reads,
    /// The memory budget with which that would be once.
    pub memory_for_once: u64,
}

/// How far a run is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Positions computed by this run.
    pub done: u64,
    /// Positions that this run computes.
    pub total: u64,
    /// Source bytes read by this run.
    pub bytes: u64,
    /// Positions that failed in this run.
    pub failed: u64,
    /// Time since the run began to compute.
    pub elapsed: Duration,
    /// Whether somebody has asked to stop, so that only what is in hand is finished.
    pub stopping: bool,
}

/// What a run did, and where the time went. Computations that shared a pass over the data have the
/// same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Positions computed.
    pub positions: u64,
    /// Source bytes read.
    pub bytes: u64,
    /// Threads that computed, on all ranks.
    pub workers: usize,
    /// Wall time of the computing phase.
    pub elapsed: Duration,
    /// Worker time spent reading, summed over workers.
    pub read: Duration,
    /// Worker time spent in the process's computation.
    pub compute: Duration,
    /// Worker time spent writing results.
    pub write: Duration,
    /// Worker time spent waiting for work.
    pub wait: Duration,
    /// Time that results took to get to stable storage and be marked, beside the workers.
    pub mark: Duration,
    /// Batches marked.
    pub batches: u64,
    /// Chunks that were decoded and chunks that are stored, of a source that is read chunk by
    /// chunk.
    pub chunks: Option<(u64, u64)>,
    /// What each rank did.
    pub ranks: Vec<Tally>,
}

/// What one rank did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// The machine that it ran on.
    pub host: String,
    /// Positions computed.
    pub positions: u64,
    /// Positions that failed among them.
    pub failed: u64,
    /// Source bytes read.
    pub bytes: u64,
    /// Threads that computed.
    pub workers: usize,
    /// Wall time until its last worker had nothing more to do.
    pub elapsed: Duration,
    /// Worker time spent reading, summed over workers.
    pub read: Duration,
    /// Worker time spent in the process's computation.
    pub compute: Duration,
    /// Worker time spent writing results.
    pub write: Duration,
    /// Worker time spent waiting for work.
    pub wait: Duration,
    /// Chunks that it decoded and chunks that are stored.
    pub chunks: Option<(u64, u64)>,
}

impl Report {
    /// Adds what an earlier pass over the same data did.
    pub(crate) fn follow(&mut self, before: &Self) {
        self.bytes += before.bytes;
        self.batches += before.batches;
        self.elapsed += before.elapsed;
        self.read += before.read;
        self.compute += before.compute;
        self.write += before.write;
        self.wait += before.wait;
        self.mark += before.mark;
        let decoded = before.chunks.map_or(0, |(decoded, _)| decoded);
        self.chunks = self.chunks.map(|(own, stored)| (own + decoded, stored));
    }

    /// How much earlier than the last rank the first had nothing more to do, as a part of the time
    /// of the last.
    pub fn imbalance(&self) -> f64 {
        let ends = || self.ranks.iter().map(|rank| rank.elapsed.as_secs_f64());
        let last = ends().fold(0.0, f64::max);
        if last > 0.0 { (last - ends().fold(last, f64::min)) / last } else { 0.0 }
    }

    /// Worker time in which a rank had nothing more to do while others had.
    pub fn idle(&self) -> Duration {
        let last = self.ranks.iter().map(|rank| rank.elapsed).max().unwrap_or_default();
        self.ranks.iter().map(|rank| (last - rank.elapsed) * rank.workers as u32).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imbalance_is_what_the_first_rank_waits_for_the_last() {
        let rank = |seconds, workers| Tally {
            elapsed: Duration::from_secs(seconds),
            workers,
            ..Tally::default()
        };
        let report =
            Report { ranks: vec![rank(8, 2), rank(10, 4), rank(9, 1)], ..Report::default() };
        assert_eq!(report.imbalance(), 0.2);
        assert_eq!(report.idle(), Duration::from_secs(2 * 2 + 1));
        assert_eq!(Report::default().imbalance(), 0.0);
    }
}
