//! Spectra with fewer, wider points, and scans with fewer, larger positions: bins of so many
//! neighbouring ones along each axis, summed or averaged, as HyperSpy's `rebin` by whole numbers.
//!
//! Bin k of an axis with `by` = b holds the points b·k … b·k + b − 1; points behind the last whole
//! bin are left out. With `positions` the same is done along the axes of the scan, and results are
//! of the smaller scan that the bins make. `Rebinned` is the sum over the bin of all axes, or with
//! `mean` that divided by the number of its points, in the units of the source; the value of an
//! axis at a bin is the mean of those of its points. Sums are in double precision, point after
//! point in their order, of bins of positions some lines of each position at a time. `dtype`
//! says what is written: `float64`, `float32` (rounded), `keep` the source's type, or `grow` the
//! shortest integer type of its kind that holds every possible sum; floating-point sources then
//! stay what they are. An integer that its type doesn't hold, or one beyond 2⁵³, fails its
//! position. A value that is no number makes none of its bin. Shapes: (…, n, …) gives
//! (…, ⌊n/b⌋, …).

use std::borrow::Cow;
use std::ops::Range;

use pixelmill_core::process::{
    Declaration, Dimension, Failure, Halo, Model, Neighbours, Outputs, Parameters as Checked,
    Process, SourceInfo, Spectrum, Unit, spectrum_by_spectrum,
};
use pixelmill_core::{ElementType, Results};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::as_source;
use crate::choices::one_of;
use crate::window;

/// The bins, and what is made of them.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// Points of a bin: one number for all axes of a spectrum, or one for each, slowest first.
    #[schemars(extend("unit" = "points"))]
    pub by: By,
    /// Steps of a bin of positions: one number for all axes of the scan, or one for each, slowest
    /// first; by default positions stay as they are.
    // Left out where it isn't asked for: results are known by what is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("unit" = "steps"))]
    pub positions: Option<By>,
    /// Whether bins have the mean of their points, not the sum.
    pub mean: bool,
    /// What is written: double or single precision, the source's type, or one in which no sum
    /// overflows.
    pub dtype: Dtype,
}

/// Points of a bin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "it has to be a whole number, or one for each axis as [2, 4]")]
pub enum By {
    /// The same on all axes.
    All(usize),
    /// Of one axis each.
    Each(Vec<usize>),
}

impl Default for By {
    fn default() -> Self {
        Self::All(2)
    }
}

impl JsonSchema for By {
    fn schema_name() -> Cow<'static, str> {
        "By".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["integer", "array"] })
    }
}

impl By {
    /// What is given.
    fn given(&self) -> &[usize] {
        match self {
            Self::All(one) => std::slice::from_ref(one),
            Self::Each(each) => each,
        }
    }

    /// That of each of these axes, which are those of what the parameter `name` is for.
    fn on(&self, axes: &[Dimension], (name, of): (&str, &str)) -> Result<Vec<usize>, Failure> {
        let each = match self {
            Self::All(one) => vec![*one; axes.len()],
            Self::Each(each) if each.len() == axes.len() => each.clone(),
            Self::Each(each) => {
                let names: Vec<String> =
                    axes.iter().map(|axis| format!("`{}`", axis.name)).collect();
                return Err(Failure::new(format!(
                    "`{name}` has {} numbers for the axes of a {of}, {}: give one for each, or \
                     one for all",
                    each.len(),
                    names.join(", ")
                )));
            }
        };
        match each.iter().zip(axes).find(|(by, axis)| **by > axis.len()) {
            Some((by, axis)) => Err(Failure::new(format!(
                "`{}` has {} points, less than a bin of {by}",
                axis.name,
                axis.len()
            ))),
            None => Ok(each),
        }
    }
}

impl Parameters {
    /// Points of a bin along each axis of a spectrum.
    fn of_spectrum(&self, axes: &[Dimension]) -> Result<Vec<usize>, Failure> {
        self.by.on(axes, ("by", "spectrum"))
    }

    /// Steps of a bin along each axis of the scan, if there are bins of positions.
    fn of_scan(&self, source: &SourceInfo) -> Result<Option<Vec<usize>>, Failure> {
        let axes = &source.position_dimensions;
        self.positions.as_ref().map(|by| by.on(axes, ("positions", "scan"))).transpose()
    }

    /// How many points are in a bin with so many along each axis of a spectrum.
    fn points(&self, by: &[usize], source: &SourceInfo) -> Result<usize, Failure> {
        let positions = self.of_scan(source)?.unwrap_or_default();
        Ok(by.iter().chain(&positions).product())
    }
}

/// What is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// Double precision.
    #[default]
    Float64,
    /// Single precision.
    Float32,
    /// The source's type.
    Keep,
    /// One of its kind in which no sum overflows.
    Grow,
}

one_of!(Dtype: "float64", "float32", "keep", "grow");

impl Checked for Parameters {
    fn check(&self) -> Result<(), Failure> {
        let given =
            [("by", "points", Some(&self.by)), ("positions", "steps", self.positions.as_ref())];
        for (name, what, by) in given {
            if by.is_some_and(|by| by.given().is_empty() || by.given().contains(&0)) {
                let told = format!("`{name}` has to be whole numbers of {what}, from 1 on");
                return Err(Failure::new(told));
            }
        }
        if self.mean && matches!(self.dtype, Dtype::Keep | Dtype::Grow) {
            let told = "means are no integers: `mean` goes with the dtype float64 or float32";
            return Err(Failure::new(told));
        }
        Ok(())
    }
}

/// The process `Rebin`.
pub struct Rebin;

/// The bins of a spectrum.
pub struct Task {
    lengths: Vec<usize>,
    by: Vec<usize>,
    bins: usize,
    /// What sums are divided by.
    points: f64,
    element: ElementType,
    /// Whether a sum on its way may be an integer that double precision doesn't have. It fails
    /// then, whatever is added later.
    may_be_inexact: bool,
    /// Whether there are bins of positions.
    of_positions: bool,
}

/// Points of all positions of a bin that are converted at a time, more or less.
const POINTS: usize = 4096;

macro_rules! types {
    ($($name:ident $type:ty),+) => {
        /// Bins in the type that is written.
        pub enum Output {
            $(
                #[doc = concat!("As `", stringify!($type), "`.")]
                $name(Vec<$type>)
            ),+
        }

        impl Output {
            fn declare(
                element: ElementType,
                declaration: Declaration<'_, Self>,
                axes: Vec<Dimension>,
            ) {
                match element {
                    $(ElementType::$name => declaration.spectrum(axes, |output: &Self| match output {
                        Self::$name(values) => values.as_slice(),
                        _ => &[],
                    }),)+
                    _ => unreachable!("bins are written as integers, or in double or single precision"),
                }
            }

            fn of(element: ElementType, sums: &[f64]) -> Result<Self, Failure> {
                match element {
                    $(ElementType::$name => {
                        let values = sums.iter().map(|sum| <$type>::of(*sum));
                        values.collect::<Result<_, _>>().map(Self::$name)
                    })+
                    _ => unreachable!("bins are written as integers, or in double or single precision"),
                }
            }
        }
    };
}

types!(
    UInt8 u8, UInt16 u16, UInt32 u32, UInt64 u64, Int8 i8, Int16 i16, Int32 i32, Int64 i64,
    Float32 f32, Float64 f64
);

/// What a sum becomes.
trait Written: Sized {
    fn of(sum: f64) -> Result<Self, Failure>;
}

/// From here on double precision doesn't have all integers.
const EXACT: f64 = 9_007_199_254_740_992.0;

macro_rules! integers {
    ($($type:ty),+) => {
        $(impl Written for $type {
            fn of(sum: f64) -> Result<Self, Failure> {
                let value = sum as $type;
                if value as f64 == sum && sum.abs() < EXACT {
                    return Ok(value);
                }
                // Not which sum: failures that are alike are told once.
                Err(Failure::new(format!(
                    "a sum is none of the integers of {} bits that were asked for; the dtype grow \
                     or float64 holds more",
                    <$type>::BITS
                )))
            }
        })+
    };
}

integers!(u8, u16, u32, u64, i8, i16, i32, i64);

impl Written for f32 {
    fn of(sum: f64) -> Result<Self, Failure> {
        Ok(sum as Self)
    }
}

impl Written for f64 {
    fn of(sum: f64) -> Result<Self, Failure> {
        Ok(sum)
    }
}

/// What bins of so many points are written as.
fn written(dtype: Dtype, source: ElementType, points: usize) -> ElementType {
    use ElementType::{Float32, Float64, Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64};
    match (dtype, source) {
        (Dtype::Float64, _) => Float64,
        (Dtype::Float32, _) => Float32,
        (Dtype::Keep | Dtype::Grow, _) if !source.is_integer() => {
            if source.converts_to(Float32, false) { Float32 } else { Float64 }
        }
        (Dtype::Keep, _) => source,
        (Dtype::Grow, _) => {
            // Of the largest value so many: as many bits more as their number has.
            let more = points.next_power_of_two().ilog2();
            let bits = 8 * source.size() as u32 + more;
            let is_signed = matches!(source, Int8 | Int16 | Int32 | Int64);
            match (bits, is_signed) {
                (..=8, false) => UInt8,
                (..=16, false) => UInt16,
                (..=32, false) => UInt32,
                (_, false) => UInt64,
                (..=8, true) => Int8,
                (..=16, true) => Int16,
                (..=32, true) => Int32,
                (_, true) => Int64,
            }
        }
    }
}

impl Process for Rebin {
    const NAME: &'static str = "Rebin";
    const VERSION: u32 = 2;
    const SUMMARY: &'static str = "each real spectrum in bins of several points";

    type Parameters = Parameters;
    type Input = f64;
    type Output = Output;
    type Task = Task;
    type Scratch = Vec<f64>;

    fn prepare(parameters: &Parameters, source: &SourceInfo) -> Result<Task, Failure> {
        let axes = as_source::axes(source);
        let by = parameters.of_spectrum(&axes)?;
        let lengths: Vec<usize> = axes.iter().map(Dimension::len).collect();
        let points = parameters.points(&by, source)?;
        let element = written(parameters.dtype, source.element, points);
        let is_integer = element.is_integer();
        Ok(Task {
            bins: lengths.iter().zip(&by).map(|(length, by)| length / by).product(),
            points: if parameters.mean { points as f64 } else { 1.0 },
            may_be_inexact: source.element.is_integer() && source.element.size() > 4 && is_integer,
            element,
            lengths,
            by,
            of_positions: parameters.positions.is_some(),
        })
    }

    fn create_results_datasets(
        parameters: &Parameters,
        source: &SourceInfo,
        results: &mut Results<Output>,
    ) {
        let axes = as_source::axes(source);
        // What doesn't fit is refused in `prepare`.
        let by = parameters.of_spectrum(&axes).unwrap_or_else(|_| vec![1; axes.len()]);
        let points = parameters.points(&by, source).unwrap_or(1);
        let element = written(parameters.dtype, source.element, points);
        let axes = axes.iter().zip(by).map(|(axis, by)| axis.in_bins(by)).collect();
        Output::declare(element, results.main("Rebinned", &source.quantity, &source.units), axes);
    }

    fn map_function(
        task: &Task,
        spectrum: Spectrum<'_, f64>,
        sums: &mut Vec<f64>,
    ) -> Result<Output, Failure> {
        task.add(&spectrum, sums);
        Output::of(task.element, sums)
    }

    fn model(task: &Task, spectrum: Spectrum<'_, f64>, _: &Output) -> Model {
        // Over the data, those of the first position of a bin, at the height of these: the mean of
        // each point's bin; what lies in none is what it was.
        let mut sums = Vec::new();
        task.add(&spectrum, &mut sums);
        let of_each = spectrum.neighbours.len().max(1) * task.by.iter().product::<usize>();
        let points = of_each as f64 / task.points;
        let at =
            |point: usize| task.bin_of(point).map_or(spectrum[point], |bin| sums[bin] / points);
        Model::new().curve("bins", (0..spectrum.len()).map(at).collect::<Vec<f64>>())
    }

    fn halo(parameters: &Parameters, source: &SourceInfo) -> Result<Option<Halo>, Failure> {
        let steps = parameters.of_scan(source)?;
        steps.map(|steps| window::bins(&steps)).transpose()
    }

    fn memory_per_neighbour(parameters: &Parameters, source: &SourceInfo) -> usize {
        let longest = |task: Task| task.parts().map(|part| part.len()).max().unwrap_or(0);
        let points = Self::prepare(parameters, source).map_or(source.spectral_points, longest);
        points * size_of::<f64>()
    }

    fn extra_memory_per_position(parameters: &Parameters, source: &SourceInfo) -> usize {
        match Self::prepare(parameters, source) {
            Ok(task) if task.of_positions => task.bins * size_of::<f64>(),
            _ => 0,
        }
    }

    /// Bins of positions part by part: what is converted is added to all of its bins while it is in
    /// the processor's cache.
    fn unit_computation(
        task: &Task,
        unit: &mut Unit<'_, f64>,
        sums: &mut Vec<f64>,
        outputs: &mut Outputs<'_, Output>,
    ) -> Result<(), Failure> {
        if !task.of_positions {
            spectrum_by_spectrum::<Self>(task, unit, sums, outputs);
            return Ok(());
        }
        let count = unit.len();
        sums.clear();
        sums.resize(count * task.bins, 0.0);
        for part in task.parts() {
            let positions = unit.channels(part.clone());
            for (index, sums) in sums.chunks_exact_mut(task.bins).enumerate() {
                task.add_part(part.start, positions.neighbours(index), sums);
            }
        }
        for (index, sums) in sums.chunks_exact_mut(task.bins).enumerate() {
            task.divide(sums);
            outputs.set(index, Output::of(task.element, sums));
        }
        Ok(())
    }
}

impl Task {
    /// Fills `sums` with those of the bins, or their means.
    fn add(&self, spectrum: &Spectrum<'_, f64>, sums: &mut Vec<f64>) {
        sums.clear();
        sums.resize(self.bins, 0.0);
        if self.of_positions {
            for part in self.parts() {
                let positions = spectrum.neighbours.channels(part.clone());
                self.add_part(part.start, positions, sums);
            }
        } else {
            self.add_lines(0, spectrum, sums);
        }
        self.divide(sums);
    }

    /// Length of the lines along the fastest axis, and points of a bin on them; a single value is
    /// on no axis.
    fn line(&self) -> (usize, usize) {
        self.lengths.last().copied().zip(self.by.last().copied()).unwrap_or((1, 1))
    }

    /// The parts of a spectrum that are added at a time: whole lines, or of long ones whole bins.
    fn parts(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (length, by) = self.line();
        let all = self.lengths.iter().product::<usize>();
        let (stretch, step) = if length <= POINTS {
            (all, POINTS / length * length)
        } else {
            (length, (POINTS / by).max(1) * by)
        };
        (0..all).step_by(stretch).flat_map(move |begin| {
            let end = begin + stretch;
            (begin..end).step_by(step).map(move |first| first..end.min(first + step))
        })
    }

    /// Adds the same part of all positions of a bin.
    fn add_part(&self, first: usize, positions: Neighbours<'_, f64>, sums: &mut [f64]) {
        positions.iter().flatten().for_each(|values| self.add_lines(first, values, sums));
    }

    /// Adds the values of some lines, or of a stretch of one, from this point on to their bins.
    fn add_lines(&self, first: usize, values: &[f64], sums: &mut [f64]) {
        let (length, by) = self.line();
        let used = length / by * by;
        for (line, values) in values.chunks(length).enumerate() {
            let point = first + line * length;
            let Some(bin) = self.bin_of(point) else { continue };
            let used = values.len().min(used - point % length);
            for (bin, points) in sums[bin..].iter_mut().zip(values[..used].chunks(by)) {
                if self.may_be_inexact {
                    let exact = |sum: f64| if sum.abs() < EXACT { sum } else { f64::NAN };
                    points.iter().for_each(|value| *bin = exact(*bin + value));
                } else {
                    points.iter().for_each(|value| *bin += value);
                }
            }
        }
    }

    /// Makes means of sums, if that is asked for.
    fn divide(&self, sums: &mut [f64]) {
        if self.points > 1.0 {
            sums.iter_mut().for_each(|sum| *sum /= self.points);
        }
    }

    /// The bin that a point lies in, if it lies in one.
    fn bin_of(&self, point: usize) -> Option<usize> {
        let (mut left, mut number, mut before) = (point, 0, 1);
        for (length, by) in self.lengths.iter().zip(&self.by).rev() {
            let (bins, place) = (length / by, left % length / by);
            if place >= bins {
                return None;
            }
            number += place * before;
            before *= bins;
            left /= length;
        }
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(lengths: &[usize], by: &[usize], element: ElementType) -> Task {
        let bins = lengths.iter().zip(by).map(|(length, by)| length / by).product();
        Task {
            lengths: lengths.to_vec(),
            by: by.to_vec(),
            bins,
            points: 1.0,
            element,
            may_be_inexact: false,
            of_positions: false,
        }
    }

    #[test]
    fn bins_are_summed_along_each_axis() {
        let mut sums = Vec::new();
        let values: Vec<f64> = (0..24).map(f64::from).collect();
        let add = |task: Task, sums: &mut Vec<f64>| {
            task.add(&Spectrum::new(&values, &task.lengths), sums);
        };
        add(task(&[24], &[5], ElementType::Float64), &mut sums);
        assert_eq!(sums, [10.0, 35.0, 60.0, 85.0]);
        add(task(&[4, 6], &[2, 4], ElementType::Float64), &mut sums);
        assert_eq!(sums, [36.0, 132.0]);
        add(task(&[2, 3, 4], &[1, 2, 2], ElementType::Float64), &mut sums);
        assert_eq!(sums, [10.0, 18.0, 58.0, 66.0]);
        add(task(&[2, 3, 4], &[1, 1, 1], ElementType::Float64), &mut sums);
        assert_eq!(sums, values);
    }

    #[test]
    fn parts_cut_no_bin_of_a_line() {
        for (lengths, by, longest) in [
            (vec![5], vec![2], 5),
            (vec![100, 300], vec![3, 7], 13 * 300),
            (vec![3, 10_000], vec![2, 7], 4095),
            (vec![9_999], vec![5000], 5000),
            (Vec::new(), Vec::new(), 1),
        ] {
            let task = task(&lengths, &by, ElementType::Float64);
            let parts: Vec<_> = task.parts().collect();
            let points = parts.iter().cloned().flatten();
            assert!(points.eq(0..lengths.iter().product()), "{lengths:?} {by:?}");
            assert_eq!(parts.iter().map(Range::len).max(), Some(longest), "{lengths:?} {by:?}");
            let values: Vec<f64> = (0..parts.last().unwrap().end).map(|at| at as f64).collect();
            let (mut whole, mut by_parts) = (vec![0.0; task.bins], vec![0.0; task.bins]);
            task.add_lines(0, &values, &mut whole);
            let each = parts.into_iter().map(|part| (part.start, &values[part]));
            each.for_each(|(first, values)| task.add_lines(first, values, &mut by_parts));
            assert_eq!(whole, by_parts, "{lengths:?} {by:?}");
        }
    }

    #[test]
    fn sums_that_are_inexact_on_their_way_fail() {
        let large = (1u64 << 53) as f64;
        let values = [large - 1.0, large - 2.0, 5.0, 1.0 - large, -100.0];
        let task = Task { may_be_inexact: true, ..task(&[5], &[5], ElementType::Int64) };
        let mut sums = Vec::new();
        task.add(&Spectrum::new(&values, &[5]), &mut sums);
        assert!(Output::of(ElementType::Int64, &sums).is_err());
        let small = values.map(|value| value / 4.0);
        task.add(&Spectrum::new(&small, &[5]), &mut sums);
        assert_eq!(sums, [small.iter().sum::<f64>()]);
    }

    #[test]
    fn a_type_grows_by_what_a_bin_needs() {
        use ElementType::{Float16, Float32, Float64, Int8, Int16, Int64, UInt8, UInt16, UInt32};
        for (dtype, source, points, expected) in [
            (Dtype::Grow, UInt8, 1, UInt8),
            (Dtype::Grow, UInt8, 2, UInt16),
            (Dtype::Grow, UInt8, 256, UInt16),
            (Dtype::Grow, UInt8, 257, UInt32),
            (Dtype::Grow, Int8, 256, Int16),
            (Dtype::Grow, Int64, 4, Int64),
            (Dtype::Grow, Float16, 4, Float32),
            (Dtype::Keep, UInt16, 4096, UInt16),
            (Dtype::Keep, Float64, 2, Float64),
            (Dtype::Float64, UInt8, 2, Float64),
        ] {
            assert_eq!(written(dtype, source, points), expected, "{dtype:?} {source} {points}");
        }
        // The largest sums that there can be.
        assert!(u16::of(255.0 * 256.0).is_ok() && i16::of(-128.0 * 256.0).is_ok());
        for sum in [65_536.0, -1.0, f64::NAN, 0.5] {
            assert!(u16::of(sum).is_err(), "{sum}");
        }
        assert!(u64::of(EXACT).is_err() && u64::of(EXACT - 1.0).is_ok());
    }
}
