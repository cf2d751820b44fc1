//! What a tile has of all bins, arc by arc.

use std::ops::Range;
use std::sync::Arc;

use multiversion::multiversion;

use super::Rings;
use super::arcs::TOGETHER;
use super::bin::{Bin, Run};
use crate::region::Piece;
use crate::side_by_side::LANES;

/// Points of all bins that a tile has, and the polynomials there.
#[derive(Default)]
pub struct Found {
    /// Whose points, and of which: tiles one after the other often have the same.
    of: Option<Arc<Rings>>,
    tile: Vec<Range<usize>>,
    /// The number of the tile among those whose places are known; else the places.
    known: Option<usize>,
    own: Places,
    polynomials: Vec<Polynomials>,
    asked: Vec<Range<usize>>,
    sort: Sort,
}

/// Of a point the polynomials of a block, times its weight.
pub type Polynomials = [f64; TOGETHER];

/// Where a tile has points of all bins.
#[derive(Default)]
pub struct Places {
    bins: Vec<OfBin>,
    groups: Vec<Group>,
    points: Points,
}

/// Points in the order of the groups: the column of the tile that each is, its weight, and where it
/// is on its arc. The last ones may have no weight, and no column.
#[derive(Default)]
struct Points {
    columns: Vec<u32>,
    weights: Vec<f64>,
    on_arc: Vec<f64>,
}

/// What a tile has of a bin.
pub struct OfBin {
    pub number: usize,
    groups: Range<usize>,
}

/// Points of a bin on the same arc.
pub struct Group {
    pub arc: u16,
    points: Range<usize>,
}

/// Memory to sort in.
#[derive(Default)]
pub struct Sort {
    pieces: Vec<Piece>,
    runs: Vec<(Run, Range<usize>)>,
}

impl Found {
    /// Finds what a tile has, whose columns are these points.
    pub fn find(&mut self, rings: &Arc<Rings>, tile: impl Iterator<Item = Range<usize>>) {
        self.asked.clear();
        self.asked.extend(tile);
        if self.asked == self.tile && self.of.as_ref().is_some_and(|own| Arc::ptr_eq(own, rings)) {
            return;
        }
        std::mem::swap(&mut self.asked, &mut self.tile);
        self.of = Some(rings.clone());
        self.known = rings.known(&self.tile);
        if self.known.is_none() {
            self.own.find(&rings.bins, &self.tile, &mut self.sort);
        }
        let mut polynomials = std::mem::take(&mut self.polynomials);
        let Points { weights, on_arc, .. } = &self.places().points;
        polynomials.resize(rings.arcs.blocks() * weights.len(), Polynomials::default());
        let into = polynomials.as_chunks_mut().0;
        make_polynomials(weights.as_chunks().0, on_arc.as_chunks().0, into);
        self.polynomials = polynomials;
    }

    fn places(&self) -> &Places {
        match (&self.of, self.known) {
            (Some(rings), Some(number)) => &rings.tiles[number],
            _ => &self.own,
        }
    }

    /// The bins that the tile has something of.
    pub fn bins(&self) -> &[OfBin] {
        &self.places().bins
    }

    /// The groups of one of them.
    pub fn groups(&self, bin: &OfBin) -> &[Group] {
        &self.places().groups[bin.groups.clone()]
    }

    /// The columns of the points of a group.
    pub fn columns(&self, group: &Group) -> &[u32] {
        &self.places().points.columns[group.points.clone()]
    }

    /// Of each point of a group the polynomials of a block.
    pub fn polynomials(&self, group: &Group, block: usize) -> &[Polynomials] {
        &self.polynomials[block * self.places().points.weights.len()..][group.points.clone()]
    }

    /// Bytes for each point, with so many blocks.
    pub fn of_point(blocks: usize) -> usize {
        size_of::<(u32, f64, f64)>() + blocks * size_of::<Polynomials>()
    }
}

impl Places {
    /// Those of a tile whose columns are these points.
    pub fn of(bins: &[Bin], tile: &[Range<usize>], sort: &mut Sort) -> Self {
        let mut places = Self::default();
        places.find(bins, tile, sort);
        places
    }

    fn find(&mut self, bins: &[Bin], tile: &[Range<usize>], sort: &mut Sort) {
        self.bins.clear();
        self.groups.clear();
        self.points.clear();
        for (number, bin) in bins.iter().enumerate() {
            bin.region.pieces(tile.iter().cloned(), &mut sort.pieces);
            if !sort.pieces.is_empty() {
                let from = self.groups.len();
                self.add(bin, sort);
                self.bins.push(OfBin { number, groups: from..self.groups.len() });
            }
        }
        self.points.fill_up();
    }

    /// Adds the points of a bin that are in the pieces, arc by arc, in their order on each.
    fn add(&mut self, bin: &Bin, Sort { pieces, runs }: &mut Sort) {
        runs.clear();
        runs.extend(pieces.iter().flat_map(|piece| bin.runs(piece)));
        runs.sort_by_key(|(run, _)| run.arc);
        for of_arc in runs.chunk_by(|(one, _), (next, _)| one.arc == next.arc) {
            let from = self.points.columns.len();
            of_arc.iter().for_each(|(run, columns)| self.points.add(bin, run, columns));
            let points = from..self.points.columns.len();
            self.groups.push(Group { arc: of_arc[0].0.arc, points });
        }
    }

    /// How much memory it takes.
    pub fn memory(&self) -> usize {
        let Points { columns, weights, on_arc } = &self.points;
        size_of_val(columns.as_slice())
            + size_of_val(weights.as_slice())
            + size_of_val(on_arc.as_slice())
            + size_of_val(self.bins.as_slice())
            + size_of_val(self.groups.as_slice())
    }
}

impl Points {
    fn clear(&mut self) {
        self.columns.clear();
        self.weights.clear();
        self.on_arc.clear();
    }

    fn add(&mut self, bin: &Bin, run: &Run, columns: &Range<usize>) {
        self.columns.extend(columns.start as u32..columns.end as u32);
        self.weights.extend_from_slice(&bin.weights[run.points.clone()]);
        self.on_arc.extend_from_slice(&bin.on_arc[run.points.clone()]);
    }

    /// Adds points without a weight until all registers are full.
    fn fill_up(&mut self) {
        let points = self.columns.len().next_multiple_of(LANES);
        self.weights.resize(points, 0.0);
        self.on_arc.resize(points, 0.0);
    }
}

/// Makes w T_k(t) of all points: T_0 = 1, T_1 = t, T_(k+1) = 2t T_k − T_(k−1).
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn make_polynomials(
    weights: &[[f64; LANES]],
    on_arc: &[[f64; LANES]],
    polynomials: &mut [[Polynomials; LANES]],
) {
    let of_block = weights.len();
    let blocks = polynomials.len() / of_block.max(1);
    for (at, (weights, on_arc)) in weights.iter().zip(on_arc).enumerate() {
        let mut own = *weights;
        let mut next: [f64; LANES] = std::array::from_fn(|lane| weights[lane] * on_arc[lane]);
        for block in 0..blocks {
            let mut made = [[0.0; LANES]; TOGETHER];
            for made in &mut made {
                *made = own;
                for lane in 0..LANES {
                    let after = (2.0 * on_arc[lane]).mul_add(next[lane], -own[lane]);
                    (own[lane], next[lane]) = (next[lane], after);
                }
            }
            for (lane, into) in polynomials[block * of_block + at].iter_mut().enumerate() {
                *into = made.map(|made| made[lane]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::radial_fourier::tests::{places, rings};

    #[test]
    fn every_point_of_a_bin_that_a_tile_has_is_on_its_arc_once() {
        let places = places(20, 24, (9.0, 11.3));
        let rings = Arc::new(rings((20, 24), (9.0, 11.3), &[(0.0, 4.0), (4.0, 8.2)], 40));
        let mut found = Found::default();
        let parts: Vec<Range<usize>> = (0..20).map(|row| row * 24 + 3..row * 24 + 14).collect();
        let of_one = [0..480, 100..270, 0..3];
        let of_one = of_one.iter().map(std::slice::from_ref);
        for tile in of_one.chain([&parts[..], &parts, &[200..201, 204..206]]) {
            found.find(&rings, tile.iter().cloned());
            let points: Vec<usize> = tile.iter().cloned().flatten().collect();
            let mut seen = 0;
            for of_bin in found.bins() {
                let bin = &rings.bins[of_bin.number];
                for group in found.groups(of_bin) {
                    for (at, column) in found.columns(group).iter().enumerate() {
                        let point = points[*column as usize];
                        let number = bin.region.points().position(|own| own == point).unwrap();
                        let (arc, t) = rings.arcs.place(places[point]);
                        assert_eq!(arc, group.arc);
                        for degree in 0..rings.arcs.blocks() * TOGETHER {
                            let block = found.polynomials(group, degree / TOGETHER);
                            let own = block[at][degree % TOGETHER];
                            let expected = libm::cos(degree as f64 * libm::acos(t));
                            assert!((own - bin.weights[number] * expected).abs() < 1e-13);
                        }
                        seen += 1;
                    }
                }
            }
            let all = rings
                .bins
                .iter()
                .flat_map(|bin| bin.region.points().filter(|point| points.contains(point)));
            assert_eq!(seen, all.count());
        }
    }

    #[test]
    fn what_was_found_of_other_rings_does_not_count() {
        let rings = [(3.0, 5.0), (5.0, 7.0)]
            .map(|edges| Arc::new(rings((20, 24), (9.0, 11.0), &[edges], 5)));
        let mut found = Found::default();
        let columns = rings.map(|rings| {
            found.find(&rings, std::iter::once(0..480));
            found.places().points.columns.clone()
        });
        assert_ne!(columns[0], columns[1]);
    }
}
