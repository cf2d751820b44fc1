//! Which positions of a scan to compute.

use std::ops::Range;
use std::str::FromStr;

use crate::position_grid::PositionGrid;
use crate::region::{self, Region};
use crate::source::normalised;
use crate::storage::file::ReadFile;
use crate::storage::marks::Marks;
use pixelmill_core::error::{Error, Result};

/// A part of the positions. Written `100:200` (positions), `0:10,5:20` (rows, columns; the slowest
/// axis first) or `/path/of/a/boolean/dataset`; a bound that is left out is the end of the axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Positions by number.
    Positions(OpenRange),
    /// Steps of every axis of the scan, slowest first.
    Steps(Vec<OpenRange>),
    /// Path of a dataset with one value per position, of which those that aren't 0 are selected.
    Dataset(String),
}

/// A range whose ends may be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenRange {
    /// The first, 0 if left out.
    pub start: Option<u64>,
    /// The first not included, the end if left out.
    pub end: Option<u64>,
}

impl OpenRange {
    fn within(self, length: u64) -> Option<Range<u64>> {
        let range = self.start.unwrap_or(0)..self.end.unwrap_or(length);
        (range.start < range.end && range.end <= length).then_some(range)
    }
}

impl FromStr for OpenRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |part: &str| match part.trim() {
            "" => Ok(None),
            digits => {
                digits.parse().map(Some).map_err(|_| format!("`{digits}` is no whole number"))
            }
        };
        match text.split_once(':') {
            Some((start, end)) => Ok(Self { start: number(start)?, end: number(end)? }),
            None => {
                let only: Option<u64> = number(text)?;
                let only = only.ok_or("a range is written FIRST:END")?;
                // No scan has the last number that there is; it is outside of any, as it stands.
                Ok(Self { start: Some(only), end: Some(only.saturating_add(1)) })
            }
        }
    }
}

impl FromStr for Selection {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with('/') {
            return Ok(Self::Dataset(text.to_owned()));
        }
        let mut bounds = text.split(',').map(str::parse).collect::<Result<Vec<OpenRange>, _>>()?;
        match bounds.len() {
            1 => Ok(Self::Positions(bounds.remove(0))),
            _ => Ok(Self::Steps(bounds)),
        }
    }
}

impl Selection {
    /// Which positions of a scan are selected.
    ///
    /// # Errors
    /// If the selection reaches outside of the scan, or its dataset isn't one value per position.
    pub(crate) fn selected(&self, grid: &PositionGrid, file: &ReadFile) -> Result<Selected> {
        match self {
            Self::Positions(bounds) => range_within(*bounds, grid),
            Self::Steps(bounds) => steps_within(bounds, grid).map(Selected::Steps),
            Self::Dataset(path) => {
                let marks = marked(path, grid.rows() as u64, file)?;
                Ok(Selected::Marked(Box::new(marks)))
            }
        }
    }
}

/// The positions of a scan that are selected, told window by window.
pub(crate) enum Selected {
    Range(Range<u64>),
    /// Steps of every axis of the scan, slowest first.
    Steps(Region),
    /// Those that have a mark.
    Marked(Box<Marks>),
}

impl Selected {
    /// Takes those out of `pending` that aren't selected; it holds one mark for each position from
    /// `first` on.
    ///
    /// # Errors
    /// If the dataset of a selection can't be read.
    pub fn narrow(&self, grid: &PositionGrid, first: u64, pending: &mut [u8]) -> Result<()> {
        match self {
            Self::Range(range) => keep(first, pending, range),
            Self::Steps(region) if grid.is_full() => keep_steps(region, grid, first, pending),
            Self::Steps(region) => {
                for (position, pending) in (first..).zip(pending) {
                    let steps = grid.steps_of(position).into_iter();
                    *pending &= u8::from(region.contains(steps.map(u64::from)));
                }
            }
            Self::Marked(marks) => {
                let mut selected = vec![0; pending.len()];
                marks.read(first, &mut selected)?;
                for (pending, selected) in pending.iter_mut().zip(selected) {
                    *pending &= u8::from(selected != 0);
                }
            }
        }
        Ok(())
    }

    /// Bytes of memory that this takes.
    pub fn memory(&self) -> u64 {
        match self {
            Self::Marked(marks) => marks.memory(),
            Self::Range(_) | Self::Steps(_) => 0,
        }
    }
}

/// Takes out what isn't in `range`.
fn keep(first: u64, pending: &mut [u8], range: &Range<u64>) {
    let within = |position: u64| position.saturating_sub(first).min(pending.len() as u64) as usize;
    let (start, end) = (within(range.start), within(range.end));
    pending[..start].fill(0);
    pending[end..].fill(0);
}

/// Takes out what isn't in a box of a full grid, line by line along its fastest axis.
fn keep_steps(region: &Region, grid: &PositionGrid, first: u64, pending: &mut [u8]) {
    let shape = region::lengths(&grid.shape());
    let Some(fastest) = shape.len().checked_sub(1) else { return };
    let mut done = 0;
    while done < pending.len() {
        let mut steps = region::steps(&shape, first + done as u64);
        let step = std::mem::replace(&mut steps[fastest], region.start[fastest]);
        let end = pending.len().min(done + (shape[fastest] - step) as usize);
        let line = &mut pending[done..end];
        if region.contains(steps) {
            keep(step, line, &region.range(fastest));
        } else {
            line.fill(0);
        }
        done = end;
    }
}

pub(crate) fn range_within(bounds: OpenRange, grid: &PositionGrid) -> Result<Selected> {
    let positions = grid.rows() as u64;
    let outside =
        || Error::selection(format!("they have to be a range FIRST:END within 0:{positions}"));
    bounds.within(positions).map(Selected::Range).ok_or_else(outside)
}

pub(crate) fn steps_within(bounds: &[OpenRange], grid: &PositionGrid) -> Result<Region> {
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
    bounds
        .iter()
        .zip(&shape)
        .map(|(bounds, length)| bounds.within(*length as u64).ok_or_else(described))
        .collect()
}

fn marked(path: &str, positions: u64, file: &ReadFile) -> Result<Marks> {
    let path = normalised(path);
    let refused = |found: String| Error::selection(format!("`{path}` {found}"));
    let missing = |_| match file.broken_link(&path) {
        Some(link) => Error::selection(link),
        None => refused("is no dataset of the file".into()),
    };
    let dataset = file.dataset(&path).map_err(missing)?;
    dataset.check_sources()?;
    if dataset.size() as u64 != positions {
        let found = format!("has {} values for {positions} positions", dataset.size());
        return Err(refused(found));
    }
    Marks::of(file.handle(), &dataset)?
        .ok_or_else(|| refused("holds neither truth values nor integers".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pixelmill_core::axis_values::AxisValues;
    use pixelmill_core::dimension::Dimension;

    #[test]
    fn a_box_of_steps_is_the_same_whatever_the_window() {
        let axis = |length| Dimension::new("", "", AxisValues::counted(length));
        let grid = PositionGrid::full([4, 3, 5].map(axis).into());
        let region: Region = [1..3, 0..2, 2..4].into_iter().collect();
        let expected: Vec<u8> = (0..60)
            .map(|position| {
                u8::from(region.contains(grid.steps_of(position).into_iter().map(u64::from)))
            })
            .collect();
        let selected = Selected::Steps(region);
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
    fn selections_are_read_as_written() {
        let bounds = |start, end| OpenRange { start, end };
        assert_eq!("100:200".parse(), Ok(Selection::Positions(bounds(Some(100), Some(200)))));
        assert_eq!("7".parse(), Ok(Selection::Positions(bounds(Some(7), Some(8)))));
        assert_eq!(
            "0:10, :20".parse(),
            Ok(Selection::Steps(vec![bounds(Some(0), Some(10)), bounds(None, Some(20))]))
        );
        assert_eq!("/mask".parse(), Ok(Selection::Dataset("/mask".into())));
        let last = u64::MAX.to_string();
        assert_eq!(last.parse(), Ok(Selection::Positions(bounds(Some(u64::MAX), Some(u64::MAX)))));
        assert!("a:b".parse::<Selection>().is_err());
        assert!("".parse::<Selection>().is_err());
    }
}
