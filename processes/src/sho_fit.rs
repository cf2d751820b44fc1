//! The simple harmonic oscillator fitted to complex spectra of a band excitation.
//!
//! H(ω) = A·e^{iφ}·ω₀² / (ω² − i·ω·ω₀/Q − ω₀²) (Jesse et al. 2007, Nanotechnology 18, 435503; the
//! form and the names of results are those of BGlib). `guess` finds where to begin, `search` the
//! least squares of the complex residuals, both on the sums of `response`. Shapes: a row of N
//! spectra of S values gives N records, (P, N), in each of `Guess`, `Fit` and `Standard_Errors`. A
//! is in the units of the data, ω₀ in those of the frequency axis; R² is 1 − Σ|y − H|²/Σ|y − ȳ|²,
//! as BGlib has it. Standard errors are those of noise that is equal and independent in both
//! quadratures at all frequencies, estimated from the residuals; they take no notice of bounds. A
//! spectrum that isn't finite, has one value throughout, or whose search doesn't end fails.

mod guess;
mod lanes;
mod response;
mod search;

use num_complex::Complex64;
use pixelmill_core::Results;
use pixelmill_core::process::{
    AuxiliaryInfo, AuxiliaryInput, Dimension, Failure, Model, Process, Record, SourceInfo, Spectrum,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use guess::Guess;
use response::{Band, Denominator, Signal};
use search::{SearchRange, Trial};

/// Results have fields of these names, the first two with units.
const FIELDS: [&str; 4] = ["Amplitude", "Frequency", "Quality Factor", "Phase"];
const R2: &str = "R2 Criterion";

/// How oscillators are fitted.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Parameters {
    /// Number of spectra in each row, one behind the other; if none, the length of the row over
    /// that of its fastest axis, the frequency.
    #[schemars(range(min = 1))]
    pub spectra: Option<usize>,
    /// Path of the `Guess` or `Fit` of an earlier result to begin from, `FILE:PATH` of one in
    /// another file, or `SHO_Fit` for the newest; where that has no numbers, and if none, the
    /// beginning is estimated from each spectrum by itself.
    pub guess: Option<String>,
    /// How many of the brightest points the estimate takes pairs from.
    #[schemars(range(min = 2, max = 100), extend("unit" = "points"))]
    pub guess_points: usize,
    /// Least quality factor that is fitted.
    #[schemars(range(min = 0.01, max = 1e9))]
    pub quality_min: f64,
    /// Greatest quality factor that is fitted.
    #[schemars(range(min = 0.01, max = 1e9))]
    pub quality_max: f64,
    /// How far outside the band the resonance may be, in widths of the band.
    #[schemars(range(min = 0.0, max = 10.0), extend("unit" = "band widths"))]
    pub margin: f64,
    /// Steps of the search after which a spectrum fails.
    #[schemars(range(min = 1, max = 100_000), extend("unit" = "steps"))]
    pub max_steps: usize,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            spectra: None,
            guess: None,
            guess_points: 5,
            quality_min: 1.0,
            quality_max: 1e4,
            margin: 0.0,
            max_steps: 200,
        }
    }
}

impl pixelmill_core::process::Parameters for Parameters {
    fn check(&self) -> Result<(), Failure> {
        if self.quality_min > self.quality_max {
            return Err(Failure::new(format!(
                "`quality_min` is {}, but has to be at most `quality_max`, which is {}",
                self.quality_min, self.quality_max
            )));
        }
        Ok(())
    }
}

/// An oscillator, or the standard errors of one.
#[derive(Clone, Copy, Debug)]
pub struct Oscillator {
    /// A, in the units of the data.
    pub amplitude: f64,
    /// ω₀, in the units of the frequency axis.
    pub frequency: f64,
    /// Q.
    pub quality: f64,
    /// φ in radians, from −π to π.
    pub phase: f64,
}

impl Oscillator {
    /// H, the response at a frequency in the units of the resonance.
    pub fn response(&self, frequency: f64) -> Complex64 {
        let square = self.frequency * self.frequency;
        let damping = frequency * self.frequency / self.quality;
        let denominator = Complex64::new(frequency * frequency - square, -damping);
        Complex64::from_polar(self.amplitude, self.phase) * square / denominator
    }
}

/// What is found of one spectrum.
pub struct Output {
    guess: Oscillator,
    guess_r2: f64,
    fit: Oscillator,
    fit_r2: f64,
    errors: Oscillator,
}

/// The process `SHO_Fit`.
pub struct ShoFit;

/// What all spectra share.
pub struct Task {
    /// The frequency axis.
    frequencies: Vec<f64>,
    band: Band,
    bounds: SearchRange,
    guess_points: usize,
    max_steps: usize,
    /// Where the fields of an oscillator are in the records of the earlier result, and how many
    /// fields a record has.
    given: Option<([usize; 4], usize)>,
    /// How many spectra those records are for.
    spectra: usize,
}

/// Buffers of one worker.
#[derive(Default)]
pub struct Scratch {
    signal: Signal,
    brightest: Vec<(f64, usize)>,
}

impl Process for ShoFit {
    const NAME: &'static str = "SHO_Fit";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str =
        "a simple harmonic oscillator fitted to each complex band-excitation spectrum";

    type Parameters = Parameters;
    type Input = Complex64;
    type Output = Output;
    type Task = Task;
    type Scratch = Scratch;

    fn prepare(parameters: &Parameters, source: &SourceInfo) -> Result<Task, Failure> {
        if !source.element.is_complex() {
            return Err(Failure::new(format!(
                "it holds {}, but the response of an oscillator is complex",
                source.element
            )));
        }
        let spectra = Self::spectra_per_position(parameters, source);
        let axis = frequencies(source, spectra)?;
        let frequencies = axis.values.to_vec();
        let band = Band::new(&frequencies);
        let outside = parameters.margin * (band.highest - band.lowest);
        let lowest = (band.lowest - outside).max(1e-3 * band.lowest);
        let bounds = SearchRange {
            least: [lowest, 1.0 / parameters.quality_max],
            most: [band.highest + outside, 1.0 / parameters.quality_min],
        };
        let given = match source.auxiliary.first() {
            Some(earlier) => Some(fields(earlier, spectra)?),
            None => None,
        };
        let Parameters { guess_points, max_steps, .. } = *parameters;
        Ok(Task { frequencies, band, bounds, guess_points, max_steps, given, spectra })
    }

    fn create_results_datasets(
        _parameters: &Parameters,
        source: &SourceInfo,
        results: &mut Results<Output>,
    ) {
        let units = [source.units.clone(), source.axis(0).units];
        oscillators(results, "Guess", &units, |output| &output.guess)
            .field(R2, |output| output.guess_r2 as f32);
        oscillators(results, "Fit", &units, |output| &output.fit)
            .field(R2, |output| output.fit_r2 as f32);
        oscillators(results, "Standard_Errors", &units, |output| &output.errors);
    }

    fn map_function(
        task: &Task,
        spectrum: Spectrum<'_, Complex64>,
        scratch: &mut Scratch,
    ) -> Result<Output, Failure> {
        let Scratch { signal, brightest } = scratch;
        if !signal.take(&spectrum) {
            return Err(Failure::new("the spectrum has values that are not finite"));
        }
        if signal.spread <= f64::EPSILON * signal.power {
            return Err(Failure::new("all values of the spectrum are the same"));
        }
        let guess = task.given_guess(&spectrum, signal.scale).unwrap_or_else(|| {
            guess::estimate(&task.band, signal, &task.bounds, task.guess_points, brightest)
        });
        let fit = search::minimum(&task.band, signal, &task.bounds, guess.at, task.max_steps)
            .ok_or_else(|| {
                let steps = task.max_steps;
                Failure::new(format!(
                    "the search for the least squares doesn't end in {steps} steps"
                ))
            })?;
        let errors = task.errors(signal, &fit);
        let (guess, guess_r2) = task.described(signal, &guess);
        let (fit, fit_r2) = task.described(signal, &Guess { at: fit.at, factor: fit.factor });
        let output = Output { guess, guess_r2, fit, fit_r2, errors };
        if output.is_finite() {
            Ok(output)
        } else {
            Err(Failure::new("the spectrum leaves the fit open"))
        }
    }

    fn model(task: &Task, _spectrum: Spectrum<'_, Complex64>, output: &Output) -> Model {
        let response = |found: &Oscillator| -> Vec<Complex64> {
            task.frequencies.iter().map(|frequency| found.response(*frequency)).collect()
        };
        Model::new().curve("fit", response(&output.fit)).part("guess", response(&output.guess))
    }

    fn spectra_per_position(parameters: &Parameters, source: &SourceInfo) -> usize {
        // `frequencies` refuses what this refuses.
        parameters.spectra.unwrap_or_else(|| source.spectra_along_axis().unwrap_or(1))
    }

    fn auxiliary_inputs(parameters: &Parameters) -> Vec<AuxiliaryInput> {
        let guess = |path: &String| AuxiliaryInput::of::<f64>(path.as_str()).results("Fit");
        parameters.guess.iter().map(guess).collect()
    }
}

impl Task {
    /// What an earlier result has of this spectrum, unless it has no numbers there.
    fn given_guess(&self, spectrum: &Spectrum<'_, Complex64>, scale: f64) -> Option<Guess> {
        let (fields, per_record) = self.given?;
        // Of axes that number more spectra of a position the records know nothing.
        let own = spectrum.repeat % self.spectra.max(1);
        let record = &spectrum.auxiliary[0][own * per_record..][..per_record];
        let [amplitude, frequency, quality, phase] = fields.map(|field| record[field]);
        let at = [frequency / self.band.reference, 1.0 / quality];
        let at = at.iter().all(|part| part.is_finite()).then(|| self.bounds.clamp(at))?;
        let factor = Complex64::from_polar(amplitude / scale * at[0] * at[0], phase);
        factor.is_finite().then_some(Guess { at, factor })
    }

    /// An oscillator as people know it, and its R².
    fn described(&self, signal: &Signal, found: &Guess) -> (Oscillator, f64) {
        let [resonance, loss] = found.at;
        let denominator = Denominator::new(resonance, loss);
        let residual = self.band.residual(signal, denominator, found.factor);
        let oscillator = Oscillator {
            amplitude: found.factor.norm() / denominator.square * signal.scale,
            frequency: resonance * self.band.reference,
            quality: 1.0 / loss,
            phase: found.factor.arg(),
        };
        (oscillator, 1.0 - residual / signal.spread)
    }

    /// The standard errors of a fit: the noise is what its residuals say.
    fn errors(&self, signal: &Signal, fit: &Trial) -> Oscillator {
        let [resonance, loss] = fit.at;
        let denominator = Denominator::new(resonance, loss);
        let freedom = 2 * self.band.length - FIELDS.len();
        let noise = self.band.residual(signal, denominator, fit.factor) / freedom as f64;
        let variances = fit.variances();
        let error = |variance: f64| (noise * variance).sqrt();
        let amplitude = fit.factor.norm() / denominator.square * signal.scale;
        Oscillator {
            amplitude: amplitude * error(variances.amplitude),
            frequency: self.band.reference * error(variances.resonance),
            quality: error(variances.loss) / (loss * loss),
            phase: error(variances.phase),
        }
    }
}

impl Output {
    /// Whether everything can be written as a number.
    fn is_finite(&self) -> bool {
        [self.guess, self.fit, self.errors].iter().all(|found| {
            let Oscillator { amplitude, frequency, quality, phase } = *found;
            [amplitude, frequency, quality, phase].iter().all(|part| (*part as f32).is_finite())
        })
    }
}

/// The frequency axis of a spectrum.
fn frequencies(source: &SourceInfo, spectra: usize) -> Result<Dimension, Failure> {
    let axis = source.axis(0);
    if !axis.units.trim().to_ascii_lowercase().ends_with("hz") {
        return Err(Failure::new(format!(
            "its spectra run along `{}` in `{}`, which has to be a frequency in Hz, kHz, MHz or \
             GHz",
            axis.name, axis.units
        )));
    }
    source.spectra_along_axis()?;
    let points = source.spectral_points / spectra.max(1);
    if axis.len() != points {
        return Err(Failure::new(format!(
            "{spectra} spectra in a row of {} have {points} values each, but the axis `{}` has {}",
            source.spectral_points,
            axis.name,
            axis.len()
        )));
    }
    let usable = axis.values.iter().all(|value| value.is_finite() && value > 0.0);
    if axis.len() < 3
        || !usable
        || axis.values.first() == axis.values.last()
            && axis.values.iter().all(|value| Some(value) == axis.values.first())
    {
        return Err(Failure::new(format!(
            "the axis `{}` has to have at least 3 values, all above 0 and not all the same",
            axis.name
        )));
    }
    Ok(axis)
}

/// Where an earlier result has the fields of an oscillator, and how many fields a record has.
fn fields(earlier: &AuxiliaryInfo, spectra: usize) -> Result<([usize; 4], usize), Failure> {
    let found = FIELDS.map(|name| earlier.fields.iter().position(|field| field.starts_with(name)));
    let [Some(amplitude), Some(frequency), Some(quality), Some(phase)] = found else {
        return Err(Failure::new(format!(
            "`guess` has to be the `Guess` or `Fit` of an SHO fit, with fields {}, but {} has {}",
            FIELDS.join(", "),
            earlier.path,
            if earlier.fields.is_empty() { "none".to_owned() } else { earlier.fields.join(", ") }
        )));
    };
    let per_record = earlier.fields.len();
    if earlier.columns != spectra * per_record {
        return Err(Failure::new(format!(
            "{} has {} records at each position, but there are {spectra} spectra",
            earlier.path,
            earlier.columns / per_record
        )));
    }
    Ok(([amplitude, frequency, quality, phase], per_record))
}

/// A results dataset of oscillators; `units` are those of amplitude and frequency.
fn oscillators<'r>(
    results: &'r mut Results<Output>,
    name: &str,
    units: &[String; 2],
    of: fn(&Output) -> &Oscillator,
) -> Record<'r, Output> {
    let named = |name: &str, unit: &str| match unit {
        "" => name.to_owned(),
        unit => format!("{name} [{unit}]"),
    };
    let [amplitude, frequency, quality, phase] = FIELDS;
    results
        .main(name, "SHO", "compound")
        .record()
        .field(named(amplitude, &units[0]), move |output| of(output).amplitude as f32)
        .field(named(frequency, &units[1]), move |output| of(output).frequency as f32)
        .field(quality, move |output| of(output).quality as f32)
        .field(named(phase, "rad"), move |output| of(output).phase as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pixelmill_core::ElementType;

    fn source(element: ElementType, axes: &[Dimension]) -> SourceInfo {
        SourceInfo {
            path: "/Raw_Data".to_owned(),
            positions: 4,
            spectral_points: axes.iter().map(Dimension::len).product(),
            element,
            is_corrected: false,
            quantity: "Deflection".to_owned(),
            units: "V".to_owned(),
            position_dimensions: Vec::new(),
            spectroscopic_dimensions: axes.to_vec(),
            auxiliary: Vec::new(),
            constants: Vec::new(),
            selected: None,
        }
    }

    fn axis(name: &str, units: &str, values: &[f64]) -> Dimension {
        Dimension::new(name, units, values.to_vec())
    }

    #[test]
    fn unfit_sources_are_refused_with_the_reason() {
        let frequency = axis("Frequency", "Hz", &[1e5, 1.1e5, 1.2e5, 1.3e5]);
        let bias = axis("Bias", "V", &[0.0, 1.0]);
        let complex = ElementType::Complex64;
        let refused = |parameters: &Parameters, source: &SourceInfo| {
            ShoFit::prepare(parameters, source).err().map(|failure| failure.to_string())
        };
        let usual = Parameters::default();
        let two = [bias.clone(), frequency.clone()];
        assert_eq!(ShoFit::spectra_per_position(&usual, &source(complex, &two)), 2);
        assert_eq!(refused(&usual, &source(complex, &two)), None);
        let four = Parameters { spectra: Some(4), ..usual.clone() };
        let zero = axis("Frequency", "Hz", &[0.0, 1e5, 2e5]);
        let same = axis("Frequency", "Hz", &[1e5; 5]);
        for (parameters, element, axes, word) in [
            (&usual, ElementType::Float32, &two[..], "complex"),
            (&usual, complex, &[frequency.clone(), bias][..], "`Bias` in `V`"),
            (&usual, complex, &[], "`Point`"),
            (&four, complex, &two, "2 values each"),
            (&usual, complex, &[zero], "above 0"),
            (&usual, complex, &[same], "not all the same"),
            (&usual, complex, &[axis("Frequency", "Hz", &[1e5, 2e5])], "at least 3"),
        ] {
            let reason = refused(parameters, &source(element, axes)).unwrap();
            assert!(reason.contains(word), "{word}: {reason}");
        }
    }

    #[test]
    fn quality_factors_have_an_order() {
        use pixelmill_core::process::Parameters as _;
        let wrong = Parameters { quality_min: 5.0, quality_max: 4.0, ..Parameters::default() };
        assert!(wrong.check().unwrap_err().to_string().contains("quality_max"));
        assert!(Parameters::default().check().is_ok());
    }
}
