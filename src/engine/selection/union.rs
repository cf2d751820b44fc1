//! What many ranges and boxes of steps select together.
//!
//! Each costs what it selects, and no more: ranges without gaps are kept as such, all others are
//! marked window by window, where a mark is a byte in the processor's cache.

use std::ops::Range;

use super::Lattice;
use crate::region::{self, Region};
use crate::storage::marks::windows;
use pixelmill_core::positions::{Positions, runs};

/// Ranges and boxes of the positions of a scan.
#[derive(Default)]
pub(super) struct Union {
    positions: Positions,
    boxes: Vec<Lines>,
}

impl Union {
    /// Adds those of a range that are so far from each other.
    pub fn add_every(&mut self, range: Range<u64>, step: u64) {
        if step == 1 {
            return self.positions.insert(range);
        }
        let whole = vec![range.end];
        let region: Region = std::iter::once(range).collect();
        self.boxes.push(Lines { lattice: Lattice { region, strides: vec![step] }, shape: whole });
    }

    /// Adds a box of a full grid of this shape.
    pub fn add_box(&mut self, lattice: Lattice, shape: &[u64]) {
        self.boxes.push(Lines { lattice, shape: shape.to_vec() });
    }

    /// Adds a single position.
    pub fn add(&mut self, position: u64) {
        self.positions.insert(position..position + 1);
    }

    /// All that were added, of so many.
    pub fn into_positions(self, count: u64) -> Positions {
        let Self { mut positions, mut boxes } = self;
        boxes.sort_by_key(|lines| lines.begin(0));
        let (mut coming, mut open) = (boxes.iter().peekable(), Vec::new());
        for window in windows(count) {
            while let Some(lines) = coming.next_if(|lines| lines.begin(0) < window.end) {
                open.push(lines);
            }
            open.retain(|lines| lines.end(lines.count() - 1) > window.start);
            if open.is_empty() {
                continue;
            }
            let mut marks = vec![0; (window.end - window.start) as usize];
            open.iter().for_each(|lines| lines.mark(window.start, &mut marks));
            runs::of_marks(window.start, &marks).for_each(|run| positions.insert(run));
        }
        positions
    }
}

/// A box of steps as lines along the fastest axis of a grid, numbered in the order of positions.
struct Lines {
    lattice: Lattice,
    /// That of the grid.
    shape: Vec<u64>,
}

impl Lines {
    /// How many lines there are.
    fn count(&self) -> u64 {
        self.lattice.lines().iter().product()
    }

    /// The first position of a line.
    fn begin(&self, line: u64) -> u64 {
        region::number(&self.shape, &self.lattice.line(line))
    }

    /// What lies behind a line.
    fn end(&self, line: u64) -> u64 {
        self.begin(line) + self.lattice.fastest().0
    }

    /// Marks the positions that are meant, of those from `first` on.
    fn mark(&self, first: u64, marks: &mut [u8]) {
        let behind = first + marks.len() as u64;
        let (mut low, mut high) = (0, self.count());
        while low < high {
            let middle = low.midpoint(high);
            if self.end(middle) > first { high = middle } else { low = middle + 1 }
        }
        let (_, stride) = self.lattice.fastest();
        for line in low..self.count() {
            let (begin, end) = (self.begin(line), self.end(line).min(behind));
            if begin >= behind {
                break;
            }
            let before = first.saturating_sub(begin).next_multiple_of(stride);
            let begin = begin.saturating_add(before);
            let meant = (begin..end).step_by(stride as usize);
            meant.for_each(|position| marks[(position - first) as usize] = 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_union_is_that_of_its_parts_position_by_position() {
        let shape = [300u64, 5, 211];
        let count: u64 = shape.iter().product();
        let lattice = |ranges: [Range<u64>; 3], strides: [u64; 3]| Lattice {
            region: ranges.into_iter().collect(),
            strides: strides.to_vec(),
        };
        let boxes = [
            lattice([17..290, 1..5, 3..200], [7, 3, 10]),
            lattice([0..300, 0..5, 210..211], [1, 4, 1]),
            lattice([299..300, 2..3, 0..211], [1, 1, 2]),
            lattice([4..5, 0..1, 9..10], [1, 1, 1]),
        ];
        let every =
            [(5..count, 70_001), (65_536..65_540, 1), (65_000..66_000, 3), (9..10, 1 << 60)];
        let mut union = Union::default();
        boxes.iter().for_each(|lattice| union.add_box(lattice.clone(), &shape));
        every.iter().cloned().for_each(|(range, step)| union.add_every(range, step));
        union.add(count - 1);
        let found = union.into_positions(count);
        let mut marks = vec![0; count as usize];
        found.mark(0, &mut marks, 1);
        for position in 0..count {
            let steps = region::steps(&shape, position);
            let in_range = |(range, step): &(Range<u64>, u64)| {
                range.contains(&position) && (position - range.start).is_multiple_of(*step)
            };
            let expected = position == count - 1
                || boxes.iter().any(|lattice| lattice.contains(steps.iter().copied()))
                || every.iter().any(in_range);
            assert_eq!(marks[position as usize] == 1, expected, "{position}");
        }
    }

    #[test]
    fn many_lines_that_select_all_are_marked_at_once() {
        let count = 1 << 20;
        let mut union = Union::default();
        for _ in 0..300 {
            union.add_every(0..count, 1);
            union.add_every(0..count, 1 << 19);
            let few = Lattice { region: [3..5, 0..2].into_iter().collect(), strides: vec![1, 1] };
            union.add_box(few, &[1 << 19, 2]);
        }
        assert_eq!(union.into_positions(count).count(), count);
    }
}
