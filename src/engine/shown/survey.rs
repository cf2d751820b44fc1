//! The picture of a scan that becomes finer while somebody looks at it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rayon::prelude::*;

use super::cells::{Cells, Sums};
use super::detector::{Detector, Inside};
use super::field::{Field, Found, Scatter};
use super::find::place;
use super::heading::Heading;
use super::kept::Kept;
use super::order::Order;
use super::overview::Subject;
use super::pages::page_with;
use super::values::Means;
use super::{Layout, Part, Picture, Wanted};
use crate::source::fingerprint;
use crate::storage::KnownTables;
use crate::storage::file_state::FileState;
use crate::storage::rows::{Rows, Stored};
use pixelmill_core::dimension::Dimension;
use pixelmill_core::element::StoredType;
use pixelmill_core::error::{Error, Result};

/// Bytes that may be decoded for the fingerprint of what isn't stored as it is.
const MOST_FOR_PROOF: u64 = 64 << 20;
/// Rows that such a fingerprint takes at most.
const ROWS_FOR_PROOF: u64 = 256;

/// The sum over what each position of a scan has, or over what of it is inside of a detector.
///
/// First some positions are read that lie evenly over the map, then all others, each once. A pixel
/// of one position has the sum that [`show`](super::show) gives, to the bit; one of several has the
/// mean of those that were read, with all of them the same but for rounding. Where none was read
/// yet, the value of one near it stands in, as the notes say. Of a scan of more than two axes it is
/// the map on which [`Wanted::pixel`] lies, or else the first.
///
/// What is read at once is read by all threads of the pool that [`Self::go_on`] is called in, of
/// the global one if it is in none; no number depends on how many these are.
///
/// The file is open and locked, as readers do it, only while [`Self::go_on`] is in it. Results that
/// a run writes meanwhile stay what they were when they were read.
pub struct Survey {
    kept: Kept,
    reading: Reading,
}

impl Survey {
    /// Opens a scan, without reading any values, and closes it again.
    ///
    /// # Errors
    /// If there is no such scan, it can't be read, or it has nothing inside of the detector.
    pub fn begin(wanted: &Wanted, detector: &Detector) -> Result<Self> {
        Self::begin_knowing(&Arc::default(), wanted, detector)
    }

    /// The same by somebody who knows tables of the file, or wants to know them later.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub fn begin_knowing(
        known: &Arc<KnownTables>,
        wanted: &Wanted,
        detector: &Detector,
    ) -> Result<Self> {
        let new = |subject: &Subject| Reading::new(subject, wanted, detector);
        let (kept, reading) = Kept::open(wanted, known, new)?;
        Ok(Self { kept, reading })
    }

    /// Reads on for about so long; whether there is more to read. What was read stays, also after
    /// an error.
    ///
    /// # Errors
    /// If it can't be read, or has become other data since it was begun: then only another survey
    /// makes sense.
    pub fn go_on(&mut self, time: Duration) -> Result<bool> {
        let Self { kept, reading } = self;
        let end = Instant::now() + time;
        if !reading.is_complete {
            kept.look(|subject| reading.go_on(subject, end))?;
        }
        // Where there are no locks, somebody may have written in the meantime.
        if reading.is_complete && !reading.is_proven {
            kept.look(|subject| reading.check(subject))?;
        }
        Ok(!reading.is_complete)
    }

    /// Whether it may not be what the file has by now: the data are others, or results to which
    /// somebody has written. A file to which nobody has isn't opened.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn is_outdated(&mut self) -> Result<bool> {
        let Self { kept, reading } = self;
        if kept.is_untouched() && reading.is_untouched() {
            return Ok(false);
        }
        let checked = kept.look(|subject| {
            let may_be_others = subject.states.may_change();
            reading.check(subject).map(|()| may_be_others)
        });
        match checked {
            Err(Error::ChangedMeanwhile { .. }) => Ok(true),
            checked => checked,
        }
    }

    /// Gives back the memory that only reading on takes, above all the table of chunks, which is
    /// read anew if there is more to read.
    pub fn release(&mut self) {
        self.kept.release();
    }

    /// What has been read so far.
    pub fn picture(&self) -> Picture {
        self.reading.picture()
    }

    /// Positions that have been read, and all of the map.
    pub fn seen(&self) -> (u64, u64) {
        (self.reading.seen, self.reading.all)
    }

    /// Whether all have been read.
    pub fn is_complete(&self) -> bool {
        self.reading.is_complete
    }
}

/// What is read, and what was.
struct Reading {
    title: String,
    part: Part,
    notes: Vec<String>,
    inside: Inside,
    field: Field,
    cells: Cells,
    order: Order,
    means: Means,
    found: Found,
    seen: u64,
    all: u64,
    is_complete: bool,
    has_positions: bool,
    /// A position of the map.
    position: u64,
    likeness: Likeness,
    /// The files of the data, as they were when these were known to be the same last.
    files: Vec<(PathBuf, FileState)>,
    /// What their bytes were, if that tells anything.
    fingerprint: Option<String>,
    /// Whether nobody has written to them since, as far as known.
    is_proven: bool,
}

/// What has to stay the same for a survey to go on.
#[derive(PartialEq)]
struct Likeness {
    heading: Heading,
    positions: u64,
    points: usize,
    stored: StoredType,
    layout: Layout,
    spectrum: Vec<Dimension>,
}

impl Likeness {
    fn of(Subject { source, heading, .. }: &Subject, field: &Field) -> Self {
        Self {
            heading: heading.clone(),
            positions: source.info.positions,
            points: source.info.spectral_points,
            stored: source.stored,
            layout: field.layout(),
            spectrum: source.info.spectroscopic_dimensions.clone(),
        }
    }
}

impl Reading {
    fn new(subject: &Subject, wanted: &Wanted, detector: &Detector) -> Result<Self> {
        let Subject { source, heading, notes, .. } = subject;
        let position = wanted.pixel.as_ref().map_or(Ok(0), |pixel| place(source, pixel))?;
        let inside = detector.inside(&source.info)?;
        let field = field(subject, position);
        let (positions, shape) = match &field {
            Field::Map { page, .. } => (page.positions(), page.shape),
            Field::Places(_) => (0..source.info.positions, [1, source.info.positions]),
        };
        let cells = Cells::of(source, &positions, &inside);
        let what = match source.info.spectral_points {
            1 => String::new(),
            _ => detector.said(&subject.along()),
        };
        Ok(Self {
            title: heading.titled(&[&field.said(), &what]),
            part: if subject.is_complex() { Part::Amplitude } else { Part::Value },
            notes: [field.notes(), notes.clone()].concat(),
            likeness: Likeness::of(subject, &field),
            order: Order::new((cells.count, cells.bytes), positions.start, shape),
            means: Means::new(field.pixels(), false),
            found: Found::new(field.pixels()),
            seen: 0,
            all: field.count(),
            is_complete: false,
            has_positions: subject.has_positions,
            is_proven: true,
            files: opened(&source.rows),
            fingerprint: proof(subject)?,
            position,
            inside,
            field,
            cells,
        })
    }

    fn go_on(&mut self, subject: &Subject, end: Instant) -> Result<()> {
        self.check(subject)?;
        while !self.is_complete {
            self.read(subject)?;
            if Instant::now() >= end {
                break;
            }
        }
        let rows = &subject.source.rows;
        let now = rows.files().iter().map(|file| {
            let state = file.state().map_err(|error| Error::io("read", &file.path, error))?;
            Ok((file.path.clone(), state))
        });
        self.is_proven = !self.was_written(&now.collect::<Result<Vec<_>>>()?);
        Ok(())
    }

    /// Reads as many cells as threads take at once.
    fn read(&mut self, subject: &Subject) -> Result<()> {
        let Self { inside, field, cells, order, means, found, seen, .. } = self;
        let most = cells.at_once(rayon::current_num_threads());
        let taken = order.take(most, |position| cells.holding(position));
        self.is_complete = taken.is_empty();
        let read = taken.par_iter().map_init(Sums::default, |sums, cell| {
            let (region, runs) = cells.positions(*cell);
            let is_wanted = runs.iter().any(|run| field.has_any(run));
            let read = is_wanted.then(|| sums.read(subject, inside, (&region, &runs)));
            read.transpose().map(|read| (runs, read.unwrap_or_default()))
        });
        let read: Result<Vec<_>> = read.collect();
        let read = read.inspect_err(|_| order.give_back(&taken))?;
        for (runs, of_cell) in read {
            for (position, (state, sum)) in runs.into_iter().flatten().zip(of_cell) {
                if field.has_any(&(position..position + 1)) {
                    let pixel = field.pixel(position);
                    found.note(pixel, state);
                    means.add(pixel, (sum, 0.0));
                    *seen += 1;
                }
            }
        }
        self.is_complete |= self.seen == self.all;
        Ok(())
    }

    /// Checks that the data are those that were begun with.
    ///
    /// # Errors
    /// If they aren't.
    fn check(&mut self, subject: &Subject) -> Result<()> {
        let now = opened(&subject.source.rows);
        if self.was_written(&now) {
            let field = field(subject, self.position);
            let is_like = subject.source.info.positions > self.position
                && Likeness::of(subject, &field) == self.likeness;
            let is_same = match &self.fingerprint {
                // What a run computes is added to results all the time.
                None => subject.states.may_change(),
                known => is_like && proof(subject)? == *known,
            };
            if !(is_like && is_same) {
                let source = &subject.source;
                let (file, dataset) = (source.file.clone(), source.info.path.clone());
                return Err(Error::ChangedMeanwhile { file, dataset });
            }
            self.files = now;
        }
        self.is_proven = true;
        Ok(())
    }

    /// Whether the files of the data are those that they were, and nobody has written to them.
    fn is_untouched(&self) -> bool {
        let is_same = |(path, before): &(PathBuf, FileState)| {
            FileState::at(path).is_ok_and(|now| !before.was_written(&now))
        };
        self.is_proven && self.files.iter().all(is_same)
    }

    fn was_written(&self, now: &[(PathBuf, FileState)]) -> bool {
        let mut pairs = self.files.iter().zip(now);
        let differ = now.len() != self.files.len();
        differ || pairs.any(|((_, before), (_, now))| before.was_written(now))
    }

    fn picture(&self) -> Picture {
        let mut numbers = self.means.values();
        let mut notes = self.notes.clone();
        if !self.is_complete {
            let others = match self.field {
                Field::Map { .. } => "; in place of others is one near them",
                Field::Places(_) => "",
            };
            let told = format!("{} of {} positions have been read{others}", self.seen, self.all);
            notes.insert(0, told);
            self.fill(&mut numbers);
        }
        let laid = self.field.laid(self.found.values(numbers));
        let picture = self.likeness.heading.picture(&self.title, Part::Value, notes, laid);
        let first_position = picture.first_position.filter(|_| self.has_positions);
        Picture { part: self.part, first_position, ..picture }
    }

    /// Gives pixels of which nothing was read the value of one near them.
    fn fill(&self, numbers: &mut [f64]) {
        let Field::Map { page, .. } = &self.field else { return };
        let read = numbers.to_vec();
        let unseen = numbers.iter_mut().enumerate().filter(|(at, _)| self.found.is_unseen(*at));
        for (pixel, number) in unseen {
            let near = self.order.near(page.middle(pixel)).map(|position| page.pixel(position));
            let near = near.into_iter().find(|other| !self.found.is_unseen(*other));
            *number = near.map_or(f64::NAN, |other| read[other]);
        }
    }
}

/// How positions become pixels: those of the map that one lies on.
fn field(Subject { source, .. }: &Subject, position: u64) -> Field {
    let grid = &source.grid;
    if !grid.is_full() {
        return Field::Places(Scatter::of(source, u64::MAX));
    }
    let (page, number, count) = page_with(&grid.dimensions, position);
    let note = (count > 1).then(|| format!("map {} of {count}", number + 1));
    Field::Map { page, axes: grid.dimensions.clone(), note }
}

/// What the files of some rows were before anything of these was read.
fn opened(rows: &Rows) -> Vec<(PathBuf, FileState)> {
    rows.files().iter().map(|file| (file.path.clone(), file.opened)).collect()
}

/// What shows whether data have been exchanged; `None` of results, which come one by one, and where
/// it would take long.
fn proof(Subject { source, states, .. }: &Subject) -> Result<Option<String>> {
    let rows = &source.rows;
    let read = match (rows.stored(), rows.tiles()) {
        (Stored::Elsewhere, Some(tiles)) => {
            let row = tiles.per_cell() * tiles.tile_bytes();
            rows.bytes().min(row.saturating_mul(ROWS_FOR_PROOF))
        }
        _ => 0,
    };
    if states.may_change() || read > MOST_FOR_PROOF {
        return Ok(None);
    }
    fingerprint(rows).map(Some)
}
