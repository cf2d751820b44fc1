//! Virtual datasets: of which parts of which datasets they are put together, and whether these can
//! be had.
//!
//! HDF5 takes what it can't have of a virtual dataset for fill values, without a word. So each
//! source is opened once before anything is computed, by HDF5's own rules for where it is
//! (`referred_files`), and what is missing is named. What HDF5 means to be fill values stays so:
//! what no mapping covers, and what lies behind the end of a row of numbered sources (`%b`), which
//! may still grow.
//!
//! Where all mappings are boxes of datasets that can be read without HDF5, a `Mosaic` of these is
//! made.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hdf5::dataset::Layout;
use hdf5::{Dataset, File};
use hdf5_sys::{h5i::hid_t, h5p, h5s};

use super::super::file_state::FileId;
use super::super::raw_file::{RawFile, allow_more_files, kept_open};
use super::super::refused::Refused;
use super::super::tiles::{Mosaic, Part, Reading, SourceArray, Stored};
use super::file::{open_read, open_read_locked};
use super::referred_files::{find_raw, find_source};
use super::stored_way::{has_raw_files, stored_way};
use super::transaction::{self, Access};
use super::{library, text};
use crate::region::{self, Region};
use pixelmill_core::error::{Error, Result};
use pixelmill_core::foreign_text::decoded;

const FROM: &str = "is virtual and takes its data from";
const STORED: &str = "is stored in";
/// Virtual datasets of virtual datasets deeper than this aren't followed: they may go round in a
/// circle.
const DEEPEST: usize = 16;

/// Where the data of a dataset come from.
pub(crate) struct Composition {
    /// The files; the first is that of the dataset itself.
    pub files: Vec<Arc<RawFile>>,
    /// Whether files may join that aren't there yet.
    pub may_grow: bool,
    /// How the parts are read without HDF5, if they can be.
    pub mosaic: Option<Mosaic>,
}

/// Finds all that a virtual dataset, or one with external storage, takes its data from. Any other
/// is in its own file alone.
///
/// # Errors
/// If something is missing or can't be read, by its name.
pub(crate) fn compose(own: RawFile, access: Access, dataset: &Dataset) -> Result<Composition> {
    let path = own.path.clone();
    let mut search = Search { files: vec![own], may_grow: false, limit: kept_open() };
    let mut mosaic = None;
    match dataset.layout() {
        Layout::Virtual => {
            let virtual_one = Virtual { dataset, path: &path, access, depth: 0 };
            mosaic = search.sources(&virtual_one)?;
        }
        Layout::Contiguous => search.raw_files(&path, dataset)?,
        _ => {}
    }
    let files = search.files.into_iter().map(Arc::new).collect();
    Ok(Composition { files, may_grow: search.may_grow, mosaic })
}

/// Checks that everything can be had that a dataset takes its data from, before HDF5 reads it.
///
/// # Errors
/// As [`compose`].
pub(crate) fn check(dataset: &Dataset) -> Result<()> {
    if dataset.layout() != Layout::Virtual && !has_raw_files(dataset) {
        return Ok(());
    }
    let Some((path, file, access)) = transaction::holder(dataset)? else { return Ok(()) };
    compose(RawFile::new(path, file)?, access, dataset).map(|_| ())
}

/// Paths of the datasets of its own file that a dataset is put together from, by whatever name the
/// file is called there.
pub(crate) fn parts_here(dataset: &Dataset) -> Vec<String> {
    if dataset.layout() != Layout::Virtual {
        return Vec::new();
    }
    let (path, own) = (PathBuf::from(dataset.filename()), transaction::key(dataset));
    let is_own = |file: &OsStr| {
        let found = || FileId::of(&find_source(&path, file).ok()?.1).ok();
        file == "." || own.is_some() && found() == own
    };
    // Parts of one file mostly follow each other.
    let (mut parts, mut last) = (Vec::new(), (OsString::from("."), true));
    let all = mappings(dataset).unwrap_or_default();
    for mapping in all.iter().filter(|mapping| !mapping.is_numbered()) {
        let (file, part) = mapping.names(0);
        if file != last.0 {
            last.1 = is_own(&file);
            last.0 = file;
        }
        if last.1 {
            parts.push(part);
        }
    }
    parts
}

struct Search {
    files: Vec<RawFile>,
    may_grow: bool,
    /// How many files stay open.
    limit: usize,
}

/// A virtual dataset, and the name by which its file was opened.
struct Virtual<'a> {
    dataset: &'a Dataset,
    path: &'a Path,
    access: Access,
    depth: usize,
}

impl Virtual<'_> {
    fn refused(&self, error: hdf5::Error) -> Error {
        Refused::from(error).on_object("read", self.path, &text::name(self.dataset))
    }

    fn missing(&self, what: String) -> Error {
        let (path, dataset) = (self.path.to_owned(), text::name(self.dataset));
        Error::MissingSource { path, dataset, how: FROM, missing: what }
    }

    fn unreadable(&self, part: String, reason: String) -> Error {
        let (path, dataset) = (self.path.to_owned(), text::name(self.dataset));
        Error::UnreadableSource { path, dataset, how: FROM, part, reason }
    }
}

/// A file of sources while it is looked into.
struct Opened {
    name: OsString,
    path: PathBuf,
    file: File,
}

/// A dataset that is a source, and how it can be read.
struct Source {
    names: (OsString, String),
    array: Option<SourceArray>,
    shape: Vec<u64>,
}

impl Search {
    /// Looks up all sources of a virtual dataset.
    fn sources(&mut self, of: &Virtual<'_>) -> Result<Option<Mosaic>> {
        if of.depth == DEEPEST {
            let reason = "one virtual dataset stands for another too often".to_owned();
            return Err(of.unreadable(text::name(of.dataset), reason));
        }
        let shape = region::lengths(&of.dataset.shape());
        let mappings = mappings(of.dataset).map_err(|error| of.refused(error))?;
        let (mut known, mut opened): (Vec<Source>, Option<Opened>) = (Vec::new(), None);
        let mut parts = Some(Vec::new());
        for mapping in &mappings {
            if mapping.is_numbered() {
                self.numbered(of, mapping, &mut known, &mut opened)?;
                parts = None;
                continue;
            }
            let names = mapping.names(0);
            let index = match known.iter().rposition(|source| source.names == names) {
                Some(index) => index,
                None => {
                    let source = self.source(of, names, &mut opened)?;
                    known.push(source);
                    known.len() - 1
                }
            };
            let part = mapping.part(of, index, &known[index], &shape)?;
            parts = parts.take().zip(part).map(|(mut parts, part)| {
                parts.push(part);
                parts
            });
        }
        let arrays: Option<Vec<SourceArray>> =
            known.into_iter().map(|source| source.array).collect();
        let fill = library::fill_value(of.dataset).map_err(|error| of.refused(error))?;
        Ok(parts.zip(arrays).map(|(parts, arrays)| Mosaic::new(arrays, parts, fill)))
    }

    /// Looks up a row of numbered sources, up to the first that isn't there: HDF5 lets the dataset
    /// end there.
    fn numbered(
        &mut self,
        of: &Virtual<'_>,
        mapping: &Mapping,
        known: &mut Vec<Source>,
        opened: &mut Option<Opened>,
    ) -> Result<()> {
        self.may_grow = true;
        let own = text::name(of.dataset);
        for number in 0.. {
            match self.source(of, mapping.names(number), opened) {
                Ok(source) => known.push(Source { array: None, ..source }),
                Err(Error::MissingSource { path, dataset, .. })
                    if path == of.path && dataset == own =>
                {
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Looks up one source.
    fn source(
        &mut self,
        of: &Virtual<'_>,
        names: (OsString, String),
        opened: &mut Option<Opened>,
    ) -> Result<Source> {
        if opened.as_ref().is_none_or(|opened| opened.name != names.0) {
            *opened = None;
            *opened = Some(self.open(of, &names.0)?);
        }
        let Some(Opened { path, file, .. }) = &*opened else {
            unreachable!("it has been opened just now")
        };
        let source = format!("`{}` of {}", names.1, path.display());
        let dataset =
            file.dataset(&names.1).map_err(|error| match file.loc_type_by_name(&names.1) {
                Ok(hdf5::LocationType::Dataset) => of.unreadable(source.clone(), error.to_string()),
                Ok(_) => of.unreadable(source.clone(), "it is no dataset".to_owned()),
                Err(_) => of.missing(source.clone()),
            })?;
        let Some((path, raw, access)) = transaction::holder(&dataset)? else {
            return Err(of.unreadable(source, "it isn't in a file".to_owned()));
        };
        let shape = region::lengths(&dataset.shape());
        let number = self.note(RawFile::new(path.clone(), raw)?);
        let array = match dataset.layout() {
            Layout::Virtual => {
                let depth = of.depth + 1;
                self.sources(&Virtual { dataset: &dataset, path: &path, access, depth })?;
                None
            }
            Layout::Contiguous if has_raw_files(&dataset) => {
                self.raw_files(&path, &dataset)?;
                None
            }
            _ => self.array(of, number, &dataset)?,
        };
        Ok(Source { names, array, shape })
    }

    /// How a source is read without HDF5; `None` if it can't be.
    fn array(
        &self,
        of: &Virtual<'_>,
        file: usize,
        dataset: &Dataset,
    ) -> Result<Option<SourceArray>> {
        let refused = |error: hdf5::Error| of.refused(error);
        let raw = &self.files[file];
        let way = stored_way(&raw.path, (dataset, None), None)?;
        let same_type = of.dataset.dtype().map_err(refused)? == dataset.dtype().map_err(refused)?;
        if !same_type || matches!(way.reading(), Reading::Library(_)) {
            return Ok(None);
        }
        let shape = region::lengths(&dataset.shape());
        if let Stored::Extent(offset) = way.stored() {
            let bytes = dataset.size() as u64 * dataset.dtype().map_err(refused)?.size() as u64;
            raw.check_length(offset + bytes)?;
        }
        Ok(Some(SourceArray { file, dataset: text::name(dataset), shape, way }))
    }

    /// Opens the file of sources that a virtual dataset names.
    fn open(&self, of: &Virtual<'_>, name: &OsStr) -> Result<Opened> {
        let own = |path: PathBuf| {
            let file = of.dataset.file().map_err(|error| of.refused(error))?;
            Ok(Opened { name: name.to_owned(), path, file })
        };
        if name == "." {
            return own(of.path.to_owned());
        }
        let shown = name.to_string_lossy().into_owned();
        let (path, raw) = find_source(of.path, name).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => of.missing(shown.clone()),
            _ => of.unreadable(shown.clone(), error.to_string()),
        })?;
        let id = |file: &std::fs::File| {
            FileId::of(file).map_err(|error| of.unreadable(shown.clone(), error.to_string()))
        };
        // HDF5 has the dataset's own file open, perhaps under a lock that keeps us out.
        let holder = transaction::holder(of.dataset)?;
        if holder.is_some_and(|(_, own, _)| FileId::of(&own).ok() == FileId::of(&raw).ok()) {
            return own(path);
        }
        let held = match of.access {
            Access::Locked => open_read(&path)?,
            Access::Unlocked => open_read_locked(&path)?,
        };
        if id(&held.raw)? != id(&raw)? {
            return Err(of.unreadable(shown, "it was replaced while it was opened".to_owned()));
        }
        Ok(Opened { name: name.to_owned(), path, file: held.hdf5 })
    }

    /// Notes a file that data come from; returns its number.
    fn note(&mut self, mut raw: RawFile) -> usize {
        let known = self.files.iter().position(|file| file.opened.id == raw.opened.id);
        known.unwrap_or_else(|| {
            if self.files.len() >= self.limit {
                allow_more_files();
                raw.close();
            }
            self.files.push(raw);
            self.files.len() - 1
        })
    }

    /// Looks up the raw files of external storage, which HDF5 takes for zeros where they are too
    /// short.
    fn raw_files(&mut self, path: &Path, dataset: &Dataset) -> Result<()> {
        let parts = dataset.dcpl().map(|list| list.external()).unwrap_or_default();
        let element = dataset.dtype().map_or(0, |datatype| datatype.size());
        let mut left = dataset.size() as u64 * element as u64;
        for part in parts {
            let find = || find_raw(path, OsStr::new(&part.name));
            let (found, file) = find().map_err(|error| {
                let (path, dataset) = (path.to_owned(), text::name(dataset));
                let name = part.name.clone();
                match error.kind() {
                    io::ErrorKind::NotFound => {
                        Error::MissingSource { path, dataset, how: STORED, missing: name }
                    }
                    _ => Error::UnreadableSource {
                        path,
                        dataset,
                        how: STORED,
                        part: name,
                        reason: error.to_string(),
                    },
                }
            })?;
            // 0 stands for as much as there is to come.
            let bytes = if part.size == 0 { left } else { left.min(part.size as u64) };
            let raw = RawFile::new(found, file)?;
            if bytes > 0 {
                raw.check_length(part.offset as u64 + bytes)?;
            }
            left -= bytes;
            self.note(raw);
        }
        Ok(())
    }
}

/// A part of a virtual dataset and the part of a source that stands there.
struct Mapping {
    /// As HDF5 stores them: `%%` is a percent sign, `%b` a number.
    file: Vec<u8>,
    dataset: Vec<u8>,
    target: Hyperslab,
    source: Hyperslab,
}

/// What is selected of an array.
enum Hyperslab {
    All,
    /// Blocks in even distances: start, stride, count and length of a block on each axis.
    Regular([Vec<u64>; 4]),
    Other,
}

impl Hyperslab {
    /// The one box that it is.
    fn region(&self, shape: &[u64]) -> Option<Region> {
        let Self::Regular([start, stride, count, block]) = self else {
            return matches!(self, Self::All).then(|| Region::whole(shape));
        };
        let lengths = stride.iter().zip(count).zip(block).map(|((stride, count), block)| {
            let joins = *count == 1 || stride == block;
            count.checked_mul(*block).filter(|_| joins)
        });
        Some(Region { start: start.clone(), shape: lengths.collect::<Option<_>>()? })
    }

    fn is_unlimited(&self) -> bool {
        let Self::Regular([_, _, count, block]) = self else { return false };
        count.iter().chain(block).any(|number| *number == h5s::H5S_UNLIMITED)
    }
}

impl Mapping {
    /// Whether the sources are numbered, so that there may be more and more of them.
    fn is_numbered(&self) -> bool {
        let has_number = |name: &[u8]| numbered(name, 0).1;
        self.target.is_unlimited()
            && !self.source.is_unlimited()
            && (has_number(&self.file) || has_number(&self.dataset))
    }

    /// File and dataset of a source.
    fn names(&self, number: u64) -> (OsString, String) {
        let (file, dataset) = (numbered(&self.file, number).0, numbered(&self.dataset, number).0);
        (OsString::from_vec(file), decoded(&dataset))
    }

    /// The mapping as a pair of boxes; `None` if it is something else.
    ///
    /// # Errors
    /// If the source has become too small.
    fn part(
        &self,
        of: &Virtual<'_>,
        source: usize,
        found: &Source,
        shape: &[u64],
    ) -> Result<Option<Part>> {
        if self.target.is_unlimited() || self.source.is_unlimited() {
            return Ok(None);
        }
        let Some(from) = self.source.region(&found.shape) else { return Ok(None) };
        let axes = from.start.iter().zip(&from.shape);
        let ends = axes.map(|(start, length)| start.saturating_add(*length));
        let has_axes = from.shape.len() == found.shape.len();
        if !has_axes || ends.zip(&found.shape).any(|(end, all)| end > *all) {
            let name = format!("`{}` of {}", found.names.1, found.names.0.to_string_lossy());
            let reason = format!("its shape is only {:?}", found.shape);
            return Err(of.unreadable(name, reason));
        }
        Ok(self.target.region(shape).and_then(|at| Part::new(source, at, from)))
    }
}

/// A name with the number of a source put in, and whether it has a place for it.
fn numbered(name: &[u8], number: u64) -> (Vec<u8>, bool) {
    let (mut text, mut has_place) = (Vec::new(), false);
    let mut bytes = name.iter();
    while let Some(byte) = bytes.next() {
        match (byte, bytes.as_slice().first()) {
            (b'%', Some(b'b')) => {
                text.extend(number.to_string().into_bytes());
                has_place = true;
                bytes.next();
            }
            (b'%', Some(b'%')) => {
                text.push(b'%');
                bytes.next();
            }
            _ => text.push(*byte),
        }
    }
    (text, has_place)
}

/// The mappings of a virtual dataset, in the order in which they are read: later ones win.
fn mappings(dataset: &Dataset) -> hdf5::Result<Vec<Mapping>> {
    let list = dataset.dcpl()?;
    hdf5::sync::sync(|| {
        let mut count = 0;
        // SAFETY: the list is live, and `count` takes the one number that comes back.
        hdf5::h5check(unsafe { h5p::H5Pget_virtual_count(list.id(), &raw mut count) })?;
        // SAFETY: as many mappings as were counted.
        (0..count).map(|index| unsafe { mapping(list.id(), index) }).collect()
    })
}

/// # Safety
/// `list` must be an open dataset creation property list with more than `index` mappings.
unsafe fn mapping(list: hid_t, index: usize) -> hdf5::Result<Mapping> {
    // SAFETY: the list is live, each buffer has the length that is told (none asks for it), and the
    // spaces that come back are ours.
    unsafe {
        let file =
            name(|buffer, length| h5p::H5Pget_virtual_filename(list, index, buffer, length))?;
        let dataset =
            name(|buffer, length| h5p::H5Pget_virtual_dsetname(list, index, buffer, length))?;
        let target = hdf5::h5check(h5p::H5Pget_virtual_vspace(list, index))?;
        let target = selection(&hdf5::from_id(target)?);
        let source = hdf5::h5check(h5p::H5Pget_virtual_srcspace(list, index))?;
        let source = selection(&hdf5::from_id(source)?);
        Ok(Mapping { file, dataset, target, source })
    }
}

/// A name that HDF5 tells in two calls, the first of which gives its length.
fn name(ask: impl Fn(*mut std::ffi::c_char, usize) -> isize) -> hdf5::Result<Vec<u8>> {
    let length = |found: isize| {
        usize::try_from(found).map_err(|_| hdf5::Error::from("a virtual dataset without sources"))
    };
    let mut bytes = vec![0u8; length(ask(std::ptr::null_mut(), 0))? + 1];
    length(ask(bytes.as_mut_ptr().cast(), bytes.len()))?;
    bytes.pop();
    Ok(bytes)
}

fn selection(space: &hdf5::Dataspace) -> Hyperslab {
    // SAFETY: the space is live, here and below.
    match unsafe { h5s::H5Sget_select_type(space.id()) } {
        h5s::H5S_sel_type::H5S_SEL_ALL => Hyperslab::All,
        // SAFETY: each list has a place for every axis.
        h5s::H5S_sel_type::H5S_SEL_HYPERSLABS => unsafe {
            let rank = usize::try_from(h5s::H5Sget_simple_extent_ndims(space.id())).unwrap_or(0);
            let [mut start, mut stride, mut count, mut block] =
                std::array::from_fn(|_| vec![0; rank]);
            let regular = h5s::H5Sis_regular_hyperslab(space.id()) > 0
                && h5s::H5Sget_regular_hyperslab(
                    space.id(),
                    start.as_mut_ptr(),
                    stride.as_mut_ptr(),
                    count.as_mut_ptr(),
                    block.as_mut_ptr(),
                ) >= 0;
            if regular {
                Hyperslab::Regular([start, stride, count, block])
            } else {
                Hyperslab::Other
            }
        },
        _ => Hyperslab::Other,
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;

    #[test]
    fn percent_signs_stand_for_themselves_or_for_numbers() {
        let text = |name: &str| {
            let (text, has_place) = numbered(name.as_bytes(), 7);
            (String::from_utf8(text).unwrap(), has_place)
        };
        assert_eq!(text("50%%_dose.h5"), ("50%_dose.h5".to_owned(), false));
        assert_eq!(text("f-%b.h5"), ("f-7.h5".to_owned(), true));
        assert_eq!(text("%%b%b%"), ("%b7%".to_owned(), true));
    }

    #[test]
    fn blocks_that_touch_are_one_box() {
        let regular = |numbers: [u64; 4]| Hyperslab::Regular(numbers.map(|number| vec![number]));
        let one = |range: Range<u64>| Some(std::iter::once(range).collect::<Region>());
        assert_eq!(regular([3, 5, 1, 2]).region(&[9]), one(3..5));
        assert_eq!(regular([3, 2, 3, 2]).region(&[9]), one(3..9));
        assert_eq!(regular([0, 4, 2, 2]).region(&[9]), None);
        assert_eq!(Hyperslab::All.region(&[9]), one(0..9));
        assert!(regular([0, 1, h5s::H5S_UNLIMITED, 1]).is_unlimited());
    }
}
