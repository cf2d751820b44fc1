//! How much memory a fold takes, and for how many workers there is enough.

use super::checkpoint::node_bytes;
use super::cut::{Cut, Needs, TILE_VALUES};
use super::folded_by;
use super::geometry::Geometry;
use super::together::at_a_time;
use super::travel::most_travelling;
use super::tree::most_nodes;
use crate::engine::job::Job;
use crate::plan::Plan;
use pixelmill_core::kernel::{BufferLayout, Kind};

/// The part of the bytes of a scan that keeping it takes besides.
const OF_ALL: u64 = 8;

/// Plans a pass of computations, at least one of which folds, for at most so many workers, beside
/// `fixed` bytes that are taken anyway; the error is how many bytes of memory it takes at least.
pub(crate) fn plan(
    jobs: &[&Job],
    geometry: &Geometry,
    (memory, workers): (u64, usize),
    fixed: u64,
) -> Result<Plan, u64> {
    let folds = || jobs.iter().filter_map(|job| job.geometry.as_ref());
    let is_mixed = folds().count() < jobs.len() || folds().any(|own| !own.reads_as(geometry));
    let read = match (is_mixed, jobs[0].source.rows.tiles()) {
        // A block, and what each takes out of it in turn.
        (true, Some(tiles)) => {
            let taken = folds().map(|own| read_bytes(jobs[0], own)).max().unwrap_or(0);
            geometry.cut.most().1 * tiles.block_row_bytes() + taken
        }
        _ => read_bytes(jobs[0], geometry),
    };
    let needed = |workers: u64| {
        let of_members = jobs.iter().map(|job| match &job.geometry {
            Some(own) => fold_bytes(job, (own, geometry), workers),
            None => workers * map_bytes(job),
        });
        fixed + workers * read + of_members.sum::<u64>()
    };
    let workers = (1..=workers.max(1) as u64).rev().find(|workers| needed(*workers) <= memory);
    let workers = workers.ok_or_else(|| needed(1))?;
    let unit = geometry.cut.most().0;
    let kept = kept_bytes(jobs, memory - needed(workers));
    Ok(Plan {
        workers: workers as usize,
        unit,
        least_unit: unit,
        memory: needed(workers) + kept,
        kept,
        blocks: None,
    })
}

/// Bytes that a fold in several passes keeps of the scan, of so many that nothing else takes: no
/// more than half of them, since not all that is freed is free for others at once; and nothing that
/// the system has in its cache as it is, from where it is copied again sooner.
fn kept_bytes(jobs: &[&Job], left: u64) -> u64 {
    let [job] = jobs else { return 0 };
    let is_near = job.source.rows.are_near();
    if is_near || job.geometry.is_none() || folded_by(job).is_last_pass() {
        return 0;
    }
    let rows = job.source.info.positions.saturating_mul(job.source.row_bytes() as u64);
    rows.saturating_add(rows / OF_ALL).min(left / 2)
}

/// Bytes that a fold has as long as it is open: what all workers share, and the nodes that it is
/// resumed from.
pub(crate) fn held_bytes(job: &Job) -> u64 {
    let Some(geometry) = &job.geometry else { return 0 };
    let fold = folded_by(job);
    fold.shared_memory() + most_nodes(geometry.count()) * node_bytes(fold.buffers())
}

/// Bytes of what is merged of a unit.
pub(crate) fn merged_bytes(job: &Job) -> u64 {
    if job.geometry.is_none() { 0 } else { node_bytes(folded_by(job).buffers()) }
}

/// Bytes that a worker reads into.
fn read_bytes(job: &Job, geometry: &Geometry) -> u64 {
    let rows = &job.source.rows;
    let most = geometry.cut.most().1;
    job.reader_bytes()
        + match (&geometry.cut, rows.tiles()) {
            (Cut::Rows { part, .. }, _) if geometry.needs == Needs::Parts => {
                most * (part + rows.aside_bytes())
            }
            (Cut::Cells { .. }, Some(tiles)) if geometry.needs == Needs::Parts => {
                tiles.worker_bytes() + 2 * tiles.tile_bytes()
            }
            (Cut::Cells { .. }, Some(tiles)) => {
                let row = rows.row_bytes() as u64;
                tiles.worker_bytes() + most * (tiles.block_row_bytes() + row + rows.aside_bytes())
            }
            _ => most * (rows.row_bytes() as u64 + rows.aside_bytes()),
        }
}

/// Bytes that a fold takes with so many workers, in a pass that is read as `of_pass`.
fn fold_bytes(job: &Job, (geometry, of_pass): (&Geometry, &Geometry), workers: u64) -> u64 {
    let fold = folded_by(job);
    let node = node_bytes(fold.buffers());
    // What is made at the end of the results of all positions.
    let columns = || fold.buffers().iter().filter(|layout| layout.is_column());
    let ends = columns().any(BufferLayout::is_at_end);
    let of_position: usize = if ends { columns().map(|layout| layout.each).sum() } else { 0 };
    // As much again for whoever makes it, and which of them are in.
    let of_positions = (2 * of_position as u64 + u64::from(ends)) * job.source.info.positions;
    // The nodes of the first units, what they are finished in, and those between units that
    // others still have in hand.
    let nodes = most_nodes(geometry.count()) + 2;
    let between = (workers - 1) * 2 * most_nodes(geometry.count());
    let travelling = match job.ranks {
        1 => 0,
        _ => most_travelling(workers, geometry.count()),
    };
    of_positions
        + fold.shared_memory()
        + (nodes + between + travelling) * node
        + workers * (node + worker_bytes(job, geometry, of_pass))
}

/// Bytes that a worker takes for a fold besides what it reads and folds into.
fn worker_bytes(job: &Job, geometry: &Geometry, of_pass: &Geometry) -> u64 {
    let fold = folded_by(job);
    let (rows, stored) = (&job.source.rows, job.source.stored.element.size() as u64);
    let (most_of_unit, most_of_group) = geometry.cut.most();
    let row = rows.row_bytes() as u64;
    // What is put together where only some of what was read is its own.
    let own = match (&geometry.cut, rows.tiles()) {
        (Cut::Rows { part, .. }, _) => most_of_group * part,
        (Cut::Cells { .. }, Some(tiles)) if geometry.needs == Needs::Parts => tiles.tile_bytes(),
        (Cut::Cells { .. }, _) => most_of_group * row,
    };
    // What is damaged it reads by itself, maybe in another way.
    let again = if geometry.reads_as(of_pass) { 0 } else { read_bytes(job, geometry) };
    let points = row / stored.max(1);
    let values = match geometry.needs {
        Needs::Units => most_of_group * points,
        Needs::Rows => (TILE_VALUES as u64).max(points),
        Needs::Parts => TILE_VALUES as u64,
    };
    let layouts = fold.buffers().iter();
    let per_position: usize =
        layouts.filter(|layout| layout.kind == Kind::PerPosition).map(|layout| layout.each).sum();
    let auxiliary = 2 * most_of_group * job.auxiliary_bytes() + job.auxiliary_tile_bytes();
    // What tiles have of the buffers per point, if their points aren't neighbours.
    let gathered =
        if matches!(geometry.cut, Cut::Cells { .. }) { node_bytes(fold.buffers()) } else { 0 };
    own + again
        + values * (fold.value_bytes() as u64 + stored)
        + gathered
        + most_of_unit * (2 * per_position as u64 + 16)
        + auxiliary
        + fold.extra_memory(most_of_unit)
}

/// Bytes that a worker takes for a computation that doesn't fold: its values may be changed before
/// it computes with them.
fn map_bytes(job: &Job) -> u64 {
    let position = job.source.row_bytes() as u64
        + job.kernel_bytes()
        + 2 * job.auxiliary_bytes()
        + job.results_bytes();
    at_a_time(job) * position + job.auxiliary_tile_bytes()
}
