//! Why a position has no result, and the guard that makes one of a panic.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize};

/// Why something can't be computed, in one line for the person who owns the data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure(String);

impl Failure {
    /// A failure with its reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }

    fn from_panic(panic: &(dyn Any + Send)) -> Self {
        Self(format!("the computation panicked: {}", panic_message(panic)))
    }
}

thread_local! {
    static IS_COMPUTING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread runs a process's own code. Its panics are failures, of which nothing is to
/// be printed.
pub fn is_computing() -> bool {
    IS_COMPUTING.get()
}

/// Runs a process's own code.
///
/// # Errors
/// If it panics, with what the panic says.
#[inline]
pub fn guarded<T>(compute: impl FnOnce() -> T) -> Result<T, Failure> {
    let before = IS_COMPUTING.replace(true);
    let computed = catch_unwind(AssertUnwindSafe(compute));
    IS_COMPUTING.set(before);
    computed.map_err(|panic| Failure::from_panic(panic.as_ref()))
}

/// What a panic says.
pub fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("without a message")
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}
