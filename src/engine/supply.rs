//! The pending positions in the order in which they are read: block by block, or one after the other;
//! all of them for one rank, or piece by piece from the counter that several ranks share.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Instant;

use super::job::{Job, count};
use super::scheduler::{Portion, Supply};
use crate::error::Result;
use crate::hand_out::Guide;
use crate::plan::Plan;
use crate::process::Process;
use crate::ranks::Communicator;
use crate::storage::rows::Rows;
use crate::view::{self, Blocks};

/// What this rank computes of `ranges`, sorted ranges of positions, which all ranks know alike.
pub(crate) fn supply<'a, P: Process>(
    job: &'a Job<P>,
    ranges: &'a [Range<u64>],
    plan: &Plan,
    ranks: &'a dyn Communicator,
) -> Supply<'a> {
    let rows = &job.source.rows;
    let (Some(tiles), Some(plan)) = (rows.tiles(), &plan.blocks) else {
        let portion = |items| Portion { runs: nth(ranges, &items), block: None };
        return Box::new(Pieces::new(ranks, count(ranges)).map(move |piece| piece.map(portion)));
    };
    let scan = rows.view().position_shape();
    let blocks = Blocks::new(&scan, &tiles.cell(), &plan.segments);
    let blocks = PendingBlocks::new(rows, ranges, scan, blocks);
    let pieces = Pieces::new(ranks, blocks.count());
    let one_by_one = pieces.flat_map(|piece| match piece {
        Ok(items) => items.map(Ok).collect::<VecDeque<_>>(),
        Err(error) => VecDeque::from([Err(error)]),
    });
    Box::new(one_by_one.map(move |item| item.map(|index| blocks.portion(index))))
}

/// The blocks in which something is pending.
struct PendingBlocks<'a> {
    rows: &'a Rows,
    ranges: &'a [Range<u64>],
    scan: Vec<u64>,
    blocks: Blocks,
    /// Their numbers; `None` for all.
    numbers: Option<Vec<u64>>,
}

impl<'a> PendingBlocks<'a> {
    fn new(rows: &'a Rows, ranges: &'a [Range<u64>], scan: Vec<u64>, blocks: Blocks) -> Self {
        let mut all = Self { rows, ranges, scan, blocks, numbers: None };
        if count(ranges) < rows.view().count() {
            let pending = |number: &u64| !all.runs(*number).is_empty();
            all.numbers = Some((0..all.blocks.count()).filter(pending).collect());
        }
        all
    }

    fn count(&self) -> u64 {
        self.numbers.as_ref().map_or(self.blocks.count(), |numbers| numbers.len() as u64)
    }

    /// What is pending in a block.
    fn runs(&self, number: u64) -> VecDeque<Range<u64>> {
        let runs = view::runs(&self.scan, &self.blocks.bounds(number));
        runs.iter().flat_map(|run| within(self.ranges, run)).collect()
    }

    fn portion(&self, index: u64) -> Portion {
        let number = self.numbers.as_ref().map_or(index, |numbers| numbers[index as usize]);
        Portion { runs: self.runs(number), block: self.rows.block(self.blocks.bounds(number)) }
    }
}

/// The pieces of `0..total` that this rank takes: first one of its own, then others from the counter of all
/// ranks.
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
    fn new(ranks: &'a dyn Communicator, total: u64) -> Self {
        let guide = Guide::new(ranks.rank(), ranks.size(), total);
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

/// The positions number `items` of all that are in `ranges`.
fn nth(ranges: &[Range<u64>], items: &Range<u64>) -> VecDeque<Range<u64>> {
    let mut runs = VecDeque::new();
    let mut before = 0;
    for range in ranges {
        let length = range.end - range.start;
        let first = items.start.clamp(before, before + length) - before;
        let end = items.end.clamp(before, before + length) - before;
        if first < end {
            runs.push_back(range.start + first..range.start + end);
        }
        before += length;
        if before >= items.end {
            break;
        }
    }
    runs
}

/// The parts of sorted ranges that lie within `run`.
pub(crate) fn within(ranges: &[Range<u64>], run: &Range<u64>) -> Vec<Range<u64>> {
    let first = ranges.partition_point(|range| range.end <= run.start);
    let reached = ranges[first..].iter().take_while(|range| range.start < run.end);
    reached.map(|range| range.start.max(run.start)..range.end.min(run.end)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ranks::Ranks;

    #[test]
    fn items_are_positions_in_the_order_of_their_ranges() {
        let ranges = [3..5, 7..8, 10..20];
        let nth = |items| Vec::from(nth(&ranges, &items));
        assert_eq!(nth(0..13), ranges);
        assert_eq!(nth(1..4), [4..5, 7..8, 10..11]);
        assert_eq!(nth(2..6), [7..8, 10..13]);
        assert_eq!(nth(13..15), []);
    }

    #[test]
    fn one_rank_takes_everything_at_once() {
        let ranks = Ranks::solo();
        let pieces: Vec<_> =
            Pieces::new(ranks.communicator(), 1000).map(|piece| piece.unwrap()).collect();
        assert_eq!(pieces, std::iter::once(0..1000).collect::<Vec<_>>());
    }
}
