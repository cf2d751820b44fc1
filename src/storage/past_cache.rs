//! Reads past the system's cache of files, straight from the disk: what others have in the cache
//! stays there, and the processor has next to nothing to do.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::{Arc, OnceLock};

use super::reading_ahead::{ReadingAhead, pieces};

/// What offsets, lengths and addresses of such reads are multiples of, whatever the disk.
const SECTOR: usize = 4096;

/// Bytes that are read at a time at most, besides what makes them whole sectors.
const PIECE: usize = 1 << 20;

/// A page of memory that a disk may write to at once: pages of 4 KiB have it write to hundreds of
/// places, which took twice as long here.
pub(super) const LARGE_PAGE: usize = 2 << 20;

/// Bytes of memory that each thread takes that reads so.
pub(crate) const READER_BYTES: u64 = LARGE_PAGE as u64;

thread_local! {
    static LANDING: RefCell<Landing> = RefCell::default();
}

/// A file under a second descriptor, opened when it is first read.
#[derive(Default)]
pub(super) struct PastCache {
    file: OnceLock<Option<Arc<File>>>,
    ahead: OnceLock<Option<ReadingAhead>>,
}

impl PastCache {
    /// Reads all of `bytes` from `offset` of `file` on; `false` if that can't be: not all file
    /// systems let files be read so, and what is wrong with a file a usual read tells.
    pub fn read(&self, file: &File, mut bytes: &mut [u8], offset: u64) -> bool {
        let Some(direct) = self.direct(file) else { return false };
        let Some(ahead) = self.ahead.get().and_then(Option::as_ref) else {
            return read(direct, bytes, offset);
        };
        pieces(offset, bytes.len() as u64).all(|(piece, part)| {
            let length = (part.end - part.start) as usize;
            let (own, rest) = std::mem::take(&mut bytes).split_at_mut(length);
            bytes = rest;
            ahead.take(piece, part.start as usize, own)
                || read(direct, own, piece * LARGE_PAGE as u64 + part.start)
        })
    }

    /// Has these bytes of `file` read ahead, if that can be.
    pub fn announce(&self, file: &File, start: u64, length: u64) {
        let Some(direct) = self.direct(file) else { return };
        if let Some(ahead) = self.ahead.get_or_init(|| ReadingAhead::new(direct)) {
            ahead.announce(start, length);
        }
    }

    fn direct(&self, file: &File) -> Option<&Arc<File>> {
        self.file.get_or_init(|| open(file).map(Arc::new)).as_ref()
    }
}

/// The same file, whatever lies at its path by now.
pub(super) fn open(file: &File) -> Option<File> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    OpenOptions::new().read(true).custom_flags(libc::O_DIRECT | libc::O_NONBLOCK).open(path).ok()
}

/// Reads all of `bytes` by way of memory that a disk may write to.
fn read(direct: &File, bytes: &mut [u8], mut offset: u64) -> bool {
    LANDING.with_borrow_mut(|landing| {
        bytes.chunks_mut(PIECE).all(|piece| {
            let before = offset as usize % SECTOR;
            let needed = before + piece.len();
            let room = landing.room(needed.next_multiple_of(SECTOR));
            let is_read = fill(direct, room, offset - before as u64, needed) >= needed;
            if is_read {
                piece.copy_from_slice(&room[before..][..piece.len()]);
            }
            offset += piece.len() as u64;
            is_read
        })
    })
}

/// Reads whole sectors from `offset` on, until `needed` bytes are there; says how many are.
pub(super) fn fill(direct: &File, room: &mut [u8], offset: u64, needed: usize) -> usize {
    let mut filled = 0;
    while filled < needed {
        match direct.read_at(&mut room[filled..], offset + filled as u64) {
            // The end of the file, or of what can be read so.
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    filled
}

/// Memory that disks may write to.
#[derive(Default)]
pub(super) struct Landing {
    memory: Vec<u8>,
    /// Where in it bytes were last read to.
    begin: usize,
}

impl Landing {
    /// So many bytes, beginning with a sector, or with a large page if they take more than half of
    /// one.
    pub fn room(&mut self, bytes: usize) -> &mut [u8] {
        let page = if bytes > LARGE_PAGE / 2 { LARGE_PAGE } else { SECTOR };
        let whole = bytes.next_multiple_of(page);
        if self.memory.len() < whole + page {
            self.memory = vec![0; whole + page];
            if page == LARGE_PAGE {
                advise_large(&mut self.memory);
            }
        }
        self.begin = self.memory.as_ptr().align_offset(page);
        &mut self.memory[self.begin..][..bytes]
    }

    /// What was last read.
    pub fn landed(&self) -> &[u8] {
        &self.memory[self.begin..]
    }
}

/// Asks for large pages in some memory.
fn advise_large(memory: &mut [u8]) {
    let aligned = memory.as_ptr().align_offset(LARGE_PAGE);
    let whole = &mut memory[aligned..];
    // SAFETY: advice on memory that is all ours; it changes nothing in it.
    unsafe {
        libc::madvise(whole.as_mut_ptr().cast(), whole.len(), libc::MADV_HUGEPAGE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_the_file_has_wherever_it_begins() {
        // Beside the program, since file systems in memory may have no such reads.
        let program = std::env::current_exe().unwrap();
        let folder = tempfile::tempdir_in(program.parent().unwrap()).unwrap();
        let path = folder.path().join("data");
        let bytes: Vec<u8> =
            (0..3 * PIECE + 77).map(|at| ((at * 2_654_435_761) >> 13) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let file = File::open(&path).unwrap();
        let past = PastCache::default();
        let ranges =
            [(0, 10), (4095, 2), (77, PIECE), (5, 3 * PIECE), (3 * PIECE, 77), (8192, 4096)];
        for (offset, length) in ranges {
            let mut read = vec![0; length];
            assert!(past.read(&file, &mut read, offset as u64), "{length} bytes from {offset} on");
            assert!(read == bytes[offset..][..length], "{length} bytes from {offset} on");
        }
        assert!(!past.read(&file, &mut [0; 78], 3 * PIECE as u64), "it ends before");
        assert!(!past.read(&file, &mut [0; 1], 1 << 40));
    }

    #[test]
    fn memory_begins_with_a_page() {
        let mut landing = Landing::default();
        for (bytes, page) in [(SECTOR, SECTOR), (PIECE + SECTOR, LARGE_PAGE), (SECTOR, SECTOR)] {
            let room = landing.room(bytes);
            assert_eq!((room.len(), room.as_ptr().addr() % page), (bytes, 0));
        }
    }
}
