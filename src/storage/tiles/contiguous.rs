//! A dataset that lies in one stretch, but not row by row: positions aren't its first axes.

use std::io;
use std::sync::Arc;

use super::copy::{Axis, copy};
use super::way::{Cut, Reading, Stored, Way, same_kind};
use super::{Decoder, LoadedTile, TileError, Tiles};
use crate::region::{self, Region, strides};
use crate::storage::raw_file::RawFile;

/// Where it begins in its file.
pub(crate) struct Contiguous {
    pub offset: u64,
}

impl Way for Contiguous {
    fn reading(&self) -> Reading {
        Reading::Transposed
    }

    fn is_same(&self, other: &dyn Way) -> bool {
        same_kind(self, other).is_some_and(|other| other.offset == self.offset)
    }

    fn is_whole(&self) -> bool {
        true
    }

    fn stored(&self) -> Stored<'_> {
        Stored::Extent(self.offset)
    }

    fn load(&self, tiles: &Tiles, _place: &[u64], region: Region) -> Result<LoadedTile, TileError> {
        tiles.filled(region, |region, out| self.read(tiles, region, out))
    }

    fn read_cut(
        &self,
        tiles: &Tiles,
        cut: &Cut<'_>,
        out: &mut [u8],
        _decoder: &mut Decoder,
    ) -> Result<(), TileError> {
        let file = cut.file;
        self.read_stretches(&tiles.files[file], cut, out, tiles.element)
            .map_err(|(needed, error)| failed(file, needed, error))
    }
}

impl Contiguous {
    /// Reads each stretch that lies in one piece by one call; where stretches lie near each other,
    /// several with what is between them.
    fn read(&self, tiles: &Tiles, region: &Region, mut out: &mut [u8]) -> Result<(), TileError> {
        let stretches = Stretches::of(region, &tiles.view.shape);
        if let Some(joined) = stretches.joined(region, tiles.element) {
            return self.read_joined(tiles, region, &joined, out);
        }
        let stretch = tiles.bytes_of(&region.shape[stretches.cut..]);
        for place in stretches.starts.places() {
            let (part, rest) = out.split_at_mut(stretch);
            let start = self.offset + stretches.number(&place) * tiles.element as u64;
            tiles.files[0]
                .read_exact_at(part, start)
                .map_err(|error| failed(0, start + stretch as u64, error))?;
            out = rest;
        }
        Ok(())
    }
}

impl Contiguous {
    fn read_joined(
        &self,
        tiles: &Tiles,
        region: &Region,
        joined: &Stretches<'_>,
        mut out: &mut [u8],
    ) -> Result<(), TileError> {
        let own = strides(&tiles.view.shape, tiles.element);
        let inner = &region.shape[joined.cut..];
        let steps = inner.iter().zip(&own[joined.cut..]);
        let last: usize = steps.map(|(steps, apart)| (*steps as usize - 1) * apart).sum();
        let mut aside = vec![0; last + tiles.element];
        let there = strides(inner, tiles.element);
        let axes = inner.iter().zip(own[joined.cut..].iter().zip(&there));
        let axes: Vec<Axis> = axes
            .map(|(steps, (from, to))| Axis { steps: *steps as usize, from: *from, to: *to })
            .collect();
        for place in joined.starts.places() {
            let (part, rest) = out.split_at_mut(tiles.bytes_of(inner));
            let start = self.offset + joined.number(&place) * tiles.element as u64;
            tiles.files[0]
                .read_exact_at(&mut aside, start)
                .map_err(|error| failed(0, start + aside.len() as u64, error))?;
            copy(&aside, part, &axes, tiles.element);
            out = rest;
        }
        Ok(())
    }
}

fn failed(file: usize, needed: u64, error: io::Error) -> TileError {
    TileError::Io { file, needed, error: Arc::new(error) }
}

/// Bytes between two stretches that are read with them: as many as the system reads at once anyway.
const GAP_BYTES: u64 = 4096;
/// Most bytes that are read at once so.
const JOINED_BYTES: u64 = 1 << 20;

/// The stretches of a box that lie in one piece each.
struct Stretches<'a> {
    /// The axes from this one on belong to a stretch: all behind it are read whole.
    cut: usize,
    starts: Region,
    all: &'a [u64],
}

impl<'a> Stretches<'a> {
    fn of(region: &Region, all: &'a [u64]) -> Self {
        let mut cut = all.len().saturating_sub(1);
        while cut > 0 && region.shape[cut] == all[cut] {
            cut -= 1;
        }
        let mut starts = region.clone();
        starts.shape[cut..].fill(1);
        Self { cut, starts, all }
    }

    /// The same stretches, but those together that lie near each other along the next axis; `None`
    /// if there are none.
    fn joined(&self, region: &Region, element: usize) -> Option<Self> {
        let cut = self.cut.checked_sub(1)?;
        let bytes = |shape: &[u64]| shape.iter().product::<u64>() * element as u64;
        let (stretch, apart) = (bytes(&region.shape[self.cut..]), bytes(&self.all[self.cut..]));
        let is_near = region.shape[cut] > 1
            && apart - stretch <= GAP_BYTES
            && apart * region.shape[cut] <= JOINED_BYTES;
        let mut starts = self.starts.clone();
        starts.shape[cut] = 1;
        is_near.then_some(Self { cut, starts, all: self.all })
    }

    fn number(&self, place: &[u64]) -> u64 {
        region::number(self.all, place)
    }
}

impl Contiguous {
    /// Reads each stretch of a cut by one call. The error comes with how many bytes the file should
    /// have had.
    fn read_stretches(
        &self,
        file: &RawFile,
        cut: &Cut<'_>,
        out: &mut [u8],
        element: usize,
    ) -> Result<(), (u64, io::Error)> {
        let Cut { shape, from, steps, .. } = cut;
        let own = strides(shape, element);
        let stretches = Stretches::of(from, shape);
        let inner = stretches.cut..own.len();
        let stretch = from.shape[inner.clone()].iter().product::<u64>() as usize * element;
        let is_direct = inner.clone().all(|axis| from.shape[axis] == 1 || steps[axis] == own[axis]);
        let mut aside = vec![0; if is_direct { 0 } else { stretch }];
        let axes: Vec<Axis> = inner
            .map(|axis| Axis { steps: from.shape[axis] as usize, from: own[axis], to: steps[axis] })
            .collect();
        for place in stretches.starts.places() {
            let start = self.offset + stretches.number(&place) * element as u64;
            let there = region::offset(&place, &from.start, steps);
            let into = if is_direct { &mut out[there..][..stretch] } else { &mut aside[..] };
            file.read_exact_at(into, start).map_err(|error| (start + stretch as u64, error))?;
            if !is_direct {
                copy(&aside, &mut out[there..], &axes, element);
            }
        }
        Ok(())
    }
}
