//! NumPy's own format: a header in words, then all values, the last axis fastest.

use std::io::Write;
use std::path::Path;

use super::Steps;
use super::array::{Array, Field};
use crate::storage::npy;
use pixelmill_core::element::ElementType;
use pixelmill_core::error::{Error, Result};

/// Writes an array; whether it is whole.
///
/// # Errors
/// If it can't be read or written.
pub(super) fn write(steps: &Steps<'_>, writer: &mut impl Write, output: &Path) -> Result<bool> {
    let refused = |error| Error::io("write", output, error);
    let header = npy::header_of(&descr(steps.array), &steps.array.shape);
    writer.write_all(&header).map_err(refused)?;
    let sizes: Vec<usize> = steps.array.fields.iter().map(|field| field.element.size()).collect();
    steps.each(|piece| {
        if let [values] = piece.values.as_slice() {
            return writer.write_all(values).map_err(refused);
        }
        let count = piece.values[0].len() / sizes[0];
        let mut records = Vec::with_capacity(count * sizes.iter().sum::<usize>());
        for number in 0..count {
            for (values, size) in piece.values.iter().zip(&sizes) {
                records.extend_from_slice(&values[number * size..(number + 1) * size]);
            }
        }
        writer.write_all(&records).map_err(refused)
    })
}

/// The type as NumPy writes it down: `'<f4'`, or a list of fields.
fn descr(array: &Array) -> String {
    match array.fields.as_slice() {
        [field] => format!("'{}'", code(field)),
        fields => {
            let each = fields.iter().map(|field| {
                let name = field.name.as_deref().unwrap_or_default();
                let name = name.replace('\\', r"\\").replace('\'', r"\'");
                format!("('{name}', '{}')", code(field))
            });
            format!("[{}]", each.collect::<Vec<_>>().join(", "))
        }
    }
}

fn code(field: &Field) -> String {
    let kind = match field.element {
        _ if field.is_truth => return "|b1".to_owned(),
        ElementType::Int8 => return "|i1".to_owned(),
        ElementType::UInt8 => return "|u1".to_owned(),
        ElementType::Int16 => "i2",
        ElementType::Int32 => "i4",
        ElementType::Int64 => "i8",
        ElementType::UInt16 => "u2",
        ElementType::UInt32 => "u4",
        ElementType::UInt64 => "u8",
        ElementType::Float16 | ElementType::BFloat16 | ElementType::Float32 => "f4",
        ElementType::Float64 => "f8",
        ElementType::Complex64 => "c8",
        ElementType::Complex128 => "c16",
    };
    format!("{}{kind}", if cfg!(target_endian = "big") { '>' } else { '<' })
}
