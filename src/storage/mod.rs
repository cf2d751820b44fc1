//! Bytes: opening and locking files, transactions, raw rows, attributes, results groups.
//!
//! The only place that calls HDF5, with the unsafe code that takes. It knows layouts, not
//! meanings: what a main dataset is belongs to `source`, when results may be reused to `identity`.

pub(crate) mod attributes;
mod chunk_table;
pub(crate) mod decoding;
pub(crate) mod file;
pub(crate) mod file_state;
mod filters;
mod hdf5;
pub(crate) mod in_place;
pub(crate) mod lock;
pub(crate) mod marks;
pub(crate) mod open_file;
mod raw_file;
pub(crate) mod results_group;
pub(crate) mod rows;
pub(crate) mod tiles;
pub(crate) mod walk;

use hdf5::library::raw_attribute;
use hdf5::references;
pub(crate) use hdf5::{
    datatype, error as hdf5_error, library, scales, stored_way, text, transaction, virtual_dataset,
};
