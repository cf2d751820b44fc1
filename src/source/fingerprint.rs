//! A hash of a source's bytes, so that data which was acquired again isn't taken for the old.
//!
//! Bytes are hashed as they are stored, chunks compressed as they are. Small sources are hashed whole.
//! Of large ones a fixed sample of blocks is, and of all chunks their stored lengths: it takes a
//! fraction of a second, and an exchange of the data shows; the change of a single value may not.

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::storage::rows::{Rows, Stored};

/// Sources up to this size are hashed whole: well under half a second at SHA-256's speed.
const WHOLE: u64 = 64 << 20;
/// Number of blocks in the sample of a larger source.
const BLOCKS: u64 = 256;
/// Bytes of one block.
const BLOCK: u64 = 64 << 10;

/// SHA-256 of the stored bytes, or of a sample of them, as hexadecimal digits.
///
/// # Errors
/// If they can't be read.
pub(crate) fn fingerprint(rows: &Rows) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(rows.view().count().to_le_bytes());
    hash.update((rows.row_bytes() as u64).to_le_bytes());
    match rows.stored() {
        Stored::Extent { offset, bytes } => {
            let mut buffer = Vec::new();
            for block in sample(bytes.div_ceil(BLOCK), bytes) {
                let start = block * BLOCK;
                rows.read_stored(offset + start, &mut buffer, BLOCK.min(bytes - start))?;
                hash.update(&buffer);
            }
        }
        Stored::Chunks(chunks) => {
            for chunk in chunks {
                for number in [chunk.number, chunk.size, chunk.mask.into()] {
                    hash.update(number.to_le_bytes());
                }
            }
            let total = chunks.iter().map(|chunk| chunk.size).sum();
            let mut buffer = Vec::new();
            for at in sample(chunks.len() as u64, total) {
                let chunk = chunks[at as usize];
                // Of the chunks of a sample only the beginning, so that it stays one.
                let most = if total <= WHOLE { chunk.size } else { chunk.size.min(BLOCK) };
                rows.read_stored(chunk.address, &mut buffer, most)?;
                hash.update(&buffer);
            }
        }
        Stored::Elsewhere => hash_rows(rows, &mut hash)?,
    }
    Ok(hex(&hash.finalize()))
}

/// SHA-256 of where the stored bytes lie in the file, as hexadecimal digits.
pub(crate) fn layout(rows: &Rows) -> String {
    let mut hash = Sha256::new();
    match rows.stored() {
        Stored::Extent { offset, bytes } => {
            hash.update(offset.to_le_bytes());
            hash.update(bytes.to_le_bytes());
        }
        Stored::Chunks(chunks) => {
            for chunk in chunks {
                for number in [chunk.number, chunk.address, chunk.size, chunk.mask.into()] {
                    hash.update(number.to_le_bytes());
                }
            }
        }
        Stored::Elsewhere => {}
    }
    hex(&hash.finalize())
}

/// The numbers of the blocks that are hashed, of `blocks` with `total` bytes: spread evenly, the first
/// and the last always among them.
fn sample(blocks: u64, total: u64) -> impl Iterator<Item = u64> {
    let count = if total <= WHOLE { blocks } else { blocks.min(BLOCKS) };
    (0..count).map(move |index| if count <= 1 { 0 } else { index * (blocks - 1) / (count - 1) })
}

/// Hashes rows, or that they can't be read.
fn hash_rows(rows: &Rows, hash: &mut Sha256) -> Result<()> {
    let row_bytes = rows.row_bytes() as u64;
    let positions = rows.view().count();
    let block_rows = BLOCK.div_ceil(row_bytes.max(1));
    let mut buffer = Vec::new();
    for block in sample(positions.div_ceil(block_rows), positions * row_bytes) {
        let first = block * block_rows;
        let run = first..positions.min(first + block_rows);
        buffer.resize(((run.end - run.start) * row_bytes) as usize, 0);
        match rows.read_into(std::slice::from_ref(&run), &mut buffer) {
            Err(Error::Damaged { reason, .. }) => hash.update(reason),
            other => {
                other?;
                hash.update(&buffer);
            }
        }
    }
    Ok(())
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
