//! The loops that convert and correct what lies in files, compiled a second time for processors
//! with AVX2, where they take half the time. No conversion has a rounding that could differ.
//!
//! The crate `multiversion` does this for many functions; for these few it would be a fifth of the
//! time that whoever writes a process waits for this crate to be built.

#![expect(unsafe_code, reason = "no safe call reaches a function for some processors only")]

use bytemuck::Pod;
use num_complex::Complex64;

use super::{Element, ElementType, StoredType};

/// Values that are converted and corrected at a time: with those of dark and gain few enough for
/// the processor's first cache.
pub(crate) const BLOCK: usize = 1024;

/// Up to here all integers are numbers in double precision.
const EXACT: u64 = 1 << 53;

/// The first 64-bit integer in `bytes` beyond ±2⁵³, where neighbours can't be told apart in double
/// precision, and its place.
pub fn first_beyond(bytes: &[u8], stored: StoredType) -> Option<(usize, i128)> {
    first_beyond_of(bytes, stored, |_| true)
}

/// The same, of the places that count.
pub fn first_beyond_of(
    bytes: &[u8],
    stored: StoredType,
    counts: impl Fn(usize) -> bool,
) -> Option<(usize, i128)> {
    let signed = stored.element == ElementType::Int64;
    let is_long = signed || stored.element == ElementType::UInt64;
    if !is_long || !any_beyond(bytes, stored.swapped, signed) {
        return None;
    }
    let values = bytes.chunks_exact(8).map(bytemuck::pod_read_unaligned::<u64>);
    let native = values.map(|value| if stored.swapped { value.swap_bytes() } else { value });
    let number = |value: u64| if signed { i128::from(value as i64) } else { i128::from(value) };
    let mut numbers = native.map(number).enumerate();
    numbers.find(|(at, number)| number.unsigned_abs() > EXACT.into() && counts(*at))
}

/// Whether there is such an integer.
fn any_beyond(bytes: &[u8], swapped: bool, signed: bool) -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn wide(bytes: &[u8], swapped: bool, signed: bool) -> bool {
            bits_beyond(bytes, swapped, signed)
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has what the function is compiled for.
            return unsafe { wide(bytes, swapped, signed) };
        }
    }
    bits_beyond(bytes, swapped, signed)
}

/// The same, without a branch per value.
#[inline(always)]
fn bits_beyond(bytes: &[u8], swapped: bool, signed: bool) -> bool {
    // Moved up by 2⁵³, what is within ±2⁵³ lies from 0 to twice that.
    let (up, most) = if signed { (EXACT, 2 * EXACT) } else { (0, EXACT) };
    let mut bits = 0;
    for value in bytes.chunks_exact(8).map(bytemuck::pod_read_unaligned::<u64>) {
        let value = if swapped { value.swap_bytes() } else { value };
        let moved = value.wrapping_add(up);
        // The highest bit is set of what is too large, or of what is left of the most.
        bits |= most.wrapping_sub(moved) | moved;
    }
    bits >> 63 != 0
}

/// The first value in `bytes` that can't become one of `target` but for its last digits, and its
/// place: a finite number beyond its largest, or an integer beyond those that `target` has all of,
/// unless rounding to a shorter type is no loss. Only places that count are looked at.
pub fn first_lost(
    bytes: &[u8],
    stored: StoredType,
    (target, narrowing): (ElementType, bool),
    counts: impl Fn(usize) -> bool,
) -> Option<(usize, String)> {
    let (from, precision) = (stored.element, target.precision()?);
    let is_short = match from.bits() {
        Some((_, bits)) => bits <= precision || narrowing && precision < 53,
        None => from.precision() <= Some(precision),
    };
    let blocks = bytes.chunks(BLOCK * from.size()).zip((0..).step_by(BLOCK));
    let mut blocks = blocks.filter(|_| !is_short);
    blocks.find_map(|(block, first)| match from.bits() {
        Some((signed, _)) => {
            let mut integers = (first..).zip(integers(block, stored, signed));
            let is_beyond = |value: i128| value.unsigned_abs() > 1 << precision;
            let found = integers.find(|(at, value)| is_beyond(*value) && counts(*at));
            found.map(|(at, value)| (at, value.to_string()))
        }
        None => {
            let mut numbers: Vec<Complex64> = Vec::new();
            convert(block, stored, &mut numbers);
            let is_beyond = |part: &f64| part.is_finite() && (*part as f32).is_infinite();
            (first..).zip(numbers).find_map(|(at, number)| {
                let part = [number.re, number.im].into_iter().find(is_beyond)?;
                counts(at).then(|| (at, format!("{part:e}")))
            })
        }
    })
}

fn integers(bytes: &[u8], stored: StoredType, signed: bool) -> Vec<i128> {
    if signed {
        let mut values: Vec<i64> = Vec::new();
        convert(bytes, stored, &mut values);
        return values.into_iter().map(i128::from).collect();
    }
    let mut values: Vec<u64> = Vec::new();
    convert(bytes, stored, &mut values);
    values.into_iter().map(i128::from).collect()
}

/// x ← (x − dark) · gain, as far as there are any, with dark and gain in other numbers that the
/// process's hold.
pub(crate) fn correct<T: Element, A: Copy>(
    values: &mut [T],
    arrays: [Option<&[A]>; 2],
    number: impl Fn(A) -> T,
) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn wide<T: Element, A: Copy>(
            values: &mut [T],
            arrays: [Option<&[A]>; 2],
            number: impl Fn(A) -> T,
        ) {
            correct_each(values, arrays, number);
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has what the function is compiled for.
            return unsafe { wide(values, arrays, number) };
        }
    }
    correct_each(values, arrays, number);
}

#[inline(always)]
fn correct_each<T: Element, A: Copy>(
    values: &mut [T],
    [dark, gain]: [Option<&[A]>; 2],
    number: impl Fn(A) -> T,
) {
    match (dark, gain) {
        (Some(dark), Some(gain)) => {
            for (value, (dark, gain)) in values.iter_mut().zip(dark.iter().zip(gain)) {
                *value = (*value - number(*dark)) * number(*gain);
            }
        }
        (Some(dark), None) => {
            values.iter_mut().zip(dark).for_each(|(value, dark)| *value = *value - number(*dark));
        }
        (None, Some(gain)) => {
            values.iter_mut().zip(gain).for_each(|(value, gain)| *value = *value * number(*gain));
        }
        (None, None) => {}
    }
}

/// Appends the elements in `bytes` to `out`, converted.
pub(super) fn convert<T: Element>(bytes: &[u8], stored: StoredType, out: &mut Vec<T>) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn wide<T: Element>(bytes: &[u8], stored: StoredType, out: &mut Vec<T>) {
            convert_each(bytes, stored, out);
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has what the function is compiled for.
            return unsafe { wide(bytes, stored, out) };
        }
    }
    convert_each(bytes, stored, out);
}

#[inline(always)]
fn convert_each<T: Element>(bytes: &[u8], stored: StoredType, out: &mut Vec<T>) {
    macro_rules! each {
        ($raw:ty, |$value:ident| $convert:expr) => {{
            let values = bytes.chunks_exact(size_of::<$raw>()).map(bytemuck::pod_read_unaligned);
            // Two loops, so that the usual one has no branch in it.
            if stored.swapped {
                out.extend(values.map(|$value: $raw| $value.swap()).map(|$value| $convert));
            } else {
                out.extend(values.map(|$value: $raw| $convert));
            }
        }};
    }
    match stored.element {
        ElementType::Int8 => each!(i8, |value| T::from_signed(value.into())),
        ElementType::Int16 => each!(i16, |value| T::from_signed(value.into())),
        ElementType::Int32 => each!(i32, |value| T::from_signed(value.into())),
        ElementType::Int64 => each!(i64, |value| T::from_signed(value)),
        ElementType::UInt8 => each!(u8, |value| T::from_unsigned(value.into())),
        ElementType::UInt16 => each!(u16, |value| T::from_unsigned(value.into())),
        ElementType::UInt32 => each!(u32, |value| T::from_unsigned(value.into())),
        ElementType::UInt64 => each!(u64, |value| T::from_unsigned(value)),
        ElementType::Float16 => each!(u16, |bits| T::from_parts(half(bits).into(), 0.0)),
        ElementType::BFloat16 => {
            each!(u16, |bits| T::from_parts(f32::from_bits(u32::from(bits) << 16).into(), 0.0));
        }
        ElementType::Float32 => each!(f32, |value| T::from_parts(value.into(), 0.0)),
        ElementType::Float64 => each!(f64, |value| T::from_parts(value, 0.0)),
        ElementType::Complex64 => {
            each!([f32; 2], |value| T::from_parts(value[0].into(), value[1].into()));
        }
        ElementType::Complex128 => each!([f64; 2], |value| T::from_parts(value[0], value[1])),
    }
}

/// A number of 16 bits, IEEE 754's binary16, without a branch: so that many are converted at once.
#[inline(always)]
fn half(bits: u16) -> f32 {
    // Its exponent counts from 112 below that of 32 bits; a product makes up for it, and makes
    // normal numbers of subnormal ones, both exactly.
    const RAISE: f32 = f32::from_bits((127 + 112) << 23);
    let magnitude = f32::from_bits(u32::from(bits & 0x7fff) << 13) * RAISE;
    // Infinities and NaN have the greatest exponent in both.
    let all_ones = if bits & 0x7c00 == 0x7c00 { 0x7f80_0000 } else { 0 };
    f32::from_bits(magnitude.to_bits() | all_ones | u32::from(bits & 0x8000) << 16)
}

/// One number, or one pair of numbers, whose bytes can be turned round.
trait Raw: Pod {
    fn swap(self) -> Self;
}

macro_rules! raw {
    ($($integer:ty),*; $($float:ty),*) => {
        $(impl Raw for $integer { fn swap(self) -> Self { self.swap_bytes() } })*
        $(
            impl Raw for $float {
                fn swap(self) -> Self { Self::from_bits(self.to_bits().swap_bytes()) }
            }
            impl Raw for [$float; 2] {
                fn swap(self) -> Self { self.map(Raw::swap) }
            }
        )*
    };
}

raw!(i8, i16, i32, i64, u8, u16, u32, u64; f32, f64);

#[cfg(test)]
mod tests {
    use super::ElementType::*;
    use super::*;
    use crate::element::elements;

    #[test]
    fn integers_beyond_double_precision_are_found() {
        let limit = 1i64 << 53;
        for (values, found) in [
            (vec![0, -5, limit, -limit, 7], None),
            (vec![1, limit + 1, limit + 2], Some((1, i128::from(limit) + 1))),
            (vec![1, 2, -limit - 1], Some((2, -i128::from(limit) - 1))),
            (vec![i64::MIN], Some((0, i64::MIN.into()))),
            (vec![i64::MAX], Some((0, i64::MAX.into()))),
        ] {
            for swapped in [false, true] {
                let order = |value: i64| if swapped { value.swap_bytes() } else { value };
                let bytes: Vec<u8> =
                    values.iter().flat_map(|value| order(*value).to_ne_bytes()).collect();
                let stored = StoredType { element: Int64, swapped };
                assert_eq!(first_beyond(&bytes, stored), found, "{values:?}");
            }
        }
        let unsigned = StoredType { element: UInt64, swapped: false };
        for (value, found) in [
            (1 << 53, None),
            ((1 << 53) + 1, Some((0, (1i128 << 53) + 1))),
            ((1 << 63) + 5, Some((0, (1i128 << 63) + 5))),
            (u64::MAX, Some((0, u64::MAX.into()))),
        ] {
            assert_eq!(first_beyond(&value.to_ne_bytes(), unsigned), found);
        }
        let float = StoredType { element: Float64, swapped: false };
        assert_eq!(first_beyond(&u64::MAX.to_ne_bytes(), float), None);
    }

    #[test]
    fn what_is_lost_by_a_conversion_is_found_where_it_counts() {
        fn of<T: Element>(values: &[T], target: (ElementType, bool)) -> Option<(usize, String)> {
            let stored = StoredType { element: T::TYPE, swapped: false };
            first_lost(bytemuck::cast_slice(values), stored, target, |at| at != 1)
        }
        let found = |at: usize, value: &str| Some((at, value.to_owned()));
        let (single, double) = ((Float32, false), (Float64, false));
        let long = 1i64 << 53;
        assert_eq!(of(&[long, i64::MAX, -long - 1], double), found(2, "-9007199254740993"));
        assert_eq!(of(&[long, i64::MAX, -long], (Complex128, true)), None);
        assert_eq!(of(&[0, 0, u64::MAX], (Complex128, true)), found(2, "18446744073709551615"));
        assert_eq!(of(&[1i32 << 24, 0, (1 << 24) + 1], single), found(2, "16777217"));
        assert_eq!(of(&[1i32 << 24, 0, (1 << 24) + 1], (Float32, true)), None);
        assert_eq!(of(&[u16::MAX; 3], single), None);
        // Of a fraction only the last digits are.
        assert_eq!(of(&[0.1f64, 1e300, f64::INFINITY, f64::NAN, 1e-300], single), None);
        assert_eq!(of(&[0.1f64, 0.0, -1e300], (Float32, true)), found(2, "-1e300"));
        assert_eq!(of(&[1e300f64; 3], double), None);
        let complex = [num_complex::Complex64::new(0.0, 1e39); 3];
        assert_eq!(of(&complex, (Complex64, false)), found(0, "1e39"));
        let mut many = vec![0i64; 3000];
        many[2500] = i64::MIN;
        assert_eq!(of(&many, double), found(2500, "-9223372036854775808"));
    }

    #[test]
    fn numbers_of_16_bits_are_those_of_ieee() {
        for (bits, value) in [
            (0x0000, 0.0),
            (0x8000, -0.0),
            (0x3c00, 1.0),
            (0xc500, -5.0),
            (0x0001, 2f32.powi(-24)),
            (0x03ff, 2f32.powi(-24) * 1023.0),
            (0x0400, 2f32.powi(-14)),
            (0x7bff, 65504.0),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ] {
            assert_eq!(half(bits).to_bits(), value.to_bits(), "{bits:#x}");
        }
        assert!(half(0x7e00).is_nan() && half(0xfc01).is_nan());
        for (element, bits) in [(Float16, 0xc500_u16), (BFloat16, 0xc0a0)] {
            let stored = StoredType { element, swapped: true };
            let mut buffer = Vec::new();
            let bytes = bits.swap_bytes().to_ne_bytes();
            let seen = elements::<f32>(&bytes, stored, &mut buffer);
            assert_eq!(seen, [-5.0], "{element}");
        }
    }
}
