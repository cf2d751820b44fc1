//! Brings what is folded to the ranks where it is merged, on the thread that watches: it begins to
//! send and goes on, so that ranks that send to each other don't wait for each other.

use std::time::{Duration, Instant};

use super::compute_loop::BATCHES_PER_CHECKPOINT;
use super::fold::{Folding, MOST_SENDING};
use super::member::Member;
use super::team::Team;
use crate::ranks::Sending;
use pixelmill_core::error::Result;

/// How long a rank merges what it folds before it passes on what is left, at most.
const LONGEST: Duration = Duration::from_secs(2);

/// What one rank has to send.
pub(crate) struct Carrier<'a> {
    team: Team<'a>,
    members: &'a [Member<'a>],
    sending: Vec<Box<dyn Sending>>,
    passed_on: Instant,
    interval: Duration,
}

impl<'a> Carrier<'a> {
    /// For some computations, of which a checkpoint is written so often.
    pub fn new((team, members): (Team<'a>, &'a [Member<'a>]), checkpoint: Duration) -> Self {
        let interval = (checkpoint / BATCHES_PER_CHECKPOINT).min(LONGEST);
        Self { team, members, sending: Vec::new(), passed_on: Instant::now(), interval }
    }

    /// Those that are folded, with their numbers.
    pub fn foldings(&self) -> impl Iterator<Item = (usize, &'a Folding<'a>)> + use<'a> {
        let numbered = self.members.iter().enumerate();
        let folded = numbered.filter_map(|(number, member)| Some((number, member.folding?)));
        folded.filter(|(_, folding)| folding.travels())
    }

    /// Whether there is anything to bring together.
    pub fn is_needed(&self) -> bool {
        self.foldings().next().is_some()
    }

    /// Sends what there is to send, as far as it goes without waiting; `all` if nothing more will
    /// be folded here.
    ///
    /// # Errors
    /// If a rank can't be reached, or results can't be brought to the disk.
    pub fn carry(&mut self, all: bool) -> Result<()> {
        let mut left = Vec::new();
        for mut sending in self.sending.drain(..) {
            if !sending.has_arrived()? {
                left.push(sending);
            }
        }
        self.sending = left;
        if all || self.passed_on.elapsed() >= self.interval {
            self.foldings().for_each(|(_, folding)| folding.pass_on());
            self.passed_on = Instant::now();
        }
        for (number, folding) in self.foldings() {
            while self.sending.len() < MOST_SENDING
                && let Some(outgoing) = folding.next_to_send()?
            {
                self.sending.push(self.team.hand_over(number, outgoing)?);
            }
        }
        Ok(())
    }

    /// Whether something is on its way.
    pub fn is_sending(&self) -> bool {
        !self.sending.is_empty()
    }

    /// Whether nothing is on its way, nor waits for it.
    pub fn is_idle(&self) -> bool {
        !self.is_sending() && !self.foldings().any(|(_, folding)| folding.has_to_send())
    }

    /// Begins to send nothing more.
    pub fn close(&self) {
        self.foldings().for_each(|(_, folding)| folding.close());
    }
}
