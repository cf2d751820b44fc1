//! Datasets written to files of other kinds: as NumPy's arrays, as tables, as images.
//!
//! `find` knows which dataset is meant; `array` reads it piece by piece, in the shape of the scan
//! (`layout`), and tells which positions have no result (`missing`); `npy`, `csv` and `tif` write
//! what it reads. Nothing is held but some pieces, so that a dataset may be larger than memory. The
//! file that is written has a name of its own until it is whole (`target`): a kill leaves that, and
//! never half of what was asked for.

mod array;
mod csv;
mod find;
mod layout;
mod missing;
mod npy;
mod tif;

use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::Stop;
use crate::storage::unfinished::Unfinished;
use array::Array;
use pixelmill_core::error::{Error, Result};

/// What is to be written, and where.
#[derive(Clone, Debug)]
pub struct ExportRequest {
    /// The file that has it.
    pub file: PathBuf,
    /// Path of the dataset, or of a results group that has one.
    pub dataset: String,
    /// The field of its records, if it isn't all of them.
    pub field: Option<String>,
    /// Which of its axes are positions, where the file doesn't tell.
    pub positions_axes: Option<Vec<usize>>,
    /// The file to be written; its extension says as what.
    pub output: PathBuf,
    /// Whether it may be there already.
    pub replace: bool,
    /// What integers are at positions without a result.
    pub missing: Option<i64>,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Path of the dataset.
    pub dataset: String,
    /// Lengths of its axes, those of the scan first.
    pub shape: Vec<usize>,
    /// How many axes of the scan there are among these.
    pub scan_axes: usize,
    /// Its element type, or name and element type of each field of its records.
    pub fields: Vec<(Option<String>, String)>,
    /// Bytes of the file.
    pub bytes: u64,
    /// Positions that have no result.
    pub missing: u64,
    /// What isn't in the file as the dataset has it, in words.
    pub notes: Vec<String>,
}

/// As what a dataset is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Npy,
    Csv,
    Tif,
}

impl Kind {
    fn of(path: &Path) -> Result<Self> {
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        match extension.as_str() {
            "npy" => Ok(Self::Npy),
            "csv" => Ok(Self::Csv),
            "tif" | "tiff" => Ok(Self::Tif),
            _ => Err(Error::Argument {
                argument: path.display().to_string(),
                reason: "its name has to end with .npy (an array of NumPy's), .csv (a table) or \
                         .tif (images)"
                    .to_owned(),
            }),
        }
    }
}

/// Who hears how many of how many rows are written.
pub type Progressed<'a> = &'a dyn Fn(u64, u64);

/// Writes a dataset; `None` if it was stopped.
///
/// # Errors
/// If it can't be read or written, or its values can't be in such a file.
pub fn export(
    request: &ExportRequest,
    progressed: Progressed<'_>,
    stop: &Stop,
) -> Result<Option<Exported>> {
    let kind = Kind::of(&request.output)?;
    let array = Array::open(request)?;
    array.check_output(&request.output)?;
    let plan = match kind {
        Kind::Tif => Some(tif::Plan::of(&array)?),
        Kind::Npy | Kind::Csv => None,
    };
    if kind != Kind::Csv {
        array.check_missing(request.missing)?;
    }
    let unfinished = Unfinished::create(&request.output, request.replace)?;
    let steps = Steps { array: &array, missing: request.missing, progressed, stop };
    let refused = |error| Error::io("write", &request.output, error);
    let mut writer = BufWriter::with_capacity(1 << 20, unfinished.file());
    let is_whole = match (kind, &plan) {
        (Kind::Tif, Some(plan)) => tif::write(&steps, plan, &mut writer, &request.output)?,
        (Kind::Csv, _) => csv::write(&steps, &mut writer, &request.output)?,
        _ => npy::write(&steps, &mut writer, &request.output)?,
    };
    writer.flush().map_err(refused)?;
    drop(writer);
    if !is_whole {
        return Ok(None);
    }
    let bytes = unfinished.finish(request.replace)?;
    let mut notes = array.notes(kind == Kind::Csv, request.missing);
    notes.extend(plan.and_then(|plan| plan.note()));
    Ok(Some(Exported {
        dataset: array.path.clone(),
        shape: array.shape.clone(),
        scan_axes: array.scan,
        fields: array.told_fields(),
        bytes,
        missing: array.missing_positions(),
        notes,
    }))
}

/// The pieces of an array, one after the other.
struct Steps<'a> {
    array: &'a Array,
    missing: Option<i64>,
    progressed: Progressed<'a>,
    stop: &'a Stop,
}

impl Steps<'_> {
    /// Shows `each` piece; whether all were shown, and nobody has asked to stop.
    fn each(&self, each: impl FnMut(array::Piece) -> Result<()>) -> Result<bool> {
        let values = self.array.shape.iter().map(|length| *length as u64).product();
        self.each_of(0..values, (0, 1), each)
    }

    /// The same of some values, for one who goes through so `many` of the like and is through with
    /// those `before`.
    fn each_of(
        &self,
        values: Range<u64>,
        (before, many): (u64, u64),
        mut each: impl FnMut(array::Piece) -> Result<()>,
    ) -> Result<bool> {
        let rows = self.array.rows_of(values);
        let (mut first, all) = (rows.start, rows.end - rows.start);
        while first < rows.end {
            if self.stop.is_requested() {
                return Ok(false);
            }
            let end = rows.end.min(first + self.array.rows_at_once());
            each(self.array.read(first..end, self.missing)?)?;
            first = end;
            (self.progressed)(before * all + end - rows.start, many * all);
        }
        Ok(true)
    }
}
