//! A process whose result tells whether values are right.

use pixelmill::Results;
use pixelmill::process::{Failure, NoParameters, Process, SourceInfo, Spectrum};

/// A number of each spectrum that tells whether its values are right and in their order; takes
/// every element type.
pub struct Digest;

impl Process for Digest {
    const NAME: &'static str = "Digest";
    const VERSION: u32 = 1;
    const NARROWING: bool = true;

    type Parameters = NoParameters;
    type Input = num_complex::Complex64;
    type Output = f64;
    type Task = ();
    type Scratch = ();

    fn prepare(_: &NoParameters, _: &SourceInfo) -> Result<(), Failure> {
        Ok(())
    }

    fn create_results_datasets(_: &NoParameters, _: &SourceInfo, results: &mut Results<f64>) {
        results.main("Digest", "Digest", "").scalar(|digest: &f64| *digest);
    }

    fn map_function(
        _: &(),
        spectrum: Spectrum<'_, num_complex::Complex64>,
        _: &mut (),
    ) -> Result<f64, Failure> {
        let places = (1u32..).map(f64::from);
        Ok(places.zip(spectrum.iter()).map(|(at, value)| at * value.re + at * at * value.im).sum())
    }
}
