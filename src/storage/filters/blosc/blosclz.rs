//! BloscLZ, Blosc's own codec: literals and copies, as FastLZ has them.
//!
//! A control byte below 32 begins literals; others hold a copy's length in their upper three bits
//! and the beginning of its distance in the lower five. Copies from far away have two bytes more.

use super::super::{take, take_array, window};

/// Distances from here on are stored by themselves.
const FAR: usize = 8191;

/// Decodes a stream that has to fill `out`.
pub(super) fn decompress(mut stored: &[u8], out: &mut [u8]) -> Option<()> {
    let mut at = 0;
    let mut control = next(&mut stored)? & 31;
    loop {
        if control < 32 {
            window::append(out, &mut at, take(&mut stored, control + 1)?)?;
        } else {
            let (length, distance) = copy(control, &mut stored)?;
            window::repeat(out, &mut at, distance, length)?;
        }
        match next(&mut stored) {
            Some(following) => control = following,
            None => return (at == out.len()).then_some(()),
        }
    }
}

/// Length and distance of the copy that begins with `control`.
fn copy(control: usize, stored: &mut &[u8]) -> Option<(usize, usize)> {
    let mut length = (control >> 5) + 2;
    if control >> 5 == 7 {
        loop {
            let more = next(stored)?;
            length = length.checked_add(more)?;
            if more < 255 {
                break;
            }
        }
    }
    let (high, low) = (control & 31, next(stored)?);
    if (high, low) == (31, 255) {
        let far = usize::from(u16::from_be_bytes(take_array(stored)?));
        return Some((length, far + FAR + 1));
    }
    Some((length, (high << 8 | low) + 1))
}

fn next(stored: &mut &[u8]) -> Option<usize> {
    take_array(stored).map(|[byte]| byte.into())
}
