//! Before the computing: the results group is created, or one that is there made ready.
//!
//! Everything that creates metadata happens here, in one transaction with the file locked.

use std::path::Path;

use log::{debug, info};

use super::inputs::told;
use super::search::Found;
use super::selection::Selection;
use super::target::{RunLock, Target};
use super::{Job, RunInfo};
use crate::formats::{self, Blueprint, Form, Identification, UsidPositions};
use crate::identity::relative;
use crate::plan::Plan;
use crate::ranks::host;
use crate::storage::attributes;
use crate::storage::container::Transaction;
use crate::storage::file::ReadFile;
use crate::storage::refused::Refused;
use crate::storage::results_group::{
    self, CORRECTIONS, Column, Folded, INPUTS, LAST_PIXEL, LAST_RUN, Places, create_checkpoint,
};
use pixelmill_core::error::{Error, Result};

/// A results group with something to compute.
pub(crate) struct Taken {
    pub path: String,
    pub places: Places,
    pub messages: Vec<String>,
    pub last_pixel: Option<i64>,
    /// Who computes, as the group says it.
    pub last_run: String,
    pub resumed: bool,
    /// What the group says of their data.
    pub digest_lines: Vec<String>,
}

impl Taken {
    /// Whether anything of it may be computed already.
    fn is_begun(&self) -> bool {
        let is_known = self.digest_lines.iter().any(|line| !line.is_empty());
        is_known || self.last_pixel.is_some_and(|done| done > 0)
    }

    /// What observers are told of the `pending` positions. `crew` are the workers, the ranks that
    /// they are on, and the nodes of these.
    pub fn info(
        &self,
        job: &Job,
        target: &Target,
        plan: &Plan,
        pending: u64,
        crew: (usize, usize, usize),
    ) -> RunInfo {
        let info = &job.source.info;
        let fold = job.prepared.fold();
        RunInfo {
            process: job.kernel.name().to_owned(),
            dataset: info.path.clone(),
            file: target.file.clone(),
            group: self.path.clone(),
            // A group that was made just now has nothing to go on with.
            resumed: self.resumed && self.is_begun(),
            pass: fold.and_then(|fold| Some((fold.pass() + 1, fold.passes()?.most))),
            positions: info.positions,
            pending,
            spectrum: (info.spectral_points / job.spectra, job.spectra),
            workers: crew.0,
            ranks: crew.1,
            nodes: crew.2,
            memory: plan.memory,
            reads: job.reads(plan),
            memory_for_once: plan.blocks.as_ref().map_or(0, |blocks| blocks.memory_for_once),
        }
    }
}

/// Creates a results group, or completes one of another program, if need be; `positions` are those
/// that were asked for. The caller has the file alone.
///
/// # Errors
/// If the file can't be written to, or the disk is full.
pub(crate) fn make_ready(
    (job, positions): (&Job, Option<&Selection>),
    target: &Target,
    lock: &RunLock,
    source: &ReadFile,
    found: Found,
) -> Result<Found> {
    Ok(match found {
        Found::Nothing => create((job, positions), target, lock, source)?,
        Found::Foreign { path } => {
            adopt(job, target, lock, &path)?;
            Found::Partial { path }
        }
        ready => ready,
    })
}

/// Creates a results group for the whole computation, and notes in it who computes.
fn create(
    (job, positions): (&Job, Option<&Selection>),
    target: &Target,
    lock: &RunLock,
    source: &ReadFile,
) -> Result<Found> {
    let info = &job.source.info;
    let (folder, name) = job.source.folder_and_name();
    let refers = target.source_file.is_none();
    let parent = if !refers || folder.is_empty() { "/" } else { folder };
    let parameters = job.identity.parameters.as_object().cloned().unwrap_or_default();
    let unopened = |refused: Refused| refused.on_object("read", &source.path, &info.path);
    let elsewhere = if refers { None } else { Some(source.dataset(&info.path).map_err(unopened)?) };
    let blueprint = Blueprint {
        parent,
        stem: format!("{name}-{}", job.kernel.name().replace('-', "_")),
        positions: info.positions,
        columns: job.columns(),
        constants: job.prepared.constants(),
        folded: job.folded(),
        texts: texts(job),
        provenance: provenance(job, target),
        parameters: &parameters,
        source: refers.then_some(info.path.as_str()),
        form: match &job.source.tables {
            Some(_) if job.source.is_binned => {
                Form::Usid(UsidPositions::Own(&info.position_dimensions))
            }
            Some(tables) => Form::Usid(match &elsewhere {
                Some(source) => UsidPositions::CopiedFrom(source),
                None => UsidPositions::Shared(tables),
            }),
            None => Form::Axes { positions: &info.position_dimensions, format: job.source.format },
        },
    };
    let transaction = lock.begin()?;
    let last_run = run_note(positions);
    let path = formats::create(transaction.file(), &blueprint)
        .and_then(|path| put_note(&transaction, &path, &last_run).map(|()| path))
        .map_err(|error| transaction.error("create a results group in", &error))?;
    transaction.commit()?;
    info!("{path} is created, with all of its room");
    Ok(Found::Created { path, last_run })
}

/// Where and when a group was created, and for what, and how its source was understood.
fn texts(job: &Job) -> Vec<(&'static str, String)> {
    let mut texts = vec![
        ("machine_id", host()),
        ("timestamp", jiff::Zoned::now().strftime("%Y_%m_%d-%H_%M_%S").to_string()),
        ("platform", format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH)),
        ("tool", job.kernel.name().to_owned()),
    ];
    let axes = &job.source.info.spectroscopic_dimensions;
    let binned: Vec<&str> =
        axes.iter().filter(|axis| axis.binned).map(|axis| axis.name.as_str()).collect();
    let told = [("binned_axes", binned.join(", ")), ("source_notes", job.source.notes.join("\n"))];
    texts.extend(told.into_iter().filter(|(_, text)| !text.is_empty()));
    texts
}

/// What tells a group's results from all others.
fn provenance(job: &Job, target: &Target) -> Identification {
    let mut source = Vec::new();
    if let Some(file) = &target.source_file {
        let way = relative(Path::new(file), &target.file);
        source.push(("source_file_path", file.clone()));
        source.push(("source_file_relative", way.to_string_lossy().into_owned()));
        source.push(("source_dataset_path", job.source.info.path.clone()));
    }
    source.extend(told(&job.inputs.places).map(|text| (INPUTS, text)));
    source.extend(job.corrected.told().map(|text| (CORRECTIONS, text)));
    Identification {
        source,
        hash: vec![
            ("parameters", job.identity.canonical_json()),
            ("parameter_hash", job.identity.hash()),
            ("pixelmill_version", env!("CARGO_PKG_VERSION").to_owned()),
            ("source_fingerprint", job.identity.source_fingerprint.clone()),
        ],
        process_version: job.kernel.version(),
    }
}

/// Gives a group of another program, one whose source has moved, or one that is compressed, what a
/// run needs.
fn adopt(job: &Job, target: &Target, lock: &RunLock, path: &str) -> Result<()> {
    info!("{path} gets what a run needs and its last one didn't leave");
    let transaction = lock.begin()?;
    let opened = lock.handle();
    let positions = job.source.info.positions;
    results_group::adopt(
        (transaction.file(), formats::second_names),
        opened,
        path,
        &job.columns(),
        positions,
    )
    .and_then(|()| {
        let group = transaction.file().group(path)?;
        provenance(job, target).renew(&group)?;
        let checkpoint = job.folded().and_then(|folded| folded.checkpoint);
        checkpoint.map_or(Ok(()), |bytes| create_checkpoint(&group, bytes))
    })
    .map_err(|error| transaction.error("complete a results group in", &error))?;
    transaction.commit()
}

/// Says of results that are there already what they are recognised by.
///
/// # Errors
/// If the file can't be written to.
pub(crate) fn identify(job: &Job, target: &Target, lock: &RunLock, path: &str) -> Result<()> {
    let transaction = lock.begin()?;
    let group = transaction.file().group(path);
    group
        .and_then(|group| provenance(job, target).replace(&group))
        .map_err(|error| transaction.error("write to", &error))?;
    transaction.commit()
}

/// Takes a group that has all it needs, and notes in it who computes, unless that is `noted`.
///
/// # Errors
/// If the file can't be written to.
pub(crate) fn take(
    job: &Job,
    lock: &RunLock,
    path: String,
    (noted, positions): (Option<String>, Option<&Selection>),
) -> Result<Taken> {
    let resumed = noted.is_none();
    let last_run = noted.map_or_else(|| note_run(lock, &path, positions), Ok)?;
    let datasets = (&*job.columns(), job.folded());
    Ok(Taken { last_run, resumed, ..look(job, lock, path, (datasets.0, datasets.1.as_ref()))? })
}

/// A group as it is, before anybody computes it, with the places of some of its results.
///
/// # Errors
/// If it lacks something that a run needs.
pub(crate) fn look(
    job: &Job,
    lock: &RunLock,
    path: String,
    (columns, folded): (&[Column<'_>], Option<&Folded<'_>>),
) -> Result<Taken> {
    let file = lock.view()?;
    let group =
        file.group(&path).map_err(|refused| refused.on_object("read", lock.path(), &path))?;
    let positions = job.source.info.positions;
    let places = results_group::places(&group, lock.file(), (columns, folded), positions)
        .map_err(|reason| Error::CannotResume { group: path.clone(), reason: reason.into() })?;
    debug!("{path}: {} results datasets lie at fixed places", columns.len());
    Ok(Taken {
        places,
        messages: results_group::messages(&group),
        digest_lines: results_group::digest_lines(&group),
        last_pixel: attributes::integer(&group, LAST_PIXEL),
        last_run: String::new(),
        resumed: true,
        path,
    })
}

/// Bytes of a selection that a note tells at most: the attribute has room for no more.
const TOLD: usize = 36;

/// Host, process, the positions that were asked for if not all were, and beginning.
fn run_note(positions: Option<&Selection>) -> String {
    let since = jiff::Zoned::now().strftime("%Y-%m-%d %H:%M:%S");
    let mut told = positions.map(|asked| format!(", positions {asked}")).unwrap_or_default();
    if told.len() > TOLD {
        let ends = told.char_indices().map(|(end, _)| end);
        told.truncate(ends.take_while(|end| *end <= TOLD).last().unwrap_or(0));
        told.push('…');
    }
    format!("host {}, pid {}{told}, since {since}", host(), std::process::id())
}

fn put_note(transaction: &Transaction, path: &str, text: &str) -> Result<(), Refused> {
    let group = transaction.file().group(path)?;
    attributes::put_short_text(&group, LAST_RUN, text)
}

/// Notes in a group who computes, in place, for whoever finds the file in use.
fn note_run(lock: &RunLock, path: &str, positions: Option<&Selection>) -> Result<String> {
    let text = run_note(positions);
    let transaction = lock.begin()?;
    put_note(&transaction, path, &text).map_err(|error| transaction.error("write to", &error))?;
    transaction.commit()?;
    Ok(text)
}
