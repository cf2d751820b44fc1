//! Copying a box of one array into another: the axes may be in another order there.
//!
//! Pure: bytes in memory, strides in bytes.

use crate::region::strides;
use crate::view::{Pick, View};

/// One axis of a copy: how many steps, and how far one step goes in either array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Axis {
    pub steps: usize,
    pub from: usize,
    pub to: usize,
}

/// Steps of a square that stays in the processor's cache while both its sides are walked.
const SQUARE: usize = 32;

/// Copies elements of `element` bytes along all `axes`, from the beginning of `from` to that of
/// `to`.
pub(crate) fn copy(from: &[u8], to: &mut [u8], axes: &[Axis], element: usize) {
    let mut axes: Vec<Axis> = axes.iter().copied().filter(|axis| axis.steps != 1).collect();
    if axes.iter().any(|axis| axis.steps == 0) {
        return;
    }
    // What lies side by side in both arrays is one piece.
    let mut piece = element;
    while let Some(at) = axes.iter().position(|axis| axis.from == piece && axis.to == piece) {
        piece *= axes.swap_remove(at).steps;
    }
    axes.sort_by_key(|axis| std::cmp::Reverse(axis.to));
    match piece {
        1 => walk(from, to, &axes, &mut |from, to| to[0] = from[0], 1),
        2 => walk(from, to, &axes, &mut fixed::<2>, 2),
        4 => walk(from, to, &axes, &mut fixed::<4>, 4),
        8 => walk(from, to, &axes, &mut fixed::<8>, 8),
        16 => walk(from, to, &axes, &mut fixed::<16>, 16),
        32 => walk(from, to, &axes, &mut fixed::<32>, 32),
        64 => walk(from, to, &axes, &mut fixed::<64>, 64),
        128 => walk(from, to, &axes, &mut fixed::<128>, 128),
        _ => walk(from, to, &axes, &mut |from, to| to.copy_from_slice(from), piece),
    }
}

#[inline]
fn fixed<const N: usize>(from: &[u8], to: &mut [u8]) {
    if let (Some(from), Some(to)) = (from.first_chunk::<N>(), to.first_chunk_mut::<N>()) {
        *to = *from;
    }
}

/// Fills `rows` by what `read` reads, or puts them together out of that where a view says so.
///
/// # Errors
/// Those of `read`.
pub(crate) fn arranged<E>(
    view: &View,
    element: usize,
    rows: &mut [u8],
    read: impl FnOnce(&mut [u8]) -> Result<(), E>,
) -> Result<(), E> {
    let Some(picks) = view.arrangement() else { return read(rows) };
    let (row, as_read) = (view.points() as usize, view.read_points() as usize);
    let count = rows.len() / (row * element);
    let mut aside = vec![0; count * as_read * element];
    read(&mut aside)?;
    let shape: Vec<u64> = picks.iter().map(|pick| pick.steps).collect();
    let axis = |(pick, to): (&Pick, usize)| Axis {
        steps: pick.steps as usize,
        from: pick.apart as usize * element,
        to,
    };
    let mut axes: Vec<Axis> = picks.iter().zip(strides(&shape, element)).map(axis).collect();
    axes.insert(0, Axis { steps: count, from: as_read * element, to: row * element });
    copy(&aside, rows, &axes, element);
    Ok(())
}

/// The row that a view makes of all values that the dataset has for a position.
pub(crate) fn row_of(view: &View, element: usize, whole: &[u8]) -> Vec<u8> {
    let axes =
        |lengths: &[u64]| -> Vec<u64> { view.spectrum.iter().map(|axis| lengths[*axis]).collect() };
    let extent = view.extent();
    let (shape, read, start) = (axes(&view.shape), axes(&extent.shape), axes(&extent.start));
    let (own, there) = (strides(&shape, element), strides(&read, element));
    let begin: usize = start.iter().zip(&own).map(|(step, apart)| *step as usize * apart).sum();
    let copied: Vec<Axis> = (read.iter().zip(own.iter().zip(&there)))
        .map(|(steps, (from, to))| Axis { steps: *steps as usize, from: *from, to: *to })
        .collect();
    let mut row = vec![0; view.points() as usize * element];
    let filled = arranged(view, element, &mut row, |row| {
        copy(&whole[begin..], row, &copied, element);
        Ok::<(), std::convert::Infallible>(())
    });
    filled.map_or_else(|never| match never {}, |()| row)
}

fn walk(
    from: &[u8],
    to: &mut [u8],
    axes: &[Axis],
    piece: &mut impl FnMut(&[u8], &mut [u8]),
    bytes: usize,
) {
    match axes {
        [] => piece(&from[..bytes], &mut to[..bytes]),
        [axis] => {
            for step in 0..axis.steps {
                let (at, there) = (step * axis.from, step * axis.to);
                piece(&from[at..at + bytes], &mut to[there..there + bytes]);
            }
        }
        [slow, fast] => squares(from, to, (*slow, *fast), piece, bytes),
        [axis, rest @ ..] => {
            for step in 0..axis.steps {
                walk(&from[step * axis.from..], &mut to[step * axis.to..], rest, piece, bytes);
            }
        }
    }
}

fn squares(
    from: &[u8],
    to: &mut [u8],
    (slow, fast): (Axis, Axis),
    piece: &mut impl FnMut(&[u8], &mut [u8]),
    bytes: usize,
) {
    for first in (0..slow.steps).step_by(SQUARE) {
        for second in (0..fast.steps).step_by(SQUARE) {
            for a in first..slow.steps.min(first + SQUARE) {
                let (start, place) = (a * slow.from, a * slow.to);
                for b in second..fast.steps.min(second + SQUARE) {
                    let (at, there) = (start + b * fast.from, place + b * fast.to);
                    piece(&from[at..at + bytes], &mut to[there..there + bytes]);
                }
            }
        }
    }
}

/// Fills `out` with copies of a value.
pub(crate) fn fill(out: &mut [u8], value: &[u8]) {
    out.chunks_exact_mut(value.len()).for_each(|place| place.copy_from_slice(value));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::region::{steps, strides};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_element_arrives_where_its_axes_say(
            shape in prop::collection::vec(1u64..40, 1..5).prop_shuffle(),
            seed in any::<u64>(), width in prop::sample::select(vec![1usize, 2, 3, 4, 8, 16]),
        ) {
            prop_assume!(shape.iter().product::<u64>() < 20_000);
            let mut order: Vec<usize> = (0..shape.len()).collect();
            order.sort_by_key(|axis| seed.rotate_left(7 * *axis as u32) % 97);
            let there: Vec<u64> = order.iter().map(|axis| shape[*axis]).collect();
            let (own, other) = (strides(&shape, width), strides(&there, width));
            let axes: Vec<Axis> = order.iter().enumerate()
                .map(|(at, axis)| Axis { steps: shape[*axis] as usize, from: own[*axis], to: other[at] })
                .collect();
            let count = shape.iter().product::<u64>() as usize;
            let from: Vec<u8> = (0..count * width).map(|at| (at * 31 % 251) as u8).collect();
            let mut to = vec![0; from.len()];
            copy(&from, &mut to, &axes, width);
            for number in 0..count {
                let steps = steps(&shape, number as u64);
                let place: usize = order.iter().zip(&other).map(|(axis, stride)| steps[*axis] as usize * stride).sum();
                prop_assert_eq!(&to[place..place + width], &from[number * width..][..width]);
            }
        }
    }
}
