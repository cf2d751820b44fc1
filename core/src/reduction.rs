//! What an author of a reduction writes: a computation that folds all spectra of a scan into one
//! answer.
//!
//! As with a [`Process`](crate::Process), reading, memory, cores, resuming and provenance are the
//! engine's. It cuts the scan into units that follow from the dataset's shape and chunks alone,
//! folds each by one worker, and merges neighbours in a fixed binary tree. So a result has the same
//! bits whatever the number of workers, the memory, and however often the run was interrupted.

use std::ops::Range;

use ndarray::ArrayView2;

pub use crate::buffers::{Buffer, Buffers, Parts};
use crate::chunk_io::AlignedBytes;
use crate::element::Element;
use crate::failure::Failure;
use crate::inputs::{AuxiliaryInput, ConstantInput};
pub use crate::kernel::{MiniBatches, Pass, Passes, Whole};
use crate::kernel::{RawTile, view};
use crate::model::Model;
use crate::process::{Auxiliary, Coordinates, Parameters, Spectrum};
use crate::source_info::SourceInfo;

/// A computation that folds all spectra of a scan.
///
/// Required: what it is called, its types, what it prepares, how two partial results are merged,
/// and one of [`process_tile`](Self::process_tile), [`process_spectrum`](Self::process_spectrum)
/// and [`process_partition`](Self::process_partition).
///
/// ```
/// use pixelmill_core::process::{Failure, NoParameters, SourceInfo};
/// use pixelmill_core::reduction::{Buffer, Buffers, Parts, Reduction, Tile};
///
/// /// The largest value of each channel.
/// struct Largest;
///
/// impl Reduction for Largest {
///     const NAME: &'static str = "Largest";
///     const VERSION: u32 = 1;
///     type Parameters = NoParameters;
///     type Input = f64;
///     type Task = Buffer<f64>;
///     type Scratch = ();
///
///     fn prepare(
///         _: &NoParameters,
///         source: &SourceInfo,
///         buffers: &mut Buffers,
///     ) -> Result<Buffer<f64>, Failure> {
///         Ok(buffers.per_point("Largest").published(&source.quantity, &source.units))
///     }
///
///     fn preprocess(largest: &Buffer<f64>, all: &mut Parts<'_>) {
///         all.get(*largest).fill(f64::NEG_INFINITY);
///     }
///
///     fn process_tile(
///         largest: &Buffer<f64>,
///         tile: &mut Tile<'_, f64>,
///         parts: &mut Parts<'_>,
///         _: &mut (),
///     ) -> Result<(), Failure> {
///         let largest = parts.get(*largest);
///         for spectrum in tile.values().rows() {
///             largest.iter_mut().zip(spectrum).for_each(|(max, value)| *max = max.max(*value));
///         }
///         Ok(())
///     }
///
///     fn merge(
///         largest: &Buffer<f64>,
///         into: &mut Parts<'_>,
///         from: &mut Parts<'_>,
///     ) -> Result<(), Failure> {
///         let pairs = into.get(*largest).iter_mut().zip(from.get(*largest));
///         pairs.for_each(|(max, other)| *max = max.max(*other));
///         Ok(())
///     }
/// }
/// ```
pub trait Reduction: Sized + 'static {
    /// Name of the reduction; its results groups are called `<Dataset>-<NAME>_NNN`.
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
    /// Whether it computes with where a spectrum was measured.
    const COORDINATES: bool = false;
    /// Whether it is of some positions of a scan: the user has to name them, and
    /// [`SourceInfo::selected`] tells which they are.
    const SELECTION: bool = false;
    /// Whether it takes values [as they are stored](Tile::stored_as) wherever they are given so.
    /// Otherwise a position fails that has an integer which `Input` doesn't hold.
    const STORED: bool = false;
    /// Whether all of its buffers are per position: each position has results of its own then, and
    /// nothing is folded. Override with `true` if so.
    const PER_POSITION: bool = false;
    /// How much of a spectrum it needs at a time. Override for what can't be computed part by part.
    const WHOLE: Whole = Whole::Tile;

    /// What a user can set.
    type Parameters: Parameters;
    /// The element type that it computes with; the file's is converted.
    type Input: Element;
    /// What is prepared once per run and shared by all workers, the handles of the buffers first.
    type Task: Send + Sync;
    /// Memory that each worker keeps from one tile to the next.
    type Scratch: Default;

    /// Prepares what all workers share, and declares the buffers.
    ///
    /// # Errors
    /// If `source` can't be computed with these parameters; say why with [`Failure`].
    fn prepare(
        parameters: &Self::Parameters,
        source: &SourceInfo,
        buffers: &mut Buffers,
    ) -> Result<Self::Task, Failure>;

    /// Datasets with the same positions, as [`Process::auxiliary_inputs`](crate::Process).
    fn auxiliary_inputs(_parameters: &Self::Parameters) -> Vec<AuxiliaryInput> {
        Vec::new()
    }

    /// Arrays for the whole run, as [`Process::constant_inputs`](crate::Process).
    fn constant_inputs(_parameters: &Self::Parameters) -> Vec<ConstantInput> {
        Vec::new()
    }

    /// How many positions it takes at least, as there are components to be told apart. Fewer that a
    /// user selects are refused before the run; that the source has as many is for
    /// [`prepare`](Self::prepare) to see.
    fn least_positions(_task: &Self::Task) -> u64 {
        1
    }

    /// How much of a spectrum it needs at a time with these parameters, of spectra as long as
    /// these. Override if that depends on them.
    fn whole(_parameters: &Self::Parameters, _source: &SourceInfo) -> Whole {
        Self::WHOLE
    }

    /// Bytes that a worker needs besides its tiles and buffers. Override when `Scratch` is large.
    fn extra_memory(_parameters: &Self::Parameters, _source: &SourceInfo) -> usize {
        0
    }

    /// Bytes of what all workers share, in the pass in which that is most. Override when `Task` is
    /// large.
    fn shared_memory(_task: &Self::Task) -> usize {
        0
    }

    /// Gives the buffers of a unit the values that nothing folded has. They are zero before.
    fn preprocess(_task: &Self::Task, _all: &mut Parts<'_>) {}

    /// Folds a tile: some spectra, restricted to some of their points, so few that they stay in the
    /// processor's cache. `parts` has of the buffers per point just these, and of those per
    /// position the positions of the tile, which may come again with other points. Where tiles
    /// begin and end follows from the data alone. Pure: what it does may depend on nothing but
    /// the arguments, and not on what `scratch` holds from the tile before.
    ///
    /// # Errors
    /// If none of the positions of the unit can be folded: all of them are then marked as failed,
    /// and the run goes on without them.
    fn process_tile(
        _task: &Self::Task,
        _tile: &mut Tile<'_, Self::Input>,
        _parts: &mut Parts<'_>,
        _scratch: &mut Self::Scratch,
    ) -> Result<(), Failure> {
        Err(Failure::new("the reduction has no `process_tile`"))
    }

    /// Folds one spectrum; called instead of `process_tile` where [`Self::whole`] is
    /// [`Whole::Spectrum`].
    ///
    /// # Errors
    /// If this spectrum can't be folded, whatever was folded before. Its position is then marked as
    /// failed, and the unit is folded without it.
    fn process_spectrum(
        _task: &Self::Task,
        _spectrum: Spectrum<'_, Self::Input>,
        _parts: &mut Parts<'_>,
        _scratch: &mut Self::Scratch,
    ) -> Result<(), Failure> {
        Err(Failure::new("the reduction has no `process_spectrum`"))
    }

    /// Folds a whole unit, which is one tile then; called instead of `process_tile` where
    /// [`Self::whole`] is [`Whole::Partition`].
    ///
    /// # Errors
    /// As [`Self::process_tile`].
    fn process_partition(
        _task: &Self::Task,
        _unit: &mut Tile<'_, Self::Input>,
        _parts: &mut Parts<'_>,
        _scratch: &mut Self::Scratch,
    ) -> Result<(), Failure> {
        Err(Failure::new("the reduction has no `process_partition`"))
    }

    /// Ends a unit of `positions`, all of which are folded: `parts` has all of its buffers.
    ///
    /// # Errors
    /// As [`Self::process_tile`].
    fn postprocess(
        _task: &Self::Task,
        _positions: &[u64],
        _parts: &mut Parts<'_>,
    ) -> Result<(), Failure> {
        Ok(())
    }

    /// What is known of one spectrum, for people who test one position: it is drawn over the data.
    /// `own` has what it was folded into by itself, as a unit of its own that has ended. Override
    /// wherever there is such a thing: a centre, a detector. Runs never call it.
    fn model(
        _task: &Self::Task,
        _spectrum: Spectrum<'_, Self::Input>,
        _own: &mut Parts<'_>,
    ) -> Model {
        Model::new()
    }

    /// Adds what was folded of later units, `from`, to what was of earlier ones, `into`. Units are
    /// merged with their neighbours in a fixed tree, so it need be associative in the sense of
    /// numbers only, not of bits. Nobody calls it where all buffers are per position.
    ///
    /// # Errors
    /// If there is no sum of the two, as where integers overflow; the run ends.
    fn merge(task: &Self::Task, into: &mut Parts<'_>, from: &mut Parts<'_>) -> Result<(), Failure>;

    /// How many passes over all spectra it takes. Override for what takes several: only the last
    /// has results, and all before it, one at least, end with [`Self::next_pass`]. What learns
    /// while it goes over the spectra has passes over [mini-batches](MiniBatches) of them. A run
    /// that is killed goes on in the pass in which it was.
    fn passes(_task: &Self::Task) -> Option<Passes> {
        None
    }

    /// What the next pass over all spectra begins with, made of all that this one has folded, which
    /// isn't the last. The engine's threads have nothing else to do: what is parallel in it, with
    /// `rayon`, runs on these, and must not depend on how it is divided.
    ///
    /// # Errors
    /// If there is nothing to go on with; the run ends.
    fn next_pass(_task: &Self::Task, _all: &mut Parts<'_>) -> Result<Passed, Failure> {
        Err(Failure::new("the reduction has no `next_pass`"))
    }

    /// The task of a pass that isn't the first. Pure: `first` is what was prepared, whatever passes
    /// came between, and all that these have found is in `pass`.
    ///
    /// # Errors
    /// If it can't begin; the run ends.
    fn begin_pass(_first: &Self::Task, _pass: &Pass) -> Result<Self::Task, Failure> {
        Err(Failure::new("the reduction has no `begin_pass`"))
    }

    /// Makes the results of what is folded of the whole scan, or, at each checkpoint, of the part
    /// of it that is in: the buffers that are [made at the
    /// end](crate::buffers::Declaration::at_end) are there now. If one of these is per
    /// position, so are all published ones that are, with what every position of the scan has:
    /// those that aren't in, since they have failed or aren't folded yet, have NaN, or 0 in
    /// integers, and so has what is made for them. A [mask](Buffers::mask) tells which are in,
    /// and is narrowed where there is no valid result for another reason, such as a neighbour
    /// that isn't in.
    ///
    /// # Errors
    /// If there is no result.
    fn finish(_task: &Self::Task, _all: &mut Parts<'_>) -> Result<(), Failure> {
        Ok(())
    }
}

/// What a pass hands to the next.
#[derive(Clone, Debug, PartialEq)]
pub struct Passed {
    /// As many numbers as [`Reduction::passes`] says.
    pub carried: Vec<f64>,
    /// Whether the next pass is the last, which makes the results.
    pub is_last: bool,
}

/// Points of a tile at most, of reductions that take spectra in parts.
pub const TILE_POINTS: usize = 2048;

/// Some spectra, restricted to some of their points.
pub struct Tile<'a, T> {
    raw: RawTile<'a>,
    converted: &'a mut Vec<T>,
    is_converted: bool,
    copied: &'a mut AlignedBytes,
    failed: &'a mut Vec<(usize, Failure)>,
}

impl<'a, T: Element> Tile<'a, T> {
    /// A tile as it was read, with memory for what is converted, and for what fails.
    pub fn new(
        raw: RawTile<'a>,
        converted: &'a mut Vec<T>,
        copied: &'a mut AlignedBytes,
        failed: &'a mut Vec<(usize, Failure)>,
    ) -> Self {
        Self { raw, converted, is_converted: false, copied, failed }
    }

    /// Says why spectrum number `index` can't be folded: its position is marked as failed, and the
    /// unit is folded once more without it.
    pub fn fail(&mut self, index: usize, failure: Failure) {
        self.failed.push((index, failure));
    }

    /// How many spectra there are.
    pub fn len(&self) -> usize {
        self.raw.positions.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many points of each.
    pub fn points(&self) -> usize {
        self.raw.points
    }

    /// The positions of the spectra: rows of the main dataset.
    pub fn positions(&self) -> &'a [u64] {
        self.raw.positions
    }

    /// Which points of a spectrum they are: stretches of neighbouring ones, in the order of the
    /// tile.
    pub fn stretches(&self) -> impl Iterator<Item = Range<usize>> + use<'a, T> {
        self.raw.runs.iter().map(|run| run.first..run.first + run.len)
    }

    /// Lengths of the axes of a whole spectrum, slowest first.
    pub fn spectrum_shape(&self) -> &'a [usize] {
        self.raw.spectrum_shape
    }

    /// The values: one row for each spectrum, one column for each point.
    pub fn values(&mut self) -> ArrayView2<'_, T> {
        if let Some(lying) = self.raw.lying() {
            return lying;
        }
        if !std::mem::replace(&mut self.is_converted, true) {
            self.raw.convert(self.converted);
        }
        view((self.len(), self.raw.points), self.raw.points, self.converted)
    }

    /// The values as the file stores them; `None` if they are of another type there, or are
    /// corrected first: [`SourceInfo::given`] tells before.
    pub fn stored_as<S: Element>(&mut self) -> Option<ArrayView2<'_, S>> {
        let stored = self.raw.stored;
        if stored.element != S::TYPE || self.raw.corrections.is_some() {
            return None;
        }
        if let Some(lying) = self.raw.lying() {
            return Some(lying);
        }
        // Where it lies no element may begin, or their bytes are the other way round.
        self.raw.copy_native(self.copied);
        Some(view(
            (self.len(), self.raw.points),
            self.raw.points,
            bytemuck::cast_slice(self.copied),
        ))
    }

    /// The values in other numbers than those it computes with, into `buffer` row by row: converted
    /// from the file's and corrected in these.
    pub fn convert_to<S: Element>(&self, buffer: &mut Vec<S>) {
        self.raw.convert(buffer);
    }

    /// The values of the auxiliary inputs at the position of spectrum number `index`.
    pub fn auxiliary(&self, index: usize) -> Auxiliary<'a> {
        self.raw.auxiliary(index)
    }

    /// Where spectrum number `index` was measured.
    pub fn coordinates(&self, index: usize) -> Coordinates<'a> {
        Coordinates::new(self.raw.axes, self.raw.positions[index])
    }
}
