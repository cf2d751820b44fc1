//! Bins of positions that are computed as one: which rows of the source a bin has, and which bins
//! begin in some of them.
//!
//! Pure arithmetic on full grids: the scan as the source has it, whose positions are rows, and the
//! smaller one that the bins make. Both are numbered with the fastest axis fastest.

use std::ops::Range;

use crate::region::{self, Region};

/// A scan in bins of so many steps along each axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bins {
    /// Steps of a bin, slowest axis first.
    steps: Vec<u64>,
    /// Length of each axis of the scan.
    rows: Vec<u64>,
    /// How many whole bins each axis has.
    bins: Vec<u64>,
}

impl Bins {
    /// Bins of so many steps on a scan of this shape.
    ///
    /// # Errors
    /// If there are none.
    pub fn new(steps: &[u64], rows: &[u64]) -> Result<Self, String> {
        match steps.iter().zip(rows).find(|(steps, length)| !(1..=**length).contains(*steps)) {
            Some((steps, length)) => {
                Err(format!("an axis of {length} positions has no bins of {steps}"))
            }
            None => {
                let bins = rows.iter().zip(steps).map(|(length, steps)| length / steps).collect();
                Ok(Self { steps: steps.to_vec(), rows: rows.to_vec(), bins })
            }
        }
    }

    /// Steps of a bin along each axis, slowest first.
    pub fn steps(&self) -> &[u64] {
        &self.steps
    }

    /// How many rows a bin has.
    pub fn rows_of_each(&self) -> u64 {
        self.steps.iter().product()
    }

    /// The row that a bin begins at.
    pub fn first_row(&self, bin: u64) -> u64 {
        let places = region::steps(&self.bins, bin);
        let first: Vec<u64> = places.iter().zip(&self.steps).map(|(at, by)| at * by).collect();
        region::number(&self.rows, &first)
    }

    /// The rows of some bins that follow each other.
    pub fn rows(&self, bins: Range<u64>) -> Vec<Range<u64>> {
        let lines = region::lines(bins, &self.bins);
        let of_line = |line: Range<u64>| -> Vec<Range<u64>> {
            let mut rows: Region = region::steps(&self.bins, line.start)
                .iter()
                .zip(&self.steps)
                .map(|(at, by)| at * by..(at + 1) * by)
                .collect();
            if let (Some(length), Some(by)) = (rows.shape.last_mut(), self.steps.last()) {
                *length = (line.end - line.start) * by;
            }
            rows.runs(&self.rows)
        };
        lines.flat_map(of_line).collect()
    }

    /// The bins that begin in a run of rows.
    pub fn beginning_in(&self, rows: Range<u64>) -> Vec<Range<u64>> {
        let lines = region::lines(rows, &self.rows);
        lines.filter_map(|line| self.beginning_on(&line)).collect()
    }

    /// The same on a line along the fastest axis.
    fn beginning_on(&self, line: &Range<u64>) -> Option<Range<u64>> {
        let mut places = region::steps(&self.rows, line.start);
        let (Some(first), Some(by)) = (places.pop(), self.steps.last()) else {
            return Some(line.clone());
        };
        let begins = places.iter().zip(&self.steps).all(|(at, by)| at % by == 0);
        let mut bin: Vec<u64> = places.iter().zip(&self.steps).map(|(at, by)| at / by).collect();
        let length = *self.bins.last()?;
        let of_line = first.div_ceil(*by)..(first + line.end - line.start).div_ceil(*by);
        let of_line = of_line.start..of_line.end.min(length);
        let is_within = bin.iter().zip(&self.bins).all(|(at, bins)| at < bins);
        (begins && is_within && !of_line.is_empty()).then(|| {
            bin.push(of_line.start);
            let number = region::number(&self.bins, &bin);
            number..number + of_line.end - of_line.start
        })
    }

    /// The rows from the first to the last at which bins begin that have any of these, which are on
    /// a line along the fastest axis.
    pub fn begins(&self, line: Range<u64>) -> Vec<Range<u64>> {
        let Some(by) = self.steps.last() else { return vec![line] };
        let mut places = region::steps(&self.rows, line.start);
        let first = places.last().copied().unwrap_or(0);
        let last = first + line.end - line.start - 1;
        places.iter_mut().zip(&self.steps).for_each(|(at, by)| *at -= *at % by);
        let start = region::number(&self.rows, &places);
        std::iter::once(start..start + last / by * by - first / by * by + 1).collect()
    }
}
