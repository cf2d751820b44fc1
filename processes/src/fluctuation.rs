//! How much the intensity of each frame varies around a ring: fluctuation electron microscopy.
//!
//! Over the N points of a frame whose distance from the centre is at most `radius` and more than
//! `radius_inner` (if that is 0, the centre itself counts too), with their values I:
//!
//! - `Mean` ⟨I⟩ = Σ I/N, `Variance` ⟨(I − ⟨I⟩)²⟩, over N and not N − 1, and `Std`, its root: that
//!   is LiberTEM's `FEMUDF` (`intensity`);
//! - `Normalized_Variance` V = ⟨I²⟩/⟨I⟩² − 1 = `Variance`/`Mean`², a number that doesn't depend on
//!   the exposure. Of counts it holds 1/⟨I⟩ that is the noise of their arrival alone.
//!
//! V is that of M. M. J. Treacy and J. M. Gibson, Acta Cryst. A52 (1996) 212, over the points of a
//! ring, as for nanobeam diffraction: T. L. Daulton et al., Ultramicroscopy 110 (2010) 1279. Order
//! at medium range makes speckles in rings, and these a variance.
//!
//! All is in double precision, and about the mean, so that nothing is lost where a mean is large
//! beside what varies; LiberTEM has single precision for real frames, and takes row and column of
//! the centre where its documentation says x and y. A ring of one value everywhere has a variance
//! of 0, saturated ones too; without intensity (a mean of 0) it has no V: NaN. A value in the ring
//! that is no number or infinite makes NaN of all four; what is outside doesn't count.

use multiversion::multiversion;
use pixelmill_core::axis_values::AxisValues;
use pixelmill_core::detector::{Detector, is_between};
use pixelmill_core::process::{
    Dimension, Failure, Model, Parameters as Checked, SourceInfo, Spectrum,
};
use pixelmill_core::reduction::{Buffer, Buffers, Parts, Reduction, Tile};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::region::{Gather, Piece, Region, count, take_each};
use crate::side_by_side::sum_of;
use crate::statistics::sums;

/// Which ring.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// The outer radius of the ring; as large as the frame lets it if none.
    #[schemars(range(min = 0), extend("unit" = "points"))]
    pub radius: Option<f64>,
    /// The inner radius; points on it don't count.
    #[schemars(range(min = 0), extend("unit" = "points"))]
    pub radius_inner: f64,
    /// The row of the centre, counted from 0; the middle if none.
    #[schemars(extend("unit" = "points"))]
    pub center_y: Option<f64>,
    /// The column of the centre; the middle if none.
    #[schemars(extend("unit" = "points"))]
    pub center_x: Option<f64>,
}

impl Checked for Parameters {
    fn check(&self) -> Result<(), Failure> {
        match self.radius {
            Some(radius) if radius <= self.radius_inner => {
                Err(Failure::new("`radius` has to be larger than `radius_inner`"))
            }
            _ => Ok(()),
        }
    }
}

/// The reduction `Fluctuation`.
pub struct Fluctuation;

/// The ring, and where everything goes.
pub struct Task {
    ring: Region,
    centre: (f64, f64),
    /// Of what is in of the ring: the count, a value, the mean of what all are more than that, and
    /// the sum of squares about the mean.
    state: Buffer<f64>,
    mean: Buffer<f64>,
    variance: Buffer<f64>,
    std: Buffer<f64>,
    normalized: Buffer<f64>,
}

/// Numbers that are kept for a frame.
const STATE: usize = 4;

/// Memory of a worker: where the ring is in a tile, and the values there.
#[derive(Default)]
pub struct Scratch {
    pieces: Vec<Piece>,
    values: Vec<f64>,
}

impl Reduction for Fluctuation {
    const NAME: &'static str = "Fluctuation";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "how much the intensity of each frame varies around a ring (FEM)";
    const PER_POSITION: bool = true;

    type Parameters = Parameters;
    type Input = f64;
    type Task = Task;
    type Scratch = Scratch;

    fn prepare(
        parameters: &Parameters,
        source: &SourceInfo,
        buffers: &mut Buffers,
    ) -> Result<Task, Failure> {
        let detector = Detector::of(source, (parameters.center_y, parameters.center_x))?;
        let outer = parameters.radius.unwrap_or_else(|| detector.largest_radius());
        let radii = (parameters.radius_inner, outer);
        let ring = Region::of(detector.radii().map(|radius| is_between(radius, radii)));
        if ring.len() == 0 {
            let told =
                format!("no point of the frames lies in the ring from {} to {outer}", radii.0);
            return Err(Failure::new(told));
        }
        let (quantity, units) = (source.quantity.as_str(), source.units.as_str());
        let squared = if units.is_empty() { String::new() } else { format!("({units})^2") };
        let mut shown = |name: &str, quantity: &str, units: &str| {
            buffers.per_position(name).published(quantity, units)
        };
        Ok(Task {
            ring,
            centre: detector.centre,
            mean: shown("Mean", quantity, units),
            variance: shown("Variance", quantity, &squared),
            std: shown("Std", quantity, units),
            normalized: shown("Normalized_Variance", "Normalized Variance", ""),
            state: {
                let state = Dimension::new("State", "", AxisValues::counted(STATE));
                buffers.per_position("State").along(vec![state]).private()
            },
        })
    }

    fn process_tile(
        task: &Task,
        tile: &mut Tile<'_, f64>,
        parts: &mut Parts<'_>,
        Scratch { pieces, values }: &mut Scratch,
    ) -> Result<(), Failure> {
        task.ring.pieces(tile.stretches(), pieces);
        let width = count(pieces);
        if width > 0 {
            values.clear();
            take_each(tile, &mut Gather { pieces, into: values });
            let states = parts.get(task.state).as_chunks_mut().0;
            values.chunks_exact(width).zip(states).for_each(|(values, state)| add(values, state));
        }
        Ok(())
    }

    fn postprocess(task: &Task, _: &[u64], all: &mut Parts<'_>) -> Result<(), Failure> {
        let states: Vec<[f64; STATE]> = all.get(task.state).as_chunks().0.to_vec();
        let (means, variances, stds, normalized) =
            all.of((task.mean, task.variance, task.std, task.normalized));
        let results = means.iter_mut().zip(variances).zip(stds.iter_mut().zip(normalized));
        for ([count, from, more, second], results) in states.into_iter().zip(results) {
            let ((mean, variance), (std, normalized)) = results;
            *mean = from + more;
            *variance = second / count;
            *std = variance.sqrt();
            // Not by the squared mean, which may be beyond double precision where this isn't.
            let relative = if *mean == 0.0 { f64::NAN } else { *std / *mean };
            *normalized = relative * relative;
        }
        Ok(())
    }

    fn model(task: &Task, spectrum: Spectrum<'_, f64>, _: &mut Parts<'_>) -> Model {
        let mut inside = vec![false; spectrum.len()];
        task.ring.points().for_each(|point| inside[point] = true);
        Model::new().place("centre", task.centre).outline("ring", inside)
    }

    fn merge(_: &Task, _: &mut Parts<'_>, _: &mut Parts<'_>) -> Result<(), Failure> {
        Ok(())
    }
}

/// Adds some values to the moments of others.
#[multiversion(targets("x86_64+avx2"))]
fn add(values: &[f64], [count, from, mean, second]: &mut [f64; STATE]) {
    let Some(first) = values.first() else { return };
    // All is from one of them on, so that little is lost beside a large mean, and where all are
    // equal they have exactly that mean and no variance.
    if *count == 0.0 {
        *from = *first;
    }
    let (from, own_count) = (*from, values.len() as f64);
    let own_mean = sum_of(values, |value| value - from) / own_count;
    let own_second = sum_of(values, |value| {
        let apart = value - from - own_mean;
        apart * apart
    });
    // What isn't finite is no number, whatever its sign.
    let own_mean = own_mean + own_mean * 0.0;
    sums::merge((mean, second), *count, (own_mean, own_second), own_count);
    *count += own_count;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(parts: &[&[f64]]) -> [f64; STATE] {
        let mut state = [0.0; STATE];
        parts.iter().for_each(|part| add(part, &mut state));
        state
    }

    #[test]
    fn moments_are_those_of_all_values_however_they_come() {
        // Mean 5, which is 4 more than 1; squares about it 16 + 9 + 1 + 0 + 1 + 4 + 9 + 16 + 4 =
        // 60.
        let values = [1.0, 2.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 3.0];
        assert_eq!(moments(&[&values]), [9.0, 1.0, 4.0, 60.0]);
        let found = moments(&[&values[..2], &[], &values[2..8], &values[8..]]);
        assert_eq!(found[..2], [9.0, 1.0]);
        assert!((found[2] - 4.0).abs() < 1e-14 && (found[3] - 60.0).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn little_is_lost_beside_a_large_mean_and_nothing_where_all_is_equal() {
        let values: Vec<f64> = (0..1000).map(|at| 1e9 + f64::from(at % 2)).collect();
        let [count, _, _, second] = moments(&[&values[..333], &values[333..]]);
        assert!((second / count - 0.25).abs() < 1e-12, "{second}");
        let saturated = vec![0.1; 77];
        assert_eq!(moments(&[&saturated[..5], &saturated[5..]]), [77.0, 0.1, 0.0, 0.0]);
    }

    #[test]
    fn what_is_not_finite_makes_no_number() {
        for strange in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for at in 0..20 {
                let mut values = vec![3.0; 20];
                values[at] = strange;
                for parts in [[&[1.0, 2.0], values.as_slice()], [&values, &[4.0, 7.0]]] {
                    let [count, _, mean, second] = moments(&parts);
                    assert!(count == 22.0 && mean.is_nan() && second.is_nan(), "{strange} {at}");
                }
            }
        }
    }
}
