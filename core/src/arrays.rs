//! Values in memory as arrays: views in C order, the last axis fastest, over what lies there
//! already.
//!
//! A view with a fixed number of axes costs a few instructions and allocates nothing, so that one
//! can be made for every spectrum. An array with another number of axes than the data have is
//! refused in words.

use ndarray::{ArrayView, ArrayViewMut, Dimension};

use crate::failure::Failure;

/// Values as an array with the axes of `shape`, behind an axis of `outer` steps if there is one.
#[inline]
pub(crate) fn view<'a, T, D: Dimension>(
    values: &'a [T],
    outer: Option<usize>,
    shape: &[usize],
    what: &str,
) -> Result<ArrayView<'a, T, D>, Failure> {
    let axes = axes::<D>(outer, shape).ok_or_else(|| other_axes::<D>(outer, shape, what))?;
    let view = ArrayView::from_shape(axes, values).ok();
    // ndarray takes more values than there are places for, and shows the first.
    let view = view.filter(|view| view.len() == values.len());
    view.ok_or_else(|| other_count(values.len(), outer, shape, what))
}

/// The same, to be written to.
pub(crate) fn view_mut<'a, T, D: Dimension>(
    values: &'a mut [T],
    outer: Option<usize>,
    shape: &[usize],
    what: &str,
) -> Result<ArrayViewMut<'a, T, D>, Failure> {
    let axes = axes::<D>(outer, shape).ok_or_else(|| other_axes::<D>(outer, shape, what))?;
    let count = values.len();
    let view = ArrayViewMut::from_shape(axes, values).ok();
    let view = view.filter(|view| view.len() == count);
    view.ok_or_else(|| other_count(count, outer, shape, what))
}

/// The lengths as the type has them; `None` if it has another number of axes.
#[inline]
fn axes<D: Dimension>(outer: Option<usize>, shape: &[usize]) -> Option<D> {
    let count = shape.len() + usize::from(outer.is_some());
    if D::NDIM.is_some_and(|axes| axes != count) {
        return None;
    }
    let mut axes = D::zeros(count);
    let lengths = outer.iter().chain(shape);
    axes.slice_mut().iter_mut().zip(lengths).for_each(|(axis, length)| *axis = *length);
    Some(axes)
}

#[cold]
fn other_axes<D: Dimension>(outer: Option<usize>, shape: &[usize], what: &str) -> Failure {
    let all: Vec<usize> = outer.into_iter().chain(shape.iter().copied()).collect();
    let counted = |axes: usize| match axes {
        1 => "1 axis".to_owned(),
        several => format!("{several} axes"),
    };
    let (has, wanted) = (counted(all.len()), counted(D::NDIM.unwrap_or(0)));
    Failure::new(format!("{what} has {has} ({}), and is taken for an array of {wanted}", by(&all)))
}

#[cold]
fn other_count(values: usize, outer: Option<usize>, shape: &[usize], what: &str) -> Failure {
    let all: Vec<usize> = outer.into_iter().chain(shape.iter().copied()).collect();
    Failure::new(format!("{what} has {values} values, which are no array of {}", by(&all)))
}

/// `64 × 64`.
pub(crate) fn by(lengths: &[usize]) -> String {
    let texts: Vec<String> = lengths.iter().map(usize::to_string).collect();
    if texts.is_empty() { "a single value".to_owned() } else { texts.join(" × ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Ix1, Ix2, Ix3, IxDyn};

    #[test]
    fn values_are_seen_where_they_lie_with_the_last_axis_fastest() {
        let values = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
        let frame = view::<_, Ix2>(&values, None, &[3, 4], "it").unwrap();
        assert_eq!((frame[[1, 0]], frame[[2, 3]]), (4, 11));
        assert_eq!(frame.as_ptr(), values.as_ptr());
        let unit = view::<_, Ix3>(&values, Some(2), &[2, 3], "it").unwrap();
        assert_eq!(unit[[1, 0, 2]], 8);
        let dynamic = view::<_, IxDyn>(&values, Some(1), &[2, 1, 2, 1, 3], "it").unwrap();
        assert_eq!(dynamic[[0, 1, 0, 1, 0, 2]], 11);
        let mut written = values;
        view_mut::<_, Ix2>(&mut written, Some(4), &[3], "it").unwrap()[[3, 1]] = -1;
        assert_eq!(written[10], -1);
    }

    #[test]
    fn another_number_of_axes_is_refused_in_words() {
        let values = [0u8; 12];
        let told = view::<_, Ix1>(&values, None, &[3, 4], "the spectrum").unwrap_err().to_string();
        assert_eq!(told, "the spectrum has 2 axes (3 × 4), and is taken for an array of 1 axis");
        let told = view::<_, Ix2>(&values, None, &[12], "the spectrum").unwrap_err().to_string();
        assert_eq!(told, "the spectrum has 1 axis (12), and is taken for an array of 2 axes");
        let mut written = values;
        for shape in [[3, 5], [3, 3]] {
            let expected = format!(
                "the spectrum has 12 values, which are no array of {} × {}",
                shape[0], shape[1]
            );
            let told = view::<_, Ix2>(&values, None, &shape, "the spectrum").unwrap_err();
            assert_eq!(told.to_string(), expected);
            let told = view_mut::<_, Ix2>(&mut written, None, &shape, "the spectrum").unwrap_err();
            assert_eq!(told.to_string(), expected);
        }
    }
}
