//! What a rank sees of the data before anything is changed, so that all can be compared.

use log::{debug, info};
use serde::{Deserialize, Serialize};

use super::Request;
use super::data::Data;
use super::inputs::AuxiliaryReader;
use super::job::Job;
use super::narration;
use super::team::{RankError, Team};
use crate::hand_out::Berth;
use crate::plan::Cores;
use crate::ranks::host;
use crate::source::layout;
use pixelmill_core::error::{Result, bytes};

/// What a rank sees before anything is changed.
#[derive(Serialize, Deserialize)]
pub(crate) struct Sight {
    pub host: String,
    pub berth: Berth,
    /// Bytes of memory that it may use.
    pub memory: u64,
    /// What the results depend on, but for the data themselves, and where these lie.
    pub outline: String,
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
        let auxiliary = job.inputs.auxiliary.iter().map(AuxiliaryReader::rows);
        let layouts: Vec<String> =
            std::iter::once(&job.source.rows).chain(auxiliary).map(layout).collect();
        Self {
            host: host(),
            berth: team.berth(job.workers.available()),
            memory: team.memory_budget(request),
            outline: format!("{} {}", job.identity.without_data().hash(), layouts.join(" ")),
            identity: (!data.is_unseen()).then(|| job.identity.hash()),
            can_write: can_write.as_ref().copied().map_err(RankError::of),
        }
    }
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
