//! Rows of a dataset as bytes, one per position: straight from the file where its container says
//! they lie, from tiles where they don't lie side by side, or through the library.

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::chunk_table::Chunking;
pub(crate) use super::chunk_table::Chunks;
use super::container::{Dataset, Opening, ValuesNow};
use super::decoding::Decoding;
use super::file_state::FileId;
use super::open_file::OpenFile;
use super::past_cache::READER_BYTES;
use super::raw_file::RawFile;
use super::reading_ahead::AHEAD_BYTES;
pub use super::tiles::Reading;
pub(crate) use super::tiles::Stored;
use super::tiles::copy::arranged;
use super::tiles::{Block, Contiguous, Tiles};
use crate::region::{self, Region};
use crate::view::View;
use pixelmill_core::chunk_io::{ReadChunk, ReadRows};
use pixelmill_core::error::Result;

/// The rows of one dataset.
pub(crate) struct Rows {
    /// Where they lie; the first file is that of the dataset itself.
    files: Vec<Arc<RawFile>>,
    /// The field of its records that they hold, if it isn't all of them.
    field: Option<String>,
    /// Whether more files may join, so that those here prove nothing.
    may_grow: bool,
    view: View,
    /// Bytes of an element as it is stored.
    element: usize,
    /// Bytes of its value, or of the field of it that rows hold.
    value: usize,
    how: How,
    decoding: Decoding,
}

enum How {
    /// Row by row from this offset on.
    Direct {
        offset: u64,
    },
    Tiles(Arc<Tiles>),
}

impl Rows {
    /// The rows of `dataset`, seen as `view`, of `file`, or of another that a link of this one
    /// leads to.
    ///
    /// # Errors
    /// If the file has less bytes than the dataset needs, or nothing can undo one of its filters.
    pub fn new(file: OpenFile<'_>, dataset: &Dataset, view: View) -> Result<Self> {
        Self::of_field(file, dataset, None, view)
    }

    /// The same of one field of the dataset's records, if there is a field: rows hold nothing else.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn of_field(
        file: OpenFile<'_>,
        dataset: &Dataset,
        field: Option<&str>,
        view: View,
    ) -> Result<Self> {
        let rows = Self::of(dataset.open_values(file, field)?, dataset.name(), view)?;
        Ok(Self { field: field.map(str::to_owned), ..rows })
    }

    /// The rows of an array whose elements lie in one stretch of a file, seen as `view`.
    ///
    /// # Errors
    /// If the file has less bytes than that needs.
    pub fn in_one_stretch(
        file: RawFile,
        offset: u64,
        view: View,
        element: usize,
        decoding: Decoding,
    ) -> Result<Self> {
        let name = file.path.display().to_string();
        let (files, way) = (vec![Arc::new(file)], Box::new(Contiguous { offset }));
        let value = 0..element;
        let opening = Opening { files, may_grow: false, way, element, value, decoding };
        Self::of(opening, name, view)
    }

    fn of(opening: Opening, name: String, view: View) -> Result<Self> {
        let Opening { files, may_grow, way, element, value, decoding } = opening;
        let mut direct = None;
        if let Stored::Extent(offset) = way.stored() {
            let bytes = view.count() * view.stored_points() * element as u64;
            files[0].check_length(offset + bytes)?;
            let lies = view.is_row_by_row() && value.len() == element;
            direct = lies.then_some(offset);
        }
        let bytes = value.len();
        let how = match direct {
            Some(offset) => How::Direct { offset },
            None => {
                let value = (element, value);
                How::Tiles(Arc::new(Tiles::new(&files, name, view.clone(), way, value)))
            }
        };
        Ok(Self { files, field: None, may_grow, view, element, value: bytes, how, decoding })
    }

    /// The field of the dataset's records that they hold, if it isn't all of them.
    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    /// The files that are read; the first is that of the dataset itself.
    pub fn files(&self) -> &[Arc<RawFile>] {
        &self.files
    }

    /// Reads their only file by way of this descriptor from now on; without one, it is opened only
    /// when it is read. `false` if that can't be, since the library reads it, or there are others.
    pub fn hold(&mut self, file: Option<File>) -> bool {
        let [own] = self.files.as_slice() else { return false };
        let files = vec![Arc::new(own.by_way_of(file))];
        if let How::Tiles(tiles) = &mut self.how {
            let is_library = matches!(tiles.way.reading(), Reading::Library(_));
            let Some(tiles) = Arc::get_mut(tiles).filter(|_| !is_library) else { return false };
            tiles.files.clone_from(&files);
        }
        self.files = files;
        true
    }

    /// Lets the system's cache forget what is read of them.
    pub fn forget(&self) {
        self.files.iter().for_each(|file| file.forget());
    }

    /// Reads them past the system's cache, unless that has most of them: it couldn't keep them all.
    pub fn pass_by_cache(&self) {
        self.files.iter().for_each(|file| file.pass_by());
    }

    /// Whether to read them again is to copy them from the system's cache, as they are.
    pub fn are_near(&self) -> bool {
        matches!(self.how, How::Direct { .. })
            && self.view.arrangement().is_none()
            && self.own().stays_in_cache()
    }

    /// Bytes of memory that each thread takes that reads them, besides what it reads into.
    pub fn reader_bytes(&self) -> u64 {
        if self.files.iter().any(|file| file.passes_by(u64::MAX)) { READER_BYTES } else { 0 }
    }

    /// Reads what is announced ahead, where it is read past the system's cache.
    pub fn fetch_ahead(&self) {
        if matches!(self.how, How::Direct { .. }) {
            self.own().fetch_ahead();
        }
    }

    /// Bytes of memory that this takes.
    pub fn ahead_bytes(&self) -> u64 {
        if self.own().is_fetched_ahead() { AHEAD_BYTES } else { 0 }
    }

    /// How many bytes lie between what is read and what is to be announced meanwhile.
    pub fn distance(&self) -> u64 {
        self.own().distance()
    }

    /// Whether this file is among them.
    pub fn read_from(&self, file: &File) -> bool {
        FileId::of(file).is_ok_and(|id| self.files().iter().any(|raw| raw.opened.id == id))
    }

    fn own(&self) -> &RawFile {
        &self.files[0]
    }

    /// Whether the dataset itself lies in this file.
    pub fn are_in(&self, file: &File) -> bool {
        FileId::of(file).is_ok_and(|id| self.file_id() == id)
    }

    /// The rows of a dataset whose first axis are the positions.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn by_first_axis(file: OpenFile<'_>, dataset: &Dataset) -> Result<Self> {
        let shape = region::lengths(&dataset.shape());
        Self::new(file, dataset, View::new(shape, vec![0]))
    }

    /// The file that the rows are in.
    pub fn path(&self) -> &Path {
        &self.own().path
    }

    /// Which file that is.
    pub fn file_id(&self) -> FileId {
        self.own().opened.id
    }

    /// Whether rows may come to be in other files too.
    pub fn may_grow(&self) -> bool {
        self.may_grow
    }

    /// Bytes of one row.
    pub fn row_bytes(&self) -> usize {
        self.view.points() as usize * self.value
    }

    /// Bytes that are read for one row.
    fn read_bytes(&self) -> usize {
        self.view.read_points() as usize * self.value
    }

    /// Bytes that are needed for each row while it is put together.
    pub fn aside_bytes(&self) -> u64 {
        self.view.arrangement().map_or(0, |_| self.read_bytes() as u64)
    }

    /// Bytes of one row of the dataset, whatever of it is wanted.
    pub fn stored_row_bytes(&self) -> u64 {
        self.view.stored_points() * self.element as u64
    }

    /// Bytes of all values of the dataset.
    pub fn bytes(&self) -> u64 {
        self.view.count() * self.stored_row_bytes()
    }

    /// The dataset as positions × spectrum.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// What turns the stored bytes into numbers.
    pub fn decoding(&self) -> &Decoding {
        &self.decoding
    }

    /// The chunks that are decoded, for people, if any are.
    pub fn chunking(&self) -> Option<Chunking> {
        self.tiles()?.way.chunking()
    }

    /// The tiles that are read, unless rows lie side by side.
    pub fn tiles(&self) -> Option<&Arc<Tiles>> {
        match &self.how {
            How::Direct { .. } => None,
            How::Tiles(tiles) => Some(tiles),
        }
    }

    /// How the rows are read.
    pub fn reading(&self) -> Reading {
        match self.tiles().map_or(Reading::Direct, |tiles| tiles.way.reading()) {
            // Only a field of each element is taken out of them.
            Reading::Transposed if self.view.is_row_by_row() => Reading::Direct,
            other => other,
        }
    }

    /// Whether these are the rows of `dataset`, at the same place in the same file.
    pub fn are_those_of(&self, dataset: &Dataset) -> bool {
        let Ok(Some(ValuesNow { files, way })) = dataset.values_now(self.field.as_deref()) else {
            return false;
        };
        let same = |(one, other): (&Arc<RawFile>, &Arc<RawFile>)| one.opened.id == other.opened.id;
        if files.len() != self.files.len() || !files.iter().zip(&self.files).all(same) {
            return false;
        }
        match &self.how {
            How::Direct { offset } => matches!(way.stored(), Stored::Extent(at) if at == *offset),
            How::Tiles(tiles) => tiles.way.is_same(&*way),
        }
    }

    /// Bytes that the table of the chunks takes.
    pub fn table_bytes(&self) -> u64 {
        self.tiles().map_or(0, |tiles| tiles.way.table_bytes())
    }

    /// Bytes of memory that reading positions by themselves takes: a tile with all that belongs to
    /// its cell.
    pub fn memory_alone(&self) -> u64 {
        self.tiles().map_or(0, |tiles| {
            tiles.worker_bytes() + tiles.per_cell().saturating_mul(tiles.tile_bytes())
        })
    }

    /// Whether it is known where the bytes lie.
    pub fn has_known_place(&self) -> bool {
        !matches!(self.stored(), Stored::Elsewhere)
    }

    /// Where the bytes lie.
    pub fn stored(&self) -> Stored<'_> {
        match &self.how {
            How::Direct { offset } => Stored::Extent(*offset),
            How::Tiles(tiles) => tiles.way.stored(),
        }
    }

    /// Reads stored bytes; what lies past the end of the file is left out. A sample of them isn't
    /// to be in the system's cache afterwards.
    ///
    /// # Errors
    /// If they can't be read.
    pub fn read_stored(
        &self,
        offset: u64,
        bytes: &mut Vec<u8>,
        (length, is_sample): (u64, bool),
    ) -> Result<()> {
        let raw = self.own();
        bytes.resize(raw.length()?.saturating_sub(offset).min(length) as usize, 0);
        if is_sample {
            let read = raw.read_apart(bytes, offset);
            return read.map_err(|error| raw.failed(offset + bytes.len() as u64, error));
        }
        self.read_at(offset, bytes)
    }

    /// Chunks count as decoded from now on.
    pub fn count_decoded_anew(&self) {
        if let Some(tiles) = self.tiles() {
            tiles.decoded.store(0, Ordering::Relaxed);
        }
    }

    /// Chunks decoded so far, and how many are stored; `None` if the dataset isn't read by chunks.
    pub fn chunks_decoded(&self) -> Option<(u64, u64)> {
        let tiles = self.tiles()?;
        Some((tiles.decoded.load(Ordering::Relaxed), tiles.way.chunks()?))
    }

    /// A reader for some positions, steps on each axis of the scan, which reads each of their tiles
    /// once.
    pub fn block(&self, positions: Region) -> Option<Arc<Block>> {
        self.tiles().map(|tiles| Arc::new(Block::new(tiles, positions)))
    }

    /// Tells the system that these rows will be read soon.
    pub fn announce(&self, first: u64, count: u64) {
        if let How::Direct { offset } = &self.how {
            let row_bytes = self.read_bytes() as u64;
            let start = offset + first * row_bytes;
            let length = count * row_bytes;
            self.own().announce(start, length);
        }
    }

    /// Fills `bytes` with what lies `at` bytes into the row of a position, where rows lie side by
    /// side as they are wanted; `false` if they don't.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn read_within(&self, position: u64, at: usize, bytes: &mut [u8]) -> Result<bool> {
        let How::Direct { offset } = &self.how else { return Ok(false) };
        if self.view.arrangement().is_some() {
            return Ok(false);
        }
        self.read_at(offset + position * self.read_bytes() as u64 + at as u64, bytes)?;
        Ok(true)
    }

    fn read_direct(&self, offset: u64, first: u64, rows: &mut [u8]) -> Result<()> {
        self.read_at(offset + first * self.read_bytes() as u64, rows)
    }

    fn read_at(&self, start: u64, bytes: &mut [u8]) -> Result<()> {
        let raw = self.own();
        raw.read_exact_at(bytes, start)
            .map_err(|error| raw.failed(start + bytes.len() as u64, error))
    }
}

impl ReadChunk for Rows {
    fn read<'a>(&'a self, positions: &[Range<u64>], rows: &mut ReadRows<'a>) -> Result<()> {
        self.read_into(positions, rows.bytes_mut())
    }
}

impl Rows {
    /// Fills `rows` with the rows of some positions.
    ///
    /// # Errors
    /// If they can't be read.
    pub fn read_into(&self, positions: &[Range<u64>], rows: &mut [u8]) -> Result<()> {
        match &self.how {
            How::Tiles(tiles) => tiles.read_alone(positions, rows),
            How::Direct { offset } => arranged(&self.view, self.value, rows, |rows| {
                self.read_runs(*offset, positions, rows)
            }),
        }
    }

    fn read_runs(&self, offset: u64, positions: &[Range<u64>], mut rows: &mut [u8]) -> Result<()> {
        let row_bytes = self.read_bytes();
        let mut stretch = Vec::new();
        for near in near_each_other(positions, row_bytes as u64) {
            let all = near[0].start..near[near.len() - 1].end;
            if near.len() > 1 {
                stretch.resize((all.end - all.start) as usize * row_bytes, 0);
                self.read_direct(offset, all.start, &mut stretch)?;
            }
            for run in near {
                let bytes = (run.end - run.start) as usize * row_bytes;
                let (part, rest) = rows.split_at_mut(bytes);
                if near.len() > 1 {
                    let begin = (run.start - all.start) as usize * row_bytes;
                    part.copy_from_slice(&stretch[begin..begin + bytes]);
                } else {
                    self.read_direct(offset, run.start, part)?;
                }
                rows = rest;
            }
        }
        Ok(())
    }
}

/// Bytes between two runs that are read with them: as many as the system reads at once anyway.
const GAP_BYTES: u64 = 4096;
/// Bytes that are read at once at most where there are gaps: so few that they needn't be counted.
const STRETCH_BYTES: u64 = 64 << 10;

/// Ascending runs, those together that one call reads sooner than several.
fn near_each_other(runs: &[Range<u64>], row_bytes: u64) -> impl Iterator<Item = &[Range<u64>]> {
    let mut left = runs;
    std::iter::from_fn(move || {
        let first = left.first()?.start;
        let is_near = |pair: &[Range<u64>]| {
            pair[1].start >= pair[0].end
                && (pair[1].start - pair[0].end) * row_bytes <= GAP_BYTES
                && (pair[1].end - first) * row_bytes <= STRETCH_BYTES
        };
        let count = 1 + left.windows(2).take_while(|pair| is_near(pair)).count();
        let (near, rest) = left.split_at(count);
        left = rest;
        Some(near)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_with_small_gaps_are_read_together() {
        let near = |runs: &[Range<u64>], row_bytes| {
            near_each_other(runs, row_bytes).map(<[Range<u64>]>::len).collect::<Vec<_>>()
        };
        let runs = [0..1, 2..3, 4..10, 200..201, 202..203];
        assert_eq!(near(&runs, 16), [5]);
        assert_eq!(near(&runs, 1024), [3, 2]);
        assert_eq!(near(&runs, 8192), [1; 5]);
        assert_eq!(near(&[5..6, 1..2], 16), [1, 1], "they go on in another order");
        let long = [0..2_000, 2_001..4_000, 4_001..5_000];
        assert_eq!(near(&long, 16), [2, 1]);
        assert!(near(&[], 16).is_empty());
    }
}
