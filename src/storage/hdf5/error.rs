//! What HDF5 says when it refuses something, as ours.

use super::super::refused::Refused;
use pixelmill_core::foreign_text::mended;

impl From<hdf5::Error> for Refused {
    fn from(error: hdf5::Error) -> Self {
        let reason = innermost_reason(&error);
        let cut_off = truncation(&reason);
        Self::new(reason, error.to_string(), cut_off)
    }
}

/// The deepest frame of HDF5's error stack says what was found; the others only who called whom.
pub(super) fn innermost_reason(error: &hdf5::Error) -> String {
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
