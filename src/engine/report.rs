//! What a run tells while it goes on and when it ends.

use std::path::PathBuf;
use std::time::Duration;

/// Somebody who watches a run; every method has an empty default.
pub trait Observer: Sync {
    /// The run begins to compute.
    fn begin(&self, _info: &RunInfo) {}
    /// Called several times a second.
    fn progress(&self, _progress: &Progress) {}
    /// Something that the user should know, but that doesn't end the run.
    fn note(&self, _text: &str) {}
    /// The run has ended, for whatever reason; no progress follows.
    fn end(&self) {}
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
    /// All positions of the scan.
    pub positions: u64,
    /// Positions that this run computes.
    pub pending: u64,
    /// Values per spectrum and spectra per position.
    pub spectrum: (usize, usize),
    /// Threads that compute.
    pub workers: usize,
    /// Bytes of memory that are planned for.
    pub memory: u64,
    /// How often each chunk of the source is read.
    pub reads_per_tile: u64,
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

/// What a run did, and where the time went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Positions computed.
    pub positions: u64,
    /// Source bytes read.
    pub bytes: u64,
    /// Threads that computed.
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
    /// Chunks that were decoded and chunks that are stored, of a source that is read chunk by chunk.
    pub chunks: Option<(u64, u64)>,
}
