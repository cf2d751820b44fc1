//! The file that results go to, and the locks that a run holds on it.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use log::{debug, info};

use super::{Job, Note, Observer, Request};
use crate::identity::{OtherFile, SourceLocation};
use crate::source::Source;
use crate::storage::container::Transaction;
use crate::storage::file::{self, ReadFile, is_absent, look_at, open_read_locked};
use crate::storage::file_state::FileId;
use crate::storage::lock;
use crate::storage::open_file::OpenFile;
use crate::storage::results_group::results_groups;
use pixelmill_core::advice::Advice;
use pixelmill_core::error::{Error, Result};

/// Where results go.
pub(crate) struct Target {
    pub file: PathBuf,
    /// The source's path if results can't refer to it: they go to another file than that of its
    /// data.
    pub source_file: Option<String>,
    /// Whether it is another file than the one that the source was opened in.
    separate: bool,
}

impl Target {
    /// The output file, or else the source's own. Beside HyperSpy's files another one, since a
    /// second experiment in a file would change what loading it gives; and beside a file that
    /// only links to the data: results refer to their source, which can't be done across files.
    ///
    /// # Errors
    /// If the file for the results is the source by another name.
    pub fn of(request: &Request, job: &Job) -> Result<Self> {
        let output = results_file(request, &job.source, job.kernel.name());
        let separate = !same_entry(&output, &request.file);
        if !separate && !job.source.is_linked {
            return Ok(Self { file: output, source_file: None, separate });
        }
        let source = FileId::at(&request.file).ok();
        if separate && FileId::at(&output).is_ok_and(|there| Some(there) == source) {
            return Err(Error::OutputNamesSource { output, source_file: request.file.clone() });
        }
        let source = request.file.canonicalize().unwrap_or_else(|_| request.file.clone());
        let source_file = Some(source.to_string_lossy().into_owned());
        Ok(Self { file: output, source_file, separate })
    }

    /// Whether results go to another file than the one that the source was opened in.
    pub fn is_separate(&self) -> bool {
        self.separate
    }

    /// Checks that results don't go to a file that the data are read from through a link: it would
    /// change while it is read.
    ///
    /// # Errors
    /// If they do.
    pub fn check(&self, job: &Job) -> Result<()> {
        if is_absent(&self.file) {
            return Ok(());
        }
        let output = file::open(&self.file, false)?;
        if !self.separate || !job.source.rows.read_from(&output) {
            return Ok(());
        }
        let (file, dataset) = (self.file.clone(), job.source.info.path.clone());
        Err(Error::OutputIsSource { file, dataset })
    }

    /// Checks that a run could write there, without writing.
    ///
    /// # Errors
    /// If the file can't be opened for writing, or isn't there and no folder is.
    pub fn check_writable(&self) -> Result<()> {
        let path = &self.file;
        if !is_absent(path) {
            return file::open(path, true).map(drop);
        }
        let refused = |error| Error::io("create", path, error);
        match std::fs::metadata(path) {
            // An empty file becomes one.
            Ok(_) => return Ok(()),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(refused(error)),
            Err(_) => {}
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let found = std::fs::metadata(folder.unwrap_or(Path::new("."))).map_err(refused)?;
        if found.permissions().readonly() {
            return Err(refused(ErrorKind::PermissionDenied.into()));
        }
        Ok(())
    }

    /// Where the source is, as its results groups say it.
    pub fn source_location(&self, job: &Job) -> SourceLocation {
        SourceLocation {
            dataset: job.source.info.path.clone(),
            other_file: self
                .source_file
                .as_ref()
                .map(|source| OtherFile { source: source.into(), results: self.file.clone() }),
        }
    }
}

/// The file that results of a process go to.
pub(crate) fn results_file(request: &Request, source: &Source, process: &str) -> PathBuf {
    match &request.output {
        Some(output) => output.clone(),
        None if source.format.rules().wants_results_apart() || source.is_linked => {
            beside(&request.file, process)
        }
        None => request.file.clone(),
    }
}

/// Whether two paths are the same name in the same folder, however the folder is called.
fn same_entry(path: &Path, other: &Path) -> bool {
    let entry = |path: &Path| {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let folder = parent.unwrap_or(Path::new(".")).canonicalize();
        folder.ok().zip(path.file_name().map(ToOwned::to_owned))
    };
    path == other || entry(path).is_some_and(|entry_of| Some(entry_of) == entry(other))
}

/// `scan.hspy` and `Sum` make `scan-Sum.hspy`; HyperSpy loads nothing without an extension.
pub(crate) fn beside(file: &Path, process: &str) -> PathBuf {
    let mut name = file.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{process}."));
    name.push(file.extension().unwrap_or("hspy".as_ref()));
    file.with_file_name(name)
}

/// The locks that a run holds on the file that it writes to.
pub(crate) struct RunLock {
    file: File,
    path: PathBuf,
    separate: bool,
    /// Whether this run has created the file.
    created: bool,
    /// Whether the file system knows locks.
    has_locks: bool,
}

impl RunLock {
    /// Claims the target for this run; creates an output file that isn't there. Where the locks of
    /// runs and of readers are of one kind, the reader's lock on `source` is given up if that
    /// is the same file.
    ///
    /// # Errors
    /// If it can't be written, another run has it, or somebody has it open for writing.
    pub fn claim(target: &Target, source: &ReadFile, observer: &dyn Observer) -> Result<Self> {
        let lock = Self::take(target, source)?;
        // A run that had created the file and couldn't begin may have taken it away before we had
        // the lock.
        let lock = if lock.check_in_place().is_err() { Self::take(target, source)? } else { lock };
        lock.check_in_place()?;
        lock.say_if_lockless(observer);
        Ok(lock)
    }

    fn say_if_lockless(&self, observer: &dyn Observer) {
        if !self.has_locks {
            observer.note(&Note {
                text: format!("{} is on a file system without locks", self.path.display()),
                advice: Some(Advice::KeepOthersOut),
            });
        }
    }

    /// Claims a file that is there, of which the caller holds no lock: to change it without
    /// computing.
    ///
    /// # Errors
    /// As [`Self::claim`].
    pub fn claim_file(path: &Path, observer: &dyn Observer) -> Result<Self> {
        let lock = Self::locked(path, None)?;
        lock.check_in_place()?;
        lock.say_if_lockless(observer);
        Ok(lock)
    }

    fn take(target: &Target, source: &ReadFile) -> Result<Self> {
        let (path, separate) = (&target.file, target.is_separate());
        let created = separate && file::create_if_absent(path)?;
        if created {
            info!("{} is created for the results", path.display());
        }
        let lock = Self::locked(path, (!separate).then_some(source))?;
        Ok(Self { created, ..lock })
    }

    /// Locks a file that is there; the caller has it open as `source` if it is that.
    fn locked(path: &Path, source: Option<&ReadFile>) -> Result<Self> {
        let file = file::open(path, true)?;
        let (run, shared) = if lock::readers_lock_bytes(&file, path) {
            debug!("{} is on a file system with one kind of lock, as NFS is", path.display());
            if let Some(source) = source {
                lock::release(&source.raw, path)?;
            }
            let whole = lock::claim_whole(&file, path)?;
            if let Some(source) = source {
                // It was nobody's for a moment.
                source.check_unchanged(&source.opened)?;
            }
            (whole, lock::share(&file, path)?)
        } else {
            let run = lock::claim_run(&file, path).map_err(|error| name_run(error, path))?;
            (run, lock::share(&file, path)?)
        };
        let has_locks = ![run, shared].contains(&lock::Locking::Unsupported);
        let (path, separate) = (path.to_owned(), source.is_none());
        Ok(Self { file, path, separate, created: false, has_locks })
    }

    /// Checks that the file that is locked is the one that `source` was read from, if it should be,
    /// and no other.
    ///
    /// # Errors
    /// If a file was replaced meanwhile.
    pub fn check_source(&self, source: &ReadFile) -> Result<()> {
        if (self.id()? == source.id()) == self.separate {
            self.abandon();
            return Err(Error::ReplacedWhileOpened { path: self.path.clone() });
        }
        Ok(())
    }

    /// Which file it is.
    ///
    /// # Errors
    /// Those of the system.
    pub fn id(&self) -> Result<FileId> {
        FileId::of(&self.file).map_err(|error| Error::io("open", &self.path, error))
    }

    /// A look at the very file that is locked.
    ///
    /// # Errors
    /// If it can't be read or isn't HDF5.
    pub fn view(&self) -> Result<ReadFile> {
        look_at(self.handle())
    }

    /// Runs `action` while nobody else has the file open at all. The reader's lock on `source`
    /// is given up if that is the same file; the run's own takes its place.
    ///
    /// # Errors
    /// If somebody has it open, and those of `action`.
    pub fn alone<T>(&self, source: &ReadFile, action: impl FnOnce() -> Result<T>) -> Result<T> {
        if !self.separate {
            lock::release(&source.raw, &self.path)?;
        }
        lock::exclude(&self.file, &self.path)?;
        debug!("{} is this run's alone", self.path.display());
        let result = action();
        lock::share(&self.file, &self.path)?;
        result
    }

    /// Whether `alone` is alone, which it isn't where there are no locks.
    pub fn keeps_others_out(&self) -> bool {
        self.has_locks
    }

    /// Begins a transaction on the very file that is locked, whatever its path leads to by now.
    ///
    /// # Errors
    /// If it can't be read or written, or isn't HDF5.
    pub fn begin(&self) -> Result<Transaction> {
        let file =
            self.file.try_clone().map_err(|error| Error::io("write to", &self.path, error))?;
        file::begin(&self.path, file)
    }

    /// The file, for writing results.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file, and where it is.
    pub fn handle(&self) -> OpenFile<'_> {
        OpenFile::new(&self.path, &self.file)
    }

    /// Whether the path still leads to the file that is locked.
    ///
    /// # Errors
    /// If it doesn't: then the results are where nobody looks for them.
    pub fn check_in_place(&self) -> Result<()> {
        let locked = self.id()?;
        match FileId::at(&self.path) {
            Ok(there) if there == locked => Ok(()),
            _ => Err(Error::Replaced { path: self.path.clone() }),
        }
    }

    /// Takes an output file away that this run has created and nothing has been written to. Whoever
    /// waits for it looks, once it has the lock, whether it is still there.
    pub fn abandon(&self) {
        if self.created && self.check_in_place().is_ok() {
            // It stays then, empty; the next run uses it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Says of a file that a run has what that run noted in it: on a cluster it may be on another host.
fn name_run(error: Error, path: &Path) -> Error {
    let Error::Busy { path: busy, held, holders } = error else {
        return error;
    };
    // It may be in the midst of a change; then what the system tells has to do.
    let groups = open_read_locked(path).map(|file| results_groups(&file)).unwrap_or_default();
    let is_meant = |note: &str| {
        let pid = note.split(", ").find(|part| part.starts_with("pid ")).unwrap_or("host");
        holders.is_empty() || holders.iter().any(|holder| holder.contains(&format!("({pid},")))
    };
    let own = groups.into_iter().filter(|group| group.linked_file.is_none());
    let notes = own.map(|group| group.last_run).filter(|note| is_meant(note));
    let since = |note: &String| note.rsplit(", since ").next().map(str::to_owned);
    match notes.filter(|note| !note.is_empty()).max_by_key(since) {
        Some(note) => Error::Busy { path: busy, held, holders: vec![format!("a run ({note})")] },
        None => Error::Busy { path: busy, held, holders },
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn results_beside_a_file_have_its_name_and_an_extension() {
        for (file, expected) in [
            ("a/scan.hspy", "a/scan-Sum.hspy"),
            ("scan.HSPY", "scan-Sum.HSPY"),
            ("a.b/scan", "a.b/scan-Sum.hspy"),
            ("scan.1.hspy", "scan.1-Sum.hspy"),
        ] {
            assert_eq!(beside(Path::new(file), "Sum"), Path::new(expected));
        }
        let latin = |name: &'static [u8]| Path::new(OsStr::from_bytes(name));
        assert_eq!(beside(latin(b"m\xe9.hspy"), "Sum"), latin(b"m\xe9-Sum.hspy"));
    }
}
