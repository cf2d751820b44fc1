//! A dataset in chunks, each of which is decoded whole, without HDF5.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::copy::{Axis, copy, fill};
use super::way::{Cut, Reading, Stored, Way, same_kind};
use super::{Decoder, LoadedTile, TileError, Tiles};
use crate::region::{self, Region, strides};
use crate::storage::chunk_table::{ChunkTable, Chunking};
use crate::storage::filters::{Pipeline, most_stored};
use crate::storage::in_place::Extent;
use crate::view::View;

/// Where the chunks lie, how they are decoded, and what stands where none was written.
pub(crate) struct Chunked {
    pub table: Arc<ChunkTable>,
    pub pipeline: Pipeline,
    pub fill: Vec<u8>,
}

impl Way for Chunked {
    fn reading(&self) -> Reading {
        Reading::Chunks
    }

    fn is_same(&self, other: &dyn Way) -> bool {
        same_kind(self, other).is_some_and(|other| {
            Arc::ptr_eq(&other.table, &self.table) || other.table.chunks == self.table.chunks
        })
    }

    fn tile(&self, _view: &View, _element: u64) -> Vec<u64> {
        self.table.chunk.clone()
    }

    fn chunk(&self) -> Option<&[u64]> {
        Some(&self.table.chunk)
    }

    fn chunking(&self) -> Option<Chunking> {
        Some(Chunking {
            shape: self.table.chunk.clone(),
            count: self.table.chunks.len() as u64,
            stored_bytes: self.table.chunks.stored_bytes(),
            filters: self.pipeline.names(),
        })
    }

    fn chunks(&self) -> Option<u64> {
        Some(self.table.chunks.len() as u64)
    }

    fn is_whole(&self) -> bool {
        self.table.chunks.len() as u64 == self.table.grid.iter().product::<u64>()
    }

    fn is_indivisible(&self) -> bool {
        true
    }

    fn keeps_edges(&self) -> bool {
        true
    }

    fn worker_bytes(&self, tile: u64, _element: u64) -> u64 {
        self.table.largest().min(most_stored(tile))
            + self.pipeline.scratch_bytes(tile as usize) as u64
            + tile
    }

    fn table_bytes(&self) -> u64 {
        self.table.bytes()
    }

    fn stored(&self) -> Stored<'_> {
        Stored::Chunks(&self.table.chunks)
    }

    fn announce(&self, tiles: &Tiles, positions: &Region) {
        for place in tiles.tiles_of(positions).places() {
            let number = region::number(&self.table.grid, &place);
            let Some(chunk) = self.table.find(number) else { continue };
            tiles.files[0].fetch(chunk.address, chunk.size);
        }
    }

    fn load(&self, tiles: &Tiles, place: &[u64], region: Region) -> Result<LoadedTile, TileError> {
        let tile = tiles.tile_at(place);
        let number = region::number(&self.table.grid, place);
        let mut decoder = tiles.decoders.take().unwrap_or_default();
        let tile_bytes = tiles.tile_bytes() as usize;
        let is_whole = tiles.view.positions.iter().all(|axis| {
            region.range(*axis) == (tile.start[*axis]..tile.end(*axis).min(tiles.view.shape[*axis]))
        });
        let mut whole =
            if is_whole { tiles.buffer(&tiles.tile) } else { std::mem::take(&mut decoder.whole) };
        whole.resize(tile_bytes.max(whole.len()), 0);
        let out = &mut whole[..tile_bytes];
        let filled = self.decode(tiles, 0, number, &mut decoder, out);
        let loaded = filled.map(|()| {
            if is_whole {
                return LoadedTile { bytes: std::mem::take(&mut whole), region: tile };
            }
            LoadedTile { bytes: tiles.crop(&whole, &tile, &region), region }
        });
        match (is_whole, loaded.is_ok()) {
            (false, _) => decoder.whole = whole,
            (true, false) => tiles.buffers.give(whole),
            (true, true) => {}
        }
        tiles.decoders.give(decoder);
        loaded.map_err(|error| match error {
            TileError::Damaged(reason) => TileError::Damaged(tiles.damage(place, &reason)),
            other => other,
        })
    }

    fn read_cut(
        &self,
        tiles: &Tiles,
        cut: &Cut<'_>,
        out: &mut [u8],
        decoder: &mut Decoder,
    ) -> Result<(), TileError> {
        let (table, element) = (&self.table, tiles.element);
        let bytes = table.chunk.iter().product::<u64>() as usize * element;
        let own = strides(&table.chunk, element);
        for place in cut.from.tiles(&table.chunk).places() {
            let number = region::number(&table.grid, &place);
            let chunk = Region::of_tile(&place, &table.chunk);
            let wanted = chunk.intersection(&cut.from);
            let wanted = wanted.expect("only chunks that have something of the cut are read");
            let there = wanted.offset_in(&cut.from, &cut.steps);
            let is_all = wanted == chunk
                && (0..own.len())
                    .all(|axis| chunk.shape[axis] == 1 || cut.steps[axis] == own[axis]);
            let mut whole = std::mem::take(&mut decoder.whole);
            let decoded = if is_all {
                let out = &mut out[there..][..bytes];
                self.decode(tiles, cut.file, number, decoder, out)
            } else {
                whole.resize(bytes.max(whole.len()), 0);
                let into = &mut whole[..bytes];
                self.decode(tiles, cut.file, number, decoder, into)
            };
            let decoded = decoded.map(|()| {
                if is_all {
                    return;
                }
                let along: Vec<Axis> = (0..own.len())
                    .map(|axis| Axis {
                        steps: wanted.shape[axis] as usize,
                        from: own[axis],
                        to: cut.steps[axis],
                    })
                    .collect();
                let first = wanted.offset_in(&chunk, &own);
                copy(&whole[first..], &mut out[there..], &along, element);
            });
            decoder.whole = whole;
            decoded.map_err(|error| match error {
                TileError::Damaged(reason) => {
                    let corner: Vec<String> = chunk.start.iter().map(u64::to_string).collect();
                    let file = tiles.files[cut.file].path.display();
                    let (corner, dataset) = (corner.join(", "), cut.dataset);
                    TileError::Damaged(format!(
                        "chunk ({corner}) of the source `{dataset}` of {file} is damaged: {reason}"
                    ))
                }
                other => other,
            })?;
        }
        Ok(())
    }
}

impl Chunked {
    /// Puts a chunk's values into `out`, or fill values if it was never written.
    fn decode(
        &self,
        tiles: &Tiles,
        file: usize,
        number: u64,
        decoder: &mut Decoder,
        out: &mut [u8],
    ) -> Result<(), TileError> {
        let Some(chunk) = self.table.find(number) else {
            fill(out, &self.fill);
            return Ok(());
        };
        if chunk.size > most_stored(out.len() as u64) {
            return Err(TileError::Damaged(format!("{} stored bytes can't be right", chunk.size)));
        }
        let past_the_end = || TileError::Damaged("it lies past the end of the file".to_owned());
        // No file has such a place, and the system would take it for a mistake of ours.
        let place = Extent::new(chunk.address, chunk.size).ok_or_else(past_the_end)?;
        decoder.stored.resize(chunk.size as usize, 0);
        let read = tiles.files[file].read_exact_at(&mut decoder.stored, chunk.address);
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => past_the_end(),
            _ => TileError::Io { file, needed: place.end(), error: Arc::new(error) },
        })?;
        tiles.decoded.fetch_add(1, Ordering::Relaxed);
        let decode =
            || self.pipeline.decode(chunk.mask, &decoder.stored, out, &mut decoder.scratch);
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(decode))
            .unwrap_or_else(|_| Err("it can't be decoded".to_owned()))
            .map_err(TileError::Damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::chunk_table::Chunk;
    use crate::storage::raw_file::RawFile;

    #[test]
    fn a_chunk_where_no_file_reaches_is_damaged_as_one_past_the_end_is() {
        for address in [100, 1 << 63, u64::MAX - 2, u64::MAX] {
            let chunk = Chunk { number: 0, address, size: 4, mask: 0 };
            let table = ChunkTable::of(&[4], vec![4], false, |each| {
                each(&[0], chunk);
                Ok::<_, ()>(())
            });
            let pipeline = Pipeline::new(&[], 1).unwrap();
            let way = Chunked { table: Arc::new(table.unwrap()), pipeline, fill: vec![0] };
            let file = RawFile::new("scan.h5".into(), tempfile::tempfile().unwrap()).unwrap();
            let view = View::new(vec![4], vec![0]);
            let tiles =
                Tiles::new(&[Arc::new(file)], "data".into(), view, Box::new(way), (1, 0..1));
            let read = Arc::new(tiles).read_alone(std::slice::from_ref(&(0..4)), &mut [0; 4]);
            let told = read.unwrap_err().to_string();
            assert!(told.contains("past the end of the file"), "{address}: {told}");
        }
    }
}
