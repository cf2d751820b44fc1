//! The Fourier coefficients of the intensity of each frame around its centre, ring by ring: what
//! symmetry its diffraction has.
//!
//! `Coefficients` of a position, a bin b and an order m is c_bm = Σ w_b(ρ) I e^(imφ) over all
//! points, with their values I, their distances ρ from the centre and their directions φ from
//! there, from the right downwards. Bins divide the radii from `radius_inner` to `radius`; the
//! weight w_b of a point falls from 1 to 0 within a point around the edges of the bin, and that of
//! neighbouring bins rises, so that all weights of a point add up to 1. c_b0 is the intensity of
//! the ring, and |c_bm|/c_b0 goes from 0 to 1 for a symmetry of m folds. `Dominant_Order` is the m
//! from 1 on whose coefficient is largest in the bin, 0 if all are 0.
//!
//! Shapes: bins × orders, and bins; coefficients in the units of the data. Formula, weights and
//! sign of the phase are those of LiberTEM's `radialfourier` (`raw_results`); the method is in T.
//! C. Petersen et al., Ultramicroscopy 114 (2012) 46, for fluctuation microscopy in A. C. Y. Liu et
//! al., Phys. Rev. Lett. 110 (2013) 205505. All is in double precision; LiberTEM has single
//! precision for the phases too, which at order 24 are off by some 1e-6. The point that is the
//! centre itself has no direction, and counts for order 0 alone; in LiberTEM it counts as if it lay
//! to the right, in the frames' even orders and odd ones. Its `complex_B_M` are divided by
//! max(1, |c_b0|), which is no fraction where a ring has less than 1 in it; `raw_results` aren't.
//!
//! A value that is no number or infinite makes no number of all orders of the bins that it has a
//! weight in; what is outside of all bins doesn't count. Empty frames have coefficients of 0,
//! constant and saturated ones those of the rings themselves, which points make uneven.

mod bin;
mod products;

use num_complex::Complex64;
use pixelmill_core::axis_values::AxisValues;
use pixelmill_core::detector::Detector;
use pixelmill_core::process::{
    Dimension, Failure, Model, Parameters as Checked, SourceInfo, Spectrum,
};
use pixelmill_core::reduction::{Buffer, Buffers, Parts, Reduction, Tile};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::region::take_each;
use bin::{Bin, Taken};
use products::Work;

/// Coefficients of a position at most.
const MOST: usize = 1 << 20;
/// Bins whose outlines are told at most.
const MOST_OUTLINES: usize = 8;

/// Which rings and which orders.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// The radius at which the last bin ends; as large as the frame lets it if none.
    #[schemars(range(min = 0), extend("unit" = "points"))]
    pub radius: Option<f64>,
    /// The radius at which the first bin begins.
    #[schemars(range(min = 0), extend("unit" = "points"))]
    pub radius_inner: f64,
    /// How many bins there are; each has to be at least one point wide.
    #[schemars(range(min = 1, max = 100_000))]
    pub bins: usize,
    /// The largest order.
    #[schemars(range(min = 0, max = 1024))]
    pub max_order: usize,
    /// The row of the centre, counted from 0; the middle if none.
    #[schemars(extend("unit" = "points"))]
    pub center_y: Option<f64>,
    /// The column of the centre; the middle if none.
    #[schemars(extend("unit" = "points"))]
    pub center_x: Option<f64>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            radius: None,
            radius_inner: 0.0,
            bins: 1,
            max_order: 24,
            center_y: None,
            center_x: None,
        }
    }
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

/// The reduction `Radial_Fourier`.
pub struct RadialFourier;

/// The bins, and where everything goes.
pub struct Task {
    centre: (f64, f64),
    bins: Vec<Bin>,
    /// How many there are, with order 0.
    orders: usize,
    coefficients: Buffer<Complex64>,
    dominant: Buffer<u16>,
}

/// Memory of a worker.
#[derive(Default)]
pub struct Scratch {
    taken: Taken,
    work: Work,
}

impl Reduction for RadialFourier {
    const NAME: &'static str = "Radial_Fourier";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str =
        "Fourier coefficients of each frame around its centre, in rings: its symmetries";
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
        let radius = parameters.radius.unwrap_or_else(|| detector.largest_radius());
        let (inner, count) = (parameters.radius_inner, parameters.bins);
        let width = (radius - inner) / count as f64;
        if width.is_nan() || width < 1.0 {
            return Err(Failure::new(format!(
                "{count} bins between the radii {inner} and {radius} are narrower than a point; \
                 give less `bins`, or other radii"
            )));
        }
        let orders = parameters.max_order + 1;
        if count.saturating_mul(orders) > MOST {
            let told = format!("{orders} orders in {count} bins are more than {MOST} coefficients");
            return Err(Failure::new(told));
        }
        let places: Vec<(f64, f64)> = detector.places().collect();
        let edge = |number: usize| inner + width * number as f64;
        let bins: Vec<Bin> =
            (0..count).map(|bin| Bin::of(&places, (edge(bin), edge(bin + 1)))).collect();
        if let Some(empty) = bins.iter().position(|bin| bin.weights().is_empty()) {
            let (from, to) = (edge(empty), edge(empty + 1));
            let told = format!("no point of the frames lies in the bin from {from} to {to}");
            return Err(Failure::new(told));
        }
        let middles: Vec<f64> = (0..count).map(|bin| edge(bin) + width / 2.0).collect();
        let radii = Dimension::new("Radius", "points", middles);
        let axes = vec![radii.clone(), Dimension::new("Order", "", AxisValues::counted(orders))];
        let (quantity, units) = (&source.quantity, &source.units);
        Ok(Task {
            centre: detector.centre,
            bins,
            orders,
            coefficients: buffers
                .per_position("Coefficients")
                .along(axes)
                .published(quantity, units),
            dominant: buffers
                .per_position("Dominant_Order")
                .along(vec![radii])
                .published("Order", ""),
        })
    }

    fn shared_memory(task: &Task) -> usize {
        task.bins.iter().map(Bin::memory).sum()
    }

    fn process_tile(
        task: &Task,
        tile: &mut Tile<'_, f64>,
        parts: &mut Parts<'_>,
        Scratch { taken, work }: &mut Scratch,
    ) -> Result<(), Failure> {
        let all = parts.get(task.coefficients);
        let of_spectrum = task.bins.len() * task.orders;
        for (number, bin) in task.bins.iter().enumerate() {
            if taken.find(bin, tile.stretches()) {
                take_each(tile, &mut taken.rows_mut(tile.len()));
                work.add(taken, (number * task.orders, task.orders), of_spectrum, all);
            }
        }
        Ok(())
    }

    fn postprocess(task: &Task, _: &[u64], all: &mut Parts<'_>) -> Result<(), Failure> {
        let (coefficients, dominant) = all.of((task.coefficients, task.dominant));
        for (coefficients, dominant) in coefficients.chunks_exact(task.orders).zip(dominant) {
            *dominant = dominant_order(coefficients);
        }
        Ok(())
    }

    fn model(task: &Task, spectrum: Spectrum<'_, f64>, _: &mut Parts<'_>) -> Model {
        let model = Model::new().place("centre", task.centre);
        let shown = task.bins.iter().take(MOST_OUTLINES).enumerate();
        shown.fold(model, |model, (number, bin)| {
            let mut inside = vec![false; spectrum.len()];
            // Half of each edge, so that bins don't overlap.
            let weights = bin.region.points().zip(bin.weights());
            weights.for_each(|(point, weight)| inside[point] = *weight >= 0.5);
            model.outline(format!("bin {number}"), inside)
        })
    }

    fn merge(_: &Task, _: &mut Parts<'_>, _: &mut Parts<'_>) -> Result<(), Failure> {
        Ok(())
    }
}

/// The order from 1 on with the largest coefficient, 0 if there is none above 0.
fn dominant_order(coefficients: &[Complex64]) -> u16 {
    let powers = coefficients.iter().map(Complex64::norm_sqr).enumerate().skip(1);
    let largest = powers.fold(
        (0, 0.0),
        |best, (order, power)| {
            if power > best.1 { (order, power) } else { best }
        },
    );
    u16::try_from(largest.0).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::region::Take as _;

    /// The coefficients of spectra in tiles that these points begin.
    fn coefficients(
        bin: &Bin,
        orders: usize,
        spectra: &[Vec<f64>],
        begins: &[usize],
    ) -> Vec<Complex64> {
        let (mut taken, mut work) = (Taken::default(), Work::default());
        let mut found = vec![Complex64::default(); spectra.len() * orders];
        let ends = begins.iter().skip(1).copied().chain([spectra[0].len()]);
        for (begin, end) in begins.iter().zip(ends) {
            if taken.find(bin, std::iter::once(*begin..end)) {
                let mut rows = taken.rows_mut(spectra.len());
                spectra.iter().for_each(|spectrum| rows.take(&spectrum[*begin..end]));
                drop(rows);
                work.add(&taken, (0, orders), orders, &mut found);
            }
        }
        found
    }

    pub(super) fn places(rows: usize, columns: usize, centre: (f64, f64)) -> Vec<(f64, f64)> {
        Detector { shape: (rows, columns), centre }.places().collect()
    }

    #[test]
    fn coefficients_are_the_sums_of_their_definition() {
        // With points that mirror each other and without, more orders than go together, an even
        // number of them and an odd one.
        for (centre, orders) in [((29.25, 28.5), 31), ((29.0, 28.0), 71), ((30.2, 27.3), 2)] {
            let places = places(61, 58, centre);
            let bin = Bin::of(&places, (2.5, 17.75));
            let value = |at: usize, number: usize| ((at * 37 + number) % 101) as f64;
            let spectra: Vec<Vec<f64>> = (0..77)
                .map(|number| (0..places.len()).map(|at| value(at, number)).collect())
                .collect();
            let whole = coefficients(&bin, orders, &spectra, &[0]);
            let cut = coefficients(&bin, orders, &spectra, &[0, 900, 1740, 1741]);
            for (number, spectrum) in spectra.iter().enumerate() {
                for order in 0..orders {
                    let expected: Complex64 = bin
                        .region
                        .points()
                        .zip(bin.weights())
                        .map(|(point, weight)| {
                            let (down, right) = places[point];
                            let angle = libm::atan2(down, right) * order as f64;
                            Complex64::new(libm::cos(angle), libm::sin(angle))
                                * *weight
                                * spectrum[point]
                        })
                        .sum();
                    for found in [&whole, &cut] {
                        let found = found[number * orders + order];
                        assert!((found - expected).norm() < 1e-12 * found.norm().max(1e5));
                    }
                }
            }
            // Several together have the bits that each has by itself.
            let one = coefficients(&bin, orders, &spectra[2..3], &[0]);
            assert_eq!(one, whole[2 * orders..3 * orders]);
        }
    }

    #[test]
    fn a_symmetry_of_four_folds_is_seen_at_orders_4_and_8() {
        let places = places(101, 101, (50.0, 50.0));
        let bin = Bin::of(&places, (20.0, 40.0));
        let wave = |(down, right): &(f64, f64)| 3.0 + libm::cos(4.0 * libm::atan2(*down, *right));
        let found = coefficients(&bin, 9, &[places.iter().map(wave).collect()], &[0]);
        assert_eq!(dominant_order(&found), 4);
        // Of ∫(3 + cos 4φ)(cos 4φ)dφ / ∫(3 + cos 4φ)dφ.
        let share = found[4] / found[0];
        assert!((share.re - 1.0 / 6.0).abs() < 1e-3 && share.im.abs() < 1e-12, "{share}");
        assert!([1, 2, 3, 5, 6, 7].iter().all(|order| found[*order].norm() < 1e-9));
    }

    #[test]
    fn what_is_not_finite_makes_no_number_where_it_has_a_weight() {
        let places = places(20, 20, (9.5, 9.5));
        let bin = Bin::of(&places, (0.0, 5.0));
        for strange in [f64::NAN, f64::INFINITY] {
            let mut spectrum = vec![1.0; places.len()];
            spectrum[0] = strange;
            let outside = coefficients(&bin, 4, &[spectrum.clone()], &[0]);
            assert!(outside.iter().all(|own| own.is_finite()));
            spectrum[9 * 20 + 9] = strange;
            let found = coefficients(&bin, 4, &[spectrum.clone()], &[0]);
            assert!(found.iter().all(|own| !own.is_finite()), "{found:?}");
            // On both sides of the centre, too.
            spectrum[9 * 20 + 10] = strange;
            let found = coefficients(&bin, 4, &[spectrum], &[0]);
            assert!(found.iter().all(|own| !own.is_finite()), "{found:?}");
        }
    }
}
