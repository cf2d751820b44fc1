//! A process on a source: everything that is known before a results group is looked for.

use super::Request;
use crate::element::{Element, StoredType, elements};
use crate::error::{Error, Result};
use crate::identity::{AuxiliaryIdentity, Identity};
use crate::parameters::settle;
use crate::process::{AuxiliaryRows, Process, ReadChunk, Unit};
use crate::results::{ColumnLayout, Outputs, Results, UnitResults};
use crate::source::{self, Source, fingerprint, normalised};
use crate::storage::datatype::stored_type;
use crate::storage::file::ReadFile;
use crate::storage::rows::Rows;

/// A process, its parameters and its source.
pub(crate) struct Job<P: Process> {
    pub parameters: P::Parameters,
    pub source: Source,
    pub task: P::Task,
    pub results: Results<P::Output>,
    /// Spectra per position.
    pub spectra: usize,
    pub auxiliary: Vec<AuxiliaryInput>,
    pub identity: Identity,
}

/// A dataset with the same positions, read in step with the source.
pub(crate) struct AuxiliaryInput {
    rows: Rows,
    stored: StoredType,
    pub columns: usize,
}

/// What a worker keeps from one unit to the next.
pub(crate) struct Workspace<P: Process> {
    scratch: P::Scratch,
    rows: AlignedBytes,
    converted: Vec<P::Input>,
    auxiliary: Vec<AuxiliaryRows>,
    auxiliary_spectrum: Vec<Vec<f64>>,
    pub results: UnitResults,
}

impl<P: Process> Default for Workspace<P> {
    fn default() -> Self {
        Self {
            scratch: P::Scratch::default(),
            rows: AlignedBytes::default(),
            converted: Vec::new(),
            auxiliary: Vec::new(),
            auxiliary_spectrum: Vec::new(),
            results: UnitResults::default(),
        }
    }
}

/// Bytes that begin where any element may, so that they can be used without being copied.
#[derive(Default)]
struct AlignedBytes {
    words: Vec<u128>,
    length: usize,
}

impl AlignedBytes {
    fn resized(&mut self, length: usize) -> &mut [u8] {
        self.words.resize(length.div_ceil(size_of::<u128>()), 0);
        self.length = length;
        &mut bytemuck::cast_slice_mut(&mut self.words)[..length]
    }

    fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.length]
    }
}

impl<P: Process> Job<P> {
    /// Opens the source and prepares the process for it.
    ///
    /// # Errors
    /// If parameters, source and process don't fit together.
    pub fn open(parameters: &P::Parameters, file: &ReadFile, request: &Request) -> Result<Self> {
        let memory = request.memory_budget();
        let (parameters, values) = settle(P::NAME, parameters)?;
        let source = source::open(file, request.dataset.as_deref(), memory)?;
        check_element::<P>(&source)?;
        let info = &source.info;
        let spectra = P::spectra_per_position(&parameters, info).max(1);
        if !info.spectral_points.is_multiple_of(spectra) {
            let reason =
                format!("a row of {} values can't hold {spectra} spectra", info.spectral_points);
            return Err(Error::Unsuitable { process: P::NAME, dataset: info.path.clone(), reason });
        }
        let task = P::prepare(&parameters, info).map_err(|failure| Error::Unsuitable {
            process: P::NAME,
            dataset: info.path.clone(),
            reason: failure.to_string(),
        })?;
        let mut results = Results::new();
        P::create_results_datasets(&parameters, info, &mut results);
        let (auxiliary, auxiliary_inputs) =
            open_auxiliary(file, &P::auxiliary_inputs(&parameters), info.positions, memory)?;
        let identity = Identity {
            process: P::NAME.to_owned(),
            process_version: P::VERSION,
            parameters: values.into(),
            source_dataset: info.path.clone(),
            shape: [info.positions, info.spectral_points as u64],
            element_type: source.stored.element.to_string(),
            auxiliary_inputs,
            source_fingerprint: fingerprint(&source.rows, info.positions, source.row_bytes())?,
        };
        Ok(Self { parameters, task, results, spectra, auxiliary, identity, source })
    }

    /// The layouts of the results datasets.
    pub fn columns(&self) -> Vec<&ColumnLayout> {
        self.results.datasets.iter().map(|column| &column.layout).collect()
    }

    /// Reads the positions from `first` on and what belongs to them.
    ///
    /// # Errors
    /// If they can't be read.
    pub fn read(&self, first: u64, count: u64, workspace: &mut Workspace<P>) -> Result<()> {
        let bytes = count as usize * self.source.row_bytes();
        P::read_data_chunk(&self.source.rows, first, workspace.rows.resized(bytes))?;
        workspace.auxiliary.resize_with(self.auxiliary.len(), AuxiliaryRows::default);
        for (input, rows) in self.auxiliary.iter().zip(&mut workspace.auxiliary) {
            input.read(first, count, rows)?;
        }
        Ok(())
    }

    /// Computes what was read last into `workspace.results`.
    pub fn compute(&self, first: u64, count: u64, workspace: &mut Workspace<P>) {
        let spectra = count as usize * self.spectra;
        workspace.results.begin(&self.results, spectra);
        let mut unit = Unit {
            first,
            rows: workspace.rows.bytes(),
            stored: self.source.stored,
            spectra_per_position: self.spectra,
            spectrum_length: self.source.info.spectral_points / self.spectra,
            auxiliary: &workspace.auxiliary,
            buffer: &mut workspace.converted,
            auxiliary_buffer: &mut workspace.auxiliary_spectrum,
        };
        let mut outputs = Outputs {
            results: &self.results,
            unit: &mut workspace.results,
            spectra_per_position: self.spectra,
        };
        let scratch = &mut workspace.scratch;
        let computed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            P::unit_computation(&self.task, &mut unit, scratch, &mut outputs)
        }))
        .unwrap_or_else(|panic| Err(crate::process::Failure::from_panic(panic.as_ref())));
        match computed {
            Ok(()) => workspace.results.finish(&self.results, self.spectra),
            Err(failure) => {
                // Whatever a panic left in the scratch must not reach the next unit.
                workspace.scratch = P::Scratch::default();
                workspace.results.fail_all(&self.results, count, &failure);
            }
        }
    }
}

impl AuxiliaryInput {
    fn read(&self, first: u64, count: u64, into: &mut AuxiliaryRows) -> Result<()> {
        let mut bytes = vec![0; count as usize * self.columns * self.stored.element.size()];
        self.rows.read(first, &mut bytes)?;
        let mut converted = Vec::new();
        let values: &[f64] = elements(&bytes, self.stored, &mut converted);
        into.values.clear();
        into.values.extend_from_slice(values);
        into.per_position = self.columns;
        Ok(())
    }
}

fn check_element<P: Process>(source: &Source) -> Result<()> {
    let (found, wanted) = (source.stored.element, P::Input::TYPE);
    if found.converts_to(wanted, P::NARROWING) {
        return Ok(());
    }
    Err(Error::Conversion { process: P::NAME, dataset: source.info.path.clone(), found, wanted })
}

fn open_auxiliary(
    file: &ReadFile,
    paths: &[String],
    positions: u64,
    memory: u64,
) -> Result<(Vec<AuxiliaryInput>, Vec<AuxiliaryIdentity>)> {
    let (mut inputs, mut identities) = (Vec::new(), Vec::new());
    for path in paths {
        let path = normalised(path);
        let refused = |reason: String| Error::Auxiliary { dataset: path.clone(), reason };
        let dataset =
            file.dataset(&path).map_err(|_| refused("there is no such dataset".into()))?;
        let shape = dataset.shape();
        if shape.first() != Some(&(positions as usize)) {
            return Err(refused(format!(
                "its shape is {shape:?}, but there are {positions} positions"
            )));
        }
        let stored = stored_type(&dataset).map_err(|found| refused(format!("it holds {found}")))?;
        if stored.element.is_complex() {
            return Err(refused(format!(
                "it holds {}, which can't become float64",
                stored.element
            )));
        }
        let columns: usize = shape.iter().skip(1).product();
        let rows = Rows::new(&file.path, &file.raw, &dataset, memory / 8)?;
        let fingerprint = fingerprint(&rows, positions, columns * stored.element.size())?;
        inputs.push(AuxiliaryInput { rows, stored, columns });
        identities.push(AuxiliaryIdentity { dataset: path, columns, fingerprint });
    }
    Ok((inputs, identities))
}
