//! Attributes, as untidy as real files have them, and as we write them.
//!
//! Reading accepts fixed- and variable-length strings, ASCII and UTF-8, scalars and one-element
//! arrays. Writing uses the forms that pyUSID and h5py write.

use hdf5::types::{FixedUnicode, H5Type, VarLenUnicode};
use hdf5::{Attribute, Datatype, Location, ObjectReference1, ReferencedObject};
use serde_json::Value;

use super::datatype::{Class, class};
use super::text;
use pixelmill_core::foreign_text::of_fixed_length;

/// Bytes that an attribute may claim. One that claims more is damaged, or no text or number that anybody
/// asks for here: HDF5 keeps at most 64 KiB in an object's header.
const MOST_BYTES: usize = 1 << 20;

/// The attribute of this name, unless it claims more than can be.
fn attribute(location: &Location, name: &str) -> Option<Attribute> {
    let attribute = location.attr(name).ok()?;
    let bytes = attribute.dtype().ok()?.size().checked_mul(attribute.size())?;
    (bytes <= MOST_BYTES).then_some(attribute)
}

/// All strings of an attribute; `None` if it isn't there or doesn't hold strings.
pub(crate) fn strings(location: &Location, name: &str) -> Option<Vec<String>> {
    strings_of(&attribute(location, name)?)
}

fn strings_of(attribute: &Attribute) -> Option<Vec<String>> {
    let datatype = attribute.dtype().ok()?;
    match class(&datatype) {
        Class::VariableText => text::of_variable_length(attribute, &datatype),
        Class::FixedText => {
            let size = datatype.size();
            let bytes = super::raw_attribute(attribute, size)?;
            Some(bytes.chunks_exact(size).map(of_fixed_length).collect())
        }
        _ => None,
    }
}

/// The one string of an attribute.
pub(crate) fn string(location: &Location, name: &str) -> Option<String> {
    strings(location, name)?.into_iter().next()
}

/// The one integer of an attribute, however it is stored, or the one that its text spells.
pub(crate) fn integer(location: &Location, name: &str) -> Option<i64> {
    match first(json(location, name)?)? {
        Value::Number(number) => {
            let whole =
                |value: f64| (value == value.trunc() && value.abs() < 1e15).then_some(value as i64);
            number.as_i64().or_else(|| number.as_f64().and_then(whole))
        }
        Value::Bool(truth) => Some(i64::from(truth)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// The one number of an attribute, however it is stored, or the one that its text spells.
pub(crate) fn number(location: &Location, name: &str) -> Option<f64> {
    match first(json(location, name)?)? {
        Value::Number(number) => number.as_f64(),
        Value::Bool(truth) => Some(f64::from(u8::from(truth))),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// The one truth value of an attribute: TRUE or FALSE, 1 or 0, or such a text.
pub(crate) fn truth(location: &Location, name: &str) -> Option<bool> {
    match first(json(location, name)?)? {
        Value::Bool(truth) => Some(truth),
        Value::Number(number) => Some(number.as_f64()? != 0.0),
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// All numbers of an attribute that holds a list of them.
pub(crate) fn numbers(location: &Location, name: &str) -> Option<Vec<f64>> {
    json(location, name)?.as_array()?.iter().map(Value::as_f64).collect()
}

fn first(value: Value) -> Option<Value> {
    match value {
        Value::Array(values) => values.into_iter().next(),
        value => Some(value),
    }
}

/// The dataset that an object reference points to.
pub(crate) fn referenced_dataset(location: &Location, name: &str) -> Option<hdf5::Dataset> {
    let attribute = attribute(location, name)?;
    let reference = attribute.read_raw::<ObjectReference1>().ok()?.into_iter().next()?;
    match location.dereference(&reference).ok()? {
        ReferencedObject::Dataset(dataset) => Some(dataset),
        _ => None,
    }
}

/// An attribute as JSON, if it holds what a parameter can hold: text, numbers, truth values, or
/// lists of these.
pub(crate) fn json(location: &Location, name: &str) -> Option<Value> {
    let attribute = attribute(location, name)?;
    let values = json_values(&attribute)?;
    if attribute.is_scalar() { values.into_iter().next() } else { Some(Value::Array(values)) }
}

fn json_values(attribute: &Attribute) -> Option<Vec<Value>> {
    match class(&attribute.dtype().ok()?) {
        Class::Integer { signed: true } => {
            Some(attribute.read_raw::<i64>().ok()?.into_iter().map(Value::from).collect())
        }
        Class::Integer { signed: false } => {
            Some(attribute.read_raw::<u64>().ok()?.into_iter().map(Value::from).collect())
        }
        Class::Float => {
            Some(attribute.read_raw::<f64>().ok()?.into_iter().map(Value::from).collect())
        }
        Class::Boolean => {
            // Other bytes than 0 and 1 are no `bool`, but may be in the file.
            let bytes = super::raw_attribute(attribute, 1)?;
            Some(bytes.into_iter().map(|byte| Value::from(byte != 0)).collect())
        }
        _ => Some(strings_of(attribute)?.into_iter().map(Value::from).collect()),
    }
}

/// Writes a scalar string of variable length.
pub(crate) fn write_string(location: &Location, name: &str, text: &str) -> hdf5::Result<()> {
    location.new_attr::<VarLenUnicode>().create(name)?.write_scalar(&unicode(text)?)
}

/// Writes a scalar string of variable length in place of whatever has its name, unless that says so already.
pub(crate) fn replace_string(location: &Location, name: &str, text: &str) -> hdf5::Result<()> {
    if string(location, name).as_deref() == Some(text) {
        return Ok(());
    }
    remove(location, name)?;
    write_string(location, name, text)
}

/// Takes an attribute away, if there is one.
pub(crate) fn remove(location: &Location, name: &str) -> hdf5::Result<()> {
    if location.attr(name).is_ok() { location.delete_attr(name) } else { Ok(()) }
}

/// Writes a list of strings of variable length.
pub(crate) fn write_strings(
    location: &Location,
    name: &str,
    texts: &[impl AsRef<str>],
) -> hdf5::Result<()> {
    let texts =
        texts.iter().map(|text| unicode(text.as_ref())).collect::<hdf5::Result<Vec<_>>>()?;
    location.new_attr::<VarLenUnicode>().shape(texts.len()).create(name)?.write_raw(&texts)
}

/// Writes a scalar integer.
pub(crate) fn write_integer(location: &Location, name: &str, value: i64) -> hdf5::Result<()> {
    location.new_attr::<i64>().create(name)?.write_scalar(&value)
}

/// Writes a reference to the object at `path`.
pub(crate) fn write_reference(location: &Location, name: &str, path: &str) -> hdf5::Result<()> {
    let reference: ObjectReference1 = location.reference(path)?;
    location.new_attr::<ObjectReference1>().create(name)?.write_scalar(&reference)
}

const NUL: &str = "a text with a NUL character can't be stored";

/// Text of at most 159 bytes whose attribute can be overwritten in place.
type ShortText = FixedUnicode<160>;

/// Writes a short text: in place if the attribute is one that this has made, else in its stead.
pub(crate) fn put_short_text(location: &Location, name: &str, text: &str) -> hdf5::Result<()> {
    let ends = text.char_indices().map(|(at, letter)| at + letter.len_utf8());
    let end = ends.take_while(|end| *end < 160).last().unwrap_or(0);
    let text: ShortText = text[..end].parse().map_err(|_| hdf5::Error::from(NUL))?;
    ours::<ShortText>(location, name)?.write_scalar(&text)
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

/// Whether a short text can be overwritten in place.
pub(crate) fn holds_short_text(location: &Location, name: &str) -> bool {
    is_ours::<ShortText>(location, name)
}

/// Whether an integer can be overwritten in place.
pub(crate) fn holds_integer(location: &Location, name: &str) -> bool {
    is_ours::<i64>(location, name)
}

/// Writes an integer: in place if the attribute is one that this has made, else in its stead.
pub(crate) fn put_integer(location: &Location, name: &str, value: i64) -> hdf5::Result<()> {
    ours::<i64>(location, name)?.write_scalar(&value)
}

/// Writes a parameter in the form that pyUSID gives it; one that is `null` is left out.
pub(crate) fn write_json(location: &Location, name: &str, value: &Value) -> hdf5::Result<()> {
    match value {
        Value::Null => Ok(()),
        Value::Bool(value) => location.new_attr::<bool>().create(name)?.write_scalar(value),
        Value::String(text) => write_string(location, name, text),
        Value::Number(number) => match number.as_i64() {
            Some(value) => write_integer(location, name, value),
            None => {
                let value = number.as_f64().unwrap_or(f64::NAN);
                location.new_attr::<f64>().create(name)?.write_scalar(&value)
            }
        },
        Value::Array(values) => {
            match values.iter().map(Value::as_f64).collect::<Option<Vec<_>>>() {
                Some(numbers) => location
                    .new_attr::<f64>()
                    .shape(numbers.len())
                    .create(name)?
                    .write_raw(&numbers),
                None => {
                    let texts: Vec<_> = values.iter().map(ToString::to_string).collect();
                    write_strings(location, name, &texts)
                }
            }
        }
        Value::Object(_) => write_string(location, name, &value.to_string()),
    }
}

fn unicode(text: &str) -> hdf5::Result<VarLenUnicode> {
    text.parse().map_err(|_| hdf5::Error::from(NUL))
}
