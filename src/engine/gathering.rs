//! How rank 0 comes to what others have folded and merged of a computation: it asks those who may
//! hold what follows the units that it has without a gap, one after the other.

use std::time::{Duration, Instant};

use super::fold::Folding;
use super::team::{Call, Team};
use pixelmill_core::error::Result;

/// What rank 0 has asked for of one computation.
pub(crate) struct Gathering<'a> {
    number: usize,
    folding: &'a Folding<'a>,
    /// The unit that is looked for, and how many of those who may hold it have been asked.
    first: u64,
    asked: usize,
    /// Whether an answer is to come.
    waits: bool,
    /// Whether nobody has it.
    is_over: bool,
    begun: Instant,
    /// Whether nobody folds any more.
    is_last: bool,
}

impl<'a> Gathering<'a> {
    pub fn new((number, folding): (usize, &'a Folding<'a>)) -> Self {
        let (begun, is_last) = (Instant::now(), false);
        Self { number, folding, first: 0, asked: 0, waits: false, is_over: true, begun, is_last }
    }

    pub fn number(&self) -> usize {
        self.number
    }

    /// Whether nobody has more, nor will have.
    pub fn is_done(&self) -> bool {
        self.is_last && self.is_over
    }

    /// Begins if it hasn't begun for so long; or for the last time.
    pub fn begin(&mut self, interval: Duration, is_last: bool) {
        if self.is_over && !self.is_last && (is_last || self.begun.elapsed() >= interval) {
            (self.is_over, self.asked, self.begun) = (false, 0, Instant::now());
            self.is_last = is_last;
        }
    }

    /// Asks the next of those who may have it. They are asked in the order in which it would come
    /// to them, so that it can't be on its way past those who are asked.
    pub fn ask(&mut self, team: Team<'_>) -> Result<()> {
        if self.waits || self.is_over {
            return Ok(());
        }
        let first = self.folding.prefix();
        if first != self.first {
            (self.first, self.asked) = (first, 0);
        }
        let holding = self.folding.holding(first);
        let is_done = self.folding.is_complete() || self.folding.why_lost().is_some();
        let Some(rank) = holding.get(self.asked).filter(|_| !is_done) else {
            self.is_over = true;
            return Ok(());
        };
        self.waits = true;
        team.call_to(*rank, &Call::Wanted(self.number, first))
    }

    /// All that was asked for has come; who `is_busy` may have sent more to others, and is asked
    /// again if it is the last time.
    pub fn answered(&mut self, is_busy: bool) {
        self.waits = false;
        self.asked += usize::from(!is_busy || !self.is_last);
    }
}
