//! The search for clusters among scores.

use rayon::prelude::*;

use super::Parameters;
use super::lloyd::Lloyd;
use super::start::{candidates, chosen};
use crate::chance::Chance;
use crate::products::apart;

/// Scores that it begins with.
const FEW: usize = 4096;
/// Of the `restarts` one in so many is a try among these, at least, and one for so many clusters:
/// with few of these tries take little time.
const TRIES: usize = 4;
const CLUSTERS: usize = 4;
/// How many exchanges may be in vain for each of the `restarts`.
const EXCHANGES: u32 = 2;
/// Tries that are made at once: all have memory.
const AT_ONCE: usize = 4;

/// Each of how many scores it begins with, so that there are as many as clusters.
fn step(scored: usize, clusters: usize) -> usize {
    let step = scored.div_ceil(FEW).max(1);
    if scored / step < clusters { 1 } else { step }
}

/// How many numbers it has in memory for so many scores, beside these themselves: bounds of tries,
/// or how far all are from what is drawn for one; and both for each of two exchanges.
pub fn numbers(scored: usize, clusters: usize) -> usize {
    let few = scored.div_ceil(step(scored, clusters));
    few * (3 * AT_ONCE).max(1 + candidates(clusters)) + scored * (3 + 2 * 5)
}

/// The centres of clusters among the scores of spectra on so many axes, of which there are as many
/// at least: the best of several tries among few of them, improved among all.
pub fn centers_among(scores: &[f32], axes: usize, parameters: &Parameters) -> Vec<f64> {
    let scores: &Vec<f64> = &scores.iter().map(|score| f64::from(*score)).collect();
    let step = step(scores.len() / axes, parameters.clusters);
    let few: &Vec<f64> = &scores.chunks_exact(axes).step_by(step).flatten().copied().collect();
    let mut chance = Chance::new(parameters.seed);
    let own = |one: usize| &few[one * axes..][..axes];
    let one_in = parameters.clusters.div_ceil(CLUSTERS).min(TRIES);
    let firsts = (0..parameters.restarts.div_ceil(one_in as u32)).map(|_| {
        let from = |one| few.chunks_exact(axes).map(|other| apart(own(one), other)).collect();
        chosen(few.len() / axes, parameters.clusters, &mut chance, from)
    });
    let firsts: Vec<Vec<usize>> = firsts.collect();
    let found = |first: &Vec<usize>| {
        let first = first.iter().flat_map(|one| own(*one)).copied().collect();
        let found = Lloyd::new(few, axes, first).at_rest();
        (found.squares(), found.into_centers())
    };
    let tried = firsts.chunks(AT_ONCE).flat_map(|some| {
        let some = some.par_iter().map(found);
        some.collect::<Vec<_>>()
    });
    let best = tried.reduce(|best, other| if other.0 < best.0 { other } else { best });
    let first = best.map(|(_, centers)| centers).unwrap_or_default();
    let found = Lloyd::new(scores, axes, first).at_rest();
    found.with_exchanges(&mut chance, EXCHANGES * parameters.restarts).improved()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_rare_and_far_has_centres_too() {
        let mut chance = Chance::new(1);
        // A few of these are as far from each other as from all others.
        let mut tail = || -libm::log(1.0 - chance.part());
        let scores: Vec<f32> = (0..8000).map(|_| libm::pow(tail(), 6.0) as f32).collect();
        let parameters = Parameters { clusters: 16, ..Parameters::default() };
        let all: Vec<f64> = scores.iter().map(|score| f64::from(*score)).collect();
        let found = Lloyd::new(&all, 1, centers_among(&scores, 1, &parameters)).squares();
        let from = |one: usize| all.iter().map(|other| (all[one] - other).powi(2)).collect();
        let plain = (0..10).map(|_| {
            let first = chosen(8000, 16, &mut chance, from);
            let first = first.into_iter().map(|one| all[one]).collect();
            Lloyd::new(&all, 1, first).at_rest().squares()
        });
        let plain = plain.fold(f64::INFINITY, f64::min);
        assert!(found <= plain * 1.000_001, "{found} {plain}");
    }
}
