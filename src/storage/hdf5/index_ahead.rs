//! The index of many small chunks, read ahead.
//!
//! HDF5 reads the nodes of a B-tree one after the other, and waits for the disk at each. They lie
//! between the chunks, as these were written: where chunks are small, a disk reads a stretch of
//! both in less time than it takes to find some nodes by themselves. What comes with them is what
//! somebody is about to read anyway.

use std::fs::File;

use hdf5::Dataset;
use hdf5_sys::h5d;

use super::super::cache;
use super::transaction;

/// Bytes that are read ahead.
const STRETCH: u64 = 1 << 20;
/// Chunks that lie in such a stretch at least: then there are some nodes among them.
const CHUNKS: u64 = 256;
/// The kinds of indices that are trees.
const TREES: [h5d::H5D_chunk_index_t; 2] = [0, 5];

/// Reads ahead while chunks are told in the order of their index.
#[derive(Default)]
pub(super) struct Ahead {
    file: Option<File>,
    told: u64,
    /// Where the chunk lies that was told `CHUNKS` ago.
    before: u64,
    /// Up to where it was read ahead.
    end: u64,
}

impl Ahead {
    /// For the chunks of a dataset.
    pub fn of(dataset: &Dataset) -> Self {
        let holder = is_tree(dataset).then(|| transaction::holder(dataset).ok().flatten());
        Self { file: holder.flatten().map(|(_, file, _)| file), ..Self::default() }
    }

    /// A chunk was told that lies at this address.
    pub fn told(&mut self, address: u64) {
        self.told += 1;
        if self.file.is_none() || !self.told.is_multiple_of(CHUNKS) {
            return;
        }
        let next = self.next(address);
        if let (Some(file), Some((start, length))) = (&self.file, next) {
            cache::fetch(file, start, length);
        }
    }

    /// What is to be read ahead next, of a file whose chunks were told up to this address.
    fn next(&mut self, address: u64) -> Option<(u64, u64)> {
        let passed = address.checked_sub(std::mem::replace(&mut self.before, address));
        if passed.is_none_or(|passed| passed > STRETCH) {
            return None;
        }
        let end = address.checked_add(2 * STRETCH)?;
        let start = if (address..end).contains(&self.end) { self.end } else { address };
        self.end = end;
        Some((start, end - start))
    }
}

/// Whether the index of a dataset's chunks has nodes that lie between them.
fn is_tree(dataset: &Dataset) -> bool {
    let mut kind = 0;
    hdf5::sync::sync(|| {
        // SAFETY: the dataset is open and `kind` takes the one number that comes back.
        let status = unsafe { h5d::H5Dget_chunk_index_type(dataset.id(), &raw mut kind) };
        status >= 0 && TREES.contains(&kind)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_many_chunks_is_read_ahead_and_each_byte_once() {
        let mut ahead = Ahead::default();
        assert_eq!(ahead.next(100 << 20), None, "nobody knows how far apart they are");
        let first = ahead.next((100 << 20) + 5000).unwrap();
        assert_eq!(first, ((100 << 20) + 5000, 2 * STRETCH));
        assert_eq!(ahead.next((100 << 20) + 9000), Some((first.0 + first.1, 4000)));
        assert_eq!(ahead.next(200 << 20), None, "it goes on elsewhere");
        assert_eq!(ahead.next(50 << 20), None);
        assert_eq!(ahead.next((50 << 20) + 1), Some(((50 << 20) + 1, 2 * STRETCH)));
        assert_eq!(ahead.next(u64::MAX), None);
    }
}
