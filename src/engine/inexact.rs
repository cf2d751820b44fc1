//! Integers that double precision hasn't, and how it is told of them.

use pixelmill_core::element::{StoredType, first_beyond_of};
use pixelmill_core::failure::Failure;

/// How the reason ends why an integer of the source fails its position; of another input it has
/// more before that.
const INEXACT: &str = " is beyond 2^53: float64 can't hold it";

/// Whether a position failed for this reason because of an integer of the source.
pub(crate) fn is_inexact(reason: &str) -> bool {
    reason.ends_with(INEXACT) && !reason.contains(OF_AUXILIARY)
}

/// Where such an integer is, if it isn't of the source.
pub(crate) const OF_AUXILIARY: &str = " of an auxiliary input";

/// Where such an integer is, if it isn't of the position that fails.
pub(crate) const OF_NEIGHBOUR: &str = " of a neighbour";

/// The same of one of the positions of the bin that fails.
pub(crate) const OF_BIN: &str = " of a position in the bin";

/// Why some values of a row can't be converted, if one is an integer that double precision hasn't,
/// at a place that counts; `point` is where a value is in the row.
pub(crate) fn inexact(
    (values, stored): (&[u8], StoredType),
    of: &str,
    counts: impl Fn(usize) -> bool,
    point: impl Fn(usize) -> usize,
) -> Option<Failure> {
    let (at, value) = first_beyond_of(values, stored, counts)?;
    let point = point(at);
    Some(Failure::new(format!("{value} at point {point}{of}{INEXACT}")))
}
