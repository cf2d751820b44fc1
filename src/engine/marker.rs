//! Marks what is computed: results to stable storage first, then their status bytes.
//!
//! One thread beside the workers. It also keeps `last_pixel` up to date, in a short transaction per
//! checkpoint interval that only overwrites a value in place.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::ledger::Ledger;
use super::prepare::Pending;
use super::scheduler::{Batch, Scheduler};
use super::target::RunLock;
use super::{Durability, Observer, Request, seconds_since};
use crate::error::Result;
use crate::process::Failure;
use crate::storage::attributes::put_integer;
use crate::storage::in_place::InPlace;
use crate::storage::results_group::{LAST_PIXEL, MESSAGE_BYTES, MESSAGE_LINES, Places};

/// The line of a failure whose own message has no room any more.
const OTHER_FAILURES: &str =
    "another failure (there are more kinds of failures than lines to list them)";

/// The state of a results group while it is computed.
pub(crate) struct Marker<'a> {
    lock: &'a RunLock,
    file: &'a dyn InPlace,
    group: String,
    places: Places,
    pub ledger: Ledger,
    durability: Durability,
    checkpoint: Duration,
    last_checkpoint: Instant,
    /// Whether the user knows that `last_pixel` can't be kept up to date.
    told: bool,
    /// All positions: 1 when marked.
    pub status: Vec<u8>,
    /// All positions: 0, or the line of `messages`.
    pub failed: Vec<u8>,
    pub messages: Vec<String>,
    /// Length of the contiguous marked prefix.
    prefix: usize,
    pub batches: u64,
    pub time: Duration,
}

impl<'a> Marker<'a> {
    /// The state of `group` before the run.
    pub fn new(
        lock: &'a RunLock,
        file: &'a dyn InPlace,
        group: &Pending,
        ledger: Ledger,
        request: &Request,
    ) -> Self {
        let mut messages = group.messages.clone();
        messages.truncate(
            messages.iter().rposition(|line| !line.is_empty()).map_or(1, |last| last + 1),
        );
        messages.resize(messages.len().max(1), String::new());
        Self {
            lock,
            file,
            group: group.path.clone(),
            places: group.places.clone(),
            ledger,
            durability: request.durability,
            checkpoint: request.checkpoint,
            last_checkpoint: Instant::now(),
            told: false,
            status: group.status.clone(),
            failed: group.failed.clone(),
            messages,
            prefix: 0,
            batches: 0,
            time: Duration::ZERO,
        }
    }

    /// Marks batches until there are no more.
    ///
    /// # Errors
    /// If the file can't be written; what is marked stays so.
    pub fn run(&mut self, scheduler: &Scheduler, observer: &dyn Observer) -> Result<()> {
        while let Some(batch) = scheduler.next_to_mark() {
            let begun = Instant::now();
            self.mark(batch)?;
            scheduler.marked();
            if seconds_since(self.last_checkpoint) >= self.checkpoint.as_secs_f64() {
                self.checkpoint(observer);
            }
            self.time += begun.elapsed();
            self.batches += 1;
        }
        Ok(())
    }

    /// Order matters: a position's status byte is written only when its results, and its failure
    /// if it failed, are where they have to survive.
    fn mark(&mut self, mut batch: Batch) -> Result<()> {
        batch.ranges.sort_by_key(|range| range.start);
        self.list_failures(&batch)?;
        if self.durability == Durability::Node && !batch.is_synced {
            self.file.sync()?;
        }
        self.ledger.add(self.file, &batch.ranges, batch.digest)?;
        for range in merged(&batch.ranges) {
            self.status[range.start as usize..range.end as usize].fill(1);
            self.write_range(self.places.status, range, &self.status)?;
        }
        Ok(())
    }

    /// Writes the part of `all`, one byte per position, that `range` names.
    fn write_range(&self, place: u64, range: Range<u64>, all: &[u8]) -> Result<()> {
        let bytes = &all[range.start as usize..range.end as usize];
        self.file.write(bytes, place + range.start)
    }

    fn list_failures(&mut self, batch: &Batch) -> Result<()> {
        let mut changed = !batch.failures.is_empty();
        for range in &batch.ranges {
            let lines = &mut self.failed[range.start as usize..range.end as usize];
            // A position that failed in an earlier run may have a result now.
            changed |= lines.iter().any(|line| *line != 0);
            lines.fill(0);
        }
        for (position, failure) in &batch.failures {
            self.failed[*position as usize] = self.line_of(failure)?;
        }
        if changed {
            for range in merged(&batch.ranges) {
                self.write_range(self.places.failed, range, &self.failed)?;
            }
        }
        Ok(())
    }

    /// The line that says why something failed; a new one is written first.
    fn line_of(&mut self, failure: &Failure) -> Result<u8> {
        let mut text = failure.to_string().replace(['\n', '\0'], " ");
        while text.len() >= MESSAGE_BYTES {
            text.pop();
        }
        let mut known = self.line_with(&text);
        if known.is_none() && self.messages.len() >= MESSAGE_LINES - 1 {
            text = OTHER_FAILURES.to_owned();
            known = self.line_with(&text);
        }
        let line = known.unwrap_or(self.messages.len());
        if known.is_none() {
            let mut bytes = text.clone().into_bytes();
            bytes.resize(MESSAGE_BYTES, 0);
            let place = self.places.messages + (line * MESSAGE_BYTES) as u64;
            self.file.write(&bytes, place)?;
            self.messages.push(text);
        }
        Ok(line as u8)
    }

    fn line_with(&self, text: &str) -> Option<usize> {
        self.messages.iter().skip(1).position(|line| line == text).map(|at| at + 1)
    }

    /// Brings `last_pixel` up to date. It only mirrors the status dataset, so that a failure here is
    /// no reason to end the run.
    pub fn checkpoint(&mut self, observer: &dyn Observer) {
        while self.status.get(self.prefix) == Some(&1) {
            self.prefix += 1;
        }
        let written = self.lock.begin().and_then(|transaction| {
            transaction
                .file()
                .group(&self.group)
                .and_then(|group| put_integer(&group, LAST_PIXEL, self.prefix as i64))
                .map_err(|error| transaction.error("write to", &error))?;
            transaction.commit()
        });
        if let Err(error) = written
            && !std::mem::replace(&mut self.told, true)
        {
            observer.note(&format!("last_pixel is not up to date: {error}"));
        }
        self.last_checkpoint = Instant::now();
    }

    /// Notes what proves later that the data are untouched, if anything does.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn conclude(&mut self, evidence: Option<String>) -> Result<()> {
        self.ledger.conclude(self.file, evidence)
    }

    /// Takes the marks of positions back, which hold results of something else than was asked for.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn unmark(&mut self, ranges: &[Range<u64>]) -> Result<()> {
        self.ledger.forget(self.file)?;
        for range in ranges {
            self.status[range.start as usize..range.end as usize].fill(0);
            self.write_range(self.places.status, range.clone(), &self.status)?;
        }
        self.prefix = 0;
        self.ledger.begin_again(self.file)?;
        self.file.sync()
    }
}

/// Sorted ranges with those joined that touch.
fn merged(ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => merged.push(range.clone()),
        }
    }
    merged
}
