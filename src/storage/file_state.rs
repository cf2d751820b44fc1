//! Which file is behind a name or a descriptor, and whether it was written to since.
//!
//! Device and inode say which file it is, whatever names lead to it. Length and the time of the
//! last write say that its content was written to; the time of the last change, which no program
//! can set, says that nothing at all was done to it, unless it is so recent that the clock may not
//! have ticked since.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Clocks of file systems tick every few milliseconds to two seconds, and those of servers may be
/// off by some.
const SETTLED: Duration = Duration::from_secs(10);

/// Which file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// The file that is open.
    pub fn of(file: &File) -> io::Result<Self> {
        file.metadata().map(|metadata| Self::from(&metadata))
    }

    /// The file that a path leads to.
    pub fn at(path: &Path) -> io::Result<Self> {
        path.metadata().map(|metadata| Self::from(&metadata))
    }
}

impl From<&Metadata> for FileId {
    fn from(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// A file as it is at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileState {
    pub id: FileId,
    length: u64,
    /// Seconds and nanoseconds.
    written: (i64, i64),
    changed: (i64, i64),
    /// Whether the last change was long ago: another one now would have another time.
    is_settled: bool,
}

impl FileState {
    /// The state of an open file.
    pub fn of(file: &File) -> io::Result<Self> {
        file.metadata().map(|metadata| Self::from(&metadata))
    }

    /// The state of the file that a path leads to.
    pub fn at(path: &Path) -> io::Result<Self> {
        path.metadata().map(|metadata| Self::from(&metadata))
    }

    /// Whether the content may be another at a later moment.
    pub fn was_written(&self, later: &Self) -> bool {
        (self.id, self.length, self.written) != (later.id, later.length, later.written)
    }

    /// What tells this state from every other one of every file; `None` if it can't be told from
    /// another a moment later.
    pub fn evidence(&self) -> Option<String> {
        let Self { id: FileId { device, inode }, length, written, changed, .. } = self;
        let text = format!("{device} {inode} {length} {written:?} {changed:?}");
        self.is_settled.then_some(text)
    }
}

impl From<&Metadata> for FileState {
    fn from(metadata: &Metadata) -> Self {
        let changed = Duration::from_secs(u64::try_from(metadata.ctime()).unwrap_or(u64::MAX));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            id: FileId::from(metadata),
            length: metadata.len(),
            written: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            is_settled: now.checked_sub(changed).is_some_and(|age| age > SETTLED),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn names_of_one_file_are_one_and_its_successor_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let [one, link, two] = ["one", "link", "two"].map(|name| folder.path().join(name));
        std::fs::write(&one, "data").unwrap();
        std::fs::hard_link(&one, &link).unwrap();
        std::fs::write(&two, "data").unwrap();
        let opened = File::open(&one).unwrap();
        assert_eq!(FileId::of(&opened).unwrap(), FileId::at(&link).unwrap());
        std::fs::rename(&two, &one).unwrap();
        assert_ne!(FileId::of(&opened).unwrap(), FileId::at(&one).unwrap());
    }

    #[test]
    fn writing_shows_and_what_was_just_changed_is_no_evidence() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = File::create(folder.path().join("file")).unwrap();
        let before = FileState::of(&file).unwrap();
        file.write_all(b"data").unwrap();
        let after = FileState::of(&file).unwrap();
        assert!(before.was_written(&after) && !after.was_written(&after));
        assert_eq!(after.evidence(), None);
        let old = FileState { is_settled: true, ..after };
        let other = FileState { changed: (old.changed.0, old.changed.1 + 1), ..old };
        assert!(old.evidence().is_some() && old.evidence() != other.evidence());
    }
}
