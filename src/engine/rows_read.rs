//! Rows that were read once for several computations.

use std::ops::Range;

use pixelmill_core::chunk_io::{ReadChunk, ReadRows};
use pixelmill_core::error::Result;

/// The rows of some positions in memory, for who would read them from the source.
pub(crate) struct RowsRead<'r> {
    positions: &'r [u64],
    rows: Vec<&'r [u8]>,
}

impl<'r> RowsRead<'r> {
    /// Of positions in ascending order.
    pub fn new(positions: &'r [u64], rows: impl Iterator<Item = &'r [u8]>) -> Self {
        Self { positions, rows: rows.collect() }
    }
}

impl ReadChunk for RowsRead<'_> {
    fn read<'a>(&'a self, positions: &[Range<u64>], rows: &mut ReadRows<'a>) -> Result<()> {
        let row = |position| self.rows[self.positions.partition_point(|other| *other < position)];
        rows.leave(positions.iter().cloned().flatten().map(row).collect());
        Ok(())
    }
}
