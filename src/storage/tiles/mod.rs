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
use copy::{Axis, copy};
pub(crate) use mosaic::{Mosaic, Part, SourceArray};
use pool::Pool;

use super::chunk_table::ChunkTable;
use super::filters::{Pipeline, Scratch, most_stored};
use super::raw_file::RawFile;
use super::{library, transaction};
use crate::error::{Error, Result};
use crate::region::{self, Region, strides};
use crate::view::View;

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
struct LoadedTile {
    bytes: Vec<u8>,
    /// Where it lies in the dataset.
    region: Region,
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
        region::grid(&self.view.shape, &self.tile)
    }

    /// Where a tile lies in the dataset, with what lies past the edges.
    fn tile_at(&self, place: &[u64]) -> Region {
        let start = place.iter().zip(&self.tile).map(|(step, tile)| step * tile).collect();
        Region { start, shape: self.tile.clone() }
    }

    /// The part of the dataset that belongs to some positions.
    fn region_of(&self, positions: &Region) -> Region {
        let mut region = Region::whole(&self.view.shape);
        for (number, axis) in self.view.positions.iter().enumerate() {
            region.set(*axis, &positions.range(number));
        }
        region
    }

    /// Reads what some positions need of the tile at `place` in the grid of tiles.
    fn load_tile(&self, place: &[u64], positions: &Region) -> Result<LoadedTile, TileError> {
        let wanted = self.tile_at(place).intersection(&self.region_of(positions));
        let region = wanted.expect("only tiles that some of the positions need are read");
        let (mut bytes, length) = match &self.kind {
            Kind::Chunks { table, pipeline, fill } => {
                return self.read_chunk((table, pipeline, fill), place, region);
            }
            _ => (self.buffer(&region.shape), self.bytes_of(&region.shape)),
        };
        let out = &mut bytes[..length];
        match &self.kind {
            Kind::Chunks { .. } => {}
            Kind::Extent { offset } => self.read_extent(*offset, &region, out)?,
            Kind::Mosaic(mosaic) => self.read_mosaic(mosaic, &region, out)?,
            Kind::Library { dataset, is_chunked, .. } => {
                self.read_library(dataset, *is_chunked, place, &region, out)?;
            }
        }
        Ok(LoadedTile { bytes, region })
    }

    fn read_library(
        &self,
        dataset: &Dataset,
        is_chunked: bool,
        place: &[u64],
        region: &Region,
        out: &mut [u8],
    ) -> Result<(), TileError> {
        library::read_region(dataset, region, out).map_err(|error| {
            let error = Error::dataset("read", &self.files[0].path, &self.dataset, &error);
            let reason = error.to_string();
            TileError::Damaged(if is_chunked { self.damage(place, &reason) } else { reason })
        })?;
        // Of a virtual dataset HDF5 takes what it can't open for fill values.
        if !is_chunked && let Some(error) = transaction::trouble(dataset) {
            return Err(TileError::Io { file: 0, needed: 0, error: Arc::new(error) });
        }
        self.decoded.fetch_add(u64::from(is_chunked), Ordering::Relaxed);
        Ok(())
    }

    fn read_chunk(
        &self,
        (table, pipeline, fill): (&ChunkTable, &Pipeline, &[u8]),
        place: &[u64],
        region: Region,
    ) -> Result<LoadedTile, TileError> {
        let tile = self.tile_at(place);
        let number = region::number(&table.grid, place);
        let mut decoder = self.decoders.take().unwrap_or_default();
        let tile_bytes = self.tile_bytes() as usize;
        let is_whole = self.view.positions.iter().all(|axis| {
            region.range(*axis) == (tile.start[*axis]..tile.end(*axis).min(self.view.shape[*axis]))
        });
        let mut whole =
            if is_whole { self.buffer(&self.tile) } else { std::mem::take(&mut decoder.whole) };
        whole.resize(tile_bytes.max(whole.len()), 0);
        let out = &mut whole[..tile_bytes];
        let filled = self.decode((table, pipeline, fill), 0, number, &mut decoder, out);
        let loaded = filled.map(|()| {
            if is_whole {
                return LoadedTile { bytes: std::mem::take(&mut whole), region: tile };
            }
            LoadedTile { bytes: self.crop(&whole, &tile, &region), region }
        });
        match (is_whole, loaded.is_ok()) {
            (false, _) => decoder.whole = whole,
            (true, false) => self.buffers.give(whole),
            (true, true) => {}
        }
        self.decoders.give(decoder);
        loaded.map_err(|error| match error {
            TileError::Damaged(reason) => TileError::Damaged(self.damage(place, &reason)),
            other => other,
        })
    }

    /// Names a chunk by its place in the dataset.
    fn damage(&self, place: &[u64], reason: &str) -> String {
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

    /// Reads a box of a contiguous dataset, each stretch that lies in one piece by one call.
    fn read_extent(
        &self,
        offset: u64,
        region: &Region,
        mut out: &mut [u8],
    ) -> Result<(), TileError> {
        let all = &self.view.shape;
        let shape = &region.shape;
        // The axes behind this one are read whole.
        let mut cut = all.len() - 1;
        while cut > 0 && shape[cut] == all[cut] {
            cut -= 1;
        }
        let stretch = self.bytes_of(&shape[cut..]);
        let mut stretches = region.clone();
        stretches.shape[cut..].fill(1);
        for place in stretches.places() {
            let (part, rest) = out.split_at_mut(stretch);
            let start = offset + region::number(all, &place) * self.element as u64;
            self.files[0].read_exact_at(part, start).map_err(|error| {
                let needed = start + stretch as u64;
                TileError::Io { file: 0, needed, error: Arc::new(error) }
            })?;
            out = rest;
        }
        Ok(())
    }

    /// Tells the system that the chunks of these positions will be read soon.
    fn announce(&self, positions: &Region) {
        let Kind::Chunks { table, .. } = &self.kind else { return };
        for place in self.tiles_of(positions).places() {
            let Some(chunk) = table.find(region::number(&table.grid, &place)) else { continue };
            self.files[0].announce(chunk.address, chunk.size);
        }
    }

    /// The tiles that some positions need, as a part of the grid of tiles.
    fn tiles_of(&self, positions: &Region) -> Region {
        let region = self.region_of(positions);
        let axes = self.tile.iter().enumerate();
        axes.map(|(axis, tile)| region.start[axis] / tile..region.end(axis).div_ceil(*tile))
            .collect()
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
