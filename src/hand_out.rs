//! How work is divided among ranks: pure functions from cores, ranks and times to shares.
//!
//! Ranks take pieces of work from one counter by adding to it, so a rank decides for itself how much it
//! takes. `Guide` decides: from large to small pieces, none longer than a moment. Nothing here knows
//! MPI, files or clocks; `engine::supply` asks, and the model in `tests/hand_out.rs` runs the same code
//! for more ranks than any test can start.

use serde::{Deserialize, Serialize};

/// Seconds of work in a piece, with few ranks.
const PIECE_SECONDS: f64 = 0.1;
/// Pieces that are taken per second by all ranks together, at most: one network card answers a
/// hundred times as many atomic operations, one thread that polls for them some ten times as many.
const PIECES_PER_SECOND: f64 = 10_000.0;
/// The last pieces are this part of a full one at least: smaller ones cost more than waiting for them.
const SMALLEST: f64 = 1.0 / 16.0;
/// How many times longer a piece may be than the last.
const GROWTH: u64 = 8;

/// Decides how much one rank takes next.
#[derive(Clone, Debug)]
pub(crate) struct Guide {
    ranks: u64,
    total: u64,
    /// Seconds that a piece should take.
    seconds: f64,
    /// The last piece.
    last: u64,
}

impl Guide {
    /// For one of `ranks` ranks that share `total` items.
    pub fn new(ranks: usize, total: u64) -> Self {
        let seconds = PIECE_SECONDS.max(ranks as f64 / PIECES_PER_SECOND);
        Self { ranks: ranks as u64, total, seconds, last: 0 }
    }

    /// How many items to take, when `taken` of all are known to be taken by anybody, and the own last
    /// piece took `elapsed` seconds: what takes a moment at that speed, but no more than half of an equal
    /// share of what is left.
    pub fn next(&mut self, taken: u64, elapsed: f64) -> u64 {
        let moment = match self.last {
            0 => 1.0,
            last => last as f64 * self.seconds / elapsed.max(1e-9),
        };
        let half_share = self.total.saturating_sub(taken).div_ceil(2 * self.ranks) as f64;
        let longest = self.last.max(1).saturating_mul(GROWTH) as f64;
        let piece = half_share.max(moment * SMALLEST).min(moment).min(longest);
        self.last = (piece.round() as u64).max(1);
        self.last
    }
}

/// What a rank may use of its node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Berth {
    /// The lowest rank on the same node.
    pub node: usize,
    /// The processors that it may run on.
    pub processors: Vec<u32>,
    /// How many there are that a launcher might have bound it to.
    pub present: usize,
    /// As many of them as its control group lets it use at a time.
    pub cores: usize,
}

/// How many cores each rank computes on: those of its node divided by the ranks there, the first of them
/// taking one more if there is a remainder, but never more than a launcher has bound it to.
pub(crate) fn cores(berths: &[Berth]) -> Vec<usize> {
    let share = |rank: usize| {
        let own = &berths[rank];
        let mates = || berths.iter().enumerate().filter(|(_, berth)| berth.node == own.node);
        let processors = processors(berths, own.node);
        let limits = mates().map(|(_, berth)| berth).filter(|b| b.cores < b.processors.len());
        let all = limits.map(|berth| berth.cores).min().unwrap_or(usize::MAX).min(processors);
        let (count, before) = (mates().count(), mates().filter(|(other, _)| *other < rank).count());
        let cores = all / count + usize::from(before < all % count);
        cores.min(own.processors.len()).max(1)
    };
    (0..berths.len()).map(share).collect()
}

/// How many processors the ranks of a node may run on, all together.
fn processors(berths: &[Berth], node: usize) -> usize {
    let mates = berths.iter().filter(|berth| berth.node == node);
    let mut processors: Vec<u32> =
        mates.flat_map(|berth| berth.processors.iter().copied()).collect();
    processors.sort_unstable();
    processors.dedup();
    processors.len()
}

/// The first node whose ranks are bound to half of its processors or less: how many, and of how many.
pub(crate) fn tightly_bound(berths: &[Berth]) -> Option<(usize, usize)> {
    let used = |berth: &Berth| (processors(berths, berth.node), berth.present);
    berths.iter().map(used).find(|(bound, present)| bound * 2 <= *present)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berth(node: usize, processors: std::ops::Range<u32>, cores: usize) -> Berth {
        Berth { node, processors: processors.collect(), present: 8, cores }
    }

    #[test]
    fn ranks_that_are_bound_to_a_few_processors_are_noticed() {
        let free = || berth(0, 0..8, 8);
        assert_eq!(tightly_bound(&[free(), free()]), None);
        assert_eq!(tightly_bound(&[berth(0, 0..1, 1), berth(0, 1..2, 1)]), Some((2, 8)));
        assert_eq!(tightly_bound(&[free(), berth(1, 0..4, 4)]), Some((4, 8)));
        assert_eq!(tightly_bound(&[berth(0, 0..4, 4), berth(0, 4..8, 4)]), None);
    }

    #[test]
    fn cores_of_a_node_are_shared_by_its_ranks() {
        let free = |node, count: u32| berth(node, 0..count, count as usize);
        for (berths, expected) in [
            (vec![free(0, 64)], vec![64]),
            (vec![free(0, 64), free(0, 64)], vec![32, 32]),
            (vec![free(0, 8), free(0, 8), free(0, 8)], vec![3, 3, 2]),
            (vec![free(0, 2), free(0, 2), free(0, 2)], vec![1, 1, 1]),
            // Two nodes with a different number of ranks.
            (vec![free(0, 8), free(0, 8), free(2, 8)], vec![4, 4, 8]),
            (vec![free(0, 8), free(1, 4), free(0, 8)], vec![4, 4, 4]),
            // Each bound to processors of its own.
            (vec![berth(0, 0..1, 1), berth(0, 1..2, 1)], vec![1, 1]),
            (vec![berth(0, 0..4, 4), berth(0, 4..8, 4)], vec![4, 4]),
            // A control group that lets all ranks of the node together use three of eight processors.
            (vec![berth(0, 0..8, 3), berth(0, 0..8, 3)], vec![2, 1]),
        ] {
            assert_eq!(cores(&berths), expected, "{berths:?}");
        }
    }

    #[test]
    fn pieces_grow_to_a_moment_and_shrink_towards_the_end() {
        let mut guide = Guide::new(2, 1_000_000);
        // A million positions at 10 us each: a moment holds ten thousand.
        let mut taken = 0;
        let mut pieces = Vec::new();
        while taken < 1_000_000 {
            let elapsed = pieces.last().map_or(0.0, |piece| *piece as f64 * 1e-5);
            pieces.push(guide.next(taken, elapsed));
            taken += pieces[pieces.len() - 1];
        }
        assert_eq!(pieces[..6], [1, 8, 64, 512, 4096, 10_000]);
        let last = &pieces[6..];
        assert!(last.windows(2).all(|pair| pair[1] <= pair[0]), "{last:?}");
        assert_eq!(pieces[pieces.len() - 1], 625, "a sixteenth of a moment");
        assert!(pieces.iter().all(|piece| *piece <= 10_000));
    }

    #[test]
    fn slow_positions_are_taken_one_by_one() {
        let mut guide = Guide::new(4, 1000);
        assert_eq!(guide.next(0, 0.0), 1);
        assert_eq!(guide.next(1, 0.5), 1);
        assert_eq!(guide.next(900, 0.001), 8);
        assert_eq!(guide.next(999, 0.001), 50, "more than is left is no harm");
    }

    #[test]
    fn many_ranks_take_longer_pieces() {
        let piece = |ranks| {
            let mut guide = Guide::new(ranks, 1 << 40);
            let mut last = 0;
            for _ in 0..20 {
                last = guide.next(0, last as f64 * 1e-6);
            }
            last
        };
        assert_eq!(piece(10), 100_000);
        assert_eq!(piece(10_000), 1_000_000);
    }
}
