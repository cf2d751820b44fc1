//! What covariances of components are, and the sums that they are estimated from.
//!
//! With the probabilities r of the components k of all spectra x, and differences d = x − μ from
//! the means that these were made with, there are n = Σr, Σr·d and what of Σr·d·dᵀ is wanted. The
//! next mean is μ + δ with δ = Σr·d/n, and the covariance Σr·d·dᵀ/n − δ·δᵀ: nothing large is taken
//! from something large, wherever the data lie.
//!
//! If all share one, Σ over the components of Σr·d·dᵀ is Σe·eᵀ + Σ_{k<l} R·(μₖ − μₗ)·(μₖ − μₗ)ᵀ,
//! with e = x − Σr·μ and R = Σ rₖ·rₗ: one product for each spectrum instead of one for each
//! component.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mixture::{Numbers, apart};
use super::triangle;
use crate::choices::one_of;
use crate::products::{add, add_scaled, add_squares, dot};

/// What the spectra of a component vary by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Covariance {
    /// Each component has a covariance of its own for each pair of points.
    #[default]
    Full,
    /// All components have the same.
    Tied,
    /// Each component has a variance for each point.
    Diag,
    /// Each component has one variance.
    Spherical,
}

one_of!(Covariance: "full", "tied", "diag", "spherical");

impl Covariance {
    /// All there are.
    #[cfg(test)]
    pub const ALL: [Self; 4] = [Self::Full, Self::Tied, Self::Diag, Self::Spherical];

    /// Whether there are numbers for each pair of points.
    pub fn is_of_pairs(self) -> bool {
        matches!(self, Self::Full | Self::Tied)
    }
}

/// What a mixture consists of.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// What its covariances are.
    pub kind: Covariance,
    /// How many components there are.
    pub components: usize,
    /// How many values a spectrum has.
    pub points: usize,
}

impl Shape {
    /// Numbers of one covariance.
    pub fn of_each(self) -> usize {
        match self.kind {
            Covariance::Full | Covariance::Tied => triangle::len(self.points),
            Covariance::Diag => self.points,
            Covariance::Spherical => 1,
        }
    }

    /// Numbers of all covariances.
    pub fn covariances(self) -> usize {
        let matrices = if self.kind == Covariance::Tied { 1 } else { self.components };
        matrices * self.of_each()
    }

    /// Numbers of a mixture.
    pub fn numbers(self) -> usize {
        self.components * (1 + self.points) + self.covariances()
    }

    /// Numbers of what one is estimated from.
    pub fn sums(self) -> usize {
        let pairs =
            if self.kind == Covariance::Tied { self.components * self.components } else { 0 };
        self.numbers() + pairs
    }

    /// How many of the numbers of a mixture can be chosen freely.
    pub fn freedom(self) -> f64 {
        let (components, points) = (self.components as f64, self.points as f64);
        let of_pairs = points * (points + 1.0) / 2.0;
        let covariances = match self.kind {
            Covariance::Full => components * of_pairs,
            Covariance::Tied => of_pairs,
            Covariance::Diag => components * points,
            Covariance::Spherical => components,
        };
        components * points + components - 1.0 + covariances
    }

    /// The parts of sums: how much is of each component, differences, squares and pairs.
    fn parts(self, sums: &[f64]) -> [&[f64]; 4] {
        let (counts, rest) = sums.split_at(self.components);
        let (differences, rest) = rest.split_at(self.components * self.points);
        let (squares, pairs) = rest.split_at(self.covariances());
        [counts, differences, squares, pairs]
    }

    /// Adds to sums of differences from these means what some spectra have, given the probabilities
    /// of their components.
    pub fn add(
        self,
        (rows, responses): (&[&[f64]], &[f64]),
        means: &[f64],
        sums: &mut [f64],
        buffer: &mut Vec<f64>,
    ) {
        let Self { kind, components, points } = self;
        let (counts, rest) = sums.split_at_mut(components);
        let (differences, rest) = rest.split_at_mut(components * points);
        let (squares, pairs) = rest.split_at_mut(self.covariances());
        for (component, mean) in means.chunks_exact(points).enumerate() {
            let responses = responses.iter().skip(component).step_by(components);
            let (own, factors): (Vec<&[f64]>, Vec<f64>) =
                rows.iter().copied().zip(responses.copied()).filter(|(_, r)| *r > 0.0).unzip();
            counts[component] += factors.iter().sum::<f64>();
            let apart = differences_of(&own, std::iter::repeat(mean), buffer);
            let sum = &mut differences[component * points..][..points];
            apart.iter().zip(&factors).for_each(|(apart, factor)| add_scaled(sum, *factor, apart));
            match kind {
                Covariance::Full => {
                    let each = self.of_each();
                    let own = &mut squares[component * each..][..each];
                    triangle::add_squares(own, &apart, &factors);
                }
                Covariance::Tied => {}
                Covariance::Diag => {
                    let own = &mut squares[component * points..][..points];
                    let each = apart.iter().zip(&factors);
                    each.for_each(|(apart, factor)| add_squares(own, *factor, apart));
                }
                Covariance::Spherical => {
                    let each = apart.iter().zip(&factors);
                    let square = each.map(|(apart, factor)| factor * dot(apart, apart));
                    squares[component] += square.sum::<f64>();
                }
            }
        }
        if kind == Covariance::Tied {
            // All from the first mean, so that it doesn't count how large it is.
            let means: Vec<&[f64]> = means.chunks_exact(points).collect();
            let mut from_first = Vec::new();
            let from_first = differences_of(&means, std::iter::repeat(means[0]), &mut from_first);
            differences_of(rows, std::iter::repeat(means[0]), buffer);
            let each = buffer.chunks_exact_mut(points).zip(responses.chunks_exact(components));
            for (apart, responses) in each {
                for (mean, response) in from_first.iter().zip(responses).filter(|(_, r)| **r > 0.0)
                {
                    add_scaled(apart, -response, mean);
                }
                for (one, response) in responses.iter().enumerate() {
                    add_scaled(&mut pairs[one * components..][..one], *response, &responses[..one]);
                }
            }
            let apart: Vec<&[f64]> = buffer.chunks_exact(points).collect();
            triangle::add_squares(squares, &apart, &vec![1.0; rows.len()]);
        }
    }

    /// The variance of all spectra, that of a point in the mean, and the square of how far the
    /// means of components are from those that sums were made with.
    pub fn spread(self, sums: &[f64], means: &[f64]) -> (f64, f64) {
        let [counts, differences, squares, pairs] = self.parts(sums);
        let Self { kind, components, points } = self;
        let mean = |component: usize| &means[component * points..][..points];
        let mut apart_from: f64 = match kind {
            Covariance::Full => squares
                .chunks_exact(self.of_each())
                .map(|own| triangle::diagonal(own, points).sum::<f64>())
                .sum(),
            Covariance::Tied => triangle::diagonal(squares, points).sum(),
            Covariance::Diag | Covariance::Spherical => squares.iter().sum(),
        };
        for one in 0..if kind == Covariance::Tied { components } else { 0 } {
            for other in 0..one {
                apart_from += pairs[one * components + other] * apart(mean(one), mean(other));
            }
        }
        let all: f64 = counts.iter().sum();
        let (mut next, mut center) = (means.to_vec(), vec![0.0; points]);
        let (mut moved, mut within) = (0.0, apart_from);
        for (component, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0.0) {
            let own = component * points..(component + 1) * points;
            let sum = &differences[own.clone()];
            let square = dot(sum, sum) / (count * count);
            (moved, within) = (moved + square, within - count * square);
            add_scaled(&mut next[own.clone()], 1.0 / count, sum);
            add_scaled(&mut center, count / all, &next[own]);
        }
        let next = next.chunks_exact(points).zip(counts);
        let between: f64 = next.map(|(mean, count)| count * apart(mean, &center)).sum();
        ((within.max(0.0) + between) / all / points as f64, moved)
    }

    /// Covariances with the same variance for all points.
    pub fn isotropic(self, variance: f64) -> Vec<f64> {
        let mut all =
            vec![if self.kind.is_of_pairs() { 0.0 } else { variance }; self.covariances()];
        if self.kind.is_of_pairs() {
            for matrix in all.chunks_exact_mut(self.of_each()) {
                triangle::add_to_diagonal(matrix, self.points, variance);
            }
        }
        all
    }

    /// The mixture that sums say, of which the means have these numbers; a component that has
    /// nothing stays as it is. Variances are larger by `more`.
    pub fn estimate(self, sums: &[f64], before: &Numbers, more: f64) -> Numbers {
        let [counts, differences, squares, pairs] = self.parts(sums);
        let Self { kind, components, points } = self;
        let all: f64 = counts.iter().sum();
        let mut next = Numbers {
            weights: counts.iter().map(|count| count / all).collect(),
            means: before.means.clone(),
            covariances: before.covariances.clone(),
        };
        let mut moves = vec![0.0; components * points];
        for (component, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0.0) {
            let own = component * points..(component + 1) * points;
            let each = moves[own.clone()].iter_mut().zip(&differences[own.clone()]);
            each.for_each(|(moved, sum)| *moved = sum / count);
            add(&mut next.means[own.clone()], &moves[own.clone()]);
            let each = self.of_each();
            if kind != Covariance::Tied {
                let squares = &squares[component * each..][..each];
                let covariance = &mut next.covariances[component * each..][..each];
                let scaled = covariance.iter_mut().zip(squares);
                scaled.for_each(|(covariance, square)| *covariance = square / count);
                self.centre(covariance, &moves[own], more);
            }
        }
        if kind == Covariance::Tied {
            next.covariances = self.shared((counts, squares, pairs), &before.means, &moves);
            next.covariances.iter_mut().for_each(|square| *square /= all);
            triangle::add_to_diagonal(&mut next.covariances, points, more);
        }
        next
    }

    /// Σ (x − μ)·(x − μ)ᵀ of all spectra and components, from the means that these have next.
    fn shared(
        self,
        (counts, squares, pairs): (&[f64], &[f64], &[f64]),
        means: &[f64],
        moves: &[f64],
    ) -> Vec<f64> {
        let Self { components, points, .. } = self;
        let mut all = squares.to_vec();
        let mean = |component: usize| &means[component * points..][..points];
        let mut buffer = Vec::new();
        for one in 1..components {
            let others: Vec<&[f64]> = (0..one).map(mean).collect();
            let apart = differences_of(&others, std::iter::repeat(mean(one)), &mut buffer);
            triangle::add_squares(&mut all, &apart, &pairs[one * components..][..one]);
        }
        let moves: Vec<&[f64]> = moves.chunks_exact(points).collect();
        let taken: Vec<f64> = counts.iter().map(|count| -count).collect();
        triangle::add_squares(&mut all, &moves, &taken);
        all
    }

    /// Makes of the mean of d·dᵀ a covariance.
    fn centre(self, covariance: &mut [f64], moved: &[f64], more: f64) {
        match self.kind {
            Covariance::Full | Covariance::Tied => {
                triangle::add_squares(covariance, &[moved], &[-1.0]);
                triangle::add_to_diagonal(covariance, self.points, more);
            }
            Covariance::Diag => {
                for (variance, moved) in covariance.iter_mut().zip(moved) {
                    *variance = (*variance - moved * moved).max(0.0) + more;
                }
            }
            Covariance::Spherical => {
                let points = self.points as f64;
                covariance[0] = ((covariance[0] - dot(moved, moved)) / points).max(0.0) + more;
            }
        }
    }
}

/// The differences of some spectra from others, in `buffer`.
fn differences_of<'b, 'o>(
    rows: &[&[f64]],
    others: impl Iterator<Item = &'o [f64]>,
    buffer: &'b mut Vec<f64>,
) -> Vec<&'b [f64]> {
    buffer.clear();
    for (row, other) in rows.iter().zip(others) {
        buffer.extend(row.iter().zip(other).map(|(value, other)| value - other));
    }
    let points = rows.first().map_or(1, |row| row.len());
    buffer.chunks_exact(points).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPONENTS: usize = 3;
    const POINTS: usize = 9;
    const ROWS: usize = 29;

    /// Numbers that look like chance, in eighths, so that sums with large ones are exact.
    fn number(at: usize) -> f64 {
        (at * at * 31 % 101 + at * 7 % 13) as f64 / 8.0
    }

    fn rows(offset: f64) -> Vec<Vec<f64>> {
        let row = |row: usize| (0..POINTS).map(|at| number(row * POINTS + at) + offset).collect();
        (0..ROWS).map(row).collect()
    }

    /// Probabilities, some of them 0.
    fn responses() -> Vec<f64> {
        let each = (0..ROWS).flat_map(|row| {
            let parts: Vec<f64> = (0..COMPONENTS).map(|k| ((row * 5 + k * 3) % 7) as f64).collect();
            let sum: f64 = parts.iter().sum();
            parts.into_iter().map(move |part| part / sum).collect::<Vec<_>>()
        });
        each.collect()
    }

    fn before(shape: Shape, offset: f64) -> Numbers {
        let means = (0..COMPONENTS * POINTS).map(|at| number(at + 500) + offset).collect();
        let weights = vec![1.0 / COMPONENTS as f64; COMPONENTS];
        Numbers { weights, means, covariances: shape.isotropic(2.0) }
    }

    fn estimated(shape: Shape, offset: f64) -> (Numbers, (f64, f64)) {
        let (rows, before) = (rows(offset), before(shape, offset));
        let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
        let responses = responses();
        let (mut sums, mut buffer) = (vec![0.0; shape.sums()], Vec::new());
        // In two parts, as units come.
        for (rows, responses) in rows.chunks(17).zip(responses.chunks(17 * COMPONENTS)) {
            shape.add((rows, responses), &before.means, &mut sums, &mut buffer);
        }
        (shape.estimate(&sums, &before, 0.25), shape.spread(&sums, &before.means))
    }

    /// Weights, means, and the covariance of each pair of points of each component.
    fn expected() -> (Vec<f64>, Vec<Vec<f64>>, Vec<Vec<f64>>) {
        let (rows, responses) = (rows(0.0), responses());
        let of = |k: usize| responses.iter().skip(k).step_by(COMPONENTS);
        let (mut weights, mut means, mut covariances) = (Vec::new(), Vec::new(), Vec::new());
        for k in 0..COMPONENTS {
            let count: f64 = of(k).sum();
            let mean: Vec<f64> = (0..POINTS)
                .map(|at| rows.iter().zip(of(k)).map(|(x, r)| r * x[at]).sum::<f64>() / count)
                .collect();
            let covariance = (0..POINTS * POINTS).map(|at| {
                let (a, b) = (at / POINTS, at % POINTS);
                let each = rows.iter().zip(of(k));
                each.map(|(x, r)| r * (x[a] - mean[a]) * (x[b] - mean[b])).sum::<f64>() / count
            });
            covariances.push(covariance.collect());
            means.push(mean);
            weights.push(count / ROWS as f64);
        }
        (weights, means, covariances)
    }

    fn assert_near(found: f64, expected: f64, about: &str) {
        let most = 1e-10 * expected.abs().max(1.0);
        assert!((found - expected).abs() < most, "{about}: {found} {expected}");
    }

    #[test]
    fn estimates_are_those_of_the_formula_wherever_the_data_lie() {
        let (weights, means, covariances) = expected();
        for kind in Covariance::ALL {
            let shape = Shape { kind, components: COMPONENTS, points: POINTS };
            for offset in [0.0, f64::from(1 << 20)] {
                let about = format!("{kind:?} from {offset}");
                let (found, _) = estimated(shape, offset);
                assert_eq!(found.covariances.len(), shape.covariances());
                let of_means = found.means.chunks_exact(POINTS).zip(&means);
                for (found, expected) in of_means.flat_map(|(own, mean)| own.iter().zip(mean)) {
                    // A mean has as many digits as the data.
                    assert!((found - offset - expected).abs() < 1e-9, "{about}");
                }
                for (found, expected) in found.weights.iter().zip(&weights) {
                    assert_near(*found, *expected, &about);
                }
                for at in 0..POINTS * POINTS {
                    let (a, b) = (at / POINTS, at % POINTS);
                    let more = if a == b { 0.25 } else { 0.0 };
                    let each = covariances.iter().zip(&weights);
                    let pooled: f64 = each.map(|(own, weight)| weight * own[at]).sum();
                    for (k, own) in covariances.iter().enumerate() {
                        let matrices = |each: usize| &found.covariances[k * each..][..each];
                        let (found, expected) = match kind {
                            Covariance::Full => {
                                let found = matrices(triangle::len(POINTS));
                                (triangle::get(found, POINTS, a, b), own[at] + more)
                            }
                            Covariance::Tied => {
                                let found = triangle::get(&found.covariances, POINTS, a, b);
                                (found, pooled + more)
                            }
                            Covariance::Diag if a == b => (matrices(POINTS)[a], own[at] + more),
                            Covariance::Spherical if a == b => {
                                let diagonal = own.iter().step_by(POINTS + 1);
                                (matrices(1)[0], diagonal.sum::<f64>() / POINTS as f64 + more)
                            }
                            _ => continue,
                        };
                        assert_near(found, expected, &about);
                    }
                }
            }
        }
    }

    #[test]
    fn the_spread_of_all_spectra_is_their_variance() {
        let rows = rows(0.0);
        let mean = |at: usize| rows.iter().map(|row| row[at]).sum::<f64>() / ROWS as f64;
        let of_point = |at: usize| rows.iter().map(move |row| (row[at] - mean(at)).powi(2));
        let expected = (0..POINTS).flat_map(of_point).sum::<f64>() / (ROWS * POINTS) as f64;
        for kind in Covariance::ALL {
            let shape = Shape { kind, components: COMPONENTS, points: POINTS };
            for offset in [0.0, f64::from(1 << 20)] {
                let (found, (variance, moved)) = estimated(shape, offset);
                assert_near(variance, expected, &format!("{kind:?} from {offset}"));
                let square = apart(&found.means, &before(shape, offset).means);
                assert!((moved - square).abs() < 1e-6 * square, "{moved} {square}");
            }
        }
    }

    #[test]
    fn a_component_that_has_nothing_stays_as_it_is() {
        for kind in Covariance::ALL {
            let shape = Shape { kind, components: 2, points: 1 };
            let (mut sums, mut buffer) = (vec![0.0; shape.sums()], Vec::new());
            let means = vec![4.0, 100.0];
            let rows: [&[f64]; 2] = [&[3.0], &[6.0]];
            shape.add((&rows, &[1.0, 0.0, 1.0, 0.0]), &means, &mut sums, &mut buffer);
            let covariances = shape.isotropic(7.0);
            let before = Numbers { weights: vec![0.5; 2], means, covariances };
            let found = shape.estimate(&sums, &before, 0.0);
            assert_eq!((&found.weights, &found.means), (&vec![1.0, 0.0], &vec![4.5, 100.0]));
            let variances: Vec<f64> = match kind {
                Covariance::Full | Covariance::Tied => {
                    let each = found.covariances.chunks_exact(shape.of_each());
                    each.map(|own| triangle::get(own, 1, 0, 0)).collect()
                }
                _ => found.covariances.clone(),
            };
            let expected = if kind == Covariance::Tied { vec![2.25] } else { vec![2.25, 7.0] };
            assert_eq!(variances, expected, "{kind:?}");
        }
    }

    #[test]
    fn parameters_are_counted_as_textbooks_do() {
        let free = |kind| Shape { kind, components: 3, points: 4 }.freedom();
        let found = Covariance::ALL.map(free);
        assert_eq!(found, [14.0 + 30.0, 14.0 + 10.0, 14.0 + 12.0, 14.0 + 3.0]);
    }
}
