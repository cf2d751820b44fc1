//! Transforms of frames of real values: some columns of F(k, l) = Σ x(n, m)·e^(−2πi(kn/N + lm/M)),
//! for frames of N × M points, and the way back from those that tell all others.
//!
//! Two rows are transformed as one complex one, since F(N − k, M − l) is the conjugate of F(k, l);
//! of what comes of it only the wanted columns are kept, some rows at a time, so that whole lines
//! of the processor's cache are written. Columns lie one behind the other. Nothing is divided by
//! the number of points. The last bits depend on the processor's instructions, as those of
//! `rustfft` do.

use std::ops::Range;
use std::sync::Arc;

use multiversion::multiversion;
use num_complex::Complex;
use pixelmill_core::Element;
use rustfft::{Fft, FftNum, FftPlanner};

/// Rows that are transformed before their values are put into columns: of these so many lie side by
/// side, which is two lines of the cache in single precision.
const ROWS: usize = 16;
/// Rows and columns that are turned together.
const BLOCK: usize = 8;

/// A real number that is transformed.
pub(crate) trait Real: FftNum + Element + Into<f64> {
    /// The distance of 1 from the next larger one.
    const EPSILON: f64;
    /// The nearest one to a number.
    fn nearest(number: f64) -> Self;
    /// Whether it is neither infinite nor no number.
    fn is_finite(self) -> bool;
}

macro_rules! real {
    ($($float:ty),*) => {
        $(
            impl Real for $float {
                const EPSILON: f64 = <$float>::EPSILON as f64;

                #[inline(always)]
                fn nearest(number: f64) -> Self {
                    number as $float
                }

                #[inline(always)]
                fn is_finite(self) -> bool {
                    self.is_finite()
                }
            }
        )*
    };
}

real!(f32, f64);

/// The transform of frames of one shape.
pub(crate) struct FrameTransform<T> {
    rows: usize,
    columns: usize,
    wanted: Vec<usize>,
    along_rows: Arc<dyn Fft<T>>,
    along_columns: Arc<dyn Fft<T>>,
}

/// Memory of a worker.
pub(crate) struct FrameScratch<T> {
    rows: Vec<Complex<T>>,
    inside: Vec<Complex<T>>,
}

impl<T> Default for FrameScratch<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), inside: Vec::new() }
    }
}

impl<T: Real> FrameTransform<T> {
    /// Of frames of so many rows and columns, these columns of the transform.
    pub(crate) fn new((rows, columns): (usize, usize), wanted: Vec<usize>) -> Self {
        let mut planner = FftPlanner::new();
        Self {
            rows,
            columns,
            wanted,
            along_rows: planner.plan_fft_forward(columns),
            along_columns: planner.plan_fft_forward(rows),
        }
    }

    /// Fills `columns` with the wanted columns, each of as many values as a frame has rows.
    pub(crate) fn forward(
        &self,
        frame: &[T],
        scratch: &mut FrameScratch<T>,
        columns: &mut Vec<Complex<T>>,
    ) {
        self.forward_rows(&mut Whole { frame, columns: self.columns }, scratch, columns);
    }

    /// The same of a frame that comes two rows at a time.
    pub(crate) fn forward_rows(
        &self,
        frame: &mut impl FrameRows<T>,
        scratch: &mut FrameScratch<T>,
        columns: &mut Vec<Complex<T>>,
    ) {
        columns.resize(self.wanted.len() * self.rows, Complex::default());
        scratch.rows.resize(ROWS / 2 * self.columns, Complex::default());
        for first in (0..self.rows).step_by(ROWS) {
            let end = self.rows.min(first + ROWS);
            let packed = &mut scratch.rows[..(end - first).div_ceil(2) * self.columns];
            let pairs = (first..end).step_by(2).zip(packed.chunks_exact_mut(self.columns));
            for (row, packed) in pairs {
                let (one, other) = frame.rows(row..end.min(row + 2)).split_at(self.columns);
                pack(one, other, packed);
            }
            in_place(&*self.along_rows, packed, &mut scratch.inside);
            put(packed, (self.columns, &self.wanted), (self.rows, first), columns);
        }
        in_place(&*self.along_columns, columns, &mut scratch.inside);
    }
}

/// Where the rows of a frame come from.
pub(crate) trait FrameRows<T> {
    /// These rows, one or two; all are asked for once, in their order.
    fn rows(&mut self, numbers: Range<usize>) -> &[T];
}

/// Rows of a frame that is there.
struct Whole<'a, T> {
    frame: &'a [T],
    columns: usize,
}

impl<T> FrameRows<T> for Whole<'_, T> {
    fn rows(&mut self, numbers: Range<usize>) -> &[T] {
        &self.frame[numbers.start * self.columns..numbers.end * self.columns]
    }
}

/// Takes some pairs of transformed rows of this length apart, of which the frame's row `first` is
/// the first one, and puts the wanted values into columns of so many rows.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2", "x86_64+avx2"))]
fn put<T: Real>(
    packed: &[Complex<T>],
    (length, wanted): (usize, &[usize]),
    (rows, first): (usize, usize),
    columns: &mut [Complex<T>],
) {
    let half = T::nearest(0.5);
    for (column, values) in wanted.iter().zip(columns.chunks_exact_mut(rows)) {
        let mirrored = (length - column) % length;
        let places = values[first..].chunks_mut(2);
        for (pair, place) in packed.chunks_exact(length).zip(places) {
            let (here, there) = (pair[*column], pair[mirrored].conj());
            place[0] = (here + there).scale(half);
            if let Some(place) = place.get_mut(1) {
                let turned = (here - there).scale(half);
                *place = Complex::new(turned.im, -turned.re);
            }
        }
    }
}

/// The way back from the columns 0 … M/2 of the transform, to which all others are conjugate.
pub(crate) struct InverseTransform<T> {
    rows: usize,
    columns: usize,
    along_rows: Arc<dyn Fft<T>>,
    along_columns: Arc<dyn Fft<T>>,
}

/// How many columns tell all others of so many.
pub(crate) fn half(columns: usize) -> usize {
    columns / 2 + 1
}

impl<T: Real> InverseTransform<T> {
    /// To frames of so many rows and columns.
    pub(crate) fn new((rows, columns): (usize, usize)) -> Self {
        let mut planner = FftPlanner::new();
        Self {
            rows,
            columns,
            along_rows: planner.plan_fft_inverse(columns),
            along_columns: planner.plan_fft_inverse(rows),
        }
    }

    /// Fills `frame` with Σ F(k, l)·e^(2πi(kn/N + lm/M)); the columns are used up.
    pub(crate) fn inverse(
        &self,
        columns: &mut [Complex<T>],
        scratch: &mut FrameScratch<T>,
        frame: &mut Vec<T>,
    ) {
        in_place(&*self.along_columns, columns, &mut scratch.inside);
        frame.resize(self.rows * self.columns, T::zero());
        scratch.rows.resize(ROWS / 2 * self.columns, Complex::default());
        let blocks = frame.chunks_mut(ROWS * self.columns);
        for (block, first) in blocks.zip((0..).step_by(ROWS)) {
            let pairs = block.chunks_mut(2 * self.columns);
            let packed = &mut scratch.rows[..pairs.len() * self.columns];
            self.take(columns, first, packed);
            in_place(&*self.along_rows, packed, &mut scratch.inside);
            for (pair, packed) in pairs.zip(packed.chunks_exact(self.columns)) {
                let (one, other) = pair.split_at_mut(self.columns);
                one.iter_mut().zip(packed).for_each(|(place, value)| *place = value.re);
                other.iter_mut().zip(packed).for_each(|(place, value)| *place = value.im);
            }
        }
    }

    /// Makes one complex row of each two from row `first` on.
    fn take(&self, columns: &[Complex<T>], first: usize, packed: &mut [Complex<T>]) {
        for (column, values) in columns.chunks_exact(self.rows).enumerate() {
            let mirrored = (self.columns - column) % self.columns;
            let pairs = values[first..].chunks(2);
            for (packed, pair) in packed.chunks_exact_mut(self.columns).zip(pairs) {
                let one = pair[0];
                let other = pair.get(1).copied().unwrap_or_default();
                packed[mirrored] = Complex::new(one.re + other.im, other.re - one.im);
                packed[column] = Complex::new(one.re - other.im, one.im + other.re);
            }
        }
    }
}

/// Makes complex numbers of two rows; the second one may be missing.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2", "x86_64+avx2"))]
fn pack<T: Real>(one: &[T], other: &[T], packed: &mut [Complex<T>]) {
    if other.is_empty() {
        for (place, re) in packed.iter_mut().zip(one) {
            *place = Complex::new(*re, T::zero());
        }
        return;
    }
    for (place, (re, im)) in packed.iter_mut().zip(one.iter().zip(other)) {
        *place = Complex::new(*re, *im);
    }
}

/// Transforms pieces of as many values as the transform has, one by one.
pub(crate) fn in_place<T: Real>(
    transform: &dyn Fft<T>,
    values: &mut [Complex<T>],
    inside: &mut Vec<Complex<T>>,
) {
    let needed = transform.get_inplace_scratch_len();
    inside.resize(inside.len().max(needed), Complex::default());
    transform.process_with_scratch(values, &mut inside[..needed]);
}

/// Turns columns of `rows` values each into rows: column number `n` comes to place `places[n]` of
/// each row of `length` values.
pub(crate) fn turn<T: Copy>(
    columns: &[T],
    rows: usize,
    (places, length): (&[usize], usize),
    turned: &mut [T],
) {
    for (some, places) in columns.chunks(BLOCK * rows).zip(places.chunks(BLOCK)) {
        for (first, block) in turned.chunks_mut(BLOCK * length).enumerate() {
            for (column, place) in some.chunks_exact(rows).zip(places) {
                // An iterator in steps divides to know how many there are.
                let mut at = *place;
                for value in column[first * BLOCK..].iter().take(BLOCK) {
                    if let Some(own) = block.get_mut(at) {
                        *own = *value;
                    }
                    at += length;
                }
            }
        }
    }
}

/// What there is to know of a frame before it is transformed: whether all its values are finite,
/// and whether all are the same.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2"))]
pub(crate) fn looked_at<T: Real>(frame: &[T]) -> (bool, bool) {
    let first = frame.first().copied().unwrap_or(T::zero());
    let (mut is_finite, mut is_constant) = (true, true);
    for value in frame {
        is_finite &= value.is_finite();
        is_constant &= *value == first;
    }
    (is_finite, is_constant)
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_complex::Complex64;
    use std::f64::consts::TAU;

    fn frame(rows: usize, columns: usize) -> Vec<f64> {
        (0..rows * columns).map(|at| ((at * at + 3 * at) % 23) as f64 - 9.0).collect()
    }

    fn transformed(
        frame: &[f64],
        (rows, columns): (usize, usize),
        (k, l): (usize, usize),
    ) -> Complex64 {
        let term = |at: usize| {
            let (row, column) = (at / columns, at % columns);
            let turns = (k * row) as f64 / rows as f64 + (l * column) as f64 / columns as f64;
            Complex64::cis(-TAU * turns) * frame[at]
        };
        (0..frame.len()).map(term).sum()
    }

    #[test]
    fn wanted_columns_are_those_of_the_sum() {
        for (rows, columns) in [(1, 1), (1, 6), (5, 1), (16, 8), (17, 9), (35, 12)] {
            let values = frame(rows, columns);
            let wanted: Vec<usize> = (0..columns).rev().filter(|column| column % 3 != 1).collect();
            let transform = FrameTransform::new((rows, columns), wanted.clone());
            let mut scratch = FrameScratch::default();
            let mut found = vec![Complex64::ONE; 1000];
            transform.forward(&values, &mut scratch, &mut found);
            assert_eq!(found.len(), wanted.len() * rows);
            for (at, value) in found.iter().enumerate() {
                let expected =
                    transformed(&values, (rows, columns), (at % rows, wanted[at / rows]));
                assert!((value - expected).norm() < 1e-10, "{rows} × {columns}: {at}");
            }
        }
    }

    #[test]
    fn frames_come_back_from_half_of_their_columns() {
        for (rows, columns) in [(1, 1), (2, 2), (5, 1), (16, 8), (17, 9), (35, 12)] {
            let values = frame(rows, columns);
            let shape = (rows, columns);
            let transform = FrameTransform::new(shape, (0..half(columns)).collect());
            let mut scratch = FrameScratch::default();
            let (mut spectrum, mut found) = (Vec::new(), vec![1.0; 1000]);
            transform.forward(&values, &mut scratch, &mut spectrum);
            InverseTransform::new(shape).inverse(&mut spectrum, &mut scratch, &mut found);
            assert_eq!(found.len(), values.len());
            for (found, value) in found.iter().zip(&values) {
                let found = found / values.len() as f64;
                assert!((found - value).abs() < 1e-13, "{rows} × {columns}: {found} {value}");
            }
        }
    }

    #[test]
    fn columns_are_turned_into_the_places_of_rows() {
        for (rows, columns, length) in [(1, 1, 1), (3, 2, 5), (17, 9, 20)] {
            let values: Vec<usize> = (0..rows * columns).collect();
            let places: Vec<usize> = (0..columns).map(|column| (column * 2 + 1) % length).collect();
            let mut turned = vec![usize::MAX; rows * length];
            turn(&values, rows, (&places, length), &mut turned);
            for (column, place) in places.iter().enumerate() {
                for row in 0..rows {
                    assert_eq!(turned[row * length + place], column * rows + row);
                }
            }
            let left = turned.iter().filter(|value| **value == usize::MAX).count();
            assert_eq!(left, rows * (length - columns));
        }
    }

    #[test]
    fn frames_are_looked_at() {
        assert_eq!(looked_at(&[1.0f32; 9]), (true, true));
        assert_eq!(looked_at(&[1.0, 1.0, 2.0]), (true, false));
        assert!(!looked_at(&[1.0, f64::NAN, 2.0]).0);
        assert!(!looked_at(&[f32::INFINITY; 3]).0);
    }
}
