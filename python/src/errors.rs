//! The engine's errors as exceptions of the package's own.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use pixelmill::cli::{self, Face};
use pixelmill::{Error, Result};
use pixelmill_core::failure::panic_message;
use pyo3::prelude::*;
use serde::Serialize;

/// Does something of the engine's without Python's lock.
///
/// # Errors
/// What the engine says, or that it has panicked, as exceptions.
pub(crate) fn guarded<T: Send>(
    py: Python<'_>,
    action: impl FnOnce() -> Result<T> + Send,
) -> PyResult<T> {
    py.detach(|| unpanicked(action)).map_err(|error| exception(py, &error))
}

/// Does something of the engine's.
///
/// # Errors
/// What it says, or that it has panicked.
pub(crate) fn unpanicked<T>(action: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(action)).unwrap_or_else(|panic| Err(panicked(panic.as_ref())))
}

/// A panic as an error.
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Error {
    Error::Panicked { message: panic_message(panic).to_owned() }
}

/// An answer as JSON.
///
/// # Errors
/// If it can't be told so.
pub(crate) fn as_json(answer: &impl Serialize) -> Result<String> {
    serde_json::to_string(answer).map_err(|error| Error::Panicked { message: error.to_string() })
}

/// An error as the exception that stands for it.
pub(crate) fn exception(py: Python<'_>, error: &Error) -> PyErr {
    let said = cli::said(error, Face::Python);
    // A path that isn't UTF-8 can't be a fact in JSON; it is in the message.
    let facts = serde_json::to_string(error).unwrap_or_else(|_| "{}".to_owned());
    let made = py
        .import("pixelmill._errors")
        .and_then(|module| module.getattr("error")?.call1((said, facts)));
    made.map_or_else(|failed| failed, PyErr::from_value)
}
