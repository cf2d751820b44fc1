//! What was typed. What it means is worked out by the commands.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{ArgAction, ArgGroup, Args, Parser, Subcommand, ValueEnum};

use crate::engine::{
    Along, Cache, Compression, CorrectionPaths, Crop, Durability, Selection, memory_size,
};
use crate::plan::Cores;

/// Run a computation over every position of a scan stored in HDF5.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub command: Command,
    /// Print one machine-readable JSON object on standard output
    #[arg(long, global = true)]
    pub json: bool,
    /// Say on standard error what is decided and why; -vv also how it is done. RUST_LOG goes
    /// before it
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Say nothing but notes and errors of a computation that goes well
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the processes, their parameters with units and defaults
    List {
        /// Only this process
        process: Option<String>,
    },
    /// Show the main datasets of a file with their axes, and its results groups with their state
    Info {
        /// An HDF5 file
        file: PathBuf,
    },
    /// Compute one position, write nothing, and print the result
    Test(Box<TestArguments>),
    /// Draw a dataset, or all results of a group, as what they are: maps, spectra, frames
    Show(Box<ShowArguments>),
    /// Look at a scan in the browser: its image, the spectrum under the cursor, a computation
    /// tried there, begun and watched
    #[cfg(feature = "view")]
    View(ViewArguments),
    /// Compute every position and write the results; resumes and reuses earlier results
    Run(Box<RunArguments>),
    /// Show each results group: process, parameters, hash, how much is done, failed positions
    Status {
        /// An HDF5 file
        file: PathBuf,
        /// Only this results group
        group: Option<String>,
        /// Print the command lines that make the results again, those of what they were computed
        /// from first
        #[arg(long)]
        command: bool,
    },
    /// Compute random completed positions again and compare them bit by bit
    Verify {
        /// The HDF5 file with the results
        file: PathBuf,
        /// The results group
        group: String,
        /// How many positions
        #[arg(long, value_name = "N", default_value_t = 100)]
        sample: u64,
        /// Where the data are, if they aren't where the results say
        #[arg(long, value_name = "FILE")]
        source: Option<PathBuf>,
    },
    /// Write a dataset or a result to an array of NumPy's (.npy), a table (.csv) or images (.tif)
    Export(ExportArguments),
    /// Delete a results group, after saying what it holds and what depends on it
    Remove {
        /// The HDF5 file with the results
        file: PathBuf,
        /// The results group
        group: String,
        /// Don't ask
        #[arg(long)]
        yes: bool,
        /// Delete what was computed from it too, and what was computed from that
        #[arg(long)]
        with_dependents: bool,
        /// Only tell what would be deleted
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Args, Debug)]
#[command(group(ArgGroup::new("which").args(["pixel", "at", "positions"]).required(true).multiple(true)))]
pub(crate) struct TestArguments {
    /// Name of the process; `list` shows them
    pub process: String,
    /// The HDF5 file with the data
    pub file: PathBuf,
    #[command(flatten)]
    pub what: WhatArguments,
    /// Position number
    #[arg(long, value_name = "N", conflicts_with = "at")]
    pub pixel: Option<u64>,
    /// Steps on the axes of the scan, the slowest first
    #[arg(long, value_name = "ROW,COL", value_delimiter = ',')]
    pub at: Option<Vec<u32>>,
    /// Several positions as a table, named as for `run`, with the time that each took and an
    /// estimate for all
    #[arg(
        long,
        value_name = "SELECTION",
        allow_hyphen_values = true,
        conflicts_with_all = ["pixel", "at", "plot", "spectrum"]
    )]
    pub positions: Option<Selection>,
    /// Cores that the estimate is for, as for `run`
    #[arg(long, value_name = "N|all", value_parser = Cores::from_str, requires = "positions")]
    pub cores: Option<Cores>,
    /// Memory budget that the estimate is for, as for `run`
    #[arg(long, value_name = "SIZE", value_parser = memory_size, requires = "positions")]
    pub memory: Option<u64>,
    /// Draw the data and what the result says of them: in the terminal, as is done there anyway,
    /// or into a PNG file
    #[arg(long, value_name = "FILE.png", num_args = 0..=1)]
    pub plot: Option<Option<PathBuf>>,
    /// The file that results would go to: earlier ones in it can be given to the process
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Which spectrum is drawn, from 0, if there are several at a position
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub spectrum: usize,
}

#[derive(Args, Debug)]
pub(crate) struct ShowArguments {
    /// The HDF5 file
    pub file: PathBuf,
    /// A dataset or a results group in it, or the end of its path; may be left out if the file has
    /// only one main dataset
    pub path: Option<String>,
    /// All that was measured at this position, by its number
    #[arg(long, value_name = "N", conflicts_with = "at")]
    pub pixel: Option<u64>,
    /// The same by its steps on the axes of the scan, the slowest first
    #[arg(long, value_name = "ROW,COL", value_delimiter = ',')]
    pub at: Option<Vec<u32>>,
    /// Of records, only this field
    #[arg(long, value_name = "NAME")]
    pub field: Option<String>,
    /// Which axes of the dataset are positions, counted from 0, slowest first, or `none` for a
    /// single measurement; may be left out where the file tells
    #[arg(long, value_name = "AXIS,…|none", value_parser = axes)]
    pub positions_axes: Option<Axes>,
    /// Draw into a PNG file instead of the terminal
    #[arg(long, value_name = "FILE.png", num_args = 0..=1)]
    pub plot: Option<Option<PathBuf>>,
}

#[cfg(feature = "view")]
#[derive(Args, Debug)]
pub(crate) struct ViewArguments {
    /// The HDF5 file
    pub file: PathBuf,
    /// The port of 127.0.0.1 that the page is served at [default: any that is free]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub port: u16,
    /// Only print the address
    #[arg(long)]
    pub no_browser: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ExportArguments {
    /// The HDF5 file with the dataset
    pub file: PathBuf,
    /// Path of the dataset, GROUP/DATASET of a results group, or a GROUP that has only one
    #[arg(value_name = "PATH")]
    pub dataset: String,
    /// The file to be written, whose name ends with .npy, .csv or .tif
    #[arg(value_name = "OUT.npy|csv|tif")]
    pub output: PathBuf,
    /// Only this field of a dataset of records
    #[arg(long, value_name = "NAME")]
    pub field: Option<String>,
    /// Which axes of the dataset are positions, counted from 0, slowest first, or `none`; may be
    /// left out where the file tells
    #[arg(long, value_name = "AXIS,…|none", value_parser = axes)]
    pub positions_axes: Option<Axes>,
    /// What to write for integers of positions that have no result; those of other types are NaN
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pub missing: Option<i64>,
    /// Replace the file if it is there
    #[arg(long = "override")]
    pub override_existing: bool,
}

/// What to compute.
#[derive(Args, Debug)]
pub(crate) struct WhatArguments {
    /// Path of the main dataset; may be left out if the file has only one
    #[arg(long, value_name = "PATH")]
    pub dataset: Option<String>,
    /// The field to compute on, of a dataset of records (rgb colours, structured arrays)
    #[arg(long, value_name = "NAME")]
    pub field: Option<String>,
    /// Which axes of the dataset are positions, counted from 0, slowest first, or `none` for a
    /// single measurement; may be left out where the file tells
    #[arg(long, value_name = "AXIS,…|none", value_parser = axes)]
    pub positions_axes: Option<Axes>,
    /// Only a part of each position's values: START:END[:STEP] or a single step for each of their
    /// axes, slowest first, or for those that are named: 64:192,64:192, 6.2keV:6.9keV,
    /// Frequency=310kHz:340kHz, 128,:. Whole numbers are steps, those with a point or units values
    #[arg(long, value_name = "PARTS", allow_hyphen_values = true)]
    pub crop: Option<Crop>,
    /// The axes that a spectrum runs along, slowest first; the others number the spectra of a
    /// position [default: what the process asks for, the fastest or all of them]
    #[arg(long, value_name = "AXIS,…", value_delimiter = ',')]
    pub along: Option<Vec<String>>,
    /// A spectrum to take off every spectrum: PATH in the file, FILE:/PATH or FILE.npy
    #[arg(long, value_name = "PATH")]
    pub dark: Option<String>,
    /// A spectrum to multiply every spectrum with, after that
    #[arg(long, value_name = "PATH")]
    pub gain: Option<String>,
    /// Values to replace by the mean of good ones beside them: a mask, or steps as in 3,5;12,40
    #[arg(long, value_name = "PATH|LIST")]
    pub dead_pixels: Option<String>,
    /// Let values become the nearest ones of the process's numbers where these don't have them
    /// all, and integers beyond 2^53 too; what is larger than the largest becomes infinite
    #[arg(long)]
    pub allow_rounding: bool,
    /// A parameter; may be given several times, and as --KEY VALUE. Of several processes, or the
    /// steps of a plan, NAME.KEY, unless only one has it
    #[arg(short = 'p', long = "parameter", value_name = "KEY=VALUE")]
    pub parameters: Vec<String>,
    /// A JSON or TOML file with parameters, of several processes with a table for each; -p goes
    /// before it
    #[arg(long, value_name = "FILE")]
    pub params: Option<PathBuf>,
}

impl WhatArguments {
    /// What is done to all spectra alike.
    pub fn corrections(&self) -> CorrectionPaths {
        let (dark, gain) = (self.dark.clone(), self.gain.clone());
        CorrectionPaths { dark, gain, dead_pixels: self.dead_pixels.clone() }
    }

    /// The axes that a spectrum runs along, if they are chosen.
    pub fn along(&self) -> Option<Along> {
        self.along.clone().map(Along::Named)
    }
}

#[derive(Args, Debug)]
pub(crate) struct RunArguments {
    /// Name of the process; `list` shows them. Several with commas between them are computed in
    /// one pass over the data
    #[arg(required_unless_present = "plan")]
    pub process: Option<String>,
    /// The HDF5 file with the data
    #[arg(required_unless_present = "plan")]
    pub file: Option<PathBuf>,
    #[command(flatten)]
    pub what: WhatArguments,
    /// What to compute, from a TOML or JSON file: for each [[step]] its process, name, parameters
    /// and options, and what it takes of the results of earlier ones; then only FILE is left to be
    /// named, unless the plan does that too
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
    /// Write the results to this file, and only read the other; earlier results in it can be given
    /// to the process
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Number of cores to use, or `all` [default: all but two; all but one of four or fewer; under
    /// MPI, for each rank: those of its node divided by the ranks there]
    #[arg(long, value_name = "N|all", value_parser = Cores::from_str)]
    pub cores: Option<Cores>,
    /// Memory budget, such as 500M or 4G, for each rank [default: a quarter of what is available,
    /// divided by the ranks on the node]
    #[arg(long, value_name = "SIZE", value_parser = memory_size)]
    pub memory: Option<u64>,
    /// Only tell what would be done: what is reused and why not, how the work is divided, what the
    /// results take and how long it would take
    #[arg(long)]
    pub dry_run: bool,
    /// Compute anew into a new group, whatever results there are
    #[arg(long = "override", conflicts_with = "resume")]
    pub override_existing: bool,
    /// Go on with this results group, not with the newest partial one
    #[arg(long, value_name = "GROUP")]
    pub resume: Option<String>,
    /// Compute only some positions; the others stay pending: 100:200, every tenth 0:4096:10, rows
    /// and columns 0:10,5:20, numbers 1,5,9 or [5,9], random:100, random:100:SEED, a mask of the
    /// file (/PATH), of another (FILE:/PATH) or of NumPy's (FILE.npy), or @FILE with a position or
    /// range in each line
    #[arg(long, value_name = "SELECTION", allow_hyphen_values = true)]
    pub positions: Option<Selection>,
    /// Compute the failed positions of earlier runs again
    #[arg(long)]
    pub retry_failed: bool,
    /// Seconds between updates of last_pixel; a tenth of it is what a kill may cost
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = seconds)]
    pub checkpoint: f64,
    /// Stop after this time, such as 3h50m, as if asked to by a signal: before a batch system's
    /// limit does
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub stop_after: Option<Duration>,
    /// What marked positions survive: a power cut, or only the end of the process
    #[arg(long, value_enum, default_value_t = Survive::Node)]
    pub durability: Survive,
    /// What the system's cache of files keeps of the data and the results: what it thinks fit, or
    /// nothing, so that what other programs have there stays
    #[arg(long, value_enum, default_value_t = Pages::Keep)]
    pub cache: Pages,
    /// Before results are reused or resumed, compare all of their data with what was read when
    /// they were computed, however large; otherwise only if the file was written to since, and
    /// up to 4 GiB
    #[arg(long)]
    pub check_data: bool,
    /// Compress the results once all positions are done, also those of an earlier run. What they
    /// took before becomes a hole: the disk has room again, but the file keeps its length
    #[arg(long, value_enum, default_value_t = Compress::None)]
    pub compress: Compress,
    /// Serve a page that shows how far it is, at an address that is printed, as `view` does; under
    /// MPI by rank 0
    #[cfg(feature = "view")]
    #[arg(long)]
    pub view: bool,
    /// The port of 127.0.0.1 that the page is served at [default: any that is free]
    #[cfg(feature = "view")]
    #[arg(long, value_name = "N", requires = "view")]
    pub port: Option<u16>,
}

/// `--compress`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Compress {
    /// Shuffle and gzip; every HDF5 library reads it
    Gzip,
    /// Shuffle and Zstandard; readers need a plugin, such as hdf5plugin
    Zstd,
    /// Leave the results as they are
    None,
}

impl From<Compress> for Compression {
    fn from(typed: Compress) -> Self {
        match typed {
            Compress::Gzip => Self::Gzip,
            Compress::Zstd => Self::Zstd,
            Compress::None => Self::None,
        }
    }
}

/// `--durability`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Survive {
    Node,
    Process,
}

impl From<Survive> for Durability {
    fn from(typed: Survive) -> Self {
        match typed {
            Survive::Node => Self::Node,
            Survive::Process => Self::Process,
        }
    }
}

/// `--cache`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Pages {
    Keep,
    Drop,
}

impl From<Pages> for Cache {
    fn from(typed: Pages) -> Self {
        match typed {
            Pages::Keep => Self::Keep,
            Pages::Drop => Self::Drop,
        }
    }
}

/// Axes of an array, by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Axes(pub Vec<usize>);

fn axes(text: &str) -> Result<Axes, String> {
    if text == "none" {
        return Ok(Axes(Vec::new()));
    }
    let numbers: Result<Vec<usize>, _> =
        text.split(',').map(|number| number.trim().parse()).collect();
    numbers.map(Axes).map_err(|_| "they have to be numbers from 0 on, or `none`".to_owned())
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "it has to be a number".to_owned())?;
    if (0.001..=1e6).contains(&seconds) {
        Ok(seconds)
    } else {
        Err("it has to be from 0.001 to 1000000".to_owned())
    }
}

/// `3h50m`, `90s`, `3:50:00`.
fn time(text: &str) -> Result<Duration, String> {
    let time: jiff::SignedDuration =
        text.parse().map_err(|_| "it has to be a time such as 3h50m, 90s or 3:50:00".to_owned())?;
    Duration::try_from(time).map_err(|_| "it has to be a time from now on".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn times_are_read_as_people_and_batch_systems_write_them() {
        for (text, seconds) in [("3h50m", 13_800), ("90s", 90), ("3:50:00", 13_800), ("2h", 7200)] {
            assert_eq!(time(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "soon", "90", "-5m"] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn axes_are_numbers_or_none() {
        assert_eq!(axes("2, 0"), Ok(Axes(vec![2, 0])));
        assert_eq!(axes("none"), Ok(Axes(Vec::new())));
        assert!(axes("x").is_err() && axes("").is_err());
    }
}
