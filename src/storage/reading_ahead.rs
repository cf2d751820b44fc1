//! Reading ahead past the system's cache: what is announced is fetched into a few large pages, so
//! that the disk always has something to do while workers compute.
//!
//! A file is cut into pieces as large as a page. One of which anything is announced gets a slot, if
//! one is free, and is fetched once all of it is announced: nothing is read that nobody wants.
//! Whoever comes first fills the slot, a thread from here or a worker; others wait for that. What
//! has no slot, or can't be read as a whole, workers read by themselves: nothing depends on this
//! but the time that it takes.

use std::collections::VecDeque;
use std::fs::File;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::{self, JoinHandle};

use super::past_cache::{LARGE_PAGE, Landing, fill};

/// Bytes between what is read and what is announced meanwhile. Sums and statistics of 2 GiB took a
/// twentieth longer with half of that.
pub(crate) const DISTANCE: u64 = 16 << 20;

/// Half as many again as lie between: of others workers still take a part. With a third more a
/// fifth of the pieces found none.
const SLOTS: usize = DISTANCE as usize / LARGE_PAGE * 3 / 2;

/// How many pieces are asked of a disk at the same time, besides those that workers wait for.
const READERS: usize = 4;

/// Bytes of memory that it takes.
pub(crate) const AHEAD_BYTES: u64 = (SLOTS * LARGE_PAGE) as u64;

/// How many of the pieces that were asked for last aren't fetched any more: many workers together
/// may be ahead of what each of them announces.
const ASKED: usize = 32;

/// How often a piece is announced until one that nobody has asked for meanwhile gives way.
const STALE: u64 = 256;

/// The threads, and what they share with workers.
pub(super) struct ReadingAhead {
    shared: Arc<Shared>,
    readers: Vec<JoinHandle<()>>,
}

struct Shared {
    direct: Arc<File>,
    slots: [RwLock<Slot>; SLOTS],
    // Held for some comparisons alone, and never while a slot is waited for.
    state: Mutex<State>,
    announced: Condvar,
}

/// What has been read.
#[derive(Default)]
struct Slot {
    /// The number of the piece's first announcement, which is larger than those before it.
    number: u64,
    /// Bytes that are there.
    filled: usize,
    landing: Landing,
}

#[derive(Default)]
struct State {
    places: [Place; SLOTS],
    to_fetch: VecDeque<(usize, Place)>,
    asked: VecDeque<u64>,
    last_number: u64,
    is_over: bool,
}

/// Which piece a slot is for.
#[derive(Clone, Copy, Default)]
struct Place {
    /// When it was announced first; nothing if the slot is free.
    number: Option<u64>,
    piece: u64,
    /// Bytes of the piece that are announced, and those that were asked for since.
    announced: u64,
    taken: u64,
}

impl Place {
    /// Whether it is for a piece that is fetched.
    fn is_fetched(&self) -> bool {
        self.number.is_some() && self.announced >= LARGE_PAGE as u64
    }
}

impl ReadingAhead {
    /// Threads that read by this descriptor; none if there can't be any.
    pub fn new(direct: &Arc<File>) -> Option<Self> {
        let shared = Arc::new(Shared::new(direct));
        let readers = (0..READERS).map_while(|_| {
            let shared = Arc::clone(&shared);
            let named = thread::Builder::new().name("pixelmill-ahead".to_owned());
            named.spawn(move || shared.fetch()).ok()
        });
        let readers: Vec<_> = readers.collect();
        (!readers.is_empty()).then_some(Self { shared, readers })
    }

    /// Has these bytes of the file fetched, as far as there is room.
    pub fn announce(&self, start: u64, length: u64) {
        let mut state = self.shared.state();
        for (piece, part) in pieces(start, length) {
            if state.announce(piece, part.end - part.start) {
                self.shared.announced.notify_one();
            }
        }
    }

    /// Copies a part of a piece, if all of that was announced and can be read.
    pub fn take(&self, piece: u64, at: usize, bytes: &mut [u8]) -> bool {
        let shared = &*self.shared;
        let Some((index, place)) = shared.state().asked_for(piece) else { return false };
        let slot = &shared.slots[index];
        let is_there = slot.read().unwrap_or_else(PoisonError::into_inner).copy(place, at, bytes);
        let is_copied = is_there || {
            let mut slot = slot.write().unwrap_or_else(PoisonError::into_inner);
            slot.fill(&shared.direct, place);
            slot.copy(place, at, bytes)
        };
        if shared.state().taken(index, place, bytes.len() as u64) {
            shared.give_back();
        }
        is_copied
    }
}

impl Drop for ReadingAhead {
    fn drop(&mut self) {
        self.shared.state().is_over = true;
        self.shared.announced.notify_all();
        for reader in self.readers.drain(..) {
            // One that has panicked has only left work to others.
            let _ = reader.join();
        }
    }
}

/// The pieces that so many bytes from `start` on lie in, and which bytes of each these are.
pub(super) fn pieces(start: u64, length: u64) -> impl Iterator<Item = (u64, Range<u64>)> {
    let (page, end) = (LARGE_PAGE as u64, start.saturating_add(length));
    let all = (start / page..end.div_ceil(page)).map(move |piece| {
        let begin = piece * page;
        (piece, start.max(begin) - begin..end.min(begin + page) - begin)
    });
    all.filter(|(_, part)| !part.is_empty())
}

impl Shared {
    fn new(direct: &Arc<File>) -> Self {
        Self {
            direct: Arc::clone(direct),
            slots: Default::default(),
            state: Mutex::default(),
            announced: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The life of a thread that reads ahead.
    fn fetch(&self) {
        while let Some((index, place)) = self.next() {
            let mut slot = self.slots[index].write().unwrap_or_else(PoisonError::into_inner);
            slot.fill(&self.direct, place);
        }
    }

    /// Waits for what is to be fetched next; nothing when all is over.
    fn next(&self) -> Option<(usize, Place)> {
        let mut state = self.state();
        while !state.is_over {
            if let Some(next) = state.to_fetch.pop_front() {
                return Some(next);
            }
            state = self.announced.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        None
    }

    /// Gives the memory of all slots back, but for those in use.
    fn give_back(&self) {
        for slot in &self.slots {
            if let Ok(mut slot) = slot.try_write() {
                (slot.filled, slot.landing) = (0, Landing::default());
            }
        }
    }
}

impl Slot {
    /// Reads a piece, unless that was done already.
    fn fill(&mut self, direct: &File, place: Place) {
        let Some(number) = place.number.filter(|number| *number > self.number) else { return };
        let room = self.landing.room(LARGE_PAGE);
        self.filled = fill(direct, room, place.piece * LARGE_PAGE as u64, LARGE_PAGE);
        self.number = number;
    }

    /// Copies what lies `at` in the piece, if that is the one and has it.
    fn copy(&self, place: Place, at: usize, bytes: &mut [u8]) -> bool {
        let is_there = place.number == Some(self.number) && at + bytes.len() <= self.filled;
        if is_there {
            bytes.copy_from_slice(&self.landing.landed()[at..][..bytes.len()]);
        }
        is_there
    }
}

impl State {
    fn place_of(&self, piece: u64) -> Option<usize> {
        self.places.iter().position(|place| place.number.is_some() && place.piece == piece)
    }

    /// Counts so many bytes of a piece as announced, if it has a slot or there is one for it;
    /// `true` if it is to be fetched now.
    fn announce(&mut self, piece: u64, bytes: u64) -> bool {
        if self.asked.contains(&piece) {
            return false;
        }
        self.last_number += 1;
        let last = self.last_number;
        let gives_way = |place: &Place| place.number.is_none_or(|number| last - number > STALE);
        let own = self.place_of(piece);
        let Some(index) = own.or_else(|| self.places.iter().position(gives_way)) else {
            return false;
        };
        let place = &mut self.places[index];
        if own.is_none() {
            *place = Place { number: Some(last), piece, announced: 0, taken: 0 };
        }
        let was_fetched = place.is_fetched();
        place.announced += bytes;
        let is_fetched = place.is_fetched() && !was_fetched;
        if is_fetched {
            self.to_fetch.push_back((index, *place));
        }
        is_fetched
    }

    /// The slot of a piece that is wanted now, if it is fetched.
    fn asked_for(&mut self, piece: u64) -> Option<(usize, Place)> {
        let index = self.place_of(piece);
        if let Some(index) = index.filter(|index| self.places[*index].is_fetched()) {
            return Some((index, self.places[index]));
        }
        if let Some(index) = index {
            self.places[index].number = None;
        }
        self.remember(piece);
        None
    }

    /// Counts what has been taken of a piece; `true` if none has anything that is to be taken any
    /// more.
    fn taken(&mut self, index: usize, place: Place, bytes: u64) -> bool {
        let now = &mut self.places[index];
        if now.number != place.number {
            return false;
        }
        now.taken += bytes;
        if now.taken < LARGE_PAGE as u64 {
            return false;
        }
        now.number = None;
        self.remember(place.piece);
        !self.places.iter().any(Place::is_fetched)
    }

    fn remember(&mut self, piece: u64) {
        if !self.asked.contains(&piece) {
            self.asked.push_back(piece);
            if self.asked.len() > ASKED {
                self.asked.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: u64 = LARGE_PAGE as u64;

    /// A file of three pieces and some bytes, and what it has.
    fn example() -> (tempfile::TempDir, Arc<File>, Vec<u8>) {
        // Beside the program, since file systems in memory may have no such reads.
        let program = std::env::current_exe().unwrap();
        let folder = tempfile::tempdir_in(program.parent().unwrap()).unwrap();
        let path = folder.path().join("data");
        let bytes: Vec<u8> =
            (0..3 * LARGE_PAGE + 77).map(|at| ((at * 2_654_435_761) >> 13) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let direct = super::super::past_cache::open(&File::open(&path).unwrap()).unwrap();
        (folder, Arc::new(direct), bytes)
    }

    /// Whether a part of the example is taken as the file has it.
    fn is_taken(ahead: &ReadingAhead, (start, length): (u64, u64), bytes: &[u8]) -> bool {
        pieces(start, length).all(|(piece, part)| {
            let mut read = vec![0; (part.end - part.start) as usize];
            let is_taken = ahead.take(piece, part.start as usize, &mut read);
            let begin = (piece * PAGE + part.start) as usize;
            is_taken && read == bytes[begin..][..read.len()]
        })
    }

    #[test]
    fn what_is_announced_is_what_the_file_has_whoever_reads_it() {
        let (_folder, direct, bytes) = example();
        let workers_alone =
            ReadingAhead { shared: Arc::new(Shared::new(&direct)), readers: Vec::new() };
        for ahead in [ReadingAhead::new(&direct).unwrap(), workers_alone] {
            let is_taken = |start, length| is_taken(&ahead, (start, length), &bytes);
            ahead.announce(1000, 2 * PAGE - 1000);
            ahead.announce(2 * PAGE, 2 * PAGE);
            assert!(is_taken(2 * PAGE - 5, PAGE + 10));
            assert!(!ahead.take(3, 70, &mut [0; 8]), "the file ends before");
            assert!(!is_taken(1000, 500), "not all of the piece was announced");
            assert!(!is_taken(4 * PAGE, 8), "nobody has announced it");
            assert!(is_taken(PAGE, PAGE - 5));
            assert!(!is_taken(PAGE, 1), "all that was announced has been taken");
        }
    }

    #[test]
    fn memory_is_given_back_when_all_is_taken() {
        let (_folder, direct, bytes) = example();
        let ahead = ReadingAhead { shared: Arc::new(Shared::new(&direct)), readers: Vec::new() };
        let with_memory = || {
            let slots = ahead.shared.slots.iter();
            slots.filter(|slot| !slot.read().unwrap().landing.landed().is_empty()).count()
        };
        ahead.announce(0, 2 * PAGE + 1000);
        assert!(is_taken(&ahead, (0, 2 * PAGE - 1), &bytes));
        assert_eq!(with_memory(), 2);
        assert!(is_taken(&ahead, (2 * PAGE - 1, 1), &bytes));
        assert_eq!(with_memory(), 0);
    }

    #[test]
    fn what_is_announced_again_is_read_again() {
        let (folder, direct, _) = example();
        let ahead = ReadingAhead::new(&direct).unwrap();
        let path = folder.path().join("data");
        let mut read = vec![0; LARGE_PAGE];
        ahead.announce(0, PAGE);
        assert!(ahead.take(0, 0, &mut read));
        std::fs::write(&path, vec![7; LARGE_PAGE]).unwrap();
        // It was asked for just now, which is forgotten behind others.
        (10..10 + ASKED as u64).for_each(|piece| assert!(!ahead.take(piece, 0, &mut read)));
        ahead.announce(0, PAGE);
        assert!(ahead.take(0, 0, &mut read) && read == [7; LARGE_PAGE]);
        ahead.announce(PAGE, PAGE);
        assert!(!ahead.take(1, 0, &mut read), "the file has become shorter");
    }

    #[test]
    fn a_piece_is_fetched_once_all_of_it_is_announced() {
        let mut state = State::default();
        assert!(!state.announce(5, PAGE / 2) && state.asked_for(6).is_none());
        assert!(state.announce(5, PAGE / 2) && state.asked_for(5).is_some());
        assert!(!state.announce(5, PAGE / 2), "that is done already");
        assert!(!state.announce(6, PAGE), "others have just read of it");
        assert!(!state.announce(7, PAGE / 2) && state.asked_for(7).is_none());
        assert!(!state.announce(7, PAGE / 2), "it is read by others");
    }

    #[test]
    fn a_slot_is_free_again_once_all_is_taken_or_nobody_wants_it() {
        let mut state = State::default();
        let all: Vec<bool> = (0..=SLOTS as u64).map(|piece| state.announce(piece, PAGE)).collect();
        assert_eq!(all.iter().filter(|is_fetched| **is_fetched).count(), SLOTS);
        let (index, place) = state.asked_for(0).unwrap();
        assert!(!state.taken(index, place, PAGE - 1) && state.place_of(0).is_some());
        assert!(!state.taken(index, place, 1) && state.place_of(0).is_none());
        assert!(state.announce(100, PAGE), "in its place");
        assert!(!state.taken(index, place, PAGE) && state.place_of(100).is_some(), "too late");
        assert!((0..STALE).any(|more| state.announce(200 + more, PAGE)));
        assert!(state.place_of(1).is_none());
    }

    #[test]
    fn what_is_read_lies_in_pieces() {
        let parts: Vec<_> = pieces(PAGE - 3, PAGE + 5).collect();
        assert_eq!(parts, [(0, PAGE - 3..PAGE), (1, 0..PAGE), (2, 0..2)]);
        assert_eq!(pieces(5, 0).count(), 0);
    }
}
