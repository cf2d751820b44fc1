//! The answer of `test` over several positions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::test::{ResultValues, steps};
use crate::engine;

/// Some positions, computed without a trace, and how long all would take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Each of them.
    pub sampled: Vec<Sampled>,
    /// All positions of the scan.
    pub positions: u64,
    /// Threads that a run would have.
    pub workers: usize,
    /// Bytes of memory that it would plan for.
    pub memory: u64,
    /// How long it would take, writing aside.
    pub estimated_seconds: f64,
}

/// One of the positions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sampled {
    /// Its number.
    pub position: u64,
    /// Its steps on the axes of the scan, the slowest first.
    pub at: Vec<u32>,
    /// Time that reading and computing it took.
    pub seconds: f64,
    /// Why it has no result; null if it has one.
    pub failure: Option<String>,
    /// The values of every results dataset.
    pub results: Vec<ResultValues>,
}

impl From<&engine::Sample> for Sample {
    fn from(sample: &engine::Sample) -> Self {
        let sampled = sample.probes.iter().map(|(probe, took)| Sampled {
            position: probe.position,
            at: steps(&probe.place),
            seconds: took.as_secs_f64(),
            failure: probe.failure.clone(),
            results: probe.values.iter().map(ResultValues::from).collect(),
        });
        Self {
            sampled: sampled.collect(),
            positions: sample.positions,
            workers: sample.workers,
            memory: sample.memory,
            estimated_seconds: sample.estimate.as_secs_f64(),
        }
    }
}
