//! Values along some axes, as an image, a curve or a number.

use super::Layout;
use super::pages::{MOST_PIXELS, MOST_POINTS, Ruler, are_to_scale, long};
use super::values::{Means, Values};
use pixelmill_core::dimension::Dimension;

/// Values in the layout that their axes give.
pub(super) struct Laid {
    pub layout: Layout,
    /// The position that the first value is of, if they are of positions.
    pub first_position: Option<u64>,
    pub values: Values,
    pub notes: Vec<String>,
}

/// The values along some axes, slowest first, as an image of the last two, a curve, or a number.
pub(super) fn laid(axes: &[Dimension], numbers: &[f64]) -> Laid {
    let long = long(axes);
    let (slow, own) = long.split_at(long.len().saturating_sub(2));
    let each: usize = own.iter().map(|axis| axis.len()).product();
    let first = &numbers[..each.min(numbers.len())];
    let notes = slow.iter().map(|axis| format!("at step 0 of {}", axis.name)).collect();
    let (layout, values) = match own {
        [rows, columns] => {
            let steps = [rows, columns].map(|axis| axis.len().div_ceil(MOST_PIXELS).max(1));
            let layout = Layout::Image {
                to_scale: are_to_scale(rows, columns),
                rows: Ruler::new(rows, steps[0]),
                columns: Ruler::new(columns, steps[1]),
            };
            (layout, in_bins(first, columns.len(), steps))
        }
        [axis] => {
            let steps = axis.len().div_ceil(MOST_POINTS).max(1);
            let values = in_bins(first, axis.len(), [1, steps]);
            (Layout::Curve(Ruler::new(axis, steps)), values)
        }
        _ => (Layout::Number, first.to_vec()),
    };
    Laid { layout, first_position: None, values: Values::of(values), notes }
}

/// The means of so many rows and columns of an array.
fn in_bins(numbers: &[f64], columns: usize, [down, right]: [usize; 2]) -> Vec<f64> {
    if (down, right) == (1, 1) {
        return numbers.to_vec();
    }
    let across = columns.div_ceil(right);
    let rows = (numbers.len() / columns.max(1)).div_ceil(down);
    let mut means = Means::new(rows * across, false);
    for (at, number) in numbers.iter().enumerate() {
        let (row, column) = (at / columns, at % columns);
        means.add(row / down * across + column / right, (*number, 0.0));
    }
    means.values()
}
