//! The engine for Python: what the package `pixelmill` in this folder calls.
//!
//! Structured arguments and answers go over the border as JSON, in the model of
//! [`pixelmill::wire`] where there is one, arrays as bytes. While the engine works, Python's lock
//! is free. Every error becomes an exception of the package's own, and so does a panic.

mod elements;
mod errors;
mod function;
mod lent;
mod opened;
mod options;
mod ranks;
mod reduction;
mod results;
mod running;
mod source;

use pyo3::prelude::*;

/// The engine.
#[pymodule]
mod _pixelmill {
    use std::path::PathBuf;
    use std::sync::Arc;

    use pixelmill::Cores;
    use pixelmill::Result;
    use pixelmill::cli::{self, Face};
    use pixelmill::engine::{self, Pixel, Probe, Request, inspect};
    use pixelmill::kernel::Kernel;
    use pixelmill::registry;
    use pixelmill::wire;
    use pixelmill_processes::PROCESSES;
    use pyo3::prelude::*;

    use super::errors::{as_json, guarded};
    use super::function::{Function, Raised};
    use super::options::{declaration, parameters, reduction_declaration, request};
    use super::ranks::joined;
    #[pymodule_export]
    use super::ranks::{abort, are_several, join, leave};
    use super::reduction::PythonReduction;
    #[pymodule_export]
    use super::results::Computed;
    use super::running;
    #[pymodule_export]
    use super::source::Source;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        cli::keep_map_functions_quiet();
        module.add("HAS_MPI", cfg!(feature = "mpi"))?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }

    /// The cores that there are for this process, those that are computed on unless others are
    /// asked for, and the bytes of memory that are available.
    #[pyfunction]
    fn machine() -> (usize, usize, u64) {
        let cores = [Cores::All, Cores::Polite].map(engine::cores);
        (cores[0], cores[1], engine::available_memory())
    }

    /// The processes that there are, as JSON.
    #[pyfunction]
    fn list_processes(py: Python<'_>) -> PyResult<String> {
        guarded(py, || as_json(&wire::List::of(&PROCESSES)))
    }

    /// What is in a file, as JSON.
    #[pyfunction]
    fn info(py: Python<'_>, file: PathBuf) -> PyResult<String> {
        guarded(py, || {
            let datasets = inspect::datasets(&file)?;
            let groups = inspect::groups(&file, None)?;
            let found = (datasets.as_slice(), [].as_slice());
            as_json(&wire::Info::of(&file, found, &groups, |problem| {
                cli::of_problem(problem, Face::Python)
            }))
        })
    }

    /// The results groups of a file that are called so, as JSON.
    #[pyfunction]
    fn status(py: Python<'_>, file: PathBuf, group: Option<String>) -> PyResult<String> {
        guarded(py, || {
            let groups = inspect::groups(&file, group.as_deref())?;
            as_json(&wire::Status::of(&file, &groups))
        })
    }

    /// What is told of one position, as JSON, and the bytes of its values, results by results.
    type Told = (String, Vec<Vec<u8>>);

    fn told(probe: Probe, spectrum: usize) -> Result<Told> {
        let json = as_json(&wire::Test::of(&probe, spectrum))?;
        Ok((json, probe.values.into_iter().map(|value| value.bytes).collect()))
    }

    /// Computes one position with a process and writes nothing; tells of it, with the spectrum of
    /// that number.
    #[pyfunction]
    fn test(
        py: Python<'_>,
        options: &str,
        process: &str,
        given: &str,
        at: Vec<u32>,
        spectrum: usize,
    ) -> PyResult<Told> {
        guarded(py, || {
            let runner = registry::find(&PROCESSES, process)?;
            let kernel = runner.kernel(&parameters(given)?)?;
            told(engine::test(&kernel, &request(options)?, &Pixel::Steps(at))?, spectrum)
        })
    }

    /// Computes every position that is asked for with a process. `watch` is told, as JSON, how far
    /// it is.
    #[pyfunction]
    fn run(
        py: Python<'_>,
        options: &str,
        process: &str,
        given: &str,
        watch: Option<Py<PyAny>>,
    ) -> PyResult<Computed> {
        let (kernel, request) = guarded(py, || {
            let runner = registry::find(&PROCESSES, process)?;
            Ok((runner.kernel(&parameters(given)?)?, request(options)?))
        })?;
        let request = Request { ranks: joined(py)?, ..request };
        running::compute(py, &kernel, &request, (watch.as_ref(), None, &Raised::default()))
    }

    /// Computes one position, by its number or its steps, with a function that is declared, as
    /// JSON, and called through `compute`, and writes nothing; tells of it as JSON, with the
    /// spectrum of that number.
    #[pyfunction]
    fn test_map(
        py: Python<'_>,
        options: &str,
        declared: &str,
        compute: Py<PyAny>,
        number: Option<u64>,
        at: Vec<u32>,
        spectrum: usize,
    ) -> PyResult<String> {
        let pixel = number.map_or(Pixel::Steps(at), Pixel::Number);
        let raised = Raised::default();
        let told = guarded(py, || {
            let (declared, request) = (declaration(declared)?, request(options)?);
            let kernel: Arc<dyn Kernel> =
                Arc::new(Function::new(declared, compute, raised.clone()));
            as_json(&wire::Test::of(&engine::test(&kernel, &request, &pixel)?, spectrum))
        });
        raised.take().map_or(told, Err)
    }

    /// Computes every position that is asked for with a function that is declared, as JSON, and
    /// called through `compute`, which `abandon` ends at once if it can be; `watch` as above.
    #[pyfunction]
    fn map(
        py: Python<'_>,
        options: &str,
        declared: &str,
        compute: Py<PyAny>,
        abandon: Option<Py<PyAny>>,
        watch: Option<Py<PyAny>>,
    ) -> PyResult<Computed> {
        let (declared, request) = guarded(py, || Ok((declaration(declared)?, request(options)?)))?;
        let request = Request { ranks: joined(py)?, ..request };
        let raised = Raised::default();
        let kernel: Arc<dyn Kernel> = Arc::new(Function::new(declared, compute, raised.clone()));
        running::compute(py, &kernel, &request, (watch.as_ref(), abandon.as_ref(), &raised))
    }

    /// Folds one position with a reduction that is declared and writes nothing; the rest as above.
    #[pyfunction]
    fn test_fold(
        py: Python<'_>,
        options: &str,
        declared: &str,
        compute: Py<PyAny>,
        abandon: Py<PyAny>,
        at: Vec<u32>,
        spectrum: usize,
    ) -> PyResult<Told> {
        let (declared, request) =
            guarded(py, || Ok((reduction_declaration(declared)?, request(options)?)))?;
        let raised = Raised::default();
        let kernel: Arc<dyn Kernel> =
            Arc::new(PythonReduction::new(declared, compute, raised.clone()));
        running::listening(py, (&abandon, &raised), || {
            told(engine::test(&kernel, &request, &Pixel::Steps(at))?, spectrum)
        })
    }

    /// Folds every position that is asked for by a reduction that is declared; the rest as above.
    #[pyfunction]
    fn fold(
        py: Python<'_>,
        options: &str,
        declared: &str,
        compute: Py<PyAny>,
        abandon: Option<Py<PyAny>>,
        watch: Option<Py<PyAny>>,
    ) -> PyResult<Computed> {
        let (declared, request) =
            guarded(py, || Ok((reduction_declaration(declared)?, request(options)?)))?;
        let request = Request { ranks: joined(py)?, ..request };
        let raised = Raised::default();
        let kernel: Arc<dyn Kernel> =
            Arc::new(PythonReduction::new(declared, compute, raised.clone()));
        running::compute(py, &kernel, &request, (watch.as_ref(), abandon.as_ref(), &raised))
    }
}
