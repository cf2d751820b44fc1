//! Files with a container in them: opened for reading, begun to be changed, created.
//!
//! Which kind of container a file has, is decided here; so far there is one.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Deref;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::container::{AsObject, Group, Object, Opened, Transaction};
use super::file_state::{FileId, FileState};
use super::known_tables::KnownTables;
use super::open_file::OpenFile;
use super::{h5, lock};
use pixelmill_core::error::{Error, Result};

/// A file open for reading. It derefs to the root of its container.
pub(crate) struct ReadFile {
    root: Group,
    /// The same file for raw reads; it also holds the lock.
    pub raw: File,
    pub path: PathBuf,
    /// As it was when it was opened.
    pub opened: FileState,
    known: Option<Arc<KnownTables>>,
}

impl Deref for ReadFile {
    type Target = Group;

    fn deref(&self) -> &Group {
        &self.root
    }
}

impl AsObject for ReadFile {
    fn as_object(&self) -> &dyn Object {
        self.root.as_object()
    }
}

impl ReadFile {
    /// A file at `path` whose container is open.
    pub fn new(path: &Path, Opened { root, raw, state }: Opened) -> Self {
        Self { root, raw, path: path.to_owned(), opened: state, known: None }
    }

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
    /// If it can't be read or has no container.
    pub fn again(&self) -> Result<Self> {
        look_at(self.handle())
    }

    /// The file for raw reads.
    pub fn handle(&self) -> OpenFile<'_> {
        OpenFile { known: self.known.as_deref(), ..OpenFile::new(&self.path, &self.raw) }
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
/// If it isn't there, has no container, is damaged, or is being written by somebody.
pub(crate) fn open_read(path: &Path) -> Result<ReadFile> {
    Ok(ReadFile::new(path, h5::open_read(path)?))
}

/// The same by somebody who knows tables of its datasets, or wants to know them later.
///
/// # Errors
/// As [`open_read`].
pub(crate) fn open_read_knowing(path: &Path, known: &Arc<KnownTables>) -> Result<ReadFile> {
    Ok(ReadFile { known: Some(Arc::clone(known)), ..open_read(path)? })
}

/// Holds a file as readers do, without a look into its container; with its state.
///
/// # Errors
/// If it isn't there, has no container, or is being written by somebody.
pub(crate) fn hold(path: &Path) -> Result<(File, FileState)> {
    let file = open(path, false)?;
    lock::share(&file, path)?;
    let state = state(&file, path)?;
    Ok((file, state))
}

/// Opens a file for reading while the caller holds a lock on it, and on the files that it links to.
///
/// # Errors
/// If it can't be read or has no container.
pub(crate) fn open_read_locked(path: &Path) -> Result<ReadFile> {
    Ok(ReadFile::new(path, h5::open_read_locked(path)?))
}

/// A look at a file that is open and that the caller holds a lock on.
///
/// # Errors
/// If it can't be read or has no container.
pub(crate) fn look_at(file: OpenFile<'_>) -> Result<ReadFile> {
    Ok(ReadFile::new(file.path, h5::look_at(file)?))
}

/// Opens the plain file, for reading or for both, after a look at its signature.
///
/// # Errors
/// If it can't be opened or has no container.
pub(crate) fn open(path: &Path, writable: bool) -> Result<File> {
    h5::open_plain(path, writable)
}

/// Begins a transaction on `file`, opened for reading and writing, with the caller's lock on it. An
/// earlier commit that was cut short is finished first.
///
/// # Errors
/// If the file can't be read, or its container can't be opened.
pub(crate) fn begin(path: &Path, file: File) -> Result<Transaction> {
    h5::begin(path, file)
}

/// Whether there is nothing at `path` yet, or a file that is empty: one that somebody is just
/// creating, or was killed while creating.
pub(crate) fn is_absent(path: &Path) -> bool {
    std::fs::metadata(path).map_or(true, |found| found.is_file() && found.len() == 0)
}

/// Creates a new file with an empty container at `path` unless there is one. Tells whether there
/// was nothing before. An empty file, which is what a kill in here leaves, becomes one as well.
///
/// # Errors
/// If it can't be created or written to.
pub(crate) fn create_if_absent(path: &Path) -> Result<bool> {
    if !is_absent(path) {
        return Ok(false);
    }
    let refused = |error| Error::io("create", path, error);
    let image = h5::empty_file().map_err(|refused| refused.on_file("create", path))?;
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    let (file, created) = match options.clone().create_new(true).open(path) {
        // A link may lead to where nothing is yet.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            (options.create(true).open(path).map_err(refused)?, false)
        }
        file => (file.map_err(refused)?, true),
    };
    // Of several that are here at once one writes; what it writes is less than a page, so that a
    // kill leaves all of it or nothing. It is on the disk with the first transaction.
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
