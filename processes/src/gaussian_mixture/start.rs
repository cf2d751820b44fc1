//! A first mixture, of spectra that were drawn by chance.
//!
//! Clusters among them are begun several times, each is made a mixture by some steps of expectation
//! and maximisation, and the most likely one is taken: what is likely within a sample is near what
//! is likely of all. That takes enough spectra for each covariance; where there are fewer, or a
//! component has come down to a few of them, which is as likely as one wishes, there is none.

use super::covariance::{Covariance, Shape};
use super::mixture::{Lanes, Mixture, Numbers, respond};
use crate::chance::Chance;
use crate::kmeans::start::{Sample, centers};
use crate::whole_spectra::TOGETHER;

/// Steps at most, and by how much the mean logarithm of the likelihood still changes then.
const STEPS: usize = 30;
const NEAR: f64 = 1e-4;
/// Spectra for each component and point of a covariance.
const FOR_EACH_POINT: usize = 4;
/// Products of values in all steps at most, but for those of the first beginning.
const WORK: usize = 1 << 31;

/// How many spectra a mixture of this shape takes; nothing if that is more than `most`.
pub fn wanted(shape: Shape, most: usize) -> Option<usize> {
    let Shape { kind, components, points } = shape;
    let of_covariances = match kind {
        Covariance::Full => FOR_EACH_POINT * components * (points + 1),
        Covariance::Tied => FOR_EACH_POINT * (components + points),
        Covariance::Diag | Covariance::Spherical => 0,
    };
    Some(of_covariances.max(2 * FOR_EACH_POINT * components)).filter(|wanted| *wanted <= most)
}

/// The most likely mixture of these spectra, begun `restarts` times.
pub fn mixture(
    rows: &[&[f64]],
    shape: Shape,
    (restarts, seed): (u32, u64),
    regularization: f64,
) -> Option<Numbers> {
    let each = if shape.kind.is_of_pairs() { shape.points } else { 1 };
    let step = rows.len() * shape.components * shape.points * each;
    let restarts = restarts.min((WORK / (STEPS * step).max(1)).max(1) as u32);
    let sample = Sample::new(rows);
    let mut chance = Chance::new(seed);
    let mut best: Option<(f64, Numbers)> = None;
    for _ in 0..restarts {
        let labels = sample.clusters(shape.components, &mut chance).labels;
        let found = likely(rows, &labels, shape, regularization);
        let Some(found) = found else { continue };
        if best.as_ref().is_none_or(|(best, _)| found.0 > *best) {
            best = Some(found);
        }
    }
    best.map(|(_, numbers)| numbers)
}

/// The mixture that clusters become, and its mean logarithm of the likelihood; nothing if a
/// component has too few spectra.
fn likely(
    rows: &[&[f64]],
    labels: &[usize],
    shape: Shape,
    regularization: f64,
) -> Option<(f64, Numbers)> {
    let Shape { kind, components, points } = shape;
    let least = if kind == Covariance::Full { points + 1 } else { 2 } as f64;
    let mut responses = vec![0.0; rows.len() * components];
    for (own, label) in responses.chunks_exact_mut(components).zip(labels) {
        own[*label] = 1.0;
    }
    let (weights, covariances) = (Vec::new(), shape.isotropic(1.0));
    let mut numbers = Numbers { weights, means: centers(rows, labels, components), covariances };
    let mut sums = vec![0.0; shape.sums()];
    let (mut lanes, mut apart) = (Lanes::default(), Vec::new());
    let (mut variance, mut likelihood) = (None, f64::NEG_INFINITY);
    for _ in 0..STEPS {
        sums.fill(0.0);
        let some = responses.chunks(TOGETHER * components);
        for (rows, responses) in rows.chunks(TOGETHER).zip(some) {
            shape.add((rows, responses), &numbers.means, &mut sums, &mut apart);
        }
        if sums[..components].iter().any(|count| *count < least) {
            return None;
        }
        let variance = *variance.get_or_insert_with(|| shape.spread(&sums, &numbers.means).0);
        numbers = shape.estimate(&sums, &numbers, regularization * variance);
        let mixture = Mixture::new(numbers.clone(), shape).ok()?;
        mixture.densities(rows, &mut lanes, &mut responses);
        let before = likelihood;
        likelihood = 0.0;
        for own in responses.chunks_exact_mut(components) {
            likelihood += respond(own)?;
        }
        likelihood /= rows.len() as f64;
        if (likelihood - before).abs() <= NEAR {
            break;
        }
    }
    Some((likelihood, numbers))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two long clusters, one across the middle of the other: no k-means finds them.
    fn cross() -> Vec<[f64; 2]> {
        let along = |at: usize| ((at * 37 % 101) as f64 - 50.0) / 10.0;
        let across = |at: usize| ((at * 53 % 97) as f64 - 48.0) / 200.0;
        let spectrum = |at: usize| match at % 2 {
            0 => [along(at), across(at)],
            _ => [across(at), along(at)],
        };
        (0..120).map(spectrum).collect()
    }

    #[test]
    fn the_most_likely_of_several_beginnings_is_taken() {
        let rows = cross();
        let rows: Vec<&[f64]> = rows.iter().map(<[f64; 2]>::as_slice).collect();
        let shape = Shape { kind: Covariance::Full, components: 2, points: 2 };
        let found = mixture(&rows, shape, (20, 1), 1e-6).unwrap();
        assert!(found.means.iter().all(|mean| mean.abs() < 0.5), "{found:?}");
        let each = shape.of_each();
        let variances = found.covariances.chunks_exact(each);
        let ratios: Vec<f64> = variances.map(|own| own[0] / own[9]).collect();
        assert!(ratios[0].max(ratios[1]) > 100.0, "{ratios:?}");
        assert!(ratios[0].min(ratios[1]) < 0.01, "{ratios:?}");
        assert_eq!(mixture(&rows, shape, (20, 1), 1e-6).unwrap(), found);
    }

    #[test]
    fn a_component_of_a_few_spectra_is_none() {
        let mut rows = cross();
        rows[7] = [1e6, 1e6];
        let rows: Vec<&[f64]> = rows.iter().map(<[f64; 2]>::as_slice).collect();
        let shape = Shape { kind: Covariance::Full, components: 2, points: 2 };
        assert_eq!(mixture(&rows, shape, (5, 1), 1e-6), None);
        let same = [[1.0, 2.0].as_slice(); 20];
        assert_eq!(mixture(&same, shape, (5, 1), 1e-6), None);
    }

    #[test]
    fn full_covariances_take_many_spectra() {
        let wanted =
            |kind, components, points| super::wanted(Shape { kind, components, points }, 2048);
        assert_eq!(wanted(Covariance::Full, 3, 9), Some(120));
        assert_eq!(wanted(Covariance::Full, 3, 500), None);
        assert_eq!(wanted(Covariance::Tied, 3, 500), Some(2012));
        assert_eq!(wanted(Covariance::Diag, 3, 500), Some(24));
    }
}
