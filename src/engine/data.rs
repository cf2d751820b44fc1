//! What is known of the data that computations are opened on.

use std::sync::{Mutex, PoisonError};

use super::Computed;
use crate::source::{fingerprint, layout};
use crate::storage::file_state::FileId;
use crate::storage::rows::Rows;
use pixelmill_core::error::Result;

/// What computations that are opened, or have ended, at the same time know of their data: what
/// several of them read is hashed once.
#[derive(Default)]
pub(crate) struct Data {
    /// Whether somebody else looks after that.
    is_unseen: bool,
    /// Results groups that are computed at the same time: each its file and its path.
    unfinished: Vec<(FileId, String)>,
    known: Mutex<Vec<(Place, String)>>,
}

/// Where some bytes lie, and what proves that nobody has written to their files since.
#[derive(PartialEq, Eq)]
struct Place {
    files: Vec<String>,
    layout: String,
    rows: (u64, u64),
}

impl Data {
    /// Data that somebody else looks after.
    pub fn unseen() -> Self {
        Self { is_unseen: true, ..Self::default() }
    }

    /// The same beside some results that are computed while others take of them.
    pub fn beside<'c>(self, unfinished: impl Iterator<Item = &'c Computed>) -> Self {
        let place = |of: &Computed| Some((FileId::at(&of.file).ok()?, of.group.clone()));
        Self { unfinished: unfinished.filter_map(place).collect(), ..self }
    }

    /// Whether the results in a group are computed at the same time.
    pub fn is_unfinished(&self, file: FileId, group: &str) -> bool {
        self.unfinished.iter().any(|(other, path)| *other == file && path == group)
    }

    /// Whether somebody else looks after them.
    pub fn is_unseen(&self) -> bool {
        self.is_unseen
    }

    /// The fingerprint of rows; empty if somebody else looks after it.
    ///
    /// # Errors
    /// If they can't be read.
    pub fn fingerprint(&self, rows: &Rows) -> Result<String> {
        if self.is_unseen {
            return Ok(String::new());
        }
        let Some(place) = Place::of(rows) else { return fingerprint(rows) };
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known().iter().find(|(other, _)| *other == place).map(|(_, of)| of.clone());
        if let Some(found) = found {
            return Ok(found);
        }
        let found = fingerprint(rows)?;
        known().push((place, found.clone()));
        Ok(found)
    }
}

impl Place {
    /// Where rows lie now; `None` if only the library knows, or a file's state proves nothing.
    fn of(rows: &Rows) -> Option<Self> {
        let files: Vec<String> =
            rows.files().iter().map(|file| file.state().ok()?.evidence()).collect::<Option<_>>()?;
        let is_known = !rows.may_grow() && rows.has_known_place();
        let rows_bytes = (rows.view().count(), rows.stored_row_bytes());
        is_known.then(|| Self { files, layout: layout(rows), rows: rows_bytes })
    }
}
