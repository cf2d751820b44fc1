//! A dataset whose rows don't lie side by side, read tile by tile.
//!
//! A tile is a box of the array that is read at once: a stored chunk, a stretch of a contiguous dataset
//! whose positions aren't its first axes, a part of a virtual dataset (`mosaic`), or what one call of the HDF5
//! library gives where only that can read. `block` puts the tiles of some positions together. Which positions make a block,
//! and how many blocks there may be at a time, is the plan's decision.

mod block;
mod copy;
mod mosaic;
mod pool;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hdf5::Dataset;

pub(crate) use block::Block;
use copy::{Axis, copy, strides};
pub(crate) use mosaic::{Mosaic, Part, SourceArray};
use pool::Pool;

use super::chunk_table::ChunkTable;
use super::filters::{Pipeline, Scratch, most_stored};
use super::raw_file::RawFile;
use super::{library, transaction};
use crate::error::{Error, Result};
use crate::view::{Bounds, View};

/// Bytes of a tile where nothing but we decide: enough that a call doesn't count.
const TILE_BYTES: u64 = 1 << 20;
/// Bytes of all tiles that the positions of one tile need, where nothing but we decide.
const CELL_BYTES: u64 = 32 << 20;

/// Where the bytes of tiles come from.
pub(crate) enum Kind {
    Chunks { table: ChunkTable, pipeline: Pipeline, fill: Vec<u8> },
    Extent { offset: u64 },
    Mosaic(Mosaic),
    Library { dataset: Dataset, why: String, is_chunked: bool },
}

impl Kind {
    /// Whether every value is known to have been written, so that none is a fill value.
    pub fn is_whole(&self) -> bool {
        match self {
            Self::Chunks { table, .. } => {
                table.chunks.len() as u64 == table.grid.iter().product::<u64>()
            }
            Self::Extent { .. } => true,
            Self::Mosaic(_) | Self::Library { .. } => false,
        }
    }
}

/// A dataset as tiles.
pub(crate) struct Tiles {
    /// Where they lie; the first file is that of the dataset itself.
    files: Vec<Arc<RawFile>>,
    pub dataset: String,
    pub view: View,
    pub kind: Kind,
    /// Bytes of one element.
    pub element: usize,
    /// Length of a tile on each axis of the array.
    pub tile: Vec<u64>,
    /// Chunks that were decoded so far.
    pub decoded: AtomicU64,
    decoders: Pool<Decoder>,
    buffers: Pool<Vec<u8>>,
}

/// What a worker needs while it reads a chunk.
#[derive(Default)]
struct Decoder {
    stored: Vec<u8>,
    whole: Vec<u8>,
    scratch: Scratch,
}

/// Why a tile can't be read.
#[derive(Clone, Debug)]
enum TileError {
    /// Its positions have no data; the others may have.
    Damaged(String),
    /// Nothing can be read.
    Io { file: usize, needed: u64, error: Arc<io::Error> },
}

/// The part of a tile that some positions need.
struct Piece {
    bytes: Vec<u8>,
    /// Where it begins in the dataset, and its shape.
    start: Vec<u64>,
    shape: Vec<u64>,
}

impl Tiles {
    /// The tiles of a dataset.
    pub fn new(
        files: &[Arc<RawFile>],
        dataset: String,
        view: View,
        kind: Kind,
        element: usize,
    ) -> Self {
        let tile = match &kind {
            Kind::Chunks { table, .. } => table.chunk.clone(),
            Kind::Library { dataset, is_chunked: true, .. } => {
                let lengths = dataset.chunk().unwrap_or_else(|| dataset.shape());
                lengths.into_iter().map(|length| length as u64).collect()
            }
            Kind::Mosaic(mosaic) => mosaic.tile(&view, element as u64),
            _ => stretch(&view, element as u64),
        };
        Self {
            files: files.to_vec(),
            dataset,
            view,
            kind,
            element,
            tile,
            decoded: AtomicU64::new(0),
            decoders: Pool::default(),
            buffers: Pool::default(),
        }
    }

    /// Steps that a tile has on each axis of the scan, slowest first.
    pub fn cell(&self) -> Vec<u64> {
        self.view.positions.iter().map(|axis| self.tile[*axis]).collect()
    }

    /// Bytes that one position takes in a block: of chunks also what lies past the edges of the
    /// dataset is kept.
    pub fn block_row_bytes(&self) -> u64 {
        let padded = matches!(self.kind, Kind::Chunks { .. });
        let lengths = self.view.spectrum.iter().map(|axis| {
            let (length, tile) = (self.view.shape[*axis], self.tile[*axis]);
            if padded { length.next_multiple_of(tile) } else { length }
        });
        lengths.product::<u64>() * self.element as u64
    }

    /// Bytes that a worker needs in order to read a tile, besides the block.
    pub fn worker_bytes(&self) -> u64 {
        let tile = self.tile_bytes();
        match &self.kind {
            Kind::Chunks { table, pipeline, .. } => {
                table.largest().min(most_stored(tile))
                    + pipeline.scratch_bytes(tile as usize) as u64
                    + tile
            }
            Kind::Mosaic(mosaic) => mosaic.worker_bytes(self.element as u64) + tile,
            Kind::Library { is_chunked: true, .. } => 2 * tile,
            _ => 0,
        }
    }

    /// Whether a tile can only be read whole, however few of its positions are wanted.
    pub fn are_indivisible(&self) -> bool {
        match &self.kind {
            Kind::Chunks { .. } | Kind::Library { is_chunked: true, .. } => true,
            Kind::Mosaic(mosaic) => mosaic.has_chunks(),
            Kind::Extent { .. } | Kind::Library { .. } => false,
        }
    }

    /// How many tiles the positions of one tile need.
    pub fn per_cell(&self) -> u64 {
        let grid = self.grid();
        self.view.spectrum.iter().map(|axis| grid[*axis]).product()
    }

    /// Bytes of one tile.
    pub fn tile_bytes(&self) -> u64 {
        self.tile.iter().product::<u64>() * self.element as u64
    }

    fn grid(&self) -> Vec<u64> {
        let axes = self.view.shape.iter().zip(&self.tile);
        axes.map(|(length, tile)| length.div_ceil(*tile)).collect()
    }

    /// Reads what positions within `bounds` need of the tile at `place` in the grid of tiles.
    fn read_piece(&self, place: &[u64], bounds: &Bounds) -> Result<Piece, TileError> {
        let (start, shape) = self.region(place, bounds);
        match &self.kind {
            Kind::Chunks { table, pipeline, fill } => {
                self.read_chunk((table, pipeline, fill), place, (start, shape))
            }
            Kind::Extent { offset } => {
                let mut bytes = self.buffer(&shape);
                let length = self.bytes_of(&shape);
                self.read_extent(*offset, &start, &shape, &mut bytes[..length])?;
                Ok(Piece { bytes, start, shape })
            }
            Kind::Mosaic(mosaic) => {
                let mut bytes = self.buffer(&shape);
                let length = self.bytes_of(&shape);
                self.read_mosaic(mosaic, (&start, &shape), &mut bytes[..length])?;
                Ok(Piece { bytes, start, shape })
            }
            Kind::Library { dataset, is_chunked, .. } => {
                let mut bytes = self.buffer(&shape);
                let length = self.bytes_of(&shape);
                library::read_box(dataset, &start, &shape, &mut bytes[..length]).map_err(
                    |error| {
                        let reason =
                            Error::dataset("read", &self.files[0].path, &self.dataset, &error)
                                .to_string();
                        if *is_chunked {
                            TileError::Damaged(self.damage(place, &reason))
                        } else {
                            TileError::Damaged(reason)
                        }
                    },
                )?;
                // Of a virtual dataset HDF5 takes what it can't open for fill values.
                if !is_chunked && let Some(error) = transaction::trouble(dataset) {
                    return Err(TileError::Io { file: 0, needed: 0, error: Arc::new(error) });
                }
                self.decoded.fetch_add(u64::from(*is_chunked), Ordering::Relaxed);
                Ok(Piece { bytes, start, shape })
            }
        }
    }

    /// The part of a tile within the dataset and, on the axes of the scan, within `bounds`.
    fn region(&self, place: &[u64], bounds: &Bounds) -> (Vec<u64>, Vec<u64>) {
        let axes = place.iter().zip(&self.tile).zip(&self.view.shape);
        let (mut start, mut end): (Vec<u64>, Vec<u64>) = axes
            .map(|((step, tile), length)| (step * tile, (*length).min((step + 1) * tile)))
            .unzip();
        for (axis, range) in self.view.positions.iter().zip(bounds) {
            start[*axis] = start[*axis].max(range.start);
            end[*axis] = end[*axis].min(range.end);
        }
        let shape = start.iter().zip(&end).map(|(start, end)| end - start).collect();
        (start, shape)
    }

    fn read_chunk(
        &self,
        (table, pipeline, fill): (&ChunkTable, &Pipeline, &[u8]),
        place: &[u64],
        (start, shape): (Vec<u64>, Vec<u64>),
    ) -> Result<Piece, TileError> {
        let corner: Vec<u64> =
            place.iter().zip(&self.tile).map(|(step, tile)| step * tile).collect();
        let number =
            place.iter().zip(&table.grid).fold(0, |number, (step, count)| number * count + step);
        let mut decoder = self.decoders.take().unwrap_or_default();
        let tile_bytes = self.tile_bytes() as usize;
        let wanted = self.view.positions.iter().all(|axis| {
            let inside = self.tile[*axis].min(self.view.shape[*axis] - corner[*axis]);
            shape[*axis] == inside
        });
        let mut whole =
            if wanted { self.buffer(&self.tile) } else { std::mem::take(&mut decoder.whole) };
        whole.resize(tile_bytes.max(whole.len()), 0);
        let out = &mut whole[..tile_bytes];
        let filled = self.decode((table, pipeline, fill), 0, number, &mut decoder, out);
        let piece = filled.map(|()| {
            if wanted {
                return Piece {
                    bytes: std::mem::take(&mut whole),
                    start: corner.clone(),
                    shape: self.tile.clone(),
                };
            }
            let bytes = self.crop(&whole, (&corner, &self.tile), (&start, &shape));
            Piece { bytes, start, shape }
        });
        match (wanted, piece.is_ok()) {
            (false, _) => decoder.whole = whole,
            (true, false) => self.buffers.give(whole),
            (true, true) => {}
        }
        self.decoders.give(decoder);
        piece.map_err(|trouble| match trouble {
            TileError::Damaged(reason) => TileError::Damaged(self.damage(place, &reason)),
            other => other,
        })
    }

    /// Names a chunk by its place in the dataset.
    fn damage(&self, place: &[u64], reason: &str) -> String {
        let corner: Vec<String> =
            place.iter().zip(&self.tile).map(|(step, tile)| (step * tile).to_string()).collect();
        format!("chunk ({}) of the source is damaged: {reason}", corner.join(", "))
    }

    /// The part of a tile that begins at `start`.
    fn crop(
        &self,
        whole: &[u8],
        (corner, tile): (&[u64], &[u64]),
        (start, shape): (&[u64], &[u64]),
    ) -> Vec<u8> {
        let mut bytes = self.buffer(shape);
        let (from, to) = (strides(tile, self.element), strides(shape, self.element));
        let begin: usize =
            (0..tile.len()).map(|axis| (start[axis] - corner[axis]) as usize * from[axis]).sum();
        let axes: Vec<Axis> = (0..tile.len())
            .map(|axis| Axis { steps: shape[axis] as usize, from: from[axis], to: to[axis] })
            .collect();
        copy(&whole[begin..], &mut bytes, &axes, self.element);
        bytes
    }

    /// Reads a box of a contiguous dataset, each stretch that lies in one piece by one call.
    fn read_extent(
        &self,
        offset: u64,
        start: &[u64],
        shape: &[u64],
        mut out: &mut [u8],
    ) -> Result<(), TileError> {
        let all = &self.view.shape;
        // The axes behind this one are read whole.
        let mut cut = all.len() - 1;
        while cut > 0 && shape[cut] == all[cut] {
            cut -= 1;
        }
        let stretch = self.bytes_of(&shape[cut..]);
        let strides = strides(all, self.element);
        let outer: u64 = shape[..cut].iter().product();
        for number in 0..outer {
            let steps = crate::view::steps(&shape[..cut], number);
            let place: u64 = (0..all.len())
                .map(|axis| {
                    (start[axis] + steps.get(axis).copied().unwrap_or(0)) * strides[axis] as u64
                })
                .sum();
            let (part, rest) = out.split_at_mut(stretch);
            let start = offset + place;
            self.files[0].read_exact_at(part, start).map_err(|error| {
                let needed = start + stretch as u64;
                TileError::Io { file: 0, needed, error: Arc::new(error) }
            })?;
            out = rest;
        }
        Ok(())
    }

    /// Tells the system that the chunks of these positions will be read soon.
    fn announce(&self, bounds: &Bounds) {
        let Kind::Chunks { table, .. } = &self.kind else { return };
        for place in Places::new(self.tile_ranges(bounds)) {
            let number = place
                .iter()
                .zip(&table.grid)
                .fold(0, |number, (step, count)| number * count + step);
            let Some(chunk) = table.find(number) else { continue };
            self.files[0].announce(chunk.address, chunk.size);
        }
    }

    /// The tiles that positions within `bounds` need: a range on each axis of the grid of tiles.
    fn tile_ranges(&self, bounds: &Bounds) -> Bounds {
        let mut ranges: Bounds = self.grid().into_iter().map(|count| 0..count).collect();
        for (axis, range) in self.view.positions.iter().zip(bounds) {
            let tile = self.tile[*axis];
            ranges[*axis] = range.start / tile..range.end.div_ceil(tile);
        }
        ranges
    }

    fn bytes_of(&self, shape: &[u64]) -> usize {
        shape.iter().product::<u64>() as usize * self.element
    }

    /// A buffer for a box of this shape; its content is whatever it was.
    fn buffer(&self, shape: &[u64]) -> Vec<u8> {
        let length = self.bytes_of(shape);
        match self.buffers.take() {
            Some(mut buffer) => {
                buffer.resize(length.max(buffer.len()), 0);
                buffer
            }
            None => vec![0; length],
        }
    }

    fn error(&self, trouble: TileError) -> Error {
        match trouble {
            TileError::Damaged(reason) => {
                let path = self.files[0].path.clone();
                Error::Damaged { path, dataset: self.dataset.clone(), reason }
            }
            TileError::Io { file, needed, error } => {
                self.files[file].failed(needed, crate::error::copy(&error))
            }
        }
    }
}

/// Tiles of a contiguous dataset: in one stretch each as far as the limits let it.
fn stretch(view: &View, element: u64) -> Vec<u64> {
    let row = view.points() * element;
    let mut positions_left = (CELL_BYTES / row.max(1)).max(1);
    let mut bytes_left = (TILE_BYTES / element).max(1);
    let mut tile = vec![1; view.shape.len()];
    for (axis, length) in view.shape.iter().enumerate().rev() {
        let is_position = view.positions.contains(&axis);
        let most = if is_position { bytes_left.min(positions_left) } else { bytes_left };
        tile[axis] = (*length).min(most.max(1));
        bytes_left /= tile[axis];
        if is_position {
            positions_left /= tile[axis];
        }
    }
    tile
}

/// All places of a grid within ranges, the last axis running fastest.
struct Places {
    ranges: Bounds,
    next: u64,
    count: u64,
}

impl Places {
    fn new(ranges: Bounds) -> Self {
        let count = crate::view::volume(&ranges);
        Self { ranges, next: 0, count }
    }
}

impl Iterator for Places {
    type Item = Vec<u64>;

    fn next(&mut self) -> Option<Vec<u64>> {
        if self.next == self.count {
            return None;
        }
        let shape: Vec<u64> = self.ranges.iter().map(|range| range.end - range.start).collect();
        let steps = crate::view::steps(&shape, self.next);
        self.next += 1;
        Some(steps.iter().zip(&self.ranges).map(|(step, range)| step + range.start).collect())
    }
}
