//! Opening HDF5 files: with the right lock, after any commit that was cut short, and with a
//! message that a person understands when it can't be done.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Deref;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::file_state::FileId;
use super::lock;
use super::transaction::{self, Access};
use crate::error::{Error, Result};

const SIGNATURE: &[u8; 8] = b"\x89HDF\r\n\x1a\n";

/// A file open for reading. It derefs to HDF5's view of it.
pub(crate) struct ReadFile {
    hdf5: hdf5::File,
    /// The same file for raw reads; it also holds the lock.
    pub raw: File,
    pub path: PathBuf,
}

impl Deref for ReadFile {
    type Target = hdf5::File;

    fn deref(&self) -> &hdf5::File {
        &self.hdf5
    }
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

impl ReadFile {
    /// Another look at the very file that is open, whatever its path leads to by now.
    ///
    /// # Errors
    /// If it can't be read or isn't HDF5.
    pub fn again(&self) -> Result<Self> {
        look_at(&self.path, &self.raw)
    }

    /// Which file it is.
    ///
    /// # Errors
    /// Those of the system.
    pub fn id(&self) -> Result<FileId> {
        FileId::of(&self.raw).map_err(|error| Error::io("open", &self.path, error))
    }
}

/// A look at a file that is open and that the caller holds a lock on.
///
/// # Errors
/// If it can't be read or isn't HDF5.
pub(crate) fn look_at(path: &Path, file: &File) -> Result<ReadFile> {
    let raw = file.try_clone().map_err(|error| Error::io("read", path, error))?;
    view(path, raw, Access::Unlocked)
}

fn view(path: &Path, raw: File, others: Access) -> Result<ReadFile> {
    let for_hdf5 = raw.try_clone().map_err(|error| Error::io("read", path, error))?;
    let hdf5 = transaction::open_for_reading(path, for_hdf5, others)?;
    Ok(ReadFile { hdf5, raw, path: path.to_owned() })
}

/// Opens the plain file, for reading or for both, after a look at its signature.
///
/// # Errors
/// If it can't be opened or isn't HDF5.
pub(crate) fn open(path: &Path, writable: bool) -> Result<File> {
    let action = if writable { "write to" } else { "open" };
    let file = OpenOptions::new()
        .read(true)
        .write(writable)
        .open(path)
        .map_err(|error| Error::io(action, path, error))?;
    let metadata = file.metadata().map_err(|error| Error::io("open", path, error))?;
    if !metadata.is_file() {
        return Err(Error::NotHdf5 { path: path.to_owned(), found: "it is a folder or a device" });
    }
    if !has_signature(&file, metadata.len()).map_err(|error| Error::io("read", path, error))? {
        let found = if metadata.len() == 0 { "an empty file" } else { "no HDF5 signature" };
        return Err(Error::NotHdf5 { path: path.to_owned(), found });
    }
    Ok(file)
}

/// HDF5 looks for its signature at 0, 512, 1024, 2048 and so on.
fn has_signature(file: &File, length: u64) -> io::Result<bool> {
    let mut offset = 0;
    while offset + SIGNATURE.len() as u64 <= length {
        let mut bytes = [0; SIGNATURE.len()];
        file.read_exact_at(&mut bytes, offset)?;
        if &bytes == SIGNATURE {
            return Ok(true);
        }
        offset = if offset == 0 { 512 } else { offset * 2 };
    }
    Ok(false)
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

/// Whether a file has `needed` bytes, before `action`.
///
/// # Errors
/// If it has less.
pub(crate) fn check_length(
    action: &'static str,
    path: &Path,
    file: &File,
    needed: u64,
) -> Result<()> {
    let length = file.metadata().map_err(|error| Error::io(action, path, error))?.len();
    if length < needed {
        return Err(Error::Truncated { path: path.to_owned(), length, needed });
    }
    Ok(())
}

/// Creates a new HDF5 file at `path` unless there is one: made under another name and linked
/// into place when it is whole. Tells whether it made it.
///
/// # Errors
/// If its folder can't be written to.
pub(crate) fn create_if_absent(path: &Path) -> Result<bool> {
    if path.exists() {
        return Ok(false);
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let temporary = path.with_file_name(name);
    let created = hdf5::File::with_options()
        .with_fapl(|access| access.libver_earliest())
        .create_excl(&temporary)
        .and_then(hdf5::File::close)
        .map_err(|error| creation_error(path, &temporary, &error));
    let linked = created.and_then(|()| {
        let synced = File::open(&temporary).and_then(|file| file.sync_all());
        synced
            .and_then(|()| std::fs::hard_link(&temporary, path))
            .map(|()| true)
            .or_else(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => Ok(false),
                _ => std::fs::rename(&temporary, path).map(|()| true),
            })
            .map_err(|error| Error::io("create", path, error))
    });
    // The temporary name has served its purpose; after a rename it is gone already.
    let _ = std::fs::remove_file(&temporary);
    linked
}

/// What the system says about creating files there is clearer than what HDF5 says.
fn creation_error(path: &Path, temporary: &Path, error: &hdf5::Error) -> Error {
    match OpenOptions::new().write(true).create_new(true).open(temporary) {
        Err(refusal) => Error::io("create", path, refusal),
        Ok(_) => Error::hdf5("create", path, error),
    }
}
