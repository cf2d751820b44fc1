//! Currents over a period of the voltage: against BGlib's numbers for the sample, against what was
//! simulated, and of what is none. `tests/python/giv.py` has the model once more.

use serde_json::{Value, json};

use crate::support::usid::{Scan, ask_python};
use crate::support::{pixelmill, refuse, root, run, succeed};

const SAMPLE: &str = "data/gmode_iv_2x2.h5";
const TABLE: &str = "data/gmode_iv_2x2.bglib.csv";
const GIVEN: [&str; 4] = ["-p", "frequency=200", "-p", "num_x_steps=50"];

/// What a command of `giv.py` tells of a scan.
fn giv(scan: &Scan, command: &str, more: &[&str]) -> Value {
    ask_python(&[&["giv.py", command, scan.file.as_str()], more].concat())
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

#[test]
fn what_is_inferred_is_what_bglib_infers_but_for_its_mistakes() {
    let scan = Scan::nothing();
    std::fs::copy(root().join(SAMPLE), &scan.file).unwrap();
    let ran = scan.run("giv-bayesian", &GIVEN);
    let (group, table) = (ran["group"].as_str().unwrap(), root().join(TABLE));
    let told = giv(&scan, "compare", &[group, table.to_str().unwrap()]);
    for part in ["conductance", "capacitance", "reconstructed", "corrected"] {
        assert!(number(&told[part]) < 1e-6, "{part}: {told}");
    }
    // In deviations of the mean of BGlib's samples, and relative, those of the variance being few.
    assert!(number(&told["sampled"]) < 5.0, "{told}");
    assert!(number(&told["variance"]) < 0.05, "{told}");
    assert!(told["as_stated"] == true && number(&told["told"]) > 0.5, "{told}");
    let names = ["Corrected_Current", "Resistance", "R_variance", "Capacitance", "Conductance"];
    let seen = ask_python(&[&["usid.py", "check", &scan.file, group], &names[..]].concat());
    assert_eq!(seen["datasets"]["Resistance"]["shape"], json!([4, 50]), "{seen}");
    assert_eq!(seen["datasets"]["Resistance"]["spec_dims"], json!(["Bias (V)"]), "{seen}");
    assert_eq!(seen["datasets"]["Corrected_Current"]["shape"], json!([4, 64]), "{seen}");
}

#[test]
fn what_was_simulated_is_found_in_numbers_and_units_of_every_kind() {
    for (kind, units, cycles, storage) in [
        ("f8", "nA", "1", "contiguous"),
        (">f4", "A", "1", "gzip"),
        ("i4", "pA", "4", "gzip"),
        ("f4", "V", "5", "contiguous"),
    ] {
        let scan = Scan::nothing();
        giv(&scan, "simulate", &[kind, units, cycles, storage]);
        let gain: &[&str] = if units == "V" { &["-p", "gain=7"] } else { &[] };
        let ran = scan.run("giv-bayesian", &[&["-p", "frequency=200"], gain].concat());
        let told = giv(&scan, "truth", &[ran["group"].as_str().unwrap()]);
        assert!(number(&told["told"]) > 0.5, "{kind}: {told}");
        // The noise is 0.02 where 0.03 is assumed.
        assert!((0.4..1.1).contains(&number(&told["spread"])), "{kind}: {told}");
        assert!((0.8..1.0).contains(&number(&told["noise"])), "{kind}: {told}");
        assert!(number(&told["capacitance"]) < 0.01, "{kind}: {told}");
        assert!(number(&told["resistance"]) < 1e-3, "{kind}: {told}");
    }
}

#[test]
fn strange_currents_give_numbers_or_a_reason() {
    let scan = Scan::nothing();
    let kinds = giv(&scan, "strange", &[]);
    let ran = pixelmill(run("giv-bayesian", scan.file.as_ref(), &GIVEN));
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let failed: Vec<&Value> = ran.json["failed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|failure| &kinds[failure["position"].as_u64().unwrap() as usize])
        .collect();
    assert_eq!(failed, ["nan", "infinite", "huge"]);
    let found = giv(&scan, "finite", &[ran.json["group"].as_str().unwrap()]);
    for (at, kind) in kinds.as_array().unwrap().iter().enumerate() {
        assert_eq!(found[at][0], json!((2..5).contains(&at)), "{kind}: {found}");
    }
    // Of no current the conductance isn't told from 0 where there is a voltage.
    assert!(found[2][1].as_u64().unwrap() < 20, "{found}");
}

#[test]
fn what_is_no_current_over_a_period_is_refused_before_the_run() {
    let sample = root().join(SAMPLE);
    refuse(run("giv-bayesian", &sample, &[]), 1, &["`frequency`", "Hz"]);
    refuse(
        run("giv-bayesian", &sample, &["-p", "gain=7", "-p", "frequency=2"]),
        1,
        &["`nA`", "in V"],
    );
    let scan = Scan::new(&[]);
    refuse(run("giv-bayesian", scan.file.as_ref(), &GIVEN), 1, &["`Frequency`", "voltage in V"]);
}

#[test]
fn the_reconstructed_current_is_drawn_over_the_measured_one() {
    let sample = root().join(SAMPLE);
    let text = sample.to_str().unwrap();
    let tested = succeed([&["test", "giv-bayesian", text, "--pixel", "1"], &GIVEN[..]].concat());
    let curves = &tested["spectrum"]["model"]["curves"];
    let curves: Vec<&Value> =
        curves.as_array().unwrap().iter().map(|curve| &curve["name"]).collect();
    assert_eq!(curves, ["reconstructed", "without capacitance"], "{tested}");
}
