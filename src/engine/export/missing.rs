//! The positions of a results dataset that have no result: they are pending, or have failed.

use std::ops::Range;

use super::find::holder;
use crate::engine::computed::{Computed, Fate};
use crate::storage::container::Dataset;
use crate::storage::file::ReadFile;
use crate::storage::marks::windows;
use pixelmill_core::advice::Note;
use pixelmill_core::error::Result;

/// The positions that have no result.
pub(super) struct Missing {
    computed: Computed,
    pub count: u64,
    /// Values of one position.
    values: u64,
}

impl Missing {
    /// Those of a results dataset, if there are any.
    pub fn of(file: &ReadFile, path: &str, dataset: &Dataset) -> Result<Option<Self>, Note> {
        let Some((group, name)) = holder(file, path) else { return Ok(None) };
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        let Some(computed) = Computed::of(file, (parent, &group), (&name, dataset))? else {
            return Ok(None);
        };
        let count = computed.missing()?;
        let values = dataset.size() as u64 / computed.positions.max(1);
        Ok((count > 0).then_some(Self { computed, count, values }))
    }

    /// Which of some positions have no result.
    fn gaps(&self, positions: Range<u64>) -> Result<Vec<Range<u64>>> {
        let mut gaps: Vec<Range<u64>> = Vec::new();
        for (position, fate) in (positions.start..).zip(self.computed.read(&positions)?) {
            if fate == Fate::Done {
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
