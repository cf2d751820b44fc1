//! What a rank sees of the data before anything is changed, so that all can be compared.

use std::path::PathBuf;

use log::{debug, info};
use serde::{Deserialize, Serialize};

use super::data::Data;
use super::inputs::AuxiliaryReader;
use super::job::Job;
use super::narration;
use super::team::{RankError, Team, any_path};
use super::{Asked, Request};
use crate::hand_out::Berth;
use crate::identity::first_difference;
use crate::plan::Cores;
use crate::ranks::host;
use crate::source::layout;
use crate::storage::file_state::FileId;
use crate::storage::rows::Rows;
use pixelmill_core::error::{Error, Result, bytes};

/// What a rank sees before anything is changed.
#[derive(Serialize, Deserialize)]
pub(crate) struct Sight {
    pub host: String,
    pub berth: Berth,
    /// Bytes of memory that it may use.
    pub memory: u64,
    /// What the results depend on, but for the data themselves, where these lie, and which
    /// positions are asked for.
    pub outline: String,
    /// The files that are read, which on one node are the same for all who see the same.
    files: Vec<FileId>,
    /// Hash of everything that the results depend on, from one rank of each node.
    pub identity: Option<String>,
    /// Whether it can write where results go.
    pub can_write: Result<(), RankError>,
}

impl Sight {
    /// What this rank sees, for the others.
    pub fn of(
        job: &Job,
        data: &Data,
        can_write: &Result<()>,
        team: Team<'_>,
        request: &Request,
    ) -> Self {
        let identity = job.identity.without_data().hash();
        let selection = request.positions.as_ref().map(ToString::to_string).unwrap_or_default();
        Self {
            host: host(),
            berth: team.berth(job.workers.available()),
            memory: team.memory_budget(request),
            files: rows(job).flat_map(Rows::files).map(|file| file.opened.id).collect(),
            outline: [identity, layouts(job), selection].join(" "),
            identity: (!data.is_unseen()).then(|| job.identity.hash()),
            can_write: can_write.as_ref().copied().map_err(RankError::of),
        }
    }

    /// Whether it is that of the same computation on the same data as the first rank's; `near` is
    /// that of the rank which looks at the data for this one.
    pub fn is_like(&self, first: &Self, near: &Self) -> bool {
        self.outline == first.outline
            && self.files == near.files
            && (self.identity.is_none() || self.identity == first.identity)
    }
}

/// What a computation reads.
fn rows(job: &Job) -> impl Iterator<Item = &Rows> {
    let auxiliary = job.inputs.auxiliary.iter().map(AuxiliaryReader::rows);
    std::iter::once(&job.source.rows).chain(auxiliary)
}

/// Where the bytes lie that it reads.
fn layouts(job: &Job) -> String {
    rows(job).map(layout).collect::<Vec<_>>().join(" ")
}

/// A computation that a rank was asked for, so that another can say in what its own differs.
#[derive(Serialize, Deserialize)]
pub(crate) struct Wanted {
    #[serde(with = "any_path")]
    file: PathBuf,
    dataset: String,
    identity: String,
    selection: Option<String>,
}

impl Wanted {
    pub fn of(job: &Job, request: &Request) -> Self {
        Self {
            file: request.file.clone(),
            dataset: job.source.info.path.clone(),
            identity: job.identity.canonical_json(),
            selection: request.positions.as_ref().map(ToString::to_string),
        }
    }

    /// In what a rank that was asked for this differs, or in what data it sees, as far as it can
    /// tell.
    fn unlike(&self, job: &Job, request: &Request) -> Option<Error> {
        let own = Self::of(job, request);
        let other = |difference| Some(Error::OtherComputation { difference });
        let found = first_difference(&self.identity, &job.identity);
        if let Some(found) = found.as_ref().filter(|found| !found.is_in_data) {
            return other(found.text.clone());
        }
        if self.selection != own.selection {
            let [there, here] = [self, &own].map(|of| of.selection.as_deref().unwrap_or("all"));
            return other(format!("the positions: {there} there, {here} here"));
        }
        if self.file != own.file {
            let [there, here] = [self, &own].map(|of| of.file.display());
            return other(format!("the file: {there} there, {here} here"));
        }
        if self.dataset != own.dataset {
            let (there, here) = (&self.dataset, &own.dataset);
            return other(format!("the dataset: `{there}` there, `{here}` here"));
        }
        let difference = Some(found?.text);
        Some(Error::OtherFile { path: own.file, difference })
    }
}

/// In what computations that a rank was asked for, or the data that it sees, differ from those of
/// the first, as far as it can tell.
pub(crate) fn unlike(first: &[Wanted], jobs: &[Job], asked: &[Asked]) -> Option<Error> {
    if first.len() != jobs.len() {
        let difference = format!("{} there, {} here", first.len(), jobs.len());
        return Some(Error::OtherComputation { difference });
    }
    let mut own = first.iter().zip(jobs.iter().zip(asked));
    own.find_map(|(first, (job, of))| first.unlike(job, &of.request))
}

/// On how many cores each rank computes, and why.
pub(crate) fn say_shares(wanted: Cores, sights: &[&Sight], workers: &[usize]) {
    if let ([sight], [workers]) = (sights, workers) {
        let of = sight.berth.cores;
        let computes = format!("{} on {of} cores", narration::workers(*workers));
        return match wanted {
            Cores::Exactly(_) => info!("{computes}, as asked"),
            Cores::All => info!("{computes}, which are all there are"),
            Cores::Polite => info!("{computes}, so that something is left for others"),
        };
    }
    info!("{} ranks; rank 0 leads, prepares the file and marks", sights.len());
    for (rank, (sight, workers)) in sights.iter().zip(workers).enumerate() {
        debug!(
            "rank {rank} on {}: {}, {} of memory; it may run on {} of {} processors",
            sight.host,
            narration::workers(*workers),
            bytes(sight.memory),
            sight.berth.processors.len(),
            sight.berth.present,
        );
    }
}
