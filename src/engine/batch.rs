//! What workers hand to the marker, of this rank or another.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::failures::Failures;
use crate::source::RowsDigest;
use pixelmill_core::failure::Failure;
use pixelmill_core::positions::Positions;

/// Positions whose results are written and wait to be marked.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Batch {
    pub positions: Positions,
    pub failures: Failures,
    /// What they were computed from.
    pub digest: RowsDigest,
    /// Whether the results are already where they have to survive.
    pub is_synced: bool,
}

impl Batch {
    /// Of the positions of some runs, of which some have failed, rows that are numbered and sorted.
    pub fn of(runs: &[Range<u64>], failed: &[(u64, Failure)], digest: RowsDigest) -> Self {
        let mut failures = Failures::default();
        let mut failed = failed.iter().peekable();
        let mut before = 0;
        for run in runs {
            let length = run.end - run.start;
            while let Some((row, why)) = failed.next_if(|(row, _)| *row < before + length) {
                failures.insert(run.start + (row - before), why);
            }
            before += length;
        }
        Self { positions: runs.iter().cloned().collect(), failures, digest, is_synced: false }
    }

    /// Adds what is to be marked with it.
    pub fn append(&mut self, other: Self) {
        self.positions.append(other.positions);
        self.failures.append(other.failures);
        self.digest += other.digest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_scattered_positions_are_theirs() {
        let failed: Vec<_> = (0..5).map(|row| (row, Failure::new(row.to_string()))).collect();
        let batch = Batch::of(&[3..5, 7..8, 10..12], &failed, RowsDigest::default());
        let failures = batch.failures.iter();
        let failed = failures.map(|(text, at)| (text, at.ranges().next().unwrap().start));
        let expected = [("0", 3), ("1", 4), ("2", 7), ("3", 10), ("4", 11)];
        assert_eq!(failed.collect::<Vec<_>>(), expected);
    }
}
