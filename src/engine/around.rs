//! What was read of some positions and their neighbours: what of it a kernel gets, what is digested
//! of it, and which positions fail for want of some of it.

use std::collections::BTreeMap;

use crate::neighbourhood::{Around, Neighbourhood};
use crate::region;
use crate::source::{RowHash, RowsDigest, Source};
use pixelmill_core::chunk_io::ReadRows;
use pixelmill_core::failure::Failure;
use pixelmill_core::kernel::{Kernel, RawNeighbours};
use pixelmill_core::source_info::SourceInfo;

impl Around {
    /// The rows that were read, as a kernel gets them.
    pub fn raw<'a>(&'a self, rows: &'a ReadRows<'a>) -> RawNeighbours<'a> {
        RawNeighbours { rows, own: &self.own, places: &self.places }
    }

    /// Which rows the position at `index` is computed from, its own first.
    fn rows_of(&self, index: usize) -> impl Iterator<Item = u32> {
        let each = self.places.len() / self.own.len().max(1);
        let places = &self.places[index * each..][..each];
        std::iter::once(self.own[index]).chain(places.iter().copied())
    }

    /// The digest of the rows of all `positions`, of which those at some places are lost.
    pub fn digest(
        &self,
        positions: &[u64],
        rows: &ReadRows<'_>,
        lost: &[(u64, Failure)],
    ) -> RowsDigest {
        let mut hashes: Vec<RowHash> =
            (0..rows.len()).map(|place| RowHash::of(Some(rows.row(place)))).collect();
        for (place, _) in lost {
            hashes[*place as usize] = RowHash::of(None);
        }
        let mut digest = RowsDigest::default();
        for (index, position) in positions.iter().enumerate() {
            let of_position = self.rows_of(index);
            let each = of_position.map(|place| hashes.get(place as usize).copied());
            digest.add_with_neighbours(*position, each);
        }
        digest
    }

    /// The positions that need a row that is lost, counted from 0, with the first such row's place
    /// and the reason.
    pub fn damaged<'l>(&self, lost: &'l [(u64, Failure)]) -> Vec<(usize, u32, &'l Failure)> {
        let by_place: BTreeMap<u64, &Failure> =
            lost.iter().rev().map(|(place, reason)| (*place, reason)).collect();
        if by_place.is_empty() {
            return Vec::new();
        }
        let first = |index: usize| {
            let mut places = self.rows_of(index);
            places.find_map(|place| Some((index, place, *by_place.get(&place.into())?)))
        };
        (0..self.own.len()).filter_map(first).collect()
    }
}

/// The neighbours that a kernel wants on this source.
pub(crate) fn neighbourhood(
    kernel: &dyn Kernel,
    source: &Source,
    spectrum: &SourceInfo,
) -> std::result::Result<Option<Neighbourhood>, String> {
    let Some(halo) = kernel.halo(spectrum).map_err(|failure| failure.to_string())? else {
        return Ok(None);
    };
    let are_bins = halo.steps_of_bins().is_some();
    if !source.grid.is_full() {
        let reason = match are_bins {
            true => {
                "it makes bins of positions, and these are no full grid: which of them lie side by \
                 side can't be told"
            }
            false => {
                "it computes with neighbours, and these positions are no full grid: whose \
                 neighbour is whose can't be told"
            }
        };
        return Err(reason.to_owned());
    }
    if are_bins && (kernel.wants_coordinates() || !source.info.auxiliary.is_empty()) {
        let reason = "it makes bins of positions, which have no coordinates or values of their \
                      own that it could be given";
        return Err(reason.to_owned());
    }
    Neighbourhood::new(halo, region::lengths(&source.grid.shape())).map(Some)
}
