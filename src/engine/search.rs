//! The search for earlier results: what is there decides whether there is anything to compute at
//! all.
//!
//! It only reads. What makes two computations the same is `identity`'s business.

use std::cell::OnceCell;

use log::{Level, info};

use super::evidence::{all_is_hashed, is_unchanged};
use super::failure_lines::are_settled;
use super::failures::FailedPositions;
use super::inputs::are_where_recorded;
use super::ledger::{Covered, Record};
use super::named::the_one;
use super::pending::Pending;
use super::selection::Selected;
use super::target::{RunLock, Target};
use super::{Computed, Job, Note, Observer, Outcome, Request};
use crate::identity::{
    Difference, Identity, SourceLocation, Whereabouts, first_difference, is_same, unlike,
    whereabouts_of,
};
use crate::storage::attributes::{holds_integer, holds_short_text};
use crate::storage::file::{ReadFile, is_absent, open_read};
use crate::storage::marks::{Marks, Summary};
use crate::storage::results_group::{
    self, CHECKPOINT, LAST_PIXEL, LAST_RUN, MESSAGES, Provenance, results_groups,
};
use pixelmill_core::error::{Error, Result};

/// What the search for earlier results found.
pub(crate) enum Found {
    /// Everything that was asked for is there; whether what only mirrors it is out of date, as a
    /// kill may leave it.
    Complete { computed: Box<Computed>, is_stale: bool },
    /// A group to go on with, as it is.
    Partial { path: String },
    /// A group to go on with that lacks something a run needs.
    Foreign { path: String },
    /// A group made just now.
    Created { path: String, last_run: String },
    /// Nothing that can be used.
    Nothing,
}

/// What was found, and how many positions are left to compute.
pub(crate) struct Outlook {
    pub found: Found,
    pub pending: u64,
}

/// As [`find`], for who wants to know what a run would do.
///
/// # Errors
/// As there, or if a selection can't be read.
pub(crate) fn outlook(
    job: &Job,
    (request, selected): (&Request, Option<&Selected>),
    target: &Target,
    source: &ReadFile,
    observer: &dyn Observer,
) -> Result<Outlook> {
    let best = best(job, (request, selected), target, source, None, observer)?;
    let pending = match (&best, selected) {
        (Some((_, best)), _) => best.pending(job, request, selected).count()?,
        (None, Some(selected)) => selected.count(&job.source.grid)?,
        (None, None) => job.source.info.positions,
    };
    Ok(Outlook { found: found(best, (job, target), observer)?, pending })
}

/// Looks for results of the same computation. Complete beats partial, newer beats older, and
/// what the user names beats both. `lock` is the run's, if there is one yet.
///
/// # Errors
/// If the group that the user names can't be used.
pub(crate) fn find(
    job: &Job,
    asked: (&Request, Option<&Selected>),
    target: &Target,
    source: &ReadFile,
    lock: Option<&RunLock>,
    observer: &dyn Observer,
) -> Result<Found> {
    found(best(job, asked, target, source, lock, observer)?, (job, target), observer)
}

/// The results to go on with, and whether all that is asked for is in them.
fn best(
    job: &Job,
    (request, selected): (&Request, Option<&Selected>),
    target: &Target,
    source: &ReadFile,
    lock: Option<&RunLock>,
    observer: &dyn Observer,
) -> Result<Option<(bool, Candidate)>> {
    if request.override_existing {
        job.compared.say(Level::Info, || "a new group, whatever there is, as asked".to_owned());
        return Ok(None);
    }
    let other;
    let file = if target.is_separate() {
        if is_absent(&target.file) {
            let file = target.file.display();
            job.compared.say(Level::Info, || format!("no earlier results: {file} isn't there yet"));
            return Ok(None);
        }
        other = lock.map_or_else(|| open_read(&target.file), RunLock::view)?;
        &other
    } else {
        source
    };
    let mut candidates = candidates(job, request, target, file, observer)?;
    candidates.sort_by_key(|candidate| candidate.number);
    let best = loop {
        let complete = last_complete(&candidates, job, request, selected)?;
        let Some(best) = complete.or(candidates.len().checked_sub(1)) else { break None };
        let best = candidates.remove(best);
        if best.has_its_data(job, request)? {
            break Some((complete.is_some(), best));
        }
    };
    job.compared.say(Level::Info, || match &best {
        Some((true, found)) => format!("{} has all that is asked for", found.path),
        Some((false, found)) => format!("{} is gone on with", found.path),
        None => "no earlier results can be used: a new group".to_owned(),
    });
    Ok(best)
}

/// What a run does with it.
fn found(
    best: Option<(bool, Candidate)>,
    (job, target): (&Job, &Target),
    observer: &dyn Observer,
) -> Result<Found> {
    Ok(match best {
        Some((true, found)) => {
            let computed = Box::new(found.computed((job, target))?);
            let is_stale = found.is_stale(&computed.failed)?;
            Found::Complete { computed, is_stale }
        }
        Some((_, newest)) if newest.ready => Found::Partial { path: newest.path },
        Some((_, newest)) if newest.hash.is_empty() => {
            observer.note(
                &format!(
                    "{} goes on where another program left it, which didn't record whether its \
                     data are those that are there now",
                    newest.path
                )
                .into(),
            );
            Found::Foreign { path: newest.path }
        }
        Some((_, newest)) => Found::Foreign { path: newest.path },
        None => Found::Nothing,
    })
}

/// The last of the candidates in which everything is that was asked for.
fn last_complete(
    candidates: &[Candidate],
    job: &Job,
    request: &Request,
    selected: Option<&Selected>,
) -> Result<Option<usize>> {
    for (at, candidate) in candidates.iter().enumerate().rev() {
        if candidate.pending(job, request, selected).is_empty()? {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

/// A results group of the same computation.
struct Candidate {
    path: String,
    number: u32,
    hash: String,
    status: Marks,
    summary: OnceCell<Summary>,
    failed: Option<Marks>,
    messages: Vec<String>,
    last_pixel: Option<i64>,
    /// What is known of the data that it was computed from.
    digest_lines: Vec<String>,
    /// Whether nothing is where its source was, or an input isn't where it was, so that only the
    /// data tell that these are they.
    is_gone: bool,
    /// Whether what tells how far it is has its place in the file.
    has_markers: bool,
    /// Whether it has what a fold is resumed from.
    has_checkpoint: bool,
    /// Whether it has all that a run needs, each with its place in the file.
    ready: bool,
}

impl Candidate {
    /// What is left to compute, with the failed positions if they are to be computed again.
    fn pending<'a>(
        &'a self,
        job: &'a Job,
        request: &Request,
        selected: Option<&'a Selected>,
    ) -> Pending<'a> {
        let failed = self.failed.as_ref().filter(|_| request.retry_failed);
        Pending::new(&self.status, selected, &job.source.grid).and_failed(failed)
    }

    /// What it is, in words.
    fn told(&self) -> String {
        let all = self.status.count();
        match self.summary() {
            Ok(known) => format!(
                "{} is of the same computation, with {} of {all} positions done",
                self.path, known.count
            ),
            Err(error) => format!("{} is of the same computation, but: {error}", self.path),
        }
    }

    /// What its status tells, looked up once.
    fn summary(&self) -> Result<Summary> {
        match self.summary.get() {
            Some(known) => Ok(*known),
            None => self.status.summary().map(|found| *self.summary.get_or_init(|| found)),
        }
    }

    /// Whether the data are still those that it was computed from.
    fn has_its_data(&self, job: &Job, request: &Request) -> Result<bool> {
        // Its hash says nothing of what it takes of results that weren't all there.
        let is_promised =
            job.takes_unfinished() || !self.hash.is_empty() && self.hash != job.identity.hash();
        let nobody_knows = || match is_promised {
            true => Ok(self.summary()?.count == 0),
            false => Ok(!self.is_gone || all_is_hashed(job)),
        };
        if self.digest_lines.iter().all(String::is_empty) {
            return nobody_knows();
        }
        let covered = Covered::of_marks(self.summary()?);
        let Some(record) = Record::among(&self.digest_lines, covered) else {
            return nobody_knows();
        };
        let group = (self.path.as_str(), !self.hash.is_empty() && !is_promised);
        let marked = Pending::done(&self.status, &job.source.grid);
        let check_data = request.check_data || self.is_gone || is_promised;
        let request = &Request { check_data, ..request.clone() };
        let same = is_unchanged(job, request, group, &record, &marked)?;
        if !same && request.resume.is_some() {
            let reason = "the data have changed since it was computed".into();
            return Err(Error::CannotResume { group: self.path.clone(), reason });
        }
        Ok(same)
    }

    /// Whether `last_pixel` or the lines of the `failed` positions aren't what they should be, and
    /// can be mended.
    fn is_stale(&self, failed: &FailedPositions) -> Result<bool> {
        let is_right = self.last_pixel == Some(self.summary()?.prefix as i64);
        let is_tidy = is_right && are_settled(&self.messages, failed) && !self.has_checkpoint;
        Ok(self.has_markers && !is_tidy)
    }

    /// As results that were there before.
    fn computed(&self, (job, target): (&Job, &Target)) -> Result<Computed> {
        let failed = self.failed.as_ref();
        let read = |lines| FailedPositions::read(&self.status, lines, &self.messages);
        Ok(Computed {
            process: job.kernel.name().to_owned(),
            file: target.file.clone(),
            group: self.path.clone(),
            parameter_hash: self.hash.clone(),
            outcome: Outcome::Existing,
            completed: self.summary()?.count,
            positions: self.status.count(),
            failed: failed.map(read).transpose()?.unwrap_or_default(),
            report: None,
            compressed: None,
            selection: None,
            inputs: Vec::new(),
        })
    }
}

fn candidates(
    job: &Job,
    request: &Request,
    target: &Target,
    file: &ReadFile,
    observer: &dyn Observer,
) -> Result<Vec<Candidate>> {
    let location = target.source_location(job);
    let mut groups = results_groups(file);
    if let Some(wanted) = &request.resume {
        let group = the_one(&groups, wanted, &target.file)?;
        let found = candidate(job, group, &location, file).map_err(|reason| {
            let group = group.path.clone();
            Error::CannotResume { group, reason }
        })?;
        return Ok(vec![found]);
    }
    groups.retain(|group| group.linked_file.is_none());
    let mut usable = Vec::new();
    for group in &groups {
        match candidate(job, group, &location, file) {
            Ok(found) => {
                job.compared.say(Level::Info, || found.told());
                usable.push(found);
            }
            Err(reason) if is_same(group, &job.identity, &location) => {
                let text = format!("{} is left alone: {reason}", group.path);
                observer.note(&Note { text, advice: reason.advice });
            }
            Err(reason) => say_unused(job, group, &reason.text),
        }
    }
    if usable.is_empty() {
        note_changed_data(job, &groups, &location, observer);
    }
    Ok(usable)
}

/// Says why a group isn't used. Those of other processes are of little interest.
fn say_unused(job: &Job, group: &Provenance, reason: &str) {
    if group.tool != job.kernel.name() {
        return job.compared.say(Level::Debug, || format!("{} isn't used: {reason}", group.path));
    }
    let told = format!("{} isn't used: {reason}", group.path);
    job.compared.say(Level::Info, || told.clone());
    job.compared.note_unused(told);
}

/// Who computes the same again, with the same parameters, is told what has changed.
fn note_changed_data(
    job: &Job,
    groups: &[Provenance],
    location: &SourceLocation,
    observer: &dyn Observer,
) {
    let of_this = groups.iter().filter(|group| {
        group.tool == job.kernel.name() && whereabouts_of(group, location) == Whereabouts::Known
    });
    let newest = of_this.max_by_key(|group| group.number);
    let changed = newest.and_then(|group| Some((group, difference(group, &job.identity)?)));
    if let Some((group, difference)) = changed.filter(|(_, found)| found.is_in_data) {
        observer.note(
            &format!(
                "the results in {} are of other data and stay as they are; {}",
                group.path, difference.text
            )
            .into(),
        );
    }
}

fn difference(group: &Provenance, identity: &Identity) -> Option<Difference> {
    first_difference(group.identity.as_deref()?, identity)
}

/// In what a group isn't of this computation, as far as it tells.
fn told_difference(group: &Provenance, identity: &Identity) -> String {
    if let Some(Difference { text, .. }) = difference(group, identity) {
        return format!("it was computed from something else; {text}");
    }
    let hashless = group.parameter_hash.is_none();
    let first = hashless.then(|| unlike(group, identity)).flatten();
    let first = first.map_or(String::new(), |first| format!("; {first}"));
    format!("it was computed with other parameters, or from other data{first}")
}

/// A group as a candidate, or the reason why it isn't one.
fn candidate(
    job: &Job,
    found: &Provenance,
    location: &SourceLocation,
    file: &ReadFile,
) -> Result<Candidate, Note> {
    if let Some(file) = &found.linked_file {
        let text = format!("it lies in {}, and only a link leads there", file.display());
        return Err(text.into());
    }
    if found.tool != job.kernel.name() {
        return Err(format!("it holds results of `{}`", found.tool).into());
    }
    let whereabouts = whereabouts_of(found, location);
    if whereabouts == Whereabouts::Other {
        return Err(format!("it was computed from another dataset, {}", found.source()).into());
    }
    // Where others of which it takes something weren't all there.
    let is_promised = || found.parameter_hash.as_ref().is_some_and(|hash| job.was_promised(hash));
    if !is_same(found, &job.identity, location) && !is_promised() {
        return Err(told_difference(found, &job.identity).into());
    }
    let group = file.group(&found.path).map_err(|error| error.to_string())?;
    let positions = job.source.info.positions;
    let status = results_group::status(file.handle(), &group, positions)?;
    let failed = results_group::failed_lines(file.handle(), &group)?;
    let columns = job.columns();
    results_group::fits(&group, &columns)?;
    let folded = job.folded();
    results_group::fits(&group, folded.as_ref().map_or(&[], |folded| &folded.columns))?;
    let mut constants = job.prepared.constants().iter().map(|constant| &constant.layout.name);
    if let Some(name) = constants.find(|name| !group.link_exists(name)) {
        return Err(format!("it has no dataset `{name}`").into());
    }
    if group.link_exists(MESSAGES) {
        results_group::own_dataset(&group, MESSAGES)?;
    }
    // Whoever goes on writes down where they are now.
    let are_moved = !are_where_recorded(&group, &job.inputs.places, file.path.as_path());
    let has_markers = found.parameter_hash.is_some()
        && whereabouts == Whereabouts::Known
        && !are_moved
        && results_group::places(&group, &file.raw, (&[], None), positions).is_ok();
    Ok(Candidate {
        path: found.path.clone(),
        number: found.number,
        hash: found.parameter_hash.clone().unwrap_or_default(),
        is_gone: whereabouts == Whereabouts::Gone || are_moved,
        has_markers,
        has_checkpoint: group.link_exists(CHECKPOINT),
        ready: has_markers
            && holds_integer(&group, LAST_PIXEL)
            && holds_short_text(&group, LAST_RUN)
            && results_group::places(&group, &file.raw, (&columns, folded.as_ref()), positions)
                .is_ok(),
        messages: results_group::messages(&group),
        last_pixel: found.last_pixel,
        digest_lines: results_group::digest_lines(&group),
        status,
        summary: OnceCell::new(),
        failed,
    })
}

/// Which positions the user wants; `None` for all.
///
/// # Errors
/// If the selection doesn't fit the scan.
pub(crate) fn selected(
    job: &Job,
    request: &Request,
    source: &ReadFile,
) -> Result<Option<Selected>> {
    let Some(selection) = &request.positions else { return Ok(None) };
    info!("of the positions only {selection} are asked for");
    selection.selected(&job.source.grid, source).map(Some)
}
