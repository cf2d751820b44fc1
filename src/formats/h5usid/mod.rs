//! h5USID, of pyUSID: a two-dimensional main dataset with four references to ancillary datasets.

pub(crate) mod read;
pub(super) mod write;
