//! A virtual dataset that is put together from boxes of others, read out of their files without
//! HDF5.
//!
//! Later parts lie over earlier ones, as in HDF5; what none covers holds the fill value.

use std::ops::Range;

use super::copy::fill;
use super::way::{Cut, Reading, Way, same_kind, stretch};
use super::{LoadedTile, TileError, Tiles};
use crate::region::{Region, strides};
use crate::view::View;

/// Tiles whose chunks don't end where tiles do have so many chunks along an axis: the larger they
/// are, the fewer chunks are decoded twice.
const CHUNKS_AT_A_TIME: u64 = 4;
/// Most bytes of such a tile.
const LARGEST_TILE: u64 = 16 << 20;

/// A dataset that parts are taken from.
pub(crate) struct SourceArray {
    /// The number of its file, and its name there, for people.
    pub file: usize,
    pub dataset: String,
    pub shape: Vec<u64>,
    /// How it is read, without HDF5.
    pub way: Box<dyn Way>,
}

/// A box of a source and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    source: usize,
    /// Where it stands in the virtual dataset.
    at: Region,
    /// Where it begins in the source.
    from: Vec<u64>,
    /// For each axis of the source its axis in the virtual dataset; none where the box is one step
    /// long.
    axes: Vec<Option<usize>>,
}

impl Part {
    /// The box `from` of `source` as the box `at` of the virtual dataset; `None` if their axes are
    /// others.
    pub fn new(source: usize, at: Region, from: Region) -> Option<Self> {
        let mut long = (0..at.shape.len()).filter(|axis| at.shape[*axis] != 1);
        let axes = from.shape.iter().map(|length| match length {
            1 => Some(None),
            length => long.next().filter(|axis| at.shape[*axis] == *length).map(Some),
        });
        let axes = axes.collect::<Option<Vec<_>>>()?;
        let is_all = long.next().is_none();
        is_all.then_some(Self { source, at, from: from.start, axes })
    }
}

/// All parts of a virtual dataset.
pub(crate) struct Mosaic {
    sources: Vec<SourceArray>,
    parts: Vec<Part>,
    fill: Vec<u8>,
    /// The numbers of the parts by where they begin on the axis that tells them apart best.
    order: Vec<usize>,
    axis: usize,
    /// Most steps that a part has on that axis.
    longest: u64,
}

impl Mosaic {
    /// The parts in the order in which they were put together.
    pub fn new(sources: Vec<SourceArray>, parts: Vec<Part>, fill: Vec<u8>) -> Self {
        let rank = parts.first().map_or(1, |part| part.at.shape.len());
        let places = |axis: &usize| {
            let mut starts: Vec<u64> = parts.iter().map(|part| part.at.start[*axis]).collect();
            starts.sort_unstable();
            starts.dedup();
            starts.len()
        };
        let axis = (0..rank).rev().max_by_key(places).unwrap_or(0);
        let mut order: Vec<usize> = (0..parts.len()).collect();
        order.sort_by_key(|part| parts[*part].at.start[axis]);
        let longest = parts.iter().map(|part| part.at.shape[axis]).max().unwrap_or(0);
        Self { sources, parts, fill, order, axis, longest }
    }

    fn chunked(&self) -> impl Iterator<Item = (&dyn Way, &[u64])> {
        self.sources.iter().filter_map(|source| Some((&*source.way, source.way.chunk()?)))
    }

    /// The parts that may have something of a range on the axis that tells them apart, in their
    /// order.
    fn near(&self, range: &Range<u64>) -> Vec<usize> {
        let begin = |part: &usize| self.parts[*part].at.start[self.axis];
        let first = self.order.partition_point(|part| begin(part) + self.longest <= range.start);
        let end = self.order.partition_point(|part| begin(part) < range.end);
        let mut near = self.order[first.min(end)..end].to_vec();
        near.sort_unstable();
        near
    }
}

impl Way for Mosaic {
    fn reading(&self) -> Reading {
        Reading::Parts(self.parts.len())
    }

    fn is_same(&self, other: &dyn Way) -> bool {
        let same = |(one, other): (&SourceArray, &SourceArray)| {
            one.file == other.file && one.shape == other.shape && one.way.is_same(&*other.way)
        };
        same_kind(self, other).is_some_and(|other| {
            self.parts == other.parts
                && self.sources.len() == other.sources.len()
                && self.sources.iter().zip(&other.sources).all(same)
        })
    }

    fn load(&self, tiles: &Tiles, _place: &[u64], region: Region) -> Result<LoadedTile, TileError> {
        tiles.filled(region, |region, out| self.read(tiles, region, out))
    }

    /// Lengths of a tile: those of a chunk where all have the same, and tiles end where chunks do.
    fn tile(&self, view: &View, element: u64) -> Vec<u64> {
        if !self.is_indivisible() {
            return stretch(view, element);
        }
        let mut chunk = vec![1; view.shape.len()];
        let mut fits = vec![true; view.shape.len()];
        for part in &self.parts {
            let Some(lengths) = self.sources[part.source].way.chunk() else { continue };
            for (own, axis) in part.axes.iter().enumerate() {
                let Some(axis) = *axis else { continue };
                let length = lengths[own];
                fits[axis] &= chunk[axis] == 1 || chunk[axis] == length;
                chunk[axis] = chunk[axis].max(length);
                fits[axis] &= part.at.start[axis].abs_diff(part.from[own]).is_multiple_of(length);
            }
        }
        let limited = |lengths: Vec<u64>| -> Vec<u64> {
            lengths.iter().zip(&view.shape).map(|(length, all)| *length.min(all)).collect()
        };
        let several = chunk.iter().zip(&fits);
        let several = several.map(|(c, fits)| if *fits { *c } else { c * CHUNKS_AT_A_TIME });
        let several = limited(several.collect());
        let bytes = several.iter().product::<u64>() * element;
        if bytes <= LARGEST_TILE { several } else { limited(chunk) }
    }

    /// A chunk has to be decoded whole, however little of it is wanted.
    fn is_indivisible(&self) -> bool {
        self.chunked().next().is_some()
    }

    /// The largest chunk's, besides the values themselves.
    fn worker_bytes(&self, tile: u64, element: u64) -> u64 {
        let needs = self
            .chunked()
            .map(|(way, chunk)| way.worker_bytes(chunk.iter().product::<u64>() * element, element));
        needs.max().unwrap_or(0) + tile
    }

    fn table_bytes(&self) -> u64 {
        let tables: u64 = self.chunked().map(|(way, _)| way.table_bytes()).sum();
        let rank = self.parts.first().map_or(0, |part| part.at.shape.len());
        tables + (self.parts.len() * (size_of::<Part>() + 6 * 8 * rank)) as u64
    }
}

impl Mosaic {
    /// Reads a box of the virtual dataset.
    fn read(&self, tiles: &Tiles, region: &Region, out: &mut [u8]) -> Result<(), TileError> {
        let mut decoder = tiles.decoders.take().unwrap_or_default();
        let near = self.near(&region.range(self.axis));
        let near = near.iter().map(|part| &self.parts[*part]);
        let near: Vec<(&Part, Region)> =
            near.filter_map(|part| Some((part, part.at.intersection(region)?))).collect();
        if !near.iter().any(|(_, covered)| covered == region) {
            fill(out, &self.fill);
        }
        let steps = strides(&region.shape, tiles.element);
        let mut read = Ok(());
        for (part, covered) in near {
            let there = covered.offset_in(region, &steps);
            let source = &self.sources[part.source];
            let cut = cut(part, source, &covered, &steps);
            let out = &mut out[there..];
            read = source.way.read_cut(tiles, &cut, out, &mut decoder);
            if read.is_err() {
                break;
            }
        }
        tiles.decoders.give(decoder);
        read
    }
}

/// What a source has of the box `covered`, a part of what the part covers.
fn cut<'a>(part: &Part, source: &'a SourceArray, covered: &Region, steps: &[usize]) -> Cut<'a> {
    let from = part.axes.iter().zip(&part.from).map(|(axis, from)| match *axis {
        None => *from..*from + 1,
        Some(axis) => {
            let start = from + covered.start[axis] - part.at.start[axis];
            start..start + covered.shape[axis]
        }
    });
    Cut {
        file: source.file,
        dataset: &source.dataset,
        shape: &source.shape,
        from: from.collect(),
        steps: part.axes.iter().map(|axis| axis.map_or(0, |axis| steps[axis])).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_of_one_step_may_lack_on_either_side() {
        let axes = |shape: &[u64], lengths: &[u64]| {
            let part = Part::new(0, Region::whole(shape), Region::whole(lengths));
            part.map(|part| part.axes)
        };
        assert_eq!(axes(&[1, 4, 5], &[4, 5]), Some(vec![Some(1), Some(2)]));
        assert_eq!(axes(&[4, 5], &[4, 1, 5]), Some(vec![Some(0), None, Some(1)]));
        assert_eq!(axes(&[20], &[4, 5]), None);
        assert_eq!(axes(&[4, 5], &[4]), None);
    }

    #[test]
    fn only_parts_near_a_box_are_looked_at_in_their_order() {
        let parts = [6..8, 0..4, 4..6, 3..5].map(|columns: Range<u64>| {
            let lengths = Region::whole(&[2, columns.end - columns.start]);
            Part::new(0, [0..2, columns].into_iter().collect(), lengths).unwrap()
        });
        let mosaic = Mosaic::new(Vec::new(), parts.to_vec(), vec![0]);
        assert_eq!(mosaic.axis, 1);
        assert_eq!(mosaic.near(&(3..5)), [1, 2, 3]);
        assert_eq!(mosaic.near(&(7..12)), [0, 2]);
        let place: Region = [0..2, 5..6].into_iter().collect();
        let reaches = |part: &usize| mosaic.parts[*part].at.intersection(&place).is_some();
        let within: Vec<usize> = mosaic.near(&(5..6)).into_iter().filter(reaches).collect();
        assert_eq!(within, [2]);
    }
}
