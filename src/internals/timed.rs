//! Hot parts of the engine, for `benches/hot.rs`: what each needs is made ready before it is timed.

use std::time::Duration;

use crate::engine::scheduler::{Limits, Portion, Scheduler, Supply};
use crate::engine::{Stop, batch::Batch};
use crate::storage::filters::{FilterInfo, Pipeline, Scratch};
use crate::storage::marks::Summary;
use crate::storage::tiles::copy::{Axis, copy};

/// A chunk as it is stored, and the filters that it went through, in the order in which a writer
/// applies them.
pub struct StoredChunk {
    pipeline: Pipeline,
    stored: Vec<u8>,
    plain: Vec<u8>,
    scratch: Scratch,
}

impl StoredChunk {
    /// A chunk that a writer with these filters, numbers and values, has made of `plain`.
    pub fn new(filters: &[(i32, &[u32])], stored: Vec<u8>, plain: Vec<u8>) -> Self {
        let info = |(id, values): &(i32, &[u32])| FilterInfo {
            id: *id,
            values: values.to_vec(),
            name: String::new(),
        };
        let filters: Vec<FilterInfo> = filters.iter().map(info).collect();
        let pipeline = Pipeline::new(&filters, 2).unwrap_or_else(|unknown| panic!("{unknown}"));
        Self { pipeline, stored, plain, scratch: Scratch::default() }
    }

    /// The same of filters that can be applied here.
    pub fn encoded(filters: &[(i32, &[u32])], plain: Vec<u8>) -> Self {
        let mut chunk = Self::new(filters, Vec::new(), plain);
        let encoded = chunk.pipeline.encode(&chunk.plain, &mut chunk.scratch);
        chunk.stored = encoded.unwrap_or_else(|reason| panic!("{reason}"));
        chunk
    }

    /// Decodes it.
    pub fn decode(&mut self) -> &[u8] {
        let Self { pipeline, stored, plain, scratch } = self;
        pipeline.decode(0, stored, plain, scratch).unwrap_or_else(|reason| panic!("{reason}"));
        plain
    }
}

/// Turns a box of rows × columns round, with elements of so many bytes.
pub fn turn(from: &[u8], to: &mut [u8], (rows, columns): (usize, usize), element: usize) {
    let axes = [
        Axis { steps: rows, from: columns * element, to: element },
        Axis { steps: columns, from: element, to: rows * element },
    ];
    copy(from, to, &axes, element);
}

/// How many of some positions are marked.
pub fn count_marks(marks: &[u8]) -> u64 {
    Summary::of(0, marks).count
}

/// Hands out so many positions in units of up to `most`, and marks them; gives the number of units.
pub fn hand_out(positions: u64, most: u64) -> u64 {
    let portion =
        Portion { runs: std::iter::once(0..positions).collect(), block: None, is_exclusive: true };
    let supply: Supply<'_> = Box::new(std::iter::once(Ok(portion)));
    let batch = (Duration::from_secs(3600), u64::MAX);
    let scheduler =
        Scheduler::new(supply, 0, Limits { open: 2, unit: Some((1, most)), batch }, Stop::new());
    let (mut units, mut last) = (0, None);
    while let Some(ticket) = scheduler.next(last, || false) {
        let done = Batch { positions: ticket.runs.iter().cloned().collect(), ..Batch::default() };
        last = Some(scheduler.done(ticket, vec![done], Duration::from_micros(10)));
        units += 1;
    }
    while scheduler.next_to_mark().is_some() {
        scheduler.marked();
    }
    units
}
