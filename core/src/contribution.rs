//! What a worker makes of a unit: the rows of each results dataset, and what failed.

use crate::column_layout::ColumnLayout;
use crate::failure::Failure;

/// The results of one unit as they are kept from one to the next.
#[derive(Debug, Default)]
pub struct UnitResults {
    /// The rows of each results dataset.
    pub rows: Vec<Vec<u8>>,
    /// Failed positions, counted from the unit's first, ascending, with their reason.
    pub failures: Vec<(u64, Failure)>,
    set: Vec<bool>,
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
        self.set.clear();
        self.set.resize(spectra, false);
        self.rows.resize_with(columns.len(), Vec::new);
        for (rows, column) in self.rows.iter_mut().zip(columns) {
            rows.resize(spectra * column.missing.len(), 0);
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

    /// Sets spectrum number `index` of the unit: `fill` puts the bytes of its values in place, dataset by dataset.
    /// If it fails, so does the position, and all values of the spectrum are missing.
    pub fn set(
        &mut self,
        index: usize,
        mut fill: impl FnMut(usize, &mut [u8]) -> Result<(), Failure>,
    ) {
        self.unit.set[index] = true;
        let rows = self.unit.rows.iter_mut().zip(self.columns).enumerate();
        let filled = rows.into_iter().try_for_each(|(dataset, (rows, column))| {
            let bytes = column.missing.len();
            fill(dataset, &mut rows[index * bytes..][..bytes])
        });
        if let Err(failure) = filled {
            self.fail(index, failure);
        }
    }

    /// Says why spectrum number `index` of the unit has no result.
    pub fn fail(&mut self, index: usize, failure: Failure) {
        self.unit.set[index] = true;
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
        for index in 0..self.unit.set.len() {
            if !self.unit.set[index] {
                self.fail(index, Failure::new("the unit computation gave no result"));
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
        for index in 0..self.unit.set.len() {
            self.clear(index);
        }
        let positions = (self.unit.set.len() / self.spectra_per_position) as u64;
        self.unit.failures.clear();
        self.unit.failures.extend((0..positions).map(|position| (position, reason.clone())));
    }
}
