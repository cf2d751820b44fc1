//! A process that computes spectra part by part.

use pixelmill::Results;
use pixelmill::process::{Failure, Process, SourceInfo, Spectrum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of `Parted`.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PartedParameters {
    /// A value whose spectra fail.
    fails_at: Option<f64>,
    /// A value that makes the map function panic.
    panics_at: Option<f64>,
    /// A value that must not be in two parts of a spectrum.
    joins_once: Option<f64>,
}

impl pixelmill::process::Parameters for PartedParameters {}

/// How many values each spectrum has, and between which they are.
pub struct Parted;

/// What `Parted` finds.
pub struct PartedOutput {
    count: u64,
    range: Vec<f64>,
    /// Whether the value is in it that must be in one part only.
    has_value: bool,
}

impl Process for Parted {
    const NAME: &'static str = "Parted";
    const VERSION: u32 = 1;
    const IN_PARTS: bool = true;

    type Parameters = PartedParameters;
    type Input = f64;
    type Output = PartedOutput;
    type Task = [Option<f64>; 3];
    type Scratch = ();

    fn prepare(given: &PartedParameters, _: &SourceInfo) -> Result<[Option<f64>; 3], Failure> {
        Ok([given.fails_at, given.panics_at, given.joins_once])
    }

    fn create_results_datasets(
        _: &PartedParameters,
        source: &SourceInfo,
        results: &mut Results<PartedOutput>,
    ) {
        let ends = pixelmill::process::Dimension::new("Least, most", "", vec![0.0, 1.0]);
        results.main("Count", "Count", "").scalar(|found: &PartedOutput| found.count);
        results
            .main("Range", &source.quantity, &source.units)
            .spectrum(vec![ends], |found: &PartedOutput| &found.range);
    }

    fn map_function(
        [fails_at, panics_at, joins_once]: &[Option<f64>; 3],
        part: Spectrum<'_, f64>,
        _: &mut (),
    ) -> Result<PartedOutput, Failure> {
        let has = |value: &Option<f64>| value.is_some_and(|value| part.contains(&value));
        assert!(!has(panics_at), "a part panics on purpose");
        if has(fails_at) {
            return Err(Failure::new("a part fails on purpose"));
        }
        let least = part.iter().copied().fold(f64::INFINITY, f64::min);
        let most = part.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (count, range) = (part.len() as u64, vec![least, most]);
        Ok(PartedOutput { count, range, has_value: has(joins_once) })
    }

    fn join(
        _: &[Option<f64>; 3],
        earlier: PartedOutput,
        later: PartedOutput,
    ) -> Result<PartedOutput, Failure> {
        if earlier.has_value && later.has_value {
            return Err(Failure::new("two parts can't be joined"));
        }
        let least = earlier.range[0].min(later.range[0]);
        let most = earlier.range[1].max(later.range[1]);
        Ok(PartedOutput {
            count: earlier.count + later.count,
            range: vec![least, most],
            has_value: earlier.has_value || later.has_value,
        })
    }
}
