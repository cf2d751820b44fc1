//! What is known of the data that a computation is opened on.

use crate::source::fingerprint;
use crate::storage::rows::Rows;
use pixelmill_core::error::Result;

/// Whether a job knows the data that it is opened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    /// It has their fingerprint.
    Hashed,
    /// Somebody else looks after that.
    Unseen,
}

impl Data {
    /// The fingerprint of rows; empty if somebody else looks after it.
    ///
    /// # Errors
    /// If they can't be read.
    pub fn fingerprint(self, rows: &Rows) -> Result<String> {
        match self {
            Self::Hashed => fingerprint(rows),
            Self::Unseen => Ok(String::new()),
        }
    }
}
