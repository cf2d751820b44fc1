//! Which object of which file it is, the same by whatever path it is met.

use super::file_state::FileId;

/// Which file an object lies in, as the system knows that: a container may number a file anew each
/// time that it opens it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Home {
    Known(FileId),
    /// Opened otherwise than by us: the container's number for it.
    Numbered(u64),
}

/// Which object it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ObjectId {
    home: Home,
    /// Its place in that file, as the container tells it.
    place: String,
}

impl ObjectId {
    pub(super) fn new(home: Home, place: String) -> Self {
        Self { home, place }
    }

    /// Whether both objects lie in the same file.
    pub fn is_beside(&self, other: &Self) -> bool {
        self.home == other.home
    }
}
