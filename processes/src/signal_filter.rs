//! Filtering in the domain of frequencies, as pycroscopy's `SignalFilter` does it.
//!
//! Each row x of N values (one trace, also where it has several axes) is transformed,
//! F = Σ x·e^(−2πi·kn/N); F is multiplied by the product H of all frequency filters (`composite`);
//! bins with |F·H| below the noise floor of F (`noise`) become 0; the inverse transform gives the
//! filtered row. Formulas: pycroscopy, `processing/fft.py` and `processing/signal_filter.py`. All
//! is computed in double precision.
//!
//! Results, of a row of N values: `Filtered_Data` (N) as the source; `Condensed_Data`, the complex
//! F·H of the bins from 0 to half the sample rate that H lets pass, not divided by N;
//! `Noise_Floors`, one amplitude of F per row; `Composite_Filter` (N), H with 0 Hz at N/2, once.
//! Filtered and condensed data are in single precision if the source's values fit that (float32,
//! integers of up to 16 bits), else in double.
//!
//! pycroscopy can join the rows of several pixels (`num_pix`). Here a row's result depends on
//! nothing but this row: it is transformed by itself, whatever else is computed with it. Its last
//! bits depend on the processor's instructions, since the transforms of `rustfft` do. Different
//! from pycroscopy, where it is wrong:
//! - The noise floor is estimated until it stays, not until it changes by less than 0.01 in the
//!   units of the data: small signals never had a second estimate.
//! - A filter for an odd number of points has its centre at 0 Hz; it was off by one bin for 3, 7,
//!   11 …
//! - Bands and harmonics that reach half the sample rate are cut there or refused; their negative
//!   halves wrapped around. An edge of one bin is halfway on both sides.
//! - Filtered integers aren't cut to integers, and bins below the floor are 0, not 1e-16.
//!
//! Rows with a value that isn't finite, or too large to be transformed, fail. Constant and empty
//! (all zero) rows have a result: their mean, as far as the filters let 0 Hz pass.

mod composite;
mod noise;
mod row;

use num_complex::{Complex32, Complex64};
use pixelmill_core::Results;
use pixelmill_core::process::{Failure, Model, Outputs, Process, SourceInfo, Spectrum, Unit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::as_source::{self, is_single};
use composite::{Bins, bins, composite};
use row::{RowFilter, Scratch};

/// Which frequencies stay. At least one filter or the noise threshold has to be given.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Parameters {
    /// Values per second. None: from the fastest axis of the spectra, if that is time in s, ms, us
    /// or ns, evenly spaced. The filters need it, a noise threshold alone doesn't.
    #[schemars(range(min = 1e-6, max = 1e12), extend("unit" = "Hz"))]
    pub sample_rate: Option<f64>,
    /// Frequency above which nothing passes; below half the sample rate.
    #[schemars(range(min = 0.0), extend("unit" = "Hz"))]
    pub low_pass: Option<f64>,
    /// Frequency below which nothing passes, 0 Hz included; below half the sample rate.
    #[schemars(range(min = 0.0), extend("unit" = "Hz"))]
    pub high_pass: Option<f64>,
    /// Width of the edge of the low-pass filter, which ends at its frequency, and of the high-pass
    /// filter, which begins there, as a fraction of the frequency.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub roll_off: f64,
    /// Centres of bands that pass, as [1000, 2500]; nothing passes outside all of them.
    #[schemars(extend("unit" = "Hz"))]
    pub band_pass_frequencies: Option<Vec<f64>>,
    /// Whole width of each of these bands.
    #[schemars(extend("unit" = "Hz"))]
    pub band_pass_widths: Option<Vec<f64>>,
    /// The first of the harmonics that pass; nothing passes beside them.
    #[schemars(range(min = 0.0), extend("unit" = "Hz"))]
    pub harmonic_frequency: Option<f64>,
    /// Whole width of the band around each harmonic.
    #[schemars(range(min = 0.0), extend("unit" = "Hz"))]
    pub harmonic_width: Option<f64>,
    /// Number of harmonics, the first one included.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub harmonics: u32,
    /// Centres of bands of noise that don't pass, as [50, 150].
    #[schemars(extend("unit" = "Hz"))]
    pub noise_band_frequencies: Option<Vec<f64>>,
    /// Whole width of each of these bands.
    #[schemars(extend("unit" = "Hz"))]
    pub noise_band_widths: Option<Vec<f64>>,
    /// Share of the bins of white noise that may pass; a smaller one removes more. Bins below the
    /// floor that follows become 0. Above 0.03 noise has no such floor. None: no threshold.
    #[schemars(range(min = 1e-12, max = 0.03))]
    pub noise_threshold: Option<f64>,
    /// Whether the filtered data are written, as large as the source's.
    pub write_filtered: bool,
    /// Whether the bins that the filters let pass are written, as complex numbers.
    pub write_condensed: bool,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            sample_rate: None,
            low_pass: None,
            high_pass: None,
            roll_off: 0.05,
            band_pass_frequencies: None,
            band_pass_widths: None,
            harmonic_frequency: None,
            harmonic_width: None,
            harmonics: 1,
            noise_band_frequencies: None,
            noise_band_widths: None,
            noise_threshold: None,
            write_filtered: true,
            write_condensed: false,
        }
    }
}

impl Parameters {
    /// Whether there is any frequency filter.
    fn has_filters(&self) -> bool {
        self.low_pass.is_some()
            || self.high_pass.is_some()
            || self.band_pass_frequencies.is_some()
            || self.harmonic_frequency.is_some()
            || self.noise_band_frequencies.is_some()
    }
}

impl pixelmill_core::process::Parameters for Parameters {
    fn check(&self) -> Result<(), Failure> {
        check_bands("band_pass", &self.band_pass_frequencies, &self.band_pass_widths)?;
        check_bands("noise_band", &self.noise_band_frequencies, &self.noise_band_widths)?;
        if self.harmonic_frequency.is_some() != self.harmonic_width.is_some() {
            let reason = "`harmonic_frequency` and `harmonic_width` belong together: give both";
            return Err(Failure::new(reason));
        }
        if !self.has_filters() && self.noise_threshold.is_none() {
            return Err(Failure::new(
                "there is nothing to filter by: give a filter, as `low_pass=20000`, or \
                 `noise_threshold=1e-4`",
            ));
        }
        if !(self.write_filtered || self.write_condensed || self.noise_threshold.is_some()) {
            let reason = "no results are left: set `write_filtered` or `write_condensed`";
            return Err(Failure::new(reason));
        }
        Ok(())
    }
}

/// The result of one row. What isn't written, or not in this precision, is empty.
#[derive(Default)]
pub struct Output {
    /// The row: first the source's, then the filtered one.
    signal: Vec<f64>,
    signal_single: Vec<f32>,
    condensed: Vec<Complex64>,
    condensed_single: Vec<Complex32>,
    noise_floor: f64,
}

/// The process `FFT_Filtering`.
pub struct SignalFilter;

impl Process for SignalFilter {
    const NAME: &'static str = "FFT_Filtering";
    const COMMAND: Option<&'static str> = Some("signal-filter");
    const VERSION: u32 = 1;
    const SUMMARY: &'static str =
        "filters each real spectrum by its frequencies, and by the noise floor";

    type Parameters = Parameters;
    type Input = f64;
    type Output = Output;
    type Task = RowFilter;
    type Scratch = Scratch;

    fn prepare(parameters: &Parameters, source: &SourceInfo) -> Result<RowFilter, Failure> {
        let bins = bins(parameters, source)?;
        let gains = composite(parameters, bins)?;
        let noise = parameters.noise_threshold.map(|threshold| -threshold.ln());
        // Else even a lone oscillation, whose power is in two bins, is below the floor that it
        // makes.
        if let Some(log) = noise.filter(|log| bins.points as f64 <= 2.0 * log) {
            return Err(Failure::new(format!(
                "this `noise_threshold` needs spectra of at least {} values, not {}",
                (2.0 * log) as u64 + 1,
                bins.points
            )));
        }
        let condensed = if parameters.write_condensed { passing(&gains, bins) } else { Vec::new() };
        Ok(RowFilter {
            condensed,
            noise,
            writes_filtered: parameters.write_filtered,
            single: is_single(source),
            gains,
            ..RowFilter::new(bins.points)
        })
    }

    fn create_results_datasets(
        parameters: &Parameters,
        source: &SourceInfo,
        results: &mut Results<Output>,
    ) {
        let (quantity, units) = (&source.quantity, &source.units);
        if parameters.write_filtered {
            let filtered = results.main("Filtered_Data", quantity, units);
            let axes = as_source::axes(source);
            if is_single(source) {
                filtered.spectrum(axes, |output: &Output| &output.signal_single);
            } else {
                filtered.spectrum(axes, |output: &Output| &output.signal);
            }
        }
        if parameters.noise_threshold.is_some() {
            results
                .main("Noise_Floors", "Noise floor", units)
                .scalar(|output: &Output| output.noise_floor);
        }
        // `prepare` has refused what these refuse.
        let Ok(bins) = bins(parameters, source) else { return };
        let Ok(gains) = composite(parameters, bins) else { return };
        if parameters.write_condensed {
            let passing = passing(&gains, bins);
            let axis = vec![bins.axis(passing.into_iter().map(|bin| bin as i64))];
            let condensed = results.main("Condensed_Data", "Fourier coefficient", units);
            if is_single(source) {
                condensed.spectrum(axis, |output: &Output| &output.condensed_single);
            } else {
                condensed.spectrum(axis, |output: &Output| &output.condensed);
            }
        }
        if let Some(gains) = gains {
            let half = (bins.points / 2) as i64;
            let shifted = -half..bins.points as i64 - half;
            let gains: Vec<f32> =
                shifted.clone().map(|bin| gains[bin.unsigned_abs() as usize]).collect();
            results.main("Composite_Filter", "Gain", "").constant(vec![bins.axis(shifted)], &gains);
        }
    }

    fn map_function(
        filter: &RowFilter,
        spectrum: Spectrum<'_, f64>,
        scratch: &mut Scratch,
    ) -> Result<Output, Failure> {
        scratch.output.signal.clear();
        scratch.output.signal.extend_from_slice(&spectrum);
        filter.apply(scratch)?;
        Ok(std::mem::take(&mut scratch.output))
    }

    fn model(filter: &RowFilter, _spectrum: Spectrum<'_, f64>, output: &Output) -> Model {
        let filtered: Vec<f64> = match filter.single {
            true => output.signal_single.iter().map(|value| f64::from(*value)).collect(),
            false => output.signal.clone(),
        };
        let model = Model::new();
        if filter.writes_filtered { model.curve("filtered", filtered) } else { model }
    }

    /// A worker's buffers hold a row and its spectrum, once for all rows of a unit; the tables of
    /// the transforms are there once for all workers. So this is what a unit of one row takes,
    /// and more than enough for others.
    fn extra_memory_per_position(parameters: &Parameters, source: &SourceInfo) -> usize {
        row::bytes(source.spectral_points, parameters.write_condensed)
    }

    /// Not spectrum by spectrum through `map_function`, so that no row of results is allocated.
    /// Each row is transformed by itself all the same: two in one complex transform would leave
    /// bits of each in the other.
    fn unit_computation(
        filter: &RowFilter,
        unit: &mut Unit<'_, f64>,
        scratch: &mut Scratch,
        outputs: &mut Outputs<'_, Output>,
    ) -> Result<(), Failure> {
        for index in 0..unit.len() {
            unit.copy_spectrum(index, &mut scratch.output.signal);
            let applied = filter.apply(scratch);
            outputs.set_from(index, applied.map(|()| &scratch.output));
        }
        Ok(())
    }
}

/// Lists of bands have a width for each frequency, and nothing negative.
fn check_bands(
    name: &str,
    frequencies: &Option<Vec<f64>>,
    widths: &Option<Vec<f64>>,
) -> Result<(), Failure> {
    let count = |list: &Option<Vec<f64>>| list.as_ref().map_or(0, Vec::len);
    if count(frequencies) != count(widths) {
        return Err(Failure::new(format!(
            "`{name}_frequencies` and `{name}_widths` belong together: give each frequency its \
             width"
        )));
    }
    if frequencies.iter().chain(widths).flatten().any(|value| *value < 0.0) {
        let reason = format!("`{name}_frequencies` and `{name}_widths` can't be negative");
        return Err(Failure::new(reason));
    }
    if frequencies.as_ref().is_some_and(Vec::is_empty) {
        let reason = format!("`{name}_frequencies` is empty: give at least one, or leave it out");
        return Err(Failure::new(reason));
    }
    Ok(())
}

/// The bins that the filters let pass.
fn passing(gains: &Option<Vec<f32>>, bins: Bins) -> Vec<usize> {
    let passes = |bin: &usize| gains.as_ref().is_none_or(|gains| gains[*bin] > 0.0);
    (0..bins.count()).filter(passes).collect()
}
