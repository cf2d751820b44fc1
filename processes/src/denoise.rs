//! Spectra with less noise: in each channel the median, or a Gaussian mean, of the position and
//! its neighbours on the scan.
//!
//! Median of n values: number n/2 of the sorted ones, counted from 0, over a window of `size`
//! positions per axis, which for an even size has one more before the position than behind it.
//! Mean: Σ w·x with w = g(i)·g(j)…, g(i) ∝ exp(−i²/2σ²) for |i| ≤ 4σ (rounded), Σ g = 1. Both are
//! those of `scipy.ndimage` (`median_filter`, `gaussian_filter` with `truncate=4`) on data in
//! double precision, with `size` or `sigma` on the axes of the scan and none on those of a
//! spectrum: the median to the bit (but for the sign of a zero, where it is among zeros of both
//! signs), the mean but for the last bits of the weights.
//!
//! `edges` says what stands for neighbours beyond the edge of the scan. Those that are `missing`
//! don't count: the median of the others, their mean with weights that add up to 1. Neither does a
//! value that is no number (NaN); a channel without any number has none.
//!
//! Result: `Denoised`, as the source, in single precision if the source's values fit that
//! (float32, integers of up to 16 bits), else in double. All is computed in double precision.

mod choices;
mod median;
mod number;
mod smooth;

use std::ops::RangeInclusive;

use pixelmill_core::Results;
use pixelmill_core::ndarray::IxDyn;
use pixelmill_core::process::{
    Edges, Failure, Halo, Model, Neighbours, Outputs, Process, SourceInfo, Spectrum, Unit,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::as_source::{self, is_single};
use crate::window;
pub use choices::{Method, PerAxis};
use median::Medians;
use number::Number;
use smooth::{Gaussian, Smoothing, radius};

/// Channels that are computed for all positions of a unit before the next ones: so few that those
/// of all neighbours stay in the processor's cache.
const CHANNELS: usize = 512;
/// What `size` and `sigma` can be at most: beyond any window, and far from where integers end.
const MOST: f64 = 1e9;

/// What is taken of the neighbours.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Parameters {
    /// The median of a window, which takes outliers away and keeps edges, or a mean with the
    /// weights of a Gaussian.
    pub method: Method,
    /// For the median: positions of the window on all axes of the scan, or on each, slowest first,
    /// as [3, 5].
    #[schemars(extend("minimum" = 1))]
    pub size: PerAxis,
    /// For the Gaussian: its standard deviation on all axes of the scan, or on each, slowest
    /// first, in positions. Positions more than 4 of them away don't count.
    #[schemars(extend("minimum" = 0))]
    pub sigma: PerAxis,
    /// What stands for neighbours beyond the edge of the scan: the positions as in a mirror on the
    /// edge, the position at the edge, or nothing.
    pub edges: Edges,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            method: Method::default(),
            size: PerAxis::All(3.0),
            sigma: PerAxis::All(1.0),
            edges: Edges::default(),
        }
    }
}

impl pixelmill_core::process::Parameters for Parameters {
    fn check(&self) -> Result<(), Failure> {
        let is_count = |size: f64| size >= 1.0 && size.fract() == 0.0 && size <= MOST;
        if !self.size.all(is_count) {
            return Err(Failure::new("`size` has to be whole numbers of positions, from 1 on"));
        }
        if !self.sigma.all(|sigma| (0.0..=MOST).contains(&sigma)) {
            return Err(Failure::new("`sigma` has to be numbers of positions, from 0 on"));
        }
        Ok(())
    }
}

impl Parameters {
    /// The offsets of the window on each axis.
    fn window(&self, source: &SourceInfo) -> Result<Vec<RangeInclusive<i64>>, Failure> {
        Ok(match self.method {
            Method::Median => {
                let of = |size: f64| (size as i64 / 2, size as i64);
                let sizes = self.size.on(source, "size")?.into_iter().map(of);
                sizes.map(|(before, size)| -before..=size - before - 1).collect()
            }
            Method::Gaussian => {
                let sigmas = self.sigma.on(source, "sigma")?.into_iter();
                sigmas.map(|sigma| radius(sigma) as i64).map(|reach| -reach..=reach).collect()
            }
        })
    }
}

/// The result of one spectrum; what isn't written in this precision is empty.
#[derive(Default)]
pub struct Output {
    values: Vec<f64>,
    single: Vec<f32>,
}

/// Where results go: in the precision that is written.
enum Denoised<'a> {
    Single(&'a mut [f32]),
    Double(&'a mut [f64]),
}

/// What is prepared once.
pub struct Task {
    /// The weights, unless it is the median.
    gaussian: Option<Gaussian>,
    is_single: bool,
}

/// Memory of a worker.
#[derive(Default)]
pub struct Scratch {
    /// Where spectra are computed in double precision, and where in single precision.
    double: Filter<f64>,
    single: Filter<f32>,
    /// Some channels of a unit in single precision.
    channels: Vec<f32>,
}

/// What it takes to filter spectra of this precision.
#[derive(Default)]
struct Filter<T> {
    medians: Medians<T>,
    smoothing: Smoothing,
    middles: Vec<T>,
}

/// The process `Denoise`.
pub struct Denoise;

impl Process for Denoise {
    const NAME: &'static str = "Denoise";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str =
        "the median or a Gaussian mean of each real spectrum and its neighbours";

    type Parameters = Parameters;
    type Input = f64;
    type Output = Output;
    type Task = Task;
    type Scratch = Scratch;

    fn prepare(parameters: &Parameters, source: &SourceInfo) -> Result<Task, Failure> {
        let gaussian = match parameters.method {
            Method::Median => None,
            Method::Gaussian => Some(Gaussian::new(&parameters.sigma.on(source, "sigma")?)),
        };
        Ok(Task { gaussian, is_single: is_single(source) })
    }

    fn create_results_datasets(
        _parameters: &Parameters,
        source: &SourceInfo,
        results: &mut Results<Output>,
    ) {
        let denoised = results.main("Denoised", &source.quantity, &source.units);
        let axes = as_source::axes(source);
        if is_single(source) {
            denoised.spectrum(axes, |output: &Output| &output.single);
        } else {
            denoised.spectrum(axes, |output: &Output| &output.values);
        }
    }

    fn map_function(
        task: &Task,
        spectrum: Spectrum<'_, f64>,
        scratch: &mut Scratch,
    ) -> Result<Output, Failure> {
        let count = spectrum.len();
        let (double, single) = if task.is_single { (0, count) } else { (count, 0) };
        let mut output = Output { values: vec![0.0; double], single: vec![0.0; single] };
        let mut denoised = match task.is_single {
            true => Denoised::Single(&mut output.single),
            false => Denoised::Double(&mut output.values),
        };
        for begin in (0..count).step_by(CHANNELS) {
            let channels = begin..count.min(begin + CHANNELS);
            let neighbours = spectrum.neighbours.channels(channels);
            scratch.double.smoothing.forget();
            scratch.double.apply(task, neighbours, &mut denoised, begin);
        }
        Ok(output)
    }

    fn model(task: &Task, _spectrum: Spectrum<'_, f64>, output: &Output) -> Model {
        let denoised: Vec<f64> = match task.is_single {
            true => output.single.iter().map(|value| f64::from(*value)).collect(),
            false => output.values.clone(),
        };
        Model::new().curve("denoised", denoised)
    }

    fn halo(parameters: &Parameters, source: &SourceInfo) -> Result<Option<Halo>, Failure> {
        window::window(&parameters.window(source)?, parameters.edges).map(Some)
    }

    fn memory_per_neighbour(_parameters: &Parameters, source: &SourceInfo) -> usize {
        source.spectral_points.min(CHANNELS) * size_of::<f64>()
    }

    /// Not spectrum by spectrum through `map_function`: some channels of all spectra at a time, so
    /// that those of neighbours are still in the cache, and what came of these is used again.
    fn unit_computation(
        task: &Task,
        unit: &mut Unit<'_, f64>,
        scratch: &mut Scratch,
        outputs: &mut Outputs<'_, Output>,
    ) -> Result<(), Failure> {
        let count = unit.len();
        let length = unit.spectrum_length();
        let Scratch { double, single, channels: buffer } = scratch;
        let mut denoised = Denoised::of_unit(task, outputs)?;
        for begin in (0..length).step_by(CHANNELS) {
            let channels = begin..length.min(begin + CHANNELS);
            let of = |index: usize| index * length + begin;
            let shorter =
                if task.is_single { unit.channels_as(channels.clone(), buffer) } else { None };
            if let Some(channels) = shorter {
                single.smoothing.forget();
                let all = (0..count).map(|index| (channels.neighbours(index), of(index)));
                all.for_each(|(around, at)| single.apply(task, around, &mut denoised, at));
            } else {
                double.smoothing.forget();
                let channels = unit.channels(channels);
                let all = (0..count).map(|index| (channels.neighbours(index), of(index)));
                all.for_each(|(around, at)| double.apply(task, around, &mut denoised, at));
            }
        }
        outputs.filled(0..count);
        Ok(())
    }
}

impl<T: Number> Filter<T> {
    /// Filters some channels; their results come into `denoised` from the value `at` on.
    fn apply(
        &mut self,
        task: &Task,
        neighbours: Neighbours<'_, T>,
        denoised: &mut Denoised<'_>,
        at: usize,
    ) {
        let length = neighbours.channel_count();
        let Self { medians, smoothing, middles } = self;
        match (&task.gaussian, denoised) {
            (Some(gaussian), Denoised::Single(all)) => {
                smoothing.mean(gaussian, neighbours, &mut all[at..][..length]);
            }
            (Some(gaussian), Denoised::Double(all)) => {
                smoothing.mean(gaussian, neighbours, &mut all[at..][..length]);
            }
            (None, denoised) => {
                middles.resize(length, T::ZERO);
                medians.find(neighbours, middles);
                denoised.put(at, middles);
            }
        }
    }
}

impl<'a> Denoised<'a> {
    /// The results of all spectra of a unit, one behind the other.
    fn of_unit(task: &Task, outputs: &'a mut Outputs<'_, Output>) -> Result<Self, Failure> {
        let apart = || Failure::new("results don't lie one behind the other");
        if task.is_single {
            let column = outputs.column::<f32, IxDyn>(0)?.into_slice();
            column.map(Self::Single).ok_or_else(apart)
        } else {
            let column = outputs.column::<f64, IxDyn>(0)?.into_slice();
            column.map(Self::Double).ok_or_else(apart)
        }
    }

    fn put<T: Number>(&mut self, at: usize, values: &[T]) {
        match self {
            Self::Single(all) => {
                let places = all[at..].iter_mut().zip(values);
                places.for_each(|(place, value)| *place = f32::nearest((*value).into()));
            }
            Self::Double(all) => {
                let places = all[at..].iter_mut().zip(values);
                places.for_each(|(place, value)| *place = (*value).into());
            }
        }
    }
}
