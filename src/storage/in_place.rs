//! Writing where a file has bytes already, without HDF5: results, and what tells that they are
//! there.
//!
//! Nothing can be written but a `Part`, which only an `Extent` gives, and only within its own
//! bounds: whatever goes wrong elsewhere, the bytes of other objects stay as they are.
//!
//! A file that was cut off meanwhile isn't made longer again: it would look whole, with nothing in
//! what was lost.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::open_file::OpenFile;
use pixelmill_core::error::{Error, Result};

/// The bytes of one object in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Extent {
    offset: u64,
    length: u64,
}

/// Bytes and where they go.
pub(crate) struct Part<'a> {
    offset: u64,
    bytes: &'a [u8],
}

impl Extent {
    /// What lies at `offset`; `None` if that is more than a file can have.
    pub fn new(offset: u64, length: u64) -> Option<Self> {
        offset.checked_add(length).filter(|end| i64::try_from(*end).is_ok())?;
        Some(Self { offset, length })
    }

    /// Its first byte.
    pub fn start(self) -> u64 {
        self.offset
    }

    /// The first byte behind it.
    pub fn end(self) -> u64 {
        self.offset + self.length
    }

    /// How many bytes it has.
    pub fn len(self) -> u64 {
        self.length
    }

    /// `bytes` for the place `at` bytes into it.
    ///
    /// # Errors
    /// If they would reach over its end.
    pub fn part(self, at: u64, bytes: &[u8]) -> Result<Part<'_>> {
        let end = at.checked_add(bytes.len() as u64).filter(|end| *end <= self.length);
        match end {
            Some(_) => Ok(Part { offset: self.offset + at, bytes }),
            None => Err(Error::OutOfPlace { at, bytes: bytes.len() as u64, length: self.length }),
        }
    }

    /// Fills `bytes` with what `file` has `at` bytes into it.
    ///
    /// # Errors
    /// If it can't be read, or that reaches over its end.
    pub fn read(self, file: &File, at: u64, bytes: &mut [u8]) -> io::Result<()> {
        let end = at.checked_add(bytes.len() as u64).filter(|end| *end <= self.length);
        end.ok_or(io::ErrorKind::UnexpectedEof)?;
        file.read_exact_at(bytes, self.offset + at)
    }
}

impl<'a> Part<'a> {
    /// Where the bytes go in the file.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The first byte of the file behind it.
    pub fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }
}

/// A file that is written to in place.
pub(crate) trait InPlace: Send + Sync {
    /// Writes a part of an object.
    ///
    /// # Errors
    /// If the file has become too short, or can't be written.
    fn write(&self, part: Part<'_>) -> Result<()>;
    /// Fills `bytes` with what an object has `at` bytes into it.
    ///
    /// # Errors
    /// If it can't be read.
    fn read(&self, extent: Extent, at: u64, bytes: &mut [u8]) -> Result<()>;
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
    /// The same file.
    ///
    /// # Errors
    /// If the system has no more file descriptors.
    pub fn new(file: OpenFile<'_>) -> Result<Self> {
        Ok(Self { path: file.path.to_owned(), file: file.duplicate("write")? })
    }
}

impl InPlace for Direct {
    fn write(&self, part: Part<'_>) -> Result<()> {
        // Subtle: who cuts the file off in this very moment has one write that makes it longer
        // again, since no call of the system writes only where there is something. What protects
        // results is that their marks lie behind them, and are gone with them, and that a file is
        // refused as truncated by each further write, by HDF5 and by the next run while its end is
        // missing. Only results that were compressed and got their room back for failed positions
        // may lie behind their marks.
        OpenFile::new(&self.path, &self.file).check_length("write", part.end())?;
        let written = self.file.write_all_at(part.bytes(), part.offset());
        written.map_err(|error| Error::io("write", &self.path, error))
    }

    fn read(&self, extent: Extent, at: u64, bytes: &mut [u8]) -> Result<()> {
        let read = extent.read(&self.file, at, bytes);
        read.map_err(|error| Error::io("read", &self.path, error))
    }

    fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|error| Error::io("write", &self.path, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_over_the_end_of_an_object() {
        let extent = Extent::new(100, 10).unwrap();
        let part = extent.part(3, &[0; 7]).unwrap();
        assert_eq!((part.offset(), part.end()), (103, 110));
        for (at, bytes) in [(3, 8), (11, 0), (u64::MAX, 2)] {
            assert!(extent.part(at, &vec![0; bytes]).is_err(), "{bytes} bytes at {at}");
        }
        assert_eq!(Extent::new(u64::MAX, 1), None);
        assert_eq!(Extent::new(1 << 62, 1 << 62), None);
    }

    #[test]
    fn a_file_that_was_cut_off_is_not_made_longer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results");
        let file = File::create_new(&path).unwrap();
        file.set_len(110).unwrap();
        let extent = Extent::new(100, 10).unwrap();
        let direct = Direct::new(OpenFile::new(&path, &file)).unwrap();
        direct.write(extent.part(3, &[1; 7]).unwrap()).unwrap();
        file.set_len(109).unwrap();
        let refused = direct.write(extent.part(3, &[1; 7]).unwrap());
        let (length, needed) = (109, 110);
        assert_eq!(
            refused.unwrap_err().to_string(),
            Error::Truncated { path, length, needed }.to_string()
        );
        assert_eq!(file.metadata().unwrap().len(), length);
        direct.write(extent.part(3, &[1; 6]).unwrap()).unwrap();
    }
}
