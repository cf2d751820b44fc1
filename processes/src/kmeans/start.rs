//! The first centres: spectra that are drawn by chance, and clusters among them.

use pixelmill_core::process::Failure;

use super::Parameters;
use super::centers::least;
use crate::chance::Chance;
use crate::products::{self, add};

/// Iterations within a sample at most.
const WITHIN: usize = 100;

/// The first centres, among spectra that were drawn.
///
/// # Errors
/// If there are fewer spectra than clusters.
pub fn first_centers(rows: &[&[f64]], parameters: &Parameters) -> Result<Vec<f64>, Failure> {
    let clusters = parameters.clusters;
    if rows.len() < clusters {
        let found = rows.len();
        let told = format!("{found} spectra can't be in {clusters} clusters");
        return Err(Failure::new(told));
    }
    let sample = Sample::new(rows);
    let mut chance = Chance::new(parameters.seed);
    let tries = (0..parameters.restarts).map(|_| sample.clusters(clusters, &mut chance));
    let best = tries.reduce(|best, other| if other.squares < best.squares { other } else { best });
    let labels = best.map(|best| best.labels).unwrap_or_default();
    Ok(centers(rows, &labels, clusters))
}

/// The means of clusters among some spectra, of which there are as many at least.
pub fn centers(rows: &[&[f64]], labels: &[usize], clusters: usize) -> Vec<f64> {
    let points = rows.first().map_or(1, |row| row.len());
    let mut centers = vec![0.0; clusters * points];
    let mut counts = vec![0_u64; clusters];
    for (row, label) in rows.iter().zip(labels) {
        add(&mut centers[label * points..][..points], row);
        counts[*label] += 1;
    }
    for ((center, count), row) in centers.chunks_exact_mut(points).zip(counts).zip(rows) {
        match count {
            // All spectra are in others.
            0 => center.copy_from_slice(row),
            _ => center.iter_mut().for_each(|sum| *sum /= count as f64),
        }
    }
    centers
}

/// How far some spectra are from each other, squared: all that clusters among them depend on.
pub struct Sample {
    count: usize,
    apart: Vec<f64>,
}

/// Which cluster each of a sample is in, and the sum of the squares of how far they are from their
/// centres.
pub struct Clusters {
    /// Counted from 0.
    pub labels: Vec<usize>,
    squares: f64,
}

impl Sample {
    /// Of these spectra.
    pub fn new(rows: &[&[f64]]) -> Self {
        let count = rows.len();
        let mut apart = vec![0.0; count * count];
        for (at, row) in rows.iter().enumerate() {
            for (before, other) in rows[..at].iter().enumerate() {
                let distance = products::apart(row, other);
                apart[at * count + before] = distance;
                apart[before * count + at] = distance;
            }
        }
        Self { count, apart }
    }

    fn from(&self, one: usize) -> &[f64] {
        &self.apart[one * self.count..][..self.count]
    }

    /// k-means++, then Lloyd's algorithm.
    pub fn clusters(&self, clusters: usize, chance: &mut Chance) -> Clusters {
        let chosen = chosen(self.count, clusters, chance, |one| self.from(one).to_vec());
        let nearest = |at: usize| least(chosen.iter().map(|center| self.from(*center)[at])).0;
        let mut labels: Vec<usize> = (0..self.count).map(nearest).collect();
        let mut squares = f64::INFINITY;
        for _ in 0..WITHIN {
            let (next, found) = self.assigned(&labels, clusters);
            if next == labels || found >= squares {
                squares = squares.min(found);
                break;
            }
            (labels, squares) = (next, found);
        }
        Clusters { labels, squares }
    }

    /// The nearest of the means of clusters, of each; and the sum of the squares of how far these
    /// are.
    fn assigned(&self, labels: &[usize], clusters: usize) -> (Vec<usize>, f64) {
        let mut counts = vec![0_u64; clusters];
        labels.iter().for_each(|label| counts[*label] += 1);
        // From each spectrum to all of a cluster, and from all of a cluster to each other.
        let mut to_all = vec![0.0; self.count * clusters];
        let mut within = vec![0.0; clusters];
        for at in 0..self.count {
            let sums = &mut to_all[at * clusters..][..clusters];
            self.from(at).iter().zip(labels).for_each(|(apart, label)| sums[*label] += apart);
            within[labels[at]] += sums[labels[at]];
        }
        let mut squares = 0.0;
        let next = to_all.chunks_exact(clusters).map(|sums| {
            let apart = sums.iter().zip(&within).zip(&counts).map(|((sum, within), count)| {
                let count = *count as f64;
                if count > 0.0 {
                    sum / count - within / (2.0 * count * count)
                } else {
                    f64::INFINITY
                }
            });
            let (label, apart) = least(apart);
            squares += apart.max(0.0);
            label
        });
        let next = next.collect();
        (next, squares)
    }
}

/// Some of so many spectra that are far from each other, by chance: k-means++. `from` tells how far
/// all are from one of them, squared.
pub fn chosen(
    count: usize,
    clusters: usize,
    chance: &mut Chance,
    from: impl Fn(usize) -> Vec<f64>,
) -> Vec<usize> {
    let first = (chance.part() * count as f64) as usize;
    let mut chosen = vec![first.min(count - 1)];
    let mut near = from(chosen[0]);
    let candidates = candidates(clusters);
    while chosen.len() < clusters {
        let total: f64 = near.iter().sum();
        let nearer = |one: usize| -> Vec<f64> {
            near.iter().zip(from(one)).map(|(near, own)| near.min(own)).collect()
        };
        let tried = (0..candidates).map(|_| {
            let one = drawn_from(&near, chance.part() * total);
            (one, nearer(one))
        });
        let best = tried
            .min_by(|(_, one), (_, other)| one.iter().sum::<f64>().total_cmp(&other.iter().sum()));
        let Some((one, nearer)) = best else { break };
        chosen.push(one);
        near = nearer;
    }
    chosen
}

/// Of how many that are drawn the best is chosen.
pub fn candidates(clusters: usize) -> usize {
    2 + libm::log(clusters as f64) as usize
}

/// Which of some weights a number falls into that is smaller than their sum; the first if they are
/// nothing.
pub fn drawn_from(weights: &[f64], mut number: f64) -> usize {
    for (at, weight) in weights.iter().enumerate() {
        if number < *weight {
            return at;
        }
        number -= weight;
    }
    weights.iter().rposition(|weight| *weight > 0.0).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_that_are_far_from_each_other_are_found() {
        let rows: Vec<[f64; 2]> = (0..40)
            .map(|at| {
                let corner = [[0.0, 0.0], [9.0, 0.0], [0.0, 9.0], [9.0, 9.0]][at % 4];
                let (a, b) = ((at % 7) as f64 / 10.0, (at % 5) as f64 / 10.0);
                [corner[0] + a, corner[1] + b]
            })
            .collect();
        let rows: Vec<&[f64]> = rows.iter().map(|row: &[f64; 2]| row.as_slice()).collect();
        let parameters = Parameters { clusters: 4, ..Parameters::default() };
        let centers = first_centers(&rows, &parameters).unwrap();
        let mut corners: Vec<[bool; 2]> =
            centers.chunks_exact(2).map(|center| [center[0] > 5.0, center[1] > 5.0]).collect();
        corners.sort_unstable();
        assert_eq!(corners, [[false, false], [false, true], [true, false], [true, true]]);
    }

    #[test]
    fn spectra_that_are_all_the_same_make_equal_centres() {
        let rows = [[7.0; 2].as_slice(); 3];
        let parameters = Parameters { clusters: 3, ..Parameters::default() };
        assert_eq!(first_centers(&rows, &parameters).unwrap(), vec![7.0; 6]);
        let parameters = Parameters { clusters: 4, ..Parameters::default() };
        let refused = first_centers(&rows, &parameters).unwrap_err().to_string();
        assert_eq!(refused, "3 spectra can't be in 4 clusters");
    }
}
