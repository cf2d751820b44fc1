//! What HDF5 tells of the chunks of a dataset: where they lie in the file, and how they were
//! filtered.

use hdf5::Dataset;
use hdf5_sys::{h5p, h5z};

use super::super::chunk_table::{Chunk, ChunkTable};
use super::super::filters::FilterInfo;
use super::index_ahead::Ahead;
use crate::region;
use pixelmill_core::foreign_text::of_fixed_length;

/// Where the chunks of a dataset lie.
///
/// # Errors
/// If the dataset isn't chunked, or its index can't be read or relied upon.
pub(super) fn read(dataset: &Dataset) -> hdf5::Result<ChunkTable> {
    if !addresses_are_known(dataset) {
        return Err("where chunks lie behind a user block, this HDF5 library doesn't tell".into());
    }
    let lengths = dataset.chunk().ok_or("the dataset isn't chunked")?;
    let (chunk, shape) = (region::lengths(&lengths), region::lengths(&dataset.shape()));
    let edges_unfiltered = leaves_edges_unfiltered(dataset);
    let mut ahead = Ahead::of(dataset);
    ChunkTable::of(&shape, chunk, edges_unfiltered, |each| {
        visit(dataset, &mut |offset, chunk| {
            ahead.told(chunk.address);
            each(offset, chunk);
        })
    })
}

/// Calls `each` with the place in the dataset and the storage of every chunk.
#[cfg(hdf5_1_14)]
fn visit(dataset: &Dataset, each: &mut dyn FnMut(&[u64], Chunk)) -> hdf5::Result<()> {
    dataset.chunks_visit(|info| {
        let (address, size, mask) = (info.addr, info.size, info.filter_mask);
        each(info.offset, Chunk { number: 0, address, size, mask });
        0
    })
}

/// As above, for libraries without `H5Dchunk_iter`.
#[cfg(not(hdf5_1_14))]
fn visit(dataset: &Dataset, each: &mut dyn FnMut(&[u64], Chunk)) -> hdf5::Result<()> {
    for index in 0..dataset.num_chunks().unwrap_or(0) {
        let info = dataset.chunk_info(index).ok_or("the index of the chunks can't be read")?;
        let (address, size, mask) = (info.addr, info.size, info.filter_mask);
        each(&info.offset, Chunk { number: 0, address, size, mask });
    }
    Ok(())
}

/// Whether the library tells where chunks are in the file: before 2.0 some count from the end of a
/// user block, as 1.10.8 does, and some from the beginning of the file.
pub(super) fn addresses_are_known(dataset: &Dataset) -> bool {
    cfg!(hdf5_2_0) || dataset.file().is_ok_and(|file| file.userblock() == 0)
}

/// Whether chunks that reach over the edge are stored as they are.
fn leaves_edges_unfiltered(dataset: &Dataset) -> bool {
    const DONT_FILTER_PARTIAL_CHUNKS: u32 = 2;
    let Ok(list) = dataset.dcpl() else { return false };
    let mut options = 0;
    hdf5::sync::sync(|| {
        // SAFETY: the list is live and `options` takes the one number that comes back.
        let status = unsafe { h5p::H5Pget_chunk_opts(list.id(), &raw mut options) };
        status >= 0 && options & DONT_FILTER_PARTIAL_CHUNKS != 0
    })
}

/// The filters of a dataset, in the order in which a writer applies them.
pub(super) fn filters(dataset: &Dataset) -> hdf5::Result<Vec<FilterInfo>> {
    let list = dataset.dcpl()?;
    hdf5::sync::sync(|| {
        // SAFETY: the list is live; every buffer is as long as the call is told.
        unsafe {
            let count = hdf5::h5check(h5p::H5Pget_nfilters(list.id()))?;
            (0..count as u32).map(|index| filter(list.id(), index)).collect()
        }
    })
}

/// # Safety
/// `list` must be an open dataset creation property list with more than `index` filters.
unsafe fn filter(list: hdf5_sys::h5i::hid_t, index: u32) -> hdf5::Result<FilterInfo> {
    const MOST_VALUES: usize = 64;
    let mut flags = 0;
    let mut values = vec![0; MOST_VALUES];
    let mut count = values.len();
    let mut name = [0u8; 256];
    // SAFETY: the buffers are as long as `count` and the length of `name` say.
    let id: h5z::H5Z_filter_t = hdf5::h5check(unsafe {
        h5p::H5Pget_filter2(
            list,
            index,
            &raw mut flags,
            &raw mut count,
            values.as_mut_ptr(),
            name.len(),
            name.as_mut_ptr().cast(),
            std::ptr::null_mut(),
        )
    })?;
    values.truncate(count.min(MOST_VALUES));
    Ok(FilterInfo { id, values, name: of_fixed_length(&name) })
}

/// Whether the library can undo this filter, by itself or by a plugin.
pub(super) fn library_can_undo(id: i32) -> bool {
    // SAFETY: a question that changes nothing.
    hdf5::sync::sync(|| unsafe { h5z::H5Zfilter_avail(id) > 0 })
}
