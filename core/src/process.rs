//! What an author of a process writes, and the plain types it is written with.
//!
//! A `Process` describes the computation of one spectrum. Reading, memory, cores, resuming and
//! provenance are the engine's; nothing here knows files, threads or HDF5.
//!
//! # Parallel inside
//!
//! The engine computes as many units at once as there are cores to be used, so most processes have
//! nothing to do about it. Where single spectra take long (seconds, say), or there are fewer of
//! them than cores, a map function or [`Process::unit_computation`] may be parallel itself, with
//! `rayon`: `par_iter`, `join` and `scope` run on the engine's own threads and spread over those
//! that have nothing else to do, at the end of a run above all. There are never more threads at
//! work than cores were given. With two cores, four spectra of a second each take two seconds, and
//! three take one and a half.
//!
//! ```
//! use pixelmill_core::process::{Failure, Spectrum};
//! use rayon::prelude::*;
//!
//! /// The energy of a spectrum, in parts that are always the same, so that the sum has the same bits.
//! fn energy(spectrum: Spectrum<'_, f64>) -> Result<f64, Failure> {
//!     let part = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>();
//!     let parts: Vec<f64> = spectrum.values.par_chunks(4096).map(part).collect();
//!     Ok(parts.iter().sum())
//! }
//! ```
//!
//! As everywhere with rayon, how work is divided differs from run to run: a result must not depend
//! on it, so sum up in an order of your own, as above. A piece that panics fails its spectrum (in
//! `unit_computation`, its unit). A thread that waits for its pieces may run others' meanwhile, so
//! keep no lock and no `RefCell` borrowed around a parallel call. What is started has to end before
//! the function returns: `rayon::spawn` is for nobody here. Memory that pieces take belongs into
//! [`Process::extra_memory_per_position`]. [`Process::prepare`] runs before there are workers; what
//! is parallel in it uses rayon's own threads.

use std::ops::{Deref, Range};

use ndarray::{ArrayView, ArrayView2, Ix2};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::arrays;
pub use crate::auxiliary::Auxiliary;
pub use crate::axis_values::AxisValues;
pub use crate::chunk_io::{ReadChunk, ReadRows, WriteChunk};
pub use crate::coordinates::{Coordinates, PositionAxes};
pub use crate::dimension::Dimension;
use crate::element::Element;
use crate::error::Result;
pub use crate::failure::Failure;
use crate::failure::guarded;
pub use crate::inputs::{AuxiliaryInput, ConstantArray, ConstantAxes, ConstantInput, InputPath};
pub use crate::kernel::Means;
use crate::kernel::RawUnit;
pub use crate::kernel::SpectrumAxes;
pub use crate::model::{Curve, Mark, Model, Outline, Place, Values};
pub use crate::neighbours::{Channels, Edges, Halo, Neighbours};
pub use crate::results::{Declaration, Outputs, Record, Results};
pub use crate::source_info::{AuxiliaryInfo, SourceInfo};

/// A computation done at every position of a scan.
///
/// Required: what it is called, its types, what it prepares, its results and its map function.
/// Everything else has a default that fits almost every process.
///
/// A spectrum is a slice of its values and, where it has several axes, an array with these axes:
///
/// ```
/// use pixelmill_core::ndarray::{Array1, Axis, array};
/// use pixelmill_core::process::{Failure, NoParameters, Process, Results, SourceInfo, Spectrum};
///
/// /// The mean of each column of a camera's frames.
/// struct Profile;
///
/// impl Process for Profile {
///     const NAME: &'static str = "Profile";
///     const VERSION: u32 = 1;
///     type Parameters = NoParameters;
///     type Input = f64;
///     type Output = Array1<f64>;
///     type Task = ();
///     type Scratch = ();
///
///     fn prepare(_: &NoParameters, source: &SourceInfo) -> Result<(), Failure> {
///         match source.spectroscopic_dimensions.len() {
///             2 => Ok(()),
///             axes => Err(Failure::new(format!("it holds no frames: its spectra have {axes} axes"))),
///         }
///     }
///
///     fn create_results_datasets(
///         _: &NoParameters,
///         source: &SourceInfo,
///         results: &mut Results<Array1<f64>>,
///     ) {
///         let profile = results.main("Profile", &source.quantity, &source.units);
///         profile.array(vec![source.axis(0)], |profile: &Array1<f64>| profile.view());
///     }
///
///     fn map_function(
///         _: &(),
///         spectrum: Spectrum<'_, f64>,
///         _: &mut (),
///     ) -> Result<Array1<f64>, Failure> {
///         let columns = spectrum.frame()?.mean_axis(Axis(0)); // of an `ArrayView2`
///         columns.ok_or_else(|| Failure::new("the frame is empty"))
///     }
/// }
///
/// let frame = Spectrum::new(&[1.0, 2.0, 3.0, 5.0, 6.0, 7.0], &[2, 3]);
/// assert_eq!(Profile::map_function(&(), frame, &mut ()), Ok(array![3.0, 4.0, 5.0]));
/// ```
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

    /// Whether the map function computes with where a spectrum was measured, its
    /// [`Spectrum::coordinates`]. Override with `true` if so: they are told nobody else, and where
    /// each position has values of its own these become a part of what results are known by.
    const COORDINATES: bool = false;

    /// Whether results of parts of a spectrum can be joined to that of all of it. Override with
    /// `true`, and write [`Self::join`], for what adds up, counts or compares values: the map
    /// function then gets some values of a spectrum at a time, without being told which, as they
    /// are read, and large spectra in small chunks are never put together.
    /// [`Self::unit_computation`] is called only where a position has several spectra, and
    /// [`Self::read_data_chunk`] and [`Self::write_results_chunk`] as well.
    const IN_PARTS: bool = false;

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

    /// Makes one result of those of two parts of a spectrum; nobody calls it unless
    /// [`Self::IN_PARTS`]. Which parts there are follows from the data alone, and so does the order
    /// in which they are joined, so it need be associative in the sense of numbers only.
    ///
    /// # Errors
    /// If this spectrum has no result.
    fn join(
        _task: &Self::Task,
        _earlier: Self::Output,
        _later: Self::Output,
    ) -> Result<Self::Output, Failure> {
        Err(Failure::new("the process has no `join`"))
    }

    /// What an output says that its spectrum is, for people who test one position: it is drawn over
    /// the data. Override wherever there is such a thing: a fitted curve and its parts, a
    /// smoothed or filtered spectrum, the place of a peak. Runs never call it.
    fn model(
        _task: &Self::Task,
        _spectrum: Spectrum<'_, Self::Input>,
        _output: &Self::Output,
    ) -> Model {
        Model::new()
    }

    /// How many axes of a position's values a spectrum runs along. Override where it isn't all of
    /// them, as for what works on spectra in the narrow sense or on frames. The other axes then
    /// number the spectra of a position: the process is told of its own alone, and results come
    /// back with one for each step of the others. The user may name other axes than the fastest.
    fn spectrum_axes(_parameters: &Self::Parameters) -> SpectrumAxes {
        SpectrumAxes::Any
    }

    /// How many spectra are one behind the other on the axes that [`Self::spectrum_axes`] leaves.
    /// Override when a measurement is repeated along one of these: N·S values then are seen as N
    /// spectra of S, and results come back with N values.
    fn spectra_per_position(_parameters: &Self::Parameters, _source: &SourceInfo) -> usize {
        1
    }

    /// Datasets with the same positions whose rows are handed to the map function beside the
    /// spectrum, as numbers of the declared type; a compound record of floating-point fields is as
    /// many values. What was found there is in [`SourceInfo::auxiliary`]. Override to start from an
    /// earlier result or to apply a correction per position.
    fn auxiliary_inputs(_parameters: &Self::Parameters) -> Vec<AuxiliaryInput> {
        Vec::new()
    }

    /// Arrays for the whole run, such as a reference spectrum or a stack of masks:
    /// [`Self::prepare`] finds them in [`SourceInfo::constants`], as numbers of the declared
    /// type and with the declared axes. Those with the axes of a spectrum may have the whole
    /// ones of the file: they are cut as the spectra are. They are read before the run, and
    /// their values are part of the identity of a result.
    fn constant_inputs(_parameters: &Self::Parameters) -> Vec<ConstantInput> {
        Vec::new()
    }

    /// Which neighbours of each position the map function gets beside the spectrum, in
    /// [`Spectrum::neighbours`]. Override for what is computed over a window of the scan. The scan
    /// has to be a full grid. A position with a neighbour whose data are damaged fails. What the
    /// user may choose of it, the edges included, is a parameter. Auxiliary inputs are those of the
    /// position alone. With [`Halo::bins`] it is bins of positions that are computed, and that
    /// results are of; they have no auxiliary inputs and no coordinates.
    ///
    /// # Errors
    /// If `source` can't be computed with these parameters; say why with [`Failure`].
    fn halo(_parameters: &Self::Parameters, _source: &SourceInfo) -> Result<Option<Halo>, Failure> {
        Ok(None)
    }

    /// Bytes that a unit of work needs per position besides its spectra and results. Override
    /// when `Scratch` is large, or grows with the number of positions, so that the memory budget
    /// holds.
    fn extra_memory_per_position(_parameters: &Self::Parameters, _source: &SourceInfo) -> usize {
        0
    }

    /// Bytes that a unit of work needs for each row of a position or neighbour that it is computed
    /// from, if it is computed with [neighbours](Self::halo): the values after conversion. Override
    /// for what takes neighbours by [`Unit::channels`] alone, or keeps more of each.
    fn memory_per_neighbour(_parameters: &Self::Parameters, source: &SourceInfo) -> usize {
        source.spectral_points.saturating_mul(size_of::<Self::Input>())
    }

    /// Memory for one worker of a run. Override to make it as large as pays with the workers and
    /// the memory that there are. The engine may begin again with the default one at any time,
    /// and another machine has other means: no result may depend on it.
    fn scratch(_task: &Self::Task, _means: &Means) -> Self::Scratch {
        Self::Scratch::default()
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
    /// time (a matrix product, batched transforms, a GPU): read `unit.spectrum(…)`, or all of them
    /// as `unit.spectra()` or `unit.array::<Ix2>()`, and call `outputs.set` for each spectrum,
    /// or put whole results datasets into `outputs.column::<f64, Ix1>(0)` and so on and say
    /// `outputs.filled`. How positions are divided into units varies from run to run: a result
    /// must not depend on it.
    ///
    /// # Errors
    /// If none of these positions can be computed: all of them are then marked as failed.
    fn unit_computation(
        task: &Self::Task,
        unit: &mut Unit<'_, Self::Input>,
        scratch: &mut Self::Scratch,
        outputs: &mut Outputs<'_, Self::Output>,
    ) -> Result<(), Failure> {
        spectrum_by_spectrum::<Self>(task, unit, scratch, outputs);
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

/// Computes a unit as [`Process::unit_computation`] does where nobody overrides it: what goes
/// another way for some parameters takes this one for all others.
pub fn spectrum_by_spectrum<P: Process>(
    task: &P::Task,
    unit: &mut Unit<'_, P::Input>,
    scratch: &mut P::Scratch,
    outputs: &mut Outputs<'_, P::Output>,
) {
    for index in 0..unit.len() {
        let spectrum = unit.spectrum(index);
        // A panic is this spectrum's failure; what it left in the scratch is thrown away.
        let result =
            guarded(|| P::map_function(task, spectrum, scratch)).unwrap_or_else(|panicked| {
                *scratch = P::Scratch::default();
                Err(panicked)
            });
        outputs.set(index, result);
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

/// One spectrum with what belongs to it. It derefs to its values, one behind the other, the fastest
/// axis' side by side.
#[derive(Clone, Copy, Debug)]
pub struct Spectrum<'a, T> {
    /// The values.
    pub values: &'a [T],
    /// Lengths of its axes, slowest first: [`SourceInfo::spectrum_shape`].
    pub shape: &'a [usize],
    /// The position that it was measured at: its row in the main dataset.
    pub position: u64,
    /// Which of the position's spectra it is, from 0; see [`Process::spectra_per_position`].
    pub repeat: usize,
    /// The rows of the auxiliary inputs at this position, in the order in which they were
    /// declared.
    pub auxiliary: Auxiliary<'a>,
    /// Where it was measured, on the axes of the scan; nothing unless
    /// [`Process::COORDINATES`] asks for it.
    pub coordinates: Coordinates<'a>,
    /// The spectra of its neighbours; none unless [`Process::halo`] asks for them.
    pub neighbours: Neighbours<'a, T>,
}

impl<T> Deref for Spectrum<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.values
    }
}

impl<'a, T> Spectrum<'a, T> {
    /// A spectrum at the first position, without auxiliary inputs and coordinates: what tests hand
    /// to a map function.
    pub fn new(values: &'a [T], shape: &'a [usize]) -> Self {
        let (auxiliary, coordinates) = (Auxiliary::default(), Coordinates::default());
        let neighbours = Neighbours::default();
        Self { values, shape, position: 0, repeat: 0, auxiliary, coordinates, neighbours }
    }

    /// The spectrum as an array with its own axes: `spectrum.array::<Ix3>()?`. Nothing is copied.
    ///
    /// # Errors
    /// If it has another number of axes. Where that can be, refuse it in [`Process::prepare`],
    /// before a run.
    pub fn array<D: ndarray::Dimension>(&self) -> Result<ArrayView<'a, T, D>, Failure> {
        arrays::view(self.values, None, self.shape, "the spectrum")
    }

    /// The spectrum as a frame, as a camera takes it: its two axes, beside which any of a single
    /// step don't count.
    ///
    /// # Errors
    /// If it has another number of axes.
    pub fn frame(&self) -> Result<ArrayView2<'a, T>, Failure> {
        let mut long = self.shape.iter().copied().filter(|length| *length != 1);
        match (self.shape.len() > 2, long.next(), long.next(), long.next()) {
            (true, Some(slow), Some(fast), None) => {
                arrays::view(self.values, None, &[slow, fast], "the spectrum")
            }
            _ => self.array::<Ix2>(),
        }
    }
}

/// Some positions that are computed together.
pub struct Unit<'a, T> {
    raw: RawUnit<'a>,
    buffer: &'a mut Vec<T>,
    /// The spectra that are in `buffer`, one behind the other.
    converted: Range<usize>,
    /// Spectra of its positions and their neighbours, and which of their channels.
    around: Option<&'a mut Vec<T>>,
    held: Range<usize>,
}

/// Values that are converted at a time: short spectra, each by itself, would take longer than their
/// computation.
const CONVERTED_VALUES: usize = 512;

impl<'a, T: Element> Unit<'a, T> {
    /// A unit as it was read, with memory for what is converted.
    pub fn new(raw: RawUnit<'a>, buffer: &'a mut Vec<T>) -> Self {
        Self { raw, buffer, converted: 0..0, around: None, held: 0..0 }
    }

    /// How many spectra there are: positions times spectra per position.
    pub fn len(&self) -> usize {
        self.raw.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many values each spectrum has.
    pub fn spectrum_length(&self) -> usize {
        self.raw.spectrum_length
    }

    /// Spectrum number `index`, converted to the process's element type.
    pub fn spectrum(&mut self, index: usize) -> Spectrum<'_, T> {
        let (within, repeat) = self.raw.place(index);
        let length = self.raw.spectrum_length;
        let around = match &mut self.around {
            Some(around) => self.raw.channels(0..length, (*around, &mut self.held)),
            None => Channels::default(),
        };
        let values = match around.own(index).or_else(|| self.raw.lying(index)) {
            Some(values) => values,
            None => {
                if !self.converted.contains(&index) {
                    let many = (CONVERTED_VALUES / length.max(1)).max(1);
                    self.converted = index..self.raw.len().min(index + many);
                    self.raw.copy(self.converted.clone(), self.buffer);
                }
                &self.buffer[(index - self.converted.start) * length..][..length]
            }
        };
        Spectrum {
            values,
            shape: self.raw.spectrum_shape,
            position: self.raw.positions[within],
            repeat,
            auxiliary: Auxiliary::new(self.raw.auxiliary, within),
            coordinates: Coordinates::new(self.raw.axes, self.raw.positions[within]),
            neighbours: around.neighbours(index),
        }
    }

    /// The unit with memory for the spectra of its positions and their neighbours, if it has any.
    pub(crate) fn among(self, around: &'a mut Vec<T>) -> Self {
        Self { around: self.raw.neighbours.is_some().then_some(around), ..self }
    }

    /// Some channels of the neighbours of all spectra: less memory that stays in the processor's
    /// cache, for what computes channel by channel. There are none unless the process
    /// [asks for them](Process::halo).
    pub fn channels(&mut self, channels: Range<usize>) -> Channels<'_, T> {
        match &mut self.around {
            Some(around) => self.raw.channels(channels, (*around, &mut self.held)),
            None => Channels::default(),
        }
    }

    /// The same in other numbers, of a shorter type say, converted into `buffer`; `None` if that
    /// type doesn't hold what the file stores, or spectra are corrected first.
    pub fn channels_as<'b, S: Element>(
        &'b self,
        channels: Range<usize>,
        buffer: &'b mut Vec<S>,
    ) -> Option<Channels<'b, S>> {
        self.raw.channels_as(channels, buffer)
    }

    /// Spectrum number `index` in other numbers, of a shorter type say, as it lies in memory where
    /// that is possible, else converted into `buffer`; `None` if that type doesn't hold what the
    /// file stores, or spectra are corrected first.
    pub fn spectrum_as<'b, S: Element>(
        &'b self,
        index: usize,
        buffer: &'b mut Vec<S>,
    ) -> Option<&'b [S]> {
        self.raw.spectrum_as(index, buffer)
    }

    /// Puts the values of spectrum number `index` into the caller's buffer, converted; for what
    /// works in place and would have to copy them.
    pub fn copy_spectrum(&self, index: usize, into: &mut Vec<T>) {
        self.raw.copy(index..index + 1, into);
    }

    /// All spectra, one behind the other.
    pub fn spectra(&mut self) -> &[T] {
        self.converted = 0..0;
        self.raw.spectra(self.buffer)
    }

    /// All spectra as one array: an axis along which they follow each other, then the axes of a
    /// spectrum, so that a unit of frames is an `Ix3`.
    ///
    /// # Errors
    /// If it has another number of axes.
    pub fn array<D: ndarray::Dimension>(&mut self) -> Result<ArrayView<'_, T, D>, Failure> {
        let (spectra, shape) = (self.len(), self.raw.spectrum_shape);
        arrays::view(self.spectra(), Some(spectra), shape, "a unit of spectra")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk_io::AlignedBytes;
    use crate::corrections::Corrections;
    use crate::element::{ElementType, StoredType, elements};
    use crate::inputs::ConstantArray;
    use ndarray::{Ix3, IxDyn};

    /// Looks at spectra in several orders, with all of them in between, and compares each with one
    /// converted by itself.
    fn spectra_are_as_each_by_itself<T: Element>(stored: StoredType, spectrum_length: usize) {
        let (positions, spectra_per_position) = ([3, 4, 6, 7], 3);
        let row_bytes = spectra_per_position * spectrum_length * stored.element.size();
        let bytes: Vec<u8> = (0..positions.len() * row_bytes).map(|i| (i * 7 % 61) as u8).collect();
        let mut read = ReadRows::new(AlignedBytes::default(), positions.len(), row_bytes);
        read.bytes_mut().copy_from_slice(&bytes);
        let mut left = ReadRows::new(AlignedBytes::default(), positions.len(), row_bytes);
        left.leave(bytes.chunks_exact(row_bytes).collect());

        let single = StoredType { element: ElementType::Float32, swapped: false };
        let values = (0..spectra_per_position * spectrum_length).map(|at| (at % 251) as f32);
        let values: Vec<u8> = values.flat_map(f32::to_ne_bytes).collect();
        let array =
            ConstantArray::new("/a", vec![spectrum_length], (&values, single), single.element);
        let arrays = [Some(array.clone()), Some(array)];
        let corrections = Corrections::new(T::TYPE, &[spectrum_length], arrays, &[]).unwrap();

        for (rows, corrections) in
            [(&read, None), (&left, None), (&read, Some(&corrections)), (&left, Some(&corrections))]
        {
            let (mut buffer, mut own) = (Vec::new(), Vec::new());
            let raw = RawUnit {
                positions: &positions,
                rows,
                stored,
                spectra_per_position,
                spectrum_length,
                spectrum_shape: &[1, spectrum_length],
                auxiliary: &[],
                corrections,
                axes: None,
                neighbours: None,
            };
            let mut unit = Unit::<T>::new(raw, &mut buffer);
            let count = unit.len();
            for index in (0..count).chain((0..count).rev()).chain((0..count).step_by(2)) {
                let bytes = &bytes[index * row_bytes / 3..(index + 1) * row_bytes / 3];
                let expected = match corrections {
                    None => elements::<T>(bytes, stored, &mut own),
                    Some(corrections) => {
                        own.clear();
                        corrections.append((bytes, stored), index % 3, &mut own);
                        &own
                    }
                };
                let spectrum = unit.spectrum(index);
                assert_eq!(
                    spectrum.values, expected,
                    "spectrum {index} of {spectrum_length} values"
                );
                assert_eq!((spectrum.position, spectrum.repeat), (positions[index / 3], index % 3));
                if index % 5 == 4 {
                    let length = spectrum_length;
                    assert_eq!(&unit.spectra()[index * length..][..length], expected);
                }
            }
        }
    }

    /// Two positions of two spectra of 2 × 3 values each.
    fn with_unit(swapped: bool, check: impl FnOnce(Unit<'_, f32>)) {
        let values: Vec<f32> = (0u8..24).map(f32::from).collect();
        let order =
            |value: f32| if swapped { value.to_bits().swap_bytes() } else { value.to_bits() };
        let bytes: Vec<u8> = values.iter().flat_map(|value| order(*value).to_ne_bytes()).collect();
        let mut rows = ReadRows::new(AlignedBytes::default(), 2, 48);
        rows.bytes_mut().copy_from_slice(&bytes);
        let raw = RawUnit {
            positions: &[4, 5],
            rows: &rows,
            stored: StoredType { element: ElementType::Float32, swapped },
            spectra_per_position: 2,
            spectrum_length: 6,
            spectrum_shape: &[2, 3],
            auxiliary: &[],
            corrections: None,
            axes: None,
            neighbours: None,
        };
        check(Unit::new(raw, &mut Vec::new()));
    }

    #[test]
    fn spectra_and_units_are_arrays_with_their_own_axes() {
        for swapped in [false, true] {
            with_unit(swapped, |mut unit| {
                let spectrum = unit.spectrum(2);
                let frame = spectrum.frame().unwrap();
                assert_eq!(
                    (frame.shape(), frame[[0, 0]], frame[[1, 2]]),
                    ([2, 3].as_slice(), 12.0, 17.0)
                );
                assert_eq!(frame.as_ptr(), spectrum.values.as_ptr());
                assert_eq!(spectrum.array::<IxDyn>().unwrap().ndim(), 2);
                let all = unit.array::<Ix3>().unwrap();
                assert_eq!((all.shape(), all[[3, 0, 1]]), ([4, 2, 3].as_slice(), 19.0));
                let refused = unit.array::<Ix2>().unwrap_err().to_string();
                let told =
                    "a unit of spectra has 3 axes (4 × 2 × 3), and is taken for an array of 2 axes";
                assert_eq!(refused, told);
            });
        }
        with_unit(false, |mut unit| {
            let lies_at = unit.spectrum(0).values.as_ptr();
            assert_eq!(unit.array::<Ix3>().unwrap().as_ptr(), lies_at, "it needs no conversion");
        });
    }

    #[test]
    fn axes_of_a_single_step_make_no_stack_of_a_frame() {
        let values = [0u8; 12];
        let frame =
            |shape: &[usize]| Spectrum::new(&values, shape).frame().map(|frame| frame.dim());
        assert_eq!(frame(&[3, 4]), Ok((3, 4)));
        assert_eq!(frame(&[1, 12]), Ok((1, 12)));
        assert_eq!(frame(&[1, 3, 1, 4]), Ok((3, 4)));
        assert!(frame(&[2, 3, 2]).unwrap_err().to_string().contains("3 axes (2 × 3 × 2)"));
        assert!(frame(&[12]).unwrap_err().to_string().contains("1 axis (12)"));
    }

    #[test]
    fn spectra_converted_together_are_as_each_by_itself() {
        for length in [1, 4, 170, 2600] {
            for swapped in [false, true] {
                let stored = |element| StoredType { element, swapped };
                spectra_are_as_each_by_itself::<f32>(stored(ElementType::Float32), length);
                spectra_are_as_each_by_itself::<f64>(stored(ElementType::Float32), length);
                spectra_are_as_each_by_itself::<f32>(stored(ElementType::Int16), length);
            }
        }
    }
}
