//! The positions of a scan: which step of which axis each row of the main dataset is.
//!
//! Pure: from index and value tables to axes and back. A scan need not be a full grid: sparse
//! sampling and unfinished scans keep the axes that their indices name.

use std::collections::BTreeMap;

use crate::process::Dimension;

/// An index table (rows × dimensions) with its axes, slowest first.
#[derive(Clone, Debug)]
pub(crate) struct PositionGrid {
    /// Axes, slowest first.
    pub dimensions: Vec<Dimension>,
    /// For each axis (slowest first) the step of every row.
    steps: Vec<Vec<u32>>,
}

/// A table as h5USID stores it: for each axis its label, units, and the index and value per row.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    pub name: String,
    pub units: String,
    pub indices: Vec<i64>,
    pub values: Vec<f64>,
}

impl PositionGrid {
    /// Sorts the axes from the slowest to the fastest and takes their values.
    pub fn new(mut axes: Vec<Axis>) -> Self {
        let mut changes: Vec<usize> =
            axes.iter().map(|axis| count_changes(&axis.indices)).collect();
        // A stable sort: axes that change equally often (length 1) keep the file's order.
        let mut order: Vec<usize> = (0..axes.len()).collect();
        order.sort_by_key(|axis| changes[*axis]);
        changes.clear();
        let (mut dimensions, mut steps) = (Vec::new(), Vec::new());
        for index in order {
            let (dimension, own_steps) = dimension(&mut axes[index]);
            dimensions.push(dimension);
            steps.push(own_steps);
        }
        Self { dimensions, steps }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.steps.first().map_or(0, Vec::len)
    }

    /// Whether the rows are all combinations of all steps, the last axis running fastest.
    pub fn is_full(&self) -> bool {
        let mut stride = self.rows();
        for (dimension, steps) in self.dimensions.iter().zip(&self.steps) {
            let length = dimension.len();
            if length == 0 || !stride.is_multiple_of(length) {
                return false;
            }
            stride /= length;
            if steps.iter().enumerate().any(|(row, step)| *step as usize != row / stride % length) {
                return false;
            }
        }
        stride == 1
    }

    /// The first row at the given steps, slowest axis first.
    pub fn row_at(&self, steps: &[u32]) -> Option<u64> {
        let fits =
            |row: &usize| self.steps.iter().zip(steps).all(|(axis, step)| axis[*row] == *step);
        (steps.len() == self.steps.len())
            .then(|| (0..self.rows()).find(fits).map(|row| row as u64))
            .flatten()
    }

    /// The steps of a row, slowest axis first.
    pub fn steps_of(&self, row: u64) -> Vec<u32> {
        self.steps.iter().map(|axis| axis[row as usize]).collect()
    }

    /// Length of each axis, slowest first.
    pub fn shape(&self) -> Vec<usize> {
        self.dimensions.iter().map(Dimension::len).collect()
    }
}

fn count_changes(indices: &[i64]) -> usize {
    indices.windows(2).filter(|pair| pair[0] != pair[1]).count()
}

/// Steps are ranks of the indices, so that a scan that begins at index 5 has a step 0.
fn dimension(axis: &mut Axis) -> (Dimension, Vec<u32>) {
    let mut value_of = BTreeMap::new();
    let mut last = None;
    for (index, value) in axis.indices.iter().zip(&axis.values) {
        if last != Some(*index) {
            value_of.entry(*index).or_insert(*value);
            last = Some(*index);
        }
    }
    let lowest = value_of.keys().next().copied().unwrap_or(0);
    let contiguous =
        value_of.len() as i64 == value_of.keys().last().map_or(0, |top| top - lowest + 1);
    let ranks: BTreeMap<i64, u32> =
        value_of.keys().enumerate().map(|(rank, index)| (*index, rank as u32)).collect();
    let steps = axis
        .indices
        .iter()
        .map(|index| if contiguous { (index - lowest) as u32 } else { ranks[index] })
        .collect();
    let dimension = Dimension::new(
        std::mem::take(&mut axis.name),
        std::mem::take(&mut axis.units),
        value_of.into_values().collect(),
    );
    (dimension, steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(name: &str, indices: &[i64]) -> Axis {
        Axis {
            name: name.into(),
            units: "nm".into(),
            indices: indices.to_vec(),
            values: indices.iter().map(|index| *index as f64 * 0.5).collect(),
        }
    }

    #[test]
    fn axes_are_sorted_slowest_first_whatever_the_files_order() {
        let x = axis("X", &[0, 1, 2, 0, 1, 2]);
        let y = axis("Y", &[0, 0, 0, 1, 1, 1]);
        for axes in [vec![x.clone(), y.clone()], vec![y, x]] {
            let grid = PositionGrid::new(axes);
            assert_eq!(grid.shape(), [2, 3]);
            assert_eq!(grid.dimensions[0].name, "Y");
            assert_eq!(grid.dimensions[1].values, [0.0, 0.5, 1.0]);
            assert!(grid.is_full());
            assert_eq!(grid.row_at(&[1, 2]), Some(5));
            assert_eq!(grid.steps_of(4), [1, 1]);
            assert_eq!(grid.row_at(&[2, 0]), None);
            assert_eq!(grid.row_at(&[1]), None);
        }
    }

    #[test]
    fn sparse_positions_keep_their_axes() {
        let grid = PositionGrid::new(vec![axis("X", &[5, 9, 7]), axis("Y", &[1, 1, 3])]);
        assert!(!grid.is_full());
        assert_eq!(grid.shape(), [2, 3]);
        assert_eq!(grid.dimensions[1].values, [2.5, 3.5, 4.5]);
        assert_eq!(grid.row_at(&[0, 2]), Some(1));
        assert_eq!(grid.row_at(&[1, 2]), None);
    }

    #[test]
    fn a_single_position_is_a_full_grid() {
        assert!(PositionGrid::new(vec![axis("X", &[0]), axis("Y", &[0])]).is_full());
    }
}
