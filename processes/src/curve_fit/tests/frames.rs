//! Spots and planes in frames.

use super::*;

const ROWS: usize = 24;
const COLUMNS: usize = 32;

/// A task over frames with rows 0.5 apart and columns 0.25 apart.
fn frame_task(given: Value) -> Result<Task, String> {
    let axis = |count: usize, step: f64| (0..count).map(|at| at as f64 * step).collect();
    let (y, x): (Vec<f64>, Vec<f64>) = (axis(ROWS, 0.5), axis(COLUMNS, 0.25));
    let parameters = parameters(given);
    parameters.check().map_err(|failure| failure.to_string())?;
    Task::over(&parameters, &y, &x).map_err(|failure| failure.to_string())
}

/// A frame of one component with these shape parameters, and a little noise.
fn frame(kind: Kind, spots: &[(f64, Vec<f64>)], noise: f64) -> Vec<f64> {
    let points = ROWS * COLUMNS;
    let x: Vec<f64> = (0..points).map(|at| (at % COLUMNS) as f64 * 0.25).collect();
    let y: Vec<f64> = (0..points).map(|at| (at / COLUMNS) as f64 * 0.5).collect();
    let channels = components::Channels { x: &x, y: &y, weights: &vec![1.0; points] };
    let rough = |at: usize| noise * ((at * at * 7919 % 1009) as f64 / 504.5 - 1.0);
    let mut frame: Vec<f64> = (0..points).map(|at| 2.0 + rough(at)).collect();
    for (height, shape) in spots {
        let mut columns = vec![0.0; (1 + shape.len()) * points];
        components::fill(kind, channels, shape, &mut columns);
        frame.iter_mut().zip(&columns).for_each(|(value, f)| *value += height * f);
    }
    frame
}

#[test]
fn spots_in_frames_are_where_they_were_simulated() {
    let ellipse = vec![3.9, 5.2, 0.9, 1.6, 0.5];
    for (kind, height, shape) in [
        (Kind::Gaussian2d, 90.0, ellipse.clone()),
        (Kind::Gaussian2d, -90.0, vec![2.9, 7.2, 1.2, 0.7, -0.5]),
        (Kind::Lorentzian2d, 10.0, ellipse),
        (Kind::Disk, 10.0, vec![4.1, 5.7, 2.2, 0.4]),
    ] {
        let values = frame(kind, &[(height, shape.clone())], 0.01);
        for background in ["offset", "plane"] {
            let components = format!("{}+{background}", kind.name());
            let task = frame_task(json!({"components": components})).unwrap();
            let output = fit(&task, &values, &mut Scratch::default()).unwrap();
            assert!(output.converged, "{components}");
            let expected = [&[height], shape.as_slice(), &[2.0]].concat();
            let errors = &output.numbers[output.numbers.len() / 2..];
            for (at, (found, expected)) in output.numbers.iter().zip(&expected).enumerate() {
                let difference = (found - expected).abs();
                let told = format!("{components}, {at}: {found} instead of {expected}");
                assert!(
                    difference < 5.0 * errors[at] && difference < 0.05 * expected.abs(),
                    "{told}"
                );
            }
        }
    }
}

#[test]
fn an_ellipse_has_the_angle_nearest_to_its_start() {
    use std::f64::consts::FRAC_PI_2;
    let shape = vec![3.9, 5.2, 0.9, 1.6, 0.5];
    let values = frame(Kind::Gaussian2d, &[(90.0, shape.clone())], 0.01);
    let told = |angle: Value| {
        let components = json!([{"type": "gaussian2d", "rotation_angle": angle}, "offset"]);
        let task = frame_task(json!({"components": components})).unwrap();
        let output = fit(&task, &values, &mut Scratch::default()).unwrap();
        let half = output.numbers.len() / 2;
        (output.numbers[3..6].to_vec(), output.numbers[half + 3..half + 6].to_vec())
    };
    let (nearest, errors) = told(json!(0.0));
    assert!((nearest[2] - 0.5).abs() < 0.01, "{nearest:?}");
    for (angle, turned, swaps) in [
        (json!(300.0), 0.5 + 191.0 * FRAC_PI_2, true),
        (json!({"start": 0.5 + FRAC_PI_2, "min": 1.5, "max": 2.5}), 0.5 + FRAC_PI_2, true),
        (json!({"min": -3.0, "max": 0.0}), 0.5 - FRAC_PI_2, true),
        (json!({"start": -2.6, "min": -3.0, "max": -2.0}), 0.5 - 2.0 * FRAC_PI_2, false),
    ] {
        let (found, of_found) = told(angle.clone());
        let [wide, high] = if swaps { [1, 0] } else { [0, 1] };
        let pairs = [(0, wide), (1, high)];
        assert!((found[2] - turned).abs() < 0.01, "{angle}: {found:?}");
        for (one, other) in pairs {
            assert!((found[one] / nearest[other] - 1.0).abs() < 1e-6, "{angle}: {found:?}");
            assert!((of_found[one] / errors[other] - 1.0).abs() < 1e-3, "{angle}: {of_found:?}");
        }
        assert!((of_found[2] / errors[2] - 1.0).abs() < 1e-3, "{angle}: {of_found:?}");
    }
}

#[test]
fn several_spots_are_found_one_after_the_other() {
    let spots = [(50.0, vec![1.9, 3.2, 0.5, 0.6, 0.0]), (30.0, vec![5.9, 8.2, 0.7, 0.5, 0.3])];
    let values = frame(Kind::Gaussian2d, &spots, 0.01);
    let known = json!([
        {"type": "gaussian2d", "name": "b", "centre_x": 6, "centre_y": 8},
        {"type": "gaussian2d", "name": "a"},
        "offset",
    ]);
    for (components, order) in [(json!("gaussian2d+gaussian2d+offset"), [0, 6]), (known, [6, 0])] {
        let task = frame_task(json!({"components": components})).unwrap();
        let output = fit(&task, &values, &mut Scratch::default()).unwrap();
        assert!(output.converged);
        for (at, (_, shape)) in order.iter().zip(&spots) {
            for (found, expected) in output.numbers[at + 1..].iter().zip(&shape[..4]) {
                assert!((found / expected - 1.0).abs() < 0.01, "{found} {expected}");
            }
        }
    }
}

#[test]
fn strange_frames_have_finite_values_or_a_reason() {
    let spot = frame(Kind::Gaussian2d, &[(90.0, vec![3.9, 5.2, 0.9, 1.6, 0.5])], 0.01);
    let one =
        |at: usize| (0..ROWS * COLUMNS).map(|point| f64::from(u8::from(point == at))).collect();
    let frames: [(&str, Vec<f64>); 6] = [
        ("empty", vec![0.0; ROWS * COLUMNS]),
        ("constant", vec![7.0; ROWS * COLUMNS]),
        ("saturated", spot.iter().map(|value| value.min(6.0)).collect()),
        ("one point", one(300)),
        ("the corner", one(0)),
        ("huge", spot.iter().map(|value| value * 1e120).collect()),
    ];
    let mut scratch = Scratch::default();
    for components in ["gaussian2d+offset", "lorentzian2d+plane", "disk+offset", "gaussian2d+disk"]
    {
        let task = frame_task(json!({"components": components, "starts": 2})).unwrap();
        for (name, values) in &frames {
            match fit(&task, values, &mut scratch) {
                Ok(output) => {
                    let (values, errors) = output.numbers.split_at(output.numbers.len() / 2);
                    let told = format!("{components}, {name}: {values:?}");
                    assert!(values.iter().all(|value| value.is_finite()), "{told}");
                    assert!(errors.iter().all(|error| error.is_nan() || *error >= 0.0), "{told}");
                }
                Err(reason) => assert!(!reason.is_empty(), "{components}, {name}"),
            }
        }
        let after = fit(&task, &spot, &mut scratch).unwrap();
        let fresh = fit(&task, &spot, &mut Scratch::default()).unwrap();
        let bits = |output: &Output| -> Vec<u64> {
            output.numbers.iter().map(|number| number.to_bits()).collect()
        };
        assert_eq!(bits(&after), bits(&fresh), "{components}");
        let mut broken = spot.clone();
        broken[100] = f64::NAN;
        let reason = fit(&task, &broken, &mut scratch).err().unwrap();
        assert!(reason.contains("not finite"), "{reason}");
    }
}

#[test]
fn frames_and_spectra_have_components_of_their_own() {
    for (given, reason) in [
        (
            json!({"components": "gaussian2d+gaussian"}),
            "`gaussian2d` is a component of frames, and `gaussian` one",
        ),
        (
            json!({"components": "disk+offset", "range_min": 2}),
            "`range_min` and `range_max` are of spectra",
        ),
        (
            json!({"components": "plane", "weights": "given", "channel_weights": [1.0]}),
            "768 channels",
        ),
    ] {
        let message = frame_task(given).err().unwrap();
        assert!(message.contains(reason), "{message}");
    }
}
