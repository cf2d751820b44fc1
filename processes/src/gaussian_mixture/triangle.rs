//! Symmetric matrices, of which one half is kept, and the factors of those that are positive.
//!
//! A matrix lies in stripes of eight columns, each from the row on that is on the diagonal in its
//! first column: so sums of outer products are made eight columns at a time. The last stripe is
//! filled up with zeros.

use multiversion::multiversion;

use crate::products::{add_outer, add_scaled, dot};

/// Columns of a stripe, and vectors that are made white together.
pub const LANES: usize = 8;
/// Rows of a factor that are multiplied together.
const ROWS: usize = 4;

/// How many numbers a matrix of so many rows has.
pub fn len(points: usize) -> usize {
    place(points, points.div_ceil(LANES))
}

/// Where the numbers of a stripe begin.
fn place(points: usize, stripe: usize) -> usize {
    // Of each stripe before it the rows are eight fewer than of the one before.
    LANES * (stripe * points) - LANES * LANES * (stripe * stripe.saturating_sub(1) / 2)
}

/// The number in a row and a column.
pub fn get(matrix: &[f64], points: usize, row: usize, column: usize) -> f64 {
    matrix[at(points, row.max(column), row.min(column))]
}

/// Where the number in a row and a column is that isn't beyond the row.
fn at(points: usize, row: usize, column: usize) -> usize {
    let stripe = column / LANES;
    place(points, stripe) + (row - stripe * LANES) * LANES + column % LANES
}

/// The numbers on the diagonal.
pub fn diagonal(matrix: &[f64], points: usize) -> impl Iterator<Item = f64> {
    (0..points).map(move |row| matrix[at(points, row, row)])
}

/// Adds a number to all of these.
pub fn add_to_diagonal(matrix: &mut [f64], points: usize, number: f64) {
    (0..points).for_each(|row| matrix[at(points, row, row)] += number);
}

/// matrix += Σ factor·v·vᵀ of some vectors v.
pub fn add_squares(matrix: &mut [f64], vectors: &[&[f64]], factors: &[f64]) {
    let points = vectors.first().map_or(0, |vector| vector.len());
    let mut own = vec![0.0; vectors.len() * LANES];
    for stripe in 0..points.div_ceil(LANES) {
        let first = stripe * LANES;
        let columns = LANES.min(points - first);
        for ((own, vector), factor) in own.chunks_exact_mut(LANES).zip(vectors).zip(factors) {
            own[columns..].fill(0.0);
            let values = own.iter_mut().zip(&vector[first..]);
            values.for_each(|(own, value)| *own = value * factor);
        }
        let rest: Vec<&[f64]> = vectors.iter().map(|vector| &vector[first..]).collect();
        let sums = &mut matrix[place(points, stripe)..place(points, stripe + 1)];
        add_outer(&rest, (&own, LANES), sums);
    }
}

/// The inverse of the lower triangular L with L·Lᵀ = A: what makes vectors white that vary as A.
pub struct Factor {
    /// Some rows of all columns that they have, for each column one number for each row.
    rows: Vec<f64>,
    /// ln |A|.
    pub log_determinant: f64,
}

impl Factor {
    /// Of a matrix A; nothing if it isn't positive.
    pub fn new(matrix: &[f64], points: usize) -> Option<Self> {
        let lower = cholesky(matrix, points)?;
        let log_determinant =
            (0..points).map(|row| 2.0 * libm::log(lower[row * points + row])).sum();
        let inverse = inverse(&lower, points);
        let mut rows = Vec::with_capacity(len_of_rows(points));
        for first in (0..points).step_by(ROWS) {
            for column in 0..points.min(first + ROWS) {
                rows.extend(
                    (first..first + ROWS)
                        .map(|row| if row < points { inverse[row * points + column] } else { 0.0 }),
                );
            }
        }
        Some(Self { rows, log_determinant })
    }

    /// Some vectors made white: for each point one number of each of them, also of the result,
    /// which has as many points or up to three more, that are 0.
    pub fn whiten(&self, vectors: &[[f64; LANES]], white: &mut Vec<[f64; LANES]>) {
        white.clear();
        multiply(&self.rows, vectors, white);
    }
}

/// How many numbers the rows of a factor have.
pub fn len_of_rows(points: usize) -> usize {
    (0..points).step_by(ROWS).map(|first| ROWS * points.min(first + ROWS)).sum()
}

/// The lower triangular L with L·Lᵀ = A, row by row; nothing if there is none.
fn cholesky(matrix: &[f64], points: usize) -> Option<Vec<f64>> {
    let mut lower = vec![0.0; points * points];
    for row in 0..points {
        let (before, own) = lower.split_at_mut(row * points);
        for column in 0..row {
            let other = &before[column * points..][..points];
            let rest = get(matrix, points, row, column) - dot(&own[..column], &other[..column]);
            own[column] = rest / other[column];
        }
        let rest = get(matrix, points, row, row) - dot(&own[..row], &own[..row]);
        // Neither is what is no number.
        if !(rest > 0.0 && rest.is_finite()) {
            return None;
        }
        own[row] = rest.sqrt();
    }
    Some(lower)
}

/// The inverse of a lower triangular matrix.
fn inverse(lower: &[f64], points: usize) -> Vec<f64> {
    let mut inverse = vec![0.0; points * points];
    for row in 0..points {
        let (before, own) = inverse.split_at_mut(row * points);
        let of_row = &lower[row * points..][..=row];
        for (column, factor) in of_row[..row].iter().enumerate() {
            let other = &before[column * points..][..=column];
            add_scaled(&mut own[..=column], -factor, other);
        }
        own[row] = 1.0;
        own[..=row].iter_mut().for_each(|value| *value /= of_row[row]);
    }
    inverse
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn multiply(rows: &[f64], vectors: &[[f64; LANES]], white: &mut Vec<[f64; LANES]>) {
    let mut left = rows;
    for first in (0..vectors.len()).step_by(ROWS) {
        let columns = vectors.len().min(first + ROWS);
        let (own, rest) = left.split_at(columns * ROWS);
        left = rest;
        let mut sums = [[0.0; LANES]; ROWS];
        for (factors, values) in own.as_chunks::<ROWS>().0.iter().zip(vectors) {
            for (sums, factor) in sums.iter_mut().zip(factors) {
                for (sum, value) in sums.iter_mut().zip(values) {
                    *sum = value.mul_add(*factor, *sum);
                }
            }
        }
        white.extend_from_slice(&sums);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors of small integers, whose products are exact.
    fn vectors(count: usize, points: usize) -> Vec<Vec<f64>> {
        let value = |vector: usize, point: usize| ((vector * 31 + point * 17) % 13) as f64 - 6.0;
        (0..count).map(|vector| (0..points).map(|point| value(vector, point)).collect()).collect()
    }

    #[test]
    fn squares_are_those_of_each_pair_of_points() {
        for points in [1, 2, 7, 8, 9, 16, 21, 40] {
            let vectors = vectors(5, points);
            let vectors: Vec<&[f64]> = vectors.iter().map(Vec::as_slice).collect();
            let factors = [1.0, 0.5, 2.0, 0.25, 1.0];
            let mut matrix = vec![0.0; len(points)];
            add_squares(&mut matrix, &vectors, &factors);
            add_squares(&mut matrix, &vectors[..1], &[3.0]);
            add_to_diagonal(&mut matrix, points, 0.125);
            for row in 0..points {
                for column in 0..points {
                    let sum: f64 = vectors
                        .iter()
                        .zip([4.0, 0.5, 2.0, 0.25, 1.0])
                        .map(|(vector, factor)| factor * vector[row] * vector[column])
                        .sum();
                    let expected = if row == column { sum + 0.125 } else { sum };
                    assert_eq!(get(&matrix, points, row, column), expected, "{row} {column}");
                }
            }
            let expected: Vec<f64> =
                (0..points).map(|row| get(&matrix, points, row, row)).collect();
            assert_eq!(diagonal(&matrix, points).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn what_is_white_has_the_length_that_the_inverse_gives() {
        for points in [1, 3, 4, 5, 11, 24] {
            let many = vectors(3 * points, points);
            let many: Vec<&[f64]> = many.iter().map(Vec::as_slice).collect();
            let mut matrix = vec![0.0; len(points)];
            add_squares(&mut matrix, &many, &vec![1.0; many.len()]);
            add_to_diagonal(&mut matrix, points, 1.0);
            let factor = Factor::new(&matrix, points).unwrap();
            assert_eq!(factor.rows.len(), len_of_rows(points));
            // A·x has the length √(xᵀ·A·x) when it is white.
            let x: Vec<f64> = (0..points).map(|point| (point % 5) as f64 - 1.5).collect();
            let image: Vec<f64> = (0..points)
                .map(|row| (0..points).map(|of| get(&matrix, points, row, of) * x[of]).sum())
                .collect();
            let lanes: Vec<[f64; LANES]> =
                image.iter().map(|value| std::array::from_fn(|lane| value * lane as f64)).collect();
            let mut white = Vec::new();
            factor.whiten(&lanes, &mut white);
            assert_eq!(white.len(), points.next_multiple_of(ROWS));
            let expected = dot(&x, &image);
            for lane in 0..LANES {
                let square: f64 = white.iter().map(|of| of[lane] * of[lane]).sum();
                let expected = expected * (lane * lane) as f64;
                assert!((square - expected).abs() <= 1e-9 * expected, "{square} {expected}");
            }
            // With |A·s| = |A|·sⁿ.
            let larger: Vec<f64> = matrix.iter().map(|value| value * 4.0).collect();
            let larger = Factor::new(&larger, points).unwrap().log_determinant;
            let expected = factor.log_determinant + points as f64 * libm::log(4.0);
            assert!((larger - expected).abs() < 1e-9 * expected.abs().max(1.0));
        }
    }

    #[test]
    fn determinants_and_inverses_are_those_by_hand() {
        // [[4, 2], [2, 5]]: L is [[2, 0], [1, 2]], its inverse [[½, 0], [−¼, ½]].
        let mut matrix = vec![0.0; len(2)];
        add_squares(&mut matrix, &[&[2.0, 1.0], &[0.0, 2.0]], &[1.0, 1.0]);
        let factor = Factor::new(&matrix, 2).unwrap();
        assert!((factor.log_determinant - libm::log(16.0)).abs() < 1e-15);
        assert_eq!(factor.rows, [0.5, -0.25, 0.0, 0.0, 0.0, 0.5, 0.0, 0.0]);
    }

    #[test]
    fn what_is_not_positive_has_no_factor() {
        let of = |vectors: &[&[f64]]| {
            let mut matrix = vec![0.0; len(2)];
            add_squares(&mut matrix, vectors, &vec![1.0; vectors.len()]);
            Factor::new(&matrix, 2).is_some()
        };
        assert!(of(&[&[1.0, 0.0], &[1.0, 1.0]]));
        assert!(!of(&[&[1.0, 1.0]]));
        assert!(!of(&[&[1.0, f64::NAN]]));
        assert!(!of(&[&[f64::INFINITY, 1.0]]));
        assert!(!of(&[]));
    }
}
