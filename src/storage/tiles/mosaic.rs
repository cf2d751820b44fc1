//! A virtual dataset that is put together from boxes of others, read out of their files without HDF5.
//!
//! Later parts lie over earlier ones, as in HDF5; what none covers holds the fill value.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::copy::{Axis, copy};
use super::{Decoder, Kind, TileError, Tiles, most_stored, stretch};
use crate::region::{self, Region, strides};
use crate::storage::chunk_table::ChunkTable;
use crate::storage::filters::Pipeline;
use crate::storage::raw_file::RawFile;
use crate::view::View;

/// Tiles whose chunks don't end where tiles do have so many chunks along an axis: the larger they are, the
/// fewer chunks are decoded twice.
const CHUNKS_AT_A_TIME: u64 = 4;
/// Most bytes of such a tile.
const LARGEST_TILE: u64 = 16 << 20;

/// A dataset that parts are taken from.
pub(crate) struct SourceArray {
    /// The number of its file, and its name there, for people.
    pub file: usize,
    pub dataset: String,
    pub shape: Vec<u64>,
    /// An extent or chunks.
    pub kind: Kind,
}

/// A box of a source and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    source: usize,
    /// Where it stands in the virtual dataset.
    at: Region,
    /// Where it begins in the source.
    from: Vec<u64>,
    /// For each axis of the source its axis in the virtual dataset; none where the box is one step long.
    axes: Vec<Option<usize>>,
}

impl Part {
    /// The box `from` of `source` as the box `at` of the virtual dataset; `None` if their axes are others.
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

/// A box of a source that is to be read, and where its values go.
struct Cut<'a> {
    source: &'a SourceArray,
    /// Where it lies in the source.
    from: Region,
    /// Bytes from one step of the source to the next where it goes.
    steps: Vec<usize>,
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

    /// How many parts there are.
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// Whether the other has the same parts of datasets that lie at the same places.
    pub fn is_same(&self, other: &Self) -> bool {
        let same = |(one, other): (&SourceArray, &SourceArray)| {
            one.file == other.file
                && one.shape == other.shape
                && match (&one.kind, &other.kind) {
                    (Kind::Extent { offset }, Kind::Extent { offset: other }) => offset == other,
                    (Kind::Chunks { table, .. }, Kind::Chunks { table: other, .. }) => {
                        table.chunks == other.chunks
                    }
                    _ => false,
                }
        };
        self.parts == other.parts
            && self.sources.len() == other.sources.len()
            && self.sources.iter().zip(&other.sources).all(same)
    }

    fn tables(&self) -> impl Iterator<Item = (&ChunkTable, &Pipeline)> {
        self.sources.iter().filter_map(|source| match &source.kind {
            Kind::Chunks { table, pipeline, .. } => Some((table, pipeline)),
            _ => None,
        })
    }

    /// Bytes that it takes in memory.
    pub fn bytes(&self) -> u64 {
        let tables: u64 = self.tables().map(|(table, _)| table.bytes()).sum();
        let rank = self.parts.first().map_or(0, |part| part.at.shape.len());
        tables + (self.parts.len() * (size_of::<Part>() + 6 * 8 * rank)) as u64
    }

    /// Whether a chunk has to be decoded whole, however little of it is wanted.
    pub fn has_chunks(&self) -> bool {
        self.tables().next().is_some()
    }

    /// Bytes that a worker needs for the largest chunk, besides the values themselves.
    pub fn worker_bytes(&self, element: u64) -> u64 {
        let needs = self.tables().map(|(table, pipeline)| {
            let chunk = table.chunk.iter().product::<u64>() * element;
            table.largest().min(most_stored(chunk))
                + pipeline.scratch_bytes(chunk as usize) as u64
                + chunk
        });
        needs.max().unwrap_or(0)
    }

    /// Lengths of a tile: those of a chunk where all have the same, and tiles end where chunks do.
    pub fn tile(&self, view: &View, element: u64) -> Vec<u64> {
        if !self.has_chunks() {
            return stretch(view, element);
        }
        let mut chunk = vec![1; view.shape.len()];
        let mut fits = vec![true; view.shape.len()];
        for part in &self.parts {
            let source = &self.sources[part.source];
            let Kind::Chunks { table, .. } = &source.kind else { continue };
            for (own, axis) in part.axes.iter().enumerate() {
                let Some(axis) = *axis else { continue };
                let length = table.chunk[own];
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

    /// The parts that may have something of a range on the axis that tells them apart, in their order.
    fn near(&self, range: &Range<u64>) -> Vec<usize> {
        let begin = |part: &usize| self.parts[*part].at.start[self.axis];
        let first = self.order.partition_point(|part| begin(part) + self.longest <= range.start);
        let end = self.order.partition_point(|part| begin(part) < range.end);
        let mut near = self.order[first.min(end)..end].to_vec();
        near.sort_unstable();
        near
    }
}

impl Tiles {
    /// Reads a box of a virtual dataset.
    pub(super) fn read_mosaic(
        &self,
        mosaic: &Mosaic,
        region: &Region,
        out: &mut [u8],
    ) -> Result<(), TileError> {
        let mut decoder = self.decoders.take().unwrap_or_default();
        let near = mosaic.near(&region.range(mosaic.axis));
        let near = near.iter().map(|part| &mosaic.parts[*part]);
        let near: Vec<(&Part, Region)> =
            near.filter_map(|part| Some((part, part.at.intersection(region)?))).collect();
        if !near.iter().any(|(_, covered)| covered == region) {
            fill(out, &mosaic.fill);
        }
        let steps = strides(&region.shape, self.element);
        let mut read = Ok(());
        for (part, covered) in near {
            let there = covered.offset_in(region, &steps);
            let cut = Cut::of(part, &mosaic.sources[part.source], &covered, &steps);
            read = self.read_cut(&cut, &mut out[there..], &mut decoder);
            if read.is_err() {
                break;
            }
        }
        self.decoders.give(decoder);
        read
    }

    fn read_cut(
        &self,
        cut: &Cut<'_>,
        out: &mut [u8],
        decoder: &mut Decoder,
    ) -> Result<(), TileError> {
        match &cut.source.kind {
            Kind::Extent { offset } => {
                let file = cut.source.file;
                cut.read_extent(&self.files[file], *offset, out, self.element).map_err(|failed| {
                    let (needed, error) = failed;
                    TileError::Io { file, needed, error: Arc::new(error) }
                })
            }
            Kind::Chunks { table, pipeline, fill } => {
                self.read_chunks(cut, (table, pipeline, fill), out, decoder)
            }
            _ => Err(TileError::Damaged("it can't be read without HDF5".to_owned())),
        }
    }

    /// Reads what a cut has of each chunk.
    fn read_chunks(
        &self,
        cut: &Cut<'_>,
        (table, pipeline, fill): (&ChunkTable, &Pipeline, &[u8]),
        out: &mut [u8],
        decoder: &mut Decoder,
    ) -> Result<(), TileError> {
        let element = self.element;
        let bytes = table.chunk.iter().product::<u64>() as usize * element;
        let own = strides(&table.chunk, element);
        let axes = table.chunk.iter().enumerate();
        let chunks: Region = axes
            .map(|(axis, chunk)| cut.from.start[axis] / chunk..cut.from.end(axis).div_ceil(*chunk))
            .collect();
        for place in chunks.places() {
            let number = region::number(&table.grid, &place);
            let start = place.iter().zip(&table.chunk).map(|(step, length)| step * length);
            let chunk = Region { start: start.collect(), shape: table.chunk.clone() };
            let wanted = chunk.intersection(&cut.from);
            let wanted = wanted.expect("only chunks that have something of the cut are read");
            let there = wanted.offset_in(&cut.from, &cut.steps);
            let is_all = wanted == chunk
                && (0..own.len())
                    .all(|axis| chunk.shape[axis] == 1 || cut.steps[axis] == own[axis]);
            let mut whole = std::mem::take(&mut decoder.whole);
            let decoded = if is_all {
                let out = &mut out[there..][..bytes];
                self.decode((table, pipeline, fill), cut.source.file, number, decoder, out)
            } else {
                whole.resize(bytes.max(whole.len()), 0);
                let into = &mut whole[..bytes];
                self.decode((table, pipeline, fill), cut.source.file, number, decoder, into)
            };
            let decoded = decoded.map(|()| {
                if is_all {
                    return;
                }
                let along: Vec<Axis> = (0..own.len())
                    .map(|axis| Axis {
                        steps: wanted.shape[axis] as usize,
                        from: own[axis],
                        to: cut.steps[axis],
                    })
                    .collect();
                let first = wanted.offset_in(&chunk, &own);
                copy(&whole[first..], &mut out[there..], &along, element);
            });
            decoder.whole = whole;
            decoded.map_err(|trouble| match trouble {
                TileError::Damaged(reason) => {
                    let corner: Vec<String> = chunk.start.iter().map(u64::to_string).collect();
                    let file = self.files[cut.source.file].path.display();
                    let (corner, dataset) = (corner.join(", "), &cut.source.dataset);
                    TileError::Damaged(format!(
                        "chunk ({corner}) of the source `{dataset}` of {file} is damaged: {reason}"
                    ))
                }
                other => other,
            })?;
        }
        Ok(())
    }
}

impl<'a> Cut<'a> {
    /// What the source has of the box `covered`, a part of what the part covers.
    fn of(part: &Part, source: &'a SourceArray, covered: &Region, steps: &[usize]) -> Self {
        let axes = || part.axes.iter().zip(&part.from);
        let from = axes().map(|(axis, from)| match *axis {
            None => *from..*from + 1,
            Some(axis) => {
                let start = from + covered.start[axis] - part.at.start[axis];
                start..start + covered.shape[axis]
            }
        });
        let steps = part.axes.iter().map(|axis| axis.map_or(0, |axis| steps[axis])).collect();
        Self { source, from: from.collect(), steps }
    }

    /// Reads each stretch that lies in one piece by one call. The error comes with how many bytes the file
    /// should have had.
    fn read_extent(
        &self,
        file: &RawFile,
        offset: u64,
        out: &mut [u8],
        element: usize,
    ) -> Result<(), (u64, io::Error)> {
        let own = strides(&self.source.shape, element);
        let (rank, lengths) = (own.len(), &self.from.shape);
        // The axes behind this one are read whole.
        let mut cut = rank.saturating_sub(1);
        while cut > 0 && lengths[cut] == self.source.shape[cut] {
            cut -= 1;
        }
        let stretch = lengths[cut..].iter().product::<u64>() as usize * element;
        let is_direct = (cut..rank).all(|axis| lengths[axis] == 1 || self.steps[axis] == own[axis]);
        let mut aside = vec![0; if is_direct { 0 } else { stretch }];
        let inner: Vec<Axis> = (cut..rank)
            .map(|axis| Axis {
                steps: lengths[axis] as usize,
                from: own[axis],
                to: self.steps[axis],
            })
            .collect();
        let mut stretches = self.from.clone();
        stretches.shape[cut..].fill(1);
        for place in stretches.places() {
            let start = offset + region::number(&self.source.shape, &place) * element as u64;
            let at = Region { start: place, shape: Vec::new() };
            let there = at.offset_in(&self.from, &self.steps);
            let into = if is_direct { &mut out[there..][..stretch] } else { &mut aside[..] };
            file.read_exact_at(into, start).map_err(|error| (start + stretch as u64, error))?;
            if !is_direct {
                copy(&aside, &mut out[there..], &inner, element);
            }
        }
        Ok(())
    }
}

/// Fills `out` with copies of a value.
pub(super) fn fill(out: &mut [u8], value: &[u8]) {
    out.chunks_exact_mut(value.len()).for_each(|place| place.copy_from_slice(value));
}

impl Tiles {
    /// Puts a chunk's values into `out`, or fill values if it was never written.
    pub(super) fn decode(
        &self,
        (table, pipeline, missing): (&ChunkTable, &Pipeline, &[u8]),
        file: usize,
        number: u64,
        decoder: &mut Decoder,
        out: &mut [u8],
    ) -> Result<(), TileError> {
        let Some(chunk) = table.find(number) else {
            fill(out, missing);
            return Ok(());
        };
        if chunk.size > most_stored(out.len() as u64) {
            return Err(TileError::Damaged(format!("{} stored bytes can't be right", chunk.size)));
        }
        decoder.stored.resize(chunk.size as usize, 0);
        let read = self.files[file].read_exact_at(&mut decoder.stored, chunk.address);
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                TileError::Damaged("it lies past the end of the file".to_owned())
            }
            _ => {
                let needed = chunk.address + chunk.size;
                TileError::Io { file, needed, error: Arc::new(error) }
            }
        })?;
        self.decoded.fetch_add(1, Ordering::Relaxed);
        let decode = || pipeline.decode(chunk.mask, &decoder.stored, out, &mut decoder.scratch);
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(decode))
            .unwrap_or_else(|_| Err("it can't be decoded".to_owned()))
            .map_err(TileError::Damaged)
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
