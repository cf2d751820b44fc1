//! Products of long vectors, in double precision and in a fixed order: each number has the same
//! bits on every machine and for every cut of the data.
//!
//! Sums run in lanes, value by value, fused, as wide as the machine has them.

use multiversion::multiversion;

/// Sums that run side by side.
const LANES: usize = 8;
/// Points whose sums are kept in registers together.
const POINTS: usize = 8;
/// Points of vectors that are combined at a time.
const CACHED: usize = 256;

/// Σ a·b.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [[0.0; LANES]; 4];
    let ((a, rest_of_a), (b, rest_of_b)) =
        (a.as_chunks::<{ 4 * LANES }>(), b.as_chunks::<{ 4 * LANES }>());
    for (a, b) in a.iter().zip(b) {
        for (part, sums) in sums.iter_mut().enumerate() {
            for (lane, sum) in sums.iter_mut().enumerate() {
                *sum = a[part * LANES + lane].mul_add(b[part * LANES + lane], *sum);
            }
        }
    }
    let mut all = [0.0; LANES];
    for sums in &sums {
        all.iter_mut().zip(sums).for_each(|(all, sum)| *all += sum);
    }
    let rest = rest_of_a.iter().zip(rest_of_b);
    let rest = rest.fold(0.0, |sum: f64, (a, b)| a.mul_add(*b, sum));
    all.iter().sum::<f64>() + rest
}

/// √Σ a².
pub fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

/// Σ (a − b)²: what ‖a‖² + ‖b‖² − 2·a·b has lost where both are far from 0 and near each other.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub fn apart(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 2 * LANES];
    let ((a, rest_of_a), (b, rest_of_b)) =
        (a.as_chunks::<{ 2 * LANES }>(), b.as_chunks::<{ 2 * LANES }>());
    for (a, b) in a.iter().zip(b) {
        for (lane, sum) in sums.iter_mut().enumerate() {
            let apart = a[lane] - b[lane];
            *sum = apart.mul_add(apart, *sum);
        }
    }
    let rest = rest_of_a.iter().zip(rest_of_b).map(|(a, b)| a - b);
    let rest = rest.fold(0.0, |sum: f64, apart| apart.mul_add(apart, sum));
    sums.iter().sum::<f64>() + rest
}

/// into += factor·row.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub fn add_scaled(into: &mut [f64], factor: f64, row: &[f64]) {
    into.iter_mut().zip(row).for_each(|(sum, value)| *sum = value.mul_add(factor, *sum));
}

/// into += factor·row², value by value.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub fn add_squares(into: &mut [f64], factor: f64, row: &[f64]) {
    let each = into.iter_mut().zip(row);
    each.for_each(|(sum, value)| *sum = (value * value).mul_add(factor, *sum));
}

/// into += row.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub fn add(into: &mut [f64], row: &[f64]) {
    into.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
}

/// sums[point, n] += Σ rows[row, point]·factors[row, n], for as many n as `each` says.
pub fn add_outer(rows: &[&[f64]], (factors, each): (&[f64], usize), sums: &mut [f64]) {
    let groups = each / LANES;
    for group in 0..groups {
        let own: Vec<[f64; LANES]> = factors
            .chunks_exact(each)
            .map(|factors| std::array::from_fn(|lane| factors[group * LANES + lane]))
            .collect();
        eight(rows, &own, sums, (group * LANES, each));
    }
    for lane in groups * LANES..each {
        for (row, factors) in rows.iter().zip(factors.chunks_exact(each)) {
            let own = sums.iter_mut().skip(lane).step_by(each);
            own.zip(*row).for_each(|(sum, value)| *sum = value.mul_add(factors[lane], *sum));
        }
    }
}

/// The same for eight n, the first of which is given.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn eight(
    rows: &[&[f64]],
    factors: &[[f64; LANES]],
    sums: &mut [f64],
    (first, each): (usize, usize),
) {
    let points = rows.first().map_or(0, |row| row.len());
    let whole = points / POINTS * POINTS;
    for point in (0..whole).step_by(POINTS) {
        let mut acc = [[0.0; LANES]; POINTS];
        for (row, factors) in rows.iter().zip(factors) {
            let Some(values) = row[point..].first_chunk::<POINTS>() else { continue };
            for (value, acc) in values.iter().zip(&mut acc) {
                for (sum, factor) in acc.iter_mut().zip(factors) {
                    *sum = value.mul_add(*factor, *sum);
                }
            }
        }
        for (at, acc) in acc.iter().enumerate() {
            let sums = &mut sums[(point + at) * each + first..][..LANES];
            sums.iter_mut().zip(acc).for_each(|(sum, more)| *sum += more);
        }
    }
    for point in whole..points {
        let mut acc = [0.0; LANES];
        for (row, factors) in rows.iter().zip(factors) {
            for (sum, factor) in acc.iter_mut().zip(factors) {
                *sum = row[point].mul_add(*factor, *sum);
            }
        }
        let sums = &mut sums[point * each + first..][..LANES];
        sums.iter_mut().zip(&acc).for_each(|(sum, more)| *sum += more);
    }
}

/// rows[row, point] = Σ factors[row, n]·vectors[n, point], for vectors of so many points.
pub fn combined(factors: &[f64], vectors: &[f64], points: usize, rows: &mut [f64]) {
    let each = vectors.len() / points;
    rows.fill(0.0);
    // So few points that those of all vectors stay in the processor's cache.
    for first in (0..points).step_by(CACHED) {
        let end = points.min(first + CACHED);
        let rows = rows.chunks_exact_mut(points).zip(factors.chunks_exact(each));
        for (row, factors) in rows {
            for (vector, factor) in vectors.chunks_exact(points).zip(factors) {
                add_scaled(&mut row[first..end], *factor, &vector[first..end]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small integers, whose products are exact.
    fn numbers(count: usize, seed: usize) -> Vec<f64> {
        (0..count).map(|at| ((at * 7 + seed * 13) % 23) as f64 - 11.0).collect()
    }

    #[test]
    fn products_are_those_of_each_pair_by_itself() {
        for length in [0, 1, 31, 32, 33, 100, 257] {
            let (a, b) = (numbers(length, 1), numbers(length, 2));
            let expected: f64 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
            assert_eq!(dot(&a, &b), expected, "{length}");
            let expected: f64 = a.iter().zip(&b).map(|(a, b)| (a - b) * (a - b)).sum();
            assert_eq!(apart(&a, &b), expected, "{length}");
            let mut sum = b.clone();
            add_scaled(&mut sum, 3.0, &a);
            add(&mut sum, &b);
            add_squares(&mut sum, 2.0, &b);
            let each = sum.iter().zip(a.iter().zip(&b));
            let expected = |a: f64, b: f64| 2.0 * b + 3.0 * a + 2.0 * b * b;
            assert!(each.into_iter().all(|(sum, (a, b))| *sum == expected(*a, *b)));
        }
    }

    #[test]
    fn vectors_are_combined_point_by_point() {
        for (count, points, each) in [(1, 1, 1), (3, 300, 4), (2, 256, 5), (0, 4, 8)] {
            let (factors, vectors) = (numbers(count * each, 3), numbers(each * points, 4));
            let mut rows = numbers(count * points, 5);
            combined(&factors, &vectors, points, &mut rows);
            for row in 0..count {
                for point in 0..points {
                    let product = |n: usize| factors[row * each + n] * vectors[n * points + point];
                    assert_eq!(rows[row * points + point], (0..each).map(product).sum::<f64>());
                }
            }
        }
    }

    #[test]
    fn outer_products_are_added_up() {
        for (count, points, each) in [(1, 1, 1), (3, 9, 8), (32, 40, 13), (5, 17, 24), (0, 4, 8)] {
            let rows: Vec<Vec<f64>> = (0..count).map(|row| numbers(points, row)).collect();
            let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
            let factors = numbers(count * each, 5);
            let mut sums = numbers(points * each, 9);
            add_outer(&rows, (&factors, each), &mut sums);
            let before = numbers(points * each, 9);
            for point in 0..points {
                for n in 0..each {
                    let product = |row: usize| rows[row][point] * factors[row * each + n];
                    let expected = before[point * each + n] + (0..count).map(product).sum::<f64>();
                    assert_eq!(sums[point * each + n], expected, "{point} {n}");
                }
            }
        }
    }
}
