//! Lloyd's algorithm among scores, and what finds better clusters than those that it ends with.
//!
//! With bounds on distances most of these needn't be computed (G. Hamerly, SDM 2010, 130). From
//! where it ends one may go on by Hartigan's method, whose ends are among those of Lloyd's, and
//! better ones (M. Telgarsky and A. Vattani, AISTATS 2010, 820).

use multiversion::multiversion;

use super::centers::least;
use super::start::drawn_from;
use crate::chance::Chance;
use crate::products::{add, add_scaled, apart};

/// Iterations until everything is at rest, at most.
const WITHIN: usize = 300;
/// Iterations in which an exchange has to turn out to be better, and how much of what the last of
/// them has gained all others may gain together.
const SEEN: usize = 10;
const GAINS: f64 = 2.0;
/// What an exchange has to gain, as a part of all, to be a reason to look longer; and how often
/// exchanges are tried at most, for each that may be in vain.
const WORTH: f64 = 1e-5;
const ALL: u32 = 4;
/// Distances that are computed together, and sums that run side by side for each.
const LANES: usize = 8;
const CHAINS: usize = 4;
/// What a move has to gain at least, as a part of what the score adds: less may be rounding.
const ROUNDED: f64 = 1e-12;

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

/// Clusters among scores.
#[derive(Clone)]
pub struct Lloyd<'s> {
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
    /// Each score in the cluster of the nearest of these centres.
    pub fn new(scores: &'s [f64], axes: usize, centers: Vec<f64>) -> Self {
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

    /// Goes on until nothing changes any more.
    pub fn at_rest(mut self) -> Self {
        for _ in 0..WITHIN {
            self.move_centers();
            if !self.assign() {
                break;
            }
        }
        self
    }

    /// The sum of the squares of how far all are from the centres of their clusters.
    pub fn squares(&self) -> f64 {
        let own = |bounds: &Bounds| &self.centers[bounds.label * self.axes..][..self.axes];
        let scores = self.scores.chunks_exact(self.axes);
        scores.zip(&self.bounds).map(|(score, bounds)| apart(score, own(bounds))).sum()
    }

    /// The centres.
    pub fn into_centers(self) -> Vec<f64> {
        self.centers
    }

    /// Looks for better clusters by exchanges of a centre for a score that lies far from all, until
    /// that was in vain so often (T. Conrads and others, SEA 2024, LIPIcs 301, 7).
    pub fn with_exchanges(self, chance: &mut Chance, in_vain: u32) -> Self {
        let (scores, axes) = (self.scores, self.axes);
        let mut best = Self::new(scores, axes, self.centers);
        let mut squares = best.squares();
        let (mut left, mut all) = (in_vain, ALL * in_vain);
        while left > 0 && all > 0 && squares > 0.0 {
            let tried = |part: f64| {
                let (other, found) = best.exchanged(part);
                let (other, found) = other.seen(found, squares);
                (found < squares).then_some((found, other.centers))
            };
            // If the first is better, the next one begins there: only threads that have no other
            // work look already at where it leads from here.
            let (part, mut ahead) = (chance.part(), chance.clone());
            let (mut found, other) = match rayon::current_num_threads() {
                1 => (tried(part), None),
                _ => rayon::join(|| tried(part), || Some(tried(ahead.part()))),
            };
            (left, all) = (left - 1, all - 1);
            if let (None, Some(other)) = (&found, other)
                && left > 0
                && all > 0
            {
                (left, all) = (left - 1, all - 1);
                (found, *chance) = (other, ahead);
            }
            let Some((found, centers)) = found else { continue };
            if found < squares * (1.0 - WORTH) {
                left = in_vain;
            }
            (squares, best) = (found, Self::new(scores, axes, centers));
        }
        best.at_rest()
    }

    /// The same with a score as a centre that is drawn by a number from 0 to below 1, instead of
    /// that which is missed least; and the sum of the squares then. Bounds have to be the
    /// distances themselves.
    fn exchanged(&self, part: f64) -> (Self, f64) {
        let axes = self.axes;
        let near: Vec<f64> = self.bounds.iter().map(|bounds| bounds.upper.powi(2)).collect();
        let one = drawn_from(&near, part * near.iter().sum::<f64>());
        let center = &self.scores[one * axes..][..axes];
        let far: Vec<f64> = self.scores.chunks_exact(axes).map(|own| apart(own, center)).collect();
        let mut squares = 0.0;
        let mut missed = vec![0.0; self.counts.len()];
        for ((bounds, near), far) in self.bounds.iter().zip(&near).zip(&far) {
            squares += near.min(*far);
            missed[bounds.label] += bounds.lower.powi(2).min(*far) - near.min(*far);
        }
        let (out, more) = least(missed.into_iter());
        let mut other = self.clone();
        other.centers[out * axes..][..axes].copy_from_slice(center);
        let (columns, mut found) = (columns(&other.centers, axes), Vec::new());
        for ((at, own), far) in self.scores.chunks_exact(axes).enumerate().zip(far) {
            let (before, far) = (self.bounds[at], far.sqrt());
            let is_out = before.label == out;
            let nearest_left = if is_out { before.lower } else { before.upper };
            let bounds = if far <= nearest_left {
                Bounds { label: out, upper: far, lower: nearest_left }
            } else if is_out {
                distances(own, &columns, &mut found);
                Bounds::of(&found)
            } else {
                Bounds { lower: before.lower.min(far), ..before }
            };
            if bounds.label != before.label {
                other.change((at, own), bounds.label);
            }
            other.bounds[at] = bounds;
        }
        (other, squares + more)
    }

    /// Goes on for some iterations, as long as it may come below the `least` squares; gives those
    /// that there are then.
    fn seen(mut self, mut squares: f64, least: f64) -> (Self, f64) {
        for left in (0..SEEN).rev() {
            self.move_centers();
            let has_changed = self.assign();
            let found = self.squares();
            let gain = std::mem::replace(&mut squares, found) - found;
            let is_hopeless = found - least > gain * GAINS.min(left as f64);
            if !has_changed || found < least || is_hopeless {
                break;
            }
        }
        (self, squares)
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
    pub fn improved(mut self) -> Vec<f64> {
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
        // Without branches, which nobody could predict.
        for (number, distance) in distances.iter().enumerate() {
            let is_nearer = *distance < near;
            let farther = if is_nearer { near } else { *distance };
            second = if farther < second { farther } else { second };
            label = if is_nearer { number } else { label };
            near = if is_nearer { *distance } else { near };
        }
        Self { label, upper: near.sqrt(), lower: second.sqrt() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scores on three axes, in four clusters with noise.
    fn scores(count: usize) -> Vec<f64> {
        let mut chance = Chance::new(3);
        let mut noise = move || (0..12).map(|_| chance.part()).sum::<f64>() - 6.0;
        let corner = |at: usize| [0.0, 9.0, 0.0, 9.0, 0.0, 0.0, 9.0][at % 4 + at % 3];
        (0..3 * count).map(|at| corner(at / 3) + noise()).collect()
    }

    /// Into which cluster each belongs, and the sum of the squares.
    fn plain(scores: &[f64], axes: usize, centers: &[f64]) -> (Vec<usize>, f64) {
        let nearest = |own| least(centers.chunks_exact(axes).map(|center| apart(own, center)));
        let (labels, squares): (Vec<_>, Vec<_>) = scores.chunks_exact(axes).map(nearest).unzip();
        (labels, squares.iter().sum())
    }

    #[test]
    fn bounds_change_nothing() {
        let scores = scores(3000);
        let first = scores[..9 * 3].to_vec();
        let found = Lloyd::new(&scores, 3, first.clone()).at_rest().into_centers();
        let mut means = first;
        for _ in 0..WITHIN {
            let (mut sums, mut counts) = (vec![0.0; 27], [0.0; 9]);
            let (labels, _) = plain(&scores, 3, &means);
            for (own, label) in scores.chunks_exact(3).zip(labels) {
                add(&mut sums[label * 3..][..3], own);
                counts[label] += 1.0;
            }
            means = sums.iter().enumerate().map(|(at, sum)| sum / counts[at / 3]).collect();
        }
        let pairs = || found.iter().zip(&means);
        assert!(pairs().all(|(one, other)| (one - other).abs() < 1e-9), "{found:?} {means:?}");
    }

    #[test]
    fn no_move_of_one_score_makes_the_sum_smaller() {
        let mut chance = Chance::new(5);
        let scores: Vec<f64> = (0..400).map(|_| chance.part()).collect();
        let at_rest = Lloyd::new(&scores, 2, scores[..14].to_vec()).at_rest();
        let (before, improved) = (at_rest.squares(), at_rest.improved());
        let (labels, after) = plain(&scores, 2, &improved);
        assert!(after < before, "there is something to gain");
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
    fn an_exchange_has_the_bounds_and_squares_of_its_centres() {
        let scores = scores(500);
        let mut chance = Chance::new(1);
        let mut lloyd = Lloyd::new(&scores, 3, scores[..15].to_vec());
        for _ in 0..20 {
            let (other, squares) = lloyd.exchanged(chance.part());
            let (labels, expected) = plain(&scores, 3, &other.centers);
            assert!((squares / expected - 1.0).abs() < 1e-12, "{squares} {expected}");
            assert!((other.squares() / expected - 1.0).abs() < 1e-12);
            let exact = Lloyd::new(&scores, 3, other.centers.clone());
            assert_eq!(other.counts, exact.counts);
            for ((bounds, exact), label) in other.bounds.iter().zip(&exact.bounds).zip(labels) {
                assert_eq!(bounds.label, label);
                assert!(bounds.upper >= exact.upper * (1.0 - 1e-12));
                assert!(bounds.lower <= exact.lower * (1.0 + 1e-12));
            }
            lloyd = exact;
        }
    }

    #[test]
    fn exchanges_find_what_lloyd_never_leaves() {
        let mut chance = Chance::new(2);
        // Two centres are in the first of three clusters, and one is between the others.
        let scores: Vec<f64> =
            (0..300).map(|at| [0.0, 100.0, 110.0][at % 3] + chance.part()).collect();
        let at_rest = Lloyd::new(&scores, 1, vec![0.2, 0.8, 105.0]).at_rest();
        let stuck = at_rest.squares();
        let found = at_rest.with_exchanges(&mut chance, 5);
        assert!(stuck > 200.0 * 25.0 && found.squares() < 300.0 / 10.0, "{}", found.squares());
        let mut centers = found.into_centers();
        centers.sort_by(f64::total_cmp);
        let near = centers.iter().zip([0.5, 100.5, 110.5]);
        assert!(near.into_iter().all(|(center, mean)| (center - mean).abs() < 0.1), "{centers:?}");
    }
}
