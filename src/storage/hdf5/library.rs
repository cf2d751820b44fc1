//! The few calls to the HDF5 library that the safe wrapper doesn't have.

use std::ffi::CString;

use hdf5::dataset::DatasetCreate;
use hdf5::types::TypeDescriptor;
use hdf5::{Attribute, Dataset, Dataspace, Datatype, Group, Location};
use hdf5_sys::{h5a, h5d, h5f, h5l, h5o, h5p, h5s, h5t, h5z};

use super::datatype::{memory_type, transfer_type};
use super::variable_length;
use crate::region::{self, Region};

/// An attribute's bytes as the file stores them, for elements of `size` bytes.
pub(crate) fn raw_attribute(attribute: &Attribute, size: usize) -> Option<Vec<u8>> {
    let stored = attribute.dtype().ok()?;
    if size == 0 || stored.size() != size {
        return None;
    }
    let mut bytes = vec![0; attribute.size() * size];
    let status = hdf5::sync::sync(|| {
        // SAFETY: the buffer holds every element in the very type that is asked for.
        unsafe { h5a::H5Aread(attribute.id(), stored.id(), bytes.as_mut_ptr().cast()) }
    });
    (status >= 0).then_some(bytes)
}

/// Writes a scalar ASCII string that ends in NUL, the only form that HDF5's dimension scales know.
pub(crate) fn write_c_string(location: &Location, name: &str, text: &str) -> hdf5::Result<()> {
    let nul = |_| hdf5::Error::from("a text with a NUL");
    let (name, text) = (CString::new(name).map_err(nul)?, CString::new(text).map_err(nul)?);
    let bytes = text.as_bytes_with_nul();
    let datatype = Datatype::from_descriptor(&TypeDescriptor::FixedAscii(bytes.len()))?;
    let space = Dataspace::try_new(())?;
    hdf5::sync::sync(|| {
        // SAFETY: the ids are live, the type is ours alone, and `bytes` is one element of it.
        unsafe {
            hdf5::h5check(h5t::H5Tset_strpad(datatype.id(), h5t::H5T_str_t::H5T_STR_NULLTERM))?;
            let attribute = hdf5::h5check(h5a::H5Acreate2(
                location.id(),
                name.as_ptr(),
                datatype.id(),
                space.id(),
                h5p::H5P_DEFAULT,
                h5p::H5P_DEFAULT,
            ))?;
            let written =
                hdf5::h5check(h5a::H5Awrite(attribute, datatype.id(), bytes.as_ptr().cast()));
            h5a::H5Aclose(attribute);
            written
        }
    })?;
    Ok(())
}

/// The value that a dataset has where nothing was written, as the file stores its elements.
pub(crate) fn fill_value(dataset: &Dataset) -> hdf5::Result<Vec<u8>> {
    let datatype = dataset.dtype()?;
    let list = dataset.dcpl()?;
    let mut value = vec![0; datatype.size()];
    hdf5::sync::sync(|| {
        let mut defined = h5d::H5D_fill_value_t::H5D_FILL_VALUE_UNDEFINED;
        // SAFETY: the ids are live, and `value` holds one element of the type that is asked for.
        unsafe {
            hdf5::h5check(h5p::H5Pfill_value_defined(list.id(), &raw mut defined))?;
            if defined != h5d::H5D_fill_value_t::H5D_FILL_VALUE_UNDEFINED {
                let place = value.as_mut_ptr().cast();
                hdf5::h5check(h5p::H5Pget_fill_value(list.id(), datatype.id(), place))?;
            }
        }
        Ok::<_, hdf5::Error>(())
    })?;
    Ok(value)
}

/// Reads rows of a dataset (steps of its first axis), as the file stores their elements.
pub(crate) fn read_rows(dataset: &Dataset, first: u64, rows: &mut [u8]) -> hdf5::Result<()> {
    read_region(dataset, &rows_of(dataset, first, rows.len())?, rows)
}

/// Reads a box of a dataset, as the file stores its elements, spare bits filled up.
pub(crate) fn read_region(dataset: &Dataset, region: &Region, out: &mut [u8]) -> hdf5::Result<()> {
    read_field(dataset, None, region, out)
}

/// The same of one field of its records, if there is a field.
pub(crate) fn read_field(
    dataset: &Dataset,
    field: Option<&str>,
    region: &Region,
    out: &mut [u8],
) -> hdf5::Result<()> {
    let transfer = Transfer::new(dataset, field, region, out.len())?;
    hdf5::sync::sync(|| {
        // SAFETY: `out` holds exactly the elements that are selected, in the type of the transfer.
        hdf5::h5check(unsafe {
            h5d::H5Dread(
                dataset.id(),
                transfer.datatype.id(),
                transfer.memory.id(),
                transfer.file.id(),
                h5p::H5P_DEFAULT,
                out.as_mut_ptr().cast(),
            )
        })
    })?;
    Ok(())
}

/// Writes rows of a dataset (steps of its first axis), as the file stores their elements.
pub(crate) fn write_rows(dataset: &Dataset, first: u64, rows: &[u8]) -> hdf5::Result<()> {
    let region = rows_of(dataset, first, rows.len())?;
    let transfer = Transfer::new(dataset, None, &region, rows.len())?;
    hdf5::sync::sync(|| {
        // SAFETY: `rows` holds exactly the elements that are selected, in the type of the transfer.
        hdf5::h5check(unsafe {
            h5d::H5Dwrite(
                dataset.id(),
                transfer.datatype.id(),
                transfer.memory.id(),
                transfer.file.id(),
                h5p::H5P_DEFAULT,
                rows.as_ptr().cast(),
            )
        })
    })?;
    Ok(())
}

/// The box of as many rows from `first` on as `bytes` are.
fn rows_of(dataset: &Dataset, first: u64, bytes: usize) -> hdf5::Result<Region> {
    let mut region = Region::whole(&region::lengths(&dataset.shape()));
    let row_bytes =
        region.shape.iter().skip(1).product::<u64>() * memory_type(dataset.dtype()?)?.size() as u64;
    match (bytes as u64).checked_div(row_bytes) {
        Some(rows) if !region.shape.is_empty() => {
            region.set_range(0, &(first..first.saturating_add(rows)));
            Ok(region)
        }
        _ => Err(hdf5::Error::from("rows of nothing")),
    }
}

/// A selected box and the memory that takes it.
struct Transfer {
    datatype: Datatype,
    memory: Dataspace,
    file: Dataspace,
}

impl Transfer {
    fn new(
        dataset: &Dataset,
        field: Option<&str>,
        region: &Region,
        bytes: usize,
    ) -> hdf5::Result<Self> {
        let Region { start, shape: extent } = region;
        let datatype = transfer_type(dataset.dtype()?, field)?;
        let shape = dataset.shape();
        let inside = start.len() == shape.len()
            && extent.len() == shape.len()
            && shape.iter().zip(start).zip(extent).all(|((all, start), extent)| {
                start.checked_add(*extent).is_some_and(|end| end <= *all as u64)
            });
        let count = region.count() as usize;
        if count == 0 || count * datatype.size() != bytes || !inside {
            return Err(hdf5::Error::from("a part outside of the dataset"));
        }
        let memory = Dataspace::try_new(count)?;
        let file = dataset.space()?;
        hdf5::sync::sync(|| {
            // SAFETY: start and extent have one entry per axis and lie within the dataset.
            hdf5::h5check(unsafe {
                h5s::H5Sselect_hyperslab(
                    file.id(),
                    h5s::H5S_seloper_t::H5S_SELECT_SET,
                    start.as_ptr(),
                    std::ptr::null(),
                    extent.as_ptr(),
                    std::ptr::null(),
                )
            })
        })?;
        Ok(Self { datatype, memory, file })
    }
}

/// Opens whatever object has this name.
pub(crate) fn open(location: &Location, name: &str) -> hdf5::Result<Location> {
    let name = CString::new(name).map_err(|_| hdf5::Error::from("a name with a NUL"))?;
    hdf5::sync::sync(|| {
        // SAFETY: the location is open, and the new id is handed to its only owner.
        unsafe {
            hdf5::from_id(hdf5::h5check(h5o::H5Oopen(
                location.id(),
                name.as_ptr(),
                h5p::H5P_DEFAULT,
            ))?)
        }
    })
}

/// Where a soft or external link leads: the file as the link names it, unless it is its own, and
/// the path. `None` if it is neither.
pub(crate) fn link_target(group: &Group, name: &str) -> Option<(Option<String>, String)> {
    /// A link is part of an object header, whose parts are no longer than that.
    const LONGEST: usize = 1 << 16;
    let name = CString::new(name).ok()?;
    let mut value = vec![0u8; LONGEST + 1];
    let status = hdf5::sync::sync(|| {
        // SAFETY: the group is open, and HDF5 writes no more than it is told.
        unsafe {
            let list = h5p::H5P_DEFAULT;
            h5l::H5Lget_val(group.id(), name.as_ptr(), value.as_mut_ptr().cast(), LONGEST, list)
        }
    });
    if status < 0 {
        return None;
    }
    let mut texts = value.split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text));
    // An external link's value begins with its version and flags, all 0, then the two names.
    let first = texts.next()?.into_owned();
    if !first.is_empty() {
        return Some((None, first));
    }
    Some((Some(texts.next()?.into_owned()), texts.next()?.into_owned()))
}

/// Whether any frame of HDF5's error stack says this.
pub(crate) fn says(error: &hdf5::Error, text: &str) -> bool {
    match error {
        hdf5::Error::HDF5(stack) => stack
            .clone()
            .expand()
            .is_ok_and(|frames| frames.iter().any(|frame| frame.desc().contains(text))),
        hdf5::Error::Internal(reason) => reason.contains(text),
    }
}

/// The bytes of a file that has nothing in it, for all versions of HDF5.
pub(crate) fn empty_file() -> hdf5::Result<Vec<u8>> {
    // Of so many bytes at a time: it takes less than one.
    const INCREMENT: usize = 4096;
    let made = hdf5::File::with_options()
        .with_fapl(|access| access.core_options(INCREMENT, false).libver_earliest())
        .create("empty")?;
    hdf5::sync::sync(|| {
        // SAFETY: the id is live; with no buffer the length is told, which the buffer then has.
        unsafe {
            hdf5::h5check(h5f::H5Fflush(made.id(), h5f::H5F_scope_t::H5F_SCOPE_GLOBAL))?;
            let length = h5f::H5Fget_file_image(made.id(), std::ptr::null_mut(), 0);
            let mut image = vec![0u8; usize::try_from(length).unwrap_or(0)];
            let told = h5f::H5Fget_file_image(made.id(), image.as_mut_ptr().cast(), image.len());
            match told > 0 && told == length {
                true => Ok(image),
                false => Err(hdf5::Error::from("it has no image")),
            }
        }
    })
}

/// Whether both are the same object of the same file.
pub(crate) fn is_same(one: &Location, other: &Location) -> bool {
    match (one.loc_info(), other.loc_info()) {
        (Ok(one), Ok(other)) => (one.fileno, one.token) == (other.fileno, other.token),
        _ => false,
    }
}

/// Copies all attributes of one dataset to another of the same file.
pub(crate) fn copy_attributes(from: &Dataset, to: &Dataset) -> hdf5::Result<()> {
    for name in from.attr_names()? {
        let attribute = from.attr(&name)?;
        let (datatype, space) = (attribute.dtype()?, attribute.space()?);
        let c_name = CString::new(name).map_err(|_| hdf5::Error::from("a name with a NUL"))?;
        let mut bytes = vec![0u8; space.size() * datatype.size()];
        hdf5::sync::sync(|| {
            // SAFETY: the buffer holds every element in the attribute's own type; what HDF5
            // allocates for variable-length elements is given back before the buffer goes.
            unsafe {
                let buffer = bytes.as_mut_ptr().cast();
                hdf5::h5check(h5a::H5Aread(attribute.id(), datatype.id(), buffer))?;
                let copy = hdf5::h5check(h5a::H5Acreate2(
                    to.id(),
                    c_name.as_ptr(),
                    datatype.id(),
                    space.id(),
                    h5p::H5P_DEFAULT,
                    h5p::H5P_DEFAULT,
                ))?;
                let written = hdf5::h5check(h5a::H5Awrite(copy, datatype.id(), buffer));
                h5a::H5Aclose(copy);
                variable_length::reclaim(datatype.id(), space.id(), buffer);
                written
            }
        })?;
    }
    Ok(())
}

/// Creates a dataset whose bytes all have their place at once, each element holding `fill`: in one
/// stretch, or in chunks of the given shape. A full disk shows here.
pub(crate) fn create_filled(
    group: &Group,
    name: &str,
    datatype: &Datatype,
    (shape, chunk): (&[usize], Option<&[usize]>),
    fill: &[u8],
) -> hdf5::Result<Dataset> {
    let creation = match chunk {
        Some(chunk) => DatasetCreate::build().chunk(chunk.to_vec()).finish()?,
        None => DatasetCreate::try_new()?,
    };
    hdf5::sync::sync(|| {
        // SAFETY: the list is live and takes these settings of its own.
        unsafe {
            let early = h5d::H5D_alloc_time_t::H5D_ALLOC_TIME_EARLY;
            hdf5::h5check(h5p::H5Pset_alloc_time(creation.id(), early))?;
            let always = h5d::H5D_fill_time_t::H5D_FILL_TIME_ALLOC;
            hdf5::h5check(h5p::H5Pset_fill_time(creation.id(), always))
        }
    })?;
    create(group, name, datatype, shape, (&creation, fill))
}

/// Creates a chunked dataset with filters, each a number and its settings, without any chunk. The
/// library needn't know the filters.
pub(crate) fn create_filtered(
    group: &Group,
    name: &str,
    datatype: &Datatype,
    (shape, chunk): (&[usize], &[usize]),
    fill: &[u8],
    filters: &[(i32, &[u32])],
) -> hdf5::Result<Dataset> {
    let creation = DatasetCreate::build().chunk(chunk.to_vec()).finish()?;
    hdf5::sync::sync(|| {
        for (id, values) in filters {
            // SAFETY: the list is live, and copies as many values as there are.
            hdf5::h5check(unsafe {
                h5p::H5Pset_filter(
                    creation.id(),
                    *id,
                    h5z::H5Z_FLAG_OPTIONAL,
                    values.len(),
                    values.as_ptr(),
                )
            })?;
        }
        Ok::<_, hdf5::Error>(())
    })?;
    create(group, name, datatype, shape, (&creation, fill))
}

/// Creates a dataset in which each element that isn't written is `fill`.
fn create(
    group: &Group,
    name: &str,
    datatype: &Datatype,
    shape: &[usize],
    (creation, fill): (&DatasetCreate, &[u8]),
) -> hdf5::Result<Dataset> {
    if fill.len() != datatype.size() {
        return Err(hdf5::Error::from("a fill value of another size than the type"));
    }
    let name = CString::new(name).map_err(|_| hdf5::Error::from("a name with a NUL character"))?;
    let space = Dataspace::try_new(shape)?;
    hdf5::sync::sync(|| {
        // SAFETY: all ids are live, and `fill` is one element of `datatype`, which HDF5 copies.
        unsafe {
            let list = creation.id();
            hdf5::h5check(h5p::H5Pset_fill_value(list, datatype.id(), fill.as_ptr().cast()))?;
            let id = hdf5::h5check(h5d::H5Dcreate2(
                group.id(),
                name.as_ptr(),
                datatype.id(),
                space.id(),
                h5p::H5P_DEFAULT,
                list,
                h5p::H5P_DEFAULT,
            ))?;
            hdf5::from_id(id)
        }
    })
}

/// Writes a chunk that is encoded already, without the filters whose bit is set in `mask`.
pub(crate) fn write_chunk(
    dataset: &Dataset,
    start: &[u64],
    mask: u32,
    encoded: &[u8],
) -> hdf5::Result<()> {
    if start.len() != dataset.ndim() {
        return Err(hdf5::Error::from("a chunk of another dataset"));
    }
    hdf5::sync::sync(|| {
        // SAFETY: `start` has one number per axis, and `encoded` as many bytes as are told.
        hdf5::h5check(unsafe {
            h5d::H5Dwrite_chunk(
                dataset.id(),
                h5p::H5P_DEFAULT,
                mask,
                start.as_ptr(),
                encoded.len(),
                encoded.as_ptr().cast(),
            )
        })
    })?;
    Ok(())
}
