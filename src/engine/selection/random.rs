//! Positions by chance: the same ones for the same seed, on every machine and in every run.
//!
//! They are the first of a shuffled scan, so that more of the same seed hold all of fewer. The
//! shuffling is a permutation that needs no memory: a Feistel network over a power of four, walked
//! until it is back inside of the scan (Black and Rogaway, 2002). Only whole numbers are computed
//! with.

use pixelmill_core::positions::Positions;

const ROUNDS: u64 = 8;

/// `count` of the numbers below `positions`, which are no fewer.
pub(super) fn chosen(count: u64, seed: u64, positions: u64) -> Positions {
    let shuffled = Shuffled::new(seed, positions);
    let mut chosen: Vec<u64> = (0..count).map(|at| shuffled.number(at)).collect();
    chosen.sort_unstable();
    chosen.into_iter().map(|position| position..position + 1).collect()
}

/// All numbers below some number in another order.
struct Shuffled {
    seed: u64,
    positions: u64,
    /// Bits of half a number.
    half: u32,
}

impl Shuffled {
    fn new(seed: u64, positions: u64) -> Self {
        let bits = u64::BITS - positions.saturating_sub(1).leading_zeros();
        Self { seed, positions, half: bits.div_ceil(2).max(1) }
    }

    fn number(&self, at: u64) -> u64 {
        let mut number = self.permuted(at);
        while number >= self.positions {
            number = self.permuted(number);
        }
        number
    }

    fn permuted(&self, number: u64) -> u64 {
        let mask = (1 << self.half) - 1;
        let (mut high, mut low) = (number >> self.half, number & mask);
        for round in 0..ROUNDS {
            let key = mixed(self.seed.wrapping_add(mixed(round)));
            (high, low) = (low, high ^ (mixed(low ^ key) & mask));
        }
        (high << self.half) | low
    }
}

/// The function that SplitMix64 ends with (Steele, Lea and Flood, 2014).
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: u64, seed: u64, positions: u64) -> Vec<u64> {
        chosen(count, seed, positions).ranges().flatten().collect()
    }

    #[test]
    fn every_position_comes_once_whatever_the_length() {
        for positions in [1, 2, 3, 4, 5, 63, 64, 65, 1000] {
            for seed in [0, 1, u64::MAX] {
                assert!(numbers(positions, seed, positions).into_iter().eq(0..positions));
            }
        }
    }

    #[test]
    fn more_positions_of_a_seed_hold_all_of_fewer() {
        let (few, many) = (numbers(10, 3, 4096), numbers(100, 3, 4096));
        assert!(few.iter().all(|position| many.contains(position)));
        assert_ne!(few, numbers(10, 4, 4096));
    }

    #[test]
    fn positions_are_spread_evenly() {
        let mut tenths = [0; 10];
        numbers(10_000, 0, 100_000).iter().for_each(|at| tenths[(at / 10_000) as usize] += 1);
        assert!(tenths.iter().all(|count| (880..1120).contains(count)), "{tenths:?}");
    }
}
