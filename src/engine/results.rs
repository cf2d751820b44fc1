//! The results of a computation, read back: as they lie in the file, or as arrays with the axes of
//! the scan.

use ndarray::{ArrayD, IxDyn};

use super::Computed;
use super::inputs::lack_around;
use crate::formats;
use crate::region;
use crate::storage::file::{ReadFile, open_read};
use crate::storage::results_group;
use crate::storage::rows::Rows;
use crate::view::View;
use pixelmill_core::element::{Element, StoredType, elements, first_beyond};
use pixelmill_core::error::{Error, Result};

impl Computed {
    /// All values of one of the results datasets, position by position; those of positions that
    /// aren't marked as computed, or that failed, are NaN, or 0 for integers, whatever a killed run
    /// has left there.
    ///
    /// # Errors
    /// If there is no such dataset, it holds records, or its values can't become `T` without losing
    /// information.
    pub fn values<T: Element>(&self, dataset: &str) -> Result<Vec<T>> {
        Ok(self.read(dataset, None)?.0)
    }

    /// One of the results datasets in the shape of the scan: its axes, slowest first, then the
    /// dataset's own. A scan that is no full grid is one axis of positions. In h5USID's tables,
    /// which tell the axes there, an axis of one step counts as none if it is alone. Of a
    /// dataset of records ask for each [`Self::field`].
    ///
    /// # Errors
    /// As [`Self::values`].
    pub fn array<T: Element>(&self, dataset: &str) -> Result<ArrayD<T>> {
        self.read_array(dataset, None)
    }

    /// One field of a results dataset of records, in the shape that [`Self::array`] gives.
    ///
    /// # Errors
    /// If there is no such dataset or field, or its values can't become `T` without losing
    /// information.
    pub fn field<T: Element>(&self, dataset: &str, field: &str) -> Result<ArrayD<T>> {
        self.read_array(dataset, Some(field))
    }

    fn read_array<T: Element>(&self, dataset: &str, field: Option<&str>) -> Result<ArrayD<T>> {
        let (values, shape) = self.read(dataset, field)?;
        let count = values.len();
        ArrayD::from_shape_vec(IxDyn(&shape), values).map_err(|_| Error::Results {
            dataset: dataset.to_owned(),
            reason: format!("its {count} values don't fill the shape {shape:?} of the scan"),
        })
    }

    /// The values of a dataset, or of a field of its records, and its shape.
    fn read<T: Element>(&self, dataset: &str, field: Option<&str>) -> Result<(Vec<T>, Vec<usize>)> {
        let file = open_read(&self.file)?;
        let path = format!("{}/{dataset}", self.group);
        let unusable = |reason: String| Error::Results { dataset: path.clone(), reason };
        let found = file.dataset(&path).map_err(|_| self.no_such_results(&file, dataset))?;
        let stored = match (field, found.record_fields()) {
            (None, Ok(fields)) if fields.is_empty() => {
                found.stored_type().map_err(|held| unusable(format!("it holds {held}")))?
            }
            (None, Ok(fields)) => {
                let fields = fields.into_iter().map(|field| field.name).collect();
                return Err(Error::ResultsRecords { dataset: path, fields });
            }
            (Some(name), Ok(fields)) => {
                let named = fields.iter().find(|field| field.name == name);
                let field = named.ok_or_else(|| Error::NoSuchField {
                    dataset: path.clone(),
                    field: name.to_owned(),
                    known: fields.iter().map(|field| field.name.clone()).collect(),
                })?;
                let stored = field.stored.clone();
                stored.map_err(|held| unusable(format!("`{name}` holds {held}")))?
            }
            (_, Err(held)) => return Err(unusable(format!("it holds {held}"))),
        };
        let view = View::new(region::lengths(&found.shape()), vec![0]);
        let bytes = all_bytes(&Rows::of_field(file.handle(), &found, field, view)?)?;
        let shape = formats::results_shape(&file, &path, &found)?;
        let mut values = converted(path.clone(), stored, &bytes)?;
        let lack = lack_around(&file, &path)?.filter(|_| {
            file.group(&self.group).is_ok_and(|group| results_group::is_folded(&group, dataset))
        });
        if let Some(lack) = lack {
            let reason = format!("of all positions nothing is known before all are in: {lack}");
            return Err(unusable(reason));
        }
        self.leave_out_unmarked(&file, dataset, &mut values)?;
        Ok((values, shape))
    }

    /// Makes the values of positions missing that aren't marked: a run that was killed has written
    /// some by then, and of data that have changed marks are taken back.
    fn leave_out_unmarked<T: Element>(
        &self,
        file: &ReadFile,
        dataset: &str,
        values: &mut [T],
    ) -> Result<()> {
        let group = file.group(&self.group).map_err(|_| self.no_such_results(file, dataset))?;
        if self.completed == self.positions || !results_group::is_per_position(&group, dataset) {
            return Ok(());
        }
        let status = results_group::status(file.handle(), &group, self.positions);
        let status = status.map_err(|reason| Error::Results {
            dataset: format!("{}/{dataset}", self.group),
            reason: reason.to_string(),
        })?;
        let per_position = values.len() / self.positions.max(1) as usize;
        status.each_window(|first, marks| {
            let rows =
                values[first as usize * per_position..].chunks_exact_mut(per_position.max(1));
            let unmarked = rows.zip(marks).filter(|(_, mark)| **mark == 0);
            unmarked.for_each(|(row, _)| row.fill(T::MISSING));
            true
        })
    }

    fn no_such_results(&self, file: &ReadFile, dataset: &str) -> Error {
        let group = file.group(&self.group).ok();
        let known = group.map(|group| results_group::datasets(&group)).unwrap_or_default();
        Error::NoSuchResults { group: self.group.clone(), dataset: dataset.to_owned(), known }
    }
}

fn all_bytes(rows: &Rows) -> Result<Vec<u8>> {
    let count = rows.view().count();
    let mut bytes = vec![0; count as usize * rows.row_bytes()];
    rows.read_into(std::slice::from_ref(&(0..count)), &mut bytes)?;
    Ok(bytes)
}

fn converted<T: Element>(dataset: String, stored: StoredType, bytes: &[u8]) -> Result<Vec<T>> {
    let (found, wanted) = (stored.element, T::TYPE);
    if !found.converts_to(wanted, false) {
        return Err(Error::ResultsElement { dataset, found, wanted });
    }
    if found.may_exceed(wanted, false)
        && let Some((_, value)) = first_beyond(bytes, stored)
    {
        return Err(Error::Results { dataset, reason: format!("{value} can't become {wanted}") });
    }
    Ok(elements(bytes, stored, &mut Vec::new()).to_vec())
}
