//! Fits of hysteresis loops: against BGlib's numbers for the sample, against what was simulated,
//! and of what is no loop. `tests/python/loop_fit.py` has the loop once more.

use serde_json::{Value, json};

use crate::support::usid::{Scan, ask_python};
use crate::support::{pixelmill, refuse, root, run, succeed};

const SAMPLE: &str = "data/hysteresis_loops_5x12.h5";
const TABLE: &str = "data/hysteresis_loops_5x12.bglib.csv";

/// A file beside a scan, made by a command of `loop_fit.py`.
fn made(scan: &Scan, command: &str, more: &[&str]) -> Value {
    ask_python(&[&["loop_fit.py", command, scan.file.as_str()], more].concat())
}

fn numbers(of: &Value) -> Vec<f64> {
    of.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

#[test]
fn guesses_are_bglibs_and_no_fit_is_worse() {
    let scan = Scan::nothing();
    std::fs::copy(root().join(SAMPLE), &scan.file).unwrap();
    let ran = scan.run("loop-fit", &[]);
    let table = root().join(TABLE);
    let group = ran["group"].as_str().unwrap();
    let told = made(&scan, "compare", &[group, table.to_str().unwrap()]);
    assert_eq!((&told["loops"], &told["worse"]), (&json!(60), &json!(0)), "{told}");
    assert!(told["guess"].as_f64().unwrap() < 1e-12, "{told}");
    assert!(told["r2"].as_f64().unwrap() < 1e-12, "{told}");
    // Of many sharp and noisy loops BGlib's search ends in another minimum.
    assert!(told["better"].as_u64().unwrap() >= 8, "{told}");
    let seen = ask_python(&["usid.py", "check", &scan.file, group, "Guess", "Fit"]);
    assert_eq!(seen["datasets"]["Fit"]["shape"], json!([60, 1]), "{seen}");
}

#[test]
fn true_parameters_are_found_as_well_as_noise_allows_in_numbers_of_every_kind() {
    for (kind, cycles, storage, scale) in
        [(">f8", "1", "gzip", "1"), ("f4", "5", "gzip", "1"), ("i2", "4", "contiguous", "1000")]
    {
        let scan = Scan::nothing();
        made(&scan, "simulate", &[kind, "64", cycles, storage]);
        let ran = scan.run("loop-fit", &["-p", "starts=3"]);
        let told = made(&scan, "truth", &[ran["group"].as_str().unwrap(), scale]);
        assert_eq!(told["loops"], 300, "{kind}");
        // Of 300 loops the spread is known to 4 %; heights and widths aren't linear in the data.
        let [bias, spread] = [&told["bias"], &told["spread"]].map(numbers);
        for at in [0, 1, 2, 3, 4] {
            assert!(bias[at].abs() < 0.4, "{kind}: {told}");
            assert!((0.8..1.25).contains(&spread[at]), "{kind}: {told}");
        }
        for at in 5..9 {
            assert!(bias[at].abs() < 0.5 && (0.7..1.5).contains(&spread[at]), "{kind}: {told}");
        }
    }
}

#[test]
fn several_loops_of_a_position_have_an_axis_of_their_own() {
    let scan = Scan::nothing();
    made(&scan, "simulate", &["f4", "64", "5", "contiguous"]);
    let ran = scan.run("loop-fit", &[]);
    let group = ran["group"].as_str().unwrap();
    let names = ["Guess", "Fit", "Standard_Errors", "Fit_Loop_Parameters", "Converged"];
    let seen = ask_python(&[&["usid.py", "check", &scan.file, group], &names[..]].concat());
    for name in names {
        assert_eq!(seen["datasets"][name]["shape"], json!([60, 5]), "{name}: {seen}");
        assert_eq!(seen["datasets"][name]["spec_dims"], json!(["Cycle ()"]), "{name}: {seen}");
    }
}

#[test]
fn strange_loops_give_numbers_or_a_reason() {
    let scan = Scan::nothing();
    let kinds = made(&scan, "strange", &[]);
    let ran = pixelmill(run("loop-fit", scan.file.as_ref(), &[]));
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let failed: Vec<(&str, &str)> = ran.json["failed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|failure| {
            let position = failure["position"].as_u64().unwrap() as usize;
            (kinds[position].as_str().unwrap(), failure["message"].as_str().unwrap())
        })
        .collect();
    let (endless, flat) =
        ("the loop has values that are not finite", "all values of the loop are the same");
    assert_eq!(
        failed,
        [("nan", endless), ("infinite", endless), ("empty", flat), ("constant", flat)]
    );
    let finite = made(&scan, "finite", &[ran.json["group"].as_str().unwrap()]);
    let expected: Vec<bool> = (0..kinds.as_array().unwrap().len()).map(|at| at > 3).collect();
    assert_eq!(finite, json!(expected));
}

#[test]
fn what_has_no_voltage_or_no_loop_is_refused_before_the_run() {
    let scan = Scan::new(&[]);
    let file = scan.file.as_ref();
    refuse(run("loop-fit", file, &[]), 1, &["`Frequency`", "voltage in V"]);
    refuse(
        run("loop-fit", file, &["-p", "width_min=2", "-p", "width_max=1"]),
        2,
        &["`width_min` is 2", "`width_max`, which is 1"],
    );
    scan.script(
        "file['/Measurement_000/Channel_000/Spectroscopic_Values'].attrs['units'] = ['V']",
        &[],
    );
    refuse(run("loop-fit", file, &[]), 1, &["go up and down", "rises at 118 of its 119"]);
}

#[test]
fn a_fit_is_drawn_over_its_loop() {
    let sample = root().join(SAMPLE);
    let tested = succeed(["test", "loop-fit", sample.to_str().unwrap(), "--pixel", "3"]);
    let names: Vec<&Value> =
        tested["results"].as_array().unwrap().iter().map(|result| &result["name"]).collect();
    assert!(names.contains(&&json!("Fit · a_2")), "{names:?}");
}
