//! The one door for text that comes out of files: attributes, names of objects and of fields, what HDF5 says.
//!
//! Programs of all ages wrote into files what their machines took for text. What is UTF-8 is taken as it
//! is; anything else as Latin-1, in which every byte is a letter, and who asks is told of it. The safe
//! wrapper of HDF5 takes any bytes for UTF-8 unseen, so its functions that give text aren't used.

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_void};

use hdf5::{Attribute, Container, Dataset, Datatype, Location};
use hdf5_sys::{h5a, h5d, h5i, h5p, h5s};

use super::library::reclaim;

thread_local! {
    /// Texts that weren't UTF-8, while somebody listens.
    static FOREIGN: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Bytes as text: UTF-8, else Latin-1.
pub(crate) fn decoded(bytes: &[u8]) -> String {
    let error = match std::str::from_utf8(bytes) {
        Ok(text) => return text.to_owned(),
        Err(error) => error,
    };
    let (whole, _) = bytes.split_at(error.valid_up_to());
    // A field of fixed length may end within a letter; after others like it that is what happened.
    if error.error_len().is_none()
        && let Ok(text) = std::str::from_utf8(whole)
        && !text.is_ascii()
    {
        return text.to_owned();
    }
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    FOREIGN.with_borrow_mut(|foreign| {
        if let Some(foreign) = foreign.as_mut().filter(|foreign| !foreign.contains(&text)) {
            foreign.push(text.clone());
        }
    });
    text
}

/// What `read` gives, and the texts that weren't UTF-8 among those that it read: the many places that read
/// texts needn't pass this on.
pub(crate) fn listening<T>(read: impl FnOnce() -> T) -> (T, Vec<String>) {
    let outer = FOREIGN.replace(Some(Vec::new()));
    let value = read();
    let heard = FOREIGN.replace(outer).unwrap_or_default();
    (value, heard)
}

/// Bytes up to the first NUL, without spaces at the end.
pub(crate) fn of_fixed_length(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    decoded(&bytes[..end]).trim_end().to_owned()
}

/// What is left of a text that came from the wrapper, which takes all bytes for UTF-8.
pub(crate) fn mended(text: &str) -> String {
    decoded(text.as_bytes())
}

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
pub(super) fn of_variable_length(
    attribute: &Attribute,
    datatype: &Datatype,
) -> Option<Vec<String>> {
    read_texts(attribute, datatype, |buffer| {
        // SAFETY: the buffer has a pointer for each element, as the attribute's own type asks for it.
        unsafe { h5a::H5Aread(attribute.id(), datatype.id(), buffer) }
    })
}

/// The texts of variable length that a dataset holds; `None` if they can't be read.
pub(super) fn of_dataset(dataset: &Dataset, datatype: &Datatype) -> Option<Vec<String>> {
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
pub(super) unsafe fn bytes_at<'a>(text: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: as the caller promises.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_are_a_text() {
        for (bytes, text) in [
            (&b"nA"[..], "nA"),
            ("µA".as_bytes(), "µA"),
            (b"\xb5A", "µA"),
            (b"Gr\xf6\xdfe", "Größe"),
            (b"\xc5", "Å"),
            // Cut within the last letter.
            (&"°µ".as_bytes()[..3], "°"),
            (b"", ""),
        ] {
            assert_eq!(decoded(bytes), text);
        }
        let every: Vec<u8> = (0..=255).collect();
        assert_eq!(decoded(&every).chars().count(), 256);
    }

    #[test]
    fn who_listens_hears_of_each_foreign_text_once() {
        let (text, heard) = listening(|| {
            decoded("Ω".as_bytes());
            decoded(b"\xb5m");
            decoded(b"\xb5m")
        });
        assert_eq!((text.as_str(), heard), ("µm", vec!["µm".to_owned()]));
        decoded(b"\xb5");
        assert!(listening(|| decoded(b"m")).1.is_empty());
    }
}
