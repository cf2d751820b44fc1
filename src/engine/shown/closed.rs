//! What was opened of a file, while that is neither open nor locked.
//!
//! What opening takes time for, above all the tables of chunks and of positions, stays true for as
//! long as nobody has written to the file.

use std::fs::File;
use std::path::PathBuf;

use super::overview::Subject;
use crate::storage::file::{ReadFile, hold};
use crate::storage::file_state::FileState;
use pixelmill_core::error::{Error, Result};

/// Datasets of a file as they were opened.
pub(super) struct Closed {
    file: PathBuf,
    subjects: Vec<Subject>,
    /// What proves that the file is what it was then.
    evidence: String,
}

impl Closed {
    /// Some datasets of a file that is open; `None` if they need it to be, or others as well, or if
    /// a change of it couldn't be told from what was done to it just before.
    pub fn of(file: &ReadFile, mut subjects: Vec<Subject>) -> Option<Self> {
        let evidence = file.opened.evidence()?;
        let close = |Subject { source, states, .. }: &mut Subject| {
            let is_alone = !source.is_linked && !source.rows.may_grow() && !states.may_change();
            is_alone && source.rows.hold(None)
        };
        let are_closed = !subjects.is_empty() && subjects.iter_mut().all(close);
        are_closed.then(|| Self { file: file.path.clone(), subjects, evidence })
    }

    /// Opens the file again; `None` if somebody may have written to it.
    ///
    /// # Errors
    /// If somebody is writing to it, or it can't be read.
    pub fn open(&mut self) -> Result<Option<Reopened<'_>>> {
        let (file, state) = hold(&self.file)?;
        if state.evidence().as_ref() != Some(&self.evidence) {
            return Ok(None);
        }
        for Subject { source, .. } in &mut self.subjects {
            let own = file.try_clone().map_err(|error| Error::io("read", &self.file, error))?;
            source.rows.hold(Some(own));
        }
        Ok(Some(Reopened { closed: self, file, state }))
    }
}

#[cfg(test)]
impl Closed {
    /// The same, as if somebody had written to the file since.
    pub fn outdated(self) -> Self {
        Self { evidence: "other".to_owned(), ..self }
    }
}

/// What is open again until it is dropped.
pub(super) struct Reopened<'c> {
    closed: &'c mut Closed,
    /// It holds the lock.
    file: File,
    state: FileState,
}

impl Reopened<'_> {
    /// The datasets.
    pub fn subjects(&self) -> &[Subject] {
        &self.closed.subjects
    }

    /// Whether nobody has written to the file since, which only locks prevent.
    pub fn is_untouched(&self) -> bool {
        FileState::of(&self.file).is_ok_and(|now| now == self.state)
    }
}

impl Drop for Reopened<'_> {
    fn drop(&mut self) {
        for Subject { source, .. } in &mut self.closed.subjects {
            source.rows.hold(None);
        }
    }
}
