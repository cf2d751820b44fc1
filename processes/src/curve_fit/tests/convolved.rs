//! Fits of components that are convolved with low-loss spectra.

use super::*;
use pixelmill_core::element::{ElementType, StoredType};
use pixelmill_core::kernel::AuxiliaryRows;
use pixelmill_core::process::Auxiliary;

const ZERO: usize = 5;

/// A zero-loss peak and a plasmon, as wide as `width` says, in channels of 0.1.
fn low_loss(width: f64) -> Vec<f64> {
    let peak = |at: usize, place: f64, width: f64| (-((at as f64 - place) / width).powi(2)).exp();
    (0..60).map(|at| 9.0 * peak(at, ZERO as f64, width) + peak(at, 25.0, 3.0 * width)).collect()
}

/// What is measured of an edge and a line through such a spectrum, on a power law.
fn measured(width: f64) -> Vec<f64> {
    let low_loss = low_loss(width);
    spectrum(|x| {
        let own =
            |x: f64| 3.0 * libm::erf((x - 4.0) / 0.4) + 10.0 * (-(x - 6.0).powi(2) / 0.1).exp();
        let through = |(at, l): (usize, &f64)| l * own(x - (at as f64 - ZERO as f64) * 0.1);
        low_loss.iter().enumerate().map(through).sum::<f64>() + 90.0 * (x + 2.0).powi(-2)
    })
}

/// A task with one spectrum for all positions, or with one for each.
fn convolved(given: Value, alone: Option<&[f64]>) -> Result<Task, String> {
    let axis =
        Dimension::new("E", "eV", (0..100).map(|at| f64::from(at) * 0.1).collect::<Vec<_>>());
    let zero = Zero { channel: Some(ZERO), axis: None };
    let parameters = parameters(given);
    task_over(&axis, &parameters)?
        .convolved_with(&axis, &parameters, (60, &zero), alone)
        .map_err(|failure| failure.to_string())
}

fn task_over(axis: &Dimension, parameters: &Parameters) -> Result<Task, String> {
    Task::new(parameters, &axis.values.as_slice()).map_err(|failure| failure.to_string())
}

/// The fit of a spectrum at a position that has this low-loss spectrum.
fn fit_with(
    task: &Task,
    values: &[f64],
    low_loss: &[f64],
    scratch: &mut Scratch,
) -> Result<Output, String> {
    let bytes: Vec<u8> = low_loss.iter().flat_map(|value| value.to_ne_bytes()).collect();
    let mut rows = AuxiliaryRows::new(ElementType::Float64, &[low_loss.len()]);
    rows.fill(&bytes, StoredType { element: ElementType::Float64, swapped: false });
    let (rows, shape) = ([rows], [values.len()]);
    let spectrum =
        Spectrum { auxiliary: Auxiliary::new(&rows, 0), ..Spectrum::new(values, &shape) };
    CurveFit::map_function(task, spectrum, scratch).map_err(|failure| failure.to_string())
}

fn edge() -> Value {
    json!({"components": [
        {"type": "erf", "origin": 4.2, "sigma": 0.4},
        {"type": "gaussian", "centre": 5.9, "sigma": 0.3},
        {"type": "power_law", "origin": {"fixed": -2}},
    ]})
}

/// A, origin and σ of the edge, A, centre and σ of the line, A and r of the power law.
fn truth() -> [f64; 8] {
    let sigma = 0.05_f64.sqrt();
    let area = 10.0 * sigma * std::f64::consts::TAU.sqrt();
    [6.0, 4.0, 0.4 / std::f64::consts::SQRT_2, area, 6.0, sigma, 90.0, 2.0]
}

fn assert_true(output: &Output, scale: f64) {
    assert!(output.converged);
    for (at, (found, expected)) in output.numbers.iter().zip(truth()).enumerate() {
        let expected = if at == 0 || at == 3 { expected * scale } else { expected };
        assert!((found / expected - 1.0).abs() < 1e-7, "{at}: {found} instead of {expected}");
    }
}

#[test]
fn what_was_there_before_the_instrument_is_found() {
    let low_loss = low_loss(2.0);
    let task = convolved(edge(), Some(&low_loss)).unwrap();
    let values = measured(2.0);
    let output = fit(&task, &values, &mut Scratch::default()).unwrap();
    assert_true(&output, 1.0);
    let mut normalised = edge();
    normalised["low_loss"] = json!("/low_loss");
    normalised["low_loss_normalised"] = json!(true);
    let task = convolved(normalised, Some(&low_loss)).unwrap();
    let output = fit(&task, &values, &mut Scratch::default()).unwrap();
    assert_true(&output, low_loss.iter().sum());
}

#[test]
fn each_position_has_its_own_spectrum_and_none_before_changes_a_bit() {
    let task = convolved(edge(), None).unwrap();
    let mut used = Scratch::default();
    for width in [1.0, 2.0, 3.0] {
        let (values, low_loss) = (measured(width), low_loss(width));
        let output = fit_with(&task, &values, &low_loss, &mut used).unwrap();
        assert_true(&output, 1.0);
        let fresh = fit_with(&task, &values, &low_loss, &mut Scratch::default()).unwrap();
        assert!(
            output
                .numbers
                .iter()
                .map(|n| n.to_bits())
                .eq(fresh.numbers.iter().map(|n| n.to_bits()))
        );
        let reason = fit_with(&task, &values, &[0.0; 60], &mut used).err().unwrap();
        assert!(reason.contains("zero everywhere"), "{reason}");
        let reason = fit_with(&task, &values, &[f64::NAN; 60], &mut used).err().unwrap();
        assert!(reason.contains("not finite"), "{reason}");
    }
}

#[test]
fn strange_spectra_and_models_end_as_without_convolution() {
    let low_loss = low_loss(2.0);
    let mut scratch = Scratch::default();
    for model in MODELS.into_iter().filter(|model| !model.contains("A*exp")) {
        let task = convolved(json!({"components": model, "starts": 2}), Some(&low_loss)).unwrap();
        for (name, spectrum) in strange() {
            match fit(&task, &spectrum, &mut scratch) {
                Ok(output) => {
                    let values = &output.numbers[..output.numbers.len() / 2];
                    assert!(values.iter().all(|value| value.is_finite()), "{model}, {name}");
                }
                Err(reason) => assert!(!reason.is_empty(), "{model}, {name}"),
            }
        }
    }
}

#[test]
fn a_formula_has_to_be_finite_where_the_spectrum_reaches() {
    let given = json!({"components": [{"formula": "A*log(x+1)+b"}]});
    let message = convolved(given, Some(&low_loss(2.0))).err().unwrap();
    assert!(message.contains("no finite value at x = -5.4"), "{message}");
    let alone =
        json!({"components": [{"formula": "A*log(x+1)+b", "convolved": false}, "gaussian"]});
    assert!(convolved(alone, Some(&low_loss(2.0))).is_ok());
}

#[test]
fn what_is_drawn_is_convolved() {
    let task = convolved(edge(), Some(&low_loss(2.0))).unwrap();
    let values = measured(2.0);
    let output = fit(&task, &values, &mut Scratch::default()).unwrap();
    let curves = drawn(&task, &values, &output);
    let largest = values.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    for (fit, value) in curves[0].1.iter().zip(&values) {
        assert!((fit - value).abs() < 1e-6 * largest, "{fit} {value}");
    }
}

#[test]
fn a_stack_of_spectra_is_not_one() {
    assert_eq!(one_axis("/l", &[1, 60]), Ok(60));
    let told = one_axis("/l", &[4, 60]).unwrap_err().to_string();
    assert!(told.contains("`low_losses` has one for each"), "{told}");
}
