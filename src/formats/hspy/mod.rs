//! HyperSpy's own format `.hspy`: experiments with `data`, a group per axis of it, and metadata.

pub(crate) mod read;
pub(super) mod write;
