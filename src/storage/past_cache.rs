//! Reads past the system's cache of files, straight from the disk: what others have in the cache
//! stays there, and the processor has next to nothing to do.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::OnceLock;

/// What offsets, lengths and addresses of such reads are multiples of, whatever the disk.
const SECTOR: usize = 4096;

/// Bytes that are read at a time at most, besides what makes them whole sectors.
const PIECE: usize = 1 << 20;

/// A page of memory that a disk may write to at once: pages of 4 KiB have it write to hundreds of
/// places, which took twice as long here.
const LARGE_PAGE: usize = 2 << 20;

/// Bytes of memory that each thread takes that reads so.
pub(crate) const READER_BYTES: u64 = LARGE_PAGE as u64;

thread_local! {
    static LANDING: RefCell<Landing> = RefCell::default();
}

/// A file under a second descriptor, opened when it is first read.
#[derive(Default)]
pub(super) struct PastCache {
    file: OnceLock<Option<File>>,
}

impl PastCache {
    /// Reads all of `bytes` from `offset` of `file` on; `false` if that can't be: not all file
    /// systems let files be read so, and what is wrong with a file a usual read tells.
    pub fn read(&self, file: &File, bytes: &mut [u8], mut offset: u64) -> bool {
        let Some(direct) = self.file.get_or_init(|| open(file)) else { return false };
        LANDING.with_borrow_mut(|landing| {
            bytes.chunks_mut(PIECE).all(|piece| {
                let before = offset as usize % SECTOR;
                let room = landing.room((before + piece.len()).next_multiple_of(SECTOR));
                let is_read = fill(direct, room, offset - before as u64, before + piece.len());
                if is_read {
                    piece.copy_from_slice(&room[before..][..piece.len()]);
                }
                offset += piece.len() as u64;
                is_read
            })
        })
    }
}

/// The same file, whatever lies at its path by now.
fn open(file: &File) -> Option<File> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    OpenOptions::new().read(true).custom_flags(libc::O_DIRECT | libc::O_NONBLOCK).open(path).ok()
}

/// Reads whole sectors from `offset` on, of which `needed` bytes have to be there.
fn fill(direct: &File, room: &mut [u8], offset: u64, needed: usize) -> bool {
    let mut filled = 0;
    while filled < needed {
        match direct.read_at(&mut room[filled..], offset + filled as u64) {
            // The end of the file, or of what can be read so.
            Ok(0) => return false,
            Ok(read) => filled += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
    true
}

/// Memory that disks may write to.
#[derive(Default)]
struct Landing {
    memory: Vec<u8>,
}

impl Landing {
    /// So many bytes, beginning with a sector, or with a large page if they take more than half of
    /// one.
    fn room(&mut self, bytes: usize) -> &mut [u8] {
        let page = if bytes > LARGE_PAGE / 2 { LARGE_PAGE } else { SECTOR };
        let whole = bytes.next_multiple_of(page);
        if self.memory.len() < whole + page {
            self.memory = vec![0; whole + page];
            if page == LARGE_PAGE {
                advise_large(&mut self.memory);
            }
        }
        let aligned = self.memory.as_ptr().align_offset(page);
        &mut self.memory[aligned..][..bytes]
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
