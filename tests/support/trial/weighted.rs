//! A process with a list as parameter.

use pixelmill::Results;
use pixelmill::process::{Failure, Process, SourceInfo, Spectrum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of `Weighted`.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
pub struct WeightedParameters {
    /// Weights of the first values of each spectrum.
    weights: Vec<f64>,
}

impl pixelmill::process::Parameters for WeightedParameters {}

/// The weighted sum of the first values of each spectrum: a process with a list as parameter.
pub struct Weighted;

impl Process for Weighted {
    const NAME: &'static str = "Weighted";
    const VERSION: u32 = 1;

    type Parameters = WeightedParameters;
    type Input = f64;
    type Output = f64;
    type Task = Vec<f64>;
    type Scratch = ();

    fn prepare(parameters: &WeightedParameters, _: &SourceInfo) -> Result<Vec<f64>, Failure> {
        Ok(parameters.weights.clone())
    }

    fn create_results_datasets(
        _: &WeightedParameters,
        source: &SourceInfo,
        results: &mut Results<f64>,
    ) {
        results.main("Sum", "Weighted sum", &source.units).scalar(|sum: &f64| *sum);
    }

    fn map_function(
        weights: &Vec<f64>,
        spectrum: Spectrum<'_, f64>,
        _: &mut (),
    ) -> Result<f64, Failure> {
        Ok(weights.iter().zip(spectrum.iter()).map(|(weight, value)| weight * value).sum())
    }
}
