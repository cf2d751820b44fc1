//! Statistics of each spectrum: what [`statistics`](crate::statistics) has of each point over all
//! positions, of each position over all points.
//!
//! The same formulas, names and parameters; `Arg_Min` and `Arg_Max` are numbers of points. Sums of
//! integers of up to 32 bits are exact, as double precision holds them up to 2⁵³; all is in double
//! precision, and the sums of squares of parts of a spectrum are merged pairwise.

use pixelmill_core::axis_values::AxisValues;
use pixelmill_core::process::{Dimension, Failure, SourceInfo};
use pixelmill_core::reduction::{Buffer, Buffers, Parts, Reduction, Tile};

use crate::statistics::choice::Statistic;
use crate::statistics::{Parameters, sums};

/// The reduction `Spectrum_Statistics`.
pub struct SpectrumStatistics;

/// Where everything goes.
pub struct Task {
    skip_nan: bool,
    /// Whether it is wanted how much values vary, and where the extremes are.
    varies: bool,
    has_places: bool,
    points: f64,
    /// Count, sum, mean and second moment of what is a number, smallest, largest, where these are,
    /// and the number of the first point whose value is none, counted from 1.
    state: Buffer<f64>,
    shown: Vec<(Statistic, Buffer<f64>)>,
}

/// Numbers that are kept for a spectrum, in this order.
const STATE: usize = 9;

impl Reduction for SpectrumStatistics {
    const NAME: &'static str = "Spectrum_Statistics";
    const VERSION: u32 = 2;
    const SUMMARY: &'static str = "sum, mean, deviation, extremes of each spectrum";
    const PER_POSITION: bool = true;

    type Parameters = Parameters;
    type Input = f64;
    type Task = Task;
    type Scratch = ();

    fn prepare(
        parameters: &Parameters,
        source: &SourceInfo,
        buffers: &mut Buffers,
    ) -> Result<Task, Failure> {
        let (quantity, units) = (source.quantity.as_str(), source.units.as_str());
        let squared = if units.is_empty() { String::new() } else { format!("({units})^2") };
        let known = [
            (Statistic::Count, "Count", "Count", ""),
            (Statistic::Sum, "Sum", quantity, units),
            (Statistic::Mean, "Mean", quantity, units),
            (Statistic::Variance, "Variance", quantity, &squared),
            (Statistic::Std, "Std", quantity, units),
            (Statistic::Min, "Min", quantity, units),
            (Statistic::Max, "Max", quantity, units),
            (Statistic::ArgMin, "Arg_Min", "Point", ""),
            (Statistic::ArgMax, "Arg_Max", "Point", ""),
        ];
        let wanted = known.into_iter().filter(|(statistic, ..)| parameters.compute.has(*statistic));
        let shown = wanted.map(|(statistic, name, quantity, units)| {
            (statistic, buffers.per_position(name).published(quantity, units))
        });
        let shown = shown.collect();
        let state = Dimension::new("State", "", AxisValues::counted(STATE));
        let state = buffers.per_position("State").along(vec![state]).private();
        let points = source.spectral_points as f64;
        let any = |some: [Statistic; 2]| some.into_iter().any(|one| parameters.compute.has(one));
        Ok(Task {
            skip_nan: parameters.skip_nan,
            varies: any([Statistic::Variance, Statistic::Std]),
            has_places: any([Statistic::ArgMin, Statistic::ArgMax]),
            points,
            state,
            shown,
        })
    }

    fn process_tile(
        task: &Task,
        tile: &mut Tile<'_, f64>,
        parts: &mut Parts<'_>,
        _: &mut (),
    ) -> Result<(), Failure> {
        let points: Vec<usize> = tile.stretches().flatten().collect();
        let states = parts.get(task.state).as_chunks_mut::<STATE>().0;
        for (row, state) in tile.values().rows().into_iter().zip(states) {
            let row = row.to_slice().expect("the values of a row lie side by side");
            task.add((row, &points), state);
        }
        Ok(())
    }

    fn postprocess(task: &Task, _: &[u64], all: &mut Parts<'_>) -> Result<(), Failure> {
        let states: Vec<[f64; STATE]> = all.get(task.state).as_chunks().0.to_vec();
        for (statistic, shown) in &task.shown {
            for (shown, state) in all.get(*shown).iter_mut().zip(&states) {
                *shown = task.value(*statistic, *state);
            }
        }
        Ok(())
    }

    fn merge(_: &Task, _: &mut Parts<'_>, _: &mut Parts<'_>) -> Result<(), Failure> {
        Ok(())
    }
}

impl Task {
    /// Adds some values, with the points that they are at, to what is known of a spectrum.
    fn add(&self, (row, points): (&[f64], &[usize]), state: &mut [f64; STATE]) {
        let [count, sum, mean, second, least, most, at_least, at_most, at_none] = state;
        let own = Own::of(row);
        if own.count < row.len() as f64
            && let Some(point) = first(row, points, f64::is_nan)
        {
            *at_none = if *at_none == 0.0 { point + 1.0 } else { at_none.min(point + 1.0) };
        }
        if own.count == 0.0 {
            return;
        }
        if self.varies {
            let own_mean = own.sum / own.count;
            let of_own = (own_mean, squares_about(row, own_mean));
            sums::merge((mean, second), *count, of_own, own.count);
        }
        let is_first = *count == 0.0;
        let extremes = [(own.least, least, at_least), (own.most, most, at_most)];
        for ((found, value, at), is_better) in extremes.into_iter().zip([f64::lt, f64::gt]) {
            let is_new = is_first || is_better(&found, value);
            if !is_new && found != *value {
                continue;
            }
            // Of equal ones the first point counts, in whatever order they come.
            let wanted =
                if self.has_places { first(row, points, |other| other == found) } else { None };
            let point = wanted.unwrap_or(0.0);
            *at = if is_new { point } else { at.min(point) };
            *value = found;
        }
        *count += own.count;
        *sum += own.sum;
    }

    fn value(&self, statistic: Statistic, state: [f64; STATE]) -> f64 {
        let [count, sum, _, second, least, most, at_least, at_most, at_none] = state;
        let is_number = count > 0.0 && (self.skip_nan || count == self.points);
        match statistic {
            Statistic::Count => count,
            Statistic::Sum if self.skip_nan => sum,
            Statistic::ArgMin | Statistic::ArgMax if !self.skip_nan && at_none > 0.0 => {
                at_none - 1.0
            }
            Statistic::ArgMin | Statistic::ArgMax if count == 0.0 => -1.0,
            Statistic::ArgMin => at_least,
            Statistic::ArgMax => at_most,
            _ if !is_number => f64::NAN,
            Statistic::Sum => sum,
            Statistic::Mean => sum / count,
            Statistic::Variance => second / count,
            Statistic::Std => (second / count).sqrt(),
            Statistic::Min => least,
            Statistic::Max => most,
        }
    }
}

/// What some values have that are numbers.
struct Own {
    count: f64,
    sum: f64,
    least: f64,
    most: f64,
}

impl Own {
    fn of(row: &[f64]) -> Self {
        let (eights, rest) = row.as_chunks();
        let mut lanes = in_lanes(eights);
        let mut last = [f64::NAN; LANES];
        last[..rest.len()].copy_from_slice(rest);
        lanes.add(&last);
        let Lanes { count, sum, least, most } = lanes;
        Self {
            count: count.iter().sum(),
            sum: sum.iter().sum(),
            least: least.into_iter().fold(f64::INFINITY, f64::min),
            most: most.into_iter().fold(f64::NEG_INFINITY, f64::max),
        }
    }
}

/// Values that are looked at side by side. Their number is fixed, so that the result has the same
/// bits on every machine.
const LANES: usize = 8;

/// The same of every eighth value.
struct Lanes {
    count: [f64; LANES],
    sum: [f64; LANES],
    least: [f64; LANES],
    most: [f64; LANES],
}

impl Lanes {
    #[inline(always)]
    fn add(&mut self, values: &[f64; LANES]) {
        for (lane, value) in values.iter().copied().enumerate() {
            let is_number = !value.is_nan();
            self.count[lane] += if is_number { 1.0 } else { 0.0 };
            self.sum[lane] += if is_number { value } else { 0.0 };
            self.least[lane] = if value < self.least[lane] { value } else { self.least[lane] };
            self.most[lane] = if value > self.most[lane] { value } else { self.most[lane] };
        }
    }
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn in_lanes(eights: &[[f64; LANES]]) -> Lanes {
    let zeros = [0.0; LANES];
    let mut lanes = Lanes {
        count: zeros,
        sum: zeros,
        least: [f64::INFINITY; LANES],
        most: [f64::NEG_INFINITY; LANES],
    };
    eights.iter().for_each(|eight| lanes.add(eight));
    lanes
}

/// The sum of the squares of what numbers are apart from `mean`.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn squares_about(row: &[f64], mean: f64) -> f64 {
    let (eights, rest) = row.as_chunks::<LANES>();
    let square = |value: f64| {
        let apart = value - mean;
        if value.is_nan() { 0.0 } else { apart * apart }
    };
    let mut sums = [0.0; LANES];
    for eight in eights {
        for (sum, value) in sums.iter_mut().zip(eight) {
            *sum += square(*value);
        }
    }
    sums.iter().sum::<f64>() + rest.iter().copied().map(square).sum::<f64>()
}

/// The first of some points whose value is like that.
fn first(row: &[f64], points: &[usize], is_it: impl Fn(f64) -> bool) -> Option<f64> {
    let at = row.iter().position(|value| is_it(*value))?;
    Some(points[at] as f64)
}
