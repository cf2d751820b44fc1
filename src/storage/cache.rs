//! What the system's cache of files is to keep: advice, which it may leave unheeded.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

use super::open_file::open_regular;

/// What is to be done with some bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Advice {
    /// They will be read soon.
    Fetch,
    /// Nobody needs them any more. What isn't on the disk yet stays.
    Forget,
}

/// Advises the system about `length` bytes from `start` on; 0 are all there are behind it.
pub(super) fn advise(file: &File, (start, length): (u64, u64), advice: Advice) {
    let advice = match advice {
        Advice::Fetch => libc::POSIX_FADV_WILLNEED,
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
        fetch(&file, 0, 20_000);
        forget(&path);
        assert_eq!(std::fs::read(&path).unwrap(), vec![7; 10_000]);
        forget(&folder.path().join("nothing"));
    }
}
