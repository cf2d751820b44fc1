//! Each spectrum smoothed along its axis by a Savitzky–Golay filter.
//!
//! Each channel has the value of the polynomial of order `polyorder` that is nearest, by least
//! squares, to the `window_length` channels around it (A. Savitzky & M. J. E. Golay, Anal. Chem. 36
//! (1964) 1627): peaks keep their height and width better than in a running mean. As
//! `scipy.signal.savgol_filter`, with its names, modes at the ends included: `interp` takes the
//! polynomial through the last whole window, all others continue the spectrum beyond its ends.
//! SciPy (1.13 and 1.17) solves for powers of the channels' numbers, and loses digits where windows
//! are long and orders high: its weights are off by 4e-10 of the largest at 101 channels and order
//! 5, by 7e-4 at 101 and order 9, and are all 0 at 301 and order 9, and at 1001 and order 6. Here
//! polynomials are orthogonal, and no digits are lost.
//!
//! A row with several axes holds a spectrum along the fastest one for each step of the others. The
//! axis has to be evenly spaced. Result: `Smoothed`, as the source, in single precision if the
//! source's values fit that (float32, integers of up to 16 bits), else in double; all is computed
//! in double.
//!
//! What isn't finite takes all channels along whose window it is in: they are NaN, and all others
//! are as without it. Constant and empty spectra stay what they are, within rounding; at the edges
//! of saturated channels the polynomial may overshoot, as everywhere at steps.

use pixelmill_core::Results;
use pixelmill_core::process::{
    Failure, Model, Outputs, Process, SourceInfo, Spectrum, SpectrumAxes, Unit,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::as_source::Values;
use crate::savitzky_golay::{Design, Filter, Mode, Scratch, has_single_results};

/// The window and the polynomial; names are those of SciPy.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Parameters {
    /// Channels that the polynomial is fitted to; odd.
    #[schemars(range(min = 1, max = 9999), extend("unit" = "points"))]
    pub window_length: usize,
    /// Order of the polynomial; below `window_length`.
    #[schemars(range(min = 0, max = 20))]
    pub polyorder: usize,
    /// What stands for the channels beyond the ends of the spectrum: nothing, and the last whole
    /// window counts (interp), those as in a mirror on the last one, the last one, `cval`, or
    /// those of the other end.
    pub mode: Mode,
    /// For mode=constant: the value beyond the ends.
    pub cval: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { window_length: 11, polyorder: 2, mode: Mode::Interp, cval: 0.0 }
    }
}

impl Parameters {
    fn design(&self) -> Design {
        let Self { window_length, polyorder, mode, cval } = *self;
        Design { window_length, polyorder, deriv: 0, mode, cval }
    }
}

impl pixelmill_core::process::Parameters for Parameters {
    fn check(&self) -> Result<(), Failure> {
        self.design().check()
    }
}

/// The process `Smooth`.
pub struct Smooth;

impl Process for Smooth {
    const NAME: &'static str = "Smooth";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str =
        "each real spectrum smoothed along its axis by a Savitzky–Golay filter";

    type Parameters = Parameters;
    type Input = f64;
    type Output = Values;
    type Task = Filter;
    type Scratch = Scratch;

    fn prepare(parameters: &Parameters, source: &SourceInfo) -> Result<Filter, Failure> {
        Filter::new(parameters.design(), source)
    }

    fn create_results_datasets(
        parameters: &Parameters,
        source: &SourceInfo,
        results: &mut Results<Values>,
    ) {
        let smoothed = results.main("Smoothed", &source.quantity, &source.units);
        Values::declare(smoothed, source, has_single_results(parameters.design(), source));
    }

    fn map_function(
        filter: &Filter,
        spectrum: Spectrum<'_, f64>,
        scratch: &mut Scratch,
    ) -> Result<Values, Failure> {
        Ok(filter.filtered(&spectrum, scratch))
    }

    fn model(_filter: &Filter, _spectrum: Spectrum<'_, f64>, output: &Values) -> Model {
        Model::new().curve("smoothed", output.to_vec())
    }

    fn spectrum_axes(_parameters: &Parameters) -> SpectrumAxes {
        SpectrumAxes::One
    }

    fn unit_computation(
        filter: &Filter,
        unit: &mut Unit<'_, f64>,
        scratch: &mut Scratch,
        outputs: &mut Outputs<'_, Values>,
    ) -> Result<(), Failure> {
        filter.filter_unit(unit, scratch, outputs);
        Ok(())
    }
}
