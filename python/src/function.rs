//! A function of Python's as a kernel: the engine hands units of spectra to whoever calls it.

use std::sync::{Arc, Mutex, PoisonError};

use pixelmill::kernel::{
    ABSENT, Auxiliary, AuxiliaryInput, ColumnLayout, Contribution, Edges, Halo, Input, Kernel,
    Prepared, RawNeighbours, RawUnit, SpectrumAxes, Wants, Worker,
};
use pixelmill::process::{
    AxisValues, Dimension, Failure, ReadChunk, ReadRows, SourceInfo, WriteChunk,
};
use pixelmill::{ElementType, Error, Result};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::elements::each_element;
use crate::lent::Lent;
use crate::opened::Opened;

/// What Python says of a function.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Declared {
    name: String,
    /// Everything that its results depend on, the source aside.
    parameters: Map<String, Value>,
    /// The type of the values that it gets.
    element: ElementType,
    columns: Vec<DeclaredColumn>,
    /// What its arrays were made for.
    opened: Opened,
    /// What it gets of what lies around a position.
    neighbours: Option<DeclaredNeighbours>,
    /// Bytes that it takes for a position besides.
    memory_per_position: u64,
    /// Most positions that it takes at a time.
    most_per_unit: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeclaredColumn {
    name: String,
    quantity: String,
    units: String,
    shape: Vec<usize>,
    element: ElementType,
    /// Its own axes; those that its shape tells if there are none.
    axes: Option<Vec<DeclaredAxis>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeclaredAxis {
    name: String,
    units: String,
    values: Vec<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeclaredNeighbours {
    /// How many steps to both sides on every axis of the scan, slowest first.
    reach: Vec<u32>,
    edges: Edges,
}

/// What was raised where Python computes, and isn't the fault of a position: it ends the run, in
/// which no unit is marked any more.
#[derive(Clone, Default)]
pub(crate) struct Raised(Arc<Mutex<Option<(PyErr, String)>>>);

impl Raised {
    /// Says so.
    pub fn set(&self, error: PyErr) {
        // Other ranks are told this alone, with the words of the package's own errors as they are.
        let told = Python::try_attach(|py| -> PyResult<String> {
            let own = py.import("pixelmill._errors")?.getattr("Error")?;
            let value = error.value(py);
            let is_own = value.is_instance(&own)?;
            Ok(if is_own { value.str()?.to_string() } else { error.to_string() })
        });
        let told = told.and_then(PyResult::ok).unwrap_or_else(|| error.to_string());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert((error, told));
    }

    /// What it is.
    pub fn take(&self) -> Option<PyErr> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().map(|(error, _)| error)
    }

    /// What ends the run, if there is anything.
    ///
    /// # Errors
    /// That.
    pub fn check(&self) -> Result<()> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((_, told)) => Err(Error::Function { message: told.clone() }),
            None => Ok(()),
        }
    }
}

/// The kernel of a function.
pub(crate) struct Function {
    declared: Declared,
    compute: Arc<Py<PyAny>>,
    raised: Raised,
}

impl Function {
    /// A function as it is declared. `compute` is called with the numbers of the positions of some
    /// spectra, all of these in one array of bytes, the inputs as `bytes` alike, and, if it has
    /// neighbours, with which of the spectra are each position's: its own, and those around it,
    /// −1 where there is none. It gives the results of all, dataset by dataset, and the reasons of
    /// those that failed.
    pub fn new(declared: Declared, compute: Py<PyAny>, raised: Raised) -> Self {
        Self { declared, compute: Arc::new(compute), raised }
    }
}

impl Kernel for Function {
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
        let most_per_unit = self.declared.most_per_unit;
        Wants { input, axes: SpectrumAxes::Any, most_per_unit }
    }

    fn halo(&self, _source: &SourceInfo) -> Result<Option<Halo>, Failure> {
        let window = |DeclaredNeighbours { reach, edges }: &DeclaredNeighbours| {
            let ranges: Vec<_> =
                reach.iter().map(|steps| -i64::from(*steps)..=i64::from(*steps)).collect();
            Halo::window(&ranges, *edges)
        };
        Ok(self.declared.neighbours.as_ref().map(window))
    }

    fn auxiliary_inputs(&self) -> Vec<AuxiliaryInput> {
        self.declared.opened.inputs()
    }

    fn prepare(&self, source: &SourceInfo) -> Result<Box<dyn Prepared>, Failure> {
        self.declared.opened.check(source)?;
        let element = self.declared.element;
        let columns: Vec<ColumnLayout> =
            self.declared.columns.iter().map(|column| layout(column, source)).collect();
        let inputs: Vec<ElementType> = source.auxiliary.iter().map(|info| info.element).collect();
        let beside = self.declared.opened.bytes_beside(source);
        let given = source.spectral_points * element.size() + beside;
        let results: usize = columns.iter().map(ColumnLayout::spectrum_bytes).sum();
        let around = self.declared.neighbours.as_ref().map_or(0, DeclaredNeighbours::count);
        let memory = Memory {
            // Each is here, in Python's hands, and in the memory that is shared with a process.
            per_position: 3 * (given + results) as u64
                + around.saturating_mul(source.spectral_points as u64 * element.size() as u64)
                + self.declared.memory_per_position,
            per_neighbour: if around > 0 { 3 * given as u64 } else { 0 },
        };
        let (compute, raised) = (Arc::clone(&self.compute), self.raised.clone());
        Ok(Box::new(Ready { columns, element, inputs, memory, compute, raised }))
    }
}

impl DeclaredNeighbours {
    /// How many spectra it is, the position's own among them.
    fn count(&self) -> u64 {
        self.reach.iter().map(|steps| 2 * u64::from(*steps) + 1).product()
    }
}

/// The dataset of a column. What has the shape of a spectrum has its axes.
fn layout(column: &DeclaredColumn, source: &SourceInfo) -> ColumnLayout {
    let axes = &source.spectroscopic_dimensions;
    let dimensions = if let Some(own) = &column.axes {
        let axis = |axis: &DeclaredAxis| {
            Dimension::new(axis.name.as_str(), axis.units.as_str(), axis.values.clone())
        };
        own.iter().map(axis).collect()
    } else if column.shape.iter().copied().eq(axes.iter().map(Dimension::len)) {
        axes.clone()
    } else {
        let axis = |(number, length): (usize, &usize)| {
            let name = format!("{} axis {number}", column.name);
            Dimension::new(name, "", AxisValues::counted(*length))
        };
        column.shape.iter().enumerate().map(axis).collect()
    };
    let DeclaredColumn { name, quantity, units, .. } = column;
    let layout = ColumnLayout::new(name.as_str(), quantity.as_str(), units.as_str(), dimensions);
    each_element!(column.element, layout.with::<T>(None))
}

/// Bytes that it takes, for a position and for a spectrum that is a neighbour.
struct Memory {
    per_position: u64,
    per_neighbour: u64,
}

/// A function that knows its source.
struct Ready {
    columns: Vec<ColumnLayout>,
    element: ElementType,
    /// The types of the inputs.
    inputs: Vec<ElementType>,
    memory: Memory,
    compute: Arc<Py<PyAny>>,
    raised: Raised,
}

impl Prepared for Ready {
    fn columns(&self) -> &[ColumnLayout] {
        &self.columns
    }

    fn memory_per_position(&self) -> u64 {
        self.memory.per_position
    }

    fn memory_per_neighbour(&self, _is_whole: bool) -> u64 {
        self.memory.per_neighbour
    }

    fn worker(&self) -> Box<dyn Worker + '_> {
        Box::new(Caller(self))
    }

    fn read<'a>(
        &self,
        source: &'a dyn ReadChunk,
        positions: &[std::ops::Range<u64>],
        rows: &mut ReadRows<'a>,
    ) -> Result<()> {
        self.raised.check()?;
        source.read(positions, rows)
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

/// Results of some spectra, dataset by dataset, and which have failed.
type Answer = (Vec<PyBackedBytes>, Vec<(usize, String)>);

struct Caller<'p>(&'p Ready);

impl Worker for Caller<'_> {
    fn compute(
        &mut self,
        unit: &RawUnit<'_>,
        contribution: &mut Contribution<'_>,
    ) -> Result<(), Failure> {
        // Its neighbours are computed with where they lie, the position itself among them.
        let all = unit.neighbours.map(|of| RawUnit { rows: of.rows, neighbours: None, ..*unit });
        let spectra =
            each_element!(self.0.element, Lent::spectra::<T>(all.as_ref().unwrap_or(unit)));
        let (results, failed) = self.call(unit, spectra)?;
        for index in 0..unit.len() {
            contribution.set(index, |dataset, bytes| {
                let own = results.get(dataset).and_then(|all| all.chunks(bytes.len()).nth(index));
                let own = own.filter(|own| own.len() == bytes.len());
                bytes.copy_from_slice(own.ok_or_else(|| Failure::new("there is no result"))?);
                Ok(())
            });
        }
        for (index, reason) in failed {
            contribution.fail(index, Failure::new(reason));
        }
        Ok(())
    }
}

impl Caller<'_> {
    fn call(&self, unit: &RawUnit<'_>, spectra: Lent) -> Result<Answer, Failure> {
        let inputs = gathered(&self.0.inputs, || (0..unit.len()).map(|at| unit.auxiliary(at)))?;
        let positions: Vec<u64> =
            (0..unit.len()).map(|index| unit.positions[unit.place(index).0]).collect();
        let around = around(unit);
        let called = Python::try_attach(|py| -> PyResult<Answer> {
            let inputs: Vec<_> = inputs.iter().map(|values| PyBytes::new(py, values)).collect();
            let around = around.map(|places| PyBytes::new(py, bytemuck::cast_slice(&places)));
            self.0.compute.call1(py, (positions, spectra, inputs, around))?.extract(py)
        });
        let called = called.ok_or_else(|| Failure::new("Python has ended"))?;
        called.map_err(|error| {
            let reason = Failure::new(error.to_string());
            self.0.raised.set(error);
            reason
        })
    }
}

/// Which of all spectra that were read each one of a unit is, and which lie around it.
fn around(unit: &RawUnit<'_>) -> Option<Vec<i32>> {
    let RawNeighbours { own, places, .. } = unit.neighbours?;
    let (each, several) = (places.len() / own.len().max(1), unit.spectra_per_position);
    let number = |place: &u32, repeat: usize| match *place {
        ABSENT => -1,
        place => (place as usize * several + repeat) as i32,
    };
    let of = |index: usize| {
        let (within, repeat) = unit.place(index);
        let places = &places[within * each..(within + 1) * each];
        own[within..=within].iter().chain(places).map(move |place| number(place, repeat))
    };
    Some((0..unit.len()).flat_map(of).collect())
}

/// The values of each input, of these types, for some spectra.
pub(crate) fn gathered<'a, I: Iterator<Item = Auxiliary<'a>>>(
    inputs: &[ElementType],
    spectra: impl Fn() -> I,
) -> Result<Vec<Vec<u8>>, Failure> {
    let each = |(number, element): (usize, &ElementType)| {
        let mut all = Vec::new();
        for of in spectra() {
            each_element!(
                *element,
                all.extend_from_slice(bytemuck::cast_slice(of.values::<T>(number)?))
            );
        }
        Ok(all)
    };
    inputs.iter().enumerate().map(each).collect()
}
