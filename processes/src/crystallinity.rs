//! How crystalline each frame is: what its Fourier transform has in a ring.
//!
//! F(v, u) = Σ f(y, x) e^(−2πi(vy/H + ux/W)) of a frame of H × W points, in which those not further
//! than `mask_radius` from the centre count as 0: the direct beam. Frequencies are in points of the
//! transform, v cycles in the height of the frame and u in its width; lattices whose spots are d
//! points apart have theirs at H/d. Over the frequencies from `radius_inner` (which doesn't count,
//! nor does 0) to `radius`, ρ² = v² + u²:
//!
//! - `Crystallinity` Σ |F|, in the units of the data;
//! - `Power_Fraction` Σ |F|² over that of all frequencies but 0, which is H·W·Σ (f − f̄)²: from 0 to
//!   1, whatever the intensity. A frame of one value everywhere has none: NaN.
//!
//! The measure is LiberTEM's `CrystallinityUDF`. That isn't the sum over the ring: it takes one
//! half of the transform, u ≥ 0, without taking twice what has another half. So the frequencies of
//! u = 0 and u = W/2 count twice as much as all others, and a lattice counts more when its spots
//! lie along the columns than along the rows. `half` gives its number. Its ring isn't around 0
//! where H or W is odd, but around −½ point; it computes in single precision where frames aren't
//! masked.
//!
//! A value that is no number or infinite fails its position, unless it is masked. Empty and
//! constant frames have a crystallinity of 0 up to rounding, if nothing is masked; saturated ones
//! are taken as they are. All is in double precision; the last bits depend on the processor's
//! instructions, since the transforms of `rustfft` do.

use std::ops::Range;

use multiversion::multiversion;
use num_complex::Complex64;
use pixelmill_core::Results;
use pixelmill_core::detector::{Detector, is_between};
use pixelmill_core::process::{
    Failure, Model, Outputs, Process, SourceInfo, Spectrum, SpectrumAxes, Unit,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fourier::{FrameRows, FrameScratch, FrameTransform, half};
use crate::frame_fourier::unusable;
use crate::region::widen;
use crate::side_by_side::LANES;

/// Which frequencies count, and which points don't.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// The largest frequency, in points of the transform; half the shorter axis if none.
    #[schemars(range(min = 0), extend("unit" = "points"))]
    pub radius: Option<f64>,
    /// Frequencies up to this one don't count.
    #[schemars(range(min = 0), extend("unit" = "points"))]
    pub radius_inner: f64,
    /// Points of the frame not further than this from its centre count as 0; none if this is none.
    #[schemars(range(min = 0), extend("unit" = "points"))]
    pub mask_radius: Option<f64>,
    /// The row of that centre, counted from 0; the middle if none.
    #[schemars(extend("unit" = "points"))]
    pub center_y: Option<f64>,
    /// The column of that centre; the middle if none.
    #[schemars(extend("unit" = "points"))]
    pub center_x: Option<f64>,
    /// Whether the crystallinity is LiberTEM's, of one half of the transform.
    pub half: bool,
}

impl pixelmill_core::process::Parameters for Parameters {
    fn check(&self) -> Result<(), Failure> {
        match self.radius {
            Some(radius) if radius <= self.radius_inner => {
                Err(Failure::new("`radius` has to be larger than `radius_inner`"))
            }
            _ => Ok(()),
        }
    }
}

/// The result of one frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Output {
    crystallinity: f64,
    power_fraction: f64,
}

/// The transform, the ring and the mask.
pub struct Task {
    transform: FrameTransform<f64>,
    centre: (f64, f64),
    shape: (usize, usize),
    half: bool,
    ring: Vec<Segment>,
    /// The points of each row of the frame that count as 0; nothing if none does.
    masked: Vec<Range<usize>>,
}

/// Neighbouring frequencies of the ring in a column of the transform.
struct Segment {
    /// Where they are in the columns, one behind the other.
    places: Range<usize>,
    /// How often they are in the whole transform: u and −u.
    times: f64,
}

/// Memory of a worker.
#[derive(Default)]
pub struct Scratch {
    work: Work,
    /// Frames of short numbers that can't be taken from where they lie.
    short: Vec<u16>,
    single: Vec<f32>,
}

#[derive(Default)]
struct Work {
    /// Rows without what is masked.
    rows: Vec<f64>,
    transform: FrameScratch<f64>,
    columns: Vec<Complex64>,
}

/// The process `Crystallinity`.
pub struct Crystallinity;

impl Process for Crystallinity {
    const NAME: &'static str = "Crystallinity";
    const VERSION: u32 = 2;
    const SUMMARY: &'static str =
        "how crystalline each frame is: its Fourier amplitude in a ring of frequencies";

    type Parameters = Parameters;
    type Input = f64;
    type Output = Output;
    type Task = Task;
    type Scratch = Scratch;

    fn spectrum_axes(_: &Parameters) -> SpectrumAxes {
        SpectrumAxes::Two
    }

    fn prepare(parameters: &Parameters, source: &SourceInfo) -> Result<Task, Failure> {
        let detector = Detector::of(source, (parameters.center_y, parameters.center_x))?;
        let radii = radii(parameters, &detector);
        let wanted = 0..kept(detector.shape, radii);
        let ring = ring(detector.shape, radii);
        if ring.is_empty() {
            let (from, to) = radii;
            let told = format!("no frequency of the frames lies in the ring from {from} to {to}");
            return Err(Failure::new(told));
        }
        let is_masked: Vec<bool> = match parameters.mask_radius {
            Some(radius) => detector.radii().map(|own| is_between(own, (0.0, radius))).collect(),
            None => Vec::new(),
        };
        if !is_masked.is_empty() && is_masked.iter().all(|is_masked| *is_masked) {
            return Err(Failure::new("all of the frames lies within `mask_radius`"));
        }
        let of_row = |row: &[bool]| {
            let first = row.iter().position(|is_masked| *is_masked);
            let last = row.iter().rposition(|is_masked| *is_masked);
            first.zip(last).map_or(0..0, |(first, last)| first..last + 1)
        };
        Ok(Task {
            transform: FrameTransform::new(detector.shape, wanted.collect()),
            centre: detector.centre,
            shape: detector.shape,
            half: parameters.half,
            ring,
            masked: is_masked.chunks(detector.shape.1).map(of_row).collect(),
        })
    }

    fn create_results_datasets(_: &Parameters, source: &SourceInfo, results: &mut Results<Output>) {
        results
            .main("Crystallinity", &source.quantity, &source.units)
            .scalar(|output: &Output| output.crystallinity);
        results
            .main("Power_Fraction", "Power fraction", "")
            .scalar(|output: &Output| output.power_fraction);
    }

    fn map_function(
        task: &Task,
        spectrum: Spectrum<'_, f64>,
        Scratch { work, .. }: &mut Scratch,
    ) -> Result<Output, Failure> {
        task.compute(&spectrum, work)
    }

    fn model(task: &Task, spectrum: Spectrum<'_, f64>, _: &Output) -> Model {
        let model = Model::new().place("centre", task.centre);
        if task.masked.is_empty() {
            return model;
        }
        let is_masked =
            |point: usize| task.masked[point / task.shape.1].contains(&(point % task.shape.1));
        model.outline("masked", (0..spectrum.len()).map(is_masked).collect())
    }

    fn extra_memory_per_position(parameters: &Parameters, source: &SourceInfo) -> usize {
        let Ok(detector) = Detector::of(source, (None, None)) else { return 0 };
        let (rows, columns) = detector.shape;
        let kept = kept(detector.shape, radii(parameters, &detector));
        // Besides the columns some rows, and what transforms take.
        let complex = kept * rows + 16 * columns + 8 * (rows + columns);
        let stored = rows * columns * size_of::<f32>();
        2 * columns * size_of::<f64>() + complex * size_of::<Complex64>() + stored
    }

    /// Not spectrum by spectrum through `map_function`, so that rows of short numbers become longer
    /// only where they are needed, near the processor.
    fn unit_computation(
        task: &Task,
        unit: &mut Unit<'_, f64>,
        Scratch { work, short, single }: &mut Scratch,
        outputs: &mut Outputs<'_, Output>,
    ) -> Result<(), Failure> {
        for index in 0..unit.len() {
            let output = if let Some(frame) = unit.spectrum_as(index, short) {
                task.compute(frame, work)
            } else if let Some(frame) = unit.spectrum_as(index, single) {
                task.compute(frame, work)
            } else {
                task.compute(&unit.spectrum(index), work)
            };
            outputs.set(index, output);
        }
        Ok(())
    }
}

impl Task {
    fn compute<T: Copy + Into<f64>>(
        &self,
        frame: &[T],
        Work { rows, transform, columns }: &mut Work,
    ) -> Result<Output, Failure> {
        let mut frame = Masked { task: self, frame, rows, spread: Spread::default() };
        self.transform.forward_rows(&mut frame, transform, columns);
        let spread = frame.spread;
        // The sum of all values isn't finite if one of them isn't.
        if !columns[0].is_finite() {
            return Err(unusable());
        }
        let (amplitude, power) = sums(&self.ring, columns, self.half);
        let all = spread.count * spread.squares;
        if !power.is_finite() || !all.is_finite() {
            return Err(Failure::new("the frame has values that are too large to be transformed"));
        }
        let power_fraction = if all == 0.0 { f64::NAN } else { (power / all).min(1.0) };
        Ok(Output { crystallinity: amplitude, power_fraction })
    }
}

/// How many columns of the transform there are in a ring between these radii.
fn kept((_, columns): (usize, usize), (_, outer): (f64, f64)) -> usize {
    (outer as usize).saturating_add(1).min(half(columns))
}

/// The radii of the ring.
fn radii(parameters: &Parameters, detector: &Detector) -> (f64, f64) {
    let (rows, columns) = detector.shape;
    let most = (rows.min(columns) / 2) as f64;
    (parameters.radius_inner, parameters.radius.unwrap_or(most))
}

/// The frequencies of one half of the transform, u ≥ 0, that lie between two radii, without 0.
fn ring((rows, columns): (usize, usize), (inner, outer): (f64, f64)) -> Vec<Segment> {
    let mut ring: Vec<Segment> = Vec::new();
    for u in 0..columns / 2 + 1 {
        // Its own other half, or none.
        let times = if u == 0 || 2 * u == columns { 1.0 } else { 2.0 };
        for v in 0..rows {
            let down = if 2 * v <= rows { v as f64 } else { v as f64 - rows as f64 };
            let squared = down * down + (u * u) as f64;
            if squared <= inner * inner || squared > outer * outer {
                continue;
            }
            let place = u * rows + v;
            match ring.last_mut() {
                Some(segment) if v > 0 && segment.places.end == place => segment.places.end += 1,
                _ => ring.push(Segment { places: place..place + 1, times }),
            }
        }
    }
    ring
}

/// The rows of a frame without what is masked, and how much they spread.
struct Masked<'a, T> {
    task: &'a Task,
    frame: &'a [T],
    rows: &'a mut Vec<f64>,
    spread: Spread,
}

impl<T: Copy + Into<f64>> FrameRows<f64> for Masked<'_, T> {
    fn rows(&mut self, numbers: Range<usize>) -> &[f64] {
        let Self { task, frame, rows, spread } = self;
        let width = task.shape.1;
        let stored = &frame[numbers.start * width..numbers.end * width];
        rows.resize(stored.len(), 0.0);
        widen(stored, rows);
        let masked = task.masked.get(numbers).unwrap_or_default();
        for (row, masked) in rows.chunks_exact_mut(width).zip(masked) {
            row[masked.clone()].fill(0.0);
        }
        spread.add(rows);
        rows
    }
}

/// Σ (f − f̄)² of a frame, some rows at a time, so that each has to come from memory once; exactly 0
/// if all values are equal.
#[derive(Clone, Copy, Default)]
struct Spread {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Spread {
    /// Adds rows: T. F. Chan, G. H. Golub & R. J. LeVeque, Am. Stat. 37 (1983) 242.
    fn add(&mut self, rows: &[f64]) {
        // All from the mean of those before on, beside which little of them is lost.
        let from = if self.count == 0.0 { rows[0] } else { self.mean };
        let (sum, squares) = apart(rows, from);
        let count = rows.len() as f64;
        let (apart, share) = (from + sum / count - self.mean, count / (self.count + count));
        self.squares += (squares - sum * sum / count).max(0.0);
        // In this order nothing is added by the first ones, however large they are.
        self.squares += apart * (apart * self.count * share);
        self.mean += apart * share;
        self.count += count;
    }
}

/// The sum of what values are apart from one, and that of its squares.
fn apart(values: &[f64], from: f64) -> (f64, f64) {
    let (blocks, rest) = values.as_chunks::<LANES>();
    let mut sums = [[0.0; LANES]; 2];
    add_apart(blocks, from, &mut sums);
    let [sum, squares] = sums.map(|own| own.iter().sum::<f64>());
    rest.iter()
        .map(|value| value - from)
        .fold((sum, squares), |(sum, squares), apart| (sum + apart, squares + apart * apart))
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx2", "x86_64+avx2"))]
fn add_apart(blocks: &[[f64; LANES]], from: f64, [sums, squares]: &mut [[f64; LANES]; 2]) {
    let (mut own_sums, mut own_squares) = (*sums, *squares);
    for block in blocks {
        for lane in 0..LANES {
            let apart = block[lane] - from;
            own_sums[lane] += apart;
            own_squares[lane] += apart * apart;
        }
    }
    (*sums, *squares) = (own_sums, own_squares);
}

/// The sums of amplitudes and of powers in a ring, of one half of the transform or of the whole.
fn sums(ring: &[Segment], columns: &[Complex64], half: bool) -> (f64, f64) {
    let mut sums = [[0.0; LANES]; 2];
    for Segment { places, times } in ring {
        let times = [if half { 1.0 } else { *times }, *times];
        add_amplitudes(&columns[places.clone()], times, &mut sums);
    }
    let [amplitude, power] = sums.map(|own| own.iter().sum());
    (amplitude, power)
}

/// Adds those of neighbouring frequencies that are there so many times.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2", "x86_64+avx2"))]
fn add_amplitudes(values: &[Complex64], times: [f64; 2], sums: &mut [[f64; LANES]; 2]) {
    const NEAR: usize = 8 * LANES;
    let [mut amplitudes, mut powers] = *sums;
    for values in values.chunks(NEAR) {
        let mut own = [0.0; NEAR];
        for (own, value) in own.iter_mut().zip(values) {
            *own = value.re * value.re + value.im * value.im;
        }
        for own in &own.as_chunks::<LANES>().0[..values.len().div_ceil(LANES)] {
            for lane in 0..LANES {
                amplitudes[lane] += own[lane].sqrt() * times[0];
                powers[lane] += own[lane] * times[1];
            }
        }
    }
    *sums = [amplitudes, powers];
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    fn task((rows, columns): (usize, usize), radii: (f64, f64), half: bool) -> Task {
        Task {
            transform: FrameTransform::new(
                (rows, columns),
                (0..kept((rows, columns), radii)).collect(),
            ),
            centre: (0.0, 0.0),
            shape: (rows, columns),
            half,
            ring: ring((rows, columns), radii),
            masked: Vec::new(),
        }
    }

    fn computed(task: &Task, shape: &[usize; 2], of: impl Fn(f64, f64) -> f64) -> Output {
        let points = 0..shape[0] * shape[1];
        let frame: Vec<f64> =
            points.map(|at| of((at / shape[1]) as f64, (at % shape[1]) as f64)).collect();
        Crystallinity::map_function(task, Spectrum::new(&frame, shape), &mut Scratch::default())
            .unwrap()
    }

    #[test]
    fn a_wave_counts_the_same_in_any_direction_and_not_in_one_half() {
        for shape in [[24, 24], [25, 25], [24, 25]] {
            let (rows, columns) = (shape[0] as f64, shape[1] as f64);
            // Each has a half of its amplitude at either of two frequencies.
            let down = |y: f64, _: f64| 7.0 + 3.0 * libm::cos(TAU * 5.0 * y / rows);
            let right = |_: f64, x: f64| 7.0 + 3.0 * libm::cos(TAU * 5.0 * x / columns);
            let expected = 3.0 * rows * columns;
            for (half, right_counts) in [(false, 1.0), (true, 0.5)] {
                let task = task((shape[0], shape[1]), (4.0, 6.0), half);
                let (along, across) =
                    (computed(&task, &shape, down), computed(&task, &shape, right));
                assert!((along.crystallinity / expected - 1.0).abs() < 1e-12, "{along:?}");
                assert!((across.crystallinity / expected - right_counts).abs() < 1e-12);
                assert!((along.power_fraction - 1.0).abs() < 1e-12, "{along:?}");
                assert!((across.power_fraction - 1.0).abs() < 1e-12, "{across:?}");
            }
            let other = task((shape[0], shape[1]), (5.0, 8.0), false);
            assert!(computed(&other, &shape, down).crystallinity < 1e-9, "5 is the inner radius");
            let other = task((shape[0], shape[1]), (4.0, 5.0), false);
            assert!(computed(&other, &shape, down).crystallinity > 0.99 * expected);
        }
    }

    #[test]
    fn a_ring_of_all_frequencies_has_all_of_the_power() {
        for shape in [[9, 13], [8, 6], [7, 10]] {
            let task = task((shape[0], shape[1]), (0.0, 99.0), false);
            let found = computed(&task, &shape, |y, x| (y * y * 3.0 + x * 5.0) % 7.0);
            assert!((found.power_fraction - 1.0).abs() < 1e-12, "{found:?}");
        }
    }

    #[test]
    fn frames_whose_squares_are_too_large_fail_unless_they_are_constant() {
        let task = task((8, 8), (3.0, 4.0), false);
        for value in [1e160, 1e300] {
            let constant = computed(&task, &[8, 8], |_, _| value);
            assert!(constant.power_fraction.is_nan(), "{constant:?}");
            // Nothing of this is in the ring.
            let wave = |at: usize| if at < 32 { value } else { 0.0 };
            let frame: Vec<f64> = (0..64).map(wave).collect();
            let spectrum = Spectrum::new(&frame, &[8, 8]);
            let failure = Crystallinity::map_function(&task, spectrum, &mut Scratch::default());
            assert!(failure.unwrap_err().to_string().contains("too large"), "{value}");
        }
    }

    #[test]
    fn rows_spread_as_much_as_the_frame_that_they_make() {
        for (length, width) in [(7, 7), (40, 5), (900, 30), (900, 9)] {
            let frame: Vec<f64> = (0..length).map(|at| 1e6 + ((at * at) % 17) as f64).collect();
            let mut spread = Spread::default();
            frame.chunks(width).for_each(|row| spread.add(row));
            let mean = frame.iter().sum::<f64>() / length as f64;
            let expected: f64 = frame.iter().map(|value| (value - mean) * (value - mean)).sum();
            assert!((spread.squares / expected - 1.0).abs() < 1e-9, "{length} {width}");
        }
    }

    #[test]
    fn a_frame_of_one_value_has_no_fraction() {
        let found = computed(&task((8, 8), (1.0, 4.0), false), &[8, 8], |_, _| 0.1);
        assert!(found.crystallinity < 1e-12 && found.power_fraction.is_nan(), "{found:?}");
    }
}
