//! A process that uses most parts of the trait.

use pixelmill::Results;
use pixelmill::process::{
    AuxiliaryInput, AxisValues, Dimension, Failure, Process, SourceInfo, Spectrum,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of `Rich`.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
pub struct RichParameters {
    /// Spectra in one row.
    spectra: usize,
    /// A dataset whose first column is added to the mean.
    offset: Option<String>,
    /// Whether the reversed spectra are stored.
    reversed: bool,
}

impl pixelmill::process::Parameters for RichParameters {}

/// What `Rich` finds.
pub struct RichOutput {
    mean: f64,
    largest: f32,
    at: u16,
    reversed: Vec<f32>,
}

/// Several and compound results, spectra as results, several spectra per row, an auxiliary input.
pub struct Rich;

impl Process for Rich {
    const NAME: &'static str = "Rich";
    const VERSION: u32 = 1;
    const NARROWING: bool = true;

    type Parameters = RichParameters;
    type Input = f32;
    type Output = RichOutput;
    type Task = ();
    type Scratch = ();

    fn prepare(_: &RichParameters, _: &SourceInfo) -> Result<(), Failure> {
        Ok(())
    }

    fn spectra_per_position(parameters: &RichParameters, _: &SourceInfo) -> usize {
        parameters.spectra
    }

    fn auxiliary_inputs(parameters: &RichParameters) -> Vec<AuxiliaryInput> {
        parameters.offset.iter().map(AuxiliaryInput::of::<f64>).collect()
    }

    fn create_results_datasets(
        parameters: &RichParameters,
        source: &SourceInfo,
        results: &mut Results<RichOutput>,
    ) {
        results.main("Mean", "Mean", &source.units).scalar(|output: &RichOutput| output.mean);
        results
            .main("Maximum", "Maximum", "")
            .record()
            .field("Value [V]", |output: &RichOutput| output.largest)
            .field("Index", |output: &RichOutput| output.at);
        if parameters.reversed {
            let points = source.spectral_points / parameters.spectra.max(1);
            let axis = Dimension::new("Point", "", AxisValues::counted(points));
            results
                .main("Reversed", &source.quantity, &source.units)
                .spectrum(vec![axis], |output: &RichOutput| &output.reversed);
        }
    }

    fn map_function(
        _: &(),
        spectrum: Spectrum<'_, f32>,
        _: &mut (),
    ) -> Result<RichOutput, Failure> {
        let sum: f64 = spectrum.iter().map(|value| f64::from(*value)).sum();
        let offset = spectrum.auxiliary.first().map_or(0.0, |row| row[0]);
        let (at, largest) =
            spectrum.iter().enumerate().fold((0, f32::NEG_INFINITY), |best, (at, value)| {
                if *value > best.1 { (at, *value) } else { best }
            });
        Ok(RichOutput {
            mean: sum / spectrum.len() as f64 + offset,
            largest,
            at: at as u16,
            reversed: spectrum.iter().rev().copied().collect(),
        })
    }
}
