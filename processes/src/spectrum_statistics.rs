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
    const VERSION: u32 = 1;
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
        Ok(Task { skip_nan: parameters.skip_nan, points, state, shown })
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
            let [count, sum, mean, second, least, most, at_least, at_most, at_none] = state;
            for (point, _) in points.iter().zip(&row).filter(|(_, value)| value.is_nan()) {
                let number = (*point + 1) as f64;
                *at_none = if *at_none == 0.0 { number } else { at_none.min(number) };
            }
            let values = || row.iter().copied().filter(|value| !value.is_nan());
            let (mut own_count, mut own_sum) = (0.0, 0.0);
            values().for_each(|value| (own_count, own_sum) = (own_count + 1.0, own_sum + value));
            if own_count == 0.0 {
                continue;
            }
            let own_mean = own_sum / own_count;
            let own_second = values().map(|value| (value - own_mean) * (value - own_mean)).sum();
            sums::merge((mean, second), *count, (own_mean, own_second), own_count);
            for (point, value) in points.iter().zip(&row).filter(|(_, value)| !value.is_nan()) {
                let (point, is_first) = (*point as f64, *count == 0.0);
                // Of equal ones the first point counts, in whatever order they come.
                if is_first || *value < *least || *value == *least && point < *at_least {
                    (*least, *at_least) = (*value, point);
                }
                if is_first || *value > *most || *value == *most && point < *at_most {
                    (*most, *at_most) = (*value, point);
                }
                *count += 1.0;
            }
            *sum += own_sum;
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
