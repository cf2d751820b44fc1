//! The ways in which the values of a dataset are had; each has a file of its own beside this one.

use std::any::Any;

use super::{Decoder, LoadedTile, TileError, Tiles};
use crate::region::Region;
use crate::storage::chunk_table::{Chunking, Chunks};
use crate::view::View;

/// Bytes of a tile where nothing but we decide: enough that a call doesn't count.
const TILE_BYTES: u64 = 1 << 20;
/// Bytes of all tiles that the positions of one tile need, where nothing but we decide.
const CELL_BYTES: u64 = 32 << 20;

/// How rows are read, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Straight from the file, row by row.
    Direct,
    /// Straight from the file, in stretches that are turned round.
    Transposed,
    /// Chunk by chunk, undoing their filters on all workers.
    Chunks,
    /// Straight from so many parts of other datasets that a virtual one is put together from.
    Parts(usize),
    /// Through the HDF5 library, with the reason.
    Library(String),
}

/// Where a dataset's bytes lie, for hashing them as they are stored.
pub(crate) enum Stored<'a> {
    /// One behind the other from this offset on.
    Extent(u64),
    Chunks(&'a Chunks),
    /// Only the rows themselves can be had.
    Elsewhere,
}

/// A box of a dataset that another is put together from, and where its values go.
pub(crate) struct Cut<'a> {
    /// The number of the dataset's file, its name there, for people, and its shape.
    pub file: usize,
    pub dataset: &'a str,
    pub shape: &'a [u64],
    /// What of it is to be read.
    pub from: Region,
    /// Bytes from one step of it to the next where it goes.
    pub steps: Vec<usize>,
}

/// A way to read a dataset, tile by tile.
pub(crate) trait Way: Any + Send + Sync {
    /// What it is called.
    fn reading(&self) -> Reading;
    /// Whether the other reads the same places in the same way.
    fn is_same(&self, other: &dyn Way) -> bool;
    /// Reads a part of the tile at `place` in the grid of tiles, or the tile whole if that is as
    /// dear.
    ///
    /// # Errors
    /// If it can't be read.
    fn load(&self, tiles: &Tiles, place: &[u64], region: Region) -> Result<LoadedTile, TileError>;
    /// Reads a box for a virtual dataset, which puts it among values of its own.
    ///
    /// # Errors
    /// If it can't be read.
    fn read_cut(
        &self,
        _tiles: &Tiles,
        _cut: &Cut<'_>,
        _out: &mut [u8],
        _decoder: &mut Decoder,
    ) -> Result<(), TileError> {
        Err(TileError::Damaged("it can't be read without HDF5".to_owned()))
    }
    /// Tells the system that the tiles of these positions will be read soon.
    fn announce(&self, _tiles: &Tiles, _positions: &Region) {}
    /// Length of a tile on each axis.
    fn tile(&self, view: &View, element: u64) -> Vec<u64> {
        stretch(view, element)
    }
    /// Lengths of the chunks that it decodes, if it does.
    fn chunk(&self) -> Option<&[u64]> {
        None
    }
    /// The chunks that it decodes, for people, if it does.
    fn chunking(&self) -> Option<Chunking> {
        None
    }
    /// How many chunks are stored, if it decodes them.
    fn chunks(&self) -> Option<u64> {
        None
    }
    /// Whether every value is known to have been written, so that none is a fill value.
    fn is_whole(&self) -> bool {
        false
    }
    /// Whether a tile can only be read whole, however few of its positions are wanted.
    fn is_indivisible(&self) -> bool {
        false
    }
    /// Whether what lies past the edges of the dataset is kept with a tile.
    fn keeps_edges(&self) -> bool {
        false
    }
    /// Bytes that a worker needs in order to read a tile of so many, besides the block.
    fn worker_bytes(&self, _tile: u64, _element: u64) -> u64 {
        0
    }
    /// Bytes that it takes in memory.
    fn table_bytes(&self) -> u64 {
        0
    }
    /// Where the bytes lie.
    fn stored(&self) -> Stored<'_> {
        Stored::Elsewhere
    }
}

/// Tiles of a contiguous dataset: in one stretch each as far as the limits let it.
pub(in crate::storage) fn stretch(view: &View, element: u64) -> Vec<u64> {
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

/// The other way, if it is of the same kind.
pub(in crate::storage) fn same_kind<'w, W: Way>(_own: &W, other: &'w dyn Way) -> Option<&'w W> {
    let other: &dyn Any = other;
    other.downcast_ref()
}
