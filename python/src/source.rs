//! A source that Python looks at.

use std::ops::Range;

use pixelmill::engine::{Request, Spectra};
use pixelmill::process::Dimension;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde::Serialize;

use crate::errors::{as_json, guarded};
use crate::options::{request, size};

/// A source as some options have it. Its file is opened for each look.
#[pyclass(frozen, module = "pixelmill._pixelmill")]
pub(crate) struct Source {
    request: Request,
    description: String,
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

#[derive(Serialize)]
struct Axis {
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
            Ok(Self { request, description })
        })
    }

    /// What it is, as JSON.
    fn description(&self) -> &str {
        &self.description
    }

    /// The values of some positions, runs of consecutive ones, one behind the other.
    fn read<'py>(&self, py: Python<'py>, runs: Vec<(u64, u64)>) -> PyResult<Bound<'py, PyBytes>> {
        let runs: Vec<Range<u64>> = runs.into_iter().map(|(start, end)| start..end).collect();
        let spectra = guarded(py, || Spectra::open(&self.request))?;
        let bytes = guarded(py, || spectra.bytes(&runs))?;
        PyBytes::new_with(py, bytes, |values| guarded(py, || spectra.read(&runs, values)))
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
