//! How alike each spectrum is to those around it: the mean of its normalised cross-correlation with
//! each of its neighbours.
//!
//! Of two spectra x and y of N channels the zero-normalised cross-correlation, Pearson's
//! coefficient: r = Σ (x − x̄)(y − ȳ) / √(Σ (x − x̄)² · Σ (y − ȳ)²), from −1 to 1 (J. P. Lewis, *Fast
//! Normalized Cross-Correlation*, Vision Interface 1995, without a shift). Its mean over the
//! neighbours is 1 where all spectra are the same but for their offset and scale: within a grain,
//! say; it is lower at the edges of one, and near 0 in noise.
//!
//! Neighbours are all other positions of a window of `size` positions per axis, or the nearest ones
//! on each axis. Beyond the edge of the scan there are none, so that positions at the edge have
//! less. A constant spectrum, and one with a value that isn't a number, is like nothing: as a
//! neighbour it doesn't count; where the spectrum itself is such a one, or no neighbour counts,
//! there is no correlation, and `Neighbours` is 0.
//!
//! Results: `Local_Correlation`, and `Neighbours`, over how many of them its mean was taken. Values
//! are added in an order of their own, in double precision.

use std::ops::RangeInclusive;

use pixelmill_core::Results;
use pixelmill_core::process::{Edges, Failure, Halo, Outputs, Process, SourceInfo, Spectrum, Unit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::side_by_side::{LANES, sum_of};
use crate::window;

/// Which neighbours.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Parameters {
    /// Positions of the window on each axis of the scan; odd.
    #[schemars(range(min = 3, max = 99))]
    pub size: u32,
    /// Whether also those count that lie across: not only those before and behind on one axis.
    pub diagonal: bool,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { size: 3, diagonal: true }
    }
}

impl pixelmill_core::process::Parameters for Parameters {
    fn check(&self) -> Result<(), Failure> {
        match self.size % 2 {
            1 => Ok(()),
            _ => Err(Failure::new("`size` has to be odd, so that the position is in the middle")),
        }
    }
}

/// The result of one spectrum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Output {
    correlation: f64,
    neighbours: u32,
}

/// Mean, and inverse norm of what differs from it; of a spectrum that is like nothing there are
/// none.
type Moments = Option<(f64, f64)>;

/// Memory of a worker.
#[derive(Default)]
pub struct Scratch {
    /// By the numbers of the spectra of a unit, as far as they are known.
    moments: Vec<Option<Moments>>,
}

/// The process `Local_Correlation`.
pub struct LocalCorrelation;

impl Process for LocalCorrelation {
    const NAME: &'static str = "Local_Correlation";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "how alike each real spectrum is to its neighbours";

    type Parameters = Parameters;
    type Input = f64;
    type Output = Output;
    type Task = ();
    type Scratch = Scratch;

    fn prepare(_parameters: &Parameters, source: &SourceInfo) -> Result<(), Failure> {
        match source.spectral_points {
            0 | 1 => Err(Failure::new("spectra of less than two values can't be correlated")),
            _ => Ok(()),
        }
    }

    fn create_results_datasets(
        _parameters: &Parameters,
        _source: &SourceInfo,
        results: &mut Results<Output>,
    ) {
        results
            .main("Local_Correlation", "Correlation", "")
            .scalar(|output: &Output| output.correlation);
        results.main("Neighbours", "Count", "").scalar(|output: &Output| output.neighbours);
    }

    fn map_function(
        _task: &(),
        spectrum: Spectrum<'_, f64>,
        scratch: &mut Scratch,
    ) -> Result<Output, Failure> {
        scratch.moments.clear();
        Ok(scratch.correlate(&spectrum))
    }

    fn halo(parameters: &Parameters, source: &SourceInfo) -> Result<Option<Halo>, Failure> {
        let reach = i64::from(parameters.size / 2);
        let axes = source.position_dimensions.len();
        let halo = if parameters.diagonal {
            let window: Vec<RangeInclusive<i64>> = vec![-reach..=reach; axes];
            window::window(&window, Edges::Missing)?.without_itself()
        } else {
            let on = |axis: usize, step: i64| {
                let mut offset = vec![0; axes];
                offset[axis] = step;
                offset
            };
            let steps = |axis| (-reach..=reach).map(move |step| (axis, step));
            let all = (0..axes).flat_map(steps).map(|(axis, step)| on(axis, step));
            Halo::new(all.collect(), Edges::Missing).without_itself()
        };
        Ok(Some(halo))
    }

    /// Its values, and what there is to know of it by itself.
    fn memory_per_neighbour(_parameters: &Parameters, source: &SourceInfo) -> usize {
        source.spectral_points * size_of::<f64>() + size_of::<Option<Moments>>()
    }

    /// Not spectrum by spectrum through `map_function`, so that the mean of each is taken once for
    /// all that it is a neighbour of.
    fn unit_computation(
        _task: &(),
        unit: &mut Unit<'_, f64>,
        scratch: &mut Scratch,
        outputs: &mut Outputs<'_, Output>,
    ) -> Result<(), Failure> {
        scratch.moments.clear();
        for index in 0..unit.len() {
            let output = scratch.correlate(&unit.spectrum(index));
            outputs.set(index, Ok(output));
        }
        Ok(())
    }
}

impl Scratch {
    fn correlate(&mut self, spectrum: &Spectrum<'_, f64>) -> Output {
        let (mut sum, mut neighbours) = (0.0, 0u32);
        if let Some(own) = moments(spectrum.values) {
            for index in 0..spectrum.neighbours.len() {
                let of = &spectrum.neighbours;
                let Some((other, number)) = of.get(index).zip(of.number(index)) else { continue };
                if let Some(known) = self.known(number as usize, other) {
                    sum += correlation((spectrum.values, own), (other, known));
                    neighbours += 1;
                }
            }
        }
        let mean = if neighbours == 0 { f64::NAN } else { sum / f64::from(neighbours) };
        Output { correlation: mean, neighbours }
    }

    /// What there is to know of a spectrum of the unit by itself.
    fn known(&mut self, number: usize, spectrum: &[f64]) -> Moments {
        self.moments.resize(self.moments.len().max(number + 1), None);
        *self.moments[number].get_or_insert_with(|| moments(spectrum))
    }
}

fn moments(values: &[f64]) -> Moments {
    let first = values.first()?;
    // Its mean may differ from it in the last bit, and then it would be like noise.
    if values.iter().all(|value| value == first) {
        return None;
    }
    let mean = sum_of(values, |value| value) / values.len() as f64;
    let squares = sum_of(values, |value| (value - mean) * (value - mean));
    (squares.is_finite() && squares > 0.0).then(|| (mean, 1.0 / squares.sqrt()))
}

fn correlation(
    (one, (one_mean, one_norm)): (&[f64], (f64, f64)),
    (other, (other_mean, other_norm)): (&[f64], (f64, f64)),
) -> f64 {
    let product = products(one, other, (one_mean, other_mean));
    (product * one_norm * other_norm).clamp(-1.0, 1.0)
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn products(one: &[f64], other: &[f64], means: (f64, f64)) -> f64 {
    let product = |one: &f64, other: &f64| (one - means.0) * (other - means.1);
    let (blocks, rest) = one.as_chunks::<LANES>();
    let (other_blocks, other_rest) = other.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (block, other) in blocks.iter().zip(other_blocks) {
        for (sum, (one, other)) in sums.iter_mut().zip(block.iter().zip(other)) {
            *sum += product(one, other);
        }
    }
    let rest = rest.iter().zip(other_rest).map(|(one, other)| product(one, other));
    sums.iter().sum::<f64>() + rest.sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pixelmill_core::neighbours::{ABSENT, Neighbours};

    fn correlated(own: &[f64], others: &[&[f64]], places: &[u32]) -> Output {
        let spectra = others.concat();
        let neighbours = Neighbours::new(&spectra, own.len(), places);
        let spectrum = Spectrum { neighbours, ..Spectrum::new(own, &[3]) };
        LocalCorrelation::map_function(&(), spectrum, &mut Scratch::default()).unwrap()
    }

    #[test]
    fn offset_and_scale_make_no_difference_and_the_sign_does() {
        let own = [1.0, 2.0, 4.0];
        let found = correlated(&own, &[&[12.0, 14.0, 18.0], &[-1.0, -2.0, -4.0]], &[0, 0, 1]);
        assert_eq!(found.neighbours, 3);
        assert!((found.correlation - 1.0 / 3.0).abs() < 1e-15, "{found:?}");
        // numpy.corrcoef([1, 2, 4], [3, 1, 0])
        let other = correlated(&own, &[&[3.0, 1.0, 0.0]], &[0]);
        assert!((other.correlation + 0.928_571_428_571_428_6).abs() < 1e-15, "{other:?}");
    }

    #[test]
    fn constant_spectra_and_those_without_numbers_are_like_nothing() {
        let (own, constant) = ([1.0, 2.0, 4.0], [0.1; 3]);
        let others: [&[f64]; 3] = [&constant, &[1.0, f64::NAN, 2.0], &own];
        let found = correlated(&own, &others, &[0, 1, 2, ABSENT]);
        assert_eq!(found.neighbours, 1);
        assert!((found.correlation - 1.0).abs() < 1e-15);
        for own in [constant, [f64::INFINITY, 0.0, 1.0]] {
            let found = correlated(&own, &others, &[2]);
            assert!(found.correlation.is_nan() && found.neighbours == 0);
        }
    }
}
