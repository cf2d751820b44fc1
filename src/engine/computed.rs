//! Which positions of a results dataset have a result, as its group tells.

use std::ops::Range;

use super::inspect::positions;
use crate::storage::container::{Dataset, Group};
use crate::storage::file::ReadFile;
use crate::storage::marks::{Marks, windows};
use crate::storage::results_group::{self, LAST_PIXEL, STATUS};
use pixelmill_core::advice::Note;
use pixelmill_core::error::Result;

/// What is known of the positions of a results dataset.
pub(crate) struct Computed {
    status: Marks,
    failed: Option<Marks>,
    pub positions: u64,
}

/// What is known of one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Done,
    Pending,
    Failed,
}

impl Computed {
    /// Those of the dataset `name` of the results group at `path`. `None` if it has no values for
    /// each position, or it is another program's and nothing tells which of them are computed.
    ///
    /// # Errors
    /// If it can't be told which positions have a result, though some may have none.
    pub fn of(
        file: &ReadFile,
        (path, group): (&str, &Group),
        (name, dataset): (&str, &Dataset),
    ) -> Result<Option<Self>, Note> {
        if !results_group::may_be_per_position(group, name) {
            return Ok(None);
        }
        let is_ours = results_group::is_per_position(group, name);
        let is_told = group.link_exists(STATUS) || group.has_attribute(LAST_PIXEL);
        if !is_ours && !is_told {
            return Ok(None);
        }
        let shape = dataset.shape();
        let first = shape.first().map_or(0, |rows| *rows as u64);
        let told = positions(group, &results_group::provenance(group, path));
        // Where a source isn't found that has them, rows of results are positions.
        let positions = if told == 0 { first } else { told };
        let status = results_group::status(file.handle(), group, positions)?;
        let failed = results_group::failed_lines(file.handle(), group)?;
        let computed = Self { status, failed, positions };
        let is_theirs = |axes: usize| {
            shape[..axes].iter().map(|length| *length as u64).product::<u64>() == positions
        };
        if (0..=shape.len()).any(is_theirs) {
            return Ok(Some(computed));
        }
        if !is_ours && computed.missing()? == 0 {
            return Ok(None);
        }
        let text = format!("its shape is {shape:?}, and its group tells of {positions} positions");
        Err(text.into())
    }

    /// What is known of some positions. They have to be asked for before their values are read: a
    /// run may write these in between, and marks them after that.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn read(&self, run: &Range<u64>) -> Result<Vec<Fate>> {
        let length = (run.end - run.start) as usize;
        let (mut marks, mut lines) = (vec![0; length], vec![0; length]);
        self.status.read(run.start, &mut marks)?;
        if let Some(failed) = &self.failed {
            failed.read(run.start, &mut lines)?;
        }
        let fate = |(mark, line): (&u8, &u8)| match (mark, line) {
            (0, _) => Fate::Pending,
            (_, 0) => Fate::Done,
            _ => Fate::Failed,
        };
        Ok(marks.iter().zip(&lines).map(fate).collect())
    }

    /// How many have no result.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn missing(&self) -> Result<u64> {
        let mut missing = 0;
        for window in windows(self.positions) {
            let fates = self.read(&window)?;
            missing += fates.iter().filter(|fate| **fate != Fate::Done).count() as u64;
        }
        Ok(missing)
    }
}
