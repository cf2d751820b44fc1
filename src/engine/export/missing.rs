//! The positions of a results dataset that have no result: they are pending, or have failed.

use std::ops::Range;

use super::find::holder;
use crate::storage::container::Dataset;
use crate::storage::file::ReadFile;
use crate::storage::marks::{Marks, windows};
use crate::storage::results_group;
use pixelmill_core::advice::Note;
use pixelmill_core::error::Result;

/// The positions that have no result.
pub(super) struct Missing {
    status: Marks,
    failed: Option<Marks>,
    pub count: u64,
    /// Values of one position.
    values: u64,
}

impl Missing {
    /// Those of a results dataset, if there are any.
    pub fn of(file: &ReadFile, path: &str, dataset: &Dataset) -> Result<Option<Self>, Note> {
        let Some((group, name)) = holder(file, path) else { return Ok(None) };
        if !results_group::may_be_per_position(&group, &name) {
            return Ok(None);
        }
        let Ok(marks) = group.dataset(results_group::STATUS) else { return Ok(None) };
        let positions = marks.size() as u64;
        let status = results_group::status(file.handle(), &group, positions)?;
        let failed = results_group::failed_lines(file.handle(), &group)?;
        let values = dataset.size() as u64 / positions.max(1);
        let mut missing = Self { status, failed, count: 0, values };
        for window in windows(positions) {
            let gaps = missing.gaps(window)?;
            missing.count += gaps.iter().map(|gap| gap.end - gap.start).sum::<u64>();
        }
        Ok((missing.count > 0).then_some(missing))
    }

    /// Which of some positions have no result.
    fn gaps(&self, positions: Range<u64>) -> Result<Vec<Range<u64>>> {
        let length = (positions.end - positions.start) as usize;
        let (mut marks, mut failed) = (vec![0; length], vec![0; length]);
        self.status.read(positions.start, &mut marks)?;
        if let Some(lines) = &self.failed {
            lines.read(positions.start, &mut failed)?;
        }
        let mut gaps: Vec<Range<u64>> = Vec::new();
        for (position, (mark, failed)) in (positions.start..).zip(marks.iter().zip(&failed)) {
            if *mark != 0 && *failed == 0 {
                continue;
            }
            match gaps.last_mut() {
                Some(last) if last.end == position => last.end += 1,
                _ => gaps.push(position..position + 1),
            }
        }
        Ok(gaps)
    }

    /// Which of some values belong to them, counted from the first of these.
    pub fn among(&self, values: Range<u64>) -> Result<Vec<Range<usize>>> {
        let positions = values.start / self.values..values.end.div_ceil(self.values);
        let mut found = Vec::new();
        for window in windows(positions.end - positions.start) {
            let window = positions.start + window.start..positions.start + window.end;
            for gap in self.gaps(window)? {
                let start = (gap.start * self.values).max(values.start) - values.start;
                let end = (gap.end * self.values).min(values.end) - values.start;
                found.push(start as usize..end as usize);
            }
        }
        Ok(found)
    }
}
