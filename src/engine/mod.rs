//! The engine: finds or makes the results group, computes what is pending, and leaves the file
//! resumable whatever happens.
//!
//! It runs kernels, and knows none by name or type. `job` opens a source for one, `search` looks
//! for earlier results, `target` holds the locks, `prepare` makes the results group, `pass` puts
//! computations together that go over the same data, `workers` are the threads, `compute_loop` runs
//! them over what `supply` and `scheduler` hand out, `sink` stores what they make of it, `marker`
//! marks what is on disk, `compress` compresses what is complete.
//! `fold` is what is other where all spectra are folded into one answer; `spectra` is a source that
//! is only looked at, `results` what there is of results.
//! `lead` is their order on the first rank, with `crew` for the time in which all compute; `follow`
//! is what the other ranks do, and `team` what they tell each other. What a kill at each point
//! leaves is in this folder's README.

mod around;
pub(crate) mod batch;
mod begun;
mod carrier;
mod compared;
mod compress;
mod compute_loop;
mod computed;
mod correction_paths;
mod corrections;
mod crew;
mod data;
mod estimate;
mod evidence;
mod export;
pub(crate) mod failure_lines;
pub(crate) mod failures;
mod fold;
mod follow;
mod gathering;
mod inexact;
mod inputs;
pub mod inspect;
mod job;
mod lead;
pub(crate) mod ledger;
mod machine;
mod marker;
mod member;
pub(crate) mod named;
mod narration;
mod pass;
mod pending;
mod prepare;
mod probe;
mod recipe;
mod recorded;
mod rehearsal;
mod removal;
mod report;
mod request;
mod reread;
mod results;
mod rows_read;
mod sample;
pub(crate) mod scheduler;
pub(crate) mod sealed;
mod search;
pub(crate) mod selection;
pub mod shown;
mod sight;
mod sink;
mod spectra;
mod stop;
mod supply;
mod taken;
mod target;
mod team;
mod verification;
mod workers;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use log::debug;
use serde::{Deserialize, Serialize};

pub use compress::Compressed;
pub use correction_paths::CorrectionPaths;
pub use export::{ExportRequest, Exported, Progressed, export};
pub use failures::FailedPositions;
pub use inputs::{InputPlace, LiesIn};
pub use machine::available_memory;
pub use probe::{Pixel, Probe, ProbeSpectrum, ProbeValue, test};
pub use recipe::{Recipe, recipes, recorded_difference};
pub use rehearsal::{
    Beginning, Rehearsal, ResultsDataset, check, rehearse, rehearse_all, results_datasets,
};
pub use removal::{GoingGroup, Removal};
pub use report::{Note, Observer, Progress, Quiet, Report, RunInfo, Snapshot, Tally};
pub use request::{Cache, Durability, Request, memory_size};
pub use results::ResultsInfo;
pub use sample::{Sample, sample};
pub use selection::{OpenRange, Selection};
pub use spectra::Spectra;
pub use stop::Stop;
pub use verification::{Different, Verification, verify};
pub use workers::{WORKER_NAME, cores};

pub use crate::ranks::Ranks;
pub use crate::source::{Along, Crop};
pub use crate::storage::results_group::Compression;

pub(crate) use inexact::is_inexact;
use job::Job;
use team::Team;

use crate::storage::cache;
use pixelmill_core::error::{Error, Result};
use pixelmill_core::kernel::Kernel;

/// A handle to the results of a computation, which [`Self::array`] reads.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Computed {
    /// The name of the process.
    pub process: String,
    /// The file that holds the results.
    #[serde(with = "team::any_path")]
    pub file: PathBuf,
    /// Path of the results group in it.
    pub group: String,
    /// Hash of everything that the results depend on; empty for results of another program.
    pub parameter_hash: String,
    /// How it came about.
    pub outcome: Outcome,
    /// Positions whose results are on disk.
    pub completed: u64,
    /// All positions of the scan.
    pub positions: u64,
    /// Positions that failed, with their reason, as far as completed.
    pub failed: FailedPositions,
    /// What the run did; `None` if nothing had to be computed.
    pub report: Option<Report>,
    /// What compressing the results gave; `None` if nothing had to be compressed.
    pub compressed: Option<Compressed>,
    /// Which positions were asked for, as [`Selection`] is written, with the seed of those by
    /// chance; `None` if all were.
    pub selection: Option<String>,
    /// Where the inputs were found that were computed with besides the source.
    pub inputs: Vec<InputPlace>,
}

/// How a computation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The same computation had been done before; nothing was written.
    Existing,
    /// Every position that was asked for is computed.
    Finished,
    /// It was stopped; the same command resumes it.
    Stopped,
}

/// Computes what a kernel computes, as `request` says. Of several ranks, all call this with the
/// same arguments; the observer of rank 0 is told of all.
///
/// # Errors
/// Everything that [`Error`] lists. A file that was being computed stays resumable.
pub fn compute(
    kernel: &Arc<dyn Kernel>,
    request: &Request,
    observer: &dyn Observer,
    stop: &Stop,
) -> Result<Computed> {
    let asked = Asked::new(Arc::clone(kernel), request.clone());
    let mut computed = compute_all(vec![asked], observer, stop)?;
    Ok(computed.remove(0))
}

/// A computation that is asked for: a kernel, what it is to compute on, and how.
#[derive(Clone)]
pub struct Asked {
    /// What computes.
    pub kernel: Arc<dyn Kernel>,
    /// On what, and how.
    pub request: Request,
    /// Those that are asked for before it and of whose results it takes some, as [`begin_all`]
    /// tells of them; none if all are there that it takes.
    pub after: Vec<Computed>,
}

impl Asked {
    /// A kernel, what it is to compute on, and how. What it takes is there.
    pub fn new(kernel: Arc<dyn Kernel>, request: Request) -> Self {
        Self { kernel, request, after: Vec::new() }
    }
}

/// Computes several things of the same file, in one pass over the data as far as that can be: what
/// is read and decoded is so once. Each has results, an identity and a way to be resumed of its
/// own, as if it had been computed alone, and the same values; they come in the order in which they
/// are asked for.
///
/// What computes with neighbours has a pass of its own, and what there isn't enough memory for.
/// The file, the ranks, their cores and memory, and how often and for what is marked are those that
/// are asked for first.
///
/// # Errors
/// As [`compute`]; nothing may be asked for twice.
pub fn compute_all(
    asked: Vec<Asked>,
    observer: &dyn Observer,
    stop: &Stop,
) -> Result<Vec<Computed>> {
    let Some(first) = asked.first() else { return Ok(Vec::new()) };
    let cache = first.request.cache;
    let computed = led(asked, lead::lead, observer, stop);
    if let (Ok(computed), Cache::Drop) = (&computed, cache) {
        computed.iter().for_each(|computed| cache::forget(&computed.file));
    }
    computed
}

/// Makes the results groups of some computations ready, and computes nothing: so that others can
/// be asked for together with them which take of their results, position by position.
///
/// # Errors
/// As [`compute_all`].
pub fn begin_all(asked: Vec<Asked>, observer: &dyn Observer, stop: &Stop) -> Result<Vec<Computed>> {
    if asked.is_empty() { Ok(Vec::new()) } else { led(asked, lead::begin, observer, stop) }
}

/// Has something done by all ranks, of which the first leads.
fn led(
    asked: Vec<Asked>,
    lead: impl FnOnce(&[Asked], &dyn Observer, &Stop, Team<'_>) -> Result<Vec<Computed>>,
    observer: &dyn Observer,
    stop: &Stop,
) -> Result<Vec<Computed>> {
    let request = asked[0].request.clone();
    let team = Team::new(&request);
    debug!(
        "pixelmill {}, process {} on {}",
        env!("CARGO_PKG_VERSION"),
        std::process::id(),
        crate::ranks::host()
    );
    // What is available now may not be in a moment: one budget for the whole run.
    let memory = Some(team.memory_budget(&request));
    let with_recorded = |Asked { kernel, request, after }: Asked| {
        let request = recorded::with_recorded(&request, kernel.name());
        Asked { kernel, request: Request { memory, ..request }, after }
    };
    let asked: Vec<Asked> = asked.into_iter().map(with_recorded).collect();
    let computed = if team.rank() == 0 {
        lead(&asked, observer, stop, team)
    } else {
        follow::follow(&asked, stop, team)
    };
    computed.map_err(|error| match error {
        Error::RankLeft { rank, host, why, .. } => {
            let during = asked.iter().map(|asked| asked.kernel.name()).collect::<Vec<_>>();
            Error::RankLeft { rank, host, during: during.join(", "), why }
        }
        other => other,
    })
}

/// Seconds since `begun`.
fn seconds_since(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64()
}
