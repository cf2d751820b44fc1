//! A kernel on a source: everything that is known before a results group is looked for.

use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::around::neighbourhood;
use super::compared::Compared;
use super::correction_paths::CorrectionPaths;
use super::corrections;
use super::data::Data;
use super::fold::Kept;
use super::fold::geometry::Geometry;
use super::inexact::{OF_BIN, OF_NEIGHBOUR, inexact};
use super::inputs::{AuxiliaryReader, InputOpener, Inputs, SpectrumLayout, lack_around};
use super::machine::available_memory;
use super::narration;
use super::pending::Pending;
use super::request::ELSEWHERE;
use super::selection::Selection;
use super::target::results_file;
use super::workers::Workers;
use super::{Cache, Request};
use crate::bins::Bins;
use crate::identity::{
    HaloIdentity, Hashed, Identity, Rounding, SelectionIdentity, is_promised, promised,
};
use crate::neighbourhood::{Around, Neighbourhood};
use crate::plan::{Plan, Reads};
use crate::source::{self, AskedAxes, RowsDigest, Source};
use crate::storage::file::ReadFile;
use crate::storage::marks::Marks;
use crate::storage::reading_ahead::AHEAD_BYTES;
use crate::storage::results_group::{Column, Folded, Place};
use crate::storage::rows::{Rows, Stored};
use pixelmill_core::axis_values::AxisValues;
use pixelmill_core::chunk_io::{AlignedBytes, ReadChunk, ReadRows};
use pixelmill_core::contribution::{Contribution, UnitResults};
use pixelmill_core::corrections::Corrections;
use pixelmill_core::dimension::Dimension;
use pixelmill_core::error::{Error, Result};
use pixelmill_core::failure::{Failure, guarded};
use pixelmill_core::inputs::ConstantArray;
use pixelmill_core::kernel::{
    AuxiliaryRows, Fold, Kernel, Means, PositionAxes, Prepared, RawUnit, SeenSpectrum, Worker,
};
use pixelmill_core::positions::{Positions, runs};

/// The part of the memory budget that reading ahead past the system's cache may take.
const AHEAD_PART: u64 = 8;

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
    pub spectrum_shape: Vec<usize>,
    pub inputs: Inputs,
    /// How the scan is cut, if the kernel folds it.
    pub geometry: Option<Geometry>,
    /// The neighbours that the kernel computes with.
    pub neighbourhood: Option<Neighbourhood>,
    /// What is done to all spectra alike, and what it was called.
    pub corrections: Option<Corrections>,
    pub corrected: CorrectionPaths,
    pub identity: Identity,
    /// Whether a value that the kernel's numbers don't have fails its position.
    is_exact: bool,
    /// What the run has to compute with, once it is planned.
    means: OnceLock<Means>,
    /// What stays in memory of the source, if the kernel goes over it several times.
    pub kept: Kept,
    /// How long computing the first position took, once that was tried.
    pub tried: OnceLock<Duration>,
    /// What was found out about earlier results.
    pub compared: Compared,
    /// The threads that this process computes with where no other rank does.
    pub workers: Workers,
    /// How many ranks compute it together.
    pub ranks: usize,
}

/// What a worker keeps from one unit to the next.
pub(crate) struct Workspace<'j> {
    worker: Box<dyn Worker + 'j>,
    rows: AlignedBytes,
    auxiliary: Vec<AuxiliaryRows>,
    /// The positions that were read last, row by row.
    positions: Vec<u64>,
    /// The same with their neighbours, if the kernel computes with any: what was read.
    around: Around,
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
    /// If kernel and source don't fit together, or an input has to be of the source's spectra and
    /// is of others.
    pub fn open(
        kernel: &Arc<dyn Kernel>,
        file: &ReadFile,
        request: &Request,
        data: &Data,
    ) -> Result<Self> {
        let job = Self::open_recorded(kernel, file, request, data)?;
        let other = job.inputs.other_spectra(&job.identity.spectra());
        match other {
            None => Ok(job),
            Some(reason) => {
                let (process, dataset) = (kernel.name().to_owned(), job.source.info.path);
                Err(Error::Unsuitable { process, dataset, reason })
            }
        }
    }

    /// The same for results that are there and say what they were computed from.
    ///
    /// # Errors
    /// If kernel and source don't fit together.
    pub fn open_recorded(
        kernel: &Arc<dyn Kernel>,
        file: &ReadFile,
        request: &Request,
        data: &Data,
    ) -> Result<Self> {
        let mut source = open_source(&**kernel, file, request)?;
        let rounding = Rounding::of(&**kernel, &source, request.allow_rounding)?;
        let results = results_file(request, &source, kernel.name());
        let asked = (&**kernel, request);
        let mut inputs = InputOpener::new(file, &results, asked, &source, data)?;
        let auxiliary_inputs = inputs.auxiliary(&**kernel, &mut source)?;
        let (process, dataset) = (kernel.name().to_owned(), source.info.path.clone());
        let unsuitable = |reason| Error::Unsuitable {
            process: process.clone(),
            dataset: dataset.clone(),
            reason,
        };
        let (spectrum, others) = source.info.along(source.seen.along);
        let own = kernel.spectra_per_position(&spectrum).max(1);
        if !spectrum.spectral_points.is_multiple_of(own) {
            let points = spectrum.spectral_points;
            return Err(unsuitable(format!("a row of {points} values can't hold {own} spectra")));
        }
        let (spectra, spectrum_shape) = (others * own, spectrum.spectrum_shape(own));
        let (shape, is_alone) = (spectrum_shape.as_slice(), spectra == 1);
        let layout = SpectrumLayout { source: &source, shape, is_alone };
        source.info.constants = constants(&mut inputs, asked, &layout)?;
        let opened = corrections::open(&mut inputs, asked, &source, &spectrum_shape)?;
        let are_rounded = opened.as_ref().is_some_and(|opened| opened.are_rounded);
        let rounding = if are_rounded { Rounding::Allowed } else { rounding };
        let opened = opened.map(|opened| (opened.corrections, opened.identity));
        let (corrections, corrected) = opened.unzip();
        source.info.is_corrected = corrections.is_some();
        let inputs = inputs.finish()?;
        let (spectrum, _) = source.info.along(source.seen.along);
        let neighbourhood = neighbourhood(&**kernel, &source, &spectrum).map_err(unsuitable)?;
        let (hashed, mut identity) =
            Hashed::new(&**kernel, (&source, &spectrum), spectra, auxiliary_inputs, rounding);
        let halo = neighbourhood.as_ref().map(Neighbourhood::halo);
        identity.neighbours = halo.map(HaloIdentity::of);
        let prepared = hashed.prepare().map_err(|failure| unsuitable(failure.to_string()))?;
        check_names(&**kernel, &*prepared).map_err(unsuitable)?;
        identity.corrections = corrected;
        let fold = fold_of(&*prepared, spectra).map_err(unsuitable)?;
        let of_fold = (&source, corrections.as_ref(), request.positions.as_ref());
        let folded = fold.map(|fold| geometry(fold, of_fold, file)).transpose()?;
        let (geometry, selection) = folded.unzip();
        if let Some((fold, selected)) = fold.zip(selection.as_ref().and_then(Option::as_ref)) {
            check_count(fold, selected).map_err(unsuitable)?;
        }
        identity.selection = selection.flatten().or(identity.selection);
        identity.source_fingerprint = data.fingerprint(&source.rows)?;
        let mut job = Self {
            kernel: Arc::clone(kernel),
            prepared,
            spectra,
            others,
            spectrum_shape,
            inputs,
            geometry,
            neighbourhood,
            corrections,
            corrected: request.corrections.clone(),
            identity,
            is_exact: rounding == Rounding::Unasked,
            means: OnceLock::new(),
            kept: Kept::default(),
            tried: OnceLock::new(),
            compared: Compared::default(),
            workers: Workers::wanted(request.cores),
            ranks: request.ranks.count(),
            source,
        };
        job.begin(request);
        Ok(job)
    }

    /// Takes bins for the positions from now on, if it makes any; says how everything is read, and
    /// has the system's cache left alone if that is asked for, or by what it couldn't keep.
    fn begin(&mut self, request: &Request) {
        if let Some(bins) = self.neighbourhood.as_ref().and_then(Neighbourhood::bins) {
            self.source.bin_positions(bins.steps());
        }
        self.inputs().for_each(|(rows, dataset, _)| narration::reading(dataset, rows));
        if request.cache == Cache::Drop {
            self.inputs().for_each(|(rows, ..)| rows.forget());
        }
        let memory = available_memory();
        let is_too_large =
            |rows: &Rows| matches!(rows.stored(), Stored::Extent(_)) && rows.bytes() > memory;
        let too_large = self.inputs().map(|(rows, ..)| rows).filter(|rows| is_too_large(rows));
        too_large.for_each(Rows::pass_by_cache);
        let budget = request.memory.unwrap_or(memory / 4 / self.ranks.max(1) as u64);
        if AHEAD_BYTES <= budget / AHEAD_PART {
            self.source.rows.fetch_ahead();
        }
    }

    /// Bytes that a worker takes that reads all of it, besides what it reads into.
    pub fn reader_bytes(&self) -> u64 {
        self.inputs().map(|(rows, ..)| rows.reader_bytes()).max().unwrap_or(0)
    }

    /// Bytes that a worker takes for each position besides its rows and results.
    pub fn kernel_bytes(&self) -> u64 {
        self.prepared.memory_per_position().saturating_mul(self.others as u64)
    }

    /// Reading ahead is the system's work, or that of a few threads past its cache: for all that is
    /// read they are told what lies so far behind it, so that the disk always has as much to do,
    /// whatever the number of workers.
    pub fn announce(&self, mut runs: impl Iterator<Item = Range<u64>>) {
        // Between runs lies what nobody may want.
        let (Some(run), None) = (runs.next(), runs.next()) else { return };
        let (source, bins) = (&self.source, self.bins());
        let each = bins.map_or(1, Bins::rows_of_each) * source.row_bytes() as u64;
        let ahead = run.start + (source.rows.distance() / each).max(1);
        if ahead >= source.info.positions {
            return;
        }
        let ahead = ahead..source.info.positions.min(ahead + run.end - run.start);
        let rows = bins.map_or_else(|| vec![ahead.clone()], |bins| bins.rows(ahead.clone()));
        rows.into_iter().for_each(|rows| source.rows.announce(rows.start, rows.end - rows.start));
    }

    /// The bins of positions that are computed as one each, if they are.
    fn bins(&self) -> Option<&Bins> {
        self.neighbourhood.as_ref()?.bins()
    }

    /// How many positions share a tile of the source, more or less; 1 where there are none.
    pub fn positions_of_tile(&self) -> u64 {
        let rows = self.source.rows.tiles().map_or(1, |tiles| tiles.cell().iter().product::<u64>());
        rows.div_ceil(self.bins().map_or(1, Bins::rows_of_each))
    }

    /// Whether it takes results that are computed at the same time, before it.
    pub fn takes_unfinished(&self) -> bool {
        let mut inputs = self.identity.auxiliary_inputs.iter();
        inputs.any(|input| is_promised(&input.fingerprint))
    }

    /// Whether the other is one of those whose results it takes while they are computed.
    pub fn takes(&self, other: &Self) -> bool {
        let theirs = promised(&other.identity.hash());
        self.identity.auxiliary_inputs.iter().any(|input| input.fingerprint == theirs)
    }

    /// Whether its own results may have been recognised by this hash while some of those that it
    /// takes weren't all there.
    pub fn was_promised(&self, hash: &str) -> bool {
        let promised = &self.inputs.promised;
        let known: Vec<usize> = (0..promised.len()).filter(|at| promised[*at].is_some()).collect();
        // Any of them, but at most this many, which nobody has.
        let subsets = 1..1u32 << known.len().min(6);
        subsets.into_iter().any(|subset| {
            let is_in = |at: usize| {
                known.iter().position(|of| *of == at).is_some_and(|bit| subset >> bit & 1 == 1)
            };
            let each = promised.iter().enumerate();
            let some: Vec<_> = each.map(|(at, text)| text.clone().filter(|_| is_in(at))).collect();
            self.identity.with_promised(&some).hash() == hash
        })
    }

    /// Bytes of the auxiliary inputs of a position, as they are handed on.
    pub fn auxiliary_bytes(&self) -> u64 {
        self.inputs.auxiliary.iter().map(AuxiliaryReader::position_bytes).sum()
    }

    /// Bytes of the tiles that a worker has of them.
    pub fn auxiliary_tile_bytes(&self) -> u64 {
        self.inputs.auxiliary.iter().map(AuxiliaryReader::tile_bytes).sum()
    }

    /// Bytes of all results of a position, with what tells that it is done.
    pub fn results_bytes(&self) -> u64 {
        self.column_bytes().sum::<usize>() as u64 + 2
    }

    /// Bytes that a worker takes for each row of a unit besides, if it computes with neighbours.
    pub fn neighbour_bytes(&self) -> u64 {
        if self.neighbourhood.is_none() {
            return 0;
        }
        let is_whole = !self.corrections.as_ref().is_none_or(Corrections::are_by_value);
        let of_kernel = self.prepared.memory_per_neighbour(is_whole);
        of_kernel.saturating_mul(self.others as u64).saturating_add(Around::HASH_BYTES)
    }

    /// How often each chunk of the source is read with this plan.
    pub fn reads(&self, plan: &Plan) -> Reads {
        match (self.source.rows.tiles(), &plan.blocks) {
            (Some(tiles), Some(blocks)) if tiles.are_indivisible() => blocks.reads(),
            _ => Reads::Times(1),
        }
    }

    /// Notes what the run has, for workers that ask.
    pub fn tell_means(&self, workers: usize, memory: u64, is_selection: bool) {
        self.means.get_or_init(|| Means { workers, memory: Some(memory), is_selection });
    }

    fn worker(&self) -> Box<dyn Worker + '_> {
        let alone = || Means { workers: self.workers.cores(), memory: None, is_selection: true };
        self.prepared.worker_with(&self.means.get().copied().unwrap_or_else(alone))
    }

    /// What a thread computes with.
    pub fn workspace(&self) -> Workspace<'_> {
        Workspace {
            worker: self.worker(),
            rows: AlignedBytes::default(),
            auxiliary: self.inputs.auxiliary.iter().map(AuxiliaryReader::room).collect(),
            positions: Vec::new(),
            around: Around::default(),
            damaged: Vec::new(),
            digest: RowsDigest::default(),
            results: UnitResults::default(),
        }
    }

    /// Everything that is read for each position, the source first: its rows, its path and its
    /// fingerprint.
    pub fn inputs(&self) -> impl Iterator<Item = (&Rows, &str, &str)> {
        let identity = &self.identity;
        let info = &self.source.info;
        let source = (&self.source.rows, &*info.path, &*identity.source_fingerprint);
        let names = info.auxiliary.iter().zip(&identity.auxiliary_inputs);
        let auxiliary = self.inputs.auxiliary.iter().zip(names);
        std::iter::once(source).chain(
            auxiliary.map(|(input, (info, of))| (input.rows(), &*info.path, &*of.fingerprint)),
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
        let rows = match &self.neighbourhood {
            None => self.read_alone(source, positions, workspace)?,
            Some(of) => self.read_with_neighbours(source, of, workspace)?,
        };
        let Workspace { positions: numbers, digest, auxiliary, damaged, .. } = workspace;
        for (number, (input, rows)) in self.inputs.auxiliary.iter().zip(auxiliary).enumerate() {
            let bytes = input.read(positions, rows, damaged)?;
            let each = bytes.chunks_exact(input.rows().row_bytes());
            digest.add_rows(number + 1, numbers.iter().copied(), each);
        }
        // A position fails once, for what was found first.
        workspace.damaged.sort_by_key(|(index, _)| *index);
        workspace.damaged.dedup_by_key(|(index, _)| *index);
        Ok(rows)
    }

    fn read_alone<'a>(
        &self,
        source: &'a dyn ReadChunk,
        positions: &[Range<u64>],
        workspace: &mut Workspace<'_>,
    ) -> Result<ReadRows<'a>> {
        let Workspace { rows, positions: numbers, damaged, digest, .. } = workspace;
        let rows = self.read_rows(source, (positions, numbers), std::mem::take(rows), damaged)?;
        *digest = digest_of(&rows, numbers, damaged);
        self.check_exact((&rows, ""), damaged);
        Ok(rows)
    }

    /// Reads each row once that is a position's or a neighbour's. Positions with a damaged
    /// neighbour are damaged as well.
    fn read_with_neighbours<'a>(
        &self,
        source: &'a dyn ReadChunk,
        of: &Neighbourhood,
        workspace: &mut Workspace<'_>,
    ) -> Result<ReadRows<'a>> {
        let Workspace { rows, positions, around, damaged, digest, .. } = workspace;
        of.around(positions, around);
        let read: Vec<Range<u64>> = runs::of_positions(&around.positions).collect();
        let mut lost = Vec::new();
        let of_all = (read.as_slice(), around.positions.as_slice());
        let rows = self.read_rows(source, of_all, std::mem::take(rows), &mut lost)?;
        *digest = around.digest(positions, &rows, &lost);
        let whose = if of.bins().is_some() { OF_BIN } else { OF_NEIGHBOUR };
        self.check_exact((&rows, whose), &mut lost);
        for (index, place, reason) in around.damaged(&lost) {
            let reason = reason.to_string();
            // Of its own row there is nothing to say.
            let told =
                if place == around.own[index] { reason.replace(OF_NEIGHBOUR, "") } else { reason };
            damaged.push((index as u64, Failure::new(told)));
        }
        Ok(rows)
    }

    /// Reads rows as they are stored; `damaged` are those, counted from 0, that can't be.
    fn read_rows<'a>(
        &self,
        source: &'a dyn ReadChunk,
        (positions, numbers): (&[Range<u64>], &[u64]),
        buffer: AlignedBytes,
        damaged: &mut Vec<(u64, Failure)>,
    ) -> Result<ReadRows<'a>> {
        let mut rows = ReadRows::new(buffer, numbers.len(), self.source.row_bytes());
        match self.prepared.read(source, positions, &mut rows) {
            Err(Error::Damaged { .. }) => {
                self.read_one_by_one(source, numbers, &mut rows, damaged)?;
            }
            other => other?,
        }
        Ok(rows)
    }

    /// Notes the positions with an integer that the process's numbers don't have.
    fn check_exact(&self, (rows, of): (&ReadRows<'_>, &str), damaged: &mut Vec<(u64, Failure)>) {
        let Some(counts) = self.exact_values() else { return };
        let stored = self.source.stored;
        let found = |index| {
            let failure = inexact((rows.row(index), stored), of, &counts, |at| at)?;
            Some((index as u64, failure))
        };
        damaged.extend((0..rows.len()).filter_map(found));
    }

    /// Which values of a row have to be looked at since the kernel's numbers may not have them;
    /// `None` if none has to be.
    pub fn exact_values(&self) -> Option<impl Fn(usize) -> bool + '_> {
        let (stored, input) = (self.source.stored, self.kernel.wants().input);
        let may_exceed = stored.element.may_exceed(input.element(), input.is_narrowing());
        let is_dead = |at| self.corrections.as_ref().is_some_and(|of| of.is_dead(at));
        let is_converted =
            self.corrections.is_some() || !self.prepared.fold().is_some_and(Fold::takes_stored);
        (self.is_exact && may_exceed && is_converted).then_some(move |at| !is_dead(at))
    }

    /// Where the positions lie, if the kernel wants to know.
    pub fn wanted_axes(&self) -> Option<&dyn PositionAxes> {
        let grid: &dyn PositionAxes = &self.source.grid;
        self.kernel.wants_coordinates().then_some(grid)
    }

    /// Bytes that a position has in each results dataset.
    pub fn column_bytes(&self) -> impl Iterator<Item = usize> {
        self.prepared.columns().iter().map(|layout| layout.missing.len() * self.spectra)
    }

    /// The results datasets that lie at these places, with the bytes per position of each.
    pub fn placed_columns(&self, places: &[Place]) -> impl Iterator<Item = (Place, usize)> {
        places.iter().cloned().zip(self.column_bytes())
    }

    /// How the scan is cut for the pass in which the kernel is, if it folds.
    pub fn geometry_of_pass(&self) -> Option<Geometry> {
        let (geometry, fold) = self.geometry.as_ref().zip(self.prepared.fold())?;
        Some(geometry.in_pass(fold, (fold.pass(), fold.is_last_pass())))
    }

    /// What all positions are folded into, if they are.
    pub fn folded(&self) -> Option<Folded<'_>> {
        let geometry = self.geometry.as_ref()?;
        self.prepared.fold().map(|fold| geometry.folded(fold))
    }

    /// Reads each position by itself, so that only those fail whose data are damaged.
    fn read_one_by_one(
        &self,
        source: &dyn ReadChunk,
        positions: &[u64],
        rows: &mut ReadRows<'_>,
        damaged: &mut Vec<(u64, Failure)>,
    ) -> Result<()> {
        let bytes = rows.bytes_mut();
        let row_bytes = bytes.len() / positions.len().max(1);
        for (index, position) in positions.iter().enumerate() {
            let row = &mut bytes[index * row_bytes..][..row_bytes];
            let mut one = ReadRows::new(AlignedBytes::default(), 1, row_bytes);
            let run = *position..position + 1;
            match self.prepared.read(source, std::slice::from_ref(&run), &mut one) {
                Err(Error::Damaged { reason, .. }) => {
                    row.fill(0);
                    damaged.push((index as u64, Failure::new(reason)));
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
        let Workspace { worker, positions, auxiliary, damaged, results, around, .. } = workspace;
        let own = self.neighbourhood.as_ref().map(|_| rows.pick(&around.own));
        let unit = RawUnit {
            positions,
            rows: own.as_ref().unwrap_or(&rows),
            neighbours: own.as_ref().map(|_| around.raw(&rows)),
            stored: self.source.stored,
            spectra_per_position: self.spectra,
            spectrum_length: self.source.info.spectral_points / self.spectra,
            spectrum_shape: &self.spectrum_shape,
            auxiliary,
            corrections: self.corrections.as_ref(),
            axes: self.wanted_axes(),
        };
        let mut contribution = results.begin(self.prepared.columns(), unit.len(), self.spectra);
        let computed = guarded(|| compute(&mut **worker, &unit, &mut contribution));
        match computed.unwrap_or_else(Err) {
            Ok(()) => contribution.finish(),
            Err(failure) => {
                // Whatever a panic left in the worker must not reach the next unit.
                *worker = self.worker();
                contribution.fail_all(&failure);
            }
        }
        contribution.fail_positions(damaged);
        workspace.rows = rows.into_buffer();
    }
}

impl Workspace<'_> {
    /// Memory for what positions have around them.
    pub fn around(&mut self) -> &mut Around {
        &mut self.around
    }

    /// Takes the memory of rows back that nothing is computed from.
    pub fn forget(&mut self, rows: ReadRows<'_>) {
        self.rows = rows.into_buffer();
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

/// The arrays for the whole run that a kernel asks for.
fn constants(
    inputs: &mut InputOpener<'_>,
    (kernel, request): (&dyn Kernel, &Request),
    layout: &SpectrumLayout<'_>,
) -> Result<Vec<ConstantArray>> {
    match kernel.constant_inputs().as_slice() {
        [] => Ok(Vec::new()),
        wanted => inputs.constants(wanted, layout, request.memory_budget(1)),
    }
}

/// How positions are folded that have so many spectra, if they are.
fn fold_of(prepared: &dyn Prepared, spectra: usize) -> Result<Option<&dyn Fold>, String> {
    match prepared.fold() {
        Some(fold) if spectra > 1 && fold.is_map() => Ok(None),
        Some(fold) if spectra > 1 && !fold.takes_several() => {
            Err("it folds whole spectra, and can't go along some of their axes".to_owned())
        }
        fold => Ok(fold),
    }
}

/// The positions that a kernel is of, if it is of some.
fn selected(
    (kernel, request): (&dyn Kernel, &Request),
    source: &Source,
    file: &ReadFile,
) -> Result<Option<Positions>> {
    if !kernel.wants_selection() {
        return Ok(None);
    }
    let none = || Error::NoSelection { process: kernel.name().to_owned() };
    let asked = request.positions.as_ref().ok_or_else(none)?;
    asked.selected(&source.grid, file)?.positions(&source.grid).map(Some)
}

/// How a source is cut for a fold of the positions that are asked for, and what these are, if they
/// aren't all.
fn geometry(
    fold: &dyn Fold,
    (source, corrections, asked): (&Source, Option<&Corrections>, Option<&Selection>),
    file: &ReadFile,
) -> Result<(Geometry, Option<SelectionIdentity>)> {
    let asked = asked.filter(|_| !fold.is_per_position());
    let selected = asked.map(|asked| asked.selected(&source.grid, file)).transpose()?;
    let nothing = Marks::prefix(0, source.info.positions);
    let wanted = Pending::new(&nothing, selected.as_ref(), &source.grid);
    let wanted = selected.as_ref().map(|_| &wanted);
    let identity = selected.as_ref().map(|selected| selected.identity(&source.grid));
    Ok((Geometry::new(fold, source, corrections, wanted)?, identity.transpose()?))
}

/// Checks that a fold gets as many positions as it takes.
fn check_count(fold: &dyn Fold, selected: &SelectionIdentity) -> Result<(), String> {
    let (least, count) = (fold.least_positions(), selected.positions);
    if count >= least {
        return Ok(());
    }
    let are = if count == 1 { "1 is" } else { &format!("{count} are") };
    Err(format!("it takes at least {least} positions with these parameters, and {are} selected"))
}

/// The source, as a kernel and a request want it.
///
/// # Errors
/// If there is none that can be computed on as it is asked for.
pub(super) fn open_source(
    kernel: &dyn Kernel,
    file: &ReadFile,
    request: &Request,
) -> Result<Source> {
    if let Some(selection) = request.positions.as_ref().filter(|of| of.is_in_another_file(file))
        && request.only_its_files
    {
        return Err(Error::selection(format!("`{selection}`: {ELSEWHERE}")));
    }
    let asked = AskedAxes {
        crop: request.crop.as_ref(),
        along: request.along.as_ref(),
        usual: kernel.wants().axes,
    };
    let named = (request.dataset.as_deref(), request.field.as_deref());
    let axes = request.positions_axes.as_deref();
    let mut source = source::open(file, named, axes, (kernel.name(), &asked))?;
    if let Some(reason) = lack_around(file, &source.info.path)? {
        let (process, dataset) = (kernel.name().to_owned(), source.info.path);
        return Err(Error::Unsuitable { process, dataset, reason });
    }
    if kernel.wants_coordinates() {
        source.read_own_values(file)?;
    }
    source.info.selected = selected((kernel, request), &source, file)?;
    Ok(source)
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

impl Rounding {
    /// What is rounded of a source, and may be if it is `allowed`, beyond what the kernel says that
    /// it doesn't mind.
    fn of(kernel: &dyn Kernel, source: &Source, allowed: bool) -> Result<Self> {
        let input = kernel.wants().input;
        let (found, wanted) = (source.stored.element, input.element());
        let by_itself = found.converts_to(wanted, input.is_narrowing());
        let can_be = by_itself || allowed && found.converts_to(wanted, true);
        if !can_be {
            let (process, dataset) = (kernel.name().to_owned(), source.info.path.clone());
            return Err(Error::Conversion { process, dataset, found, wanted });
        }
        let makes_a_difference = !by_itself || found.may_exceed(wanted, input.is_narrowing());
        Ok(if allowed && makes_a_difference { Self::Allowed } else { Self::Unasked })
    }
}
