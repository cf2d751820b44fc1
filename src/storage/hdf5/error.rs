//! What HDF5 says when it refuses something, as an error of ours.

use std::path::Path;

use pixelmill_core::error::Error;
use pixelmill_core::foreign_text::mended;

/// It refused something on a file.
pub(crate) fn on_file(action: &'static str, path: &Path, error: &hdf5::Error) -> Error {
    let (path, reason) = (path.to_owned(), innermost_reason(error));
    match truncation(&reason) {
        Some((length, needed)) => Error::Truncated { path, length, needed },
        None => Error::Hdf5 { action, path, reason },
    }
}

/// It refused something on an object of a file.
pub(crate) fn on_object(
    action: &'static str,
    path: &Path,
    object: &str,
    error: &hdf5::Error,
) -> Error {
    let (path, object) = (path.to_owned(), object.to_owned());
    Error::Hdf5Object { action, path, object, reason: innermost_reason(error) }
}

/// The deepest frame of HDF5's error stack says what was found; the others only who called whom.
pub(crate) fn innermost_reason(error: &hdf5::Error) -> String {
    let reason = match error {
        hdf5::Error::HDF5(stack) => stack
            .clone()
            .expand()
            .ok()
            .and_then(|frames| frames.iter().last().map(|frame| frame.desc().to_owned()))
            .unwrap_or_else(|| error.to_string()),
        hdf5::Error::Internal(reason) => reason.clone(),
    };
    // It may cite names as the file has them.
    mended(&reason)
}

/// What a file has and needs, of `truncated file: eof = 1, sblock->base_addr = 0, stored_eof = 2`.
fn truncation(reason: &str) -> Option<(u64, u64)> {
    let numbers = reason.strip_prefix("truncated file: ")?;
    let mut numbers = numbers.split(", ").filter_map(|part| part.rsplit(' ').next()?.parse().ok());
    let (length, _, needed) = (numbers.next()?, numbers.next()?, numbers.next()?);
    Some((length, needed))
}
