//! What each of a billion positions costs: skewed, the same whoever computes it, and summed over
//! any range at once.
//!
//! A quarter of a million log-normal costs are drawn one by one. The scan is made of regions, each
//! of which takes a stretch of them from a place of its own, times a factor of its own. So a
//! range's cost is the difference of two sums, exactly the sum of its positions' costs.

use std::ops::Range;

/// Positions of the scan.
pub const POSITIONS: u64 = 1_000_000_000;
/// Positions of a region.
const REGION: u64 = 100_000;
const REGIONS: u64 = POSITIONS / REGION;
/// How many costs are drawn: few enough to stay in a processor's cache.
const DRAWN: u64 = 1 << 18;

/// How costs are spread over the scan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Spread {
    /// Log-normal (sigma 1), each position by itself.
    Even,
    /// And times a factor for each region, log-normal (sigma 1) as well.
    Regional,
    /// 5 % of the positions cost 50 times as much and lie together, from this part of the scan on.
    Lump { from: f64 },
}

/// The costs of all positions, in a unit of their own.
pub struct Costs {
    /// Sums of the first of the drawn costs.
    drawn: Vec<f64>,
    regions: Vec<Region>,
    pub total: f64,
    /// The highest of all.
    pub highest: f64,
}

struct Region {
    /// Cost of all positions before.
    before: f64,
    /// Which of the drawn costs is its first.
    first: usize,
    factor: f64,
}

impl Costs {
    /// Drawn anew for each `draw`.
    pub fn new(spread: Spread, draw: u64) -> Self {
        let mut random = Random(draw);
        let drawn = sums((0..DRAWN).map(|_| random.normal().exp()));
        let mut total = 0.0;
        let regions = (0..REGIONS).map(|number| {
            let first = (random.uniform() * (DRAWN - REGION) as f64) as usize;
            let factor = spread.factor(number, &mut random);
            let region = Region { before: total, first, factor };
            total += factor * (drawn[first + REGION as usize] - drawn[first]);
            region
        });
        let regions: Vec<_> = regions.collect();
        let highest = highest(&drawn, &regions);
        Self { drawn, regions, total, highest }
    }

    /// Of some positions.
    pub fn of(&self, positions: Range<u64>) -> f64 {
        self.before(positions.end) - self.before(positions.start)
    }

    /// Of all positions before this one.
    fn before(&self, position: u64) -> f64 {
        let Some(region) = self.regions.get((position / REGION) as usize) else {
            return self.total;
        };
        let end = region.first + (position % REGION) as usize;
        region.before + region.factor * (self.drawn[end] - self.drawn[region.first])
    }
}

impl Spread {
    fn factor(self, region: u64, random: &mut Random) -> f64 {
        match self {
            Self::Even => 1.0,
            Self::Regional => random.normal().exp(),
            Self::Lump { from } => {
                let first = (from * REGIONS as f64).round() as u64;
                if (first..first + REGIONS / 20).contains(&region) { 50.0 } else { 1.0 }
            }
        }
    }
}

/// The highest cost of any position.
fn highest(drawn: &[f64], regions: &[Region]) -> f64 {
    const STRETCH: usize = 1000;
    let most = |sums: &[f64]| sums.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
    let stretches: Vec<f64> = (0..drawn.len() - STRETCH)
        .step_by(STRETCH)
        .map(|at| most(&drawn[at..=at + STRETCH]))
        .collect();
    let within = |region: &Region| {
        let end = region.first + REGION as usize;
        let (from, to) = (region.first.div_ceil(STRETCH), end / STRETCH);
        let whole = stretches[from..to].iter().copied().fold(0.0, f64::max);
        let edges = [region.first..=from * STRETCH, to * STRETCH..=end];
        edges.into_iter().map(|edge| most(&drawn[edge])).fold(whole, f64::max) * region.factor
    };
    regions.iter().map(within).fold(0.0, f64::max)
}

/// Zero, and the sums of the first one, two … of `values`.
fn sums(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let running = values.scan(0.0, |sum, value| {
        *sum += value;
        Some(*sum)
    });
    std::iter::once(0.0).chain(running).collect()
}

/// The same numbers in every run: SplitMix64 (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    /// Between 0 and 1.
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        ((bits >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// Of the standard normal distribution (Box and Muller, 1958).
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_costs_what_its_positions_cost() {
        let costs = Costs::new(Spread::Regional, 1);
        for range in [0..1000, 99_950..100_050, POSITIONS - 500..POSITIONS] {
            let one_by_one: f64 = range.clone().map(|at| costs.of(at..at + 1)).sum();
            assert!((costs.of(range) / one_by_one - 1.0).abs() < 1e-6);
        }
        assert_eq!(costs.of(0..POSITIONS), costs.total);
    }

    #[test]
    fn costs_are_log_normal() {
        let costs = Costs::new(Spread::Even, 1);
        let mean = costs.total / POSITIONS as f64;
        assert!((mean / 0.5f64.exp() - 1.0).abs() < 0.01, "{mean}");
        let below = (0..100_000).filter(|at| costs.of(*at..at + 1) < 1.0).count();
        assert!((49_000..51_000).contains(&below), "half of them are below the median, {below}");
        assert!((80.0..300.0).contains(&costs.highest), "{}", costs.highest);
    }

    #[test]
    fn a_lump_is_where_it_is_said_to_be() {
        let costs = Costs::new(Spread::Lump { from: 0.5 }, 1);
        let part =
            |from, to| costs.of(from * (POSITIONS / 100)..to * (POSITIONS / 100)) / costs.total;
        let expected = 50.0 * 0.05 / (50.0 * 0.05 + 0.95);
        assert!((part(50, 55) / expected - 1.0).abs() < 0.01);
        assert!((part(49, 50) * 250.0 / part(50, 55) - 1.0).abs() < 0.01, "a hundredth before it");
    }
}
