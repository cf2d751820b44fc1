//! Which positions of a scan to compute.

use std::ops::Range;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::source::{PositionGrid, normalised};
use crate::storage::file::ReadFile;
use crate::storage::virtual_dataset;
use crate::storage::walk::broken_link;

/// A part of the positions. Written `100:200` (positions), `0:10,5:20` (rows, columns; the slowest
/// axis first) or `/path/of/a/boolean/dataset`; a bound that is left out is the end of the axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Positions by number.
    Positions(Bounds),
    /// Steps of every axis of the scan, slowest first.
    Steps(Vec<Bounds>),
    /// Path of a dataset with one value per position, of which those that aren't 0 are meant.
    Dataset(String),
}

/// A range whose ends may be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The first, 0 if left out.
    pub start: Option<u64>,
    /// The first not included, the end if left out.
    pub end: Option<u64>,
}

impl Bounds {
    fn within(self, length: u64) -> Option<Range<u64>> {
        let range = self.start.unwrap_or(0)..self.end.unwrap_or(length);
        (range.start < range.end && range.end <= length).then_some(range)
    }
}

impl FromStr for Bounds {
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
                Ok(Self { start: Some(only), end: Some(only + 1) })
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
        let mut bounds = text.split(',').map(str::parse).collect::<Result<Vec<Bounds>, _>>()?;
        match bounds.len() {
            1 => Ok(Self::Positions(bounds.remove(0))),
            _ => Ok(Self::Steps(bounds)),
        }
    }
}

impl Selection {
    /// Whether each position is meant.
    ///
    /// # Errors
    /// If the selection reaches outside of the scan, or its dataset isn't one value per position.
    pub(crate) fn mask(&self, grid: &PositionGrid, file: &ReadFile) -> Result<Vec<bool>> {
        let positions = grid.rows() as u64;
        match self {
            Self::Positions(bounds) => {
                let range = bounds.within(positions).ok_or_else(|| {
                    Error::selection(format!(
                        "they have to be a range FIRST:END within 0:{positions}"
                    ))
                })?;
                Ok((0..positions).map(|position| range.contains(&position)).collect())
            }
            Self::Steps(bounds) => steps_mask(bounds, grid),
            Self::Dataset(path) => dataset_mask(path, positions, file),
        }
    }
}

fn steps_mask(bounds: &[Bounds], grid: &PositionGrid) -> Result<Vec<bool>> {
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
    let ranges = bounds
        .iter()
        .zip(&shape)
        .map(|(bounds, length)| bounds.within(*length as u64).ok_or_else(described))
        .collect::<Result<Vec<_>>>()?;
    let meant = |row: u64| {
        grid.steps_of(row)
            .iter()
            .zip(&ranges)
            .all(|(step, range)| range.contains(&u64::from(*step)))
    };
    Ok((0..grid.rows() as u64).map(meant).collect())
}

fn dataset_mask(path: &str, positions: u64, file: &ReadFile) -> Result<Vec<bool>> {
    let path = normalised(path);
    let refused = |found: String| Error::selection(format!("`{path}` {found}"));
    let missing = |_| match broken_link(file, &path) {
        Some(link) => Error::selection(link),
        None => refused("is no dataset of the file".into()),
    };
    let dataset = file.dataset(&path).map_err(missing)?;
    virtual_dataset::check(&dataset)?;
    if dataset.size() as u64 != positions {
        let found = format!("has {} values for {positions} positions", dataset.size());
        return Err(refused(found));
    }
    let values = match dataset.read_raw::<bool>() {
        Ok(values) => values,
        Err(_) => dataset
            .read_raw::<i64>()
            .map_err(|_| refused("holds neither truth values nor integers".into()))?
            .into_iter()
            .map(|value| value != 0)
            .collect(),
    };
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selections_are_read_as_written() {
        let bounds = |start, end| Bounds { start, end };
        assert_eq!("100:200".parse(), Ok(Selection::Positions(bounds(Some(100), Some(200)))));
        assert_eq!("7".parse(), Ok(Selection::Positions(bounds(Some(7), Some(8)))));
        assert_eq!(
            "0:10, :20".parse(),
            Ok(Selection::Steps(vec![bounds(Some(0), Some(10)), bounds(None, Some(20))]))
        );
        assert_eq!("/mask".parse(), Ok(Selection::Dataset("/mask".into())));
        assert!("a:b".parse::<Selection>().is_err());
        assert!("".parse::<Selection>().is_err());
    }
}
