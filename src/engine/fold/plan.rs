//! How much memory a fold takes, and for how many workers there is enough.

use super::checkpoint::node_bytes;
use super::cut::{Cut, Needs, TILE_VALUES};
use super::folded_by;
use super::geometry::Geometry;
use super::tree::most_nodes;
use crate::engine::job::Job;
use crate::plan::Plan;
use pixelmill_core::kernel::{Kind, Role};

/// Plans a fold for at most so many workers, beside `fixed` bytes that are taken anyway; the error
/// is how many bytes of memory it takes at least.
pub(crate) fn plan(
    job: &Job,
    geometry: &Geometry,
    (memory, workers): (u64, usize),
    fixed: u64,
) -> Result<Plan, u64> {
    let fold = folded_by(job);
    let node = node_bytes(fold.buffers());
    let per_worker = node + worker_bytes(job, geometry);
    // What is made at the end of the results of all positions.
    let columns = || fold.buffers().iter().filter(|layout| layout.is_column());
    let ends = columns().any(|layout| layout.role == Role::AtEnd);
    let of_position: usize = if ends { columns().map(|layout| layout.each).sum() } else { 0 };
    // As much again for whoever makes it.
    let of_positions = 2 * of_position as u64 * job.source.info.positions;
    let fixed = fixed + of_positions + fold.shared_memory();
    let needed = |workers: u64| {
        // The nodes of the first units, what they are finished in, and those between units that
        // others still have in hand.
        let nodes = most_nodes(geometry.count()) + 2;
        let between = (workers - 1) * 2 * most_nodes(geometry.count());
        fixed + (nodes + between) * node + workers * per_worker
    };
    let workers = (1..=workers.max(1) as u64).rev().find(|workers| needed(*workers) <= memory);
    let workers = workers.ok_or_else(|| needed(1))?;
    let unit = geometry.cut.most().0;
    Ok(Plan {
        workers: workers as usize,
        unit,
        least_unit: unit,
        memory: needed(workers),
        blocks: None,
    })
}

/// Bytes that a worker takes besides what it folds into.
fn worker_bytes(job: &Job, geometry: &Geometry) -> u64 {
    let fold = folded_by(job);
    let (rows, stored) = (&job.source.rows, job.source.stored.element.size() as u64);
    let (most_of_unit, most_of_group) = geometry.cut.most();
    let row = rows.row_bytes() as u64;
    // What is read, and once more where some of it is left out.
    let read = match (&geometry.cut, rows.tiles()) {
        (Cut::Rows { part, .. }, _) => 2 * most_of_group * (part + rows.aside_bytes()),
        (Cut::Cells { .. }, Some(tiles)) if geometry.needs == Needs::Parts => {
            tiles.worker_bytes() + 3 * tiles.tile_bytes()
        }
        (Cut::Cells { .. }, Some(tiles)) => {
            tiles.worker_bytes()
                + most_of_group * (tiles.block_row_bytes() + 2 * row + rows.aside_bytes())
        }
        (Cut::Cells { .. }, None) => 0,
    };
    let points = row / stored.max(1);
    let values = match geometry.needs {
        Needs::Units => most_of_group * points,
        Needs::Rows => (TILE_VALUES as u64).max(points),
        Needs::Parts => TILE_VALUES as u64,
    };
    let layouts = fold.buffers().iter();
    let per_position: usize =
        layouts.filter(|layout| layout.kind == Kind::PerPosition).map(|layout| layout.each).sum();
    let auxiliary = job.inputs.auxiliary.iter();
    let auxiliary: u64 = auxiliary
        .map(|input| 2 * most_of_group * input.position_bytes() + input.tile_bytes())
        .sum();
    // What tiles have of the buffers per point, if their points aren't neighbours.
    let gathered =
        if matches!(geometry.cut, Cut::Cells { .. }) { node_bytes(fold.buffers()) } else { 0 };
    read + values * (fold.value_bytes() as u64 + stored)
        + gathered
        + most_of_unit * (2 * per_position as u64 + 16)
        + auxiliary
        + fold.extra_memory()
}
