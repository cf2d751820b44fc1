//! The computing phase of one rank: workers that read, compute and write units of work, a keeper
//! beside them that looks after what they have written, and the caller's thread, which watches.
//!
//! A worker's life is a job of the pool, one for each thread, and ends when there is no unit to
//! come: its thread then is rayon's, for what is parallel inside the units that others still have.
//! What may run on top of what, and why, is in this folder's README under *Threads*.
//!
//! HDF5 is closed meanwhile, but for sources that only the library can read and the moments in
//! which the marker brings `last_pixel` up to date. What the keeper and the watcher do differs
//! between rank 0 (`lead`) and the others (`follow`).

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rayon::{ThreadPool, Yield};

use super::batch::Batch;
use super::fold::Folding;
use super::job::{Job, Workspace};
use super::pending::Pending;
use super::scheduler::{Limits, Scheduler, Ticket};
use super::sink::Sink;
use super::supply::{Stock, supply};
use super::workers::Workers;
use super::{Request, Stop, Tally, Team};
use crate::plan::Plan;
use crate::source::RowsDigest;
use crate::storage::in_place::InPlace;
use crate::storage::results_group::Place;
use pixelmill_core::chunk_io::ReadChunk;
use pixelmill_core::error::{Error, Result};
use pixelmill_core::failure::{Failure, panic_message};
use pixelmill_core::positions::runs;

/// Batches per checkpoint interval.
pub(crate) const BATCHES_PER_CHECKPOINT: u32 = 10;
/// Bytes of results that end a batch: what is computed then while they are made durable isn't
/// waited for at the end. Runs of a third of a second with 256 MiB of results took a twentieth
/// less.
const BATCH_BYTES: u64 = 128 << 20;
/// Source bytes between a unit and what the system is told to read meanwhile.
const READ_AHEAD: u64 = 32 << 20;

/// What the workers count while they work: for people, so that the numbers need no order among each
/// other.
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
    threads: &'a Workers,
    /// How many of the threads take units; memory may be too little for all.
    workers: usize,
    /// Most positions of a unit, as planned.
    unit: u64,
    /// `None` if rows are only read, for their digest.
    sink: Option<Sink<'a>>,
    /// What spectra are folded into, if they are.
    folding: Option<&'a Folding<'a>>,
    pub scheduler: Scheduler<'a>,
    counters: Counters,
    begun: Instant,
    /// The keeper and the workers that haven't ended yet, and the workers alone. Who reads that
    /// all have (`Acquire`) sees what they did before they counted themselves out (`Release`).
    running: AtomicUsize,
    working: AtomicUsize,
    /// When the last worker ended, in nanoseconds since the beginning.
    worked: AtomicU64,
    host: String,
}

/// What came of a unit: how long computing took, which of its positions failed, and what was read.
#[derive(Default)]
struct Worked {
    compute: Duration,
    failures: Vec<(u64, Failure)>,
    digest: RowsDigest,
}

/// What a rank is to compute.
pub(crate) struct Work<'a> {
    pub team: Team<'a>,
    pub workers: &'a Workers,
    pub plan: &'a Plan,
    /// The pending positions of all ranks.
    pub pending: &'a Pending<'a>,
    /// What they share of them.
    pub stock: &'a Stock,
    /// The file that results go to, and where each dataset lies in it; without one, rows are only
    /// read.
    pub file: Option<&'a dyn InPlace>,
    pub columns: &'a [Place],
    /// What spectra are folded into, if they are.
    pub folding: Option<&'a Folding<'a>>,
    /// Other ranks whose batches are marked here.
    pub others: usize,
}

impl<'a> ComputeLoop<'a> {
    /// A loop that begins now.
    pub fn new(job: &'a Job, work: &Work<'a>, request: &Request, stop: &Stop) -> Self {
        job.source.rows.count_decoded_anew();
        let plan = work.plan;
        let workers = plan.workers.min(work.workers.cores());
        let ranks = work.team.ranks();
        let of_batch = BATCH_BYTES / (job.column_bytes().sum::<usize>() as u64).max(1);
        let limits = Limits {
            // Of rows the next piece may begin while others still have units of the last.
            open: plan.blocks.as_ref().map_or(workers + 1, |blocks| blocks.in_flight),
            unit: work.folding.is_none().then(|| {
                let most = job.kernel.wants().most_per_unit.unwrap_or(u64::MAX);
                (plan.least_unit, plan.unit.min(most))
            }),
            batch: (request.checkpoint / BATCHES_PER_CHECKPOINT, of_batch),
        };
        Self {
            job,
            threads: work.workers,
            workers,
            unit: plan.unit,
            folding: work.folding,
            sink: work.file.map(|file| Sink::new(file, job.placed_columns(work.columns))),
            scheduler: Scheduler::new(
                match work.folding {
                    Some(folding) => Box::new(folding.portions(work.stock, ranks)),
                    None => supply(job, work.pending, work.stock, plan, ranks),
                },
                work.others,
                limits,
                stop.clone(),
            ),
            counters: Counters::default(),
            begun: Instant::now(),
            running: AtomicUsize::new(workers + 1),
            working: AtomicUsize::new(workers),
            worked: AtomicU64::new(0),
            host: crate::ranks::host(),
        }
    }

    /// Works until everything is handed out and `keep` has ended. Calls `watch` meanwhile, with
    /// `pause` in between, and once more at the end.
    ///
    /// # Errors
    /// If the source can't be read or the results can't be written, and those of `keep` and
    /// `watch`. What is marked by then is right and stays.
    pub fn run(
        &self,
        keep: impl FnOnce() -> Result<()> + Send,
        pause: Duration,
        mut watch: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        let pool = self.threads.pool()?;
        self.start(pool, keep, || {
            while self.running.load(Ordering::Acquire) > 0 {
                self.guarded(&mut watch);
                thread::park_timeout(pause);
            }
        })?;
        let watched = watch();
        self.scheduler.take_error().map_or(watched, Err)
    }

    /// Starts the keeper and the workers; returns when `watch` and they have ended.
    fn start(
        &self,
        pool: &ThreadPool,
        keep: impl FnOnce() -> Result<()> + Send,
        watch: impl FnOnce(),
    ) -> Result<()> {
        let watching = thread::current();
        let all_are_here = Barrier::new(pool.current_num_threads());
        thread::scope(|scope| {
            let keeping = || {
                self.guarded(keep);
                // Not the thread's own end: it comes after the call that would wake us.
                self.running.fetch_sub(1, Ordering::Release);
                watching.unpark();
            };
            let keeper = thread::Builder::new().spawn_scoped(scope, keeping);
            keeper.map_err(|source| Error::Worker { source })?;
            pool.in_place_scope(|scope| {
                scope.spawn_broadcast(|_, thread| {
                    // Subtle: no kernel may run before every thread has begun its worker's life. A
                    // thread that waits in a parallel map function takes any
                    // job, and would take that one: on top of a unit,
                    // which then isn't done before the run is, and the run not before the unit.
                    all_are_here.wait();
                    if thread.index() < self.workers {
                        self.live();
                    }
                });
                watch();
            });
            Ok(())
        })
    }

    fn live(&self) {
        self.guarded(|| match self.folding {
            Some(folding) => self.fold(folding),
            None => {
                self.work();
                Ok(())
            }
        });
        self.worked.store(self.begun.elapsed().as_nanos() as u64, Ordering::Relaxed);
        self.working.fetch_sub(1, Ordering::Release);
        self.running.fetch_sub(1, Ordering::Release);
    }

    /// Ends the run with whatever ends `action`, also if that is a panic: nobody may wait for a
    /// thread that is gone.
    fn guarded(&self, action: impl FnOnce() -> Result<()>) {
        if let Err(error) = caught(action) {
            self.scheduler.fail(error);
        }
    }

    /// One worker's life.
    fn work(&self) {
        let mut workspace = self.job.workspace();
        let mut portion = None;
        loop {
            // When nothing is left the thread goes back to the pool, which lets it help those that
            // still compute.
            let Some(ticket) = self.next(portion) else { return };
            match self.work_on(&ticket, &mut workspace) {
                Ok(Worked { compute, failures, digest }) => {
                    self.counters.done.fetch_add(runs::count(&ticket.runs), Ordering::Relaxed);
                    self.counters.failed.fetch_add(failures.len() as u64, Ordering::Relaxed);
                    let unit = match &self.sink {
                        Some(_) => ticket.computed(&failures, digest),
                        None => Batch { digest, ..Batch::default() },
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

    /// The same of one who folds.
    fn fold(&self, folding: &Folding<'_>) -> Result<()> {
        let mut worker = folding.worker();
        let mut portion = None;
        while let Some(ticket) = self.next(portion) {
            let first = ticket.runs.first().map_or(0, |run| run.start);
            let number = folding.number(first);
            let mut all = folding.accumulator();
            let done = worker.work(number, all.as_mut())?;
            count(&self.counters.read, done.read);
            count(&self.counters.compute, done.compute);
            let begun = Instant::now();
            let digest = done.digest;
            if let Some(all) = all {
                match &self.sink {
                    Some(sink) => {
                        sink.store(&*self.job.prepared, &done.runs, false, &worker.results)?;
                    }
                    None => folding.compare(&done.runs, &worker.results)?,
                }
                let positions = ticket.runs.iter().cloned().collect();
                let mut unit = Batch { positions, digest, ..Batch::default() };
                for (position, why) in &done.failures {
                    unit.failures.insert(*position, why);
                }
                folding.put(number, all, unit)?;
            }
            add(&self.counters.write, begun);
            self.counters.done.fetch_add(runs::count(&ticket.runs), Ordering::Relaxed);
            self.counters.failed.fetch_add(done.failures.len() as u64, Ordering::Relaxed);
            // What is to be marked the fold knows by itself.
            let read = Batch { digest, ..Batch::default() };
            portion = Some(self.scheduler.done(ticket, read, done.compute));
        }
        Ok(())
    }

    /// The next unit. Who has to wait for it helps others with theirs, with what is parallel in it.
    fn next(&self, portion: Option<u64>) -> Option<Ticket> {
        let begun = Instant::now();
        let mut helped = Duration::ZERO;
        let ticket = self.scheduler.next(portion, || {
            let begun = Instant::now();
            let has_helped = rayon::yield_now() == Some(Yield::Executed);
            if has_helped {
                helped += begun.elapsed();
                add(&self.counters.compute, begun);
            }
            has_helped
        });
        count(&self.counters.wait, begun.elapsed().saturating_sub(helped));
        ticket
    }

    /// Reads, computes and writes some positions: in parts, where these have more neighbours than
    /// memory is planned for.
    fn work_on<'j>(&'j self, ticket: &Ticket, workspace: &mut Workspace<'j>) -> Result<Worked> {
        let Some(neighbourhood) = &self.job.neighbourhood else {
            return self.work_on_part(ticket, &ticket.runs, workspace);
        };
        let (mut all, mut before) = (Worked::default(), 0);
        for runs in neighbourhood.cut(&ticket.runs, self.unit, workspace.around()) {
            let part = self.work_on_part(ticket, &runs, workspace)?;
            all.compute += part.compute;
            all.digest += part.digest;
            all.failures.extend(part.failures.into_iter().map(|(at, why)| (before + at, why)));
            before += runs::count(&runs);
        }
        Ok(all)
    }

    fn work_on_part<'j>(
        &'j self,
        ticket: &Ticket,
        runs: &[Range<u64>],
        workspace: &mut Workspace<'j>,
    ) -> Result<Worked> {
        let begun = Instant::now();
        let source: &dyn ReadChunk = match &ticket.block {
            Some(block) => &**block,
            None => {
                self.announce(runs);
                &self.job.source.rows
            }
        };
        let rows = self.job.read(source, runs, workspace)?;
        add(&self.counters.read, begun);
        let digest = workspace.digest;
        let Some(sink) = &self.sink else {
            workspace.forget(rows);
            return Ok(Worked { digest, ..Worked::default() });
        };
        let begun = Instant::now();
        self.job.compute(rows, workspace);
        let compute = begun.elapsed();
        add(&self.counters.compute, begun);
        let begun = Instant::now();
        let near = runs.len() > 1 && ticket.is_exclusive;
        sink.store(&*self.job.prepared, runs, near, &workspace.results)?;
        add(&self.counters.write, begun);
        let failures = std::mem::take(&mut workspace.results.failures);
        Ok(Worked { compute, failures, digest })
    }

    /// Reading ahead is the system's work: for each unit it is told what lies so far behind it,
    /// so that the disk always has as much to do, whatever the number of workers.
    fn announce(&self, runs: &[Range<u64>]) {
        // Between runs lies what nobody may want.
        let [run] = runs else { return };
        let source = &self.job.source;
        let ahead = run.start + (READ_AHEAD / source.row_bytes() as u64).max(1);
        if ahead < source.info.positions {
            let count = (run.end - run.start).min(source.info.positions - ahead);
            source.rows.announce(ahead, count);
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
    count(counter, begun.elapsed());
}

fn count(counter: &AtomicU64, time: Duration) {
    counter.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
}
