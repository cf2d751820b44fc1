//! What the engine says of its decisions, where that takes more than a line of code.
//!
//! It speaks through the facade `log`, so that any logger of the program hears it: at `info` what a
//! user wants to know who wonders why, at `debug` how it is done. Nothing is said for each spectrum
//! or unit, and what a user has to know is no log but a `Note`.

use std::time::Duration;

use log::{debug, info};

use super::{Durability, Request, Tally};
use crate::plan::{BATCHES_IN_FLIGHT, Needs, Plan, Reads};
use crate::storage::rows::{Reading, Rows};
use pixelmill_core::error::bytes;
use pixelmill_core::kernel::Kernel;

/// How a dataset is read, and why so.
pub(crate) fn reading(dataset: &str, rows: &Rows) {
    let why = match rows.reading() {
        Reading::Direct => {
            "straight from the file, row by row, since its rows lie side by side".to_owned()
        }
        Reading::Transposed if rows.view().has_positions_first() => {
            "straight from the file, of each row only what is wanted".to_owned()
        }
        Reading::Transposed => "straight from the file and turned round, since its positions \
                                aren't its first axes"
            .to_owned(),
        Reading::Chunks => "straight from the file, chunk by chunk".to_owned(),
        Reading::Parts(count) => {
            format!("straight from the files that it is put together from, in {count} parts")
        }
        Reading::Library(why) => {
            format!(
                "through the HDF5 library, by one worker at a time, since nothing else can: {why}"
            )
        }
    };
    info!("`{dataset}` of {} is read {why}", rows.path().display());
    if let Some(tiles) = rows.tiles() {
        debug!(
            "`{dataset}` has tiles of {}, {} each; the positions of a tile need {} of them",
            lengths(&tiles.tile),
            bytes(tiles.tile_bytes()),
            tiles.per_cell(),
        );
    }
}

/// What a plan is reckoned from.
pub(crate) fn needs(needs: &Needs) {
    let tiles = needs.tiles.as_ref().map_or(0, |tiles| tiles.worker_bytes);
    debug!(
        "plans for {} and {}: a position takes {} as stored, {} for the process, {} for other \
         inputs and {} of results; tables take {}, each worker {}",
        workers(needs.workers as usize),
        bytes(needs.memory),
        bytes(needs.row_bytes),
        bytes(needs.kernel_bytes),
        bytes(needs.auxiliary_bytes),
        bytes(needs.results_bytes),
        bytes(needs.fixed_bytes),
        bytes(needs.worker_bytes + tiles),
    );
}

/// How a rank divides its work.
pub(crate) fn plan(kernel: &dyn Kernel, plan: &Plan) {
    let unit = plan.unit.min(kernel.wants().most_per_unit.unwrap_or(u64::MAX));
    info!(
        "plan: {}, units of at most {unit} positions, {} of memory",
        workers(plan.workers),
        bytes(plan.memory),
    );
    let Some(blocks) = &plan.blocks else { return };
    let times = match blocks.reads() {
        Reads::Times(1) => "each tile is read once".to_owned(),
        Reads::Times(times) => format!("each tile is read {times} times for want of memory"),
        Reads::SomeAgain => format!(
            "some tiles are read again for want of memory: with neighbours, {} blocks in memory \
             would be enough",
            blocks.enough,
        ),
    };
    info!(
        "plan: blocks of {} positions, at most {} in memory at a time; {times}",
        lengths(&blocks.segments),
        blocks.kept,
    );
}

/// What a rank has done of a run.
pub(crate) fn tally(tally: &Tally) {
    let chunks = tally.chunks.map(|(decoded, _)| format!(", {decoded} chunks decoded"));
    debug!(
        "took {} positions, {}, {:.3} s{}",
        tally.positions,
        workers(tally.workers),
        tally.elapsed.as_secs_f64(),
        chunks.unwrap_or_default(),
    );
}

/// How often is marked, and what marks survive.
pub(crate) fn marking(request: &Request, batch: Duration) {
    debug!(
        "a batch every {} s, at most {BATCHES_IN_FLIGHT} in flight, last_pixel every {} s; marks \
         survive the end of {}",
        batch.as_secs_f64(),
        request.checkpoint.as_secs_f64(),
        match request.durability {
            Durability::Node => "the node",
            Durability::Process => "the process alone",
        },
    );
}

/// `1 worker`, `3 workers`.
pub(crate) fn workers(count: usize) -> String {
    if count == 1 { "1 worker".to_owned() } else { format!("{count} workers") }
}

fn lengths(lengths: &[u64]) -> String {
    lengths.iter().map(u64::to_string).collect::<Vec<_>>().join(" × ")
}
