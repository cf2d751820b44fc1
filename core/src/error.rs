//! Every way in which a run can fail: what was found, for the person who owns the file. What to do
//! about it is [`Error::advice`], which faces put into words.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, Serializer};

use crate::advice::{Advice, Note, Several};
use crate::element::ElementType;

/// What went wrong. Each message names the object and what was found. As data it is the name of the
/// variant with its facts, each by its name.
#[derive(Debug, Serialize, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are what the messages say they are")]
pub enum Error {
    /// The operating system refused something.
    #[error("cannot {action} {}: {}", path.display(), plainly(action, source))]
    Io {
        action: &'static str,
        path: PathBuf,
        #[serde(serialize_with = "as_text")]
        source: io::Error,
    },
    /// A worker thread can't be started.
    #[error("cannot start as many threads as planned: {source}")]
    Worker {
        #[serde(serialize_with = "as_text")]
        source: io::Error,
    },
    /// The HDF5 library refused something.
    #[error("HDF5 cannot {action} {}: {reason}", path.display())]
    Hdf5 { action: &'static str, path: PathBuf, reason: String, advice: Option<Advice> },
    /// The HDF5 library refused something on an object.
    #[error("HDF5 cannot {action} `{object}` of {}: {reason}", path.display())]
    Hdf5Object {
        action: &'static str,
        path: PathBuf,
        object: String,
        reason: String,
        advice: Option<Advice>,
    },
    /// The file isn't HDF5.
    #[error("{} is not an HDF5 file: {found}", path.display())]
    NotHdf5 { path: PathBuf, found: &'static str },
    /// The file isn't an array that NumPy has saved.
    #[error("{} can't be read as an array of NumPy's: {reason}", path.display())]
    Npy { path: PathBuf, reason: String },
    /// The file is one of several that are one to HDF5.
    #[error("{} is only a part of {of}", path.display())]
    PartOfHdf5 { path: PathBuf, of: Several },
    /// The file is of the format that HDF5 came after.
    #[error("{} is not an HDF5 file: it is an HDF4 file", path.display())]
    Hdf4 { path: PathBuf },
    /// The file is shorter than its datasets.
    #[error(
        "{} is truncated: it has {length} bytes where its data take {needed}",
        path.display()
    )]
    Truncated { path: PathBuf, length: u64, needed: u64 },
    /// The file was changed between two looks at it.
    #[error(
        "{} was changed by another program just before it was to be computed on",
        path.display()
    )]
    JustChanged { path: PathBuf },
    /// What is read bit by bit isn't what it was at the beginning.
    #[error("`{dataset}` of {} was changed while it was read", file.display())]
    ChangedMeanwhile { file: PathBuf, dataset: String },
    /// Something would have been written where it doesn't belong.
    #[error(
        "{bytes} bytes for place {at} of a dataset of {length} bytes were not written: they would \
         go over its end; nothing is damaged, but this is a fault of pixelmill"
    )]
    OutOfPlace { at: u64, bytes: u64, length: u64 },
    /// What would be written doesn't fit into a journal.
    #[error(
        "cannot {action} {}: too much of the new data would go into free space inside the file",
        path.display()
    )]
    FreeSpace { action: &'static str, path: PathBuf },
    /// A thread of the program itself has panicked.
    #[error(
        "pixelmill itself has failed, which is a fault of it: {message}; what is marked as done \
         is right"
    )]
    Panicked { message: String },
    /// What somebody else's function says of why it can't go on.
    #[error("{message}")]
    Function { message: String },
    /// The file that results went to isn't at its path any more.
    #[error(
        "{} was moved, deleted or replaced while it was computed on; the results are in the file that \
         was there before",
        path.display()
    )]
    Replaced { path: PathBuf },
    /// A file was exchanged between two openings of it.
    #[error(
        "{} was replaced by another file while it was opened",
        path.display()
    )]
    ReplacedWhileOpened { path: PathBuf },
    /// The source's path leads to other data than were read.
    #[error(
        "{} was replaced by a file with other data while it was computed; what this run computed is \
         marked as not done",
        path.display()
    )]
    SourceReplaced { path: PathBuf },
    /// The source's path leads nowhere any more.
    #[error(
        "{} was moved or deleted while it was computed; the results are of the data that were there",
        path.display()
    )]
    SourceMoved { path: PathBuf },
    /// The file for the results is the file with the data, by another name.
    #[error(
        "the results can't go to {}: it is another name of {}",
        output.display(), source_file.display()
    )]
    OutputNamesSource { output: PathBuf, source_file: PathBuf },
    /// Everything is computed, but the step after that failed.
    #[error("the results in {}:{group} are complete, but not compressed yet: {source}", file.display())]
    NotCompressed { file: PathBuf, group: String, source: Box<Error> },
    /// Somebody else has the file.
    #[error("{} {held}{}", path.display(), by(holders))]
    Busy { path: PathBuf, held: Held, holders: Vec<String> },
    /// The file has no dataset that could be computed on.
    #[error(
        "{} has no main dataset: none in the formats {}, and no other array of numbers with two axes \
         or more{}",
        file.display(), either(formats), there_is(others)
    )]
    NoMainDataset { file: PathBuf, formats: Vec<&'static str>, others: Vec<String> },
    /// Nobody says which axes are positions.
    #[error(
        "the file doesn't say which axes of `{dataset}` are positions; its axes: {}", axes.join(", ")
    )]
    NoPositionsAxes { dataset: String, axes: Vec<String> },
    /// The axes that were given as positions aren't there.
    #[error("the axes {given} can't be positions: `{dataset}` has the axes {axes}")]
    PositionsAxes { dataset: String, given: String, axes: String },
    /// The file has several main datasets and none was named.
    #[error("{} has {} main datasets: {}", file.display(), candidates.len(), candidates.join(", "))]
    SeveralMainDatasets { file: PathBuf, candidates: Vec<String> },
    /// There is no dataset of that name.
    #[error("{} has no dataset `{dataset}`{}", file.display(), listed("main datasets", candidates))]
    NoSuchDataset { file: PathBuf, dataset: String, candidates: Vec<String> },
    /// What was named is behind a link that leads nowhere.
    #[error("{} has no dataset `{dataset}`: {link}", file.display())]
    BrokenLink { file: PathBuf, dataset: String, link: String },
    /// A dataset that was named or found isn't a usable main dataset.
    #[error("`{dataset}` of {} can't be used as a main dataset: {reason}", file.display())]
    NotMain { file: PathBuf, dataset: String, reason: String },
    /// A dataset holds records, and nobody says which of their fields is meant.
    #[error("`{dataset}` of {} holds records; each field is an array: {}", file.display(), fields.join(", "))]
    Records { file: PathBuf, dataset: String, fields: Vec<String> },
    /// The records of a dataset have no field of that name.
    #[error(
        "the records of `{dataset}` have no field `{field}`{}; {}",
        suggestion(nearest),
        has(known)
    )]
    NoFieldOfRecords { dataset: String, field: String, nearest: Option<String>, known: Vec<String> },
    /// A field was named of what has none.
    #[error("`{dataset}` has no fields, and so no `{field}`: it holds {found}")]
    NoRecords { dataset: String, field: String, found: String },
    /// Numbers would lose information.
    #[error(
        "{process} computes with {wanted}, but `{dataset}` holds {found}, which can't become {wanted} \
         without losing information{}", if found.is_complex() { " (its imaginary part)" } else { "" }
    )]
    Conversion { process: String, dataset: String, found: ElementType, wanted: ElementType },
    /// A value for all spectra isn't one that the process computes with.
    #[error(
        "{process} computes with {wanted}, which can't hold {value}: point {point} of `{dataset}`"
    )]
    Rounded { process: String, dataset: String, point: usize, value: String, wanted: ElementType },
    /// What was asked of the axes of a spectrum can't be had.
    #[error("{asked}: {reason}")]
    Axes { asked: String, reason: String },
    /// A process of spectra along one axis was given frames.
    #[error(
        "{process} can't be run on `{dataset}`: its rows are frames of `{slow}` × `{fast}`, but \
         it works along a single axis"
    )]
    Frames { process: String, dataset: String, slow: String, fast: String },
    /// The process can't work on this dataset.
    #[error("{process} can't be run on `{dataset}`: {reason}")]
    Unsuitable { process: String, dataset: String, reason: String },
    /// Positions are asked for by themselves that are folded together with all others.
    #[error(
        "{process} can't be run on `{dataset}`: all positions are folded into one answer, so that \
         none is computed again by itself"
    )]
    FoldedTogether { process: String, dataset: String },
    /// An auxiliary input can't be used.
    #[error("the auxiliary input `{dataset}` can't be used: {reason}")]
    Auxiliary { dataset: String, reason: String },
    /// An array for the whole run can't be used.
    #[error("the constant `{dataset}` can't be used: {reason}")]
    Constant { dataset: String, reason: String },
    /// Something on the command line can't be understood.
    #[error("{argument}: {reason}")]
    Argument { argument: String, reason: String },
    /// Results would go to a file that the data come from.
    #[error("{} holds data of `{dataset}`, to which a link leads", file.display())]
    OutputIsSource { file: PathBuf, dataset: String },
    /// There is no process of that name.
    #[error("there is no process `{name}`{}; there are: {}", suggestion(nearest), known.join(", "))]
    UnknownProcess { name: String, nearest: Option<String>, known: Vec<String> },
    /// There is no parameter of that name.
    #[error("{process} has no parameter `{name}`{}; {}", suggestion(nearest), has(known))]
    UnknownParameter { process: String, name: String, nearest: Option<String>, known: Vec<String> },
    /// A parameter has a value that it can't have.
    #[error("{process}: {reason}")]
    Parameter { process: String, reason: String },
    /// The positions that were asked for aren't there.
    #[error("these positions can't be selected: {reason}")]
    Selection { reason: String },
    /// A computation of some positions, and nobody named these.
    #[error("{process} is of some positions of a scan, and none are named")]
    NoSelection { process: String },
    /// The position that was asked for isn't there.
    #[error(
        "there is no such position: the scan has the positions 0:{positions}, on the axes {axes}"
    )]
    NoSuchPosition { positions: u64, axes: String },
    /// The memory budget is too small for a single position.
    #[error(
        "{} of memory are too little: it takes {} at least",
        bytes(*memory), bytes(*needed)
    )]
    TooLittleMemory { memory: u64, needed: u64 },
    /// The same computation is asked for more than once.
    #[error("{process} is asked for twice with the same parameters; once is enough")]
    AskedTwice { process: String },
    /// There is no results group of that name.
    #[error("{} has no results group `{group}`{}", file.display(), listed("results groups", known))]
    NoSuchGroup { file: PathBuf, group: String, known: Vec<String> },
    /// A short name of a results group that several have.
    #[error(
        "{} has {} results groups `{group}`: {}",
        file.display(), candidates.len(), candidates.join(", ")
    )]
    SeveralGroups { file: PathBuf, group: String, candidates: Vec<String> },
    /// A results group can't be resumed.
    #[error("`{group}` can't be resumed: {reason}")]
    CannotResume { group: String, reason: Note },
    /// A results group can't be verified.
    #[error("`{group}` can't be verified: {reason}")]
    CannotVerify { group: String, reason: Note },
    /// A results group can't be removed.
    #[error("`{group}` can't be removed: {reason}")]
    CannotRemove { group: String, reason: Note },
    /// A dataset can't be written to a file of another kind.
    #[error("`{dataset}` can't be exported: {reason}")]
    CannotExport { dataset: String, reason: Note },
    /// A file that was to be written is there.
    #[error("{} is there already", path.display())]
    AlreadyThere { path: PathBuf },
    /// The source of a results group isn't where the group says.
    #[error("`{group}` can't be verified: its source isn't at {}", places.join(" nor at "))]
    SourceNotFound { group: String, places: Vec<String> },
    /// There are no results of that name.
    #[error("`{group}` has no results `{dataset}`{}", listed("results", known))]
    NoSuchResults { group: String, dataset: String, known: Vec<String> },
    /// The records of a results dataset have no field of that name.
    #[error("the results `{dataset}` have no field `{field}`{}", listed("fields", known))]
    NoSuchField { dataset: String, field: String, known: Vec<String> },
    /// Results are records, which are no array of numbers.
    #[error("the results `{dataset}` hold records; each field is an array: {}", fields.join(", "))]
    ResultsRecords { dataset: String, fields: Vec<String> },
    /// Results can't become what was asked for.
    #[error(
        "the results `{dataset}` hold {found}, which can't become {wanted} without losing \
         information"
    )]
    ResultsElement { dataset: String, found: ElementType, wanted: ElementType },
    /// A results dataset can't be read as was asked.
    #[error("the results `{dataset}` can't be read: {reason}")]
    Results { dataset: String, reason: String },
    /// Neither we nor the HDF5 library can undo a filter.
    #[error(
        "`{dataset}` of {} was written with {filter}, which can't be undone here",
        path.display()
    )]
    Filter { path: PathBuf, dataset: String, filter: String },
    /// A file that a dataset refers to isn't there.
    #[error("`{dataset}` of {} {how} {missing}, which isn't there", path.display())]
    MissingSource { path: PathBuf, dataset: String, how: &'static str, missing: String },
    /// A file that a dataset refers to is there, but its data can't be had.
    #[error("`{dataset}` of {} {how} {part}, which can't be read: {reason}", path.display())]
    UnreadableSource {
        path: PathBuf,
        dataset: String,
        how: &'static str,
        part: String,
        reason: String,
    },
    /// A part of the source has no readable data.
    #[error("`{dataset}` of {}: {reason}", path.display())]
    Damaged { path: PathBuf, dataset: String, reason: String },
    /// The source's data are not what they were when the run began.
    #[error(
        "`{dataset}` of {} was changed while it was computed; what this run computed is marked as \
         not done",
        file.display()
    )]
    SourceChanged { file: PathBuf, dataset: String },
    /// Started by an MPI launcher without being built for it.
    #[error(
        "this program was started by {launcher} as one of several, but built without MPI, so each \
         would compute everything"
    )]
    WithoutMpi { launcher: &'static str },
    /// The MPI library refused something.
    #[error("MPI cannot {action}: {reason}")]
    Mpi { action: &'static str, reason: String },
    /// Ranks that don't belong together.
    #[error("rank {rank} on {host} has other {what} than rank 0")]
    UnlikeRanks { what: String, rank: usize, host: String },
    /// There is less to do than there are ranks.
    #[error("{ranks} ranks are too many for {positions} positions")]
    TooManyRanks { ranks: usize, positions: u64 },
    /// Ranks that were asked for different computations.
    #[error("it was asked for another computation than rank 0; {difference}")]
    OtherComputation { difference: String },
    /// A rank that has ended while others waited for it, in the midst of a computation if that has
    /// a name.
    #[error("rank {rank} on {host} has ended{}{}", while_in(during), because(why.as_deref()))]
    RankLeft { rank: usize, host: String, during: String, why: Option<String> },
    /// Ranks that see different files under the same name.
    #[error(
        "{} is another file here than on rank 0, or an older state of it{}",
        path.display(),
        because(difference.as_deref())
    )]
    OtherFile { path: PathBuf, difference: Option<String> },
    /// Something that another rank met.
    #[error("rank {rank} on {host}: {message}")]
    Rank { rank: usize, host: String, message: String, fault: Fault, advice: Option<Advice> },
}

fn while_in(computation: &str) -> String {
    match computation {
        "" => " before the others".to_owned(),
        name => format!(" while the others were in {name}"),
    }
}

fn because(why: Option<&str>) -> String {
    why.map_or_else(String::new, |why| format!(": {why}"))
}

impl From<Error> for Note {
    fn from(error: Error) -> Self {
        Self { text: error.to_string(), advice: error.advice() }
    }
}

/// Whose an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// What was asked for can't be had, whatever the file.
    Usage,
    /// A function that somebody has written.
    Function,
    /// The file, the system or pixelmill itself.
    Other,
}

/// How somebody has a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Held {
    /// A run computes on it.
    ByRun,
    /// A run, or somebody who reads it.
    ByRunOrReader,
    /// Somebody reads it.
    ByReader,
    /// Somebody writes to it.
    ByWriter,
}

impl fmt::Display for Held {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::ByRun => "is being computed on",
            Self::ByRunOrReader => "is open or being computed on",
            Self::ByReader => "is open",
            Self::ByWriter => "is open for writing",
        })
    }
}

/// A result with this crate's `Error`.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The operating system refused something.
    pub fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }

    /// A dataset isn't a usable main dataset.
    pub fn not_main(file: &Path, dataset: &str, reason: String) -> Self {
        Self::NotMain { file: file.to_owned(), dataset: dataset.to_owned(), reason }
    }

    /// What can be done about it, where that isn't plain from the message.
    pub fn advice(&self) -> Option<Advice> {
        Some(match self {
            Self::Rank { advice, .. }
            | Self::Hdf5 { advice, .. }
            | Self::Hdf5Object { advice, .. } => return *advice,
            Self::NotCompressed { source, .. } => return source.advice(),
            Self::Io { action, source, .. } => return advice_on(action, source),
            Self::CannotResume { reason, .. }
            | Self::CannotVerify { reason, .. }
            | Self::CannotRemove { reason, .. }
            | Self::CannotExport { reason, .. } => {
                return reason.advice;
            }
            Self::Conversion { found, wanted, .. } if found.converts_to(*wanted, true) => {
                Advice::AllowRounding
            }
            Self::Rounded { .. } => Advice::AllowRounding,
            Self::AlreadyThere { .. } => Advice::ReplaceFile,
            Self::PartOfHdf5 { of, .. } => Advice::MakeOneFile(*of),
            Self::Hdf4 { .. } => Advice::ConvertHdf4,
            Self::OutOfPlace { .. } => Advice::Report,
            Self::Frames { .. } => Advice::NameAxis,
            Self::FreeSpace { .. } => Advice::RemoveFreeSpace,
            Self::SourceReplaced { .. } => Advice::ComputeAgain,
            Self::SourceChanged { .. } => Advice::ComputeFinalData,
            Self::OutputIsSource { .. } => Advice::WriteElsewhereOrComputeThere,
            Self::Filter { .. } => Advice::ProvideFilter,
            Self::WithoutMpi { .. } => Advice::BuildWithMpi,
            Self::UnlikeRanks { .. } => Advice::StartAlike,
            Self::OtherComputation { .. } | Self::RankLeft { why: None, .. } => Advice::CallAlike,
            Self::TooManyRanks { positions, .. } => Advice::StartAtMost(*positions),
            Self::OtherFile { .. } => Advice::ShareFile,
            Self::Worker { .. } => Advice::UseFewerCores,
            Self::TooLittleMemory { .. } => Advice::AllowMoreMemory,
            Self::FoldedTogether { .. } => Advice::FoldAnew,
            Self::NoSelection { .. } => Advice::NamePositions,
            Self::Truncated { .. } => Advice::CopyAgain,
            Self::JustChanged { .. } | Self::ReplacedWhileOpened { .. } => Advice::RunAgain,
            Self::SourceNotFound { .. } => Advice::TellSource,
            Self::Busy { held, .. } => match held {
                Held::ByRun => Advice::WaitForRun,
                Held::ByRunOrReader => Advice::WaitOrClose,
                // What is being written can't be read either.
                Held::ByWriter => Advice::CloseFirst,
                Held::ByReader => Advice::CloseOrWriteElsewhere,
            },
            _ => return None,
        })
    }

    /// Whether another command line would mend it, whatever the file.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Rank { fault, .. } => *fault == Fault::Usage,
            Self::UnknownProcess { .. }
            | Self::UnknownParameter { .. }
            | Self::Parameter { .. }
            | Self::Selection { .. }
            | Self::NoSelection { .. }
            | Self::Axes { .. }
            | Self::NoSuchPosition { .. }
            | Self::NoSuchDataset { .. }
            | Self::NoSuchGroup { .. }
            | Self::SeveralGroups { .. }
            | Self::SeveralMainDatasets { .. }
            | Self::NoPositionsAxes { .. }
            | Self::PositionsAxes { .. }
            | Self::Records { .. }
            | Self::NoFieldOfRecords { .. }
            | Self::NoRecords { .. }
            | Self::TooLittleMemory { .. }
            | Self::AskedTwice { .. }
            | Self::Argument { .. }
            | Self::AlreadyThere { .. }
            | Self::OutputIsSource { .. }
            | Self::OutputNamesSource { .. }
            | Self::WithoutMpi { .. }
            | Self::UnlikeRanks { .. }
            | Self::OtherComputation { .. }
            | Self::TooManyRanks { .. } => true,
            _ => false,
        }
    }

    /// Whose it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Rank { fault, .. } => *fault,
            Self::Function { .. } => Fault::Function,
            _ if self.is_usage() => Fault::Usage,
            _ => Fault::Other,
        }
    }

    /// The positions that were asked for aren't there.
    pub fn selection(reason: String) -> Self {
        Self::Selection { reason }
    }
}

/// The same failure once more, for whoever else met it.
pub fn copy(failure: &io::Error) -> io::Error {
    match failure.raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::new(failure.kind(), failure.to_string()),
    }
}

/// EMFILE, which every Unix gives this number; [`io::ErrorKind`] has no name for it.
const TOO_MANY_OPEN_FILES: i32 = 24;

/// What a full disk, a quota and a size limit mean for the user.
fn plainly(action: &str, error: &io::Error) -> String {
    if error.raw_os_error() == Some(TOO_MANY_OPEN_FILES) {
        return "more files at a time than this process may have open".into();
    }
    match error.kind() {
        io::ErrorKind::StorageFull => "the disk is full".into(),
        io::ErrorKind::QuotaExceeded => "your disk quota is used up".into(),
        io::ErrorKind::FileTooLarge => {
            "the file would become larger than the limit for this user or file system".into()
        }
        io::ErrorKind::NotFound if ["create", "draw"].contains(&action) => {
            "its folder doesn't exist".into()
        }
        io::ErrorKind::NotFound => "there is no such file".into(),
        io::ErrorKind::InvalidData => "it isn't text".into(),
        _ => error.to_string(),
    }
}

fn by(holders: &[String]) -> String {
    if holders.is_empty() {
        " elsewhere".to_owned()
    } else {
        format!(" in {}", holders.join(" and "))
    }
}

fn advice_on(action: &str, error: &io::Error) -> Option<Advice> {
    if error.raw_os_error() == Some(TOO_MANY_OPEN_FILES) {
        return Some(Advice::AllowMoreFiles);
    }
    match error.kind() {
        io::ErrorKind::FileTooLarge => Some(Advice::AllowLargerFiles),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(Advice::MakeRoom),
        io::ErrorKind::NotFound if ["create", "draw"].contains(&action) => Some(Advice::MakeFolder),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem if action != "draw" => {
            Some(Advice::WriteElsewhere)
        }
        _ => None,
    }
}

fn suggestion(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default()
}

fn has(known: &[String]) -> String {
    if known.is_empty() {
        "it has none".to_owned()
    } else {
        format!("it has: {}", known.join(", "))
    }
}

/// What a file has instead, if it has anything.
fn there_is(others: &[String]) -> String {
    if others.is_empty() { String::new() } else { format!("; there is: {}", others.join(", ")) }
}

fn listed(what: &str, names: &[String]) -> String {
    if names.is_empty() {
        format!(", and no {what}")
    } else {
        format!("; its {what}: {}", names.join(", "))
    }
}

/// `A, B or C`.
fn either(names: &[&str]) -> String {
    match names {
        [some @ .., last] if !some.is_empty() => format!("{} or {last}", some.join(", ")),
        _ => names.concat(),
    }
}

/// What the system says, as data.
fn as_text<S: Serializer>(
    failure: &io::Error,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(failure)
}

/// `1.5 GiB`.
pub fn bytes(count: u64) -> String {
    let mut value = count as f64;
    let mut unit = "bytes";
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    if unit == "bytes" { format!("{count} bytes") } else { format!("{value:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{json, to_value};

    #[test]
    fn an_error_is_data_with_its_facts() {
        let busy = Error::Busy { path: "a.h5".into(), held: Held::ByRun, holders: Vec::new() };
        assert_eq!(
            to_value(&busy).unwrap(),
            json!({"Busy": {"path": "a.h5", "held": "ByRun", "holders": []}})
        );
        let found = Error::Conversion {
            process: "Sum".to_owned(),
            dataset: "/d".to_owned(),
            found: ElementType::Complex64,
            wanted: ElementType::Float64,
        };
        assert_eq!(to_value(&found).unwrap()["Conversion"]["found"], "complex64");
        let inner = Error::io("read", Path::new("a.h5"), io::Error::from_raw_os_error(28));
        let (file, group) = ("a.h5".into(), "/g".to_owned());
        let outer = Error::NotCompressed { file, group, source: Box::new(inner) };
        let told = to_value(&outer).unwrap()["NotCompressed"]["source"]["Io"]["source"].clone();
        assert_eq!(told, "No space left on device (os error 28)");
    }
}
