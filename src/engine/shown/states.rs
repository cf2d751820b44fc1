//! Which positions have a value, and why the others have none.

use std::ops::Range;

use crate::engine::computed::{Computed, Fate};
use crate::source::Source;
use crate::storage::container::{Dataset, Group};
use crate::storage::file::ReadFile;
use pixelmill_core::advice::Note;
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
pub(super) struct States(Option<Computed>);

impl States {
    /// Those of the results dataset `name` of a group, as `source` has it.
    ///
    /// # Errors
    /// If some may have no value, and it can't be told which.
    pub fn of(
        file: &ReadFile,
        group: (&str, &Group),
        dataset: (&str, &Dataset),
        source: &Source,
    ) -> Result<Self, Note> {
        let Some(computed) = Computed::of(file, group, dataset)? else { return Ok(Self(None)) };
        let are_rows =
            source.info.positions == computed.positions && source.rows.view().has_positions_first();
        if are_rows {
            return Ok(Self(Some(computed)));
        }
        match computed.missing()? {
            0 => Ok(Self(None)),
            _ => Err("some of its positions have no result, and which these are is only known \
                      with the axes as positions that are it without being told"
                .into()),
        }
    }

    /// Whether they may be others later on, as those of results are.
    pub fn may_change(&self) -> bool {
        self.0.is_some()
    }

    /// What is known of some positions; to be asked before their values are read.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn read(&self, run: &Range<u64>) -> Result<Vec<State>> {
        let state = |fate| match fate {
            Fate::Done => State::Known,
            Fate::Pending => State::Pending,
            Fate::Failed => State::Failed,
        };
        Ok(match &self.0 {
            Some(computed) => computed.read(run)?.into_iter().map(state).collect(),
            None => vec![State::Known; (run.end - run.start) as usize],
        })
    }
}
