//! Positions are read, piece by piece, and handed to whoever makes pixels of them.

use std::ops::Range;

use num_complex::Complex64;

use super::pages::Page;
use super::states::{State, States};
use crate::source::Source;
use pixelmill_core::chunk_io::AlignedBytes;
use pixelmill_core::element::{StoredType, elements};
use pixelmill_core::error::{Error, Result};

/// Bytes of rows that are read at a time.
const PIECE: usize = 8 << 20;
/// Bytes that may be read for one picture; of more, only some positions are looked at. That takes
/// about half a second where they have to be decompressed.
pub(super) const MOST_BYTES: u64 = 256 << 20;
/// So many pixels a picture should have even so, on each axis.
const LEAST_PIXELS: u64 = 16;

/// A position as it was read.
pub(super) struct Seen<'a> {
    pub position: u64,
    pub state: State,
    /// Its values; none if the state says that there are none.
    pub real: &'a [f64],
    /// The imaginary parts of complex ones.
    pub imaginary: &'a [f64],
}

impl Seen<'_> {
    /// All values, both parts of each.
    pub fn values(&self) -> impl Iterator<Item = (f64, f64)> {
        let imaginary = self.imaginary.iter().copied().chain(std::iter::repeat(0.0));
        self.real.iter().copied().zip(imaginary)
    }
}

/// The same page, or as much of it as can be read in a moment.
pub(super) fn affordable(source: &Source, page: Page) -> Page {
    let is_dear = |page: &Page| bytes_read(source, page) > MOST_BYTES;
    if !is_dear(&page) {
        return page;
    }
    let longest = page.shape[0].max(page.shape[1]);
    let most = (longest / LEAST_PIXELS).max(1);
    let steps = std::iter::successors(Some(1u64), |steps| Some((steps * 5 / 4).max(steps + 1)));
    let mut steps = steps.take_while(|steps| *steps < most);
    let found = steps.find(|steps| !is_dear(&page.sampled(*steps))).unwrap_or(most);
    page.sampled(found)
}

/// Bytes that are read and decoded for a page: of tiles that hold several positions the whole.
fn bytes_read(source: &Source, page: &Page) -> u64 {
    let [rows, columns] = page.shape;
    let read = |at: usize| {
        if page.is_sampled { page.shape[at].div_ceil(page.steps[at]) } else { page.shape[at] }
    };
    let alone = read(0) * read(1) * source.row_bytes() as u64;
    let Some(tiles) = source.rows.tiles().filter(|tiles| tiles.are_indivisible()) else {
        return alone;
    };
    // Cells of the scan's axes that are longer than a step, as pages have them.
    let lengths = source.rows.view().position_shape();
    let long = lengths.iter().zip(tiles.cell()).filter(|(length, _)| **length > 1);
    let cells: Vec<u64> = long.map(|(_, cell)| cell).collect();
    let cell = |at: usize| match (cells.len(), at) {
        (0, _) | (1, 0) => 1,
        (1, _) => cells[0],
        (several, at) => cells[several - 2 + at],
    };
    let touched = |at: usize| page.shape[at].div_ceil(cell(at)).min(read(at));
    let whole: u64 = touched(0) * touched(1) * tiles.per_cell() * tiles.tile_bytes();
    whole.min(rows * columns * source.row_bytes() as u64).max(alone)
}

/// Reads the positions of some runs, and lets `see` each of them. What can't be read since it is
/// damaged has failed.
///
/// # Errors
/// If nothing can be read.
pub(super) fn gather(
    source: &Source,
    states: &States,
    runs: impl Iterator<Item = Range<u64>>,
    mut see: impl FnMut(Seen<'_>),
) -> Result<()> {
    let row = source.row_bytes().max(source.info.spectral_points * size_of::<f64>());
    let at_once = (PIECE / row.max(1)).max(1) as u64;
    let mut piece: Vec<Range<u64>> = Vec::new();
    let mut reader =
        Reader { source, states, bytes: AlignedBytes::default(), values: Parts::default() };
    let parts = runs.flat_map(|run| {
        let starts = (run.start..run.end).step_by(at_once as usize);
        starts.map(move |start| start..run.end.min(start + at_once))
    });
    let mut count = 0;
    for part in parts {
        let length = part.end - part.start;
        if count + length > at_once {
            reader.read(&piece, &mut see)?;
            piece.clear();
            count = 0;
        }
        count += length;
        match piece.last_mut() {
            Some(last) if last.end == part.start => last.end = part.end,
            _ => piece.push(part),
        }
    }
    reader.read(&piece, &mut see)
}

struct Reader<'s> {
    source: &'s Source,
    states: &'s States,
    bytes: AlignedBytes,
    values: Parts,
}

/// Values, and of complex ones the imaginary parts.
#[derive(Default)]
struct Parts {
    real: Vec<f64>,
    imaginary: Vec<f64>,
}

impl Parts {
    fn fill(&mut self, bytes: &[u8], stored: StoredType) {
        self.real.clear();
        self.imaginary.clear();
        if stored.element.is_complex() {
            let converted = &mut Vec::<Complex64>::new();
            let values = elements(bytes, stored, converted);
            self.real.extend(values.iter().map(|value| value.re));
            self.imaginary.extend(values.iter().map(|value| value.im));
        } else {
            self.real.extend_from_slice(elements(bytes, stored, &mut Vec::<f64>::new()));
        }
    }
}

impl Reader<'_> {
    fn read(&mut self, piece: &[Range<u64>], see: &mut impl FnMut(Seen<'_>)) -> Result<()> {
        let count: u64 = piece.iter().map(|run| run.end - run.start).sum();
        // Before the values, which a run may write in between.
        let mut states = Vec::with_capacity(count as usize);
        for run in piece {
            states.extend(self.states.read(run)?);
        }
        self.bytes.resize(count as usize * self.source.row_bytes());
        match self.source.rows.read_into(piece, &mut self.bytes) {
            Ok(()) => {
                self.hand_over(piece, &states, see);
                Ok(())
            }
            Err(Error::Damaged { .. }) if count > 1 => {
                for position in piece.iter().cloned().flatten() {
                    self.read(std::slice::from_ref(&(position..position + 1)), see)?;
                }
                Ok(())
            }
            Err(Error::Damaged { .. }) => {
                let position = piece[0].start;
                see(Seen { position, state: State::Failed, real: &[], imaginary: &[] });
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn hand_over(
        &mut self,
        piece: &[Range<u64>],
        states: &[State],
        see: &mut impl FnMut(Seen<'_>),
    ) {
        let Self { source, bytes, values, .. } = self;
        values.fill(bytes, source.stored);
        let points = source.info.spectral_points;
        let positions = piece.iter().cloned().flatten().zip(states);
        for (number, (position, state)) in positions.enumerate() {
            let at = number * points;
            let own = if *state == State::Known { at..at + points } else { 0..0 };
            let real = &values.real[own.clone()];
            let imaginary = values.imaginary.get(own).unwrap_or_default();
            see(Seen { position, state: *state, real, imaginary });
        }
    }
}
