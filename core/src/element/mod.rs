//! Element types: what a dataset stores, what a process wants, and the conversion between them.
//!
//! Conversions happen spectrum by spectrum while the bytes are still in the processor's cache.
//! One that could lose information is refused before the run, unless the process allows it.

mod convert;

use std::fmt;
use std::ops::{Add, Div, Mul, Sub};

use bytemuck::Pod;
use num_complex::{Complex32, Complex64};
use serde::{Deserialize, Serialize};

use convert::convert;
pub(crate) use convert::{BLOCK, correct};
pub use convert::{first_beyond, first_beyond_of, first_lost};

/// The type of one number, named as NumPy names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "their names say all")]
pub enum ElementType {
    Int8,
    Int16,
    Int32,
    Int64,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    Float16,
    /// The upper half of a `Float32`.
    BFloat16,
    Float32,
    Float64,
    Complex64,
    Complex128,
}

impl ElementType {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::Int8 | Self::UInt8 => 1,
            Self::Int16 | Self::UInt16 | Self::Float16 | Self::BFloat16 => 2,
            Self::Int32 | Self::UInt32 | Self::Float32 => 4,
            Self::Int64 | Self::UInt64 | Self::Float64 | Self::Complex64 => 8,
            Self::Complex128 => 16,
        }
    }

    /// Whether an element has a real and an imaginary part.
    pub fn is_complex(self) -> bool {
        matches!(self, Self::Complex64 | Self::Complex128)
    }

    /// Whether a real number of this type, or each part of a complex one, is an integer.
    pub fn is_integer(self) -> bool {
        self.bits().is_some()
    }

    /// For integers: whether there is a sign, and how many bits hold the magnitude.
    fn bits(self) -> Option<(bool, u32)> {
        Some(match self {
            Self::Int8 => (true, 7),
            Self::Int16 => (true, 15),
            Self::Int32 => (true, 31),
            Self::Int64 => (true, 63),
            Self::UInt8 => (false, 8),
            Self::UInt16 => (false, 16),
            Self::UInt32 => (false, 32),
            Self::UInt64 => (false, 64),
            _ => return None,
        })
    }

    /// For floating-point types: how many bits of an integer each part holds exactly.
    fn precision(self) -> Option<u32> {
        match self {
            Self::Float16 => Some(11),
            Self::BFloat16 => Some(8),
            Self::Float32 | Self::Complex64 => Some(24),
            Self::Float64 | Self::Complex128 => Some(53),
            _ => None,
        }
    }

    /// Whether values of this type have to be looked at one by one before they become ones of
    /// `target`: 64-bit integers, of which floating-point numbers don't have all.
    pub fn may_exceed(self, target: Self, narrowing: bool) -> bool {
        let is_long = self.bits().is_some_and(|(_, bits)| bits > 53);
        is_long && target.precision().is_some_and(|precision| precision == 53 || !narrowing)
    }

    /// The parts of one element as `f64`, for showing them.
    pub fn to_numbers(self, bytes: &[u8]) -> Vec<f64> {
        let stored = StoredType { element: self, swapped: false };
        if self.is_complex() {
            let mut complex = Vec::new();
            convert::<Complex64>(bytes, stored, &mut complex);
            return complex.iter().flat_map(|z| [z.re, z.im]).collect();
        }
        let mut parts = Vec::new();
        convert::<f64>(bytes, stored, &mut parts);
        parts
    }

    /// Whether values of this type can become ones of `target`. With `narrowing`, rounding
    /// to a shorter floating-point type is no loss; dropping an imaginary part or a fraction
    /// always is. 64-bit integers may become double precision, since few reach 2⁵³: a position
    /// fails that has one beyond.
    pub fn converts_to(self, target: Self, narrowing: bool) -> bool {
        if self.is_complex() && !target.is_complex() {
            return false;
        }
        match (self.bits(), target.bits(), self.precision(), target.precision()) {
            (Some((signed, bits)), Some((target_signed, target_bits)), ..) => {
                bits <= target_bits && (target_signed || !signed)
            }
            (Some((_, bits)), _, _, Some(precision)) => {
                narrowing || bits <= precision || precision == 53
            }
            (_, _, Some(own), Some(precision)) => narrowing || own <= precision,
            _ => false,
        }
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::UInt8 => "uint8",
            Self::UInt16 => "uint16",
            Self::UInt32 => "uint32",
            Self::UInt64 => "uint64",
            Self::Float16 => "float16",
            Self::BFloat16 => "bfloat16",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            Self::Complex64 => "complex64",
            Self::Complex128 => "complex128",
        })
    }
}

/// An element type as it lies in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredType {
    /// Which it is.
    pub element: ElementType,
    /// Whether its bytes are in the other order than this machine's.
    pub swapped: bool,
}

/// A number that processes compute with.
pub trait Element:
    Pod
    + Default
    + PartialEq
    + fmt::Debug
    + Send
    + Sync
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
{
    /// Its element type.
    const TYPE: ElementType;
    /// What a position that has not been computed, or failed, holds: NaN, or 0 for integers.
    const MISSING: Self;

    /// From a signed integer; exact if `ElementType::converts_to` says so.
    fn from_signed(value: i64) -> Self;
    /// From an unsigned integer; exact if `ElementType::converts_to` says so.
    fn from_unsigned(value: u64) -> Self;
    /// From the parts of a number; exact if `ElementType::converts_to` says so.
    fn from_parts(real: f64, imaginary: f64) -> Self;
}

macro_rules! element {
    ($($type:ty, $element:ident, $missing:expr, |$re:ident, $im:ident| $parts:expr, |$int:ident| $from:expr;)*) => {$(
        impl Element for $type {
            const TYPE: ElementType = ElementType::$element;
            const MISSING: Self = $missing;
            fn from_signed($int: i64) -> Self { $from }
            fn from_unsigned($int: u64) -> Self { $from }
            fn from_parts($re: f64, $im: f64) -> Self { let _ = $im; $parts }
        }
    )*};
}

element! {
    i8, Int8, 0, |re, im| re as i8, |int| int as i8;
    i16, Int16, 0, |re, im| re as i16, |int| int as i16;
    i32, Int32, 0, |re, im| re as i32, |int| int as i32;
    i64, Int64, 0, |re, im| re as i64, |int| int as i64;
    u8, UInt8, 0, |re, im| re as u8, |int| int as u8;
    u16, UInt16, 0, |re, im| re as u16, |int| int as u16;
    u32, UInt32, 0, |re, im| re as u32, |int| int as u32;
    u64, UInt64, 0, |re, im| re as u64, |int| int as u64;
    f32, Float32, f32::NAN, |re, im| re as f32, |int| int as f32;
    f64, Float64, f64::NAN, |re, im| re, |int| int as f64;
    Complex32, Complex64, Complex32::new(f32::NAN, f32::NAN),
        |re, im| Complex32::new(re as f32, im as f32), |int| Complex32::new(int as f32, 0.0);
    Complex64, Complex128, Complex64::new(f64::NAN, f64::NAN),
        |re, im| Complex64::new(re, im), |int| Complex64::new(int as f64, 0.0);
}

/// The elements in `bytes`, as they are where that is possible, else converted into `buffer`.
pub fn elements<'a, T: Element>(
    bytes: &'a [u8],
    stored: StoredType,
    buffer: &'a mut Vec<T>,
) -> &'a [T] {
    if let Some(elements) = lying(bytes, stored) {
        return elements;
    }
    buffer.clear();
    append(bytes, stored, buffer);
    buffer
}

/// The elements in `bytes` where they lie, if they need no conversion.
#[inline]
pub(crate) fn lying<T: Element>(bytes: &[u8], stored: StoredType) -> Option<&[T]> {
    let is_native = stored.element == T::TYPE && !stored.swapped;
    bytemuck::try_cast_slice(bytes).ok().filter(|_| is_native)
}

/// Appends the elements in `bytes` to `out`: bit by bit if they need no conversion.
pub fn append<T: Element>(bytes: &[u8], stored: StoredType, out: &mut Vec<T>) {
    if stored.element == T::TYPE && !stored.swapped {
        out.extend(bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned::<T>));
    } else {
        convert(bytes, stored, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ElementType::*;

    #[test]
    fn conversions_that_lose_information_are_refused() {
        let allowed = [
            (Float32, Float64),
            (Float32, Complex64),
            (Float32, Complex128),
            (Float64, Complex128),
            (Complex64, Complex128),
            (UInt16, Float32),
            (Int32, Float64),
            (Int64, Float64),
            (UInt64, Complex128),
            (UInt8, Int16),
            (UInt32, Int64),
        ];
        let refused = [
            (Complex64, Float32),
            (Complex64, Float64),
            (Float64, Float32),
            (Complex128, Complex64),
            (Int32, Float32),
            (Int64, Float32),
            (Float32, Int32),
            (Int8, UInt8),
            (UInt16, Int16),
            (Float64, Int64),
        ];
        for (from, to) in allowed {
            assert!(from.converts_to(to, false), "{from} to {to}");
        }
        for (from, to) in refused {
            assert!(!from.converts_to(to, false), "{from} to {to}");
        }
        assert!(Float64.converts_to(Float32, true));
        assert!(!Complex64.converts_to(Float64, true));
        assert!(!Float64.converts_to(Int64, true));
    }

    #[test]
    fn big_endian_complex_numbers_are_read() {
        let mut bytes = Vec::new();
        for part in [1.5f32, -2.25, 0.0, 8.0] {
            bytes.extend_from_slice(&part.to_be_bytes());
        }
        let stored = StoredType { element: Complex64, swapped: cfg!(target_endian = "little") };
        let mut buffer = Vec::new();
        let seen: &[num_complex::Complex64] = elements(&bytes, stored, &mut buffer);
        assert_eq!(
            seen,
            [num_complex::Complex64::new(1.5, -2.25), num_complex::Complex64::new(0.0, 8.0)]
        );
    }

    #[test]
    fn what_needs_no_conversion_keeps_every_bit() {
        let stored = StoredType { element: Float32, swapped: false };
        let signalling = 0x7f80_0001_u32;
        let mut unaligned = vec![0];
        unaligned.extend_from_slice(&signalling.to_ne_bytes());
        let mut buffer = Vec::new();
        append::<f32>(&unaligned[1..], stored, &mut buffer);
        assert_eq!(buffer[0].to_bits(), signalling);
        assert_eq!(elements::<f32>(&unaligned[1..], stored, &mut buffer)[0].to_bits(), signalling);
    }

    #[test]
    fn integers_keep_every_bit() {
        let stored = StoredType { element: Int64, swapped: false };
        let bytes = (i64::MIN + 1).to_ne_bytes();
        let mut unaligned = vec![0];
        unaligned.extend_from_slice(&bytes);
        assert_eq!(elements::<i64>(&unaligned[1..], stored, &mut Vec::new()), [i64::MIN + 1]);
    }
}
