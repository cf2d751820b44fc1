//! Copying from what has been decoded already, as LZF and BloscLZ both do.

/// Appends to the first `*at` bytes of `out` the `length` bytes that begin `distance` before them;
/// they may overlap what is appended. `None` if they would begin before `out`, or end behind it.
pub(super) fn repeat(out: &mut [u8], at: &mut usize, distance: usize, length: usize) -> Option<()> {
    let from = at.checked_sub(distance).filter(|_| distance > 0)?;
    let end = at.checked_add(length).filter(|end| *end <= out.len())?;
    if distance == 1 {
        let byte = out[from];
        out[*at..end].fill(byte);
    }
    // Twice as much at a time, as what was appended can be copied too.
    while *at < end && distance > 1 {
        let count = (*at - from).min(end - *at);
        out.copy_within(from..from + count, *at);
        *at += count;
    }
    *at = end;
    Some(())
}

/// Appends `literal` to the first `*at` bytes of `out`, or `None` if there is no room.
pub(super) fn append(out: &mut [u8], at: &mut usize, literal: &[u8]) -> Option<()> {
    let end = at.checked_add(literal.len())?;
    out.get_mut(*at..end)?.copy_from_slice(literal);
    *at = end;
    Some(())
}
