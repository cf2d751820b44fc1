//! What can be done about an error, without words: these are said by the face that speaks, which alone knows what its
//! options are called.

use serde::{Deserialize, Serialize};

/// What the user can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Advice {
    /// Compute on fewer cores.
    UseFewerCores,
    /// Let more memory be used.
    AllowMoreMemory,
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
}
