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

/// Lets the cache forget a file, if that is there.
pub(crate) fn forget(path: &Path) {
    if let Ok(file) = open_regular(path) {
        advise(&file, (0, 0), Advice::Forget);
    }
}
