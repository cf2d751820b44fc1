//! Before the computing: the search for earlier results, the locks, and the results group.
//!
//! Everything that changes metadata happens here, in one transaction with the file locked. What
//! is found on the way decides whether there is anything to compute at all.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::{Computed, Job, Observer, Outcome, Request, RunInfo, names_group};
use crate::error::{Error, Result};
use crate::identity::{SourceLocation, is_same, same_source};
use crate::plan::Plan;
use crate::process::{Dimension, Process};
use crate::source::same_file;
use crate::storage::file::{self, ReadFile, begin, open_read, open_read_locked};
use crate::storage::results_group::{
    self, Blueprint, BlueprintSource, LAST_RUN, Places, Provenance, results_groups,
};
use crate::storage::{attributes, lock};

/// Where results go.
pub(crate) struct Target {
    pub file: PathBuf,
    /// The source's path if results go to another file.
    source_file: Option<String>,
}

impl Target {
    /// The output file, or else the source's own.
    pub fn of(request: &Request) -> Self {
        match &request.output {
            Some(output) if !same_file(output, &request.file) => {
                let source = request.file.canonicalize().unwrap_or_else(|_| request.file.clone());
                let source_file = Some(source.to_string_lossy().into_owned());
                Self { file: output.clone(), source_file }
            }
            _ => Self { file: request.file.clone(), source_file: None },
        }
    }

    fn is_separate(&self) -> bool {
        self.source_file.is_some()
    }

    fn source_location<P: Process>(&self, job: &Job<P>) -> SourceLocation {
        SourceLocation {
            dataset: job.source.info.path.clone(),
            other_file: self.source_file.clone(),
        }
    }
}

/// The locks that a run holds on the file that it writes to.
pub(crate) struct RunLock {
    file: File,
    path: PathBuf,
    separate: bool,
}

impl RunLock {
    /// Claims the target for this run; creates an output file that isn't there.
    ///
    /// # Errors
    /// If it can't be written, another run has it, or somebody has it open for writing.
    pub fn claim(target: &Target, observer: &dyn Observer) -> Result<Self> {
        let path = &target.file;
        if target.is_separate() {
            file::create_if_absent(path)?;
        }
        let file = file::open(path, true)?;
        let run = lock::claim_run(&file, path)?;
        let shared = lock::share(&file, path)?;
        if [run, shared].contains(&lock::Locking::Unsupported) {
            observer.note(&format!(
                "{} is on a file system without locks: make sure that nobody else writes to it",
                path.display()
            ));
        }
        Ok(Self { file, path: path.clone(), separate: target.is_separate() })
    }

    /// Opens the source: the very file that is locked, or another one with a reader's lock.
    ///
    /// # Errors
    /// Those of opening.
    pub fn open_source(&self, path: &Path) -> Result<ReadFile> {
        if self.separate { open_read(path) } else { open_read_locked(path) }
    }

    /// Runs `action` while nobody else has the file open at all.
    ///
    /// # Errors
    /// If somebody has it open, and those of `action`.
    pub fn alone<T>(&self, action: impl FnOnce() -> Result<T>) -> Result<T> {
        lock::exclude(&self.file, &self.path)?;
        let result = action();
        lock::share(&self.file, &self.path)?;
        result
    }

    /// The file, for writing results.
    pub fn file(&self) -> &File {
        &self.file
    }
}

/// A results group with something to compute.
pub(crate) struct Pending {
    pub path: String,
    pub places: Places,
    pub status: Vec<u8>,
    pub failed: Vec<u8>,
    pub messages: Vec<String>,
    /// What this run computes.
    pub ranges: Vec<Range<u64>>,
    pub resumed: bool,
}

impl Pending {
    /// What observers are told.
    pub fn info<P: Process>(&self, job: &Job<P>, target: &Target, plan: &Plan) -> RunInfo {
        let info = &job.source.info;
        RunInfo {
            process: P::NAME.to_owned(),
            dataset: info.path.clone(),
            file: target.file.clone(),
            group: self.path.clone(),
            resumed: self.resumed,
            positions: info.positions,
            pending: self.count(),
            spectrum: (info.spectral_points / job.spectra, job.spectra),
            workers: plan.workers,
            memory: plan.memory,
        }
    }

    /// How many positions this run computes.
    pub fn count(&self) -> u64 {
        self.ranges.iter().map(|range| range.end - range.start).sum()
    }
}

/// What the search for earlier results found.
pub(crate) enum Found {
    /// Everything that was asked for is there.
    Complete(Box<Computed>),
    /// A group to go on with, as it is.
    Partial { path: String },
    /// A group to go on with that lacks something a run needs.
    Foreign { path: String, status: Vec<u8> },
    /// A group made just now.
    Created { path: String },
    /// Nothing that can be used.
    Nothing,
}

/// Looks for results of the same computation. Complete beats partial, newer beats older, and
/// what the user names beats both. `lock` is the run's, if there is one yet.
///
/// # Errors
/// If the group that the user names can't be used.
pub(crate) fn find<P: Process>(
    job: &Job<P>,
    request: &Request,
    target: &Target,
    source: &ReadFile,
    lock: Option<&RunLock>,
    observer: &dyn Observer,
) -> Result<Found> {
    if request.override_existing {
        return Ok(Found::Nothing);
    }
    let other;
    let file = if target.is_separate() {
        if !target.file.exists() {
            return Ok(Found::Nothing);
        }
        let open = if lock.is_some() { open_read_locked } else { open_read };
        other = open(&target.file)?;
        &other
    } else {
        source
    };
    let mut candidates = candidates(job, request, target, file, observer)?;
    candidates.sort_by_key(|candidate| candidate.number);
    let mask = mask(job, request, source)?;
    let partial = candidates.iter().rposition(|candidate| {
        pending_ranges(&candidate.pending_status(request), mask.as_deref()).is_empty()
    });
    if let Some(complete) = partial {
        let found = candidates.swap_remove(complete);
        let failed = failures(&found.failed, &found.messages);
        return Ok(Found::Complete(Box::new(Computed {
            file: target.file.clone(),
            group: found.path,
            parameter_hash: found.hash,
            outcome: Outcome::Existing,
            completed: count_done(&found.status),
            positions: found.status.len() as u64,
            failed,
            report: None,
        })));
    }
    Ok(match candidates.pop() {
        Some(newest) if newest.ready => Found::Partial { path: newest.path },
        Some(newest) => Found::Foreign { path: newest.path, status: newest.status },
        None => Found::Nothing,
    })
}

/// A results group of the same computation.
struct Candidate {
    path: String,
    number: u32,
    hash: String,
    status: Vec<u8>,
    failed: Vec<u8>,
    messages: Vec<String>,
    /// Whether it has all that a run needs, each with its place in the file.
    ready: bool,
}

impl Candidate {
    /// The status, with failed positions pending if they are to be computed again.
    fn pending_status(&self, request: &Request) -> Vec<u8> {
        reopened(&self.status, &self.failed, request.retry_failed)
    }
}

fn reopened(status: &[u8], failed: &[u8], retry: bool) -> Vec<u8> {
    let mut status = status.to_vec();
    if retry {
        for (status, _) in status.iter_mut().zip(failed).filter(|(_, failed)| **failed != 0) {
            *status = 0;
        }
    }
    status
}

fn candidates<P: Process>(
    job: &Job<P>,
    request: &Request,
    target: &Target,
    file: &ReadFile,
    observer: &dyn Observer,
) -> Result<Vec<Candidate>> {
    let location = target.source_location(job);
    let groups = results_groups(file);
    let mut usable = Vec::new();
    for group in &groups {
        let named = request.resume.as_deref().map(|wanted| names_group(&group.path, wanted));
        if named == Some(false) {
            continue;
        }
        match candidate(job, group, &location, file) {
            Ok(found) => usable.push(found),
            Err(reason) if named == Some(true) => {
                return Err(Error::CannotResume { group: group.path.clone(), reason });
            }
            Err(reason) => {
                if is_same(group, &job.identity, &location) {
                    observer.note(&format!("{} is left alone: {reason}", group.path));
                }
            }
        }
    }
    match &request.resume {
        Some(wanted) if usable.is_empty() => Err(Error::NoSuchGroup {
            file: target.file.clone(),
            group: wanted.clone(),
            known: groups.into_iter().map(|group| group.path).collect(),
        }),
        _ => Ok(usable),
    }
}

/// A group as a candidate, or the reason why it isn't one.
fn candidate<P: Process>(
    job: &Job<P>,
    found: &Provenance,
    location: &SourceLocation,
    file: &ReadFile,
) -> Result<Candidate, String> {
    if found.tool != P::NAME {
        return Err(format!("it holds results of `{}`", found.tool));
    }
    if !same_source(found, location) {
        return Err("it was computed from another dataset".to_owned());
    }
    if !is_same(found, &job.identity, location) {
        return Err("it was computed with other parameters, or from other data".to_owned());
    }
    let group = file.group(&found.path).map_err(|error| error.to_string())?;
    let status = results_group::status(&group, job.source.info.positions)
        .ok_or("nothing tells which of its positions are computed")?;
    let columns = job.columns();
    results_group::fits(&group, &columns, job.source.info.positions, job.spectra)?;
    let failed = group
        .dataset(results_group::FAILED)
        .and_then(|dataset| dataset.read_raw::<u8>())
        .unwrap_or_default();
    Ok(Candidate {
        path: found.path.clone(),
        number: found.number,
        hash: found.parameter_hash.clone().unwrap_or_default(),
        ready: found.has_status
            && found.last_pixel.is_some()
            && group.attr(LAST_RUN).is_ok()
            && results_group::places(&group, &columns).is_ok(),
        messages: results_group::messages(&group),
        status,
        failed,
    })
}

fn mask<P: Process>(
    job: &Job<P>,
    request: &Request,
    source: &ReadFile,
) -> Result<Option<Vec<bool>>> {
    request.positions.as_ref().map(|selection| selection.mask(&job.source.grid, source)).transpose()
}

/// Runs of positions that are neither done nor left out.
fn pending_ranges(status: &[u8], mask: Option<&[bool]>) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for (position, done) in status.iter().enumerate() {
        if *done != 0 || mask.is_some_and(|mask| !mask[position]) {
            continue;
        }
        let position = position as u64;
        match ranges.last_mut() {
            Some(range) if range.end == position => range.end += 1,
            _ => ranges.push(position..position + 1),
        }
    }
    ranges
}

/// How many positions are done.
pub(crate) fn count_done(status: &[u8]) -> u64 {
    status.iter().filter(|status| **status != 0).count() as u64
}

/// Failed positions with their reasons.
pub(crate) fn failures(failed: &[u8], messages: &[String]) -> Vec<(u64, String)> {
    let listed = failed.iter().enumerate().filter(|(_, line)| **line != 0);
    listed
        .map(|(position, line)| {
            let reason = messages.get(usize::from(*line)).cloned().unwrap_or_default();
            (position as u64, reason)
        })
        .collect()
}

/// Creates a results group, or completes one of another program, if need be. The caller has the
/// file alone.
///
/// # Errors
/// If the file can't be written to, or the disk is full.
pub(crate) fn make_ready<P: Process>(
    job: &Job<P>,
    target: &Target,
    source: &ReadFile,
    found: Found,
) -> Result<Found> {
    Ok(match found {
        Found::Nothing => Found::Created { path: create(job, target, source)? },
        Found::Foreign { path, status } => {
            adopt(job, target, &path, &status)?;
            Found::Partial { path }
        }
        ready => ready,
    })
}

/// Creates a results group for the whole computation; returns its path.
fn create<P: Process>(job: &Job<P>, target: &Target, source: &ReadFile) -> Result<String> {
    let info = &job.source.info;
    let (folder, name) = info.path.rsplit_once('/').unwrap_or(("", &info.path));
    let parent = if target.is_separate() || folder.is_empty() { "/" } else { folder };
    let parameters = job.identity.parameters.as_object().cloned().unwrap_or_default();
    let ancillary = &job.source.ancillary;
    let blueprint = Blueprint {
        parent,
        stem: format!("{name}-{}", P::NAME.replace('-', "_")),
        positions: info.positions,
        spectra_per_position: job.spectra,
        columns: job.columns(),
        repeats: repeats(job),
        texts: texts(job, target),
        process_version: P::VERSION,
        parameters: &parameters,
        source: if target.is_separate() {
            BlueprintSource::Elsewhere { file: source, ancillary }
        } else {
            BlueprintSource::Here { dataset: &info.path, ancillary }
        },
    };
    let transaction = begin(&target.file)?;
    let path = results_group::create(transaction.file(), &blueprint)
        .map_err(|error| transaction.error("create a results group in", &error))?;
    transaction.commit()?;
    Ok(path)
}

/// Axes that number the spectra of a position: the slow axes of a row if they multiply to that.
fn repeats<P: Process>(job: &Job<P>) -> Vec<Dimension> {
    if job.spectra == 1 {
        return Vec::new();
    }
    let axes = &job.source.info.spectroscopic_dimensions;
    let mut slow = Vec::new();
    let mut product = 1;
    for axis in axes {
        if product >= job.spectra {
            break;
        }
        product *= axis.len();
        slow.push(axis.clone());
    }
    if product == job.spectra {
        return slow;
    }
    let numbers = (0..job.spectra).map(|number| number as f64).collect();
    vec![Dimension::new("Spectrum", "", numbers)]
}

fn texts<P: Process>(job: &Job<P>, target: &Target) -> Vec<(&'static str, String)> {
    let mut texts = vec![
        ("machine_id", host()),
        ("timestamp", jiff::Zoned::now().strftime("%Y_%m_%d-%H_%M_%S").to_string()),
        ("platform", format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH)),
        ("tool", P::NAME.to_owned()),
        ("parameters", job.identity.canonical_json()),
        ("parameter_hash", job.identity.hash()),
        ("pixelmill_version", env!("CARGO_PKG_VERSION").to_owned()),
        ("source_fingerprint", job.identity.source_fingerprint.clone()),
    ];
    if let Some(file) = &target.source_file {
        texts.push(("source_file_path", file.clone()));
        texts.push(("source_dataset_path", job.source.info.path.clone()));
    }
    texts
}

/// Gives a group of another program what a run needs.
fn adopt<P: Process>(job: &Job<P>, target: &Target, path: &str, status: &[u8]) -> Result<()> {
    let transaction = begin(&target.file)?;
    results_group::adopt(transaction.file(), path, &job.columns(), status)
        .map_err(|error| transaction.error("complete a results group in", &error))?;
    transaction.commit()
}

/// Takes a group that has all it needs, and notes in it who computes.
///
/// # Errors
/// If the file can't be written to.
pub(crate) fn take<P: Process>(
    job: &Job<P>,
    request: &Request,
    target: &Target,
    source: &ReadFile,
    path: String,
    resumed: bool,
) -> Result<Pending> {
    note_run(target, &path)?;
    let file = open_read_locked(&target.file)?;
    let read = |error: hdf5::Error| Error::dataset("read", &target.file, &path, &error);
    let group = file.group(&path).map_err(read)?;
    let places = results_group::places(&group, &job.columns()).map_err(read)?;
    let failed = group.dataset(results_group::FAILED).map_err(read)?.read_raw().map_err(read)?;
    let status = results_group::status(&group, job.source.info.positions).unwrap_or_default();
    let status = reopened(&status, &failed, request.retry_failed);
    let ranges = pending_ranges(&status, mask(job, request, source)?.as_deref());
    let messages = results_group::messages(&group);
    Ok(Pending { path, places, status, failed, messages, ranges, resumed })
}

/// Host, process and beginning, in place, for whoever finds the file in use.
fn note_run(target: &Target, path: &str) -> Result<()> {
    let since = jiff::Zoned::now().strftime("%Y-%m-%d %H:%M:%S");
    let text = format!("host {}, pid {}, since {since}", host(), std::process::id());
    let transaction = begin(&target.file)?;
    transaction
        .file()
        .group(path)
        .and_then(|group| attributes::put_short_text(&group, LAST_RUN, &text))
        .map_err(|error| transaction.error("write to", &error))?;
    transaction.commit()
}

/// Name of this machine.
fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "unknown".to_owned(), |name| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pending_positions_come_in_runs() {
        let status = [1, 0, 0, 1, 0, 1, 0];
        assert_eq!(pending_ranges(&status, None), [1..3, 4..5, 6..7]);
        let mask = [true, true, false, true, true, true, false];
        assert_eq!(pending_ranges(&status, Some(&mask)), [1..2, 4..5]);
        assert!(pending_ranges(&[1; 4], None).is_empty());
    }

    #[test]
    fn failed_positions_are_pending_again_only_on_request() {
        let (status, failed) = ([1, 1, 0, 1], [0, 3, 0, 0]);
        assert_eq!(reopened(&status, &failed, false), status);
        assert_eq!(reopened(&status, &failed, true), [1, 0, 0, 1]);
    }
}
