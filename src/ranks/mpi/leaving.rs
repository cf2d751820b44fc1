//! How ranks end: each tells when it does, and after how many steps that take all of them, so that
//! nobody waits for one that has ended before.
//!
//! Others tell rank 0, and rank 0 tells all, also of others that it has missed: so that no rank
//! needs to reach more than it does while computing. MPI ends in order if none was missed. What was
//! begun together with one that didn't take part never ends, and nor would MPI.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::call::{FIRST_SLEEP, sleep};
use super::{LEFT, World};
use crate::ranks::{Communicator, host};
use pixelmill_core::error::{Error, Result};

/// The status that all ranks end with where one was missed.
const MISSED: i32 = 1;

/// What a rank knows of others that have left.
#[derive(Default)]
pub(super) struct Leaving {
    /// How many gathers and broadcasts this rank has been through, which take all ranks.
    steps: AtomicU64,
    /// Who has left, as far as this rank has heard.
    left: Mutex<BTreeMap<usize, Left>>,
    /// Why this rank leaves, if there is something to be said.
    why: Mutex<Option<String>>,
    /// Whether one of them was missed.
    is_missed: AtomicBool,
}

/// What a rank tells that leaves.
#[derive(Clone, Serialize, Deserialize)]
struct Left {
    rank: usize,
    host: String,
    /// How many steps it has been through.
    steps: u64,
    why: Option<String>,
}

impl Leaving {
    pub fn has_taken_step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    pub fn say_why(&self, why: &str) {
        *self.why.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.to_owned());
    }

    fn left(&self) -> MutexGuard<'_, BTreeMap<usize, Left>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    /// Whether all ranks take part in the step that this one is about to begin, or waits in.
    ///
    /// # Errors
    /// If one has left before it.
    pub(super) fn check_all_take_part(&self) -> Result<()> {
        self.hear_who_left()?;
        let steps = self.leaving.steps.load(Ordering::Relaxed);
        let missed = self.leaving.left().values().find(|left| left.steps <= steps).cloned();
        let Some(missed) = missed else { return Ok(()) };
        if !self.leaving.is_missed.swap(true, Ordering::Relaxed) && self.rank == 0 {
            self.tell_left(&missed)?;
        }
        let Left { rank, host, why, .. } = missed;
        Err(Error::RankLeft { rank, host, during: String::new(), why })
    }

    fn hear_who_left(&self) -> Result<()> {
        while let Some((_, message)) = self.receive_with(LEFT)? {
            let left: Left =
                serde_json::from_slice(&message).map_err(|error| unreadable(&error))?;
            self.leaving.left().insert(left.rank, left);
        }
        Ok(())
    }

    /// Tells those who have to know that a rank has left.
    fn tell_left(&self, left: &Left) -> Result<()> {
        let message = serde_json::to_vec(left).map_err(|error| unreadable(&error))?;
        let hear = if self.rank == 0 { 1..self.size } else { 0..1 };
        hear.filter(|rank| *rank != left.rank)
            .try_for_each(|rank| self.send_with(LEFT, rank, &message))
    }

    /// Tells that this rank leaves, and waits until that doesn't hold anybody up.
    fn leave(&self) -> Result<()> {
        let steps = self.leaving.steps.load(Ordering::Relaxed);
        let why = self.leaving.why.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.tell_left(&Left { rank: self.rank, host: host(), steps, why })?;
        let mut pause = FIRST_SLEEP;
        loop {
            self.hear_who_left()?;
            let left = self.leaving.left();
            let may_go = match self.rank {
                0 => left.len() == self.size - 1,
                _ => left.contains_key(&0),
            };
            if may_go {
                return Ok(());
            }
            drop(left);
            pause = sleep(pause);
        }
    }
}

impl Drop for World {
    /// Waits for the others, which end as well; if one was missed, ends all of them.
    fn drop(&mut self) {
        if self.leaving.is_missed.load(Ordering::Relaxed) || self.leave().is_err() {
            self.abort(MISSED);
        }
    }
}

fn unreadable(error: &serde_json::Error) -> Error {
    Error::Mpi { action: "understand a message", reason: error.to_string() }
}
