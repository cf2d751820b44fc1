//! How long a run would take, by some positions that are computed without a trace.
//!
//! The estimate goes by what reading and computing took them, one after the other; where positions
//! are computed with their neighbours, which follow each other, by some units. The first is left
//! out if there are more: it also pays for what is done once.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::job::{Job, Workspace};
use super::pending::Pending;
use super::rows_read::RowsRead;
use super::workers::Workers;
use crate::plan::{Plan, Reads};
use pixelmill_core::chunk_io::ReadChunk;
use pixelmill_core::error::Result;

/// Positions that are tried at most.
const TRIED: u64 = 8;
/// Before a run only so many of its positions are tried: one of this many that each worker has.
const OF_A_RUN: u64 = 500;
/// No further one is tried after this time.
const TRYING: Duration = Duration::from_secs(1);
/// How far from where one is wanted a pending one is looked for.
const NEAR: u64 = 4096;

/// What one of some positions took.
#[derive(Clone, Copy, Default)]
pub(super) struct Took {
    read: Duration,
    compute: Duration,
    /// Chunks that were decoded for it.
    chunks: f64,
}

impl Took {
    pub fn together(self) -> Duration {
        self.read + self.compute
    }
}

/// What each of some positions takes, whose results are in the workspace then.
pub(super) fn measured<'j>(
    job: &'j Job,
    run: Range<u64>,
    workspace: &mut Workspace<'j>,
) -> Result<Took> {
    measured_of(job, &job.source.rows, run, workspace)
}

fn measured_of<'j>(
    job: &'j Job,
    source: &dyn ReadChunk,
    run: Range<u64>,
    workspace: &mut Workspace<'j>,
) -> Result<Took> {
    let decoded = || job.source.rows.chunks_decoded().map_or(0, |(decoded, _)| decoded);
    let (count, before, begun) = ((run.end - run.start) as u32, decoded(), Instant::now());
    let rows = job.read(source, std::slice::from_ref(&run), workspace)?;
    let (read, begun) = (begun.elapsed() / count, Instant::now());
    let chunks = (decoded() - before) as f64 / f64::from(count);
    job.compute(rows, workspace);
    Ok(Took { read, compute: begun.elapsed() / count, chunks })
}

/// What some positions took, spread over the scan, the first of them twice.
pub(super) fn tried(job: &Job, plan: &Plan) -> Result<Vec<Took>> {
    let positions = job.source.info.positions;
    let apart = positions.div_ceil(TRIED).max(1);
    let chosen = std::iter::once(0).chain((0..positions).step_by(apart as usize));
    timed((job, plan), &job.workers, chosen.collect())
}

/// How long computing so many positions takes a worker, by the first, which is read once and tried
/// twice; nothing if that can't be.
pub(super) fn of_positions(job: &Job, count: u64) -> Duration {
    let tried = || -> Result<Took> {
        let (run, mut workspace) = (0..1, job.workspace());
        let mut row = vec![0; job.source.row_bytes()];
        job.source.rows.read_into(std::slice::from_ref(&run), &mut row)?;
        let read = RowsRead::new(&[0], std::iter::once(row.as_slice()));
        measured_of(job, &read, run.clone(), &mut workspace)?;
        measured_of(job, &read, run, &mut workspace)
    };
    let each = job
        .tried
        .get_or_init(|| job.workers.install(tried).map_or(Duration::ZERO, |took| took.compute));
    Duration::from_secs_f64((each.as_secs_f64() * count as f64).min(1e9))
}

/// How many positions are tried together.
fn together(job: &Job, plan: &Plan) -> u64 {
    if job.neighbourhood.is_some() { plan.unit.min(u64::from(u32::MAX)) } else { 1 }
}

/// How long a run over the `pending` positions will take, so many of them on so many `workers` of
/// all ranks; `None` if trying some on these `threads` would make it noticeably longer, or nothing
/// can be told.
pub(super) fn before_run(
    (job, plan): (&Job, &Plan),
    (pending, count): (&Pending<'_>, u64),
    (threads, workers): (&Workers, usize),
) -> Option<Duration> {
    if job.geometry.is_some() {
        // No position is folded by itself.
        return None;
    }
    // A tile is read for a single position, and neighbours may lie in the next ones.
    let cell = job.positions_of_tile();
    let each = if job.neighbourhood.is_some() { 4 * cell } else { cell };
    let each = each.max(together(job, plan)).max(1);
    let most = (count / each / workers.max(1) as u64 / OF_A_RUN).min(TRIED);
    if most < 2 {
        return None;
    }
    let apart = pending.positions().div_ceil(most);
    let near = (0..most).filter_map(|number| {
        let first = number * apart;
        let near = pending.runs(&(first..pending.positions().min(first + NEAR))).ok()?;
        near.first().map(|run| run.start)
    });
    let times =
        timed((job, plan), threads, near.collect()).ok().filter(|times| !times.is_empty())?;
    Some(estimated(&times, (job, plan), (count, workers)))
}

fn timed((job, plan): (&Job, &Plan), threads: &Workers, positions: Vec<u64>) -> Result<Vec<Took>> {
    let begun = Instant::now();
    let (together, all) = (together(job, plan), job.source.info.positions);
    threads.install(|| {
        let (mut times, mut workspace) = (Vec::new(), job.workspace());
        for position in positions {
            let run = position..all.min(position.saturating_add(together));
            times.push(measured(job, run, &mut workspace)?);
            if begun.elapsed() > TRYING {
                break;
            }
        }
        Ok(times)
    })
}

/// How long so many positions would take. A tile is read for all of its positions at once, as often
/// as memory makes it necessary.
pub(super) fn estimated(
    times: &[Took],
    (job, plan): (&Job, &Plan),
    (positions, workers): (u64, usize),
) -> Duration {
    let typical = if times.len() > 1 { &times[1..] } else { times };
    let mean =
        |of: fn(&Took) -> f64| typical.iter().map(of).sum::<f64>() / typical.len().max(1) as f64;
    let chunks = mean(|took| took.chunks);
    let rows = &job.source.rows;
    let times = if let Reads::Times(times) = job.reads(plan) { times as f64 } else { 1.0 };
    let together = match (rows.chunks_decoded(), rows.tiles()) {
        (Some((_, stored)), _) if chunks > 0.0 => {
            chunks * job.source.info.positions as f64 / (stored as f64 * times).max(1.0)
        }
        (None, Some(_)) => job.positions_of_tile() as f64 / times,
        _ => 1.0,
    };
    let read = mean(|took| took.read.as_secs_f64()) / together.max(1.0);
    let position = read + mean(|took| took.compute.as_secs_f64());
    let seconds = position * positions as f64 / workers.max(1) as f64;
    Duration::from_secs_f64(seconds.min(1e15))
}
