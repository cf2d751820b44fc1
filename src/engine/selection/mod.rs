//! Which positions of a scan to compute.
//!
//! [`Selection`] is what somebody asks for, `Selected` what it is of a scan, told window by window.

mod from_files;
mod random;
mod union;
mod written;

use std::ops::Range;
use std::path::PathBuf;

use self::union::Union;
use crate::identity::SelectionIdentity;
use crate::position_grid::PositionGrid;
use crate::region::{self, Region};
use crate::storage::file::ReadFile;
use crate::storage::marks::{Marks, windows};
use pixelmill_core::error::{Error, Result};
use pixelmill_core::inputs::InputPath;
use pixelmill_core::positions::{Positions, runs};

/// A part of the positions, as it is written on a command line.
///
/// | written | means |
/// | --- | --- |
/// | `100:200`, `7`, `0:4096:10` | positions by number, here every tenth |
/// | `0:10,5:20`, `0:30:3,0:40:2` | for each axis of the scan, the slowest first, a range |
/// | `3,7` | on a scan with two axes row 3, column 7: as many numbers as axes are one of each |
/// | `1,5,9` | on a scan with any other number of axes the positions 1, 5 and 9 |
/// | `[5,9]`, `[0:10,50:60:2,77]` | positions by number, whatever the axes |
/// | `random:100`, `random:100:7` | so many by chance, of seed 0 or 7 |
/// | `/mask`, `mask.npy`, `other.h5:/mask` | where a mask isn't 0 |
/// | `@file.txt` | the positions in the lines of a file |
///
/// A bound that is left out is the end of the axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Positions by number.
    Positions(OpenRange),
    /// Steps of every axis of the scan, slowest first.
    Steps(Vec<OpenRange>),
    /// As many as the scan has axes are the steps of one position, slowest axis first; otherwise
    /// they are numbers of positions.
    Numbers(Vec<u64>),
    /// Several ranges of positions by number.
    Several(Vec<OpenRange>),
    /// So many positions by chance: the same ones on every machine, and with more of the same seed
    /// all of fewer.
    Random {
        /// How many.
        count: u64,
        /// What they depend on besides the number of positions.
        seed: u64,
    },
    /// Path of a dataset of the source's file with one value per position, of which those that
    /// aren't 0 are selected.
    Dataset(String),
    /// The same of another file, or an array of NumPy's: in the shape of the scan or in a row.
    Mask(InputPath),
    /// A text file: in each line a position, a range of them, or for each axis a step or a range;
    /// what follows `#` is a comment.
    Listed(PathBuf),
}

/// A range whose ends may be open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenRange {
    /// The first, 0 if left out.
    pub start: Option<u64>,
    /// The first not included, the end if left out.
    pub end: Option<u64>,
    /// How far each is from the one before, 1 if left out.
    pub step: Option<u64>,
}

impl OpenRange {
    /// The range of one number.
    pub(crate) fn single(number: u64) -> Self {
        // No scan has the last number that there is; it is outside of any, as it stands.
        Self { start: Some(number), end: Some(number.saturating_add(1)), step: None }
    }

    fn within(self, length: u64) -> Option<Range<u64>> {
        let range = self.start.unwrap_or(0)..self.end.unwrap_or(length);
        (range.start < range.end && range.end <= length).then_some(range)
    }
}

impl Selection {
    /// Whether it names another file than the source's, which is open.
    pub(crate) fn is_in_another_file(&self, file: &ReadFile) -> bool {
        match self {
            Self::Mask(InputPath::Here(_)) => false,
            Self::Mask(_) | Self::Listed(_) => true,
            Self::Dataset(path) => from_files::elsewhere(path, file).is_some(),
            _ => false,
        }
    }

    /// Which positions of a scan are selected.
    ///
    /// # Errors
    /// If the selection reaches outside of the scan, is empty, or what is in files isn't a
    /// selection of it.
    pub(crate) fn selected(&self, grid: &PositionGrid, file: &ReadFile) -> Result<Selected> {
        let selected = match self {
            Self::Positions(bounds) => range_within(*bounds, grid)?,
            Self::Steps(bounds) => Selected::Steps(steps_within(bounds, grid)?),
            Self::Numbers(numbers) => {
                let bounds: Vec<OpenRange> =
                    numbers.iter().map(|number| OpenRange::single(*number)).collect();
                if numbers.len() == grid.shape().len() {
                    Selected::Steps(steps_within(&bounds, grid)?)
                } else {
                    Selected::Set(all_within(&bounds, grid)?)
                }
            }
            Self::Several(bounds) => Selected::Set(all_within(bounds, grid)?),
            Self::Random { count, seed } => by_chance(*count, *seed, grid)?,
            Self::Dataset(path) => from_files::dataset(path, grid, file)?,
            Self::Mask(named) => from_files::mask(named, grid, file)?,
            Self::Listed(path) => Selected::Set(from_files::listed(path, grid)?),
        };
        if selected.is_empty(grid)? {
            return Err(Error::selection(format!("`{self}` selects none")));
        }
        Ok(selected)
    }
}

/// The positions of a scan that are selected, told window by window.
pub(crate) enum Selected {
    Range(Range<u64>),
    /// Those of a range that are so far from each other.
    Every(Range<u64>, u64),
    /// Steps of every axis of the scan, slowest first.
    Steps(Lattice),
    /// Those that have a mark.
    Marked(Box<Marks>),
    Set(Positions),
}

/// Steps of every axis of a scan, slowest first: a box of them, and how far those that are meant
/// are from each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lattice {
    region: Region,
    strides: Vec<u64>,
}

impl Lattice {
    fn contains(&self, steps: impl IntoIterator<Item = u64>) -> bool {
        let axes = self.region.start.iter().zip(&self.region.shape).zip(&self.strides);
        steps.into_iter().zip(axes).all(|(step, ((start, length), stride))| {
            step.checked_sub(*start).is_some_and(|within| within < *length && within % stride == 0)
        })
    }

    /// How many steps are meant on each axis but the last: those at which it has a line.
    fn lines(&self) -> Vec<u64> {
        let axes = self.region.shape.iter().zip(&self.strides);
        let mut steps: Vec<u64> = axes.map(|(length, stride)| length.div_ceil(*stride)).collect();
        steps.pop();
        steps
    }

    /// How many steps its range on the last axis has, and how far those that are meant are from
    /// each other.
    fn fastest(&self) -> (u64, u64) {
        let last = |of: &[u64]| of.last().copied().unwrap_or(1);
        (last(&self.region.shape), last(&self.strides))
    }

    /// Where a line along the last axis begins.
    fn line(&self, number: u64) -> Vec<u64> {
        let mut places = region::steps(&self.lines(), number);
        places.push(0);
        let axes = self.region.start.iter().zip(&self.strides);
        places.into_iter().zip(axes).map(|(at, (start, stride))| start + at * stride).collect()
    }

    /// Its only step on every axis, if it has no more.
    fn single(&self) -> Option<Vec<u64>> {
        (self.region.count() == 1).then(|| self.region.start.clone())
    }
}

impl Selected {
    /// Takes those out of `pending` that aren't selected; it holds one mark for each position from
    /// `first` on.
    ///
    /// # Errors
    /// If the dataset of a selection can't be read.
    pub fn narrow(&self, grid: &PositionGrid, first: u64, pending: &mut [u8]) -> Result<()> {
        match self {
            Self::Range(range) => keep(first, pending, range, 1),
            Self::Every(range, step) => keep(first, pending, range, *step),
            Self::Steps(lattice) if grid.is_full() => keep_steps(lattice, grid, first, pending),
            Self::Steps(lattice) => {
                for (position, pending) in (first..).zip(pending) {
                    let steps = grid.steps_of(position).into_iter();
                    *pending &= u8::from(lattice.contains(steps.map(u64::from)));
                }
            }
            Self::Marked(marks) => {
                let mut selected = vec![0; pending.len()];
                marks.read(first, &mut selected)?;
                keep_marked(pending, &selected);
            }
            Self::Set(positions) => {
                let mut selected = vec![0; pending.len()];
                positions.mark(first, &mut selected, 1);
                keep_marked(pending, &selected);
            }
        }
        Ok(())
    }

    /// What a result depends on of it that all of these are folded into.
    ///
    /// # Errors
    /// As for [`Self::narrow`].
    pub fn identity(&self, grid: &PositionGrid) -> Result<SelectionIdentity> {
        SelectionIdentity::of(grid.rows() as u64, |first, marks| self.narrow(grid, first, marks))
    }

    /// All of them.
    ///
    /// # Errors
    /// As for [`Self::narrow`].
    pub fn positions(&self, grid: &PositionGrid) -> Result<Positions> {
        let mut positions = Positions::default();
        for window in windows(grid.rows() as u64) {
            let mut marks = vec![1; (window.end - window.start) as usize];
            self.narrow(grid, window.start, &mut marks)?;
            runs::of_marks(window.start, &marks).for_each(|run| positions.insert(run));
        }
        Ok(positions)
    }

    /// How many there are.
    ///
    /// # Errors
    /// As for [`Self::narrow`].
    pub fn count(&self, grid: &PositionGrid) -> Result<u64> {
        let mut count = 0;
        for window in windows(grid.rows() as u64) {
            let mut marks = vec![1; (window.end - window.start) as usize];
            self.narrow(grid, window.start, &mut marks)?;
            count += marks.iter().map(|mark| u64::from(*mark)).sum::<u64>();
        }
        Ok(count)
    }

    /// Whether there are none.
    fn is_empty(&self, grid: &PositionGrid) -> Result<bool> {
        match self {
            Self::Range(_) | Self::Every(..) => return Ok(false),
            Self::Steps(_) if grid.is_full() => return Ok(false),
            Self::Set(positions) => return Ok(positions.is_empty()),
            Self::Steps(_) | Self::Marked(_) => {}
        }
        for window in windows(grid.rows() as u64) {
            let mut marks = vec![1; (window.end - window.start) as usize];
            self.narrow(grid, window.start, &mut marks)?;
            if marks.contains(&1) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Bytes of memory that this takes.
    pub fn memory(&self) -> u64 {
        match self {
            Self::Marked(marks) => marks.memory(),
            Self::Set(positions) => positions.memory(),
            Self::Range(_) | Self::Every(..) | Self::Steps(_) => 0,
        }
    }
}

fn keep_marked(pending: &mut [u8], selected: &[u8]) {
    for (pending, selected) in pending.iter_mut().zip(selected) {
        *pending &= u8::from(*selected != 0);
    }
}

/// Takes out what isn't in `range`, or not so far from the one before.
fn keep(first: u64, pending: &mut [u8], range: &Range<u64>, step: u64) {
    let within = |position: u64| position.saturating_sub(first).min(pending.len() as u64) as usize;
    let (start, end) = (within(range.start), within(range.end));
    pending[..start].fill(0);
    pending[end..].fill(0);
    if step > 1 {
        let positions = (first + start as u64..).zip(&mut pending[start..end]);
        let others = positions.filter(|(at, _)| !(at - range.start).is_multiple_of(step));
        others.for_each(|(_, pending)| *pending = 0);
    }
}

/// Takes out what isn't in a box of a full grid, line by line along its fastest axis.
fn keep_steps(lattice: &Lattice, grid: &PositionGrid, first: u64, pending: &mut [u8]) {
    let shape = region::lengths(&grid.shape());
    let Some(fastest) = shape.len().checked_sub(1) else { return };
    let Lattice { region, strides } = lattice;
    let mut done = 0;
    while done < pending.len() {
        let mut steps = region::steps(&shape, first + done as u64);
        let step = std::mem::replace(&mut steps[fastest], region.start[fastest]);
        let end = pending.len().min(done + (shape[fastest] - step) as usize);
        let line = &mut pending[done..end];
        if lattice.contains(steps) {
            keep(step, line, &region.range(fastest), strides[fastest]);
        } else {
            line.fill(0);
        }
        done = end;
    }
}

/// A range within so many positions, and the distance from one to the next.
fn every_within(bounds: OpenRange, positions: u64) -> Option<(Range<u64>, u64)> {
    Some((bounds.within(positions)?, bounds.step.unwrap_or(1)))
}

pub(crate) fn range_within(bounds: OpenRange, grid: &PositionGrid) -> Result<Selected> {
    let positions = grid.rows() as u64;
    match every_within(bounds, positions) {
        Some((range, 1)) => Ok(Selected::Range(range)),
        Some((range, step)) => Ok(Selected::Every(range, step)),
        None => {
            Err(Error::selection(format!("they have to be a range FIRST:END within 0:{positions}")))
        }
    }
}

pub(crate) fn steps_within(bounds: &[OpenRange], grid: &PositionGrid) -> Result<Lattice> {
    let shape = grid.shape();
    let described = || {
        Error::selection(format!(
            "they have to be one range FIRST:END for each axis, within {}",
            grid.described()
        ))
    };
    if bounds.len() != shape.len() {
        return Err(described());
    }
    let region: Result<Region> = bounds
        .iter()
        .zip(&shape)
        .map(|(bounds, length)| bounds.within(*length as u64).ok_or_else(described))
        .collect();
    let strides = bounds.iter().map(|bounds| bounds.step.unwrap_or(1)).collect();
    Ok(Lattice { region: region?, strides })
}

fn all_within(bounds: &[OpenRange], grid: &PositionGrid) -> Result<Positions> {
    let positions = grid.rows() as u64;
    let mut all = Union::default();
    for bounds in bounds {
        let outside =
            || Error::selection(format!("`{bounds}` is no range FIRST:END within 0:{positions}"));
        let (range, step) = every_within(*bounds, positions).ok_or_else(outside)?;
        all.add_every(range, step);
    }
    Ok(all.into_positions(positions))
}

fn by_chance(count: u64, seed: u64, grid: &PositionGrid) -> Result<Selected> {
    let positions = grid.rows() as u64;
    if count > positions {
        return Err(Error::selection(format!(
            "{count} by chance are more than the {positions} that there are"
        )));
    }
    Ok(Selected::Set(random::chosen(count, seed, positions)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pixelmill_core::axis_values::AxisValues;
    use pixelmill_core::dimension::Dimension;

    #[test]
    fn what_names_another_file_is_told_from_what_is_in_this_one() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/data/two_peaks_3x4.h5");
        let file = crate::storage::file::open_read(file.as_ref()).unwrap();
        for (text, is_elsewhere) in [
            ("3:7", false),
            ("/Measurement_000/mask", false),
            ("/tmp/other.h5:/mask", true),
            ("other.h5:/mask", true),
            ("/tmp/mask.npy", true),
            ("mask.npy", true),
            ("@/etc/hosts", true),
        ] {
            let selection: Selection = text.parse().unwrap();
            assert_eq!(selection.is_in_another_file(&file), is_elsewhere, "{text}");
        }
    }

    #[test]
    fn a_box_of_steps_is_the_same_whatever_the_window() {
        let axis = |length| Dimension::new("", "", AxisValues::counted(length));
        let grid = PositionGrid::full([4, 3, 5].map(axis).into());
        let region: Region = [1..3, 0..3, 2..4].into_iter().collect();
        let expected: Vec<u8> = (0..60)
            .map(|position| {
                let steps = grid.steps_of(position);
                u8::from(
                    region.contains(steps.iter().map(|it| u64::from(*it)))
                        && steps[1].is_multiple_of(2),
                )
            })
            .collect();
        let selected = Selected::Steps(Lattice { region, strides: vec![1, 2, 1] });
        for (first, end) in [(0, 60), (7, 8), (13, 41), (29, 60)] {
            let mut pending = vec![1; end - first];
            selected.narrow(&grid, first as u64, &mut pending).unwrap();
            assert_eq!(pending, expected[first..end]);
        }
        let mut pending = [1, 1, 0, 1, 1];
        Selected::Range(11..13).narrow(&grid, 10, &mut pending).unwrap();
        assert_eq!(pending, [0, 1, 0, 0, 0]);
    }

    #[test]
    fn positions_that_a_kernel_is_told_are_hashed_as_those_that_are_folded() {
        let axis = |length| Dimension::new("", "", AxisValues::counted(length));
        let grid = PositionGrid::full([300, 500].map(axis).into());
        let region: Region = [0..300, 2..9].into_iter().collect();
        let mut hashes = Vec::new();
        for selected in [
            Selected::Range(3..4),
            Selected::Range(3..149_999),
            Selected::Every(3..149_999, 2),
            Selected::Steps(Lattice { region, strides: vec![7, 1] }),
            by_chance(1000, 0, &grid).unwrap(),
        ] {
            let told = SelectionIdentity::told(150_000, &selected.positions(&grid).unwrap());
            let folded = selected.identity(&grid).unwrap();
            assert_eq!((told.positions, &told.sha256), (folded.positions, &folded.sha256));
            assert_eq!(told.positions, selected.count(&grid).unwrap());
            assert!(!hashes.contains(&folded.sha256));
            hashes.push(folded.sha256);
        }
    }
}
