//! How often values occur: of the whole scan, of each point of a spectrum over all positions, or of
//! each position.
//!
//! `Counts` of bin k of `bins` is the number of values v with e_k ≤ v < e_(k+1), of the last bin
//! also of those that are its end, where e are `bins` + 1 edges at the same distance from
//! `range_min` to `range_max`: NumPy's `histogram`. `Outside` are the numbers of values below,
//! above, and that are no numbers (NaN). What range most values are in is told by `quantiles`.

use pixelmill_core::axis_values::AxisValues;
use pixelmill_core::element::ElementType;
use pixelmill_core::process::{Dimension, Failure, Parameters as Checked, SourceInfo};
use pixelmill_core::reduction::{Buffer, Buffers, Parts, Reduction, Tile};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::choices::one_of;

/// The bins, and what is counted together.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// How many bins there are.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub bins: usize,
    /// Where the first begins; at the smallest integer there can be if none, which has to be given
    /// for other numbers than integers of up to 16 bits.
    pub range_min: Option<f64>,
    /// Where the last ends; likewise.
    pub range_max: Option<f64>,
    /// What is counted together: all values of the scan, those of each point, or of each position.
    pub of: Of,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { bins: 100, range_min: None, range_max: None, of: Of::Scan }
    }
}

/// What is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Of {
    /// All values.
    Scan,
    /// Those of each point of a spectrum.
    Point,
    /// Those of each position.
    Position,
}

one_of!(Of: "scan", "point", "position");

impl Checked for Parameters {
    fn check(&self) -> Result<(), Failure> {
        match (self.range_min, self.range_max) {
            (Some(least), Some(most)) if least >= most => {
                Err(Failure::new("`range_max` has to be larger than `range_min`"))
            }
            _ => Ok(()),
        }
    }
}

/// The reduction `Histogram`.
pub struct Histogram;

/// The edges, and where counts go.
pub struct Task {
    edges: Vec<f64>,
    of: Of,
    counts: Buffer<u64>,
    outside: Buffer<u64>,
}

impl Task {
    /// The bin of a value between the first and the last edge.
    #[inline]
    fn bin(&self, value: f64) -> usize {
        let bins = self.edges.len() - 1;
        let (first, last) = (self.edges[0], self.edges[bins]);
        let bin = ((value - first) / (last - first) * bins as f64) as usize;
        let bin = bin.min(bins - 1);
        // Rounding must not take a value over an edge.
        if value < self.edges[bin] {
            bin - 1
        } else if bin + 1 < bins && value >= self.edges[bin + 1] {
            bin + 1
        } else {
            bin
        }
    }
}

impl Reduction for Histogram {
    const NAME: &'static str = "Histogram";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "how often values occur, in the scan, at each point or position";

    type Parameters = Parameters;
    type Input = f64;
    type Task = Task;
    type Scratch = ();

    fn prepare(
        parameters: &Parameters,
        source: &SourceInfo,
        buffers: &mut Buffers,
    ) -> Result<Task, Failure> {
        let natural = match source.given() {
            Some(ElementType::UInt8) => Some((0.0, 255.0)),
            Some(ElementType::Int8) => Some((-128.0, 127.0)),
            Some(ElementType::UInt16) => Some((0.0, 65535.0)),
            Some(ElementType::Int16) => Some((-32768.0, 32767.0)),
            _ => None,
        };
        let least = parameters.range_min.or(natural.map(|range| range.0));
        let most = parameters.range_max.or(natural.map(|range| range.1));
        let Some((least, most)) = least.zip(most) else {
            let told = "of these numbers `range_min` and `range_max` have to be given";
            return Err(Failure::new(told));
        };
        if least >= most {
            return Err(Failure::new("`range_max` has to be larger than `range_min`"));
        }
        let bins = parameters.bins;
        let edge = |number: usize| match number {
            last if last == bins => most,
            _ => least + (most - least) / bins as f64 * number as f64,
        };
        let edges: Vec<f64> = (0..=bins).map(edge).collect();
        let middles = edges.windows(2).map(|pair| f64::midpoint(pair[0], pair[1]));
        let name = if source.quantity.is_empty() { "Value" } else { &source.quantity };
        let axis = Dimension::new(name, &*source.units, middles.collect::<Vec<f64>>());
        let counts = match parameters.of {
            Of::Scan => buffers.single("Counts"),
            Of::Point => buffers.per_point("Counts"),
            Of::Position => buffers.per_position("Counts"),
        };
        let counts = counts.along(vec![axis]).published("Count", "");
        let three = Dimension::new("Below, above, none", "", AxisValues::counted(3));
        let outside = buffers.single("Outside").along(vec![three]).published("Count", "");
        Ok(Task { edges, of: parameters.of, counts, outside })
    }

    fn process_tile(
        task: &Task,
        tile: &mut Tile<'_, f64>,
        parts: &mut Parts<'_>,
        _: &mut (),
    ) -> Result<(), Failure> {
        let (counts, outside) = parts.of((task.counts, task.outside));
        let bins = task.edges.len() - 1;
        let (first, last) = (task.edges[0], task.edges[bins]);
        for (index, row) in tile.values().rows().into_iter().enumerate() {
            for (point, value) in row.iter().enumerate() {
                if *value >= first && *value <= last {
                    let place = match task.of {
                        Of::Scan => 0,
                        Of::Point => point,
                        Of::Position => index,
                    };
                    counts[place * bins + task.bin(*value)] += 1;
                } else {
                    let which = if *value < first { 0 } else { 1 + usize::from(value.is_nan()) };
                    outside[which] += 1;
                }
            }
        }
        Ok(())
    }

    fn merge(task: &Task, into: &mut Parts<'_>, from: &mut Parts<'_>) -> Result<(), Failure> {
        let mut buffers = vec![task.outside];
        if task.of != Of::Position {
            buffers.push(task.counts);
        }
        for buffer in buffers {
            let pairs = into.get(buffer).iter_mut().zip(from.get(buffer));
            pairs.for_each(|(count, other)| *count += *other);
        }
        Ok(())
    }
}
