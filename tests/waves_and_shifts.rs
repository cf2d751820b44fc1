//! The process `holography`: waves are those of LiberTEM-holo and holospy, wherever the holograms
//! lie.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::usid;
use crate::support::{filters_program, pixelmill, refuse, run, succeed};

/// Calls a function of that program.
fn ask(function: &str, arguments: &[&str]) -> Value {
    filters_program("waves_and_shifts.py", [&[function], arguments].concat())
}

/// A file beside others with what a function of that program writes.
fn written(function: &str, name: &str) -> (usid::Scan, String) {
    let scan = usid::Scan::nothing();
    let file = scan.beside(name);
    ask(function, &[&file]);
    (scan, file)
}

/// Runs over a dataset whose first two axes are those of the scan.
fn run_over(process: &str, file: &str, name: &str, output: &str, options: &[&str]) -> Value {
    let given = ["--dataset", name, "--positions-axes", "0,1", "--output", output];
    succeed(run(process, Path::new(file), &[&given, options].concat()))
}

/// What each of some calls tells.
fn answers(calls: &[Value]) -> Vec<Value> {
    let texts: Vec<String> = calls.iter().map(Value::to_string).collect();
    let asked: Vec<&str> = texts.iter().map(String::as_str).collect();
    let answers = ask("check", &asked);
    answers.as_array().unwrap().clone()
}

/// Name, place of the sideband, its size, smoothness and the shape of the wave.
type Given = (&'static str, [i64; 2], f64, f64, [usize; 2]);

const WAVES: [Given; 5] = [
    ("counts", [9, 14], 7.0, 0.1, [32, 32]),
    ("counts", [9, 14], 8.0, 0.0, [64, 64]),
    ("packed", [-20, 25], 12.5, 0.05, [30, 40]),
    ("double", [11, 20], 8.0, 0.2, [24, 80]),
    ("signed", [12, 9], 6.0, 0.05, [32, 30]),
];

#[test]
fn waves_are_those_of_libertem_and_holospy() {
    let (scan, file) = written("write", "holograms.h5");
    let (mut calls, mut expected) = (Vec::new(), Vec::new());
    for (number, (name, place, size, smoothness, shape)) in WAVES.into_iter().enumerate() {
        for (precision, type_, most) in
            [("single", "complex64", 3e-6), ("double", "complex128", 1e-12)]
        {
            let results = scan.beside(&format!("{number}_{precision}.h5"));
            let options = [
                format!("sb_position={}", json!(place)),
                format!("sb_size={size}"),
                format!("sb_smoothness={smoothness}"),
                format!("out_shape={}", json!(shape)),
                format!("precision={precision}"),
            ];
            let typed: Vec<&str> =
                options.iter().flat_map(|option| ["-p", option.as_str()]).collect();
            let ran = run_over("holography", &file, name, &results, &typed);
            let about = json!([file, name, results, ran["group"]]);
            let given = |of: &str, more: &[Value]| {
                let about = about.as_array().unwrap();
                json!([&[json!(of)], about.as_slice(), more].concat())
            };
            calls.push(given("libertem", &[json!(size), json!(smoothness)]));
            expected.push((format!("{name} beside LiberTEM-holo"), type_, most));
            if smoothness > 0.0 {
                let options = json!({
                    "reference": false, "sb_position": place, "sb_size": size,
                    "sb_smoothness": size * smoothness,
                });
                calls.push(given("holospy", &[options]));
                expected.push((format!("{name} beside holospy"), type_, most));
            }
        }
    }
    for (found, (what, type_, most)) in answers(&calls).iter().zip(expected) {
        assert_eq!(found[0], type_, "{what}");
        assert!(found[1].as_f64().is_some_and(|off| off < most), "{what}: {found}");
    }
}

#[test]
fn waves_are_divided_by_that_of_a_reference_in_which_the_sideband_is_found() {
    let (scan, file) = written("write", "holograms.h5");
    let mut calls = Vec::new();
    for (name, shape) in [("counts", [64, 64]), ("packed", [60, 72]), ("double", [32, 48])] {
        let results = scan.beside(&format!("{name}.h5"));
        let reference = format!("reference=/{name}_reference");
        let shape = format!("out_shape={}", json!(shape));
        let options =
            ["-p", &reference, "-p", &shape, "-p", "sb_size=9.5", "-p", "precision=double"];
        let ran = run_over("holography", &file, name, &results, &options);
        let options = json!({ "reference": true, "sb_size": 9.5 });
        calls.push(json!(["holospy", file, name, results, ran["group"], options]));
    }
    for (call, found) in calls.iter().zip(answers(&calls)) {
        assert!(found[1].as_f64().is_some_and(|off| off < 1e-9), "{call}: {found}");
    }
}

#[test]
fn hyperspy_loads_waves_with_the_axes_of_its_own() {
    let (scan, file) = written("hspy", "holograms.hspy");
    let results = scan.beside("waves.hspy");
    let options = ["-p", "sb_position=[9,14]", "-p", "sb_size=6", "-p", "out_shape=[16,32]"];
    let given = [options.as_slice(), &["--output", &results]].concat();
    succeed(run("holography", Path::new(&file), &given));
    assert_eq!(answers(&[json!(["loaded", file, results])]), [json!([])]);
}

#[test]
fn holograms_without_fringes_fail_alone_and_sidebands_outside_are_refused() {
    let (scan, file) = written("write", "holograms.h5");
    ask("spoil", &[&file, "packed"]);
    let given = |output: &str, more: &[&str]| {
        let options = ["--dataset", "packed", "--positions-axes", "0,1", "--output", output];
        run("holography", Path::new(&file), &[&options, more].concat())
    };
    let ran = pixelmill(given(&scan.beside("out.h5"), &["-p", "sb_position=[-20,25]"]));
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let failed = ran.json["failed"].as_array().unwrap();
    let told = |at: usize| (&failed[at]["position"], failed[at]["message"].as_str().unwrap());
    assert_eq!(failed.len(), 2);
    assert!(told(0).0 == 0 && told(0).1.contains("constant: there are no fringes"), "{failed:?}");
    assert!(told(1).0 == 1 && told(1).1.contains("not finite"), "{failed:?}");

    let output = scan.beside("refused.h5");
    for (option, code, texts) in [
        ("sb_position=[96,3]", 1, ["the row 96", "outside of the spectrum", "from -48 to 95"]),
        ("sb_size=3", 1, ["sb_position=[row,column]", "`reference`", "Holography"]),
        ("sb_position=[3]", 2, ["`sb_position`", "a row and a column", "[20, 31]"]),
    ] {
        refuse(given(&output, &["-p", option]), code, &texts);
    }
    let other = ["-p", "reference=/counts_reference"];
    refuse(given(&output, &other), 1, &["/counts_reference", "[96, 96]"]);
}

#[test]
fn shifts_are_those_of_scikit_image() {
    let (scan, file) = written("drifting", "drifting.h5");
    let (mut calls, mut expected) = (Vec::new(), Vec::new());
    for name in ["line", "blocks", "double"] {
        let reference = format!("reference=/{name}_first");
        for (number, (options, how, most)) in [
            (vec![], json!({ "upsample_factor": 100, "normalization": "phase" }), 0.0101),
            (
                vec!["upsample_factor=1", "normalization=none"],
                json!({ "normalization": null }),
                0.0,
            ),
            (
                vec!["upsample_factor=20", "normalization=none", "window=hann"],
                json!({ "upsample_factor": 20, "normalization": null, "window": true }),
                0.0501,
            ),
        ]
        .into_iter()
        .enumerate()
        {
            let results = scan.beside(&format!("{name}_{number}.h5"));
            let typed: Vec<&str> = options.iter().flat_map(|option| ["-p", *option]).collect();
            let given = [&["-p", reference.as_str()][..], typed.as_slice()].concat();
            let ran = run_over("phase-correlation", &file, name, &results, &given);
            calls.push(json!(["skimage", file, name, results, ran["group"], how]));
            expected.push(most);
        }
    }
    for ((call, found), most) in calls.iter().zip(answers(&calls)).zip(expected) {
        assert!(found[0].as_f64().is_some_and(|off| off <= most), "{call}: {found}");
        assert!(found[1].as_f64().is_some_and(|off| off < 2e-3), "{call}: {found}");
    }
}

#[test]
fn shifts_against_the_frame_before_add_up_to_those_of_hyperspy() {
    let (scan, file) = written("drifting", "drifting.h5");
    let results = scan.beside("cascade.h5");
    let options = ["-p", "normalization=none", "-p", "upsample_factor=1", "-p", "window=hann"];
    let ran = run_over("phase-correlation", &file, "line", &results, &options);
    let calls = [json!(["cascade", file, "line", results, ran["group"]])];
    assert_eq!(answers(&calls), [json!(0.0)]);
}

#[test]
fn frames_in_which_nothing_can_be_shifted_fail_and_those_behind_have_no_numbers() {
    let (scan, file) = written("drifting", "drifting.h5");
    ask("spoil", &[&file, "blocks"]);
    let options = ["--dataset", "blocks", "--positions-axes", "0,1"];
    let output = scan.beside("out.h5");
    let given = [options.as_slice(), &["--output", &output]].concat();
    let ran = pixelmill(run("phase-correlation", Path::new(&file), &given));
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let failed = ran.json["failed"].as_array().unwrap();
    let positions: Vec<&Value> = failed.iter().map(|failure| &failure["position"]).collect();
    assert_eq!(positions, [&json!(0), &json!(1)], "{failed:?}");
    assert!(failed[1]["message"].as_str().unwrap().contains("not finite"), "{failed:?}");
    let given = ["test", "phase-correlation", file.as_str(), "--at", "0,2"];
    let tested = [given.as_slice(), options.as_slice()].concat();
    let behind = succeed(tested);
    assert!(behind["results"][3]["values"][0].is_null(), "{behind}");

    let refused = scan.beside("refused.h5");
    let given = |option| [options.as_slice(), &["--output", &refused, "-p", option]].concat();
    for (option, code, texts) in [
        ("axis=2", 1, ["no axis of the scan with the number 2", "it has 2"]),
        ("reference=/line_first", 1, ["/line_first", "[41, 50]"]),
        ("upsample_factor=0", 2, ["`upsample_factor`", "1"]),
    ] {
        refuse(run("phase-correlation", Path::new(&file), &given(option)), code, &texts);
    }
}
