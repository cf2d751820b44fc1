//! Folds: all spectra of a scan into one answer, with the same bits whoever computes it and however
//! often it was interrupted.
//!
//! `cut` says how the scan is cut into units, by the data alone; `geometry` numbers those in which
//! something is to be folded; `read` reads parts of one, `unit` folds it, tile by tile, and
//! `together` does so for all computations of a pass; `tree` says which units are merged, and
//! `travel` how they come together if several ranks fold; `checkpoint` is what a run is resumed
//! from, `resumed` how, and `committer` what writes it, for the marker; `ends` are results per
//! position that are made at the end, and `passes` is for folds that go over the scan several
//! times, of which `kept` has in memory what there is room for. [`Folding`] is what all threads of
//! a run share: workers put what they have folded into the tree, and whenever a batch is to be
//! marked the marker takes the units that are in without a gap, from the first on.
//!
//! The order in which a fold becomes durable: the nodes of those units into the slot that isn't
//! kept, what the disk has to be told, the digest of their data, their marks. So what is marked is
//! in a slot. At the end there are results instead of a slot: a kill before the last marks costs
//! what was folded since the last checkpoint. Whoever resumes takes the slot for true, and sets the
//! marks by it.

mod again;
mod checkpoint;
mod committer;
mod cut;
mod ends;
pub(super) mod geometry;
mod kept;
mod passes;
mod plan;
mod read;
mod resumed;
mod together;
mod travel;
mod tree;
mod unit;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use log::debug;

use super::Request;
use super::batch::Batch;
use super::job::Job;
use super::pending::Pending;
use super::scheduler::Portion;
use super::supply::{Stock, parts};
use super::target::RunLock;
use crate::ranks::Communicator;
use crate::storage::file::ReadFile;
use crate::storage::results_group::CHECKPOINT;
pub(crate) use again::{Again, again, check_merge, estimate, first_pass};
pub(crate) use committer::Committer;
use cut::Group;
pub(crate) use ends::Marked;
use ends::{MadeOf, ends, mark_folded};
use geometry::{Geometry, shown};
pub(crate) use kept::Kept;
use passes::InPass;
pub(crate) use passes::{PassMessage, begin_pass, unmarked};
use pixelmill_core::contribution::UnitResults;
use pixelmill_core::error::{Error, Result};
use pixelmill_core::failure::{Failure, guarded};
use pixelmill_core::kernel::{Accumulator, BufferLayout, Fold, Pass};
pub(crate) use plan::{held_bytes, merged_bytes, plan};
use read::WantedGroup;
pub(crate) use resumed::Resumed;
pub(crate) use together::Together;
pub(crate) use travel::{FoldedNode, MOST_SENDING, Outgoing};
use travel::{Travel, Waiting};
use tree::{Step, Tree};
use unit::UnitWorker;

/// A fold while it is computed, as all threads share it.
pub(crate) struct Folding<'a> {
    job: &'a Job,
    fold: &'a dyn Fold,
    /// How what it goes over is cut.
    geometry: Geometry,
    pending: &'a Pending<'a>,
    /// What becomes of the results; nothing is folded if nobody wants any.
    wants: Wants<'a>,
    /// How it comes together if several ranks compute it.
    travel: Option<Travel<'a>>,
    state: Mutex<State>,
    /// Notified when something was sent.
    sent: Condvar,
    /// Whether workers have written anything that may not be on the disk.
    is_unsynced: AtomicBool,
    /// Accumulators that nobody uses.
    idle: Mutex<Vec<Accumulator>>,
    /// Why nothing more can be folded, if that is so.
    lost: Mutex<Option<Error>>,
}

/// Who wants what is folded.
enum Wants<'a> {
    /// Nobody: only data are read.
    Nothing,
    /// Whoever started it.
    Results,
    /// Whoever compares the results of positions with what there is.
    Compared(&'a Compare<'a>),
}

/// Compares the results of some positions with what there is.
pub(crate) type Compare<'a> = dyn Fn(&[Range<u64>], &UnitResults) -> Result<()> + Sync + 'a;

#[derive(Default)]
struct State {
    tree: Tree<Node>,
    /// What is to be marked, where nothing is folded.
    rows: Batch,
    /// What waits to be sent to other ranks.
    waiting: VecDeque<Waiting>,
    /// Units that rank 0 has had without a gap.
    kept: u64,
    /// Whether nothing more is taken or sent.
    is_closed: bool,
}

/// What some units are folded into, and what is to be marked of them.
struct Node {
    all: Accumulator,
    batch: Batch,
}

/// How the job's kernel folds.
fn folded_by(job: &Job) -> &dyn Fold {
    job.prepared.fold().expect("only kernels that fold have a geometry")
}

/// Whether what is asked for can be done by a fold, if the job is one.
///
/// # Errors
/// If not, in words.
pub(crate) fn check(job: &Job, request: &Request) -> Result<()> {
    if job.geometry.is_none() || !request.retry_failed || folded_by(job).is_per_position() {
        return Ok(());
    }
    Err(Error::FoldedTogether {
        process: job.kernel.name().to_owned(),
        dataset: job.source.info.path.clone(),
    })
}

/// Takes away what a fold would be resumed from, which is done. If somebody has the file open, the
/// next who asks for these results does.
pub(crate) fn tidy_up(lock: &RunLock, source: &ReadFile, group: &str) {
    let tidied = lock.alone(source, || {
        let transaction = lock.begin()?;
        let unlinked = transaction.file().group(group).and_then(|group| {
            if group.link_exists(CHECKPOINT) { group.unlink(CHECKPOINT) } else { Ok(()) }
        });
        unlinked.map_err(|error| transaction.error("write to", &error))?;
        transaction.commit()
    });
    if let Err(error) = tidied {
        debug!("the checkpoint of {group} stays: {error}");
    }
}

/// The units of a pass that this rank computes, from the `stock` that all share of those from
/// number `first` on; `pending` is what each computation has to do.
pub(crate) fn portions<'p>(
    (geometry, first): (&'p Geometry, u64),
    pending: Vec<&'p Pending<'p>>,
    stock: &'p Stock,
    ranks: &'p dyn Communicator,
) -> impl Iterator<Item = Result<Portion>> + Send + 'p {
    let portions = parts(stock, ranks, 1).map(move |unit| {
        let runs = Pending::of_any(&pending, &geometry.runs(first + unit?.start))?.into();
        Ok(Portion { runs, block: None, is_exclusive: false })
    });
    portions.filter(|portion| portion.as_ref().map_or(true, |it| !it.runs.is_empty()))
}

/// The groups in which something is pending, with that.
fn wanted(groups: &[Group], pending: &[&Pending<'_>]) -> Result<Vec<WantedGroup>> {
    let mut wanted = Vec::new();
    for group in groups {
        let positions: Vec<u64> =
            Pending::of_any(pending, &group.runs)?.into_iter().flatten().collect();
        if !positions.is_empty() {
            wanted.push(WantedGroup { group: group.clone(), positions });
        }
    }
    Ok(wanted)
}

/// That a kernel can't do something, and why.
fn unsuitable(job: &Job, doing: &str, failure: &Failure) -> Error {
    Error::Unsuitable {
        process: job.kernel.name().to_owned(),
        dataset: job.source.info.path.clone(),
        reason: format!("it can't {doing}: {failure}"),
    }
}

impl<'a> Folding<'a> {
    /// A fold of the units in which something is `pending`.
    pub fn new(job: &'a Job, geometry: Geometry, pending: &'a Pending<'a>) -> Self {
        let (fold, wants) = (folded_by(job), Wants::Results);
        Self {
            job,
            fold,
            geometry,
            pending,
            wants,
            travel: None,
            state: Mutex::default(),
            sent: Condvar::new(),
            is_unsynced: AtomicBool::new(false),
            idle: Mutex::default(),
            lost: Mutex::default(),
        }
    }

    /// The same of all units behind those of a checkpoint, with what is folded of these.
    pub fn resumed(
        job: &'a Job,
        geometry: Geometry,
        pending: &'a Pending<'a>,
        resumed: &mut Resumed,
    ) -> Self {
        let folding = Self::new(job, geometry, pending);
        let nodes = std::mem::take(&mut resumed.nodes).into_iter();
        let unmarked = |(level, all)| (level, Node { all, batch: Batch::default() });
        folding.lock().tree.resume(nodes.map(unmarked));
        folding
    }

    /// The same, but nothing is folded: data are only read.
    pub fn reading(self) -> Self {
        Self { wants: Wants::Nothing, ..self }
    }

    /// Gives the results of the positions of a unit to whoever compares them.
    ///
    /// # Errors
    /// Those of the comparison.
    fn compare(&self, runs: &[Range<u64>], results: &UnitResults) -> Result<()> {
        match self.wants {
            Wants::Compared(compare) => compare(runs, results),
            Wants::Nothing | Wants::Results => Ok(()),
        }
    }

    /// How what it goes over is cut.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The number of the unit that holds a position.
    fn number(&self, position: u64) -> u64 {
        self.geometry.holding(position)
    }

    /// What a thread folds with.
    fn worker(&self) -> UnitWorker<'_> {
        UnitWorker::new(self.job, self.fold, &self.geometry, self.pending)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Accumulator>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What came of folding something in a pass. If that can't be folded or merged at all, nothing
    /// more is, while others in the pass go on.
    ///
    /// # Errors
    /// What ends the run for all.
    pub fn lose(&self, folded: Result<()>) -> Result<()> {
        match folded {
            Err(error @ Error::Unsuitable { .. }) => {
                self.lost().get_or_insert(error);
                Ok(())
            }
            other => other,
        }
    }

    fn lost(&self) -> MutexGuard<'_, Option<Error>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Memory for a unit, in which anything may be; none if nothing is to be folded.
    fn accumulator(&self) -> Option<Accumulator> {
        let is_folded = !matches!(self.wants, Wants::Nothing);
        is_folded.then(|| self.idle().pop().unwrap_or_default())
    }

    /// What a mini-batch without a unit is folded into.
    fn nothing(&self) -> Accumulator {
        let mut nothing = Accumulator::default();
        nothing.clear(self.fold.buffers(), self.fold.pass());
        self.fold.worker().begin(&mut nothing.parts());
        nothing
    }

    /// Takes what a unit was folded into, and merges it as far as its neighbours are there; `batch`
    /// is what is to be marked of it.
    ///
    /// # Errors
    /// If it doesn't count, or two can't be merged.
    fn put(&self, number: u64, all: Accumulator, batch: Batch) -> Result<()> {
        self.fold.check()?;
        self.is_unsynced.store(true, Ordering::Release);
        if self.fold.is_per_position() {
            self.lock().rows.append(batch);
            self.idle().push(all);
            return Ok(());
        }
        self.put_node((0, number), Node { all, batch })?;
        self.make_room();
        Ok(())
    }

    /// The same of a node of this level and with this first unit; returns those of what it has
    /// become a part of.
    fn put_node(&self, (mut level, mut first): (u32, u64), mut node: Node) -> Result<(u32, u64)> {
        loop {
            let step = self.lock().tree.put(level, first, node);
            let Step::Merge { level: above, first: at, mut left, mut right } = step else {
                return Ok((level, first));
            };
            self.merge(&mut left.all, &mut right.all)?;
            left.batch.append(right.batch);
            self.idle().push(right.all);
            (level, first, node) = (above, at, left);
        }
    }

    /// Whether something per position is made at the end.
    fn ends_per_position(&self) -> bool {
        let mut columns = self.fold.buffers().iter().filter(|layout| layout.is_column());
        columns.any(BufferLayout::is_at_end)
    }

    fn copy(&self, node: &Accumulator) -> Accumulator {
        let mut copy = self.idle().pop().unwrap_or_default();
        copy.copy_from(node);
        copy
    }

    fn merge(&self, into: &mut Accumulator, from: &mut Accumulator) -> Result<()> {
        let merged = guarded(|| self.fold.merge(&mut into.parts(), &mut from.parts()));
        merged.unwrap_or_else(Err).map_err(|why| self.refused("merge what was folded", &why))
    }

    /// That it can't do something, and why, unless that ends the run anyway.
    fn refused(&self, doing: &str, failure: &Failure) -> Error {
        self.fold.check().err().unwrap_or_else(|| unsuitable(self.job, doing, failure))
    }

    /// What some nodes hold, which follow each other; `None` of none.
    fn merged<'n>(
        &self,
        nodes: impl DoubleEndedIterator<Item = &'n Accumulator>,
    ) -> Result<Option<Accumulator>> {
        // As in the tree: the last are the smallest, and merged first.
        let mut nodes = nodes.rev();
        let Some(last) = nodes.next() else { return Ok(None) };
        let mut all = self.copy(last);
        for node in nodes {
            let mut earlier = self.copy(node);
            self.merge(&mut earlier, &mut all)?;
            self.idle().push(std::mem::replace(&mut all, earlier));
        }
        Ok(Some(all))
    }

    /// What the next pass begins with, made of what is in a tree, which is all there is.
    fn next_pass(&self, tree: &Tree<Node>) -> Result<Pass> {
        let mut all = match self.merged(tree.nodes().map(|node| &node.all))? {
            Some(all) => all,
            None => self.nothing(),
        };
        let next = || guarded(|| self.fold.next_pass(&mut all.parts()));
        // What is parallel in it has the threads, which have nothing to do meanwhile.
        let next = self.job.workers.install(next).unwrap_or_else(Err);
        self.idle().push(all);
        next.map_err(|why| {
            let failures = || tree.nodes().flat_map(|node| node.batch.failures.iter());
            let why = match failures().next() {
                Some((first, _)) => {
                    Failure::new(format!("{why}. Positions have failed, one of them since {first}"))
                }
                None => why,
            };
            self.refused("go on after a pass over the data", &why)
        })
    }

    /// The results of what some nodes hold, which follow each other; `None` of none. Those per
    /// position are made if it is said of what.
    fn finished<'n>(
        &self,
        nodes: impl DoubleEndedIterator<Item = &'n Accumulator>,
        made_of: Option<MadeOf<'_>>,
    ) -> Result<Option<Accumulator>> {
        let Some(mut all) = self.merged(nodes)? else { return Ok(None) };
        let layouts = self.fold.buffers();
        let positions = made_of.as_ref().map_or(0, |_| self.job.source.info.positions as usize);
        all.with_ends(layouts, positions);
        let is_in = match made_of {
            Some(made_of) => ends::gather(layouts, (&mut all, positions), &made_of)?,
            None => Vec::new(),
        };
        let finished = guarded(|| self.fold.finish(&mut all.parts()));
        let finished = finished.unwrap_or_else(Err);
        finished.map_err(|why| self.refused("finish what was folded", &why))?;
        ends::narrow(layouts, &mut all, &is_in);
        Ok(Some(all))
    }
}

impl State {
    /// What is to be marked of the first units.
    fn take_before(&mut self, units: u64) -> Batch {
        let mut all = std::mem::take(&mut self.rows);
        for node in self.tree.before_mut(units) {
            all.append(std::mem::take(&mut node.batch));
        }
        all
    }
}
