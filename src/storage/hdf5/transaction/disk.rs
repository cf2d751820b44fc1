//! The few operations on a file that a transaction is made of.
//!
//! A trait, so that tests can stop a commit at every single one of them, also in the middle of a
//! write. Nothing here knows HDF5.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

/// A file that can be read, written in place, cut and forced to stable storage.
pub(crate) trait Disk: Send {
    /// Length of the file in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Reads into `buffer` at `offset`; returns how many bytes there were before the end of the
    /// file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `bytes` at `offset`.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts or extends the file.
    fn set_length(&mut self, length: u64) -> io::Result<()>;
    /// Returns when everything written is on stable storage.
    fn sync(&mut self) -> io::Result<()>;
    /// Gives the room of some bytes that nothing refers to back to the file system, if it takes it;
    /// the file keeps its length.
    fn free(&mut self, _bytes: Range<u64>) {}
    /// The system's own file, if it is one.
    fn file(&self) -> Option<&File> {
        None
    }
}

impl Disk for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match FileExt::read_at(self, &mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn set_length(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn free(&mut self, bytes: Range<u64>) {
        let (Ok(start), Ok(length)) =
            (libc::off_t::try_from(bytes.start), libc::off_t::try_from(bytes.end - bytes.start))
        else {
            return;
        };
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        // Not every file system can. Then the room stays taken, which harms nothing else.
        // SAFETY: a call on an open file that touches no memory.
        unsafe { libc::fallocate(self.as_raw_fd(), mode, start, length) };
    }

    fn file(&self) -> Option<&File> {
        Some(self)
    }
}
