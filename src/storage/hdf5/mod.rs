//! Containers that are HDF5 files: the only place that calls HDF5.
//!
//! What it refuses becomes an error of ours in `error`. `transaction` is how files are opened and changed;
//! `stored_way`, `virtual_dataset` and `through_library` say how the values of a dataset are had; the rest
//! answers what HDF5 is asked for.

pub(crate) mod datatype;
pub(crate) mod error;
pub(crate) mod library;
pub(crate) mod references;
mod referred_files;
pub(crate) mod scales;
pub(crate) mod stored_way;
pub(crate) mod text;
pub(crate) mod through_library;
pub(crate) mod transaction;
pub(crate) mod variable_length;
pub(crate) mod virtual_dataset;
