//! What every rank but the first does: it tells what it sees, gets ready for what rank 0 has
//! prepared, computes what it takes from the common counter, and tells when results are where they
//! have to be. Rank 0 marks them.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{debug, trace};

use super::compute_loop::{ComputeLoop, Work};
use super::data::Data;
use super::fold::Folding;
use super::job::Job;
use super::narration;
use super::pending::Pending;
use super::scheduler::Scheduler;
use super::search::selected;
use super::selection::Selected;
use super::sight::Sight;
use super::supply::Stock;
use super::target::Target;
use super::team::{Assignment, Call, News, Orders, RankError, Team};
use super::workers::Workers;
use super::{Computed, Durability, Request, Stop, Tally, plan_run};
use crate::plan::Plan;
use crate::storage::file::{self, look_at, open_read};
use crate::storage::in_place::InPlace;
use crate::storage::marks::Marks;
use crate::storage::open_file::OpenFile;
use crate::storage::results_group::{LAST_RUN, Place};
use crate::storage::{attributes, lock};
use pixelmill_core::error::{Error, Result};
use pixelmill_core::kernel::Kernel;

/// How often a rank looks for calls.
const PAUSE: Duration = Duration::from_millis(10);

/// Follows rank 0 through one computation.
///
/// # Errors
/// Whatever ended the job, as rank 0 tells it.
pub(crate) fn follow(
    kernel: &Arc<dyn Kernel>,
    request: &Request,
    stop: &Stop,
    team: Team<'_>,
) -> Result<Computed> {
    let opened = open(kernel, request, team);
    team.tell(opened.as_ref().map(|(_, _, sight)| sight))?;
    let assignment = match team.orders()? {
        Orders::Prepare(assignment) => assignment,
        other => return conclude(other, stop),
    };
    // Whoever couldn't open it is ordered to end.
    let (job, selected, _) = opened?;
    let (job, selected) = (&job, selected.as_ref());
    let ready = Ready::new((job, selected), &assignment, team);
    let outline = ready.as_ref().map(|ready| ready.stock.outline());
    team.tell(outline.as_ref().map_err(|error| *error))?;
    match team.orders()? {
        Orders::Begin => {}
        other => return conclude(other, stop),
    }
    let ready = ready?;
    let ended = ready.work((job, selected), &assignment.columns, request, stop, team);
    // With the file's lock: rank 0 may need it alone.
    drop(ready);
    team.send(&News::Ended(ended.map_err(|error| RankError::of(&error))))?;
    let orders = team.orders()?;
    // What was called after this rank had ended is still to be taken from the line.
    while team.called()?.is_some() {}
    conclude(orders, stop)
}

fn conclude(orders: Orders, stop: &Stop) -> Result<Computed> {
    let Orders::End(conclusion, signal) = orders else {
        unreachable!("rank 0 gives orders in one order");
    };
    if let Some(signal) = signal {
        stop.request_by(signal);
    }
    conclusion.map_err(|trouble| trouble.at(0))
}

fn open(
    kernel: &Arc<dyn Kernel>,
    request: &Request,
    team: Team<'_>,
) -> Result<(Job, Option<Selected>, Sight)> {
    let source = open_read(&request.file)?;
    let data = if team.looks_for_node() { Data::Hashed } else { Data::Unseen };
    let job = Job::open(kernel, &source, request, data)?;
    let can_write = can_write(&Target::of(request, &job)?);
    let sight = Sight::of(&job, data, &can_write, team, request);
    let selected = selected(&job, request, &source)?;
    // Rank 0 needs the file alone for a moment.
    lock::release(&source.raw, &request.file)?;
    Ok((job, selected, sight))
}

/// Whether this rank can write where results go, as far as it can tell before they are there.
fn can_write(target: &Target) -> Result<()> {
    if target.is_separate() && file::is_absent(&target.file) {
        return Ok(());
    }
    file::open(&target.file, true).map(|_| ())
}

/// The file that results go to, open for reading and with a reader's lock, and for writing in
/// place.
struct ResultsFile {
    raw: fs::File,
    in_place: Box<dyn InPlace>,
}

/// The file that rank 0 has prepared, if it is the one that this rank sees.
fn results_file(assignment: &Assignment, team: Team<'_>) -> Result<ResultsFile> {
    let path = &assignment.file;
    let raw = file::open(path, true)?;
    let opened = OpenFile { path, file: &raw };
    let seen = look_at(opened)?;
    let last_run =
        seen.group(&assignment.group).ok().and_then(|group| attributes::string(&group, LAST_RUN));
    if last_run.as_ref() != Some(&assignment.last_run) {
        return Err(Error::OtherFile { path: path.clone() });
    }
    // If rank 0 is lost, its locks are. Whoever changes the file's metadata must not do so before
    // this rank has written its last.
    lock::share(&raw, path)?;
    let in_place = team.ranks().open(opened)?;
    Ok(ResultsFile { raw, in_place })
}

/// What this rank computes with, once rank 0 has prepared everything.
struct Ready {
    file: ResultsFile,
    workers: Workers,
    plan: Plan,
    status: Marks,
    stock: Stock,
    /// How many units of a fold are folded already.
    folded: u64,
}

impl Ready {
    fn new(
        (job, selected): (&Job, Option<&Selected>),
        assignment: &Assignment,
        team: Team<'_>,
    ) -> Result<Self> {
        let file = results_file(assignment, team)?;
        let opened = OpenFile { path: &assignment.file, file: &file.raw };
        let workers = Workers::exactly(assignment.workers[team.rank()]);
        let (memory, segments) = (assignment.memory, assignment.segments.as_deref());
        job.tell_means(workers.cores(), memory, selected.is_some());
        let plan = plan_run(job, memory, workers.cores(), segments, selected)?;
        narration::plan(&*job.kernel, &plan);
        let status = Marks::within(opened, assignment.status)?;
        let pending = Pending::new(&status, selected, &job.source.grid);
        let stock = match &job.geometry {
            Some(geometry) => Stock::of_units(geometry.count() - assignment.folded),
            None => Stock::new(job, &pending, &plan, assignment.workers.len())?,
        };
        Ok(Self { file, workers, plan, status, stock, folded: assignment.folded })
    }

    /// Computes until nothing is left, or somebody asks to stop.
    fn work(
        &self,
        (job, selected): (&Job, Option<&Selected>),
        columns: &[Place],
        request: &Request,
        stop: &Stop,
        team: Team<'_>,
    ) -> Result<Tally> {
        let Self { workers, plan, stock, .. } = self;
        let pending = &Pending::new(&self.status, selected, &job.source.grid);
        let file = &*self.file.in_place;
        let geometry = job.geometry.as_ref();
        let folding = geometry.map(|of| Folding::new(job, of, pending, self.folded));
        let work = Work {
            team,
            workers,
            plan,
            pending,
            stock,
            file: Some(file),
            columns,
            folding: folding.as_ref(),
            others: 0,
        };
        let compute_loop = ComputeLoop::new(job, &work, request, stop);
        let scheduler = &compute_loop.scheduler;
        let mut beat = Beat::new(team);
        compute_loop.run(
            || match &folding {
                Some(folding) => pass_on_folded(folding, scheduler, (file, request), team),
                None => pass_on(scheduler, file, request.durability, team),
            },
            PAUSE,
            || {
                listen(scheduler, stop, team)?;
                beat.strike(stop, || compute_loop.tally())
            },
        )?;
        let tally = compute_loop.tally();
        narration::tally(&tally);
        Ok(tally)
    }
}

/// Passes on what is computed, once it is where it has to survive.
fn pass_on(
    scheduler: &Scheduler<'_>,
    file: &dyn InPlace,
    durability: Durability,
    team: Team<'_>,
) -> Result<()> {
    while let Some(mut batch) = scheduler.next_to_mark() {
        if durability == Durability::Node {
            file.sync()?;
        }
        trace!("a batch of {} positions goes to rank 0 to be marked", batch.positions.count());
        batch.is_synced = true;
        team.send(&News::Batch(batch))?;
        scheduler.marked();
    }
    Ok(())
}

/// The same of what is folded: once in a checkpoint interval, and at the end.
fn pass_on_folded(
    folding: &Folding<'_>,
    scheduler: &Scheduler<'_>,
    (file, request): (&dyn InPlace, &Request),
    team: Team<'_>,
) -> Result<()> {
    let send = || {
        // First: workers go on, and what they write meanwhile needn't be on the disk.
        let Some(folded) = folding.take() else { return Ok(()) };
        if request.durability == Durability::Node {
            file.sync()?;
        }
        team.send(&News::Folded(folded))
    };
    let mut sent = Instant::now();
    while scheduler.next_to_mark().is_some() {
        if sent.elapsed() >= request.checkpoint {
            send()?;
            sent = Instant::now();
        }
        scheduler.marked();
    }
    if scheduler.has_failed() { Ok(()) } else { send() }
}

/// Hears what rank 0 calls.
fn listen(scheduler: &Scheduler<'_>, stop: &Stop, team: Team<'_>) -> Result<()> {
    while let Some(call) = team.called()? {
        debug!("rank 0 calls: {call:?}");
        match call {
            Call::Stop(signal) => stop.request_by(signal),
            Call::WindUp => scheduler.wind_up(),
        }
    }
    Ok(())
}

/// What a rank tells from time to time.
struct Beat<'a> {
    team: Team<'a>,
    last: Instant,
    interval: Duration,
    has_told_stop: bool,
}

impl<'a> Beat<'a> {
    /// Twice a second, or less often where there are so many ranks that rank 0 had too much to
    /// hear.
    fn new(team: Team<'a>) -> Self {
        let interval = Duration::from_micros(100) * team.others() as u32;
        let interval = interval.max(Duration::from_millis(500));
        Self { team, last: Instant::now(), interval, has_told_stop: false }
    }

    fn strike(&mut self, stop: &Stop, tally: impl FnOnce() -> Tally) -> Result<()> {
        if let Some(signal) = stop.signal()
            && !std::mem::replace(&mut self.has_told_stop, true)
        {
            self.team.send(&News::Stop(signal))?;
        }
        if self.last.elapsed() >= self.interval {
            self.last = Instant::now();
            self.team.send(&News::Tally(tally()))?;
        }
        Ok(())
    }
}
