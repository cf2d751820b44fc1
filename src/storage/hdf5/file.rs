//! Opening HDF5 files: with the right lock, after any commit that was cut short, and with a
//! message that a person understands when it can't be done.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use log::info;

use super::super::file_state::{FileId, FileState};
use super::super::lock;
use super::super::open_file::{OpenFile, other_than_file};
use super::transaction::{self, Access};
use pixelmill_core::advice::Several;
use pixelmill_core::error::{Error, Result};

const SIGNATURE: &[u8; 8] = b"\x89HDF\r\n\x1a\n";

/// A file that HDF5 has open for reading.
pub(super) struct Opened {
    pub hdf5: hdf5::File,
    /// The same file for raw reads; it also holds the lock.
    pub raw: File,
    /// As it was before HDF5 read anything of it.
    pub state: FileState,
}

/// Opens a file for reading, with the lock that readers take.
///
/// # Errors
/// If it isn't there, isn't HDF5, is damaged, or is being written by somebody.
pub(super) fn open_read(path: &Path) -> Result<Opened> {
    finish_unfinished(path)?;
    let raw = open(path, false)?;
    lock::share(&raw, path)?;
    view(path, raw, Access::Locked)
}

/// Opens a file for reading while the caller holds a lock on it, and on the files that it links to.
///
/// # Errors
/// If it can't be read or isn't HDF5.
pub(super) fn open_read_locked(path: &Path) -> Result<Opened> {
    view(path, open(path, false)?, Access::Unlocked)
}

/// A look at a file that is open and that the caller holds a lock on.
///
/// # Errors
/// If it can't be read or isn't HDF5.
pub(super) fn look_at(file: OpenFile<'_>) -> Result<Opened> {
    view(file.path, file.duplicate("read")?, Access::Unlocked)
}

fn view(path: &Path, raw: File, others: Access) -> Result<Opened> {
    let for_hdf5 = raw.try_clone().map_err(|error| Error::io("read", path, error))?;
    let state = FileState::of(&raw).map_err(|error| Error::io("read", path, error))?;
    let hdf5 = transaction::open_for_reading(path, for_hdf5, others)?;
    Ok(Opened { hdf5, raw, state })
}

/// Opens the plain file, for reading or for both, after a look at its signature.
///
/// # Errors
/// If it can't be opened or isn't HDF5.
pub(in crate::storage) fn open(path: &Path, writable: bool) -> Result<File> {
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
        Kind::Hdf4 => return Err(Error::Hdf4 { path: path.to_owned() }),
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
    /// One of several files that are one to HDF5.
    Part(Several),
    Hdf4,
    Unknown,
}

const HDF4: &[u8; 4] = b"\x0e\x03\x13\x01";
/// The names of HDF5's drivers for several files, which such a file has beside its superblock.
const PARTS: [(&[u8; 8], Several); 2] =
    [(b"NCSAfami", Several::Family), (b"NCSAmult", Several::Split)];

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
            return Ok(part.map_or(Kind::Whole, |(_, of)| Kind::Part(*of)));
        }
        offset = if offset == 0 { 512 } else { offset * 2 };
    }
    Ok(Kind::Unknown)
}

/// Whether the file is named as the half of a split file that has no signature, and the other half
/// is there.
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
    info!("{} has a change of metadata that was cut short after it was whole", path.display());
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
