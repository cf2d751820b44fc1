//! Boxes of arrays, and the arithmetic of arrays whose last axis runs fastest.
//!
//! Pure numbers: the axes may be those of a dataset, of a scan, or of a grid of tiles.

use std::ops::Range;

/// A box of an array: where it begins, and how many steps it has on each axis, slowest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Region {
    pub start: Vec<u64>,
    pub shape: Vec<u64>,
}

impl Region {
    /// All of an array.
    pub fn whole(shape: &[u64]) -> Self {
        Self { start: vec![0; shape.len()], shape: shape.to_vec() }
    }

    /// How many elements it has.
    pub fn count(&self) -> u64 {
        self.shape.iter().product()
    }

    /// The first step on an axis that lies behind it.
    pub fn end(&self, axis: usize) -> u64 {
        self.start[axis] + self.shape[axis]
    }

    /// Its range on an axis.
    pub fn range(&self, axis: usize) -> Range<u64> {
        self.start[axis]..self.end(axis)
    }

    /// Gives it another range on an axis.
    pub fn set_range(&mut self, axis: usize, range: &Range<u64>) {
        (self.start[axis], self.shape[axis]) = (range.start, range.end - range.start);
    }

    /// Whether a place lies in it.
    pub fn contains(&self, place: impl IntoIterator<Item = u64>) -> bool {
        let axes = self.start.iter().zip(&self.shape);
        place.into_iter().zip(axes).all(|(step, (start, length))| {
            step.checked_sub(*start).is_some_and(|within| within < *length)
        })
    }

    /// What both have; `None` if that is nothing.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        let ranges = |region: &Self| -> Vec<Range<u64>> {
            (0..region.shape.len()).map(|axis| region.range(axis)).collect()
        };
        let common = ranges(self).into_iter().zip(ranges(other)).map(|(own, other)| {
            let start = own.start.max(other.start);
            start..own.end.min(other.end).max(start)
        });
        Some(common.collect::<Self>()).filter(|common| common.count() > 0)
    }

    /// The tiles of this shape that it touches, as a part of the grid of tiles.
    pub fn tiles(&self, tile: &[u64]) -> Self {
        let axes = tile.iter().enumerate();
        axes.map(|(axis, tile)| self.start[axis] / tile..self.end(axis).div_ceil(*tile)).collect()
    }

    /// The tile of this shape at a place in the grid of tiles, with what lies past the edges of the
    /// array.
    pub fn of_tile(place: &[u64], tile: &[u64]) -> Self {
        let start = place.iter().zip(tile).map(|(step, length)| step * length).collect();
        Self { start, shape: tile.to_vec() }
    }

    /// The number of a place among all of it.
    pub fn number(&self, place: &[u64]) -> u64 {
        let axes = place.iter().zip(self.start.iter().zip(&self.shape));
        axes.fold(0, |number, (step, (start, length))| number * length + (step - start))
    }

    /// The place with a number.
    pub fn place(&self, number: u64) -> Vec<u64> {
        let mut place = steps(&self.shape, number);
        place.iter_mut().zip(&self.start).for_each(|(step, start)| *step += start);
        place
    }

    /// All its places.
    pub fn places(&self) -> impl Iterator<Item = Vec<u64>> + '_ {
        (0..self.count()).map(|number| self.place(number))
    }

    /// How far the element at its start lies behind the one at the start of `outer`, where steps
    /// are as far apart as `strides` say.
    pub fn offset_in(&self, outer: &Self, strides: &[usize]) -> usize {
        offset(&self.start, &outer.start, strides)
    }

    /// Its elements as ranges of their numbers in an array of the given shape, within which it
    /// lies: ascending, those that touch joined.
    pub fn runs(&self, shape: &[u64]) -> Vec<Range<u64>> {
        runs(shape, &self.start, &self.shape)
    }
}

impl FromIterator<Range<u64>> for Region {
    fn from_iter<I: IntoIterator<Item = Range<u64>>>(ranges: I) -> Self {
        let (start, shape) =
            ranges.into_iter().map(|range| (range.start, range.end - range.start)).unzip();
        Self { start, shape }
    }
}

fn runs(all: &[u64], start: &[u64], shape: &[u64]) -> Vec<Range<u64>> {
    let (Some((all, before)), Some((start, outer_start)), Some((length, outer_shape))) =
        (all.split_last(), start.split_last(), shape.split_last())
    else {
        return std::iter::once(0..1).collect();
    };
    let outer = runs(before, outer_start, outer_shape);
    if length == all {
        // A whole axis keeps what is before it in one piece.
        return outer.into_iter().map(|run| run.start * all..run.end * all).collect();
    }
    let steps = outer.into_iter().flatten();
    steps.map(|step| step * all + start..step * all + start + length).collect()
}

/// The step on each axis of element number `number` of an array.
pub(crate) fn steps(shape: &[u64], number: u64) -> Vec<u64> {
    let mut left = number;
    let mut steps = vec![0; shape.len()];
    for (step, length) in steps.iter_mut().zip(shape).rev() {
        *step = left % length;
        left /= length;
    }
    steps
}

/// A run of elements of an array, cut by the lines along its last axis.
pub(crate) fn lines(run: Range<u64>, shape: &[u64]) -> impl Iterator<Item = Range<u64>> {
    let length = shape.last().copied().unwrap_or(1).max(1);
    let mut start = run.start;
    std::iter::from_fn(move || {
        let line = start..run.end.min((start / length + 1) * length);
        start = line.end;
        (line.start < line.end).then_some(line)
    })
}

/// The number of the element at the given steps of an array.
pub(crate) fn number(shape: &[u64], steps: &[u64]) -> u64 {
    steps.iter().zip(shape).fold(0, |number, (step, length)| number * length + step)
}

/// How far the next step of each axis is in an array with elements of so many bytes.
pub(crate) fn strides(shape: &[u64], element: usize) -> Vec<usize> {
    let mut strides = vec![element; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis] as usize;
    }
    strides
}

/// How far a place lies behind another, where steps are as far apart as `strides` say.
pub(crate) fn offset(place: &[u64], origin: &[u64], strides: &[usize]) -> usize {
    let axes = place.iter().zip(origin).zip(strides);
    axes.map(|((step, origin), stride)| (step - origin) as usize * stride).sum()
}

/// How many tiles of a shape an array has on each axis.
pub(crate) fn grid(shape: &[u64], tile: &[u64]) -> Vec<u64> {
    shape.iter().zip(tile).map(|(length, tile)| length.div_ceil(*tile)).collect()
}

/// Lengths as HDF5's wrapper has them.
pub(crate) fn lengths(shape: &[usize]) -> Vec<u64> {
    shape.iter().map(|length| *length as u64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Its length, and a range on it for each of two regions.
    type Axis = (u64, (u64, u64), (u64, u64));

    fn array_and_regions() -> impl Strategy<Value = (Vec<u64>, Region, Region)> {
        let axis = (1u64..7).prop_flat_map(|length| {
            let range = move || (0..length).prop_flat_map(move |from| (Just(from), from..=length));
            (Just(length), range(), range())
        });
        prop::collection::vec(axis, 0..4).prop_map(|axes| {
            let region = |of: fn(&Axis) -> (u64, u64)| {
                axes.iter().map(|axis| of(axis).0..of(axis).1).collect()
            };
            (axes.iter().map(|axis| axis.0).collect(), region(|axis| axis.1), region(|axis| axis.2))
        })
    }

    proptest! {
        #[test]
        fn regions_agree_with_every_single_element((shape, one, other) in array_and_regions()) {
            let whole = Region::whole(&shape);
            let all: Vec<Vec<u64>> = whole.places().collect();
            prop_assert_eq!(all.len() as u64, whole.count());
            let strides = strides(&shape, 8);
            for (at, place) in (0..).zip(&all) {
                prop_assert_eq!(number(&shape, place), at);
                prop_assert_eq!(steps(&shape, at), place.clone());
                let bytes: usize = place.iter().zip(&strides).map(|(s, stride)| *s as usize * stride).sum();
                prop_assert_eq!(bytes as u64, at * 8);
            }
            let inside: Vec<Vec<u64>> = all.iter().filter(|place| one.contains(place.iter().copied())).cloned().collect();
            prop_assert_eq!(one.places().collect::<Vec<_>>(), inside.clone());
            for (at, place) in (0..).zip(&inside) {
                prop_assert_eq!((one.number(place), one.place(at)), (at, place.clone()));
            }
            let numbers: Vec<u64> = inside.iter().map(|place| number(&shape, place)).collect();
            let runs = one.runs(&shape);
            prop_assert!(runs.windows(2).all(|pair| pair[0].end <= pair[1].start));
            prop_assert_eq!(runs.into_iter().flatten().collect::<Vec<_>>(), numbers.clone());
            if let Some(first) = numbers.first() {
                prop_assert_eq!(one.offset_in(&whole, &strides) as u64, first * 8);
            }
            let both: Vec<Vec<u64>> =
                all.iter().filter(|place| one.contains(place.iter().copied()) && other.contains(place.iter().copied())).cloned().collect();
            let common = one.intersection(&other);
            prop_assert_eq!(common.is_some(), !both.is_empty());
            prop_assert_eq!(common.unwrap_or_default().places().filter(|_| !both.is_empty()).collect::<Vec<_>>(), both);
        }
    }

    #[test]
    fn whole_axes_make_long_runs() {
        let region: Region = [1..3, 0..5].into_iter().collect();
        assert_eq!(region.runs(&[4, 5]), std::iter::once(5..15).collect::<Vec<_>>());
        let region: Region = [1..3, 1..5].into_iter().collect();
        assert_eq!(region.runs(&[4, 5]), [6..10, 11..15]);
    }

    #[test]
    fn tiles_at_the_edges_count() {
        assert_eq!(grid(&[10, 5], &[4, 5]), [3, 1]);
        let region: Region = [3..5, 0..5].into_iter().collect();
        assert_eq!(region.tiles(&[4, 5]), [0..2, 0..1].into_iter().collect());
        assert_eq!(Region::of_tile(&[2, 0], &[4, 5]), [8..12, 0..5].into_iter().collect());
    }
}
