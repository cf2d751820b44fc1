//! What the elements of a dataset are to be computed with: numbers as they are stored, or one field
//! of records of them.

use crate::storage::container::Dataset;
use crate::storage::file::ReadFile;
use pixelmill_core::element::StoredType;
use pixelmill_core::error::{Error, Result};
use pixelmill_core::parameters::nearest;

/// A field of the records that a dataset holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldOverview {
    /// Its name.
    pub name: String,
    /// Its element type, or what it holds instead of numbers.
    pub holds: String,
    /// Whether it can be computed on.
    pub is_number: bool,
}

/// The fields of the records that a dataset holds; none if it holds anything else.
pub(crate) fn fields(dataset: &Dataset) -> Vec<FieldOverview> {
    let fields = dataset.record_fields().unwrap_or_default().into_iter();
    fields
        .map(|field| FieldOverview {
            name: field.name,
            is_number: field.stored.is_ok(),
            holds: field.stored.map_or_else(|held| held, |stored| stored.element.to_string()),
        })
        .collect()
}

/// How the values of the dataset at `path` are stored, or those of one `field` of its records.
///
/// # Errors
/// If it holds no numbers, or records and no field is named, or none of that name.
pub(crate) fn values(
    file: &ReadFile,
    path: &str,
    dataset: &Dataset,
    field: Option<&str>,
) -> Result<StoredType> {
    let known = fields(dataset);
    let held = |what: String| Error::not_main(&file.path, path, what);
    let Some(name) = field else {
        return dataset.stored_type().map_err(|found| {
            let numbers = known.iter().filter(|field| field.is_number);
            let fields: Vec<String> = numbers.map(FieldOverview::told).collect();
            match fields.is_empty() {
                true => held(format!("it holds {found}")),
                false => {
                    let (file, dataset) = (file.path.clone(), path.to_owned());
                    Error::Records { file, dataset, fields }
                }
            }
        });
    };
    let (dataset_path, field) = (path.to_owned(), name.to_owned());
    if known.is_empty() {
        let stored = dataset.stored_type();
        let found = stored.map_or_else(|held| held, |stored| stored.element.to_string());
        return Err(Error::NoRecords { dataset: dataset_path, field, found });
    }
    let fields = dataset.record_fields().map_err(|found| held(format!("it holds {found}")))?;
    match fields.into_iter().find(|field| field.name == name) {
        Some(found) => {
            found.stored.map_err(|found| held(format!("its field `{name}` holds {found}")))
        }
        None => Err(Error::NoFieldOfRecords {
            dataset: dataset_path,
            nearest: nearest(name, known.iter().map(|field| field.name.as_str())),
            field,
            known: known.iter().map(FieldOverview::told).collect(),
        }),
    }
}

impl FieldOverview {
    /// `R (uint8)`.
    pub fn told(&self) -> String {
        format!("{} ({})", self.name, self.holds)
    }
}
