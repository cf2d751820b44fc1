//! The engine: finds or makes the results group, computes what is pending, and leaves the file
//! resumable whatever happens.
//!
//! `job` opens a source for a process, `search` looks for earlier results, `target` holds the locks,
//! `prepare` makes the results group, `pipeline` runs the
//! workers over what `scheduler` hands out, `marker` marks what is on disk, `compress` compresses what is
//! complete. Their order, and
//! what a kill at each point leaves, are in this folder's README.

mod compress;
pub mod inspect;
mod job;
mod machine;
mod marker;
mod pipeline;
mod prepare;
mod probe;
mod report;
mod request;
mod scheduler;
mod search;
mod selection;
mod stop;
mod target;

use std::path::PathBuf;
use std::time::Instant;

pub use compress::Compressed;
pub use machine::available_memory;
pub(crate) use pipeline::WORKER_NAME;
pub use probe::{Place, Probe, ProbeValue, Verification, test, verify};
pub use report::{Observer, Progress, Quiet, Report, RunInfo};
pub use request::{Durability, Request};
pub use selection::Selection;
pub use stop::Stop;

pub use crate::storage::results_group::Compression;

use compress::Step;
use job::Job;
use search::Found;
use target::{RunLock, Target};

use crate::element::{Element, elements};
use crate::error::{Error, Result};
use crate::plan::{self, Needs, Plan, TileNeeds};
use crate::process::Process;
use crate::source::normalised;
use crate::storage::datatype::stored_type;
use crate::storage::file::{open_read, open_read_locked};
use crate::storage::rows::Rows;

/// A handle to the results of a computation.
#[derive(Clone, Debug)]
pub struct Computed {
    /// The file that holds the results.
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
    pub failed: Vec<(u64, String)>,
    /// What the run did; `None` if nothing had to be computed.
    pub report: Option<Report>,
    /// What compressing the results gave; `None` if nothing had to be compressed.
    pub compressed: Option<Compressed>,
}

impl Computed {
    /// All values of one of the results datasets, position by position; those that are not computed
    /// are NaN, or 0 for integers.
    ///
    /// # Errors
    /// If there is no such dataset, or its values can't become `T` without losing information.
    pub fn values<T: Element>(&self, dataset: &str) -> Result<Vec<T>> {
        let file = open_read(&self.file)?;
        let path = format!("{}/{dataset}", self.group);
        let unusable = |reason: String| Error::Results { dataset: path.clone(), reason };
        let found = file.dataset(&path).map_err(|_| unusable("there is no such dataset".into()))?;
        let stored = stored_type(&found).map_err(|held| unusable(format!("it holds {held}")))?;
        if !stored.element.converts_to(T::TYPE, false) {
            return Err(unusable(format!("{} can't become {}", stored.element, T::TYPE)));
        }
        let mut bytes = vec![0; found.size() * stored.element.size()];
        let rows = Rows::by_first_axis(&self.file, &file.raw, &found)?;
        rows.read_into(std::slice::from_ref(&(0..rows.view().count())), &mut bytes)?;
        Ok(elements(&bytes, stored, &mut Vec::new()).to_vec())
    }
}

/// How a computation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The same computation had been done before; nothing was written.
    Existing,
    /// Every position that was asked for is computed.
    Finished,
    /// It was stopped; the same command resumes it.
    Stopped,
}

/// Computes `P` as `request` says.
///
/// # Errors
/// Everything that [`Error`] lists. A file that was being computed stays resumable.
pub fn compute<P: Process>(
    parameters: &P::Parameters,
    request: &Request,
    observer: &dyn Observer,
    stop: &Stop,
) -> Result<Computed> {
    // What is available now may not be in a moment: one budget for the whole run.
    let request = &Request { memory: Some(request.memory_budget()), ..request.clone() };
    // First as a reader: results that are complete are returned even if somebody has the file
    // open, or it can't be written to; and what can't be run leaves no trace.
    let source = open_read(&request.file)?;
    let job = Job::<P>::open(parameters, &source, request)?;
    let target = Target::of(request, &job);
    let step = Step { job: &job, request, target: &target, source: &source, observer, stop };
    if let Found::Complete(found) = search::find(&job, request, &target, &source, None, &Quiet)? {
        return step.finish(None, *found);
    }
    let plan = plan_run(&job, request)?;
    let lock = RunLock::claim(&target, observer)?;
    let look = |observer: &dyn Observer| {
        let source = open_read_locked(&request.file)?;
        let found = search::find(&job, request, &target, &source, Some(&lock), observer)?;
        Ok((source, found))
    };
    let (mut view, mut found) = look(observer)?;
    if matches!(found, Found::Foreign { .. } | Found::Nothing) {
        // Metadata has to change: look again when nobody else has the file, then change it.
        let made = lock.alone(&source, || {
            let (view, found) = look(&Quiet)?;
            job.source.check_in_place(&view)?;
            let found = prepare::make_ready(&job, &target, &lock, &view, found)?;
            Ok((view, found))
        });
        if made.is_err() {
            lock.abandon();
        }
        (view, found) = made?;
    }
    let (path, resumed) = match found {
        Found::Complete(computed) => return step.finish(Some(lock), *computed),
        Found::Partial { path } => (path, true),
        Found::Created { path } => (path, false),
        Found::Foreign { .. } | Found::Nothing => {
            unreachable!("what isn't ready has been made ready with the file locked")
        }
    };
    let group = prepare::take(&job, request, &lock, &view, path, resumed)?;
    observer.begin(&group.info(&job, &target, &plan));
    let computed = pipeline::run(&job, &group, &plan, request, &lock, observer, stop)?;
    step.finish(Some(lock), computed)
}

fn plan_run<P: Process>(job: &Job<P>, request: &Request) -> Result<Plan> {
    let source = &job.source;
    let memory = request.memory_budget();
    let needs = Needs {
        row_bytes: source.row_bytes() as u64,
        converted_bytes: source.info.spectral_points as u64 * size_of::<P::Input>() as u64,
        auxiliary_bytes: job.auxiliary.iter().map(|input| input.columns as u64 * 8).sum(),
        results_bytes: (job.results.bytes_per_spectrum() * job.spectra) as u64 + 2,
        extra_bytes: P::extra_memory_per_position(&job.parameters, &source.info) as u64,
        fixed_bytes: source.info.positions * 2 + source.grid.bytes() + source.rows.table_bytes(),
        tiles: source.rows.tiles().map(|tiles| TileNeeds {
            cell: tiles.cell(),
            row_bytes: tiles.block_row_bytes(),
            worker_bytes: tiles.worker_bytes(),
            tiles_per_cell: tiles.per_cell(),
        }),
        workers: plan::cores(machine::available_cores(), request.cores) as u64,
        memory,
    };
    plan::plan(&needs).map_err(|needed| Error::TooLittleMemory { memory, needed })
}

/// The results group that `path` names in a file: its whole path, or only its name.
pub(crate) fn names_group(path: &str, wanted: &str) -> bool {
    path == normalised(wanted) || path.rsplit('/').next() == Some(wanted.trim_matches('/'))
}

/// Seconds since `begun`.
fn seconds_since(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64()
}
