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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_bin_has_its_rows_and_begins_at_the_first() {
        let bins = Bins::new(&[2, 3], &[5, 7]).unwrap();
        assert_eq!(bins.rows_of_each(), 6);
        assert_eq!((bins.first_row(1), bins.first_row(2)), (3, 14));
        assert_eq!(bins.rows(1..3), [3..6, 10..13, 14..17, 21..24]);
        assert_eq!(bins.rows(0..2), [0..6, 7..13]);
        assert_eq!(bins.beginning_in(0..35), [0..2, 2..4]);
        assert_eq!(bins.beginning_in(1..15), [1..2, 2..3]);
        assert!(bins.beginning_in(28..35).is_empty(), "no whole bin is left");
    }

    #[test]
    fn bins_have_to_fit_in() {
        let told = |steps: &[u64]| Bins::new(steps, &[5, 7]).unwrap_err();
        assert_eq!(told(&[2, 8]), "an axis of 7 positions has no bins of 8");
        assert!(told(&[0, 1]).contains("no bins of 0"));
    }

    proptest! {
        #[test]
        fn each_bin_begins_once_and_has_rows_of_its_own(
            axes in prop::collection::vec((1u64..9, 1u64..4), 1..4), seed in any::<u64>(),
        ) {
            let axes: Vec<(u64, u64)> = axes.into_iter().map(|(length, by)| (length.max(by), by)).collect();
            let (lengths, steps): (Vec<u64>, Vec<u64>) = axes.into_iter().unzip();
            let bins = Bins::new(&steps, &lengths).unwrap();
            let (rows, count) = (lengths.iter().product::<u64>(), bins.bins.iter().product::<u64>());
            let of = |bin: u64| -> BTreeSet<u64> { bins.rows(bin..bin + 1).into_iter().flatten().collect() };
            let mut seen = BTreeSet::new();
            for bin in 0..count {
                let own = of(bin);
                prop_assert_eq!((own.first().copied(), own.len() as u64), (Some(bins.first_row(bin)), bins.rows_of_each()));
                prop_assert!(own.into_iter().all(|row| row < rows && seen.insert(row)));
            }
            // A run of rows, wherever it begins and ends.
            let run = seed % rows..rows.min(seed % rows + seed / rows % rows + 1);
            let beginning: Vec<u64> = bins.beginning_in(run.clone()).into_iter().flatten().collect();
            let expected: Vec<u64> = (0..count).filter(|bin| run.contains(&bins.first_row(*bin))).collect();
            prop_assert_eq!(beginning, expected);
            let together: BTreeSet<u64> = bins.rows(0..count).into_iter().flatten().collect();
            prop_assert_eq!(together, seen);
            // Whoever has a row of a line begins among those that are told for it.
            for line in region::lines(run, &lengths) {
                let told: BTreeSet<u64> = bins.begins(line.clone()).into_iter().flatten().collect();
                let needed = (0..count).filter(|bin| of(*bin).iter().any(|row| line.contains(row)));
                prop_assert!(needed.map(|bin| bins.first_row(bin)).all(|row| told.contains(&row)));
            }
        }
    }
}
