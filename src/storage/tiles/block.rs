//! Some positions of a tiled dataset, with all tiles that they need.
//!
//! Whoever reads from a block first helps to read its tiles, each once; then any number of workers
//! take the rows of their positions out of it. The block's memory is given back when it is dropped.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};

use super::copy::{Axis, copy, strides};
use super::{Piece, Places, TileError, Tiles};
use crate::chunk_io::{ReadChunk, ReadRows};
use crate::error::Result;
use crate::view::{Blocks, Bounds, View, steps};

/// A box of positions and their tiles.
pub(crate) struct Block {
    tiles: Arc<Tiles>,
    bounds: Bounds,
    /// The tiles that belong to it: a range on each axis of the grid of tiles.
    ranges: Bounds,
    pieces: Vec<OnceLock<Result<Piece, TileError>>>,
    /// The first piece that nobody has begun to read.
    next: AtomicUsize,
    /// How many pieces are read.
    read: Mutex<usize>,
    changed: Condvar,
}

impl Block {
    /// The positions within `bounds`; nothing is read yet.
    pub fn new(tiles: &Arc<Tiles>, bounds: Bounds) -> Self {
        let ranges = tiles.tile_ranges(&bounds);
        let count = crate::view::volume(&ranges) as usize;
        tiles.announce(&bounds);
        Self {
            tiles: Arc::clone(tiles),
            bounds,
            ranges,
            pieces: (0..count).map(|_| OnceLock::new()).collect(),
            next: AtomicUsize::new(0),
            read: Mutex::new(0),
            changed: Condvar::new(),
        }
    }

    /// Whether a worker who comes now would only wait for others.
    pub fn is_busy(&self) -> bool {
        let all = self.pieces.len();
        self.next.load(Ordering::Relaxed) >= all && *self.lock() < all
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, usize> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads tiles as long as there are any that nobody reads, then waits for the others.
    fn load(&self) {
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(slot) = self.pieces.get(index) else { break };
            let read = || self.tiles.read_piece(&self.place(index), &self.bounds);
            // Others wait for this tile, so that it has to become something.
            let read = catch_unwind(AssertUnwindSafe(read))
                .unwrap_or_else(|_| Err(TileError::Damaged("it can't be read".to_owned())));
            // Nobody else has this index.
            let _ = slot.set(read);
            *self.lock() += 1;
            self.changed.notify_all();
        }
        let mut read = self.lock();
        while *read < self.pieces.len() {
            read = self.changed.wait(read).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn place(&self, index: usize) -> Vec<u64> {
        let shape: Vec<u64> = self.ranges.iter().map(|range| range.end - range.start).collect();
        let steps = steps(&shape, index as u64);
        steps.iter().zip(&self.ranges).map(|(step, range)| step + range.start).collect()
    }

    fn piece(&self, place: &[u64]) -> Result<&Piece> {
        let number = place.iter().zip(&self.ranges).fold(0, |number, (step, range)| {
            number * (range.end - range.start) + (step - range.start)
        });
        let slot = self.pieces.get(number as usize).and_then(OnceLock::get);
        match slot {
            Some(Ok(piece)) => Ok(piece),
            Some(Err(trouble)) => Err(self.tiles.error(trouble.clone())),
            None => Err(self.tiles.error(TileError::Damaged("it was not read".to_owned()))),
        }
    }

    /// Copies the rows of consecutive positions on the fastest axis of the scan, all in the same tile.
    fn gather(&self, at: &[u64], count: u64, rows: &mut [u8]) -> Result<()> {
        let Tiles { view, tile, element, .. } = &*self.tiles;
        let mut ranges = self.ranges.clone();
        for (axis, step) in view.positions.iter().zip(at) {
            let place = step / tile[*axis];
            ranges[*axis] = place..place + 1;
        }
        let row_strides = row_strides(view, *element);
        let row_bytes = view.points() as usize * element;
        for place in Places::new(ranges) {
            let piece = self.piece(&place)?;
            let own = strides(&piece.shape, *element);
            let mut begin = 0;
            for (axis, step) in view.positions.iter().zip(at) {
                begin += (step - piece.start[*axis]) as usize * own[*axis];
            }
            let along = view.positions.last().map_or(0, |axis| own[*axis]);
            let mut axes = vec![Axis { steps: count as usize, from: along, to: row_bytes }];
            let mut there = 0;
            for (axis, stride) in view.spectrum.iter().zip(&row_strides) {
                let inside = piece.shape[*axis].min(view.shape[*axis] - piece.start[*axis]);
                axes.push(Axis { steps: inside as usize, from: own[*axis], to: *stride });
                there += piece.start[*axis] as usize * stride;
            }
            copy(&piece.bytes[begin..], &mut rows[there..], &axes, *element);
        }
        Ok(())
    }
}

/// The stride in a row of each axis of a spectrum.
fn row_strides(view: &View, element: usize) -> Vec<usize> {
    let shape: Vec<u64> = view.spectrum.iter().map(|axis| view.shape[*axis]).collect();
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

impl Block {
    /// The row of a position, of tiles that hold whole rows.
    fn row(&self, position: u64) -> Result<&[u8]> {
        let Tiles { view, tile, element, .. } = &*self.tiles;
        let at = steps(&view.position_shape(), position);
        let mut place = vec![0; view.shape.len()];
        for (axis, step) in view.positions.iter().zip(&at) {
            place[*axis] = step / tile[*axis];
        }
        let piece = self.piece(&place)?;
        let own = strides(&piece.shape, *element);
        let axes = view.positions.iter().zip(&at);
        let begin: usize =
            axes.map(|(axis, step)| (step - piece.start[*axis]) as usize * own[*axis]).sum();
        Ok(&piece.bytes[begin..][..view.points() as usize * element])
    }

    /// Fills `rows` with the rows of some positions.
    ///
    /// # Errors
    /// If they can't be read, or their data are damaged.
    pub fn read_into(&self, positions: &[Range<u64>], mut rows: &mut [u8]) -> Result<()> {
        self.load();
        let view = &self.tiles.view;
        let shape = view.position_shape();
        let row_bytes = view.points() as usize * self.tiles.element;
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
        for piece in std::mem::take(&mut self.pieces) {
            if let Some(Ok(piece)) = piece.into_inner() {
                self.tiles.buffers.give(piece.bytes);
            }
        }
    }
}

impl Tiles {
    /// Whether the values of a position lie side by side in a tile, and are all of its row.
    fn holds_rows(&self) -> bool {
        let View { positions, spectrum, shape } = &self.view;
        let order = positions.iter().max() < spectrum.iter().min();
        let whole = spectrum.iter().all(|axis| self.tile[*axis] == shape[*axis]);
        order && whole && self.view.points() as usize * self.element >= LEFT_AT_LEAST
    }

    /// Reads any positions by themselves, outside of a run.
    ///
    /// # Errors
    /// If they can't be read, or their data are damaged.
    pub fn read_alone(self: &Arc<Self>, positions: &[Range<u64>], rows: &mut [u8]) -> Result<()> {
        let shape = self.view.position_shape();
        let cells = Blocks::new(&shape, &self.cell(), &self.cell());
        let row_bytes = self.view.points() as usize * self.element;
        let mut wanted: Vec<(u64, u64, usize)> = positions
            .iter()
            .flat_map(|run| run.clone())
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
fn bounding(shape: &[u64], positions: impl Iterator<Item = u64>) -> Bounds {
    let mut positions = positions.map(|position| steps(shape, position));
    let first = positions.next().unwrap_or_default();
    let mut bounds: Bounds = first.into_iter().map(|step| step..step + 1).collect();
    for position in positions {
        for (range, step) in bounds.iter_mut().zip(position) {
            *range = range.start.min(step)..range.end.max(step + 1);
        }
    }
    bounds
}
