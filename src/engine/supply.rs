//! The pending positions in the order in which they are read: block by block, or one after the
//! other; all of them for one rank, or piece by piece from the counter that several ranks share.
//!
//! What ranks share is settled before any of them begins: pieces of what is pending then. What of a
//! piece is pending is looked up once more when it is taken, a window at a time: until then nobody
//! else changes the status there.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use log::trace;
use twox_hash::xxhash3_128::Hasher;

use super::job::Job;
use super::pending::Pending;
use super::scheduler::{Portion, Supply};
use crate::bins::Bins;
use crate::hand_out::Guide;
use crate::neighbourhood::Neighbourhood;
use crate::plan::Plan;
use crate::ranks::Communicator;
use crate::storage::marks::windows;
use crate::storage::tiles::{PortionReader, Shelf};
use crate::view::Blocks;
use pixelmill_core::error::Result;

/// Positions of a portion at most: if only every second is pending, its runs take 1 MiB.
pub(crate) const PORTION: u64 = 1 << 17;

/// Items that ranks share at most.
const ITEMS: u64 = 1 << 18;

/// What the ranks of a run share: the positions, or the blocks, in which something is pending
/// before any of them begins. Of a large scan some that follow each other are one item.
pub(crate) struct Stock {
    /// How the positions are cut into blocks, if the source is read so.
    blocks: Option<Blocks>,
    /// The bins that are computed as one position each, if they are: a block has those that begin
    /// in it.
    bins: Option<Bins>,
    /// How many grains the scan has, which are positions or blocks, and how many of them are an
    /// item.
    grains: u64,
    each: u64,
    /// The items in which something is pending; all if nothing is said.
    numbers: Option<Vec<u32>>,
    /// Bytes that are merged of each grain, if these are units of folds.
    merged: Option<u64>,
}

impl Stock {
    /// The whole scan: all there is for one rank, which asks nobody.
    pub fn whole(job: &Job, plan: &Plan) -> Self {
        let rows = &job.source.rows;
        let blocks = rows.tiles().zip(plan.blocks.as_ref()).map(|(tiles, plan)| {
            Blocks::new(&rows.view().position_shape(), &tiles.cell(), &plan.segments)
        });
        let bins = job.neighbourhood.as_ref().and_then(Neighbourhood::bins).cloned();
        Self { bins, ..Self::of_scan(blocks, job.source.info.positions) }
    }

    /// So many units of folds, of each of which so many bytes are merged.
    pub fn of_units(units: u64, bytes: u64) -> Self {
        Self { merged: Some(bytes), ..Self::of_scan(None, units) }
    }

    /// What is `pending` in any computation of a pass, for so many ranks. All of them must see the
    /// same, so none may have begun.
    ///
    /// # Errors
    /// If the status or a selection can't be read.
    pub fn new(job: &Job, pending: &[&Pending<'_>], plan: &Plan, ranks: usize) -> Result<Self> {
        let whole = Self::whole(job, plan);
        if ranks == 1 { Ok(whole) } else { whole.narrowed(pending) }
    }

    fn of_scan(blocks: Option<Blocks>, positions: u64) -> Self {
        let grains = blocks.as_ref().map_or(positions, Blocks::count);
        Self { blocks, bins: None, grains, each: 1, numbers: None, merged: None }
    }

    fn narrowed(mut self, pending: &[&Pending<'_>]) -> Result<Self> {
        let [first, ..] = pending else { return Ok(self) };
        let each = self.grains.div_ceil(ITEMS).max(1);
        let mut has_work = vec![false; self.grains.div_ceil(each) as usize];
        // Positions before this one are looked after.
        let mut seen = 0;
        for window in windows(first.positions()) {
            for run in Pending::of_any(pending, &[window])? {
                seen = seen.max(run.start);
                while seen < run.end {
                    let (grain, end) = match (&self.blocks, &self.bins) {
                        (Some(blocks), Some(bins)) => {
                            (blocks.holding(bins.first_row(seen)), seen + 1)
                        }
                        (Some(blocks), None) => blocks.holding_until(seen),
                        (None, _) => (seen, (seen / each + 1) * each),
                    };
                    has_work[(grain / each) as usize] = true;
                    seen = end;
                }
            }
        }
        if has_work.contains(&false) {
            let numbers = (0..).zip(has_work).filter_map(|(number, has)| has.then_some(number));
            (self.each, self.numbers) = (each, Some(numbers.collect()));
        }
        Ok(self)
    }

    /// How many items there are.
    fn count(&self) -> u64 {
        self.numbers.as_ref().map_or(self.grains, |numbers| numbers.len() as u64)
    }

    /// What is handed out and by whom, in words.
    pub fn told(&self, ranks: &dyn Communicator) -> String {
        let grain = match &self.blocks {
            Some(_) => "blocks",
            None if self.merged.is_some() => "units",
            None => "positions",
        };
        match ranks.size() {
            1 if self.merged.is_some() => format!("that are {} {grain}", self.grains),
            1 => format!("the scan has {} {grain}", self.grains),
            _ => format!(
                "the ranks share {} items of {} {grain} each, handed out by {}",
                self.count(),
                self.each,
                ranks.handed_out_by()
            ),
        }
    }

    /// The grains of some items, with those between them, where nothing is pending.
    fn grains(&self, items: &Range<u64>) -> Range<u64> {
        let Some(numbers) = &self.numbers else { return items.clone() };
        match &numbers[items.start as usize..items.end as usize] {
            [] => 0..0,
            [first, .., last] | [first @ last] => {
                let start = u64::from(*first) * self.each;
                start..self.grains.min((u64::from(*last) + 1) * self.each)
            }
        }
    }

    /// What is the same on all ranks if they share the same.
    pub fn outline(&self) -> String {
        let mut hash = Hasher::new();
        hash.write(&self.grains.to_le_bytes());
        hash.write(&self.each.to_le_bytes());
        self.numbers.iter().flatten().for_each(|number| hash.write(&number.to_le_bytes()));
        format!("{} {:032x}", self.count(), hash.finish_128())
    }
}

/// What this rank computes of the positions that are `pending` in any computation of a pass, from
/// the `stock` that all ranks share.
pub(crate) fn supply<'a>(
    job: &'a Job,
    pending: Vec<&'a Pending<'a>>,
    stock: &'a Stock,
    plan: &Plan,
    ranks: &'a dyn Communicator,
) -> Supply<'a> {
    let rows = &job.source.rows;
    let Some(blocks) = &stock.blocks else {
        let portions = parts(stock, ranks, PORTION).map(move |window| {
            let runs = Pending::of_any(&pending, &[window?])?.into();
            Ok(Portion { runs, block: None, is_exclusive: true })
        });
        return Box::new(portions.filter(has_work));
    };
    let scan = rows.view().position_shape();
    let shelf = job.neighbourhood.as_ref().zip(rows.tiles()).map(|(neighbourhood, tiles)| {
        let most = plan.blocks.as_ref().map_or(1, |blocks| blocks.kept);
        Shelf::new(tiles, blocks.clone(), neighbourhood.clone(), most)
    });
    let reader = move |number, region| -> Option<Arc<dyn PortionReader>> {
        match &shelf {
            Some(shelf) => Some(Arc::new(shelf.open(number))),
            None => rows.block(region).map(|block| block as Arc<dyn PortionReader>),
        }
    };
    let portions = parts(stock, ranks, 1).map(move |block| {
        let number = block?.start;
        let region = blocks.region(number);
        let rows = region.runs(&scan);
        let wanted = match &stock.bins {
            Some(bins) => rows.into_iter().flat_map(|rows| bins.beginning_in(rows)).collect(),
            None => rows,
        };
        let runs: VecDeque<_> = Pending::of_any(&pending, &wanted)?.into();
        let block = if runs.is_empty() { None } else { reader(number, region) };
        Ok(Portion { runs, block, is_exclusive: wanted.len() == 1 })
    });
    Box::new(portions.filter(has_work))
}

fn has_work(portion: &Result<Portion>) -> bool {
    portion.as_ref().map_or(true, |portion| !portion.runs.is_empty())
}

/// What this rank takes of the stock, in parts of at most `most` grains that follow each other.
pub(crate) fn parts<'a>(
    stock: &'a Stock,
    ranks: &'a dyn Communicator,
    most: u64,
) -> impl Iterator<Item = Result<Range<u64>>> + 'a {
    Pieces::new(ranks, stock).flat_map(move |piece| {
        let (grains, error) = match piece {
            Ok(piece) => (stock.grains(&piece), None),
            Err(error) => (0..0, Some(Err(error))),
        };
        let parts = (0..(grains.end - grains.start).div_ceil(most)).map(move |number| {
            let first = grains.start + number * most;
            Ok(first..grains.end.min(first + most))
        });
        error.into_iter().chain(parts)
    })
}

/// The pieces of `0..total` that this rank takes: first one of its own, then others from the
/// counter of all ranks.
struct Pieces<'a> {
    ranks: &'a dyn Communicator,
    guide: Guide,
    total: u64,
    /// What it begins with, until it has.
    first: Option<Range<u64>>,
    /// How many items are known to be taken by anybody.
    taken: u64,
    /// How long the last piece was waited for, and when it came.
    waited: f64,
    begun: Instant,
}

impl<'a> Pieces<'a> {
    fn new(ranks: &'a dyn Communicator, stock: &Stock) -> Self {
        let total = stock.count();
        let guide = match stock.merged {
            Some(bytes) => Guide::of_units(ranks.rank(), ranks.size(), total, bytes),
            None => Guide::new(ranks.rank(), ranks.size(), total),
        };
        let (first, taken) = (Some(guide.first()), guide.ahead());
        Self { ranks, guide, total, first, taken, waited: 0.0, begun: Instant::now() }
    }

    fn take(&mut self) -> Result<Range<u64>> {
        let asked = Instant::now();
        let piece = match self.first.take() {
            Some(first) => first,
            None => {
                let elapsed = (asked - self.begun).as_secs_f64();
                let wanted = self.guide.next(self.taken, elapsed, self.waited);
                let start = self.guide.ahead().saturating_add(self.ranks.fetch_and_add(wanted)?);
                self.taken = start.saturating_add(wanted).min(self.total);
                start.min(self.total)..self.taken
            }
        };
        self.begun = Instant::now();
        self.waited = (self.begun - asked).as_secs_f64();
        trace!("takes the items {piece:?}");
        Ok(piece)
    }
}

impl Iterator for Pieces<'_> {
    type Item = Result<Range<u64>>;

    fn next(&mut self) -> Option<Result<Range<u64>>> {
        if self.first.is_none() && self.taken >= self.total {
            return None;
        }
        let piece = self.take();
        if piece.is_err() {
            self.taken = self.total;
        }
        Some(piece).filter(|piece| !piece.as_ref().is_ok_and(Range::is_empty))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position_grid::PositionGrid;
    use crate::ranks::Ranks;
    use crate::storage::marks::Marks;
    use pixelmill_core::axis_values::AxisValues;
    use pixelmill_core::dimension::Dimension;
    use pixelmill_core::positions::Positions;

    #[test]
    fn what_is_taken_is_cut_into_parts() {
        let (stock, ranks) = (Stock::of_scan(None, 25), Ranks::solo());
        let parts: Vec<_> =
            parts(&stock, ranks.communicator(), 10).map(|part| part.unwrap()).collect();
        assert_eq!(parts, [0..10, 10..20, 20..25]);
    }

    /// The items of a scan of so many positions, with blocks or without, of which all but `done` is
    /// pending.
    fn narrowed(blocks: Option<Blocks>, done: Positions, count: usize) -> Stock {
        let grid = PositionGrid::full(vec![Dimension::new("", "", AxisValues::counted(count))]);
        let status = Marks::prefix(0, count as u64);
        let pending = Pending::new(&status, None, &grid).except(&done);
        Stock::of_scan(blocks, count as u64).narrowed(&[&pending]).unwrap()
    }

    #[test]
    fn ranks_share_what_is_pending() {
        let done = [0..3, 5..6, 9..10].into_iter().collect();
        let stock = narrowed(None, done, 10);
        assert_eq!(stock.count(), 5);
        assert_eq!((stock.grains(&(1..4)), stock.grains(&(4..4))), (4..8, 0..0));
        let all = narrowed(None, Positions::default(), 10);
        assert_eq!((all.count(), all.grains(&(2..4))), (10, 2..4));
    }

    #[test]
    fn ranks_share_the_blocks_in_which_something_is_pending() {
        // Six blocks of 2 x 2 positions in a scan of 4 x 5: the last ones are narrower.
        let blocks = || Some(Blocks::new(&[4, 5], &[2, 2], &[2, 2]));
        let done = [0..2, 3..7, 8..20].into_iter().collect();
        let stock = narrowed(blocks(), done, 20);
        assert_eq!(stock.grains(&(0..stock.count())), 1..2);
        assert_eq!(narrowed(blocks(), Positions::default(), 20).count(), 6);
        let all = std::iter::once(0..20).collect();
        assert_eq!(narrowed(blocks(), all, 20).count(), 0);
    }

    #[test]
    fn of_a_large_scan_items_are_many_positions() {
        let count = 3 * ITEMS as usize - 1;
        let done = [0..4, 6..9, 10..3 * ITEMS - 1].into_iter().collect();
        let stock = narrowed(None, done, count);
        assert_eq!(stock.count(), 2);
        assert_eq!((stock.grains(&(0..1)), stock.grains(&(0..2))), (3..6, 3..12));
        let last = std::iter::once(0..3 * ITEMS - 2).collect();
        assert_eq!(narrowed(None, last, count).grains(&(0..1)), 3 * ITEMS - 3..3 * ITEMS - 1);
    }

    #[test]
    fn one_rank_takes_everything_at_once() {
        let ranks = Ranks::solo();
        let pieces: Vec<_> = Pieces::new(ranks.communicator(), &Stock::of_scan(None, 1000))
            .map(|piece| piece.unwrap())
            .collect();
        assert_eq!(pieces, std::iter::once(0..1000).collect::<Vec<_>>());
    }
}
