//! How a scan is cut for a fold: into units, these into groups of positions that are read one after
//! the other, and the points of a group into parts.
//!
//! It follows from the dataset's shape and chunks and the constants here, and from nothing else:
//! another cut gives other bits. So whoever changes anything here raises [`VERSION`]. Pure
//! arithmetic; nothing is read.

use std::ops::Range;

use crate::region::Region;
use crate::view::Blocks;

/// Of the rules in this file; checkpoints of another one are of no use.
pub(super) const VERSION: u32 = 1;

/// Spectra of a unit, at least: what is folded of a unit is as much to merge as a spectrum or two
/// are to fold.
const UNIT_SPECTRA: u64 = 128;
/// Bytes of a unit, at least.
const UNIT_BYTES: u64 = 1 << 20;
/// Bytes that are read at a time, where chunks don't say otherwise.
const GROUP_BYTES: u64 = 1 << 20;
/// Rows longer than this are read part by part.
const LONG_ROW: u64 = 256 << 10;
/// Bytes of a part of a row.
const PART_BYTES: u64 = 64 << 10;
/// Values of a tile at most: in double precision a megabyte.
pub(super) const TILE_VALUES: usize = 128 << 10;

/// A scan as units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Consecutive positions.
    Rows {
        positions: u64,
        /// Positions of a unit and of a group.
        unit: u64,
        group: u64,
        /// Bytes of a row, and of its parts.
        row: u64,
        part: u64,
    },
    /// Positions that share tiles.
    Cells {
        scan: Vec<u64>,
        units: Blocks,
        /// Steps of a group on each axis of the scan.
        cell: Vec<u64>,
    },
}

/// Positions of a unit that are read one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// Ranges of consecutive ones.
    pub runs: Vec<Range<u64>>,
    /// Their steps on the axes of the scan, if they share tiles.
    pub cell: Option<Region>,
}

/// What a fold needs of a spectrum at a time, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Needs {
    Parts,
    Rows,
    Units,
}

impl Cut {
    /// Of rows of so many bytes that lie one behind the other, whose values have `element` bytes.
    pub fn rows(positions: u64, (row, element): (u64, u64), needs: Needs) -> Self {
        let row = row.max(1);
        let unit = UNIT_SPECTRA.max(power_of_two(UNIT_BYTES / row));
        let is_long = row > LONG_ROW && needs == Needs::Parts;
        let part = if is_long { PART_BYTES / element * element } else { row };
        let group = match needs {
            Needs::Units => unit,
            _ => power_of_two(GROUP_BYTES / part).clamp(1, unit),
        };
        Self::Rows { positions, unit, group, row, part }
    }

    /// Of positions in tiles of `cell` steps, whose rows have so many bytes.
    pub fn cells(scan: &[u64], cell: &[u64], row: u64, needs: Needs) -> Self {
        let mut segments = cell.to_vec();
        let wanted = UNIT_SPECTRA.max(UNIT_BYTES / row.max(1));
        let mut there: u64 = cell.iter().zip(scan).map(|(cell, all)| cell.min(all)).product();
        // Along the fastest axis as far as it goes, then along the next.
        for (segment, all) in segments.iter_mut().zip(scan).rev() {
            let most = all.div_ceil(*segment).max(1);
            let times = wanted.div_ceil(there.max(1)).clamp(1, most);
            *segment *= times;
            there *= times;
            if times < most {
                break;
            }
        }
        let units = Blocks::new(scan, cell, &segments);
        let cell = if needs == Needs::Units { segments } else { cell.to_vec() };
        Self::Cells { scan: scan.to_vec(), units, cell }
    }

    /// Makes groups so large that each of another cut of the same scan lies in one.
    pub fn widen(&mut self, other: &Self) {
        if let (Self::Rows { group, .. }, Self::Rows { group: of_other, .. }) = (self, other) {
            *group = (*group).max(*of_other);
        }
    }

    /// How many units there are.
    pub fn count(&self) -> u64 {
        match self {
            Self::Rows { positions, unit, .. } => positions.div_ceil(*unit),
            Self::Cells { units, .. } => units.count(),
        }
    }

    /// The positions of a unit: ascending runs.
    pub fn runs(&self, number: u64) -> Vec<Range<u64>> {
        match self {
            Self::Rows { positions, unit, .. } => {
                let start = number * unit;
                std::iter::once(start..(*positions).min(start + unit)).collect()
            }
            Self::Cells { scan, units, .. } => units.region(number).runs(scan),
        }
    }

    /// The number of the unit that holds a position.
    pub fn holding(&self, position: u64) -> u64 {
        match self {
            Self::Rows { unit, .. } => position / unit,
            Self::Cells { units, .. } => units.holding(position),
        }
    }

    /// The groups of a unit, in their order.
    pub fn groups(&self, number: u64) -> Vec<Group> {
        match self {
            Self::Rows { positions, unit, group, .. } => {
                let end = (*positions).min((number + 1) * unit);
                let starts = (number * unit..end).step_by(*group as usize);
                let group = |start: u64| Group {
                    runs: std::iter::once(start..end.min(start + group)).collect(),
                    cell: None,
                };
                starts.map(group).collect()
            }
            Self::Cells { scan, units, cell } => {
                let all = units.region(number);
                let cells = all.tiles(cell);
                let group = |place: Vec<u64>| {
                    let own = Region::of_tile(&place, cell).intersection(&all)?;
                    Some(Group { runs: own.runs(scan), cell: Some(own) })
                };
                cells.places().filter_map(group).collect()
            }
        }
    }

    /// Most positions of a unit, and of a group.
    pub fn most(&self) -> (u64, u64) {
        match self {
            Self::Rows { positions, unit, group, .. } => {
                ((*unit).min(*positions), (*group).min(*positions))
            }
            Self::Cells { scan, units, cell } => {
                let cell = cell.iter().zip(scan).map(|(cell, all)| cell.min(all)).product();
                (units.region(0).count(), cell)
            }
        }
    }

    /// It in words that tell it from others.
    pub fn described(&self) -> String {
        match self {
            Self::Rows { positions, unit, group, row, part } => {
                format!("{VERSION} rows {positions} {unit} {group} {row} {part}")
            }
            Self::Cells { scan, units, cell } => {
                format!("{VERSION} cells {scan:?} {cell:?} {:?}", units.region(0).shape)
            }
        }
    }
}

/// The largest power of two that isn't larger.
fn power_of_two(number: u64) -> u64 {
    if number == 0 { 1 } else { 1 << number.ilog2() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every position is in one group of one unit, in the unit that says that it holds it.
    fn check(cut: &Cut, positions: u64) {
        let mut seen = vec![0; positions as usize];
        for unit in 0..cut.count() {
            let runs: Vec<u64> = cut.runs(unit).into_iter().flatten().collect();
            let groups = cut.groups(unit);
            let mut of_groups: Vec<u64> =
                groups.iter().flat_map(|group| group.runs.clone()).flatten().collect();
            let (most_of_unit, most_of_group) = cut.most();
            assert!(runs.len() as u64 <= most_of_unit);
            for group in &groups {
                let count: u64 = group.runs.iter().map(|run| run.end - run.start).sum();
                assert!(count <= most_of_group && count > 0);
            }
            of_groups.sort_unstable();
            assert_eq!(runs, of_groups);
            for position in runs {
                assert_eq!(cut.holding(position), unit);
                seen[position as usize] += 1;
            }
        }
        assert!(seen.iter().all(|times| *times == 1));
    }

    proptest! {
        #[test]
        fn every_position_is_folded_once(
            positions in 1u64..5000,
            row in 1u64..3_000_000,
            axes in prop::collection::vec((1u64..40, 1u64..40), 1..4),
        ) {
            for needs in [Needs::Parts, Needs::Rows, Needs::Units] {
                check(&Cut::rows(positions, (row * 2, 2), needs), positions);
                let scan: Vec<u64> = axes.iter().map(|axis| axis.0).collect();
                let cell: Vec<u64> = axes.iter().map(|axis| axis.1).collect();
                check(&Cut::cells(&scan, &cell, row, needs), scan.iter().product());
            }
        }
    }

    #[test]
    fn what_several_read_together_has_the_groups_of_each() {
        let firsts = |cut: &Cut| -> Vec<u64> {
            let groups = (0..cut.count()).flat_map(|unit| cut.groups(unit));
            groups.map(|group| group.runs[0].start).collect()
        };
        let all = [Needs::Parts, Needs::Rows, Needs::Units];
        for (row, scan) in [(1024u64, [9u64, 400]), (512 << 10, [3, 100]), (15 << 20, [2, 70])] {
            let positions = scan.iter().product();
            let rows = |needs| Cut::rows(positions, (row, 2), needs);
            let cells = |needs| Cut::cells(&scan, &[2, 16], row, needs);
            for cut in [&rows as &dyn Fn(Needs) -> Cut, &cells] {
                for (one, other) in all.iter().flat_map(|one| all.map(|other| (*one, other))) {
                    let mut together = cut(one.max(other));
                    together.widen(&cut(one));
                    together.widen(&cut(other));
                    check(&together, positions);
                    let own = firsts(&cut(one));
                    assert!(firsts(&together).iter().all(|first| own.contains(first)));
                    assert_eq!(together.count(), cut(one).count());
                }
            }
        }
    }

    #[test]
    fn units_have_many_spectra_and_follow_from_the_data() {
        let frames = Cut::rows(4096, (128 << 10, 2), Needs::Parts);
        assert_eq!((frames.count(), frames.most()), (32, (128, 8)));
        let short = Cut::rows(1 << 30, (1024, 4), Needs::Parts);
        assert_eq!((short.count(), short.most()), (1 << 20, (1024, 1024)));
        let huge = Cut::rows(100, (15 << 20, 2), Needs::Parts);
        assert_eq!((huge.count(), huge.most()), (1, (100, 16)));
        assert_eq!(Cut::rows(100, (15 << 20, 2), Needs::Rows).most(), (100, 1));
        let cubes = Cut::cells(&[64, 64], &[32, 32], 128 << 10, Needs::Parts);
        assert_eq!((cubes.count(), cubes.most()), (4, (1024, 1024)));
        let single = Cut::cells(&[64, 64], &[1, 1], 128 << 10, Needs::Parts);
        assert_eq!((single.count(), single.most()), (32, (128, 1)));
    }
}
