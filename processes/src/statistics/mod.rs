//! Statistics of each point of a spectrum over all positions: the sum image of a scan, its mean,
//! how it varies, and where it is largest.
//!
//! Of the values x₁ … xₙ of a point: `Sum` Σx, `Mean` Σx/n, `Variance` Σ(x − mean)²/n, `Std` its
//! square root, `Min`, `Max`, and `Arg_Min`, `Arg_Max`, the number of the first position that has
//! them (−1 if none has). `Count` is n: how many of the values are numbers. These are NumPy's
//! `sum`, `mean`, `var`, `std`, `min`, `max`, `argmin`, `argmax` along the positions, and with
//! `skip_nan` its `nansum`, `nanmean` and so on.
//!
//! Sums of integers are exact, in 64 bits, those of 64-bit integers in 128; one that has no place
//! in 64 bits is refused where it is asked for. The sums of squares are exact that the variance of
//! integers of up to 16 bits is made from: Σ(x − mean)² = (nΣx² − (Σx)²)/n, in 128 bits. All else
//! is in double precision, and the sums of squares of tiles, units and so on are merged pairwise
//! (T. F. Chan, G. H. Golub and R. J. LeVeque, Am. Stat. 37 (1983) 242): M = M₁ + M₂ + δ²n₁n₂/(n₁ +
//! n₂) with δ = mean₂ − mean₁, mean = mean₁ + δn₂/(n₁ + n₂).

pub(crate) mod choice;
pub(crate) mod sums;

use pixelmill_core::process::{Failure, Parameters as Checked, SourceInfo};
use pixelmill_core::reduction::{Buffer, Buffers, Parts, Reduction, Tile};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use choice::Statistic;
pub use choice::Statistics as Chosen;
use sums::{Extreme, Floats, Integers, Long, Sums};

/// What is computed.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// Which of them, as sum,std: count, sum, mean, variance, std, min, max, `arg_min`, `arg_max`.
    pub compute: Chosen,
    /// Whether values that are no numbers (NaN) are left out. Else a point with such a value has
    /// no number as its sum, mean, deviation and extremes either.
    pub skip_nan: bool,
}

impl Checked for Parameters {}

/// The reduction `Statistics`.
pub struct Statistics;

/// What is folded, and what is made of it.
pub struct Task {
    points: usize,
    /// Spectra that are folded.
    spectra: Buffer<u64>,
    /// Their sum, if they are integers of up to 32 bits, or of more.
    integer: Option<Buffer<i64>>,
    long: Option<Long>,
    /// The sum of their squares, if they are small ones.
    squares: Option<Buffer<u64>>,
    floats: Sums,
    extremes: Vec<Extreme>,
    count: Option<Buffer<u64>>,
    mean: Option<Buffer<f64>>,
    variance: Option<Buffer<f64>>,
    std: Option<Buffer<f64>>,
}

impl Reduction for Statistics {
    const NAME: &'static str = "Statistics";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "sum, mean, deviation, extremes of each point over all positions";

    type Parameters = Parameters;
    type Input = f64;
    type Task = Task;
    type Scratch = (Integers, Floats);

    fn prepare(
        parameters: &Parameters,
        source: &SourceInfo,
        buffers: &mut Buffers,
    ) -> Result<Task, Failure> {
        let wants = |statistic| parameters.compute.has(statistic);
        let (quantity, units) = (source.quantity.as_str(), source.units.as_str());
        let squared = if units.is_empty() { String::new() } else { format!("({units})^2") };
        let integer = source.given().filter(|element| element.is_integer());
        let is_small = integer.is_some_and(|element| element.size() <= 2);
        let varies = wants(Statistic::Variance) || wants(Statistic::Std);
        let (is_summed, has_mean) = (wants(Statistic::Sum), wants(Statistic::Mean));
        let is_totalled = is_summed || has_mean;
        let is_long = integer.is_some_and(|element| element.size() > 4);
        let sums_integers = integer.is_some() && (is_totalled || is_small && varies);
        let sums_floats = integer.is_none() && is_totalled;
        // The sum comes first, for whoever lists the results.
        let sum = buffers.per_point(if is_summed { "Sum" } else { "Total" });
        let (mut floats_sum, mut short, mut long_sum) = (None, None, None);
        match (sums_floats, sums_integers, is_summed) {
            (true, _, true) => floats_sum = Some(sum.published(quantity, units)),
            (true, _, false) => floats_sum = Some(sum.private()),
            (_, true, true) if is_long => long_sum = Some(sum.at_end(quantity, units)),
            (_, true, true) => short = Some(sum.published(quantity, units)),
            (_, true, false) if !is_long => short = Some(sum.private()),
            _ => {}
        }
        let long = (sums_integers && is_long).then(|| Long {
            low: buffers.per_point("Low").private(),
            high: buffers.per_point("High").private(),
            sum: long_sum,
        });
        let mut end = |statistic, name: &str, units: &str| {
            wants(statistic).then(|| buffers.per_point(name).at_end(quantity, units))
        };
        let mean = end(Statistic::Mean, "Mean", units);
        let variance = end(Statistic::Variance, "Variance", &squared);
        let std = end(Statistic::Std, "Std", units);
        let mut extremes = Vec::new();
        for (value, place, names, is_most) in [
            (Statistic::Min, Statistic::ArgMin, ["Min", "Arg_Min"], false),
            (Statistic::Max, Statistic::ArgMax, ["Max", "Arg_Max"], true),
        ] {
            if !wants(value) && !wants(place) {
                continue;
            }
            let found = buffers.per_point(names[0]);
            let found =
                if wants(value) { found.published(quantity, units) } else { found.private() };
            let place = wants(place).then(|| buffers.per_point(names[1]).published("Position", ""));
            extremes.push(Extreme { value: found, place, is_most });
        }
        let count = wants(Statistic::Count).then(|| buffers.per_point("Count").at_end("Count", ""));
        let squares = (varies && is_small).then(|| buffers.per_point("Squares").private());
        let moments = (varies && !is_small).then(|| {
            (buffers.per_point("Moment_1").private(), buffers.per_point("Moment_2").private())
        });
        let is_counted = integer.is_none() || moments.is_some();
        let valid = is_counted.then(|| buffers.per_point("Valid").private());
        let (sum, skip_nan) = (floats_sum, parameters.skip_nan);
        let floats = Sums { sum, count: valid, moments, skip_nan };
        let spectra = buffers.single("Spectra").private();
        Ok(Task {
            points: source.spectral_points,
            spectra,
            integer: short,
            long,
            squares,
            floats,
            extremes,
            count,
            mean,
            variance,
            std,
        })
    }

    fn preprocess(task: &Task, all: &mut Parts<'_>) {
        for extreme in &task.extremes {
            all.get(extreme.value).fill(extreme.nothing());
            if let Some(place) = extreme.place {
                all.get(place).fill(i64::MAX);
            }
        }
    }

    fn process_tile(
        task: &Task,
        tile: &mut Tile<'_, f64>,
        parts: &mut Parts<'_>,
        (integers, floats): &mut (Integers, Floats),
    ) -> Result<(), Failure> {
        if let Some(sum) = task.integer {
            integers.add(tile, parts, (sum, task.squares))?;
        }
        if let Some(long) = task.long {
            long.add(tile, parts)?;
        }
        if task.floats.count.is_some() {
            floats.add(tile, parts, task.floats);
        }
        for extreme in &task.extremes {
            extreme.add(tile, parts, task.floats.skip_nan);
        }
        Ok(())
    }

    fn postprocess(task: &Task, positions: &[u64], all: &mut Parts<'_>) -> Result<(), Failure> {
        all.get(task.spectra)[0] = positions.len() as u64;
        Ok(())
    }

    fn merge(task: &Task, into: &mut Parts<'_>, from: &mut Parts<'_>) -> Result<(), Failure> {
        let Sums { sum, count, moments, .. } = task.floats;
        if let Some((moments, count)) = moments.zip(count) {
            sums::merge_moments((into, from), moments, count);
        }
        if let Some(sum) = sum {
            let pairs = into.get(sum).iter_mut().zip(from.get(sum));
            pairs.for_each(|(sum, other)| *sum += *other);
        }
        if let Some(sum) = task.integer {
            sums::add_signed(into.get(sum), from.get(sum))?;
        }
        if let Some(long) = task.long {
            long.merge(into, from);
        }
        for buffer in [Some(task.spectra), count, task.squares].into_iter().flatten() {
            sums::add_unsigned(into.get(buffer), from.get(buffer))?;
        }
        task.extremes.iter().for_each(|extreme| extreme.merge(into, from));
        Ok(())
    }

    fn finish(task: &Task, all: &mut Parts<'_>) -> Result<(), Failure> {
        let Sums { sum, count, moments, skip_nan } = task.floats;
        let spectra = all.get(task.spectra)[0];
        let totals: Vec<f64> = match (sum, task.integer, task.long) {
            (Some(sum), ..) => all.get(sum).to_vec(),
            (None, Some(sum), _) => all.get(sum).iter().map(|sum| *sum as f64).collect(),
            (None, None, Some(long)) => long.finish(all)?,
            (None, None, None) => Vec::new(),
        };
        let valid = match count {
            Some(count) => all.get(count).to_vec(),
            None => vec![spectra; task.points],
        };
        let counted = if skip_nan { valid.clone() } else { vec![spectra; task.points] };
        let mut variances: Vec<f64> = Vec::new();
        if let Some((squares, sum)) = task.squares.zip(task.integer) {
            let (squares, sums) = all.of((squares, sum));
            let each = squares.iter().zip(sums).zip(&counted);
            variances =
                each.map(|((squares, sum), n)| sums::exact_variance(*squares, *sum, *n)).collect();
        } else if let Some((_, second)) = moments {
            let each = all.get(second).iter().zip(valid.iter().zip(&counted));
            let of = |second: f64, n: u64| second / n as f64;
            variances = each
                .map(|(second, (valid, n))| if valid == n { of(*second, *n) } else { f64::NAN })
                .collect();
        }
        if let Some(count) = task.count {
            all.get(count).copy_from_slice(&valid);
        }
        if let Some(mean) = task.mean {
            let each = all.get(mean).iter_mut().zip(totals.iter().zip(&counted));
            each.for_each(|(mean, (total, n))| *mean = total / *n as f64);
        }
        if let Some(variance) = task.variance {
            all.get(variance).copy_from_slice(&variances);
        }
        if let Some(std) = task.std {
            let each = all.get(std).iter_mut().zip(&variances);
            each.for_each(|(std, variance)| *std = variance.sqrt());
        }
        for extreme in &task.extremes {
            // What has no value is told by the count: infinity may be one.
            let each = all.get(extreme.value).iter_mut().zip(&valid);
            let none = each.filter(|(value, valid)| **valid == 0 && value.is_infinite());
            none.for_each(|(value, _)| *value = f64::NAN);
            if let Some(place) = extreme.place {
                let none = all.get(place).iter_mut().filter(|place| **place == i64::MAX);
                none.for_each(|place| *place = -1);
            }
        }
        Ok(())
    }
}
