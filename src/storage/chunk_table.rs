//! Where the chunks of a dataset lie in the file.
//!
//! Asked of its container once, when a dataset is opened; after that chunks are read without it.

use crate::region::{self, Region};

/// One stored chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Its number in the grid of chunks, the last axis running fastest.
    pub number: u64,
    pub address: u64,
    /// Bytes as stored.
    pub size: u64,
    /// The filters that were left out when it was written, a bit for each.
    pub mask: u32,
}

/// The chunks of one dataset.
#[derive(Debug)]
pub(crate) struct ChunkTable {
    /// Length of a chunk on each axis.
    pub chunk: Vec<u64>,
    /// Number of chunks on each axis.
    pub grid: Vec<u64>,
    /// The stored ones, by number.
    pub chunks: Vec<Chunk>,
}

impl ChunkTable {
    /// The chunks that `visit` tells, with the place of each in a dataset of this shape; what isn't
    /// in it is left out, as are second ones at the same place.
    ///
    /// # Errors
    /// Those of `visit`.
    pub fn of<E>(
        shape: &[u64],
        chunk: Vec<u64>,
        edges_unfiltered: bool,
        visit: impl FnOnce(&mut dyn FnMut(&[u64], Chunk)) -> Result<(), E>,
    ) -> Result<Self, E> {
        let grid = region::grid(shape, &chunk);
        let all = Region::whole(&grid);
        let mut chunks = Vec::new();
        visit(&mut |offset, mut stored| {
            let steps = offset.iter().zip(&chunk).map(|(start, length)| start / length);
            let steps: Vec<u64> = steps.collect();
            if !all.contains(steps.iter().copied()) {
                return;
            }
            let is_edge = offset
                .iter()
                .zip(&chunk)
                .zip(shape)
                .any(|((start, length), all)| start + length > *all);
            if is_edge && edges_unfiltered {
                stored.mask = u32::MAX;
            }
            stored.number = all.number(&steps);
            chunks.push(stored);
        })?;
        chunks.sort_unstable_by_key(|chunk| chunk.number);
        chunks.dedup_by_key(|chunk| chunk.number);
        Ok(Self { chunk, grid, chunks })
    }

    /// The stored chunk with this number; `None` if it was never written.
    pub fn find(&self, number: u64) -> Option<Chunk> {
        let at = self.chunks.binary_search_by_key(&number, |chunk| chunk.number).ok()?;
        Some(self.chunks[at])
    }

    /// Stored bytes of all chunks.
    pub fn stored_bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.size).sum()
    }

    /// Stored bytes of the largest chunk.
    pub fn largest(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.size).max().unwrap_or(0)
    }

    /// Bytes that this table takes.
    pub fn bytes(&self) -> u64 {
        (self.chunks.len() * size_of::<Chunk>()) as u64
    }
}

/// The chunks of a dataset, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunking {
    /// Length of a chunk on each axis of the array.
    pub shape: Vec<u64>,
    /// Number of stored chunks.
    pub count: u64,
    /// Bytes of all stored chunks.
    pub stored_bytes: u64,
    /// The filters, in the order in which they were applied.
    pub filters: Vec<String>,
}
