//! What a run remembers of its look at earlier results.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use log::{Level, log, log_enabled};

use super::ledger::Record;
use super::{Note, Observer};

/// What was found out about earlier results in this run, so that nothing is read twice.
#[derive(Default)]
pub(crate) struct Compared(Mutex<Found>);

#[derive(Default)]
struct Found {
    /// Groups with their record, and whether the data are still those.
    verdicts: Vec<(String, Record, bool)>,
    /// Whether only a sample was compared of some.
    is_sampled: bool,
    notes: Vec<Note>,
    /// Why earlier results of the process aren't used.
    unused: Vec<String>,
    said: HashSet<String>,
}

impl Compared {
    fn lock(&self) -> MutexGuard<'_, Found> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what the user should know of it, once.
    pub fn tell(&self, observer: &dyn Observer) {
        let notes = std::mem::take(&mut self.lock().notes);
        notes.iter().for_each(|note| observer.note(note));
    }

    /// Says what was found, unless it has been said before: a run looks as a reader, when it has
    /// claimed the file, and when it has it alone.
    pub fn say(&self, level: Level, text: impl FnOnce() -> String) {
        if !log_enabled!(level) {
            return;
        }
        let text = text();
        if self.lock().said.insert(text.clone()) {
            log!(level, "{text}");
        }
    }

    /// Notes why earlier results of the process aren't used.
    pub fn note_unused(&self, reason: String) {
        let mut found = self.lock();
        if !found.unused.contains(&reason) {
            found.unused.push(reason);
        }
    }

    /// Why earlier results of the process aren't used.
    pub fn unused(&self) -> Vec<String> {
        self.lock().unused.clone()
    }

    /// Whether the data are those of this record of a group, if that was found out.
    pub fn verdict(&self, group: &str, record: &Record) -> Option<bool> {
        let found = self.lock();
        let mut known = found.verdicts.iter().filter(|(path, of, _)| path == group && of == record);
        known.next().map(|(_, _, same)| *same)
    }

    /// Notes whether they are, and what is to be told of it.
    pub fn note(&self, group: &str, record: &Record, same: bool, note: Option<Note>) {
        let mut found = self.lock();
        found.verdicts.push((group.to_owned(), record.clone(), same));
        found.notes.extend(note);
    }

    /// Notes that a sample of the data is what it was, and no more is known.
    pub fn note_sampled(&self, group: &str, record: &Record, note: Note) {
        self.lock().is_sampled = true;
        self.note(group, record, true, Some(note));
    }

    /// Whether only a sample was compared of some.
    pub fn is_sampled(&self) -> bool {
        self.lock().is_sampled
    }
}
