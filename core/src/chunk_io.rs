//! Where rows come from and where results go, and the rows of some positions as they were read:
//! copied into a worker's memory, or left where the source holds them.

use std::fmt;
use std::ops::{Deref, DerefMut, Range};
use std::sync::Arc;

use crate::error::Result;

/// Where rows come from, as [`Process::read_data_chunk`](crate::Process::read_data_chunk) sees it.
pub trait ReadChunk: Send + Sync {
    /// Reads the rows of the given positions, ranges of consecutive ones, as the file stores their
    /// values; rows that the source holds in memory it may leave there.
    ///
    /// # Errors
    /// If they can't be read.
    fn read<'a>(&'a self, positions: &[Range<u64>], rows: &mut ReadRows<'a>) -> Result<()>;
}

/// Where rows of results go, as
/// [`Process::write_results_chunk`](crate::Process::write_results_chunk) sees it.
pub trait WriteChunk: Send + Sync {
    /// Writes the rows of results dataset number `dataset` for the positions from `first` on.
    ///
    /// # Errors
    /// If they can't be written.
    fn write(&self, dataset: usize, first: u64, rows: &[u8]) -> Result<()>;
}

/// Bytes that begin where any element may, so that they can be used without being copied.
#[derive(Clone, Default)]
pub struct AlignedBytes {
    words: Vec<u128>,
    length: usize,
}

impl AlignedBytes {
    /// Makes it so long. What there was may stay.
    pub fn resize(&mut self, length: usize) {
        self.words.resize(length.div_ceil(size_of::<u128>()), 0);
        self.length = length;
    }
}

impl Deref for AlignedBytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.length]
    }
}

impl DerefMut for AlignedBytes {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.words)[..self.length]
    }
}

impl fmt::Debug for AlignedBytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(formatter)
    }
}

/// The rows of some positions, in their order.
pub struct ReadRows<'a> {
    count: usize,
    row_bytes: usize,
    buffer: Arc<AlignedBytes>,
    /// Where the rows are, unless they are in the buffer.
    left: Vec<&'a [u8]>,
}

impl<'a> ReadRows<'a> {
    /// Room for `count` rows.
    pub fn new(mut buffer: AlignedBytes, count: usize, row_bytes: usize) -> Self {
        buffer.resize(count * row_bytes);
        Self { count, row_bytes, buffer: Arc::new(buffer), left: Vec::new() }
    }

    /// Some of these rows, in another order; they stay where they are.
    pub fn pick(&self, indices: &[u32]) -> ReadRows<'_> {
        let left = indices.iter().map(|index| self.row(*index as usize)).collect();
        ReadRows { count: indices.len(), row_bytes: self.row_bytes, buffer: Arc::default(), left }
    }

    /// All rows, one behind the other, to be read into or to be changed.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let bytes = Arc::make_mut(&mut self.buffer);
        bytes.resize(self.count * self.row_bytes);
        for (row, left) in bytes.chunks_exact_mut(self.row_bytes.max(1)).zip(self.left.drain(..)) {
            row.copy_from_slice(left);
        }
        &mut *bytes
    }

    /// Leaves the rows where they are.
    pub fn leave(&mut self, rows: Vec<&'a [u8]>) {
        debug_assert_eq!(rows.len(), self.count);
        self.left = rows;
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Row number `index`.
    pub fn row(&self, index: usize) -> &[u8] {
        match self.left.get(index) {
            Some(row) => row,
            None => &self.buffer[index * self.row_bytes..][..self.row_bytes],
        }
    }

    /// All rows, one behind the other; `None` if they are left where they are.
    pub fn whole(&self) -> Option<&[u8]> {
        self.left.is_empty().then_some(&**self.buffer)
    }

    /// The same, for whoever may need them longer than the rows are there.
    pub fn shared(&self) -> Option<Arc<AlignedBytes>> {
        self.left.is_empty().then(|| Arc::clone(&self.buffer))
    }

    /// The memory, for the next rows; none if somebody still shares it.
    pub fn into_buffer(self) -> AlignedBytes {
        Arc::try_unwrap(self.buffer).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_were_left_can_be_changed_all_the_same() {
        let there = [[1, 2], [3, 4]];
        let mut rows = ReadRows::new(AlignedBytes::default(), 2, 2);
        rows.leave(vec![&there[1], &there[0]]);
        assert_eq!((rows.row(0), rows.whole()), ([3, 4].as_slice(), None));
        rows.bytes_mut()[0] = 9;
        assert_eq!(rows.whole(), Some([9, 4, 1, 2].as_slice()));
        let mut picked = rows.pick(&[1, 1, 0]);
        assert_eq!((picked.row(2), picked.whole()), ([9, 4].as_slice(), None));
        assert_eq!(picked.bytes_mut(), [1, 2, 1, 2, 9, 4]);
        assert_eq!((rows.row(0), there[1]), ([9, 4].as_slice(), [3, 4]));
    }

    #[test]
    fn rows_that_somebody_shares_stay_as_they_are() {
        let mut rows = ReadRows::new(AlignedBytes::default(), 1, 2);
        rows.bytes_mut().copy_from_slice(&[1, 2]);
        let shared = rows.shared().unwrap();
        rows.bytes_mut()[0] = 9;
        assert_eq!((&**shared, rows.row(0)), ([1, 2].as_slice(), [9, 2].as_slice()));
        let kept = rows.shared();
        assert!(rows.into_buffer().is_empty());
        drop(kept);
        let rows = ReadRows::new(AlignedBytes::default(), 1, 2);
        assert_eq!(rows.into_buffer().len(), 2);
        let mut left = ReadRows::new(AlignedBytes::default(), 1, 2);
        left.leave(vec![&[5, 6]]);
        assert!(left.shared().is_none());
    }
}
