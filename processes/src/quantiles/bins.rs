//! Bins that numbers are counted in, so that counts of parts of the data can be added: one for each
//! integer, or of widths that grow with the numbers.
//!
//! The latter are those of DDSketch (C. Masson, J. E. Rim and H. K. Lee, PVLDB 12 (2019) 2195) with
//! a logarithm that is linear between powers of two: from each 2^e to the next there are M = 2^m of
//! the same width, which are the first m bits behind the leading one of a number. So no bin needs a
//! logarithm, and all machines have the same. What stands for a bin from a to b is 2ab/(a + b),
//! from which no number in it is further than (b − a)/(a + b) ≤ 1/(2M + 1) of itself.

use pixelmill_core::ElementType;
use pixelmill_core::process::Failure;

/// Bits behind the leading one that a number in double precision has.
const FRACTION: u32 = 52;
/// What is added to exponents in double precision.
const BIAS: i32 = 1023;

/// Bins, numbered from the smallest numbers on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Bins {
    /// One for each integer from `least` on.
    Integers { least: i32, count: usize },
    /// Several from each power of two to the next.
    Sizes(Sizes),
}

/// Bins by the sizes of numbers: one for 0 and what is smaller than all others, and on each side of
/// it, or on one, some for the sizes from a power of two up to another, and one for what is larger.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sizes {
    /// Bits behind the leading one that tell bins apart.
    bits: u32,
    /// The leading bits of the smallest number that isn't in the bin of 0.
    first: u64,
    /// How many sizes there are.
    count: usize,
    is_signed: bool,
    is_integer: bool,
    /// Whether no number but 0 is in the bin of 0.
    has_but_zero: bool,
    /// What is larger than all of them: infinity, or no number that is known.
    beyond: f64,
}

/// The numbers that a source can hold, by their sizes.
struct Range {
    /// The exponents of the smallest and the largest.
    least: i32,
    most: i32,
    is_signed: bool,
    is_integer: bool,
}

impl Range {
    /// Of an element type, or of any number in double precision.
    fn of(given: Option<ElementType>) -> Self {
        use ElementType::{BFloat16, Float16, Float32, UInt8, UInt16, UInt32, UInt64};
        match given {
            Some(element) if element.is_integer() => {
                let is_signed = !matches!(element, UInt8 | UInt16 | UInt32 | UInt64);
                let most = 8 * element.size() as i32 - 1;
                Self { least: 0, most, is_signed, is_integer: true }
            }
            other => {
                let (least, most) = match other {
                    Some(Float16) => (-24, 15),
                    Some(BFloat16) => (-133, 127),
                    Some(Float32) => (-149, 127),
                    _ => (1 - BIAS, BIAS),
                };
                Self { least, most, is_signed: true, is_integer: false }
            }
        }
    }
}

/// The exponent of a number that is larger than 0; of the smallest ones that of the next larger.
fn exponent(number: f64) -> i32 {
    ((number.to_bits() >> FRACTION) as i32 - BIAS).max(1 - BIAS)
}

impl Bins {
    /// For the values of a source, which are given in this type, if they are in one of a file.
    /// Integers of up to 16 bits have a bin each, unless they may be off by `error` of themselves
    /// and that takes fewer; other numbers may be off by that or by a hundredth. Of other sizes
    /// than those from `smallest` to `largest` less is known.
    ///
    /// # Errors
    /// If no value can be of such a size.
    pub fn new(
        given: Option<ElementType>,
        error: Option<f64>,
        (smallest, largest): (Option<f64>, Option<f64>),
    ) -> Result<Self, Failure> {
        let Range { least, most, is_signed, is_integer } = Range::of(given);
        let natural = (least, most);
        let least = smallest.map_or(least, |smallest| least.max(exponent(smallest)));
        let most = largest.map_or(most, |largest| most.min(exponent(largest)));
        if least > most {
            let told = "no value of this type has a size from `smallest` to `largest`";
            return Err(Failure::new(told));
        }
        let wanted = error.unwrap_or(0.01);
        let bits = (0..FRACTION).find(|bits| off_by(*bits) <= wanted).unwrap_or(FRACTION);
        let count = ((most - least + 1) as usize) << bits;
        let beyond = if most < natural.1 { f64::NAN } else { f64::INFINITY };
        let first = ((least + BIAS) as u64) << bits;
        // Only numbers in double precision can be smaller.
        let has_but_zero = least == natural.0 && least > 1 - BIAS;
        let sizes = Sizes { bits, first, count, is_signed, is_integer, has_but_zero, beyond };
        let sizes = Self::Sizes(sizes);
        Ok(match given.filter(|element| element.is_integer() && element.size() <= 2) {
            Some(element) => {
                let count = 1 << (8 * element.size());
                let least = if is_signed { -(count / 2) } else { 0 };
                let integers = Self::Integers { least, count: count as usize };
                if error.is_none() || integers.len() <= sizes.len() { integers } else { sizes }
            }
            None => sizes,
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Integers { count, .. } => *count,
            Self::Sizes(sizes) => sizes.zero() + sizes.count + 2,
        }
    }

    /// How far what stands for a bin may be from a number in it, relative to that.
    pub fn error(&self) -> f64 {
        match self {
            Self::Integers { .. } => 0.0,
            Self::Sizes(sizes) => off_by(sizes.bits),
        }
    }

    /// What stands for a bin.
    pub fn number(&self, bin: usize) -> f64 {
        match self {
            Self::Integers { least, .. } => f64::from(*least) + bin as f64,
            Self::Sizes(sizes) => sizes.number(bin),
        }
    }
}

impl Sizes {
    /// The bin of 0.
    #[inline]
    fn zero(&self) -> usize {
        if self.is_signed { self.count + 1 } else { 0 }
    }

    /// The bin of a number.
    #[inline]
    pub fn of(&self, number: f64) -> usize {
        let leading = number.abs().to_bits() >> (FRACTION - self.bits);
        let Some(size) = leading.checked_sub(self.first) else { return self.zero() };
        let away = 1 + (size as usize).min(self.count);
        if number < 0.0 { self.zero() - away } else { self.zero() + away }
    }

    /// The smallest number of a bin and the largest, of those that aren't infinite and that can be
    /// in it.
    pub fn ends(&self, bin: usize) -> (f64, f64) {
        let zero = self.zero();
        match bin.cmp(&zero) {
            std::cmp::Ordering::Less => {
                let size = zero - bin - 1;
                ((-self.begin(size + 1)).next_up(), -self.begin(size))
            }
            std::cmp::Ordering::Equal if self.has_but_zero => (0.0, 0.0),
            std::cmp::Ordering::Equal => ((-self.begin(0)).next_up(), self.begin(0).next_down()),
            std::cmp::Ordering::Greater => {
                let size = bin - zero - 1;
                (self.begin(size), self.begin(size + 1).next_down())
            }
        }
    }

    /// Where the numbers of a size begin; those that are larger than all end at infinity.
    fn begin(&self, size: usize) -> f64 {
        if size > self.count {
            return f64::INFINITY;
        }
        f64::from_bits((self.first + size as u64) << (FRACTION - self.bits))
    }

    /// How much wider a bin may be than nothing, relative to the numbers in it.
    pub fn width(&self) -> f64 {
        1.0 / (1u64 << self.bits) as f64
    }

    fn number(&self, bin: usize) -> f64 {
        let zero = self.zero();
        match bin.cmp(&zero) {
            std::cmp::Ordering::Less => -self.size(zero - bin - 1),
            std::cmp::Ordering::Equal => 0.0,
            std::cmp::Ordering::Greater => self.size(bin - zero - 1),
        }
    }

    /// What stands for the numbers of a size.
    fn size(&self, size: usize) -> f64 {
        if size == self.count {
            return self.beyond;
        }
        let (leading, begin) = (self.first + size as u64, self.begin(size));
        if self.is_integer && exponent(begin) <= self.bits as i32 {
            // It is the only integer in its bin.
            return begin;
        }
        let parts = 1u64 << self.bits;
        begin + begin / (2 * (parts + leading % parts) + 1) as f64
    }
}

/// How far numbers may be off, relative to themselves, if so many bits tell bins apart.
fn off_by(bits: u32) -> f64 {
    1.0 / ((2u64 << bits) + 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn made(
        given: Option<ElementType>,
        error: Option<f64>,
        sizes: (Option<f64>, Option<f64>),
    ) -> Bins {
        Bins::new(given, error, sizes).unwrap()
    }

    fn of(bins: &Bins, number: f64) -> usize {
        match bins {
            Bins::Integers { least, .. } => (number as i32 - least) as usize,
            Bins::Sizes(sizes) => sizes.of(number),
        }
    }

    const WHOLE: (Option<f64>, Option<f64>) = (None, None);

    proptest! {
        #[test]
        fn no_number_is_further_off_than_is_said(bits: u64, other: u64, error in 1e-5f64..0.3) {
            let (number, other) = (f64::from_bits(bits), f64::from_bits(other));
            prop_assume!(!number.is_nan() && !other.is_nan());
            let bins = made(None, Some(error), WHOLE);
            prop_assert!(bins.error() <= error);
            let bin = of(&bins, number);
            prop_assert!(bin < bins.len());
            prop_assert_eq!(bin <= of(&bins, other), number <= other || bin == of(&bins, other));
            let found = bins.number(bin);
            prop_assert_eq!(of(&bins, found), bin);
            let Bins::Sizes(sizes) = &bins else { unreachable!() };
            if number.is_finite() {
                let (least, most) = sizes.ends(bin);
                prop_assert!(least <= number && number <= most);
                prop_assert_eq!(sizes.of(least), bin);
                prop_assert_eq!(sizes.of(most), bin);
                prop_assert!(most == f64::MAX || sizes.of(most.next_up()) != bin);
                prop_assert!(least == f64::MIN || sizes.of(least.next_down()) != bin);
                let is_small = number.abs() < f64::MIN_POSITIVE;
                prop_assert!(is_small || most - least <= sizes.width() * number.abs());
            }
            let within = bins.error() * number.abs() * (1.0 + 1e-12) + f64::MIN_POSITIVE;
            prop_assert!(found == number || (found - number).abs() <= within, "{number} {found}");
        }

        #[test]
        fn numbers_of_a_file_are_within_their_bins(single: f32, integer: i32, long: u64) {
            for (given, number) in [
                (ElementType::Float32, f64::from(single)),
                (ElementType::Int32, f64::from(integer)),
                (ElementType::UInt64, long as f64),
            ] {
                prop_assume!(!number.is_nan());
                let bins = made(Some(given), Some(0.02), WHOLE);
                prop_assert!(bins.len() < 40_000);
                let found = bins.number(of(&bins, number));
                prop_assert!(found == number || (found - number).abs() <= bins.error() * number.abs());
            }
        }
    }

    #[test]
    fn small_integers_are_what_they_are() {
        use ElementType::{Int8, Int16, Int32, UInt8, UInt16};
        for (given, least, most) in
            [(UInt8, 0i32, 255), (Int8, -128, 127), (UInt16, 0, 65_535), (Int16, -32_768, 32_767)]
        {
            let bins = made(Some(given), None, WHOLE);
            assert_eq!((bins.error(), bins.len()), (0.0, (most - least + 1) as usize));
            for number in [least, least + 1, 0, 7, most].map(f64::from) {
                assert_eq!(bins.number(of(&bins, number)), number);
            }
        }
        // With 64 bins from each power of two to the next.
        let bins = made(Some(Int32), None, WHOLE);
        assert_eq!(bins.len(), 2 * (32 * 64 + 1) + 1);
        assert!((-127..128).map(f64::from).all(|number| bins.number(of(&bins, number)) == number));
        assert_eq!(made(Some(UInt16), Some(0.01), WHOLE).len(), 16 * 64 + 2);
        assert_eq!(made(Some(UInt8), Some(0.01), WHOLE).error(), 0.0);
    }

    #[test]
    fn of_other_sizes_less_is_known() {
        let bins = made(None, Some(0.1), (Some(0.3), Some(1000.0)));
        // From a quarter on, up to 1024.
        assert_eq!((bins.number(of(&bins, 0.2)), bins.number(of(&bins, -0.2499))), (0.0, 0.0));
        assert!((bins.number(of(&bins, -0.25)) + 0.25).abs() < 0.025);
        assert!((bins.number(of(&bins, 1023.0)) - 1023.0).abs() < 102.3);
        assert!(bins.number(of(&bins, 1024.0)).is_nan() && bins.number(of(&bins, -1e30)).is_nan());
        assert_eq!(bins.len(), 2 * (12 * 8 + 1) + 1);
        let whole = made(None, None, WHOLE);
        assert_eq!(whole.number(of(&whole, f64::NEG_INFINITY)), f64::NEG_INFINITY);
        assert!(whole.number(of(&whole, f64::MAX)).is_finite());
        assert!(Bins::new(Some(ElementType::UInt8), None, (Some(1000.0), None)).is_err());
    }
}
