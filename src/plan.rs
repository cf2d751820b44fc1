//! How a run is divided: pure functions from bytes, memory and cores to sizes.
//!
//! Nothing here reads the machine or the file: `engine::machine` asks, this decides.

use std::str::FromStr;

use crate::view::fewest_parts;

/// Batches that are open, or computed but not marked yet, at the same time.
pub(crate) const BATCHES_IN_FLIGHT: usize = 3;

/// Source bytes that a worker reads at a time at most: small enough to be still in its cache
/// when it computes them, large enough that the calls don't count. `sum` of 2 GiB of float32 on two
/// cores took 0.29 s with 256 KiB, 0.27 s with 512 KiB and 0.25 s with 1 MiB.
pub(crate) const UNIT_BYTES: u64 = 1 << 20;

/// Bytes of a block of small tiles: they should be in the processor's cache still when they are
/// computed.
const BLOCK_BYTES: u64 = 512 << 10;

/// The same where positions are computed with their neighbours: what lies around a large block is
/// less of it. Means of 9 × 9 over chunks of 8 × 8 frames took 3 % less than with a chunk.
const BLOCK_BYTES_AROUND: u64 = 16 << 20;

/// Seconds that a unit of work should take: short against a batch, long against its overhead.
const UNIT_SECONDS: f64 = 0.01;

/// How many times longer it may take for the sake of what is read around it: whoever stops a run
/// waits for units.
const LONGER: f64 = 10.0;

/// Cores to compute on, on a machine with `available` cores: all but two, so that its owner can
/// work on; all but one of four or fewer.
pub(crate) fn cores(available: usize, wanted: Cores) -> usize {
    match wanted {
        Cores::All => available.max(1),
        Cores::Exactly(cores) => cores.max(1),
        Cores::Polite if available <= 4 => available.saturating_sub(1).max(1),
        Cores::Polite => available - 2,
    }
}

/// How many cores a user wants to give.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cores {
    /// All but two; all but one of four or fewer.
    #[default]
    Polite,
    /// Every core that this process may use.
    All,
    /// This many, whatever the machine has.
    Exactly(usize),
}

impl FromStr for Cores {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            number => match number.parse() {
                Ok(0) | Err(_) => Err("it has to be a number from 1 on, or `all`".to_owned()),
                Ok(cores) => Ok(Self::Exactly(cores)),
            },
        }
    }
}

/// What one position takes, and what there is.
#[derive(Clone, Debug)]
pub(crate) struct Needs {
    /// All positions of the scan.
    pub positions: u64,
    /// Bytes of the rows as stored that a position adds to a unit: its own, or one of each line of
    /// positions that its neighbours lie on.
    pub row_bytes: u64,
    /// Bytes that the kernel takes for a position: its values after conversion, if all are
    /// converted at once, and what else it says.
    pub kernel_bytes: u64,
    /// Bytes of the auxiliary inputs of a position, as they are handed on.
    pub auxiliary_bytes: u64,
    /// Bytes of all results of a position.
    pub results_bytes: u64,
    /// Bytes that are taken whatever the number of workers: the status of all positions, tables of
    /// positions and of chunks, constants.
    pub fixed_bytes: u64,
    /// Bytes that a worker takes whatever it has in hand, besides what tiles of the source take:
    /// the tiles of auxiliary inputs, and rows of neighbours beside those of a unit.
    pub worker_bytes: u64,
    /// Positions of a unit, at least, that are worth reading what lies beside them, if memory
    /// lasts.
    pub worthwhile: u64,
    /// What tiles take, if the source is read by tiles.
    pub tiles: Option<TileNeeds>,
    pub workers: u64,
    pub memory: u64,
}

/// What reading by tiles takes.
#[derive(Clone, Debug)]
pub(crate) struct TileNeeds {
    /// Steps of a tile on each axis of the scan, slowest first.
    pub cell: Vec<u64>,
    /// Bytes that one position takes in a block.
    pub row_bytes: u64,
    /// Bytes that a worker needs while it reads a tile.
    pub worker_bytes: u64,
    /// How many tiles the positions of one tile need.
    pub tiles_per_cell: u64,
    /// Steps of a block on each axis of the scan, if all ranks have agreed on them already.
    pub agreed: Option<Vec<u64>>,
    /// Length of each axis of the scan, as the source has it, slowest first.
    pub scan: Vec<u64>,
    /// Steps to the furthest neighbour on each of them, if positions are computed with any.
    pub reach: Option<Vec<u64>>,
    /// Steps on each of them behind which no bin is cut, if bins of positions are computed: what
    /// reaches beyond a block reaches forward alone, and nothing beyond one of whole bins.
    pub bins: Option<Vec<u64>>,
}

impl TileNeeds {
    /// How many blocks are of use at a time: where one has enough tiles to keep all workers busy, a
    /// second would only take memory that has to be fetched from the system first. The sum of
    /// 0.5 GiB in chunks of 32⁴ took 0.13 s with one block, 0.17 s with three.
    fn most_blocks(&self, workers: u64) -> u64 {
        if self.tiles_per_cell >= 4 * workers { 1 } else { workers + 1 }
    }

    /// How many blocks are begun at a time. With neighbours as many as there are workers, if
    /// there is `room` for so many: what a worker reads around a whole block is less than what all
    /// of them read around its parts.
    fn open_blocks(&self, segments: &[u64], (workers, room): (u64, u64)) -> u64 {
        let usual = self.most_blocks(workers);
        let each = self.kept(segments, workers + 1) + self.held(workers);
        if self.reach.is_some() && each <= room { usual.max(workers + 1) } else { usual }
    }

    /// How often each tile is read.
    fn parts(&self, segments: &[u64]) -> u64 {
        self.cell.iter().zip(segments).map(|(cell, segment)| cell.div_ceil(*segment)).product()
    }

    /// How many blocks have to be kept so that none is read twice, with `open` of them begun.
    ///
    /// Blocks follow each other along the fastest axis. The one that was begun last needs those
    /// around it, and those that come need all from the first of these to the last. One that was
    /// begun before and isn't done may be far behind, and needs those around it as well.
    fn kept(&self, segments: &[u64], open: u64) -> u64 {
        let Some(reach) = &self.reach else { return open };
        let sides = if self.bins.is_some() { 1 } else { 2 };
        let (mut furthest, mut around, mut all) = (0u64, 1u64, 1u64);
        let axes = self.scan.iter().zip(reach).zip(segments).enumerate().rev();
        for (axis, ((length, reach), segment)) in axes {
            let count = length.div_ceil((*segment).max(1)).max(1);
            let reach = if self.has_whole_bins(axis, *segment) { 0 } else { *reach };
            let steps = reach.div_ceil((*segment).max(1)).min(count - 1);
            furthest += steps * all;
            around = around.saturating_mul((sides * steps + 1).min(count));
            all = all.saturating_mul(count);
        }
        (sides * furthest + 1).saturating_add((open.max(1) - 1).saturating_mul(around)).min(all)
    }

    /// Whether no bin is cut along an axis between blocks of this length.
    fn has_whole_bins(&self, axis: usize, segment: u64) -> bool {
        self.bins.as_ref().is_some_and(|bins| {
            segment.is_multiple_of(bins[axis]) && self.cell[axis].is_multiple_of(bins[axis])
        })
    }

    /// Blocks that so many workers may still be reading from when they aren't kept any more.
    fn held(&self, workers: u64) -> u64 {
        if self.reach.is_some() { workers - 1 } else { 0 }
    }

    fn block_positions(&self, segments: &[u64]) -> u64 {
        let steps = segments.iter().zip(&self.scan).map(|(segment, length)| segment.min(length));
        steps.product()
    }

    fn block_bytes(&self, segments: &[u64]) -> u64 {
        self.block_positions(segments).saturating_mul(self.row_bytes)
    }
}

impl Needs {
    /// Bytes that one position takes while a worker has it: its auxiliary values also as they
    /// are stored.
    fn per_position(&self) -> u64 {
        let bytes =
            self.row_bytes + self.kernel_bytes + self.auxiliary_bytes * 2 + self.results_bytes;
        bytes.max(1)
    }

    /// As few positions as a unit should have, of as many as memory lasts for: all workers need
    /// some, twice.
    fn least_unit(&self, most: u64, workers: u64) -> u64 {
        self.worthwhile.min(most).min(self.positions / (2 * workers)).max(1)
    }

    /// Most positions of a unit: what a worker reads at a time.
    fn unit(&self) -> u64 {
        let good = UNIT_BYTES.div_ceil(self.row_bytes.max(1)).max(self.worthwhile);
        good.min(self.positions).max(1)
    }
}

/// How the run is divided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub workers: usize,
    /// Most positions of one unit of work.
    pub unit: u64,
    /// As few as a unit should have, unless they take long.
    pub least_unit: u64,
    /// Bytes that are in use at the same time at most.
    pub memory: u64,
    /// Those of them that a fold keeps of the scan from one pass to the next.
    pub kept: u64,
    /// How the positions are read together, if the source is read by tiles.
    pub blocks: Option<BlockPlan>,
}

/// Blocks of positions, each read as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlockPlan {
    /// Steps of a block on each axis of the scan.
    pub segments: Vec<u64>,
    /// How many blocks are computed at the same time at most.
    pub in_flight: usize,
    /// How many are in memory for that: the same, unless positions need their neighbours.
    pub kept: usize,
    /// With how many none is read twice.
    pub enough: usize,
    /// How often each tile is read: once, unless memory is too small for all positions of a tile.
    pub parts: u64,
    /// The budget with which each tile would be read once.
    pub memory_for_once: u64,
}

/// How often each tile of a source is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// So many times: more than once if memory is too small for all positions of a tile.
    Times(u64),
    /// Some more than once, since memory is too small for all tiles that neighbours lie in.
    SomeAgain,
}

impl BlockPlan {
    /// How often a tile is read at most, more or less, where it is needed by several blocks.
    fn times_read(&self) -> f64 {
        self.parts as f64 * (self.enough as f64 / self.kept.max(1) as f64).max(1.0)
    }

    /// How often each tile is read.
    pub fn reads(&self) -> Reads {
        match self.parts {
            1 if self.kept < self.enough => Reads::SomeAgain,
            parts => Reads::Times(parts),
        }
    }
}

/// Plans a run; the error is how many bytes of memory it takes at least.
pub(crate) fn plan(needs: &Needs) -> Result<Plan, u64> {
    match &needs.tiles {
        None => plan_rows(needs),
        Some(tiles) if tiles.reach.is_some() => {
            // Fewer workers leave more memory for the tiles that neighbours lie in.
            let with = |workers| plan_tiles(&Needs { workers, ..needs.clone() }, tiles);
            let cost = |plan: &Plan| {
                let read = plan.blocks.as_ref().map_or(1.0, BlockPlan::times_read);
                read / plan.workers as f64
            };
            let more = (2..=needs.workers).filter_map(|workers| with(workers).ok());
            let better = |best, next| if cost(&next) <= cost(&best) { next } else { best };
            Ok(more.fold(with(1)?, better))
        }
        Some(tiles) => plan_tiles(needs, tiles),
    }
}

fn plan_tiles(needs: &Needs, tiles: &TileNeeds) -> Result<Plan, u64> {
    let position = needs.per_position();
    let per_worker = needs.worker_bytes + tiles.worker_bytes + position;
    let least = needs.fixed_bytes + per_worker + tiles.row_bytes;
    if needs.memory < least {
        return Err(least);
    }
    let available = needs.memory - needs.fixed_bytes;
    let (workers, segments) = cut(needs, tiles, available)?;
    let left = available - workers * per_worker;
    let parts = tiles.parts(&segments);
    let block = tiles.block_bytes(&segments).max(1);
    let beside_units = left.saturating_sub(workers * needs.unit() * position) / block;
    let held = tiles.held(workers);
    let open = tiles.open_blocks(&segments, (workers, beside_units));
    let enough = tiles.kept(&segments, open);
    // With neighbours, decoding a tile once more costs more than units that are small.
    let room = if tiles.reach.is_some() { left / block } else { beside_units };
    let blocks = room.clamp(1 + held, enough + held);
    let kept = blocks - held;
    let worker_bytes = needs.worker_bytes + tiles.worker_bytes;
    let left = available - blocks * block - workers * worker_bytes;
    let unit = (left / workers / position).clamp(1, needs.unit());
    let memory = needs.fixed_bytes + blocks * block + workers * (worker_bytes + unit * position);
    let fewest = tiles.kept(&tiles.cell, tiles.most_blocks(workers)) + held;
    let whole = if tiles.reach.is_some() { fewest } else { 1 };
    let memory_for_once =
        needs.fixed_bytes + whole * tiles.block_bytes(&tiles.cell) + workers * per_worker;
    let of_block = tiles.block_positions(&segments) / if open > 1 { 1 } else { 2 * workers };
    let least_unit = needs.least_unit(unit, workers).min(of_block).max(1);
    let (in_flight, kept, enough) = (kept.min(open) as usize, kept as usize, enough as usize);
    let blocks = Some(BlockPlan { segments, in_flight, kept, enough, parts, memory_for_once });
    Ok(Plan { workers: workers as usize, unit, least_unit, memory, kept: 0, blocks })
}

/// The number of workers, and the blocks.
fn cut(needs: &Needs, tiles: &TileNeeds, available: u64) -> Result<(u64, Vec<u64>), u64> {
    let per_worker = needs.worker_bytes + tiles.worker_bytes + needs.per_position();
    let Some(agreed) = &tiles.agreed else {
        let (workers, segments) = cheapest(needs, tiles, available);
        let left = available - workers * per_worker;
        return Ok(if tiles.parts(&segments) == 1 {
            let joined = joined(tiles, &segments, workers, left);
            (workers, joined)
        } else {
            (workers, segments)
        });
    };
    let block = tiles.block_bytes(agreed);
    if available < block + per_worker {
        return Err(needs.fixed_bytes + block + per_worker);
    }
    let fits =
        |workers: &u64| (1 + tiles.held(*workers)) * block + workers * per_worker <= available;
    let most = ((available - block) / per_worker).min(needs.workers).max(1);
    let workers = (1..=most).rev().find(fits).unwrap_or(1);
    Ok((workers, agreed.clone()))
}

/// The number of workers and the blocks with which reading all tiles takes the least time: a tile
/// that is read twice costs as much as half of the workers.
fn cheapest(needs: &Needs, tiles: &TileNeeds, available: u64) -> (u64, Vec<u64>) {
    let per_worker = needs.worker_bytes + tiles.worker_bytes + needs.per_position();
    let most = ((available - tiles.row_bytes) / per_worker).min(needs.workers).max(1);
    let choices = (1..=most).rev().filter_map(|workers| {
        let each = tiles.row_bytes.max(1) * (1 + tiles.held(workers));
        let positions = (available - workers * per_worker) / each;
        (positions > 0).then(|| (workers, fewest_parts(&tiles.cell, positions)))
    });
    let best = choices.min_by(|one, other| {
        let cost = |choice: &(u64, Vec<u64>)| tiles.parts(&choice.1) as f64 / choice.0 as f64;
        cost(one).total_cmp(&cost(other))
    });
    best.unwrap_or((1, vec![1; tiles.cell.len()]))
}

/// Small tiles are joined along the fastest axis until they make a block of a good size, or so many
/// of `workers` don't fit into `left` bytes any more.
fn joined(tiles: &TileNeeds, segments: &[u64], workers: u64, left: u64) -> Vec<u64> {
    let cell = tiles.block_bytes(segments).max(1);
    let (cells, fastest) = match (tiles.scan.last(), segments.last()) {
        (Some(length), Some(segment)) => (length.div_ceil(*segment), segments.len() - 1),
        _ => return segments.to_vec(),
    };
    let with = |times: u64| {
        let mut joined = segments.to_vec();
        joined[fastest] *= times;
        joined
    };
    let fits = |joined: &Vec<u64>| {
        let open = tiles.most_blocks(workers);
        let most = if tiles.reach.is_some() { tiles.kept(joined, open) } else { workers + 1 };
        (most + tiles.held(workers)).saturating_mul(tiles.block_bytes(joined)) <= left
    };
    let good = if tiles.reach.is_some() { BLOCK_BYTES_AROUND } else { BLOCK_BYTES };
    let most = (good / cell).min(cells).max(1);
    (1..=most).rev().map(with).find(fits).unwrap_or_else(|| segments.to_vec())
}

fn plan_rows(needs: &Needs) -> Result<Plan, u64> {
    let position = needs.per_position();
    let least = needs.fixed_bytes + needs.worker_bytes + position;
    if needs.memory < least {
        return Err(least);
    }
    let available = needs.memory - needs.fixed_bytes;
    let workers = needs.workers.min(available / (needs.worker_bytes + position)).max(1);
    let unit = (available / workers - needs.worker_bytes) / position;
    let unit = unit.min(needs.unit()).max(1);
    let memory = needs.fixed_bytes + workers * (needs.worker_bytes + unit * position);
    let least_unit = needs.least_unit(unit, workers);
    Ok(Plan { workers: workers as usize, unit, least_unit, memory, kept: 0, blocks: None })
}

/// How many positions make a good unit, when `positions` of them took `seconds`: at least as many
/// as are worthwhile, unless these take long, and at most eight times the last, so that one lucky
/// measurement doesn't decide.
pub(crate) fn next_unit(last: u64, positions: u64, seconds: f64, (least, most): (u64, u64)) -> u64 {
    let ideal = positions as f64 * UNIT_SECONDS / seconds.max(1e-9);
    let (ideal, longer) = (ideal as u64, (ideal * LONGER) as u64);
    ideal.max(least.min(longer)).min(last.saturating_mul(8)).clamp(1, most.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn some_cores_are_left_to_the_owner() {
        for (available, expected) in [(1, 1), (2, 1), (3, 2), (4, 3), (5, 3), (8, 6), (64, 62)] {
            assert_eq!(cores(available, Cores::Polite), expected, "of {available}");
        }
        assert_eq!(cores(8, Cores::All), 8);
        assert_eq!(cores(2, Cores::Exactly(5)), 5);
        assert_eq!(cores(2, Cores::Exactly(0)), 1);
    }

    #[test]
    fn cores_are_a_number_or_all() {
        assert_eq!("all".parse(), Ok(Cores::All));
        assert_eq!("3".parse(), Ok(Cores::Exactly(3)));
        assert!("0".parse::<Cores>().is_err() && "many".parse::<Cores>().is_err());
    }

    fn needs() -> Needs {
        Needs {
            row_bytes: 1024,
            kernel_bytes: 1024,
            auxiliary_bytes: 0,
            results_bytes: 10,
            fixed_bytes: 0,
            worker_bytes: 0,
            worthwhile: 1,
            positions: 1 << 40,
            tiles: None,
            workers: 8,
            memory: 1 << 30,
        }
    }

    /// Frames of 128 KiB in chunks of 32 × 32 positions by 2 MiB.
    fn cubes() -> Needs {
        let frame = 128 << 10;
        let tiles = TileNeeds {
            cell: vec![32, 32],
            row_bytes: frame,
            worker_bytes: 6 << 20,
            tiles_per_cell: 64,
            agreed: None,
            scan: vec![256, 128],
            reach: None,
            bins: None,
        };
        Needs {
            row_bytes: frame,
            kernel_bytes: 4 * frame,
            tiles: Some(tiles),
            workers: 2,
            ..needs()
        }
    }

    #[test]
    fn chunks_are_decoded_once_while_memory_lasts() {
        let roomy = plan(&cubes()).unwrap();
        let blocks = roomy.blocks.unwrap();
        assert_eq!((roomy.workers, roomy.unit, blocks.in_flight, blocks.parts), (2, 8, 1, 1));
        let tight = plan(&Needs { memory: 160 << 20, ..cubes() }).unwrap();
        let blocks = tight.blocks.unwrap();
        assert_eq!((tight.workers, blocks.in_flight, blocks.parts), (2, 1, 1));
    }

    #[test]
    fn too_little_memory_for_a_row_of_chunks_says_what_it_costs() {
        let short = plan(&Needs { memory: 64 << 20, ..cubes() }).unwrap();
        let blocks = short.blocks.unwrap();
        assert_eq!((short.workers, blocks.parts), (2, 3));
        assert_eq!(blocks.segments, [11, 32]);
        let enough = Needs { memory: blocks.memory_for_once, ..cubes() };
        assert_eq!(plan(&enough).unwrap().blocks.unwrap().parts, 1);
        let none = plan(&Needs { memory: 1 << 20, ..cubes() });
        assert_eq!(none, Err((6 << 20) + (128 << 10) * 6 + 10));
    }

    #[test]
    fn ranks_keep_to_the_blocks_that_were_agreed_on() {
        let cubes = cubes();
        let agreed = |segments: Vec<u64>| {
            let tiles =
                cubes.tiles.clone().map(|tiles| TileNeeds { agreed: Some(segments), ..tiles });
            plan(&Needs { memory: 64 << 20, tiles, ..cubes.clone() })
        };
        let first = plan(&Needs { memory: 64 << 20, ..cubes.clone() }).unwrap();
        let segments = first.blocks.clone().unwrap().segments;
        assert_eq!(agreed(segments), Ok(first));
        let small = agreed(vec![1, 32]).unwrap();
        assert_eq!((small.workers, small.blocks.unwrap().parts), (2, 32));
        assert!(agreed(vec![32, 32]).is_err(), "128 MiB don't fit into 64");
    }

    #[test]
    fn small_chunks_are_read_several_at_a_time() {
        let tiles = TileNeeds {
            cell: vec![1, 4],
            row_bytes: 1024,
            worker_bytes: 8192,
            tiles_per_cell: 1,
            agreed: None,
            scan: vec![256, 1024],
            reach: None,
            bins: None,
        };
        let blocks = plan(&Needs { tiles: Some(tiles.clone()), ..needs() }).unwrap();
        let blocks = blocks.blocks.unwrap();
        assert_eq!((blocks.segments, blocks.in_flight, blocks.parts), (vec![1, 512], 9, 1));
        let short = TileNeeds { scan: vec![256, 30], ..tiles };
        let blocks = plan(&Needs { tiles: Some(short), ..needs() }).unwrap().blocks.unwrap();
        assert_eq!(blocks.segments, [1, 32], "there is no more to a line");
    }

    #[test]
    fn with_neighbours_no_more_workers_compute_than_pay() {
        let workers = |memory, reach| {
            let tiles = cubes().tiles.map(|tiles| TileNeeds { reach, ..tiles });
            plan(&Needs { tiles, memory, workers: 8, ..cubes() }).unwrap().workers
        };
        let reach = || Some(vec![1, 1]);
        assert_eq!((workers(8 << 30, reach()), workers(8 << 30, None)), (8, 8));
        assert_eq!((workers(1 << 30, reach()), workers(1 << 30, None)), (4, 8));
    }

    #[test]
    fn blocks_are_kept_until_their_neighbours_are_computed() {
        let with_halo = |memory| {
            let tiles = cubes().tiles.map(|tiles| TileNeeds { reach: Some(vec![1, 1]), ..tiles });
            let needs = Needs { tiles, memory, ..cubes() };
            plan_tiles(&needs, needs.tiles.as_ref().unwrap()).unwrap().blocks.unwrap()
        };
        // Of 4 blocks in a row: from the one before and above to the one behind and below, and
        // those around each that is begun besides.
        let roomy = with_halo(5 << 30);
        assert_eq!((roomy.in_flight, roomy.kept, roomy.enough, roomy.parts), (3, 29, 29, 1));
        let enough = with_halo(2 << 30);
        assert_eq!((enough.in_flight, enough.kept, enough.enough), (1, 11, 11));
        let tight = with_halo(1 << 30);
        assert_eq!((tight.kept, tight.enough, tight.parts), (6, 11, 1));
        assert_eq!(with_halo(tight.memory_for_once).kept, 11);
        let on = |scan: [u64; 2], reach: [u64; 2]| {
            let (scan, reach) = (scan.to_vec(), Some(reach.to_vec()));
            cubes().tiles.map(|tiles| TileNeeds { scan, reach, ..tiles }).unwrap()
        };
        let small = on([2, 3], [5, 5]);
        assert_eq!(small.kept(&[1, 1], 3), 6, "there are no more");
        let long = on([50, 50], [1, 1]);
        assert_eq!(long.kept(&[1, 1], 1), 103);
        assert_eq!(long.kept(&[1, 1], 3), 121, "two may lie far behind");
        let bins = TileNeeds { bins: Some(vec![4, 4]), ..on([256, 128], [3, 3]) };
        assert_eq!(bins.kept(&[32, 32], 3), 3, "no bin is cut");
        assert_eq!(bins.kept(&[16, 64], 3), 3);
        assert_eq!(bins.kept(&[11, 32], 1), 5, "some are, between two lines of four blocks");
        let odd = TileNeeds { bins: Some(vec![5, 4]), ..on([256, 128], [4, 3]) };
        assert_eq!(odd.kept(&[32, 32], 3), 5 + 2 * 2);
    }

    #[test]
    fn plans_of_typical_runs() {
        let roomy = plan(&needs()).unwrap();
        assert_eq!((roomy.workers, roomy.unit), (8, 1024));
        let frame = 128u64 << 20;
        let frames = Needs { row_bytes: frame, kernel_bytes: frame, ..needs() };
        let tight = plan(&frames).unwrap();
        assert_eq!((tight.workers, tight.unit), (3, 1));
        assert_eq!(plan(&Needs { memory: frame, ..frames }), Err(2 * frame + 10));
    }

    proptest! {
        #[test]
        fn a_plan_never_exceeds_the_budget(
            row_bytes in 1u64..1 << 24, kernel_bytes in 0u64..1 << 24, results_bytes in 1u64..1 << 16,
            auxiliary_bytes in 0u64..4096, fixed_bytes in 0u64..1 << 24,
            worker_bytes in 0u64..1 << 22, workers in 1u64..256, memory in 1u64..1 << 34,
        ) {
            let needs = Needs {
                row_bytes, kernel_bytes, auxiliary_bytes, results_bytes,
                fixed_bytes, worker_bytes, worthwhile: 1, positions: 1 << 40, tiles: None, workers, memory,
            };
            let one = row_bytes + kernel_bytes + 2 * auxiliary_bytes + results_bytes;
            match plan(&needs) {
                Ok(plan) => {
                    let worker = worker_bytes + plan.unit * one;
                    prop_assert_eq!(plan.memory, fixed_bytes + plan.workers as u64 * worker);
                    prop_assert!(plan.memory <= memory);
                    prop_assert!(plan.workers >= 1 && plan.workers as u64 <= workers && plan.unit >= 1);
                }
                Err(least) => prop_assert_eq!(least, fixed_bytes + worker_bytes + one),
            }
        }

        #[test]
        fn a_plan_of_blocks_never_exceeds_the_budget(
            cell in prop::collection::vec(1u64..64, 1..3), row_bytes in 1u64..1 << 20,
            worker_bytes in 0u64..1 << 24, tiles_per_cell in 1u64..99, workers in 1u64..64, memory in 1u64..1 << 32,
            fixed_bytes in 0u64..1 << 20, reach in prop::option::of(0u64..70),
        ) {
            let scan: Vec<u64> = cell.iter().map(|cell| cell * 3 - 1).collect();
            let reach = reach.map(|reach| vec![reach; cell.len()]);
            let has_halo = reach.is_some();
            let tiles =
                TileNeeds { cell: cell.clone(), row_bytes, worker_bytes, tiles_per_cell, agreed: None, scan: scan.clone(), reach, bins: None };
            let needs = Needs { tiles: Some(tiles), row_bytes, fixed_bytes, workers, memory, ..needs() };
            let Ok(plan) = plan(&needs) else {
                let one = needs.per_position() + worker_bytes + row_bytes;
                prop_assert!(memory < fixed_bytes + one);
                return Ok(());
            };
            let blocks = plan.blocks.unwrap();
            let positions: u64 = blocks.segments.iter().zip(&scan).map(|(one, most)| one.min(most)).product();
            let held = if has_halo { plan.workers as u64 - 1 } else { 0 };
            prop_assert!(blocks.in_flight <= blocks.kept && blocks.kept <= blocks.enough);
            prop_assert!(has_halo || blocks.in_flight == blocks.kept);
            let used = fixed_bytes
                + (blocks.kept as u64 + held) * positions * row_bytes
                + plan.workers as u64 * (worker_bytes + plan.unit * needs.per_position());
            prop_assert_eq!(plan.memory, used);
            prop_assert!(used <= memory);
            prop_assert!(plan.workers >= 1 && plan.workers as u64 <= workers);
            let parts: u64 = cell.iter().zip(&blocks.segments).map(|(c, s)| c.div_ceil(*s)).product();
            prop_assert_eq!(blocks.parts, parts);
        }

        #[test]
        fn units_stay_within_bounds(
            last in 1u64..1 << 40, positions in 1u64..1 << 20, seconds in 0.0f64..1e6, most in 0u64..1 << 40,
        ) {
            let unit = next_unit(last, positions, seconds, (1, most));
            prop_assert!(unit >= 1 && unit <= most.max(1) && unit <= last.saturating_mul(8));
        }
    }

    #[test]
    fn slow_spectra_make_small_units() {
        assert_eq!(next_unit(16, 16, 16.0, (1, 256)), 1);
        assert_eq!(next_unit(16, 16, 0.016, (32, 256)), 32, "less isn't worth what lies around");
        assert_eq!(next_unit(16, 16, 0.064, (32, 256)), 25, "but nobody waits long");
        assert_eq!(next_unit(16, 16, 16.0, (32, 256)), 1);
        assert_eq!(next_unit(1, 1, 1e-6, (32, 256)), 8);
        assert_eq!(next_unit(16, 16, 0.016, (1, 256)), 10);
        assert_eq!(next_unit(16, 16, 1e-6, (1, 256)), 128);
    }
}
