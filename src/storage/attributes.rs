//! Attributes, as untidy as real files have them, and as we write them.
//!
//! Reading accepts numbers that are texts, texts of any kind, scalars and one-element lists: what a
//! value is stored as, its container tells; what it may be taken for, is said here. Writing uses
//! the forms that pyUSID and h5py write.

use serde_json::Value;

use super::container::{AsObject, Attribute, Content, Dataset, Fixed};
use super::refused::Refused;

type Done = Result<(), Refused>;

/// All strings of an attribute; `None` if it isn't there or doesn't hold strings.
pub(crate) fn strings(of: &(impl AsObject + ?Sized), name: &str) -> Option<Vec<String>> {
    match of.as_object().attribute(name)?.content {
        Content::Texts(texts) => Some(texts),
        _ => None,
    }
}

/// The one string of an attribute.
pub(crate) fn string(of: &(impl AsObject + ?Sized), name: &str) -> Option<String> {
    strings(of, name)?.into_iter().next()
}

/// The one integer of an attribute, however it is stored, or the one that its text spells.
pub(crate) fn integer(of: &(impl AsObject + ?Sized), name: &str) -> Option<i64> {
    match first(json(of, name)?)? {
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

/// The one number of an attribute, however it is stored, or the one that its text spells; it may be
/// NaN or infinite.
pub(crate) fn number(of: &(impl AsObject + ?Sized), name: &str) -> Option<f64> {
    match of.as_object().attribute(name)?.content {
        Content::Texts(texts) => texts.first()?.trim().parse().ok(),
        content => numbers_of(content)?.into_iter().next(),
    }
}

/// The one truth value of an attribute: TRUE or FALSE, 1 or 0, or such a text.
pub(crate) fn truth(of: &(impl AsObject + ?Sized), name: &str) -> Option<bool> {
    match first(json(of, name)?)? {
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

/// All numbers of an attribute that holds a list of them; some may be NaN or infinite.
pub(crate) fn numbers(of: &(impl AsObject + ?Sized), name: &str) -> Option<Vec<f64>> {
    let Attribute { is_scalar, content } = of.as_object().attribute(name)?;
    let is_list = !is_scalar && !matches!(content, Content::Truths(_));
    numbers_of(content).filter(|_| is_list)
}

/// What is stored as numbers or truth values.
fn numbers_of(content: Content) -> Option<Vec<f64>> {
    Some(match content {
        Content::Integers(values) => values.into_iter().map(|value| value as f64).collect(),
        Content::Unsigned(values) => values.into_iter().map(|value| value as f64).collect(),
        Content::Numbers(values) => values,
        Content::Truths(values) => values.into_iter().map(|truth| u8::from(truth).into()).collect(),
        Content::Texts(_) | Content::Reference(_) => return None,
    })
}

fn first(value: Value) -> Option<Value> {
    match value {
        Value::Array(values) => values.into_iter().next(),
        value => Some(value),
    }
}

/// The dataset that an object reference points to.
pub(crate) fn referenced_dataset(of: &(impl AsObject + ?Sized), name: &str) -> Option<Dataset> {
    match of.as_object().attribute(name)?.content {
        Content::Reference(dataset) => Some(dataset),
        _ => None,
    }
}

/// An attribute as JSON, if it holds what a parameter can hold: text, numbers, truth values, or
/// lists of these.
pub(crate) fn json(of: &(impl AsObject + ?Sized), name: &str) -> Option<Value> {
    fn values<T: Into<Value>>(values: Vec<T>) -> Vec<Value> {
        values.into_iter().map(Into::into).collect()
    }
    let Attribute { is_scalar, content } = of.as_object().attribute(name)?;
    let values = match content {
        Content::Texts(texts) => values(texts),
        Content::Integers(integers) => values(integers),
        Content::Unsigned(integers) => values(integers),
        Content::Numbers(numbers) => values(numbers),
        Content::Truths(truths) => values(truths),
        Content::Reference(_) => return None,
    };
    if is_scalar { values.into_iter().next() } else { Some(Value::Array(values)) }
}

fn write(of: &(impl AsObject + ?Sized), name: &str, value: Attribute) -> Done {
    of.as_object().create_attribute(name, &value)
}

/// Writes a scalar string of variable length.
pub(crate) fn write_string(of: &(impl AsObject + ?Sized), name: &str, text: &str) -> Done {
    write(of, name, Attribute::one(Content::Texts(vec![text.to_owned()])))
}

/// Writes a scalar string of variable length in place of whatever has its name, unless that says so
/// already.
pub(crate) fn replace_string(of: &(impl AsObject + ?Sized), name: &str, text: &str) -> Done {
    if string(of, name).as_deref() == Some(text) {
        return Ok(());
    }
    remove(of, name)?;
    write_string(of, name, text)
}

/// Takes an attribute away, if there is one.
pub(crate) fn remove(of: &(impl AsObject + ?Sized), name: &str) -> Done {
    let of = of.as_object();
    if of.has_attribute(name) { of.remove_attribute(name) } else { Ok(()) }
}

/// Writes a list of strings of variable length.
pub(crate) fn write_strings(
    of: &(impl AsObject + ?Sized),
    name: &str,
    texts: &[impl AsRef<str>],
) -> Done {
    let texts = texts.iter().map(|text| text.as_ref().to_owned()).collect();
    write(of, name, Attribute::list(Content::Texts(texts)))
}

/// Writes a scalar integer.
pub(crate) fn write_integer(of: &(impl AsObject + ?Sized), name: &str, value: i64) -> Done {
    write(of, name, Attribute::one(Content::Integers(vec![value])))
}

/// Writes a scalar floating-point number.
pub(crate) fn write_number(of: &(impl AsObject + ?Sized), name: &str, value: f64) -> Done {
    write(of, name, Attribute::one(Content::Numbers(vec![value])))
}

/// Writes a truth value.
pub(crate) fn write_truth(of: &(impl AsObject + ?Sized), name: &str, value: bool) -> Done {
    write(of, name, Attribute::one(Content::Truths(vec![value])))
}

/// Writes a reference to the dataset at `path`.
pub(crate) fn write_reference(of: &(impl AsObject + ?Sized), name: &str, path: &str) -> Done {
    let dataset = of.as_object().root()?.dataset(path)?;
    write(of, name, Attribute::one(Content::Reference(dataset)))
}

/// Writes a short text: in place if the attribute is one that this has made, else in its stead.
pub(crate) fn put_short_text(of: &(impl AsObject + ?Sized), name: &str, text: &str) -> Done {
    of.as_object().overwrite(name, Fixed::ShortText(text))
}

/// Whether a short text can be overwritten in place.
pub(crate) fn holds_short_text(of: &(impl AsObject + ?Sized), name: &str) -> bool {
    of.as_object().can_overwrite(name, Fixed::ShortText(""))
}

/// Whether an integer can be overwritten in place.
pub(crate) fn holds_integer(of: &(impl AsObject + ?Sized), name: &str) -> bool {
    of.as_object().can_overwrite(name, Fixed::Integer(0))
}

/// Writes an integer: in place if the attribute is one that this has made, else in its stead.
pub(crate) fn put_integer(of: &(impl AsObject + ?Sized), name: &str, value: i64) -> Done {
    of.as_object().overwrite(name, Fixed::Integer(value))
}

/// Writes a parameter in the form that pyUSID gives it; one that is `null` is left out.
pub(crate) fn write_json(of: &(impl AsObject + ?Sized), name: &str, value: &Value) -> Done {
    match value {
        Value::Null => Ok(()),
        Value::Bool(value) => write_truth(of, name, *value),
        Value::String(text) => write_string(of, name, text),
        Value::Number(number) => match number.as_i64() {
            Some(value) => write_integer(of, name, value),
            None => write_number(of, name, number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::Array(values) => {
            match values.iter().map(Value::as_f64).collect::<Option<Vec<_>>>() {
                Some(numbers) => write(of, name, Attribute::list(Content::Numbers(numbers))),
                None => {
                    let texts: Vec<_> = values.iter().map(ToString::to_string).collect();
                    write_strings(of, name, &texts)
                }
            }
        }
        Value::Object(_) => write_string(of, name, &value.to_string()),
    }
}
