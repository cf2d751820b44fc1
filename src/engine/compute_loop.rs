//! The computing phase of one rank: workers that read, compute and write units of work, a keeper
//! beside them that looks after what they have written, and the caller's thread, which watches.
//!
//! What it computes is one computation or several that share a pass over the data: each unit is
//! read once for all of them.
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

use super::fold::geometry::Geometry;
use super::fold::{self, Together};
use super::job::{Job, Workspace};
use super::member::{Computed, Member, Times};
use super::pending::Pending;
use super::rows_read::RowsRead;
use super::scheduler::{Limits, Scheduler, Ticket};
use super::supply::{Stock, supply};
use super::workers::Workers;
use super::{Request, Stop, Tally, Team};
use crate::plan::Plan;
use pixelmill_core::chunk_io::{AlignedBytes, ReadChunk, ReadRows};
use pixelmill_core::error::{Error, Result};
use pixelmill_core::failure::panic_message;
use pixelmill_core::positions::runs;

/// Batches per checkpoint interval.
pub(crate) const BATCHES_PER_CHECKPOINT: u32 = 10;
/// Bytes of results that end a batch: what is computed then while they are made durable isn't
/// waited for at the end. Runs of a third of a second with 256 MiB of results took a twentieth
/// less.
const BATCH_BYTES: u64 = 128 << 20;

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
    members: &'a [Member<'a>],
    /// The one that reads for all.
    job: &'a Job,
    threads: &'a Workers,
    /// How many of the threads take units; memory may be too little for all.
    workers: usize,
    /// Most positions of a unit, as planned.
    unit: u64,
    /// How the scan is cut, if any of them folds it.
    geometry: Option<&'a Geometry>,
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

/// What a rank is to compute.
pub(crate) struct Work<'a> {
    pub team: Team<'a>,
    pub workers: &'a Workers,
    pub plan: &'a Plan,
    /// The computations, at least one.
    pub members: &'a [Member<'a>],
    /// How the scan is cut, if any of them folds it, and the first of the units that is left.
    pub geometry: Option<(&'a Geometry, u64)>,
    /// What the ranks share of it.
    pub stock: &'a Stock,
    /// Others that may send batches to be marked here.
    pub others: usize,
}

impl<'a> ComputeLoop<'a> {
    /// A loop that begins now.
    pub fn new(work: &Work<'a>, request: &Request, stop: &Stop) -> Self {
        let members = work.members;
        members.iter().for_each(|member| member.job.source.rows.count_decoded_anew());
        let (job, plan) = (members[0].job, work.plan);
        let workers = plan.workers.min(work.workers.cores());
        let ranks = work.team.ranks();
        let results = members.iter().flat_map(|member| member.job.column_bytes());
        let of_batch = BATCH_BYTES / (results.sum::<usize>() as u64).max(1);
        let wanted = members.iter().filter_map(|member| member.job.kernel.wants().most_per_unit);
        let most = wanted.min().unwrap_or(u64::MAX);
        let limits = Limits {
            // Of rows the next piece may begin while others still have units of the last.
            open: plan.blocks.as_ref().map_or(workers + 1, |blocks| blocks.in_flight),
            unit: work.geometry.is_none().then(|| (plan.least_unit, plan.unit.min(most))),
            batch: (request.checkpoint / BATCHES_PER_CHECKPOINT, of_batch),
        };
        let pending: Vec<&Pending<'_>> = members.iter().map(|member| member.pending).collect();
        Self {
            members,
            job,
            threads: work.workers,
            workers,
            unit: plan.unit,
            geometry: work.geometry.map(|(geometry, _)| geometry),
            scheduler: Scheduler::new(
                match work.geometry {
                    Some(geometry) => {
                        Box::new(fold::portions(geometry, pending, work.stock, ranks))
                    }
                    None => supply(job, pending, work.stock, plan, ranks),
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
        self.guarded(|| match self.geometry {
            Some(geometry) => self.work_together(geometry),
            None => self.work(),
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
    fn work(&self) -> Result<()> {
        let mut workspaces: Vec<_> =
            self.members.iter().map(|member| member.job.workspace()).collect();
        let (mut buffer, mut portion) = (AlignedBytes::default(), None);
        // When nothing is left the thread goes back to the pool, which lets it help those that
        // still compute.
        while let Some(ticket) = self.next(portion) {
            let mut times = Times::default();
            let batches = self.work_on(&ticket, &mut workspaces, &mut buffer, &mut times)?;
            portion = Some(self.done(ticket, batches, &times));
        }
        Ok(())
    }

    /// The same where any of the computations folds.
    fn work_together(&self, geometry: &Geometry) -> Result<()> {
        let mut together = Together::new(self.members, geometry);
        let mut portion = None;
        while let Some(ticket) = self.next(portion) {
            let first = ticket.runs.first().map_or(0, |run| run.start);
            let (batches, times) = together.work(geometry.holding(first))?;
            portion = Some(self.done(ticket, batches, &times));
        }
        Ok(())
    }

    /// Counts what was computed of a unit and hands it on.
    fn done(&self, ticket: Ticket, batches: Vec<Computed>, times: &Times) -> u64 {
        count(&self.counters.read, times.read);
        count(&self.counters.compute, times.compute);
        count(&self.counters.write, times.write);
        let failed = batches.iter().map(|computed| computed.failed).sum();
        self.counters.done.fetch_add(runs::count(&ticket.runs), Ordering::Relaxed);
        self.counters.failed.fetch_add(failed, Ordering::Relaxed);
        let batches = batches.into_iter().map(|computed| computed.batch).collect();
        self.scheduler.done(ticket, batches, times.compute)
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
    fn work_on(
        &self,
        ticket: &Ticket,
        workspaces: &mut [Workspace<'a>],
        buffer: &mut AlignedBytes,
        times: &mut Times,
    ) -> Result<Vec<Computed>> {
        let source: &dyn ReadChunk = match &ticket.block {
            Some(block) => &**block,
            None => {
                self.job.announce(ticket.runs.iter().cloned());
                &self.job.source.rows
            }
        };
        let near = |runs: &[Range<u64>]| runs.len() > 1 && ticket.is_exclusive;
        let ([member], [workspace]) = (self.members, &mut *workspaces) else {
            return self.read_once(
                source,
                (&ticket.runs, ticket.is_exclusive),
                workspaces,
                buffer,
                times,
            );
        };
        let Some(neighbourhood) = &member.job.neighbourhood else {
            let runs = (ticket.runs.as_slice(), near(&ticket.runs));
            return Ok(vec![member.compute(source, runs, workspace, times)?]);
        };
        let mut all = Computed::default();
        for runs in neighbourhood.cut(&ticket.runs, self.unit, workspace.around()) {
            let runs = (runs.as_slice(), near(&runs));
            all.append(member.compute(source, runs, workspace, times)?);
        }
        Ok(vec![all])
    }

    /// Reads some positions and lets each computation take those that it has to compute.
    fn read_once(
        &self,
        source: &dyn ReadChunk,
        (runs, is_exclusive): (&[Range<u64>], bool),
        workspaces: &mut [Workspace<'a>],
        buffer: &mut AlignedBytes,
        times: &mut Times,
    ) -> Result<Vec<Computed>> {
        let begun = Instant::now();
        let positions: Vec<u64> = runs.iter().cloned().flatten().collect();
        let row_bytes = self.job.source.row_bytes();
        let mut rows = ReadRows::new(std::mem::take(buffer), positions.len(), row_bytes);
        let read = source.read(runs, &mut rows);
        times.read += begun.elapsed();
        let read = match read {
            // Each finds out by itself what of it is its own.
            Err(Error::Damaged { .. }) => None,
            other => other.map(|()| {
                Some(RowsRead::new(&positions, (0..rows.len()).map(|at| rows.row(at))))
            })?,
        };
        let mut all = Vec::new();
        for (member, workspace) in self.members.iter().zip(workspaces) {
            let own = member.pending.among(runs)?;
            let own: Vec<Range<u64>> = own.into();
            if own.is_empty() {
                all.push(Computed::default());
                continue;
            }
            let source = read.as_ref().map_or(source, |read| read);
            let near = own.len() > 1 && is_exclusive;
            all.push(member.compute(source, (&own, near), workspace, times)?);
        }
        drop(read);
        *buffer = rows.into_buffer();
        Ok(all)
    }

    /// Chunks that were decoded, by whichever computation, and chunks that are stored.
    fn chunks_decoded(&self) -> Option<(u64, u64)> {
        let all = self.members.iter().map(|member| member.job.source.rows.chunks_decoded());
        all.reduce(|sum, own| Some((sum?.0 + own?.0, sum?.1))).flatten()
    }

    /// Whether all workers have ended.
    pub fn has_worked(&self) -> bool {
        self.working.load(Ordering::Acquire) == 0
    }

    /// What this rank has done by now.
    pub fn tally(&self) -> Tally {
        let number = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let time = |counter: &AtomicU64| Duration::from_nanos(number(counter));
        let positions = number(&self.counters.done);
        Tally {
            host: self.host.clone(),
            positions,
            failed: number(&self.counters.failed),
            bytes: positions * self.job.source.row_bytes() as u64,
            workers: self.workers,
            elapsed: if self.has_worked() { time(&self.worked) } else { self.begun.elapsed() },
            read: time(&self.counters.read),
            compute: time(&self.counters.compute),
            write: time(&self.counters.write),
            wait: time(&self.counters.wait),
            chunks: self.chunks_decoded(),
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
