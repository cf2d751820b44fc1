//! Some positions computed without a trace, and how long all of them would take.
//!
//! The estimate goes by what reading and computing took here, one position after the other. The
//! first is left out if there are more: it also pays for what is done once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::data::Data;
use super::job::Job;
use super::probe::{Probe, probed};
use super::search::selected;
use super::{Request, plan_run};
use crate::plan::Plan;
use crate::storage::file::{ReadFile, open_read};
use crate::storage::marks::windows;
use pixelmill_core::error::{Error, Result};
use pixelmill_core::kernel::Kernel;
use pixelmill_core::positions::runs;

/// Positions that are tested at most.
const MOST: usize = 10_000;

/// Some positions, and what a run over all would take.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Each with its results, without what was measured there, and the time that it took.
    pub probes: Vec<(Probe, Duration)>,
    /// All positions of the scan.
    pub positions: u64,
    /// Threads that a run would have.
    pub workers: usize,
    /// Bytes of memory that it would plan for.
    pub memory: u64,
    /// How long it would take, writing aside.
    pub estimate: Duration,
}

/// Times of one position.
#[derive(Clone, Copy, Default)]
pub(super) struct Took {
    read: Duration,
    compute: Duration,
}

/// Computes the positions that `request` selects and writes nothing.
///
/// # Errors
/// If they can't be selected or are too many, or the source doesn't fit the process.
pub fn sample(kernel: &Arc<dyn Kernel>, request: &Request) -> Result<Sample> {
    let file = open_read(&request.file)?;
    let job = Job::open(kernel, &file, request, Data::Hashed)?;
    let workers = job.workers.cores();
    let plan = plan_run(&job, request.memory_budget(1), workers, None, None)?;
    let chosen = chosen(&job, request, &file)?;
    let taken = job.workers.install(|| {
        let measured = chosen.into_iter().map(|position| measured(&job, position));
        measured.collect::<Result<Vec<(Probe, Took)>>>()
    })?;
    let times: Vec<Took> = taken.iter().map(|(_, took)| *took).collect();
    let together = |(probe, took): (Probe, Took)| (probe, took.read + took.compute);
    Ok(Sample {
        positions: job.source.info.positions,
        workers,
        memory: plan.memory,
        estimate: estimated(&times, &job, &plan, job.source.info.positions),
        probes: taken.into_iter().map(together).collect(),
    })
}

/// The positions that are asked for.
fn chosen(job: &Job, request: &Request, file: &ReadFile) -> Result<Vec<u64>> {
    let (positions, selected) = (job.source.info.positions, selected(job, request, file)?);
    let mut chosen = Vec::new();
    for window in windows(positions) {
        let mut marks = vec![1; (window.end - window.start) as usize];
        if let Some(selected) = &selected {
            selected.narrow(&job.source.grid, window.start, &mut marks)?;
        }
        chosen.extend(runs::of_marks(window.start, &marks).flatten().take(MOST + 1));
        if chosen.len() > MOST {
            return Err(Error::selection(format!("more than {MOST} are too many to test")));
        }
    }
    Ok(chosen)
}

/// A position with its results, and how long it took.
pub(super) fn measured(job: &Job, position: u64) -> Result<(Probe, Took)> {
    let mut workspace = job.workspace();
    let (run, begun) = (position..position + 1, Instant::now());
    let rows = job.read(&job.source.rows, std::slice::from_ref(&run), &mut workspace)?;
    let (read, begun) = (begun.elapsed(), Instant::now());
    job.compute(rows, &mut workspace);
    let took = Took { read, compute: begun.elapsed() };
    Ok((probed(job, position, &workspace.results, Vec::new()), took))
}

/// How long so many positions would take. A tile is read for all of its positions at once, as often
/// as memory makes it necessary.
pub(super) fn estimated(times: &[Took], job: &Job, plan: &Plan, positions: u64) -> Duration {
    let typical = if times.len() > 1 { &times[1..] } else { times };
    let mean = |of: fn(&Took) -> Duration| {
        typical.iter().map(of).sum::<Duration>().as_secs_f64() / typical.len().max(1) as f64
    };
    let per_read = match (job.source.rows.tiles(), &plan.blocks) {
        (Some(tiles), Some(blocks)) => {
            let together = tiles.cell().iter().product::<u64>() as f64;
            let times = if tiles.are_indivisible() { blocks.parts } else { 1 };
            together / times.max(1) as f64
        }
        _ => 1.0,
    };
    let position = mean(|took| took.read) / per_read.max(1.0) + mean(|took| took.compute);
    let seconds = position * positions as f64 / plan.workers.max(1) as f64;
    Duration::from_secs_f64(seconds.min(1e15))
}
