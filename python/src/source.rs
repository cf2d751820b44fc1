//! A source that Python looks at.

use std::ops::Range;

use pixelmill::ElementType;
use pixelmill::engine::{Request, Spectra};
use pixelmill::process::Dimension;
use pyo3::prelude::*;
use pyo3::types::PyByteArray;
use serde::Serialize;

use crate::errors::{as_json, guarded};
use crate::options::{request, size};

/// A source as some options have it. Its file is opened for each look.
#[pyclass(frozen, module = "pixelmill._pixelmill")]
pub(crate) struct Source {
    request: Request,
    description: String,
    form: Form,
}

/// What the values of a source are like: their type, and the lengths of the axes of the scan and of
/// those of a position.
type Form = (ElementType, Vec<usize>, Vec<usize>);

fn form(spectra: &Spectra) -> Form {
    (spectra.element(), spectra.scan_shape(), spectra.shape())
}

/// What Python is told of a source.
#[derive(Serialize)]
struct Description {
    dataset: String,
    quantity: String,
    units: String,
    element_type: String,
    /// Lengths of the axes of the scan.
    scan_shape: Vec<usize>,
    /// Lengths of the axes of a position's values.
    spectrum_shape: Vec<usize>,
    position_axes: Vec<Axis>,
    spectral_axes: Vec<Axis>,
}

/// What Python is told of an axis.
#[derive(Serialize)]
pub(crate) struct Axis {
    name: String,
    units: String,
    values: Vec<f64>,
    binned: bool,
}

impl From<&Dimension> for Axis {
    fn from(axis: &Dimension) -> Self {
        let (name, units) = (axis.name.clone(), axis.units.clone());
        Self { name, units, values: axis.values.iter().collect(), binned: axis.binned }
    }
}

impl Description {
    fn of(spectra: &Spectra) -> Self {
        let info = spectra.info();
        let axes = |axes: &[Dimension]| axes.iter().map(Axis::from).collect();
        Self {
            dataset: info.path.clone(),
            quantity: info.quantity.clone(),
            units: info.units.clone(),
            element_type: spectra.element().to_string(),
            scan_shape: spectra.scan_shape(),
            spectrum_shape: spectra.shape(),
            position_axes: axes(&info.position_dimensions),
            spectral_axes: axes(&info.spectroscopic_dimensions),
        }
    }
}

#[pymethods]
impl Source {
    /// The source that some options name.
    #[new]
    fn new(py: Python<'_>, options: &str) -> PyResult<Self> {
        guarded(py, || {
            let request = request(options)?;
            let spectra = Spectra::open(&request)?;
            let description = as_json(&Description::of(&spectra))?;
            let form = form(&spectra);
            Ok(Self { request, description, form })
        })
    }

    /// What it is, as JSON.
    fn description(&self) -> &str {
        &self.description
    }

    /// The values of some positions, runs of consecutive ones, one behind the other; none if the
    /// dataset has another shape or type by now.
    fn read<'py>(
        &self,
        py: Python<'py>,
        runs: Vec<(u64, u64)>,
    ) -> PyResult<Option<Bound<'py, PyByteArray>>> {
        let runs: Vec<Range<u64>> = runs.into_iter().map(|(start, end)| start..end).collect();
        let spectra = guarded(py, || Spectra::open(&self.request))?;
        if form(&spectra) != self.form {
            return Ok(None);
        }
        let bytes = guarded(py, || spectra.bytes(&runs))?;
        let read = |values: &mut [u8]| guarded(py, || spectra.read(&runs, values));
        PyByteArray::new_with(py, bytes, read).map(Some)
    }

    /// The bytes that a memory budget means, as people write it; that of the engine if there is
    /// none.
    #[staticmethod]
    fn memory(py: Python<'_>, text: Option<String>) -> PyResult<u64> {
        guarded(py, || match text {
            Some(text) => size("memory", &text),
            None => Ok(pixelmill::engine::available_memory() / 4),
        })
    }
}
