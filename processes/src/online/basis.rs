//! Components: what of each a spectrum has, and how they are learned from that.

use std::sync::Arc;

use nalgebra::{Cholesky, DMatrix, Dyn, SymmetricEigen};
use pixelmill_core::process::Failure;

use crate::decomposition::sign;
use crate::factorisation::dictionary::improve;
use crate::factorisation::nonnegative::{Gram, Memory};
use crate::products::{add_scaled, combined, dot, norm};
use crate::weights::Weights;
use crate::whole_spectra::TOGETHER;

/// Of the largest loading what two rounds may differ by, and how many rounds there are at most.
#[derive(Clone, Copy)]
pub struct Precision {
    part: f64,
    most: usize,
}

/// While components are learned.
pub const COARSE: Precision = Precision { part: 1e-4, most: 20 };
/// At last.
pub const FINE: Precision = Precision { part: 1e-9, most: 500 };

/// How often components are improved one after the other after a mini-batch.
const SWEEPS: u32 = 30;
/// What is added to the diagonal of a matrix that may be singular, as a part of its mean.
const SINGULAR: f64 = 1e-13;

/// What is left of a component that counts as nothing, as a part of the shrinkage.
const VANISHED: f64 = 1e-6;

/// Components, one behind the other, and what is needed to find loadings.
#[derive(Clone)]
pub struct Basis {
    pub vectors: Vec<f64>,
    points: usize,
    /// What loadings cost: ½rᵀPr.
    pub penalty: Vec<f64>,
    pub threshold: f64,
    /// The standard deviation of the noise that was seen last.
    pub noise: f64,
    ready: Option<Arc<Ready>>,
}

/// The same as whoever fits needs it.
struct Ready {
    weights: Weights,
    solved: Solved,
}

/// LLᵀ + P, of which loadings that may be negative take the inverse.
enum Solved {
    Least(Gram),
    Inverse(DMatrix<f64>),
}

/// Σ rrᵀ and, point by point, Σ r(z − e), of what was learned from.
#[derive(Clone)]
pub struct Sums {
    pub squares: Vec<f64>,
    pub products: Vec<f64>,
}

/// What was found of some spectra, one behind the other.
#[derive(Default)]
pub struct Fits {
    pub loadings: Vec<f64>,
    /// r·L.
    pub fitted: Vec<f64>,
    /// z − e.
    pub clean: Vec<f64>,
    pub outliers: Vec<u32>,
    /// The products of the components with a spectrum, or with some.
    products: Vec<f64>,
    room: Room,
}

/// Memory for the loadings of a spectrum.
#[derive(Default)]
struct Room {
    found: Vec<f64>,
    memory: Memory,
}

impl Fits {
    /// Bytes that they take, of spectra with so many points.
    pub fn bytes(points: usize, components: usize) -> usize {
        8 * TOGETHER * (2 * points + 2 * components + 1)
    }
}

impl Sums {
    pub fn new(components: usize, points: usize) -> Self {
        let squares = vec![0.0; components * components];
        Self { squares, products: vec![0.0; components * points] }
    }

    /// Takes those of a mini-batch; of what was before so much is kept.
    pub fn take(&mut self, squares: &[f64], products: &[f64], kept: f64) {
        let all = self.squares.iter_mut().chain(&mut self.products);
        all.zip(squares.iter().chain(products)).for_each(|(sum, more)| *sum = *sum * kept + more);
    }
}

impl Basis {
    pub fn new(vectors: Vec<f64>, points: usize, shrinkage: f64, threshold: f64) -> Self {
        let count = vectors.len() / points;
        let mut penalty = vec![0.0; count * count];
        penalty.iter_mut().step_by(count + 1).for_each(|own| *own = shrinkage);
        Self::with(vectors, points, penalty, threshold)
    }

    pub fn with(vectors: Vec<f64>, points: usize, penalty: Vec<f64>, threshold: f64) -> Self {
        Self { vectors, points, penalty, threshold, noise: 0.0, ready: None }
    }

    fn count(&self) -> usize {
        self.vectors.len() / self.points
    }

    fn rows(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        self.vectors.chunks_exact(self.points)
    }

    /// The products of all pairs of components.
    fn gram(&self) -> DMatrix<f64> {
        let rows: Vec<&[f64]> = self.rows().collect();
        let mut gram = DMatrix::zeros(rows.len(), rows.len());
        for (at, row) in rows.iter().enumerate() {
            for (before, other) in rows[..=at].iter().enumerate() {
                gram[(at, before)] = dot(row, other);
                gram[(before, at)] = gram[(at, before)];
            }
        }
        gram
    }

    /// With what is needed to find loadings.
    ///
    /// # Errors
    /// If there are too many components for any memory, or none is left.
    pub fn ready<const NONNEGATIVE: bool>(self, shrinkage: f64) -> Result<Self, Failure> {
        let count = self.count();
        let row = |number: usize| Ok(self.vectors[number * self.points..][..self.points].to_vec());
        let weights = Weights::of_some((count, self.points), row)?;
        let gram = self.gram() + DMatrix::from_row_slice(count, count, &self.penalty);
        let solved = match NONNEGATIVE {
            true => Solved::Least(Gram::new(gram.as_slice().to_vec())),
            false => Solved::Inverse(definite(gram, shrinkage)?.inverse()),
        };
        let ready = Some(Arc::new(Ready { weights, solved }));
        Ok(Self { ready, ..self })
    }

    /// Finds r and e of some spectra.
    pub fn fit(&self, rows: &[&[f64]], precision: Precision, fits: &mut Fits) {
        let Some(ready) = &self.ready else { return };
        let (count, points) = (self.count(), self.points);
        let Fits { loadings, fitted, clean, outliers, products, room: _ } = fits;
        for (buffer, each) in [(&mut *products, count), (loadings, count), (fitted, points)] {
            buffer.clear();
            buffer.resize(rows.len() * each, 0.0);
        }
        clean.clear();
        outliers.clear();
        ready.weights.add_rows(rows, std::iter::once(0..points), products);
        for (own, products) in
            fits.loadings.chunks_exact_mut(count).zip(fits.products.chunks_exact(count))
        {
            ready.solve(products, own, &mut fits.room);
        }
        combined(&fits.loadings, &self.vectors, points, &mut fits.fitted);
        let each = fits.loadings.chunks_exact_mut(count).zip(fits.fitted.chunks_exact_mut(points));
        for (row, (loadings, fitted)) in rows.iter().zip(each) {
            let first = fits.clean.len();
            fits.clean.extend_from_slice(row);
            let clean = &mut fits.clean[first..];
            let mut found = self.clean(row, fitted, clean);
            for _ in 0..precision.most {
                if found == 0 {
                    break;
                }
                let products = &mut fits.products[..count];
                self.rows().zip(&mut *products).for_each(|(row, to)| *to = dot(row, clean));
                let moved = ready.solve(products, loadings, &mut fits.room);
                fitted.fill(0.0);
                for (row, own) in self.rows().zip(&*loadings) {
                    add_scaled(fitted, *own, row);
                }
                found = self.clean(row, fitted, clean);
                let largest = loadings.iter().fold(0.0_f64, |most, own| most.max(own.abs()));
                if moved <= precision.part * largest {
                    break;
                }
            }
            fits.outliers.push(found);
        }
    }

    /// z − e of a spectrum, and how many outliers it has.
    fn clean(&self, row: &[f64], fitted: &[f64], clean: &mut [f64]) -> u32 {
        let mut outliers = 0;
        for ((to, value), fitted) in clean.iter_mut().zip(row).zip(fitted) {
            let apart = value - fitted;
            let is_outlier = apart.abs() > self.threshold;
            *to = if is_outlier { fitted + self.threshold.copysign(apart) } else { *value };
            outliers += u32::from(is_outlier);
        }
        outliers
    }

    /// Makes the components the best for some sums.
    ///
    /// # Errors
    /// If there are none.
    pub fn learn<const NONNEGATIVE: bool>(
        &mut self,
        sums: &mut Sums,
        shrinkage: f64,
    ) -> Result<(), Failure> {
        let (count, points) = (self.count(), self.points);
        if NONNEGATIVE {
            improve(&mut self.vectors, points, (&sums.squares, &sums.products), SWEEPS);
            self.normalize(sums);
            return Ok(());
        }
        let mut squares = DMatrix::from_row_slice(count, count, &sums.squares);
        (0..count).for_each(|at| squares[(at, at)] += shrinkage);
        // Point by point the sums of all components: a column of what is solved for.
        let products = DMatrix::from_column_slice(count, points, &sums.products);
        let solved = definite(squares, shrinkage)?.solve(&products);
        for (at, vector) in self.vectors.chunks_exact_mut(points).enumerate() {
            vector.iter_mut().zip(solved.row(at).iter()).for_each(|(to, from)| *to = *from);
        }
        Ok(())
    }

    /// Gives all components the norm 1, and the sums what these would have been with such.
    fn normalize(&mut self, sums: &mut Sums) {
        let count = self.count();
        for (at, vector) in self.vectors.chunks_exact_mut(self.points).enumerate() {
            let norm = norm(vector);
            if norm > 0.0 {
                vector.iter_mut().for_each(|value| *value /= norm);
                for other in 0..count {
                    sums.squares[at * count + other] *= norm;
                    sums.squares[other * count + at] *= norm;
                }
                sums.products.iter_mut().skip(at).step_by(count).for_each(|sum| *sum *= norm);
            }
        }
    }

    /// The same components in the order of what they explain by some sums: orthogonal ones, unless
    /// they may not be negative.
    ///
    /// One of which shrinkage leaves nothing is 0.
    ///
    /// # Errors
    /// If there are none.
    pub fn in_order<const NONNEGATIVE: bool>(
        &self,
        sums: &Sums,
        shrinkage: f64,
    ) -> Result<Self, Failure> {
        let (count, points) = (self.count(), self.points);
        if NONNEGATIVE {
            let mut order: Vec<usize> = (0..count).collect();
            let explained = |at: usize| sums.squares[at * (count + 1)];
            order.sort_by(|one, other| explained(*other).total_cmp(&explained(*one)));
            let vectors = order.iter().flat_map(|at| &self.vectors[at * points..][..points]);
            return Ok(Self { vectors: vectors.copied().collect(), ..self.clone() });
        }
        // R·L = (RT)·(T⁻¹L) with LLᵀ = TTᵀ, so that T⁻¹L is orthonormal, and of the squares of RT
        // the eigenvectors.
        let lower = definite(self.gram(), shrinkage)?.l();
        let squares = DMatrix::from_row_slice(count, count, &sums.squares);
        let turned = lower.transpose() * squares * &lower;
        let SymmetricEigen { eigenvectors, eigenvalues } = SymmetricEigen::new(turned);
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by(|one, other| eigenvalues[*other].total_cmp(&eigenvalues[*one]));
        let least = VANISHED * shrinkage;
        let left = order.iter().filter(|at| shrinkage == 0.0 || eigenvalues[**at].sqrt() > least);
        let left = left.count();
        if left == 0 {
            return Err(dependent(shrinkage));
        }
        let turn = DMatrix::from_fn(count, count, |row, column| eigenvectors[(row, order[column])]);
        let inverse = lower.solve_lower_triangular(&DMatrix::identity(count, count));
        let inverse = inverse.ok_or_else(|| dependent(shrinkage))?;
        // V = Wᵀ·T⁻¹·L.
        let mut mixed = turn.transpose() * &inverse;
        mixed.rows_mut(left, count - left).fill(0.0);
        let mut vectors = vec![0.0; count * points];
        for (at, into) in vectors.chunks_exact_mut(points).enumerate() {
            for (row, vector) in self.rows().enumerate() {
                add_scaled(into, mixed[(at, row)], vector);
            }
            let sign = sign(into);
            into.iter_mut().for_each(|value| *value *= sign);
        }
        let own = DMatrix::from_row_slice(count, count, &self.penalty);
        let mut penalty = &mixed * own * mixed.transpose();
        (left..count).for_each(|at| penalty[(at, at)] = shrinkage);
        let penalty = penalty.transpose().as_slice().to_vec();
        Ok(Self { vectors, penalty, ..self.clone() })
    }
}

impl Ready {
    /// The best loadings for the products of a spectrum with the components; how far they are from
    /// those before at most.
    fn solve(&self, products: &[f64], loadings: &mut [f64], room: &mut Room) -> f64 {
        let Room { found, memory } = room;
        found.clear();
        found.resize(loadings.len(), 0.0);
        match &self.solved {
            Solved::Least(gram) => gram.solve(products, found, memory),
            Solved::Inverse(inverse) => {
                for (at, found) in found.iter_mut().enumerate() {
                    let row = inverse.column(at);
                    *found = row.iter().zip(products).map(|(part, own)| part * own).sum();
                }
            }
        }
        let pairs = loadings.iter().zip(&*found);
        let moved = pairs.fold(0.0_f64, |most, (one, other)| most.max((one - other).abs()));
        loadings.copy_from_slice(found);
        moved
    }
}

/// The factor of a matrix that may be singular, of components with such a shrinkage.
fn definite(mut matrix: DMatrix<f64>, shrinkage: f64) -> Result<Cholesky<f64, Dyn>, Failure> {
    let count = matrix.nrows();
    let more = SINGULAR * matrix.trace() / count as f64;
    (0..count).for_each(|at| matrix[(at, at)] += more.max(f64::MIN_POSITIVE));
    Cholesky::new(matrix).ok_or_else(|| dependent(shrinkage))
}

/// Why components can't be told from each other.
fn dependent(shrinkage: f64) -> Failure {
    let told = match shrinkage {
        0.0 => return Failure::new("the components are not independent"),
        usual if usual < 1e6 => usual.to_string(),
        large => format!("{large:e}"),
    };
    Failure::new(format!(
        "a `shrinkage` of {told} leaves nothing of the data: take less than their singular values"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_that_shrinkage_leaves_nothing_of_is_zero() {
        let of = |shrinkage: f64, squares: [f64; 2]| {
            let basis = Basis::new(vec![1.0, 0.0, 0.0, 0.0, 2.0, 0.0], 3, shrinkage, 1.0);
            let mut sums = Sums::new(2, 3);
            (sums.squares[0], sums.squares[3]) = (squares[0], squares[1]);
            basis.in_order::<false>(&sums, shrinkage)
        };
        let near = |found: &[f64], wanted: &[f64]| {
            found.iter().zip(wanted).all(|(one, other)| (one - other).abs() < 1e-9)
        };
        for (shrinkage, small, second) in [(10.0, 1e-14, 0.0), (10.0, 1e-8, 1.0), (0.0, 1e-14, 1.0)]
        {
            let basis = of(shrinkage, [100.0, small]).unwrap();
            let about = format!("{shrinkage} {small}: {:?} {:?}", basis.vectors, basis.penalty);
            assert!(near(&basis.vectors, &[1.0, 0.0, 0.0, 0.0, second, 0.0]), "{about}");
            let own = if second == 0.0 { shrinkage } else { shrinkage / 4.0 };
            assert!(near(&basis.penalty, &[shrinkage, 0.0, 0.0, own]), "{about}");
            assert!(basis.ready::<false>(shrinkage).is_ok());
        }
        for (shrinkage, told) in [(10.0, "10"), (1e308, "1e308")] {
            let refused = of(shrinkage, [1e-14, 1e-14]).err().unwrap().to_string();
            let told = format!("a `shrinkage` of {told} leaves nothing of the data");
            assert!(refused.starts_with(&told), "{refused}");
        }
    }
}
