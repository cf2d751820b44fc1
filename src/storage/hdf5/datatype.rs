//! Between HDF5's types and ours: what the elements of a dataset are, by their class and by every
//! bit.
//!
//! Numbers in the form that this machine computes with are read as they lie in the file, and so are
//! those of 16 bits. All other numbers that fit into one of our types are read through HDF5, which
//! converts them to it without loss; what fits into none is refused by its name. Enumerations are
//! the integers that they are made of; of records a field may be taken for the whole.

use std::ops::Range;

use hdf5::types::{CompoundField, CompoundType, H5Type, TypeDescriptor};
use hdf5::{Dataset, Datatype};
use hdf5_sys::h5;
use hdf5_sys::h5t::{self, H5T_class_t, H5T_order_t, H5T_sign_t};

use super::super::container::{Class, Elements, RecordField};
use super::{error, text};
use pixelmill_core::column_layout::Field;
use pixelmill_core::element::{ElementType, StoredType};
use pixelmill_core::foreign_text::decoded;

/// The class of a type.
pub(super) fn class(datatype: &Datatype) -> Class {
    let id = datatype.id();
    // SAFETY: the id is a live type's, here and below where properties of its class are asked for.
    let class = hdf5::sync::sync(|| unsafe { h5t::H5Tget_class(id) });
    match class {
        H5T_class_t::H5T_INTEGER => {
            // SAFETY: see above.
            let sign = hdf5::sync::sync(|| unsafe { h5t::H5Tget_sign(id) });
            Class::Integer { signed: sign != H5T_sign_t::H5T_SGN_NONE }
        }
        H5T_class_t::H5T_FLOAT => Class::Float,
        H5T_class_t::H5T_STRING => {
            // SAFETY: see above.
            match hdf5::sync::sync(|| unsafe { h5t::H5Tis_variable_str(id) }) {
                1.. => Class::VariableText,
                _ => Class::FixedText,
            }
        }
        H5T_class_t::H5T_ENUM if is_boolean(datatype) => Class::Boolean,
        H5T_class_t::H5T_ENUM => Class::Enumeration,
        H5T_class_t::H5T_COMPOUND => Class::Record,
        H5T_class_t::H5T_REFERENCE => Class::Other("references"),
        H5T_class_t::H5T_VLEN => Class::Other("arrays of variable length"),
        H5T_class_t::H5T_ARRAY => Class::Other("arrays within its elements"),
        H5T_class_t::H5T_BITFIELD => Class::Other("bit fields"),
        H5T_class_t::H5T_OPAQUE => Class::Other("opaque bytes"),
        H5T_class_t::H5T_TIME => Class::Other("times"),
        #[cfg(hdf5_2_0)]
        H5T_class_t::H5T_COMPLEX => Class::Complex,
        _ => Class::Other("elements of an unknown class"),
    }
}

/// How many bits of an element count, and from which on.
pub(super) fn bits(datatype: &Datatype) -> (usize, usize) {
    hdf5::sync::sync(|| {
        // SAFETY: the id is a live type's; of types without a precision the answer is 0, and
        // negative.
        let (bits, from) =
            unsafe { (h5t::H5Tget_precision(datatype.id()), h5t::H5Tget_offset(datatype.id())) };
        (bits, usize::try_from(from).unwrap_or(0))
    })
}

/// The type that an enumeration, an array or a complex number is made of.
pub(super) fn base_type(datatype: &Datatype) -> hdf5::Result<Datatype> {
    // SAFETY: the id is a live type's; the type that comes back is ours.
    hdf5::sync::sync(|| unsafe { hdf5::from_id(hdf5::h5check(h5t::H5Tget_super(datatype.id()))?) })
}

/// One field of a record.
struct Member {
    name: String,
    offset: usize,
    datatype: Datatype,
}

/// The fields of a record; none of any other type.
fn members(datatype: &Datatype) -> hdf5::Result<Vec<Member>> {
    hdf5::sync::sync(|| {
        // SAFETY: as in `class`; each field is below their number, and its type is ours.
        let member = |index| unsafe {
            Ok(Member {
                name: member_name(datatype, index),
                offset: h5t::H5Tget_member_offset(datatype.id(), index),
                datatype: hdf5::from_id(hdf5::h5check(h5t::H5Tget_member_type(
                    datatype.id(),
                    index,
                ))?)?,
            })
        };
        (0..member_count(datatype)).map(member).collect()
    })
}

/// How many fields a record has, or names an enumeration.
fn member_count(datatype: &Datatype) -> u32 {
    // SAFETY: as in `class`; of other types the answer is negative.
    u32::try_from(hdf5::sync::sync(|| unsafe { h5t::H5Tget_nmembers(datatype.id()) })).unwrap_or(0)
}

fn member_name(datatype: &Datatype, index: u32) -> String {
    hdf5::sync::sync(|| {
        // SAFETY: the name is none or a text of HDF5's, which is copied and given back.
        unsafe {
            let name = h5t::H5Tget_member_name(datatype.id(), index);
            let copy = text::bytes_at(name).map(decoded).unwrap_or_default();
            h5::H5free_memory(name.cast());
            copy
        }
    })
}

/// Whether an enumeration is FALSE = 0 and TRUE = 1 in one byte, as h5py writes truth values.
fn is_boolean(datatype: &Datatype) -> bool {
    let value = |index| {
        let mut value = 0u8;
        // SAFETY: the type has one byte, which the value is put into.
        let status = hdf5::sync::sync(|| unsafe {
            h5t::H5Tget_member_value(datatype.id(), index, (&raw mut value).cast())
        });
        (status >= 0).then_some(value)
    };
    datatype.size() == 1
        && member_count(datatype) == 2
        && ["FALSE", "TRUE"].iter().zip(0..).all(|(name, index)| {
            member_name(datatype, index) == *name && value(index) == Some(index as u8)
        })
}

/// The form of a float: bits, and where the exponent and the mantissa begin and how many bits they
/// have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FloatForm {
    bits: usize,
    bytes: usize,
    sign: usize,
    exponent: (usize, usize),
    mantissa: (usize, usize),
    bias: usize,
    is_implied: bool,
}

impl FloatForm {
    const fn ieee(bytes: usize, exponent: usize, mantissa: usize) -> Self {
        Self {
            bits: 8 * bytes,
            bytes,
            sign: 8 * bytes - 1,
            exponent: (mantissa, exponent),
            mantissa: (0, mantissa),
            bias: (1 << (exponent - 1)) - 1,
            is_implied: true,
        }
    }

    fn of(datatype: &Datatype) -> Option<Self> {
        let id = datatype.id();
        let [mut sign, mut exponent, mut exponent_bits, mut mantissa, mut mantissa_bits] = [0; 5];
        hdf5::sync::sync(|| {
            // SAFETY: as in `class`; each place takes the one number that comes back.
            unsafe {
                let status = h5t::H5Tget_fields(
                    id,
                    &raw mut sign,
                    &raw mut exponent,
                    &raw mut exponent_bits,
                    &raw mut mantissa,
                    &raw mut mantissa_bits,
                );
                (status >= 0).then(|| Self {
                    bits: h5t::H5Tget_precision(id),
                    bytes: datatype.size(),
                    sign,
                    exponent: (exponent, exponent_bits),
                    mantissa: (mantissa, mantissa_bits),
                    bias: h5t::H5Tget_ebias(id),
                    is_implied: h5t::H5Tget_norm(id) == h5t::H5T_norm_t::H5T_NORM_IMPLIED,
                })
            }
        })
    }

    /// The type of ours that is this very form.
    fn same(self) -> Option<ElementType> {
        PLAIN_FLOATS.iter().find(|(form, _)| *form == self).map(|(_, element)| *element)
    }

    /// The least type of ours that has all its numbers.
    fn wider(self) -> Option<ElementType> {
        let usual = self.bias == (1 << (self.exponent.1.max(1) - 1)) - 1 && self.is_implied;
        match (self.exponent.1, self.mantissa.1) {
            (..=8, ..=23) if usual => Some(ElementType::Float32),
            // An unusual exponent still fits into one of three more bits.
            (..=8, ..=51) => Some(ElementType::Float64),
            (..=11, ..=52) if usual => Some(ElementType::Float64),
            _ => None,
        }
    }
}

const PLAIN_FLOATS: [(FloatForm, ElementType); 4] = [
    (FloatForm::ieee(4, 8, 23), ElementType::Float32),
    (FloatForm::ieee(8, 11, 52), ElementType::Float64),
    (FloatForm::ieee(2, 5, 10), ElementType::Float16),
    (FloatForm::ieee(2, 8, 7), ElementType::BFloat16),
];

/// Whether the bytes of a type's elements are numbers as they lie, but for their order. Of others
/// only HDF5 can tell what they are. What holds no numbers counts as such too.
pub(super) fn is_plain(datatype: &Datatype) -> bool {
    match class(datatype) {
        Class::Integer { .. } => {
            let size = datatype.size();
            [1, 2, 4, 8].contains(&size) && bits(datatype) == (size * 8, 0)
        }
        Class::Float => FloatForm::of(datatype).is_some_and(|form| form.same().is_some()),
        Class::Enumeration => base_type(datatype).is_ok_and(|base| is_plain(&base)),
        Class::Record => members(datatype)
            .is_ok_and(|members| members.iter().all(|member| is_plain(&member.datatype))),
        _ => true,
    }
}

/// Whether all that an element is lies in the element, as it does in memory: of what has a variable
/// length, and of references, it is elsewhere in the file.
fn is_self_contained(datatype: &Datatype) -> bool {
    match class(datatype) {
        Class::VariableText | Class::Other("references" | "arrays of variable length") => false,
        Class::Other("arrays within its elements") => {
            base_type(datatype).is_ok_and(|base| is_self_contained(&base))
        }
        Class::Record => members(datatype)
            .is_ok_and(|members| members.iter().all(|member| is_self_contained(&member.datatype))),
        _ => true,
    }
}

/// Our type of a number; the error is what it is instead.
fn number(datatype: &Datatype) -> Result<ElementType, String> {
    let size = datatype.size();
    match class(datatype) {
        Class::Integer { signed } => integer(size, signed).ok_or_else(|| {
            format!("integers of {} bits, which aren't supported", bits(datatype).0)
        }),
        Class::Boolean => Ok(ElementType::UInt8),
        Class::Enumeration => number(&base_type(datatype).map_err(words)?),
        Class::Float => {
            let form =
                FloatForm::of(datatype).ok_or("floating-point numbers of an unknown form")?;
            form.same().or_else(|| form.wider()).ok_or_else(|| unsupported_float(form))
        }
        Class::Complex => complex(number(&base_type(datatype).map_err(words)?)?),
        Class::Record => {
            let members = members(datatype).map_err(words)?;
            match parts(&members, size) {
                Some(part) => complex(number(part)?),
                None => Err(describe(datatype)),
            }
        }
        _ => Err(describe(datatype)),
    }
}

fn unsupported_float(form: FloatForm) -> String {
    // The formats of long double on x86 and elsewhere.
    let name = match (form.exponent.1, form.mantissa.1) {
        (15, 64) => "long double, 80-bit floating-point numbers".to_owned(),
        (15, 112) => "float128, 128-bit floating-point numbers".to_owned(),
        _ => format!("{}-bit floating-point numbers", form.bits),
    };
    format!("{name}, which aren't supported")
}

fn words(refused: hdf5::Error) -> String {
    error::innermost_reason(&refused)
}

/// The least type that has all integers of so many bytes.
fn integer(bytes: usize, signed: bool) -> Option<ElementType> {
    Some(match (bytes, signed) {
        (1, true) => ElementType::Int8,
        (1, false) => ElementType::UInt8,
        (2, true) => ElementType::Int16,
        (2, false) => ElementType::UInt16,
        (3..=4, true) => ElementType::Int32,
        (3..=4, false) => ElementType::UInt32,
        (5..=8, true) => ElementType::Int64,
        (5..=8, false) => ElementType::UInt64,
        _ => return None,
    })
}

/// The complex type with such parts.
fn complex(part: ElementType) -> Result<ElementType, String> {
    match part {
        ElementType::Float32 => Ok(ElementType::Complex64),
        ElementType::Float64 => Ok(ElementType::Complex128),
        other => Err(format!("complex numbers of two {other}, which aren't supported")),
    }
}

/// How those who write complex numbers call their parts. h5py, PyTables, Julia and netCDF write `r`
/// and `i`, MATLAB, Octave and Armadillo `real` and `imag`, IDL `real` and `imaginary`. Capital
/// letters of their own, R and I, would as well be resistance and current.
const PARTS: [(&str, &str); 4] =
    [("r", "i"), ("re", "im"), ("real", "imag"), ("real", "imaginary")];

/// The type of the parts, if a record is a complex number: two floats of one type, side by side.
fn parts(members: &[Member], size: usize) -> Option<&Datatype> {
    let [real, imaginary] = members else {
        return None;
    };
    let spelt = |name: &str| if name.len() == 1 { name.to_owned() } else { name.to_lowercase() };
    let names = (spelt(&real.name), spelt(&imaginary.name));
    let known = PARTS.iter().any(|(one, other)| (*one, *other) == (&names.0, &names.1));
    let same = class(&real.datatype) == Class::Float && real.datatype == imaginary.datatype;
    (known && same && real.offset == 0 && imaginary.offset * 2 == size).then_some(&real.datatype)
}

/// How a dataset stores its elements; the error says what they are instead of numbers.
pub(super) fn stored_type(dataset: &Dataset) -> Result<StoredType, String> {
    stored(&dataset.dtype().map_err(words)?)
}

fn stored(datatype: &Datatype) -> Result<StoredType, String> {
    let element = number(datatype)?;
    if is_plain(datatype) && element.size() != datatype.size() {
        return Err(format!("{} bytes long {element}", datatype.size()));
    }
    Ok(StoredType { element, swapped: is_swapped(datatype)? })
}

fn is_swapped(datatype: &Datatype) -> Result<bool, String> {
    let order = hdf5::sync::sync(|| {
        // SAFETY: as in `class`.
        unsafe { h5t::H5Tget_order(datatype.id()) }
    });
    match order {
        H5T_order_t::H5T_ORDER_BE => Ok(cfg!(target_endian = "little")),
        H5T_order_t::H5T_ORDER_LE => Ok(cfg!(target_endian = "big")),
        H5T_order_t::H5T_ORDER_NONE => Ok(false),
        H5T_order_t::H5T_ORDER_VAX => Err("numbers in the byte order of a VAX".to_owned()),
        _ => Err("numbers of mixed byte order".to_owned()),
    }
}

/// The type in which a dataset's elements are read: its own, or one of ours that HDF5 converts them
/// to, in the same byte order. (HDF5 2.0 forgets the sign where it changes both.)
pub(super) fn memory_type(datatype: Datatype) -> hdf5::Result<Datatype> {
    if is_plain(&datatype) {
        return Ok(datatype);
    }
    let Ok(StoredType { element, .. }) = stored(&datatype) else {
        return Ok(datatype);
    };
    let whole = Datatype::from_descriptor(&element_descriptor(element))?;
    if class(&whole) != Class::Record {
        hdf5::sync::sync(|| {
            // SAFETY: both ids are live, and `whole` is a type of ours alone.
            hdf5::h5check(unsafe {
                h5t::H5Tset_order(whole.id(), h5t::H5Tget_order(datatype.id()))
            })
        })?;
    }
    Ok(whole)
}

/// How a dataset stores its numbers, with the names of the fields if it holds compound records of
/// floating-point numbers of one type, side by side; the error says what else it holds.
pub(super) fn stored_record(dataset: &Dataset) -> Result<(StoredType, Vec<String>), String> {
    let datatype = dataset.dtype().map_err(words)?;
    let members = match class(&datatype) {
        Class::Record => members(&datatype).map_err(words)?,
        _ => Vec::new(),
    };
    if members.is_empty() || parts(&members, datatype.size()).is_some() {
        return stored(&datatype).map(|stored| (stored, Vec::new()));
    }
    let element = common_type(&members, datatype.size()).ok_or_else(|| {
        format!("{}, not all float32 or all float64 without gaps", describe(&datatype))
    })?;
    let stored = StoredType { element, swapped: is_swapped(&datatype)? };
    Ok((stored, members.into_iter().map(|member| member.name).collect()))
}

/// The fields of the records that a dataset holds; none if it holds anything else. The error says
/// why they can't be read.
pub(super) fn record_fields(dataset: &Dataset) -> Result<Vec<RecordField>, String> {
    let datatype = dataset.dtype().map_err(words)?;
    if class(&datatype) != Class::Record {
        return Ok(Vec::new());
    }
    let members = members(&datatype).map_err(words)?;
    if parts(&members, datatype.size()).is_some() {
        return Ok(Vec::new());
    }
    let field = |Member { name, datatype, .. }| RecordField { name, stored: stored(&datatype) };
    Ok(members.into_iter().map(field).collect())
}

/// Where the bytes of a field lie in those of a record as it is stored; `None` if HDF5 has to be
/// asked for its values. Without a field, the same of an element as a whole.
pub(super) fn lying(datatype: &Datatype, field: Option<&str>) -> Option<Range<usize>> {
    let Some(field) = field else {
        return is_plain(datatype).then(|| 0..datatype.size());
    };
    let member = member(datatype, field).ok()?;
    let is_there = is_self_contained(datatype) && is_plain(&member.datatype);
    is_there.then(|| member.offset..member.offset + member.datatype.size())
}

/// The field of a record that has this name.
fn member(datatype: &Datatype, field: &str) -> hdf5::Result<Member> {
    let found = members(datatype)?.into_iter().find(|member| member.name == field);
    found.ok_or_else(|| hdf5::Error::from("a field that isn't there"))
}

/// The type in which the values of a field are read through HDF5: a record that has nothing else;
/// without a field, that of whole elements.
pub(super) fn transfer_type(datatype: Datatype, field: Option<&str>) -> hdf5::Result<Datatype> {
    let Some(field) = field else { return memory_type(datatype) };
    let found = members(&datatype)?.into_iter().zip(0..).find(|(member, _)| member.name == field);
    let (member, index) = found.ok_or_else(|| hdf5::Error::from("a field that isn't there"))?;
    let value = memory_type(member.datatype)?;
    hdf5::sync::sync(|| {
        // SAFETY: the ids are live, and the record is as long as its only field; the name is that
        // of the file, is copied and given back, and the type that comes back is ours.
        unsafe {
            let record = hdf5::h5check(h5t::H5Tcreate(H5T_class_t::H5T_COMPOUND, value.size()))?;
            let name = h5t::H5Tget_member_name(datatype.id(), index);
            let inserted = h5t::H5Tinsert(record, name, 0, value.id());
            h5::H5free_memory(name.cast());
            let record = hdf5::from_id(record)?;
            hdf5::h5check(inserted)?;
            Ok(record)
        }
    })
}

/// The type of all fields of a record, if they have one and fill it without gaps.
fn common_type(members: &[Member], size: usize) -> Option<ElementType> {
    let plain = |member: &Member| {
        (class(&member.datatype) == Class::Float && is_plain(&member.datatype))
            .then(|| number(&member.datatype).ok())
            .flatten()
    };
    let element = plain(members.first()?)?;
    let same = members
        .iter()
        .enumerate()
        .all(|(at, member)| plain(member) == Some(element) && member.offset == at * element.size());
    (same && members.len() * element.size() == size).then_some(element)
}

/// What a type is that is no number.
fn describe(datatype: &Datatype) -> String {
    match class(datatype) {
        Class::Record => {
            let members = members(datatype).unwrap_or_default();
            let names: Vec<_> = members.iter().map(|member| member.name.as_str()).collect();
            format!("compound records ({})", names.join(", "))
        }
        Class::FixedText | Class::VariableText => "text".to_owned(),
        Class::Other(words) => words.to_owned(),
        Class::Boolean => "truth values".to_owned(),
        Class::Enumeration => "an enumeration".to_owned(),
        Class::Integer { .. } | Class::Float | Class::Complex => "numbers".to_owned(),
    }
}

/// HDF5's type of such elements.
pub(super) fn type_of(elements: &Elements) -> hdf5::Result<Datatype> {
    Datatype::from_descriptor(&match elements {
        Elements::Number(element) => element_descriptor(*element),
        Elements::Record(fields) => compound(fields),
        Elements::Text(bytes) => TypeDescriptor::FixedUnicode(*bytes),
    })
}

fn compound(fields: &[Field]) -> TypeDescriptor {
    let mut size = 0;
    let fields = fields
        .iter()
        .enumerate()
        .map(|(index, field)| {
            let name = field.name.as_deref().unwrap_or_default();
            let placed = CompoundField::new(name, element_descriptor(field.element), size, index);
            size += field.element.size();
            placed
        })
        .collect();
    TypeDescriptor::Compound(CompoundType { fields, size })
}

fn element_descriptor(element: ElementType) -> TypeDescriptor {
    match element {
        ElementType::Int8 => i8::type_descriptor(),
        ElementType::Int16 => i16::type_descriptor(),
        ElementType::Int32 => i32::type_descriptor(),
        ElementType::Int64 => i64::type_descriptor(),
        ElementType::UInt8 => u8::type_descriptor(),
        ElementType::UInt16 => u16::type_descriptor(),
        ElementType::UInt32 => u32::type_descriptor(),
        ElementType::UInt64 => u64::type_descriptor(),
        // Results are never of 16 bits: no process computes with these.
        ElementType::Float16 | ElementType::BFloat16 | ElementType::Float32 => {
            f32::type_descriptor()
        }
        ElementType::Float64 => f64::type_descriptor(),
        ElementType::Complex64 => num_complex::Complex32::type_descriptor(),
        ElementType::Complex128 => num_complex::Complex64::type_descriptor(),
    }
}
