//! A computation that takes part in a pass over the data, as the workers of a rank see it.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::batch::Batch;
use super::fold::Folding;
use super::job::{Job, Workspace};
use super::pending::Pending;
use super::sink::Sink;
use crate::storage::in_place::InPlace;
use crate::storage::results_group::Place;
use pixelmill_core::chunk_io::ReadChunk;
use pixelmill_core::error::Result;

/// A computation that goes over the data together with others, or alone.
pub(crate) struct Member<'a> {
    pub job: &'a Job,
    /// What of it all ranks have to compute.
    pub pending: &'a Pending<'a>,
    /// What spectra are folded into, if they are.
    pub folding: Option<&'a Folding<'a>>,
    /// Where results go; without it rows are only read, or their results compared.
    pub sink: Option<Sink<'a>>,
}

/// Where the time of a unit went.
#[derive(Clone, Copy, Default)]
pub(crate) struct Times {
    pub read: Duration,
    pub compute: Duration,
    pub write: Duration,
}

/// What a unit has become for one computation.
#[derive(Default)]
pub(crate) struct Computed {
    /// What the marker is to know of it.
    pub batch: Batch,
    /// How many of its positions have failed.
    pub failed: u64,
}

impl Computed {
    /// Adds what others have become.
    pub fn append(&mut self, other: Self) {
        self.batch.append(other.batch);
        self.failed += other.failed;
    }
}

impl<'a> Member<'a> {
    /// A computation whose results go into the datasets that lie at these places of a file.
    pub fn new(
        (job, pending): (&'a Job, &'a Pending<'a>),
        folding: Option<&'a Folding<'a>>,
        (file, columns): (&'a dyn InPlace, &'a [Place]),
    ) -> Self {
        let sink = Some(Sink::new(file, job.placed_columns(columns)));
        Self { job, pending, folding, sink }
    }

    /// Reads, computes and writes some positions; `near` if nobody else computes anything between
    /// them.
    ///
    /// # Errors
    /// If they can't be read, or results can't be written.
    pub fn compute<'m>(
        &'m self,
        source: &dyn ReadChunk,
        (runs, near): (&[Range<u64>], bool),
        workspace: &mut Workspace<'m>,
        times: &mut Times,
    ) -> Result<Computed> {
        let begun = Instant::now();
        let rows = self.job.read(source, runs, workspace)?;
        times.read += begun.elapsed();
        let digest = workspace.digest;
        let Some(sink) = &self.sink else {
            workspace.forget(rows);
            let batch = Batch { digest, ..Batch::default() };
            return Ok(Computed { batch, failed: 0 });
        };
        let begun = Instant::now();
        self.job.compute(rows, workspace);
        times.compute += begun.elapsed();
        let begun = Instant::now();
        sink.store(&*self.job.prepared, runs, near, &workspace.results)?;
        times.write += begun.elapsed();
        let failures = std::mem::take(&mut workspace.results.failures);
        let batch = Batch::of(runs, &failures, digest);
        Ok(Computed { batch, failed: failures.len() as u64 })
    }
}
