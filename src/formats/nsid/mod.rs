//! NSID, of pyNSID and sidpy: an N-dimensional dataset whose axes are dimension scales that say what they are.

pub(crate) mod read;
pub(super) mod write;
