//! The model of folds: what ranks have folded travels to where it is merged, by the engine's own
//! `Homes` and tree, over links and by threads of stated speeds.
//!
//! A rank has one worker. Receiving, merging and sending take that worker's core, link by link and
//! message by message one after the other.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use super::costs::{Costs, POSITIONS};
use super::guide::{Guide, Homes};
use super::model::{CARD, SECOND, Server, seconds};
use super::tree::{Step, Tree, most_nodes};

/// Positions of a unit: frames of 256 × 256 (`UNIT_SPECTRA` of `src/engine/fold/cut.rs`).
const UNIT: u64 = 128;
const UNITS: u64 = POSITIONS.div_ceil(UNIT);
/// Bytes of a node: 256 × 256 numbers in double precision.
pub const NODE: u64 = 256 * 256 * 8;
const MILLISECOND: u64 = SECOND / 1000;
/// What a unit takes on average: 16 MiB are read and folded at 400 MiB per second.
const UNIT_TIME: u64 = 40 * MILLISECOND;
/// How often ranks look for messages (`SHORT_PAUSE` of `src/engine/follow.rs`, `PAUSE` of
/// `crew.rs`), and how long one is on its way.
const LOOK: u64 = MILLISECOND;
const LATENCY: u64 = SECOND / 50_000;
/// Bytes per second of a rank's link, 64 of which share a network card, and of merging.
const LINK: u64 = 200_000_000;
const MERGING: u64 = 1_000_000_000;
/// What a message without a node takes at rank 0.
const HEARING: u64 = SECOND / 100_000;
/// A checkpoint interval, and how long a rank keeps what it has folded (`src/engine/carrier.rs`).
const CHECKPOINT: u64 = 10 * SECOND;
const KEPT: u64 = SECOND;
/// Most nodes that it keeps (`src/engine/fold/travel.rs`, with one worker).
const MOST_OWN: usize = 10;

/// Where what was folded goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    /// To where its part of the scan is merged.
    Homes,
    /// Straight to rank 0.
    Straight,
}

/// A fold.
pub struct Fold<'a> {
    pub costs: &'a Costs,
    pub ranks: usize,
    pub way: Way,
}

/// What came of it.
#[derive(Debug)]
pub struct Folded {
    pub efficiency: f64,
    /// Of the run's time, what rank 0 still gathers when the last worker has ended.
    pub gathering: f64,
    /// Nodes that were sent, and those that came to rank 0.
    pub sent: u64,
    pub come: u64,
    /// Most nodes that a rank had at a time: rank 0 and the others.
    pub most_first: u64,
    pub most_other: u64,
    /// The largest part of its time that a rank merged.
    pub merging: f64,
    /// How many seconds of work checkpoints were behind what was handed out, on average.
    pub behind: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A rank has folded its piece.
    Piece { rank: usize },
    /// A node has come to a rank.
    Node { from: usize, to: usize, level: u32, first: u64 },
    /// A rank is asked for what follows a unit; it is one of those that may have it.
    Asked { rank: usize, first: u64, number: usize },
    /// It has answered.
    Answered { first: u64, number: usize, is_busy: bool },
    /// It is time for a checkpoint.
    Checkpoint,
}

struct Rank {
    guide: Guide,
    taken: u64,
    piece: Range<u64>,
    begun: u64,
    waited: u64,
    passed_on: u64,
    has_ended: bool,
    tree: Tree<()>,
    held: u64,
    most: u64,
    /// When its links and its watching thread are free, and the time that this took its worker.
    link_out: u64,
    link_in: u64,
    watching: u64,
    taken_away: u64,
    merging: u64,
    /// Nodes on their way from it.
    out: u64,
}

impl Rank {
    fn new(fold: &Fold<'_>, number: usize) -> Self {
        let guide = Guide::of_units(number, fold.ranks, UNITS, NODE);
        Self {
            taken: guide.ahead(),
            guide,
            piece: 0..0,
            begun: 0,
            waited: 0,
            passed_on: 0,
            has_ended: false,
            tree: Tree::default(),
            held: 0,
            most: 0,
            link_out: 0,
            link_in: 0,
            watching: 0,
            taken_away: 0,
            merging: 0,
            out: 0,
        }
    }

    /// Puts a node in; returns how often that merged something, and what it has become.
    fn put(&mut self, mut level: u32, mut first: u64) -> (u64, u32, u64) {
        self.held += 1;
        self.most = self.most.max(self.held);
        let mut merged = 0;
        while let Step::Merge { level: above, first: at, .. } = self.tree.put(level, first, ()) {
            (level, first) = (above, at);
            merged += 1;
        }
        self.held -= merged;
        (merged, level, first)
    }

    /// Its watching thread works for so long from then on; returns until when.
    fn watch(&mut self, from: u64, time: u64) -> u64 {
        self.watching = self.watching.max(from.next_multiple_of(LOOK)) + time;
        self.taken_away += time;
        self.watching
    }
}

/// What is known while it runs.
struct State<'a> {
    fold: &'a Fold<'a>,
    homes: Homes,
    ranks: Vec<Rank>,
    events: BinaryHeap<Reverse<(u64, Event)>>,
    counter: Server,
    working: usize,
    on_the_way: u64,
    sent: u64,
    come: u64,
    worked: u64,
    /// Whether rank 0 asks, and for the last time; and when it had all.
    asks: bool,
    is_last: bool,
    end: Option<u64>,
    /// How many seconds of work rank 0 was behind at checkpoints, all together.
    behind: f64,
    checkpoints: u32,
}

impl Fold<'_> {
    /// How long it would take if no rank ever waited or merged.
    fn ideal(&self) -> u64 {
        UNITS * UNIT_TIME / self.ranks as u64
    }

    fn time(&self, units: &Range<u64>) -> u64 {
        let positions = units.start * UNIT..(units.end * UNIT).min(POSITIONS);
        let all = (UNITS * UNIT_TIME) as f64;
        (self.costs.of(positions) * all / self.costs.total) as u64
    }

    /// Lets the ranks fold.
    pub fn run(&self) -> Folded {
        let mut state = State {
            fold: self,
            homes: Homes::new(self.ranks, UNITS),
            ranks: (0..self.ranks).map(|rank| Rank::new(self, rank)).collect(),
            events: BinaryHeap::new(),
            counter: Server::new(CARD),
            working: self.ranks,
            on_the_way: 0,
            sent: 0,
            come: 0,
            worked: 0,
            asks: false,
            is_last: false,
            end: None,
            behind: 0.0,
            checkpoints: 0,
        };
        for rank in 0..self.ranks {
            let first = state.ranks[rank].guide.first();
            state.begin(rank, first, 0);
        }
        state.events.push(Reverse((CHECKPOINT, Event::Checkpoint)));
        while state.end.is_none() {
            let Some(Reverse((now, event))) = state.events.pop() else { break };
            state.go_on(now, event);
        }
        state.folded()
    }
}

impl State<'_> {
    fn push(&mut self, time: u64, event: Event) {
        self.events.push(Reverse((time, event)));
    }

    fn home(&self, level: u32, first: u64) -> usize {
        if self.fold.way == Way::Straight { 0 } else { self.homes.of(level, first) }
    }

    fn begin(&mut self, rank: usize, piece: Range<u64>, now: u64) {
        let time = self.fold.time(&piece);
        let it = &mut self.ranks[rank];
        (it.begun, it.piece) = (now, piece);
        self.push(now + time, Event::Piece { rank });
    }

    fn go_on(&mut self, now: u64, event: Event) {
        match event {
            Event::Piece { rank } => self.piece(now, rank),
            Event::Node { from, to, level, first } => {
                self.on_the_way -= 1;
                self.ranks[from].out -= 1;
                self.ranks[from].held -= 1;
                self.come += u64::from(to == 0);
                let (merged, level, first) = self.ranks[to].put(level, first);
                // It is copied once, which is as much as to merge it.
                let time = (merged + 1) * (NODE * SECOND / MERGING);
                let done = self.ranks[to].watch(now, time);
                self.ranks[to].merging += time;
                if to != 0 && self.home(level, first) != to {
                    self.send(to, self.home(level, first), first, done);
                }
                self.look_for_the_end(done);
            }
            Event::Asked { rank, first, number } => {
                let is_busy = self.ranks[rank].out > 0;
                let now = self.ranks[rank].watch(now, 0);
                let mut arrives = now;
                for first in self.ranks[rank].tree.following(first) {
                    arrives = self.send(rank, 0, first, now);
                }
                self.push(arrives + LATENCY, Event::Answered { first, number, is_busy });
            }
            Event::Answered { first, number, is_busy } => {
                let now = self.ranks[0].watch(now, HEARING);
                let next = if is_busy && self.is_last { number } else { number + 1 };
                let has_more = self.ranks[0].tree.prefix().0 != first;
                self.ask(now, if has_more { 0 } else { next });
            }
            Event::Checkpoint => {
                if !self.is_last {
                    self.push(now + CHECKPOINT, Event::Checkpoint);
                    if !std::mem::replace(&mut self.asks, true) {
                        self.ask(now, 0);
                    }
                }
            }
        }
    }

    /// A rank has folded its piece, and takes the next.
    fn piece(&mut self, now: u64, rank: usize) {
        let it = &mut self.ranks[rank];
        let late = std::mem::take(&mut it.taken_away);
        if late > 0 {
            return self.push(now + late, Event::Piece { rank });
        }
        let piece = it.piece.clone();
        for unit in piece {
            let merged = it.put(0, unit).0;
            it.taken_away += merged * (NODE * SECOND / MERGING);
            it.merging += merged * (NODE * SECOND / MERGING);
        }
        let next = (it.taken < UNITS).then(|| {
            let waited = seconds(it.waited);
            let wanted = it.guide.next(it.taken, seconds(now - it.begun), waited);
            let (before, answered) = self.counter.fetch_and_add(wanted, now);
            it.waited = answered - now;
            let first = (before + it.guide.ahead()).min(UNITS);
            it.taken = (first + wanted).min(UNITS);
            (first..it.taken, answered)
        });
        let next = next.filter(|(piece, _)| !piece.is_empty());
        if next.is_none() || now - it.passed_on >= KEPT || it.tree.places().count() > MOST_OWN {
            it.passed_on = now;
            self.pass_on(rank, now);
        }
        match next {
            Some((piece, answered)) => self.begin(rank, piece, answered),
            None => {
                self.ranks[rank].has_ended = true;
                self.working -= 1;
                self.worked = self.worked.max(now);
                self.ranks[0].watch(now + LATENCY, HEARING);
                self.look_for_the_end(now);
            }
        }
    }

    /// Sends what is merged elsewhere; rank 0 keeps what it has without a gap.
    fn pass_on(&mut self, rank: usize, now: u64) {
        let kept = if rank == 0 { self.ranks[0].tree.prefix().0 } else { 0 };
        let places: Vec<_> = self.ranks[rank].tree.places().collect();
        for (first, level) in places {
            let home = self.home(level, first);
            if home != rank && first >= kept {
                self.send(rank, home, first, now);
            }
        }
    }

    /// Sends a node; returns when it arrives.
    fn send(&mut self, from: usize, to: usize, first: u64, now: u64) -> u64 {
        let Some((level, ())) = self.ranks[from].tree.remove(first) else { return now };
        let time = NODE * SECOND / LINK;
        let begun = now.max(self.ranks[from].link_out);
        self.ranks[from].link_out = begun + time;
        let arrives = (begun + LATENCY).max(self.ranks[to].link_in) + time;
        self.ranks[to].link_in = arrives;
        self.ranks[from].out += 1;
        (self.on_the_way, self.sent) = (self.on_the_way + 1, self.sent + 1);
        self.push(arrives, Event::Node { from, to, level, first });
        arrives
    }

    /// Rank 0 asks one of those that may have what follows the units that it has.
    fn ask(&mut self, now: u64, number: usize) {
        let first = self.ranks[0].tree.prefix().0;
        let holding = self.homes.holding(first);
        match holding.get(number).filter(|_| first < UNITS && self.fold.way == Way::Homes) {
            Some(rank) => self.push(now + LATENCY, Event::Asked { rank: *rank, first, number }),
            None => {
                self.asks = false;
                let handed_out = self.ranks.iter().map(|rank| rank.taken).max().unwrap_or(0);
                let behind = (handed_out - first) as f64 / UNITS as f64;
                if !self.is_last {
                    self.behind += behind * seconds(self.fold.ideal());
                    self.checkpoints += 1;
                } else {
                    assert_eq!(first, UNITS, "all units have come");
                    // All are told, tell that they have ended, and are let go.
                    self.end = Some(now + 3 * HEARING * self.fold.ranks as u64);
                }
            }
        }
    }

    fn look_for_the_end(&mut self, now: u64) {
        if self.working == 0 && self.on_the_way == 0 && !self.asks && !self.is_last {
            (self.is_last, self.asks) = (true, true);
            let now = now.max(self.ranks[0].watching);
            self.ask(now, 0);
        }
    }

    fn folded(&self) -> Folded {
        let end = self.end.expect("it has come to an end");
        let most = |ranks: &[Rank]| ranks.iter().map(|rank| rank.most).max().unwrap_or(0);
        let merging = self.ranks.iter().map(|rank| rank.merging).max().unwrap_or(0);
        Folded {
            efficiency: self.fold.ideal() as f64 / end as f64,
            gathering: (end - self.worked) as f64 / end as f64,
            sent: self.sent,
            come: self.come,
            most_first: most(&self.ranks[..1]),
            most_other: most(&self.ranks[1..]),
            merging: merging as f64 / end as f64,
            behind: self.behind / f64::from(self.checkpoints.max(1)),
        }
    }
}

/// Nodes that a rank of so many has memory for (`src/engine/fold/plan.rs`, `travel.rs`), with one
/// worker.
pub fn planned() -> u64 {
    let travelling = 2 * MOST_OWN as u64 + 4 + 8 + most_nodes(UNITS);
    travelling + most_nodes(UNITS) + 2 + 1
}
