//! Rows of a dataset as bytes, one per position: straight from the file where HDF5 says they lie, from
//! tiles where they don't lie side by side, or through the library.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hdf5::Dataset;
use hdf5::dataset::Layout;

pub(crate) use super::chunk_table::Chunk;
use super::chunk_table::{self, ChunkTable};
use super::datatype;
use super::decoding::Decoding;
use super::file::check_length;
use super::file_state::{FileId, FileState};
use super::filters::Pipeline;
use super::library;
use super::text;
use super::tiles::{Block, Kind, Tiles};
use super::transaction;
use crate::error::{Error, Result};
use crate::process::{ReadChunk, ReadRows};
use crate::view::{Bounds, View};

/// A file that is read past HDF5.
pub(crate) struct RawFile {
    /// The name that it was opened by.
    pub path: PathBuf,
    pub file: File,
    /// As the file was before anything of the dataset was read.
    pub opened: FileState,
}

impl RawFile {
    fn new(path: PathBuf, file: File) -> Result<Self> {
        let opened = FileState::of(&file).map_err(|error| Error::io("read", &path, error))?;
        Ok(Self { path, file, opened })
    }

    /// The file that holds `dataset`; `path` and `file` tell which it is if HDF5 doesn't.
    fn holding(dataset: &Dataset, (path, file): (&Path, &File)) -> Result<Self> {
        if let Some((path, file)) = transaction::holder(dataset)? {
            return Self::new(path, file);
        }
        let file = file.try_clone().map_err(|error| Error::io("read", path, error))?;
        Self::new(path.to_owned(), file)
    }
}

/// The rows of one dataset.
pub(crate) struct Rows {
    /// Where they lie; the first file is that of the dataset itself.
    files: Vec<RawFile>,
    view: View,
    row_bytes: usize,
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

/// How rows are read, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Straight from the file, row by row.
    Direct,
    /// Straight from the file, in stretches that are turned round.
    Transposed,
    /// Chunk by chunk, undoing their filters on all workers.
    Chunks,
    /// Through the HDF5 library, with the reason.
    Library(String),
}

/// The chunks of a dataset, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunking {
    /// Length of a chunk on each axis of the array.
    pub shape: Vec<u64>,
    /// Number of stored chunks.
    pub count: u64,
    /// Bytes of all stored chunks.
    pub stored_bytes: u64,
    /// The filters, in the order in which they were applied.
    pub filters: Vec<String>,
}

/// Where a dataset's bytes lie, for hashing them as they are stored.
pub(crate) enum Stored<'a> {
    Extent {
        offset: u64,
        bytes: u64,
    },
    Chunks(&'a [Chunk]),
    /// Only the rows themselves can be had.
    Elsewhere,
}

impl Rows {
    /// The rows of `dataset`, seen as `view`, of the file at `path`, opened as `file`, or of another that a
    /// link of this one leads to.
    ///
    /// # Errors
    /// If the file has less bytes than the dataset needs, or nothing can undo one of its filters.
    pub fn new(path: &Path, file: &File, dataset: &Dataset, view: View) -> Result<Self> {
        let refused =
            |error: hdf5::Error| Error::dataset("read", path, &text::name(dataset), &error);
        let raw = RawFile::holding(dataset, (path, file))?;
        let RawFile { path, file, .. } = &raw;
        let element = dataset.dtype().and_then(datatype::memory_type).map_err(refused)?.size();
        let row_bytes = view.points() as usize * element;
        if view.shape.contains(&0) || element == 0 {
            return Err(Error::not_main(path, &text::name(dataset), "it is empty".to_owned()));
        }
        let kind = kind(path, dataset)?;
        let decoding = Decoding::of(dataset, kind.is_whole()).map_err(refused)?;
        let how = match kind {
            Kind::Extent { offset } => {
                check_length("read", path, file, offset + view.count() * row_bytes as u64)?;
                if view.is_row_by_row() {
                    How::Direct { offset }
                } else {
                    tiles(file, path, dataset, &view, Kind::Extent { offset }, element)?
                }
            }
            kind => tiles(file, path, dataset, &view, kind, element)?,
        };
        Ok(Self { files: vec![raw], view, row_bytes, how, decoding })
    }

    /// The files that are read; the first is that of the dataset itself.
    pub fn files(&self) -> &[RawFile] {
        &self.files
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
    pub fn by_first_axis(path: &Path, file: &File, dataset: &Dataset) -> Result<Self> {
        let shape = dataset.shape().iter().map(|length| *length as u64).collect();
        Self::new(path, file, dataset, View::new(shape, vec![0]))
    }

    /// The file that the rows are in.
    pub fn path(&self) -> &Path {
        &self.own().path
    }

    /// Which file that is.
    pub fn file_id(&self) -> FileId {
        self.own().opened.id
    }

    /// What that file was like before anything of the dataset was read; `None` if rows may be in others too.
    pub fn opened_state(&self) -> Option<&FileState> {
        Some(&self.own().opened).filter(|_| !matches!(self.stored(), Stored::Elsewhere))
    }

    /// What that file is like.
    ///
    /// # Errors
    /// Those of the system.
    pub fn state(&self) -> io::Result<FileState> {
        FileState::of(&self.own().file)
    }

    /// Bytes of one row.
    pub fn row_bytes(&self) -> usize {
        self.row_bytes
    }

    /// Bytes of all rows.
    pub fn bytes(&self) -> u64 {
        self.view.count() * self.row_bytes as u64
    }

    /// The dataset as positions × spectrum.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// What turns the stored bytes into numbers.
    pub fn decoding(&self) -> &Decoding {
        &self.decoding
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
        match self.tiles().map(|tiles| &tiles.kind) {
            None => Reading::Direct,
            Some(Kind::Extent { .. }) => Reading::Transposed,
            Some(Kind::Chunks { .. }) => Reading::Chunks,
            Some(Kind::Library { why, .. }) => Reading::Library(why.clone()),
        }
    }

    /// Whether these are the rows of `dataset`, at the same place in the same file.
    pub fn are_those_of(&self, dataset: &Dataset) -> bool {
        let own = self.own();
        let Ok(holder) = RawFile::holding(dataset, (&own.path, &own.file)) else { return false };
        if !self.are_in(&holder.file) {
            return false;
        }
        let Ok(found) = kind(&own.path, dataset) else { return false };
        match (&self.how, &found) {
            (How::Direct { offset }, Kind::Extent { offset: other }) => offset == other,
            (How::Tiles(tiles), found) => match (&tiles.kind, found) {
                (Kind::Extent { offset }, Kind::Extent { offset: other }) => offset == other,
                (Kind::Chunks { table, .. }, Kind::Chunks { table: other, .. }) => {
                    table.chunks == other.chunks
                }
                (Kind::Library { why, .. }, Kind::Library { why: other, .. }) => why == other,
                _ => false,
            },
            _ => false,
        }
    }

    /// Bytes that the table of the chunks takes.
    pub fn table_bytes(&self) -> u64 {
        match self.tiles().map(|tiles| &tiles.kind) {
            Some(Kind::Chunks { table, .. }) => table.bytes(),
            _ => 0,
        }
    }

    /// Where the bytes lie.
    pub fn stored(&self) -> Stored<'_> {
        let bytes = self.bytes();
        match (&self.how, self.tiles().map(|tiles| &tiles.kind)) {
            (How::Direct { offset }, _) | (_, Some(Kind::Extent { offset })) => {
                Stored::Extent { offset: *offset, bytes }
            }
            (_, Some(Kind::Chunks { table, .. })) => Stored::Chunks(&table.chunks),
            _ => Stored::Elsewhere,
        }
    }

    /// Reads stored bytes; what lies past the end of the file is left out.
    ///
    /// # Errors
    /// If they can't be read.
    pub fn read_stored(&self, offset: u64, bytes: &mut Vec<u8>, length: u64) -> Result<()> {
        let RawFile { path, file, .. } = self.own();
        let there = file.metadata().map_err(|error| Error::io("read", path, error))?.len();
        bytes.resize(there.saturating_sub(offset).min(length) as usize, 0);
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
        match &tiles.kind {
            Kind::Chunks { table, .. } => {
                Some((tiles.decoded.load(Ordering::Relaxed), table.chunks.len() as u64))
            }
            _ => None,
        }
    }

    /// A reader for the positions within `bounds`, which reads each of their tiles once.
    pub fn block(&self, bounds: Bounds) -> Option<Arc<Block>> {
        self.tiles().map(|tiles| Arc::new(Block::new(tiles, bounds)))
    }

    /// Tells the system that these rows will be read soon.
    pub fn announce(&self, first: u64, count: u64) {
        if let How::Direct { offset } = &self.how {
            let start = offset + first * self.row_bytes as u64;
            let length = count * self.row_bytes as u64;
            // SAFETY: advice on an open file; it touches no memory, and may be ignored.
            unsafe {
                libc::posix_fadvise(
                    self.own().file.as_raw_fd(),
                    start as libc::off_t,
                    length as libc::off_t,
                    libc::POSIX_FADV_WILLNEED,
                );
            }
        }
    }

    fn read_direct(&self, offset: u64, first: u64, rows: &mut [u8]) -> Result<()> {
        self.read_at(offset + first * self.row_bytes as u64, rows)
    }

    fn read_at(&self, start: u64, bytes: &mut [u8]) -> Result<()> {
        let RawFile { path, file, .. } = self.own();
        file.read_exact_at(bytes, start).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Error::Truncated {
                path: path.clone(),
                length: file.metadata().map_or(0, |metadata| metadata.len()),
                needed: start + bytes.len() as u64,
            },
            _ => Error::io("read", path, error),
        })
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
    pub fn read_into(&self, positions: &[Range<u64>], mut rows: &mut [u8]) -> Result<()> {
        let offset = match &self.how {
            How::Direct { offset } => *offset,
            How::Tiles(tiles) => return tiles.read_alone(positions, rows),
        };
        for run in positions {
            let (part, rest) = rows.split_at_mut((run.end - run.start) as usize * self.row_bytes);
            self.read_direct(offset, run.start, part)?;
            rows = rest;
        }
        Ok(())
    }
}

fn tiles(
    file: &File,
    path: &Path,
    dataset: &Dataset,
    view: &View,
    kind: Kind,
    element: usize,
) -> Result<How> {
    let file = file.try_clone().map_err(|error| Error::io("read", path, error))?;
    let named = (path.to_owned(), text::name(dataset));
    Ok(How::Tiles(Arc::new(Tiles::new(file, named, view.clone(), kind, element))))
}

/// How the dataset is stored, and with it how it is read.
fn kind(path: &Path, dataset: &Dataset) -> Result<Kind> {
    let through_library = |why: &str, is_chunked| Kind::Library {
        dataset: dataset.clone(),
        why: why.to_owned(),
        is_chunked,
    };
    let is_chunked = dataset.is_chunked();
    if dataset.dtype().is_ok_and(|datatype| !datatype::is_plain(&datatype)) {
        return Ok(through_library("its numbers aren't in a usual form", is_chunked));
    }
    match dataset.layout() {
        Layout::Contiguous => {}
        Layout::Chunked => return chunked(path, dataset),
        Layout::Compact => return Ok(through_library("compact", false)),
        Layout::Virtual => {
            check_sources(path, dataset)?;
            return Ok(through_library("virtual", false));
        }
    }
    let external = dataset.dcpl().map(|list| list.external()).unwrap_or_default();
    if !external.is_empty() {
        let names = external.iter().map(|part| part.name.as_str());
        check_files(path, dataset, "is stored in", names)?;
        return Ok(through_library("external storage", false));
    }
    Ok(match dataset.offset() {
        Some(offset) => Kind::Extent { offset },
        None => through_library("no storage allocated", false),
    })
}

fn chunked(path: &Path, dataset: &Dataset) -> Result<Kind> {
    let refused = |error: hdf5::Error| Error::dataset("read", path, &text::name(dataset), &error);
    let filters = chunk_table::filters(dataset).map_err(refused)?;
    let element = dataset.dtype().map_err(refused)?.size();
    match Pipeline::new(&filters, element) {
        Ok(_) if !chunk_table::addresses_are_known(dataset) => Ok(Kind::Library {
            dataset: dataset.clone(),
            why: "chunked behind a user block".to_owned(),
            is_chunked: true,
        }),
        Ok(pipeline) => {
            let table = ChunkTable::read(dataset).map_err(refused)?;
            let fill = library::fill_value(dataset).map_err(refused)?;
            Ok(Kind::Chunks { table, pipeline, fill })
        }
        Err(unknown) if filters.iter().all(|filter| chunk_table::library_can_undo(filter.id)) => {
            Ok(Kind::Library {
                dataset: dataset.clone(),
                why: unknown.to_string(),
                is_chunked: true,
            })
        }
        Err(unknown) => Err(Error::Filter {
            path: path.to_owned(),
            dataset: text::name(dataset),
            filter: unknown.to_string(),
        }),
    }
}

/// The chunks of a dataset, if it has any.
pub(crate) fn chunking(dataset: &Dataset) -> Option<Chunking> {
    let table = ChunkTable::read(dataset).ok()?;
    let filters = chunk_table::filters(dataset).ok()?;
    let element = dataset.dtype().ok()?.size();
    let names = Pipeline::new(&filters, element).map_or_else(
        |_| filters.iter().map(|filter| filter.name.clone()).collect(),
        |pipeline| pipeline.names(),
    );
    Some(Chunking {
        count: table.chunks.len() as u64,
        stored_bytes: table.stored_bytes(),
        shape: table.chunk,
        filters: names,
    })
}

/// HDF5 takes what is missing of a virtual dataset for fill values, without a word.
fn check_sources(path: &Path, dataset: &Dataset) -> Result<()> {
    let sources = library::virtual_files(dataset)
        .map_err(|error| Error::dataset("read", path, &text::name(dataset), &error))?;
    // The dot is the file itself; a percent sign stands for a row of files, of which some may lack.
    let names =
        sources.iter().map(String::as_str).filter(|name| *name != "." && !name.contains('%'));
    check_files(path, dataset, "is virtual and takes its data from", names)
}

fn check_files<'a>(
    path: &Path,
    dataset: &Dataset,
    how: &'static str,
    names: impl Iterator<Item = &'a str>,
) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new(""));
    for name in names {
        if !folder.join(name).exists() && !Path::new(name).exists() {
            let (path, dataset) = (path.to_owned(), text::name(dataset));
            return Err(Error::MissingSource { path, dataset, how, missing: name.to_owned() });
        }
    }
    Ok(())
}
