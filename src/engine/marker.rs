//! Marks what is computed: results to stable storage first, then their status bytes.
//!
//! One thread beside the workers. It also keeps `last_pixel` up to date, in a short transaction per
//! checkpoint interval that only overwrites a value in place. It holds no status of its own: what
//! is marked is in the file, of which it looks at one window at a time.

use std::time::{Duration, Instant};

use log::{debug, info, trace};

use super::batch::Batch;
use super::failure_lines::FailureLines;
use super::failures::FailedPositions;
use super::fold::{Committer, Marked};
use super::ledger::{Covered, Ledger};
use super::pending::Pending;
use super::prepare::Taken;
use super::scheduler::Scheduler;
use super::selection::Selected;
use super::target::RunLock;
use super::{Cache, Durability, Note, Observer, Request, seconds_since};
use crate::position_grid::PositionGrid;
use crate::source::RowsDigest;
use crate::storage::attributes::put_integer;
use crate::storage::cache;
use crate::storage::in_place::InPlace;
use crate::storage::marks::{Marks, MarksInPlace, windows};
use crate::storage::results_group::LAST_PIXEL;
use pixelmill_core::error::{Error, Result};
use pixelmill_core::positions::{Positions, runs};

/// Memory for what was marked before the run, which is left alone if the run's own marks have to be
/// taken back. Beyond it they are taken back together.
const EARLIER_BYTES: u64 = 8 << 20;

/// The state of a results group while it is computed.
pub(crate) struct Marker<'a> {
    lock: &'a RunLock,
    file: &'a dyn InPlace,
    group: String,
    ledger: Ledger,
    /// What writes a fold down, if it is one, and why it can't, if it can't.
    committer: Option<Committer<'a>>,
    lost: Option<Error>,
    durability: Durability,
    cache: Cache,
    checkpoint: Duration,
    last_checkpoint: Instant,
    /// Whether the user knows that `last_pixel` can't be kept up to date.
    told: bool,
    status: MarksInPlace<'a>,
    lines: FailureLines<'a>,
    /// What was marked before the run, as far as there is memory for it.
    earlier: Option<Positions>,
    /// Length of the contiguous marked prefix, and what `last_pixel` says of it.
    prefix: u64,
    last_pixel: Option<i64>,
    /// Positions that are marked.
    completed: u64,
    /// Positions that this run has marked.
    marked: u64,
    pub batches: u64,
    pub time: Duration,
    /// How often results were made durable before they were marked.
    syncs: u64,
}

impl<'a> Marker<'a> {
    /// The state of a group before the run; `selected` are the positions of it. Failed ones among
    /// these are taken back if they are to be computed again.
    ///
    /// # Errors
    /// If the file can't be read or written.
    pub fn open(
        (lock, file): (&'a RunLock, &'a dyn InPlace),
        group: &Taken,
        mut ledger: Ledger,
        request: &Request,
        (selected, grid): (Option<&Selected>, &PositionGrid),
        observer: &dyn Observer,
    ) -> Result<Self> {
        let (status, failed) = (group.places.status, group.places.failed);
        let status = MarksInPlace::new(file, lock.handle(), status)?;
        let failed = MarksInPlace::new(file, lock.handle(), failed)?;
        if request.retry_failed {
            let columns = (&status, &failed);
            take_failed_back((lock, group), &mut ledger, columns, (selected, grid))?;
        }
        let durable = request.durability == Durability::Node;
        let texts = group.messages.clone();
        let mut lines = FailureLines::new(file, failed, (group.places.messages, texts), durable);
        // In a group that was made just now nothing is marked; of a large one it takes a while to
        // see that.
        let (earlier, completed) = match group.resumed {
            true => earlier(&status)?,
            false => (Some(Positions::default()), 0),
        };
        let prefix = if group.resumed { status.run_from(0)? } else { 0 };
        if group.resumed {
            lines.take_stock(&status)?;
        }
        let mut marker = Self {
            lock,
            file,
            group: group.path.clone(),
            ledger,
            committer: None,
            lost: None,
            durability: request.durability,
            cache: request.cache,
            checkpoint: request.checkpoint,
            last_checkpoint: Instant::now(),
            told: false,
            status,
            lines,
            earlier,
            prefix,
            last_pixel: None,
            completed,
            marked: 0,
            batches: 0,
            time: Duration::ZERO,
            syncs: 0,
        };
        debug!(
            "before the run {} of {} positions are marked",
            marker.completed,
            marker.positions()
        );
        // A killed run may have left another one. `take_failed_back` has only lowered it.
        marker.write_prefix(observer);
        Ok(marker)
    }

    /// The same for a fold, if it is one, which is marked as it is written down.
    pub fn of_fold(self, committer: Option<Committer<'a>>) -> Self {
        Self { committer, ..self }
    }

    /// Marks a batch of its computation, if there is anything in it.
    fn take(&mut self, batch: &Batch, observer: &dyn Observer) -> Result<()> {
        let begun = Instant::now();
        if self.committer.is_some() {
            self.commit((false, self.is_time()), observer)?;
        } else if !batch.positions.is_empty() {
            self.mark(batch)?;
        }
        self.time += begun.elapsed();
        self.batches += 1;
        Ok(())
    }

    fn is_time(&self) -> bool {
        seconds_since(self.last_checkpoint) >= self.checkpoint.as_secs_f64()
    }

    /// Writes down all that is folded.
    fn conclude_fold(&mut self, observer: &dyn Observer) -> Result<()> {
        self.commit((true, true), observer)?;
        self.lost.take().map_or(Ok(()), Err)?;
        self.committer.as_ref().map_or(Ok(()), Committer::check)
    }

    /// Writes down what is folded, if anything is, and marks that. What can't be finished is for
    /// the end: others may be marked meanwhile.
    fn commit(&mut self, how: (bool, bool), observer: &dyn Observer) -> Result<()> {
        let Some(committer) = self.committer.as_mut().filter(|_| self.lost.is_none()) else {
            return Ok(());
        };
        let marked = Marked { status: &self.status, failed: self.lines.marks() };
        let batch = match committer.commit(self.file, how, marked) {
            Err(error @ Error::Unsuitable { .. }) => {
                self.lost = Some(error);
                return Ok(());
            }
            Err(error @ Error::SourceChanged { .. }) => {
                self.unmark(observer)?;
                return Err(error);
            }
            other => other?,
        };
        let Some(batch) = batch else { return Ok(()) };
        self.mark(&batch)?;
        if let Some(committer) = &mut self.committer {
            committer.tell(observer, &self.status);
        }
        Ok(())
    }

    /// Order matters: a position's status byte is written only when its results, and its failure
    /// if it failed, are where they have to survive.
    fn mark(&mut self, batch: &Batch) -> Result<()> {
        self.lines.list(&batch.failures)?;
        // Failures are listed here, whichever rank has computed them and synced its results.
        let is_synced = batch.is_synced && batch.failures.is_empty();
        if self.durability == Durability::Node && !is_synced {
            self.file.sync()?;
            self.syncs += 1;
        }
        if self.cache == Cache::Drop {
            cache::forget(self.lock.path());
        }
        self.ledger.add(self.file, Covered::of(batch.positions.ranges()), batch.digest)?;
        self.status.set(&batch.positions, 1)?;
        let count = batch.positions.count();
        trace!("{count} positions of a batch are marked");
        (self.completed, self.marked) = (self.completed + count, self.marked + count);
        Ok(())
    }

    /// How many positions are marked.
    pub fn completed(&self) -> u64 {
        self.completed
    }

    /// How many positions this run has marked.
    pub fn marked(&self) -> u64 {
        self.marked
    }

    /// All positions.
    pub fn positions(&self) -> u64 {
        self.status.count()
    }

    /// Gives the lines of failures their lasting order, and tells which positions have failed.
    ///
    /// # Errors
    /// If the file can't be read or written.
    pub fn settle(&mut self) -> Result<FailedPositions> {
        self.lines.settle()?;
        self.lines.failed(&self.status)
    }

    /// Brings `last_pixel` up to date. It only mirrors the status dataset, so that a failure here
    /// is no reason to end the run.
    pub fn checkpoint(&mut self, observer: &dyn Observer) {
        match self.status.run_from(self.prefix) {
            Ok(more) => self.prefix += more,
            Err(error) => self.tell(observer, &error),
        }
        self.write_prefix(observer);
        self.last_checkpoint = Instant::now();
        debug!(
            "checkpoint: {} positions marked in {} batches with {} syncs, {:.3} s in all; \
             last_pixel is {}",
            self.marked,
            self.batches,
            self.syncs,
            self.time.as_secs_f64(),
            self.prefix,
        );
    }

    /// Notes what proves later that the data are untouched, if anything does.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn conclude(&mut self, evidence: Option<String>) -> Result<()> {
        self.ledger.conclude(self.file, evidence)
    }

    /// The positions that this run has marked, and the digest of what was read for them; where
    /// there was no memory to tell them from those that were marked before, of all.
    pub fn computed<'m>(&'m self, grid: &'m PositionGrid) -> (Pending<'m>, RowsDigest) {
        let marked = Pending::done(&self.status, grid);
        match &self.earlier {
            Some(earlier) => (marked.except(earlier), self.ledger.of_run()),
            None => (marked, self.ledger.of_all()),
        }
    }

    fn write_prefix(&mut self, observer: &dyn Observer) {
        let prefix = self.prefix as i64;
        if self.last_pixel == Some(prefix) {
            return;
        }
        match write_last_pixel(self.lock, &self.group, prefix) {
            Ok(()) => self.last_pixel = Some(prefix),
            Err(error) => self.tell(observer, &error),
        }
    }

    fn tell(&mut self, observer: &dyn Observer, error: &Error) {
        if !std::mem::replace(&mut self.told, true) {
            observer.note(&Note {
                text: format!("last_pixel is not up to date: {error}"),
                advice: error.advice(),
            });
        }
    }

    /// Takes the marks of this run back, whose positions hold results of something else than was
    /// asked for.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn unmark(&mut self, observer: &dyn Observer) -> Result<()> {
        info!("the {} marks of this run are taken back", self.marked);
        let mut earlier = self.earlier.clone().unwrap_or_default();
        self.ledger.forget(self.file)?;
        let folds = self.committer.as_ref().filter(|committer| !committer.is_per_position());
        let is_fold = folds.is_some();
        if let Some(committer) = folds {
            // What was folded before the run may be written over by now.
            committer.forget(self.file)?;
            earlier = Positions::default();
        }
        // First: what `last_pixel` says is done has to be, at any time.
        self.prefix = earlier.prefix();
        self.write_prefix(observer);
        self.status.replace(&earlier)?;
        (self.completed, self.marked) = (earlier.count(), 0);
        if !is_fold {
            self.ledger.begin_again(self.file)?;
        }
        self.file.sync()
    }
}

/// Marks the batches of all computations of a pass until there are no more.
///
/// # Errors
/// If a file can't be written; what is marked stays so.
pub(crate) fn mark_all(
    markers: &mut [Marker<'_>],
    scheduler: &Scheduler<'_>,
    observer: &dyn Observer,
) -> Result<()> {
    while let Some(batches) = scheduler.next_to_mark() {
        let due: Vec<bool> = markers.iter().map(Marker::is_time).collect();
        let mut batches = batches.into_iter();
        for marker in &mut *markers {
            marker.take(&batches.next().unwrap_or_default(), observer)?;
        }
        scheduler.marked();
        for (marker, _) in markers.iter_mut().zip(due).filter(|(_, is_due)| *is_due) {
            let begun = Instant::now();
            marker.checkpoint(observer);
            marker.time += begun.elapsed();
        }
    }
    if scheduler.has_failed() {
        return Ok(());
    }
    // One that can't be finished keeps none of the others from it.
    let ended: Vec<Result<()>> =
        markers.iter_mut().map(|marker| marker.conclude_fold(observer)).collect();
    ended.into_iter().collect()
}

/// What is marked, as far as there is memory for it, and how many positions that are.
fn earlier(status: &Marks) -> Result<(Option<Positions>, u64)> {
    let (mut earlier, mut count) = (Positions::default(), 0);
    let mut fits = true;
    status.each_window(|first, marks| {
        for run in runs::of_marks(first, marks) {
            count += run.end - run.start;
            if fits {
                earlier.insert(run);
            }
        }
        fits = fits && earlier.memory() <= EARLIER_BYTES;
        true
    })?;
    Ok((fits.then_some(earlier), count))
}

/// Takes the marks of the failed positions that are selected back: else a kill could leave a mark
/// on a position that is half failed and half computed.
fn take_failed_back(
    (lock, group): (&RunLock, &Taken),
    ledger: &mut Ledger,
    (status, failed): (&MarksInPlace<'_>, &MarksInPlace<'_>),
    (selected, grid): (Option<&Selected>, &PositionGrid),
) -> Result<()> {
    let mut last_pixel = group.last_pixel;
    let mut is_changed = false;
    for window in windows(status.count()) {
        let length = (window.end - window.start) as usize;
        let (mut again, mut marks) = (vec![0; length], vec![0; length]);
        failed.read(window.start, &mut again)?;
        if again.iter().all(|line| *line == 0) {
            continue;
        }
        status.read(window.start, &mut marks)?;
        let pairs = again.iter_mut().zip(&marks);
        pairs.for_each(|(line, mark)| *line = u8::from(*line != 0 && *mark != 0));
        selected.map_or(Ok(()), |selected| selected.narrow(grid, window.start, &mut again))?;
        let Some(first) = again.iter().position(|again| *again != 0) else { continue };
        let first = (window.start + first as u64) as i64;
        if !is_changed {
            // A record that covers other positions than are marked says nothing.
            ledger.forget(status.file())?;
        }
        if last_pixel.is_none_or(|last| last > first) {
            write_last_pixel(lock, &group.path, first)?;
            last_pixel = Some(first);
        }
        marks.iter_mut().zip(&again).filter(|(_, again)| **again != 0).for_each(|it| *it.0 = 0);
        status.write(window.start, &marks)?;
        is_changed = true;
    }
    if is_changed {
        debug!("the marks of failed positions are taken back, to compute them again");
        ledger.begin_again(status.file())?;
        status.sync()?;
    }
    Ok(())
}

/// Overwrites `last_pixel` in a transaction of its own.
pub(super) fn write_last_pixel(lock: &RunLock, group: &str, value: i64) -> Result<()> {
    let transaction = lock.begin()?;
    transaction
        .file()
        .group(group)
        .and_then(|group| put_integer(&group, LAST_PIXEL, value))
        .map_err(|error| transaction.error("write to", &error))?;
    transaction.commit()
}
