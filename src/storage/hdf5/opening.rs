//! How the values of a dataset are had past HDF5: asked once, when it is opened.

use std::path::Path;

use hdf5::Dataset;

use super::super::container::{Opening, ValuesNow};
use super::super::known_tables::KnownTables;
use super::super::open_file::OpenFile;
use super::super::raw_file::RawFile;
use super::super::refused::Refused;
use super::super::tiles::{Mosaic, Reading, Way};
use super::stored_way::stored_way;
use super::transaction::{self, Access};
use super::type_words::decoding;
use super::virtual_dataset::{Composition, compose};
use super::{datatype, text};
use pixelmill_core::error::{Error, Result};

/// How the values of `dataset`, or of a `field` of its records, are had. It lies in `file`, or in
/// another that a link of this one leads to.
///
/// # Errors
/// If it is empty, something is missing or cut off, or nothing can undo one of its filters.
pub(super) fn open(dataset: &Dataset, field: Option<&str>, file: OpenFile<'_>) -> Result<Opening> {
    let (path, known) = (file.path, file.known);
    let refused =
        |error: hdf5::Error| Refused::from(error).on_object("read", path, &text::name(dataset));
    let (raw, access) = holding(dataset, file)?;
    let datatype = dataset.dtype().map_err(refused)?;
    if dataset.shape().contains(&0) || datatype.size() == 0 {
        return Err(Error::not_main(path, &text::name(dataset), "it is empty".to_owned()));
    }
    let Composition { files, may_grow, mosaic } = compose(raw, access, dataset)?;
    let way = way(&files[0].path, (dataset, field), mosaic, known)?;
    let decoding = decoding(dataset, way.is_whole()).map_err(refused)?;
    // Through HDF5 the values come by themselves.
    let lies = datatype::lying(&datatype, field);
    let lies = lies.filter(|_| !matches!(way.reading(), Reading::Library(_)));
    let (element, value) = match lies {
        Some(value) => (datatype.size(), value),
        None => {
            let element = datatype::transfer_type(datatype, field).map_err(refused)?.size();
            (element, 0..element)
        }
    };
    Ok(Opening { files, may_grow, way, element, value, decoding })
}

/// Where the values of a dataset, or of a `field` of its records, lie now and how they are had;
/// `None` if HDF5 doesn't tell in which file.
///
/// # Errors
/// As [`open`].
pub(super) fn now(dataset: &Dataset, field: Option<&str>) -> Result<Option<ValuesNow>> {
    let Some((path, file, access)) = transaction::holder(dataset)? else { return Ok(None) };
    let composed = compose(RawFile::new(path, file)?, access, dataset)?;
    let way = way(&composed.files[0].path, (dataset, field), composed.mosaic, None)?;
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

/// How the dataset, or a field of its records, is read: as a `mosaic` if it can be.
fn way(
    path: &Path,
    (dataset, field): (&Dataset, Option<&str>),
    mosaic: Option<Mosaic>,
    known: Option<&KnownTables>,
) -> Result<Box<dyn Way>> {
    match mosaic {
        Some(mosaic)
            if dataset.dtype().is_ok_and(|found| datatype::lying(&found, field).is_some()) =>
        {
            Ok(Box::new(mosaic))
        }
        _ => stored_way(path, (dataset, field), known),
    }
}
