//! What a user asks of a run, besides the process and its parameters.

use std::path::PathBuf;
use std::time::Duration;

use log::info;
use serde::Deserialize;

use super::correction_paths::CorrectionPaths;
use super::machine::least_memory;
use super::{Compression, InputPlace, Ranks, Selection};
use crate::plan::Cores;
use crate::source::{Along, Crop};
use pixelmill_core::error::bytes;

/// Why something isn't read.
pub(super) const ELSEWHERE: &str =
    "it names another file; only what is in the file of the data can be named here";

/// What to compute on and how.
#[derive(Clone, Debug)]
pub struct Request {
    /// The HDF5 file with the main dataset.
    pub file: PathBuf,
    /// Path of the main dataset; may be left out if the file has only one.
    pub dataset: Option<String>,
    /// The field of its records that is computed on, if it holds records.
    pub field: Option<String>,
    /// The axes of the dataset that are positions, slowest first; may be left out if the file
    /// tells.
    pub positions_axes: Option<Vec<usize>>,
    /// The part of each position's values to compute with; all of them if left out.
    pub crop: Option<Crop>,
    /// The axes of a position's values that a spectrum runs along; what the process asks for if
    /// left out. All others number the spectra of a position.
    pub along: Option<Along>,
    /// What is done to all spectra alike before the process sees them.
    pub corrections: CorrectionPaths,
    /// Whether values may be rounded to the numbers that the process computes with, as a process
    /// says by [`NARROWING`](crate::Process::NARROWING) for itself; and integers beyond 2⁵³ to
    /// double precision.
    pub allow_rounding: bool,
    /// Another file for the results, created if need be; the source then is only read.
    pub output: Option<PathBuf>,
    /// The processes that compute this together; all of them make the same request.
    pub ranks: Ranks,
    /// Cores to compute on, for each rank. Of several ranks each takes its share of all cores of
    /// its node unless a number is given.
    pub cores: Cores,
    /// Memory budget in bytes, for each rank; a quarter of what is available, divided by the ranks
    /// on the node, if left out.
    pub memory: Option<u64>,
    /// Compute anew into a new group, whatever results there are.
    pub override_existing: bool,
    /// The results group to resume, instead of the newest partial one.
    pub resume: Option<String>,
    /// Only these positions; the others stay pending.
    pub positions: Option<Selection>,
    /// Compute the failed positions of earlier runs again.
    pub retry_failed: bool,
    /// How often `last_pixel` is brought up to date. A tenth of it is the length of a batch,
    /// which is what a kill can cost per batch in flight.
    pub checkpoint: Duration,
    /// What completed positions survive.
    pub durability: Durability,
    /// Whether results are only reused after all data that they were computed from were compared
    /// with what they are now, however large.
    pub check_data: bool,
    /// How the results are compressed once all positions are done.
    pub compress: Compression,
    /// What the system's cache of files keeps of what is read and written.
    pub cache: Cache,
    /// Where inputs were found before, so that whoever computes the same again takes these; else
    /// they are looked for by what they are called.
    pub inputs: Vec<InputPlace>,
    /// Whether inputs, corrections and selections may lie in no other files than those of the data
    /// and of the results: for whoever asks from elsewhere.
    pub only_its_files: bool,
}

/// What positions that are marked as completed survive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// A power cut: results are on the disk before they are marked.
    #[default]
    Node,
    /// The end of the process, however sudden.
    Process,
}

/// What the system's cache of files keeps of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cache {
    /// What the system thinks fit.
    #[default]
    Keep,
    /// Nothing, so that what other programs have there stays: neither the files that were read nor
    /// the one that results went to, whoever had them there before. Results that aren't on the disk
    /// yet stay.
    Drop,
}

impl Request {
    /// The memory budget in bytes, of one of so many ranks on this node.
    pub(crate) fn memory_budget(&self, ranks_on_node: u64) -> u64 {
        let ranks = ranks_on_node.max(1);
        self.memory.unwrap_or_else(|| {
            let limit = least_memory();
            let budget = limit.bytes / 4 / ranks;
            info!(
                "{} of memory: a quarter of {}, {}, {}",
                bytes(budget),
                bytes(limit.bytes),
                limit.said,
                match ranks {
                    1 => "for one process".to_owned(),
                    _ => format!("divided by the {ranks} ranks of this node"),
                },
            );
            budget
        })
    }

    /// A request for the only main dataset of `file`, everything else at its default.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self {
            file: file.into(),
            dataset: None,
            field: None,
            positions_axes: None,
            crop: None,
            along: None,
            corrections: CorrectionPaths::default(),
            allow_rounding: false,
            output: None,
            ranks: Ranks::default(),
            cores: Cores::default(),
            memory: None,
            override_existing: false,
            resume: None,
            positions: None,
            retry_failed: false,
            checkpoint: Duration::from_secs(10),
            durability: Durability::default(),
            check_data: false,
            compress: Compression::None,
            cache: Cache::default(),
            inputs: Vec::new(),
            only_its_files: false,
        }
    }
}

/// The bytes of a memory budget as people write it: `500M`, `1.5GiB`, `4096`; the letters mean
/// powers of 1024.
///
/// # Errors
/// What can't be understood of it.
pub fn memory_size(text: &str) -> Result<u64, String> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let shift = match unit.trim().to_ascii_lowercase().trim_end_matches("ib").trim_end_matches('b')
    {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err("it has to be a number with an optional K, M, G or T".to_owned()),
    };
    let number: f64 = number.parse().map_err(|_| "it has to begin with a number".to_owned())?;
    let bytes = number * (1u64 << shift) as f64;
    if bytes >= 1.0 { Ok(bytes as u64) } else { Err("it has to be more than nothing".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in
            [("4096", 4096), ("500M", 500 << 20), ("1.5GiB", 3 << 29), ("2kb", 2048)]
        {
            assert_eq!(memory_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "G", "1X", "-1", "0"] {
            assert!(memory_size(text).is_err(), "{text}");
        }
    }
}
