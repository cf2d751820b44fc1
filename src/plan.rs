//! How a run is divided: pure functions from bytes, memory and cores to sizes.
//!
//! Nothing here reads the machine or the file: `engine::machine` asks, this decides.

/// Batches that are open, or computed but not marked yet, at the same time.
pub(crate) const BATCHES_IN_FLIGHT: usize = 3;

/// Source bytes that a worker reads at a time at most: small enough to be still in its cache
/// when it computes them, large enough that the calls don't count. `sum` of 2 GiB of float32 on two
/// cores took 0.29 s with 256 KiB, 0.27 s with 512 KiB and 0.25 s with 1 MiB.
const UNIT_BYTES: u64 = 1 << 20;

/// Seconds that a unit of work should take: short against a batch, long against its overhead.
const UNIT_SECONDS: f64 = 0.01;

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

/// What one position takes, and what there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Needs {
    /// Bytes of a row as stored.
    pub row_bytes: u64,
    /// Bytes of a row after conversion, if all of it is converted at once.
    pub converted_bytes: u64,
    /// Bytes of the auxiliary inputs of a position, as f64.
    pub auxiliary_bytes: u64,
    /// Bytes of all results of a position.
    pub results_bytes: u64,
    /// What the process declares for itself per position.
    pub extra_bytes: u64,
    /// Bytes that are taken whatever the number of workers: the status of all positions, and
    /// what the library keeps in order to decode a chunk only once.
    pub fixed_bytes: u64,
    pub workers: u64,
    pub memory: u64,
}

impl Needs {
    /// Bytes that one position takes while a worker has it: its auxiliary values also as they
    /// are stored.
    fn per_position(&self) -> u64 {
        self.row_bytes
            + self.converted_bytes
            + self.auxiliary_bytes * 2
            + self.results_bytes
            + self.extra_bytes
    }
}

/// How the run is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub workers: usize,
    /// Most positions of one unit of work.
    pub unit: u64,
    /// Bytes that are in use at the same time at most.
    pub memory: u64,
}

/// Plans a run; the error is how many bytes of memory it takes at least.
pub(crate) fn plan(needs: &Needs) -> Result<Plan, u64> {
    let position = needs.per_position().max(1);
    let least = needs.fixed_bytes + position;
    if needs.memory < least {
        return Err(least);
    }
    let available = needs.memory - needs.fixed_bytes;
    let workers = needs.workers.min(available / position).max(1);
    let fitting = available / workers / position;
    let unit = fitting.min(UNIT_BYTES.div_ceil(needs.row_bytes.max(1))).max(1);
    let memory = needs.fixed_bytes + workers * unit * position;
    Ok(Plan { workers: workers as usize, unit, memory })
}

/// How many positions make a good unit, when `positions` of them took `seconds`. At most eight
/// times the last, so that one lucky measurement doesn't decide.
pub(crate) fn next_unit(last: u64, positions: u64, seconds: f64, most: u64) -> u64 {
    let ideal = positions as f64 * UNIT_SECONDS / seconds.max(1e-9);
    (ideal as u64).min(last.saturating_mul(8)).clamp(1, most.max(1))
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

    fn needs() -> Needs {
        Needs {
            row_bytes: 1024,
            converted_bytes: 1024,
            auxiliary_bytes: 0,
            results_bytes: 10,
            extra_bytes: 0,
            fixed_bytes: 0,
            workers: 8,
            memory: 1 << 30,
        }
    }

    #[test]
    fn plans_of_typical_runs() {
        let roomy = plan(&needs()).unwrap();
        assert_eq!((roomy.workers, roomy.unit), (8, 1024));
        let frame = 128u64 << 20;
        let frames = Needs { row_bytes: frame, converted_bytes: frame, ..needs() };
        let tight = plan(&frames).unwrap();
        assert_eq!((tight.workers, tight.unit), (3, 1));
        assert_eq!(plan(&Needs { memory: frame, ..frames }), Err(2 * frame + 10));
    }

    proptest! {
        #[test]
        fn a_plan_never_exceeds_the_budget(
            row_bytes in 1u64..1 << 24, converted_bytes in 0u64..1 << 24, results_bytes in 1u64..1 << 16,
            auxiliary_bytes in 0u64..4096, extra_bytes in 0u64..4096, fixed_bytes in 0u64..1 << 24,
            workers in 1u64..256, memory in 1u64..1 << 34,
        ) {
            let needs = Needs {
                row_bytes, converted_bytes, auxiliary_bytes, results_bytes, extra_bytes,
                fixed_bytes, workers, memory,
            };
            let one = row_bytes + converted_bytes + 2 * auxiliary_bytes + results_bytes + extra_bytes;
            match plan(&needs) {
                Ok(plan) => {
                    prop_assert_eq!(plan.memory, fixed_bytes + plan.workers as u64 * plan.unit * one);
                    prop_assert!(plan.memory <= memory);
                    prop_assert!(plan.workers >= 1 && plan.workers as u64 <= workers && plan.unit >= 1);
                }
                Err(least) => prop_assert_eq!(least, fixed_bytes + one),
            }
        }

        #[test]
        fn units_stay_within_bounds(
            last in 1u64..1 << 40, positions in 1u64..1 << 20, seconds in 0.0f64..1e6, most in 0u64..1 << 40,
        ) {
            let unit = next_unit(last, positions, seconds, most);
            prop_assert!(unit >= 1 && unit <= most.max(1) && unit <= last.saturating_mul(8));
        }
    }

    #[test]
    fn slow_spectra_make_small_units() {
        assert_eq!(next_unit(16, 16, 16.0, 256), 1);
        assert_eq!(next_unit(16, 16, 0.016, 256), 10);
        assert_eq!(next_unit(16, 16, 1e-6, 256), 128);
    }
}
