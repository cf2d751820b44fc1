//! A file that is read past its container: one that holds a dataset, or a part of one.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::cache::{self, Advice, advise};
use super::file_state::FileState;
use super::open_file::open_regular;
use super::past_cache::PastCache;
use super::reading_ahead;
use pixelmill_core::error::{Error, Result};

/// A file that is read past its container.
pub(crate) struct RawFile {
    /// The name that it was opened by.
    pub path: PathBuf,
    /// As the file was before anything of the dataset was read.
    pub opened: FileState,
    /// Unless there are so many that each is opened only when it is read.
    file: Option<File>,
    /// Whether the system's cache is to keep nothing of it.
    is_forgotten: AtomicBool,
    /// Whether it is read past that cache.
    is_passed: AtomicBool,
    /// Whether what is read past it is read ahead.
    is_fetched_ahead: AtomicBool,
    past: PastCache,
    /// Whether the system by itself reads far ahead in it, once it was asked.
    is_read_ahead: OnceLock<bool>,
}

/// Bytes between what is read and what the system is told to read meanwhile.
const DISTANCE: u64 = 32 << 20;

/// Bytes that are worth being read past the system's cache, or telling it that nobody needs them
/// any more.
const WORTH_PASSING: u64 = 64 << 10;

impl RawFile {
    /// The file that is open as `file`.
    ///
    /// # Errors
    /// Those of the system.
    pub fn new(path: PathBuf, file: File) -> Result<Self> {
        let opened = FileState::of(&file).map_err(|error| Error::io("read", &path, error))?;
        Ok(Self::described(path, opened, Some(file)))
    }

    /// Gives the file back to the system until it is read.
    pub fn close(&mut self) {
        self.file = None;
    }

    /// The same file, read by way of another descriptor; without one, opened only when it is read.
    pub fn by_way_of(&self, file: Option<File>) -> Self {
        Self::described(self.path.clone(), self.opened, file)
    }

    fn described(path: PathBuf, opened: FileState, file: Option<File>) -> Self {
        Self {
            path,
            opened,
            file,
            is_forgotten: AtomicBool::new(false),
            is_passed: AtomicBool::new(false),
            is_fetched_ahead: AtomicBool::new(false),
            past: PastCache::default(),
            is_read_ahead: OnceLock::new(),
        }
    }

    /// Runs `action` on the open file.
    ///
    /// # Errors
    /// Those of `action`, and if another file is at its path by now.
    pub fn with<T>(&self, action: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        if let Some(file) = &self.file {
            return action(file);
        }
        let file = open_regular(&self.path)?;
        if FileState::of(&file)?.id != self.opened.id {
            return Err(io::Error::other("another file has taken its place"));
        }
        action(&file)
    }

    /// Lets the system's cache forget what is read from now on, and all of it in the end.
    pub fn forget(&self) {
        self.is_forgotten.store(true, Ordering::Relaxed);
        self.pass_by();
    }

    /// Reads past the system's cache from now on, unless that has most of the file already.
    pub fn pass_by(&self) {
        // A second descriptor of each file would be one too many where not even one is kept.
        let is_passed = self.file.as_ref().is_some_and(|file| !cache::holds_most(file));
        self.is_passed.store(is_passed, Ordering::Relaxed);
    }

    /// Reads what is announced ahead from now on, where it is read past the system's cache.
    pub fn fetch_ahead(&self) {
        self.is_fetched_ahead.store(self.passes_by(u64::MAX), Ordering::Relaxed);
    }

    /// Whether what is read past the system's cache is read ahead.
    pub fn is_fetched_ahead(&self) -> bool {
        self.is_fetched_ahead.load(Ordering::Relaxed)
    }

    /// How many bytes lie between what is read and what is to be announced meanwhile.
    pub fn distance(&self) -> u64 {
        if self.passes_by(u64::MAX) { reading_ahead::DISTANCE } else { DISTANCE }
    }

    /// Whether so many bytes are read past the system's cache.
    pub fn passes_by(&self, length: u64) -> bool {
        length >= WORTH_PASSING && self.is_passed.load(Ordering::Relaxed)
    }

    /// Whether what is read of it stays in the system's cache, as far as that has room.
    pub fn stays_in_cache(&self) -> bool {
        !self.is_forgotten.load(Ordering::Relaxed) && !self.passes_by(u64::MAX)
    }

    /// Reads all of `bytes` from `offset` on, and leaves them in the system's cache only if they
    /// were there: single pages of a file keep the system from reading it ahead in large ones.
    ///
    /// # Errors
    /// As [`RawFile::read_exact_at`].
    pub fn read_apart(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let is_there = |file: &File| cache::holds(file, offset, bytes.len() as u64);
        match self.file.as_ref().filter(|file| !is_there(file)) {
            Some(file) if self.past.read(file, bytes, offset) => Ok(()),
            _ => self.read_exact_at(bytes, offset),
        }
    }

    /// Reads all of `bytes` from `offset` on.
    ///
    /// # Errors
    /// If the file is too short, and those of the system.
    pub fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.with(|file| {
            let length = bytes.len() as u64;
            if self.passes_by(length) && self.past.read(file, bytes, offset) {
                return Ok(());
            }
            file.read_exact_at(bytes, offset)?;
            if length >= WORTH_PASSING && self.is_forgotten.load(Ordering::Relaxed) {
                advise(file, (offset, length), Advice::Forget);
            }
            Ok(())
        })
    }

    /// Tells the system that these bytes will be read soon, and those behind them next; reads them
    /// ahead where they are read past its cache.
    pub fn announce(&self, start: u64, length: u64) {
        if self.passes_by(length) {
            let file = self.file.as_ref().filter(|_| self.is_fetched_ahead());
            return file.map_or((), |file| self.past.announce(file, start, length));
        }
        let is_read_ahead = self.is_read_ahead.get_or_init(|| {
            let file = self.file.as_ref();
            let far = file.filter(|file| cache::reads_far_ahead(file));
            far.inspect(|file| advise(file, (0, 0), Advice::InOrder)).is_some()
        });
        if !is_read_ahead {
            self.fetch(start, length);
        }
    }

    /// Tells the system that these bytes will be read soon, wherever others lie.
    pub fn fetch(&self, start: u64, length: u64) {
        if let Some(file) = self.file.as_ref().filter(|_| !self.passes_by(length)) {
            cache::fetch(file, start, length);
        }
    }

    /// What the file is like now.
    ///
    /// # Errors
    /// Those of the system.
    pub fn state(&self) -> io::Result<FileState> {
        self.with(FileState::of)
    }

    /// Its length.
    ///
    /// # Errors
    /// Those of the system.
    pub fn length(&self) -> Result<u64> {
        let length = self.with(|file| Ok(file.metadata()?.len()));
        length.map_err(|error| Error::io("read", &self.path, error))
    }

    /// Whether it has `needed` bytes.
    ///
    /// # Errors
    /// If it has less.
    pub fn check_length(&self, needed: u64) -> Result<()> {
        let length = self.length()?;
        if length < needed {
            return Err(Error::Truncated { path: self.path.clone(), length, needed });
        }
        Ok(())
    }

    /// What a failure to read up to `needed` means.
    pub fn failed(&self, needed: u64, error: io::Error) -> Error {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            let length = self.length().unwrap_or(0);
            return Error::Truncated { path: self.path.clone(), length, needed };
        }
        Error::io("read", &self.path, error)
    }
}

impl Drop for RawFile {
    fn drop(&mut self) {
        if *self.is_forgotten.get_mut() {
            cache::forget(&self.path);
        }
    }
}

/// How many files are kept open of those that one dataset has its data in. A process may have a
/// thousand; a run looks at its source twice, and wants some for itself.
pub(crate) fn kept_open() -> usize {
    (limit().rlim_cur / 8).clamp(1, 256) as usize
}

/// Lets this process have as many files open as it may: HDF5 keeps all sources open that it has
/// read.
pub(crate) fn allow_more_files() {
    let limit = limit();
    let most = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
    // What can't be raised stays; then HDF5 tells when there are too many.
    // SAFETY: the call reads the limit and nothing else.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const most) };
}

fn limit() -> libc::rlimit {
    // SAFETY: an all-zero limit is a valid one, and the call writes it and nothing else.
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        limit
    }
}
