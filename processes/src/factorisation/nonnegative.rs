//! Least squares with amounts that aren't negative, by their normal equations.
//!
//! Of a spectrum x and components V (components × points) the amounts u ≥ 0 are wanted for which
//! ‖x − uV‖² is smallest. They depend on G = VVᵀ and c = Vx alone, and are those with u ≥ 0, Gu − c
//! ≥ 0 and one of both 0 for each component. They are found exactly by block principal pivoting
//! (J. Kim and H. Park, `SIAM J. Sci. Comput.` 33 (2011) 3261): some components are free, the
//! others 0; the equations of the free ones are solved; whatever then has the wrong sign changes
//! sides, all at once as long as these become fewer, else the last of them alone, so that it ends.
//!
//! A component that is nothing, or a sum of others, has 0.

use crate::products::dot;

/// What of a diagonal has to be left for a component to be no sum of others.
const NEW: f64 = 1e-13;
/// What rounding leaves of a gradient, as a part of what it is the difference of.
const ROUNDED: f64 = 1e-13;
/// How often all change sides though these haven't become fewer.
const CHANCES: u32 = 3;

/// The products of components with each other.
pub struct Gram {
    count: usize,
    values: Vec<f64>,
    /// That of all components, which most spectra begin and many end with.
    whole: Factor,
}

/// Some of the components, and G = LLᵀ of these.
#[derive(Clone, Default)]
struct Factor {
    /// Which they are.
    free: Vec<usize>,
    /// L, row by row; the row of a sum of others is 0.
    lower: Vec<f64>,
}

/// Memory for a solution.
#[derive(Default)]
pub struct Memory {
    is_free: Vec<bool>,
    factor: Factor,
    wrong: Vec<usize>,
}

impl Gram {
    /// Of components, rows of so many points each.
    pub fn of(components: &[f64], points: usize) -> Self {
        let rows = || components.chunks_exact(points);
        Self::new(rows().flat_map(|one| rows().map(|other| dot(one, other))).collect())
    }

    /// Of a symmetric matrix, row by row.
    pub fn new(values: Vec<f64>) -> Self {
        let count = values.len().isqrt();
        let mut whole = Factor::default();
        whole.free.extend(0..count);
        whole.make(count, &values);
        Self { count, values, whole }
    }

    /// How many components there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The matrix, row by row.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The amounts of each component, of the products of a spectrum with all of them.
    pub fn solve(&self, products: &[f64], amounts: &mut [f64], memory: &mut Memory) {
        let Memory { is_free, factor, wrong } = memory;
        is_free.clear();
        is_free.resize(self.count, true);
        let (mut fewest, mut chances) = (self.count + 1, CHANCES);
        // It ends long before, but for rounding.
        for step in 0..50 + 10 * self.count {
            let of_free = if step == 0 {
                &self.whole
            } else {
                factor.free.clear();
                factor.free.extend((0..self.count).filter(|at| is_free[*at]));
                factor.make(self.count, &self.values);
                &*factor
            };
            amounts.fill(0.0);
            of_free.solve(products, amounts);
            wrong.clear();
            wrong.extend((0..self.count).filter(|at| match is_free[*at] {
                true => amounts[*at] < 0.0,
                false => self.is_falling(*at, products, amounts),
            }));
            let Some(last) = wrong.last().copied() else { return };
            if wrong.len() < fewest {
                (fewest, chances) = (wrong.len(), CHANCES);
            } else if chances > 0 {
                chances -= 1;
            } else {
                wrong.clear();
                wrong.push(last);
            }
            wrong.iter().for_each(|at| is_free[*at] = !is_free[*at]);
        }
        amounts.iter_mut().for_each(|amount| *amount = amount.max(0.0));
    }

    /// Whether more of a component would make the squares smaller.
    fn is_falling(&self, at: usize, products: &[f64], amounts: &[f64]) -> bool {
        let row = &self.values[at * self.count..][..self.count];
        let parts = row.iter().zip(amounts).map(|(value, amount)| value * amount);
        let (sum, size) =
            parts.fold((0.0, 0.0), |(sum, size), part| (sum + part, size + part.abs()));
        sum - products[at] < -ROUNDED * (size + products[at].abs())
    }
}

impl Factor {
    fn make(&mut self, count: usize, values: &[f64]) {
        let Self { free, lower } = self;
        let size = free.len();
        lower.clear();
        lower.resize(size * size, 0.0);
        for row in 0..size {
            let (before, own) = lower.split_at_mut(row * size);
            let own = &mut own[..size];
            let of_row = &values[free[row] * count..][..count];
            for column in 0..row {
                let other = &before[column * size..][..size];
                if other[column] > 0.0 {
                    let known = product(&own[..column], &other[..column]);
                    own[column] = (of_row[free[column]] - known) / other[column];
                }
            }
            let diagonal = of_row[free[row]];
            let left = diagonal - product(&own[..row], &own[..row]);
            if left > NEW * diagonal && left > f64::MIN_POSITIVE {
                own[row] = left.sqrt();
            } else {
                own.fill(0.0);
            }
        }
    }

    /// Solves the equations of the free components; the amounts of all others are left alone.
    fn solve(&self, products: &[f64], amounts: &mut [f64]) {
        let Self { free, lower } = self;
        let size = free.len();
        for row in 0..size {
            let own = &lower[row * size..][..=row];
            let known: f64 = own[..row].iter().zip(free).map(|(l, at)| l * amounts[*at]).sum();
            let left = products[free[row]] - known;
            amounts[free[row]] = if own[row] > 0.0 { left / own[row] } else { 0.0 };
        }
        for row in (0..size).rev() {
            let below = row + 1..size;
            let known: f64 = below.map(|at| lower[at * size + row] * amounts[free[at]]).sum();
            let diagonal = lower[row * size + row];
            let amount = &mut amounts[free[row]];
            *amount = if diagonal > 0.0 { (*amount - known) / diagonal } else { 0.0 };
        }
    }
}

fn product(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Chance;

    fn gram(vectors: &[Vec<f64>]) -> Gram {
        Gram::of(&vectors.concat(), vectors[0].len())
    }

    fn solved(gram: &Gram, products: &[f64]) -> Vec<f64> {
        let mut amounts = vec![0.0; products.len()];
        gram.solve(products, &mut amounts, &mut Memory::default());
        amounts
    }

    fn squares(spectrum: &[f64], vectors: &[Vec<f64>], amounts: &[f64]) -> f64 {
        let left = spectrum.iter().enumerate().map(|(point, value)| {
            let parts = vectors.iter().zip(amounts).map(|(vector, amount)| amount * vector[point]);
            value - parts.sum::<f64>()
        });
        left.map(|left| left * left).sum()
    }

    /// The best of all sets of free components, each solved by elimination.
    fn best_of_all(spectrum: &[f64], vectors: &[Vec<f64>]) -> f64 {
        let count = vectors.len();
        let sets = (1..1_usize << count).filter_map(|set| {
            let free: Vec<usize> = (0..count).filter(|at| set >> at & 1 == 1).collect();
            let a = nalgebra::DMatrix::from_fn(free.len(), free.len(), |row, column| {
                dot(&vectors[free[row]], &vectors[free[column]])
            });
            let b =
                nalgebra::DVector::from_fn(free.len(), |row, _| dot(&vectors[free[row]], spectrum));
            let solution = a.lu().solve(&b)?;
            let mut amounts = vec![0.0; count];
            free.iter().zip(&solution).for_each(|(at, amount)| amounts[*at] = *amount);
            let is_allowed = amounts.iter().all(|amount| *amount >= 0.0);
            is_allowed.then(|| squares(spectrum, vectors, &amounts))
        });
        sets.fold(dot(spectrum, spectrum), f64::min)
    }

    #[test]
    fn amounts_are_the_best_of_all_that_are_allowed() {
        let mut chance = Chance::new(11);
        for round in 0..300 {
            let count = 1 + round % 7;
            let mut vector = |lift: f64| (0..9).map(|_| chance.part() - lift).collect::<Vec<_>>();
            // Alike or not, so that many amounts are 0 or few.
            let lift = [0.0, 0.3, 0.5][round % 3];
            let vectors: Vec<Vec<f64>> = (0..count).map(|_| vector(lift)).collect();
            let spectrum = vector([0.0, 0.5, 0.9][round / 3 % 3]);
            let products: Vec<f64> = vectors.iter().map(|v| dot(v, &spectrum)).collect();
            let amounts = solved(&gram(&vectors), &products);
            assert!(amounts.iter().all(|amount| *amount >= 0.0));
            let (found, best) =
                (squares(&spectrum, &vectors, &amounts), best_of_all(&spectrum, &vectors));
            assert!(found <= best * (1.0 + 1e-10) + 1e-14, "{round}: {found} {best}");
        }
    }

    #[test]
    fn by_hand() {
        // x = (1, 0) lies outside of what (1, 1) and (0, 1) make: half of the first is nearest.
        let gram = gram(&[vec![1.0, 1.0], vec![0.0, 1.0]]);
        // x = (1, 3) is one and two of them.
        for (products, expected) in [
            ([1.0, 0.0], [0.5, 0.0]),
            ([4.0, 3.0], [1.0, 2.0]),
            ([0.0, 0.0], [0.0, 0.0]),
            ([-1.0, -1.0], [0.0, 0.0]),
        ] {
            let found = solved(&gram, &products);
            let is_near = |(found, expected): (&f64, f64)| (found - expected).abs() < 1e-14;
            assert!(found.iter().zip(expected).all(is_near), "{products:?}: {found:?}");
        }
    }

    #[test]
    fn nothing_and_sums_of_others_have_no_amount() {
        let (a, b) = (vec![1.0, 2.0, 0.0], vec![0.0, 1.0, 1.0]);
        let sum: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a + b).collect();
        let vectors = [a, vec![0.0; 3], b, sum];
        let spectrum = [2.0, 7.0, 3.0];
        let products: Vec<f64> = vectors.iter().map(|v| dot(v, &spectrum)).collect();
        let amounts = solved(&gram(&vectors), &products);
        assert_eq!((amounts[1], amounts[3]), (0.0, 0.0));
        assert!((amounts[0] - 2.0).abs() < 1e-12 && (amounts[2] - 3.0).abs() < 1e-12);
    }
}
