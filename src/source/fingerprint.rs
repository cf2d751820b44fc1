//! A quick look at a source's bytes, before anything is computed: data that were acquired again
//! aren't taken for the old.
//!
//! Bytes are hashed as they are stored, chunks compressed as they are. Small sources are hashed
//! whole. Of large ones a fixed sample of blocks is, and of all chunks their stored lengths: it
//! takes some milliseconds, and an exchange of the data shows; the change of a single value may
//! not. That shows in the `digest` of all rows, which is taken while they are computed with.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use twox_hash::xxhash3_128::Hasher;

use super::digest::RowsDigest;
use crate::storage::rows::{Chunks, Rows, Stored};
use pixelmill_core::error::{Error, Result};

/// Sources up to this size are hashed whole: some ten milliseconds on two cores, if they are in the
/// page cache.
const WHOLE: u64 = 64 << 20;
/// How many samples are taken of a larger source.
const SAMPLES: u64 = 256;
/// Bytes of one sample.
const SAMPLE_BYTES: u64 = 32 << 10;
/// Threads that read blocks: not for the processor's sake, but because disks and networks are
/// faster when they are asked for several things at once.
const READERS: usize = 4;

/// Bytes in the file that are hashed together.
struct Sample {
    number: u64,
    offset: u64,
    length: u64,
}

/// XXH3-128 of the stored bytes, or of a sample of them, as hexadecimal digits.
///
/// # Errors
/// If they can't be read.
pub(crate) fn fingerprint(rows: &Rows) -> Result<String> {
    let mut hash = Hasher::new();
    hash.write(&rows.view().count().to_le_bytes());
    hash.write(&rows.stored_row_bytes().to_le_bytes());
    let content = match rows.stored() {
        Stored::Extent(offset) => {
            let bytes = rows.bytes();
            let blocks = sample(bytes.div_ceil(SAMPLE_BYTES), bytes);
            hash_samples(rows, blocks.map(|number| sample_at(number, offset, bytes)).collect())?
        }
        Stored::Chunks(chunks) => {
            for chunk in chunks.iter() {
                for number in [chunk.number, chunk.size, chunk.mask.into()] {
                    hash.write(&number.to_le_bytes());
                }
            }
            hash_samples(rows, chunk_samples(chunks))?
        }
        Stored::Elsewhere => hash_rows(rows)?,
    };
    hash.write(content.to_string().as_bytes());
    Ok(format!("{:032x}", hash.finish_128()))
}

/// Whether the fingerprint is one of all bytes, not of a sample.
pub(crate) fn is_whole(rows: &Rows) -> bool {
    let bytes = match rows.stored() {
        Stored::Chunks(chunks) => chunks.stored_bytes(),
        Stored::Extent(_) | Stored::Elsewhere => rows.bytes(),
    };
    bytes <= WHOLE
}

/// XXH3-128 of where the stored bytes lie in the file, as hexadecimal digits.
pub(crate) fn layout(rows: &Rows) -> String {
    let mut hash = Hasher::new();
    match rows.stored() {
        Stored::Extent(offset) => {
            hash.write(&offset.to_le_bytes());
            hash.write(&rows.bytes().to_le_bytes());
        }
        Stored::Chunks(chunks) => {
            for chunk in chunks.iter() {
                for number in [chunk.number, chunk.address, chunk.size, chunk.mask.into()] {
                    hash.write(&number.to_le_bytes());
                }
            }
        }
        Stored::Elsewhere => {}
    }
    format!("{:032x}", hash.finish_128())
}

fn sample_at(number: u64, offset: u64, bytes: u64) -> Sample {
    let start = number * SAMPLE_BYTES;
    Sample { number, offset: offset + start, length: SAMPLE_BYTES.min(bytes - start) }
}

fn chunk_samples(chunks: &Chunks) -> Vec<Sample> {
    let total = chunks.stored_bytes();
    // Of the chunks of a sample only the beginning, so that it stays one.
    let most = if total <= WHOLE { u64::MAX } else { SAMPLE_BYTES };
    let chosen = sample(chunks.len() as u64, total).map(|at| chunks.get(at as usize));
    chosen
        .map(|chunk| Sample {
            number: chunk.number,
            offset: chunk.address,
            length: chunk.size.min(most),
        })
        .collect()
}

/// The numbers of the blocks that are hashed, of `blocks` with `total` bytes: spread evenly, the
/// first and the last always among them.
fn sample(blocks: u64, total: u64) -> impl Iterator<Item = u64> {
    let count = if total <= WHOLE { blocks } else { blocks.min(SAMPLES) };
    (0..count).map(move |index| if count <= 1 { 0 } else { index * (blocks - 1) / (count - 1) })
}

/// The sum of the samples' hashes.
fn hash_samples(rows: &Rows, samples: Vec<Sample>) -> Result<RowsDigest> {
    let (next, is_sample) = (AtomicUsize::new(0), !is_whole(rows));
    let read = || -> Result<RowsDigest> {
        let (mut digest, mut bytes) = (RowsDigest::default(), Vec::new());
        while let Some(sample) = samples.get(next.fetch_add(1, Ordering::Relaxed)) {
            rows.read_stored(sample.offset, &mut bytes, (sample.length, is_sample))?;
            digest.add_rows(0, [sample.number], [bytes.as_slice()]);
        }
        Ok(digest)
    };
    thread::scope(|scope| {
        let others = 1..READERS.min(samples.len());
        // Where there can be no more threads, this one reads all.
        let helpers: Vec<_> =
            others.filter_map(|_| thread::Builder::new().spawn_scoped(scope, read).ok()).collect();
        let mut sum = read()?;
        for helper in helpers {
            sum += helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok(sum)
    })
}

/// Hashes rows, or that they can't be read.
fn hash_rows(rows: &Rows) -> Result<RowsDigest> {
    let row_bytes = rows.row_bytes() as u64;
    let positions = rows.view().count();
    let block_rows = SAMPLE_BYTES.div_ceil(row_bytes.max(1));
    let (mut digest, mut bytes) = (RowsDigest::default(), Vec::new());
    for block in sample(positions.div_ceil(block_rows), rows.bytes()) {
        let first = block * block_rows;
        let run = first..positions.min(first + block_rows);
        bytes.resize(((run.end - run.start) * row_bytes) as usize, 0);
        match rows.read_into(std::slice::from_ref(&run), &mut bytes) {
            Err(Error::Damaged { .. }) => digest.add_damaged(first),
            other => {
                other?;
                digest.add_rows(0, [first], [bytes.as_slice()]);
            }
        }
    }
    Ok(digest)
}
