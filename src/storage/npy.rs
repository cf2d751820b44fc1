//! Arrays that NumPy has saved (`.npy`): a header in words, then all values in one stretch.
//!
//! Read as `numpy.lib.format` describes versions 1.0 to 3.0. Arrays of records, of objects and of
//! text are refused; booleans are bytes of 0 and 1. Values in Fortran order lie with the first axis
//! fastest.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::decoding::Decoding;
use super::open_file::{open_regular, other_than_file};
use super::raw_file::RawFile;
use super::rows::Rows;
use crate::view::View;
use pixelmill_core::element::{ElementType, StoredType};
use pixelmill_core::error::{Error, Result};

/// What every such file begins with.
const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Headers are some hundred bytes; what claims to be longer is damaged.
const LONGEST_HEADER: usize = 1 << 20;

/// An array that NumPy has saved.
pub(crate) struct NpyArray {
    path: PathBuf,
    file: File,
    pub stored: StoredType,
    /// How NumPy calls that.
    descr: String,
    /// Length of each axis; none of a single value.
    pub shape: Vec<usize>,
    /// Whether the first axis is the fastest.
    pub is_fortran: bool,
    offset: u64,
}

impl NpyArray {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// If it isn't there, or isn't an array of numbers.
    pub fn open(path: &Path) -> Result<Self> {
        let refused = |reason: String| Error::Npy { path: path.to_owned(), reason };
        if let Some(other) = other_than_file(path) {
            return Err(refused(other.to_owned()));
        }
        let file = open_regular(path).map_err(|error| Error::io("open", path, error))?;
        let raw = RawFile::new(path.to_owned(), file)?;
        let (text, offset) = header(&raw).map_err(refused)?;
        let Header { descr, is_fortran, shape } = Header::of(&text)
            .ok_or_else(|| refused("its header isn't as NumPy writes it".to_owned()))?;
        let stored = stored_type(&descr)
            .ok_or_else(|| refused(format!("it holds `{descr}`, which are no plain numbers")))?;
        if shape.contains(&0) {
            return Err(refused(format!("it is empty, its shape is {shape:?}")));
        }
        let file = raw.with(File::try_clone).map_err(|error| Error::io("read", path, error))?;
        Ok(Self { path: path.to_owned(), file, stored, descr, shape, is_fortran, offset })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its values, seen as `view`, whose axes are those of [`Self::lying_shape`].
    ///
    /// # Errors
    /// If the file has fewer.
    pub fn rows(&self, view: View) -> Result<Rows> {
        let file = self.file.try_clone().map_err(|error| Error::io("read", &self.path, error))?;
        let decoding = Decoding::new(format!("numpy {}", self.descr), None, &[], None);
        let file = RawFile::new(self.path.clone(), file)?;
        Rows::in_one_stretch(file, self.offset, view, self.stored.element.size(), decoding)
    }

    /// Lengths of its axes as the values lie, the slowest first.
    pub fn lying_shape(&self) -> Vec<u64> {
        let mut shape = crate::region::lengths(&self.shape);
        if self.is_fortran {
            shape.reverse();
        }
        shape
    }
}

/// What such a file begins with: its type as NumPy writes that down, and the length of each axis;
/// all values follow, the last axis fastest.
pub(crate) fn header_of(descr: &str, shape: &[usize]) -> Vec<u8> {
    let lengths: Vec<String> = shape.iter().map(|length| format!("{length}, ")).collect();
    let lengths = lengths.concat();
    let lengths =
        if shape.len() == 1 { lengths.trim_end() } else { lengths.trim_end_matches(", ") };
    let mut text = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': ({lengths}), }}");
    // Texts that aren't ASCII need version 3, long ones version 2.
    let version = match (text.is_ascii(), text.len() < 60_000) {
        (false, _) => 3,
        (true, true) => 1,
        (true, false) => 2,
    };
    let begin = if version == 1 { 10 } else { 12 };
    // The values begin at a multiple of 64.
    let padding = (begin + text.len() + 1).next_multiple_of(64) - (begin + text.len() + 1);
    text.push_str(&" ".repeat(padding));
    text.push('\n');
    let mut bytes = MAGIC.to_vec();
    bytes.extend([version, 0]);
    match version {
        1 => bytes.extend((text.len() as u16).to_le_bytes()),
        _ => bytes.extend((text.len() as u32).to_le_bytes()),
    }
    bytes.extend(text.as_bytes());
    bytes
}

/// The header's text, and where the values begin.
fn header(file: &RawFile) -> Result<(String, u64), String> {
    let cut_off = |_| "it isn't an array of NumPy's, or is cut off".to_owned();
    let mut begin = [0; 10];
    file.read_exact_at(&mut begin, 0).map_err(cut_off)?;
    if begin[..6] != *MAGIC {
        return Err("it isn't an array of NumPy's".to_owned());
    }
    let (start, length) = match begin[6] {
        1 => (10, usize::from(u16::from_le_bytes([begin[8], begin[9]]))),
        2 | 3 => {
            let mut length = [0; 4];
            file.read_exact_at(&mut length, 8).map_err(cut_off)?;
            (12, u32::from_le_bytes(length) as usize)
        }
        version => return Err(format!("version {version} of the format isn't known")),
    };
    if length > LONGEST_HEADER {
        return Err("its header isn't as NumPy writes it".to_owned());
    }
    let mut text = vec![0; length];
    file.read_exact_at(&mut text, start).map_err(cut_off)?;
    Ok((String::from_utf8_lossy(&text).into_owned(), start + length as u64))
}

/// What a header says.
#[derive(Debug, PartialEq, Eq)]
struct Header {
    descr: String,
    is_fortran: bool,
    shape: Vec<usize>,
}

impl Header {
    /// A dictionary as Python writes it, with three entries in any order.
    fn of(text: &str) -> Option<Self> {
        let after = |key: &str| {
            let (_, rest) = text.split_once(&format!("'{key}'"))?;
            Some(rest.trim_start().strip_prefix(':')?.trim_start())
        };
        let descr = after("descr")?;
        let descr = match descr.strip_prefix('\'') {
            Some(quoted) => quoted.split('\'').next()?.to_owned(),
            None => "records".to_owned(),
        };
        let order = after("fortran_order")?;
        let is_fortran = order.starts_with("True");
        let shape = after("shape")?.strip_prefix('(')?.split(')').next()?;
        let lengths = shape.split(',').map(str::trim).filter(|length| !length.is_empty());
        let shape: Option<Vec<usize>> =
            lengths.map(|length| length.trim_end_matches('L').parse().ok()).collect();
        let is_told = is_fortran || order.starts_with("False");
        is_told.then_some(Self { descr, is_fortran, shape: shape? })
    }
}

/// `<f4` and the like.
fn stored_type(descr: &str) -> Option<StoredType> {
    let (order, kind) = descr.split_at_checked(1)?;
    let element = match kind {
        "b1" | "u1" => ElementType::UInt8,
        "i1" => ElementType::Int8,
        "i2" => ElementType::Int16,
        "i4" => ElementType::Int32,
        "i8" => ElementType::Int64,
        "u2" => ElementType::UInt16,
        "u4" => ElementType::UInt32,
        "u8" => ElementType::UInt64,
        "f2" => ElementType::Float16,
        "f4" => ElementType::Float32,
        "f8" => ElementType::Float64,
        "c8" => ElementType::Complex64,
        "c16" => ElementType::Complex128,
        _ => return None,
    };
    let is_big = match order {
        "<" | "|" => false,
        ">" => true,
        "=" => cfg!(target_endian = "big"),
        _ => return None,
    };
    Some(StoredType { element, swapped: is_big != cfg!(target_endian = "big") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_numpy_writes_them() {
        let header = |text: &str| Header::of(text);
        let plain = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }          \n";
        let expected = Header { descr: "<f4".to_owned(), is_fortran: false, shape: vec![3, 4] };
        assert_eq!(header(plain), Some(expected));
        let one = "{'shape': (5,), 'fortran_order': True, 'descr': '>c16'}";
        let expected = Header { descr: ">c16".to_owned(), is_fortran: true, shape: vec![5] };
        assert_eq!(header(one), Some(expected));
        let single = "{'descr': '|u1', 'fortran_order': False, 'shape': ()}";
        assert!(header(single).unwrap().shape.is_empty());
        let records = "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,)}";
        assert_eq!(stored_type(&header(records).unwrap().descr), None);
        for broken in ["", "{'descr': '<f4'}", "{'descr': '<f4', 'fortran_order': 1, 'shape': ()}"]
        {
            assert_eq!(header(broken), None, "{broken}");
        }
    }

    #[test]
    fn headers_are_written_as_they_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        for shape in [&[5][..], &[2, 3], &[1, 1, 1]] {
            let mut bytes = header_of("'<f4'", shape);
            assert_eq!(bytes.len() % 64, 0);
            bytes.resize(bytes.len() + 4 * shape.iter().product::<usize>(), 0);
            std::fs::write(&path, bytes).unwrap();
            let read = NpyArray::open(&path).unwrap();
            assert_eq!((read.shape.as_slice(), read.is_fortran), (shape, false));
        }
        assert_eq!(header_of("[('Δ', '<f4')]", &[2])[6], 3);
        assert_eq!(header_of(&format!("'{}'", "x".repeat(70_000)), &[2])[6], 2);
    }

    #[test]
    fn types_have_their_order_of_bytes() {
        let swapped = |descr: &str| stored_type(descr).map(|stored| stored.swapped);
        let here = cfg!(target_endian = "big");
        assert_eq!((swapped("<f8"), swapped(">f8")), (Some(here), Some(!here)));
        assert_eq!(stored_type("|b1").unwrap().element, ElementType::UInt8);
        assert_eq!((swapped("<U5"), swapped("|O"), swapped("")), (None, None, None));
    }

    #[test]
    fn what_is_no_array_is_refused_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        for (bytes, reason) in [
            (&b"text"[..], "cut off"),
            (b"some other content", "isn't an array of NumPy's"),
            (b"\x93NUMPY\x09\x00\x00\x00", "version 9"),
            (b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f4'}", "isn't as NumPy writes it"),
            (b"\x93NUMPY\x01\x00\xff\x00{'descr': '<f4'}", "cut off"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let told = NpyArray::open(&path).map(|_| ()).unwrap_err().to_string();
            assert!(told.contains(reason), "{reason}: {told}");
        }
        assert!(NpyArray::open(&folder.path().join("b.npy")).is_err());
        assert!(
            NpyArray::open(folder.path()).map(|_| ()).unwrap_err().to_string().contains("folder")
        );
    }
}
