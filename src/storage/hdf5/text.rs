//! The one door for text that HDF5 gives: attributes, names of objects and of fields, what it says
//! itself.
//!
//! Its safe wrapper takes any bytes for UTF-8 unseen, so that the functions of the wrapper that
//! give text aren't used.

use std::ffi::{CStr, c_char, c_void};

use hdf5::{Attribute, Container, Dataset, Datatype, Location};
use hdf5_sys::{h5a, h5d, h5i, h5p, h5s};

use super::variable_length::reclaim;
use pixelmill_core::foreign_text::decoded;

/// The path by which an object was opened; empty if it has none.
pub(crate) fn name(location: &Location) -> String {
    hdf5::sync::sync(|| {
        // SAFETY: without a buffer HDF5 only tells the length.
        let length = unsafe { h5i::H5Iget_name(location.id(), std::ptr::null_mut(), 0) };
        let mut bytes = vec![0u8; usize::try_from(length).unwrap_or(0) + 1];
        // SAFETY: the buffer has the length that is told, the NUL at its end included.
        unsafe { h5i::H5Iget_name(location.id(), bytes.as_mut_ptr().cast(), bytes.len()) };
        bytes.pop();
        decoded(&bytes)
    })
}

/// The texts of variable length that an attribute holds; `None` if they can't be read.
pub(in crate::storage) fn of_variable_length(
    attribute: &Attribute,
    datatype: &Datatype,
) -> Option<Vec<String>> {
    read_texts(attribute, datatype, |buffer| {
        // SAFETY: the buffer has a pointer for each element, as the attribute's own type asks for
        // it.
        unsafe { h5a::H5Aread(attribute.id(), datatype.id(), buffer) }
    })
}

/// The texts of variable length that a dataset holds; `None` if they can't be read.
pub(in crate::storage) fn of_dataset(
    dataset: &Dataset,
    datatype: &Datatype,
) -> Option<Vec<String>> {
    read_texts(dataset, datatype, |buffer| {
        // SAFETY: the buffer has a pointer for each element, as the dataset's own type asks for it.
        unsafe {
            h5d::H5Dread(
                dataset.id(),
                datatype.id(),
                h5s::H5S_ALL,
                h5s::H5S_ALL,
                h5p::H5P_DEFAULT,
                buffer,
            )
        }
    })
}

/// The texts to which `read` puts pointers.
fn read_texts(
    holder: &Container,
    datatype: &Datatype,
    read: impl FnOnce(*mut c_void) -> i32,
) -> Option<Vec<String>> {
    let space = holder.space().ok()?;
    let mut texts: Vec<*mut c_char> = vec![std::ptr::null_mut(); holder.size()];
    if texts.is_empty() {
        return Some(Vec::new());
    }
    hdf5::sync::sync(|| {
        if read(texts.as_mut_ptr().cast()) < 0 {
            return None;
        }
        // SAFETY: HDF5 has set each pointer to a text that ends in NUL, or to none.
        let read = |text: &*mut c_char| unsafe { bytes_at(*text) }.map(decoded).unwrap_or_default();
        let found = texts.iter().map(read).collect();
        // SAFETY: the texts are HDF5's, have been copied, and aren't used any more.
        unsafe {
            reclaim(datatype.id(), space.id(), texts.as_mut_ptr().cast());
        }
        Some(found)
    })
}

/// The bytes of a text before its NUL.
///
/// # Safety
/// `text` must be null, or point to a text that ends in NUL and lives as long as the answer.
pub(in crate::storage) unsafe fn bytes_at<'a>(text: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: as the caller promises.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_bytes())
}
