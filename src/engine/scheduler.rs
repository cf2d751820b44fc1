//! Hands out the pending positions: units of work to the workers, batches to the marker.
//!
//! A batch is open for a fixed time and takes whatever units are handed out in it, so its
//! length follows from how fast the process is. At most `BATCHES_IN_FLIGHT` batches are open or
//! computed but not marked. Units adapt as well: short enough to stop soon, long enough not to count.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Stop;
use crate::error::Error;
use crate::plan::{BATCHES_IN_FLIGHT, next_unit};
use crate::process::Failure;

/// Some consecutive positions for one worker.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    pub first: u64,
    pub count: u64,
    batch: u64,
}

/// Positions whose results are written and wait to be marked.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub ranges: Vec<Range<u64>>,
    pub failures: Vec<(u64, Failure)>,
}

/// The hand-out, shared by all workers and the marker.
pub(crate) struct Scheduler {
    state: Mutex<State>,
    changed: Condvar,
    batch_time: Duration,
    stop: Stop,
}

struct State {
    pending: VecDeque<Range<u64>>,
    /// Batches that are not marked yet, oldest first; the last may be open.
    batches: VecDeque<InFlight>,
    next_batch: u64,
    unit: u64,
    most_per_unit: u64,
    error: Option<Error>,
}

struct InFlight {
    number: u64,
    content: Batch,
    opened: Instant,
    open: bool,
    /// Units that workers still have.
    out: usize,
    marking: bool,
}

impl Scheduler {
    /// A hand-out of `pending` positions.
    pub fn new(
        pending: &[Range<u64>],
        most_per_unit: u64,
        batch_time: Duration,
        stop: Stop,
    ) -> Self {
        let state = State {
            pending: pending.iter().cloned().collect(),
            batches: VecDeque::new(),
            next_batch: 0,
            unit: 1,
            most_per_unit,
            error: None,
        };
        Self { state: Mutex::new(state), changed: Condvar::new(), batch_time, stop }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next unit; waits while too many batches are in flight. `None` when there is nothing
    /// more to do, somebody asked to stop, or the run has failed.
    pub fn next(&self) -> Option<Ticket> {
        let mut state = self.lock();
        loop {
            if state.error.is_some() || self.stop.is_requested() || state.pending.is_empty() {
                state.close_batch();
                self.changed.notify_all();
                return None;
            }
            if state.open_batch_is_over(self.batch_time) {
                state.close_batch();
                self.changed.notify_all();
            }
            if state.has_open_batch() || state.batches.len() < BATCHES_IN_FLIGHT {
                return state.hand_out();
            }
            // Woken when a batch is marked; looks for a stop in between.
            let (guard, _) = self
                .changed
                .wait_timeout(state, Duration::from_millis(100))
                .unwrap_or_else(PoisonError::into_inner);
            state = guard;
        }
    }

    /// Takes back a unit whose results are written, and what the computation took.
    pub fn done(&self, ticket: &Ticket, failures: Vec<(u64, Failure)>, compute: Duration) {
        let mut state = self.lock();
        state.unit =
            next_unit(state.unit, ticket.count, compute.as_secs_f64(), state.most_per_unit);
        if let Some(batch) = state.batches.iter_mut().find(|batch| batch.number == ticket.batch) {
            batch.out -= 1;
            let range = ticket.first..ticket.first + ticket.count;
            batch.content.ranges.push(range);
            let absolute = failures.into_iter().map(|(at, why)| (ticket.first + at, why));
            batch.content.failures.extend(absolute);
            // The marker is woken for a batch that it can mark, not for every unit.
            if !batch.open && batch.out == 0 {
                self.changed.notify_all();
            }
        }
    }

    /// Ends the hand-out because of an error; the first one counts.
    pub fn fail(&self, error: Error) {
        self.lock().error.get_or_insert(error);
        self.changed.notify_all();
    }

    /// The error that ended the hand-out, if one did.
    pub fn take_error(&self) -> Option<Error> {
        self.lock().error.take()
    }

    /// The oldest batch whose results are all written; waits for one. `None` when all are marked
    /// and nothing more will come, or the run has failed.
    pub fn next_to_mark(&self) -> Option<Batch> {
        let mut state = self.lock();
        loop {
            if state.error.is_some() {
                return None;
            }
            if state.open_batch_is_over(self.batch_time) {
                state.close_batch();
            }
            let ready = |batch: &InFlight| !batch.open && batch.out == 0;
            if state.batches.front().is_some_and(ready) {
                let front = state.batches.front_mut()?;
                front.marking = true;
                return Some(std::mem::take(&mut front.content));
            }
            if state.batches.is_empty() && (state.pending.is_empty() || self.stop.is_requested()) {
                return None;
            }
            let (guard, _) = self
                .changed
                .wait_timeout(state, Duration::from_millis(20))
                .unwrap_or_else(PoisonError::into_inner);
            state = guard;
        }
    }

    /// Lets go of the batch that `next_to_mark` gave, so that another can be opened.
    pub fn marked(&self) {
        let mut state = self.lock();
        if state.batches.front().is_some_and(|batch| batch.marking) {
            state.batches.pop_front();
        }
        self.changed.notify_all();
    }
}

impl State {
    fn has_open_batch(&self) -> bool {
        self.batches.back().is_some_and(|batch| batch.open)
    }

    fn open_batch_is_over(&self, batch_time: Duration) -> bool {
        self.batches.back().is_some_and(|batch| batch.open && batch.opened.elapsed() >= batch_time)
    }

    fn close_batch(&mut self) {
        if let Some(batch) = self.batches.back_mut() {
            batch.open = false;
        }
    }

    fn hand_out(&mut self) -> Option<Ticket> {
        if !self.has_open_batch() {
            self.batches.push_back(InFlight {
                number: self.next_batch,
                content: Batch::default(),
                opened: Instant::now(),
                open: true,
                out: 0,
                marking: false,
            });
            self.next_batch += 1;
        }
        let range = self.pending.front_mut()?;
        let (first, count) = (range.start, self.unit.min(range.end - range.start));
        range.start += count;
        if range.is_empty() {
            self.pending.pop_front();
        }
        let batch = self.batches.back_mut()?;
        batch.out += 1;
        Some(Ticket { first, count, batch: batch.number })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scheduler(pending: Range<u64>, batch_time: Duration) -> Scheduler {
        Scheduler::new(std::slice::from_ref(&pending), 16, batch_time, Stop::new())
    }

    #[test]
    fn every_position_is_handed_out_and_marked_once() {
        let pending = [3..50, 60..61, 70..200];
        let scheduler = Scheduler::new(&pending, 16, Duration::ZERO, Stop::new());
        let mut marked = Vec::new();
        while let Some(ticket) = scheduler.next() {
            scheduler.done(&ticket, Vec::new(), Duration::from_micros(1));
            let batch = scheduler.next_to_mark().unwrap();
            marked.extend(batch.ranges.into_iter().flatten());
            scheduler.marked();
        }
        assert!(scheduler.next_to_mark().is_none());
        assert_eq!(marked, pending.into_iter().flatten().collect::<Vec<_>>());
    }

    #[test]
    fn a_batch_is_marked_only_when_all_its_units_are_done() {
        let scheduler = scheduler(0..2, Duration::from_secs(3600));
        let (one, other) = (scheduler.next().unwrap(), scheduler.next().unwrap());
        assert!(scheduler.next().is_none());
        scheduler.done(&other, vec![(0, Failure::new("x"))], Duration::ZERO);
        assert!(!scheduler.lock().batches[0].open);
        assert_eq!(scheduler.lock().batches[0].out, 1);
        scheduler.done(&one, Vec::new(), Duration::ZERO);
        let batch = scheduler.next_to_mark().unwrap();
        assert_eq!(batch.ranges, [1..2, 0..1]);
        assert_eq!(batch.failures, [(1, Failure::new("x"))]);
    }

    #[test]
    fn no_more_than_three_batches_are_in_flight() {
        let scheduler = scheduler(0..100, Duration::ZERO);
        let tickets: Vec<_> = (0..BATCHES_IN_FLIGHT).map(|_| scheduler.next().unwrap()).collect();
        assert_eq!(scheduler.lock().batches.len(), BATCHES_IN_FLIGHT);
        std::thread::scope(|scope| {
            let blocked = scope.spawn(|| scheduler.next());
            scheduler.done(&tickets[0], Vec::new(), Duration::ZERO);
            scheduler.next_to_mark().unwrap();
            assert_eq!(scheduler.lock().next_batch, BATCHES_IN_FLIGHT as u64);
            scheduler.marked();
            assert!(blocked.join().unwrap().is_some());
        });
    }

    #[test]
    fn an_asked_stop_ends_the_hand_out_and_keeps_what_is_done() {
        let stop = Stop::new();
        let scheduler =
            Scheduler { stop: stop.clone(), ..scheduler(0..100, Duration::from_secs(3600)) };
        let ticket = scheduler.next().unwrap();
        stop.request();
        assert!(scheduler.next().is_none());
        scheduler.done(&ticket, Vec::new(), Duration::ZERO);
        assert_eq!(scheduler.next_to_mark().unwrap().ranges, vec![0..1]);
        scheduler.marked();
        assert!(scheduler.next_to_mark().is_none());
    }
}
