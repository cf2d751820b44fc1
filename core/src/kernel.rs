//! The joint between what is computed and who runs it.
//!
//! A kernel is a computation without its types: the engine knows nothing else.
//! [`Process`](crate::Process) is what authors write, and `map_kernel` makes a kernel of it; a
//! computation that is named only at run time is a kernel of its own. Calls through this joint are
//! for a unit of work at a time, some 10 ms, never for a spectrum.

use std::ops::Range;

use ndarray::{ArrayView2, ShapeBuilder};
use num_complex::Complex64;
use serde_json::{Map, Value};

pub use crate::auxiliary::{Auxiliary, AuxiliaryRows};
pub use crate::buffers::{Accumulator, BufferLayout, Kind, Parts, Role};
use crate::chunk_io::{AlignedBytes, ReadChunk, ReadRows, WriteChunk};
pub use crate::column_layout::{ColumnLayout, Constant};
pub use crate::contribution::Contribution;
pub use crate::coordinates::{Coordinates, PositionAxes};
use crate::corrections::Corrections;
use crate::element::{Element, ElementType, StoredType, append, elements, lying};
use crate::error::Result;
use crate::failure::Failure;
pub use crate::inputs::{AuxiliaryInput, ConstantArray, ConstantAxes, ConstantInput, InputPath};
use crate::model::{Model, Values};
pub use crate::neighbours::{ABSENT, Channels, Edges, Halo, Neighbours, RawNeighbours};
use crate::source_info::SourceInfo;

/// A computation that is done at every position of a scan.
pub trait Kernel: Send + Sync {
    /// Its name; results groups are called `<Dataset>-<name>_NNN`.
    fn name(&self) -> &str;
    /// Raised whenever the same input may give other results than before.
    fn version(&self) -> u32;
    /// All its parameters with their values, defaults included. Results are recognised by them, by
    /// the name, by the version, and by the input that it [wants](Self::wants): nothing else
    /// that is chosen at run time may change one.
    fn parameters(&self) -> &Map<String, Value>;
    /// What it wants of the source and of the engine.
    fn wants(&self) -> Wants;
    /// Datasets with the same positions, whose rows a worker gets beside those of the source.
    fn auxiliary_inputs(&self) -> Vec<AuxiliaryInput> {
        Vec::new()
    }
    /// Arrays for the whole run; [`Self::prepare`] finds them in [`SourceInfo::constants`].
    fn constant_inputs(&self) -> Vec<ConstantInput> {
        Vec::new()
    }
    /// Whether it computes with the places of positions on the axes of the scan, which it otherwise
    /// isn't told. Results that do are other results.
    fn wants_coordinates(&self) -> bool {
        false
    }
    /// Whether it is of some positions of a scan: then these have to be named, and
    /// [`Self::prepare`] finds them in [`SourceInfo::selected`].
    fn wants_selection(&self) -> bool {
        false
    }
    /// Which neighbours of each position a worker gets beside it. Results that have the same
    /// parameters are computed with the same ones.
    ///
    /// # Errors
    /// If it can't work on this source.
    fn halo(&self, _source: &SourceInfo) -> Result<Option<Halo>, Failure> {
        Ok(None)
    }
    /// How many spectra a row of the source holds, one behind the other.
    fn spectra_per_position(&self, _source: &SourceInfo) -> usize {
        1
    }
    /// Prepares what all workers share, and declares what results there will be.
    ///
    /// # Errors
    /// If it can't work on this source.
    fn prepare(&self, source: &SourceInfo) -> Result<Box<dyn Prepared>, Failure>;
}

/// What a kernel wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wants {
    /// The numbers that it computes with.
    pub input: Input,
    /// The axes of a position's values that one spectrum runs along, unless the user names others.
    pub axes: SpectrumAxes,
    /// Most positions of a unit, for what has memory of its own to fill, such as a GPU. A unit is
    /// as many positions as take some 10 ms, but no more than this.
    pub most_per_unit: Option<u64>,
}

/// How many axes of a position's values a spectrum runs along. All other axes number the spectra of
/// a position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SpectrumAxes {
    /// One: a spectrum in the narrow sense. The fastest unless the user names another.
    One,
    /// Two: a frame. The two fastest unless the user names others.
    Two,
    /// Any number: all there are unless the user names some.
    #[default]
    Any,
}

impl SpectrumAxes {
    /// How many of so many axes that is.
    pub fn of(self, axes: usize) -> usize {
        match self {
            Self::One => axes.min(1),
            Self::Two => axes.min(2),
            Self::Any => axes,
        }
    }
}

/// The numbers that a kernel computes with. The file's have to become them without losing anything.
///
/// Another input may give another result. So whoever recognises results asks for
/// [`Self::chosen_for`], which tells of every input that isn't settled by the type of the very
/// process that the kernel is called after. So a name and a version belong to one process: types
/// that differ in what they compute with need names of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input {
    element: ElementType,
    narrowing: bool,
    /// Name and version of the process whose type settles it.
    settled_by: Option<(&'static str, u32)>,
}

impl Input {
    /// Numbers of a type that is chosen when the program runs.
    pub fn new(element: ElementType) -> Self {
        Self { element, narrowing: false, settled_by: None }
    }

    /// The same, but rounding to a shorter floating-point type is no loss.
    #[must_use]
    pub fn narrowing(self) -> Self {
        Self { narrowing: true, settled_by: None, ..self }
    }

    /// What the type of a process of this name and version says.
    pub(crate) fn settled(element: ElementType, narrowing: bool, by: (&'static str, u32)) -> Self {
        Self { element, narrowing, settled_by: Some(by) }
    }

    /// Their element type.
    pub fn element(&self) -> ElementType {
        self.element
    }

    /// Whether rounding to a shorter floating-point type is no loss.
    pub fn is_narrowing(&self) -> bool {
        self.narrowing
    }

    /// The element type, and whether rounding is no loss, unless the name and the version of the
    /// kernel settle both.
    pub fn chosen_for(&self, name: &str, version: u32) -> Option<(ElementType, bool)> {
        let is_settled = self.settled_by == Some((name, version));
        (!is_settled).then_some((self.element, self.narrowing))
    }
}

/// What a run has to compute with, and what of the scan. Another machine has something else, and so
/// has whoever resumes the run: no result may depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Means {
    /// Workers that compute at the same time in this process.
    pub workers: usize,
    /// Bytes of memory that all of them may use together; `None` where only single positions are
    /// computed.
    pub memory: Option<u64>,
    /// Whether only some of the positions are to be computed.
    pub is_selection: bool,
}

/// A kernel that knows its source.
pub trait Prepared: Send + Sync {
    /// The results datasets that a worker fills.
    fn columns(&self) -> &[ColumnLayout];
    /// Results that are the same for all positions.
    fn constants(&self) -> &[Constant] {
        &[]
    }
    /// How all spectra are folded into one answer, or each is part by part; `None` if each has its
    /// own and is computed as a whole. What is folded is a unit at a time by a [`FoldWorker`], and
    /// no [`Worker`] is asked for unless it [is a map](Fold::is_map).
    fn fold(&self) -> Option<&dyn Fold> {
        None
    }
    /// Bytes that a worker takes for each position of a unit, besides the rows as they are stored
    /// and the results.
    fn memory_per_position(&self) -> u64;
    /// Bytes that a worker takes for each row of a unit besides, if it computes with neighbours:
    /// those of the positions and of all their neighbours. `is_whole` if a spectrum can be
    /// converted as a whole only.
    fn memory_per_neighbour(&self, _is_whole: bool) -> u64 {
        0
    }
    /// A worker for one thread.
    fn worker(&self) -> Box<dyn Worker + '_>;
    /// A worker for one thread of a run, which may take the memory and the workers into account
    /// that there are. No result may depend on them.
    fn worker_with(&self, _means: &Means) -> Box<dyn Worker + '_> {
        self.worker()
    }
    /// Reads the rows of some positions.
    ///
    /// # Errors
    /// If they can't be read; the run ends and can be resumed.
    fn read<'a>(
        &self,
        source: &'a dyn ReadChunk,
        positions: &[Range<u64>],
        rows: &mut ReadRows<'a>,
    ) -> Result<()> {
        source.read(positions, rows)
    }
    /// Writes the rows of one results dataset for consecutive positions.
    ///
    /// # Errors
    /// If they can't be written; the run ends and can be resumed.
    fn write(
        &self,
        results: &dyn WriteChunk,
        dataset: usize,
        first: u64,
        rows: &[u8],
    ) -> Result<()> {
        results.write(dataset, first, rows)
    }
}

/// How much of a spectrum a reduction needs at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Whole {
    /// A part of the points of some spectra.
    #[default]
    Tile,
    /// One spectrum.
    Spectrum,
    /// All spectra of a unit.
    Partition,
}

/// How spectra are folded: in units that follow from the data alone, which are merged in a fixed
/// tree.
pub trait Fold: Send + Sync {
    /// The buffers; those per position are the [`Prepared::columns`] as well, if they are
    /// published.
    fn buffers(&self) -> &[BufferLayout];
    /// Whether all buffers are per position, so that nothing is folded: positions then are marked,
    /// selected and computed again one by one, as those of a map.
    fn is_per_position(&self) -> bool;
    /// How many positions it folds at least.
    fn least_positions(&self) -> u64 {
        1
    }
    /// How much of a spectrum it needs at a time.
    fn whole(&self) -> Whole;
    /// Whether a [`Worker`] can compute positions as well: then it does where a position has
    /// several spectra.
    fn is_map(&self) -> bool {
        false
    }
    /// Whether it folds each spectrum of a position that has several. It then needs whole spectra,
    /// and its buffers per position have a value for each of them.
    fn takes_several(&self) -> bool {
        false
    }
    /// Whether it takes values as they are stored, if they aren't corrected, so that none of them
    /// has to be one of its numbers.
    fn takes_stored(&self) -> bool {
        false
    }
    /// Bytes that a worker takes besides its tiles and buffers, for units of so many positions at
    /// most.
    fn extra_memory(&self, positions: u64) -> u64;
    /// Bytes of what all workers share.
    fn shared_memory(&self) -> u64;
    /// Bytes of a value after conversion.
    fn value_bytes(&self) -> usize;
    /// Its passes over all spectra, if it takes several; only the last has results.
    fn passes(&self) -> Option<Passes> {
        None
    }
    /// The number of the pass that has begun, counted from 0.
    fn pass(&self) -> u32 {
        0
    }
    /// The mini-batch that it goes over, if it doesn't go over all spectra.
    fn mini_batch(&self) -> Option<u32> {
        self.passes()?.mini_batch(self.pass(), self.is_last_pass())
    }
    /// Whether it is the last.
    fn is_last_pass(&self) -> bool {
        true
    }
    /// What the next pass begins with, made of all that this one, which isn't the last, has folded.
    ///
    /// # Errors
    /// If there is nothing to go on with.
    fn next_pass(&self, _all: &mut Parts<'_>) -> Result<Pass, Failure> {
        Err(Failure::new("all spectra are folded once"))
    }
    /// Begins a pass, or the first one again. What folds for it are workers that are made
    /// afterwards.
    ///
    /// # Errors
    /// If it can't begin.
    fn begin_pass(&self, _pass: Option<&Pass>) -> Result<(), Failure> {
        Ok(())
    }
    /// Whether what is folded counts; it is asked of each unit before that is merged and marked.
    ///
    /// # Errors
    /// What ends the run, as something that isn't the fault of any position.
    fn check(&self) -> Result<()> {
        Ok(())
    }
    /// A worker for one thread.
    fn worker(&self) -> Box<dyn FoldWorker + '_>;
    /// Adds what was folded of later units, `from`, to what was of earlier ones.
    ///
    /// # Errors
    /// If there is no sum of the two.
    fn merge(&self, into: &mut Parts<'_>, from: &mut Parts<'_>) -> Result<(), Failure>;
    /// Makes the results.
    ///
    /// # Errors
    /// If there are none.
    fn finish(&self, all: &mut Parts<'_>) -> Result<(), Failure>;
}

/// Passes over all spectra: two at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passes {
    /// How many there are at most.
    pub most: u32,
    /// How many numbers one hands to the next.
    pub carried: usize,
    /// Those of them that go over a part of the spectra each, if any do.
    pub mini_batches: Option<MiniBatches>,
}

/// Passes that follow each other, of which each goes over one mini-batch of the spectra: what is
/// learned from that is known for the next. A mini-batch has units from all over the scan, a whole
/// number of them, so some may be empty where there are few.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MiniBatches {
    /// The first of these passes, counted from 0.
    pub first: u32,
    /// How many mini-batches all spectra are divided into.
    pub count: u32,
    /// How often all of them are gone through at most: the last pass may follow any epoch.
    pub epochs: u32,
}

impl Passes {
    /// The mini-batch that a pass goes over, the last one or another, counted from 0; all spectra
    /// if there is none.
    pub fn mini_batch(&self, pass: u32, is_last: bool) -> Option<u32> {
        let MiniBatches { first, count, epochs } = self.mini_batches?;
        let number = pass.checked_sub(first)?;
        (number / count < epochs && !is_last).then_some(number % count)
    }

    /// Whether, when a pass has ended, all spectra have been gone through once more.
    pub fn ends_epoch(&self, pass: u32, is_last: bool) -> bool {
        let count = self.mini_batches.map_or(0, |of| of.count);
        self.mini_batch(pass, is_last).is_none_or(|number| number + 1 == count)
    }

    /// How often all spectra are gone through at most.
    pub fn epochs(&self) -> u32 {
        let beside = self.mini_batches.map_or(0, |of| of.epochs * (of.count - 1));
        self.most.saturating_sub(beside)
    }

    /// Whether the last of them goes over all spectra.
    pub(crate) fn are_sound(&self) -> bool {
        let Some(MiniBatches { first, count, epochs }) = self.mini_batches else {
            return self.most > 1;
        };
        let end = count.checked_mul(epochs).and_then(|passes| passes.checked_add(first));
        count > 0 && epochs > 0 && end.is_some_and(|end| end < self.most)
    }
}

/// What a pass over all spectra, but the first, begins with.
#[derive(Clone, Debug, PartialEq)]
pub struct Pass {
    /// Its number, counted from 0.
    pub number: u32,
    /// Whether it is the last one, which makes the results.
    pub is_last: bool,
    /// What those before it have found.
    pub carried: Vec<f64>,
}

/// What one thread folds with. After a panic the worker is made anew.
pub trait FoldWorker {
    /// Begins a unit: nothing is folded yet.
    fn begin(&mut self, all: &mut Parts<'_>);
    /// Folds some spectra, or parts of them; those that are to be left out are noted as failed, by
    /// their number in the tile. The unit is folded once more then.
    ///
    /// # Errors
    /// Why none of the unit's positions can be folded.
    fn fold(
        &mut self,
        tile: RawTile<'_>,
        parts: &mut Parts<'_>,
        failed: &mut Vec<(usize, Failure)>,
    ) -> Result<(), Failure>;
    /// Ends a unit.
    ///
    /// # Errors
    /// If none of its positions can be folded.
    fn end(&mut self, positions: &[u64], all: &mut Parts<'_>) -> Result<(), Failure>;
}

/// Neighbouring points of a spectrum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PointRun {
    /// The first of them.
    pub first: usize,
    /// How many.
    pub len: usize,
}

/// Some points of some spectra as they were read.
#[derive(Clone, Copy)]
pub struct RawTile<'a> {
    /// The positions of the spectra.
    pub positions: &'a [u64],
    /// How many of the unit's positions that are folded come before them.
    pub first: usize,
    /// Where the first value of the first one is, and those behind it.
    pub bytes: &'a [u8],
    /// Bytes from one spectrum to the next.
    pub stride: usize,
    /// Which points they are, and how many.
    pub runs: &'a [PointRun],
    /// The number of all of these.
    pub points: usize,
    /// What the bytes hold.
    pub stored: StoredType,
    /// Lengths of the axes of a whole spectrum, slowest first.
    pub spectrum_shape: &'a [usize],
    /// The rows of each auxiliary input, and which of them is the first position's.
    pub auxiliary: (&'a [AuxiliaryRows], usize),
    /// What is done to all spectra alike before anybody sees them.
    pub corrections: Option<&'a Corrections>,
    /// Where the positions lie, if the kernel wants to know.
    pub axes: Option<&'a dyn PositionAxes>,
}

impl<'a> RawTile<'a> {
    /// What spectrum number `index` has of them, as it was read.
    pub fn row(&self, index: usize) -> &'a [u8] {
        &self.bytes[index * self.stride..][..self.points * self.stored.element.size()]
    }

    /// Some of its spectra.
    pub(crate) fn spectra(&self, which: Range<usize>) -> Self {
        let (rows, first) = self.auxiliary;
        Self {
            positions: &self.positions[which.clone()],
            first: self.first + which.start,
            bytes: &self.bytes[which.start * self.stride..],
            auxiliary: (rows, first + which.start),
            ..*self
        }
    }

    /// The values where they lie, if they need no conversion.
    pub(crate) fn lying<T: Element>(&self) -> Option<ArrayView2<'a, T>> {
        if self.corrections.is_some() || !self.stride.is_multiple_of(size_of::<T>()) {
            return None;
        }
        let rows = self.positions.len();
        let bytes = rows.checked_sub(1).map_or(0, |before| before * self.stride)
            + self.points * self.stored.element.size();
        let values = lying(&self.bytes[..bytes], self.stored)?;
        Some(view((rows, self.points), self.stride / size_of::<T>(), values))
    }

    /// Puts the values into `buffer`, converted and corrected, row by row.
    pub(crate) fn convert<T: Element>(&self, buffer: &mut Vec<T>) {
        buffer.clear();
        for index in 0..self.positions.len() {
            let row = self.row(index);
            let Some(corrections) = self.corrections else {
                append(row, self.stored, buffer);
                continue;
            };
            if !corrections.are_by_value() {
                let length: usize = self.spectrum_shape.iter().product();
                let spectra = row.chunks_exact(length * self.stored.element.size()).enumerate();
                spectra.for_each(|(number, spectrum)| {
                    corrections.append((spectrum, self.stored), number, buffer);
                });
                continue;
            }
            let mut left = row;
            for run in self.runs {
                let (part, rest) = left.split_at(run.len * self.stored.element.size());
                corrections.append_values((part, self.stored), run.first, buffer);
                left = rest;
            }
        }
    }

    /// Copies the values as they are stored, in this machine's byte order.
    pub(crate) fn copy_native(&self, buffer: &mut AlignedBytes) {
        let size = self.stored.element.size();
        let row_bytes = self.points * size;
        buffer.resize(self.positions.len() * row_bytes);
        for (index, copy) in buffer.chunks_exact_mut(row_bytes.max(1)).enumerate() {
            copy.copy_from_slice(self.row(index));
        }
        if self.stored.swapped {
            let part = if self.stored.element.is_complex() { size / 2 } else { size };
            buffer.chunks_exact_mut(part).for_each(<[u8]>::reverse);
        }
    }

    /// The values of the auxiliary inputs at the position of spectrum number `index`.
    pub(crate) fn auxiliary(&self, index: usize) -> Auxiliary<'a> {
        let (rows, first) = self.auxiliary;
        Auxiliary::new(rows, first + index)
    }
}

/// Rows that begin `stride` values behind each other.
pub(crate) fn view<T>(
    (rows, columns): (usize, usize),
    stride: usize,
    values: &[T],
) -> ArrayView2<'_, T> {
    let shape = (rows, columns).strides((stride, 1));
    ArrayView2::from_shape(shape, values).expect("a tile has as many values as it says")
}

/// What one thread computes with. A panic is a failure of the whole unit, after which the worker is
/// made anew.
pub trait Worker {
    /// Computes the spectra of a unit into `contribution`, which has room for them. What it holds
    /// may depend on the positions' own data alone, not on which other positions are in the
    /// unit.
    ///
    /// # Errors
    /// If none of these positions can be computed: all of them are then marked as failed.
    fn compute(
        &mut self,
        unit: &RawUnit<'_>,
        contribution: &mut Contribution<'_>,
    ) -> Result<(), Failure>;

    /// Computes as [`Self::compute`] does, and tells people of each spectrum what was computed with
    /// and what its result says that it is.
    ///
    /// # Errors
    /// As above.
    fn look(
        &mut self,
        unit: &RawUnit<'_>,
        contribution: &mut Contribution<'_>,
        seen: &mut Vec<SeenSpectrum>,
    ) -> Result<(), Failure> {
        seen.extend((0..unit.len()).map(|index| unit.seen(index)));
        self.compute(unit, contribution)
    }
}

/// A spectrum as it was computed with.
#[derive(Clone, Debug)]
pub struct SeenSpectrum {
    /// Its values.
    pub data: Values,
    /// What the result says that they are, or why it says nothing.
    pub model: Result<Model, Failure>,
}

/// Some positions as they were read.
#[derive(Clone, Copy)]
pub struct RawUnit<'a> {
    /// Their numbers.
    pub positions: &'a [u64],
    /// Their rows as they were read, before corrections; [`Self::spectrum`] and its like give what
    /// is to be computed with.
    pub rows: &'a ReadRows<'a>,
    /// What the rows hold.
    pub stored: StoredType,
    /// How many spectra a row holds.
    pub spectra_per_position: usize,
    /// Values in one spectrum.
    pub spectrum_length: usize,
    /// Lengths of the axes of a spectrum, slowest first; they multiply to `spectrum_length`.
    pub spectrum_shape: &'a [usize],
    /// The rows of each auxiliary input, for all positions of the unit.
    pub auxiliary: &'a [AuxiliaryRows],
    /// What is done to all spectra alike before anybody sees them.
    pub corrections: Option<&'a Corrections>,
    /// Where the positions lie, if the kernel wants to know.
    pub axes: Option<&'a dyn PositionAxes>,
    /// What the positions have around them, if the kernel wants any of it.
    pub neighbours: Option<RawNeighbours<'a>>,
}

impl<'a> RawUnit<'a> {
    /// How many spectra there are: positions times spectra per position.
    pub fn len(&self) -> usize {
        self.rows.len() * self.spectra_per_position
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Spectrum number `index`, as it lies in memory where that is possible, else converted into
    /// `buffer`.
    #[inline]
    pub fn spectrum<'b, T: Element>(&'b self, index: usize, buffer: &'b mut Vec<T>) -> &'b [T] {
        let Some(corrections) = self.corrections else {
            return elements(self.bytes(index), self.stored, buffer);
        };
        buffer.clear();
        corrections.append((self.bytes(index), self.stored), self.place(index).1, buffer);
        buffer
    }

    /// The same in other numbers than those that the kernel wants; `None` if these aren't the very
    /// values that it would get.
    pub fn spectrum_as<'b, T: Element>(
        &'b self,
        index: usize,
        buffer: &'b mut Vec<T>,
    ) -> Option<&'b [T]> {
        self.has_values_as::<T>().then(|| self.spectrum(index, buffer))
    }

    /// Whether what the kernel gets are numbers of type `T` as well.
    fn has_values_as<T: Element>(&self) -> bool {
        self.corrections.is_none() && self.stored.element.converts_to(T::TYPE, false)
    }

    /// Spectrum number `index` where it lies, if it needs no conversion.
    #[inline]
    pub fn lying<T: Element>(&self, index: usize) -> Option<&[T]> {
        if self.corrections.is_some() { None } else { lying(self.bytes(index), self.stored) }
    }

    /// Puts some spectra into `buffer`, converted, one behind the other.
    pub fn copy<T: Element>(&self, spectra: Range<usize>, buffer: &mut Vec<T>) {
        buffer.clear();
        if let Some(corrections) = self.corrections {
            return spectra.for_each(|index| {
                let of = (self.bytes(index), self.stored);
                corrections.append(of, self.place(index).1, buffer);
            });
        }
        match self.rows.whole() {
            Some(rows) => {
                let bytes = self.spectrum_bytes();
                append(&rows[spectra.start * bytes..spectra.end * bytes], self.stored, buffer);
            }
            None => spectra.for_each(|index| append(self.bytes(index), self.stored, buffer)),
        }
    }

    /// All spectra, one behind the other.
    pub fn spectra<'b, T: Element>(&'b self, buffer: &'b mut Vec<T>) -> &'b [T] {
        let whole = self.rows.whole().filter(|_| self.corrections.is_none());
        if let Some(lying) = whole.and_then(|rows| lying(rows, self.stored)) {
            return lying;
        }
        self.copy(0..self.len(), buffer);
        buffer
    }

    /// Some channels of the spectra of all positions of the unit and of their neighbours, as they
    /// lie in memory where that is possible, else converted into `buffer`, which holds the channels
    /// `held` of them; none unless the kernel wants neighbours.
    pub fn channels<'b, T: Element>(
        &self,
        channels: Range<usize>,
        (buffer, held): (&'b mut Vec<T>, &mut Range<usize>),
    ) -> Channels<'b, T>
    where
        'a: 'b,
    {
        let Some(neighbours) = self.neighbours else { return Channels::default() };
        let all = Self { rows: neighbours.rows, neighbours: None, ..*self };
        let (whole, several) = (0..self.spectrum_length, self.spectra_per_position);
        let lie = neighbours.rows.whole().filter(|_| self.corrections.is_none());
        if let Some(lying) = lie.and_then(|rows| lying(rows, self.stored)) {
            return Channels::new((lying, whole), channels, several, neighbours);
        }
        // What a dead value becomes may lie in other channels.
        let is_whole = self.corrections.is_some_and(|corrections| !corrections.are_by_value());
        let wanted = if is_whole { whole } else { channels.clone() };
        if held.start >= held.end || held.start > wanted.start || wanted.end > held.end {
            held.clone_from(&wanted);
            all.copy_channels(wanted, buffer);
        }
        Channels::new((buffer, held.clone()), channels, several, neighbours)
    }

    /// The same in other numbers than those that the kernel wants; `None` if these aren't the very
    /// values that it would get.
    pub fn channels_as<'b, T: Element>(
        &self,
        channels: Range<usize>,
        buffer: &'b mut Vec<T>,
    ) -> Option<Channels<'b, T>>
    where
        'a: 'b,
    {
        self.has_values_as::<T>().then(|| self.channels(channels, (buffer, &mut (0..0))))
    }

    fn copy_channels<T: Element>(&self, channels: Range<usize>, buffer: &mut Vec<T>) {
        if channels == (0..self.spectrum_length) {
            return self.copy(0..self.len(), buffer);
        }
        let size = self.stored.element.size();
        let bytes = channels.start * size..channels.end * size;
        buffer.clear();
        for index in 0..self.len() {
            let of = (&self.bytes(index)[bytes.clone()], self.stored);
            self.append_values(of, (self.place(index).1, channels.start), buffer);
        }
    }

    /// Appends values of spectrum number `spectrum` of a row, from number `first` on, none of which
    /// depends on others.
    fn append_values<T: Element>(
        &self,
        (bytes, stored): (&[u8], StoredType),
        (spectrum, first): (usize, usize),
        buffer: &mut Vec<T>,
    ) {
        match self.corrections {
            Some(corrections) => {
                let first = spectrum * self.spectrum_length + first;
                corrections.append_values((bytes, stored), first, buffer);
            }
            None => append(bytes, stored, buffer),
        }
    }

    /// The values of the auxiliary inputs at the position of spectrum number `index`.
    #[inline]
    pub fn auxiliary(&self, index: usize) -> Auxiliary<'a> {
        Auxiliary::new(self.auxiliary, self.place(index).0)
    }

    /// Where spectrum number `index` was measured.
    #[inline]
    pub fn coordinates(&self, index: usize) -> Coordinates<'a> {
        Coordinates::new(self.axes, self.positions[self.place(index).0])
    }

    /// The position of a spectrum, counted from the unit's first, and which of the position's it
    /// is.
    #[inline]
    pub fn place(&self, index: usize) -> (usize, usize) {
        // Divisions would count for short spectra.
        match self.spectra_per_position {
            1 => (index, 0),
            several => (index / several, index % several),
        }
    }

    /// Spectrum number `index` as a tile with all its points, where a position has only one.
    pub(crate) fn tile(&self, index: usize, runs: &'a [PointRun]) -> RawTile<'a> {
        RawTile {
            positions: std::slice::from_ref(&self.positions[index]),
            first: 0,
            bytes: self.rows.row(index),
            stride: self.spectrum_bytes(),
            runs,
            points: self.spectrum_length,
            stored: self.stored,
            spectrum_shape: self.spectrum_shape,
            auxiliary: (self.auxiliary, index),
            corrections: self.corrections,
            axes: self.axes,
        }
    }

    /// Spectrum number `index` for people, of which no result says anything.
    pub(crate) fn seen(&self, index: usize) -> SeenSpectrum {
        let data = if self.stored.element.is_complex() {
            Values::of(self.spectrum::<Complex64>(index, &mut Vec::new()))
        } else {
            Values::of(self.spectrum::<f64>(index, &mut Vec::new()))
        };
        SeenSpectrum { data, model: Ok(Model::new()) }
    }

    #[inline]
    fn bytes(&self, index: usize) -> &[u8] {
        let (within, repeat) = self.place(index);
        let bytes = self.spectrum_bytes();
        &self.rows.row(within)[repeat * bytes..(repeat + 1) * bytes]
    }

    fn spectrum_bytes(&self) -> usize {
        self.spectrum_length * self.stored.element.size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mini_batches_are_gone_through_in_turns() {
        let batches = MiniBatches { first: 1, count: 3, epochs: 2 };
        let passes = Passes { most: 9, carried: 0, mini_batches: Some(batches) };
        let each: Vec<Option<u32>> =
            (0..9).map(|pass| passes.mini_batch(pass, pass == 8)).collect();
        let some = [0, 1, 2, 0, 1, 2].map(Some);
        assert_eq!((each[0], &each[1..7], &each[7..]), (None, &some[..], &[None, None][..]));
        let ends: Vec<u32> = (0..9).filter(|pass| passes.ends_epoch(*pass, false)).collect();
        assert_eq!(ends, [0, 3, 6, 7, 8]);
        assert_eq!(passes.epochs(), 5);
        assert!(passes.mini_batch(4, true).is_none() && passes.ends_epoch(4, true));
        let with = |most, mini_batches| Passes { most, carried: 0, mini_batches }.are_sound();
        assert!(with(8, Some(batches)) && !with(7, Some(batches)) && !with(1, None));
        assert!(!with(9, Some(MiniBatches { count: 0, ..batches })));
        assert!(!with(u32::MAX, Some(MiniBatches { count: u32::MAX, ..batches })));
    }
}
