//! Rows of a dataset as bytes: by `pread` where HDF5 says they lie, else through the library.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use hdf5::Dataset;
use hdf5::dataset::Layout;

use super::library;
use crate::error::{Error, Result};
use crate::process::ReadChunk;

/// The rows of one dataset.
pub(crate) struct Rows {
    path: PathBuf,
    dataset: String,
    row_bytes: usize,
    how: How,
}

enum How {
    Raw { file: File, offset: u64 },
    Library { dataset: Dataset, why: &'static str, cache: u64 },
}

impl Rows {
    /// The rows of `dataset`, which lies in the file at `path`, opened as `file`. The library may
    /// keep `cache_limit` bytes of decoded chunks.
    ///
    /// # Errors
    /// If the file has less bytes than the dataset needs.
    pub fn new(path: &Path, file: &File, dataset: &Dataset, cache_limit: u64) -> Result<Self> {
        let shape = dataset.shape();
        let row_bytes =
            shape.iter().skip(1).product::<usize>() * dataset.dtype().map_or(0, |t| t.size());
        let how = match raw_offset(dataset) {
            Ok(offset) => {
                let file = file.try_clone().map_err(|error| Error::io("read", path, error))?;
                let length = file.metadata().map_err(|error| Error::io("read", path, error))?.len();
                let needed = offset + shape[0] as u64 * row_bytes as u64;
                if length < needed {
                    return Err(Error::Truncated { path: path.to_owned(), length, needed });
                }
                How::Raw { file, offset }
            }
            Err(why) => {
                let cache = chunk_cache(dataset, row_bytes).min(cache_limit);
                let dataset = library::open_with_cache(dataset, cache)
                    .map_err(|error| Error::dataset("open", path, &dataset.name(), &error))?;
                How::Library { dataset, why, cache }
            }
        };
        Ok(Self { path: path.to_owned(), dataset: dataset.name(), row_bytes, how })
    }

    /// Why the rows can't be read without the library, if so.
    pub fn why_library(&self) -> Option<&'static str> {
        match self.how {
            How::Raw { .. } => None,
            How::Library { why, .. } => Some(why),
        }
    }

    /// Whether these are the rows of `dataset`, at the same place in the file.
    pub fn are_those_of(&self, dataset: &Dataset) -> bool {
        match (&self.how, raw_offset(dataset)) {
            (How::Raw { offset, .. }, Ok(found)) => *offset == found,
            (How::Library { why, .. }, Err(found)) => *why == found,
            _ => false,
        }
    }

    /// Bytes that the library keeps.
    pub fn cache_bytes(&self) -> u64 {
        match self.how {
            How::Raw { .. } => 0,
            How::Library { cache, .. } => cache,
        }
    }

    /// Tells the system that these rows will be read soon.
    pub fn announce(&self, first: u64, count: u64) {
        if let How::Raw { file, offset } = &self.how {
            let start = offset + first * self.row_bytes as u64;
            let length = count * self.row_bytes as u64;
            // SAFETY: advice on an open file; it touches no memory, and may be ignored.
            unsafe {
                libc::posix_fadvise(
                    file.as_raw_fd(),
                    start as libc::off_t,
                    length as libc::off_t,
                    libc::POSIX_FADV_WILLNEED,
                );
            }
        }
    }
}

impl ReadChunk for Rows {
    fn read(&self, first: u64, rows: &mut [u8]) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        match &self.how {
            How::Raw { file, offset } => {
                let start = offset + first * self.row_bytes as u64;
                file.read_exact_at(rows, start).map_err(|error| match error.kind() {
                    std::io::ErrorKind::UnexpectedEof => Error::Truncated {
                        path: self.path.clone(),
                        length: file.metadata().map_or(0, |metadata| metadata.len()),
                        needed: start + rows.len() as u64,
                    },
                    _ => Error::io("read", &self.path, error),
                })
            }
            How::Library { dataset, .. } => library::read_rows(dataset, first, rows)
                .map_err(|error| Error::dataset("read", &self.path, &self.dataset, &error)),
        }
    }
}

/// Bytes of two rows of chunks: what consecutive units need for each chunk to be decoded once.
fn chunk_cache(dataset: &Dataset, row_bytes: usize) -> u64 {
    let rows = dataset.chunk().and_then(|chunk| chunk.first().copied()).unwrap_or(0);
    2 * (rows * row_bytes) as u64
}

/// Where the rows begin in the file; the error says why they can't be read raw.
fn raw_offset(dataset: &Dataset) -> Result<u64, &'static str> {
    match dataset.layout() {
        Layout::Contiguous => {}
        Layout::Chunked => return Err("chunked"),
        Layout::Compact => return Err("compact"),
        Layout::Virtual => return Err("virtual"),
    }
    let external = dataset.dcpl().is_ok_and(|list| !list.external().is_empty());
    if external {
        return Err("external storage");
    }
    dataset.offset().ok_or("no storage allocated")
}
