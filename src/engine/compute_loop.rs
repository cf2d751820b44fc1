//! The computing phase of one rank: workers that read, compute and write units of work, a keeper
//! beside them that looks after what they have written, and the caller's thread, which watches.
//!
//! HDF5 is closed meanwhile, but for sources that only the library can read and the moments in which
//! the marker brings `last_pixel` up to date. What the keeper and the watcher do differs between rank 0
//! (`lead`) and the others (`follow`).

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::batch::Batch;
use super::job::{Job, Workspace};
use super::pending::Pending;
use super::scheduler::{Scheduler, Ticket};
use super::sink::Sink;
use super::supply::{Stock, supply};
use super::{Request, Stop, Tally, Team};
use crate::plan::Plan;
use crate::storage::in_place::InPlace;
use crate::storage::results_group::Place;
use pixelmill_core::chunk_io::ReadChunk;
use pixelmill_core::error::{Error, Result};
use pixelmill_core::failure::panic_message;
use pixelmill_core::positions::runs;

/// What the names of worker threads begin with, so that who prints panics can tell a map function's from others.
pub const WORKER_NAME: &str = "pixelmill-worker-";
/// Batches per checkpoint interval.
pub(crate) const BATCHES_PER_CHECKPOINT: u32 = 10;
/// Source bytes ahead of the hand-out that the system is told to read.
const READ_AHEAD: u64 = 16 << 20;

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

/// What all threads of a rank share.
pub(crate) struct ComputeLoop<'a> {
    job: &'a Job,
    workers: usize,
    /// `None` if rows are only read, for their digest.
    sink: Option<Sink<'a>>,
    pub scheduler: Scheduler<'a>,
    counters: Counters,
    begun: Instant,
    /// Threads that haven't ended yet, and workers among them.
    running: AtomicUsize,
    working: AtomicUsize,
    /// When the last worker ended, in nanoseconds since the beginning.
    worked: AtomicU64,
    host: String,
}

/// What a rank is to compute.
pub(crate) struct Work<'a> {
    pub team: Team<'a>,
    pub plan: &'a Plan,
    /// The pending positions of all ranks.
    pub pending: &'a Pending<'a>,
    /// What they share of them.
    pub stock: &'a Stock,
    /// The file that results go to, and where each dataset lies in it; without one, rows are only read.
    pub file: Option<&'a dyn InPlace>,
    pub columns: &'a [Place],
    /// Other ranks whose batches are marked here.
    pub others: usize,
}

impl<'a> ComputeLoop<'a> {
    /// A loop that begins now.
    pub fn new(job: &'a Job, work: &Work<'a>, request: &Request, stop: &Stop) -> Self {
        job.source.rows.count_decoded_anew();
        let plan = work.plan;
        let ranks = work.team.ranks();
        let bytes =
            job.columns().into_iter().map(|column| column.layout.missing.len() * job.spectra);
        // Of rows the next piece may begin while others still have units of the last.
        let most_open = match &plan.blocks {
            Some(blocks) => blocks.in_flight,
            None => plan.workers + 1,
        };
        Self {
            job,
            workers: plan.workers,
            sink: work.file.map(|file| Sink::new(file, work.columns.iter().cloned().zip(bytes))),
            scheduler: Scheduler::new(
                supply(job, work.pending, work.stock, ranks),
                work.others,
                most_open,
                plan.unit.min(job.kernel.wants().most_per_unit.unwrap_or(u64::MAX)),
                request.checkpoint / BATCHES_PER_CHECKPOINT,
                stop.clone(),
            ),
            counters: Counters::default(),
            begun: Instant::now(),
            running: AtomicUsize::new(plan.workers + 1),
            working: AtomicUsize::new(plan.workers),
            worked: AtomicU64::new(0),
            host: crate::ranks::host(),
        }
    }

    /// Works until everything is handed out and `keep` has ended. Calls `watch` meanwhile, with `pause`
    /// in between, and once more at the end.
    ///
    /// # Errors
    /// If the source can't be read or the results can't be written, and those of `keep` and `watch`.
    /// What is marked by then is right and stays.
    pub fn run(
        &self,
        keep: impl FnOnce() -> Result<()> + Send,
        pause: Duration,
        mut watch: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        let watching = thread::current();
        thread::scope(|scope| {
            for number in 0..self.workers {
                // The name lets whoever prints panics tell a map function's from others.
                let worker = thread::Builder::new().name(format!("{WORKER_NAME}{number}"));
                let spawned = worker.spawn_scoped(scope, || {
                    self.guarded(|| {
                        self.work();
                        Ok(())
                    });
                    self.worker_has_ended();
                });
                if let Err(error) = spawned {
                    self.scheduler.fail(Error::Worker { source: error });
                    self.worker_has_ended();
                }
            }
            scope.spawn(|| {
                self.guarded(keep);
                // Not the thread's own end: it comes after the call that would wake us.
                self.running.fetch_sub(1, Ordering::Release);
                watching.unpark();
            });
            while self.running.load(Ordering::Acquire) > 0 {
                self.guarded(&mut watch);
                thread::park_timeout(pause);
            }
        });
        let watched = watch();
        self.scheduler.take_error().map_or(watched, Err)
    }

    /// Ends the run with whatever ends `action`, also if that is a panic: nobody may wait for a thread that is
    /// gone.
    fn guarded(&self, action: impl FnOnce() -> Result<()>) {
        if let Err(error) = caught(action) {
            self.scheduler.fail(error);
        }
    }

    fn worker_has_ended(&self) {
        self.worked.store(self.begun.elapsed().as_nanos() as u64, Ordering::Relaxed);
        self.working.fetch_sub(1, Ordering::Release);
        self.running.fetch_sub(1, Ordering::Release);
    }

    /// One worker's life.
    fn work(&self) {
        let mut workspace = self.job.workspace();
        let mut portion = None;
        loop {
            let waited = Instant::now();
            let ticket = self.scheduler.next(portion);
            add(&self.counters.wait, waited);
            let Some(ticket) = ticket else { return };
            match self.work_on(&ticket, &mut workspace) {
                Ok(compute) => {
                    let failures = std::mem::take(&mut workspace.results.failures);
                    self.counters.done.fetch_add(runs::count(&ticket.runs), Ordering::Relaxed);
                    self.counters.failed.fetch_add(failures.len() as u64, Ordering::Relaxed);
                    let unit = match &self.sink {
                        Some(_) => ticket.computed(&failures, workspace.digest),
                        None => Batch { digest: workspace.digest, ..Batch::default() },
                    };
                    portion = Some(self.scheduler.done(ticket, unit, compute));
                }
                Err(error) => {
                    self.scheduler.fail(error);
                    return;
                }
            }
        }
    }

    /// Reads, computes and writes some positions; returns the time that computing took.
    fn work_on<'j>(&'j self, ticket: &Ticket, workspace: &mut Workspace<'j>) -> Result<Duration> {
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
        let Some(sink) = &self.sink else {
            workspace.forget(rows);
            return Ok(Duration::ZERO);
        };
        let begun = Instant::now();
        self.job.compute(rows, workspace);
        let compute = begun.elapsed();
        add(&self.counters.compute, begun);
        let begun = Instant::now();
        let near = ticket.runs.len() > 1 && ticket.is_exclusive;
        sink.store(&*self.job.prepared, &ticket.runs, near, &workspace.results)?;
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

    /// What this rank has done by now.
    pub fn tally(&self) -> Tally {
        let number = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let time = |counter: &AtomicU64| Duration::from_nanos(number(counter));
        let positions = number(&self.counters.done);
        let has_ended = self.working.load(Ordering::Acquire) == 0;
        Tally {
            host: self.host.clone(),
            positions,
            failed: number(&self.counters.failed),
            bytes: positions * self.job.source.row_bytes() as u64,
            workers: self.workers,
            elapsed: if has_ended { time(&self.worked) } else { self.begun.elapsed() },
            read: time(&self.counters.read),
            compute: time(&self.counters.compute),
            write: time(&self.counters.write),
            wait: time(&self.counters.wait),
            chunks: self.job.source.rows.chunks_decoded(),
        }
    }
}

/// Runs `action`; a panic becomes an error.
pub(crate) fn caught<T>(action: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(action)).unwrap_or_else(|panic| {
        Err(Error::Panicked { message: panic_message(panic.as_ref()).to_owned() })
    })
}

fn add(counter: &AtomicU64, begun: Instant) {
    counter.fetch_add(begun.elapsed().as_nanos() as u64, Ordering::Relaxed);
}
