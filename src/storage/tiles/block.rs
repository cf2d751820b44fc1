//! Some positions of a tiled dataset, with all tiles that they need.
//!
//! Whoever reads from a block first helps to read its tiles, each once; then any number of workers
//! take the rows of their positions out of it. The block's memory is given back when it is dropped.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};

use super::copy::{Axis, arranged, copy};
use super::{LoadedTile, PortionReader, TileError, Tiles};
use crate::region::{Region, steps, strides};
use crate::view::{Blocks, View};
use pixelmill_core::chunk_io::{ReadChunk, ReadRows};
use pixelmill_core::error::Result;

/// A box of positions and their tiles.
pub(crate) struct Block {
    tiles: Arc<Tiles>,
    /// Its positions: steps on each axis of the scan.
    positions: Region,
    /// The tiles that belong to it, as a part of the grid of tiles.
    grid: Region,
    loaded: Vec<OnceLock<Result<LoadedTile, TileError>>>,
    /// The first tile that nobody has begun to read.
    next: AtomicUsize,
    /// How many tiles are read.
    read: Mutex<usize>,
    changed: Condvar,
}

impl Block {
    /// Some positions, at least one; nothing is read yet.
    pub fn new(tiles: &Arc<Tiles>, positions: Region) -> Self {
        let grid = tiles.tiles_of(&positions);
        tiles.way.announce(tiles, &positions);
        Self {
            tiles: Arc::clone(tiles),
            positions,
            loaded: (0..grid.count()).map(|_| OnceLock::new()).collect(),
            grid,
            next: AtomicUsize::new(0),
            read: Mutex::new(0),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, usize> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads tiles as long as there are any that nobody reads, then waits for the others.
    ///
    /// Subtle: it blocks its thread, also in the pool. Nothing here may run other jobs, neither
    /// while a tile is claimed, for others wait for it, nor in the wait: a job may take hours,
    /// and the tile is there long before.
    fn load(&self) {
        loop {
            // Relaxed: it only deals out numbers. What was read comes to others with the lock
            // around `read`.
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(slot) = self.loaded.get(index) else { break };
            let read = || self.tiles.load_tile(&self.grid.place(index as u64), &self.positions);
            // Others wait for this tile, so that it has to become something.
            let read = catch_unwind(AssertUnwindSafe(read))
                .unwrap_or_else(|_| Err(TileError::Damaged("it can't be read".to_owned())));
            // Nobody else has this index.
            let _ = slot.set(read);
            *self.lock() += 1;
            self.changed.notify_all();
        }
        let mut read = self.lock();
        while *read < self.loaded.len() {
            read = self.changed.wait(read).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// One of its tiles, once all are read.
    pub(super) fn loaded(&self, place: &[u64]) -> Result<(&Tiles, &LoadedTile)> {
        self.load();
        Ok((&*self.tiles, self.loaded_tile(place)?))
    }

    fn loaded_tile(&self, place: &[u64]) -> Result<&LoadedTile> {
        let number = self.grid.number(place);
        let slot = self.loaded.get(number as usize).and_then(OnceLock::get);
        match slot {
            Some(Ok(loaded)) => Ok(loaded),
            Some(Err(error)) => Err(self.tiles.error(error.clone())),
            None => Err(self.tiles.error(TileError::Damaged("it was not read".to_owned()))),
        }
    }

    /// Copies the rows of consecutive positions on the fastest axis of the scan, all in the same
    /// tile.
    fn gather(&self, at: &[u64], count: u64, rows: &mut [u8]) -> Result<()> {
        let Tiles { view, tile, element, value, .. } = &*self.tiles;
        let mut grid = self.grid.clone();
        for (axis, step) in view.positions.iter().zip(at) {
            let place = step / tile[*axis];
            grid.set_range(*axis, &(place..place + 1));
        }
        let extent = view.extent();
        let row_strides = row_strides(view, &extent, value.len());
        let row_bytes = self.tiles.read_bytes();
        for place in grid.places() {
            let loaded = self.loaded_tile(&place)?;
            let Region { start, shape } = &loaded.region;
            let own = strides(shape, *element);
            let mut begin = value.start;
            for (axis, step) in view.positions.iter().zip(at) {
                begin += (step - start[*axis]) as usize * own[*axis];
            }
            let along = view.positions.last().map_or(0, |axis| own[*axis]);
            let mut axes = vec![Axis { steps: count as usize, from: along, to: row_bytes }];
            let mut there = 0;
            for (axis, stride) in view.spectrum.iter().zip(&row_strides) {
                // A tile may have more than is wanted of it.
                let first = start[*axis].max(extent.start[*axis]);
                let end = (start[*axis] + shape[*axis]).min(extent.end(*axis));
                axes.push(Axis { steps: (end - first) as usize, from: own[*axis], to: *stride });
                begin += (first - start[*axis]) as usize * own[*axis];
                there += (first - extent.start[*axis]) as usize * stride;
            }
            copy(&loaded.bytes[begin..], &mut rows[there..], &axes, value.len());
        }
        Ok(())
    }
}

/// The stride in a row, as it is read, of each axis of a spectrum.
fn row_strides(view: &View, extent: &Region, element: usize) -> Vec<usize> {
    let shape: Vec<u64> = view.spectrum.iter().map(|axis| extent.shape[*axis]).collect();
    strides(&shape, element)
}

/// Rows shorter than this are copied: so many small pieces would cost more.
const LEFT_AT_LEAST: usize = 4096;

impl ReadChunk for Block {
    fn read<'a>(&'a self, positions: &[Range<u64>], rows: &mut ReadRows<'a>) -> Result<()> {
        self.load();
        if !self.tiles.holds_rows() {
            return self.read_into(positions, rows.bytes_mut());
        }
        let each = positions.iter().flat_map(Clone::clone).map(|position| self.row(position));
        rows.leave(each.collect::<Result<_>>()?);
        Ok(())
    }
}

impl PortionReader for Block {
    fn is_busy(&self) -> bool {
        let all = self.loaded.len();
        // It may be wrong anyway, so `next` needs no order.
        self.next.load(Ordering::Relaxed) >= all && *self.lock() < all
    }
}

impl Block {
    /// The row of a position, of tiles that hold whole rows.
    fn row(&self, position: u64) -> Result<&[u8]> {
        let Tiles { view, tile, element, .. } = &*self.tiles;
        let at = steps(&view.position_shape(), position);
        let mut place = vec![0; view.shape.len()];
        for (axis, step) in view.positions.iter().zip(&at) {
            place[*axis] = step / tile[*axis];
        }
        let loaded = self.loaded_tile(&place)?;
        let own = strides(&loaded.region.shape, *element);
        let axes = view.positions.iter().zip(&at);
        let begin: usize = axes
            .map(|(axis, step)| (step - loaded.region.start[*axis]) as usize * own[*axis])
            .sum();
        Ok(&loaded.bytes[begin..][..self.tiles.row_bytes()])
    }

    /// Fills `rows` with the rows of some positions.
    ///
    /// # Errors
    /// If they can't be read, or their data are damaged.
    pub fn read_into(&self, positions: &[Range<u64>], rows: &mut [u8]) -> Result<()> {
        let Tiles { view, value, .. } = &*self.tiles;
        arranged(view, value.len(), rows, |rows| self.read_as_it_lies(positions, rows))
    }

    fn read_as_it_lies(&self, positions: &[Range<u64>], mut rows: &mut [u8]) -> Result<()> {
        self.load();
        let view = &self.tiles.view;
        let shape = view.position_shape();
        let row_bytes = self.tiles.read_bytes();
        let fastest = *shape.last().unwrap_or(&1);
        let tile = view.positions.last().map_or(1, |axis| self.tiles.tile[*axis]);
        for run in positions {
            let mut position = run.start;
            while position < run.end {
                let at = steps(&shape, position);
                let step = at.last().copied().unwrap_or(0);
                let end_of_tile = ((step / tile + 1) * tile).min(fastest);
                let count = (run.end - position).min(end_of_tile - step);
                let (part, rest) = rows.split_at_mut(count as usize * row_bytes);
                self.gather(&at, count, part)?;
                rows = rest;
                position += count;
            }
        }
        Ok(())
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        for loaded in std::mem::take(&mut self.loaded) {
            if let Some(Ok(loaded)) = loaded.into_inner() {
                self.tiles.buffers.give(loaded.bytes);
            }
        }
    }
}

impl Tiles {
    /// Whether the values of a position lie side by side in a tile, and are all of its row.
    fn holds_rows(&self) -> bool {
        let View { positions, spectrum, shape, .. } = &self.view;
        let order = positions.iter().max() < spectrum.iter().min();
        let whole = spectrum.iter().all(|axis| self.tile[*axis] == shape[*axis]);
        let is_all = self.view.reads_all() && self.view.arrangement().is_none();
        let is_value = self.value.len() == self.element;
        order && whole && is_all && is_value && self.row_bytes() >= LEFT_AT_LEAST
    }

    /// Reads any positions by themselves, outside of a run.
    ///
    /// # Errors
    /// If they can't be read, or their data are damaged.
    pub fn read_alone(self: &Arc<Self>, positions: &[Range<u64>], rows: &mut [u8]) -> Result<()> {
        let shape = self.view.position_shape();
        let cells = Blocks::new(&shape, &self.cell(), &self.cell());
        let row_bytes = self.row_bytes();
        let mut wanted: Vec<(u64, u64, usize)> = positions
            .iter()
            .cloned()
            .flatten()
            .enumerate()
            .map(|(index, position)| (cells.holding(position), position, index))
            .collect();
        wanted.sort_unstable();
        for group in wanted.chunk_by(|one, other| one.0 == other.0) {
            let block = Block::new(self, bounding(&shape, group.iter().map(|wanted| wanted.1)));
            for (_, position, index) in group {
                let row = &mut rows[index * row_bytes..][..row_bytes];
                block.read_into(std::slice::from_ref(&(*position..position + 1)), row)?;
            }
        }
        Ok(())
    }
}

/// The smallest box around some positions.
fn bounding(shape: &[u64], positions: impl Iterator<Item = u64>) -> Region {
    let mut positions = positions.map(|position| steps(shape, position));
    let first = positions.next().unwrap_or_default();
    let mut bounding: Region = first.into_iter().map(|step| step..step + 1).collect();
    for position in positions {
        for (axis, step) in position.into_iter().enumerate() {
            let Range { start, end } = bounding.range(axis);
            bounding.set_range(axis, &(start.min(step)..end.max(step + 1)));
        }
    }
    bounding
}
