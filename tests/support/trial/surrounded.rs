//! A process whose result tells whether neighbours are the right ones, with the right values.

use pixelmill::Results;
use pixelmill::process::{Edges, Failure, Halo, Process, SourceInfo, Spectrum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of `Surrounded`.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct SurroundedParameters {
    /// Time that every spectrum takes.
    #[schemars(extend("unit" = "us"))]
    pause: u64,
    /// Positions before and behind on each axis.
    reach: u32,
    /// What stands for neighbours beyond the edges.
    edges: Edges,
    /// Steps of a bin on each axis of the scan, if bins take the place of positions.
    bins: Vec<u64>,
}

impl Default for SurroundedParameters {
    fn default() -> Self {
        Self { pause: 0, reach: 1, edges: Edges::Reflect, bins: Vec::new() }
    }
}

impl pixelmill::process::Parameters for SurroundedParameters {}

/// How long each takes, and whether it is a bin of positions.
pub struct SurroundedTask {
    pause: u64,
    are_bins: bool,
}

/// The digests of the spectra around each, as `Digest` has them, each times the number of its
/// place in the window, counted from 1.
pub struct Surrounded;

impl Process for Surrounded {
    const NAME: &'static str = "Surrounded";
    const VERSION: u32 = 1;
    const NARROWING: bool = true;

    type Parameters = SurroundedParameters;
    type Input = num_complex::Complex64;
    type Output = f64;
    type Task = SurroundedTask;
    type Scratch = ();

    fn prepare(
        parameters: &SurroundedParameters,
        _: &SourceInfo,
    ) -> Result<SurroundedTask, Failure> {
        let SurroundedParameters { pause, bins, .. } = parameters;
        Ok(SurroundedTask { pause: *pause, are_bins: !bins.is_empty() })
    }

    fn create_results_datasets(
        _: &SurroundedParameters,
        _: &SourceInfo,
        results: &mut Results<f64>,
    ) {
        results.main("Surrounded", "Digest", "").scalar(|digest: &f64| *digest);
    }

    fn map_function(
        task: &SurroundedTask,
        spectrum: Spectrum<'_, num_complex::Complex64>,
        _: &mut (),
    ) -> Result<f64, Failure> {
        std::thread::sleep(std::time::Duration::from_micros(task.pause));
        let digest = |values: &[num_complex::Complex64]| -> f64 {
            let places = (1u32..).map(f64::from);
            places.zip(values).map(|(at, value)| at * value.re + at * at * value.im).sum()
        };
        let own = if task.are_bins { 0 } else { spectrum.neighbours.len() / 2 };
        let own = spectrum.neighbours.get(own);
        assert_eq!(own, Some(spectrum.values), "the position is where it should be in the window");
        let places = (1u32..).map(f64::from);
        let found = places.zip(spectrum.neighbours.iter());
        Ok(found.map(|(place, of)| of.map_or(0.0, |values| place * digest(values))).sum())
    }

    fn halo(
        parameters: &SurroundedParameters,
        source: &SourceInfo,
    ) -> Result<Option<Halo>, Failure> {
        if !parameters.bins.is_empty() {
            return Ok(Some(Halo::bins(&parameters.bins)));
        }
        let reach = i64::from(parameters.reach);
        let window = vec![-reach..=reach; source.position_dimensions.len()];
        Ok(Some(Halo::window(&window, parameters.edges)))
    }
}
