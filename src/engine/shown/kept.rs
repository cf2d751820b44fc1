//! A dataset that is looked at again and again, while others may want its file for themselves:
//! between two looks it is neither open nor locked.

use std::path::PathBuf;
use std::sync::Arc;

use super::closed::Closed;
use super::overview::Subject;
use super::{Wanted, find};
use crate::storage::KnownTables;
use crate::storage::file::{ReadFile, open_read_knowing};
use crate::storage::file_state::FileState;
use pixelmill_core::error::Result;

/// A dataset, or a field of its records, and how it is opened.
pub(super) struct Kept {
    file: PathBuf,
    known: Arc<KnownTables>,
    path: String,
    field: Option<String>,
    positions_axes: Option<Vec<usize>>,
    /// The file, as it was when it was opened last.
    opened: FileState,
    /// As it was opened, if that can be kept.
    closed: Option<Closed>,
}

impl Kept {
    /// The dataset that is wanted, and what `action` makes of a first look at it.
    ///
    /// # Errors
    /// If there is none, or it can't be understood or read, and those of `action`.
    pub fn open<T>(
        wanted: &Wanted,
        known: &Arc<KnownTables>,
        action: impl FnOnce(&Subject) -> Result<T>,
    ) -> Result<(Self, T)> {
        let file = open_read_knowing(&wanted.file, known)?;
        let mut kept = Self {
            file: wanted.file.clone(),
            known: Arc::clone(known),
            path: find::dataset(&file, wanted.path.as_deref())?,
            field: wanted.field.clone(),
            positions_axes: wanted.positions_axes.clone(),
            opened: file.opened,
            closed: None,
        };
        let done = kept.look_anew(&file, action)?;
        Ok((kept, done))
    }

    /// Opens the file for as long as `action` takes.
    ///
    /// # Errors
    /// If somebody writes to it, or the dataset isn't there any more, and those of `action`.
    pub fn look<T>(&mut self, action: impl FnOnce(&Subject) -> Result<T>) -> Result<T> {
        if let Some(closed) = &mut self.closed
            && let Some(open) = closed.open()?
            && let [subject] = open.subjects()
        {
            return action(subject);
        }
        let file = open_read_knowing(&self.file, &self.known)?;
        self.look_anew(&file, action)
    }

    /// Gives back what opening it took memory for: it is opened anew when it is looked at next.
    pub fn release(&mut self) {
        self.closed = None;
    }

    /// Whether the file is still the same, and nobody has written to it since.
    pub fn is_untouched(&self) -> bool {
        FileState::at(&self.file).is_ok_and(|now| !self.opened.was_written(&now))
    }

    fn look_anew<T>(
        &mut self,
        file: &ReadFile,
        action: impl FnOnce(&Subject) -> Result<T>,
    ) -> Result<T> {
        let opened = file.dataset(&self.path);
        let dataset =
            opened.map_err(|refused| refused.on_object("open", &file.path, &self.path))?;
        let axes = self.positions_axes.as_deref();
        let subject = find::subject(file, (&self.path, &dataset), self.field.as_deref(), axes)?;
        let done = action(&subject);
        self.opened = file.opened;
        self.closed = Closed::of(file, vec![subject]);
        done
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_is_kept_is_read_as_if_it_had_just_been_opened() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/be_line_scan_64x64.h5");
        let wanted = Wanted { file, path: None, field: None, positions_axes: None, pixel: None };
        let row = |subject: &Subject| {
            let rows = &subject.source.rows;
            let mut bytes = vec![0; rows.row_bytes()];
            rows.read_into(std::slice::from_ref(&(77..78)), &mut bytes).map(|()| bytes)
        };
        let (mut kept, first) = Kept::open(&wanted, &Arc::default(), row).unwrap();
        let is_kept = |kept: &mut Kept| {
            kept.closed.as_mut().is_some_and(|closed| closed.open().unwrap().is_some())
        };
        assert!(is_kept(&mut kept), "the file is older than some seconds");
        assert_eq!(kept.look(row).unwrap(), first);
        // One that was written to since, as far as anybody knows.
        kept.closed = kept.closed.map(Closed::outdated);
        assert!(!is_kept(&mut kept));
        assert_eq!(kept.look(row).unwrap(), first);
        assert!(is_kept(&mut kept));
    }
}
