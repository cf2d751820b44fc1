//! The numbers that spectra are filtered in: single precision where it holds them, since twice as
//! many fit into a register and into the cache.

use std::cmp::Ordering;

use pixelmill_core::Element;

/// A real floating-point number.
pub trait Number: Element + PartialOrd + Into<f64> {
    /// Nothing.
    const ZERO: Self;
    /// No number.
    const NAN: Self;
    /// The nearest one to a number.
    fn nearest(number: f64) -> Self;
    /// Whether it is none.
    fn is_no_number(self) -> bool;
    /// Which of two numbers is the lesser one.
    fn order(&self, other: &Self) -> Ordering;
}

macro_rules! number {
    ($($float:ty),*) => {
        $(
            impl Number for $float {
                const ZERO: Self = 0.0;
                const NAN: Self = <$float>::NAN;

                #[inline(always)]
                fn nearest(number: f64) -> Self {
                    number as $float
                }

                #[inline(always)]
                fn is_no_number(self) -> bool {
                    self.is_nan()
                }

                fn order(&self, other: &Self) -> Ordering {
                    self.total_cmp(other)
                }
            }
        )*
    };
}

number!(f32, f64);
