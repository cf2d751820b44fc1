//! Attributes as HDF5 has them.
//!
//! Reading takes fixed- and variable-length strings, ASCII and UTF-8. Written are the types that
//! pyUSID and h5py write.

use hdf5::types::{FixedUnicode, H5Type, VarLenUnicode};
use hdf5::{Attribute, Datatype, Location, ObjectReference1, ReferencedObject};

use super::super::container::{Class, Content, Fixed};
use super::datatype::class;
use super::{library, text};
use pixelmill_core::foreign_text::of_fixed_length;

/// Bytes that an attribute may claim. One that claims more is damaged, or no text or number that
/// anybody asks for here: HDF5 keeps at most 64 KiB in an object's header.
const MOST_BYTES: usize = 1 << 20;

const NUL: &str = "a text with a NUL character can't be stored";

/// Text of at most 159 bytes whose attribute can be overwritten in place.
type ShortText = FixedUnicode<160>;

/// The attribute of this name, unless it claims more than can be.
fn attribute(location: &Location, name: &str) -> Option<Attribute> {
    let attribute = location.attr(name).ok()?;
    let bytes = attribute.dtype().ok()?.size().checked_mul(attribute.size())?;
    (bytes <= MOST_BYTES).then_some(attribute)
}

/// What an attribute holds, as far as it is told: a value alone, or a list.
pub(super) enum Held {
    Values { is_scalar: bool, content: Content },
    Reference(hdf5::Dataset),
}

/// What the attribute of this name holds.
pub(super) fn read(location: &Location, name: &str) -> Option<Held> {
    let attribute = attribute(location, name)?;
    let class = class(&attribute.dtype().ok()?);
    if class == Class::Other("references") {
        return referenced(location, &attribute).map(Held::Reference);
    }
    let content = match class {
        Class::Integer { signed: true } => Content::Integers(attribute.read_raw().ok()?),
        Class::Integer { signed: false } => Content::Unsigned(attribute.read_raw().ok()?),
        Class::Float => Content::Numbers(attribute.read_raw().ok()?),
        Class::Boolean => {
            // Other bytes than 0 and 1 are no `bool`, but may be in the file.
            let bytes = library::raw_attribute(&attribute, 1)?;
            Content::Truths(bytes.into_iter().map(|byte| byte != 0).collect())
        }
        _ => Content::Texts(strings(&attribute)?),
    };
    Some(Held::Values { is_scalar: attribute.is_scalar(), content })
}

fn strings(attribute: &Attribute) -> Option<Vec<String>> {
    let datatype = attribute.dtype().ok()?;
    match class(&datatype) {
        Class::VariableText => text::of_variable_length(attribute, &datatype),
        Class::FixedText => {
            let size = datatype.size();
            let bytes = library::raw_attribute(attribute, size)?;
            Some(bytes.chunks_exact(size).map(of_fixed_length).collect())
        }
        _ => None,
    }
}

fn referenced(location: &Location, attribute: &Attribute) -> Option<hdf5::Dataset> {
    let reference = attribute.read_raw::<ObjectReference1>().ok()?.into_iter().next()?;
    match location.dereference(&reference).ok()? {
        ReferencedObject::Dataset(dataset) => Some(dataset),
        _ => None,
    }
}

/// Writes an attribute of values; `is_scalar` says of one.
pub(super) fn create(
    location: &Location,
    name: &str,
    is_scalar: bool,
    content: &Content,
) -> hdf5::Result<()> {
    match content {
        Content::Texts(texts) => {
            let texts = texts.iter().map(|text| unicode(text)).collect::<hdf5::Result<Vec<_>>>()?;
            create_as(location, name, is_scalar, &texts)
        }
        Content::Integers(values) => create_as(location, name, is_scalar, values),
        Content::Unsigned(values) => create_as(location, name, is_scalar, values),
        Content::Numbers(values) => create_as(location, name, is_scalar, values),
        Content::Truths(values) => create_as(location, name, is_scalar, values),
        Content::Reference(_) => Err("a reference is written by its own call".into()),
    }
}

fn create_as<T: H5Type>(
    location: &Location,
    name: &str,
    is_scalar: bool,
    values: &[T],
) -> hdf5::Result<()> {
    match values {
        [value] if is_scalar => location.new_attr::<T>().create(name)?.write_scalar(value),
        _ if is_scalar => Err("a single value that isn't one".into()),
        _ => location.new_attr::<T>().shape(values.len()).create(name)?.write_raw(values),
    }
}

/// Writes a reference to a dataset.
pub(super) fn refer(location: &Location, name: &str, to: &hdf5::Dataset) -> hdf5::Result<()> {
    let reference: ObjectReference1 = to.reference(".")?;
    location.new_attr::<ObjectReference1>().create(name)?.write_scalar(&reference)
}

/// Writes a value over that of an attribute: in place if it is one that this has made, else in its
/// stead.
pub(super) fn overwrite(location: &Location, name: &str, value: Fixed<'_>) -> hdf5::Result<()> {
    match value {
        Fixed::Integer(value) => ours::<i64>(location, name)?.write_scalar(&value),
        Fixed::ShortText(text) => {
            let ends = text.char_indices().map(|(at, letter)| at + letter.len_utf8());
            let end = ends.take_while(|end| *end < 160).last().unwrap_or(0);
            let text: ShortText = text[..end].parse().map_err(|_| hdf5::Error::from(NUL))?;
            ours::<ShortText>(location, name)?.write_scalar(&text)
        }
    }
}

/// Whether a value of this kind can be written over that of an attribute.
pub(super) fn can_overwrite(location: &Location, name: &str, value: Fixed<'_>) -> bool {
    match value {
        Fixed::Integer(_) => is_ours::<i64>(location, name),
        Fixed::ShortText(_) => is_ours::<ShortText>(location, name),
    }
}

/// The scalar attribute of this type; one of another type that has the name is taken away.
fn ours<T: H5Type>(location: &Location, name: &str) -> hdf5::Result<Attribute> {
    if is_ours::<T>(location, name) {
        return location.attr(name);
    }
    if location.attr(name).is_ok() {
        location.delete_attr(name)?;
    }
    location.new_attr::<T>().create(name)
}

fn is_ours<T: H5Type>(location: &Location, name: &str) -> bool {
    location.attr(name).is_ok_and(|attribute| {
        let same = Datatype::from_type::<T>().and_then(|ours| Ok(ours == attribute.dtype()?));
        attribute.is_scalar() && same.unwrap_or(false)
    })
}

fn unicode(text: &str) -> hdf5::Result<VarLenUnicode> {
    text.parse().map_err(|_| hdf5::Error::from(NUL))
}
