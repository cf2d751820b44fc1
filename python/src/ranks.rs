//! The ranks of the MPI job that this process is one of, if it is.

use std::sync::{Mutex, PoisonError};

use pixelmill::Ranks;
use pyo3::prelude::*;

use crate::errors::exception;

/// All ranks, from the first computation on until Python ends.
static JOINED: Mutex<Option<Ranks>> = Mutex::new(None);

/// The ranks that compute together with this process.
///
/// # Errors
/// If there are several, and this package or its MPI library can't.
pub(crate) fn joined(py: Python<'_>) -> PyResult<Ranks> {
    let known = JOINED.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some(ranks) = known {
        return Ok(ranks);
    }
    let ranks = py.detach(Ranks::join).map_err(|error| exception(py, &error))?;
    if let Some(number) = ranks.number() {
        py.import("pixelmill._ranks")?.getattr("begin")?.call1((number,))?;
    }
    *JOINED.lock().unwrap_or_else(PoisonError::into_inner) = Some(ranks.clone());
    Ok(ranks)
}

/// Leaves the other ranks, in order: MPI ends here once it ends everywhere.
#[pyfunction]
pub(crate) fn leave(py: Python<'_>) {
    let joined = JOINED.lock().unwrap_or_else(PoisonError::into_inner).take();
    py.detach(|| drop(joined));
}

/// Ends all ranks at once, with this status.
#[pyfunction]
pub(crate) fn abort(status: i32) {
    if let Some(ranks) = &*JOINED.lock().unwrap_or_else(PoisonError::into_inner) {
        ranks.abort(status);
    }
}
