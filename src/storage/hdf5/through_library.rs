//! A dataset that only the HDF5 library can read.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hdf5::Dataset;

use super::super::refused::Refused;
use super::super::tiles::{LoadedTile, Reading, TileError, Tiles, Way, same_kind, stretch};
use super::{library, transaction};
use crate::region::{self, Region};
use crate::view::View;

/// The dataset, the field of its records if only that is read, and why.
pub(super) struct ThroughLibrary {
    pub dataset: Dataset,
    pub field: Option<String>,
    pub why: String,
    pub is_chunked: bool,
}

impl Way for ThroughLibrary {
    fn reading(&self) -> Reading {
        Reading::Library(self.why.clone())
    }

    fn is_same(&self, other: &dyn Way) -> bool {
        same_kind(self, other).is_some_and(|other| other.why == self.why)
    }

    fn tile(&self, view: &View, element: u64) -> Vec<u64> {
        if !self.is_chunked {
            return stretch(view, element);
        }
        region::lengths(&self.dataset.chunk().unwrap_or_else(|| self.dataset.shape()))
    }

    fn is_indivisible(&self) -> bool {
        self.is_chunked
    }

    fn worker_bytes(&self, tile: u64, _element: u64) -> u64 {
        if self.is_chunked { 2 * tile } else { 0 }
    }

    fn load(&self, tiles: &Tiles, place: &[u64], region: Region) -> Result<LoadedTile, TileError> {
        tiles.filled(region, |region, out| self.read(tiles, place, region, out))
    }
}

impl ThroughLibrary {
    fn read(
        &self,
        tiles: &Tiles,
        place: &[u64],
        region: &Region,
        out: &mut [u8],
    ) -> Result<(), TileError> {
        library::read_field(&self.dataset, self.field.as_deref(), region, out).map_err(
            |error| {
                let path = &tiles.files[0].path;
                let error = Refused::from(error).on_object("read", path, &tiles.dataset);
                let reason = error.to_string();
                TileError::Damaged(if self.is_chunked {
                    tiles.damage(place, &reason)
                } else {
                    reason
                })
            },
        )?;
        // Of a virtual dataset HDF5 takes what it can't open for fill values.
        if !self.is_chunked
            && let Some(error) = transaction::trouble(&self.dataset)
        {
            return Err(TileError::Io { file: 0, needed: 0, error: Arc::new(error) });
        }
        tiles.decoded.fetch_add(u64::from(self.is_chunked), Ordering::Relaxed);
        Ok(())
    }
}
