//! How a dataset is stored, and with it how it is read.

use std::path::Path;
use std::sync::Arc;

use hdf5::Dataset;
use hdf5::dataset::Layout;

use super::super::chunk_table::{ChunkTable, Chunking};
use super::super::file_state::FileState;
use super::super::filters::Pipeline;
use super::super::known_tables::KnownTables;
use super::super::refused::Refused;
use super::super::tiles::{Chunked, Contiguous, Way};
use super::through_library::ThroughLibrary;
use super::{chunk_index, datatype, library, text, transaction};
use pixelmill_core::error::{Error, Result};

/// How a dataset of the file at `path` is stored, if what it refers to is there, and with it how
/// it, or a `field` of its records, is read.
///
/// # Errors
/// If nothing can undo one of its filters.
pub(super) fn stored_way(
    path: &Path,
    (dataset, field): (&Dataset, Option<&str>),
    known: Option<&KnownTables>,
) -> Result<Box<dyn Way>> {
    let is_chunked = dataset.is_chunked();
    let through_library = |why: &str| through_library((dataset, field), why.to_owned(), is_chunked);
    if dataset.dtype().is_ok_and(|datatype| datatype::lying(&datatype, field).is_none()) {
        return Ok(through_library("its numbers aren't in a usual form"));
    }
    Ok(match dataset.layout() {
        Layout::Chunked => return chunked(path, (dataset, field), known),
        Layout::Compact => through_library("compact"),
        Layout::Virtual => through_library("virtual"),
        Layout::Contiguous if has_raw_files(dataset) => through_library("external storage"),
        Layout::Contiguous => match dataset.offset() {
            Some(offset) => Box::new(Contiguous { offset }),
            None => through_library("no storage allocated"),
        },
    })
}

fn through_library(
    (dataset, field): (&Dataset, Option<&str>),
    why: String,
    is_chunked: bool,
) -> Box<dyn Way> {
    let (dataset, field) = (dataset.clone(), field.map(str::to_owned));
    Box::new(ThroughLibrary { dataset, field, why, is_chunked })
}

fn chunked(
    path: &Path,
    of: (&Dataset, Option<&str>),
    known: Option<&KnownTables>,
) -> Result<Box<dyn Way>> {
    let dataset = of.0;
    let refused =
        |error: hdf5::Error| Refused::from(error).on_object("read", path, &text::name(dataset));
    let filters = chunk_index::filters(dataset).map_err(refused)?;
    let element = dataset.dtype().map_err(refused)?.size();
    match Pipeline::new(&filters, element) {
        Ok(_) if !chunk_index::addresses_are_known(dataset) => {
            Ok(through_library(of, "chunked behind a user block".to_owned(), true))
        }
        Ok(pipeline) => {
            let table = table(dataset, known).map_err(refused)?;
            let fill = library::fill_value(dataset).map_err(refused)?;
            Ok(Box::new(Chunked { table, pipeline, fill }))
        }
        Err(unknown) if filters.iter().all(|filter| chunk_index::library_can_undo(filter.id)) => {
            Ok(through_library(of, unknown.to_string(), true))
        }
        Err(unknown) => Err(Error::Filter {
            path: path.to_owned(),
            dataset: text::name(dataset),
            filter: unknown.to_string(),
        }),
    }
}

/// Where the chunks of a dataset lie, as is known or as it is read now.
fn table(dataset: &Dataset, known: Option<&KnownTables>) -> hdf5::Result<Arc<ChunkTable>> {
    let Some(known) = known else { return chunk_index::read(dataset).map(Arc::new) };
    let Ok(Some((_, file, _))) = transaction::holder(dataset) else {
        return chunk_index::read(dataset).map(Arc::new);
    };
    let name = || {
        let evidence = FileState::of(&file).ok()?.evidence()?;
        Some(format!("{evidence} {:?}", dataset.loc_info().ok()?.token))
    };
    known.table(name, || chunk_index::read(dataset))
}

/// The chunks of a dataset, if it has any.
pub(super) fn chunking(dataset: &Dataset) -> Option<Chunking> {
    let table = chunk_index::read(dataset).ok()?;
    let filters = chunk_index::filters(dataset).ok()?;
    let element = dataset.dtype().ok()?.size();
    let names = Pipeline::new(&filters, element).map_or_else(
        |_| filters.iter().map(|filter| filter.name.clone()).collect(),
        |pipeline| pipeline.names(),
    );
    Some(Chunking {
        count: table.chunks.len() as u64,
        stored_bytes: table.chunks.stored_bytes(),
        shape: table.chunk,
        filters: names,
    })
}

/// Whether a dataset is stored in raw files outside of HDF5.
pub(super) fn has_raw_files(dataset: &Dataset) -> bool {
    dataset.dcpl().is_ok_and(|list| !list.external().is_empty())
}
