//! The inner loops: what a tile adds to the buffers of its points.

use multiversion::multiversion;
use pixelmill_core::ndarray::{ArrayView2, Axis};
use pixelmill_core::process::Failure;
use pixelmill_core::reduction::{Buffer, Parts, Tile};

/// Rows of small integers that are added in 32 bits: so few that no sum overflows.
const ROWS: usize = 4096;

/// That a sum has no place in 64 bits.
pub fn overflow() -> Failure {
    Failure::new("a sum of integers is beyond 64 bits")
}

/// Adds integers.
///
/// # Errors
/// If a sum has more than 64 bits.
pub fn add_signed(into: &mut [i64], from: &[i64]) -> Result<(), Failure> {
    for (sum, other) in into.iter_mut().zip(from) {
        *sum = sum.checked_add(*other).ok_or_else(overflow)?;
    }
    Ok(())
}

/// The same of integers that have no sign.
///
/// # Errors
/// As above.
pub fn add_unsigned(into: &mut [u64], from: &[u64]) -> Result<(), Failure> {
    for (sum, other) in into.iter_mut().zip(from) {
        *sum = sum.checked_add(*other).ok_or_else(overflow)?;
    }
    Ok(())
}

/// The variance of integers, from their sum, the sum of their squares, and how many there are.
pub fn exact_variance(squares: u64, sum: i64, count: u64) -> f64 {
    let (squares, sum, n) =
        (u128::from(squares), u128::from(sum.unsigned_abs()), u128::from(count));
    // Both products have less than 128 bits, and the first isn't smaller: Cauchy and Schwarz.
    let scaled = n * squares - sum * sum;
    scaled as f64 / (count as f64 * count as f64)
}

/// The sums of a tile of integers.
#[derive(Default)]
pub struct Integers {
    signed: Vec<i32>,
    unsigned: Vec<u32>,
}

impl Integers {
    /// Adds a tile of integers to the sums of its points, and to the sums of their squares if there
    /// are any.
    ///
    /// # Errors
    /// If a sum has more than 64 bits, or the values are no integers.
    pub fn add(
        &mut self,
        tile: &mut Tile<'_, f64>,
        parts: &mut Parts<'_>,
        (sum, squares): (Buffer<i64>, Option<Buffer<u64>>),
    ) -> Result<(), Failure> {
        macro_rules! small {
            ($type:ty, $add:ident, $square:ident, $wide:ident) => {
                if let Some(rows) = tile.stored_as::<$type>() {
                    for some in rows.axis_chunks_iter(Axis(0), ROWS) {
                        self.$wide.clear();
                        self.$wide.resize(rows.ncols(), 0);
                        match squares {
                            Some(squares) => $square(some, &mut self.$wide, parts.get(squares)),
                            None => $add(some, &mut self.$wide),
                        }
                        for (sum, more) in parts.get(sum).iter_mut().zip(&self.$wide) {
                            *sum = sum.checked_add(i64::from(*more)).ok_or_else(overflow)?;
                        }
                    }
                    return Ok(());
                }
            };
        }
        macro_rules! middle {
            ($type:ty) => {
                if let Some(rows) = tile.stored_as::<$type>() {
                    let sums = parts.get(sum);
                    for row in rows.rows() {
                        for (sum, value) in sums.iter_mut().zip(row) {
                            *sum = sum.checked_add(i64::from(*value)).ok_or_else(overflow)?;
                        }
                    }
                    return Ok(());
                }
            };
        }
        small!(u16, add_u16, square_u16, unsigned);
        small!(u8, add_u8, square_u8, unsigned);
        small!(i16, add_i16, square_i16, signed);
        small!(i8, add_i8, square_i8, signed);
        middle!(i32);
        middle!(u32);
        Err(Failure::new("its values are no integers"))
    }
}

/// The sum of integers of 64 bits, in 128 bits, and as what it is shown in the end, if it is.
#[derive(Clone, Copy)]
pub struct Long {
    pub low: Buffer<u64>,
    pub high: Buffer<i64>,
    pub sum: Option<Buffer<i64>>,
}

impl Long {
    /// Adds a tile of integers.
    ///
    /// # Errors
    /// If its values are no integers of 64 bits.
    pub fn add(self, tile: &mut Tile<'_, f64>, parts: &mut Parts<'_>) -> Result<(), Failure> {
        macro_rules! long {
            ($type:ty) => {
                if let Some(rows) = tile.stored_as::<$type>() {
                    let (low, high) = parts.of((self.low, self.high));
                    for row in rows.rows() {
                        for ((low, high), value) in low.iter_mut().zip(&mut *high).zip(row) {
                            (*low, *high) = halves(whole(*low, *high) + i128::from(*value));
                        }
                    }
                    return Ok(());
                }
            };
        }
        long!(i64);
        long!(u64);
        Err(Failure::new("its values are no integers of 64 bits"))
    }

    /// Adds what later units have.
    pub fn merge(self, into: &mut Parts<'_>, from: &mut Parts<'_>) {
        let (low, high) = into.of((self.low, self.high));
        let (more_low, more_high) = from.of((self.low, self.high));
        let more = more_low.iter().zip(more_high).map(|(low, high)| whole(*low, *high));
        for ((low, high), more) in low.iter_mut().zip(high).zip(more) {
            (*low, *high) = halves(whole(*low, *high) + more);
        }
    }

    /// The sums in double precision, and, if they are shown, as they are.
    ///
    /// # Errors
    /// If one of those has more than 64 bits.
    pub fn finish(self, all: &mut Parts<'_>) -> Result<Vec<f64>, Failure> {
        let (low, high) = all.of((self.low, self.high));
        let sums: Vec<i128> = low.iter().zip(high).map(|(low, high)| whole(*low, *high)).collect();
        if let Some(shown) = self.sum {
            for (shown, sum) in all.get(shown).iter_mut().zip(&sums) {
                *shown = i64::try_from(*sum).map_err(|_| overflow())?;
            }
        }
        Ok(sums.iter().map(|sum| *sum as f64).collect())
    }
}

fn whole(low: u64, high: i64) -> i128 {
    i128::from(high) << 64 | i128::from(low)
}

fn halves(whole: i128) -> (u64, i64) {
    (whole as u64, (whole >> 64) as i64)
}

macro_rules! small_sums {
    ($type:ty, $wide:ty, $add:ident, $square:ident) => {
        #[multiversion(targets("x86_64+avx2"))]
        fn $add<'a>(rows: ArrayView2<'a, $type>, sums: &mut [$wide]) {
            for row in rows.rows() {
                let Some(row) = row.to_slice() else { continue };
                for (sum, value) in sums.iter_mut().zip(row) {
                    *sum += <$wide>::from(*value);
                }
            }
        }

        #[multiversion(targets("x86_64+avx2"))]
        fn $square<'a>(rows: ArrayView2<'a, $type>, sums: &mut [$wide], squares: &mut [u64]) {
            for row in rows.rows() {
                let Some(row) = row.to_slice() else { continue };
                for ((sum, square), value) in sums.iter_mut().zip(&mut *squares).zip(row) {
                    let value = <$wide>::from(*value);
                    *sum += value;
                    *square += (value * value) as u64;
                }
            }
        }
    };
}

small_sums!(u8, u32, add_u8, square_u8);
small_sums!(u16, u32, add_u16, square_u16);
small_sums!(i8, i32, add_i8, square_i8);
small_sums!(i16, i32, add_i16, square_i16);

/// Where the sums of floating-point numbers go; each may be left out.
#[derive(Clone, Copy)]
pub struct Sums {
    pub sum: Option<Buffer<f64>>,
    /// How many are numbers.
    pub count: Option<Buffer<u64>>,
    /// The mean of those, and the sum of the squares of their deviations from it.
    pub moments: Option<(Buffer<f64>, Buffer<f64>)>,
    /// Whether the sum leaves those out that are no numbers; the moments always do.
    pub skip_nan: bool,
}

/// The sums of a tile of floating-point numbers.
#[derive(Default)]
pub struct Floats {
    sum: Vec<f64>,
    count: Vec<u32>,
    mean: Vec<f64>,
    second: Vec<f64>,
}

impl Floats {
    /// Adds a tile to the sums of its points.
    pub fn add(&mut self, tile: &mut Tile<'_, f64>, parts: &mut Parts<'_>, sums: Sums) {
        let (rows, points) = (tile.len() as u32, tile.points());
        for room in [&mut self.sum, &mut self.second, &mut self.mean] {
            room.clear();
            room.resize(points, 0.0);
        }
        self.count.clear();
        self.count.resize(points, 0);
        let Self { sum, count, mean, second } = self;
        let single = tile.stored_as::<f32>().map(|rows| add_f32(rows, sum, count));
        if single.is_none() {
            add_f64(tile.values(), sum, count);
        }
        if let Some(((means, seconds), counts)) = sums.moments.zip(sums.count) {
            let pairs = mean.iter_mut().zip(sum.iter().zip(&*count));
            pairs.for_each(|(mean, (sum, count))| *mean = *sum / f64::from(*count));
            let single = tile.stored_as::<f32>().map(|rows| deviate_f32(rows, mean, second));
            if single.is_none() {
                deviate_f64(tile.values(), mean, second);
            }
            let (means, seconds, counts) = parts.of((means, seconds, counts));
            let known = means.iter_mut().zip(seconds).zip(counts);
            let more = mean.iter().zip(&*second).zip(&*count);
            for ((into, earlier), ((mean, second), count)) in known.zip(more) {
                merge(into, *earlier as f64, (*mean, *second), f64::from(*count));
            }
        }
        if let Some(all) = sums.sum {
            let each = parts.get(all).iter_mut().zip(self.sum.iter().zip(&self.count));
            for (all, (sum, count)) in each {
                *all += if sums.skip_nan || *count == rows { *sum } else { f64::NAN };
            }
        }
        if let Some(count) = sums.count {
            let each = parts.get(count).iter_mut().zip(&self.count);
            each.for_each(|(all, count)| *all += u64::from(*count));
        }
    }
}

macro_rules! float_sums {
    ($type:ty, $add:ident, $deviate:ident) => {
        #[multiversion(targets("x86_64+avx2"))]
        fn $add<'a>(rows: ArrayView2<'a, $type>, sums: &mut [f64], counts: &mut [u32]) {
            for row in rows.rows() {
                let Some(row) = row.to_slice() else { continue };
                for ((sum, count), value) in sums.iter_mut().zip(&mut *counts).zip(row) {
                    let value = f64::from(*value);
                    let is_number = value == value;
                    *count += u32::from(is_number);
                    *sum += if is_number { value } else { 0.0 };
                }
            }
        }

        #[multiversion(targets("x86_64+avx2"))]
        fn $deviate<'a>(rows: ArrayView2<'a, $type>, means: &[f64], seconds: &mut [f64]) {
            for row in rows.rows() {
                let Some(row) = row.to_slice() else { continue };
                for ((second, mean), value) in seconds.iter_mut().zip(means).zip(row) {
                    let value = f64::from(*value);
                    let deviation = value - mean;
                    let square = deviation * deviation;
                    *second += if value == value { square } else { 0.0 };
                }
            }
        }
    };
}

float_sums!(f32, add_f32, deviate_f32);
float_sums!(f64, add_f64, deviate_f64);

/// Merges mean and sum of squares of `more` values into those of `earlier` ones.
#[inline]
pub fn merge(
    (mean, second): (&mut f64, &mut f64),
    earlier: f64,
    (other_mean, other_second): (f64, f64),
    more: f64,
) {
    if more == 0.0 {
        return;
    }
    if earlier == 0.0 {
        (*mean, *second) = (other_mean, other_second);
        return;
    }
    let all = earlier + more;
    let delta = other_mean - *mean;
    *mean += delta * (more / all);
    *second += other_second + delta * delta * (earlier * more / all);
}

/// Merges the moments of later spectra into those of earlier ones, before their counts are.
pub fn merge_moments(
    (into, from): (&mut Parts<'_>, &mut Parts<'_>),
    (mean, second): (Buffer<f64>, Buffer<f64>),
    count: Buffer<u64>,
) {
    let (means, seconds, counts) = into.of((mean, second, count));
    let (other_means, other_seconds, more) = from.of((mean, second, count));
    let into = means.iter_mut().zip(seconds).zip(counts);
    let others = other_means.iter().zip(other_seconds).zip(more);
    for ((into, earlier), ((mean, second), more)) in into.zip(others) {
        merge(into, *earlier as f64, (*mean, *second), *more as f64);
    }
}

/// An extreme value of each point, and the position that has it, if that is wanted.
#[derive(Clone, Copy)]
pub struct Extreme {
    pub value: Buffer<f64>,
    pub place: Option<Buffer<i64>>,
    /// Whether it is the largest.
    pub is_most: bool,
}

impl Extreme {
    /// The value that any other goes before.
    pub fn nothing(self) -> f64 {
        if self.is_most { f64::NEG_INFINITY } else { f64::INFINITY }
    }

    /// Whether a value goes before the one that there is. One that is no number does, unless those
    /// are left out, in which case there is none.
    #[inline]
    fn goes_before(self, value: f64, known: f64) -> bool {
        let beats = if self.is_most { value > known } else { value < known };
        beats || value.is_nan() && !known.is_nan()
    }

    /// Takes the values of a tile.
    pub fn add(self, tile: &mut Tile<'_, f64>, parts: &mut Parts<'_>, skip_nan: bool) {
        let positions = tile.positions();
        let rows = tile.values();
        let Some(place) = self.place else {
            let known = parts.get(self.value);
            return match self.is_most {
                true => most(rows, known, skip_nan),
                false => least(rows, known, skip_nan),
            };
        };
        let (known, places) = parts.of((self.value, place));
        for (row, position) in rows.rows().into_iter().zip(positions) {
            let points = known.iter_mut().zip(&mut *places).zip(row);
            for ((known, place), value) in points {
                self.take((known, place), (*value, *position as i64), skip_nan);
            }
        }
    }

    /// Of equal ones the first position counts, whatever the order in which they come.
    #[inline]
    fn take(self, (known, place): (&mut f64, &mut i64), (value, position): (f64, i64), skip: bool) {
        if skip && value.is_nan() {
            return;
        }
        let is_same = value == *known || value.is_nan() && known.is_nan();
        if self.goes_before(value, *known) || is_same && position < *place {
            (*known, *place) = (value, position);
        }
    }

    /// Takes what later units have.
    pub fn merge(self, into: &mut Parts<'_>, from: &mut Parts<'_>) {
        let Some(place) = self.place else {
            let pairs = into.get(self.value).iter_mut().zip(from.get(self.value));
            return pairs.for_each(|(known, value)| {
                if self.goes_before(*value, *known) {
                    *known = *value;
                }
            });
        };
        let (known, places) = into.of((self.value, place));
        let (values, positions) = from.of((self.value, place));
        let others = values.iter().zip(positions).map(|(value, position)| (*value, *position));
        for (known, other) in known.iter_mut().zip(places).zip(others) {
            self.take(known, other, false);
        }
    }
}

macro_rules! extremes {
    ($name:ident, $beats:tt) => {
        #[multiversion(targets("x86_64+avx2"))]
        fn $name<'a>(rows: ArrayView2<'a, f64>, known: &mut [f64], skip: bool) {
            for row in rows.rows() {
                let Some(row) = row.to_slice() else { continue };
                for (known, value) in known.iter_mut().zip(row) {
                    let is_none = value != value;
                    let wins = *value $beats *known || is_none && !skip;
                    // What is no number stays: nothing beats it.
                    *known = if wins { *value } else { *known };
                }
            }
        }
    };
}

extremes!(least, <);
extremes!(most, >);
