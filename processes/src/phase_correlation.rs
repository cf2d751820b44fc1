//! How far each frame is shifted against a reference, or against its neighbour on the scan, by the
//! maximum of their correlation, to a part of a point.
//!
//! Of the transforms F of a frame of N × M points and R of the reference, both less their mean, the
//! correlation is c(y, x) = Σ P(k, l)·e^(2πi(ky/N + lx/M)), with P = F·R*/|F·R*| (phase
//! correlation: C. D. Kuglin and D. C. Hines, Proc. IEEE Int. Conf. Cybernetics and Society 1975,
//! 163) or P = F·R*. A frame that is the reference moved by (y, x) has its maximum there. The
//! maximum over whole points is refined on a grid of 1/u = 1/`upsample_factor` of a point that
//! reaches three quarters of a point around it, where c is taken from the same sum (M.
//! Guizar-Sicairos, S. T. Thurman and J. R. Fienup, Opt. Lett. 33 (2008) 156), as scikit-image's
//! `phase_cross_correlation` and HyperSpy's `estimate_shift2D` do. Instead of that sum at each
//! place of the grid it is taken at 16 × 16, with the polynomial through these, which differs from
//! it by less than 1e-11 of the sum of |P|.
//!
//! Results: `Shift_Y` and `Shift_X`, downwards and to the right, in the units of the detector's
//! axes, or in points where an axis is uneven; `Shifts` has both in points, as `masks` takes them
//! for detectors that move with the beam. `Peak` is the maximum as a part of what it can be, Σ|P|
//! or √(Σ|F|²·Σ|R|²): 1 for two frames that differ by nothing else, near 0 for two that have
//! nothing in common. `Error` is √(1 − `Peak`²), without normalisation the error of J. R. Fienup
//! (Appl. Opt. 36 (1997) 8352). Shifts are known but for whole lengths of the frame, since
//! transforms take it to go on beyond its edges: they are from −N/2 to N/2. With `window` frames
//! are multiplied by that of Hann, 0 at the edges, so that edges don't count, which else stay where
//! they are. All is computed in double precision; the last bits depend on the processor's
//! instructions.
//!
//! Without a `reference` it is the frame one step before on an axis of the scan, as of a series in
//! which things drift; the first one of each line has no other than itself, and no shift. For the
//! mean of the scan, or one of its frames, take results of `statistics` or `pick` as the reference.
//!
//! Where others differ: the sign of scikit-image's is the opposite, what a frame has to be moved
//! by; HyperSpy's is this. Its |F·R*| is 2.2e-14 at least, so that small values are correlated
//! without normalisation; here it is that part of the mean product. Its error under normalisation
//! compares values of which only one is normalised, and is always near 1. Both are without a mean
//! taken off, so that their plain correlation is mostly that of the means.
//!
//! A frame that isn't finite everywhere, or constant, fails; the one behind it has nothing to be
//! compared with, and no numbers (NaN). A saturated one is correlated as it is.

mod correlate;
mod zoom;

use pixelmill_core::Results;
use pixelmill_core::detector::Detector;
use pixelmill_core::process::{
    AxisValues, ConstantAxes, ConstantInput, Dimension, Edges, Failure, Halo, Model, Outputs,
    Parameters as Checked, Process, SourceInfo, Spectrum, SpectrumAxes, Unit,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::choices::one_of;
use correlate::{Correlation, Found, Transformed};

/// What frames are compared with, and how.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// A dataset with the frame that all are compared with; the neighbour of each if none.
    pub reference: Option<String>,
    /// The axis of the scan on which the neighbour lies, counted from the fastest, which is 0.
    #[schemars(range(max = 31))]
    pub axis: usize,
    /// Into how many parts of a point shifts are known; 1 for whole points.
    #[schemars(range(min = 1, max = 1000))]
    pub upsample_factor: u32,
    /// Whether all frequencies count alike, or as much as there is of them.
    pub normalization: Normalization,
    /// What frames are multiplied by: nothing, or a window of Hann.
    pub window: Window,
}

/// How much frequencies count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Normalization {
    /// All alike.
    #[default]
    Phase,
    /// As much as there is of them.
    None,
}

one_of!(Normalization: "phase", "none");

/// What frames are multiplied by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Window {
    /// Nothing.
    #[default]
    None,
    /// A window of Hann along both axes.
    Hann,
}

one_of!(Window: "none", "hann");

impl Default for Parameters {
    fn default() -> Self {
        Self {
            reference: None,
            axis: 0,
            upsample_factor: 100,
            normalization: Normalization::default(),
            window: Window::default(),
        }
    }
}

impl Checked for Parameters {}

/// The result of one frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Output {
    /// In points.
    shift: [f64; 2],
    /// In the units of the axes.
    along: [f64; 2],
    peak: f64,
    error: f64,
}

impl Output {
    /// Where there is nothing to compare with.
    const NONE: Self =
        Self { shift: [f64::NAN; 2], along: [f64::NAN; 2], peak: f64::NAN, error: f64::NAN };
}

/// What is prepared once.
pub struct Task {
    correlation: Correlation,
    /// Units of the axes in a point.
    steps: [f64; 2],
    reference: Option<(Transformed, Vec<f64>)>,
}

/// Memory of a worker.
#[derive(Default)]
pub struct Scratch {
    memory: correlate::Memory,
    /// The transforms of the last two frames, and which of the unit these are.
    known: [(Option<u32>, Transformed); 2],
}

/// The process `Phase_Correlation`.
pub struct PhaseCorrelation;

impl Process for PhaseCorrelation {
    const NAME: &'static str = "Phase_Correlation";
    const VERSION: u32 = 2;
    const SUMMARY: &'static str =
        "how far each frame is shifted against a reference or the one before";

    type Parameters = Parameters;
    type Input = f64;
    type Output = Output;
    type Task = Task;
    type Scratch = Scratch;

    fn spectrum_axes(_parameters: &Parameters) -> SpectrumAxes {
        SpectrumAxes::Two
    }

    fn constant_inputs(parameters: &Parameters) -> Vec<ConstantInput> {
        let input =
            |path: &String| ConstantInput::of::<f64>(path).with_axes(ConstantAxes::Spectrum);
        parameters.reference.iter().map(input).collect()
    }

    fn prepare(parameters: &Parameters, source: &SourceInfo) -> Result<Task, Failure> {
        let shape = Detector::of(source, (None, None))?.shape;
        let correlation = Correlation::new(
            shape,
            parameters.upsample_factor,
            parameters.normalization == Normalization::Phase,
            parameters.window == Window::Hann,
        );
        let mut memory = correlate::Memory::default();
        let mut reference = None;
        if let Some(array) = source.constants.first() {
            let mut transformed = Transformed::default();
            correlation.transform(array.values()?, &mut memory, &mut transformed).map_err(
                |failure| Failure::new(format!("the reference can't be used: {failure}")),
            )?;
            reference = Some((transformed, array.values::<f64>()?.to_vec()));
        }
        let steps = axes(source).map(|(_, step)| step);
        Ok(Task { correlation, steps, reference })
    }

    fn create_results_datasets(
        _parameters: &Parameters,
        source: &SourceInfo,
        results: &mut Results<Output>,
    ) {
        let [(rows, _), (columns, _)] = axes(source);
        results.main("Shift_Y", "Shift", rows).scalar(|output: &Output| output.along[0]);
        results.main("Shift_X", "Shift", columns).scalar(|output: &Output| output.along[1]);
        let pair = Dimension::new("Down and right", "", AxisValues::counted(2));
        results
            .main("Shifts", "Shift", "points")
            .spectrum(vec![pair], |output: &Output| &output.shift);
        results.main("Peak", "Correlation", "").scalar(|output: &Output| output.peak);
        results.main("Error", "Error", "").scalar(|output: &Output| output.error);
    }

    fn map_function(
        task: &Task,
        spectrum: Spectrum<'_, f64>,
        scratch: &mut Scratch,
    ) -> Result<Output, Failure> {
        scratch.known.iter_mut().for_each(|(number, _)| *number = None);
        scratch.shift(task, &spectrum)
    }

    fn model(task: &Task, spectrum: Spectrum<'_, f64>, output: &Output) -> Model {
        let (rows, columns) = task.correlation.shape;
        let middle = (((rows - 1) / 2) as f64, ((columns - 1) / 2) as f64);
        let model = Model::new().place("middle", middle).place(
            "that of the reference",
            (middle.0 + output.shift[0], middle.1 + output.shift[1]),
        );
        let reference = match &task.reference {
            Some((_, reference)) => reference.as_slice(),
            None => spectrum.neighbours.get(0).unwrap_or(spectrum.values),
        };
        model.curve("reference, moved", moved(reference, (rows, columns), output.shift))
    }

    fn halo(parameters: &Parameters, source: &SourceInfo) -> Result<Option<Halo>, Failure> {
        if parameters.reference.is_some() {
            return Ok(None);
        }
        let axes = source.position_dimensions.len();
        if parameters.axis >= axes {
            return Err(Failure::new(format!(
                "there is no axis of the scan with the number {}: it has {axes}; take another \
                 `axis`, or a `reference`",
                parameters.axis
            )));
        }
        let mut before = vec![0; axes];
        before[axes - 1 - parameters.axis] = -1;
        Ok(Some(Halo::new(vec![before, vec![0; axes]], Edges::Nearest)))
    }

    fn extra_memory_per_position(parameters: &Parameters, source: &SourceInfo) -> usize {
        correlate::bytes(source.spectral_points) + parameters.upsample_factor.pow(2) as usize * 24
    }

    /// Not spectrum by spectrum through `map_function`, so that the transform of each frame serves
    /// the next one as well.
    fn unit_computation(
        task: &Task,
        unit: &mut Unit<'_, f64>,
        scratch: &mut Scratch,
        outputs: &mut Outputs<'_, Output>,
    ) -> Result<(), Failure> {
        scratch.known.iter_mut().for_each(|(number, _)| *number = None);
        for index in 0..unit.len() {
            let output = scratch.shift(task, &unit.spectrum(index));
            outputs.set(index, output);
        }
        Ok(())
    }
}

impl Scratch {
    fn shift(&mut self, task: &Task, spectrum: &Spectrum<'_, f64>) -> Result<Output, Failure> {
        let Task { correlation, reference, .. } = task;
        let around = &spectrum.neighbours;
        let (before, own) = (around.number(0), around.number(1));
        // A frame that is its own neighbour isn't moved; else its own place must stay free.
        let place = self.known.iter().position(|(number, _)| number.is_some() && *number == own);
        let place =
            place.unwrap_or_else(|| usize::from(before.is_some() && self.known[0].0 == before));
        self.transform(task, place, (own, spectrum.values))?;
        let found = match (reference, around.get(0)) {
            (Some((reference, _)), _) => {
                correlation.shift(&self.known[place].1, reference, &mut self.memory)
            }
            (None, Some(neighbour)) if before != own => {
                if self.transform(task, 1 - place, (before, neighbour)).is_err() {
                    return Ok(Output::NONE);
                }
                let [one, other] = &self.known;
                let (frame, neighbour) = if place == 0 { (one, other) } else { (other, one) };
                correlation.shift(&frame.1, &neighbour.1, &mut self.memory)
            }
            _ => {
                let own = &self.known[place].1;
                correlation.shift(own, own, &mut self.memory)
            }
        };
        let Found { shift, peak } = found;
        let along = [shift[0] * task.steps[0], shift[1] * task.steps[1]];
        let error = (1.0 - peak * peak).max(0.0).sqrt();
        Ok(Output { shift, along, peak, error })
    }

    /// Puts the transform of a frame of the unit into a place, unless it is there.
    fn transform(
        &mut self,
        task: &Task,
        place: usize,
        (number, frame): (Option<u32>, &[f64]),
    ) -> Result<(), Failure> {
        let (known, transformed) = &mut self.known[place];
        if number.is_some() && *known == number {
            return Ok(());
        }
        *known = None;
        task.correlation.transform(frame, &mut self.memory, transformed)?;
        *known = number;
        Ok(())
    }
}

/// The units of both axes of a frame, and how many of them are in a point.
fn axes(source: &SourceInfo) -> [(String, f64); 2] {
    let mut long = source.spectroscopic_dimensions.iter().filter(|axis| axis.len() > 1);
    [(); 2].map(|()| {
        let axis = long.next();
        let step = axis.and_then(step);
        match axis.zip(step) {
            Some((axis, step)) if !axis.units.is_empty() => (axis.units.clone(), step),
            _ => ("points".to_owned(), 1.0),
        }
    })
}

/// The step of an axis, if it has one: values that are listed may be off by their rounding in
/// single precision.
fn step(axis: &Dimension) -> Option<f64> {
    let values = &axis.values;
    if let Some((_, step)) = values.as_even() {
        return Some(step);
    }
    let (first, last) = values.first().zip(values.last())?;
    let step = (last - first) / (values.len() as f64 - 1.0);
    let most = 1e-6 * first.abs().max(last.abs());
    let is_even =
        |(index, value): (usize, f64)| (value - (first + step * index as f64)).abs() <= most;
    (step != 0.0 && values.iter().enumerate().all(is_even)).then_some(step)
}

/// A frame moved by so many points, as if it went on beyond its edges.
fn moved(frame: &[f64], (rows, columns): (usize, usize), shift: [f64; 2]) -> Vec<f64> {
    let around = |at: f64, length: usize| {
        let (before, part) = (at.floor(), at - at.floor());
        let place = |at: f64| at.rem_euclid(length as f64) as usize % length;
        [(place(before), 1.0 - part), (place(before + 1.0), part)]
    };
    let value = |at: usize| -> f64 {
        let down = around((at / columns) as f64 - shift[0], rows);
        let right = around((at % columns) as f64 - shift[1], columns);
        let of_row = |(row, weight): (usize, f64)| -> f64 {
            right.iter().map(|(column, part)| weight * part * frame[row * columns + column]).sum()
        };
        down.into_iter().map(of_row).sum()
    };
    (0..rows * columns).map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pixelmill_core::element::{ElementType, StoredType};
    use pixelmill_core::neighbours::Neighbours;
    use pixelmill_core::process::ConstantArray;
    use proptest::prelude::*;
    use std::f64::consts::TAU;

    fn source(shape: (usize, usize), reference: Option<&[f64]>) -> SourceInfo {
        let stored = StoredType { element: ElementType::Float64, swapped: false };
        let constant = |values: &[f64]| {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
            ConstantArray::new("/r", vec![shape.0, shape.1], (&bytes, stored), ElementType::Float64)
        };
        let even = AxisValues::even(3.0, -0.5, shape.0);
        let listed: Vec<f64> = (0..shape.1).map(|at| f64::from(at as f32 * 0.1)).collect();
        SourceInfo {
            path: "/frames".to_owned(),
            positions: 6,
            spectral_points: shape.0 * shape.1,
            element: ElementType::Float64,
            is_corrected: false,
            quantity: "Intensity".to_owned(),
            units: String::new(),
            position_dimensions: vec![Dimension::new("Time", "s", AxisValues::counted(6))],
            spectroscopic_dimensions: vec![
                Dimension::new("Y", "nm", even),
                Dimension::new("X", "um", listed),
            ],
            auxiliary: Vec::new(),
            constants: reference.map(constant).into_iter().collect(),
            selected: None,
        }
    }

    /// Waves of many frequencies below 4 periods, all moved by so many points.
    fn frame((rows, columns): (usize, usize), (down, right): (f64, f64)) -> Vec<f64> {
        let value = |at: usize| -> f64 {
            let y = ((at / columns) as f64 - down) / rows as f64;
            let x = ((at % columns) as f64 - right) / columns as f64;
            let waves =
                (-4i32..=4).flat_map(|k| (1..=4).map(move |l| (f64::from(k), f64::from(l))));
            waves.map(|(k, l)| (TAU * (k * y + l * x) + k * l * l + 2.0 * k).cos()).sum()
        };
        (0..rows * columns).map(|at| 50.0 + value(at)).collect()
    }

    fn told(normalization: Normalization, upsample_factor: u32) -> Parameters {
        let reference = Some("/r".to_owned());
        Parameters { reference, upsample_factor, normalization, ..Parameters::default() }
    }

    fn shift(
        parameters: &Parameters,
        reference: &[f64],
        frame: &[f64],
        shape: (usize, usize),
    ) -> Result<Output, Failure> {
        let task = PhaseCorrelation::prepare(parameters, &source(shape, Some(reference)))?;
        let lengths = [shape.0, shape.1];
        PhaseCorrelation::map_function(
            &task,
            Spectrum::new(frame, &lengths),
            &mut Scratch::default(),
        )
    }

    #[test]
    fn parts_of_a_point_are_found() {
        for shape in [(32, 40), (27, 33)] {
            let reference = frame(shape, (0.0, 0.0));
            for (down, right) in [(0.0, 0.0), (1.37, -2.81), (-0.5, 0.25), (9.0, -11.49)] {
                let moved = frame(shape, (down, right));
                for window in [Window::None, Window::Hann] {
                    // Where nothing is but noise all frequencies can't count alike.
                    let parameters = Parameters { window, ..told(Normalization::None, 100) };
                    let found = shift(&parameters, &reference, &moved, shape).unwrap();
                    let is_far = (down, right) == (9.0, -11.49);
                    if window == Window::Hann && is_far {
                        continue;
                    }
                    let most = if window == Window::None { 0.0051 } else { 0.3 };
                    let off = (found.shift[0] - down).abs().max((found.shift[1] - right).abs());
                    assert!(off < most, "{shape:?} {down} {right} {window:?}: {found:?}");
                    assert!((found.along[0] + 0.5 * found.shift[0]).abs() < 1e-12);
                    assert!((found.along[1] - 0.1 * found.shift[1]).abs() < 1e-6);
                    let is_same = window == Window::None && found.peak > 0.999;
                    assert!(is_same || window == Window::Hann && found.peak > 0.5, "{found:?}");
                    assert!((found.error.powi(2) + found.peak.powi(2) - 1.0).abs() < 1e-9);
                }
            }
        }
    }

    #[test]
    fn what_is_turned_over_is_shifted_the_other_way() {
        for shape in [(16, 12), (11, 14), (8, 9)] {
            let (rows, columns) = shape;
            let reference = noise(rows * columns, 3);
            let other = noise(rows * columns, 8);
            let frame: Vec<f64> = moved(&reference, shape, [1.3, -0.4]);
            let frame: Vec<f64> = frame.iter().zip(&other).map(|(a, b)| a + 0.3 * b).collect();
            let turned_over = |frame: &[f64], [down, right]: [bool; 2]| -> Vec<f64> {
                let place = |at: usize, turns: bool, length: usize| {
                    if turns { length - 1 - at } else { at }
                };
                let from = |at: usize| {
                    let row = place(at / columns, down, rows);
                    row * columns + place(at % columns, right, columns)
                };
                (0..frame.len()).map(|at| frame[from(at)]).collect()
            };
            let parameters = told(Normalization::Phase, 100);
            let expected = shift(&parameters, &reference, &frame, shape).unwrap();
            for turns in [[true, false], [false, true], [true, true]] {
                let (reference, frame) =
                    (turned_over(&reference, turns), turned_over(&frame, turns));
                let found = shift(&parameters, &reference, &frame, shape).unwrap();
                assert!((found.peak - expected.peak).abs() < 1e-9, "{found:?} {expected:?}");
                for (axis, turns) in turns.into_iter().enumerate() {
                    let sign = if turns { -1.0 } else { 1.0 };
                    assert!((found.shift[axis] - sign * expected.shift[axis]).abs() < 1e-9);
                }
            }
        }
    }

    /// Values of all frequencies.
    fn noise(points: usize, seed: u32) -> Vec<f64> {
        let mut state = seed.wrapping_mul(2_654_435_761) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            f64::from(state) / 1e9
        };
        (0..points).map(|_| next()).collect()
    }

    proptest! {
        #[test]
        fn whole_points_are_found_whatever_moves(
            (rows, columns) in (4usize..24, 4usize..24),
            seed in 1u32..10_000,
            (down, right) in (0usize..24, 0usize..24),
            scale in prop::sample::select(vec![1e-12, 1.0, 1e12]),
            is_phase: bool,
        ) {
            let (down, right) = (down % rows, right % columns);
            let reference: Vec<f64> =
                noise(rows * columns, seed).into_iter().map(|value| scale * value).collect();
            let from = |at: usize| {
                let (row, column) = (at / columns + rows - down, at % columns + columns - right);
                (row % rows) * columns + column % columns
            };
            let moved: Vec<f64> = (0..rows * columns).map(|at| 3.0 * reference[from(at)]).collect();
            let normalization = if is_phase { Normalization::Phase } else { Normalization::None };
            for factor in [1, 10] {
                let parameters = told(normalization, factor);
                let found = shift(&parameters, &reference, &moved, (rows, columns)).unwrap();
                let whole = |moved: usize, length: usize| {
                    if moved > length / 2 { moved as f64 - length as f64 } else { moved as f64 }
                };
                prop_assert_eq!(found.shift, [whole(down, rows), whole(right, columns)]);
                prop_assert!((found.peak - 1.0).abs() < 1e-9, "{:?}", found);
            }
        }
    }

    #[test]
    fn the_neighbour_is_the_frame_before_whatever_is_known_already() {
        let shape = (16, 20);
        let places = [(0.0, 0.0), (2.0, -1.0), (1.0, 3.0), (1.0, 3.0)];
        let frames: Vec<f64> = places.iter().flat_map(|place| frame(shape, *place)).collect();
        let parameters = Parameters { normalization: Normalization::None, ..Parameters::default() };
        let task = PhaseCorrelation::prepare(&parameters, &source(shape, None)).unwrap();
        let mut scratch = Scratch::default();
        let lengths = [16, 20];
        let mut of = |before: u32, own: u32| {
            let numbers = [before, own];
            let neighbours = Neighbours::new(&frames, 320, &numbers);
            let values = &frames[own as usize * 320..][..320];
            let spectrum = Spectrum { neighbours, ..Spectrum::new(values, &lengths) };
            let kept = scratch.shift(&task, &spectrum).unwrap();
            let alone = PhaseCorrelation::map_function(&task, spectrum, &mut Scratch::default());
            assert_eq!(alone, Ok(kept));
            kept.shift
        };
        for (before, own, expected) in [
            (0, 0, [0.0, 0.0]),
            (0, 1, [2.0, -1.0]),
            (1, 2, [-1.0, 4.0]),
            (2, 3, [0.0, 0.0]),
            (1, 3, [-1.0, 4.0]),
            (3, 1, [1.0, -4.0]),
            (0, 2, [1.0, 3.0]),
        ] {
            assert_eq!(of(before, own), expected, "{before} {own}");
        }
    }

    #[test]
    fn halos_are_one_step_before_on_the_axis_that_is_told() {
        let mut source = source((4, 4), None);
        let halo = |axis, source: &SourceInfo| {
            PhaseCorrelation::halo(&Parameters { axis, ..Parameters::default() }, source)
        };
        assert_eq!(halo(0, &source).unwrap().unwrap().offsets(), [[-1], [0]]);
        let refused = halo(1, &source).unwrap_err().to_string();
        assert!(refused.contains("no axis of the scan with the number 1"), "{refused}");
        source.position_dimensions.push(Dimension::new("X", "", AxisValues::counted(2)));
        assert_eq!(halo(1, &source).unwrap().unwrap().offsets(), [[-1, 0], [0, 0]]);
        assert_eq!(PhaseCorrelation::halo(&told(Normalization::Phase, 1), &source), Ok(None));
    }

    #[test]
    fn what_cannot_be_compared_fails_in_words() {
        let shape = (8, 8);
        let values = noise(64, 3);
        let mut strange = values.clone();
        strange[5] = f64::NAN;
        let parameters = Parameters::default();
        for (frame, told) in [
            (strange.clone(), "not finite"),
            (vec![0.0; 64], "constant"),
            (vec![255.0; 64], "constant"),
            (values.iter().map(|value| value * 1e200).collect(), "too large"),
        ] {
            let with_reference = self::told(Normalization::Phase, 10);
            let failure = shift(&with_reference, &values, &frame, shape).unwrap_err().to_string();
            assert!(failure.contains(told), "{failure}");
            let failure = shift(&with_reference, &frame, &values, shape).unwrap_err().to_string();
            assert!(failure.contains(told) && failure.contains("the reference"), "{failure}");
            let task = PhaseCorrelation::prepare(&parameters, &source(shape, None)).unwrap();
            let both = [frame.as_slice(), &values].concat();
            let neighbours = Neighbours::new(&both, 64, &[0, 1]);
            let spectrum = Spectrum { neighbours, ..Spectrum::new(&values, &[8, 8]) };
            let found = PhaseCorrelation::map_function(&task, spectrum, &mut Scratch::default());
            assert!(found.unwrap().shift.iter().all(|shift| shift.is_nan()));
        }
        let edge: Vec<f64> = (0..64).map(|at| f64::from(u8::from(at < 8))).collect();
        let parameters =
            Parameters { window: Window::Hann, ..self::told(Normalization::Phase, 10) };
        assert!(shift(&parameters, &values, &edge, shape).is_ok(), "its mean is seen elsewhere");
    }

    #[test]
    fn what_is_drawn_is_the_reference_where_the_frame_is() {
        let shape = (16, 20);
        let (reference, moved) = (frame(shape, (0.0, 0.0)), frame(shape, (3.0, -2.0)));
        let parameters = told(Normalization::None, 100);
        let task =
            PhaseCorrelation::prepare(&parameters, &source(shape, Some(&reference))).unwrap();
        let spectrum = Spectrum::new(&moved, &[16, 20]);
        let output =
            PhaseCorrelation::map_function(&task, spectrum, &mut Scratch::default()).unwrap();
        let model = PhaseCorrelation::model(&task, spectrum, &output);
        let pixelmill_core::model::Values::Real(drawn) = &model.curves[0].values else {
            panic!("it is real")
        };
        assert!(drawn.iter().zip(&moved).all(|(drawn, value)| (drawn - value).abs() < 1e-9));
        assert_eq!((model.places[0].row, model.places[1].row), (7.0, 10.0));
    }
}
