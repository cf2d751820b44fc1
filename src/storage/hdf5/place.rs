//! Where the bytes of a dataset lie for good, as HDF5 tells it.

use hdf5::Dataset;

use super::super::in_place::Extent;
use super::super::place::Place;
use super::chunk_index;

/// Where a dataset lies; `None` unless it is contiguous, or in unfiltered chunks of whole steps of
/// its first axis, all of them stored.
pub(super) fn place(dataset: &Dataset, positions_axes: Option<usize>) -> Option<Place> {
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
    let table = chunk_index::read(dataset).ok()?;
    let complete = table.grid.first().is_some_and(|count| *count == table.chunks.len() as u64);
    let chunk = dataset.chunk()?;
    let positions = Place::positions_of(&dataset.shape(), &chunk, positions_axes);
    let positions = positions.filter(|_| complete)?;
    let bytes = table.chunk.iter().try_fold(element, |bytes, length| bytes.checked_mul(*length))?;
    let chunks = table
        .chunks
        .iter()
        .map(|chunk| (chunk.size == bytes).then(|| Extent::new(chunk.address, bytes))?);
    Some(Place::Chunks { positions, chunks: chunks.collect::<Option<_>>()? })
}
