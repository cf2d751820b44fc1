//! Values of eight spectra side by side, point by point: what is the same for all spectra then goes
//! into as many sums at once as wide registers have.

use multiversion::multiversion;
use pixelmill_core::ndarray::ArrayView2;

use crate::region::{side_by_side, widen};
use crate::side_by_side::{Aligned, LANES};

/// Points that are turned over at a time, near the processor.
const NEAR: usize = 256;

/// Of each point the values of eight spectra.
#[derive(Default)]
pub struct Octet {
    values: Aligned,
}

impl Octet {
    /// Takes those of so many spectra at least, of which there may be less than eight: what is in
    /// the place of the others counts for nothing.
    pub fn take<T: Copy + Into<f64>>(&mut self, spectra: ArrayView2<'_, T>) {
        let points = spectra.ncols();
        self.values.resize(points);
        let Some(last) = spectra.nrows().checked_sub(1) else { return };
        let rows: [_; LANES] = std::array::from_fn(|number| spectra.row(number.min(last)));
        let rows = rows.each_ref().map(side_by_side);
        let Some(any) = rows[0].first() else { return };
        let mut turned = [[*any; LANES]; NEAR];
        for (at, values) in self.values.values_mut().chunks_mut(NEAR * LANES).enumerate() {
            let turned = &mut turned[..values.len() / LANES];
            turn_over(rows.map(|row| &row[at * NEAR..][..turned.len()]), turned);
            widen(turned.as_flattened(), values);
        }
    }

    /// Those of each point.
    pub fn values(&self) -> &[[f64; LANES]] {
        self.values.lanes()
    }
}

/// Makes columns of rows.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx2", "x86_64+avx2"))]
fn turn_over<T: Copy>(rows: [&[T]; LANES], columns: &mut [[T; LANES]]) {
    let [a, b, c, d, e, f, g, h] = rows.map(|row| &row[..columns.len()]);
    for (at, column) in columns.iter_mut().enumerate() {
        *column = [a[at], b[at], c[at], d[at], e[at], f[at], g[at], h[at]];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pixelmill_core::ndarray::Array2;

    #[test]
    fn points_have_the_values_of_all_spectra() {
        let mut octet = Octet::default();
        for (spectra, points) in [(8, 700), (3, 256), (1, 1), (8, 0), (0, 5)] {
            let values = Array2::from_shape_fn((spectra, points), |(spectrum, point)| {
                (spectrum * 1000 + point) as u16
            });
            octet.take(values.view());
            assert_eq!(octet.values().len(), points);
            for ((spectrum, point), value) in values.indexed_iter() {
                assert_eq!(octet.values()[point][spectrum], f64::from(*value));
            }
        }
    }
}
