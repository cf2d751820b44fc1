//! One unit, folded: group by group, part by part, tile by tile, always in the same order.
//!
//! Whoever reads hands each part of a group to all who fold it, so that it is read once; what that
//! is for is in `together`. What can't be folded is left out: the unit is folded once more without
//! it, by itself. So no position is in with a part of its values.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::cut::{Needs, TILE_VALUES};
use super::geometry::Geometry;
use super::read::{Part, PartRows, Read, WantedGroup, announce, part_of_block, parts, read_part};
use super::unsuitable;
use crate::engine::inexact::inexact;
use crate::engine::inputs::AuxiliaryReader;
use crate::engine::job::Job;
use crate::engine::pending::Pending;
use crate::source::RowsDigest;
use crate::storage::tiles::Block;
use pixelmill_core::chunk_io::AlignedBytes;
use pixelmill_core::contribution::UnitResults;
use pixelmill_core::error::{Error, Result};
use pixelmill_core::failure::{Failure, guarded};
use pixelmill_core::kernel::{
    Accumulator, AuxiliaryRows, BufferLayout, Fold, FoldWorker, Kind, Parts, PointRun, RawTile,
};
use pixelmill_core::positions::runs;
use pixelmill_core::reduction::TILE_POINTS;

/// What one thread folds units with.
pub(crate) struct UnitWorker<'f> {
    job: &'f Job,
    fold: &'f dyn Fold,
    geometry: &'f Geometry,
    pending: &'f Pending<'f>,
    worker: Box<dyn FoldWorker + 'f>,
    /// What a part has of the positions that are folded, where they don't follow each other.
    own: AlignedBytes,
    /// What a tile whose points aren't neighbours has of each buffer per point.
    gathered: Vec<AlignedBytes>,
    /// What the positions of the unit have of each buffer per position.
    per_position: Vec<AlignedBytes>,
    auxiliary: Vec<AuxiliaryRows>,
    /// The groups of the unit in which something is to be folded.
    groups: Vec<WantedGroup>,
    attempt: Attempt,
    /// The results per position of the unit.
    pub results: UnitResults,
}

/// What came of a unit.
#[derive(Default)]
pub(crate) struct FoldedUnit {
    /// What it is folded into, if anything was to be folded.
    pub all: Option<Accumulator>,
    /// Its positions that failed, with their reasons.
    pub failures: BTreeMap<u64, Failure>,
    pub digest: RowsDigest,
    pub compute: Duration,
    /// The positions that have results, in their order: ranges of consecutive ones.
    pub runs: Vec<Range<u64>>,
}

/// What is known of a unit while it is folded.
#[derive(Default)]
struct Attempt {
    all: Option<Accumulator>,
    /// What failed before, and is left out.
    out: BTreeMap<u64, Failure>,
    /// What fails now.
    fresh: BTreeMap<u64, Failure>,
    /// Whether data are digested: the first time all of them are.
    is_first: bool,
    digest: RowsDigest,
    /// Why none of the unit can be folded, if that turned out.
    lost: Option<Failure>,
    compute: Duration,
    /// How many positions of the groups before are folded.
    first: usize,
    /// The positions of the group in hand.
    positions: Vec<u64>,
    group_digest: RowsDigest,
}

impl<'f> UnitWorker<'f> {
    pub(super) fn new(
        job: &'f Job,
        fold: &'f dyn Fold,
        geometry: &'f Geometry,
        pending: &'f Pending<'f>,
    ) -> Self {
        Self {
            job,
            fold,
            geometry,
            pending,
            worker: fold.worker(),
            own: AlignedBytes::default(),
            gathered: Vec::new(),
            per_position: Vec::new(),
            auxiliary: job.inputs.auxiliary.iter().map(AuxiliaryReader::room).collect(),
            groups: Vec::new(),
            attempt: Attempt::default(),
            results: UnitResults::default(),
        }
    }

    /// Folds what is pending of a unit into `all`, which holds nothing yet, and returns it.
    ///
    /// # Errors
    /// If the source can't be read.
    pub fn work(
        &mut self,
        unit: u64,
        all: Accumulator,
        buffer: &mut AlignedBytes,
    ) -> Result<Option<Accumulator>> {
        self.begin(unit, Some(all))?;
        self.read_groups(buffer)?;
        Ok(self.end(buffer)?.all)
    }

    /// Begins a unit, of which everything pending is to be folded into `all`, whatever that
    /// holds, or only to be read if there is none.
    ///
    /// # Errors
    /// If what is pending can't be read, or the fold can't begin.
    pub fn begin(&mut self, unit: u64, all: Option<Accumulator>) -> Result<()> {
        self.groups = super::wanted(&self.geometry.groups(unit), &[self.pending])?;
        self.attempt = Attempt { all, is_first: true, ..Attempt::default() };
        self.begin_attempt()
    }

    /// The first position of a group that is to be folded.
    pub fn first_of(&self, group: usize) -> Option<u64> {
        self.groups.get(group).and_then(|group| group.positions.first().copied())
    }

    /// Folds a group that is read here: from a block that has all tiles of it, or by itself.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn read_group(
        &mut self,
        group: usize,
        block: Option<&Block>,
        buffer: &mut AlignedBytes,
    ) -> Result<()> {
        if !self.begin_group(group)? {
            return Ok(());
        }
        let job = self.job;
        let wanted = WantedGroup {
            group: self.groups[group].group.clone(),
            positions: self.attempt.positions.clone(),
        };
        if block.is_none() {
            announce(job, self.geometry, &wanted);
        }
        let element = job.source.stored.element.size();
        for part in parts(job, self.geometry, &wanted.group) {
            let mut fold = |read: &Read<'_>| self.fold_part(&part, read);
            let folded = match block {
                Some(block) => part_of_block(block, &wanted, (&part, element), buffer, &mut fold),
                None => read_part(job, &wanted, &part, buffer, &mut fold),
            };
            match folded {
                Err(Error::Damaged { reason, .. }) => {
                    self.lose_group(&reason);
                    break;
                }
                other => other?,
            }
        }
        self.end_group();
        Ok(())
    }

    fn read_groups(&mut self, buffer: &mut AlignedBytes) -> Result<()> {
        (0..self.groups.len()).try_for_each(|group| self.read_group(group, None, buffer))
    }

    /// Ends a unit; what can't be folded is left out, for which it is read once more.
    ///
    /// # Errors
    /// If the source can't be read.
    pub fn end(&mut self, buffer: &mut AlignedBytes) -> Result<FoldedUnit> {
        loop {
            self.end_attempt();
            let attempt = &mut self.attempt;
            if attempt.fresh.is_empty() || attempt.all.is_none() {
                break;
            }
            attempt.out.append(&mut attempt.fresh);
            attempt.is_first = false;
            self.begin_attempt()?;
            self.read_groups(buffer)?;
        }
        let Attempt { all, out, digest, compute, .. } = std::mem::take(&mut self.attempt);
        let has_results = all.is_some() && self.fold.is_last_pass();
        let runs = if has_results { self.publish(&out) } else { Vec::new() };
        Ok(FoldedUnit { all, failures: out, digest, compute, runs })
    }

    /// Makes room for all positions that aren't left out, with nothing folded.
    fn begin_attempt(&mut self) -> Result<()> {
        let count: usize = self.groups.iter().map(|group| group.positions.len()).sum();
        let count = count - self.attempt.out.len();
        self.attempt.first = 0;
        let layouts = self.fold.buffers();
        self.per_position.resize_with(layouts.len(), AlignedBytes::default);
        for (bytes, layout) in self.per_position.iter_mut().zip(layouts) {
            let is_per_position = layout.kind == Kind::PerPosition && !layout.is_at_end();
            bytes.resize(if is_per_position { count * layout.each } else { 0 });
            bytes.fill(0);
        }
        let Self { worker, per_position, attempt, .. } = self;
        let Some(all) = &mut attempt.all else { return Ok(()) };
        all.clear(layouts, self.fold.pass());
        let mut parts = parts_of(all, per_position);
        let begun = guarded(|| worker.begin(&mut parts));
        begun.map_err(|failure| unsuitable(self.job, "begin a unit", &failure))
    }

    fn end_attempt(&mut self) {
        let Self { worker, per_position, attempt, groups, .. } = self;
        let positions = groups.iter().flat_map(|group| group.positions.iter().copied());
        let positions: Vec<u64> =
            positions.filter(|position| !attempt.out.contains_key(position)).collect();
        let is_good = attempt.fresh.is_empty() && attempt.lost.is_none();
        if let Some(all) = attempt.all.as_mut().filter(|_| is_good) {
            let mut parts = parts_of(all, per_position);
            attempt.lost = guarded(|| worker.end(&positions, &mut parts)).unwrap_or_else(Err).err();
        }
        if let Some(why) = attempt.lost.take() {
            for position in positions {
                attempt.fresh.entry(position).or_insert_with(|| why.clone());
            }
        }
    }

    /// Begins a group, whose parts follow; `false` if nothing of it is to be folded any more.
    ///
    /// # Errors
    /// If its auxiliary inputs can't be read.
    pub fn begin_group(&mut self, group: usize) -> Result<bool> {
        let Self { job, auxiliary, attempt, groups, .. } = self;
        let all = groups[group].positions.iter().copied();
        // Once all data are digested only those are read that are folded.
        attempt.positions = match attempt.is_first {
            true => all.collect(),
            false => all.filter(|position| !attempt.out.contains_key(position)).collect(),
        };
        attempt.group_digest = RowsDigest::default();
        if attempt.positions.is_empty() {
            return Ok(false);
        }
        let ranges: Vec<Range<u64>> = runs::of_positions(&attempt.positions).collect();
        let mut damaged = Vec::new();
        for (number, (input, rows)) in job.inputs.auxiliary.iter().zip(auxiliary).enumerate() {
            let bytes = input.read(&ranges, rows, &mut damaged)?;
            let each = bytes.chunks_exact(input.rows().row_bytes());
            attempt.group_digest.add_rows(number + 1, attempt.positions.iter().copied(), each);
        }
        for (index, why) in damaged {
            attempt.fresh.entry(attempt.positions[index as usize]).or_insert(why);
        }
        Ok(true)
    }

    /// Nothing of the positions of the group counts.
    pub fn lose_group(&mut self, reason: &str) {
        let attempt = &mut self.attempt;
        attempt.group_digest = RowsDigest::default();
        for position in &attempt.positions {
            attempt.group_digest.add_damaged(*position);
            attempt.fresh.entry(*position).or_insert_with(|| Failure::new(reason));
        }
    }

    /// Ends a group.
    pub fn end_group(&mut self) {
        let attempt = &mut self.attempt;
        if attempt.is_first {
            attempt.digest += attempt.group_digest;
        }
        attempt.first += attempt.positions.len();
    }

    /// Folds all parts of the group in hand of whole rows that were read.
    pub fn fold_parts(&mut self, group: usize, read: &Read<'_>) {
        for part in parts(self.job, self.geometry, &self.groups[group].group) {
            self.fold_part(&part, read);
        }
    }

    /// Folds a part of the group in hand.
    pub fn fold_part(&mut self, part: &Part, read: &Read<'_>) {
        let stored = self.job.source.stored.element.size();
        let mut own = std::mem::take(&mut self.own);
        let positions = std::mem::take(&mut self.attempt.positions);
        let rows = read.rows((&positions, part), stored, &mut own);
        if self.attempt.is_first {
            self.attempt.group_digest += read.digest(&positions, part, rows);
        }
        self.check_exact((&positions, rows), part);
        if self.attempt.lost.is_none()
            && let Some(mut all) = self.attempt.all.take()
        {
            let begun = Instant::now();
            self.fold_tiles((&positions, rows), part, &mut all);
            self.attempt.compute += begun.elapsed();
            self.attempt.all = Some(all);
        }
        self.attempt.positions = positions;
        self.own = own;
    }

    /// Notes the positions with an integer that the fold's numbers don't have.
    fn check_exact(&mut self, (positions, rows): (&[u64], PartRows<'_>), part: &Part) {
        let Some(counts) = self.job.exact_values() else { return };
        let stored = self.job.source.stored;
        let place = |at: usize| part.point(at);
        for (position, row) in positions.iter().zip(rows.each(positions.len())) {
            let found = inexact((row, stored), "", |at| counts(place(at)), place);
            if let Some(failure) = found {
                self.attempt.fresh.entry(*position).or_insert(failure);
            }
        }
    }

    /// Folds a part that was read, tile by tile.
    fn fold_tiles(
        &mut self,
        (positions, rows): (&[u64], PartRows<'_>),
        part: &Part,
        all: &mut Accumulator,
    ) {
        let (layouts, needs) = (self.fold.buffers(), self.geometry.needs);
        let is_gathered = part.stretches.len() > 1;
        self.gathered.resize_with(layouts.len(), AlignedBytes::default);
        if is_gathered {
            gather(layouts, all, part, &mut self.gathered);
        }
        let stored = self.job.source.stored;
        let step = if needs == Needs::Parts { TILE_POINTS } else { part.points.max(1) };
        let PartRows { bytes, stride, .. } = rows;
        for at in (0..part.points).step_by(step) {
            let points = step.min(part.points - at);
            let stretches = within(&part.stretches, at..at + points);
            let point = if is_gathered { at } else { stretches[0].first };
            let most = match needs {
                Needs::Units => positions.len(),
                Needs::Parts | Needs::Rows => (TILE_VALUES / points.max(1)).max(1),
            };
            for begin in (0..positions.len()).step_by(most.max(1)) {
                let end = positions.len().min(begin + most);
                let first = self.attempt.first;
                let raw = RawTile {
                    positions: &positions[begin..end],
                    first: first + begin,
                    bytes: &bytes[begin * stride + at * stored.element.size()..],
                    stride,
                    runs: &stretches,
                    points,
                    stored,
                    spectrum_shape: &self.job.spectrum_shape,
                    auxiliary: (&self.auxiliary, begin),
                    corrections: self.job.corrections.as_ref(),
                    axes: self.job.wanted_axes(),
                };
                let is_whole = points == self.job.source.info.spectral_points;
                let points = if is_whole { None } else { Some(point..point + points) };
                let places = (points, first + begin..first + end);
                let Self { gathered, per_position, worker, .. } = self;
                let from = if is_gathered { Some(gathered) } else { None };
                let mut parts = parts_of_tile((layouts, all), from, per_position, &places);
                let mut failed = Vec::new();
                let folded = guarded(|| worker.fold(raw, &mut parts, &mut failed));
                if folded.is_err() {
                    // Whatever a panic left in the worker must not reach the next tile.
                    *worker = self.fold.worker();
                }
                if let Err(why) = folded.unwrap_or_else(Err) {
                    self.attempt.lost.get_or_insert(why);
                }
                for (index, why) in failed {
                    self.attempt.fresh.entry(positions[begin + index]).or_insert(why);
                }
            }
        }
        if is_gathered {
            scatter(layouts, all, part, &self.gathered);
        }
    }

    /// Puts the results per position where they are written from, in the order of the positions,
    /// which groups needn't have: missing where something failed.
    fn publish(&mut self, failures: &BTreeMap<u64, Failure>) -> Vec<Range<u64>> {
        let positions = self.groups.iter().flat_map(|group| group.positions.iter().copied());
        let mut found = 0..;
        // Each with the place of its results among all that were folded.
        let mut positions: Vec<(u64, Option<usize>)> = positions
            .map(|position| {
                let failed = failures.contains_key(&position);
                (position, if failed { None } else { found.next() })
            })
            .collect();
        positions.sort_unstable();
        let layouts = self.fold.buffers().iter().zip(&self.per_position);
        let columns = layouts.filter(|(layout, _)| layout.is_column());
        let rows = &mut self.results.rows;
        rows.resize_with(self.job.prepared.columns().len(), AlignedBytes::default);
        for (rows, (layout, found)) in rows.iter_mut().zip(columns) {
            if layout.is_at_end() {
                continue;
            }
            rows.resize(positions.len() * layout.each);
            for ((_, place), row) in positions.iter().zip(rows.chunks_exact_mut(layout.each)) {
                match place {
                    Some(place) => row.copy_from_slice(&found[place * layout.each..][..row.len()]),
                    None => layout.column.fill_missing(row),
                }
            }
        }
        let positions: Vec<u64> = positions.into_iter().map(|(position, _)| position).collect();
        runs::of_positions(&positions).collect()
    }
}

/// All that a unit has of each buffer.
fn parts_of<'p>(all: &'p mut Accumulator, per_position: &'p mut [AlignedBytes]) -> Parts<'p> {
    let both = all.bytes_mut().zip(per_position);
    let slices = both.map(|(folded, own)| if own.is_empty() { folded } else { &mut **own });
    Parts::new(slices.collect())
}

/// What a tile has of each buffer, which has some points, unless it has all, of which a unit has no
/// others if they are `gathered`, and some positions of it.
fn parts_of_tile<'p>(
    (layouts, all): (&[BufferLayout], &'p mut Accumulator),
    gathered: Option<&'p mut Vec<AlignedBytes>>,
    per_position: &'p mut [AlignedBytes],
    (points, positions): &(Option<Range<usize>>, Range<usize>),
) -> Parts<'p> {
    let mut gathered = gathered.map(|gathered| gathered.iter_mut());
    let buffers = layouts.iter().zip(all.bytes_mut()).zip(per_position);
    let slices = buffers.map(|((layout, folded), own)| {
        let gathered = gathered.as_mut().and_then(Iterator::next);
        let part = |range: &Range<usize>| range.start * layout.each..range.end * layout.each;
        match layout.kind {
            Kind::PerPosition if layout.is_at_end() => folded,
            Kind::PerPosition => &mut own[part(positions)],
            Kind::PerPoint if layout.is_folded() => match (points, gathered) {
                (Some(points), Some(gathered)) => &mut gathered[part(points)],
                (Some(points), None) => &mut folded[part(points)],
                (None, gathered) => gathered.map_or(folded, |all| &mut **all),
            },
            Kind::PerPoint | Kind::Single => folded,
        }
    });
    Parts::new(slices.collect())
}

/// Takes what the points of a part have of each buffer per point.
fn gather(layouts: &[BufferLayout], all: &Accumulator, part: &Part, gathered: &mut [AlignedBytes]) {
    for ((layout, bytes), own) in layouts.iter().zip(all.bytes()).zip(gathered) {
        if layout.kind != Kind::PerPoint || !layout.is_folded() {
            continue;
        }
        own.resize(part.points * layout.each);
        let mut own: &mut [u8] = own;
        for stretch in &part.stretches {
            let (here, rest) = own.split_at_mut(stretch.len * layout.each);
            here.copy_from_slice(&bytes[stretch.first * layout.each..][..here.len()]);
            own = rest;
        }
    }
}

/// Puts it back.
fn scatter(
    layouts: &[BufferLayout],
    all: &mut Accumulator,
    part: &Part,
    gathered: &[AlignedBytes],
) {
    for ((layout, bytes), own) in layouts.iter().zip(all.bytes_mut()).zip(gathered) {
        if layout.kind != Kind::PerPoint || !layout.is_folded() {
            continue;
        }
        let mut own: &[u8] = own;
        for stretch in &part.stretches {
            let (here, rest) = own.split_at(stretch.len * layout.each);
            bytes[stretch.first * layout.each..][..here.len()].copy_from_slice(here);
            own = rest;
        }
    }
}

/// Some of the points of stretches.
fn within(stretches: &[PointRun], points: Range<usize>) -> Vec<PointRun> {
    let mut before = 0;
    let mut found = Vec::new();
    for stretch in stretches {
        let own = before..before + stretch.len;
        let (start, end) = (points.start.max(own.start), points.end.min(own.end));
        if start < end {
            found.push(PointRun { first: stretch.first + start - own.start, len: end - start });
        }
        before = own.end;
    }
    found
}
