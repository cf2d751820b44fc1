//! pixelmill
#![warn(missing_docs)]
mod element;
pub mod engine;
mod error;
mod identity;
mod parameters;
mod plan;
pub mod process;
pub mod registry;
mod results;
mod source;
mod storage;
pub use element::{Element, ElementType};
pub use error::{Error, Result};
pub use parameters::ParameterInfo;
pub use plan::Cores;
pub use results::Results;
pub mod cli;
