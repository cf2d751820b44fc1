//! What an author of a process writes, and the plain types it is written with.
//!
//! A `Process` describes the computation of one spectrum. Reading, memory, cores, resuming and
//! provenance are the engine's; nothing here knows files, threads or HDF5.

use std::cell::Cell;
use std::fmt;
use std::ops::{Deref, Range};
use std::panic::{AssertUnwindSafe, catch_unwind};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use crate::axis_values::AxisValues;
use crate::element::{Element, ElementType, StoredType, append, elements};
use crate::error::Result;
pub use crate::model::{Curve, Mark, Model, Values};
pub use crate::read_rows::ReadRows;
pub use crate::results::{Declaration, Outputs, Record, Results};

/// A computation done at every position of a scan.
///
/// Required: what it is called, its types, what it prepares, its results and its map function.
/// Everything else has a default that fits almost every process.
pub trait Process: Sized + 'static {
    /// Name of the process; its results groups are called `<Dataset>-<NAME>_NNN`.
    const NAME: &'static str;
    /// Raised whenever the same input may give other results than before; it is part of the
    /// identity of a result.
    const VERSION: u32;
    /// Its name on the command line. Override if that isn't `NAME` in lower case with hyphens.
    const COMMAND: Option<&'static str> = None;
    /// What it does, in one line for the user who chooses among processes.
    const SUMMARY: &'static str = "";
    /// Whether values may be rounded to `Input` when the file stores longer floating-point
    /// numbers or integers. Override with `true` only if the results don't suffer.
    const NARROWING: bool = false;

    /// What a user can set.
    type Parameters: Parameters;
    /// The element type that the map function computes with; the file's is converted.
    type Input: Element;
    /// The result of one spectrum.
    type Output;
    /// What the map function needs besides the spectrum (filters, plans, axes): prepared once
    /// per run and shared by all workers.
    type Task: Send + Sync;
    /// Memory that each worker keeps from one spectrum to the next, so that none is allocated
    /// per spectrum.
    type Scratch: Default;

    /// Prepares what all spectra share.
    ///
    /// # Errors
    /// If `source` can't be computed with these parameters; say why with [`Failure`].
    fn prepare(parameters: &Self::Parameters, source: &SourceInfo) -> Result<Self::Task, Failure>;

    /// Declares the results datasets, each with a closure that takes its value from an output.
    fn create_results_datasets(
        parameters: &Self::Parameters,
        source: &SourceInfo,
        results: &mut Results<Self::Output>,
    );

    /// Computes one spectrum. Pure: the result may depend on nothing but the arguments, and not
    /// on what `scratch` holds from the spectrum before.
    ///
    /// # Errors
    /// If this spectrum has no result. The position is then marked as failed, and the run goes on.
    fn map_function(
        task: &Self::Task,
        spectrum: Spectrum<'_, Self::Input>,
        scratch: &mut Self::Scratch,
    ) -> Result<Self::Output, Failure>;

    /// What an output says that its spectrum is, for people who test one position: it is drawn over the
    /// data. Override wherever there is such a thing: a fitted curve and its parts, a smoothed or
    /// filtered spectrum, the place of a peak. Runs never call it.
    fn model(
        _task: &Self::Task,
        _spectrum: Spectrum<'_, Self::Input>,
        _output: &Self::Output,
    ) -> Model {
        Model::new()
    }

    /// How many spectra one row of the main dataset holds, one behind the other. Override when a
    /// row repeats a measurement, say over a slow spectroscopic dimension: a row of N·S values then
    /// is seen as N spectra of S, and results come back with N values per position.
    fn spectra_per_position(_parameters: &Self::Parameters, _source: &SourceInfo) -> usize {
        1
    }

    /// Paths of datasets with the same positions whose rows are handed to the map function
    /// beside the spectrum, as `f64`; a compound record of floating-point fields is as many values.
    /// What was found there is in [`SourceInfo::auxiliary`]. Override to start from an earlier result
    /// or to apply a correction per position.
    fn auxiliary_inputs(_parameters: &Self::Parameters) -> Vec<String> {
        Vec::new()
    }

    /// Bytes that a unit of work needs per position besides its spectra and results. Override
    /// when `Scratch` is large, or grows with the number of positions, so that the memory budget
    /// holds.
    fn extra_memory_per_position(_parameters: &Self::Parameters, _source: &SourceInfo) -> usize {
        0
    }

    /// Reads the rows of some positions, given as ranges of consecutive ones, as the file stores
    /// them. Override to read them from elsewhere, or to mend them ([`ReadRows::bytes_mut`]) before
    /// anything sees them.
    ///
    /// # Errors
    /// If the rows can't be read; the run ends and can be resumed.
    fn read_data_chunk<'a>(
        source: &'a dyn ReadChunk,
        positions: &[Range<u64>],
        rows: &mut ReadRows<'a>,
    ) -> Result<()> {
        source.read(positions, rows)
    }

    /// Computes one unit of work, some positions; the engine computes many units at
    /// once on all workers. Override for what is faster, or only possible, on many spectra at a
    /// time (a matrix product, batched transforms, a GPU): read `unit.spectrum(…)` or
    /// `unit.spectra()`, and call `outputs.set` for each spectrum. How positions are divided
    /// into units varies from run to run: a result must not depend on it.
    ///
    /// # Errors
    /// If none of these positions can be computed: all of them are then marked as failed.
    fn unit_computation(
        task: &Self::Task,
        unit: &mut Unit<'_, Self::Input>,
        scratch: &mut Self::Scratch,
        outputs: &mut Outputs<'_, Self::Output>,
    ) -> Result<(), Failure> {
        for index in 0..unit.len() {
            let spectrum = unit.spectrum(index);
            // A panic is this spectrum's failure; what it left in the scratch is thrown away.
            let result = guarded(|| Self::map_function(task, spectrum, scratch)).unwrap_or_else(
                |panicked| {
                    *scratch = Self::Scratch::default();
                    Err(panicked)
                },
            );
            outputs.set(index, result);
        }
        Ok(())
    }

    /// Writes the rows of one results dataset for consecutive positions. Override to change
    /// what is stored beyond what the columns' closures do.
    ///
    /// # Errors
    /// If the rows can't be written; the run ends and can be resumed.
    fn write_results_chunk(
        results: &dyn WriteChunk,
        dataset: usize,
        first: u64,
        rows: &[u8],
    ) -> Result<()> {
        results.write(dataset, first, rows)
    }
}

/// Everything that a user can set for a process, as one struct.
///
/// Its doc comments are the help; `#[schemars(range(…))]` gives ranges, which are checked, and
/// `#[schemars(extend("unit" = "Hz"))]` units. Values left out have those of `Default`.
pub trait Parameters: Serialize + DeserializeOwned + JsonSchema + Default + Send + Sync {
    /// Checks what single ranges can't say, such as that one parameter is below another.
    ///
    /// # Errors
    /// What is wrong, naming the parameter.
    fn check(&self) -> Result<(), Failure> {
        Ok(())
    }
}

/// No parameters at all.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct NoParameters {}

impl Parameters for NoParameters {}

/// Why something can't be computed, in one line for the person who owns the data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure(String);

impl Failure {
    /// A failure with its reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }

    fn from_panic(panic: &(dyn std::any::Any + Send)) -> Self {
        Self(format!("the computation panicked: {}", panic_message(panic)))
    }
}

thread_local! {
    static IS_COMPUTING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread runs a process's own code. Its panics are failures, of which nothing is to be printed.
pub(crate) fn is_computing() -> bool {
    IS_COMPUTING.get()
}

/// Runs a process's own code.
///
/// # Errors
/// If it panics, with what the panic says.
pub(crate) fn guarded<T>(compute: impl FnOnce() -> T) -> Result<T, Failure> {
    let before = IS_COMPUTING.replace(true);
    let computed = catch_unwind(AssertUnwindSafe(compute));
    IS_COMPUTING.set(before);
    computed.map_err(|panic| Failure::from_panic(panic.as_ref()))
}

/// What a panic says.
pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("without a message")
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

/// One axis of a scan or of a spectrum.
#[derive(Clone, Debug, PartialEq)]
pub struct Dimension {
    /// Its label, as the file has it.
    pub name: String,
    /// Units of its values; empty if the file has none.
    pub units: String,
    /// Its values, one per step.
    pub values: AxisValues,
    /// Whether what was measured at a step was summed over the step's width, as counts in the channels
    /// of a spectrum: HyperSpy's binned axes.
    pub binned: bool,
}

impl Dimension {
    /// An axis with the given values.
    pub fn new(
        name: impl Into<String>,
        units: impl Into<String>,
        values: impl Into<AxisValues>,
    ) -> Self {
        Self { name: name.into(), units: units.into(), values: values.into(), binned: false }
    }

    /// How many steps it has.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether it has no steps.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

/// What a process is told about the main dataset.
#[derive(Clone, Debug)]
pub struct SourceInfo {
    /// Path of the dataset in its file.
    pub path: String,
    /// Number of positions, the rows.
    pub positions: u64,
    /// Number of values at each position, the columns.
    pub spectral_points: usize,
    /// The element type that the file stores.
    pub element: ElementType,
    /// What was measured.
    pub quantity: String,
    /// Units of the values.
    pub units: String,
    /// Axes of the scan, slowest first.
    pub position_dimensions: Vec<Dimension>,
    /// Axes of a row, slowest first. Their lengths multiply to `spectral_points`; none if the file has
    /// no regular grid there.
    pub spectroscopic_dimensions: Vec<Dimension>,
    /// What [`Process::auxiliary_inputs`] asked for, in that order.
    pub auxiliary: Vec<AuxiliaryInfo>,
}

/// What a process is told about an auxiliary input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuxiliaryInfo {
    /// Path of the dataset in the file.
    pub path: String,
    /// Number of values at each position; each field of a compound record is one.
    pub columns: usize,
    /// Names of the fields if it holds compound records, else none.
    pub fields: Vec<String>,
}

impl SourceInfo {
    /// Axis number `index` of a row, counted from the fastest: `axis(0)` is the one along which
    /// neighbouring values lie. An unnamed axis that counts points if there is no such axis.
    pub fn axis(&self, index: usize) -> Dimension {
        let axes = &self.spectroscopic_dimensions;
        match axes.len().checked_sub(index + 1) {
            Some(at) => axes[at].clone(),
            None => Dimension::new("Point", "", AxisValues::counted(self.spectral_points)),
        }
    }
    /// How many spectra along `axis(0)` a row holds: one for each step of all its other axes.
    ///
    /// # Errors
    /// If the file has no regular grid there, so that nobody can tell where a spectrum begins.
    pub fn spectra_along_axis(&self) -> Result<usize, Failure> {
        if self.spectroscopic_dimensions.is_empty() && self.spectral_points > 1 {
            return Err(Failure::new(format!(
                "the {} values at each position are no full grid of its axes, so it can't be told which of them are \
                 a spectrum",
                self.spectral_points
            )));
        }
        Ok(self.spectral_points / self.axis(0).len().max(1))
    }

    /// The two fastest axes of a row if that is a frame, as a camera takes it, and no list of spectra. Those of a
    /// frame measure the same: they have the same units, or, without units, names that only tell places.
    pub fn frame(&self) -> Option<(&Dimension, &Dimension)> {
        let mut axes = self.spectroscopic_dimensions.iter().rev().filter(|axis| axis.len() > 1);
        let (fast, slow) = (axes.next()?, axes.next()?);
        let units = |axis: &Dimension| axis.units.trim().to_lowercase();
        let measure_the_same = units(fast) == units(slow)
            && (!units(fast).is_empty() || tells_a_place(fast) || tells_a_place(slow));
        measure_the_same.then_some((slow, fast))
    }
}

/// Whether the name of an axis says no more than where something is.
fn tells_a_place(axis: &Dimension) -> bool {
    const PLACES: [&str; 18] = [
        "x", "y", "z", "kx", "ky", "qx", "qy", "rx", "ry", "dx", "dy", "width", "height", "row",
        "rows", "column", "columns", "pixel",
    ];
    let name = axis.name.trim().to_lowercase().replace('_', "");
    name.is_empty() || name.starts_with("axis ") || PLACES.contains(&name.as_str())
}

/// One spectrum with what belongs to it. It derefs to its values.
#[derive(Clone, Copy, Debug)]
pub struct Spectrum<'a, T> {
    /// The values.
    pub values: &'a [T],
    /// The position that it was measured at: its row in the main dataset.
    pub position: u64,
    /// Which of the position's spectra it is, from 0; see [`Process::spectra_per_position`].
    pub repeat: usize,
    /// The rows of the auxiliary inputs at this position, in the order in which they were declared.
    pub auxiliary: &'a [Vec<f64>],
}

impl<T> Deref for Spectrum<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.values
    }
}

/// Some positions that are computed together.
pub struct Unit<'a, T> {
    pub(crate) positions: &'a [u64],
    pub(crate) rows: &'a ReadRows<'a>,
    pub(crate) stored: StoredType,
    pub(crate) spectra_per_position: usize,
    /// Values in one spectrum.
    pub(crate) spectrum_length: usize,
    /// The rows of each auxiliary input, for all positions of the unit.
    pub(crate) auxiliary: &'a [AuxiliaryRows],
    pub(crate) buffer: &'a mut Vec<T>,
    pub(crate) auxiliary_buffer: &'a mut Vec<Vec<f64>>,
}

/// Rows of one auxiliary input.
#[derive(Default)]
pub(crate) struct AuxiliaryRows {
    pub values: Vec<f64>,
    pub per_position: usize,
}

impl<T: Element> Unit<'_, T> {
    /// How many spectra there are: positions times spectra per position.
    pub fn len(&self) -> usize {
        self.rows.len() * self.spectra_per_position
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Spectrum number `index`, converted to the process's element type.
    pub fn spectrum(&mut self, index: usize) -> Spectrum<'_, T> {
        let (within, repeat) = self.place(index);
        self.auxiliary_buffer.resize_with(self.auxiliary.len(), Vec::new);
        for (buffer, rows) in self.auxiliary_buffer.iter_mut().zip(self.auxiliary) {
            buffer.clear();
            buffer
                .extend_from_slice(&rows.values[within * rows.per_position..][..rows.per_position]);
        }
        let bytes = self.bytes_of(repeat);
        Spectrum {
            values: elements(&self.rows.row(within)[bytes], self.stored, self.buffer),
            position: self.positions[within],
            repeat,
            auxiliary: self.auxiliary_buffer,
        }
    }

    /// Puts the values of spectrum number `index` into the caller's buffer, converted; for what works
    /// in place and would have to copy them.
    pub fn copy_spectrum(&self, index: usize, into: &mut Vec<T>) {
        let (within, repeat) = self.place(index);
        into.clear();
        append(&self.rows.row(within)[self.bytes_of(repeat)], self.stored, into);
    }

    /// The position of a spectrum, counted from the unit's first, and which of the position's it is.
    fn place(&self, index: usize) -> (usize, usize) {
        // Divisions would count for short spectra.
        match self.spectra_per_position {
            1 => (index, 0),
            several => (index / several, index % several),
        }
    }

    /// Where the spectra of a position lie in its row.
    fn bytes_of(&self, repeat: usize) -> Range<usize> {
        let bytes = self.spectrum_length * self.stored.element.size();
        repeat * bytes..(repeat + 1) * bytes
    }

    /// All spectra, one behind the other.
    pub fn spectra(&mut self) -> &[T] {
        if let Some(rows) = self.rows.whole() {
            return elements(rows, self.stored, self.buffer);
        }
        self.buffer.clear();
        for index in 0..self.rows.len() {
            append(self.rows.row(index), self.stored, self.buffer);
        }
        self.buffer
    }
}

/// Where rows come from, as [`Process::read_data_chunk`] sees it.
pub trait ReadChunk: Send + Sync {
    /// Reads the rows of the given positions, ranges of consecutive ones, as the file stores their
    /// values; rows that the source holds in memory it may leave there.
    ///
    /// # Errors
    /// If they can't be read.
    fn read<'a>(&'a self, positions: &[Range<u64>], rows: &mut ReadRows<'a>) -> Result<()>;
}

/// Where rows of results go, as [`Process::write_results_chunk`] sees it.
pub trait WriteChunk: Send + Sync {
    /// Writes the rows of results dataset number `dataset` for the positions from `first` on.
    ///
    /// # Errors
    /// If they can't be written.
    fn write(&self, dataset: usize, first: u64, rows: &[u8]) -> Result<()>;
}
