//! The largest eigenvalues of a matrix that is known by its products with some vectors alone, with
//! their vectors: block Krylov iteration with restarts.
//!
//! M = AᵀA of a scan A (positions × points) is never made: a pass over the scan gives MQ of a block
//! Q of vectors. Of all blocks K that are kept, the Rayleigh–Ritz method takes the eigenvectors y
//! of KᵀMK: λ = yᵀKᵀMKy and v = Ky are the best approximations within what K spans, and ‖Mv − λv‖
//! says how far an eigenvalue of M may be from λ. The next block is what these residuals span (C.
//! Musco and C. Musco, NIPS 2015, 1396), and of those before it the approximations alone are kept
//! (K. Wu and H. Simon, SIAM J. Matrix Anal. Appl. 22 (2000) 602).

use nalgebra::{DMatrix, SymmetricEigen};

use crate::chance::Chance;
use crate::products::{add_scaled, dot, norm};

/// What of a vector has to be left when the others are taken out, for it to be another one.
const NEW: f64 = 1e-10;

/// The blocks that are kept: rows of so many points each.
#[derive(Clone, Debug, PartialEq)]
pub struct Krylov {
    pub points: usize,
    /// Vectors of a block.
    pub block: usize,
    /// Approximations of the largest eigenvalues; none in the beginning.
    pub values: Vec<f64>,
    /// Orthonormal vectors, one behind the other: those of the approximations, and the newest
    /// block.
    pub basis: Vec<f64>,
    /// The products of M with those of the approximations.
    pub images: Vec<f64>,
}

/// Approximations of the largest eigenvalues, and of their vectors.
pub struct Ritz {
    pub values: Vec<f64>,
    /// ‖Mv − λv‖ of each.
    pub residuals: Vec<f64>,
    /// Orthonormal, one behind the other.
    pub vectors: Vec<f64>,
    /// The products of M with these.
    images: Vec<f64>,
}

impl Krylov {
    /// Begins with a block of vectors by chance.
    pub fn new(points: usize, block: usize, seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let mut signs =
            (0..block * points).map(|_| if chance.next() >> 63 == 0 { 1.0 } else { -1.0 });
        let (values, basis, images) = (Vec::new(), Vec::new(), Vec::new());
        let mut krylov = Self { points, block, values, basis, images };
        let vectors = signs.by_ref().collect();
        krylov.append(vectors);
        krylov
    }

    /// Numbers that are handed from one pass to the next at most.
    pub fn carried((points, block): (usize, usize)) -> usize {
        block * (1 + 3 * points)
    }

    /// Appends itself to what is handed on.
    pub fn put(&self, all: &mut Vec<f64>) {
        all.extend(&self.values);
        all.extend(&self.basis);
        all.extend(&self.images);
    }

    /// What was handed on, after a pass that has multiplied or before the first one.
    pub fn taken((points, block): (usize, usize), has_multiplied: bool, all: &[f64]) -> Self {
        let known = if has_multiplied { block } else { 0 };
        let (values, rest) = all.split_at(known);
        let (basis, rest) = rest.split_at((known + block) * points);
        let (basis, images) = (basis.to_vec(), rest[..known * points].to_vec());
        Self { points, block, values: values.to_vec(), basis, images }
    }

    /// The newest block.
    pub fn newest(&self) -> &[f64] {
        &self.basis[self.basis.len() - self.block * self.points..]
    }

    /// Takes the product of M with the newest block, all vectors' values of a point side by side,
    /// and gives the approximations that are known by then.
    pub fn ritz(&mut self, products: &[f64]) -> Ritz {
        for vector in 0..self.block {
            self.images.extend(products.iter().skip(vector).step_by(self.block));
        }
        let count = self.basis.len() / self.points;
        let projected = self.projected();
        let SymmetricEigen { eigenvectors, eigenvalues } = SymmetricEigen::new(projected);
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by(|one, other| eigenvalues[*other].total_cmp(&eigenvalues[*one]));
        order.truncate(self.block);
        let combined = |vectors: &[f64]| {
            let mut all = vec![0.0; order.len() * self.points];
            for (into, chosen) in all.chunks_exact_mut(self.points).zip(&order) {
                for (number, vector) in vectors.chunks_exact(self.points).enumerate() {
                    add_scaled(into, eigenvectors[(number, *chosen)], vector);
                }
            }
            all
        };
        let (vectors, images) = (combined(&self.basis), combined(&self.images));
        let values: Vec<f64> = order.iter().map(|at| eigenvalues[*at].max(0.0)).collect();
        let mut ritz = Ritz { values, residuals: Vec::new(), vectors, images };
        ritz.residuals = ritz.left(self.points).chunks_exact(self.points).map(norm).collect();
        ritz
    }

    /// KᵀMK, of which what belongs to the approximations is known.
    fn projected(&self) -> DMatrix<f64> {
        let known = self.values.len();
        let rows = || self.basis.chunks_exact(self.points);
        let mut projected = DMatrix::zeros(rows().len(), rows().len());
        for (at, value) in self.values.iter().enumerate() {
            projected[(at, at)] = *value;
        }
        let newest = self.images.chunks_exact(self.points).enumerate().skip(known);
        for (column, image) in newest {
            for (row, vector) in rows().enumerate().take(column + 1) {
                let product = dot(vector, image);
                projected[(row, column)] = product;
                projected[(column, row)] = product;
            }
        }
        projected
    }

    /// Goes on to a next block; `false` if there is none: all is known.
    pub fn go_on(&mut self, ritz: &Ritz) -> bool {
        self.values.clone_from(&ritz.values);
        self.basis.clone_from(&ritz.vectors);
        self.images.clone_from(&ritz.images);
        self.append(ritz.left(self.points))
    }

    /// Makes a block orthonormal to what is there and within itself, and appends it; a vector that
    /// is none other becomes zero. Whether any is left.
    fn append(&mut self, mut vectors: Vec<f64>) -> bool {
        let mut is_left = false;
        for at in 0..self.block {
            let (before, rest) = vectors.split_at_mut(at * self.points);
            let vector = &mut rest[..self.points];
            let whole = norm(vector);
            // Twice is enough (L. Giraud et al., Numer. Math. 101 (2005) 87).
            for _ in 0..2 {
                for other in
                    self.basis.chunks_exact(self.points).chain(before.chunks_exact(self.points))
                {
                    let part = dot(other, vector);
                    add_scaled(vector, -part, other);
                }
            }
            let left = norm(vector);
            let is_new = left > NEW * whole && left > f64::MIN_POSITIVE;
            let factor = if is_new { 1.0 / left } else { 0.0 };
            vector.iter_mut().for_each(|value| *value *= factor);
            is_left |= is_new;
        }
        self.basis.append(&mut vectors);
        is_left
    }
}

impl Ritz {
    /// Mv − λv of each.
    fn left(&self, points: usize) -> Vec<f64> {
        let mut left = self.images.clone();
        let vectors = self.vectors.chunks_exact(points);
        for ((left, vector), value) in left.chunks_exact_mut(points).zip(vectors).zip(&self.values)
        {
            add_scaled(left, -value, vector);
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A symmetric matrix with these eigenvalues, and its eigenvectors, as rows.
    fn matrix(values: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let points = values.len();
        let vectors = Krylov::new(points, points, 9).basis;
        let mut all = vec![0.0; points * points];
        for (value, vector) in values.iter().zip(vectors.chunks_exact(points)) {
            for (row, own) in all.chunks_exact_mut(points).zip(vector) {
                add_scaled(row, value * own, vector);
            }
        }
        (all, vectors)
    }

    fn products(matrix: &[f64], krylov: &Krylov) -> Vec<f64> {
        let rows = matrix.chunks_exact(krylov.points);
        let each = |row| krylov.newest().chunks_exact(krylov.points).map(move |q| dot(row, q));
        rows.flat_map(each).collect()
    }

    #[test]
    fn eigenvalues_are_found_to_the_last_digits() {
        let values: Vec<f64> = (0..60).map(|at| 1000.0 * 0.7_f64.powi(at)).collect();
        let (matrix, vectors) = matrix(&values);
        let mut krylov = Krylov::new(60, 8, 1);
        for _ in 0..12 {
            let ritz = krylov.ritz(&products(&matrix, &krylov));
            krylov.go_on(&ritz);
        }
        let ritz = krylov.ritz(&products(&matrix, &krylov));
        for at in 0..5 {
            assert!((ritz.values[at] - values[at]).abs() < 1e-9 * values[at], "{at}");
            let along = dot(&ritz.vectors[at * 60..][..60], &vectors[at * 60..][..60]);
            assert!((along.abs() - 1.0).abs() < 1e-9, "{at}: {along}");
            assert!(ritz.residuals[at] < 1e-4 * values[at]);
        }
    }

    #[test]
    fn an_eigenvalue_is_as_near_as_the_residual_says() {
        let values: Vec<f64> = (0..50).map(|at| 10.0 / (1.0 + f64::from(at))).collect();
        let (matrix, _) = matrix(&values);
        let mut krylov = Krylov::new(50, 4, 5);
        for _ in 0..4 {
            let ritz = krylov.ritz(&products(&matrix, &krylov));
            for (value, residual) in ritz.values.iter().zip(&ritz.residuals) {
                let nearest = values.iter().map(|exact| (exact - value).abs());
                assert!(nearest.fold(f64::INFINITY, f64::min) <= residual + 1e-12);
            }
            krylov.go_on(&ritz);
        }
    }

    #[test]
    fn it_is_handed_on() {
        let (matrix, _) = matrix(&(0..20).map(f64::from).collect::<Vec<_>>());
        let mut krylov = Krylov::new(20, 4, 3);
        for has_multiplied in [false, true] {
            let mut all = Vec::new();
            krylov.put(&mut all);
            all.resize(Krylov::carried((20, 4)), 0.0);
            assert_eq!(Krylov::taken((20, 4), has_multiplied, &all), krylov);
            let ritz = krylov.ritz(&products(&matrix, &krylov));
            krylov.go_on(&ritz);
        }
    }

    #[test]
    fn a_matrix_of_low_rank_leaves_no_next_block() {
        let values = [[5.0, 3.0, 1.0].as_slice(), &[0.0; 17]].concat();
        let (matrix, _) = matrix(&values);
        let mut krylov = Krylov::new(20, 8, 2);
        let mut ritz = krylov.ritz(&products(&matrix, &krylov));
        for _ in 0..3 {
            if !krylov.go_on(&ritz) {
                break;
            }
            ritz = krylov.ritz(&products(&matrix, &krylov));
        }
        for (found, value) in ritz.values.iter().zip([5.0, 3.0, 1.0, 0.0]) {
            assert!((found - value).abs() < 1e-10, "{found}");
        }
    }
}
