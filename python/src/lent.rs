//! The engine's memory in Python's hands: not copied, and there as long as Python has it.

use std::any::Any;

use pixelmill::kernel::RawUnit;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use pixelmill_core::element::Element;

/// Some bytes that NumPy makes a read-only array of.
#[pyclass(frozen, module = "pixelmill._pixelmill")]
pub(crate) struct Lent {
    /// What keeps them there.
    _memory: Box<dyn Any + Send + Sync>,
    address: usize,
    length: usize,
}

#[pymethods]
impl Lent {
    /// What NumPy asks for.
    #[getter]
    fn __array_interface__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let told = PyDict::new(py);
        told.set_item("version", 3)?;
        told.set_item("typestr", "|u1")?;
        told.set_item("shape", (self.length,))?;
        told.set_item("data", (self.address, true))?;
        Ok(told)
    }
}

impl Lent {
    /// All spectra of a unit, one behind the other, where they lie if they need no conversion.
    pub fn spectra<T: Element>(unit: &RawUnit<'_>) -> Self {
        let as_is = !unit.is_empty() && unit.lying::<T>(0).is_some();
        if let Some(bytes) = unit.rows.shared().filter(|_| as_is) {
            let (address, length) = (bytes.as_ptr().expose_provenance(), bytes.len());
            return Self { _memory: Box::new(bytes), address, length };
        }
        let mut values: Vec<T> = Vec::new();
        unit.copy(0..unit.len(), &mut values);
        let bytes: &[u8] = bytemuck::cast_slice(&values);
        let (address, length) = (bytes.as_ptr().expose_provenance(), bytes.len());
        Self { _memory: Box::new(values), address, length }
    }
}
