//! Where what workers make of units is stored: rows in place, in the results datasets.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use crate::storage::in_place::InPlace;
use crate::storage::results_group::Place;
use pixelmill_core::chunk_io::WriteChunk;
use pixelmill_core::contribution::UnitResults;
use pixelmill_core::error::Result;
use pixelmill_core::kernel::Prepared;
use pixelmill_core::positions::runs;

/// Where the rows of results go.
pub(crate) struct Sink<'a> {
    file: &'a dyn InPlace,
    /// Place and bytes per position of each results dataset.
    datasets: Vec<(Place, usize)>,
}

impl<'a> Sink<'a> {
    /// The file that results go to, with the place and the bytes per position of each results
    /// dataset.
    pub fn new(file: &'a dyn InPlace, datasets: impl Iterator<Item = (Place, usize)>) -> Self {
        Self { file, datasets: datasets.collect() }
    }

    /// Stores what was made of the positions of some runs. If they lie `near` each other, with
    /// nobody else's between them, what is between is written with them, as it was.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn store(
        &self,
        prepared: &dyn Prepared,
        runs: &[Range<u64>],
        near: bool,
        results: &UnitResults,
    ) -> Result<()> {
        if !near {
            return write(prepared, self, runs, results);
        }
        let together = Together::new(self);
        write(prepared, &together, runs, results)?;
        together.finish()
    }

    /// Fills `rows` with what a results dataset has at the positions from `first` on.
    ///
    /// # Errors
    /// If the file can't be read.
    pub fn read(&self, dataset: usize, first: u64, rows: &mut [u8]) -> Result<()> {
        let (place, position_bytes) = &self.datasets[dataset];
        let run = first..first + (rows.len() / position_bytes) as u64;
        for (extent, at, part) in place.parts(&run, *position_bytes)? {
            self.file.read(extent, at, &mut rows[part])?;
        }
        Ok(())
    }
}

impl WriteChunk for Sink<'_> {
    fn write(&self, dataset: usize, first: u64, rows: &[u8]) -> Result<()> {
        let (place, position_bytes) = &self.datasets[dataset];
        let run = first..first + (rows.len() / position_bytes) as u64;
        for (extent, at, part) in place.parts(&run, *position_bytes)? {
            self.file.write(extent.part(at, &rows[part])?)?;
        }
        Ok(())
    }
}

fn write(
    prepared: &dyn Prepared,
    results: &dyn WriteChunk,
    runs: &[Range<u64>],
    unit: &UnitResults,
) -> Result<()> {
    // What is made at the end has nothing yet.
    let there = unit.rows.iter().enumerate().filter(|(_, rows)| !rows.is_empty());
    for (dataset, rows) in there {
        let mut left: &[u8] = rows;
        let position_bytes = left.len() / runs::count(runs).max(1) as usize;
        for run in runs {
            let (part, rest) = left.split_at((run.end - run.start) as usize * position_bytes);
            prepared.write(results, dataset, run.start, part)?;
            left = rest;
        }
    }
    Ok(())
}

/// The results of a unit whose positions lie near each other: written together, with what is
/// between them as it was. Single writes of a few bytes would take longer than the computation.
struct Together<'a> {
    sink: &'a Sink<'a>,
    waiting: Mutex<Waiting>,
}

/// Rows of one results dataset that wait to be written.
#[derive(Default)]
struct Waiting {
    dataset: usize,
    first: u64,
    rows: Vec<u8>,
    /// What of `rows` isn't known yet.
    gaps: Vec<Range<usize>>,
}

/// Bytes between two results that are written with them.
const GAP_BYTES: u64 = 4096;
/// Bytes of results that wait at most: so few that they needn't be counted.
const WAITING_BYTES: usize = 64 << 10;

impl<'a> Together<'a> {
    fn new(sink: &'a Sink<'a>) -> Self {
        Self { sink, waiting: Mutex::default() }
    }

    /// Writes what still waits.
    fn finish(&self) -> Result<()> {
        self.store(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn store(&self, waiting: &mut Waiting) -> Result<()> {
        let Waiting { dataset, first, rows, gaps } = std::mem::take(waiting);
        if rows.is_empty() {
            return Ok(());
        }
        let mut whole = rows;
        if !gaps.is_empty() {
            let mut there = vec![0; whole.len()];
            self.sink.read(dataset, first, &mut there)?;
            gaps.into_iter().for_each(|gap| whole[gap.clone()].copy_from_slice(&there[gap]));
        }
        self.sink.write(dataset, first, &whole)
    }
}

impl WriteChunk for Together<'_> {
    fn write(&self, dataset: usize, first: u64, rows: &[u8]) -> Result<()> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let position_bytes = self.sink.datasets[dataset].1 as u64;
        let end = waiting.first + waiting.rows.len() as u64 / position_bytes.max(1);
        let gap = first.checked_sub(end).map(|gap| gap * position_bytes);
        let joins = waiting.dataset == dataset
            && !waiting.rows.is_empty()
            && waiting.rows.len() + rows.len() <= WAITING_BYTES;
        match gap.filter(|gap| joins && *gap <= GAP_BYTES) {
            Some(0) => {}
            Some(gap) => {
                let begin = waiting.rows.len();
                waiting.rows.resize(begin + gap as usize, 0);
                waiting.gaps.push(begin..begin + gap as usize);
            }
            None => {
                self.store(&mut waiting)?;
                if rows.len() >= WAITING_BYTES {
                    return self.sink.write(dataset, first, rows);
                }
                (waiting.dataset, waiting.first) = (dataset, first);
            }
        }
        waiting.rows.extend_from_slice(rows);
        Ok(())
    }
}
