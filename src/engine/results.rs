//! The results of a computation, read back: as they lie in the file, or as arrays with the axes of
//! the scan.

use std::ops::Range;

use ndarray::{ArrayD, IxDyn};

use super::Computed;
use super::inputs::lack_around;
use crate::formats;
use crate::region;
use crate::storage::attributes;
use crate::storage::container::RecordField;
use crate::storage::file::{ReadFile, open_read};
use crate::storage::results_group;
use crate::storage::rows::Rows;
use crate::view::View;
use pixelmill_core::dimension::Dimension;
use pixelmill_core::element::{Element, ElementType, StoredType, elements, first_beyond};
use pixelmill_core::error::{Error, Result};

/// What a results dataset is.
#[derive(Clone, Debug)]
pub struct ResultsInfo {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub quantity: String,
    /// Units of its values.
    pub units: String,
    /// The shape that [`Computed::array`] gives it.
    pub shape: Vec<usize>,
    /// Its element type, or name and element type of each field of its records.
    pub fields: Vec<(Option<String>, ElementType)>,
}

impl Computed {
    /// The results datasets that there are; whatever else is in the group is none.
    ///
    /// # Errors
    /// If the file can't be read.
    pub fn datasets(&self) -> Result<Vec<ResultsInfo>> {
        let file = open_read(&self.file)?;
        let missing = |_| self.no_such_results(&file, "");
        let group = file.group(&self.group).map_err(missing)?;
        let names = results_group::datasets(&group).into_iter();
        names.map(|name| self.described(&file, name)).collect()
    }

    fn described(&self, file: &ReadFile, name: String) -> Result<ResultsInfo> {
        let path = format!("{}/{name}", self.group);
        let found = file.dataset(&path).map_err(|_| self.no_such_results(file, &name))?;
        let unusable = |held: String| Error::Results {
            dataset: path.clone(),
            reason: format!("it holds {held}"),
        };
        let records = found.record_fields().map_err(unusable)?;
        let fields = match records.is_empty() {
            true => vec![(None, found.stored_type().map_err(unusable)?.element)],
            false => {
                let field = |field: &RecordField| {
                    let stored = field.stored.clone().map_err(unusable)?;
                    Ok((Some(field.name.clone()), stored.element))
                };
                records.iter().map(field).collect::<Result<_>>()?
            }
        };
        let shape = formats::results_shape(file, &path, &found)?;
        Ok(ResultsInfo {
            quantity: attributes::string(&found, "quantity").unwrap_or_default(),
            units: attributes::string(&found, "units").unwrap_or_default(),
            shape,
            fields,
            name,
        })
    }

    /// The axes of a results dataset, one for each length of the shape that [`Self::array`] gives
    /// it.
    ///
    /// # Errors
    /// If there is no such dataset, or its tables are broken.
    pub fn axes(&self, dataset: &str) -> Result<Vec<Dimension>> {
        let file = open_read(&self.file)?;
        let path = format!("{}/{dataset}", self.group);
        let found = file.dataset(&path).map_err(|_| self.no_such_results(&file, dataset))?;
        formats::results_axes(&file, &path, &found)
    }

    /// A part of one of the results datasets, or of a field of its records: some steps of the first
    /// axis that [`Self::array`] gives it. Nothing else is read.
    ///
    /// # Errors
    /// As [`Self::values`].
    pub fn part<T: Element>(
        &self,
        dataset: &str,
        field: Option<&str>,
        steps: &Range<usize>,
    ) -> Result<Vec<T>> {
        Ok(self.read(dataset, field, Some(steps))?.0)
    }

    /// All values of one of the results datasets, position by position; those of positions that
    /// aren't marked as computed, or that failed, are NaN, or 0 for integers, whatever a killed run
    /// has left there.
    ///
    /// # Errors
    /// If there is no such dataset, it holds records, or its values can't become `T` without losing
    /// information.
    pub fn values<T: Element>(&self, dataset: &str) -> Result<Vec<T>> {
        Ok(self.read(dataset, None, None)?.0)
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
        let (values, shape) = self.read(dataset, field, None)?;
        let count = values.len();
        ArrayD::from_shape_vec(IxDyn(&shape), values).map_err(|_| Error::Results {
            dataset: dataset.to_owned(),
            reason: format!("its {count} values don't fill the shape {shape:?} of the scan"),
        })
    }

    /// The values of a dataset, or of a field of its records, and its shape; of some rows, if these
    /// are given.
    fn read<T: Element>(
        &self,
        dataset: &str,
        field: Option<&str>,
        steps: Option<&Range<usize>>,
    ) -> Result<(Vec<T>, Vec<usize>)> {
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
        let shape = formats::results_shape(&file, &path, &found)?;
        let count = view.count();
        let wanted = rows_of(steps, &shape, count).map_err(unusable)?;
        let bytes = bytes_of(&Rows::of_field(file.handle(), &found, field, view)?, &wanted)?;
        let mut values = converted(path.clone(), stored, &bytes)?;
        let lack = lack_around(&file, &path)?.filter(|_| {
            file.group(&self.group).is_ok_and(|group| results_group::is_folded(&group, dataset))
        });
        if let Some(lack) = lack {
            let reason = format!("of all positions nothing is known before all are in: {lack}");
            return Err(unusable(reason));
        }
        self.leave_out_unmarked(&file, dataset, (&wanted, count), &mut values)?;
        Ok((values, shape))
    }

    /// Makes the values of positions missing that aren't marked: a run that was killed has written
    /// some by then, and of data that have changed marks are taken back. They are those of some
    /// rows of so many.
    fn leave_out_unmarked<T: Element>(
        &self,
        file: &ReadFile,
        dataset: &str,
        (rows, count): (&Range<u64>, u64),
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
        let in_row = self.positions / count.max(1);
        let positions = rows.start * in_row..rows.end * in_row;
        let per_position = values.len() / (positions.end - positions.start).max(1) as usize;
        status.each_window(|first, marks| {
            let window =
                first.max(positions.start)..(first + marks.len() as u64).min(positions.end);
            if window.is_empty() {
                return first < positions.end;
            }
            let marks = &marks[(window.start - first) as usize..(window.end - first) as usize];
            let own = &mut values[(window.start - positions.start) as usize * per_position..];
            let marked = own.chunks_exact_mut(per_position.max(1)).zip(marks);
            marked.filter(|(_, mark)| **mark == 0).for_each(|(row, _)| row.fill(T::MISSING));
            true
        })
    }

    fn no_such_results(&self, file: &ReadFile, dataset: &str) -> Error {
        let group = file.group(&self.group).ok();
        let known = group.map(|group| results_group::datasets(&group)).unwrap_or_default();
        Error::NoSuchResults { group: self.group.clone(), dataset: dataset.to_owned(), known }
    }
}

/// The rows of a dataset of `count` in which some steps of the first axis of `shape` lie, or all.
fn rows_of(
    steps: Option<&Range<usize>>,
    shape: &[usize],
    count: u64,
) -> Result<Range<u64>, String> {
    let Some(steps) = steps else { return Ok(0..count) };
    let all = shape.first().copied().unwrap_or(1);
    let Range { start, end } = *steps;
    if start > end || end > all || !count.is_multiple_of(all.max(1) as u64) {
        return Err(format!("its first axis has the steps 0:{all}, and no {start}:{end}"));
    }
    let rows = count / all.max(1) as u64;
    Ok(start as u64 * rows..end as u64 * rows)
}

fn bytes_of(rows: &Rows, wanted: &Range<u64>) -> Result<Vec<u8>> {
    let count = wanted.end - wanted.start;
    let mut bytes = vec![0; count as usize * rows.row_bytes()];
    rows.read_into(std::slice::from_ref(wanted), &mut bytes)?;
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
