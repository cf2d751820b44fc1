//! What a run would do, found out without writing anything: what it would reuse and why not, how it
//! would divide the work, and how long it would take.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::data::Data;
use super::estimate::{estimated, tried};
use super::fold;
use super::job::Job;
use super::lead::check_distinct;
use super::pass::{self, Pass};
use super::recorded::with_recorded;
use super::search::{self, Found, Outlook};
use super::selection::Selected;
use super::target::Target;
use super::{Asked, Observer, Quiet, Request};
use crate::plan::{Plan, Reads};
use crate::storage::file::{ReadFile, open_read};
use crate::storage::rows::Reading;
use pixelmill_core::error::Result;
use pixelmill_core::kernel::Kernel;

/// What a run would do.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    /// The process.
    pub process: String,
    /// The dataset that it would compute.
    pub dataset: String,
    /// The file that results would be in.
    pub file: PathBuf,
    /// What it would begin from.
    pub beginning: Beginning,
    /// Earlier results of the process that it would not use, each with the reason.
    pub unused: Vec<String>,
    /// All positions of the scan.
    pub positions: u64,
    /// Positions that would be computed.
    pub pending: u64,
    /// Threads that would compute them.
    pub workers: usize,
    /// Most positions that one of them takes at a time.
    pub unit: u64,
    /// Bytes of memory in use at the same time, at most.
    pub memory: u64,
    /// How the data would be read.
    pub reading: Reading,
    /// How often each chunk would be decoded.
    pub decodes: Reads,
    /// Bytes that the file would grow by for results.
    pub output_bytes: u64,
    /// How long it would take alone, writing aside.
    pub estimate: Duration,
    /// Whether it would end earlier once enough is known, having gone over the data less often.
    pub may_end_earlier: bool,
    /// What would be computed in the same pass over the data.
    pub together_with: Vec<String>,
}

/// What a run begins from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// Complete results of this group: nothing is computed.
    Complete(String),
    /// The partial results of this group.
    Partial(String),
    /// A new group.
    New,
}

/// Finds out what a run would do.
///
/// # Errors
/// What the run itself would be refused for before it begins.
pub fn rehearse(
    kernel: &Arc<dyn Kernel>,
    request: &Request,
    observer: &dyn Observer,
) -> Result<Rehearsal> {
    let asked = Asked::new(Arc::clone(kernel), request.clone());
    let mut rehearsed = rehearse_all(&[asked], observer)?;
    Ok(rehearsed.remove(0))
}

/// Checks that a run would begin, or has nothing to do: tells all that it would be refused for
/// before it writes anything.
///
/// # Errors
/// What the run itself would be refused for.
pub fn check(Asked { kernel, request, .. }: &Asked) -> Result<()> {
    let request = &with_recorded(request, kernel.name());
    let source = open_read(&request.file)?;
    let job = Job::open(kernel, &source, request, &Data::default())?;
    Looked::new(job, request, &source, &Quiet).map(drop)
}

/// What a run of several computations of the same file would do.
///
/// # Errors
/// As [`rehearse`].
pub fn rehearse_all(asked: &[Asked], observer: &dyn Observer) -> Result<Vec<Rehearsal>> {
    let Some(first) = asked.first() else { return Ok(Vec::new()) };
    let requests: Vec<Request> =
        asked.iter().map(|of| with_recorded(&of.request, of.kernel.name())).collect();
    let source = open_read(&first.request.file)?;
    let (mut looked, data) = (Vec::new(), Data::default());
    for (Asked { kernel, .. }, request) in asked.iter().zip(&requests) {
        looked.push(Looked::new(
            Job::open(kernel, &source, request, &data)?,
            request,
            &source,
            observer,
        )?);
    }
    check_distinct(looked.iter().map(|looked| &looked.job))?;
    let (memory, workers) = (requests[0].memory_budget(1), looked[0].job.workers.cores());
    let left: Vec<usize> =
        (0..looked.len()).filter(|number| !looked[*number].is_complete()).collect();
    let all: Vec<_> = looked.iter().map(|looked| (&looked.job, looked.selected.as_ref())).collect();
    let shared = pass::shared(&all, &left, memory, workers)?;
    shared.iter().filter_map(|pass| pass.note(&all)).for_each(|note| observer.note(&note));
    let mut rehearsed = Vec::new();
    for (number, looked) in looked.iter().enumerate() {
        let mut others = Vec::new();
        let mut members = vec![(&looked.job, looked.selected.as_ref())];
        if let Some(pass) = shared.iter().find(|pass| pass.numbers.contains(&number)) {
            let with = pass.numbers.iter().filter(|other| **other != number);
            others.extend(with.map(|other| all[*other]));
        }
        members.extend(&others);
        let others = others.iter().map(|(job, _)| job.kernel.name().to_owned()).collect();
        let plan = Pass::new(members).among(&all).plan(memory, workers, None)?;
        rehearsed.push(looked.rehearsal((&requests[number], &plan), others)?);
    }
    Ok(rehearsed)
}

/// A results dataset that a computation will have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultsDataset {
    /// Its name.
    pub name: String,
    /// Whether what a position has in it is there as soon as that is computed: others may take it
    /// while more is computed.
    pub goes_along: bool,
}

/// The results datasets that a computation will have.
///
/// # Errors
/// If the source can't be opened for it.
pub fn results_datasets(Asked { kernel, request, .. }: &Asked) -> Result<Vec<ResultsDataset>> {
    let request = &with_recorded(request, kernel.name());
    let job = Job::open(kernel, &open_read(&request.file)?, request, &Data::unseen())?;
    let buffers = job.prepared.fold().map_or(&[][..], |fold| fold.buffers());
    let at_end =
        |name: &str| buffers.iter().any(|buffer| buffer.column.name == name && buffer.is_at_end());
    let columns = job.prepared.columns().iter().map(|column| ResultsDataset {
        name: column.name.clone(),
        goes_along: !at_end(&column.name),
    });
    let folded = job.folded().map_or_else(Vec::new, |folded| folded.columns);
    let folded = folded
        .iter()
        .map(|column| ResultsDataset { name: column.layout.name.clone(), goes_along: false });
    Ok(columns.chain(folded).collect())
}

/// A computation, and what of it is there.
struct Looked {
    job: Job,
    target: Target,
    selected: Option<Selected>,
    outlook: Outlook,
}

impl Looked {
    fn new(
        job: Job,
        request: &Request,
        source: &ReadFile,
        observer: &dyn Observer,
    ) -> Result<Self> {
        let target = Target::of(request, &job)?;
        target.check(&job)?;
        let selected = search::selected(&job, request, source)?;
        let asked = (request, selected.as_ref());
        let outlook = search::outlook(&job, asked, &target, source, observer)?;
        job.compared.tell(observer);
        let looked = Self { job, target, selected, outlook };
        if !looked.is_complete() {
            looked.target.check_writable()?;
        }
        Ok(looked)
    }

    fn is_complete(&self) -> bool {
        matches!(self.outlook.found, Found::Complete { .. })
    }

    fn rehearsal(
        &self,
        (request, plan): (&Request, &Plan),
        together_with: Vec<String>,
    ) -> Result<Rehearsal> {
        let job = &self.job;
        let (beginning, output_bytes) = match &self.outlook.found {
            Found::Complete { computed, .. } => (Beginning::Complete(computed.group.clone()), 0),
            Found::Partial { path } | Found::Foreign { path } | Found::Created { path, .. } => {
                (Beginning::Partial(path.clone()), 0)
            }
            Found::Nothing => (Beginning::New, output_bytes(job)),
        };
        let pending = if self.is_complete() { 0 } else { self.outlook.pending };
        let tried =
            if pending == 0 || job.geometry.is_some() { Vec::new() } else { tried(job, plan)? };
        Ok(Rehearsal {
            process: job.kernel.name().to_owned(),
            dataset: job.source.info.path.clone(),
            file: self.target.file.clone(),
            beginning,
            unused: job.compared.unused(),
            positions: job.source.info.positions,
            pending,
            workers: plan.workers,
            unit: plan.unit,
            memory: plan.memory,
            reading: job.source.rows.reading(),
            decodes: job.reads(plan),
            output_bytes,
            estimate: match job.geometry {
                Some(_) => fold::estimate(job, request, (pending, plan.workers))?,
                None => estimated(&tried, (job, plan), (pending, plan.workers)),
            },
            may_end_earlier: job.prepared.fold().is_some_and(|fold| fold.passes().is_some()),
            together_with,
        })
    }
}

/// Bytes of all results, and of what tells which positions are done.
fn output_bytes(job: &Job) -> u64 {
    let columns = job.columns().into_iter().map(|column| {
        let values = column.shape.iter().map(|length| *length as u64).product::<u64>();
        values * column.layout.value_bytes() as u64
    });
    let folded = job.folded().map_or_else(Vec::new, |folded| folded.columns);
    let folded = folded.iter().map(|column| column.layout.spectrum_bytes() as u64);
    columns.sum::<u64>() + folded.sum::<u64>() + 2 * job.source.info.positions
}
