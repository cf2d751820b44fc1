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

/// Zeros behind a file's end that are worth being asked for instead of written.
const RESERVED: usize = 64 << 10;

fn are_zero(bytes: &[u8]) -> bool {
    // Without a branch per byte.
    bytes.chunks(1 << 12).all(|some| some.iter().fold(0, |all, byte| all | byte) == 0)
}

/// Has the file system give room to so many zeros behind the end of a file; `false` if they have to
/// be written: not all can, and bytes that are there may be others.
///
/// # Errors
/// If the disk is full.
fn reserve(file: &File, length: usize, offset: u64) -> io::Result<bool> {
    let (Ok(start), Ok(length)) = (libc::off_t::try_from(offset), libc::off_t::try_from(length))
    else {
        return Ok(false);
    };
    if offset < file.length()? {
        return Ok(false);
    }
    // SAFETY: a call on an open file that touches no memory.
    if unsafe { libc::fallocate(file.as_raw_fd(), 0, start, length) } == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::StorageFull { Err(error) } else { Ok(false) }
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
        if bytes.len() >= RESERVED && are_zero(bytes) && reserve(self, bytes.len(), offset)? {
            return Ok(());
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_read_back_wherever_they_are_written() {
        let mut file = tempfile::tempfile().unwrap();
        Disk::write_at(&mut file, b"remains", 200_000).unwrap();
        // Across the end, behind it with a gap, and just behind it.
        for (offset, end) in [(150_000, 281_072), (300_000, 431_072), (431_072, 562_144)] {
            Disk::write_at(&mut file, &vec![0; 131_072], offset).unwrap();
            assert_eq!(file.length().unwrap(), end);
            let mut found = vec![1; 131_072];
            assert_eq!(Disk::read_at(&file, &mut found, offset).unwrap(), 131_072);
            assert!(are_zero(&found), "{offset}");
        }
        Disk::write_at(&mut file, b"more", 300_007).unwrap();
        let mut found = [1; 6];
        Disk::read_at(&file, &mut found, 300_006).unwrap();
        assert_eq!(&found, b"\0more\0");
    }
}
