//! A correlation between the points around its maximum.
//!
//! The sum Σ P(k, l)·e^(2πi(ky/N + lx/M)) has no frequency above half a period per point, so that
//! within a point of a place it is a polynomial of degree 15 in y and in x to 1e-11 of Σ|P|. It is
//! summed up at the Chebyshev nodes of that, and taken from there to all places of a fine grid.
//!
//! Half a period per point is as much upwards as downwards, so that it counts by its cosine: with
//! one of them alone, a frame upside down would have another shift.

use std::f64::consts::{PI, TAU};

use num_complex::Complex64;

use super::correlate::largest;
use crate::fourier::half;

/// Nodes on each axis.
const NODES: usize = 16;

/// Numbers at all nodes of an axis.
type AtNodes = [f64; NODES];

/// How a correlation is refined.
pub(super) struct Zoom {
    rows: usize,
    columns: usize,
    /// The places of the grid, from its middle.
    grid: Vec<f64>,
    /// For each frequency of a column, and of a row as far as there are columns, cosine and sine
    /// at the nodes.
    down: Vec<(AtNodes, AtNodes)>,
    right: Vec<(AtNodes, AtNodes)>,
    /// What each node counts for at each place of the grid: node after node.
    weights: Vec<Vec<f64>>,
}

/// Memory of a worker.
#[derive(Default)]
pub(super) struct Memory {
    turns: Vec<Complex64>,
    grid: Vec<f64>,
}

impl Zoom {
    pub fn new((rows, columns): (usize, usize), factor: u32) -> Self {
        let factor = f64::from(factor);
        let size = (1.5 * factor).ceil() as i64;
        let behind = size / 2;
        let grid: Vec<f64> =
            (behind + 1 - size..=behind).map(|step| step as f64 / factor).collect();
        let reach = grid.iter().fold(0.0f64, |most, place| most.max(place.abs()));
        let node = |index: usize| reach * libm::cos(PI * (index as f64 + 0.5) / NODES as f64);
        let nodes: AtNodes = std::array::from_fn(node);
        let at_nodes = |frequency: f64| {
            let turned = nodes.map(|node| libm::sincos(TAU * frequency * node));
            let goes_both_ways = frequency.abs() == 0.5;
            let sines = turned.map(|(sin, _)| if goes_both_ways { 0.0 } else { sin });
            (turned.map(|(_, cos)| cos), sines)
        };
        let signed = |index: usize| {
            if 2 * index < rows { index as f64 } else { index as f64 - rows as f64 }
        };
        let weight = |at: f64, index: usize| -> f64 {
            let others = (0..NODES).filter(|other| *other != index);
            others.map(|other| (at - nodes[other]) / (nodes[index] - nodes[other])).product()
        };
        let weights = |index| grid.iter().map(|at| weight(*at, index)).collect();
        Self {
            rows,
            columns,
            down: (0..rows).map(|index| at_nodes(signed(index) / rows as f64)).collect(),
            right: (0..half(columns))
                .map(|index| at_nodes(index as f64 / columns as f64))
                .collect(),
            weights: (0..NODES).map(weights).collect(),
            grid,
        }
    }

    /// Where the correlation with this transform, half of its columns, is largest around a place,
    /// and its height.
    pub fn largest(
        &self,
        columns: &[Complex64],
        place: [i64; 2],
        memory: &mut Memory,
    ) -> ([f64; 2], f64) {
        let at_nodes = self.at_nodes(columns, place, &mut memory.turns);
        let size = self.grid.len();
        memory.grid.clear();
        memory.grid.resize(size * size, 0.0);
        for (row, values) in memory.grid.chunks_exact_mut(size).enumerate() {
            for right in 0..NODES {
                let down = at_nodes.iter().zip(&self.weights);
                let height: f64 = down.map(|(values, weights)| values[right] * weights[row]).sum();
                add(values, &self.weights[right], height);
            }
        }
        let (at, height) = largest(&memory.grid);
        let (down, right) = (self.grid[at / size], self.grid[at % size]);
        ([place[0] as f64 + down, place[1] as f64 + right], height)
    }

    /// The correlation at the nodes, down and to the right.
    fn at_nodes(
        &self,
        columns: &[Complex64],
        place: [i64; 2],
        turns: &mut Vec<Complex64>,
    ) -> [AtNodes; NODES] {
        let turn = |index: usize, place: i64, length: usize| {
            let turned = (index as i64 * place).rem_euclid(length as i64);
            let (sin, cos) = libm::sincos(TAU * turned as f64 / length as f64);
            Complex64::new(cos, sin)
        };
        turns.clear();
        turns.extend((0..self.rows).map(|row| turn(row, place[0], self.rows)));
        let mut found = [[0.0; NODES]; NODES];
        for (index, column) in columns.chunks_exact(self.rows).enumerate() {
            let (re, im) = down(column, turns, &self.down);
            // All other columns are conjugate to one of these.
            let is_alone = index == 0 || 2 * index == self.columns;
            let turned = turn(index, place[1], self.columns);
            let turned = turned * if is_alone { 1.0 } else { 2.0 };
            let (cos, sin) = &self.right[index];
            for (found, (re, im)) in found.iter_mut().zip(re.iter().zip(&im)) {
                let value = Complex64::new(*re, *im) * turned;
                for (found, (cos, sin)) in found.iter_mut().zip(cos.iter().zip(sin)) {
                    *found += value.re * cos - value.im * sin;
                }
            }
        }
        found
    }
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn add(values: &mut [f64], weights: &[f64], height: f64) {
    values.iter_mut().zip(weights).for_each(|(value, weight)| *value += weight * height);
}

/// The sums of a column at the nodes.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn down(
    column: &[Complex64],
    turns: &[Complex64],
    at_nodes: &[(AtNodes, AtNodes)],
) -> (AtNodes, AtNodes) {
    let (mut re, mut im) = ([0.0; NODES], [0.0; NODES]);
    for ((value, turn), (cos, sin)) in column.iter().zip(turns).zip(at_nodes) {
        let value = value * turn;
        for node in 0..NODES {
            re[node] += value.re * cos[node] - value.im * sin[node];
            im[node] += value.re * sin[node] + value.im * cos[node];
        }
    }
    (re, im)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_maximum_is_that_of_the_sum_at_each_place_of_the_grid() {
        let (rows, columns) = (12, 9);
        let value = |at: usize| Complex64::cis((at * at % 37) as f64) * (at % 5) as f64;
        let columns_of: Vec<Complex64> = (0..rows * half(columns)).map(value).collect();
        for (factor, place) in [(2, [0, 0]), (3, [-4, 2]), (7, [6, -4]), (40, [1, 3])] {
            let zoom = Zoom::new((rows, columns), factor);
            let sum = |y: f64, x: f64| -> f64 {
                let term = |(at, value): (usize, &Complex64)| {
                    let (k, l) = ((at % rows) as f64, (at / rows) as f64);
                    let half_way = rows as f64 / 2.0;
                    let k = if k < half_way { k } else { k - rows as f64 };
                    let down = Complex64::cis(TAU * k * y / rows as f64);
                    let down = if k == -half_way { Complex64::from(down.re) } else { down };
                    let right = Complex64::cis(TAU * l * x / columns as f64);
                    let times = if at < rows { 1.0 } else { 2.0 };
                    times * (value * down * right).re
                };
                columns_of.iter().enumerate().map(term).sum()
            };
            let mut expected = (f64::NEG_INFINITY, [0.0; 2]);
            for down in &zoom.grid {
                for right in &zoom.grid {
                    let at = [place[0] as f64 + down, place[1] as f64 + right];
                    let height = sum(at[0], at[1]);
                    if height > expected.0 {
                        expected = (height, at);
                    }
                }
            }
            let (at, height) = zoom.largest(&columns_of, place, &mut Memory::default());
            assert_eq!(at, expected.1, "{factor}");
            assert!((height - expected.0).abs() < 1e-8, "{factor}: {height} {expected:?}");
        }
        let grid = |factor| Zoom::new((4, 4), factor).grid;
        assert_eq!(grid(2), [-0.5, 0.0, 0.5]);
        assert_eq!(grid(4), [-0.5, -0.25, 0.0, 0.25, 0.5, 0.75]);
    }
}
