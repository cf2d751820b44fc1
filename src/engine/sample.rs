//! Some positions computed without a trace, and how long all of them would take.

use std::sync::Arc;
use std::time::Duration;

use super::Request;
use super::data::Data;
use super::estimate::{Took, estimated, measured, tried};
use super::job::Job;
use super::pass::Pass;
use super::probe::{Probe, probed};
use super::search::selected;
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

/// Computes the positions that `request` selects and writes nothing.
///
/// # Errors
/// If they can't be selected or are too many, or the source doesn't fit the process.
pub fn sample(kernel: &Arc<dyn Kernel>, request: &Request) -> Result<Sample> {
    let file = open_read(&request.file)?;
    let job = Job::open(kernel, &file, request, &Data::default())?;
    if job.geometry.is_some() {
        let (process, dataset) = (kernel.name().to_owned(), job.source.info.path);
        let reason = "positions have no results of their own: test one, or run it on some";
        return Err(Error::Unsuitable { process, dataset, reason: reason.to_owned() });
    }
    let workers = job.workers.cores();
    let plan = Pass::alone(&job, None).plan(request.memory_budget(1), workers, None)?;
    let chosen = chosen(&job, request, &file)?;
    let taken = job.workers.install(|| {
        let mut workspace = job.workspace();
        let measured = chosen.into_iter().map(|position| {
            let took = measured(&job, position..position + 1, &mut workspace)?;
            Ok((probed(&job, position, &workspace.results, Vec::new()), took))
        });
        measured.collect::<Result<Vec<(Probe, Took)>>>()
    })?;
    // Single positions don't tell what those take that share their neighbours.
    let times: Vec<Took> = match &job.neighbourhood {
        Some(_) => tried(&job, &plan)?,
        None => taken.iter().map(|(_, took)| *took).collect(),
    };
    let together = |(probe, took): (Probe, Took)| (probe, took.together());
    Ok(Sample {
        positions: job.source.info.positions,
        workers,
        memory: plan.memory,
        estimate: estimated(&times, (&job, &plan), (job.source.info.positions, plan.workers)),
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
