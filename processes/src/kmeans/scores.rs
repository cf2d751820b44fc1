//! Where centres begin: clusters among the scores of many spectra, their coordinates on a few
//! principal axes of a sample.
//!
//! What tells clusters apart lies along the axes on which spectra differ most (C. Ding and X. He,
//! ICML 2004, 29). Among scores Lloyd's algorithm takes a thousandth of the time that a pass over
//! the data takes, and the more so with bounds on distances (G. Hamerly, SDM 2010, 130). So it
//! comes to rest there, and goes on by Hartigan's method, whose ends are among those of Lloyd's,
//! and better ones (M. Telgarsky and A. Vattani, AISTATS 2010, 820). Only what the axes lack is
//! left for passes over the data.

use multiversion::multiversion;
use pixelmill_core::process::Failure;

use super::Parameters;
use super::centers::least;
use super::start::chosen;
use crate::chance::Chance;
use crate::principal::principal;
use crate::products::{add, add_scaled, apart};
use crate::weights::Weights;

/// Axes at least, unless spectra or the sample have no more, and at most.
const AXES: (usize, usize) = (24, 64);
/// Scores at most, and products of all of them with all centres.
const MOST: usize = 1 << 14;
const PRODUCTS: usize = 1 << 23;
/// Scores that each try begins with.
const FEW: usize = 4096;
/// Iterations until they are at rest, and until it can be seen which tries are the best, of which
/// so many go on.
const WITHIN: usize = 300;
const COMPARED: usize = 5;
const BEST: usize = 3;
/// Distances that are computed together, and sums that run side by side for each.
const LANES: usize = 8;
const CHAINS: usize = 4;
/// What a move has to gain at least, as a part of what the score adds: less may be rounding.
const ROUNDED: f64 = 1e-12;
/// Where scores end: what lies farther away pulls centres no more.
const FARTHEST: f64 = 1e12;

/// How many axes there are for so many clusters, of a sample of so many spectra of so many points,
/// and for how many spectra there are scores.
pub fn sizes(clusters: usize, sample: usize, points: usize) -> (usize, usize) {
    let axes = clusters.clamp(AXES.0, AXES.1).min(points).min(sample.saturating_sub(1));
    (axes, MOST.min(PRODUCTS / (axes.max(1) * clusters)))
}

/// A mean spectrum, and axes through it.
pub struct Axes {
    points: usize,
    /// The mean, and the directions of the axes, of the norm 1 or nothing.
    values: Vec<f64>,
    weights: Weights,
    /// The products of the directions with the mean.
    of_mean: Vec<f64>,
    /// What scores are in units of.
    unit: f64,
}

/// The mean of a sample, and so many axes along which it differs most; nothing where it doesn't.
pub fn axes_of(rows: &[&[f64]], axes: usize) -> Vec<f64> {
    let points = rows.first().map_or(1, |row| row.len());
    let mut values = vec![0.0; points];
    rows.iter().for_each(|row| add_scaled(&mut values, 1.0 / rows.len() as f64, row));
    let from_mean = |row: &&[f64]| row.iter().zip(&values).map(|(one, mean)| one - mean).collect();
    let differences: Vec<Vec<f64>> = rows.iter().map(from_mean).collect();
    let differences: Vec<&[f64]> = differences.iter().map(Vec::as_slice).collect();
    values.extend(principal(&differences, axes));
    values.resize((1 + axes) * points, 0.0);
    values
}

impl Axes {
    /// What [`axes_of`] made of a sample, for data with this mean variance of a point.
    ///
    /// # Errors
    /// If they are too many for any memory.
    pub fn new(values: Vec<f64>, points: usize, variance: f64) -> Result<Self, Failure> {
        let count = values.len() / points - 1;
        let unit = if variance > 0.0 { variance.sqrt() } else { 1.0 };
        let direction = |axis: usize| Ok(values[(1 + axis) * points..][..points].to_vec());
        let weights = Weights::of_some((count, points), direction)?;
        let mut of_mean = vec![0.0; count];
        weights.add_rows(&[&values[..points]], std::iter::once(0..points), &mut of_mean);
        Ok(Self { points, values, weights, of_mean, unit })
    }

    /// The scores of some spectra, one behind the other: how far they are from the mean along each
    /// axis, in units of the standard deviation of a point.
    pub fn scores(&self, rows: &[&[f64]]) -> Vec<f32> {
        let mut products = vec![0.0; rows.len() * self.of_mean.len()];
        self.weights.add_rows(rows, std::iter::once(0..self.points), &mut products);
        let each = products.iter().zip(self.of_mean.iter().cycle());
        let score = |(product, of_mean)| (product - of_mean) / self.unit;
        each.map(|of| score(of).clamp(-FARTHEST, FARTHEST) as f32).collect()
    }

    /// The spectra that have such scores, and nothing beside the axes.
    pub fn spectra(&self, scores: &[f64]) -> Vec<f64> {
        let directions = || self.values[self.points..].chunks_exact(self.points);
        let of = |scores: &[f64]| {
            let mut spectrum = self.values[..self.points].to_vec();
            for (direction, score) in directions().zip(scores) {
                add_scaled(&mut spectrum, score * self.unit, direction);
            }
            spectrum
        };
        scores.chunks_exact(self.of_mean.len()).flat_map(of).collect()
    }
}

/// The centres of clusters among the scores of spectra on so many axes, of which there are as many
/// at least: the best of several tries.
pub fn centers_among(scores: &[f32], axes: usize, parameters: &Parameters) -> Vec<f64> {
    let scores: &Vec<f64> = &scores.iter().map(|score| f64::from(*score)).collect();
    let step = (scores.len() / axes).div_ceil(FEW);
    let few: Vec<f64> = scores.chunks_exact(axes).step_by(step).flatten().copied().collect();
    let few = if few.len() < parameters.clusters * axes { scores } else { &few };
    let mut chance = Chance::new(parameters.seed);
    let tries = (0..parameters.restarts).map(|_| {
        let own = |one: usize| &few[one * axes..][..axes];
        let from = |one| few.chunks_exact(axes).map(|other| apart(own(one), other)).collect();
        let first = chosen(few.len() / axes, parameters.clusters, &mut chance, from);
        let first = first.into_iter().flat_map(own).copied().collect();
        let among_few = Lloyd::new(few, axes, first).at_rest(WITHIN);
        settled(scores, axes, (among_few, COMPARED))
    });
    let mut tries: Vec<(f64, Vec<f64>)> = tries.collect();
    tries.sort_by(|one, other| one.0.total_cmp(&other.0));
    tries.truncate(BEST);
    let ends = tries.into_iter().map(|(_, centers)| settled(scores, axes, (centers, WITHIN)));
    let best = ends.reduce(|best, other| if other.0 < best.0 { other } else { best });
    Lloyd::new(scores, axes, best.unwrap_or_default().1).improved()
}

/// Where centres are after so many iterations, and how good they are.
fn settled(scores: &[f64], axes: usize, (centers, most): (Vec<f64>, usize)) -> (f64, Vec<f64>) {
    let centers = Lloyd::new(scores, axes, centers).at_rest(most);
    (squares(scores, axes, &centers), centers)
}

/// The sum of the squares of how far all are from the nearest centre.
fn squares(scores: &[f64], axes: usize, centers: &[f64]) -> f64 {
    let (columns, mut found) = (columns(centers, axes), Vec::new());
    let nearest = scores.chunks_exact(axes).map(|own| {
        distances(own, &columns, &mut found);
        least(found.iter().copied()).1
    });
    nearest.sum()
}

/// The coordinates of centres on each axis, side by side for some of them; infinite where there
/// are no more centres.
fn columns(centers: &[f64], axes: usize) -> Vec<[f64; LANES]> {
    let groups = centers.chunks(LANES * axes);
    let of_group = |group: &[f64], axis: usize| {
        let mut column = [f64::INFINITY; LANES];
        let coordinates = group.iter().skip(axis).step_by(axes);
        column.iter_mut().zip(coordinates).for_each(|(to, from)| *to = *from);
        column
    };
    groups.flat_map(|group| (0..axes).map(move |axis| of_group(group, axis))).collect()
}

/// The squares of the distances to all centres, and infinity behind them.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn distances(own: &[f64], columns: &[[f64; LANES]], found: &mut Vec<f64>) {
    found.clear();
    let (some, rest) = own.as_chunks::<CHAINS>();
    for group in columns.chunks_exact(own.len()) {
        let (of_some, of_rest) = group.as_chunks::<CHAINS>();
        let mut chains = [[0.0; LANES]; CHAINS];
        for (some, of_some) in some.iter().zip(of_some) {
            for chain in 0..CHAINS {
                for lane in 0..LANES {
                    let apart = some[chain] - of_some[chain][lane];
                    chains[chain][lane] = apart.mul_add(apart, chains[chain][lane]);
                }
            }
        }
        let [mut sums, others @ ..] = chains;
        for (coordinate, column) in rest.iter().zip(of_rest) {
            for (sum, center) in sums.iter_mut().zip(column) {
                let apart = coordinate - center;
                *sum = apart.mul_add(apart, *sum);
            }
        }
        for chain in others {
            sums.iter_mut().zip(chain).for_each(|(sum, more)| *sum += more);
        }
        found.extend_from_slice(&sums);
    }
}

/// Lloyd's algorithm among scores.
struct Lloyd<'s> {
    scores: &'s [f64],
    axes: usize,
    centers: Vec<f64>,
    /// The sums of the scores of each cluster, and how many it has.
    sums: Vec<f64>,
    counts: Vec<u64>,
    /// Of each spectrum.
    bounds: Vec<Bounds>,
}

/// The cluster that one is in, how far it is from the centre of that at most, and from all others
/// at least.
#[derive(Clone, Copy)]
struct Bounds {
    label: usize,
    upper: f64,
    lower: f64,
}

impl<'s> Lloyd<'s> {
    fn new(scores: &'s [f64], axes: usize, centers: Vec<f64>) -> Self {
        let (sums, counts) = (vec![0.0; centers.len()], vec![0; centers.len() / axes]);
        let mut lloyd = Self { scores, axes, centers, sums, counts, bounds: Vec::new() };
        let (columns, mut found) = (columns(&lloyd.centers, axes), Vec::new());
        for own in scores.chunks_exact(axes) {
            distances(own, &columns, &mut found);
            let bounds = Bounds::of(&found);
            add(&mut lloyd.sums[bounds.label * axes..][..axes], own);
            lloyd.counts[bounds.label] += 1;
            lloyd.bounds.push(bounds);
        }
        lloyd
    }

    /// The centres when nothing changes any more, or after so many iterations.
    fn at_rest(mut self, most: usize) -> Vec<f64> {
        for _ in 0..most {
            self.move_centers();
            if !self.assign() {
                break;
            }
        }
        self.centers
    }

    /// Makes centres the means of their clusters.
    fn move_centers(&mut self) {
        let mut moved = vec![0.0_f64; self.counts.len()];
        let each = self.centers.chunks_exact_mut(self.axes).zip(self.sums.chunks_exact(self.axes));
        for (((center, sum), count), moved) in each.zip(&self.counts).zip(&mut moved) {
            if *count == 0 {
                continue;
            }
            let mean: Vec<f64> = sum.iter().map(|sum| sum / *count as f64).collect();
            *moved = apart(center, &mean).sqrt();
            center.copy_from_slice(&mean);
        }
        let farthest = moved.iter().copied().fold(0.0, f64::max);
        for bounds in &mut self.bounds {
            bounds.upper += moved[bounds.label];
            bounds.lower -= farthest;
        }
    }

    /// Puts each into the cluster of the nearest centre; tells whether anything has changed.
    fn assign(&mut self) -> bool {
        let (axes, columns) = (self.axes, columns(&self.centers, self.axes));
        let (mut has_changed, mut found) = (false, Vec::new());
        let between = self.half_distances(&columns);
        for (at, own) in self.scores.chunks_exact(axes).enumerate() {
            let Bounds { label, upper, lower } = self.bounds[at];
            if upper <= lower.max(between[label]) {
                continue;
            }
            distances(own, &columns, &mut found);
            let found = Bounds::of(&found);
            self.bounds[at] = Bounds { label, ..found };
            if found.label != label {
                has_changed = true;
                self.change((at, own), found.label);
            }
        }
        has_changed
    }

    /// The centres when no score can be in another cluster, whose means are then others, so that
    /// the sum of all squares is smaller (J. A. Hartigan, Clustering Algorithms, 1975).
    fn improved(mut self) -> Vec<f64> {
        self.move_centers();
        let (axes, mut found) = (self.axes, Vec::new());
        for _ in 0..WITHIN {
            let mut has_changed = false;
            let mut by_axis = columns(&self.centers, axes);
            for (at, own) in self.scores.chunks_exact(axes).enumerate() {
                let label = self.bounds[at].label;
                distances(own, &by_axis, &mut found);
                let Some(better) = self.better(label, &found) else { continue };
                self.change((at, own), better);
                for cluster in [label, better] {
                    let count = self.counts[cluster] as f64;
                    let own = cluster * axes..(cluster + 1) * axes;
                    let means = self.sums[own.clone()].iter().map(|sum| sum / count);
                    self.centers[own].iter_mut().zip(means).for_each(|(to, from)| *to = from);
                }
                by_axis = columns(&self.centers, axes);
                has_changed = true;
            }
            if !has_changed {
                break;
            }
        }
        self.centers
    }

    /// The cluster in which a score adds less than it does in its own, by its distances.
    fn better(&self, label: usize, distances: &[f64]) -> Option<usize> {
        let count = |cluster: usize| self.counts[cluster] as f64;
        // Of a cluster that has no other nothing would be left.
        let left = (self.counts[label] > 1).then(|| count(label) - 1.0)?;
        let least_gain = (1.0 - ROUNDED) * distances[label] * count(label) / left;
        let others = (0..self.counts.len()).filter(|cluster| *cluster != label);
        let each = others.map(|to| (to, distances[to] * count(to) / (count(to) + 1.0)));
        let best = each.min_by(|one, other| one.1.total_cmp(&other.1))?;
        (best.1 < least_gain).then_some(best.0)
    }

    /// Puts a score into another cluster.
    fn change(&mut self, (at, own): (usize, &[f64]), to: usize) {
        let from = std::mem::replace(&mut self.bounds[at].label, to);
        add_scaled(&mut self.sums[from * self.axes..][..self.axes], -1.0, own);
        add(&mut self.sums[to * self.axes..][..self.axes], own);
        self.counts[from] -= 1;
        self.counts[to] += 1;
    }

    /// Half of the distance of each centre to the nearest other one.
    fn half_distances(&self, columns: &[[f64; LANES]]) -> Vec<f64> {
        let (centers, mut found) = (self.centers.chunks_exact(self.axes), Vec::new());
        let halves = centers.enumerate().map(|(number, center)| {
            distances(center, columns, &mut found);
            found[number] = f64::INFINITY;
            least(found.iter().copied()).1.sqrt() / 2.0
        });
        halves.collect()
    }
}

impl Bounds {
    /// By the squares of the distances to all centres.
    fn of(distances: &[f64]) -> Self {
        let (mut label, mut near, mut second) = (0, f64::INFINITY, f64::INFINITY);
        for (number, distance) in distances.iter().enumerate() {
            second = second.min(distance.max(near));
            if *distance < near {
                (label, near) = (number, *distance);
            }
        }
        Self { label, upper: near.sqrt(), lower: second.sqrt() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spectra of so many points in four clusters with some noise beside the two axes that these
    /// differ on, and the cluster of each.
    fn spectra(points: usize, count: usize) -> (Vec<Vec<f64>>, Vec<usize>) {
        let mut chance = Chance::new(3);
        let mut noise = move || (0..12).map(|_| chance.part()).sum::<f64>() - 6.0;
        let labels: Vec<usize> = (0..count).map(|at| at % 4).collect();
        let spectrum = |label: &usize| {
            let of = |point: usize| match point % 2 {
                0 => [0.0, 9.0, 0.0, 9.0][*label],
                _ => [0.0, 0.0, 9.0, 9.0][*label],
            };
            (0..points).map(|point| 1e3 + of(point) + noise()).collect()
        };
        (labels.iter().map(spectrum).collect(), labels)
    }

    /// The mean of each cluster, by the labels that are known.
    fn means(rows: &[Vec<f64>], labels: &[usize]) -> Vec<Vec<f64>> {
        let of = |cluster: usize| {
            let own = rows.iter().zip(labels).filter(|(_, label)| **label == cluster);
            let own: Vec<&Vec<f64>> = own.map(|(row, _)| row).collect();
            let sum = |point: usize| own.iter().map(|row| row[point]).sum::<f64>();
            (0..rows[0].len()).map(|point| sum(point) / own.len() as f64).collect()
        };
        (0..4).map(of).collect()
    }

    #[test]
    fn centres_begin_near_the_means_of_clusters() {
        let (rows, labels) = spectra(60, 9000);
        let slices: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
        let axes = Axes::new(axes_of(&slices[..40], 6), 60, 20.0).unwrap();
        let parameters = Parameters { clusters: 4, ..Parameters::default() };
        let found = axes.spectra(&centers_among(&axes.scores(&slices), 6, &parameters));
        for mean in means(&rows, &labels) {
            let near = found.chunks_exact(60).map(|center| apart(center, &mean));
            let (_, near) = least(near);
            // Beside the axes a mean has a sixtieth of the sample's noise.
            assert!(near < 6.0, "{near}");
        }
    }

    #[test]
    fn bounds_change_nothing() {
        let (rows, _) = spectra(3, 3000);
        let scores: Vec<f64> = rows.concat();
        let first = scores[..9 * 3].to_vec();
        let found = Lloyd::new(&scores, 3, first.clone()).at_rest(WITHIN);
        let mut plain = first;
        for _ in 0..WITHIN {
            let (mut sums, mut counts) = (vec![0.0; 27], [0.0; 9]);
            for row in &rows {
                let (label, _) = least(plain.chunks_exact(3).map(|center| apart(center, row)));
                add(&mut sums[label * 3..][..3], row);
                counts[label] += 1.0;
            }
            let means = sums.iter().enumerate().map(|(at, sum)| sum / counts[at / 3]);
            plain = means.collect();
        }
        let pairs = || found.iter().zip(&plain);
        assert!(pairs().all(|(one, other)| (one - other).abs() < 1e-9), "{found:?} {plain:?}");
    }

    #[test]
    fn no_move_of_one_score_makes_the_sum_smaller() {
        let mut chance = Chance::new(5);
        let scores: Vec<f64> = (0..400).map(|_| chance.part()).collect();
        let at_rest = Lloyd::new(&scores, 2, scores[..14].to_vec()).at_rest(WITHIN);
        let improved = Lloyd::new(&scores, 2, at_rest.clone()).improved();
        let before = squares(&scores, 2, &at_rest);
        assert!(squares(&scores, 2, &improved) < before, "there is something to gain");
        let nearest = |own: &[f64]| least(improved.chunks_exact(2).map(|to| apart(own, to))).0;
        let labels: Vec<usize> = scores.chunks_exact(2).map(nearest).collect();
        let sum = |labels: &[usize]| -> f64 {
            let of = |cluster: usize| {
                let own = scores.chunks_exact(2).zip(labels).filter(|(_, own)| **own == cluster);
                let own: Vec<&[f64]> = own.map(|(score, _)| score).collect();
                let mean = |axis: usize| own.iter().map(|score| score[axis]).sum::<f64>();
                let mean = [0, 1].map(|axis| mean(axis) / own.len() as f64);
                own.iter().map(|score| apart(score, &mean)).sum::<f64>()
            };
            (0..7).map(of).sum()
        };
        let least = sum(&labels);
        for at in 0..200 {
            for to in 0..7 {
                let mut other = labels.clone();
                other[at] = to;
                assert!(sum(&other) >= least * (1.0 - 1e-12), "{at} to {to}");
            }
        }
    }

    #[test]
    fn spectra_that_are_all_the_same_have_equal_centres() {
        let rows = [[7.0, 1.0, 2.0].as_slice(); 5];
        let axes = Axes::new(axes_of(&rows, 2), 3, 0.0).unwrap();
        let parameters = Parameters { clusters: 3, ..Parameters::default() };
        let found = axes.spectra(&centers_among(&axes.scores(&rows), 2, &parameters));
        assert_eq!(found, rows[..3].concat());
    }

    #[test]
    fn many_clusters_have_no_scores_to_begin_with() {
        assert_eq!(sizes(8, 128, 2048), (24, 1 << 14));
        assert_eq!(sizes(8, 128, 5), (5, 1 << 14));
        let (axes, scored) = sizes(10_000, 80_000, 2048);
        assert!(axes == 64 && scored < 10_000);
    }
}
