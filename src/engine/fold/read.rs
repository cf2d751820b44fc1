//! What is read of a group at a time: whole rows, or a part of each.

use std::ops::Range;
use std::sync::OnceLock;

use super::cut::{Cut, Group, Needs};
use super::geometry::Geometry;
use crate::engine::job::Job;
use crate::engine::rows_read::RowsRead;
use crate::source::RowsDigest;
use crate::storage::tiles::{Block, TilePart};
use pixelmill_core::chunk_io::AlignedBytes;
use pixelmill_core::error::Result;
use pixelmill_core::kernel::PointRun;
use pixelmill_core::positions::runs;

/// A group with those of its positions that are wanted.
pub(super) struct WantedGroup {
    pub group: Group,
    pub positions: Vec<u64>,
}

/// The points of a part of a group's spectra, and which part it is.
#[derive(PartialEq, Eq)]
pub(super) struct Part {
    pub number: u64,
    place: Place,
    pub stretches: Vec<PointRun>,
    pub points: usize,
}

#[derive(PartialEq, Eq)]
enum Place {
    /// Whole rows, or so many bytes from there on.
    Rows,
    Within(usize),
    Tile(Vec<u64>),
}

impl Part {
    /// The number of the point that is at this place of the part.
    pub fn point(&self, at: usize) -> usize {
        let mut left = at;
        for stretch in &self.stretches {
            if left < stretch.len {
                return stretch.first + left;
            }
            left -= stretch.len;
        }
        at
    }
}

/// The parts of the spectra of a group, in their order.
pub(super) fn parts(job: &Job, geometry: &Geometry, group: &Group) -> Vec<Part> {
    let points = job.source.info.spectral_points;
    let element = job.source.stored.element.size();
    match (&geometry.cut, &group.cell, job.source.rows.tiles()) {
        (Cut::Rows { row, part, .. }, ..) if part < row => {
            let starts = (0..*row).step_by(*part as usize);
            let within = |(number, at): (usize, u64)| {
                let points = ((*part).min(row - at) as usize) / element;
                Part {
                    number: number as u64,
                    place: Place::Within(at as usize),
                    stretches: vec![PointRun { first: at as usize / element, len: points }],
                    points,
                }
            };
            starts.enumerate().map(within).collect()
        }
        (Cut::Cells { .. }, Some(cell), Some(tiles)) if geometry.needs == Needs::Parts => {
            let shape = tiles.spectrum_shape();
            let part = |place: Vec<u64>| {
                let stretches = tiles.points_of(&place).runs(&shape);
                let run = |run: Range<u64>| PointRun {
                    first: run.start as usize,
                    len: (run.end - run.start) as usize,
                };
                Part {
                    number: tiles.number_of(&place),
                    points: runs::count(&stretches) as usize,
                    stretches: stretches.into_iter().map(run).collect(),
                    place: Place::Tile(place),
                }
            };
            tiles.places_of(cell).into_iter().map(part).collect()
        }
        _ => {
            let stretches = vec![PointRun { first: 0, len: points }];
            vec![Part { number: 0, place: Place::Rows, stretches, points }]
        }
    }
}

/// Tells that a group is about to be read, unless it is kept.
pub(super) fn announce(job: &Job, geometry: &Geometry, wanted: &WantedGroup) {
    let parts = parts(job, geometry, &wanted.group);
    let is_kept = |first: &u64| parts.iter().all(|part| job.kept.has(*first, part.number));
    if !wanted.positions.first().is_some_and(is_kept) {
        job.announce(runs::of_positions(&wanted.positions));
    }
}

/// Reads a part of the rows of a group's positions and hands it on; `buffer` is for what isn't left
/// where it is.
///
/// # Errors
/// If it can't be read, or is damaged.
pub(super) fn read_part<T>(
    job: &Job,
    wanted: &WantedGroup,
    part: &Part,
    buffer: &mut AlignedBytes,
    take: impl FnOnce(&Read<'_>) -> T,
) -> Result<T> {
    let positions = &wanted.positions;
    let row = part.points * job.source.stored.element.size();
    let read = |bytes: &[u8], digest: &OnceLock<RowsDigest>| {
        take(&Read { positions, bytes, row, part, digest })
    };
    if let Some(kept) = job.kept.find(positions, part.number) {
        return Ok(read(&kept.bytes, &kept.digest));
    }
    read_bytes(job, wanted, (part, row), buffer, |bytes| {
        job.kept.keep(positions, part.number, bytes);
        read(bytes, &OnceLock::new())
    })
}

fn read_bytes<T>(
    job: &Job,
    WantedGroup { group, positions }: &WantedGroup,
    (part, row): (&Part, usize),
    buffer: &mut AlignedBytes,
    read: impl FnOnce(&[u8]) -> T,
) -> Result<T> {
    let rows = &job.source.rows;
    match (&part.place, &group.cell, rows.tiles()) {
        (Place::Within(at), ..) => {
            buffer.resize(positions.len() * row);
            for (position, bytes) in positions.iter().zip(buffer.chunks_exact_mut(row.max(1))) {
                rows.read_within(*position, *at, bytes)?;
            }
        }
        (Place::Tile(place), Some(cell), Some(tiles)) => {
            let tile: TilePart<'_> = tiles.read_part(place, cell)?;
            if positions.len() as u64 == cell.count() {
                return Ok(read(&tile));
            }
            let group = group.runs.iter().cloned().flatten();
            let chosen = group.enumerate().filter(|(_, at)| positions.binary_search(at).is_ok());
            buffer.resize(positions.len() * row);
            for ((index, _), bytes) in chosen.zip(buffer.chunks_exact_mut(row.max(1))) {
                bytes.copy_from_slice(&tile[index * row..][..row]);
            }
        }
        (Place::Rows, cell, _) => {
            buffer.resize(positions.len() * row);
            let ranges: Vec<Range<u64>> = runs::of_positions(positions).collect();
            match cell.as_ref().and_then(|cell| rows.block(cell.clone())) {
                Some(block) => block.read_into(&ranges, buffer)?,
                None => rows.read_into(&ranges, buffer)?,
            }
        }
        (Place::Tile(_), ..) => unreachable!("only what is read by tiles is cut into cells"),
    }
    Ok(read(buffer))
}

/// The same from a block that has all tiles of the group.
///
/// # Errors
/// If the part is damaged.
pub(super) fn part_of_block<T>(
    block: &Block,
    WantedGroup { group, positions }: &WantedGroup,
    (part, element): (&Part, usize),
    buffer: &mut AlignedBytes,
    take: impl FnOnce(&Read<'_>) -> T,
) -> Result<T> {
    let row = part.points * element;
    let read = |positions: &[u64], bytes: &[u8]| {
        take(&Read { positions, bytes, row, part, digest: &OnceLock::new() })
    };
    if let (Place::Tile(place), Some(cell)) = (&part.place, &group.cell) {
        let all: Vec<u64> = group.runs.iter().cloned().flatten().collect();
        return Ok(read(&all, block.part(place, cell, buffer)?));
    }
    buffer.resize(positions.len() * row);
    block.read_into(&runs::of_positions(positions).collect::<Vec<_>>(), buffer)?;
    Ok(read(positions, buffer))
}

/// A part of the rows of some positions, as it was read.
pub(super) struct Read<'r> {
    pub positions: &'r [u64],
    bytes: &'r [u8],
    /// Bytes of a position.
    row: usize,
    part: &'r Part,
    /// Of all of it, once somebody has asked.
    digest: &'r OnceLock<RowsDigest>,
}

/// What some positions have of a part: each begins `stride` bytes behind the one before.
#[derive(Clone, Copy)]
pub(super) struct PartRows<'r> {
    pub bytes: &'r [u8],
    pub stride: usize,
    row: usize,
}

impl<'r> PartRows<'r> {
    /// Position by position.
    pub fn each(self, count: usize) -> impl Iterator<Item = &'r [u8]> {
        (0..count).map(move |index| &self.bytes[index * self.stride..][..self.row])
    }
}

impl Read<'_> {
    /// What some of the positions have of a part that is in what was read: where it lies, or put
    /// together in `buffer`.
    pub fn rows<'b>(
        &'b self,
        (positions, part): (&[u64], &Part),
        element: usize,
        buffer: &'b mut AlignedBytes,
    ) -> PartRows<'b> {
        let row = part.points * element;
        let first = positions.first().and_then(|first| self.positions.binary_search(first).ok());
        let first = first.unwrap_or(0);
        let follow = self.positions[first..].starts_with(positions);
        // Of whole rows another part may be wanted.
        let begin = match (&*part.stretches, *part == *self.part) {
            (_, true) => Some(0),
            ([stretch], false) => Some(stretch.first * element),
            _ => None,
        };
        if let (true, Some(begin)) = (follow, begin) {
            let bytes = &self.bytes[first * self.row + begin..];
            return PartRows { bytes, stride: self.row, row };
        }
        buffer.resize(positions.len() * row);
        for (position, mut to) in positions.iter().zip(buffer.chunks_exact_mut(row.max(1))) {
            let index = self.positions.partition_point(|other| other < position);
            let from = &self.bytes[index * self.row..][..self.row];
            if let Some(begin) = begin {
                to.copy_from_slice(&from[begin..][..row]);
                continue;
            }
            for stretch in &part.stretches {
                let (here, rest) = to.split_at_mut(stretch.len * element);
                here.copy_from_slice(&from[stretch.first * element..][..here.len()]);
                to = rest;
            }
        }
        PartRows { bytes: buffer, stride: row, row }
    }

    /// All of it, which has to be whole rows.
    pub fn whole(&self) -> RowsRead<'_> {
        RowsRead::new(self.positions, self.bytes.chunks_exact(self.row.max(1)))
    }

    /// The digest of a part that some of the positions have.
    pub fn digest(&self, positions: &[u64], part: &Part, rows: PartRows<'_>) -> RowsDigest {
        let of = || {
            let mut digest = RowsDigest::default();
            digest.add_parts(part.number, positions.iter().copied(), rows.each(positions.len()));
            digest
        };
        if *part == *self.part && positions.len() == self.positions.len() {
            *self.digest.get_or_init(of)
        } else {
            of()
        }
    }
}
