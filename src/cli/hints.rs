//! What the command line says of errors: what was found, and what to type or to do about it. The
//! only place that tells people of options because of an error.

use std::borrow::Cow;

use crate::engine::inspect::Problem;
use crate::engine::{FailedPositions, Note, is_inexact};
use pixelmill_core::advice::{Advice, Several};
use pixelmill_core::error::{Error, bytes};

/// An error in one line.
pub fn said(error: &Error) -> String {
    match error {
        Error::NoPositionsAxes { dataset, axes } => format!(
            "the file doesn't say which axes of `{dataset}` are positions; name them, slowest \
             first, as in {}; its axes: {}",
            example(axes.len()),
            axes.join(", ")
        ),
        Error::PositionsAxes { dataset, given, axes } => format!(
            "--positions-axes {given}: `{dataset}` has the axes {axes}; name some of them once, \
             slowest first"
        ),
        Error::Records { file, dataset, fields } => format!(
            "`{dataset}` of {} holds records, of which one field is computed on; name it with \
             --field: {}",
            file.display(),
            fields.join(", ")
        ),
        Error::NoFieldOfRecords { field, .. } | Error::NoRecords { field, .. } => {
            format!("--field {field}: {error}")
        }
        Error::SeveralMainDatasets { file, candidates } => format!(
            "{} has {} main datasets; name one with --dataset: {}",
            file.display(),
            candidates.len(),
            candidates.join(", ")
        ),
        Error::OutputNamesSource { output, source_file } => format!(
            "--output: {} is another name of {}; leave --output out to write the results into \
             that file, or name another one",
            output.display(),
            source_file.display()
        ),
        Error::SeveralGroups { file, group, candidates } => format!(
            "{} has {} results groups `{group}`; give the whole path of one: {}",
            file.display(),
            candidates.len(),
            candidates.join(", ")
        ),
        Error::NotCompressed { file, group, source } => format!(
            "the results in {}:{group} are complete, but not compressed yet; the same command \
             does that later: {}",
            file.display(),
            said(source)
        ),
        Error::Panicked { message } => format!(
            "pixelmill itself has failed, which is a fault of it, so please report it: {message}; \
             what is marked as done is right, and the same command goes on"
        ),
        _ => with_advice(&error.to_string(), error.advice()),
    }
}

/// Why a dataset can't be computed on, in one line.
pub fn of_problem(problem: &Problem) -> String {
    match problem {
        Problem::Error(error) => said(error),
        Problem::Text(text) => text.clone(),
    }
}

/// What can be done about positions that failed, if it isn't to compute them again; nothing if
/// nothing can.
pub(crate) fn of_failures(failed: &FailedPositions) -> &'static str {
    let is_inexact = failed.listed.iter().any(|(_, reason)| is_inexact(reason));
    match is_inexact {
        true => "  --allow-rounding lets integers beyond 2^53 become the nearest float64\n",
        false => "",
    }
}

/// A note in one line.
pub fn of_note(note: &Note) -> String {
    with_advice(&note.text, note.advice)
}

fn with_advice(found: &str, advice: Option<Advice>) -> String {
    format!("{found}{}", advice.map(tail).unwrap_or_default())
}

/// What is said behind what was found.
fn tail(advice: Advice) -> Cow<'static, str> {
    Cow::Borrowed(match advice {
        Advice::CompareAllData(size) => {
            return format!("; --check-data compares all {}", bytes(size)).into();
        }
        Advice::StartAtMost(ranks) => return format!("; start {ranks} at most").into(),
        Advice::Unbind => "; `--bind-to none` (Slurm: more --cpus-per-task) lets them use all",
        Advice::UseFewerCores => "; try `--cores 1`",
        Advice::AllowMoreMemory => "; raise --memory",
        Advice::NamePositions => "; name them with --positions",
        Advice::AllowRounding => {
            "; --allow-rounding lets each value become the nearest one that there is"
        }
        Advice::RunAgain => "; run the same command again",
        Advice::MakeRoom => "; make room and run the same command again",
        Advice::MakeFolder => "; make it first",
        Advice::CopyAgain => "; copy it again from where it was measured",
        Advice::WaitForRun => "; wait until that run has ended, or stop it",
        Advice::WaitOrClose => {
            "; wait until that run has ended, or close it there (a notebook's file too)"
        }
        Advice::CloseFirst => "; close it there first (a notebook's file too)",
        Advice::CloseOrWriteElsewhere => {
            "; close it there (a notebook's file too) or write the results elsewhere with --output"
        }
        Advice::WriteElsewhere => "; results can go to another file with --output",
        Advice::TellSource => "; tell with --source FILE where it is",
        Advice::KeepOthersOut => ": make sure that nobody else writes to it",
        Advice::Report => ", so please report it",
        Advice::DeleteReferrerOrComputeAnew => "; delete that, or compute anew with --override",
        Advice::ComputeAgain => ", so run it again",
        Advice::ComputeFinalData => ", so run it again when the data are final",
        Advice::WriteElsewhereOrComputeThere => {
            "; name another file for the results, or compute on that file itself"
        }
        Advice::ProvideFilter => {
            "; rewrite it (h5repack -f GZIP=4), or set HDF5_PLUGIN_PATH to the folder of a plugin \
             that has the filter"
        }
        Advice::MakeOneFile(Several::Family) => "; make it one first, as h5repart does",
        Advice::MakeOneFile(Several::Split) => {
            "; make it one first, as h5py's split driver and h5repack do"
        }
        Advice::ConvertHdf4 => "; convert it first, as h4toh5 does",
        Advice::BuildWithMpi => "; build it with: cargo build --release --workspace --features mpi",
        Advice::StartAlike => "; start the same command on all ranks",
        Advice::ShareFile => "; put it on a file system that all nodes share",
        Advice::AllowMoreFiles => " (see `ulimit -n`)",
        Advice::AllowLargerFiles => " (see `ulimit -f`)",
        Advice::EndSwmrWriter => {
            "; end its writer, or clear the mark of a killed one with h5clear -s"
        }
        Advice::NameAxis => {
            "; name the axis with --along, or, if one of them is an axis of positions, all of \
             these with --positions-axes"
        }
        Advice::RemoveFreeSpace => "; remove that space with h5repack",
    })
}

/// What one would type for an array with so many axes.
fn example(axes: usize) -> &'static str {
    match axes {
        // Of a single spectrum each channel would be a position.
        1 => "--positions-axes none if it is one measurement, or --positions-axes 0",
        2 => "--positions-axes 0",
        _ => "--positions-axes 0,1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    fn group() -> String {
        "/d-Sum_000".to_owned()
    }

    /// What is said of an error that ends in a fact, and that the fact alone says nothing of what
    /// to do.
    #[track_caller]
    fn is_said(error: &Error, fact: &str, advice: &str) {
        assert_eq!(error.to_string(), fact);
        assert_eq!(said(error), format!("{fact}{advice}"));
        let met = Error::Rank {
            rank: 1,
            host: "node".to_owned(),
            message: error.to_string(),
            is_usage: error.is_usage(),
            advice: error.advice(),
        };
        assert_eq!(said(&met), format!("rank 1 on node: {fact}{advice}"));
    }

    #[test]
    fn what_to_do_stands_behind_what_was_found() {
        let path = || "a.h5".into();
        let dataset = || "/d".to_owned();
        is_said(
            &Error::OutOfPlace { at: 8, bytes: 4, length: 10 },
            "4 bytes for place 8 of a dataset of 10 bytes were not written: they would go over \
             its end; nothing is damaged, but this is a fault of pixelmill",
            ", so please report it",
        );
        is_said(
            &Error::SourceReplaced { path: path() },
            "a.h5 was replaced by a file with other data while it was computed; what this run \
             computed is marked as not done",
            ", so run it again",
        );
        is_said(
            &Error::SourceChanged { file: path(), dataset: dataset() },
            "`/d` of a.h5 was changed while it was computed; what this run computed is marked as \
             not done",
            ", so run it again when the data are final",
        );
        is_said(
            &Error::OutputIsSource { file: path(), dataset: dataset() },
            "a.h5 holds data of `/d`, to which a link leads",
            "; name another file for the results, or compute on that file itself",
        );
        is_said(
            &Error::Filter { path: path(), dataset: dataset(), filter: "filter 7".to_owned() },
            "`/d` of a.h5 was written with filter 7, which can't be undone here",
            "; rewrite it (h5repack -f GZIP=4), or set HDF5_PLUGIN_PATH to the folder of a plugin \
             that has the filter",
        );
        is_said(
            &Error::FreeSpace { action: "change", path: path() },
            "cannot change a.h5: too much of the new data would go into free space inside the file",
            "; remove that space with h5repack",
        );
        is_said(
            &Error::Hdf4 { path: path() },
            "a.h5 is not an HDF5 file: it is an HDF4 file",
            "; convert it first, as h4toh5 does",
        );
        is_said(
            &Error::PartOfHdf5 { path: path(), of: Several::Family },
            "a.h5 is only a part of a family of files",
            "; make it one first, as h5repart does",
        );
        is_said(
            &Error::PartOfHdf5 { path: path(), of: Several::Split },
            "a.h5 is only a part of a split file",
            "; make it one first, as h5py's split driver and h5repack do",
        );
    }

    #[test]
    fn what_ranks_can_do_is_said_as_well() {
        let host = || "b".to_owned();
        is_said(
            &Error::WithoutMpi { launcher: "mpirun" },
            "this program was started by mpirun as one of several, but built without MPI, so each \
             would compute everything",
            "; build it with: cargo build --release --workspace --features mpi",
        );
        is_said(
            &Error::UnlikeRanks { what: "arguments".to_owned(), rank: 2, host: host() },
            "rank 2 on b has other arguments than rank 0",
            "; start the same command on all ranks",
        );
        is_said(
            &Error::TooManyRanks { ranks: 9, positions: 4 },
            "9 ranks are too many for 4 positions",
            "; start 4 at most",
        );
        is_said(
            &Error::OtherFile { path: "a.h5".into() },
            "a.h5 is another file here than on rank 0, or an older state of it",
            "; put it on a file system that all nodes share",
        );
    }

    #[test]
    fn limits_of_the_system_are_named_with_the_command_that_shows_them() {
        let met = |number| Error::Io {
            action: "open",
            path: "a.h5".into(),
            source: io::Error::from_raw_os_error(number),
        };
        is_said(
            &met(24),
            "cannot open a.h5: more files at a time than this process may have open",
            " (see `ulimit -n`)",
        );
        is_said(
            &met(27),
            "cannot open a.h5: the file would become larger than the limit for this user or file \
             system",
            " (see `ulimit -f`)",
        );
        is_said(
            &met(28),
            "cannot open a.h5: the disk is full",
            "; make room and run the same command again",
        );
    }

    #[test]
    fn a_list_stands_behind_what_to_do_with_it() {
        let several = Error::SeveralGroups {
            file: "a.h5".into(),
            group: "d-Sum_000".to_owned(),
            candidates: vec!["/a/d-Sum_000".to_owned(), "/b/d-Sum_000".to_owned()],
        };
        assert_eq!(
            said(&several),
            "a.h5 has 2 results groups `d-Sum_000`; give the whole path of one: /a/d-Sum_000, \
             /b/d-Sum_000"
        );
        let source = Error::Truncated { path: "a.h5".into(), length: 1, needed: 2 };
        let uncompressed =
            Error::NotCompressed { file: "a.h5".into(), group: group(), source: Box::new(source) };
        assert_eq!(
            said(&uncompressed),
            "the results in a.h5:/d-Sum_000 are complete, but not compressed yet; the same \
             command does that later: a.h5 is truncated: it has 1 bytes where its data take 2; \
             copy it again from where it was measured"
        );
    }

    #[test]
    fn what_a_note_cites_keeps_what_to_do() {
        let cited = Note::from(Error::Truncated { path: "a.h5".into(), length: 1, needed: 2 });
        let text = format!("{} is left alone: {cited}", group());
        let note = Note { text, advice: cited.advice };
        assert_eq!(
            of_note(&note),
            "/d-Sum_000 is left alone: a.h5 is truncated: it has 1 bytes where its data take 2; \
             copy it again from where it was measured"
        );
        let lockless =
            Note { text: "a.h5 has no locks".to_owned(), advice: Some(Advice::KeepOthersOut) };
        assert_eq!(
            of_note(&lockless),
            "a.h5 has no locks: make sure that nobody else writes to it"
        );
        let resumed = Error::CannotResume { group: group(), reason: note };
        assert!(said(&resumed).ends_with("; copy it again from where it was measured"));
    }
}
