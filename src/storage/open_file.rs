//! Files of the system: one that somebody has open, with the path that it was opened by, and what
//! may be opened at all.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use super::known_tables::KnownTables;
use pixelmill_core::error::{Error, Result};

/// An open file and its path.
#[derive(Clone, Copy)]
pub(crate) struct OpenFile<'a> {
    pub path: &'a Path,
    pub file: &'a File,
    /// Tables that were read of it before.
    pub known: Option<&'a KnownTables>,
}

impl<'a> OpenFile<'a> {
    /// One of which nothing is known.
    pub fn new(path: &'a Path, file: &'a File) -> Self {
        Self { path, file, known: None }
    }
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

/// Opens a file for reading; a pipe doesn't make it wait.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// What there is at a path instead of a file. Opening a pipe would wait for somebody at its other
/// end, and a device may do anything.
pub(crate) fn other_than_file(path: &Path) -> Option<&'static str> {
    let found = std::fs::metadata(path).ok()?.file_type();
    match () {
        () if found.is_file() => None,
        () if found.is_dir() => Some("it is a folder"),
        () if found.is_fifo() => Some("it is a pipe"),
        () if found.is_socket() => Some("it is a socket"),
        () => Some("it is a device"),
    }
}
