//! A reduction of Python's as a kernel that folds: the engine hands what is to be folded, and what
//! it is folded into, to whoever calls it.

use std::collections::HashMap;
use std::iter;
use std::sync::Arc;

use pixelmill::ndarray::ArrayView2;
use pixelmill::process::{AxisValues, Dimension, Failure, SourceInfo, WriteChunk};
use pixelmill::reduction::{Buffer, Buffers, Tile};
use pixelmill::{ElementType, Result};
use pixelmill_core::buffers::Declaration;
use pixelmill_core::chunk_io::AlignedBytes;
use pixelmill_core::kernel::{
    AuxiliaryInput, BufferLayout, ColumnLayout, Contribution, Fold, FoldWorker, Input, Kernel,
    Kind, Parts, Prepared, RawTile, RawUnit, SpectrumAxes, Wants, Whole, Worker,
};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::elements::each_element;
use crate::function::{Raised, gathered};
use crate::opened::Opened;

/// Spectra of so many points at most are handed over by the unit, so that there are few calls;
/// longer ones by themselves, so that a worker needs no memory for many.
const SHORT: usize = 1 << 15;

/// How often a buffer is there while Python has it: there, twice in the memory that is shared with
/// a process, and as it comes back.
const COPIES: u64 = 4;

/// Values of a tile at most.
const TILE_VALUES: u64 = 128 << 10;

/// What Python says of a reduction.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeclaredReduction {
    name: String,
    /// Everything that its results depend on, the source aside.
    parameters: Map<String, Value>,
    /// The type of the values that it gets.
    element: ElementType,
    /// What it folds at a time.
    whole: At,
    /// How many spectra each position has.
    spectra: usize,
    /// What its arrays were made for.
    opened: Opened,
    buffers: Vec<DeclaredBuffer>,
    /// Whether a unit begins with anything but zeros.
    begins: bool,
    /// Whether anything is done when a unit is folded.
    ends: bool,
    /// Whether anything is done when all units are.
    finishes: bool,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum At {
    Tile,
    Spectrum,
    Partition,
}

impl At {
    fn step(self) -> &'static str {
        match self {
            Self::Tile => "tile",
            Self::Spectrum => "spectrum",
            Self::Partition => "partition",
        }
    }

    /// How much it wants of a position that has so many spectra of so many points.
    fn whole(self, spectra: usize, points: usize) -> Whole {
        match self {
            Self::Tile if spectra == 1 => Whole::Tile,
            // Where the file cuts rows into parts, these may be parts of several spectra.
            Self::Tile => Whole::Spectrum,
            Self::Spectrum if spectra * points > SHORT => Whole::Spectrum,
            Self::Spectrum | Self::Partition => Whole::Partition,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeclaredBuffer {
    name: String,
    kind: DeclaredKind,
    role: DeclaredRole,
    element: ElementType,
    shape: Vec<usize>,
    quantity: String,
    units: String,
    /// The mask that says for which positions it is valid.
    valid_in: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum DeclaredKind {
    Position,
    Point,
    Single,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum DeclaredRole {
    Private,
    Published,
    AtEnd,
    Mask,
}

impl DeclaredBuffer {
    fn declare(&self, buffers: &mut Buffers, masks: &mut HashMap<String, Buffer<u8>>) {
        if matches!(self.role, DeclaredRole::Mask) {
            masks.insert(self.name.clone(), buffers.mask(self.name.as_str()));
            return;
        }
        let axis = |(number, length): (usize, &usize)| {
            let name = format!("{} axis {number}", self.name);
            Dimension::new(name, "", AxisValues::counted(*length))
        };
        let axes = self.shape.iter().enumerate().map(axis).collect();
        let declaration = match self.kind {
            DeclaredKind::Position => buffers.per_position(self.name.as_str()),
            DeclaredKind::Point => buffers.per_point(self.name.as_str()),
            DeclaredKind::Single => buffers.single(self.name.as_str()),
        };
        let declaration: Declaration<'_> = declaration.along(axes);
        let mask = self.valid_in.as_ref().and_then(|name| masks.get(name));
        let declaration = match mask {
            Some(mask) => declaration.valid_in(*mask),
            None => declaration,
        };
        each_element!(self.element, {
            match self.role {
                DeclaredRole::Private => declaration.private::<T>(),
                DeclaredRole::Published => declaration.published::<T>(&self.quantity, &self.units),
                DeclaredRole::AtEnd | DeclaredRole::Mask => {
                    declaration.at_end::<T>(&self.quantity, &self.units)
                }
            };
        });
    }
}

/// The kernel of a reduction.
pub(crate) struct PythonReduction {
    declared: Arc<DeclaredReduction>,
    compute: Arc<Py<PyAny>>,
    raised: Raised,
}

impl PythonReduction {
    /// A reduction as it is declared. `compute` is called with what is to be done, the numbers of
    /// the positions of some spectra, their values in one `bytes`, which points these are of, the
    /// bytes of all buffers, and those of others where two are merged, and those of the inputs; it
    /// gives the bytes of the buffers as they are then, why some spectra failed, and why all of
    /// them did.
    pub fn new(declared: DeclaredReduction, compute: Py<PyAny>, raised: Raised) -> Self {
        Self { declared: Arc::new(declared), compute: Arc::new(compute), raised }
    }
}

impl Kernel for PythonReduction {
    fn name(&self) -> &str {
        &self.declared.name
    }

    fn version(&self) -> u32 {
        1
    }

    fn parameters(&self) -> &Map<String, Value> {
        &self.declared.parameters
    }

    fn wants(&self) -> Wants {
        let input = Input::new(self.declared.element);
        Wants { input, axes: SpectrumAxes::Any, most_per_unit: None }
    }

    fn auxiliary_inputs(&self) -> Vec<AuxiliaryInput> {
        self.declared.opened.inputs()
    }

    fn prepare(&self, source: &SourceInfo) -> Result<Box<dyn Prepared>, Failure> {
        self.declared.opened.check(source)?;
        let mut buffers = Buffers::new(source);
        let mut masks = HashMap::new();
        self.declared.buffers.iter().for_each(|buffer| buffer.declare(&mut buffers, &mut masks));
        let mut layouts = buffers.into_layouts();
        let per_position = layouts.iter_mut().filter(|layout| layout.kind == Kind::PerPosition);
        per_position.for_each(|layout| layout.each *= self.declared.spectra);
        let shown = layouts.iter().filter(|layout| layout.is_column());
        Ok(Box::new(Ready {
            columns: shown.map(|layout| layout.column.clone()).collect(),
            layouts,
            inputs: source.auxiliary.iter().map(|info| info.element).collect(),
            input_bytes: self.declared.opened.bytes_beside(source),
            points: source.spectral_points,
            positions: source.positions,
            declared: Arc::clone(&self.declared),
            compute: Arc::clone(&self.compute),
            raised: self.raised.clone(),
        }))
    }
}

/// A reduction that knows its source.
struct Ready {
    layouts: Vec<BufferLayout>,
    columns: Vec<ColumnLayout>,
    /// The types of the inputs, and how many bytes they and arrays have for a position.
    inputs: Vec<ElementType>,
    input_bytes: usize,
    /// Points of a spectrum.
    points: usize,
    positions: u64,
    declared: Arc<DeclaredReduction>,
    compute: Arc<Py<PyAny>>,
    raised: Raised,
}

impl Prepared for Ready {
    fn columns(&self) -> &[ColumnLayout] {
        &self.columns
    }

    fn fold(&self) -> Option<&dyn Fold> {
        Some(self)
    }

    fn memory_per_position(&self) -> u64 {
        0
    }

    fn worker(&self) -> Box<dyn Worker + '_> {
        Box::new(NoWorker)
    }

    fn write(
        &self,
        results: &dyn WriteChunk,
        dataset: usize,
        first: u64,
        rows: &[u8],
    ) -> Result<()> {
        self.raised.check()?;
        results.write(dataset, first, rows)
    }
}

/// Folds have no results of single positions that anybody could ask for.
struct NoWorker;

impl Worker for NoWorker {
    fn compute(&mut self, _: &RawUnit<'_>, _: &mut Contribution<'_>) -> Result<(), Failure> {
        Err(Failure::new("spectra are folded, and none has a result of its own"))
    }
}

impl Fold for Ready {
    fn buffers(&self) -> &[BufferLayout] {
        &self.layouts
    }

    fn is_per_position(&self) -> bool {
        let mut layouts = self.layouts.iter();
        layouts.all(|layout| layout.kind == Kind::PerPosition && !layout.is_at_end())
    }

    fn whole(&self) -> Whole {
        self.declared.whole.whole(self.declared.spectra, self.points)
    }

    fn takes_several(&self) -> bool {
        true
    }

    fn extra_memory(&self, positions: u64) -> u64 {
        let row = (self.declared.spectra * self.points) as u64;
        let values = match self.whole() {
            Whole::Partition => positions * row,
            Whole::Tile | Whole::Spectrum => TILE_VALUES.max(row),
        };
        let inputs = positions * (self.declared.spectra * self.input_bytes) as u64;
        let bytes = |layout: &BufferLayout| match layout.kind {
            Kind::PerPosition => positions * layout.each as u64,
            Kind::PerPoint | Kind::Single => layout.bytes() as u64,
        };
        let buffers: u64 = self.layouts.iter().map(bytes).sum();
        // Each value is in Python's hands, and in the memory that is shared with a process; those
        // of inputs are put together first.
        2 * values * self.value_bytes() as u64 + 3 * inputs + COPIES * buffers
    }

    fn shared_memory(&self) -> u64 {
        let columns = || self.layouts.iter().filter(|layout| layout.is_column());
        if !columns().any(BufferLayout::is_at_end) {
            return 0;
        }
        // Results of all positions go to Python and back once, when what is folded is finished.
        COPIES * self.positions * columns().map(|layout| layout.each as u64).sum::<u64>()
    }

    fn value_bytes(&self) -> usize {
        self.declared.element.size()
    }

    fn check(&self) -> Result<()> {
        self.raised.check()
    }

    fn worker(&self) -> Box<dyn FoldWorker + '_> {
        Box::new(Caller { ready: self, copied: AlignedBytes::default() })
    }

    fn merge(&self, into: &mut Parts<'_>, from: &mut Parts<'_>) -> Result<(), Failure> {
        self.whole_call("merge", &[], into, Some(from))
    }

    fn finish(&self, all: &mut Parts<'_>) -> Result<(), Failure> {
        if self.declared.finishes { self.whole_call("finish", &[], all, None) } else { Ok(()) }
    }
}

/// What the buffers hold now, which spectra have failed, and why all of them have.
type Answer = (Vec<PyBackedBytes>, Vec<(usize, String)>, Option<String>);

/// What is folded: the values of some spectra, stretches of points, by their first and length, and
/// the values of inputs.
type Values<'v> = (&'v dyn Fn(&mut [u8]), usize, &'v [(usize, usize)], &'v [Vec<u8>]);

impl Ready {
    fn whole_call(
        &self,
        step: &str,
        positions: &[u64],
        parts: &mut Parts<'_>,
        others: Option<&mut Parts<'_>>,
    ) -> Result<(), Failure> {
        let nothing: Values<'_> = (&|_| {}, 0, &[], &[]);
        self.call(step, positions, nothing, (parts, others)).map(drop)
    }

    /// The positions of the spectra that some positions have.
    fn of_spectra(&self, positions: &[u64]) -> Vec<u64> {
        let each = positions.iter().flat_map(|at| iter::repeat_n(*at, self.declared.spectra));
        each.collect()
    }

    /// Has something done in Python; returns which spectra failed.
    fn call(
        &self,
        step: &str,
        positions: &[u64],
        (fill, length, runs, inputs): Values<'_>,
        (parts, others): (&mut Parts<'_>, Option<&mut Parts<'_>>),
    ) -> Result<Vec<(usize, String)>, Failure> {
        let called = Python::try_attach(|py| -> PyResult<Answer> {
            let bytes = |parts: &mut Parts<'_>| -> Vec<Bound<'_, PyBytes>> {
                (0..self.layouts.len()).map(|at| PyBytes::new(py, parts.bytes(at))).collect()
            };
            let values = PyBytes::new_with(py, length, |bytes| {
                fill(bytes);
                Ok(())
            })?;
            let inputs: Vec<_> = inputs.iter().map(|values| PyBytes::new(py, values)).collect();
            let given = (step, positions, values, runs, bytes(parts), others.map(bytes), inputs);
            self.compute.call1(py, given)?.extract(py)
        });
        let called = called.ok_or_else(|| Failure::new("Python has ended"))?;
        let (buffers, failed, lost) = called.map_err(|error| {
            let reason = Failure::new(error.to_string());
            self.raised.set(error);
            reason
        })?;
        if let Some(reason) = lost {
            return Err(Failure::new(reason));
        }
        for (at, bytes) in buffers.iter().enumerate() {
            let own = parts.bytes(at);
            if own.len() != bytes.len() {
                return Err(Failure::new("a buffer came back with another length"));
            }
            own.copy_from_slice(bytes);
        }
        Ok(failed)
    }
}

struct Caller<'p> {
    ready: &'p Ready,
    copied: AlignedBytes,
}

impl FoldWorker for Caller<'_> {
    fn begin(&mut self, all: &mut Parts<'_>) {
        // What goes wrong here is raised, so that nothing of the unit counts.
        if self.ready.declared.begins {
            drop(self.ready.whole_call("preprocess", &[], all, None));
        }
    }

    fn fold(
        &mut self,
        raw: RawTile<'_>,
        parts: &mut Parts<'_>,
        failed: &mut Vec<(usize, Failure)>,
    ) -> Result<(), Failure> {
        self.ready.raised.check().map_err(|error| Failure::new(error.to_string()))?;
        let DeclaredReduction { spectra, whole, .. } = *self.ready.declared;
        let positions = self.ready.of_spectra(raw.positions);
        let runs: Vec<(usize, usize)> = match spectra {
            1 => raw.runs.iter().map(|run| (run.first, run.len)).collect(),
            _ => vec![(0, self.ready.points)],
        };
        let found = each_element!(self.ready.declared.element, {
            let (mut converted, mut of_tile) = (Vec::<T>::new(), Vec::new());
            let mut tile = Tile::new(raw, &mut converted, &mut self.copied, &mut of_tile);
            let inputs = gathered(&self.ready.inputs, || {
                (0..positions.len()).map(|index| tile.auxiliary(index / spectra))
            })?;
            let values: ArrayView2<'_, T> = tile.values();
            let fill = |bytes: &mut [u8]| {
                let rows = bytes.chunks_exact_mut((values.ncols() * size_of::<T>()).max(1));
                for (row, into) in values.rows().into_iter().zip(rows) {
                    let row = row.to_slice().expect("the values of a row lie side by side");
                    into.copy_from_slice(bytemuck::cast_slice(row));
                }
            };
            let length = values.len() * size_of::<T>();
            let given = (&fill as &dyn Fn(&mut [u8]), length, &runs[..], &inputs[..]);
            self.ready.call(whole.step(), &positions, given, (parts, None))?
        });
        let of_position = |(index, reason)| (index / spectra, Failure::new(reason));
        failed.extend(found.into_iter().map(of_position));
        Ok(())
    }

    fn end(&mut self, positions: &[u64], all: &mut Parts<'_>) -> Result<(), Failure> {
        if !self.ready.declared.ends {
            return Ok(());
        }
        let positions = self.ready.of_spectra(positions);
        self.ready.whole_call("postprocess", &positions, all, None)
    }
}
