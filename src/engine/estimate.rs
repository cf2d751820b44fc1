//! How long a run would take, by some positions that are computed without a trace.
//!
//! The estimate goes by what reading and computing took them, one after the other. The first is
//! left out if there are more: it also pays for what is done once.

use std::time::{Duration, Instant};

use super::job::{Job, Workspace};
use super::pending::Pending;
use super::workers::Workers;
use crate::neighbourhood::Neighbourhood;
use crate::plan::{Plan, Reads};
use pixelmill_core::error::Result;

/// Positions that are tried at most.
const TRIED: u64 = 8;
/// Before a run only so many of its positions are tried: one of this many that each worker has.
const OF_A_RUN: u64 = 500;
/// No further one is tried after this time.
const TRYING: Duration = Duration::from_secs(1);
/// How far from where one is wanted a pending one is looked for.
const NEAR: u64 = 4096;

/// Times of one position.
#[derive(Clone, Copy, Default)]
pub(super) struct Took {
    read: Duration,
    compute: Duration,
}

impl Took {
    pub fn together(self) -> Duration {
        self.read + self.compute
    }
}

/// How long a position takes, whose results are in the workspace then.
pub(super) fn measured<'j>(
    job: &'j Job,
    position: u64,
    workspace: &mut Workspace<'j>,
) -> Result<Took> {
    let (run, begun) = (position..position + 1, Instant::now());
    let rows = job.read(&job.source.rows, std::slice::from_ref(&run), workspace)?;
    let (read, begun) = (begun.elapsed(), Instant::now());
    job.compute(rows, workspace);
    Ok(Took { read, compute: begun.elapsed() })
}

/// Times of some positions, spread over the scan, the first of them twice.
pub(super) fn tried(job: &Job) -> Result<Vec<Took>> {
    let positions = job.source.info.positions;
    let apart = positions.div_ceil(TRIED).max(1);
    let chosen = std::iter::once(0).chain((0..positions).step_by(apart as usize));
    timed(job, &job.workers, chosen.collect())
}

/// How long a run over the `pending` positions will take, so many of them on so many `workers` of
/// all ranks; `None` if trying some on these `threads` would make it noticeably longer, or nothing
/// can be told.
pub(super) fn before_run(
    (job, plan): (&Job, &Plan),
    (pending, count): (&Pending<'_>, u64),
    (threads, workers): (&Workers, usize),
) -> Option<Duration> {
    // A tile is read for a single position, and neighbours may lie in the next ones.
    let cell = job.source.rows.tiles().map_or(1, |tiles| tiles.cell().iter().product::<u64>());
    let each = if job.neighbourhood.is_some() { 4 * cell } else { cell };
    let most = (count / each.max(1) / workers.max(1) as u64 / OF_A_RUN).min(TRIED);
    if most < 2 {
        return None;
    }
    let apart = pending.positions().div_ceil(most);
    let near = (0..most).filter_map(|number| {
        let first = number * apart;
        let near = pending.runs(&(first..pending.positions().min(first + NEAR))).ok()?;
        near.first().map(|run| run.start)
    });
    let times = timed(job, threads, near.collect()).ok().filter(|times| !times.is_empty())?;
    Some(estimated(&times, (job, plan), (count, workers)))
}

fn timed(job: &Job, threads: &Workers, positions: Vec<u64>) -> Result<Vec<Took>> {
    let begun = Instant::now();
    threads.install(|| {
        let (mut times, mut workspace) = (Vec::new(), job.workspace());
        for position in positions {
            times.push(measured(job, position, &mut workspace)?);
            if begun.elapsed() > TRYING {
                break;
            }
        }
        Ok(times)
    })
}

/// How long so many positions would take. A tile is read for all of its positions at once, as often
/// as memory makes it necessary, and a neighbour for all that have it.
pub(super) fn estimated(
    times: &[Took],
    (job, plan): (&Job, &Plan),
    (positions, workers): (u64, usize),
) -> Duration {
    let typical = if times.len() > 1 { &times[1..] } else { times };
    let mean = |of: fn(&Took) -> Duration| {
        typical.iter().map(of).sum::<Duration>().as_secs_f64() / typical.len().max(1) as f64
    };
    let position = mean(|took| took.read) / read_together(job, plan) + mean(|took| took.compute);
    let seconds = position * positions as f64 / workers.max(1) as f64;
    Duration::from_secs_f64(seconds.min(1e15))
}

/// How many positions get what is read for one.
fn read_together(job: &Job, plan: &Plan) -> f64 {
    let together = match (job.source.rows.tiles(), job.reads(plan)) {
        (Some(tiles), reads) => {
            let cell = tiles.cell().iter().product::<u64>();
            let times = if let Reads::Times(times) = reads { times } else { 1 };
            cell as f64 / times.max(1) as f64
        }
        (None, _) => job.neighbourhood.as_ref().map_or(1.0, Neighbourhood::shared),
    };
    together.max(1.0)
}
