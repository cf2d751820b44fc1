//! A process that is given much besides its source.

use num_complex::{Complex32, Complex64};
use pixelmill::Results;
use pixelmill::ndarray::{Array1, Array2, Ix2};
use pixelmill::process::{
    AuxiliaryInput, ConstantAxes, ConstantInput, Dimension, Failure, Process, SourceInfo, Spectrum,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of `Given`.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct GivenParameters {
    /// A stack of masks, each with the axes of a spectrum.
    masks: String,
    /// A factor of each position, complex.
    factor: Option<String>,
    /// A whole number of each position.
    count: Option<String>,
    /// Time that every spectrum takes.
    #[schemars(extend("unit" = "us"))]
    pause: u64,
}

impl Default for GivenParameters {
    fn default() -> Self {
        Self { masks: "/masks".to_owned(), factor: None, count: None, pause: 0 }
    }
}

impl pixelmill::process::Parameters for GivenParameters {}

/// The sum under each mask, times a factor, and a count as it is.
pub struct Given;

/// What `Given` shares.
pub struct GivenTask {
    masks: Array2<f32>,
    /// Which auxiliary inputs these are.
    factor: Option<usize>,
    count: Option<usize>,
    pause: std::time::Duration,
}

/// What `Given` finds.
pub struct GivenOutput {
    sums: Array1<Complex64>,
    count: i32,
}

impl Process for Given {
    const NAME: &'static str = "Given";
    const VERSION: u32 = 1;

    type Parameters = GivenParameters;
    type Input = Complex64;
    type Output = GivenOutput;
    type Task = GivenTask;
    type Scratch = ();

    fn auxiliary_inputs(given: &GivenParameters) -> Vec<AuxiliaryInput> {
        let factor = given.factor.iter().map(AuxiliaryInput::of::<Complex32>);
        factor.chain(given.count.iter().map(AuxiliaryInput::of::<i32>)).collect()
    }

    fn constant_inputs(given: &GivenParameters) -> Vec<ConstantInput> {
        let masks = ConstantInput::of::<f32>(given.masks.as_str()).narrowing();
        vec![masks.with_axes(ConstantAxes::Spectra)]
    }

    fn prepare(given: &GivenParameters, source: &SourceInfo) -> Result<GivenTask, Failure> {
        let masks = &source.constants[0];
        let values = masks.values::<f32>()?.to_vec();
        let shape = (masks.shape[0], source.spectral_points);
        let masks = Array2::from_shape_vec(shape, values);
        Ok(GivenTask {
            masks: masks.map_err(|error| Failure::new(error.to_string()))?,
            factor: given.factor.as_ref().map(|_| 0),
            count: given.count.as_ref().map(|_| usize::from(given.factor.is_some())),
            pause: std::time::Duration::from_micros(given.pause),
        })
    }

    fn create_results_datasets(
        _: &GivenParameters,
        source: &SourceInfo,
        results: &mut Results<GivenOutput>,
    ) {
        let numbers = (0..source.constants[0].shape[0]).map(|number| number as f64);
        let axis = Dimension::new("Mask", "", numbers.collect::<Vec<f64>>());
        results
            .main("Sums", "Sum", &source.units)
            .array(vec![axis], |output: &GivenOutput| output.sums.view());
        results.main("Count", "Count", "").scalar(|output: &GivenOutput| output.count);
    }

    fn map_function(
        task: &GivenTask,
        spectrum: Spectrum<'_, Complex64>,
        _: &mut (),
    ) -> Result<GivenOutput, Failure> {
        std::thread::sleep(task.pause);
        let of = |input: usize| spectrum.auxiliary.array_of::<Complex32, Ix2>(input).is_err();
        let factor = match task.factor {
            // A number is an axis of one step, no frame.
            Some(input) if of(input) => spectrum.auxiliary.values::<Complex32>(input)?[0],
            _ => Complex32::new(1.0, 0.0),
        };
        let factor = Complex64::new(factor.re.into(), factor.im.into());
        let count = match task.count {
            Some(input) => spectrum.auxiliary.values::<i32>(input)?[0],
            None => 0,
        };
        let under = |mask: pixelmill::ndarray::ArrayView1<'_, f32>| {
            let products = mask.iter().zip(spectrum.values);
            products.map(|(mask, value)| f64::from(*mask) * value).sum::<Complex64>() * factor
        };
        let sums = task.masks.outer_iter().map(under).collect();
        Ok(GivenOutput { sums, count })
    }
}
