//! Bytes: opening and locking files, transactions, raw rows, attributes, results groups.
//!
//! `container` is the door: what everything above asks of a file. HDF5, in the folder of that name,
//! is what is behind it, and the only place that calls it, with the unsafe code that takes. All of
//! this knows layouts, not meanings: what a main dataset is belongs to `source`, when results may
//! be reused to `identity`.

#![expect(unsafe_code, reason = "calls of HDF5 and of the system")]

pub(crate) mod attributes;
pub(crate) mod cache;
pub(crate) mod chunk_table;
pub(crate) mod container;
pub(crate) mod decoding;
pub(crate) mod file;
pub(crate) mod file_state;
pub(crate) mod filters;
mod hdf5;
pub(crate) mod in_place;
mod known_tables;
pub(crate) mod lock;
pub(crate) mod marks;
#[cfg(test)]
pub(crate) mod memory;
pub(crate) mod npy;
mod object_id;
pub(crate) use object_id::ObjectId;
pub(crate) mod open_file;
pub(crate) mod past_cache;
mod place;
pub(crate) mod raw_file;
pub(crate) mod reading_ahead;
pub(crate) mod refused;
pub(crate) mod results_group;
pub(crate) mod rows;
pub(crate) mod scales;
pub(crate) mod tiles;
pub(crate) mod unfinished;
pub(crate) mod walk;

pub use chunk_table::Chunking;
pub use known_tables::KnownTables;

use hdf5 as h5;

/// The parts of a commit, for who tries them with what a killed one may have left.
#[cfg(feature = "internals")]
pub(crate) mod journaled {
    use super::h5::transaction;

    pub(crate) use transaction::disk::Disk;
    pub(crate) use transaction::journal::Journal;
    pub(crate) use transaction::overlay::Overlay;
}
