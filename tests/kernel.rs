//! A kernel that is no process, named only when the program starts: what holds for processes holds
//! for it.

use std::process::Command;

use crate::support::{RAW_DATA, Sample, pixelmill, program, python_function, ran, run, succeed};

#[test]
fn a_kernel_without_a_process_runs_and_is_reused() {
    let sample = Sample::new();
    let ran = pixelmill(run("named-anything", &sample.file, &["-p", "gaps=1000", "--cores", "2"]));
    assert_eq!(ran.code, Some(3), "some positions fail: {}", ran.stderr);
    let group = ran.json["group"].as_str().unwrap();
    assert!(group.ends_with("/Raw_Data-named_anything_000"), "{group}");
    let found =
        python_function("kernel.py", "means", [sample.file.to_str().unwrap(), group, RAW_DATA]);
    assert_eq!(found, serde_json::json!([true, [999, 1999, 2999, 3999]]));

    let again = pixelmill(run("named-anything", &sample.file, &["-p", "gaps=1000"]));
    assert_eq!((&again.json["outcome"], &again.json["group"]), (&"existing".into(), &group.into()));
    let other = pixelmill(run("named-anything", &sample.file, &[]));
    assert!(other.json["group"].as_str().unwrap().ends_with("_001"), "other parameters");
    let renamed = pixelmill(run("named-otherwise", &sample.file, &[]));
    assert!(renamed.json["group"].as_str().unwrap().ends_with("named_otherwise_000"));
}

#[test]
fn one_position_of_a_kernel_can_be_tried() {
    let sample = Sample::new();
    let file = sample.file.to_str().unwrap();
    let probe = succeed(["test", "named-anything", file, "--pixel", "2080"]);
    assert_eq!(probe["results"][0]["name"], "Mean");
    assert_eq!(probe["spectrum"]["data"]["real"].as_array().map(Vec::len), Some(119));
}

#[test]
fn a_kernel_that_chooses_other_numbers_gets_results_of_its_own() {
    let sample = Sample::new();
    let group = |rounding: bool| {
        let mut command = Command::new(program());
        command.args(run("named-anything", &sample.file, &[])).arg("--json");
        if rounding {
            command.env("TRIAL_ROUNDS", "1");
        }
        let ran = ran(command.output().unwrap());
        (ran.json["outcome"].clone(), ran.json["group"].as_str().unwrap().to_owned())
    };
    let exact = group(false);
    let rounding = group(true);
    assert_ne!(exact.1, rounding.1, "its results are taken for those of other numbers");
    assert_eq!(
        (group(false), group(true)),
        (("existing".into(), exact.1), ("existing".into(), rounding.1))
    );
}
