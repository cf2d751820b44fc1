//! Looking afterwards: computed positions computed again, and compared bit by bit.

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::correction_paths::CorrectionPaths;
use super::data::Data;
use super::evidence::check_same;
use super::fold::again;
use super::inputs::recorded;
use super::job::Job;
use super::ledger::{Covered, Record};
use super::pending::Pending;
use super::selection::{Selected, Selection};
use super::{Note, Request, reread};
use crate::identity::first_difference;
use crate::region;
use crate::storage::container::Group;
use crate::storage::file::{ReadFile, open_read};
use crate::storage::marks::Marks;
use crate::storage::refused::Refused;
use crate::storage::results_group::{self, Column, Provenance, STATUS};
use crate::storage::rows::Rows;
use crate::view::View;
use pixelmill_core::contribution::UnitResults;
use pixelmill_core::error::{Error, Result};
use pixelmill_core::inputs::InputPath;
use pixelmill_core::kernel::{Fold, Kernel};
use pixelmill_core::positions::runs;

/// A dataset, and whose results in it are others; no position's if all are folded into it.
pub type Different = (Option<u64>, String);

/// What a verification found.
#[derive(Clone, Debug)]
pub struct Verification {
    /// Path of the results group.
    pub group: String,
    /// What is not as it was when the results were computed: the data, an axis, the version of the
    /// process … The results then say nothing about what is there now, whatever the sample
    /// gave.
    pub changed: Option<String>,
    /// Whether the group records what it was computed from, so that a change shows. Other
    /// programs' groups don't.
    pub is_recorded: bool,
    /// Completed positions of the group.
    pub completed: u64,
    /// How many of them were computed again.
    pub checked: u64,
    /// Whether the data of the completed positions are those that they were computed from; `None`
    /// if the group doesn't tell.
    pub same_data: Option<bool>,
    /// Those whose results in the file are not, bit by bit, what was computed, and in which
    /// dataset; no position if it is one that all are folded into.
    pub different: Vec<Different>,
}

/// Computes `sample` random completed positions of the results group `group` of the file `results`
/// again, from the source that `request` names, and compares; all data of completed positions are
/// compared with what they were.
///
/// # Errors
/// If the group or its source can't be read, or is of another process.
pub fn verify(
    kernel: &Arc<dyn Kernel>,
    request: &Request,
    results: &Path,
    group: &str,
    sample: u64,
) -> Result<Verification> {
    let source_file = open_read(&request.file)?;
    let file = open_read(results)?;
    if results == request.file {
        check_same(results, source_file.id(), file.id())?;
    }
    let broken = |refused: Refused| refused.on_object("read", results, group);
    let opened = file.group(group).map_err(broken)?;
    let corrections = CorrectionPaths::recorded(&opened);
    let provenance = results_group::provenance(&opened, group);
    let positions = folded_positions(&file, &opened, &provenance)?;
    let request = &Request { inputs: recorded(&opened), corrections, positions, ..request.clone() };
    let job = Job::open_recorded(kernel, &source_file, request, &Data::default())?;
    let unusable = |reason: Note| Error::CannotVerify { group: group.to_owned(), reason };
    let is_recorded = provenance.parameter_hash.is_some();
    let changed = changed(&provenance, &job);
    let folded = job.folded();
    let folded = folded.as_ref().map_or(&[][..], |folded| &folded.columns);
    let all_fit = results_group::fits(&opened, &job.columns());
    if let Err(reason) = all_fit.and_then(|()| results_group::fits(&opened, folded)) {
        let changed = Some(changed.ok_or_else(|| unusable(reason.into()))?);
        let group = group.to_owned();
        return Ok(Verification {
            group,
            changed,
            is_recorded,
            completed: 0,
            checked: 0,
            same_data: None,
            different: Vec::new(),
        });
    }
    let positions = job.source.info.positions;
    let status = results_group::status(file.handle(), &opened, positions).map_err(unusable)?;
    let rows = |columns: &[Column<'_>]| -> Result<Vec<Rows>> {
        let each = columns.iter().map(|column| {
            let dataset = opened.dataset(&column.layout.name).map_err(broken)?;
            let positions = (0..column.positions_axes).collect();
            let view = View::new(region::lengths(&column.shape), positions);
            Rows::new(file.handle(), &dataset, view)
        });
        each.collect()
    };
    let (rows, folded) = (rows(&job.columns())?, rows(folded)?);
    let checker = Checker { rows, folded, job: &job };
    let marked = Pending::done(&status, &job.source.grid);
    let covered = Covered::of_marks(status.summary()?);
    let completed = covered.positions();
    let same_data = match Record::among(&results_group::digest_lines(&opened), covered) {
        Some(record) => Some(reread::digest(&job, request, &marked)? == record.digest),
        None => None,
    };
    let (checked, different) = checker.compare(request, (&status, &marked), (completed, sample))?;
    Ok(Verification {
        group: group.to_owned(),
        changed,
        is_recorded,
        completed,
        checked,
        same_data,
        different,
    })
}

/// The positions that were to be folded, if these weren't all and are in: those that are marked.
fn folded_positions(
    file: &ReadFile,
    group: &Group,
    provenance: &Provenance,
) -> Result<Option<Selection>> {
    let identity = provenance.identity.as_deref();
    let Some(wanted) = identity.and_then(results_group::selected_positions) else {
        return Ok(None);
    };
    let Ok(status) = group.dataset(STATUS) else { return Ok(None) };
    let Ok(marks) = results_group::status(file.handle(), group, status.size() as u64) else {
        return Ok(None);
    };
    let mask = InputPath::InFile { file: file.path.clone(), path: status.name() };
    Ok((marks.summary()?.count == wanted).then_some(Selection::Mask(mask)))
}

/// What makes this another computation than the one that the group records, if anything does.
pub(super) fn changed(group: &Provenance, job: &Job) -> Option<String> {
    let hash = group.parameter_hash.as_ref()?;
    if *hash == job.identity.hash() {
        return None;
    }
    let difference = first_difference(group.identity.as_deref().unwrap_or_default(), &job.identity);
    Some(difference.map_or_else(|| "its hash is another".to_owned(), |found| found.text))
}

struct Checker<'a> {
    /// The results per position, and those that all are folded into.
    rows: Vec<Rows>,
    folded: Vec<Rows>,
    job: &'a Job,
}

impl Checker<'_> {
    /// Computes some of the positions that are marked again, or all if they are folded into one
    /// answer: how many these are, and what the file has otherwise.
    fn compare(
        &self,
        request: &Request,
        (status, marked): (&Marks, &Pending<'_>),
        (completed, sample): (u64, u64),
    ) -> Result<(u64, Vec<Different>)> {
        let job = self.job;
        if job.geometry.is_some() && !job.prepared.fold().is_none_or(Fold::is_per_position) {
            return self.fold_again(request, marked);
        }
        let chosen = choose(status, completed, sample)?;
        if job.geometry.is_some() {
            let (nothing, count) = (Marks::prefix(0, status.count()), chosen.len() as u64);
            let chosen = Selected::Set(runs::of_positions(&chosen).collect());
            let some = Pending::new(&nothing, Some(&chosen), &job.source.grid);
            return if count == 0 { Ok((0, Vec::new())) } else { self.fold_again(request, &some) };
        }
        let different = job.workers.install(|| self.differences(&chosen))?;
        let different = different.into_iter().map(|(position, name)| (Some(position), name));
        Ok((chosen.len() as u64, different.collect()))
    }

    /// The positions that have something else in the file than is computed now, with the first such
    /// dataset.
    fn differences(&self, positions: &[u64]) -> Result<Vec<(u64, String)>> {
        let found = positions.iter().map(|position| {
            let dataset = self.difference(*position)?;
            Ok(dataset.map(|dataset| (*position, dataset)))
        });
        found.filter_map(Result::transpose).collect()
    }

    /// Folds all of some positions again: how many these are, and what the file has otherwise, if
    /// these are all that are to be folded.
    fn fold_again(&self, request: &Request, marked: &Pending<'_>) -> Result<(u64, Vec<Different>)> {
        let wanted = self.job.identity.selection.as_ref().map(|selection| selection.positions);
        let count = marked.count()?;
        let is_all = count == wanted.unwrap_or(self.job.source.info.positions);
        if !is_all && self.job.folded().is_some_and(|folded| folded.checkpoint.is_some()) {
            return Ok((0, Vec::new()));
        }
        let different = Mutex::new(Vec::new());
        let compare = |runs: &[Range<u64>], results: &UnitResults| {
            for ((rows, computed), column) in
                self.rows.iter().zip(&results.rows).zip(self.job.columns())
            {
                if computed.is_empty() {
                    continue;
                }
                let mut stored = vec![0; computed.len()];
                rows.read_into(runs, &mut stored)?;
                let each = computed.len() / runs::count(runs).max(1) as usize;
                let pairs = stored.chunks_exact(each).zip(computed.chunks_exact(each));
                let positions = runs.iter().cloned().flatten();
                let other = positions.zip(pairs).filter(|(_, (one, other))| one != other);
                let name = &column.layout.name;
                different
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .extend(other.map(|(position, _)| (Some(position), name.clone())));
            }
            Ok(())
        };
        let found = again(self.job, request, marked, &compare, &self.rows)?;
        let mut different = different.into_inner().unwrap_or_else(PoisonError::into_inner);
        different.sort();
        let columns = self.job.columns();
        for (dataset, bytes) in found.ends {
            let mut stored = vec![0; bytes.len()];
            let all = 0..self.job.source.info.positions;
            self.rows[dataset].read_into(std::slice::from_ref(&all), &mut stored)?;
            if stored != bytes {
                different.push((None, columns[dataset].layout.name.clone()));
            }
        }
        for (rows, (layout, bytes)) in self.folded.iter().zip(found.results) {
            let mut stored = vec![0; bytes.len()];
            rows.read_into(std::slice::from_ref(&(0..1)), &mut stored)?;
            if stored != bytes {
                different.push((None, layout.name.clone()));
            }
        }
        Ok((count, different))
    }

    /// The first dataset in which the file has something else than is computed now.
    fn difference(&self, position: u64) -> Result<Option<String>> {
        let mut workspace = self.job.workspace();
        let run = position..position + 1;
        let run = std::slice::from_ref(&run);
        let rows = self.job.read(&self.job.source.rows, run, &mut workspace)?;
        self.job.compute(rows, &mut workspace);
        let columns = self.job.columns();
        for ((rows, computed), column) in self.rows.iter().zip(&workspace.results.rows).zip(columns)
        {
            let mut stored = vec![0; computed.len()];
            rows.read_into(run, &mut stored)?;
            if stored != **computed {
                return Ok(Some(column.layout.name.clone()));
            }
        }
        Ok(None)
    }
}

/// Up to `sample` of the `completed` positions, ascending, by chance.
fn choose(status: &Marks, completed: u64, sample: u64) -> Result<Vec<u64>> {
    let mut random = std::hash::RandomState::new();
    // Floyd's sampling: every subset of that size is equally likely.
    let mut chosen = std::collections::BTreeSet::new();
    for last in completed - sample.min(completed)..completed {
        let number = std::hash::BuildHasher::hash_one(&random, last);
        random = std::hash::RandomState::new();
        let candidate = number % (last + 1);
        if !chosen.insert(candidate) {
            chosen.insert(last);
        }
    }
    // Which positions these are: the first completed one is number 0.
    let (mut numbers, mut positions, mut before) = (chosen.into_iter().peekable(), Vec::new(), 0);
    status.each_window(|first, marks| {
        for run in runs::of_marks(first, marks) {
            let length = run.end - run.start;
            while let Some(number) = numbers.next_if(|number| *number < before + length) {
                positions.push(run.start + (number - before));
            }
            before += length;
        }
        numbers.peek().is_some()
    })?;
    Ok(positions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::in_place::Extent;
    use crate::storage::open_file::OpenFile;

    #[test]
    fn a_sample_holds_only_completed_positions_and_none_twice() {
        let status: Vec<u8> = (0..100).map(|at| u8::from(at % 3 != 0)).collect();
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("status");
        std::fs::write(&path, &status).unwrap();
        let file = std::fs::File::open(&path).unwrap();
        let marks =
            Marks::within(OpenFile::new(&path, &file), Extent::new(0, 100).unwrap()).unwrap();
        for sample in [0, 1, 10, 66, 500] {
            let chosen = choose(&marks, 66, sample).unwrap();
            assert_eq!(chosen.len() as u64, sample.min(66));
            assert!(chosen.windows(2).all(|pair| pair[0] < pair[1]));
            assert!(chosen.iter().all(|at| status[*at as usize] == 1));
        }
    }
}
