//! Fits of single spectra and frames through the process.

mod convolved;
mod frames;

use super::*;
use pixelmill_core::process::Parameters as _;
use serde_json::{Value, json};

fn parameters(given: Value) -> Parameters {
    let mut all = serde_json::to_value(Parameters::default()).unwrap();
    all.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
    serde_json::from_value(all).unwrap()
}

/// A task over an axis from 0 to 9.9.
fn task(given: Value) -> Result<Task, String> {
    let axis: Vec<f64> = (0..100).map(|at| f64::from(at) * 0.1).collect();
    Task::new(&parameters(given), &axis).map_err(|failure| failure.to_string())
}

fn fit(task: &Task, spectrum: &[f64], scratch: &mut Scratch) -> Result<Output, String> {
    let shape = [spectrum.len()];
    let spectrum = Spectrum::new(spectrum, &shape);
    CurveFit::map_function(task, spectrum, scratch).map_err(|failure| failure.to_string())
}

fn spectrum(value: impl Fn(f64) -> f64) -> Vec<f64> {
    (0..100).map(|at| value(f64::from(at) * 0.1)).collect()
}

fn peak(x: f64) -> f64 {
    (-(x - 4.0).powi(2) / 0.5).exp() * 10.0 + 2.0 + 0.1 * (37.0 * x).sin()
}

/// Spectra that no fit is meant for.
fn strange() -> Vec<(&'static str, Vec<f64>)> {
    vec![
        ("empty", spectrum(|_| 0.0)),
        ("constant", spectrum(|_| 3.0)),
        ("saturated", spectrum(|x| peak(x).min(6.0))),
        ("saturated everywhere", spectrum(|_| 65535.0)),
        ("one channel", spectrum(|x| if x == 5.0 { 1e6 } else { 0.0 })),
        ("alternating", spectrum(|x| if (x * 10.0).round() % 2.0 == 0.0 { 1.0 } else { 0.0 })),
        ("steep", spectrum(|x| (x * 30.0).exp())),
        ("tiny", spectrum(|x| peak(x) * 1e-120)),
        ("huge", spectrum(|x| peak(x) * 1e120)),
        ("last channel", spectrum(|x| if x > 9.85 { 1.0 } else { 0.0 })),
    ]
}

const MODELS: [&str; 7] = [
    "gaussian+offset",
    "lorentzian+lorentzian+polynomial3",
    "pseudo_voigt+exponential",
    "erf+offset",
    "exponential+exponential+offset",
    "power_law+gaussian",
    "A*exp(-(x/tau)^beta)+c",
];

#[test]
fn strange_spectra_have_finite_values_or_a_reason() {
    let mut scratch = Scratch::default();
    for weights in ["none", "poisson"] {
        for model in MODELS {
            let given = json!({"components": model, "weights": weights, "starts": 3});
            let task = task(given).unwrap();
            for (name, spectrum) in strange() {
                match fit(&task, &spectrum, &mut scratch) {
                    Ok(output) => {
                        let (values, errors) = output.numbers.split_at(output.numbers.len() / 2);
                        assert!(values.iter().all(|value| value.is_finite()), "{model}, {name}");
                        assert!(
                            errors.iter().all(|error| error.is_nan() || *error >= 0.0),
                            "{model}, {name}"
                        );
                        assert!(output.chi_square.is_finite(), "{model}, {name}");
                    }
                    Err(reason) => assert!(!reason.is_empty(), "{model}, {name}"),
                }
            }
        }
    }
}

/// The curves that are drawn over a spectrum, with their names.
fn drawn(task: &Task, spectrum: &[f64], output: &Output) -> Vec<(String, Vec<f64>)> {
    let shape = [spectrum.len()];
    let curves = CurveFit::model(task, Spectrum::new(spectrum, &shape), output).curves.into_iter();
    curves
        .map(|curve| match curve.values {
            process::Values::Real(values) => (curve.name, values),
            complex => panic!("{complex:?}"),
        })
        .collect()
}

#[test]
fn what_is_drawn_has_the_residuals_of_the_fit() {
    // No two components of a model can stand for each other: where they can, they may be so
    // large that their sum is rounding.
    for components in [
        "gaussian",
        "lorentzian+polynomial2",
        "pseudo_voigt+erf",
        "gaussian+exponential",
        "gaussian+power_law",
        "gaussian+offset",
        "A*exp(-x/tau)+2-x",
    ] {
        let task = task(json!({"components": components, "range_min": 0.55})).unwrap();
        let values = spectrum(peak);
        let output = fit(&task, &values, &mut Scratch::default()).unwrap();
        let curves = drawn(&task, &values, &output);
        let ((_, fit), parts) = curves.split_first().unwrap();
        assert!(fit[..6].iter().all(|value| value.is_nan()), "they aren't fitted");
        let squares: f64 = (6..100).map(|at| (fit[at] - values[at]).powi(2)).sum();
        assert!((squares / output.chi_square - 1.0).abs() < 1e-9, "{components}: {squares}");
        if parts.is_empty() {
            assert!(["gaussian", "A*exp(-x/tau)+2-x"].contains(&components));
            continue;
        }
        let names: Vec<&str> = parts.iter().map(|(name, _)| name.trim_end_matches('2')).collect();
        assert_eq!(names.join("+"), components.trim_end_matches('2'));
        for at in 6..100 {
            let sum: f64 = parts.iter().map(|(_, part)| part[at]).sum();
            assert!((sum - fit[at]).abs() < 1e-9, "{components}, {at}");
        }
    }
}

#[test]
fn a_formula_gives_what_the_component_of_the_same_formula_gives() {
    let decay = spectrum(|x| 4.0 * (-x / 2.0).exp() + 1.0 + 0.01 * (37.0 * x).sin());
    let line = spectrum(|x| 3.0 - 0.2 * x + 0.05 * (23.0 * x).sin());
    for (components, formula, values) in [
        (json!("exponential+offset"), json!("A*exp(-x/tau)+c"), &decay),
        (json!("polynomial2"), json!("a+b*x+c*x^2"), &line),
        (
            json!([{"type": "gaussian", "centre": 3.5, "sigma": 1}, "offset"]),
            json!([{"formula": "A/(s*sqrt(2*pi))*exp(-(x-m)^2/(2*s^2))", "m": 3.5}, "offset"]),
            &spectrum(peak),
        ),
    ] {
        let fitted = |components: Value| {
            let task = task(json!({"components": components})).unwrap();
            let output = fit(&task, values, &mut Scratch::default()).unwrap();
            assert!(output.converged, "{components}");
            (output.chi_square, output.numbers)
        };
        let (expected, mut numbers) = fitted(components);
        let (found, mut own) = fitted(formula);
        assert!((found / expected - 1.0).abs() < 1e-9, "{found} {expected}");
        // Linear parameters come first in one, and in the order of components in the other.
        numbers.sort_by(f64::total_cmp);
        own.sort_by(f64::total_cmp);
        for (found, expected) in own.iter().zip(&numbers) {
            assert!((found - expected).abs() < 1e-4 * expected.abs(), "{own:?} {numbers:?}");
        }
    }
}

#[test]
fn a_constant_spectrum_has_a_peak_without_area() {
    let task = task(json!({})).unwrap();
    for constant in [0.0, 3.0, 65535.0] {
        let output = fit(&task, &spectrum(|_| constant), &mut Scratch::default()).unwrap();
        assert!(output.numbers[0].abs() <= 1e-9 * constant, "{}", output.numbers[0]);
        assert!((output.numbers[3] - constant).abs() <= 1e-9 * constant);
        assert!(output.converged && output.chi_square < 1e-9);
    }
}

#[test]
fn what_cannot_be_fitted_says_why() {
    let task = |given| task(given).unwrap();
    let mut scratch = Scratch::default();
    for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut values = spectrum(peak);
        values[70] = wrong;
        let reason = fit(&task(json!({})), &values, &mut scratch).err().unwrap();
        assert!(reason.contains("not finite"), "{reason}");
        let masked = json!({"range_max": 6.9});
        assert!(fit(&task(masked), &values, &mut scratch).is_ok(), "outside of the range");
    }
    let counts = task(json!({"weights": "poisson"}));
    let reason = fit(&counts, &spectrum(|x| peak(x) - 5.0), &mut scratch).err().unwrap();
    assert!(reason.contains("negative"), "{reason}");
    let reason = fit(&task(json!({})), &spectrum(|x| 1e200 * peak(x)), &mut scratch);
    assert!(reason.err().unwrap().contains("range of numbers"));
}

#[test]
fn a_spectrum_before_changes_no_bit() {
    for model in MODELS {
        for weights in ["none", "poisson"] {
            let task = task(json!({"components": model, "weights": weights, "starts": 2})).unwrap();
            let mut used = Scratch::default();
            for (_, spectrum) in strange() {
                // A failure leaves its traces too.
                let _ = fit(&task, &spectrum, &mut used).is_ok();
            }
            let after = fit(&task, &spectrum(peak), &mut used).unwrap();
            let fresh = fit(&task, &spectrum(peak), &mut Scratch::default()).unwrap();
            let bits = |output: &Output| -> Vec<u64> {
                output.numbers.iter().map(|number| number.to_bits()).collect()
            };
            assert_eq!(bits(&after), bits(&fresh), "{model}, {weights}");
        }
    }
}

#[test]
fn more_starts_find_what_one_misses() {
    // The start is at the smaller of two peaks, and the bounds let it go.
    let two =
        spectrum(|x| (-(x - 2.0).powi(2) / 0.02).exp() + 5.0 * (-(x - 7.5).powi(2) / 0.02).exp());
    let fitted = |starts: usize| {
        let given = json!({"starts": starts, "components": [
            {"type": "gaussian", "centre": 2, "sigma": 0.1}, "offset"]});
        fit(&task(given).unwrap(), &two, &mut Scratch::default()).unwrap()
    };
    assert!((fitted(1).numbers[1] - 2.0).abs() < 0.1);
    assert!((fitted(30).numbers[1] - 7.5).abs() < 0.1);
    // Whichever search was the last one, all numbers are those of the best.
    for starts in 1..=30 {
        let output = fitted(starts);
        let height = if output.numbers[1] < 5.0 { 1.0 } else { 5.0 };
        let area = height * 0.1 * std::f64::consts::TAU.sqrt();
        assert!((output.numbers[0] / area - 1.0).abs() < 0.3, "{starts}: {}", output.numbers[0]);
    }
}

#[test]
fn a_cap_on_evaluations_ends_the_fit_unconverged() {
    let task = task(json!({"max_evaluations": 2})).unwrap();
    let output = fit(&task, &spectrum(peak), &mut Scratch::default()).unwrap();
    assert!(!output.converged);
}

#[test]
fn channels_without_weight_and_beyond_the_range_are_not_seen() {
    let weights: Vec<f64> = (0..100).map(|at| if at % 10 == 3 { 0.0 } else { 4.0 }).collect();
    let given =
        json!({"weights": "given", "channel_weights": weights, "range_min": 1.0, "range_max": 8.0});
    let task = task(given).unwrap();
    let mut spoiled = spectrum(peak);
    for at in (0..100).filter(|at| at % 10 == 3 || !(10..=80).contains(at)) {
        spoiled[at] = f64::NAN;
    }
    let clean = fit(&task, &spectrum(peak), &mut Scratch::default()).unwrap();
    let other = fit(&task, &spoiled, &mut Scratch::default()).unwrap();
    assert_eq!(clean.numbers, other.numbers);
    assert!((clean.numbers[1] - 4.0).abs() < 0.01);
}

#[test]
fn an_axis_may_fall_or_be_uneven() {
    let falling: Vec<f64> = (0..100).map(|at| 9.9 - f64::from(at) * 0.1).collect();
    let uneven: Vec<f64> = (0..100).map(|at| 9.9 * (f64::from(at) / 99.0).powi(2)).collect();
    for model in ["gaussian+offset", "exponential+offset", "erf+offset", "power_law"] {
        let model = json!([model, {"type": "offset", "name": "zero", "offset": {"fixed": 0}}]);
        let first = model[0].as_str().unwrap().split('+').chain(["zero"]).collect::<Vec<_>>();
        let components: Vec<Value> = first
            .iter()
            .map(|name| if *name == "zero" { model[1].clone() } else { json!(name) })
            .collect();
        let given = parameters(json!({"components": components, "range_min": 0.05}));
        let shape = |x: f64| match first[0] {
            "gaussian" => peak(x),
            "exponential" => 4.0 * (-x / 2.0).exp() + 1.0 + 0.01 * (37.0 * x).sin(),
            "erf" => libm::erf((x - 5.0) / 0.8) + 0.01 * (37.0 * x).sin(),
            _ => 3.0 * (x + 0.001).powf(-1.5),
        };
        let rising: Vec<f64> = falling.iter().rev().copied().collect();
        let on = |axis: &[f64]| {
            let values: Vec<f64> = axis.iter().map(|x| shape(*x)).collect();
            let task = Task::new(&given, axis).unwrap();
            let output = fit(&task, &values, &mut Scratch::default()).unwrap();
            assert!(output.converged, "{first:?}");
            output.numbers
        };
        let expected = on(&rising);
        for (found, expected) in on(&falling).iter().zip(&expected) {
            assert!(
                (found - expected).abs() <= 1e-4 * expected.abs(),
                "{first:?}: {found} {expected}"
            );
        }
        let near = |found: f64, expected: f64| (found / expected - 1.0).abs() < 0.05;
        assert!(near(on(&uneven)[1], expected[1]), "{first:?}");
    }
}

#[test]
fn wrong_parameters_are_named() {
    let check = |given: Value| parameters(given).check().unwrap_err().to_string();
    for (given, reason) in [
        (json!({"weights": "given"}), "`channel_weights`"),
        (json!({"channel_weights": [1.0]}), "`weights=given`"),
        (json!({"weights": "given", "channel_weights": [1.0, -2.0]}), "negative: -2"),
        (json!({"weights": "given", "channel_weights": vec![1.0; 8001]}), "8001 weights"),
        (json!({"low_loss": "/a", "low_losses": "/b"}), "one spectrum or many"),
        (
            json!({"components": ["offset", {"type": "gaussian", "convolved": true}]}),
            "`gaussian` is to be convolved: give a low-loss spectrum by `low_loss`",
        ),
        (
            json!({"components": [{"type": "plane", "convolved": true}]}),
            "`plane` is to be convolved: frames aren't",
        ),
        (json!({"low_loss_zero": 3}), "give `low_loss` or"),
        (json!({"low_loss_normalised": true}), "give `low_loss` or"),
        (json!({"low_loss": "/a", "components": "plane"}), "frames aren't convolved"),
        (json!({"low_loss": "/a", "components": "offset+power_law"}), "no component is convolved"),
        (json!({"range_min": 3, "range_max": 3}), "`range_min` is 3"),
        (json!({"components": [{"type": "gaussian", "name": "Chi_square"}]}), "Chi_Square"),
    ] {
        let message = check(given);
        assert!(message.contains(reason), "{message}");
    }
    for (given, reason) in [
        (json!({"weights": "given", "channel_weights": [1.0]}), "1 weights"),
        (json!({"range_min": 50}), "fewer than two channels"),
        (json!({"range_max": 0.35}), "4 channels are in the range, too few for 4"),
        (
            json!({"components": "A*log(x/b-1)"}),
            "`A*log(x/b-1)` has no finite value at x = 0 where the search starts, with b = 1",
        ),
    ] {
        let message = task(given).err().unwrap();
        assert!(message.contains(reason), "{message}");
    }
}

#[test]
fn datasets_are_named_after_components() {
    assert_eq!(title("pseudo_voigt_2"), "Pseudo_Voigt_2");
    assert_eq!(title("K"), "K");
    assert_eq!(with_units("A", ""), "A");
    assert_eq!(with_units("centre", "eV"), "centre [eV]");
}
