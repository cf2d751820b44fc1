//! A process that is parallel inside.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pixelmill::Results;
use pixelmill::engine::WORKER_NAME;
use pixelmill::process::{Failure, Process, SourceInfo, Spectrum};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of `Pieces`.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct PiecesParameters {
    /// In how many pieces each spectrum is computed.
    pieces: usize,
    /// Time that every piece takes.
    #[schemars(extend("unit" = "us"))]
    pause: u64,
    /// The position whose pieces go on only when all of them have begun.
    meet_at: Option<u64>,
    /// The position whose last piece panics.
    panic_at: Option<u64>,
    /// Memory that a position is said to take.
    memory: usize,
    /// Whether it is stored how the pieces ran.
    watched: bool,
}

impl Default for PiecesParameters {
    fn default() -> Self {
        let (meet_at, panic_at) = (None, None);
        Self { pieces: 4, pause: 500, meet_at, panic_at, memory: 0, watched: false }
    }
}

impl pixelmill::process::Parameters for PiecesParameters {}

/// The sum of each spectrum, piece by piece.
pub struct Pieces;

/// What `Pieces` finds.
pub struct PiecesOutput {
    sum: f64,
    /// The most pieces that ran at once, of whatever position.
    most: u32,
    /// How many ran on a thread that isn't a worker.
    strangers: u32,
}

/// How `Pieces` computes.
pub struct PiecesTask {
    given: PiecesParameters,
    /// Pieces that run now.
    running: AtomicU32,
    /// Pieces that have begun, of the position where they meet.
    begun: AtomicU32,
}

/// How long a piece waits for the others.
const PATIENCE: Duration = Duration::from_secs(30);

thread_local! {
    /// How much of this process is on this thread's stack.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Something of this process on a thread's stack.
struct Inside;

impl Inside {
    fn enter() -> Self {
        DEPTH.set(DEPTH.get() + 1);
        Self
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

impl PiecesTask {
    /// One piece: its sum, how many ran meanwhile, and whether it ran on a thread of another kind.
    fn piece(
        &self,
        position: u64,
        number: usize,
        values: &[num_complex::Complex64],
    ) -> Result<(f64, u32, bool), Failure> {
        let _inside = Inside::enter();
        let most = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        thread::sleep(Duration::from_micros(self.given.pause));
        let met = self.given.meet_at != Some(position) || self.meet();
        self.running.fetch_sub(1, Ordering::SeqCst);
        if !met {
            return Err(Failure::new("a piece was alone"));
        }
        let is_last = number + 1 == self.given.pieces;
        assert!(!is_last || self.given.panic_at != Some(position), "a piece panics on purpose");
        let is_worker = thread::current().name().is_some_and(|name| name.starts_with(WORKER_NAME));
        Ok((values.iter().map(|value| value.re).sum(), most, !is_worker))
    }

    /// Whether all pieces have begun before this one has lost its patience.
    fn meet(&self) -> bool {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let since = Instant::now();
        while self.begun.load(Ordering::SeqCst) < self.given.pieces as u32 {
            if since.elapsed() > PATIENCE {
                return false;
            }
            thread::sleep(Duration::from_micros(100));
        }
        true
    }
}

impl Process for Pieces {
    const NAME: &'static str = "Pieces";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str =
        "the sum of each spectrum, in pieces that are computed in parallel";
    const NARROWING: bool = true;

    type Parameters = PiecesParameters;
    type Input = num_complex::Complex64;
    type Output = PiecesOutput;
    type Task = PiecesTask;
    type Scratch = ();

    fn prepare(given: &PiecesParameters, _: &SourceInfo) -> Result<PiecesTask, Failure> {
        let (running, begun) = (AtomicU32::new(0), AtomicU32::new(0));
        Ok(PiecesTask { given: given.clone(), running, begun })
    }

    fn extra_memory_per_position(given: &PiecesParameters, _: &SourceInfo) -> usize {
        given.memory
    }

    fn create_results_datasets(
        given: &PiecesParameters,
        _: &SourceInfo,
        results: &mut Results<PiecesOutput>,
    ) {
        results.main("Sum", "Sum", "V").scalar(|output: &PiecesOutput| output.sum);
        if given.watched {
            results.main("Most", "Count", "").scalar(|output: &PiecesOutput| output.most);
            results.main("Strangers", "Count", "").scalar(|output: &PiecesOutput| output.strangers);
        }
    }

    fn map_function(
        task: &PiecesTask,
        spectrum: Spectrum<'_, num_complex::Complex64>,
        _: &mut (),
    ) -> Result<PiecesOutput, Failure> {
        // A thread that waits for a piece may run others, but no other spectrum.
        assert_eq!(DEPTH.get(), 0, "computed on top of another spectrum");
        let _inside = Inside::enter();
        let (position, values) = (spectrum.position, spectrum.values);
        let length = values.len().div_ceil(task.given.pieces);
        let pieces: Vec<_> = values
            .par_chunks(length)
            .with_max_len(1)
            .enumerate()
            .map(|(number, values)| task.piece(position, number, values))
            .collect::<Result<_, _>>()?;
        Ok(PiecesOutput {
            sum: pieces.iter().map(|piece| piece.0).sum(),
            most: pieces.iter().map(|piece| piece.1).max().unwrap_or(0),
            strangers: pieces.iter().filter(|piece| piece.2).count() as u32,
        })
    }
}
