//! A main dataset in a file, seen as positions × spectrum.
//!
//! `h5usid` recognises and reads the format; here is what all of the engine knows of a source:
//! its description, the grid of its positions, and how its rows are read. It never writes.

mod described;
mod emd;
mod fingerprint;
mod grid;
mod h5usid;
mod hspy;
mod nexus;
mod nsid;
mod plain;

use std::path::{Path, PathBuf};

pub(crate) use fingerprint::{fingerprint, hex};
pub(crate) use grid::PositionGrid;
use h5usid::Looks;

use crate::element::StoredType;
use crate::error::{Error, Result};
use crate::process::SourceInfo;
use crate::storage::datatype::stored_type;
use crate::storage::file::ReadFile;
use crate::storage::results_group::PositionTables;
use crate::storage::rows::Rows;
use crate::storage::walk::{Visited, walk};

/// A main dataset that can be computed on.
pub(crate) struct Source {
    pub file: PathBuf,
    pub info: SourceInfo,
    pub grid: PositionGrid,
    pub stored: StoredType,
    pub rows: Rows,
    /// Where the tables of the positions are.
    pub tables: PositionTables,
}

impl Source {
    /// Checks that the dataset is still where it was when this source was opened, in a new view of
    /// the same file.
    ///
    /// # Errors
    /// If another program has changed it meanwhile.
    pub fn check_in_place(&self, file: &ReadFile) -> Result<()> {
        let path = &self.info.path;
        let same = file.dataset(path).is_ok_and(|dataset| {
            let shape = [self.info.positions as usize, self.info.spectral_points];
            dataset.shape() == shape
                && stored_type(&dataset).as_ref() == Ok(&self.stored)
                && self.rows.are_those_of(&dataset)
        });
        let (file, dataset) = (self.file.clone(), path.clone());
        if same { Ok(()) } else { Err(Error::SourceChanged { file, dataset }) }
    }

    /// Bytes of one row, as stored.
    pub fn row_bytes(&self) -> usize {
        self.info.spectral_points * self.stored.element.size()
    }
}

/// Opens the main dataset at `path`, or the only one of the file. Of `memory` bytes the library may
/// take half to keep decoded chunks.
///
/// # Errors
/// If there is no such dataset, none or several to choose from, or it can't be understood.
pub(crate) fn open(file: &ReadFile, path: Option<&str>, memory: u64) -> Result<Source> {
    let path = match path {
        Some(path) => normalised(path),
        None => only_main_dataset(file)?,
    };
    let dataset = file.dataset(&path).map_err(|_| Error::NoSuchDataset {
        file: file.path.clone(),
        dataset: path.clone(),
        candidates: main_datasets(file),
    })?;
    let (info, grid, tables) = h5usid::read(&file.path, &path, &dataset)?;
    let stored = stored_type(&dataset)
        .map_err(|found| Error::not_main(&file.path, &path, format!("it holds {found}")))?;
    let rows = Rows::new(&file.path, &file.raw, &dataset, memory / 2)?;
    Ok(Source { file: file.path.clone(), info, grid, stored, rows, tables })
}

/// `Measurement_000/x` and `/Measurement_000/x/` are both `/Measurement_000/x`.
pub(crate) fn normalised(path: &str) -> String {
    format!("/{}", path.trim_matches('/'))
}

/// Paths of the main datasets that hold data, not results; if there are none, of those that all but are.
pub(crate) fn main_datasets(file: &ReadFile) -> Vec<String> {
    let (mut main, mut almost) = (Vec::new(), Vec::new());
    let mut results_groups: Vec<String> = Vec::new();
    walk(file, &mut |path, visited| match visited {
        Visited::Group(group) => {
            if crate::storage::results_group::is_results_group(&group) {
                results_groups.push(format!("{path}/"));
            }
        }
        Visited::Dataset(dataset) => {
            if results_groups.iter().any(|group| path.starts_with(group.as_str())) {
                return;
            }
            match h5usid::looks(&dataset) {
                Looks::Main => main.push(path.to_owned()),
                Looks::AlmostMain => almost.push(path.to_owned()),
                Looks::Other => {}
            }
        }
    });
    if main.is_empty() { almost } else { main }
}

fn only_main_dataset(file: &ReadFile) -> Result<String> {
    let mut candidates = main_datasets(file);
    match candidates.len() {
        1 => Ok(candidates.remove(0)),
        0 => Err(Error::NoMainDataset { file: file.path.clone() }),
        _ => Err(Error::SeveralMainDatasets { file: file.path.clone(), candidates }),
    }
}

/// Whether `path` names the same file as `other`, whatever links lead there.
pub(crate) fn same_file(path: &Path, other: &Path) -> bool {
    match (path.canonicalize(), other.canonicalize()) {
        (Ok(path), Ok(other)) => path == other,
        _ => path == other,
    }
}
