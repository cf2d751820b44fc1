//! Some points of a frame, and where in a tile these are.

use std::ops::Range;

use multiversion::multiversion;
use pixelmill_core::ndarray::{ArrayView1, ArrayView2};
use pixelmill_core::reduction::Tile;

/// Points of a frame, as stretches of neighbouring ones.
#[derive(Debug, Default)]
pub struct Region {
    /// Ascending; each with how many points of the region come before it.
    stretches: Vec<(Range<usize>, usize)>,
}

/// Points of a region that lie side by side in a tile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// How many points of the region come before the first of them.
    pub before: usize,
    /// The columns of the tile that they are.
    pub columns: Range<usize>,
}

impl Region {
    /// Those points, counted row by row, that are inside.
    pub fn of(inside: impl IntoIterator<Item = bool>) -> Self {
        let mut stretches: Vec<(Range<usize>, usize)> = Vec::new();
        let inside = inside.into_iter().enumerate().filter(|(_, is_in)| *is_in);
        for (count, (point, _)) in inside.enumerate() {
            match stretches.last_mut() {
                Some((last, _)) if last.end == point => last.end += 1,
                _ => stretches.push((point..point + 1, count)),
            }
        }
        Self { stretches }
    }

    /// How many points there are.
    pub fn len(&self) -> usize {
        self.stretches.last().map_or(0, |(last, before)| before + last.len())
    }

    /// The points, ascending.
    pub fn points(&self) -> impl Iterator<Item = usize> {
        self.stretches.iter().flat_map(|(stretch, _)| stretch.clone())
    }

    /// Puts into `pieces` what a tile has of the region whose columns are these points.
    pub fn pieces(&self, tile: impl Iterator<Item = Range<usize>>, pieces: &mut Vec<Piece>) {
        pieces.clear();
        let mut column = 0;
        for points in tile {
            let first = self.stretches.partition_point(|(own, _)| own.end <= points.start);
            let reaching = self.stretches[first..].iter();
            for (own, before) in reaching.take_while(|(own, _)| own.start < points.end) {
                let (start, end) = (own.start.max(points.start), own.end.min(points.end));
                let columns = column + (start - points.start)..column + (end - points.start);
                pieces.push(Piece { before: before + (start - own.start), columns });
            }
            column += points.len();
        }
    }
}

/// What is made of the values of a spectrum, which lie side by side.
pub trait Take {
    fn take<T: Copy + Into<f64>>(&mut self, values: &[T]);
}

/// What is made of the values of all spectra of a tile, one row each.
pub trait TakeAll {
    fn take_all<T: Copy + Into<f64>>(&mut self, spectra: ArrayView2<'_, T>);
}

/// Lets `what` take the values of each spectrum of a tile, as the stored numbers where these are
/// short.
pub fn take_each(tile: &mut Tile<'_, f64>, what: &mut impl Take) {
    struct Each<'a, W>(&'a mut W);
    impl<W: Take> TakeAll for Each<'_, W> {
        fn take_all<T: Copy + Into<f64>>(&mut self, spectra: ArrayView2<'_, T>) {
            spectra.rows().into_iter().for_each(|row| self.0.take(side_by_side(&row)));
        }
    }
    take_all(tile, &mut Each(what));
}

/// Lets `what` take those of all spectra of a tile at once.
pub fn take_all(tile: &mut Tile<'_, f64>, what: &mut impl TakeAll) {
    macro_rules! stored {
        ($($type:ty),+) => {$(
            if let Some(spectra) = tile.stored_as::<$type>() {
                return what.take_all(spectra);
            }
        )+};
    }
    stored!(u8, i8, u16, i16, u32, i32, f32);
    what.take_all(tile.values());
}

/// The values of a row of a tile.
pub fn side_by_side<'v, T>(row: &'v ArrayView1<'_, T>) -> &'v [T] {
    row.as_slice().expect("the values of a row lie side by side")
}

/// Puts what each spectrum of a tile has in some pieces behind what is there.
pub struct Gather<'a> {
    pub pieces: &'a [Piece],
    pub into: &'a mut Vec<f64>,
}

impl Take for Gather<'_> {
    fn take<T: Copy + Into<f64>>(&mut self, values: &[T]) {
        let begin = self.into.len();
        self.into.resize(begin + count(self.pieces), 0.0);
        let mut left = &mut self.into[begin..];
        for piece in self.pieces {
            let (here, rest) = left.split_at_mut(piece.columns.len());
            widen(&values[piece.columns.clone()], here);
            left = rest;
        }
    }
}

/// The same values in double precision.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx2", "x86_64+avx2"))]
pub fn widen<T: Copy + Into<f64>>(from: &[T], to: &mut [f64]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = (*from).into());
}

/// How many points there are in all.
pub fn count(pieces: &[Piece]) -> usize {
    pieces.iter().map(|piece| piece.columns.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_points_of_a_region_wherever_tiles_begin() {
        let inside = |point: usize| point % 7 < 3 || (20..31).contains(&point);
        let region = Region::of((0..60).map(inside));
        let points: Vec<usize> = (0..60).filter(|point| inside(*point)).collect();
        assert_eq!((region.len(), region.points().collect::<Vec<_>>()), (points.len(), points));
        let all: Vec<usize> = region.points().collect();
        let mut pieces = vec![Piece { before: 9, columns: 0..9 }];
        for tile in [&[0..30, 30..60][..], &[3..4, 7..8], &[5..9, 22..23, 40..58], &[]] {
            let columns: Vec<usize> = tile.iter().cloned().flatten().collect();
            region.pieces(tile.iter().cloned(), &mut pieces);
            let found = pieces.iter().flat_map(|Piece { before, columns: own }| {
                own.clone().enumerate().map(move |(step, column)| (before + step, column))
            });
            let mut seen = Vec::new();
            for (number, column) in found {
                assert_eq!(all[number], columns[column]);
                seen.push(column);
            }
            let expected = (0..columns.len()).filter(|column| inside(columns[*column]));
            assert_eq!(seen, expected.collect::<Vec<_>>());
        }
        assert_eq!(Region::of([false; 4]).len(), 0);
    }
}
