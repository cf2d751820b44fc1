//! How work is divided among ranks: pure functions from cores, ranks and times to shares.
//!
//! Ranks take pieces of work from one counter by adding to it, so a rank decides for itself how
//! much it takes. `Guide` decides: none takes longer than a moment, and towards the end they become
//! smaller. Nothing here knows MPI, files or clocks; `engine::supply` asks, and the model in
//! `tests/hand_out` runs the same code for more ranks than any test can start. The constants are
//! those with which it came out best (`docs/scaling.md`). Of folds `Homes` says who merges what.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// The first piece is this part of an equal share: without asking, so that the counter has no rush
/// then.
const FIRST: u64 = 1024;
/// Seconds of work in a piece, if the counter answers at once.
const PIECE_SECONDS: f64 = 0.1;
/// If not, pieces become longer until waiting for it is this part of a rank's time.
const WAITING: f64 = 0.02;
/// Where a rank's last items were cheaper than those before, its next piece is so many times
/// shorter at most.
const CAUTION: f64 = 8.0;
/// There are so many pieces for each rank at least: in short runs a moment is long.
const PIECES: u64 = 64;
/// And so many of an equal share of what is left.
const PIECES_OF_REST: u64 = 6;
/// The last pieces are this part of a full one at least, on few ranks and on many: smaller ones
/// cost more than waiting for them, and many ranks would ask for them all at once.
const SMALLEST: (f64, f64) = (1.0 / 100.0, 1.0 / 16.0);
/// How many ranks are many.
const MANY: f64 = 10_000.0;
/// How many times longer a piece may be than the last.
const GROWTH: u64 = 8;
/// The same for units of a fold: what a piece is folded into has to be sent and merged. That is to
/// be a small part of what folding it takes, at so many bytes per second.
const UNITS_SECONDS: f64 = 0.2;
const SENT_PER_SECOND: f64 = 20e6;
/// So many levels of the tree are merged by one rank.
const LEVELS: u32 = 4;

/// Decides how much one rank takes first, and how much it takes next.
#[derive(Clone, Debug)]
pub(crate) struct Guide {
    rank: u64,
    ranks: u64,
    total: u64,
    /// What each rank takes first, and how much that is of all.
    first: u64,
    ahead: u64,
    /// Whether pieces are powers of two.
    in_twos: bool,
    /// The last piece.
    last: u64,
    /// All pieces before it, and how long they took.
    items: u64,
    elapsed: f64,
    /// Seconds that a piece should take, at least and by now.
    least: f64,
    seconds: f64,
}

impl Guide {
    /// For rank number `rank` of `ranks` that share `total` items.
    pub fn new(rank: usize, ranks: usize, total: u64) -> Self {
        let (rank, ranks) = (rank as u64, ranks as u64);
        let first = if ranks == 1 { total } else { (total / ranks / FIRST).max(1) };
        Self {
            rank,
            ranks,
            total,
            first,
            ahead: (ranks * first).min(total),
            in_twos: false,
            last: first,
            items: 0,
            elapsed: 0.0,
            least: PIECE_SECONDS,
            seconds: PIECE_SECONDS,
        }
    }

    /// The same for units of folds that have so many bytes to merge of each: longer pieces, which
    /// are whole nodes of the tree in which units are merged.
    pub fn of_units(rank: usize, ranks: usize, total: u64, bytes: u64) -> Self {
        let all = Self::new(rank, ranks, total);
        if ranks == 1 {
            return all;
        }
        let first = power_of_two(all.first);
        let largest = power_of_two(total / (PIECES * all.ranks));
        let ahead = (all.ranks * first).next_multiple_of(largest.max(first)).min(total);
        let seconds = UNITS_SECONDS.max(bytes as f64 / SENT_PER_SECOND);
        Self { first, last: first, ahead, in_twos: true, least: seconds, seconds, ..all }
    }

    /// What this rank begins with: everything if it is the only one.
    pub fn first(&self) -> Range<u64> {
        let start = self.rank * self.first;
        let is_last = self.rank + 1 == self.ranks;
        let end = if is_last { self.ahead } else { start + self.first };
        start.min(self.total)..end.min(self.total)
    }

    /// How many items all ranks begin with. The counter counts those after them.
    pub fn ahead(&self) -> u64 {
        self.ahead
    }

    /// How many items to take, when `taken` of all are known to be taken by anybody, the own last
    /// piece took `elapsed` seconds, and the counter's answer before it `waited`: a part of an
    /// equal share of what is left, but no more than takes a moment.
    pub fn next(&mut self, taken: u64, elapsed: f64, waited: f64) -> u64 {
        self.items += self.last;
        self.elapsed += elapsed;
        self.seconds = self.least.max(self.seconds * (1.0 - WAITING) + waited);
        let pace = elapsed.max(1e-9) / self.last as f64;
        // Where items are cheap, dear ones may come next.
        let expected = (self.elapsed / self.items as f64).clamp(pace, pace * CAUTION);
        let share = |items: u64, parts: u64| items as f64 / (parts * self.ranks) as f64;
        let part = (self.ranks as f64 / MANY * SMALLEST.1).clamp(SMALLEST.0, SMALLEST.1);
        let piece = (self.seconds / expected)
            .min(share(self.total.saturating_sub(taken), PIECES_OF_REST))
            .min(share(self.total, PIECES))
            .max(self.seconds * part / pace)
            .min(self.last.saturating_mul(GROWTH) as f64);
        let piece = (piece.round() as u64).max(1);
        self.last = if self.in_twos { power_of_two(piece) } else { piece };
        self.last
    }
}

/// The largest power of two that isn't larger; 1 of nothing.
fn power_of_two(number: u64) -> u64 {
    1 << number.max(1).ilog2()
}

/// Where the nodes of a fold's tree are merged that ranks have folded: some levels of a part of the
/// scan at one rank, whoever has folded them, which passes on what comes out to where the next
/// levels are merged; the last of them at rank 0. So neither has a rank more to merge than there
/// is of a part, nor does it hold more. The parts that are in hand at a time are scattered over all
/// ranks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Homes {
    ranks: u64,
    units: u64,
}

impl Homes {
    /// For so many ranks that share a fold of so many units.
    pub fn new(ranks: usize, units: u64) -> Self {
        Self { ranks: ranks as u64, units }
    }

    /// The rank that merges the node of this level and with this first unit.
    pub fn of(&self, level: u32, first: u64) -> usize {
        let above = (level / LEVELS + 1) * LEVELS;
        if self.ranks == 1 || self.units.checked_shr(above).unwrap_or(0) == 0 {
            return 0;
        }
        // Neighbours far apart; rank 0 has enough to do.
        let part = (first >> above).wrapping_add(u64::from(above) << 48);
        let scattered = part.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        1 + (scattered % (self.ranks - 1)) as usize
    }

    /// The other ranks that may hold a node with this first unit: those where its lowest levels are
    /// merged come first.
    pub fn holding(&self, first: u64) -> Vec<usize> {
        let stages = (0..u64::BITS).step_by(LEVELS as usize).map(|level| self.of(level, first));
        let mut ranks: Vec<usize> = stages.take_while(|rank| *rank != 0).collect();
        ranks.dedup();
        ranks
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

/// How many cores each rank computes on: those of its node divided by the ranks there, the first of
/// them taking one more if there is a remainder, but never more than a launcher has bound it to.
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

/// The first node whose ranks are bound to half of its processors or less: how many, and of how
/// many.
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
            // A control group that lets all ranks of the node together use three of eight
            // processors.
            (vec![berth(0, 0..8, 3), berth(0, 0..8, 3)], vec![2, 1]),
        ] {
            assert_eq!(cores(&berths), expected, "{berths:?}");
        }
    }

    #[test]
    fn one_rank_takes_everything_at_once() {
        let guide = Guide::new(0, 1, 1000);
        assert_eq!((guide.first(), guide.ahead()), (0..1000, 1000));
    }

    #[test]
    fn ranks_begin_side_by_side() {
        let first = |rank, total| Guide::new(rank, 4, total).first();
        assert_eq!([0, 1, 2, 3].map(|rank| first(rank, 10)), [0..1, 1..2, 2..3, 3..4]);
        assert_eq!([1, 3].map(|rank| first(rank, 1 << 20)), [256..512, 768..1024]);
        assert_eq!(Guide::new(2, 4, 1 << 20).ahead(), 1024);
        // More ranks than blocks.
        assert_eq!([0, 2, 3].map(|rank| first(rank, 3)), [0..1, 2..3, 3..3]);
        assert_eq!(Guide::new(0, 4, 3).ahead(), 3);
    }

    /// The pieces of a rank that takes all there is, each item of which takes as many seconds as
    /// `cost` says.
    fn pieces(mut guide: Guide, waited: f64, cost: impl Fn(u64) -> f64) -> Vec<u64> {
        let mut taken = guide.ahead();
        let mut pieces = vec![guide.first];
        while taken < guide.total {
            let last = pieces[pieces.len() - 1];
            let elapsed = (taken - last..taken).map(&cost).sum();
            pieces.push(guide.next(taken, elapsed, waited));
            taken = (taken + pieces[pieces.len() - 1]).min(guide.total);
        }
        pieces
    }

    #[test]
    fn pieces_grow_to_a_moment_and_shrink_towards_the_end() {
        // Ten million items at 10 us each: a moment holds ten thousand.
        let pieces = pieces(Guide::new(0, 2, 10_000_000), 1e-6, |_| 1e-5);
        assert_eq!(pieces[..3], [4882, 10_000, 10_000]);
        assert!(pieces[1..].windows(2).all(|pair| pair[1] <= pair[0]), "{pieces:?}");
        assert_eq!(pieces[pieces.len() - 1], 100, "a hundredth of a moment");
    }

    #[test]
    fn units_are_handed_out_as_nodes_of_their_tree() {
        for (ranks, total, seconds) in [(3usize, 10_000u64, 0.01), (10_000, 7_812_500, 0.04)] {
            let guides = (0..ranks).map(|rank| Guide::of_units(rank, ranks, total, 512 << 10));
            let mut guides: Vec<Guide> = guides.collect();
            let firsts: Vec<_> = guides.iter().map(Guide::first).collect();
            assert!(firsts.windows(2).all(|pair| pair[0].end == pair[1].start));
            let mut taken = guides[0].ahead();
            assert_eq!(firsts[ranks - 1].end, taken);
            let mut pieces = Vec::new();
            while taken < total {
                let number = pieces.len() % ranks;
                let guide = &mut guides[number];
                let piece = guide.next(taken, guide.last as f64 * seconds, 0.0);
                pieces.push(taken..taken + piece);
                taken += piece;
            }
            let is_node = |piece: &&Range<u64>| piece.start.is_multiple_of(piece.end - piece.start);
            let nodes = pieces.iter().filter(is_node).count();
            assert!(nodes * 10 > pieces.len() * 9, "{nodes} of {}", pieces.len());
            let least = total / pieces.len() as u64;
            assert!(least > 1, "{} pieces of {total} units", pieces.len());
        }
        let large = Guide::of_units(0, 2, 1 << 20, 128 << 20);
        assert!(large.seconds > 6.0, "what is large takes longer to send");
    }

    #[test]
    fn what_is_merged_has_one_home_at_each_level() {
        for (ranks, units) in [(2, 1000u64), (7, 5000), (1000, 1 << 20)] {
            let homes = Homes::new(ranks, units);
            for unit in (0..units).step_by(37) {
                for level in 0..units.ilog2() {
                    let first = unit >> level << level;
                    let other = first ^ (1 << level);
                    assert_eq!(homes.of(level, first), homes.of(level, other), "halves meet");
                }
                let holding = homes.holding(unit);
                assert!(holding.iter().all(|rank| (1..ranks).contains(rank)));
                assert!(holding.contains(&homes.of(0, unit)));
            }
            assert_eq!(homes.of(units.ilog2(), 0), 0, "all comes to rank 0");
            let mut parts = vec![0u64; ranks];
            (0..units / 16).for_each(|part| parts[homes.of(0, part * 16)] += 1);
            let most = parts.iter().max().unwrap();
            assert!(*most <= 2 * (units / 16 / (ranks as u64 - 1) + 2), "{most} of {ranks}");
        }
        assert_eq!(Homes::new(5, 15).of(0, 3), 0, "few units are merged by rank 0");
        assert_eq!(Homes::new(1, 1 << 40).of(0, 3), 0);
    }

    #[test]
    fn slow_items_are_taken_one_by_one() {
        let mut guide = Guide::new(0, 4, 1000);
        assert_eq!(guide.first(), 0..1);
        assert_eq!(guide.next(4, 0.5, 0.0), 1);
        assert_eq!(guide.next(5, 0.5, 0.0), 1);
        assert_eq!(guide.next(6, 0.001, 0.0), 4, "a 64th of an equal share");
        assert_eq!(guide.next(10, 2.0, 0.0), 1);
    }

    #[test]
    fn what_was_cheap_at_last_may_become_dear() {
        // The first half takes ten times as long.
        let cost = |item| if item < 500_000 { 1e-4 } else { 1e-5 };
        let pieces = pieces(Guide::new(0, 2, 1_000_000), 0.0, cost);
        let taken = |upto: u64| {
            let mut sum = 0;
            pieces
                .iter()
                .take_while(|piece| {
                    sum += **piece;
                    sum < upto
                })
                .count()
        };
        assert_eq!(pieces[taken(400_000)], 1000, "a moment");
        let piece = pieces[taken(600_000)];
        assert!((1250..2500).contains(&piece), "{piece} of 10,000 that would take a moment");
    }

    #[test]
    fn a_counter_that_lets_wait_is_asked_less_often() {
        let seconds = |waited| {
            let mut guide = Guide::new(0, 1000, 1 << 60);
            let mut last = guide.first;
            for _ in 0..1000 {
                last = guide.next(0, last as f64 * 1e-6, waited);
            }
            last as f64 * 1e-6
        };
        for (waited, expected) in [(1e-5, 0.1), (1e-3, 0.1), (0.1, 5.0)] {
            assert!((seconds(waited) - expected).abs() < 0.01, "{} s", seconds(waited));
        }
    }
}
