//! Reading without computing: the digest of positions that were computed before, from the data as
//! they are now.
//!
//! It goes through the same loop as a run, with all workers and within the same memory, so that
//! what is read is read in the same way. Rank 0 does it alone: the others are told afterwards what
//! to compute.

use std::collections::VecDeque;
use std::time::Duration;

use log::debug;

use super::compute_loop::{ComputeLoop, Work};
use super::fold::Folding;
use super::inputs::AuxiliaryReader;
use super::job::Job;
use super::member::Member;
use super::pass::Pass;
use super::pending::Pending;
use super::{Ranks, Request, Stop, Team};
use crate::source::RowsDigest;
use crate::storage::marks::windows;
use pixelmill_core::error::Result;
use pixelmill_core::positions::runs;

/// Positions whose inputs are read at a time.
const PORTION: u64 = 1 << 14;
/// How often somebody looks whether it is done.
const PAUSE: Duration = Duration::from_millis(10);

/// The digest of the rows of some positions.
///
/// # Errors
/// If they can't be read.
pub(crate) fn digest(job: &Job, request: &Request, positions: &Pending<'_>) -> Result<RowsDigest> {
    if positions.is_empty()? {
        return Ok(RowsDigest::default());
    }
    debug!("reads what was computed from `{}` before, to compare it", job.source.info.path);
    let geometry = job.geometry.clone();
    let folding = geometry.map(|of| Folding::new(job, of, positions).reading());
    run(job, request, positions, folding.as_ref())
}

/// The digest of what some positions have of other inputs than the source, of which it is no more
/// than the part that is [taken](RowsDigest::has_taken).
///
/// # Errors
/// If it can't be read.
pub(crate) fn taken(job: &Job, positions: &Pending<'_>) -> Result<RowsDigest> {
    let mut sum = RowsDigest::default();
    let mut rooms: Vec<_> = job.inputs.auxiliary.iter().map(AuxiliaryReader::room).collect();
    for window in windows(positions.positions()) {
        let mut left: VecDeque<_> = positions.runs(&window)?.into();
        while !left.is_empty() {
            let some = runs::take(&mut left, PORTION);
            let numbers: Vec<u64> = some.iter().cloned().flatten().collect();
            for (number, (input, room)) in job.inputs.auxiliary.iter().zip(&mut rooms).enumerate() {
                let bytes = input.read(&some, room, &mut Vec::new())?;
                let each = bytes.chunks_exact(input.rows().row_bytes());
                sum.add_rows(number + 1, numbers.iter().copied(), each);
            }
        }
    }
    Ok(sum)
}

/// Goes through some positions without a file that anything is written to, and folds them if that
/// is asked for; returns the digest of their rows.
///
/// # Errors
/// If they can't be read.
pub(super) fn run(
    job: &Job,
    request: &Request,
    positions: &Pending<'_>,
    folding: Option<&Folding<'_>>,
) -> Result<RowsDigest> {
    let mut sum = RowsDigest::default();
    let request = &Request { ranks: Ranks::solo(), ..request.clone() };
    let team = Team::new(request);
    let workers = &job.workers;
    let pass = Pass::alone(job, None);
    let plan = &pass.plan(request.memory_budget(1), workers.cores(), None)?;
    let geometry = folding.map(|folding| (folding.geometry(), 0));
    let stock = &pass.stock(&[positions], geometry, plan, team)?;
    let members = &[Member { job, pending: positions, folding, sink: None }];
    let work = Work { team, workers, plan, members, geometry, stock, others: 0 };
    let compute_loop = ComputeLoop::new(&work, request, &Stop::new());
    let scheduler = &compute_loop.scheduler;
    let add_all = || {
        while let Some(batches) = scheduler.next_to_mark() {
            batches.iter().for_each(|batch| sum += batch.digest);
            scheduler.marked();
        }
        Ok(())
    };
    compute_loop.run(add_all, PAUSE, || Ok(()))?;
    Ok(sum)
}
