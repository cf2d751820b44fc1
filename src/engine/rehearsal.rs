//! What a run would do, found out without writing anything: what it would reuse and why not, how it
//! would divide the work, and how long it would take.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::data::Data;
use super::estimate::{estimated, tried};
use super::fold;
use super::job::Job;
use super::recorded::with_recorded;
use super::search::{self, Found};
use super::target::Target;
use super::{Observer, Request, plan_run};
use crate::plan::Reads;
use crate::storage::file::open_read;
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
    /// How long it would take, writing aside.
    pub estimate: Duration,
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
    let request = &with_recorded(request, kernel.name());
    let source = open_read(&request.file)?;
    let job = Job::open(kernel, &source, request, Data::Hashed)?;
    let target = Target::of(request, &job)?;
    target.check(&job)?;
    let selected = search::selected(&job, request, &source)?;
    let selected = selected.as_ref();
    let outlook = search::outlook(&job, (request, selected), &target, &source, observer)?;
    job.compared.tell(observer);
    if !matches!(outlook.found, Found::Complete { .. }) {
        target.check_writable()?;
    }
    let workers = job.workers.cores();
    let plan = plan_run(&job, request.memory_budget(1), workers, None, selected)?;
    let (beginning, output_bytes) = match outlook.found {
        Found::Complete { computed, .. } => (Beginning::Complete(computed.group), 0),
        Found::Partial { path } | Found::Foreign { path } | Found::Created { path, .. } => {
            (Beginning::Partial(path), 0)
        }
        Found::Nothing => (Beginning::New, output_bytes(&job)),
    };
    let positions = job.source.info.positions;
    let pending = match beginning {
        Beginning::Complete(_) => 0,
        _ => outlook.pending,
    };
    let tried =
        if pending == 0 || job.geometry.is_some() { Vec::new() } else { tried(&job, &plan)? };
    Ok(Rehearsal {
        process: job.kernel.name().to_owned(),
        dataset: job.source.info.path.clone(),
        file: target.file.clone(),
        beginning,
        unused: job.compared.unused(),
        positions,
        pending,
        workers: plan.workers,
        unit: plan.unit,
        memory: plan.memory,
        reading: job.source.rows.reading(),
        decodes: job.reads(&plan),
        output_bytes,
        estimate: match job.geometry {
            Some(_) => fold::estimate(&job, request, (pending, plan.workers))?,
            None => estimated(&tried, (&job, &plan), (pending, plan.workers)),
        },
    })
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
