//! What rank 0 does: it looks for earlier results, prepares the file, gives orders, and finishes. Alone
//! it does the same without anybody to give orders to.

use super::compress::Step;
use super::crew::Phase;
use super::job::{Data, Job};
use super::ledger::{Ledger, Record};
use super::marker::Marker;
use super::prepare::{self, Pending};
use super::search::{self, Found};
use super::target::{RunLock, Target};
use super::team::{Assignment, Orders, Sight, Team, Trouble};
use super::{Computed, Observer, Quiet, Request, Stop, plan_run, reread};
use crate::error::{Error, Result};
use crate::hand_out;
use crate::plan::{Cores, Plan};
use crate::process::Process;
use crate::storage::file::{ReadFile, open_read};
use crate::storage::in_place::InPlace;

/// Leads all ranks through one computation.
///
/// # Errors
/// What any rank has met. All ranks learn of it.
pub(crate) fn lead<P: Process>(
    parameters: &P::Parameters,
    request: &Request,
    observer: &dyn Observer,
    stop: &Stop,
    team: Team<'_>,
) -> Result<Computed> {
    let computed = Lead { request, observer, stop, team }.compute::<P>(parameters);
    team.order(|| {
        let conclusion = computed.as_ref().cloned().map_err(Trouble::of);
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
    fn compute<P: Process>(&self, parameters: &P::Parameters) -> Result<Computed> {
        let Self { request, observer, stop, .. } = *self;
        // First as a reader: results that are complete are returned even if somebody has the file
        // open, or it can't be written to; and what can't be run leaves no trace.
        let opened = self.open::<P>(parameters);
        let told = self.team.tell(opened.as_ref().map(|(_, _, sight)| sight));
        let (source, job, _) = opened?;
        let sights = told?;
        let shares = self.shares(&job, &sights)?;
        let target = Target::of(request, &job)?;
        target.check(&job)?;
        for note in &job.source.notes {
            observer.note(&format!("{}: {note}", job.source.info.path));
        }
        let step = Step { job: &job, request, target: &target, source: &source, observer, stop };
        let found = search::find(&job, request, &target, &source, None, &Quiet)?;
        job.compared.tell(observer);
        if let Found::Complete(found) = found {
            return step.finish(None, *found);
        }
        check_all_can_write(sights)?;
        let workers = shares.workers.iter().copied().max().unwrap_or(1);
        let plan = plan_run(&job, shares.memory, workers, None)?;
        let lock = RunLock::claim(&target, &source, observer)?;
        lock.check_source(&source)?;
        let (view, found) = self.make_ready(&job, &source, &target, &lock)?;
        job.compared.tell(observer);
        let (path, noted) = match found {
            Found::Complete(computed) => return step.finish(Some(lock), *computed),
            Found::Partial { path } => (path, None),
            Found::Created { path, last_run } => (path, Some(last_run)),
            Found::Foreign { .. } | Found::Nothing => {
                unreachable!("what isn't ready has been made ready with the file locked")
            }
        };
        let group = prepare::take(&job, request, &lock, &view, path, noted)?;
        let computed = self.run(&job, &target, &group, &plan, &shares, &lock)?;
        step.finish(Some(lock), computed)
    }

    fn open<P: Process>(&self, parameters: &P::Parameters) -> Result<(ReadFile, Job<P>, Sight)> {
        let source = open_read(&self.request.file)?;
        let job = Job::<P>::open(parameters, &source, self.request, Data::Hashed)?;
        let sight = job.sight(Data::Hashed, &Ok(()), self.team, self.request);
        Ok((source, job, sight))
    }

    /// What each rank may use, if all see the same.
    fn shares<P: Process>(&self, job: &Job<P>, sights: &[Sight]) -> Result<Shares> {
        let (ranks, positions) = (sights.len(), job.source.info.positions);
        if ranks as u64 > positions {
            return Err(Error::TooManyRanks { ranks, positions });
        }
        let own = &sights[0];
        for (rank, sight) in sights.iter().enumerate() {
            let has_other_data = sight.identity.is_some() && sight.identity != own.identity;
            if sight.outline != own.outline || has_other_data {
                let error = Error::OtherFile { path: self.request.file.clone() };
                return Err(Trouble::met_on(&sight.host, &error).at(rank));
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
        Ok(Shares { workers, memory, nodes: nodes.len() })
    }

    /// Launchers bind ranks to single cores unless they are told not to, which users may not know.
    fn note_binding(&self, berths: &[hand_out::Berth]) {
        if let Some((bound, present)) = hand_out::tightly_bound(berths) {
            self.observer.note(&format!(
                "the ranks of a node are bound to {bound} of its {present} processors; `--bind-to none` \
                 (Slurm: more --cpus-per-task) lets them use all"
            ));
        }
    }

    /// Claims what results can go to; returns the source as it is then.
    fn make_ready<P: Process>(
        &self,
        job: &Job<P>,
        source: &ReadFile,
        target: &Target,
        lock: &RunLock,
    ) -> Result<(ReadFile, Found)> {
        let request = self.request;
        let look = |observer: &dyn Observer| {
            let source = source.again()?;
            let found = search::find(job, request, target, &source, Some(lock), observer)?;
            Ok((source, found))
        };
        let (view, found) = look(self.observer)?;
        if !matches!(found, Found::Foreign { .. } | Found::Nothing) {
            return Ok((view, found));
        }
        drop(view);
        // Metadata has to change: look again when nobody else has the file, then change it.
        let made = lock.alone(source, || {
            // Between a reader's and a writer's lock somebody else may have had it.
            source.check_unchanged()?;
            let (view, found) = look(&Quiet)?;
            job.source.check_in_place(&view)?;
            let found = prepare::make_ready(job, target, lock, &view, found)?;
            Ok((view, found))
        });
        if made.is_err() {
            lock.abandon();
        }
        made
    }

    /// What is known of the data of the positions that stay marked.
    fn ledger<P: Process>(&self, job: &Job<P>, group: &Pending) -> Result<Ledger> {
        let Pending { digest_lines, marked, reopened, .. } = group;
        let known = match Record::among(digest_lines, marked) {
            Some(record) => record,
            None => {
                let digest = reread::digest(job, self.request, marked)?;
                Record::new(digest_lines, marked, digest)
            }
        };
        let known = known.without(reopened, reread::digest(job, self.request, reopened)?);
        Ok(Ledger::new(group.places.digest, known))
    }

    /// The computing phase, on all ranks.
    fn run<P: Process>(
        &self,
        job: &Job<P>,
        target: &Target,
        group: &Pending,
        plan: &Plan,
        shares: &Shares,
        lock: &RunLock,
    ) -> Result<Computed> {
        let Self { request, observer, stop, team } = *self;
        let segments = plan.blocks.as_ref().map(|blocks| blocks.segments.clone());
        let own = plan_run(job, shares.memory, shares.workers[0], segments.as_deref())?;
        let file: Box<dyn InPlace> = team.ranks().open(lock.path(), lock.file())?;
        let ledger = self.ledger(job, group)?;
        let mut marker = Marker::new(lock, &*file, group, ledger, request);
        if request.retry_failed {
            // Else a kill could leave a mark on a position that is half failed and half computed.
            marker.unmark(&group.ranges)?;
        }
        team.reset_counter()?;
        team.order(|| {
            Orders::Prepare(Box::new(Assignment {
                file: lock.path().to_owned(),
                group: group.path.clone(),
                last_run: group.last_run.clone(),
                columns: group.places.columns.clone(),
                ranges: group.ranges.clone(),
                workers: shares.workers.clone(),
                memory: shares.memory,
                segments,
            }))
        })?;
        team.tell(Ok(&()))?;
        team.order(|| Orders::Begin)?;
        let workers = shares.workers.iter().sum();
        observer.begin(&group.info(
            job,
            target,
            &own,
            (workers, shares.workers.len(), shares.nodes),
        ));
        let file = &*file;
        Phase { job, group, plan: &own, request, lock, file, observer, stop, team }.run(marker)
    }
}

/// Only now is it of interest: results that are there already need no writing.
fn check_all_can_write(sights: Vec<Sight>) -> Result<()> {
    for (rank, sight) in sights.into_iter().enumerate() {
        sight.can_write.map_err(|trouble| trouble.at(rank))?;
    }
    Ok(())
}
