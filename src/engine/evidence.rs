//! Whether the data are what they were: while a run goes on, and since earlier results were
//! computed.
//!
//! | when | what is compared | what it notices |
//! | --- | --- | --- |
//! | before results are reused or resumed | the fingerprint, as a part of the hash | any change of sources up to 64 MiB; of larger ones that data were exchanged |
//! | the same, of larger sources | whether the file was written to since; if it was, or nobody can tell, up to 4 GiB the digest of all rows that were computed with | any change |
//! | `--check-data` and `verify`; a source or an input that is elsewhere than the results say | that digest | any change, whatever the size |
//! | at the end of a run | the fingerprint; all bytes of constants; the digest of this run, if the file was written to; whether the path still leads to the file | any change of a file of its own; in the file that results go to what the fingerprint notices |
//!
//! Results whose data have changed are left alone, and computed anew in another group. A run whose
//! data have changed, or can't be read any more, takes its marks back. Writing results changes the
//! times of the file that they lie in, so of that file no time is evidence. Who writes through a
//! memory map changes a file's times only when the system writes the page back: on a disk half a
//! minute later, in memory (tmpfs) never.

use std::path::Path;

use log::{Level, debug};
use twox_hash::XxHash3_128;

use super::data::Data;
use super::inputs::ConstantReader;
use super::job::Job;
use super::ledger::{Covered, Record};
use super::pending::Pending;
use super::{Note, Request, reread};
use crate::identity::is_promised;
use crate::source::{RowsDigest, is_whole};
use crate::storage::file::{ReadFile, open_read};
use crate::storage::file_state::{FileId, FileState};
use crate::storage::refused::Refused;
use crate::storage::results_group;
use crate::storage::rows::Rows;
use pixelmill_core::advice::Advice;
use pixelmill_core::error::{Error, Result, bytes};

/// Data of up to this size are read again before results of them are reused: from the page cache a
/// matter of a second on two cores (5 GB/s).
const READ_AGAIN: u64 = 4 << 30;

/// Whether the data are still those that the results in `group` were computed from, as far as the
/// `record` in it can tell; `marked` are its positions.
///
/// # Errors
/// If they can't be read.
pub(crate) fn is_unchanged(
    job: &Job,
    request: &Request,
    (group, is_hashed): (&str, bool),
    record: &Record,
    marked: &Pending<'_>,
) -> Result<bool> {
    let is_proven = is_hashed && all_is_hashed(job)
        || record.evidence.is_some() && record.evidence == evidence_at_opening(job);
    if record.positions() == 0 || is_proven && !request.check_data {
        job.compared.say(Level::Debug, || {
            format!("the data of {group} needn't be read again to know that they are the same")
        });
        return Ok(true);
    }
    if let Some(same) = job.compared.verdict(group, record) {
        return Ok(same);
    }
    let row_bytes: u64 = job.inputs().map(|(rows, ..)| rows.row_bytes() as u64).sum();
    let size = row_bytes * record.positions();
    if size > READ_AGAIN && !request.check_data {
        let note = Note {
            text: format!("a sample of the data is what it was when {group} was computed"),
            advice: Some(Advice::CompareAllData(size)),
        };
        job.compared.note_sampled(group, record, note);
        return Ok(true);
    }
    job.compared.say(Level::Info, || {
        let size = bytes(size);
        format!("what {group} was computed from is read again, {size}, to see if it is the same")
    });
    let same = reread::digest(job, request, marked)? == record.digest;
    let note = format!(
        "the results in {group} are of other data and stay as they are; the digest of what they \
         were computed from is another"
    );
    job.compared.note(group, record, same, Some(note.into()).filter(|_| !same));
    Ok(same)
}

/// Whether what the results in a group of this file were computed from, of other inputs than the
/// source, is what these are now; `job` is the computation with them.
///
/// # Errors
/// If any of it can't be read.
pub(crate) fn took_what_is_there(
    job: &Job,
    request: &Request,
    (file, path): (&ReadFile, &str),
) -> Result<bool> {
    let unread = |refused: Refused| refused.on_object("read", &file.path, path);
    let group = file.group(path).map_err(unread)?;
    let positions = job.source.info.positions;
    let status = results_group::status(file.handle(), &group, positions)
        .map_err(|reason| Error::CannotResume { group: path.to_owned(), reason })?;
    let covered = Covered::of_marks(status.summary()?);
    let Some(record) = Record::among(&results_group::digest_lines(&group), covered) else {
        return Ok(false);
    };
    let marked = Pending::done(&status, &job.source.grid);
    // Of positions whose own data are damaged it may not have been told apart.
    Ok(record.digest.has_taken(&reread::taken(job, &marked)?)
        || reread::digest(job, request, &marked)? == record.digest)
}

/// Whether the hash is one of all bytes.
pub(crate) fn all_is_hashed(job: &Job) -> bool {
    job.inputs().all(|(rows, ..)| is_whole(rows))
}

/// What the files' state was when they were opened, as one word; `None` if it proves nothing.
fn evidence_at_opening(job: &Job) -> Option<String> {
    if job.inputs().any(|(rows, ..)| rows.may_grow()) {
        return None;
    }
    let files = job.inputs().flat_map(|(rows, ..)| rows.files());
    let all: Vec<String> = files.map(|file| file.opened.evidence()).collect::<Option<_>>()?;
    Some(format!("{:032x}", XxHash3_128::oneshot(all.join("\n").as_bytes())))
}

/// What proves later that nobody has written to the files since this run has read all of their data
/// that the results in the file `results` depend on.
pub(crate) fn evidence(job: &Job, results: FileId) -> Option<String> {
    let is_same = |opened: &FileState, now: FileState| *opened == now && now.id != results;
    let mut files = job.inputs().flat_map(|(rows, ..)| rows.files());
    let untouched = files.all(|file| file.state().is_ok_and(|now| is_same(&file.opened, now)));
    evidence_at_opening(job).filter(|_| untouched && !job.compared.is_sampled())
}

/// What a run has computed, for the look at its data when it ends.
pub(crate) struct Computed<'a> {
    /// What is known of the data as they are now.
    pub data: &'a Data,
    /// The file that results are in.
    pub results: FileId,
    /// The positions that were marked, and what was read for them.
    pub marked: &'a Pending<'a>,
    pub digest: RowsDigest,
}

/// Checks that the data are what they were when they were opened.
///
/// # Errors
/// If they aren't, can't be read, or aren't at their path any more.
pub(crate) fn check(job: &Job, request: &Request, computed: &Computed<'_>) -> Result<()> {
    let mut was_written = false;
    for (rows, dataset, expected) in job.inputs() {
        let changed =
            || Error::SourceChanged { file: rows.path().to_owned(), dataset: dataset.to_owned() };
        // What is computed at the same time is compared when all of it is there.
        if is_promised(expected) {
            continue;
        }
        match computed.data.fingerprint(rows) {
            Ok(now) if now == expected => debug!("the fingerprint of `{dataset}` is what it was"),
            Ok(_) | Err(Error::Truncated { .. }) => return Err(changed()),
            Err(error) => return Err(error),
        }
        // Of the file that results go to every time of writing is our own.
        let others = rows.files().iter().filter(|file| file.opened.id != computed.results);
        for file in others.filter(|_| !is_whole(rows)) {
            let now = file.state().map_err(|error| Error::io("read", &file.path, error))?;
            was_written |= file.opened.was_written(&now);
        }
    }
    job.inputs.constants.iter().try_for_each(ConstantReader::check)?;
    if was_written && reread::digest(job, request, computed.marked)? != computed.digest {
        let (file, dataset) = (job.source.file.clone(), job.source.info.path.clone());
        return Err(Error::SourceChanged { file, dataset });
    }
    check_path(job, request, computed)
}

/// Checks that every path still leads to the file that was read, or to one with the same data.
fn check_path(job: &Job, request: &Request, computed: &Computed<'_>) -> Result<()> {
    let constants = job.inputs.constants.iter().map(ConstantReader::rows);
    let all = job.inputs().map(|(rows, ..)| rows).chain(constants);
    for file in all.flat_map(Rows::files) {
        // Whether results are where they are looked for is the lock's question.
        if file.opened.id == computed.results {
            continue;
        }
        let path = file.path.clone();
        match FileId::at(&path) {
            Ok(there) if there == file.opened.id => {}
            Ok(_) if has_same_data(job, request, computed).unwrap_or(false) => return Ok(()),
            Ok(_) => return Err(Error::SourceReplaced { path }),
            Err(_) => return Err(Error::SourceMoved { path }),
        }
    }
    Ok(())
}

/// Whether the file that is now at the source's path has the data that were computed with.
fn has_same_data(job: &Job, request: &Request, computed: &Computed<'_>) -> Result<bool> {
    let file = open_read(&request.file)?;
    let other = Job::open(&job.kernel, &file, request, &Data::default())?;
    Ok(other.identity.hash() == job.identity.hash()
        && (all_is_hashed(&other)
            || reread::digest(&other, request, computed.marked)? == computed.digest))
}

/// Whether an error at the end of a run leaves what was computed right: the data aren't there any
/// more, but there are no others either.
pub(crate) fn leaves_results_right(error: &Error) -> bool {
    matches!(error, Error::SourceMoved { .. })
}

/// Checks that two openings of a path have led to the same file.
///
/// # Errors
/// If it was replaced in between.
pub(crate) fn check_same(path: &Path, one: FileId, other: FileId) -> Result<()> {
    if one == other { Ok(()) } else { Err(Error::ReplacedWhileOpened { path: path.to_owned() }) }
}
