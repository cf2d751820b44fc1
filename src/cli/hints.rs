//! What people are told of errors: what was found, and what to type or to do about it. The only
//! place that tells them of options because of an error, in the spelling of the face that speaks.

use crate::engine::inspect::Problem;
use crate::engine::{FailedPositions, Note, is_inexact};
use pixelmill_core::advice::{Advice, Several};
use pixelmill_core::error::{Error, bytes};

/// Who speaks to people, which tells how options are spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// The command line: `--memory`.
    CommandLine,
    /// Python, where options are keyword arguments: `memory=…`.
    Python,
    /// The page in the browser, where options are fields of a form: “memory”.
    Page,
}

impl Face {
    /// An option by its name, to which something else is given than was.
    fn option(self, name: &str) -> String {
        match self {
            Self::CommandLine => format!("--{}", name.replace('_', "-")),
            Self::Python => format!("{name}=…"),
            // What the page has no field for.
            Self::Page if matches!(name, "output" | "source") => {
                format!("{} on the command line", Self::CommandLine.option(name))
            }
            Self::Page => format!("“{}”", name.replace('_', " ")),
        }
    }

    /// An option with what is given to it.
    fn given(self, name: &str, value: &str) -> String {
        match self {
            Self::CommandLine => format!("{} {value}", self.option(name)),
            Self::Python => format!("{name}={value}"),
            Self::Page => format!("{} {value}", self.option(name)),
        }
    }

    /// An option to which nothing is given but that it is wanted.
    fn wanted(self, name: &str) -> String {
        match self {
            Self::CommandLine | Self::Page => self.option(name),
            Self::Python => self.given(name, "True"),
        }
    }

    /// Numbers of axes as they are given.
    fn axes(self, numbers: &[&str]) -> String {
        match (self, numbers) {
            (Self::CommandLine | Self::Page, []) => "none".to_owned(),
            (Self::CommandLine | Self::Page, numbers) => numbers.join(","),
            (Self::Python, [one]) => format!("({one},)"),
            (Self::Python, numbers) => format!("({})", numbers.join(", ")),
        }
    }

    /// What is done once more.
    fn same(self) -> &'static str {
        match self {
            Self::CommandLine => "the same command",
            Self::Python => "the same call",
            Self::Page => "the same run",
        }
    }

    /// What one does with that.
    fn again(self) -> String {
        let run = match self {
            Self::CommandLine => "run",
            Self::Python => "make",
            Self::Page => "begin",
        };
        format!("{run} {} again", self.same())
    }

    /// How it is built for MPI.
    fn build_with_mpi(self) -> &'static str {
        match self {
            Self::CommandLine | Self::Page => {
                "build it with: cargo build --release --workspace --features mpi"
            }
            Self::Python => {
                "build the package with: MATURIN_PEP517_ARGS=\"--features mpi\" pip install \
                 ./python"
            }
        }
    }
}

/// What tells of a dataset that it is results.
const OF_RESULTS: &str = "` (results, ";

/// An error in one line.
pub fn said(error: &Error, face: Face) -> String {
    match error {
        Error::NoPositionsAxes { dataset, axes } => format!(
            "the file doesn't say which axes of `{dataset}` are positions; name them, slowest \
             first, as in {}; its axes: {}",
            example(axes.len(), face),
            axes.join(", ")
        ),
        Error::PositionsAxes { dataset, given, axes } => format!(
            "{}: `{dataset}` has the axes {axes}; name some of them once, slowest first",
            face.given("positions_axes", &face.axes(&given.split(',').collect::<Vec<_>>()))
        ),
        Error::Records { file, dataset, fields } => format!(
            "`{dataset}` of {} holds records, of which one field is computed on; name it with {}: \
             {}",
            file.display(),
            face.option("field"),
            fields.join(", ")
        ),
        Error::NoFieldOfRecords { field, .. } | Error::NoRecords { field, .. } => {
            format!("{}: {error}", face.given("field", field))
        }
        Error::NoMainDataset { others, .. }
            if others.iter().any(|one| one.contains(OF_RESULTS)) =>
        {
            format!("{error}; results are computed on if {} names them", face.option("dataset"))
        }
        Error::SeveralMainDatasets { file, candidates } => format!(
            "{} has {} main datasets; name one with {}: {}",
            file.display(),
            candidates.len(),
            face.option("dataset"),
            candidates.join(", ")
        ),
        Error::OutputNamesSource { output, source_file } => format!(
            "{option}: {} is another name of {}; leave {option} out to write the results into \
             that file, or name another one",
            output.display(),
            source_file.display(),
            option = face.option("output")
        ),
        Error::SeveralGroups { file, group, candidates } => format!(
            "{} has {} results groups `{group}`; give the whole path of one: {}",
            file.display(),
            candidates.len(),
            candidates.join(", ")
        ),
        Error::NotCompressed { file, group, source } => format!(
            "the results in {}:{group} are complete, but not compressed yet; {} does that later: \
             {}",
            file.display(),
            face.same(),
            said(source, face)
        ),
        Error::Panicked { message } => format!(
            "pixelmill itself has failed, which is a fault of it, so please report it: {message}; \
             what is marked as done is right, and {} goes on",
            face.same()
        ),
        _ => with_advice(&error.to_string(), error.advice(), face),
    }
}

/// Why a dataset can't be computed on, in one line.
pub fn of_problem(problem: &Problem, face: Face) -> String {
    match problem {
        Problem::Error(error) => said(error, face),
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
pub fn of_note(note: &Note, face: Face) -> String {
    with_advice(&note.text, note.advice, face)
}

fn with_advice(found: &str, advice: Option<Advice>, face: Face) -> String {
    format!("{found}{}", advice.map(|advice| tail(advice, face)).unwrap_or_default())
}

/// What is said behind what was found.
fn tail(advice: Advice, face: Face) -> String {
    let tail = match advice {
        Advice::StartAtMost(ranks) => return format!("; start {ranks} at most"),
        Advice::Unbind => "; `--bind-to none` (Slurm: more --cpus-per-task) lets them use all",
        Advice::MakeFolder => "; make it first",
        Advice::CopyAgain => "; copy it again from where it was measured",
        Advice::WaitForRun => "; wait until that run has ended, or stop it",
        Advice::WaitOrClose => {
            "; wait until that run has ended, or close it there (a notebook's file too)"
        }
        Advice::CloseFirst => "; close it there first (a notebook's file too)",
        Advice::KeepOthersOut => ": make sure that nobody else writes to it",
        Advice::Report => ", so please report it",
        Advice::DeleteReferrer => "; delete that first",
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
        Advice::StartAlike => "; start the same command on all ranks",
        Advice::CallAlike => "; all ranks have to ask for the same, in the same order",
        Advice::ShareFile => "; put it on a file system that all nodes share",
        Advice::AllowMoreFiles => " (see `ulimit -n`)",
        Advice::AllowLargerFiles => " (see `ulimit -f`)",
        Advice::EndSwmrWriter => {
            "; end its writer, or clear the mark of a killed one with h5clear -s"
        }
        Advice::RemoveFreeSpace => "; remove that space with h5repack",
        Advice::CompareAllData(_)
        | Advice::UseFewerCores
        | Advice::AllowMoreMemory
        | Advice::NamePositions
        | Advice::AllowRounding
        | Advice::RunAgain
        | Advice::MakeRoom
        | Advice::CloseOrWriteElsewhere
        | Advice::WriteElsewhere
        | Advice::TellSource
        | Advice::DeleteReferrerOrComputeAnew
        | Advice::FoldAnew
        | Advice::RemoveDependentsToo
        | Advice::ReplaceFile
        | Advice::SayWhatIsMissing
        | Advice::NameField
        | Advice::BuildWithMpi
        | Advice::NameAxis => return with_options(advice, face),
    };
    tail.to_owned()
}

/// The same of what names an option, or what is done again.
fn with_options(advice: Advice, face: Face) -> String {
    let (option, wanted) = (|name| face.option(name), |name| face.wanted(name));
    match advice {
        Advice::CompareAllData(size) => {
            format!("; {} compares all {}", wanted("check_data"), bytes(size))
        }
        Advice::UseFewerCores => match face {
            Face::CommandLine => "; try `--cores 1`".to_owned(),
            Face::Python | Face::Page => format!("; try {}", face.given("cores", "1")),
        },
        Advice::AllowMoreMemory => format!("; raise {}", option("memory")),
        Advice::NamePositions => format!("; name them with {}", option("positions")),
        Advice::AllowRounding => format!(
            "; {} lets each value become the nearest one that there is",
            wanted("allow_rounding")
        ),
        Advice::RunAgain => format!("; {}", face.again()),
        Advice::MakeRoom => format!("; make room and {}", face.again()),
        Advice::CloseOrWriteElsewhere => format!(
            "; close it there (a notebook's file too) or write the results elsewhere with {}",
            option("output")
        ),
        Advice::WriteElsewhere => {
            format!("; results can go to another file with {}", option("output"))
        }
        Advice::TellSource => format!("; tell with {} where it is", face.given("source", "FILE")),
        Advice::DeleteReferrerOrComputeAnew => {
            format!("; delete that, or compute anew with {}", wanted("override"))
        }
        Advice::FoldAnew => format!("; {} folds all of them again", wanted("override")),
        Advice::RemoveDependentsToo => {
            format!("; {} removes all of these too", wanted("with_dependents"))
        }
        Advice::ReplaceFile => format!("; {} replaces it", wanted("override")),
        Advice::SayWhatIsMissing => {
            format!("; {} says what to write there", face.given("missing", "VALUE"))
        }
        Advice::NameField => format!("; name one with {}", option("field")),
        Advice::BuildWithMpi => format!("; {}", face.build_with_mpi()),
        Advice::NameAxis => format!(
            "; name the axis with {}, or, if one of them is an axis of positions, all of these \
             with {}",
            option("along"),
            option("positions_axes")
        ),
        _ => String::new(),
    }
}

/// What one would give for an array with so many axes.
fn example(axes: usize, face: Face) -> String {
    let given = |numbers: &[&str]| face.given("positions_axes", &face.axes(numbers));
    match axes {
        // Of a single spectrum each channel would be a position.
        1 => format!("{} if it is one measurement, or {}", given(&[]), given(&["0"])),
        2 => given(&["0"]),
        _ => given(&["0", "1"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pixelmill_core::error::Fault;
    use std::io;

    fn group() -> String {
        "/d-Sum_000".to_owned()
    }

    /// What is said of an error that ends in a fact, and that the fact alone says nothing of what
    /// to do.
    #[track_caller]
    fn is_said(error: &Error, fact: &str, advice: &str) {
        assert_eq!(error.to_string(), fact);
        assert_eq!(said(error, Face::CommandLine), format!("{fact}{advice}"));
        let met = Error::Rank {
            rank: 1,
            host: "node".to_owned(),
            message: error.to_string(),
            fault: error.fault(),
            advice: error.advice(),
        };
        assert_eq!(said(&met, Face::CommandLine), format!("rank 1 on node: {fact}{advice}"));
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
            &Error::OtherFile { path: "a.h5".into(), difference: None },
            "a.h5 is another file here than on rank 0, or an older state of it",
            "; put it on a file system that all nodes share",
        );
        is_said(
            &Error::OtherComputation { difference: "the process: \"A\" there, \"B\" here".into() },
            "it was asked for another computation than rank 0; the process: \"A\" there, \"B\" \
             here",
            "; all ranks have to ask for the same, in the same order",
        );
        let left = |during: &str, why| Error::RankLeft {
            rank: 3,
            host: host(),
            during: during.to_owned(),
            why,
        };
        is_said(
            &left("Sum", None),
            "rank 3 on b has ended while the others were in Sum",
            "; all ranks have to ask for the same, in the same order",
        );
        is_said(
            &left("", Some("cannot open a.h5".to_owned())),
            "rank 3 on b has ended before the others: cannot open a.h5",
            "",
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
            said(&several, Face::CommandLine),
            "a.h5 has 2 results groups `d-Sum_000`; give the whole path of one: /a/d-Sum_000, \
             /b/d-Sum_000"
        );
        let source = Error::Truncated { path: "a.h5".into(), length: 1, needed: 2 };
        let uncompressed =
            Error::NotCompressed { file: "a.h5".into(), group: group(), source: Box::new(source) };
        assert_eq!(
            said(&uncompressed, Face::CommandLine),
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
            of_note(&note, Face::CommandLine),
            "/d-Sum_000 is left alone: a.h5 is truncated: it has 1 bytes where its data take 2; \
             copy it again from where it was measured"
        );
        let lockless =
            Note { text: "a.h5 has no locks".to_owned(), advice: Some(Advice::KeepOthersOut) };
        assert_eq!(
            of_note(&lockless, Face::CommandLine),
            "a.h5 has no locks: make sure that nobody else writes to it"
        );
        let resumed = Error::CannotResume { group: group(), reason: note };
        assert!(
            said(&resumed, Face::CommandLine)
                .ends_with("; copy it again from where it was measured")
        );
    }

    /// All that can be advised, each with the one after it.
    fn after(advice: Advice) -> Option<Advice> {
        use Advice::*;
        Some(match advice {
            UseFewerCores => NamePositions,
            NamePositions => AllowMoreMemory,
            AllowMoreMemory => AllowRounding,
            AllowRounding => RunAgain,
            RunAgain => MakeRoom,
            MakeRoom => MakeFolder,
            MakeFolder => CopyAgain,
            CopyAgain => WaitForRun,
            WaitForRun => WaitOrClose,
            WaitOrClose => CloseFirst,
            CloseFirst => CloseOrWriteElsewhere,
            CloseOrWriteElsewhere => WriteElsewhere,
            WriteElsewhere => TellSource,
            TellSource => CompareAllData(5 << 30),
            CompareAllData(_) => Unbind,
            Unbind => KeepOthersOut,
            KeepOthersOut => Report,
            Report => DeleteReferrerOrComputeAnew,
            DeleteReferrerOrComputeAnew => FoldAnew,
            FoldAnew => DeleteReferrer,
            DeleteReferrer => RemoveDependentsToo,
            RemoveDependentsToo => ReplaceFile,
            ReplaceFile => SayWhatIsMissing,
            SayWhatIsMissing => NameField,
            NameField => ComputeAgain,
            ComputeAgain => ComputeFinalData,
            ComputeFinalData => WriteElsewhereOrComputeThere,
            WriteElsewhereOrComputeThere => ProvideFilter,
            ProvideFilter => MakeOneFile(Several::Family),
            MakeOneFile(Several::Family) => MakeOneFile(Several::Split),
            MakeOneFile(Several::Split) => ConvertHdf4,
            ConvertHdf4 => BuildWithMpi,
            BuildWithMpi => StartAlike,
            StartAlike => CallAlike,
            CallAlike => StartAtMost(4),
            StartAtMost(_) => ShareFile,
            ShareFile => AllowMoreFiles,
            AllowMoreFiles => AllowLargerFiles,
            AllowLargerFiles => EndSwmrWriter,
            EndSwmrWriter => NameAxis,
            NameAxis => RemoveFreeSpace,
            RemoveFreeSpace => return None,
        })
    }

    /// Errors of which more is said than what was found.
    fn errors() -> Vec<Error> {
        let (file, dataset) = (|| "a.h5".into(), || "/d".to_owned());
        let axes = |count: usize| Error::NoPositionsAxes {
            dataset: dataset(),
            axes: vec!["y (4)".to_owned(); count],
        };
        let candidates = || vec!["/a".to_owned(), "/b".to_owned()];
        vec![
            axes(1),
            axes(2),
            axes(3),
            Error::PositionsAxes { dataset: dataset(), given: "7".into(), axes: "0 and 1".into() },
            Error::PositionsAxes { dataset: dataset(), given: "0,0".into(), axes: "0".into() },
            Error::Records { file: file(), dataset: dataset(), fields: candidates() },
            Error::NoRecords { dataset: dataset(), field: "x".into(), found: "uint8".into() },
            Error::SeveralMainDatasets { file: file(), candidates: candidates() },
            Error::OutputNamesSource { output: file(), source_file: "b.h5".into() },
            Error::NotCompressed {
                file: file(),
                group: group(),
                source: Box::new(Error::JustChanged { path: file() }),
            },
            Error::Panicked { message: "oh".to_owned() },
        ]
    }

    #[test]
    fn each_face_spells_options_as_they_are_given_to_it() {
        let mut advised = vec![Advice::UseFewerCores];
        while let Some(next) = advised.last().and_then(|advice| after(*advice)) {
            advised.push(next);
        }
        let each = |face| -> Vec<String> {
            let notes = advised.iter().map(|advice| {
                let note = Note { text: String::new(), advice: Some(*advice) };
                of_note(&note, face)
            });
            notes.chain(errors().iter().map(|error| said(error, face))).collect()
        };
        // Those of launchers and of other programs are theirs.
        let foreign = ["--bind-to", "--cpus-per-task", "--release", "--features"];
        let mut spelled = 0;
        for (typed, called) in each(Face::CommandLine).iter().zip(each(Face::Python)) {
            assert!(typed.len() > 2 && called.len() > 2, "{typed}{called}");
            assert!(!typed.contains('…') && !typed.contains("call"), "{typed}");
            let own =
                |word: &&str| word.contains("--") && !foreign.iter().any(|of| word.contains(of));
            assert_eq!(called.split(' ').find(own), None, "{called}");
            assert!(!called.contains("the same command") || !typed.contains("run"), "{called}");
            let options = typed.split(' ').filter(own).count();
            assert!(called.matches('=').count() >= options, "{typed}: {called}");
            spelled += options;
        }
        assert!(spelled > 15, "{spelled}");
    }

    #[test]
    fn what_is_given_in_python_could_be_typed_so() {
        let told: Vec<String> = errors().iter().map(|error| said(error, Face::Python)).collect();
        for (error, expected) in told.iter().zip([
            "as in positions_axes=() if it is one measurement, or positions_axes=(0,); its axes: y",
            "as in positions_axes=(0,); its axes: y",
            "as in positions_axes=(0, 1); its axes: y",
            "positions_axes=(7,): `/d` has the axes",
            "positions_axes=(0, 0): `/d` has the axes",
            "name it with field=…: /a, /b",
            "field=x: `/d` has no fields",
            "name one with dataset=…: /a, /b",
            "output=…: a.h5 is another name of b.h5; leave output=… out to write",
            "the same call does that later: a.h5 was changed by another program just before it \
             was to be computed on; make the same call again",
            "and the same call goes on",
        ]) {
            assert!(error.contains(expected), "{error}");
        }
        let rank = Error::Rank {
            rank: 1,
            host: "b".to_owned(),
            message: "no".to_owned(),
            fault: Fault::Usage,
            advice: Some(Advice::AllowMoreMemory),
        };
        assert!(rank.is_usage() && said(&rank, Face::Python).ends_with("no; raise memory=…"));
    }
}
