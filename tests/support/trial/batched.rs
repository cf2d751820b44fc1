//! A process that computes units, not spectra.

use pixelmill::Results;
use pixelmill::ndarray::{Ix1, IxDyn};
use pixelmill::process::{Failure, Outputs, Process, SourceInfo, Spectrum, Unit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of `Batched`.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
pub struct BatchedParameters {
    /// Whether every unit fails.
    fail: bool,
    /// Whether every unit panics.
    panic: bool,
}

impl pixelmill::process::Parameters for BatchedParameters {}

/// The sum of each spectrum, computed a whole unit at a time.
pub struct Batched;

/// How `Batched` computes.
pub struct BatchedTask {
    fail: bool,
    panic: bool,
}

impl Process for Batched {
    const NAME: &'static str = "Batched";
    const VERSION: u32 = 1;

    type Parameters = BatchedParameters;
    type Input = f64;
    type Output = f64;
    type Task = BatchedTask;
    type Scratch = ();

    fn prepare(given: &BatchedParameters, _: &SourceInfo) -> Result<BatchedTask, Failure> {
        Ok(BatchedTask { fail: given.fail, panic: given.panic })
    }

    fn create_results_datasets(
        _: &BatchedParameters,
        source: &SourceInfo,
        results: &mut Results<f64>,
    ) {
        results.main("Sum", "Sum", &source.units).scalar(|sum: &f64| *sum);
    }

    fn map_function(_: &BatchedTask, _: Spectrum<'_, f64>, _: &mut ()) -> Result<f64, Failure> {
        Err(Failure::new("spectra are computed together"))
    }

    fn unit_computation(
        task: &BatchedTask,
        unit: &mut Unit<'_, f64>,
        _: &mut (),
        outputs: &mut Outputs<'_, f64>,
    ) -> Result<(), Failure> {
        assert!(!task.panic, "the whole unit panics");
        if task.fail {
            return Err(Failure::new("the whole unit failed"));
        }
        let spectra = unit.array::<IxDyn>()?;
        let sums = spectra.outer_iter().map(|spectrum| spectrum.iter().sum());
        outputs.column::<f64, Ix1>(0)?.iter_mut().zip(sums).for_each(|(place, sum)| *place = sum);
        outputs.filled(0..unit.len());
        Ok(())
    }
}
