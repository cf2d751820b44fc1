//! The discrete-event model: ranks that take pieces from a counter, as `engine::supply` does, and
//! compute them.
//!
//! Time is in nanoseconds. A rank's workers are one that is as many times as fast, until the rank
//! takes nothing more: then each of its last units is computed by one of them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::ops::Range;

use super::costs::{Costs, POSITIONS};
use super::guide::Guide;

pub const SECOND: u64 = 1_000_000_000;
const MICROSECOND: u64 = SECOND / 1_000_000;
/// The load on the counter is counted over such intervals.
const WINDOW: u64 = SECOND / 10;
/// What a unit takes: `UNIT_SECONDS` of `src/plan.rs`.
const UNIT: f64 = 0.01 * SECOND as f64;

/// How the counter answers.
#[derive(Clone, Copy, Debug)]
pub struct Counter {
    /// A message to it and back.
    latency: u64,
    /// How often somebody looks for messages; 0 if nobody has to.
    look: u64,
    /// What an answer takes; there is one at a time.
    service: u64,
}

/// The network card of rank 0 adds by itself.
pub const CARD: Counter = Counter { latency: 3 * MICROSECOND, look: 0, service: MICROSECOND };
/// Rank 0 looks for messages every millisecond (`PAUSE` of `src/engine/crew.rs`), and answers one.
pub const LOOKED_AT: Counter =
    Counter { latency: 30 * MICROSECOND, look: 1000 * MICROSECOND, service: 1000 * MICROSECOND };

impl Counter {
    /// Answers per second at most.
    pub fn capacity(&self) -> f64 {
        1.0 / seconds(self.service)
    }
}

/// A run.
pub struct Job<'a> {
    pub costs: &'a Costs,
    /// What is handed out: single positions, or blocks of them.
    pub items: u64,
    pub ranks: usize,
    pub workers: usize,
    pub counter: Counter,
    /// How long it would take if no worker ever waited.
    pub ideal: u64,
}

impl Job<'_> {
    /// The positions of some items.
    fn positions(&self, items: &Range<u64>) -> Range<u64> {
        if self.items == POSITIONS {
            return items.clone();
        }
        let position = |item: u64| (item as u128 * POSITIONS as u128 / self.items as u128) as u64;
        position(items.start)..position(items.end)
    }

    /// What some positions take one worker.
    fn time(&self, positions: Range<u64>) -> f64 {
        self.costs.of(positions) * self.scale()
    }

    fn scale(&self) -> f64 {
        (self.ideal * (self.ranks * self.workers) as u64) as f64 / self.costs.total
    }

    /// What the dearest item takes, as a part of the ideal time: no division makes it less. A
    /// position is computed by one worker, a block by all of its rank.
    pub fn dearest_item(&self) -> f64 {
        let dearest = if self.items == POSITIONS {
            self.costs.highest * self.scale()
        } else {
            let block = |item| self.time(self.positions(&(item..item + 1)));
            (0..self.items).map(block).fold(0.0, f64::max) / self.workers as f64
        };
        dearest / self.ideal as f64
    }

    /// When all workers of a rank have ended that began with `items`, and took nothing more.
    fn end(&self, begun: u64, items: &Range<u64>) -> u64 {
        let positions = self.positions(items);
        let count = positions.end - positions.start;
        let time = self.time(positions.clone());
        let unit = ((count as f64 * UNIT / time.max(1.0)) as u64).clamp(1, count.max(1));
        let ends = (0..self.workers as u64).map_while(|later| {
            let end =
                positions.end.checked_sub(later * unit).filter(|end| *end > positions.start)?;
            let start = end.saturating_sub(unit).max(positions.start);
            let before = self.time(positions.start..start) / self.workers as f64;
            Some(begun + (before + self.time(start..end)) as u64)
        });
        ends.max().unwrap_or(begun)
    }

    /// Useful time in all time, if each rank had an equal share from the beginning.
    pub fn static_efficiency(&self) -> f64 {
        let share = |rank: usize| {
            let first = |rank: usize| rank as u64 * self.items / self.ranks as u64;
            self.time(self.positions(&(first(rank)..first(rank + 1)))) / self.workers as f64
        };
        self.ideal as f64 / (0..self.ranks).map(share).fold(0.0, f64::max)
    }

    /// Lets the ranks compute.
    pub fn run(&self) -> Outcome {
        let mut ranks: Vec<_> = (0..self.ranks).map(|rank| Rank::new(self, rank)).collect();
        let mut server = Server::new(self.counter);
        let begin =
            |(rank, it): (usize, &mut Rank)| Reverse((it.begin(it.guide.first(), 0, self), rank));
        let mut next: BinaryHeap<_> = ranks.iter_mut().enumerate().map(begin).collect();
        while let Some(mut earliest) = next.peek_mut() {
            let Reverse((now, rank)) = *earliest;
            match ranks[rank].go_on(now, self, &mut server) {
                // Sinks to its place when it is dropped.
                Some(then) => *earliest = Reverse((then, rank)),
                None => drop(PeekMut::pop(earliest)),
            }
        }
        Outcome::of(self, &ranks, &server)
    }
}

struct Rank {
    guide: Guide,
    /// How many items are known to be taken by anybody.
    taken: u64,
    piece: Range<u64>,
    begun: u64,
    /// How long the last piece was waited for, and all of them.
    waited: u64,
    waited_in_all: u64,
    pieces: u64,
    items: u64,
    end: u64,
}

impl Rank {
    fn new(job: &Job<'_>, number: usize) -> Self {
        let guide = Guide::new(number, job.ranks, job.items);
        let taken = guide.ahead();
        Self {
            guide,
            taken,
            piece: 0..0,
            begun: 0,
            waited: 0,
            waited_in_all: 0,
            pieces: 0,
            items: 0,
            end: 0,
        }
    }

    /// Begins with a piece; returns when all of it will be handed out to workers.
    fn begin(&mut self, piece: Range<u64>, now: u64, job: &Job<'_>) -> u64 {
        self.pieces += u64::from(!piece.is_empty());
        self.items += piece.end - piece.start;
        let time = job.time(job.positions(&piece)) / job.workers as f64;
        (self.begun, self.piece) = (now, piece);
        now + time as u64
    }

    /// What a rank does when it has handed out its last piece to its workers; returns when it will
    /// have handed out the next, if it gets one.
    fn go_on(&mut self, now: u64, job: &Job<'_>, server: &mut Server) -> Option<u64> {
        if self.taken >= job.items {
            self.end = job.end(self.begun, &self.piece).max(now);
            return None;
        }
        let wanted = self.guide.next(self.taken, seconds(now - self.begun), seconds(self.waited));
        let (first, answered) = server.fetch_and_add(wanted, now);
        self.waited = answered - now;
        self.waited_in_all += self.waited;
        let first = first + self.guide.ahead();
        if first >= job.items {
            self.end = job.end(self.begun, &self.piece).max(answered);
            return None;
        }
        self.taken = (first + wanted).min(job.items);
        Some(self.begin(first..self.taken, answered, job))
    }
}

pub struct Server {
    counter: Counter,
    value: u64,
    /// When it has answered everything that has arrived.
    free: u64,
    /// What arrived in each window.
    arrived: Vec<u32>,
}

impl Server {
    pub fn new(counter: Counter) -> Self {
        Self { counter, value: 0, free: 0, arrived: Vec::new() }
    }

    /// The value before, and when the answer arrives. To be called in the order of time.
    pub fn fetch_and_add(&mut self, amount: u64, now: u64) -> (u64, u64) {
        let Counter { latency, look, service } = self.counter;
        let arrived = now + latency / 2;
        let seen = if look == 0 { arrived } else { arrived.next_multiple_of(look) };
        self.free = seen.max(self.free) + service;
        let answered = self.free + latency / 2;
        let window = (arrived / WINDOW) as usize;
        if window >= self.arrived.len() {
            self.arrived.resize(window + 1, 0);
        }
        self.arrived[window] += 1;
        let before = self.value;
        self.value += amount;
        (before, answered)
    }
}

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// Useful time in the time of all workers until the last rank has ended.
    pub efficiency: f64,
    /// How much earlier than the last rank the first has ended, as a part of the run's time.
    pub imbalance: f64,
    /// What ranks waited for the counter, as a part of their time.
    pub waiting: f64,
    pub pieces: u64,
    /// Items in all pieces.
    pub items: u64,
    /// What arrives at the counter, per second: on average, and in the window with the most.
    pub mean_load: f64,
    pub peak_load: f64,
}

impl Outcome {
    fn of(job: &Job<'_>, ranks: &[Rank], server: &Server) -> Self {
        let ends = || ranks.iter().map(|rank| rank.end);
        let (first, last) = (ends().min().unwrap_or(0), ends().max().unwrap_or(0));
        let sum = |of: fn(&Rank) -> u64| ranks.iter().map(of).sum::<u64>();
        let arrived: u64 = server.arrived.iter().map(|count| u64::from(*count)).sum();
        let peak = server.arrived.iter().max().copied().unwrap_or(0);
        Self {
            efficiency: job.ideal as f64 / last as f64,
            imbalance: (last - first) as f64 / last as f64,
            waiting: sum(|rank| rank.waited_in_all) as f64 / last as f64 / job.ranks as f64,
            pieces: sum(|rank| rank.pieces),
            items: sum(|rank| rank.items),
            mean_load: arrived as f64 / seconds(last),
            peak_load: f64::from(peak) / seconds(WINDOW),
        }
    }
}

pub fn seconds(time: u64) -> f64 {
    time as f64 / SECOND as f64
}
