//! A program with the command line of pixelmill over the built-in processes and some that exist only to
//! try the engine: slow ones, failing ones, ones that use every part of the trait, and kernels without a process.

use std::ops::Range;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use pixelmill::kernel::{
    ColumnLayout, Contribution, Input, Kernel, Prepared, RawUnit, Wants, Worker,
};
use pixelmill::ndarray::{Ix1, IxDyn};
use pixelmill::process::{
    AxisValues, Dimension, Failure, NoParameters, Outputs, Process, SourceInfo, Spectrum, Unit,
};
use pixelmill::registry::{Runner, runner};
use pixelmill::{ElementType, ParameterInfo, Results};
use pixelmill_processes::PROCESSES;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

static TRIALS: [&dyn Runner; 7] = [
    runner::<Slow>(),
    runner::<Uneven>(),
    runner::<Trouble>(),
    runner::<Rich>(),
    runner::<Batched>(),
    runner::<Weighted>(),
    runner::<Digest>(),
];

fn main() -> ExitCode {
    // What nobody has known before: a kernel by any name of this kind.
    let arguments = std::env::args_os().filter_map(|argument| argument.into_string().ok());
    let named = arguments.into_iter().find(|argument| argument.starts_with("named-")).map(Named);
    let mut all = [PROCESSES.as_slice(), &TRIALS].concat();
    all.extend(named.as_ref().map(|named| named as &dyn Runner));
    pixelmill::cli::main(&all)
}

/// Makes kernels without a process behind them: the mean of each spectrum, after a pause.
struct Named(String);

impl Runner for Named {
    fn name(&self) -> &str {
        &self.0
    }

    fn version(&self) -> u32 {
        1
    }

    fn summary(&self) -> &str {
        "the mean of each spectrum, by a kernel that is named at run time"
    }

    fn parameters(&self) -> Vec<ParameterInfo> {
        let integer = |name: &str, unit: Option<&str>, help: &str| ParameterInfo {
            name: name.to_owned(),
            kind: "integer".to_owned(),
            unit: unit.map(str::to_owned),
            default: 0.into(),
            range: (Some(0.0), None),
            help: help.to_owned(),
        };
        vec![
            integer("pause", Some("us"), "Time that every spectrum takes."),
            integer("gaps", None, "How far positions that fail are apart; none fails if 0."),
        ]
    }

    fn kernel(&self, given: &Map<String, Value>) -> pixelmill::Result<Arc<dyn Kernel>> {
        let [pause, gaps] =
            ["pause", "gaps"].map(|name| given.get(name).and_then(Value::as_u64).unwrap_or(0));
        let parameters = [("pause", pause), ("gaps", gaps)];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value.into()));
        let (name, pause) = (self.0.clone(), Duration::from_micros(pause));
        Ok(Arc::new(MeanKernel { name, parameters: Map::from_iter(parameters), pause, gaps }))
    }
}

struct MeanKernel {
    name: String,
    parameters: Map<String, Value>,
    pause: Duration,
    gaps: u64,
}

impl Kernel for MeanKernel {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> u32 {
        1
    }

    fn parameters(&self) -> &Map<String, Value> {
        &self.parameters
    }

    fn wants(&self) -> Wants {
        // What only this very run knows: it is no parameter.
        let input = match std::env::var_os("TRIAL_ROUNDS") {
            Some(_) => Input::new(ElementType::Complex128).narrowing(),
            None => Input::new(ElementType::Complex128),
        };
        Wants { input, most_per_unit: Some(Mean::MOST) }
    }

    fn prepare(&self, source: &SourceInfo) -> Result<Box<dyn Prepared>, Failure> {
        let mean = ColumnLayout::new("Mean", "Mean", source.units.as_str(), Vec::new());
        let columns = vec![mean.with::<f64>(None)];
        Ok(Box::new(Mean { columns, pause: self.pause, gaps: self.gaps }))
    }
}

struct Mean {
    columns: Vec<ColumnLayout>,
    pause: Duration,
    gaps: u64,
}

impl Mean {
    /// Most positions of a unit.
    const MOST: u64 = 7;
}

impl Prepared for Mean {
    fn columns(&self) -> &[ColumnLayout] {
        &self.columns
    }

    fn memory_per_position(&self) -> u64 {
        0
    }

    fn worker(&self) -> Box<dyn Worker + '_> {
        Box::new(MeanWorker { prepared: self, converted: Vec::new() })
    }
}

struct MeanWorker<'p> {
    prepared: &'p Mean,
    converted: Vec<num_complex::Complex64>,
}

impl Worker for MeanWorker<'_> {
    fn compute(
        &mut self,
        unit: &RawUnit<'_>,
        contribution: &mut Contribution<'_>,
    ) -> Result<(), Failure> {
        assert!(unit.len() <= Mean::MOST as usize, "more than was asked for");
        for (index, position) in unit.positions.iter().enumerate() {
            thread::sleep(self.prepared.pause);
            if self.prepared.gaps > 0 && (position + 1) % self.prepared.gaps == 0 {
                contribution.fail(index, Failure::new("a position that has no mean"));
                continue;
            }
            let values = unit.spectrum(index, &mut self.converted);
            let sum: f64 = values.iter().map(|value| value.re).sum();
            let mean = sum / values.len() as f64;
            contribution.set(index, |_, bytes| {
                bytes.copy_from_slice(&mean.to_ne_bytes());
                Ok(())
            });
        }
        Ok(())
    }
}

/// Parameters of `Slow`.
#[derive(Serialize, Deserialize, JsonSchema)]
struct SlowParameters {
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
struct Slow;

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

    fn auxiliary_inputs(parameters: &SlowParameters) -> Vec<String> {
        parameters.offset.iter().cloned().collect()
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

/// Parameters of `Uneven`.
#[derive(Serialize, Deserialize, JsonSchema)]
struct UnevenParameters {
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
struct Uneven;

/// How `Uneven` computes.
struct UnevenTask {
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

/// Parameters of `Trouble`.
#[derive(Serialize, Deserialize, JsonSchema)]
struct TroubleParameters {
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
struct Trouble;

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

/// Parameters of `Rich`.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
struct RichParameters {
    /// Spectra in one row.
    spectra: usize,
    /// A dataset whose first column is added to the mean.
    offset: Option<String>,
    /// Whether the reversed spectra are stored.
    reversed: bool,
}

impl pixelmill::process::Parameters for RichParameters {}

/// What `Rich` finds.
struct RichOutput {
    mean: f64,
    largest: f32,
    at: u16,
    reversed: Vec<f32>,
}

/// Several and compound results, spectra as results, several spectra per row, an auxiliary input.
struct Rich;

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

    fn auxiliary_inputs(parameters: &RichParameters) -> Vec<String> {
        parameters.offset.iter().cloned().collect()
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

/// Parameters of `Batched`.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
struct BatchedParameters {
    /// Whether every unit fails.
    fail: bool,
    /// Whether every unit panics.
    panic: bool,
}

impl pixelmill::process::Parameters for BatchedParameters {}

/// The sum of each spectrum, computed a whole unit at a time.
struct Batched;

/// How `Batched` computes.
struct BatchedTask {
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

/// Parameters of `Weighted`.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
struct WeightedParameters {
    /// Weights of the first values of each spectrum.
    weights: Vec<f64>,
}

impl pixelmill::process::Parameters for WeightedParameters {}

/// The weighted sum of the first values of each spectrum: a process with a list as parameter.
struct Weighted;

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

/// A number of each spectrum that tells whether its values are right and in their order; takes every
/// element type.
struct Digest;

impl Process for Digest {
    const NAME: &'static str = "Digest";
    const VERSION: u32 = 1;
    const NARROWING: bool = true;

    type Parameters = NoParameters;
    type Input = num_complex::Complex64;
    type Output = f64;
    type Task = ();
    type Scratch = ();

    fn prepare(_: &NoParameters, _: &SourceInfo) -> Result<(), Failure> {
        Ok(())
    }

    fn create_results_datasets(_: &NoParameters, _: &SourceInfo, results: &mut Results<f64>) {
        results.main("Digest", "Digest", "").scalar(|digest: &f64| *digest);
    }

    fn map_function(
        _: &(),
        spectrum: Spectrum<'_, num_complex::Complex64>,
        _: &mut (),
    ) -> Result<f64, Failure> {
        let places = (1u32..).map(f64::from);
        Ok(places.zip(spectrum.iter()).map(|(at, value)| at * value.re + at * at * value.im).sum())
    }
}
