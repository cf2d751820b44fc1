//! What a worker makes of a unit: the rows of each results dataset, and what failed.

use std::ops::Range;

use ndarray::{ArrayViewMut, Dimension};

use crate::arrays;
use crate::chunk_io::AlignedBytes;
use crate::column_layout::{ColumnLayout, Field};
use crate::dimension;
use crate::element::Element;
use crate::failure::Failure;

/// The results of one unit as they are kept from one to the next.
#[derive(Debug, Default)]
pub struct UnitResults {
    /// The rows of each results dataset.
    pub rows: Vec<AlignedBytes>,
    /// Failed positions, counted from the unit's first, ascending, with their reason.
    pub failures: Vec<(u64, Failure)>,
    /// What is known of each spectrum.
    states: Vec<State>,
    /// The results datasets that were handed out as arrays.
    handed_out: Vec<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unset,
    Set,
    /// Its values were put into arrays.
    Filled,
    Failed,
}

/// Where a worker puts the results of a unit, spectrum by spectrum.
pub struct Contribution<'a> {
    columns: &'a [ColumnLayout],
    spectra_per_position: usize,
    unit: &'a mut UnitResults,
}

impl UnitResults {
    /// Makes room for a unit of `spectra` spectra, of which nothing is set.
    pub fn begin<'a>(
        &'a mut self,
        columns: &'a [ColumnLayout],
        spectra: usize,
        spectra_per_position: usize,
    ) -> Contribution<'a> {
        self.failures.clear();
        self.states.clear();
        self.states.resize(spectra, State::Unset);
        self.handed_out.clear();
        self.rows.resize_with(columns.len(), AlignedBytes::default);
        for (rows, column) in self.rows.iter_mut().zip(columns) {
            rows.resize(spectra * column.missing.len());
        }
        Contribution { columns, spectra_per_position, unit: self }
    }
}

impl Contribution<'_> {
    /// The same, for a while.
    pub fn reborrow(&mut self) -> Contribution<'_> {
        let Self { columns, spectra_per_position, unit } = self;
        Contribution { columns, spectra_per_position: *spectra_per_position, unit }
    }

    /// The results datasets.
    pub fn columns(&self) -> &[ColumnLayout] {
        self.columns
    }

    /// Sets spectrum number `index` of the unit: `fill` puts the bytes of its values in place,
    /// dataset by dataset. If it fails, so does the position, and all values of the spectrum
    /// are missing.
    #[inline]
    pub fn set(
        &mut self,
        index: usize,
        mut fill: impl FnMut(usize, &mut [u8]) -> Result<(), Failure>,
    ) {
        self.unit.states[index] = State::Set;
        let rows = self.unit.rows.iter_mut().zip(self.columns).enumerate();
        let filled = rows.into_iter().try_for_each(|(dataset, (rows, column))| {
            let bytes = column.missing.len();
            fill(dataset, &mut rows[index * bytes..][..bytes])
        });
        if let Err(failure) = filled {
            self.fail(index, failure);
        }
    }

    /// Results dataset number `dataset`, all spectra of the unit as one array: an axis along which
    /// they follow each other, then the dataset's own axes. What isn't set is missing there.
    /// What is put into it counts for the spectra that are said to be [`filled`](Self::filled).
    ///
    /// # Errors
    /// If it has another element type or another number of axes, or holds records.
    pub fn column<T: Element, D: Dimension>(
        &mut self,
        dataset: usize,
    ) -> Result<ArrayViewMut<'_, T, D>, Failure> {
        let Some(column) = self.columns.get(dataset) else {
            return Err(Failure::new(format!("there is no results dataset number {dataset}")));
        };
        check_element::<T>(column)?;
        self.hand_out(dataset);
        let values = bytemuck::cast_slice_mut(&mut self.unit.rows[dataset]);
        let shape: Vec<usize> = column.dimensions.iter().map(dimension::Dimension::len).collect();
        let what = format!("the results dataset `{}` of a unit", column.name);
        arrays::view_mut(values, Some(self.unit.states.len()), &shape, &what)
    }

    /// Says that the results of some spectra are in the arrays of all columns. Those that have
    /// failed stay so.
    pub fn filled(&mut self, spectra: Range<usize>) {
        let handed_out = |dataset: &usize| self.unit.handed_out.get(*dataset) == Some(&true);
        let left_out = (0..self.columns.len()).find(|dataset| !handed_out(dataset));
        for index in spectra {
            match (self.unit.states[index], left_out) {
                (State::Failed, _) => {}
                (_, None) => self.unit.states[index] = State::Filled,
                (_, Some(dataset)) => {
                    let name = &self.columns[dataset].name;
                    let reason = format!("the unit computation put nothing into `{name}`");
                    self.fail(index, Failure::new(reason));
                }
            }
        }
    }

    /// Whether the results of spectrum number `index` of the unit were put into arrays.
    pub fn is_filled(&self, index: usize) -> bool {
        self.unit.states.get(index) == Some(&State::Filled)
    }

    /// Makes all values of a column missing that aren't set, when it is handed out for the first
    /// time: another unit's may be there.
    fn hand_out(&mut self, dataset: usize) {
        let unit = &mut *self.unit;
        unit.handed_out.resize(self.columns.len(), false);
        if std::mem::replace(&mut unit.handed_out[dataset], true) {
            return;
        }
        let missing = &self.columns[dataset].missing;
        let rows = unit.rows[dataset].chunks_exact_mut(missing.len().max(1));
        for (row, state) in rows.zip(&unit.states) {
            if *state != State::Set {
                row.copy_from_slice(missing);
            }
        }
    }

    /// Says why spectrum number `index` of the unit has no result.
    pub fn fail(&mut self, index: usize, failure: Failure) {
        self.unit.states[index] = State::Failed;
        self.clear(index);
        let position = (index / self.spectra_per_position) as u64;
        self.unit.failures.push((position, failure));
    }

    /// Makes all values of a spectrum missing.
    fn clear(&mut self, index: usize) {
        for (rows, column) in self.unit.rows.iter_mut().zip(self.columns) {
            let missing = &column.missing;
            rows[index * missing.len()..][..missing.len()].copy_from_slice(missing);
        }
    }

    /// Fails what was never set, and keeps one reason per position.
    pub fn finish(&mut self) {
        let handed_out = !self.unit.handed_out.is_empty();
        for index in 0..self.unit.states.len() {
            match self.unit.states[index] {
                State::Unset => {
                    self.fail(index, Failure::new("the unit computation gave no result"));
                }
                // Something may have been put into the arrays afterwards.
                State::Failed if handed_out => self.clear(index),
                _ => {}
            }
        }
        self.unit.failures.sort_by_key(|(position, _)| *position);
        self.unit.failures.dedup_by_key(|(position, _)| *position);
    }

    /// Fails some positions, whatever was computed for them.
    pub fn fail_positions(&mut self, failures: &[(u64, Failure)]) {
        if failures.is_empty() {
            return;
        }
        for (position, _) in failures {
            for spectrum in 0..self.spectra_per_position {
                self.clear(*position as usize * self.spectra_per_position + spectrum);
            }
        }
        let unit = &mut *self.unit;
        unit.failures.retain(|(at, _)| failures.iter().all(|(position, _)| position != at));
        unit.failures.extend_from_slice(failures);
        unit.failures.sort_by_key(|(position, _)| *position);
    }

    /// Fails all positions for one reason.
    pub fn fail_all(&mut self, reason: &Failure) {
        for index in 0..self.unit.states.len() {
            self.clear(index);
        }
        let positions = (self.unit.states.len() / self.spectra_per_position) as u64;
        self.unit.failures.clear();
        self.unit.failures.extend((0..positions).map(|position| (position, reason.clone())));
    }
}

fn check_element<T: Element>(column: &ColumnLayout) -> Result<(), Failure> {
    let name = &column.name;
    match column.fields.as_slice() {
        [Field { name: None, element }] if *element == T::TYPE => Ok(()),
        [Field { name: None, element }] => {
            let wanted = T::TYPE;
            Err(Failure::new(format!("the results dataset `{name}` holds {element}, not {wanted}")))
        }
        _ => Err(Failure::new(format!(
            "the results dataset `{name}` holds records, which are no array of numbers"
        ))),
    }
}
