//! Which positions of a scan stand for the neighbours of some others, and how many that are at
//! most.
//!
//! Pure arithmetic on a full grid, whose positions are numbered with the fastest axis fastest.
//! Reading them is `engine::job`'s; which blocks they lie in is asked by `storage::tiles::shelf`.
//!
//! Where bins of positions are computed as one, what is asked for are numbers of bins, and what is
//! found are rows of the source: a bin begins at its first row, and has all of its rows as
//! neighbours.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use crate::bins::Bins;
use crate::region;
use pixelmill_core::neighbours::{ABSENT, Halo};
use pixelmill_core::positions::runs;

/// The neighbours that a kernel wants, on the scan that it is given.
#[derive(Clone, Debug)]
pub(crate) struct Neighbourhood {
    halo: Halo,
    /// Length of each axis of the scan as the source has it, slowest first.
    shape: Vec<u64>,
    /// The bins that are computed as one position each, if they are.
    bins: Option<Bins>,
    /// Steps to the furthest neighbour on each of them.
    reach: Vec<u64>,
    /// Lines along the fastest axis that hold the neighbours of a position, its own among them.
    lines: u64,
}

/// Some positions with their neighbours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Around {
    /// All of them, ascending, each once.
    pub positions: Vec<u64>,
    /// Which of them each of the positions is that were asked for.
    pub own: Vec<u32>,
    /// Which of them its neighbours are, position by position.
    pub places: Vec<u32>,
    /// The neighbours of all positions, offset by offset, [`NOBODY`] where there is none: memory
    /// that is kept.
    wanted: Vec<u64>,
}

/// Bytes of rows that are read for a unit of several lines at most: more than a processor's cache
/// would come from memory again and again.
const ROWS_BYTES: u64 = 64 << 20;

/// No position.
const NOBODY: u64 = u64::MAX;

impl Around {
    /// Bytes that the hash of a row takes.
    pub const HASH_BYTES: u64 = 16;

    /// Bytes that it takes for each position with so many neighbours.
    fn bytes(offsets: u64) -> u64 {
        offsets * (2 * size_of::<u64>() + size_of::<u32>()) as u64
    }
}

/// The most rows that positions in one run need with their neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MostRows {
    /// So many for each.
    pub each: u64,
    /// So many more, beside the run.
    pub beside: u64,
}

impl MostRows {
    /// Those of so many positions.
    pub fn of(self, positions: u64) -> u64 {
        self.each.saturating_mul(positions).saturating_add(self.beside)
    }
}

impl Neighbourhood {
    /// A halo on a scan of this shape.
    ///
    /// # Errors
    /// If the offsets have another number of axes, or there are none, or no bin fits in.
    pub fn new(halo: Halo, shape: Vec<u64>) -> Result<Self, String> {
        let offsets = halo.offsets();
        if offsets.is_empty() {
            return Err("it asks for neighbours, but names none".to_owned());
        }
        if let Some(other) = offsets.iter().find(|offset| offset.len() != shape.len()) {
            let (asked, axes) = (other.len(), shape.len());
            return Err(format!("it asks for neighbours on {asked} axes, but the scan has {axes}"));
        }
        let furthest = |axis: usize| offsets.iter().map(move |offset| offset[axis].unsigned_abs());
        let reach = (0..shape.len()).map(|axis| furthest(axis).max().unwrap_or(0)).collect();
        let slow = |offset: &Vec<i64>| offset[..shape.len().saturating_sub(1)].to_vec();
        let mut lines: BTreeSet<Vec<i64>> = offsets.iter().map(slow).collect();
        lines.insert(vec![0; shape.len().saturating_sub(1)]);
        let all = shape.iter().rev().skip(1).product::<u64>().max(1);
        let lines = all.min(lines.len() as u64);
        let bins = halo.steps_of_bins().map(|steps| Bins::new(steps, &shape)).transpose()?;
        Ok(Self { halo, shape, bins, reach, lines })
    }

    /// The bins that are computed as one position each, if they are.
    pub fn bins(&self) -> Option<&Bins> {
        self.bins.as_ref()
    }

    /// The rows that some positions begin at, which are their own where these aren't bins.
    fn first_rows<'p>(&self, positions: &'p [u64]) -> Cow<'p, [u64]> {
        match &self.bins {
            None => Cow::Borrowed(positions),
            Some(bins) => positions.iter().map(|bin| bins.first_row(*bin)).collect(),
        }
    }

    /// What is asked for.
    pub fn halo(&self) -> &Halo {
        &self.halo
    }

    /// The most rows that positions in a run need: one of each line and what lies beside them, or
    /// all that there are.
    pub fn most_rows(&self) -> MostRows {
        if let Some(bins) = &self.bins {
            return MostRows { each: bins.rows_of_each(), beside: 0 };
        }
        let (Some(reach), Some(length)) = (self.reach.last(), self.shape.last()) else {
            return MostRows { each: 1, beside: 0 };
        };
        let beside = self.lines.saturating_mul(2 * reach.min(length));
        let most = MostRows { each: self.lines, beside };
        let all = self.shape.iter().product();
        if most.of(1) < all { most } else { MostRows { each: 0, beside: all } }
    }

    /// Positions of a unit that are worth reading what lies around them, where a row takes so many
    /// bytes: some lines need hardly more rows than one.
    pub fn worthwhile(&self, row_bytes: u64) -> u64 {
        if self.bins.is_some() {
            return 1;
        }
        let most = self.most_rows();
        let on_a_line = 4 * most.beside / most.each.max(1);
        let length = self.shape.last().copied().unwrap_or(1);
        let rows = (self.lines + self.lines / 2).saturating_mul(length);
        let lines = if rows.saturating_mul(row_bytes) <= ROWS_BYTES { self.lines / 2 } else { 0 };
        on_a_line.max(lines * length).max(1)
    }

    /// Bytes that finding the neighbours takes for each position.
    pub fn table_bytes(&self) -> u64 {
        Around::bytes(self.halo.offsets().len() as u64)
    }

    /// Steps to the furthest neighbour on each axis of an array that has the same positions, in as
    /// many axes as the scan or in one.
    pub fn reach_on(&self, axes: usize) -> Vec<u64> {
        if axes == self.shape.len() {
            return self.reach.clone();
        }
        let apart = region::strides(&self.shape, 1);
        let all = self.reach.iter().zip(apart).map(|(reach, apart)| reach * apart as u64);
        vec![all.sum()]
    }

    /// Steps on each of these axes behind which no bin is cut, if bins are computed.
    pub fn whole_bins_on(&self, axes: usize) -> Option<Vec<u64>> {
        let steps = self.bins.as_ref()?.steps();
        if axes == self.shape.len() {
            return Some(steps.to_vec());
        }
        let apart = region::strides(&self.shape, 1);
        // Those of the slowest axis, with all that is faster.
        let whole = steps.first().zip(apart.first()).map(|(steps, apart)| steps * *apart as u64);
        Some(vec![whole.unwrap_or(1)])
    }

    /// Finds the neighbours of some positions.
    pub fn around(&self, positions: &[u64], around: &mut Around) {
        let Around { positions: all, own, places, wanted } = around;
        let positions = &*self.first_rows(positions);
        self.find(positions, wanted);
        all.clear();
        all.reserve_exact(positions.len() + wanted.len());
        let there = wanted.iter().copied().filter(|wanted| *wanted != NOBODY);
        all.extend(positions.iter().copied().chain(there));
        all.sort_unstable();
        all.dedup();
        let mut finder = Finder { all, at: 0 };
        own.clear();
        own.extend(positions.iter().map(|position| finder.place(*position)));
        places.clear();
        places.resize(wanted.len(), ABSENT);
        let offsets = self.halo.offsets().len();
        for (offset, of_offset) in wanted.chunks_exact(positions.len().max(1)).enumerate() {
            for (index, neighbour) in of_offset.iter().enumerate() {
                if *neighbour != NOBODY {
                    places[index * offsets + offset] = finder.place(*neighbour);
                }
            }
        }
    }

    /// The neighbours of some positions, offset by offset.
    fn find(&self, positions: &[u64], wanted: &mut Vec<u64>) {
        let axes = self.shape.len();
        let steps: Vec<u64> =
            positions.iter().flat_map(|position| region::steps(&self.shape, *position)).collect();
        wanted.clear();
        wanted.reserve_exact(positions.len() * self.halo.offsets().len());
        for offset in self.halo.offsets() {
            let neighbour = |steps: &[u64]| {
                let each = steps.iter().zip(offset).zip(&self.shape);
                each.into_iter().try_fold(0, |number, ((step, offset), length)| {
                    let there = self.halo.edges().step(*step as i64 + offset, *length)?;
                    Some(number * length + there)
                })
            };
            if axes == 0 {
                wanted.extend(positions.iter().map(|_| 0));
            } else {
                let found = steps.chunks_exact(axes).map(neighbour);
                wanted.extend(found.map(|number| number.unwrap_or(NOBODY)));
            }
        }
    }

    /// Cuts some runs into parts that need no more rows than `unit` positions in one run do, or are
    /// a single position. `around` is memory for finding out.
    pub fn cut(
        &self,
        positions: &[Range<u64>],
        unit: u64,
        around: &mut Around,
    ) -> Vec<Vec<Range<u64>>> {
        let most = self.most_rows();
        let bound = positions.iter().map(|run| most.of(run.end - run.start)).sum::<u64>();
        let count = runs::count(positions);
        let fits = bound <= most.of(unit) || self.rows_of(positions, around) <= most.of(unit);
        if count <= 1 || fits {
            return vec![positions.to_vec()];
        }
        let mut left = positions.iter().cloned().collect();
        let first = runs::take(&mut left, count / 2);
        let second: Vec<_> = left.into_iter().collect();
        [self.cut(&first, unit, around), self.cut(&second, unit, around)].concat()
    }

    fn rows_of(&self, positions: &[Range<u64>], around: &mut Around) -> u64 {
        let positions: Vec<u64> = positions.iter().flat_map(Clone::clone).collect();
        self.around(&positions, around);
        around.positions.len() as u64
    }

    /// All positions within reach of some runs, whatever stands for those beyond the edges: what
    /// does lies within reach as well. Where bins are computed, the rows at which those begin that
    /// have any of these rows.
    pub fn within_reach(&self, positions: &[Range<u64>]) -> Vec<Range<u64>> {
        let lines = positions.iter().flat_map(|run| region::lines(run.clone(), &self.shape));
        let mut found: Vec<Range<u64>> = lines
            .flat_map(|line| match &self.bins {
                Some(bins) => bins.begins(line),
                None => self.box_around(line.start, line.end - line.start).runs(&self.shape),
            })
            .collect();
        found.sort_by_key(|run| run.start);
        let mut joined: Vec<Range<u64>> = Vec::new();
        for run in found {
            match joined.last_mut() {
                Some(last) if run.start <= last.end => last.end = last.end.max(run.end),
                _ => joined.push(run),
            }
        }
        joined
    }

    /// The box around some positions that follow each other on the fastest axis.
    fn box_around(&self, first: u64, count: u64) -> region::Region {
        let steps = region::steps(&self.shape, first);
        let fastest = steps.len().saturating_sub(1);
        let axes = steps.iter().zip(self.reach.iter().zip(&self.shape)).enumerate();
        axes.map(|(axis, (step, (reach, length)))| {
            let own = if axis == fastest { count } else { 1 };
            step.saturating_sub(*reach)..(step + own + reach).min(*length)
        })
        .collect()
    }
}

/// Finds positions among others, quickly if they ascend.
struct Finder<'a> {
    all: &'a [u64],
    at: usize,
}

impl Finder<'_> {
    fn place(&mut self, position: u64) -> u32 {
        let next = self.at + 1;
        if self.all.get(next) == Some(&position) {
            self.at = next;
        } else if self.all.get(self.at) != Some(&position) {
            self.at = self.all.partition_point(|other| *other < position);
        }
        self.at as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pixelmill_core::neighbours::Edges;
    use proptest::prelude::*;

    fn neighbourhood(shape: &[u64], reach: i64, edges: Edges) -> Neighbourhood {
        let window = Halo::window(&vec![-reach..=reach; shape.len()], edges);
        Neighbourhood::new(window, shape.to_vec()).unwrap()
    }

    fn around(of: &Neighbourhood, positions: &[u64]) -> Around {
        let mut around = Around::default();
        of.around(positions, &mut around);
        around
    }

    #[test]
    fn neighbours_beyond_an_edge_are_those_that_stand_for_them() {
        let numbers = |edges| {
            let found = around(&neighbourhood(&[3, 4], 1, edges), &[0, 11]);
            let number = |place: &u32| found.positions.get(*place as usize).copied();
            found.places.iter().map(number).collect::<Vec<_>>()
        };
        let some = |list: [u64; 18]| list.map(Some).to_vec();
        let mirrored = some([0, 0, 1, 0, 0, 1, 4, 4, 5, 6, 7, 7, 10, 11, 11, 10, 11, 11]);
        assert_eq!(numbers(Edges::Reflect), mirrored);
        assert_eq!(numbers(Edges::Nearest), mirrored, "they differ two steps away");
        let missing = numbers(Edges::Missing);
        assert_eq!(missing[..6], [None, None, None, None, Some(0), Some(1)]);
        assert_eq!(missing.iter().flatten().count(), 8);
    }

    #[test]
    fn offsets_have_to_be_those_of_the_scan() {
        let on = |offsets: Vec<Vec<i64>>| {
            Neighbourhood::new(Halo::new(offsets, Edges::Reflect), vec![4, 5]).unwrap_err()
        };
        assert!(on(vec![vec![0, 1], vec![1]]).contains("on 1 axes, but the scan has 2"));
        assert!(on(Vec::new()).contains("names none"));
    }

    fn scans() -> impl Strategy<Value = (Vec<u64>, i64, Edges)> {
        let edges = prop::sample::select(vec![Edges::Reflect, Edges::Nearest, Edges::Missing]);
        (prop::collection::vec(1u64..9, 1..4), 0i64..4, edges)
    }

    proptest! {
        #[test]
        fn every_position_has_its_neighbours_whatever_is_asked_with_it(
            (shape, reach, edges) in scans(), seed in any::<u64>(),
        ) {
            let of = neighbourhood(&shape, reach, edges);
            let count: u64 = shape.iter().product();
            let asked: Vec<u64> = (0..count).filter(|at| seed.rotate_left(*at as u32 % 64) & 1 == 1).collect();
            let found = around(&of, &asked);
            prop_assert!(found.positions.windows(2).all(|pair| pair[0] < pair[1]));
            let offsets = of.halo().offsets();
            let runs: Vec<_> = asked.iter().map(|at| *at..at + 1).collect();
            let within = of.within_reach(&runs);
            prop_assert!(found.positions.iter().all(|at| within.iter().any(|run| run.contains(at))));
            for (index, position) in asked.iter().enumerate() {
                prop_assert_eq!(found.positions[found.own[index] as usize], *position);
                let steps = region::steps(&shape, *position);
                for (number, offset) in offsets.iter().enumerate() {
                    let there: Option<Vec<u64>> = steps.iter().zip(offset).zip(&shape)
                        .map(|((step, offset), length)| edges.step(*step as i64 + offset, *length))
                        .collect();
                    let place = found.places[index * offsets.len() + number];
                    let expected = there.map(|there| region::number(&shape, &there));
                    prop_assert_eq!(found.positions.get(place as usize).copied(), expected);
                }
            }
        }

        #[test]
        fn parts_need_no_more_rows_than_a_run_of_a_unit(
            (shape, reach, edges) in scans(), seed in any::<u64>(), unit in 1u64..40,
        ) {
            let (of, mut around) = (neighbourhood(&shape, reach, edges), Around::default());
            let count: u64 = shape.iter().product();
            for first in [0, count / 3, count - unit.min(count)] {
                let run = first..count.min(first + unit);
                let rows = of.rows_of(std::slice::from_ref(&run), &mut around);
                prop_assert!(rows <= of.most_rows().of(unit), "{rows} rows of {run:?}");
            }
            let scattered: Vec<u64> = (0..count).filter(|at| seed.rotate_left(*at as u32 % 64) & 1 == 1).collect();
            let asked: Vec<_> = scattered.iter().map(|at| *at..at + 1).collect();
            let parts = of.cut(&asked, unit, &mut around);
            prop_assert_eq!(parts.concat(), asked);
            for part in parts {
                let rows = of.rows_of(&part, &mut around);
                prop_assert!(rows <= of.most_rows().of(unit));
            }
        }

        #[test]
        fn what_an_array_of_one_axis_reaches_is_within_reach((shape, reach, edges) in scans(), seed in any::<u64>()) {
            let of = neighbourhood(&shape, reach, edges);
            let position = seed % shape.iter().product::<u64>();
            let within = of.within_reach(std::slice::from_ref(&(position..position + 1)));
            let furthest = of.reach_on(shape.len() + 1)[0];
            prop_assert!(within.iter().all(|run| run.start + furthest >= position && run.end <= position + furthest + 1));
        }
    }
}
