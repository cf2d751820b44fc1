//! How often values occur: of the whole scan, of each point of a spectrum over all positions, or of
//! each position.
//!
//! `Counts` of bin k of `bins` is the number of values v with e_k ≤ v < e_(k+1), of the last bin
//! also of those that are its end, where e are `bins` + 1 edges at the same distance from
//! `range_min` to `range_max`: NumPy's `histogram`. `Outside` are the numbers of values below,
//! above, and that are no numbers (NaN).
//!
//! With `range_quantiles` [p, q] the edges run from the p-th quantile of the finite values that are
//! counted together to the q-th, each as `quantiles` defines it, and are in `Edges`, in the units
//! of the values: one more than bins for the scan, for each point or for each position. What is
//! infinite is outside. Where both are the same v, the edges run from v − h to v + h with h = ½, or
//! 10⁻⁹|v| if that is more; where there are no values, they are none (NaN).
//!
//! Those of each position are exact, and those of integers of up to 16 bits, each of which is
//! counted. Other values can't be kept until the range is known. They are counted in the narrow
//! bins of `quantiles`, M from each power of two to the next, M the first power of two that isn't
//! less than 1/`error`, for sizes from 2⁻¹⁴⁹ to 2¹²⁸; smaller and larger ones have a bin each.
//! Edges are put where narrow bins begin: the first where that of x_⌊p(n − 1)⌋ does, the last where
//! that of x_⌈q(n − 1)⌉ ends, but not beyond the smallest and the largest value; those between
//! where it is nearest to the same distance. So the first and the last are no further off from
//! these values, and the others from the same distance between the two, than `Relative_Error` of
//! themselves, which is 1/M, and what `Counts` says of the bins between `Edges` is exact, as
//! NumPy's `histogram` counts with these edges. Bins that would be narrower than the narrow ones
//! are empty, of no width.
//!
//! Memory for these is 8 bytes for each of 277 M narrow bins of either sign, or 4 for each point.

mod edges;

use pixelmill_core::axis_values::AxisValues;
use pixelmill_core::element::ElementType;
use pixelmill_core::process::{Dimension, Failure, Parameters as Checked, SourceInfo, Spectrum};
use pixelmill_core::reduction::{Buffer, Buffers, Parts, Reduction, Tile, Whole};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quantiles::Of;
use crate::quantiles::bins::Bins;
use crate::quantiles::counted::{Counted, OfPlace, which};
use crate::quantiles::order::Order;
use edges::{bin, equidistant, finely_counted, widened};

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
    /// Between which two quantiles of the values the bins are instead, from 0, the smallest, to 1,
    /// the largest: [0.02, 0.98] leaves a fiftieth out at both ends. `Edges` tells where they are.
    pub range_quantiles: Option<Vec<f64>>,
    /// How far edges between quantiles may be off, relative to themselves: a five-hundredth if
    /// nothing is given, a fiftieth for each point, but nothing of integers of up to 16 bits
    /// and of each position.
    #[schemars(range(min = 1e-5, max = 1))]
    pub error: Option<f64>,
    /// What is counted together: all values of the scan, those of each point, or of each position.
    pub of: Of,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            bins: 100,
            range_min: None,
            range_max: None,
            range_quantiles: None,
            error: None,
            of: Of::Scan,
        }
    }
}

impl Checked for Parameters {
    fn check(&self) -> Result<(), Failure> {
        let Some(quantiles) = &self.range_quantiles else {
            if self.error.is_some() {
                let told = "`error` is how far edges between `range_quantiles` may be off";
                return Err(Failure::new(told));
            }
            return self.check_range();
        };
        if self.range_min.is_some() || self.range_max.is_some() {
            let told = "the bins are from `range_min` to `range_max`, or between `range_quantiles`";
            return Err(Failure::new(told));
        }
        match quantiles.as_slice() {
            [low, high] if (0.0..*high).contains(low) && *high <= 1.0 => Ok(()),
            _ => {
                let told = "`range_quantiles` has to be two numbers from 0 to 1, the smaller first";
                Err(Failure::new(told))
            }
        }
    }
}

impl Parameters {
    fn check_range(&self) -> Result<(), Failure> {
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

/// Where the bins are, and where counts go.
pub struct Task {
    bins: usize,
    of: Of,
    counts: Buffer<u64>,
    outside: Buffer<u64>,
    range: Range,
}

/// Where the bins are.
enum Range {
    /// Between these edges.
    Known(Vec<f64>),
    Quantiles(Quantiles),
}

/// Where the bins are between quantiles.
struct Quantiles {
    asked: Vec<f64>,
    edges: Buffer<f64>,
    error: Buffer<f64>,
    /// What is outside by now; the rest is known at the end.
    left_out: Buffer<u64>,
    /// How values are counted, unless those of a position are at hand, and how many there are of
    /// what is counted together.
    counted: Option<(Counted, usize)>,
}

/// Memory that a worker keeps.
#[derive(Default)]
pub struct Scratch {
    values: Vec<f64>,
    order: Order,
}

/// The bins of `quantiles` for values that can't be kept: other sizes than those of 32-bit numbers
/// are no reason to have eight times as many.
fn narrow_bins(parameters: &Parameters, source: &SourceInfo) -> Result<Bins, Failure> {
    let integers = Bins::new(source.given(), None, (None, None))?;
    if matches!(integers, Bins::Integers { .. }) && parameters.error.is_none() {
        return Ok(integers);
    }
    let error = parameters.error.unwrap_or(if parameters.of == Of::Scan { 0.002 } else { 0.02 });
    // Of bins of the width w the middle is off by w/(2 + w).
    let sizes = (Some(2f64.powi(-149)), Some(2f64.powi(127)));
    Bins::new(source.given(), Some(error / (2.0 + error)), sizes)
}

/// The edges that are asked for, or that integers of up to 16 bits have.
fn known_edges(parameters: &Parameters, source: &SourceInfo) -> Result<Vec<f64>, Failure> {
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
        let told =
            "of these numbers `range_min` and `range_max` have to be given, or `range_quantiles`";
        return Err(Failure::new(told));
    };
    if least >= most {
        return Err(Failure::new("`range_max` has to be larger than `range_min`"));
    }
    let mut edges = vec![0.0; parameters.bins + 1];
    equidistant((least, most), &mut edges);
    Ok(edges)
}

impl Task {
    fn between_edges(
        parameters: &Parameters,
        source: &SourceInfo,
        buffers: &mut Buffers,
    ) -> Result<Self, Failure> {
        let edges = known_edges(parameters, source)?;
        let middles = edges.windows(2).map(|pair| f64::midpoint(pair[0], pair[1]));
        let name = if source.quantity.is_empty() { "Value" } else { &source.quantity };
        let axis = Dimension::new(name, &*source.units, middles.collect::<Vec<f64>>());
        let counts = match parameters.of {
            Of::Scan => buffers.single("Counts"),
            Of::Point => buffers.per_point("Counts"),
            Of::Position => buffers.per_position("Counts"),
        };
        Ok(Self {
            bins: parameters.bins,
            of: parameters.of,
            counts: counts.along(vec![axis]).published("Count", ""),
            outside: buffers.single("Outside").along(sides()).published("Count", ""),
            range: Range::Known(edges),
        })
    }

    fn between_quantiles(
        (parameters, asked): (&Parameters, &[f64]),
        source: &SourceInfo,
        buffers: &mut Buffers,
    ) -> Result<Self, Failure> {
        let Parameters { bins, of, .. } = *parameters;
        let axis = |name: &str, length| vec![Dimension::new(name, "", AxisValues::counted(length))];
        let (bin, edge) = (axis("Bin", bins), axis("Edge", bins + 1));
        let (quantity, units) = (source.quantity.as_str(), source.units.as_str());
        let (counts, edges) = match of {
            Of::Scan => (
                buffers.single("Counts").along(bin).at_end("Count", ""),
                buffers.single("Edges").along(edge).at_end(quantity, units),
            ),
            Of::Point => (
                buffers.per_point("Counts").along(bin).at_end("Count", ""),
                buffers.per_point("Edges").along(edge).at_end(quantity, units),
            ),
            Of::Position => (
                buffers.per_position("Counts").along(bin).published("Count", ""),
                buffers.per_position("Edges").along(edge).published(quantity, units),
            ),
        };
        let counted = match of {
            Of::Position => None,
            Of::Scan | Of::Point => {
                let narrow = narrow_bins(parameters, source)?;
                let counted = Counted::new(of, (narrow, false), source, buffers)?;
                Some((counted, if of == Of::Scan { 1 } else { source.spectral_points }))
            }
        };
        let quantiles = Quantiles {
            asked: asked.to_vec(),
            edges,
            error: buffers.single("Relative_Error").at_end("Relative Error", ""),
            left_out: buffers.single("Left_Out").along(sides()).private(),
            counted,
        };
        let outside = buffers.single("Outside").along(sides()).at_end("Count", "");
        Ok(Self { bins, of, counts, outside, range: Range::Quantiles(quantiles) })
    }
}

/// What is outside of all bins.
fn sides() -> Vec<Dimension> {
    vec![Dimension::new("Below, above, none", "", AxisValues::counted(3))]
}

impl Quantiles {
    /// Makes the histograms of what is counted together.
    fn finish(&self, task: &Task, all: &mut Parts<'_>) {
        let mut outside = [0; 3];
        outside.copy_from_slice(all.get(self.left_out));
        all.get(self.error)[0] = 0.0;
        if let Some((counted, places)) = &self.counted {
            if let Bins::Sizes(sizes) = &counted.bins {
                all.get(self.error)[0] = sizes.width();
            }
            let mut of_place = OfPlace::default();
            for place in 0..*places {
                counted.read(place, all, &mut of_place);
                let (edges, counts) = all.of((self.edges, task.counts));
                let edges = &mut edges[place * (task.bins + 1)..][..task.bins + 1];
                let counts = &mut counts[place * task.bins..][..task.bins];
                finely_counted(
                    (&counted.bins, &of_place),
                    &self.asked,
                    (edges, counts),
                    &mut outside,
                );
            }
        }
        all.get(task.outside).copy_from_slice(&outside);
    }

    /// Makes the histogram of a position.
    fn of_position(
        &self,
        spectrum: &[f64],
        (edges, counts, left_out): (&mut [f64], &mut [u64], &mut [u64]),
        Scratch { values, order }: &mut Scratch,
    ) {
        values.clear();
        for value in spectrum {
            match value.is_finite() {
                // Zeros are the same whatever their sign.
                true => values.push(*value + 0.0),
                false => left_out[which(*value)] += 1,
            }
        }
        let mut ends = [0.0; 2];
        order.quantiles_of(values, &self.asked, &mut ends);
        let ends = widened((ends[0], ends[1]));
        equidistant(ends, edges);
        for value in &*values {
            match bin(edges, *value) {
                Some(bin) => counts[bin] += 1,
                None => left_out[usize::from(*value > ends.1)] += 1,
            }
        }
    }
}

impl Reduction for Histogram {
    const NAME: &'static str = "Histogram";
    const VERSION: u32 = 2;
    const SUMMARY: &'static str = "how often values occur, in the scan, at each point or position";

    type Parameters = Parameters;
    type Input = f64;
    type Task = Task;
    type Scratch = Scratch;

    fn prepare(
        parameters: &Parameters,
        source: &SourceInfo,
        buffers: &mut Buffers,
    ) -> Result<Task, Failure> {
        match &parameters.range_quantiles {
            None => Task::between_edges(parameters, source, buffers),
            Some(asked) => Task::between_quantiles((parameters, asked), source, buffers),
        }
    }

    fn whole(parameters: &Parameters, _: &SourceInfo) -> Whole {
        match (parameters.of, &parameters.range_quantiles) {
            (Of::Position, Some(_)) => Whole::Spectrum,
            _ => Whole::Tile,
        }
    }

    fn extra_memory(parameters: &Parameters, source: &SourceInfo) -> usize {
        match Self::whole(parameters, source) {
            Whole::Spectrum => 8 * source.spectral_points,
            _ => 0,
        }
    }

    fn shared_memory(task: &Task) -> usize {
        match &task.range {
            Range::Quantiles(Quantiles { counted: Some((counted, places)), .. }) => {
                // The results, and what they are while there are none.
                2 * 8 * places * (2 * task.bins + 1) + counted.memory_of_place()
            }
            _ => 0,
        }
    }

    fn preprocess(task: &Task, all: &mut Parts<'_>) {
        if let Range::Quantiles(Quantiles { counted: Some((counted, _)), .. }) = &task.range {
            counted.preprocess(all);
        }
    }

    fn process_tile(
        task: &Task,
        tile: &mut Tile<'_, f64>,
        parts: &mut Parts<'_>,
        _: &mut Scratch,
    ) -> Result<(), Failure> {
        let edges = match &task.range {
            Range::Known(edges) => edges,
            Range::Quantiles(quantiles) => {
                if let Some((counted, _)) = &quantiles.counted {
                    let left_out = counted.add(tile, parts);
                    add(parts.get(quantiles.left_out), &left_out);
                }
                return Ok(());
            }
        };
        let (counts, outside) = parts.of((task.counts, task.outside));
        for (index, row) in tile.values().rows().into_iter().enumerate() {
            for (point, value) in row.iter().enumerate() {
                if let Some(bin) = bin(edges, *value) {
                    let place = match task.of {
                        Of::Scan => 0,
                        Of::Point => point,
                        Of::Position => index,
                    };
                    counts[place * task.bins + bin] += 1;
                } else {
                    let side = if *value < edges[0] { 0 } else { 1 + usize::from(value.is_nan()) };
                    outside[side] += 1;
                }
            }
        }
        Ok(())
    }

    fn process_spectrum(
        task: &Task,
        spectrum: Spectrum<'_, f64>,
        parts: &mut Parts<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), Failure> {
        if let Range::Quantiles(quantiles) = &task.range {
            let into = parts.of((quantiles.edges, task.counts, quantiles.left_out));
            quantiles.of_position(&spectrum, into, scratch);
        }
        Ok(())
    }

    fn merge(task: &Task, into: &mut Parts<'_>, from: &mut Parts<'_>) -> Result<(), Failure> {
        match &task.range {
            Range::Known(_) => {
                add(into.get(task.outside), from.get(task.outside));
                if task.of != Of::Position {
                    add(into.get(task.counts), from.get(task.counts));
                }
            }
            Range::Quantiles(quantiles) => {
                add(into.get(quantiles.left_out), from.get(quantiles.left_out));
                if let Some((counted, _)) = &quantiles.counted {
                    counted.merge(into, from);
                }
            }
        }
        Ok(())
    }

    fn finish(task: &Task, all: &mut Parts<'_>) -> Result<(), Failure> {
        if let Range::Quantiles(quantiles) = &task.range {
            quantiles.finish(task, all);
        }
        Ok(())
    }
}

fn add(into: &mut [u64], from: &[u64]) {
    into.iter_mut().zip(from).for_each(|(count, other)| *count += *other);
}
