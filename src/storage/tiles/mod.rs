//! A dataset whose rows don't lie side by side, read tile by tile.
//!
//! A tile is a box of the array that is read at once: a stored chunk (`chunked`), a stretch of a
//! contiguous dataset whose positions aren't its first axes (`contiguous`), a part of a virtual
//! dataset (`mosaic`), or what one call of the HDF5 library gives where only that can read
//! (`through_library`); each is a `Way`. `block` puts the tiles of some positions together. Which
//! positions make a block, and how many blocks there may be at a time, is the plan's decision.

mod block;
mod chunked;
mod contiguous;
pub(crate) mod copy;
mod mosaic;
mod part;
mod pool;
mod shelf;
mod way;

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

pub(crate) use block::Block;
pub(crate) use chunked::Chunked;
pub(crate) use contiguous::Contiguous;
use copy::{Axis, copy};
pub(crate) use mosaic::{Mosaic, Part, SourceArray};
pub(crate) use part::TilePart;
use pool::Pool;
pub(crate) use shelf::Shelf;
pub use way::Reading;
pub(crate) use way::{Stored, Way};
pub(in crate::storage) use way::{same_kind, stretch};

use super::filters::Scratch;
use super::raw_file::RawFile;
use crate::region::{Region, strides};
use crate::view::View;
use pixelmill_core::chunk_io::ReadChunk;
use pixelmill_core::error::{Error, Result};

/// A dataset as tiles.
pub(crate) struct Tiles {
    /// Where they lie; the first file is that of the dataset itself.
    pub(in crate::storage) files: Vec<Arc<RawFile>>,
    pub dataset: String,
    pub view: View,
    pub way: Box<dyn Way>,
    /// Bytes of one element.
    pub element: usize,
    /// Those of them that come into rows: all, but of records of which one field is wanted.
    value: Range<usize>,
    /// Length of a tile on each axis of the array.
    pub tile: Vec<u64>,
    /// Chunks that were decoded so far.
    pub decoded: AtomicU64,
    decoders: Pool<Decoder>,
    buffers: Pool<Vec<u8>>,
}

/// What the positions of a portion of a run are read from, where rows don't lie side by side.
pub(crate) trait PortionReader: ReadChunk {
    /// Whether a worker who comes now would only wait for others. It may be wrong the next moment,
    /// which costs a wait and nothing else.
    fn is_busy(&self) -> bool;
}

/// What a worker needs while it reads a chunk.
#[derive(Default)]
pub(crate) struct Decoder {
    stored: Vec<u8>,
    whole: Vec<u8>,
    scratch: Scratch,
}

/// Why a tile can't be read.
#[derive(Clone, Debug)]
pub(crate) enum TileError {
    /// Its positions have no data; the others may have.
    Damaged(String),
    /// Nothing can be read.
    Io { file: usize, needed: u64, error: Arc<io::Error> },
}

/// The part of a tile that some positions need.
pub(crate) struct LoadedTile {
    bytes: Vec<u8>,
    /// Where it lies in the dataset.
    region: Region,
}

impl Tiles {
    /// The tiles of a dataset, with the bytes of an element and those of them that are its value.
    pub fn new(
        files: &[Arc<RawFile>],
        dataset: String,
        view: View,
        way: Box<dyn Way>,
        (element, value): (usize, Range<usize>),
    ) -> Self {
        let tile = way.tile(&view, element as u64);
        Self {
            files: files.to_vec(),
            dataset,
            view,
            way,
            element,
            value,
            tile,
            decoded: AtomicU64::new(0),
            decoders: Pool::default(),
            buffers: Pool::default(),
        }
    }

    /// Bytes of a row.
    fn row_bytes(&self) -> usize {
        self.view.points() as usize * self.value.len()
    }

    /// Bytes of a row as it is read, before it is arranged.
    fn read_bytes(&self) -> usize {
        self.view.read_points() as usize * self.value.len()
    }

    /// Steps that a tile has on each axis of the scan, slowest first.
    pub fn cell(&self) -> Vec<u64> {
        self.view.positions.iter().map(|axis| self.tile[*axis]).collect()
    }

    /// Bytes that one position takes in a block: of chunks also what lies past the edges of the
    /// dataset is kept.
    pub fn block_row_bytes(&self) -> u64 {
        let extent = self.view.extent();
        let lengths = self.view.spectrum.iter().map(|axis| {
            let (range, tile) = (extent.range(*axis), self.tile[*axis]);
            if self.way.keeps_edges() {
                range.end.next_multiple_of(tile) - range.start / tile * tile
            } else {
                range.end - range.start
            }
        });
        lengths.product::<u64>() * self.element as u64
    }

    /// Bytes that a worker needs in order to read a tile, besides the block.
    pub fn worker_bytes(&self) -> u64 {
        self.way.worker_bytes(self.tile_bytes(), self.element as u64)
    }

    /// Whether a tile can only be read whole, however few of its positions are wanted.
    pub fn are_indivisible(&self) -> bool {
        self.way.is_indivisible()
    }

    /// How many tiles the positions of one tile need.
    pub fn per_cell(&self) -> u64 {
        let grid = self.view.extent().tiles(&self.tile);
        self.view.spectrum.iter().map(|axis| grid.shape[*axis]).product()
    }

    /// Bytes of one tile.
    pub fn tile_bytes(&self) -> u64 {
        self.tile.iter().product::<u64>() * self.element as u64
    }

    /// Where a tile lies in the dataset, with what lies past the edges.
    fn tile_at(&self, place: &[u64]) -> Region {
        Region::of_tile(place, &self.tile)
    }

    /// The part of the dataset that belongs to some positions.
    fn region_of(&self, positions: &Region) -> Region {
        let mut region = self.view.extent();
        for (number, axis) in self.view.positions.iter().enumerate() {
            region.set_range(*axis, &positions.range(number));
        }
        region
    }

    /// Reads what some positions need of the tile at `place` in the grid of tiles.
    fn load_tile(&self, place: &[u64], positions: &Region) -> Result<LoadedTile, TileError> {
        let wanted = self.tile_at(place).intersection(&self.region_of(positions));
        let region = wanted.expect("only tiles that some of the positions need are read");
        self.way.load(self, place, region)
    }

    /// A part of a tile that `read` reads.
    pub(in crate::storage) fn filled(
        &self,
        region: Region,
        read: impl FnOnce(&Region, &mut [u8]) -> Result<(), TileError>,
    ) -> Result<LoadedTile, TileError> {
        let mut bytes = self.buffer(&region.shape);
        let length = self.bytes_of(&region.shape);
        read(&region, &mut bytes[..length])?;
        Ok(LoadedTile { bytes, region })
    }

    /// Names a chunk by its place in the dataset.
    pub(in crate::storage) fn damage(&self, place: &[u64], reason: &str) -> String {
        let corner: Vec<String> = self.tile_at(place).start.iter().map(u64::to_string).collect();
        format!("chunk ({}) of the source is damaged: {reason}", corner.join(", "))
    }

    /// A part of a tile.
    fn crop(&self, whole: &[u8], tile: &Region, part: &Region) -> Vec<u8> {
        let mut bytes = self.buffer(&part.shape);
        let own = strides(&tile.shape, self.element);
        let there = strides(&part.shape, self.element);
        let lengths = part.shape.iter().zip(own.iter().zip(&there));
        let axes: Vec<Axis> = lengths
            .map(|(steps, (from, to))| Axis { steps: *steps as usize, from: *from, to: *to })
            .collect();
        copy(&whole[part.offset_in(tile, &own)..], &mut bytes, &axes, self.element);
        bytes
    }

    /// The tiles that some positions need, as a part of the grid of tiles.
    fn tiles_of(&self, positions: &Region) -> Region {
        self.region_of(positions).tiles(&self.tile)
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

    fn error(&self, error: TileError) -> Error {
        match error {
            TileError::Damaged(reason) => {
                let path = self.files[0].path.clone();
                Error::Damaged { path, dataset: self.dataset.clone(), reason }
            }
            TileError::Io { file, needed, error } => {
                self.files[file].failed(needed, pixelmill_core::error::copy(&error))
            }
        }
    }
}
