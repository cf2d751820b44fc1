//! Runs, the ranges of consecutive positions: as lists, ascending and disjoint. Of a set that may
//! be large see [`Positions`](super::Positions).

use std::collections::VecDeque;
use std::ops::Range;

/// How many positions some runs hold.
pub fn count(runs: &[Range<u64>]) -> u64 {
    runs.iter().map(|run| run.end - run.start).sum()
}

/// The parts of some runs that lie within `range`.
pub fn within(runs: &[Range<u64>], range: &Range<u64>) -> Vec<Range<u64>> {
    let first = runs.partition_point(|run| run.end <= range.start);
    let reached = runs[first..].iter().take_while(|run| run.start < range.end);
    reached.map(|run| run.start.max(range.start)..run.end.min(range.end)).collect()
}

/// Takes up to `most` positions from the front.
pub fn take(runs: &mut VecDeque<Range<u64>>, most: u64) -> Vec<Range<u64>> {
    let mut taken = Vec::new();
    let mut left = most;
    while left > 0
        && let Some(run) = runs.front_mut()
    {
        let length = left.min(run.end - run.start);
        taken.push(run.start..run.start + length);
        run.start += length;
        left -= length;
        if run.is_empty() {
            runs.pop_front();
        }
    }
    taken
}

/// Gives each position of some runs its `mark`, in marks of which the first is that of position
/// `first`.
pub fn mark(runs: impl IntoIterator<Item = Range<u64>>, first: u64, marks: &mut [u8], mark: u8) {
    for run in runs {
        marks[(run.start - first) as usize..(run.end - first) as usize].fill(mark);
    }
}

/// The runs of marks other than 0, the first of which is that of position `first`.
pub fn of_marks(first: u64, marks: &[u8]) -> impl Iterator<Item = Range<u64>> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + marks[at..].iter().position(|mark| *mark != 0)?;
        let length = marks[start..].iter().position(|mark| *mark == 0);
        at = length.map_or(marks.len(), |length| start + length);
        Some(first + start as u64..first + at as u64)
    })
}

/// The runs of some positions, ascending ones.
pub fn of_positions(positions: &[u64]) -> impl Iterator<Item = Range<u64>> + '_ {
    let follow = positions.chunk_by(|one, other| one + 1 == *other);
    follow.filter_map(|run| Some(*run.first()?..run.last()? + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_come_in_runs() {
        let found = |marks: &[u8]| of_marks(10, marks).collect::<Vec<_>>();
        assert_eq!(found(&[0, 1, 1, 0, 9, 0, 1]), [11..13, 14..15, 16..17]);
        assert_eq!(found(&[1, 1]), std::iter::once(10..12).collect::<Vec<_>>());
        assert!(found(&[0, 0]).is_empty() && found(&[]).is_empty());
    }

    #[test]
    fn positions_come_in_runs() {
        let found: Vec<_> = of_positions(&[3, 4, 7, 9, 10, 11]).collect();
        assert_eq!(found, [3..5, 7..8, 9..12]);
        assert_eq!(of_positions(&[]).count(), 0);
    }

    #[test]
    fn runs_are_taken_from_the_front_and_cut() {
        let mut left: VecDeque<_> = [3..5, 7..8, 10..20].into();
        assert_eq!(take(&mut left, 5), [3..5, 7..8, 10..12]);
        assert_eq!((left.len(), left.front()), (1, Some(&(12..20))));
        assert_eq!(count(&take(&mut left, 100)), 8);
        assert!(left.is_empty());
    }

    #[test]
    fn what_lies_within_a_range_is_found() {
        let runs = [3..5, 7..8, 10..20];
        assert_eq!(within(&runs, &(4..12)), [4..5, 7..8, 10..12]);
        assert!(within(&runs, &(5..7)).is_empty() && within(&runs, &(20..30)).is_empty());
    }
}
