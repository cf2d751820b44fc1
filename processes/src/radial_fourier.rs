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

use multiversion::multiversion;
use num_complex::Complex64;
use pixelmill_core::axis_values::AxisValues;
use pixelmill_core::detector::Detector;
use pixelmill_core::process::{
    Dimension, Failure, Model, Parameters as Checked, SourceInfo, Spectrum,
};
use pixelmill_core::reduction::{Buffer, Buffers, Parts, Reduction, Tile};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::region::{Piece, Region, count, gather};

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

/// The points of a bin; for each its weight, and its direction e^(iφ).
struct Bin {
    region: Region,
    weights: Vec<f64>,
    directions: Vec<Complex64>,
}

/// Memory of a worker, for what of a tile is in a bin.
#[derive(Default)]
pub struct Scratch {
    pieces: Vec<Piece>,
    /// The values, spectrum by spectrum.
    values: Vec<f64>,
    /// Of each point the weight w, cos φ and sin φ.
    weights: Vec<f64>,
    turns: [Vec<f64>; 2],
    /// Of some points w cos mφ and w sin mφ at the order that it is about.
    waves: [Vec<f64>; 2],
    /// Order by order those of each spectrum.
    sums: Vec<Sums>,
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
        if let Some(empty) = bins.iter().position(|bin| bin.weights.is_empty()) {
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
        task.bins.iter().map(|bin| bin.weights.len() * 3 * size_of::<f64>()).sum()
    }

    fn process_tile(
        task: &Task,
        tile: &mut Tile<'_, f64>,
        parts: &mut Parts<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), Failure> {
        let all = parts.get(task.coefficients);
        let of_spectrum = task.bins.len() * task.orders;
        for (number, bin) in task.bins.iter().enumerate() {
            bin.region.pieces(tile.stretches(), &mut scratch.pieces);
            if !scratch.pieces.is_empty() {
                let first = number * task.orders;
                scratch.take(bin, tile);
                scratch.add((first, task.orders), of_spectrum, all);
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
            let weights = bin.region.points().zip(&bin.weights);
            weights.for_each(|(point, weight)| inside[point] = *weight >= 0.5);
            model.outline(format!("bin {number}"), inside)
        })
    }

    fn merge(_: &Task, _: &mut Parts<'_>, _: &mut Parts<'_>) -> Result<(), Failure> {
        Ok(())
    }
}

impl Bin {
    /// The bin between two radii, of points at these places from the centre.
    fn of(places: &[(f64, f64)], (inner, outer): (f64, f64)) -> Self {
        let weight = |(down, right): (f64, f64)| {
            let radius = down.hypot(right);
            // A bin that begins at the centre has no edge there.
            let inside = if inner == 0.0 { f64::INFINITY } else { radius - inner };
            (inside.min(outer - radius) + 0.5).clamp(0.0, 1.0)
        };
        let region = Region::of(places.iter().map(|place| weight(*place) > 0.0));
        let own = |point: usize| {
            let (down, right) = places[point];
            let radius = down.hypot(right);
            let is_centre = radius == 0.0;
            let direction = Complex64::new(right / radius, down / radius);
            if is_centre { Complex64::default() } else { direction }
        };
        Self {
            weights: region.points().map(|point| weight(places[point])).collect(),
            directions: region.points().map(own).collect(),
            region,
        }
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

impl Scratch {
    /// Takes what a tile has of a bin, in the pieces that are known: to a multiple of `LANES`,
    /// points that are none have no weight.
    fn take(&mut self, bin: &Bin, tile: &mut Tile<'_, f64>) {
        let Self { pieces, values, weights, turns: [across, down], .. } = self;
        let width = count(pieces).next_multiple_of(LANES);
        gather(tile, pieces, width, values);
        for buffer in [&mut *weights, &mut *across, &mut *down] {
            buffer.clear();
        }
        for piece in &*pieces {
            let own = piece.before..piece.before + piece.columns.len();
            weights.extend_from_slice(&bin.weights[own.clone()]);
            across.extend(bin.directions[own.clone()].iter().map(|direction| direction.re));
            down.extend(bin.directions[own].iter().map(|direction| direction.im));
        }
        for buffer in [weights, across, down] {
            buffer.resize(width, 0.0);
        }
    }

    /// Adds the coefficients of all orders to those of each spectrum, which begin at `first` of the
    /// `all` that it has.
    fn add(&mut self, orders: (usize, usize), all: usize, into: &mut [Complex64]) {
        for (number, into) in into.chunks_mut(MOST_SPECTRA * all).enumerate() {
            self.add_some(number * MOST_SPECTRA, orders, all, into);
        }
    }

    /// The same of some spectra from number `before` on. So few points of so few of them at a time
    /// that they stay in the nearest cache for all orders.
    fn add_some(
        &mut self,
        before: usize,
        (first, orders): (usize, usize),
        all: usize,
        into: &mut [Complex64],
    ) {
        let Self { values, weights, waves: [cosines, sines], turns: [across, down], sums, .. } =
            self;
        let (width, spectra) = (weights.len(), into.len() / all);
        sums.clear();
        sums.resize(orders * spectra, Sums::default());
        for start in (0..width).step_by(BLOCK) {
            let block = start..width.min(start + BLOCK);
            let turns = [&across[block.clone()], &down[block.clone()]];
            let row = |at: usize| &values[(before + at) * width..][block.clone()];
            for number in (0..spectra).step_by(TOGETHER) {
                cosines.clear();
                cosines.extend_from_slice(&weights[block.clone()]);
                sines.clear();
                sines.resize(block.len(), 0.0);
                for sums in sums.chunks_exact_mut(spectra) {
                    let last = spectra.min(number + TOGETHER);
                    let (fours, rest) = sums[number..last].as_chunks_mut();
                    let rest_from = last - rest.len();
                    for (at, sums) in fours.iter_mut().enumerate() {
                        let four = std::array::from_fn(|step| row(number + at * ROWS + step));
                        add_products_of_four(four, cosines, sines, sums);
                    }
                    for (at, sums) in rest.iter_mut().enumerate() {
                        let sums = std::array::from_mut(sums);
                        add_products_of_one([row(rest_from + at)], cosines, sines, sums);
                    }
                    turn([&mut *cosines, &mut *sines], turns);
                }
            }
        }
        for (spectrum, into) in into.chunks_exact_mut(all).enumerate() {
            let own = sums.iter().skip(spectrum).step_by(spectra);
            for (into, [real, imaginary]) in into[first..].iter_mut().zip(own) {
                *into += Complex64::new(real.iter().sum(), imaginary.iter().sum());
            }
        }
    }
}

/// Points that are multiplied side by side, and spectra: as many as there are registers for.
const LANES: usize = 4;
const ROWS: usize = 4;
/// Points and spectra that are multiplied for all orders before others are: in double precision 24
/// KiB with their waves and turns.
const BLOCK: usize = 256;
const TOGETHER: usize = 8;
/// Spectra whose sums are kept at most.
const MOST_SPECTRA: usize = 64;

/// Makes w cos (m + 1)φ and w sin (m + 1)φ of those of order m.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn turn([cosines, sines]: [&mut [f64]; 2], [across, down]: [&[f64]; 2]) {
    let turns = across.iter().zip(down);
    for ((cosine, sine), (across, down)) in cosines.iter_mut().zip(sines).zip(turns) {
        let turned = cosine.mul_add(*across, -(*sine * down));
        *sine = cosine.mul_add(*down, *sine * across);
        *cosine = turned;
    }
}

/// Real and imaginary parts of a coefficient, side by side.
type Sums = [[f64; LANES]; 2];

/// sum += left·right.
#[inline(always)]
fn add_product(sum: &mut [f64; LANES], left: &[f64; LANES], right: &[f64; LANES]) {
    for lane in 0..LANES {
        sum[lane] = left[lane].mul_add(right[lane], sum[lane]);
    }
}

macro_rules! products {
    ($name:ident, $rows:literal) => {
        // Fused, so that it is twice as fast; and everywhere, so that sums have the same bits. Not
        // for wider registers: the compiler packs two sums into one of these, and turns every value
        // that it loads.
        #[multiversion(targets("x86_64+avx2+fma"))]
        fn $name(rows: [&[f64]; $rows], cosines: &[f64], sines: &[f64], sums: &mut [Sums; $rows]) {
            let rows = rows.map(|row| row.as_chunks::<LANES>().0);
            let (cosines, sines) = (cosines.as_chunks::<LANES>().0, sines.as_chunks::<LANES>().0);
            let rows = rows.map(|row| &row[..cosines.len()]);
            let mut own = *sums;
            for (at, (cosine, sine)) in cosines.iter().zip(sines).enumerate() {
                for (row, [real, imaginary]) in rows.iter().zip(&mut own) {
                    add_product(real, &row[at], cosine);
                    add_product(imaginary, &row[at], sine);
                }
            }
            *sums = own;
        }
    };
}

products!(add_products_of_four, 4);
products!(add_products_of_one, 1);

#[cfg(test)]
mod tests {
    use super::*;

    /// The coefficients of spectra that lie in one tile, all points of a bin side by side.
    fn coefficients(bin: &Bin, orders: usize, spectra: &[Vec<f64>]) -> Vec<Complex64> {
        let width = bin.weights.len().next_multiple_of(LANES);
        let padded = |own: Vec<f64>| {
            let mut own = own;
            own.resize(width, 0.0);
            own
        };
        let own = |spectrum: &Vec<f64>| {
            padded(bin.region.points().map(|point| spectrum[point]).collect())
        };
        let mut scratch = Scratch {
            values: spectra.iter().flat_map(own).collect(),
            weights: padded(bin.weights.clone()),
            turns: [
                padded(bin.directions.iter().map(|direction| direction.re).collect()),
                padded(bin.directions.iter().map(|direction| direction.im).collect()),
            ],
            ..Scratch::default()
        };
        let mut found = vec![Complex64::default(); spectra.len() * orders];
        scratch.add((0, orders), orders, &mut found);
        found
    }

    fn places(rows: usize, columns: usize, centre: (f64, f64)) -> Vec<(f64, f64)> {
        Detector { shape: (rows, columns), centre }.places().collect()
    }

    #[test]
    fn coefficients_are_the_sums_of_their_definition() {
        let places = places(61, 58, (29.25, 28.5));
        let bin = Bin::of(&places, (2.5, 17.75));
        let spectra: Vec<Vec<f64>> = (0..77)
            .map(|number| (0..places.len()).map(|at| ((at * 37 + number) % 101) as f64).collect())
            .collect();
        let found = coefficients(&bin, 31, &spectra);
        for (spectrum, found) in spectra.iter().zip(found.chunks(31)) {
            for (order, found) in found.iter().enumerate() {
                let expected: Complex64 = bin
                    .region
                    .points()
                    .zip(&bin.weights)
                    .map(|(point, weight)| {
                        let angle = libm::atan2(places[point].0, places[point].1) * order as f64;
                        Complex64::new(libm::cos(angle), libm::sin(angle))
                            * *weight
                            * spectrum[point]
                    })
                    .sum();
                assert!((found - expected).norm() < 1e-12 * found.norm().max(1e5), "{order}");
            }
        }
        // Four together have the bits that each has by itself.
        assert_eq!(coefficients(&bin, 31, &spectra[2..3]), found[62..93]);
    }

    #[test]
    fn a_symmetry_of_four_folds_is_seen_at_orders_4_and_8() {
        let places = places(101, 101, (50.0, 50.0));
        let bin = Bin::of(&places, (20.0, 40.0));
        let wave = |(down, right): &(f64, f64)| 3.0 + libm::cos(4.0 * libm::atan2(*down, *right));
        let found = coefficients(&bin, 9, &[places.iter().map(wave).collect()]);
        assert_eq!(dominant_order(&found), 4);
        // Of ∫(3 + cos 4φ)(cos 4φ)dφ / ∫(3 + cos 4φ)dφ.
        let share = found[4] / found[0];
        assert!((share.re - 1.0 / 6.0).abs() < 1e-3 && share.im.abs() < 1e-12, "{share}");
        assert!([1, 2, 3, 5, 6, 7].iter().all(|order| found[*order].norm() < 1e-9));
    }

    #[test]
    fn weights_of_all_bins_add_up_to_one_and_the_centre_has_no_direction() {
        let places = places(40, 30, (15.0, 14.0));
        let bins: Vec<Bin> = (0..5)
            .map(|bin| Bin::of(&places, (f64::from(bin) * 2.5, f64::from(bin + 1) * 2.5)))
            .collect();
        let mut sums = vec![0.0; places.len()];
        for bin in &bins {
            bin.region.points().zip(&bin.weights).for_each(|(point, weight)| sums[point] += weight);
        }
        for ((down, right), sum) in places.iter().zip(&sums) {
            let radius: f64 = down.hypot(*right);
            let expected = (13.0 - radius).clamp(0.0, 1.0);
            assert!((sum - expected).abs() < 1e-12, "{radius}: {sum}");
        }
        let mut centre = vec![0.0; places.len()];
        centre[15 * 30 + 14] = 5.0;
        let found = coefficients(&bins[0], 3, &[centre]);
        assert_eq!(found, [Complex64::new(5.0, 0.0), Complex64::default(), Complex64::default()]);
        assert_eq!(dominant_order(&found), 0);
    }

    #[test]
    fn what_is_not_finite_makes_no_number_where_it_has_a_weight() {
        let places = places(20, 20, (9.5, 9.5));
        let bin = Bin::of(&places, (0.0, 5.0));
        for strange in [f64::NAN, f64::INFINITY] {
            let mut spectrum = vec![1.0; places.len()];
            spectrum[0] = strange;
            let outside = coefficients(&bin, 4, &[spectrum.clone()]);
            assert!(outside.iter().all(|own| own.is_finite()));
            spectrum[9 * 20 + 9] = strange;
            let found = coefficients(&bin, 4, &[spectrum]);
            assert!(found.iter().all(|own| !own.is_finite()), "{found:?}");
        }
    }
}
