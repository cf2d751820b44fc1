//! Compressing a results dataset: another one, chunked and with filters, is written beside it and
//! takes its place, all in the caller's transaction.
//!
//! Chunks are encoded without HDF5, by as many workers as the caller has, and handed to it as they
//! are to be stored. When that is done and by whom is the engine's business.

use std::ops::Range;

use serde::Deserialize;

use super::super::container::{Dataset, Group};
use super::super::filters::{Pipeline, Scratch};
use super::super::open_file::OpenFile;
use super::super::refused::Refused;
use super::super::rows::{Rows, Stored};
use super::replace::{SecondNames, replace};
use crate::region;
use crate::view::View;
use pixelmill_core::error::Result;

/// Bytes of a chunk of results.
pub(crate) const CHUNK_BYTES: usize = 1 << 20;

const SHUFFLE: (i32, &[u32]) = (2, &[]);
const GZIP: (i32, &[u32]) = (1, &[4]);
const ZSTD: (i32, &[u32]) = (32015, &[3]);

/// How finished results are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// They stay as they are.
    #[default]
    None,
    /// Shuffle and gzip, which every HDF5 library reads.
    Gzip,
    /// Shuffle and Zstandard: faster and smaller, but readers need a plugin.
    Zstd,
}

impl Compression {
    fn filters(self) -> &'static [(i32, &'static [u32])] {
        match self {
            Self::None => &[],
            Self::Gzip => &[SHUFFLE, GZIP],
            Self::Zstd => &[SHUFFLE, ZSTD],
        }
    }
}

/// Whether a dataset is compressed in this way, or none is asked for.
pub(crate) fn is_compressed(dataset: &Dataset, compression: Compression) -> bool {
    let wanted = compression.filters().iter().map(|(id, _)| *id);
    compression == Compression::None
        || dataset.filters().is_ok_and(|found| found.iter().map(|filter| filter.id).eq(wanted))
}

/// The chunks that a dataset is cut into: each is one stretch of its values, of some `positions`,
/// which are steps of the axes up to the one that is cut.
#[derive(Debug, PartialEq, Eq)]
struct Cut {
    shape: Vec<usize>,
    chunk: Vec<usize>,
    /// The axis that is cut; a chunk has one step of those before and all of those after it.
    axis: usize,
}

impl Cut {
    fn new(shape: &[usize], element: usize) -> Self {
        let step = |axis: usize| shape[axis + 1..].iter().product::<usize>() * element;
        let axis = (0..shape.len()).find(|axis| step(*axis) <= CHUNK_BYTES).unwrap_or(0);
        let mut chunk = shape.to_vec();
        chunk[..axis].fill(1);
        chunk[axis] = (CHUNK_BYTES / step(axis).max(1)).clamp(1, shape[axis].max(1));
        Self { shape: shape.to_vec(), chunk, axis }
    }

    /// The values as rows, one for each step of the axes up to the one that is cut.
    fn view(&self) -> View {
        View::new(region::lengths(&self.shape), (0..=self.axis).collect())
    }

    fn chunks_per_step(&self) -> u64 {
        self.shape[self.axis].div_ceil(self.chunk[self.axis]) as u64
    }

    fn count(&self) -> u64 {
        let before: usize = self.shape[..self.axis].iter().product();
        before as u64 * self.chunks_per_step()
    }

    /// The positions of a chunk.
    fn positions(&self, number: u64) -> Range<u64> {
        let (all, length) = (self.shape[self.axis] as u64, self.chunk[self.axis] as u64);
        let (before, at) = (number / self.chunks_per_step(), number % self.chunks_per_step());
        before * all + at * length..before * all + all.min((at + 1) * length)
    }

    /// Its first step on each axis.
    fn start(&self, number: u64) -> Vec<u64> {
        let shape = region::lengths(&self.shape[..=self.axis]);
        let mut start = region::steps(&shape, self.positions(number).start);
        start.resize(self.shape.len(), 0);
        start
    }
}

/// Buffers of a worker that encodes, to be used again for each chunk.
#[derive(Default)]
pub(crate) struct EncodingBuffers {
    plain: Vec<u8>,
    scratch: Scratch,
}

/// A chunk as it is to be stored.
pub(crate) struct EncodedChunk {
    number: u64,
    /// The filters that are left out.
    mask: u32,
    bytes: Vec<u8>,
}

/// Where the values of a dataset of a file lie; nothing if that isn't sure.
pub(super) fn room(file: &Group, rows: &Rows) -> Vec<Range<u64>> {
    match rows.stored() {
        Stored::Extent(offset) => std::iter::once(offset..offset + rows.bytes()).collect(),
        // Versions of HDF5 differ in whether chunks are counted from the end of a user block.
        Stored::Chunks(_) if file.has_user_block() => Vec::new(),
        Stored::Chunks(chunks) => {
            chunks.iter().map(|chunk| chunk.address..chunk.address + chunk.size).collect()
        }
        Stored::Elsewhere => Vec::new(),
    }
}

/// What took the place of what.
pub(crate) struct Replaced {
    /// Where the old values lie, which nothing refers to any more after the commit.
    pub old: Vec<Range<u64>>,
    /// Bytes of the new chunks.
    pub bytes: u64,
}

/// A results dataset while it is compressed.
pub(crate) struct Compressor<'a> {
    file: &'a Group,
    second_names: SecondNames,
    group: Group,
    name: &'a str,
    temporary: String,
    new: Dataset,
    cut: Cut,
    rows: Rows,
    pipeline: Pipeline,
    fill: Vec<u8>,
    bytes_before: u64,
}

impl<'a> Compressor<'a> {
    /// Begins to compress the dataset `name` of the group `group`, which nothing else in the file
    /// refers to. The file is open in a transaction, and as `opened`.
    ///
    /// # Errors
    /// If the container or the disk fails.
    pub fn begin(
        (file, second_names): (&'a Group, SecondNames),
        opened: OpenFile<'_>,
        (group, name): (&str, &'a str),
        compression: Compression,
    ) -> Result<Self> {
        let refused = |refused: Refused| {
            refused.on_object("compress", opened.path, &format!("{group}/{name}"))
        };
        let group = file.group(group).map_err(refused)?;
        let old = group.dataset(name).map_err(refused)?;
        let element = old.element_bytes();
        let cut = Cut::new(&old.shape(), element);
        let rows = Rows::new(opened, &old, cut.view())?;
        let fill = old.fill_value().map_err(refused)?;
        let bytes_before = old.storage_size();
        let temporary = format!("{name}_being_compressed");
        let filters = compression.filters();
        let new =
            group.create_filtered(&temporary, &old, &cut.chunk, &fill, filters).map_err(refused)?;
        let filters = new.filters().map_err(refused)?;
        let pipeline = Pipeline::new(&filters, element)
            .map_err(|unknown| refused(unknown.to_string().into()))?;
        Ok(Self {
            file,
            second_names,
            group,
            name,
            temporary,
            new,
            cut,
            rows,
            pipeline,
            fill,
            bytes_before,
        })
    }

    /// Bytes that the values take in the file before.
    pub fn bytes_before(&self) -> u64 {
        self.bytes_before
    }

    /// How many chunks there are.
    pub fn count(&self) -> u64 {
        self.cut.count()
    }

    /// Most bytes that a worker takes, with one chunk that waits to be written.
    pub fn worker_bytes(&self) -> u64 {
        let chunk = self.cut.chunk.iter().product::<usize>() * self.fill.len();
        let encoded = 2 * chunk + 4096;
        let reading =
            self.rows.tiles().map_or(0, |tiles| tiles.worker_bytes() + 2 * tiles.tile_bytes());
        (chunk + 3 * encoded + self.pipeline.scratch_bytes(chunk)) as u64 + reading
    }

    /// Reads a chunk and encodes it; may be called by many threads at a time.
    ///
    /// # Errors
    /// If its values can't be read.
    pub fn encode(&self, number: u64, buffers: &mut EncodingBuffers) -> Result<EncodedChunk> {
        let positions = self.cut.positions(number);
        let row_bytes = self.rows.row_bytes();
        let bytes = (positions.end - positions.start) as usize * row_bytes;
        let plain = &mut buffers.plain;
        plain.resize(self.cut.chunk[self.cut.axis] * row_bytes, 0);
        self.rows.read_into(std::slice::from_ref(&positions), &mut plain[..bytes])?;
        for element in plain[bytes..].chunks_exact_mut(self.fill.len()) {
            element.copy_from_slice(&self.fill);
        }
        let encoded = self.pipeline.encode(plain, &mut buffers.scratch);
        Ok(match encoded {
            Ok(bytes) if bytes.len() < plain.len() => EncodedChunk { number, mask: 0, bytes },
            // What doesn't become smaller is stored as it is; HDF5 does the same.
            _ => EncodedChunk { number, mask: u32::MAX, bytes: plain.clone() },
        })
    }

    /// Stores a chunk.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn write(&self, chunk: &EncodedChunk) -> Result<(), Refused> {
        self.new.write_chunk(&self.cut.start(chunk.number), chunk.mask, &chunk.bytes)
    }

    /// Puts the compressed dataset in the place of the other once all chunks are stored.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn finish(self) -> Result<Replaced, Refused> {
        let old = room(self.file, &self.rows);
        let bytes = self.new.storage_size();
        replace((self.file, self.second_names), &self.group, self.name, &self.temporary)?;
        Ok(Replaced { old, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn chunks_have_about_a_mebibyte() {
        for (shape, chunk) in [
            (&[4096, 119][..], &[1101, 119][..]),
            (&[10], &[10]),
            (&[1 << 20], &[131_072]),
            (&[30, 50, 4], &[30, 50, 4]),
            (&[100, 1000, 400], &[1, 327, 400]),
            (&[5, 1 << 18], &[1, 131_072]),
        ] {
            assert_eq!(Cut::new(shape, 8).chunk, chunk, "{shape:?}");
        }
    }

    proptest! {
        #[test]
        fn chunks_follow_each_other_and_leave_nothing_out(
            shape in prop::collection::vec(1usize..40, 1..4),
            element in 1usize..100_000,
        ) {
            let cut = Cut::new(&shape, element);
            let view = cut.view();
            let mut next = 0;
            for number in 0..cut.count() {
                let positions = cut.positions(number);
                prop_assert_eq!(positions.start, next);
                prop_assert!(positions.end > next);
                next = positions.end;
                let start = cut.start(number);
                let on_grid = start.iter().zip(&cut.chunk).all(|(at, chunk)| at % *chunk as u64 == 0);
                prop_assert!(on_grid, "{:?} in {:?}", start, cut);
                let first = region::number(&region::lengths(&shape[..=cut.axis]), &start[..=cut.axis]);
                prop_assert_eq!(first, positions.start);
            }
            prop_assert_eq!(next, view.count());
        }
    }
}
