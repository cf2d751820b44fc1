//! The search for clusters among scores.

use super::Parameters;
use super::lloyd::Lloyd;
use super::start::chosen;
use crate::chance::Chance;
use crate::products::apart;

/// Scores that it begins with.
const FEW: usize = 4096;
/// Of the `restarts` the part that is as many tries among these, and how many exchanges may be in
/// vain for each.
const TRIES: u32 = 4;
const EXCHANGES: u32 = 2;

/// The centres of clusters among the scores of spectra on so many axes, of which there are as many
/// at least: the best of several tries among few of them, improved among all.
pub fn centers_among(scores: &[f32], axes: usize, parameters: &Parameters) -> Vec<f64> {
    let scores: &Vec<f64> = &scores.iter().map(|score| f64::from(*score)).collect();
    let step = (scores.len() / axes).div_ceil(FEW);
    let few: Vec<f64> = scores.chunks_exact(axes).step_by(step).flatten().copied().collect();
    let few = if few.len() < parameters.clusters * axes { scores } else { &few };
    let mut chance = Chance::new(parameters.seed);
    let tries = (0..parameters.restarts.div_ceil(TRIES)).map(|_| {
        let own = |one: usize| &few[one * axes..][..axes];
        let from = |one| few.chunks_exact(axes).map(|other| apart(own(one), other)).collect();
        let first = chosen(few.len() / axes, parameters.clusters, &mut chance, from);
        let first = first.into_iter().flat_map(own).copied().collect();
        let found = Lloyd::new(few, axes, first).at_rest();
        (found.squares(), found)
    });
    let best = tries.reduce(|best, other| if other.0 < best.0 { other } else { best });
    let first = best.map(|(_, found)| found.into_centers()).unwrap_or_default();
    let found = Lloyd::new(scores, axes, first).at_rest();
    found.with_exchanges(&mut chance, EXCHANGES * parameters.restarts).improved()
}
