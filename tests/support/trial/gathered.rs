//! A reduction whose results tell whether every value was folded once, and in which order.

use num_complex::Complex64;
use pixelmill::process::{Failure, SourceInfo, Spectrum};
use pixelmill::reduction::{Buffer, Buffers, Parts, Reduction, Tile, Whole};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of `Gathered`.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GatheredParameters {
    /// The position that can't be folded.
    fail_at: Option<u64>,
    /// The position whose spectrum panics.
    panic_at: Option<u64>,
    /// How often each value is mixed, to take time.
    rounds: u64,
    /// Whether nothing can be merged.
    merge_fails: bool,
    /// The only rank on which that is so.
    merge_fails_on: Option<u64>,
    /// Whether it makes a difference which are merged first.
    merge_halves: bool,
    /// Whether there are no results at the end.
    finish_fails: bool,
    /// Whether what depends on the order is a result.
    shows_order: bool,
}

impl Default for GatheredParameters {
    fn default() -> Self {
        Self {
            fail_at: None,
            panic_at: None,
            rounds: 1,
            merge_fails: false,
            merge_fails_on: None,
            merge_halves: false,
            finish_fails: false,
            shows_order: true,
        }
    }
}

impl pixelmill::process::Parameters for GatheredParameters {}

/// All values of a scan: tile by tile (0), spectrum by spectrum (1) or unit by unit (2).
pub struct Gathered<const WAY: u8>;

/// What `Gathered` folds.
pub struct GatheredTask {
    given: GatheredParameters,
    /// Of each point a sum that doesn't depend on the order of the positions.
    sums: Buffer<u64>,
    shown: Buffer<f64>,
    /// The same of each position.
    rows: Buffer<u64>,
    shown_rows: Buffer<f64>,
    /// What depends on the order, and on where tiles and units begin and end.
    order: Buffer<u64>,
}

fn mixed(value: u64) -> u64 {
    let mixed = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb)
}

/// The number of this rank, if there are several.
fn rank() -> Option<u64> {
    let variables = ["OMPI_COMM_WORLD_RANK", "PMI_RANK"];
    variables.iter().find_map(|name| std::env::var(name).ok()?.parse().ok())
}

fn of(value: Complex64) -> u64 {
    let [re, im] = [value.re, value.im].map(f64::to_bits);
    re.wrapping_mul(3).wrapping_add(im.wrapping_mul(5))
}

impl GatheredTask {
    fn check(&self, position: u64) -> Result<(), Failure> {
        assert!(self.given.panic_at != Some(position), "as was asked for");
        if self.given.fail_at == Some(position) {
            return Err(Failure::new("as was asked for"));
        }
        Ok(())
    }

    fn add(
        &self,
        parts: &mut Parts<'_>,
        (row, position): (usize, u64),
        values: impl Iterator<Item = (usize, Complex64)>,
    ) {
        let (sums, rows, order) = parts.of((self.sums, self.rows, self.order));
        for ((point, value), sum) in values.zip(sums) {
            let mut own = of(value);
            order[0] = mixed(order[0] ^ own);
            for _ in 1..self.given.rounds {
                order[0] = mixed(order[0]);
            }
            own = own.wrapping_mul(2 * position + 1);
            *sum = sum.wrapping_add(own);
            rows[row] = rows[row].wrapping_add(own.wrapping_mul(2 * point as u64 + 1));
        }
    }

    fn add_tile(
        &self,
        tile: &mut Tile<'_, Complex64>,
        parts: &mut Parts<'_>,
    ) -> Result<(), Failure> {
        let positions = tile.positions();
        let points: Vec<usize> = tile.stretches().flatten().collect();
        parts.get(self.order)[0] ^= mixed((tile.len() * 7919 + tile.points()) as u64);
        for (row, spectrum) in tile.values().rows().into_iter().enumerate() {
            self.check(positions[row])?;
            let values = points.iter().copied().zip(spectrum.iter().copied());
            self.add(parts, (row, positions[row]), values);
        }
        Ok(())
    }
}

impl<const WAY: u8> Reduction for Gathered<WAY> {
    const NAME: &'static str = match WAY {
        0 => "Gathered",
        1 => "Gathered_Spectra",
        _ => "Gathered_Units",
    };
    const VERSION: u32 = 1;
    const NARROWING: bool = true;
    const WHOLE: Whole = match WAY {
        0 => Whole::Tile,
        1 => Whole::Spectrum,
        _ => Whole::Partition,
    };

    type Parameters = GatheredParameters;
    type Input = Complex64;
    type Task = GatheredTask;
    type Scratch = ();

    fn prepare(
        given: &GatheredParameters,
        _: &SourceInfo,
        buffers: &mut Buffers,
    ) -> Result<GatheredTask, Failure> {
        Ok(GatheredTask {
            given: given.clone(),
            shown: buffers.per_point(Self::NAME).at_end("Hash", ""),
            shown_rows: buffers.per_position("Rows").published("Hash", ""),
            order: match given.shows_order {
                true => buffers.single("Order").published("Hash", ""),
                false => buffers.single("Order").private(),
            },
            sums: buffers.per_point("Sums").private(),
            rows: buffers.per_position("Row_Sums").private(),
        })
    }

    fn process_tile(
        task: &GatheredTask,
        tile: &mut Tile<'_, Complex64>,
        parts: &mut Parts<'_>,
        _: &mut (),
    ) -> Result<(), Failure> {
        task.add_tile(tile, parts)
    }

    fn process_partition(
        task: &GatheredTask,
        unit: &mut Tile<'_, Complex64>,
        parts: &mut Parts<'_>,
        _: &mut (),
    ) -> Result<(), Failure> {
        task.add_tile(unit, parts)
    }

    fn process_spectrum(
        task: &GatheredTask,
        spectrum: Spectrum<'_, Complex64>,
        parts: &mut Parts<'_>,
        _: &mut (),
    ) -> Result<(), Failure> {
        task.check(spectrum.position)?;
        task.add(parts, (0, spectrum.position), spectrum.iter().copied().enumerate());
        Ok(())
    }

    fn postprocess(task: &GatheredTask, _: &[u64], parts: &mut Parts<'_>) -> Result<(), Failure> {
        let (rows, shown) = parts.of((task.rows, task.shown_rows));
        shown.iter_mut().zip(rows).for_each(|(shown, sum)| *shown = (*sum >> 12) as f64);
        Ok(())
    }

    fn merge(
        task: &GatheredTask,
        into: &mut Parts<'_>,
        from: &mut Parts<'_>,
    ) -> Result<(), Failure> {
        if task.given.merge_fails || task.given.merge_fails_on.is_some_and(|on| Some(on) == rank())
        {
            return Err(Failure::new("as was asked for"));
        }
        let pairs = into.get(task.sums).iter_mut().zip(from.get(task.sums));
        pairs.for_each(|(sum, other)| *sum = sum.wrapping_add(*other));
        if task.given.merge_halves {
            into.get(task.sums).iter_mut().for_each(|sum| *sum /= 2);
        }
        let other = from.get(task.order)[0];
        let order = &mut into.get(task.order)[0];
        *order = mixed(order.wrapping_mul(3) ^ mixed(other));
        Ok(())
    }

    fn finish(task: &GatheredTask, all: &mut Parts<'_>) -> Result<(), Failure> {
        if task.given.finish_fails {
            return Err(Failure::new("as was asked for"));
        }
        let (sums, shown) = all.of((task.sums, task.shown));
        shown.iter_mut().zip(sums).for_each(|(shown, sum)| *shown = (*sum >> 12) as f64);
        Ok(())
    }
}
