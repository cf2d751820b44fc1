//! Quantiles: the median and others, of all values of a scan, of each point of a spectrum over all
//! positions, or of each position.
//!
//! `Quantiles` of n values sorted as x₀ … xₙ₋₁ are, for each quantile q that is asked for, with
//! k + t = q(n − 1) and 0 ≤ t < 1, x_k + t(x_(k+1) − x_k): NumPy's `quantile` with its usual
//! method, `linear`, in the units of the values. Values that are no numbers (NaN) are left out, as
//! in `nanquantile`: `Count` is how many are numbers, `Left_Out` how many of the whole scan aren't.
//! Of no numbers the quantiles are none (NaN). With m quantiles their shapes are (m) of the scan,
//! (…, m) of spectra of shape (…), and (m) for each position.
//!
//! Those of each position are exact, and those of integers of up to 16 bits, each of which is
//! counted, unless `error` lets them be off. Other numbers are counted in bins as wide as a part of
//! themselves: DDSketch (C. Masson, J. E. Rim and H. K. Lee, PVLDB 12 (2019) 2195), whose counts
//! are added, so that they are the same bits whatever the order. x_k and x_(k+1) may then be off by
//! `Relative_Error` of themselves, which is 1/(2M + 1) with so many bins from a power of two to the
//! next, M = 1, 2, 4 …, that it is no more than `error`; the smallest and the largest value are
//! exact. Where a bin holds but one integer, that is exact as well. Numbers smaller than
//! `smallest`, or than 2⁻¹⁰²², count as 0; a quantile among those that are larger than `largest` is
//! none.
//!
//! Memory is what the bins take, of each point or once: 8 or 4 bytes for 64 bins, where a hundredth
//! is asked for, in each of 277 powers of two of numbers of 32 bits, and in 2046 of 64 bits, of
//! both signs. So for each point of long spectra `smallest` and `largest` have to be told, or a
//! larger `error`.

pub(crate) mod bins;
pub(crate) mod counted;
pub(crate) mod order;

use pixelmill_core::process::{Dimension, Failure, Parameters as Checked, SourceInfo, Spectrum};
use pixelmill_core::reduction::{Buffer, Buffers, Parts, Reduction, Tile, Whole};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use bins::Bins;
pub use counted::Of;
use counted::{Counted, OfPlace};
use order::Order;

/// Which quantiles, and how they are found.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// Which quantiles, from 0, the smallest value, to 1, the largest; 0.5 is the median.
    pub quantiles: Vec<f64>,
    /// What is taken together: all values of the scan, those of each point, or of each position.
    pub of: Of,
    /// How far values may be off that are counted in bins, relative to themselves: a hundredth if
    /// nothing is given, but nothing of integers of up to 16 bits.
    #[schemars(range(min = 1e-6, max = 0.5))]
    pub error: Option<f64>,
    /// From which size on they have to be told apart: smaller ones count as 0. It is taken down to
    /// a power of two.
    pub smallest: Option<f64>,
    /// Up to which size they have to be told apart: larger ones aren't. It is taken up to a power
    /// of two.
    pub largest: Option<f64>,
}

impl Default for Parameters {
    fn default() -> Self {
        let quantiles = vec![0.01, 0.25, 0.5, 0.75, 0.99];
        Self { quantiles, of: Of::Scan, error: None, smallest: None, largest: None }
    }
}

/// Quantiles that can be asked for at a time.
const MOST: usize = 1000;

impl Checked for Parameters {
    fn check(&self) -> Result<(), Failure> {
        let Self { quantiles, smallest, largest, .. } = self;
        if quantiles.is_empty() || quantiles.len() > MOST {
            return Err(Failure::new(format!("`quantiles` have to be from 1 to {MOST} numbers")));
        }
        if !quantiles.iter().all(|quantile| (0.0..=1.0).contains(quantile)) {
            return Err(Failure::new("`quantiles` have to be from 0 to 1"));
        }
        if smallest.is_some_and(|size| size <= 0.0) || largest.is_some_and(|size| size <= 0.0) {
            return Err(Failure::new("`smallest` and `largest` are sizes, larger than 0"));
        }
        match smallest.zip(*largest) {
            Some((smallest, largest)) if smallest >= largest => {
                Err(Failure::new("`largest` has to be larger than `smallest`"))
            }
            _ => Ok(()),
        }
    }
}

/// The reduction `Quantiles`.
pub struct Quantiles;

/// What is asked for, and where it goes.
pub struct Task {
    asked: Vec<f64>,
    quantiles: Buffer<f64>,
    count: Buffer<u64>,
    left_out: Buffer<u64>,
    error: Buffer<f64>,
    /// How values are counted, unless those of a position are at hand.
    counted: Option<Counted>,
    /// How many there are of what is taken together, if it isn't what a position has.
    taken_together: usize,
}

impl Reduction for Quantiles {
    const NAME: &'static str = "Quantiles";
    const VERSION: u32 = 2;
    const SUMMARY: &'static str = "median and other quantiles, of the scan, each point or position";

    type Parameters = Parameters;
    type Input = f64;
    type Task = Task;
    type Scratch = (Vec<f64>, Order);

    fn prepare(
        parameters: &Parameters,
        source: &SourceInfo,
        buffers: &mut Buffers,
    ) -> Result<Task, Failure> {
        let asked = parameters.quantiles.clone();
        let axis = vec![Dimension::new("Quantile", "", asked.clone())];
        let (quantity, units) = (source.quantity.as_str(), source.units.as_str());
        let (quantiles, count) = match parameters.of {
            Of::Scan => (
                buffers.single("Quantiles").along(axis).at_end(quantity, units),
                buffers.single("Count").at_end("Count", ""),
            ),
            Of::Point => (
                buffers.per_point("Quantiles").along(axis).at_end(quantity, units),
                buffers.per_point("Count").at_end("Count", ""),
            ),
            Of::Position => (
                buffers.per_position("Quantiles").along(axis).published(quantity, units),
                buffers.per_position("Count").published("Count", ""),
            ),
        };
        let left_out = buffers.single("Left_Out").published("Count", "");
        let error = buffers.single("Relative_Error").at_end("Relative Error", "");
        let mut counted = || {
            let sizes = (parameters.smallest, parameters.largest);
            let bins = Bins::new(source.given(), parameters.error, sizes)?;
            Counted::new(parameters.of, (bins, true), source, buffers)
        };
        let (counted, taken_together) = match parameters.of {
            Of::Position => (None, 0),
            Of::Scan => (Some(counted()?), 1),
            Of::Point => (Some(counted()?), source.spectral_points),
        };
        Ok(Task { asked, quantiles, count, left_out, error, counted, taken_together })
    }

    fn whole(parameters: &Parameters, _: &SourceInfo) -> Whole {
        if parameters.of == Of::Position { Whole::Spectrum } else { Whole::Tile }
    }

    fn extra_memory(parameters: &Parameters, source: &SourceInfo) -> usize {
        if parameters.of == Of::Position { 8 * source.spectral_points } else { 0 }
    }

    fn shared_memory(task: &Task) -> usize {
        // The results, and what they are while there are none.
        let results = 2 * 8 * task.taken_together * (task.asked.len() + 1);
        results + task.counted.as_ref().map_or(0, Counted::memory_of_place)
    }

    fn preprocess(task: &Task, all: &mut Parts<'_>) {
        if let Some(counted) = &task.counted {
            counted.preprocess(all);
        }
    }

    fn process_tile(
        task: &Task,
        tile: &mut Tile<'_, f64>,
        parts: &mut Parts<'_>,
        _: &mut (Vec<f64>, Order),
    ) -> Result<(), Failure> {
        let Some(counted) = &task.counted else { return Ok(()) };
        let [_, _, left_out] = counted.add(tile, parts);
        parts.get(task.left_out)[0] += left_out;
        Ok(())
    }

    fn process_spectrum(
        task: &Task,
        spectrum: Spectrum<'_, f64>,
        parts: &mut Parts<'_>,
        (values, order): &mut (Vec<f64>, Order),
    ) -> Result<(), Failure> {
        values.clear();
        values.extend(spectrum.iter().filter(|value| !value.is_nan()));
        let (quantiles, count, left_out) = parts.of((task.quantiles, task.count, task.left_out));
        count[0] = values.len() as u64;
        left_out[0] += (spectrum.len() - values.len()) as u64;
        order.quantiles_of(values, &task.asked, quantiles);
        Ok(())
    }

    fn merge(task: &Task, into: &mut Parts<'_>, from: &mut Parts<'_>) -> Result<(), Failure> {
        into.get(task.left_out)[0] += from.get(task.left_out)[0];
        if let Some(counted) = &task.counted {
            counted.merge(into, from);
        }
        Ok(())
    }

    fn finish(task: &Task, all: &mut Parts<'_>) -> Result<(), Failure> {
        all.get(task.error)[0] = task.counted.as_ref().map_or(0.0, |counted| counted.bins.error());
        let Some(counted) = &task.counted else { return Ok(()) };
        let (mut of_place, mut order) = (OfPlace::default(), Order::default());
        for place in 0..task.taken_together {
            counted.read(place, all, &mut of_place);
            all.get(task.count)[place] = of_place.number;
            let asked = task.asked.len();
            let quantiles = &mut all.get(task.quantiles)[place * asked..][..asked];
            order.quantiles(of_place.number, &task.asked, quantiles, |ranks, found| {
                of_place.find(&counted.bins, ranks, found);
            });
        }
        Ok(())
    }
}
