//! Results datasets as an author declares them: typed columns taken from an output by closures, and
//! arrays that are the same for all positions.
//!
//! The closures give element types, layout, bytes per position and the encoding at once, so that
//! no process touches HDF5. Pure: bytes in memory, no files.

use crate::column_layout::{ColumnLayout, Constant};
use crate::contribution::Contribution;
use crate::dimension::Dimension;
use crate::element::Element;
use crate::failure::Failure;

/// The results datasets of a process whose map function gives an `O`.
pub struct Results<O> {
    /// What each results dataset is.
    pub columns: Vec<ColumnLayout>,
    /// How the values of each are taken from an output.
    pub encoders: Vec<ColumnEncoder<O>>,
    /// What is the same for all positions.
    pub constants: Vec<Constant>,
}

/// Takes the values of one results dataset from an output: field by field of a record.
pub struct ColumnEncoder<O> {
    fields: Vec<(usize, Encoder<O>)>,
}

type Encoder<O> = Box<dyn Fn(&O, &mut [u8]) -> Result<(), Failure> + Send + Sync>;

impl<O> Default for Results<O> {
    fn default() -> Self {
        Self { columns: Vec::new(), encoders: Vec::new(), constants: Vec::new() }
    }
}

impl<O> Results<O> {
    /// Begins a results dataset with its name, the quantity that it holds and its units. Leave
    /// one out for an optional result that isn't wanted.
    pub fn main(
        &mut self,
        name: impl Into<String>,
        quantity: impl Into<String>,
        units: impl Into<String>,
    ) -> Declaration<'_, O> {
        Declaration { results: self, layout: ColumnLayout::new(name, quantity, units, Vec::new()) }
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
        self.results.constants.push(Constant::new(self.layout, values));
    }

    /// One compound record per spectrum; add its fields with [`Record::field`].
    pub fn record(self) -> Record<'r, O> {
        self.results.columns.push(self.layout);
        self.results.encoders.push(ColumnEncoder { fields: Vec::new() });
        Record { results: self.results }
    }

    fn finish(self, encoder: Encoder<O>) {
        let bytes = self.layout.spectrum_bytes();
        self.results.columns.push(self.layout);
        self.results.encoders.push(ColumnEncoder { fields: vec![(bytes, encoder)] });
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
        let Results { columns, encoders, .. } = &mut *self.results;
        if let Some((column, encoder)) = columns.last_mut().zip(encoders.last_mut()) {
            column.push::<T>(Some(name.into()));
            let encode: Encoder<O> = Box::new(move |output, bytes| {
                bytes.copy_from_slice(bytemuck::bytes_of(&value(output)));
                Ok(())
            });
            encoder.fields.push((size_of::<T>(), encode));
        }
        self
    }
}

impl<O> ColumnEncoder<O> {
    fn encode(&self, output: &O, mut bytes: &mut [u8]) -> Result<(), Failure> {
        if let [(_, encoder)] = self.fields.as_slice() {
            return encoder(output, bytes);
        }
        for (size, encoder) in &self.fields {
            let (value, rest) = bytes.split_at_mut(*size);
            encoder(output, value)?;
            bytes = rest;
        }
        Ok(())
    }
}

/// Where [`crate::Process::unit_computation`] puts its results.
pub struct Outputs<'a, O> {
    /// How outputs become bytes.
    pub encoders: &'a [ColumnEncoder<O>],
    /// Where these go.
    pub contribution: Contribution<'a>,
    /// Sees each output, with the number of its spectrum, before it becomes bytes.
    pub watch: Option<Watch<'a, O>>,
}

/// What sees each output, with the number of its spectrum.
pub type Watch<'a, O> = &'a mut dyn FnMut(usize, &O);

impl<O> Outputs<'_, O> {
    /// Sets the result, or the failure, of spectrum number `index` of the unit.
    pub fn set(&mut self, index: usize, result: Result<O, Failure>) {
        self.set_from(index, result.as_ref().map_err(Clone::clone));
    }

    /// As `set`, from an output that the caller keeps, so that large ones needn't be allocated anew
    /// for every spectrum.
    pub fn set_from(&mut self, index: usize, result: Result<&O, Failure>) {
        let output = match result {
            Ok(output) => output,
            Err(failure) => return self.contribution.fail(index, failure),
        };
        if let Some(watch) = &mut self.watch {
            watch(index, output);
        }
        let encoders = self.encoders;
        self.contribution.set(index, |dataset, bytes| encoders[dataset].encode(output, bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contribution::UnitResults;

    struct Fit {
        amplitude: f32,
        steps: u16,
        curve: Vec<f64>,
    }

    fn declared() -> Results<Fit> {
        let mut results = Results::default();
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
        let bytes: Vec<usize> = results.columns.iter().map(ColumnLayout::spectrum_bytes).collect();
        assert_eq!(bytes, [16, 6]);
        let mut unit = UnitResults::default();
        let mut seen = Vec::new();
        let mut watch = |index: usize, fit: &Fit| seen.push((index, fit.steps));
        let mut outputs = Outputs {
            encoders: &results.encoders,
            contribution: unit.begin(&results.columns, 4, 2),
            watch: Some(&mut watch),
        };
        outputs.set(1, Ok(Fit { amplitude: 2.5, steps: 7, curve: vec![1.0, -1.0] }));
        outputs.set(0, Err(Failure::new("no peak")));
        outputs.set(3, Ok(Fit { amplitude: 1.0, steps: 1, curve: vec![1.0] }));
        outputs.contribution.finish();
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
        let outputs = |unit| Outputs {
            encoders: &results.encoders,
            contribution: UnitResults::begin(unit, &results.columns, 2, 1),
            watch: None,
        };
        let (mut given_to, mut kept_in) = (outputs(&mut given), outputs(&mut kept));
        given_to.set(0, Ok(fit()));
        given_to.set(1, Err(Failure::new("no peak")));
        kept_in.set_from(0, Ok(&fit()));
        kept_in.set_from(1, Err(Failure::new("no peak")));
        assert_eq!((given.rows, given.failures), (kept.rows, kept.failures));
    }

    #[test]
    fn constants_take_no_room_in_units() {
        let mut results = declared();
        let axis = Dimension::new("Frequency", "Hz", vec![0.0, 10.0, 20.0]);
        results.main("Gain", "Gain", "").constant(vec![axis], &[1.0f32, 0.5, 0.0]);
        assert_eq!(results.columns.len(), 2);
        assert_eq!(results.constants[0].values.len(), 12);
    }
}
