//! The centres of clusters, and which of them is the nearest.

use pixelmill_core::process::Failure;

use crate::products::{apart, dot};
use crate::weights::Weights;

/// How much of the largest sum of squares rounding may be in a difference of two distances, in
/// units of the last digit and per point.
const ROUNDED: f64 = 8.0;

/// The centres of all clusters.
pub struct Centers {
    /// One behind the other.
    pub values: Vec<f64>,
    squares: Vec<f64>,
    weights: Weights,
}

impl Centers {
    /// Of so many points each.
    ///
    /// # Errors
    /// If they are too many for any memory.
    pub fn new(values: Vec<f64>, points: usize) -> Result<Self, Failure> {
        let squares: Vec<f64> = values.chunks_exact(points).map(|row| dot(row, row)).collect();
        let weights = Weights::of_some((squares.len(), points), |cluster| {
            Ok(values[cluster * points..][..points].to_vec())
        })?;
        Ok(Self { values, squares, weights })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.squares.len()
    }

    /// One of them.
    pub fn row(&self, number: usize) -> &[f64] {
        let points = self.values.len() / self.count();
        &self.values[number * points..][..points]
    }

    /// The products of some spectra with all of them.
    pub fn products(&self, rows: &[&[f64]]) -> Vec<f64> {
        let mut products = vec![0.0; rows.len() * self.count()];
        let all = std::iter::once(0..self.values.len() / self.count());
        self.weights.add_rows(rows, all, &mut products);
        products
    }

    /// The nearest to a spectrum with this sum of squares, by the products of both.
    pub fn nearest(&self, (row, square): (&[f64], f64), products: &[f64]) -> usize {
        let far = || products.iter().zip(&self.squares).map(|(product, own)| own - 2.0 * product);
        let (nearest, near) = least(far());
        // Where digits are lost in the difference, those that may be nearer are looked at by
        // themselves.
        let largest = self.squares.iter().fold(square, |most, own| most.max(*own));
        let doubt = ROUNDED * row.len() as f64 * f64::EPSILON * largest;
        let doubtful = || far().enumerate().filter(|(_, far)| far - near <= doubt);
        if doubtful().nth(1).is_none() {
            return nearest;
        }
        let each = doubtful().map(|(number, _)| (number, apart(row, self.row(number))));
        let first = (nearest, f64::INFINITY);
        each.fold(first, |least, found| if found.1 < least.1 { found } else { least }).0
    }
}

/// The means of clusters of spectra with these sums and counts; of one that has none its centre.
pub fn means((sums, counts): (&[f64], &[f64]), centers: &[f64]) -> Vec<f64> {
    let points = centers.len() / counts.len();
    let each = sums.chunks_exact(points).zip(centers.chunks_exact(points)).zip(counts);
    let mean = |((sums, center), count): ((&[f64], &[f64]), &f64)| -> Vec<f64> {
        match *count {
            0.0 => center.to_vec(),
            count => sums.iter().map(|sum| sum / count).collect(),
        }
    };
    each.flat_map(mean).collect()
}

/// The smallest of some numbers, the first of them if there are several, and which it is.
pub fn least(numbers: impl Iterator<Item = f64>) -> (usize, f64) {
    let first = (0, f64::INFINITY);
    numbers.enumerate().fold(
        first,
        |least, (at, number)| {
            if number < least.1 { (at, number) } else { least }
        },
    )
}
