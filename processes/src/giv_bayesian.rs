//! General-mode current–voltage spectra: conductance and capacitance by Bayesian inference (Somnath
//! et al. 2018, Nat. Commun. 9, 513), as BGlib's `GIVBayesian` and `do_bayesian_inference` have it.
//!
//! A spectrum is the current over one period of a sine of the voltage V that begins at 0 V upwards.
//! Each sweep, upwards (forward) and downwards (reverse), is i = V·g(V) + C·(dV/dt + r·V) + noise,
//! with Gaussian priors of conductance g and capacitance C; `posterior` has them. In nA, V, nS and
//! nF; results have pF, and `resistance` tells how GΩ come from nS. The posterior's covariance is
//! the same for all currents, so a spectrum takes two substitutions, where BGlib inverts a matrix
//! and draws samples.
//!
//! Shapes: N values give `Corrected_Current` (what was measured less what the mean capacitance of
//! both sweeps takes) and `Reconstructed_Current` (what the posterior says, capacitance included),
//! (P, N) in nA; `Conductance`, `Resistance` and `R_variance`, (P, M) over the voltages of the
//! forward sweep upwards and then of the reverse one downwards; and a record `Capacitance`.
//! `Conductance_Variance`, (M), is the posterior's variance, for all positions.
//!
//! Against BGlib 0.0.6: g, i and the resistance where it is told are the same, and these are not.
//! *Time*: it spreads half a period's N/2 values over a whole period, so its capacitance is 2·N/(N
//! − 2) times too large. `GIVBayesian` writes it so, `bayesian_inference_on_period` half of it;
//! here it is right. r keeps the meaning that `r_extra` has there, r = r_extra·2·N/(N − 2); it is
//! called ohms, but it is one over a time. *Resistance*: it takes the mean of 1/g of 2000 samples.
//! There is no such mean, and where g is near to 0 what comes out is chance. Here the resistance is
//! NaN where g is less than 5 deviations away from 0. *Corrected current*: what is taken off is
//! N/(N − 2) times too much, and at the last value is what belongs to the one before. `gain` and
//! `e` do nothing there; here `gain` says what volts mean.
//!
//! A spectrum with a value that isn't finite fails. The posterior of any other is linear in the
//! current: what is constant, empty or saturated has the conductance that such a current says.

mod posterior;
mod resistance;

use pixelmill_core::Results;
use pixelmill_core::process::Outputs;
use pixelmill_core::process::{
    Dimension, Failure, Model, Process, SourceInfo, Spectrum, SpectrumAxes, Unit,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use posterior::{Prior, Sweep};

/// Currents in units that are told by their name, in nA.
const UNITS: [(&str, f64); 7] =
    [("A", 1e9), ("mA", 1e6), ("uA", 1e3), ("µA", 1e3), ("nA", 1.0), ("pA", 1e-3), ("fA", 1e-6)];

/// What is known before, and of the measurement.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Parameters {
    /// Frequency of the voltage, one period of which is a spectrum; it has to be given.
    #[schemars(range(min = 1e-6, max = 1e12), extend("unit" = "Hz"))]
    pub frequency: Option<f64>,
    /// For spectra in volts: the gain of the current amplifier, as its power of ten in V/A
    /// (usually 7 to 9). If none, the spectra have to be currents.
    #[schemars(range(min = -3.0, max = 15.0))]
    pub gain: Option<f64>,
    /// At how many voltages the conductance is found, those of both sweeps together; raised to
    /// twice an odd number.
    #[schemars(range(min = 6, max = 2000))]
    pub num_x_steps: usize,
    /// How much of the capacitance's current goes with the voltage itself, as BGlib's `r_extra`.
    #[schemars(range(min = -1e12, max = 1e12), extend("unit" = "1/s"))]
    pub r_extra: f64,
    /// Standard deviation of the noise of the current.
    #[schemars(range(min = 1e-9, max = 1e9), extend("unit" = "nA"))]
    pub gam: f64,
    /// Standard deviation of the conductance before anything is measured, about 3 nS.
    #[schemars(range(min = 1e-6, max = 1e9), extend("unit" = "nS"))]
    pub sigma: f64,
    /// Standard deviation of the capacitance before anything is measured, about 0; of what BGlib
    /// calls so, twice the capacitance.
    #[schemars(range(min = 1e-9, max = 1e9), extend("unit" = "nF"))]
    pub sigma_c: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            frequency: None,
            gain: None,
            num_x_steps: 250,
            r_extra: 110.0,
            gam: 0.03,
            sigma: 10.0,
            sigma_c: 1.0,
        }
    }
}

impl pixelmill_core::process::Parameters for Parameters {}

/// What is inferred of one spectrum.
#[derive(Default)]
pub struct Output {
    corrected: Vec<f64>,
    reconstructed: Vec<f64>,
    conductance: Vec<f64>,
    resistance: Vec<f64>,
    variance: Vec<f64>,
    /// Forward and reverse, in pF.
    capacitance: [f64; 2],
}

/// The process `Bayesian_Inference`.
pub struct GivBayesian;

/// What all spectra share.
pub struct Task {
    /// Nanoamperes in a unit of the data.
    scale: f64,
    /// The forward and the reverse sweep, the latter with voltages and currents of the other sign.
    sweeps: [Sweep; 2],
    /// Where each of them begins in a spectrum, and with which sign its currents are taken.
    begins: [(usize, f64); 2],
    /// nF of a unit of what the posterior has.
    capacitance: f64,
    /// The current of a unit of capacitance over a whole period.
    charging: Vec<f64>,
}

/// Buffers of one worker.
#[derive(Default)]
pub struct Scratch {
    current: Vec<f64>,
    sweep: Vec<f64>,
    means: Vec<f64>,
    output: Output,
}

impl Process for GivBayesian {
    const NAME: &'static str = "Bayesian_Inference";
    const VERSION: u32 = 1;
    const COMMAND: Option<&'static str> = Some("giv-bayesian");
    const SUMMARY: &'static str =
        "conductance, resistance and capacitance from currents over a period of the voltage";

    type Parameters = Parameters;
    type Input = f64;
    type Output = Output;
    type Task = Task;
    type Scratch = Scratch;

    fn prepare(parameters: &Parameters, source: &SourceInfo) -> Result<Task, Failure> {
        source.spectra_along_axis()?;
        let axis = source.axis(0);
        if axis.units.trim() != "V" {
            return Err(Failure::new(format!(
                "its spectra run along `{}` in `{}`, which has to be the voltage in V",
                axis.name, axis.units
            )));
        }
        let scale = nanoamperes(&source.units, parameters.gain)?;
        Task::new(parameters, &axis.values.as_slice(), scale)
    }

    fn create_results_datasets(
        parameters: &Parameters,
        source: &SourceInfo,
        results: &mut Results<Output>,
    ) {
        let axis = source.axis(0);
        // `prepare` refuses what has no sweeps.
        let sweeps = Task::new(parameters, &axis.values.as_slice(), 1.0).map(|task| task.sweeps);
        let Ok([forward, reverse]) = sweeps else { return };
        let down = reverse.voltages.iter().map(|voltage| -voltage);
        let voltages: Vec<f64> = forward.voltages.iter().copied().chain(down).collect();
        let steps = forward.voltages.len();
        let bias = || vec![Dimension::new("Bias", "V", voltages.clone())];
        let variances = [&forward.variances[..steps], &reverse.variances[..steps]].concat();
        results
            .main("Corrected_Current", "Current", "nA")
            .spectrum(vec![axis.clone()], |output: &Output| &output.corrected);
        results
            .main("Resistance", "Resistance", "GOhms")
            .spectrum(bias(), |output: &Output| &output.resistance);
        results
            .main("R_variance", "Variance of the resistance", "GOhms^2")
            .spectrum(bias(), |output: &Output| &output.variance);
        results
            .main("Capacitance", "Capacitance", "pF")
            .record()
            .field("Forward", |output: &Output| output.capacitance[0])
            .field("Reverse", |output: &Output| output.capacitance[1]);
        results
            .main("Conductance", "Conductance", "nS")
            .spectrum(bias(), |output: &Output| &output.conductance);
        results
            .main("Conductance_Variance", "Variance of the conductance", "nS^2")
            .constant(bias(), &variances);
        results
            .main("Reconstructed_Current", "Current", "nA")
            .spectrum(vec![axis], |output: &Output| &output.reconstructed);
    }

    fn map_function(
        task: &Task,
        spectrum: Spectrum<'_, f64>,
        scratch: &mut Scratch,
    ) -> Result<Output, Failure> {
        task.infer(&spectrum, scratch)?;
        Ok(std::mem::take(&mut scratch.output))
    }

    fn unit_computation(
        task: &Task,
        unit: &mut Unit<'_, f64>,
        scratch: &mut Scratch,
        outputs: &mut Outputs<'_, Output>,
    ) -> Result<(), Failure> {
        for index in 0..unit.len() {
            let inferred = task.infer(&unit.spectrum(index), scratch);
            outputs.set_from(index, inferred.map(|()| &scratch.output));
        }
        Ok(())
    }

    fn model(task: &Task, _spectrum: Spectrum<'_, f64>, output: &Output) -> Model {
        let in_units = |current: &[f64]| -> Vec<f64> {
            current.iter().map(|value| value / task.scale).collect()
        };
        Model::new()
            .curve("reconstructed", in_units(&output.reconstructed))
            .part("without capacitance", in_units(&output.corrected))
    }

    fn spectrum_axes(_parameters: &Parameters) -> SpectrumAxes {
        SpectrumAxes::One
    }
}

impl Task {
    fn new(parameters: &Parameters, bias: &[f64], scale: f64) -> Result<Self, Failure> {
        let frequency = parameters
            .frequency
            .ok_or_else(|| Failure::new("the `frequency` of the voltage has to be given, in Hz"))?;
        let (count, half) = (bias.len(), bias.len() / 2);
        check_period(bias)?;
        // As BGlib has the time: half the values over a whole period.
        let stretch = count as f64 / (half as f64 - 1.0);
        let between = 1.0 / (frequency * count as f64);
        let steps = (parameters.num_x_steps / 2) | 1;
        let prior = Prior {
            noise: parameters.gam,
            conductance: parameters.sigma,
            capacitance: parameters.sigma_c,
        };
        let sweep = |(begin, sign): (usize, f64)| {
            let bias: Vec<f64> = (0..half).map(|at| sign * bias[(begin + at) % count]).collect();
            let slope = |at: usize| (bias[at + 1] - bias[at]) / (between * stretch);
            let charging =
                (0..half).map(|at| slope(at.min(half - 2)) + parameters.r_extra * bias[at]);
            let charging = charging.collect();
            Sweep::new(&bias, charging, steps, prior)
        };
        let begins = [(count / 4 + half, 1.0), (count / 4, -1.0)];
        let rate = parameters.r_extra * stretch;
        let charging =
            (0..count).map(|at| (bias[(at + 1) % count] - bias[at]) / between + rate * bias[at]);
        Ok(Self {
            scale,
            sweeps: [sweep(begins[0])?, sweep(begins[1])?],
            begins,
            capacitance: 1.0 / stretch,
            charging: charging.collect(),
        })
    }

    /// Leaves what is inferred of a spectrum in the scratch.
    fn infer(&self, spectrum: &[f64], scratch: &mut Scratch) -> Result<(), Failure> {
        let Scratch { current, sweep, means, output } = scratch;
        if !spectrum.iter().all(|value| value.is_finite()) {
            return Err(Failure::new("the spectrum has values that are not finite"));
        }
        current.clear();
        current.extend(spectrum.iter().map(|value| value * self.scale));
        let count = current.len();
        output.reconstructed.resize(count, 0.0);
        let lists = [&mut output.conductance, &mut output.resistance, &mut output.variance];
        lists.into_iter().for_each(Vec::clear);
        for (number, (part, (begin, sign))) in self.sweeps.iter().zip(self.begins).enumerate() {
            let place = |at: usize| (begin + at) % count;
            sweep.clear();
            sweep.extend((0..count / 2).map(|at| sign * current[place(at)]));
            part.means(sweep, means);
            part.current(means, sweep);
            sweep.iter().enumerate().for_each(|(at, i)| output.reconstructed[place(at)] = sign * i);
            let conductances = &means[..part.voltages.len()];
            for (mean, variance) in conductances.iter().zip(&part.variances) {
                let (resistance, variance) = resistance::of(*mean, *variance);
                output.conductance.push(*mean);
                output.resistance.push(resistance);
                output.variance.push(variance);
            }
            output.capacitance[number] = 1e3 * self.capacitance * means[part.voltages.len()];
        }
        let capacitance = 0.5e-3 * (output.capacitance[0] + output.capacitance[1]);
        output.corrected.clear();
        let charged = current.iter().zip(&self.charging);
        output
            .corrected
            .extend(charged.map(|(current, charging)| current - capacitance * charging));
        let mut all =
            output.conductance.iter().chain(&output.corrected).chain(&output.reconstructed);
        if all.all(|value| value.is_finite()) {
            Ok(())
        } else {
            Err(Failure::new("the current leaves the range of numbers"))
        }
    }
}

/// Nanoamperes in a unit of the data.
fn nanoamperes(units: &str, gain: Option<f64>) -> Result<f64, Failure> {
    let units = units.trim();
    match (gain, UNITS.iter().find(|(name, _)| *name == units)) {
        (None, Some((_, scale))) => Ok(*scale),
        (Some(gain), None) if units == "V" => Ok(libm::pow(10.0, 9.0 - gain)),
        (Some(_), Some(_)) => {
            Err(Failure::new(format!("its values are in `{units}`: `gain` is for values in V")))
        }
        (Some(_), None) => Err(Failure::new(format!(
            "its values are in `{units}`, which have to be in V if there is a `gain`"
        ))),
        (None, None) => Err(Failure::new(format!(
            "its values are in `{units}`, which have to be currents, in nA for example, or in V \
             with the `gain` of the amplifier"
        ))),
    }
}

/// Refuses what isn't one period of a sine that begins at 0 V upwards.
fn check_period(bias: &[f64]) -> Result<(), Failure> {
    let (count, half) = (bias.len(), bias.len() / 2);
    if count < 8 || !count.is_multiple_of(2) || !bias.iter().all(|voltage| voltage.is_finite()) {
        return Err(Failure::new(format!(
            "a spectrum has to have an even number of finite voltages, at least 8, but it has \
             {count}"
        )));
    }
    let turned = |at: usize| bias[(at + count / 4) % count];
    let falls = (1..half).all(|at| turned(at) <= turned(at - 1)) && turned(half - 1) < turned(0);
    let rises = (half + 1..count).all(|at| turned(at) >= turned(at - 1));
    if falls && rises && turned(half) < 0.0 && turned(0) > 0.0 {
        Ok(())
    } else {
        Err(Failure::new(
            "the voltage has to be one period of a sine that begins at 0 V: upwards to a quarter, \
             downwards to three quarters, and back",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pixelmill_core::ElementType;
    use std::f64::consts::TAU;

    fn bias(count: usize) -> Vec<f64> {
        (0..count).map(|at| 5.0 * libm::sin(TAU * at as f64 / count as f64)).collect()
    }

    fn parameters() -> Parameters {
        Parameters { frequency: Some(200.0), num_x_steps: 50, ..Parameters::default() }
    }

    fn inferred(task: &Task, current: &[f64]) -> Result<Output, String> {
        let shape = [current.len()];
        let spectrum = Spectrum::new(current, &shape);
        GivBayesian::map_function(task, spectrum, &mut Scratch::default())
            .map_err(|failure| failure.to_string())
    }

    /// 2 nS and 1 pF.
    fn current(task: &Task, bias: &[f64]) -> Vec<f64> {
        bias.iter().zip(&task.charging).map(|(v, charging)| 2.0 * v + 1e-3 * charging).collect()
    }

    #[test]
    fn a_resistor_beside_a_capacitor_is_found_on_both_sweeps() {
        for count in [256, 250, 64] {
            let bias = bias(count);
            let task = Task::new(&parameters(), &bias, 1.0).unwrap();
            let output = inferred(&task, &current(&task, &bias)).unwrap();
            // The steps at the turns are taken for those before, as BGlib takes them.
            for capacitance in output.capacitance {
                assert!((capacitance - 1.0).abs() < 0.05, "{count}: {capacitance}");
            }
            let off = |(current, v): (&f64, &f64)| (current - 2.0 * v).abs();
            assert!(output.corrected.iter().zip(&bias).map(off).fold(0.0, f64::max) < 0.3);
            // 10 nA at the ends of the voltage, where the prior doesn't say anything any more.
            let (resistance, steps) = (&output.resistance, output.resistance.len() / 2);
            for at in [0, 3, steps - 4, steps, steps + 3, 2 * steps - 4] {
                assert!((resistance[at] - 0.5).abs() < 0.02, "{count} {at}: {resistance:?}");
            }
        }
    }

    #[test]
    fn units_and_gain_scale_the_current() {
        for (units, gain, scale) in
            [("nA", None, 1.0), ("A", None, 1e9), ("pA", None, 1e-3), ("V", Some(7.0), 100.0)]
        {
            assert!((nanoamperes(units, gain).unwrap() / scale - 1.0).abs() < 1e-14, "{units}");
        }
        for (units, gain, word) in [
            ("V", None, "with the `gain`"),
            ("nA", Some(7.0), "for values in V"),
            ("m", Some(7.0), "`m`"),
        ] {
            assert!(nanoamperes(units, gain).unwrap_err().to_string().contains(word), "{units}");
        }
    }

    #[test]
    fn unfit_sources_are_refused_with_the_reason() {
        let source = |units: &str, values: Vec<f64>| SourceInfo {
            path: "/Raw_Data".to_owned(),
            positions: 4,
            spectral_points: values.len(),
            element: ElementType::Float32,
            is_corrected: false,
            quantity: "Current".to_owned(),
            units: "nA".to_owned(),
            position_dimensions: Vec::new(),
            spectroscopic_dimensions: vec![Dimension::new("Bias", units, values)],
            auxiliary: Vec::new(),
            constants: Vec::new(),
            selected: None,
        };
        let cosine = (0..64).map(|at| libm::cos(TAU * f64::from(at) / 64.0)).collect();
        let without = Parameters { frequency: None, ..parameters() };
        for (parameters, source, word) in [
            (&parameters(), source("s", bias(64)), "`Bias` in `s`"),
            (&parameters(), source("V", bias(63)), "even number"),
            (&parameters(), source("V", bias(6)), "at least 8"),
            (&parameters(), source("V", cosine), "begins at 0 V"),
            (&parameters(), source("V", vec![0.0; 64]), "begins at 0 V"),
            (&parameters(), source("V", [bias(32), bias(32)].concat()), "one period"),
            (&without, source("V", bias(64)), "`frequency`"),
        ] {
            let reason = GivBayesian::prepare(parameters, &source).err().unwrap().to_string();
            assert!(reason.contains(word), "{word}: {reason}");
        }
        assert!(GivBayesian::prepare(&parameters(), &source("V", bias(64))).is_ok());
    }

    #[test]
    fn strange_currents_have_a_posterior_or_a_reason() {
        let bias = bias(64);
        let task = Task::new(&parameters(), &bias, 1.0).unwrap();
        let usual = current(&task, &bias);
        let with = |value: f64| {
            let mut values = usual.clone();
            values[9] = value;
            values
        };
        for value in [f64::NAN, f64::NEG_INFINITY] {
            assert!(inferred(&task, &with(value)).err().unwrap().contains("not finite"));
        }
        assert!(inferred(&task, &with(1e308)).err().unwrap().contains("range of numbers"));
        let empty = inferred(&task, &[0.0; 64]).unwrap();
        assert!(empty.conductance.iter().all(|conductance| conductance.abs() < 3.1));
        assert!(empty.resistance.iter().any(|resistance| resistance.is_nan()));
        assert!(inferred(&task, &[7.0; 64]).is_ok());
        let saturated: Vec<f64> = usual.iter().map(|value| value.clamp(-3.0, 3.0)).collect();
        assert!(
            inferred(&task, &saturated).unwrap().conductance.iter().all(|value| value.is_finite())
        );
    }

    #[test]
    fn the_number_of_voltages_is_twice_an_odd_one_as_bglib_has_it() {
        for (given, found) in [(250, 250), (252, 254), (50, 50), (6, 6), (7, 6), (8, 10)] {
            let parameters = Parameters { num_x_steps: given, ..parameters() };
            let task = Task::new(&parameters, &bias(64), 1.0).unwrap();
            assert_eq!(2 * task.sweeps[0].voltages.len(), found);
        }
    }
}
