//! A hash of a source's bytes, so that data which was acquired again isn't taken for the old.
//!
//! Small sources are hashed whole. Of large ones a fixed sample of blocks is, so that it takes a
//! fraction of a second: an exchange of the data shows, the change of a single value may not.

use sha2::{Digest, Sha256};

use crate::error::Result;
use crate::process::ReadChunk;

/// Sources up to this size are hashed whole: well under half a second at SHA-256's speed.
const WHOLE: u64 = 64 << 20;
/// Number of blocks in the sample of a larger source.
const BLOCKS: u64 = 256;
/// Bytes of one block, rounded up to whole rows.
const BLOCK: u64 = 64 << 10;

/// SHA-256 of the rows, or of a sample of them, as hexadecimal digits.
///
/// # Errors
/// If rows can't be read.
pub(crate) fn fingerprint(
    rows: &dyn ReadChunk,
    positions: u64,
    row_bytes: usize,
) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(positions.to_le_bytes());
    hash.update((row_bytes as u64).to_le_bytes());
    let block_rows = BLOCK.div_ceil(row_bytes as u64);
    let total = positions * row_bytes as u64;
    let blocks = positions.div_ceil(block_rows);
    let sample = if total <= WHOLE { blocks } else { blocks.min(BLOCKS) };
    let mut buffer = Vec::new();
    for index in 0..sample {
        // Spread evenly; the first and the last block are always among them.
        let block = if sample <= 1 { 0 } else { index * (blocks - 1) / (sample - 1) };
        let first = block * block_rows;
        let count = block_rows.min(positions - first);
        buffer.resize(count as usize * row_bytes, 0);
        rows.read(first, &mut buffer)?;
        hash.update(&buffer);
    }
    Ok(hex(&hash.finalize()))
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
