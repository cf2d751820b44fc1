//! A kernel on a source: everything that is known before a results group is looked for.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::Request;
use super::compared::Compared;
use super::narration;
use super::target::results_file;
use super::workers::Workers;
use crate::identity::{AuxiliaryIdentity, Hashed, Identity};
use crate::region;
use crate::source::{self, AskedAxes, RowsDigest, Source, fingerprint, normalised};
use crate::storage::file::{ReadFile, is_absent, open_read};
use crate::storage::file_state::FileId;
use crate::storage::lock;
use crate::storage::results_group::Column;
use crate::storage::rows::Rows;
use crate::view::View;
use pixelmill_core::axis_values::AxisValues;
use pixelmill_core::chunk_io::{AlignedBytes, ReadChunk, ReadRows};
use pixelmill_core::contribution::{Contribution, UnitResults};
use pixelmill_core::dimension::Dimension;
use pixelmill_core::element::{ElementType, StoredType, elements, first_beyond};
use pixelmill_core::error::{Error, Result};
use pixelmill_core::failure::{Failure, guarded};
use pixelmill_core::kernel::{AuxiliaryRows, Kernel, Prepared, RawUnit, SeenSpectrum, Worker};
use pixelmill_core::positions::runs;
use pixelmill_core::source_info::AuxiliaryInfo;

/// A kernel and its source.
pub(crate) struct Job {
    pub kernel: Arc<dyn Kernel>,
    pub prepared: Box<dyn Prepared>,
    pub source: Source,
    /// Spectra per position.
    pub spectra: usize,
    /// Those of them that axes number which the kernel isn't told of.
    others: usize,
    /// Lengths of the axes of each.
    spectrum_shape: Vec<usize>,
    pub auxiliary: Vec<AuxiliaryInput>,
    pub identity: Identity,
    /// What was found out about earlier results.
    pub compared: Compared,
    /// The threads that this process computes with where no other rank does.
    pub workers: Workers,
}

/// A dataset with the same positions, read in step with the source.
pub(crate) struct AuxiliaryInput {
    rows: Rows,
    stored: StoredType,
    pub columns: usize,
    /// Lengths of the axes of one position's values.
    shape: Vec<usize>,
}

/// Whether a job knows the data that it is opened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    /// It has their fingerprint.
    Hashed,
    /// Somebody else looks after that.
    Unseen,
}

impl Data {
    fn fingerprint(self, rows: &Rows) -> Result<String> {
        match self {
            Self::Hashed => fingerprint(rows),
            Self::Unseen => Ok(String::new()),
        }
    }
}

/// What a worker keeps from one unit to the next.
pub(crate) struct Workspace<'j> {
    worker: Box<dyn Worker + 'j>,
    rows: AlignedBytes,
    auxiliary: Vec<AuxiliaryRows>,
    /// The positions that were read last, row by row.
    positions: Vec<u64>,
    /// Those of them, counted from 0, whose data can't be read.
    damaged: Vec<(u64, Failure)>,
    /// What was read last.
    pub digest: RowsDigest,
    pub results: UnitResults,
}

impl Job {
    /// Opens the source and prepares the kernel for it.
    ///
    /// # Errors
    /// If kernel and source don't fit together.
    pub fn open(
        kernel: &Arc<dyn Kernel>,
        file: &ReadFile,
        request: &Request,
        data: Data,
    ) -> Result<Self> {
        let asked = AskedAxes {
            crop: request.crop.as_ref(),
            along: request.along.as_deref(),
            usual: kernel.wants().axes,
        };
        let (path, axes) = (request.dataset.as_deref(), request.positions_axes.as_deref());
        let mut source = source::open(file, path, axes, (kernel.name(), &asked))?;
        check_element(&**kernel, &source)?;
        let paths = kernel.auxiliary_inputs();
        let results = results_file(request, &source, kernel.name());
        let (auxiliary, auxiliary_inputs) =
            open_auxiliary((file, &results), &paths, &mut source, data)?;
        let info = &source.info;
        let unsuitable = |reason| Error::Unsuitable {
            process: kernel.name().to_owned(),
            dataset: info.path.clone(),
            reason,
        };
        let (spectrum, others) = info.along(source.seen.along);
        let own = kernel.spectra_per_position(&spectrum).max(1);
        if !spectrum.spectral_points.is_multiple_of(own) {
            let points = spectrum.spectral_points;
            return Err(unsuitable(format!("a row of {points} values can't hold {own} spectra")));
        }
        let spectra = others * own;
        let (hashed, mut identity) =
            Hashed::new(&**kernel, (&source, &spectrum), spectra, auxiliary_inputs);
        let prepared = hashed.prepare().map_err(|failure| unsuitable(failure.to_string()))?;
        check_names(&**kernel, &*prepared).map_err(unsuitable)?;
        identity.source_fingerprint = data.fingerprint(&source.rows)?;
        let (kernel, compared) = (Arc::clone(kernel), Compared::default());
        let spectrum_shape = spectrum.spectrum_shape(own);
        let workers = Workers::wanted(request.cores);
        let job = Self {
            kernel,
            prepared,
            spectra,
            others,
            spectrum_shape,
            auxiliary,
            identity,
            compared,
            workers,
            source,
        };
        job.inputs().for_each(|(rows, dataset, _)| narration::reading(dataset, rows));
        Ok(job)
    }

    /// Bytes that a worker takes for each position besides its rows and results.
    pub fn kernel_bytes(&self) -> u64 {
        self.prepared.memory_per_position().saturating_mul(self.others as u64)
    }

    /// What a thread computes with.
    pub fn workspace(&self) -> Workspace<'_> {
        Workspace {
            worker: self.prepared.worker(),
            rows: AlignedBytes::default(),
            auxiliary: Vec::new(),
            positions: Vec::new(),
            damaged: Vec::new(),
            digest: RowsDigest::default(),
            results: UnitResults::default(),
        }
    }

    /// Everything that is read, the source first: its rows, its path and its fingerprint.
    pub fn inputs(&self) -> impl Iterator<Item = (&Rows, &str, &str)> {
        let identity = &self.identity;
        let info = &self.source.info;
        let source = (&self.source.rows, &*info.path, &*identity.source_fingerprint);
        let names = info.auxiliary.iter().zip(&identity.auxiliary_inputs);
        let auxiliary = self.auxiliary.iter().zip(names);
        std::iter::once(source).chain(
            auxiliary.map(|(input, (info, of))| (&input.rows, &*info.path, &*of.fingerprint)),
        )
    }

    /// The results datasets as they are in the file.
    pub fn columns(&self) -> Vec<Column<'_>> {
        let positions = match self.source.tables {
            Some(_) => vec![self.source.info.positions as usize],
            None => self.source.grid.shape(),
        };
        let repeats = self.repeats();
        let layouts = self.prepared.columns().iter();
        layouts
            .map(|layout| {
                let axes = [repeats.as_slice(), &layout.dimensions].concat();
                let mut shape = positions.clone();
                match self.source.tables {
                    Some(_) => shape.push(layout.values_per_spectrum() * self.spectra),
                    None => shape.extend(axes.iter().map(Dimension::len)),
                }
                Column { layout, shape, positions_axes: positions.len(), axes }
            })
            .collect()
    }

    /// Axes that number the spectra of a position: the slow axes of a row if they multiply to that.
    pub fn repeats(&self) -> Vec<Dimension> {
        if self.spectra == 1 {
            return Vec::new();
        }
        let mut slow = Vec::new();
        let mut product = 1;
        for axis in &self.source.info.spectroscopic_dimensions {
            if product >= self.spectra {
                break;
            }
            product *= axis.len();
            slow.push(axis.clone());
        }
        if product == self.spectra {
            return slow;
        }
        vec![Dimension::new("Spectrum", "", AxisValues::counted(self.spectra))]
    }

    /// Reads some positions, from `source`, and what belongs to them. Positions whose data are
    /// damaged are noted: they fail when they are computed.
    ///
    /// # Errors
    /// If nothing can be read.
    pub fn read<'a>(
        &self,
        source: &'a dyn ReadChunk,
        positions: &[Range<u64>],
        workspace: &mut Workspace<'_>,
    ) -> Result<ReadRows<'a>> {
        workspace.damaged.clear();
        workspace.positions.clear();
        workspace.positions.extend(positions.iter().flat_map(Clone::clone));
        let count = workspace.positions.len();
        let buffer = std::mem::take(&mut workspace.rows);
        let mut rows = ReadRows::new(buffer, count, self.source.row_bytes());
        match self.prepared.read(source, positions, &mut rows) {
            Err(Error::Damaged { .. }) => self.read_one_by_one(source, workspace, &mut rows)?,
            other => other?,
        }
        workspace.digest = digest_of(&rows, &workspace.positions, &workspace.damaged);
        workspace.auxiliary.resize_with(self.auxiliary.len(), AuxiliaryRows::default);
        self.check_exact(&rows, &mut workspace.damaged);
        let Workspace { positions: numbers, digest, auxiliary, damaged, .. } = workspace;
        for (number, (input, rows)) in self.auxiliary.iter().zip(auxiliary).enumerate() {
            let bytes = input.read(positions, rows, damaged)?;
            let each = bytes.chunks_exact(input.rows.row_bytes());
            digest.add_rows(number + 1, numbers.iter().copied(), each);
        }
        // A position fails once, for what was found first.
        workspace.damaged.sort_by_key(|(index, _)| *index);
        workspace.damaged.dedup_by_key(|(index, _)| *index);
        Ok(rows)
    }

    /// Notes the positions with an integer that the process's numbers don't have.
    fn check_exact(&self, rows: &ReadRows<'_>, damaged: &mut Vec<(u64, Failure)>) {
        let stored = self.source.stored;
        let input = self.kernel.wants().input;
        if stored.element.may_exceed(input.element(), input.is_narrowing()) {
            let found = |index| inexact(index, rows.row(index), stored, "");
            damaged.extend((0..rows.len()).filter_map(found));
        }
    }

    /// Reads each position by itself, so that only those fail whose data are damaged.
    fn read_one_by_one(
        &self,
        source: &dyn ReadChunk,
        workspace: &mut Workspace<'_>,
        rows: &mut ReadRows<'_>,
    ) -> Result<()> {
        let bytes = rows.bytes_mut();
        let row_bytes = bytes.len() / workspace.positions.len().max(1);
        for (index, position) in workspace.positions.iter().enumerate() {
            let row = &mut bytes[index * row_bytes..][..row_bytes];
            let mut one = ReadRows::new(AlignedBytes::default(), 1, row_bytes);
            let run = *position..position + 1;
            match self.prepared.read(source, std::slice::from_ref(&run), &mut one) {
                Err(Error::Damaged { reason, .. }) => {
                    row.fill(0);
                    workspace.damaged.push((index as u64, Failure::new(reason)));
                }
                other => {
                    other?;
                    row.copy_from_slice(one.row(0));
                }
            }
        }
        Ok(())
    }

    /// Computes the rows that were read last into `workspace.results`.
    pub fn compute<'j>(&'j self, rows: ReadRows<'_>, workspace: &mut Workspace<'j>) {
        self.with_worker(rows, workspace, |worker, unit, contribution| {
            worker.compute(unit, contribution)
        });
    }

    /// As `compute`; gives the spectra with what their results say of them, none if some of their
    /// data are damaged.
    pub fn look<'j>(
        &'j self,
        rows: ReadRows<'_>,
        workspace: &mut Workspace<'j>,
    ) -> Vec<SeenSpectrum> {
        let mut seen = Vec::new();
        if workspace.damaged.is_empty() {
            self.with_worker(rows, workspace, |worker, unit, contribution| {
                worker.look(unit, contribution, &mut seen)
            });
        } else {
            self.compute(rows, workspace);
        }
        seen
    }

    fn with_worker<'j>(
        &'j self,
        rows: ReadRows<'_>,
        workspace: &mut Workspace<'j>,
        compute: impl FnOnce(
            &mut (dyn Worker + 'j),
            &RawUnit<'_>,
            &mut Contribution<'_>,
        ) -> Result<(), Failure>,
    ) {
        let Workspace { worker, positions, auxiliary, damaged, results, .. } = workspace;
        let unit = RawUnit {
            positions,
            rows: &rows,
            stored: self.source.stored,
            spectra_per_position: self.spectra,
            spectrum_length: self.source.info.spectral_points / self.spectra,
            spectrum_shape: &self.spectrum_shape,
            auxiliary,
        };
        let mut contribution = results.begin(self.prepared.columns(), unit.len(), self.spectra);
        let computed = guarded(|| compute(&mut **worker, &unit, &mut contribution));
        match computed.unwrap_or_else(Err) {
            Ok(()) => contribution.finish(),
            Err(failure) => {
                // Whatever a panic left in the worker must not reach the next unit.
                *worker = self.prepared.worker();
                contribution.fail_all(&failure);
            }
        }
        contribution.fail_positions(damaged);
        workspace.rows = rows.into_buffer();
    }
}

impl Workspace<'_> {
    /// Takes the memory of rows back that nothing is computed from.
    pub fn forget(&mut self, rows: ReadRows<'_>) {
        self.rows = rows.into_buffer();
    }
}

impl AuxiliaryInput {
    /// Its rows.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// Bytes that a worker needs to read it, besides its rows.
    pub fn tile_bytes(&self) -> u64 {
        self.rows.memory_alone()
    }

    /// Bytes that the table of its chunks takes.
    pub fn table_bytes(&self) -> u64 {
        self.rows.table_bytes()
    }

    /// Reads the rows of some positions, and returns their bytes as they are stored; those with an
    /// integer that `f64` hasn't are noted as damaged.
    fn read(
        &self,
        positions: &[Range<u64>],
        into: &mut AuxiliaryRows,
        damaged: &mut Vec<(u64, Failure)>,
    ) -> Result<Vec<u8>> {
        let mut bytes = vec![0; runs::count(positions) as usize * self.rows.row_bytes()];
        self.rows.read_into(positions, &mut bytes)?;
        if self.stored.element.may_exceed(ElementType::Float64, false) {
            let rows = bytes.chunks_exact(self.rows.row_bytes()).enumerate();
            let of = " of an auxiliary input";
            damaged.extend(rows.filter_map(|(index, row)| inexact(index, row, self.stored, of)));
        }
        let mut converted = Vec::new();
        let values: &[f64] = elements(&bytes, self.stored, &mut converted);
        into.values.clear();
        into.values.extend_from_slice(values);
        into.per_position = self.columns;
        into.shape.clone_from(&self.shape);
        Ok(bytes)
    }
}

/// The digest of the rows of some positions, of which those that are `damaged`, counted from 0,
/// have none.
fn digest_of(rows: &ReadRows<'_>, positions: &[u64], damaged: &[(u64, Failure)]) -> RowsDigest {
    let mut digest = RowsDigest::default();
    if damaged.is_empty() {
        let each = (0..rows.len()).map(|index| rows.row(index));
        digest.add_rows(0, positions.iter().copied(), each);
        return digest;
    }
    let mut damaged = damaged.iter().peekable();
    for (index, position) in positions.iter().enumerate() {
        match damaged.next_if(|(at, _)| *at == index as u64) {
            Some(_) => digest.add_damaged(*position),
            None => digest.add_rows(0, [*position], [rows.row(index)]),
        }
    }
    digest
}

/// Why a row can't be converted, if it holds an integer that double precision hasn't.
fn inexact(index: usize, row: &[u8], stored: StoredType, of: &str) -> Option<(u64, Failure)> {
    let (point, value) = first_beyond(row, stored)?;
    let reason = format!("{value} at point {point}{of} is beyond 2^53: float64 can't hold it");
    Some((index as u64, Failure::new(reason)))
}

/// Whether what a kernel is called and declares can be in a file.
fn check_names(kernel: &dyn Kernel, prepared: &dyn Prepared) -> Result<(), String> {
    let name = kernel.name();
    if name.is_empty() || name.contains('/') {
        return Err(format!("no results group can be called `{name}`"));
    }
    match prepared.columns().iter().find(|column| column.spectrum_bytes() == 0) {
        Some(column) => Err(format!("its results dataset `{}` holds nothing", column.name)),
        None => Ok(()),
    }
}

fn check_element(kernel: &dyn Kernel, source: &Source) -> Result<()> {
    let input = kernel.wants().input;
    let (found, wanted) = (source.stored.element, input.element());
    if found.converts_to(wanted, input.is_narrowing()) {
        return Ok(());
    }
    let (process, dataset) = (kernel.name().to_owned(), source.info.path.clone());
    Err(Error::Conversion { process, dataset, found, wanted })
}

/// Opens datasets with the same positions, and notes in the source's description what they are.
/// They lie in the source's file, or else in the one that results go to.
fn open_auxiliary(
    (source_file, results): (&ReadFile, &Path),
    paths: &[String],
    source: &mut Source,
    data: Data,
) -> Result<(Vec<AuxiliaryInput>, Vec<AuxiliaryIdentity>)> {
    let (mut inputs, mut identities) = (Vec::new(), Vec::new());
    let is_source = FileId::at(results).is_ok_and(|id| id == source_file.id());
    let results = match paths.is_empty() || is_source || is_absent(results) {
        true => None,
        false => Some(open_read(results)?),
    };
    for path in paths {
        let path = normalised(path);
        let refused = |reason: String| Error::Auxiliary { dataset: path.clone(), reason };
        let is_elsewhere =
            |results: &&ReadFile| !source_file.link_exists(&path) && results.dataset(&path).is_ok();
        let file = results.as_ref().filter(is_elsewhere).unwrap_or(source_file);
        let missing = || file.broken_link(&path).unwrap_or("there is no such dataset".into());
        let dataset = file.dataset(&path).map_err(|_| refused(missing()))?;
        let shape = dataset.shape();
        let axes = position_axes(&shape, source).ok_or_else(|| {
            let positions = source.info.positions;
            refused(format!("its shape is {shape:?}, but there are {positions} positions"))
        })?;
        let (stored, fields) =
            dataset.stored_record().map_err(|found| refused(format!("it holds {found}")))?;
        if stored.element.is_complex() {
            return Err(refused(format!(
                "it holds {}, which can't become float64",
                stored.element
            )));
        }
        let of_a_record = Some(fields.len()).filter(|fields| *fields > 0);
        let own = shape.iter().copied().skip(axes).chain(of_a_record);
        let own: Vec<usize> = own.collect();
        let columns = own.iter().product();
        let own = if own.is_empty() { vec![1] } else { own };
        let view = View::new(region::lengths(&shape), (0..axes).collect());
        let rows = Rows::new(file.handle(), &dataset, view)?;
        let fingerprint = data.fingerprint(&rows)?;
        let info = AuxiliaryInfo { path, columns, fields, shape: own.clone() };
        identities.push(AuxiliaryIdentity::of(&info, &rows, stored, fingerprint));
        inputs.push(AuxiliaryInput { rows, stored, columns, shape: own });
        source.info.auxiliary.push(info);
    }
    if let Some(results) = results {
        // A run takes locks of its own on the file that it writes to, which this one would keep
        // out.
        lock::release(&results.raw, &results.path)?;
    }
    Ok((inputs, identities))
}

/// How many leading axes of an auxiliary input are positions: one, or as many as the scan has where
/// results keep its axes.
fn position_axes(shape: &[usize], source: &Source) -> Option<usize> {
    if shape.first() == Some(&(source.info.positions as usize)) {
        return Some(1);
    }
    let scan = source.grid.shape();
    (source.tables.is_none() && shape.starts_with(&scan)).then_some(scan.len())
}
