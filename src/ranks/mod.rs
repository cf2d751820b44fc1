//! The processes that compute one job together, each of them a rank: one communicator trait, with a
//! solo and an MPI behind it.
//!
//! Nothing else knows MPI. A rank talks to rank 0 and, while it folds, to those that merge what it
//! has folded; besides there is a counter that all add to. What is said is the engine's business
//! (`engine::team`); `launcher` tells how this process was started.

mod launcher;
#[cfg(feature = "mpi")]
mod mpi;
mod solo;

use std::fmt;
use std::sync::Arc;

use crate::storage::in_place::InPlace;
use crate::storage::open_file::OpenFile;
use launcher::Launch;
use pixelmill_core::error::{Error, Result};
use solo::Solo;

/// What the ranks of a job use to talk to each other. Rank 0 leads.
pub(crate) trait Communicator: Send + Sync {
    /// The number of this rank, from 0.
    fn rank(&self) -> usize;
    /// How many ranks there are.
    fn size(&self) -> usize;
    /// The ranks that share this rank's node, itself included, in the order of their numbers.
    fn node(&self) -> &[usize];
    /// Adds to the counter that all ranks share, and tells what it was before.
    ///
    /// # Errors
    /// If the counter can't be reached.
    fn fetch_and_add(&self, amount: u64) -> Result<u64>;
    /// Who counts what is taken, in words.
    fn handed_out_by(&self) -> &'static str;
    /// Brings what every rank has to rank 0, in the order of the ranks; others get nothing.
    ///
    /// # Errors
    /// If a rank can't be reached, or has left.
    fn gather(&self, own: Vec<u8>) -> Result<Vec<Vec<u8>>>;
    /// Brings what rank 0 has to every rank.
    ///
    /// # Errors
    /// If a rank can't be reached, or has left.
    fn broadcast(&self, own: Vec<u8>) -> Result<Vec<u8>>;
    /// Sends a message; it has arrived, or is about to, when this returns.
    ///
    /// # Errors
    /// If the rank can't be reached.
    fn send(&self, to: usize, message: &[u8]) -> Result<()>;
    /// Begins to send a message, and doesn't wait.
    ///
    /// # Errors
    /// If the rank can't be reached.
    fn begin_send(&self, to: usize, message: Vec<u8>) -> Result<Box<dyn Sending>>;
    /// The next message that has arrived by these two, and who sent it; doesn't wait.
    ///
    /// # Errors
    /// If the communicator has failed.
    fn receive(&self) -> Result<Option<(usize, Vec<u8>)>>;
    /// A file that all ranks write to, each where nobody else does. `file` is the same file.
    ///
    /// # Errors
    /// If it can't be opened for writing.
    fn open(&self, file: OpenFile<'_>) -> Result<Box<dyn InPlace>>;
    /// Says why this rank leaves, for those who miss it.
    fn say_why(&self, why: &str);
    /// Ends all ranks at once, whatever they are doing.
    fn abort(&self, code: i32) -> !;
}

/// A message on its way.
pub(crate) trait Sending {
    /// Whether its receiver has begun to receive it; doesn't wait. Whatever is sent to that rank
    /// afterwards, by anybody who has learnt of it, it receives later.
    ///
    /// # Errors
    /// If the rank can't be reached.
    fn has_arrived(&mut self) -> Result<bool>;
}

/// The ranks of this job. A process that wasn't started by an MPI launcher is the only one.
#[derive(Clone)]
pub struct Ranks(Arc<dyn Communicator>);

impl Ranks {
    /// This process alone.
    pub fn solo() -> Self {
        Self(Arc::new(Solo::default()))
    }

    /// All processes that an MPI launcher has started together with this one. To be called once, by
    /// all of them, and before other threads are started.
    ///
    /// # Errors
    /// If this program was built without the feature `mpi`, the MPI library can't be used, or the
    /// ranks aren't the same program called with the same arguments.
    pub fn join() -> Result<Self> {
        match launcher::detect(|name| std::env::var(name).ok()) {
            Launch::Alone => Ok(Self::solo()),
            Launch::Together { launcher, .. } => together(launcher),
        }
    }

    /// Whether this process was started together with others, as far as its environment tells.
    pub fn are_several_by_environment() -> bool {
        let launch = launcher::detect(|name| std::env::var(name).ok());
        matches!(launch, Launch::Together { .. })
    }

    /// Whether this process is the one that speaks to people, as far as its environment tells.
    pub fn is_first_by_environment() -> bool {
        let launch = launcher::detect(|name| std::env::var(name).ok());
        !matches!(launch, Launch::Together { rank, .. } if rank > 0)
    }

    /// Whether this is rank 0, which speaks for all.
    pub fn is_first(&self) -> bool {
        self.0.rank() == 0
    }

    /// The number of this one, if there are several.
    pub fn number(&self) -> Option<usize> {
        (self.count() > 1).then(|| self.0.rank())
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.size()
    }

    /// Says why this one leaves, for those who wait for it, if any do. They end with an error.
    pub fn say_why(&self, why: &str) {
        self.0.say_why(why);
    }

    /// Ends all of them at once, whatever they are doing, with this status.
    pub fn abort(&self, status: i32) -> ! {
        self.0.abort(status)
    }

    pub(crate) fn communicator(&self) -> &dyn Communicator {
        &*self.0
    }
}

impl Default for Ranks {
    fn default() -> Self {
        Self::solo()
    }
}

impl fmt::Debug for Ranks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "rank {} of {}", self.0.rank(), self.0.size())
    }
}

#[cfg(feature = "mpi")]
fn together(_launcher: &'static str) -> Result<Ranks> {
    let world = mpi::World::join()?;
    check_alike(&world)?;
    Ok(Ranks(Arc::new(world)))
}

#[cfg(not(feature = "mpi"))]
fn together(launcher: &'static str) -> Result<Ranks> {
    Err(Error::WithoutMpi { launcher })
}

/// Ranks that are other programs, or were given other arguments, would compute something else.
#[cfg(feature = "mpi")]
fn check_alike(ranks: &dyn Communicator) -> Result<()> {
    use sha2::{Digest, Sha256};
    use std::os::unix::ffi::OsStrExt;

    let mut arguments = Sha256::new();
    for argument in std::env::args_os().skip(1) {
        arguments.update((argument.len() as u64).to_le_bytes());
        arguments.update(argument.as_bytes());
    }
    let program = std::env::current_exe().and_then(std::fs::read).unwrap_or_default();
    let program = Sha256::digest(program);
    let own = [arguments.finalize().as_slice(), program.as_slice(), host().as_bytes()].concat();
    let all = ranks.gather(own)?;
    let mut verdict = Vec::new();
    if let Some(first) = all.first() {
        let differs = |part: std::ops::Range<usize>| {
            all.iter().position(|other| other.get(part.clone()) != first.get(part.clone()))
        };
        if let Some((what, rank)) = differs(0..32)
            .map(|rank| ("arguments", rank))
            .or_else(|| differs(32..64).map(|rank| ("program", rank)))
        {
            let host = String::from_utf8_lossy(&all[rank][64..]).into_owned();
            verdict = serde_json::to_vec(&(what, rank, host)).unwrap_or_default();
        }
    }
    let verdict = ranks.broadcast(verdict)?;
    match serde_json::from_slice::<(String, usize, String)>(&verdict) {
        Ok((what, rank, host)) => Err(Error::UnlikeRanks { what, rank, host }),
        Err(_) => Ok(()),
    }
}

/// Name of this machine.
pub(crate) fn host() -> String {
    sysinfo::System::host_name().unwrap_or_else(|_| "unknown".to_owned())
}
