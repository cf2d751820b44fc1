//! One unit, folded: group by group, part by part, tile by tile, always in the same order.
//!
//! What can't be folded is left out: the unit is folded once more without it. So no position is in
//! with a part of its values.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::cut::{Cut, Group, Needs, TILE_POINTS, TILE_VALUES};
use super::geometry::Geometry;
use super::unsuitable;
use crate::engine::inexact::inexact;
use crate::engine::inputs::AuxiliaryReader;
use crate::engine::job::Job;
use crate::engine::pending::Pending;
use crate::source::RowsDigest;
use crate::storage::tiles::TilePart;
use pixelmill_core::chunk_io::AlignedBytes;
use pixelmill_core::contribution::UnitResults;
use pixelmill_core::error::{Error, Result};
use pixelmill_core::failure::{Failure, guarded};
use pixelmill_core::kernel::{
    Accumulator, AuxiliaryRows, BufferLayout, Fold, FoldWorker, Kind, Parts, PointRun, RawTile,
    Role,
};
use pixelmill_core::positions::runs;

/// Source bytes between what is read and what the system is told to read meanwhile.
const READ_AHEAD: u64 = 32 << 20;

/// What one thread folds units with.
pub(crate) struct UnitWorker<'f> {
    job: &'f Job,
    fold: &'f dyn Fold,
    geometry: &'f Geometry,
    pending: &'f Pending<'f>,
    worker: Box<dyn FoldWorker + 'f>,
    /// Bytes of a part as it was read.
    read: AlignedBytes,
    /// What a tile whose points aren't neighbours has of each buffer per point.
    gathered: Vec<AlignedBytes>,
    /// What the positions of the unit have of each buffer per position.
    per_position: Vec<AlignedBytes>,
    auxiliary: Vec<AuxiliaryRows>,
    /// The results per position of the unit.
    pub results: UnitResults,
}

/// What came of a unit.
#[derive(Default)]
pub(crate) struct FoldedUnit {
    /// Its positions that failed, with their reasons.
    pub failures: BTreeMap<u64, Failure>,
    pub digest: RowsDigest,
    pub read: Duration,
    pub compute: Duration,
    /// The positions that have results, in their order: ranges of consecutive ones.
    pub runs: Vec<Range<u64>>,
}

/// A group with those of its positions that are to be folded.
struct WantedGroup {
    group: Group,
    positions: Vec<u64>,
}

/// The points of a part of a group's spectra, and which part it is.
struct PartOf {
    number: u64,
    place: PartPlace,
    stretches: Vec<PointRun>,
    points: usize,
}

enum PartPlace {
    /// Whole rows, or so many bytes from there on.
    Rows,
    Within(usize),
    Tile(Vec<u64>),
}

/// What is known of a unit while it is folded.
struct Pass<'p> {
    /// What failed before, and is left out.
    out: &'p BTreeMap<u64, Failure>,
    /// What fails now.
    fresh: BTreeMap<u64, Failure>,
    /// Whether data are read for their digest: the first time all of them are.
    digest: Option<RowsDigest>,
    /// Why none of the unit can be folded, if that turned out.
    lost: Option<Failure>,
    read: Duration,
    compute: Duration,
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
            read: AlignedBytes::default(),
            gathered: Vec::new(),
            per_position: Vec::new(),
            auxiliary: job.inputs.auxiliary.iter().map(AuxiliaryReader::room).collect(),
            results: UnitResults::default(),
        }
    }

    /// Folds what is pending of a unit into `all`, which holds nothing yet, or only reads it if
    /// there is none.
    ///
    /// # Errors
    /// If the source can't be read.
    pub fn work(&mut self, unit: u64, mut all: Option<&mut Accumulator>) -> Result<FoldedUnit> {
        let groups = self.groups(unit)?;
        let mut done = FoldedUnit::default();
        let mut is_first = true;
        loop {
            let mut pass = Pass {
                out: &done.failures,
                fresh: BTreeMap::new(),
                digest: std::mem::take(&mut is_first).then(RowsDigest::default),
                lost: None,
                read: Duration::ZERO,
                compute: Duration::ZERO,
            };
            self.pass(&groups, all.as_deref_mut(), &mut pass)?;
            let Pass { fresh, digest, read, compute, .. } = pass;
            done.read += read;
            done.compute += compute;
            if let Some(digest) = digest {
                done.digest = digest;
            }
            if fresh.is_empty() || all.is_none() {
                break;
            }
            done.failures.extend(fresh);
        }
        if all.is_some() {
            done.runs = self.publish(&groups, &done.failures);
        }
        Ok(done)
    }

    fn groups(&self, unit: u64) -> Result<Vec<WantedGroup>> {
        let mut wanted = Vec::new();
        for group in self.geometry.groups(unit) {
            let positions: Vec<u64> =
                self.pending.among(&group.runs)?.into_iter().flatten().collect();
            if !positions.is_empty() {
                wanted.push(WantedGroup { group, positions });
            }
        }
        Ok(wanted)
    }

    /// Folds everything that isn't left out.
    fn pass(
        &mut self,
        groups: &[WantedGroup],
        mut all: Option<&mut Accumulator>,
        pass: &mut Pass<'_>,
    ) -> Result<()> {
        let count: usize = groups.iter().map(|group| group.positions.len()).sum();
        self.begin(count - pass.out.len(), all.as_deref_mut())?;
        let mut first = 0;
        for wanted in groups {
            first += self.fold_group(wanted, first, all.as_deref_mut(), pass)?;
        }
        let positions = groups.iter().flat_map(|group| group.positions.iter().copied());
        let positions: Vec<u64> =
            positions.filter(|position| !pass.out.contains_key(position)).collect();
        if let Some(all) = all.filter(|_| pass.fresh.is_empty() && pass.lost.is_none()) {
            let Self { worker, per_position, .. } = self;
            let mut parts = parts_of(all, per_position);
            pass.lost = guarded(|| worker.end(&positions, &mut parts)).unwrap_or_else(Err).err();
        }
        if let Some(why) = pass.lost.take() {
            for position in positions {
                pass.fresh.entry(position).or_insert_with(|| why.clone());
            }
        }
        Ok(())
    }

    /// Makes room for so many positions, with nothing folded.
    fn begin(&mut self, count: usize, all: Option<&mut Accumulator>) -> Result<()> {
        let layouts = self.fold.buffers();
        self.per_position.resize_with(layouts.len(), AlignedBytes::default);
        for (bytes, layout) in self.per_position.iter_mut().zip(layouts) {
            let is_per_position = layout.kind == Kind::PerPosition && layout.role != Role::AtEnd;
            bytes.resize(if is_per_position { count * layout.each } else { 0 });
            bytes.fill(0);
        }
        let Some(all) = all else { return Ok(()) };
        all.clear(layouts);
        let Self { worker, per_position, .. } = self;
        let mut parts = parts_of(all, per_position);
        let begun = guarded(|| worker.begin(&mut parts));
        begun.map_err(|failure| unsuitable(self.job, "begin a unit", &failure))
    }

    /// Folds a group whose positions have those from `first` on in the buffers per position; says
    /// how many were folded.
    fn fold_group(
        &mut self,
        wanted: &WantedGroup,
        first: usize,
        mut all: Option<&mut Accumulator>,
        pass: &mut Pass<'_>,
    ) -> Result<usize> {
        // Once all data are digested only those are read that are folded.
        let positions: Vec<u64> = match pass.digest {
            Some(_) => wanted.positions.clone(),
            None => {
                let positions = wanted.positions.iter().copied();
                positions.filter(|position| !pass.out.contains_key(position)).collect()
            }
        };
        if positions.is_empty() {
            return Ok(0);
        }
        let ranges: Vec<Range<u64>> = runs::of_positions(&positions).collect();
        let mut digest = RowsDigest::default();
        let mut damaged = Vec::new();
        let begun = Instant::now();
        let Self { job, auxiliary, .. } = self;
        for (number, (input, rows)) in job.inputs.auxiliary.iter().zip(auxiliary).enumerate() {
            let bytes = input.read(&ranges, rows, &mut damaged)?;
            let each = bytes.chunks_exact(input.rows().row_bytes());
            digest.add_rows(number + 1, positions.iter().copied(), each);
        }
        for (index, why) in damaged {
            pass.fresh.entry(positions[index as usize]).or_insert(why);
        }
        self.announce(&ranges);
        pass.read += begun.elapsed();
        for part in self.parts(&wanted.group) {
            match self.fold_part(
                (wanted, &positions, &ranges),
                &part,
                first,
                all.as_deref_mut(),
                pass,
            ) {
                Ok(of_part) => digest += of_part,
                Err(Error::Damaged { reason, .. }) => {
                    // Nothing of these positions counts.
                    digest = RowsDigest::default();
                    for position in &positions {
                        digest.add_damaged(*position);
                        pass.fresh.entry(*position).or_insert_with(|| Failure::new(&reason));
                    }
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        if let Some(all) = &mut pass.digest {
            *all += digest;
        }
        Ok(positions.len())
    }

    /// The parts of the spectra of a group, in their order.
    fn parts(&self, group: &Group) -> Vec<PartOf> {
        let info = &self.job.source.info;
        let all = |place| PartOf {
            number: 0,
            place,
            stretches: vec![PointRun { first: 0, len: info.spectral_points }],
            points: info.spectral_points,
        };
        let element = self.job.source.stored.element.size();
        match (&self.geometry.cut, &group.cell, self.job.source.rows.tiles()) {
            (Cut::Rows { row, part, .. }, ..) if part < row => {
                let starts = (0..*row).step_by(*part as usize);
                let within = |(number, at): (usize, u64)| {
                    let points = ((*part).min(row - at) as usize) / element;
                    PartOf {
                        number: number as u64,
                        place: PartPlace::Within(at as usize),
                        stretches: vec![PointRun { first: at as usize / element, len: points }],
                        points,
                    }
                };
                starts.enumerate().map(within).collect()
            }
            (Cut::Cells { .. }, Some(cell), Some(tiles)) if self.geometry.needs == Needs::Parts => {
                let shape = tiles.spectrum_shape();
                let part = |place: Vec<u64>| {
                    let stretches = tiles.points_of(&place).runs(&shape);
                    let run = |run: Range<u64>| PointRun {
                        first: run.start as usize,
                        len: (run.end - run.start) as usize,
                    };
                    PartOf {
                        number: tiles.number_of(&place),
                        points: runs::count(&stretches) as usize,
                        stretches: stretches.into_iter().map(run).collect(),
                        place: PartPlace::Tile(place),
                    }
                };
                tiles.places_of(cell).into_iter().map(part).collect()
            }
            _ => vec![all(PartPlace::Rows)],
        }
    }

    /// Reads a part of a group's spectra and folds it.
    fn fold_part(
        &mut self,
        (wanted, positions, ranges): (&WantedGroup, &[u64], &[Range<u64>]),
        part: &PartOf,
        first: usize,
        all: Option<&mut Accumulator>,
        pass: &mut Pass<'_>,
    ) -> Result<RowsDigest> {
        let begun = Instant::now();
        let stored = self.job.source.stored;
        let row = part.points * stored.element.size();
        let mut buffer = std::mem::take(&mut self.read);
        let tile = self.read_part((wanted, positions, ranges), part, row, &mut buffer)?;
        let bytes: &[u8] = tile.as_deref().unwrap_or(&buffer);
        let mut digest = RowsDigest::default();
        if pass.digest.is_some() {
            let rows = bytes.chunks_exact(row.max(1));
            digest.add_parts(part.number, positions.iter().copied(), rows);
        }
        self.check_exact((positions, bytes, row), part, pass);
        pass.read += begun.elapsed();
        if let Some(all) = all.filter(|_| pass.lost.is_none()) {
            let begun = Instant::now();
            self.fold_tiles((positions, bytes, row), part, first, all, pass);
            pass.compute += begun.elapsed();
        }
        drop(tile);
        self.read = buffer;
        Ok(digest)
    }

    /// The bytes of a part, position by position: in `buffer` unless they are returned.
    fn read_part<'t>(
        &self,
        (wanted, positions, ranges): (&WantedGroup, &[u64], &[Range<u64>]),
        part: &PartOf,
        row: usize,
        buffer: &mut AlignedBytes,
    ) -> Result<Option<TilePart<'t>>>
    where
        'f: 't,
    {
        let rows = &self.job.source.rows;
        match (&part.place, &wanted.group.cell, rows.tiles()) {
            (PartPlace::Within(at), ..) => {
                buffer.resize(positions.len() * row);
                for (position, bytes) in positions.iter().zip(buffer.chunks_exact_mut(row.max(1))) {
                    rows.read_within(*position, *at, bytes)?;
                }
            }
            (PartPlace::Tile(place), Some(cell), Some(tiles)) => {
                let tile = tiles.read_part(place, cell)?;
                if positions.len() as u64 == cell.count() {
                    return Ok(Some(tile));
                }
                let group = wanted.group.runs.iter().cloned().flatten();
                let chosen =
                    group.enumerate().filter(|(_, at)| positions.binary_search(at).is_ok());
                buffer.resize(positions.len() * row);
                for ((index, _), bytes) in chosen.zip(buffer.chunks_exact_mut(row.max(1))) {
                    bytes.copy_from_slice(&tile[index * row..][..row]);
                }
            }
            (PartPlace::Rows, cell, _) => {
                buffer.resize(positions.len() * row);
                match cell.as_ref().and_then(|cell| rows.block(cell.clone())) {
                    Some(block) => block.read_into(ranges, buffer)?,
                    None => rows.read_into(ranges, buffer)?,
                }
            }
            (PartPlace::Tile(_), ..) => {
                unreachable!("only what is read by tiles is cut into cells")
            }
        }
        Ok(None)
    }

    /// Reading ahead is the system's work, as in a map.
    fn announce(&self, ranges: &[Range<u64>]) {
        let [range] = ranges else { return };
        let source = &self.job.source;
        let ahead = range.start + (READ_AHEAD / source.row_bytes() as u64).max(1);
        if ahead < source.info.positions {
            let count = (range.end - range.start).min(source.info.positions - ahead);
            source.rows.announce(ahead, count);
        }
    }

    /// Notes the positions with an integer that the fold's numbers don't have.
    fn check_exact(
        &self,
        (positions, bytes, row): (&[u64], &[u8], usize),
        part: &PartOf,
        pass: &mut Pass<'_>,
    ) {
        let Some(counts) = self.job.exact_values() else { return };
        let stored = self.job.source.stored;
        let place = |at: usize| {
            let mut left = at;
            for stretch in &part.stretches {
                if left < stretch.len {
                    return stretch.first + left;
                }
                left -= stretch.len;
            }
            at
        };
        for (position, row) in positions.iter().zip(bytes.chunks_exact(row.max(1))) {
            let found = inexact((row, stored), "", |at| counts(place(at)), place);
            if let Some(failure) = found {
                pass.fresh.entry(*position).or_insert(failure);
            }
        }
    }

    /// Folds a part that was read, tile by tile.
    fn fold_tiles(
        &mut self,
        (positions, bytes, row): (&[u64], &[u8], usize),
        part: &PartOf,
        first: usize,
        all: &mut Accumulator,
        pass: &mut Pass<'_>,
    ) {
        let (layouts, needs) = (self.fold.buffers(), self.geometry.needs);
        let is_gathered = part.stretches.len() > 1;
        self.gathered.resize_with(layouts.len(), AlignedBytes::default);
        if is_gathered {
            gather(layouts, all, part, &mut self.gathered);
        }
        let stored = self.job.source.stored;
        let step = if needs == Needs::Parts { TILE_POINTS } else { part.points.max(1) };
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
                let raw = RawTile {
                    positions: &positions[begin..end],
                    bytes: &bytes[begin * row + at * stored.element.size()..],
                    stride: row,
                    runs: &stretches,
                    points,
                    stored,
                    spectrum_shape: &self.job.spectrum_shape,
                    auxiliary: (&self.auxiliary, begin),
                    corrections: self.job.corrections.as_ref(),
                    axes: self.job.wanted_axes(),
                };
                let places = (point..point + points, first + begin..first + end);
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
                    pass.lost.get_or_insert(why);
                }
                for (index, why) in failed {
                    pass.fresh.entry(positions[begin + index]).or_insert(why);
                }
            }
        }
        if is_gathered {
            scatter(layouts, all, part, &self.gathered);
        }
    }

    /// Puts the results per position where they are written from: missing where something failed.
    fn publish(
        &mut self,
        groups: &[WantedGroup],
        failures: &BTreeMap<u64, Failure>,
    ) -> Vec<Range<u64>> {
        let positions: Vec<u64> =
            groups.iter().flat_map(|group| group.positions.iter().copied()).collect();
        let layouts = self.fold.buffers().iter().zip(&self.per_position);
        let columns = layouts.filter(|(layout, _)| layout.is_column());
        let rows = &mut self.results.rows;
        rows.resize_with(self.job.prepared.columns().len(), AlignedBytes::default);
        for (rows, (layout, found)) in rows.iter_mut().zip(columns) {
            if layout.role == Role::AtEnd {
                continue;
            }
            rows.resize(positions.len() * layout.each);
            let mut found = found.chunks_exact(layout.each);
            for (position, row) in positions.iter().zip(rows.chunks_exact_mut(layout.each)) {
                let failed = failures.contains_key(position);
                let own = if failed { None } else { found.next() };
                row.copy_from_slice(own.unwrap_or(&layout.column.missing));
            }
        }
        runs::of_positions(&positions).collect()
    }
}

/// All that a unit has of each buffer.
fn parts_of<'p>(all: &'p mut Accumulator, per_position: &'p mut [AlignedBytes]) -> Parts<'p> {
    let both = all.bytes_mut().zip(per_position);
    let slices = both.map(|(folded, own)| if own.is_empty() { folded } else { &mut **own });
    Parts::new(slices.collect())
}

/// What a tile has of each buffer, which has some points, of which a unit has no others if they are
/// `gathered`, and some positions of it.
fn parts_of_tile<'p>(
    (layouts, all): (&[BufferLayout], &'p mut Accumulator),
    gathered: Option<&'p mut Vec<AlignedBytes>>,
    per_position: &'p mut [AlignedBytes],
    (points, positions): &(Range<usize>, Range<usize>),
) -> Parts<'p> {
    let mut gathered = gathered.map(|gathered| gathered.iter_mut());
    let buffers = layouts.iter().zip(all.bytes_mut()).zip(per_position);
    let slices = buffers.map(|((layout, folded), own)| {
        let gathered = gathered.as_mut().and_then(Iterator::next);
        let part = |range: &Range<usize>| range.start * layout.each..range.end * layout.each;
        match layout.kind {
            Kind::PerPosition if layout.role == Role::AtEnd => folded,
            Kind::PerPosition => &mut own[part(positions)],
            Kind::PerPoint if layout.is_folded() => match gathered {
                Some(gathered) => &mut gathered[part(points)],
                None => &mut folded[part(points)],
            },
            Kind::PerPoint | Kind::Single => folded,
        }
    });
    Parts::new(slices.collect())
}

/// Takes what the points of a part have of each buffer per point.
fn gather(
    layouts: &[BufferLayout],
    all: &Accumulator,
    part: &PartOf,
    gathered: &mut [AlignedBytes],
) {
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
    part: &PartOf,
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
