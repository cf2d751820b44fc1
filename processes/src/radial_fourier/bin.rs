//! The points of a bin, and what a tile has of them.

use std::ops::Range;

use multiversion::multiversion;

use crate::region::{Piece, Region, Take, widen};
use crate::side_by_side::{Aligned, LANES};

/// Points between two radii.
pub struct Bin {
    pub region: Region,
    /// Of each the weight w, cos φ and sin φ.
    of_points: [Vec<f64>; 3],
    /// Ascending.
    mirrored: Vec<Mirrored>,
}

/// Points left of the centre and those that mirror them on the right, by their numbers in the bin:
/// the last on the right mirrors the first on the left.
struct Mirrored {
    left: Range<usize>,
    right: Range<usize>,
}

impl Bin {
    /// The bin between two radii, of points at these places from the centre.
    pub fn of(places: &[(f64, f64)], (inner, outer): (f64, f64)) -> Self {
        let weight = |(down, right): (f64, f64)| {
            let radius = down.hypot(right);
            // A bin that begins at the centre has no edge there.
            let inside = if inner == 0.0 { f64::INFINITY } else { radius - inner };
            (inside.min(outer - radius) + 0.5).clamp(0.0, 1.0)
        };
        let region = Region::of(places.iter().map(|place| weight(*place) > 0.0));
        let direction = |point: usize| {
            let (down, right) = places[point];
            let radius = down.hypot(right);
            if radius == 0.0 { (0.0, 0.0) } else { (right / radius, down / radius) }
        };
        let weights = region.points().map(|point| weight(places[point])).collect();
        let (across, down) = region.points().map(direction).unzip();
        Self { of_points: [weights, across, down], mirrored: mirrored(&region, places), region }
    }

    /// The weight of each point.
    pub fn weights(&self) -> &[f64] {
        &self.of_points[0]
    }

    /// How much memory it takes.
    pub fn memory(&self) -> usize {
        self.weights().len() * 3 * size_of::<f64>() + self.mirrored.len() * size_of::<Mirrored>()
    }
}

/// Which points mirror each other: none where the centre isn't in the middle of a point or between
/// two.
fn mirrored(region: &Region, places: &[(f64, f64)]) -> Vec<Mirrored> {
    let mut found: Vec<Mirrored> = Vec::new();
    for (number, point) in region.points().enumerate() {
        let (down, right) = places[point];
        let image = point.saturating_add((-2.0 * right).max(0.0) as usize);
        if right >= 0.0 || places.get(image) != Some(&(down, -right)) {
            continue;
        }
        let Some(image) = region.number_of(image) else { continue };
        match found.last_mut() {
            Some(last) if last.left.end == number && last.right.start == image + 1 => {
                last.left.end += 1;
                last.right.start = image;
            }
            _ => found.push(Mirrored { left: number..number + 1, right: image..image + 1 }),
        }
    }
    found
}

/// What a tile has of a bin.
///
/// Of points that mirror each other, by φ and π − φ, the cosines of even orders and the sines of
/// odd ones are the same, all others of opposite sign. So their values come as sums and as
/// differences, and take half of the products.
#[derive(Default)]
pub struct Taken {
    pieces: Vec<Piece>,
    pairs: Vec<Pair>,
    /// Points that are in pairs, by their numbers in the bin.
    paired: Vec<Range<usize>>,
    singles: Vec<Piece>,
    /// How many lanes pairs take, and single points: those behind the last have no weight.
    lanes: (usize, usize),
    /// Of each pair's left point and of each single point.
    pub weights: Aligned,
    /// The same of cos φ and of sin φ.
    pub turns: [Aligned; 2],
    /// Of each spectrum the sums of pairs, their differences, and the values of single points.
    values: Aligned,
}

/// Columns of the tile that mirror each other, and the first one's number in the bin.
struct Pair {
    number: usize,
    left: Range<usize>,
    right: Range<usize>,
}

/// Some points of a bin that are multiplied together.
pub struct Block {
    /// Their lanes, in the weights.
    pub lanes: Range<usize>,
    /// Where, among a spectrum's lanes, their sums begin, and their differences: of single points
    /// both are the values.
    pub of_sums: usize,
    pub of_differences: usize,
}

impl Taken {
    /// Finds what a tile has of a bin, whose columns are these points; says whether that is
    /// anything.
    pub fn find(&mut self, bin: &Bin, tile: impl Iterator<Item = Range<usize>>) -> bool {
        bin.region.pieces(tile, &mut self.pieces);
        if self.pieces.is_empty() {
            return false;
        }
        self.divide(bin);
        self.describe(bin);
        true
    }

    /// Takes the values of so many spectra, one after the other.
    pub fn rows_mut(&mut self, spectra: usize) -> impl Take {
        let width = self.width();
        let Self { pairs, singles, lanes: (paired, _), values, .. } = self;
        values.resize(spectra * width);
        let rows = values.values_mut().chunks_exact_mut(width * LANES);
        Rows { pairs, singles, paired: *paired * LANES, rows }
    }

    /// Lanes of a spectrum.
    pub fn width(&self) -> usize {
        2 * self.lanes.0 + self.lanes.1
    }

    /// The values of each spectrum.
    pub fn rows(&self) -> &[[f64; LANES]] {
        self.values.lanes()
    }

    /// All points, at most so many lanes at a time.
    pub fn blocks(&self, most: usize) -> impl Iterator<Item = Block> {
        let (pairs, all) = (self.lanes.0, self.lanes.0 + self.lanes.1);
        let parts = |from: usize, to: usize| {
            (from..to).step_by(most).map(move |start| start..to.min(start + most))
        };
        let of_pairs = parts(0, pairs).map(move |lanes| Block {
            of_sums: lanes.start,
            of_differences: pairs + lanes.start,
            lanes,
        });
        let of_singles = parts(pairs, all).map(move |lanes| Block {
            of_sums: pairs + lanes.start,
            of_differences: pairs + lanes.start,
            lanes,
        });
        of_pairs.chain(of_singles)
    }

    /// Finds pairs among the pieces.
    fn divide(&mut self, bin: &Bin) {
        let Self { pieces, pairs, paired, singles, .. } = self;
        pairs.clear();
        paired.clear();
        singles.clear();
        for (at, piece) in pieces.iter().enumerate() {
            let first = bin.mirrored.partition_point(|own| own.left.start < piece.before);
            for Mirrored { left, right } in &bin.mirrored[first..] {
                let Some(columns) = piece.columns_of(left) else { break };
                // Both are of one row, so that nothing else of the bin lies between them.
                let mut near = pieces[at..].iter().take(2);
                let Some(images) = near.find_map(|piece| piece.columns_of(right)) else { continue };
                pairs.push(Pair { number: left.start, left: columns, right: images });
                paired.extend([left.clone(), right.clone()]);
            }
        }
        paired.sort_unstable_by_key(|own| own.start);
        pieces.iter().for_each(|piece| piece.without(paired, singles));
        let of_pairs: usize = pairs.iter().map(|pair| pair.left.len()).sum();
        let of_singles: usize = singles.iter().map(|piece| piece.columns.len()).sum();
        self.lanes = (of_pairs.div_ceil(LANES), of_singles.div_ceil(LANES));
    }

    /// Collects weights and directions.
    fn describe(&mut self, bin: &Bin) {
        let Self { pairs, singles, lanes: (of_pairs, of_singles), weights, turns, .. } = self;
        let [across, down] = turns;
        let pairs = pairs.iter().map(|pair| pair.number..pair.number + pair.left.len());
        let singles = singles.iter().map(Piece::numbers);
        for (of_all, into) in bin.of_points.iter().zip([weights, across, down]) {
            into.resize(*of_pairs + *of_singles);
            let (of_pairs, of_singles) = into.values_mut().split_at_mut(*of_pairs * LANES);
            copy(of_all, pairs.clone(), of_pairs);
            copy(of_all, singles.clone(), of_singles);
        }
    }
}

/// Puts some of these values there, and 0 behind them.
fn copy(values: &[f64], which: impl Iterator<Item = Range<usize>>, mut into: &mut [f64]) {
    for numbers in which {
        let (own, left) = into.split_at_mut(numbers.len());
        own.copy_from_slice(&values[numbers]);
        into = left;
    }
    into.fill(0.0);
}

/// Where the values of each spectrum go.
struct Rows<'a, R> {
    pairs: &'a [Pair],
    singles: &'a [Piece],
    /// The place that sums take, and differences.
    paired: usize,
    rows: R,
}

impl<'v, R: Iterator<Item = &'v mut [f64]>> Take for Rows<'_, R> {
    fn take<T: Copy + Into<f64>>(&mut self, values: &[T]) {
        let Some(row) = self.rows.next() else { return };
        let (mut sums, rest) = row.split_at_mut(self.paired);
        let (mut differences, mut rest) = rest.split_at_mut(self.paired);
        for Pair { left, right, .. } in self.pairs {
            let (own, sums_left) = sums.split_at_mut(left.len());
            let (own_differences, differences_left) = differences.split_at_mut(left.len());
            add_up([&values[left.clone()], &values[right.clone()]], own, own_differences);
            (sums, differences) = (sums_left, differences_left);
        }
        for piece in self.singles {
            let (own, rest_left) = rest.split_at_mut(piece.columns.len());
            widen(&values[piece.columns.clone()], own);
            rest = rest_left;
        }
        [sums, differences, rest].into_iter().for_each(|behind| behind.fill(0.0));
    }
}

/// Sums and differences of values on the left, and of those on the right from the last to the
/// first.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx2", "x86_64+avx2"))]
fn add_up<T: Copy + Into<f64>>(
    [left, right]: [&[T]; 2],
    sums: &mut [f64],
    differences: &mut [f64],
) {
    let into = sums.iter_mut().zip(differences);
    for ((sum, difference), (left, right)) in into.zip(left.iter().zip(right.iter().rev())) {
        let (left, right): (f64, f64) = ((*left).into(), (*right).into());
        (*sum, *difference) = (left + right, left - right);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::radial_fourier::tests::places;

    #[test]
    fn weights_of_all_bins_add_up_to_one_and_the_centre_has_no_direction() {
        let places = places(40, 30, (15.0, 14.0));
        let mut sums = vec![0.0; places.len()];
        for number in 0..5 {
            let edges = (f64::from(number) * 2.5, f64::from(number + 1) * 2.5);
            let bin = Bin::of(&places, edges);
            let own = bin.region.points().zip(bin.weights());
            own.for_each(|(point, weight)| sums[point] += weight);
            if let Some(centre) = bin.region.number_of(15 * 30 + 14) {
                assert_eq!(bin.of_points.each_ref().map(|own| own[centre]), [1.0, 0.0, 0.0]);
            }
        }
        for ((down, right), sum) in places.iter().zip(&sums) {
            let radius: f64 = down.hypot(*right);
            let expected = (13.0 - radius).clamp(0.0, 1.0);
            assert!((sum - expected).abs() < 1e-12, "{radius}: {sum}");
        }
    }

    /// Every point of a bin that a tile has is there once, whether single or in a pair; and so many
    /// are in pairs.
    fn pairs_of(centre: (f64, f64), edges: (f64, f64), tile: &[Range<usize>]) -> usize {
        let places = places(20, 24, centre);
        let bin = Bin::of(&places, edges);
        let mut taken = Taken::default();
        assert!(taken.find(&bin, tile.iter().cloned()));
        let columns: Vec<usize> = tile.iter().cloned().flatten().collect();
        let mut found: Vec<usize> = Vec::new();
        for Pair { number, left, right } in &taken.pairs {
            for (step, (left, right)) in left.clone().zip(right.clone().rev()).enumerate() {
                let ((down, across), image) = (places[columns[left]], places[columns[right]]);
                assert_eq!((down, -across), image);
                assert_eq!(bin.region.number_of(columns[left]), Some(number + step));
                found.extend([left, right]);
            }
        }
        let paired = found.len();
        for Piece { before, columns: own } in &taken.singles {
            for (step, column) in own.clone().enumerate() {
                assert_eq!(bin.region.number_of(columns[column]), Some(before + step));
                found.push(column);
            }
        }
        found.sort_unstable();
        let inside = |column: &usize| bin.region.number_of(columns[*column]).is_some();
        assert_eq!(found, (0..columns.len()).filter(inside).collect::<Vec<_>>());
        paired
    }

    #[test]
    fn points_that_mirror_each_other_are_found_where_a_tile_has_both() {
        let whole = std::slice::from_ref(&(0..480));
        // All but those of the centre's column, which has 17 of the disk's points.
        let of_disk = pairs_of((9.0, 11.0), (0.0, 8.2), whole);
        assert_eq!(of_disk + 17, places(20, 24, (9.0, 11.0)).iter().filter(near(8.7)).count());
        // Between two columns there is none of the centre's.
        let of_ring = pairs_of((9.3, 11.5), (4.0, 7.5), whole);
        let all = places(20, 24, (9.3, 11.5));
        assert_eq!(
            of_ring,
            all.iter().filter(near(8.0)).count() - all.iter().filter(near(3.5)).count()
        );
        // Where the frame ends there are some by themselves, and rows may be wholly inside.
        assert_eq!(pairs_of((9.0, 4.0), (0.0, 60.0), whole), 20 * 8);
        // A tile that begins and ends within a row, one of columns, two that have both sides of a
        // row and all but one point, and a centre that is no mirror.
        assert!(pairs_of((9.0, 11.5), (3.0, 7.0), std::slice::from_ref(&(100..270))) > 50);
        let left: Vec<Range<usize>> = (0..20).map(|row| row * 24..row * 24 + 12).collect();
        assert_eq!(pairs_of((9.0, 11.5), (3.0, 7.0), &left), 0);
        assert_eq!(pairs_of((9.0, 11.5), (3.0, 7.0), &[196..202, 206..212]), 10);
        assert_eq!(pairs_of((9.0, 11.5), (3.0, 7.0), &[196..202, 207..212]), 0);
        assert_eq!(pairs_of((9.0, 11.3), (0.0, 9.0), whole), 0);
    }

    fn near(radius: f64) -> impl Fn(&&(f64, f64)) -> bool {
        move |(down, right)| down.hypot(*right) < radius
    }
}
