//! What an author of a process writes against, and the joint to the engine that runs it: element
//! types, [`Process`], parameters, results, models, failures, and the [`kernel`], which is a
//! computation without its types.
//!
//! No file is opened here and no HDF5 is known. The engine is the crate `pixelmill`, which hands
//! all of this on.

pub mod advice;
mod arrays;
pub mod auxiliary;
pub mod axis_values;
pub mod buffers;
pub mod canonical;
pub mod chunk_io;
pub mod column_layout;
pub mod contribution;
pub mod coordinates;
pub mod corrections;
pub mod detector;
pub mod dimension;
pub mod element;
pub mod error;
pub mod failure;
pub mod fold_kernel;
pub mod foreign_text;
pub mod inputs;
pub mod kernel;
pub mod map_kernel;
pub mod model;
pub mod neighbours;
pub mod parameters;
pub mod positions;
pub mod process;
pub mod reduction;
pub mod registry;
pub mod results;
pub mod source_info;

pub use advice::{Advice, Note, Several};
pub use element::{Element, ElementType};
pub use error::{Error, Fault, Held, Result};
pub use fold_kernel::fold_kernel_of;
pub use map_kernel::kernel_of;
/// The arrays that spectra, units and results are seen as.
pub use ndarray;
pub use parameters::ParameterInfo;
pub use process::Process;
pub use reduction::Reduction;
pub use results::Results;
