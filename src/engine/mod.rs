//! The engine: finds or makes the results group, computes what is pending, and leaves the file
//! resumable whatever happens.
//!
//! It runs kernels, and knows none by name or type. `job` opens a source for one, `search` looks
//! for earlier results, `target` holds the locks, `prepare` makes the results group, `workers` are
//! the threads, `compute_loop` runs them over what `supply` and `scheduler` hand out, `sink` stores
//! what they make of it, `marker` marks what is on disk, `compress` compresses what is complete.
//! `fold` is what is other where all spectra are folded into one answer.
//! `lead` is their order on the first rank, with `crew` for the time in which all compute; `follow`
//! is what the other ranks do, and `team` what they tell each other. What a kill at each point
//! leaves is in this folder's README.

mod around;
pub(crate) mod batch;
mod compared;
mod compress;
mod compute_loop;
mod correction_paths;
mod corrections;
mod crew;
mod data;
mod estimate;
mod evidence;
pub(crate) mod failure_lines;
pub(crate) mod failures;
mod fold;
mod follow;
mod inexact;
mod inputs;
pub mod inspect;
mod job;
mod lead;
pub(crate) mod ledger;
mod machine;
mod marker;
pub(crate) mod named;
mod narration;
mod pending;
mod prepare;
mod probe;
mod recorded;
mod rehearsal;
mod report;
mod request;
mod reread;
mod results;
mod sample;
pub(crate) mod scheduler;
pub(crate) mod sealed;
mod search;
pub(crate) mod selection;
mod sight;
mod sink;
mod stop;
mod supply;
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
pub use failures::FailedPositions;
pub use inputs::{InputPlace, LiesIn};
pub use machine::available_memory;
pub use probe::{Pixel, Probe, ProbeSpectrum, ProbeValue, test};
pub use rehearsal::{Beginning, Rehearsal, rehearse};
pub use report::{Note, Observer, Progress, Quiet, Report, RunInfo, Snapshot, Tally};
pub use request::{Cache, Durability, Request};
pub use sample::{Sample, sample};
pub use selection::{OpenRange, Selection};
pub use stop::Stop;
pub use verification::{Different, Verification, verify};
pub use workers::WORKER_NAME;

pub use crate::ranks::Ranks;
pub use crate::source::{Along, Crop};
pub use crate::storage::results_group::Compression;

pub(crate) use inexact::is_inexact;
use inputs::AuxiliaryReader;
use job::Job;
use selection::Selected;
use team::Team;

use crate::neighbourhood::{MostRows, Neighbourhood};
use crate::plan::{self, Needs, Plan, TileNeeds};
use crate::storage::cache;
use pixelmill_core::column_layout::ColumnLayout;
use pixelmill_core::corrections::Corrections;
use pixelmill_core::error::{Error, Result};
use pixelmill_core::kernel::Kernel;

/// A handle to the results of a computation, which [`Self::array`] reads.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Computed {
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
    let team = Team::new(request);
    debug!(
        "pixelmill {}, process {} on {}",
        env!("CARGO_PKG_VERSION"),
        std::process::id(),
        crate::ranks::host()
    );
    // What is available now may not be in a moment: one budget for the whole run.
    let memory = Some(team.memory_budget(request));
    let request = &Request { memory, ..recorded::with_recorded(request, kernel.name()) };
    let computed = if team.rank() == 0 {
        lead::lead(kernel, request, observer, stop, team)
    } else {
        follow::follow(kernel, request, stop, team)
    };
    if let (Ok(computed), Cache::Drop) = (&computed, request.cache) {
        cache::forget(&computed.file);
    }
    computed
}

/// Bytes that windows of the status, of failed and of pending positions take at most.
const WINDOWS: u64 = 24 << 20;

/// Plans what one rank does with its workers and its memory on the positions that are `selected`;
/// `agreed` are the blocks that all ranks read by.
fn plan_run(
    job: &Job,
    memory: u64,
    workers: usize,
    agreed: Option<&[u64]>,
    selected: Option<&Selected>,
) -> Result<Plan> {
    let source = &job.source;
    let info = &source.info;
    let axes = info.position_dimensions.iter().chain(&info.spectroscopic_dimensions);
    let results: usize = job.prepared.columns().iter().map(ColumnLayout::spectrum_bytes).sum();
    let around = job.neighbourhood.as_ref();
    let row = source.row_bytes() as u64 + source.rows.aside_bytes();
    let neighbour = job.neighbour_bytes();
    let most = around.map_or(MostRows { each: 1, beside: 0 }, Neighbourhood::most_rows);
    let scan = source.rows.view().position_shape();
    let needs = Needs {
        positions: info.positions,
        row_bytes: row * most.each,
        kernel_bytes: job.kernel_bytes()
            + neighbour * most.each
            + around.map_or(0, Neighbourhood::table_bytes),
        auxiliary_bytes: job.inputs.auxiliary.iter().map(AuxiliaryReader::position_bytes).sum(),
        results_bytes: (results * job.spectra) as u64 + 2,
        fixed_bytes: (source.info.positions * 2).min(WINDOWS)
            + source.grid.bytes()
            + axes.map(|axis| axis.values.bytes()).sum::<u64>()
            + source.rows.table_bytes()
            + job.inputs.auxiliary.iter().map(AuxiliaryReader::table_bytes).sum::<u64>()
            + job.inputs.constant_bytes()
            + job.corrections.as_ref().map_or(0, Corrections::memory)
            + selected.map_or(0, Selected::memory),
        worker_bytes: job.inputs.auxiliary.iter().map(AuxiliaryReader::tile_bytes).sum::<u64>()
            + most.beside * (row + neighbour),
        worthwhile: around.map_or(1, |around| around.worthwhile(row + neighbour)),
        tiles: source.rows.tiles().map(|tiles| TileNeeds {
            cell: tiles.cell(),
            row_bytes: tiles.block_row_bytes(),
            worker_bytes: tiles.worker_bytes(),
            tiles_per_cell: tiles.per_cell(),
            agreed: agreed.map(<[u64]>::to_vec),
            reach: around.map(|around| around.reach_on(scan.len())),
            scan: scan.clone(),
        }),
        workers: workers as u64,
        memory,
    };
    narration::needs(&needs);
    if let Some(geometry) = &job.geometry {
        return fold::plan(job, geometry, (memory, workers), needs.fixed_bytes)
            .map_err(|needed| Error::TooLittleMemory { memory, needed });
    }
    plan::plan(&needs).map_err(|needed| Error::TooLittleMemory { memory, needed })
}

/// Seconds since `begun`.
fn seconds_since(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64()
}
