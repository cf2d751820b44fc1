//! A process that takes its time.

use std::thread;
use std::time::Duration;

use pixelmill::Results;
use pixelmill::process::{AuxiliaryInput, Failure, Process, SourceInfo, Spectrum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of `Slow`.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct SlowParameters {
    /// Time that every spectrum takes.
    #[schemars(range(min = 0, max = 10_000_000), extend("unit" = "us"))]
    pause: u64,
    /// A dataset whose first column is added to the sums.
    offset: Option<String>,
}

impl Default for SlowParameters {
    fn default() -> Self {
        Self { pause: 1000, offset: None }
    }
}

impl pixelmill::process::Parameters for SlowParameters {}

/// The sum of each spectrum, after a pause.
pub struct Slow;

impl Process for Slow {
    const NAME: &'static str = "Slow";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "the sum of each spectrum, after a pause";
    const NARROWING: bool = true;

    type Parameters = SlowParameters;
    type Input = num_complex::Complex64;
    type Output = f64;
    type Task = Duration;
    type Scratch = ();

    fn prepare(parameters: &SlowParameters, _: &SourceInfo) -> Result<Duration, Failure> {
        Ok(Duration::from_micros(parameters.pause))
    }

    fn auxiliary_inputs(parameters: &SlowParameters) -> Vec<AuxiliaryInput> {
        parameters.offset.iter().map(AuxiliaryInput::of::<f64>).collect()
    }

    fn create_results_datasets(_: &SlowParameters, _: &SourceInfo, results: &mut Results<f64>) {
        results.main("Slow_Sum", "Sum", "V").scalar(|sum: &f64| *sum);
    }

    fn map_function(
        pause: &Duration,
        spectrum: Spectrum<'_, num_complex::Complex64>,
        _: &mut (),
    ) -> Result<f64, Failure> {
        thread::sleep(*pause);
        let offset = spectrum.auxiliary.first().map_or(0.0, |row| row[0]);
        Ok(spectrum.iter().map(|value| value.re).sum::<f64>() + offset)
    }
}
