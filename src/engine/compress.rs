//! The last step of a run, if it is asked for: its results are compressed, dataset by dataset.
//!
//! Each is a transaction of its own, in which workers encode chunks and the caller's thread stores
//! them. A kill leaves some datasets compressed and the others as they were; the same command goes
//! on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use log::{debug, info};
use serde::{Deserialize, Serialize};

use super::compute_loop::caught;
use super::evidence::check_same;
use super::target::{RunLock, Target};
use super::{Computed, Job, Observer, Outcome, Quiet, Request, Stop};
use crate::formats;
use crate::storage::container::Transaction;
use crate::storage::file::{ReadFile, open_read};
use crate::storage::results_group::{
    Compression, Compressor, EncodedChunk, EncodingBuffers, is_compressed, obstacles,
};
use pixelmill_core::error::{Error, Result, bytes};

/// Results of this size take long enough, a second or more, that somebody may wonder.
const WORTH_TELLING: u64 = 256 << 20;

/// What compressing the results gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compressed {
    /// Bytes that the datasets' values took in the file.
    pub before: u64,
    /// Bytes that they take now.
    pub after: u64,
}

/// How the step ended.
enum Ended {
    NothingLeft,
    Done(Compressed),
    Stopped,
}

/// What the step works on.
pub(crate) struct Step<'a> {
    pub job: &'a Job,
    pub request: &'a Request,
    pub target: &'a Target,
    /// The source, whose reader's lock is given up if it is the same file.
    pub source: &'a ReadFile,
    pub observer: &'a dyn Observer,
    pub stop: &'a Stop,
}

impl Step<'_> {
    /// Says what was asked for and where inputs were, and compresses the results of `computed` if
    /// that is asked for and all are there. `lock` is the run's, if there is one yet.
    ///
    /// # Errors
    /// If somebody has the file open, or it can't be written. The results then are as they were.
    pub fn finish(&self, lock: Option<&RunLock>, mut computed: Computed) -> Result<Computed> {
        computed.selection = self.request.positions.as_ref().map(ToString::to_string);
        computed.inputs.clone_from(&self.job.inputs.places);
        if self.request.compress == Compression::None {
            return Ok(computed);
        }
        if self.job.folded().is_some_and(|folded| !folded.columns.is_empty()) {
            let text = "what all positions are folded into stays as it is: only results per \
                        position are compressed";
            self.observer.note(&text.to_owned().into());
        }
        let left = computed.positions - computed.completed;
        if left > 0 {
            self.observer.note(
                &format!("nothing is compressed before all positions are done; {left} are left")
                    .into(),
            );
            return Ok(computed);
        }
        let (file, group) = (computed.file.clone(), computed.group.clone());
        let compressed = self.compress(lock, &group);
        let compressed = compressed.map_err(|error| Error::NotCompressed {
            file,
            group,
            source: Box::new(error),
        })?;
        match compressed {
            Ended::NothingLeft => {}
            Ended::Done(compressed) => computed.compressed = Some(compressed),
            Ended::Stopped => computed.outcome = Outcome::Stopped,
        }
        Ok(computed)
    }

    fn compress(&self, lock: Option<&RunLock>, group: &str) -> Result<Ended> {
        let path = &self.target.file;
        let file = lock.map_or_else(|| open_read(path), RunLock::view)?;
        if self.left(&file, group, self.observer)?.is_empty() {
            return Ok(Ended::NothingLeft);
        }
        let opened = file.id();
        // With its lock: a run may have to be alone to begin.
        drop(file);
        let claimed;
        let lock = match lock {
            Some(lock) => lock,
            None => {
                claimed = RunLock::claim(self.target, self.source, self.observer)?;
                &claimed
            }
        };
        check_same(path, opened, lock.id()?)?;
        lock.alone(self.source, || {
            // Somebody may have begun to refer to one before nobody else had the file.
            let left = self.left(&lock.view()?, group, &Quiet)?;
            let mut sum = Compressed::default();
            info!("results datasets of {group} to be compressed: {}", left.len());
            for name in &left {
                let Some(one) = self.compress_dataset(lock, group, name)? else {
                    return Ok(Ended::Stopped);
                };
                sum.before += one.before;
                sum.after += one.after;
            }
            lock.check_in_place()?;
            Ok(Ended::Done(sum))
        })
    }

    /// The results datasets that aren't compressed as asked, and may be.
    fn left(&self, file: &ReadFile, group: &str, observer: &dyn Observer) -> Result<Vec<String>> {
        let path = &self.target.file;
        let (mut names, mut datasets) = (Vec::new(), Vec::new());
        for column in self.job.columns() {
            let name = column.layout.name.clone();
            let dataset = file
                .dataset(&format!("{group}/{name}"))
                .map_err(|refused| refused.on_object("read", path, group))?;
            if !is_compressed(&dataset, self.request.compress) {
                names.push(name);
                datasets.push(dataset);
            }
        }
        if names.is_empty() {
            return Ok(names);
        }
        let found = names.into_iter().zip(obstacles((file, formats::second_names), &datasets));
        let may_be = |(name, obstacle): (String, Option<String>)| match obstacle {
            Some(why) => {
                observer.note(&format!("{group}/{name} stays as it is: {why}").into());
                None
            }
            None => Some(name),
        };
        Ok(found.filter_map(may_be).collect())
    }

    /// `None` if it was stopped; then the dataset is as it was.
    fn compress_dataset(
        &self,
        lock: &RunLock,
        group: &str,
        name: &str,
    ) -> Result<Option<Compressed>> {
        let transaction = lock.begin()?;
        let opened = lock.handle();
        let compressor = Compressor::begin(
            (transaction.file(), formats::second_names),
            opened,
            (group, name),
            self.request.compress,
        )
        // If the disk refused something, that says more than what HDF5 makes of it.
        .map_err(|error| transaction.check().err().unwrap_or(error))?;
        let before = compressor.bytes_before();
        if before >= WORTH_TELLING {
            self.observer.note(&format!("compressing {} of {group}/{name}", bytes(before)).into());
        }
        if !self.store_chunks(&compressor, &transaction)? {
            return Ok(None);
        }
        let replaced = compressor
            .finish()
            .map_err(|error| transaction.error("compress results in", &error))?;
        // Without locks somebody may be reading the old values, which then have to stay.
        let free = if lock.keeps_others_out() { replaced.old.as_slice() } else { &[] };
        transaction.commit_and_free(free)?;
        debug!("{group}/{name} is compressed from {} to {}", bytes(before), bytes(replaced.bytes));
        Ok(Some(Compressed { before, after: replaced.bytes }))
    }

    /// Whether all chunks are stored; if not, it was stopped.
    fn store_chunks(&self, compressor: &Compressor<'_>, transaction: &Transaction) -> Result<bool> {
        let workers = self.most_workers(compressor);
        debug!("{} chunks, compressed {workers} at a time", compressor.count());
        let next = &AtomicU64::new(0);
        // Each worker's next chunk waits in its own hands while the queue is full. It may block its
        // thread: nothing that waits for another job runs in the pool meanwhile.
        let (sender, receiver) = sync_channel(workers);
        self.job.workers.pool()?.in_place_scope(|scope| {
            // The sender is gone, and with it the queue ended, when all threads are through with
            // this.
            scope.spawn_broadcast(move |_, thread| {
                if thread.index() < workers {
                    encode(compressor, next, &sender);
                }
            });
            self.store(compressor, transaction, receiver)
        })
    }

    /// Stores what the workers encode. They end when the receiver is gone.
    fn store(
        &self,
        compressor: &Compressor<'_>,
        transaction: &Transaction,
        receiver: Receiver<Result<EncodedChunk>>,
    ) -> Result<bool> {
        for chunk in receiver {
            if self.stop.is_requested() {
                return Ok(false);
            }
            compressor
                .write(&chunk?)
                .map_err(|error| transaction.error("compress results in", &error))?;
            transaction.check()?;
        }
        Ok(true)
    }

    /// As many as there are cores for, chunks, and memory; at least one.
    fn most_workers(&self, compressor: &Compressor<'_>) -> usize {
        let cores = self.job.workers.cores() as u64;
        let by_memory = self.request.memory_budget(1) / compressor.worker_bytes().max(1);
        cores.min(by_memory).min(compressor.count()).max(1) as usize
    }
}

/// One worker's life.
fn encode(
    compressor: &Compressor<'_>,
    next: &AtomicU64,
    sender: &SyncSender<Result<EncodedChunk>>,
) {
    let mut buffers = EncodingBuffers::default();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= compressor.count() {
            return;
        }
        let encoded = caught(|| compressor.encode(number, &mut buffers));
        if sender.send(encoded).is_err() {
            return;
        }
    }
}
