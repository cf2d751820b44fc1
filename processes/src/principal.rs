//! The principal components of a few spectra, by how these overlap.

use nalgebra::{DMatrix, SymmetricEigen};

use crate::products::{add_scaled, dot, norm};

/// Of the largest eigenvalue what counts as nothing.
pub const NOTHING: f64 = 1e-12;

/// Takes out of a vector what others of norm 1 have of it.
pub fn orthogonalize(vector: &mut [f64], others: &[f64]) {
    for _ in 0..2 {
        for other in others.chunks_exact(vector.len()) {
            let part = dot(other, vector);
            add_scaled(vector, -part, other);
        }
    }
}

/// The principal components of spectra, orthonormal: those that aren't nothing.
pub fn principal(rows: &[&[f64]], components: usize) -> Vec<f64> {
    let points = rows[0].len();
    let mut gram = DMatrix::zeros(rows.len(), rows.len());
    for (at, row) in rows.iter().enumerate() {
        for (before, other) in rows[..=at].iter().enumerate() {
            gram[(at, before)] = dot(row, other);
            gram[(before, at)] = gram[(at, before)];
        }
    }
    let SymmetricEigen { eigenvectors, eigenvalues } = SymmetricEigen::new(gram);
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by(|one, other| eigenvalues[*other].total_cmp(&eigenvalues[*one]));
    let least = NOTHING * eigenvalues[order[0]].max(0.0);
    order.retain(|at| eigenvalues[*at] > least);
    let mut vectors = Vec::new();
    for at in order.into_iter().take(components) {
        let mut vector = vec![0.0; points];
        for (row, part) in rows.iter().zip(eigenvectors.column(at).iter()) {
            add_scaled(&mut vector, *part, row);
        }
        orthogonalize(&mut vector, &vectors);
        let norm = norm(&vector);
        if norm > 0.0 {
            vectors.extend(vector.iter().map(|value| value / norm));
        }
    }
    vectors
}
