//! Numbers by chance that are the same everywhere: `SplitMix64` (G. L. Steele, D. Lea and C. H.
//! Flood, OOPSLA 2014, 453).

/// A sequence of them.
#[derive(Clone)]
pub struct Chance(u64);

impl Chance {
    /// The sequence that begins with a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next one.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    /// The next one, from 0 to below 1.
    pub fn part(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Another number for each number.
pub fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_reference() {
        // Of the authors' program, with the seed 1234567.
        let mut chance = Chance::new(1_234_567);
        let found: Vec<u64> = (0..3).map(|_| chance.next()).collect();
        let expected =
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(found, expected);
    }

    #[test]
    fn parts_are_spread_evenly() {
        let mut chance = Chance::new(7);
        let parts: Vec<f64> = (0..10_000).map(|_| chance.part()).collect();
        assert!(parts.iter().all(|part| (0.0..1.0).contains(part)));
        let mean = parts.iter().sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.01, "{mean}");
    }
}
