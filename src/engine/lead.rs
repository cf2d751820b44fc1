//! What rank 0 does: it looks for earlier results, prepares the file, gives orders, and finishes.
//! Alone it does the same without anybody to give orders to.

use std::sync::Arc;

use log::{debug, info};

use super::compress::Step;
use super::compute_loop::BATCHES_PER_CHECKPOINT;
use super::crew::Phase;
use super::data::Data;
use super::estimate::before_run;
use super::fold::{self, Committer, Folding, Resumed};
use super::job::Job;
use super::ledger::{Covered, Ledger, Record};
use super::marker::Marker;
use super::narration;
use super::pending::Pending;
use super::prepare::{self, Taken};
use super::search::{self, Found};
use super::selection::Selected;
use super::sight::{Sight, say_shares};
use super::supply::Stock;
use super::target::{RunLock, Target};
use super::team::{Assignment, Orders, RankError, Team};
use super::workers::Workers;
use super::{Computed, Note, Observer, Outcome, Quiet, Request, Stop, plan_run, reread};
use crate::hand_out;
use crate::plan::{Cores, Plan};
use crate::storage::file::{ReadFile, open_read};
use crate::storage::in_place::{Direct, InPlace};
use crate::storage::marks::Marks;
use pixelmill_core::advice::Advice;
use pixelmill_core::error::{Error, Result};
use pixelmill_core::kernel::Kernel;

/// Leads all ranks through one computation.
///
/// # Errors
/// What any rank has met. All ranks learn of it.
pub(crate) fn lead(
    kernel: &Arc<dyn Kernel>,
    request: &Request,
    observer: &dyn Observer,
    stop: &Stop,
    team: Team<'_>,
) -> Result<Computed> {
    let computed = Lead { request, observer, stop, team }.compute(kernel);
    team.order(|| {
        let conclusion = computed.as_ref().cloned().map_err(RankError::of);
        Orders::End(Box::new(conclusion), stop.signal())
    })?;
    computed
}

struct Lead<'a> {
    request: &'a Request,
    observer: &'a dyn Observer,
    stop: &'a Stop,
    team: Team<'a>,
}

/// What each rank computes with.
struct Shares {
    workers: Vec<usize>,
    memory: u64,
    nodes: usize,
}

impl Lead<'_> {
    fn compute(&self, kernel: &Arc<dyn Kernel>) -> Result<Computed> {
        let Self { request, observer, stop, .. } = *self;
        // First as a reader: results that are complete are returned even if somebody has the file
        // open, or it can't be written to; and what can't be run leaves no trace.
        let opened = self.open(kernel);
        let told = self.team.tell(opened.as_ref().map(|(_, _, sight)| sight));
        let (source, job, _) = opened?;
        let sights = told?;
        fold::check(&job, request)?;
        let shares = self.shares(&job, &sights)?;
        let target = Target::of(request, &job)?;
        target.check(&job)?;
        for note in &job.source.notes {
            observer.note(&format!("{}: {note}", job.source.info.path).into());
        }
        let step = Step { job: &job, request, target: &target, source: &source, observer, stop };
        let selected = search::selected(&job, request, &source)?;
        let selected = selected.as_ref();
        let found = search::find(&job, (request, selected), &target, &source, None, &Quiet)?;
        job.compared.tell(observer);
        if let Found::Complete { computed, is_stale } = found {
            if is_stale {
                // Nothing that is read depends on it. Who can't write leaves it to the next who
                // can.
                let _ = self.mend(&job, &target, &source, &computed.group);
            }
            return step.finish(None, *computed);
        }
        check_all_can_write(sights)?;
        let workers = shares.workers.iter().copied().max().unwrap_or(1);
        let plan = plan_run(&job, shares.memory, workers, None, selected)?;
        let lock = RunLock::claim(&target, &source, observer)?;
        lock.check_source(&source)?;
        let (group, resumed) = loop {
            let found = self.make_ready((&job, selected), &source, &target, &lock)?;
            job.compared.tell(observer);
            let (path, noted) = match found {
                Found::Complete { computed, .. } => return step.finish(Some(lock), *computed),
                Found::Partial { path } => (path, None),
                Found::Created { path, last_run } => (path, Some(last_run)),
                Found::Foreign { .. } | Found::Nothing => {
                    unreachable!("what isn't ready has been made ready with the file locked")
                }
            };
            let positions = request.positions.as_ref();
            let mut group = prepare::take(&job, &lock, path, (noted, positions))?;
            let Some(geometry) = &job.geometry else { break (group, None) };
            let file = Direct::new(lock.handle())?;
            let nothing = Marks::prefix(0, job.source.info.positions);
            let wanted = Pending::new(&nothing, selected, &job.source.grid);
            let taken = (&mut group, &lock);
            let resumed = Resumed::settle(&job, geometry, taken, (&file, &wanted))?;
            // Other positions are done than the search has seen, and their data not compared.
            if !resumed.is_changed {
                break (group, Some(resumed));
            }
        };
        let computed =
            self.run((&job, selected), &target, (&group, resumed), (&plan, &shares), &lock)?;
        let has_checkpoint = job.folded().is_some_and(|folded| folded.checkpoint.is_some());
        if has_checkpoint && computed.outcome == Outcome::Finished {
            fold::tidy_up(&lock, &source, &computed.group);
        }
        step.finish(Some(lock), computed)
    }

    fn open(&self, kernel: &Arc<dyn Kernel>) -> Result<(ReadFile, Job, Sight)> {
        let source = open_read(&self.request.file)?;
        let job = Job::open(kernel, &source, self.request, Data::Hashed)?;
        let sight = Sight::of(&job, Data::Hashed, &Ok(()), self.team, self.request);
        Ok((source, job, sight))
    }

    /// What each rank may use, if all see the same.
    fn shares(&self, job: &Job, sights: &[Sight]) -> Result<Shares> {
        let (ranks, positions) = (sights.len(), job.source.info.positions);
        if ranks as u64 > positions {
            return Err(Error::TooManyRanks { ranks, positions });
        }
        let own = &sights[0];
        for (rank, sight) in sights.iter().enumerate() {
            let has_other_data = sight.identity.is_some() && sight.identity != own.identity;
            if sight.outline != own.outline || has_other_data {
                let error = Error::OtherFile { path: self.request.file.clone() };
                return Err(RankError::met_on(&sight.host, &error).at(rank));
            }
        }
        let berths: Vec<_> = sights.iter().map(|sight| sight.berth.clone()).collect();
        let mut nodes: Vec<usize> = berths.iter().map(|berth| berth.node).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let workers = match (self.request.cores, ranks) {
            (Cores::Exactly(cores), _) => vec![cores.max(1); ranks],
            (wanted, 1) => vec![crate::plan::cores(own.berth.cores, wanted)],
            _ => {
                self.note_binding(&berths);
                hand_out::cores(&berths)
            }
        };
        // Blocks have to be the same on all ranks, so that each is computed once.
        let memory = sights.iter().map(|sight| sight.memory).min().unwrap_or(0);
        say_shares(self.request.cores, sights, &workers);
        Ok(Shares { workers, memory, nodes: nodes.len() })
    }

    /// Launchers bind ranks to single cores unless they are told not to, which users may not know.
    fn note_binding(&self, berths: &[hand_out::Berth]) {
        if let Some((bound, present)) = hand_out::tightly_bound(berths) {
            self.observer.note(&Note {
                text: format!(
                    "the ranks of a node are bound to {bound} of its {present} processors"
                ),
                advice: Some(Advice::Unbind),
            });
        }
    }

    /// Brings what mirrors the status of complete results up to date, where a run was killed before
    /// it could.
    fn mend(&self, job: &Job, target: &Target, source: &ReadFile, group: &str) -> Result<()> {
        let lock = RunLock::claim(target, source, &Quiet)?;
        info!("{group} is complete, but what tells so isn't up to date: that is mended");
        // Not the results themselves, which may be compressed.
        fold::tidy_up(&lock, source, group);
        let group = prepare::look(job, &lock, group.to_owned(), (&[], None))?;
        let file = Direct::new(lock.handle())?;
        let request = Request { retry_failed: false, ..self.request.clone() };
        let all = (None, &job.source.grid);
        let ledger = Ledger::new(group.places.digest, Record::default());
        let mut marker = Marker::open((&lock, &file), &group, ledger, &request, all, &Quiet)?;
        marker.settle().map(|_| ())
    }

    /// Claims what results can go to.
    fn make_ready(
        &self,
        (job, selected): (&Job, Option<&Selected>),
        source: &ReadFile,
        target: &Target,
        lock: &RunLock,
    ) -> Result<Found> {
        let request = self.request;
        let look = |observer: &dyn Observer| {
            let source = source.again()?;
            let found =
                search::find(job, (request, selected), target, &source, Some(lock), observer)?;
            Ok((source, found))
        };
        let (view, found) = look(self.observer)?;
        if !matches!(found, Found::Foreign { .. } | Found::Nothing) {
            return Ok(found);
        }
        let state = view.opened;
        drop(view);
        // Metadata has to change: look again when nobody else has the file, then change it.
        let made = lock.alone(source, || {
            // Between a reader's and a writer's lock somebody else may have had it.
            source.check_unchanged(&state)?;
            let (view, found) = look(&Quiet)?;
            job.source.check_in_place(&view)?;
            prepare::make_ready((job, request.positions.as_ref()), target, lock, &view, found)
        });
        if made.is_err() {
            lock.abandon();
        }
        made
    }

    /// What is known of the data of the positions that stay marked by `status`.
    fn ledger(
        &self,
        (job, selected): (&Job, Option<&Selected>),
        group: &Taken,
        status: &Marks,
        lock: &RunLock,
    ) -> Result<Ledger> {
        let (request, grid) = (self.request, &job.source.grid);
        let marked = || Pending::done(status, grid);
        let covered =
            if group.resumed { Covered::of_marks(status.summary()?) } else { Covered::default() };
        let known = match Record::among(&group.digest_lines, covered) {
            Some(record) => record,
            None => {
                if group.resumed {
                    debug!("{} has no record of the data it was computed from", group.path);
                }
                let digest = reread::digest(job, request, &marked())?;
                Record::new(&group.digest_lines, covered, digest)
            }
        };
        if !request.retry_failed {
            return Ok(Ledger::new(group.places.digest, known));
        }
        let failed = Marks::within(lock.handle(), group.places.failed)?;
        let again = marked().done_and_failed(&failed, selected);
        let covered = Covered::of_pending(&again)?;
        let known = known.without(covered, reread::digest(job, request, &again)?);
        Ok(Ledger::new(group.places.digest, known))
    }

    /// Gets all ranks ready, which then share the same `stock`.
    fn assign(
        &self,
        assignment: Assignment,
        stock: impl FnOnce() -> Result<Stock>,
    ) -> Result<Stock> {
        let (team, file) = (self.team, assignment.file.clone());
        team.reset_counter()?;
        team.order(|| Orders::Prepare(Box::new(assignment)))?;
        let stock = stock();
        let outline = stock.as_ref().map(Stock::outline);
        let outlines = team.tell(outline.as_ref().map_err(|error| *error))?;
        if outlines.iter().any(|outline| *outline != outlines[0]) {
            return Err(Error::OtherFile { path: file });
        }
        stock
    }

    /// The computing phase, on all ranks.
    fn run(
        &self,
        (job, selected): (&Job, Option<&Selected>),
        target: &Target,
        (group, mut resumed): (&Taken, Option<Resumed>),
        (plan, shares): (&Plan, &Shares),
        lock: &RunLock,
    ) -> Result<Computed> {
        let Self { request, observer, stop, team } = *self;
        let segments = plan.blocks.as_ref().map(|blocks| blocks.segments.clone());
        job.tell_means(shares.workers[0], shares.memory, selected.is_some());
        let own = plan_run(job, shares.memory, shares.workers[0], segments.as_deref(), selected)?;
        narration::plan(&*job.kernel, &own);
        narration::marking(request, request.checkpoint / BATCHES_PER_CHECKPOINT);
        let file: Box<dyn InPlace> = team.ranks().open(lock.handle())?;
        let status = Marks::within(lock.handle(), group.places.status)?;
        let ledger = self.ledger((job, selected), group, &status, lock)?;
        let marker = Marker::open(
            (lock, &*file),
            group,
            ledger,
            request,
            (selected, &job.source.grid),
            observer,
        )?;
        let pending = &Pending::new(&status, selected, &job.source.grid);
        let folded = resumed.as_ref().map_or(0, |resumed| resumed.units);
        let geometry = job.geometry.as_ref().zip(resumed.as_mut());
        let folding = geometry.map(|(of, resumed)| Folding::resumed(job, of, pending, resumed));
        let folding = folding.as_ref();
        let places = &group.places;
        let marker = marker.of_fold(folding.zip(resumed).map(|of| Committer::new(of, places)));
        let is_whole = !group.resumed && selected.is_none();
        let count = if is_whole { pending.positions() } else { pending.count()? };
        let assignment = Assignment {
            file: lock.path().to_owned(),
            group: group.path.clone(),
            last_run: group.last_run.clone(),
            columns: group.places.columns.clone(),
            status: group.places.status,
            workers: shares.workers.clone(),
            memory: shares.memory,
            segments,
            folded,
        };
        let stock = &self.assign(assignment, || match folding {
            Some(folding) => Ok(folding.stock()),
            None => Stock::new(job, pending, &own, shares.workers.len()),
        })?;
        info!("{count} positions are to be computed; {}", stock.told(team.ranks()));
        team.order(|| Orders::Begin)?;
        // Where memory isn't enough for all workers of a rank, it isn't for those of any.
        let most = if own.workers < shares.workers[0] { own.workers } else { usize::MAX };
        let workers = shares.workers.iter().map(|workers| (*workers).min(most)).sum();
        let crew = (workers, shares.workers.len(), shares.nodes);
        observer.begin(&group.info(job, target, &own, count, crew));
        let (file, plan) = (&*file, &own);
        // Where others compute as well, it has a share of the cores.
        let share = Workers::exactly(shares.workers[0]);
        let workers = if team.others() == 0 { &job.workers } else { &share };
        if let Some(estimate) = before_run((job, plan), (pending, count), (workers, crew.0)) {
            observer.estimate(estimate);
        }
        let phase = Phase {
            job,
            group,
            pending,
            count,
            stock,
            folding,
            plan,
            workers,
            request,
            lock,
            file,
            observer,
            stop,
            team,
        };
        phase.run(marker)
    }
}

/// Only now is it of interest: results that are there already need no writing.
fn check_all_can_write(sights: Vec<Sight>) -> Result<()> {
    for (rank, sight) in sights.into_iter().enumerate() {
        sight.can_write.map_err(|trouble| trouble.at(rank))?;
    }
    Ok(())
}
