//! A file that somebody has open, and the path that it was opened by.

use std::fs::File;
use std::path::Path;

use pixelmill_core::error::{Error, Result};

/// An open file and its path.
#[derive(Clone, Copy)]
pub(crate) struct OpenFile<'a> {
    pub path: &'a Path,
    pub file: &'a File,
}

impl OpenFile<'_> {
    /// The same file under a descriptor of one's own, for `action`.
    ///
    /// # Errors
    /// If the system has no more file descriptors.
    pub fn duplicate(self, action: &'static str) -> Result<File> {
        self.file.try_clone().map_err(|error| Error::io(action, self.path, error))
    }

    /// Whether the file has `needed` bytes, before `action`.
    ///
    /// # Errors
    /// If it has less.
    pub fn check_length(self, action: &'static str, needed: u64) -> Result<()> {
        let found = self.file.metadata().map_err(|error| Error::io(action, self.path, error))?;
        if found.len() < needed {
            let (path, length) = (self.path.to_owned(), found.len());
            return Err(Error::Truncated { path, length, needed });
        }
        Ok(())
    }
}
