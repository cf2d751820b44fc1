//! Transactions: changes of an HDF5 file's metadata that happen whole or not at all.
//!
//! `Transaction` opens a file for HDF5 through a driver of our own (`driver`), which keeps every
//! write below the file's old end in memory (`overlay`) and lets the rest through to where nothing
//! refers to yet. `commit` makes a `journal` of the kept writes, then applies it. The steps, and
//! why a kill at any of them is harmless, are in this folder's README. What is written into the
//! file is no business of this module.

pub(crate) mod disk;
mod driver;
pub(crate) mod journal;
pub(crate) mod overlay;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use log::{debug, info};

use disk::Disk;
pub(crate) use driver::Access;
use driver::Shared;
use journal::Journal;
use overlay::Overlay;

use super::super::file_state::FileId;
use super::super::refused::Refused;
use pixelmill_core::error::{Error, Result};

/// A file opened by HDF5 for reading and writing, of which nothing is changed until `commit`.
pub(crate) struct Transaction {
    path: PathBuf,
    file: Option<hdf5::File>,
    state: Shared,
    old_length: u64,
}

impl Transaction {
    /// Begins a transaction on `file`, opened for reading and writing, with the caller's lock on
    /// it. An earlier commit that was cut short is finished first.
    ///
    /// # Errors
    /// If the file can't be read, or HDF5 can't open it.
    pub fn begin(path: &Path, file: File) -> Result<Self> {
        Self::begin_on(path, Box::new(file))
    }

    fn begin_on(path: &Path, mut disk: Box<dyn Disk>) -> Result<Self> {
        finish_commit(disk.as_mut()).map_err(|error| Error::io("read", path, error))?;
        let state = Shared::new(path, disk, Overlay::default())
            .map_err(|error| Error::io("read", path, error))?;
        let old_length = state.lock().end_of_file;
        let file = open_hdf5(&state, path, true)?;
        {
            // Bytes past HDF5's own end belong to nobody (HDF5 itself cuts them off): they are the
            // remains of a transaction that was killed, and keeping the writes over them in memory
            // could mean keeping whole datasets.
            let mut state = state.lock();
            state.keep_below = state.keep_below.min(state.highest_allocation);
        }
        debug!("a transaction on {} begins; it has {old_length} bytes", path.display());
        Ok(Self { path: path.to_owned(), file: Some(file), state, old_length })
    }

    /// The file as HDF5 sees it.
    pub fn file(&self) -> &hdf5::File {
        self.file.as_ref().expect("only commit and drop take the file")
    }

    /// Makes the changes happen. When this returns they are on stable storage, and the room of
    /// `old`, which nothing in the file refers to after these changes, is given back, but for
    /// what the changes themselves have put there.
    ///
    /// # Errors
    /// If HDF5 or the disk fails; the file then is as it was, or rolls forward when it is opened
    /// next.
    pub fn commit(mut self, old: &[Range<u64>]) -> Result<()> {
        if let Some(file) = self.file.take() {
            let closed = file.close();
            self.check()?;
            closed.map_err(|error| Refused::from(error).on_file("close", &self.path))?;
        }
        if self.state.is_held_by_hdf5() {
            // Then HDF5 hasn't flushed either.
            let error = hdf5::Error::from("another handle of the file is still in use");
            return Err(Refused::from(error).on_file("close", &self.path));
        }
        let result = self.write_journal_and_apply();
        result.map_err(|error| Error::io("write", &self.path, error))?;
        let mut state = self.state.lock();
        let state = &mut *state;
        for bytes in old.iter().flat_map(|bytes| state.kept.gaps(bytes)) {
            state.disk.free(bytes);
        }
        Ok(())
    }

    /// Whether everything could be written so far; HDF5 isn't told.
    ///
    /// # Errors
    /// The first failure.
    pub fn check(&self) -> Result<()> {
        match &self.state.lock().failure {
            Some(failure) => Err(failure.when("write", &self.path)),
            None => Ok(()),
        }
    }

    /// What went wrong when HDF5 refused something: the disk's own error if there was one.
    pub fn error(&self, action: &'static str, refused: &Refused) -> Error {
        explain(&self.state, action, &self.path, refused)
    }

    fn write_journal_and_apply(&mut self) -> io::Result<()> {
        let mut state = self.state.lock();
        let state = &mut *state;
        let writes = state
            .kept
            .changes(|address, buffer| state.disk.read_at(buffer, address).map(|_| ()))?;
        let new_end = state.end_of_allocation;
        let unchanged = writes.is_empty() && new_end == self.old_length;
        if unchanged {
            debug!("the transaction on {} changes nothing", self.path.display());
            return Ok(());
        }
        let disk = state.disk.as_mut();
        if disk.length()? < new_end {
            disk.set_length(new_end)?;
        }
        disk.sync()?;
        let journal = Journal { writes, new_end };
        let start = disk.length()?;
        disk.write_at(&journal.encode(start), start)?;
        disk.sync()?;
        debug!(
            "the transaction on {} is committed: {} writes of {} bytes in place, {} bytes behind \
             the old end",
            self.path.display(),
            journal.writes.runs().count(),
            journal.writes.size(),
            new_end.saturating_sub(self.old_length),
        );
        // From here on the transaction has happened: the old length must not come back.
        self.old_length = u64::MAX;
        journal.apply(disk)
    }
}

impl Drop for Transaction {
    /// Without a commit the file keeps its bytes: what was appended is cut off again.
    fn drop(&mut self) {
        if self.file.take().is_some() {
            debug!(
                "the transaction on {} is dropped; the file keeps its bytes",
                self.path.display()
            );
        }
        let mut state = self.state.lock();
        state.sealed = true;
        if state.disk.length().is_ok_and(|length| length > self.old_length) {
            // If even this fails, the appended bytes stay behind the end that HDF5 knows.
            let _ = state.disk.set_length(self.old_length);
        }
    }
}

/// Opens `file` for reading through HDF5, without HDF5's own lock. A commit that was cut short is
/// seen as finished. Files that this one refers to are opened with `access`.
///
/// # Errors
/// If the file can't be read, or HDF5 can't open it.
pub(crate) fn open_for_reading(path: &Path, file: File, access: Access) -> Result<hdf5::File> {
    let state = Shared::of_file_as_committed(path, file, access)
        .map_err(|error| Error::io("read", path, error))?;
    open_hdf5(&state, path, false)
}

/// The file that holds an object of a file opened here, which a link may have led to: its name, a
/// handle of the very same opened file, and how others are opened that it refers to. `None` if it
/// was opened otherwise.
///
/// # Errors
/// If somebody had that file open for writing, or there are no more file descriptors.
pub(crate) fn holder(object: &hdf5::Location) -> Result<Option<(PathBuf, File, Access)>> {
    driver::holder(object)
}

/// What has kept HDF5 from opening a file that is there, and that an object's data may be in. HDF5
/// takes it for one that is missing, and reads fill values.
pub(crate) fn trouble(object: &hdf5::Location) -> Option<io::Error> {
    driver::trouble(object)
}

/// Which file holds an object, if it was opened here.
pub(crate) fn key(object: &hdf5::Location) -> Option<FileId> {
    driver::key(object)
}

/// Whether an earlier commit on `file` was cut short after it had happened.
///
/// # Errors
/// Those of reading.
pub(crate) fn commit_is_unfinished(file: &File) -> io::Result<bool> {
    Ok(Journal::find(file)?.is_some())
}

/// Finishes a commit that was cut short after it had happened.
///
/// # Errors
/// Those of reading and writing.
pub(crate) fn finish_commit(disk: &mut dyn Disk) -> io::Result<()> {
    match Journal::find(disk)? {
        Some(journal) => {
            info!(
                "a change of metadata that was cut short is rolled forward: {} writes of {} bytes",
                journal.writes.runs().count(),
                journal.writes.size()
            );
            journal.apply(disk)
        }
        None => Ok(()),
    }
}

fn open_hdf5(state: &Shared, path: &Path, writable: bool) -> Result<hdf5::File> {
    state.open_hdf5(writable).map_err(|error| explain(state, "open", path, &error))
}

fn explain(state: &Shared, action: &'static str, path: &Path, refused: &Refused) -> Error {
    // The failure stays in the state: after one, nothing may be committed.
    match &state.lock().failure {
        Some(failure) => failure.when(action, path),
        None => refused.on_file(action, path),
    }
}
