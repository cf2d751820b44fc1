//! Where the bytes of a results group lie in the file, so that they can be written without HDF5.

use std::ops::Range;

use hdf5::{Dataset, Group};
use serde::{Deserialize, Serialize};

use super::super::chunk_table::ChunkTable;
use super::{Column, DIGEST, FAILED, MESSAGES, STATUS};

/// Where the bytes of a group's datasets lie in the file.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// One per results dataset.
    pub columns: Vec<Place>,
    pub status: u64,
    pub failed: u64,
    pub messages: u64,
    pub digest: u64,
}

/// Where the rows of a results dataset lie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Place {
    /// One behind the other from this offset on.
    Stretch(u64),
    /// So many positions in each chunk, and the offsets of the chunks.
    Chunks { positions: u64, offsets: Vec<u64> },
}

impl Place {
    /// The parts of the rows of `run`, each as its offset in the file and its bytes among the rows.
    pub fn parts(&self, run: &Range<u64>, position_bytes: usize) -> Vec<(u64, Range<usize>)> {
        let bytes = |position: u64| (position - run.start) as usize * position_bytes;
        match self {
            Self::Stretch(offset) => {
                let place = offset + run.start * position_bytes as u64;
                vec![(place, 0..bytes(run.end))]
            }
            Self::Chunks { positions, offsets } => {
                let mut parts = Vec::new();
                let mut first = run.start;
                while first < run.end {
                    let (chunk, within) = (first / positions, first % positions);
                    let end = run.end.min((chunk + 1) * positions);
                    let place = offsets[chunk as usize] + within * position_bytes as u64;
                    parts.push((place, bytes(first)..bytes(end)));
                    first = end;
                }
                parts
            }
        }
    }
}

/// Asks HDF5 where the datasets of a group lie.
///
/// # Errors
/// If one isn't there or has no fixed place.
pub(crate) fn places(group: &Group, columns: &[Column<'_>]) -> hdf5::Result<Places> {
    let unplaced =
        |name: &str| hdf5::Error::from(format!("`{name}` has no fixed place in the file").as_str());
    let offset = |name: &str| group.dataset(name)?.offset().ok_or_else(|| unplaced(name));
    let column = |column: &Column<'_>| {
        let name = &column.layout.name;
        let dataset = group.dataset(name)?;
        place(&dataset, column.positions_axes).ok_or_else(|| unplaced(name))
    };
    Ok(Places {
        columns: columns.iter().map(column).collect::<Result<_, _>>()?,
        status: offset(STATUS)?,
        failed: offset(FAILED)?,
        messages: offset(MESSAGES)?,
        digest: offset(DIGEST)?,
    })
}

/// Where a dataset lies; `None` unless it is contiguous, or in unfiltered chunks of whole steps of its
/// first axis, all of them stored.
pub(super) fn place(dataset: &Dataset, positions_axes: usize) -> Option<Place> {
    if let Some(offset) = dataset.offset() {
        return Some(Place::Stretch(offset));
    }
    let has_filters = dataset.dcpl().is_ok_and(|list| list.has_filters());
    if has_filters || !dataset.is_chunked() {
        return None;
    }
    let table = ChunkTable::read(dataset).ok()?;
    let complete = table.grid.first().is_some_and(|count| *count == table.chunks.len() as u64);
    let positions = chunk_positions(dataset, positions_axes).filter(|_| complete)?;
    let offsets = table.chunks.iter().map(|chunk| chunk.address).collect();
    Some(Place::Chunks { positions, offsets })
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

    #[test]
    fn rows_are_cut_where_chunks_end() {
        let place = Place::Chunks { positions: 4, offsets: vec![1000, 5000, 2000] };
        assert_eq!(place.parts(&(2..10), 10), [(1020, 0..20), (5000, 20..60), (2000, 60..80)]);
        assert_eq!(Place::Stretch(1000).parts(&(2..10), 10), [(1020, 0..80)]);
    }
}
