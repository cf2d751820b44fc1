//! What can be done about an error, without words: these are said by the face that speaks, which
//! alone knows what its options are called.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the user can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Advice {
    /// Compute on fewer cores.
    UseFewerCores,
    /// Name positions.
    NamePositions,
    /// Let more memory be used.
    AllowMoreMemory,
    /// Let values be rounded.
    AllowRounding,
    /// Run the same again.
    RunAgain,
    /// Make room on the disk, or get a larger quota, and run the same again.
    MakeRoom,
    /// Make the folder first.
    MakeFolder,
    /// Copy the file again from where it was measured.
    CopyAgain,
    /// Wait until a run has ended, or stop it.
    WaitForRun,
    /// Wait until a run has ended, or close the file where it is open.
    WaitOrClose,
    /// Close the file where it is open.
    CloseFirst,
    /// Close the file where it is open, or write results into another file.
    CloseOrWriteElsewhere,
    /// Write results into another file.
    WriteElsewhere,
    /// Say where the source is.
    TellSource,
    /// Compare all of the data, of so many bytes.
    CompareAllData(u64),
    /// Don't bind ranks to single processors.
    Unbind,
    /// See to it that nobody else writes to the file.
    KeepOthersOut,
    /// Report a fault of the program.
    Report,
    /// Delete what refers to the results, or compute them anew.
    DeleteReferrerOrComputeAnew,
    /// Fold all positions anew.
    FoldAnew,
    /// Delete what refers to the results.
    DeleteReferrer,
    /// Delete what depends on the results with them.
    RemoveDependentsToo,
    /// Let a file be replaced.
    ReplaceFile,
    /// Say what is to be written where nothing is known.
    SayWhatIsMissing,
    /// Name a field of records.
    NameField,
    /// Compute again what was computed in vain.
    ComputeAgain,
    /// Compute it again once the data don't change any more.
    ComputeFinalData,
    /// Write results into another file than the one that was named, or compute on that one.
    WriteElsewhereOrComputeThere,
    /// Rewrite a dataset without its filter, or provide a plugin that has it.
    ProvideFilter,
    /// Make one file of several.
    MakeOneFile(Several),
    /// Convert the file from HDF4.
    ConvertHdf4,
    /// Build the program for MPI.
    BuildWithMpi,
    /// Start the same on all ranks.
    StartAlike,
    /// Ask for the same on all ranks, in the same order.
    CallAlike,
    /// Start so many ranks at most.
    StartAtMost(u64),
    /// Put the file where all nodes see it.
    ShareFile,
    /// Let the process have more files open at a time.
    AllowMoreFiles,
    /// Let files become larger.
    AllowLargerFiles,
    /// End the program that writes the file for concurrent readers (SWMR), or clear the mark of a
    /// killed one.
    EndSwmrWriter,
    /// Name the axis that spectra run along, or the axes that are positions.
    NameAxis,
    /// Rewrite the file without the free space in it.
    RemoveFreeSpace,
}

/// Several files that are one to HDF5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Several {
    /// All of the same length, one after the other.
    Family,
    /// One for what describes the data, and one for these.
    Split,
}

impl fmt::Display for Several {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Family => "a family of files",
            Self::Split => "a split file",
        })
    }
}

/// What a user should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// What was found.
    pub text: String,
    /// What can be done about it, where that isn't plain.
    pub advice: Option<Advice>,
}

impl From<String> for Note {
    fn from(text: String) -> Self {
        Self { text, advice: None }
    }
}

impl From<&str> for Note {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl fmt::Display for Note {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}
