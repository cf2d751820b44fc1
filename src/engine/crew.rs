//! The computing phase as rank 0 sees it: it computes as well, marks what any rank has computed,
//! tells the observer how far all are, and passes on that somebody asks to stop or has failed. What
//! ranks fold together it gathers.

use std::thread;
use std::time::{Duration, Instant};

use log::debug;

use super::carrier::Carrier;
use super::compute_loop::{ComputeLoop, Work};
use super::data::Data;
use super::evidence;
use super::fold::Folding;
use super::fold::geometry::Geometry;
use super::gathering::Gathering;
use super::job::Job;
use super::marker::{Marker, mark_all};
use super::member::Member;
use super::narration;
use super::prepare::Taken;
use super::scheduler::Scheduler;
use super::supply::Stock;
use super::target::RunLock;
use super::team::{Call, News, RankError, Team};
use super::workers::Workers;
use super::{Computed, FailedPositions, Observer, Outcome, Progress, Report, Request, Stop, Tally};
use crate::plan::Plan;
use pixelmill_core::error::{Error, Result};
use pixelmill_core::kernel::Fold;

/// How often the observer is told.
const TICK: Duration = Duration::from_millis(100);
/// How often rank 0 looks for news of the others. It is also how long a rank may wait for the
/// common counter where the network has no atomics of its own.
const PAUSE: Duration = Duration::from_millis(1);
/// How long the others have to end what they have in hand once one has met an error.
const PATIENCE: Duration = Duration::from_secs(10);

/// What rank 0 computes with.
pub(crate) struct Phase<'a> {
    /// The computations, and what each of them is for all ranks.
    pub led: &'a [Led<'a>],
    pub members: &'a [Member<'a>],
    /// How the scan is cut, if any of them folds it, and the first of the units that is left.
    pub geometry: Option<(&'a Geometry, u64)>,
    /// How many positions are pending in any of them.
    pub count: u64,
    /// What the ranks share of it.
    pub stock: &'a Stock,
    pub plan: &'a Plan,
    pub workers: &'a Workers,
    pub request: &'a Request,
    pub observer: &'a dyn Observer,
    pub stop: &'a Stop,
    pub team: Team<'a>,
}

/// A computation that this rank leads.
#[derive(Clone, Copy)]
pub(crate) struct Led<'a> {
    pub job: &'a Job,
    pub request: &'a Request,
    pub group: &'a Taken,
    /// How many positions are pending.
    pub count: u64,
    pub lock: &'a RunLock,
}

impl Phase<'_> {
    /// Computes what is pending, together with the other ranks; each computation has its marker.
    ///
    /// # Errors
    /// If the source can't be read, the results can't be written, or the source was changed
    /// meanwhile. What is marked by then is right and stays.
    pub fn run(&self, mut markers: Vec<Marker<'_>>) -> Result<Vec<Computed>> {
        let (observer, team, members) = (self.observer, self.team, self.members);
        let others = team.others();
        let (plan, workers, stock, geometry) = (self.plan, self.workers, self.stock, self.geometry);
        let mut crew = Crew::new((team, members), self.request, self.stop, observer);
        // What was folded comes last.
        let others = others + usize::from(crew.shares_folds());
        let work = Work { team, workers, plan, members, geometry, stock, others };
        let compute_loop = ComputeLoop::new(&work, self.request, self.stop);
        let scheduler = &compute_loop.scheduler;
        let begun = Instant::now();
        let mut told: Option<Instant> = None;
        let marking = &mut markers;
        let ran = compute_loop.run(
            || mark_all(marking, scheduler, observer),
            if others == 0 { TICK } else { PAUSE },
            || {
                let heard = crew.go_on(scheduler, compute_loop.has_worked());
                if told.is_none_or(|last| last.elapsed() >= TICK) || crew.has_ended() {
                    told = Some(Instant::now());
                    observer.progress(&self.progress(begun, &crew, &compute_loop.tally()));
                }
                heard
            },
        );
        let dismissed = crew.dismiss(ran.err(), scheduler);
        if dismissed.is_err() || self.stop.is_requested() || !self.is_between() {
            observer.end();
        }
        let report = crew.report(compute_loop.tally(), begun, &markers);
        narration::tally(&report.ranks[0]);
        let now = &Data::default();
        let ended: Vec<Result<FailedPositions>> = self
            .led
            .iter()
            .zip(&mut markers)
            .map(|(led, marker)| {
                // Of a pass that others follow nothing is marked, and what they read is compared.
                let is_checked = led.is_last_pass();
                let unchanged =
                    if is_checked { led.check_data(marker, now, observer) } else { Ok(()) };
                let failed = marker.settle();
                marker.checkpoint(observer);
                unchanged.and(failed)
            })
            .collect();
        dismissed?;
        let mut computed = Vec::new();
        for ((led, marker), failed) in self.led.iter().zip(&markers).zip(ended) {
            computed.push(led.computed(marker, failed?, report.clone())?);
        }
        Ok(computed)
    }

    /// Whether another pass over the data follows.
    fn is_between(&self) -> bool {
        !self.led.iter().all(Led::is_last_pass)
    }

    fn progress(&self, begun: Instant, crew: &Crew<'_>, own: &Tally) -> Progress {
        let sum = |of: fn(&Tally) -> u64| of(own) + crew.tallies.iter().map(of).sum::<u64>();
        Progress {
            done: sum(|tally| tally.positions),
            total: self.count,
            bytes: sum(|tally| tally.bytes),
            failed: sum(|tally| tally.failed),
            elapsed: begun.elapsed(),
            stopping: self.stop.is_requested(),
        }
    }
}

impl Led<'_> {
    /// Whether no other pass over the data follows the one that has begun.
    fn is_last_pass(&self) -> bool {
        self.job.prepared.fold().is_none_or(Fold::is_last_pass)
    }

    /// What was computed; `failed` are the positions that failed.
    fn computed(
        &self,
        marker: &Marker<'_>,
        failed: FailedPositions,
        report: Report,
    ) -> Result<Computed> {
        self.lock.check_in_place()?;
        // There may be nothing to do in a pass that others follow.
        let is_done = self.is_last_pass() && marker.marked() == self.count;
        Ok(Computed {
            process: self.job.kernel.name().to_owned(),
            file: self.lock.path().to_owned(),
            group: self.group.path.clone(),
            parameter_hash: self.job.identity.hash(),
            outcome: if is_done { Outcome::Finished } else { Outcome::Stopped },
            completed: marker.completed(),
            positions: marker.positions(),
            failed,
            report: Some(report),
            compressed: None,
            selection: None,
            inputs: Vec::new(),
        })
    }

    /// The data must still be what they were at the beginning; if not, nothing that this run marked
    /// is right.
    fn check_data(
        &self,
        marker: &mut Marker<'_>,
        data: &Data,
        observer: &dyn Observer,
    ) -> Result<()> {
        let results = self.lock.id()?;
        let checked = {
            let (marked, digest) = marker.computed(&self.job.source.grid);
            let computed = evidence::Computed { data, results, marked: &marked, digest };
            evidence::check(self.job, self.request, &computed)
        };
        match checked {
            Ok(()) => marker.conclude(evidence::evidence(self.job, results)),
            Err(error) if evidence::leaves_results_right(&error) => Err(error),
            Err(error) => {
                marker.unmark(observer)?;
                Err(error)
            }
        }
    }
}

/// The other ranks, as rank 0 sees them.
struct Crew<'a> {
    team: Team<'a>,
    members: &'a [Member<'a>],
    stop: &'a Stop,
    observer: &'a dyn Observer,
    /// What each of them has done, as far as it has told.
    tallies: Vec<Tally>,
    /// How many have not ended yet, and how many still compute.
    left: usize,
    working: usize,
    /// What ranks have folded together: what is on its way from here, and what is asked for.
    carrier: Carrier<'a>,
    gatherings: Vec<Gathering<'a>>,
    checkpoint: Duration,
    /// Whether all others have been told that nothing more is wanted.
    has_halted: bool,
    /// Nodes that have come, and their bytes.
    arrived: (u64, u64),
    /// Of which computations the others know that they can't be folded.
    known_lost: Vec<bool>,
    has_called_stop: bool,
    /// When all were called to end because one has failed.
    called_off: Option<Instant>,
    /// What the first of them that failed has met, and whether this rank has met an error.
    error: Option<Error>,
    has_met_own: bool,
}

impl<'a> Crew<'a> {
    fn new(
        (team, members): (Team<'a>, &'a [Member<'a>]),
        request: &Request,
        stop: &'a Stop,
        observer: &'a dyn Observer,
    ) -> Self {
        let left = team.others();
        let carrier = Carrier::new((team, members), request.checkpoint);
        Self {
            team,
            members,
            stop,
            observer,
            tallies: vec![Tally::default(); left],
            left,
            working: left,
            gatherings: carrier.foldings().map(Gathering::new).collect(),
            carrier,
            checkpoint: request.checkpoint,
            has_halted: false,
            arrived: (0, 0),
            known_lost: vec![false; members.len()],
            has_called_stop: false,
            called_off: None,
            error: None,
            has_met_own: false,
        }
    }

    fn has_ended(&self) -> bool {
        self.left == 0
    }

    /// Whether anything is folded by several ranks.
    fn shares_folds(&self) -> bool {
        self.carrier.is_needed()
    }

    /// Hears all news there are, and passes on that somebody asks to stop or has failed, and what
    /// is folded; `has_worked` if nothing more is here.
    fn go_on(&mut self, scheduler: &Scheduler<'_>, has_worked: bool) -> Result<()> {
        let heard = self.hear(scheduler).and_then(|()| self.tell_lost());
        if let Some(signal) = self.stop.signal()
            && !std::mem::replace(&mut self.has_called_stop, true)
        {
            self.team.call(&Call::Stop(signal))?;
        }
        if heard.is_err() || self.error.is_some() || scheduler.has_failed() {
            self.call_off(scheduler)?;
        }
        let gathered = self.gather(scheduler, has_worked);
        if gathered.is_err() {
            // Nobody may wait for something that will never be sent.
            self.carrier.close();
        }
        heard.and(gathered)
    }

    fn hear(&mut self, scheduler: &Scheduler<'_>) -> Result<()> {
        while let Some((rank, news)) = self.team.news()? {
            match news {
                News::Batch(batch) => scheduler.arrived(batch),
                News::Rows(number, rows) => {
                    if let Some(folding) = self.members[number].folding {
                        folding.rows_arrived(rows);
                    }
                    scheduler.arrived(Vec::new());
                }
                News::Folded(number, folded) => {
                    self.arrived.0 += 1;
                    self.arrived.1 += folded.bytes.len() as u64;
                    if let Some(folding) = self.members[number].folding {
                        self.lose(folding, folding.arrived(folded), scheduler)?;
                    }
                    // It knows by itself what is to be marked.
                    scheduler.arrived(Vec::new());
                }
                News::Answered { number, is_busy } => {
                    let mut asking = self.gatherings.iter_mut();
                    if let Some(asking) = asking.find(|asking| asking.number() == number) {
                        asking.answered(is_busy);
                    }
                }
                News::Lost(number, reason) => {
                    if let Some(folding) = self.members[number].folding {
                        let lost = Err(folding.lost_elsewhere(reason));
                        self.lose(folding, lost, scheduler)?;
                    }
                }
                News::Tally(tally) => self.tallies[rank - 1] = tally,
                News::Stop(signal) => self.stop.request_by(signal),
                News::Worked(trouble) => {
                    self.working -= 1;
                    scheduler.other_has_ended();
                    if let Some(trouble) = trouble {
                        self.error.get_or_insert(trouble.at(rank));
                    }
                }
                News::Ended(ended) => self.other_has_ended(rank, ended, scheduler)?,
            }
        }
        Ok(())
    }

    fn other_has_ended(
        &mut self,
        rank: usize,
        ended: Result<Tally, RankError>,
        scheduler: &Scheduler<'_>,
    ) -> Result<()> {
        self.left -= 1;
        match ended {
            Ok(tally) => self.tallies[rank - 1] = tally,
            Err(trouble) => {
                self.error.get_or_insert(trouble.at(rank));
            }
        }
        if !self.shares_folds() {
            self.working -= 1;
            scheduler.other_has_ended();
        } else if self.has_ended() {
            self.team.call(&Call::Release)?;
        }
        Ok(())
    }

    /// What came of folding something in one of the computations: what can't be folded ends only
    /// that, if there are others.
    fn lose(
        &self,
        folding: &Folding<'_>,
        folded: Result<()>,
        scheduler: &Scheduler<'_>,
    ) -> Result<()> {
        if self.members.len() > 1 {
            return folding.lose(folded);
        }
        if let Err(error) = folded {
            scheduler.fail(error);
        }
        Ok(())
    }

    /// Tells all what can't be folded.
    fn tell_lost(&mut self) -> Result<()> {
        for (number, folding) in self.carrier.foldings() {
            if let Some(reason) = folding.why_lost()
                && !std::mem::replace(&mut self.known_lost[number], true)
            {
                self.team.call(&Call::Lost(number, reason))?;
            }
        }
        Ok(())
    }

    /// Passes on what is folded here, and asks for what others have: once in a checkpoint interval
    /// for what can be written down, and for all when nobody computes any more.
    fn gather(&mut self, scheduler: &Scheduler<'_>, has_worked: bool) -> Result<()> {
        if self.has_halted || !self.shares_folds() {
            return Ok(());
        }
        let has_failed = self.has_failed(scheduler);
        self.carrier.carry(has_worked && !has_failed)?;
        let all_have_worked = has_worked && self.working == 0;
        let is_last = all_have_worked && self.carrier.is_idle();
        for gathering in &mut self.gatherings {
            gathering.begin(self.checkpoint, is_last);
            gathering.ask(self.team)?;
        }
        let is_done = self.gatherings.iter().all(Gathering::is_done);
        if all_have_worked && (has_failed || is_done) {
            self.has_halted = true;
            debug!("{} nodes with {} bytes have come to be merged", self.arrived.0, self.arrived.1);
            self.carrier.close();
            scheduler.other_has_ended();
            self.team.call(&Call::Halt)?;
        }
        Ok(())
    }

    /// Whether this rank has met an error, so that nothing more will be written down.
    fn has_failed(&self, scheduler: &Scheduler<'_>) -> bool {
        scheduler.has_failed() || self.has_met_own
    }

    /// Lets all end what they have in hand; whoever takes too long for that is ended by force.
    fn call_off(&mut self, scheduler: &Scheduler<'_>) -> Result<()> {
        match self.called_off {
            None => {
                self.called_off = Some(Instant::now());
                scheduler.wind_up();
                self.team.call(&Call::WindUp)
            }
            Some(since) if self.working > 0 && since.elapsed() > PATIENCE => {
                let error = scheduler.take_error().or(self.error.take());
                self.abandon(error)
            }
            Some(_) => Ok(()),
        }
    }

    /// Waits until all have ended. `own` is the error that this rank has met.
    ///
    /// # Errors
    /// What any rank has met.
    fn dismiss(&mut self, own: Option<Error>, scheduler: &Scheduler<'_>) -> Result<()> {
        if let Some(error) = own {
            self.error = Some(error);
            self.has_met_own = true;
        }
        while !self.has_ended() {
            if let Err(error) = self.go_on(scheduler, true) {
                let error = self.error.take().unwrap_or(error);
                self.abandon(Some(error));
            }
            thread::sleep(PAUSE);
        }
        self.error.take().map_or(Ok(()), Err)
    }

    fn abandon(&self, error: Option<Error>) -> ! {
        self.observer.end();
        if let Some(error) = error {
            self.observer.abandoned(&error);
        }
        self.team.ranks().abort(1)
    }

    fn report(&self, own: Tally, begun: Instant, markers: &[Marker<'_>]) -> Report {
        let ranks: Vec<Tally> = std::iter::once(own).chain(self.tallies.iter().cloned()).collect();
        let sum = |of: fn(&Tally) -> Duration| ranks.iter().map(of).sum();
        Report {
            positions: ranks.iter().map(|tally| tally.positions).sum(),
            bytes: ranks.iter().map(|tally| tally.bytes).sum(),
            workers: ranks.iter().map(|tally| tally.workers).sum(),
            elapsed: begun.elapsed(),
            read: sum(|tally| tally.read),
            compute: sum(|tally| tally.compute),
            write: sum(|tally| tally.write),
            wait: sum(|tally| tally.wait),
            mark: markers.iter().map(|marker| marker.time).sum(),
            batches: markers.iter().map(|marker| marker.batches).max().unwrap_or(0),
            chunks: ranks[0].chunks.map(|(_, stored)| {
                let decoded = ranks.iter().filter_map(|tally| tally.chunks).map(|chunks| chunks.0);
                (decoded.sum(), stored)
            }),
            ranks,
        }
    }
}
