//! The search for components, pass after pass: alternating least squares with a run-up.
//!
//! A pass tells for some components V the best amounts, and and by their sums A and
//! B better components W. The next pass tries what lies beyond these in the sense in which they
//! move: max(0, W + β(W − W′)) with the better ones W′ of before. If its error is larger, it was in
//! vain: the next pass takes W itself, whose error is no larger than that of V, and β is halved;
//! else β grows (A. M. S. Ang and N. Gillis, Neural Comput. 31 (2019) 417). That takes a third to a
//! tenth of the passes that W alone takes.

use crate::factorisation::dictionary;
use crate::products::dot;

/// β in the beginning, how much it grows, and at most.
const PACE: (f64, f64, f64) = (0.5, 1.1, 1.0);
/// Sweeps of a pass at most.
const SWEEPS: u32 = 100;
/// What rounding leaves of an error, as a part of the scan.
const NOTHING: f64 = 1e-7;

/// How far the search is.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// How many passes there were.
    pub passes: u32,
    /// The relative error of the last one that wasn't in vain; none yet if infinite.
    pub error: f64,
    pace: f64,
    /// Whether nothing lies beyond the components of this pass.
    is_plain: bool,
    /// Those of this pass, one behind the other.
    pub components: Vec<f64>,
    /// The better ones of before.
    before: Vec<f64>,
}

/// What a pass has summed up for the components that it had.
pub struct Sums<'s> {
    /// UᵀU, row by row.
    pub a: &'s [f64],
    /// XᵀU, point by point.
    pub b: &'s [f64],
    /// ‖X − UV‖ as a part of ‖X‖.
    pub error: f64,
}

impl Search {
    /// Begins with some components.
    pub fn new(components: Vec<f64>) -> Self {
        let before = components.clone();
        let (passes, error, pace, is_plain) = (0, f64::INFINITY, PACE.0, true);
        Self { passes, error, pace, is_plain, components, before }
    }

    /// Numbers that are handed from one pass to the next.
    pub fn carried(points: usize, components: usize) -> usize {
        4 + 2 * points * components
    }

    /// Appends itself to what is handed on.
    pub fn put(&self, all: &mut Vec<f64>) {
        all.extend([f64::from(self.passes), self.error, self.pace, f64::from(self.is_plain)]);
        all.extend(&self.components);
        all.extend(&self.before);
    }

    /// What was handed on, of so many numbers.
    pub fn taken(numbers: usize, all: &[f64]) -> Self {
        let (components, before) = all[4..][..2 * numbers].split_at(numbers);
        Self {
            passes: all[0] as u32,
            error: all[1],
            pace: all[2],
            is_plain: all[3] > 0.0,
            components: components.to_vec(),
            before: before.to_vec(),
        }
    }

    /// What the next pass looks at, and whether that is the end of the search.
    pub fn next(
        &self,
        points: usize,
        sums: &Sums<'_>,
        (tolerance, most): (f64, u32),
    ) -> (Self, bool) {
        let (error, passes) = (sums.error, self.passes + 1);
        if !self.is_plain && error > self.error {
            let (components, pace) = (self.before.clone(), self.pace / 2.0);
            let next = Self { passes, pace, is_plain: true, components, ..self.clone() };
            return (next, passes >= most);
        }
        let mut better = self.components.clone();
        dictionary::improve(&mut better, points, (sums.a, sums.b), SWEEPS);
        let is_near = self.error.is_finite() && self.error - error <= tolerance * self.error;
        if is_near || error <= NOTHING || passes >= most {
            return (Self { passes, error, components: better, ..self.clone() }, true);
        }
        let beyond = |(now, before): (&f64, &f64)| (now + self.pace * (now - before)).max(0.0);
        let components = better.iter().zip(&self.before).map(beyond).collect();
        let (_, growth, fastest) = PACE;
        let pace = (self.pace * growth).min(fastest);
        (Self { passes, error, pace, is_plain: false, components, before: better }, false)
    }

    /// Puts those components first that the scan has most of: ‖uⱼ‖·‖vⱼ‖ by the amounts of a pass.
    pub fn sort(&mut self, points: usize, a: &[f64]) {
        let count = self.components.len() / points;
        let rows = self.components.chunks_exact(points);
        let has = rows.enumerate().map(|(at, row)| (a[at * count + at] * dot(row, row), row));
        let mut rows: Vec<(f64, &[f64])> = has.collect();
        rows.sort_by(|(one, _), (other, _)| other.total_cmp(one));
        self.components = rows.into_iter().flat_map(|(_, row)| row).copied().collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Chance;
    use crate::factorisation::nonnegative::{Gram, Memory};

    const POINTS: usize = 12;

    /// Three components in amounts by chance, and noise.
    fn scan(noise: f64) -> Vec<f64> {
        let mut chance = Chance::new(5);
        let components: Vec<f64> = (0..3 * POINTS).map(|_| chance.part().powi(3)).collect();
        let mut scan = Vec::new();
        for _ in 0..80 {
            let amounts: Vec<f64> = (0..3).map(|_| chance.part().powi(2)).collect();
            scan.extend((0..POINTS).map(|point| {
                let parts = (0..3).map(|at| amounts[at] * components[at * POINTS + point]);
                parts.sum::<f64>() + noise * chance.part()
            }));
        }
        scan
    }

    /// What a pass sums up.
    fn sums(scan: &[f64], components: &[f64]) -> (Vec<f64>, Vec<f64>, f64) {
        let count = components.len() / POINTS;
        let gram = Gram::of(components, POINTS);
        let (mut a, mut b) = (vec![0.0; count * count], vec![0.0; POINTS * count]);
        let mut left = 0.0;
        for row in scan.chunks_exact(POINTS) {
            let products: Vec<f64> =
                components.chunks_exact(POINTS).map(|component| dot(component, row)).collect();
            let mut u = vec![0.0; count];
            gram.solve(&products, &mut u, &mut Memory::default());
            a.iter_mut().enumerate().for_each(|(at, a)| *a += u[at / count] * u[at % count]);
            b.iter_mut().enumerate().for_each(|(at, b)| *b += u[at % count] * row[at / count]);
            for (point, value) in row.iter().enumerate() {
                let made = (0..count).map(|at| u[at] * components[at * POINTS + point]);
                left += (value - made.sum::<f64>()).powi(2);
            }
        }
        (a, b, left)
    }

    /// All errors that a search comes by, until it ends.
    fn errors(scan: &[f64], mut search: Search, end: (f64, u32)) -> (Vec<f64>, Search) {
        let (energy, mut errors) = (dot(scan, scan), Vec::new());
        loop {
            let (a, b, left) = sums(scan, &search.components);
            let error = (left / energy).sqrt();
            let sums = Sums { a: &a, b: &b, error };
            errors.push(error);
            let (next, is_last) = search.next(POINTS, &sums, end);
            let mut handed = Vec::new();
            next.put(&mut handed);
            assert_eq!(Search::taken(3 * POINTS, &handed), next);
            search = next;
            if is_last {
                return (errors, search);
            }
        }
    }

    fn by_chance() -> Search {
        let mut chance = Chance::new(1);
        Search::new((0..3 * POINTS).map(|_| chance.part()).collect())
    }

    #[test]
    fn what_is_kept_never_becomes_worse() {
        for noise in [0.0, 0.05] {
            let (errors, end) = errors(&scan(noise), by_chance(), (1e-6, 200));
            let mut kept = f64::INFINITY;
            for (at, error) in errors.iter().enumerate() {
                let is_in_vain = *error > kept;
                // What comes after one in vain isn't.
                assert!(!is_in_vain || errors.get(at + 1).is_none_or(|next| *next <= kept));
                kept = kept.min(*error);
            }
            assert_eq!((end.error, end.passes as usize), (kept, errors.len()));
            assert!(kept < [1e-3, 0.1][usize::from(noise > 0.0)], "{kept}");
        }
    }

    #[test]
    fn the_run_up_saves_passes() {
        let scan = scan(0.0);
        let (fast, _) = errors(&scan, by_chance(), (0.0, 40));
        let plain = Search { pace: 0.0, ..by_chance() };
        let (slow, _) = errors(&scan, plain, (0.0, 120));
        assert!(fast.last() < slow.last(), "{:?} {:?}", fast.last(), slow.last());
    }

    #[test]
    fn the_greatest_contribution_comes_first() {
        let mut search = Search::new(vec![1.0, 0.0, 0.0, 2.0, 0.0, 1.0]);
        search.sort(2, &[4.0, 0.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 9.0]);
        assert_eq!(search.components, [0.0, 1.0, 1.0, 0.0, 0.0, 2.0]);
    }
}
