//! The search for earlier results: what is there decides whether there is anything to compute at all.
//!
//! It only reads. What makes two computations the same is `identity`'s business.

use std::ops::Range;

use super::evidence::{all_is_hashed, is_unchanged};
use super::ledger::Record;
use super::named::the_one;
use super::target::{RunLock, Target};
use super::{Computed, Job, Observer, Outcome, Request};
use crate::error::{Error, Result};
use crate::identity::{
    Difference, Identity, SourceLocation, Whereabouts, first_difference, is_same, whereabouts_of,
};
use crate::process::Process;
use crate::storage::file::{ReadFile, is_absent, open_read};
use crate::storage::results_group::{self, LAST_RUN, Provenance, results_groups};

/// What the search for earlier results found.
pub(crate) enum Found {
    /// Everything that was asked for is there.
    Complete(Box<Computed>),
    /// A group to go on with, as it is.
    Partial { path: String },
    /// A group to go on with that lacks something a run needs.
    Foreign { path: String, status: Vec<u8> },
    /// A group made just now.
    Created { path: String, last_run: String },
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
        if is_absent(&target.file) {
            return Ok(Found::Nothing);
        }
        other = lock.map_or_else(|| open_read(&target.file), RunLock::view)?;
        &other
    } else {
        source
    };
    let mut candidates = candidates(job, request, target, file, observer)?;
    candidates.sort_by_key(|candidate| candidate.number);
    let mask = mask(job, request, source)?;
    let is_complete = |candidate: &Candidate| {
        pending_ranges(&candidate.pending_status(request), mask.as_deref()).is_empty()
    };
    let best = loop {
        let complete = candidates.iter().rposition(is_complete);
        let Some(best) = complete.or(candidates.len().checked_sub(1)) else { break None };
        let best = candidates.remove(best);
        if best.has_its_data(job, request)? {
            break Some((complete.is_some(), best));
        }
    };
    if let Some((true, found)) = best {
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
            compressed: None,
        })));
    }
    Ok(match best {
        Some((_, newest)) if newest.ready => Found::Partial { path: newest.path },
        Some((_, newest)) if newest.hash.is_empty() => {
            observer.note(&format!(
                "{} goes on where another program left it, which didn't record whether its data are those \
                 that are there now",
                newest.path
            ));
            Found::Foreign { path: newest.path, status: newest.status }
        }
        Some((_, newest)) => Found::Foreign { path: newest.path, status: newest.status },
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
    /// What is known of the data that it was computed from.
    record: Option<Record>,
    /// Whether nothing is where its source was, so that only the data tell that this is it.
    is_gone: bool,
    /// Whether it has all that a run needs, each with its place in the file.
    ready: bool,
}

impl Candidate {
    /// The status, with failed positions pending if they are to be computed again.
    fn pending_status(&self, request: &Request) -> Vec<u8> {
        reopened(&self.status, &self.failed, request.retry_failed)
    }

    /// Whether the data are still those that it was computed from.
    fn has_its_data<P: Process>(&self, job: &Job<P>, request: &Request) -> Result<bool> {
        let Some(record) = &self.record else {
            return Ok(!self.is_gone || all_is_hashed(job));
        };
        let group = (self.path.as_str(), !self.hash.is_empty());
        let request =
            &Request { check_data: request.check_data || self.is_gone, ..request.clone() };
        let same = is_unchanged(job, request, group, record, &marked_ranges(&self.status))?;
        if !same && request.resume.is_some() {
            let reason = "the data have changed since it was computed".to_owned();
            return Err(Error::CannotResume { group: self.path.clone(), reason });
        }
        Ok(same)
    }
}

/// The status, with failed positions pending if they are to be computed again.
pub(crate) fn reopened(status: &[u8], failed: &[u8], retry: bool) -> Vec<u8> {
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
            Ok(found) => usable.push(found),
            Err(reason) if is_same(group, &job.identity, &location) => {
                observer.note(&format!("{} is left alone: {reason}", group.path));
            }
            Err(_) => {}
        }
    }
    if usable.is_empty() {
        note_changed_data(job, &groups, &location, observer);
    }
    Ok(usable)
}

/// Who computes the same again, with the same parameters, is told what has changed.
fn note_changed_data<P: Process>(
    job: &Job<P>,
    groups: &[Provenance],
    location: &SourceLocation,
    observer: &dyn Observer,
) {
    let of_this = groups.iter().filter(|group| {
        group.tool == P::NAME && whereabouts_of(group, location) == Whereabouts::Known
    });
    let newest = of_this.max_by_key(|group| group.number);
    let changed = newest.and_then(|group| Some((group, difference(group, &job.identity)?)));
    if let Some((group, difference)) = changed.filter(|(_, found)| found.is_in_data) {
        observer.note(&format!(
            "the results in {} are of other data and stay as they are; {}",
            group.path, difference.text
        ));
    }
}

fn difference(group: &Provenance, identity: &Identity) -> Option<Difference> {
    first_difference(group.identity.as_deref()?, identity)
}

/// A group as a candidate, or the reason why it isn't one.
fn candidate<P: Process>(
    job: &Job<P>,
    found: &Provenance,
    location: &SourceLocation,
    file: &ReadFile,
) -> Result<Candidate, String> {
    if let Some(file) = &found.linked_file {
        return Err(format!("it lies in {}, and only a link leads there", file.display()));
    }
    if found.tool != P::NAME {
        return Err(format!("it holds results of `{}`", found.tool));
    }
    let whereabouts = whereabouts_of(found, location);
    if whereabouts == Whereabouts::Other {
        return Err(format!("it was computed from another dataset, {}", found.source()));
    }
    if !is_same(found, &job.identity, location) {
        return Err(match difference(found, &job.identity) {
            Some(Difference { text, .. }) => format!("it was computed from something else; {text}"),
            None => "it was computed with other parameters, or from other data".to_owned(),
        });
    }
    let group = file.group(&found.path).map_err(|error| error.to_string())?;
    let status = results_group::status(&group, job.source.info.positions)
        .ok_or("nothing tells which of its positions are computed")?;
    let columns = job.columns();
    results_group::fits(&group, &columns)?;
    let mut constants = job.results.constants.iter().map(|constant| &constant.layout.name);
    if let Some(name) = constants.find(|name| !group.link_exists(name)) {
        return Err(format!("it has no dataset `{name}`"));
    }
    let failed = group
        .dataset(results_group::FAILED)
        .and_then(|dataset| dataset.read_raw::<u8>())
        .unwrap_or_default();
    Ok(Candidate {
        path: found.path.clone(),
        number: found.number,
        hash: found.parameter_hash.clone().unwrap_or_default(),
        is_gone: whereabouts == Whereabouts::Gone,
        ready: found.has_status
            && found.parameter_hash.is_some()
            && whereabouts == Whereabouts::Known
            && found.last_pixel.is_some()
            && group.attr(LAST_RUN).is_ok()
            && results_group::places(&group, &columns).is_ok(),
        messages: results_group::messages(&group),
        record: Record::among(&results_group::digest_lines(&group), &marked_ranges(&status)),
        status,
        failed,
    })
}

/// Which positions the user wants; `None` for all.
///
/// # Errors
/// If the selection doesn't fit the scan.
pub(crate) fn mask<P: Process>(
    job: &Job<P>,
    request: &Request,
    source: &ReadFile,
) -> Result<Option<Vec<bool>>> {
    request.positions.as_ref().map(|selection| selection.mask(&job.source.grid, source)).transpose()
}

/// Runs of positions that are neither done nor left out.
pub(crate) fn pending_ranges(status: &[u8], mask: Option<&[bool]>) -> Vec<Range<u64>> {
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

/// Runs of positions that are done.
pub(crate) fn marked_ranges(status: &[u8]) -> Vec<Range<u64>> {
    let runs = status.chunk_by(|one, other| (*one == 0) == (*other == 0));
    let mut end = 0;
    let ranges = runs.map(|run| {
        end += run.len() as u64;
        (run[0] != 0).then_some(end - run.len() as u64..end)
    });
    ranges.flatten().collect()
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
