//! Where the bytes of a results group lie in the file, so that they can be written without HDF5.
//!
//! The one place where that is asked, and so the one where it is checked: what is written past HDF5 goes where
//! this says, and no library looks after it. A dataset counts only if it is the group's own, of exactly the
//! type and shape that a run writes, and if its bytes lie in this file, apart from those of all others.

use std::fs::File;
use std::ops::Range;

use hdf5::types::TypeDescriptor;
use hdf5::{Dataset, Datatype, Group, IndexType, IterationOrder, LinkType};
use serde::{Deserialize, Serialize};

use super::super::chunk_table::ChunkTable;
use super::super::datatype::column_type;
use super::super::in_place::Extent;
use super::super::library::create_filled;
use super::{
    Column, DIGEST, DIGEST_BYTES, DIGEST_LINES, FAILED, MESSAGE_BYTES, MESSAGE_LINES, MESSAGES,
    STATUS,
};
use pixelmill_core::error::{Error, Result};

/// Where the bytes of a group's datasets lie in the file.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// One per results dataset.
    pub columns: Vec<Place>,
    pub status: Extent,
    pub failed: Extent,
    pub messages: Extent,
    pub digest: Extent,
}

/// Where the rows of a results dataset lie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Place {
    /// One behind the other.
    Contiguous(Extent),
    /// So many positions in each of these chunks.
    Chunks { positions: u64, chunks: Vec<Extent> },
}

impl Place {
    /// The parts of the rows of `run`: each as an extent, the place in that, and its bytes among the rows.
    ///
    /// # Errors
    /// If there aren't so many positions.
    pub fn parts(
        &self,
        run: &Range<u64>,
        position_bytes: usize,
    ) -> Result<Vec<(Extent, u64, Range<usize>)>> {
        let bytes = |position: u64| (position - run.start) as usize * position_bytes;
        let at = |position: u64| position * position_bytes as u64;
        let (positions, chunks) = match self {
            Self::Contiguous(extent) => {
                return Ok(vec![(*extent, at(run.start), 0..bytes(run.end))]);
            }
            Self::Chunks { positions, chunks } => (positions, chunks),
        };
        let mut parts = Vec::new();
        let mut first = run.start;
        while first < run.end {
            let (chunk, within) = (first / positions, first % positions);
            let end = run.end.min((chunk + 1) * positions);
            let extent = chunks.get(chunk as usize).ok_or(Error::OutOfPlace {
                at: at(first),
                bytes: at(end - first),
                length: at(chunks.len() as u64 * positions),
            })?;
            parts.push((*extent, at(within), bytes(first)..bytes(end)));
            first = end;
        }
        Ok(parts)
    }

    fn extents(&self) -> &[Extent] {
        match self {
            Self::Contiguous(extent) => std::slice::from_ref(extent),
            Self::Chunks { chunks, .. } => chunks,
        }
    }
}

/// A dataset as a run needs it.
pub(super) struct Wanted<'a> {
    pub name: &'a str,
    pub datatype: Datatype,
    pub shape: Vec<usize>,
    /// How many axes, the first ones, are positions; chunks may hold whole steps of these.
    positions_axes: Option<usize>,
}

impl<'a> Wanted<'a> {
    /// A results dataset.
    pub fn column(column: &'a Column<'_>) -> hdf5::Result<Self> {
        Ok(Self {
            name: &column.layout.name,
            datatype: column_type(column.layout)?,
            shape: column.shape.clone(),
            positions_axes: Some(column.positions_axes),
        })
    }

    /// The status dataset, failed positions, messages, and what is known of the data.
    pub fn markers(positions: u64) -> hdf5::Result<[Self; 4]> {
        let plain = |name, datatype, length| Self {
            name,
            datatype,
            shape: vec![length],
            positions_axes: None,
        };
        let (byte, length) = (Datatype::from_type::<u8>()?, positions as usize);
        let line = |bytes| Datatype::from_descriptor(&TypeDescriptor::FixedUnicode(bytes));
        Ok([
            plain(STATUS, byte.clone(), length),
            plain(FAILED, byte, length),
            plain(MESSAGES, line(MESSAGE_BYTES)?, MESSAGE_LINES),
            plain(DIGEST, line(DIGEST_BYTES)?, DIGEST_LINES),
        ])
    }

    /// Creates it, of the status or the failures, as `name`: nothing is marked yet.
    pub fn create(&self, group: &Group, name: &str) -> hdf5::Result<Dataset> {
        let nothing = vec![0; self.datatype.size()];
        create_filled(group, name, &self.datatype, (&self.shape, None), &nothing)
    }

    /// Where the dataset of this name lies, if it is one that a run can write to; else why not.
    pub fn place(&self, group: &Group, file_length: u64) -> Result<Place, String> {
        let dataset = own_dataset(group, self.name)?;
        let same_type = dataset.dtype().is_ok_and(|found| found == self.datatype);
        if !same_type || dataset.shape() != self.shape {
            return Err(format!("its `{}` has another type or shape", self.name));
        }
        let place = place(&dataset, self.positions_axes)
            .ok_or_else(|| format!("its `{}` has no fixed place in the file", self.name))?;
        let inside = place.extents().iter().all(|extent| extent.end() <= file_length);
        inside.then_some(place).ok_or_else(|| {
            format!("its `{}` lies past the end of the file, which was cut off", self.name)
        })
    }
}

/// A dataset that is the group's own, and no link to one elsewhere.
pub(crate) fn own_dataset(group: &Group, name: &str) -> Result<Dataset, String> {
    let link = |found: &str, info: hdf5::LinkInfo| Ok((found == name).then_some(info.link_type));
    let link = group.find_link(IndexType::Name, IterationOrder::Native, link);
    match link.map_err(|error| error.to_string())? {
        Some(LinkType::Hard) => {}
        Some(_) => return Err(format!("its `{name}` is a link to another place")),
        None => return Err(format!("it has no dataset `{name}`")),
    }
    group.dataset(name).map_err(|_| format!("it has no dataset `{name}`"))
}

/// Asks HDF5 where the datasets of a group lie, in the file that is open as `raw`; the error says what
/// keeps a run from writing to them.
pub(crate) fn places(
    group: &Group,
    raw: &File,
    columns: &[Column<'_>],
    positions: u64,
) -> Result<Places, String> {
    let unreadable = |error: hdf5::Error| error.to_string();
    let length = raw.metadata().map_err(|error| error.to_string())?.len();
    let column = |column| Wanted::column(column).map_err(unreadable)?.place(group, length);
    let columns = columns.iter().map(column).collect::<Result<Vec<_>, _>>()?;
    let mut markers = [Extent::default(); 4];
    for (extent, wanted) in markers.iter_mut().zip(Wanted::markers(positions).map_err(unreadable)?)
    {
        match wanted.place(group, length)? {
            Place::Contiguous(found) => *extent = found,
            Place::Chunks { .. } => return Err(format!("its `{}` is chunked", wanted.name)),
        }
    }
    let mut all: Vec<Extent> = columns.iter().flat_map(|place| place.extents()).copied().collect();
    all.extend(markers);
    all.sort_unstable_by_key(|extent| extent.start());
    if all.windows(2).any(|pair| pair[0].end() > pair[1].start()) {
        return Err("two of its datasets lie at the same place; the file is damaged".to_owned());
    }
    let [status, failed, messages, digest] = markers;
    Ok(Places { columns, status, failed, messages, digest })
}

/// Where a dataset lies; `None` unless it is contiguous, or in unfiltered chunks of whole steps of its
/// first axis, all of them stored.
fn place(dataset: &Dataset, positions_axes: Option<usize>) -> Option<Place> {
    let list = dataset.dcpl().ok()?;
    let element = dataset.dtype().ok()?.size() as u64;
    if let Some(offset) = dataset.offset().filter(|_| list.external().is_empty()) {
        let bytes = (dataset.size() as u64).checked_mul(element)?;
        return (bytes <= dataset.storage_size())
            .then(|| Extent::new(offset, bytes))?
            .map(Place::Contiguous);
    }
    let positions_axes = positions_axes?;
    if list.has_filters() || !dataset.is_chunked() {
        return None;
    }
    let table = ChunkTable::read(dataset).ok()?;
    let complete = table.grid.first().is_some_and(|count| *count == table.chunks.len() as u64);
    let positions = chunk_positions(dataset, positions_axes).filter(|_| complete)?;
    let bytes = table.chunk.iter().try_fold(element, |bytes, length| bytes.checked_mul(*length))?;
    let chunks = table
        .chunks
        .iter()
        .map(|chunk| (chunk.size == bytes).then(|| Extent::new(chunk.address, bytes))?);
    Some(Place::Chunks { positions, chunks: chunks.collect::<Option<_>>()? })
}

/// How many positions a chunk has, if it is of whole steps of the first axis.
pub(super) fn chunk_positions(dataset: &Dataset, positions_axes: usize) -> Option<u64> {
    let chunk = dataset.chunk()?;
    let is_whole = dataset.shape().iter().zip(&chunk).skip(1).all(|(all, chunk)| all == chunk);
    is_whole.then(|| chunk.iter().take(positions_axes).map(|length| *length as u64).product())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(offset: u64, length: u64) -> Extent {
        Extent::new(offset, length).unwrap()
    }

    #[test]
    fn rows_are_cut_where_chunks_end() {
        let chunks: Vec<Extent> = [1000, 5000, 2000].map(|offset| extent(offset, 40)).into();
        let place = Place::Chunks { positions: 4, chunks: chunks.clone() };
        assert_eq!(
            place.parts(&(2..10), 10).unwrap(),
            [(chunks[0], 20, 0..20), (chunks[1], 0, 20..60), (chunks[2], 0, 60..80)]
        );
        assert!(place.parts(&(10..13), 10).is_err(), "there are 12");
        let contiguous = extent(1000, 100);
        let parts = Place::Contiguous(contiguous).parts(&(2..10), 10).unwrap();
        assert_eq!(parts, [(contiguous, 20, 0..80)]);
    }
}
