//! Sets of positions, small whatever they look like: in groups of 65,536, each as ranges or, where
//! these would take more, as one bit for each position.
//!
//! Sorted and disjoint at any time; ranges that touch are one. The engine keeps in them what is
//! computed but not marked, and what failed.

pub mod runs;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Positions of a group.
const GROUP: u64 = 1 << 16;
/// Words of a group's bits.
const WORDS: usize = GROUP as usize / 64;
/// Ranges of a group at most: with more, bits are smaller.
const MOST_RANGES: usize = WORDS;

/// A set of positions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Positions {
    groups: BTreeMap<u64, Group>,
}

/// Some positions of a group, counted from its first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Group {
    /// Beginnings and ends.
    Ranges(Vec<(u32, u32)>),
    Bits(Vec<u64>),
}

impl Positions {
    /// Adds consecutive positions.
    pub fn insert(&mut self, range: Range<u64>) {
        let mut first = range.start;
        while first < range.end {
            let number = first / GROUP;
            let end = range.end.min((number + 1) * GROUP);
            let within = |position: u64| (position - number * GROUP) as u32;
            let group = self.groups.entry(number).or_insert_with(|| Group::Ranges(Vec::new()));
            group.insert(within(first), within(end));
            first = end;
        }
    }

    /// Adds all positions of another set.
    pub fn append(&mut self, other: Self) {
        for (number, group) in other.groups {
            match self.groups.entry(number) {
                Entry::Vacant(place) => _ = place.insert(group),
                Entry::Occupied(own) => own.into_mut().append(group),
            }
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.groups.values().map(Group::count).sum()
    }

    /// Their ranges, ascending. Those of different groups aren't joined.
    pub fn ranges(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.ranges_within(&(0..u64::MAX))
    }

    /// The parts of their ranges that lie within `range`.
    pub fn ranges_within<'p>(
        &'p self,
        range: &Range<u64>,
    ) -> impl Iterator<Item = Range<u64>> + use<'p> {
        let (start, end) = (range.start, range.end);
        let groups = self.groups.range(start / GROUP..end.div_ceil(GROUP));
        let ranges = groups.flat_map(|(number, group)| {
            let first = number * GROUP;
            group.ranges().map(move |(start, end)| first + u64::from(start)..first + u64::from(end))
        });
        ranges
            .map(move |range| range.start.max(start)..range.end.min(end))
            .filter(|range| range.start < range.end)
    }

    /// Gives each of them its `mark`, in marks of which the first is that of position `first`.
    pub fn mark(&self, first: u64, marks: &mut [u8], mark: u8) {
        let marked = self.ranges_within(&(first..first + marks.len() as u64));
        runs::mark(marked, first, marks, mark);
    }

    /// How many there are before the first that isn't among them.
    pub fn prefix(&self) -> u64 {
        self.ranges()
            .try_fold(0, |end, range| if range.start == end { Ok(range.end) } else { Err(end) })
            .unwrap_or_else(|end| end)
    }

    /// Bytes of memory that they take.
    pub fn memory(&self) -> u64 {
        self.groups.values().map(|group| 64 + group.memory()).sum()
    }
}

impl FromIterator<Range<u64>> for Positions {
    fn from_iter<I: IntoIterator<Item = Range<u64>>>(ranges: I) -> Self {
        let mut positions = Self::default();
        ranges.into_iter().for_each(|range| positions.insert(range));
        positions
    }
}

impl Group {
    fn insert(&mut self, start: u32, end: u32) {
        let ranges = match self {
            Self::Bits(words) => return set(words, start, end),
            Self::Ranges(ranges) => ranges,
        };
        // Most come in order, one behind the other.
        match ranges.last_mut() {
            Some((_, last)) if *last == start => *last = end,
            Some((_, last)) if *last > start => {
                let from = ranges.partition_point(|(_, other)| *other < start);
                let to = ranges.partition_point(|(other, _)| *other <= end);
                let joined = ranges[from..to].iter().fold((start, end), |(start, end), range| {
                    (start.min(range.0), end.max(range.1))
                });
                ranges.splice(from..to, [joined]);
            }
            _ => ranges.push((start, end)),
        }
        if ranges.len() > MOST_RANGES {
            let mut words = vec![0; WORDS];
            ranges.iter().for_each(|(start, end)| set(&mut words, *start, *end));
            *self = Self::Bits(words);
        }
    }

    fn append(&mut self, mut other: Self) {
        if matches!((&*self, &other), (Self::Ranges(_), Self::Bits(_))) {
            std::mem::swap(self, &mut other);
        }
        match (self, other) {
            (Self::Bits(own), Self::Bits(others)) => {
                own.iter_mut().zip(others).for_each(|(own, other)| *own |= other);
            }
            (own, other) => other.ranges().for_each(|(start, end)| own.insert(start, end)),
        }
    }

    fn count(&self) -> u64 {
        match self {
            Self::Ranges(ranges) => ranges.iter().map(|(start, end)| u64::from(end - start)).sum(),
            Self::Bits(words) => words.iter().map(|word| u64::from(word.count_ones())).sum(),
        }
    }

    fn ranges(&self) -> Box<dyn Iterator<Item = (u32, u32)> + '_> {
        match self {
            Self::Ranges(ranges) => Box::new(ranges.iter().copied()),
            Self::Bits(words) => Box::new(Runs { words, at: 0 }),
        }
    }

    fn memory(&self) -> u64 {
        match self {
            Self::Ranges(ranges) => ranges.capacity() as u64 * 8,
            Self::Bits(words) => words.capacity() as u64 * 8,
        }
    }
}

/// Sets the bits from `start` to `end`.
fn set(words: &mut [u64], start: u32, end: u32) {
    let mut at = start;
    while at < end {
        let (word, bit) = (at / 64, at % 64);
        let length = (end - at).min(64 - bit);
        words[word as usize] |= (u64::MAX >> (64 - length)) << bit;
        at += length;
    }
}

/// The runs of set bits.
struct Runs<'a> {
    words: &'a [u64],
    at: u32,
}

impl Runs<'_> {
    /// The next bit that is set, or that isn't, or the end.
    fn next_bit(&self, is_set: bool) -> u32 {
        let mut at = self.at;
        while let Some(word) = self.words.get(at as usize / 64) {
            let word = if is_set { *word } else { !*word };
            let left = word >> (at % 64);
            if left != 0 {
                return at + left.trailing_zeros();
            }
            at = (at / 64 + 1) * 64;
        }
        self.words.len() as u32 * 64
    }
}

impl Iterator for Runs<'_> {
    type Item = (u32, u32);

    fn next(&mut self) -> Option<(u32, u32)> {
        let start = self.next_bit(true);
        self.at = start;
        let end = self.next_bit(false);
        self.at = end;
        (start < end).then_some((start, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_second_position_takes_a_bit_for_each() {
        let alternating: Positions = (0..1 << 20).step_by(2).map(|at| at..at + 1).collect();
        assert_eq!(alternating.count(), 1 << 19);
        assert!(alternating.memory() < (1 << 20) / 8 + 4096, "{}", alternating.memory());
        let whole: Positions = (0..1 << 20).map(|at| at..at + 1).collect();
        assert_eq!((whole.count(), whole.ranges().count()), (1 << 20, 16));
        assert!(whole.memory() < 4096);
    }

    proptest! {
        #[test]
        fn a_set_holds_what_was_inserted(
            ranges in prop::collection::vec((0u64..200_000, 1u64..70_000), 0..12),
            scattered in prop::collection::vec((0u64..3, 1u64..4), 0..3),
        ) {
            let mut all: Vec<Range<u64>> =
                ranges.iter().map(|(start, length)| *start..start + length).collect();
            for (offset, step) in scattered {
                all.extend((offset..140_000).step_by(step as usize + 1).map(|at| at..at + 1));
            }
            let positions: Positions = all.iter().cloned().collect();
            let mut expected = vec![false; 300_000];
            for range in &all {
                expected[range.start as usize..range.end as usize].fill(true);
            }
            let count = expected.iter().filter(|is_in| **is_in).count() as u64;
            prop_assert_eq!(positions.count(), count);
            let mut found = vec![false; 300_000];
            let mut last = 0;
            for range in positions.ranges() {
                prop_assert!(last <= range.start && range.start < range.end);
                last = range.end;
                found[range.start as usize..range.end as usize].fill(true);
            }
            prop_assert!(found == expected);
            let (one, other) = all.split_at(all.len() / 2);
            let mut appended: Positions = one.iter().cloned().collect();
            appended.append(other.iter().cloned().collect());
            prop_assert!(appended.ranges().flatten().eq(positions.ranges().flatten()));
            let prefix = expected.iter().take_while(|is_in| **is_in).count() as u64;
            prop_assert_eq!(positions.prefix(), prefix);
            let window = 60_000..150_000;
            let within: u64 = positions.ranges_within(&window).map(|part| part.end - part.start).sum();
            let expected = expected[60_000..150_000].iter().filter(|is_in| **is_in).count() as u64;
            prop_assert_eq!(within, expected);
            let mut marks = vec![0; 90_000];
            positions.mark(window.start, &mut marks, 1);
            let marked: Positions = runs::of_marks(window.start, &marks).collect();
            let within: Positions = positions.ranges_within(&window).collect();
            prop_assert_eq!(marked, within);
        }
    }
}
