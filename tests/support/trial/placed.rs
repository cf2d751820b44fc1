//! A process that computes with where a spectrum was measured, in single precision, and lets
//! nothing be rounded to it.

use pixelmill::Results;
use pixelmill::process::{Failure, Means, Process, SourceInfo, Spectrum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of `Placed`.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
pub struct PlacedParameters {
    /// Time that every spectrum takes.
    #[schemars(extend("unit" = "us"))]
    pause: u64,
}

impl pixelmill::process::Parameters for PlacedParameters {}

/// The first value of each spectrum, and where it was measured.
pub struct Placed;

/// Of one spectrum.
pub struct Output {
    first: f32,
    steps: [u32; 2],
    values: [f64; 2],
}

/// Room for something, as much as each worker may take.
#[derive(Default)]
pub struct Scratch {
    room: Vec<u8>,
}

impl Process for Placed {
    const NAME: &'static str = "Placed";
    const VERSION: u32 = 1;
    const COORDINATES: bool = true;

    type Parameters = PlacedParameters;
    type Input = f32;
    type Output = Output;
    type Task = u64;
    type Scratch = Scratch;

    fn prepare(parameters: &PlacedParameters, _: &SourceInfo) -> Result<u64, Failure> {
        Ok(parameters.pause)
    }

    fn create_results_datasets(
        _: &PlacedParameters,
        source: &SourceInfo,
        results: &mut Results<Output>,
    ) {
        let axis = |at: usize| {
            let axis = source.position_dimensions.get(at);
            axis.map_or((String::new(), String::new()), |axis| {
                (axis.name.clone(), axis.units.clone())
            })
        };
        let ((slow, slow_units), (fast, fast_units)) = (axis(0), axis(1));
        results.main("First", "First value", &source.units).scalar(|output: &Output| output.first);
        results.main("Slow_Step", &slow, "").scalar(|output: &Output| output.steps[0]);
        results.main("Fast_Step", &fast, "").scalar(|output: &Output| output.steps[1]);
        results.main("Slow", &slow, &slow_units).scalar(|output: &Output| output.values[0]);
        results.main("Fast", &fast, &fast_units).scalar(|output: &Output| output.values[1]);
    }

    fn scratch(_: &u64, means: &Means) -> Scratch {
        assert!(means.workers > 0, "somebody computes");
        let share = means.memory.unwrap_or(0) / means.workers as u64;
        Scratch { room: vec![0; share.min(1 << 12) as usize] }
    }

    fn map_function(
        pause: &u64,
        spectrum: Spectrum<'_, f32>,
        scratch: &mut Scratch,
    ) -> Result<Output, Failure> {
        std::thread::sleep(std::time::Duration::from_micros(*pause));
        scratch.room.fill(1);
        let place = spectrum.coordinates;
        let unknown = || Failure::new("it has less than two axes");
        let steps = [place.step(0).ok_or_else(unknown)?, place.step(1).unwrap_or(0)];
        let values = [place.value(0).ok_or_else(unknown)?, place.value(1).unwrap_or(0.0)];
        let first = *spectrum.first().ok_or_else(|| Failure::new("the spectrum is empty"))?;
        Ok(Output { first, steps, values })
    }
}
