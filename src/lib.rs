//! Computations over every position of a scan, stored in HDF5.
//!
//! Describe the computation of one spectrum as a [`Process`]; the engine does the rest: it reads
//! and writes the file, keeps to a memory budget, uses the cores it may use, survives being killed
//! at any instant, resumes, and never computes the same thing twice.
//!
//! # A process
//!
//! ```
//! use num_complex::Complex32;
//! use pixelmill::process::{Failure, NoParameters, Process, Results, SourceInfo, Spectrum};
//! use pixelmill::{Quiet, Request, Stop};
//!
//! /// The largest magnitude of each complex spectrum.
//! struct Maximum;
//!
//! impl Process for Maximum {
//!     const NAME: &'static str = "Maximum";
//!     const VERSION: u32 = 1;
//!     type Parameters = NoParameters;
//!     type Input = Complex32;
//!     type Output = f32;
//!     type Task = ();
//!     type Scratch = ();
//!
//!     fn prepare(_: &NoParameters, _: &SourceInfo) -> Result<(), Failure> {
//!         Ok(())
//!     }
//!
//!     fn create_results_datasets(_: &NoParameters, source: &SourceInfo, results: &mut Results<f32>) {
//!         results.main("Maximum", &source.quantity, &source.units).scalar(|largest: &f32| *largest);
//!     }
//!
//!     fn map_function(_: &(), spectrum: Spectrum<'_, Complex32>, _: &mut ()) -> Result<f32, Failure> {
//!         let magnitudes = spectrum.iter().map(|value| value.norm());
//!         magnitudes.reduce(f32::max).ok_or_else(|| Failure::new("the spectrum is empty"))
//!     }
//! }
//!
//! # fn main() -> pixelmill::Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let scan = folder.path().join("scan.h5");
//! # std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/data/be_line_scan_64x64.h5"), &scan).unwrap();
//! // One position first, without writing anything …
//! let request = Request::new(&scan);
//! let pixel = pixelmill::Pixel::Number(2080);
//! let probe = pixelmill::test::<Maximum>(&NoParameters {}, &request, &pixel)?;
//! assert_eq!(probe.values[0].units, "V");
//!
//! // … then all of them. The same call later returns the same results and computes nothing.
//! let computed = pixelmill::compute::<Maximum>(&NoParameters {}, &request, &Quiet, &Stop::new())?;
//! let maxima: Vec<f32> = computed.values("Maximum")?;
//! assert_eq!(maxima.len(), 4096);
//! assert_eq!(f64::from(maxima[2080]), probe.values[0].numbers[0]);
//! # Ok(())
//! # }
//! ```
//!
//! A `main` that calls [`cli::main`] with a registry of such processes has the whole command line.
//!
//! # Words
//!
//! | word | meaning |
//! | --- | --- |
//! | position | one point of the scan, a row of the main dataset; "pixel" to users |
//! | spectrum | all values that were measured at a position, or one of several there |
//! | run | consecutive positions, a range of their numbers; a computation from start to end is a run too |
//! | `Positions` | any set of positions, in little memory |
//! | selected | what the user wants of them: `--positions` |
//! | pending | selected and not done: what is left to compute |
//! | marked | done, and its status byte says so |
//! | window | so many consecutive positions that are looked at together: a question of memory |
//! | tile | a box of the dataset that is read at once: a chunk, a stretch of contiguous data … |
//! | cell, block | the positions of one tile; positions that share tiles and are read together, each tile once |
//! | portion | pending positions that are read from the same block, or lie behind each other |
//! | unit | positions that a worker reads, computes and writes at a time; a `Ticket` while it has them |
//! | fold, reduction | a computation of all positions together: their sum, say, and what makes one |
//! | accumulator, node | what some positions are folded into; it and how many units it is of |
//! | group | of a fold: positions of a unit that are read one after the other, part by part |
//! | batch | the units that are marked together, once they are durable |
//! | pass, member | once over the data, for one or several computations; one of these |
//! | stock, item | what ranks share: the pending positions or blocks (grains); those that are counted as one |
//! | piece | what a rank takes from the stock at a time, cut to portions |
//! | `Region` | a box of an array: of a dataset, of the scan, of the grid of tiles |
//! | `Extent` | bytes of one object in a file; `Place` is where the rows of a results dataset lie |
//! | column | a results dataset: one value, or array, per position |
//! | identity | everything that a result depends on; its hash tells whether two computations are the same |
//! | evidence | what proves that data are what they were, without reading them |
//! | claim | a run's right to write to a file; transaction: a change of the file's metadata, all or nothing |
//! | rank | one process of an MPI job; `Sight` is what it sees, `RankError` what it met |
//!
//! # How it is built
//!
//! ```text
//! { web, cli } → wire → engine → { plan, hand_out, identity, source, ranks } → formats → storage → view
//! ```
//!
//! An arrow runs only to the right, and all of them lead to `pixelmill-core`: what authors write
//! against, and the joint. The engine runs what [`kernel`] describes, without types;
//! `core/src/map_kernel.rs` makes that of a [`process`], `core/src/fold_kernel.rs` of a
//! [`reduction`], which know nothing but the plain types that they hand to authors; what is other
//! where all positions are folded into one answer is in `engine/fold`. `formats` has a folder or a
//! file for each format, with what is read of it and what it makes of results; who adds one adds a
//! line to the list in `formats/mod.rs`. `storage` opens files, reads past their containers and
//! holds the transactions. Its door is `storage/container.rs`: groups, datasets, attributes and
//! transactions as traits. HDF5, in `storage/hdf5/`, is what is behind them, and the only place
//! that calls it; a container in memory, with faults that are switched on by name, serves the unit
//! tests of all above. `ranks` holds the only calls of MPI, and it and `storage` the only `unsafe`
//! code. Errors say what was found; what to type about it is said in `cli/hints.rs` alone. `web` is
//! the page in the browser, which asks for what the command line does and answers as it does
//! (`src/web/README.md`).
//! Transactions, and what a kill at each step leaves, are described in
//! `src/storage/hdf5/transaction/README.md`, the phases of a run and what ranks say to each other
//! in `src/engine/README.md`, how work is divided among them in `docs/scaling.md`. `view` is how an
//! array becomes positions × spectrum, pure arithmetic; reading by chunks is described in
//! `src/storage/tiles/README.md`.

mod bins;
#[cfg(feature = "cli")]
pub mod cli;
pub mod engine;
mod formats;
mod hand_out;
mod hex;
mod identity;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
mod neighbourhood;
mod plan;
mod position_grid;
mod ranks;
mod region;
mod source;
mod storage;
mod typed;
mod view;
#[cfg(feature = "view")]
mod web;
pub mod wire;

pub use engine::{Computed, Outcome, Pixel, Quiet, Request, Stop};
pub use pixelmill_core::{
    Advice, Element, ElementType, Error, Held, ParameterInfo, Process, Reduction, Result, Results,
    Several, fold_kernel_of, kernel, kernel_of, ndarray, process, reduction, registry,
};
pub use plan::{Cores, Reads};
pub use ranks::Ranks;
pub use typed::{compute, test, verify};
