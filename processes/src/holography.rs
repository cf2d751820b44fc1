//! The electron wave of each off-axis hologram, reconstructed from a sideband of its transform, as
//! LiberTEM's `HoloReconstructUDF` and HyperSpy's `reconstruct_phase` do it.
//!
//! A hologram of N × M points x(y, x) has the transform F(k, l) = Σ x·e^(−2πi(ky/N + lx/M)). Its
//! sideband is moved to 0, cut out by an aperture H and transformed back into n × m points, which
//! lie N/n and M/m points apart:
//!
//! ψ(u, v) = 1/(N·M) Σ H(k, l)·F(k − p, l − q)·e^(2πi(ku/n + lv/m)),
//!
//! over −n/2 ≤ k < n/2 and −m/2 ≤ l < m/2.
//!
//! H is 1 where ρ = √((k/N)² + (l/M)²) is less than R = `sb_size`·(1/N + 1/M)/2, and 0 elsewhere;
//! with an edge of s = `sb_smoothness`·R it is ½(1 − tanh((ρ − R)/(s/2))). Of a hologram
//! 1 + A² + 2A·cos(2π(py/N + qx/M) − φ), as H. Lichte and M. Lehmann write it (Rep. Prog. Phys. 71
//! (2008) 016102), ψ = A·e^(iφ): as in both programs, (p, q) is the place by which the transform is
//! moved, and what comes to 0 is the sideband opposite to it. That at (N − p, M − q) has the
//! conjugate wave.
//!
//! Results: `Wave` (n, m), complex, on the axes of the detector with larger steps, in the units of
//! the hologram; where a `reference` is given, a hologram without the object, it is divided by the
//! wave of that and has none. `Amplitude` |ψ|, and `Phase` from −π to π in rad, not unwrapped.
//! `Sideband` has once p, q and `sb_size`. In single precision if that holds the source's values
//! (float32, integers of up to 16 bits), else in double, unless `precision` says another. The last
//! bits depend on the processor's instructions, since the transforms of `rustfft` do.
//!
//! Without `sb_position` the sideband is looked for in the reference, as HyperSpy does: the
//! brightest point with k ≤ N/2 whose ρ is more than a 20th of the largest. Nothing is looked for
//! in each hologram by itself: results could not be compared then.
//!
//! Where others differ: the amplitude of both grows by N·M/(n·m), so that it depends on the shape
//! of the result; it is that of the hologram here. For odd numbers of points, and LiberTEM's for
//! results that aren't square, they are wrong by a frequency. LiberTEM 0.14 has an edge that is
//! narrower by the number of points of the result than it says, and an aperture that is round in
//! these points; its successor, LiberTEM-holo, takes any. They compute integers in single precision
//! even if double is asked for. HyperSpy's default radius may reach into the other sideband, where
//! that is near the end of the spectrum. What the aperture lets pass by less than the precision is
//! left out.
//!
//! A hologram that isn't finite everywhere, or constant, so that there are no fringes, fails. Of a
//! saturated one, whose fringes are cut off, the wave is that of what is left.

mod reconstruct;
mod sideband;

use num_complex::Complex64;
use pixelmill_core::Results;
use pixelmill_core::process::{
    AxisValues, ConstantAxes, ConstantInput, Dimension, Failure, Model, Outputs,
    Parameters as Checked, Process, SourceInfo, Spectrum, SpectrumAxes, Unit,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::as_source::is_single;
use crate::choices::one_of;
use crate::fourier::Real;
use reconstruct::{Memory, Reconstruction, Waves};
use sideband::{Sideband, carrier};

/// What is cut out of the transform of a hologram, and what is made of it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// Row and column of the sideband in the transform of a hologram, as [20, 31]; negative ones
    /// count from the end. Without it the sideband is looked for in the reference.
    #[schemars(extend("unit" = "points"))]
    pub sb_position: Option<Vec<i64>>,
    /// The radius of the aperture around the sideband; half the distance from the centre if none.
    #[schemars(range(min = 0.5), extend("unit" = "points"))]
    pub sb_size: Option<f64>,
    /// Width of the edge of the aperture as a part of its radius; for 0 it is hard.
    #[schemars(range(min = 0, max = 1))]
    pub sb_smoothness: f64,
    /// Rows and columns of the wave, as [64, 64]; about as few as the aperture fits into if none.
    #[schemars(extend("unit" = "points"))]
    pub out_shape: Option<Vec<usize>>,
    /// A dataset with a hologram without the object, by whose wave all are divided.
    pub reference: Option<String>,
    /// Whether it is computed in single or double precision, or as the source needs it.
    pub precision: Precision,
    /// Whether the complex waves are written.
    pub write_wave: bool,
    /// Whether their amplitudes are written.
    pub write_amplitude: bool,
    /// Whether their phases are written.
    pub write_phase: bool,
}

/// With how many digits it is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision if that holds the source's values, else double.
    #[default]
    Source,
    /// Single precision.
    Single,
    /// Double precision.
    Double,
}

one_of!(Precision: "source", "single", "double");

impl Default for Parameters {
    fn default() -> Self {
        Self {
            sb_position: None,
            sb_size: None,
            sb_smoothness: 0.05,
            out_shape: None,
            reference: None,
            precision: Precision::default(),
            write_wave: true,
            write_amplitude: false,
            write_phase: false,
        }
    }
}

impl Checked for Parameters {
    fn check(&self) -> Result<(), Failure> {
        if self.sb_position.as_ref().is_some_and(|place| place.len() != 2) {
            return Err(Failure::new("`sb_position` has to be a row and a column, as [20, 31]"));
        }
        let is_shape = |shape: &Vec<usize>| shape.len() == 2 && !shape.contains(&0);
        if !self.out_shape.as_ref().is_none_or(is_shape) {
            let told = "`out_shape` has to be numbers of rows and columns, as [64, 64]";
            return Err(Failure::new(told));
        }
        if !(self.write_wave || self.write_amplitude || self.write_phase) {
            return Err(Failure::new(
                "no results are left: set `write_wave`, `write_amplitude` or `write_phase`",
            ));
        }
        Ok(())
    }
}

impl Parameters {
    fn is_single(&self, source: &SourceInfo) -> bool {
        match self.precision {
            Precision::Source => is_single(source),
            Precision::Single => true,
            Precision::Double => false,
        }
    }
}

/// The result of one hologram; what isn't written, or not in this precision, is empty.
#[derive(Default)]
pub struct Output {
    single: Waves<f32>,
    double: Waves<f64>,
}

/// What is prepared once.
pub struct Task {
    sideband: Sideband,
    reconstruction: InPrecision,
}

enum InPrecision {
    Single(Reconstruction<f32>),
    Double(Reconstruction<f64>),
}

/// Memory of a worker.
#[derive(Default)]
pub struct Scratch {
    single: Memory<f32>,
    double: Memory<f64>,
    /// A hologram in single precision.
    hologram: Vec<f32>,
    output: Output,
}

/// The process `Holography`.
pub struct Holography;

impl Process for Holography {
    const NAME: &'static str = "Holography";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "the electron wave of each off-axis hologram, from its sideband";

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
        let sideband = Sideband::of(parameters, source)?;
        let reference = source.constants.first().map(|array| array.values::<f64>()).transpose()?;
        let reconstruction = if parameters.is_single(source) {
            InPrecision::Single(prepared(parameters, &sideband, reference)?)
        } else {
            InPrecision::Double(prepared(parameters, &sideband, reference)?)
        };
        Ok(Task { sideband, reconstruction })
    }

    fn create_results_datasets(
        parameters: &Parameters,
        source: &SourceInfo,
        results: &mut Results<Output>,
    ) {
        // `prepare` has refused what this refuses.
        let Ok(sideband) = Sideband::of(parameters, source) else { return };
        let units = if parameters.reference.is_some() { "" } else { source.units.as_str() };
        let is_single = parameters.is_single(source);
        let axes = || sideband.axes(source);
        macro_rules! declare {
            ($name:literal, $units:expr, $field:ident) => {{
                let declaration = results.main($name, $name, $units);
                if is_single {
                    declaration.spectrum(axes(), |output: &Output| &output.single.$field);
                } else {
                    declaration.spectrum(axes(), |output: &Output| &output.double.$field);
                }
            }};
        }
        if parameters.write_wave {
            declare!("Wave", units, wave);
        }
        if parameters.write_amplitude {
            declare!("Amplitude", units, amplitude);
        }
        if parameters.write_phase {
            declare!("Phase", "rad", phase);
        }
        let (row, column) = sideband.position;
        let told = [row as f64, column as f64, sideband.size()];
        let axis = Dimension::new("Row, column and radius", "", AxisValues::counted(told.len()));
        results.main("Sideband", "Frequency", "points").constant(vec![axis], &told);
    }

    fn map_function(
        task: &Task,
        spectrum: Spectrum<'_, f64>,
        scratch: &mut Scratch,
    ) -> Result<Output, Failure> {
        let Scratch { single, double, hologram, output } = scratch;
        match &task.reconstruction {
            InPrecision::Single(reconstruction) => {
                narrow(&spectrum, hologram);
                reconstruction.fill(hologram, single, &mut output.single)?;
            }
            InPrecision::Double(reconstruction) => {
                reconstruction.fill(&spectrum, double, &mut output.double)?;
            }
        }
        Ok(std::mem::take(output))
    }

    fn model(task: &Task, spectrum: Spectrum<'_, f64>, output: &Output) -> Model {
        let model = Model::new().part("phase", task.phase_at_each_point(output));
        match task.fringes(&spectrum) {
            Ok(fringes) => model.curve("fringes of the sideband", fringes),
            Err(_) => model,
        }
    }

    fn extra_memory_per_position(parameters: &Parameters, source: &SourceInfo) -> usize {
        // What isn't known before there is a reference is less than all of it.
        let Ok(sideband) = Sideband::of(parameters, source) else {
            return 4 * source.spectral_points * size_of::<Complex64>();
        };
        if parameters.is_single(source) {
            Reconstruction::<f32>::new(&sideband).bytes(&sideband)
        } else {
            Reconstruction::<f64>::new(&sideband).bytes(&sideband)
        }
    }

    /// Not spectrum by spectrum through `map_function`, so that no wave is allocated, and what
    /// single precision holds never becomes double.
    fn unit_computation(
        task: &Task,
        unit: &mut Unit<'_, f64>,
        scratch: &mut Scratch,
        outputs: &mut Outputs<'_, Output>,
    ) -> Result<(), Failure> {
        let Scratch { single, double, hologram, output } = scratch;
        for index in 0..unit.len() {
            let filled = match &task.reconstruction {
                InPrecision::Single(reconstruction) => {
                    let hologram = match unit.spectrum_as(index, hologram) {
                        Some(hologram) => hologram,
                        None => narrow(&unit.spectrum(index), hologram),
                    };
                    reconstruction.fill(hologram, single, &mut output.single)
                }
                InPrecision::Double(reconstruction) => {
                    reconstruction.fill(&unit.spectrum(index), double, &mut output.double)
                }
            };
            outputs.set_from(index, filled.map(|()| &*output));
        }
        Ok(())
    }
}

/// Values in single precision.
fn narrow<'a>(values: &[f64], single: &'a mut Vec<f32>) -> &'a [f32] {
    single.clear();
    single.extend(values.iter().map(|value| *value as f32));
    single
}

/// How waves are made of holograms, divided by that of the reference if there is one.
fn prepared<T: Real>(
    parameters: &Parameters,
    sideband: &Sideband,
    reference: Option<&[f64]>,
) -> Result<Reconstruction<T>, Failure> {
    let reconstruction = Reconstruction::new(sideband)
        .with_parts(parameters.write_amplitude, parameters.write_phase);
    let Some(reference) = reference else { return Ok(reconstruction) };
    let reference: Vec<T> = reference.iter().map(|value| T::nearest(*value)).collect();
    reconstruction.with_reference(&reference)
}

impl Task {
    /// The phase of the point of the wave that is nearest to each of the hologram.
    fn phase_at_each_point(&self, output: &Output) -> Vec<f64> {
        let Sideband { frame, out, .. } = &self.sideband;
        let phase = |at: usize| match &self.reconstruction {
            InPrecision::Single(_) => f64::from(output.single.wave[at].arg()),
            InPrecision::Double(_) => output.double.wave[at].arg(),
        };
        let nearest = |place: usize, (length, points): (usize, usize)| {
            ((2 * place * points + length) / (2 * length)) % points
        };
        let place = |at: usize| {
            let row = nearest(at / frame.1, (frame.0, out.0));
            row * out.1 + nearest(at % frame.1, (frame.1, out.1))
        };
        (0..frame.0 * frame.1).map(|at| phase(place(at))).collect()
    }

    /// What the hologram would be of its mean and this sideband alone.
    fn fringes(&self, hologram: &[f64]) -> Result<Vec<f64>, Failure> {
        let sideband = self.sideband.at_full_size();
        let mut waves = Waves::default();
        Reconstruction::new(&sideband).fill(hologram, &mut Memory::default(), &mut waves)?;
        let mean = hologram.iter().sum::<f64>() / hologram.len() as f64;
        let columns = sideband.frame.1;
        let of_wave = waves.wave.iter().enumerate();
        Ok(of_wave
            .map(|(at, wave)| {
                mean + 2.0 * (wave * carrier(&sideband, (at / columns, at % columns))).re
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pixelmill_core::element::{ElementType, StoredType};
    use pixelmill_core::process::ConstantArray;
    use proptest::prelude::*;
    use std::f64::consts::TAU;

    fn source(shape: (usize, usize), reference: Option<&[f64]>) -> SourceInfo {
        let axis = |name: &str, step: f64, length: usize| {
            Dimension::new(name, "nm", AxisValues::even(1.0, step, length))
        };
        let stored = StoredType { element: ElementType::Float64, swapped: false };
        let constant = |values: &[f64]| {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
            ConstantArray::new("/r", vec![shape.0, shape.1], (&bytes, stored), ElementType::Float64)
        };
        SourceInfo {
            path: "/holograms".to_owned(),
            positions: 1,
            spectral_points: shape.0 * shape.1,
            element: ElementType::Float64,
            is_corrected: false,
            quantity: "Intensity".to_owned(),
            units: "counts".to_owned(),
            position_dimensions: Vec::new(),
            spectroscopic_dimensions: vec![axis("Y", 0.5, shape.0), axis("X", 0.25, shape.1)],
            auxiliary: Vec::new(),
            constants: reference.map(constant).into_iter().collect(),
            selected: None,
        }
    }

    /// Of an object, with this place of the sideband.
    fn hologram(
        (rows, columns): (usize, usize),
        (p, q): (i64, i64),
        object: impl Fn(f64, f64) -> Complex64,
    ) -> Vec<f64> {
        let value = |at: usize| {
            let (y, x) =
                ((at / columns) as f64 / rows as f64, (at % columns) as f64 / columns as f64);
            let carrier = Complex64::cis(TAU * (p as f64 * y + q as f64 * x));
            let object = object(y, x);
            100.0 * (1.0 + object.norm_sqr() + 2.0 * (carrier * object.conj()).re)
        };
        (0..rows * columns).map(value).collect()
    }

    /// Smooth, and the same at opposite edges, as a transform takes it to be.
    fn object(y: f64, x: f64) -> Complex64 {
        let bump = (-((y - 0.4).powi(2) + (x - 0.55).powi(2)) / 0.01).exp();
        Complex64::from_polar(1.0 - 0.3 * bump, 1.5 * bump + 0.3 * (TAU * y).sin())
    }

    fn told(position: (i64, i64)) -> Parameters {
        let place = vec![position.0, position.1];
        Parameters {
            sb_position: Some(place),
            precision: Precision::Double,
            ..Parameters::default()
        }
    }

    fn reconstructed(
        parameters: &Parameters,
        source: &SourceInfo,
        hologram: &[f64],
    ) -> Result<Output, Failure> {
        let task = Holography::prepare(parameters, source)?;
        let shape = source.spectrum_shape(1);
        Holography::map_function(&task, Spectrum::new(hologram, &shape), &mut Scratch::default())
    }

    /// How far a wave is off 100 times an object.
    fn off(
        wave: &[Complex64],
        shape: (usize, usize),
        object: impl Fn(f64, f64) -> Complex64,
    ) -> f64 {
        assert_eq!(wave.len(), shape.0 * shape.1);
        let expected = |at: usize| {
            object((at / shape.1) as f64 / shape.0 as f64, (at % shape.1) as f64 / shape.1 as f64)
        };
        let off = wave.iter().enumerate().map(|(at, value)| (value / 100.0 - expected(at)).norm());
        off.fold(0.0, f64::max)
    }

    #[test]
    fn the_wave_of_fringes_is_their_amplitude_and_phase() {
        // By hand: 3 + 2·cos(2π(2y/8 + x/8) − 0.5) is the hologram of a wave of amplitude 1.
        let at = |at: usize| 2.0 * (at / 8) as f64 / 8.0 + (at % 8) as f64 / 8.0;
        let values: Vec<f64> =
            (0..64).map(|place| 3.0 + 2.0 * (TAU * at(place) - 0.5).cos()).collect();
        let parameters = Parameters {
            sb_size: Some(1.0),
            sb_smoothness: 0.0,
            write_amplitude: true,
            write_phase: true,
            ..told((2, 1))
        };
        let found = reconstructed(&parameters, &source((8, 8), None), &values).unwrap().double;
        assert_eq!(found.wave.len(), 4);
        assert!(found.amplitude.iter().all(|value| (value - 1.0).abs() < 1e-14));
        assert!(found.phase.iter().all(|value| (value - 0.5).abs() < 1e-14));
    }

    #[test]
    fn waves_are_those_of_the_formula_by_numpy() {
        // numpy.fft of version 1.26, on (n² + 3n) mod 23 − 9 as a frame of 12 × 10.
        let values: Vec<f64> = (0..120).map(|at| f64::from((at * at + 3 * at) % 23 - 9)).collect();
        let parameters = Parameters {
            sb_size: Some(2.0),
            sb_smoothness: 0.2,
            out_shape: Some(vec![6, 6]),
            ..told((2, 3))
        };
        let found = reconstructed(&parameters, &source((12, 10), None), &values).unwrap().double;
        for (at, re, im) in [
            (0, -1.8809091694659066, -0.7764878496968589),
            (8, 1.3554426185982063, -3.7401322816525377),
            (35, -2.296417253573786, -0.48541049965364136),
        ] {
            assert!((found.wave[at] - Complex64::new(re, im)).norm() < 1e-13, "{at}");
        }
    }

    #[test]
    fn objects_are_found_again_whatever_the_shape_of_the_result() {
        for (shape, position, size, out) in [
            ((128, 128), (20, 31), 17.0, vec![128, 128]),
            ((128, 128), (20, 31), 17.0, vec![40, 36]),
            ((128, 128), (-28, 25), 17.0, vec![35, 64]),
            ((127, 96), (30, 20), 16.0, vec![127, 95]),
            ((96, 125), (22, 101), 16.0, vec![45, 51]),
        ] {
            let values = hologram(shape, position, object);
            let parameters =
                Parameters { sb_size: Some(size), out_shape: Some(out.clone()), ..told(position) };
            let source = source(shape, None);
            let found = reconstructed(&parameters, &source, &values).unwrap();
            let far = off(&found.double.wave, (out[0], out[1]), object);
            assert!(far < 3e-3, "{shape:?} {out:?}: {far}");
            let parameters = Parameters { precision: Precision::Single, ..parameters };
            let single = reconstructed(&parameters, &source, &values).unwrap().single.wave;
            for (single, double) in single.iter().zip(&found.double.wave) {
                let single = Complex64::new(single.re.into(), single.im.into());
                assert!((single - double).norm() < 1e-4, "{single} {double}");
            }
        }
    }

    #[test]
    fn the_opposite_sideband_has_the_conjugate_wave() {
        let shape = (64, 80);
        let values = hologram(shape, (10, 16), object);
        let parameters = Parameters { out_shape: Some(vec![21, 21]), ..told((10, 16)) };
        let source = source(shape, None);
        let one = reconstructed(&parameters, &source, &values).unwrap().double.wave;
        let parameters = Parameters { sb_position: Some(vec![-10, 64]), ..parameters };
        let other = reconstructed(&parameters, &source, &values).unwrap().double.wave;
        assert!(one.iter().zip(&other).all(|(one, other)| (one - other.conj()).norm() < 1e-10));
    }

    #[test]
    fn waves_are_divided_by_that_of_the_reference() {
        let shape = (96, 96);
        let distorted = |y: f64, x: f64| {
            Complex64::from_polar(0.8 + 0.1 * (TAU * x).cos(), 0.7 * (TAU * (y + x)).sin())
        };
        let reference = hologram(shape, (15, 24), distorted);
        let values = hologram(shape, (15, 24), |y, x| distorted(y, x) * object(y, x));
        let source = source(shape, Some(&reference));
        // Where the sideband is is found in the reference.
        let parameters = Parameters {
            reference: Some("/r".to_owned()),
            out_shape: Some(vec![48, 48]),
            precision: Precision::Double,
            ..Parameters::default()
        };
        assert_eq!(Sideband::of(&parameters, &source).unwrap().position, (15, 24));
        let found = reconstructed(&parameters, &source, &values).unwrap().double.wave;
        let found: Vec<Complex64> = found.iter().map(|value| value * 100.0).collect();
        let far = off(&found, (48, 48), object);
        assert!(far < 5e-3, "{far}");
        let mut results = Results::default();
        Holography::create_results_datasets(&parameters, &source, &mut results);
        assert_eq!((results.columns[0].units.as_str(), results.constants.len()), ("", 1));
    }

    #[test]
    fn axes_are_those_of_the_detector_with_larger_steps() {
        let parameters =
            Parameters { sb_size: Some(6.0), out_shape: Some(vec![16, 40]), ..told((15, 24)) };
        let mut source = source((64, 100), None);
        let axes = Sideband::of(&parameters, &source).unwrap().axes(&source);
        assert_eq!(axes[0].values.as_even(), Some((1.0, 2.0)));
        assert_eq!(axes[1].values.as_even(), Some((1.0, 0.625)));
        assert_eq!((axes[1].name.as_str(), axes[1].units.as_str(), axes[1].len()), ("X", "nm", 40));
        let listed: Vec<f64> = (0..100).map(|index| f64::from(index * index)).collect();
        source.spectroscopic_dimensions[1].values = listed.into();
        let axes = Sideband::of(&parameters, &source).unwrap().axes(&source);
        assert_eq!(axes[1].values.to_vec()[..3], [0.0, 6.5, 25.0]);
    }

    #[test]
    fn what_is_no_sideband_is_refused_in_words() {
        let source = source((64, 100), None);
        let refused = |parameters: Parameters| {
            let checked =
                parameters.check().and_then(|()| Holography::prepare(&parameters, &source));
            checked.err().map_or(String::new(), |failure| failure.to_string())
        };
        let out_shape = |rows, columns| Some(vec![rows, columns]);
        for (parameters, told) in [
            (
                told((64, 3)),
                "the row 64, outside of the spectrum: holograms of 64 rows have them from -32 to \
                 63",
            ),
            (told((3, -51)), "the column -51, outside of the spectrum"),
            (told((0, 0)), "at [0, 0] there is no sideband"),
            (told((32, 50)), "at [32, 50] there is no sideband"),
            (Parameters { sb_size: Some(20.0), ..told((10, 0)) }, "`sb_size` can be 12.2 at most"),
            (
                Parameters { sb_size: Some(20.0), ..told((28, 0)) },
                "reaches into the centre or the other",
            ),
            (
                Parameters { out_shape: out_shape(65, 64), ..told((15, 24)) },
                "has 65 rows, more than the 64",
            ),
            (
                Parameters { out_shape: out_shape(22, 10), ..told((15, 24)) },
                "has 10 columns, less than",
            ),
            (Parameters { out_shape: Some(vec![0, 4]), ..told((15, 24)) }, "as [64, 64]"),
            (Parameters { sb_position: Some(vec![3]), ..Parameters::default() }, "as [20, 31]"),
            (Parameters { write_wave: false, ..told((15, 24)) }, "no results are left"),
            (Parameters::default(), "say `sb_position=[row,column]`"),
        ] {
            let found = refused(parameters);
            assert!(found.contains(told), "{told}: {found}");
        }
        for (reference, told) in
            [(vec![3.0; 6400], "is constant"), (vec![f64::NAN; 6400], "not finite")]
        {
            let source = self::source((64, 100), Some(&reference));
            for parameters in [Parameters::default(), self::told((15, 24))] {
                let failure = Holography::prepare(&parameters, &source).err().unwrap().to_string();
                assert!(failure.contains("reference") && failure.contains(told), "{failure}");
            }
        }
    }

    #[test]
    fn what_has_no_fringes_fails_and_leaves_nothing_behind() {
        let shape = (32, 40);
        let values = hologram(shape, (8, 9), object);
        let mut strange = values.clone();
        strange[777] = f64::NAN;
        let source = source(shape, None);
        for precision in [Precision::Single, Precision::Double] {
            let parameters = Parameters { precision, ..told((8, 9)) };
            let task = Holography::prepare(&parameters, &source).unwrap();
            let mut scratch = Scratch::default();
            let mut map = |values: &[f64]| {
                Holography::map_function(&task, Spectrum::new(values, &[32, 40]), &mut scratch)
            };
            let fresh = map(&values).unwrap();
            for (values, told) in [
                (strange.clone(), "not finite"),
                (vec![0.0; 1280], "constant"),
                (vec![65535.0; 1280], "constant"),
                (values.iter().map(|value| value * 1e306).collect(), "too large"),
            ] {
                let failure = map(&values).err().unwrap().to_string();
                assert!(failure.contains(told), "{failure}");
            }
            let again = map(&values).unwrap();
            assert_eq!(fresh.single.wave, again.single.wave);
            assert_eq!(fresh.double.wave, again.double.wave);
        }
    }

    #[test]
    fn what_is_drawn_are_the_fringes_of_the_hologram() {
        let shape = (64, 64);
        let values = hologram(shape, (9, 14), object);
        let (parameters, source) = (told((9, 14)), source(shape, None));
        let task = Holography::prepare(&parameters, &source).unwrap();
        let spectrum = Spectrum::new(&values, &[64, 64]);
        let output = Holography::map_function(&task, spectrum, &mut Scratch::default()).unwrap();
        let model = Holography::model(&task, spectrum, &output);
        let curve = |at: usize| match &model.curves[at].values {
            pixelmill_core::model::Values::Real(values) => values.clone(),
            _ => Vec::new(),
        };
        // |ψ|² of the hologram is no part of the fringes; away from the object it is 1.
        for (at, (found, value)) in curve(1).iter().zip(&values).enumerate() {
            let far = (at / 64).abs_diff(26).max((at % 64).abs_diff(35));
            assert!(far < 20 || (found - value).abs() < 12.0, "{at}: {found} {value}");
        }
        assert!((curve(0)[26 * 64 + 35] - object(26.0 / 64.0, 35.0 / 64.0).arg()).abs() < 0.1);
    }

    proptest! {
        #[test]
        fn any_wave_in_the_aperture_comes_back(
            rows in 12usize..40,
            columns in 12usize..40,
            (k, l) in (-1i64..=1, -1i64..=1),
            amplitude in 0.1..10.0,
            phase in -3.0..3.0,
        ) {
            let shape = (rows, columns);
            let position = (rows as i64 / 4, -(columns as i64) / 4);
            // A plane wave of one period less than the aperture's radius.
            let wave = |y: f64, x: f64| {
                Complex64::from_polar(amplitude, phase + TAU * (k as f64 * y + l as f64 * x))
            };
            let values = hologram(shape, position, wave);
            let parameters = Parameters { sb_smoothness: 0.0, ..told(position) };
            let source = source(shape, None);
            let out = Sideband::of(&parameters, &source).unwrap().out;
            let found = reconstructed(&parameters, &source, &values).unwrap();
            prop_assert!(off(&found.double.wave, out, wave) < 1e-12 * (1.0 + amplitude * amplitude));
        }
    }
}
