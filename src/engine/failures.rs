//! Failed positions by their reasons, in memory that doesn't grow with them.
//!
//! There may be as many reasons as positions, but only so many lines to list them. Which reasons
//! get one must not depend on the order in which positions fail: those with the smallest hashes of
//! their texts do. A reason that once had to make room could never come back, whatever comes later,
//! so that it may be forgotten at once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::storage::marks::Marks;
use crate::storage::results_group::MESSAGE_BYTES;
use pixelmill_core::error::Result;
use pixelmill_core::failure::Failure;
use pixelmill_core::positions::Positions;

/// Reasons that are told apart at most, besides the others.
pub(crate) const MOST_REASONS: usize = 126;

/// What stands for all other reasons.
pub(crate) const OTHER_FAILURES: &str =
    "another failure (there are more kinds of failures than lines to list them)";

/// Which of two reasons makes room for the other: the one with the larger hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Rank([u64; 2]);

impl Rank {
    pub fn of(reason: &str) -> Self {
        let hash = Sha256::digest(reason);
        let word =
            |at: usize| hash[at..at + 8].iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        Self([word(0), word(8)])
    }
}

/// The reasons with the smallest hashes of all that were ever admitted, with what is known of each.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Reasons<T> {
    kept: BTreeMap<String, (Rank, T)>,
}

impl<T> Default for Reasons<T> {
    fn default() -> Self {
        Self { kept: BTreeMap::new() }
    }
}

impl<T: Default> Reasons<T> {
    /// What is known of a reason, nothing yet if it is new; `None` if there is no room for it.
    /// Gives the other that had to make room for it, if one had to.
    pub fn admit(&mut self, reason: &str) -> (Option<&mut T>, Option<(String, T)>) {
        let mut evicted = None;
        if !self.kept.contains_key(reason) {
            let rank = Rank::of(reason);
            if self.kept.len() >= MOST_REASONS {
                let last = self.kept.iter().max_by_key(|(_, (rank, _))| *rank);
                match last.map(|(text, (rank, _))| (text.clone(), *rank)) {
                    Some((text, last)) if rank < last => {
                        evicted = self.kept.remove(&text).map(|(_, known)| (text, known));
                    }
                    _ => return (None, None),
                }
            }
            self.kept.insert(reason.to_owned(), (rank, T::default()));
        }
        (self.kept.get_mut(reason).map(|(_, known)| known), evicted)
    }

    /// What is known of a reason that has a place.
    pub fn get(&self, reason: &str) -> Option<&T> {
        self.kept.get(reason).map(|(_, known)| known)
    }

    /// Notes what is known of a reason that has a place.
    pub fn put(&mut self, reason: &str, known: T) {
        if let Some(place) = self.kept.get_mut(reason) {
            place.1 = known;
        }
    }

    /// All reasons with what is known of them, in the order of their texts.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.kept.iter().map(|(text, (_, known))| (text.as_str(), known))
    }
}

/// Failed positions by reason.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Failures {
    reasons: Reasons<Positions>,
    others: Positions,
}

impl Failures {
    /// Adds a position that isn't in it yet.
    pub fn insert(&mut self, position: u64, failure: &Failure) {
        let mut one = Positions::default();
        one.insert(position..position + 1);
        self.add(&line_text(failure), one);
    }

    fn add(&mut self, reason: &str, positions: Positions) {
        if reason == OTHER_FAILURES {
            return self.others.append(positions);
        }
        let (place, evicted) = self.reasons.admit(reason);
        match place {
            Some(place) => place.append(positions),
            None => self.others.append(positions),
        }
        if let Some((_, positions)) = evicted {
            self.others.append(positions);
        }
    }

    /// Adds other positions with their reasons.
    pub fn append(&mut self, other: Self) {
        for (reason, (_, positions)) in other.reasons.kept {
            self.add(&reason, positions);
        }
        self.others.append(other.others);
    }

    /// Whether nothing has failed.
    pub fn is_empty(&self) -> bool {
        self.reasons.kept.is_empty() && self.others.is_empty()
    }

    /// The reasons with their positions.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Positions)> {
        let others = std::iter::once((OTHER_FAILURES, &self.others));
        self.reasons.iter().chain(others.filter(|(_, positions)| !positions.is_empty()))
    }
}

/// A failure as a line says it.
pub(crate) fn line_text(failure: &Failure) -> String {
    let mut text = failure.to_string().replace(['\n', '\0'], " ");
    if text.len() >= MESSAGE_BYTES {
        let end = (0..MESSAGE_BYTES).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
    }
    text.truncate(text.trim_end().len());
    if text.is_empty() { "no reason was given".to_owned() } else { text }
}

/// Failed positions of a results group, as far as anybody can want to read of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedPositions {
    /// How many there are.
    pub count: u64,
    /// How many there are for each reason, in the order of the reasons.
    pub reasons: Vec<(String, u64)>,
    /// The first of them, up to [`Self::MOST_LISTED`], with their reasons.
    pub listed: Vec<(u64, String)>,
}

impl FailedPositions {
    /// So many are listed.
    pub const MOST_LISTED: usize = 10_000;

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Reads them: of all positions that are done by `status` those that have a line of `messages`
    /// in `lines`.
    pub(crate) fn read(status: &Marks, lines: &Marks, messages: &[String]) -> Result<Self> {
        let mut counts = [0u64; 256];
        let mut listed = Vec::new();
        let mut done = Vec::new();
        let mut failure = None;
        lines.each_window(|first, lines| {
            if lines.iter().all(|line| *line == 0) {
                return true;
            }
            done.resize(lines.len(), 0);
            if let Err(error) = status.read(first, &mut done) {
                failure = Some(error);
                return false;
            }
            for ((line, done), position) in lines.iter().zip(&done).zip(first..) {
                if *line != 0 && *done != 0 {
                    counts[usize::from(*line)] += 1;
                    if listed.len() < Self::MOST_LISTED {
                        listed.push((position, reason(messages, *line)));
                    }
                }
            }
            true
        })?;
        failure.map_or(Ok(()), Err)?;
        let mut reasons = BTreeMap::new();
        for (line, count) in (0..=u8::MAX).zip(counts).filter(|(_, count)| *count > 0) {
            *reasons.entry(reason(messages, line)).or_default() += count;
        }
        let reasons: Vec<(String, u64)> = reasons.into_iter().collect();
        Ok(Self { count: counts.iter().sum(), reasons, listed })
    }
}

/// What a line says. A line that isn't there, as other programs may leave it, stands for any
/// reason.
pub(crate) fn reason(messages: &[String], line: u8) -> String {
    let found = messages.get(usize::from(line)).filter(|text| !text.is_empty());
    found.map_or(OTHER_FAILURES, String::as_str).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_reasons_are_listed_does_not_depend_on_the_order() {
        let failure = |at: u64| Failure::new(format!("no value at {at}"));
        let fail = |order: &mut dyn Iterator<Item = u64>| {
            let mut failures = Failures::default();
            order.for_each(|at| failures.insert(at, &failure(at)));
            failures.iter().map(|(text, at)| (text.to_owned(), at.clone())).collect::<Vec<_>>()
        };
        let forward = fail(&mut (0..1000));
        assert_eq!(forward, fail(&mut (0..1000).rev()));
        assert_eq!(forward, fail(&mut (0..1000).map(|at| at * 377 % 1000)));
        assert_eq!(forward.len(), MOST_REASONS + 1);
        let (last, others) = &forward[MOST_REASONS];
        assert_eq!((last.as_str(), others.count()), (OTHER_FAILURES, 1000 - MOST_REASONS as u64));
    }

    #[test]
    fn reasons_are_told_in_one_line_that_is_read_back_as_it_was() {
        let text = |text: &str| line_text(&Failure::new(text));
        assert_eq!(text("one\ntwo \n"), "one two");
        assert_eq!(text(" "), "no reason was given");
        let long = text(&"é".repeat(200));
        assert_eq!((long.len(), long.chars().all(|letter| letter == 'é')), (198, true));
    }
}
