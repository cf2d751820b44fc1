//! What components begin with: a sample of spectra.

use crate::chance::Chance;
use crate::principal::{NOTHING, orthogonalize, principal};
use crate::products::{add_scaled, dot, norm};

/// What some spectra have.
pub struct Start {
    /// Components of norm 1, one behind the other. What the spectra lack is made up by chance.
    pub vectors: Vec<f64>,
    /// The largest that they have beside their principal components, without its sign.
    pub largest: f64,
    /// The root mean square of all their values.
    pub size: f64,
}

/// What some spectra have of so many components.
pub fn start<const NONNEGATIVE: bool>(rows: &[&[f64]], components: usize, seed: u64) -> Start {
    let points = rows[0].len();
    let principal = principal(rows, components);
    let mut largest = 0.0_f64;
    let mut fitted = Vec::new();
    for row in rows {
        let mut left = row.to_vec();
        orthogonalize(&mut left, &principal);
        largest = left.iter().fold(largest, |most, value| most.max(value.abs()));
        // Without most of the noise, and of outliers that are in few spectra.
        left.iter_mut().zip(*row).for_each(|(left, value)| *left = (value - *left).max(0.0));
        fitted.push(left);
    }
    let mut vectors = if NONNEGATIVE { farthest(&fitted, components) } else { principal };
    let mut chance = Chance::new(seed);
    while vectors.len() < components * points {
        let mut vector: Vec<f64> = (0..points).map(|_| chance.part() - 0.5).collect();
        if NONNEGATIVE {
            vector.iter_mut().for_each(|value| *value += 0.5);
        } else {
            orthogonalize(&mut vector, &vectors);
        }
        let norm = norm(&vector);
        vectors.extend(vector.iter().map(|value| value / norm));
    }
    let squares: f64 = rows.iter().map(|row| dot(row, row)).sum();
    Start { vectors, largest, size: (squares / (rows.len() * points) as f64).sqrt() }
}

/// Spectra of which each is the farthest from what those before span, with the norm 1 (successive
/// projections: M. C. U. Araújo et al., Chemom. Intell. Lab. Syst. 57 (2001) 65).
fn farthest(rows: &[Vec<f64>], components: usize) -> Vec<f64> {
    let mut left = rows.to_vec();
    let largest = rows.iter().map(|row| norm(row)).fold(0.0, f64::max);
    let mut vectors = Vec::new();
    for _ in 0..components.min(rows.len()) {
        let norms: Vec<f64> = left.iter().map(|row| norm(row)).collect();
        let order = |one: &usize, other: &usize| norms[*one].total_cmp(&norms[*other]);
        let Some(at) = (0..rows.len()).rev().max_by(order) else { break };
        if norms[at] <= NOTHING.sqrt() * largest || norms[at] == 0.0 {
            break;
        }
        let whole = norm(&rows[at]);
        vectors.extend(rows[at].iter().map(|value| value / whole));
        let direction: Vec<f64> = left[at].iter().map(|value| value / norms[at]).collect();
        for row in &mut left {
            let part = dot(&direction, row);
            add_scaled(row, -part, &direction);
        }
    }
    vectors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, seed: u64) -> Vec<f64> {
        let mut chance = Chance::new(seed);
        // Nearly normal: of noise with the variance 1.
        (0..count).map(|_| (0..12).map(|_| chance.part()).sum::<f64>() - 6.0).collect()
    }

    #[test]
    fn components_of_the_sample_are_found() {
        let (points, count) = (400, 60);
        let shapes = [numbers(points, 1), numbers(points, 2)];
        let mut rows: Vec<Vec<f64>> = Vec::new();
        for at in 0..count {
            let mut row: Vec<f64> = numbers(points, 100 + at as u64);
            row.iter_mut().for_each(|value| *value *= 0.1);
            add_scaled(&mut row, (at % 7) as f64 + 1.0, &shapes[0]);
            add_scaled(&mut row, (at % 5) as f64 + 1.0, &shapes[1]);
            rows.push(row);
        }
        let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
        let Start { vectors, largest, .. } = start::<false>(&rows, 2, 0);
        assert!(largest > 0.3 && largest < 0.7, "{largest}");
        for shape in &shapes {
            let mut left = shape.clone();
            orthogonalize(&mut left, &vectors);
            assert!(norm(&left) < 0.02 * norm(shape));
        }
    }

    #[test]
    fn what_a_sample_lacks_is_made_up() {
        let row = [3.0, 0.0, 4.0, 0.0];
        let rows = [row.as_slice(); 2];
        for Start { vectors, largest, size } in
            [start::<false>(&rows, 3, 1), start::<true>(&rows, 3, 1)]
        {
            assert_eq!(vectors.len(), 12);
            assert!(vectors.chunks_exact(4).all(|vector| (norm(vector) - 1.0).abs() < 1e-12));
            assert!((vectors[0].abs() - 0.6).abs() < 1e-12, "{vectors:?}");
            assert!((size - 2.5).abs() < 1e-12 && largest < 1e-12, "{size} {largest}");
        }
        let Start { vectors, largest, size } = start::<false>(&[&[0.0; 4]], 2, 1);
        assert!(dot(&vectors[..4], &vectors[4..]).abs() < 1e-12);
        assert_eq!((largest, size), (0.0, 0.0));
    }

    #[test]
    fn the_purest_spectra_are_found() {
        let pure = [[1.0, 0.0, 0.0, 2.0], [0.0, 3.0, 0.0, 1.0], [0.0, 0.0, 2.0, 1.0]];
        let mixed: Vec<[f64; 4]> = (1..9)
            .map(|at| {
                let parts = [0.1 * f64::from(at % 4), 0.05 * f64::from(at), 0.3];
                std::array::from_fn(|value| {
                    parts.iter().zip(&pure).map(|(part, pure)| part * pure[value]).sum()
                })
            })
            .collect();
        let rows: Vec<Vec<f64>> = mixed.iter().chain(&pure).map(|row| row.to_vec()).collect();
        let vectors = farthest(&rows, 3);
        for pure in &pure {
            let near = vectors.chunks_exact(4).map(|vector| dot(vector, pure) / norm(pure));
            assert!(near.fold(0.0, f64::max) > 1.0 - 1e-12, "{vectors:?}");
        }
    }
}
