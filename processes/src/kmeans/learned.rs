//! What mini-batches teach about centres.

use super::Sizes;
use super::centers::means;
use crate::products::add;

/// What those by now have taught.
#[derive(Clone, Default)]
pub struct Learned {
    /// The centres before the first of the epoch.
    pub before: Vec<f64>,
    /// Of how many spectra each centre is the mean.
    weights: Vec<f64>,
    /// The sum of the spectra that each cluster has had in this epoch, and how many these are.
    sums: Vec<f64>,
    counts: Vec<f64>,
}

impl Learned {
    /// Nothing, of so many centres.
    pub fn new(centers: &[f64], clusters: usize) -> Self {
        let (sums, nothing) = (vec![0.0; centers.len()], vec![0.0; clusters]);
        Self { before: centers.to_vec(), weights: nothing.clone(), sums, counts: nothing }
    }

    /// As [`into_values`](Self::into_values) gave it.
    pub fn of(mut values: &[f64], sizes: Sizes) -> Self {
        let mut next = |count| values.split_off(..count).unwrap_or_default().to_vec();
        let [before, sums] = [(); 2].map(|()| next(sizes.centers()));
        let [weights, counts] = [(); 2].map(|()| next(sizes.clusters));
        Self { before, weights, sums, counts }
    }

    /// All of it, one behind the other.
    pub fn into_values(self) -> Vec<f64> {
        [self.before, self.sums, self.weights, self.counts].concat()
    }

    /// How many values that are, of so many centres with so many values together.
    pub fn values(centers: usize, clusters: usize) -> usize {
        2 * (centers + clusters)
    }

    /// Where centres are once they have moved towards the means of what their clusters have of a
    /// mini-batch, one of so many.
    pub fn learn(
        &mut self,
        (sums, counts): (&[f64], &[f64]),
        centers: &[f64],
        batches: u32,
    ) -> Vec<f64> {
        add(&mut self.sums, sums);
        add(&mut self.counts, counts);
        let kept = 1.0 - 1.0 / f64::from(batches);
        let mut moved = means((sums, counts), centers);
        let points = centers.len() / counts.len();
        let each = moved.chunks_exact_mut(points).zip(centers.chunks_exact(points));
        for (((moved, center), count), weight) in each.zip(counts).zip(&mut self.weights) {
            *weight = kept * *weight + count;
            // All of the way if it is the first.
            let part = if *weight > 0.0 { count / *weight } else { 1.0 };
            for (to, from) in moved.iter_mut().zip(center) {
                *to = if part < 1.0 { part.mul_add(*to - from, *from) } else { *to };
            }
        }
        moved
    }

    /// Where centres are when the last mini-batch of an epoch has moved them there: at the means of
    /// all that their clusters had in it.
    pub fn end_epoch(&self, moved: &[f64]) -> Vec<f64> {
        means((&self.sums, &self.counts), moved)
    }

    /// Begins another epoch with these centres.
    pub fn begin_epoch(&mut self, centers: &[f64]) {
        let weights = std::mem::take(&mut self.weights);
        *self = Self { weights, ..Self::new(centers, self.counts.len()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_the_end_of_an_epoch_centres_are_means_of_all_that_they_had() {
        let centers = [0.0, 10.0, 7.0];
        let mut learned = Learned::new(&centers, 3);
        let first = learned.learn((&[6.0, 44.0, 0.0], &[3.0, 4.0, 0.0]), &centers, 2);
        assert_eq!(first, [2.0, 11.0, 7.0]);
        let second = learned.learn((&[0.0, 26.0, 0.0], &[0.0, 2.0, 0.0]), &first, 2);
        // Half of the four count, and as many as are new: half of the way from 11 to 13.
        assert_eq!(second, [2.0, 12.0, 7.0]);
        assert_eq!(learned.end_epoch(&second), [2.0, 70.0 / 6.0, 7.0]);
        learned.begin_epoch(&[2.0, 12.0, 7.0]);
        assert_eq!(learned.end_epoch(&second), second);
        assert_eq!(learned.before, [2.0, 12.0, 7.0]);
        let again = Learned::of(&learned.clone().into_values(), sizes());
        assert_eq!(again.into_values(), learned.into_values());
    }

    fn sizes() -> Sizes {
        Sizes { clusters: 3, points: 1, sample: 3, axes: 0, scored: 0, batches: Some(2) }
    }
}
