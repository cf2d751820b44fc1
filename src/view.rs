//! An N-dimensional dataset seen as positions × spectrum, and its positions cut into blocks.
//!
//! Pure arithmetic on shapes: which axes are positions, which place of the array a position is,
//! which positions are read together. Files are `storage`'s business, names of axes `source`'s.

use std::ops::Range;

use crate::region::{self, Region};

/// Which axes of a dataset are positions and which make a spectrum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    /// Length of each axis, in the file's order.
    pub shape: Vec<u64>,
    /// The axes of the scan, slowest first.
    pub positions: Vec<usize>,
    /// The axes of a spectrum, slowest first: all others, in the file's order.
    pub spectrum: Vec<usize>,
    /// What of a position's values is wanted, unless it is all of them as they lie in the file.
    excerpt: Option<Excerpt>,
}

/// What of each position's values is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Excerpt {
    /// What is read: a range of steps on each axis of a spectrum.
    pub ranges: Vec<Range<u64>>,
    /// How a row is put together out of that; `None` if it is that, as it was read.
    pub arrangement: Option<Vec<Pick>>,
}

/// An axis of a row that is put together, slowest first: how many steps it has, and how many values
/// behind each other they are in what was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pick {
    pub steps: u64,
    pub apart: u64,
}

impl View {
    /// A view with these axes, slowest first, as positions.
    pub fn new(shape: Vec<u64>, positions: Vec<usize>) -> Self {
        let spectrum = (0..shape.len()).filter(|axis| !positions.contains(axis)).collect();
        Self { shape, positions, spectrum, excerpt: None }
    }

    /// The same, but of each position's values only some, or in another order.
    pub fn of(self, excerpt: Option<Excerpt>) -> Self {
        Self { excerpt, ..self }
    }

    /// Length of each axis of the scan, slowest first.
    pub fn position_shape(&self) -> Vec<u64> {
        self.positions.iter().map(|axis| self.shape[*axis]).collect()
    }

    /// Number of positions.
    pub fn count(&self) -> u64 {
        self.position_shape().iter().product()
    }

    /// Number of values at each position.
    pub fn points(&self) -> u64 {
        match self.arrangement() {
            Some(picks) => picks.iter().map(|pick| pick.steps).product(),
            None => self.read_points(),
        }
    }

    /// Number of values that are read for each position.
    pub fn read_points(&self) -> u64 {
        match &self.excerpt {
            Some(excerpt) => excerpt.ranges.iter().map(|range| range.end - range.start).product(),
            None => self.stored_points(),
        }
    }

    /// Number of values that the dataset has for each position.
    pub fn stored_points(&self) -> u64 {
        self.spectrum.iter().map(|axis| self.shape[*axis]).product()
    }

    /// The part of the array that is read for all positions.
    pub fn extent(&self) -> Region {
        let mut extent = Region::whole(&self.shape);
        if let Some(excerpt) = &self.excerpt {
            for (axis, range) in self.spectrum.iter().zip(&excerpt.ranges) {
                extent.set_range(*axis, range);
            }
        }
        extent
    }

    /// How a row is put together out of what is read, if it is.
    pub fn arrangement(&self) -> Option<&[Pick]> {
        self.excerpt.as_ref()?.arrangement.as_deref()
    }

    /// Whether the values that are read of a position lie side by side, position after position.
    pub fn is_row_by_row(&self) -> bool {
        self.has_positions_first() && self.reads_all()
    }

    /// Whether the positions are the first axes, in the file's order.
    pub fn has_positions_first(&self) -> bool {
        self.positions.iter().chain(&self.spectrum).copied().eq(0..self.shape.len())
    }

    /// Whether all values of the dataset are read.
    pub fn reads_all(&self) -> bool {
        self.excerpt.is_none() || self.extent().shape == self.shape
    }
}

/// The positions of a scan cut into boxes along the tiles in which their data are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blocks {
    axes: Vec<Segments>,
}

/// One axis cut into segments: several whole tiles each, or equal parts of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segments {
    length: u64,
    tile: u64,
    segment: u64,
}

impl Segments {
    fn per_tile(self) -> u64 {
        self.tile.div_ceil(self.segment)
    }

    fn count(self) -> u64 {
        if self.segment >= self.tile {
            return self.length.div_ceil(self.segment);
        }
        self.length / self.tile * self.per_tile() + (self.length % self.tile).div_ceil(self.segment)
    }

    fn range(self, number: u64) -> Range<u64> {
        if self.segment >= self.tile {
            let start = number * self.segment;
            return start..self.length.min(start + self.segment);
        }
        let tile = number / self.per_tile() * self.tile;
        let start = tile + number % self.per_tile() * self.segment;
        start..self.length.min(tile + self.tile).min(start + self.segment)
    }

    fn holding(self, step: u64) -> u64 {
        if self.segment >= self.tile {
            return step / self.segment;
        }
        step / self.tile * self.per_tile() + step % self.tile / self.segment
    }
}

impl Blocks {
    /// Blocks of a scan of the given shape, stored in tiles of the given shape; `segments` is the
    /// length of a block on each axis, a part of a tile or a multiple of it.
    pub fn new(shape: &[u64], tile: &[u64], segments: &[u64]) -> Self {
        let axes = shape.iter().zip(tile).zip(segments);
        let axes = axes.map(|((length, tile), segment)| {
            let tile = (*tile).max(1);
            let segment = (*segment).max(1);
            let segment = if segment >= tile { segment / tile * tile } else { segment };
            Segments { length: *length, tile, segment }
        });
        Self { axes: axes.collect() }
    }

    /// How many blocks there are.
    pub fn count(&self) -> u64 {
        self.axes.iter().map(|axis| axis.count()).product()
    }

    /// The positions of block number `number`, steps on each axis of the scan.
    pub fn region(&self, number: u64) -> Region {
        let counts: Vec<u64> = self.axes.iter().map(|axis| axis.count()).collect();
        let steps = region::steps(&counts, number);
        self.axes.iter().zip(steps).map(|(axis, step)| axis.range(step)).collect()
    }

    /// The number of the block that holds a position.
    pub fn holding(&self, position: u64) -> u64 {
        let shape: Vec<u64> = self.axes.iter().map(|axis| axis.length).collect();
        let steps = region::steps(&shape, position);
        let pairs = self.axes.iter().zip(&steps);
        pairs.fold(0, |number, (axis, step)| number * axis.count() + axis.holding(*step))
    }

    /// The number of the block that holds a position, and the first position after it that follows
    /// it on the fastest axis but isn't in that block.
    pub fn holding_until(&self, position: u64) -> (u64, u64) {
        let number = self.holding(position);
        let end = self.axes.last().map_or(1, |axis| {
            let step = position % axis.length;
            axis.range(axis.holding(step)).end - step
        });
        (number, position + end)
    }
}

/// The lengths of the blocks that need the fewest parts of a tile (`tile` steps on each axis) while
/// no block has more than `most` positions.
pub(crate) fn fewest_parts(tile: &[u64], most: u64) -> Vec<u64> {
    fn search(tile: &[u64], most: u64) -> (u64, Vec<u64>) {
        let [length, rest @ ..] = tile else {
            return (1, Vec::new());
        };
        let mut best: Option<(u64, Vec<u64>)> = None;
        let mut cuts = length.div_ceil((*length).min(most.max(1)));
        loop {
            let segment = length.div_ceil(cuts);
            let (below, mut lengths) = search(rest, most / segment);
            let parts = length.div_ceil(segment) * below;
            // Of equals the one that leaves the faster axes whole.
            if best.as_ref().is_none_or(|(least, _)| parts <= *least) {
                lengths.insert(0, segment);
                best = Some((parts, lengths));
            }
            if segment == 1 || rest.is_empty() {
                break;
            }
            // The next number of cuts that makes segments shorter.
            cuts = (cuts + 1).max(length.div_ceil(segment - 1));
        }
        best.unwrap_or((1, vec![1; tile.len()]))
    }
    search(tile, most.max(1)).1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_leading_positions_lie_row_by_row() {
        let view = |positions: &[usize]| View::new(vec![4, 5, 6], positions.to_vec());
        assert!(view(&[0]).is_row_by_row() && view(&[0, 1]).is_row_by_row());
        assert!(!view(&[1]).is_row_by_row() && !view(&[1, 0]).is_row_by_row());
        let trailing = view(&[2, 1]);
        assert_eq!((trailing.count(), trailing.points()), (30, 4));
        assert_eq!(trailing.position_shape(), [6, 5]);
    }

    #[test]
    fn a_tile_is_cut_into_as_few_blocks_as_its_positions_allow() {
        for (tile, most, expected) in [
            (vec![32, 32], 1024, vec![32, 32]),
            (vec![32, 32], 512, vec![16, 32]),
            (vec![32, 32], 31, vec![4, 7]),
            (vec![3, 100], 150, vec![3, 50]),
            (vec![100], 30, vec![25]),
            (vec![8], 0, vec![1]),
        ] {
            assert_eq!(fewest_parts(&tile, most), expected, "{tile:?} {most}");
        }
    }

    /// Most positions of a block: segments longer than a tile are cut to whole tiles.
    fn segments_volume(segments: &[u64], tile: &[u64]) -> u64 {
        let cut = |(segment, tile): (&u64, &u64)| {
            if segment >= tile { segment / tile * tile } else { *segment }
        };
        segments.iter().zip(tile).map(cut).product()
    }

    proptest! {
        #[test]
        fn blocks_hold_every_position_once(
            axes in prop::collection::vec((1u64..12, 1u64..9, 1u64..20), 1..4),
        ) {
            let shape: Vec<u64> = axes.iter().map(|axis| axis.0).collect();
            let tile: Vec<u64> = axes.iter().map(|axis| axis.1).collect();
            let segments: Vec<u64> = axes.iter().map(|axis| axis.2).collect();
            let blocks = Blocks::new(&shape, &tile, &segments);
            let mut seen = vec![0; shape.iter().product::<u64>() as usize];
            for number in 0..blocks.count() {
                let block = blocks.region(number);
                prop_assert!(block.count() <= segments_volume(&segments, &tile));
                for position in block.runs(&shape).into_iter().flatten() {
                    seen[position as usize] += 1;
                    prop_assert_eq!(blocks.holding(position), number);
                    let (holding, end) = blocks.holding_until(position);
                    let fastest = block.end(shape.len() - 1) - position % shape.last().unwrap();
                    prop_assert_eq!((holding, end), (number, position + fastest));
                    prop_assert!(block.contains(region::steps(&shape, position)));
                }
            }
            prop_assert!(seen.iter().all(|count| *count == 1));
        }

        #[test]
        fn parts_of_a_tile_are_the_fewest(a in 1u64..9, b in 1u64..9, most in 1u64..90) {
            let found = fewest_parts(&[a, b], most);
            prop_assert!(found[0] * found[1] <= most);
            let parts = |x: u64, y: u64| a.div_ceil(x) * b.div_ceil(y);
            let least = (1..=a).flat_map(|x| (1..=b).map(move |y| (x, y)))
                .filter(|(x, y)| x * y <= most)
                .map(|(x, y)| parts(x, y))
                .min();
            prop_assert_eq!(Some(parts(found[0], found[1])), least);
        }
    }
}
