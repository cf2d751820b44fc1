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

/// Joins the other ranks, if this process hasn't.
///
/// # Errors
/// As [`joined`].
#[pyfunction]
pub(crate) fn join(py: Python<'_>) -> PyResult<()> {
    joined(py).map(drop)
}

/// Whether an MPI launcher has started this process together with others.
#[pyfunction]
pub(crate) fn are_several() -> bool {
    Ranks::are_several_by_environment()
}

/// Leaves the other ranks: MPI ends here once it ends everywhere, and whoever misses this one ends
/// all.
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
