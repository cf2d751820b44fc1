//! Which positions have a value, and why the others have none.

use std::ops::Range;

use crate::engine::inspect::positions;
use crate::storage::container::Group;
use crate::storage::file::ReadFile;
use crate::storage::marks::Marks;
use crate::storage::results_group;
use pixelmill_core::error::Result;

/// What is known of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is there.
    Known,
    /// It is no number, or infinite.
    Missing,
    /// Nobody has computed it yet.
    Pending,
    /// It can't be computed.
    Failed,
}

/// What is known of the positions of a dataset.
#[derive(Default)]
pub(super) struct States {
    status: Option<Marks>,
    lines: Option<Marks>,
}

impl States {
    /// Those of the results dataset `name` of a group, which has so many positions.
    pub fn of(file: &ReadFile, (path, group): (&str, &Group), name: &str, count: u64) -> Self {
        if !results_group::may_be_per_position(group, name) {
            return Self::default();
        }
        let all = positions(group, &results_group::provenance(group, path));
        let status = results_group::status(file.handle(), group, all).ok();
        let lines = results_group::failed_lines(file.handle(), group).ok().flatten();
        let of_these = |marks: &Marks| marks.count() == count;
        Self { status: status.filter(of_these), lines: lines.filter(|_| all == count) }
    }

    /// Fills `states` with what is known of some positions.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn read(&self, run: &Range<u64>, states: &mut Vec<State>) -> Result<()> {
        let length = (run.end - run.start) as usize;
        states.clear();
        states.resize(length, State::Known);
        let mut marks = vec![0; length];
        if let Some(status) = &self.status {
            status.read(run.start, &mut marks)?;
            let pending = states.iter_mut().zip(&marks).filter(|(_, mark)| **mark == 0);
            pending.for_each(|(state, _)| *state = State::Pending);
        }
        if let Some(lines) = &self.lines {
            lines.read(run.start, &mut marks)?;
            let failed = states.iter_mut().zip(&marks);
            failed
                .filter(|(state, line)| **state == State::Known && **line != 0)
                .for_each(|(state, _)| *state = State::Failed);
        }
        Ok(())
    }
}
