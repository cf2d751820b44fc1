//! The threads that compute: one pool for whatever computes in a run, so that there are never more
//! of them than cores to be used.
//!
//! It is rayon's, so that what is parallel inside a kernel runs on the same threads, on those that
//! have nothing else to do. Threads that only wait (for the disk, for other ranks, for the user)
//! aren't among them. What may run on top of what is said in this folder's README.

use std::io;
use std::sync::OnceLock;

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::machine;
use crate::plan::{self, Cores};
use pixelmill_core::error::{Error, Result};

/// What the names of worker threads begin with, so that who prints panics can tell a map function's
/// from others.
pub const WORKER_NAME: &str = "pixelmill-worker-";

/// How many cores are computed on where this many are wanted, of those that this process has.
pub fn cores(wanted: Cores) -> usize {
    plan::cores(machine::available_cores(), wanted)
}

/// A pool that is made when it is needed first: results that are there already need none.
pub(crate) struct Workers {
    wanted: Cores,
    /// Asked for once: the system takes a tenth of a millisecond for the answer.
    available: OnceLock<usize>,
    pool: OnceLock<ThreadPool>,
}

impl Workers {
    /// Exactly so many threads.
    pub fn exactly(cores: usize) -> Self {
        let available = OnceLock::from(cores);
        Self { wanted: Cores::Exactly(cores), available, pool: OnceLock::new() }
    }

    /// As many as are wanted by who shares this machine's cores with nobody.
    pub fn wanted(wanted: Cores) -> Self {
        Self { wanted, available: OnceLock::new(), pool: OnceLock::new() }
    }

    /// Cores that there are for this process.
    pub fn available(&self) -> usize {
        *self.available.get_or_init(machine::available_cores)
    }

    /// How many threads there are.
    pub fn cores(&self) -> usize {
        plan::cores(self.available(), self.wanted).min(rayon::max_num_threads())
    }

    /// What is computed on one of the threads; on the caller's own if it is one of another pool,
    /// where waiting would run other jobs on top of this one, or if the system gives no threads.
    pub fn install<T: Send>(&self, compute: impl FnOnce() -> T + Send) -> T {
        match self.pool() {
            Ok(pool) if rayon::current_thread_index().is_none() => pool.install(compute),
            _ => compute(),
        }
    }

    /// The threads.
    ///
    /// # Errors
    /// If the system gives no more threads.
    pub fn pool(&self) -> Result<&ThreadPool> {
        if let Some(pool) = self.pool.get() {
            return Ok(pool);
        }
        let made = ThreadPoolBuilder::new()
            .num_threads(self.cores())
            .thread_name(|number| format!("{WORKER_NAME}{number}"))
            .build()
            .map_err(|error| Error::Worker { source: io::Error::other(error) })?;
        Ok(self.pool.get_or_init(|| made))
    }
}
