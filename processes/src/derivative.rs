//! The derivative of each spectrum along its axis, by a Savitzky–Golay filter.
//!
//! Each channel has the derivative of order `deriv` of the polynomial that
//! [`smooth`](crate::smooth) has the value of, over the step Δ of the axis to its power: of a
//! spectrum over an axis in V it is per V, and its sign is right also where the axis falls. As
//! `scipy.signal.savgol_filter(…, deriv, delta=Δ)`, with its names and modes. Of five channels and
//! order 2 the first derivative is Σ i·yᵢ / 10Δ with i from −2 to 2.
//!
//! A row with several axes holds a spectrum along the fastest one for each step of the others. The
//! axis has to be evenly spaced. Result: `Derivative`, in the units of the source over those of the
//! axis, on the axes of the source, in single precision if the source's values fit that (float32,
//! integers of up to 16 bits) and Δ to the power is from 1e-15 to 1e15, else in double; all is
//! computed in double.
//!
//! What isn't finite takes all channels along whose window it is in: they are NaN, as are
//! derivatives that are too large for a number. Those of constant, empty and saturated spectra are
//! 0, within rounding, but at the edges of what is saturated.

use pixelmill_core::Results;
use pixelmill_core::process::{
    Failure, Model, Outputs, Process, SourceInfo, Spectrum, SpectrumAxes, Unit,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::as_source::Values;
use crate::savitzky_golay::{Design, Filter, Mode, Scratch, has_single_results};
use crate::spectral_axis;

/// The derivative, the window and the polynomial; names are those of SciPy.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Parameters {
    /// Which derivative: the first, the second and so on; at most `polyorder`.
    #[schemars(range(min = 1, max = 20))]
    pub deriv: usize,
    /// Channels that the polynomial is fitted to; odd.
    #[schemars(range(min = 3, max = 9999), extend("unit" = "points"))]
    pub window_length: usize,
    /// Order of the polynomial; below `window_length`.
    #[schemars(range(min = 1, max = 20))]
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
        Self { deriv: 1, window_length: 11, polyorder: 2, mode: Mode::Interp, cval: 0.0 }
    }
}

impl Parameters {
    fn design(&self) -> Design {
        let Self { deriv, window_length, polyorder, mode, cval } = *self;
        Design { window_length, polyorder, deriv, mode, cval }
    }
}

impl pixelmill_core::process::Parameters for Parameters {
    fn check(&self) -> Result<(), Failure> {
        self.design().check()
    }
}

/// The process `Derivative`.
pub struct Derivative;

impl Process for Derivative {
    const NAME: &'static str = "Derivative";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str =
        "a derivative of each real spectrum along its axis by a Savitzky–Golay filter";

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
        let power = -(parameters.deriv as i64);
        let units = spectral_axis::units(&source.units, &source.axis(0).units, power);
        let quantity = format!("Derivative of {}", source.quantity);
        let derivative = results.main("Derivative", quantity.trim_end(), units);
        Values::declare(derivative, source, has_single_results(parameters.design(), source));
    }

    fn map_function(
        filter: &Filter,
        spectrum: Spectrum<'_, f64>,
        scratch: &mut Scratch,
    ) -> Result<Values, Failure> {
        Ok(filter.filtered(&spectrum, scratch))
    }

    /// Drawn as high as the data are, since it has other units.
    fn model(_filter: &Filter, spectrum: Spectrum<'_, f64>, output: &Values) -> Model {
        let curve = output.to_vec();
        let extent = |values: &[f64]| {
            let (least, most) =
                values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |all, value| {
                    (all.0.min(*value), all.1.max(*value))
                });
            (least, most - least)
        };
        let ((least, range), (own_least, own_range)) = (extent(&spectrum), extent(&curve));
        let scale = if own_range > 0.0 { range / own_range } else { 0.0 };
        let scaled = curve.iter().map(|value| least + (value - own_least) * scale);
        Model::new().part("derivative, scaled", scaled.collect::<Vec<_>>())
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
