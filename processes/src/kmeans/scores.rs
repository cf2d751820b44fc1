//! Where centres begin: clusters among the scores of many spectra, their coordinates on a few
//! principal axes of a sample.
//!
//! What tells clusters apart lies along the axes on which spectra differ most (C. Ding and X. He,
//! ICML 2004, 29). Among scores Lloyd's algorithm takes a thousandth of the time that a pass over
//! the data takes, so centres are found there as well as they can be. Only what the axes lack is
//! left for passes over the data.

use pixelmill_core::process::Failure;

use crate::principal::principal;
use crate::products::add_scaled;
use crate::weights::Weights;

/// Axes at least, unless spectra or the sample have no more, and at most; so many of spectra that
/// have no more points, where no axis tells more than others.
const AXES: (usize, usize) = (24, 64);
/// Scores at most, and products of all of them with all centres.
const MOST: usize = 1 << 14;
const PRODUCTS: usize = 1 << 25;
/// Where scores end: what lies farther away pulls centres no more.
const FARTHEST: f64 = 1e12;

/// How many axes there are for so many clusters, of a sample of so many spectra of so many points,
/// and for how many spectra there are scores.
pub fn sizes(clusters: usize, sample: usize, points: usize) -> (usize, usize) {
    let axes = if points <= AXES.1 { points } else { clusters.clamp(AXES.0, AXES.1) };
    let axes = axes.min(sample.saturating_sub(1));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Chance;
    use crate::kmeans::Parameters;
    use crate::kmeans::centers::least;
    use crate::kmeans::search::centers_among;
    use crate::products::apart;

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
        assert_eq!((sizes(8, 128, 60).0, sizes(8, 40, 60).0), (60, 39));
        let (axes, scored) = sizes(10_000, 80_000, 2048);
        assert!(axes == 64 && scored < 10_000);
    }
}
