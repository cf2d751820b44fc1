//! How what several ranks fold comes together: nodes of the tree travel to the ranks where they are
//! merged (`hand_out::Homes`), and at last to rank 0, which writes them down.
//!
//! What a rank has folded it merges as far as it has the other halves; from time to time what is
//! left goes to its homes. A node that such a home has completed goes on to the next. In a
//! checkpoint interval rank 0 asks for what follows the units that it has without a gap. So what
//! can't be written down yet waits where it was merged, and no rank holds much of it.
//!
//! One thread of each rank, which watches, receives and sends, and never waits for another rank. A
//! worker waits while more is on its way than there is memory for.

use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use super::tree::most_nodes;
use super::{Folding, Node};
use crate::engine::batch::Batch;
use crate::hand_out::Homes;
use crate::storage::in_place::InPlace;
use pixelmill_core::error::{Error, Result};
use pixelmill_core::kernel::BufferLayout;

/// Nodes that a rank has folded and keeps to merge them with others of its own, beside two for each
/// worker, and as many that wait to be sent.
const MOST_OWN: usize = 8;
/// Messages that are on their way at a time.
pub(crate) const MOST_SENDING: usize = 4;
/// Nodes that wait for their other halves in a part of the scan that is merged here, half of them
/// in hand anywhere.
const MOST_HELD: u64 = 8;

/// Most nodes that a rank has of so many units that several fold, beside those that one rank alone
/// has.
pub(super) fn most_travelling(workers: u64, units: u64) -> u64 {
    let own = 2 * (MOST_OWN as u64 + 2 * workers) + MOST_SENDING as u64;
    own + MOST_HELD + most_nodes(units)
}

/// A fold that several ranks compute, as one of them sees it.
pub(super) struct Travel<'a> {
    homes: Homes,
    rank: usize,
    /// Most nodes of its own that it keeps.
    most: usize,
    /// What has to be on the disk before anybody learns what was folded, if anything has.
    file: Option<&'a dyn InPlace>,
}

/// A node of the tree, for another rank.
#[derive(Serialize, Deserialize)]
pub(crate) struct FoldedNode {
    level: u32,
    first: u64,
    /// What is to be marked of its units.
    batch: Batch,
    /// What it holds; in messages it follows the rest.
    #[serde(skip)]
    pub bytes: Vec<u8>,
}

/// What is to be sent.
pub(crate) enum Outgoing {
    Node(usize, FoldedNode),
    /// That nothing more follows what rank 0 asked for, and whether something was on its way then.
    Answer {
        is_busy: bool,
    },
}

/// The same before it is made into bytes.
pub(super) enum Waiting {
    Node { to: usize, level: u32, first: u64, node: Node },
    Answer { is_busy: bool },
}

impl<'a> Folding<'a> {
    /// The same as rank number `rank` of several computes it with some workers; what these write
    /// has to be on the disk before anybody learns of it, if there is a `file`.
    pub fn shared_by(
        self,
        (rank, ranks): (usize, usize),
        workers: usize,
        file: Option<&'a dyn InPlace>,
    ) -> Self {
        if ranks == 1 {
            return self;
        }
        let homes = Homes::new(ranks, self.geometry.count());
        let file = file.filter(|_| self.fold.buffers().iter().any(BufferLayout::is_column));
        let travel = Travel { homes, rank, most: MOST_OWN + 2 * workers, file };
        Self { travel: Some(travel), ..self }
    }

    /// Whether there is anything that ranks have to bring together.
    pub fn travels(&self) -> bool {
        self.travel.is_some() && !self.fold.is_per_position()
    }

    /// Whether this rank alone tells how it ended.
    pub(super) fn is_led_here(&self) -> bool {
        self.travel.as_ref().is_none_or(|travel| travel.rank == 0)
    }

    /// How many units are in without a gap.
    pub fn prefix(&self) -> u64 {
        self.lock().tree.prefix().0
    }

    /// Whether all units are.
    pub fn is_complete(&self) -> bool {
        self.prefix() == self.geometry.count()
    }

    /// The other ranks that may hold a node with this first unit, in the order in which it would
    /// come to them.
    pub fn holding(&self, first: u64) -> Vec<usize> {
        self.travel.as_ref().map_or_else(Vec::new, |travel| travel.homes.holding(first))
    }

    /// Lets nodes go that are merged elsewhere.
    pub fn pass_on(&self) {
        let Some(travel) = self.travel.as_ref().filter(|_| self.travels()) else { return };
        let mut state = self.lock();
        if !state.is_closed {
            state.foreign(travel).into_iter().for_each(|first| state.send_off(travel, first));
        }
    }

    /// Waits, if this rank has too much that is merged elsewhere, until that is sent.
    pub(super) fn make_room(&self) {
        let Some(travel) = &self.travel else { return };
        let mut state = self.lock();
        let foreign = state.foreign(travel);
        if foreign.len() <= travel.most || state.is_closed {
            return;
        }
        foreign.into_iter().for_each(|first| state.send_off(travel, first));
        let is_full =
            |state: &mut super::State| state.waiting.len() > travel.most && !state.is_closed;
        drop(self.sent.wait_while(state, is_full));
    }

    /// Takes a node that comes from another rank.
    ///
    /// # Errors
    /// If it isn't what it says, or can't be merged.
    pub fn arrived(&self, folded: FoldedNode) -> Result<()> {
        let FoldedNode { level, first, batch, bytes } = folded;
        if self.lock().is_closed || self.lost().is_some() {
            return Ok(());
        }
        let mut all = self.idle().pop().unwrap_or_default();
        all.clear(self.fold.buffers(), self.fold.pass());
        let mut left = bytes.as_slice();
        for buffer in all.bytes_mut() {
            let found = left.split_at_checked(buffer.len()).ok_or_else(|| Error::Mpi {
                action: "pass on what was folded",
                reason: "some of it is missing".to_owned(),
            })?;
            buffer.copy_from_slice(found.0);
            left = found.1;
        }
        let (level, first) = self.put_node((level, first), Node { all, batch })?;
        if let Some(travel) = self.travel.as_ref().filter(|travel| travel.rank != 0)
            && travel.homes.of(level, first) != travel.rank
        {
            self.lock().send_off(travel, first);
        }
        Ok(())
    }

    /// Lets all nodes go to rank 0 that follow each other from unit `first` on; `is_busy` if some
    /// are on their way from here.
    pub fn answer(&self, first: u64, is_busy: bool) {
        let mut state = self.lock();
        let is_busy = is_busy || !state.waiting.is_empty();
        let wanted = if state.is_closed { Vec::new() } else { state.tree.following(first) };
        wanted.into_iter().for_each(|first| state.send_to(0, first));
        state.waiting.push_back(Waiting::Answer { is_busy });
    }

    /// What is to be sent next.
    ///
    /// # Errors
    /// If what belongs to it can't be brought to the disk.
    pub fn next_to_send(&self) -> Result<Option<Outgoing>> {
        let Some(next) = self.lock().waiting.pop_front() else { return Ok(None) };
        self.sent.notify_all();
        let (to, level, first, node) = match next {
            Waiting::Answer { is_busy } => return Ok(Some(Outgoing::Answer { is_busy })),
            Waiting::Node { to, level, first, node } => (to, level, first, node),
        };
        let file = self.travel.as_ref().and_then(|travel| travel.file);
        if let Some(file) = file
            && self.is_unsynced.swap(false, Ordering::AcqRel)
        {
            file.sync()?;
        }
        let Node { all, batch } = node;
        let mut bytes = Vec::with_capacity(all.bytes().map(<[u8]>::len).sum());
        all.bytes().for_each(|buffer| bytes.extend_from_slice(buffer));
        self.idle().push(all);
        Ok(Some(Outgoing::Node(to, FoldedNode { level, first, batch, bytes })))
    }

    /// Whether anything waits to be sent.
    pub fn has_to_send(&self) -> bool {
        !self.lock().waiting.is_empty()
    }

    /// Takes nothing more and sends nothing more.
    pub fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        state.waiting.clear();
        self.sent.notify_all();
    }

    /// Takes what is to be marked of single positions, if nothing else is folded.
    pub fn take_rows(&self) -> Option<Batch> {
        let batch = std::mem::take(&mut self.lock().rows);
        (!batch.positions.is_empty()).then_some(batch)
    }

    /// The same that another rank has taken.
    pub fn rows_arrived(&self, batch: Batch) {
        self.lock().rows.append(batch);
    }

    /// Why nothing more can be folded, if that is so.
    pub fn why_lost(&self) -> Option<String> {
        match &*self.lost() {
            Some(Error::Unsuitable { reason, .. }) => Some(reason.clone()),
            Some(other) => Some(other.to_string()),
            None => None,
        }
    }

    /// That nothing more can be folded, as another rank tells.
    pub fn lost_elsewhere(&self, reason: String) -> Error {
        Error::Unsuitable {
            process: self.job.kernel.name().to_owned(),
            dataset: self.job.source.info.path.clone(),
            reason,
        }
    }
}

impl super::State {
    /// The first units of nodes that are merged elsewhere. What rank 0 has without a gap stays.
    fn foreign(&mut self, travel: &Travel<'_>) -> Vec<u64> {
        if travel.rank == 0 {
            self.kept = self.kept.max(self.tree.prefix().0);
        }
        let is_foreign = |(first, level): &(u64, u32)| {
            *first >= self.kept && travel.homes.of(*level, *first) != travel.rank
        };
        self.tree.places().filter(is_foreign).map(|(first, _)| first).collect()
    }

    fn send_off(&mut self, travel: &Travel<'_>, first: u64) {
        if let Some(level) = self.tree.level(first) {
            self.send_to(travel.homes.of(level, first), first);
        }
    }

    fn send_to(&mut self, to: usize, first: u64) {
        if let Some((level, node)) = self.tree.remove(first) {
            self.waiting.push_back(Waiting::Node { to, level, first, node });
        }
    }
}
