//! The positions that a run still has to compute, told window by window: what isn't done, as far as
//! it is meant. There may be more of them than memory has room for.

use std::collections::VecDeque;
use std::ops::Range;

use super::selection::Selected;
use crate::position_grid::PositionGrid;
use crate::storage::marks::{Marks, windows};
use pixelmill_core::error::Result;
use pixelmill_core::positions::{Positions, runs};

/// Runs that lie within so many positions are looked up together.
const TOGETHER: u64 = 1 << 17;

/// Positions that are to be computed or read.
pub(crate) struct Pending<'a> {
    status: &'a Marks,
    /// Whether they are those that are done, and not those that aren't.
    is_done: bool,
    /// Failed positions, if these are to be computed again: besides the others, or only these.
    failed: Option<&'a Marks>,
    /// Those of them that are left out.
    except: Option<&'a Positions>,
    /// What of it the user wants; everything if nothing is said.
    selected: Option<&'a Selected>,
    grid: &'a PositionGrid,
}

impl<'a> Pending<'a> {
    /// What isn't done by `status`, of all that is selected.
    pub fn new(status: &'a Marks, selected: Option<&'a Selected>, grid: &'a PositionGrid) -> Self {
        Self { status, is_done: false, failed: None, except: None, selected, grid }
    }

    /// What is done by `status`.
    pub fn done(status: &'a Marks, grid: &'a PositionGrid) -> Self {
        Self { is_done: true, ..Self::new(status, None, grid) }
    }

    /// Of what is done, the failed positions that are selected.
    pub fn done_and_failed(self, failed: &'a Marks, selected: Option<&'a Selected>) -> Self {
        Self { failed: Some(failed), selected, ..self }
    }

    /// The same without some.
    pub fn except(self, except: &'a Positions) -> Self {
        Self { except: Some(except), ..self }
    }

    /// The same with the failed positions, if there are any to be computed again.
    pub fn and_failed(self, failed: Option<&'a Marks>) -> Self {
        Self { failed, ..self }
    }

    /// All positions, done ones too.
    pub fn positions(&self) -> u64 {
        self.status.count()
    }

    /// Marks in `pending` which positions from `first` on are.
    ///
    /// # Errors
    /// If the status or a selection can't be read.
    pub fn read(&self, first: u64, pending: &mut [u8]) -> Result<()> {
        self.status.read(first, pending)?;
        pending.iter_mut().for_each(|status| *status = u8::from((*status != 0) == self.is_done));
        if let Some(failed) = self.failed {
            let mut lines = vec![0; pending.len()];
            failed.read(first, &mut lines)?;
            for (pending, line) in pending.iter_mut().zip(lines) {
                let failed = u8::from(line != 0);
                *pending = if self.is_done { *pending & failed } else { *pending | failed };
            }
        }
        if let Some(except) = self.except {
            except.mark(first, pending, 0);
        }
        self.selected.map_or(Ok(()), |selected| selected.narrow(self.grid, first, pending))
    }

    /// Those within `range`, in runs. Of a long range there may be many.
    ///
    /// # Errors
    /// If the status or a selection can't be read.
    pub fn runs(&self, range: &Range<u64>) -> Result<Vec<Range<u64>>> {
        let mut pending = vec![0; (range.end - range.start) as usize];
        self.read(range.start, &mut pending)?;
        Ok(runs::of_marks(range.start, &pending).collect())
    }

    /// Those of some runs, ascending ones, which may be many and short.
    ///
    /// # Errors
    /// If the status or a selection can't be read.
    pub fn among(&self, wanted: &[Range<u64>]) -> Result<VecDeque<Range<u64>>> {
        let mut found = VecDeque::new();
        let mut left = wanted.iter().peekable();
        while let Some(first) = left.next() {
            let (mut end, mut together) = (first.end, vec![first.clone()]);
            while let Some(next) = left.next_if(|next| next.end - first.start <= TOGETHER) {
                end = next.end;
                together.push(next.clone());
            }
            let there = self.runs(&(first.start..end))?;
            found.extend(together.iter().flat_map(|run| runs::within(&there, run)));
        }
        Ok(found)
    }

    /// Those that are in any of some computations, of some runs, ascending ones.
    ///
    /// # Errors
    /// If the status or a selection can't be read.
    pub fn of_any(pending: &[&Self], wanted: &[Range<u64>]) -> Result<Vec<Range<u64>>> {
        let [first, others @ ..] = pending else { return Ok(Vec::new()) };
        let found = first.among(wanted)?;
        if others.is_empty() {
            return Ok(found.into());
        }
        let mut all: Positions = found.into_iter().collect();
        for pending in others {
            pending.among(wanted)?.into_iter().for_each(|run| all.insert(run));
        }
        Ok(all.ranges().collect())
    }

    /// Whether there are none.
    ///
    /// # Errors
    /// If the status or a selection can't be read.
    pub fn is_empty(&self) -> Result<bool> {
        for window in windows(self.positions()) {
            let mut pending = vec![0; (window.end - window.start) as usize];
            self.read(window.start, &mut pending)?;
            if pending.iter().any(|pending| *pending != 0) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// How many are in any of some computations.
    ///
    /// # Errors
    /// If the status or a selection can't be read.
    pub fn count_any(pending: &[&Self]) -> Result<u64> {
        let mut count = 0;
        for window in pending.first().into_iter().flat_map(|first| windows(first.positions())) {
            count += runs::count(&Self::of_any(pending, &[window])?);
        }
        Ok(count)
    }

    /// How many there are.
    ///
    /// # Errors
    /// If the status or a selection can't be read.
    pub fn count(&self) -> Result<u64> {
        let mut count = 0;
        for window in windows(self.positions()) {
            let mut pending = vec![0; (window.end - window.start) as usize];
            self.read(window.start, &mut pending)?;
            count += pending.iter().map(|pending| u64::from(*pending)).sum::<u64>();
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pixelmill_core::axis_values::AxisValues;
    use pixelmill_core::dimension::Dimension;

    /// A list of one range.
    fn one(run: Range<u64>) -> Vec<Range<u64>> {
        std::iter::once(run).collect()
    }

    #[test]
    fn what_is_pending_of_a_block_is_found_run_by_run() {
        let grid = PositionGrid::full(vec![Dimension::new("", "", AxisValues::counted(400_000))]);
        let status = Marks::prefix(12, 400_000);
        let wanted = [3..5, 9..14, 20..21, 200_000..390_000];
        let found = Pending::new(&status, None, &grid).among(&wanted).unwrap();
        assert_eq!(found, [12..14, 20..21, 200_000..390_000]);
    }

    #[test]
    fn what_is_neither_done_nor_left_out_is_pending() {
        let grid = PositionGrid::full(vec![Dimension::new("", "", AxisValues::counted(7))]);
        let selected = Selected::Range(1..6);
        let status = Marks::prefix(2, 7);
        let pending = |selected| Pending::new(&status, selected, &grid);
        assert_eq!(pending(None).runs(&(0..7)).unwrap(), one(2..7));
        assert_eq!(pending(Some(&selected)).runs(&(0..7)).unwrap(), one(2..6));
        assert_eq!(pending(Some(&selected)).runs(&(4..7)).unwrap(), one(4..6));
        assert_eq!(
            (pending(Some(&selected)).count().unwrap(), pending(None).count().unwrap()),
            (4, 5)
        );
        let failed = Marks::prefix(2, 7);
        assert_eq!(pending(Some(&selected)).and_failed(Some(&failed)).count().unwrap(), 5);
        let done = || Pending::done(&status, &grid);
        assert_eq!(done().runs(&(0..7)).unwrap(), one(0..2));
        let except = std::iter::once(1..4).collect();
        assert_eq!(done().except(&except).runs(&(0..7)).unwrap(), one(0..1));
        let again = done().done_and_failed(&failed, Some(&selected));
        assert_eq!(again.runs(&(0..7)).unwrap(), one(1..2));
        let none = Selected::Range(0..2);
        assert!(pending(Some(&none)).is_empty().unwrap() && !pending(None).is_empty().unwrap());
    }
}
