//! Where the chunks of a dataset lie in the file.
//!
//! Asked of its container once, when a dataset is opened; after that chunks are read without it. Of
//! a million chunks a table takes 12 MB, 20 MB if some were never written.

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
    /// The stored ones.
    pub chunks: Chunks,
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
        let (mut chunks, mut steps) = (Chunks::default(), Vec::new());
        visit(&mut |offset, mut stored| {
            steps.clear();
            steps.extend(offset.iter().zip(&chunk).map(|(start, length)| start / length));
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
        Ok(Self { chunk, grid, chunks: chunks.by_number() })
    }

    /// The stored chunk with this number; `None` if it was never written.
    pub fn find(&self, number: u64) -> Option<Chunk> {
        self.chunks.find(number)
    }

    /// Stored bytes of the largest chunk.
    pub fn largest(&self) -> u64 {
        self.chunks.largest
    }

    /// Bytes that this table takes.
    pub fn bytes(&self) -> u64 {
        self.chunks.bytes()
    }
}

/// Stored chunks by their numbers, in columns of which those that say nothing are empty.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Chunks {
    /// Empty where they are counted from 0 on, all of them.
    numbers: Vec<u64>,
    addresses: Vec<u64>,
    sizes: Vec<u32>,
    /// Instead of the sizes, if one of them is larger.
    large_sizes: Vec<u64>,
    /// Empty if no filter was ever left out.
    masks: Vec<u32>,
    /// The largest size.
    largest: u64,
}

impl Chunks {
    /// How many they are.
    pub fn len(&self) -> usize {
        self.addresses.len()
    }

    /// One of them, counted by their numbers; there has to be one.
    pub fn get(&self, at: usize) -> Chunk {
        let size = self.sizes.get(at).map_or_else(|| self.large_sizes[at], |size| (*size).into());
        Chunk {
            number: self.numbers.get(at).copied().unwrap_or(at as u64),
            address: self.addresses[at],
            size,
            mask: self.masks.get(at).copied().unwrap_or_default(),
        }
    }

    /// All of them, by their numbers.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Chunk> + '_ {
        (0..self.len()).map(|at| self.get(at))
    }

    /// Stored bytes of all of them.
    pub fn stored_bytes(&self) -> u64 {
        self.iter().fold(0, |total, chunk| total.saturating_add(chunk.size))
    }

    fn find(&self, number: u64) -> Option<Chunk> {
        let at = match self.numbers.is_empty() {
            true => usize::try_from(number).ok().filter(|at| *at < self.len()),
            false => self.numbers.binary_search(&number).ok(),
        };
        at.map(|at| self.get(at))
    }

    fn bytes(&self) -> u64 {
        let long = self.numbers.len() + self.addresses.len() + self.large_sizes.len();
        (long * size_of::<u64>() + (self.sizes.len() + self.masks.len()) * size_of::<u32>()) as u64
    }

    /// Appends one, in whatever order.
    fn push(&mut self, Chunk { number, address, size, mask }: Chunk) {
        let count = self.len();
        if number != count as u64 && self.numbers.is_empty() {
            self.numbers = (0..count as u64).collect();
        }
        if number != count as u64 || !self.numbers.is_empty() {
            self.numbers.push(number);
        }
        if mask != 0 && self.masks.is_empty() {
            self.masks = vec![0; count];
        }
        if mask != 0 || !self.masks.is_empty() {
            self.masks.push(mask);
        }
        match u32::try_from(size) {
            Ok(size) if self.large_sizes.is_empty() => self.sizes.push(size),
            _ => {
                let sizes = std::mem::take(&mut self.sizes);
                self.large_sizes.extend(sizes.into_iter().map(u64::from));
                self.large_sizes.push(size);
            }
        }
        self.addresses.push(address);
        self.largest = self.largest.max(size);
    }

    /// The same by their numbers, the first of those that have the same one.
    fn by_number(mut self) -> Self {
        if !self.numbers.is_sorted_by(|one, other| one < other) {
            let mut chunks: Vec<Chunk> = self.iter().collect();
            chunks.sort_by_key(|chunk| chunk.number);
            chunks.dedup_by_key(|chunk| chunk.number);
            self = Self::default();
            chunks.into_iter().for_each(|chunk| self.push(chunk));
        }
        self.numbers.shrink_to_fit();
        self.addresses.shrink_to_fit();
        self.sizes.shrink_to_fit();
        self.large_sizes.shrink_to_fit();
        self.masks.shrink_to_fit();
        self
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The table of chunks of one step that are told in this order.
    fn table(told: &[Chunk]) -> ChunkTable {
        let table = ChunkTable::of(&[20], vec![1], false, |each| {
            told.iter().for_each(|chunk| each(&[chunk.number], *chunk));
            Ok::<_, std::convert::Infallible>(())
        });
        let Ok(table) = table;
        table
    }

    fn chunk(number: u64, size: u64, mask: u32) -> Chunk {
        Chunk { number, address: 1000 + 7 * number, size, mask }
    }

    #[test]
    fn columns_that_say_nothing_take_no_memory() {
        let all: Vec<Chunk> = (0..20).map(|number| chunk(number, 5, 0)).collect();
        assert_eq!(table(&all).bytes(), 20 * 12);
        assert_eq!(table(&all[1..]).bytes(), 19 * 20);
        let turned: Vec<Chunk> = all.iter().rev().copied().collect();
        assert!(table(&turned).chunks == table(&all).chunks);
        assert_eq!(table(&turned).bytes(), 20 * 12);
    }

    proptest! {
        #[test]
        fn a_table_has_what_was_told(
            told in prop::collection::vec((0u64..25, prop_oneof![0u64..9, (1u64 << 32)..(1 << 33)], 0u32..2), 0..30)
        ) {
            let told: Vec<Chunk> = told.into_iter().map(|(number, size, mask)| chunk(number, size, mask)).collect();
            let table = table(&told);
            for number in 0..25 {
                let first = told.iter().find(|chunk| chunk.number == number && number < 20);
                prop_assert_eq!(table.find(number), first.copied());
            }
            let kept: Vec<Chunk> = (0..20).filter_map(|number| table.find(number)).collect();
            prop_assert!(table.chunks.iter().eq(kept.iter().copied()));
            prop_assert_eq!(table.largest(), kept.iter().map(|chunk| chunk.size).max().unwrap_or(0));
            prop_assert_eq!(table.chunks.stored_bytes(), kept.iter().map(|chunk| chunk.size).sum::<u64>());
        }
    }
}
