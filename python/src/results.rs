//! Results that Python reads.

use pixelmill::engine;
use pixelmill::wire;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde::Serialize;

use crate::elements::each_element;
use crate::errors::{as_json, guarded};
use crate::source::Axis;

/// What came of a computation.
#[pyclass(frozen, module = "pixelmill._pixelmill")]
pub(crate) struct Computed(pub engine::Computed);

/// A results dataset.
#[derive(Serialize)]
struct Dataset {
    name: String,
    quantity: String,
    units: String,
    shape: Vec<usize>,
    fields: Vec<(Option<String>, String)>,
}

#[pymethods]
impl Computed {
    /// How it ended, as JSON.
    fn summary(&self, py: Python<'_>) -> PyResult<String> {
        guarded(py, || as_json(&wire::Run::from(&self.0)))
    }

    /// The results datasets, as JSON.
    fn datasets(&self, py: Python<'_>) -> PyResult<String> {
        guarded(py, || {
            let told = |info: engine::ResultsInfo| Dataset {
                name: info.name,
                quantity: info.quantity,
                units: info.units,
                shape: info.shape,
                fields: info.fields.into_iter().map(|(name, of)| (name, of.to_string())).collect(),
            };
            as_json(&self.0.datasets()?.into_iter().map(told).collect::<Vec<_>>())
        })
    }

    /// The axes of a results dataset, as JSON.
    fn axes(&self, py: Python<'_>, dataset: &str) -> PyResult<String> {
        guarded(py, || as_json(&self.0.axes(dataset)?.iter().map(Axis::from).collect::<Vec<_>>()))
    }

    /// Some steps of the first axis of a results dataset, or of a field of its records.
    fn part<'py>(
        &self,
        py: Python<'py>,
        dataset: &str,
        field: Option<&str>,
        start: usize,
        end: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let element = guarded(py, || self.element(dataset, field))?;
        let steps = start..end;
        each_element!(element, {
            let values: Vec<T> = guarded(py, || self.0.part(dataset, field, &steps))?;
            Ok(PyBytes::new(py, bytemuck::cast_slice(&values)))
        })
    }
}

impl Computed {
    /// The element type of a results dataset, or of a field of its records.
    fn element(
        &self,
        dataset: &str,
        field: Option<&str>,
    ) -> pixelmill::Result<pixelmill::ElementType> {
        let all = self.0.datasets()?;
        let info = all.into_iter().find(|info| info.name == dataset);
        let fields = info.map(|info| info.fields).unwrap_or_default();
        let found = fields.iter().find(|(name, _)| name.as_deref() == field);
        // What isn't there is said by who reads it.
        Ok(found.map_or(pixelmill::ElementType::Float64, |(_, element)| *element))
    }
}
