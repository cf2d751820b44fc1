//! What every rank but the first does: it tells what it sees, gets ready for what rank 0 has
//! prepared, computes what it takes from the common counter, and tells when results are where they
//! have to be. Rank 0 marks them. What is folded it sends to the ranks that merge it, and is one of
//! these itself, until rank 0 has all of it.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use log::{debug, trace};

use super::batch::Batch;
use super::carrier::Carrier;
use super::compute_loop::{ComputeLoop, Work};
use super::data::Data;
use super::fold::{self, Folding};
use super::job::Job;
use super::member::Member;
use super::narration;
use super::pass::Pass;
use super::pending::Pending;
use super::scheduler::Scheduler;
use super::search;
use super::selection::Selected;
use super::sight::{self, Sight, Wanted};
use super::supply::Stock;
use super::target::Target;
use super::team::{Assignment, Call, News, Orders, RankError, Task, Team};
use super::workers::Workers;
use super::{Asked, Computed, Durability, Request, Stop, Tally};
use crate::plan::Plan;
use crate::storage::file::{self, look_at, open_read};
use crate::storage::in_place::InPlace;
use crate::storage::marks::Marks;
use crate::storage::open_file::OpenFile;
use crate::storage::results_group::LAST_RUN;
use crate::storage::{attributes, lock};
use pixelmill_core::error::{Error, Result};
use pixelmill_core::positions::Positions;

/// How often a rank looks for calls.
const PAUSE: Duration = Duration::from_millis(10);
/// The same where ranks send each other what they fold.
const SHORT_PAUSE: Duration = Duration::from_millis(1);

/// Follows rank 0 through some computations.
///
/// # Errors
/// Whatever ended the job, as rank 0 tells it.
pub(crate) fn follow(asked: &[Asked], stop: &Stop, team: Team<'_>) -> Result<Vec<Computed>> {
    let opened = open(asked, team);
    team.tell(opened.as_ref().map(|opened| &opened.sights))?;
    let mut orders = team.orders()?;
    if let Orders::Compare(first) = orders {
        let told = opened.as_ref().map(|opened| opened.unlike(&first));
        team.tell(told.as_ref().map_err(|error| *error))?;
        orders = team.orders()?;
    }
    let opened = match orders {
        Orders::Prepare(_) => opened?,
        // Whoever couldn't open it is ordered to end.
        other => return conclude(other, stop),
    };
    while let Orders::Prepare(assignment) = orders {
        let parts = opened.of_pass(&assignment.tasks);
        let ready = Ready::new((&parts, &opened.all()), &assignment, team);
        let outline = ready.as_ref().map(|ready| ready.stock.outline());
        team.tell(outline.as_ref().map_err(|error| *error))?;
        match team.orders()? {
            Orders::Begin => {}
            other => return conclude(other, stop),
        }
        let ready = ready?;
        let (ended, shares_folds) = ready.work(&parts, &assignment.tasks, stop, team);
        // With the file's lock: rank 0 may need it alone.
        drop(ready);
        team.send(&News::Ended(ended.map_err(|error| RankError::of(&error))))?;
        if shares_folds {
            wait_for_release(team)?;
        }
        orders = team.orders()?;
        // What was called after this rank had ended is still to be taken from the line.
        while team.called()?.is_some() {}
    }
    conclude(orders, stop)
}

fn conclude(orders: Orders, stop: &Stop) -> Result<Vec<Computed>> {
    let Orders::End(conclusion, signal) = orders else {
        unreachable!("rank 0 gives orders in one order");
    };
    if let Some(signal) = signal {
        stop.request_by(signal);
    }
    conclusion.map_err(|trouble| trouble.at(0))
}

/// The computations that are asked for, as this rank sees them.
struct Opened<'a> {
    asked: &'a [Asked],
    jobs: Vec<Job>,
    selected: Vec<Option<Selected>>,
    sights: Vec<Sight>,
}

/// One of them, in a pass.
#[derive(Clone, Copy)]
struct Followed<'a> {
    job: &'a Job,
    request: &'a Request,
    selected: Option<&'a Selected>,
}

impl Opened<'_> {
    fn all(&self) -> Vec<(&Job, Option<&Selected>)> {
        self.jobs.iter().zip(self.selected.iter().map(Option::as_ref)).collect()
    }

    /// In what it was asked for something else than rank 0.
    fn unlike(&self, first: &[Wanted]) -> Option<RankError> {
        sight::unlike(first, &self.jobs, self.asked).as_ref().map(RankError::of)
    }

    fn of_pass(&self, tasks: &[Task]) -> Vec<Followed<'_>> {
        let of = |Task { number, .. }: &Task| Followed {
            job: &self.jobs[*number],
            request: &self.asked[*number].request,
            selected: self.selected[*number].as_ref(),
        };
        tasks.iter().map(of).collect()
    }
}

fn open<'a>(asked: &'a [Asked], team: Team<'_>) -> Result<Opened<'a>> {
    let path = &asked[0].request.file;
    let source = open_read(path)?;
    let data = if team.looks_for_node() { Data::default() } else { Data::unseen() };
    let data = &data.beside(asked.iter().flat_map(|asked| &asked.after));
    let (mut jobs, mut selected, mut sights) = (Vec::new(), Vec::new(), Vec::new());
    for Asked { kernel, request, .. } in asked {
        let job = Job::open(kernel, &source, request, data)?;
        let can_write = can_write(&Target::of(request, &job)?);
        sights.push(Sight::of(&job, data, &can_write, team, request));
        selected.push(search::selected(&job, request, &source)?);
        jobs.push(job);
    }
    // Rank 0 needs the file alone for a moment.
    lock::release(&source.raw, path)?;
    Ok(Opened { asked, jobs, selected, sights })
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
fn results_file(task: &Task, team: Team<'_>) -> Result<ResultsFile> {
    let path = &task.file;
    let raw = file::open(path, true)?;
    let opened = OpenFile::new(path, &raw);
    let seen = look_at(opened)?;
    let last_run =
        seen.group(&task.group).ok().and_then(|group| attributes::string(&group, LAST_RUN));
    if last_run.as_ref() != Some(&task.last_run) {
        return Err(Error::OtherFile { path: path.clone(), difference: None });
    }
    // If rank 0 is lost, its locks are. Whoever changes the file's metadata must not do so before
    // this rank has written its last.
    lock::share(&raw, path)?;
    let in_place = team.ranks().open(opened)?;
    Ok(ResultsFile { raw, in_place })
}

/// What this rank computes with, once rank 0 has prepared everything.
struct Ready<'a> {
    pass: Pass<'a>,
    files: Vec<ResultsFile>,
    workers: Workers,
    plan: Plan,
    states: Vec<Marks>,
    stock: Stock,
    /// How many units of each fold are folded already.
    folded: Vec<u64>,
    /// The positions of these, if no marks tell of them.
    unmarked: Vec<Positions>,
}

impl<'a> Ready<'a> {
    fn new(
        (parts, all): (&[Followed<'a>], &[(&Job, Option<&Selected>)]),
        assignment: &Assignment,
        team: Team<'_>,
    ) -> Result<Self> {
        let workers = Workers::exactly(assignment.workers[team.rank()]);
        let (memory, segments) = (assignment.memory, assignment.segments.as_deref());
        let (mut files, mut states) = (Vec::new(), Vec::new());
        for task in &assignment.tasks {
            let file = results_file(task, team)?;
            let opened = OpenFile::new(&task.file, &file.raw);
            states.push(Marks::within(opened, task.status)?);
            files.push(file);
        }
        let mut unmarked = Vec::new();
        for (Followed { job, selected, .. }, task) in parts.iter().zip(&assignment.tasks) {
            job.tell_means(workers.cores(), memory, selected.is_some());
            unmarked.push(fold::begin_pass((job, *selected), task.folded, task.pass.as_ref())?);
        }
        let pass = Pass::new(parts.iter().map(|of| (of.job, of.selected)).collect()).among(all);
        // What others have kept is memory that is planned with now.
        let goes_on = |job: &Job| parts.iter().any(|of| std::ptr::eq(of.job, job));
        all.iter().filter(|(job, _)| !goes_on(job)).for_each(|(job, _)| job.kept.forget());
        let plan = pass.plan(memory, workers.cores(), segments)?;
        for Followed { job, .. } in parts {
            job.kept.allow(plan.kept);
            narration::plan(&*job.kernel, &plan);
        }
        let folded: Vec<u64> = assignment.tasks.iter().map(|task| task.folded).collect();
        let pending = pending(parts, (&states, &unmarked));
        let of_all: Vec<&Pending<'_>> = pending.iter().collect();
        let stock = pass.stock(&of_all, pass.geometry_from(&folded), &plan, team)?;
        Ok(Self { pass, files, workers, plan, states, stock, folded, unmarked })
    }

    /// Computes until nothing is left, or somebody asks to stop; says whether ranks folded
    /// together.
    fn work(
        &self,
        parts: &[Followed<'a>],
        tasks: &[Task],
        stop: &Stop,
        team: Team<'_>,
    ) -> (Result<Tally>, bool) {
        let Self { workers, plan, stock, .. } = self;
        let request = parts[0].request;
        let pending = pending(parts, (&self.states, &self.unmarked));
        let is_kept = request.durability == Durability::Node;
        let (rank, ranks) = (team.rank(), team.others() + 1);
        let foldings: Vec<Option<Folding<'_>>> = parts
            .iter()
            .zip(&pending)
            .zip(&self.files)
            .map(|((Followed { job, .. }, pending), file)| {
                let file = is_kept.then_some(&*file.in_place);
                let folding = Folding::new(job, job.geometry_of_pass()?, pending);
                Some(folding.shared_by((rank, ranks), plan.workers, file))
            })
            .collect();
        let places = tasks.iter().zip(&self.files);
        let members: Vec<Member<'_>> = parts
            .iter()
            .zip(&pending)
            .zip(foldings.iter().zip(places))
            .map(|((Followed { job, .. }, pending), (folding, (task, file)))| {
                let written = (&*file.in_place, task.columns.as_slice());
                Member::new((job, pending), folding.as_ref(), written)
            })
            .collect();
        let members = members.as_slice();
        let geometry = self.pass.geometry_from(&self.folded);
        let work = Work { team, workers, plan, members, geometry, stock, others: 0 };
        let compute_loop = ComputeLoop::new(&work, request, stop);
        let scheduler = &compute_loop.scheduler;
        let mut beat = Beat::new(team);
        let mut follower = Follower::new((team, members), request, (scheduler, stop));
        let ran = compute_loop.run(
            || self.pass_on(members, scheduler, request, team),
            follower.pause(),
            || {
                follower.go_on(false)?;
                beat.strike(stop, || compute_loop.tally())
            },
        );
        let ended = ran.and_then(|()| follower.hand_over());
        let tally = compute_loop.tally();
        narration::tally(&tally);
        let shares_folds = follower.carrier.is_needed();
        let ended = if shares_folds { follower.merge_for_others(ended) } else { ended };
        (ended.map(|()| tally), shares_folds)
    }

    /// Passes on what is computed position by position, once it is where it has to survive: what
    /// only reads like a fold once in a checkpoint interval, and at the end.
    fn pass_on(
        &self,
        members: &[Member<'_>],
        scheduler: &Scheduler<'_>,
        request: &Request,
        team: Team<'_>,
    ) -> Result<()> {
        let is_folded = |number: usize| members[number].folding.is_some();
        let mut sent = Instant::now();
        while let Some(mut batches) = scheduler.next_to_mark() {
            for (number, batch) in batches.iter_mut().enumerate() {
                if is_folded(number) {
                    // What is to be marked of it goes with what was folded.
                    *batch = Batch::default();
                } else if !batch.positions.is_empty() {
                    self.sync(number, request)?;
                    batch.is_synced = true;
                }
            }
            if batches.iter().any(|batch| !batch.positions.is_empty()) {
                trace!("a batch goes to rank 0 to be marked");
                team.send(&News::Batch(batches))?;
            }
            if sent.elapsed() >= request.checkpoint {
                self.pass_on_rows(members, request, team)?;
                sent = Instant::now();
            }
            scheduler.marked();
        }
        if scheduler.has_failed() { Ok(()) } else { self.pass_on_rows(members, request, team) }
    }

    fn pass_on_rows(
        &self,
        members: &[Member<'_>],
        request: &Request,
        team: Team<'_>,
    ) -> Result<()> {
        for (number, member) in members.iter().enumerate() {
            // First: workers go on, and what they write meanwhile needn't be on the disk.
            if let Some(rows) = member.folding.and_then(Folding::take_rows) {
                self.sync(number, request)?;
                team.send(&News::Rows(number, rows))?;
            }
        }
        Ok(())
    }

    fn sync(&self, number: usize, request: &Request) -> Result<()> {
        match request.durability {
            Durability::Node => self.files[number].in_place.sync(),
            Durability::Process => Ok(()),
        }
    }
}

/// What each computation has to do, by what is marked, and what is done without a mark.
fn pending<'p>(
    parts: &[Followed<'p>],
    (states, unmarked): (&'p [Marks], &'p [Positions]),
) -> Vec<Pending<'p>> {
    let of = |(of, (status, unmarked)): (&Followed<'p>, (&'p Marks, &'p Positions))| {
        Pending::new(status, of.selected, &of.job.source.grid).except(unmarked)
    };
    parts.iter().zip(states.iter().zip(unmarked)).map(of).collect()
}

/// What a rank hears and passes on, beside what it computes.
struct Follower<'f, 'a> {
    team: Team<'a>,
    members: &'a [Member<'a>],
    scheduler: &'f Scheduler<'a>,
    stop: &'a Stop,
    carrier: Carrier<'a>,
    /// Of which computations rank 0 knows that they can't be folded.
    known_lost: Vec<bool>,
    is_halted: bool,
}

impl<'f, 'a> Follower<'f, 'a> {
    fn new(
        (team, members): (Team<'a>, &'a [Member<'a>]),
        request: &Request,
        (scheduler, stop): (&'f Scheduler<'a>, &'a Stop),
    ) -> Self {
        let carrier = Carrier::new((team, members), request.checkpoint);
        let known_lost = vec![false; members.len()];
        Self { team, members, scheduler, stop, carrier, known_lost, is_halted: false }
    }

    /// How often it looks.
    fn pause(&self) -> Duration {
        if self.carrier.is_needed() { SHORT_PAUSE } else { PAUSE }
    }

    /// Hears what there is to hear, and sends what there is to send; `all` if nothing more will be
    /// folded here.
    fn go_on(&mut self, all: bool) -> Result<()> {
        let gone_on = self.listen().and_then(|()| self.carrier.carry(all));
        if gone_on.is_err() {
            // Nobody may wait for something that will never be sent.
            self.carrier.close();
        }
        gone_on
    }

    fn listen(&mut self) -> Result<()> {
        while let Some(call) = self.team.called()? {
            match call {
                Call::Stop(signal) => {
                    debug!("rank 0 calls to stop");
                    self.stop.request_by(signal);
                }
                Call::WindUp => {
                    debug!("rank 0 calls to end");
                    self.scheduler.wind_up();
                }
                Call::Folded(number, folded) => {
                    if let Some(folding) = self.members[number].folding {
                        folding.lose(folding.arrived(folded))?;
                    }
                }
                Call::Wanted(number, first) => {
                    if let Some(folding) = self.members[number].folding {
                        folding.answer(first, self.carrier.is_sending());
                    }
                }
                Call::Lost(number, reason) => {
                    self.known_lost[number] = true;
                    if let Some(folding) = self.members[number].folding {
                        folding.lose(Err(folding.lost_elsewhere(reason)))?;
                    }
                }
                Call::Halt => {
                    self.is_halted = true;
                    self.carrier.close();
                }
                Call::Release => unreachable!("nobody is released before it has ended"),
            }
        }
        for (number, folding) in self.carrier.foldings() {
            if let Some(reason) = folding.why_lost()
                && !std::mem::replace(&mut self.known_lost[number], true)
            {
                self.team.send(&News::Lost(number, reason))?;
            }
        }
        Ok(())
    }

    /// Lets everything go that is merged elsewhere.
    fn hand_over(&mut self) -> Result<()> {
        self.go_on(true)?;
        while !self.carrier.is_idle() {
            thread::sleep(SHORT_PAUSE);
            self.go_on(false)?;
        }
        Ok(())
    }

    /// Tells how it ended, and merges what others send until rank 0 has all it wants.
    fn merge_for_others(&mut self, ended: Result<()>) -> Result<()> {
        if ended.is_err() {
            self.carrier.close();
        }
        self.team.send(&News::Worked(ended.as_ref().err().map(RankError::of)))?;
        while !self.is_halted || !self.carrier.is_idle() {
            self.go_on(false)?;
            thread::sleep(SHORT_PAUSE);
        }
        ended
    }
}

/// Takes what others had on its way to this rank when nobody wanted it any more.
fn wait_for_release(team: Team<'_>) -> Result<()> {
    while !matches!(team.called()?, Some(Call::Release)) {
        thread::sleep(SHORT_PAUSE);
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
