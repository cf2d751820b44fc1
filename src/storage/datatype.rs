//! Between HDF5's types and ours.

use hdf5::types::{CompoundField, CompoundType, FloatSize, H5Type, IntSize, TypeDescriptor};
use hdf5::{Dataset, Datatype};

use super::library;
use crate::element::{ElementType, StoredType};
use crate::results::{ColumnLayout, Field};

/// How a dataset stores its elements; the error says what they are instead of numbers.
pub(crate) fn stored_type(dataset: &Dataset) -> Result<StoredType, String> {
    let datatype = dataset.dtype().map_err(|error| error.to_string())?;
    let descriptor = datatype.to_descriptor().map_err(|error| error.to_string())?;
    let element = element_type(&descriptor).ok_or_else(|| describe(&descriptor))?;
    if element.size() != datatype.size() {
        return Err(format!("{} bytes long {element}", datatype.size()));
    }
    let big_endian = library::is_big_endian(&datatype).ok_or("numbers of mixed byte order")?;
    Ok(StoredType { element, swapped: big_endian != cfg!(target_endian = "big") })
}

/// How a dataset stores its numbers, with the names of the fields if it holds compound records of
/// floating-point numbers of one type, side by side; the error says what else it holds.
pub(crate) fn stored_record(dataset: &Dataset) -> Result<(StoredType, Vec<String>), String> {
    let datatype = dataset.dtype().map_err(|error| error.to_string())?;
    match datatype.to_descriptor().map_err(|error| error.to_string())? {
        TypeDescriptor::Compound(compound) if parts(&compound).is_none() => {
            let element = common_type(&compound).ok_or_else(|| {
                let found = describe(&TypeDescriptor::Compound(compound.clone()));
                format!("{found}, not all float32 or all float64 without gaps")
            })?;
            let big_endian =
                library::is_big_endian(&datatype).ok_or("numbers of mixed byte order")?;
            let swapped = big_endian != cfg!(target_endian = "big");
            let names = compound.fields.into_iter().map(|field| field.name).collect();
            Ok((StoredType { element, swapped }, names))
        }
        _ => stored_type(dataset).map(|stored| (stored, Vec::new())),
    }
}

/// The type of all fields of a record, if they have one and fill it without gaps.
fn common_type(compound: &CompoundType) -> Option<ElementType> {
    let element = match compound.fields.first()?.ty {
        TypeDescriptor::Float(FloatSize::U4) => ElementType::Float32,
        TypeDescriptor::Float(FloatSize::U8) => ElementType::Float64,
        _ => return None,
    };
    let mut fields = compound.fields.iter().enumerate();
    let same = fields.all(|(at, field)| {
        element_type(&field.ty) == Some(element) && field.offset == at * element.size()
    });
    (same && compound.fields.len() * element.size() == compound.size).then_some(element)
}

fn element_type(descriptor: &TypeDescriptor) -> Option<ElementType> {
    Some(match descriptor {
        TypeDescriptor::Integer(IntSize::U1) => ElementType::Int8,
        TypeDescriptor::Integer(IntSize::U2) => ElementType::Int16,
        TypeDescriptor::Integer(IntSize::U4) => ElementType::Int32,
        TypeDescriptor::Integer(IntSize::U8) => ElementType::Int64,
        TypeDescriptor::Unsigned(IntSize::U1) | TypeDescriptor::Boolean => ElementType::UInt8,
        TypeDescriptor::Unsigned(IntSize::U2) => ElementType::UInt16,
        TypeDescriptor::Unsigned(IntSize::U4) => ElementType::UInt32,
        TypeDescriptor::Unsigned(IntSize::U8) => ElementType::UInt64,
        TypeDescriptor::Float(FloatSize::U4) => ElementType::Float32,
        TypeDescriptor::Float(FloatSize::U8) => ElementType::Float64,
        TypeDescriptor::Compound(compound) => match parts(compound)? {
            FloatSize::U4 => ElementType::Complex64,
            FloatSize::U8 => ElementType::Complex128,
        },
        _ => return None,
    })
}

/// The parts of a complex number, as h5py (`r`, `i`) and others (`real`, `imag`) store it.
fn parts(compound: &CompoundType) -> Option<FloatSize> {
    let [real, imaginary] = compound.fields.as_slice() else {
        return None;
    };
    let named =
        |field: &CompoundField, letter: char| field.name.to_ascii_lowercase().starts_with(letter);
    match (&real.ty, &imaginary.ty) {
        (TypeDescriptor::Float(a), TypeDescriptor::Float(b))
            if a == b
                && real.offset == 0
                && imaginary.offset * 2 == compound.size
                && named(real, 'r')
                && named(imaginary, 'i') =>
        {
            Some(*a)
        }
        _ => None,
    }
}

fn describe(descriptor: &TypeDescriptor) -> String {
    match descriptor {
        TypeDescriptor::Compound(compound) => {
            let names: Vec<_> = compound.fields.iter().map(|field| field.name.as_str()).collect();
            format!("compound records ({})", names.join(", "))
        }
        TypeDescriptor::FixedAscii(_)
        | TypeDescriptor::FixedUnicode(_)
        | TypeDescriptor::VarLenAscii
        | TypeDescriptor::VarLenUnicode => "text".to_owned(),
        TypeDescriptor::VarLenArray(_) => "arrays of variable length".to_owned(),
        TypeDescriptor::Enum(_) => "an enumeration".to_owned(),
        TypeDescriptor::Reference(_) => "references".to_owned(),
        other => other.to_string(),
    }
}

/// The HDF5 type of one value of a results dataset.
pub(crate) fn column_type(layout: &ColumnLayout) -> hdf5::Result<Datatype> {
    let descriptor = match layout.fields.as_slice() {
        [Field { name: None, element }] => element_descriptor(*element),
        fields => compound(fields),
    };
    Datatype::from_descriptor(&descriptor)
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
        ElementType::Float32 => f32::type_descriptor(),
        ElementType::Float64 => f64::type_descriptor(),
        ElementType::Complex64 => num_complex::Complex32::type_descriptor(),
        ElementType::Complex128 => num_complex::Complex64::type_descriptor(),
    }
}
