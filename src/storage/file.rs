//! Opening HDF5 files: with the right lock, after any commit that was cut short, and with a
//! message that a person understands when it can't be done.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Deref;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::{Path, PathBuf};

use super::file_state::{FileId, FileState};
use super::open_file::OpenFile;
use super::transaction::{self, Access};
use super::{library, lock};
use crate::storage::hdf5_error;
use pixelmill_core::error::{Error, Result};

const SIGNATURE: &[u8; 8] = b"\x89HDF\r\n\x1a\n";

/// A file open for reading. It derefs to HDF5's view of it.
pub(crate) struct ReadFile {
    hdf5: hdf5::File,
    /// The same file for raw reads; it also holds the lock.
    pub raw: File,
    pub path: PathBuf,
    /// As it was when it was opened.
    pub opened: FileState,
}

impl Deref for ReadFile {
    type Target = hdf5::File;

    fn deref(&self) -> &hdf5::File {
        &self.hdf5
    }
}

impl ReadFile {
    /// Whether nobody has written to the file since it was in this state.
    ///
    /// # Errors
    /// If somebody has.
    pub fn check_unchanged(&self, since: &FileState) -> Result<()> {
        if since.was_written(&state(&self.raw, &self.path)?) {
            return Err(Error::JustChanged { path: self.path.clone() });
        }
        Ok(())
    }

    /// Another look at the very file that is open, whatever its path leads to by now.
    ///
    /// # Errors
    /// If it can't be read or isn't HDF5.
    pub fn again(&self) -> Result<Self> {
        look_at(self.handle())
    }

    /// The file for raw reads.
    pub fn handle(&self) -> OpenFile<'_> {
        OpenFile { path: &self.path, file: &self.raw }
    }

    /// Which file it is.
    pub fn id(&self) -> FileId {
        self.opened.id
    }
}

fn state(file: &File, path: &Path) -> Result<FileState> {
    FileState::of(file).map_err(|error| Error::io("read", path, error))
}

/// Opens a file for reading, with the lock that readers take.
///
/// # Errors
/// If it isn't there, isn't HDF5, is damaged, or is being written by somebody.
pub(crate) fn open_read(path: &Path) -> Result<ReadFile> {
    finish_unfinished(path)?;
    let raw = open(path, false)?;
    lock::share(&raw, path)?;
    view(path, raw, Access::Locked)
}

/// Opens a file for reading while the caller holds a lock on it, and on the files that it links to.
///
/// # Errors
/// If it can't be read or isn't HDF5.
pub(crate) fn open_read_locked(path: &Path) -> Result<ReadFile> {
    view(path, open(path, false)?, Access::Unlocked)
}

/// A look at a file that is open and that the caller holds a lock on.
///
/// # Errors
/// If it can't be read or isn't HDF5.
pub(crate) fn look_at(file: OpenFile<'_>) -> Result<ReadFile> {
    view(file.path, file.duplicate("read")?, Access::Unlocked)
}

fn view(path: &Path, raw: File, others: Access) -> Result<ReadFile> {
    let for_hdf5 = raw.try_clone().map_err(|error| Error::io("read", path, error))?;
    let opened = state(&raw, path)?;
    let hdf5 = transaction::open_for_reading(path, for_hdf5, others)?;
    Ok(ReadFile { hdf5, raw, path: path.to_owned(), opened })
}

/// Opens the plain file, for reading or for both, after a look at its signature.
///
/// # Errors
/// If it can't be opened or isn't HDF5.
pub(crate) fn open(path: &Path, writable: bool) -> Result<File> {
    let action = if writable { "write to" } else { "open" };
    if let Some(found) = other_than_file(path) {
        return Err(Error::NotHdf5 { path: path.to_owned(), found });
    }
    let file = OpenOptions::new()
        .read(true)
        .write(writable)
        .open(path)
        .map_err(|error| Error::io(action, path, error))?;
    let metadata = file.metadata().map_err(|error| Error::io("open", path, error))?;
    let kind = kind(&file, metadata.len()).map_err(|error| Error::io("read", path, error))?;
    let found = match kind {
        Kind::Whole => return Ok(file),
        Kind::Part(of) => return Err(Error::PartOfHdf5 { path: path.to_owned(), of }),
        Kind::Hdf4 => "it is an HDF4 file; convert it first, as h4toh5 does",
        Kind::Unknown if metadata.len() == 0 => "an empty file",
        Kind::Unknown if is_raw_half(path) => {
            "it holds the raw data of a split file, whose other file's name ends with -m.h5"
        }
        Kind::Unknown => "no HDF5 signature",
    };
    Err(Error::NotHdf5 { path: path.to_owned(), found })
}

/// What a file is by its first bytes.
enum Kind {
    Whole,
    /// One of several files that are one to HDF5, with what to do about it.
    Part(&'static str),
    Hdf4,
    Unknown,
}

const HDF4: &[u8; 4] = b"\x0e\x03\x13\x01";
/// The names of HDF5's drivers for several files, which such a file has beside its superblock.
const PARTS: [(&[u8; 8], &str); 2] = [
    (b"NCSAfami", "a family of files; make it one first, as h5repart does"),
    (b"NCSAmult", "a split file; make it one first, as h5py's split driver and h5repack do"),
];

/// HDF5 looks for its signature at 0, 512, 1024, 2048 and so on.
fn kind(file: &File, length: u64) -> io::Result<Kind> {
    let mut offset = 0;
    let mut start = vec![0; length.min(1024) as usize];
    file.read_exact_at(&mut start, 0)?;
    if start.starts_with(HDF4) {
        return Ok(Kind::Hdf4);
    }
    while offset + SIGNATURE.len() as u64 <= length {
        start.resize((length - offset).min(1024) as usize, 0);
        file.read_exact_at(&mut start, offset)?;
        if start.starts_with(SIGNATURE) {
            let named = |driver: &[u8; 8]| start.windows(8).any(|bytes| bytes == driver);
            let part = PARTS.iter().find(|(driver, _)| named(driver));
            return Ok(part.map_or(Kind::Whole, |(_, of)| Kind::Part(of)));
        }
        offset = if offset == 0 { 512 } else { offset * 2 };
    }
    Ok(Kind::Unknown)
}

/// Whether the file is named as the half of a split file that has no signature, and the other half is there.
fn is_raw_half(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let other = name.strip_suffix("-r.h5").map(|name| path.with_file_name(format!("{name}-m.h5")));
    other.is_some_and(|other| other.exists())
}

/// Rolls a commit forward that was cut short, if we may write and nobody holds the file; if not,
/// readers see it as finished anyway.
fn finish_unfinished(path: &Path) -> Result<()> {
    let file = open(path, false)?;
    let unfinished =
        transaction::commit_is_unfinished(&file).map_err(|error| Error::io("read", path, error))?;
    if !unfinished {
        return Ok(());
    }
    let Ok(mut writable) = open(path, true) else {
        return Ok(());
    };
    // What is unfinished is that of the one file, and nothing that is at its path by now.
    let same = FileId::of(&file).ok().zip(FileId::of(&writable).ok());
    if same.is_none_or(|(file, writable)| file != writable) || writable.try_lock().is_err() {
        return Ok(());
    }
    transaction::finish_commit(&mut writable).map_err(|error| Error::io("write", path, error))
}

/// What there is at a path instead of a file. Opening a pipe would wait for somebody at its other end, and a
/// device may do anything.
pub(crate) fn other_than_file(path: &Path) -> Option<&'static str> {
    let found = std::fs::metadata(path).ok()?.file_type();
    match () {
        () if found.is_file() => None,
        () if found.is_dir() => Some("it is a folder"),
        () if found.is_fifo() => Some("it is a pipe"),
        () if found.is_socket() => Some("it is a socket"),
        () => Some("it is a device"),
    }
}

/// Whether there is nothing at `path` yet, or a file that is empty: one that somebody is just creating, or was
/// killed while creating.
pub(crate) fn is_absent(path: &Path) -> bool {
    std::fs::metadata(path).map_or(true, |found| found.is_file() && found.len() == 0)
}

/// Creates a new HDF5 file at `path` unless there is one. Tells whether there was nothing before. An empty file,
/// which is what a kill in here leaves, becomes one as well.
///
/// # Errors
/// If it can't be created or written to.
pub(crate) fn create_if_absent(path: &Path) -> Result<bool> {
    if !is_absent(path) {
        return Ok(false);
    }
    let refused = |error| Error::io("create", path, error);
    let image =
        library::empty_file().map_err(|error| hdf5_error::on_file("create", path, &error))?;
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    let (file, created) = match options.clone().create_new(true).open(path) {
        // A link may lead to where nothing is yet.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            (options.create(true).open(path).map_err(refused)?, false)
        }
        file => (file.map_err(refused)?, true),
    };
    // Of several that are here at once one writes; what it writes is less than a page, so that a kill leaves all of
    // it or nothing. It is on the disk with the first transaction.
    lock::exclude(&file, path)?;
    if file.metadata().map_err(refused)?.len() == 0 {
        let written = file.write_all_at(&image, 0);
        if written.is_err() && created {
            // It stays then, empty; the next run uses it.
            let _ = std::fs::remove_file(path);
        }
        written.map_err(refused)?;
    }
    Ok(created)
}
