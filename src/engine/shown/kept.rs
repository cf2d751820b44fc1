//! A dataset that is looked at again and again, while others may want its file for themselves.
//!
//! Between two looks the file is neither open nor locked. What opening it takes time for, above all
//! the table of its chunks, is kept for as long as nobody has written to the file.

use std::path::PathBuf;

use super::Wanted;
use super::find;
use super::overview::Subject;
use crate::storage::file::{ReadFile, hold, open_read};
use pixelmill_core::error::Result;

/// A dataset, or a field of its records, and how it is opened.
pub(super) struct Kept {
    file: PathBuf,
    path: String,
    field: Option<String>,
    positions_axes: Option<Vec<usize>>,
    /// As it was opened, and what proves that the file is what it was then.
    opened: Option<(Subject, String)>,
}

impl Kept {
    /// The dataset that is wanted, and what `action` makes of a first look at it.
    ///
    /// # Errors
    /// If there is none, or it can't be understood or read, and those of `action`.
    pub fn open<T>(
        wanted: &Wanted,
        action: impl FnOnce(&Subject) -> Result<T>,
    ) -> Result<(Self, T)> {
        let file = open_read(&wanted.file)?;
        let mut kept = Self {
            file: wanted.file.clone(),
            path: find::dataset(&file, wanted.path.as_deref())?,
            field: wanted.field.clone(),
            positions_axes: wanted.positions_axes.clone(),
            opened: None,
        };
        let subject = kept.subject(&file)?;
        let done = action(&subject)?;
        kept.keep(subject, file.opened.evidence());
        Ok((kept, done))
    }

    /// Opens the file for as long as `action` takes.
    ///
    /// # Errors
    /// If somebody writes to it, or the dataset isn't there any more, and those of `action`.
    pub fn look<T>(&mut self, action: impl FnOnce(&Subject) -> Result<T>) -> Result<T> {
        if let Some((mut subject, evidence)) = self.opened.take() {
            let (handle, state) = hold(&self.file)?;
            if state.evidence().is_some_and(|now| now == evidence) {
                subject.source.rows.hold(Some(handle));
                let done = action(&subject);
                self.keep(subject, Some(evidence));
                return done;
            }
        }
        let file = open_read(&self.file)?;
        let subject = self.subject(&file)?;
        let done = action(&subject);
        self.keep(subject, file.opened.evidence());
        done
    }

    fn subject(&self, file: &ReadFile) -> Result<Subject> {
        let opened = file.dataset(&self.path);
        let dataset =
            opened.map_err(|refused| refused.on_object("open", &file.path, &self.path))?;
        let axes = self.positions_axes.as_deref();
        find::subject(file, (&self.path, &dataset), self.field.as_deref(), axes)
    }

    /// Keeps what was opened, if that needs no open file and nothing but one file has to be what
    /// it was.
    fn keep(&mut self, mut subject: Subject, evidence: Option<String>) {
        let source = &mut subject.source;
        let is_alone = !source.is_linked && source.rows.files().len() == 1;
        let is_fixed = is_alone && !source.rows.may_grow() && !subject.states.may_change();
        self.opened = evidence
            .filter(|_| is_fixed && source.rows.hold(None))
            .map(|evidence| (subject, evidence));
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
        let (mut kept, first) = Kept::open(&wanted, row).unwrap();
        assert!(kept.opened.is_some(), "the file is older than some seconds");
        assert_eq!(kept.look(row).unwrap(), first);
        // One that was written to since, as far as anybody knows.
        kept.opened = kept.opened.map(|(subject, _)| (subject, "other".to_owned()));
        assert_eq!(kept.look(row).unwrap(), first);
        assert_ne!(kept.opened.unwrap().1, "other");
    }
}
