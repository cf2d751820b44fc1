//! A process some of whose positions take longer than others.

use std::ops::Range;

use pixelmill::Results;
use pixelmill::process::{Failure, Process, SourceInfo, Spectrum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of `Uneven`.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct UnevenParameters {
    /// How often each spectrum is gone over.
    rounds: u32,
    /// Where the dear positions begin, as a part of the scan.
    #[schemars(range(min = 0, max = 1))]
    dear_from: f64,
    /// How many they are, as a part of the scan.
    #[schemars(range(min = 0, max = 1))]
    dear_part: f64,
    /// How many times as many rounds they take.
    dear_factor: u32,
}

impl Default for UnevenParameters {
    fn default() -> Self {
        Self { rounds: 40, dear_from: 0.0, dear_part: 0.05, dear_factor: 50 }
    }
}

impl pixelmill::process::Parameters for UnevenParameters {}

/// A number that takes long to compute for some positions, which lie side by side.
pub struct Uneven;

/// How `Uneven` computes.
pub struct UnevenTask {
    rounds: u32,
    dear_rounds: u32,
    dear: Range<u64>,
}

impl Process for Uneven {
    const NAME: &'static str = "Uneven";
    const VERSION: u32 = 1;
    const NARROWING: bool = true;

    type Parameters = UnevenParameters;
    type Input = num_complex::Complex64;
    type Output = f64;
    type Task = UnevenTask;
    type Scratch = ();

    fn prepare(given: &UnevenParameters, source: &SourceInfo) -> Result<UnevenTask, Failure> {
        let place = |part: f64| (source.positions as f64 * part) as u64;
        Ok(UnevenTask {
            rounds: given.rounds,
            dear_rounds: given.rounds * given.dear_factor,
            dear: place(given.dear_from)..place(given.dear_from + given.dear_part),
        })
    }

    fn create_results_datasets(_: &UnevenParameters, _: &SourceInfo, results: &mut Results<f64>) {
        results.main("Uneven", "Sum", "").scalar(|sum: &f64| *sum);
    }

    fn map_function(
        task: &UnevenTask,
        spectrum: Spectrum<'_, num_complex::Complex64>,
        _: &mut (),
    ) -> Result<f64, Failure> {
        let is_dear = task.dear.contains(&spectrum.position);
        let rounds = if is_dear { task.dear_rounds } else { task.rounds };
        // Each sum needs the one before, so that no compiler can leave a round out.
        Ok((0..rounds).fold(0.0, |sum, _| {
            spectrum.iter().fold(sum * 0.5, |sum, value| sum + value.re * value.re)
        }))
    }
}
