//! A computation on its way: planned, then with its results group, then computed.

use super::crew::Led;
use super::fold::{Folding, PassMessage, Resumed};
use super::job::Job;
use super::member::Member;
use super::pending::Pending;
use super::prepare::Taken;
use super::selection::Selected;
use super::target::{RunLock, Target};
use super::team::{Task, Team};
use super::{Computed, FailedPositions, Outcome, Request};
use crate::storage::in_place::InPlace;
use crate::storage::marks::Marks;
use pixelmill_core::error::Result;
use pixelmill_core::positions::Positions;

/// A computation that is to be led, before anything of it is known to be there.
pub(crate) struct Planned<'a> {
    pub number: usize,
    pub job: &'a Job,
    pub request: &'a Request,
    pub target: Target,
    pub selected: Option<Selected>,
}

/// The same with its results group.
pub(crate) struct Begun<'a> {
    pub of: &'a Planned<'a>,
    pub lock: &'a RunLock,
    pub group: Taken,
    pub resumed: Option<Resumed>,
}

/// What results are written to, and which positions have them.
pub(crate) struct Written {
    pub file: Box<dyn InPlace>,
    pub status: Marks,
}

impl Written {
    /// Opens what a computation writes to.
    ///
    /// # Errors
    /// If it can't be opened.
    pub fn open(Begun { lock, group, .. }: &Begun<'_>, team: Team<'_>) -> Result<Self> {
        let status = Marks::within(lock.handle(), group.places.status)?;
        Ok(Self { file: team.ranks().open(lock.handle())?, status })
    }
}

impl Begun<'_> {
    /// It as results of which some may be there.
    ///
    /// # Errors
    /// If the status can't be read.
    pub fn computed(&self) -> Result<Computed> {
        let status = Marks::within(self.lock.handle(), self.group.places.status)?;
        Ok(Computed {
            process: self.of.job.kernel.name().to_owned(),
            file: self.lock.path().to_owned(),
            group: self.group.path.clone(),
            parameter_hash: self.of.job.identity.hash(),
            outcome: Outcome::Stopped,
            completed: status.summary()?.count,
            positions: status.count(),
            failed: FailedPositions::default(),
            report: None,
            compressed: None,
            selection: None,
            inputs: Vec::new(),
        })
    }

    /// What it has to do, by what is marked, and what is done without a mark.
    pub fn pending<'p>(&'p self, status: &'p Marks, unmarked: &'p Positions) -> Pending<'p> {
        let pending = Pending::new(status, self.of.selected.as_ref(), &self.of.job.source.grid);
        pending.except(unmarked)
    }

    /// What its spectra are folded into on some workers and on other ranks, if it folds them, with
    /// what it is `resumed` from.
    pub fn folding<'p>(
        &'p self,
        pending: &'p Pending<'p>,
        resumed: Option<&mut Resumed>,
        (workers, team): (usize, Team<'_>),
    ) -> Option<Folding<'p>> {
        let job = self.of.job;
        let (of, resumed) = job.geometry_of_pass().zip(resumed)?;
        let folding = Folding::resumed(job, of, pending, resumed);
        // What is written here comes to the disk when it is marked.
        Some(folding.shared_by((team.rank(), team.others() + 1), workers, None))
    }

    /// It as workers see it.
    pub fn member<'m>(
        &'m self,
        to: &'m Written,
        (pending, folding): (&'m Pending<'m>, &'m Option<Folding<'m>>),
    ) -> Member<'m> {
        let places = (&*to.file, self.group.places.columns.as_slice());
        Member::new((self.of.job, pending), folding.as_ref(), places)
    }

    /// It as its leader sees it.
    ///
    /// # Errors
    /// If the status or a selection can't be read.
    pub fn led(&self, pending: &Pending<'_>) -> Result<Led<'_>> {
        let Self { of, lock, group, .. } = self;
        let is_batch = of.job.prepared.fold().is_some_and(|fold| fold.mini_batch().is_some());
        let is_whole = !group.resumed && of.selected.is_none() && !is_batch;
        let count = if is_whole { pending.positions() } else { pending.count()? };
        Ok(Led { job: of.job, request: of.request, group, count, lock })
    }

    /// What other ranks have to know of it; so many units of a pass are folded already.
    pub fn task(&self, (folded, pass): (u64, Option<PassMessage>)) -> Task {
        let Self { of, lock, group, .. } = self;
        Task {
            number: of.number,
            file: lock.path().to_owned(),
            group: group.path.clone(),
            last_run: group.last_run.clone(),
            columns: group.places.columns.clone(),
            status: group.places.status,
            folded,
            pass,
        }
    }
}
