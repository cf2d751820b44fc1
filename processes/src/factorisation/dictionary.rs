//! Better components for given amounts: hierarchical alternating least squares.
//!
//! Of spectra X and their amounts U the sums A = UᵀU (components × components) and B = XᵀU (points
//! × components) are all that ‖X − UV‖² depends on. Components V ≥ 0 that make it smaller are found
//! one by one, each the best while the others stay as they are: vⱼ ← max(0, vⱼ + (bⱼ − Σₗ
//! aⱼₗvₗ)/aⱼⱼ), sweep after sweep (A. Cichocki and A.-H. Phan, IEICE Trans. Fundam. E92-A (2009)
//! 708). Points have nothing to do with each other, so each has its sweeps by itself. A component
//! of which nobody has any stays as it is.

/// What of the largest component of a point a sweep may still change for it to be the last.
const REST: f64 = 1e-12;

/// Makes components better, rows of so many points each, by the sums A and B.
pub fn improve(components: &mut [f64], points: usize, (a, b): (&[f64], &[f64]), sweeps: u32) {
    let count = components.len() / points;
    let mut own = vec![0.0; count];
    for (point, b) in b.chunks_exact(count).take(points).enumerate() {
        for (own, component) in own.iter_mut().zip(components.chunks_exact(points)) {
            *own = component[point];
        }
        for _ in 0..sweeps {
            if sweep(&mut own, a, b) {
                break;
            }
        }
        for (own, component) in own.iter().zip(components.chunks_exact_mut(points)) {
            component[point] = *own;
        }
    }
}

/// Goes over the components of a point once; whether nothing is left to do.
fn sweep(own: &mut [f64], a: &[f64], b: &[f64]) -> bool {
    let count = own.len();
    let mut moved = 0.0_f64;
    for (at, (row, b)) in a.chunks_exact(count).zip(b).enumerate() {
        if row[at] > 0.0 {
            let known: f64 = row.iter().zip(&*own).map(|(a, own)| a * own).sum();
            let next = (own[at] + (b - known) / row[at]).max(0.0);
            moved = moved.max((next - own[at]).abs());
            own[at] = next;
        }
    }
    moved <= REST * own.iter().fold(0.0, |most, own| own.max(most))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factorisation::nonnegative::{Gram, Memory};

    #[test]
    fn components_become_the_best_that_are_not_negative() {
        // Of three positions with amounts of two components.
        let u = [[1.0, 0.0], [1.0, 1.0], [0.5, 2.0]];
        let x = [[3.0, 0.0, 1.0, 0.0], [4.0, 1.0, 0.0, 2.0], [3.5, 2.5, 2.0, 0.5]];
        let a: Vec<f64> = (0..4).map(|at| u.iter().map(|u| u[at / 2] * u[at % 2]).sum()).collect();
        let each = |point: usize, of: usize| u.iter().zip(x).map(|(u, x)| u[of] * x[point]).sum();
        let b: Vec<f64> = (0..8).map(|at| each(at / 2, at % 2)).collect();
        let mut components = vec![1.0; 8];
        improve(&mut components, 4, (&a, &b), 1000);
        let gram = Gram::new(a);
        for point in 0..4 {
            let mut best = [0.0; 2];
            gram.solve(&b[2 * point..][..2], &mut best, &mut Memory::default());
            assert!((components[point] - best[0]).abs() < 1e-9, "{point}");
            assert!((components[4 + point] - best[1]).abs() < 1e-9, "{point}");
        }
    }

    #[test]
    fn each_sweep_makes_the_squares_smaller_and_leaves_alone_what_nobody_has() {
        let (a, b) = ([2.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 2.0], [3.0, 0.0, 1.0]);
        let squares = |v: &[f64]| {
            let of_a = (0..9).map(|at| a[at] * v[at / 3] * v[at % 3]).sum::<f64>();
            of_a - 2.0 * b.iter().zip(v).map(|(b, v)| b * v).sum::<f64>()
        };
        let mut components = vec![5.0, 7.0, 5.0];
        let mut before = squares(&components);
        for _ in 0..60 {
            improve(&mut components, 1, (&a, &b), 1);
            let now = squares(&components);
            assert!(now <= before && components[1] == 7.0);
            before = now;
        }
        assert_eq!(components, [1.5, 7.0, 0.0]);
    }
}
