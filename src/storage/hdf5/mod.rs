//! Containers that are HDF5 files: the only place that calls HDF5.
//!
//! `objects` and `change` are the door's traits for HDF5; what it refuses becomes ours in `error`.
//! `transaction` is how files are opened and changed; `opening`, `stored_way`, `virtual_dataset`
//! and `through_library` say how the values of a dataset are had; the rest answers what HDF5 is
//! asked for.

mod attributes;
mod change;
mod chunk_index;
mod datatype;
mod error;
mod file;
mod handles;
mod index_ahead;
mod library;
mod links;
mod objects;
mod opening;
mod place;
mod references;
mod referred_files;
mod scales;
mod stored_way;
#[cfg(test)]
mod tests;
mod text;
mod through_library;
pub(crate) mod transaction;
mod type_words;
mod variable_length;
mod virtual_dataset;

use std::fs::File;
use std::path::Path;

use super::container::{Opened, Transaction};
use super::open_file::OpenFile;
use super::refused::Refused;
use change::OwnChange;
use pixelmill_core::error::Result;

pub(super) use file::open as open_plain;

/// Opens a file for reading, with the lock that readers take; also the same file for raw reads.
///
/// # Errors
/// If it isn't there, isn't HDF5, is damaged, or is being written by somebody.
pub(super) fn open_read(path: &Path) -> Result<Opened> {
    file::open_read(path).map(opened)
}

/// Opens a file for reading while the caller holds a lock on it, and on the files that it links to.
///
/// # Errors
/// If it can't be read or isn't HDF5.
pub(super) fn open_read_locked(path: &Path) -> Result<Opened> {
    file::open_read_locked(path).map(opened)
}

/// A look at a file that is open and that the caller holds a lock on.
///
/// # Errors
/// If it can't be read or isn't HDF5.
pub(super) fn look_at(file: OpenFile<'_>) -> Result<Opened> {
    file::look_at(file).map(opened)
}

fn opened(file: file::Opened) -> Opened {
    Opened { root: objects::group(&file.hdf5), raw: file.raw, state: file.state }
}

/// Begins a transaction on `file`, opened for reading and writing.
///
/// # Errors
/// If the file can't be read, or HDF5 can't open it.
pub(super) fn begin(path: &Path, file: File) -> Result<Transaction> {
    transaction::Transaction::begin(path, file).map(|begun| Transaction::of(OwnChange::of(begun)))
}

/// The bytes of a file that has nothing in it, for all versions of HDF5.
///
/// # Errors
/// Those of HDF5.
pub(super) fn empty_file() -> Result<Vec<u8>, Refused> {
    Ok(library::empty_file()?)
}
