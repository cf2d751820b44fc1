//! Frames filtered by a mask over their spatial frequencies: there, through the mask, and back.
//!
//! The 2-D Fourier transform F of each frame, as `numpy.fft.fft2` has it, is multiplied by the gain
//! H of the mask at each frequency, and transformed back: periods that H lets pass stay, as the
//! planes of a lattice through a ring around their spots, without the rest. The filtered frame is
//! real, since H is taken to be the same at f and −f.
//!
//! The mask is a disk or a ring, or those around a spot and its mirror image: with the distance ρ
//! from (`center_y`, `center_x`), or from that with both signs turned, whichever is less, H = 1 for
//! `radius_inner` < ρ ≤ `radius`, 0 included if that is 0; with an `edge` of the width e, H goes
//! from 1 to 0 as ½ + ½ cos(π(ρ − R + e/2)/e) from R − e/2 to R + e/2, which keeps away the rings
//! that a steep edge makes. `keep=outside` takes 1 − H. All are in cycles per unit of the frame's
//! axes, which therefore have the same units and even steps; where they count pixels, in cycles per
//! pixel: 0.5 is a period of two. A line spacing of d is at 1/d.
//!
//! Or `mask` names a dataset with the gain at each frequency, as large as a frame, 0 in the middle
//! (row N/2, column M/2), as `numpy.fft.fftshift` has it. Of a mask that isn't the same at f and
//! −f, the mean of both counts: that gives the real part of what the mask as it is lets pass.
//!
//! Results: `Filtered`, as the source, in single precision if the source's values fit that
//! (float32, integers of up to 16 bits), else in double; and `Mask`, the gains, once. All is
//! computed in double precision. The last bits depend on the processor's instructions, since the
//! transforms of `rustfft` do. Frames are taken as periodic, as everywhere: opposite edges touch.
//!
//! A frame with a value that isn't finite, or too large to be transformed, fails. Constant and
//! empty ones have a result: their mean, as far as the mask lets frequency 0 pass. At the edges of
//! saturated parts a mask rings, as at all steps.

mod plane;

use pixelmill_core::Results;
use pixelmill_core::detector::Detector;
use pixelmill_core::inputs::{ConstantAxes, ConstantInput};
use pixelmill_core::process::{
    Dimension, Failure, Model, Outputs, Process, SourceInfo, Spectrum, SpectrumAxes, Unit,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::as_source::{Values, is_single};
use crate::choices::one_of;
use crate::{spectral_axis, transforms};
use plane::{Plane, Scratch};

/// Which frequencies pass. `radius` or `mask` has to be given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Parameters {
    /// Frequencies further than this from the centre don't pass, in cycles per unit of the axes
    /// (per pixel where these count pixels).
    #[schemars(range(min = 0))]
    pub radius: Option<f64>,
    /// Frequencies nearer than this don't pass either.
    #[schemars(range(min = 0))]
    pub radius_inner: f64,
    /// The frequency along the columns of a spot that is the centre, with its mirror image.
    pub center_y: f64,
    /// The frequency along the rows of that.
    pub center_x: f64,
    /// The width over which the mask goes from 1 to 0 at its radii.
    #[schemars(range(min = 0))]
    pub edge: f64,
    /// Whether what is inside passes, or what is outside.
    pub keep: Keep,
    /// A dataset with the gain at each frequency, in place of all these: as large as a frame,
    /// frequency 0 in the middle.
    pub mask: Option<String>,
}

/// Which frequencies pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// Those in the mask.
    #[default]
    Inside,
    /// All others.
    Outside,
}

one_of!(Keep: "inside", "outside");

impl pixelmill_core::process::Parameters for Parameters {
    fn check(&self) -> Result<(), Failure> {
        let shape = Self { mask: None, keep: Keep::Inside, ..self.clone() };
        let is_plain = shape == Self::default();
        let told = match (self.radius, &self.mask) {
            (None, None) => "there is no mask: give `radius`, or a `mask` of the file",
            (_, Some(_)) if !is_plain => {
                "`mask` is in place of `radius`, `radius_inner`, the centre and `edge`: leave them \
                 out"
            }
            (Some(radius), None) if radius <= self.radius_inner => {
                "`radius` has to be larger than `radius_inner`"
            }
            _ => return Ok(()),
        };
        Err(Failure::new(told))
    }
}

/// The process `FFT_Mask`.
pub struct FftMask;

/// What all frames share.
pub struct Task {
    plane: Plane,
    is_single: bool,
}

impl Process for FftMask {
    const NAME: &'static str = "FFT_Mask";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "filters each real frame by a mask over its spatial frequencies";

    type Parameters = Parameters;
    type Input = f64;
    type Output = Values;
    type Task = Task;
    type Scratch = (Scratch, Values);

    fn constant_inputs(parameters: &Parameters) -> Vec<ConstantInput> {
        let mask = parameters.mask.iter().map(ConstantInput::of::<f64>);
        mask.map(|mask| mask.with_axes(ConstantAxes::Spectrum)).collect()
    }

    fn prepare(parameters: &Parameters, source: &SourceInfo) -> Result<Task, Failure> {
        let Detector { shape, .. } = Detector::of(source, (None, None))?;
        let gains = gains(parameters, source)?;
        if gains.iter().all(|gain| *gain == 0.0) {
            return Err(Failure::new("no frequency of the frames passes the mask"));
        }
        Ok(Task { plane: Plane::new(shape, &gains), is_single: is_single(source) })
    }

    fn create_results_datasets(
        parameters: &Parameters,
        source: &SourceInfo,
        results: &mut Results<Values>,
    ) {
        let filtered = results.main("Filtered", &source.quantity, &source.units);
        Values::declare(filtered, source, is_single(source));
        // `prepare` has refused what has none.
        let Ok(gains) = gains(parameters, source) else { return };
        let gains: Vec<f32> = gains.into_iter().map(|gain| gain as f32).collect();
        let axes = frame_axes(source).into_iter().map(|axis| {
            let name = format!("Frequency {}", axis.name);
            let units = transforms::reciprocal(&axis.units);
            Dimension::new(name.trim_end(), units, frequencies(axis))
        });
        results.main("Mask", "Gain", "").constant(axes.collect(), &gains);
    }

    fn map_function(
        task: &Task,
        spectrum: Spectrum<'_, f64>,
        (scratch, output): &mut Self::Scratch,
    ) -> Result<Values, Failure> {
        task.filter(&spectrum, scratch, output)?;
        Ok(std::mem::take(output))
    }

    fn model(_task: &Task, _spectrum: Spectrum<'_, f64>, output: &Values) -> Model {
        Model::new().curve("filtered", output.to_vec())
    }

    fn spectrum_axes(_parameters: &Parameters) -> SpectrumAxes {
        SpectrumAxes::Two
    }

    /// The buffers of a worker, and the tables of the transforms.
    fn extra_memory_per_position(_parameters: &Parameters, source: &SourceInfo) -> usize {
        let tables: usize =
            frame_axes(source).iter().map(|axis| transforms::bytes(axis.len())).sum();
        source.spectral_points * 6 * size_of::<f64>() + tables
    }

    /// Not frame by frame through `map_function`, so that no results are allocated for each.
    fn unit_computation(
        task: &Task,
        unit: &mut Unit<'_, f64>,
        (scratch, output): &mut Self::Scratch,
        outputs: &mut Outputs<'_, Values>,
    ) -> Result<(), Failure> {
        for index in 0..unit.len() {
            let filtered = task.filter(&unit.spectrum(index), scratch, output);
            outputs.set_from(index, filtered.map(|()| &*output));
        }
        Ok(())
    }
}

impl Task {
    fn filter(
        &self,
        frame: &[f64],
        scratch: &mut Scratch,
        output: &mut Values,
    ) -> Result<(), Failure> {
        let filtered = self.plane.filter(frame, scratch)?;
        let is_finite = output.set(self.is_single, filtered.iter().copied());
        if is_finite { Ok(()) } else { Err(transforms::unusable()) }
    }
}

/// The two axes of a frame.
fn frame_axes(source: &SourceInfo) -> Vec<&Dimension> {
    source.spectroscopic_dimensions.iter().filter(|axis| axis.len() > 1).collect()
}

/// The frequencies along an axis, 0 in the middle; none if its steps are uneven.
fn frequencies(axis: &Dimension) -> Vec<f64> {
    let step = spectral_axis::step(axis).unwrap_or(f64::NAN);
    let (points, half) = (axis.len(), (axis.len() / 2) as f64);
    (0..points).map(|at| (at as f64 - half) / (points as f64 * step)).collect()
}

/// The gain at each frequency, 0 in the middle.
fn gains(parameters: &Parameters, source: &SourceInfo) -> Result<Vec<f64>, Failure> {
    let inside = match source.constants.first() {
        Some(mask) => mask.values::<f64>()?.to_vec(),
        None => rings(parameters, source)?,
    };
    if let Some(gain) = inside.iter().find(|gain| !gain.is_finite()) {
        return Err(Failure::new(format!("the mask has a gain that is {gain}")));
    }
    match parameters.keep {
        Keep::Inside => Ok(inside),
        Keep::Outside => Ok(inside.into_iter().map(|gain| 1.0 - gain).collect()),
    }
}

/// A ring around the centre and its mirror image.
fn rings(parameters: &Parameters, source: &SourceInfo) -> Result<Vec<f64>, Failure> {
    let axes = frame_axes(source);
    let [slow, fast] = axes.as_slice() else {
        return Err(Failure::new("the spectra are no frames"));
    };
    if slow.units.trim() != fast.units.trim() {
        return Err(Failure::new(format!(
            "the axes `{}` and `{}` are in `{}` and `{}`, so a radius isn't the same along both; \
             give a `mask`",
            slow.name, fast.name, slow.units, fast.units
        )));
    }
    for axis in [slow, fast] {
        let told = |reason| Failure::new(format!("{reason}, and frequencies are of even steps"));
        spectral_axis::step(axis).map_err(told)?;
    }
    let Parameters { radius, radius_inner, center_y, center_x, edge, .. } = *parameters;
    let radius = radius.unwrap_or_default();
    let (rows, columns) = (frequencies(slow), frequencies(fast));
    let places = rows.iter().flat_map(|y| columns.iter().map(move |x| (*y, *x)));
    let gain = |(y, x): (f64, f64)| {
        let from = |sign: f64| (y - sign * center_y).hypot(x - sign * center_x);
        let distance = from(1.0).min(from(-1.0));
        let hole = if radius_inner == 0.0 { 0.0 } else { within(distance, radius_inner, edge) };
        within(distance, radius, edge) * (1.0 - hole)
    };
    Ok(places.map(gain).collect())
}

/// How much of a disk there is at a distance from its centre.
fn within(distance: f64, radius: f64, edge: f64) -> f64 {
    let outside = distance - (radius - edge / 2.0);
    if outside <= 0.0 {
        1.0
    } else if outside >= edge {
        0.0
    } else {
        0.5 + 0.5 * libm::cos(std::f64::consts::PI * outside / edge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spectral_axis::tests::source;
    use pixelmill_core::process::Parameters as _;
    use proptest::prelude::*;
    use std::f64::consts::TAU;

    /// Frames with two points in each nm.
    fn frames((rows, columns): (usize, usize)) -> SourceInfo {
        let axis = |name: &str, count: usize| {
            Dimension::new(name, "nm", (0..count).map(|at| 0.5 * at as f64).collect::<Vec<_>>())
        };
        let mut source = source(axis("Y", rows));
        source.spectroscopic_dimensions.push(axis("X", columns));
        source.spectral_points = rows * columns;
        source
    }

    fn frame((rows, columns): (usize, usize), value: impl Fn(f64, f64) -> f64) -> Vec<f64> {
        let at = |point: usize| ((point / columns) as f64 * 0.5, (point % columns) as f64 * 0.5);
        (0..rows * columns).map(at).map(|(y, x)| value(y, x)).collect()
    }

    fn ring(radius: f64, radius_inner: f64) -> Parameters {
        Parameters { radius: Some(radius), radius_inner, ..Parameters::default() }
    }

    fn filtered(
        parameters: &Parameters,
        shape: (usize, usize),
        values: &[f64],
    ) -> Result<Vec<f64>, String> {
        let told = |failure: Failure| failure.to_string();
        let task = FftMask::prepare(parameters, &frames(shape)).map_err(told)?;
        let lengths = [shape.0, shape.1];
        let spectrum = Spectrum::new(values, &lengths);
        let found = FftMask::map_function(&task, spectrum, &mut Default::default());
        found.map(|found| found.to_vec()).map_err(told)
    }

    fn assert_near(found: &[f64], expected: &[f64], most: f64) {
        assert_eq!(found.len(), expected.len());
        let off = found.iter().zip(expected).map(|(found, expected)| (found - expected).abs());
        assert!(off.fold(0.0, f64::max) < most);
    }

    #[test]
    fn a_ring_lets_its_periods_pass_in_units_of_the_axes() {
        // 20 and 16 nm: periods of 4 nm along the columns and 2 nm along the rows.
        let shape = (40, 32);
        let slow = |y: f64, _: f64| (TAU * y / 4.0 + 0.3).sin();
        let fast = |_: f64, x: f64| 2.0 * (TAU * x / 2.0 + 1.0).cos();
        let all = frame(shape, |y, x| 5.0 + slow(y, x) + fast(y, x));
        let of = |parameters: &Parameters| filtered(parameters, shape, &all).unwrap();
        assert_near(&of(&ring(0.1, 0.0)), &frame(shape, |_, _| 5.0), 1e-12);
        assert_near(&of(&ring(0.3, 0.1)), &frame(shape, slow), 1e-12);
        assert_near(&of(&ring(0.5, 0.25)), &frame(shape, fast), 1e-12);
        let outside = Parameters { keep: Keep::Outside, ..ring(0.3, 0.1) };
        assert_near(&of(&outside), &frame(shape, |y, x| 5.0 + fast(y, x)), 1e-12);
        let spot = Parameters { center_y: -0.25, ..ring(0.05, 0.0) };
        assert_near(&of(&spot), &frame(shape, slow), 1e-12);
        // A spot is half-way through an edge at its radius.
        let edge = Parameters { edge: 0.1, ..ring(0.25, 0.0) };
        assert_near(&of(&edge), &frame(shape, |y, x| 5.0 + 0.5 * slow(y, x)), 1e-12);
    }

    proptest! {
        #[test]
        fn a_mask_is_that_of_the_whole_plane(
            (rows, columns) in (2usize..12, 2usize..12),
            seed in 0usize..1000,
        ) {
            let number = |at: usize| ((at * at * 31 + at * seed + 7) % 101) as f64 / 101.0;
            let values: Vec<f64> = (0..rows * columns).map(number).collect();
            let gains: Vec<f64> = (0..rows * columns).map(|at| number(at + 17)).collect();
            let plane = Plane::new((rows, columns), &gains);
            let mut scratch = Scratch::default();
            let found = plane.filter(&values, &mut scratch).unwrap();
            // The sums themselves, of the mask as it is; the real part.
            let turn = |a: usize, b: usize, y: usize, x: usize| {
                TAU * ((a * y) as f64 / rows as f64 + (b * x) as f64 / columns as f64)
            };
            let points = || (0..rows * columns).map(|at| (at / columns, at % columns));
            for (y, x) in points() {
                let mut expected = 0.0;
                for (a, b) in points() {
                    let gain = gains[(a + rows / 2) % rows * columns + (b + columns / 2) % columns];
                    let apart = |(v, u): (usize, usize)| turn(a, b, y + rows - v, x + columns - u);
                    let sum: f64 = points().map(|at| values[at.0 * columns + at.1] * apart(at).cos()).sum();
                    expected += gain * sum / (rows * columns) as f64;
                }
                prop_assert!((found[y * columns + x] - expected).abs() < 1e-11);
            }
        }
    }

    #[test]
    fn strange_frames_have_a_result_or_fail() {
        let shape = (8, 6);
        for value in [0.0, 3.0, 65535.0] {
            let found = filtered(&ring(0.5, 0.0), shape, &[value; 48]).unwrap();
            assert_near(&found, &[value; 48], 1e-9);
            let found = filtered(&ring(0.5, 0.01), shape, &[value; 48]).unwrap();
            assert_near(&found, &[0.0; 48], 1e-9);
        }
        for strange in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.7e308] {
            let mut values = [1.0; 48];
            values[20..23].fill(strange);
            let failed = filtered(&ring(0.5, 0.01), shape, &values).unwrap_err();
            assert!(failed.contains("not finite"), "{strange}: {failed}");
        }
    }

    #[test]
    fn what_has_no_mask_is_refused() {
        let told = |parameters: &Parameters| parameters.check().unwrap_err().to_string();
        assert!(told(&Parameters::default()).contains("there is no mask"));
        assert!(told(&ring(0.2, 0.3)).contains("larger than `radius_inner`"));
        let both = Parameters { mask: Some("/mask".to_owned()), ..ring(0.2, 0.0) };
        assert!(told(&both).contains("in place of"));
        let shape = (8, 6);
        let far = Parameters { center_y: 9.0, ..ring(0.1, 0.0) };
        assert!(filtered(&far, shape, &[0.0; 48]).unwrap_err().contains("no frequency"));
        let mut other = frames(shape);
        other.spectroscopic_dimensions[0].units = "s".to_owned();
        let refused = FftMask::prepare(&ring(0.1, 0.0), &other).err().unwrap().to_string();
        assert!(refused.contains("`Y` and `X` are in `s` and `nm`"), "{refused}");
        let mut uneven = frames((3, 6));
        uneven.spectroscopic_dimensions[0].values = vec![0.0, 1.0, 5.0].into();
        let refused = FftMask::prepare(&ring(0.1, 0.0), &uneven).err().unwrap().to_string();
        assert!(refused.contains("isn't evenly spaced"), "{refused}");
    }
}
