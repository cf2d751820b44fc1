//! The sum of the logarithms of all frames: where anything happens anywhere in a scan, however
//! faint.
//!
//! `Log_Sum` of a point is Σ ln(v − m + 1) over all positions, m being the smallest value of the
//! position's spectrum: LiberTEM's `LogsumUDF`, in double precision. A spectrum with a value that
//! is no number has no smallest one: its position fails.

use pixelmill_core::process::{Failure, NoParameters, SourceInfo, Spectrum};
use pixelmill_core::reduction::{Buffer, Buffers, Parts, Reduction, Whole};

/// The reduction `Log_Sum`.
pub struct LogSum;

impl Reduction for LogSum {
    const NAME: &'static str = "Log_Sum";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str =
        "the sum of the logarithms of all spectra, each from its smallest value on";
    const WHOLE: Whole = Whole::Spectrum;

    type Parameters = NoParameters;
    type Input = f64;
    type Task = Buffer<f64>;
    type Scratch = ();

    fn prepare(
        _: &NoParameters,
        source: &SourceInfo,
        buffers: &mut Buffers,
    ) -> Result<Buffer<f64>, Failure> {
        Ok(buffers.per_point("Log_Sum").published(&format!("ln {}", source.quantity), ""))
    }

    fn process_spectrum(
        sums: &Buffer<f64>,
        spectrum: Spectrum<'_, f64>,
        parts: &mut Parts<'_>,
        _: &mut (),
    ) -> Result<(), Failure> {
        if spectrum.iter().any(|value| value.is_nan()) {
            return Err(Failure::new("a value is no number"));
        }
        let least = spectrum.iter().copied().fold(f64::INFINITY, f64::min);
        let sums = parts.get(*sums).iter_mut();
        sums.zip(spectrum.iter()).for_each(|(sum, value)| *sum += libm::log(value - least + 1.0));
        Ok(())
    }

    fn merge(
        sums: &Buffer<f64>,
        into: &mut Parts<'_>,
        from: &mut Parts<'_>,
    ) -> Result<(), Failure> {
        let pairs = into.get(*sums).iter_mut().zip(from.get(*sums));
        pairs.for_each(|(sum, other)| *sum += *other);
        Ok(())
    }
}
