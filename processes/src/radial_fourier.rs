//! The Fourier coefficients of the intensity of each frame around its centre, ring by ring: what
//! symmetry its diffraction has.
//!
//! `Coefficients` of a position, a bin b and an order m is c_bm = Σ w_b(ρ) I e^(imφ) over all
//! points, with their values I, their distances ρ from the centre and their directions φ from
//! there, from the right downwards. Bins divide the radii from `radius_inner` to `radius`; the
//! weight w_b of a point falls from 1 to 0 within a point around the edges of the bin, and that of
//! neighbouring bins rises, so that all weights of a point add up to 1. c_b0 is the intensity of
//! the ring, and |c_bm|/c_b0 goes from 0 to 1 for a symmetry of m folds. `Dominant_Order` is the m
//! from 1 on whose coefficient is largest in the bin, the lowest of those that differ by rounding
//! alone; 0 if there is none above that.
//!
//! Shapes: bins × orders, and bins; coefficients in the units of the data. Formula, weights and
//! sign of the phase are those of LiberTEM's `radialfourier` (`raw_results`); the method is in T.
//! C. Petersen et al., Ultramicroscopy 114 (2012) 46, for fluctuation microscopy in A. C. Y. Liu et
//! al., Phys. Rev. Lett. 110 (2013) 205505. All is in double precision, c_b0 of counts exact;
//! LiberTEM has single precision for the phases too, which at order 24 are off by some 1e-6. The
//! waves of all orders are made of few polynomials on arcs around the centre, see `arcs.rs`. The
//! point that is the centre itself has no direction, and counts for order 0 alone; in LiberTEM it
//! counts as if it lay to the right, in the frames' even orders and odd ones. Its `complex_B_M` are
//! divided by max(1, |c_b0|), which is no fraction where a ring has less than 1 in it;
//! `raw_results` aren't.
//!
//! A value that is no number or infinite makes no number, or an infinite one, of all orders of the
//! bins that it has a weight in, and their `Dominant_Order` 0; what is outside of all bins doesn't
//! count. Empty frames have coefficients of 0, constant and saturated ones those of the rings
//! themselves, which points make uneven.

mod arcs;
mod bin;
mod found;
mod products;

use std::ops::Range;
use std::sync::Arc;

use num_complex::Complex64;
use pixelmill_core::axis_values::AxisValues;
use pixelmill_core::detector::Detector;
use pixelmill_core::process::{
    Dimension, Failure, Model, Parameters as Checked, SourceInfo, Spectrum,
};
use pixelmill_core::reduction::{Buffer, Buffers, Parts, Reduction, TILE_POINTS, Tile};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::region::take_all;
use arcs::Arcs;
use bin::Bin;
use found::{Found, Places, Sort};
use products::{Add, Work};

/// Coefficients of a position at most.
const MOST: usize = 1 << 20;
/// Points of frames at most of which is known beforehand where each tile has points: it takes 20
/// bytes for each, and only saves time.
const MOST_KNOWN: usize = 1 << 20;
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
    rings: Arc<Rings>,
    coefficients: Buffer<Complex64>,
    dominant: Buffer<u16>,
}

/// What of frames counts for which coefficients.
pub struct Rings {
    bins: Vec<Bin>,
    /// How many there are, with order 0.
    orders: usize,
    arcs: Arcs,
    /// Where tiles have points of the bins that are cut one after the other out of whole frames,
    /// as those of most files are; nothing if frames are very large.
    tiles: Vec<Places>,
    /// Of a frame.
    points: usize,
}

impl Rings {
    /// Those of bins between these radii, of points at these places from the centre.
    fn of(places: &[(f64, f64)], edges: impl Iterator<Item = (f64, f64)>, orders: usize) -> Self {
        let arcs = Arcs::of(orders);
        let bins: Vec<Bin> = edges.map(|edges| Bin::of(places, edges, &arcs)).collect();
        let (mut sort, points) = (Sort::default(), places.len());
        let tile = |first: usize| first..points.min(first + TILE_POINTS);
        let known = if points <= MOST_KNOWN { points } else { 0 };
        let tiles = (0..known).step_by(TILE_POINTS).map(tile);
        let tiles = tiles.map(|tile| Places::of(&bins, &[tile], &mut sort)).collect();
        Self { bins, orders, arcs, tiles, points }
    }

    /// The number of the tile whose columns are these points, if it is one of them.
    fn known(&self, points: &[Range<usize>]) -> Option<usize> {
        let [Range { start, end }] = *points else { return None };
        let number = start / TILE_POINTS;
        let is_one =
            start.is_multiple_of(TILE_POINTS) && end == self.points.min(start + TILE_POINTS);
        (is_one && number < self.tiles.len()).then_some(number)
    }

    fn memory(&self) -> usize {
        let of_bins: usize = self.bins.iter().map(Bin::memory).sum();
        let of_tiles: usize = self.tiles.iter().map(Places::memory).sum();
        of_bins + of_tiles + self.arcs.memory()
    }
}

/// Memory of a worker.
#[derive(Default)]
pub struct Scratch {
    found: Found,
    work: Work,
}

impl Reduction for RadialFourier {
    const NAME: &'static str = "Radial_Fourier";
    const VERSION: u32 = 2;
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
        let edges = (0..count).map(|bin| (edge(bin), edge(bin + 1)));
        let rings = Rings::of(&places, edges, orders);
        if let Some(empty) = rings.bins.iter().position(|bin| bin.weights.is_empty()) {
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
            rings: Arc::new(rings),
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

    fn extra_memory(parameters: &Parameters, source: &SourceInfo) -> usize {
        let points = source.spectral_points.min(TILE_POINTS);
        // At the edge of two bins a point is in both.
        let blocks = Arcs::blocks_for(parameters.max_order + 1);
        points * (Work::OF_POINT + 2 * Found::of_point(blocks))
    }

    fn shared_memory(task: &Task) -> usize {
        task.rings.memory()
    }

    fn process_tile(
        task: &Task,
        tile: &mut Tile<'_, f64>,
        parts: &mut Parts<'_>,
        Scratch { found, work }: &mut Scratch,
    ) -> Result<(), Failure> {
        found.find(&task.rings, tile.stretches());
        if !found.bins().is_empty() {
            let into = parts.get(task.coefficients);
            take_all(tile, &mut Add { rings: &task.rings, found, work, into });
        }
        Ok(())
    }

    fn postprocess(task: &Task, _: &[u64], all: &mut Parts<'_>) -> Result<(), Failure> {
        let (coefficients, dominant) = all.of((task.coefficients, task.dominant));
        for (coefficients, dominant) in coefficients.chunks_exact(task.rings.orders).zip(dominant) {
            *dominant = dominant_order(coefficients);
        }
        Ok(())
    }

    fn model(task: &Task, spectrum: Spectrum<'_, f64>, _: &mut Parts<'_>) -> Model {
        let model = Model::new().place("centre", task.centre);
        let shown = task.rings.bins.iter().take(MOST_OUTLINES).enumerate();
        shown.fold(model, |model, (number, bin)| {
            let mut inside = vec![false; spectrum.len()];
            // Half of each edge, so that bins don't overlap.
            let points = bin.region.points().zip(&bin.weights);
            points.for_each(|(point, weight)| inside[point] = *weight >= 0.5);
            model.outline(format!("bin {number}"), inside)
        })
    }

    fn merge(_: &Task, _: &mut Parts<'_>, _: &mut Parts<'_>) -> Result<(), Failure> {
        Ok(())
    }
}

/// The order from 1 on with the largest coefficient, the lowest of those that differ by rounding
/// alone; 0 if there is none above that, or not all are numbers.
fn dominant_order(coefficients: &[Complex64]) -> u16 {
    const ROUNDING: f64 = 1e-12;
    if coefficients.iter().any(|own| !own.norm().is_finite()) {
        return 0;
    }
    let sizes = coefficients.iter().map(|own| own.norm()).enumerate();
    let of_ring = sizes.clone().fold(0.0, |largest, (_, size)| f64::max(largest, size));
    let largest = sizes.clone().skip(1).fold(0.0, |largest, (_, size)| f64::max(largest, size));
    let nothing = ROUNDING * of_ring;
    let found = sizes.skip(1).find(|(_, size)| *size > nothing && *size >= largest - nothing);
    found.map_or(0, |(order, _)| u16::try_from(order).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::region::TakeAll as _;
    use pixelmill_core::ndarray::Array2;

    /// The coefficients of spectra in tiles that these points begin.
    fn coefficients(rings: &Arc<Rings>, spectra: &[Vec<f64>], begins: &[usize]) -> Vec<Complex64> {
        let (mut found, mut work) = (Found::default(), Work::default());
        let mut all = vec![Complex64::default(); spectra.len() * rings.bins.len() * rings.orders];
        let ends = begins.iter().skip(1).copied().chain([spectra[0].len()]);
        for (begin, end) in begins.iter().copied().zip(ends) {
            found.find(rings, std::iter::once(begin..end));
            let tile = Array2::from_shape_fn((spectra.len(), end - begin), |(spectrum, column)| {
                spectra[spectrum][begin + column]
            });
            let (found, work, into) = (&found, &mut work, all.as_mut_slice());
            Add { rings, found, work, into }.take_all(tile.view());
        }
        all
    }

    pub(super) fn places(rows: usize, columns: usize, centre: (f64, f64)) -> Vec<(f64, f64)> {
        Detector { shape: (rows, columns), centre }.places().collect()
    }

    pub(super) fn rings(
        (rows, columns): (usize, usize),
        centre: (f64, f64),
        edges: &[(f64, f64)],
        orders: usize,
    ) -> Rings {
        Rings::of(&places(rows, columns, centre), edges.iter().copied(), orders)
    }

    #[test]
    fn coefficients_are_the_sums_of_their_definition() {
        // With a centre that is a point and without, one block of polynomials and several.
        for (centre, orders) in [((29.25, 28.5), 31), ((29.0, 28.0), 300), ((30.2, 27.3), 2)] {
            let places = places(61, 58, centre);
            let rings = Arc::new(rings((61, 58), centre, &[(0.0, 4.5), (4.5, 17.75)], orders));
            let value = |at: usize, number: usize| ((at * 37 + number) % 101) as f64;
            let spectra: Vec<Vec<f64>> = (0..27)
                .map(|number| (0..places.len()).map(|at| value(at, number)).collect())
                .collect();
            let whole = coefficients(&rings, &spectra, &[0]);
            // Tiles whose places are known, and others.
            let cuts = [&[0, TILE_POINTS][..], &[0, 900, 1740, 1741]];
            let cuts = cuts.map(|begins| coefficients(&rings, &spectra, begins));
            for (at, found) in whole.iter().enumerate() {
                let (number, order) = (at / (2 * orders), at % orders);
                let bin = &rings.bins[at / orders % 2];
                let term = |(point, weight): (usize, &f64)| {
                    let (down, right) = places[point];
                    let angle = libm::atan2(down, right) * order as f64;
                    let wave = match (down, right) {
                        (0.0, 0.0) if order > 0 => Complex64::ZERO,
                        _ => Complex64::new(libm::cos(angle), libm::sin(angle)),
                    };
                    wave * *weight * spectra[number][point]
                };
                let points = bin.region.points().zip(&bin.weights);
                let expected: Complex64 = points.map(term).sum();
                let ring = whole[at - order].re;
                assert!((found - expected).norm() < 1e-13 * ring, "{order}: {found}, {expected}");
                assert!(cuts.iter().all(|own| (own[at] - expected).norm() < 1e-13 * ring));
            }
            // Several together have the bits that each has by itself.
            let of_spectrum = 2 * orders;
            for some in [2..3, 20..27] {
                let own = coefficients(&rings, &spectra[some.clone()], &[0]);
                let places = some.start * of_spectrum..some.end * of_spectrum;
                assert_eq!(own, whole[places]);
            }
        }
    }

    #[test]
    fn places_are_known_of_whole_tiles_alone() {
        let mut rings = rings((60, 50), (30.0, 25.0), &[(0.0, 20.0)], 3);
        assert_eq!(rings.tiles.len(), 2);
        let known = |tile: Range<usize>| rings.known(std::slice::from_ref(&tile));
        assert_eq!(known(0..TILE_POINTS), Some(0));
        assert_eq!(known(TILE_POINTS..3000), Some(1));
        for other in [0..3000, 0..2000, TILE_POINTS..2999, 1..TILE_POINTS + 1] {
            assert_eq!(known(other), None);
        }
        assert_eq!(rings.known(&[0..2, 4..8]), None);
        assert_eq!(rings.known(&[]), None);
        // As those of very large frames.
        rings.tiles.clear();
        assert_eq!(rings.known(std::slice::from_ref(&(0..TILE_POINTS))), None);
    }

    #[test]
    fn a_symmetry_of_four_folds_is_seen_at_orders_4_and_8() {
        let places = places(101, 101, (50.0, 50.0));
        let rings = Arc::new(rings((101, 101), (50.0, 50.0), &[(20.0, 40.0)], 9));
        let wave = |(down, right): &(f64, f64)| 3.0 + libm::cos(4.0 * libm::atan2(*down, *right));
        let found = coefficients(&rings, &[places.iter().map(wave).collect()], &[0]);
        assert_eq!(dominant_order(&found), 4);
        // Of ∫(3 + cos 4φ)(cos 4φ)dφ / ∫(3 + cos 4φ)dφ.
        let share = found[4] / found[0];
        assert!((share.re - 1.0 / 6.0).abs() < 1e-3 && share.im.abs() < 1e-12, "{share}");
        assert!([1, 2, 3, 5, 6, 7].iter().all(|order| found[*order].norm() < 1e-9));
    }

    #[test]
    fn the_dominant_order_is_the_lowest_of_those_that_are_as_large() {
        let dominant = |sizes: &[f64]| {
            let own: Vec<Complex64> = sizes.iter().map(|size| Complex64::new(0.0, *size)).collect();
            dominant_order(&own)
        };
        // A single point has all orders alike, and where nothing but rounding is left none counts.
        assert_eq!(dominant(&[3.0, 3.0 - 1e-15, 3.0, 3.0 + 1e-15]), 1);
        assert_eq!(dominant(&[3.0, 1.0, 2.0, 2.0 + 1e-9]), 3);
        assert_eq!([&[1e9, 1e-7, 2e-7][..], &[0.0, 0.0], &[1.0]].map(dominant), [0; 3]);
        assert_eq!(dominant(&[1e300, 1e299, 2e299]), 2);
        assert_eq!(dominant(&[f64::INFINITY, 1.0]), 0);
        assert_eq!(dominant(&[1.0, f64::NAN, 1.0]), 0);
    }

    #[test]
    fn counts_of_a_ring_are_exact() {
        let places = places(64, 64, (31.5, 31.5));
        let rings = Arc::new(rings((64, 64), (31.5, 31.5), &[(0.0, 90.0)], 25));
        let spectrum: Vec<f64> = (0..places.len()).map(|at| (at * 7919 % 65536) as f64).collect();
        let found = coefficients(&rings, std::slice::from_ref(&spectrum), &[0]);
        assert_eq!(found[0], Complex64::from(spectrum.iter().sum::<f64>()));
    }

    #[test]
    fn what_is_not_finite_makes_no_number_where_it_has_a_weight() {
        let rings = Arc::new(rings((21, 21), (10.0, 10.0), &[(0.0, 5.0)], 4));
        for strange in [f64::NAN, f64::INFINITY] {
            let mut spectrum = vec![1.0; 441];
            spectrum[0] = strange;
            let outside = coefficients(&rings, &[spectrum.clone()], &[0]);
            assert!(outside.iter().all(|own| own.is_finite()));
            // Also where it is the centre, which counts for order 0 alone.
            for at in [9 * 21 + 9, 10 * 21 + 10] {
                let mut spectrum = spectrum.clone();
                spectrum[at] = strange;
                let found = coefficients(&rings, &[spectrum], &[0]);
                assert!(found.iter().all(|own| !own.is_finite()), "{found:?}");
            }
        }
    }
}
