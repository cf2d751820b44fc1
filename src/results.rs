//! Results datasets as an author declares them: typed columns taken from an output by closures, and
//! arrays that are the same for all positions.
//!
//! The closures give element types, layout, bytes per position and the encoding at once, so that
//! no process touches HDF5. Pure: bytes in memory, no files.

use crate::dimension::Dimension;
use crate::element::{Element, ElementType};
use crate::failure::Failure;

/// The results datasets of a process whose map function gives an `O`.
pub struct Results<O> {
    pub(crate) datasets: Vec<Column<O>>,
    pub(crate) constants: Vec<Constant>,
}

/// A dataset of the results group that doesn't depend on the position.
pub(crate) struct Constant {
    pub layout: ColumnLayout,
    pub values: Vec<u8>,
}

/// One results dataset: what it is, and how its values are taken from an output.
pub(crate) struct Column<O> {
    pub layout: ColumnLayout,
    encoders: Vec<Encoder<O>>,
}

/// What a results dataset is, without the closure.
#[derive(Clone, Debug)]
pub(crate) struct ColumnLayout {
    pub name: String,
    pub quantity: String,
    pub units: String,
    /// Its own axes for one spectrum, slowest first; none for a single value.
    pub dimensions: Vec<Dimension>,
    /// One unnamed field for plain numbers, several named ones for compound records.
    pub fields: Vec<Field>,
    /// What the values of one spectrum are while there is no result.
    pub missing: Vec<u8>,
}

/// One number of a record.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub name: Option<String>,
    pub element: ElementType,
}

type Encoder<O> = Box<dyn Fn(&O, &mut [u8]) -> Result<(), Failure> + Send + Sync>;

impl ColumnLayout {
    /// Bytes of one value.
    pub fn value_bytes(&self) -> usize {
        self.fields.iter().map(|field| field.element.size()).sum()
    }

    /// Values per spectrum.
    pub fn values_per_spectrum(&self) -> usize {
        self.dimensions.iter().map(Dimension::len).product()
    }

    /// Bytes of the values of one spectrum.
    pub fn spectrum_bytes(&self) -> usize {
        self.values_per_spectrum() * self.value_bytes()
    }

    fn push<T: Element>(&mut self, name: Option<String>) {
        self.fields.push(Field { name, element: T::TYPE });
        let missing = T::MISSING;
        let value = bytemuck::bytes_of(&missing);
        if self.fields.len() == 1 {
            self.missing = value.repeat(self.values_per_spectrum());
        } else {
            self.missing.extend_from_slice(value);
        }
    }
}

impl<O> Results<O> {
    pub(crate) fn new() -> Self {
        Self { datasets: Vec::new(), constants: Vec::new() }
    }

    /// Begins a results dataset with its name, the quantity that it holds and its units. Leave
    /// one out for an optional result that isn't wanted.
    pub fn main(
        &mut self,
        name: impl Into<String>,
        quantity: impl Into<String>,
        units: impl Into<String>,
    ) -> Declaration<'_, O> {
        Declaration {
            results: self,
            layout: ColumnLayout {
                name: name.into(),
                quantity: quantity.into(),
                units: units.into(),
                dimensions: Vec::new(),
                fields: Vec::new(),
                missing: Vec::new(),
            },
        }
    }

    pub(crate) fn bytes_per_spectrum(&self) -> usize {
        self.datasets.iter().map(|column| column.layout.spectrum_bytes()).sum()
    }
}

/// A results dataset that still has to be told what it takes from an output.
#[must_use = "a results dataset needs `scalar`, `spectrum`, `record` or `constant`"]
pub struct Declaration<'r, O> {
    results: &'r mut Results<O>,
    layout: ColumnLayout,
}

impl<'r, O: 'static> Declaration<'r, O> {
    /// One number per spectrum.
    pub fn scalar<T: Element>(mut self, value: impl Fn(&O) -> T + Send + Sync + 'static) {
        self.layout.push::<T>(None);
        self.finish(Box::new(move |output, bytes| {
            bytes.copy_from_slice(bytemuck::bytes_of(&value(output)));
            Ok(())
        }));
    }

    /// As many numbers per spectrum as `dimensions` (slowest first) multiply to.
    pub fn spectrum<T: Element>(
        mut self,
        dimensions: Vec<Dimension>,
        values: impl Fn(&O) -> &[T] + Send + Sync + 'static,
    ) {
        self.layout.dimensions = dimensions;
        self.layout.push::<T>(None);
        self.finish(Box::new(move |output, bytes| {
            let values: &[u8] = bytemuck::cast_slice(values(output));
            if values.len() != bytes.len() {
                return Err(Failure::new(format!(
                    "the map function gave {} values where {} belong",
                    values.len() / size_of::<T>(),
                    bytes.len() / size_of::<T>()
                )));
            }
            bytes.copy_from_slice(values);
            Ok(())
        }));
    }

    /// One array for the whole run, such as a filter or a reference that all positions share: it is
    /// written when the results group is made, and is no main dataset.
    ///
    /// # Panics
    /// If there are no `dimensions` (slowest first), or not as many values as they multiply to.
    pub fn constant<T: Element>(mut self, dimensions: Vec<Dimension>, values: &[T]) {
        self.layout.dimensions = dimensions;
        assert!(!self.layout.dimensions.is_empty(), "`{}` has no axes", self.layout.name);
        assert_eq!(values.len(), self.layout.values_per_spectrum(), "of `{}`", self.layout.name);
        self.layout.push::<T>(None);
        let values = bytemuck::cast_slice(values).to_vec();
        self.results.constants.push(Constant { layout: self.layout, values });
    }

    /// One compound record per spectrum; add its fields with [`Record::field`].
    pub fn record(self) -> Record<'r, O> {
        self.results.datasets.push(Column { layout: self.layout, encoders: Vec::new() });
        Record { results: self.results }
    }

    fn finish(self, encoder: Encoder<O>) {
        self.results.datasets.push(Column { layout: self.layout, encoders: vec![encoder] });
    }
}

/// A results dataset of compound records.
pub struct Record<'r, O> {
    results: &'r mut Results<O>,
}

impl<O: 'static> Record<'_, O> {
    /// Adds a named field.
    pub fn field<T: Element>(
        self,
        name: impl Into<String>,
        value: impl Fn(&O) -> T + Send + Sync + 'static,
    ) -> Self {
        if let Some(column) = self.results.datasets.last_mut() {
            column.layout.push::<T>(Some(name.into()));
            column.encoders.push(Box::new(move |output, bytes| {
                bytes.copy_from_slice(bytemuck::bytes_of(&value(output)));
                Ok(())
            }));
        }
        self
    }
}

impl<O> Column<O> {
    fn encode(&self, output: &O, mut bytes: &mut [u8]) -> Result<(), Failure> {
        if let [encoder] = self.encoders.as_slice() {
            return encoder(output, bytes);
        }
        for (encoder, field) in self.encoders.iter().zip(&self.layout.fields) {
            let (value, rest) = bytes.split_at_mut(field.element.size());
            encoder(output, value)?;
            bytes = rest;
        }
        Ok(())
    }
}

/// The results of one unit: a buffer per results dataset, and what failed.
#[derive(Default)]
pub(crate) struct UnitResults {
    pub rows: Vec<Vec<u8>>,
    /// Failed positions, counted from the unit's first, ascending, with their reason.
    pub failures: Vec<(u64, Failure)>,
    set: Vec<bool>,
}

impl UnitResults {
    /// Makes room for a unit of `spectra` spectra, of which nothing is set.
    pub fn begin<O>(&mut self, results: &Results<O>, spectra: usize) {
        self.failures.clear();
        self.set.clear();
        self.set.resize(spectra, false);
        self.rows.resize_with(results.datasets.len(), Vec::new);
        for (rows, column) in self.rows.iter_mut().zip(&results.datasets) {
            rows.resize(spectra * column.layout.missing.len(), 0);
        }
    }

    /// Fails what was never set, and keeps one reason per position.
    pub fn finish<O>(&mut self, results: &Results<O>, spectra_per_position: usize) {
        for index in 0..self.set.len() {
            if !self.set[index] {
                self.clear(results, index);
                let reason = Failure::new("the unit computation gave no result");
                self.failures.push(((index / spectra_per_position) as u64, reason));
            }
        }
        self.failures.sort_by_key(|(position, _)| *position);
        self.failures.dedup_by_key(|(position, _)| *position);
    }

    /// Makes all values of a spectrum missing.
    fn clear<O>(&mut self, results: &Results<O>, index: usize) {
        for (rows, column) in self.rows.iter_mut().zip(&results.datasets) {
            let missing = &column.layout.missing;
            rows[index * missing.len()..][..missing.len()].copy_from_slice(missing);
        }
    }

    /// Fails some positions, whatever was computed for them.
    pub fn fail<O>(
        &mut self,
        results: &Results<O>,
        failures: &[(u64, Failure)],
        spectra_per_position: usize,
    ) {
        if failures.is_empty() {
            return;
        }
        for (position, _) in failures {
            for spectrum in 0..spectra_per_position {
                self.clear(results, *position as usize * spectra_per_position + spectrum);
            }
        }
        self.failures.retain(|(at, _)| failures.iter().all(|(position, _)| position != at));
        self.failures.extend_from_slice(failures);
        self.failures.sort_by_key(|(position, _)| *position);
    }

    /// Fails all positions for one reason.
    pub fn fail_all<O>(&mut self, results: &Results<O>, positions: u64, reason: &Failure) {
        for index in 0..self.set.len() {
            self.clear(results, index);
        }
        self.failures.clear();
        self.failures.extend((0..positions).map(|position| (position, reason.clone())));
    }
}

/// Where [`crate::Process::unit_computation`] puts its results.
pub struct Outputs<'a, O> {
    pub(crate) results: &'a Results<O>,
    pub(crate) unit: &'a mut UnitResults,
    pub(crate) spectra_per_position: usize,
    /// Sees each output, with the number of its spectrum, before it becomes bytes.
    pub(crate) watch: Option<Watch<'a, O>>,
}

pub(crate) type Watch<'a, O> = &'a mut dyn FnMut(usize, &O);

impl<O> Outputs<'_, O> {
    /// Sets the result, or the failure, of spectrum number `index` of the unit.
    pub fn set(&mut self, index: usize, result: Result<O, Failure>) {
        self.set_from(index, result.as_ref().map_err(Clone::clone));
    }

    /// As `set`, from an output that the caller keeps, so that large ones needn't be allocated anew
    /// for every spectrum.
    pub fn set_from(&mut self, index: usize, result: Result<&O, Failure>) {
        self.unit.set[index] = true;
        if let Err(failure) = result.and_then(|output| self.encode(index, output)) {
            self.unit.clear(self.results, index);
            let position = (index / self.spectra_per_position) as u64;
            self.unit.failures.push((position, failure));
        }
    }

    fn encode(&mut self, index: usize, output: &O) -> Result<(), Failure> {
        if let Some(watch) = &mut self.watch {
            watch(index, output);
        }
        for (rows, column) in self.unit.rows.iter_mut().zip(&self.results.datasets) {
            let bytes = column.layout.missing.len();
            column.encode(output, &mut rows[index * bytes..][..bytes])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fit {
        amplitude: f32,
        steps: u16,
        curve: Vec<f64>,
    }

    fn declared() -> Results<Fit> {
        let mut results = Results::new();
        let axis = Dimension::new("Time", "s", vec![0.0, 0.5]);
        results.main("Curve", "Voltage", "V").spectrum(vec![axis], |fit: &Fit| &fit.curve);
        results
            .main("Fit", "Fit", "")
            .record()
            .field("Amplitude [V]", |fit: &Fit| fit.amplitude)
            .field("Steps", |fit: &Fit| fit.steps);
        results
    }

    #[test]
    fn outputs_are_laid_out_per_spectrum_and_failures_are_missing() {
        let results = declared();
        assert_eq!(results.bytes_per_spectrum(), 16 + 6);
        let mut unit = UnitResults::default();
        unit.begin(&results, 4);
        let mut seen = Vec::new();
        let mut watch = |index: usize, fit: &Fit| seen.push((index, fit.steps));
        let mut outputs = Outputs {
            results: &results,
            unit: &mut unit,
            spectra_per_position: 2,
            watch: Some(&mut watch),
        };
        outputs.set(1, Ok(Fit { amplitude: 2.5, steps: 7, curve: vec![1.0, -1.0] }));
        outputs.set(0, Err(Failure::new("no peak")));
        outputs.set(3, Ok(Fit { amplitude: 1.0, steps: 1, curve: vec![1.0] }));
        unit.finish(&results, 2);
        assert_eq!(seen, [(1, 7), (3, 1)]);

        let curve: Vec<f64> =
            unit.rows[0].chunks_exact(8).map(bytemuck::pod_read_unaligned).collect();
        assert_eq!(curve[2..4], [1.0, -1.0]);
        assert!(curve[..2].iter().chain(&curve[4..]).all(|value| value.is_nan()));
        assert_eq!(
            unit.rows[1][6..12],
            [2.5f32.to_ne_bytes().as_slice(), &7u16.to_ne_bytes()].concat()
        );
        assert_eq!(unit.rows[1][10 - 6..6], [0, 0]);
        let reasons: Vec<_> =
            unit.failures.iter().map(|(at, why)| (*at, why.to_string())).collect();
        assert_eq!(reasons[0], (0, "no peak".to_owned()));
        assert_eq!(reasons[1].0, 1);
        assert_eq!(reasons.len(), 2);
    }

    #[test]
    fn outputs_that_the_caller_keeps_are_laid_out_like_others() {
        let results = declared();
        let [mut given, mut kept] = [UnitResults::default(), UnitResults::default()];
        let fit = || Fit { amplitude: 2.5, steps: 7, curve: vec![1.0, -1.0] };
        for unit in [&mut given, &mut kept] {
            unit.begin(&results, 2);
        }
        let mut outputs =
            Outputs { results: &results, unit: &mut given, spectra_per_position: 1, watch: None };
        outputs.set(0, Ok(fit()));
        outputs.set(1, Err(Failure::new("no peak")));
        let mut outputs =
            Outputs { results: &results, unit: &mut kept, spectra_per_position: 1, watch: None };
        outputs.set_from(0, Ok(&fit()));
        outputs.set_from(1, Err(Failure::new("no peak")));
        assert_eq!((given.rows, given.failures), (kept.rows, kept.failures));
    }

    #[test]
    fn constants_take_no_room_in_units() {
        let mut results = declared();
        let axis = Dimension::new("Frequency", "Hz", vec![0.0, 10.0, 20.0]);
        results.main("Gain", "Gain", "").constant(vec![axis], &[1.0f32, 0.5, 0.0]);
        assert_eq!((results.bytes_per_spectrum(), results.datasets.len()), (16 + 6, 2));
        assert_eq!(results.constants[0].values.len(), 12);
    }
}
