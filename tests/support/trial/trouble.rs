//! A process that fails and panics.

use pixelmill::Results;
use pixelmill::process::{Failure, Process, SourceInfo, Spectrum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of `Trouble`.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct TroubleParameters {
    /// Every so many positions one fails, beginning with 0; none if 0.
    fail_every: u64,
    /// Every so many positions one panics, beginning with 1; none if 0.
    panic_every: u64,
    /// Whether every failure has a message of its own.
    own_messages: bool,
    /// A file; nothing fails any more once it is there.
    mended_by: Option<String>,
}

impl Default for TroubleParameters {
    fn default() -> Self {
        Self { fail_every: 7, panic_every: 11, own_messages: false, mended_by: None }
    }
}

impl pixelmill::process::Parameters for TroubleParameters {}

/// The first value of each spectrum; some positions fail, some panic.
pub struct Trouble;

impl Process for Trouble {
    const NAME: &'static str = "Trouble";
    const VERSION: u32 = 1;
    const NARROWING: bool = true;

    type Parameters = TroubleParameters;
    type Input = num_complex::Complex64;
    type Output = (f64, i32);
    type Task = TroubleParameters;
    type Scratch = u64;

    fn prepare(given: &TroubleParameters, _: &SourceInfo) -> Result<TroubleParameters, Failure> {
        Ok(TroubleParameters { mended_by: given.mended_by.clone(), ..*given })
    }

    fn create_results_datasets(
        _: &TroubleParameters,
        _: &SourceInfo,
        results: &mut Results<(f64, i32)>,
    ) {
        results.main("First", "First value", "V").scalar(|output: &(f64, i32)| output.0);
        results.main("Count", "Count", "").scalar(|output: &(f64, i32)| output.1);
    }

    fn map_function(
        task: &TroubleParameters,
        spectrum: Spectrum<'_, num_complex::Complex64>,
        scratch: &mut u64,
    ) -> Result<(f64, i32), Failure> {
        // What is left in the scratch by a panic must never be seen by another spectrum.
        assert_eq!(*scratch, 0, "scratch of a panicked spectrum was used again");
        *scratch = spectrum.position + 1;
        let mended =
            task.mended_by.as_ref().is_some_and(|file| std::path::Path::new(file).exists());
        let position = spectrum.position;
        if !mended && task.panic_every > 0 && position % task.panic_every == 1 {
            panic!("panic on purpose");
        }
        *scratch = 0;
        if !mended && task.fail_every > 0 && position.is_multiple_of(task.fail_every) {
            let own = format!("no value at position {position}");
            return Err(Failure::new(if task.own_messages { own } else { "no value".to_owned() }));
        }
        Ok((spectrum[0].re, spectrum.len() as i32))
    }
}
