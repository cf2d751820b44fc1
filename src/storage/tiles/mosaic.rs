//! A virtual dataset that is put together from boxes of others, read out of their files without HDF5.
//!
//! Later parts lie over earlier ones, as in HDF5; what none covers holds the fill value.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::copy::{Axis, copy, strides};
use super::{Decoder, Kind, Places, TileError, Tiles, most_stored, stretch};
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
    /// Where it begins, and its lengths, in the virtual dataset.
    at: Vec<u64>,
    shape: Vec<u64>,
    /// Where it begins in the source.
    from: Vec<u64>,
    /// For each axis of the source its axis in the virtual dataset; none where the box is one step long.
    axes: Vec<Option<usize>>,
}

impl Part {
    /// A box of `source` as a box of the virtual dataset; `None` if their axes are others.
    pub fn new(
        source: usize,
        (at, shape): (Vec<u64>, Vec<u64>),
        (from, lengths): (Vec<u64>, &[u64]),
    ) -> Option<Self> {
        let mut long = (0..shape.len()).filter(|axis| shape[*axis] != 1);
        let axes = lengths.iter().map(|length| match length {
            1 => Some(None),
            length => long.next().filter(|axis| shape[*axis] == *length).map(Some),
        });
        let axes = axes.collect::<Option<Vec<_>>>()?;
        long.next().is_none().then_some(Self { source, at, shape, from, axes })
    }

    /// The part of a box that it covers: beginning and end on each axis.
    fn within(&self, start: &[u64], shape: &[u64]) -> Option<(Vec<u64>, Vec<u64>)> {
        let begin: Vec<u64> = start.iter().zip(&self.at).map(|(one, own)| *one.max(own)).collect();
        let ends = start.iter().zip(shape).zip(self.at.iter().zip(&self.shape));
        let end: Vec<u64> =
            ends.map(|((start, length), (at, own))| (start + length).min(at + own)).collect();
        begin.iter().zip(&end).all(|(begin, end)| begin < end).then_some((begin, end))
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
    /// Where it begins in the source, and its lengths.
    from: Vec<u64>,
    lengths: Vec<u64>,
    /// Bytes from one step of the source to the next where it goes.
    steps: Vec<usize>,
}

impl Mosaic {
    /// The parts in the order in which they were put together.
    pub fn new(sources: Vec<SourceArray>, parts: Vec<Part>, fill: Vec<u8>) -> Self {
        let rank = parts.first().map_or(1, |part| part.at.len());
        let places = |axis: &usize| {
            let mut starts: Vec<u64> = parts.iter().map(|part| part.at[*axis]).collect();
            starts.sort_unstable();
            starts.dedup();
            starts.len()
        };
        let axis = (0..rank).rev().max_by_key(places).unwrap_or(0);
        let mut order: Vec<usize> = (0..parts.len()).collect();
        order.sort_by_key(|part| parts[*part].at[axis]);
        let longest = parts.iter().map(|part| part.shape[axis]).max().unwrap_or(0);
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
        let rank = self.parts.first().map_or(0, |part| part.at.len());
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
                fits[axis] &= part.at[axis].abs_diff(part.from[own]).is_multiple_of(length);
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

    /// The parts that may have something of a box, in their order.
    fn near(&self, start: u64, length: u64) -> Vec<usize> {
        let begin = |part: &usize| self.parts[*part].at[self.axis];
        let first = self.order.partition_point(|part| begin(part) + self.longest <= start);
        let end = self.order.partition_point(|part| begin(part) < start + length);
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
        (start, shape): (&[u64], &[u64]),
        out: &mut [u8],
    ) -> Result<(), TileError> {
        let mut decoder = self.decoders.take().unwrap_or_default();
        let near = mosaic.near(start[mosaic.axis], shape[mosaic.axis]);
        let steps = strides(shape, self.element);
        let whole = start.iter().zip(shape).map(|(start, length)| start + length);
        let whole = (start.to_vec(), whole.collect::<Vec<_>>());
        let covers =
            |part: &usize| mosaic.parts[*part].within(start, shape).as_ref() == Some(&whole);
        if !near.iter().any(covers) {
            fill(out, &mosaic.fill);
        }
        let mut read = Ok(());
        for part in near.iter().map(|part| &mosaic.parts[*part]) {
            let Some((begin, end)) = part.within(start, shape) else { continue };
            let place = |axis: usize| (begin[axis] - start[axis]) as usize * steps[axis];
            let there: usize = (0..begin.len()).map(place).sum();
            let cut = Cut::of(part, &mosaic.sources[part.source], (&begin, &end), &steps);
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
        let axes = 0..table.chunk.len();
        let ranges = axes.clone().map(|axis| {
            let end = cut.from[axis] + cut.lengths[axis];
            cut.from[axis] / table.chunk[axis]..end.div_ceil(table.chunk[axis])
        });
        for place in Places::new(ranges.collect()) {
            let number =
                place.iter().zip(&table.grid).fold(0, |number, (step, all)| number * all + step);
            let corner = |axis: usize| place[axis] * table.chunk[axis];
            let begin = |axis: usize| corner(axis).max(cut.from[axis]);
            let end = |axis: usize| {
                (corner(axis) + table.chunk[axis]).min(cut.from[axis] + cut.lengths[axis])
            };
            let there: usize = axes
                .clone()
                .map(|axis| (begin(axis) - cut.from[axis]) as usize * cut.steps[axis])
                .sum();
            let is_all = axes.clone().all(|axis| {
                let length = end(axis) - begin(axis);
                length == table.chunk[axis] && (length == 1 || cut.steps[axis] == own[axis])
            });
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
                let first: usize = axes
                    .clone()
                    .map(|axis| (begin(axis) - corner(axis)) as usize * own[axis])
                    .sum();
                let along = axes.clone().map(|axis| Axis {
                    steps: (end(axis) - begin(axis)) as usize,
                    from: own[axis],
                    to: cut.steps[axis],
                });
                copy(&whole[first..], &mut out[there..], &along.collect::<Vec<_>>(), element);
            });
            decoder.whole = whole;
            decoded.map_err(|trouble| match trouble {
                TileError::Damaged(reason) => {
                    let corner: Vec<String> =
                        axes.clone().map(|axis| corner(axis).to_string()).collect();
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
    fn of(
        part: &Part,
        source: &'a SourceArray,
        (begin, end): (&[u64], &[u64]),
        steps: &[usize],
    ) -> Self {
        let each = part.axes.iter().zip(&part.from).map(|(axis, from)| match *axis {
            None => (*from, 1, 0),
            Some(axis) => {
                (from + begin[axis] - part.at[axis], end[axis] - begin[axis], steps[axis])
            }
        });
        let (mut from, mut lengths, mut to) = (Vec::new(), Vec::new(), Vec::new());
        for (start, length, step) in each {
            from.push(start);
            lengths.push(length);
            to.push(step);
        }
        Self { source, from, lengths, steps: to }
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
        let rank = own.len();
        // The axes behind this one are read whole.
        let mut cut = rank.saturating_sub(1);
        while cut > 0 && self.lengths[cut] == self.source.shape[cut] {
            cut -= 1;
        }
        let stretch = self.lengths[cut..].iter().product::<u64>() as usize * element;
        let is_direct =
            (cut..rank).all(|axis| self.lengths[axis] == 1 || self.steps[axis] == own[axis]);
        let mut aside = vec![0; if is_direct { 0 } else { stretch }];
        let inner: Vec<Axis> = (cut..rank)
            .map(|axis| Axis {
                steps: self.lengths[axis] as usize,
                from: own[axis],
                to: self.steps[axis],
            })
            .collect();
        let outer: u64 = self.lengths[..cut].iter().product();
        for number in 0..outer {
            let steps = crate::view::steps(&self.lengths[..cut], number);
            let step = |axis: usize| steps.get(axis).copied().unwrap_or(0);
            let start = (0..rank)
                .map(|axis| (self.from[axis] + step(axis)) * own[axis] as u64)
                .fold(offset, |sum, bytes| sum + bytes);
            let there: usize = (0..cut).map(|axis| step(axis) as usize * self.steps[axis]).sum();
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
        let part = |shape: &[u64], lengths: &[u64]| {
            let zeros = |count| vec![0; count];
            Part::new(0, (zeros(shape.len()), shape.to_vec()), (zeros(lengths.len()), lengths))
        };
        let axes = |shape: &[u64], lengths: &[u64]| part(shape, lengths).map(|part| part.axes);
        assert_eq!(axes(&[1, 4, 5], &[4, 5]), Some(vec![Some(1), Some(2)]));
        assert_eq!(axes(&[4, 5], &[4, 1, 5]), Some(vec![Some(0), None, Some(1)]));
        assert_eq!(axes(&[20], &[4, 5]), None);
        assert_eq!(axes(&[4, 5], &[4]), None);
    }

    #[test]
    fn only_parts_near_a_box_are_looked_at_in_their_order() {
        let part = |at: u64, length: u64| {
            Part::new(0, (vec![0, at], vec![2, length]), (vec![0, 0], &[2, length]))
        };
        let parts = [(6, 2), (0, 4), (4, 2), (3, 2)].map(|(at, length)| part(at, length).unwrap());
        let mosaic = Mosaic::new(Vec::new(), parts.to_vec(), vec![0]);
        assert_eq!(mosaic.axis, 1);
        assert_eq!(mosaic.near(3, 2), [1, 2, 3]);
        assert_eq!(mosaic.near(7, 5), [0, 2]);
        let within: Vec<usize> = mosaic
            .near(5, 1)
            .into_iter()
            .filter(|part| mosaic.parts[*part].within(&[0, 5], &[2, 1]).is_some())
            .collect();
        assert_eq!(within, [2]);
    }
}
