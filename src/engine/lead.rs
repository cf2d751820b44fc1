//! What rank 0 does: it looks for earlier results, prepares the file, gives orders, and finishes.
//! Alone it does the same without anybody to give orders to.

use log::{debug, info};

use super::begun::{Begun, Planned, Written};
use super::compress::Step;
use super::compute_loop::BATCHES_PER_CHECKPOINT;
use super::crew::{Led, Phase};
use super::data::Data;
use super::estimate::before_run;
use super::evidence;
use super::fold::{self, Committer, Folding, Resumed};
use super::job::Job;
use super::ledger::{Covered, Ledger, Record};
use super::marker::Marker;
use super::member::Member;
use super::narration;
use super::pass::{self, Pass};
use super::pending::Pending;
use super::prepare;
use super::search::{self, Found};
use super::selection::Selected;
use super::sight::{Sight, Wanted, say_shares};
use super::supply::Stock;
use super::target::{RunLock, Target};
use super::team::{Assignment, Orders, RankError, Task, Team};
use super::workers::Workers;
use super::{Asked, Computed, Note, Observer, Outcome, Quiet, Report, Request, Stop, reread};
use crate::hand_out;
use crate::plan::{Cores, Plan};
use crate::storage::attributes;
use crate::storage::file::{ReadFile, open_read};
use crate::storage::in_place::Direct;
use crate::storage::marks::Marks;
use pixelmill_core::advice::Advice;
use pixelmill_core::error::{Error, Result};
use pixelmill_core::kernel::Fold;
use pixelmill_core::positions::Positions;

/// Leads all ranks through some computations.
///
/// # Errors
/// What any rank has met. All ranks learn of it.
pub(crate) fn lead(
    asked: &[Asked],
    observer: &dyn Observer,
    stop: &Stop,
    team: Team<'_>,
) -> Result<Vec<Computed>> {
    Lead { asked, request: &asked[0].request, observer, stop, team }.lead(Lead::compute_planned)
}

/// Leads all ranks where the results groups of some computations are to be ready, and no more.
///
/// # Errors
/// As [`lead`].
pub(crate) fn begin(
    asked: &[Asked],
    observer: &dyn Observer,
    stop: &Stop,
    team: Team<'_>,
) -> Result<Vec<Computed>> {
    Lead { asked, request: &asked[0].request, observer, stop, team }.lead(Lead::begin_planned)
}

struct Lead<'a> {
    asked: &'a [Asked],
    /// What all of them have in common: of what isn't said of a computation, the first one's.
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

/// Does something for the computations that haven't ended before.
trait Do<L>:
    FnOnce(&L, &[Planned<'_>], &ReadFile, &Shares, &mut [Option<Computed>]) -> Result<()>
{
}

impl<L, F> Do<L> for F where
    F: FnOnce(&L, &[Planned<'_>], &ReadFile, &Shares, &mut [Option<Computed>]) -> Result<()>
{
}

impl Lead<'_> {
    /// Does what there is to do for the computations whose results aren't all there, and tells all
    /// ranks how that ended.
    fn lead(&self, what: impl Do<Self>) -> Result<Vec<Computed>> {
        let computed = self.all(what);
        self.team.order(|| {
            let conclusion = computed.as_ref().cloned().map_err(RankError::of);
            Orders::End(Box::new(conclusion), self.stop.signal())
        })?;
        computed
    }

    fn all(&self, what: impl Do<Self>) -> Result<Vec<Computed>> {
        let asked = self.asked;
        // First as a reader: results that are complete are returned even if somebody has the file
        // open, or it can't be written to; and what can't be run leaves no trace.
        let opened = self.open();
        let told = self.team.tell(opened.as_ref().map(|(.., sights)| sights));
        let (source, jobs, _) = opened?;
        let sights = told?;
        check_distinct(jobs.iter())?;
        let mut planned = Vec::new();
        for (number, (job, Asked { request, .. })) in jobs.iter().zip(asked).enumerate() {
            fold::check(job, request)?;
            let target = Target::of(request, job)?;
            target.check(job)?;
            planned.push(Planned { number, job, request, target, selected: None });
        }
        let shares = self.shares(&jobs, &sights)?;
        self.note_source(&jobs);
        let mut ended: Vec<Option<Computed>> = Vec::new();
        for of in &mut planned {
            of.selected = search::selected(of.job, of.request, &source)?;
            ended.push(self.existing(of, &source)?);
        }
        if ended.iter().any(Option::is_none) {
            check_all_can_write(sights)?;
            what(self, &planned, &source, &shares, &mut ended)?;
        }
        for of in &planned {
            self.identify(of, &source, &mut ended)?;
        }
        // Every one has been found complete, or was computed.
        Ok(ended.into_iter().flatten().collect())
    }

    fn open(&self) -> Result<(ReadFile, Vec<Job>, Vec<Sight>)> {
        let source = open_read(&self.request.file)?;
        let data = &Data::default().beside(self.asked.iter().flat_map(|asked| &asked.after));
        let (mut jobs, mut sights) = (Vec::new(), Vec::new());
        for Asked { kernel, request, .. } in self.asked {
            let job = Job::open(kernel, &source, request, data)?;
            sights.push(Sight::of(&job, data, &Ok(()), self.team, request));
            jobs.push(job);
        }
        Ok((source, jobs, sights))
    }

    /// Says once what there is to know of the source.
    fn note_source(&self, jobs: &[Job]) {
        let mut notes: Vec<String> = Vec::new();
        for job in jobs {
            for note in &job.source.notes {
                let text = format!("{}: {note}", job.source.info.path);
                if !notes.contains(&text) {
                    self.observer.note(&text.clone().into());
                    notes.push(text);
                }
            }
        }
    }

    fn step<'s>(&'s self, of: &'s Planned<'_>, source: &'s ReadFile) -> Step<'s> {
        let Self { observer, stop, .. } = *self;
        Step { job: of.job, request: of.request, target: &of.target, source, observer, stop }
    }

    /// The results of a computation, if all that is asked for is there.
    fn existing(&self, of: &Planned<'_>, source: &ReadFile) -> Result<Option<Computed>> {
        let Planned { job, request, target, .. } = of;
        let asked = (*request, of.selected.as_ref());
        let found = search::find(job, asked, target, source, None, &Quiet)?;
        job.compared.tell(self.observer);
        let Found::Complete { computed, is_stale } = found else { return Ok(None) };
        if is_stale {
            // Nothing that is read depends on it. Who can't write leaves it to the next who can.
            let _ = self.mend(of, source, &computed.group);
        }
        self.step(of, source).finish(None, *computed).map(Some)
    }

    /// Computes what isn't there, in as few passes over the data as it takes.
    fn compute_planned(
        &self,
        planned: &[Planned<'_>],
        source: &ReadFile,
        shares: &Shares,
        ended: &mut [Option<Computed>],
    ) -> Result<()> {
        let all: Vec<_> = planned.iter().map(|of| (of.job, of.selected.as_ref())).collect();
        let passes = self.passes(&all, ended, shares)?;
        let left =
            || planned.iter().filter(|of| passes.iter().flatten().any(|at| *at == of.number));
        let locks = self.claim(left(), source)?;
        let mut begun: Vec<Option<Begun<'_>>> = planned.iter().map(|_| None).collect();
        let (mut trouble, mut done) = (None, Vec::new());
        for of in left() {
            match self.begin(of, source, lock_of(&locks, of))? {
                Ready::Complete(computed) => {
                    let lock = Some(lock_of(&locks, of));
                    let computed = self.step(of, source).finish(lock, *computed)?;
                    ended[of.number] = Some(computed);
                }
                Ready::Begun(of_this) => begun[of.number] = Some(*of_this),
            }
        }
        for pass in passes {
            let mut of_pass: Vec<Begun<'_>> =
                pass.iter().filter_map(|number| begun[*number].take()).collect();
            if of_pass.is_empty() {
                continue;
            }
            let computed = match self.run_passes(&mut of_pass, &all, shares) {
                // One that can't be computed keeps none of the others from it.
                Err(error @ Error::Unsuitable { .. }) => {
                    trouble.get_or_insert(error);
                    continue;
                }
                other => other?,
            };
            for (Begun { of, lock, .. }, computed) in of_pass.into_iter().zip(computed) {
                let folded = of.job.folded();
                let has_checkpoint = folded.is_some_and(|folded| folded.checkpoint.is_some());
                if has_checkpoint && computed.outcome == Outcome::Finished {
                    fold::tidy_up(lock, source, &computed.group);
                }
                done.push((of, lock, computed));
            }
        }
        // When nobody reads any of it any more: what is compressed lies elsewhere.
        for (of, lock, computed) in done {
            match self.step(of, source).finish(Some(lock), computed) {
                Ok(computed) => ended[of.number] = Some(computed),
                // All of it is there; the others don't depend on that.
                Err(error @ Error::NotCompressed { .. }) => {
                    trouble.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        trouble.map_or(Ok(()), Err)
    }

    /// Makes the results groups of what isn't there.
    fn begin_planned(
        &self,
        planned: &[Planned<'_>],
        source: &ReadFile,
        _: &Shares,
        ended: &mut [Option<Computed>],
    ) -> Result<()> {
        let left: Vec<&Planned<'_>> =
            planned.iter().filter(|of| ended[of.number].is_none()).collect();
        let locks = self.claim(left.iter().copied(), source)?;
        for of in left {
            ended[of.number] = Some(match self.begin(of, source, lock_of(&locks, of))? {
                Ready::Complete(computed) => *computed,
                Ready::Begun(begun) => begun.computed()?,
            });
        }
        Ok(())
    }

    /// Looks whether results that took some of others, which weren't all there, took what is there
    /// now, and says in them what they are recognised by then. If somebody has the file open, the
    /// next who asks for them does. What took anything else isn't done: to compute it again is to
    /// begin anew.
    fn identify(
        &self,
        of: &Planned<'_>,
        source: &ReadFile,
        ended: &mut [Option<Computed>],
    ) -> Result<()> {
        let is_there = |group: &Computed| {
            let mut others = ended.iter().flatten().filter(|of| of.outcome != Outcome::Stopped);
            others.any(|of| (&of.file, &of.group) == (&group.file, &group.group))
        };
        let all_are_there = self.asked[of.number].after.iter().all(is_there);
        let Some(computed) = &mut ended[of.number] else { return Ok(()) };
        let results =
            if of.target.is_separate() { open_read(&of.target.file)? } else { source.again()? };
        let said = results.group(&computed.group).ok();
        let said = said.and_then(|group| attributes::string(&group, "parameter_hash"));
        let is_known =
            said.is_none_or(|hash| !of.job.takes_unfinished() && hash == of.job.identity.hash());
        if is_known || computed.outcome == Outcome::Stopped {
            return Ok(());
        }
        if !all_are_there {
            computed.outcome = Outcome::Stopped;
            return Ok(());
        }
        let view = source.again()?;
        let job = Job::open(&of.job.kernel, &view, of.request, &Data::default())?;
        drop(view);
        let group = &computed.group;
        if !evidence::took_what_is_there(&job, of.request, (&results, group))? {
            let text = format!("what {group} took of other results isn't what they are now");
            self.observer.note(&text.into());
            computed.outcome = Outcome::Stopped;
            return Ok(());
        }
        drop(results);
        let identified = RunLock::claim(&of.target, source, &Quiet).and_then(|lock| {
            lock.alone(source, || prepare::identify(&job, &of.target, &lock, group))
        });
        match identified {
            Ok(()) => computed.parameter_hash = job.identity.hash(),
            Err(error) => debug!("{group} isn't recognised by all that it took: {error}"),
        }
        Ok(())
    }

    /// Which of the computations that haven't `ended` go over the data together.
    fn passes(
        &self,
        all: &[(&Job, Option<&Selected>)],
        ended: &[Option<Computed>],
        shares: &Shares,
    ) -> Result<Vec<Vec<usize>>> {
        let workers = shares.workers.iter().copied().max().unwrap_or(1);
        let wanted: Vec<usize> = (0..all.len()).filter(|at| ended[*at].is_none()).collect();
        let shared = pass::shared(all, &wanted, shares.memory, workers)?;
        let told = shared.iter().filter_map(|pass| pass.note(all));
        told.for_each(|note| self.observer.note(&note));
        Ok(shared.into_iter().map(|pass| pass.numbers).collect())
    }

    /// Claims each file that results go to.
    fn claim<'p>(
        &self,
        planned: impl Iterator<Item = &'p Planned<'p>>,
        source: &ReadFile,
    ) -> Result<Vec<RunLock>> {
        let mut locks: Vec<RunLock> = Vec::new();
        for Planned { target, .. } in planned {
            if locks.iter().any(|lock| lock.path() == target.file) {
                continue;
            }
            let claimed = RunLock::claim(target, source, self.observer);
            let checked = claimed.and_then(|lock| lock.check_source(source).map(|()| lock));
            if checked.is_err() {
                locks.iter().for_each(RunLock::abandon);
            }
            locks.push(checked?);
        }
        Ok(locks)
    }

    /// Makes a results group ready, or finds that somebody else has completed it meanwhile.
    fn begin<'b>(
        &self,
        of: &'b Planned<'b>,
        source: &ReadFile,
        lock: &'b RunLock,
    ) -> Result<Ready<'b>> {
        let Planned { job, request, .. } = of;
        let selected = of.selected.as_ref();
        loop {
            let found = self.make_ready(of, source, lock)?;
            job.compared.tell(self.observer);
            let (path, noted) = match found {
                Found::Complete { computed, .. } => return Ok(Ready::Complete(computed)),
                Found::Partial { path } => (path, None),
                Found::Created { path, last_run } => (path, Some(last_run)),
                Found::Foreign { .. } | Found::Nothing => {
                    unreachable!("what isn't ready has been made ready with the file locked")
                }
            };
            let positions = request.positions.as_ref();
            let mut group = prepare::take(job, lock, path, (noted, positions))?;
            let resumed = Resumed::settle(job, selected, (&mut group, lock))?;
            // Other positions are done than the search has seen, and their data not compared.
            if resumed.as_ref().is_none_or(|resumed| !resumed.is_changed) {
                return Ok(Ready::Begun(Box::new(Begun { of, lock, group, resumed })));
            }
        }
    }

    /// What each rank may use, if all see the same.
    fn shares(&self, jobs: &[Job], all: &[Vec<Sight>]) -> Result<Shares> {
        let positions = jobs.iter().map(|job| job.source.info.positions).min().unwrap_or(0);
        let ranks = all.len();
        if ranks as u64 > positions {
            return Err(Error::TooManyRanks { ranks, positions });
        }
        if let Some(rank) = all.iter().position(|sights| !are_alike(sights, all)) {
            return Err(self.unlike(jobs, (rank, &all[rank]))?);
        }
        // Where a rank is doesn't depend on what it computes.
        let sights: Vec<&Sight> = all.iter().filter_map(|sights| sights.first()).collect();
        let own = sights[0];
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
        say_shares(self.request.cores, &sights, &workers);
        Ok(Shares { workers, memory, nodes: nodes.len() })
    }

    /// In what a rank was asked for something else than this one, or sees another file.
    fn unlike(&self, jobs: &[Job], (rank, sights): (usize, &[Sight])) -> Result<Error> {
        let own = jobs.iter().zip(self.asked);
        let own: Vec<Wanted> = own.map(|(job, of)| Wanted::of(job, &of.request)).collect();
        self.team.order(|| Orders::Compare(own))?;
        let mut told = self.team.tell::<Option<RankError>>(Ok(&None))?;
        let error = told[rank].take().unwrap_or_else(|| {
            let path = self.request.file.clone();
            let error = Error::OtherFile { path, difference: None };
            RankError::met_on(sights.first().map_or("", |sight| &sight.host), &error)
        });
        Ok(error.at(rank))
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
    fn mend(&self, of: &Planned<'_>, source: &ReadFile, group: &str) -> Result<()> {
        let Planned { job, request, target, .. } = of;
        let lock = RunLock::claim(target, source, &Quiet)?;
        info!("{group} is complete, but what tells so isn't up to date: that is mended");
        // Not the results themselves, which may be compressed.
        fold::tidy_up(&lock, source, group);
        let group = prepare::look(job, &lock, group.to_owned(), (&[], None))?;
        let file = Direct::new(lock.handle())?;
        let request = Request { retry_failed: false, ..(*request).clone() };
        let all = (None, &job.source.grid);
        let ledger = Ledger::new(group.places.digest, Record::default());
        let mut marker = Marker::open((&lock, &file), &group, ledger, &request, all, &Quiet)?;
        marker.settle().map(|_| ())
    }

    /// Finds a group that results can go to, or makes one.
    fn make_ready(&self, of: &Planned<'_>, source: &ReadFile, lock: &RunLock) -> Result<Found> {
        let Planned { job, request, target, .. } = of;
        let selected = of.selected.as_ref();
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
    fn ledger(&self, begun: &Begun<'_>, status: &Marks) -> Result<Ledger> {
        let Begun { of, lock, group, .. } = begun;
        let Planned { job, request, .. } = of;
        let (selected, grid) = (of.selected.as_ref(), &job.source.grid);
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
        let (team, file) = (self.team, self.request.file.clone());
        team.reset_counter()?;
        team.order(|| Orders::Prepare(Box::new(assignment)))?;
        let stock = stock();
        let outline = stock.as_ref().map(Stock::outline);
        let outlines = team.tell(outline.as_ref().map_err(|error| *error))?;
        if outlines.iter().any(|outline| *outline != outlines[0]) {
            return Err(Error::OtherFile { path: file, difference: None });
        }
        stock
    }

    /// The computing phase of a pass, on all ranks; of a fold that takes several passes, which is
    /// alone then, of all of them.
    fn run_passes(
        &self,
        begun: &mut [Begun<'_>],
        all: &[(&Job, Option<&Selected>)],
        shares: &Shares,
    ) -> Result<Vec<Computed>> {
        let ended = self.run_one_after_the_other(begun, all, shares);
        begun.iter().for_each(|begun| begun.of.job.kept.forget());
        if ended.is_err() {
            // Between two passes nobody was told of an end.
            self.observer.end();
        }
        ended
    }

    fn run_one_after_the_other(
        &self,
        begun: &mut [Begun<'_>],
        all: &[(&Job, Option<&Selected>)],
        shares: &Shares,
    ) -> Result<Vec<Computed>> {
        let mut before = Report::default();
        loop {
            let mut computed = self.run(begun, all, shares)?;
            let ([of], [alone]) = (computed.as_mut_slice(), &mut *begun) else {
                return Ok(computed);
            };
            if let Some(report) = &mut of.report {
                report.follow(&before);
                before = report.clone();
            }
            match self.next_pass(alone, of)? {
                Some(next) => alone.resumed = Some(next),
                None => return Ok(computed),
            }
        }
    }

    /// What the next pass of a fold begins with, if one follows that has ended so.
    fn next_pass(&self, begun: &mut Begun<'_>, ended: &Computed) -> Result<Option<Resumed>> {
        let has_stopped = ended.outcome == Outcome::Stopped;
        let Planned { job, selected, .. } = begun.of;
        let is_last = job.prepared.fold().is_none_or(Fold::is_last_pass);
        if is_last || !has_stopped || self.stop.is_requested() {
            return Ok(None);
        }
        begun.group.resumed = true;
        let taken = (&mut begun.group, begun.lock);
        let next = Resumed::settle(job, selected.as_ref(), taken)?;
        Ok(next.filter(|next| next.units == 0))
    }

    /// The computing phase of a pass, on all ranks.
    fn run(
        &self,
        begun: &mut [Begun<'_>],
        all: &[(&Job, Option<&Selected>)],
        shares: &Shares,
    ) -> Result<Vec<Computed>> {
        let Self { request, observer, stop, team, .. } = *self;
        let mut resumed = resumed(begun)?;
        let begun = &*begun;
        let members = begun.iter().map(|begun| (begun.of.job, begun.of.selected.as_ref()));
        let pass = Pass::new(members.collect()).among(all);
        let (segments, plan) = self.plan(&pass, begun, shares)?;
        let plan = &plan;
        let written = begun.iter().map(|begun| Written::open(begun, team));
        let written = &written.collect::<Result<Vec<_>>>()?;
        let markers = self.markers(begun, written)?;
        let unmarked = unmarked(begun, &resumed)?;
        let pending = begun.iter().zip(written).zip(&unmarked);
        let pending: Vec<Pending<'_>> =
            pending.map(|((begun, to), unmarked)| begun.pending(&to.status, unmarked)).collect();
        let of_all: Vec<&Pending<'_>> = pending.iter().collect();
        let (folded, tasks) = tasks(begun, &resumed);
        let foldings: Vec<Option<Folding<'_>>> = begun
            .iter()
            .zip(&pending)
            .zip(&mut resumed)
            .map(|((begun, pending), resumed)| {
                begun.folding(pending, resumed.as_mut(), (plan.workers, team))
            })
            .collect();
        let of_folds = begun.iter().zip(&foldings).zip(resumed);
        let markers = markers.into_iter().zip(of_folds).map(|(marker, ((begun, of), resumed))| {
            let places = &begun.group.places;
            marker.of_fold(of.as_ref().zip(resumed).map(|of| Committer::new(of, places)))
        });
        let markers = markers.collect();
        let led = begun.iter().zip(&pending).map(|(begun, pending)| begun.led(pending));
        let led = &led.collect::<Result<Vec<_>>>()?;
        let members = begun.iter().zip(written).zip(pending.iter().zip(&foldings));
        let members: Vec<Member<'_>> =
            members.map(|((begun, to), of)| begun.member(to, of)).collect();
        let count = count_of(led, &of_all)?;
        let geometry = pass.geometry_from(&folded);
        let (workers, memory) = (shares.workers.clone(), shares.memory);
        let assignment = Assignment { tasks, workers, memory, segments };
        let stock = &self.assign(assignment, || pass.stock(&of_all, geometry, plan, team))?;
        info!("{count} positions are to be computed; {}", stock.told(team.ranks()));
        team.order(|| Orders::Begin)?;
        let crew = shares.crew(plan);
        for (led, begun) in led.iter().zip(begun) {
            observer.begin(&led.group.info(led.job, &begun.of.target, plan, led.count, crew));
        }
        // Where others compute as well, it has a share of the cores.
        let share = Workers::exactly(shares.workers[0]);
        let workers = if team.others() == 0 { &pass.first().workers } else { &share };
        if let ([alone], [pending]) = (led.as_slice(), pending.as_slice())
            && let Some(estimate) =
                before_run((alone.job, plan), (pending, count), (workers, crew.0))
        {
            observer.estimate(estimate);
        }
        let members = &members;
        let phase = Phase {
            led,
            members,
            geometry,
            count,
            stock,
            plan,
            workers,
            request,
            observer,
            stop,
            team,
        };
        phase.run(markers)
    }

    /// How this rank divides the work, and how all cut blocks.
    fn plan(
        &self,
        pass: &Pass<'_>,
        begun: &[Begun<'_>],
        shares: &Shares,
    ) -> Result<(Option<Vec<u64>>, Plan)> {
        let workers = shares.workers.iter().copied().max().unwrap_or(1);
        let segments = pass.plan(shares.memory, workers, None)?.blocks;
        let segments = segments.map(|blocks| blocks.segments);
        for Begun { of, .. } in begun {
            of.job.tell_means(shares.workers[0], shares.memory, of.selected.is_some());
        }
        let plan = pass.plan(shares.memory, shares.workers[0], segments.as_deref())?;
        for Begun { of, .. } in begun {
            of.job.kept.allow(plan.kept);
            narration::plan(&*of.job.kernel, &plan);
        }
        narration::marking(self.request, self.request.checkpoint / BATCHES_PER_CHECKPOINT);
        Ok((segments, plan))
    }

    /// What marks the positions of each computation.
    fn markers<'m>(&self, begun: &[Begun<'m>], written: &'m [Written]) -> Result<Vec<Marker<'m>>> {
        let mut markers = Vec::new();
        for (begun, Written { file, status }) in begun.iter().zip(written) {
            let ledger = self.ledger(begun, status)?;
            let Begun { of, lock, group, .. } = begun;
            let asked = (of.selected.as_ref(), &of.job.source.grid);
            let to = (*lock, &**file);
            markers.push(Marker::open(to, group, ledger, of.request, asked, self.observer)?);
        }
        Ok(markers)
    }
}

/// What some computations are resumed from; their kernels then are in the pass that it is of.
fn resumed(begun: &mut [Begun<'_>]) -> Result<Vec<Option<Resumed>>> {
    let each = begun.iter_mut().map(|begun| {
        let resumed = begun.resumed.take();
        resumed.as_ref().map_or(Ok(()), |resumed| resumed.begin(begun.of.job))?;
        Ok(resumed)
    });
    each.collect()
}

/// The positions of each that aren't to be folded though no marks tell of them.
fn unmarked(begun: &[Begun<'_>], resumed: &[Option<Resumed>]) -> Result<Vec<Positions>> {
    let each = begun.iter().zip(resumed).map(|(Begun { of, .. }, resumed)| {
        let units = resumed.as_ref().map(|resumed| resumed.units);
        units.map_or_else(
            || Ok(Positions::default()),
            |units| fold::unmarked((of.job, of.selected.as_ref()), units),
        )
    });
    each.collect()
}

/// How many units of each are folded already, and what other ranks have to know of it.
fn tasks(begun: &[Begun<'_>], resumed: &[Option<Resumed>]) -> (Vec<u64>, Vec<Task>) {
    let each = begun.iter().zip(resumed).map(|(begun, resumed)| {
        let folded = resumed.as_ref().map_or(0, |of| of.units);
        let pass = resumed.as_ref().and_then(|of| of.pass.message());
        (folded, begun.task((folded, pass)))
    });
    each.unzip()
}

impl Shares {
    /// The workers, the ranks that they are on, and the nodes of these.
    fn crew(&self, plan: &Plan) -> (usize, usize, usize) {
        // Where memory isn't enough for all workers of a rank, it isn't for those of any.
        let most = if plan.workers < self.workers[0] { plan.workers } else { usize::MAX };
        let workers = self.workers.iter().map(|workers| (*workers).min(most)).sum();
        (workers, self.workers.len(), self.nodes)
    }
}

/// Whether a rank was asked for the same as the first, and sees the same.
fn are_alike(sights: &[Sight], all: &[Vec<Sight>]) -> bool {
    let near = sights.first().and_then(|sight| all.get(sight.berth.node));
    let near = near.filter(|near| near.len() == sights.len()).unwrap_or(&all[0]);
    let mut like = sights.iter().zip(&all[0]).zip(near);
    sights.len() == all[0].len() && like.all(|((sight, first), near)| sight.is_like(first, near))
}

/// The lock of the file that the results of a computation go to.
fn lock_of<'l>(locks: &'l [RunLock], of: &Planned<'_>) -> &'l RunLock {
    let lock = locks.iter().find(|lock| lock.path() == of.target.file);
    lock.expect("every file that is written to is locked")
}

/// What of a computation is there before it is computed.
enum Ready<'a> {
    Complete(Box<Computed>),
    Begun(Box<Begun<'a>>),
}

/// How many positions are pending in any of the computations.
fn count_of(led: &[Led<'_>], pending: &[&Pending<'_>]) -> Result<u64> {
    match led {
        [alone] => Ok(alone.count),
        _ => Pending::count_any(pending),
    }
}

/// Whether no computation is asked for twice: both would write to the same group.
///
/// # Errors
/// If one is, its name.
pub(crate) fn check_distinct<'j>(jobs: impl Iterator<Item = &'j Job>) -> Result<()> {
    let mut hashes = Vec::new();
    for job in jobs {
        let hash = job.identity.hash();
        if hashes.contains(&hash) {
            return Err(Error::AskedTwice { process: job.kernel.name().to_owned() });
        }
        hashes.push(hash);
    }
    Ok(())
}

/// Only now is it of interest: results that are there already need no writing.
fn check_all_can_write(sights: Vec<Vec<Sight>>) -> Result<()> {
    for (rank, sights) in sights.into_iter().enumerate() {
        for sight in sights {
            sight.can_write.map_err(|trouble| trouble.at(rank))?;
        }
    }
    Ok(())
}
