//! Bytes: opening and locking files, transactions, raw rows, attributes, results groups.
//!
//! The only place that calls HDF5, with the unsafe code that takes. It knows layouts, not
//! meanings: what a main dataset is belongs to `source`, when results may be reused to `identity`.

pub(crate) mod attributes;
mod chunk_table;
pub(crate) mod datatype;
pub(crate) mod decoding;
pub(crate) mod file;
pub(crate) mod file_state;
mod filters;
pub(crate) mod hdf5_error;
pub(crate) mod in_place;
pub(crate) mod library;
pub(crate) mod lock;
pub(crate) mod marks;
pub(crate) mod open_file;
mod raw_file;
mod references;
mod referred_files;
pub(crate) mod results_group;
pub(crate) mod rows;
pub(crate) mod scales;
pub(crate) mod stored_way;
pub(crate) mod text;
pub(crate) mod tiles;
pub(crate) mod transaction;
mod variable_length;
pub(crate) mod virtual_dataset;
pub(crate) mod walk;

use library::raw_attribute;
