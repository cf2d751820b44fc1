//! What writes a fold down while it goes on, for the marker: checkpoints, and results.

use std::time::{Duration, Instant};

use log::debug;

use super::checkpoint::Checkpoint;
use super::tree::Tree;
use super::{Folding, InPass, MadeOf, Marked, Node, Resumed, ends, shown};
use crate::engine::batch::Batch;
use crate::engine::sink::Sink;
use crate::engine::{Observer, Snapshot};
use crate::storage::in_place::{Extent, InPlace};
use crate::storage::marks::Marks;
use crate::storage::results_group::{Place, Places};
use pixelmill_core::chunk_io::WriteChunk;
use pixelmill_core::error::{Error, Result};
use pixelmill_core::kernel::{Accumulator, Role};

/// Of the time that passes the part that writing checkpoints may take: one in so many.
const WRITING: u32 = 10;

/// What the marker keeps of a fold.
pub(crate) struct Committer<'a> {
    folding: &'a Folding<'a>,
    checkpoint: Checkpoint,
    pass: InPass,
    /// Where results go, those of which have a place.
    results: &'a [Extent],
    /// Where results per position are.
    columns: &'a [Place],
    /// How many units are committed.
    committed: u64,
    /// Whether these are all.
    is_complete: bool,
    /// How many of them this run has made results of.
    shown: u64,
    written: Instant,
    took: Duration,
    /// The results that were written last, for those who watch.
    seen: Option<Accumulator>,
}

impl<'a> Committer<'a> {
    /// Begins with what the run was resumed from.
    pub fn new((folding, resumed): (&'a Folding<'a>, Resumed), places: &'a Places) -> Self {
        let Resumed { checkpoint, pass, units, .. } = resumed;
        let (committed, written, took) = (units, Instant::now(), Duration::ZERO);
        let (results, columns) = (places.folded.as_slice(), places.columns.as_slice());
        Self {
            folding,
            checkpoint,
            pass,
            results,
            columns,
            committed,
            is_complete: false,
            shown: 0,
            written,
            took,
            seen: None,
        }
    }

    /// Writes down what is folded of the first units, as a checkpoint or, if that is all, as
    /// results; if it is to be `seen`, as both. `marked` is what was before. What it returns is to
    /// be marked once that is durable, with nothing in it if only results were written; nothing if
    /// there is nothing to write, or, unless it `must` be, if that was done only just now. What
    /// must be seen becomes results even if nothing is new.
    ///
    /// # Errors
    /// If the file can't be written, or what is folded can't be finished.
    pub fn commit(
        &mut self,
        file: &dyn InPlace,
        (must, seen): (bool, bool),
        marked: Marked<'_>,
    ) -> Result<Option<Batch>> {
        if self.folding.fold.is_per_position() {
            return Ok(Some(self.folding.lock().take_before(u64::MAX)));
        }
        let begun = Instant::now();
        // Workers who have a unit to put in wait meanwhile: a copy of all would take as much memory
        // again.
        let mut state = self.folding.lock();
        let units = state.tree.prefix().0;
        let is_all = units == self.folding.geometry.count();
        let is_soon = begun - self.written < self.took * WRITING;
        // What is made of the results of all positions takes longer the more there are.
        let is_last = self.folding.fold.is_last_pass();
        let seen = seen && is_last && (must || !is_soon || !self.folding.ends_per_position());
        let is_unseen = must && seen && units > self.shown;
        let must = must || seen || is_all;
        // Fewer while some of them are merged, and if they can't be.
        let is_new = units > self.committed || is_all && !self.is_complete;
        if units < self.committed || !is_new && !is_unseen || !must && is_soon {
            return Ok(None);
        }
        let pass = &mut self.pass;
        state.tree.prefix().1.for_each(|(_, node)| *pass += node.batch.digest);
        if is_all {
            pass.check(self.folding.job)?;
        }
        if is_all && is_last {
            self.seen = self.write_results(file, &state.tree, marked)?;
        } else if is_all {
            let next = self.folding.next_pass(&state.tree)?;
            let next = pass.followed_by(next, self.folding.job);
            self.checkpoint.write(file, (&next, 0), std::iter::empty())?;
        } else {
            if is_new {
                let nodes = state.tree.prefix().1.map(|(level, node)| (level, &node.all));
                self.checkpoint.write(file, (pass, units), nodes)?;
            }
            if seen {
                self.seen = match self.write_results(file, &state.tree, marked) {
                    Err(error @ Error::Unsuitable { .. }) => {
                        debug!("of a part there is no result yet: {error}");
                        None
                    }
                    written => written?,
                };
            }
        }
        if seen || is_all {
            self.shown = units;
        }
        let batch = state.take_before(units);
        drop(state);
        // Of a pass that isn't the last nothing is done, whatever it has read.
        let batch = if is_last { batch } else { Batch::default() };
        (self.committed, self.is_complete) = (units, is_all);
        self.written = Instant::now();
        self.took = self.written - begun;
        debug!("{units} units are written down in {:.3} s", self.took.as_secs_f64());
        Ok(Some(batch))
    }

    /// Whether everything could be folded.
    ///
    /// # Errors
    /// If not, why.
    pub fn check(&self) -> Result<()> {
        self.folding.lost().take().map_or(Ok(()), Err)
    }

    /// Lets nobody go on with anything that is written down.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn forget(&self, file: &dyn InPlace) -> Result<()> {
        if self.is_per_position() { Ok(()) } else { self.checkpoint.forget(file) }
    }

    /// Whether nothing is folded.
    pub fn is_per_position(&self) -> bool {
        self.folding.fold.is_per_position()
    }

    /// Tells the observer of the results that were written last, of the positions that are marked.
    pub fn tell(&mut self, observer: &dyn Observer, status: &Marks) {
        let Some(all) = self.seen.take() else { return };
        let shown = shown(self.folding.fold.buffers().iter().zip(all.bytes()));
        let results = shown.map(|(layout, bytes)| (&layout.column, bytes)).collect();
        let ends = ends(self.folding.fold.buffers(), &all);
        let per_position = ends.map(|(_, layout, rows)| (&layout.column, rows)).collect();
        let process = self.folding.job.kernel.name();
        observer.snapshot(&Snapshot::new(process, (results, per_position), status));
        // What has room for all positions is too large to be kept.
        if !self.folding.ends_per_position() {
            self.folding.idle().push(all);
        }
    }

    fn write_results(
        &self,
        file: &dyn InPlace,
        tree: &Tree<Node>,
        marked: Marked<'_>,
    ) -> Result<Option<Accumulator>> {
        let nodes = || tree.prefix().1.map(|(_, node)| node);
        let first: Vec<_> = nodes().map(|node| &node.all).collect();
        let sink = Sink::new(file, self.folding.job.placed_columns(self.columns));
        let read = |dataset: usize, rows: &mut [u8]| sink.read(dataset, 0, rows);
        let mark = |is_in: &mut [u8]| marked.mark(nodes().map(|node| &node.batch), is_in);
        let made_of = MadeOf { read: &read, mark: &mark };
        let made_of = Some(made_of).filter(|_| self.folding.ends_per_position());
        let finished = self.folding.finished(first.into_iter(), made_of)?;
        let Some(all) = finished else { return Ok(None) };
        // Masks are last: what is said to be valid is there, whoever looks meanwhile or after a
        // kill.
        let (masks, results): (Vec<_>, Vec<_>) = ends(self.folding.fold.buffers(), &all)
            .partition(|(_, layout, _)| layout.role == Role::Mask);
        for (dataset, _, rows) in results.into_iter().chain(masks) {
            sink.write(dataset, 0, rows)?;
        }
        let shown = shown(self.folding.fold.buffers().iter().zip(all.bytes()));
        for ((_, bytes), place) in shown.zip(self.results) {
            file.write(place.part(0, bytes)?)?;
        }
        Ok(Some(all))
    }
}
