//! Writing where a file has bytes already, without HDF5: results, and what tells that they are there.
//!
//! A file that was cut off meanwhile isn't made longer again: it would look whole, with nothing in what was
//! lost.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::file::check_length;
use crate::error::{Error, Result};

/// A file that is written to in place.
pub(crate) trait InPlace: Send + Sync {
    /// Writes `bytes` at `offset`.
    ///
    /// # Errors
    /// If the file has become too short, or can't be written.
    fn write(&self, bytes: &[u8], offset: u64) -> Result<()>;
    /// Brings what was written to where it survives a power cut.
    ///
    /// # Errors
    /// If the file can't be written.
    fn sync(&self) -> Result<()>;
}

/// A file that is written to by the system's own calls.
pub(crate) struct Direct {
    path: PathBuf,
    file: File,
}

impl Direct {
    /// The file that is open as `file`.
    ///
    /// # Errors
    /// If the system has no more file descriptors.
    pub fn new(path: &Path, file: &File) -> Result<Self> {
        let file = file.try_clone().map_err(|error| Error::io("write", path, error))?;
        Ok(Self { path: path.to_owned(), file })
    }
}

impl InPlace for Direct {
    fn write(&self, bytes: &[u8], offset: u64) -> Result<()> {
        check_length("write", &self.path, &self.file, offset + bytes.len() as u64)?;
        self.file.write_all_at(bytes, offset).map_err(|error| Error::io("write", &self.path, error))
    }

    fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|error| Error::io("write", &self.path, error))
    }
}
