//! The computing phase: workers that read, compute and write units of work, the marker beside
//! them, and the caller's thread, which tells the observer how far the run is.
//!
//! HDF5 is closed meanwhile, but for sources that only the library can read and the moments in which
//! the marker brings `last_pixel` up to date.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::job::{Job, Workspace, count};
use super::marker::Marker;
use super::prepare::Pending;
use super::scheduler::{Portion, Scheduler, Supply, Ticket};
use super::search::{count_done, failures};
use super::target::RunLock;
use super::{Computed, Observer, Outcome, Progress, Report, Request, Stop};
use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::process::{Process, ReadChunk, WriteChunk};
use crate::source::fingerprint;
use crate::storage::file::write_in_place;
use crate::storage::results_group::Place;
use crate::view::{self, Blocks};

/// How often the observer is told.
const TICK: Duration = Duration::from_millis(100);
/// What the names of worker threads begin with.
pub(crate) const WORKER_NAME: &str = "pixelmill-worker-";
/// Batches per checkpoint interval.
const BATCHES_PER_CHECKPOINT: u32 = 10;
/// Source bytes ahead of the hand-out that the system is told to read.
const READ_AHEAD: u64 = 16 << 20;

/// Where the rows of results go.
struct ResultsFile<'a> {
    lock: &'a RunLock,
    /// Place and bytes per position of each results dataset.
    datasets: Vec<(Place, usize)>,
}

impl WriteChunk for ResultsFile<'_> {
    fn write(&self, dataset: usize, first: u64, rows: &[u8]) -> Result<()> {
        let (place, position_bytes) = &self.datasets[dataset];
        let run = first..first + (rows.len() / position_bytes) as u64;
        for (offset, part) in place.parts(&run, *position_bytes) {
            write_in_place(self.lock.file(), self.lock.path(), &rows[part], offset)?;
        }
        Ok(())
    }
}

/// What the workers count while they work.
#[derive(Default)]
struct Counters {
    done: AtomicU64,
    failed: AtomicU64,
    read: AtomicU64,
    compute: AtomicU64,
    write: AtomicU64,
    wait: AtomicU64,
}

/// What all workers share.
struct Shared<'a, P: Process> {
    job: &'a Job<P>,
    results: ResultsFile<'a>,
    scheduler: Scheduler<'a>,
    counters: Counters,
}

/// Computes what is pending in `group`.
///
/// # Errors
/// If the source can't be read, the results can't be written, or the source was changed meanwhile.
/// What is marked by then is right and stays.
pub(crate) fn run<P: Process>(
    job: &Job<P>,
    group: &Pending,
    plan: &Plan,
    request: &Request,
    lock: &RunLock,
    observer: &dyn Observer,
    stop: &Stop,
) -> Result<Computed> {
    let mut marker = Marker::new(lock, group, request.durability, request.checkpoint);
    let batch_time = request.checkpoint / BATCHES_PER_CHECKPOINT;
    let shared = Shared {
        job,
        results: ResultsFile { lock, datasets: datasets(job, group) },
        scheduler: Scheduler::new(
            supply(job, group, plan),
            plan.blocks.as_ref().map_or(1, |blocks| blocks.in_flight),
            plan.unit,
            batch_time,
            stop.clone(),
        ),
        counters: Counters::default(),
    };
    if request.retry_failed {
        // Else a kill could leave a mark on a position that is half failed and half computed.
        marker.unmark(&group.ranges)?;
    }
    let begun = Instant::now();
    let watching = thread::current();
    let all_marked = AtomicBool::new(false);
    thread::scope(|scope| {
        for number in 0..plan.workers {
            // The name lets whoever prints panics tell a map function's from others.
            let worker = thread::Builder::new().name(format!("{WORKER_NAME}{number}"));
            if let Err(error) = worker.spawn_scoped(scope, || work(&shared)) {
                shared.scheduler.fail(Error::Worker { source: error });
            }
        }
        scope.spawn(|| {
            let marked = marker.run(&shared.scheduler, observer);
            if let Err(error) = marked {
                shared.scheduler.fail(error);
            }
            // Not the thread's own end: it comes after the call that would wake us.
            all_marked.store(true, Ordering::Release);
            watching.unpark();
        });
        while !all_marked.load(Ordering::Acquire) {
            observer.progress(&shared.counters.progress(job, group, begun, stop));
            thread::park_timeout(TICK);
        }
    });
    observer.progress(&shared.counters.progress(job, group, begun, stop));
    observer.end();
    let report = shared.counters.report(job, plan, begun, &marker);
    let unchanged = check_source(job, &mut marker, group);
    marker.checkpoint(observer);
    if let Some(error) = shared.scheduler.take_error() {
        return Err(error);
    }
    unchanged?;
    lock.check_in_place()?;
    let left = group.ranges.iter().cloned().flatten().any(|at| marker.status[at as usize] == 0);
    Ok(Computed {
        file: lock.path().to_owned(),
        group: group.path.clone(),
        parameter_hash: job.identity.hash(),
        outcome: if left { Outcome::Stopped } else { Outcome::Finished },
        completed: count_done(&marker.status),
        positions: marker.status.len() as u64,
        failed: failures(&marker.failed, &marker.messages),
        report: Some(report),
        compressed: None,
    })
}

fn datasets<P: Process>(job: &Job<P>, group: &Pending) -> Vec<(Place, usize)> {
    let bytes = job.columns().into_iter().map(|column| column.layout.missing.len() * job.spectra);
    group.places.columns.iter().cloned().zip(bytes).collect()
}

/// The pending positions in the order in which they are read: block by block, or one after the other.
fn supply<'a, P: Process>(job: &'a Job<P>, group: &'a Pending, plan: &Plan) -> Supply<'a> {
    let rows = &job.source.rows;
    let (Some(tiles), Some(blocks)) = (rows.tiles(), &plan.blocks) else {
        let runs = group.ranges.iter().cloned().collect();
        return Box::new(std::iter::once(Portion { runs, block: None }));
    };
    let scan = rows.view().position_shape();
    let blocks = Blocks::new(&scan, &tiles.cell(), &blocks.segments);
    Box::new((0..blocks.count()).filter_map(move |number| {
        let bounds = blocks.bounds(number);
        let runs = view::runs(&scan, &bounds);
        let runs: VecDeque<_> = runs.iter().flat_map(|run| within(&group.ranges, run)).collect();
        (!runs.is_empty()).then(|| Portion { runs, block: rows.block(bounds) })
    }))
}

/// The parts of sorted ranges that lie within `run`.
fn within(ranges: &[Range<u64>], run: &Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let first = ranges.partition_point(|range| range.end <= run.start);
    let reached = ranges[first..].iter().take_while(|range| range.start < run.end);
    let cut = |range: &Range<u64>| range.start.max(run.start)..range.end.min(run.end);
    reached.map(cut).collect::<Vec<_>>().into_iter()
}

/// One worker's life.
fn work<P: Process>(shared: &Shared<'_, P>) {
    let mut workspace = Workspace::<P>::default();
    let mut portion = None;
    loop {
        let waited = Instant::now();
        let ticket = shared.scheduler.next(portion);
        add(&shared.counters.wait, waited);
        let Some(ticket) = ticket else { return };
        match shared.work_on(&ticket, &mut workspace) {
            Ok(compute) => {
                let failures = std::mem::take(&mut workspace.results.failures);
                shared.counters.done.fetch_add(count(&ticket.runs), Ordering::Relaxed);
                shared.counters.failed.fetch_add(failures.len() as u64, Ordering::Relaxed);
                portion = Some(shared.scheduler.done(ticket, failures, compute));
            }
            Err(error) => {
                shared.scheduler.fail(error);
                return;
            }
        }
    }
}

impl<P: Process> Shared<'_, P> {
    /// Reads, computes and writes some positions; returns the time that computing took.
    fn work_on(&self, ticket: &Ticket, workspace: &mut Workspace<P>) -> Result<Duration> {
        let begun = Instant::now();
        let source: &dyn ReadChunk = match &ticket.block {
            Some(block) => &**block,
            None => {
                ticket.runs.iter().for_each(|run| self.announce(run));
                &self.job.source.rows
            }
        };
        let rows = self.job.read(source, &ticket.runs, workspace)?;
        add(&self.counters.read, begun);
        let begun = Instant::now();
        self.job.compute(rows, workspace);
        let compute = begun.elapsed();
        add(&self.counters.compute, begun);
        let begun = Instant::now();
        for (dataset, rows) in workspace.results.rows.iter().enumerate() {
            let position_bytes = self.results.datasets[dataset].1;
            let mut left = rows.as_slice();
            for run in &ticket.runs {
                let (part, rest) = left.split_at((run.end - run.start) as usize * position_bytes);
                P::write_results_chunk(&self.results, dataset, run.start, part)?;
                left = rest;
            }
        }
        add(&self.counters.write, begun);
        Ok(compute)
    }

    /// Reading ahead is the system's work: it is told what comes after the next stretch of rows
    /// whenever a unit reaches the beginning of one.
    fn announce(&self, run: &Range<u64>) {
        let source = &self.job.source;
        let stretch = (READ_AHEAD / source.row_bytes() as u64).max(1);
        let boundary = run.start.next_multiple_of(stretch);
        let ahead = boundary + stretch;
        if boundary < run.end && ahead < source.info.positions {
            source.rows.announce(ahead, stretch.min(source.info.positions - ahead));
        }
    }
}

/// The data must still be what was fingerprinted; if not, nothing that this run marked is right.
fn check_source<P: Process>(job: &Job<P>, marker: &mut Marker<'_>, group: &Pending) -> Result<()> {
    let source = &job.source;
    match fingerprint(&source.rows) {
        Ok(now) if now == job.identity.source_fingerprint => Ok(()),
        Ok(_) | Err(Error::Truncated { .. }) => {
            marker.unmark(&group.ranges)?;
            let (file, dataset) = (source.file.clone(), source.info.path.clone());
            Err(Error::SourceChanged { file, dataset })
        }
        Err(error) => Err(error),
    }
}

fn add(counter: &AtomicU64, begun: Instant) {
    counter.fetch_add(begun.elapsed().as_nanos() as u64, Ordering::Relaxed);
}

impl Counters {
    fn progress<P: Process>(
        &self,
        job: &Job<P>,
        group: &Pending,
        begun: Instant,
        stop: &Stop,
    ) -> Progress {
        let done = self.done.load(Ordering::Relaxed);
        Progress {
            done,
            total: group.count(),
            bytes: done * job.source.row_bytes() as u64,
            failed: self.failed.load(Ordering::Relaxed),
            elapsed: begun.elapsed(),
            stopping: stop.is_requested(),
        }
    }

    fn report<P: Process>(
        &self,
        job: &Job<P>,
        plan: &Plan,
        begun: Instant,
        marker: &Marker<'_>,
    ) -> Report {
        let time = |counter: &AtomicU64| Duration::from_nanos(counter.load(Ordering::Relaxed));
        let positions = self.done.load(Ordering::Relaxed);
        Report {
            positions,
            bytes: positions * job.source.row_bytes() as u64,
            workers: plan.workers,
            elapsed: begun.elapsed(),
            read: time(&self.read),
            compute: time(&self.compute),
            write: time(&self.write),
            wait: time(&self.wait),
            mark: marker.time,
            batches: marker.batches,
            chunks: job.source.rows.chunks_decoded(),
        }
    }
}
