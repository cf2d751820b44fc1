//! The sum of each spectrum.
//!
//! Real numbers are added in double precision. Shapes: a spectrum (S) gives one value, (P, 1), in
//! the units of the source.

use pixelmill_core::Results;
use pixelmill_core::process::{
    Failure, NoParameters, Outputs, Process, SourceInfo, Spectrum, Unit,
};

/// The process `Sum`.
pub struct Sum;

impl Process for Sum {
    const NAME: &'static str = "Sum";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "the sum of each real spectrum";

    type Parameters = NoParameters;
    type Input = f64;
    type Output = f64;
    type Task = ();
    type Scratch = ();

    fn prepare(_parameters: &NoParameters, _source: &SourceInfo) -> Result<(), Failure> {
        Ok(())
    }

    fn create_results_datasets(
        _parameters: &NoParameters,
        source: &SourceInfo,
        results: &mut Results<f64>,
    ) {
        results.main("Sum", &source.quantity, &source.units).scalar(|sum: &f64| *sum);
    }

    fn map_function(
        _task: &(),
        spectrum: Spectrum<'_, f64>,
        _scratch: &mut (),
    ) -> Result<f64, Failure> {
        let mut sums = Sums::default();
        sums.add(&spectrum);
        Ok(sums.finish())
    }

    /// Not spectrum by spectrum through `map_function`, but part by part: a long one is never in
    /// memory as a whole.
    fn unit_computation(
        _task: &(),
        unit: &mut Unit<'_, f64>,
        _scratch: &mut (),
        outputs: &mut Outputs<'_, f64>,
    ) -> Result<(), Failure> {
        for index in 0..unit.len() {
            let mut sums = Sums::default();
            unit.parts(index, |values| sums.add(values));
            outputs.set(index, Ok(sums.finish()));
        }
        Ok(())
    }
}

/// Eight sums side by side keep the adder busy. Their number is fixed, so that the result has the
/// same bits on every machine, also where it is compiled for wider registers.
#[derive(Default)]
struct Sums {
    sums: [f64; 8],
    /// The values behind the last eight, so many of them.
    rest: [f64; 7],
    left: usize,
}

impl Sums {
    /// Adds values, each time but the last a multiple of eight.
    #[inline]
    fn add(&mut self, values: &[f64]) {
        let (eights, rest) = values.as_chunks();
        if !eights.is_empty() {
            add(&mut self.sums, eights);
        }
        self.left = rest.len();
        self.rest[..self.left].copy_from_slice(rest);
    }

    fn finish(self) -> f64 {
        self.sums.iter().chain(&self.rest[..self.left]).sum()
    }
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn add(sums: &mut [f64; 8], eights: &[[f64; 8]]) {
    let mut all = *sums;
    for eight in eights {
        for (sum, value) in all.iter_mut().zip(eight) {
            *sum += value;
        }
    }
    *sums = all;
}
