//! The positions of a scan: which step of which axis each row of the main dataset is.
//!
//! From index and value tables, read block by block, to axes and back. A scan need not be a full
//! grid: sparse sampling and unfinished scans keep the axes that their indices name. Of a full grid
//! only the axes are kept, so that a scan of any size takes no memory here.

use std::collections::BTreeMap;
use std::ops::Range;

use sha2::{Digest, Sha256};

use crate::hex::hex;
use crate::region;
use pixelmill_core::axis_values::GrowingAxis;
use pixelmill_core::coordinates::PositionAxes;
use pixelmill_core::dimension::Dimension;

/// Rows that are hashed at a time.
const ROWS_AT_A_TIME: usize = 1 << 12;

/// The rows of an index table with its axes, slowest first.
#[derive(Clone, Debug)]
pub(crate) struct PositionGrid {
    /// Axes, slowest first.
    pub dimensions: Vec<Dimension>,
    rows: usize,
    /// For each axis (slowest first) the step of every row; `None` if the rows are a full grid.
    listed: Option<Vec<Vec<u32>>>,
    /// The column of the file's tables that each axis is.
    columns: Vec<usize>,
    /// For each axis the value of every row, if rows have values of their own and these were asked
    /// for.
    own_values: Option<Vec<Vec<f64>>>,
}

/// Index and value of each axis for some rows, row by row.
#[derive(Clone, Debug, Default)]
pub(crate) struct TableRows {
    pub indices: Vec<i64>,
    pub values: Vec<f64>,
}

/// An axis while its table is read.
#[derive(Clone, Debug, Default)]
struct Axis {
    name: String,
    units: String,
    value_of: ValueOf,
    last: Option<i64>,
    /// How often the index changes from one row to the next: the slower an axis, the less often.
    changes: usize,
}

/// The values of an axis by their indices.
#[derive(Clone, Debug)]
enum ValueOf {
    /// Of indices that follow each other from this one on, as most do: there may be as many as
    /// positions.
    Counted(i64, GrowingAxis),
    Scattered(BTreeMap<i64, f64>),
}

impl Default for ValueOf {
    fn default() -> Self {
        Self::Counted(0, GrowingAxis::default())
    }
}

impl ValueOf {
    /// Notes the value of an index, the first that it is seen with.
    fn see(&mut self, index: i64, value: f64) {
        match self {
            Self::Scattered(values) => {
                values.entry(index).or_insert(value);
            }
            Self::Counted(first, values) => {
                if values.is_empty() {
                    *first = index;
                }
                let step = index.checked_sub(*first).and_then(|step| usize::try_from(step).ok());
                if step == Some(values.len()) {
                    values.push(value);
                } else if step.is_none_or(|step| step > values.len()) {
                    let known = std::mem::take(values).finish();
                    let mut scattered: BTreeMap<i64, f64> = (*first..).zip(known.iter()).collect();
                    scattered.insert(index, value);
                    *self = Self::Scattered(scattered);
                }
            }
        }
    }

    /// Steps are ranks of the indices, so that a scan that begins at index 5 has a step 0.
    fn ranks(&self) -> Ranks {
        match self {
            Self::Counted(first, _) => Ranks::From(*first),
            Self::Scattered(values) => Ranks::Of(
                values.keys().enumerate().map(|(rank, index)| (*index, rank as u32)).collect(),
            ),
        }
    }
}

/// The step of each index.
enum Ranks {
    /// Counted from this index.
    From(i64),
    Of(BTreeMap<i64, u32>),
}

impl Ranks {
    fn of(&self, index: i64) -> u32 {
        match self {
            Self::From(first) => index.wrapping_sub(*first) as u32,
            Self::Of(ranks) => ranks[&index],
        }
    }
}

impl PositionGrid {
    /// Reads a table of `rows` rows through `read`, so many `at_once`; `labels` are the name and
    /// units of each of its axes, in the file's order. Axes are sorted from the slowest to the
    /// fastest.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn new<E>(
        labels: Vec<(String, String)>,
        (rows, at_once): (usize, usize),
        mut read: impl FnMut(Range<usize>) -> Result<TableRows, E>,
    ) -> Result<Self, E> {
        let named = |(name, units)| Axis { name, units, ..Axis::default() };
        let mut axes: Vec<Axis> = labels.into_iter().map(named).collect();
        for range in windows(rows, at_once) {
            let block = read(range)?;
            let pairs = block.indices.iter().zip(&block.values).enumerate();
            let count = axes.len();
            pairs.for_each(|(at, (index, value))| axes[at % count].see(*index, *value));
        }
        // A stable sort: axes that change equally often (of length 1) keep the file's order.
        let mut order: Vec<usize> = (0..axes.len()).collect();
        order.sort_by_key(|axis| axes[*axis].changes);
        let ranks: Vec<Ranks> = order.iter().map(|axis| axes[*axis].value_of.ranks()).collect();
        let dimensions = order.iter().map(|axis| std::mem::take(&mut axes[*axis]).dimension());
        let dimensions = dimensions.collect();
        let mut grid =
            Self { dimensions, rows, listed: None, columns: order.clone(), own_values: None };
        if !grid.matches(&order, &ranks, at_once, &mut read)? {
            grid.listed = Some(list((rows, at_once), &order, &ranks, &mut read)?);
        }
        Ok(grid)
    }

    /// The full grid of some axes, slowest first.
    pub fn full(dimensions: Vec<Dimension>) -> Self {
        let rows = dimensions.iter().map(Dimension::len).product();
        let columns = (0..dimensions.len()).collect();
        Self { dimensions, rows, listed: None, columns, own_values: None }
    }

    /// Whether the table's rows are all combinations of all steps, the last axis fastest.
    fn matches<E>(
        &self,
        order: &[usize],
        ranks: &[Ranks],
        at_once: usize,
        read: &mut impl FnMut(Range<usize>) -> Result<TableRows, E>,
    ) -> Result<bool, E> {
        if self.shape().iter().product::<usize>() != self.rows {
            return Ok(false);
        }
        let shape = self.shape();
        for range in windows(self.rows, at_once) {
            let first = range.start;
            let block = read(range)?;
            for (at, row) in block.indices.chunks_exact(order.len()).enumerate() {
                let mut left = first + at;
                for (axis, length) in shape.iter().enumerate().rev() {
                    let index = row[order[axis]];
                    if u64::from(ranks[axis].of(index)) != (left % length) as u64 {
                        return Ok(false);
                    }
                    left /= length;
                }
            }
        }
        Ok(true)
    }

    /// Keeps the value of each row on each axis, which `read` tells of some rows, row by row in the
    /// order of the table's columns; nothing if all are those of the axes. That an index has the
    /// same value everywhere no table promises.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn keep_own_values<E>(
        &mut self,
        at_once: usize,
        mut read: impl FnMut(Range<usize>) -> Result<Vec<f64>, E>,
    ) -> Result<(), E> {
        self.own_values = None;
        if self.are_those_of_axes(at_once, &mut read)? {
            return Ok(());
        }
        let mut own: Vec<Vec<f64>> =
            self.columns.iter().map(|_| Vec::with_capacity(self.rows)).collect();
        for range in windows(self.rows, at_once) {
            for row in read(range)?.chunks_exact(self.columns.len()) {
                let axes = own.iter_mut().zip(&self.columns);
                axes.for_each(|(values, column)| values.push(row[*column]));
            }
        }
        self.own_values = Some(own);
        Ok(())
    }

    /// The value of each row on each axis, if these were kept.
    pub fn take_own_values(&mut self) -> Option<Vec<Vec<f64>>> {
        self.own_values.take()
    }

    /// Whether each row has the values of the axes, bit by bit.
    fn are_those_of_axes<E>(
        &self,
        at_once: usize,
        read: &mut impl FnMut(Range<usize>) -> Result<Vec<f64>, E>,
    ) -> Result<bool, E> {
        for range in windows(self.rows, at_once) {
            let (first, block) = (range.start as u64, read(range)?);
            for (row, values) in (first..).zip(block.chunks_exact(self.columns.len())) {
                let differs = |(axis, column): (usize, &usize)| {
                    self.value(row, axis).to_bits() != values[*column].to_bits()
                };
                if self.columns.iter().enumerate().any(differs) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// SHA-256 of the values of all rows; `None` if they are those of the axes, or weren't asked
    /// for.
    pub fn own_values_digest(&self) -> Option<String> {
        let mut hash = Sha256::new();
        for values in self.own_values.as_ref()? {
            for block in values.chunks(ROWS_AT_A_TIME) {
                hash.update(
                    block.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>(),
                );
            }
        }
        Some(hex(&hash.finalize()))
    }

    /// SHA-256 of the steps of all rows; `None` if they are a full grid, which its axes tell.
    pub fn digest(&self) -> Option<String> {
        let listed = self.listed.as_ref()?;
        let mut hash = Sha256::new();
        for steps in listed {
            for block in steps.chunks(ROWS_AT_A_TIME) {
                hash.update(block.iter().flat_map(|step| step.to_le_bytes()).collect::<Vec<u8>>());
            }
        }
        Some(hex(&hash.finalize()))
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether the rows are all combinations of all steps, the last axis running fastest.
    pub fn is_full(&self) -> bool {
        self.listed.is_none()
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> u64 {
        let listed = self.listed.as_ref().map_or(0, |steps| steps.len() * self.rows * 4);
        let own = self.own_values.as_ref().map_or(0, |values| values.len() * self.rows * 8);
        (listed + own) as u64
    }

    /// The first row at the given steps, slowest axis first.
    pub fn row_at(&self, steps: &[u32]) -> Option<u64> {
        let shape = self.shape();
        let inside = steps.len() == shape.len()
            && steps.iter().zip(&shape).all(|(step, length)| (*step as usize) < *length);
        if !inside {
            return None;
        }
        match &self.listed {
            None => {
                let steps: Vec<u64> = steps.iter().map(|step| (*step).into()).collect();
                Some(region::number(&region::lengths(&shape), &steps))
            }
            Some(listed) => {
                let fits = |row: &usize| listed.iter().zip(steps).all(|(axis, s)| axis[*row] == *s);
                (0..self.rows).find(fits).map(|row| row as u64)
            }
        }
    }

    /// The steps of a row, slowest axis first.
    pub fn steps_of(&self, row: u64) -> Vec<u32> {
        if let Some(listed) = &self.listed {
            return listed.iter().map(|axis| axis[row as usize]).collect();
        }
        let steps = region::steps(&region::lengths(&self.shape()), row);
        steps.into_iter().map(|step| step as u32).collect()
    }

    /// Length of each axis, slowest first.
    pub fn shape(&self) -> Vec<usize> {
        self.dimensions.iter().map(Dimension::len).collect()
    }

    /// `Y 0:64, X 0:64`, for messages.
    pub fn described(&self) -> String {
        let axes = self.dimensions.iter().map(|axis| format!("{} 0:{}", axis.name, axis.len()));
        axes.collect::<Vec<_>>().join(", ")
    }
}

impl PositionAxes for PositionGrid {
    fn axes(&self) -> usize {
        self.dimensions.len()
    }

    fn step(&self, position: u64, axis: usize) -> u32 {
        if let Some(listed) = &self.listed {
            return listed[axis][position as usize];
        }
        let faster: u64 =
            self.dimensions[axis + 1..].iter().map(|axis| axis.len() as u64).product();
        (position / faster.max(1) % self.dimensions[axis].len().max(1) as u64) as u32
    }

    fn value(&self, position: u64, axis: usize) -> f64 {
        if let Some(own) = &self.own_values {
            return own[axis][position as usize];
        }
        let step = self.step(position, axis) as usize;
        self.dimensions[axis].values.get(step).unwrap_or(f64::NAN)
    }
}

fn windows(rows: usize, at_once: usize) -> impl Iterator<Item = Range<usize>> {
    (0..rows).step_by(at_once.max(1)).map(move |first| first..rows.min(first + at_once))
}

fn list<E>(
    (rows, at_once): (usize, usize),
    order: &[usize],
    ranks: &[Ranks],
    read: &mut impl FnMut(Range<usize>) -> Result<TableRows, E>,
) -> Result<Vec<Vec<u32>>, E> {
    let mut listed: Vec<Vec<u32>> = order.iter().map(|_| Vec::with_capacity(rows)).collect();
    for range in windows(rows, at_once) {
        let block = read(range)?;
        for row in block.indices.chunks_exact(order.len()) {
            for (axis, steps) in listed.iter_mut().enumerate() {
                steps.push(ranks[axis].of(row[order[axis]]));
            }
        }
    }
    Ok(listed)
}

impl Axis {
    fn see(&mut self, index: i64, value: f64) {
        if self.last == Some(index) {
            return;
        }
        self.changes += usize::from(self.last.is_some());
        self.last = Some(index);
        self.value_of.see(index, value);
    }

    fn dimension(self) -> Dimension {
        let values = match self.value_of {
            ValueOf::Counted(_, values) => values.finish(),
            ValueOf::Scattered(values) => values.into_values().collect(),
        };
        Dimension::new(self.name, self.units, values)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A grid with these steps of each axis, row by row.
    pub(crate) fn grid(axes: &[(&str, &[i64])]) -> PositionGrid {
        let labels = axes.iter().map(|(name, _)| ((*name).to_owned(), "nm".to_owned())).collect();
        let read = |rows: Range<usize>| {
            let indices: Vec<i64> =
                rows.flat_map(|row| axes.iter().map(move |(_, indices)| indices[row])).collect();
            let values = indices.iter().map(|index| *index as f64 * 0.5).collect();
            Ok::<_, ()>(TableRows { indices, values })
        };
        PositionGrid::new(labels, (axes[0].1.len(), 2), read).unwrap()
    }

    #[test]
    fn axes_are_sorted_slowest_first_whatever_the_files_order() {
        let x: (&str, &[i64]) = ("X", &[0, 1, 2, 0, 1, 2]);
        let y: (&str, &[i64]) = ("Y", &[0, 0, 0, 1, 1, 1]);
        for axes in [[x, y], [y, x]] {
            let grid = grid(&axes);
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
        let grid = grid(&[("X", &[5, 9, 7]), ("Y", &[1, 1, 3])]);
        assert!(!grid.is_full());
        assert_eq!(grid.shape(), [2, 3]);
        assert_eq!(grid.dimensions[1].values, [2.5, 3.5, 4.5]);
        assert_eq!(grid.row_at(&[0, 2]), Some(1));
        assert_eq!(grid.row_at(&[1, 2]), None);
    }

    #[test]
    fn scans_over_the_same_axes_in_another_order_are_told_apart() {
        let scan = |x: &[i64], y: &[i64]| grid(&[("X", x), ("Y", y)]).digest();
        let one = scan(&[0, 1, 2], &[0, 0, 1]);
        assert!(one.is_some());
        assert_eq!(scan(&[0, 1, 2], &[0, 0, 1]), one);
        assert_ne!(scan(&[1, 0, 2], &[0, 0, 1]), one);
        assert_ne!(scan(&[0, 1, 2], &[0, 1, 1]), one);
        assert_eq!(scan(&[0, 1, 0, 1], &[0, 0, 1, 1]), None, "a full grid");
    }

    #[test]
    fn rows_keep_values_of_their_own_where_these_are_not_those_of_the_axes() {
        let mut scan = grid(&[("X", &[0, 1, 2, 0, 1, 2]), ("Y", &[0, 0, 0, 1, 1, 1])]);
        let of_axes = [0.0, 0.0, 0.5, 0.0, 1.0, 0.0, 0.0, 0.5, 0.5, 0.5, 1.0, 0.5];
        let keep = |scan: &mut PositionGrid, values: &[f64]| {
            let read = |rows: Range<usize>| values[2 * rows.start..2 * rows.end].to_vec();
            scan.keep_own_values(4, |rows| Ok::<_, ()>(read(rows)))
        };
        keep(&mut scan, &of_axes).unwrap();
        assert_eq!((scan.own_values_digest(), scan.bytes()), (None, 0));
        assert_eq!((scan.step(4, 0), scan.value(4, 0), scan.value(5, 1)), (1, 0.5, 1.0));
        let mut drifted = of_axes;
        drifted[8] = 0.52;
        keep(&mut scan, &drifted).unwrap();
        assert_eq!((scan.step(4, 1), scan.value(4, 1), scan.value(4, 0)), (1, 0.52, 0.5));
        assert_eq!((scan.value(1, 1), scan.bytes()), (0.5, 96));
        let digest = scan.own_values_digest();
        drifted[8] = 0.53;
        keep(&mut scan, &drifted).unwrap();
        assert_ne!(scan.own_values_digest(), digest);
    }

    #[test]
    fn a_single_position_is_a_full_grid() {
        assert!(grid(&[("X", &[0]), ("Y", &[0])]).is_full());
    }

    #[test]
    fn a_grid_that_does_not_count_from_0_is_full_all_the_same() {
        let grid = grid(&[("Y", &[3, 3, 9, 9]), ("X", &[-1, 4, -1, 4])]);
        assert!(grid.is_full());
        assert_eq!(grid.steps_of(2), [1, 0]);
        assert_eq!(grid.dimensions[0].values, [1.5, 4.5]);
    }

    #[test]
    fn indices_may_be_the_largest_there_are() {
        let (last, before) = (i64::MAX, i64::MAX - 1);
        let full = grid(&[("Y", &[0, 0, 1, 1]), ("X", &[before, last, before, last])]);
        assert!(full.is_full());
        assert_eq!(full.shape(), [2, 2]);
        let apart = grid(&[("Y", &[0, 0, 1, 1]), ("X", &[i64::MIN, last, i64::MIN, last])]);
        assert_eq!((apart.is_full(), apart.shape()), (true, vec![2, 2]));
    }

    #[test]
    fn rows_in_another_order_are_listed() {
        let grid = grid(&[("Y", &[1, 1, 0, 0]), ("X", &[0, 1, 0, 1])]);
        assert!(!grid.is_full());
        assert_eq!(grid.row_at(&[0, 1]), Some(3));
        assert_eq!(grid.steps_of(0), [1, 0]);
    }

    #[test]
    fn grids_of_many_blocks_are_full() {
        let y: Vec<i64> = (0..300_000).map(|row| row / 1000).collect();
        let x: Vec<i64> = (0..300_000).map(|row| row % 1000).collect();
        let grid = grid(&[("X", &x), ("Y", &y)]);
        assert!(grid.is_full());
        assert_eq!(grid.bytes(), 0);
        assert_eq!(grid.row_at(&[299, 999]), Some(299_999));
        assert_eq!(grid.steps_of(123_456), [123, 456]);
    }
}
