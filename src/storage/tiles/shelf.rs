//! Blocks that are read from while several portions of a run are computed: each is read once, and
//! stays until nobody needs it any more, or its room is needed.
//!
//! Which portions need a block is known: those whose positions have neighbours in it. Portions are
//! opened in the order of their numbers, so a number that is over will not come again. Where there
//! isn't room for all blocks that are still needed, the one goes that is needed last; it is read
//! anew then. What a worker is just copying from stays in memory until it has its rows.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Block, PortionReader, Tiles};
use crate::neighbourhood::Neighbourhood;
use crate::view::Blocks;
use pixelmill_core::chunk_io::{ReadChunk, ReadRows};
use pixelmill_core::error::Result;

/// The blocks of a run whose positions are computed with their neighbours.
pub(crate) struct Shelf {
    tiles: Arc<Tiles>,
    cut: Blocks,
    neighbourhood: Neighbourhood,
    /// Blocks that have room.
    most: usize,
    state: Mutex<State<Arc<Block>>>,
}

struct State<B> {
    kept: BTreeMap<u64, Kept<B>>,
    /// Portions that are begun and not done, each with the number of its block, and the first that
    /// none was begun of yet.
    open: BTreeSet<u64>,
    next: u64,
}

impl<B> Default for State<B> {
    fn default() -> Self {
        Self { kept: BTreeMap::new(), open: BTreeSet::new(), next: 0 }
    }
}

struct Kept<B> {
    block: B,
    /// The portions that need it, ascending.
    needed_by: Vec<u64>,
}

impl<B> State<B> {
    /// The first portion from now on that needs a block.
    fn next_use(&self, kept: &Kept<B>) -> Option<u64> {
        let may_come = |number: &&u64| **number >= self.next || self.open.contains(*number);
        kept.needed_by.iter().find(may_come).copied()
    }

    /// Makes room for one block.
    fn make_room(&mut self, most: usize) {
        let uses: Vec<_> =
            self.kept.iter().map(|(number, kept)| (self.next_use(kept), *number)).collect();
        for (_, number) in uses.iter().filter(|(next, _)| next.is_none()) {
            self.kept.remove(number);
        }
        let mut needed: Vec<_> = uses.into_iter().filter(|(next, _)| next.is_some()).collect();
        needed.sort_unstable();
        while self.kept.len() >= most.max(1) {
            let Some((_, last)) = needed.pop() else { return };
            self.kept.remove(&last);
        }
    }
}

impl Shelf {
    /// A shelf with room for so many of the blocks that a scan is `cut` into.
    pub fn new(
        tiles: &Arc<Tiles>,
        cut: Blocks,
        neighbourhood: Neighbourhood,
        most: usize,
    ) -> Arc<Self> {
        let (tiles, state) = (Arc::clone(tiles), Mutex::default());
        Arc::new(Self { tiles, cut, neighbourhood, most, state })
    }

    /// What the positions of block number `number` and their neighbours are read from. Numbers
    /// ascend.
    pub fn open(self: &Arc<Self>, number: u64) -> Neighbours {
        let mut state = self.lock();
        state.open.insert(number);
        state.next = state.next.max(number + 1);
        Neighbours { shelf: Arc::clone(self), number }
    }

    fn lock(&self) -> MutexGuard<'_, State<Arc<Block>>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Block number `number`, which whoever reads from it first reads.
    fn block(&self, number: u64) -> Arc<Block> {
        let mut state = self.lock();
        if let Some(kept) = state.kept.get(&number) {
            return Arc::clone(&kept.block);
        }
        state.make_room(self.most);
        let region = self.cut.region(number);
        // Who has neighbours in it lies within reach of it.
        let runs = region.runs(&self.tiles.view.position_shape());
        let around = self.neighbourhood.within_reach(&runs);
        let needed_by: BTreeSet<u64> =
            self.pieces(&around).into_iter().map(|(number, _)| number).collect();
        let block = Arc::new(Block::new(&self.tiles, region));
        let needed_by = needed_by.into_iter().collect();
        state.kept.insert(number, Kept { block: Arc::clone(&block), needed_by });
        block
    }

    /// Runs cut by the blocks that they lie in.
    fn pieces(&self, positions: &[Range<u64>]) -> Vec<(u64, Range<u64>)> {
        let mut pieces = Vec::new();
        for run in positions {
            let mut start = run.start;
            while start < run.end {
                let (number, end) = self.cut.holding_until(start);
                pieces.push((number, start..end.min(run.end)));
                start = end;
            }
        }
        pieces
    }

    /// Fills `rows` with the rows of some positions, block after block: nobody holds two of them.
    fn read_into(&self, positions: &[Range<u64>], rows: &mut [u8]) -> Result<()> {
        let row_bytes = self.tiles.row_bytes();
        let mut begin = 0;
        let mut pieces: Vec<(u64, Range<u64>, usize)> = Vec::new();
        for (number, piece) in self.pieces(positions) {
            let bytes = (piece.end - piece.start) as usize * row_bytes;
            pieces.push((number, piece, begin));
            begin += bytes;
        }
        pieces.sort_by_key(|(number, ..)| *number);
        for of_block in pieces.chunk_by(|one, other| one.0 == other.0) {
            let block = self.block(of_block[0].0);
            for (_, piece, begin) in of_block {
                let bytes = (piece.end - piece.start) as usize * row_bytes;
                block.read_into(std::slice::from_ref(piece), &mut rows[*begin..][..bytes])?;
            }
        }
        Ok(())
    }
}

/// What a portion is read from whose positions are computed with their neighbours.
pub(crate) struct Neighbours {
    shelf: Arc<Shelf>,
    number: u64,
}

impl ReadChunk for Neighbours {
    fn read<'a>(&'a self, positions: &[Range<u64>], rows: &mut ReadRows<'a>) -> Result<()> {
        self.shelf.read_into(positions, rows.bytes_mut())
    }
}

impl PortionReader for Neighbours {
    fn is_busy(&self) -> bool {
        self.shelf.lock().kept.get(&self.number).is_some_and(|kept| kept.block.is_busy())
    }
}

impl Drop for Neighbours {
    fn drop(&mut self) {
        self.shelf.lock().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks in a row, each needed by the portions of those beside it.
    fn row(blocks: Range<u64>, open: &[u64], next: u64) -> State<()> {
        let kept = |number: u64| {
            let needed_by = (number.saturating_sub(1)..number + 2).collect();
            (number, Kept { block: (), needed_by })
        };
        State { kept: blocks.map(kept).collect(), open: open.iter().copied().collect(), next }
    }

    fn left(mut state: State<()>, most: usize) -> Vec<u64> {
        state.make_room(most);
        state.kept.into_keys().collect()
    }

    #[test]
    fn what_nobody_needs_any_more_goes_first() {
        assert_eq!(left(row(0..5, &[3], 4), 9), [2, 3, 4]);
        assert_eq!(left(row(0..5, &[1, 3], 4), 9), [0, 1, 2, 3, 4], "1 isn't done");
    }

    #[test]
    fn what_is_needed_last_goes_next_and_what_is_needed_now_stays() {
        assert_eq!(left(row(2..7, &[3], 4), 4), [2, 3, 4]);
        assert_eq!(left(row(2..7, &[3], 4), 1), Vec::<u64>::new(), "there is room for one alone");
    }
}
