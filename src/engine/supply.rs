//! The pending positions in the order in which they are read: block by block, or one after the other;
//! all of them for one rank, or piece by piece from the counter that several ranks share.
//!
//! Pieces are of all positions, or blocks, of the scan. What of a piece is pending is looked up when it is
//! taken, a window at a time: from then on nobody else changes the status there.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Instant;

use super::job::Job;
use super::pending::Pending;
use super::scheduler::{Portion, Supply};
use crate::error::Result;
use crate::hand_out::Guide;
use crate::plan::Plan;
use crate::process::Process;
use crate::ranks::Communicator;
use crate::view::{self, Blocks};

/// Positions of a portion at most: if only every second is pending, its runs take 1 MiB.
pub(crate) const PORTION: u64 = 1 << 17;

/// What this rank computes of the `pending` positions, which all ranks know alike.
pub(crate) fn supply<'a, P: Process>(
    job: &'a Job<P>,
    pending: &'a Pending<'a>,
    plan: &Plan,
    ranks: &'a dyn Communicator,
) -> Supply<'a> {
    let rows = &job.source.rows;
    let (Some(tiles), Some(plan)) = (rows.tiles(), &plan.blocks) else {
        let pieces = one_by_one(Pieces::new(ranks, pending.positions()), PORTION);
        let portions = pieces.map(move |window| {
            let runs = pending.runs(&window?)?.into();
            Ok(Portion { runs, block: None })
        });
        return Box::new(portions.filter(has_work));
    };
    let scan = rows.view().position_shape();
    let blocks = Blocks::new(&scan, &tiles.cell(), &plan.segments);
    let pieces = one_by_one(Pieces::new(ranks, blocks.count()), 1);
    let portions = pieces.map(move |block| {
        let bounds = blocks.bounds(block?.start);
        let runs = runs(pending, &view::runs(&scan, &bounds))?;
        let block = if runs.is_empty() { None } else { rows.block(bounds) };
        Ok(Portion { runs, block })
    });
    Box::new(portions.filter(has_work))
}

fn has_work(portion: &Result<Portion>) -> bool {
    portion.as_ref().map_or(true, |portion| !portion.runs.is_empty())
}

/// Pieces cut into parts of at most `most` items.
fn one_by_one(pieces: Pieces<'_>, most: u64) -> impl Iterator<Item = Result<Range<u64>>> {
    pieces.flat_map(move |piece| {
        let (piece, error) = match piece {
            Ok(piece) => (piece, None),
            Err(error) => (0..0, Some(Err(error))),
        };
        let parts = (0..(piece.end - piece.start).div_ceil(most)).map(move |number| {
            let first = piece.start + number * most;
            Ok(first..piece.end.min(first + most))
        });
        error.into_iter().chain(parts)
    })
}

/// What is pending of some runs, ascending ones. They may be many and short: those near each other are looked
/// up together.
fn runs(pending: &Pending<'_>, wanted: &[Range<u64>]) -> Result<VecDeque<Range<u64>>> {
    let mut found = VecDeque::new();
    let mut left = wanted.iter().peekable();
    while let Some(first) = left.next() {
        let (mut end, mut together) = (first.end, vec![first.clone()]);
        while let Some(next) = left.next_if(|next| next.end - first.start <= PORTION) {
            end = next.end;
            together.push(next.clone());
        }
        let there = pending.runs(&(first.start..end))?;
        found.extend(together.iter().flat_map(|run| within(&there, run)));
    }
    Ok(found)
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

/// The parts of sorted ranges that lie within `run`.
pub(crate) fn within(ranges: &[Range<u64>], run: &Range<u64>) -> Vec<Range<u64>> {
    let first = ranges.partition_point(|range| range.end <= run.start);
    let reached = ranges[first..].iter().take_while(|range| range.start < run.end);
    reached.map(|range| range.start.max(run.start)..range.end.min(run.end)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{AxisValues, Dimension};
    use crate::ranks::Ranks;
    use crate::source::PositionGrid;
    use crate::storage::marks::Marks;

    #[test]
    fn what_is_pending_of_a_block_is_found_run_by_run() {
        let grid = PositionGrid::full(vec![Dimension::new("", "", AxisValues::counted(400_000))]);
        let status = Marks::prefix(12, 400_000);
        let pending = Pending::new(&status, None, &grid);
        let wanted = [3..5, 9..14, 20..21, 200_000..390_000];
        let found = runs(&pending, &wanted).unwrap();
        assert_eq!(found, [12..14, 20..21, 200_000..390_000]);
    }

    #[test]
    fn pieces_are_cut_into_portions() {
        let ranks = Ranks::solo();
        let pieces = one_by_one(Pieces::new(ranks.communicator(), 25), 10);
        let parts: Vec<_> = pieces.map(|part| part.unwrap()).collect();
        assert_eq!(parts, [0..10, 10..20, 20..25]);
    }

    #[test]
    fn one_rank_takes_everything_at_once() {
        let ranks = Ranks::solo();
        let pieces: Vec<_> =
            Pieces::new(ranks.communicator(), 1000).map(|piece| piece.unwrap()).collect();
        assert_eq!(pieces, std::iter::once(0..1000).collect::<Vec<_>>());
    }
}
