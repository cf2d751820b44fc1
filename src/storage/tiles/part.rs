//! What one tile has of the values of some positions, for those who need no whole rows.

use std::ops::Deref;

use super::copy::{Axis, copy};
use super::{Block, LoadedTile, Tiles};
use crate::region::{Region, strides};
use pixelmill_core::chunk_io::AlignedBytes;
use pixelmill_core::error::Result;

/// The values that a tile has of some positions: of each position those of its points side by side.
pub(crate) struct TilePart<'t> {
    tiles: &'t Tiles,
    bytes: Vec<u8>,
}

impl Deref for TilePart<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for TilePart<'_> {
    fn drop(&mut self) {
        self.tiles.buffers.give(std::mem::take(&mut self.bytes));
    }
}

impl Tiles {
    /// The places in the grid of tiles of those that some positions need.
    pub fn places_of(&self, positions: &Region) -> Vec<Vec<u64>> {
        self.tiles_of(positions).places().collect()
    }

    /// Lengths of the axes of a spectrum, of what is wanted of it.
    pub fn spectrum_shape(&self) -> Vec<u64> {
        let extent = self.view.extent();
        self.view.spectrum.iter().map(|axis| extent.shape[*axis]).collect()
    }

    /// The number of a tile among those with the same positions.
    pub fn number_of(&self, place: &[u64]) -> u64 {
        let grid = self.view.extent().tiles(&self.tile);
        let axes = self.view.spectrum.iter();
        axes.fold(0, |number, axis| number * grid.shape[*axis] + place[*axis] - grid.start[*axis])
    }

    /// Which points the tile at `place` has, as steps on the axes of a spectrum, counted from where
    /// what is wanted of these begins.
    pub fn points_of(&self, place: &[u64]) -> Region {
        let (tile, extent) = (self.tile_at(place), self.view.extent());
        let axes = self.view.spectrum.iter();
        axes.map(|axis| {
            let (own, all) = (tile.range(*axis), extent.range(*axis));
            let (start, end) = (own.start.max(all.start), own.end.min(all.end));
            start - all.start..end - all.start
        })
        .collect()
    }

    /// Reads what the tile at `place` has of some positions, all of one cell.
    ///
    /// # Errors
    /// If it can't be read, or its data are damaged.
    pub fn read_part(&self, place: &[u64], positions: &Region) -> Result<TilePart<'_>> {
        let loaded = self.load_tile(place, positions).map_err(|error| self.error(error))?;
        let LoadedTile { bytes, region } = loaded;
        let Some(turn) = self.turn(&region, place, positions) else {
            return Ok(TilePart { tiles: self, bytes });
        };
        let mut part = TilePart { tiles: self, bytes: self.buffer(&turn.shape) };
        copy(&bytes[turn.first..], &mut part.bytes, &turn.axes, self.value.len());
        self.buffers.give(bytes);
        Ok(part)
    }

    /// How what was loaded of a tile is brought into the order of a part; `None` if it has it.
    fn turn(&self, region: &Region, place: &[u64], positions: &Region) -> Option<Turn> {
        let wanted = self.tile_at(place).intersection(&self.region_of(positions));
        let wanted = wanted.expect("only tiles that some of the positions need are read");
        let lies = *region == wanted
            && self.view.has_positions_first()
            && self.value.len() == self.element;
        if lies {
            return None;
        }
        let own = strides(&region.shape, self.element);
        let order: Vec<usize> =
            self.view.positions.iter().chain(&self.view.spectrum).copied().collect();
        let shape: Vec<u64> = order.iter().map(|axis| wanted.shape[*axis]).collect();
        let there = strides(&shape, self.value.len());
        let axes = order.iter().zip(there).map(|(axis, to)| Axis {
            steps: wanted.shape[*axis] as usize,
            from: own[*axis],
            to,
        });
        let first = self.value.start + wanted.offset_in(region, &own);
        Some(Turn { axes: axes.collect(), first, shape })
    }
}

/// A copy of a tile in another order: the first byte of it, and the lengths of what becomes of it.
struct Turn {
    axes: Vec<Axis>,
    first: usize,
    shape: Vec<u64>,
}

impl Block {
    /// What the tile at `place` has of some of the block's positions, all of one cell: where it is
    /// loaded, or in `buffer`.
    ///
    /// # Errors
    /// If it can't be read, or its data are damaged.
    pub fn part<'b>(
        &'b self,
        place: &[u64],
        positions: &Region,
        buffer: &'b mut AlignedBytes,
    ) -> Result<&'b [u8]> {
        let (tiles, LoadedTile { bytes, region }) = self.loaded(place)?;
        let Some(turn) = tiles.turn(region, place, positions) else {
            return Ok(bytes);
        };
        let points = turn.shape.iter().product::<u64>() as usize;
        buffer.resize(points * tiles.value.len());
        copy(&bytes[turn.first..], buffer, &turn.axes, tiles.value.len());
        Ok(buffer)
    }
}
