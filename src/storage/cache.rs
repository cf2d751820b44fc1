//! What the system's cache of files is to keep: advice, which it may leave unheeded.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::open_file::open_regular;

/// Bytes that are to be on their way from a disk, at least.
const FAR: u64 = 1 << 20;

/// The number of the call that tells what of a file is in the cache, on all architectures that are
/// built for; `libc` has it for some of them alone.
const CACHESTAT: libc::c_long = 451;

/// What is to be done with some bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Advice {
    /// They will be read soon.
    Fetch,
    /// They will be read in their order.
    InOrder,
    /// Nobody needs them any more. What isn't on the disk yet stays.
    Forget,
}

/// Advises the system about `length` bytes from `start` on; 0 are all there are behind it.
pub(super) fn advise(file: &File, (start, length): (u64, u64), advice: Advice) {
    let advice = match advice {
        Advice::Fetch => libc::POSIX_FADV_WILLNEED,
        Advice::InOrder => libc::POSIX_FADV_SEQUENTIAL,
        Advice::Forget => libc::POSIX_FADV_DONTNEED,
    };
    // SAFETY: advice on an open file; it touches no memory, and may be ignored.
    unsafe {
        libc::posix_fadvise(file.as_raw_fd(), start as libc::off_t, length as libc::off_t, advice);
    }
}

/// Has the system read `length` bytes from `start` on, unless it has them: looking through all of
/// their pages would take as long as adding up their values.
pub(super) fn fetch(file: &File, start: u64, length: u64) {
    if length > 0 && !(has(file, start) && has(file, start + length - 1)) {
        advise(file, (start, length), Advice::Fetch);
    }
}

/// Whether the cache is known to have all of `length` bytes from `start` on. To be asked for a byte
/// makes it read, which `has` does; kernels before 6.5 don't tell otherwise.
pub(super) fn holds(file: &File, start: u64, length: u64) -> bool {
    cached_pages(file, start, length)
        .is_some_and(|pages| pages > (start + length.max(1) - 1) / page() - start / page())
}

/// Whether the cache is known to have at least half of a file.
pub(super) fn holds_most(file: &File) -> bool {
    let length = file.metadata().map_or(u64::MAX, |metadata| metadata.len());
    cached_pages(file, 0, length).is_some_and(|pages| pages.saturating_mul(2 * page()) >= length)
}

/// How many pages of a part of a file the cache has, if the system tells.
fn cached_pages(file: &File, start: u64, length: u64) -> Option<u64> {
    let range = [start, length];
    // That number, and four others.
    let mut pages = [0u64; 5];
    // SAFETY: the call reads a range of two numbers and writes five.
    let result = unsafe {
        let (range, pages) = (range.as_ptr(), pages.as_mut_ptr());
        libc::syscall(CACHESTAT, file.as_raw_fd(), range, pages, 0)
    };
    (result == 0).then_some(pages[0])
}

fn page() -> u64 {
    // SAFETY: it only asks.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// Whether the system by itself reads so far ahead of whoever goes through a file that the disk
/// always has something to do.
pub(super) fn reads_far_ahead(file: &File) -> bool {
    read_ahead(file).is_some_and(|bytes| bytes >= FAR)
}

/// How many bytes the system reads ahead of whoever goes through a file, if it tells.
fn read_ahead(file: &File) -> Option<u64> {
    let device = file.metadata().ok()?.dev();
    let device = format!("{}:{}", libc::major(device), libc::minor(device));
    // A disk, a part of one, or what isn't on a disk of this machine.
    let places = [
        format!("/sys/dev/block/{device}/queue/read_ahead_kb"),
        format!("/sys/dev/block/{device}/../queue/read_ahead_kb"),
        format!("/sys/class/bdi/{device}/read_ahead_kb"),
    ];
    let text = places.iter().find_map(|place| std::fs::read_to_string(place).ok())?;
    Some(text.trim().parse::<u64>().ok()? << 10)
}

/// Whether the cache has a byte, which then is read without waiting for the disk.
fn has(file: &File, at: u64) -> bool {
    // A negative one is where the file was read last.
    let Ok(at) = libc::off_t::try_from(at) else { return false };
    let mut byte = 0u8;
    let into = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    // SAFETY: one buffer of one byte, which is borrowed until the call is over.
    let read = unsafe { libc::preadv2(file.as_raw_fd(), &raw const into, 1, at, libc::RWF_NOWAIT) };
    read == 1
}

/// Lets the cache forget a file, if that is there.
pub(crate) fn forget(path: &Path) {
    if let Ok(file) = open_regular(path) {
        advise(&file, (0, 0), Advice::Forget);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_just_written_is_there_and_nothing_is_behind_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        std::fs::write(&path, vec![7; 10_000]).unwrap();
        let file = File::open(&path).unwrap();
        assert_eq!(
            [0, 9_999, 10_000, u64::MAX].map(|at| has(&file, at)),
            [true, true, false, false]
        );
        assert!(!holds(&file, 0, 10_000 << 12));
        fetch(&file, 0, 20_000);
        forget(&path);
        assert_eq!(std::fs::read(&path).unwrap(), vec![7; 10_000]);
        forget(&folder.path().join("nothing"));
    }
}
