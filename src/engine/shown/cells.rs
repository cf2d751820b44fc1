//! The positions of a map cut into what is read at once, and what each of them has inside of a
//! detector.

use std::ops::Range;

use num_complex::Complex64;

use super::detector::Inside;
use super::overview::Subject;
use super::states::State;
use crate::region::{Region, steps};
use crate::source::Source;
use crate::storage::rows::Reading;
use crate::view::Blocks;
use pixelmill_core::chunk_io::AlignedBytes;
use pixelmill_core::element::{StoredType, elements};
use pixelmill_core::error::{Error, Result};
use pixelmill_core::positions::runs;

/// Bytes of a cell where rows lie side by side: so many that a call of the system doesn't count.
const CELL: usize = 64 << 10;
/// Bytes of memory that all threads together take for what they read at once.
const MEMORY: u64 = 32 << 20;
/// Bytes that a thread reads or decodes in a millisecond or two, and cells that are so many at
/// most.
const MOMENT: u64 = 1 << 20;
const MOST_OF_THREAD: u64 = 16;
/// Values that are converted at a time.
const PIECE: usize = 8 << 10;

/// The positions of a map as cells: those that share tiles, or a stretch of rows.
pub(super) struct Cells {
    blocks: Blocks,
    /// Steps of the dataset's axes of positions.
    shape: Vec<u64>,
    /// The positions of the map, as a box of these.
    map: Region,
    /// The number of the first cell that has some of them.
    first: u64,
    /// How many cells have some of them.
    pub count: u64,
    /// Bytes that are read, or decoded, for one.
    pub bytes: u64,
    /// Bytes of memory that takes.
    memory: u64,
}

impl Cells {
    /// Those of consecutive positions, of which only what is `inside` is wanted.
    pub fn of(source: &Source, positions: &Range<u64>, inside: &Inside) -> Self {
        let (shape, cell, (bytes, memory)) = match source.rows.tiles() {
            None => {
                let row = source.row_bytes().max(1);
                let rows = (CELL / row).max(1) as u64;
                let bytes = rows * row as u64;
                (vec![source.info.positions], vec![rows], (bytes, bytes))
            }
            Some(tiles) => {
                let one = tiles.view.position_shape().iter().map(|_| 0..1).collect();
                let places = tiles.places_of(&one);
                let is_read = |place: &&Vec<u64>| {
                    let points = tiles.points_of(place).runs(&tiles.spectrum_shape());
                    !inside.of(&points).is_empty()
                };
                let read = places.iter().filter(is_read).count() as u64;
                let memory = tiles.tile_bytes() + tiles.worker_bytes();
                let bytes = (read * tiles.tile_bytes(), memory);
                (tiles.view.position_shape(), tiles.cell(), bytes)
            }
        };
        let blocks = Blocks::new(&shape, &cell, &cell);
        let [begin, last] = [positions.start, positions.end - 1];
        let ends = steps(&shape, begin).into_iter().zip(steps(&shape, last));
        let map = ends.map(|(begin, last)| begin..last + 1).collect();
        let first = blocks.holding(begin);
        let count = blocks.holding(last) + 1 - first;
        Self { blocks, shape, map, first, count, bytes, memory }
    }

    /// The cell that holds a position of the map.
    pub fn holding(&self, position: u64) -> u64 {
        self.blocks.holding(position) - self.first
    }

    /// How many are read at once by so many threads: each some that take no time to speak of, but
    /// no more threads than there is memory for.
    pub fn at_once(&self, threads: usize) -> usize {
        let most = (MEMORY / self.memory.max(1)).max(1) as usize;
        if most < threads {
            return most;
        }
        threads * (MOMENT / self.bytes.max(1)).clamp(1, MOST_OF_THREAD) as usize
    }

    /// The positions of the map that a cell holds: a box, and as runs.
    pub fn positions(&self, cell: u64) -> (Region, Vec<Range<u64>>) {
        let all = self.blocks.region(self.first + cell);
        let own = all.intersection(&self.map);
        own.map_or_else(Default::default, |own| {
            let runs = own.runs(&self.shape);
            (own, runs)
        })
    }
}

/// Whether all positions of a cell need the same of the file.
fn is_whole(source: &Source) -> bool {
    matches!(source.rows.reading(), Reading::Chunks)
}

/// What is inside of a detector at some positions.
#[derive(Default)]
pub(super) struct Sums {
    bytes: AlignedBytes,
    real: Vec<f64>,
    complex: Vec<Complex64>,
    sums: Vec<Sum>,
}

/// A sum, and whether it is one of any values: NaN and infinite ones don't count.
#[derive(Clone, Copy)]
struct Sum {
    sum: f64,
    is_known: bool,
}

impl Sum {
    /// Adding anything to it gives just that, to the bit.
    const NOTHING: Self = Self { sum: -0.0, is_known: false };

    fn add(&mut self, values: impl Iterator<Item = f64>) {
        for value in values {
            let is_finite = value.is_finite();
            self.sum += if is_finite { value } else { -0.0 };
            self.is_known |= is_finite;
        }
    }
}

impl Sums {
    /// Reads the positions of a cell: what is known of each, and its sum, NaN if there is none.
    /// What can't be read since it is damaged has failed.
    ///
    /// # Errors
    /// If nothing can be read.
    pub fn read(
        &mut self,
        subject: &Subject,
        inside: &Inside,
        (cell, positions): (&Region, &[Range<u64>]),
    ) -> Result<Vec<(State, f64)>> {
        let Subject { source, states, .. } = subject;
        // Before the values, which a run may write in between.
        let mut known = Vec::new();
        for run in positions {
            known.extend(states.read(run)?);
        }
        self.sums.clear();
        self.sums.resize(known.len(), Sum::NOTHING);
        match self.sum(source, inside, (cell, positions)) {
            Err(Error::Damaged { .. }) if known.len() > 1 && !is_whole(source) => {
                let shape = source.rows.view().position_shape();
                let mut each = Vec::with_capacity(known.len());
                for position in positions.iter().cloned().flatten() {
                    let one = steps(&shape, position).into_iter().map(|step| step..step + 1);
                    let run = position..position + 1;
                    let one = (&one.collect(), std::slice::from_ref(&run));
                    each.extend(self.read(subject, inside, one)?);
                }
                return Ok(each);
            }
            Err(Error::Damaged { .. }) => known.fill(State::Failed),
            other => other?,
        }
        let sum = |(state, Sum { sum, is_known }): (State, &Sum)| {
            (state, if *is_known && state == State::Known { *sum } else { f64::NAN })
        };
        Ok(known.into_iter().zip(&self.sums).map(sum).collect())
    }

    fn sum(
        &mut self,
        source: &Source,
        inside: &Inside,
        (cell, positions): (&Region, &[Range<u64>]),
    ) -> Result<()> {
        let Some(tiles) = source.rows.tiles() else {
            let points = source.info.spectral_points;
            let mut bytes = std::mem::take(&mut self.bytes);
            bytes.resize(self.sums.len() * source.row_bytes());
            source.rows.read_into(positions, &mut bytes)?;
            let all = 0..points as u64;
            let within = inside.of(std::slice::from_ref(&all));
            self.add(&bytes, points, &within, source.stored);
            self.bytes = bytes;
            return Ok(());
        };
        for place in tiles.places_of(cell) {
            let stretches = tiles.points_of(&place).runs(&tiles.spectrum_shape());
            let within = inside.of(&stretches);
            if within.is_empty() {
                continue;
            }
            let points = runs::count(&stretches) as usize;
            self.add(&tiles.read_part(&place, cell)?, points, &within, source.stored);
        }
        Ok(())
    }

    /// Adds to each position's sum what is `within` the points that follow each other in `bytes`.
    fn add(&mut self, bytes: &[u8], points: usize, within: &[Range<usize>], stored: StoredType) {
        let Self { sums, real, complex, .. } = self;
        let size = stored.element.size();
        for (number, sum) in sums.iter_mut().enumerate() {
            let row = &bytes[number * points * size..][..points * size];
            for run in within {
                for piece in row[run.start * size..run.end * size].chunks(PIECE * size) {
                    if stored.element.is_complex() {
                        let values = elements::<Complex64>(piece, stored, complex);
                        sum.add(values.iter().map(|value| value.re.hypot(value.im)));
                    } else {
                        sum.add(elements::<f64>(piece, stored, real).iter().copied());
                    }
                }
            }
        }
    }
}
