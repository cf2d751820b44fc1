//! The sum of each spectrum.
//!
//! Real numbers are added in double precision. Shapes: a spectrum (S) gives one value, (P, 1), in
//! the units of the source.

use pixelmill_core::Results;
use pixelmill_core::process::{Failure, NoParameters, Process, SourceInfo, Spectrum};

/// The process `Sum`.
pub struct Sum;

impl Process for Sum {
    const NAME: &'static str = "Sum";
    const VERSION: u32 = 2;
    const SUMMARY: &'static str = "the sum of each real spectrum";
    const IN_PARTS: bool = true;

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
        let (eights, rest) = spectrum.as_chunks();
        Ok(added(eights).iter().chain(rest).sum())
    }

    fn join(_task: &(), earlier: f64, later: f64) -> Result<f64, Failure> {
        Ok(earlier + later)
    }
}

/// Eight sums side by side keep the adder busy. Their number is fixed, so that the result has the
/// same bits on every machine, also where it is compiled for wider registers.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn added(eights: &[[f64; 8]]) -> [f64; 8] {
    let mut all = [0.0; 8];
    for eight in eights {
        for (sum, value) in all.iter_mut().zip(eight) {
            *sum += value;
        }
    }
    all
}
