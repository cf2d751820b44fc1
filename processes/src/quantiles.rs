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

mod bins;
mod order;

use pixelmill_core::axis_values::AxisValues;
use pixelmill_core::ndarray::ArrayView2;
use pixelmill_core::process::{Dimension, Failure, Parameters as Checked, SourceInfo, Spectrum};
use pixelmill_core::reduction::{Buffer, Buffers, Parts, Reduction, Tile, Whole};
use pixelmill_core::{Element, ElementType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::histogram::Of;
use bins::{Bins, Sizes};
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

/// Values counted in bins.
struct Counted {
    bins: Bins,
    counts: Counts,
    /// The smallest and the largest value, which bins don't tell unless each has but one.
    extremes: Option<(Buffer<f64>, Buffer<f64>)>,
    /// The type of the values in the file.
    stored: ElementType,
}

/// How many values are in each bin.
#[derive(Clone, Copy)]
enum Counts {
    OfScan(Buffer<u64>),
    /// No point has more values than there are positions.
    OfPoints(Buffer<u32>),
}

impl Counted {
    fn new(
        parameters: &Parameters,
        source: &SourceInfo,
        buffers: &mut Buffers,
    ) -> Result<Self, Failure> {
        let Parameters { of, error, smallest, largest, .. } = parameters;
        let bins = Bins::new(source.given(), *error, (*smallest, *largest))?;
        let axis = vec![Dimension::new("Bin", "", AxisValues::counted(bins.len()))];
        let counts = match of {
            Of::Scan => Counts::OfScan(buffers.single("Counts").along(axis).private()),
            _ if u32::try_from(source.positions).is_err() => {
                let told = "it can't count more than 2^32 positions for each point";
                return Err(Failure::new(told));
            }
            _ => Counts::OfPoints(buffers.per_point("Counts").along(axis).private()),
        };
        let mut extreme = |name: &str| match of {
            Of::Scan => buffers.single(name).private(),
            _ => buffers.per_point(name).private(),
        };
        let extremes = match bins {
            Bins::Integers { .. } => None,
            Bins::Sizes(_) => Some((extreme("Least"), extreme("Most"))),
        };
        Ok(Self { bins, counts, extremes, stored: source.element })
    }

    /// How far it is from the bins of a point to those of the next: nowhere if all are counted
    /// together.
    fn step(&self) -> usize {
        match self.counts {
            Counts::OfScan(_) => 0,
            Counts::OfPoints(_) => 1,
        }
    }

    /// Counts the values of a tile, and returns how many aren't numbers.
    fn add<C: Element>(
        &self,
        counts: Buffer<C>,
        tile: &mut Tile<'_, f64>,
        parts: &mut Parts<'_>,
    ) -> u64 {
        macro_rules! integers {
            ($least:expr; $($name:ident $type:ty),+) => {
                match self.stored {
                    $(ElementType::$name => if let Some(values) = tile.stored_as::<$type>() {
                        self.add_integers($least, parts.get(counts), values);
                    },)+
                    _ => unreachable!("only integers of up to 16 bits have a bin each"),
                }
            };
        }
        match &self.bins {
            Bins::Integers { least, .. } => {
                integers!(*least; UInt8 u8, Int8 i8, UInt16 u16, Int16 i16);
                0
            }
            Bins::Sizes(sizes) => self.add_numbers(sizes, counts, tile.values(), parts),
        }
    }

    fn add_integers<C: Element, S: Copy + Into<i32>>(
        &self,
        least: i32,
        counts: &mut [C],
        values: ArrayView2<'_, S>,
    ) {
        let (one, step) = (C::from_unsigned(1), self.step() * self.bins.len());
        for row in values.rows() {
            for (point, value) in row.iter().enumerate() {
                let bin = ((*value).into() - least) as usize;
                let count = &mut counts[point * step + bin];
                *count = *count + one;
            }
        }
    }

    fn add_numbers<C: Element>(
        &self,
        sizes: &Sizes,
        counts: Buffer<C>,
        values: ArrayView2<'_, f64>,
        parts: &mut Parts<'_>,
    ) -> u64 {
        let Some((least, most)) = self.extremes else { return 0 };
        let (counts, least, most) = parts.of((counts, least, most));
        let (one, bins, step) = (C::from_unsigned(1), self.bins.len(), self.step());
        let mut left_out = 0;
        for row in values.rows() {
            for (point, value) in row.iter().enumerate() {
                if value.is_nan() {
                    left_out += 1;
                    continue;
                }
                // Zeros are the same whatever their sign.
                let value = value + 0.0;
                let place = point * step;
                let count = &mut counts[place * bins + sizes.of(value)];
                *count = *count + one;
                least[place] = least[place].min(value);
                most[place] = most[place].max(value);
            }
        }
        left_out
    }

    fn merge<C: Element>(&self, counts: Buffer<C>, into: &mut Parts<'_>, from: &mut Parts<'_>) {
        let pairs = into.get(counts).iter_mut().zip(from.get(counts));
        pairs.for_each(|(count, other)| *count = *count + *other);
        if let Some((least, most)) = self.extremes {
            let pairs = into.get(least).iter_mut().zip(from.get(least));
            pairs.for_each(|(least, other)| *least = least.min(*other));
            let pairs = into.get(most).iter_mut().zip(from.get(most));
            pairs.for_each(|(most, other)| *most = most.max(*other));
        }
    }

    /// The quantiles of what is counted together, one after the other.
    fn finish<C: Element + Into<u64>>(&self, task: &Task, counts: Buffer<C>, all: &mut Parts<'_>) {
        let extremes: Vec<(f64, f64)> = match self.extremes {
            Some((least, most)) => {
                let (least, most) = all.of((least, most));
                least.iter().copied().zip(most.iter().copied()).collect()
            }
            None => Vec::new(),
        };
        let (counts, numbers, quantiles) = all.of((counts, task.count, task.quantiles));
        let each = quantiles.chunks_exact_mut(task.asked.len()).zip(numbers);
        let counted = counts.chunks_exact(self.bins.len()).enumerate();
        let mut order = Order::default();
        for ((quantiles, number), (place, counts)) in each.zip(counted) {
            *number = counts.iter().map(|count| (*count).into()).sum();
            order.quantiles(*number, &task.asked, quantiles, |ranks, found| {
                self.find((counts, *number), extremes.get(place), (ranks, found));
            });
        }
    }

    /// Finds the values of some ranks among so many that are counted.
    fn find<C: Element + Into<u64>>(
        &self,
        (counts, number): (&[C], u64),
        extremes: Option<&(f64, f64)>,
        (ranks, found): (&[u64], &mut Vec<f64>),
    ) {
        let mut bins = counts.iter().map(|count| (*count).into()).enumerate();
        let (mut bin, mut before) = (0, 0);
        for rank in ranks {
            while before <= *rank
                && let Some((next, count)) = bins.next()
            {
                (bin, before) = (next, before + count);
            }
            let value = self.bins.number(bin);
            found.push(match extremes {
                None => value,
                Some((least, _)) if *rank == 0 => *least,
                Some((_, most)) if rank + 1 == number => *most,
                Some((least, most)) => value.clamp(*least, *most),
            });
        }
    }
}

impl Reduction for Quantiles {
    const NAME: &'static str = "Quantiles";
    const VERSION: u32 = 1;
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
        let (counted, taken_together) = match parameters.of {
            Of::Position => (None, 0),
            Of::Scan => (Some(Counted::new(parameters, source, buffers)?), 1),
            Of::Point => (Some(Counted::new(parameters, source, buffers)?), source.spectral_points),
        };
        Ok(Task { asked, quantiles, count, left_out, error, counted, taken_together })
    }

    fn whole(parameters: &Parameters) -> Whole {
        if parameters.of == Of::Position { Whole::Spectrum } else { Whole::Tile }
    }

    fn extra_memory(parameters: &Parameters, source: &SourceInfo) -> usize {
        if parameters.of == Of::Position { 8 * source.spectral_points } else { 0 }
    }

    fn shared_memory(task: &Task) -> usize {
        // The results, and what they are while there are none.
        2 * 8 * task.taken_together * (task.asked.len() + 1)
    }

    fn preprocess(task: &Task, all: &mut Parts<'_>) {
        if let Some((least, most)) = task.counted.as_ref().and_then(|counted| counted.extremes) {
            all.get(least).fill(f64::INFINITY);
            all.get(most).fill(f64::NEG_INFINITY);
        }
    }

    fn process_tile(
        task: &Task,
        tile: &mut Tile<'_, f64>,
        parts: &mut Parts<'_>,
        _: &mut (Vec<f64>, Order),
    ) -> Result<(), Failure> {
        let Some(counted) = &task.counted else { return Ok(()) };
        let left_out = match counted.counts {
            Counts::OfScan(counts) => counted.add(counts, tile, parts),
            Counts::OfPoints(counts) => counted.add(counts, tile, parts),
        };
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
        order.quantiles(count[0], &task.asked, quantiles, |ranks, found| {
            let mut begin = 0;
            for rank in ranks {
                let behind = &mut values[begin..];
                let (_, value, _) =
                    behind.select_nth_unstable_by(*rank as usize - begin, f64::total_cmp);
                found.push(*value + 0.0);
                begin = *rank as usize + 1;
            }
        });
        Ok(())
    }

    fn merge(task: &Task, into: &mut Parts<'_>, from: &mut Parts<'_>) -> Result<(), Failure> {
        into.get(task.left_out)[0] += from.get(task.left_out)[0];
        if let Some(counted) = &task.counted {
            match counted.counts {
                Counts::OfScan(counts) => counted.merge(counts, into, from),
                Counts::OfPoints(counts) => counted.merge(counts, into, from),
            }
        }
        Ok(())
    }

    fn finish(task: &Task, all: &mut Parts<'_>) -> Result<(), Failure> {
        all.get(task.error)[0] = task.counted.as_ref().map_or(0.0, |counted| counted.bins.error());
        if let Some(counted) = &task.counted {
            match counted.counts {
                Counts::OfScan(counts) => counted.finish(task, counts, all),
                Counts::OfPoints(counts) => counted.finish(task, counts, all),
            }
        }
        Ok(())
    }
}
