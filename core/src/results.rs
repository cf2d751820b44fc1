//! Results datasets as an author declares them: typed columns taken from an output by closures, and
//! arrays that are the same for all positions.
//!
//! The closures give element types, layout, bytes per position and the encoding at once, so that
//! no process touches HDF5. Pure: bytes in memory, no files.

use std::ops::Range;

use ndarray::{ArrayView, ArrayViewMut};

use crate::arrays::by;
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
#[must_use = "a results dataset needs `scalar`, `spectrum`, `array`, `record` or `constant`"]
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

    /// An array per spectrum, with the axes `dimensions` (slowest first): `|output: &Output|
    /// output.map.view()`. Its own order in memory doesn't matter. A spectrum fails whose array
    /// has another shape.
    pub fn array<T: Element, D: ndarray::Dimension>(
        mut self,
        dimensions: Vec<Dimension>,
        values: impl Fn(&O) -> ArrayView<'_, T, D> + Send + Sync + 'static,
    ) {
        let shape: Vec<usize> = dimensions.iter().map(Dimension::len).collect();
        self.layout.dimensions = dimensions;
        self.layout.push::<T>(None);
        self.finish(Box::new(move |output, bytes| {
            let array = values(output);
            if array.shape() != shape {
                return Err(Failure::new(format!(
                    "the map function gave an array of {} where one of {} belongs",
                    by(array.shape()),
                    by(&shape)
                )));
            }
            match array.as_slice() {
                Some(values) => bytes.copy_from_slice(bytemuck::cast_slice(values)),
                None => {
                    let places = bytes.chunks_exact_mut(size_of::<T>());
                    places.zip(&array).for_each(|(place, value)| {
                        place.copy_from_slice(bytemuck::bytes_of(value));
                    });
                }
            }
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
    pub(crate) fn encode(&self, output: &O, mut bytes: &mut [u8]) -> Result<(), Failure> {
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
    #[inline]
    pub fn set(&mut self, index: usize, result: Result<O, Failure>) {
        self.set_from(index, result.as_ref().map_err(Clone::clone));
    }

    /// As `set`, from an output that the caller keeps, so that large ones needn't be allocated anew
    /// for every spectrum.
    #[inline]
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

    /// Results dataset number `dataset`, in the order of their declaration, of all spectra as one
    /// array: an axis along which they follow each other, then the dataset's own axes. For what
    /// gives the results of a whole unit at once; say of which spectra with [`Self::filled`]
    /// when all datasets have theirs.
    ///
    /// # Errors
    /// If it has another element type or another number of axes, or holds records.
    pub fn column<T: Element, D: ndarray::Dimension>(
        &mut self,
        dataset: usize,
    ) -> Result<ArrayViewMut<'_, T, D>, Failure> {
        self.contribution.column(dataset)
    }

    /// Says that the results of some spectra were put into the arrays of all datasets. Those that
    /// were set as failed stay so.
    pub fn filled(&mut self, spectra: Range<usize>) {
        self.contribution.filled(spectra);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contribution::UnitResults;
    use ndarray::{Array2, Axis, Ix1, Ix2, Slice, array};

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
        let rows =
            |unit: &UnitResults| unit.rows.iter().map(|rows| rows.to_vec()).collect::<Vec<_>>();
        assert_eq!((rows(&given), given.failures), (rows(&kept), kept.failures));
    }

    #[test]
    fn arrays_are_stored_in_the_order_of_their_axes_however_they_lie_in_memory() {
        let axes = || {
            vec![
                Dimension::new("Y", "um", vec![0.0, 1.0]),
                Dimension::new("X", "um", vec![0.0, 1.0, 2.0]),
            ]
        };
        let mut results = Results::<Array2<f32>>::default();
        results.main("Map", "Height", "nm").array(axes(), |map: &Array2<f32>| map.view());
        results
            .main("Turned", "Height", "nm")
            .array(axes(), |map: &Array2<f32>| map.slice_axis(Axis(0), Slice::new(0, None, -1)));
        let mut unit = UnitResults::default();
        let mut outputs = Outputs {
            encoders: &results.encoders,
            contribution: unit.begin(&results.columns, 3, 1),
            watch: None,
        };
        let map = array![[0.0f32, 1.0, 2.0], [3.0, 4.0, 5.0]];
        let across = map.t().as_standard_layout().into_owned();
        outputs.set(0, Ok(map.clone()));
        // The same array, but with the slow axis side by side in memory.
        outputs.set(1, Ok(across.clone().reversed_axes()));
        outputs.set(2, Ok(across));
        outputs.contribution.finish();
        let stored = |dataset: usize, spectrum: usize| -> Vec<f32> {
            bytemuck::cast_slice(&unit.rows[dataset])[spectrum * 6..][..6].to_vec()
        };
        for spectrum in [0, 1] {
            assert_eq!(stored(0, spectrum), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
            assert_eq!(stored(1, spectrum), [3.0, 4.0, 5.0, 0.0, 1.0, 2.0]);
        }
        assert!(stored(0, 2).iter().all(|value| value.is_nan()));
        let reasons: Vec<_> =
            unit.failures.iter().map(|(at, why)| (*at, why.to_string())).collect();
        let told = "the map function gave an array of 3 × 2 where one of 2 × 3 belongs";
        assert_eq!(reasons, [(2, told.to_owned())]);
    }

    #[test]
    fn columns_are_filled_as_arrays_and_nothing_of_another_unit_stays() {
        let mut results = Results::<()>::default();
        let axis = Dimension::new("Time", "s", vec![0.0, 0.5]);
        results
            .main("Curve", "Voltage", "V")
            .spectrum(vec![axis], |(): &()| [0.0f64; 2].as_slice());
        results.main("Count", "Count", "").scalar(|(): &()| 0i32);
        let mut unit = UnitResults::default();
        let mut filled = |curves: Range<usize>, counts: bool| {
            let mut outputs = Outputs {
                encoders: &results.encoders,
                contribution: unit.begin(&results.columns, 4, 2),
                watch: None,
            };
            outputs.set(1, Err(Failure::new("no curve")));
            let mut curve = outputs.column::<f64, Ix2>(0).unwrap();
            curve.slice_axis_mut(Axis(0), curves.into()).assign(&array![1.0, 2.0]);
            if counts {
                outputs.column::<i32, Ix1>(1).unwrap().fill(7);
            }
            outputs.filled(0..3);
            outputs.contribution.finish();
            let failures: Vec<_> =
                unit.failures.iter().map(|(at, why)| (*at, why.to_string())).collect();
            (
                bytemuck::cast_slice::<u8, f64>(&unit.rows[0]).to_vec(),
                bytemuck::cast_slice::<u8, i32>(&unit.rows[1]).to_vec(),
                failures,
            )
        };
        let (curves, counts, failures) = filled(0..4, true);
        assert_eq!((&curves[..2], &curves[4..6]), ([1.0, 2.0].as_slice(), [1.0, 2.0].as_slice()));
        // One has failed, and of one nobody has said that it is there.
        assert!(curves[2..4].iter().chain(&curves[6..]).all(|value| value.is_nan()));
        assert_eq!(counts, [7, 0, 7, 0]);
        assert_eq!((failures[0].0, failures[0].1.as_str()), (0, "no curve"));
        assert_eq!(failures[1].1, "the unit computation gave no result");

        let (curves, _, _) = filled(0..1, true);
        assert!(curves[4..6].iter().all(|value| value.is_nan()), "another unit's: {curves:?}");
        let (_, counts, failures) = filled(0..4, false);
        assert_eq!(counts, [0; 4]);
        assert_eq!(failures[1].1, "the unit computation put nothing into `Count`");
    }

    #[test]
    fn columns_are_handed_out_as_what_they_hold_alone() {
        let results = declared();
        let mut unit = UnitResults::default();
        let mut contribution = unit.begin(&results.columns, 2, 1);
        assert_eq!(contribution.column::<f64, Ix2>(0).unwrap().shape(), [2, 2]);
        for (failure, told) in [
            (contribution.column::<f32, Ix2>(0).err(), "holds float64, not float32"),
            (contribution.column::<f64, Ix1>(0).err(), "`Curve` of a unit has 2 axes (2 × 2)"),
            (contribution.column::<f32, Ix1>(1).err(), "holds records"),
            (contribution.column::<f32, Ix1>(2).err(), "no results dataset number 2"),
        ] {
            let failure = failure.unwrap().to_string();
            assert!(failure.contains(told), "{failure}");
        }
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
