//! How the values of a dataset are had past HDF5: asked once, when it is opened.

use std::path::Path;

use hdf5::Dataset;

use super::super::container::{Opening, ValuesNow};
use super::super::open_file::OpenFile;
use super::super::raw_file::RawFile;
use super::super::refused::Refused;
use super::super::tiles::{Mosaic, Way};
use super::stored_way::stored_way;
use super::transaction::{self, Access};
use super::type_words::decoding;
use super::virtual_dataset::{Composition, compose};
use super::{datatype, text};
use pixelmill_core::error::{Error, Result};

/// How the values of `dataset` are had. It lies in `file`, or in another that a link of this one
/// leads to.
///
/// # Errors
/// If it is empty, something is missing or cut off, or nothing can undo one of its filters.
pub(super) fn open(dataset: &Dataset, file: OpenFile<'_>) -> Result<Opening> {
    let path = file.path;
    let refused =
        |error: hdf5::Error| Refused::from(error).on_object("read", path, &text::name(dataset));
    let (raw, access) = holding(dataset, file)?;
    let element = dataset.dtype().and_then(datatype::memory_type).map_err(refused)?.size();
    if dataset.shape().contains(&0) || element == 0 {
        return Err(Error::not_main(path, &text::name(dataset), "it is empty".to_owned()));
    }
    let Composition { files, may_grow, mosaic } = compose(raw, access, dataset)?;
    let way = way(&files[0].path, dataset, mosaic)?;
    let decoding = decoding(dataset, way.is_whole()).map_err(refused)?;
    Ok(Opening { files, may_grow, way, element, decoding })
}

/// Where the values of a dataset lie now and how they are had; `None` if HDF5 doesn't tell in which
/// file.
///
/// # Errors
/// As [`open`].
pub(super) fn now(dataset: &Dataset) -> Result<Option<ValuesNow>> {
    let Some((path, file, access)) = transaction::holder(dataset)? else { return Ok(None) };
    let composed = compose(RawFile::new(path, file)?, access, dataset)?;
    let way = way(&composed.files[0].path, dataset, composed.mosaic)?;
    Ok(Some(ValuesNow { files: composed.files, way }))
}

/// The file that holds `dataset`, and how others that it refers to are opened; it is `else_this` if
/// HDF5 doesn't tell.
///
/// # Errors
/// If somebody has it open for writing, and those of the system.
fn holding(dataset: &Dataset, else_this: OpenFile<'_>) -> Result<(RawFile, Access)> {
    if let Some((path, file, access)) = transaction::holder(dataset)? {
        return Ok((RawFile::new(path, file)?, access));
    }
    let file = else_this.duplicate("read")?;
    Ok((RawFile::new(else_this.path.to_owned(), file)?, Access::Unlocked))
}

/// How the dataset is read: as a `mosaic` if it can be.
fn way(path: &Path, dataset: &Dataset, mosaic: Option<Mosaic>) -> Result<Box<dyn Way>> {
    match mosaic {
        Some(mosaic) if dataset.dtype().is_ok_and(|found| datatype::is_plain(&found)) => {
            Ok(Box::new(mosaic))
        }
        _ => stored_way(path, dataset),
    }
}
