//! Hands out the pending positions: units of work to the workers, batches to the marker.
//!
//! Positions come in portions, each with what all of it is read from; a worker stays with its
//! portion while there is something left of it, and another is begun when nobody would find
//! anything to do, and memory has room. A batch is open for a fixed time and takes whatever units
//! are handed out in it, so its length follows from how fast the process is; where that is a lot of
//! results, less, so that the disk takes the first of them while others are computed. At most
//! `BATCHES_IN_FLIGHT` batches are open or computed but not marked. Units adapt as well: short
//! enough to stop soon, long enough not to count.
//!
//! Where several computations share a pass, a unit is one of all of them, and so is a batch: it has
//! for each of them what is to be marked.
//!
//! One lock holds all of it, taken twice for a unit of 10 ms, and one condition wakes all who wait:
//! workers for room or a portion, the marker for a batch. They are woken together since none knows
//! for whom a change is good; that is why no unit wakes anybody by itself. No kernel runs under the
//! lock.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Stop;
use super::batch::Batch;
use crate::plan::{BATCHES_IN_FLIGHT, next_unit};
use crate::storage::tiles::PortionReader;
use pixelmill_core::error::{Error, Result};
use pixelmill_core::positions::runs;

/// Pending positions that are read together.
pub(crate) struct Portion {
    pub runs: VecDeque<Range<u64>>,
    /// What they are read from, if not row by row from the source.
    pub block: Option<Arc<dyn PortionReader>>,
    /// Whether nobody else computes anything between the first and the last of them.
    pub is_exclusive: bool,
}

/// All portions of a run, made when they are wanted.
pub(crate) type Supply<'a> = Box<dyn Iterator<Item = Result<Portion>> + Send + 'a>;

/// Some positions for one worker.
#[derive(Clone)]
pub(crate) struct Ticket {
    /// Ranges of consecutive positions.
    pub runs: Vec<Range<u64>>,
    pub block: Option<Arc<dyn PortionReader>>,
    /// Whether nobody else computes anything between the first and the last of them.
    pub is_exclusive: bool,
    portion: u64,
    batch: u64,
}

/// How often a worker that waits looks for somebody to help, while anybody computes: what is
/// parallel in a unit wakes the threads that the pool knows to be idle, and one that waits here
/// isn't one of them.
const HELP: Duration = Duration::from_millis(1);
/// How often it looks whether somebody asked to stop.
const LOOK: Duration = Duration::from_millis(100);

/// How much of a run is in hand at a time.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// Portions that may be begun and not done.
    pub open: usize,
    /// As few and as many positions as a unit may have; all of a portion if nothing is said.
    pub unit: Option<(u64, u64)>,
    /// How long a batch is open at most, and how many positions it is open for.
    pub batch: (Duration, u64),
}

/// The hand-out, shared by all workers and the marker.
pub(crate) struct Scheduler<'a> {
    state: Mutex<State<'a>>,
    changed: Condvar,
    stop: Stop,
}

struct State<'a> {
    supply: Supply<'a>,
    /// Whether the supply has ended.
    is_exhausted: bool,
    /// Portions that are begun and not done.
    open: Vec<OpenPortion>,
    next_portion: u64,
    /// Batches that are not marked yet, oldest first; the last may be open.
    batches: VecDeque<InFlight>,
    next_batch: u64,
    unit: u64,
    limits: Limits,
    /// Batches of other ranks that wait to be marked.
    arrived: VecDeque<Vec<Batch>>,
    /// Other ranks that may still send some.
    others: usize,
    /// Workers that wait for a portion or for room.
    waiting: usize,
    /// Whether nothing more is to be handed out.
    is_winding_up: bool,
    error: Option<Error>,
}

struct OpenPortion {
    number: u64,
    portion: Portion,
    /// Units that workers still have.
    out: usize,
}

struct InFlight {
    number: u64,
    /// What of each computation is to be marked.
    content: Vec<Batch>,
    opened: Instant,
    open: bool,
    /// Positions that were handed out in it.
    positions: u64,
    /// Units that workers still have.
    out: usize,
    marking: bool,
}

/// What a worker can do next.
enum Next {
    /// A unit of the open portion at this index.
    Unit(usize),
    /// Nothing before another unit is done.
    Wait,
    /// Everything is handed out.
    Nothing,
}

impl<'a> Scheduler<'a> {
    /// A hand-out of the positions in `supply`; `others` are the ranks whose batches are to be
    /// marked here.
    pub fn new(supply: Supply<'a>, others: usize, limits: Limits, stop: Stop) -> Self {
        let state = State {
            supply,
            is_exhausted: false,
            open: Vec::new(),
            next_portion: 0,
            batches: VecDeque::new(),
            next_batch: 0,
            unit: limits.unit.map_or(u64::MAX, |_| 1),
            limits,
            arrived: VecDeque::new(),
            others,
            waiting: 0,
            is_winding_up: false,
            error: None,
        };
        Self { state: Mutex::new(state), changed: Condvar::new(), stop }
    }

    fn lock(&self) -> MutexGuard<'_, State<'a>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next unit, of the same portion as the worker's `last` if there is any left; waits while
    /// too many batches or portions are in flight, and calls `help` meanwhile, which tells whether
    /// it found something to do. `None` when there is nothing more to do, somebody asked to
    /// stop, or the run has failed.
    pub fn next(&self, last: Option<u64>, mut help: impl FnMut() -> bool) -> Option<Ticket> {
        let mut needs_help = true;
        let mut state = self.lock();
        loop {
            let next = if self.has_stopped(&state) { Next::Nothing } else { state.next(last) };
            if matches!(next, Next::Nothing) {
                state.close_batch();
                self.changed.notify_all();
                return None;
            }
            if state.open_batch_is_over() {
                state.close_batch();
                self.changed.notify_all();
            }
            let has_room = state.has_open_batch() || state.batches.len() < BATCHES_IN_FLIGHT;
            if let Next::Unit(index) = next
                && has_room
            {
                return state.hand_out(index);
            }
            // Subtle: helping runs a kernel, which may take hours, so without the lock. What
            // changes meanwhile wakes nobody here: before it waits it looks once more,
            // and then doesn't let go of the lock in between.
            if needs_help && state.is_any_out() {
                drop(state);
                needs_help = help();
                state = self.lock();
                continue;
            }
            // Woken when a batch is marked or a portion done.
            let pause = if state.is_any_out() { HELP } else { LOOK };
            state.waiting += 1;
            let (guard, _) =
                self.changed.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner);
            (state, needs_help) = (guard, true);
            state.waiting -= 1;
        }
    }

    /// Takes back a unit whose results, if there are any, are written; `unit` is what is to be
    /// known of it for each computation, and `compute` what computing took. Returns the number
    /// of its portion.
    pub fn done(&self, ticket: Ticket, unit: Vec<Batch>, compute: Duration) -> u64 {
        let mut state = self.lock();
        let positions = runs::count(&ticket.runs);
        if let Some(limits) = state.limits.unit {
            state.unit = next_unit(state.unit, positions, compute.as_secs_f64(), limits);
        }
        if let Some(batch) = state.batches.iter_mut().find(|batch| batch.number == ticket.batch) {
            batch.out -= 1;
            batch.content.resize_with(unit.len().max(batch.content.len()), Batch::default);
            batch.content.iter_mut().zip(unit).for_each(|(batch, unit)| batch.append(unit));
            // The marker is woken for a batch that it can mark, not for every unit.
            if !batch.open && batch.out == 0 {
                self.changed.notify_all();
            }
        }
        let number = ticket.portion;
        // First: it may hold the memory of the portion.
        drop(ticket);
        if let Some(index) = state.open.iter().position(|open| open.number == number) {
            state.open[index].out -= 1;
            if state.open[index].out == 0 && state.open[index].portion.runs.is_empty() {
                state.open.swap_remove(index);
                // A portion may be a single unit, and the marker waits for none.
                if state.waiting > 0 {
                    self.changed.notify_all();
                }
            }
        }
        number
    }

    /// Ends the hand-out because of an error; the first one counts.
    pub fn fail(&self, error: Error) {
        self.lock().error.get_or_insert(error);
        self.changed.notify_all();
    }

    /// Hands out nothing more, as if somebody had asked to stop.
    pub fn wind_up(&self) {
        self.lock().is_winding_up = true;
        self.changed.notify_all();
    }

    /// Takes a batch that another rank has computed.
    pub fn arrived(&self, batch: Vec<Batch>) {
        self.lock().arrived.push_back(batch);
        self.changed.notify_all();
    }

    /// Another rank will send no more batches.
    pub fn other_has_ended(&self) {
        self.lock().others -= 1;
        self.changed.notify_all();
    }

    fn has_stopped(&self, state: &State<'_>) -> bool {
        state.error.is_some() || state.is_winding_up || self.stop.is_requested()
    }

    /// Whether an error has ended the hand-out.
    pub fn has_failed(&self) -> bool {
        self.lock().error.is_some()
    }

    /// The error that ended the hand-out, if one did.
    pub fn take_error(&self) -> Option<Error> {
        self.lock().error.take()
    }

    /// The oldest batch whose results are all written, of each computation; waits for one. `None`
    /// when all are marked and nothing more will come, or the run has failed.
    pub fn next_to_mark(&self) -> Option<Vec<Batch>> {
        let mut state = self.lock();
        loop {
            if state.error.is_some() {
                return None;
            }
            if let Some(batch) = state.arrived.pop_front() {
                return Some(batch);
            }
            if state.open_batch_is_over() {
                state.close_batch();
            }
            let ready = |batch: &InFlight| !batch.open && batch.out == 0;
            if state.batches.front().is_some_and(ready) {
                let front = state.batches.front_mut()?;
                front.marking = true;
                return Some(std::mem::take(&mut front.content));
            }
            let is_over = state.is_handed_out() || self.has_stopped(&state);
            if state.batches.is_empty() && state.others == 0 && is_over {
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

impl State<'_> {
    /// Whether no position is left to hand out.
    fn is_handed_out(&self) -> bool {
        self.is_exhausted && self.open.iter().all(|open| open.portion.runs.is_empty())
    }

    fn next(&mut self, last: Option<u64>) -> Next {
        let has_work = |open: &OpenPortion| !open.portion.runs.is_empty();
        let is_idle = |open: &OpenPortion| {
            has_work(open) && open.portion.block.as_ref().is_none_or(|block| !block.is_busy())
        };
        let own = self.open.iter().position(|open| Some(open.number) == last && is_idle(open));
        if let Some(index) = own.or_else(|| self.open.iter().position(is_idle)) {
            return Next::Unit(index);
        }
        if self.open.len() < self.limits.open && self.begin_portion() {
            return Next::Unit(self.open.len() - 1);
        }
        match self.open.iter().position(has_work) {
            Some(index) => Next::Unit(index),
            None if self.is_exhausted => Next::Nothing,
            None => Next::Wait,
        }
    }

    /// Begins the next portion, if there is one.
    fn begin_portion(&mut self) -> bool {
        let portion = if self.is_exhausted { None } else { self.supply.next() };
        match portion {
            Some(Ok(portion)) => {
                let number = self.next_portion;
                self.next_portion += 1;
                self.open.push(OpenPortion { number, portion, out: 0 });
                return true;
            }
            Some(Err(error)) => self.error = Some(error),
            None => {}
        }
        self.is_exhausted = true;
        false
    }

    /// Whether any worker has a unit.
    fn is_any_out(&self) -> bool {
        self.batches.iter().any(|batch| batch.out > 0)
    }

    fn has_open_batch(&self) -> bool {
        self.batches.back().is_some_and(|batch| batch.open)
    }

    fn open_batch_is_over(&self) -> bool {
        let (time, positions) = self.limits.batch;
        let is_over =
            |batch: &InFlight| batch.positions >= positions || batch.opened.elapsed() >= time;
        self.batches.back().is_some_and(|batch| batch.open && is_over(batch))
    }

    fn close_batch(&mut self) {
        if let Some(batch) = self.batches.back_mut() {
            batch.open = false;
        }
    }

    /// A unit of the open portion at `index`.
    fn hand_out(&mut self, index: usize) -> Option<Ticket> {
        if !self.has_open_batch() {
            self.batches.push_back(InFlight {
                number: self.next_batch,
                content: Vec::new(),
                opened: Instant::now(),
                open: true,
                positions: 0,
                out: 0,
                marking: false,
            });
            self.next_batch += 1;
        }
        let batch = self.batches.back_mut()?;
        batch.out += 1;
        let open = self.open.get_mut(index)?;
        open.out += 1;
        let runs = runs::take(&mut open.portion.runs, self.unit);
        batch.positions += runs::count(&runs);
        Some(Ticket {
            runs,
            block: open.portion.block.clone(),
            is_exclusive: open.portion.is_exclusive,
            portion: open.number,
            batch: batch.number,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::RowsDigest;
    use pixelmill_core::failure::Failure;

    fn whole(pending: &[Range<u64>]) -> Supply<'static> {
        let runs = pending.iter().cloned().collect();
        Box::new(std::iter::once(Ok(Portion { runs, block: None, is_exclusive: true })))
    }

    /// Takes back a unit in which these have failed.
    fn done(
        scheduler: &Scheduler<'_>,
        ticket: Ticket,
        failed: &[(u64, Failure)],
        compute: Duration,
    ) {
        let unit = Batch::of(&ticket.runs, failed, RowsDigest::default());
        scheduler.done(ticket, vec![unit], compute);
    }

    /// The batch to be marked of the only computation.
    fn to_mark(scheduler: &Scheduler<'_>) -> Batch {
        let mut batches = scheduler.next_to_mark().unwrap();
        assert_eq!(batches.len(), 1);
        batches.remove(0)
    }

    fn scheduler(pending: Range<u64>, batch_time: Duration) -> Scheduler<'static> {
        scheduler_of(whole(std::slice::from_ref(&pending)), 16, (batch_time, u64::MAX))
    }

    /// Units have at most so many positions.
    fn scheduler_of(supply: Supply<'_>, unit: u64, batch: (Duration, u64)) -> Scheduler<'_> {
        Scheduler::new(supply, 0, Limits { open: 2, unit: Some((1, unit)), batch }, Stop::new())
    }

    #[test]
    fn every_position_is_handed_out_and_marked_once() {
        let pending = [3..50, 60..61, 70..200];
        let scheduler = scheduler_of(whole(&pending), 16, (Duration::ZERO, u64::MAX));
        let mut marked = Vec::new();
        while let Some(ticket) = scheduler.next(None, || false) {
            done(&scheduler, ticket, &[], Duration::from_micros(1));
            let batch = to_mark(&scheduler);
            marked.extend(batch.positions.ranges().flatten());
            scheduler.marked();
        }
        assert!(scheduler.next_to_mark().is_none());
        assert_eq!(marked, pending.into_iter().flatten().collect::<Vec<_>>());
    }

    #[test]
    fn a_batch_is_marked_only_when_all_its_units_are_done() {
        let scheduler = scheduler(0..2, Duration::from_secs(3600));
        let (one, other) =
            (scheduler.next(None, || false).unwrap(), scheduler.next(None, || false).unwrap());
        assert!(scheduler.next(None, || false).is_none());
        done(&scheduler, other, &[(0, Failure::new("x"))], Duration::ZERO);
        assert!(!scheduler.lock().batches[0].open);
        assert_eq!(scheduler.lock().batches[0].out, 1);
        done(&scheduler, one, &[], Duration::ZERO);
        let batch = to_mark(&scheduler);
        assert_eq!(batch.positions.ranges().next(), Some(0..2));
        let failed: Vec<_> = batch.failures.iter().collect();
        assert_eq!(failed, [("x", &std::iter::once(1..2).collect())]);
    }

    #[test]
    fn a_batch_ends_with_its_time_or_its_positions() {
        let batches = |batch| {
            let scheduler = scheduler_of(whole(std::slice::from_ref(&(0..4))), 1, batch);
            while let Some(ticket) = scheduler.next(None, || false) {
                done(&scheduler, ticket, &[], Duration::from_secs(1));
            }
            scheduler.lock().batches.len()
        };
        let long = Duration::from_secs(3600);
        assert_eq!((batches((long, u64::MAX)), batches((long, 4)), batches((long, 2))), (1, 1, 2));
    }

    #[test]
    fn no_more_than_three_batches_are_in_flight() {
        let scheduler = scheduler(0..100, Duration::ZERO);
        let tickets: Vec<_> =
            (0..BATCHES_IN_FLIGHT).map(|_| scheduler.next(None, || false).unwrap()).collect();
        assert_eq!(scheduler.lock().batches.len(), BATCHES_IN_FLIGHT);
        std::thread::scope(|scope| {
            let blocked = scope.spawn(|| scheduler.next(None, || false));
            done(&scheduler, tickets[0].clone(), &[], Duration::ZERO);
            scheduler.next_to_mark().unwrap();
            assert_eq!(scheduler.lock().next_batch, BATCHES_IN_FLIGHT as u64);
            scheduler.marked();
            assert!(blocked.join().unwrap().is_some());
        });
    }

    #[test]
    fn who_waits_helps_without_the_lock_and_then_looks_again() {
        let scheduler = scheduler(0..100, Duration::ZERO);
        let mut tickets: VecDeque<_> =
            (0..BATCHES_IN_FLIGHT).map(|_| scheduler.next(None, || false).unwrap()).collect();
        let mut first = tickets.pop_front();
        let next = scheduler.next(None, || {
            let Some(ticket) = first.take() else { return false };
            done(&scheduler, ticket, &[], Duration::ZERO);
            scheduler.next_to_mark().unwrap();
            scheduler.marked();
            true
        });
        assert_eq!(next.unwrap().runs[0].start, 3);
    }

    #[test]
    fn an_asked_stop_ends_the_hand_out_and_keeps_what_is_done() {
        let stop = Stop::new();
        let scheduler =
            Scheduler { stop: stop.clone(), ..scheduler(0..100, Duration::from_secs(3600)) };
        let ticket = scheduler.next(None, || false).unwrap();
        stop.request();
        assert!(scheduler.next(None, || false).is_none());
        done(&scheduler, ticket, &[], Duration::ZERO);
        let marked = to_mark(&scheduler).positions;
        assert_eq!(marked, std::iter::once(0..1).collect());
        scheduler.marked();
        assert!(scheduler.next_to_mark().is_none());
    }

    #[test]
    fn portions_are_begun_only_while_there_is_room_for_them() {
        let portion = |first: u64| {
            let runs = std::iter::once(first..first + 2).collect();
            Ok(Portion { runs, block: None, is_exclusive: true })
        };
        let supply: Supply<'_> = Box::new([0, 10, 20].into_iter().map(portion));
        let scheduler = scheduler_of(supply, 1, (Duration::from_secs(3600), u64::MAX));
        let first = scheduler.next(None, || false).unwrap();
        assert_eq!(first.runs, vec![0..1]);
        let second = scheduler.next(Some(first.portion), || false).unwrap();
        assert_eq!(second.runs, vec![1..2], "a worker stays with its portion");
        let other = scheduler.next(None, || false).unwrap();
        assert_eq!(other.runs, vec![10..11]);
        let last = scheduler.next(None, || false).unwrap();
        std::thread::scope(|scope| {
            let waiting =
                scope.spawn(|| scheduler.next(None, || false).map(|ticket| ticket.runs[0].start));
            for ticket in [first, second] {
                assert_eq!(scheduler.lock().open.len(), 2, "no third portion yet");
                done(&scheduler, ticket, &[], Duration::from_secs(1));
            }
            assert_eq!(waiting.join().unwrap(), Some(20));
        });
        for ticket in [other, last] {
            done(&scheduler, ticket, &[], Duration::ZERO);
        }
    }
}
